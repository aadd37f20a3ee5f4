//! A Dockerfile as a graph of steps; steps as layers; the cache that spares them.
//!
//! ```text
//! dockerfile   text → instructions, each with its place          knows no disk and no image
//! lint         what is unwise in them
//! plan         instructions → Graph; asks its caller for the images it names
//! ignore       which files of a context are left out
//! graph, event the seam: what is to be made, and what is said meanwhile
//! solve        Graph → images and files: cache, commands, copies, layers, outputs
//! upkeep       what the cache holds, and its removal
//! ```

pub mod dockerfile;
pub mod event;
pub mod git;
pub mod graph;
pub mod ignore;
pub mod lint;
pub mod plan;
pub mod solve;
pub mod upkeep;

pub use solve::solve;
