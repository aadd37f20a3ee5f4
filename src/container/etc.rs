//! The files of `/etc` that a container gets from outside: `hosts` and `resolv.conf`, as Docker writes them.
//!
//! They are mounted into the container, and into those that share its network: a change is written into the
//! file that is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::config::{ContainerConfig, NetworkMode};
pub(super) use crate::network::etc::Facts;
use crate::network::etc::{Wishes, hosts, resolver};

/// Writes both files into the container's directory.
pub(super) fn write(dir: &Path, config: &ContainerConfig, facts: &Facts) -> Result<()> {
    let wishes = wishes(config);
    put(&dir.join("hosts"), &hosts(&wishes, facts)?)?;
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    put(&dir.join("resolv.conf"), &resolver(&wishes, facts, &host))
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

fn wishes(config: &ContainerConfig) -> Wishes<'_> {
    Wishes {
        of_host: config.network == NetworkMode::Host,
        hostname: &config.hostname,
        domainname: &config.domainname,
        hosts: &config.extra_hosts,
        dns: &config.dns,
        dns_search: &config.dns_search,
        dns_options: &config.dns_options,
    }
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
        let text = hosts(&wishes(&config), &facts()).unwrap();
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
        let text = resolver(&wishes(&config()), &facts(), HOST);
        assert!(
            text.contains("\n\nnameserver 172.17.0.1\nsearch example.org lan\noptions edns0 ndots:0\n\n"),
            "{text}"
        );
        assert!(text.ends_with("# ExtServers: [127.0.0.53 9.9.9.9]\n# Overrides: []\n"), "{text}");
        let mut config = config();
        config.dns = vec!["1.1.1.1".parse().unwrap()];
        config.dns_search = vec![".".into()];
        config.dns_options = vec!["ndots:3".into()];
        let text = resolver(&wishes(&config), &facts(), HOST);
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
        let text = resolver(&wishes(&config), &Facts::default(), HOST);
        assert!(text.contains(
            "\n\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch example.org lan\noptions edns0\n"
        ));
        config.network = NetworkMode::None;
        let text = resolver(&wishes(&config), &Facts::default(), HOST);
        assert!(text.contains("\n\nnameserver 9.9.9.9\nsearch example.org lan\n"), "{text}");
    }
}
