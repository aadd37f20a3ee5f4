//! Bridges, and the pairs of devices that plug containers into them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result};
use rustix::io::Errno;

use super::address::{broadcast, mac_of};
use super::ruleset::{self, TABLE};
use super::space::{Space, optional};
use crate::network::{Mac, Network};
use crate::sys::netlink::Socket;
use crate::sys::netlink::route::{INET, INET6, Link, Veth};

/// Makes the bridge of a network and its rules, or takes over what a router before has left, and returns the
/// number of the bridge.
pub(super) fn open_bridge(space: &mut Space, network: &Network) -> Result<u32> {
    let name = network.bridge();
    let gateway = network.subnets.first().map(|subnet| subnet.gateway);
    let address = gateway.map_or([2, 0, 0, 0, 0, 1], |gateway| mac_of(gateway).0);
    match space.route.apply(|batch| batch.add_bridge(&name, address, network.mtu())) {
        Err(refused) if refused.errno == Errno::EXIST => {}
        result => result.with_context(|| format!("make bridge {name}"))?,
    }
    let device = space.route.link(&name).with_context(|| format!("look at bridge {name}"))?.index;
    if network.subnet6().is_some() {
        optional(&format!("ipv6/conf/{name}/disable_ipv6"), "0")?;
    }
    let mut batch = space.route.batch();
    for subnet in &network.subnets {
        batch.add_address(device, subnet.gateway, subnet.subnet.prefix, broadcast(subnet.subnet));
    }
    space.route.perform(batch).with_context(|| format!("give addresses to bridge {name}"))?;
    let mut rules = space.filter.transaction(TABLE);
    ruleset::add(&mut rules, network, device);
    space
        .filter
        .commit(rules)
        .with_context(|| format!("add the packet rules of network {}", network.name))?;
    Ok(device)
}

/// Removes the bridge of a network and its rules.
pub(super) fn close_bridge(space: &mut Space, network: &Network, device: u32) -> Result<()> {
    let mut rules = space.filter.transaction(TABLE);
    ruleset::remove(&mut rules, network, device);
    space
        .filter
        .commit(rules)
        .with_context(|| format!("remove the packet rules of network {}", network.name))?;
    let name = network.bridge();
    space.route.apply(|batch| batch.delete_link(&name)).with_context(|| format!("remove bridge {name}"))
}

/// What a container is to get on one network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plug<'a> {
    pub(super) network: &'a Network,
    /// The number of the network's bridge.
    pub(super) bridge: u32,
    /// The name of the device in the router's namespace.
    pub(super) name: &'a str,
    /// The container's network namespace.
    pub(super) namespace: BorrowedFd<'a>,
    /// The name of the device in the container, if it matters.
    pub(super) interface: Option<&'a str>,
    pub(super) mac: Mac,
    /// An address of each of the network's subnets, in their order.
    pub(super) addresses: &'a [IpAddr],
    pub(super) default_route: bool,
}

