//! What is done for limits whose controller nobody has delegated: the nearest thing that the kernel lets anybody do
//! to his own processes.

use std::io;

use rustix::process::{Pid, Resource, Rlimit, getpriority_process, prlimit, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::limits::{Controllers, Limits, parse_list};

/// What is done for a container's limits in the place of a cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instead {
    /// The bytes of memory above which somebody who looks has to kill.
    pub memory: Option<u64>,
    /// The most processes and threads of one user in the container.
    pub processes: Option<u64>,
    /// The processors to stay on.
    pub cpus: Option<Vec<usize>>,
    /// How far to stand back behind others (nice(2)).
    pub nice: Option<i32>,
    /// A sentence for each limit that is not kept by the kernel's controller.
    pub notes: Vec<String>,
}

impl Instead {
    /// Decides what to do for limits without a controller. `seed` spreads containers over the processors.
    pub fn plan(limits: &Limits, has: Controllers, seed: &str) -> Self {
        let own: Vec<usize> = sched_getaffinity(None)
            .map(|set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
            .unwrap_or_default();
        let start = seed.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Self::plan_on(limits, has, &own, start)
    }

    fn plan_on(limits: &Limits, has: Controllers, own: &[usize], start: usize) -> Self {
        let mut this = Self::default();
        if !has.memory {
            this.plan_memory(limits);
        }
        if !has.pids
            && let Some(pids) = limits.pids.and_then(|pids| u64::try_from(pids).ok()).filter(|pids| *pids > 0)
        {
            this.processes = Some(pids);
            this.note("--pids-limit", "kept for each user of the container by itself (RLIMIT_NPROC)");
        }
        let chosen = parse_list(&limits.cpuset_cpus).filter(|list| !list.is_empty());
        let mut room = own.to_vec();
        if !has.cpuset
            && let Some(list) = chosen
        {
            room.retain(|cpu| list.contains(cpu));
            this.cpus = Some(room.clone());
            this.note("--cpuset-cpus", "set as the affinity of its processes, which may change it");
        }
        if !has.cpuset && !limits.cpuset_mems.is_empty() && limits.cpuset_mems != "0" {
            this.note("--cpuset-mems", "discarded");
        }
        if !has.cpu {
            this.plan_cpu(limits, &room, start);
        }
        if !has.io {
            if limits.blkio_weight > 0 || !limits.blkio_weight_device.is_empty() {
                this.note("--blkio-weight", "discarded");
            }
            if limits.limits_rates() {
                this.note("--device-read-bps and its like", "discarded");
            }
        }
        this
    }

    fn plan_memory(&mut self, limits: &Limits) {
        if let Some(memory) = u64::try_from(limits.memory).ok().filter(|memory| *memory > 0) {
            self.memory = Some(memory);
            self.note(
                "--memory",
                "kept by looking ten times a second, and killing the largest process when they have more; \
                 --memory-swap is discarded",
            );
        }
        if limits.memory_reservation > 0 {
            self.note("--memory-reservation", "discarded");
        }
    }

    fn plan_cpu(&mut self, limits: &Limits, room: &[usize], start: usize) {
        let share = if limits.nano_cpus > 0 {
            Some((limits.nano_cpus, 1_000_000_000))
        } else {
            let period = if limits.cpu_period > 0 { limits.cpu_period } else { 100_000 };
            Some((limits.cpu_quota, period)).filter(|(quota, _)| *quota > 0)
        };
        if let Some((part, whole)) = share {
            let wanted = usize::try_from((part + whole - 1) / whole).unwrap_or(usize::MAX).max(1);
            if wanted < room.len() {
                let cpus =
                    (0..wanted).map(|at| room[(start % room.len() + at) % room.len()]).collect::<Vec<_>>();
                let text = format!("kept to {wanted} of {} processors by affinity", room.len());
                self.cpus = Some(cpus);
                self.note("--cpus", &text);
            } else {
                self.note("--cpus", "discarded: it is below what whole processors can be divided into");
            }
        }
        if limits.cpu_shares > 0 {
            let nice = nice(limits.cpu_shares);
            if nice > 0 {
                self.nice = Some(nice);
                self.note("--cpu-shares", &format!("set as nice {nice} of its processes"));
            } else if limits.cpu_shares > 1024 {
                self.note("--cpu-shares", "discarded: more than the default share cannot be had");
            }
        }
    }

    fn note(&mut self, flag: &str, what: &str) {
        self.notes.push(format!("{flag}: {what}"));
    }

    /// Tells whether there is nothing to do to processes.
    pub fn is_idle(&self) -> bool {
        self.processes.is_none() && self.cpus.is_none() && self.nice.is_none()
    }

    /// Does it to a process, and so to those that it makes; `None`: to this one.
    pub fn apply(&self, pid: Option<i32>) -> io::Result<()> {
        let pid = pid.and_then(Pid::from_raw);
        if let Some(cpus) = self.cpus.as_deref().filter(|cpus| !cpus.is_empty()) {
            let mut set = CpuSet::new();
            cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| set.set(*cpu));
            sched_setaffinity(pid, &set)?;
        }
        // One that is further back stays there: nobody may come forward.
        if let Some(nice) = self.nice
            && getpriority_process(pid)? < nice
        {
            setpriority_process(pid, nice)?;
        }
        if let Some(processes) = self.processes {
            let limit = Rlimit { current: Some(processes), maximum: Some(processes) };
            prlimit(pid, Resource::Nproc, limit)?;
        }
        Ok(())
    }
}

