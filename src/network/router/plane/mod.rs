//! The data plane: what carries packets and bytes between containers and the world outside.

pub mod event;
pub mod ports;
pub mod tcp;
