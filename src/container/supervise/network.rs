//! A running container's place in its networks: the connection to the router, and what was got over it.
//!
//! The connection is the registration: it is made before the container's process is let go, and dropped when
//! that process has ended. What the container got stands in `alive.json`. When the router dies, the connection
//! ends; whoever sees that first starts another router in the same namespace, and everybody repeats what they
//! have.

use std::fs::File;
use std::net::IpAddr;

use anyhow::{Context, Result};

use super::detour::{fall_back, is_unsupported};
use super::launch::Launched;
use crate::container::config::{Attachment, ContainerConfig};
use crate::container::dir::{Alive, ContainerDir, Joined};
use crate::container::etc::{self, Facts};
use crate::container::event;
use crate::container::link;
use crate::container::network::{default_route, endpoint_request, is_of, names, resolve};
use crate::container::start::StartError;
use crate::network::protocol::{
    EndpointRequest, HostPort, PortRequest, Protocol, PublishedPort, Refusal, RefusalKind,
};
use crate::network::{self, Network, Pasta, Router};
use crate::store::{Mode, Store, random_id};

/// What a container is to be in at its start.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) store: &'a Store,
    pub(super) dir: &'a ContainerDir,
    pub(super) config: &'a ContainerConfig,
    networks: Vec<(Attachment, Network)>,
}

impl<'a> Wish<'a> {
    /// Loads what the container is meant to be in now.
    pub(super) fn load(store: &'a Store, dir: &'a ContainerDir, config: &'a ContainerConfig) -> Result<Self> {
        let attachments = if config.network.is_bridged() { dir.attachments(config)? } else { Vec::new() };
        let networks = resolve(store, &attachments).context("failed to set up container networking")?;
        Ok(Self { store, dir, config, networks })
    }

    /// Connects to the router, or starts it; `None` if the container needs none. Done before the container's
    /// process is made, so that a router that starts does so meanwhile.
    pub(super) fn reach(&self) -> Result<Option<Router>> {
        if self.networks.is_empty() {
            return Ok(None);
        }
        Router::reach(self.store, &self.config.id).context("failed to set up container networking").map(Some)
    }

    /// Plugs the waiting process into all networks, publishes its ports and writes its files of `/etc`.
    /// Where there can be no networks, the connection is given up, and a [`Pasta`] is the way out.
    pub(super) fn plug(
        &self,
        router: &mut Option<Router>,
        launched: &Launched,
        mark: &mut Alive,
    ) -> Result<Option<Pasta>> {
        mark.networks.clear();
        mark.ports.clear();
        let mut pasta = None;
        if let Some(open) = router {
            match self.plug_in(open, launched, mark) {
                Err(error) if is_unsupported(&error) => {
                    *router = None;
                    mark.networks.clear();
                    let networks = &self.networks;
                    pasta = Some(fall_back(
                        self.store,
                        self.dir,
                        self.config,
                        networks,
                        (launched.pid(), mark),
                        error,
                    )?);
                }
                result => result?,
            }
        }
        write_etc(self.store, self.dir, self.config, &self.networks, mark, true)?;
        Ok(pasta)
    }

    fn plug_in(&self, router: &mut Router, launched: &Launched, mark: &mut Alive) -> Result<()> {
        let netns = launched.network()?;
        let first = default_route(&self.networks);
        for (attachment, network) in &self.networks {
            let leads = first == Some(network.id.as_str());
            let request = endpoint_request(self.store, self.config, attachment, leads);
            let endpoint = router
                .attach(&netns, network, &request, false)
                .map_err(|error| if is_unsupported(&error) { error } else { refused(network, error) })?;
            event::note_network(self.store, self.dir.id(), &endpoint, "connect");
            mark.networks.push(Joined { endpoint_id: random_id(), default_route: leads, endpoint });
        }
        mark.ports = publish(router, self.config, &self.networks, mark, self.store)?;
        Ok(())
    }

