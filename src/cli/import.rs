//! `import`

use std::fs::File;
use std::io::Read;

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::create::platform;
use super::grammar::{Arity, Rules};
use super::load::stdin;
use super::pull::enter;
use super::report::response;
use super::request::open_error;
use super::session::Session;
use super::tree::Spec;
use crate::image::{self, ImportOptions};
use crate::oci::{Platform, Reference};
use crate::registry::{Access, Client, Proxies};

/// `import`
pub(super) const SPEC: Spec = Spec {
    paths: &["image import", "import"],
    about: "Import the contents from a tarball to create a filesystem image",
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: ImportArgs::augment_args,
    run: |matches, session| run(&ImportArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct ImportArgs {
    /// Apply a Dockerfile instruction to the image
    #[arg(long, short, value_name = "list")]
    change: Vec<String>,
    /// Remark for the image's history
    #[arg(long, short, value_name = "string")]
    message: Option<String>,
    /// Platform of the image
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Archive, its address, or - for STDIN
    #[arg(value_name = "file|URL|-")]
    source: String,
    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
    /// Nothing: Docker ignores further words
    #[arg(hide = true)]
    rest: Vec<String>,
}

fn run(args: &ImportArgs, session: &Session) -> Result<u8> {
    let reference = args
        .reference
        .as_deref()
        .filter(|name| !name.is_empty())
        .map(|name| Reference::parse(name).map(Reference::with_default_tag))
        .transpose()?;
    let platform = platform(session, args.platform.as_deref())?.unwrap_or_else(Platform::host);
    let input: Box<dyn Read + Send> = match args.source.as_str() {
        "-" => Box::new(stdin()),
        url if url.starts_with("http://") || url.starts_with("https://") => {
            Session::note(&format!("Downloading from {url}"));
            let access =
                Access { proxies: Proxies::read(|name| std::env::var(name).ok()), ..Access::default() };
            Box::new(Client::new(access).download(url).map_err(|error| response(error.into()))?)
        }
        path => Box::new(File::open(path).map_err(|error| open_error(path, &error))?),
    };
    let message = args.message.clone().unwrap_or_else(|| format!("Imported from {}", args.source));
    let options = ImportOptions { reference, changes: args.change.clone(), message, platform };
    let (_ancestor, mapping) = enter(session).map_err(response)?;
    let id = image::import(session.store()?, &mapping, input, &options).map_err(response)?;
    Session::print(&format!("{id}\n"))?;
    Ok(0)
}
