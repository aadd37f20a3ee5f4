//! A service as the wishes that a container is made by.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context as _, Result, anyhow, bail};

use super::state::label;
use super::{Context, Engine, resource};
use crate::compose::project::{
    Attachment as Network, DeviceWish, Grant, Healthcheck, Mount as File, Object, Port, Rate, Service,
};
use crate::compose::{ports, units};
use crate::container::{
    Attachment, CDI, CreateRequest, Device, DeviceRate, DeviceRequest, Healthcheck as Check, IpcMode, KeepId,
    Limits, LogDriver, Mount, MountRequest, MountSource, NetworkMode, PidMode, RestartPolicy, Sharing,
    Ulimit, VolumeWishes, is_cdi,
};
use crate::idmap;
use crate::network::protocol::{HostPort, PortRequest, Protocol};

/// The option of an endpoint that says what its interface is called.
const INTERFACE: &str = "com.docker.network.endpoint.ifname";

/// Makes the wishes of a service's container.
pub(super) fn of(
    engine: &Engine<'_>,
    context: &Context,
    name: &str,
    service: &Service,
    number: u32,
    image: &str,
) -> Result<CreateRequest> {
    make(engine, context, name, service, number, image).with_context(|| format!("service {name:?}"))
}

fn make(
    engine: &Engine<'_>,
    context: &Context,
    name: &str,
    service: &Service,
    number: u32,
    image: &str,
) -> Result<CreateRequest> {
    let project = &context.project;
    let (network, networks) = networks(context, name, service)?;
    let pairs = |map: &BTreeMap<String, Option<String>>| -> BTreeMap<String, String> {
        map.iter().map(|(key, value)| (key.clone(), value.clone().unwrap_or_default())).collect()
    };
    let (log, log_options) = log(service);
    let journald = service.logging.driver.as_deref() == Some("journald");
    let mut request = CreateRequest {
        image_name: service.image_name(&project.name, name),
        name: Some(service.container(&project.name, name, number)),
        command: service.command.clone().unwrap_or_default(),
        entrypoint: service.entrypoint.clone(),
        env: service
            .environment
            .iter()
            .map(|(key, value)| value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}")))
            .collect(),
        labels: labels(context, name, service, number, image),
        annotations: pairs(&service.annotations),
        user: service.user.clone().filter(|user| !user.is_empty()),
        working_dir: service.working_dir.clone().filter(|dir| !dir.is_empty()),
        hostname: service.hostname.clone().filter(|name| !name.is_empty()),
        domainname: service.domainname.clone().unwrap_or_default(),
        tty: service.tty,
        open_stdin: service.stdin_open,
        stop_signal: service.stop_signal.clone(),
        stop_timeout: seconds(service.stop_grace_period.as_deref()),
        exposed_ports: exposed(service)?,
        tmpfs: service
            .tmpfs
            .iter()
            .map(|text| text.split_once(':').unwrap_or((text, "")))
            .map(|(target, options)| (target.to_owned(), options.to_owned()))
            .collect(),
        read_only: service.read_only,
        init: service.init == Some(true),
        privileged: service.privileged,
        cap_add: service.cap_add.iter().map(|name| capability(name)).collect(),
        cap_drop: service.cap_drop.iter().map(|name| capability(name)).collect(),
        security_opt: service
            .security_opt
            .iter()
            .map(|text| security_opt(text, context))
            .collect::<Result<_>>()?,
        ulimits: ulimits(service),
        shm_size: service.shm_size.as_deref().and_then(|size| size.parse().ok()),
        sysctls: pairs(&service.sysctls),
        group_add: service.group_add.clone(),
        extra_hosts: service.extra_hosts.iter().map(|line| line.replacen('=', ":", 1)).collect(),
        health: service.healthcheck.as_ref().map(health),
        restart: restart(service)?,
        network,
        networks,
        dns: service
            .dns
            .iter()
            .map(|text| text.parse().map_err(|_| anyhow!("dns: {text:?} is not an address")))
            .collect::<Result<_>>()?,
        dns_search: service.dns_search.clone(),
        dns_options: service.dns_opt.clone(),
        sharing: sharing(context, service)?,
        volumes_from: volumes_from(context, service)?,
        oom_score_adj: service.oom_score_adj.unwrap_or(0),
        log,
        journald,
        log_options,
        device_requests: device_requests(service),
        cdi_dirs: engine.cdi.to_vec(),
        limits: limits(service),
        cgroup_parent: service.cgroup_parent.clone().unwrap_or_default(),
        ..CreateRequest::default()
    };
    for port in &service.ports {
        request.ports.push(published(port)?);
    }
    for device in service.devices.iter().filter(|device| !is_cdi(&device.source)) {
        let host = device.source.clone();
        let container = device.target.clone().unwrap_or_else(|| host.clone());
        let permissions = device.permissions.clone().unwrap_or_else(|| "rwm".to_owned());
        request.devices.push(Device { host, container, permissions });
    }
    for mount in &service.volumes {
        request.mounts.push(mounted(mount, context)?);
    }
    for (grants, objects, dir) in
        [(&service.secrets, &project.secrets, "/run/secrets"), (&service.configs, &project.configs, "")]
    {
        for grant in grants {
            request.mounts.push(granted(engine, context, grant, objects, dir)?);
        }
    }
    Ok(request)
}

