//! `run`: create a container, start it, and stay with it until it ends.

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::create::{create, remove_after_failure};
use super::grammar::{Arity, Rules};
use super::logout;
use super::report::{coded, misuse, response};
use super::request::{ABSENT, ContainerFlags, detach_keys};
use super::session::Session;
use super::tree::Spec;
use crate::container::{self, AttachOptions, ContainerDir, Outcome};

/// `run`
pub(super) const SPEC: Spec = Spec {
    paths: &["container run", "run"],
    about: "Create and run a new container from an image",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: false, absent: ABSENT },
    define: RunArgs::augment_args,
    run: |matches, session| run(&RunArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    flags: ContainerFlags,
    /// Run in the background and print the container's ID
    #[arg(long, short)]
    detach: bool,
    /// Keys that detach from the container
    #[arg(long, value_name = "string")]
    detach_keys: Option<String>,
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

fn run(args: &RunArgs, session: &Session) -> Result<u8> {
    let flags = &args.flags;
    if args.detach && !flags.attach.is_empty() {
        return Err(coded(1, "conflicting options: cannot specify both --attach and --detach"));
    }
    let detach_keys = keys(args.detach_keys.as_deref(), session).map_err(misuse)?;
    let request = flags.request(session, args.detach)?;
    let attach = request.attach;
    if attach.stdin && flags.tty && !Session::stdin_is_terminal() {
        return Err(coded(1, NO_TERMINAL));
    }
    let created = create(session, flags, request)?;
    let store = session.store()?;
    let dir = ContainerDir::new(store, &created.id);
    let options = AttachOptions {
        stdin: attach.stdin,
        stdout: attach.stdout,
        stderr: attach.stderr,
        tty: flags.tty,
        detach_keys,
        sig_proxy: args.sig_proxy,
    };
    if args.detach {
        // As Docker: it is there by now, whatever comes of its start.
        Session::print(&format!("{}\n", created.id))?;
    }
    let started = container::start(store, &dir, (!args.detach).then_some(&options));
    match started {
        Ok(Outcome::Exited(code)) if !args.detach => Ok(exit_code(code)),
        Ok(_) => {
            if args.detach {
                let kept = dir.alive().ok().flatten().map(|alive| alive.kept).unwrap_or_default();
                let in_scope = kept.cgroup.is_some_and(|cgroup| cgroup.unit.is_some());
                if let Some(warning) = logout::warning(in_scope) {
                    Session::note(&warning);
                }
            }
            Ok(0)
        }
        Err(error) => {
            if flags.rm {
                remove_after_failure(store, &dir);
            }
            Err(response(error))
        }
    }
}

/// What is said when a terminal is wanted and there is none.
pub(super) const NO_TERMINAL: &str = "the input device is not a TTY";

/// Returns the keys that detach: those asked for, else those of Docker's configuration, else its default.
pub(super) fn keys(asked: Option<&str>, session: &Session) -> Result<Vec<u8>> {
    let configured = match asked {
        Some(asked) => asked.to_owned(),
        None => session.docker_config()?.detach_keys,
    };
    let keys = if configured.is_empty() { "ctrl-p,ctrl-q" } else { &configured };
    detach_keys(keys).map_err(|message| anyhow::anyhow!(message))
}

/// Returns a container's exit code as ours.
pub(super) fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(125)
}
