//! `container prune`

use std::fmt::Write as _;

use anyhow::Result;
use clap::{Args, FromArgMatches};
use jiff::Timestamp;

use super::filter::{Filters, parse_filter};
use super::format::units::human_size;
use super::grammar::{Arity, Rules};
use super::prune::{confirm, until};
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use crate::container::{self, ContainerDir, RemoveOptions, Remover};
use crate::store::{Store, Subject};

/// `container prune`
pub(super) const SPEC: Spec = Spec {
    paths: &["container prune"],
    about: "Remove all stopped containers",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: PruneArgs::augment_args,
    run: |matches, session| run(&PruneArgs::from_arg_matches(matches)?, session),
};

const FILTERS: &[&str] = &["label", "label!", "until"];

#[derive(Debug, Args)]
struct PruneArgs {
    /// Remove only what fits (name=value): until, label, label!
    #[arg(long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
}

fn run(args: &PruneArgs, session: &Session) -> Result<u8> {
    let filters = Filters::new(&args.filter, FILTERS)?;
    until(&filters)?;
    if !args.force && !confirm("WARNING! This will remove all stopped containers.")? {
        return Ok(0);
    }
    let store = session.store()?;
    let pruned = prune(&filters, store, &mut Remover::new(store))?;
    Session::print(&pruned.text("Deleted Containers:\n"))?;
    Session::print(&format!("Total reclaimed space: {}\n", human_size(pruned.bytes, 4)))?;
    pruned.result()
}

/// What a prune has done.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    /// What is gone.
    pub(super) names: Vec<String>,
    /// What it took on the disk, in bytes.
    pub(super) bytes: u64,
    /// What could not be removed.
    pub(super) errors: Vec<String>,
}

impl Pruned {
    /// Returns the list of what is gone under a title; nothing if nothing is.
    pub(super) fn text(&self, title: &str) -> String {
        if self.names.is_empty() {
            return String::new();
        }
        let mut text = title.to_owned();
        for name in &self.names {
            let _ = writeln!(text, "{name}");
        }
        text.push('\n');
        text
    }

    /// Returns the exit code, or the errors.
    pub(super) fn result(self) -> Result<u8> {
        if self.errors.is_empty() { Ok(0) } else { Err(coded(1, self.errors.join("\n"))) }
    }
}

/// Removes the containers that do not run and fit the filters.
pub(super) fn prune(filters: &Filters, store: &Store, remover: &mut Remover<'_>) -> Result<Pruned> {
    let until = until(filters)?;
    let mut pruned = Pruned::default();
    for summary in container::list(store).map_err(response)? {
        let config = &summary.config;
        let created: Option<Timestamp> = config.created.parse().ok();
        let label = |key: &str| config.labels.get(key).map(String::as_str);
        let fits = !summary.status.is_active()
            && until.is_none_or(|until| created.is_some_and(|created| created <= until))
            && filters.labels(label)
            && filters.no_labels(label);
        if !fits {
            continue;
        }
        let dir = ContainerDir::new(store, &config.id);
        let size = container::tree_size(&dir.join("upper"));
        match remover.remove(&dir, &config.id, RemoveOptions { force: false, volumes: false }) {
            Ok(()) => {
                pruned.names.push(config.id.clone());
                pruned.bytes += size;
            }
            // Started or removed by somebody else meanwhile.
            Err(_) if !dir.exists() || dir.is_alive().unwrap_or(false) => {}
            Err(error) => pruned.errors.push(format!("{:#}", response(error))),
        }
    }
    store.note_prune(Subject::Container, pruned.bytes);
    Ok(pruned)
}
