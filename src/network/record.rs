//! What a network is meant to be, as its record says it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The greatest packet of a network that sets no `mtu`: what veths and bridges carry at most, less what
/// keeps an Ethernet header within 64 KiB.
const MTU: u32 = 65520;

/// A network, as written once at its creation in `networks/<id>.json`.
///
/// `host` and `none` are no records; `bridge` is made when it is first used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The name given by the user.
    pub name: String,
    /// The moment of creation, RFC 3339.
    pub created: String,
    /// What carries it.
    pub driver: Driver,
    /// Its addresses: the IPv4 subnet first, then the IPv6 one if it has any.
    pub subnets: Vec<Subnet>,
    /// Whether it reaches nothing but itself.
    pub internal: bool,
    /// Whether it has IPv6 addresses.
    pub ipv6: bool,
    /// Kept for `inspect`; every network can be attached to.
    pub attachable: bool,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

impl Network {
    /// Returns the greatest packet that its devices carry.
    pub fn mtu(&self) -> u32 {
        let text = self.options.get("com.docker.network.driver.mtu");
        text.and_then(|text| text.parse().ok()).filter(|mtu| (68..=65535).contains(mtu)).unwrap_or(MTU)
    }

    /// Tells whether its containers may talk to each other.
    pub fn allows_neighbours(&self) -> bool {
        self.is_on("com.docker.network.bridge.enable_icc", true)
    }

    /// Tells whether the loopback addresses of the host can be reached at the gateway's address.
    pub fn reaches_host_loopback(&self) -> bool {
        self.is_on("coracle.host_loopback", false)
    }

    /// Returns the address of the host where published ports listen if the user names none.
    pub fn host_binding(&self) -> Option<Ipv4Addr> {
        self.options.get("com.docker.network.bridge.host_binding_ipv4")?.parse().ok()
    }

    /// Returns the name of its bridge device, which exists in the router's namespace only.
    pub fn bridge(&self) -> String {
        match self.options.get("com.docker.network.bridge.name") {
            Some(name) if is_device_name(name) => name.clone(),
            _ => format!("br-{}", self.id.get(..12).unwrap_or(&self.id)),
        }
    }

    /// Returns its IPv4 subnet.
    pub fn subnet4(&self) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.subnet.is_ipv4())
    }

    /// Returns its IPv6 subnet.
    pub fn subnet6(&self) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| !subnet.subnet.is_ipv4())
    }

    fn is_on(&self, option: &str, otherwise: bool) -> bool {
        match self.options.get(option).map(String::as_str) {
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            _ => otherwise,
        }
    }
}

/// Tells whether a device can have this name, and no other device of the namespace has it.
fn is_device_name(name: &str) -> bool {
    (1..16).contains(&name.len())
        && !matches!(name, "." | ".." | "lo")
        && !name.starts_with("veth")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':'))
}

/// What carries a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge of the kernel in the router's namespace.
    Bridge,
}

/// The addresses of a network in one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// All addresses.
    pub subnet: Cidr,
    /// The bridge's own address.
    pub gateway: IpAddr,
    /// Where addresses are taken from that nobody asked for; everywhere if absent.
    pub ip_range: Option<Cidr>,
    /// Addresses never to be given to a container, by name.
    pub aux: BTreeMap<String, IpAddr>,
}

/// A block of addresses such as `172.17.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// An address of the block; the first, once it went through [`Cidr::network`].
    pub address: IpAddr,
    /// How many leading bits all addresses of the block share.
    pub prefix: u8,
}

impl Cidr {
    /// Tells whether the block is one of IPv4 addresses.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Returns the block with its first address.
    #[must_use]
    pub fn network(&self) -> Self {
        Self { address: self.first(), prefix: self.prefix }
    }

    /// Returns the first address.
    pub fn first(&self) -> IpAddr {
        self.with_bits(self.bits() & !self.host_mask())
    }

    /// Returns the last address.
    pub fn last(&self) -> IpAddr {
        self.with_bits(self.bits() | self.host_mask())
    }

