//! Questions over TCP (RFC 7766): many on one connection, each after its length, answered in any order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendFlags, SocketFlags};

use super::forward::Asker;
use super::{Outcome, STREAMS, STREAMS_EACH, handle};
use crate::network::router::plane::event::{Events, Fate, Key, Source, Turn};
use crate::network::router::plane::flow::HasFlow;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(10);
/// How many questions of one connection may be outstanding; no more are read until then.
const WAITING: usize = 16;
/// How many bytes of answers may wait for the asker to read them before no more questions are read.
const UNREAD: usize = 64 * 1024;
/// How many connections are accepted at a time.
const ACCEPTED: usize = 16;

/// Serves a listening socket in `R`.
pub(in super::super) fn serve_streams<W: HasFlow>(turn: &mut Turn<'_, W>, socket: OwnedFd) -> io::Result<()> {
    let socket = Rc::new(socket);
    let key = turn.add(Listener { socket: Rc::clone(&socket) })?;
    turn.watch(key, 0, &*socket, Events::IN)
}

struct Listener {
    socket: Rc<OwnedFd>,
}

impl<W: HasFlow> Source<W> for Listener {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        for _ in 0..ACCEPTED {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::acceptfrom_with(&*self.socket, flags) {
                Ok((socket, Some(peer))) => {
                    if let Ok(peer) = SocketAddr::try_from(peer) {
                        // Who is at his limit finds his connection closed.
                        let _ = welcome(turn, socket, peer);
                    }
                }
                Ok((_, None)) | Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    // It would be told again at once; what closes next leaves room.
                    let key = turn.key();
                    let _ = turn.unwatch(&*self.socket);
                    turn.deadline(key, Some(turn.now() + Duration::from_millis(100)));
                    return Fate::Stay;
                }
                Err(_) => return Fate::Stay,
            }
        }
        Fate::Stay
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let key = turn.key();
        match turn.watch(key, 0, &*self.socket, Events::IN) {
            Ok(()) => Fate::Stay,
            Err(_) => Fate::Gone,
        }
    }
}

fn welcome<W: HasFlow>(turn: &mut Turn<'_, W>, socket: OwnedFd, peer: SocketAddr) -> io::Result<()> {
    let flow = turn.world.flow();
    let is_known = flow.directory().at(peer.ip()).is_some();
    if !is_known || flow.dns.streams.is_full(peer.ip(), STREAMS_EACH, STREAMS) {
        return Ok(());
    }
    let socket = Rc::new(socket);
    let outbox = Rc::new(RefCell::new(Outbox::default()));
    let place = Rc::new(Cell::new(None));
    let stream = Stream {
        socket: Rc::clone(&socket),
        peer,
        place: Rc::clone(&place),
        input: Vec::new(),
        ended: false,
        outbox,
    };
    let key = turn.add(stream)?;
    place.set(Some(key));
    turn.world.flow().dns.streams.insert(peer.ip(), key);
    if let Err(error) = turn.watch(key, 0, &*socket, Events::IN | Events::OUT | Events::RDHUP | Events::ET) {
        turn.remove(key);
        return Err(error);
    }
    turn.deadline(key, Some(turn.now() + IDLE));
    turn.poke(key);
    Ok(())
}

/// Answers on their way to an asker.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: VecDeque<u8>,
    /// How many questions are outstanding.
    waiting: usize,
}

impl Outbox {
    fn put(&mut self, reply: &[u8]) {
        let Ok(length) = u16::try_from(reply.len()) else { return };
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(reply);
    }

    /// Takes the answer to an outstanding question, if there is one.
    pub(super) fn settle(&mut self, reply: Option<&[u8]>) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(reply) = reply {
            self.put(reply);
        }
    }
}

/// An asker's connection.
struct Stream {
    socket: Rc<OwnedFd>,
    peer: SocketAddr,
    /// Its own place in the loop, once it has one.
    place: Rc<Cell<Option<Key>>>,
    /// What was read and is not a whole question yet, or waits for its turn.
    input: Vec<u8>,
    /// The asker sends no more.
    ended: bool,
    outbox: Rc<RefCell<Outbox>>,
}

impl<W: HasFlow> Source<W> for Stream {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        let key = turn.key();
        if self.write().is_err() {
            return Fate::Gone;
        }
        let mut again = false;
        if !self.is_busy() && !self.ended {
            let mut buffer = [0; 8192];
            match rustix::io::read(&*self.socket, &mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.input.extend(&buffer[..count]);
                    again = true;
                }
                Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => again = true,
                Err(_) => return Fate::Gone,
            }
        }
        let progress = self.answer(turn);
        if self.write().is_err() {
            return Fate::Gone;
        }
        if again || progress {
            turn.deadline(key, Some(turn.now() + IDLE));
        }
        let outbox = self.outbox.borrow();
        if self.ended && outbox.waiting == 0 && outbox.bytes.is_empty() {
            return Fate::Gone;
        }
        if again || progress { Fate::Again } else { Fate::Stay }
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        // Forwarding has its own, shorter patience: what is still waiting after this time never comes.
        let _ = turn;
        Fate::Gone
    }

    fn leave(&mut self, world: &mut W) {
        if let Some(key) = self.place.get() {
            world.flow().dns.streams.remove(self.peer.ip(), key);
        }
    }
}

impl Stream {
    /// Tells whether no more questions are taken for now.
    fn is_busy(&self) -> bool {
        let outbox = self.outbox.borrow();
        outbox.waiting >= WAITING || outbox.bytes.len() >= UNREAD
    }

    /// Deals with the whole questions that were read; returns whether there were any.
    fn answer<W: HasFlow>(&mut self, turn: &mut Turn<'_, W>) -> bool {
        let key = turn.key();
        let mut at = 0;
        while !self.is_busy() {
            let Some(&length) = self.input.get(at..).and_then(|rest| rest.first_chunk::<2>()) else { break };
            let length = usize::from(u16::from_be_bytes(length));
            let Some(message) = self.input.get(at + 2..at + 2 + length) else { break };
            let asker = || Asker::Stream { outbox: Rc::clone(&self.outbox), stream: key };
            match handle(turn, self.peer, message, true, asker) {
                Outcome::Reply(reply) => self.outbox.borrow_mut().put(&reply),
                Outcome::Later => self.outbox.borrow_mut().waiting += 1,
                Outcome::Silence => {}
            }
            at += 2 + length;
        }
        self.input.drain(..at);
        at > 0
    }

    fn write(&mut self) -> Result<(), Errno> {
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.bytes.is_empty() {
            match rustix::net::send(&*self.socket, outbox.bytes.as_slices().0, SendFlags::NOSIGNAL) {
                Ok(count) => drop(outbox.bytes.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
