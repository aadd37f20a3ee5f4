//! `network prune`

use std::io::{self, BufRead as _};

use anyhow::Result;
use clap::{Args, FromArgMatches};
use jiff::Timestamp;

use crate::cli::filter::{Filters, parse_filter};
use crate::cli::format::moment;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::report::response;
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::container;
use crate::store::{Store, Subject};

/// `network prune`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["network prune"],
    about: "Remove all unused networks",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: PruneArgs::augment_args,
    run: |matches, session| run(&PruneArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct PruneArgs {
    /// Remove only what fits (e.g. "until=<timestamp>")
    #[arg(long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask first
    #[arg(long, short)]
    force: bool,
}

const WARNING: &str = "WARNING! This will remove all custom networks not used by at least one container.\n\
                       Are you sure you want to continue? [y/N] ";

fn run(args: &PruneArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let given: Vec<(String, String)> =
        args.filter.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let filters = Filters::new(&given, &["label", "label!", "until"])?;
    if !args.force {
        Session::print(WARNING)?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(0);
        }
    }
    let removed = prune(&filters, store)?;
    if !removed.is_empty() {
        Session::print(&format!("Deleted Networks:\n{}\n\n", removed.join("\n")))?;
    }
    Ok(0)
}

/// Removes the networks that nothing uses and that fit the filters, and returns their names.
pub(in crate::cli) fn prune(filters: &Filters, store: &Store) -> Result<Vec<String>> {
    let mut until = None;
    for value in filters.values("until") {
        until = Some(moment::read(value, Timestamp::now()).map_err(|_| Filters::no_time(value))?);
    }
    let mut removed = Vec::new();
    for network in container::unused_networks(store).map_err(response)? {
        let created: Timestamp = network.created.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let label = |key: &str| network.labels.get(key).map(String::as_str);
        let unwanted = filters.values("label!").iter().any(|wanted| match wanted.split_once('=') {
            Some((key, value)) => label(key) == Some(value),
            None => label(wanted).is_some(),
        });
        if unwanted || !filters.labels(label) || until.is_some_and(|until| created >= until) {
            continue;
        }
        // One that has just come into use stays.
        if container::remove_network(store, &network.id).is_ok() {
            removed.push(network.name);
        }
    }
    store.note_prune(Subject::Network, 0);
    Ok(removed)
}
