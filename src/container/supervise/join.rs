//! Whose namespaces a container enters, found when it starts.
//!
//! With the first of them it enters that container's user namespace: only root there can mount what shows the
//! namespaces that it owns. The pid namespace decides, then ipc, then network. Of another container's ipc
//! namespace the mounts are borrowed; of another one's network, `/sys` shows the host's devices.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::container::config::{ContainerConfig, MountSource, NetworkMode};
use crate::container::dir::{Alive, ContainerDir, ProcessMark};
use crate::container::sharing::{IpcMode, PidMode};
use crate::container::status::{self, Status};
use crate::container::volumes::volume_users;
use crate::idmap::Identity;
use crate::oci::runtime::LinuxNamespaceType;
use crate::runtime::{self, RootFs, Tree, UserRequest};
use crate::store::Store;
use crate::sys;

/// What of other containers a container gets.
#[derive(Debug)]
pub(super) struct Joined {
    /// The directory of the one that has the network.
    pub(super) network: PathBuf,
    /// The namespaces to enter: kind and file.
    pub(super) namespaces: Vec<(LinuxNamespaceType, PathBuf)>,
    /// The mounts to show.
    pub(super) trees: Vec<Tree>,
}

/// A running container.
struct Other {
    dir: ContainerDir,
    config: ContainerConfig,
    init: ProcessMark,
}

/// Finds the containers that `config` names, which have to run, and what to take of them.
pub(super) fn join(
    store: &Store,
    dir: &ContainerDir,
    config: &ContainerConfig,
    rootfs: &RootFs,
    identity: &Identity,
) -> Result<Joined> {
    let mut joined = Joined { network: dir.path().to_owned(), namespaces: Vec::new(), trees: Vec::new() };
    // Those whose user namespace owns what is taken of them.
    let mut owners = Vec::new();
    if let PidMode::Container(id) = &config.sharing.pid {
        let other = Other::find(store, id).context("failed to join PID namespace")?;
        if other.gives(&mut joined, LinuxNamespaceType::Pid, "pid")? {
            if !other.fits(config, rootfs, identity)? {
                bail!(
                    "failed to join PID namespace: container {id} has other ids inside, and only who has its ids \
                     can show its processes"
                );
            }
            owners.push(other);
        }
    }
    let mut ipc = None;
    if let IpcMode::Container(id) = &config.sharing.ipc {
        let other = Other::find(store, id).context("failed to join IPC namespace")?;
        if matches!(other.config.sharing.ipc, IpcMode::Private | IpcMode::None) {
            bail!(
                "failed to join IPC namespace: container {id}: non-shareable IPC (hint: use IpcMode:shareable for \
                 the donor container)"
            );
        }
        other.gives(&mut joined, LinuxNamespaceType::Ipc, "ipc")?;
        joined.trees.push(other.mount("/dev/shm")?);
        ipc = Some(other);
    }
    if let NetworkMode::Container(id) = &config.network {
        let other = Other::of_network(store, id)?;
        other.dir.path().clone_into(&mut joined.network);
        let gives = other.gives(&mut joined, LinuxNamespaceType::Network, "net")?;
        if gives && owners.is_empty() && ipc.is_none() && other.fits(config, rootfs, identity)? {
            owners.push(other);
        }
    }
    if let Some(other) = ipc {
        if owners.is_empty() && other.owns_ipc() && other.fits(config, rootfs, identity)? {
            owners.push(other);
        } else {
            joined.trees.push(other.mount("/dev/mqueue")?);
        }
    }
    if let Some(owner) = owners.first() {
        joined.namespaces.push((LinuxNamespaceType::User, owner.namespace("user")));
    }
    Ok(joined)
}

