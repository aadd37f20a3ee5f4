//! `commit`

use anyhow::Result;
use clap::{ArgAction, Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::pull::enter_for;
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container::{self, CommitRequest};
use crate::oci::Reference;

/// `commit`
pub(super) const SPEC: Spec = Spec {
    paths: &["container commit", "commit"],
    about: "Create a new image from a container's changes",
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    rules: Rules { arity: Arity::Between(1, 2), interspersed: true, absent: &[] },
    define: CommitArgs::augment_args,
    run: |matches, session| {
        let args = CommitArgs::from_arg_matches(matches)?;
        commit(session, &args.container, args.reference.as_deref(), &args.flags)
    },
};

/// How a container becomes an image.
#[derive(Debug, Args)]
pub(super) struct CommitFlags {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(long, short, value_name = "string")]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(long, short, value_name = "list")]
    change: Vec<String>,
    /// Commit message
    #[arg(long, short, value_name = "string")]
    message: Option<String>,
    /// Pause container during commit
    #[arg(
        long,
        short,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    pause: bool,
}

#[derive(Debug, Args)]
struct CommitArgs {
    #[command(flatten)]
    flags: CommitFlags,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
}

/// Makes an image of a container.
pub(super) fn commit(
    session: &Session,
    container: &str,
    name: Option<&str>,
    args: &CommitFlags,
) -> Result<u8> {
    let reference = name
        .filter(|name| !name.is_empty())
        .map(|name| Reference::parse(name).map(Reference::with_default_tag))
        .transpose()
        .map_err(anyhow::Error::from)?;
    let store = session.store()?;
    let dir = find(session, container)?;
    let request = CommitRequest {
        author: args.author.clone().unwrap_or_default(),
        changes: args.change.clone(),
        message: args.message.clone().unwrap_or_default(),
        reference,
    };
    let held = args.pause.then(|| container::halt(store, &dir)).transpose().map_err(response)?;
    let (_ancestor, mapping) = enter_for(session, &dir).map_err(response)?;
    let id = container::commit(store, &dir, &mapping, request, held).map_err(response)?;
    Session::print(&format!("{id}\n"))?;
    Ok(0)
}
