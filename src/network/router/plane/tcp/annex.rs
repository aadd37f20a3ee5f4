//! A process that carries connections for which the router has no descriptors left.
//!
//! It is this program in the role [`ROLE`], in whatever namespaces the router's thread is: sockets that exist work
//! everywhere. Its descriptor 0 is a socket from which it gets connections, two descriptors and the number under
//! which the router knows them, and at which it says that one is over. It has no capabilities, and ends when that
//! socket does, that is when the router is gone or wants it no longer.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::account::Limits;
use super::relay::{Relay, reset};
use super::{HasTcp, Tcp};
use crate::network::router::plane::event::{Events, Fate, Key, Loop, Mailbox, Source, Turn};
use crate::sys::{process, socket};

/// The hidden role's name on the command line.
pub const ROLE: &str = "__annex";

/// What the router says: a connection to carry, with its two descriptors, or one to cut off.
const CARRY: u8 = 1;
const CUT: u8 = 2;

/// The bytes of a message: what it is, and the connection's number.
const LENGTH: usize = 9;

/// Starts one, and returns the socket to it.
pub(super) fn start() -> io::Result<(OwnedFd, Option<Child>)> {
    let (ours, theirs) = socket::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg(ROLE).stdin(Stdio::from(theirs)).stdout(Stdio::null()).env_clear();
    let child = command.spawn()?;
    Ok((ours, Some(child)))
}

/// Hands over a connection, whose number will come back when it is over.
pub(super) fn carry(socket: impl AsFd, number: u64, ends: [BorrowedFd<'_>; 2]) -> io::Result<()> {
    socket::send(socket, &message(CARRY, number), &ends)
}

/// Has a connection cut off.
pub(super) fn cut(socket: impl AsFd, number: u64) -> io::Result<()> {
    socket::send(socket, &message(CUT, number), &[])
}

/// Receives the number of a connection that is over. `None`: the process is gone.
pub(super) fn over(socket: impl AsFd) -> io::Result<Option<u64>> {
    let mut bytes = [0; 8];
    Ok(match socket::receive(socket, &mut bytes)?.0 {
        8 => Some(u64::from_le_bytes(bytes)),
        _ => None,
    })
}

fn message(kind: u8, number: u64) -> [u8; LENGTH] {
    let mut bytes = [kind; LENGTH];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The entry point of the role.
pub fn main() -> ExitCode {
    match begin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("annex: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn begin() -> Result<()> {
    process::close_others(&[]).context("close descriptors")?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { permitted: none, effective: none, inheritable: none },
    )
    .context("drop capabilities")?;
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGPIPE);
    mask.thread_block().context("block signals")?;
    let router = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3).context("keep the router's socket")?;
    serve(router).context("carry connections")
}

/// Carries what the router at the other end of `router` hands over, until that is gone.
pub(super) fn serve(router: OwnedFd) -> io::Result<()> {
    let router = Rc::new(router);
    // What one may have is the router's business.
    let limits = Limits::new(u64::MAX);
    let house = House { tcp: Tcp::inward(limits), router: Rc::clone(&router), guests: HashMap::new() };
    let mut events = Loop::new(Mailbox::new()?, house)?;
    events.with(|turn| -> io::Result<()> {
        let key = turn.add(Door)?;
        turn.watch(key, 0, &router, Events::IN)
    })?;
    events.run()
}

/// The loop's world.
struct House {
    tcp: Tcp,
    router: Rc<OwnedFd>,
    guests: HashMap<u64, Key>,
}

impl HasTcp for House {
    fn tcp(&mut self) -> &mut Tcp {
        &mut self.tcp
    }
}

impl House {
    /// Says that a connection is over. If the router is gone nobody wants to know.
    fn tell(&mut self, number: u64) {
        self.guests.remove(&number);
        let _ = socket::send(&self.router, &number.to_le_bytes(), &[]);
    }
}

/// What the router says.
struct Door;

impl Source<House> for Door {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, House>) -> Fate {
        let mut bytes = [0; LENGTH];
        let Ok((LENGTH, ends)) = socket::receive(&turn.world.router, &mut bytes) else {
            turn.stop();
            return Fate::Gone;
        };
        let [kind, number @ ..] = bytes;
        let number = u64::from_le_bytes(number);
        match (kind, <[OwnedFd; 2]>::try_from(ends)) {
            (CARRY, Ok(ends)) => {
                if welcome(turn, number, ends).is_err() {
                    turn.world.tell(number);
                }
            }
            // They did not all fit into the table.
            (CARRY, Err(ends)) => {
                ends.into_iter().for_each(reset);
                turn.world.tell(number);
            }
            _ => {
                if let Some(key) = turn.world.guests.get(&number).copied() {
                    turn.remove(key);
                }
            }
        }
        Fate::Stay
    }
}

fn welcome(turn: &mut Turn<'_, House>, number: u64, ends: [OwnedFd; 2]) -> io::Result<()> {
    let key = match turn.reserve() {
        Ok(key) => key,
        Err(error) => {
            ends.into_iter().for_each(reset);
            return Err(error);
        }
    };
    turn.world.guests.insert(number, key);
    match Relay::adopt(turn, key, ends) {
        Ok(relay) => turn.fill(key, Guest { relay, number }),
        Err(error) => {
            turn.remove(key);
            return Err(error);
        }
    }
    Ok(())
}

/// A connection.
struct Guest {
    relay: Relay,
    number: u64,
}

impl Source<House> for Guest {
    fn ready(&mut self, port: u8, events: Events, turn: &mut Turn<'_, House>) -> Fate {
        self.relay.ready(port, events, turn)
    }

    fn timeout(&mut self, turn: &mut Turn<'_, House>) -> Fate {
        self.relay.timeout(turn)
    }

    fn leave(&mut self, house: &mut House) {
        self.relay.leave(house);
        house.tell(self.number);
    }
}
