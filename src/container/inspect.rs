//! Everything about one container, with Docker's keys (Engine API, `GET /containers/{id}/json`).

mod network;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::config::{Attachment, ContainerConfig, Mount, MountSource, RestartPolicy};
use super::dir::{Alive, ContainerDir, ExitRecord};
use super::health::{self, Health};
use super::name;
use super::security;
use super::status::{Status, observe_and_mend};
use crate::runtime::DeviceRate;
use crate::store::Store;
use crate::volume;

pub use network::inspect_network;

/// Docker's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Returns the container as `docker inspect` shows it. With `size`, `SizeRw` and `SizeRootFs` are counted.
pub fn inspect(store: &Store, dir: &ContainerDir, size: bool) -> Result<Value> {
    let config = dir.config()?;
    let status = observe_and_mend(dir)?;
    let argv = config.process.argv();
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let restarts = match &status {
        Status::Running(alive) | Status::Restarting(alive) | Status::Lost(alive) => alive.restarts,
        Status::Exited(record) | Status::Created(Some(record)) => record.restarts,
        Status::Created(None) => 0,
    };
    let layers = store.layers(&config.map);
    let lower: Vec<String> =
        config.layers.iter().rev().map(|layer| layers.tree(layer).to_string_lossy().into_owned()).collect();
    let attachments = dir.attachments(&config)?;
    let container_name = name::of(store, dir.id()).unwrap_or_default();
    let mut value = json!({
        "Id": config.id,
        "Created": config.created,
        "Path": argv.first().cloned().unwrap_or_default(),
        "Args": argv.get(1..).unwrap_or_default(),
        "State": state(&status, health::observe(dir, &status)),
        "Image": config.image,
        "ResolvConfPath": path("resolv.conf"),
        "HostnamePath": path("hostname"),
        "HostsPath": path("hosts"),
        "LogPath": dir.log_path(),
        "Name": format!("/{container_name}"),
        "RestartCount": restarts,
        "Driver": "overlay2",
        "Platform": config.platform.split('/').next().unwrap_or("linux"),
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": host_config(store, &config, &attachments, &container_name)?,
        "GraphDriver": { "Name": "overlay2", "Data": {
            "LowerDir": lower.join(":"), "MergedDir": "", "UpperDir": path("upper"), "WorkDir": path("work"),
        }},
        "Mounts": config.mounts.iter().map(|mount| mount_point(store, mount)).collect::<Vec<_>>(),
        "Config": container_config(&config),
        "NetworkSettings": network::settings(store, &config, &attachments, &status),
    });
    // Not Docker's: where it is limited, and what is done for limits that the kernel does not keep.
    if let Status::Running(Alive { kept, .. }) = &status {
        if let Some(cgroup) = &kept.cgroup {
            value["State"]["CgroupPath"] = json!(cgroup.path);
        }
        if config.limits.any() {
            value["LimitFallbacks"] = json!(kept.instead.notes);
        }
    }
    if size {
        let (rw, root) = super::size::measure(store, dir, &config)?;
        value["SizeRw"] = json!(rw);
        value["SizeRootFs"] = json!(root);
    }
    Ok(value)
}

fn state(status: &Status, health: Option<Health>) -> Value {
    let running = |alive: &Alive| (alive.init.map_or(0, |init| init.pid), alive.started.clone());
    let never = || ExitRecord { finished: NEVER.to_owned(), ..ExitRecord::default() };
    let (pid, started, end) = match status {
        Status::Created(record) => (0, NEVER.to_owned(), record.clone().unwrap_or_else(never)),
        Status::Running(alive) => {
            let (pid, started) = running(alive);
            (pid, started, never())
        }
        Status::Restarting(alive) | Status::Lost(alive) => {
            (0, alive.started.clone(), alive.last.clone().unwrap_or_else(never))
        }
        Status::Exited(record) => (0, record.started.clone(), record.clone()),
    };
    let created = matches!(status, Status::Created(_));
    let mut state = json!({
        "Status": status.word(),
        "Running": status.is_active(),
        "Paused": status.is_paused(),
        "Restarting": matches!(status, Status::Restarting(_)),
        "OOMKilled": end.oom_killed,
        "Dead": false,
        "Pid": pid,
        "ExitCode": end.code,
        "Error": end.error,
        "StartedAt": if started.is_empty() { NEVER } else { &started },
        "FinishedAt": if created || end.finished.is_empty() { NEVER } else { &end.finished },
    });
    if let Some(health) = health {
        state["Health"] = json!(health);
    }
    state
}

