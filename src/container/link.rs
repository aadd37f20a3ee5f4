//! Links of the default network, as Docker has had them before networks had names: lines of `/etc/hosts`, and
//! variables that tell of the linked container's addresses, ports and own variables.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;

use anyhow::{Result, bail};

use super::config::{Attachment, ContainerConfig};
use super::dir::ContainerDir;
use super::name;
use super::protocol::Request;
use super::start::send_request;
use super::status::{Status, observe_and_mend};
use crate::network::Network;
use crate::store::Store;

/// Finds the containers that are linked on the default network: the links are to them from now on, whatever they
/// are called later. On another network a link is to a name.
pub(super) fn fix(store: &Store, attachment: &mut Attachment) -> Result<()> {
    if attachment.network == "bridge" {
        for link in &mut attachment.links {
            let (dir, alias) = linked(store, link)?;
            *link = format!("{}:{alias}", dir.id());
        }
    }
    Ok(())
}

/// Finds the container that a link means, and this container's name for it.
pub(super) fn linked(store: &Store, link: &str) -> Result<(ContainerDir, String)> {
    let (container, alias) = parts(link);
    let Ok(dir) = name::find(store, &container) else {
        bail!("could not get container for {container}: No such container: {container}")
    };
    Ok((dir, alias))
}

/// Takes a link apart: the container, and this container's name for it.
pub(super) fn parts(link: &str) -> (String, String) {
    let (container, alias) = link.split_once(':').unwrap_or((link, link));
    (container.to_owned(), alias.trim_start_matches('/').to_owned())
}

/// Takes away a link, `container/alias`, of a container to another one.
pub fn unlink(store: &Store, text: &str) -> Result<()> {
    let not_found = || anyhow::anyhow!("No such container: {text}");
    let Some((parent, alias)) = text.trim_start_matches('/').split_once('/') else {
        name::find(store, text)?;
        bail!("Conflict, cannot remove the default link name of the container");
    };
    let dir = name::find(store, parent).map_err(|_| not_found())?;
    observe_and_mend(&dir)?;
    let _lock = dir.lock()?;
    let mut attachments = dir.attachments(&dir.config()?)?;
    let is_meant = |link: &String| parts(link).1 == alias;
    if !attachments.iter().any(|attachment| attachment.links.iter().any(is_meant)) {
        return Err(not_found());
    }
    if dir.is_alive()? {
        bail!("cannot remove the link {text} of a running container: stop {parent} first");
    }
    for attachment in &mut attachments {
        attachment.links.retain(|link| !is_meant(link));
    }
    dir.put_attachments(&attachments)
}

/// Returns the lines that links on the default network put into `/etc/hosts`. To start, a container needs those
/// that it is linked to; later one that is away has no line.
pub(super) fn lines(
    store: &Store,
    config: &ContainerConfig,
    attachment: &Attachment,
    network: &Network,
    starts: bool,
) -> Result<Vec<(IpAddr, String)>> {
    let mut lines = Vec::new();
    for link in attachment.links.iter().filter(|_| network.name == "bridge") {
        let (dir, alias) = match linked(store, link) {
            Err(error) if starts => return Err(error),
            Err(_) => continue,
            Ok(found) => found,
        };
        let name = name::of(store, dir.id()).unwrap_or_default();
        let Status::Running(alive) = observe_and_mend(&dir)? else {
            if starts {
                let own = name::of(store, &config.id).unwrap_or_default();
                bail!("Cannot link to a non running container: /{name} AS /{own}/{alias}");
            }
            continue;
        };
        let Some(there) = alive.networks.iter().find(|it| it.endpoint.network_id == network.id) else {
            if starts {
                bail!("Cannot link to /{name}, as it does not belong to the default network");
            }
            continue;
        };
        let mut words = vec![alias];
        for word in [dir.config()?.hostname, name] {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        lines.extend(there.endpoint.ip.map(|(address, _)| (IpAddr::V4(address), words.join(" "))));
    }
    Ok(lines)
}

/// Tells containers that link to this one, whose supervisors have to write its new address down. Nobody waits for
/// that: one that has just ended needs it no more.
pub(super) fn announce(store: &Store, ids: &[String]) {
    for id in ids {
        let dir = ContainerDir::new(store, id);
        let told = dir
            .socket(store)
            .and_then(|socket| send_request(&UnixStream::connect(socket.path())?, &Request::Refresh));
        if let Err(error) = told {
            eprintln!("supervisor: tell container {} of its link: {error:#}", dir.short_id());
        }
    }
}

/// Returns the variables of a container that has links on the default network, to containers that run.
pub(super) fn variables(
    store: &Store,
    config: &ContainerConfig,
    attachments: &[Attachment],
) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let links = attachments.iter().filter(|it| it.network == "bridge").flat_map(|it| &it.links);
    for link in links {
        let Ok((dir, alias)) = linked(store, link) else { continue };
        let Status::Running(alive) = observe_and_mend(&dir)? else { continue };
        let there = alive.networks.iter().find(|it| it.endpoint.network == "bridge");
        let Some((address, _)) = there.and_then(|it| it.endpoint.ip) else { continue };
        let own = name::of(store, &config.id).unwrap_or_default();
        let other = dir.config()?;
        let ports: Vec<&str> = other.exposed_ports.iter().map(String::as_str).collect();
        all.extend(describe(&format!("/{own}/{alias}"), address.into(), &ports, &other.process.env));
    }
    Ok(all)
}

