//! The launcher: the program that init becomes last, and that stays as the reaper with `--init`.
//!
//! `src/guest/launch.rs` says what it does and why; `build.rs` compiles it; its bytes are here. Init puts
//! them into a memfd before it enters the container, seals that, and executes it as its last act, with the
//! argument vector that [`launch_argv`] makes:
//!
//! ```text
//! "coracle-init"   MODE:STATUS-FD[:k]   PATH   argv of the program …
//! ```
//!
//! The environment passes through untouched. The status descriptor has to be open *across* that execution
//! (not close-on-exec); the launcher sets close-on-exec itself. Its reader then gets either four bytes, the
//! errno of the failed execve(2) as [`launch_errno`] reads them, or end of file: the program runs.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::RawFd;

/// The launcher, an executable of this machine's architecture without any dependency.
pub const LAUNCH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launch"));

/// What the launcher does with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchMode {
    /// Becomes it.
    Exec,
    /// Starts it as a child, forwards signals to it, and reaps: `--init`.
    Reap,
}

/// What happens to the launched program when the process dies that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentDeath {
    /// It is killed.
    Kills,
    /// It lives on.
    Spares,
}

/// The argument vector of the launcher: it runs the file `path` with the arguments `argv`, whose first is
/// what the program sees as its own name.
pub fn launch_argv(
    mode: LaunchMode,
    parent_death: ParentDeath,
    status_fd: RawFd,
    path: &CStr,
    argv: &[CString],
) -> Vec<CString> {
    let mode = match mode {
        LaunchMode::Exec => "exec",
        LaunchMode::Reap => "reap",
    };
    let suffix = match parent_death {
        ParentDeath::Kills => ":k",
        ParentDeath::Spares => "",
    };
    let order = CString::new(format!("{mode}:{status_fd}{suffix}")).expect("made of words and digits");
    let mut words = Vec::with_capacity(argv.len() + 3);
    words.extend([c"coracle-init".to_owned(), order, path.to_owned()]);
    words.extend_from_slice(argv);
    words
}

