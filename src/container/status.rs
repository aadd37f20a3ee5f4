//! What a container is doing: observed, never remembered.
//!
//! A supervisor holds `alive.lock` as long as it lives, and the kernel releases it whatever kills the
//! supervisor. So a held lock means that it runs, and a free lock with `alive.json` beside it means that a
//! supervisor died without a word: *lost*. Whoever sees that mends it ([`mend`]).

use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::dir::{Alive, ContainerDir, ExitRecord, boot_id, now};
use super::event;
use super::strays;
use crate::sys;

/// What a container is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It was never started, or could not be: then the record says why.
    Created(Option<ExitRecord>),
    /// Its process runs.
    Running(Alive),
    /// Its process has ended and is to be started again.
    Restarting(Alive),
    /// Its process has ended.
    Exited(ExitRecord),
    /// Its supervisor was killed, or the machine went down. Nobody has mended it yet.
    Lost(Alive),
}

impl Status {
    /// Returns Docker's word: `created`, `running`, `paused`, `restarting`, `exited`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Running(alive) if alive.paused => "paused",
            Self::Running(_) => "running",
            Self::Restarting(_) => "restarting",
            Self::Exited(_) | Self::Lost(_) => "exited",
        }
    }

    /// Tells whether its processes are stopped.
    pub fn is_paused(&self) -> bool {
        matches!(self, Self::Running(alive) if alive.paused)
    }

    /// Tells whether a supervisor is at work.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Restarting(_))
    }
}

/// Asks the kernel what the container is doing. Takes no lock.
pub fn observe(dir: &ContainerDir) -> Result<Status> {
    for _ in 0..64 {
        let Some(alive) = dir.has_supervisor()? else { return Ok(Status::Created(None)) };
        if alive {
            if let Some(alive) = dir.alive()? {
                let running = alive.init.is_some();
                return Ok(if running {
                    Status::Running(alive)
                } else if alive.last.is_some() {
                    Status::Restarting(alive)
                } else {
                    Status::Created(None)
                });
            }
            // Between taking the lock and the first word, or between the last word and letting go.
            if dir.exit_record()?.is_none() {
                return Ok(Status::Created(None));
            }
        }
        let alive = dir.alive()?;
        let record = dir.exit_record()?;
        // What was read holds only if no supervisor has come or gone meanwhile.
        if alive.is_some() && dir.is_alive()? {
            continue;
        }
        return Ok(match (alive, record) {
            (Some(alive), _) => Status::Lost(alive),
            (None, Some(record)) if record.started.is_empty() => Status::Created(Some(record)),
            (None, Some(record)) => Status::Exited(record),
            (None, None) => Status::Created(None),
        });
    }
    anyhow::bail!("look at container {}: it starts and stops without rest", dir.short_id())
}

/// Observes the container, and mends it if its supervisor was lost.
pub fn observe_and_mend(dir: &ContainerDir) -> Result<Status> {
    match observe(dir)? {
        Status::Lost(_) => mend(dir),
        status => Ok(status),
    }
}

/// Puts right what a killed supervisor left: kills the container's process if it has outlived its
/// supervisor, and writes the exit record. A container that was to be removed is left to the caller, who
/// sees an exited one; [`super::remove`] does the rest.
fn mend(dir: &ContainerDir) -> Result<Status> {
    let _lock = dir.lock()?;
    let Some(held) = dir.take_alive()? else { return observe(dir) };
    let Some(alive) = dir.alive()? else {
        drop(held);
        return observe(dir);
    };
    let this_boot = alive.boot == boot_id();
    if this_boot && let Some(init) = alive.init.filter(super::dir::ProcessMark::lives) {
        kill_orphan(init)
            .with_context(|| format!("end the process {} of container {}", init.pid, dir.short_id()))?;
    }
    if this_boot && let Some(cgroup) = &alive.kept.cgroup {
        cgroup.remove();
    }
    if this_boot && dir.config().is_ok_and(|config| !config.sharing.dies_as_one()) {
        strays::kill(dir.id())?;
    }
    let record = ExitRecord {
        started: alive.started,
        finished: now(),
        // As dockerd records a container that it finds dead: 255; 137 where its process was killed.
        code: if this_boot { 137 } else { 255 },
        error: if this_boot {
            "its supervisor was killed".to_owned()
        } else {
            "the machine went down while it ran".to_owned()
        },
        restarts: alive.restarts,
        ..ExitRecord::default()
    };
    dir.put_exit_record(&record)?;
    dir.clear_alive()?;
    if let Ok(Some(config)) = dir.try_config() {
        let code = record.code.to_string();
        event::note(dir.store(), &config, "die", &[("exitCode", code)]);
    }
    drop(held);
    Ok(Status::Exited(record))
}

/// Kills a process that has lost its supervisor, by a handle that cannot come to mean another.
fn kill_orphan(init: super::dir::ProcessMark) -> std::io::Result<()> {
    let pidfd = match sys::process::pidfd_open(init.pid) {
        Ok(pidfd) => pidfd,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
        Err(error) => return Err(error),
    };
    if !init.lives() {
        return Ok(());
    }
    match sys::process::send_signal(pidfd.as_fd(), Signal::SIGKILL as i32) {
        Ok(()) => {
            let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
            poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience))?;
            Ok(())
        }
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        Err(error) => Err(error),
    }
}
