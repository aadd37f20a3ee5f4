//! What a container may use, and what the kernel's files take for it (cgroup v2).

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a container may use, in Docker's words and units. What is zero, empty or `None` has no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory, in bytes.
    pub memory: i64,
    /// Memory and swap together, in bytes; -1: as much swap as there is.
    pub memory_swap: i64,
    /// Memory that is left to it when others are short of some, in bytes.
    pub memory_reservation: i64,
    /// How soon its memory goes to swap. The kernel has no such limit any more.
    pub memory_swappiness: Option<i64>,
    /// Whether it waits for memory instead of being killed. The kernel has no such limit any more.
    pub oom_kill_disable: Option<bool>,
    /// Processes and threads; -1: any number.
    pub pids: Option<i64>,
    /// Processors, in billionths.
    pub nano_cpus: i64,
    /// The period of `cpu_quota`, in microseconds.
    pub cpu_period: i64,
    /// Processor time in each period, in microseconds; -1: any.
    pub cpu_quota: i64,
    /// Its share of processors that several want; 1024 is what those without a limit have.
    pub cpu_shares: i64,
    /// The processors that it may use: `0-2,4`.
    pub cpuset_cpus: String,
    /// The memory nodes that it may use, likewise.
    pub cpuset_mems: String,
    /// Its share of disks that several want: 10 to 1000.
    pub blkio_weight: u16,
    /// The same for single disks.
    pub blkio_weight_device: Vec<DeviceRate>,
    /// Bytes a second that it may read from a disk.
    pub device_read_bps: Vec<DeviceRate>,
    /// Bytes a second that it may write to a disk.
    pub device_write_bps: Vec<DeviceRate>,
    /// Requests a second that it may read with.
    pub device_read_iops: Vec<DeviceRate>,
    /// Requests a second that it may write with.
    pub device_write_iops: Vec<DeviceRate>,
}

/// A number for one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// The disk's device node.
    pub path: String,
    /// The number.
    pub rate: u64,
}

/// The kernel's controllers that are to be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Controllers {
    /// Processor time.
    pub cpu: bool,
    /// The choice of processors.
    pub cpuset: bool,
    /// Disks.
    pub io: bool,
    /// Memory.
    pub memory: bool,
    /// Processes.
    pub pids: bool,
}

impl Controllers {
    /// Reads the text of a file `cgroup.controllers`.
    pub fn parse(text: &str) -> Self {
        let has = |name| text.split_ascii_whitespace().any(|word| word == name);
        Self {
            cpu: has("cpu"),
            cpuset: has("cpuset"),
            io: has("io"),
            memory: has("memory"),
            pids: has("pids"),
        }
    }
}

impl Limits {
    /// Tells whether there is a limit of processor time.
    pub fn limits_cpu_time(&self) -> bool {
        self.nano_cpus > 0 || self.cpu_quota > 0
    }

    /// Tells whether there is a limit of disks' rates.
    pub fn limits_rates(&self) -> bool {
        let rates =
            [&self.device_read_bps, &self.device_write_bps, &self.device_read_iops, &self.device_write_iops];
        rates.iter().any(|rates| !rates.is_empty())
    }

    /// Tells whether a cgroup is of use: whether there is a limit that the kernel has.
    pub fn any(&self) -> bool {
        self.memory > 0
            || self.memory_reservation > 0
            || self.memory_swap != 0
            || self.pids.is_some_and(|pids| pids > 0)
            || self.limits_cpu_time()
            || self.cpu_shares > 0
            || !self.cpuset_cpus.is_empty()
            || !self.cpuset_mems.is_empty()
            || self.blkio_weight > 0
            || !self.blkio_weight_device.is_empty()
            || self.limits_rates()
    }

    /// Decides what is written to which file of the container's cgroup. A file may stand there more than once.
    pub(super) fn files(&self, has: Controllers) -> Result<Vec<(&'static str, String)>> {
        let mut files = Vec::new();
        let mut put = |name, value: String| files.push((name, value));
        if has.memory {
            // Less first: the kernel takes any order.
            if self.memory_reservation > 0 {
                put("memory.low", self.memory_reservation.to_string());
            }
            if let Some(swap) = swap(self.memory, self.memory_swap) {
                put("memory.swap.max", swap);
            }
            if self.memory > 0 {
                put("memory.max", self.memory.to_string());
            }
        }
        if has.pids
            && let Some(pids) = self.pids.filter(|pids| *pids != 0)
        {
            put("pids.max", if pids < 0 { "max".to_owned() } else { pids.to_string() });
        }
        if has.cpu {
            if let Some(bandwidth) = bandwidth(self) {
                put("cpu.max", bandwidth);
            }
            if self.cpu_shares > 0 {
                put("cpu.weight", weight_of_shares(self.cpu_shares).to_string());
            }
        }
        if has.cpuset {
            if !self.cpuset_cpus.is_empty() {
                put("cpuset.cpus", self.cpuset_cpus.clone());
            }
            if !self.cpuset_mems.is_empty() {
                put("cpuset.mems", self.cpuset_mems.clone());
            }
        }
        if has.io {
            if self.blkio_weight > 0 {
                put("io.weight", format!("default {}", weight_of_blkio(self.blkio_weight.into())));
            }
            for device in &self.blkio_weight_device {
                put("io.weight", format!("{} {}", device.number()?, weight_of_blkio(device.rate)));
            }
            for (devices, word) in [
                (&self.device_read_bps, "rbps"),
                (&self.device_write_bps, "wbps"),
                (&self.device_read_iops, "riops"),
                (&self.device_write_iops, "wiops"),
            ] {
                for device in devices {
                    let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
                    put("io.max", format!("{} {word}={rate}", device.number()?));
                }
            }
        }
        Ok(files)
    }
}

