//! Creating a container: an image's defaults with a user's wishes over them, written once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::config::{
    Attachment, ContainerConfig, Mount, MountSource, NetworkMode, ProcessConfig, RestartPolicy,
};
use super::dir::{ContainerDir, now};
use super::request::{CreateRequest, MountRequest, VolumeWishes};
use super::sharing::{IpcMode, PidMode};
use super::{etc, event, health, inherit, limits, name, signal, volumes};
use crate::idmap::Identity;
use crate::image::{self, Defaults, Image};
use crate::network::{self, Found};
use crate::oci::Platform;
use crate::store::{Layers, MapKey, Mode, Pin, Store, random_id, write_json_new};
use crate::volume::{self, VolumeRecord};

/// A container that now exists.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the user should know, one line each.
    pub warnings: Vec<String>,
}

/// Creates a container. Either it exists afterwards, whole and with its name, or nothing of it does.
pub fn create(store: &Store, identity: &Identity, image: &Image, request: CreateRequest) -> Result<Created> {
    let id = random_id();
    let chosen = request.name.as_deref().map(name::parse).transpose()?;
    let mut warnings = Vec::new();
    let platform = platform(image, &mut warnings);
    let request = with_networks(store, with_containers(store, request)?)?;
    if request.network == NetworkMode::Host && (!request.ports.is_empty() || request.publish_all) {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    let mut request = request;
    warnings.extend(limits::settle(&mut request.limits, &request.cgroup_parent)?);
    let identity = identity.clone().keeping(request.sharing.kept())?;
    let map = MapKey::of(&identity.inside().text());
    let inherited = inherit::mounts(store, &request.volumes_from)?;
    find_images(store, &mut request.mounts)?;
    let wishes = wishes(&request.mounts)?;
    let config = plan(&id, request, inherited, image, map, platform)?;
    check(&config)?;

    let staged = store.stage()?;
    let pin = Pin { image: Some(config.image), layers: config.all_layers().collect(), ..Pin::default() };
    staged.pin(store, &pin)?;
    // From here on no sweep takes them; until here one may have.
    let layers = store.layers(&config.map);
    if !config.layers.iter().all(|layer| layers.has(layer)) {
        bail!("No such image: {}", config.image_name);
    }
    if let Some(lost) = config.all_layers().find(|layer| !layers.has(layer)) {
        bail!("an image to mount is not unpacked: layer {lost} is missing");
    }
    let mut made = MadeVolumes { store, names: Vec::new() };
    // From the first volume to the container's name, nobody takes unused volumes away.
    let mounts_volumes = config.mounts.iter().any(|m| matches!(m.source, MountSource::Volume { .. }));
    let _volumes = mounts_volumes.then(|| volumes::lock(store, Mode::Shared)).transpose()?;
    for mount in &config.mounts {
        if let MountSource::Volume { name, anonymous, .. } = &mount.source {
            let wishes = wishes.get(&mount.target).cloned().unwrap_or_default();
            let record = VolumeRecord {
                name: name.clone(),
                created: config.created.clone(),
                labels: wishes.labels,
                anonymous: *anonymous,
                options: wishes.options,
            };
            if volume::ensure(store, &record)? && *anonymous {
                made.names.push(name.clone());
            }
        }
    }
    fill(&staged.path(&id), &config, &pin, &layers)?;
    let name = claim(store, chosen, &id)?;
    let published = staged.publish(&id, &store.containers().join(&id));
    if !matches!(published, Ok(true)) {
        name::release(store, &name, &id);
        published?;
        bail!("create container {id}: its directory exists already");
    }
    if !config.auto_remove {
        let parent = fs::File::open(store.containers());
        parent.and_then(|dir| dir.sync_all()).context("write the container to the disk")?;
    }
    made.names.clear();
    event::note_named(store, &config, &name, "create", &[]);
    Ok(Created { id, name, warnings })
}

/// Finds the images that are to be mounted. They are here, and unpacked.
fn find_images(store: &Store, requests: &mut [MountRequest]) -> Result<()> {
    for request in requests {
        if let MountSource::Image { name, id, layers, .. } = &mut request.mount.source {
            let found = image::resolve(store, name)?;
            *id = Some(found.id);
            *layers = found.layers;
        }
    }
    Ok(())
}

/// Returns what volumes are to be that are made, by the paths where they are mounted.
fn wishes(requests: &[MountRequest]) -> Result<BTreeMap<String, VolumeWishes>> {
    let mut wishes = BTreeMap::new();
    for request in requests.iter().filter(|request| request.volume != VolumeWishes::default()) {
        let driver = &request.volume.driver;
        if !matches!(driver.as_str(), "" | "local") {
            bail!("error looking up volume plugin {driver}: plugin \"{driver}\" not found");
        }
        wishes.insert(clean_target(&request.mount.target)?, request.volume.clone());
    }
    Ok(wishes)
}

/// Anonymous volumes to take back if the container does not come to be.
struct MadeVolumes<'a> {
    store: &'a Store,
    names: Vec<String>,
}

