//! From a configuration to a running process: the bundle that the runtime is given.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::join::{self, Joined};

use crate::container::config::{self, ContainerConfig, MountSource};
use crate::container::dir::ContainerDir;
use crate::container::spec::{self, Places};
use crate::container::{device, filter, link, start};
use crate::idmap::{self, Identity, Kept};
use crate::oci::runtime::{Hooks, Mount, Spec};
use crate::runtime::{
    self, Bundle, NewAccount, Prepared, Process, RootFs, Seed, Subject, Tree, UserRequest, WindowSize,
};
use crate::store::{Lock, Mode, Store, replace_json};
use crate::volume::{self, Local};

/// What a start needs.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) store: &'a Store,
    pub(super) dir: &'a ContainerDir,
    pub(super) config: &'a ContainerConfig,
    pub(super) identity: &'a Identity,
}

/// A container's process that waits to be let go.
#[derive(Debug)]
pub(super) struct Launched {
    prepared: Prepared,
    locks: Vec<Lock>,
    /// What is run for it at its start and at its end.
    hooked: Option<Hooked>,
}

/// A container's process that runs.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Process,
    pub(super) locks: Vec<Lock>,
    pub(super) hooked: Option<Hooked>,
}

/// The hooks of a container, from CDI files, and what they are told.
#[derive(Debug)]
pub(super) struct Hooked {
    subject: Subject,
    hooks: Hooks,
}

impl Hooked {
    /// Makes the directory that hooks read of, with the specification and the place of the container's files.
    fn write(dir: &ContainerDir, spec: &mut Spec, hooks: Hooks) -> Result<Self> {
        let bundle = dir.join("bundle");
        spec.set_hooks(Some(hooks.clone()));
        let mut told = spec.clone();
        if let Some(root) = told.root_mut() {
            // Where they are mounted while the container is made.
            root.set_path(dir.join("upper"));
        }
        match fs::create_dir(&bundle) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("make {}", bundle.display()));
            }
            _ => {}
        }
        replace_json(&bundle.join("config.json"), &told)?;
        Ok(Self { subject: Subject { id: dir.id().to_owned(), bundle }, hooks })
    }

    /// Runs what is to be run when the process of the container runs.
    pub(super) fn started(&self, pid: i32) -> Result<()> {
        self.subject.run("poststart", self.hooks.poststart().as_deref(), "running", pid)
    }

    /// Runs what is to be run when it has ended.
    pub(super) fn stopped(&self) -> Result<()> {
        self.subject.run("poststop", self.hooks.poststop().as_deref(), "stopped", 0)
    }
}

impl Launched {
    /// Returns the process's number.
    pub(super) fn pid(&self) -> i32 {
        self.prepared.pid
    }

    /// Returns the process's network namespace.
    pub(super) fn network(&self) -> Result<OwnedFd> {
        self.prepared.network()
    }

    /// Lets the process go. It comes with the locks of the volumes that it fills, or is the first to have in memory:
    /// they are for as long as nobody else can know that it runs.
    pub(super) fn start(self) -> Result<Started> {
        let Self { prepared, locks, hooked } = self;
        match prepared.start() {
            Ok(process) => Ok(Started { process, locks, hooked }),
            Err(error) => {
                let error = start::explain(error);
                Err(match hooked.as_ref().map(Hooked::stopped) {
                    Some(Err(second)) => error.context(format!("{second:#}")),
                    _ => error,
                })
            }
        }
    }
}

