//! Makes the first process of a container, and lets it go.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::guest::{LaunchMode, ParentDeath};
use super::handshake::{self, Received};
use super::hook::Subject;
use super::init::{self, Body};
use super::join::has_one_id;
use super::plan::{self, Facts, Step, has_new};
use super::root::Root;
use super::spawn::{Enter, spawn};
use super::stdio::Pipes;
use super::{Bundle, Io, Process, RootFs, StartError, UserRequest, perform};
use crate::idmap::{self, IdMap, Identity, Level, Range};
use crate::oci::runtime::{Hook, LinuxNamespaceType};
use crate::sys::{process, socket};

/// A container's first process, in its namespaces, waiting to be let go.
///
/// Dropped without that, it is killed and collected.
#[derive(Debug)]
pub struct Prepared {
    /// The process's number, as the caller sees it.
    pub pid: i32,
    /// The handle on it.
    pidfd: Option<OwnedFd>,
    socket: OwnedFd,
    io: Option<Io>,
    /// Its network namespace, if that cannot be opened from outside.
    network: Option<OwnedFd>,
    /// What is run when its mounts are made.
    hooks: Option<(Subject, Vec<Hook>)>,
}

/// Makes the first process of a container, in its namespaces, whose id maps are written.
///
/// The caller is root of the ancestor user namespace and has one thread.
pub fn prepare(bundle: &Bundle<'_>) -> Result<Prepared> {
    let spec = bundle.spec;
    let process = spec.process().as_ref().context("the specification has no process")?;
    let map = map_below(&bundle.rootfs, bundle.user, bundle.identity)?;
    let facts = Facts {
        unified_cgroups: perform::has_unified_cgroups(),
        groups: &map.gids,
        terminal: bundle.terminal.is_some(),
        account: bundle.account,
    };
    let trees: Vec<&Path> = bundle.trees.iter().map(|tree| tree.path.as_path()).collect();
    let mut steps = plan::plan(spec, &bundle.rootfs, bundle.seeds, &trees, facts);
    let hooks = bundle.subject.and(spec.hooks().as_ref());
    if hooks.is_some()
        && let Some(at) = steps.iter().position(|step| *step == Step::Pivot)
    {
        steps.insert(at, Step::Mounted);
    }
    let links = links(bundle)?;
    let shares_users = !has_new(spec, LinuxNamespaceType::User);
    let enter = if links.is_empty() { Enter::Nothing } else { Enter::Links { links: &links, shares_users } };
    let (ours, theirs) = socket::pair().context("make a socket")?;
    let (pipes, io) = Pipes::unless(bundle.terminal, bundle.stdin).context("make pipes")?;
    let body = Body {
        process,
        user: bundle.user,
        terminal: bundle.terminal,
        pipes,
        seccomp: bundle.seccomp.as_deref(),
        mode: if bundle.init { LaunchMode::Reap } else { LaunchMode::Exec },
        parent_death: ParentDeath::Kills,
        trees: bundle.trees,
        hidden: shares_users,
        new_cgroups: has_new(spec, LinuxNamespaceType::Cgroup),
        instead: None,
        emulates: bundle.identity.level == Level::Single,
        hooks: bundle.subject.zip(hooks),
        hands_over: shares_users && has_new(spec, LinuxNamespaceType::Network),
    };
    let hands_over = body.hands_over;
    let mut given = Some((body, theirs));
    let spawned = spawn(&enter, flags(bundle), process.oom_score_adj(), || {
        if let Some((body, theirs)) = given.take() {
            init::run(body, &steps, theirs);
        }
    });
    // The process's ends are its own.
    drop(given);
    let (pid, pidfd) = spawned.map_err(explain)?;
    let outside = hooks.and_then(|hooks| hooks.create_runtime().clone());
    let hooks = bundle.subject.cloned().zip(outside);
    let mut prepared = Prepared { pid, pidfd: Some(pidfd), socket: ours, io, network: None, hooks };
    if hands_over {
        prepared.network = Some(handshake::take_network(&prepared.socket)?);
    }
    if !shares_users {
        write_map(pid, "uid_map", &map.uids)?;
        write_map(pid, "gid_map", &map.gids)?;
    }
    Ok(prepared)
}

impl Prepared {
    /// Returns the handle on the process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        // Only `start` takes it, and with it the whole.
        self.pidfd.as_ref().map_or_else(|| self.socket.as_fd(), AsFd::as_fd)
    }

    /// Returns the process's network namespace.
    pub fn network(&self) -> Result<OwnedFd> {
        if let Some(network) = &self.network {
            return network.try_clone().context("duplicate a descriptor");
        }
        let path = format!("/proc/{}/ns/net", self.pid);
        File::open(&path).map(OwnedFd::from).with_context(|| format!("open {path}"))
    }

    /// Lets the process go, and returns when the user's program runs or cannot.
    pub fn start(mut self) -> Result<Process, StartError> {
        socket::send(&self.socket, b"go", &[]).context("start the container's process")?;
        let mounted = || match &self.hooks {
            Some((subject, hooks)) => subject.run("createRuntime", Some(hooks), "created", self.pid),
            None => Ok(()),
        };
        let Received { terminal, steward } =
            handshake::listen(&self.socket, self.pidfd(), self.pidfd(), mounted)?;
        let io = match terminal {
            Some(master) => Some(Io::Terminal(master)),
            None => self.io.take(),
        };
        let io = io.context("the container's process gave no terminal")?;
        let pidfd = self.pidfd.take().context("the container's process is gone")?;
        Ok(Process { pid: self.pid, pidfd, io, steward })
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.pidfd {
            // It may have ended by itself.
            let _ = process::send_signal(pidfd.as_fd(), libc::SIGKILL);
            let _ = process::reap(pidfd.as_fd());
        }
    }
}

