//! `stats`

use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use serde_json::{Map, Value};

use super::format::units::{bytes_size, human_size};
use super::format::{List, Row};
use super::grammar::{Arity, Rules};
use super::info;
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use crate::container::{self, Sample, Summary, Usage};

/// `stats`
pub(super) const SPEC: Spec = Spec {
    paths: &["container stats", "stats"],
    about: "Display a live stream of container(s) resource usage statistics",
    usage: "[OPTIONS] [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: StatsArgs::augment_args,
    run: |matches, session| run(&StatsArgs::from_arg_matches(matches)?, session),
};

const LIST: List = List {
    heads: &[
        ("BlockIO", "BLOCK I/O"),
        ("CPUPerc", "CPU %"),
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("MemPerc", "MEM %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("Name", "NAME"),
        ("NetIO", "NET I/O"),
        ("PIDs", "PIDS"),
    ],
    type_name: "*container.statsContext",
    raw: None,
};

const TABLE: &str = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// The time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
struct StatsArgs {
    /// Show all containers, not only running ones
    #[arg(long, short)]
    all: bool,
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show the first result and end
    #[arg(long)]
    no_stream: bool,
    /// Do not cut columns short
    #[arg(long)]
    no_trunc: bool,
    /// Containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

fn run(args: &StatsArgs, session: &Session) -> Result<u8> {
    let asked = args.format.clone().unwrap_or_default();
    let format = match asked.as_str() {
        "" => session.docker_config()?.stats_format,
        _ => asked,
    };
    let format = if matches!(format.as_str(), "" | "table") { TABLE.to_owned() } else { format };
    let memory = info::memory();
    let mut before = container::sample(&choose(args, session)?);
    loop {
        std::thread::sleep(INTERVAL);
        let summaries = choose(args, session)?;
        let now = container::sample(&summaries);
        let rows: Vec<Row> = summaries.iter().map(|it| row(it, args, &before, &now, memory)).collect();
        let text = LIST.render(&format, &rows)?;
        if args.no_stream {
            Session::print(&text)?;
            return Ok(0);
        }
        // The screen is written over in one go, so that it does not flicker.
        Session::print(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")))?;
        if std::io::IsTerminal::is_terminal(&std::io::stdout()) || !reader_is_gone() {
            before = now;
        } else {
            return Ok(0);
        }
    }
}

/// Tells whether nobody reads standard output any more.
fn reader_is_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}

/// Returns the containers to show: those that are named, or those that run, or all.
fn choose(args: &StatsArgs, session: &Session) -> Result<Vec<Summary>> {
    let store = session.store()?;
    let mut all = container::list(store).map_err(response)?;
    if args.containers.is_empty() {
        all.retain(|summary| args.all || summary.status.is_active());
        return Ok(all);
    }
    let mut chosen = Vec::new();
    let mut errors = Vec::new();
    for name in &args.containers {
        let found = container::find(store, name).and_then(|dir| {
            let found = all.iter().find(|summary| summary.config.id == dir.id());
            found.cloned().ok_or_else(|| anyhow!("No such container: {name}"))
        });
        match found {
            Ok(summary) => chosen.push(summary),
            Err(error) => errors.push(format!("{:#}", response(error))),
        }
    }
    if errors.is_empty() { Ok(chosen) } else { Err(coded(1, errors.join("\n"))) }
}

#[allow(clippy::cast_precision_loss, reason = "percentages have two decimals")]
fn row(summary: &Summary, args: &StatsArgs, before: &Sample, now: &Sample, memory: u64) -> Row {
    let id = &summary.config.id;
    let shown = if args.no_trunc { id.as_str() } else { id.get(..12).unwrap_or(id) };
    let named = args.containers.iter().find(|name| **name == summary.name || id.starts_with(name.as_str()));
    let running = now.usages.get(id);
    // One that does not run uses nothing and has no limit.
    let own = u64::try_from(summary.config.limits.memory).ok().filter(|own| *own > 0);
    let most = own.unwrap_or(memory).min(memory);
    let (usage, limit) = running.map_or((Usage::default(), 0), |usage| (*usage, most));
    let earlier = before.usages.get(id).copied().unwrap_or(usage);
    let percent = |part: f64, whole: f64| if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    let seconds = usage.cpu.saturating_sub(earlier.cpu) as f64 / 1e6;
    let cpu = percent(seconds, now.at.saturating_duration_since(before.at).as_secs_f64());
    let fields: Map<String, Value> = [
        ("BlockIO", format!("{} / {}", human_size(usage.read, 3), human_size(usage.written, 3))),
        ("CPUPerc", format!("{cpu:.2}%")),
        ("Container", named.map_or(shown, String::as_str).to_owned()),
        ("ID", shown.to_owned()),
        ("MemPerc", format!("{:.2}%", percent(usage.memory as f64, limit as f64))),
        ("MemUsage", format!("{} / {}", bytes_size(usage.memory), bytes_size(limit))),
        ("Name", summary.name.clone()),
        ("NetIO", format!("{} / {}", human_size(usage.received, 3), human_size(usage.sent, 3))),
        ("PIDs", usage.tasks.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .collect();
    Row { fields, labels: Map::new() }
}
