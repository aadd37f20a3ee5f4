//! One direction of a connection: bytes out of one socket and into another.
//!
//! Little is copied through a buffer that the whole loop shares: two calls a piece. As soon as a read fills
//! that buffer, the direction is taken for a bulk transfer, and `splice` moves the pages through a lent pipe
//! instead. Nothing is read before everything read earlier is written, so the kernel's own windows hold back
//! the sender, and what this process holds for a direction is one buffer or one pipe at most. Should many
//! directions hold buffers at once, further ones only peek at what they send, and hold nothing.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use rustix::pipe::{SpliceFlags, splice};

use super::super::event::Events;
use super::pipe::{Pipe, Pool};

/// The shared buffer, and so the most that is held for one direction outside the kernel.
const BUFFER: usize = 64 * 1024;

/// What all directions of a loop together may hold outside the kernel.
const KEPT: usize = 4 * 1024 * 1024;

/// The most that one splice is asked to move.
const CHUNK: usize = 1024 * 1024;

/// A splice that moves less than this shows that the bulk is over.
const TRICKLE: usize = 16 * 1024;

/// What the directions of one loop share.
#[derive(Debug)]
pub struct Means {
    pool: Pool,
    buffer: Box<[u8]>,
    kept: usize,
}

impl Default for Means {
    fn default() -> Self {
        Self { pool: Pool::default(), buffer: vec![0; BUFFER].into_boxed_slice(), kept: 0 }
    }
}

/// A socket and what is known about it. It is watched for edges, so a flag stays set until the kernel says
/// `EAGAIN`.
#[derive(Debug)]
pub struct End {
    /// The socket.
    pub socket: OwnedFd,
    readable: bool,
    writable: bool,
    /// Whether the end of its stream, or an error, has been announced.
    ending: bool,
    /// Whether it was an error.
    pub failed: bool,
}

/// What an [`End`] is watched for.
pub const EDGES: Events = Events::IN.union(Events::OUT).union(Events::RDHUP).union(Events::ET);

impl End {
    /// Returns an end of which nothing is known.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, readable: false, writable: false, ending: false, failed: false }
    }

    /// Notes what the kernel says about it.
    pub fn note(&mut self, events: Events) {
        let ending = events.intersects(Events::RDHUP | Events::HUP | Events::ERR);
        self.ending |= ending;
        self.failed |= events.contains(Events::ERR);
        self.readable |= ending || events.contains(Events::IN);
        self.writable |= events.intersects(Events::OUT | Events::HUP | Events::ERR);
    }
}

/// The end of a stream that broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Where bytes come from.
    Source,
    /// Where bytes go.
    Sink,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Flowing,
    /// The source has ended; the sink does not know yet.
    Ending,
    Ended,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Stream {
    state: State,
    /// Bytes that were read and could not be written, from `start` on.
    kept: Vec<u8>,
    start: usize,
    pipe: Option<Pipe>,
    piped: usize,
    bulk: bool,
}

impl Stream {
    /// Tells whether the end has been passed on.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Moves what can be moved, and at most about `budget` bytes, which are taken off it.
    pub fn run(
        &mut self,
        source: &mut End,
        sink: &mut End,
        means: &mut Means,
        budget: &mut usize,
    ) -> Result<(), Broken> {
        let result = self.step(source, sink, means, budget);
        if self.piped == 0
            && let Some(pipe) = self.pipe.take()
        {
            means.pool.give(pipe);
        }
        result
    }

