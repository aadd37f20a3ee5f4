//! `compose`: files as they are understood, and projects as they live.

pub(crate) mod config;
pub(crate) mod images;
pub(crate) mod life;
pub(crate) mod watch;
