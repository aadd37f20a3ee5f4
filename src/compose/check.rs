//! What must hold between the parts of a model: what is named is there, nothing goes in circles, no two
//! services want the same port or name.

use std::collections::{BTreeMap, HashMap};

use super::error::{Problem, problem};
use super::load::How;
use super::yaml::{Entry, Map, Mark, Node};

fn invalid(text: &str, at: &Mark) -> Problem {
    problem(format!("{text}: invalid compose project{}", at.whole()))
}

fn section<'a>(root: &'a Node, name: &str) -> &'a [Entry] {
    root.get(name).and_then(Node::as_map).map(|map| map.0.as_slice()).unwrap_or_default()
}

fn list<'a>(service: &'a Map, key: &str) -> &'a [Node] {
    service.get(key).and_then(Node::as_list).unwrap_or_default()
}

/// Chooses the services that are wanted: those without profiles or with an active one, and those that are
/// named.
pub(super) fn choose(root: &mut Node, profiles: &[String], named: &[String]) {
    let active = |service: &Entry| {
        let own: Vec<_> = service
            .node
            .get("profiles")
            .and_then(Node::as_list)
            .unwrap_or_default()
            .iter()
            .filter_map(Node::as_str)
            .collect();
        own.is_empty()
            || named.contains(&service.key)
            || profiles.iter().any(|profile| profile == "*" || own.contains(&profile.as_str()))
    };
    if let Some(services) =
        root.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut)
    {
        services.0.retain(active);
    }
}

/// Takes away dependencies on services that are not there and need not be.
pub(super) fn drop_optional(root: &mut Node) {
    let names: Vec<String> = section(root, "services").iter().map(|entry| entry.key.clone()).collect();
    let services = root.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    for entry in services.into_iter().flat_map(|map| &mut map.0) {
        let Some(service) = entry.node.as_map_mut() else { continue };
        if let Some(depends) = service.get_mut("depends_on").and_then(Node::as_map_mut) {
            depends.0.retain(|dependency| {
                names.contains(&dependency.key)
                    || dependency.node.get("required").and_then(Node::as_bool) != Some(false)
            });
            if depends.0.is_empty() {
                service.remove("depends_on");
            }
        }
    }
}

/// Takes away networks and their like that no service uses.
pub(super) fn drop_unused(root: &mut Node) {
    let mut used: HashMap<&str, Vec<String>> =
        ["networks", "volumes", "secrets", "configs"].map(|section| (section, Vec::new())).into();
    for entry in section(root, "services") {
        let Some(service) = entry.node.as_map() else { continue };
        let networks = service.get("networks").and_then(Node::as_map).into_iter().flat_map(Map::keys);
        used.entry("networks").or_default().extend(networks.map(str::to_owned));
        let mounts = list(service, "volumes").iter().filter(|mount| mount.text("type") == Some("volume"));
        used.entry("volumes")
            .or_default()
            .extend(mounts.filter_map(|mount| mount.text("source").map(str::to_owned)));
        let build = service.get("build").and_then(Node::as_map);
        for key in ["secrets", "configs"] {
            let grants =
                list(service, key).iter().chain(build.map(|build| list(build, key)).unwrap_or_default());
            used.entry(key)
                .or_default()
                .extend(grants.filter_map(|grant| grant.text("source").map(str::to_owned)));
        }
    }
    let Some(map) = root.as_map_mut() else { return };
    for (section, names) in used {
        let empty = match map.get_mut(section).and_then(Node::as_map_mut) {
            Some(things) => {
                things.0.retain(|thing| names.contains(&thing.key));
                things.0.is_empty()
            }
            None => false,
        };
        if empty {
            map.remove(section);
        }
    }
}

