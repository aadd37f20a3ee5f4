//! Questions over UDP.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::forward::Asker;
use super::{Outcome, handle};
use crate::network::router::plane::event::{Events, Fate, Source, Turn};
use crate::network::router::plane::flow::{HasFlow, WATCHED};
use crate::sys::datagram::{self, BATCH, Inbox, Outgoing};

/// Serves a socket in `R`.
pub(in super::super) fn serve<W: HasFlow>(turn: &mut Turn<'_, W>, socket: OwnedFd) -> io::Result<()> {
    let socket = Rc::new(socket);
    let key = turn.add(Server { socket: Rc::clone(&socket) })?;
    turn.watch(key, 0, &*socket, WATCHED)
}

/// The socket that all questions come to.
struct Server {
    socket: Rc<OwnedFd>,
}

impl<W: HasFlow> Source<W> for Server {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        let mut inbox = turn.world.flow().inbox();
        let result = inbox.receive(&*self.socket, BATCH);
        if let Ok(count) = result {
            self.serve(turn, &inbox, count);
        }
        turn.world.flow().give_back(inbox);
        match result {
            Ok(count) if count < BATCH => Fate::Stay,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Fate::Stay,
            _ => Fate::Again,
        }
    }
}

impl Server {
    /// Answers what can be answered now.
    fn serve<W: HasFlow>(&self, turn: &mut Turn<'_, W>, inbox: &Inbox, count: usize) {
        for slot in 0..count {
            let (bytes, meta) = inbox.get(slot);
            let (to, from) = (meta.from, meta.local);
            if to.port() == 0 || meta.truncated {
                continue;
            }
            let asker = || Asker::Datagram { socket: Rc::clone(&self.socket), to, from };
            if let Outcome::Reply(reply) = handle(turn, to, bytes, false, asker) {
                send(&self.socket, &reply, to, from);
            }
        }
    }
}

/// Sends an answer. If there is no room for it, the asker asks again.
pub(super) fn send(socket: &OwnedFd, reply: &[u8], to: std::net::SocketAddr, from: Option<std::net::IpAddr>) {
    let parts = [IoSlice::new(reply)];
    let out = Outgoing { to: Some(to), from, ..Outgoing::new(&parts) };
    // An error may be about an earlier answer, whose asker has gone.
    let _ = datagram::send(socket, &[out]).or_else(|_| datagram::send(socket, &[out]));
}
