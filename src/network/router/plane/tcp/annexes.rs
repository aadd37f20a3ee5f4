//! The processes that carry what one loop of the router has no room for, as that loop sees them.
//!
//! A connection takes two descriptors of its process, and a process may have as many as its hard limit says, which
//! an ordinary user cannot raise. So a loop keeps a part of what the router may have ([`Limits::own`]), and hands
//! what is opened beyond that to an [`annex`], another process with a table of its own. What is handed over stays in
//! the accounts and under its key, but has no descriptor here.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::HasTcp;
use super::account::Limits;
use super::annex;
use crate::network::router::plane::event::{Events, Fate, Key, Source, Turn};

/// How many processes there are for one loop at most.
pub(super) const MOST: usize = 8;

/// How often one that has nothing to carry is let go.
const IDLE: Duration = Duration::from_secs(10);

/// How long nothing is handed over after a process could not be started.
const REST: Duration = Duration::from_secs(1);

/// Starts a process: the socket to it, and what must be collected when it ends.
type Start = fn() -> io::Result<(OwnedFd, Option<Child>)>;

/// The processes.
pub(super) struct Annexes {
    all: Vec<Annex>,
    /// Which process has which connection.
    lodgers: HashMap<Key, Key>,
    room: usize,
    start: Start,
    /// Until when nothing is started.
    rest: Option<Instant>,
}

struct Annex {
    key: Key,
    socket: Rc<OwnedFd>,
    load: usize,
    /// Those to be cut off of which it was not told, because its socket was full.
    unsaid: VecDeque<Key>,
}

impl fmt::Debug for Annexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Annexes")
            .field("processes", &self.all.len())
            .field("connections", &self.lodgers.len())
            .finish_non_exhaustive()
    }
}

impl Annexes {
    /// Makes a list of none, each with room for what `limits` say.
    pub(super) fn new(limits: Limits) -> Self {
        Self { all: Vec::new(), lodgers: HashMap::new(), room: limits.room, start: annex::start, rest: None }
    }

    /// Has them started otherwise.
    #[cfg(test)]
    pub(super) fn set_start(&mut self, start: Start) {
        self.start = start;
    }

    /// Notes that the connection `key` is over here: whoever has it cuts it off.
    pub(super) fn end(&mut self, key: Key) {
        let Some(annex) = self.lodgers.remove(&key) else { return };
        let Some(annex) = self.all.iter_mut().find(|other| other.key == annex) else { return };
        annex.load -= 1;
        if !annex.unsaid.is_empty() || annex::cut(&annex.socket, key.number()).is_err() {
            annex.unsaid.push_back(key);
        }
    }

    fn position(&self, key: Key) -> Option<usize> {
        self.all.iter().position(|annex| annex.key == key)
    }
}

/// Hands over the connection `key`. Tells whether that is done: its descriptors are of no use here then.
pub(super) fn lodge<W: HasTcp>(turn: &mut Turn<'_, W>, key: Key, ends: [BorrowedFd<'_>; 2]) -> bool {
    let annexes = &mut turn.world.tcp().annexes;
    let room = annexes.room;
    let found = annexes.all.iter().position(|annex| annex.load < room);
    let Some(at) = found.or_else(|| start(turn)) else { return false };
    let annexes = &mut turn.world.tcp().annexes;
    let annex = &mut annexes.all[at];
    if annex::carry(&annex.socket, key.number(), ends).is_err() {
        return false;
    }
    annex.load += 1;
    annexes.lodgers.insert(key, annex.key);
    true
}

