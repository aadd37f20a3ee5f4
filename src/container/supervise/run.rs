//! The supervisor's loop: start, watch, record, start again or leave.

mod requests;
mod wait;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client::Client;
use super::health::{Checks, Patient};
use super::keeper::Keeper;
use super::launch::{Hooked, Launch, Started};
use super::network::{Plugged, Wish};
use super::restart::Restarts;
use crate::container::config::{ContainerConfig, LogDriver};
use crate::container::dir::{Alive, ContainerDir, ExitRecord, ProcessMark, boot_id, now};
use crate::container::freeze::Frozen;
use crate::container::limits::Kept;
use crate::container::log::{Stream, Writer};
use crate::container::protocol::{Event, Kind, Request, Streams};
use crate::container::start::StartError;
use crate::container::stdio::Stdio;
use crate::container::{event, link, name, remove, strays};
use crate::idmap::{Ancestor, Identity};
use crate::network::{Pasta, Router};
use crate::runtime::Process;
use crate::store::{Lock, Store};
use crate::sys;

/// How long the steward of a container whose first process has ended is waited for.
const STEWARD: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// How long after a failed attempt to replace the router the next one follows.
const REPLACE: Duration = Duration::from_secs(2);

/// Everything a supervisor holds.
#[derive(Debug)]
pub(super) struct Supervisor {
    store: Store,
    dir: ContainerDir,
    config: ContainerConfig,
    identity: Identity,
    _ancestor: Ancestor,
    alive: Option<Lock>,
    listener: UnixListener,
    signals: SignalFd,
    pub(super) clients: Vec<Client>,
    log: Option<Writer>,
    mark: Alive,
    /// What the container was last called.
    name: String,
    restarts: Restarts,
    /// The connection to the router, while it has one.
    router: Option<Router>,
    /// What is in the router's place where there can be none.
    pasta: Option<Pasta>,
    /// When the next attempt is made to have one, after it has died and one has failed.
    replace_at: Option<Instant>,
    /// What keeps the container within its limits.
    keeper: Keeper,
    /// The process, while one runs.
    process: Option<Running>,
    /// When the next run begins, while none runs.
    next_run: Option<Instant>,
    /// Whether a user has stopped it, so that it is not started again.
    stopped: bool,
    /// What a user who stopped it is told of in the journal when it has ended.
    asked: Option<Asked>,
    /// Whether a user wants it started again as soon as it ends.
    again: bool,
    /// When patience with a stopping process ends.
    kill_at: Option<Instant>,
    /// The health checks of the present run.
    checks: Option<Checks>,
    /// The processes that are stopped, while the container is paused.
    pub(super) frozen: Option<Frozen>,
    /// Whether the session or the machine goes down, which is no user's wish to stop this container.
    going_down: bool,
    buffer: Vec<u8>,
    /// Whether something has happened since the code was last given back.
    stirred: bool,
}

/// What a user has asked for that ends with an event of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Stop,
    Restart,
}

/// A running process and its streams.
#[derive(Debug)]
struct Running {
    pidfd: OwnedFd,
    /// What is closed when nobody changes its files for it any more, if somebody does.
    steward: Option<OwnedFd>,
    /// What is run when it has ended.
    hooked: Option<Hooked>,
    since: Instant,
    stdio: Stdio,
}

impl Running {
    /// Describes the container for its health checks.
    fn patient<'a>(
        &'a self,
        dir: &'a ContainerDir,
        config: &'a ContainerConfig,
        mark: &'a Alive,
    ) -> Patient<'a> {
        let pid = mark.init.map_or(0, |init| init.pid);
        Patient { dir, config, pidfd: self.pidfd.as_fd(), pid, since: self.since, kept: &mark.kept }
    }
}

/// Blocks the signals that the loop takes in turn, before anybody can send one.
pub(super) fn block_signals() -> Result<SigSet> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        mask.add(signal);
    }
    mask.thread_block().context("block signals")?;
    Ok(mask)
}

