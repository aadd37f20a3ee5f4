//! `push`: an image to a registry.

use std::cell::OnceCell;

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches};

use super::access::client_of;
use super::create::platform;
use super::grammar::{Arity, Rules};
use super::progress::{Out, Reporter};
use super::pull::enter;
use super::session::Session;
use super::tree::Spec;
use crate::image::{self, Mapping, PushProgress, Quiet};
use crate::oci::Reference;

/// `push`
pub(super) const SPEC: Spec = Spec {
    paths: &["image push", "push"],
    about: "Upload an image to a registry",
    usage: "[OPTIONS] NAME[:TAG]",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: PushArgs::augment_args,
    run: |matches, session| run(&PushArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct PushArgs {
    /// Push all tags of an image to the repository
    #[arg(long, short)]
    all_tags: bool,
    /// Accepted; images are not signed
    #[arg(long, hide = true)]
    disable_content_trust: bool,
    /// Push the image for this platform alone, where there are several
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Suppress everything but the image's name
    #[arg(long, short)]
    quiet: bool,
    /// Image
    #[arg(value_name = "NAME")]
    name: String,
}

fn run(args: &PushArgs, session: &Session) -> Result<u8> {
    let reference = Reference::parse(&args.name)?;
    let only_name = reference.tag().is_none() && reference.digest().is_none();
    if args.all_tags && !only_name {
        bail!("tag can't be used with --all-tags/-a");
    }
    if reference.digest().is_some() {
        bail!("cannot push a digest reference");
    }
    if only_name && !args.all_tags && !args.quiet {
        Session::print("Using default tag: latest\n")?;
    }
    if !args.quiet {
        Session::print(&format!("The push refers to repository [{}]\n", reference.repository()))?;
    }
    let platform = platform(session, args.platform.as_deref())?.filter(|_| args.platform.is_some());
    let store = session.image_store()?;
    let known = image::tags(store, &reference)?;
    if known.is_empty() {
        // Docker's words, and as with Docker not those of its daemon.
        bail!("An image does not exist locally with the tag: {}", reference.familiar_name());
    }
    let wanted = if args.all_tags {
        let tag = |tag: &String| Reference::parse(&format!("{}:{tag}", reference.repository()));
        known.iter().map(tag).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![reference.clone().with_default_tag()]
    };
    let client = client_of(session, &reference)?;
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
        let progress: &dyn PushProgress = if args.quiet { &Quiet } else { &reporter };
        let pushed = image::push(store, &client, reference, platform.as_ref(), &entering, progress)?;
        reporter.finish();
        if !args.quiet {
            let tag = reference.tag().unwrap_or("latest");
            Session::print(&format!("{tag}: digest: {} size: {}\n", pushed.digest, pushed.size))?;
        }
        if let Some(index) = pushed.part_of.filter(|_| !args.quiet) {
            Session::note(&format!(
                "Info: Not all multiplatform-content is present and only the available single-platform image was \
                 pushed\n{index} -> {}",
                pushed.digest
            ));
        }
    }
    if args.quiet {
        let name = if args.all_tags { reference.repository().to_owned() } else { wanted[0].to_string() };
        Session::print(&format!("{name}\n"))?;
    }
    Ok(0)
}
