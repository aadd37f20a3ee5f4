//! TCP: connections of containers to the world, and of the world to published ports.
//!
//! # Theory of operation
//!
//! Both ways, the kernel speaks TCP with the container and the kernel speaks TCP with the other side; this
//! process moves the bytes between two sockets ([`relay`], [`stream`]) and passes on what is not bytes: the end
//! of a direction, a reset, a refusal.
//!
//! **Out of a container** (the loop in the host's namespace):
//!
//! ```text
//!   container                  R                           this loop            the host's namespace
//!   SYN ───────────────▶ nfqueue: held ──────────▶ [hold] connect ─────────────────▶ SYN
//!                                                            ◀──────────────────── SYN+ACK, RST, ICMP, nothing
//!                        verdict: mark 6 ◀─── connected
//!                        tproxy to our listener
//!   ◀─── SYN+ACK, ACK ─▶ accepted socket ────▶ [arrive] finds the connection by its two ends
//!   ◀─── bytes ───────▶ ◀──────────────────▶  relay ◀──────────────────────────▶ bytes
//!                        or mark 2 to 5: reset, unreachable; or dropped: silence
//! ```
//!
//! So the container sees the answer of the other side, at the time of that answer. The listener in `R` is
//! transparent: the accepted socket's own address is the one that the container asked for. A SYN that is sent
//! again while the first is held is dropped, also when it is read only after that one has become a connection:
//! it is known by its sequence number. What was granted and is not accepted within [`ACCEPT`] (the
//! container has given up meanwhile) is closed. Without nfqueue nothing is held: a connection arrives that
//! nobody has opened, and it is opened then; if that fails, the container sees a reset.
//!
//! **In to a published port** (the loop in `R`): the listener ([`door`]) is made by a thread in the host's
//! namespace, since a socket belongs to the namespace in which it was made, and accepts here. The socket to
//! the container is made here, in `R`, bound to the client's own address and port (transparent again), so the
//! container sees its true client; its answers come to `R` as to a router and are recognised by that
//! socket. Clients from the host's own loopback, and clients of a family that the container does not have,
//! appear as the gateway.
//!
//! Each connection is one source of the loop, from the first SYN on: [`relay::Relay`]. Its sockets are watched
//! for edges, once each. Limits are per container ([`account`]). Where there are more than the limit of descriptors
//! lets one process have, further ones are handed to processes that do nothing else ([`annexes`], [`annex`]).

pub mod account;
pub mod annex;
mod annexes;
pub mod door;
pub mod hold;
pub mod packet;
pub mod pipe;
pub mod relay;
pub mod stream;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::event::{Key, Turn};
use account::{Accounts, Limits};
use annexes::Annexes;
use packet::Ends;
use stream::Means;

/// How long a granted connection may take to be accepted: a few of the container's SYN+ACK round trips.
pub const ACCEPT: Duration = Duration::from_secs(10);

/// What the sender of a held SYN gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The connection.
    Granted,
    /// Nobody listens there.
    Refused,
    /// No such host.
    HostUnreachable,
    /// No such network.
    NetUnreachable,
    /// Somebody does not allow it.
    Prohibited,
    /// Nothing.
    Silence,
}

impl Answer {
    /// Returns the packet mark by which the ruleset of `R` knows what to do. `None`: the packet is dropped.
    pub fn mark(self) -> Option<u32> {
        match self {
            Self::Refused => Some(2),
            Self::HostUnreachable => Some(3),
            Self::NetUnreachable => Some(4),
            Self::Prohibited => Some(5),
            Self::Granted => Some(6),
            Self::Silence => None,
        }
    }

    /// Returns what a failed connect(2) says.
    pub fn of(error: Errno) -> Self {
        match error {
            Errno::CONNREFUSED | Errno::CONNRESET => Self::Refused,
            Errno::HOSTUNREACH | Errno::HOSTDOWN => Self::HostUnreachable,
            // No address of that family, or none left, to come from.
            Errno::NETUNREACH | Errno::NETDOWN | Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL => {
                Self::NetUnreachable
            }
            Errno::ACCESS | Errno::PERM => Self::Prohibited,
            // Timeouts are the silence of the other side. When we are short of something, it is ours: the
            // container's kernel tries again, and so may get through.
            _ => Self::Silence,
        }
    }
}

/// A loop's world that has the tables of TCP in it.
pub trait HasTcp: Sized + 'static {
    /// Returns them.
    fn tcp(&mut self) -> &mut Tcp;
}

/// Says where a container's connection goes, or what it is answered at once.
type Route = Box<dyn Fn(&Ends) -> Result<SocketAddr, Answer>>;

/// Answers a held packet.
type Verdict = Box<dyn FnMut(u32, Answer)>;

/// A connection that began with a held packet.
#[derive(Debug, Clone, Copy)]
struct Known {
    key: Key,
    sequence: u32,
    stage: Stage,
}

/// How far a connection is that began with a held packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its packet waits.
    Held,
    /// Its packet has gone on; the socket is still to be accepted.
    Granted,
    /// It has its socket.
    Accepted,
}

/// The tables of TCP in one loop.
pub struct Tcp {
    means: Means,
    accounts: Accounts,
    annexes: Annexes,
    route: Route,
    verdict: Verdict,
    /// Connections that began with a held packet.
    known: HashMap<Ends, Known>,
    /// Sockets accepted for connections that wait for them.
    arrived: HashMap<Key, OwnedFd>,
    /// Listeners of published ports, by container.
    doors: HashMap<String, door::Doors>,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("connections", &self.accounts.total()).finish_non_exhaustive()
    }
}

impl Tcp {
    /// Makes empty tables. `route` decides where connections of containers go, `verdict` answers held SYNs.
    pub fn new(
        limits: Limits,
        route: impl Fn(&Ends) -> Result<SocketAddr, Answer> + 'static,
        verdict: impl FnMut(u32, Answer) + 'static,
    ) -> Self {
        Self {
            means: Means::default(),
            accounts: Accounts::new(limits),
            annexes: Annexes::new(limits),
            route: Box::new(route),
            verdict: Box::new(verdict),
            known: HashMap::new(),
            arrived: HashMap::new(),
            doors: HashMap::new(),
        }
    }

    /// Returns how far the connection is that this packet asks for, if it did so before.
    fn known(&self, opening: &packet::Opening) -> Option<Stage> {
        let known = self.known.get(&opening.ends)?;
        // What has a socket may be over in the container, which begins the next from the same port.
        let is_another = known.stage == Stage::Accepted && known.sequence != opening.sequence;
        (!is_another).then_some(known.stage)
    }

    /// Makes empty tables of a loop in which no container opens connections.
    pub fn inward(limits: Limits) -> Self {
        Self::new(limits, |_| Err(Answer::Prohibited), |_, _| ())
    }
}

/// Ends all connections of the container at `address`.
pub fn forget<W: HasTcp>(turn: &mut Turn<'_, W>, address: IpAddr) {
    for key in turn.world.tcp().accounts.of(address) {
        turn.remove(key);
    }
}

/// Makes a TCP socket that does not block, of the family of `address`.
fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

/// Sets what every socket of a relay has: bytes are passed on when they come, and a peer that has vanished is
/// found out some day. Accepted sockets have it from their listener.
fn set_relayed(socket: &OwnedFd) -> io::Result<()> {
    rustix::net::sockopt::set_tcp_nodelay(socket, true)?;
    Ok(rustix::net::sockopt::set_socket_keepalive(socket, true)?)
}

/// Tells whether accept(2) failed because this process is short of something, so that it should rest a while
/// (and not because of the connection that it was about to accept, which is gone).
fn is_short(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
}
