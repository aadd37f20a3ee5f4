//! `kill`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::each;
use crate::container;

/// `kill`
pub(super) const SPEC: Spec = Spec {
    paths: &["container kill", "kill"],
    about: "Kill one or more running containers",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: KillArgs::augment_args,
    run: |matches, session| run(&KillArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct KillArgs {
    /// Signal to send to the container
    #[arg(long, short, value_name = "string")]
    signal: Option<String>,
    /// Containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

fn run(args: &KillArgs, session: &Session) -> Result<u8> {
    let signal = args.signal.as_deref().filter(|signal| !signal.is_empty()).unwrap_or("KILL");
    each(&args.containers, |name| {
        let store = session.store()?;
        container::find(store, name)
            .and_then(|dir| container::kill(store, &dir, signal))
            .map_err(|error| response(error.context(format!("cannot kill container: {name}"))))
    })
}
