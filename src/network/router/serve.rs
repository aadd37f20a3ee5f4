//! The router's main thread: one loop that hears supervisors and does what they ask.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SocketFlags;

use super::ledger::Ledger;
use crate::network::control;
use crate::network::protocol::{MESSAGE, Refusal, RefusalKind, Reply, Request};
use crate::store::{Lock, Mode, Store};
use crate::sys::{memory, socket};

/// How long the router stays when the last container is gone.
const LINGER: Duration = Duration::from_secs(1);

/// How long a router waits for its first supervisor.
const FIRST: Duration = Duration::from_secs(10);

/// How long, after another router's death, its containers come before new ones: an address that one has is not
/// to be given away before it has said so.
const SETTLE: Duration = Duration::from_millis(300);

/// How long what a dead router has left waits to be claimed.
const CLAIM: Duration = Duration::from_secs(10);

/// How long after the last request the code that served it is let go.
const QUIET: Duration = Duration::from_secs(1);

/// A supervisor.
#[derive(Debug)]
struct Peer {
    socket: OwnedFd,
    container: Option<String>,
    /// A request that waits until those before have settled.
    waiting: Option<(Request, Vec<OwnedFd>)>,
    gone: bool,
}

/// The main thread's things.
#[derive(Debug)]
pub(super) struct Server {
    store: Store,
    listener: OwnedFd,
    signals: SignalFd,
    /// What is plugged in, or why nothing can be.
    ledger: Result<Ledger, String>,
    peers: BTreeMap<u64, Peer>,
    next_peer: u64,
    leave_at: Option<Instant>,
    settled_at: Option<Instant>,
    orphans_at: Option<Instant>,
    quiet_at: Option<Instant>,
    buffer: Vec<u8>,
}

impl Server {
    pub(super) fn new(
        store: Store,
        listener: OwnedFd,
        signals: SignalFd,
        ledger: Result<Ledger, String>,
    ) -> Self {
        let now = Instant::now();
        let is_heir = ledger.as_ref().is_ok_and(Ledger::has_orphans);
        Self {
            store,
            listener,
            signals,
            ledger,
            peers: BTreeMap::new(),
            next_peer: 0,
            leave_at: Some(now + FIRST),
            settled_at: is_heir.then(|| now + SETTLE),
            orphans_at: is_heir.then(|| now + CLAIM),
            quiet_at: Some(now + QUIET),
            buffer: vec![0; MESSAGE],
        }
    }

    /// Serves until nobody needs the router. Returns the lock that keeps another one from being started: it is
    /// to be held until this process has let go of everything.
    pub(super) fn run(mut self) -> Result<Lock> {
        loop {
            // First, because bridges that go with their namespace need not be taken down.
            if self.leave_at.is_some_and(|at| at <= Instant::now())
                && let Some(starting) = self.leave()?
            {
                return Ok(starting);
            }
            let next = self.tick();
            self.wait(next)?;
        }
    }