    /// Looks whether all networks are still there, after it was said that this container is in them.
    pub(super) fn confirm(&self) -> Result<()> {
        if self.networks.is_empty() {
            return Ok(());
        }
        let _lock = network::lock(self.store, Mode::Shared)?;
        for (_, network) in &self.networks {
            if !network::exists(self.store, &network.id) {
                anyhow::bail!("failed to set up container networking: network {} not found", network.id);
            }
        }
        Ok(())
    }
}

/// A container that runs, with the connection to the router if there is one.
#[derive(Debug)]
pub(super) struct Plugged<'a> {
    pub(super) store: &'a Store,
    pub(super) dir: &'a ContainerDir,
    pub(super) config: &'a ContainerConfig,
    pub(super) router: &'a mut Option<Router>,
    pub(super) pasta: &'a mut Option<Pasta>,
    pub(super) mark: &'a mut Alive,
}

impl Plugged<'_> {
    /// Puts the container into one more network, at once if it runs.
    pub(super) fn connect(&mut self, attachment: &Attachment) -> Result<()> {
        let mut attachments = self.dir.attachments(self.config)?;
        if attachments.iter().any(|it| is_of(it, &attachment.id, &attachment.network)) {
            anyhow::bail!("endpoint already exists in network {}", attachment.network);
        }
        attachments.push(attachment.clone());
        let networks = resolve(self.store, &attachments)?;
        if let Some(init) = self.mark.init {
            if self.pasta.is_some() {
                anyhow::bail!(
                    "container {} cannot be in another network: this machine lets this user make none, and it \
                     reaches others through pasta",
                    self.dir.id()
                );
            }
            if self.router.is_none() {
                *self.router = Some(Router::reach(self.store, &self.config.id)?);
            }
            let joined = self.join(&netns(init.pid)?, &networks, attachment);
            let mut result = joined.and_then(|()| self.lead(&networks));
            if let Err(error) = &result
                && is_unsupported(error)
                && self.mark.networks.is_empty()
            {
                *self.router = None;
                let (store, dir, config) = (self.store, self.dir, self.config);
                let error = std::mem::replace(&mut result, Ok(()));
                let found = error.map_or_else(
                    |error| fall_back(store, dir, config, &networks, (init.pid, self.mark), error).map(Some),
                    |()| Ok(None),
                );
                result = found.map(|found| *self.pasta = found);
            }
            if result.is_err() {
                self.withdraw(&attachment.id, &networks);
            }
            result?;
            let joined = self.mark.networks.iter().find(|it| it.endpoint.network_id == attachment.id);
            if let Some(joined) = joined {
                event::note_network(self.store, self.dir.id(), &joined.endpoint, "connect");
            }
            write_etc(self.store, self.dir, self.config, &networks, self.mark, false)?;
        }
        self.dir.put_attachments(&attachments)?;
        self.dir.put_alive(self.mark)
    }

    fn join(
        &mut self,
        netns: &File,
        networks: &[(Attachment, Network)],
        attachment: &Attachment,
    ) -> Result<()> {
        let (Some((_, network)), Some(router)) =
            (networks.iter().find(|(it, _)| it == attachment), self.router.as_mut())
        else {
            return Ok(());
        };
        let request = endpoint_request(self.store, self.config, attachment, false);
        let endpoint = router
            .attach(netns, network, &request, false)
            .map_err(|error| if is_unsupported(&error) { error } else { refused(network, error) })?;
        self.mark.networks.push(Joined { endpoint_id: random_id(), default_route: false, endpoint });
        Ok(())
    }

    /// Takes back a connection that did not come to be.
    fn withdraw(&mut self, id: &str, networks: &[(Attachment, Network)]) {
        if self.mark.networks.iter().any(|it| it.endpoint.network_id == id) {
            self.mark.networks.retain(|it| it.endpoint.network_id != id);
            let others: Vec<_> = networks.iter().filter(|(_, it)| it.id != id).cloned().collect();
            if let Some(router) = self.router.as_mut()
                && let Err(error) = router.detach(id).and_then(|()| self.lead(&others))
            {
                eprintln!("supervisor: leave network {id}: {error:#}");
            }
        }
        if self.mark.networks.is_empty() {
            *self.router = None;
        }
    }

    /// Takes the container out of a network, at once if it runs.
    pub(super) fn disconnect(&mut self, id: &str) -> Result<()> {
        let mut attachments = self.dir.attachments(self.config)?;
        let name = self.mark.networks.iter().find(|it| it.endpoint.network_id == id);
        let name = name.map(|it| it.endpoint.network.clone()).unwrap_or_default();
        attachments.retain(|it| !is_of(it, id, &name));
        if self.mark.networks.iter().any(|it| it.endpoint.network_id == id) {
            if let Some(router) = self.router.as_mut() {
                router.detach(id)?;
            }
            for joined in self.mark.networks.extract_if(.., |it| it.endpoint.network_id == id) {
                event::note_network(self.store, self.dir.id(), &joined.endpoint, "disconnect");
            }
        }
        if self.mark.networks.is_empty() {
            *self.router = None;
            *self.pasta = None;
            self.mark.ports.clear();
        }
        let networks = resolve(self.store, &attachments).unwrap_or_default();
        if self.mark.init.is_some() {
            self.lead(&networks)?;
            write_etc(self.store, self.dir, self.config, &networks, self.mark, false)?;
        }
        self.dir.put_attachments(&attachments)?;
        self.dir.put_alive(self.mark)
    }

    /// Gives the default route, and what comes to the published ports, to the network that is to have them now.
    /// As in Docker, a container has its ports on the host as long as it is in a network that leads anywhere.
    fn lead(&mut self, networks: &[(Attachment, Network)]) -> Result<()> {
        let Some(router) = self.router.as_mut() else { return Ok(()) };
        let leader = default_route(networks);
        let before = self.mark.networks.iter().find(|it| it.default_route);
        let stays = before.map(|it| it.endpoint.network_id.as_str()) == leader;
        if !stays {
            router.lead(leader)?;
            for joined in &mut self.mark.networks {
                joined.default_route = leader == Some(joined.endpoint.network_id.as_str());
            }
        }
        let Some((_, network)) = networks.iter().find(|(_, it)| leader == Some(it.id.as_str())) else {
            if !self.mark.ports.is_empty() {
                router.publish(&[], false)?;
                self.mark.ports.clear();
            }
            return Ok(());
        };
        // Ports that are open stay: they lead to the new network already. Only one that has another address of
        // the host for them needs others.
        let binding = network.host_binding().map(IpAddr::V4);
        let fits = |port: &PublishedPort| {
            let asked = self.config.ports.iter().any(|it| it.host_ip == Some(port.host_ip));
            asked || binding.map_or(port.host_ip.is_unspecified(), |binding| port.host_ip == binding)
        };
        if self.mark.ports.is_empty() || !self.mark.ports.iter().all(fits) {
            self.mark.ports.clear();
            self.mark.ports = publish(router, self.config, networks, self.mark, self.store)?;
        }
        Ok(())
    }

    /// The container has another name, or one that it is linked to another address.
    pub(super) fn refresh(&mut self) -> Result<()> {
        let Some(router) = self.router.as_mut() else { return Ok(()) };
        let attachments = self.dir.attachments(self.config)?;
        for attachment in &attachments {
            let joined = self.mark.networks.iter_mut();
            let found =
                joined.map(|it| &mut it.endpoint).find(|it| is_of(attachment, &it.network_id, &it.network));
            if let Some(endpoint) = found {
                endpoint.names = names(self.store, self.config, attachment);
                router.rename(&endpoint.network_id, &endpoint.names)?;
            }
        }
        let networks = resolve(self.store, &attachments)?;
        write_etc(self.store, self.dir, self.config, &networks, self.mark, false)?;
        self.dir.put_alive(self.mark)
    }

    /// The router has died: finds or starts another, and repeats there what the container has. Without the old
    /// connection, an attempt before this one has failed.
    pub(super) fn replace(&mut self, router: Option<Router>) -> Result<()> {
        let init = self.mark.init.context("the container has ended")?;
        let netns = netns(init.pid)?;
        let mut router = match router {
            Some(router) => router.again()?,
            None => Router::reach(self.store, &self.config.id)?,
        };
        let attachments = self.dir.attachments(self.config)?;
        let networks = resolve(self.store, &attachments)?;
        for joined in &mut self.mark.networks {
            let Some((attachment, network)) =
                networks.iter().find(|(_, network)| network.id == joined.endpoint.network_id)
            else {
                continue;
            };
            let request = endpoint_request(self.store, self.config, attachment, joined.default_route);
            joined.endpoint = router.attach(&netns, network, &held(joined, request), true)?;
        }
        if !self.mark.ports.is_empty() {
            let ports: Vec<PortRequest> = self.mark.ports.iter().map(again).collect();
            self.mark.ports = router.publish(&ports, true)?;
        }
        *self.router = Some(router);
        // What has changed while there was no router.
        self.lead(&networks)?;
        self.dir.put_alive(self.mark)
    }
}

