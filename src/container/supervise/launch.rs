//! From a configuration to a running process: the bundle that the runtime is given.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::join::{self, Joined};

use crate::container::config::{ContainerConfig, MountSource};
use crate::container::dir::ContainerDir;
use crate::container::spec::{self, Places};
use crate::container::{device, filter, link, start};
use crate::idmap::{self, Identity, Kept};
use crate::oci::runtime::Mount;
use crate::runtime::{self, Bundle, NewAccount, Prepared, Process, RootFs, Seed, UserRequest, WindowSize};
use crate::store::{Lock, Mode, Store};
use crate::volume;

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
    /// Those of the volumes that it is about to fill.
    _locks: Vec<Lock>,
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

    /// Lets the process go.
    pub(super) fn start(self) -> Result<Process> {
        self.prepared.start().map_err(start::explain)
    }
}

impl Launch<'_> {
    /// Makes the container's process, which waits to be let go. `window` is the size of its terminal; `first`
    /// tells that it has never run, so that empty volumes are filled from the image.
    pub(super) fn prepare(&self, window: Option<(u16, u16)>, first: bool) -> Result<Launched> {
        let resolved = device::resolve(self.config)?;
        let config = resolved.as_ref().unwrap_or(self.config);
        if let Some(device) = config.devices.iter().find(|device| !Path::new(&device.host).exists()) {
            let message = format!(
                "error gathering device information while adding custom device {:?}: no such file or directory",
                device.host
            );
            return Err(start::StartError { code: 127, message, hint: None }.into());
        }
        let rootfs = self.rootfs()?;
        let Joined { network, namespaces, trees } =
            join::join(self.store, self.dir, config, &rootfs, self.identity)?;
        let places = Places {
            network,
            joined: namespaces,
            host_queues: Path::new("/dev/mqueue").exists(),
            volumes: self.store.volumes(),
            devices: if config.privileged { usable_devices() } else { Vec::new() },
        };
        let linked = link::variables(self.store, config, &self.dir.attachments(config)?)?;
        let spec = if linked.is_empty() {
            spec::build(config, &places)?
        } else {
            // Before the container's own, which count for more.
            let mut config = config.clone();
            config.process.env.splice(0..0, linked);
            spec::build(&config, &places)?
        };
        let (seeds, locks) = if first { self.seeds()? } else { (Vec::new(), Vec::new()) };
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
            seccomp: filter::of(config, config.privileged)?,
            identity: self.identity,
            account: account.as_ref(),
        };
        Ok(Launched { prepared: runtime::prepare(&bundle)?, _locks: locks })
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

    /// Finds the volumes to fill, and locks them, so that two containers that start at once do not both fill
    /// one.
    fn seeds(&self) -> Result<(Vec<Seed>, Vec<Lock>)> {
        let mut seeds = Vec::new();
        let mut locks = Vec::new();
        for mount in &self.config.mounts {
            let MountSource::Volume { name, no_copy: false, subpath, .. } = &mount.source else { continue };
            if !subpath.is_empty() {
                continue;
            }
            let data = volume::data(self.store, name);
            if !volume::is_empty(&data) {
                continue;
            }
            let path = data.with_file_name("lock");
            locks.push(Lock::take(&path, Mode::Exclusive).with_context(|| format!("lock volume {name}"))?);
            if volume::is_empty(&data) {
                seeds.push(Seed { path: PathBuf::from(&mount.target), volume: data });
            }
        }
        Ok((seeds, locks))
    }
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
    let launch = Launch { store, dir, config, identity };
    let places = Places {
        network: dir.path().to_owned(),
        joined: Vec::new(),
        host_queues: false,
        volumes: store.volumes(),
        devices: Vec::new(),
    };
    // What is in memory while it runs is not there now.
    let files = ContainerConfig { tmpfs: BTreeMap::new(), devices: Vec::new(), ..config.clone() };
    let mut spec = spec::build(&files, &places)?;
    let own = |mount: &Mount| {
        let source = mount.source().as_deref();
        mount.typ().as_deref() == Some("bind")
            // Of the files that a first start makes, there are none before it.
            && source.is_none_or(|source| !source.starts_with(dir.path()) || source.exists())
    };
    spec.set_mounts(spec.mounts().clone().map(|mounts| mounts.into_iter().filter(own).collect()));
    spec.set_linux(None).set_process(None);
    let rootfs = launch.rootfs()?;
    let first = dir.exit_record()?.is_none();
    let (seeds, _locks) = if first { launch.seeds()? } else { (Vec::new(), Vec::new()) };
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
