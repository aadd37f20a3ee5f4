//! What an image's configuration says (OCI image-spec, config.md, with Docker's additions).
//!
//! A view: the document itself is kept as the bytes that the image's id is the digest of. Unlike
//! `oci-spec`'s type, this one has what Docker adds (`Healthcheck`, `Shell`, `OnBuild`), and takes the
//! `null`s that Docker writes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::oci::{Digest, Platform};

/// An image's configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// When the image was made: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// The architecture as Go names it.
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// Its variant.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// The operating system.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// A text that old builders put here.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The version of the Docker that made it.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    /// How containers start.
    #[serde(default, deserialize_with = "nullable")]
    pub config: Defaults,
    /// The layers.
    #[serde(default, deserialize_with = "nullable")]
    pub rootfs: RootFs,
    /// How the layers came about.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// What a container of the image does unless told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Defaults {
    /// `user[:group]`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports such as `80/tcp`; the values are empty objects.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `KEY=value`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What is always run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// What is run, or the arguments of the entry point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Whether `cmd` is one text already escaped, which only Windows asks; BuildKit says so of every `CMD`.
    #[serde(skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    /// How the container's health is found out; `None` where the image says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Value>,
    /// Paths of volumes; the values are empty objects.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Value>,
    /// Where the process starts.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Instructions for builds upon this image.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Labels.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the process to end.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// How long it may take to, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell of the shell form of instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: String,
    /// The digests of the uncompressed archives, lowest first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<Digest>,
}

/// One step of how an image came about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When: RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// By which instruction.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// A remark.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether the step made no layer.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
}

impl Configuration {
    /// Parses a configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).context("parse the image's configuration")
    }

    /// Returns the platform that the image is for.
    pub fn platform(&self) -> Platform {
        Platform::normal(&self.os, &self.architecture, &self.variant)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Takes `null` for the type's empty value, as Go does.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_docker_writes() {
        let config = Configuration::parse(
            br#"{"architecture":"arm","os":"linux","variant":"v7","config":{"Env":null,"Cmd":["sh"],"Volumes":null,
            "Labels":null,"Healthcheck":{"Test":["NONE"]},"OnBuild":null,"ArgsEscaped":true,"Shell":["/bin/sh"]},
            "rootfs":{"type":"layers","diff_ids":null},"history":[{"empty_layer":true}]}"#,
        )
        .unwrap();
        assert_eq!(config.platform().to_string(), "linux/arm/v7");
        assert_eq!(config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert!(config.config.entrypoint.is_none() && config.config.healthcheck.is_some());
        assert!(config.history[0].empty_layer);
        assert!(Configuration::parse(br#"{"config":null,"rootfs":null}"#).is_ok());
        assert!(Configuration::parse(br#"{"rootfs":{"diff_ids":["sha256:.."]}}"#).is_err());
    }
}
