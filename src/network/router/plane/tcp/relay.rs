//! One connection: two sockets, and what passes between them.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::super::event::{Events, Fate, Key, Source, Turn};
use super::account::Holding;
use super::annexes;
use super::packet::{self, Ends};
use super::stream::{Broken, EDGES, End, Stream};
use super::{ACCEPT, Answer, HasTcp, Known, Stage, Tcp};

/// The port of the socket that is there first: the one that was accepted, or that waits to be.
pub const NEAR: u8 = 0;
/// The port of the socket that this process connects.
pub const FAR: u8 = 1;

/// What a connection may move before others get their turn.
const BUDGET: usize = 2 * 1024 * 1024;

/// How long, and how often, a reset waits for the other end to acknowledge what it was sent before.
const PATIENCE: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(10);

#[derive(Debug)]
enum Phase {
    /// The far socket connects. The packet that asked for it may be held.
    Connecting {
        packet: Option<u32>,
    },
    /// It has; the near socket is still to be accepted.
    Granted,
    Open,
    /// Another process has both sockets.
    Lodged,
    /// One end is broken. The other one hears it when it has all bytes.
    Resetting {
        since: Instant,
    },
}

/// A connection.
#[derive(Debug)]
pub struct Relay {
    key: Key,
    /// The container's address, in whose account it is.
    account: IpAddr,
    phase: Phase,
    /// Whether the account counts it as not answered yet.
    opening: bool,
    /// By what the near socket is recognised, if its first packet was held.
    known: Option<Ends>,
    near: Option<End>,
    far: Option<End>,
    onward: Stream,
    back: Stream,
}

/// What is asked to be connected.
#[derive(Debug)]
pub struct Opening {
    /// The container's address.
    pub account: IpAddr,
    /// The socket, which is connecting.
    pub socket: OwnedFd,
    /// What waits for it.
    pub waiting: Waiting,
}

/// What waits for a connection.
#[derive(Debug)]
pub enum Waiting {
    /// A packet held by the kernel.
    Packet(u32, packet::Opening),
    /// A socket that was accepted.
    Accepted(OwnedFd),
}

/// Makes a connection out of a socket that is connecting and what waits for it. When that fails, a packet is
/// not answered, and an accepted socket is reset.
pub fn open<W: HasTcp>(turn: &mut Turn<'_, W>, opening: Opening) -> Result<(), Answer> {
    let Opening { account, socket, waiting } = opening;
    let (near, packet, held) = match waiting {
        Waiting::Packet(packet, held) => (None, Some(packet), Some(held)),
        Waiting::Accepted(socket) => (Some(End::new(socket)), None, None),
    };
    let key = match watch(turn, &socket) {
        Ok(key) => key,
        Err(answer) => {
            near.into_iter().for_each(reset_end);
            return Err(answer);
        }
    };
    let tcp = turn.world.tcp();
    tcp.accounts.open(account, key);
    if let Some(packet::Opening { ends, sequence }) = held {
        tcp.known.insert(ends, Known { key, sequence, stage: Stage::Held });
    }
    let relay = Relay {
        key,
        account,
        phase: Phase::Connecting { packet },
        opening: true,
        known: held.map(|held| held.ends),
        near,
        far: Some(End::new(socket)),
        onward: Stream::default(),
        back: Stream::default(),
    };
    turn.fill(key, relay);
    Ok(())
}

fn watch<W>(turn: &mut Turn<'_, W>, socket: &OwnedFd) -> Result<Key, Answer> {
    let key = turn.reserve().map_err(|_| Answer::Silence)?;
    turn.watch(key, FAR, socket, EDGES).map_err(|_| {
        turn.remove(key);
        Answer::Silence
    })?;
    Ok(key)
}

/// Closes a socket so that the other end sees a reset.
pub fn reset(socket: OwnedFd) {
    // Where that fails the connection is gone already.
    let _ = rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
}

fn reset_end(end: End) {
    reset(end.socket);
}

