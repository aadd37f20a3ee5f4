//! A Dockerfile as a graph of steps; steps as layers; the cache that spares them.

pub mod event;
pub mod graph;
pub mod solve;

pub use solve::solve;
