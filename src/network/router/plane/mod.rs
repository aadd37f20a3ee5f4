//! The data plane: what carries packets and bytes between containers and the world outside.

mod dns;
pub mod event;
pub mod flow;
pub mod icmp;
pub mod ports;
pub mod tcp;
pub mod udp;
