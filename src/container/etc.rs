//! The files of `/etc` that a container gets from outside: `hosts` and `resolv.conf`, as Docker writes them.
//!
//! They are mounted into the container, and into those that share its network: a change is written into the
//! file that is there.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::config::{ContainerConfig, NetworkMode};

/// What of the networks goes into the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The container's addresses.
    pub(super) own: Vec<IpAddr>,
    /// Addresses and names of linked containers.
    pub(super) links: Vec<(IpAddr, String)>,
    /// The address that means the host.
    pub(super) gateway: Option<IpAddr>,
    /// The nameserver of its networks.
    pub(super) nameserver: Option<IpAddr>,
}

/// Writes both files into the container's directory.
pub(super) fn write(dir: &Path, config: &ContainerConfig, facts: &Facts) -> Result<()> {
    put(&dir.join("hosts"), &hosts(config, facts)?)?;
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    put(&dir.join("resolv.conf"), &resolver(config, facts, &host))
}

/// Writes a file that all may read, in place.
pub(super) fn put(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o644)))
        .with_context(|| format!("write {}", path.display()))
}

/// Returns the content of `/etc/hosts`.
pub(super) fn hosts(config: &ContainerConfig, facts: &Facts) -> Result<String> {
    let mut text = if config.network == NetworkMode::Host {
        fs::read_to_string("/etc/hosts").unwrap_or_default()
    } else {
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n"
            .to_owned()
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for entry in &config.extra_hosts {
        let Some((host, address)) = entry.split_once(':').or_else(|| entry.split_once('=')) else {
            bail!("bad format for add-host: {entry:?}");
        };
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" {
            let _ = writeln!(text, "{address}\t{host}");
        } else if let Some(gateway) = gateway(config, facts) {
            let _ = writeln!(text, "{gateway}\t{host}");
        }
    }
    for (address, names) in &facts.links {
        let _ = writeln!(text, "{address}\t{names}");
    }
    let name = if config.domainname.is_empty() {
        config.hostname.clone()
    } else {
        format!("{0}.{1} {0}", config.hostname, config.domainname)
    };
    for address in &facts.own {
        let _ = writeln!(text, "{address}\t{name}");
    }
    Ok(text)
}

/// Returns the address that `host-gateway` means. On the host's own network that is the host itself.
fn gateway(config: &ContainerConfig, facts: &Facts) -> Option<IpAddr> {
    match config.network {
        NetworkMode::Host => Some(Ipv4Addr::LOCALHOST.into()),
        _ => facts.gateway,
    }
}

/// Returns the content of `/etc/resolv.conf`. `host` is the host's.
pub(super) fn resolver(config: &ContainerConfig, facts: &Facts, host: &str) -> String {
    let of_host = |key: &'static str| {
        host.lines()
            .filter_map(move |line| line.trim().strip_prefix(key)?.strip_prefix([' ', '\t']))
            .flat_map(str::split_ascii_whitespace)
            .take_while(|word| !word.starts_with(['#', ';']))
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    let external: Vec<String> = if config.dns.is_empty() {
        of_host("nameserver")
    } else {
        config.dns.iter().map(ToString::to_string).collect()
    };
    let reachable = |address: &String| address.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback());
    let servers: Vec<String> = match (facts.nameserver, &config.network) {
        (Some(own), _) => vec![own.to_string()],
        (None, NetworkMode::Host) => external.clone(),
        // Nobody answers at the container's own loopback.
        (None, _) => external.iter().filter(|address| reachable(address)).cloned().collect(),
    };
    let or_host = |wish: &[String], key| if wish.is_empty() { of_host(key) } else { wish.to_vec() };
    let mut search = or_host(&config.dns_search, "search");
    search.retain(|domain| domain != ".");
    let mut options = or_host(&config.dns_options, "options");
    if facts.nameserver.is_some() && !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push("ndots:0".to_owned());
    }
    let mut text = "# Generated by coracle, like the file of Docker Engine.\n\
                    # This file can be edited; it is made anew when the container starts.\n\n"
        .to_owned();
    for server in &servers {
        let _ = writeln!(text, "nameserver {server}");
    }
    for (key, words) in [("search", search), ("options", options)] {
        if !words.is_empty() {
            let _ = writeln!(text, "{key} {}", words.join(" "));
        }
    }
    let overrides: Vec<&str> = [
        (!config.dns.is_empty()).then_some("nameservers"),
        (!config.dns_search.is_empty()).then_some("search"),
        (!config.dns_options.is_empty()).then_some("options"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if facts.nameserver.is_some() {
        let external = external.join(" ");
        let _ = write!(
            text,
            "\n# Based on host file: '/etc/resolv.conf' (internal resolver)\n# ExtServers: [{external}]\n"
        );
    } else {
        text.push_str("\n# Based on host file: '/etc/resolv.conf'\n");
    }
    let _ = writeln!(text, "# Overrides: [{}]", overrides.join(" "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::spec::tests::config;

    fn facts() -> Facts {
        Facts {
            own: vec!["172.17.0.2".parse().unwrap()],
            links: vec![("172.17.0.3".parse().unwrap(), "db 0123456789ab store".to_owned())],
            gateway: Some("172.17.0.1".parse().unwrap()),
            nameserver: Some("172.17.0.1".parse().unwrap()),
        }
    }

    const HOST: &str =
        "# mine\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch example.org lan\noptions edns0\n";

    #[test]
    fn hosts_are_dockers() {
        let mut config = config();
        config.hostname = "web".into();
        config.domainname = "example.org".into();
        config.extra_hosts = vec!["tv:10.0.0.1".into(), "home:host-gateway".into(), "six:::1".into()];
        let text = hosts(&config, &facts()).unwrap();
        let (head, tail) = text.split_once("ff02::2\tip6-allrouters\n").unwrap();
        assert!(
            head.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\t")
        );
        assert_eq!(
            tail,
            "10.0.0.1\ttv\n172.17.0.1\thome\n::1\tsix\n172.17.0.3\tdb 0123456789ab store\n\
             172.17.0.2\tweb.example.org web\n"
        );
    }

    #[test]
    fn a_bridge_asks_the_gateway() {
        let text = resolver(&config(), &facts(), HOST);
        assert!(
            text.contains("\n\nnameserver 172.17.0.1\nsearch example.org lan\noptions edns0 ndots:0\n\n"),
            "{text}"
        );
        assert!(text.ends_with("# ExtServers: [127.0.0.53 9.9.9.9]\n# Overrides: []\n"), "{text}");
        let mut config = config();
        config.dns = vec!["1.1.1.1".parse().unwrap()];
        config.dns_search = vec![".".into()];
        config.dns_options = vec!["ndots:3".into()];
        let text = resolver(&config, &facts(), HOST);
        assert!(text.contains("\n\nnameserver 172.17.0.1\noptions ndots:3\n\n"), "{text}");
        assert!(
            text.ends_with("# ExtServers: [1.1.1.1]\n# Overrides: [nameservers search options]\n"),
            "{text}"
        );
    }

    #[test]
    fn other_networks_ask_whom_the_host_asks() {
        let mut config = config();
        config.network = NetworkMode::Host;
        let text = resolver(&config, &Facts::default(), HOST);
        assert!(text.contains(
            "\n\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch example.org lan\noptions edns0\n"
        ));
        config.network = NetworkMode::None;
        let text = resolver(&config, &Facts::default(), HOST);
        assert!(text.contains("\n\nnameserver 9.9.9.9\nsearch example.org lan\n"), "{text}");
    }
}