/// Makes the wishes of a container that `run` asks for: that of the service, without ports unless they are
/// wanted, and with a name of its own.
pub fn one_off(
    engine: &Engine<'_>,
    context: &Context,
    name: &str,
    service: &Service,
    container: Option<String>,
    with_ports: bool,
    with_aliases: bool,
) -> Result<CreateRequest> {
    let mut service = service.clone();
    let suffix = &crate::store::random_id()[..12];
    service.container_name =
        Some(container.unwrap_or_else(|| format!("{}-{name}-run-{suffix}", context.project.name)));
    if !with_ports {
        service.ports.clear();
    }
    service.restart = None;
    service.deploy.restart_policy = None;
    let mut request = of(engine, context, name, &service, 1, "")?;
    request.labels.insert(label::ONE_OFF.to_owned(), "True".to_owned());
    request.labels.remove(label::NUMBER);
    // It answers to no name of the service's.
    for network in request.networks.iter_mut().filter(|_| !with_aliases) {
        network.aliases.clear();
    }
    Ok(request)
}

fn labels(
    context: &Context,
    name: &str,
    service: &Service,
    number: u32,
    image: &str,
) -> BTreeMap<String, String> {
    let depends: Vec<String> = service
        .depends_on
        .iter()
        .map(|(other, it)| format!("{other}:{}:{}", it.condition.word(), it.restart))
        .collect();
    let mut labels = service.labels.clone();
    let own = [
        (label::PROJECT, context.project.name.clone()),
        (label::SERVICE, name.to_owned()),
        (label::NUMBER, number.to_string()),
        (label::ONE_OFF, "False".to_owned()),
        (label::HASH, service.hash.clone()),
        (label::FILES, context.files.join(",")),
        (label::DIRECTORY, context.directory.to_string_lossy().into_owned()),
        (label::DEPENDS_ON, depends.join(",")),
        (label::IMAGE, image.to_owned()),
        (label::VERSION, super::super::VERSION.to_owned()),
    ];
    labels.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    labels
}

/// Returns the container that a service's containers share something with.
fn of_service(context: &Context, other: &str) -> String {
    match context.project.services.get(other) {
        Some(service) => service.container(&context.project.name, other, 1),
        None => format!("{}-{other}-1", context.project.name),
    }
}

