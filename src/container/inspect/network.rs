//! What `inspect` tells of networks: those of a container, and a network itself.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::container::config::{Attachment, ContainerConfig, NetworkMode};
use crate::container::dir::{Alive, Joined};
use crate::container::name;
use crate::container::network::{is_of, members, names};
use crate::container::status::Status;
use crate::network::protocol::{HostPort, PortRequest, PublishedPort};
use crate::network::{self, Found, HOST, NONE, Network, Predefined};
use crate::store::Store;

/// Returns the network as `docker network inspect` shows it.
pub fn inspect_network(store: &Store, name: &str) -> Result<Value> {
    match network::find(store, name)? {
        Found::Network(network) => record(store, &network),
        Found::Predefined(known) => Ok(predefined(known)),
    }
}

fn record(store: &Store, network: &Network) -> Result<Value> {
    let config: Vec<Value> = network
        .subnets
        .iter()
        .map(|subnet| {
            let mut value = json!({ "Subnet": subnet.subnet });
            if let Some(range) = &subnet.ip_range {
                value["IPRange"] = json!(range);
            }
            value["Gateway"] = json!(subnet.gateway);
            if !subnet.aux.is_empty() {
                value["AuxiliaryAddresses"] = json!(subnet.aux);
            }
            value
        })
        .collect();
    let mut containers = Map::new();
    for member in members(store, &network.id)? {
        let endpoint = &member.joined.endpoint;
        let value = json!({
            "Name": member.name,
            "EndpointID": member.joined.endpoint_id,
            "MacAddress": endpoint.mac,
            "IPv4Address": endpoint.ip.map_or_else(String::new, |(ip, prefix)| format!("{ip}/{prefix}")),
            "IPv6Address": endpoint.ip6.map_or_else(String::new, |(ip, prefix)| format!("{ip}/{prefix}")),
        });
        containers.insert(member.id, value);
    }
    let mut options = network.options.clone();
    if network.name == "bridge" {
        for (key, value) in [
            ("com.docker.network.bridge.default_bridge", "true".to_owned()),
            ("com.docker.network.bridge.enable_icc", "true".to_owned()),
            ("com.docker.network.bridge.enable_ip_masquerade", "true".to_owned()),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0".to_owned()),
            ("com.docker.network.bridge.name", network.bridge()),
            ("com.docker.network.driver.mtu", network.mtu().to_string()),
        ] {
            options.insert(key.to_owned(), value);
        }
    }
    Ok(json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv4": network.subnet4().is_some(),
        "EnableIPv6": network.ipv6,
        "IPAM": { "Driver": "default", "Options": {}, "Config": config },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": options,
        "Labels": network.labels,
    }))
}

fn predefined(known: Predefined) -> Value {
    json!({
        "Name": known.name,
        "Id": known.id,
        "Created": super::NEVER,
        "Scope": "local",
        "Driver": known.driver,
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": null },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": {},
        "Options": {},
        "Labels": {},
    })
}

/// Returns `NetworkSettings` of a container.
pub(super) fn settings(
    store: &Store,
    config: &ContainerConfig,
    attachments: &[Attachment],
    status: &Status,
) -> Value {
    let alive = match status {
        Status::Running(alive) => Some(alive),
        _ => None,
    };
    let shared = matches!(config.network, NetworkMode::Container(_));
    let (mut id, mut key) = (String::new(), String::new());
    if let Some(init) = alive.and_then(|alive| alive.init).filter(|_| !shared) {
        id.clone_from(&config.id);
        key = format!("/proc/{}/ns/net", init.pid);
    }
    let networks = networks(store, config, attachments, alive);
    // Docker has dropped these at the top, where they were those of the default network; scripts still read them.
    let first = networks.get("bridge").or_else(|| networks.values().next()).cloned();
    let top = |key: &str, empty: Value| first.as_ref().map_or(empty, |first| first[key].clone());
    json!({
        "Bridge": "",
        "SandboxID": id,
        "SandboxKey": key,
        "Ports": ports(config, alive),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": top("EndpointID", json!("")),
        "Gateway": top("Gateway", json!("")),
        "GlobalIPv6Address": top("GlobalIPv6Address", json!("")),
        "GlobalIPv6PrefixLen": top("GlobalIPv6PrefixLen", json!(0)),
        "IPAddress": top("IPAddress", json!("")),
        "IPPrefixLen": top("IPPrefixLen", json!(0)),
        "IPv6Gateway": top("IPv6Gateway", json!("")),
        "MacAddress": top("MacAddress", json!("")),
        "Networks": networks,
    })
}

