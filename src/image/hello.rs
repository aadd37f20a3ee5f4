//! The image that is always there.

use anyhow::{Context, Result};

use super::config::{Configuration, Defaults, History};
use super::import::one_layer;
use super::intake::Mapping;
use crate::oci::{Digest, Platform, Reference};
use crate::store::Store;

/// The name that it answers to.
pub const HELLO_NAME: &str = "docker.io/library/hello-world:latest";
/// The time that the image says it was made: the same in every store, so that its id is the same too.
const CREATED: &str = "2026-01-01T00:00:00Z";
const CREATED_SECONDS: u64 = 1_767_225_600;

/// Tells whether a reference means the image that every coracle carries.
pub fn is_hello(reference: &Reference) -> bool {
    reference.digest().is_none()
        && reference.repository() == "docker.io/library/hello-world"
        && matches!(reference.tag(), None | Some("latest"))
}

/// Makes the image `hello-world:latest`, and returns its id.
///
/// It comes in through the same code as every other image: an archive that is unpacked.
pub fn hello(store: &Store, mapping: &Mapping) -> Result<Digest> {
    let program = super::hello_program::HELLO;
    let mut header = tar::Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    header.set_mtime(CREATED_SECONDS);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "hello", program).context("make the archive of hello-world")?;
    let archive = archive.into_inner().context("make the archive of hello-world")?;
    let host = Platform::host();
    let step = |by: &str, empty_layer| History {
        created: Some(CREATED.to_owned()),
        created_by: by.to_owned(),
        empty_layer,
        ..History::default()
    };
    let configuration = Configuration {
        created: Some(CREATED.to_owned()),
        architecture: host.architecture,
        os: host.os,
        config: Defaults {
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            cmd: Some(vec!["/hello".to_owned()]),
            working_dir: "/".to_owned(),
            ..Defaults::default()
        },
        history: vec![step("COPY hello / # coracle", false), step("CMD [\"/hello\"]", true)],
        ..Configuration::default()
    };
    let reference = Reference::parse(HELLO_NAME).context("name the image hello-world")?;
    let id = one_layer(store, mapping, &archive[..], configuration, Some(&reference))?;
    super::event::note_transfer(store, "pull", &reference, &id);
    Ok(id)
}
