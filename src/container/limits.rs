//! Limits as a user asks for them: Docker's rules for them, and what keeps them.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::runtime::cgroup::{self, Controllers, Delegation, Driver, Instead, parse_list};
use crate::runtime::{Cgroup, Limits};

/// The least memory that Docker lets a container have.
const LEAST_MEMORY: i64 = 6 << 20;

/// What keeps a running container within its limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Its control group, if it has one.
    pub cgroup: Option<Cgroup>,
    /// What is done for limits that have none.
    pub instead: Instead,
}

/// What this user can limit, for `info`.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Docker's name of who makes control groups.
    pub driver: &'static str,
    /// The version of control groups.
    pub version: u8,
    /// What can be limited.
    pub controllers: Controllers,
    /// Whether swap can be limited by itself.
    pub swap: bool,
    /// Whether shares of disks can be told apart.
    pub weight: bool,
}

impl Facts {
    /// Returns what Docker's `info` warns of.
    pub fn warnings(&self) -> Vec<String> {
        if self.driver == "none" {
            let remedy = if self.version == 2 {
                "Systemd is required to enable cgroups in rootless-mode."
            } else {
                "To enable cgroups in rootless-mode, you need to boot the system in cgroup v2 mode."
            };
            return vec![format!("WARNING: Running in rootless-mode without cgroups. {remedy}")];
        }
        let has = self.controllers;
        let lacks = [
            (has.memory, "memory limit"),
            (has.memory && self.swap, "swap limit"),
            (has.cpu, "cpu cfs quota"),
            (has.cpu, "cpu cfs period"),
            (has.cpu, "cpu shares"),
            (has.cpuset, "cpuset"),
            (has.pids, "pids limit"),
            (has.io && self.weight, "io.weight"),
            (has.io && self.weight, "io.weight (per device)"),
            (has.io, "io.max (rbps)"),
            (has.io, "io.max (wbps)"),
            (has.io, "io.max (riops)"),
            (has.io, "io.max (wiops)"),
        ];
        lacks.iter().filter(|(is, _)| !is).map(|(_, what)| format!("WARNING: No {what} support")).collect()
    }
}

/// Finds out what this user can limit.
pub fn facts() -> Facts {
    let Delegation { driver, controllers, version } = cgroup::observe();
    let (swap, weight) = cgroup::extras();
    Facts { driver: driver.name(), version, controllers, swap, weight }
}

/// Checks the limits of a new container, fills in what follows from them, and returns what the user should know.
pub(super) fn settle(limits: &mut Limits, parent: &str) -> Result<Vec<String>> {
    let mut warnings = check(limits, false)?;
    if limits.memory > 0 && limits.memory_swap == 0 {
        limits.memory_swap = limits.memory * 2;
    }
    if limits.any() || !parent.is_empty() {
        let delegation = cgroup::observe();
        check_parent(parent, &delegation.driver)?;
        if !parent.is_empty() && delegation.driver == Driver::None {
            warnings
                .push("No control group is delegated to this user: --cgroup-parent: discarded".to_owned());
        }
        warnings.extend(lacks(limits, &delegation));
    }
    Ok(warnings)
}

/// Says which limits are not kept by the kernel's controllers, and what is done about them.
pub(super) fn lacks(limits: &Limits, delegation: &Delegation) -> Vec<String> {
    let notes = Instead::plan(limits, delegation.controllers, "").notes;
    let why = if delegation.version < 2 {
        "No control group is delegated to this user (the machine has cgroup v1)"
    } else if delegation.driver == Driver::None {
        "No control group is delegated to this user"
    } else {
        "No control group with this controller is delegated to this user"
    };
    notes.into_iter().map(|note| format!("{why}: {note}")).collect()
}

fn check_parent(parent: &str, driver: &Driver) -> Result<()> {
    match driver {
        Driver::Systemd(_)
            if !parent.is_empty() && parent.strip_suffix(".slice").is_none_or(str::is_empty) =>
        {
            bail!("cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"")
        }
        Driver::Direct(_) if parent.split('/').any(|part| part == "..") => {
            bail!("invalid cgroup-parent: {parent}")
        }
        _ => Ok(()),
    }
}

/// Checks limits by the rules of Docker's daemon, in its words, and lets go of those that the kernel does not
/// have any more.
pub(super) fn check(limits: &mut Limits, update: bool) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    check_memory(limits, update, &mut warnings)?;
    if limits.pids.is_some_and(|pids| pids <= 0) && !update {
        limits.pids = None;
    }
    check_cpu(limits)?;
    let available = |file: &str| fs::read_to_string(file).map(|text| text.trim().to_owned());
    let online = available("/sys/devices/system/cpu/online").unwrap_or_default();
    check_set(&limits.cpuset_cpus, &online, "cpuset cpus", "CPUs")?;
    let nodes = available("/sys/devices/system/node/online").unwrap_or_else(|_| "0".to_owned());
    check_set(&limits.cpuset_mems, &nodes, "cpuset mems", "memory nodes")?;
    if limits.blkio_weight > 0 && !(10..=1000).contains(&limits.blkio_weight) {
        bail!("Range of blkio weight is from 10 to 1000");
    }
    for device in [
        &limits.blkio_weight_device,
        &limits.device_read_bps,
        &limits.device_write_bps,
        &limits.device_read_iops,
        &limits.device_write_iops,
    ]
    .into_iter()
    .flatten()
    {
        fs::metadata(&device.path).with_context(|| format!("look at device {}", device.path))?;
    }
    Ok(warnings)
}

