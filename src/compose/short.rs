//! The short forms of the specification, each turned into the long one.

#![allow(clippy::unnecessary_wraps, reason = "all of a table's functions have one signature")]

use super::error::Problem;
use super::ports;
use super::shape::{Place, absolute, clean};
use super::units;
use super::yaml::{Map, Node, Value};

/// Makes a map of what there is.
fn object(node: &Node, keys: &[(&str, Option<Value>)]) -> Node {
    let mut map = Map::default();
    for (key, value) in keys {
        if let Some(value) = value {
            map.set(key, Node::new(value.clone(), &node.at));
        }
    }
    Node::new(Value::Map(map), &node.at)
}

fn text(text: &str) -> Option<Value> {
    Some(Value::String(text.to_owned()))
}

/// Nothing is as good as an empty map.
pub(super) fn empty(node: &Node, _: &Place<'_>) -> Result<Node, Problem> {
    Ok(if node.is_null() { Node::map(&node.at) } else { node.clone() })
}

/// `external: true`, or `external: {name: x}` of older files.
pub(super) fn external(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    match &node.value {
        Value::Bool(_) | Value::Map(_) => Ok(node.clone()),
        Value::String(text) if text == "true" || text == "false" => {
            Ok(Node::new(Value::Bool(text == "true"), &node.at))
        }
        _ => Err(place.refuse(&node.at, "must be a boolean")),
    }
}

/// `build: context`
pub(super) fn build(node: &Node, _: &Place<'_>) -> Result<Node, Problem> {
    Ok(match node.as_str() {
        Some(context) => object(node, &[("context", text(context))]),
        None => node.clone(),
    })
}

/// A context: a path, or an address that is left alone.
pub(super) fn context(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let Some(context) = node.as_str() else { return Err(place.refuse(&node.at, "must be a string")) };
    Ok(Node::string(if is_remote(context) { context.to_owned() } else { place.absolute(context) }, &node.at))
}

/// Tells whether a context is no path of this machine.
pub(super) fn is_remote(context: &str) -> bool {
    context.contains("://")
        || context.starts_with("git@")
        || context.starts_with("github.com/")
        || context.starts_with("service:")
        || context == "-"
}

/// `additional_contexts`: `name=context` lines or a map.
pub(super) fn contexts(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let mapping = super::shape::canonical(node, &super::shape::Shape::Labels, place)?;
    let mut done = Map::default();
    for entry in mapping.as_map().into_iter().flat_map(|map| &map.0) {
        done.set(&entry.key, context(&entry.node, place)?);
    }
    Ok(Node::new(Value::Map(done), &node.at))
}

/// `ssh`: a list, a map or one word.
pub(super) fn ssh(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let at = &node.at;
    let line = |id: &str, path: &str| Node::string(format!("{id}={}", place.absolute(path)), at);
    let of_text = |node: &Node| match node.as_str().and_then(|text| text.split_once('=')) {
        Some((id, path)) => line(id, path),
        None => node.clone(),
    };
    let lines = match &node.value {
        Value::Map(map) => map
            .0
            .iter()
            .map(|entry| match entry.node.scalar() {
                Some(path) => line(&entry.key, &path),
                None => Node::string(entry.key.clone(), at),
            })
            .collect(),
        Value::List(list) => list.iter().map(of_text).collect(),
        Value::String(_) => vec![of_text(node)],
        _ => return Ok(node.clone()),
    };
    Ok(Node::new(Value::List(lines), at))
}

/// `secrets` and `configs` of a service: names or maps.
pub(super) fn grant(node: &Node, _: &Place<'_>) -> Result<Node, Problem> {
    Ok(match node.as_str() {
        Some(source) => object(node, &[("source", text(source))]),
        None => node.clone(),
    })
}

