//! What images are called and made of.
//!
//! An image comes in as a stream ([`import`], [`hello`]), is turned into blobs, unpacked layers and a
//! record in one pass, and exists from the moment its record does. [`resolve`] finds it by what people
//! type; [`ensure_layers`] gives a container the trees to mount.
//!
//! Unpacking sets owners and makes whiteouts, so it runs in a process that is root in the ancestor user
//! namespace; the command enters it before it starts a thread. Looking at images needs no namespace.

mod attestation;
mod certificates;
mod change;
mod check;
mod commit;
mod compression;
mod config;
mod content;
mod credentials;
mod download;
mod event;
mod fetch;
mod hello;
pub mod hello_program;
pub mod imagetools;
mod import;
pub mod index;
mod intake;
mod layer;
mod layers;
mod list;
mod load;
mod login;
mod make;
mod manifest;
pub mod manifests;
pub mod pack;
mod pipe;
mod progress;
mod pull;
pub mod pump;
mod push;
pub mod remote;
mod remove;
mod resolve;
mod room;
mod save;
mod side_by_side;
mod spool;
#[cfg(test)]
mod tests;
mod unpack;
mod usage;
pub mod view;

use anyhow::{Context, Result};

pub use attestation::purl;
pub use certificates::certificates;
pub use change::change;
pub use check::{Check, Connect, Finding, Meter, Outcome, Report, Stand, check};
pub use commit::{CommitOptions, commit};
pub use config::{Configuration, Defaults, History, RootFs};
pub use credentials::{Login, Logins, host_of, is_hub, key_of};
pub use download::{Download, download};
pub use hello::{HELLO_NAME, hello, is_hello};
pub use import::{ImportOptions, import};
pub use intake::{DigestMismatch, Mapping};
pub use layers::{ensure_layers, unpacked};
pub use list::{Row, Summary, familiar, history, inspect, list, list_all, size};
pub use load::{Input, Loaded, load};
pub use login::{Keeper, forget, keeper, remember};
pub use make::{Attestation, MadeImages, NewImage, Style, adopt, make};
pub use manifest::LAYER_LIMIT;
pub use progress::{LayerProgress, Progress, Quiet};
pub use pull::{PullStatus, Pulled, pull};
pub use push::{PushProgress, PushStep, Pushed, push, tags};
pub use remove::{Conflict, Pruned, Removed, User, prune, remove};
pub use resolve::{ResolveError, look, name_of, resolve, tag};
pub use save::{Format, Saving, choose as choose_to_save, choose_by_id as choose_made_to_save};
pub use unpack::{Landed, Landing, OWNER, Owners, Ownership, land};
pub use usage::{ImageUsage, Usage, usage};

use crate::oci::Digest;
use crate::store::{ImageRecord, Store};

/// An image of the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its record.
    pub record: ImageRecord,
    /// Its configuration, as far as coracle reads it.
    pub config: Configuration,
    /// The configuration as it stands: its digest is the image's id.
    pub raw_config: Vec<u8>,
}

/// Opens the image with this id.
pub fn open(store: &Store, id: &Digest) -> Result<Image> {
    let record = store.image(id)?.ok_or_else(|| ResolveError::NotFound(id.to_string()))?;
    let raw_config = store.read_document(id).with_context(|| format!("open image {id}"))?;
    let config = Configuration::parse(&raw_config).with_context(|| format!("open image {id}"))?;
    Ok(Image { record, config, raw_config })
}
