//! Ports of the host for published ports of containers: which, and what is said when there is none.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::network::protocol::{HostPort, PortRequest, Protocol, PublishedPort, Refusal, RefusalKind};

/// How many ports are tried to find one that is free in both families.
const TRIES: usize = 100;

/// Connections that wait to be accepted. The kernel's own bound (`net.core.somaxconn`) is usually lower.
const BACKLOG: i32 = 65_535;

/// A port of the host that is ours.
#[derive(Debug)]
pub struct Bound {
    /// What it is called.
    pub port: PublishedPort,
    /// Its socket; of TCP, one that listens.
    pub socket: OwnedFd,
}

/// Takes ports of the host: all or none. To be called by a thread in the host's network namespace.
pub fn bind(requests: &[PortRequest]) -> Result<Vec<Bound>, Refusal> {
    let mut bound = Vec::new();
    for request in requests {
        bound.extend(bind_one(request)?);
    }
    Ok(bound)
}

fn bind_one(request: &PortRequest) -> Result<Vec<Bound>, Refusal> {
    match request.host_port {
        HostPort::One(port) => bind_families(request, port).map_err(Failure::into_refusal),
        HostPort::Range(first, last) => {
            let mut failure = None;
            for port in first..=last {
                match bind_families(request, port) {
                    Ok(bound) => return Ok(bound),
                    Err(error) if error.errno == Errno::ADDRINUSE => failure = failure.or(Some(error)),
                    Err(error) => return Err(error.into_refusal()),
                }
            }
            let none = || Refusal::new(RefusalKind::Other, format!("no port in {first}-{last}"));
            Err(failure.map_or_else(none, Failure::into_refusal))
        }
        HostPort::Any => {
            let mut tries = 0;
            loop {
                match bind_families(request, 0) {
                    Err(error) if error.errno == Errno::ADDRINUSE && tries < TRIES => tries += 1,
                    result => return result.map_err(Failure::into_refusal),
                }
            }
        }
    }
}

/// Why a port could not be taken.
#[derive(Debug)]
struct Failure {
    address: SocketAddr,
    protocol: Protocol,
    errno: Errno,
}

/// Takes one port, of both families if none is asked for. With port 0 the second family has the port that the
/// kernel chose for the first.
fn bind_families(request: &PortRequest, port: u16) -> Result<Vec<Bound>, Failure> {
    let families = match request.host_ip {
        Some(ip) => vec![ip],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    let mut bound: Vec<Bound> = Vec::new();
    for ip in families {
        let address = SocketAddr::new(ip, bound.first().map_or(port, |first| first.port.host_port));
        match bind_address(address, request.protocol) {
            Ok((socket, host_port)) => bound.push(Bound {
                port: PublishedPort {
                    container_port: request.container_port,
                    protocol: request.protocol,
                    host_ip: ip,
                    host_port,
                },
                socket,
            }),
            // A host without the second family has the first.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                if request.host_ip.is_none() && !bound.is_empty() => {}
            Err(errno) => return Err(Failure { address, protocol: request.protocol, errno }),
        }
    }
    Ok(bound)
}

fn bind_address(address: SocketAddr, protocol: Protocol) -> Result<(OwnedFd, u16), Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    if address.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of a former owner that still linger are no obstacle. Another listener is.
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
        // What is accepted inherits these.
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        rustix::net::sockopt::set_socket_keepalive(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if protocol == Protocol::Tcp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    let address: SocketAddr = rustix::net::getsockname(&socket)?.try_into()?;
    Ok((socket, address.port()))
}

impl Failure {
    fn into_refusal(self) -> Refusal {
        let (ip, port) = (self.address.ip(), self.address.port());
        match self.errno {
            Errno::ADDRINUSE => Refusal::new(
                RefusalKind::PortAllocated { ip, port },
                format!("Bind for {} failed: port is already allocated", self.address),
            ),
            Errno::ACCESS => Refusal::new(RefusalKind::PortDenied { port }, denied(port)),
            errno => Refusal::new(
                RefusalKind::Other,
                format!(
                    "listen {} {}: bind: {}",
                    self.protocol.name(),
                    self.address,
                    io::Error::from(errno).to_string().to_lowercase()
                ),
            ),
        }
    }
}

fn denied(port: u16) -> String {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024_u16);
    format!(
        "cannot expose privileged port {port}: ports below {first} are root's; \
         an administrator can run `sysctl net.ipv4.ip_unprivileged_port_start={port}`, or choose a port from {first} on"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn request(protocol: Protocol, host_ip: Option<&str>, host_port: HostPort) -> PortRequest {
        let host_ip = host_ip.map(|ip| ip.parse::<IpAddr>().unwrap());
        PortRequest { container_port: 80, protocol, host_ip, host_port }
    }

    #[test]
    fn any_port_is_one_for_both_families() {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let bound = bind(&[request(protocol, None, HostPort::Any)]).unwrap();
            let port = bound[0].port.host_port;
            assert!(port > 0 && bound.iter().all(|bound| bound.port.host_port == port));
            assert_eq!(bound[0].port.host_ip, Ipv4Addr::UNSPECIFIED);
        }
    }

    #[test]
    fn one_that_is_taken_is_refused_and_nothing_is_left_taken() {
        let taken = bind(&[request(Protocol::Tcp, Some("127.0.0.1"), HostPort::Any)]).unwrap();
        let port = taken[0].port.host_port;
        let free = request(Protocol::Tcp, Some("127.0.0.1"), HostPort::Any);
        let again = request(Protocol::Tcp, Some("127.0.0.1"), HostPort::One(port));
        let refusal = bind(&[free, again.clone()]).unwrap_err();
        let ip = Ipv4Addr::LOCALHOST.into();
        assert_eq!(refusal.kind, RefusalKind::PortAllocated { ip, port });
        assert_eq!(refusal.text, format!("Bind for 127.0.0.1:{port} failed: port is already allocated"));
        // Neither does the same port of the other protocol, nor the port once it is free.
        bind(&[request(Protocol::Udp, Some("127.0.0.1"), HostPort::One(port))]).unwrap();
        drop(taken);
        bind(&[again]).unwrap();
    }

    #[test]
    fn a_range_gives_its_first_free_port() {
        let taken = bind(&[request(Protocol::Tcp, Some("127.0.0.1"), HostPort::Any)]).unwrap();
        let first = taken[0].port.host_port;
        let Some(last) = first.checked_add(20) else { return };
        let found = bind(&[request(Protocol::Tcp, Some("127.0.0.1"), HostPort::Range(first, last))]).unwrap();
        assert!((first + 1..=last).contains(&found[0].port.host_port));
        let refusal = bind(&[request(Protocol::Tcp, Some("127.0.0.1"), HostPort::Range(first, first))]);
        assert!(matches!(refusal.unwrap_err().kind, RefusalKind::PortAllocated { .. }));
    }

    #[test]
    fn other_peoples_addresses_are_refused() {
        let refusal = bind(&[request(Protocol::Tcp, Some("203.0.113.7"), HostPort::Any)]).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Other);
        assert!(refusal.text.starts_with("listen tcp 203.0.113.7:0: bind: "), "{}", refusal.text);
    }
}