/// Returns the nice value whose weight comes nearest to that many shares: each step is a factor of 1.25.
fn nice(shares: i64) -> i32 {
    let shares = f64::from(i32::try_from(shares).unwrap_or(i32::MAX).max(2));
    #[allow(clippy::cast_possible_truncation, reason = "it is from -100 to 30")]
    let nice = ((1024.0 / shares).ln() / 1.25_f64.ln()).round() as i32;
    nice.clamp(0, 19)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Controllers =
        Controllers { cpu: false, cpuset: false, io: false, memory: false, pids: false };

    fn plan(limits: &Limits, has: Controllers) -> Instead {
        Instead::plan_on(limits, has, &[0, 1, 2, 3], 6)
    }

    #[test]
    fn does_the_nearest_thing() {
        let limits = Limits {
            memory: 64 << 20,
            pids: Some(20),
            nano_cpus: 1_500_000_000,
            cpu_shares: 512,
            cpuset_cpus: "1-3".into(),
            blkio_weight: 300,
            ..Limits::default()
        };
        let instead = plan(&limits, NONE);
        assert_eq!((instead.memory, instead.processes, instead.nice), (Some(64 << 20), Some(20), Some(3)));
        assert_eq!(instead.cpus, Some(vec![1, 2]));
        assert_eq!(instead.notes.len(), 6, "{:?}", instead.notes);
        let all = Controllers { cpu: true, cpuset: true, io: true, memory: true, pids: true };
        assert_eq!(plan(&limits, all), Instead::default());
        assert_eq!(plan(&Limits::default(), NONE), Instead::default());
        let no_set = Controllers { cpuset: false, ..all };
        assert_eq!(plan(&limits, no_set).cpus, Some(vec![1, 2, 3]));
    }

    #[test]
    fn says_what_cannot_be_done() {
        let little = Instead::plan_on(&Limits { nano_cpus: 500_000_000, ..Limits::default() }, NONE, &[0], 0);
        assert_eq!(little.cpus, None);
        assert!(little.notes[0].starts_with("--cpus: discarded"), "{:?}", little.notes);
        let more = plan(&Limits { cpu_shares: 2048, ..Limits::default() }, NONE);
        assert_eq!((more.nice, more.notes.len()), (None, 1));
        assert_eq!([nice(2), nice(512), nice(1024), nice(4096)], [19, 3, 0, 0]);
        let free = plan(&Limits { pids: Some(-1), cpu_quota: -1, ..Limits::default() }, NONE);
        assert_eq!(free, Instead::default());
    }
}
