//! One thread that serves many descriptors: the loop that TCP, UDP, ICMP and DNS are written on.
//!
//! # Theory of operation
//!
//! A [`Loop`] owns a *world* `W`, the tables that its sources share, and a slab of [`Source`]s. All of it
//! belongs to one thread, so nothing in it is locked. A source has a [`Key`]: its place in the slab and the
//! generation of that place. What arrives late (an event that epoll had gathered before the source was
//! removed, a timer, a poke) carries a key of an old generation and hits nothing.
//!
//! A source watches any number of descriptors ([`Turn::watch`]); `port` is the number by which it tells them
//! apart. It chooses how: with [`Events::ET`] an edge is told once, and the source must go on until
//! the kernel says `EAGAIN`; without, readiness is told again at every turn. Descriptors leave epoll when
//! they are closed, so a source that is removed and drops its descriptors needs no further call.
//!
//! One turn of the loop: wait for events (not at all if somebody asked to be run again), serve each, run who
//! asked to be run again, run the timers that are due. A source must do a bounded amount of work each time and
//! return [`Fate::Again`] if there is more: then every other source that has something to do is served
//! before it.
//!
//! Other threads reach a loop through its [`Mailbox`]: closures, run in order, that see the world.
//!
//! Timers: one a source. Moving a deadline further away costs nothing, so an idle timeout may be set anew at
//! each packet: the heap keeps the old time, and when that comes, the loop looks again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;

/// What a descriptor is watched for, and what it is ready for: epoll(7)'s bits.
pub type Events = epoll::EventFlags;

/// Something that lives in a loop and reacts to its descriptors.
pub trait Source<W> {
    /// Reacts to events of the descriptor watched as `port`. Called with no events and port 0 after
    /// [`Fate::Again`] or [`Turn::poke`].
    fn ready(&mut self, port: u8, events: Events, turn: &mut Turn<'_, W>) -> Fate;

    /// Reacts to the deadline set by [`Turn::deadline`]. It is gone then; a new one may be set.
    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        let _ = turn;
        Fate::Gone
    }

    /// Called once when the source leaves the loop, for whatever reason, before it is dropped: the place to
    /// take it out of the tables of the world.
    fn leave(&mut self, world: &mut W) {
        let _ = world;
    }
}

/// What becomes of a source after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stay,
    /// It stays, and has more to do than was fair to do now.
    Again,
    /// It is removed.
    Gone,
}

/// Names one source of a loop, and never another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

/// Places in a slab: what an event's 64 bits leave beside generation and port.
const PLACES: u32 = 1 << 24;

/// The event of the mailbox. No key gives it: the index would be beyond [`PLACES`].
const MAIL: u64 = u64::MAX;

/// Events taken from the kernel at once.
const BATCH: usize = 256;

impl Key {
    /// Returns a number by which another process can name it.
    pub fn number(self) -> u64 {
        self.token(0)
    }

    /// Returns the key that has this number.
    pub fn of_number(number: u64) -> Self {
        Self::of_token(number).0
    }

    fn token(self, port: u8) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index) << 8 | u64::from(port)
    }

    fn of_token(token: u64) -> (Self, u8) {
        let [port, a, b, c, generation @ ..] = token.to_le_bytes();
        let key =
            Self { index: u32::from_le_bytes([a, b, c, 0]), generation: u32::from_le_bytes(generation) };
        (key, port)
    }
}

