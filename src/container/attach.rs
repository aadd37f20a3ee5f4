//! The streams of a container and those of the command, joined: the foreground of `run`, `start -a`, `attach`.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use super::dir::ContainerDir;
use super::event;
use super::protocol::{Event, Kind, Request, Streams, decode, encode, encode_json};
use super::start::{self, connect, failed, lost};
use super::terminal::{DetachKeys, RawTerminal};
use crate::store::Store;

/// How a command joins a container.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// Carry standard input.
    pub stdin: bool,
    /// Carry standard output.
    pub stdout: bool,
    /// Carry standard error.
    pub stderr: bool,
    /// Whether the container has a terminal: then ours becomes raw.
    pub tty: bool,
    /// The keys that detach; empty: none.
    pub detach_keys: Vec<u8>,
    /// Whether signals sent to the command are passed on.
    pub sig_proxy: bool,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It runs, and nobody is attached.
    Started,
    /// It has ended with this code.
    Exited(i32),
    /// The user has detached with the detach keys.
    Detached,
}

/// Signals that are passed on. Not those that stop and continue the command itself, nor those about its own
/// children and pipes.
const PROXIED: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGCONT,
];

/// Attaches to a running container.
pub fn attach(store: &Store, dir: &ContainerDir, options: &AttachOptions) -> Result<Outcome> {
    let socket = connect(store, dir)?;
    start::send_request(&socket, &Request::Attach(streams(options)))?;
    carry(store, dir, socket, options)
}

/// Says what the supervisor is to carry.
pub(super) fn streams(options: &AttachOptions) -> Streams {
    let window = options.tty.then(super::terminal::window).flatten();
    Streams { stdin: options.stdin, stdout: options.stdout, stderr: options.stderr, window }
}

/// Carries the streams until the container ends or the user detaches.
pub(super) fn carry(
    store: &Store,
    dir: &ContainerDir,
    socket: UnixStream,
    options: &AttachOptions,
) -> Result<Outcome> {
    let mut carrier = Carrier::new(socket, options)?;
    let ended = carrier.run()?;
    drop(carrier);
    match ended {
        Ended::Exited(code) => Ok(Outcome::Exited(code)),
        Ended::Detached => {
            if let Ok(Some(config)) = dir.try_config() {
                event::note(store, &config, "detach", &[]);
            }
            Ok(Outcome::Detached)
        }
        Ended::Failed(event) => failed(event).map(|()| Outcome::Started),
        Ended::Lost => lost(store, dir),
    }
}

enum Ended {
    Exited(i32),
    Detached,
    Failed(Event),
    Lost,
}

/// One loop's state.
struct Carrier {
    socket: UnixStream,
    stdin: bool,
    tty: bool,
    keys: DetachKeys,
    signals: Option<SignalFd>,
    /// Received, not yet a whole frame.
    input: Vec<u8>,
    /// To send, when the supervisor takes it.
    output: Vec<u8>,
    /// Set to raw when the process runs, so that the answer to a failed start is readable.
    raw: Option<RawTerminal>,
    last: Option<Ended>,
}

impl Carrier {
    fn new(socket: UnixStream, options: &AttachOptions) -> Result<Self> {
        socket.set_nonblocking(true).context("set the socket to non-blocking")?;
        let mut mask = SigSet::empty();
        if options.sig_proxy {
            for signal in PROXIED {
                mask.add(signal);
            }
        }
        if options.tty {
            mask.add(Signal::SIGWINCH);
        }
        mask.thread_block().context("block signals")?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .context("make a signalfd")?;
        Ok(Self {
            socket,
            stdin: options.stdin,
            tty: options.tty,
            // What is piped in may hold any bytes; keys are only pressed at terminals.
            keys: DetachKeys::new(if options.tty { &options.detach_keys } else { &[] }),
            signals: Some(signals),
            input: Vec::new(),
            output: Vec::new(),
            raw: None,
            last: None,
        })
    }

