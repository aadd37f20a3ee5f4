//! Devices, addresses, routes and routing rules (rtnetlink(7)).

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Batch, Refused, Socket, attributes, flag, text_of, u32_at};

const AF_BRIDGE: u8 = 7;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BR_NF_CALL_IPTABLES: u16 = 36;
const IFLA_BR_NF_CALL_IP6TABLES: u16 = 37;
const IFLA_BR_NF_CALL_ARPTABLES: u16 = 38;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFF_UP: u32 = 1;

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address; empty if it has none.
    pub address: Vec<u8>,
    /// The number of the bridge that it is a port of.
    pub master: Option<u32>,
    /// What it is (`veth`, `bridge`); empty for a device of a driver.
    pub kind: String,
    /// Whether it is switched on.
    pub is_up: bool,
}

impl Link {
    fn parse(payload: &[u8]) -> Option<Self> {
        let mut link = Self {
            index: u32_at(payload, 4)?,
            name: String::new(),
            address: Vec::new(),
            master: None,
            kind: String::new(),
            is_up: u32_at(payload, 8)? & IFF_UP != 0,
        };
        for (kind, value) in attributes(payload.get(16..)?) {
            match kind {
                libc::IFLA_IFNAME => link.name = text_of(value),
                libc::IFLA_ADDRESS => link.address = value.to_vec(),
                libc::IFLA_MASTER => link.master = u32_at(value, 0),
                libc::IFLA_LINKINFO => {
                    let found = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                    link.kind = found.map(|(_, value)| text_of(value)).unwrap_or_default();
                }
                _ => {}
            }
        }
        Some(link)
    }
}

/// A pair of devices of which one leads to the other.
#[derive(Debug, Clone, Copy)]
pub struct Veth<'a> {
    /// The name of the end in this namespace.
    pub name: &'a str,
    /// The bridge that this end is a port of.
    pub master: u32,
    /// The greatest packet.
    pub mtu: u32,
    /// The name of the other end.
    pub peer: &'a str,
    /// The hardware address of the other end.
    pub peer_address: [u8; 6],
    /// The namespace of the other end.
    pub peer_namespace: BorrowedFd<'a>,
}

