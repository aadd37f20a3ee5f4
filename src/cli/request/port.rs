//! Ports as Docker writes them: `-p 127.0.0.1:8000-8010:80-90/udp`, `--expose 80-90/tcp`.

use std::net::IpAddr;

use crate::cli::format::template::print::quote;
use crate::network::protocol::{HostPort, PortRequest, Protocol};

/// Reads one `-p`.
pub(in crate::cli) fn parse(text: &str) -> Result<Vec<PortRequest>, String> {
    if text.contains('=') {
        return parse(&short_form(text)?);
    }
    let (ip, host, container) = split(text)?;
    let (container, protocol) = match container.split_once('/') {
        Some((ports, protocol)) => (ports, protocol),
        None => (container, "tcp"),
    };
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let host_ip = match ip {
        "" => None,
        ip => Some(ip.parse::<IpAddr>().map_err(|_| format!("invalid IP address: {ip}"))?),
    };
    let inside = range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let outside = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    let protocol = protocol_of(protocol)?;
    let count = |(first, last): (u16, u16)| last - first;
    if let Some(outside) = outside
        && count(inside) != count(outside)
        && count(inside) != 0
    {
        return Err(format!("invalid ranges specified for container and host Ports: {container} and {host}"));
    }
    let ports = (inside.0..=inside.1).map(|container_port| {
        let host_port = match outside {
            None | Some((0, 0)) => HostPort::Any,
            Some((first, last)) if inside.0 == inside.1 && first != last => HostPort::Range(first, last),
            Some((first, _)) => HostPort::One(first + (container_port - inside.0)),
        };
        PortRequest { container_port, protocol, host_ip, host_port }
    });
    Ok(ports.collect())
}

/// Splits `[ip:][host:]container`; an IPv6 address stands in brackets.
fn split(text: &str) -> Result<(&str, &str, &str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once("]:").ok_or_else(|| format!("invalid IP address: {text}"))?;
        let (host, container) = rest.split_once(':').unwrap_or(("", rest));
        return Ok((ip, host, container));
    }
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [container] => Ok(("", "", container)),
        [host, container] => Ok(("", host, container)),
        [ip, host, container] => Ok((ip, host, container)),
        // An IPv6 address without brackets, as older programs write it.
        [.., host, container] => {
            let ip = &text[..text.len() - host.len() - container.len() - 2];
            Ok((ip, host, container))
        }
        [] => Err(format!("no port specified: {text}<empty>")),
    }
}

/// Turns `target=80,published=8080,protocol=tcp` into the short form.
fn short_form(text: &str) -> Result<String, String> {
    let (mut target, mut published, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("target", value)) => target = value,
            Some(("published", value)) => published = value,
            Some(("protocol", value)) => protocol = value,
            Some(("mode", _)) => {}
            _ => return Err(format!("invalid port syntax: {text}")),
        }
    }
    Ok(if published.is_empty() {
        format!("{target}/{protocol}")
    } else {
        format!("{published}:{target}/{protocol}")
    })
}

/// Reads a port or a range of ports.
fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Reads a port or a range of ports, with Docker's words for what is wrong.
pub(in crate::cli) fn port_range(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| {
        let wrong = |why: &str| format!("strconv.ParseUint: parsing {}: {why}", quote(text));
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong("invalid syntax"));
        }
        text.parse::<u16>().map_err(|_| wrong("value out of range"))
    };
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}

fn protocol_of(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Err("sctp ports cannot be published: tcp and udp can".to_owned()),
        _ => Err(format!("invalid proto: {text}")),
    }
}

/// Reads one `--expose`: `port[-port][/protocol]`.
pub(super) fn exposed(text: &str) -> Result<Vec<String>, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if ports.contains(':') {
        return Err(format!("invalid port format for --expose: {text}"));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid range format for --expose: {text}, error: invalid proto: {protocol}"));
    }
    let (first, last) = port_range(ports)
        .map_err(|error| format!("invalid range format for --expose: {text}, error: {error}"))?;
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let ports = parse(text).unwrap();
        let one = |port: &PortRequest| {
            let ip = port.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
            let host = match port.host_port {
                HostPort::Any => "*".to_owned(),
                HostPort::One(port) => port.to_string(),
                HostPort::Range(first, last) => format!("{first}-{last}"),
            };
            format!("{ip}{host} {}/{}", port.container_port, port.protocol.name())
        };
        ports.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn reads_all_forms() {
        for (text, wanted) in [
            ("80", "* 80/tcp"),
            ("8080:80", "8080 80/tcp"),
            ("8080:80/UDP", "8080 80/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080 80/tcp"),
            ("127.0.0.1::80", "127.0.0.1 * 80/tcp"),
            ("[::1]:8080:80", "::1 8080 80/tcp"),
            ("[::1]::80", "::1 * 80/tcp"),
            ("::1:8080:80", "::1 8080 80/tcp"),
            ("8000-8002:80-82", "8000 80/tcp, 8001 81/tcp, 8002 82/tcp"),
            ("8000-8010:80", "8000-8010 80/tcp"),
            ("80-81", "* 80/tcp, * 81/tcp"),
            ("0:80", "* 80/tcp"),
            ("target=80,published=8080,protocol=udp", "8080 80/udp"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn complains_in_dockers_words() {
        let wrong = |text: &str| parse(text).unwrap_err();
        assert_eq!(wrong(""), "no port specified: <empty>");
        assert_eq!(wrong("8080:"), "no port specified: 8080:<empty>");
        assert_eq!(wrong("8080:x"), "invalid containerPort: x");
        assert_eq!(wrong("x:80"), "invalid hostPort: x");
        assert_eq!(wrong("99999:80"), "invalid hostPort: 99999");
        assert_eq!(wrong("nowhere:80:80"), "invalid IP address: nowhere");
        assert_eq!(wrong("80/icmp"), "invalid proto: icmp");
        assert_eq!(
            wrong("8000-8001:80-82"),
            "invalid ranges specified for container and host Ports: 80-82 and 8000-8001"
        );
        assert!(wrong("80/sctp").contains("sctp"));
        assert!(wrong("[::1]80").starts_with("invalid IP address"));
    }

    #[test]
    fn reads_declared_ports() {
        assert_eq!(exposed("80").unwrap(), ["80/tcp"]);
        assert_eq!(exposed("7-9/udp").unwrap(), ["7/udp", "8/udp", "9/udp"]);
        assert!(exposed("x").is_err() && exposed("9-7").is_err() && exposed("80/x").is_err());
        assert_eq!(exposed("80:80").unwrap_err(), "invalid port format for --expose: 80:80");
    }
}
