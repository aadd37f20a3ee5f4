//! What becomes of a packet in the router's namespace: one table of packet rules.
//!
//! # The packet's way
//!
//! Packets between two containers of a network stay in its bridge and are not seen here. What is addressed to
//! the bridge itself comes through two chains:
//!
//! ```text
//! hold (-160)   of a connection that the router has open ──▶ mark 1
//!               whom it is for is asked of `dispatch` ──▶ a chain a network and family: n4-<id>, n6-<id>
//!                   not from this network's addresses       ✗ dropped
//!                   names, echo and sockets at the gateway  ──▶ mark 7
//!                   another network, or this one internal   ✗ dropped
//!                   a new connection, an echo request       ──▶ held in the queue; the router decides by a mark
//! steer (-150)  1, 7: goes on · 2..5: refused in its own way · 6: tproxy, mark 1 · datagrams: tproxy, mark 1
//! routing       mark 1: every address is local (table 100) · otherwise only the gateway's are
//! ```
//!
//! What is of a connection is found in two ways. A full socket bound to one address is one. A half-open or just
//! ended connection is one too, but a SYN for it must be held like any other: it may begin the next connection between the same ports. So the router sees the repeated
//! SYNs of connections that it has granted already, and grants them again. Datagrams find the socket of their
//! flow in `steer`, because `tproxy` looks for it before it takes the socket of first datagrams.
//!
//! Networks come and go without a change to anybody else's rules: a map leads from the number of a bridge to
//! its chain.

use std::net::IpAddr;

use crate::network::{Cidr, Network};
use crate::sys::netlink::nft::{Compare, Expressions, Meta, Reject, SocketKey, Transaction, Verdict};
use crate::sys::netlink::route::{INET, INET6};

/// The table's name.
pub const TABLE: &str = "coracle";
/// The queue where packets are held.
pub const QUEUE: u16 = 0;
/// The port, in the router's namespace, where the socket listens that gets granted connections.
pub const TCP_PORT: u16 = 15;
/// The port, in the router's namespace, of the socket that gets datagrams of new flows.
pub const UDP_PORT: u16 = 15;
/// The table of routes in which every address is local.
pub const LOCAL_TABLE: u8 = 100;

/// What marks of packets mean.
pub mod mark {
    /// It is delivered here, whatever its address.
    pub const LOCAL: u32 = 1;
    /// The connection is reset.
    pub const RESET: u32 = 2;
    /// The host cannot be reached.
    pub const HOST_UNREACHABLE: u32 = 3;
    /// The network cannot be reached.
    pub const NET_UNREACHABLE: u32 = 4;
    /// It is forbidden.
    pub const PROHIBITED: u32 = 5;
    /// The connection is accepted.
    pub const GRANTED: u32 = 6;
    /// It is for the gateway's own address, and the kernel or a socket there answers.
    pub const GATEWAY: u32 = 7;
}

/// How packets can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    /// By the expression of nf_tables.
    Expression,
    /// By the target of iptables.
    Target,
    /// Not at all: connections are accepted before it is known whether they can be made.
    None,
}

impl Holding {
    /// All ways, the best first.
    pub(crate) const ALL: [Self; 3] = [Self::Expression, Self::Target, Self::None];

    /// Returns its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Expression => "expression",
            Self::Target => "target",
            Self::None => "none",
        }
    }

    /// Returns the one with this name that holds packets.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|holding| holding.name() == name && *holding != Self::None)
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;
/// The loopback device has this number in every namespace.
pub const LOOPBACK: u32 = 1;

/// Writes everything that does not depend on networks, in place of what there was.
pub(crate) fn lay_out(rules: &mut Transaction, holding: Holding) {
    rules.new_table();
    rules.delete_table();
    rules.new_table();
    rules.verdict_map("bridges4", 4, 1);
    rules.verdict_map("bridges6", 4, 2);
    rules.interval_set("ours4", 4, 3);
    rules.interval_set("ours6", 16, 4);
    rules.chain("ask");
    rules.chain("dispatch");
    ask(rules, holding);
    dispatch(rules);
    rules.prerouting_chain("hold", -160);
    hold(rules);
    rules.prerouting_chain("steer", -150);
    steer(rules);
}

