//! `wait`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container;

/// `wait`
pub(super) const SPEC: Spec = Spec {
    paths: &["container wait", "wait"],
    about: "Block until one or more containers stop, then print their exit codes",
    usage: "CONTAINER [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: WaitArgs::augment_args,
    run: |matches, session| run(&WaitArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct WaitArgs {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

fn run(args: &WaitArgs, session: &Session) -> Result<u8> {
    let mut errors = Vec::new();
    for name in &args.containers {
        let waited =
            find(session, name).and_then(|dir| container::wait(session.store()?, &dir).map_err(response));
        match waited {
            Ok(code) => Session::print(&format!("{code}\n"))?,
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    if errors.is_empty() { Ok(0) } else { Err(coded(1, errors.join("\n"))) }
}
