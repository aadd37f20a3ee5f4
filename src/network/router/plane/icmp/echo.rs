//! Echo requests of containers, sent by ping sockets of the host.
//!
//! A ping socket (icmp(7), `SOCK_DGRAM`) needs no privilege where `net.ipv4.ping_group_range` has one of the
//! user's groups. It numbers requests itself, so each program that asks has a socket of its own, and the answer gets the
//! program's number back. Answers, and the errors of routers on the way, are built by hand.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::{SocketType, ipproto};

use super::packet::{EchoRequest, Trouble, echo_packet, echo_reply};
use crate::network::router::plane::event::{Events, Fate, Key, Source, Turn};
use crate::network::router::plane::flow::{self, Flow, HasFlow, Target, WATCHED};
use crate::network::router::plane::udp::{Aged, Table};
use crate::sys::datagram::{self, BATCH, Inbox, Origin, Outgoing, Wish};
use crate::sys::inet::Family;

/// How long a program's number is kept after its last request or answer.
const IDLE: Duration = Duration::from_secs(30);
/// How many programs a container may have that ping, and how many there may be.
const EACH: usize = 128;
const ALL: usize = 1024;
/// How many entries of an error queue are read at a time.
const ERRORS: usize = 16;

/// The programs that ping.
#[derive(Debug)]
pub(in super::super) struct Echoes {
    /// By the container's address, the address pinged and the program's number.
    table: Table<(IpAddr, u16), Rc<Asked>>,
    /// Counts fragmented answers.
    ident: u32,
    has_complained: bool,
}

impl Default for Echoes {
    fn default() -> Self {
        Self { table: Table::new(EACH, ALL), ident: 1, has_complained: false }
    }
}

impl Echoes {
    /// Returns the places in the loop of a container's programs.
    pub(in super::super) fn keys_of(&self, address: IpAddr) -> Vec<Key> {
        self.table.keys_of(address)
    }
}

/// A program's socket.
#[derive(Debug)]
struct Asked {
    socket: OwnedFd,
    last: Cell<Instant>,
}

impl Aged for Rc<Asked> {
    fn last(&self) -> Instant {
        self.last.get()
    }
}

/// Takes an echo request of a container: an IP packet, which the caller then drops. Other packets are ignored.
pub fn take<W: HasFlow>(turn: &mut Turn<'_, W>, packet: &[u8]) {
    let Some(request) = EchoRequest::parse(packet) else { return };
    let flow = turn.world.flow();
    let (target, gateway) = {
        let directory = flow.directory();
        let Some((domain, _)) = directory.at(request.from) else { return };
        (flow::target(&directory, domain, request.to), domain.gateway(request.to))
    };
    // The kernel answers for the gateway itself.
    let (Target::Outside(to), Some(gateway)) = (target, gateway) else { return };
    if request.hops <= 1 {
        let kind = if to.is_ipv4() { 11 } else { 3 };
        let trouble = Trouble { kind, code: 0, info: 0 };
        return flow.complain(trouble, gateway, request.from, &echo_packet(&request));
    }
    let name = (request.to, request.id);
    let known = flow.echoes.table.get(request.from, &name).map(|(key, asked)| (*key, Rc::clone(asked)));
    let (key, asked) = match known {
        Some(known) => known,
        None => match open(turn, &request, to) {
            Ok(new) => new,
            Err(error) => {
                let flow = turn.world.flow();
                let code = error.raw_os_error().unwrap_or(0);
                if let Some(trouble) = Trouble::of_errno(code, request.to) {
                    if matches!(code, libc::EACCES | libc::EPERM)
                        && !std::mem::replace(&mut flow.echoes.has_complained, true)
                    {
                        eprintln!("ping: no group of this user is in net.ipv4.ping_group_range");
                    }
                    flow.complain(trouble, gateway, request.from, &echo_packet(&request));
                }
                return;
            }
        },
    };
    let now = turn.now();
    asked.last.set(now);
    turn.deadline(key, Some(now + IDLE));
    let header = request.message_header();
    let parts = [IoSlice::new(&header), IoSlice::new(request.payload)];
    let out =
        Outgoing { to: Some(SocketAddr::new(to, 0)), hops: Some(request.hops - 1), ..Outgoing::new(&parts) };
    // The first failure may be about an earlier request, whose error is in the queue.
    let sent = datagram::send(&asked.socket, &[out]).or_else(|_| datagram::send(&asked.socket, &[out]));
    if let Err(error) = sent
        && let Some(trouble) = Trouble::of_errno(error.raw_os_error().unwrap_or(0), request.to)
    {
        turn.world.flow().complain(trouble, gateway, request.from, &echo_packet(&request));
    }
}