/// Checks the whole model. `all` are the services that the files define, chosen or not.
pub(super) fn check(root: &Node, all: &[String], how: How) -> Result<(), Problem> {
    let services = section(root, "services");
    for entry in services {
        let Some(service) = entry.node.as_map() else { continue };
        check_service(entry, service, root, all)?;
    }
    cycles(services)?;
    if how.interpolate {
        clashes(services)?;
    }
    for section_name in ["networks", "volumes", "secrets", "configs"] {
        for thing in section(root, section_name) {
            if thing.node.get("external").and_then(Node::as_bool) != Some(true) {
                continue;
            }
            let own = |key: &str| matches!(key, "name" | "external") || key.starts_with("x-");
            let others = thing.node.as_map().into_iter().flat_map(|map| &map.0);
            if let Some(entry) = others.into_iter().find(|entry| !own(&entry.key)) {
                let text = format!(
                    "{section_name}.{}: conflicting parameters \"external\" and {:?} specified",
                    thing.key, entry.key
                );
                return Err(problem(format!("{text}{}", entry.at.whole())));
            }
        }
    }
    for section_name in ["secrets", "configs"] {
        for entry in section(root, section_name) {
            let sources = ["file", "environment", "content", "driver"];
            let given = sources.iter().filter(|key| entry.node.get(key).is_some()).count();
            let external = entry.node.get("external").and_then(Node::as_bool) == Some(true);
            let kind = section_name.trim_end_matches('s');
            if given > 1 {
                let text =
                    format!("{kind} {:?}: only one of file, environment and content may be set", entry.key);
                return Err(invalid(&text, &entry.at));
            }
            if given == 0 && !external {
                let text = format!("{kind} {:?}: one of file, environment or content must be set", entry.key);
                return Err(invalid(&text, &entry.at));
            }
        }
    }
    Ok(())
}

fn check_service(entry: &Entry, service: &Map, root: &Node, all: &[String]) -> Result<(), Problem> {
    let name = &entry.key;
    let has = |key: &str| service.get(key).is_some();
    if !has("image") && !has("build") && !has("provider") {
        let text = format!("service {name:?} has neither an image nor a build context specified");
        return Err(invalid(&text, &entry.at));
    }
    if let Some(build) = service.get("build").and_then(Node::as_map)
        && build.get("dockerfile_inline").is_some()
        && build.get("dockerfile").is_some()
    {
        let text = format!("service {name:?} declares mutualy exclusive dockerfile and dockerfile_inline");
        return Err(invalid(&text, &entry.at));
    }
    let platforms = service.get("build").and_then(|build| build.get("platforms")).and_then(Node::as_list);
    if let (Some(platform), Some(platforms)) = (service.get("platform").and_then(Node::as_str), platforms)
        && !platforms.is_empty()
        && !platforms.iter().any(|one| one.as_str() == Some(platform))
    {
        let text = format!("service.build.platforms MUST include service.platform {platform:?}");
        return Err(invalid(&text, &entry.at));
    }
    let named_networks = service.get("networks").and_then(Node::as_map).is_some_and(|map| !map.0.is_empty());
    if has("network_mode") && named_networks {
        let text = format!("service {name} declares mutually exclusive `network_mode` and `networks`");
        return Err(invalid(&text, &entry.at));
    }
    let there = |kind: &str, key: &str| section(root, kind).iter().any(|thing| thing.key == key);
    for network in service.get("networks").and_then(Node::as_map).into_iter().flat_map(|map| &map.0) {
        if !there("networks", &network.key) {
            let text = format!("service {name:?} refers to undefined network {}", network.key);
            return Err(invalid(&text, &network.at));
        }
    }
    for mount in list(service, "volumes") {
        let source = mount.text("source").unwrap_or_default();
        if mount.text("type") == Some("volume") && !source.is_empty() && !there("volumes", source) {
            let text = format!("service {name:?} refers to undefined volume {source}");
            return Err(invalid(&text, &mount.at));
        }
        if mount.text("target").is_none_or(str::is_empty) {
            return Err(invalid(&format!("service {name:?} has a volume without a target"), &mount.at));
        }
    }
    let build = service.get("build").and_then(Node::as_map);
    for (key, kind) in [("secrets", "secret"), ("configs", "config")] {
        let of_build = build.map(|build| list(build, key)).unwrap_or_default();
        for (what, grants) in [("", list(service, key)), ("build ", of_build)] {
            for grant in grants {
                let source = grant.text("source").unwrap_or_default();
                if !there(key, source) {
                    let text = format!("service {name:?} refers to undefined {what}{kind} {source}");
                    return Err(invalid(&text, &grant.at));
                }
            }
        }
    }
    for dependency in service.get("depends_on").and_then(Node::as_map).into_iter().flat_map(|map| &map.0) {
        let optional = dependency.node.get("required").and_then(Node::as_bool) == Some(false);
        if !optional && !there("services", &dependency.key) {
            let text = format!("service {name:?} depends on undefined service {:?}", dependency.key);
            let mut complaint = invalid(&text, &dependency.at);
            if all.contains(&dependency.key) {
                let hint = format!("\nhint: {} has profiles, of which none is active", dependency.key);
                complaint.0.push_str(&hint);
            }
            return Err(complaint);
        }
    }
    let triggers = service.get("develop").and_then(|develop| develop.get("watch"));
    for trigger in triggers.and_then(Node::as_list).unwrap_or_default() {
        let action = trigger.text("action").unwrap_or_default();
        if !matches!(action, "rebuild" | "restart") && trigger.text("target").is_none_or(str::is_empty) {
            let text = format!("services.{name}.develop.watch: target is required for non-rebuild actions");
            return Err(invalid(&text, &trigger.at));
        }
    }
    let replicas = service.get("deploy").and_then(|deploy| deploy.get("replicas"));
    let scale = service.get("scale");
    if let (Some(scale), Some(replicas)) = (scale, replicas)
        && scale != replicas
    {
        let text = format!("services.{name}: can't set distinct values on 'scale' and 'deploy.replicas'");
        return Err(invalid(&text, &entry.at));
    }
    let count = scale.or(replicas).and_then(Node::scalar).and_then(|text| text.parse::<i64>().ok());
    if let (Some(count), Some(container)) = (count, service.get("container_name"))
        && count > 1
    {
        let text = format!(
            "services.{name}: can't set container_name and scale {count}: a name is that of one container"
        );
        return Err(invalid(&text, &container.at));
    }
    if count.is_some_and(|count| count < 0) {
        return Err(invalid(&format!("services.{name}: scale cannot be negative"), &entry.at));
    }
    Ok(())
}

