//! Published ports: a listener of the host, and connections from it into `R`.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::super::event::{Events, Fate, Key, Source, Turn};
use super::hold::accept;
use super::relay::{self, Opening, Waiting};
use super::{HasTcp, set_relayed, socket};
use crate::sys::inet::{self, Family};

/// How `R` reaches a container in one address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way<A> {
    /// The container's address.
    pub address: A,
    /// The address of its network's gateway, which is an address of `R`.
    pub gateway: A,
}

/// Where a published port leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The container's id.
    pub container: String,
    /// The way by IPv4.
    pub v4: Option<Way<Ipv4Addr>>,
    /// The way by IPv6.
    pub v6: Option<Way<Ipv6Addr>>,
}

/// Whom the container sees as its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The client itself.
    Client(SocketAddr),
    /// The gateway.
    Gateway(IpAddr),
}

impl Target {
    /// Returns the container's and the gateway's address in this family or, if it has none, in the other one.
    pub fn way(&self, family: Family) -> Option<(IpAddr, IpAddr)> {
        let v4 = || self.v4.map(|way| (IpAddr::from(way.address), IpAddr::from(way.gateway)));
        let v6 = || self.v6.map(|way| (IpAddr::from(way.address), IpAddr::from(way.gateway)));
        match family {
            Family::V4 => v4().or_else(v6),
            Family::V6 => v6().or_else(v4),
        }
    }

    /// Decides at which address the container is reached, and whom it sees there as the client.
    pub fn plan(&self, client: SocketAddr) -> Option<(IpAddr, Seen)> {
        // Only addresses that mean the same in `R` as in the host's namespace can be shown.
        let travels = match client.ip() {
            IpAddr::V4(ip) => !ip.is_loopback(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        };
        let (address, gateway) = self.way(Family::of(client.ip()))?;
        let shown = travels && address.is_ipv4() == client.is_ipv4() && client.ip() != address;
        Some((address, if shown { Seen::Client(client) } else { Seen::Gateway(gateway) }))
    }
}

/// A published port.
#[derive(Debug)]
pub struct Door {
    listener: OwnedFd,
    target: Rc<RefCell<Target>>,
    port: u16,
}

/// The published ports of a container.
#[derive(Debug)]
pub struct Doors {
    target: Rc<RefCell<Target>>,
    keys: Vec<Key>,
}

/// Begins to serve `listener`, which was made in the host's namespace, for `port` of a container.
pub fn open<W: HasTcp>(
    turn: &mut Turn<'_, W>,
    listener: OwnedFd,
    target: Target,
    port: u16,
) -> io::Result<()> {
    let key = turn.reserve()?;
    if let Err(error) = turn.watch(key, 0, &listener, Events::IN | Events::ET) {
        turn.remove(key);
        return Err(error);
    }
    let own = turn.world.tcp().doors.entry(target.container.clone());
    let own = own.or_insert_with(|| Doors { target: Rc::new(RefCell::new(target)), keys: Vec::new() });
    own.keys.push(key);
    let target = Rc::clone(&own.target);
    turn.fill(key, Door { listener, target, port });
    Ok(())
}

/// Closes all published ports of a container. Its connections stay.
pub fn close<W: HasTcp>(turn: &mut Turn<'_, W>, container: &str) {
    for key in turn.world.tcp().doors.remove(container).into_iter().flat_map(|doors| doors.keys) {
        turn.remove(key);
    }
}

/// Has the published ports of a container lead to another address of it from now on.
pub fn turn_to<W: HasTcp>(turn: &mut Turn<'_, W>, target: Target) {
    if let Some(doors) = turn.world.tcp().doors.get(&target.container) {
        *doors.target.borrow_mut() = target;
    }
}

impl Door {
    fn accept<W: HasTcp>(&self, turn: &mut Turn<'_, W>) -> Fate {
        accept(&self.listener, turn, |turn, near, client| {
            let Some((account, seen)) = self.target.borrow().plan(client) else { return relay::reset(near) };
            let may = turn.world.tcp().accounts.may_open(account);
            // Nothing of a client's may be stuck on its way when it is turned away.
            match may.then(|| connect(seen, SocketAddr::new(account, self.port))) {
                Some(Ok(socket)) => {
                    let waiting = Waiting::Accepted(near);
                    // The accepted socket is reset if that fails.
                    let _ = relay::open(turn, Opening { account, socket, waiting });
                }
                _ => relay::reset(near),
            }
        })
    }
}

/// Begins to connect to a container.
fn connect(seen: Seen, to: SocketAddr) -> io::Result<OwnedFd> {
    if let Seen::Client(client) = seen {
        // The client's port may be taken in `R` though the client uses it once only: for two published ports
        // of one container's port. Then another port of the client is shown.
        for port in [client.port(), 0] {
            let socket = transparent(to)?;
            if port == 0 {
                inet::set_bind_address_only(&socket)?;
            } else {
                rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
            }
            let bound = rustix::net::bind(&socket, &SocketAddr::new(client.ip(), port));
            match bound.and_then(|()| rustix::net::connect(&socket, &to)) {
                Ok(()) | Err(Errno::INPROGRESS) => return Ok(socket),
                Err(Errno::ADDRINUSE | Errno::ADDRNOTAVAIL) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    // The kernel takes the gateway's address, which is the one that this namespace has on that network.
    let socket = transparent(to)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Makes a socket whose packets the ruleset of `R` recognises.
fn transparent(to: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(to)?;
    inet::set_transparent(&socket, if to.is_ipv4() { Family::V4 } else { Family::V6 })?;
    set_relayed(&socket)?;
    Ok(socket)
}

impl<W: HasTcp> Source<W> for Door {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        self.accept(turn)
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        self.accept(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_client_where_it_can() {
        let v4 = Way { address: Ipv4Addr::new(172, 17, 0, 2), gateway: Ipv4Addr::new(172, 17, 0, 1) };
        let v6 = Way { address: "fd00::2".parse().unwrap(), gateway: "fd00::1".parse().unwrap() };
        let both = Target { container: "c".to_owned(), v4: Some(v4), v6: Some(v6) };
        let only4 = Target { v6: None, ..both.clone() };
        let plan = |target: &Target, client: &str| {
            let client: SocketAddr = client.parse().unwrap();
            target.plan(client).map(|(address, seen)| match seen {
                Seen::Client(shown) => {
                    assert_eq!(shown, client);
                    format!("{address} itself")
                }
                Seen::Gateway(gateway) => format!("{address} {gateway}"),
            })
        };
        assert_eq!(plan(&both, "192.0.2.9:5000").unwrap(), "172.17.0.2 itself");
        assert_eq!(plan(&both, "127.0.0.1:5000").unwrap(), "172.17.0.2 172.17.0.1");
        assert_eq!(plan(&both, "127.9.9.9:5000").unwrap(), "172.17.0.2 172.17.0.1");
        assert_eq!(plan(&both, "172.17.0.2:5000").unwrap(), "172.17.0.2 172.17.0.1");
        assert_eq!(plan(&both, "[2001:db8::9]:5000").unwrap(), "fd00::2 itself");
        assert_eq!(plan(&both, "[::1]:5000").unwrap(), "fd00::2 fd00::1");
        assert_eq!(plan(&both, "[fe80::1]:5000").unwrap(), "fd00::2 fd00::1");
        assert_eq!(plan(&only4, "[2001:db8::9]:5000").unwrap(), "172.17.0.2 172.17.0.1");
        let none = Target { v4: None, ..only4 };
        assert_eq!(plan(&none, "192.0.2.9:5000"), None);
    }
}
