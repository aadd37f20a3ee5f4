//! `rename`

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use crate::container;

/// `rename`
pub(super) const SPEC: Spec = Spec {
    paths: &["container rename", "rename"],
    about: "Rename a container",
    usage: "CONTAINER NEW_NAME",
    rules: Rules { arity: Arity::Exactly(2), interspersed: true, absent: &[] },
    define: RenameArgs::augment_args,
    run: |matches, session| run(&RenameArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct RenameArgs {
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// The name it shall have
    #[arg(value_name = "NEW_NAME")]
    name: String,
}

fn run(args: &RenameArgs, session: &Session) -> Result<u8> {
    let (container, name) = (args.container.trim(), args.name.trim());
    if container.is_empty() || name.is_empty() {
        return Err(anyhow!("Error: Neither old nor new names may be empty"));
    }
    let store = session.store()?;
    let renamed = container::find(store, container).and_then(|dir| container::rename(store, &dir, name));
    renamed.map_err(|error| {
        coded(1, format!("{}\nError: failed to rename container named {container}", response(error)))
    })?;
    Ok(0)
}
