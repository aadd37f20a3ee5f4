//! `ContainerConfig` → OCI runtime `Spec`: pure, so that a changed default shows in a test.
//!
//! The defaults are Docker's (moby `daemon/pkg/oci/defaults.go`): mounts, masked and read-only paths,
//! namespaces, environment.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::config::{ContainerConfig, MountSource, ProcessConfig, Ulimit};
use super::security::{self, Security};
use super::sharing::{IpcMode, PidMode};
use super::strays;
use crate::oci::runtime::{
    LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, PosixRlimit,
    PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
};
use crate::runtime::capability;
use crate::runtime::defaults::{
    self, MASKED, PATH, READ_ONLY, capabilities, mount, network_sysctls, own, system,
};
use crate::runtime::{BELOW, LAYER, LAYERS};
use crate::volume::Local;

/// Where on the host the things lie that a spec mounts: the only facts it needs beside the configuration.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The directory of the container that has the network: with it come `hosts` and `resolv.conf`, and
    /// `hostname`, as in Docker.
    pub network: PathBuf,
    /// The namespaces of other containers to enter: kind and file.
    pub joined: Vec<(LinuxNamespaceType, PathBuf)>,
    /// Whether the host has `/dev/mqueue`.
    pub host_queues: bool,
    /// The directory of all volumes.
    pub volumes: PathBuf,
    /// The trees of images that are mounted, the top one first, by the paths where they are mounted.
    pub images: BTreeMap<String, Vec<PathBuf>>,
    /// Those volumes that are not directories of their own, by name.
    pub locals: BTreeMap<String, Local>,
    /// Device nodes of the host that a privileged container gets.
    pub devices: Vec<PathBuf>,
}

/// Makes the spec of a container. Its user stays 0: names are resolved in the root file system, later.
pub(super) fn build(config: &ContainerConfig, places: &Places) -> Result<Spec> {
    let security = security::parse(&config.security_opt)?;
    let unmasked = config.privileged || security.unmasked;
    // Said even where there are none: the builder has defaults of its own.
    let linux = LinuxBuilder::default()
        .namespaces(namespaces(config, places))
        .sysctl(sysctls(config))
        .masked_paths(if unmasked { Vec::new() } else { own(&MASKED) })
        .readonly_paths(if unmasked { Vec::new() } else { own(&READ_ONLY) });
    let annotations: HashMap<String, String> = config.annotations.clone().into_iter().collect();
    SpecBuilder::default()
        .version("1.2.1")
        .hostname(config.hostname.as_str())
        .domainname(config.domainname.as_str())
        .root(RootBuilder::default().path("rootfs").readonly(config.read_only).build()?)
        .process(process(config, &security, &config.process, config.privileged)?)
        .mounts(mounts(config, places)?)
        .annotations(annotations)
        .linux(linux.build()?)
        .build()
        .context("make the runtime spec")
}

/// Makes the process of an `exec` in a container.
pub(super) fn exec_process(
    config: &ContainerConfig,
    process_config: &ProcessConfig,
    privileged: bool,
) -> Result<Process> {
    let security = security::parse(&config.security_opt)?;
    process(config, &security, process_config, privileged || config.privileged)
}

fn process(
    config: &ContainerConfig,
    security: &Security,
    process: &ProcessConfig,
    privileged: bool,
) -> Result<Process> {
    let cwd = if process.working_dir.is_empty() { "/" } else { &process.working_dir };
    let made = ProcessBuilder::default()
        .terminal(process.tty)
        .args(process.argv())
        .env(environment(config, process))
        .cwd(cwd)
        .capabilities(capabilities(&capability::decide(&config.cap_add, &config.cap_drop, privileged)?)?)
        .rlimits(config.ulimits.iter().map(rlimit).collect::<Result<Vec<_>>>()?)
        .no_new_privileges(security.no_new_privileges);
    let made = if config.oom_score_adj == 0 { made } else { made.oom_score_adj(config.oom_score_adj) };
    made.build().context("make the runtime spec's process")
}

