//! `update`

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::response;
use super::request::{LIMITS, restart_policy};
use super::session::Session;
use super::tree::Spec;
use super::verbs::{each, find};
use crate::container::{self, Changes};

/// `update`
pub(super) const SPEC: Spec = Spec {
    paths: &["container update", "update"],
    about: "Update configuration of one or more containers",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: LIMITS },
    define: UpdateArgs::augment_args,
    run: |matches, session| run(&UpdateArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct UpdateArgs {
    /// What to do when the container ends
    #[arg(long, value_name = "string")]
    restart: Option<String>,
    /// Containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

fn run(args: &UpdateArgs, session: &Session) -> Result<u8> {
    let Some(restart) = &args.restart else {
        return Err(anyhow!("you must provide one or more flags when using this command"));
    };
    let restart = if restart.is_empty() {
        None
    } else {
        Some(restart_policy(restart).map_err(|message| anyhow!(message))?)
    };
    let changes = Changes { restart };
    each(&args.containers, |name| {
        let dir = find(session, name)?;
        container::update(session.store()?, &dir, &changes).map_err(response)
    })
}
