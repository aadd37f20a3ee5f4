//! A supervisor's connection to the router, which is started if there is none.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::Network;
use super::control;
use super::protocol::{Endpoint, EndpointRequest, MESSAGE, PortRequest, PublishedPort, Reply, Request};
use super::router;
use crate::store::Store;
use crate::sys::socket;

/// How long the router may take for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a killed router's containers have to start the next one, in the namespace that only they have.
const HEIRS_FIRST: Duration = Duration::from_millis(200);

/// How often one is started, at most, for one connection.
const STARTS: u32 = 3;

/// A connection to the router. As long as it is open, the container stays plugged in.
///
/// It is ready to be read ([`AsFd`]) only if the router has died: then comes [`Router::again`].
#[derive(Debug)]
pub struct Router {
    socket: OwnedFd,
    /// The router's namespace, which stays as long as this or the router does.
    space: Option<OwnedFd>,
    store: Store,
    container: String,
    buffer: Vec<u8>,
}

impl Router {
    /// Connects to the router of `store` for the container with this id; starts the router if there is none.
    ///
    /// This process is root of the ancestor user namespace, in the host's network namespace.
    pub fn reach(store: &Store, container: &str) -> Result<Self> {
        Self::find(store, container, None).context("reach the router of the networks")
    }

    /// Connects to the router that comes after one that died. Everything is to be asked for again, as a claim.
    pub fn again(self) -> Result<Self> {
        Self::find(&self.store, &self.container, self.space).context("reach the router of the networks again")
    }

    /// Plugs the container, whose network namespace is `namespace`, into a network. An error may be a
    /// [`Refusal`](super::protocol::Refusal).
    pub fn attach(
        &mut self,
        namespace: impl AsFd,
        network: &Network,
        endpoint: &EndpointRequest,
        claim: bool,
    ) -> Result<Endpoint> {
        let mut network = Box::new(network.clone());
        // They may be long, and the router has no use for them.
        network.labels.clear();
        let request = Request::Attach { network, endpoint: Box::new(endpoint.clone()), claim };
        match self.ask(&request, &[namespace.as_fd()])? {
            Reply::Attached(endpoint) => Ok(endpoint),
            reply => Err(unexpected(reply)),
        }
    }

    /// Unplugs the container from a network.
    pub fn detach(&mut self, network_id: &str) -> Result<()> {
        match self.ask(&Request::Detach { network_id: network_id.to_owned() }, &[])? {
            Reply::Detached => Ok(()),
            reply => Err(unexpected(reply)),
        }
    }

    /// Makes a network the container's way to everywhere; `None`: it has none.
    pub fn lead(&mut self, network_id: Option<&str>) -> Result<()> {
        self.done(&Request::Lead { network_id: network_id.map(str::to_owned) })
    }

    /// Gives the container other names on a network.
    pub fn rename(&mut self, network_id: &str, names: &[String]) -> Result<()> {
        self.done(&Request::Rename { network_id: network_id.to_owned(), names: names.to_vec() })
    }

    fn done(&mut self, request: &Request) -> Result<()> {
        match self.ask(request, &[])? {
            Reply::Done => Ok(()),
            reply => Err(unexpected(reply)),
        }
    }

    /// Publishes all ports of the container, in place of those before.
    pub fn publish(&mut self, ports: &[PortRequest], claim: bool) -> Result<Vec<PublishedPort>> {
        match self.ask(&Request::Publish { ports: ports.to_vec(), claim }, &[])? {
            Reply::Published(ports) => Ok(ports),
            reply => Err(unexpected(reply)),
        }
    }