impl DeviceRate {
    /// Returns the disk's number, as the kernel's files want it.
    fn number(&self) -> Result<String> {
        let meta = fs::metadata(&self.path).with_context(|| format!("look at device {}", self.path))?;
        let number = meta.rdev();
        Ok(format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number)))
    }
}

/// Returns the limit of swap alone: Docker's is that of memory and swap.
fn swap(memory: i64, both: i64) -> Option<String> {
    match both {
        0 => None,
        ..0 => Some("max".to_owned()),
        both if memory > 0 => Some((both - memory).max(0).to_string()),
        _ => None,
    }
}

/// Returns the quota and its period.
fn bandwidth(limits: &Limits) -> Option<String> {
    const PERIOD: i64 = 100_000;
    let period = if limits.cpu_period > 0 { limits.cpu_period } else { PERIOD };
    match limits.cpu_quota {
        _ if limits.nano_cpus > 0 => {
            // The kernel takes no quota below a millisecond.
            let quota = i128::from(limits.nano_cpus) * i128::from(PERIOD) / 1_000_000_000;
            Some(format!("{} {PERIOD}", quota.max(1000)))
        }
        quota @ 1.. => Some(format!("{quota} {period}")),
        ..0 => Some(format!("max {period}")),
        0 if limits.cpu_period > 0 => Some(format!("max {period}")),
        0 => None,
    }
}

/// Turns shares (2 to 262144, by default 1024) into a weight (1 to 10000, by default 100), by the curve through
/// these three pairs that runc draws: quadratic in the logarithms.
fn weight_of_shares(shares: i64) -> u32 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = f64::from(i32::try_from(shares).unwrap_or(i32::MAX)).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is from 1 to 10000"
            )]
            let weight = 10_f64.powf(exponent).ceil() as u32;
            weight
        }
    }
}

/// Turns a weight of cgroup v1 (10 to 1000) into one of v2 (1 to 10000), on a line as runc does.
fn weight_of_blkio(weight: u64) -> u64 {
    1 + (weight.saturating_sub(10)) * 9999 / 990
}

/// Reads a list of processors or nodes: `0-2,4`. `None` where it is none.
pub fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut found = std::collections::BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        // The kernel has no more.
        if first > last || last >= 8192 {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Controllers = Controllers { cpu: true, cpuset: true, io: true, memory: true, pids: true };

    fn files(limits: &Limits) -> Vec<String> {
        limits.files(ALL).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn converts_as_runc_does() {
        assert!(files(&Limits::default()).is_empty());
        let memory = Limits { memory: 64 << 20, memory_swap: 128 << 20, ..Limits::default() };
        assert_eq!(files(&memory), ["memory.swap.max=67108864", "memory.max=67108864"]);
        let no_swap = Limits { memory_swap: 64 << 20, ..memory.clone() };
        assert_eq!(files(&no_swap)[0], "memory.swap.max=0");
        assert_eq!(files(&Limits { memory_swap: -1, ..memory })[0], "memory.swap.max=max");
        assert_eq!(
            files(&Limits { memory_reservation: 7 << 20, ..Limits::default() }),
            ["memory.low=7340032"]
        );
        assert_eq!(
            files(&Limits { nano_cpus: 1_500_000_000, ..Limits::default() }),
            ["cpu.max=150000 100000"]
        );
        assert_eq!(files(&Limits { nano_cpus: 1, ..Limits::default() }), ["cpu.max=1000 100000"]);
        assert_eq!(
            files(&Limits { cpu_quota: 5000, cpu_period: 20000, ..Limits::default() }),
            ["cpu.max=5000 20000"]
        );
        assert_eq!(files(&Limits { cpu_quota: -1, ..Limits::default() }), ["cpu.max=max 100000"]);
        assert_eq!(files(&Limits { pids: Some(20), ..Limits::default() }), ["pids.max=20"]);
        assert_eq!(files(&Limits { pids: Some(-1), ..Limits::default() }), ["pids.max=max"]);
        assert_eq!(files(&Limits { blkio_weight: 500, ..Limits::default() }), ["io.weight=default 4950"]);
        let null = DeviceRate { path: "/dev/null".into(), rate: 1024 };
        assert_eq!(
            files(&Limits { device_read_bps: vec![null], ..Limits::default() }),
            ["io.max=1:3 rbps=1024"]
        );
        let sets = Limits { cpuset_cpus: "0-1".into(), cpuset_mems: "0".into(), ..Limits::default() };
        assert_eq!(files(&sets), ["cpuset.cpus=0-1", "cpuset.mems=0"]);
        assert!(sets.files(Controllers::default()).unwrap().is_empty());
    }

    #[test]
    fn shares_and_weights_meet_at_their_ends_and_defaults() {
        for (shares, weight) in [(2, 1), (1024, 100), (262_144, 10_000), (1, 1), (i64::MAX, 10_000)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        assert!(weight_of_shares(512) < 100 && weight_of_shares(2048) > 100);
        assert_eq!((weight_of_blkio(10), weight_of_blkio(1000)), (1, 10_000));
    }

    #[test]
    fn reads_lists() {
        assert_eq!(parse_list("0-2,4"), Some(vec![0, 1, 2, 4]));
        assert_eq!(parse_list("1,1\n"), Some(vec![1]));
        assert_eq!(parse_list(""), Some(vec![]));
        for bad in ["x", "2-1", "-1", "1-", "99999"] {
            assert_eq!(parse_list(bad), None, "{bad}");
        }
    }
}