fn hold(rules: &mut Transaction) {
    rules.rule("hold", |rule| {
        rule.meta(Meta::InputDevice).is(Compare::Equal, &LOOPBACK.to_ne_bytes()).decide(Verdict::Accept);
    });
    // Here a socket that has its address and no other end yet would be found for everybody's datagrams; `tproxy`
    // finds connected ones only.
    rules.rule("hold", |rule| {
        rule.meta(Meta::Protocol).is(Compare::Equal, &[UDP]).decide(Verdict::Goto("dispatch"));
    });
    rules.rule("hold", |rule| {
        rule.socket(SocketKey::Wildcard).is(Compare::Equal, &[0]);
        rule.socket(SocketKey::Transparent).is(Compare::Equal, &[1]);
        rule.set_mark(mark::LOCAL).decide(Verdict::Accept);
    });
    rules.rule("hold", |rule| {
        begins_connection(rule).decide(Verdict::Goto("dispatch"));
    });
    rules.rule("hold", |rule| {
        rule.socket(SocketKey::Wildcard).is(Compare::Equal, &[1]).decide(Verdict::Goto("dispatch"));
    });
    rules.rule("hold", |rule| {
        rule.socket(SocketKey::Transparent).is(Compare::Equal, &[1]);
        rule.set_mark(mark::LOCAL).decide(Verdict::Accept);
    });
    rules.rule("hold", |rule| {
        rule.decide(Verdict::Goto("dispatch"));
    });
}

fn dispatch(rules: &mut Transaction) {
    rules.rule("dispatch", |rule| {
        rule.meta(Meta::Family).is(Compare::Equal, &[INET]);
        rule.meta(Meta::InputDevice).verdict_of("bridges4");
    });
    // Who has which hardware address: types 135 and 136. Routers are none of ours.
    for kind in [135, 136] {
        rules.rule("dispatch", |rule| {
            rule.meta(Meta::Protocol).is(Compare::Equal, &[ICMP6]);
            rule.transport(0, 1).is(Compare::Equal, &[kind]);
            rule.set_mark(mark::GATEWAY).decide(Verdict::Accept);
        });
    }
    rules.rule("dispatch", |rule| {
        rule.meta(Meta::Family).is(Compare::Equal, &[INET6]);
        rule.meta(Meta::InputDevice).verdict_of("bridges6");
    });
    rules.rule("dispatch", |rule| {
        rule.decide(Verdict::Drop);
    });
}

fn ask(rules: &mut Transaction, holding: Holding) {
    let hold = |rule: &mut Expressions<'_, '_>| {
        match holding {
            Holding::Expression => rule.queue(QUEUE),
            Holding::Target => rule.queue_by_target(QUEUE),
            Holding::None => rule.set_mark(mark::GRANTED).decide(Verdict::Accept),
        };
    };
    rules.rule("ask", |rule| hold(begins_connection(rule)));
    for (protocol, request) in [(ICMP, 8), (ICMP6, 128)] {
        rules.rule("ask", |rule| {
            rule.meta(Meta::Protocol).is(Compare::Equal, &[protocol]);
            hold(rule.transport(0, 1).is(Compare::Equal, &[request]));
        });
    }
    rules.rule("ask", |rule| {
        rule.decide(Verdict::Accept);
    });
}