type Command<W> = Box<dyn FnOnce(&mut Turn<'_, W>) + Send>;

struct Letters<W> {
    queue: Mutex<VecDeque<Command<W>>>,
    bell: OwnedFd,
}

/// How other threads reach a loop. Made before the loop, so that its thread can be started with it.
pub struct Mailbox<W>(Arc<Letters<W>>);

impl<W> Clone for Mailbox<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W> fmt::Debug for Mailbox<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

impl<W> Mailbox<W> {
    /// Makes an empty mailbox.
    pub fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Letters { queue: Mutex::default(), bell })))
    }

    /// Has the loop run `command` soon.
    pub fn send(&self, command: impl FnOnce(&mut Turn<'_, W>) + Send + 'static) {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(Box::new(command));
        // A counter that is full has rung already.
        let _ = rustix::io::write(&self.0.bell, &1_u64.to_ne_bytes());
    }

    /// Has the loop run `question` and waits for the answer. `None` if the loop is gone. Must not be called
    /// in the loop's own thread.
    pub fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Turn<'_, W>) -> R + Send + 'static,
    ) -> Option<R> {
        let (answer, wait) = mpsc::sync_channel(1);
        self.send(move |turn| {
            // Who asked may have gone.
            let _ = answer.send(question(turn));
        });
        wait.recv().ok()
    }

    fn take(&self) -> VecDeque<Command<W>> {
        std::mem::take(&mut *self.0.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One place of the slab.
struct Place<W> {
    generation: u32,
    /// Whether the place is somebody's, though its source may just be running and so not be here.
    taken: bool,
    source: Option<Box<dyn Source<W>>>,
    deadline: Option<Instant>,
    /// The earliest time for which this place is in the heap.
    queued: Option<Instant>,
    again: bool,
}

/// The part of a loop that a running source may touch.
struct Core<W> {
    epoll: OwnedFd,
    places: Vec<Place<W>>,
    free: Vec<u32>,
    timers: BinaryHeap<Reverse<(Instant, Key)>>,
    again: VecDeque<Key>,
    /// Sources removed by others than themselves, whose `leave` is still to be called.
    removed: Vec<Box<dyn Source<W>>>,
    stopped: bool,
}

impl<W> Core<W> {
    fn place(&mut self, key: Key) -> Option<&mut Place<W>> {
        let place = self.places.get_mut(usize::try_from(key.index).ok()?)?;
        (place.taken && place.generation == key.generation).then_some(place)
    }

    fn poke(&mut self, key: Key) {
        if let Some(place) = self.place(key)
            && !std::mem::replace(&mut place.again, true)
        {
            self.again.push_back(key);
        }
    }

    /// Frees the place of `key` and returns its source, unless that is running.
    fn clear(&mut self, key: Key) -> Option<Box<dyn Source<W>>> {
        let place = self.place(key)?;
        place.taken = false;
        place.generation = place.generation.wrapping_add(1);
        place.deadline = None;
        place.queued = None;
        place.again = false;
        let source = place.source.take();
        self.free.push(key.index);
        source
    }
}

/// What a source or a command may do while it runs.
pub struct Turn<'a, W> {
    /// The tables of this loop.
    pub world: &'a mut W,
    core: &'a mut Core<W>,
    key: Option<Key>,
    now: Instant,
}

impl<W> fmt::Debug for Turn<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("key", &self.key).field("now", &self.now).finish_non_exhaustive()
    }
}

impl<W> Turn<'_, W> {
    /// Returns when this turn began: near enough to now, and free of charge.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Returns the key of the source that is running. In a command, where none is, a key that names nothing.
    pub fn key(&self) -> Key {
        self.key.unwrap_or(Key { index: PLACES, generation: 0 })
    }

    /// Adds a source. It hears nothing before [`Turn::watch`], [`Turn::deadline`] or [`Turn::poke`].
    pub fn add(&mut self, source: impl Source<W> + 'static) -> io::Result<Key> {
        let key = self.reserve()?;
        self.fill(key, source);
        Ok(key)
    }

    /// Reserves a place for a source that wants to know its key, or be watched, before it is made. It must be
    /// followed by [`Turn::fill`] or [`Turn::remove`].
    pub fn reserve(&mut self) -> io::Result<Key> {
        let index = if let Some(index) = self.core.free.pop() {
            index
        } else {
            let index = u32::try_from(self.core.places.len()).unwrap_or(PLACES);
            if index >= PLACES {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.core.places.push(Place {
                generation: 0,
                taken: false,
                source: None,
                deadline: None,
                queued: None,
                again: false,
            });
            index
        };
        let place = self.core.places.get_mut(index as usize).ok_or(io::ErrorKind::NotFound)?;
        place.taken = true;
        Ok(Key { index, generation: place.generation })
    }

    /// Puts a source in its reserved place.
    pub fn fill(&mut self, key: Key, source: impl Source<W> + 'static) {
        if let Some(place) = self.core.place(key) {
            place.source = Some(Box::new(source));
        }
    }

    /// Removes a source: its `leave` is called and it is dropped before the next one runs. A source may
    /// remove itself, and is then gone whatever fate it returns. An old key does nothing.
    pub fn remove(&mut self, key: Key) {
        if let Some(source) = self.core.clear(key) {
            self.core.removed.push(source);
        }
    }

    /// Tells whether `key` still names a source.
    pub fn is_alive(&mut self, key: Key) -> bool {
        self.core.place(key).is_some()
    }

    /// Watches `fd` for `events` (`EPOLLERR` and `EPOLLHUP` are always told) on behalf of `key`.
    pub fn watch(&mut self, key: Key, port: u8, fd: impl AsFd, events: Events) -> io::Result<()> {
        Ok(epoll::add(&self.core.epoll, fd, epoll::EventData::new_u64(key.token(port)), events)?)
    }

    /// Changes what `fd`, which is watched, is watched for, or for whom.
    pub fn rewatch(&mut self, key: Key, port: u8, fd: impl AsFd, events: Events) -> io::Result<()> {
        Ok(epoll::modify(&self.core.epoll, fd, epoll::EventData::new_u64(key.token(port)), events)?)
    }

    /// Watches `fd`, which stays open, no longer.
    pub fn unwatch(&mut self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.core.epoll, fd)?)
    }

    /// Sets the time at which `timeout` of `key` is called, in place of the one before. `None`: never.
    pub fn deadline(&mut self, key: Key, at: Option<Instant>) {
        let Some(place) = self.core.place(key) else { return };
        place.deadline = at;
        if let Some(at) = at
            && place.queued.is_none_or(|queued| at < queued)
        {
            place.queued = Some(at);
            self.core.timers.push(Reverse((at, key)));
        }
    }

    /// Has `ready` of `key` called soon, with no events.
    pub fn poke(&mut self, key: Key) {
        self.core.poke(key);
    }

    /// Has the loop end after this turn.
    pub fn stop(&mut self) {
        self.core.stopped = true;
    }
}

