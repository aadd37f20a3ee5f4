//! The processes of this machine that belong to one sandbox.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process that has to do with a sandbox, as it was when looked at.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command: String,
}

impl Process {
    pub(crate) fn kill(&self, signal: Signal) {
        // It may have ended by itself meanwhile: then there is nothing to be told.
        let _ = kill(Pid::from_raw(self.pid), signal);
    }
}

/// Returns every living process that names `marker`, a directory, in its arguments, environment, working
/// directory, open files or mounts.
pub(crate) fn related(marker: &Path) -> Vec<Process> {
    let marker = marker.to_str().unwrap();
    let me = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if pid.unsigned_abs() == me || is_dead(pid) || !names(&entry.path(), marker) {
            continue;
        }
        found.push(Process { pid, command: command_line(pid) });
    }
    found
}

/// Returns the command line of a process, or its short name in brackets.
pub(crate) fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if bytes.is_empty() {
        return format!("[{}]", fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim());
    }
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// Whether a process is gone, or is a zombie that its parent will collect.
pub(crate) fn is_dead(pid: i32) -> bool {
    status_field(pid, "State").is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// Returns one field of `/proc/<pid>/status`.
pub(crate) fn status_field(pid: i32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

fn names(process: &Path, marker: &str) -> bool {
    let in_file = |name: &str| {
        fs::read(process.join(name))
            .is_ok_and(|bytes| bytes.windows(marker.len()).any(|window| window == marker.as_bytes()))
    };
    let in_link = |path: &Path| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains(marker));
    in_file("cmdline")
        || in_file("environ")
        || in_link(&process.join("cwd"))
        || in_file("mountinfo")
        || fs::read_dir(process.join("fd")).is_ok_and(|fds| fds.flatten().any(|fd| in_link(&fd.path())))
}
