//! Datagrams: what UDP, ICMP echo and DNS have in common.
//!
//! # Theory of operation
//!
//! Everything here lives in the loop of the thread that stays in the host's network namespace. A descriptor can
//! be used by any thread, whatever namespace its socket is in; only *making* a socket needs a thread that is
//! there. So this loop makes the sockets of the host itself, gets the few long-lived sockets of `R` when the
//! router enters it ([`Inside::make`]), and takes those that each flow needs from a small pool ([`Pool`]), which
//! the loop in `R` fills when it is asked to. While the pool is empty, whoever needs a socket reads no packets:
//! they wait in the kernel, and none is lost that would have been kept.
//!
//! ```text
//!             R                                          the host's namespace
//!   container ── tproxy ─▶ [caught] ─ first datagram ─▶ a flow is made:
//!   container ◀──────────▶ [from there, to container] ◀─ udp::out ───────▶ [connected] ◀─▶ the world
//!   container ◀──────────▶ [from client, to container] ◀ udp::published ─▶ [port] ◀──────▶ clients
//!   container ── nfqueue ─▶ echo request ─────────────── icmp::echo ─────▶ [ping socket] ◀▶ the world
//!   container ◀── raw socket: echo replies, ICMP errors ◀─┘
//!   container ◀──────────▶ [gateway:53] ◀─ dns::server ─ dns::forward ──▶ [connected] ◀──▶ resolvers
//! ```
//!
//! Every table is bounded, for each container and in all. Who is at his limit loses what he has used least
//! lately (UDP) or is told so (DNS); his neighbours notice nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto};

use super::dns::Dns;
use super::event::{Events, Key, Turn};
use super::icmp::{Echoes, Trouble};
use super::udp::Udp;
use crate::network::router::directory::{Directory, Domain};
use crate::sys::datagram::{self, Inbox, Wish};
use crate::sys::inet::{self, Family};

/// How many sockets of `R` lie ready, and how many are asked for at a time.
const READY: usize = 12;
const REFILL: usize = 24;
/// How many of them are kept for datagrams that come to the wrong socket.
const KEPT: usize = 4;
/// How long to wait before sockets are asked for again if there were none to get.
const SCARCE: Duration = Duration::from_millis(100);

/// A loop's world that has the tables of datagrams in it.
pub trait HasFlow: Sized + 'static {
    /// Returns them.
    fn flow(&mut self) -> &mut Flow;
}

/// The tables of datagrams.
pub struct Flow {
    pub(super) directory: Arc<RwLock<Directory>>,
    pub(super) pool: Pool,
    pub(super) udp: Udp,
    pub(super) echoes: Echoes,
    pub(super) dns: Dns,
    raw: Option<Raw>,
    inbox: Option<Box<Inbox>>,
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").finish_non_exhaustive()
    }
}

impl Flow {
    /// Makes empty tables. `more` asks the loop in `R` for so many sockets of a family: it makes them with
    /// [`transparent`] and has them brought back with [`supply`], even if there are none.
    pub fn new(directory: Arc<RwLock<Directory>>, more: impl FnMut(Family, usize) + 'static) -> Self {
        Self {
            directory,
            pool: Pool { v4: Shelf::default(), v6: Shelf::default(), more: Box::new(more) },
            udp: Udp::new(),
            echoes: Echoes::default(),
            dns: Dns::new(),
            raw: None,
            inbox: None,
        }
    }

    /// Returns who is where.
    pub(super) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends the room for received datagrams, which is one for all.
    pub(super) fn inbox(&mut self) -> Box<Inbox> {
        self.inbox.take().unwrap_or_default()
    }

    /// Takes it back.
    pub(super) fn give_back(&mut self, inbox: Box<Inbox>) {
        self.inbox = Some(inbox);
    }

    /// Tells the container that sent `original`, the beginning of an IP packet, that it did not arrive.
    pub(super) fn complain(&self, trouble: Trouble, from: IpAddr, to: IpAddr, original: &[u8]) {
        if let Some(packet) = trouble.packet(from, original) {
            self.send_raw(to, &packet);
        }
    }

    /// Sends an IP packet to a container. What cannot be sent is lost, as packets are.
    pub(super) fn send_raw(&self, to: IpAddr, packet: &[u8]) {
        let Some(raw) = &self.raw else { return };
        let socket = if to.is_ipv4() { Some(&raw.v4) } else { raw.v6.as_ref() };
        if let Some(socket) = socket {
            let parts = [io::IoSlice::new(packet)];
            let to = Some(SocketAddr::new(to, 0));
            let _ = datagram::send(socket, &[datagram::Outgoing { to, ..datagram::Outgoing::new(&parts) }]);
        }
    }

