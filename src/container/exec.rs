//! One more process in a running container.
//!
//! The supervisor has no part in it: the command joins the container's namespaces itself, by a handle on the
//! container's first process, and carries the streams until the process ends. If the command is killed, the
//! process goes on, as in Docker; it dies with the container's pid namespace.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use super::attach::Outcome;
use super::config::{ContainerConfig, ProcessConfig};
use super::create::set_variable;
use super::dir::ContainerDir;
use super::request::ExecRequest;
use super::start::StartError;
use super::status::{Status, observe_and_mend};
use super::terminal::{DetachKeys, RawTerminal, window};
use super::{filter, spec};
use crate::runtime::{self, Io, JoinRequest, Process, Target, UserRequest, WindowSize};
use crate::sys;

/// The hidden role that reads what the terminal of a detached process says, so that it never has to wait.
pub const DRAIN_ROLE: &str = "__drain";

/// Runs a process in a running container.
pub fn exec(dir: &ContainerDir, request: &ExecRequest) -> Result<Outcome> {
    let alive = match observe_and_mend(dir)? {
        Status::Running(alive) => alive,
        Status::Restarting(_) => {
            bail!("Container {} is restarting, wait until the container is running", dir.id())
        }
        _ => bail!("container {} is not running", dir.id()),
    };
    let not_running = || anyhow::anyhow!("container {} is not running", dir.id());
    let init = alive.init.ok_or_else(not_running)?;
    let pidfd = sys::process::pidfd_open(init.pid).map_err(|_| not_running())?;
    if !init.lives() {
        return Err(not_running());
    }
    let config = dir.config()?;
    let process_config = merge(&config, request);
    let process_spec = spec::exec_process(&config, &process_config, request.privileged)?;
    let (rows, columns) = window().unwrap_or((0, 0));
    let join = JoinRequest {
        process: &process_spec,
        user: UserRequest { text: &process_config.user, groups: &config.group_add },
        terminal: request.tty.then_some(WindowSize { rows, columns }),
        stdin: request.interactive && !request.detach,
        detached: request.detach,
        seccomp: filter::of(&config, config.privileged || request.privileged)?,
    };
    let process = runtime::join(Target { pidfd: pidfd.as_fd(), pid: init.pid }, &join).map_err(explain)?;
    if request.detach {
        if let Io::Terminal(master) = process.io {
            drain_later(master)?;
        }
        return Ok(Outcome::Started);
    }
    carry(process, request)
}

/// Docker's words for a process that could not be started in a running container.
fn explain(error: runtime::StartError) -> anyhow::Error {
    let refused = |code, message: String| {
        anyhow::Error::from(StartError {
            code,
            message: format!(
                "OCI runtime exec failed: exec failed: unable to start container process: {message}"
            ),
            hint: None,
        })
    };
    match error {
        runtime::StartError::NotFound(message) => refused(127, message),
        runtime::StartError::NotExecutable(message) => refused(126, message),
        runtime::StartError::UnknownUser(message) => StartError { code: 126, message, hint: None }.into(),
        runtime::StartError::Other(error) => error,
    }
}

fn merge(config: &ContainerConfig, request: &ExecRequest) -> ProcessConfig {
    let mut env = config.process.env.clone();
    for entry in &request.env {
        set_variable(&mut env, entry);
    }
    ProcessConfig {
        entrypoint: None,
        cmd: Some(request.command.clone()),
        env,
        user: request.user.clone().unwrap_or_else(|| config.process.user.clone()),
        working_dir: request.working_dir.clone().unwrap_or_else(|| config.process.working_dir.clone()),
        tty: request.tty,
        open_stdin: request.interactive,
        stdin_once: true,
    }
}

/// Leaves a process behind that reads the terminal until the other side is gone.
fn drain_later(master: OwnedFd) -> Result<()> {
    Command::new("/proc/self/exe")
        .arg(DRAIN_ROLE)
        .stdin(Stdio::from(master))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_clear()
        .current_dir("/")
        .spawn()
        .map(drop)
        .context("start the reader of the detached terminal")
}

/// The entry point of [`DRAIN_ROLE`].
pub fn drain() -> ExitCode {
    let _ = rustix::process::setsid();
    let mut buffer = [0; 4096];
    // A terminal whose other side is closed gives EIO.
    while matches!(io::stdin().lock().read(&mut buffer), Ok(count) if count > 0) {}
    ExitCode::SUCCESS
}

/// Carries the streams until the process ends and its output is read.
fn carry(process: Process, request: &ExecRequest) -> Result<Outcome> {
    let mut carrier = Carrier::new(process, request)?;
    let ended = carrier.run()?;
    drop(carrier.raw.take());
    Ok(ended)
}

struct Carrier {
    pidfd: OwnedFd,
    /// Where input goes, while it may still come; for a terminal, `None`: see `stdout`.
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    terminal: bool,
    /// Whether our own input is still read.
    feeding: bool,
    pending: Vec<u8>,
    keys: DetachKeys,
    resized: SignalFd,
    raw: Option<RawTerminal>,
}

