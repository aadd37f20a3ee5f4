//! What a build has from outside, where its results go, and what comes of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::image::{Attestation, Format, Style};
use crate::oci::{Digest, Platform, Reference};

/// What a build has from outside the graph.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The directories that steps read, by the names of [`Source::Context`](crate::build::graph::Source).
    pub contexts: BTreeMap<String, Context>,
    /// Secrets by their names.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets of SSH agents by their names.
    pub ssh: BTreeMap<String, PathBuf>,
    /// More lines for `/etc/hosts`: `name:address`.
    pub hosts: Vec<String>,
    /// The size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Limits of what commands may use.
    pub ulimits: Vec<Ulimit>,
    /// The size in bytes that the cache is brought down to after the build.
    pub keep: Option<u64>,
    /// Set by whoever wants the build to stop.
    pub stop: Arc<AtomicBool>,
}

/// A directory of the host that steps read in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The directory.
    pub directory: PathBuf,
    /// The lines of its ignore file.
    pub ignore: Vec<String>,
}

/// A limit of getrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    /// Its name in lower case: `nofile`.
    pub name: String,
    /// The limit; -1 is none.
    pub soft: i64,
    /// What it may be raised to.
    pub hard: i64,
}

/// Where results go.
#[derive(Debug, Default)]
pub struct Exports {
    /// Whether images are made in the store.
    pub image: bool,
    /// The names that they get. With several targets, an index gets them.
    pub names: Vec<Reference>,
    /// Where else results go.
    pub outputs: Vec<Output>,
    /// How manifests are written.
    pub style: Style,
    /// What the manifests of images say besides.
    pub annotations: BTreeMap<String, String>,
    /// What is said of how the images were made.
    pub attestations: Vec<Attestation>,
    /// Whether what was added to the base becomes one layer.
    pub squash: bool,
    /// The time that is written instead of the present, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// Whether files in new layers are not younger than `epoch` (`rewrite-timestamp`).
    pub rewrite_timestamp: bool,
    /// Where the results are cached besides: directories (`type=local`), and whether those of all steps.
    pub cache_to: Vec<(PathBuf, bool)>,
    /// Images of the store that are made to be caches elsewhere (`type=registry`).
    pub cache_images_to: Vec<CacheImage>,
    /// Where results come from besides: directories that were filled so.
    pub cache_from: Vec<PathBuf>,
    /// Images of the store that may say what they were made from.
    pub cache_images: Vec<Digest>,
    /// Whether the image says what it was made from, so that it is itself a cache (`type=inline`).
    pub inline_cache: bool,
}

/// An image whose layers are results, and which says by what keys they are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheImage {
    /// Its name.
    pub name: Reference,
    /// Whether it has the results of all steps (`mode=max`), and not only those that images are made of.
    pub all: bool,
}

/// One more place for results.
#[derive(Debug)]
pub enum Output {
    /// The files, in a directory. With several targets each has one of its own in it.
    Directory(PathBuf),
    /// The files, as an archive.
    Tar(File),
    /// The images, as an archive.
    Archive {
        /// Of which kind.
        format: Format,
        /// To where.
        file: File,
    },
}

/// What came of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// The images, in the order of the targets; none if none were wanted.
    pub images: Vec<BuiltImage>,
    /// The index that has them all, if there are several, and its size.
    pub index: Option<(Digest, u64)>,
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// For which machines.
    pub platform: Platform,
    /// Its id, the digest of its configuration.
    pub id: Digest,
    /// Its manifest.
    pub manifest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's size in bytes.
    pub size: u64,
}
