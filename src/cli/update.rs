//! `update`

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::response;
use super::request::{LimitFlags, restart_policy};
use super::session::Session;
use super::tree::Spec;
use super::verbs::{each, find};
use crate::container::{self, Changes};

/// `update`
pub(super) const SPEC: Spec = Spec {
    paths: &["container update", "update"],
    about: "Update configuration of one or more containers",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: UpdateArgs::augment_args,
    run: |matches, session| run(&UpdateArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct UpdateArgs {
    #[command(flatten)]
    limits: LimitFlags,
    /// What to do when the container ends
    #[arg(long, value_name = "string")]
    restart: Option<String>,
    /// Containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

fn run(args: &UpdateArgs, session: &Session) -> Result<u8> {
    if args.restart.is_none() && !args.limits.any() {
        return Err(anyhow!("you must provide one or more flags when using this command"));
    }
    let restart = match args.restart.as_deref() {
        None | Some("") => None,
        Some(restart) => Some(restart_policy(restart).map_err(|message| {
            let said_here = message.starts_with("invalid restart policy format");
            if said_here { anyhow!(message) } else { response(anyhow!(message)) }
        })?),
    };
    let limits = args.limits.any().then(|| args.limits.read()).transpose()?;
    let changes = Changes { restart, limits };
    each(&args.containers, |name| {
        let dir = find(session, name)?;
        for warning in container::update(session.store()?, &dir, &changes).map_err(response)? {
            Session::note(&format!("WARNING: {warning}"));
        }
        Ok(())
    })
}
