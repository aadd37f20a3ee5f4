//! The flags of `run` and `create` that say which networks a container is in, and how it is reached there.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, anyhow, bail};
use clap::Args;

use super::port;
use crate::cli::format::template::print::quote;
use crate::cli::report::response;
use crate::container::{Attachment, NetworkMode};
use crate::network::Mac;
use crate::network::protocol::PortRequest;

/// The flags.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct NetworkFlags {
    /// Set nameservers
    #[arg(long, value_name = "list", value_parser = parse_ip)]
    dns: Vec<IpAddr>,
    /// Set options of the resolver
    #[arg(long, alias = "dns-opt", value_name = "list")]
    dns_option: Vec<String>,
    /// Set domains in which short names are looked up
    #[arg(long, value_name = "list", value_parser = parse_domain)]
    dns_search: Vec<String>,
    /// Declare a port or a range of ports
    #[arg(long, value_name = "list")]
    expose: Vec<String>,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long, value_name = "ip", value_parser = parse_ip4)]
    ip: Option<Ipv4Addr>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long, value_name = "ip", value_parser = parse_ip6)]
    ip6: Option<Ipv6Addr>,
    /// Add a link to another container
    #[arg(long, value_name = "list", value_parser = parse_link)]
    link: Vec<String>,
    /// Refused: the kernel gives link-local addresses
    #[arg(long, value_name = "list", value_parser = parse_ip)]
    link_local_ip: Vec<IpAddr>,
    /// Hardware address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long, value_name = "string")]
    mac_address: Option<String>,
    /// Connect to a network: a name, bridge, host, none or container:NAME
    #[arg(long, alias = "net", value_name = "network", value_parser = parse_network)]
    network: Vec<String>,
    /// Add a name that the container answers to on its network
    #[arg(long, alias = "net-alias", value_name = "list")]
    network_alias: Vec<String>,
    /// Publish a port of the container on the host
    #[arg(long, short, value_name = "list")]
    publish: Vec<String>,
    /// Publish all declared ports on random ports of the host
    #[arg(long, short = 'P')]
    publish_all: bool,
}

/// What the flags say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Networking {
    pub(super) mode: NetworkMode,
    pub(super) networks: Vec<Attachment>,
    pub(super) ports: Vec<PortRequest>,
    pub(super) publish_all: bool,
    pub(super) exposed: BTreeSet<String>,
    pub(super) dns: Vec<IpAddr>,
    pub(super) dns_search: Vec<String>,
    pub(super) dns_options: Vec<String>,
}

impl NetworkFlags {
    /// Puts the flags together.
    pub(super) fn read(&self) -> Result<Networking> {
        let said = |message: String| anyhow!(message);
        let mut ports = Vec::new();
        for text in &self.publish {
            for port in port::parse(text).map_err(said)? {
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
        }
        let mut exposed = BTreeSet::new();
        for text in &self.expose {
            exposed.extend(port::exposed(text).map_err(said)?);
        }
        let (mode, networks) = self.networks()?;
        Ok(Networking {
            mode,
            networks,
            ports,
            publish_all: self.publish_all,
            exposed,
            dns: self.dns.clone(),
            dns_search: self.dns_search.clone(),
            dns_options: self.dns_option.clone(),
        })
    }

    fn networks(&self) -> Result<(NetworkMode, Vec<Attachment>)> {
        let mut all: Vec<Attachment> = Vec::new();
        for text in &self.network {
            let attachment = attachment(text).map_err(|message| anyhow!(message))?;
            if all.iter().any(|other| other.network == attachment.network) {
                bail!("network {} is specified multiple times", quote(&attachment.network));
            }
            all.push(attachment);
        }
        let mut main = if all.is_empty() { Attachment::default() } else { all.remove(0) };
        let mode = match main.network.as_str() {
            "" | "default" | "bridge" => NetworkMode::Default,
            "none" => NetworkMode::None,
            "host" => NetworkMode::Host,
            name => match name.strip_prefix("container:") {
                Some("") => {
                    let why = "invalid container format container:<name|id>";
                    return Err(response(anyhow!("Invalid network mode: {why}")));
                }
                Some(other) => NetworkMode::Container(other.to_owned()),
                None => NetworkMode::Named(name.to_owned()),
            },
        };
        if mode == NetworkMode::Default {
            "bridge".clone_into(&mut main.network);
        }
        self.lay_over(&mut main)?;
        if let NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) = mode {
            refuse(&mode, &main)?;
            if !all.is_empty() {
                bail!(
                    "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
                );
            }
            return Ok((mode, Vec::new()));
        }
        for other in &all {
            if matches!(other.network.as_str(), "host" | "none" | "default" | "")
                || other.network.starts_with("container:")
            {
                bail!(
                    "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
                );
            }
        }
        all.insert(0, main);
        Ok((mode, all))
    }

