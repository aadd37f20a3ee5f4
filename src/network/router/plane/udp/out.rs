//! Flows that containers begin.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::net::SocketType;

use super::carry::{Envelope, carry};
use super::{End, HEADERS, Talk};
use crate::network::router::plane::event::{Events, Fate, Source, Turn};
use crate::network::router::plane::flow::{self, Flow, HasFlow, Target, WATCHED};
use crate::network::router::plane::icmp::{self, Trouble};
use crate::sys::datagram::{self, BATCH, DATAGRAM, Inbox, Origin, Wish};
use crate::sys::inet::Family;

/// The port of a flow's socket in `R`, and of its other one.
const INSIDE: u8 = 0;
const OUTSIDE: u8 = 1;
/// How many entries of an error queue are read at a time.
const ERRORS: usize = 16;

/// Serves the socket in `R` to which the first datagram of each flow comes.
pub(in super::super) fn catch<W: HasFlow>(
    turn: &mut Turn<'_, W>,
    family: Family,
    socket: OwnedFd,
) -> io::Result<()> {
    let watched = rustix::io::dup(&socket)?;
    let key = turn.add(Caught { family, socket })?;
    turn.watch(key, 0, &watched, WATCHED)?;
    Ok(())
}

/// The socket of first datagrams.
struct Caught {
    family: Family,
    socket: OwnedFd,
}

impl<W: HasFlow> Source<W> for Caught {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        let key = turn.key();
        let flow = turn.world.flow();
        // Each datagram may need a socket: no more are read than can be served.
        let most = flow.pool.available(self.family, key).min(BATCH);
        if most == 0 {
            return Fate::Stay;
        }
        let mut inbox = flow.inbox();
        let result = inbox.receive(&self.socket, most);
        if let Ok(count) = result {
            for slot in 0..count {
                if let Some(to) = inbox.get(slot).1.destination {
                    first(turn, &inbox, slot, to);
                }
            }
        }
        turn.world.flow().give_back(inbox);
        match result {
            Ok(count) if count < most => Fate::Stay,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Fate::Stay,
            _ => Fate::Again,
        }
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        self.ready(0, Events::empty(), turn)
    }
}

/// Sends on a datagram for `to` that came to no socket of its flow, in that flow or a new one.
fn first<W: HasFlow>(turn: &mut Turn<'_, W>, inbox: &Inbox, slot: usize, to: SocketAddr) {
    let from = inbox.get(slot).1.from;
    let now = turn.now();
    let known = turn.world.flow().udp.out.get(from.ip(), &(from.port(), to));
    let talk = match known {
        Some((key, talk)) => {
            let (key, talk) = (*key, Rc::clone(talk));
            turn.deadline(key, Some(talk.touch(now, false)));
            Some(talk)
        }
        None => open(turn, from, to, inbox.get(slot).0),
    };
    if let Some(talk) = talk {
        carry(inbox, slot..slot + 1, &talk.outside, Envelope::default());
    }
}

/// Begins a flow. What fails here fails for the container as the datagram would have failed outside.
fn open<W: HasFlow>(
    turn: &mut Turn<'_, W>,
    from: SocketAddr,
    to: SocketAddr,
    bytes: &[u8],
) -> Option<Rc<Talk>> {
    let family = Family::of(to.ip());
    let flow = turn.world.flow();
    let (target, gateway) = {
        let directory = flow.directory();
        let (domain, _) = directory.at(from.ip())?;
        (flow::target(&directory, domain, to.ip()), domain.gateway(to.ip())?)
    };
    let complain = |flow: &Flow, errno: i32| {
        if let Some(trouble) = Trouble::of_errno(errno, to.ip()) {
            let head = &bytes[..bytes.len().min(1024)];
            flow.complain(trouble, gateway, from.ip(), &icmp::udp_packet(from, to, bytes.len(), head));
        }
    };
    let address = match target {
        Target::Outside(address) => address,
        Target::Host => {
            let address = flow::host_address(family);
            if address.is_none() {
                complain(flow, libc::EHOSTUNREACH);
            }
            address?
        }
        Target::Nowhere => return None,
    };
    let now = turn.now();
    if let Some(victim) = turn.world.flow().udp.out.evict(from.ip(), |talk| talk.is_resumed(now)) {
        turn.remove(victim);
    }
    let outside = match connect(family, SocketAddr::new(address, to.port())) {
        Ok(outside) => outside,
        Err(error) => {
            complain(turn.world.flow(), error.raw_os_error().unwrap_or(0));
            return None;
        }
    };
    let inside = turn.world.flow().pool.take(family)?;
    rustix::net::bind(&inside, &to).ok()?;
    rustix::net::connect(&inside, &from).ok()?;

    let talk = Rc::new(Talk {
        inside: End::new(inside, DATAGRAM),
        container: from,
        own: to,
        outside: Rc::new(outside),
        last: Cell::new(now),
        replied: Cell::new(false),
    });
    let key = turn.add(OutFlow { talk: Rc::clone(&talk), from, to, outside: address }).ok()?;
    let watched = turn
        .watch(key, INSIDE, &talk.inside.socket, WATCHED)
        .and_then(|()| turn.watch(key, OUTSIDE, &talk.outside.socket, WATCHED));
    turn.world.flow().udp.out.insert(from.ip(), (from.port(), to), key, Rc::clone(&talk));
    if watched.is_err() {
        turn.remove(key);
        return None;
    }
    turn.deadline(key, Some(talk.touch(now, false)));
    Some(talk)
}

