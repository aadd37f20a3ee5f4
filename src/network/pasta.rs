//! The way out where the kernel gives this user no packet rules: `pasta`, if it is installed.
//!
//! # Theory of operation
//!
//! Without nf_tables the router cannot tell packets apart, so there are no networks. A container of the default
//! network, alone on it, then has a `pasta` of its own: a program that joins its network namespace by a tap
//! device and speaks for it with sockets of the host. The supervisor starts it while the container's process
//! waits, and it has detached itself, ready, when the program that was started ends. It serves what comes to
//! the published ports, and passes questions to the gateway's port 53 on to the host's nameserver.
//!
//! The container has the second address of the default network's block, as every other such container has: they do
//! not reach each other, and there are no names. The gateway's address leads nowhere else: pasta would make
//! it the host's loopback. There is IPv4 only.
//!
//! It goes when its handle is dropped, and by itself when the namespace goes.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::protocol::{Endpoint, PortRequest, PublishedPort, Refusal, RefusalKind};
use super::record::{Mac, Network, Subnet};
use super::router::plane::ports;
use crate::sys::process;

const PROGRAM: &str = "pasta";

/// The name of the device in the container.
const INTERFACE: &str = "eth0";

/// What a container needs of it.
#[derive(Debug)]
pub struct Request<'a> {
    /// The process whose network namespace it is.
    pub pid: i32,
    /// The default network.
    pub network: &'a Network,
    /// The hardware address wanted.
    pub mac: Option<Mac>,
    /// The names that the container is told it has.
    pub names: Vec<String>,
    /// The ports to publish.
    pub ports: &'a [PortRequest],
    /// Whether questions to the gateway are passed on to the host's nameserver.
    pub forwards_dns: bool,
    /// A directory for its log and its number.
    pub dir: &'a Path,
}

/// A running `pasta`. It is told to end when this is dropped.
#[derive(Debug)]
pub struct Pasta {
    process: OwnedFd,
}

impl Pasta {
    /// Tells whether the program can be found.
    pub fn is_installed() -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .any(|dir| rustix::fs::access(dir.join(PROGRAM), rustix::fs::Access::EXEC_OK).is_ok())
    }

    /// Starts it for a container. An error may be a [`Refusal`], about a port.
    pub fn start(request: &Request<'_>) -> Result<(Self, Endpoint, Vec<PublishedPort>)> {
        let subnet = request.network.subnet4().context("the default network has no IPv4 addresses")?;
        let endpoint = endpoint(request, subnet)?;
        let ports = reserve(request.ports)?;
        let (log, number) = (request.dir.join("pasta.log"), request.dir.join("pasta.pid"));
        let messages = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new(PROGRAM);
        command.args(words(request, &endpoint, &ports)).arg("--pid").arg(&number);
        // It may keep these for longer than it takes to be ready.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(messages));
        let status = command.status().context("start pasta")?;
        let said = || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            // It complains of hosts without a log, too.
            let is_about_this = |line: &&str| !line.is_empty() && !line.ends_with("to syslog");
            let lines: Vec<&str> = text.lines().map(str::trim).filter(is_about_this).collect();
            lines.join("; ")
        };
        if !status.success() {
            bail!("pasta ends with {status}: {}{}", said(), advice());
        }
        let read = || -> Result<Self> {
            let text = fs::read_to_string(&number)?;
            Ok(Self { process: process::pidfd_open(text.trim().parse()?)? })
        };
        let pasta = read().with_context(|| format!("find the pasta that was started ({})", said()))?;
        Ok((pasta, endpoint, ports))
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        // The only failure is that it has ended already. Its ports are to be free afterwards.
        if process::send_signal(self.process.as_fd(), libc::SIGKILL).is_ok() {
            let mut polled = [PollFd::new(&self.process, PollFlags::IN)];
            let _ = poll(&mut polled, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
        }
    }
}

/// Says what is in the way, if it is what is usually in the way.
fn advice() -> String {
    const TUN: &str = "/dev/net/tun";
    let rights = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    match rustix::fs::access(TUN, rights) {
        Ok(()) => String::new(),
        Err(error) => {
            let error = io::Error::from(error);
            format!(
                "; pasta needs {TUN}, which this user cannot open ({error}): an administrator can run \"modprobe tun; \
                 chmod 666 {TUN}\""
            )
        }
    }
}

