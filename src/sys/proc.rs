//! What `/proc` tells about all processes.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// A process as `/proc/<pid>/stat` describes it (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// `R`, `S`, `D`, `T` (stopped), `Z` and so on.
    pub state: char,
    /// The CPU time of it and of those of its children that it has collected, in clock ticks.
    pub ticks: u64,
    /// Its threads.
    pub threads: u64,
    /// When it started, in clock ticks since boot.
    pub start: u64,
    /// What it has in memory, in pages.
    pub pages: u64,
}

impl Stat {
    /// Reads the text of `/proc/<pid>/stat`. The name, in parentheses, may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (pid, _) = text.split_once(' ')?;
        let (_, rest) = text.rsplit_once(')')?;
        // The first is field 3 of the manual.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| -> Option<u64> { fields.get(field - 3)?.parse().ok() };
        Some(Self {
            pid: pid.parse().ok()?,
            parent: fields.get(1)?.parse().ok()?,
            state: fields.first()?.chars().next()?,
            ticks: number(14)? + number(15)? + number(16)? + number(17)?,
            threads: number(20)?,
            start: number(22)?,
            pages: number(24)?,
        })
    }
}

/// Returns a process; `None` if there is none with this number.
pub fn stat(pid: i32) -> Option<Stat> {
    Stat::parse(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// Returns all processes that can be seen, sorted by number.
pub fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<Stat> = pids.filter_map(stat).collect();
    found.sort_by_key(|stat| stat.pid);
    found
}

/// Returns what tells the pid namespace of a process from others; `None` if it has ended or is not ours to see.
pub fn pid_namespace(pid: i32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/pid")).ok().map(|meta| meta.ino())
}

/// Of all processes, those in the pid namespace of `init`, and in namespaces below it.
pub fn members(all: &[Stat], init: i32) -> Vec<Stat> {
    let Some(namespace) = pid_namespace(init) else { return Vec::new() };
    let mut known: HashSet<i32> = all
        .iter()
        .filter(|stat| stat.pid == init || pid_namespace(stat.pid) == Some(namespace))
        .map(|stat| stat.pid)
        .collect();
    // Whoever has made a namespace of his own in there is a child of somebody in there.
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|stat| !known.contains(&stat.pid) && known.contains(&stat.parent))
            .map(|stat| stat.pid)
            .collect();
        if more.is_empty() {
            break;
        }
        known.extend(more);
    }
    all.iter().filter(|stat| known.contains(&stat.pid)).cloned().collect()
}

/// Returns those of `roots` that are there, and everybody whom they or their children have made and not outlived.
pub fn descendants(roots: &[i32]) -> Vec<i32> {
    let mut found: Vec<i32> = roots.iter().copied().filter(|pid| stat(*pid).is_some()).collect();
    let mut known: HashSet<i32> = found.iter().copied().collect();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children = text.split_ascii_whitespace().filter_map(|word| word.parse().ok());
            found.extend(children.filter(|child| known.insert(*child)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_process_behind_any_name() {
        let text = "7 (a) b (c) T 1 7 7 0 -1 4194560 1 0 0 0 10 20 30 40 20 0 3 0 4242 5 6 0";
        let stat = Stat::parse(text).unwrap();
        let wanted = Stat { pid: 7, parent: 1, state: 'T', ticks: 100, threads: 3, start: 4242, pages: 6 };
        assert_eq!(stat, wanted);
        assert_eq!(Stat::parse("7 (a"), None);
    }

    #[test]
    fn finds_this_process_among_all() {
        let own = i32::try_from(std::process::id()).unwrap();
        let all = all();
        assert!(all.iter().any(|stat| stat.pid == own && stat.threads > 0));
        assert!(members(&all, own).iter().any(|stat| stat.pid == own));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let made = i32::try_from(child.id()).unwrap();
        assert!(descendants(&[own]).contains(&made));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(descendants(&[made]).is_empty());
    }
}