/// Asks for exactly what the container has.
fn held(joined: &Joined, request: EndpointRequest) -> EndpointRequest {
    let endpoint = &joined.endpoint;
    EndpointRequest {
        interface: Some(endpoint.interface.clone()),
        ip: endpoint.ip.map(|(address, _)| address),
        ip6: endpoint.ip6.map(|(address, _)| address),
        mac: Some(endpoint.mac),
        ..request
    }
}

fn again(port: &PublishedPort) -> PortRequest {
    PortRequest {
        container_port: port.container_port,
        protocol: port.protocol,
        host_ip: Some(port.host_ip),
        host_port: HostPort::One(port.host_port),
    }
}

fn netns(pid: i32) -> Result<File> {
    let path = format!("/proc/{pid}/ns/net");
    File::open(&path).with_context(|| format!("open {path}"))
}

/// Decides which ports are to be published: those asked for, and with `-P` the declared ones that are not.
pub(super) fn port_requests(config: &ContainerConfig, binding: Option<IpAddr>) -> Vec<PortRequest> {
    let mut ports = config.ports.clone();
    if config.publish_all {
        for text in &config.exposed_ports {
            let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => continue,
            };
            let Ok(container_port) = number.parse() else { continue };
            if !ports.iter().any(|it| (it.container_port, it.protocol) == (container_port, protocol)) {
                ports.push(PortRequest { container_port, protocol, host_ip: None, host_port: HostPort::Any });
            }
        }
    }
    for port in &mut ports {
        port.host_ip = port.host_ip.or(binding);
    }
    ports
}

