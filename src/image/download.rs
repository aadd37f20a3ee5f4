//! Files from the web, for those who may not speak to registries.

use anyhow::Result;

use crate::registry::{Access, Client, Proxies};

pub use crate::registry::Download;

/// Opens what lies at an address, through the proxies of the environment, unless it is still the version that `etag`
/// is of.
pub fn download(url: &str, etag: Option<&str>) -> Result<Option<Download>> {
    let access = Access { proxies: Proxies::read(|name| std::env::var(name).ok()), ..Access::default() };
    Ok(Client::new(access).download_newer(url, etag)?)
}
