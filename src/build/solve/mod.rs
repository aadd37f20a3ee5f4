//! A graph of steps performed: what the cache has is spared, what it lacks is made, side by side.
//!
//! # Theory of operation
//!
//! ```text
//! Graph ─▶ a thread for each step whose bases are there ─▶ key ─▶ hit: Layers
//!                                                            └──▶ miss: lock of the key ─▶ process of the role
//!                                                                 ─▶ upper directory ─▶ layer, by rename ─▶ record
//! ```
//!
//! The value of a step is a stack of layers of the store, each by the digest of its archive. So a key says by
//! content what a step begins with: the digest of the instruction, of the layers of its base, and of what it
//! reads besides. What it reads counts as BuildKit counts it: names, kinds, permissions, owners unless they are
//! given, targets of links, bytes; never times.
//!
//! Whoever lacks a result takes the lock of its key, looks again, and makes it in `staging/`. It is published by
//! renames, layer first and record last, after all is on the disk; so what a killed build leaves is never hit.
//!
//! Commands and copies are carried out by processes of a role of this program ([`ROLE`]): they have one thread, and a
//! mount namespace of their own in which they see the files of the step's base. When the build ends, however it
//! ends, so do they.

mod cached;
mod command;
mod contents;
mod export;
mod foreign;
mod key;
mod mode;
mod mounts;
mod order;
mod perform;
mod pick;
mod place;
mod source;
mod step;
mod types;
mod worker;

pub(super) use contents::measure;
pub use step::{ROLE, main};
pub use types::{Built, BuiltImage, CacheImage, Context, Exports, Inputs, Output, Ulimit};
pub use worker::Stopped;

use anyhow::Result;

use super::event::Report;
use super::graph::{Graph, StepId};
use crate::idmap::Identity;
use crate::store::Store;

/// A step that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Which.
    pub step: StepId,
    /// The exit code, if it was its command's.
    pub code: Option<i32>,
    /// In words.
    pub message: String,
}

/// Performs a graph: makes what its targets are and puts it where `exports` says.
///
/// The process is root of the ancestor user namespace, whose identity is `identity`. The first failure stops the
/// rest and is returned: a [`Failure`] if a step's, [`Stopped`] if somebody wanted the build to stop.
pub fn solve(
    store: &Store,
    identity: &Identity,
    graph: &Graph,
    inputs: &Inputs,
    exports: &Exports,
    report: &Report,
) -> Result<Built> {
    let build = perform::Build::new(store, identity, graph, inputs, exports, report)?;
    build.perform()?;
    let built = export::export(&build, exports)?;
    build.settle()?;
    export::caches(&build, exports)?;
    drop(build);
    if let Some(keep) = inputs.keep {
        // The build is done, whatever becomes of old things.
        let _ = super::upkeep::prune(store, super::upkeep::Wish { keep: Some(keep), ..Default::default() });
    }
    Ok(built)
}
