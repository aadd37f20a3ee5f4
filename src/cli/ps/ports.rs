//! The column PORTS, as Docker puts it together.

use std::net::{IpAddr, SocketAddr};

use crate::container::{Status, Summary};

/// A port of a container: its number and protocol, and where the host has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    inside: u16,
    at: Option<(IpAddr, u16)>,
    protocol: String,
}

/// Returns the ports that the container declares.
fn declared(summary: &Summary) -> Vec<(u16, String)> {
    let read = |text: &String| {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        Some((port.parse().ok()?, protocol.to_owned()))
    };
    summary.config.exposed_ports.iter().filter_map(read).collect()
}

/// Returns the ports of the host that lead to the container.
pub(super) fn published(summary: &Summary) -> Vec<(u16, String)> {
    ports(summary).into_iter().filter_map(|port| Some((port.at?.1, port.protocol))).collect()
}

/// Returns the container's own ports.
pub(super) fn open(summary: &Summary) -> Vec<(u16, String)> {
    ports(summary).into_iter().map(|port| (port.inside, port.protocol)).collect()
}

/// Returns what the column shows.
pub(super) fn shown(summary: &Summary) -> String {
    join(ports(summary))
}

/// Returns all ports: none of a container that does not run or has no network of its own.
fn ports(summary: &Summary) -> Vec<Port> {
    let Status::Running(alive) = &summary.status else { return Vec::new() };
    if !summary.config.network.is_bridged() {
        return Vec::new();
    }
    let mut ports: Vec<Port> = alive
        .ports
        .iter()
        .map(|port| Port {
            inside: port.container_port,
            at: Some((port.host_ip, port.host_port)),
            protocol: port.protocol.name().to_owned(),
        })
        .collect();
    for (inside, protocol) in declared(summary) {
        if !ports.iter().any(|port| port.inside == inside && port.protocol == protocol) {
            ports.push(Port { inside, at: None, protocol });
        }
    }
    ports
}

/// Writes ports that follow each other as a range, if each has the same number on the host as inside; the
/// others follow one by one.
fn join(mut ports: Vec<Port>) -> String {
    ports.sort();
    let mut closed: Vec<String> = Vec::new();
    let mut open: Vec<Range> = Vec::new();
    let mut single: Vec<String> = Vec::new();
    for port in ports {
        let ip = match port.at {
            Some((ip, outside)) if outside != port.inside => {
                let address = SocketAddr::new(ip, outside);
                single.push(format!("{address}->{}/{}", port.inside, port.protocol));
                continue;
            }
            at => at.map(|(ip, _)| ip),
        };
        let next = Range { ip, protocol: port.protocol, first: port.inside, last: port.inside };
        match open.iter_mut().find(|range| range.ip == ip && range.protocol == next.protocol) {
            None => open.push(next),
            Some(range) if range.last + 1 == next.first => range.last = next.last,
            Some(range) => closed.push(std::mem::replace(range, next).text()),
        }
    }
    closed.extend(open.iter().map(Range::text));
    closed.extend(single);
    closed.join(", ")
}

/// Ports that follow each other.
struct Range {
    ip: Option<IpAddr>,
    protocol: String,
    first: u16,
    last: u16,
}

impl Range {
    fn text(&self) -> String {
        let ports = if self.first == self.last {
            self.first.to_string()
        } else {
            format!("{}-{}", self.first, self.last)
        };
        match self.ip {
            Some(IpAddr::V4(ip)) => format!("{ip}:{ports}->{ports}/{}", self.protocol),
            Some(IpAddr::V6(ip)) => format!("[{ip}]:{ports}->{ports}/{}", self.protocol),
            None => format!("{ports}/{}", self.protocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(inside: u16, at: Option<(&str, u16)>, protocol: &str) -> Port {
        let at = at.map(|(ip, port)| (ip.parse().unwrap(), port));
        Port { inside, at, protocol: protocol.to_owned() }
    }

    #[test]
    fn joins_ports_as_docker_does() {
        assert_eq!(join(vec![]), "");
        let both = |inside, outside| {
            vec![port(inside, Some(("::", outside)), "tcp"), port(inside, Some(("0.0.0.0", outside)), "tcp")]
        };
        assert_eq!(join(both(80, 8080)), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
        let mut ports = both(80, 80);
        ports.extend(both(81, 81));
        ports.push(port(90, None, "tcp"));
        ports.push(port(91, None, "tcp"));
        ports.push(port(93, None, "tcp"));
        ports.push(port(53, Some(("0.0.0.0", 5353)), "udp"));
        assert_eq!(
            join(ports),
            "90-91/tcp, 0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp, 93/tcp, 0.0.0.0:5353->53/udp"
        );
    }
}