    fn step(
        &mut self,
        source: &mut End,
        sink: &mut End,
        means: &mut Means,
        budget: &mut usize,
    ) -> Result<(), Broken> {
        while self.state != State::Ended {
            if self.piped > 0 || !self.kept.is_empty() {
                if !sink.writable {
                    break;
                }
                self.write_held(sink, means)?;
            } else if self.state == State::Ending {
                // A sink that is gone already says so by an event.
                let _ = rustix::net::shutdown(&sink.socket, Shutdown::Write);
                self.state = State::Ended;
            } else if source.readable && sink.writable && *budget > 0 {
                if self.bulk && self.lend(means) {
                    self.splice_in(source, budget)?;
                } else {
                    self.copy(source, sink, means, budget)?;
                }
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Makes sure of a pipe, if there is one to be had.
    fn lend(&mut self, means: &mut Means) -> bool {
        if self.pipe.is_none() {
            self.pipe = means.pool.take();
        }
        self.pipe.is_some()
    }

    /// Writes what was read before.
    fn write_held(&mut self, sink: &mut End, means: &mut Means) -> Result<(), Broken> {
        if self.piped > 0 {
            let Some(pipe) = &self.pipe else { return Err(Broken::Sink) };
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            match splice(&pipe.out, None, &sink.socket, None, self.piped, flags) {
                Ok(0) => return Err(Broken::Sink),
                Ok(written) => self.piped -= written.min(self.piped),
                Err(Errno::AGAIN) => sink.writable = false,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken::Sink),
            }
            return Ok(());
        }
        match rustix::net::send(&sink.socket, &self.kept[self.start..], SendFlags::NOSIGNAL) {
            Ok(written) => {
                self.start += written;
                if self.start == self.kept.len() {
                    self.drop_kept(means);
                }
            }
            Err(Errno::AGAIN) => sink.writable = false,
            Err(Errno::INTR) => {}
            Err(_) => return Err(Broken::Sink),
        }
        Ok(())
    }

    fn drop_kept(&mut self, means: &mut Means) {
        means.kept -= self.kept.capacity().min(means.kept);
        self.kept = Vec::new();
        self.start = 0;
    }

    /// Fills the pipe, which is empty.
    fn splice_in(&mut self, source: &mut End, budget: &mut usize) -> Result<(), Broken> {
        let Some(pipe) = &self.pipe else { return Err(Broken::Source) };
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(&source.socket, None, &pipe.into, None, CHUNK, flags) {
            Ok(0) => self.state = State::Ending,
            Ok(read) => {
                self.piped = read;
                self.bulk = read >= TRICKLE;
                *budget = budget.saturating_sub(read);
            }
            Err(Errno::AGAIN) => source.readable = false,
            Err(Errno::INTR) => {}
            Err(_) => return Err(Broken::Source),
        }
        Ok(())
    }

    /// Reads once and writes it.
    fn copy(
        &mut self,
        source: &mut End,
        sink: &mut End,
        means: &mut Means,
        budget: &mut usize,
    ) -> Result<(), Broken> {
        let peek = means.kept > KEPT;
        let flags = if peek { RecvFlags::PEEK } else { RecvFlags::empty() };
        let read = match rustix::net::recv(&source.socket, &mut means.buffer[..], flags) {
            Ok((0, _)) => {
                self.state = State::Ending;
                return Ok(());
            }
            Ok((read, _)) => read,
            Err(Errno::AGAIN) => {
                source.readable = false;
                return Ok(());
            }
            Err(Errno::INTR) => return Ok(()),
            Err(_) => return Err(Broken::Source),
        };
        *budget = budget.saturating_sub(read);
        self.bulk = read == BUFFER;
        let written = match rustix::net::send(&sink.socket, &means.buffer[..read], SendFlags::NOSIGNAL) {
            Ok(written) => written,
            Err(Errno::AGAIN) => {
                sink.writable = false;
                0
            }
            Err(Errno::INTR) => 0,
            Err(_) => return Err(Broken::Sink),
        };
        if peek && written > 0 {
            // Takes out what was only looked at. It is there, so nothing can go wrong.
            let _ = rustix::net::recv(&source.socket, &mut means.buffer[..written], RecvFlags::empty());
        } else if !peek && written < read {
            self.kept = means.buffer[written..read].to_vec();
            means.kept += self.kept.capacity();
        }
        // A read that does not fill the buffer has emptied the socket (epoll(7)); but an end that was announced
        // together with the bytes is not announced again.
        if read < BUFFER && !source.ending && (!peek || written == read) {
            source.readable = false;
        }
        Ok(())
    }

    /// Gives back what is borrowed, when the connection is over.
    pub fn release(&mut self, means: &mut Means) {
        self.drop_kept(means);
        if let Some(pipe) = self.pipe.take() {
            if self.piped == 0 {
                means.pool.give(pipe);
            } else {
                means.pool.lose();
            }
        }
        self.piped = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// A connection over loopback: the far side for the test, the near one for the stream.
    fn connection() -> (TcpStream, End) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = listener.accept().unwrap().0;
        near.set_nonblocking(true).unwrap();
        let mut near = End::new(near.into());
        near.note(Events::OUT);
        (far, near)
    }

    /// Runs the stream as the loop would, at every edge, until `done`.
    fn run_until(
        stream: &mut Stream,
        source: &mut End,
        sink: &mut End,
        means: &mut Means,
        mut done: impl FnMut(&Stream) -> bool,
    ) -> Result<(), Broken> {
        while !done(stream) {
            for end in [&mut *source, &mut *sink] {
                let interest = rustix::event::PollFlags::IN | rustix::event::PollFlags::OUT;
                let mut fds = [rustix::event::PollFd::new(&end.socket, interest)];
                rustix::event::poll(&mut fds, None).unwrap();
                let mut events = Events::empty();
                let got = fds[0].revents();
                events.set(Events::IN, got.contains(rustix::event::PollFlags::IN));
                events.set(Events::OUT, got.contains(rustix::event::PollFlags::OUT));
                events.set(Events::ERR, got.contains(rustix::event::PollFlags::ERR));
                end.note(events);
            }
            let mut budget = 1 << 20;
            stream.run(source, sink, means, &mut budget)?;
        }
        Ok(())
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at / 251 + at % 251).to_le_bytes()[0]).collect()
    }