impl Supervisor {
    #[allow(clippy::too_many_arguments, reason = "one caller, right after these were made")]
    pub(super) fn new(
        store: Store,
        dir: ContainerDir,
        config: ContainerConfig,
        identity: Identity,
        ancestor: Ancestor,
        alive: Lock,
        mask: &SigSet,
        starter: Client,
    ) -> Result<Self> {
        let signals = SignalFd::with_flags(mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .context("make a signalfd")?;
        let listener = listen(&store, &dir)?;
        let log = match config.log {
            LogDriver::JsonFile | LogDriver::Local => {
                let name = name::still(&store, "", dir.id()).unwrap_or_default();
                Some(Writer::open(&dir.log_path(), &config, &name)?)
            }
            LogDriver::None => None,
        };
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let mark = Alive {
            boot: boot_id(),
            supervisor: ProcessMark::of(own).context("read this process's start time")?,
            init: None,
            started: String::new(),
            restarts: 0,
            last: None,
            paused: false,
            networks: Vec::new(),
            ports: Vec::new(),
            kept: Kept::default(),
        };
        Ok(Self {
            store,
            dir,
            config,
            identity,
            _ancestor: ancestor,
            alive: Some(alive),
            listener,
            signals,
            clients: vec![starter],
            log,
            mark,
            name: String::new(),
            restarts: Restarts::default(),
            router: None,
            pasta: None,
            replace_at: None,
            keeper: Keeper::default(),
            process: None,
            next_run: None,
            stopped: false,
            asked: None,
            again: false,
            kill_at: None,
            checks: None,
            frozen: None,
            going_down: false,
            buffer: vec![0; 64 << 10],
            stirred: true,
        })
    }

    /// Runs the container until nothing is left to do.
    pub(super) fn run(&mut self) -> Result<()> {
        if self.clients.iter().any(|client| client.streams.any()) {
            self.note("attach", &[]);
        }
        if let Err(error) = self.begin_run() {
            self.unplug();
            let record = self.start_failure(&error);
            self.end(&record, super::failure(&error));
            return Err(error);
        }
        loop {
            if let Some(record) = self.step()? {
                let code = record.code;
                self.end(&record, Event::Exited { code });
                return Ok(());
            }
        }
    }

    /// Writes an event of the container down.
    fn note(&mut self, action: &str, more: event::More<'_>) {
        self.name = name::still(&self.store, &self.name, self.dir.id()).unwrap_or_default();
        event::note_named(&self.store, &self.config, &self.name, action, more);
    }

    /// Starts the process, and says so everywhere.
    fn begin_run(&mut self) -> Result<()> {
        let window = self.clients.iter().find_map(|client| client.streams.window);
        let launch =
            Launch { store: &self.store, dir: &self.dir, config: &self.config, identity: &self.identity };
        let first = self.mark.restarts == 0 && self.dir.exit_record()?.is_none();
        let wish = Wish::load(&self.store, &self.dir, &self.config)?;
        let mut router = wish.reach()?;
        let launched = launch.prepare(window, first)?;
        // The user's systemd works on it while the networks are joined.
        let pending = self.keeper.begin(&self.config, launched.pid())?;
        let pasta = wish.plug(&mut router, &launched, &mut self.mark)?;
        if !self.mark.networks.is_empty() {
            self.dir.put_alive(&self.mark)?;
            wish.confirm()?;
        }
        event::note_mounts(&self.store, &self.config);
        self.keeper.settle(pending, &self.config, launched.pid())?;
        self.mark.kept = self.keeper.kept.clone();
        let Started { process, locks, hooked } = launched.start()?;
        self.router = router;
        self.pasta = pasta;
        self.mark.started = now();
        self.mark.init = ProcessMark::of(process.pid).ok();
        self.mark.last = None;
        self.checks = Checks::begin(&self.dir, &self.config)?;
        self.dir.put_alive(&self.mark)?;
        drop(locks);
        let Process { pid, pidfd, io, steward } = process;
        if let Some(Err(error)) = hooked.as_ref().map(|hooked| hooked.started(pid)) {
            // It may have ended by itself.
            let _ = sys::process::send_signal(pidfd.as_fd(), libc::SIGKILL);
            let _ = sys::process::reap(pidfd.as_fd());
            self.mark.init = None;
            return Err(match hooked.as_ref().map(Hooked::stopped) {
                Some(Err(second)) => error.context(format!("{second:#}")),
                _ => error,
            });
        }
        let stdio = Stdio::new(io)?;
        self.process = Some(Running { pidfd, steward, hooked, since: Instant::now(), stdio });
        for joined in &self.mark.networks {
            link::announce(&self.store, &joined.endpoint.linked_by);
        }
        self.next_run = None;
        self.kill_at = None;
        self.again = false;
        self.note("start", &[]);
        if self.asked.take() == Some(Asked::Restart) {
            self.note("restart", &[]);
        }
        if let Some((rows, columns)) = window.filter(|_| self.config.process.tty) {
            self.note_size(rows, columns);
        }
        for client in &mut self.clients {
            client.tell(&Event::Started);
            client.flush();
        }
        Ok(())
    }

    /// Waits for the next thing to happen and deals with it. Returns the record of the last run when there is
    /// nothing left to do.
    fn step(&mut self) -> Result<Option<ExitRecord>> {
        let ready = self.wait()?;
        if ready.signals {
            self.take_signals()?;
        }
        if ready.router || self.replace_at.is_some_and(|at| at <= Instant::now()) {
            self.replace_router();
        }
        if ready.listener {
            while let Ok((socket, _)) = self.listener.accept() {
                self.clients.push(Client::new(socket).context("accept a client")?);
            }
        }
        self.serve_clients(&ready.clients);
        if let Some(process) = &mut self.process {
            process.stdio.feed();
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            let is_ready = if stream == Stream::Stdout { ready.stdout } else { ready.stderr };
            if is_ready {
                self.take_output(stream);
            }
        }
        self.check_health();
        if ready.memory || self.keeper.due().is_some_and(|at| at <= Instant::now()) {
            self.check_memory();
        }
        for client in &mut self.clients {
            client.flush();
        }
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill_at = None;
            self.signal(Signal::SIGKILL as i32);
        }
        if ready.exited {
            return self.ended();
        }
        if self.process.is_none() && (self.stopped || self.next_run.is_some_and(|at| at <= Instant::now())) {
            return Ok(self.next());
        }
        Ok(None)
    }

