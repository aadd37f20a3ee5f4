//! `compose`: files as they are understood, and projects as they live.

pub(crate) mod config;
pub(crate) mod life;