fn networks(context: &Context, name: &str, service: &Service) -> Result<(NetworkMode, Vec<Attachment>)> {
    let alone = |mode| Ok((mode, Vec::new()));
    match service.network_mode.as_deref() {
        Some("host") => return alone(NetworkMode::Host),
        Some("none") => return alone(NetworkMode::None),
        Some("bridge" | "default") => {
            let bridge = Attachment { network: "bridge".to_owned(), ..Attachment::default() };
            return Ok((NetworkMode::Default, vec![bridge]));
        }
        Some(mode) => {
            if let Some(other) = mode.strip_prefix("service:") {
                return alone(NetworkMode::Container(of_service(context, other)));
            }
            if let Some(other) = mode.strip_prefix("container:") {
                return alone(NetworkMode::Container(other.to_owned()));
            }
            let one = Attachment { network: mode.to_owned(), ..Attachment::default() };
            return Ok((NetworkMode::Named(mode.to_owned()), vec![one]));
        }
        None => {}
    }
    if service.networks.is_empty() {
        return alone(NetworkMode::None);
    }
    let mut wanted: Vec<(&String, Network)> =
        service.networks.iter().map(|(key, own)| (key, own.clone().unwrap_or_default())).collect();
    wanted.sort_by(|a, b| b.1.priority.total_cmp(&a.1.priority).then_with(|| a.0.cmp(b.0)));
    let mut found = Vec::new();
    for (key, own) in wanted {
        let network = &context.project.networks[key].name;
        let address = |text: &Option<String>| -> Result<Option<IpAddr>> {
            let read = |text: &String| {
                text.parse().map_err(|_| anyhow!("networks.{key}: {text:?} is not an address"))
            };
            text.as_ref().map(read).transpose()
        };
        let mut aliases = own.aliases.clone();
        aliases.push(name.to_owned());
        aliases.dedup();
        let links = service.links.iter().filter_map(|link| {
            let (other, alias) = link.split_once(':').unwrap_or((link, link));
            let shared = context.project.services.get(other)?.networks.contains_key(key);
            shared.then(|| format!("{}:{alias}", of_service(context, other)))
        });
        let external = service.external_links.iter().map(|link| {
            let (other, alias) = link.split_once(':').unwrap_or((link, link));
            format!("{other}:{alias}")
        });
        let mac = own.mac_address.as_ref().or(service.mac_address.as_ref().filter(|_| found.is_empty()));
        #[allow(clippy::cast_possible_truncation, reason = "a small number")]
        found.push(Attachment {
            network: network.clone(),
            aliases,
            links: links.chain(external).collect(),
            ip: match address(&own.ipv4_address)? {
                Some(IpAddr::V4(ip)) => Some(ip),
                Some(IpAddr::V6(ip)) => bail!("networks.{key}.ipv4_address: {ip} is no IPv4 address"),
                None => None,
            },
            ip6: match address(&own.ipv6_address)? {
                Some(IpAddr::V6(ip)) => Some(ip),
                Some(IpAddr::V4(ip)) => bail!("networks.{key}.ipv6_address: {ip} is no IPv6 address"),
                None => None,
            },
            mac: mac
                .map(|text| text.parse().map_err(|_| anyhow!("mac_address: {text:?} is no hardware address")))
                .transpose()?,
            driver_opts: driver_opts(&own),
            gw_priority: own.gw_priority as i64,
            ..Attachment::default()
        });
    }
    Ok((NetworkMode::Named(found[0].network.clone()), found))
}

fn driver_opts(own: &Network) -> BTreeMap<String, String> {
    let mut options = own.driver_opts.clone();
    if let Some(name) = own.interface_name.as_ref().filter(|name| !name.is_empty()) {
        options.insert(INTERFACE.to_owned(), name.clone());
    }
    options
}

fn exposed(service: &Service) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for text in &service.expose {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let Some((first, last)) = ports::range(range) else { bail!("expose: invalid port {text:?}") };
        found.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(found)
}

fn published(port: &Port) -> Result<PortRequest> {
    let protocol = match port.protocol.as_deref() {
        None | Some("tcp" | "") => Protocol::Tcp,
        Some("udp") => Protocol::Udp,
        Some(other) => bail!("ports: protocol {other:?} is not supported: there are tcp and udp"),
    };
    let host_port = match port.published.as_deref() {
        None | Some("" | "0") => HostPort::Any,
        Some(text) => match ports::range(text) {
            Some((first, last)) if first == last => HostPort::One(first),
            Some((first, last)) => HostPort::Range(first, last),
            None => bail!("ports: invalid published port {text:?}"),
        },
    };
    let host_ip = match port.host_ip.as_deref() {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|_| anyhow!("ports: {text:?} is not an address"))?),
    };
    Ok(PortRequest { container_port: port.target, protocol, host_ip, host_port })
}

