//! Docker's flags of `run` and `create` that coracle does not have yet, and what each waits for.

use crate::cli::grammar::Absent;

const CGROUP: &str = "resource limits need a delegated cgroup, which coracle does not make yet";

/// The table.
pub(in crate::cli) const ABSENT: &[Absent] = &[
    value("blkio-weight", CGROUP, &["0"]),
    value("blkio-weight-device", CGROUP, &[]),
    value("cgroup-parent", CGROUP, &[""]),
    value("cpu-period", CGROUP, &["0"]),
    value("cpu-quota", CGROUP, &["0"]),
    value("cpu-rt-period", CGROUP, &["0"]),
    value("cpu-rt-runtime", CGROUP, &["0"]),
    Absent { short: Some('c'), ..value("cpu-shares", CGROUP, &["0"]) },
    value("cpus", CGROUP, &["0", "0.0"]),
    value("cpuset-cpus", CGROUP, &[""]),
    value("cpuset-mems", CGROUP, &[""]),
    value("device-cgroup-rule", CGROUP, &[]),
    value("device-read-bps", CGROUP, &[]),
    value("device-read-iops", CGROUP, &[]),
    value("device-write-bps", CGROUP, &[]),
    value("device-write-iops", CGROUP, &[]),
    value("gpus", "devices of vendors are not looked up yet; name them with --device", &[]),
    Absent { short: Some('m'), ..value("memory", CGROUP, &["0"]) },
    value("memory-reservation", CGROUP, &["0"]),
    value("memory-swap", CGROUP, &["0"]),
    value("memory-swappiness", CGROUP, &["-1"]),
    switch("oom-kill-disable", CGROUP),
    value("pids-limit", CGROUP, &["0", "-1"]),
    switch("use-api-socket", "there is no API socket yet"),
];

/// The flags of `update` that change limits.
pub(in crate::cli) const LIMITS: &[Absent] = &[
    value("blkio-weight", CGROUP, &["0"]),
    value("blkio-weight-device", CGROUP, &[]),
    value("cpu-period", CGROUP, &["0"]),
    value("cpu-quota", CGROUP, &["0"]),
    value("cpu-rt-period", CGROUP, &["0"]),
    value("cpu-rt-runtime", CGROUP, &["0"]),
    Absent { short: Some('c'), ..value("cpu-shares", CGROUP, &["0"]) },
    value("cpus", CGROUP, &["0", "0.0"]),
    value("cpuset-cpus", CGROUP, &[""]),
    value("cpuset-mems", CGROUP, &[""]),
    value("device-read-bps", CGROUP, &[]),
    value("device-read-iops", CGROUP, &[]),
    value("device-write-bps", CGROUP, &[]),
    value("device-write-iops", CGROUP, &[]),
    value("kernel-memory", CGROUP, &["0"]),
    Absent { short: Some('m'), ..value("memory", CGROUP, &["0"]) },
    value("memory-reservation", CGROUP, &["0"]),
    value("memory-swap", CGROUP, &["0"]),
    value("pids-limit", CGROUP, &["0", "-1"]),
];

const fn value(long: &'static str, reason: &'static str, harmless: &'static [&'static str]) -> Absent {
    Absent { long, short: None, takes_value: true, harmless, reason }
}

const fn switch(long: &'static str, reason: &'static str) -> Absent {
    Absent { long, short: None, takes_value: false, harmless: &["false"], reason }
}
