//! The data plane: what carries packets and bytes between containers and the world outside.
//!
//! # Theory of operation
//!
//! Two threads, each with a loop ([`event`]). A socket belongs for ever to the network namespace of the thread
//! that made it, and a thread that has entered `R` can never come back; but every thread can use every
//! socket. So:
//!
//! ```text
//!             made in the host's namespace          made in R
//!   outside   connections and flows of containers   tproxy listeners, nfqueue, DNS, raw sockets (used here)
//!             listeners of published ports ──┐
//!   inside                                   └▶     connections from published ports to containers
//! ```
//!
//! The `outside` loop starts in the host's namespace, before the router's main thread enters `R`, and stays
//! there; it carries what containers begin, and datagrams both ways. The `inside` loop is started from `R`; it
//! carries the connections of published ports, and makes the sockets of `R` that the other one asks for. The
//! main thread ([`Plane`]) tells them what is published and who has gone; who is where they read in the
//! [`Directory`].

mod dns;
pub mod event;
pub mod flow;
mod held;
pub mod icmp;
pub mod ports;
pub mod tcp;
pub mod udp;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

use self::event::{Loop, Mailbox};
use self::flow::{Flow, HasFlow, Target as Way};
use self::held::Queued;
use self::ports::Bound;
use self::tcp::account::Limits;
use self::tcp::door::{self, Target};
use self::tcp::packet::Ends;
use self::tcp::{Answer, HasTcp, Tcp, hold};
use self::udp::{Destination, Published};
use super::directory::Directory;
use super::ruleset::{QUEUE, TCP_PORT, UDP_PORT};
use crate::network::protocol::{PortRequest, Protocol, PublishedPort, Refusal, RefusalKind};
use crate::sys::inet::Family;
use crate::sys::netlink::queue::Queue;

/// How much of a held packet is shown: all of it, because echo requests are sent on.
const SHOWN: u32 = 0xffff;

/// How many packets may wait to be decided on.
const WAITING: u32 = 8192;

/// How often, and how many times, a port is asked for again that a router which was just killed had.
const AGAIN: Duration = Duration::from_millis(10);
const TIMES: usize = 100;

/// What the outside loop knows.
struct Outside {
    tcp: Tcp,
    flow: Flow,
    /// Where the kernel's questions come from, once `R` is entered.
    queue: Rc<RefCell<Option<Queue>>>,
    /// Published UDP ports, by container.
    published: HashMap<String, Vec<Published>>,
}

/// What the inside loop knows.
struct Inside {
    tcp: Tcp,
}

impl HasTcp for Outside {
    fn tcp(&mut self) -> &mut Tcp {
        &mut self.tcp
    }
}

impl HasFlow for Outside {
    fn flow(&mut self) -> &mut Flow {
        &mut self.flow
    }
}

impl HasTcp for Inside {
    fn tcp(&mut self) -> &mut Tcp {
        &mut self.tcp
    }
}

/// Both loops, as the main thread sees them.
pub struct Plane {
    outside: Mailbox<Outside>,
    inside: Mailbox<Inside>,
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plane")
    }
}

impl Plane {
    /// Starts the outside loop in the namespace that this thread is in: the host's.
    pub fn start(directory: Arc<RwLock<Directory>>) -> Result<Self> {
        let outside = Mailbox::new().context("make a mailbox")?;
        let inside = Mailbox::new().context("make a mailbox")?;
        let (own, other) = (outside.clone(), inside.clone());
        spawn("outside", move || {
            let world = Outside::new(directory, own.clone(), other);
            Loop::new(own, world)?.run()
        })?;
        Ok(Self { outside, inside })
    }

    /// Makes the sockets of `R`, which this thread is in, and starts the inside loop there.
    pub fn enter(&self) -> Result<()> {
        let mut listeners = vec![hold::listen(Family::V4, TCP_PORT).context("listen for connections")?];
        // A kernel without IPv6.
        listeners.extend(hold::listen(Family::V6, TCP_PORT).ok());
        let sockets = flow::Inside::make(UDP_PORT).context("make the sockets for datagrams")?;
        let queue = Queue::bind(QUEUE, SHOWN, WAITING);
        if let Err(refused) = &queue {
            eprintln!("router: hold packets: {refused}");
        }
        let queue = queue.ok();
        let mailbox = self.inside.clone();
        spawn("inside", move || {
            let world = Inside { tcp: Tcp::inward(limits()) };
            Loop::new(mailbox, world)?.run()
        })?;
        let entered = self.outside.ask(move |turn| -> io::Result<()> {
            for listener in listeners {
                hold::arrive(turn, listener)?;
            }
            flow::enter(turn, sockets)?;
            if let Some(queue) = queue {
                let shared = Rc::clone(&turn.world.queue);
                Queued::begin(turn, queue, shared)?;
            }
            Ok(())
        });
        entered.context("reach the outside loop")?.context("serve the sockets of the router's namespace")
    }