/// Describes a linked container: its name for the other one, its address, its declared ports, its variables.
fn describe(name: &str, address: IpAddr, ports: &[&str], env: &[String]) -> Vec<String> {
    let alias = name.rsplit('/').next().unwrap_or(name).to_uppercase().replace('-', "_");
    let mut ports: Vec<(u16, &str)> = ports
        .iter()
        .filter_map(|text| {
            let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            Some((port.parse().ok()?, protocol))
        })
        .collect();
    ports.sort_by(|a, b| tcp_first(a.1, b.1).then(a.0.cmp(&b.0)));
    let url = |(port, protocol): (u16, &str)| format!("{protocol}://{address}:{port}");
    let prefix = |(port, protocol): (u16, &str)| format!("{alias}_PORT_{port}_{}", protocol.to_uppercase());
    let mut found = Vec::new();
    found.extend(ports.first().map(|first| format!("{alias}_PORT={}", url(*first))));
    for run in ports.chunk_by(|a, b| a.1 == b.1 && a.0.checked_add(1) == Some(b.0)) {
        for port in run {
            let prefix = prefix(*port);
            found.push(format!("{prefix}={}", url(*port)));
            found.push(format!("{prefix}_ADDR={address}"));
            found.push(format!("{prefix}_PORT={}", port.0));
            found.push(format!("{prefix}_PROTO={}", port.1));
        }
        if let [first, .., last] = run {
            let prefix = prefix(*first);
            found.push(format!("{prefix}_START={}", url(*first)));
            found.push(format!("{prefix}_PORT_START={}", first.0));
            found.push(format!("{prefix}_END={}", url(*last)));
            found.push(format!("{prefix}_PORT_END={}", last.0));
        }
    }
    found.push(format!("{alias}_NAME={name}"));
    let own = env.iter().filter_map(|entry| entry.split_once('='));
    let told = own.filter(|(key, _)| !matches!(*key, "HOME" | "PATH"));
    found.extend(told.map(|(key, value)| format!("{alias}_ENV_{key}={value}")));
    found
}

fn tcp_first(one: &str, other: &str) -> Ordering {
    (one != "tcp").cmp(&(other != "tcp")).then(one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_as_docker_does() {
        let env = ["PATH=/bin".to_owned(), "A=b=c".to_owned(), "ALONE".to_owned()];
        let found =
            describe("/web/my-db", "172.17.0.2".parse().unwrap(), &["53/udp", "81/tcp", "80/tcp"], &env);
        let expected = "MY_DB_PORT=tcp://172.17.0.2:80\n\
            MY_DB_PORT_80_TCP=tcp://172.17.0.2:80\n\
            MY_DB_PORT_80_TCP_ADDR=172.17.0.2\n\
            MY_DB_PORT_80_TCP_PORT=80\n\
            MY_DB_PORT_80_TCP_PROTO=tcp\n\
            MY_DB_PORT_81_TCP=tcp://172.17.0.2:81\n\
            MY_DB_PORT_81_TCP_ADDR=172.17.0.2\n\
            MY_DB_PORT_81_TCP_PORT=81\n\
            MY_DB_PORT_81_TCP_PROTO=tcp\n\
            MY_DB_PORT_80_TCP_START=tcp://172.17.0.2:80\n\
            MY_DB_PORT_80_TCP_PORT_START=80\n\
            MY_DB_PORT_80_TCP_END=tcp://172.17.0.2:81\n\
            MY_DB_PORT_80_TCP_PORT_END=81\n\
            MY_DB_PORT_53_UDP=udp://172.17.0.2:53\n\
            MY_DB_PORT_53_UDP_ADDR=172.17.0.2\n\
            MY_DB_PORT_53_UDP_PORT=53\n\
            MY_DB_PORT_53_UDP_PROTO=udp\n\
            MY_DB_NAME=/web/my-db\n\
            MY_DB_ENV_A=b=c";
        assert_eq!(found.join("\n"), expected);
        let none = describe("/web/db", "172.17.0.2".parse().unwrap(), &[], &[]);
        assert_eq!(none, ["DB_NAME=/web/db"]);
    }
}