impl Launch<'_> {
    /// Makes the container's process, which waits to be let go. `window` is the size of its terminal; `first`
    /// tells that it has never run, so that empty volumes are filled from the image.
    pub(super) fn prepare(&self, window: Option<(u16, u16)>, first: bool) -> Result<Launched> {
        let resolved = device::resolve(self.config)?;
        let config = resolved.as_ref().map_or(self.config, |resolved| &resolved.config);
        if let Some(device) = config.devices.iter().find(|device| !Path::new(&device.host).exists()) {
            let message = format!(
                "error gathering device information while adding custom device {:?}: no such file or directory",
                device.host
            );
            return Err(start::StartError { code: 127, message, hint: None }.into());
        }
        let rootfs = self.rootfs()?;
        let Joined { network, namespaces, mut trees } =
            join::join(self.store, self.dir, config, &rootfs, self.identity)?;
        let locals = self.locals()?;
        let Volumes { seeds, mounts, locks } = self.volumes(&locals, first)?;
        trees.extend(mounts);
        let places = Places {
            network,
            joined: namespaces,
            host_queues: Path::new("/dev/mqueue").exists(),
            volumes: self.store.volumes(),
            images: self.images()?,
            locals,
            devices: if config.privileged { usable_devices() } else { Vec::new() },
        };
        let linked = link::variables(self.store, config, &self.dir.attachments(config)?)?;
        let mut spec = if linked.is_empty() {
            spec::build(config, &places)?
        } else {
            // Before the container's own, which count for more.
            let mut config = config.clone();
            config.process.env.splice(0..0, linked);
            spec::build(&config, &places)?
        };
        let hooks = resolved.as_ref().and_then(|resolved| resolved.hooks.clone());
        let hooked = hooks.map(|hooks| Hooked::write(self.dir, &mut spec, hooks)).transpose()?;
        let (rows, columns) = window.unwrap_or((0, 0));
        let account = self.account();
        let bundle = Bundle {
            spec: &spec,
            rootfs,
            user: UserRequest { text: &config.process.user, groups: &config.group_add },
            terminal: config.process.tty.then_some(WindowSize { rows, columns }),
            stdin: config.process.open_stdin,
            init: config.init,
            seeds: &seeds,
            trees: &trees,
            subject: hooked.as_ref().map(|hooked| &hooked.subject),
            seccomp: filter::of(config, config.privileged)?,
            identity: self.identity,
            account: account.as_ref(),
        };
        Ok(Launched { prepared: runtime::prepare(&bundle)?, locks, hooked })
    }

    /// Returns the account that the user has inside, where the user's ids are kept.
    fn account(&self) -> Option<NewAccount> {
        let Kept { uid, gid } = self.config.sharing.kept()?;
        // Root's account is the image's.
        let own = self.identity.map.uids.first().filter(|_| uid != 0)?.outside;
        let accounts = fs::read("/etc/passwd").unwrap_or_default();
        let known = idmap::passwd(&accounts).find(|account| account.uid == own);
        let mounted = |home: &String| {
            let below = |target: &str| target != "/" && Path::new(home).starts_with(target);
            self.config.mounts.iter().any(|mount| below(&mount.target))
        };
        // A line of the file has no room for some names (passwd(5)).
        let elsewhere = Some(self.config.process.working_dir.clone())
            .filter(|path| path.starts_with('/') && !path.contains([':', '\n']));
        let home = known.as_ref().map(|account| account.home.clone()).filter(mounted).or(elsewhere);
        Some(NewAccount {
            name: known.map_or_else(|| uid.to_string(), |account| account.name),
            uid,
            gid,
            home: home.unwrap_or_else(|| "/".to_owned()),
        })
    }

    fn rootfs(&self) -> Result<RootFs> {
        let layers = self.store.layers(&self.config.map);
        let upper = self.dir.join("upper");
        let lower = layers.stack(&self.config.layers)?;
        let Some(top) = lower.first() else {
            // An image without layers: the writable directory is all there is.
            return Ok(RootFs::Directory(upper));
        };
        look_like(&upper, top).context("set up the root directory")?;
        Ok(RootFs::Overlay { lower, upper, work: self.dir.join("work"), scratch: self.config.auto_remove })
    }

    /// Returns the trees of the images that are mounted, by the paths where they are.
    fn images(&self) -> Result<BTreeMap<String, Vec<PathBuf>>> {
        let layers = self.store.layers(&self.config.map);
        let mut images = BTreeMap::new();
        for mount in &self.config.mounts {
            if let MountSource::Image { layers: ids, .. } = &mount.source {
                images.insert(mount.target.clone(), layers.stack(ids)?);
            }
        }
        Ok(images)
    }

    /// Returns those of the volumes that are not directories of their own, by name.
    fn locals(&self) -> Result<BTreeMap<String, Local>> {
        let mut locals = BTreeMap::new();
        for mount in &self.config.mounts {
            let MountSource::Volume { name, .. } = &mount.source else { continue };
            let local = match volume::load(self.store, name)? {
                Some(record) => {
                    volume::local(&record.options).with_context(|| format!("mount volume {name}"))?
                }
                None => Local::Own,
            };
            if local != Local::Own {
                locals.insert(name.clone(), local);
            }
        }
        Ok(locals)
    }

    /// Sees to the volumes: finds those to fill if the container has never run, and brings those in memory that other
    /// containers run with. All locks are taken in the order of the volumes' names.
    fn volumes(&self, locals: &BTreeMap<String, Local>, first: bool) -> Result<Volumes> {
        let mut volumes = Volumes::default();
        let mut by_name: BTreeMap<&str, Vec<&config::Mount>> = BTreeMap::new();
        for mount in &self.config.mounts {
            if let MountSource::Volume { name, .. } = &mount.source {
                by_name.entry(name).or_default().push(mount);
            }
        }
        for (name, mounts) in by_name {
            let is_memory = matches!(locals.get(name), Some(Local::Memory { .. }));
            let is_whole = |mount: &&&config::Mount| matches!(&mount.source, MountSource::Volume { subpath, .. } if subpath.is_empty());
            if is_memory && (mounts.len() > 1 || !mounts.iter().all(|mount| is_whole(&mount))) {
                bail!(
                    "volume {name} is in memory, and as such mounted whole and at one place of a container"
                );
            }
            let data = volume::data(self.store, name);
            let fills = |mount: &&&config::Mount| {
                first && matches!(mount.source, MountSource::Volume { no_copy: false, .. }) && is_whole(mount)
            };
            let path = data.with_file_name("lock");
            let lock = || Lock::take(&path, Mode::Exclusive).with_context(|| format!("lock volume {name}"));
            if is_memory {
                volumes.locks.push(lock()?);
                let mount = join::memory(self.store, self.dir.id(), name)
                    .with_context(|| format!("share volume {name}"))?;
                let path = PathBuf::from(&mounts[0].target);
                volumes.mounts.extend(mount.map(|mount| Tree { path, mount }));
            } else if mounts.iter().any(|mount| fills(&mount)) && volume::is_empty(&data) {
                volumes.locks.push(lock()?);
                if volume::is_empty(&data) {
                    let paths = mounts.iter().filter(fills).map(|mount| PathBuf::from(&mount.target));
                    volumes.seeds.extend(paths.map(|path| Seed { path, volume: data.clone() }));
                }
            }
        }
        Ok(volumes)
    }
}

