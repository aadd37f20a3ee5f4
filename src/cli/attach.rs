//! `attach`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::{coded, response};
use super::run::{NO_TERMINAL, exit_code, keys};
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container::{self, AttachOptions, Outcome, Status};

/// `attach`
pub(super) const SPEC: Spec = Spec {
    paths: &["container attach", "attach"],
    about: "Attach local standard input, output, and error streams to a running container",
    usage: "[OPTIONS] CONTAINER",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: AttachArgs::augment_args,
    run: |matches, session| {
        let args = AttachArgs::from_arg_matches(matches)?;
        attach(session, &args.container, &args.flags)
    },
};

/// How a container is attached to.
#[derive(Debug, Args)]
pub(super) struct AttachFlags {
    /// Keys that detach from the container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to the container
    #[arg(
        long,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    sig_proxy: bool,
}

#[derive(Debug, Args)]
struct AttachArgs {
    #[command(flatten)]
    flags: AttachFlags,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Attaches to a container, and returns its exit code if it ends.
pub(super) fn attach(session: &Session, container: &str, args: &AttachFlags) -> Result<u8> {
    let dir = find(session, container)?;
    match container::observe_and_mend(&dir).map_err(response)? {
        Status::Running(alive) if alive.paused => {
            return Err(coded(1, "cannot attach to a paused container, unpause it first"));
        }
        Status::Running(_) => {}
        Status::Restarting(_) => {
            return Err(coded(1, "cannot attach to a restarting container, wait until it is running"));
        }
        _ => return Err(coded(1, "cannot attach to a stopped container, start it first")),
    }
    let process = dir.config().map_err(response)?.process;
    let stdin = process.open_stdin && !args.no_stdin;
    if stdin && process.tty && !Session::stdin_is_terminal() {
        return Err(coded(1, NO_TERMINAL));
    }
    let options = AttachOptions {
        stdin,
        stdout: true,
        stderr: true,
        tty: process.tty,
        detach_keys: keys(args.detach_keys.as_deref(), session)?,
        sig_proxy: args.sig_proxy && !process.tty,
    };
    match container::attach(session.store()?, &dir, &options).map_err(response)? {
        Outcome::Exited(code) => Ok(exit_code(code)),
        Outcome::Started | Outcome::Detached => Ok(0),
    }
}
