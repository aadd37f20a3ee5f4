//! The router: one process per store that owns the network namespace of all bridge networks.

pub mod directory;
pub mod plane;
