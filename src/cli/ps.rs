//! `ps`

mod ports;

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::filter::{Filters, parse_filter};
use super::format::table::ellipsis;
use super::format::template::print::quote;
use super::format::units::{human_duration, human_size};
use super::format::{List, Row, moment};
use super::grammar::{Arity, Rules, integer};
use super::pattern::Pattern;
use super::report::response;
use super::request::port::port_range;
use super::session::Session;
use super::tree::Spec;
use crate::container::{self, ContainerDir, HealthWord, MountSource, NetworkMode, Status, Summary};
use crate::image;
use crate::oci::Reference;
use crate::store::Store;

/// `ps`
pub(super) const SPEC: Spec = Spec {
    paths: &["container ls", "container list", "container ps", "ps"],
    about: "List containers",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: PsArgs::augment_args,
    run: |matches, session| run(&PsArgs::from_arg_matches(matches)?, session),
};

pub(super) const LIST: List = List {
    heads: &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
        ("HealthStatus", "HEALTH STATUS"),
    ],
    type_name: "*formatter.ContainerContext",
    raw: Some(RAW),
};

const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n\
                   state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\n\
                   labels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

const TABLE: &str =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

#[derive(Debug, Args)]
struct PsArgs {
    /// Show all containers, not only running ones
    #[arg(long, short)]
    all: bool,
    /// Show only what fits (name=value)
    #[arg(long, short, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show the n last created containers, whatever their state
    #[arg(long, short = 'n', value_name = "int", default_value = "-1", value_parser = integer)]
    last: i64,
    /// Show the last created container, whatever its state
    #[arg(long, short)]
    latest: bool,
    /// Do not cut columns short
    #[arg(long)]
    no_trunc: bool,
    /// Only show container IDs
    #[arg(long, short)]
    quiet: bool,
    /// Show how much disk they take
    #[arg(long, short)]
    size: bool,
}

fn run(args: &PsArgs, session: &Session) -> Result<u8> {
    let format = format(args, session)?;
    let size = args.size || format.contains(".Size") || format.contains("json .}");
    let filters = Filters::new(&args.filter, FILTERS)?;
    let store = session.store()?;
    let mut summaries = container::list(store).map_err(response)?;
    select(&mut summaries, args, &filters, store)?;
    let now = Timestamp::now();
    let mut names = ImageNames { store, known: HashMap::new() };
    let rows: Vec<Row> = summaries
        .iter()
        .map(|summary| {
            let sizes = size.then(|| measure(store, summary));
            row(summary, args.no_trunc, &mut names, sizes, now)
        })
        .collect();
    Session::print(&LIST.render(&format, &rows)?)?;
    Ok(0)
}

