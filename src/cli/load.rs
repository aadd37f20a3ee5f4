//! `load`

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::pull::enter;
use super::report::response;
use super::request::open_error;
use super::session::Session;
use super::tree::Spec;
use crate::image::{self, Input, Loaded, Quiet};
use crate::oci::Platform;

/// `load`
pub(super) const SPEC: Spec = Spec {
    paths: &["image load", "load"],
    about: "Load an image from a tar archive or STDIN",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: LoadArgs::augment_args,
    run: |matches, session| run(&LoadArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct LoadArgs {
    /// Read from this archive or OCI layout directory, instead of STDIN
    #[arg(long, short, value_name = "string")]
    input: Option<String>,
    /// Platform of the image, where it has several
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Suppress the progress
    #[arg(long, short)]
    quiet: bool,
}

fn run(args: &LoadArgs, session: &Session) -> Result<u8> {
    let platform = args.platform.as_deref().filter(|text| !text.is_empty());
    let platform = platform
        .map(str::parse::<Platform>)
        .transpose()
        .map_err(|error| anyhow!("invalid platform: {error}"))?;
    let input = match args.input.as_deref().filter(|path| !path.is_empty()) {
        Some(path) if Path::new(path).is_dir() => Input::Layout(path.into()),
        Some(path) => {
            let file = File::open(path).map_err(|error| open_error(path, &error))?;
            Input::Archive(Box::new(file))
        }
        None if io::stdin().is_terminal() => {
            bail!("requested load from stdin, but stdin is empty");
        }
        None => Input::Archive(Box::new(stdin())),
    };
    let (_ancestor, mapping) = enter(session).map_err(response)?;
    let loaded =
        image::load(session.store()?, &mapping, input, platform.as_ref(), &Quiet).map_err(response)?;
    let lines: String = loaded
        .iter()
        .map(|loaded| match loaded {
            Loaded::Name(name) => format!("Loaded image: {name}\n"),
            Loaded::Id(id) => format!("Loaded image ID: {id}\n"),
        })
        .collect();
    Session::print(&lines)?;
    Ok(0)
}

/// Returns standard input without the buffer that the library puts before it.
pub(super) fn stdin() -> impl Read + Send {
    struct Stdin;
    impl Read for Stdin {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
        }
    }
    Stdin
}
