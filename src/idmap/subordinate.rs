//! Subordinate ids: whether an administrator has given the user some, and the programs that map them
//! (subuid(5), newuidmap(1)).

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Account, IdMap, Range, passwd};

/// The kernel's limit of lines in a map (Linux 4.15).
const MAX_RANGES: usize = 340;

/// Returns the map of the user's own ids to root and the subordinate ids behind it, or why there is none.
pub(super) fn map(uid: u32, gid: u32, own: &IdMap) -> Result<IdMap, String> {
    for program in ["newuidmap", "newgidmap"] {
        let path = find(program).ok_or_else(|| format!("{program} is not installed (package uidmap)"))?;
        if !is_privileged(&path) {
            return Err(format!("{} is neither setuid root nor has file capabilities", path.display()));
        }
    }
    if rustix::thread::no_new_privs().unwrap_or(false) {
        return Err("setuid programs are switched off for this process (no_new_privs)".to_owned());
    }
    let accounts = fs::read("/etc/passwd").unwrap_or_default();
    let name = passwd(&accounts).find(|account| account.uid == uid).map(|account: Account| account.name);
    // Starting a program takes longer than all the rest: only where the files are not all there is.
    let elsewhere = fs::read_to_string("/etc/nsswitch.conf").is_ok_and(|text| names_database(&text));
    let ranges = |file: &str, flag: Option<&str>, id: u32, mapped: &[Range]| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut given = parse(&text, name.as_deref(), uid);
        if given.is_empty() && elsewhere {
            given = ask(name.as_deref(), uid, flag);
        }
        let given = without_overlap(&given, id);
        if given.is_empty() {
            let who = name.clone().unwrap_or_else(|| uid.to_string());
            return Err(format!("no subordinate ids for {who} in {file}"));
        }
        if !given.iter().all(|range| contains(mapped, *range)) {
            return Err(format!("the ids in {file} do not exist in this user namespace"));
        }
        Ok(line_up(id, &given))
    };
    Ok(IdMap {
        uids: ranges("/etc/subuid", None, uid, &own.uids)?,
        gids: ranges("/etc/subgid", Some("-g"), gid, &own.gids)?,
    })
}

/// Finds `program` where setuid programs are: in `PATH`, and in the system's directories if that lacks them.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(["/usr/bin", "/usr/sbin", "/bin", "/usr/local/bin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| {
            fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// Tells whether the program at `path` gains anything when it is started.
fn is_privileged(path: &Path) -> bool {
    let setuid = fs::metadata(path).is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o4000 != 0);
    setuid || rustix::fs::getxattr(path, "security.capability", &mut [0_u8; 64]).is_ok()
}

/// Reads the ranges of a user, known by name or by number, from the text of `/etc/subuid`.
fn parse(text: &str, name: Option<&str>, uid: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().splitn(3, ':');
            let who = fields.next()?;
            if Some(who) != name && who != number {
                return None;
            }
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .collect()
}

/// Tells whether the text of nsswitch.conf(5) names a database of subordinate ids.
fn names_database(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("subid:"))
}

/// Asks `getsubids`, which knows the other databases an administrator may use (nsswitch.conf, `subid:`).
fn ask(name: Option<&str>, uid: u32, flag: Option<&str>) -> Vec<(u32, u32)> {
    let Some(program) = find("getsubids") else { return Vec::new() };
    let user = name.map(str::to_owned).or_else(|| env::var("USER").ok()).unwrap_or_else(|| uid.to_string());
    let answer =
        Command::new(program).args(flag).arg(user).stdin(Stdio::null()).stderr(Stdio::null()).output();
    match answer {
        Ok(output) if output.status.success() => parse_answer(&String::from_utf8_lossy(&output.stdout)),
        _ => Vec::new(),
    }
}

/// Reads lines like `0: alice 100000 65536`.
fn parse_answer(text: &str) -> Vec<(u32, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.rsplit(' ');
            let count = fields.next()?.parse().ok()?;
            Some((fields.next()?.parse().ok()?, count))
        })
        .collect()
}

/// Cuts away what the kernel would refuse: ids given twice, the user's own, empty and overlong ranges.
fn without_overlap(given: &[(u32, u32)], own: u32) -> Vec<Range> {
    let mut kept: Vec<Range> = Vec::new();
    let mut add = |first: u32, end: u32| {
        let clashes = |range: &&Range| first < range.outside + range.count && range.outside < end;
        if first < end && !kept.iter().any(|range| clashes(&range)) {
            kept.push(Range { inside: 0, outside: first, count: end - first });
        }
    };
    for &(first, count) in given {
        let Some(end) = first.checked_add(count) else { continue };
        if (first..end).contains(&own) {
            add(first, own);
            add(own + 1, end);
        } else {
            add(first, end);
        }
    }
    kept.truncate(MAX_RANGES - 1);
    kept
}

/// Puts the user's own id at 0 and the ranges behind it in their order.
fn line_up(own: u32, ranges: &[Range]) -> Vec<Range> {
    let mut lined = vec![Range { inside: 0, outside: own, count: 1 }];
    let mut next: u32 = 1;
    for range in ranges {
        let Some(end) = next.checked_add(range.count) else { break };
        lined.push(Range { inside: next, ..*range });
        next = end;
    }
    lined
}

/// Tells whether one of the ranges that exist in this user namespace holds all of `range`.
fn contains(mapped: &[Range], range: Range) -> bool {
    let (first, end) = (u64::from(range.outside), u64::from(range.outside) + u64::from(range.count));
    mapped.iter().any(|have| {
        let start = u64::from(have.inside);
        start <= first && end <= start + u64::from(have.count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inside: u32, outside: u32, count: u32) -> Range {
        Range { inside, outside, count }
    }

    #[test]
    fn reads_by_name_and_number() {
        let text = "bob:1:2\nalice:100000:65536\n# x\n1000:300000:5\nalice:x:1\nalicea:7:7\n";
        assert_eq!(parse(text, Some("alice"), 1000), [(100_000, 65536), (300_000, 5)]);
        assert_eq!(parse(text, None, 1000), [(300_000, 5)]);
        assert!(names_database("passwd: files\nsubid: sss\n") && !names_database("# subid: sss\n"));
        assert_eq!(parse_answer("0: alice 100000 65536\n1: alice 9 1\nerror\n"), [(100_000, 65536), (9, 1)]);
    }

    #[test]
    fn lines_up_behind_root() {
        let given = without_overlap(&[(100_000, 65536), (300_000, 5)], 1000);
        assert_eq!(
            line_up(1000, &given),
            [range(0, 1000, 1), range(1, 100_000, 65536), range(65537, 300_000, 5)]
        );
    }

    #[test]
    fn cuts_what_the_kernel_refuses() {
        assert_eq!(without_overlap(&[(990, 20)], 1000), [range(0, 990, 10), range(0, 1001, 9)]);
        assert_eq!(without_overlap(&[(5, 0), (u32::MAX, 2), (7, 3), (9, 3)], 1000), [range(0, 7, 3)]);
    }

    #[test]
    fn knows_what_exists_here() {
        let here = [range(0, 1000, 1), range(1, 100_000, 65536)];
        assert!(contains(&here, range(0, 1, 65536)));
        assert!(!contains(&here, range(0, 100_000, 65536)));
    }
}