/// Returns a header `ifinfomsg`.
fn link_header(family: u8, index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

impl Batch {
    /// Makes a bridge, switched on, that no packet rules of bridges see. Its hardware address is set so
    /// that it stays the same whatever ports come and go.
    pub fn add_bridge(&mut self, name: &str, address: [u8; 6], mtu: u32) {
        let header = link_header(0, 0, IFF_UP, IFF_UP);
        self.add(libc::RTM_NEWLINK, flag::CREATE | flag::EXCLUSIVE, &header, |link| {
            link.text(libc::IFLA_IFNAME, name).bytes(libc::IFLA_ADDRESS, &address).u32(libc::IFLA_MTU, mtu);
            link.nest(libc::IFLA_LINKINFO, |info| {
                info.text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, |bridge| {
                    bridge
                        .u8(IFLA_BR_MCAST_SNOOPING, 0)
                        .u8(IFLA_BR_NF_CALL_IPTABLES, 0)
                        .u8(IFLA_BR_NF_CALL_IP6TABLES, 0)
                        .u8(IFLA_BR_NF_CALL_ARPTABLES, 0);
                });
            });
        });
    }

    /// Makes a pair of devices: this end a port of a bridge and switched on, the other in its namespace and
    /// off.
    pub fn add_veth(&mut self, veth: &Veth<'_>) {
        let header = link_header(0, 0, IFF_UP, IFF_UP);
        let namespace = veth.peer_namespace.as_raw_fd().cast_unsigned();
        self.add(libc::RTM_NEWLINK, flag::CREATE | flag::EXCLUSIVE, &header, |link| {
            link.text(libc::IFLA_IFNAME, veth.name)
                .u32(libc::IFLA_MTU, veth.mtu)
                .u32(libc::IFLA_MASTER, veth.master)
                .nest(libc::IFLA_LINKINFO, |info| {
                    info.text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
                        data.nest(VETH_INFO_PEER, |peer| {
                            peer.raw(&link_header(0, 0, 0, 0))
                                .text(libc::IFLA_IFNAME, veth.peer)
                                .bytes(libc::IFLA_ADDRESS, &veth.peer_address)
                                .u32(libc::IFLA_MTU, veth.mtu)
                                .u32(libc::IFLA_NET_NS_FD, namespace);
                        });
                    });
                });
        });
    }

    /// Keeps a port of a bridge from the bridge's other ports that are kept so.
    pub fn isolate(&mut self, index: u32) {
        self.add(libc::RTM_SETLINK, 0, &link_header(AF_BRIDGE, index, 0, 0), |link| {
            link.nest(libc::IFLA_PROTINFO, |port| {
                port.u8(IFLA_BRPORT_ISOLATED, 1);
            });
        });
    }

    /// Switches a device on.
    pub fn switch_on(&mut self, index: u32) {
        self.add(libc::RTM_NEWLINK, 0, &link_header(0, index, IFF_UP, IFF_UP), |_| {});
    }

    /// Removes a device, and its other end if it is one of a pair.
    pub fn delete_link(&mut self, name: &str) {
        self.add(libc::RTM_DELLINK, 0, &link_header(0, 0, 0, 0), |link| {
            link.text(libc::IFLA_IFNAME, name);
        });
    }

    /// Gives an address to a device. An IPv6 address is used at once, with no question to the others whether
    /// it is theirs.
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8, broadcast: Option<IpAddr>) {
        let (family, bytes) = octets(address);
        // IFA_F_NODAD is an error for nobody: IPv4 ignores it.
        let flags = if address.is_ipv6() { u8::try_from(libc::IFA_F_NODAD).unwrap_or(0) } else { 0 };
        let mut header = [family, prefix, flags, 0, 0, 0, 0, 0];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        self.add(libc::RTM_NEWADDR, flag::CREATE | flag::REPLACE, &header, |attributes| {
            attributes.bytes(libc::IFA_LOCAL, &bytes).bytes(libc::IFA_ADDRESS, &bytes);
            if let Some(broadcast) = broadcast {
                attributes.bytes(libc::IFA_BROADCAST, &octets(broadcast).1);
            }
        });
    }

    /// Sends everything that has no better route to `gateway`, by the device `index`.
    pub fn add_default_route(&mut self, gateway: IpAddr, index: u32) {
        let (family, bytes) = octets(gateway);
        let header = route_header(family, libc::RT_TABLE_MAIN, libc::RTN_UNICAST);
        self.add(libc::RTM_NEWROUTE, flag::CREATE | flag::REPLACE, &header, |route| {
            route.bytes(libc::RTA_GATEWAY, &bytes).u32(libc::RTA_OIF, index);
        });
    }

    /// Takes away the way for everything that has no better route.
    pub fn delete_default_route(&mut self, family: u8) {
        let header = route_header(family, libc::RT_TABLE_MAIN, libc::RTN_UNICAST);
        self.add(libc::RTM_DELROUTE, 0, &header, |_| {});
    }

    /// Says that in `table` every address is this machine's own.
    pub fn add_local_route(&mut self, family: u8, table: u8, loopback: u32) {
        let header = route_header(family, table, libc::RTN_LOCAL);
        self.add(libc::RTM_NEWROUTE, flag::CREATE | flag::REPLACE, &header, |route| {
            route.u32(libc::RTA_OIF, loopback);
        });
    }

    /// Looks for the way of packets with `mark` in `table`.
    pub fn add_mark_rule(&mut self, family: u8, mark: u32, table: u8) {
        const FRA_PRIORITY: u16 = 6;
        const FRA_FWMARK: u16 = 10;
        const FR_ACT_TO_TBL: u8 = 1;
        let header = [family, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0];
        self.add(libc::RTM_NEWRULE, flag::CREATE | flag::EXCLUSIVE, &header, |rule| {
            rule.u32(FRA_PRIORITY, 100).u32(FRA_FWMARK, mark);
        });
    }
}

/// Returns a header `rtmsg` for a route to everywhere.
fn route_header(family: u8, table: u8, kind: u8) -> [u8; 12] {
    const RTPROT_BOOT: u8 = 3;
    let scope = if kind == libc::RTN_LOCAL { libc::RT_SCOPE_HOST } else { libc::RT_SCOPE_UNIVERSE };
    [family, 0, 0, 0, table, RTPROT_BOOT, scope, kind, 0, 0, 0, 0]
}

/// Returns the family of an address and its bytes.
fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (INET, address.octets().to_vec()),
        IpAddr::V6(address) => (INET6, address.octets().to_vec()),
    }
}

/// The number of IPv4 (`AF_INET`).
pub const INET: u8 = 2;
/// The number of IPv6 (`AF_INET6`).
pub const INET6: u8 = 10;

