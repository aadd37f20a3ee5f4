//! `start`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Absent, Arity, Rules};
use super::report::{coded, response};
use super::run::{NO_TERMINAL, exit_code, keys};
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container::{self, AttachOptions, Outcome, StartError};

/// What takes a container up from a checkpoint: Docker has it as an experiment.
const ABSENT: &[Absent] = &[checkpoint("checkpoint"), checkpoint("checkpoint-dir")];

const fn checkpoint(long: &'static str) -> Absent {
    let reason = "the kernel lets none but root save and restore a process";
    Absent { long, short: None, takes_value: true, harmless: &[], reason }
}

/// `start`
pub(super) const SPEC: Spec = Spec {
    paths: &["container start", "start"],
    about: "Start one or more stopped containers",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: ABSENT },
    define: StartArgs::augment_args,
    run: |matches, session| run(&StartArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct StartArgs {
    /// Attach STDOUT and STDERR, and pass signals on
    #[arg(long, short)]
    attach: bool,
    /// Keys that detach from the container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Attach STDIN
    #[arg(long, short)]
    interactive: bool,
    /// Containers
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

fn run(args: &StartArgs, session: &Session) -> Result<u8> {
    if args.attach || args.interactive {
        return attached(args, session);
    }
    let mut failed = Vec::new();
    for name in &args.containers {
        let started = find(session, name)
            .and_then(|dir| container::start(session.store()?, &dir, None).map_err(response));
        match started {
            Ok(_) => Session::print(&format!("{name}\n"))?,
            Err(error) => {
                Session::note(&format!("{error:#}"));
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(0);
    }
    Err(coded(1, format!("Error: failed to start containers: {}", failed.join(", "))))
}

fn attached(args: &StartArgs, session: &Session) -> Result<u8> {
    let [name] = args.containers.as_slice() else {
        return Err(coded(1, "you cannot start and attach multiple containers at once"));
    };
    let dir = find(session, name)?;
    let process = dir.config().map_err(response)?.process;
    let stdin = args.interactive && process.open_stdin;
    if stdin && process.tty && !Session::stdin_is_terminal() {
        return Err(coded(1, NO_TERMINAL));
    }
    let options = AttachOptions {
        stdin,
        stdout: true,
        stderr: true,
        tty: process.tty,
        detach_keys: keys(args.detach_keys.as_deref(), session)?,
        sig_proxy: !process.tty,
    };
    match container::start(session.store()?, &dir, Some(&options)) {
        Ok(Outcome::Exited(code)) => Ok(exit_code(code)),
        Ok(_) => Ok(0),
        Err(error) => {
            let code = error.downcast_ref::<StartError>().map_or(1, |error| error.code);
            let failed = format!("Error: failed to start containers: {name}");
            Err(coded(exit_code(code).max(1), format!("{:#}\n{failed}", response(error))))
        }
    }
}