/// Tells whether a container with these files, this user and this identity can live in the user namespace of
/// process `pid`: whether the ids there are those that it would have in one of its own.
pub fn fits(rootfs: &RootFs, user: UserRequest<'_>, identity: &Identity, pid: i32) -> Result<bool> {
    if identity.level == Level::Single && has_one_id(pid)? {
        // Who it is inside is emulated.
        return Ok(true);
    }
    let wanted = map_below(rootfs, user, identity)?;
    let is = |name: &str, ranges: &[Range]| {
        let path = format!("/proc/{pid}/{name}");
        let found = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        anyhow::Ok(found.split_ascii_whitespace().eq(idmap::map_lines(ranges).split_ascii_whitespace()))
    };
    Ok(is("uid_map", &wanted.uids)? && is("gid_map", &wanted.gids)?)
}

/// Decides the map of the container's user namespace.
fn map_below(rootfs: &RootFs, request: UserRequest<'_>, identity: &Identity) -> Result<IdMap> {
    if identity.level != Level::Single {
        return Ok(identity.below());
    }
    // There is one id: it is the one that the program runs as.
    let user = match rootfs {
        RootFs::Directory(path) => {
            let root = Root::open(path).with_context(|| format!("open {}", path.display()))?;
            init::resolve(request, &root)?
        }
        RootFs::Overlay { lower, upper, .. } => {
            let read = |path: &str| find_in_layers(std::iter::once(upper).chain(lower), Path::new(path));
            idmap::resolve(request.text, request.groups, &read("etc/passwd")?, &read("etc/group")?)?
        }
    };
    let one = |inside| vec![Range { inside, outside: 0, count: 1 }];
    Ok(IdMap { uids: one(user.uid), gids: one(user.gid) })
}

/// Reads a file of layers that are not mounted yet: the top one that has it counts.
fn find_in_layers<'a>(layers: impl Iterator<Item = &'a PathBuf>, path: &Path) -> Result<Vec<u8>> {
    for layer in layers {
        let root = match Root::open(layer) {
            Ok(root) => root,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("open {}", layer.display())),
        };
        if let Some(content) =
            root.read(path, 16 << 20).with_context(|| format!("read {}", layer.join(path).display()))?
        {
            return Ok(content);
        }
    }
    Ok(Vec::new())
}

/// The kinds of namespaces that a container may have of its own.
///
/// Its cgroup namespace is not among them: the container's first process makes that itself when it is in its
/// cgroup, which becomes the namespace's root.
const KINDS: [(LinuxNamespaceType, libc::c_int); 6] = [
    (LinuxNamespaceType::User, libc::CLONE_NEWUSER),
    (LinuxNamespaceType::Mount, libc::CLONE_NEWNS),
    (LinuxNamespaceType::Pid, libc::CLONE_NEWPID),
    (LinuxNamespaceType::Ipc, libc::CLONE_NEWIPC),
    (LinuxNamespaceType::Uts, libc::CLONE_NEWUTS),
    (LinuxNamespaceType::Network, libc::CLONE_NEWNET),
];

/// Always a mount namespace of its own: the steps would change the caller's.
fn flags(bundle: &Bundle<'_>) -> libc::c_int {
    KINDS
        .iter()
        .filter(|(kind, _)| has_new(bundle.spec, *kind))
        .fold(libc::CLONE_NEWNS, |flags, (_, flag)| flags | flag)
}

/// Opens the namespaces that the specification names by path, the user namespace last: inside, there may be no
/// power over the others any more.
fn links(bundle: &Bundle<'_>) -> Result<Vec<OwnedFd>> {
    let linux = bundle.spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let (mut links, mut users) = (Vec::new(), Vec::new());
    for namespace in namespaces {
        let Some(path) = namespace.path() else { continue };
        let link = File::open(path).with_context(|| format!("open {}", path.display()))?.into();
        match namespace.typ() {
            LinuxNamespaceType::Mount => bail!("a container has a mount namespace of its own"),
            LinuxNamespaceType::User => users.push(link),
            _ => links.push(link),
        }
    }
    if users.is_empty() && !has_new(bundle.spec, LinuxNamespaceType::User) {
        bail!("a container has a user namespace, its own or that of another one");
    }
    links.append(&mut users);
    Ok(links)
}

fn write_map(pid: i32, name: &str, ranges: &[Range]) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    fs::write(&path, idmap::map_lines(ranges)).with_context(|| format!("write {path}"))
}

/// Explains why no process in new namespaces could be made.
fn explain(error: anyhow::Error) -> anyhow::Error {
    let errno = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    match errno {
        Some(libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS | libc::EINVAL) => {
            let errno = errno.unwrap_or(libc::EPERM);
            idmap::diagnose(rustix::io::Errno::from_raw_os_error(errno))
        }
        _ => error.context("make the container's process"),
    }
}
