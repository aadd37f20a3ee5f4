//! `stop`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules, integer};
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::{each, find};
use crate::container;

/// `stop`
pub(super) const SPEC: Spec = Spec {
    paths: &["container stop", "stop"],
    about: "Stop one or more running containers",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: StopArgs::augment_args,
    run: |matches, session| run(&StopArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// Signal to send to the container
    #[arg(long, short, value_name = "string")]
    pub(super) signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(long, short, alias = "time", value_name = "int", value_parser = integer)]
    pub(super) timeout: Option<i64>,
    /// Containers
    #[arg(value_name = "CONTAINER")]
    pub(super) containers: Vec<String>,
}

fn run(args: &StopArgs, session: &Session) -> Result<u8> {
    each(&args.containers, |name| {
        let dir = find(session, name)?;
        container::stop(session.store()?, &dir, args.signal.as_deref(), args.timeout)
            .map_err(|error| response(error.context(format!("cannot stop container: {name}"))))
    })
}
