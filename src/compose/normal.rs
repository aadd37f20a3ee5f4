//! A model with everything put in that its files leave to defaults: names, networks, variables.

use std::fs;
use std::path::PathBuf;

use super::dotenv;
use super::environment::Variables;
use super::error::{Problem, problem};
use super::load::{How, Model};
use super::yaml::{Entry, Map, Mark, Node, Value};

/// Reads the files of variables, and puts in what every service says without saying so.
pub(super) fn complete(model: &mut Model, how: How) -> Result<(), Problem> {
    let variables = &model.variables;
    let services = model.root.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    for Entry { key, node, .. } in services.into_iter().flat_map(|map| &mut map.0) {
        if how.interpolate && how.read_env_files {
            resolve_environment(key, node, variables)?;
        }
        secrets(node);
    }
    Ok(())
}

/// Puts in the defaults.
pub(super) fn normalise(model: &mut Model, how: How) {
    let directory =
        if how.resolve_paths { model.directory.to_string_lossy().into_owned() } else { ".".to_owned() };
    let Some(root) = model.root.as_map_mut() else { return };
    root.add("services", || Node::map(&Mark::nowhere()));
    let mut uses_default = false;
    if let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) {
        for Entry { node, .. } in &mut services.0 {
            service(node, &directory);
            uses_default |= node.get("networks").is_some_and(|networks| networks.get("default").is_some());
        }
    }
    if uses_default {
        root.add("networks", || Node::map(&Mark::nowhere()));
        if let Some(networks) = root.get_mut("networks").and_then(Node::as_map_mut) {
            networks.add("default", || Node::map(&Mark::nowhere()));
        }
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        let Some(things) = root.get_mut(section).and_then(Node::as_map_mut) else { continue };
        for Entry { key, node, .. } in &mut things.0 {
            name(node, key, &model.name);
        }
    }
}

/// Names a network or its like: as it says, its own name if it is external, else that with the project's.
fn name(node: &mut Node, key: &str, project: &str) {
    let at = node.at.clone();
    let Some(map) = node.as_map_mut() else { return };
    let mut external = false;
    let mut outer = None;
    if let Some(node) = map.get("external") {
        outer = node.text("name").map(str::to_owned);
        external = node.as_bool().unwrap_or_else(|| node.as_map().is_some());
        if external {
            map.set("external", Node::new(Value::Bool(true), &at));
        } else {
            map.remove("external");
        }
    }
    map.add("name", || match outer {
        Some(name) => Node::string(name, &at),
        None if external => Node::string(key, &at),
        None => Node::string(format!("{project}_{key}"), &at),
    });
}

/// Takes values of variables from files and from outside.
fn resolve_environment(name: &str, node: &mut Node, variables: &Variables) -> Result<(), Problem> {
    let at = node.at.clone();
    let Some(service) = node.as_map_mut() else { return Ok(()) };
    let mut found = Map::default();
    let files = service.remove("env_file");
    for file in files.as_ref().and_then(Node::as_list).unwrap_or_default() {
        read_env_file(file, variables, &mut found)?;
    }
    if let Some(own) = service.remove("environment") {
        for entry in own.as_map().into_iter().flat_map(|map| &map.0) {
            let node = match &entry.node.value {
                Value::Null => match variables.get(&entry.key) {
                    Some(value) => Node::string(value.clone(), &entry.at),
                    None => Node::new(Value::Null, &entry.at),
                },
                _ => entry.node.clone(),
            };
            found.set(&entry.key, node);
        }
    }
    if !found.0.is_empty() {
        service.set("environment", Node::new(Value::Map(found), &at));
    }
    if let Some(files) = service.remove("label_file") {
        let mut labels = Map::default();
        for file in files.as_list().unwrap_or_default() {
            let path = file.as_str().unwrap_or_default();
            let text = fs::read_to_string(path).map_err(|_| {
                problem(format!(
                    "services.{name}.label_file: open {path}: no such file or directory{}",
                    file.at.whole()
                ))
            })?;
            let read = dotenv::parse(&text, &|_| None)
                .map_err(|message| problem(format!("failed to read {path}: {message}")))?;
            for (key, value) in read {
                labels.set(&key, Node::string(value, &file.at));
            }
        }
        let own = service.remove("labels");
        own.iter()
            .filter_map(Node::as_map)
            .flat_map(|map| &map.0)
            .for_each(|entry| labels.set(&entry.key, entry.node.clone()));
        service.set("labels", Node::new(Value::Map(labels), &at));
    }
    if let Some(args) =
        service.get_mut("build").and_then(Node::as_map_mut).and_then(|build| build.get_mut("args"))
        && let Some(map) = args.as_map_mut()
    {
        map.0.retain_mut(|entry| {
            if entry.node.is_null() {
                match variables.get(&entry.key) {
                    Some(value) => entry.node = Node::string(value.clone(), &entry.at),
                    None => return false,
                }
            }
            true
        });
    }
    Ok(())
}

