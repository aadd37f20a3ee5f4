//! `buildx du`: what the cache of builds holds.

use std::fmt::Write as _;

use anyhow::Result;
use clap::{Args, FromArgMatches};
use jiff::Timestamp;

use super::format::units::{human_duration, human_size};
use super::grammar::{Arity, Rules};
use super::pull::enter;
use super::session::Session;
use super::tree::Spec;
use crate::build::upkeep::{self, Entry};

/// `buildx du`
pub(super) const SPEC: Spec = Spec {
    paths: &["buildx du"],
    about: "Disk usage",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: DuArgs::augment_args,
    run: |matches, session| du(&DuArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct DuArgs {
    /// Override the configured builder instance
    #[arg(long, value_name = "string")]
    builder: Option<String>,
    /// Provide a more verbose output
    #[arg(long)]
    verbose: bool,
}

fn du(args: &DuArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let (_ancestor, _) = enter(session)?;
    let entries = upkeep::list(store)?;
    let mut out = String::new();
    if args.verbose {
        for entry in &entries {
            let _ = write!(
                out,
                "ID:\t\t{}\nCreated at:\t{}\nMutable:\t{}\nReclaimable:\t{}\nShared:\t\t{}\nSize:\t\t{}\nDescription:\t{}\n\
                 Usage count:\t{}\nLast used:\t{}\nType:\t\t{}\n\n",
                entry.id,
                time(entry.created),
                entry.kind != "regular",
                !entry.in_use,
                entry.shared,
                human_size(entry.size, 4),
                entry.description,
                entry.uses,
                ago(entry.used),
                entry.kind,
            );
        }
    } else {
        table(&mut out, &entries);
    }
    let sum = |keep: &dyn Fn(&Entry) -> bool| -> String {
        human_size(entries.iter().filter(|entry| keep(entry)).map(|entry| entry.size).sum(), 4)
    };
    let _ = writeln!(out, "Shared:\t\t{}", sum(&|entry| entry.shared));
    let _ = writeln!(out, "Private:\t{}", sum(&|entry| !entry.shared));
    let _ = writeln!(out, "Reclaimable:\t{}", sum(&|entry| !entry.in_use && !entry.shared));
    let _ = writeln!(out, "Total:\t\t{}", sum(&|_| true));
    Session::print(&out)?;
    Ok(0)
}

fn table(out: &mut String, entries: &[Entry]) {
    let _ = writeln!(out, "{:<44}{:<16}{:<16}LAST ACCESSED", "ID", "RECLAIMABLE", "SIZE");
    for entry in entries {
        // A star says that it can still change.
        let star = if entry.kind == "regular" { "" } else { "*" };
        let id = format!("{}{star}", entry.id);
        let size = human_size(entry.size, 4);
        let _ = writeln!(out, "{id:<44}{:<16}{size:<16}{}", !entry.in_use, ago(entry.used));
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

fn ago(seconds: i64) -> String {
    format!("{} ago", human_duration((Timestamp::now().as_second() - seconds).max(0)))
}
