//! Indexes that are put together here: their entries, and their text.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX};
use crate::oci::{Digest, Platform};

/// A pointer to a manifest, with everything that an index says about it (OCI image-spec, descriptor.md).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Entry {
    /// What the manifest is.
    pub media_type: String,
    /// Its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its size in bytes.
    pub size: u64,
    /// Other places to get it from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    /// Remarks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The manifest itself, in base 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<EntryPlatform>,
    /// What kind of artifact it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// A platform as it stands in an index, not brought into a normal form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EntryPlatform {
    /// The architecture as Go names it.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// The system's version, which counts for Windows.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// What the system must have.
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The architecture's variant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl EntryPlatform {
    /// Writes it as people do: `linux/arm/v7`.
    pub fn text(&self) -> String {
        let os = if self.os.is_empty() { "unknown" } else { &self.os };
        [os, &self.architecture, &self.variant]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Returns the normal form.
    pub fn normal(&self) -> Platform {
        Platform::normal(&self.os, &self.architecture, &self.variant)
    }
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// Always 2.
    pub schema_version: u32,
    /// Docker's list or OCI's index.
    #[serde(default)]
    pub media_type: String,
    /// What it lists.
    #[serde(default)]
    pub manifests: Vec<Entry>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Listing {
    /// Makes an index of entries: in Docker's form if all of them are Docker's and nothing is remarked.
    pub fn of(manifests: Vec<Entry>, annotations: BTreeMap<String, String>) -> Self {
        let docker = annotations.is_empty()
            && manifests
                .iter()
                .all(|entry| entry.media_type == DOCKER_MANIFEST && entry.annotations.is_none());
        Self {
            schema_version: 2,
            media_type: if docker { DOCKER_LIST } else { OCI_INDEX }.to_owned(),
            manifests,
            annotations: (!annotations.is_empty()).then_some(annotations),
        }
    }

    /// Parses an index.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).context("parse the index")
    }

    /// Writes it, each level indented by `step`.
    pub fn text(&self, step: &str) -> Result<String> {
        Ok(indent(&serde_json::to_string(self).context("serialise the index")?, step))
    }
}

/// Tells whether a media type is that of an index.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, DOCKER_LIST | OCI_INDEX)
}

/// Lays out JSON anew, keys in their order, each level indented by `step`.
pub fn indent(json: &str, step: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0usize;
    let mut quoted = false;
    let mut escaped = false;
    let mut opened = false;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        for _ in 0..depth {
            out.push_str(step);
        }
    };
    for c in json.chars() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        if opened && !closes {
            depth += 1;
            line(&mut out, depth);
        } else if closes && !opened {
            depth = depth.saturating_sub(1);
            line(&mut out, depth);
        }
        opened = matches!(c, '{' | '[');
        out.push(c);
        match c {
            '"' => quoted = true,
            ',' => line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_as_go_does() {
        let json = r#"{"b":[1,{"a":"x\"{,"},[]],  "e": {}, "c":null}"#;
        let expected = "{\n  \"b\": [\n    1,\n    {\n      \"a\": \"x\\\"{,\"\n    },\n    []\n  ],\n  \
                        \"e\": {},\n  \"c\": null\n}";
        assert_eq!(indent(json, "  "), expected);
        assert_eq!(indent(expected, "  "), expected);
    }

    #[test]
    fn keeps_what_an_entry_says() {
        let json = r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":7,"annotations":{"a":"b"},"platform":{"architecture":"arm","os":"windows","os.version":"10","os.features":["win32k"],"variant":"v7"}}"#;
        let entry: Entry = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), json);
        assert_eq!(entry.platform.unwrap().text(), "windows/arm/v7");
    }
}
