//! What a supervisor and the router say to each other: one JSON text in one message, descriptors beside it.
//!
//! The supervisor asks, the router answers, one after the other. The end of the connection takes back
//! everything that was asked over it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::record::{Mac, Network};

/// The longest message. The kernel's own limit for one (`net.core.wmem_default`) is over 200 KiB.
pub const MESSAGE: usize = 128 * 1024;

/// What a supervisor asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// The first message. [`Reply::Welcome`] comes with a descriptor of the router's namespace.
    Hello {
        /// The container's id.
        container: String,
    },
    /// Plugs the container into a network. With it comes a descriptor of the container's network namespace.
    Attach {
        /// The whole record, so that the router reads no files. Labels may be left out.
        network: Box<Network>,
        /// What the container wants to be there.
        endpoint: Box<EndpointRequest>,
        /// Whether the container has these addresses already, from a router that died.
        claim: bool,
    },
    /// Unplugs the container from a network.
    Detach {
        /// The network.
        network_id: String,
    },
    /// Makes one of the container's networks its way to everywhere, and the one that its published ports lead to.
    Lead {
        /// The network; `None`: there is no way.
        network_id: Option<String>,
    },
    /// Gives the container other names on a network.
    Rename {
        /// The network.
        network_id: String,
        /// Every name it answers to there.
        names: Vec<String>,
    },
    /// Publishes all ports of the container, after it is attached: all or none. They come in place of those
    /// published before.
    Publish {
        /// The ports.
        ports: Vec<PortRequest>,
        /// Whether the container had exactly these from a router that died.
        claim: bool,
    },
}

/// What a container wants to be on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRequest {
    /// The name of the device in the container; the next free `eth<n>` if absent.
    pub interface: Option<String>,
    /// The IPv4 address; a free one if absent.
    pub ip: Option<Ipv4Addr>,
    /// The IPv6 address; a free one if absent.
    pub ip6: Option<Ipv6Addr>,
    /// The hardware address; one of the router's choice if absent.
    pub mac: Option<Mac>,
    /// Every name it answers to on this network: its own, its aliases, its short id.
    pub names: Vec<String>,
    /// The container's host name.
    pub hostname: String,
    /// Whether packets for elsewhere leave by this network.
    pub default_route: bool,
    /// Names that only this container uses, and the containers (by id) that it means with them.
    pub links: Vec<(String, String)>,
    /// The nameservers to ask in place of the host's.
    pub dns: Vec<IpAddr>,
}

/// A port of a container that the host shall have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRequest {
    /// The container's port.
    pub container_port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The address of the host; all of both families if absent.
    pub host_ip: Option<IpAddr>,
    /// The port of the host.
    pub host_port: HostPort,
}

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A stream of bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// Returns the name as it stands after the slash of `80/tcp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Which port of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPort {
    /// Any free one.
    Any,
    /// This one.
    One(u16),
    /// The first free one of these, both ends included.
    Range(u16, u16),
}

/// What the router answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::Hello`], with a descriptor of the router's namespace.
    Welcome,
    /// To [`Request::Attach`].
    Attached(Endpoint),
    /// To [`Request::Detach`].
    Detached,
    /// To [`Request::Lead`] and [`Request::Rename`].
    Done,
    /// To [`Request::Publish`]: a row for each address family.
    Published(Vec<PublishedPort>),
    /// To anything; nothing was changed.
    Refused(Refusal),
}

/// Why the router does not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// For programs.
    pub kind: RefusalKind,
    /// For people.
    pub text: String,
}

impl Refusal {
    /// Returns a refusal.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// The kinds of [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// Another container has the address.
    AddressInUse,
    /// Somebody listens at the port of the host.
    PortAllocated {
        /// The address of the host.
        ip: IpAddr,
        /// The port of the host.
        port: u16,
    },
    /// The host lets only root listen at the port.
    PortDenied {
        /// The port of the host.
        port: u16,
    },
    /// All addresses of the network are given.
    NoAddressLeft,
    /// This kernel, or this user, cannot have such a network.
    Unsupported,
    /// Anything else.
    Other,
}

/// What a container is on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network's id.
    pub network_id: String,
    /// The network's name.
    pub network: String,
    /// The name of the device in the container.
    pub interface: String,
    /// Its hardware address.
    pub mac: Mac,
    /// Its IPv4 address and the length of the network's prefix.
    pub ip: Option<(Ipv4Addr, u8)>,
    /// Its IPv6 address and the length of the network's prefix.
    pub ip6: Option<(Ipv6Addr, u8)>,
    /// The network's IPv4 gateway.
    pub gateway: Option<Ipv4Addr>,
    /// The network's IPv6 gateway.
    pub gateway6: Option<Ipv6Addr>,
    /// Every name it answers to there.
    pub names: Vec<String>,
    /// The nameserver to write into `resolv.conf`.
    pub dns: IpAddr,
    /// The containers there that have links to this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked_by: Vec<String>,
}

/// A port of a container that the host has, at one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The container's port.
    pub container_port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The address of the host.
    pub host_ip: IpAddr,
    /// The port of the host.
    pub host_port: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire() {
        let ports = vec![
            PortRequest {
                container_port: 80,
                protocol: Protocol::Tcp,
                host_ip: None,
                host_port: HostPort::Range(8000, 8009),
            },
            PortRequest {
                container_port: 53,
                protocol: Protocol::Udp,
                host_ip: Some("::1".parse().unwrap()),
                host_port: HostPort::Any,
            },
        ];
        let request = Request::Publish { ports, claim: true };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        let kind = RefusalKind::PortAllocated { ip: "0.0.0.0".parse().unwrap(), port: 80 };
        let reply = Reply::Refused(Refusal::new(kind, "port is already allocated"));
        let text = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), reply);
    }
}
