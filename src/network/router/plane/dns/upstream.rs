//! The nameservers of the host, as resolv.conf(5) names them now.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::time::SystemTime;

const FILE: &str = "/etc/resolv.conf";
/// How many nameservers are asked, as the C library does.
const SERVERS: usize = 3;
const PORT: u16 = 53;
/// A longer file is not read.
const SIZE: u64 = 64 * 1024;

/// What the file said when it was last read.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    servers: Vec<SocketAddr>,
    read: Option<(SystemTime, u64)>,
}

impl Upstream {
    /// Returns the nameservers; reads the file again if it has changed.
    pub(super) fn servers(&mut self) -> Vec<SocketAddr> {
        let state = fs::metadata(FILE).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
        if self.servers.is_empty() || state != self.read {
            let is_small = state.is_none_or(|(_, length)| length <= SIZE);
            let text = if is_small { fs::read(FILE).unwrap_or_default() } else { Vec::new() };
            self.servers = parse(&String::from_utf8_lossy(&text));
            self.read = state;
        }
        self.servers.clone()
    }
}

/// Returns the nameservers of an endpoint that has its own.
pub(super) fn named(addresses: &[IpAddr]) -> Vec<SocketAddr> {
    addresses.iter().take(SERVERS).map(|address| SocketAddr::new(*address, PORT)).collect()
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if words.next() == Some("nameserver")
            && let Some(server) = words.next().and_then(address)
            && servers.len() < SERVERS
        {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    }
    servers
}

/// Reads an address; a link-local one may name its device.
fn address(text: &str) -> Option<SocketAddr> {
    let Some((address, device)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, PORT));
    };
    if device.contains('/') {
        return None;
    }
    let scope = device.parse().ok().or_else(|| {
        fs::read_to_string(format!("/sys/class/net/{device}/ifindex")).ok()?.trim().parse().ok()
    })?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        parse(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_nameservers() {
        let text = "# nameserver 9.9.9.9\nsearch example.com\n nameserver\t192.0.2.1 # first\nnameserver 2001:db8::1\n";
        assert_eq!(texts(text), ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!(texts("nameserver fe80::1%7\nnameserver x\n"), ["[fe80::1%7]:53"]);
        assert_eq!(texts("options ndots:2\n"), ["127.0.0.1:53"]);
        assert_eq!(texts(&"nameserver 192.0.2.1\n".repeat(5)).len(), 3);
    }
}