impl Relay {
    /// Makes a connection, under a key that is reserved for it, of two sockets that are connected: the near one and
    /// the far one. They are reset if that fails.
    pub fn adopt<W>(turn: &mut Turn<'_, W>, key: Key, ends: [OwnedFd; 2]) -> io::Result<Self> {
        for (port, socket) in [NEAR, FAR].into_iter().zip(&ends) {
            if let Err(error) = turn.watch(key, port, socket, EDGES) {
                ends.into_iter().for_each(reset);
                return Err(error);
            }
        }
        let [near, far] = ends.map(|socket| Some(End::new(socket)));
        Ok(Self {
            key,
            account: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            phase: Phase::Open,
            opening: false,
            known: None,
            near,
            far,
            onward: Stream::default(),
            back: Stream::default(),
        })
    }

    /// Notes how far it is, or that it is over.
    fn note(&self, stage: Option<Stage>, tcp: &mut Tcp) {
        let Some(ends) = self.known else { return };
        match (tcp.known.get_mut(&ends), stage) {
            // The next connection between these ends has taken its place.
            (Some(known), _) if known.key != self.key => {}
            (Some(known), Some(stage)) => known.stage = stage,
            (Some(_), None) => drop(tcp.known.remove(&ends)),
            (None, _) => {}
        }
    }

    /// Goes on when the far socket has something to say while it connects.
    fn connecting<W: HasTcp>(&mut self, events: Events, turn: &mut Turn<'_, W>) -> Fate {
        let Phase::Connecting { packet } = self.phase else { return Fate::Stay };
        if events.intersects(Events::ERR | Events::HUP) {
            let error = self.far.as_ref().map(|far| rustix::net::sockopt::socket_error(&far.socket));
            let answer = match error {
                Some(Ok(Err(error))) => Answer::of(error),
                _ => Answer::Refused,
            };
            if let Some(packet) = packet {
                // It is answered, so there is nothing left to answer when this leaves.
                self.phase = Phase::Connecting { packet: None };
                (turn.world.tcp().verdict)(packet, answer);
            }
            self.near.take().into_iter().for_each(reset_end);
            return Fate::Gone;
        }
        if !events.contains(Events::OUT) {
            return Fate::Stay;
        }
        let tcp = turn.world.tcp();
        self.opening = false;
        tcp.accounts.opened(self.account);
        if let Some(packet) = packet {
            (tcp.verdict)(packet, Answer::Granted);
            self.note(Some(Stage::Granted), tcp);
            self.phase = Phase::Granted;
            let limit = turn.now() + ACCEPT;
            turn.deadline(self.key, Some(limit));
            return Fate::Stay;
        }
        self.join(turn)
    }

    /// Begins to move bytes.
    fn join<W: HasTcp>(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let (Some(near), Some(far)) = (&self.near, &self.far) else { return Fate::Gone };
        if turn.world.tcp().accounts.is_crowded()
            && annexes::lodge(turn, self.key, [near.socket.as_fd(), far.socket.as_fd()])
        {
            // It stays watched otherwise, because it stays open elsewhere.
            let _ = turn.unwatch(&far.socket);
            turn.world.tcp().accounts.lodged(self.account);
            (self.near, self.far, self.phase) = (None, None, Phase::Lodged);
            return Fate::Stay;
        }
        self.phase = Phase::Open;
        if turn.watch(self.key, NEAR, &near.socket, EDGES).is_err() {
            self.near.take().into_iter().for_each(reset_end);
            return Fate::Gone;
        }
        self.pump(turn)
    }

    /// Moves what there is to move.
    fn pump<W: HasTcp>(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let (Some(near), Some(far)) = (&mut self.near, &mut self.far) else { return Fate::Gone };
        let means = &mut turn.world.tcp().means;
        let mut budget = BUDGET;
        let broken = match self.onward.run(near, far, means, &mut budget) {
            Err(Broken::Source) => Some(NEAR),
            Err(Broken::Sink) => Some(FAR),
            Ok(()) => match self.back.run(far, near, means, &mut budget) {
                Err(Broken::Source) => Some(FAR),
                Err(Broken::Sink) => Some(NEAR),
                Ok(()) => None,
            },
        };
        // An end whose stream is over may still break: nobody would read that from it.
        let broken = broken.or_else(|| match (self.onward.has_ended(), self.back.has_ended()) {
            (true, false) if near.failed => Some(NEAR),
            (false, true) if far.failed => Some(FAR),
            _ => None,
        });
        if let Some(broken) = broken {
            return self.break_off(broken, turn);
        }
        if self.onward.has_ended() && self.back.has_ended() {
            return Fate::Gone;
        }
        if budget == 0 { Fate::Again } else { Fate::Stay }
    }

