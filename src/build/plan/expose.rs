//! Ports of `EXPOSE`.

use std::net::IpAddr;

/// A port or a range of them, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exposed {
    /// `80/tcp`, each of a range.
    pub(super) ports: Vec<String>,
    /// Whether the protocol has an upper-case letter.
    pub(super) upper: bool,
    /// Whether an address or a port of the host is named.
    pub(super) mapped: bool,
}

/// Reads `[address:][host:]port[-port][/protocol]`.
pub(super) fn parse(text: &str) -> Result<Exposed, String> {
    let (host, container) = match text.rsplit_once(':') {
        Some((host, container)) => (host, container),
        None => ("", text),
    };
    let (address, host) = host.rsplit_once(':').unwrap_or(("", host));
    let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
    if port.is_empty() {
        return Err(format!("invalid port: {text:?}: no port specified"));
    }
    let lower = protocol.to_ascii_lowercase();
    if !matches!(lower.as_str(), "" | "tcp" | "udp" | "sctp") {
        return Err(format!("invalid port: {text:?}: invalid proto: {protocol}"));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    let (start, end) = range(port).ok_or_else(|| format!("invalid containerPort: {port}"))?;
    if !host.is_empty() {
        let (low, high) = range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?;
        if high - low != end - start && start != end {
            return Err(format!("invalid ranges specified for container and host Ports: {port} and {host}"));
        }
    }
    let protocol_name = if lower.is_empty() { "tcp" } else { &lower };
    Ok(Exposed {
        ports: (start..=end).map(|port| format!("{port}/{protocol_name}")).collect(),
        upper: protocol != lower,
        mapped: !address.is_empty() || !host.is_empty(),
    })
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let range = (start.parse().ok()?, end.parse().ok()?);
    (range.0 <= range.1).then_some(range)
}
