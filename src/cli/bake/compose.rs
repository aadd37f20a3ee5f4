//! Compose files as targets of `bake`: each service that is built is one.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::build::ignore::clean;
use crate::cli::report::coded;
use crate::cli::session::Session;
use crate::compose::{self, Asked, How};

/// The services that are built.
#[derive(Debug)]
pub(super) struct Project {
    /// Targets by their names, in the order of the file's.
    pub(super) targets: Vec<(String, Map<String, Value>)>,
}

/// Reads files as one project. Paths stay as they are: relative to where bake is called.
pub(super) fn read(files: Vec<String>, session: &Session) -> Result<Project> {
    let asked =
        Asked { files, name: Some("bake".to_owned()), profiles: vec!["*".to_owned()], ..Asked::default() };
    let how =
        How { interpolate: true, resolve_paths: false, normalize: false, check: true, read_env_files: false };
    let loaded =
        compose::load(&asked, how, &[]).map_err(|problem| coded(1, format!("ERROR: {}", problem.0)))?;
    let Some(loaded) = loaded else { return Ok(Project { targets: Vec::new() }) };
    loaded.warnings.iter().for_each(|warning| Session::note(&format!("WARNING: {warning}")));
    session.debug(|| format!("bake: {} from {:?}", loaded.all_services.join(" "), loaded.files));
    Ok(Project { targets: targets(&loaded.tree(), &loaded.variables) })
}

fn targets(tree: &Value, variables: &BTreeMap<String, String>) -> Vec<(String, Map<String, Value>)> {
    let services = tree["services"].as_object().into_iter().flatten();
    let built = services.filter(|(_, service)| service["build"].is_object());
    built.map(|(name, service)| (target_name(name), target(service, tree, variables))).collect()
}

/// A name of a target has no dots: those part its name from its keys in `--set`.
fn target_name(service: &str) -> String {
    service.replace('.', "_")
}

/// Returns a service's build as a target.
fn target(service: &Value, tree: &Value, variables: &BTreeMap<String, String>) -> Map<String, Value> {
    let build = &service["build"];
    let mut target = Map::new();
    for (key, field) in [
        ("dockerfile", "dockerfile"),
        ("dockerfile_inline", "dockerfile-inline"),
        ("labels", "labels"),
        ("cache_from", "cache-from"),
        ("cache_to", "cache-to"),
        ("target", "target"),
        ("network", "network"),
        ("platforms", "platforms"),
        ("tags", "tags"),
        ("ssh", "ssh"),
        ("shm_size", "shm-size"),
        ("entitlements", "entitlements"),
    ] {
        if !said(&build[key]) {
            continue;
        }
        target.insert(field.to_owned(), build[key].clone());
    }
    if let Some(context) = build["context"].as_str() {
        target.insert("context".to_owned(), path(context).into());
    }
    if build["privileged"] == true {
        target.insert("entitlements".to_owned(), json!(["security.insecure"]));
    }
    let named = build["additional_contexts"].as_object().into_iter().flatten().map(|(name, value)| {
        let text = value.as_str().unwrap_or_default();
        let text = match text.strip_prefix("service:") {
            Some(service) => format!("target:{}", target_name(service)),
            None => path(text),
        };
        (name.clone(), text.into())
    });
    put(&mut target, "contexts", Value::Object(named.collect()));
    // What has no value has that of the environment, or none.
    let arguments = build["args"].as_object().into_iter().flatten().filter_map(|(name, value)| {
        let value = if value.is_null() { variables.get(name)?.clone().into() } else { value.clone() };
        Some((name.clone(), value))
    });
    put(&mut target, "args", Value::Object(arguments.collect()));
    let hosts = build["extra_hosts"].as_array().into_iter().flatten().filter_map(|host| {
        let (name, address) = host.as_str()?.split_once('=')?;
        Some((name.to_owned(), address.into()))
    });
    put(&mut target, "extra-hosts", Value::Object(hosts.collect()));
    let secrets = build["secrets"].as_array().into_iter().flatten().filter_map(|grant| {
        let source = grant["source"].as_str()?;
        let secret = &tree["secrets"][source];
        Some(match (secret["file"].as_str(), secret["environment"].as_str()) {
            (Some(file), _) => format!("id={source},src={}", path(file)),
            (None, Some(name)) => format!("id={source},env={name}"),
            (None, None) => format!("id={source}"),
        })
    });
    put(&mut target, "secret", secrets.collect());
    let limits = build["ulimits"].as_object().into_iter().flatten().filter_map(|(name, limit)| {
        let (soft, hard) = match limit {
            Value::Object(both) => (both.get("soft")?.to_string(), both.get("hard")?.to_string()),
            one => (one.to_string(), one.to_string()),
        };
        Some(format!("{name}={soft}:{hard}"))
    });
    put(&mut target, "ulimits", limits.collect());
    if let (false, Some(image)) = (target.contains_key("tags"), service["image"].as_str()) {
        target.insert("tags".to_owned(), json!([image]));
    }
    extend(&mut target, &build["x-bake"]);
    target
}

