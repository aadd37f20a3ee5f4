//! The words of the specifications: what an image is called, what its content is addressed by, which
//! machine it is for. Knows no disk, no network and no kernel.
//!
//! The documents themselves (manifests, image configurations, runtime specs) are the types of the
//! `oci-spec` crate, re-exported here so that the rest of the program names one place. Those types drop
//! fields they do not know, so whoever must keep a digest keeps the raw bytes and only *views* them
//! through the types.

mod digest;
mod duration;
mod platform;
mod reference;

pub use digest::{Digest, Hasher, ParseDigestError};
pub use duration::duration;
pub use oci_spec::{distribution, image, runtime};
pub use platform::{ParsePlatformError, Platform};
pub use reference::{ParseReferenceError, Reference, familiar_repository};