impl Drop for MadeVolumes<'_> {
    fn drop(&mut self) {
        for name in &self.names {
            // Empty and ours; if it stays, it is an unused volume, as Docker leaves them too.
            let _ = volume::remove(self.store, name);
        }
    }
}

fn claim(store: &Store, chosen: Option<String>, id: &str) -> Result<String> {
    if let Some(name) = chosen {
        name::claim(store, &name, id)?;
        return Ok(name);
    }
    let mut attempt = 0;
    loop {
        let name = name::make_up(attempt);
        match name::claim(store, &name, id) {
            Ok(()) => return Ok(name),
            Err(error) if error.is::<name::NameTaken>() && attempt < 100 => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn platform(image: &Image, warnings: &mut Vec<String>) -> String {
    let host = Platform::host();
    let platform = image.config.platform();
    if !host.runs(&platform) {
        warnings.push(format!(
            "The requested image's platform ({platform}) does not match the detected host platform ({host}) \
             and no specific platform was requested"
        ));
    }
    platform.to_string()
}

/// Lays the wishes over the image's defaults. Touches nothing but missing directories of the host that `-v`
/// names.
fn plan(
    id: &str,
    request: CreateRequest,
    inherited: Vec<Mount>,
    image: &Image,
    map: MapKey,
    platform: String,
) -> Result<ContainerConfig> {
    let defaults = &image.config.config;
    let process = process(&request, defaults);
    if process.argv().is_empty() {
        bail!("no command specified");
    }
    let mut labels = defaults.labels.clone();
    labels.extend(request.labels);
    let mut exposed_ports = request.exposed_ports;
    exposed_ports.extend(defaults.exposed_ports.keys().cloned());
    exposed_ports
        .extend(request.ports.iter().map(|port| format!("{}/{}", port.container_port, port.protocol.name())));
    let hostname = match request.hostname {
        Some(hostname) => hostname,
        None if request.network == NetworkMode::Host || request.sharing.host_uts => host_name(),
        None => id[..12].to_owned(),
    };
    let (mounts, inherited) = mounts(request.mounts, &request.tmpfs, inherited, defaults)?;
    Ok(ContainerConfig {
        id: id.to_owned(),
        created: now(),
        image_name: request.image_name,
        image: image.record.id,
        layers: image.record.layers.clone(),
        map,
        mounts,
        process,
        hostname,
        domainname: request.domainname,
        labels,
        annotations: request.annotations,
        attach: request.attach,
        stop_signal: request.stop_signal.unwrap_or_else(|| defaults.stop_signal.clone()),
        stop_timeout: request.stop_timeout.or(defaults.stop_timeout),
        exposed_ports,
        image_volumes: defaults.volumes.keys().cloned().collect(),
        healthcheck: health::merge(defaults.healthcheck.as_ref(), request.health.as_ref())?,
        shell: defaults.shell.clone().unwrap_or_default(),
        tmpfs: request.tmpfs,
        read_only: request.read_only,
        init: request.init,
        privileged: request.privileged,
        cap_add: request.cap_add,
        cap_drop: request.cap_drop,
        security_opt: request.security_opt,
        ulimits: request.ulimits,
        limits: request.limits,
        cgroup_parent: request.cgroup_parent,
        shm_size: request.shm_size.filter(|size| *size > 0).unwrap_or(64 << 20),
        sysctls: request.sysctls,
        device_requests: request.device_requests,
        cdi_dirs: request.cdi_dirs,
        devices: request.devices,
        group_add: request.group_add,
        extra_hosts: request.extra_hosts,
        restart: request.restart,
        network: request.network,
        networks: request.networks,
        ports: request.ports,
        publish_all: request.publish_all,
        dns: request.dns,
        dns_search: request.dns_search,
        dns_options: request.dns_options,
        sharing: request.sharing,
        volumes_from: request.volumes_from,
        inherited,
        volume_driver: request.volume_driver,
        oom_score_adj: request.oom_score_adj,
        auto_remove: request.auto_remove,
        cidfile: request.cidfile,
        log: request.log,
        journald: request.journald,
        log_options: request.log_options,
        platform,
    })
}

/// Finds the containers whose namespaces are to be shared, and refuses what contradicts that.
fn with_containers(store: &Store, mut request: CreateRequest) -> Result<CreateRequest> {
    let id = |text: &str| name::find(store, text).map(|dir| dir.id().to_owned());
    let sharing = &mut request.sharing;
    if let PidMode::Container(text) = &sharing.pid {
        sharing.pid = PidMode::Container(id(text)?);
    }
    if let IpcMode::Container(text) = &sharing.ipc {
        sharing.ipc = IpcMode::Container(id(text)?);
    }
    if sharing.host_uts && request.hostname.is_some() {
        bail!("conflicting options: hostname and the UTS mode");
    }
    Ok(request)
}

/// Finds the networks and the container that are named, and refuses what contradicts them.
fn with_networks(store: &Store, mut request: CreateRequest) -> Result<CreateRequest> {
    if let NetworkMode::Container(text) = &request.network {
        for (given, what) in [
            (request.hostname.is_some(), "hostname and the network mode"),
            (!request.dns.is_empty(), "dns and the network mode"),
            (!request.extra_hosts.is_empty(), "custom host-to-IP mapping and the network mode"),
            (
                !request.ports.is_empty() || request.publish_all,
                "port publishing and the container type network mode",
            ),
            (!request.exposed_ports.is_empty(), "port exposing and the container type network mode"),
        ] {
            if given {
                bail!("conflicting options: {what}");
            }
        }
        let other = name::find(store, text)?;
        let config = other.config()?;
        if let NetworkMode::Container(_) = config.network {
            bail!("cannot join the network of container {text}: it has none of its own");
        }
        request.hostname = Some(config.hostname);
        request.network = NetworkMode::Container(other.id().to_owned());
    }
    if request.network == NetworkMode::Default && request.networks.is_empty() {
        request.networks.push(Attachment { network: "bridge".to_owned(), ..Attachment::default() });
    }
    if !request.network.is_bridged() {
        request.networks.clear();
    }
    let mut seen = BTreeSet::new();
    for attachment in &mut request.networks {
        // The default network has no wishes to check unless there are some, and is made at the first start.
        let plain = Attachment { network: "bridge".to_owned(), ..Attachment::default() };
        if *attachment != plain {
            let Found::Network(network) = network::find(store, &attachment.network)? else {
                bail!(
                    "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
                );
            };
            attachment.network.clone_from(&network.name);
            attachment.id.clone_from(&network.id);
            super::network::check(attachment, &network)?;
            super::link::fix(store, attachment)?;
        }
        if !seen.insert(attachment.network.clone()) {
            bail!("network {:?} is specified multiple times", attachment.network);
        }
    }
    Ok(request)
}

fn process(request: &CreateRequest, defaults: &Defaults) -> ProcessConfig {
    let command = Some(request.command.clone()).filter(|command| !command.is_empty());
    // As Docker: an entry point of the user's takes the image's command away with the image's entry point.
    let (entrypoint, cmd) = match &request.entrypoint {
        Some(entrypoint) => (Some(entrypoint.clone()).filter(|words| !words.is_empty()), command),
        None => (defaults.entrypoint.clone(), command.or_else(|| defaults.cmd.clone())),
    };
    let mut env = Vec::new();
    for entry in defaults.env.iter().chain(&request.env) {
        set_variable(&mut env, entry);
    }
    let attached_stdin = request.open_stdin && request.attach.stdin;
    ProcessConfig {
        entrypoint,
        cmd,
        env,
        user: match (&request.user, &request.sharing.keep_id) {
            (Some(user), _) => user.clone(),
            // As podman: an image's own user counts for more.
            (None, Some(keep)) if defaults.user.is_empty() => keep.user(),
            (None, _) => defaults.user.clone(),
        },
        working_dir: request.working_dir.clone().unwrap_or_else(|| defaults.working_dir.clone()),
        tty: request.tty,
        open_stdin: request.open_stdin,
        stdin_once: attached_stdin,
    }
}

/// Sets `KEY=value` in place of an older one of that key; `KEY` alone takes it away.
pub(super) fn set_variable(env: &mut Vec<String>, entry: &str) {
    let (key, keep) = entry.split_once('=').map_or((entry, false), |(key, _)| (key, true));
    let same = |other: &String| other.split_once('=').map_or(other.as_str(), |(name, _)| name) == key;
    match (env.iter().position(same), keep) {
        (Some(at), true) => entry.clone_into(&mut env[at]),
        (Some(at), false) => {
            env.remove(at);
        }
        (None, true) => env.push(entry.to_owned()),
        (None, false) => {}
    }
}

fn mounts(
    requests: Vec<MountRequest>,
    tmpfs: &BTreeMap<String, String>,
    inherited: Vec<Mount>,
    defaults: &Defaults,
) -> Result<(Vec<Mount>, BTreeSet<String>)> {
    let mut mounts: Vec<Mount> = Vec::new();
    for MountRequest { mut mount, create_source, .. } in requests {
        mount.target = clean_target(&mount.target)?;
        if mounts.iter().any(|other| other.target == mount.target) || tmpfs.contains_key(&mount.target) {
            bail!("Duplicate mount point: {}", mount.target);
        }
        match &mut mount.source {
            MountSource::Bind { path, .. } => bind_source(path, create_source)?,
            MountSource::Volume { name, anonymous, .. } => {
                if name.is_empty() {
                    *name = random_id();
                    *anonymous = true;
                }
                volume::check_name(name)?;
            }
            MountSource::Image { .. } => mount.read_only = true,
            MountSource::Tmpfs { .. } => {}
        }
        mounts.push(mount);
    }
    let mut targets = BTreeSet::new();
    for mount in inherited {
        // What is asked for by itself counts more.
        if !mounts.iter().any(|other| other.target == mount.target) && !tmpfs.contains_key(&mount.target) {
            targets.insert(mount.target.clone());
            mounts.push(mount);
        }
    }
    for path in defaults.volumes.keys() {
        let target = clean_target(path)?;
        if mounts.iter().any(|mount| mount.target == target) || tmpfs.contains_key(&target) {
            continue;
        }
        mounts.push(Mount {
            source: MountSource::Volume {
                name: random_id(),
                anonymous: true,
                no_copy: false,
                subpath: String::new(),
            },
            target,
            read_only: false,
        });
    }
    Ok((mounts, targets))
}

/// Brings a path inside into its shortest form; it must be absolute and not the root.
fn clean_target(path: &str) -> Result<String> {
    if !path.starts_with('/') {
        bail!(
            "invalid volume specification: '{path}': invalid mount config for type \"volume\": invalid mount path: '{path}' mount path must be absolute"
        );
    }
    let mut clean = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    if clean == Path::new("/") {
        bail!("invalid volume specification: '{path}': invalid specification: destination can't be '/'");
    }
    Ok(clean.to_string_lossy().into_owned())
}

fn bind_source(path: &str, create: bool) -> Result<()> {
    match fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
            fs::create_dir_all(path).with_context(|| format!("create directory {path} for a bind mount"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("invalid mount config for type \"bind\": bind source path does not exist: {path}")
        }
        Err(error) => Err(error).with_context(|| format!("look at bind source {path}")),
    }
}

/// Refuses now what would otherwise fail at the start.
fn check(config: &ContainerConfig) -> Result<()> {
    super::log::check(config)?;
    crate::runtime::capability::decide(&config.cap_add, &config.cap_drop, config.privileged)?;
    super::filter::of(config, config.privileged)?;
    if !config.stop_signal.is_empty() {
        signal::parse(&config.stop_signal)?;
    }
    if config.auto_remove && config.restart != RestartPolicy::No {
        bail!("can't create 'AutoRemove' container with restart policy");
    }
    check_oom_score(config.oom_score_adj)?;
    if !matches!(config.volume_driver.as_str(), "" | "local") && !config.mounts.is_empty() {
        let driver = &config.volume_driver;
        bail!("error looking up volume plugin {driver}: plugin \"{driver}\" not found");
    }
    for limit in &config.ulimits {
        if limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard) {
            bail!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                limit.soft,
                limit.hard
            );
        }
    }
    if !config.process.working_dir.is_empty() && !config.process.working_dir.starts_with('/') {
        bail!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.process.working_dir
        );
    }
    let gateway = config.extra_hosts.iter().find(|entry| entry.ends_with("host-gateway"));
    if let Some(entry) = gateway
        && config.network == NetworkMode::None
    {
        bail!("--add-host {entry}: host-gateway needs a network that reaches the host");
    }
    if config.hostname.len() > 63 || config.hostname.contains(['/', '\0', '\n']) {
        bail!("invalid hostname: {:?}", config.hostname);
    }
    for key in config.sysctls.keys() {
        if !config.network.is_private() && key.starts_with("net.") {
            bail!("sysctl {key:?} not allowed in host network namespace");
        }
        let namespaced = key.starts_with("net.")
            || key.starts_with("fs.mqueue.")
            || key.starts_with("kernel.msg")
            || key.starts_with("kernel.sem")
            || key.starts_with("kernel.shm")
            || key == "kernel.domainname"
            || key == "kernel.hostname";
        if !namespaced || key.contains("..") || key.contains('/') {
            bail!("sysctl {key:?} is not in a separate kernel namespace");
        }
    }
    Ok(())
}

