//! The distribution protocol: requests, tokens, transfers. Knows no disk.
//!
//! # Theory of operation
//!
//! A [`Client`] is made from an [`Access`] (plain values: mirrors, insecure registries, credentials, proxies,
//! how long to wait) and serves any number of threads. One request goes through four layers:
//!
//! ```text
//! client     which endpoints, in which order: the mirrors of a registry, then itself; https, then http
//!            for an insecure one; a token where it is asked for
//! patience   again after a pause, for what may pass: cut connections, 429, 5xx
//! transport  one request and the redirects it leads to; Authorization never leaves its host
//! resolve    names to addresses, without the C library (a static one would load shared objects for it)
//! ```
//!
//! Sending goes to the registry itself, never to a mirror. A [`Client::upload_blob`] asks whether the blob is
//! there, tries to have it mounted from another repository, and else sends it whole; what breaks is taken up in
//! chunks where it broke. [`Client::put_manifest`] comes last, so that a name never means what is not there.
//!
//! Everything that comes from a registry is untrusted: sizes have limits, texts lose their control
//! characters before they reach a terminal, a manifest is checked against its digest here, and a blob yields
//! exactly as many bytes as its descriptor says. (Its digest is checked by whoever reads it, because that
//! runs beside the decompression.) A blob is only ever asked of the registry and its mirrors: the `urls` of a
//! descriptor, as foreign layers have them, are not followed.

mod access;
mod auth;
mod blob;
mod client;
mod dns;
mod download;
mod error;
mod listing;
mod login;
mod patience;
mod proxy;
mod resolve;
mod tls;
mod transport;
mod upload;
mod validity;

pub use access::{Access, Certificates, ClientPair, Credentials, Mirror, ParseMirrorError, Patience};
pub use blob::Blob;
pub use client::{Client, Fetched};
pub use download::Download;
pub use error::{Answer, Error, Fault};
pub use listing::Hit;
pub use proxy::Proxies;
pub use transport::Source;
pub use upload::{Upload, Uploaded};

#[cfg(test)]
#[path = "../../tests/suite/support/registry.rs"]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
