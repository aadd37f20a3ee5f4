//! `rm`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container::{self, RemoveOptions, Remover};

/// `rm`
pub(super) const SPEC: Spec = Spec {
    paths: &["container rm", "container remove", "rm"],
    about: "Remove one or more containers",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: RmArgs::augment_args,
    run: |matches, session| run(&RmArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct RmArgs {
    /// Kill a running container first
    #[arg(long, short)]
    force: bool,
    /// Remove a link of a container to another one (CONTAINER/ALIAS), and not the container
    #[arg(long, short)]
    link: bool,
    /// Remove the unnamed volumes of the container, too
    #[arg(long, short)]
    volumes: bool,
    /// Containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

fn run(args: &RmArgs, session: &Session) -> Result<u8> {
    if args.link {
        return unlink(args, session);
    }
    let options = RemoveOptions { force: args.force, volumes: args.volumes };
    let mut remover = Remover::new(session.store()?);
    let mut errors = Vec::new();
    let mut failed = false;
    for name in &args.containers {
        let dir = match find(session, name) {
            Ok(dir) => dir,
            Err(error) => {
                errors.push(format!("{error:#}"));
                // By force, what is not there is as it should be.
                failed |= !args.force;
                continue;
            }
        };
        match remover.remove(&dir, name, options).map_err(response) {
            Ok(()) => Session::print(&format!("{name}\n"))?,
            Err(error) => {
                errors.push(format!("{error:#}"));
                failed = true;
            }
        }
    }
    if failed {
        return Err(coded(1, errors.join("\n")));
    }
    for error in &errors {
        Session::note(error);
    }
    Ok(0)
}

/// As Docker: a name that is no link is that of a container, whose own name cannot be taken away.
fn unlink(args: &RmArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let mut errors = Vec::new();
    for name in &args.containers {
        match container::unlink(store, name).map_err(response) {
            Ok(()) => Session::print(&format!("{name}\n"))?,
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    if errors.is_empty() { Ok(0) } else { Err(coded(1, errors.join("\n"))) }
}