/// Finds services that wait for each other.
fn cycles(services: &[Entry]) -> Result<(), Problem> {
    let edges: BTreeMap<&str, Vec<&Entry>> = services
        .iter()
        .map(|entry| {
            let depends = entry.node.get("depends_on").and_then(Node::as_map);
            (entry.key.as_str(), depends.into_iter().flat_map(|map| &map.0).collect())
        })
        .collect();
    let mut done: HashMap<&str, bool> = HashMap::new();
    for name in edges.keys() {
        visit(name, &edges, &mut done, &mut Vec::new())?;
    }
    Ok(())
}

fn visit<'a>(
    name: &'a str,
    edges: &BTreeMap<&'a str, Vec<&'a Entry>>,
    done: &mut HashMap<&'a str, bool>,
    way: &mut Vec<&'a str>,
) -> Result<(), Problem> {
    if done.get(name) == Some(&true) {
        return Ok(());
    }
    way.push(name);
    for dependency in edges.get(name).into_iter().flatten() {
        if let Some(start) = way.iter().position(|known| *known == dependency.key) {
            let mut circle: Vec<&str> = way[start..].to_vec();
            circle.push(&dependency.key);
            let text = circle.join(" -> ");
            return Err(problem(format!("dependency cycle detected: {text}{}", dependency.at.whole())));
        }
        visit(&dependency.key, edges, done, way)?;
    }
    way.pop();
    done.insert(name, true);
    Ok(())
}

/// Finds ports of the host and names of containers that are wanted twice.
fn clashes(services: &[Entry]) -> Result<(), Problem> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut ports: HashMap<(String, String), Vec<(String, &str)>> = HashMap::new();
    for entry in services {
        let Some(service) = entry.node.as_map() else { continue };
        if let Some(name) = service.get("container_name")
            && let Some(text) = name.as_str()
            && let Some(other) = names.insert(text, &entry.key)
        {
            let text = format!(
                "services.{}.container_name: the container name {text:?} is already in use by service {other:?}",
                entry.key
            );
            return Err(invalid(&text, &name.at));
        }
        for (index, port) in list(service, "ports").iter().enumerate() {
            let text = |key: &str| port.get(key).and_then(Node::scalar).unwrap_or_default();
            let (published, ip) = (text("published"), text("host_ip"));
            if published.is_empty() || published == "0" || published.contains('-') {
                continue;
            }
            let everywhere = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
            let taken = ports.entry((published.clone(), text("protocol"))).or_default();
            let clash = taken.iter().find(|(other, _)| *other == ip || everywhere(other) || everywhere(&ip));
            // `0.0.0.0` and `::` are two families.
            if let Some((other, service)) = clash
                && !(matches!(other.as_str(), "0.0.0.0") && ip.contains(':')
                    || matches!(ip.as_str(), "0.0.0.0") && other.contains(':'))
            {
                let text = format!(
                    "services.{}.ports.{index}: host port {published}/{} is already published by service {service:?}",
                    entry.key,
                    text("protocol")
                );
                return Err(invalid(&text, &port.at));
            }
            taken.push((ip, &entry.key));
        }
    }
    Ok(())
}