/// `depends_on`: names or a map.
pub(super) fn depends_on(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let mut done = Map::default();
    match &node.value {
        Value::List(list) => {
            for (at, item) in list.iter().enumerate() {
                let Some(name) = item.as_str() else {
                    let path = format!("{}.{at}", place.path);
                    return Err(Place { reading: place.reading, path }.refuse(&item.at, "must be a string"));
                };
                let keys = [("condition", text("service_started")), ("required", Some(Value::Bool(true)))];
                done.set(name, object(item, &keys));
            }
        }
        Value::Map(map) => {
            done = map.clone();
            for entry in &mut done.0 {
                if entry.node.is_null() {
                    entry.node = Node::map(&entry.at);
                }
                let at = entry.node.at.clone();
                if let Some(inner) = entry.node.as_map_mut() {
                    inner.add("condition", || Node::string("service_started", &at));
                    inner.add("required", || Node::new(Value::Bool(true), &at));
                }
            }
        }
        _ => return Err(place.refuse(&node.at, "must be a list")),
    }
    Ok(Node::new(Value::Map(done), &node.at))
}

/// `/dev/a:/dev/b:rwm`
pub(super) fn device(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let Some(line) = node.as_str() else { return Ok(node.clone()) };
    let parts: Vec<_> = line.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] if target.starts_with('/') => (*source, *target, "rwm"),
        [source, permissions] => (*source, *source, *permissions),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            return Err(
                place.refuse(&node.at, &format!("confusing device mapping, please use long syntax: {line}"))
            );
        }
    };
    Ok(object(
        node,
        &[("source", text(source)), ("target", text(target)), ("permissions", text(permissions))],
    ))
}

/// `env_file`: a path or a map.
pub(super) fn env_file(node: &Node, _: &Place<'_>) -> Result<Node, Problem> {
    let mut done = match node.as_str() {
        Some(path) => object(node, &[("path", text(path))]),
        None => node.clone(),
    };
    let at = node.at.clone();
    if let Some(map) = done.as_map_mut() {
        map.add("required", || Node::new(Value::Bool(true), &at));
    }
    Ok(done)
}

/// `extends: service`
pub(super) fn extends(node: &Node, _: &Place<'_>) -> Result<Node, Problem> {
    Ok(match node.as_str() {
        Some(service) => object(node, &[("service", text(service))]),
        None => node.clone(),
    })
}

/// `extra_hosts`: `host:ip` or `host=ip` lines, or a map; done: `host=ip` lines.
pub(super) fn extra_hosts(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let mut lines = Vec::new();
    let refuse = |at| Err(place.refuse(at, "must be a list of host=address"));
    match &node.value {
        Value::List(list) => {
            for item in list {
                let Some(line) = item.as_str() else { return refuse(&item.at) };
                let Some((host, address)) = line.split_once('=').or_else(|| line.split_once(':')) else {
                    return Err(place.refuse(
                        &item.at,
                        &format!("bad host name {line:?}: it must be host=address or host:address"),
                    ));
                };
                let address = address.trim().trim_start_matches('[').trim_end_matches(']');
                lines.push(Node::string(format!("{}={address}", host.trim()), &item.at));
            }
        }
        Value::Map(map) => {
            for entry in &map.0 {
                let addresses = match &entry.node.value {
                    Value::List(list) => list.clone(),
                    _ => vec![entry.node.clone()],
                };
                for address in addresses {
                    let Some(text) = address.as_str() else { return refuse(&address.at) };
                    lines.push(Node::string(format!("{}={text}", entry.key), &address.at));
                }
            }
        }
        _ => return refuse(&node.at),
    }
    lines.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Ok(Node::new(Value::List(lines), &node.at))
}

/// `gpus: all`
pub(super) fn gpus(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    match node.as_str() {
        Some("all") => {
            Ok(Node::new(Value::List(vec![object(node, &[("count", Some(Value::Int(-1)))])]), &node.at))
        }
        Some(_) => Err(place.refuse(&node.at, "must be \"all\" or a list")),
        None => Ok(node.clone()),
    }
}

/// `count: all`
pub(super) fn count(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    match node.scalar() {
        Some(word) if word == "all" => Ok(Node::new(Value::Int(-1), &node.at)),
        Some(word) => match word.parse() {
            Ok(count) => Ok(Node::new(Value::Int(count), &node.at)),
            Err(_) => {
                Err(place.refuse(&node.at, "invalid value, the only value allowed is 'all' or a number"))
            }
        },
        None => Err(place.refuse(&node.at, "must be a string or a integer")),
    }
}