    /// Lays the flags that stand beside `--network` over the first network.
    fn lay_over(&self, main: &mut Attachment) -> Result<()> {
        let both = |what: &str| {
            bail!("conflicting options: cannot specify both {what}");
        };
        if !main.aliases.is_empty() && !self.network_alias.is_empty() {
            both("--network-alias and per-network alias")?;
        }
        main.aliases.extend(self.network_alias.iter().cloned());
        main.links.extend(self.link.iter().cloned());
        if main.ip.is_some() && self.ip.is_some() {
            both("--ip and per-network IPv4 address")?;
        }
        main.ip = main.ip.or(self.ip);
        if main.ip6.is_some() && self.ip6.is_some() {
            both("--ip6 and per-network IPv6 address")?;
        }
        main.ip6 = main.ip6.or(self.ip6);
        let read = |text: &str| -> Result<Mac> {
            let text = parse_mac(text).map_err(|message| anyhow!(message))?;
            text.parse().map_err(|_| anyhow!(not_mac(&text)))
        };
        let mac = self.mac_address.as_deref().filter(|text| !text.is_empty()).map(read).transpose()?;
        if main.mac.is_some() && mac.is_some() {
            both("--mac-address and per-network MAC address")?;
        }
        main.mac = main.mac.or(mac);
        if !main.link_local_ips.is_empty() && !self.link_local_ip.is_empty() {
            both("--link-local-ip and per-network link-local IP addresses")?;
        }
        main.link_local_ips.extend(self.link_local_ip.iter().copied());
        Ok(())
    }
}

/// Refuses what makes no sense without a network of the container's own.
fn refuse(mode: &NetworkMode, main: &Attachment) -> Result<()> {
    let shared = matches!(mode, NetworkMode::Container(_));
    if !main.links.is_empty() && !matches!(mode, NetworkMode::None) {
        let kind = if shared { "container type network" } else { "host type networking" };
        bail!(
            "conflicting options: {kind} can't be used with links. This would result in undefined behavior"
        );
    }
    if main.mac.is_some() && shared {
        bail!("conflicting options: mac-address and the network mode");
    }
    if main.ip.is_some() || main.ip6.is_some() {
        bail!("user specified IP address is supported on user defined networks only");
    }
    if !main.aliases.is_empty() {
        bail!("network-scoped aliases are only supported for user-defined networks");
    }
    Ok(())
}

/// Checks `--network` as Docker's client does while it reads the line.
fn parse_network(text: &str) -> Result<String, String> {
    attachment(text).map(|_| text.to_owned())
}

/// Reads `--network`: a name, or `name=…,alias=…,ip=…` and so on.
fn attachment(text: &str) -> Result<Attachment, String> {
    let mut wish = Attachment::default();
    if !text.contains('=') {
        text.clone_into(&mut wish.network);
        return Ok(wish);
    }
    for field in text.split(',') {
        let field = field.trim_matches('"');
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!("invalid field {field}"));
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => value.clone_into(&mut wish.network),
            "alias" => wish.aliases.push(value.to_owned()),
            "driver-opt" => {
                let (name, value) = value
                    .split_once('=')
                    .ok_or_else(|| "invalid key value pair format in driver options".to_owned())?;
                wish.driver_opts.insert(name.trim().to_ascii_lowercase(), value.to_owned());
            }
            "ip" => wish.ip = Some(parse_ip4(value)?),
            "ip6" => wish.ip6 = Some(parse_ip6(value)?),
            "mac-address" => wish.mac = Some(parse_mac(value)?.parse().map_err(|_| not_mac(value))?),
            "link-local-ip" => wish.link_local_ips.push(parse_ip(value)?),
            "gw-priority" => {
                wish.gw_priority = value.parse().map_err(|_| format!("invalid gw-priority ({value})"))?;
            }
            key => return Err(format!("invalid field key {key}")),
        }
    }
    if wish.network.is_empty() { Err("network name/id is not specified".to_owned()) } else { Ok(wish) }
}