/// A thread's loop. See the head of this file.
pub struct Loop<W> {
    core: Core<W>,
    world: W,
    mailbox: Mailbox<W>,
    events: Vec<epoll::Event>,
}

impl<W> fmt::Debug for Loop<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("places", &self.core.places.len()).finish_non_exhaustive()
    }
}

impl<W> Loop<W> {
    /// Makes a loop that reads `mailbox`.
    pub fn new(mailbox: Mailbox<W>, world: W) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // With an edge for each ring the counter need not be read.
        epoll::add(&epoll, &mailbox.0.bell, epoll::EventData::new_u64(MAIL), Events::IN | Events::ET)?;
        let core = Core {
            epoll,
            places: Vec::new(),
            free: Vec::new(),
            timers: BinaryHeap::new(),
            again: VecDeque::new(),
            removed: Vec::new(),
            stopped: false,
        };
        Ok(Self { core, world, mailbox, events: Vec::with_capacity(BATCH) })
    }

    /// Runs until a source or a command calls [`Turn::stop`].
    pub fn run(&mut self) -> io::Result<()> {
        while !self.core.stopped {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Runs `first` as a command would be run: the way to put the first sources in.
    pub fn with<R>(&mut self, first: impl FnOnce(&mut Turn<'_, W>) -> R) -> R {
        let now = Instant::now();
        let result = first(&mut Turn { world: &mut self.world, core: &mut self.core, key: None, now });
        self.sweep();
        result
    }

    /// Runs one turn, which waits for at most `longest`.
    pub fn turn(&mut self, longest: Option<Duration>) -> io::Result<()> {
        let longest =
            if self.core.again.is_empty() { self.until_timer(longest) } else { Some(Duration::ZERO) };
        let timeout = longest.and_then(|longest| Timespec::try_from(longest).ok());
        self.events.clear();
        match epoll::wait(&self.core.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        // Who asks to be run again while this turn runs is served in the next.
        let again = self.core.again.len();
        for at in 0..self.events.len() {
            let event = self.events[at];
            if event.data.u64() == MAIL {
                for command in self.mailbox.take() {
                    command(&mut Turn { world: &mut self.world, core: &mut self.core, key: None, now });
                    self.sweep();
                }
            } else {
                let (key, port) = Key::of_token(event.data.u64());
                let flags = event.flags;
                self.call(key, now, |source, turn| source.ready(port, flags, turn));
            }
        }
        for _ in 0..again {
            let Some(key) = self.core.again.pop_front() else { break };
            if let Some(place) = self.core.place(key) {
                place.again = false;
                self.call(key, now, |source, turn| source.ready(0, Events::empty(), turn));
            }
        }
        self.ring(now);
        Ok(())
    }

    /// Returns how long to wait: until the first timer, and no longer than `longest`.
    fn until_timer(&self, longest: Option<Duration>) -> Option<Duration> {
        let Some(Reverse((at, _))) = self.core.timers.peek() else { return longest };
        let wait = at.saturating_duration_since(Instant::now());
        Some(longest.map_or(wait, |longest| longest.min(wait)))
    }

    /// Runs the timers that are due.
    fn ring(&mut self, now: Instant) {
        while let Some(Reverse((at, key))) = self.core.timers.peek().copied()
            && at <= now
        {
            self.core.timers.pop();
            let Some(place) = self.core.place(key) else { continue };
            if place.queued != Some(at) {
                continue;
            }
            place.queued = None;
            match place.deadline {
                Some(deadline) if deadline <= now => {
                    place.deadline = None;
                    self.call(key, now, |source, turn| source.timeout(turn));
                }
                Some(deadline) => {
                    place.queued = Some(deadline);
                    self.core.timers.push(Reverse((deadline, key)));
                }
                None => {}
            }
        }
    }

    /// Runs one source, and does what its fate says.
    fn call(
        &mut self,
        key: Key,
        now: Instant,
        run: impl FnOnce(&mut dyn Source<W>, &mut Turn<'_, W>) -> Fate,
    ) {
        let Some(mut source) = self.core.place(key).and_then(|place| place.source.take()) else { return };
        let mut turn = Turn { world: &mut self.world, core: &mut self.core, key: Some(key), now };
        let fate = run(&mut *source, &mut turn);
        let mut leaving = None;
        match self.core.place(key) {
            Some(_) if fate == Fate::Gone => {
                self.core.clear(key);
                leaving = Some(source);
            }
            Some(place) => {
                place.source = Some(source);
                if fate == Fate::Again {
                    self.core.poke(key);
                }
            }
            None => leaving = Some(source),
        }
        self.core.removed.extend(leaving);
        self.sweep();
    }

    /// Lets the sources go that were removed.
    fn sweep(&mut self) {
        while let Some(mut source) = self.core.removed.pop() {
            source.leave(&mut self.world);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    fn pair() -> (OwnedFd, OwnedFd) {
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap()
    }

    fn new() -> Loop<Vec<String>> {
        Loop::new(Mailbox::new().unwrap(), Vec::new()).unwrap()
    }

    /// Notes what happens to it, and reads its descriptor if it has one.
    struct Note(&'static str, Option<OwnedFd>, Fate);

    impl Source<Vec<String>> for Note {
        fn ready(&mut self, port: u8, events: Events, turn: &mut Turn<'_, Vec<String>>) -> Fate {
            if let Some(fd) = &self.1
                && events.contains(Events::IN)
            {
                rustix::io::read(fd, &mut [0_u8; 16]).unwrap();
            }
            turn.world.push(format!("{} {port} {}", self.0, events.contains(Events::IN)));
            std::mem::replace(&mut self.2, Fate::Stay)
        }

        fn timeout(&mut self, turn: &mut Turn<'_, Vec<String>>) -> Fate {
            turn.world.push(format!("{} late", self.0));
            Fate::Gone
        }

        fn leave(&mut self, world: &mut Vec<String>) {
            world.push(format!("{} leaves", self.0));
        }
    }

    /// Removes another source when it is ready.
    struct Killer(OwnedFd, Option<Key>);

    impl Source<Vec<String>> for Killer {
        fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, Vec<String>>) -> Fate {
            if let Some(victim) = self.1.take() {
                turn.remove(victim);
                // The place is taken by a stranger, who must not get the victim's event.
                turn.add(Note("stranger", None, Fate::Stay)).unwrap();
            }
            Fate::Stay
        }
    }

    #[test]
    fn tokens_keep_all_parts() {
        for key in [
            Key { index: 0, generation: 0 },
            Key { index: PLACES - 1, generation: u32::MAX },
            Key { index: 0x12_3456, generation: 0x789a_bcde },
        ] {
            for port in [0, 1, 255] {
                assert_eq!(Key::of_token(key.token(port)), (key, port));
            }
        }
    }

    #[test]
    fn tells_events_with_their_port_and_removes() {
        let mut events = new();
        let (near, far) = pair();
        events.with(|turn| {
            let fd = rustix::io::dup(&near).unwrap();
            let key = turn.add(Note("a", Some(fd), Fate::Gone)).unwrap();
            turn.watch(key, 7, &near, Events::IN).unwrap();
        });
        rustix::io::write(&far, b"x").unwrap();
        events.turn(None).unwrap();
        assert_eq!(events.world, ["a 7 true", "a leaves"]);
        // Its descriptor is still open and watched, but nobody hears.
        rustix::io::write(&far, b"x").unwrap();
        events.turn(None).unwrap();
        assert_eq!(events.world.len(), 2);
    }

    #[test]
    fn stale_events_hit_nothing() {
        let mut events = new();
        let (a, a_far) = pair();
        let (b, b_far) = pair();
        events.with(|turn| {
            // Two killers of each other: whoever is served first, the event of the other one is stale.
            let one = turn.add(Killer(rustix::io::dup(&a).unwrap(), None)).unwrap();
            turn.watch(one, 0, &a, Events::IN).unwrap();
            let two = turn.add(Note("victim", Some(rustix::io::dup(&b).unwrap()), Fate::Stay)).unwrap();
            turn.watch(two, 0, &b, Events::IN).unwrap();
            let killer = turn.core.place(one).unwrap();
            killer.source = Some(Box::new(Killer(rustix::io::dup(&a).unwrap(), Some(two))));
        });
        // Epoll tells them in the order in which they became ready.
        rustix::io::write(&a_far, b"x").unwrap();
        rustix::io::write(&b_far, b"x").unwrap();
        events.turn(None).unwrap();
        assert_eq!(events.world, ["victim leaves"]);
        let _ = Killer(a, None).0;
    }

    #[test]
    fn again_comes_after_everybody_else() {
        let mut events = new();
        let (near, far) = pair();
        events.with(|turn| {
            let greedy = turn.add(Note("greedy", None, Fate::Again)).unwrap();
            turn.poke(greedy);
            turn.poke(greedy);
            let other = turn.add(Note("other", Some(rustix::io::dup(&near).unwrap()), Fate::Stay)).unwrap();
            turn.watch(other, 1, &near, Events::IN).unwrap();
        });
        events.turn(None).unwrap();
        rustix::io::write(&far, b"x").unwrap();
        events.turn(None).unwrap();
        events.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(events.world, ["greedy 0 false", "other 1 true", "greedy 0 false"]);
    }

    #[test]
    fn deadlines_can_be_moved_and_taken_back() {
        let mut events = new();
        let start = Instant::now();
        let soon = Duration::from_millis(5);
        events.with(|turn| {
            let moved = turn.add(Note("moved", None, Fate::Stay)).unwrap();
            turn.deadline(moved, Some(start + soon));
            turn.deadline(moved, Some(start + 4 * soon));
            let never = turn.add(Note("never", None, Fate::Stay)).unwrap();
            turn.deadline(never, Some(start + soon));
            turn.deadline(never, None);
            let earlier = turn.add(Note("earlier", None, Fate::Stay)).unwrap();
            turn.deadline(earlier, Some(start + Duration::from_secs(3600)));
            turn.deadline(earlier, Some(start + 2 * soon));
        });
        while events.world.len() < 4 {
            events.turn(None).unwrap();
        }
        assert_eq!(events.world, ["earlier late", "earlier leaves", "moved late", "moved leaves"]);
        assert!(start.elapsed() >= 4 * soon);
    }

    #[test]
    fn commands_come_from_other_threads_in_order() {
        let mailbox = Mailbox::new().unwrap();
        let mut events = Loop::new(mailbox.clone(), Vec::new()).unwrap();
        let asker = std::thread::spawn(move || {
            mailbox.send(|turn: &mut Turn<'_, Vec<u32>>| turn.world.push(1));
            let answer = mailbox.ask(|turn| {
                turn.world.push(2);
                turn.world.len()
            });
            mailbox.send(|turn| {
                turn.world.push(3);
                turn.stop();
            });
            answer
        });
        events.run().unwrap();
        assert_eq!(asker.join().unwrap(), Some(2));
        assert_eq!(events.world, [1, 2, 3]);
    }

    #[test]
    fn a_loop_that_is_gone_answers_nothing() {
        let mailbox: Mailbox<()> = Mailbox::new().unwrap();
        let events = Loop::new(mailbox.clone(), ()).unwrap();
        drop(events);
        let asker = mailbox.clone();
        let asked = std::thread::spawn(move || asker.ask(|_| ()));
        // Whoever drops the loop for good drops the letters in it too.
        while mailbox.0.queue.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        drop(mailbox.take());
        assert_eq!(asked.join().unwrap(), None);
    }
}
