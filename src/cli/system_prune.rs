//! `system prune`: everything that nothing uses, at once.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};

use super::container_prune::Pruned;
use super::filter::{Filters, parse_filter};
use super::format::units::human_size;
use super::grammar::{Arity, Rules};
use super::prune::{confirm, until};
use super::pull::enter;
use super::session::Session;
use super::tree::Spec;
use super::{builder_prune, container_prune, network, prune, volume};
use crate::container::Remover;

/// `system prune`
pub(super) const SPEC: Spec = Spec {
    paths: &["system prune"],
    about: "Remove unused data",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: PruneArgs::augment_args,
    run: |matches, session| run(&PruneArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct PruneArgs {
    /// Remove all unused images, not only those without a tag
    #[arg(long, short)]
    all: bool,
    /// Remove only what fits (name=value): until, label, label!
    #[arg(long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
    /// Remove the unnamed volumes that nothing uses, too
    #[arg(long)]
    volumes: bool,
}

fn run(args: &PruneArgs, session: &Session) -> Result<u8> {
    if args.volumes && args.filter.iter().any(|(key, _)| key == "until") {
        return Err(anyhow!("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    let filters = Filters::new(&args.filter, &["label", "label!", "until"])?;
    until(&filters)?;
    if !args.force && !confirm(&warning(args))? {
        return Ok(0);
    }
    let store = session.image_store()?;
    // A process can enter it only once: in it, all is done.
    let (ancestor, _) = enter(session)?;
    let mut remover = Remover::within(store, ancestor);
    let mut all = Pruned::default();
    let mut take = |mut pruned: Pruned, title: &str| {
        all.bytes += pruned.bytes;
        all.errors.append(&mut pruned.errors);
        Session::print(&pruned.text(title))
    };
    take(container_prune::prune(&filters, store, &mut remover)?, "Deleted Containers:\n")?;
    take(
        Pruned { names: network::prune::prune(&filters, store)?, ..Pruned::default() },
        "Deleted Networks:\n",
    )?;
    if args.volumes {
        take(volume::prune_within(&filters, false, store)?, "Deleted Volumes:\n")?;
    }
    take(prune::remove_images(&filters, args.all, store)?, "Deleted Images:\n")?;
    // Docker leaves the cache alone where there is a filter that it does not have.
    if filters.values("label").is_empty() && filters.values("label!").is_empty() {
        take(
            builder_prune::prune_within(&filters, args.all, None, store)?,
            "Deleted build cache objects:\n",
        )?;
    }
    Session::print(&format!("Total reclaimed space: {}\n", human_size(all.bytes, 4)))?;
    all.result()
}

/// Says what will be done, in Docker's words.
fn warning(args: &PruneArgs) -> String {
    let mut text =
        "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least \
                    one container\n"
            .to_owned();
    if args.volumes {
        text.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    text.push_str(if args.all {
        "  - all images without at least one container associated to them\n  - all build cache\n"
    } else {
        "  - all dangling images\n  - unused build cache\n"
    });
    let mut filters: Vec<String> = args.filter.iter().map(|(key, value)| format!("{key}={value}")).collect();
    filters.sort();
    if !filters.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        for filter in filters {
            let _ = writeln!(text, "  - {filter}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_as_docker_does() {
        let mut args = PruneArgs { all: false, filter: Vec::new(), force: false, volumes: false };
        assert_eq!(
            warning(&args),
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one \
             container\n  - all dangling images\n  - unused build cache\n"
        );
        args.all = true;
        args.volumes = true;
        args.filter = vec![("label".into(), "b".into()), ("label".into(), "a=1".into())];
        assert_eq!(
            warning(&args),
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one \
             container\n  - all anonymous volumes not used by at least one container\n  - all images without at \
             least one container associated to them\n  - all build cache\n\n  Items to be pruned will be filtered \
             with:\n  - label=a=1\n  - label=b\n"
        );
    }
}