/// Makes the socket of a program that has not asked before.
fn open<W: HasFlow>(
    turn: &mut Turn<'_, W>,
    request: &EchoRequest<'_>,
    to: IpAddr,
) -> io::Result<(Key, Rc<Asked>)> {
    if let Some(victim) = turn.world.flow().echoes.table.evict(request.from, |_| false) {
        turn.remove(victim);
    }
    let family = Family::of(to);
    let protocol = match family {
        Family::V4 => ipproto::ICMP,
        Family::V6 => ipproto::ICMPV6,
    };
    let socket = flow::socket(family, SocketType::DGRAM, Some(protocol))?;
    for wish in [Wish::Errors, Wish::Hops, Wish::Fragment] {
        datagram::ask(&socket, family, wish)?;
    }
    let asked = Rc::new(Asked { socket, last: Cell::new(turn.now()) });
    let pinger =
        Pinger { asked: Rc::clone(&asked), from: request.from, to: request.to, outside: to, id: request.id };
    let key = turn.add(pinger)?;
    turn.world.flow().echoes.table.insert(request.from, (request.to, request.id), key, Rc::clone(&asked));
    if let Err(error) = turn.watch(key, 0, &asked.socket, WATCHED) {
        turn.remove(key);
        return Err(error);
    }
    Ok((key, asked))
}

/// A program that pings.
struct Pinger {
    asked: Rc<Asked>,
    from: IpAddr,
    to: IpAddr,
    outside: IpAddr,
    id: u16,
}

impl<W: HasFlow> Source<W> for Pinger {
    fn ready(&mut self, _: u8, events: Events, turn: &mut Turn<'_, W>) -> Fate {
        let flow = turn.world.flow();
        if events.is_empty() || events.contains(Events::ERR) {
            self.report(flow);
        }
        let mut inbox = flow.inbox();
        let result = inbox.receive(&self.asked.socket, BATCH);
        if let Ok(count) = result {
            for slot in 0..count {
                self.answer(flow, &inbox, slot);
            }
        }
        flow.give_back(inbox);
        match result {
            Ok(count) if count < BATCH => Fate::Stay,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Fate::Stay,
            _ => Fate::Again,
        }
    }

    fn leave(&mut self, world: &mut W) {
        let name = (self.to, self.id);
        world.flow().echoes.table.remove(self.from, &name, |asked| Rc::ptr_eq(asked, &self.asked));
    }
}

impl Pinger {
    fn request<'a>(&self, sequence: u16, payload: &'a [u8]) -> EchoRequest<'a> {
        EchoRequest { from: self.from, to: self.to, hops: 64, id: self.id, sequence, payload }
    }

    /// Hands an answer to the container.
    fn answer(&self, flow: &mut Flow, inbox: &Inbox, slot: usize) {
        let (bytes, meta) = inbox.get(slot);
        let reply = if self.to.is_ipv4() { 0 } else { 129 };
        if bytes.len() < 8 || bytes[0] != reply || meta.from.ip() != self.outside {
            return;
        }
        let sequence = u16::from_be_bytes([bytes[6], bytes[7]]);
        flow.echoes.ident = flow.echoes.ident.wrapping_add(1).max(1);
        let mtu = flow.directory().at(self.from).map_or(1500, |(domain, _)| domain.mtu);
        let hops = meta.hops.unwrap_or(64).saturating_sub(1).max(1);
        for packet in echo_reply(&self.request(sequence, &bytes[8..]), hops, mtu, flow.echoes.ident) {
            flow.send_raw(self.from, &packet);
        }
    }

    /// Tells the container what routers have told the socket.
    fn report(&self, flow: &Flow) {
        let mut back = [0; 1280];
        for _ in 0..ERRORS {
            let Ok(Some(error)) = datagram::take_error(&self.asked.socket, &mut back) else { return };
            let back = &back[..error.length];
            let (Some(&[high, low]), false) =
                (back.get(6..8).and_then(|bytes| bytes.first_chunk()), back.is_empty())
            else {
                continue;
            };
            let trouble = Trouble { kind: error.kind, code: error.code, info: error.info };
            if error.origin == Origin::Local || !trouble.is_error(self.to) {
                continue;
            }
            let who = error.offender.filter(|who| who.is_ipv4() == self.to.is_ipv4() && !who.is_loopback());
            let request = self.request(u16::from_be_bytes([high, low]), &back[8.min(back.len())..]);
            flow.complain(trouble, who.unwrap_or(self.to), self.from, &echo_packet(&request));
        }
    }
}
