//! What came of a build: the id on standard output or in a file, the metadata.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::request::Request;
use crate::build::graph::{Action, Graph, Source};
use crate::build::lint::Warning;
use crate::build::solve::Built;
use crate::cli::session::Session;
use crate::oci::Digest;

/// Says what came of a build.
pub(super) fn tell(request: &Request, built: &Built, graph: &Graph, warnings: &[Warning]) -> Result<()> {
    let id = image_id(built);
    if let (Some(path), Some(id)) = (&request.id_file, &id) {
        fs::write(path, id.to_string()).with_context(|| format!("writing image ID file {path}"))?;
    }
    if let Some(path) = &request.metadata_file {
        let text = serde_json::to_string_pretty(&metadata(request, built, graph, warnings))?;
        fs::write(path, text).with_context(|| format!("writing metadata file {path}"))?;
    }
    let Some(id) = id else { return Ok(()) };
    if request.quiet {
        Session::print(&format!("{id}\n"))?;
    } else if std::env::var("DOCKER_BUILDKIT").is_ok_and(|value| value == "0") {
        // Who asks for the old builder reads its last lines.
        let mut text = format!("Successfully built {}\n", id.short());
        for name in &request.names {
            let _ = writeln!(text, "Successfully tagged {}", name.familiar());
        }
        Session::print(&text)?;
    }
    Ok(())
}

/// Returns the image's id; of several, the id of the index.
fn image_id(built: &Built) -> Option<Digest> {
    match (&built.index, built.images.as_slice()) {
        (Some((digest, _)), _) => Some(*digest),
        (None, [image, ..]) => Some(image.id),
        (None, []) => None,
    }
}

/// Returns what `--metadata-file` holds, with buildx's keys.
pub(super) fn metadata(request: &Request, built: &Built, graph: &Graph, warnings: &[Warning]) -> Value {
    let mut out = Map::new();
    let sources = graph.steps.iter().filter_map(|step| match &step.action {
        Action::Image(base) => Some(json!({ "type": "docker-image", "ref": base.reference.to_string() })),
        Action::Source(Source::Web { url, .. }) => Some(json!({ "type": "http", "ref": url })),
        Action::Source(Source::Git { remote, .. }) => Some(json!({ "type": "git", "ref": remote })),
        _ => None,
    });
    out.insert("buildx.build.sources".to_owned(), sources.collect());
    if !warnings.is_empty() {
        let warning = |warning: &Warning| {
            json!({
                "level": 1,
                "short": warning.message,
                "rule": warning.rule.name,
                "url": warning.rule.url(),
                "range": [{ "start": { "line": warning.lines.0 }, "end": { "line": warning.lines.1 } }],
            })
        };
        out.insert("buildx.build.warnings".to_owned(), warnings.iter().map(warning).collect());
    }
    if let Some(image) = built.images.first() {
        out.insert("containerimage.config.digest".to_owned(), json!(image.id.to_string()));
        let (digest, size, media_type) = match &built.index {
            Some((digest, size)) => (digest, *size, "application/vnd.oci.image.index.v1+json"),
            None => (&image.manifest, image.size, image.media_type.as_str()),
        };
        let descriptor = json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size });
        out.insert("containerimage.descriptor".to_owned(), descriptor);
        out.insert("containerimage.digest".to_owned(), json!(digest.to_string()));
    }
    if !request.names.is_empty() && request.makes_images() {
        let names: Vec<String> = request.names.iter().map(ToString::to_string).collect();
        out.insert("image.name".to_owned(), json!(names.join(",")));
    }
    Value::Object(out)
}
