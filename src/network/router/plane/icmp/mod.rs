//! ICMP: echo requests of containers (`echo`), and errors told to them (`packet`).

mod echo;
mod packet;

pub(super) use echo::Echoes;
pub use echo::take;
pub(super) use packet::{Trouble, udp_packet};
