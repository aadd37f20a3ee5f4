//! Networks: how containers reach each other, the host and the world, with no privilege and no tun device.
//!
//! # Theory of operation
//!
//! All networks of a store live in one network namespace of our own, `R`. In it, each network is a kernel
//! bridge, and each container on it is one end of a veth pair whose other end is in the container. So traffic
//! between containers never leaves the kernel.
//!
//! ```text
//!   container              R (owned by the ancestor user namespace)                the host's namespace
//!  ┌───────────┐          ┌──────────────────────────────────────┐
//!  │ eth0 ─────┼── veth ──┤ bridge (gateway address)             │
//!  └───────────┘          │   ├ to a neighbour: the kernel        │
//!                         │   └ elsewhere: mark, tproxy ─▶ socket ─┼─ splice ─▶ socket of the host
//!                         │ transparent socket ◀─────────────────┼─ splice ── published port of the host
//!                         └──────────────────────────────────────┘
//! ```
//!
//! An unprivileged user can have no device that joins `R` to the host's namespace. What joins them is a
//! process with sockets in both: the *router* ([`router`]). Packets that leave a network are handed to its
//! transparent sockets in `R`, where the kernel's own TCP answers them; it opens a socket in the host's
//! namespace for each and moves the bytes between the two inside the kernel. A connection is answered only
//! after the one outside has been answered, so the container sees the truth.
//!
//! The router keeps nothing on disk. Each supervisor holds a connection to it for its container's life, and
//! says over it ([`protocol`]) what its container wants; the end of the connection is the end of the wish.
//! Supervisors also hold a descriptor of `R`, so when the router dies, bridges and veths stay; the supervisors
//! start another router in the same `R` and repeat what they have.
//!
//! Where the kernel has no packet rules for this user, there is no router, and containers of the default network
//! have a [`Pasta`] each.
//!
//! What a network is to be ([`Network`]) is a record of the store, written once.

mod client;
mod control;
mod create;
pub mod etc;
mod find;
mod pasta;
mod pool;
pub mod protocol;
mod record;
mod remove;
pub mod router;

use crate::store::{Store, Subject};

pub use client::Router;
pub use create::{Request as CreateRequest, SubnetRequest, create, default};
pub use find::{FindError, Found, HOST, NONE, Predefined, exists, find, list};
pub use pasta::{Pasta, Request as PastaRequest};
pub use record::{Cidr, Driver, Mac, Network, ParseError, Subnet};
pub use remove::{lock, remove};

/// Notes that a network was made or removed.
fn note(store: &Store, action: &str, network: &Network) {
    let attributes = [("name", network.name.as_str()), ("type", "bridge")];
    let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned()));
    store.note(Subject::Network, action, &network.id, attributes.into());
}