fn read_env_file(file: &Node, variables: &Variables, found: &mut Map) -> Result<(), Problem> {
    let path = PathBuf::from(file.text("path").unwrap_or_default());
    let required = file.get("required").and_then(Node::as_bool).unwrap_or(true);
    let shown = path.display();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) if !required && !path.exists() => return Ok(()),
        Err(error) => {
            let why = error.to_string();
            let why = why.split(" (os error").next().unwrap_or_default().to_lowercase();
            return Err(problem(format!(
                "env file {shown} not found: stat {shown}: {why}{}",
                file.at.whole()
            )));
        }
    };
    let read = if file.text("format") == Some("raw") {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    } else {
        let lookup = |name: &str| {
            let earlier = || found.get(name).and_then(Node::as_str).map(str::to_owned);
            variables.get(name).cloned().or_else(earlier)
        };
        dotenv::parse(&text, &lookup)
            .map_err(|message| problem(format!("failed to read {shown}: {message}")))?
    };
    for (key, value) in read {
        found.set(&key, Node::string(value, &file.at));
    }
    Ok(())
}

/// Says where the secrets of a service are.
fn secrets(service: &mut Node) {
    let secrets = service.as_map_mut().and_then(|map| map.get_mut("secrets"));
    if let Some(Value::List(secrets)) = secrets.map(|node| &mut node.value) {
        for secret in secrets {
            let source = secret.text("source").unwrap_or_default().to_owned();
            let at = secret.at.clone();
            if let Some(secret) = secret.as_map_mut() {
                secret.add("target", || Node::string(format!("/run/secrets/{source}"), &at));
            }
        }
    }
}

/// Puts in what a service leaves out.
fn service(node: &mut Node, directory: &str) {
    let at = node.at.clone();
    let Some(map) = node.as_map_mut() else { return };
    let has_networks = map.get("networks").and_then(Node::as_map).is_some_and(|map| !map.0.is_empty());
    if !has_networks && map.get("network_mode").is_none() && map.get("provider").is_none() {
        let mut networks = Map::default();
        networks.set("default", Node::new(Value::Null, &at));
        map.set("networks", Node::new(Value::Map(networks), &at));
    }
    if let Some(build) = map.get_mut("build").and_then(Node::as_map_mut) {
        if build.get("dockerfile_inline").is_none() {
            build.add("dockerfile", || Node::string("Dockerfile", &at));
        }
        build.add("context", || Node::string(directory, &at));
    }
    for implied in implied(map) {
        map.add("depends_on", || Node::map(&at));
        if let Some(depends_on) = map.get_mut("depends_on").and_then(Node::as_map_mut) {
            depends_on.add(&implied.0, || {
                let mut dependency = Map::default();
                dependency.set("condition", Node::string("service_started", &at));
                if implied.1 {
                    dependency.set("restart", Node::new(Value::Bool(true), &at));
                }
                dependency.set("required", Node::new(Value::Bool(true), &at));
                Node::new(Value::Map(dependency), &at)
            });
        }
    }
}

/// Returns the services that one needs without saying so: those that it links to or shares something with,
/// and whether it follows their restarts.
fn implied(service: &Map) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let list = |key: &str| service.get(key).and_then(Node::as_list).unwrap_or_default();
    for link in list("links").iter().filter_map(Node::as_str) {
        found.push((link.split(':').next().unwrap_or(link).to_owned(), true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let other = service.get(key).and_then(Node::as_str).and_then(|mode| mode.strip_prefix("service:"));
        found.extend(other.map(|other| (other.to_owned(), true)));
    }
    for from in list("volumes_from").iter().filter_map(Node::as_str) {
        if !from.starts_with("container:") {
            found.push((from.split(':').next().unwrap_or(from).to_owned(), false));
        }
    }
    found
}