fn publish(
    router: &mut Router,
    config: &ContainerConfig,
    networks: &[(Attachment, Network)],
    mark: &Alive,
    store: &Store,
) -> Result<Vec<PublishedPort>> {
    // As in Docker: what reaches nothing is not reached either.
    let leader = default_route(networks);
    let Some((_, network)) = networks.iter().find(|(_, network)| Some(network.id.as_str()) == leader) else {
        return Ok(Vec::new());
    };
    let ports = port_requests(config, network.host_binding().map(IpAddr::V4));
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    router.publish(&ports, false).map_err(|error| {
        let joined = mark.networks.iter().find(|it| it.endpoint.network_id == network.id);
        let id = joined.map(|it| it.endpoint_id.clone()).unwrap_or_default();
        let name = crate::container::name::of(store, &config.id).unwrap_or_default();
        unpublished(&format!("{name} ({id})"), error)
    })
}

/// Says in Docker's words why a container could not get into a network.
pub(super) fn refused(network: &Network, error: anyhow::Error) -> anyhow::Error {
    let said = |text: String| -> anyhow::Error {
        let message = format!("failed to set up container networking: {text}");
        StartError { code: 125, message, hint: None }.into()
    };
    match error.downcast_ref::<Refusal>().map(|refusal| refusal.kind) {
        Some(RefusalKind::AddressInUse) => said("Address already in use".to_owned()),
        Some(RefusalKind::NoAddressLeft) => said(format!(
            "no available IPv4 addresses on this network's address pools: {} ({})",
            network.name, network.id
        )),
        Some(RefusalKind::Unsupported) => StartError {
            code: 125,
            message: format!("failed to set up container networking: {error:#}"),
            hint: Some(
                "leave --network out to reach others through pasta, if that is installed, or use --network host, or \
                 --network none"
                    .to_owned(),
            ),
        }
        .into(),
        _ => said(format!("{error:#}")),
    }
}