fn steer(rules: &mut Transaction) {
    for own in [mark::LOCAL, mark::GATEWAY] {
        rules.rule("steer", |rule| {
            marked(rule, own).decide(Verdict::Accept);
        });
    }
    rules.rule("steer", |rule| {
        rule.meta(Meta::InputDevice).is(Compare::Equal, &LOOPBACK.to_ne_bytes()).decide(Verdict::Accept);
    });
    rules.rule("steer", |rule| {
        marked(rule, mark::GRANTED).meta(Meta::Protocol).is(Compare::Equal, &[TCP]);
        rule.tproxy(TCP_PORT).set_mark(mark::LOCAL).decide(Verdict::Accept);
    });
    for (number, how) in [
        (mark::HOST_UNREACHABLE, Reject::HostUnreachable),
        (mark::NET_UNREACHABLE, Reject::NoRoute),
        (mark::PROHIBITED, Reject::Prohibited),
    ] {
        rules.rule("steer", |rule| {
            marked(rule, number).reject(how);
        });
    }
    rules.rule("steer", |rule| {
        rule.meta(Meta::Protocol).is(Compare::Equal, &[UDP]);
        rule.tproxy(UDP_PORT).set_mark(mark::LOCAL).decide(Verdict::Accept);
    });
    // With mark 2, or in the middle of a connection that is gone.
    rules.rule("steer", |rule| {
        rule.meta(Meta::Protocol).is(Compare::Equal, &[TCP]).reject(Reject::Reset);
    });
    rules.rule("steer", |rule| {
        rule.decide(Verdict::Drop);
    });
}

/// Adds the rules of a network, whose bridge has the number `device`.
pub(crate) fn add(rules: &mut Transaction, network: &Network, device: u32) {
    for subnet in &network.subnets {
        let family = Family::of(subnet.subnet);
        let chain = family.chain(network);
        rules.chain(&chain);
        let source = |rule: &mut Expressions<'_, '_>, compare: Compare| {
            let (mask, first) = mask_and_first(subnet.subnet);
            rule.network(family.source, family.length).mask(&mask).is(compare, &first);
        };
        rules.rule(&chain, |rule| {
            source(rule, Compare::NotEqual);
            rule.decide(Verdict::Drop);
        });
        let gateway = octets(subnet.gateway);
        let mut to_gateway = |fill: &dyn Fn(&mut Expressions<'_, '_>)| {
            rules.rule(&chain, |rule| {
                rule.network(family.destination, family.length).is(Compare::Equal, &gateway);
                fill(rule);
            });
        };
        for protocol in [UDP, TCP] {
            to_gateway(&|rule| {
                rule.meta(Meta::Protocol).is(Compare::Equal, &[protocol]);
                rule.transport(2, 2).is(Compare::Equal, &53u16.to_be_bytes());
                rule.set_mark(mark::GATEWAY).decide(Verdict::Accept);
            });
        }
        to_gateway(&|rule| {
            rule.meta(Meta::Protocol).is(Compare::Equal, &[family.icmp]);
            rule.transport(0, 1).is(Compare::Equal, &[family.echo]);
            rule.set_mark(mark::GATEWAY).decide(Verdict::Accept);
        });
        // Connections and flows from the gateway's own address to a container.
        to_gateway(&|rule| {
            rule.socket(SocketKey::Wildcard).is(Compare::Equal, &[0]);
            rule.set_mark(mark::GATEWAY).decide(Verdict::Accept);
        });
        to_gateway(&|rule| {
            rule.meta(Meta::Protocol).is(Compare::Equal, &[TCP]);
            rule.transport(13, 1).mask(&[FLAGS]).is(Compare::NotEqual, &[SYN]);
            // It has any answer: there is a socket.
            rule.socket(SocketKey::Transparent).is(Compare::NotEqual, &[2]);
            rule.set_mark(mark::GATEWAY).decide(Verdict::Accept);
        });
        if network.internal {
            rules.rule(&chain, |rule| {
                rule.decide(Verdict::Drop);
            });
        } else {
            to_gateway(&|rule| {
                rule.decide(Verdict::Goto("ask"));
            });
            rules.rule(&chain, |rule| {
                rule.network(family.destination, family.length).is_in(family.ours).decide(Verdict::Drop);
            });
            // To many at once: 224.0.0.0 and above, ff00::/8 and, never beyond a link, fe80::/10.
            rules.rule(&chain, |rule| {
                let first = if family.length == 4 { 0xe0 } else { 0xfe };
                rule.network(family.destination, 1).is(Compare::AtLeast, &[first]).decide(Verdict::Drop);
            });
            rules.rule(&chain, |rule| {
                rule.decide(Verdict::Goto("ask"));
            });
        }
        let (first, end) = interval(subnet.subnet);
        rules.add_interval(family.ours, &first, end.as_deref());
        rules.add_verdict(family.bridges, &device.to_ne_bytes(), Verdict::Goto(&chain));
    }
}

