//! Devices that are asked for by what they are, and not by their paths: `--gpus`, and names in CDI files.
//!
//! What a request means is found out at every start, since drivers are updated and devices come and go. It comes
//! out as more device nodes, mounts and variables of the container.

mod cdi;
mod gpu;
mod libraries;
mod yaml;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::config::{ContainerConfig, Device, Mount, MountSource};
use super::create::set_variable;
use crate::oci::runtime::{Hook, Hooks, HooksBuilder};

/// The driver of requests whose ids are names in CDI files.
pub const CDI: &str = "cdi";

/// Tells whether a `--device` is a name of a CDI file: `vendor.com/class=name`.
pub fn is_cdi(text: &str) -> bool {
    let Some((kind, name)) = text.split_once('=') else { return false };
    let Some((vendor, class)) = kind.split_once('/') else { return false };
    let is_word = |word: &str, more: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.ends_with(|c: char| c.is_ascii_alphanumeric())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let is_name = !name.is_empty()
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c));
    is_word(vendor, "_-.") && is_word(class, "_-") && is_name
}

/// A request for devices, in Docker's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceRequest {
    /// `nvidia`, `cdi`; empty: whatever fits.
    pub driver: String,
    /// How many; -1: all.
    pub count: i64,
    /// Which, by number, by name or by UUID.
    #[serde(rename = "DeviceIDs")]
    pub device_ids: Vec<String>,
    /// What they are to be able to do; one of the lists is to fit.
    pub capabilities: Vec<Vec<String>>,
    /// Options of the driver.
    pub options: std::collections::BTreeMap<String, String>,
}

/// What a container gets in answer to requests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Edits {
    devices: Vec<Device>,
    mounts: Vec<Mount>,
    env: Vec<String>,
    hooks: Programs,
}

/// Hooks by the points at which they are run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Programs {
    create_runtime: Vec<Hook>,
    /// How many of these are `prestart` hooks.
    prestarts: usize,
    create_container: Vec<Hook>,
    start_container: Vec<Hook>,
    poststart: Vec<Hook>,
    poststop: Vec<Hook>,
}

impl Programs {
    /// Returns them in the words of the runtime specification; `None` if there are none.
    fn hooks(self) -> Result<Option<Hooks>> {
        if self == Self::default() {
            return Ok(None);
        }
        let hooks = HooksBuilder::default().create_runtime(self.create_runtime);
        let hooks = hooks.create_container(self.create_container).start_container(self.start_container);
        hooks.poststart(self.poststart).poststop(self.poststop).build().context("make the hooks").map(Some)
    }
}

/// A configuration with what its requests for devices mean now.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) config: ContainerConfig,
    /// What is to be run for them.
    pub(super) hooks: Option<Hooks>,
}

impl Edits {
    fn device(&mut self, host: impl Into<PathBuf>, inside: &str, permissions: &str) {
        let host = host.into().to_string_lossy().into_owned();
        if self.devices.iter().all(|device| device.container != inside) {
            self.devices.push(Device {
                host,
                container: inside.to_owned(),
                permissions: permissions.to_owned(),
            });
        }
    }

    fn mount(&mut self, host: impl Into<PathBuf>, inside: &str, read_only: bool) {
        let path = host.into().to_string_lossy().into_owned();
        if self.mounts.iter().all(|mount| mount.target != inside) {
            let source = MountSource::Bind { path, propagation: "rprivate".to_owned(), recursive: true };
            self.mounts.push(Mount { source, target: inside.to_owned(), read_only });
        }
    }
}

/// Adds to a configuration what its requests for devices mean now; `None` if there are none.
pub(super) fn resolve(config: &ContainerConfig) -> Result<Option<Resolved>> {
    if config.device_requests.is_empty() {
        return Ok(None);
    }
    let mut edits = Edits::default();
    for request in &config.device_requests {
        select(request, config, Path::new("/"), &mut edits)?;
    }
    let mut config = config.clone();
    config.devices.extend(edits.devices);
    config.mounts.extend(edits.mounts);
    for variable in edits.env {
        set_variable(&mut config.process.env, &variable);
    }
    Ok(Some(Resolved { config, hooks: edits.hooks.hooks()? }))
}

/// Answers one request with what is below `root`.
fn select(request: &DeviceRequest, config: &ContainerConfig, root: &Path, edits: &mut Edits) -> Result<()> {
    let wants_gpu = request.capabilities.iter().flatten().any(|word| word == "gpu");
    match request.driver.as_str() {
        CDI => cdi::inject(&config.cdi_dirs, &request.device_ids, edits),
        "" | "nvidia" | "amd" | "intel" if wants_gpu => gpu::select(request, config, root, edits),
        driver => bail!("could not select device driver {driver:?} with capabilities: {}", words(request)),
    }
}

/// Writes capabilities as Go does.
fn words(request: &DeviceRequest) -> String {
    let lists: Vec<String> =
        request.capabilities.iter().map(|list| format!("[{}]", list.join(" "))).collect();
    format!("[{}]", lists.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_of_cdi() {
        for name in ["nvidia.com/gpu=all", "v/c=0", "v-1.x/c_d=a:b"] {
            assert!(is_cdi(name), "{name}");
        }
        for path in ["/dev/fuse", "/dev/a=b", "v/c", "v=c", "1v/c=d", "v/c=", "v/c=-a"] {
            assert!(!is_cdi(path), "{path}");
        }
    }
}