    /// Gives memory back that only much traffic needs, when there is none.
    pub(super) fn rest(&mut self) {
        if let (Some(inbox), true) = (&mut self.inbox, self.udp.is_idle()) {
            inbox.shrink();
        }
    }
}

/// Sockets that send packets whose headers we have written.
#[derive(Debug)]
struct Raw {
    v4: OwnedFd,
    v6: Option<OwnedFd>,
}

/// The long-lived sockets in `R`. IPv6 ones are absent where the kernel has no IPv6.
#[derive(Debug)]
pub struct Inside {
    udp: [Option<OwnedFd>; 2],
    dns: [Option<OwnedFd>; 2],
    dns_streams: [Option<OwnedFd>; 2],
    raw: Raw,
}

/// What may wait in a socket.
const BUFFER: usize = 1 << 20;
/// The port of DNS.
const DNS_PORT: u16 = 53;

impl Inside {
    /// Makes them; `port` is where `tproxy` hands UDP packets to, in both families. To be called by a thread that is
    /// in `R` and has `CAP_NET_ADMIN`, `CAP_NET_RAW` and `CAP_NET_BIND_SERVICE` there.
    pub fn make(port: u16) -> io::Result<Self> {
        let udp4 = transparent(Family::V4)?;
        inet::set_receive_original_destination(&udp4, Family::V4)?;
        rustix::net::bind(&udp4, &SocketAddr::new(Family::V4.unspecified(), port))?;
        let has_v6 = socket(Family::V6, SocketType::DGRAM, None).is_ok();
        let udp6 = has_v6.then(|| {
            let udp6 = transparent(Family::V6)?;
            inet::set_receive_original_destination(&udp6, Family::V6)?;
            rustix::net::bind(&udp6, &SocketAddr::new(Family::V6.unspecified(), port))?;
            Ok::<_, io::Error>(udp6)
        });
        let v6 = |kind| has_v6.then(|| dns_socket(Family::V6, kind)).transpose();
        let raw = |family| socket(family, SocketType::RAW, Some(ipproto::RAW));
        Ok(Self {
            udp: [Some(udp4), udp6.transpose()?],
            dns: [Some(dns_socket(Family::V4, SocketType::DGRAM)?), v6(SocketType::DGRAM)?],
            dns_streams: [Some(dns_socket(Family::V4, SocketType::STREAM)?), v6(SocketType::STREAM)?],
            raw: Raw { v4: raw(Family::V4)?, v6: has_v6.then(|| raw(Family::V6)).transpose()? },
        })
    }
}

fn dns_socket(family: Family, kind: SocketType) -> io::Result<OwnedFd> {
    let socket = socket(family, kind, None)?;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    if family == Family::V6 {
        datagram::ask(&socket, family, Wish::OnlyV6)?;
    }
    if kind == SocketType::DGRAM {
        datagram::ask(&socket, family, Wish::LocalAddress)?;
        datagram::ask(&socket, family, Wish::Fragment)?;
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BUFFER);
    }
    rustix::net::bind(&socket, &SocketAddr::new(family.unspecified(), DNS_PORT))?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, 128)?;
    }
    Ok(socket)
}

/// Makes a UDP socket that may have any address. To be called by a thread in `R`.
pub fn transparent(family: Family) -> io::Result<OwnedFd> {
    let socket = socket(family, SocketType::DGRAM, None)?;
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    if family == Family::V6 {
        datagram::ask(&socket, family, Wish::OnlyV6)?;
    }
    inet::set_transparent(&socket, family)?;
    datagram::ask(&socket, family, Wish::Fragment)?;
    prepare(&socket, family);
    Ok(socket)
}

/// Asks for what makes a UDP socket fast; it works without.
pub(super) fn prepare(socket: &OwnedFd, family: Family) {
    // Absent before Linux 5.0: datagrams come one by one.
    let _ = datagram::ask(socket, family, Wish::Coalesce);
    // As much as the administrator allows (`net.core.rmem_max`).
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(socket, BUFFER);
}

/// Returns how many descriptors this process may have.
pub(super) fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Makes a socket that does not block.
pub(super) fn socket(family: Family, kind: SocketType, protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    let family = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, kind, flags, protocol)?)
}

/// Begins to serve: to be called once in the loop, when `R` is entered.
pub fn enter<W: HasFlow>(turn: &mut Turn<'_, W>, inside: Inside) -> io::Result<()> {
    turn.world.flow().raw = Some(inside.raw);
    for (family, udp) in [Family::V4, Family::V6].into_iter().zip(inside.udp) {
        if let Some(udp) = udp {
            turn.world.flow().pool.top_up(family);
            super::udp::catch(turn, family, udp)?;
        }
    }
    for socket in inside.dns.into_iter().flatten() {
        super::dns::serve(turn, socket)?;
    }
    for socket in inside.dns_streams.into_iter().flatten() {
        super::dns::serve_streams(turn, socket)?;
    }
    Ok(())
}

