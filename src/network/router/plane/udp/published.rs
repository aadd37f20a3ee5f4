//! Ports of the host that lead to containers.
//!
//! Each client has a socket in `R` with the client's own address, connected to the container: the container
//! sees who speaks to it. A client on the host's own loopback, and one that speaks the version of the internet
//! protocol that the container does not, appears as the gateway. Answers leave from the address of the host that the
//! client spoke to.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::carry::{Envelope, carry};
use super::out::relay;
use super::{End, Talk};
use crate::network::router::plane::event::{Events, Fate, Key, Source, Turn};
use crate::network::router::plane::flow::{self, HasFlow, WATCHED};
use crate::sys::datagram::{self, BATCH, DATAGRAM, Inbox, Wish};
use crate::sys::inet::Family;

/// The longest datagram of several that travel together to a client, whose path nobody has told: what most links
/// carry. If one does not, the kernel says so.
const TOGETHER: usize = 1500 - super::HEADERS;

/// Where the datagrams of a port go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The container's address and port.
    pub container: SocketAddr,
    /// The gateway of its network in the same family.
    pub gateway: IpAddr,
}

/// A client of a published port: the port's place in the loop, the client, and the address of the host it speaks
/// to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client {
    port: Key,
    address: SocketAddr,
    local: Option<IpAddr>,
}

/// Serves a port of the host, a bound socket that does not block, until [`Published::end`].
pub fn publish<W: HasFlow>(
    turn: &mut Turn<'_, W>,
    socket: OwnedFd,
    family: Family,
    to: Destination,
) -> io::Result<Published> {
    datagram::ask(&socket, family, Wish::LocalAddress)?;
    datagram::ask(&socket, family, Wish::Fragment)?;
    flow::prepare(&socket, family);
    let end = Rc::new(End::new(socket, TOGETHER));
    let to = Rc::new(Cell::new(to));
    let key = turn.add(Port { end: Rc::clone(&end), to: Rc::clone(&to) })?;
    if let Err(error) = turn.watch(key, 0, &end.socket, WATCHED) {
        turn.remove(key);
        return Err(error);
    }
    Ok(Published { key, family, to })
}

/// A port that is served.
#[derive(Debug)]
pub struct Published {
    key: Key,
    /// The family of the host's address.
    pub family: Family,
    to: Rc<Cell<Destination>>,
}

impl Published {
    /// Ends what [`publish`] has begun, for all clients. The port is free when this turn of the loop ends.
    pub fn end<W: HasFlow>(self, turn: &mut Turn<'_, W>) {
        self.forget_clients(turn);
        turn.remove(self.key);
    }

    /// Has the port lead elsewhere. Its clients are new ones there.
    pub fn turn_to<W: HasFlow>(&self, turn: &mut Turn<'_, W>, to: Destination) {
        if to != self.to.get() {
            self.forget_clients(turn);
            self.to.set(to);
        }
    }

    /// Returns the container's port.
    pub fn port(&self) -> u16 {
        self.to.get().container.port()
    }

    fn forget_clients<W: HasFlow>(&self, turn: &mut Turn<'_, W>) {
        let owner = self.to.get().container.ip();
        for client in turn.world.flow().udp.clients.keys_where(owner, |client| client.port == self.key) {
            turn.remove(client);
        }
    }
}

/// A published port.
struct Port {
    end: Rc<End>,
    to: Rc<Cell<Destination>>,
}

impl<W: HasFlow> Source<W> for Port {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        let key = turn.key();
        let flow = turn.world.flow();
        // Each datagram may be a new client's: no more are read than can be served.
        let most = flow.pool.available(Family::of(self.to.get().container.ip()), key).min(BATCH);
        if most == 0 {
            return Fate::Stay;
        }
        let mut inbox = flow.inbox();
        let result = inbox.receive(&self.end.socket, most);
        if let Ok(count) = result {
            self.deliver(turn, &inbox, count);
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

impl Port {
    /// Sends on what was received, neighbours of one client together.
    fn deliver<W: HasFlow>(&self, turn: &mut Turn<'_, W>, inbox: &Inbox, count: usize) {
        let port = turn.key();
        let now = turn.now();
        let mut slot = 0;
        while slot < count {
            let meta = inbox.get(slot).1;
            let client = Client { port, address: meta.from, local: meta.local };
            let same = |other: &usize| {
                let other = inbox.get(*other).1;
                other.from == client.address && other.local == client.local
            };
            let end = slot + (slot..count).take_while(same).count();
            let known = turn.world.flow().udp.clients.get(self.to.get().container.ip(), &client);
            let talk = match known {
                Some((key, talk)) => {
                    let (key, talk) = (*key, Rc::clone(talk));
                    turn.deadline(key, Some(talk.touch(now, false)));
                    Some(talk)
                }
                None => self.welcome(turn, client),
            };
            if let Some(talk) = talk {
                carry(inbox, slot..end, &talk.inside, Envelope::default());
            }
            slot = end;
        }
    }

    /// Makes the socket of a new client.
    fn welcome<W: HasFlow>(&self, turn: &mut Turn<'_, W>, client: Client) -> Option<Rc<Talk>> {
        let Destination { container: to, gateway } = self.to.get();
        let now = turn.now();
        let flow = turn.world.flow();
        let evicted = flow.udp.clients.evict(to.ip(), |talk| talk.is_resumed(now));
        let socket = flow.pool.take(Family::of(to.ip()))?;
        let is_true = client.address.is_ipv4() == to.is_ipv4() && !client.address.ip().is_loopback();
        // Two ports of the host may lead to one of the container: a client of both can be itself only once.
        let pair = (client.address, to);
        let pair = (is_true && !flow.udp.pairs.contains(&pair)).then_some(pair);
        let own = pair.map_or(SocketAddr::new(gateway, 0), |(own, _)| own);
        rustix::net::bind(&socket, &own).ok()?;
        rustix::net::connect(&socket, &to).ok()?;
        if let Some(evicted) = evicted {
            turn.remove(evicted);
        }

        let talk = Rc::new(Talk {
            inside: End::new(socket, DATAGRAM),
            container: to,
            own,
            outside: Rc::clone(&self.end),
            last: Cell::new(now),
            replied: Cell::new(false),
        });
        let visit = Visit { talk: Rc::clone(&talk), client, container: to.ip(), pair };
        let key = turn.add(visit).ok()?;
        let watched = turn.watch(key, 0, &talk.inside.socket, WATCHED);
        let udp = &mut turn.world.flow().udp;
        udp.clients.insert(to.ip(), client, key, Rc::clone(&talk));
        udp.pairs.extend(pair);
        if watched.is_err() {
            turn.remove(key);
            return None;
        }
        turn.deadline(key, Some(talk.touch(now, false)));
        Some(talk)
    }
}

/// One client's flow.
struct Visit {
    talk: Rc<Talk>,
    client: Client,
    container: IpAddr,
    pair: Option<(SocketAddr, SocketAddr)>,
}

impl<W: HasFlow> Source<W> for Visit {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        let envelope = Envelope { to: Some(self.client.address), from: self.client.local };
        relay(turn, &self.talk, true, envelope)
    }

    fn leave(&mut self, world: &mut W) {
        let udp = &mut world.flow().udp;
        udp.clients.remove(self.container, &self.client, |talk| Rc::ptr_eq(talk, &self.talk));
        if let Some(pair) = &self.pair {
            udp.pairs.remove(pair);
        }
        world.flow().rest();
    }
}
