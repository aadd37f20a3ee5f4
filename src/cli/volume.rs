//! `volume create`, `ls`, `inspect`, `rm` and `prune`.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use clap::{Args, FromArgMatches};
use serde_json::{Map, Value, json};

use super::container_prune::Pruned;
use super::filter::{Filters, parse_filter};
use super::format::units::human_size;
use super::format::{List, Row, moment};
use super::grammar::{Absent, Arity, Rules};
use super::inspect;
use super::prune::confirm;
use super::pull::enter;
use super::report::{coded, response};
use super::request::parse_label;
use super::session::Session;
use super::tree::Spec;
use super::verbs::each;
use crate::container::{prune_volumes, remove_volume, tree_size, volume_users};
use crate::store::{Store, Subject};
use crate::volume::{self, VolumeRecord};

const SWARM: &str = "it is for volumes of a swarm";

const fn swarm(long: &'static str, takes_value: bool) -> Absent {
    Absent { long, short: None, takes_value, harmless: &[], reason: SWARM }
}

/// `volume create`
pub(super) const CREATE: Spec = Spec {
    paths: &["volume create"],
    about: "Create a volume",
    usage: "[OPTIONS] [VOLUME]",
    rules: Rules {
        arity: Arity::AtMost(1),
        interspersed: true,
        absent: &[
            swarm("availability", true),
            swarm("group", true),
            swarm("limit-bytes", true),
            swarm("required-bytes", true),
            swarm("scope", true),
            swarm("secret", true),
            swarm("sharing", true),
            swarm("topology-preferred", true),
            swarm("topology-required", true),
            swarm("type", true),
        ],
    },
    define: CreateArgs::augment_args,
    run: |matches, session| create(&CreateArgs::from_arg_matches(matches)?, session),
};

/// `volume ls`
pub(super) const LS: Spec = Spec {
    paths: &["volume ls", "volume list"],
    about: "List volumes",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[swarm("cluster", false)] },
    define: LsArgs::augment_args,
    run: |matches, session| ls(&LsArgs::from_arg_matches(matches)?, session),
};

/// `volume inspect`
pub(super) const INSPECT: Spec = Spec {
    paths: &["volume inspect"],
    about: "Display detailed information on one or more volumes",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: InspectArgs::augment_args,
    run: |matches, session| {
        let args = InspectArgs::from_arg_matches(matches)?;
        inspect::run(&args.volumes, args.format.as_deref(), inspect::Kind::Volume, false, session)
    },
};

/// `volume rm`
pub(super) const RM: Spec = Spec {
    paths: &["volume rm", "volume remove"],
    about: "Remove one or more volumes",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: RmArgs::augment_args,
    run: |matches, session| rm(&RmArgs::from_arg_matches(matches)?, session),
};

/// `volume prune`
pub(super) const PRUNE: Spec = Spec {
    paths: &["volume prune"],
    about: "Remove unused local volumes",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: PruneArgs::augment_args,
    run: |matches, session| {
        let args = PruneArgs::from_arg_matches(matches)?;
        let what = if args.all { "all local volumes" } else { "anonymous local volumes" };
        let filters = Filters::new(&args.filter, &["all", "label", "label!"])?;
        let all = filters.truth("all")?;
        if let (true, Some(value)) = (args.all, filters.values("all").first()) {
            bail!("conflicting options: cannot specify both --all and --filter all={value}");
        }
        if !args.force
            && !confirm(&format!("WARNING! This will remove {what} not used by at least one container."))?
        {
            return Ok(0);
        }
        let pruned = prune(&filters, args.all || all == Some(true), session)?;
        Session::print(&pruned.text("Deleted Volumes:\n"))?;
        Session::print(&format!("Total reclaimed space: {}\n", human_size(pruned.bytes, 4)))?;
        pruned.result()
    },
};

const LIST: List = List {
    heads: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Availability", "AVAILABILITY"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Group", "GROUP"),
        ("Status", "STATUS"),
    ],
    type_name: "*formatter.volumeContext",
    raw: Some("name: {{.Name}}\ndriver: {{.Driver}}\n"),
};

const FILTERS: &[&str] = &["dangling", "driver", "label", "name"];

#[derive(Debug, Args)]
struct CreateArgs {
    /// Driver of the volume: local
    #[arg(long, short, value_name = "string", default_value = "local")]
    driver: String,
    /// Metadata (key=value)
    #[arg(long, value_name = "list", value_parser = parse_label)]
    label: Vec<String>,
    /// The name, as older scripts give it
    #[arg(long, value_name = "string", hide = true)]
    name: Option<String>,
    /// Options of the driver: type=none, o=bind, device=DIR for a directory; type=tmpfs, device=tmpfs, o=size=… for memory
    #[arg(long, short, value_name = "map")]
    opt: Vec<String>,
    /// Name
    #[arg(value_name = "VOLUME")]
    volume: Option<String>,
}

#[derive(Debug, Args)]
struct LsArgs {
    /// Show only what fits (name=value)
    #[arg(long, short, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Only show names
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// Format of the output: json, or a Go template
    #[arg(long, short, value_name = "string")]
    format: Option<String>,
    /// Volumes
    #[arg(value_name = "VOLUME")]
    volumes: Vec<String>,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Do not mind volumes that are not there
    #[arg(long, short)]
    force: bool,
    /// Volumes
    #[arg(value_name = "VOLUME")]
    volumes: Vec<String>,
}

#[derive(Debug, Args)]
struct PruneArgs {
    /// Remove all unused volumes, not only those without a name
    #[arg(long, short)]
    all: bool,
    /// Remove only what fits (name=value): label, label!, all
    #[arg(long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
}

