//! Questions passed on to other servers, over UDP or, for who asks over TCP, over TCP.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use super::message::{Query, rcode, verdict};
use super::server;
use super::stream::Outbox;
use crate::network::router::plane::event::{Events, Fate, Key, Source, Turn};
use crate::network::router::plane::flow::{self, Flow, HasFlow};
use crate::sys::inet::Family;

/// How long a server may be silent before the next one is asked too.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often each server is asked.
const ROUNDS: usize = 2;
/// How long a question may take in all.
const END: Duration = Duration::from_secs(8);
/// How long a server may take over TCP.
const STREAM_PATIENCE: Duration = Duration::from_secs(4);
/// How many messages are read from a server at a time: it should be one.
const MESSAGES: usize = 8;

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Asker {
    /// Somebody at an address, who spoke to this one of ours.
    Datagram { socket: Rc<OwnedFd>, to: SocketAddr, from: Option<IpAddr> },
    /// A connection.
    Stream { outbox: Rc<RefCell<Outbox>>, stream: Key },
}

/// A question that is being asked.
struct Case {
    asker: Asker,
    owner: SocketAddr,
    /// The asker's number.
    id: u16,
    question: Vec<u8>,
    /// The answer if there is none: a failure, or the last one that a server gave.
    failure: Vec<u8>,
    servers: Vec<SocketAddr>,
    begun: Instant,
    answered: bool,
    /// Its own place in the loop, once it has one.
    place: Rc<Cell<Option<Key>>>,
}

/// Passes a question on. An error means that no server can be asked.
pub(super) fn forward<W: HasFlow>(
    turn: &mut Turn<'_, W>,
    owner: SocketAddr,
    asker: Asker,
    query: &Query,
    message: &[u8],
    servers: Vec<SocketAddr>,
    is_stream: bool,
) -> io::Result<()> {
    let place = Rc::new(Cell::new(None));
    let case = Case {
        asker,
        owner,
        id: query.id,
        question: query.question.clone(),
        failure: query.fail(rcode::SERVER_FAILURE),
        servers,
        begun: turn.now(),
        answered: false,
        place: Rc::clone(&place),
    };
    let key = if is_stream {
        let (out, input) = (framed(message)?, Vec::new());
        turn.add(ByStream { case, out, number: 0, next: 0, socket: None, written: 0, input })?
    } else {
        let dead = vec![false; case.servers.len()];
        turn.add(ByDatagram { case, message: message.to_vec(), next: 0, tries: Vec::new(), dead })?
    };
    place.set(Some(key));
    let dns = &mut turn.world.flow().dns;
    dns.questions.insert(owner.ip(), key);
    if !is_stream {
        dns.asked.insert((owner, query.id));
    }
    turn.poke(key);
    Ok(())
}

impl Case {
    /// Hands the asker his answer.
    fn answer<W: HasFlow>(&mut self, turn: &mut Turn<'_, W>, mut reply: Vec<u8>) -> Fate {
        if let Some(id) = reply.get_mut(..2) {
            id.copy_from_slice(&self.id.to_be_bytes());
        }
        self.answered = true;
        match &self.asker {
            Asker::Datagram { socket, to, from } => server::send(socket, &reply, *to, *from),
            Asker::Stream { outbox, stream } => {
                outbox.borrow_mut().settle(Some(&reply));
                turn.poke(*stream);
            }
        }
        Fate::Gone
    }

    fn fail<W: HasFlow>(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let failure = std::mem::take(&mut self.failure);
        self.answer(turn, failure)
    }

    /// Judges what a server has sent: `Ok` is the answer; `Err(true)` means that another server may do better.
    fn judge(&mut self, reply: &[u8], number: u16) -> Result<Vec<u8>, bool> {
        let Some(found) = verdict(reply, number, &self.question) else { return Err(false) };
        if matches!(found.rcode, rcode::SERVER_FAILURE | rcode::NOT_IMPLEMENTED | rcode::REFUSED) {
            self.failure = reply.to_vec();
            return Err(true);
        }
        Ok(reply.to_vec())
    }

    fn leave(&self, flow: &mut Flow) {
        let dns = &mut flow.dns;
        if let Some(key) = self.place.get() {
            dns.questions.remove(self.owner.ip(), key);
        }
        match &self.asker {
            Asker::Datagram { .. } => {
                dns.asked.remove(&(self.owner, self.id));
            }
            Asker::Stream { outbox, .. } if !self.answered => outbox.borrow_mut().settle(None),
            Asker::Stream { .. } => {}
        }
    }
}

/// A question asked over UDP.
struct ByDatagram {
    case: Case,
    message: Vec<u8>,
    /// Counts the times that a server was chosen.
    next: usize,
    /// Each has its own socket and number; all may still be answered.
    tries: Vec<Try>,
    /// Servers that have refused.
    dead: Vec<bool>,
}

struct Try {
    socket: OwnedFd,
    number: u16,
    server: usize,
}

impl<W: HasFlow> Source<W> for ByDatagram {
    fn ready(&mut self, port: u8, events: Events, turn: &mut Turn<'_, W>) -> Fate {
        if events.is_empty() {
            return self.ask_next(turn);
        }
        let mut buffer = vec![0; usize::from(u16::MAX)];
        for _ in 0..MESSAGES {
            let Some(tried) = self.tries.get(usize::from(port)) else { return Fate::Stay };
            let may_be_better = match rustix::net::recv(&tried.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((count, _)) => match self.case.judge(&buffer[..count], tried.number) {
                    Ok(reply) => return self.case.answer(turn, reply),
                    Err(may_be_better) => may_be_better,
                },
                Err(Errno::INTR) => false,
                Err(Errno::AGAIN) => return Fate::Stay,
                // Nobody is there.
                Err(_) => true,
            };
            if may_be_better {
                let server = tried.server;
                let was_dead = self.dead.get_mut(server).is_none_or(|dead| std::mem::replace(dead, true));
                return if was_dead { Fate::Stay } else { self.ask_next(turn) };
            }
        }
        // The edge is gone with these; who floods us is not heard to the end.
        Fate::Stay
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        if turn.now() >= self.case.begun + END { self.case.fail(turn) } else { self.ask_next(turn) }
    }