fn container_config(config: &ContainerConfig) -> Value {
    let set = |words: &std::collections::BTreeSet<String>| -> Value {
        if words.is_empty() {
            return Value::Null;
        }
        words.iter().map(|word| (word.clone(), json!({}))).collect::<Map<_, _>>().into()
    };
    let process = &config.process;
    let mut value = json!({
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": process.user,
        "AttachStdin": config.attach.stdin,
        "AttachStdout": config.attach.stdout,
        "AttachStderr": config.attach.stderr,
        "Tty": process.tty,
        "OpenStdin": process.open_stdin,
        "StdinOnce": process.stdin_once,
        "Env": process.env,
        "Cmd": process.cmd,
        "Image": config.image_name,
        "Volumes": set(&config.image_volumes),
        "WorkingDir": process.working_dir,
        "Entrypoint": process.entrypoint,
        "OnBuild": null,
        "Labels": config.labels,
    });
    // Left out where empty, as Docker does.
    if !config.exposed_ports.is_empty() {
        value["ExposedPorts"] = set(&config.exposed_ports);
    }
    if !config.stop_signal.is_empty() {
        value["StopSignal"] = json!(config.stop_signal);
    }
    if let Some(timeout) = config.stop_timeout {
        value["StopTimeout"] = json!(timeout);
    }
    if !config.shell.is_empty() {
        value["Shell"] = json!(config.shell);
    }
    if let Some(check) = &config.healthcheck {
        value["Healthcheck"] = check.clone();
    }
    value
}

