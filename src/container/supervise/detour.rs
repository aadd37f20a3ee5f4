//! The way out of a container where the kernel has no packet rules for this user: pasta in the router's place.

use std::net::IpAddr;

use anyhow::Result;

use super::network::{port_requests, refused, unpublished};
use crate::container::config::{Attachment, ContainerConfig};
use crate::container::dir::{Alive, ContainerDir, Joined};
use crate::container::event;
use crate::container::network::names;
use crate::container::start::StartError;
use crate::network::protocol::{Refusal, RefusalKind};
use crate::network::{Network, Pasta, PastaRequest};
use crate::store::{Store, random_id};

/// Tells whether an error means that there can be no networks here.
pub(super) fn is_unsupported(error: &anyhow::Error) -> bool {
    let kind = |error: &anyhow::Error| error.downcast_ref::<Refusal>().map(|refusal| refusal.kind);
    kind(error) == Some(RefusalKind::Unsupported)
}

/// Has the waiting process of `place` reach others through pasta, where there can be no networks because of
/// `error`.
pub(super) fn fall_back(
    store: &Store,
    dir: &ContainerDir,
    config: &ContainerConfig,
    networks: &[(Attachment, Network)],
    place: (i32, &mut Alive),
    error: anyhow::Error,
) -> Result<Pasta> {
    let (pid, mark) = place;
    let failed = |text: String, hint: &str| -> anyhow::Error {
        let message = format!("failed to set up container networking: {text}");
        StartError { code: 125, message, hint: Some(hint.to_owned()) }.into()
    };
    let [(attachment, network)] = networks else {
        return Err(failed(
            format!("{error:#}"),
            "without networks a container can be in the default one only, or have --network host or --network none",
        ));
    };
    if network.name != "bridge" {
        return Err(refused(network, error));
    }
    if !attachment.links.is_empty() {
        return Err(failed(
            format!("{error:#}; without networks there are no links"),
            "publish the other container's ports, and use --network host",
        ));
    }
    if !Pasta::is_installed() {
        return Err(failed(
            format!("{error:#}"),
            "install pasta (package passt) for a way out, or use --network host, or --network none",
        ));
    }
    let ports = port_requests(config, network.host_binding().map(IpAddr::V4));
    let request = PastaRequest {
        pid,
        network,
        mac: attachment.mac,
        names: names(store, config, attachment),
        ports: &ports,
        forwards_dns: config.dns.is_empty(),
        dir: dir.path(),
    };
    let (pasta, endpoint, ports) = Pasta::start(&request).map_err(|cause| {
        if cause.is::<Refusal>() {
            let name = crate::container::name::of(store, &config.id).unwrap_or_default();
            return unpublished(&name, cause);
        }
        failed(format!("{error:#}; {cause:#}"), "use --network host, or --network none")
    })?;
    event::note_network(store, dir.id(), &endpoint, "connect");
    mark.networks.push(Joined { endpoint_id: random_id(), default_route: true, endpoint });
    mark.ports = ports;
    Ok(pasta)
}
