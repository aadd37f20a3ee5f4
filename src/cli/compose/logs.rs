//! `compose logs`

use std::io;

use anyhow::Result;
use clap::{Args, FromArgMatches};
use jiff::Timestamp;

use super::down::members;
use super::follow::Writers;
use super::front::{Here, project_or_name};
use super::with_dry_run;
use crate::cli::grammar::{Arity, Rules, integer};
use crate::cli::logs::moment_of;
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::life::Member;
use crate::container::{self, LogOptions};

/// `compose logs`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose logs"],
    about: "View output from containers",
    usage: "[OPTIONS] [SERVICE...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: |command| with_dry_run(LogsArgs::augment_args(command)),
    run: |matches, session| run(&LogsArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct LogsArgs {
    /// Go on until the containers end
    #[arg(long, short)]
    follow: bool,
    /// Which of a service's containers
    #[arg(long, value_name = "int", default_value = "0", value_parser = integer)]
    index: i64,
    /// Print in one colour
    #[arg(long)]
    no_color: bool,
    /// Do not print the container's name before each line
    #[arg(long)]
    no_log_prefix: bool,
    /// Show what is not older than a time (2013-01-02T13:23:37Z) or a duration (42m)
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// Number of lines to show from the end of each container's
    #[arg(long, short = 'n', value_name = "string", default_value = "all")]
    tail: String,
    /// Show the time of each line
    #[arg(long, short)]
    timestamps: bool,
    /// Show what is not younger than a time (2013-01-02T13:23:37Z) or a duration (42m)
    #[arg(long, value_name = "string")]
    until: Option<String>,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

fn run(args: &LogsArgs, session: &Session) -> Result<u8> {
    let now = Timestamp::now();
    let options = LogOptions {
        follow: args.follow,
        tail: args.tail.parse().ok(),
        since: moment_of("since", args.since.as_deref(), now)?,
        until: moment_of("until", args.until.as_deref(), now)?,
        timestamps: args.timestamps,
        details: false,
    };
    let (name, context) = project_or_name(session, &args.services)?;
    let here = Here::new(session)?;
    let store = here.engine().store;
    let mut found = members(&here, &name, context.as_ref(), &args.services)?;
    if args.index > 0 {
        found.retain(|member| i64::from(member.number) == args.index);
    }
    let shown: Vec<&Member> = found.iter().collect();
    let colour = !args.no_color && session.compose.ansi != "never";
    let writers = Writers::new(&shown, !args.no_log_prefix, colour);
    let show = |member: &Member, out: &mut dyn io::Write, err: &mut dyn io::Write| {
        container::logs(&member.dir(store), &options, out, err)
    };
    if !args.follow {
        for member in &found {
            let (mut out, mut err) = writers.of(member);
            show(member, &mut out, &mut err)?;
        }
        return Ok(0);
    }
    std::thread::scope(|scope| {
        for member in &found {
            let (mut out, mut err) = writers.of(member);
            let show = &show;
            scope.spawn(move || {
                if let Err(error) = show(member, &mut out, &mut err) {
                    Session::note(&format!("{}: {error:#}", member.name()));
                }
            });
        }
    });
    Ok(0)
}