    /// Closes the broken end, and resets the other one once it has what it was sent before.
    fn break_off<W: HasTcp>(&mut self, broken: u8, turn: &mut Turn<'_, W>) -> Fate {
        let means = &mut turn.world.tcp().means;
        self.onward.release(means);
        self.back.release(means);
        drop(if broken == NEAR { self.near.take() } else { self.far.take() });
        self.phase = Phase::Resetting { since: turn.now() };
        self.finish(turn)
    }

    fn finish<W>(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let Phase::Resetting { since } = self.phase else { return Fate::Gone };
        let Some(end) = self.near.take().or_else(|| self.far.take()) else { return Fate::Gone };
        let is_heard = crate::sys::inet::unacknowledged(&end.socket).is_ok_and(|bytes| bytes > 0);
        if is_heard && turn.now() < since + PATIENCE {
            self.near = Some(end);
            let next = turn.now() + GLANCE;
            turn.deadline(self.key, Some(next));
            return Fate::Stay;
        }
        reset_end(end);
        Fate::Gone
    }
}

impl<W: HasTcp> Source<W> for Relay {
    fn ready(&mut self, port: u8, events: Events, turn: &mut Turn<'_, W>) -> Fate {
        let end = if port == NEAR { &mut self.near } else { &mut self.far };
        if let Some(end) = end {
            end.note(events);
        }
        match self.phase {
            Phase::Connecting { .. } if port == FAR => self.connecting(events, turn),
            Phase::Granted => {
                let Some(socket) = turn.world.tcp().arrived.remove(&self.key) else { return Fate::Stay };
                turn.deadline(self.key, None);
                self.note(Some(Stage::Accepted), turn.world.tcp());
                self.near = Some(End::new(socket));
                self.join(turn)
            }
            Phase::Open => self.pump(turn),
            Phase::Connecting { .. } | Phase::Lodged | Phase::Resetting { .. } => Fate::Stay,
        }
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        if let Phase::Resetting { .. } = self.phase {
            return self.finish(turn);
        }
        // The container has given up: the other side hears it as it would from the container's kernel.
        self.far.take().into_iter().for_each(reset_end);
        Fate::Gone
    }