/// Refuses a score that the processes cannot be given. Only root of the machine may lower what a user's
/// processes have (proc(5), `oom_score_adj`).
fn check_oom_score(wanted: i32) -> Result<()> {
    if !(-1000..=1000).contains(&wanted) {
        bail!("Invalid value {wanted}, range for oom score adj is [-1000, 1000]");
    }
    let path = "/proc/self/oom_score_adj";
    let own = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i32>().ok()).unwrap_or(0);
    if wanted == 0 || wanted >= own {
        return Ok(());
    }
    // It may be lowered to where it was before this user has raised it; that shows when it is tried.
    let lowered = fs::write(path, wanted.to_string());
    let _ = fs::write(path, own.to_string());
    if lowered.is_err() {
        bail!(
            "--oom-score-adj {wanted}: only root may lower it below this user's own, {own}; it can be raised"
        );
    }
    Ok(())
}

/// Makes the container's directory, not yet under its final name.
fn fill(dir: &Path, config: &ContainerConfig, pin: &Pin, layers: &Layers) -> Result<()> {
    let make = |path: PathBuf, mode| {
        fs::DirBuilder::new().mode(mode).create(&path).with_context(|| format!("create {}", path.display()))
    };
    make(dir.to_owned(), 0o711)?;
    make(dir.join("upper"), 0o755)?;
    make(dir.join("work"), 0o700)?;
    if let Some(top) = config.layers.last()
        && let Ok(meta) = fs::metadata(layers.tree(top))
        && meta.permissions().mode() & 0o7777 != 0o755
    {
        // The root directory inside is the upper one: it looks as the image's does.
        fs::set_permissions(dir.join("upper"), meta.permissions())
            .context("set the mode of the root directory")?;
    }
    etc::put(&dir.join("hostname"), &format!("{}\n", config.hostname))?;
    // Without a network yet: they are made anew at each start.
    etc::write(dir, config, &etc::Facts::default())?;
    let sync = !config.auto_remove;
    write_json_new(&dir.join(Pin::FILE), pin, sync)?;
    write_json_new(&dir.join("config.json"), config, sync)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns the directory of a container that was just created.
impl Created {
    /// Returns the container's directory.
    pub fn dir(&self, store: &Store) -> ContainerDir {
        ContainerDir::new(store, &self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_variables_win_in_place() {
        let mut env = vec!["A=1".to_owned(), "B=2".to_owned()];
        set_variable(&mut env, "A=3");
        set_variable(&mut env, "B");
        set_variable(&mut env, "C");
        set_variable(&mut env, "D=");
        assert_eq!(env, ["A=3", "D="]);
    }

    #[test]
    fn an_entry_point_takes_the_images_command_away() {
        let defaults = Defaults {
            entrypoint: Some(vec!["/entry".into()]),
            cmd: Some(vec!["serve".into()]),
            ..Defaults::default()
        };
        let argv = |request: CreateRequest| process(&request, &defaults).argv().join(" ");
        assert_eq!(argv(CreateRequest::default()), "/entry serve");
        assert_eq!(argv(CreateRequest { command: vec!["x".into()], ..CreateRequest::default() }), "/entry x");
        let own = CreateRequest { entrypoint: Some(vec!["sh".into()]), ..CreateRequest::default() };
        assert_eq!(argv(own), "sh");
        let none =
            CreateRequest { entrypoint: Some(vec![]), command: vec!["y".into()], ..CreateRequest::default() };
        assert_eq!(argv(none), "y");
    }

    #[test]
    fn cleans_targets() {
        assert_eq!(clean_target("/a/../b//c/.").unwrap(), "/b/c");
        assert!(clean_target("a").is_err());
        assert!(clean_target("/a/..").is_err());
    }
}