/// The environment in Docker's order: `PATH`, `HOSTNAME`, `TERM`, then what image and user set.
fn environment(config: &ContainerConfig, process: &ProcessConfig) -> Vec<String> {
    let mut env = Vec::with_capacity(process.env.len() + 3);
    env.push(format!("PATH={PATH}"));
    env.push(format!("HOSTNAME={}", config.hostname));
    if process.tty {
        env.push("TERM=xterm".to_owned());
    }
    for entry in &process.env {
        super::create::set_variable(&mut env, entry);
    }
    env
}

/// The numbers of getrlimit(2) by their names in lower case; Docker takes the same.
fn rlimit(limit: &Ulimit) -> Result<PosixRlimit> {
    let typ: PosixRlimitType = serde_json::from_value(serde_json::Value::String(format!(
        "RLIMIT_{}",
        limit.name.to_ascii_uppercase()
    )))
    .with_context(|| format!("invalid ulimit type: {}", limit.name))?;
    // -1 becomes RLIM_INFINITY, as in Docker.
    #[allow(clippy::cast_sign_loss)]
    let (soft, hard) = (limit.soft as u64, limit.hard as u64);
    PosixRlimitBuilder::default().typ(typ).soft(soft).hard(hard).build().context("make a resource limit")
}

fn namespaces(config: &ContainerConfig, places: &Places) -> Vec<LinuxNamespace> {
    let sharing = &config.sharing;
    let private = [
        (LinuxNamespaceType::User, true),
        (LinuxNamespaceType::Mount, true),
        (LinuxNamespaceType::Pid, sharing.pid == PidMode::Private),
        (
            LinuxNamespaceType::Ipc,
            matches!(sharing.ipc, IpcMode::Private | IpcMode::None | IpcMode::Shareable),
        ),
        (LinuxNamespaceType::Uts, !sharing.host_uts),
        (LinuxNamespaceType::Cgroup, !sharing.host_cgroups),
        (LinuxNamespaceType::Network, config.network.is_private()),
    ];
    let is_joined = |kind| places.joined.iter().any(|(joined, _)| *joined == kind);
    let own = private
        .into_iter()
        .filter(|(kind, private)| *private && !is_joined(*kind))
        .map(|(kind, _)| LinuxNamespaceBuilder::default().typ(kind));
    let shared = places
        .joined
        .iter()
        .map(|(kind, path)| LinuxNamespaceBuilder::default().typ(*kind).path(path.clone()));
    own.chain(shared).filter_map(|namespace| namespace.build().ok()).collect()
}

/// With a network of its own a container may open low ports and ping without capabilities, as in Docker. What
/// the user says about the same parameters counts more.
fn sysctls(config: &ContainerConfig) -> HashMap<String, String> {
    let mut sysctls = HashMap::new();
    if config.network.is_private() {
        sysctls = network_sysctls();
    }
    sysctls.extend(config.sysctls.clone());
    sysctls
}