fn format(args: &PsArgs, session: &Session) -> Result<String> {
    let asked = args.format.clone().unwrap_or_default();
    if args.quiet && !asked.is_empty() {
        Session::note("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    let configured = if asked.is_empty() && !args.quiet { session.docker_config()?.ps_format } else { asked };
    Ok(match configured.as_str() {
        "raw" if args.quiet => "container_id: {{.ID}}".to_owned(),
        _ if args.quiet => "{{.ID}}".to_owned(),
        "raw" if args.size => format!("{RAW}size: {{{{.Size}}}}\n"),
        "" | "table" if args.size => format!("{TABLE}\t{{{{.Size}}}}"),
        "" | "table" => TABLE.to_owned(),
        _ => configured,
    })
}

fn measure(store: &Store, summary: &Summary) -> (u64, u64) {
    let dir = ContainerDir::new(store, &summary.config.id);
    container::size(store, &dir, &summary.config).unwrap_or_default()
}

fn select(summaries: &mut Vec<Summary>, args: &PsArgs, filters: &Filters, store: &Store) -> Result<()> {
    for status in filters.values("status") {
        const WORDS: [&str; 7] = ["created", "dead", "exited", "paused", "removing", "restarting", "running"];
        if !WORDS.contains(&status.as_str()) {
            return Err(Filters::invalid("status", status));
        }
    }
    for word in filters.values("health") {
        if !matches!(word.as_str(), "starting" | "healthy" | "unhealthy" | "none") {
            return Err(response(anyhow!("unrecognized filter value for health: {word}")));
        }
    }
    // There are no tasks of a swarm.
    let tasks = filters.truth("is-task")?;
    let mut codes = Vec::new();
    for text in filters.values("exited") {
        codes.push(text.parse::<i32>().map_err(|_| {
            let why = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
            response(anyhow!("invalid filter 'exited={text}': {why}"))
        })?);
    }
    let outside = port_filters(filters, "publish")?;
    let inside = port_filters(filters, "expose")?;
    let mut ancestors = Vec::new();
    for name in filters.values("ancestor") {
        ancestors.extend(image::look(store, name).ok().map(|image| image.record.id));
    }
    let position = |key: &str| -> Result<Option<usize>> {
        let Some(name) = filters.values(key).first() else { return Ok(None) };
        let dir = container::find(store, name).map_err(response)?;
        let at = summaries.iter().position(|summary| summary.config.id == dir.id());
        at.map(Some).ok_or_else(|| response(anyhow!("No such container: {name}")))
    };
    // The list has the newest first.
    let since = position("since")?.unwrap_or(usize::MAX);
    let before = position("before")?;
    let all = args.all
        || args.latest
        || args.last > 0
        || !filters.values("status").is_empty()
        || !filters.values("exited").is_empty();
    let names: Vec<Option<Pattern>> =
        filters.values("name").iter().map(|text| Pattern::parse(text)).collect();
    let mut index = 0;
    summaries.retain(|summary| {
        let at = index;
        index += 1;
        at < since
            && before.is_none_or(|before| at > before)
            && tasks != Some(true)
            && (all || summary.status.is_active())
            && (names.is_empty() || names.iter().flatten().any(|name| fits_name(name, &summary.name)))
            && (codes.is_empty() || exit_code(summary).is_some_and(|code| codes.contains(&code)))
            && filters.any("status", |word| word == summary.status.word())
            && filters.any("id", |id| summary.config.id.starts_with(id))
            && (filters.values("ancestor").is_empty() || ancestors.contains(&summary.config.image))
            && filters.any("health", |word| word == summary.health.map_or("none", HealthWord::text))
            && filters.any("network", |name| is_in(summary, name))
            && (outside.is_empty() || fits_port(&outside, &ports::published(summary)))
            && (inside.is_empty() || fits_port(&inside, &ports::open(summary)))
            && filters.any("volume", |name| {
                mounts(summary).any(|(source, target)| source == name || target == name)
            })
            && filters.labels(|key| summary.config.labels.get(key).map(String::as_str))
    });
    let most = if args.latest { 1 } else { usize::try_from(args.last).unwrap_or(usize::MAX) };
    if args.latest || args.last > 0 {
        summaries.truncate(most);
    }
    Ok(())
}

fn fits_name(pattern: &Pattern, name: &str) -> bool {
    pattern.matches(&format!("/{name}")) || pattern.matches(name)
}

fn exit_code(summary: &Summary) -> Option<i32> {
    match &summary.status {
        Status::Exited(record) => Some(record.code),
        _ => None,
    }
}

/// Returns the names of the networks that a container is meant to be in.
fn networks(summary: &Summary) -> Vec<String> {
    match &summary.config.network {
        NetworkMode::Host => vec!["host".to_owned()],
        NetworkMode::None => vec!["none".to_owned()],
        NetworkMode::Container(_) => Vec::new(),
        NetworkMode::Default | NetworkMode::Named(_) => {
            summary.networks.iter().map(|it| it.network.clone()).collect()
        }
    }
}

/// Tells whether a container is meant to be in a network, by its name or the beginning of its id.
fn is_in(summary: &Summary, text: &str) -> bool {
    let known = |it: &crate::container::Attachment| !text.is_empty() && it.id.starts_with(text);
    networks(summary).iter().any(|name| name == text) || summary.networks.iter().any(known)
}

/// What a filter for ports names: the first, the last, and the protocol.
type PortRange = (u16, u16, String);

/// Reads the filters for ports: `port[-port][/protocol]`.
fn port_filters(filters: &Filters, key: &str) -> Result<Vec<PortRange>> {
    let read = |text: &String| {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = port_range(range)
            .map_err(|why| response(anyhow!("error while looking up for {key} {text}: {why}")))?;
        Ok((first, last, protocol.to_owned()))
    };
    filters.values(key).iter().map(read).collect()
}

/// Tells whether one of the ports is meant by one of the ranges.
fn fits_port(ranges: &[PortRange], ports: &[(u16, String)]) -> bool {
    let fits = |(port, kind): &(u16, String)| {
        ranges.iter().any(|(first, last, protocol)| (first..=last).contains(&port) && kind == protocol)
    };
    ports.iter().any(fits)
}

/// Returns the names or sources of mounts, with their targets.
fn mounts(summary: &Summary) -> impl Iterator<Item = (&str, &str)> {
    summary.config.mounts.iter().map(|mount| {
        let source = match &mount.source {
            MountSource::Bind { path, .. } => path.as_str(),
            MountSource::Volume { name, .. } | MountSource::Image { name, .. } => name.as_str(),
            MountSource::Tmpfs { .. } => "",
        };
        (source, mount.target.as_str())
    })
}

/// What images are called: the name a container was made from may mean another image by now.
struct ImageNames<'a> {
    store: &'a Store,
    known: HashMap<String, Option<crate::oci::Digest>>,
}

impl ImageNames<'_> {
    fn shown(&mut self, summary: &Summary, truncated: bool) -> String {
        let name = &summary.config.image_name;
        let store = self.store;
        let reference = Reference::parse(name).ok();
        let meant = *self.known.entry(name.clone()).or_insert_with(|| {
            let record = reference.clone().map(|it| image::name_of(&it.with_default_tag()));
            record.and_then(|name| store.get_ref(&name).ok().flatten()).map(|record| record.id)
        });
        let id = summary.config.image;
        match reference {
            Some(reference) if meant == Some(id) => {
                if truncated && reference.digest().is_some() {
                    reference.familiar_name().to_owned()
                } else {
                    reference.familiar()
                }
            }
            // It was made from an id, and is shown as one.
            _ if !truncated => id.to_string(),
            _ => id.short(),
        }
    }
}

