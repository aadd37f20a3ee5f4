//! Where the router is found: its socket, its locks, its record.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::store::{Lock, Mode, Store, read_json, replace_json};
use crate::sys::process;

/// Held by the router for life.
pub(super) const ROUTER_LOCK: &str = "router";

/// Held by who starts one, and by one that leaves.
const START_LOCK: &str = "router-start";

/// The file `router.json`: who the router is. It stays behind only if the router was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The boot it lives in.
    pub(super) boot: String,
    /// Its process id.
    pub(super) pid: i32,
    /// When it started, in clock ticks since boot.
    pub(super) start: u64,
}

impl Record {
    /// Describes this process.
    pub(super) fn own() -> Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let start = process::start_time(pid).context("read this process's start time")?;
        Ok(Self { boot: boot()?, pid, start })
    }

    /// Writes it.
    pub(super) fn put(&self, store: &Store) -> Result<()> {
        replace_json(&record_path(store), self)
    }

    /// Loads the one of this boot, if there is one.
    pub(super) fn load(store: &Store) -> Result<Option<Self>> {
        let found: Option<Self> = read_json(&record_path(store))?;
        let boot = boot()?;
        Ok(found.filter(|record| record.boot == boot))
    }

    /// Tells whether that very process is still there.
    pub(super) fn lives(&self) -> bool {
        process::start_time(self.pid).is_ok_and(|start| start == self.start)
    }

    /// Tells whether it lives in another user namespace than this process: then it has no power over the
    /// namespaces of containers that are made here.
    pub(super) fn is_foreign(&self) -> bool {
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/user"));
        let foreign = match (namespace(&self.pid.to_string()), namespace("self")) {
            (Ok(its), Ok(own)) => its != own,
            // Nobody may look from one into the other.
            (Err(error), Ok(_)) => error.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        };
        foreign && self.lives()
    }
}

fn boot() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    Ok(fs::read_to_string(path).with_context(|| format!("read {path}"))?.trim().to_owned())
}

/// Returns the path of the router's record.
pub(super) fn record_path(store: &Store) -> PathBuf {
    store.root().join("router.json")
}

/// Returns the path of the router's log.
pub(super) fn log_path(store: &Store) -> PathBuf {
    store.root().join("router.log")
}

/// Returns the name of the router's socket: stores may share the runtime directory, and have a router each.
fn socket_name(store: &Store) -> String {
    let root = fs::metadata(store.root());
    root.map_or_else(|_| "store.sock".to_owned(), |root| format!("{:x}-{:x}.sock", root.dev(), root.ino()))
}

/// Returns the path of the router's socket. It may be too long for an address.
pub(super) fn socket_path(store: &Store) -> PathBuf {
    store.runtime().join("router").join(socket_name(store))
}

/// Takes the lock of who starts a router, waiting for it.
pub(super) fn lock_start(store: &Store) -> Result<Lock> {
    store.lock(START_LOCK, Mode::Exclusive)
}

/// Takes the lock of who starts a router, if nobody has it.
pub(super) fn try_lock_start(store: &Store) -> Result<Option<Lock>> {
    Lock::try_take(&store.root().join("locks").join(START_LOCK), Mode::Exclusive)
        .with_context(|| format!("take lock {START_LOCK}"))
}

/// Tells whether a router lives.
pub(super) fn is_running(store: &Store) -> Result<bool> {
    Lock::is_held(&store.root().join("locks").join(ROUTER_LOCK)).context("query the router's lock")
}

/// Makes the router's socket, in place of one that nobody listens at.
pub(super) fn listen(store: &Store) -> Result<OwnedFd> {
    let dir = store.runtime_dir("router")?;
    let path = dir.join(socket_name(store));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", path.display()));
        }
        _ => {}
    }
    let bind = || -> io::Result<OwnedFd> {
        let open = File::open(&dir)?;
        let socket = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::bind(&socket, &short_address(&open, store)?)?;
        rustix::net::listen(&socket, 1024)?;
        Ok(socket)
    };
    bind().with_context(|| format!("listen at {}", path.display()))
}

/// Connects to the router's socket.
pub(super) fn connect(store: &Store) -> io::Result<OwnedFd> {
    let open = File::open(store.runtime().join("router"))?;
    let socket = new_socket(SocketFlags::CLOEXEC)?;
    rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &short_address(&open, store)?))?;
    Ok(socket)
}

fn new_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Returns the socket's address by way of an open directory: addresses are at most 107 bytes long (unix(7)).
fn short_address(dir: &File, store: &Store) -> rustix::io::Result<SocketAddrUnix> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{}", dir.as_raw_fd(), socket_name(store)))
}