/// Makes the socket of the host for a flow to `to`.
fn connect(family: Family, to: SocketAddr) -> io::Result<End> {
    let socket = flow::socket(family, SocketType::DGRAM, None)?;
    datagram::ask(&socket, family, Wish::Errors)?;
    datagram::ask(&socket, family, Wish::Fragment)?;
    flow::prepare(&socket, family);
    rustix::net::connect(&socket, &to)?;
    let mtu = match family {
        Family::V4 => rustix::net::sockopt::ip_mtu(&socket),
        Family::V6 => rustix::net::sockopt::ipv6_mtu(&socket),
    };
    let mtu = mtu.ok().and_then(|mtu| usize::try_from(mtu).ok()).unwrap_or(0);
    Ok(End::new(socket, mtu.saturating_sub(HEADERS)))
}

/// A flow that a container has begun.
struct OutFlow {
    talk: Rc<Talk>,
    from: SocketAddr,
    to: SocketAddr,
    /// What `to` really is.
    outside: IpAddr,
}

impl<W: HasFlow> Source<W> for OutFlow {
    fn ready(&mut self, port: u8, events: Events, turn: &mut Turn<'_, W>) -> Fate {
        let mut fate = Fate::Stay;
        // Run again with no events: either side may have had more.
        let both = events.is_empty();
        if both || port == INSIDE {
            fate = relay(turn, &self.talk, true, Envelope::default());
        }
        if both || port == OUTSIDE {
            if events.contains(Events::ERR) {
                self.report(turn.world.flow());
            }
            if relay(turn, &self.talk, false, Envelope::default()) == Fate::Again {
                fate = Fate::Again;
            }
        }
        fate
    }

    fn leave(&mut self, world: &mut W) {
        let name = (self.from.port(), self.to);
        world.flow().udp.out.remove(self.from.ip(), &name, |talk| Rc::ptr_eq(talk, &self.talk));
        world.flow().rest();
    }
}

impl OutFlow {
    /// Tells the container what ICMP has told the flow's socket.
    fn report(&self, flow: &Flow) {
        let mut back = [0; 1280];
        for _ in 0..ERRORS {
            let Ok(Some(error)) = datagram::take_error(&self.talk.outside.socket, &mut back) else { return };
            let icmp = Trouble { kind: error.kind, code: error.code, info: error.info };
            let trouble = match error.origin {
                Origin::Local => Trouble::of_errno(error.errno, self.to.ip()),
                Origin::Icmp | Origin::Icmp6 => Some(icmp).filter(|icmp| icmp.is_error(self.to.ip())),
            };
            let Some(trouble) = trouble else { continue };
            // Who said so; in the name that the container knows if it was the other end.
            let who = error.offender.filter(|who| {
                *who != self.outside
                    && who.is_ipv4() == self.to.is_ipv4()
                    && !who.is_loopback()
                    && !who.is_unspecified()
            });
            let back = &back[..error.length];
            let original = icmp::udp_packet(self.from, self.to, back.len(), back);
            flow.complain(trouble, who.unwrap_or(self.to.ip()), self.from.ip(), &original);
        }
    }
}

/// Moves a batch outward, from the container, or inward. Returns whether there may be more.
pub(super) fn relay<W: HasFlow>(
    turn: &mut Turn<'_, W>,
    talk: &Talk,
    outward: bool,
    envelope: Envelope,
) -> Fate {
    // To clients, whose envelopes have addresses, containers reply; to containers, the world does.
    let is_reply = outward == envelope.to.is_some();
    let key = turn.key();
    let (from, to): (&End, &End) =
        if outward { (&talk.inside, &talk.outside) } else { (&talk.outside, &talk.inside) };
    let mut inbox = turn.world.flow().inbox();
    let result = inbox.receive(&from.socket, BATCH);
    let count = *result.as_ref().unwrap_or(&0);
    let mut slot = 0;
    while slot < count {
        let is_own = |slot: &usize| !outward || inbox.get(*slot).1.from == talk.container;
        let end = slot + (slot..count).take_while(is_own).count();
        carry(&inbox, slot..end, to, envelope);
        // A socket that has its address and is not connected yet gets what is for others: it is theirs.
        if end < count && talk.own.port() != 0 {
            first(turn, &inbox, end, talk.own);
        }
        slot = end + 1;
    }
    turn.world.flow().give_back(inbox);
    match result {
        Ok(count) => {
            let until = talk.touch(turn.now(), is_reply);
            turn.deadline(key, Some(until));
            if count == BATCH { Fate::Again } else { Fate::Stay }
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Fate::Stay,
        // An error that ICMP has reported is told once, before what was received.
        Err(_) => Fate::Again,
    }
}