    fn leave(&mut self, world: &mut W) {
        let tcp = world.tcp();
        self.onward.release(&mut tcp.means);
        self.back.release(&mut tcp.means);
        self.note(None, tcp);
        if let Phase::Connecting { packet: Some(packet) } = self.phase {
            (tcp.verdict)(packet, Answer::Silence);
        }
        let arrived = tcp.arrived.remove(&self.key);
        let holding = match self.phase {
            Phase::Lodged => Holding::Lodged,
            _ if self.opening => Holding::Opening,
            _ => Holding::Open,
        };
        tcp.accounts.close(self.account, self.key, holding);
        tcp.annexes.end(self.key);
        // A connection that is cut off in the middle must not look as if it had ended well.
        if !(self.onward.has_ended() && self.back.has_ended()) {
            let ends = [self.near.take(), self.far.take()];
            ends.into_iter().flatten().for_each(reset_end);
            arrived.into_iter().for_each(reset);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::account::Limits;
    use super::super::packet::tests::opening as packet;
    use super::super::{Tcp, door, forget, hold};
    use super::*;
    use crate::network::router::plane::event::{Loop, Mailbox};
    use rustix::io::Errno;
    use std::cell::RefCell;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::rc::Rc;

    pub(in super::super) struct World {
        pub(in super::super) tcp: Tcp,
        verdicts: Rc<RefCell<Vec<(u32, Answer)>>>,
    }

    impl HasTcp for World {
        fn tcp(&mut self) -> &mut Tcp {
            &mut self.tcp
        }
    }

    /// A loop in which every connection of a container goes to `to`.
    pub(in super::super) fn world(to: Result<SocketAddr, Answer>) -> Loop<World> {
        let verdicts: Rc<RefCell<Vec<_>>> = Rc::default();
        let told = Rc::clone(&verdicts);
        let limits = Limits { opening: 2, relays: 3, ..Limits::new(u64::MAX) };
        let tcp =
            Tcp::new(limits, move |_| to, move |packet, answer| told.borrow_mut().push((packet, answer)));
        Loop::new(Mailbox::new().unwrap(), World { tcp, verdicts }).unwrap()
    }

    /// Runs the loop until `done`.
    pub(in super::super) fn run(events: &mut Loop<World>, mut done: impl FnMut(&mut World) -> bool) {
        while !events.with(|turn| done(turn.world)) {
            events.turn(Some(Duration::from_millis(5))).unwrap();
        }
    }

    fn verdicts(events: &mut Loop<World>) -> Vec<(u32, Answer)> {
        events.with(|turn| turn.world.verdicts.take())
    }

    fn wait_for_verdicts(events: &mut Loop<World>) -> Vec<(u32, Answer)> {
        run(events, |world| !world.verdicts.borrow().is_empty());
        verdicts(events)
    }

    pub(in super::super) fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    pub(in super::super) fn connections(world: &mut World) -> usize {
        world.tcp.accounts.total()
    }

    /// A listener in the loop, reached by `TcpStream::connect` where a container would be by its packets.
    pub(in super::super) fn arrivals(events: &mut Loop<World>) -> SocketAddr {
        let (listener, address) = listener();
        listener.set_nonblocking(true).unwrap();
        events.with(|turn| hold::arrive(turn, listener.into()).unwrap());
        address
    }

    /// A connection through the loop: the container's side and the outside's.
    pub(in super::super) fn connection(
        events: &mut Loop<World>,
        at: SocketAddr,
        outside: &TcpListener,
    ) -> (TcpStream, TcpStream) {
        let before = events.with(|turn| connections(turn.world));
        let inner = TcpStream::connect(at).unwrap();
        run(events, |world| connections(world) > before);
        let outer = outside.accept().unwrap().0;
        (inner, outer)
    }

    /// Reads in another thread while the loop runs.
    pub(in super::super) fn read_all(
        events: &mut Loop<World>,
        mut stream: TcpStream,
    ) -> std::io::Result<Vec<u8>> {
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            stream.read_to_end(&mut got).map(|_| got)
        });
        run(events, |_| reader.is_finished());
        reader.join().unwrap()
    }

