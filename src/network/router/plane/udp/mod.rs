//! UDP between containers and the host's namespace: flows that containers begin (`out`), and ports of the host
//! that lead to containers (`published`).
//!
//! A flow is one container's port and one other's address and port: a socket in `R` that has the other's address
//! and is connected to the container, and a socket of the host. What one receives, the other sends; datagrams of
//! equal length travel together where both sides of the kernel can do that (`carry`).

mod carry;
mod out;
mod published;
mod table;

use std::cell::Cell;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::event::Key;
use super::flow::descriptors;

pub(super) use out::catch;
pub use published::{Destination, Published, publish};
pub(super) use table::{Aged, Table};

/// How long a flow without a packet is kept while nobody has answered, and after somebody has; as the kernel's
/// connection tracking would.
const UNREPLIED: Duration = Duration::from_secs(30);
const STREAM: Duration = Duration::from_secs(180);
/// How many flows a container, or the clients of its ports, may have.
const FLOWS_EACH: usize = 1024;
/// How many flows there are at most, whatever the limit of descriptors.
const FLOWS: usize = 16384;

/// The tables of UDP.
#[derive(Debug)]
pub(super) struct Udp {
    /// What containers have begun, by their own port and the address and port they speak to.
    out: Table<(u16, SocketAddr), Rc<Talk>>,
    /// The clients of published ports.
    clients: Table<published::Client, Rc<Talk>>,
    /// Pairs of addresses that sockets in `R` have because of clients.
    pairs: HashSet<(SocketAddr, SocketAddr)>,
}

impl Udp {
    pub(super) fn new() -> Self {
        // A flow takes two descriptors; the rest is for connections.
        let all = (descriptors() / 8).clamp(64, FLOWS);
        let each = FLOWS_EACH.min(all / 2);
        Self { out: Table::new(each, all), clients: Table::new(each, all), pairs: HashSet::new() }
    }

    /// Tells whether there is no flow.
    pub(super) fn is_idle(&self) -> bool {
        self.out.len() + self.clients.len() == 0
    }

    /// Returns the flows of a container's address.
    pub(super) fn keys_of(&self, address: IpAddr) -> Vec<Key> {
        let mut keys = self.out.keys_of(address);
        keys.extend(self.clients.keys_of(address));
        keys
    }
}

/// A flow, as those see it who have a packet for it.
#[derive(Debug)]
struct Talk {
    /// The socket in `R`, connected to the container.
    inside: End,
    /// The container's end of it, and its own address; no port if the kernel chose it.
    container: SocketAddr,
    own: SocketAddr,
    /// The socket of the host: the flow's own, or the published port's.
    outside: Rc<End>,
    last: Cell<Instant>,
    replied: Cell<bool>,
}

impl Talk {
    /// Notes that something came through; returns until when the flow is kept.
    fn touch(&self, now: Instant, is_reply: bool) -> Instant {
        self.last.set(now);
        if is_reply {
            self.replied.set(true);
        }
        now + if self.replied.get() { STREAM } else { UNREPLIED }
    }

    /// Tells whether somebody has just begun to use the flow again: a datagram waits to be read. Then it counts as
    /// used at `now`.
    fn is_resumed(&self, now: Instant) -> bool {
        let waits = |end: &End| {
            let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
            rustix::net::recv(&end.socket, &mut [0; 1][..], flags).is_ok()
        };
        // The other socket of a client's flow is everybody's.
        let is_resumed =
            waits(&self.inside) || (Rc::strong_count(&self.outside) == 1 && waits(&self.outside));
        if is_resumed {
            self.last.set(now);
        }
        is_resumed
    }
}

impl Aged for Rc<Talk> {
    fn last(&self) -> Instant {
        self.last.get()
    }
}

/// A socket, and what it can take.
#[derive(Debug)]
struct End {
    socket: OwnedFd,
    /// The longest datagram that may travel with others; zero once the kernel has refused.
    together: Cell<usize>,
}

impl End {
    fn new(socket: OwnedFd, together: usize) -> Self {
        Self { socket, together: Cell::new(together) }
    }
}

/// What an IPv6 and a UDP header take: a packet less these is the longest datagram sure not to be cut.
const HEADERS: usize = 48;
