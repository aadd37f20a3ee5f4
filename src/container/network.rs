//! Containers and networks: who is in which, and getting in and out.
//!
//! What a container is *meant* to be in is a record beside its configuration ([`Attachment`]). What it *is* in
//! is what its supervisor says while it lives ([`Joined`]); nothing of that outlasts the supervisor.

use std::collections::HashSet;
use std::net::IpAddr;

use anyhow::{Result, bail};

use super::config::{Attachment, ContainerConfig, NetworkMode};
use super::dir::{ContainerDir, Joined};
use super::protocol::Request;
use super::status::{Status, observe_and_mend};
use super::{link, name};
use crate::network::protocol::EndpointRequest;
use crate::network::{self, Found, Network};
use crate::store::{Mode, Store};

/// A running container that is in a network.
#[derive(Debug, Clone)]
pub struct Member {
    /// The container's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is there.
    pub joined: Joined,
}

/// Returns the running containers that are in the network `id`.
pub fn members(store: &Store, id: &str) -> Result<Vec<Member>> {
    let mut names = name::by_id(store)?;
    let mut found = Vec::new();
    for container in name::ids(store)? {
        let dir = ContainerDir::new(store, &container);
        let Ok(Some(alive)) = dir.alive() else { continue };
        let Some(joined) = alive.networks.into_iter().find(|it| it.endpoint.network_id == id) else {
            continue;
        };
        if dir.is_alive().unwrap_or(false) {
            found.push(Member { name: names.remove(&container).unwrap_or_default(), id: container, joined });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Removes the network called `name`. With `force`, one that is not there is no error.
pub fn remove_network(store: &Store, name: &str) -> Result<()> {
    let network = match network::find(store, name)? {
        Found::Network(network) if network.name != "bridge" => network,
        found => bail!("{} is a pre-defined network and cannot be removed", found.name()),
    };
    let _lock = network::lock(store, Mode::Exclusive)?;
    let members = members(store, &network.id)?;
    if !members.is_empty() {
        let all: Vec<String> = members
            .iter()
            .map(|it| format!("name:\"{}\" id:\"{}\"", it.name, &it.joined.endpoint_id[..12]))
            .collect();
        bail!(
            "error while removing network: network {} has active endpoints ({})",
            network.name,
            all.join(", ")
        );
    }
    network::remove(store, &network)
}

/// Returns the networks of the user's that no container is meant to be in, stopped or not.
pub fn unused_networks(store: &Store) -> Result<Vec<Network>> {
    let mut used: HashSet<String> = HashSet::new();
    for summary in super::list(store)? {
        used.extend(summary.networks.into_iter().map(|it| it.id));
        if let Status::Running(alive) | Status::Restarting(alive) = summary.status {
            used.extend(alive.networks.into_iter().map(|it| it.endpoint.network_id));
        }
    }
    let mut networks = network::list(store)?;
    networks.retain(|network| network.name != "bridge" && !used.contains(&network.id));
    Ok(networks)
}

/// Puts a container into a network: at once if it runs, else when it is started.
pub fn connect(store: &Store, dir: &ContainerDir, mut attachment: Attachment) -> Result<()> {
    let config = dir.config()?;
    let network = match network::find(store, &attachment.network)? {
        Found::Network(network) => network,
        Found::Predefined(known) if known == network::HOST => {
            bail!("container cannot be disconnected from host network or connected to host network")
        }
        Found::Predefined(_) => bail!(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        ),
    };
    refuse_shared(&config)?;
    attachment.network.clone_from(&network.name);
    attachment.id.clone_from(&network.id);
    check(&attachment, &network)?;
    link::fix(store, &mut attachment)?;
    if is_meant(dir, &config, &network)? {
        let name = name::of(store, dir.id()).unwrap_or_default();
        bail!("endpoint with name {name} already exists in network {}", network.name);
    }
    change(store, dir, &Request::Connect(Box::new(attachment.clone())), |attachments| {
        attachments.push(attachment.clone());
    })
}

/// Takes a container out of a network.
pub fn disconnect(store: &Store, dir: &ContainerDir, text: &str, force: bool) -> Result<()> {
    let config = dir.config()?;
    let attachments = dir.attachments(&config)?;
    let (id, name) = match network::find(store, text) {
        Ok(Found::Network(network)) => (network.id, network.name),
        Ok(Found::Predefined(known)) if known == network::HOST => {
            bail!("container cannot be disconnected from host network or connected to host network")
        }
        Ok(Found::Predefined(known)) => (known.id.to_owned(), known.name.to_owned()),
        // A network that is gone can still be left.
        Err(error) => match attachments.iter().find(|it| force && (it.network == text || it.id == text)) {
            Some(left) => (left.id.clone(), left.network.clone()),
            None => return Err(error),
        },
    };
    if !attachments.iter().any(|it| is_of(it, &id, &name)) {
        bail!("container {} is not connected to network {name}", dir.id());
    }
    let request = Request::Disconnect { network: id.clone() };
    change(store, dir, &request, |attachments| attachments.retain(|it| !is_of(it, &id, &name)))
}

/// Changes what a container is meant to be in: its supervisor does, or who holds its lock if there is none.
fn change(
    store: &Store,
    dir: &ContainerDir,
    request: &Request,
    change: impl FnOnce(&mut Vec<Attachment>),
) -> Result<()> {
    observe_and_mend(dir)?;
    {
        let _lock = dir.lock()?;
        if !dir.is_alive()? {
            let config = dir.config()?;
            let mut attachments = dir.attachments(&config)?;
            change(&mut attachments);
            return dir.put_attachments(&attachments);
        }
    }
    super::control::have_done(store, dir, request)
}

fn refuse_shared(config: &ContainerConfig) -> Result<()> {
    match config.network {
        NetworkMode::Container(_) => bail!(
            "container sharing network namespace with another container or host cannot be connected to any other \
             network"
        ),
        NetworkMode::Host => {
            bail!("container cannot be disconnected from host network or connected to host network")
        }
        NetworkMode::None => bail!(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        ),
        NetworkMode::Default | NetworkMode::Named(_) => Ok(()),
    }
}

fn is_meant(dir: &ContainerDir, config: &ContainerConfig, network: &Network) -> Result<bool> {
    Ok(dir.attachments(config)?.iter().any(|it| is_of(it, &network.id, &network.name)))
}

/// Tells whether an attachment is to the network with this id, or, if it was made before the network was, with
/// this name.
pub(super) fn is_of(attachment: &Attachment, id: &str, name: &str) -> bool {
    if attachment.id.is_empty() { attachment.network == name } else { attachment.id == id }
}

/// The option of an endpoint that names the device in the container.
const INTERFACE: &str = "com.docker.network.endpoint.ifname";

/// Tells whether the kernel takes a name for a device (`dev_valid_name`), and it is none of its own.
fn is_device_name(name: &str) -> bool {
    (1..16).contains(&name.len())
        && !matches!(name, "." | ".." | "lo" | "all" | "default")
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%'))
}

/// Refuses what a container cannot be in a network.
pub(super) fn check(attachment: &Attachment, network: &Network) -> Result<()> {
    let mut complaints = Vec::new();
    let wishes = attachment.ip.map(IpAddr::V4).into_iter().chain(attachment.ip6.map(IpAddr::V6));
    for address in wishes {
        if network.name == "bridge" {
            for what in [
                "on user defined networks only",
                "only when connecting to networks with user configured subnets",
            ] {
                complaints.push(format!("user specified IP address is supported {what}"));
            }
        } else if !network.subnets.iter().any(|subnet| subnet.subnet.contains(address)) {
            complaints.push(format!("no configured subnet contains IP address {address}"));
        }
    }
    if network.name == "bridge" && !attachment.aliases.is_empty() {
        complaints.push("network-scoped aliases are only supported for user-defined networks".to_owned());
    }
    if let Some(name) = attachment.driver_opts.get(INTERFACE)
        && !is_device_name(name)
    {
        complaints.push(format!("invalid value for {INTERFACE}: {name:?} is not a name for a device"));
    }
    if !attachment.link_local_ips.is_empty() {
        complaints
            .push("link-local IP addresses are not supported: the kernel gives devices theirs".to_owned());
    }
    if complaints.is_empty() {
        return Ok(());
    }
    let list = match complaints.as_slice() {
        [one] => one.clone(),
        all => all.iter().map(|it| format!("* {it}")).collect::<Vec<_>>().join("\n"),
    };
    bail!("invalid config for network {}: invalid endpoint settings:\n{list}", network.name)
}

/// Loads the records of the networks that a container is to be in.
pub(super) fn resolve(store: &Store, attachments: &[Attachment]) -> Result<Vec<(Attachment, Network)>> {
    let mut found = Vec::new();
    let networks = network::list(store)?;
    for attachment in attachments {
        let known = networks.iter().find(|it| is_of(attachment, &it.id, &it.name)).cloned();
        let known = match known {
            Some(known) => known,
            None if attachment.network == "bridge" => network::default(store)?,
            None if attachment.id.is_empty() => bail!("network {} not found", attachment.network),
            None => bail!("network {} not found", attachment.id),
        };
        found.push((attachment.clone(), known));
    }
    Ok(found)
}

/// Returns the network that has the default route: of those that lead anywhere, the one with the highest
/// priority, then the one whose name comes first.
pub(super) fn default_route(networks: &[(Attachment, Network)]) -> Option<&str> {
    let leading = networks.iter().filter(|(_, network)| !network.internal);
    let best = leading.min_by_key(|(attachment, network)| (-attachment.gw_priority, network.name.as_str()));
    best.map(|(_, network)| network.id.as_str())
}

/// Says what a container wants to be in a network.
pub(super) fn endpoint_request(
    store: &Store,
    config: &ContainerConfig,
    attachment: &Attachment,
    default_route: bool,
) -> EndpointRequest {
    let mut links = Vec::new();
    for text in &attachment.links {
        let (container, alias) = link::parts(text);
        // One that is not there may come to be later, where names are those of the network.
        let found = link::linked(store, text).map(|(dir, _)| dir.id().to_owned());
        links.push((alias, found.unwrap_or(container)));
    }
    EndpointRequest {
        interface: attachment.driver_opts.get(INTERFACE).cloned(),
        ip: attachment.ip,
        ip6: attachment.ip6,
        mac: attachment.mac,
        names: names(store, config, attachment),
        hostname: config.hostname.clone(),
        default_route,
        links,
        dns: config.dns.clone(),
    }
}

/// Returns every name of a container in a network: its own, its aliases, its short id, its host name.
pub(super) fn names(store: &Store, config: &ContainerConfig, attachment: &Attachment) -> Vec<String> {
    let mut names: Vec<String> = name::of(store, &config.id).into_iter().collect();
    let more = attachment.aliases.iter().cloned();
    for other in more.chain([config.id.get(..12).unwrap_or_default().to_owned(), config.hostname.clone()]) {
        if !names.contains(&other) {
            names.push(other);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::network::Driver;

    fn network(name: &str, internal: bool, priority: i64) -> (Attachment, Network) {
        let attachment = Attachment { network: name.into(), gw_priority: priority, ..Attachment::default() };
        let network = Network {
            id: format!("{name}-id"),
            name: name.into(),
            created: String::new(),
            driver: Driver::Bridge,
            subnets: vec![crate::network::Subnet {
                subnet: "10.1.0.0/24".parse().unwrap(),
                gateway: "10.1.0.1".parse().unwrap(),
                ip_range: None,
                aux: BTreeMap::new(),
            }],
            internal,
            ipv6: false,
            attachable: false,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        };
        (attachment, network)
    }

    #[test]
    fn the_default_route_follows_priority_then_name() {
        let of = |networks: &[(Attachment, Network)]| default_route(networks).map(str::to_owned);
        assert_eq!(of(&[network("b", false, 0), network("a", false, 0)]).unwrap(), "a-id");
        assert_eq!(of(&[network("b", false, 1), network("a", false, 0)]).unwrap(), "b-id");
        assert_eq!(of(&[network("a", true, 5), network("b", false, -1)]).unwrap(), "b-id");
        assert_eq!(of(&[network("a", true, 0)]), None);
    }

    #[test]
    fn refuses_addresses_in_dockers_words() {
        let (attachment, web) = network("web", false, 0);
        let wish = Attachment { ip: Some("10.2.0.9".parse().unwrap()), ..attachment.clone() };
        assert_eq!(
            check(&wish, &web).unwrap_err().to_string(),
            "invalid config for network web: invalid endpoint settings:\nno configured subnet contains IP address 10.2.0.9"
        );
        let wish = Attachment { ip: Some("10.1.0.9".parse().unwrap()), ..attachment };
        check(&wish, &web).unwrap();
        let (mut named, _) = network("web", false, 0);
        named.driver_opts.insert(INTERFACE.to_owned(), "up/down".to_owned());
        assert!(check(&named, &web).unwrap_err().to_string().contains("not a name for a device"));
        named.driver_opts.insert(INTERFACE.to_owned(), "up0".to_owned());
        check(&named, &web).unwrap();
        let (_, bridge) = network("bridge", false, 0);
        assert!(
            check(&wish, &bridge)
                .unwrap_err()
                .to_string()
                .contains("\n* user specified IP address is supported on user defined networks only\n* ")
        );
    }
}