/// Brings sockets of `R` that were asked for.
pub fn supply<W: HasFlow>(turn: &mut Turn<'_, W>, family: Family, sockets: Vec<OwnedFd>) {
    let later = turn.now() + SCARCE;
    let shelf = turn.world.flow().pool.shelf(family);
    let found = !sockets.is_empty();
    shelf.sockets.extend(sockets);
    shelf.asked = false;
    for key in std::mem::take(&mut shelf.waiting) {
        if found {
            turn.poke(key);
        } else {
            turn.deadline(key, Some(later));
        }
    }
}

/// Ends all that the container with this address has open.
pub fn forget<W: HasFlow>(turn: &mut Turn<'_, W>, address: IpAddr) {
    let flow = turn.world.flow();
    let mut keys = flow.udp.keys_of(address);
    keys.extend(flow.echoes.keys_of(address));
    keys.extend(flow.dns.keys_of(address));
    for key in keys {
        turn.remove(key);
    }
}

/// Sockets of `R` that lie ready.
pub(super) struct Pool {
    v4: Shelf,
    v6: Shelf,
    more: Box<dyn FnMut(Family, usize)>,
}

#[derive(Default)]
struct Shelf {
    sockets: Vec<OwnedFd>,
    asked: bool,
    waiting: Vec<Key>,
}

impl Pool {
    fn shelf(&mut self, family: Family) -> &mut Shelf {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    /// Asks for sockets if few are left.
    fn top_up(&mut self, family: Family) {
        let shelf = self.shelf(family);
        if shelf.sockets.len() < READY && !std::mem::replace(&mut shelf.asked, true) {
            (self.more)(family, REFILL);
        }
    }

    /// Returns how many may be taken by whoever reads first datagrams. If there are none, `key` is run again when
    /// there are some.
    pub(super) fn available(&mut self, family: Family, key: Key) -> usize {
        self.top_up(family);
        let shelf = self.shelf(family);
        let count = shelf.sockets.len().saturating_sub(KEPT);
        if count == 0 && !shelf.waiting.contains(&key) {
            shelf.waiting.push(key);
        }
        count
    }

    /// Takes one.
    pub(super) fn take(&mut self, family: Family) -> Option<OwnedFd> {
        self.shelf(family).sockets.pop()
    }
}

/// What a descriptor of datagrams is watched for: each edge, because what is not read at once is read when the
/// loop comes back.
pub(super) const WATCHED: Events = Events::IN.union(Events::ET);

/// Where a packet of a container goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To this address, from the host's namespace.
    Outside(IpAddr),
    /// To the host itself: at an address that is not a loopback one.
    Host,
    /// Nowhere, and nobody is told.
    Nowhere,
}

/// Decides where packets go that a container on `domain` sends to `to`.
pub fn target(directory: &Directory, domain: &Domain, to: IpAddr) -> Target {
    if domain.internal {
        return Target::Nowhere;
    }
    if domain.gateways().any(|gateway| gateway == to) {
        return match to {
            _ if !domain.host_loopback => Target::Host,
            IpAddr::V4(_) => Target::Outside(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(_) => Target::Outside(Ipv6Addr::LOCALHOST.into()),
        };
    }
    let is_special = match to {
        IpAddr::V4(to) => {
            to.is_multicast()
                || to.is_broadcast()
                || to.is_loopback()
                || to.is_link_local()
                || to.octets()[0] == 0
        }
        IpAddr::V6(to) => {
            to.is_multicast()
                || to.is_loopback()
                || to.is_unspecified()
                || to.is_unicast_link_local()
                || to.to_ipv4().is_some()
        }
    };
    if is_special || directory.domains().any(|domain| domain.contains(to)) {
        return Target::Nowhere;
    }
    Target::Outside(to)
}

/// Returns the address by which the host reaches the world, for packets meant for the host itself.
pub fn host_address(family: Family) -> Option<IpAddr> {
    // Connecting a UDP socket sends nothing; it looks up a route and so finds the address (documentation
    // addresses, RFC 5737 and RFC 3849, are routed as the world is).
    let far: SocketAddr = match family {
        Family::V4 => (Ipv4Addr::new(192, 0, 2, 1), 9).into(),
        Family::V6 => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into(),
    };
    let socket = socket(family, SocketType::DGRAM, None).ok()?;
    rustix::net::connect(&socket, &far).ok()?;
    let address: SocketAddr = rustix::net::getsockname(&socket).ok()?.try_into().ok()?;
    Some(address.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}