fn address_of(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        INET => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        INET6 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

impl Socket {
    /// Returns all devices of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, Refused> {
        let mut found = Vec::new();
        let mut batch = self.batch();
        batch.add(libc::RTM_GETLINK, flag::DUMP, &link_header(0, 0, 0, 0), |_| {});
        self.ask(batch, |kind, payload| {
            if kind == libc::RTM_NEWLINK {
                found.extend(Link::parse(payload));
            }
        })?;
        Ok(found)
    }

    /// Returns the device called `name`.
    pub fn link(&mut self, name: &str) -> Result<Link, Refused> {
        let mut found = None;
        let mut batch = self.batch();
        batch.add(libc::RTM_GETLINK, 0, &link_header(0, 0, 0, 0), |link| {
            link.text(libc::IFLA_IFNAME, name);
        });
        self.ask(batch, |kind, payload| {
            if kind == libc::RTM_NEWLINK {
                found = Link::parse(payload);
            }
        })?;
        found.ok_or_else(|| rustix::io::Errno::NODEV.into())
    }

    /// Returns the addresses of the namespace: device, address, length of the prefix.
    pub fn addresses(&mut self) -> Result<Vec<(u32, IpAddr, u8)>, Refused> {
        let mut found = Vec::new();
        let mut batch = self.batch();
        batch.add(libc::RTM_GETADDR, flag::DUMP, &[0; 8], |_| {});
        self.ask(batch, |kind, payload| {
            if kind == libc::RTM_NEWADDR {
                found.extend(parse_address(payload));
            }
        })?;
        Ok(found)
    }

    /// Returns the destinations of the routes in the main table: the first address and the length of the
    /// prefix. Routes to everywhere are left out.
    pub fn destinations(&mut self) -> Result<Vec<(IpAddr, u8)>, Refused> {
        let mut found = Vec::new();
        let mut batch = self.batch();
        batch.add(libc::RTM_GETROUTE, flag::DUMP, &[0; 12], |_| {});
        self.ask(batch, |kind, payload| {
            if kind == libc::RTM_NEWROUTE {
                found.extend(parse_destination(payload));
            }
        })?;
        Ok(found)
    }

    /// Makes a batch, and performs it.
    pub fn apply(&mut self, fill: impl FnOnce(&mut Batch)) -> Result<(), Refused> {
        let mut batch = self.batch();
        fill(&mut batch);
        self.perform(batch)
    }
}

fn parse_address(payload: &[u8]) -> Option<(u32, IpAddr, u8)> {
    let (family, prefix, index) = (*payload.first()?, *payload.get(1)?, u32_at(payload, 4)?);
    let mut address = None;
    for (kind, value) in attributes(payload.get(8..)?) {
        // IPv4 has its own address as LOCAL, and as ADDRESS the other end's if there is one.
        if kind == libc::IFA_LOCAL || (kind == libc::IFA_ADDRESS && address.is_none()) {
            address = address_of(family, value);
        }
    }
    Some((index, address?, prefix))
}

fn parse_destination(payload: &[u8]) -> Option<(IpAddr, u8)> {
    let (family, prefix, table) = (*payload.first()?, *payload.get(1)?, *payload.get(4)?);
    let kind = *payload.get(7)?;
    if table != libc::RT_TABLE_MAIN || kind != libc::RTN_UNICAST || prefix == 0 {
        return None;
    }
    let destination = attributes(payload.get(12..)?).find(|(kind, _)| *kind == libc::RTA_DST)?;
    Some((address_of(family, destination.1)?, prefix))
}

#[cfg(test)]
mod tests {
    use super::super::Attributes;
    use super::*;

    #[test]
    fn reads_links() {
        let mut payload = link_header(0, 5, IFF_UP, 0).to_vec();
        let mut attributes = Attributes(&mut payload);
        attributes
            .text(libc::IFLA_IFNAME, "veth1")
            .bytes(libc::IFLA_ADDRESS, &[2; 6])
            .u32(libc::IFLA_MASTER, 3);
        attributes.nest(libc::IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "veth");
        });
        let link = Link::parse(&payload).unwrap();
        assert_eq!((link.index, link.name.as_str(), link.kind.as_str()), (5, "veth1", "veth"));
        assert_eq!((link.address, link.master, link.is_up), (vec![2; 6], Some(3), true));
        assert_eq!(Link::parse(&payload[..15]), None);
    }

    #[test]
    fn reads_addresses_and_routes() {
        let mut payload = vec![INET, 16, 0, 0, 7, 0, 0, 0];
        Attributes(&mut payload)
            .bytes(libc::IFA_ADDRESS, &[10, 0, 0, 2])
            .bytes(libc::IFA_LOCAL, &[10, 0, 0, 1]);
        assert_eq!(parse_address(&payload), Some((7, "10.0.0.1".parse().unwrap(), 16)));
        let mut payload = route_header(INET, libc::RT_TABLE_MAIN, libc::RTN_UNICAST).to_vec();
        payload[1] = 24;
        Attributes(&mut payload).bytes(libc::RTA_DST, &[10, 1, 2, 0]);
        assert_eq!(parse_destination(&payload), Some(("10.1.2.0".parse().unwrap(), 24)));
        payload[1] = 0;
        assert_eq!(parse_destination(&payload), None);
    }

    #[test]
    fn sees_the_loopback_device() {
        let mut socket = Socket::route().unwrap();
        let lo = socket.link("lo").unwrap();
        assert!(socket.links().unwrap().iter().any(|link| link.index == lo.index && link.name == "lo"));
        let refused = socket.link("no-such-device").unwrap_err();
        assert_eq!(refused.errno, rustix::io::Errno::NODEV);
        let addresses = socket.addresses().unwrap();
        assert!(addresses.iter().all(|(index, ..)| *index > 0));
        socket.destinations().unwrap();
    }
}
