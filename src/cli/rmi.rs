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
    /// Accepted; images have no parents to keep
    #[arg(long, hide = true)]
    no_prune: bool,
    /// Images
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

fn run(args: &RmiArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let users: Vec<User> = container::list(store)
        .map_err(response)?
        .into_iter()
        .map(|summary| User {
            running: summary.status.is_active(),
            container: summary.config.id,
            image: summary.config.image,
        })
        .collect();
    let mut entered = None;
    let mut errors = Vec::new();
    let mut failed = false;
    for name in &args.images {
        // What is not there needs no namespace to be told so.
        let removed = image::resolve(store, name).and_then(|_| {
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
