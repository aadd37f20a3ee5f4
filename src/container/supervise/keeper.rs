//! Keeps a container within its limits while it runs: by its control group, or in the place of one.
//!
//! Where no memory controller is delegated, somebody has to look. The tree of processes is walked ten times a
//! second from those that are known, and all processes of the machine are looked at once a second for those that
//! have come in by `exec`. What counts is what cannot be taken back without writing it somewhere: anonymous and
//! shared memory. The largest process is killed, as the kernel does it.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::container::config::ContainerConfig;
use crate::container::freeze::Frozen;
use crate::container::limits::Kept;
use crate::container::strays;
use crate::runtime::cgroup::{self, Cgroup, Coming, Delegation, Driver, Instead};
use crate::sys::{proc, process};

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How many looks there are to one at all processes.
const LOOKS: u32 = 10;

/// What keeps a container within its limits.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// What is in force.
    pub(super) kept: Kept,
    /// Tells of memory that ran out.
    events: Option<OwnedFd>,
    /// How often that has killed a process in this run.
    kills: u64,
    watch: Option<Watch>,
}

/// A control group that is on its way.
#[derive(Debug)]
pub(super) enum Pending {
    /// None is wanted, or none is to be had.
    Nothing,
    /// That of the last run.
    Again(Cgroup),
    /// A new one.
    Coming(Coming),
}

impl Keeper {
    /// Begins to see to a process that waits to be let go.
    pub(super) fn begin(&mut self, config: &ContainerConfig, pid: i32) -> Result<Pending> {
        if let Some(cgroup) = &self.kept.cgroup {
            return Ok(Pending::Again(cgroup.clone()));
        }
        if !config.limits.any() && config.cgroup_parent.is_empty() {
            return Ok(Pending::Nothing);
        }
        let delegation = cgroup::observe();
        if delegation.driver == Driver::None {
            return Ok(Pending::Nothing);
        }
        let coming = delegation.begin(&config.id, &config.cgroup_parent, &[pid]);
        Ok(Pending::Coming(coming.context("set up the control group")?))
    }

    /// Ends what [`Self::begin`] has begun. From now on the process is within its limits.
    pub(super) fn settle(&mut self, pending: Pending, config: &ContainerConfig, pid: i32) -> Result<()> {
        let limits = &config.limits;
        match pending {
            Pending::Nothing => {}
            Pending::Again(cgroup) => cgroup.again(limits, pid).context("set up the control group")?,
            Pending::Coming(coming) => {
                self.kept.cgroup = Some(coming.finish(limits).context("set up the control group")?);
            }
        }
        self.kills = 0;
        self.watch_group();
        self.plan(config);
        if !self.kept.instead.is_idle() {
            self.kept.instead.apply(Some(pid)).context("set the limits of the process")?;
        }
        Ok(())
    }

    fn watch_group(&mut self) {
        self.events = self.kept.cgroup.as_ref().and_then(Cgroup::memory_events);
        // What is there already is no news.
        let _ = self.events.as_ref().map(cgroup::out_of_memory);
    }

    /// Decides what is to be done for limits that have no controller.
    fn plan(&mut self, config: &ContainerConfig) {
        let controllers = self.kept.cgroup.as_ref().map(Cgroup::controllers).unwrap_or_default();
        self.kept.instead = Instead::plan(&config.limits, controllers, &config.id);
        let instead = &mut self.kept.instead;
        if instead.processes.is_some() && config.ulimits.iter().any(|limit| limit.name == "nproc") {
            // It is the same limit of the kernel.
            instead.processes = None;
            instead.notes.push("--pids-limit: --ulimit nproc counts in its place".to_owned());
        }
        self.watch = instead.memory.map(Watch::new);
    }

    /// Sets the limits of a running container, whose first process is `init`, after they have changed.
    pub(super) fn update(&mut self, config: &ContainerConfig, init: i32) -> Result<()> {
        if let Some(cgroup) = &self.kept.cgroup {
            cgroup.limit(&config.limits).context("change the limits")?;
        } else if config.limits.any() {
            self.place(config, init)?;
        }
        self.plan(config);
        if !self.kept.instead.is_idle() {
            for pid in members(config, init) {
                match self.kept.instead.apply(Some(pid)) {
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    result => result.context(
                        "change the limits of the processes: without a delegated control group, they can be \
                         raised at the next start",
                    )?,
                }
            }
        }
        Ok(())
    }

    /// Puts a container that runs without a control group into one, if there can be any.
    fn place(&mut self, config: &ContainerConfig, init: i32) -> Result<()> {
        let delegation: Delegation = cgroup::observe();
        if delegation.driver == Driver::None {
            return Ok(());
        }
        let place = || {
            // The first process alone: of the others, some may have ended before they are moved.
            let cgroup =
                delegation.begin(&config.id, &config.cgroup_parent, &[init])?.finish(&config.limits)?;
            // Who is in has children who are, so the others become fewer.
            for _ in 0..100 {
                let outside: Vec<i32> = members(config, init)
                    .into_iter()
                    .filter(|pid| !cgroup.holds(*pid) && is_there(*pid))
                    .collect();
                if outside.is_empty() {
                    return anyhow::Ok(cgroup);
                }
                for pid in outside {
                    match cgroup.add(&[pid]) {
                        Err(error) if is_there(pid) => return Err(error),
                        _ => {}
                    }
                }
            }
            anyhow::bail!("it makes processes faster than they can be moved")
        };
        self.kept.cgroup = Some(place().context("set up a control group")?);
        self.watch_group();
        Ok(())
    }

