//! Compose: a file of services as a project; a project brought up, looked after and taken down.
//!
//! ```text
//! files ─yaml→ trees ─interpolate, shape→ canonical trees ─extends, include, merge→ model
//!       ─normal, check→ model ─print→ `config`
//!                             └serde→ Project ─plan→ [Network | Volume | Container]
//! ```
//!
//! A model stays a tree with places until everything is known to be right; then [`Project`] is what the
//! commands work with. What of a project exists is never remembered: containers, networks and volumes bear
//! Docker's labels, and every command looks for them anew.

mod check;
mod dotenv;
mod environment;
mod error;
mod interpolate;
pub mod life;
mod load;
mod merge;
mod normal;
mod ports;
mod print;
mod project;
mod schema;
mod shape;
mod short;
mod units;
pub mod watch;
mod yaml;

use std::path::PathBuf;

pub use environment::Asked;
pub use error::Problem;
pub use load::How;
pub use project::{
    Attachment, Bind, Blkio, Build, Condition, Dependency, Deploy, Develop, Device, DeviceWish, Grant,
    Healthcheck, Hook, Ipam, Logging, Mount, Names, Network, Object, Pool, Port, Project, Rate, Resource,
    Resources, RestartPolicy, Service, Tmpfs, Volume, VolumeOptions, Watch,
};

use crate::oci::Digest;

/// The version of Docker Compose whose commands and files these are: tools compare it.
pub const VERSION: &str = "2.40.3";

/// A project as its files say it, whole and checked.
#[derive(Debug)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// Its files.
    pub files: Vec<String>,
    /// What its paths are relative to.
    pub directory: PathBuf,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The variables in force.
    pub variables: std::collections::BTreeMap<String, String>,
    /// Every profile that the files name.
    pub profiles: Vec<String>,
    /// Every service that the files define, active or not.
    pub all_services: Vec<String>,
    model: yaml::Node,
    seen: interpolate::Seen,
    how: How,
}

/// Loads the project. `named` are services that are wanted whatever their profiles. Returns nothing if there
/// are no files.
pub fn load(asked: &Asked, how: How, named: &[String]) -> Result<Option<Loaded>, Problem> {
    let Some(mut model) = load::load(asked, how)? else { return Ok(None) };
    shape::drop_blank(&mut model.root, &schema::PROJECT);
    normal::complete(&mut model, how)?;
    if how.normalize {
        normal::normalise(&mut model, how);
    }
    let services = model.root.get("services").and_then(yaml::Node::as_map);
    let all: Vec<String> = services.into_iter().flat_map(yaml::Map::keys).map(str::to_owned).collect();
    let mut profiles: Vec<String> = services
        .into_iter()
        .flat_map(|map| &map.0)
        .filter_map(|entry| entry.node.get("profiles")?.as_list())
        .flatten()
        .filter_map(|node| node.as_str().map(str::to_owned))
        .collect();
    profiles.sort();
    profiles.dedup();
    let mut active = asked.profiles.clone();
    let from_outside = model.variables.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
    active.extend(from_outside.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    check::choose(&mut model.root, &active, named);
    if how.check {
        check::check(&model.root, &all, how)?;
    }
    if how.normalize {
        check::drop_unused(&mut model.root);
    }
    let mut project = if how.interpolate && how.normalize { typed(&model.root)? } else { Project::default() };
    for service in project.services.values_mut() {
        service.old_names = asked.compatibility;
    }
    Ok(Some(Loaded {
        project,
        files: model.files,
        directory: model.directory,
        warnings: model.warnings,
        variables: model.variables,
        profiles,
        all_services: all,
        model: model.root,
        seen: model.seen,
        how,
    }))
}

impl Loaded {
    /// Returns the project as its files say it, keys of other programs (`x-…`) too.
    pub fn tree(&self) -> serde_json::Value {
        yaml::to_json(&self.model)
    }
}

/// Tells whether there are files of the project.
pub fn has_files(asked: &Asked) -> Result<bool, Problem> {
    Ok(!environment::find(asked)?.files.is_empty())
}

/// Returns the name of a project of which there are no files.
pub fn name_alone(asked: &Asked) -> Option<String> {
    load::name_alone(asked)
}

/// Reads the short form of a mount, whose relative paths are relative to `base`.
pub fn parse_mount(line: &str, base: &std::path::Path) -> Result<Mount, Problem> {
    let reading = shape::Reading {
        file: "--volume".to_owned(),
        base: base.to_owned(),
        resolve_paths: true,
        raw: false,
    };
    let place = shape::Place { reading: &reading, path: "volume".to_owned() };
    let node = short::volume(&yaml::Node::string(line, &yaml::Mark::nowhere()), &place)?;
    serde_json::from_value(yaml::to_json(&node)).map_err(|error| error::problem(format!("{line}: {error}")))
}

/// Reads the short form of published ports.
pub fn parse_port(line: &str) -> Result<Vec<Port>, String> {
    let port = |port: ports::Port| Port {
        host_ip: port.host_ip,
        target: port.target,
        published: port.published,
        protocol: Some(port.protocol),
    };
    Ok(ports::parse(line)?.into_iter().map(port).collect())
}

/// Reads a file of variables, by the rules of `env_file`.
pub fn read_env_file(path: &str) -> Result<std::collections::BTreeMap<String, String>, Problem> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| error::problem(format!("failed to open file {path}: {error}")))?;
    let lookup = |name: &str| std::env::var(name).ok();
    dotenv::parse(&text, &lookup)
        .map_err(|message| error::problem(format!("failed to read {path}: {message}")))
}

