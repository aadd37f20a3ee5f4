//! What `pull` and `push` have in common: their flags, and the images that these mean.

use anyhow::{Result, bail};
use clap::{Args, Command};

use super::create::platform;
use super::session::Session;
use crate::oci::{Platform, Reference};

/// The flags and the argument of both.
#[derive(Debug, Args)]
pub(super) struct TransferArgs {
    /// All tags
    #[arg(long, short)]
    all_tags: bool,
    /// Accepted; images are not signed, and signatures not looked at
    #[arg(long, hide = true)]
    disable_content_trust: bool,
    /// Platform
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Suppress everything but the image's name
    #[arg(long, short)]
    quiet: bool,
    /// Image
    #[arg(value_name = "NAME")]
    name: String,
}

/// What is to be transferred.
#[derive(Debug)]
pub(super) struct Transfer {
    /// As it was typed.
    pub(super) reference: Reference,
    /// Every tag of the repository is meant.
    pub(super) all_tags: bool,
    /// The one that was asked for, on the command line or in the settings.
    pub(super) platform: Option<Platform>,
    /// Only the name is told.
    pub(super) quiet: bool,
}

/// Adds the flags to a command, with the words in which its help tells what they do there.
pub(super) fn define(command: Command, all_tags: &'static str, platform: &'static str) -> Command {
    TransferArgs::augment_args(command)
        .mut_arg("all_tags", |arg| arg.help(all_tags))
        .mut_arg("platform", |arg| arg.help(platform))
}

impl TransferArgs {
    /// Tells whether a platform was asked for on the command line.
    pub(super) fn names_platform(&self) -> bool {
        self.platform.as_ref().is_some_and(|text| !text.is_empty())
    }

    /// Finds out what is meant, and tells if that is the tag `latest` because no other was named.
    pub(super) fn here(&self, session: &Session) -> Result<Transfer> {
        let reference = Reference::parse(&self.name)?;
        let only_name = reference.tag().is_none() && reference.digest().is_none();
        if self.all_tags && !only_name {
            bail!("tag can't be used with --all-tags/-a");
        }
        if only_name && !self.all_tags && !self.quiet {
            Session::print("Using default tag: latest\n")?;
        }
        let platform = platform(session, self.platform.as_deref())?;
        Ok(Transfer { reference, all_tags: self.all_tags, platform, quiet: self.quiet })
    }
}

impl Transfer {
    /// Returns the names of the repository with these tags.
    pub(super) fn tagged(&self, tags: &[String]) -> Result<Vec<Reference>> {
        let tag = |tag: &String| Reference::parse(&format!("{}:{tag}", self.reference.repository()));
        Ok(tags.iter().map(tag).collect::<Result<_, _>>()?)
    }
}
