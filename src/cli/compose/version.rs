//! `compose version`

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches};

use crate::cli::compose::with_dry_run;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::VERSION;

/// `compose version`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose version"],
    about: "Show the Docker Compose version information",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: |command| with_dry_run(VersionArgs::augment_args(command)),
    run: |matches, _| run(&VersionArgs::from_arg_matches(matches)?),
};

#[derive(Debug, Args)]
struct VersionArgs {
    /// Format the output ("pretty" or "json")
    #[arg(long, short, value_name = "string", default_value = "pretty")]
    format: String,
    /// Show only the version number
    #[arg(long)]
    short: bool,
}

fn run(args: &VersionArgs) -> Result<u8> {
    let text = match args.format.as_str() {
        _ if args.short => VERSION.to_owned(),
        "json" => format!("{{\"version\":\"v{VERSION}\"}}"),
        "pretty" | "" => line(),
        other => bail!("unsupported format: {other:?}"),
    };
    Session::print(&format!("{text}\n"))?;
    Ok(0)
}

/// Says the version in a line.
pub(in crate::cli) fn line() -> String {
    format!("Docker Compose version v{VERSION}")
}
