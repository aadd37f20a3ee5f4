//! What a container leaves behind that is not the first of its pid namespace: its other processes.
//!
//! With a pid namespace of its own the kernel ends them all with the first one. Without, they are found by a
//! mount that only they have: the container's `/dev`, which bears its id. Only root of its user namespace could
//! take it away or make a second one. They are looked for until none is left, since they may go on to fork.

use std::fs;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Result, bail};

use super::config::ContainerConfig;
use crate::sys::proc::{self, Stat};
use crate::sys::process;

/// The source of the `/dev` of a container that shares its pid namespace.
pub(super) fn mark(id: &str) -> String {
    format!("coracle-{id}")
}

/// Returns all processes of a running container, whose first one is `init`.
pub(super) fn members(config: &ContainerConfig, init: i32) -> Vec<Stat> {
    let all = proc::all();
    if config.sharing.dies_as_one() {
        return proc::members(&all, init);
    }
    let mark = format!(" {} ", mark(&config.id));
    all.into_iter().filter(|stat| has_mark(stat.pid, &mark)).collect()
}

/// Kills every process of the container, and returns when none is left.
pub(super) fn kill(id: &str) -> Result<()> {
    let mark = format!(" {} ", mark(id));
    for _ in 0..500 {
        if !kill_once(&mark) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    bail!("end the processes of container {id}: they do not die")
}

/// Kills the processes that have the mark. Tells whether there were any.
fn kill_once(mark: &str) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    let mut found = false;
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if has_mark(pid, mark)
            && let Ok(pidfd) = process::pidfd_open(pid)
            // The number may have passed on to another one meanwhile.
            && has_mark(pid, mark)
        {
            found = true;
            // It may have ended by itself.
            let _ = process::send_signal(pidfd.as_fd(), libc::SIGKILL);
        }
    }
    found
}

/// Tells whether a process has the mark among its mounts. Those of strangers cannot be read.
fn has_mark(pid: i32, mark: &str) -> bool {
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    mounts.lines().any(|line| line.contains(mark))
}

#[cfg(test)]
mod tests {
    #[test]
    fn kills_nobody_without_the_mark() {
        super::kill("0123456789abcdef-no-container").unwrap();
    }
}
