//! What commands are lent while they run: directories that stay between builds, and sockets of SSH agents.
//!
//! A cache is a directory in `cache/mounts/<mapping>/<name>/<number>`. Its users hold a lock on it: a shared one, or
//! with `sharing=locked` an exclusive one, for which they wait; with `sharing=private` whoever finds a directory in
//! use takes the next. Pruning takes only what nobody holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::fs::XattrFlags;

use super::order::{Order, Place, Work};
use super::perform::{Build, Value};
use super::worker::Stopped;
use super::worker::Worker;
use crate::build::graph::{Copy, MountKind, Pick, Run, Sharing, StepId, Unpack};
use crate::image::{OWNER, Owners};
use crate::oci::Digest;
use crate::store::{Lock, Mode};

/// What a command is lent, until this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    /// Sockets by the names of agents.
    pub(super) ssh: BTreeMap<String, PathBuf>,
    /// Directories by the places of their mounts.
    pub(super) caches: BTreeMap<usize, PathBuf>,
    #[allow(dead_code, reason = "held for as long as this is")]
    locks: Vec<Lock>,
    closed: Arc<AtomicBool>,
    doors: Vec<PathBuf>,
}

impl Lent {
    /// Takes what the mounts of a command name. `dir` is the directory of its step.
    pub(super) fn take(build: &Build<'_>, run: &Run, dir: &Path) -> Result<Self> {
        let mut lent = Self {
            ssh: BTreeMap::new(),
            caches: BTreeMap::new(),
            locks: Vec::new(),
            closed: Arc::default(),
            doors: Vec::new(),
        };
        for (at, mount) in run.mounts.iter().enumerate() {
            match &mount.kind {
                MountKind::Cache { id, from, sharing, mode, owner } => {
                    let (path, lock) = cache(build, id, *sharing)?;
                    let data = path.join("data");
                    if !data.exists() {
                        fill(build, from.as_ref(), &path, *mode, *owner)
                            .with_context(|| format!("make the cache {id}"))?;
                    }
                    lent.caches.insert(at, data);
                    lent.locks.push(lock);
                }
                MountKind::Ssh { id, mode, owner, .. } => {
                    let Some(agent) = build.inputs.ssh.get(id) else { continue };
                    let door = dir.join(format!("ssh-{at}"));
                    let owners = build.mapping.owners;
                    open_door(&door, agent, *mode, *owner, owners, Arc::clone(&lent.closed))
                        .with_context(|| format!("forward the SSH agent {id}"))?;
                    lent.doors.push(door.clone());
                    lent.ssh.insert(id.clone(), door);
                }
                _ => {}
            }
        }
        Ok(lent)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        for door in &self.doors {
            // Wakes the thread behind it.
            let _ = connect(door);
            let _ = fs::remove_file(door);
        }
    }
}