    #[test]
    fn held_connections_hear_what_the_other_side_says() {
        let (outside, to) = listener();
        let mut events = world(Ok(to));
        let at = arrivals(&mut events);
        // The container's socket is bound first: its first packet is held, and nothing of it is sent before.
        let inner = crate::network::router::plane::tcp::socket(at).unwrap();
        rustix::net::bind(&inner, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let source = rustix::net::getsockname(&inner).unwrap().try_into().unwrap();
        let ends = Ends { source, destination: at };
        events.with(|turn| hold::hold(turn, 1, &packet(&ends)));
        // Sent again meanwhile.
        events.with(|turn| hold::hold(turn, 2, &packet(&ends)));
        assert_eq!(verdicts(&mut events), [(2, Answer::Silence)]);
        assert_eq!(wait_for_verdicts(&mut events), [(1, Answer::Granted)]);
        // Sent again because the listener had no room.
        events.with(|turn| hold::hold(turn, 3, &packet(&ends)));
        assert_eq!(verdicts(&mut events), [(3, Answer::Granted)]);
        let mut outer = outside.accept().unwrap().0;
        // Bytes that come before the container's socket is accepted are not lost.
        outer.write_all(b"hello").unwrap();
        run(&mut events, |_| true);
        let _ = rustix::net::connect(&inner, &at);
        let mut inner = TcpStream::from(inner);
        run(&mut events, |world| world.tcp.known.values().all(|known| known.stage == Stage::Accepted));
        // Sent again before, and read only now: it is of the same connection.
        events.with(|turn| hold::hold(turn, 4, &packet(&ends)));
        assert_eq!(verdicts(&mut events), [(4, Answer::Silence)]);
        assert_eq!(events.with(|turn| connections(turn.world)), 1);
        inner.set_nonblocking(false).unwrap();
        inner.write_all(b"world").unwrap();
        drop(outer.try_clone());
        let reader = std::thread::spawn(move || {
            let mut got = [0; 5];
            outer.read_exact(&mut got).unwrap();
            (got, outer)
        });
        run(&mut events, |_| reader.is_finished());
        let (got, outer) = reader.join().unwrap();
        assert_eq!(&got, b"world");
        drop(outer);
        assert_eq!(read_all(&mut events, inner.try_clone().unwrap()).unwrap(), b"hello");
        drop(inner);
        run(&mut events, |world| connections(world) == 0);
    }

    #[test]
    fn the_next_connection_between_the_same_ends_is_another() {
        let (outside, to) = listener();
        let mut events = world(Ok(to));
        let at = arrivals(&mut events);
        let (inner, _) = connection(&mut events, at, &outside);
        let key = events.with(|turn| turn.world.tcp.accounts.of(Ipv4Addr::LOCALHOST.into())[0]);
        let ends = Ends { source: inner.local_addr().unwrap(), destination: at };
        let old = Known { key, sequence: 77, stage: Stage::Accepted };
        events.with(|turn| turn.world.tcp.known.insert(ends, old));
        events.with(|turn| hold::hold(turn, 1, &packet(&ends)));
        assert_eq!(wait_for_verdicts(&mut events), [(1, Answer::Granted)]);
        assert_eq!(events.with(|turn| connections(turn.world)), 2);
    }

    #[test]
    fn refusals_are_told() {
        let (closed, to) = listener();
        drop(closed);
        let mut events = world(Ok(to));
        let ends = |port| Ends {
            source: SocketAddr::from(([10, 0, 0, 2], port)),
            destination: "192.0.2.1:80".parse().unwrap(),
        };
        events.with(|turn| hold::hold(turn, 7, &packet(&ends(1))));
        assert_eq!(wait_for_verdicts(&mut events), [(7, Answer::Refused)]);
        run(&mut events, |world| connections(world) == 0 && world.tcp.known.is_empty());
        // What is no opening is dropped; what may not be is told so.
        events.with(|turn| hold::hold(turn, 8, b"nonsense"));
        assert_eq!(verdicts(&mut events), [(8, Answer::Silence)]);
        let mut events = world(Err(Answer::Prohibited));
        events.with(|turn| hold::hold(turn, 9, &packet(&ends(1))));
        assert_eq!(verdicts(&mut events), [(9, Answer::Prohibited)]);
        // Nobody answers there (RFC 5737), so these stay open: two, and one too many.
        let mut events = world(Ok("198.51.100.1:9".parse().unwrap()));
        for port in 1..=3 {
            events.with(|turn| hold::hold(turn, u32::from(port), &packet(&ends(port))));
        }
        let told = verdicts(&mut events);
        if told.len() == 1 {
            assert_eq!(told, [(3, Answer::Silence)]);
            events.with(|turn| forget(turn, Ipv4Addr::new(10, 0, 0, 2).into()));
            let mut told = verdicts(&mut events);
            told.sort_unstable_by_key(|(packet, _)| *packet);
            assert_eq!(told, [(1, Answer::Silence), (2, Answer::Silence)]);
            run(&mut events, |world| connections(world) == 0 && world.tcp.known.is_empty());
        }
    }

    #[test]
    fn errors_have_their_answer() {
        for (errno, answer) in [
            (Errno::CONNREFUSED, Answer::Refused),
            (Errno::HOSTUNREACH, Answer::HostUnreachable),
            (Errno::NETUNREACH, Answer::NetUnreachable),
            (Errno::ACCESS, Answer::Prohibited),
            (Errno::TIMEDOUT, Answer::Silence),
            (Errno::MFILE, Answer::Silence),
        ] {
            assert_eq!(Answer::of(errno), answer);
        }
        assert_eq!(Answer::Silence.mark(), None);
        assert_eq!(Answer::Granted.mark(), Some(6));
    }

    #[test]
    fn each_direction_ends_alone() {
        let (outside, to) = listener();
        let mut events = world(Ok(to));
        let at = arrivals(&mut events);
        let (mut inner, mut outer) = connection(&mut events, at, &outside);
        inner.write_all(b"question").unwrap();
        inner.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut events, outer.try_clone().unwrap()).unwrap(), b"question");
        run(&mut events, |world| connections(world) == 1);
        outer.write_all(b"answer").unwrap();
        drop(outer);
        assert_eq!(read_all(&mut events, inner).unwrap(), b"answer");
        run(&mut events, |world| connections(world) == 0);
    }

    #[test]
    fn resets_are_passed_on_after_the_bytes() {
        let (outside, to) = listener();
        let mut events = world(Ok(to));
        let at = arrivals(&mut events);
        for from_inside in [true, false] {
            let (inner, outer) = connection(&mut events, at, &outside);
            let (mut breaks, hears) = if from_inside { (inner, outer) } else { (outer, inner) };
            breaks.write_all(b"last words").unwrap();
            let mut ears = hears.try_clone().unwrap();
            let reader = std::thread::spawn(move || {
                let mut got = [0; 10];
                ears.read_exact(&mut got).unwrap();
                got
            });
            run(&mut events, |_| reader.is_finished());
            assert_eq!(&reader.join().unwrap(), b"last words");
            reset(breaks.into());
            assert_eq!(read_all(&mut events, hears).unwrap_err().kind(), ErrorKind::ConnectionReset);
            run(&mut events, |world| connections(world) == 0);
        }
    }

    #[test]
    fn connections_that_were_not_held_hear_a_reset() {
        let (closed, to) = listener();
        drop(closed);
        for to in [Ok(to), Err(Answer::Refused)] {
            let mut events = world(to);
            let at = arrivals(&mut events);
            let inner = TcpStream::connect(at).unwrap();
            assert_eq!(read_all(&mut events, inner).unwrap_err().kind(), ErrorKind::ConnectionReset);
            run(&mut events, |world| connections(world) == 0);
        }
    }

    #[test]
    fn one_who_is_forgotten_is_reset_and_others_are_not() {
        let (outside, to) = listener();
        let mut events = world(Ok(to));
        let at = arrivals(&mut events);
        let (inner, outer) = connection(&mut events, at, &outside);
        events.with(|turn| forget(turn, Ipv4Addr::new(10, 0, 0, 9).into()));
        assert_eq!(events.with(|turn| connections(turn.world)), 1);
        events.with(|turn| forget(turn, Ipv4Addr::LOCALHOST.into()));
        assert_eq!(events.with(|turn| connections(turn.world)), 0);
        for stream in [inner, outer] {
            assert_eq!(read_all(&mut events, stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    }

    #[test]
    fn limits_hold_and_room_comes_back() {
        let (outside, to) = listener();
        let mut events = world(Ok(to));
        let at = arrivals(&mut events);
        let mut open: Vec<_> = (0..3).map(|_| connection(&mut events, at, &outside)).collect();
        let refused = TcpStream::connect(at).unwrap();
        assert_eq!(read_all(&mut events, refused).unwrap_err().kind(), ErrorKind::ConnectionReset);
        open.pop();
        run(&mut events, |world| connections(world) == 2);
        let inner = TcpStream::connect(at).unwrap();
        run(&mut events, |world| connections(world) == 3);
        drop(inner);
    }

    #[test]
    fn published_ports_close() {
        let mut events = world(Err(Answer::Prohibited));
        let (listener, address) = listener();
        listener.set_nonblocking(true).unwrap();
        let target = door::Target { container: "c".to_owned(), v4: None, v6: None };
        events.with(|turn| door::open(turn, listener.into(), target, 80).unwrap());
        let client = TcpStream::connect(address).unwrap();
        // The container has no address, so nobody is there.
        assert_eq!(read_all(&mut events, client).unwrap_err().kind(), ErrorKind::ConnectionReset);
        events.with(|turn| door::close(turn, "other"));
        assert!(TcpStream::connect(address).is_ok());
        events.with(|turn| door::close(turn, "c"));
        assert!(TcpStream::connect(address).is_err());
    }
}
