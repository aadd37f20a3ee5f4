//! What containers use: as their control groups count it, and for what nobody counts, sums over the processes in
//! their pid namespaces, as `/proc` tells them.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use anyhow::Result;

use super::control::must_run;
use super::dir::ContainerDir;
use super::list::Summary;
use super::status::Status;
use super::{event, strays};
use crate::runtime::Cgroup;
use crate::store::Store;
use crate::sys::proc::{self, Stat};

/// What a container has used so far, and what it uses now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time, in microseconds.
    pub cpu: u64,
    /// Memory, in bytes: what is shared with others is shared out among them.
    pub memory: u64,
    /// Bytes read from disks.
    pub read: u64,
    /// Bytes written to disks.
    pub written: u64,
    /// Bytes that its networks brought.
    pub received: u64,
    /// Bytes that it sent.
    pub sent: u64,
    /// Its processes and threads.
    pub tasks: u64,
}

/// What all running containers use at one moment.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The moment.
    pub at: Instant,
    /// By the container's id.
    pub usages: HashMap<String, Usage>,
}

/// Looks at those of the containers that run.
pub fn sample(summaries: &[Summary]) -> Sample {
    let at = Instant::now();
    let all = proc::all();
    let mut by_namespace: HashMap<u64, Vec<&Stat>> = HashMap::new();
    for stat in &all {
        if let Some(namespace) = proc::pid_namespace(stat.pid) {
            by_namespace.entry(namespace).or_default().push(stat);
        }
    }
    let usages = summaries.iter().filter_map(|summary| {
        let Status::Running(alive) = &summary.status else { return None };
        let init = alive.init?;
        let namespace = proc::pid_namespace(init.pid).filter(|_| init.lives())?;
        let used = alive.kept.cgroup.as_ref().map(Cgroup::used).unwrap_or_default();
        let mut usage = Usage::default();
        // Without a group for it, or in one of a kernel that does not count.
        if used.cpu.is_none() || used.memory.is_none() || used.blocks.is_none() || used.tasks.is_none() {
            if summary.config.sharing.dies_as_one() {
                for stat in by_namespace.get(&namespace).into_iter().flatten() {
                    usage.add(stat);
                }
            } else {
                // Others are in its namespace, too.
                for stat in strays::members(&summary.config, init.pid) {
                    usage.add(&stat);
                }
            }
        }
        usage.cpu = used.cpu.unwrap_or(usage.cpu);
        usage.memory = used.memory.unwrap_or(usage.memory);
        (usage.read, usage.written) = used.blocks.unwrap_or((usage.read, usage.written));
        usage.tasks = used.tasks.unwrap_or(usage.tasks);
        if summary.config.network.is_private() {
            (usage.received, usage.sent) = traffic(init.pid);
        }
        Some((summary.config.id.clone(), usage))
    });
    Sample { at, usages: usages.collect() }
}

/// Returns the processes of a running container, as the host numbers them.
pub fn processes(store: &Store, dir: &ContainerDir) -> Result<Vec<i32>> {
    let status = must_run(dir)?;
    let Status::Running(alive) = status else { return Ok(Vec::new()) };
    let init = alive.init.map_or(0, |init| init.pid);
    let config = dir.config()?;
    let members = strays::members(&config, init);
    event::note(store, &config, "top", &[]);
    Ok(members.into_iter().map(|stat| stat.pid).collect())
}

impl Usage {
    fn add(&mut self, stat: &Stat) {
        self.cpu += stat.ticks * 1_000_000 / rustix::param::clock_ticks_per_second();
        self.tasks += stat.threads;
        self.memory += proportional(stat.pid).unwrap_or(stat.pages * rustix::param::page_size() as u64);
        let Ok(io) = fs::read_to_string(format!("/proc/{}/io", stat.pid)) else { return };
        self.read += field(&io, "read_bytes:");
        self.written += field(&io, "write_bytes:");
    }
}

/// Returns the memory of a process with its share of what several have, in bytes.
fn proportional(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(field(&text, "Pss:") * 1024)
}

/// Returns the number behind a word at the beginning of a line.
fn field(text: &str, name: &str) -> u64 {
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0)
}

/// Returns what all networks of a process have brought and taken, in bytes (proc_pid_net(5), `dev`).
fn traffic(pid: i32) -> (u64, u64) {
    parse_traffic(&fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default())
}

fn parse_traffic(text: &str) -> (u64, u64) {
    let (mut received, mut sent) = (0, 0);
    for line in text.lines().skip(2) {
        let Some((name, numbers)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let numbers: Vec<u64> = numbers.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        received += numbers.first().copied().unwrap_or(0);
        sent += numbers.get(8).copied().unwrap_or(0);
    }
    (received, sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_up_what_proc_tells() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n    \
                    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0: 100 1 0 0 0 0 0 0 50 1 0 0 0 0 0 0\n  \
                    eth1: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";
        assert_eq!(parse_traffic(text), (101, 52));
        assert_eq!(field("Rss: 10 kB\nPss:   7 kB\n", "Pss:"), 7);
        let own = proc::stat(i32::try_from(std::process::id()).unwrap()).unwrap();
        let mut usage = Usage::default();
        usage.add(&own);
        assert!(usage.memory > 1 << 20 && usage.tasks > 0);
    }
}
