//! `create`: a container that is not started yet; and the half of `run` that is the same.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::pull::{Wanted, fetch};
use super::report::response;
use super::request::{ABSENT, ContainerFlags, open_error};
use super::session::Session;
use super::tree::Spec;
use crate::container::{self, ContainerDir, CreateRequest, Created, MountSource, RemoveOptions, Remover};
use crate::idmap::{Identity, Kept};
use crate::image::{self, Image, ResolveError};
use crate::oci::{Platform, Reference};
use crate::store::{MapKey, Store};

/// `create`
pub(super) const SPEC: Spec = Spec {
    paths: &["container create", "create"],
    about: "Create a new container",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: false, absent: ABSENT },
    define: CreateArgs::augment_args,
    run: |matches, session| run(&CreateArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct CreateArgs {
    #[command(flatten)]
    flags: ContainerFlags,
}

fn run(args: &CreateArgs, session: &Session) -> Result<u8> {
    let request = args.flags.request(session, false)?;
    let created = create(session, &args.flags, request)?;
    Session::print(&format!("{}\n", created.id))?;
    Ok(0)
}

/// Finds the image, pulling it if that is asked for, and creates the container.
pub(super) fn create(session: &Session, flags: &ContainerFlags, request: CreateRequest) -> Result<Created> {
    let cidfile = flags.cidfile.as_deref().map(IdFile::open).transpose()?;
    let kept = request.sharing.kept();
    let (image, identity) = find_image(session, flags, kept)?;
    for mount in &request.mounts {
        if let MountSource::Image { name, .. } = &mount.mount.source {
            find(session, flags, name, None, (&identity, kept))?;
        }
    }
    let created = container::create(session.store()?, &identity, &image, request).map_err(response)?;
    for warning in &created.warnings {
        Session::note(&format!("WARNING: {warning}"));
    }
    if let Some(file) = cidfile {
        file.write(&created.id)?;
    }
    Ok(created)
}

/// The file that the container's id goes to: made before the container, taken away if there comes none.
struct IdFile<'a> {
    path: &'a Path,
    file: fs::File,
    written: bool,
}

impl<'a> IdFile<'a> {
    fn open(path: &'a str) -> Result<Self> {
        if Path::new(path).exists() {
            anyhow::bail!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            );
        }
        let file = fs::File::create(path)
            .map_err(|error| open_error(path, &error))
            .context("failed to create the container ID file")?;
        Ok(Self { path: Path::new(path), file, written: false })
    }

    fn write(mut self, id: &str) -> Result<()> {
        self.file.write_all(id.as_bytes()).context("failed to write the container ID to the file")?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _ = fs::remove_file(self.path);
        }
    }
}

/// Returns the image, with its layers unpacked for this user, or for containers that keep these ids.
fn find_image(session: &Session, flags: &ContainerFlags, kept: Option<Kept>) -> Result<(Image, Identity)> {
    let identity = Session::identity().and_then(|now| Ok(now.keeping(kept)?)).map_err(response)?;
    let platform = platform(session, flags.platform.as_deref())?;
    let image = find(session, flags, &flags.image, platform.as_ref(), (&identity, kept))?;
    Ok((image, identity))
}

/// Returns an image that a container is made of, or mounts, with its layers unpacked.
fn find(
    session: &Session,
    flags: &ContainerFlags,
    name: &str,
    platform: Option<&Platform>,
    (identity, kept): (&Identity, Option<Kept>),
) -> Result<Image> {
    let store = session.image_store()?;
    let pull = |text: &str| {
        let wanted = Wanted { reference: text, platform, quiet: flags.quiet };
        fetch(session, &wanted)
    };
    if flags.pull == "always" {
        pull(name)?;
    }
    let found = match image::resolve(store, name) {
        Ok(record) => image::open(store, &record.id).map_err(response)?,
        Err(error) => match error.downcast_ref::<ResolveError>() {
            Some(ResolveError::NotFound(_)) if flags.pull == "missing" => {
                let reference = Reference::parse(name).map(Reference::with_default_tag);
                let reference = reference.map_err(|error| anyhow::anyhow!(error))?;
                if !image::is_hello(&reference) && !flags.quiet {
                    Session::note(&format!("Unable to find image '{}' locally", reference.familiar()));
                }
                pull(name)?;
                let record = image::resolve(store, name).map_err(response)?;
                image::open(store, &record.id).map_err(response)?
            }
            Some(ResolveError::Reference(_)) => return Err(error),
            _ => return Err(response(error)),
        },
    };
    if let Some(wanted) = platform {
        let is = found.config.platform();
        if !wanted.runs(&is) {
            let name = Reference::parse(name).map_or_else(|_| name.to_owned(), |name| name.familiar());
            return Err(response(anyhow::anyhow!(
                "image with reference {name} was found but its platform ({is}) does not match the specified \
                 platform ({wanted})"
            )));
        }
    }
    let map = MapKey::of(&identity.inside().text());
    if image::unpacked(store, &found.record, &map).is_none() {
        super::pull::unpack(session, &found.record.id, kept)?;
    }
    Ok(found)
}

/// Returns the platform asked for: by the flag, else by the environment.
pub(super) fn platform(session: &Session, asked: Option<&str>) -> Result<Option<Platform>> {
    let text = match asked.filter(|text| !text.is_empty()) {
        Some(text) => Some(text),
        None => session.settings()?.platform.as_deref(),
    };
    text.map(|text| {
        text.parse().map_err(|error| anyhow::anyhow!("error parsing specified platform: {error}"))
    })
    .transpose()
}

/// Removes a container that was to be removed at its end and has not come to run. It may have gone already.
pub(super) fn remove_after_failure(store: &Store, dir: &ContainerDir) {
    if dir.exists() {
        let options = RemoveOptions { force: true, volumes: true };
        let _ = Remover::new(store).remove(dir, dir.id(), options);
    }
}