    fn ask(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Reply> {
        let (reply, _) = exchange(&self.socket, request, fds, &mut self.buffer).context("ask the router")?;
        match reply {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply => Ok(reply),
        }
    }

    fn find(store: &Store, container: &str, mut space: Option<OwnedFd>) -> Result<Self> {
        let until = Instant::now() + PATIENCE;
        let mut buffer = vec![0; MESSAGE];
        let mut start = Start { store, starts: 0, is_patient: true, tries: 0 };
        loop {
            if let Some(record) = control::Record::load(store)?
                && record.is_foreign()
            {
                // It leaves a second after its last container.
                if Instant::now() >= until {
                    bail!(
                        "the router {} serves containers that run in another user namespace (\"coracle info\" \
                         names the privilege level); stop those first",
                        record.pid
                    );
                }
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            let greeted = control::connect(store).map_err(anyhow::Error::from).and_then(|socket| {
                let request = Request::Hello { container: container.to_owned() };
                let (reply, fds) = exchange(&socket, &request, &[], &mut buffer)?;
                Ok((socket, reply, fds))
            });
            match greeted {
                Ok((socket, Reply::Welcome, mut fds)) => {
                    space = fds.pop();
                    let (store, container) = (store.clone(), container.to_owned());
                    return Ok(Self { socket, space, store, container, buffer });
                }
                Ok((_, reply, _)) => return Err(unexpected(reply)),
                // None, or one that is just leaving or was just killed.
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => start.ensure(space.as_ref())?,
            }
        }
    }
}

impl AsFd for Router {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn unexpected(reply: Reply) -> anyhow::Error {
    match reply {
        Reply::Refused(refusal) => refusal.into(),
        reply => anyhow::anyhow!("the router gives an unexpected answer: {reply:?}"),
    }
}

fn exchange(
    socket: &OwnedFd,
    request: &Request,
    fds: &[BorrowedFd<'_>],
    buffer: &mut [u8],
) -> Result<(Reply, Vec<OwnedFd>)> {
    for kind in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(socket, kind, Some(PATIENCE)).context("set the time limit")?;
    }
    let bytes = serde_json::to_vec(request).context("write the request")?;
    if bytes.len() > MESSAGE {
        bail!("the request is longer than {MESSAGE} bytes");
    }
    socket::send(socket, &bytes, fds).context("send the request")?;
    let (length, fds) = socket::receive(socket, buffer).context("wait for the answer")?;
    if length == 0 {
        bail!("the router has ended");
    }
    Ok((serde_json::from_slice(&buffer[..length]).context("understand the answer")?, fds))
}

/// The attempts to have a router.
struct Start<'a> {
    store: &'a Store,
    starts: u32,
    is_patient: bool,
    tries: u32,
}

impl Start<'_> {
    /// Sees to it that somebody listens, or will in a moment.
    fn ensure(&mut self, space: Option<&OwnedFd>) -> Result<()> {
        self.tries += 1;
        let starting = control::lock_start(self.store)?;
        if control::connect(self.store).is_ok() {
            return Ok(());
        }
        if control::is_running(self.store)? {
            // It is leaving or just beginning, or the runtime directory was taken from under it: then it makes a new
            // socket.
            drop(starting);
            if self.tries % 8 == 4
                && let Some(record) = control::Record::load(self.store)?
                && record.lives()
            {
                let _ = kill(nix::unistd::Pid::from_raw(record.pid), Signal::SIGUSR1);
            }
            std::thread::sleep(Duration::from_millis(5));
            return Ok(());
        }
        if space.is_none() && self.is_patient && control::Record::load(self.store)?.is_some() {
            self.is_patient = false;
            drop(starting);
            std::thread::sleep(HEIRS_FIRST);
            return Ok(());
        }
        if self.starts == STARTS {
            bail!("it ends as soon as it is started; see {}", control::log_path(self.store).display());
        }
        self.starts += 1;
        self.spawn(space)
    }

    /// Starts a router. It needs no word when it is ready: its socket is there before it is.
    fn spawn(&self, space: Option<&OwnedFd>) -> Result<()> {
        let listener = control::listen(self.store)?;
        let path = control::log_path(self.store);
        let log: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg(router::ROLE).args([self.store.root(), self.store.runtime()]);
        command.stdin(Stdio::from(listener)).stderr(Stdio::from(log)).stdout(Stdio::null()).env_clear();
        if let Some(space) = space {
            let copy = || -> io::Result<OwnedFd> { space.try_clone() };
            command.arg(router::HEIR).stdout(Stdio::from(copy().context("copy the network namespace")?));
        }
        let status = command.status().context("start the router")?;
        if !status.success() {
            bail!("start the router: it ends with {status}; see {}", path.display());
        }
        Ok(())
    }
}