/// What was read from the status descriptor until its end: the reason why the program could not be
/// executed, or none if it runs.
pub fn launch_errno(status: &[u8]) -> Option<io::Error> {
    let errno = i32::from_ne_bytes(status.get(..4)?.try_into().ok()?);
    Some(io::Error::from_raw_os_error(errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, SealFlags};
    use rustix::process::{Pid, Signal, kill_process};
    use std::fs::File;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command, Output, Stdio};

    fn words(words: &[&str]) -> Vec<CString> {
        words.iter().map(|word| CString::new(*word).unwrap()).collect()
    }

    /// Starts the launcher from a sealed memfd, as init does. Standard error is the status descriptor.
    fn start(mode: LaunchMode, path: &CStr, argv: &[&str]) -> Child {
        let argv = launch_argv(mode, ParentDeath::Spares, 2, path, &words(argv));
        start_with(&argv.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>())
    }

    fn start_with(argv: &[&str]) -> Child {
        let memfd = rustix::fs::memfd_create("launch", MemfdFlags::ALLOW_SEALING).unwrap();
        let mut file = File::from(memfd);
        file.write_all(LAUNCH).unwrap();
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .arg0(argv[0])
            .args(&argv[1..])
            .env_clear()
            .env("SAID", "passed on")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(mode: LaunchMode, path: &CStr, argv: &[&str]) -> Output {
        start(mode, path, argv).wait_with_output().unwrap()
    }

    #[test]
    fn argv_carries_the_order_and_leaves_the_rest_alone() {
        let argv = words(&["sh", "-c", "a b"]);
        let made = launch_argv(LaunchMode::Reap, ParentDeath::Kills, 12, c"/bin/sh", &argv);
        assert_eq!(made, words(&["coracle-init", "reap:12:k", "/bin/sh", "sh", "-c", "a b"]));
        let made = launch_argv(LaunchMode::Exec, ParentDeath::Spares, 3, c"/bin/sh", &argv[..1]);
        assert_eq!(made, words(&["coracle-init", "exec:3", "/bin/sh", "sh"]));
    }

    #[test]
    fn status_is_an_errno_or_nothing() {
        assert!(launch_errno(b"").is_none());
        let error = launch_errno(&13_i32.to_ne_bytes()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn both_modes_pass_arguments_environment_and_exit_code() {
        for mode in [LaunchMode::Exec, LaunchMode::Reap] {
            let script = "echo \"$0|$1|$SAID\"; exit 7";
            let output = run(mode, c"/bin/sh", &["odd name", "-c", script, "zero", "one"]);
            assert_eq!(String::from_utf8_lossy(&output.stdout), "zero|one|passed on\n");
            assert_eq!(output.status.code(), Some(7));
            assert!(launch_errno(&output.stderr).is_none(), "{mode:?}");
        }
    }

    #[test]
    fn the_program_is_not_the_launcher() {
        let output = run(LaunchMode::Exec, c"/bin/readlink", &["readlink", "/proc/self/exe"]);
        assert!(String::from_utf8_lossy(&output.stdout).trim().ends_with("/readlink"));
    }

    #[test]
    fn failure_to_execute_is_reported_by_errno_and_code() {
        for mode in [LaunchMode::Exec, LaunchMode::Reap] {
            for (path, kind, code) in [
                (c"/nonexistent/program", io::ErrorKind::NotFound, 127),
                (c"/etc/passwd/program", io::ErrorKind::NotADirectory, 127),
                (c"/etc/passwd", io::ErrorKind::PermissionDenied, 126),
            ] {
                let output = run(mode, path, &["program"]);
                assert_eq!(launch_errno(&output.stderr).unwrap().kind(), kind, "{mode:?} {path:?}");
                assert_eq!(output.status.code(), Some(code));
            }
        }
    }

    #[test]
    fn death_by_signal_is_told_as_128_and_the_number() {
        let output = run(LaunchMode::Reap, c"/bin/sh", &["sh", "-c", "kill -KILL $$"]);
        assert_eq!(output.status.code(), Some(128 + 9));
        let output = run(LaunchMode::Exec, c"/bin/sh", &["sh", "-c", "kill -KILL $$"]);
        assert_eq!(output.status.signal(), Some(9));
    }

    #[test]
    fn signals_reach_the_program() {
        let script = "trap 'exit 5' USR1; trap 'echo winch' WINCH; echo ready; while :; do sleep 0.05; done";
        let mut child = start(LaunchMode::Reap, c"/bin/sh", &["sh", "-c", script]);
        let pid = Pid::from_child(&child);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill_process(pid, Signal::WINCH).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "winch");
        kill_process(pid, Signal::USR1).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(5));
    }

    #[test]
    fn orphans_are_reaped_and_the_group_is_the_programs_own() {
        // The orphan ends while the program still runs; afterwards the reaper has one child left.
        let script = "(sleep 0.05 & :); sleep 0.3; \
                      read -r _ _ _ parent group _ < /proc/$$/stat; \
                      read -r children < /proc/$parent/task/$parent/children; \
                      [ \"$children\" = $$ ] || [ \"$children\" = \"$$ \" ] || echo \"left: $children\"; \
                      [ $group = $$ ] || echo \"group: $group\"; read -r comm < /proc/$parent/comm; echo $comm";
        let output = run(LaunchMode::Reap, c"/bin/sh", &["sh", "-c", script]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "coracle-init\n");
    }

    #[test]
    fn nonsense_is_refused() {
        for argv in [
            &["coracle-init"][..],
            &["coracle-init", "exec:2"],
            &["coracle-init", "exec:2", "/bin/true"],
            &["coracle-init", "exec:", "/bin/true", "true"],
            &["coracle-init", "exec:2:q", "/bin/true", "true"],
            &["coracle-init", "exec:99999999999", "/bin/true", "true"],
            &["coracle-init", "other:2", "/bin/true", "true"],
            &["/proc/self/exe", "/script"],
        ] {
            let output = start_with(argv).wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(125), "{argv:?}");
        }
    }

    #[test]
    fn the_launcher_is_small_and_has_no_interpreter() {
        assert!(LAUNCH.len() < 8192, "{} bytes", LAUNCH.len());
        assert_eq!(&LAUNCH[..4], b"\x7fELF");
        assert!(!LAUNCH.windows(3).any(|window| window == b"ld-"));
    }
}