fn host_config(
    store: &Store,
    config: &ContainerConfig,
    attachments: &[Attachment],
    name: &str,
) -> Result<Value> {
    let unmasked = config.privileged || security::parse(&config.security_opt)?.unmasked;
    let list = |words: &[String]| if words.is_empty() { Value::Null } else { json!(words) };
    let own = config.mounts.iter().filter(|mount| !config.inherited.contains(&mount.target));
    let binds: Vec<String> = own.filter_map(bind).collect();
    let sharing = &config.sharing;
    let host = |is: bool| if is { "host" } else { "" };
    let (policy, retries) = match config.restart {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
        RestartPolicy::OnFailure { max } => ("on-failure", max),
    };
    let devices: Vec<Value> = config
        .devices
        .iter()
        .map(|device| {
            json!({"PathOnHost": device.host, "PathInContainer": device.container, "CgroupPermissions": device.permissions})
        })
        .collect();
    let ulimits: Vec<Value> = config
        .ulimits
        .iter()
        .map(|limit| json!({"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard}))
        .collect();
    // `CapAdd` and `CapDrop` are what was asked; that they can be had was checked when it was created.
    crate::runtime::capability::decide(&config.cap_add, &config.cap_drop, config.privileged)?;
    let mut value = json!({
        "Binds": if binds.is_empty() { Value::Null } else { json!(binds) },
        "ContainerIDFile": config.cidfile,
        "LogConfig": { "Type": config.log_word(), "Config": config.log_options },
        "NetworkMode": config.network.word(),
        "PortBindings": network::bindings(&config.ports),
        "RestartPolicy": { "Name": policy, "MaximumRetryCount": retries },
        "AutoRemove": config.auto_remove,
        "VolumeDriver": config.volume_driver,
        "VolumesFrom": list(&config.volumes_from),
        "ConsoleSize": [0, 0],
        "Annotations": if config.annotations.is_empty() { Value::Null } else { json!(config.annotations) },
        "CapAdd": list(&config.cap_add),
        "CapDrop": list(&config.cap_drop),
        "CgroupnsMode": if sharing.host_cgroups { "host" } else { "private" },
        "Dns": config.dns,
        "DnsOptions": config.dns_options,
        "DnsSearch": config.dns_search,
        "ExtraHosts": list(&config.extra_hosts),
        "GroupAdd": list(&config.group_add),
        "IpcMode": sharing.ipc.word(),
        "Cgroup": "",
        "Links": network::links(store, attachments, name),
        "OomScoreAdj": config.oom_score_adj,
        "PidMode": sharing.pid.word(),
        "Privileged": config.privileged,
        "PublishAllPorts": config.publish_all,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": list(&config.security_opt),
        "StorageOpt": null,
        "Tmpfs": if config.tmpfs.is_empty() { Value::Null } else { json!(config.tmpfs) },
        "UTSMode": host(sharing.host_uts),
        "UsernsMode": sharing.users_word(),
        "ShmSize": config.shm_size,
        "Sysctls": if config.sysctls.is_empty() { Value::Null } else { json!(config.sysctls) },
        "Runtime": "coracle",
        "Isolation": "",
    });
    let limits = &config.limits;
    let rates = |rates: &[DeviceRate], name: &str| -> Value {
        rates.iter().map(|device| json!({"Path": device.path, name: device.rate})).collect::<Vec<_>>().into()
    };
    let resources = json!({
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "CgroupParent": config.cgroup_parent,
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": rates(&limits.blkio_weight_device, "Weight"),
        "BlkioDeviceReadBps": rates(&limits.device_read_bps, "Rate"),
        "BlkioDeviceWriteBps": rates(&limits.device_write_bps, "Rate"),
        "BlkioDeviceReadIOps": rates(&limits.device_read_iops, "Rate"),
        "BlkioDeviceWriteIOps": rates(&limits.device_write_iops, "Rate"),
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": devices,
        "DeviceCgroupRules": null,
        "DeviceRequests": Some(&config.device_requests).filter(|list| !list.is_empty()),
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap,
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids,
        "Ulimits": ulimits,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "Init": config.init,
        "MaskedPaths": if unmasked { json!([]) } else { json!(crate::runtime::defaults::MASKED) },
        "ReadonlyPaths": if unmasked { json!([]) } else { json!(crate::runtime::defaults::READ_ONLY) },
    });
    if let (Some(value), Value::Object(resources)) = (value.as_object_mut(), resources) {
        value.extend(resources);
    }
    Ok(value)
}

fn access(mount: &Mount) -> &'static str {
    if mount.read_only { "ro" } else { "rw" }
}

fn bind(mount: &Mount) -> Option<String> {
    let mode = if mount.read_only { ":ro" } else { "" };
    match &mount.source {
        MountSource::Bind { path, .. } => Some(format!("{path}:{}{mode}", mount.target)),
        MountSource::Volume { name, anonymous: false, .. } => Some(format!("{name}:{}{mode}", mount.target)),
        _ => None,
    }
}

fn mount_point(store: &Store, mount: &Mount) -> Value {
    let mode = if mount.read_only { "ro" } else { "" };
    match &mount.source {
        MountSource::Bind { path, propagation, .. } => json!({
            "Type": "bind", "Source": path, "Destination": mount.target, "Mode": mode,
            "RW": access(mount) == "rw", "Propagation": propagation,
        }),
        MountSource::Volume { name, .. } => json!({
            "Type": "volume", "Name": name, "Source": volume::data(store, name), "Destination": mount.target,
            "Driver": "local", "Mode": if mode.is_empty() { "z" } else { mode }, "RW": access(mount) == "rw", "Propagation": "",
        }),
        MountSource::Image { name, .. } => json!({
            "Type": "image", "Name": name, "Source": name, "Destination": mount.target, "Mode": mode,
            "RW": false, "Propagation": "",
        }),
        MountSource::Tmpfs { .. } => json!({
            "Type": "tmpfs", "Source": "", "Destination": mount.target, "Mode": mode,
            "RW": access(mount) == "rw", "Propagation": "",
        }),
    }
}
