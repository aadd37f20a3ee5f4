//! `rmi`

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::pull::enter;
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use crate::container;
use crate::image::{self, Removed, ResolveError, User};
use crate::oci::Platform;
use crate::store::Store;

/// `rmi`
pub(super) const SPEC: Spec = Spec {
    paths: &["image rm", "image remove", "rmi"],
    about: "Remove one or more images",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: RmiArgs::augment_args,
    run: |matches, session| run(&RmiArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct RmiArgs {
    /// Remove what stopped containers use, and what has several names
    #[arg(long, short)]
    force: bool,
    /// Do not delete untagged parents, which images here never have
    #[arg(long)]
    no_prune: bool,
    /// Remove the image only if it is for this platform (os[/arch[/variant]])
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    platform: Vec<String>,
    /// Images
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

/// Returns all containers, as they stand in the way of removals.
pub(super) fn users(store: &Store) -> Result<Vec<User>> {
    let summaries = container::list(store).map_err(response)?;
    let users_of = |summary: container::Summary| {
        let mounted = summary.config.mounted_images().map(|(id, _)| id);
        let images: Vec<_> = std::iter::once(summary.config.image).chain(mounted).collect();
        let running = summary.status.is_active();
        let container = summary.config.id;
        images.into_iter().map(move |image| User { running, container: container.clone(), image })
    };
    Ok(summaries.into_iter().flat_map(users_of).collect())
}

/// Refuses an image that is for none of the platforms asked for: one has one platform here.
pub(super) fn check_platform(store: &Store, name: &str, platforms: &[Platform]) -> Result<()> {
    let found = image::look(store, name)?.config.platform();
    match platforms.first() {
        Some(wanted) if !platforms.iter().any(|platform| platform.runs(&found)) => anyhow::bail!(
            "image with reference {name} was found but does not provide the specified platform ({wanted})"
        ),
        _ => Ok(()),
    }
}

fn run(args: &RmiArgs, session: &Session) -> Result<u8> {
    let store = session.image_store()?;
    let users = users(store)?;
    let platforms: Vec<Platform> = args
        .platform
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .map_err(|error| coded(1, format!("{error}")))?;
    let mut entered = None;
    let mut errors = Vec::new();
    let mut failed = false;
    for name in &args.images {
        // What is not there needs no namespace to be told so.
        let removed = check_platform(store, name, &platforms).and_then(|()| {
            if entered.is_none() {
                entered = Some(enter(session)?);
            }
            image::remove(store, name, args.force, &users)
        });
        match removed {
            Ok(done) => {
                let lines: String = done
                    .iter()
                    .map(|step| match step {
                        Removed::Untagged(name) => format!("Untagged: {name}\n"),
                        Removed::Deleted(id) => format!("Deleted: {id}\n"),
                    })
                    .collect();
                Session::print(&lines)?;
            }
            Err(error) => {
                let absent = matches!(error.downcast_ref(), Some(ResolveError::NotFound(_)));
                failed |= !(args.force && absent);
                errors.push(format!("{:#}", response(error)));
            }
        }
    }
    if failed {
        return Err(coded(1, errors.join("\n")));
    }
    for error in &errors {
        Session::note(error);
    }
    Ok(0)
}
