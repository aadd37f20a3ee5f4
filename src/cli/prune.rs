//! `image prune`, and what all the prunes have in common.

use std::io::BufRead as _;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use jiff::Timestamp;

use super::container_prune::Pruned;
use super::filter::{Filters, parse_filter};
use super::format::moment;
use super::format::units::human_size;
use super::grammar::{Arity, Rules};
use super::pull::enter;
use super::report::response;
use super::rmi::users;
use super::session::Session;
use super::tree::Spec;
use crate::image::{self, Removed, Summary};
use crate::store::{Store, Subject};

/// `image prune`
pub(super) const IMAGE: Spec = Spec {
    paths: &["image prune"],
    about: "Remove unused images",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: ImageArgs::augment_args,
    run: |matches, session| images(&ImageArgs::from_arg_matches(matches)?, session),
};

const FILTERS: &[&str] = &["dangling", "label", "label!", "until"];

#[derive(Debug, Args)]
struct ImageArgs {
    /// Remove all unused images, not only those without a tag
    #[arg(long, short)]
    all: bool,
    /// Remove only what fits (name=value): until, label, label!
    #[arg(long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
}

fn images(args: &ImageArgs, session: &Session) -> Result<u8> {
    let warning = if args.all {
        "WARNING! This will remove all images without at least one container associated to them."
    } else {
        "WARNING! This will remove all dangling images."
    };
    let filters = Filters::new(&args.filter, FILTERS)?;
    until(&filters)?;
    let dangling = match filters.truth("dangling")? {
        Some(true) if args.all => return Err(Filters::invalid("dangling", "true")),
        dangling => dangling.unwrap_or(!args.all),
    };
    if !args.force && !confirm(warning)? {
        return Ok(0);
    }
    let store = session.image_store()?;
    let (_ancestor, _) = enter(session)?;
    let pruned = remove_images(&filters, !dangling, store)?;
    Session::print(&pruned.text("Deleted Images:\n"))?;
    Session::print(&format!("Total reclaimed space: {}\n", human_size(pruned.bytes, 4)))?;
    pruned.result()
}

/// Removes the images that nothing uses and that fit the filters: `all` of them, or those without a tag. The
/// process is in the ancestor namespace.
pub(super) fn remove_images(filters: &Filters, all: bool, store: &Store) -> Result<Pruned> {
    let until = until(filters)?;
    let users = users(store)?;
    let wanted = |summary: &Summary| {
        let config = &summary.image.config;
        let created: Option<Timestamp> = config.created.as_deref().and_then(|text| text.parse().ok());
        until.is_none_or(|until| created.is_some_and(|created| created <= until))
            && filters.labels(|key| config.config.labels.get(key).map(String::as_str))
            && filters.no_labels(|key| config.config.labels.get(key).map(String::as_str))
    };
    let pruned = image::prune(store, all, &wanted, &users).map_err(response)?;
    store.note_prune(Subject::Image, pruned.bytes);
    let names = pruned.done.iter().map(|step| match step {
        Removed::Untagged(name) => format!("untagged: {name}"),
        Removed::Deleted(id) => format!("deleted: {id}"),
    });
    Ok(Pruned { names: names.collect(), bytes: pruned.bytes, errors: Vec::new() })
}

/// Returns the moment of the filter `until`, of which there may be one.
pub(super) fn until(filters: &Filters) -> Result<Option<Timestamp>> {
    match filters.values("until") {
        [] => Ok(None),
        [text] => {
            let moment = moment::read(text, Timestamp::now());
            moment.map(Some).map_err(|error| response(anyhow!("{error}")))
        }
        _ => Err(response(anyhow!("more than one until filter specified"))),
    }
}

/// Asks whether to go on. Only `y` is yes.
pub(super) fn confirm(warning: &str) -> Result<bool> {
    Session::print(&format!("{warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    // What cannot be read is no consent.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
