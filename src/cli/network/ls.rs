//! `network ls`

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::cli::filter::{Filters, parse_filter};
use crate::cli::format::{List, Row, moment};
use crate::cli::grammar::{Arity, Rules};
use crate::cli::pattern::Pattern;
use crate::cli::report::response;
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::container;
use crate::network::{self, HOST, NONE, Network, Predefined};
use crate::store::Store;

/// `network ls`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["network ls", "network list"],
    about: "List networks",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: LsArgs::augment_args,
    run: |matches, session| run(&LsArgs::from_arg_matches(matches)?, session),
};

const LIST: List = List {
    heads: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
    type_name: "*network.networkContext",
    raw: Some("network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"),
};

const TABLE: &str = "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";

const FILTERS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

#[derive(Debug, Args)]
struct LsArgs {
    /// Show only what fits (e.g. "driver=bridge")
    #[arg(long, short, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Do not cut columns short
    #[arg(long)]
    no_trunc: bool,
    /// Only show network IDs
    #[arg(long, short)]
    quiet: bool,
}

/// What is shown of a network.
struct Line {
    id: String,
    name: String,
    driver: &'static str,
    network: Option<Network>,
}

impl From<Network> for Line {
    fn from(network: Network) -> Self {
        Self { id: network.id.clone(), name: network.name.clone(), driver: "bridge", network: Some(network) }
    }
}

impl From<Predefined> for Line {
    fn from(known: Predefined) -> Self {
        Self { id: known.id.to_owned(), name: known.name.to_owned(), driver: known.driver, network: None }
    }
}

fn run(args: &LsArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let filters = Filters::new(&args.filter, FILTERS)?;
    network::default(store).map_err(response)?;
    let mut lines: Vec<Line> = network::list(store).map_err(response)?.into_iter().map(Line::from).collect();
    lines.extend([HOST, NONE].map(Line::from));
    select(&mut lines, &filters, store)?;
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    let rows: Vec<Row> = lines.iter().map(|line| row(line, args.no_trunc)).collect();
    let asked = args.format.clone().unwrap_or_default();
    let configured =
        if asked.is_empty() && !args.quiet { session.docker_config()?.networks_format } else { asked };
    let format = match configured.as_str() {
        "" | "table" if args.quiet => "{{.ID}}",
        "raw" if args.quiet => "network_id: {{.ID}}",
        "" | "table" => TABLE,
        format => format,
    };
    Session::print(&LIST.render(format, &rows)?)?;
    Ok(0)
}

fn select(lines: &mut Vec<Line>, filters: &Filters, store: &Store) -> Result<()> {
    for kind in filters.values("type") {
        if !matches!(kind.as_str(), "custom" | "builtin") {
            return Err(response(anyhow!("invalid filter: 'type'='{kind}'")));
        }
    }
    let mut dangling = None;
    for value in filters.values("dangling") {
        dangling = Some(match value.as_str() {
            "1" | "t" | "true" | "True" | "TRUE" => true,
            "0" | "f" | "false" | "False" | "FALSE" => false,
            _ => {
                return Err(response(anyhow!(
                    "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")"
                )));
            }
        });
    }
    let unused: Vec<String> = match dangling {
        Some(_) => container::unused_networks(store)
            .map_err(response)?
            .into_iter()
            .map(|network| network.id)
            .collect(),
        None => Vec::new(),
    };
    let names: Vec<Pattern> = filters.values("name").iter().filter_map(|text| Pattern::parse(text)).collect();
    lines.retain(|line| {
        let builtin = line.network.as_ref().is_none_or(|network| network.name == "bridge");
        dangling.is_none_or(|wanted| unused.contains(&line.id) == wanted)
            && filters.any("driver", |driver| driver == line.driver)
            && filters.any("id", |id| line.id.starts_with(id))
            && filters.any("scope", |scope| scope == "local")
            && filters.any("type", |kind| (kind == "builtin") == builtin)
            && (filters.values("name").is_empty() || names.iter().any(|name| name.matches(&line.name)))
            && filters.labels(|key| line.network.as_ref()?.labels.get(key).map(String::as_str))
    });
    Ok(())
}

fn row(line: &Line, whole: bool) -> Row {
    let network = line.network.as_ref();
    let labels = network.map(|network| network.labels.clone()).unwrap_or_default();
    let created = network.and_then(|network| network.created.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let four = network.is_none_or(|network| network.subnet4().is_some());
    let all: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let fields: Map<String, Value> = [
        ("ID", if whole { line.id.clone() } else { line.id.chars().take(12).collect() }),
        ("Name", line.name.clone()),
        ("Driver", line.driver.to_owned()),
        ("Scope", "local".to_owned()),
        ("IPv4", four.to_string()),
        ("IPv6", network.is_some_and(|network| network.ipv6).to_string()),
        ("Internal", network.is_some_and(|network| network.internal).to_string()),
        ("Labels", all.join(",")),
        ("CreatedAt", moment::local(created)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .collect();
    Row { fields, labels: labels.into_iter().map(|(key, value)| (key, Value::from(value))).collect() }
}