impl Carrier {
    fn new(process: Process, request: &ExecRequest) -> Result<Self> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGWINCH);
        mask.thread_block().context("block signals")?;
        let resized = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .context("make a signalfd")?;
        let (stdin, stdout, stderr, terminal) = match process.io {
            Io::Terminal(master) => (None, Some(master), None, true),
            Io::Nowhere => (None, None, None, false),
            Io::Pipes { stdin, stdout, stderr } => (stdin, Some(stdout), Some(stderr), false),
        };
        for fd in [&stdin, &stdout, &stderr].into_iter().flatten() {
            rustix::io::ioctl_fionbio(fd, true).context("set a stream to non-blocking")?;
        }
        let raw = if terminal && request.interactive {
            RawTerminal::enter(io::stdin()).context("set the terminal to raw mode")?
        } else {
            None
        };
        Ok(Self {
            pidfd: process.pidfd,
            feeding: request.interactive,
            stdin,
            stdout,
            stderr,
            terminal,
            pending: Vec::new(),
            keys: DetachKeys::new(&request.detach_keys),
            resized,
            raw,
        })
    }

    fn run(&mut self) -> Result<Outcome> {
        let mut buffer = vec![0; 64 << 10];
        let own = io::stdin();
        loop {
            let mut fds =
                vec![PollFd::new(&self.pidfd, PollFlags::IN), PollFd::new(&self.resized, PollFlags::IN)];
            let takes = self.feeding && self.pending.len() < (64 << 10);
            let wanted = [
                (self.stdout.as_ref().map(AsFd::as_fd), PollFlags::IN),
                (self.stderr.as_ref().map(AsFd::as_fd), PollFlags::IN),
                (self.input().filter(|_| !self.pending.is_empty()), PollFlags::OUT),
                (Some(own.as_fd()).filter(|_| takes), PollFlags::IN),
            ];
            let mut at = [None; 4];
            for (place, (fd, events)) in at.iter_mut().zip(wanted) {
                if let Some(fd) = fd {
                    *place = Some(fds.len());
                    fds.push(PollFd::from_borrowed_fd(fd, events));
                }
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for events"),
            }
            let is_ready = |at: Option<usize>| at.is_some_and(|at| !fds[at].revents().is_empty());
            let (out, err, typed) = (is_ready(at[0]), is_ready(at[1]), is_ready(at[3]));
            let (exited, resized) = (is_ready(Some(0)), is_ready(Some(1)));
            drop(fds);
            if resized {
                self.resize()?;
            }
            if typed && self.take_input(&mut buffer) {
                return Ok(Outcome::Detached);
            }
            self.feed();
            if out {
                copy(&mut self.stdout, io::stdout().lock(), &mut buffer)?;
            }
            if err {
                copy(&mut self.stderr, io::stderr().lock(), &mut buffer)?;
            }
            if exited {
                // What it has left behind in the pipes; others may still hold their other ends.
                while copy(&mut self.stdout, io::stdout().lock(), &mut buffer)? {}
                while copy(&mut self.stderr, io::stderr().lock(), &mut buffer)? {}
                let exit = sys::process::reap(self.pidfd.as_fd()).context("collect the process")?;
                return Ok(Outcome::Exited(exit.code()));
            }
        }
    }

    fn input(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        if self.terminal { self.stdout.as_ref() } else { self.stdin.as_ref() }.map(AsFd::as_fd)
    }

    /// Reads our own input. Returns whether the user detaches.
    fn take_input(&mut self, buffer: &mut [u8]) -> bool {
        match io::stdin().lock().read(&mut buffer[..16 << 10]) {
            Ok(count) if count > 0 => {
                let (bytes, detach) = self.keys.filter(&buffer[..count]);
                self.pending.extend_from_slice(&bytes);
                detach
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                false
            }
            Ok(_) | Err(_) => {
                self.feeding = false;
                false
            }
        }
    }

    fn feed(&mut self) {
        while !self.pending.is_empty() {
            let Some(fd) = self.input() else {
                self.pending.clear();
                break;
            };
            match rustix::io::write(fd, &self.pending) {
                Ok(count) => {
                    self.pending.drain(..count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => {
                    self.pending.clear();
                    self.feeding = false;
                }
            }
        }
        if !self.feeding {
            self.stdin = None;
        }
    }

    fn resize(&mut self) -> Result<()> {
        while self.resized.read_signal().context("read signals")?.is_some() {}
        if let (true, Some(master), Some((rows, columns))) = (self.terminal, &self.stdout, window()) {
            let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
        Ok(())
    }
}

/// Copies once. Returns whether there may be more.
fn copy(from: &mut Option<OwnedFd>, mut to: impl Write, buffer: &mut [u8]) -> Result<bool> {
    let Some(fd) = from.as_ref() else { return Ok(false) };
    match rustix::io::read(fd, &mut *buffer) {
        Ok(count) if count > 0 => {
            to.write_all(&buffer[..count]).and_then(|()| to.flush()).context("write the process's output")?;
            Ok(true)
        }
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(rustix::io::Errno::AGAIN) => Ok(false),
        // The end: of a terminal, EIO.
        Ok(_) | Err(_) => {
            *from = None;
            Ok(false)
        }
    }
}
