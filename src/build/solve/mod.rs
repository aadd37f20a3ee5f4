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
//! Commands and copies are carried out by processes of a role of this program ([`step`]): they have one thread, and a
//! mount namespace of their own in which they see the files of the step's base. When the build ends, however it
//! ends, so do they.

mod types;

pub use types::{Built, BuiltImage, Context, Exports, Inputs, Output, Ulimit};

use anyhow::{Result, bail};

use super::event::Report;
use super::graph::Graph;
use crate::idmap::Identity;
use crate::store::Store;

/// Performs a graph: makes what its targets are and puts it where `exports` says.
///
/// The process is root of the ancestor user namespace, whose identity is `identity`. The first failure stops the
/// rest and is returned.
pub fn solve(
    _store: &Store,
    _identity: &Identity,
    graph: &Graph,
    _inputs: &Inputs,
    _exports: &Exports,
    _report: &Report,
) -> Result<Built> {
    if graph.targets.is_empty() {
        return Ok(Built::default());
    }
    bail!("perform the build")
}
