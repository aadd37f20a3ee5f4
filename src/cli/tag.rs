//! `tag`

use anyhow::{Context as _, Result, ensure};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use crate::image;
use crate::oci::Reference;

/// `tag`
pub(super) const SPEC: Spec = Spec {
    paths: &["image tag", "tag"],
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    rules: Rules { arity: Arity::Exactly(2), interspersed: true, absent: &[] },
    define: TagArgs::augment_args,
    run: |matches, session| run(&TagArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct TagArgs {
    /// Image
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    source: String,
    /// Its new name
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    target: String,
}

fn run(args: &TagArgs, session: &Session) -> Result<u8> {
    // Docker's client looks at the new name, and only then asks its daemon.
    let target = &args.target;
    let parsed = Reference::parse(target)
        .with_context(|| format!("Error parsing reference: {target:?} is not a valid repository/tag"))?;
    ensure!(parsed.digest().is_none(), "refusing to create a tag with a digest reference");
    image::tag(session.image_store()?, &args.source, &args.target).map_err(response)?;
    Ok(0)
}
