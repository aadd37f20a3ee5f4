//! Stopping all processes of a container, and letting them go on: by their control group, or with signals alone.
//!
//! A process to which SIGSTOP is on its way cannot fork any more (fork(2) is restarted after the signal), so
//! what a look at all processes has not found was made before the last of them was stopped, and the next look
//! finds it. When a look finds nobody running, nobody can be.
//!
//! Those that were stopped before, by job control, stay so afterwards.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::config::ContainerConfig;
use super::dir::ProcessMark;
use super::strays;
use crate::runtime::Cgroup;
use crate::sys::proc::Stat;
use crate::sys::process;

/// How often one looks before it is given up: a program that is quicker than that makes processes without end.
const LOOKS: usize = 200;

/// The processes that are stopped.
#[derive(Debug)]
pub(super) enum Frozen {
    /// All in a control group.
    Cgroup(Cgroup),
    /// These, with signals.
    Signals(Vec<ProcessMark>),
}

impl Frozen {
    /// Stops all processes of the container whose first one is `init`.
    pub(super) fn freeze(config: &ContainerConfig, init: i32) -> io::Result<Self> {
        let mut stopped = Vec::new();
        for _ in 0..LOOKS {
            let members = strays::members(config, init);
            let mut moving = false;
            for stat in members.iter().filter(|stat| runs(stat)) {
                let mark = ProcessMark { pid: stat.pid, start: stat.start };
                if !stopped.contains(&mark) {
                    send(mark, Signal::SIGSTOP);
                    stopped.push(mark);
                    moving = true;
                } else if !matches!(stat.state, 'D' | 'Z') {
                    // The signal is on its way. One that waits for a disk obeys when that has answered, and of
                    // one whose first thread has ended there is no more to be seen.
                    moving = true;
                }
            }
            if !moving {
                return Ok(Self::Signals(stopped));
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        resume(stopped);
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }

    /// Lets them go on.
    pub(super) fn thaw(self) {
        match self {
            Self::Cgroup(cgroup) => {
                if let Err(error) = cgroup.freeze(false) {
                    eprintln!("supervisor: {error:#}");
                }
            }
            Self::Signals(stopped) => resume(stopped),
        }
    }
}

fn resume(stopped: Vec<ProcessMark>) {
    for mark in stopped {
        send(mark, Signal::SIGCONT);
    }
}

/// Tells whether a process may do something: it is neither stopped nor over with all its threads.
fn runs(stat: &Stat) -> bool {
    !matches!(stat.state, 'T' | 't' | 'X') && (stat.state != 'Z' || stat.threads > 1)
}

/// Sends a signal to that very process. The only failure is that it has ended.
fn send(mark: ProcessMark, signal: Signal) {
    let Ok(pidfd) = process::pidfd_open(mark.pid) else { return };
    if mark.lives() {
        let _ = process::send_signal(pidfd.as_fd(), signal as i32);
    }
}