fn create(args: &CreateArgs, session: &Session) -> Result<u8> {
    if args.name.is_some() && args.volume.is_some() {
        bail!(
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg"
        );
    }
    if args.driver != "local" {
        let driver = &args.driver;
        return Err(response(anyhow!(
            "create volume: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
        )));
    }
    let named = args.volume.as_ref().or(args.name.as_ref()).filter(|name| !name.is_empty());
    let record = VolumeRecord {
        name: named.cloned().unwrap_or_else(crate::store::random_id),
        created: jiff::Timestamp::now().to_string(),
        labels: pairs(&args.label),
        anonymous: named.is_none(),
        options: pairs(&args.opt),
    };
    volume::ensure(session.store()?, &record).map_err(response)?;
    Session::print(&format!("{}\n", record.name))?;
    Ok(0)
}

/// Reads `key=value` words; a bare key has no value.
fn pairs(words: &[String]) -> BTreeMap<String, String> {
    let pair = |word: &String| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        (key.to_owned(), value.to_owned())
    };
    words.iter().map(pair).collect()
}

fn ls(args: &LsArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let filters = Filters::new(&args.filter, FILTERS)?;
    let dangling = filters.truth("dangling")?;
    let users = if dangling.is_some() { volume_users(store).map_err(response)? } else { BTreeMap::new() };
    let asked = args.format.clone().unwrap_or_default();
    let configured =
        if asked.is_empty() && !args.quiet { session.docker_config()?.volumes_format } else { asked };
    let format = match configured.as_str() {
        "" | "table" if args.quiet => "{{.Name}}",
        "raw" if args.quiet => "name: {{.Name}}",
        "" | "table" => "table {{.Driver}}\t{{.Name}}",
        format => format,
    };
    let mut rows = Vec::new();
    for record in volume::list(store).map_err(response)? {
        let fits = dangling.is_none_or(|wanted| users.contains_key(&record.name) != wanted)
            && filters.any("driver", |driver| driver == "local")
            && filters.any("name", |part| record.name.contains(part))
            && filters.labels(|key| record.labels.get(key).map(String::as_str));
        if fits {
            rows.push(row(store, &record));
        }
    }
    Session::print(&LIST.render(format, &rows)?)?;
    Ok(0)
}

fn row(store: &Store, record: &VolumeRecord) -> Row {
    let labels: Vec<String> = record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mountpoint = volume::data(store, &record.name).to_string_lossy().into_owned();
    let fields = [
        ("Name", record.name.as_str()),
        ("Driver", "local"),
        ("Scope", "local"),
        ("Availability", "N/A"),
        ("Mountpoint", &mountpoint),
        ("Labels", &labels.join(",")),
        ("Links", "N/A"),
        ("Size", "N/A"),
        ("Group", "N/A"),
        ("Status", "N/A"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .collect();
    let labels: Map<String, Value> =
        record.labels.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
    Row { fields, labels }
}

/// Describes a volume in Docker's keys; `None` if there is no such volume.
pub(super) fn describe(store: &Store, name: &str) -> Result<Option<Value>> {
    if volume::check_name(name).is_err() {
        return Ok(None);
    }
    let Some(record) = volume::load(store, name)? else { return Ok(None) };
    let filled = |map: &BTreeMap<String, String>| if map.is_empty() { Value::Null } else { json!(map) };
    let mut labels = record.labels.clone();
    if record.anonymous {
        labels.entry("com.docker.volume.anonymous".to_owned()).or_default();
    }
    Ok(Some(json!({
        "CreatedAt": record.created.parse().map_or(record.created.clone(), moment::rfc3339),
        "Driver": "local",
        "Labels": filled(&labels),
        "Mountpoint": volume::data(store, &record.name),
        "Name": record.name,
        "Options": filled(&record.options),
        "Scope": "local",
    })))
}

fn rm(args: &RmArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let (_ancestor, _) = enter(session)?;
    each(&args.volumes, |name| {
        if volume::check_name(name).is_err() || volume::load(store, name)?.is_none() {
            if args.force {
                return Ok(());
            }
            return Err(coded(1, format!("Error response from daemon: get {name}: no such volume")));
        }
        remove_volume(store, name).map_err(response)
    })
}

/// Removes the volumes that nothing uses and that fit the filters: `all` of them, or those without a name.
pub(super) fn prune(filters: &Filters, all: bool, session: &Session) -> Result<Pruned> {
    let (_ancestor, _) = enter(session)?;
    prune_within(filters, all, session.store()?)
}

/// Does so in a process that is in the ancestor namespace already.
pub(super) fn prune_within(filters: &Filters, all: bool, store: &Store) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    let sizes = std::cell::RefCell::new(BTreeMap::new());
    let wanted = |record: &VolumeRecord| {
        let label = |key: &str| record.labels.get(key).map(String::as_str);
        let fits = (all || record.anonymous) && filters.labels(label) && filters.no_labels(label);
        if fits {
            let data = volume::data(store, &record.name);
            // A directory of the host stays.
            let size = if data.is_symlink() { 0 } else { tree_size(&data) };
            sizes.borrow_mut().insert(record.name.clone(), size);
        }
        fits
    };
    pruned.names = prune_volumes(store, &wanted, |error| {
        pruned.errors.push(format!("{:#}", response(error)));
    })
    .map_err(response)?;
    let sizes = sizes.into_inner();
    pruned.bytes = pruned.names.iter().filter_map(|name| sizes.get(name)).sum();
    store.note_prune(Subject::Volume, pruned.bytes);
    Ok(pruned)
}
