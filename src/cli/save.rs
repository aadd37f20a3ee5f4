//! `save`

use std::path::Path;

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches};

use super::destination::{self, Destination};
use super::grammar::{Arity, Rules};
use super::pull::enter;
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use crate::image::{self, Format};
use crate::oci::Platform;

/// `save`
pub(super) const SPEC: Spec = Spec {
    paths: &["image save", "save"],
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: SaveArgs::augment_args,
    run: |matches, session| run(&SaveArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct SaveArgs {
    /// docker-archive, oci-archive, oci-dir or docker-dir
    #[arg(long, value_name = "string", default_value = "docker-archive", hide_default_value = true)]
    format: String,
    /// Write to a file (or, for a format of directories, a directory), instead of STDOUT
    #[arg(long, short, value_name = "string", default_value = "", hide_default_value = true)]
    output: String,
    /// Save only the given platforms: a comma-separated list of os[/arch[/variant]]
    #[arg(long, value_name = "list", value_delimiter = ',')]
    platform: Vec<String>,
    /// Images
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

fn run(args: &SaveArgs, session: &Session) -> Result<u8> {
    let format: Format = args.format.parse()?;
    let platforms = args
        .platform
        .iter()
        .map(|text| text.parse::<Platform>().map_err(|error| anyhow::anyhow!("invalid platform: {error}")))
        .collect::<Result<Vec<_>>>()?;
    if format.is_directory() && args.output.is_empty() {
        bail!("the format {} needs a directory: name it with -o", args.format);
    }
    let out = if format.is_directory() { None } else { Some(Destination::open(&args.output, "save image")?) };
    let store = session.image_store()?;
    let saving = image::choose_to_save(store, &args.images, &platforms, format).map_err(response)?;
    let entered = if saving.packs() { Some(enter(session).map_err(response)?) } else { None };
    let mapping = entered.as_ref().map(|(_, mapping)| mapping);
    match out {
        None => destination::directory(Path::new(&args.output), |dir| saving.directory(mapping, dir))?,
        Some(mut out) => {
            saving.archive(mapping, out.file())?;
            out.finish()?;
        }
    }
    Ok(0)
}