/// Says in Docker's words why a port could not be had.
pub(super) fn unpublished(endpoint: &str, error: anyhow::Error) -> anyhow::Error {
    let said = |text: String, hint| -> anyhow::Error {
        let message = format!(
            "failed to set up container networking: driver failed programming external connectivity on endpoint \
             {endpoint}: {text}"
        );
        StartError { code: 125, message, hint }.into()
    };
    match error.downcast_ref::<Refusal>().map(|refusal| refusal.kind) {
        Some(RefusalKind::PortAllocated { ip, port }) => {
            let address = std::net::SocketAddr::new(ip, port);
            said(format!("Bind for {address} failed: port is already allocated"), None)
        }
        Some(RefusalKind::PortDenied { port }) => said(
            format!("cannot expose privileged port {port}: permission denied"),
            Some(format!(
                "use a port of 1024 or above, or have an administrator lower the limit: sysctl \
                 net.ipv4.ip_unprivileged_port_start={port}"
            )),
        ),
        _ => said(format!("{error:#}"), None),
    }
}

/// Writes `hosts` and `resolv.conf` for what the container is in now.
fn write_etc(
    store: &Store,
    dir: &ContainerDir,
    config: &ContainerConfig,
    networks: &[(Attachment, Network)],
    mark: &Alive,
    starts: bool,
) -> Result<()> {
    let mut facts = Facts::default();
    for joined in &mark.networks {
        let endpoint = &joined.endpoint;
        facts.own.extend(endpoint.ip.map(|(address, _)| IpAddr::V4(address)));
        facts.own.extend(endpoint.ip6.map(|(address, _)| IpAddr::V6(address)));
        if (joined.default_route || facts.nameserver.is_none()) && !endpoint.dns.is_unspecified() {
            facts.nameserver = Some(endpoint.dns);
        }
        let gateway = endpoint.gateway.map(IpAddr::V4).or(endpoint.gateway6.map(IpAddr::V6));
        if joined.default_route {
            facts.gateway = gateway;
        }
    }
    for (attachment, network) in networks {
        facts.links.extend(link::lines(store, config, attachment, network, starts)?);
    }
    etc::write(dir.path(), config, &facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::spec::tests::config;

    fn port(container_port: u16, host_port: HostPort) -> PortRequest {
        PortRequest { container_port, protocol: Protocol::Tcp, host_ip: None, host_port }
    }

    #[test]
    fn publishes_all_that_is_declared_and_not_asked_for() {
        let mut config = config();
        config.exposed_ports = ["80/tcp", "53/udp", "9/sctp"].map(str::to_owned).into();
        config.ports = vec![port(80, HostPort::One(8080))];
        assert_eq!(port_requests(&config, None), config.ports);
        config.publish_all = true;
        let all = port_requests(&config, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].container_port, all[1].protocol), (53, Protocol::Udp));
        assert!(all.iter().all(|port| port.host_ip.is_some()));
    }

    #[test]
    fn complains_in_dockers_words() {
        let kind = RefusalKind::PortAllocated { ip: "0.0.0.0".parse().unwrap(), port: 80 };
        let error = unpublished("web (abc)", Refusal::new(kind, "taken").into());
        assert_eq!(
            error.to_string(),
            "failed to set up container networking: driver failed programming external connectivity on endpoint web \
             (abc): Bind for 0.0.0.0:80 failed: port is already allocated"
        );
        let error = unpublished("web (abc)", Refusal::new(RefusalKind::PortDenied { port: 80 }, "no").into());
        let hint = error.downcast_ref::<StartError>().unwrap().hint.clone().unwrap();
        assert!(hint.ends_with("sysctl net.ipv4.ip_unprivileged_port_start=80"), "{hint}");
    }
}