/// Starts another one and returns its place.
fn start<W: HasTcp>(turn: &mut Turn<'_, W>) -> Option<usize> {
    let now = turn.now();
    let annexes = &mut turn.world.tcp().annexes;
    if annexes.all.len() >= MOST || annexes.rest.is_some_and(|until| now < until) {
        return None;
    }
    annexes.rest = Some(now + REST);
    let (socket, child) =
        (annexes.start)().inspect_err(|error| eprintln!("router: start an annex: {error}")).ok()?;
    let flags = rustix::fs::fcntl_getfl(&socket).ok()?;
    rustix::fs::fcntl_setfl(&socket, flags | OFlags::NONBLOCK).ok()?;
    let socket = Rc::new(socket);
    let key = turn.add(Voice { socket: Rc::clone(&socket), child }).ok()?;
    if turn.watch(key, 0, socket.as_fd(), Events::IN | Events::OUT | Events::ET).is_err() {
        turn.remove(key);
        return None;
    }
    let annexes = &mut turn.world.tcp().annexes;
    annexes.rest = None;
    annexes.all.push(Annex { key, socket, load: 0, unsaid: VecDeque::new() });
    let at = annexes.all.len() - 1;
    turn.deadline(key, Some(now + IDLE));
    Some(at)
}

/// What one of them says.
struct Voice {
    socket: Rc<OwnedFd>,
    child: Option<Child>,
}