/// Takes the rules of a network away.
pub(crate) fn remove(rules: &mut Transaction, network: &Network, device: u32) {
    for subnet in &network.subnets {
        let family = Family::of(subnet.subnet);
        rules.delete_key(family.bridges, &device.to_ne_bytes());
        let (first, end) = interval(subnet.subnet);
        rules.delete_interval(family.ours, &first, end.as_deref());
        rules.delete_chain(&family.chain(network));
    }
}

const FLAGS: u8 = 0x17;
const SYN: u8 = 0x02;

/// Goes on with the first packet of a connection only: SYN, and neither ACK, RST nor FIN.
fn begins_connection<'r, 'a, 'b>(rule: &'r mut Expressions<'a, 'b>) -> &'r mut Expressions<'a, 'b> {
    rule.meta(Meta::Protocol).is(Compare::Equal, &[TCP]);
    rule.transport(13, 1).mask(&[FLAGS]).is(Compare::Equal, &[SYN])
}

fn marked<'r, 'a, 'b>(rule: &'r mut Expressions<'a, 'b>, number: u32) -> &'r mut Expressions<'a, 'b> {
    rule.meta(Meta::Mark).is(Compare::Equal, &number.to_ne_bytes())
}

/// Where things are in the headers of a family, and what its sets are called.
struct Family {
    version: char,
    source: u32,
    destination: u32,
    length: u32,
    icmp: u8,
    echo: u8,
    ours: &'static str,
    bridges: &'static str,
}

impl Family {
    fn of(subnet: Cidr) -> Self {
        if subnet.is_ipv4() {
            let (icmp, echo) = (ICMP, 8);
            Self {
                version: '4',
                source: 12,
                destination: 16,
                length: 4,
                icmp,
                echo,
                ours: "ours4",
                bridges: "bridges4",
            }
        } else {
            let (icmp, echo) = (ICMP6, 128);
            Self {
                version: '6',
                source: 8,
                destination: 24,
                length: 16,
                icmp,
                echo,
                ours: "ours6",
                bridges: "bridges6",
            }
        }
    }

    fn chain(&self, network: &Network) -> String {
        format!("n{}-{}", self.version, network.id.get(..12).unwrap_or(&network.id))
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Returns the bits that all addresses of a block share, as a mask, and as they are.
fn mask_and_first(subnet: Cidr) -> (Vec<u8>, Vec<u8>) {
    let (first, last) = (octets(subnet.first()), octets(subnet.last()));
    let mask = first.iter().zip(&last).map(|(first, last)| !(first ^ last)).collect();
    (mask, first)
}

/// Returns the first address of a block, and the one behind the last if there is one.
fn interval(subnet: Cidr) -> (Vec<u8>, Option<Vec<u8>>) {
    let end = match subnet.last() {
        IpAddr::V4(last) => u32::from(last).checked_add(1).map(|end| end.to_be_bytes().to_vec()),
        IpAddr::V6(last) => u128::from(last).checked_add(1).map(|end| end.to_be_bytes().to_vec()),
    };
    (octets(subnet.first()), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_holding_are_remembered_by_name() {
        for holding in Holding::ALL {
            let kept = Some(holding).filter(|holding| *holding != Holding::None);
            assert_eq!(Holding::named(holding.name()), kept);
        }
        assert_eq!(Holding::named(""), None);
    }

    #[test]
    fn blocks_become_masks_and_intervals() {
        let block: Cidr = "172.17.5.0/20".parse().unwrap();
        assert_eq!(mask_and_first(block), (vec![255, 255, 240, 0], vec![172, 17, 0, 0]));
        assert_eq!(interval(block), (vec![172, 17, 0, 0], Some(vec![172, 17, 16, 0])));
        assert_eq!(interval("255.255.0.0/16".parse().unwrap()).1, None);
        assert_eq!(mask_and_first("0.0.0.0/0".parse().unwrap()).0, [0; 4]);
        let (mask, _) = mask_and_first("fd00::/10".parse().unwrap());
        assert_eq!(mask[..3], [255, 192, 0]);
    }
}