/// Reads an address of either family.
pub(in crate::cli) fn parse_ip(text: &str) -> Result<IpAddr, String> {
    text.trim().parse().map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

/// Reads `--ip`.
pub(in crate::cli) fn parse_ip4(text: &str) -> Result<Ipv4Addr, String> {
    text.trim().parse().map_err(|_| format!("invalid IPv4 address: {text}"))
}

/// Reads `--ip6`.
pub(in crate::cli) fn parse_ip6(text: &str) -> Result<Ipv6Addr, String> {
    text.trim().parse().map_err(|_| format!("invalid IPv6 address: {text}"))
}

fn not_mac(text: &str) -> String {
    format!("{text} is not a valid mac address")
}

fn parse_mac(text: &str) -> Result<String, String> {
    // The least bit of the first byte is for groups: no device can have such an address.
    match text.parse::<Mac>() {
        Ok(mac) if mac.0[0] & 1 == 0 => Ok(text.to_owned()),
        _ => Err(not_mac(text)),
    }
}

/// Reads `--link`: `container[:alias]`.
pub(in crate::cli) fn parse_link(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [""] | [] => Err("empty string specified for links".to_owned()),
        [name] => Ok(format!("{0}:{0}", name.trim_start_matches('/'))),
        [name, alias] if !name.is_empty() && !alias.is_empty() => {
            Ok(format!("{}:{}", name.trim_start_matches('/'), alias.trim_start_matches('/')))
        }
        _ => Err(format!("bad format for links: {text}")),
    }
}

fn parse_domain(text: &str) -> Result<String, String> {
    let domain = text.trim();
    let label = |label: &str| {
        (1..64).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain == "." || domain.trim_end_matches('.').split('.').all(label) {
        Ok(domain.trim_end_matches('.').to_owned()).map(|it| if it.is_empty() { ".".to_owned() } else { it })
    } else {
        Err(format!("{text} is not a valid domain"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(networks: &[&str]) -> NetworkFlags {
        NetworkFlags {
            network: networks.iter().map(ToString::to_string).collect(),
            ..NetworkFlags::default()
        }
    }

    fn wrong(flags: &NetworkFlags) -> String {
        flags.read().unwrap_err().to_string()
    }

    #[test]
    fn reads_modes() {
        let mode = |text: &str| flags(&[text]).read().unwrap().mode;
        assert_eq!(flags(&[]).read().unwrap().mode, NetworkMode::Default);
        assert_eq!(mode("bridge"), NetworkMode::Default);
        assert_eq!(mode("host"), NetworkMode::Host);
        assert_eq!(mode("none"), NetworkMode::None);
        assert_eq!(mode("container:db"), NetworkMode::Container("db".into()));
        assert_eq!(mode("web"), NetworkMode::Named("web".into()));
        let read = flags(&["a", "b"]).read().unwrap();
        let names: Vec<_> = read.networks.iter().map(|it| it.network.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn reads_the_long_form() {
        let text = "name=web,alias=www,alias=w,ip=10.0.0.9,ip6=fd00::9,mac-address=02:42:ac:11:00:09,\
                    driver-opt=a=b,gw-priority=3";
        let wish = attachment(text).unwrap();
        assert_eq!((wish.network.as_str(), wish.aliases.len(), wish.gw_priority), ("web", 2, 3));
        assert_eq!(wish.driver_opts["a"], "b");
        assert_eq!(wish.ip.unwrap().to_string(), "10.0.0.9");
        for text in [
            "alias=x",
            "name=a,b",
            "name=a,colour=red",
            "name=a,ip=x",
            "name=a,mac-address=01:00:00:00:00:00",
        ] {
            assert!(attachment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn complains_in_dockers_words() {
        assert_eq!(wrong(&flags(&["a", "a"])), "network \"a\" is specified multiple times");
        let user = "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
        assert_eq!(wrong(&flags(&["host", "a"])), user);
        assert_eq!(wrong(&flags(&["a", "none"])), user);
        let both = NetworkFlags { network_alias: vec!["x".into()], ..flags(&["name=a,alias=y"]) };
        assert_eq!(
            wrong(&both),
            "conflicting options: cannot specify both --network-alias and per-network alias"
        );
        let ip = NetworkFlags { ip: Some([10, 0, 0, 1].into()), ..flags(&["name=a,ip=10.0.0.2"]) };
        assert_eq!(wrong(&ip), "conflicting options: cannot specify both --ip and per-network IPv4 address");
        let link = NetworkFlags { link: vec!["db:db".into()], ..flags(&["container:x"]) };
        assert_eq!(
            wrong(&link),
            "conflicting options: container type network can't be used with links. This would result in undefined \
             behavior"
        );
    }

    #[test]
    fn reads_links_and_domains() {
        assert_eq!(parse_link("db").unwrap(), "db:db");
        assert_eq!(parse_link("/db:store").unwrap(), "db:store");
        assert_eq!(parse_link("a:b:c").unwrap_err(), "bad format for links: a:b:c");
        assert_eq!(parse_domain("example.org.").unwrap(), "example.org");
        assert_eq!(parse_domain(".").unwrap(), ".");
        assert_eq!(parse_domain("a..b").unwrap_err(), "a..b is not a valid domain");
        assert!(parse_mac("02:42:ac:11:00:02").is_ok() && parse_mac("01:42:ac:11:00:02").is_err());
    }
}
