//! `cp`

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{ArgAction, Args, FromArgMatches};

use super::format::units::human_size;
use super::grammar::{Arity, Rules};
use super::load::stdin;
use super::pull::enter_as;
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container::{self, Copied, CopyOptions, Files, HostError};

/// `cp`
pub(super) const SPEC: Spec = Spec {
    paths: &["container cp", "cp"],
    about: "Copy files/folders between a container and the local filesystem",
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    rules: Rules { arity: Arity::Exactly(2), interspersed: true, absent: &[] },
    define: CpArgs::augment_args,
    run: |matches, session| run(&CpArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct CpArgs {
    /// Archive mode (copy all uid/gid information)
    #[arg(long, short)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(long, short = 'L')]
    follow_link: bool,
    /// Suppress progress output during copy. Progress output is automatically suppressed if no terminal is
    /// attached
    #[arg(
        long,
        short,
        num_args = 0..=1,
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    quiet: Option<bool>,
    /// What is copied
    #[arg(value_name = "SRC_PATH")]
    source: String,
    /// Where to
    #[arg(value_name = "DEST_PATH")]
    destination: String,
}

/// How often the number of bytes is shown anew.
const TICK: Duration = Duration::from_millis(75);

fn run(args: &CpArgs, session: &Session) -> Result<u8> {
    for (word, what) in [(&args.source, "source"), (&args.destination, "destination")] {
        if word.is_empty() {
            bail!("{what} can not be empty");
        }
    }
    let quiet = args.quiet.unwrap_or_else(|| !io::stdout().is_terminal());
    let from = container::split_argument(&args.source);
    let to = container::split_argument(&args.destination);
    let options = CopyOptions { follow: args.follow_link, archive: args.archive };
    match (from, to) {
        ((Some(container), path), (None, to)) => out(session, container, path, to, options, quiet),
        ((None, path), (Some(container), to)) => into(session, path, container, to, options, quiet),
        ((Some(_), _), (Some(_), _)) => bail!("copying between containers is not supported"),
        _ => bail!("must specify at least one container source"),
    }
}

fn out(
    session: &Session,
    container: &str,
    path: &str,
    to: &str,
    options: CopyOptions,
    quiet: bool,
) -> Result<u8> {
    let to = if to == "-" {
        None
    } else {
        let to = container::absolute_path(to)?;
        container::check_destination(&to)?;
        Some(to)
    };
    let files = open(session, container)?;
    let Some(to) = to else {
        // A descriptor of its own, without the buffer that the library puts before standard output.
        let stdout = io::stdout().as_fd().try_clone_to_owned().context("open standard output")?;
        container::stream_out(&files, path, options, File::from(stdout)).map_err(told)?;
        return Ok(0);
    };
    let meter = Meter::new("Copying from container - ", quiet);
    let copied = container::copy_out(&files, path, options, &to, &|size| meter.show(size));
    meter.end();
    let copied = copied.map_err(told)?;
    report(&copied, &copied.path, quiet);
    Ok(0)
}

fn into(
    session: &Session,
    path: &str,
    container: &str,
    to: &str,
    options: CopyOptions,
    quiet: bool,
) -> Result<u8> {
    let path = if path == "-" {
        None
    } else {
        let path = container::absolute_path(path)?;
        container::check_source(&path, options.follow)?;
        Some(path)
    };
    let files = open(session, container)?;
    let meter = Meter::new("Copying to container - ", quiet || path.is_none());
    let heard = |size| meter.show(size);
    let copied = match &path {
        Some(path) => container::copy_in(&files, path, options, to, &heard),
        None => container::stream_in(&files, to, stdin(), &heard),
    };
    meter.end();
    let copied = copied.map_err(told)?;
    report(&copied, &format!("{container}:{}", copied.path), quiet);
    Ok(0)
}

fn open(session: &Session, container: &str) -> Result<Files> {
    let dir = find(session, container)?;
    let entered = dir.config().and_then(|config| enter_as(session, config.sharing.kept()));
    let (ancestor, identity) = entered.map_err(response)?;
    let files = Files::open(session.store()?, &dir, container, &identity).map_err(response)?;
    // What holds the namespace is this process.
    drop(ancestor);
    Ok(files)
}

/// Tells errors of the container's side as the daemon's.
fn told(error: anyhow::Error) -> anyhow::Error {
    if error.is::<HostError>() { error } else { response(error) }
}

fn report(copied: &Copied, to: &str, quiet: bool) {
    if copied.devices > 0 {
        let nodes = if copied.devices == 1 { "device node was" } else { "device nodes were" };
        Session::note(&format!("{} {nodes} left out: only root can make them", copied.devices));
    }
    if !quiet {
        Session::note(&format!("Successfully copied {} to {to}", shown(copied.size)));
    }
}

fn shown(size: u64) -> String {
    human_size(size, 3)
}

/// The number of bytes on a terminal, while they go.
struct Meter {
    header: Option<&'static str>,
    last: Cell<Option<(Instant, u64)>>,
}

impl Meter {
    fn new(header: &'static str, quiet: bool) -> Self {
        let header = Some(header).filter(|_| !quiet && io::stderr().is_terminal());
        Self { header, last: Cell::new(None) }
    }

    fn show(&self, size: u64) {
        let Some(header) = self.header else { return };
        if self.last.get().is_some_and(|(at, before)| before == size || at.elapsed() < TICK) {
            return;
        }
        self.last.set(Some((Instant::now(), size)));
        // Whoever closed the terminal does not want to see it.
        let _ = write!(io::stderr(), "\r\x1b[2K{header}{}", shown(size));
    }

    /// Takes the line away again.
    fn end(&self) {
        if self.header.is_some() && self.last.get().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}