fn mounted(mount: &File, context: &Context) -> Result<MountRequest> {
    let source = mount.source.clone().unwrap_or_default();
    let source = match mount.kind.as_str() {
        "bind" => MountSource::Bind {
            path: source,
            propagation: mount.bind.propagation.clone().unwrap_or_else(|| "rprivate".to_owned()),
            recursive: mount.bind.recursive.as_deref() != Some("disabled"),
        },
        "volume" => MountSource::Volume {
            name: match context.project.volumes.get(&source) {
                Some(volume) => volume.name.clone(),
                None => source,
            },
            anonymous: false,
            no_copy: mount.volume.nocopy,
            subpath: mount.volume.subpath.clone().unwrap_or_default(),
        },
        "tmpfs" => MountSource::Tmpfs {
            size: mount.tmpfs.size.as_deref().and_then(|size| size.parse().ok()).filter(|size| *size > 0),
            mode: mount.tmpfs.mode,
        },
        "image" if source.is_empty() => bail!("volumes: a mount of type image needs a source"),
        "image" => MountSource::Image {
            name: source,
            id: None,
            layers: Vec::new(),
            subpath: mount.image.subpath.clone().unwrap_or_default(),
        },
        other => bail!("volumes: type {other} is not supported: there are bind, volume, tmpfs and image"),
    };
    let create_source = mount.bind.create_host_path.unwrap_or(true);
    Ok(MountRequest {
        mount: Mount { source, target: mount.target.clone(), read_only: mount.read_only },
        create_source,
        volume: VolumeWishes { labels: mount.volume.labels.clone(), ..VolumeWishes::default() },
    })
}

/// Mounts a secret or config: its own file, or one with its content.
fn granted(
    engine: &Engine<'_>,
    context: &Context,
    grant: &Grant,
    objects: &BTreeMap<String, Object>,
    dir: &str,
) -> Result<MountRequest> {
    let source = &grant.source;
    let object = objects.get(source).ok_or_else(|| anyhow!("undefined: {source}"))?;
    let path = resource::object_file(engine, context, source, object, grant)?;
    let target = match grant.target.as_deref() {
        Some(target) if target.starts_with('/') => target.to_owned(),
        Some(target) => format!("{dir}/{target}"),
        None => format!("{dir}/{source}"),
    };
    let source = MountSource::Bind { path, propagation: "rprivate".to_owned(), recursive: true };
    Ok(MountRequest {
        mount: Mount { source, target, read_only: true },
        create_source: false,
        volume: VolumeWishes::default(),
    })
}

fn health(own: &Healthcheck) -> Check {
    if own.disable {
        return Check { test: vec!["NONE".to_owned()], ..Check::default() };
    }
    let time = |text: &Option<String>| text.as_deref().and_then(units::duration).unwrap_or(0);
    Check {
        test: own.test.clone(),
        interval: time(&own.interval),
        timeout: time(&own.timeout),
        start_period: time(&own.start_period),
        start_interval: time(&own.start_interval),
        retries: own.retries.unwrap_or(0),
    }
}

