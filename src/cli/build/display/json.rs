//! JSON lines, as `--progress=rawjson` of buildx writes them.

use std::time::SystemTime;

use base64::Engine as _;
use serde_json::{Value, json};

use super::Vertex;
use crate::build::event::{Event, EventKind};
use crate::oci::Digest;

/// Returns the line of an event.
pub(super) fn line(vertex: &Vertex, event: &Event) -> String {
    let digest = Digest::of(format!("{} {}", vertex.id.0, vertex.name).as_bytes()).to_string();
    let value = match &event.kind {
        EventKind::Output { error, bytes } => json!({ "logs": [{
            "vertex": digest,
            "stream": if *error { 2 } else { 1 },
            "data": base64::engine::general_purpose::STANDARD.encode(bytes),
            "timestamp": time(event.time),
        }] }),
        EventKind::Progress { name, current, total, done } => {
            let mut status = json!({
                "id": name,
                "vertex": digest,
                "current": current,
                "timestamp": time(event.time),
            });
            if let Some(total) = total {
                status["total"] = (*total).into();
            }
            if *done {
                status["completed"] = time(event.time).into();
            }
            json!({ "statuses": [status] })
        }
        _ => {
            let mut shown = json!({ "digest": digest, "name": vertex.name, "started": time(vertex.started) });
            if let Some(ended) = vertex.ended {
                shown["completed"] = time(ended).into();
            }
            if vertex.cached {
                shown["cached"] = true.into();
            }
            if let Some(error) = &vertex.error {
                shown["error"] = Value::String(error.clone());
            }
            json!({ "vertexes": [shown] })
        }
    };
    format!("{value}\n")
}

fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default()
}
