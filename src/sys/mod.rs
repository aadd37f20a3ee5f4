//! The kernel: every `unsafe`, every raw call, nothing else.

pub mod lock;
