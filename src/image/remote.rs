//! Manifests that stay in their registries: looked at there, and copied from one repository to another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::index::{Entry, EntryPlatform, Listing, is_index};
use crate::oci::{Digest, Reference};
use crate::registry::{Client, Error, Source, Upload};

/// The largest image configuration, in bytes.
const CONFIG_LIMIT: u64 = 4 << 20;
/// How deep indexes may lie in indexes.
const DEPTH: usize = 4;

/// How a connection is made.
type Connect<'a> = dyn Fn(&Reference) -> Result<Client> + 'a;

/// Connections to registries, each made when it is first needed.
pub struct Registries<'a> {
    connect: Box<Connect<'a>>,
    known: RefCell<HashMap<String, Client>>,
}

impl std::fmt::Debug for Registries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.known.borrow().keys()).finish()
    }
}

/// A manifest or an index of a registry.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where it was found.
    pub reference: Reference,
    /// What it says.
    pub bytes: Vec<u8>,
    /// What it is, and how large.
    pub entry: Entry,
}

/// A manifest, as far as it has to be known to copy it.
#[derive(Debug, Deserialize)]
struct Parts {
    config: Entry,
    #[serde(default)]
    layers: Vec<Entry>,
}

impl<'a> Registries<'a> {
    /// Makes connections with `connect`.
    pub fn new(connect: impl Fn(&Reference) -> Result<Client> + 'a) -> Self {
        Self { connect: Box::new(connect), known: RefCell::default() }
    }

    fn client(&self, reference: &Reference) -> Result<Client> {
        if let Some(client) = self.known.borrow().get(reference.domain()) {
            return Ok(client.clone());
        }
        let client = (self.connect)(reference)?;
        self.known.borrow_mut().insert(reference.domain().to_owned(), client.clone());
        Ok(client)
    }

    /// Fetches what `reference` means; `None` if the registry has nothing of that name.
    pub fn find(&self, reference: &Reference) -> Result<Option<Remote>> {
        match self.client(reference)?.manifest(reference) {
            Ok(fetched) => {
                let entry = Entry {
                    media_type: fetched.media_type,
                    digest: Some(fetched.digest),
                    size: fetched.bytes.len() as u64,
                    ..Entry::default()
                };
                Ok(Some(Remote { reference: reference.clone(), bytes: fetched.bytes, entry }))
            }
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches the configuration of the image that `remote` is.
    pub fn config(&self, remote: &Remote) -> Result<Vec<u8>> {
        self.blob(remote, &parts(remote)?.config, CONFIG_LIMIT, "image config")
    }

    /// Returns the layers of the manifest that `remote` is.
    pub fn layers(&self, remote: &Remote) -> Result<Vec<Entry>> {
        Ok(parts(remote)?.layers)
    }

    /// Fetches a blob of at most `limit` bytes that the manifest `remote` names; `what` is what it is.
    pub fn blob(&self, remote: &Remote, blob: &Entry, limit: u64, what: &str) -> Result<Vec<u8>> {
        let digest = blob.digest.with_context(|| format!("the manifest has no digest of the {what}"))?;
        ensure!(blob.size <= limit, "the {what} is too large");
        let mut bytes = Vec::new();
        self.client(&remote.reference)?
            .blob(&remote.reference, digest, blob.size, 0)?
            .read_to_end(&mut bytes)
            .with_context(|| format!("read the {what}"))?;
        ensure!(Digest::of(&bytes) == digest, "{what} verification failed for digest {digest}");
        Ok(bytes)
    }

    /// Finds out what the image that `remote` is runs on.
    pub fn platform(&self, remote: &Remote) -> Result<EntryPlatform> {
        serde_json::from_slice(&self.config(remote)?).context("parse the image's configuration")
    }

    /// Puts a manifest or an index under the name `to`.
    pub fn put(&self, to: &Reference, media_type: &str, bytes: &[u8]) -> Result<Digest> {
        Ok(self.client(to)?.put_manifest(to, media_type, bytes)?)
    }

    /// Makes the repository of `to` have `remote` with everything it needs. What the registry has in another
    /// repository it takes from there; the rest goes through this machine.
    pub fn copy(&self, remote: &Remote, to: &Reference) -> Result<Digest> {
        self.copy_below(remote, to, DEPTH)
    }

    fn copy_below(&self, remote: &Remote, to: &Reference, depth: usize) -> Result<Digest> {
        let digest = remote.entry.digest.unwrap_or_else(|| Digest::of(&remote.bytes));
        if is_index(&remote.entry.media_type) {
            if depth == 0 {
                bail!("{}: indexes lie too deep in each other", remote.reference);
            }
            for entry in Listing::parse(&remote.bytes)?.manifests {
                let digest = entry.digest.context("an entry of the index has no digest")?;
                let inner = self.get(&remote.reference.with_digest(digest))?;
                self.copy_below(&inner, to, depth - 1)?;
            }
        } else {
            let parts = parts(remote)?;
            for blob in parts.layers.iter().chain([&parts.config]) {
                self.copy_blob(&remote.reference, blob, to)
                    .with_context(|| format!("copy a blob of {} to {to}", remote.reference))?;
            }
        }
        let place = bare(to)?.with_digest(digest);
        self.put(&place, &remote.entry.media_type, &remote.bytes)
    }

    /// Fetches what must be there.
    pub fn get(&self, reference: &Reference) -> Result<Remote> {
        self.find(reference)?.with_context(|| format!("{reference}: not found"))
    }

    fn copy_blob(&self, from: &Reference, blob: &Entry, to: &Reference) -> Result<()> {
        let digest = blob.digest.context("a blob of the manifest has no digest")?;
        // A foreign layer is in no registry.
        if blob.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
            return Ok(());
        }
        let relay = Relay { client: self.client(from)?, reference: from, digest, size: blob.size };
        let near = [from.path().to_owned()];
        let near = if from.domain() == to.domain() { &near[..] } else { &[] };
        let upload = Upload { digest, size: blob.size, source: &relay, from: near };
        self.client(to)?.upload_blob(to, &upload)?;
        Ok(())
    }
}

fn parts(remote: &Remote) -> Result<Parts> {
    serde_json::from_slice(&remote.bytes)
        .with_context(|| format!("parse the manifest of {}", remote.reference))
}

/// Returns the repository of a reference, without tag and digest.
pub(super) fn bare(reference: &Reference) -> Result<Reference> {
    Ok(Reference::parse(reference.repository())?)
}

/// A blob of one registry on its way to another.
struct Relay<'a> {
    client: Client,
    reference: &'a Reference,
    digest: Digest,
    size: u64,
}

impl Source for Relay<'_> {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let blob = self.client.blob(self.reference, self.digest, self.size, offset);
        Ok(Box::new(blob.map_err(io::Error::other)?))
    }
}
