//! A command that is running: behind pipes, or on a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::outcome::Outcome;

type Seen = Arc<Mutex<Vec<u8>>>;

/// A command behind pipes.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    line: String,
    started: Instant,
    timeout: Duration,
    stdin: Option<ChildStdin>,
    out: (Seen, JoinHandle<()>),
    err: (Seen, JoinHandle<()>),
}

impl Running {
    pub(super) fn start(mut command: Command, line: String, timeout: Duration) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        let stdin = child.stdin.take();
        Self { child, line, started: Instant::now(), timeout, stdin, out, err }
    }

    /// Writes all of standard input and closes it, without waiting for the command to read it.
    pub(super) fn feed(&mut self, bytes: Vec<u8>) {
        let mut stdin = self.stdin.take().unwrap();
        if !bytes.is_empty() {
            std::thread::spawn(move || {
                // A command may end without reading everything.
                let _ = stdin.write_all(&bytes);
            });
        }
    }

    /// Writes to standard input, which [`super::sandbox::Invocation::keep_stdin`] left open.
    pub(crate) fn write(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Returns what standard output has brought so far.
    pub(crate) fn seen(&self) -> String {
        text(&self.out.0)
    }

    /// Waits until standard output has brought `part`.
    #[track_caller]
    pub(crate) fn wait_for(&self, part: &str) {
        wait_for(&self.line, &self.out.0, 0, part);
    }

    /// Waits for the end; a command that takes too long, or whose output stays open behind it, fails the test.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Outcome {
        self.stdin = None;
        let deadline = self.started + self.timeout;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!(
                    "took longer than {:?}: {}\n--- stdout\n{}\n--- stderr\n{}",
                    self.timeout,
                    self.line,
                    text(&self.out.0),
                    text(&self.err.0)
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let took = self.started.elapsed();
        let bytes = |(seen, reader): (Seen, JoinHandle<()>), what: &str| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while !reader.is_finished() {
                assert!(Instant::now() < deadline, "{what} stayed open after: {}", self.line);
                std::thread::sleep(Duration::from_millis(1));
            }
            seen.lock().unwrap().clone()
        };
        let out = bytes(self.out, "stdout");
        let err = bytes(self.err, "stderr");
        Outcome { line: self.line, code: status.code(), out, err, took }
    }
}

/// A command on a terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    line: String,
    started: Instant,
    timeout: Duration,
    master: OwnedFd,
    seen: Seen,
    reader: JoinHandle<()>,
    read_to: usize,
}

impl Terminal {
    pub(super) fn start(mut command: Command, line: String, timeout: Duration) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        set_size(&master, 24, 80);
        let end = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        drop(command);
        drop(slave);
        let (seen, reader) = collect(File::from(master.try_clone().unwrap()));
        Self { child, line, started: Instant::now(), timeout, master, seen, reader, read_to: 0 }
    }

    /// Types.
    pub(crate) fn send(&mut self, keys: &str) -> &mut Self {
        File::from(self.master.try_clone().unwrap()).write_all(keys.as_bytes()).unwrap();
        self
    }

    /// Waits until `part` is on the screen, after what was expected before.
    #[track_caller]
    pub(crate) fn expect(&mut self, part: &str) -> &mut Self {
        self.read_to = wait_for(&self.line, &self.seen, self.read_to, part);
        self
    }

    /// Returns everything that was on the screen.
    pub(crate) fn screen(&self) -> String {
        text(&self.seen)
    }

    /// Changes the window's size, as a window manager would.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) -> &mut Self {
        set_size(&self.master, rows, columns);
        self
    }

    /// Returns the terminal's settings: the way the command left them.
    pub(crate) fn settings(&self) -> rustix::termios::Termios {
        rustix::termios::tcgetattr(&self.master).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the end and returns the exit code and everything that was on the screen.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Outcome {
        let deadline = self.started + self.timeout;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!(
                    "took longer than {:?}: {}\n--- screen\n{}",
                    self.timeout,
                    self.line,
                    text(&self.seen)
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.started.elapsed();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.reader.is_finished() {
            assert!(Instant::now() < deadline, "the terminal stayed open after: {}", self.line);
            std::thread::sleep(Duration::from_millis(1));
        }
        let out = self.seen.lock().unwrap().clone();
        Outcome { line: self.line, code: status.code(), out, err: Vec::new(), took }
    }
}

fn set_size(terminal: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

fn collect(mut source: impl Read + Send + 'static) -> (Seen, JoinHandle<()>) {
    let seen = Seen::default();
    let into = Arc::clone(&seen);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 16384];
        // A terminal's master side ends with EIO when the last process has closed the other side.
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            into.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    });
    (seen, reader)
}

fn text(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.lock().unwrap()).into_owned()
}

#[track_caller]
fn wait_for(line: &str, seen: &Seen, from: usize, part: &str) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        {
            let bytes = seen.lock().unwrap();
            let rest = &bytes[from.min(bytes.len())..];
            if let Some(at) = rest.windows(part.len()).position(|window| window == part.as_bytes()) {
                return from + at + part.len();
            }
        }
        assert!(Instant::now() < deadline, "waited in vain for {part:?} of: {line}\n{}", text(seen));
        std::thread::sleep(Duration::from_millis(5));
    }
}
