//! Who is where: what the threads of the data plane must know about networks and containers.
//!
//! Written by the router's main thread alone, when a container joins or leaves; read by the others for every new
//! connection, flow and question. Nothing of it is on disk.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::network::{Cidr, Network};

/// Networks, and the containers on them.
#[derive(Debug, Default)]
pub struct Directory {
    networks: BTreeMap<String, Domain>,
    by_address: HashMap<IpAddr, (String, String)>,
}

/// A network and who is on it.
#[derive(Debug)]
pub struct Domain {
    /// The network's name.
    pub name: String,
    /// Whether it reaches nothing but itself.
    pub internal: bool,
    /// Whether the gateway's address means the loopback addresses of the host.
    pub host_loopback: bool,
    /// The greatest packet.
    pub mtu: usize,
    /// Its blocks of addresses and the gateway's address in each.
    pub subnets: Vec<(Cidr, IpAddr)>,
    /// Who is on it, by the container's id.
    pub members: BTreeMap<String, Member>,
}

/// A container on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// The container's id.
    pub container: String,
    /// Its IPv4 address.
    pub ip: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ip6: Option<Ipv6Addr>,
    /// Every name it answers to on this network.
    pub names: Vec<String>,
    /// Its host name, which others find it by if nobody has that as a name.
    pub hostname: String,
    /// Names that only this container uses, and the containers (by id) that it means with them.
    pub links: Vec<(String, String)>,
    /// The nameservers to ask in place of the host's.
    pub dns: Vec<IpAddr>,
}

impl Member {
    /// Returns its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.ip.map(IpAddr::from).into_iter().chain(self.ip6.map(IpAddr::from))
    }
}

impl Domain {
    /// Returns the gateway's address in the family of `address`.
    pub fn gateway(&self, address: IpAddr) -> Option<IpAddr> {
        let mut gateways = self.gateways();
        gateways.find(|gateway| gateway.is_ipv4() == address.is_ipv4())
    }

    /// Returns the gateway's addresses.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        self.subnets.iter().map(|(_, gateway)| *gateway)
    }

    /// Tells whether `address` is of this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.subnets.iter().any(|(subnet, _)| subnet.contains(address))
    }
}

impl Directory {
    /// Notes that a container has joined a network, in place of what was known about both.
    pub fn join(&mut self, network: &Network, member: Member) {
        self.leave(&member.container, &network.id);
        for address in member.addresses() {
            self.by_address.insert(address, (network.id.clone(), member.container.clone()));
        }
        let domain = self.networks.entry(network.id.clone()).or_insert_with(|| Domain {
            name: network.name.clone(),
            internal: network.internal,
            host_loopback: network.reaches_host_loopback(),
            mtu: usize::try_from(network.mtu()).unwrap_or(1500),
            subnets: network.subnets.iter().map(|subnet| (subnet.subnet, subnet.gateway)).collect(),
            members: BTreeMap::new(),
        });
        domain.members.insert(member.container.clone(), member);
    }

    /// Notes that a container has left a network; returns what it was there.
    pub fn leave(&mut self, container: &str, network_id: &str) -> Option<Member> {
        let domain = self.networks.get_mut(network_id)?;
        let member = domain.members.remove(container)?;
        if domain.members.is_empty() {
            self.networks.remove(network_id);
        }
        for address in member.addresses() {
            self.by_address.remove(&address);
        }
        Some(member)
    }

    /// Returns the containers on a network that have links to this one.
    pub fn linked_to(&self, container: &str, network_id: &str) -> Vec<String> {
        let members = self.networks.get(network_id).into_iter().flat_map(|domain| domain.members.values());
        let links = |member: &&Member| member.links.iter().any(|(_, target)| target == container);
        members.filter(links).map(|member| member.container.clone()).collect()
    }

    /// Gives a container other names on a network; tells whether it is there.
    pub fn rename(&mut self, container: &str, network_id: &str, names: Vec<String>) -> bool {
        let member = self.networks.get_mut(network_id).and_then(|domain| domain.members.get_mut(container));
        member.map(|member| member.names = names).is_some()
    }

    /// Returns the container that has an address, and the network where it has it.
    pub fn at(&self, address: IpAddr) -> Option<(&Domain, &Member)> {
        let (network, container) = self.by_address.get(&address)?;
        let domain = self.networks.get(network)?;
        Some((domain, domain.members.get(container)?))
    }

    /// Returns what a container is on each of its networks.
    pub fn places<'a>(&'a self, container: &'a str) -> impl Iterator<Item = (&'a Domain, &'a Member)> {
        self.networks.values().filter_map(move |domain| Some((domain, domain.members.get(container)?)))
    }

    /// Returns all networks that have containers.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.networks.values()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::network::{Driver, Subnet};

    /// A network whose gateway is the first address of each of these blocks.
    pub(crate) fn network(name: &str, blocks: &[&str], internal: bool) -> Network {
        let subnet = |block: &&str| {
            let subnet: Cidr = block.parse().unwrap();
            let gateway = match subnet.first() {
                IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) + 1).into(),
                IpAddr::V6(first) => Ipv6Addr::from(u128::from(first) + 1).into(),
            };
            Subnet { subnet, gateway, ip_range: None, aux: BTreeMap::new() }
        };
        Network {
            id: name.repeat(4),
            name: name.to_owned(),
            created: String::new(),
            driver: Driver::Bridge,
            subnets: blocks.iter().map(subnet).collect(),
            internal,
            ipv6: false,
            attachable: false,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        }
    }

    #[test]
    fn knows_who_is_where() {
        let (web, db) =
            (network("web", &["10.1.0.0/24", "fd01::/64"], false), network("db", &["10.2.0.0/24"], true));
        let mut directory = Directory::default();
        let member = Member {
            container: "c1".to_owned(),
            ip: Some(Ipv4Addr::new(10, 1, 0, 2)),
            ip6: Some("fd01::2".parse().unwrap()),
            ..Member::default()
        };
        directory.join(&web, member.clone());
        directory.join(&db, Member { ip: Some(Ipv4Addr::new(10, 2, 0, 2)), ip6: None, ..member.clone() });
        let (domain, found) = directory.at("fd01::2".parse().unwrap()).unwrap();
        assert_eq!((domain.name.as_str(), found), ("web", &member));
        assert_eq!(domain.gateway("::".parse().unwrap()), Some("fd01::1".parse().unwrap()));
        assert_eq!(directory.places("c1").count(), 2);
        assert_eq!(directory.at("10.2.0.3".parse().unwrap()).map(|(_, member)| member), None);
        // It comes back with other addresses.
        directory.join(&web, Member { ip: Some(Ipv4Addr::new(10, 1, 0, 3)), ip6: None, ..member });
        assert!(directory.at("10.1.0.2".parse().unwrap()).is_none());
        assert!(directory.at("10.1.0.3".parse().unwrap()).is_some());
        directory.leave("c1", &web.id);
        directory.leave("c1", &db.id);
        assert_eq!((directory.domains().count(), directory.by_address.len()), (0, 0));
    }
}