fn networks(
    store: &Store,
    config: &ContainerConfig,
    attachments: &[Attachment],
    alive: Option<&Alive>,
) -> Map<String, Value> {
    let mut found = Map::new();
    match &config.network {
        NetworkMode::Host | NetworkMode::None => {
            let known = if config.network == NetworkMode::Host { HOST } else { NONE };
            found
                .insert(known.name.to_owned(), endpoint(&Attachment::default(), known.id, None, Value::Null));
        }
        NetworkMode::Container(_) => {}
        NetworkMode::Default | NetworkMode::Named(_) => {
            for attachment in attachments {
                let joined = alive.and_then(|alive| {
                    alive
                        .networks
                        .iter()
                        .find(|it| is_of(attachment, &it.endpoint.network_id, &it.endpoint.network))
                });
                let id = joined.map_or(attachment.id.as_str(), |it| it.endpoint.network_id.as_str());
                // As in Docker, whose default network knows no names, although ours does.
                let names = match attachment.network.as_str() {
                    "bridge" => Value::Null,
                    _ => json!(names(store, config, attachment)),
                };
                found.insert(attachment.network.clone(), endpoint(attachment, id, joined, names));
            }
        }
    }
    found
}

fn endpoint(attachment: &Attachment, id: &str, joined: Option<&Joined>, names: Value) -> Value {
    let list = |words: &[String]| if words.is_empty() { Value::Null } else { json!(words) };
    let there = joined.map(|joined| &joined.endpoint);
    let text = |text: Option<String>| text.unwrap_or_default();
    let (ip, ip6) = (there.and_then(|it| it.ip), there.and_then(|it| it.ip6));
    let mut wishes = BTreeMap::new();
    wishes.extend(attachment.ip.map(|ip| ("IPv4Address", json!(ip))));
    wishes.extend(attachment.ip6.map(|ip| ("IPv6Address", json!(ip))));
    let wished = attachment.mac.map(|mac| mac.to_string());
    json!({
        "IPAMConfig": if wishes.is_empty() { Value::Null } else { json!(wishes) },
        // Those on the default network are told with the container's own settings.
        "Links": if attachment.network == "bridge" { Value::Null } else { list(&attachment.links) },
        "Aliases": list(&attachment.aliases),
        "DriverOpts": if attachment.driver_opts.is_empty() { Value::Null } else { json!(attachment.driver_opts) },
        "GwPriority": attachment.gw_priority,
        "NetworkID": id,
        "EndpointID": text(joined.map(|joined| joined.endpoint_id.clone())),
        "Gateway": text(there.and_then(|it| it.gateway).filter(|_| ip.is_some()).map(|it| it.to_string())),
        "IPAddress": text(ip.map(|(ip, _)| ip.to_string())),
        "MacAddress": text(there.map(|it| it.mac.to_string()).or(wished)),
        "IPPrefixLen": ip.map_or(0, |(_, prefix)| prefix),
        "IPv6Gateway": text(there.and_then(|it| it.gateway6).filter(|_| ip6.is_some()).map(|it| it.to_string())),
        "GlobalIPv6Address": text(ip6.map(|(ip, _)| ip.to_string())),
        "GlobalIPv6PrefixLen": ip6.map_or(0, |(_, prefix)| prefix),
        "DNSNames": names,
    })
}

/// Returns the ports of a running container: those that the host has, and the declared ones with nothing.
fn ports(config: &ContainerConfig, alive: Option<&Alive>) -> Value {
    let mut found: Map<String, Value> = Map::new();
    let Some(alive) = alive.filter(|_| config.network.is_bridged()) else { return json!({}) };
    for port in &config.exposed_ports {
        found.insert(port.clone(), Value::Null);
    }
    let mut published: Vec<&PublishedPort> = alive.ports.iter().collect();
    published.sort_by_key(|port| (port.host_ip, port.host_port));
    for port in published {
        let key = format!("{}/{}", port.container_port, port.protocol.name());
        let at = json!({ "HostIp": port.host_ip, "HostPort": port.host_port.to_string() });
        match found.get_mut(&key).and_then(Value::as_array_mut) {
            Some(list) => list.push(at),
            None => {
                found.insert(key, json!([at]));
            }
        }
    }
    found.into()
}

