//! `logs`

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, FromArgMatches};
use jiff::Timestamp;

use super::format::moment;
use super::grammar::{Arity, Rules};
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container::{self, LogOptions};

/// `logs`
pub(super) const SPEC: Spec = Spec {
    paths: &["container logs", "logs"],
    about: "Fetch the logs of a container",
    usage: "[OPTIONS] CONTAINER",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: LogsArgs::augment_args,
    run: |matches, session| run(&LogsArgs::from_arg_matches(matches)?, session),
};

/// How much is written at once, in bytes.
const BUFFER: usize = 64 << 10;

#[derive(Debug, Args)]
struct LogsArgs {
    /// Show what else is known of each line
    #[arg(long)]
    details: bool,
    /// Go on until the container ends
    #[arg(long, short)]
    follow: bool,
    /// Show what is not older than a time (2013-01-02T13:23:37Z) or a duration (42m)
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// Number of lines to show from the end
    #[arg(long, short = 'n', value_name = "string", default_value = "all")]
    tail: String,
    /// Show the time of each line
    #[arg(long, short)]
    timestamps: bool,
    /// Show what is not younger than a time (2013-01-02T13:23:37Z) or a duration (42m)
    #[arg(long, value_name = "string")]
    until: Option<String>,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Reads the moment that a flag names; an empty one is none.
pub(super) fn moment_of(flag: &str, text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>> {
    text.filter(|text| !text.is_empty())
        .map(|text| moment::read(text, now).map_err(|why| anyhow!("invalid value for \"{flag}\": {why}")))
        .transpose()
}

fn run(args: &LogsArgs, session: &Session) -> Result<u8> {
    let now = Timestamp::now();
    let options = LogOptions {
        follow: args.follow,
        // As Docker: what is no number, or less than none, is all.
        tail: args.tail.parse().ok(),
        since: moment_of("since", args.since.as_deref(), now)?,
        until: moment_of("until", args.until.as_deref(), now)?,
        timestamps: args.timestamps,
        details: args.details,
    };
    let dir = find(session, &args.container)?;
    // Descriptors of their own: the library's standard output writes line by line.
    let unbuffered =
        |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from).context("open standard output");
    let mut out = BufWriter::with_capacity(BUFFER, unbuffered(io::stdout().as_fd())?);
    let mut err = BufWriter::with_capacity(BUFFER, unbuffered(io::stderr().as_fd())?);
    container::logs(&dir, &options, &mut out, &mut err).map_err(response)?;
    Ok(0)
}