/// Finds a directory of a cache that may be used as `sharing` says, and locks it.
fn cache(build: &Build<'_>, id: &str, sharing: Sharing) -> Result<(PathBuf, Lock)> {
    let name = format!("mounts/{}/{}", build.mapping.key, &Digest::of(id.as_bytes()).hex()[..32]);
    for number in 0.. {
        let path = build.store.cache_dir(&format!("{name}/{number}"))?;
        let lock = path.join("lock");
        let mode = if sharing == Sharing::Shared { Mode::Shared } else { Mode::Exclusive };
        loop {
            match Lock::try_take(&lock, mode) {
                // It was pruned while this waited: what is locked has lost its name.
                Ok(Some(held)) if !is_at(&held, &lock) => {
                    build.store.cache_dir(&format!("{name}/{number}"))?;
                }
                Ok(Some(held)) => {
                    let _ = fs::write(path.join("name"), id);
                    let _ =
                        fs::File::open(&path).and_then(|dir| dir.set_modified(std::time::SystemTime::now()));
                    return Ok((path, held));
                }
                Ok(None) if sharing == Sharing::Private => break,
                Ok(None) => {
                    if build.inputs.stop.load(Ordering::Relaxed) {
                        return Err(Stopped.into());
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                // It was pruned in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    build.store.cache_dir(&format!("{name}/{number}"))?;
                }
                Err(error) => return Err(error).with_context(|| format!("lock the cache {id}")),
            }
        }
    }
    unreachable!("there is always a next number")
}

/// Tells whether a locked file still has its name.
fn is_at(held: &Lock, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (held.file().metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Makes the directory of a new cache: whole, or not at all.
fn fill(
    build: &Build<'_>,
    from: Option<&(crate::build::graph::StepId, PathBuf)>,
    path: &Path,
    mode: u32,
    owner: (u32, u32),
) -> Result<()> {
    let _lock = Lock::take(&path.join("fill"), Mode::Exclusive).context("lock the cache")?;
    let data = path.join("data");
    if data.exists() {
        return Ok(());
    }
    let new = path.join("new");
    crate::store::remove_tree(&new).context("remove what was left half-made")?;
    fs::DirBuilder::new().mode(0o700).create(&new).context("create a directory")?;
    if let Some((from, source)) = from {
        seed(build, &build.known(*from)?, source, &new)?;
    } else {
        fs::create_dir_all(new.join("layer/tree")).context("create a directory")?;
    }
    let tree = new.join("layer/tree");
    if build.mapping.owners == Owners::Emulated && owner != (0, 0) {
        let text = format!("{}:{}:{mode:o}", owner.0, owner.1);
        rustix::fs::setxattr(&tree, OWNER, text.as_bytes(), XattrFlags::empty()).context("keep its owner")?;
    } else if owner != (0, 0) {
        chown(&tree, Some(owner.0), Some(owner.1)).context("give it to its owner")?;
    }
    fs::set_permissions(&tree, fs::Permissions::from_mode(mode)).context("set its permissions")?;
    fs::rename(&tree, &data).context("rename it")?;
    crate::store::remove_tree(&new).context("remove what is left")
}

/// Copies what a cache begins with, as a step would.
fn seed(build: &Build<'_>, value: &Value, source: &Path, dir: &Path) -> Result<()> {
    let copy = Copy {
        base: StepId(0),
        sources: vec![Pick { from: StepId(0), paths: vec![super::command::pattern_of(source)] }],
        destination: "/".to_owned(),
        owner: None,
        mode: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        unpack: Unpack::Never,
    };
    let store = (build.store.root().to_owned(), build.store.runtime().to_owned());
    let places = [(0, build.place(value)?)].into();
    let base = Place::Stack(Vec::new());
    let order = Order::new(
        store,
        build.identity,
        dir.to_owned(),
        base,
        places,
        Work::Copy(Box::new(copy), BTreeSet::new()),
    );
    Worker::start(&order, &build.inputs.stop)?.finish(|_, _| ())?;
    Ok(())
}

/// Connects to a socket whose path may be too long for an address.
fn connect(path: &Path) -> io::Result<UnixStream> {
    with_short(path, |path| UnixStream::connect(path))
}

fn with_short<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    use std::os::fd::AsRawFd as _;
    let dir = fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = path.file_name().unwrap_or_default();
    act(&Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name))
}

/// Listens at `door` and leads whoever comes to the agent.
fn open_door(
    door: &Path,
    agent: &Path,
    mode: u32,
    owner: (u32, u32),
    owners: Owners,
    closed: Arc<AtomicBool>,
) -> Result<()> {
    let listener = with_short(door, |path| UnixListener::bind(path)).context("listen")?;
    if owners == Owners::Mapped && owner != (0, 0) {
        chown(door, Some(owner.0), Some(owner.1)).context("give the socket to its owner")?;
    }
    fs::set_permissions(door, fs::Permissions::from_mode(mode)).context("set the socket's permissions")?;
    let agent = agent.to_owned();
    let serve = move || {
        for stream in listener.incoming() {
            if closed.load(Ordering::Relaxed) {
                break;
            }
            let Ok(stream) = stream else { continue };
            let Ok(agent) = connect(&agent) else { continue };
            let (Ok(back), Ok(from_agent)) = (stream.try_clone(), agent.try_clone()) else { continue };
            let carry = |mut from: UnixStream, mut to: UnixStream| {
                move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                }
            };
            let _ = thread::Builder::new().spawn(carry(stream, agent));
            let _ = thread::Builder::new().spawn(carry(from_agent, back));
        }
    };
    thread::Builder::new().spawn(serve).context("start a thread")?;
    Ok(())
}