/// Returns the ports as they were asked for.
pub(super) fn bindings(ports: &[PortRequest]) -> Value {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in ports {
        let host = match port.host_port {
            HostPort::Any => String::new(),
            HostPort::One(port) => port.to_string(),
            HostPort::Range(first, last) => format!("{first}-{last}"),
        };
        let key = format!("{}/{}", port.container_port, port.protocol.name());
        let ip = port.host_ip.map_or_else(String::new, |ip| ip.to_string());
        found.entry(key).or_default().push(json!({ "HostIp": ip, "HostPort": host }));
    }
    json!(found)
}

/// Returns `HostConfig.Links`: `/db:/web/store`.
pub(super) fn links(store: &Store, attachments: &[Attachment], name: &str) -> Value {
    let legacy = attachments.iter().filter(|it| it.network == "bridge").flat_map(|it| &it.links);
    let all: Vec<String> = legacy
        .map(|link| link.split_once(':').unwrap_or((link, link)))
        .map(|(id, alias)| {
            let container = name::of(store, id).unwrap_or_else(|| id.to_owned());
            format!("/{container}:/{name}/{alias}")
        })
        .collect();
    if all.is_empty() { Value::Null } else { json!(all) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::spec::tests::config;
    use crate::network::protocol::{Endpoint, Protocol};
    use crate::store::tests::scratch;

    fn alive() -> Alive {
        let mark = crate::container::ProcessMark { pid: 7, start: 1 };
        let endpoint = Endpoint {
            network_id: "n".repeat(64),
            network: "web".into(),
            interface: "eth0".into(),
            mac: "02:42:0a:01:00:02".parse().unwrap(),
            ip: Some(("10.1.0.2".parse().unwrap(), 24)),
            ip6: None,
            gateway: Some("10.1.0.1".parse().unwrap()),
            gateway6: None,
            names: vec!["a".into()],
            dns: "10.1.0.1".parse().unwrap(),
            linked_by: Vec::new(),
        };
        let port = |ip: &str| PublishedPort {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: ip.parse().unwrap(),
            host_port: 8080,
        };
        Alive {
            boot: String::new(),
            supervisor: mark,
            init: Some(mark),
            started: String::new(),
            restarts: 0,
            last: None,
            paused: false,
            networks: vec![Joined { endpoint_id: "e".repeat(64), default_route: true, endpoint }],
            ports: vec![port("::"), port("0.0.0.0")],
            kept: crate::container::Kept::default(),
        }
    }

    #[test]
    fn tells_of_a_running_container() {
        let (_dir, store) = scratch();
        let mut config = config();
        config.network = NetworkMode::Named("web".into());
        config.exposed_ports = ["80/tcp", "9/udp"].map(str::to_owned).into();
        let attachment = Attachment {
            network: "web".into(),
            id: "n".repeat(64),
            aliases: vec!["www".into()],
            ip: Some("10.1.0.2".parse().unwrap()),
            ..Attachment::default()
        };
        let value = settings(&store, &config, std::slice::from_ref(&attachment), &Status::Running(alive()));
        let web = &value["Networks"]["web"];
        assert_eq!((&web["IPAddress"], &web["IPPrefixLen"]), (&json!("10.1.0.2"), &json!(24)));
        assert_eq!(web["Gateway"], "10.1.0.1");
        assert_eq!(web["IPAMConfig"], json!({ "IPv4Address": "10.1.0.2" }));
        assert_eq!(web["DNSNames"], json!(["www", "0123456789ab"]));
        assert_eq!(value["IPAddress"], "10.1.0.2");
        assert_eq!(
            value["Ports"],
            json!({
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
                "9/udp": null,
            })
        );
        let value = settings(&store, &config, &[attachment], &Status::Created(None));
        assert_eq!((&value["Ports"], &value["IPAddress"]), (&json!({}), &json!("")));
        assert_eq!(value["Networks"]["web"]["NetworkID"], json!("n".repeat(64)));
    }

    #[test]
    fn tells_what_was_asked_for() {
        let port = PortRequest {
            container_port: 80,
            protocol: Protocol::Tcp,
            host_ip: Some("127.0.0.1".parse().unwrap()),
            host_port: HostPort::Range(8000, 8009),
        };
        assert_eq!(
            bindings(&[port]),
            json!({ "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000-8009"}] })
        );
        let wish =
            Attachment { network: "bridge".into(), links: vec!["db:store".into()], ..Attachment::default() };
        let (_dir, store) = scratch();
        assert_eq!(links(&store, &[wish], "web"), json!(["/db:/web/store"]));
    }
}