    /// Publishes ports of a container: all or none. With `claim`, it had them from a router that was killed.
    pub fn publish(
        &self,
        target: &Target,
        requests: &[PortRequest],
        claim: bool,
    ) -> Result<Vec<PublishedPort>, Refusal> {
        let mut times = if claim { TIMES } else { 0 };
        let bound = loop {
            let asked = requests.to_vec();
            match self.outside.ask(move |_| ports::bind(&asked)) {
                // The kernel may still be closing what that router had.
                Some(Err(Refusal { kind: RefusalKind::PortAllocated { .. }, .. })) if times > 0 => {
                    times -= 1;
                    thread::sleep(AGAIN);
                }
                Some(result) => break result?,
                None => return Err(broken("the router's loop has ended")),
            }
        };
        let ports = bound.iter().map(|bound| bound.port.clone()).collect();
        for bound in bound {
            if let Err(error) = self.open(target, bound) {
                self.unpublish(&target.container);
                return Err(broken(&format!("publish a port: {error}")));
            }
        }
        Ok(ports)
    }

    fn open(&self, target: &Target, bound: Bound) -> io::Result<()> {
        let Bound { port, socket } = bound;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        if port.protocol == Protocol::Tcp {
            let target = target.clone();
            let opened = self.inside.ask(move |turn| door::open(turn, socket, target, port.container_port));
            return opened.ok_or_else(gone)?;
        }
        let family = Family::of(port.host_ip);
        let Some(to) = destination(target, family, port.container_port) else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let container = target.container.clone();
        let opened = self.outside.ask(move |turn| -> io::Result<()> {
            let published = udp::publish(turn, socket, family, to)?;
            turn.world.published.entry(container).or_default().push(published);
            Ok(())
        });
        opened.ok_or_else(gone)?
    }

    /// Closes all published ports of a container. They are free when this returns.
    pub fn unpublish(&self, container: &str) {
        let name = container.to_owned();
        let _ = self.inside.ask(move |turn| door::close(turn, &name));
        let name = container.to_owned();
        let _ = self.outside.ask(move |turn| {
            for published in turn.world.published.remove(&name).unwrap_or_default() {
                published.end(turn);
            }
        });
    }

    /// Has the published ports of a container lead to another of its addresses. Connections that are there stay.
    pub fn turn_to(&self, target: &Target) {
        let copy = target.clone();
        let _ = self.inside.ask(move |turn| door::turn_to(turn, copy));
        let copy = target.clone();
        let _ = self.outside.ask(move |turn| {
            let Some(all) = turn.world.published.remove(&copy.container) else { return };
            for published in &all {
                if let Some(to) = destination(&copy, published.family, published.port()) {
                    published.turn_to(turn, to);
                }
            }
            turn.world.published.insert(copy.container, all);
        });
    }

    /// Ends everything that the container with this address has open.
    pub fn forget(&self, address: IpAddr) {
        self.inside.send(move |turn| tcp::forget(turn, address));
        self.outside.send(move |turn| {
            tcp::forget(turn, address);
            flow::forget(turn, address);
        });
    }
}

impl Outside {
    fn new(directory: Arc<RwLock<Directory>>, own: Mailbox<Self>, inside: Mailbox<Inside>) -> Self {
        let queue: Rc<RefCell<Option<Queue>>> = Rc::default();
        let decided = Rc::clone(&queue);
        let known = Arc::clone(&directory);
        let tcp = Tcp::new(
            limits(),
            move |ends| route(&known, ends),
            move |packet, answer| held::decide(&decided, packet, answer),
        );
        let flow = Flow::new(directory, move |family, count| {
            let own = own.clone();
            inside.send(move |_| {
                let sockets = (0..count).map_while(|_| flow::transparent(family).ok()).collect();
                own.send(move |turn| flow::supply(turn, family, sockets));
            });
        });
        Self { tcp, flow, queue, published: HashMap::new() }
    }
}

/// Decides where a container's connection goes.
fn route(directory: &RwLock<Directory>, ends: &Ends) -> Result<SocketAddr, Answer> {
    let directory = directory.read().unwrap_or_else(PoisonError::into_inner);
    // Whoever says that he is somebody else hears nothing.
    let (domain, _) = directory.at(ends.source.ip()).ok_or(Answer::Silence)?;
    let to = ends.destination;
    match flow::target(&directory, domain, to.ip()) {
        Way::Outside(address) => Ok(SocketAddr::new(address, to.port())),
        Way::Host => flow::host_address(Family::of(to.ip()))
            .map(|address| SocketAddr::new(address, to.port()))
            .ok_or(Answer::HostUnreachable),
        Way::Nowhere => Err(Answer::Prohibited),
    }
}

/// Returns where datagrams to a port of the host's in this family go.
fn destination(target: &Target, family: Family, port: u16) -> Option<Destination> {
    let (address, gateway) = target.way(family)?;
    Some(Destination { container: SocketAddr::new(address, port), gateway })
}

fn limits() -> Limits {
    Limits::new(rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX))
}

/// Starts a thread for a loop, without which the router is of no use: supervisors start another one.
fn spawn(name: &'static str, run: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<()> {
    let body = move || {
        // splice(2) has no other way to say that a socket must not raise it.
        let mut pipe = SigSet::empty();
        pipe.add(Signal::SIGPIPE);
        let result = pipe.thread_block().map_err(io::Error::from).and_then(|()| run());
        if let Err(error) = result {
            eprintln!("router: the loop {name}: {error}");
        }
        std::process::abort();
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .with_context(|| format!("start the loop {name}"))?;
    Ok(())
}

fn broken(text: &str) -> Refusal {
    Refusal::new(RefusalKind::Other, text)
}
