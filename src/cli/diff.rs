//! `diff`

use std::io::{self, BufWriter, Write as _};

use anyhow::{Context, Result};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::pull::enter_for;
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container;
use crate::image::pack::Change;

/// `diff`
pub(super) const SPEC: Spec = Spec {
    paths: &["container diff", "diff"],
    about: "Inspect changes to files or directories on a container's filesystem",
    usage: "CONTAINER",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: DiffArgs::augment_args,
    run: |matches, session| run(&DiffArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct DiffArgs {
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
}

fn run(args: &DiffArgs, session: &Session) -> Result<u8> {
    let dir = find(session, &args.container)?;
    let (_ancestor, mapping) = enter_for(session, &dir).map_err(response)?;
    let changes = container::diff(session.store()?, &dir, &mapping).map_err(response)?;
    // Names are bytes and need not be text.
    let mut out = BufWriter::new(io::stdout().lock());
    let mut print = || -> io::Result<()> {
        for (path, change) in &changes.list {
            let letter = match change {
                Change::Added => b'A',
                Change::Changed => b'C',
                Change::Deleted => b'D',
            };
            out.write_all(&[letter, b' ', b'/'])?;
            out.write_all(path)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    match print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("write to standard output")
        }
        _ => Ok(0),
    }
}
