//! What every container and every command of a build has unless told otherwise.
//!
//! The defaults are Docker's (moby `daemon/pkg/oci/defaults.go`): mounts, masked and read-only paths, parameters of
//! the network.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::oci::runtime::{
    Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder, Mount, MountBuilder,
};

/// Docker's `PATH` where neither image nor user sets one.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is hidden.
pub const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What cannot be written.
pub const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Makes the capability sets of a process that may do what `names` say, without the prefix `CAP_`.
pub fn capabilities(names: &[&str]) -> Result<LinuxCapabilities> {
    let set = names
        .iter()
        .map(|name| {
            serde_json::from_value(serde_json::Value::String(format!("CAP_{name}")))
                .with_context(|| format!("use capability {name}"))
        })
        .collect::<Result<std::collections::HashSet<Capability>>>()?;
    let set: Capabilities = set;
    LinuxCapabilitiesBuilder::default()
        .bounding(set.clone())
        .effective(set.clone())
        .permitted(set)
        .inheritable(Capabilities::default())
        .ambient(Capabilities::default())
        .build()
        .context("make the capability sets")
}

/// Makes a mount.
pub fn mount(target: &str, kind: &str, source: &Path, options: &[&str]) -> Result<Mount> {
    MountBuilder::default()
        .destination(target)
        .typ(kind)
        .source(source)
        .options(own(options))
        .build()
        .context("make a mount")
}

/// Makes a mount of a file system that is called what it is.
pub fn system(target: &str, kind: &str, options: &[&str]) -> Result<Mount> {
    mount(target, kind, Path::new(kind), options)
}

/// Makes the mounts of the kernel's own file systems. `dev` is what that of `/dev` is called; `access` is `ro` or
/// `rw`, for those that show the machine.
pub fn mounts(dev: &str, access: &str) -> Result<Vec<Mount>> {
    Ok(vec![
        system("/proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev", "tmpfs", Path::new(dev), &["nosuid", "strictatime", "mode=755", "size=65536k"])?,
        system(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        )?,
        system("/sys", "sysfs", &["nosuid", "noexec", "nodev", access])?,
        system("/sys/fs/cgroup", "cgroup", &[access, "nosuid", "noexec", "nodev"])?,
    ])
}

/// Makes the mount of memory that processes share, of so many bytes.
pub fn shared_memory(size: u64) -> Result<Mount> {
    system("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={size}")])
}

/// Returns the parameters of a network namespace of its own: low ports are open and pings go out without
/// capabilities, as in Docker.
pub fn network_sysctls() -> HashMap<String, String> {
    let parameters = [
        ("net.ipv4.ip_unprivileged_port_start", "0"),
        ("net.ipv4.ping_group_range", "0 2147483647"),
        // Its connections reach no further than this machine: others, of the host's own kind, carry on from
        // there. A kind that sends at a measured pace costs a timer a packet, for nothing.
        ("net.ipv4.tcp_congestion_control", "reno"),
    ];
    parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Returns words as what specifications take.
pub fn own(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
