//! `builder prune`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::container_prune::Pruned;
use super::filter::{Filters, parse_filter};
use super::format::units::human_size;
use super::grammar::{Arity, Rules};
use super::prune::{confirm, until};
use super::pull::enter;
use super::report::response;
use super::request::parse_bytes;
use super::session::Session;
use super::tree::Spec;
use crate::build::upkeep::{self, Wish};
use crate::store::Store;

/// `builder prune`
pub(super) const SPEC: Spec = Spec {
    paths: &["builder prune", "buildx prune"],
    about: "Remove build cache",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: PruneArgs::augment_args,
    run: |matches, session| run(&PruneArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct PruneArgs {
    /// Remove all unused build cache, not just what no image has
    #[arg(long, short)]
    all: bool,
    /// The builder; there is one
    #[arg(long, value_name = "string", hide = true)]
    builder: Option<String>,
    /// Remove only what fits (name=value): until
    #[arg(long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
    /// Amount of disk space to keep for the cache
    #[arg(
        long,
        visible_aliases = ["max-used-space", "reserved-space"],
        value_name = "bytes",
        value_parser = parse_bytes
    )]
    keep_storage: Option<u64>,
    /// Accepted; every removed entry is listed
    #[arg(long, hide = true)]
    verbose: bool,
}

fn run(args: &PruneArgs, session: &Session) -> Result<u8> {
    let filters = Filters::new(&args.filter, &["until"])?;
    until(&filters)?;
    let warning = if args.all {
        "WARNING! This will remove all build cache."
    } else {
        "WARNING! This will remove all dangling build cache."
    };
    if !args.force && !confirm(warning)? {
        return Ok(0);
    }
    let store = session.store()?;
    let (_ancestor, _) = enter(session)?;
    let pruned = prune_within(&filters, args.all, args.keep_storage, store)?;
    Session::print(&pruned.text("Deleted build cache objects:\n"))?;
    Session::print(&format!("Total reclaimed space: {}\n", human_size(pruned.bytes, 4)))?;
    pruned.result()
}

/// Removes what fits of the cache. The process is in the ancestor namespace.
pub(super) fn prune_within(filters: &Filters, all: bool, keep: Option<u64>, store: &Store) -> Result<Pruned> {
    let until = until(filters)?.map(jiff::Timestamp::as_second);
    let removed = upkeep::prune(store, Wish { all, until, keep }).map_err(response)?;
    let bytes = removed.iter().filter(|entry| !entry.shared).map(|entry| entry.size).sum();
    Ok(Pruned { names: removed.into_iter().map(|entry| entry.id).collect(), bytes, errors: Vec::new() })
}
