//! `export`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::destination::Destination;
use super::grammar::{Arity, Rules};
use super::pull::enter_for;
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container;

/// `export`
pub(super) const SPEC: Spec = Spec {
    paths: &["container export", "export"],
    about: "Export a container's filesystem as a tar archive",
    usage: "[OPTIONS] CONTAINER",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: ExportArgs::augment_args,
    run: |matches, session| run(&ExportArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct ExportArgs {
    /// Write to a file, instead of STDOUT
    #[arg(long, short, value_name = "string", default_value = "", hide_default_value = true)]
    output: String,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

fn run(args: &ExportArgs, session: &Session) -> Result<u8> {
    let mut out = Destination::open(&args.output, "export container")?;
    let dir = find(session, &args.container)?;
    let (_ancestor, mapping) = enter_for(session, &dir).map_err(response)?;
    container::export(session.store()?, &dir, &mapping, out.file()).map_err(response)?;
    out.finish()?;
    Ok(0)
}