/// `networks` of a service: names or a map.
pub(super) fn networks(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let Value::List(list) = &node.value else { return Ok(node.clone()) };
    let mut done = Map::default();
    for (at, item) in list.iter().enumerate() {
        let Some(name) = item.as_str() else {
            let path = format!("{}.{at}", place.path);
            return Err(Place { reading: place.reading, path }.refuse(&item.at, "must be a string"));
        };
        done.set(name, Node::new(Value::Null, &item.at));
    }
    Ok(Node::new(Value::Map(done), &node.at))
}

/// `ports`: lines, numbers and maps; a line of ranges is several ports.
pub(super) fn ports(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let Value::List(list) = &node.value else { return Err(place.refuse(&node.at, "must be a list")) };
    let mut done = Vec::new();
    for (at, item) in list.iter().enumerate() {
        if let Value::Map(map) = &item.value {
            let mut map = map.clone();
            map.add("mode", || Node::string("ingress", &item.at));
            map.add("protocol", || Node::string("tcp", &item.at));
            done.push(Node::new(Value::Map(map), &item.at));
            continue;
        }
        let place = Place { reading: place.reading, path: format!("{}.{at}", place.path) };
        let Some(line) = item.scalar() else {
            return Err(place.refuse(&item.at, "must be a string, a number or a mapping"));
        };
        if place.is_open(&line) {
            done.push(object(item, &[("target", text(&line))]));
            continue;
        }
        let ports = ports::parse(&line).map_err(|message| place.refuse(&item.at, &message))?;
        for port in ports {
            done.push(object(
                item,
                &[
                    ("mode", text("ingress")),
                    ("host_ip", port.host_ip.as_deref().and_then(text)),
                    ("target", Some(Value::Int(i64::from(port.target)))),
                    ("published", port.published.as_deref().and_then(text)),
                    ("protocol", text(&port.protocol)),
                ],
            ));
        }
    }
    Ok(Node::new(Value::List(done), &node.at))
}

/// The words that say when an image is pulled.
pub(super) fn pull_policy(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let Some(word) = node.as_str() else { return Err(place.refuse(&node.at, "must be a string")) };
    let every = word.strip_prefix("every_").and_then(units::duration).is_some();
    let known = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    if every || known.contains(&word) {
        return Ok(node.clone());
    }
    Err(place.refuse(
        &node.at,
        "must be one of the following: \"always\", \"never\", \"build\", \"if_not_present\", \"missing\", \
         \"refresh\", \"daily\", \"weekly\", \"every_<duration>\"",
    ))
}

/// A limit: a number, or a map of soft and hard.
pub(super) fn ulimit(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let number = |node: &Node, what: &str| match &node.value {
        Value::Int(value) => Ok(Node::new(Value::Int(*value), &node.at)),
        Value::String(text) if text.parse::<i64>().is_ok() => {
            Ok(Node::new(Value::Int(text.parse().unwrap_or(0)), &node.at))
        }
        _ => Err(place.refuse(&node.at, what)),
    };
    let Value::Map(map) = &node.value else { return number(node, "must be a integer or a mapping") };
    let mut done = Map::default();
    for key in ["soft", "hard"] {
        let Some(limit) = map.get(key) else {
            return Err(place.refuse(&node.at, &format!("missing property '{key}'")));
        };
        done.set(key, number(limit, &format!("{key} must be a integer"))?);
    }
    if let Some(other) = map.keys().find(|key| !matches!(*key, "soft" | "hard") && !key.starts_with("x-")) {
        return Err(place.refuse(&node.at, &format!("additional properties '{other}' not allowed")));
    }
    Ok(Node::new(Value::Map(done), &node.at))
}

/// `test`: a command for the shell, or a list that says how it is run.
pub(super) fn test(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    match &node.value {
        Value::String(command) => {
            let words = [Node::string("CMD-SHELL", &node.at), Node::string(command.clone(), &node.at)];
            Ok(Node::new(Value::List(words.to_vec()), &node.at))
        }
        Value::List(list) => match list.first().and_then(Node::as_str) {
            Some("NONE" | "CMD" | "CMD-SHELL") => Ok(node.clone()),
            None if list.is_empty() => Ok(node.clone()),
            _ => Err(place.refuse(&node.at, "is a list whose first item must be NONE, CMD or CMD-SHELL")),
        },
        _ => Err(place.refuse(&node.at, "must be a string or a list")),
    }
}