fn restart(service: &Service) -> Result<RestartPolicy> {
    let Some(text) = service.restart.as_deref() else {
        let Some(policy) = &service.deploy.restart_policy else { return Ok(RestartPolicy::No) };
        return Ok(match policy.condition.as_deref() {
            Some("none") => RestartPolicy::No,
            Some("on-failure") => RestartPolicy::OnFailure { max: policy.max_attempts.unwrap_or(0) },
            _ => RestartPolicy::Always,
        });
    };
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    match (name, count.parse::<u32>()) {
        ("" | "no" | "false", Ok(0)) => Ok(RestartPolicy::No),
        ("always", Ok(0)) => Ok(RestartPolicy::Always),
        ("unless-stopped", Ok(0)) => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", Ok(max)) => Ok(RestartPolicy::OnFailure { max }),
        _ => bail!(
            "invalid restart policy: unknown policy '{text}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ),
    }
}

fn log(service: &Service) -> (LogDriver, BTreeMap<String, String>) {
    let options = service.logging.options.clone();
    match service.logging.driver.as_deref() {
        None | Some("" | "json-file") => (LogDriver::JsonFile, options),
        Some("local" | "journald") => (LogDriver::Local, options),
        Some("none") => (LogDriver::None, BTreeMap::new()),
        // Said by `warn`; what is written can still be read.
        Some(_) => (LogDriver::JsonFile, BTreeMap::new()),
    }
}

fn sharing(context: &Context, service: &Service) -> Result<Sharing> {
    let other = |text: &str| {
        text.strip_prefix("service:")
            .map(|name| of_service(context, name))
            .or_else(|| text.strip_prefix("container:").map(str::to_owned))
    };
    let pid = match service.pid.as_deref() {
        None | Some("") => PidMode::Private,
        Some("host") => PidMode::Host,
        Some(text) => match other(text) {
            Some(id) => PidMode::Container(id),
            None => bail!("pid: {text:?} is neither host, service:… nor container:…"),
        },
    };
    let ipc = match service.ipc.as_deref() {
        None | Some("" | "private") => IpcMode::Private,
        Some("none") => IpcMode::None,
        Some("host") => IpcMode::Host,
        Some("shareable") => IpcMode::Shareable,
        Some(text) => match other(text) {
            Some(id) => IpcMode::Container(id),
            None => {
                bail!("ipc: {text:?} is neither host, none, private, shareable, service:… nor container:…")
            }
        },
    };
    let host = |text: &Option<String>| text.as_deref() == Some("host");
    Ok(Sharing {
        pid,
        ipc,
        host_uts: host(&service.uts),
        host_users: host(&service.userns_mode),
        keep_id: keep_id(service)?,
        host_cgroups: host(&service.cgroup),
    })
}

/// Returns the ids that the user keeps in a service's containers.
pub(super) fn keep_id(service: &Service) -> Result<Option<KeepId>> {
    let text = service.userns_mode.as_deref().unwrap_or_default();
    let own = idmap::own_ids();
    KeepId::parse(text, own).map_err(|problem| anyhow!("userns_mode: {text:?}: {problem}"))
}

fn volumes_from(context: &Context, service: &Service) -> Result<Vec<String>> {
    let one = |text: &String| {
        let from_container = text.strip_prefix("container:");
        let (name, mode) = match from_container.unwrap_or(text).split_once(':') {
            Some((name, mode @ ("ro" | "rw"))) => (name, format!(":{mode}")),
            Some((_, mode)) => bail!("volumes_from: invalid mode {mode:?}"),
            None => (from_container.unwrap_or(text), String::new()),
        };
        let name = if from_container.is_some() { name.to_owned() } else { of_service(context, name) };
        Ok(format!("{name}{mode}"))
    };
    service.volumes_from.iter().map(one).collect()
}

fn capability(text: &str) -> String {
    let name = text.trim().to_ascii_uppercase();
    if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

fn security_opt(text: &str, context: &Context) -> Result<String> {
    let Some((key, value)) = text.split_once('=').or_else(|| text.split_once(':')) else {
        return Ok(text.to_owned());
    };
    if key != "seccomp" || matches!(value, "unconfined" | "builtin") {
        return Ok(text.to_owned());
    }
    let path = context.directory.join(value);
    let bytes = std::fs::read(&path).with_context(|| format!("read seccomp profile {}", path.display()))?;
    let profile: serde_json::Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("parse seccomp profile {}", path.display()))?;
    Ok(format!("seccomp={profile}"))
}

fn ulimits(service: &Service) -> Vec<Ulimit> {
    let one = |(name, value): (&String, &serde_json::Value)| {
        let part = |key: &str| value.get(key).and_then(serde_json::Value::as_i64);
        let both = value.as_i64();
        Some(Ulimit {
            name: name.clone(),
            soft: both.or_else(|| part("soft"))?,
            hard: both.or_else(|| part("hard"))?,
        })
    };
    service.ulimits.iter().filter_map(one).collect()
}

fn limits(service: &Service) -> Limits {
    let limits = &service.deploy.resources.limits;
    let reservations = &service.deploy.resources.reservations;
    let size = |own: &Option<String>, deploy: &Option<String>| {
        own.as_ref().or(deploy.as_ref()).and_then(|size| size.parse().ok()).unwrap_or(0)
    };
    #[allow(clippy::cast_possible_truncation, reason = "a number of processors")]
    let nano_cpus = (service.cpus.or(limits.cpus).unwrap_or(0.0) * 1e9).round() as i64;
    let micros = |value: &Option<serde_json::Value>| {
        let value = value.as_ref()?;
        value.as_i64().or_else(|| Some(units::duration(value.as_str()?)? / 1000))
    };
    Limits {
        memory: size(&service.mem_limit, &limits.memory),
        memory_swap: size(&service.memswap_limit, &None),
        memory_reservation: size(&service.mem_reservation, &reservations.memory),
        memory_swappiness: service.mem_swappiness.as_deref().and_then(|text| text.parse().ok()),
        oom_kill_disable: service.oom_kill_disable,
        pids: service.pids_limit.or(limits.pids).filter(|pids| *pids != 0),
        nano_cpus,
        cpu_period: micros(&service.cpu_period).unwrap_or(0),
        cpu_quota: micros(&service.cpu_quota).unwrap_or(0),
        cpu_shares: service.cpu_shares.unwrap_or(0),
        cpuset_cpus: service.cpuset.clone().unwrap_or_default(),
        blkio_weight: service.blkio_config.weight.unwrap_or(0),
        blkio_weight_device: rates(&service.blkio_config.weight_device),
        device_read_bps: rates(&service.blkio_config.device_read_bps),
        device_read_iops: rates(&service.blkio_config.device_read_iops),
        device_write_bps: rates(&service.blkio_config.device_write_bps),
        device_write_iops: rates(&service.blkio_config.device_write_iops),
        ..Limits::default()
    }
}

fn rates(own: &[Rate]) -> Vec<DeviceRate> {
    let number = |rate: &Rate| rate.weight.or_else(|| rate.rate.as_deref()?.parse().ok());
    own.iter().filter_map(|rate| Some(DeviceRate { path: rate.path.clone(), rate: number(rate)? })).collect()
}

/// Collects what a service asks for of devices by what they are: `gpus`, what `deploy` reserves, and names of
/// CDI files.
fn device_requests(service: &Service) -> Vec<DeviceRequest> {
    let gpu = |own: &DeviceWish| {
        let mut capabilities = own.capabilities.clone();
        if !capabilities.iter().any(|it| it == "gpu") {
            capabilities.push("gpu".to_owned());
        }
        request_of(own, capabilities)
    };
    let reserved = &service.deploy.resources.reservations.devices;
    let mut found: Vec<DeviceRequest> = service.gpus.iter().map(gpu).collect();
    found.extend(reserved.iter().map(|own| request_of(own, own.capabilities.clone())));
    let named = service.devices.iter().filter(|device| is_cdi(&device.source));
    let device_ids: Vec<String> = named.map(|device| device.source.clone()).collect();
    if !device_ids.is_empty() {
        found.push(DeviceRequest { driver: CDI.to_owned(), device_ids, ..DeviceRequest::default() });
    }
    found
}

fn request_of(own: &DeviceWish, capabilities: Vec<String>) -> DeviceRequest {
    let option = |(key, value): (&String, &Option<String>)| (key.clone(), value.clone().unwrap_or_default());
    DeviceRequest {
        driver: own.driver.clone().unwrap_or_default(),
        // Without a number and without names all are meant.
        count: own.count.unwrap_or(if own.device_ids.is_empty() { -1 } else { 0 }),
        device_ids: own.device_ids.clone(),
        capabilities: vec![capabilities],
        options: own.options.iter().map(option).collect(),
    }
}

/// Returns the seconds that a time is, at least one if it is not zero.
pub(super) fn seconds(text: Option<&str>) -> Option<i64> {
    let time = units::duration(text?)?;
    Some(time / 1_000_000_000 + i64::from(time % 1_000_000_000 > 0))
}