    fn leave(&mut self, world: &mut W) {
        self.case.leave(world.flow());
    }
}

impl ByDatagram {
    /// Asks the next server that has not refused.
    fn ask_next<W: HasFlow>(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let key = turn.key();
        while self.next < self.case.servers.len() * ROUNDS {
            let server = self.next % self.case.servers.len();
            self.next += 1;
            if self.dead[server] {
                continue;
            }
            match self.ask(turn, server) {
                Ok(()) => {
                    turn.deadline(key, Some(turn.now() + PATIENCE));
                    return Fate::Stay;
                }
                Err(_) => self.dead[server] = true,
            }
        }
        if self.dead.iter().all(|dead| *dead) {
            return self.case.fail(turn);
        }
        turn.deadline(key, Some(self.case.begun + END));
        Fate::Stay
    }

    fn ask<W: HasFlow>(&mut self, turn: &mut Turn<'_, W>, server: usize) -> io::Result<()> {
        let key = turn.key();
        let address = self.case.servers[server];
        let family = Family::of(address.ip());
        let flow = turn.world.flow();
        let is_ours = flow.directory().domains().any(|domain| domain.contains(address.ip()));
        let socket = if is_ours {
            // The server is a container.
            flow.pool.available(family, key);
            flow.pool.take(family).ok_or(io::ErrorKind::WouldBlock)?
        } else {
            flow::socket(family, SocketType::DGRAM, None)?
        };
        rustix::net::connect(&socket, &address)?;
        let number = random()?;
        if let Some(id) = self.message.get_mut(..2) {
            id.copy_from_slice(&number.to_be_bytes());
        }
        rustix::net::send(&socket, &self.message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        let port = u8::try_from(self.tries.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        turn.watch(key, port, &socket, Events::IN | Events::ET)?;
        self.tries.push(Try { socket, number, server });
        Ok(())
    }
}

/// A question asked over TCP.
struct ByStream {
    case: Case,
    /// The question after its length.
    out: Vec<u8>,
    number: u16,
    next: usize,
    socket: Option<OwnedFd>,
    written: usize,
    input: Vec<u8>,
}

impl<W: HasFlow> Source<W> for ByStream {
    fn ready(&mut self, _: u8, events: Events, turn: &mut Turn<'_, W>) -> Fate {
        if events.is_empty() && self.socket.is_none() {
            return self.ask_next(turn);
        }
        match self.exchange() {
            Ok(None) => Fate::Stay,
            Ok(Some(reply)) => match self.case.judge(&reply, self.number) {
                Ok(reply) => self.case.answer(turn, reply),
                Err(_) => self.ask_next(turn),
            },
            Err(_) => self.ask_next(turn),
        }
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        if turn.now() >= self.case.begun + END { self.case.fail(turn) } else { self.ask_next(turn) }
    }

    fn leave(&mut self, world: &mut W) {
        self.case.leave(world.flow());
    }
}

impl ByStream {
    fn ask_next<W: HasFlow>(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let key = turn.key();
        self.socket = None;
        while let Some(server) = self.case.servers.get(self.next).copied() {
            self.next += 1;
            if self.connect(turn, server).is_ok() {
                turn.deadline(key, Some(turn.now() + STREAM_PATIENCE));
                return Fate::Stay;
            }
        }
        self.case.fail(turn)
    }

    fn connect<W: HasFlow>(&mut self, turn: &mut Turn<'_, W>, server: SocketAddr) -> io::Result<()> {
        let key = turn.key();
        let socket = flow::socket(Family::of(server.ip()), SocketType::STREAM, None)?;
        match rustix::net::connect(&socket, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        self.number = random()?;
        if let Some(id) = self.out.get_mut(2..4) {
            id.copy_from_slice(&self.number.to_be_bytes());
        }
        self.written = 0;
        self.input.clear();
        turn.watch(key, 0, &socket, Events::IN | Events::OUT | Events::ET)?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Writes and reads what can be now; returns the answer when it is whole.
    fn exchange(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        let Some(socket) = &self.socket else { return Ok(None) };
        while self.written < self.out.len() {
            match rustix::net::send(socket, &self.out[self.written..], SendFlags::NOSIGNAL) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                // Not connected yet, or no room.
                Err(Errno::AGAIN | Errno::NOTCONN) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; 4096];
        loop {
            if let Some(&length) = self.input.first_chunk::<2>() {
                let length = usize::from(u16::from_be_bytes(length));
                if let Some(reply) = self.input.get(2..2 + length) {
                    return Ok(Some(reply.to_vec()));
                }
            }
            match rustix::io::read(socket, &mut buffer) {
                Ok(0) => return Err(Errno::CONNRESET),
                Ok(count) => self.input.extend(&buffer[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn framed(message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(message);
    Ok(bytes)
}

/// Returns a number that nobody can guess.
fn random() -> io::Result<u16> {
    let mut bytes = [0; 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u16::from_ne_bytes(bytes))
}