/// A volume of the project. The directory that one stands for may be a relative path.
pub(super) fn local_volume(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let mut node = empty(node, place)?;
    let at = node.at.clone();
    let options = node.as_map_mut().and_then(|map| map.get_mut("driver_opts")).and_then(Node::as_map_mut);
    if let Some(options) = options
        && options.get("o").and_then(Node::as_str) == Some("bind")
        && let Some(device) = options.get("device").and_then(Node::as_str)
    {
        let device = Node::string(place.absolute(device), &at);
        options.set("device", device);
    }
    Ok(node)
}

/// `source:target:options`
pub(super) fn volume(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let Some(line) = node.as_str() else { return long_volume(node, place) };
    let parts: Vec<_> = line.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(place.refuse(&node.at, &format!("invalid spec: {line}: too many colons"))),
    };
    if target.is_empty() || parts.len() > 1 && source.is_empty() {
        return Err(place.refuse(&node.at, &format!("invalid spec: {line}: empty section between colons")));
    }
    let is_path = source.starts_with(['.', '/', '~']);
    let target =
        if target.starts_with('/') { clean(std::path::Path::new(target)) } else { target.to_owned() };
    let mut bind = Map::default();
    let mut volume = Map::default();
    let mut keys = vec![("type", text(if is_path { "bind" } else { "volume" }))];
    if !source.is_empty() {
        let source = if is_path { place.absolute(source) } else { source.to_owned() };
        keys.push(("source", text(&source)));
    }
    keys.push(("target", text(&target)));
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => keys.push(("read_only", Some(Value::Bool(true)))),
            "rw" => {}
            "nocopy" => volume.set("nocopy", Node::new(Value::Bool(true), &node.at)),
            "z" | "Z" => bind.set("selinux", Node::string(option, &node.at)),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                bind.set("propagation", Node::string(option, &node.at));
            }
            "cached" | "consistent" | "delegated" => keys.push(("consistency", text(option))),
            _ => {}
        }
    }
    if is_path {
        bind.set("create_host_path", Node::new(Value::Bool(true), &node.at));
        keys.push(("bind", Some(Value::Map(bind))));
    } else {
        keys.push(("volume", Some(Value::Map(volume))));
    }
    Ok(object(node, &keys))
}

fn long_volume(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let Value::Map(map) = &node.value else {
        return Err(place.refuse(&node.at, "must be a string or a mapping"));
    };
    let mut map = map.clone();
    let Some(kind) = map.get("type").and_then(Node::as_str).map(str::to_owned) else {
        return Err(place.refuse(&node.at, "missing property 'type'"));
    };
    if kind == "bind" {
        match map.get("source").and_then(Node::as_str) {
            Some(source) if place.reading.resolve_paths && !place.is_open(source) => {
                let source = absolute(&place.reading.base, source);
                map.set("source", Node::string(source, &node.at));
            }
            Some(_) => {}
            None => return Err(place.refuse(&node.at, "missing a mount source of type bind")),
        }
    }
    if let Some(target) = map.get("target").and_then(Node::as_str)
        && target.starts_with('/')
    {
        let target = clean(std::path::Path::new(target));
        map.set("target", Node::string(target, &node.at));
    }
    Ok(Node::new(Value::Map(map), &node.at))
}

/// A time of the processor's scheduler: microseconds, or a time with its unit.
pub(super) fn period(node: &Node, place: &Place<'_>) -> Result<Node, Problem> {
    let text = node.scalar().unwrap_or_default();
    match (text.parse::<i64>(), units::duration(&text)) {
        (Ok(number), _) => Ok(Node::new(Value::Int(number), &node.at)),
        (Err(_), Some(_)) => Ok(Node::string(text, &node.at)),
        _ => Err(place.refuse(&node.at, "must be a number of microseconds or a time")),
    }
}