    /// The process has ended: collects it and decides what follows.
    fn ended(&mut self) -> Result<Option<ExitRecord>> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.take_output(stream) {}
        }
        self.check_memory();
        let Some(process) = self.process.take() else { return Ok(None) };
        let code = sys::process::reap(process.pidfd.as_fd()).context("collect the process")?.code();
        if let Some(steward) = &process.steward {
            // It may be at work for a process that is gone; then nothing changes the files any more. One that a
            // file system keeps waiting is not waited for.
            let _ = poll(&mut [PollFd::new(steward, PollFlags::IN)], Some(&STEWARD));
        }
        if !self.config.sharing.dies_as_one()
            && let Err(error) = strays::kill(&self.config.id)
        {
            eprintln!("supervisor: {error:#}");
        }
        self.kill_at = None;
        self.checks = None;
        self.frozen = None;
        self.mark.paused = false;
        let lasted = process.since.elapsed().as_secs();
        self.note("die", &[("execDuration", lasted.to_string()), ("exitCode", code.to_string())]);
        let stopped = process.hooked.as_ref().map_or(Ok(()), Hooked::stopped);
        self.unplug();
        event::note_unmounts(&self.store, &self.config);
        if self.asked.is_some() {
            self.note("stop", &[]);
        }
        let record = ExitRecord {
            started: self.mark.started.clone(),
            finished: now(),
            code,
            restarts: self.mark.restarts,
            stopped: self.stopped && !self.again && !self.going_down,
            oom_killed: self.keeper.out_of_memory(),
            error: stopped.err().map(|error| format!("{error:#}")).unwrap_or_default(),
        };
        let delay = if self.again {
            Some(Duration::ZERO)
        } else {
            self.restarts.decide(self.config.restart, code, process.since.elapsed(), self.stopped)
        };
        let Some(delay) = delay else { return Ok(Some(record)) };
        if self.again {
            // Whoever watches this run has seen its end.
            let (watching, others): (Vec<Client>, Vec<Client>) =
                std::mem::take(&mut self.clients).into_iter().partition(|client| client.streams.any());
            self.clients = others;
            for mut client in watching {
                client.tell(&Event::Exited { code });
                client.finish();
            }
            self.stopped = false;
        } else {
            self.mark.restarts = self.restarts.count;
        }
        self.mark.init = None;
        self.mark.last = Some(record);
        self.dir.put_alive(&self.mark)?;
        self.next_run = Some(Instant::now() + delay);
        Ok(None)
    }

    /// The time between two runs is over.
    fn next(&mut self) -> Option<ExitRecord> {
        let last = self.mark.last.clone().unwrap_or_default();
        if self.stopped {
            if self.asked.is_some() {
                self.note("stop", &[]);
            }
            return Some(ExitRecord { stopped: !self.going_down, ..last });
        }
        match self.begin_run() {
            Ok(()) => None,
            Err(error) => Some(ExitRecord { started: last.started, ..self.start_failure(&error) }),
        }
    }

    /// Gives up the networks and the control group: the process that was in them has ended, or never came to run.
    fn unplug(&mut self) {
        self.keeper.end();
        self.router = None;
        self.pasta = None;
        self.replace_at = None;
        for joined in &self.mark.networks {
            event::note_network(&self.store, self.dir.id(), &joined.endpoint, "disconnect");
        }
        self.mark.networks.clear();
        self.mark.ports.clear();
    }

    fn plugged(&mut self) -> Plugged<'_> {
        Plugged {
            store: &self.store,
            dir: &self.dir,
            config: &self.config,
            router: &mut self.router,
            pasta: &mut self.pasta,
            mark: &mut self.mark,
        }
    }

    /// The router has died: has another in its place, or tries again in a while.
    fn replace_router(&mut self) {
        let router = self.router.take();
        self.replace_at = None;
        if let Err(error) = self.plugged().replace(router) {
            eprintln!("supervisor: replace the router: {error:#}");
            self.replace_at = Some(Instant::now() + REPLACE);
        }
    }

    /// Changes the container's networks as a client asks.
    fn change_networks(&mut self, at: usize, request: &Request) {
        let changed = match request {
            Request::Connect(attachment) => self.plugged().connect(attachment),
            Request::Disconnect { network } => self.plugged().disconnect(network),
            Request::Refresh => self.plugged().refresh(),
            _ => return,
        };
        let event = match &changed {
            Ok(()) => Event::Done,
            Err(error) => super::failure(error),
        };
        self.clients[at].tell(&event);
    }

    fn start_failure(&self, error: &anyhow::Error) -> ExitRecord {
        let code = error.downcast_ref::<StartError>().map_or(125, |start| start.code);
        ExitRecord {
            finished: now(),
            // As Docker records it: 128 where it was not the program's fault.
            code: if code == 125 { 128 } else { code },
            error: format!("{error:#}"),
            restarts: self.mark.restarts,
            ..ExitRecord::default()
        }
    }

    /// Writes the end down, lets go of everything, and tells everybody, in the order of the module's header.
    fn end(&mut self, record: &ExitRecord, last_word: Event) {
        if let Some(log) = &mut self.log {
            log.finish();
        }
        let recorded = self.dir.put_exit_record(record).and_then(|()| self.dir.clear_alive());
        remove::remove_runtime_dir(&self.store, &self.dir);
        if !self.config.auto_remove {
            self.alive = None;
        }
        for client in &mut self.clients {
            client.tell(&last_word);
            client.flush();
        }
        // A container that could not be started stays for `start` to be tried again, unless it is to go.
        if self.config.auto_remove {
            if let Err(error) = remove::tear_down(&self.store, &self.dir, &self.config, true) {
                eprintln!("supervisor: {error:#}");
            }
            self.alive = None;
        }
        for client in self.clients.drain(..) {
            client.finish();
        }
        if let Err(error) = recorded {
            eprintln!("supervisor: {error:#}");
        }
    }

    fn take_signals(&mut self) -> Result<()> {
        while let Some(info) = self.signals.read_signal().context("read signals")? {
            if info.ssi_signo == Signal::SIGUSR1 as u32 {
                // The runtime directory was taken away: make the socket anew.
                self.listener = listen(&self.store, &self.dir)?;
            } else if info.ssi_signo != Signal::SIGHUP as u32 {
                // The session or the machine is going down.
                self.going_down = true;
                self.stop(None, None);
            }
        }
        Ok(())
    }

    /// Looks whether memory has run out, and writes it down.
    fn check_memory(&mut self) {
        let Some(init) = self.mark.init else { return };
        for _ in 0..self.keeper.look(&self.config, init.pid) {
            self.note("oom", &[]);
        }
    }

    /// Goes on with the health checks.
    fn check_health(&mut self) {
        let (Some(checks), Some(process), Some(_)) = (&mut self.checks, &self.process, self.mark.init) else {
            return;
        };
        let notes = checks.step(&process.patient(&self.dir, &self.config, &self.mark), &mut self.buffer);
        for (action, more) in notes {
            self.note(&action, &more);
        }
    }

    /// Reads output once, logs it and shows it. Returns whether there was any.
    fn take_output(&mut self, stream: Stream) -> bool {
        let Some(process) = &mut self.process else { return false };
        let Some(count) = process.stdio.read(stream, &mut self.buffer) else { return false };
        let bytes = &self.buffer[..count];
        if let Some(log) = &mut self.log {
            log.write(stream, bytes);
        }
        for client in &mut self.clients {
            match stream {
                Stream::Stdout if client.streams.stdout => client.show(Kind::Stdout, bytes),
                Stream::Stderr if client.streams.stderr => client.show(Kind::Stderr, bytes),
                _ => {}
            }
        }
        true
    }
}

impl Streams {
    /// Tells whether any stream is carried.
    fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

/// Makes the container's socket, in place of an older one.
fn listen(store: &Store, dir: &ContainerDir) -> Result<UnixListener> {
    let runtime = dir.runtime_dir(store)?;
    let socket = dir.socket(store)?;
    match fs::remove_file(runtime.join("attach.sock")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove an old socket in {}", runtime.display()));
        }
        _ => {}
    }
    let listener =
        UnixListener::bind(socket.path()).with_context(|| format!("listen in {}", runtime.display()))?;
    listener.set_nonblocking(true).context("set the socket to non-blocking")?;
    Ok(listener)
}