/// Decides what the container is.
fn endpoint(request: &Request<'_>, subnet: &Subnet) -> Result<Endpoint> {
    let (IpAddr::V4(first), IpAddr::V4(gateway)) = (subnet.subnet.first(), subnet.gateway) else {
        bail!("the default network has no IPv4 addresses")
    };
    let candidates = (1..).map(|more| Ipv4Addr::from(u32::from(first).wrapping_add(more)));
    let free = |address: &Ipv4Addr| *address != gateway && !subnet.aux.values().any(|aux| aux == address);
    let ip = candidates.take(64).find(free).context("find an address for the container")?;
    let [a, b, c, d] = ip.octets();
    Ok(Endpoint {
        network_id: request.network.id.clone(),
        network: request.network.name.clone(),
        interface: INTERFACE.to_owned(),
        mac: request.mac.unwrap_or(Mac([2, 0x42, a, b, c, d])),
        ip: Some((ip, subnet.subnet.prefix)),
        ip6: None,
        gateway: Some(gateway),
        gateway6: None,
        names: request.names.clone(),
        dns: if request.forwards_dns { gateway.into() } else { Ipv4Addr::UNSPECIFIED.into() },
        linked_by: Vec::new(),
    })
}

/// Chooses the ports of the host and finds that they are free. pasta takes them a moment later.
fn reserve(requests: &[PortRequest]) -> Result<Vec<PublishedPort>> {
    let mut asked = requests.to_vec();
    for port in &mut asked {
        match port.host_ip {
            Some(IpAddr::V6(address)) if !address.is_unspecified() => {
                let text = format!("publish a port at {address}: without nf_tables there is IPv4 only");
                return Err(Refusal::new(RefusalKind::Unsupported, text).into());
            }
            Some(IpAddr::V4(_)) => {}
            _ => port.host_ip = Some(Ipv4Addr::UNSPECIFIED.into()),
        }
    }
    Ok(ports::bind(&asked)?.into_iter().map(|bound| bound.port).collect())
}

/// Returns the words of the command line, but for where it leaves its number.
fn words(request: &Request<'_>, endpoint: &Endpoint, ports: &[PublishedPort]) -> Vec<String> {
    let (ip, prefix) = endpoint.ip.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
    let gateway = endpoint.gateway.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let mut words: Vec<String> = [
        "--config-net",
        "--ipv4-only",
        "--quiet",
        "--no-map-gw",
        "--tcp-ns",
        "none",
        "--udp-ns",
        "none",
        "--ns-ifname",
        INTERFACE,
    ]
    .map(str::to_owned)
    .into();
    let mut say = |key: &str, value: String| words.extend([key.to_owned(), value]);
    say("--address", ip.to_string());
    say("--netmask", prefix.to_string());
    say("--gateway", gateway.to_string());
    say("--ns-mac-addr", endpoint.mac.to_string());
    if request.forwards_dns {
        say("--dns-forward", gateway.to_string());
    }
    for (key, protocol) in [("--tcp-ports", "tcp"), ("--udp-ports", "udp")] {
        let mut own = ports.iter().filter(|port| port.protocol.name() == protocol).peekable();
        if own.peek().is_none() {
            say(key, "none".to_owned());
        }
        for port in own {
            say(key, format!("{}/{}:{}", port.host_ip, port.host_port, port.container_port));
        }
    }
    say("--netns", format!("/proc/{}/ns/net", request.pid));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::protocol::{HostPort, Protocol};
    use crate::network::router::directory::tests::network;

    fn request<'a>(network: &'a Network, ports: &'a [PortRequest]) -> Request<'a> {
        Request {
            pid: 7,
            network,
            mac: None,
            names: vec!["web".to_owned()],
            ports,
            forwards_dns: true,
            dir: Path::new("/nowhere"),
        }
    }

    #[test]
    fn says_all_that_pasta_must_know() {
        let network = network("bridge", &["172.17.0.0/16"], false);
        let request = request(&network, &[]);
        let endpoint = endpoint(&request, network.subnet4().unwrap()).unwrap();
        assert_eq!(endpoint.mac.to_string(), "02:42:ac:11:00:02");
        let port = PublishedPort {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: Ipv4Addr::UNSPECIFIED.into(),
            host_port: 8080,
        };
        let line = words(&request, &endpoint, &[port]).join(" ");
        assert_eq!(
            line,
            "--config-net --ipv4-only --quiet --no-map-gw --tcp-ns none --udp-ns none --ns-ifname eth0 \
             --address 172.17.0.2 --netmask 16 --gateway 172.17.0.1 --ns-mac-addr 02:42:ac:11:00:02 \
             --dns-forward 172.17.0.1 --tcp-ports 0.0.0.0/8080:80 --udp-ports none --netns /proc/7/ns/net"
        );
    }

    #[test]
    fn refuses_ports_that_it_cannot_have() {
        let six = PortRequest {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: Some("::1".parse().unwrap()),
            host_port: HostPort::Any,
        };
        assert!(reserve(std::slice::from_ref(&six)).unwrap_err().to_string().contains("IPv4 only"));
        let any = reserve(&[PortRequest { host_ip: None, ..six }]).unwrap();
        assert_eq!((any.len(), any[0].host_ip), (1, Ipv4Addr::UNSPECIFIED.into()));
        assert_ne!(any[0].host_port, 0);
    }
}
