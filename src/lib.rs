//! coracle: containers for one user, with no daemon, no root and one static file.
//!
//! # What it is made of
//!
//! ```text
//! main      → cli, settings, and the entry functions of the hidden roles
//! cli       → compose build container image network volume registry store idmap oci settings
//! compose   → build container image network volume store idmap oci
//! build     → image network runtime store idmap oci sys        (not container)
//! container → image network volume runtime store idmap oci sys
//! image     → registry store idmap oci sys
//! network   → store idmap sys        volume → store idmap
//! runtime   → idmap oci sys          registry → oci
//! store     → oci sys    idmap → sys    oci, sys, settings → nothing of ours
//! ```
//!
//! Imports point down this table only; `tests/suite/architecture.rs` enforces it.
//!
//! # The one idea
//!
//! The bugs of container tools are in *remembered state*: stored status that lies after a crash, pid files,
//! mount counters, one database for all. So coracle stores intent and results, and asks the kernel for
//! everything else. Status is computed, never stored.

pub mod build;
pub mod cli;
pub mod compose;
pub mod container;
pub mod idmap;
pub mod image;
pub mod network;
pub mod oci;
pub mod registry;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod sys;
pub mod volume;