fn mounts(config: &ContainerConfig, places: &Places) -> Result<Vec<Mount>> {
    let access = if config.privileged { "rw" } else { "ro" };
    // Those that stay behind when its first process ends are found by it.
    let dev = if config.sharing.dies_as_one() { "tmpfs".to_owned() } else { strays::mark(&config.id) };
    let mut mounts = defaults::mounts(&dev, access)?;
    let ipc = &config.sharing.ipc;
    if *ipc != IpcMode::Host || places.host_queues {
        mounts.push(system("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?);
    }
    match ipc {
        IpcMode::None => {}
        IpcMode::Host => {
            mounts.push(mount("/dev/shm", "bind", Path::new("/dev/shm"), &["rbind", "rprivate"])?);
        }
        // That of another container is put in its place when it is started.
        IpcMode::Private | IpcMode::Shareable | IpcMode::Container(_) => {
            mounts.push(defaults::shared_memory(config.shm_size)?);
        }
    }
    for (target, file) in
        [("/etc/resolv.conf", "resolv.conf"), ("/etc/hostname", "hostname"), ("/etc/hosts", "hosts")]
    {
        if !config.mounts.iter().any(|mount| mount.target == target) {
            mounts.push(mount(target, "bind", &places.network.join(file), &["bind", "rprivate"])?);
        }
    }
    let privileged = places.devices.iter().map(|path| (path.as_path(), path.as_path(), true));
    let asked = config.devices.iter().map(|device| {
        (Path::new(&device.host), Path::new(&device.container), device.permissions.contains('w'))
    });
    for (host, inside, write) in privileged.chain(asked) {
        let access = if write { "rw" } else { "ro" };
        mounts.push(mount(&inside.to_string_lossy(), "bind", host, &["bind", access, "nosuid", "noexec"])?);
    }
    mounts.extend(wished(config, places)?);
    Ok(mounts)
}

/// What the user and the image want mounted, outer directories before inner ones.
fn wished(config: &ContainerConfig, places: &Places) -> Result<Vec<Mount>> {
    let mut wished: Vec<(&str, Mount)> = Vec::new();
    for wish in &config.mounts {
        let access = if wish.read_only { "ro" } else { "rw" };
        let made = match &wish.source {
            MountSource::Bind { path, propagation, recursive } => {
                let bind = if *recursive { "rbind" } else { "bind" };
                mount(&wish.target, "bind", Path::new(path), &[bind, access, propagation])?
            }
            MountSource::Volume { name, subpath, .. } => {
                let mut source = places.volumes.join(name).join("_data");
                if !subpath.is_empty() {
                    source.push(subpath);
                }
                let (kind, source, words) = match places.locals.get(name) {
                    Some(Local::Memory { words }) => ("tmpfs", Path::new("tmpfs"), words.as_slice()),
                    Some(Local::Directory { words, .. }) => ("bind", source.as_path(), words.as_slice()),
                    Some(Local::Own) | None => ("bind", source.as_path(), &[][..]),
                };
                let access = if words.iter().any(|word| word == "ro") { "ro" } else { access };
                let mut options =
                    if kind == "bind" { vec!["rbind", access, "rprivate"] } else { vec![access] };
                options.extend(words.iter().map(String::as_str).filter(|word| !matches!(*word, "ro" | "rw")));
                mount(&wish.target, kind, source, &options)?
            }
            MountSource::Image { subpath, .. } => {
                let trees = places.images.get(&wish.target).map_or(&[][..], Vec::as_slice);
                let mut options: Vec<String> =
                    trees.iter().map(|tree| format!("{LAYER}={}", tree.display())).collect();
                options.extend((!subpath.is_empty()).then(|| format!("{BELOW}={subpath}")));
                options.push("ro".to_owned());
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                mount(&wish.target, LAYERS, Path::new(LAYERS), &options)?
            }
            MountSource::Tmpfs { size, mode } => {
                let mut options =
                    vec!["nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned(), access.to_owned()];
                options.extend(size.map(|size| format!("size={size}")));
                options.push(format!("mode={:o}", mode.unwrap_or(0o1777)));
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                mount(&wish.target, "tmpfs", Path::new("tmpfs"), &options)?
            }
        };
        wished.push((&wish.target, made));
    }
    for (target, options) in &config.tmpfs {
        let mut all = vec!["nosuid", "nodev", "noexec"];
        for option in options.split(',').filter(|option| !option.is_empty()) {
            // `exec` takes back `noexec`, and so on.
            let opposite = option.strip_prefix("no").map_or_else(|| format!("no{option}"), str::to_owned);
            all.retain(|other| *other != opposite && *other != option);
            all.push(option);
        }
        if !all.iter().any(|option| option.starts_with("mode=")) {
            all.push("mode=1777");
        }
        wished.push((target, mount(target, "tmpfs", Path::new("tmpfs"), &all)?));
    }
    wished.sort_by_key(|(target, _)| Path::new(target).components().count());
    Ok(wished.into_iter().map(|(_, mount)| mount).collect())
}

#[cfg(test)]
pub(in crate::container) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::container::config::{Attach, LogDriver, NetworkMode, RestartPolicy};
    use crate::oci::Digest;
    use crate::store::MapKey;

    /// Returns a configuration with nothing special in it.
    pub(in crate::container) fn config() -> ContainerConfig {
        ContainerConfig {
            id: "0123456789ab".repeat(6)[..64].to_owned(),
            created: String::new(),
            image_name: "debian".into(),
            image: Digest::of(b"image"),
            layers: Vec::new(),
            map: MapKey::of("0 1000 1"),
            process: ProcessConfig {
                cmd: Some(vec!["bash".into()]),
                env: vec!["PATH=/bin".into(), "LANG=C".into()],
                ..ProcessConfig::default()
            },
            hostname: "0123456789ab".into(),
            domainname: String::new(),
            labels: BTreeMap::default(),
            annotations: BTreeMap::default(),
            attach: Attach::default(),
            stop_signal: String::new(),
            stop_timeout: None,
            exposed_ports: BTreeSet::default(),
            image_volumes: BTreeSet::default(),
            healthcheck: None,
            shell: Vec::new(),
            log_options: BTreeMap::new(),
            mounts: Vec::new(),
            tmpfs: BTreeMap::default(),
            read_only: false,
            init: false,
            privileged: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            security_opt: Vec::new(),
            ulimits: Vec::new(),
            shm_size: 64 << 20,
            sysctls: BTreeMap::default(),
            devices: Vec::new(),
            device_requests: Vec::new(),
            cdi_dirs: Vec::new(),
            group_add: Vec::new(),
            extra_hosts: Vec::new(),
            restart: RestartPolicy::No,
            network: NetworkMode::Default,
            networks: Vec::new(),
            ports: Vec::new(),
            publish_all: false,
            dns: Vec::new(),
            dns_search: Vec::new(),
            dns_options: Vec::new(),
            sharing: crate::container::Sharing::default(),
            volumes_from: Vec::new(),
            inherited: BTreeSet::default(),
            volume_driver: String::new(),
            oom_score_adj: 0,
            limits: crate::runtime::Limits::default(),
            cgroup_parent: String::new(),
            auto_remove: false,
            cidfile: String::new(),
            log: LogDriver::JsonFile,
            journald: false,
            platform: "linux/amd64".into(),
        }
    }

    fn places() -> Places {
        Places {
            network: "/c".into(),
            joined: Vec::new(),
            host_queues: true,
            volumes: "/v".into(),
            images: BTreeMap::new(),
            locals: BTreeMap::new(),
            devices: vec!["/dev/kvm".into()],
        }
    }

    /// Compares with `tests/fixtures/spec/<name>.json`; with `CORACLE_BLESS` set, writes it.
    fn golden(name: &str, config: &ContainerConfig, places: &Places) {
        let mut spec = serde_json::to_value(build(config, places).unwrap()).unwrap();
        // Sets have no order.
        for set in ["bounding", "effective", "permitted"] {
            let set = spec["process"]["capabilities"][set].as_array_mut().unwrap();
            set.sort_by_key(ToString::to_string);
        }
        let path = format!("{}/tests/fixtures/spec/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = serde_json::to_string_pretty(&spec).unwrap() + "\n";
        if std::env::var_os("CORACLE_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{path}");
    }

    #[test]
    fn the_defaults_are_dockers() {
        golden("default", &config(), &Places { devices: Vec::new(), ..places() });
    }

    #[test]
    fn every_wish_is_in_the_spec() {
        use crate::container::config::{Device, Mount as Wish};
        let wish = |source, target: &str, read_only| Wish { source, target: target.into(), read_only };
        let bind = MountSource::Bind { path: "/src".into(), propagation: "rprivate".into(), recursive: true };
        let volume = MountSource::Volume {
            name: "db".into(),
            anonymous: false,
            no_copy: false,
            subpath: "sub".into(),
        };
        let mut config = config();
        config.mounts = vec![
            wish(bind, "/a/b", true),
            wish(volume, "/a", false),
            wish(MountSource::Tmpfs { size: Some(4096), mode: Some(0o700) }, "/t", false),
        ];
        config.tmpfs.insert("/run".into(), "size=1m,exec".into());
        config.cap_add = vec!["NET_ADMIN".into()];
        config.cap_drop = vec!["CAP_MKNOD".into()];
        config.security_opt = vec!["no-new-privileges".into()];
        config.ulimits = vec![Ulimit { name: "nofile".into(), soft: 10, hard: -1 }];
        config.sysctls.insert("kernel.msgmax".into(), "1".into());
        config.devices =
            vec![Device { host: "/dev/fuse".into(), container: "/dev/f".into(), permissions: "r".into() }];
        config.network = NetworkMode::Host;
        config.read_only = true;
        config.process.tty = true;
        golden("wishes", &config, &Places { devices: Vec::new(), ..places() });
    }

    #[test]
    fn privileged_is_unmasked() {
        golden("privileged", &ContainerConfig { privileged: true, ..config() }, &places());
    }
}
