//! `push`: an image to a registry.

use std::cell::OnceCell;

use anyhow::{Result, bail};
use clap::FromArgMatches;

use super::access::client_of;
use super::grammar::{Arity, Rules};
use super::progress::{Out, Reporter};
use super::pull::enter;
use super::session::Session;
use super::transfer::{Transfer, TransferArgs, define};
use super::tree::Spec;
use crate::image::{self, Mapping, PushProgress, Quiet};

/// `push`
pub(super) const SPEC: Spec = Spec {
    paths: &["image push", "push"],
    about: "Upload an image to a registry",
    usage: "[OPTIONS] NAME[:TAG]",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: |command| {
        let platform = "Push the image for this platform alone, where there are several";
        define(command, "Push all tags of an image to the repository", platform)
    },
    run: |matches, session| run(&TransferArgs::from_arg_matches(matches)?, session),
};

fn run(args: &TransferArgs, session: &Session) -> Result<u8> {
    let transfer = args.here(session)?;
    let Transfer { reference, all_tags, quiet, .. } = &transfer;
    if reference.digest().is_some() {
        bail!("cannot push a digest reference");
    }
    if !quiet {
        Session::print(&format!("The push refers to repository [{}]\n", reference.repository()))?;
    }
    // The platform of the settings is for images that are run here.
    let platform = transfer.platform.as_ref().filter(|_| args.names_platform());
    let store = session.image_store()?;
    let known = image::tags(store, reference)?;
    if known.is_empty() {
        // Docker's words, and as with Docker not those of its daemon.
        bail!("An image does not exist locally with the tag: {}", reference.familiar_name());
    }
    let wanted =
        if *all_tags { transfer.tagged(&known)? } else { vec![reference.clone().with_default_tag()] };
    let client = client_of(session, reference)?;
    let entered = OnceCell::new();
    let entering = || -> Result<Mapping> {
        if let Some((_, mapping)) = entered.get() {
            return Ok(Mapping::clone(mapping));
        }
        let now = enter(session)?;
        Ok(entered.get_or_init(|| now).1.clone())
    };
    for reference in &wanted {
        let reporter = Reporter::new(Out::Stdout);
        let progress: &dyn PushProgress = if *quiet { &Quiet } else { &reporter };
        let pushed = image::push(store, &client, reference, platform, &entering, progress)?;
        reporter.finish();
        if !quiet {
            let tag = reference.tag().unwrap_or("latest");
            Session::print(&format!("{tag}: digest: {} size: {}\n", pushed.digest, pushed.size))?;
        }
        if let Some(index) = pushed.part_of.filter(|_| !*quiet) {
            Session::note(&format!(
                "Info: Not all multiplatform-content is present and only the available single-platform image was \
                 pushed\n{index} -> {}",
                pushed.digest
            ));
        }
    }
    if *quiet {
        let name = if *all_tags { reference.repository().to_owned() } else { wanted[0].to_string() };
        Session::print(&format!("{name}\n"))?;
    }
    Ok(0)
}