    fn run(&mut self) -> Result<Ended> {
        let stdin = io::stdin();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let mut fds = Vec::with_capacity(3);
            let mut events = PollFlags::IN;
            if !self.output.is_empty() {
                events |= PollFlags::OUT;
            }
            fds.push(PollFd::new(&self.socket, events));
            if let Some(signals) = &self.signals {
                fds.push(PollFd::new(signals, PollFlags::IN));
            }
            // Before the process runs, what is typed waits in the terminal.
            let feeds = self.stdin && self.output.len() < (64 << 10) && (!self.tty || self.raw.is_some());
            if feeds {
                fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for events"),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            if ready.get(1) == Some(&true) {
                self.take_signals()?;
            }
            if feeds && ready.last() == Some(&true) && !self.take_input(&mut buffer) {
                return Ok(Ended::Detached);
            }
            self.flush();
            if ready[0] && !self.take_words(&mut buffer)? {
                return Ok(self.last.take().unwrap_or(Ended::Lost));
            }
        }
    }

    /// Reads what is typed or piped in. Returns `false` if the user detaches.
    fn take_input(&mut self, buffer: &mut [u8]) -> bool {
        match io::stdin().lock().read(&mut buffer[..16 << 10]) {
            Ok(0) => {
                self.stdin = false;
                encode(&mut self.output, Kind::Stdin, &[]);
            }
            Ok(count) => {
                let (bytes, detach) = self.keys.filter(&buffer[..count]);
                if !bytes.is_empty() {
                    encode(&mut self.output, Kind::Stdin, &bytes);
                }
                if detach {
                    self.flush();
                    return false;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            // A background job may not read the terminal, and a descriptor may be closed: no input then.
            Err(_) => {
                self.stdin = false;
                encode(&mut self.output, Kind::Stdin, &[]);
            }
        }
        true
    }

    fn take_signals(&mut self) -> Result<()> {
        let Some(signals) = &mut self.signals else { return Ok(()) };
        while let Some(info) = signals.read_signal().context("read signals")? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            let request = if number == Signal::SIGWINCH as i32 {
                let Some((rows, columns)) = super::terminal::window() else { continue };
                Request::Resize { rows, columns }
            } else {
                Request::Signal { number }
            };
            encode_json(&mut self.output, Kind::Request, &request).context("pass a signal on")?;
        }
        Ok(())
    }

    fn flush(&mut self) {
        while !self.output.is_empty() {
            match (&self.socket).write(&self.output) {
                Ok(count) => {
                    self.output.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The supervisor is gone; its last words, and the end, come by reading.
                Err(_) => self.output.clear(),
            }
        }
    }

    /// Reads what the supervisor says. Returns `false` at the end.
    fn take_words(&mut self, buffer: &mut [u8]) -> Result<bool> {
        match (&self.socket).read(buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => self.input.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error).context("listen to the supervisor"),
        }
        let mut used = 0;
        let input = std::mem::take(&mut self.input);
        while let Some((kind, content, length)) =
            decode(&input[used..]).context("listen to the supervisor")?
        {
            match kind {
                Kind::Stdout => write_all(io::stdout().lock(), content)?,
                Kind::Stderr => write_all(io::stderr().lock(), content)?,
                Kind::Event => {
                    let event = serde_json::from_slice(content).context("listen to the supervisor")?;
                    self.take_event(event)?;
                }
                Kind::Stdin | Kind::Request => {}
            }
            used += length;
        }
        self.input = input;
        self.input.drain(..used);
        Ok(true)
    }

    fn take_event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Started => {
                if self.tty && self.stdin && self.raw.is_none() {
                    self.raw = RawTerminal::enter(io::stdin()).context("set the terminal to raw mode")?;
                }
            }
            Event::Done => {}
            Event::Exited { code } => self.last = Some(Ended::Exited(code)),
            Event::Failed { .. } => self.last = Some(Ended::Failed(event)),
        }
        Ok(())
    }
}

/// Writes the container's output to ours. One that nobody reads any more ends the command as it would end
/// any other program in a pipe.
fn write_all(mut to: impl Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes).and_then(|()| to.flush()).context("write the container's output")
}
