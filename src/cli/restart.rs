//! `restart`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::response;
use super::session::Session;
use super::stop::StopArgs;
use super::tree::Spec;
use super::verbs::{each, find};
use crate::container;

/// `restart`
pub(super) const SPEC: Spec = Spec {
    paths: &["container restart", "restart"],
    about: "Restart one or more containers",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: StopArgs::augment_args,
    run: |matches, session| run(&StopArgs::from_arg_matches(matches)?, session),
};

fn run(args: &StopArgs, session: &Session) -> Result<u8> {
    each(&args.containers, |name| {
        let dir = find(session, name)?;
        container::restart(session.store()?, &dir, args.signal.as_deref(), args.timeout).map_err(response)
    })
}
