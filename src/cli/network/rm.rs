//! `network rm`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use crate::cli::grammar::{Arity, Rules};
use crate::cli::report::{coded, response};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::container;
use crate::network::FindError;

/// `network rm`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["network rm", "network remove"],
    about: "Remove one or more networks",
    usage: "NETWORK [NETWORK...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: RmArgs::augment_args,
    run: |matches, session| run(&RmArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct RmArgs {
    /// Do not complain of a network that is not there
    #[arg(long, short)]
    force: bool,
    /// Networks
    #[arg(value_name = "NETWORK")]
    networks: Vec<String>,
}

fn run(args: &RmArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let mut errors = Vec::new();
    for name in &args.networks {
        match container::remove_network(store, name) {
            Ok(()) => Session::print(&format!("{name}\n"))?,
            Err(error) if args.force && matches!(error.downcast_ref(), Some(FindError::NotFound(_))) => {}
            Err(error) => errors.push(response(error).to_string()),
        }
    }
    if errors.is_empty() { Ok(0) } else { Err(coded(1, errors.join("\n"))) }
}