impl Plug<'_> {
    /// Plugs the container in, and returns the name of its device.
    pub(super) fn perform(&self, space: &mut Space) -> Result<String> {
        let mut route = space.within(self.namespace, open_route)?;
        let interface = match self.interface {
            Some(name) => name.to_owned(),
            None => free_name(&route.links().context("list the container's devices")?),
        };
        self.make_pair(space, &interface)?;
        let configured = space.within(self.namespace, || self.configure(&mut route, &interface));
        if configured.is_err() {
            unplug(space, self.name);
        }
        configured?;
        Ok(interface)
    }

    fn make_pair(&self, space: &mut Space, interface: &str) -> Result<()> {
        let veth = Veth {
            name: self.name,
            master: self.bridge,
            mtu: self.network.mtu(),
            peer: interface,
            peer_address: self.mac.0,
            peer_namespace: self.namespace,
        };
        let mut result = space.route.apply(|batch| batch.add_veth(&veth));
        if result.as_ref().is_err_and(|refused| refused.errno == Errno::EXIST) {
            // The same container's, from a router or a supervisor that was killed.
            unplug(space, self.name);
            result = space.route.apply(|batch| batch.add_veth(&veth));
        }
        result.with_context(|| format!("make device {interface} of the container"))?;
        if !self.network.allows_neighbours() {
            let made = space
                .route
                .link(self.name)
                .and_then(|link| space.route.apply(|batch| batch.isolate(link.index)));
            if made.is_err() {
                unplug(space, self.name);
            }
            made.context("keep the container from its neighbours")?;
        }
        Ok(())
    }

    /// Gives the device in the container, whose namespace this thread is in, what it needs.
    fn configure(&self, route: &mut Socket, interface: &str) -> Result<()> {
        let has_six = self.network.subnet6().is_some();
        if has_six {
            optional(&format!("ipv6/conf/{interface}/disable_ipv6"), "0")?;
        } else {
            // An address that leads nowhere does no harm.
            let _ = optional(&format!("ipv6/conf/{interface}/disable_ipv6"), "1");
        }
        // There is one router on the network, and it does not advertise itself.
        let _ = optional(&format!("ipv6/conf/{interface}/accept_ra"), "0");
        let device = route.link(interface).with_context(|| format!("look at device {interface}"))?.index;
        let mut batch = route.batch();
        batch.switch_on(device);
        for (subnet, address) in self.network.subnets.iter().zip(self.addresses) {
            batch.add_address(device, *address, subnet.subnet.prefix, broadcast(subnet.subnet));
        }
        if self.default_route && !self.network.internal {
            for subnet in &self.network.subnets {
                batch.add_default_route(subnet.gateway, device);
            }
        }
        route.perform(batch).with_context(|| format!("give addresses and routes to device {interface}"))
    }

    /// Tells whether everything is there already, from a router that died.
    pub(super) fn is_done(&self, space: &mut Space) -> Result<bool> {
        let Some(interface) = self.interface else { return Ok(false) };
        match space.route.link(self.name) {
            Ok(link) if link.kind == "veth" && link.master == Some(self.bridge) && link.is_up => {}
            _ => return Ok(false),
        }
        let mut route = space.within(self.namespace, open_route)?;
        let Ok(link) = route.link(interface) else { return Ok(false) };
        let found = route.addresses().context("list the container's addresses")?;
        let has =
            |address: &IpAddr| found.iter().any(|(index, found, _)| *index == link.index && found == address);
        Ok(link.is_up && self.addresses.iter().all(has))
    }

    /// Removes the container's device of that name, which leads to a namespace that is not the router's.
    pub(super) fn remove_stale(&self, space: &Space) -> Result<()> {
        let Some(interface) = self.interface else { return Ok(()) };
        let mut route = space.within(self.namespace, open_route)?;
        match route.link(interface) {
            Ok(link) if link.kind == "veth" => route
                .apply(|batch| batch.delete_link(interface))
                .with_context(|| format!("remove device {interface}")),
            _ => Ok(()),
        }
    }
}

fn open_route() -> Result<Socket> {
    Socket::route().context("open a netlink socket")
}

/// Makes a network's gateway, by a device of the container's, the way to everywhere in place of any other.
pub(super) fn route_by(
    space: &Space,
    namespace: BorrowedFd<'_>,
    way: Option<(&Network, &str)>,
) -> Result<()> {
    let mut route = space.within(namespace, open_route)?;
    for (family, four) in [(INET, true), (INET6, false)] {
        let stays = way
            .is_some_and(|(network, _)| network.subnets.iter().any(|subnet| subnet.subnet.is_ipv4() == four));
        if !stays {
            // It is not found once it is gone, or if there never was one.
            let _ = route.apply(|batch| batch.delete_default_route(family));
        }
    }
    let Some((network, interface)) = way else { return Ok(()) };
    let device = route.link(interface).with_context(|| format!("look at device {interface}"))?.index;
    let mut batch = route.batch();
    for subnet in &network.subnets {
        batch.add_default_route(subnet.gateway, device);
    }
    route.perform(batch).context("set the container's default route")
}

/// Removes the device called `name` in the router's namespace, and with it the container's. It is gone already
/// if the container's namespace is.
pub(super) fn unplug(space: &mut Space, name: &str) {
    match space.route.apply(|batch| batch.delete_link(name)) {
        Err(refused) if refused.errno != Errno::NODEV => eprintln!("router: remove device {name}: {refused}"),
        _ => {}
    }
}

/// Returns the first of `eth0`, `eth1`, … that no device is called.
fn free_name(links: &[Link]) -> String {
    let taken: BTreeSet<&str> = links.iter().map(|link| link.name.as_str()).collect();
    let mut number = 0;
    loop {
        let name = format!("eth{number}");
        if !taken.contains(name.as_str()) {
            return name;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_get_the_first_free_name() {
        let link = |name: &str| Link {
            index: 1,
            name: name.to_owned(),
            address: Vec::new(),
            master: None,
            kind: String::new(),
            is_up: true,
        };
        assert_eq!(free_name(&[link("lo")]), "eth0");
        assert_eq!(free_name(&[link("lo"), link("eth0"), link("eth2")]), "eth1");
    }
}