impl<W: HasTcp> Source<W> for Voice {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        let own = turn.key();
        loop {
            match annex::over(&self.socket) {
                Ok(Some(number)) => {
                    let key = Key::of_number(number);
                    let annexes = &mut turn.world.tcp().annexes;
                    if annexes.lodgers.get(&key) == Some(&own) {
                        annexes.lodgers.remove(&key);
                        if let Some(at) = annexes.position(own) {
                            annexes.all[at].load -= 1;
                        }
                        turn.remove(key);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It was killed: nobody has its connections any more.
                Ok(None) | Err(_) => {
                    let lodgers = &turn.world.tcp().annexes.lodgers;
                    let lost: Vec<_> =
                        lodgers.iter().filter(|(_, annex)| **annex == own).map(|(key, _)| *key).collect();
                    for key in lost {
                        turn.world.tcp().annexes.lodgers.remove(&key);
                        turn.remove(key);
                    }
                    return Fate::Gone;
                }
            }
        }
        let annexes = &mut turn.world.tcp().annexes;
        let Some(at) = annexes.position(own) else { return Fate::Gone };
        let annex = &mut annexes.all[at];
        while let Some(key) = annex.unsaid.front() {
            if annex::cut(&annex.socket, key.number()).is_err() {
                break;
            }
            annex.unsaid.pop_front();
        }
        Fate::Stay
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let own = turn.key();
        let annexes = &turn.world.tcp().annexes;
        let is_idle = annexes.position(own).is_none_or(|at| annexes.all[at].load == 0);
        if is_idle {
            return Fate::Gone;
        }
        let next = turn.now() + IDLE;
        turn.deadline(own, Some(next));
        Fate::Stay
    }

    fn leave(&mut self, world: &mut W) {
        let annexes = &mut world.tcp().annexes;
        // Closing the socket is the order to end, so the list's copy must go before the process is waited for.
        annexes.all.retain(|annex| !Rc::ptr_eq(&annex.socket, &self.socket));
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::relay::tests::{
        World, arrivals, connection, connections, listener, read_all, run, world,
    };
    use super::super::{Accounts, forget};
    use super::*;
    use crate::network::router::plane::event::Loop;
    use std::io::{ErrorKind, Write};
    use std::net::{Ipv4Addr, TcpStream};

    fn in_a_thread() -> io::Result<(OwnedFd, Option<Child>)> {
        let (ours, theirs) = crate::sys::socket::pair()?;
        std::thread::spawn(move || annex::serve(theirs));
        Ok((ours, None))
    }

    fn that_ends() -> io::Result<(OwnedFd, Option<Child>)> {
        let (ours, theirs) = crate::sys::socket::pair()?;
        std::thread::spawn(move || crate::sys::socket::receive(theirs, &mut [0; 16]));
        Ok((ours, None))
    }

    fn nowhere() -> io::Result<(OwnedFd, Option<Child>)> {
        Err(io::ErrorKind::OutOfMemory.into())
    }

    /// A loop that keeps one connection, before further ones go to processes that take two each.
    fn crowded(to: std::net::SocketAddr, start: Start) -> Loop<World> {
        let limits = Limits { opening: 9, relays: 6, own: 4, crowd: 1, room: 2 };
        let mut events = world(Ok(to));
        events.with(|turn| {
            turn.world.tcp.accounts = Accounts::new(limits);
            turn.world.tcp.annexes = Annexes::new(limits);
            turn.world.tcp.annexes.set_start(start);
        });
        events
    }

    /// Says something each way, runs the loop meanwhile, and ends the connection.
    fn converse(events: &mut Loop<World>, (mut inner, mut outer): (TcpStream, TcpStream)) {
        inner.write_all(b"question").unwrap();
        inner.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_all(events, outer.try_clone().unwrap()).unwrap(), b"question");
        outer.write_all(b"answer").unwrap();
        drop(outer);
        assert_eq!(read_all(events, inner).unwrap(), b"answer");
    }

    fn loads(events: &mut Loop<World>) -> Vec<usize> {
        events.with(|turn| turn.world.tcp.annexes.all.iter().map(|annex| annex.load).collect())
    }

    #[test]
    fn what_is_beyond_the_crowd_is_carried_elsewhere() {
        let (outside, to) = listener();
        let mut events = crowded(to, in_a_thread);
        let at = arrivals(&mut events);
        let open: Vec<_> = (0..6).map(|_| connection(&mut events, at, &outside)).collect();
        run(&mut events, |world| world.tcp.annexes.lodgers.len() == 5);
        assert_eq!(loads(&mut events), [2, 2, 1]);
        // The limit of the container counts them all.
        let refused = TcpStream::connect(at).unwrap();
        assert_eq!(read_all(&mut events, refused).unwrap_err().kind(), ErrorKind::ConnectionReset);
        for streams in open {
            converse(&mut events, streams);
        }
        run(&mut events, |world| connections(world) == 0);
        assert_eq!(loads(&mut events), [0, 0, 0]);
        // There is room again where there was.
        let open: Vec<_> = (0..2).map(|_| connection(&mut events, at, &outside)).collect();
        run(&mut events, |world| world.tcp.annexes.lodgers.len() == 1);
        assert_eq!(loads(&mut events), [1, 0, 0]);
        drop(open);
    }

    #[test]
    fn resets_and_the_end_of_a_container_reach_those_elsewhere() {
        let (outside, to) = listener();
        let mut events = crowded(to, in_a_thread);
        let at = arrivals(&mut events);
        let mut open: Vec<_> = (0..4).map(|_| connection(&mut events, at, &outside)).collect();
        run(&mut events, |world| world.tcp.annexes.lodgers.len() == 3);
        let (inner, outer) = open.pop().unwrap();
        super::super::relay::reset(outer.into());
        assert_eq!(read_all(&mut events, inner).unwrap_err().kind(), ErrorKind::ConnectionReset);
        run(&mut events, |world| connections(world) == 3);
        events.with(|turn| forget(turn, Ipv4Addr::LOCALHOST.into()));
        for (inner, _outer) in open {
            assert_eq!(read_all(&mut events, inner).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        assert_eq!(loads(&mut events), [0, 0]);
    }

    #[test]
    fn one_that_is_killed_takes_only_its_own_along() {
        let (outside, to) = listener();
        let mut events = crowded(to, that_ends);
        let at = arrivals(&mut events);
        let kept = connection(&mut events, at, &outside);
        let lost = TcpStream::connect(at).unwrap();
        assert!(read_all(&mut events, lost).is_ok_and(|bytes| bytes.is_empty()));
        run(&mut events, |world| connections(world) == 1 && world.tcp.annexes.all.is_empty());
        converse(&mut events, kept);
    }

    #[test]
    fn without_them_there_is_what_the_router_has() {
        let (outside, to) = listener();
        let mut events = crowded(to, nowhere);
        let at = arrivals(&mut events);
        let mut open: Vec<_> = (0..4).map(|_| connection(&mut events, at, &outside)).collect();
        let refused = TcpStream::connect(at).unwrap();
        assert_eq!(read_all(&mut events, refused).unwrap_err().kind(), ErrorKind::ConnectionReset);
        converse(&mut events, open.pop().unwrap());
    }
}