/// Brings the mount of a volume that is in memory from a container that runs with it; `None` if there is none but
/// `own`. The volume is locked, so that nobody else begins to run with it.
pub(super) fn memory(store: &Store, own: &str, volume: &str) -> Result<Option<OwnedFd>> {
    for id in volume_users(store)?.remove(volume).unwrap_or_default() {
        if id == own {
            continue;
        }
        let Ok(other) = Other::running(store, &id)? else { continue };
        let is_it =
            |source: &MountSource| matches!(source, MountSource::Volume { name, .. } if name == volume);
        let Some(mount) = other.config.mounts.iter().find(|mount| is_it(&mount.source)) else { continue };
        match other.mount(&mount.target) {
            Ok(tree) if is_tmpfs(&tree.mount) => return Ok(Some(tree.mount)),
            Ok(_) => bail!("container {} shows something else at {}", other.dir.short_id(), mount.target),
            // It has ended meanwhile, and with it what was in memory.
            Err(_) if !other.init.lives() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn is_tmpfs(mount: &OwnedFd) -> bool {
    // statfs(2) lists it.
    rustix::fs::fstatfs(mount).is_ok_and(|fs| fs.f_type == 0x0102_1994)
}

impl Other {
    fn find(store: &Store, id: &str) -> Result<Self> {
        match Self::running(store, id)? {
            Ok(other) => Ok(other),
            Err(Status::Restarting(_)) => {
                bail!("Container {id} is restarting, wait until the container is running")
            }
            Err(_) => bail!("container {id} is not running"),
        }
    }

    fn of_network(store: &Store, id: &str) -> Result<Self> {
        match Self::running(store, id)? {
            Ok(other) => Ok(other),
            Err(Status::Restarting(_)) => {
                bail!("Container {id} is restarting, wait until the container is running")
            }
            Err(_) => bail!("cannot join network of a non running container: {id}"),
        }
    }

    fn running(store: &Store, id: &str) -> Result<Result<Self, Status>> {
        let dir = ContainerDir::new(store, id);
        if !dir.exists() {
            bail!("No such container: {id}");
        }
        Ok(match status::observe_and_mend(&dir)? {
            Status::Running(Alive { init: Some(init), .. }) if init.lives() => {
                let config = dir.config()?;
                Ok(Self { dir, config, init })
            }
            status => Err(status),
        })
    }

    fn namespace(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/{name}", self.init.pid))
    }

    /// Has a namespace of this container entered, unless it is the host's. Tells whether it is not.
    fn gives(&self, joined: &mut Joined, kind: LinuxNamespaceType, name: &str) -> Result<bool> {
        let path = self.namespace(name);
        let inode = |path: &Path| {
            anyhow::Ok(fs::metadata(path).with_context(|| format!("look at {}", path.display()))?.ino())
        };
        let is_hosts = inode(&path)? == inode(&Path::new("/proc/self/ns").join(name))?;
        if !is_hosts {
            joined.namespaces.push((kind, path));
        }
        Ok(!is_hosts)
    }

    /// Tells whether the ids in this container's user namespace are those that `config` wants.
    fn fits(&self, config: &ContainerConfig, rootfs: &RootFs, identity: &Identity) -> Result<bool> {
        let user = UserRequest { text: &config.process.user, groups: &config.group_add };
        runtime::fits(rootfs, user, identity, self.init.pid)
    }

    /// Tells whether its user namespace owns its ipc namespace, which may come from yet another container.
    fn owns_ipc(&self) -> bool {
        let sharing = &self.config.sharing;
        match sharing.ipc {
            IpcMode::Host => false,
            IpcMode::Container(_) => !matches!(sharing.pid, PidMode::Container(_)),
            IpcMode::Private | IpcMode::None | IpcMode::Shareable => true,
        }
    }

    fn mount(&self, path: &str) -> Result<Tree> {
        let pidfd = sys::process::pidfd_open(self.init.pid);
        let pidfd = pidfd.with_context(|| format!("open process {}", self.init.pid))?;
        let mount = runtime::borrow(pidfd.as_fd(), Path::new(path))
            .with_context(|| format!("fetch {path} of container {}", self.dir.short_id()))?;
        Ok(Tree { path: path.into(), mount })
    }
}