/// Returns rows of containers.
pub(super) fn rows(containers: &[Summary], store: &Store, no_trunc: bool) -> Vec<Row> {
    let now = Timestamp::now();
    let mut names = ImageNames { store, known: HashMap::new() };
    containers.iter().map(|summary| row(summary, no_trunc, &mut names, None, now)).collect()
}

/// Returns rows with what each container has written, for `system df`.
pub(super) fn sized_rows(containers: &[(Summary, u64)], store: &Store, no_trunc: bool) -> Vec<Row> {
    let now = Timestamp::now();
    let mut names = ImageNames { store, known: HashMap::new() };
    let row = |(summary, size): &(Summary, u64)| row(summary, no_trunc, &mut names, Some((*size, 0)), now);
    containers.iter().map(row).collect()
}

fn row(
    summary: &Summary,
    no_trunc: bool,
    images: &mut ImageNames<'_>,
    sizes: Option<(u64, u64)>,
    now: Timestamp,
) -> Row {
    let config = &summary.config;
    let short = !no_trunc;
    let created: Timestamp = config.created.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let command = command_line(&config.process.argv());
    let names: Vec<String> = mounts(summary)
        .filter(|(source, _)| !source.is_empty())
        .map(|(source, _)| if short { ellipsis(source, 15) } else { source.to_owned() })
        .collect();
    let volumes =
        config.mounts.iter().filter(|mount| matches!(mount.source, MountSource::Volume { .. })).count();
    let labels: Vec<String> = config.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let size = match sizes {
        Some((written, total)) if total > 0 => {
            format!("{} (virtual {})", human_size(written, 3), human_size(total, 3))
        }
        sizes => human_size(sizes.unwrap_or_default().0, 3),
    };
    let fields: Map<String, Value> = [
        ("ID", if short { config.id.chars().take(12).collect() } else { config.id.clone() }),
        ("Names", summary.name.clone()),
        ("Image", images.shown(summary, short)),
        ("Command", quote(&if short { ellipsis(&command, 20) } else { command })),
        ("CreatedAt", moment::local(created)),
        ("RunningFor", format!("{} ago", since(created, now))),
        ("Ports", ports::shown(summary)),
        ("State", summary.status.word().to_owned()),
        ("Status", status(&summary.status, summary.health, now)),
        ("Size", size),
        ("Labels", labels.join(",")),
        ("Mounts", names.join(",")),
        ("LocalVolumes", volumes.to_string()),
        ("Networks", networks(summary).join(",")),
        ("Platform", config.platform.clone()),
        ("HealthStatus", summary.health.map_or("", HealthWord::text).to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .collect();
    let labels = config.labels.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    Row { fields, labels: labels.collect() }
}

/// Joins a command line as Docker's daemon does.
fn command_line(argv: &[String]) -> String {
    let quoted = |(index, word): (usize, &String)| {
        if index > 0 && word.contains(' ') { format!("'{word}'") } else { word.clone() }
    };
    argv.iter().enumerate().map(quoted).collect::<Vec<_>>().join(" ")
}

fn since(then: Timestamp, now: Timestamp) -> String {
    human_duration(now.duration_since(then).as_secs())
}

/// Says what a container is doing as Docker's daemon does.
fn status(status: &Status, health: Option<HealthWord>, now: Timestamp) -> String {
    let ago = |text: &str| text.parse().map_or_else(|_| "a long time".to_owned(), |then| since(then, now));
    match status {
        Status::Created(_) => "Created".to_owned(),
        Status::Running(alive) => {
            let state = match health {
                _ if alive.paused => " (Paused)",
                None => "",
                Some(HealthWord::Starting) => " (health: starting)",
                Some(HealthWord::Healthy) => " (healthy)",
                Some(HealthWord::Unhealthy) => " (unhealthy)",
            };
            format!("Up {}{state}", ago(&alive.started))
        }
        Status::Restarting(alive) => {
            let (code, finished) =
                alive.last.as_ref().map_or((0, ""), |last| (last.code, last.finished.as_str()));
            format!("Restarting ({code}) {} ago", ago(finished))
        }
        Status::Exited(record) => format!("Exited ({}) {} ago", record.code, ago(&record.finished)),
        Status::Lost(alive) => format!("Exited (137) {} ago", ago(&alive.started)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::ExitRecord;

    #[test]
    fn joins_commands_as_docker_does() {
        let line =
            |words: &[&str]| command_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["sh", "-c", "exit 3"]), "sh -c 'exit 3'");
        assert_eq!(line(&["/my prog"]), "/my prog");
    }

    #[test]
    fn says_states_in_dockers_words() {
        let now: Timestamp = "2026-01-01T00:02:00Z".parse().unwrap();
        let record =
            ExitRecord { code: 3, finished: "2026-01-01T00:01:57Z".to_owned(), ..ExitRecord::default() };
        assert_eq!(status(&Status::Exited(record), None, now), "Exited (3) 3 seconds ago");
        assert_eq!(status(&Status::Created(None), None, now), "Created");
    }
}