    /// Does what is due, and returns when the next thing will be.
    fn tick(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if self.settled_at.is_some_and(|at| at <= now) {
            self.settled_at = None;
            let waiting: Vec<u64> =
                self.peers.iter().filter(|(_, peer)| peer.waiting.is_some()).map(|(id, _)| *id).collect();
            for id in waiting {
                if let Some((request, fds)) = self.peers.get_mut(&id).and_then(|peer| peer.waiting.take()) {
                    self.answer(id, request, fds);
                }
            }
            self.bury();
        }
        if self.orphans_at.is_some_and(|at| at <= now) {
            self.orphans_at = None;
            if let Ok(ledger) = &mut self.ledger {
                ledger.drop_orphans();
            }
        }
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.quiet_at = None;
            // Without it there is only more memory in use.
            let _ = memory::release_code();
        }
        let idle = self.ledger.as_mut().ok().and_then(Ledger::tick);
        [idle, self.leave_at, self.settled_at, self.orphans_at, self.quiet_at].into_iter().flatten().min()
    }

    /// Waits for something to happen, and deals with it.
    fn wait(&mut self, until: Option<Instant>) -> Result<()> {
        let mut polled =
            vec![PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        let ids: Vec<u64> = self.peers.keys().copied().collect();
        for peer in self.peers.values() {
            // One that waits is watched for its end only, which is always told.
            let flags = if peer.waiting.is_some() { PollFlags::empty() } else { PollFlags::IN };
            polled.push(PollFd::new(&peer.socket, flags));
        }
        // A little later than due, so that it is.
        let timeout = until.map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for supervisors"),
        }
        let ready: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
        drop(polled);
        if ready[1] {
            self.hear_signals()?;
        }
        for (id, _) in ids.iter().zip(&ready[2..]).filter(|(_, ready)| **ready) {
            self.hear(*id);
        }
        if ready[0] {
            self.accept();
        }
        self.bury();
        Ok(())
    }

    fn hear_signals(&mut self) -> Result<()> {
        while self.signals.read_signal().context("read signals")?.is_some() {
            // The runtime directory was taken away: make the socket anew.
            match control::listen(&self.store) {
                Ok(listener) => self.listener = listener,
                Err(error) => eprintln!("router: {error:#}"),
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok(socket) =
            rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
        {
            let peer = Peer { socket, container: None, waiting: None, gone: false };
            self.peers.insert(self.next_peer, peer);
            self.next_peer += 1;
            self.leave_at = None;
        }
    }

    /// Takes one message of a supervisor.
    fn hear(&mut self, id: u64) {
        self.quiet_at = Some(Instant::now() + QUIET);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let (length, fds) = match socket::receive(&peer.socket, &mut self.buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok((0, _)) | Err(_) => {
                peer.gone = true;
                return;
            }
            Ok(received) => received,
        };
        match serde_json::from_slice(&self.buffer[..length]) {
            Ok(request) => self.answer(id, request, fds),
            Err(error) => {
                let text = format!("understand the request: {error}");
                self.tell(id, &Reply::Refused(Refusal::new(RefusalKind::Other, text)));
            }
        }
    }

    fn answer(&mut self, id: u64, request: Request, mut fds: Vec<OwnedFd>) {
        let is_new = matches!(request, Request::Attach { claim: false, .. });
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if is_new && self.settled_at.is_some() {
            peer.waiting = Some((request, fds));
            return;
        }
        let container = peer.container.clone();
        let reply = match (request, container) {
            (Request::Hello { container }, None) => {
                self.welcome(id, container);
                return;
            }
            (Request::Attach { network, endpoint, claim }, Some(container)) => match &mut self.ledger {
                Ok(ledger) => match fds.pop() {
                    Some(namespace) => ledger
                        .attach(&container, namespace, &network, &endpoint, claim)
                        .map_or_else(Reply::Refused, Reply::Attached),
                    None => refused("the container's network namespace is missing"),
                },
                Err(text) => Reply::Refused(Refusal::new(RefusalKind::Unsupported, text.clone())),
            },
            (Request::Detach { network_id }, Some(container)) => match &mut self.ledger {
                Ok(ledger) => {
                    ledger.detach(&container, &network_id).map_or_else(Reply::Refused, |()| Reply::Detached)
                }
                Err(text) => Reply::Refused(Refusal::new(RefusalKind::Unsupported, text.clone())),
            },
            (Request::Lead { network_id }, Some(container)) => match &mut self.ledger {
                Ok(ledger) => ledger
                    .lead(&container, network_id.as_deref())
                    .map_or_else(Reply::Refused, |()| Reply::Done),
                Err(text) => Reply::Refused(Refusal::new(RefusalKind::Unsupported, text.clone())),
            },
            (Request::Rename { network_id, names }, Some(container)) => match &self.ledger {
                Ok(ledger) => ledger
                    .rename(&container, &network_id, names)
                    .map_or_else(Reply::Refused, |()| Reply::Done),
                Err(text) => Reply::Refused(Refusal::new(RefusalKind::Unsupported, text.clone())),
            },
            (Request::Publish { ports, claim }, Some(container)) => match &self.ledger {
                Ok(ledger) => {
                    ledger.publish(&container, &ports, claim).map_or_else(Reply::Refused, Reply::Published)
                }
                Err(text) => Reply::Refused(Refusal::new(RefusalKind::Unsupported, text.clone())),
            },
            (Request::Hello { .. }, Some(_)) => refused("the container has said hello before"),
            (_, None) => refused("the first request is not hello"),
        };
        self.tell(id, &reply);
    }

    /// A supervisor has said whose it is. It comes in place of one that was killed a moment ago.
    fn welcome(&mut self, id: u64, container: String) {
        let before = self.peers.iter_mut().find(|(_, peer)| peer.container.as_ref() == Some(&container));
        if let Some((_, before)) = before {
            before.gone = true;
            before.container = None;
            if let Ok(ledger) = &mut self.ledger {
                ledger.leave(&container);
            }
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.container = Some(container);
        let Ok(bytes) = serde_json::to_vec(&Reply::Welcome) else { return };
        let sent = match &self.ledger {
            Ok(ledger) => socket::send(&peer.socket, &bytes, &[ledger.namespace()]),
            Err(_) => socket::send(&peer.socket, &bytes, &[]),
        };
        peer.gone = sent.is_err();
    }

    fn tell(&mut self, id: u64, reply: &Reply) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // The socket does not block: who does not read its answers is cut off.
        let sent = serde_json::to_vec(reply)
            .map_err(io::Error::from)
            .and_then(|bytes| socket::send(&peer.socket, &bytes, &[]));
        peer.gone |= sent.is_err();
    }

    /// Unplugs the containers whose supervisors are gone.
    fn bury(&mut self) {
        let gone: Vec<u64> = self.peers.iter().filter(|(_, peer)| peer.gone).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(Peer { container: Some(container), .. }) = self.peers.remove(&id)
                && let Ok(ledger) = &mut self.ledger
            {
                ledger.leave(&container);
            }
        }
        if self.peers.is_empty() && self.leave_at.is_none() {
            self.leave_at = Some(Instant::now() + LINGER);
        }
    }

    /// Leaves, unless somebody has just come. Who comes to a socket that is being closed comes again, and
    /// starts another router: nobody can do that before this one has let go.
    fn leave(&mut self) -> Result<Option<Lock>> {
        let Some(starting) = control::try_lock_start(&self.store)? else {
            self.leave_at = Some(Instant::now() + Duration::from_millis(50));
            return Ok(None);
        };
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut polled, Some(&now)).unwrap_or(0) > 0 {
            self.leave_at = None;
            return Ok(None);
        }
        let _ = fs::remove_file(control::socket_path(&self.store));
        let _ = fs::remove_file(control::record_path(&self.store));
        Ok(Some(starting))
    }
}

fn refused(text: &str) -> Reply {
    Reply::Refused(Refusal::new(RefusalKind::Other, text))
}

/// Takes the lock that only one router of a store has.
pub(super) fn lock(store: &Store) -> Result<Lock> {
    store.lock(control::ROUTER_LOCK, Mode::Exclusive)
}
