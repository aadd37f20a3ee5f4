//! The short form of a published port: `[address:][port:]port[/protocol]`, each perhaps a range.

/// One port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) host_ip: Option<String>,
    /// A port of the host, or a range to choose from.
    pub(super) published: Option<String>,
    pub(super) target: u16,
    pub(super) protocol: String,
}

/// Reads one line: several ports if it holds ranges of the same length.
pub(super) fn parse(line: &str) -> Result<Vec<Port>, String> {
    let (rest, protocol) = match line.split_once('/') {
        Some((_, "")) => return Err(format!("Invalid proto: {line}")),
        Some((rest, protocol)) => (rest, protocol.to_ascii_lowercase()),
        None => (line, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("Invalid proto: {protocol}"));
    }
    let (before, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (ip, host) = match before.rsplit_once(':') {
        Some((ip, host)) => (ip, host),
        None if before.starts_with('[') || before.contains('.') => (before, ""),
        None => ("", before),
    };
    let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    if !ip.is_empty() && ip.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("Invalid ip address: {ip}"));
    }
    if container.is_empty() {
        return Err(format!("No port specified: {line}<empty>"));
    }
    let (start, end) = range(container).ok_or_else(|| format!("Invalid containerPort: {container}"))?;
    let published = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("Invalid hostPort: {host}"))?),
    };
    let host_ip = Some(ip.to_owned()).filter(|ip| !ip.is_empty());
    let port = |target, published: Option<String>| Port {
        host_ip: host_ip.clone(),
        published,
        target,
        protocol: protocol.clone(),
    };
    match published {
        None => Ok((start..=end).map(|target| port(target, None)).collect()),
        Some((from, to)) if to - from == end - start => Ok((start..=end)
            .zip(from..=to)
            .map(|(target, host)| port(target, Some(host.to_string())))
            .collect()),
        Some(_) if start == end => Ok(vec![port(start, Some(host.to_owned()))]),
        Some(_) => {
            Err(format!("Invalid ranges specified for container and host Ports: {container} and {host}"))
        }
    }
}

/// Reads a port or a range of ports.
pub(super) fn range(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (start.parse::<u16>().ok()?, end.parse::<u16>().ok()?);
    (start <= end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_short_form() {
        let show = |line: &str| {
            let ports = parse(line).unwrap();
            let show = |port: Port| {
                format!(
                    "{}|{}|{}/{}",
                    port.host_ip.unwrap_or_default(),
                    port.published.unwrap_or_default(),
                    port.target,
                    port.protocol
                )
            };
            ports.into_iter().map(show).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(show("80"), "||80/tcp");
        assert_eq!(show("8080:80"), "|8080|80/tcp");
        assert_eq!(show("127.0.0.1:8080:80/udp"), "127.0.0.1|8080|80/udp");
        assert_eq!(show("127.0.0.1::80"), "127.0.0.1||80/tcp");
        assert_eq!(show("[::1]:1:2"), "::1|1|2/tcp");
        assert_eq!(show("3000-3001"), "||3000/tcp ||3001/tcp");
        assert_eq!(show("9090-9091:80-81"), "|9090|80/tcp |9091|81/tcp");
        assert_eq!(show("9090-9099:80"), "|9090-9099|80/tcp");
    }

    #[test]
    fn refuses_in_dockers_words() {
        let bad = |line: &str| parse(line).unwrap_err();
        assert_eq!(bad("a:b"), "Invalid containerPort: b");
        assert_eq!(bad("99999:80"), "Invalid hostPort: 99999");
        assert_eq!(bad("80/xyz"), "Invalid proto: xyz");
        assert_eq!(bad("1-2:3-5"), "Invalid ranges specified for container and host Ports: 3-5 and 1-2");
        assert_eq!(bad("x.y:1:2"), "Invalid ip address: x.y");
    }
}