    /// Stops all processes: by their control group, which is made if need be and nothing else comes of it, else with
    /// signals.
    pub(super) fn freeze(&mut self, config: &ContainerConfig, init: i32) -> Result<Frozen> {
        if self.kept.cgroup.is_none()
            && cgroup::observe().driver.keeps_lifetime()
            && let Err(error) = self.place(config, init)
        {
            eprintln!("supervisor: {error:#}");
        }
        match &self.kept.cgroup {
            Some(cgroup) => {
                cgroup.freeze(true)?;
                Ok(Frozen::Cgroup(cgroup.clone()))
            }
            None => Frozen::freeze(config, init).context("stop the processes"),
        }
    }

    /// Returns what becomes ready for `PRI` when memory has run out.
    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().map(AsFd::as_fd)
    }

    /// Returns when somebody has to look.
    pub(super) fn due(&self) -> Option<Instant> {
        self.watch.as_ref().map(|watch| watch.next)
    }

    /// Looks, and returns how many processes have been killed for want of memory since the last time.
    pub(super) fn look(&mut self, config: &ContainerConfig, init: i32) -> u64 {
        let mut kills = 0;
        if let Some(events) = &self.events {
            let all = cgroup::out_of_memory(events);
            kills += all.saturating_sub(self.kills);
        }
        if let Some(watch) = self.watch.as_mut().filter(|watch| watch.next <= Instant::now())
            && watch.look(config, init)
        {
            kills += 1;
        }
        self.kills += kills;
        kills
    }

    /// Tells whether a process of the present run was killed for want of memory, or of the last one.
    pub(super) fn out_of_memory(&self) -> bool {
        self.kills > 0
    }

    /// The run is over: what is left of it goes.
    pub(super) fn end(&mut self) {
        self.events = None;
        self.watch = None;
        if let Some(cgroup) = &self.kept.cgroup {
            cgroup.remove();
        }
    }
}

/// Returns the processes of a container whose first one is `init`.
fn members(config: &ContainerConfig, init: i32) -> Vec<i32> {
    strays::members(config, init).into_iter().map(|stat| stat.pid).collect()
}

fn is_there(pid: i32) -> bool {
    proc::stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Looks at the memory of a container's processes.
#[derive(Debug)]
struct Watch {
    limit: u64,
    next: Instant,
    looks: u32,
    known: Vec<i32>,
}

impl Watch {
    fn new(limit: u64) -> Self {
        Self { limit, next: Instant::now() + LOOK, looks: 0, known: Vec::new() }
    }

    /// Looks once. Tells whether a process was killed.
    fn look(&mut self, config: &ContainerConfig, init: i32) -> bool {
        self.next = Instant::now() + LOOK;
        self.known = if self.looks.is_multiple_of(LOOKS) || self.known.is_empty() {
            members(config, init)
        } else {
            proc::descendants(&self.known)
        };
        self.looks += 1;
        // Cheap, and never too little.
        let page = rustix::param::page_size() as u64;
        let most: u64 = self.known.iter().filter_map(|pid| resident(*pid)).sum();
        if most * page <= self.limit {
            return false;
        }
        let sizes: Vec<(u64, i32)> =
            self.known.iter().filter_map(|pid| Some((kept(*pid, page)?, *pid))).collect();
        if sizes.iter().map(|(size, _)| size).sum::<u64>() <= self.limit {
            return false;
        }
        let Some((_, largest)) = sizes.into_iter().max() else { return false };
        let Ok(pidfd) = process::pidfd_open(largest) else { return false };
        // The number may have passed on to another process meanwhile.
        let is_member = members(config, init).contains(&largest);
        is_member && process::send_signal(pidfd.as_fd(), libc::SIGKILL).is_ok()
    }
}

/// Returns the pages that a process has in memory.
fn resident(pid: i32) -> Option<u64> {
    fs::read_to_string(format!("/proc/{pid}/statm")).ok()?.split(' ').nth(1)?.parse().ok()
}

/// Returns the memory of a process that cannot simply be dropped, with its share of what several have.
fn kept(pid: i32, page: u64) -> Option<u64> {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
        return Some(resident(pid)? * page);
    };
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok())
    };
    Some(match (field("Pss_Anon:"), field("Pss_Shmem:")) {
        (Some(anonymous), Some(shared)) => (anonymous + shared) * 1024,
        // Before Linux 5.4.
        _ => field("Pss:")? * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_a_process_keeps() {
        let own = i32::try_from(std::process::id()).unwrap();
        let page = rustix::param::page_size() as u64;
        let before = kept(own, page).unwrap();
        let block = vec![1_u8; 32 << 20];
        let after = kept(own, page).unwrap();
        assert!(after >= before + (24 << 20), "{before} {after} {}", block.len());
        assert!(resident(own).unwrap() * page >= 32 << 20);
    }
}