fn check_memory(limits: &mut Limits, update: bool, warnings: &mut Vec<String>) -> Result<()> {
    let Limits { memory, memory_swap: swap, memory_reservation: reservation, .. } = *limits;
    if memory != 0 && memory < LEAST_MEMORY {
        bail!("Minimum memory limit allowed is 6MB");
    }
    if memory > 0 && swap > 0 && swap < memory {
        bail!("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if memory == 0 && swap > 0 && !update {
        bail!("You should always set the Memory limit when using Memoryswap limit, see usage");
    }
    let swappiness = limits.memory_swappiness.take().filter(|swappiness| *swappiness != -1);
    if let Some(swappiness) = swappiness {
        if !(0..=100).contains(&swappiness) {
            bail!("Invalid value: {swappiness}, valid memory swappiness range is 0-100");
        }
        warnings.push(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory \
             swappiness discarded."
                .to_owned(),
        );
    }
    if reservation > 0 && reservation < LEAST_MEMORY {
        bail!("Minimum memory reservation allowed is 6MB");
    }
    if memory > 0 && reservation > 0 && memory < reservation {
        bail!("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    if limits.oom_kill_disable.take() == Some(true) {
        warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned());
    }
    Ok(())
}

fn check_cpu(limits: &Limits) -> Result<()> {
    let Limits { nano_cpus: nano, cpu_period: period, cpu_quota: quota, cpu_shares: shares, .. } = *limits;
    if nano > 0 && period > 0 {
        bail!("Conflicting options: Nano CPUs and CPU Period cannot both be set");
    }
    if nano > 0 && quota > 0 {
        bail!("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    }
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    if nano < 0 || i128::from(nano) > count as i128 * 1_000_000_000 {
        bail!("Range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available");
    }
    if shares < 0 {
        bail!("invalid CPU shares ({shares}): value must be a positive integer");
    }
    if period != 0 && !(1000..=1_000_000).contains(&period) {
        bail!("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    }
    if quota > 0 && quota < 1000 {
        bail!("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    Ok(())
}

fn check_set(wanted: &str, available: &str, name: &str, what: &str) -> Result<()> {
    let Some(list) = parse_list(wanted) else {
        bail!("Invalid value {wanted} for {name}: invalid format: {wanted}")
    };
    let present = parse_list(available).unwrap_or_default();
    if list.iter().any(|item| !present.contains(item)) {
        bail!("Requested {what} are not available - requested {wanted}, available: {available}");
    }
    Ok(())
}

/// Lays the limits that an update names over those of a container, by Docker's rules.
pub(super) fn merge(old: &Limits, new: &Limits) -> Result<Limits> {
    for (is, what, set) in [
        (new.nano_cpus > 0 && old.cpu_period > 0, "Nano CPUs", "CPU Period"),
        (new.nano_cpus > 0 && old.cpu_quota > 0, "Nano CPUs", "CPU Quota"),
        (new.cpu_period > 0 && old.nano_cpus > 0, "CPU Period", "NanoCPUs"),
        (new.cpu_quota > 0 && old.nano_cpus > 0, "CPU Quota", "NanoCPUs"),
    ] {
        if is {
            bail!("Conflicting options: {what} cannot be updated as {set} has already been set");
        }
    }
    if new.memory != 0 && old.memory_swap != -1 && new.memory > old.memory_swap && new.memory_swap == 0 {
        bail!(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same \
             time"
        );
    }
    let number = |new: i64, old: i64| if new == 0 { old } else { new };
    let text = |new: &String, old: &String| if new.is_empty() { old.clone() } else { new.clone() };
    let list = |new: &Vec<_>, old: &Vec<_>| if new.is_empty() { old.clone() } else { new.clone() };
    Ok(Limits {
        memory: number(new.memory, old.memory),
        memory_swap: number(new.memory_swap, old.memory_swap),
        memory_reservation: number(new.memory_reservation, old.memory_reservation),
        memory_swappiness: old.memory_swappiness,
        oom_kill_disable: old.oom_kill_disable,
        pids: new.pids.or(old.pids),
        nano_cpus: number(new.nano_cpus, old.nano_cpus),
        cpu_period: number(new.cpu_period, old.cpu_period),
        cpu_quota: number(new.cpu_quota, old.cpu_quota),
        cpu_shares: number(new.cpu_shares, old.cpu_shares),
        cpuset_cpus: text(&new.cpuset_cpus, &old.cpuset_cpus),
        cpuset_mems: text(&new.cpuset_mems, &old.cpuset_mems),
        blkio_weight: if new.blkio_weight == 0 { old.blkio_weight } else { new.blkio_weight },
        blkio_weight_device: list(&new.blkio_weight_device, &old.blkio_weight_device),
        device_read_bps: list(&new.device_read_bps, &old.device_read_bps),
        device_write_bps: list(&new.device_write_bps, &old.device_write_bps),
        device_read_iops: list(&new.device_read_iops, &old.device_read_iops),
        device_write_iops: list(&new.device_write_iops, &old.device_write_iops),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_as_dockers_info_does() {
        let all = Controllers { cpu: true, cpuset: true, io: true, memory: true, pids: true };
        let facts = Facts { driver: "systemd", version: 2, controllers: all, swap: true, weight: true };
        assert!(facts.warnings().is_empty());
        let few = Facts { controllers: Controllers { cpuset: false, ..all }, ..facts.clone() };
        assert_eq!(few.warnings(), ["WARNING: No cpuset support"]);
        let none = Facts { driver: "none", version: 1, ..facts };
        assert!(none.warnings()[0].ends_with("boot the system in cgroup v2 mode."));
    }

    fn wrong(limits: Limits) -> String {
        check(&mut limits.clone(), false).unwrap_err().to_string()
    }

    #[test]
    fn refuses_in_dockers_words() {
        let with = Limits::default;
        assert_eq!(wrong(Limits { memory: 5 << 20, ..with() }), "Minimum memory limit allowed is 6MB");
        assert_eq!(
            wrong(Limits { memory: 7 << 20, memory_swap: 6 << 20, ..with() }),
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        );
        assert_eq!(
            wrong(Limits { memory_swap: 6 << 20, ..with() }),
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        );
        assert_eq!(
            wrong(Limits { memory_swappiness: Some(101), ..with() }),
            "Invalid value: 101, valid memory swappiness range is 0-100"
        );
        assert_eq!(
            wrong(Limits { memory: 8 << 20, memory_reservation: 9 << 20, ..with() }),
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        );
        assert_eq!(
            wrong(Limits { nano_cpus: 1, cpu_quota: 1000, ..with() }),
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set"
        );
        assert!(
            wrong(Limits { nano_cpus: i64::MAX, ..with() }).starts_with("Range of CPUs is from 0.01 to ")
        );
        assert_eq!(
            wrong(Limits { cpu_quota: 999, ..with() }),
            "CPU cfs quota can not be less than 1ms (i.e. 1000)"
        );
        assert!(
            wrong(Limits { cpu_period: 1, ..with() }).starts_with("CPU cfs period can not be less than 1ms")
        );
        assert_eq!(wrong(Limits { blkio_weight: 9, ..with() }), "Range of blkio weight is from 10 to 1000");
        assert_eq!(
            wrong(Limits { cpuset_cpus: "a".into(), ..with() }),
            "Invalid value a for cpuset cpus: invalid format: a"
        );
        assert!(
            wrong(Limits { cpuset_cpus: "8000".into(), ..with() })
                .starts_with("Requested CPUs are not available - requested 8000, available: 0")
        );
    }

    #[test]
    fn lets_go_of_what_the_kernel_has_no_more() {
        let mut limits = Limits {
            memory_swappiness: Some(10),
            oom_kill_disable: Some(true),
            pids: Some(-1),
            ..Limits::default()
        };
        assert_eq!(check(&mut limits, false).unwrap().len(), 2);
        assert_eq!(limits, Limits::default());
        let mut limits = Limits { memory: 10 << 20, ..Limits::default() };
        settle(&mut limits, "").unwrap();
        assert_eq!(limits.memory_swap, 20 << 20);
    }

    #[test]
    fn updates_by_dockers_rules() {
        let old = Limits { memory: 64 << 20, memory_swap: 128 << 20, nano_cpus: 5, ..Limits::default() };
        let more = merge(&old, &Limits { memory: 100 << 20, pids: Some(-1), ..Limits::default() }).unwrap();
        assert_eq!((more.memory, more.memory_swap, more.pids), (100 << 20, 128 << 20, Some(-1)));
        let error = |new: Limits| merge(&old, &new).unwrap_err().to_string();
        assert!(
            error(Limits { memory: 200 << 20, ..Limits::default() })
                .starts_with("Memory limit should be smaller than already set memoryswap limit")
        );
        assert_eq!(
            error(Limits { cpu_quota: 1000, ..Limits::default() }),
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
        );
    }
}