/// Adds what `x-bake` says. Lists of caches, secrets, platforms and outputs grow, all else is replaced.
fn extend(target: &mut Map<String, Value>, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        let list = |value: &Value| match value {
            Value::Array(values) => values.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let value = match key.as_str() {
            "tags" | "no-cache-filter" => list(value).into(),
            "cache-from" | "cache-to" | "secret" | "ssh" | "platforms" | "output" => {
                let mut all = target.get(key).map(list).unwrap_or_default();
                for value in list(value) {
                    if !all.contains(&value) {
                        all.push(value);
                    }
                }
                all.into()
            }
            _ => value.clone(),
        };
        target.insert(key.clone(), value);
    }
}

fn put(target: &mut Map<String, Value>, key: &str, value: Value) {
    if said(&value) {
        target.insert(key.to_owned(), value);
    }
}

fn said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// Returns a path without needless parts; an address as it is.
fn path(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { clean(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_services_into_targets() {
        let tree = json!({
            "services": {
                "db.x": { "build": { "context": ".", "tags": ["a"] }, "image": "b" },
                "none": { "image": "x" },
                "web": {
                    "image": "me/web",
                    "build": {
                        "context": "./web", "dockerfile": "D", "args": { "A": "1", "B": null, "C": null },
                        "additional_contexts": { "o": "./other", "s": "service:db.x", "i": "docker-image://x" },
                        "secrets": [{ "source": "t" }], "ulimits": { "nofile": 9, "core": { "soft": 1, "hard": 2 } },
                        "extra_hosts": ["h=::1"], "cache_from": ["x"], "no_cache": true,
                        "x-bake": { "cache-from": ["x", "y"], "output": "type=docker", "no-cache": true },
                    },
                },
            },
            "secrets": { "t": { "file": "./f" } },
        });
        let variables = [("B".to_owned(), "2".to_owned())].into();
        let found = targets(&tree, &variables);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["db_x", "web"]);
        assert_eq!(found[0].1["tags"], json!(["a"]));
        let wanted = json!({
            "args": { "A": "1", "B": "2" }, "cache-from": ["x", "y"], "context": "web",
            "contexts": { "i": "docker-image://x", "o": "other", "s": "target:db_x" }, "dockerfile": "D",
            "extra-hosts": { "h": "::1" }, "no-cache": true, "output": ["type=docker"],
            "secret": ["id=t,src=f"], "tags": ["me/web"], "ulimits": ["nofile=9:9", "core=1:2"],
        });
        let mut web = Value::Object(found[1].1.clone());
        if let Some(limits) = web["ulimits"].as_array_mut() {
            limits.sort_by_key(|limit| std::cmp::Reverse(limit.to_string()));
        }
        assert_eq!(web, wanted);
    }
}
