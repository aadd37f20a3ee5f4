//! The network namespace of all networks, `R`, and ways into those of containers.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result};
use nix::sched::CloneFlags;
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::ruleset::{self, Holding, LOCAL_TABLE, LOOPBACK, TABLE, mark};
use crate::sys::netlink::route::{INET, INET6};
use crate::sys::netlink::{Refused, Socket};

/// The router's namespace, which the thread that made this is in, and the kernel's ear there.
#[derive(Debug)]
pub(super) struct Space {
    namespace: OwnedFd,
    /// Devices, addresses and routes.
    pub(super) route: Socket,
    /// Packet rules.
    pub(super) filter: Socket,
}

impl Space {
    /// Moves this thread into the namespace `existing`, or a new one, and makes it what it has to be. The
    /// thread needs every capability over its user namespace. The file `memory` says between routers how packets
    /// are held here.
    pub(super) fn enter(existing: Option<OwnedFd>, memory: &Path) -> Result<Self> {
        let namespace = if let Some(namespace) = existing {
            enter(namespace.as_fd()).context("enter the network namespace of the networks")?;
            namespace
        } else {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
            File::open("/proc/thread-self/ns/net").context("open the network namespace")?.into()
        };
        let mut space = Self {
            namespace,
            route: Socket::route().context("open a netlink socket")?,
            filter: Socket::netfilter().context("open a netlink socket for packet rules")?,
        };
        settings().context("set up the network namespace")?;
        space.routes().context("set up the routes to the router")?;
        space.rules(memory).context("set up the packet rules")?;
        Ok(space)
    }

    /// Sends what is marked to this machine itself.
    fn routes(&mut self) -> Result<(), Refused> {
        self.route.apply(|batch| batch.switch_on(LOOPBACK))?;
        for family in [INET, INET6] {
            let mut batch = self.route.batch();
            batch.add_mark_rule(family, mark::LOCAL, LOCAL_TABLE);
            batch.add_local_route(family, LOCAL_TABLE, LOOPBACK);
            match self.route.perform(batch) {
                // It is there from the router before.
                Err(refused) if refused.errno == Errno::EXIST => {}
                // A kernel without IPv6.
                Err(_) if family == INET6 => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Writes the packet rules, with the best way of holding packets that this kernel has.
    ///
    /// A kernel that does not know a way looks for a module, every time: that takes longer than all the rest of
    /// a router's start. So the way that was found is tried first.
    fn rules(&mut self, memory: &Path) -> Result<(), Refused> {
        let known = fs::read_to_string(memory).ok().and_then(|name| Holding::named(name.trim()));
        let others = Holding::ALL.into_iter().filter(|holding| Some(*holding) != known);
        let mut result = Ok(());
        for holding in known.into_iter().chain(others) {
            let mut transaction = self.filter.transaction(TABLE);
            ruleset::lay_out(&mut transaction, holding);
            result = self.filter.commit(transaction);
            match &result {
                Ok(()) if holding == Holding::None => {
                    eprintln!(
                        "router: this kernel has no NFQUEUE: connections to closed ports are accepted, and closed"
                    );
                    return Ok(());
                }
                Ok(()) => {
                    if Some(holding) != known {
                        // Without it the next router asks again.
                        let _ = fs::write(memory, holding.name());
                    }
                    return Ok(());
                }
                // What is not known is not found.
                Err(refused) if refused.errno == Errno::NOENT => {}
                Err(_) => break,
            }
        }
        result
    }

    /// Returns the namespace.
    pub(super) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Does something in another network namespace. This thread is back in its own afterwards.
    pub(super) fn within<T>(&self, namespace: BorrowedFd<'_>, act: impl FnOnce() -> Result<T>) -> Result<T> {
        enter(namespace).context("enter the container's network namespace")?;
        let result = act();
        if let Err(error) = enter(self.namespace.as_fd()) {
            // Whatever came next would be done to the wrong network. Another router takes over.
            eprintln!("router: return to the router's network namespace: {error}");
            std::process::abort();
        }
        result
    }
}

fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// Sets what a new namespace has from the host, and what must not depend on it.
fn settings() -> Result<()> {
    let both = |name: &str, value: &str| -> Result<()> {
        for device in ["all", "default"] {
            set(&format!("ipv4/conf/{device}/{name}"), value)?;
        }
        Ok(())
    };
    set("ipv4/ip_forward", "0")?;
    // Packets from everywhere come in by the loopback device's table of routes.
    both("rp_filter", "0")?;
    both("arp_ignore", "1")?;
    both("proxy_arp", "0")?;
    both("log_martians", "0")?;
    both("route_localnet", "0")?;
    for (name, value) in [("all/forwarding", "0"), ("default/accept_ra", "0"), ("default/disable_ipv6", "1")]
    {
        optional(&format!("ipv6/conf/{name}"), value)?;
    }
    // Nothing in here is far away: to measure a path and to keep its pace, as the host may do, costs a third of
    // the router's time in bulk transfers.
    set("ipv4/tcp_congestion_control", "reno")?;
    // Bridges have their own switches for this, but this one is asked first.
    for name in ["iptables", "ip6tables", "arptables"] {
        optional(&format!("bridge/bridge-nf-call-{name}"), "0")?;
    }
    Ok(())
}

/// Sets something that not every kernel has.
pub(super) fn optional(name: &str, value: &str) -> Result<()> {
    match set(name, value) {
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::NotFound) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Sets one of the numbers in `/proc/sys/net` of the namespace that this thread is in, unless it is that
/// already.
fn set(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{name}");
    let read = || -> io::Result<bool> {
        let mut found = [0; 16];
        let length = File::open(&path)?.read(&mut found)?;
        Ok(found[..length].trim_ascii() == value.as_bytes())
    };
    (|| {
        if !read()? {
            OpenOptions::new().write(true).open(&path)?.write_all(value.as_bytes())?;
        }
        Ok::<(), io::Error>(())
    })()
    .with_context(|| format!("write {value} to {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_how_packets_are_held() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("holding");
        fs::write(&memory, "by magic").unwrap();
        let inner = memory.clone();
        // A thread of its own, because it leaves its namespace.
        let entered = std::thread::spawn(move || {
            let first = Space::enter(None, &inner).map_err(|error| format!("{error:#}"))?;
            // And what is remembered works.
            Space::enter(Some(first.namespace.try_clone().unwrap()), &inner).map(drop).unwrap();
            Ok::<(), String>(())
        });
        match entered.join().unwrap() {
            Ok(()) => {
                let found = fs::read_to_string(&memory).unwrap();
                assert!(found == "by magic" || Holding::named(&found).is_some(), "{found}");
            }
            Err(error) => println!("skipped: {error}"),
        }
    }
}