/// Splits a command line as a shell does; nothing if a quote stays open.
pub fn words(text: &str) -> Option<Vec<String>> {
    units::words(text)
}

/// Gives a model its types.
fn typed(root: &yaml::Node) -> Result<Project, Problem> {
    let mut whole = root.clone();
    check::drop_optional(&mut whole);
    let root = &whole;
    let json = yaml::to_json(root);
    let mut project: Project =
        serde_json::from_value(json).map_err(|error| error::problem(format!("decoding failed: {error}")))?;
    for (name, service) in &mut project.services {
        let Some(node) = root.get("services").and_then(|services| services.get(name)) else { continue };
        collect_keys(node, "", &mut service.keys);
        let mut node = node.clone();
        if let Some(map) = node.as_map_mut() {
            // What changes no container.
            for key in ["build", "depends_on", "profiles", "pull_policy", "scale", "develop", "attach"] {
                map.remove(key);
            }
            if let Some(deploy) = map.get_mut("deploy").and_then(yaml::Node::as_map_mut) {
                deploy.remove("replicas");
                if deploy.0.is_empty() {
                    map.remove("deploy");
                }
            }
        }
        for (section, grants) in [("secrets", &service.secrets), ("configs", &service.configs)] {
            for grant in grants {
                // What is in it is part of the container.
                let object = root.get(section).and_then(|objects| objects.get(&grant.source));
                if let (Some(object), Some(map)) = (object, node.as_map_mut()) {
                    map.set(&format!("{section}/{}", grant.source), object.clone());
                }
            }
        }
        service.hash = hash(&node);
    }
    for (name, network) in &mut project.networks {
        let node = root.get("networks").and_then(|networks| networks.get(name));
        network.hash = node.map(hash).unwrap_or_default();
    }
    for section in ["networks", "volumes", "secrets", "configs"] {
        if let Some(node) = root.get(section) {
            collect_keys(node, &format!("{section}."), &mut project.keys);
        }
    }
    Ok(project)
}

/// Collects the keys of a tree, each with the way there.
fn collect_keys(node: &yaml::Node, way: &str, found: &mut Vec<String>) {
    for entry in node.as_map().into_iter().flat_map(|map| &map.0) {
        found.push(format!("{way}{}", entry.key));
        collect_keys(&entry.node, &format!("{way}{}.", entry.key), found);
    }
    for item in node.as_list().unwrap_or_default() {
        collect_keys(item, way, found);
    }
}

/// Returns what a part of a model is known by, whatever its order.
fn hash(node: &yaml::Node) -> String {
    Digest::of(yaml::to_json(node).to_string().as_bytes()).hex()
}