    /// Tells whether `address` is of the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.is_ipv4() == address.is_ipv4() && (self.bits() ^ bits(address)) & !self.host_mask() == 0
    }

    /// Tells whether any address is of both blocks.
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.prefix <= other.prefix { self.contains(other.address) } else { other.contains(self.address) }
    }

    fn width(&self) -> u32 {
        if self.is_ipv4() { 32 } else { 128 }
    }

    fn bits(&self) -> u128 {
        bits(self.address)
    }

    fn host_mask(&self) -> u128 {
        match self.width().saturating_sub(u32::from(self.prefix)) {
            128 => u128::MAX,
            bits => (1 << bits) - 1,
        }
    }

    fn with_bits(&self, bits: u128) -> IpAddr {
        match self.address {
            // The bits of an IPv4 address are the low 32 ones.
            IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(bits).unwrap_or(u32::MAX)).into(),
            IpAddr::V6(_) => Ipv6Addr::from(bits).into(),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (address, prefix) = text.split_once('/').ok_or(ParseError)?;
        let address: IpAddr = address.parse().map_err(|_| ParseError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        // `+8` and `08` are numbers to the parser, and no prefix length to anybody.
        let is_plain = prefix == "0" || (prefix.starts_with(|c: char| matches!(c, '1'..='9')));
        let prefix = prefix.parse().ok().filter(|prefix| is_plain && *prefix <= most).ok_or(ParseError)?;
        Ok(Self { address, prefix })
    }
}

/// The hardware address of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(formatter, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Mac {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && !part.starts_with('+'));
            *byte = part.and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or(ParseError)?;
        }
        if parts.next().is_some() { Err(ParseError) } else { Ok(Self(bytes)) }
    }
}

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid address")]
pub struct ParseError;

/// Gives a type the text form that it has for people in records too.
macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Cidr);
as_text!(Mac);

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_of_addresses() {
        let block = cidr("172.17.3.4/16");
        assert_eq!(block.network().to_string(), "172.17.0.0/16");
        assert_eq!(block.first().to_string(), "172.17.0.0");
        assert_eq!(block.last().to_string(), "172.17.255.255");
        assert!(block.contains("172.17.200.1".parse().unwrap()));
        assert!(!block.contains("172.18.0.1".parse().unwrap()));
        assert!(!block.contains("::1".parse().unwrap()));
        let six = cidr("fd00:1::/64");
        assert_eq!(six.last().to_string(), "fd00:1::ffff:ffff:ffff:ffff");
        assert!(!six.contains("172.17.0.1".parse().unwrap()));
        assert_eq!(cidr("::/0").last().to_string(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        assert_eq!(cidr("0.0.0.0/0").last().to_string(), "255.255.255.255");
        assert_eq!(cidr("10.0.0.1/32").first(), cidr("10.0.0.1/32").last());
    }

    #[test]
    fn overlaps_are_seen_from_both_sides() {
        let (big, small, other) = (cidr("10.0.0.0/8"), cidr("10.9.0.0/24"), cidr("11.0.0.0/8"));
        assert!(big.overlaps(&small) && small.overlaps(&big) && big.overlaps(&big));
        assert!(!big.overlaps(&other) && !other.overlaps(&small));
        assert!(!cidr("::/0").overlaps(&cidr("0.0.0.0/0")));
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in
            ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/+8", "10.0.0.0/08", "/8", "10.0.0.0/"]
        {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in ["02:42:ac:11:00", "02:42:ac:11:00:02:03", "2:42:ac:11:0:2", "zz:42:ac:11:00:02", ""] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn records_keep_the_text_form() {
        let text = r#"{"subnet":"10.9.0.0/24","gateway":"10.9.0.1","ip_range":null,"aux":{"tv":"10.9.0.7"}}"#;
        let subnet: Subnet = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&subnet).unwrap(), text);
        let mac: Mac = serde_json::from_str(r#""02:42:AC:11:00:02""#).unwrap();
        assert_eq!(serde_json::to_string(&mac).unwrap(), r#""02:42:ac:11:00:02""#);
    }

    #[test]
    fn understands_options() {
        let mut network = Network {
            id: "0123456789abcdef".repeat(4),
            name: "web".to_owned(),
            created: String::new(),
            driver: Driver::Bridge,
            subnets: Vec::new(),
            internal: false,
            ipv6: false,
            attachable: false,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        };
        assert_eq!((network.mtu(), network.bridge().as_str()), (65520, "br-0123456789ab"));
        assert!(network.allows_neighbours() && !network.reaches_host_loopback());
        for (name, value) in [
            ("com.docker.network.driver.mtu", "1400"),
            ("com.docker.network.bridge.enable_icc", "false"),
            ("com.docker.network.bridge.name", "mine"),
            ("coracle.host_loopback", "true"),
        ] {
            network.options.insert(name.to_owned(), value.to_owned());
        }
        assert_eq!((network.mtu(), network.bridge().as_str()), (1400, "mine"));
        assert!(!network.allows_neighbours() && network.reaches_host_loopback());
        network.options.insert("com.docker.network.bridge.name".to_owned(), "lo".to_owned());
        assert_eq!(network.bridge(), "br-0123456789ab");
    }
}
