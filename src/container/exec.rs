//! One more process in a running container.
//!
//! The supervisor has no part in it: the command joins the container's namespaces itself, by a handle on the
//! container's first process, and carries the streams until the process ends. If the command is killed, the
//! process goes on, as in Docker; it dies with the container's pid namespace.

mod detached;

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use super::attach::Outcome;
use super::config::{ContainerConfig, ProcessConfig};
use super::create::set_variable;
use super::dir::ContainerDir;
use super::log::Stream;
use super::request::ExecRequest;
use super::start::StartError;
use super::status::{Status, observe_and_mend};
use super::stdio::Stdio;
use super::terminal::{DetachKeys, RawTerminal, window};
use super::{event, filter, link, spec};
use crate::runtime::{self, JoinRequest, Process, Target, UserRequest, WindowSize};
use crate::store::{Store, random_id};
use crate::sys;

/// Runs a process in a running container.
pub fn exec(store: &Store, dir: &ContainerDir, request: &ExecRequest) -> Result<Outcome> {
    let alive = match observe_and_mend(dir)? {
        Status::Running(alive) if alive.paused => {
            bail!("Container {} is paused, unpause the container before exec", request.name)
        }
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
    let mut process_config = merge(&config, request);
    process_config.env.splice(0..0, link::variables(store, &config, &dir.attachments(&config)?)?);
    let process_spec = spec::exec_process(&config, &process_config, request.privileged)?;
    let (rows, columns) = window().unwrap_or((0, 0));
    let join = JoinRequest {
        process: &process_spec,
        user: UserRequest { text: &process_config.user, groups: &config.group_add },
        terminal: request.tty.then_some(WindowSize { rows, columns }),
        stdin: request.interactive && !request.detach,
        detached: request.detach,
        seccomp: filter::of(&config, config.privileged || request.privileged)?,
        cgroup: alive.kept.cgroup.as_ref(),
        instead: &alive.kept.instead,
    };
    let id = random_id();
    // As Docker puts it together: the program, a space, the rest.
    let (program, rest) = request.command.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
    let words = format!(": {program} {}", rest.join(" "));
    let note = |action: &str, more: event::More<'_>| {
        let mut all = vec![("execID", id.clone())];
        all.extend_from_slice(more);
        event::note(store, &config, action, &all);
    };
    note(&format!("exec_create{words}"), &[]);
    note(&format!("exec_start{words}"), &[]);
    let start = || runtime::join(Target { pidfd: pidfd.as_fd(), pid: init.pid }, &join).map_err(explain);
    let failed = |error: &anyhow::Error| {
        let code = error.downcast_ref::<StartError>().map_or(126, |start| start.code);
        note("exec_die", &[("exitCode", code.to_string())]);
    };
    if request.detach {
        return detached::run(start, |outcome| match outcome {
            Ok(code) => note("exec_die", &[("exitCode", code.to_string())]),
            Err(error) => failed(error),
        });
    }
    let process = start().inspect_err(failed)?;
    let outcome = carry(process, request)?;
    match outcome {
        Outcome::Exited(code) => note("exec_die", &[("exitCode", code.to_string())]),
        Outcome::Detached => note("exec_detach", &[]),
        Outcome::Started => {}
    }
    Ok(outcome)
}

/// Docker's words for a process that could not be started in a running container.
pub(super) fn explain(error: runtime::StartError) -> anyhow::Error {
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

/// Carries the streams until the process ends and its output is read.
fn carry(process: Process, request: &ExecRequest) -> Result<Outcome> {
    let mut carrier = Carrier::new(process, request)?;
    let ended = carrier.run()?;
    drop(carrier.raw.take());
    Ok(ended)
}

struct Carrier {
    pidfd: OwnedFd,
    stdio: Stdio,
    /// Whether our own input is still read.
    feeding: bool,
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
        let stdio = Stdio::new(process.io)?;
        let raw = if stdio.is_terminal() && request.interactive {
            RawTerminal::enter(io::stdin()).context("set the terminal to raw mode")?
        } else {
            None
        };
        Ok(Self {
            pidfd: process.pidfd,
            stdio,
            feeding: request.interactive,
            // What is piped in may hold any bytes; keys are only pressed at terminals.
            keys: DetachKeys::new(if request.tty { &request.detach_keys } else { &[] }),
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
            let takes = self.feeding && self.stdio.waiting() < (64 << 10);
            let wanted = [
                (self.stdio.output(Stream::Stdout), PollFlags::IN),
                (self.stdio.output(Stream::Stderr), PollFlags::IN),
                (self.stdio.blocked_input(), PollFlags::OUT),
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
            self.stdio.feed();
            if out {
                self.show(Stream::Stdout, &mut buffer)?;
            }
            if err {
                self.show(Stream::Stderr, &mut buffer)?;
            }
            if exited {
                // What it has left behind in the pipes; others may still hold their other ends.
                while self.show(Stream::Stdout, &mut buffer)? {}
                while self.show(Stream::Stderr, &mut buffer)? {}
                let exit = sys::process::reap(self.pidfd.as_fd()).context("collect the process")?;
                return Ok(Outcome::Exited(exit.code()));
            }
        }
    }

    /// Reads our own input. Returns whether the user detaches.
    fn take_input(&mut self, buffer: &mut [u8]) -> bool {
        match io::stdin().lock().read(&mut buffer[..16 << 10]) {
            Ok(count) if count > 0 => {
                let (bytes, detach) = self.keys.filter(&buffer[..count]);
                self.stdio.push(&bytes);
                return detach;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Ok(_) | Err(_) => {
                self.feeding = false;
                self.stdio.close_input();
            }
        }
        false
    }

    fn resize(&mut self) -> Result<()> {
        while self.resized.read_signal().context("read signals")?.is_some() {}
        if let Some((rows, columns)) = window() {
            self.stdio.resize(rows, columns);
        }
        Ok(())
    }

    /// Shows output once. Returns whether there was any.
    fn show(&mut self, stream: Stream, buffer: &mut [u8]) -> Result<bool> {
        let Some(count) = self.stdio.read(stream, buffer) else { return Ok(false) };
        let bytes = &buffer[..count];
        match stream {
            Stream::Stdout => write_all(io::stdout().lock(), bytes),
            Stream::Stderr => write_all(io::stderr().lock(), bytes),
        }?;
        Ok(true)
    }
}

fn write_all(mut to: impl Write, bytes: &[u8]) -> Result<()> {
    to.write_all(bytes).and_then(|()| to.flush()).context("write the process's output")
}