/// What volumes mean for a start.
#[derive(Debug, Default)]
struct Volumes {
    /// Those to fill.
    seeds: Vec<Seed>,
    /// Those in memory that other containers have.
    mounts: Vec<Tree>,
    locks: Vec<Lock>,
}

/// Mounts the files of a container that does not run, as it would see them, and returns the root. Volumes that
/// are still to be filled are filled.
///
/// The process is root of the ancestor user namespace and has one thread; it moves into a mount namespace of its
/// own.
pub(in crate::container) fn view(
    store: &Store,
    dir: &ContainerDir,
    config: &ContainerConfig,
    identity: &Identity,
) -> Result<OwnedFd> {
    let locals = Launch { store, dir, config, identity }.locals()?;
    // What is in memory while it runs is not there now.
    let mut files = ContainerConfig { tmpfs: BTreeMap::new(), devices: Vec::new(), ..config.clone() };
    files.mounts.retain(|mount| match &mount.source {
        MountSource::Volume { name, .. } => !matches!(locals.get(name), Some(Local::Memory { .. })),
        _ => true,
    });
    let launch = Launch { store, dir, config: &files, identity };
    let places = Places {
        network: dir.path().to_owned(),
        joined: Vec::new(),
        host_queues: false,
        volumes: store.volumes(),
        images: launch.images()?,
        locals,
        devices: Vec::new(),
    };
    let mut spec = spec::build(&files, &places)?;
    let own = |mount: &Mount| {
        let source = mount.source().as_deref();
        matches!(mount.typ().as_deref(), Some("bind" | runtime::LAYERS))
            // Of the files that a first start makes, there are none before it.
            && source.is_none_or(|source| !source.starts_with(dir.path()) || source.exists())
    };
    spec.set_mounts(spec.mounts().clone().map(|mounts| mounts.into_iter().filter(own).collect()));
    spec.set_linux(None).set_process(None);
    let rootfs = launch.rootfs()?;
    let first = dir.exit_record()?.is_none();
    let Volumes { seeds, locks: _locks, .. } = launch.volumes(&places.locals, first)?;
    runtime::view(&spec, &rootfs, &seeds, identity)
}

/// Gives the writable directory owner and mode of the image's root directory: it is what the container sees
/// as `/`.
fn look_like(upper: &Path, top: &Path) -> Result<()> {
    let (wanted, found) = (fs::metadata(top)?, fs::metadata(upper)?);
    if (wanted.uid(), wanted.gid()) != (found.uid(), found.gid()) {
        chown(upper, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    if wanted.mode() != found.mode() {
        fs::set_permissions(upper, fs::Permissions::from_mode(wanted.mode() & 0o7777))?;
    }
    Ok(())
}

/// Finds the device nodes of the host that this user can open: what a privileged container gets of them.
/// Terminals and what every container has are left out.
fn usable_devices() -> Vec<PathBuf> {
    const OWN: [&str; 11] =
        ["console", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "tty", "urandom", "zero"];
    let mut found = Vec::new();
    let mut waiting = vec![(PathBuf::from("/dev"), 0)];
    while let Some((dir, depth)) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else { continue };
            let is_own = depth == 0 && OWN.iter().any(|own| name == *own);
            if is_own || name.as_encoded_bytes().starts_with(b"tty") {
                continue;
            }
            let path = entry.path();
            if kind.is_dir() && depth < 3 {
                waiting.push((path, depth + 1));
            } else if (kind.is_char_device() || kind.is_block_device())
                && rustix::fs::access(&path, rustix::fs::Access::READ_OK).is_ok()
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
