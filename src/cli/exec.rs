//! `exec`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::{coded, response};
use super::request::{environment, parse_env};
use super::run::{NO_TERMINAL, exit_code, keys};
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container::{self, ExecRequest, Outcome, StartError};

/// `exec`
pub(super) const SPEC: Spec = Spec {
    paths: &["container exec", "exec"],
    about: "Execute a command in a running container",
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    rules: Rules { arity: Arity::AtLeast(2), interspersed: false, absent: &[] },
    define: ExecArgs::augment_args,
    run: |matches, session| run(&ExecArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct ExecArgs {
    /// Run in the background
    #[arg(long, short)]
    detach: bool,
    /// Keys that detach from the container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(long, short, value_name = "list", value_parser = parse_env)]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "list")]
    env_file: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(long, short)]
    interactive: bool,
    /// Give the command everything a user namespace can give
    #[arg(long)]
    privileged: bool,
    /// Give the command a terminal
    #[arg(long, short)]
    tty: bool,
    /// User name or id (format: <name|uid>[:<group|gid>])
    #[arg(long, short, value_name = "string")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(long, short, value_name = "string")]
    workdir: Option<String>,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Command and its arguments
    #[arg(value_name = "COMMAND", allow_hyphen_values = true)]
    command: Vec<String>,
}

fn run(args: &ExecArgs, session: &Session) -> Result<u8> {
    let env = environment(&args.env_file, &args.env, &|name| std::env::var(name).ok())?;
    let dir = find(session, &args.container)?;
    if !args.detach && args.interactive && args.tty && !Session::stdin_is_terminal() {
        return Err(coded(1, NO_TERMINAL));
    }
    let request = ExecRequest {
        name: args.container.clone(),
        command: args.command.clone(),
        env,
        user: args.user.clone().filter(|user| !user.is_empty()),
        working_dir: args.workdir.clone().filter(|dir| !dir.is_empty()),
        tty: args.tty,
        interactive: args.interactive,
        detach: args.detach,
        privileged: args.privileged,
        detach_keys: keys(args.detach_keys.as_deref(), session)?,
    };
    match container::exec(session.store()?, &dir, &request) {
        Ok(Outcome::Exited(code)) => Ok(exit_code(code)),
        Ok(Outcome::Started | Outcome::Detached) => Ok(0),
        // The runtime's own words, as Docker passes them on.
        Err(error) if error.is::<StartError>() => Err(error),
        Err(error) => Err(response(error)),
    }
}
