//! `--provenance`: what an image was made of and how, in SLSA's form 0.2, as BuildKit says it in mode `min`.

use std::time::SystemTime;

use anyhow::{Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::csv::Fields;
use super::request::Request;
use crate::build::graph::{Action, Graph, Source};
use crate::image::{self, Attestation, purl};
use crate::oci::Platform;
use crate::store::{Store, random_id};

const KIND: &str = "https://slsa.dev/provenance/v0.2";

/// Reads `--provenance` and `--attest`: tells whether it is wanted.
pub(super) fn wanted(provenance: Option<&str>, attest: &[String]) -> Result<bool> {
    let mut wanted = false;
    for text in provenance.into_iter().chain(attest.iter().map(String::as_str)) {
        let fields = Fields::parse(text)?;
        let kind = fields.get("type").unwrap_or("provenance");
        let off = matches!(fields.word(), Some("false" | "0")) || fields.truth("disabled");
        match kind {
            _ if off => wanted &= kind != "provenance",
            "provenance" => wanted = true,
            "sbom" => bail!("ERROR: attestations of type sbom take a scanner, and there is none"),
            other => bail!("ERROR: unknown attestation type {other:?}"),
        }
        match (fields.get("mode"), fields.get("version")) {
            _ if off => {}
            (None | Some("min"), None | Some("v0.2")) => {}
            (Some("max"), None | Some("v0.2")) => {
                eprintln!(
                    "WARNING: provenance is written in mode min: the definition of the build is left out"
                );
            }
            (mode, version) => {
                let what = [mode, version].into_iter().flatten().collect::<Vec<_>>().join(", ");
                bail!("ERROR: provenance is written in mode min and version v0.2, not {what}");
            }
        }
    }
    Ok(wanted)
}

/// Says how images were made.
pub(super) fn provenance(
    request: &Request,
    graph: &Graph,
    store: &Store,
    started: SystemTime,
) -> Attestation {
    let host = Platform::host().to_string();
    let time = |time: SystemTime| Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default();
    let remote = request.context.contains("://");
    let entry = request.file.as_deref().filter(|file| *file != "-").unwrap_or("Dockerfile");
    let mut config = json!({ "entryPoint": entry });
    if remote {
        config["uri"] = json!(request.context);
    }
    let mut arguments = serde_json::Map::new();
    if let Some(target) = &request.target {
        arguments.insert("target".to_owned(), json!(target));
    }
    let locals = if remote { json!([]) } else { json!([{ "name": "context" }, { "name": "dockerfile" }]) };
    let predicate = json!({
        "builder": { "id": "" },
        "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": materials(graph, store),
        "invocation": {
            "configSource": config,
            "parameters": { "frontend": "dockerfile.v0", "args": arguments, "locals": locals },
            "environment": { "platform": host },
        },
        "metadata": {
            "buildInvocationID": random_id()[..25],
            "buildStartedOn": time(started),
            "buildFinishedOn": time(SystemTime::now()),
            "completeness": { "parameters": false, "environment": true, "materials": false },
            "reproducible": false,
        },
    });
    Attestation { kind: KIND.to_owned(), predicate }
}

/// Returns what steps begin with and read, each once.
fn materials(graph: &Graph, store: &Store) -> Vec<Value> {
    let mut materials = Vec::new();
    for step in &graph.steps {
        let material = match &step.action {
            Action::Image(base) => {
                let named = store.get_ref(&image::name_of(&base.reference)).ok().flatten();
                let digest = named.filter(|named| named.id == base.id).map(|named| named.target);
                let record = || store.image(&base.id).ok().flatten().map(|record| record.manifest);
                let Some(digest) = digest.or_else(record) else { continue };
                let uri = purl(&base.reference, &step.platform.to_string());
                json!({ "uri": uri, "digest": { "sha256": digest.hex() } })
            }
            Action::Source(Source::Web { url, checksum }) => match checksum {
                Some(digest) => json!({ "uri": url, "digest": { "sha256": digest.hex() } }),
                None => json!({ "uri": url }),
            },
            Action::Source(Source::Git { remote, revision, checksum, .. }) => {
                let uri = if revision.is_empty() { remote.clone() } else { format!("{remote}#{revision}") };
                match checksum {
                    Some(commit) => json!({ "uri": uri, "digest": { "sha1": commit } }),
                    None => json!({ "uri": uri }),
                }
            }
            _ => continue,
        };
        if !materials.contains(&material) {
            materials.push(material);
        }
    }
    materials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_wanted() {
        let read = |given: Option<&str>, attest: &[&str]| {
            wanted(given, &attest.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert!(!read(None, &[]).unwrap() && !read(Some("false"), &[]).unwrap());
        assert!(read(Some("true"), &[]).unwrap() && read(Some("mode=max"), &[]).unwrap());
        assert!(read(None, &["type=provenance,mode=min"]).unwrap());
        assert!(!read(None, &["type=provenance,disabled=true", "type=sbom,disabled=true"]).unwrap());
        for bad in ["type=sbom", "type=what", "type=provenance,version=v9"] {
            assert!(read(None, &[bad]).is_err(), "{bad}");
        }
    }
}