    /// Sends `length` bytes through a stream and checks that the same come out, and the end.
    fn carry(length: usize, means: &mut Means) -> Stream {
        let (mut writer, mut source) = connection();
        let (mut reader, mut sink) = connection();
        let sent = pattern(length);
        let expected = sent.clone();
        let write = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            drop(writer);
        });
        let read = std::thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            got
        });
        let mut stream = Stream::default();
        run_until(&mut stream, &mut source, &mut sink, means, Stream::has_ended).unwrap();
        write.join().unwrap();
        assert!(read.join().unwrap() == expected, "{length} bytes arrive as they were sent");
        stream
    }

    #[test]
    fn carries_every_length_and_the_end() {
        let mut means = Means::default();
        for length in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 3 * CHUNK + 17] {
            let stream = carry(length, &mut means);
            assert!(stream.kept.is_empty() && stream.pipe.is_none());
            assert_eq!(means.kept, 0);
        }
    }

    #[test]
    fn carries_without_pipes() {
        let mut means = Means::default();
        let lent: Vec<_> = std::iter::from_fn(|| means.pool.take()).collect();
        assert!(!lent.is_empty());
        carry(3 * CHUNK + 17, &mut means);
        assert_eq!(means.kept, 0);
    }

    #[test]
    fn carries_without_keeping() {
        let mut means = Means::default();
        let lent: Vec<_> = std::iter::from_fn(|| means.pool.take()).collect();
        means.kept = KEPT + 1;
        carry(3 * CHUNK + 17, &mut means);
        assert_eq!(means.kept, KEPT + 1);
        drop(lent);
    }

    #[test]
    fn holds_little_for_one_who_does_not_read() {
        let mut means = Means::default();
        let (mut writer, mut source) = connection();
        let (reader, mut sink) = connection();
        writer.set_nonblocking(true).unwrap();
        let mut stream = Stream::default();
        let bytes = pattern(CHUNK);
        let mut stuck = 0;
        // Ends when all windows are full: nobody reads.
        while stuck < 50 {
            stuck = if writer.write(&bytes).is_ok() { 0 } else { stuck + 1 };
            source.note(Events::IN);
            stream.run(&mut source, &mut sink, &mut means, &mut (1 << 20)).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(!sink.writable);
        assert!(means.kept <= BUFFER && stream.piped <= 4 * CHUNK, "{} {}", means.kept, stream.piped);
        stream.release(&mut means);
        assert_eq!(means.kept, 0);
        drop(reader);
    }

    #[test]
    fn tells_which_end_broke() {
        let mut means = Means::default();
        let (writer, mut source) = connection();
        let (_reader, mut sink) = connection();
        // An end that closes with no patience sends a reset.
        rustix::net::sockopt::set_socket_linger(&writer, Some(std::time::Duration::ZERO)).unwrap();
        drop(writer);
        let mut stream = Stream::default();
        let broken = run_until(&mut stream, &mut source, &mut sink, &mut means, Stream::has_ended);
        assert_eq!(broken, Err(Broken::Source));

        let (mut writer, mut source) = connection();
        let (reader, mut sink) = connection();
        rustix::net::sockopt::set_socket_linger(&reader, Some(std::time::Duration::ZERO)).unwrap();
        drop(reader);
        writer.write_all(b"into the void").unwrap();
        let mut stream = Stream::default();
        let broken = run_until(&mut stream, &mut source, &mut sink, &mut means, |_| false);
        assert_eq!(broken, Err(Broken::Sink));
    }
}
