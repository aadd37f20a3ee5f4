//! `pause` and `unpause`

use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::response;
use super::tree::Spec;
use super::verbs::{each, find};
use crate::container;

const RULES: Rules = Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] };

/// `pause`
pub(super) const PAUSE: Spec = Spec {
    paths: &["container pause", "pause"],
    about: "Pause all processes within one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    rules: RULES,
    define: PauseArgs::augment_args,
    run: |matches, session| {
        each(&PauseArgs::from_arg_matches(matches)?.containers, |name| {
            let dir = find(session, name)?;
            container::pause(session.store()?, &dir).map_err(response)
        })
    },
};

/// `unpause`
pub(super) const UNPAUSE: Spec = Spec {
    paths: &["container unpause", "unpause"],
    about: "Unpause all processes within one or more containers",
    usage: "CONTAINER [CONTAINER...]",
    rules: RULES,
    define: PauseArgs::augment_args,
    run: |matches, session| {
        each(&PauseArgs::from_arg_matches(matches)?.containers, |name| {
            let dir = find(session, name)?;
            container::unpause(session.store()?, &dir).map_err(response)
        })
    },
};

#[derive(Debug, Args)]
struct PauseArgs {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}
