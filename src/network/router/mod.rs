//! The router: one process per store that owns the network namespace of all bridge networks.
//!
//! # Theory of operation
//!
//! The first supervisor that needs a network starts it ([`super::Router`]), with the socket at which it listens:
//! so whoever comes next can connect before the router has read a single byte. It is a child of nobody, in
//! the ancestor user namespace as its root, and in the host's other namespaces. Its main thread then moves
//! into the network namespace `R`, a new one or the one that it is given, and stays there but for the moment
//! in which it gives a container's device its addresses. It keeps only the capabilities that this takes.
//!
//! ```text
//! supervisor ── control.sock ──▶ serve ──▶ ledger ──▶ space · plug · ruleset ──▶ netlink
//!                                              └──▶ directory ◀── the data plane's threads
//! ```
//!
//! What is plugged in is known to the [`ledger`] only, and to the kernel. A connection that ends, for whatever
//! reason, unplugs its container. When the router itself is killed, bridges and devices stay in `R`, which the
//! supervisors hold; the next router gets it from one of them, writes the packet rules anew, and finds the
//! devices by their names as their containers claim them. What nobody claims within seconds is removed.
//!
//! It leaves a second after its last container, under the lock that a supervisor takes to start a router, so
//! that there is no moment in which one waits for a router that will not come.

mod address;
pub mod directory;
mod ledger;
pub mod plane;
mod plug;
pub mod ruleset;
mod serve;
mod space;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use self::directory::Directory;
use self::ledger::Ledger;
use self::plane::Plane;
use self::space::Space;
use super::control;
use crate::idmap::Ancestor;
use crate::store::Store;
use crate::sys::process::{self, Cloned, Parent};

pub use plane::tcp::annex;

/// The hidden role's name on the command line.
pub const ROLE: &str = "__router";

/// The word that says that descriptor 1 is the namespace of a router that was killed.
pub(super) const HEIR: &str = "heir";

/// The entry point of the role: `__router ROOT RUNTIME [heir]`, with the listening socket as descriptor 0.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    match begin(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("router: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn begin(mut words: impl Iterator<Item = OsString>) -> Result<()> {
    let (Some(root), Some(runtime)) = (words.next(), words.next()) else {
        bail!("two directories are needed")
    };
    let is_heir = words.next().is_some_and(|word| word == HEIR);
    // A child of nobody: the supervisor that started it has not to collect it, and may end before it.
    if let Cloned::Parent { .. } = process::clone(0, Parent::Caller).context("start the router's process")? {
        process::exit_now(0);
    }
    let _ = rustix::process::setsid();
    process::close_others(&[]).context("close descriptors")?;
    let (listener, inherited) = take_descriptors(is_heir)?;
    std::env::set_current_dir("/").context("leave the current directory")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGUSR1);
    mask.thread_block().context("block signals")?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("make a signalfd")?;

    let store = Store::open(&PathBuf::from(root), &PathBuf::from(runtime))?;
    // The containers' namespaces are plugged in from the one that this process is in.
    let _member = Ancestor::remain(&store.root().join("locks"))?;
    let lock = serve::lock(&store)?;
    control::Record::own()?.put(&store)?;
    raise_limits();
    drop_privileges()?;
    let directory = Arc::new(RwLock::new(Directory::default()));
    // Before this thread leaves the host's network namespace, so that there is one that stays.
    let plane = Plane::start(Arc::clone(&directory))?;
    let memory = store.runtime().join("router").join("holding");
    let entered = Space::enter(inherited, &memory).and_then(|space| plane.enter().map(|()| space));
    let ledger = match entered {
        Ok(space) => Ok(Ledger::open(space, directory, plane)),
        Err(error) => {
            eprintln!("router: {error:#}");
            let text = format!(
                "this machine lets this user make no networks ({error:#}); --network host and --network none \
                 work without"
            );
            Err(text)
        }
    };
    let _starting = serve::Server::new(store, listener, signals, ledger).run()?;
    drop(lock);
    Ok(())
}

/// Takes the listening socket and the namespace from where they were handed over, and puts harmless things there.
fn take_descriptors(is_heir: bool) -> Result<(OwnedFd, Option<OwnedFd>)> {
    let keep = |fd: rustix::fd::BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3);
    let listener = keep(io::stdin().as_fd()).context("keep the control socket")?;
    let inherited =
        if is_heir { Some(keep(io::stdout().as_fd()).context("keep the network namespace")?) } else { None };
    let null = File::open("/dev/null").context("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("close descriptor 0")?;
    rustix::stdio::dup2_stdout(io::stderr().as_fd()).context("point descriptor 1 at the log")?;
    Ok((listener, inherited))
}

/// Every connection is some descriptors.
fn raise_limits() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // What is there already is enough for little.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Keeps only what plugging and the sockets in `R` take.
fn drop_privileges() -> Result<()> {
    let keep = CapabilitySet::NET_ADMIN
        | CapabilitySet::NET_RAW
        | CapabilitySet::NET_BIND_SERVICE
        | CapabilitySet::SYS_ADMIN;
    let have = rustix::thread::capabilities(None).context("query the capabilities")?.permitted;
    let sets = CapabilitySets {
        permitted: keep & have,
        effective: keep & have,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).context("give up capabilities")?;
    rustix::thread::set_no_new_privs(true).context("give up new privileges")
}
