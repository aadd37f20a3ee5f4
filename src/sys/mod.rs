//! The kernel: every `unsafe`, every raw call, nothing else.
//!
//! What `rustix` and `nix` already say safely is called there; here is only what they lack.

pub mod datagram;
pub mod inet;
pub mod lock;
pub mod memory;
pub mod mount;
pub mod net;
pub mod netlink;
pub mod notify;
pub mod proc;
pub mod process;
pub mod seccomp;
pub mod socket;
