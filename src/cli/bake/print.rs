//! `bake --print`: what would be built, as buildx shows it.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::target::texts;

/// The fields of a target, in the order in which they are shown.
const FIELDS: &[&str] = &[
    "description",
    "annotations",
    "attest",
    "context",
    "contexts",
    "dockerfile",
    "dockerfile-inline",
    "args",
    "labels",
    "tags",
    "cache-from",
    "cache-to",
    "target",
    "secret",
    "ssh",
    "platforms",
    "output",
    "pull",
    "no-cache",
    "network",
    "no-cache-filter",
    "shm-size",
    "ulimits",
    "call",
    "entitlements",
    "extra-hosts",
];

/// Returns groups and targets as JSON.
pub(super) fn print<'a>(
    groups: &Value,
    targets: impl Iterator<Item = (&'a String, &'a Map<String, Value>)>,
) -> String {
    let mut out = String::from("{\n");
    if groups.as_object().is_some_and(|groups| !groups.is_empty()) {
        let _ = writeln!(out, "  \"group\": {},", indented(groups, 2));
    }
    let targets: Vec<String> = targets
        .map(|(name, target)| {
            let fields: Vec<String> = FIELDS
                .iter()
                .filter_map(|key| Some((*key, shown(key, target.get(*key)?)?)))
                .map(|(key, value)| format!("      {}: {}", Value::from(key), indented(&value, 6)))
                .collect();
            format!("    {}: {{\n{}\n    }}", Value::from(name.as_str()), fields.join(",\n"))
        })
        .collect();
    let _ = write!(out, "  \"target\": {{\n{}\n  }}\n}}\n", targets.join(",\n"));
    out
}

/// Returns a field as it is shown; what says nothing is left out.
fn shown(key: &str, value: &Value) -> Option<Value> {
    let list = matches!(
        key,
        "annotations"
            | "attest"
            | "tags"
            | "cache-from"
            | "cache-to"
            | "secret"
            | "ssh"
            | "platforms"
            | "output"
            | "no-cache-filter"
            | "ulimits"
            | "entitlements"
    );
    match value {
        Value::Null => None,
        Value::Object(fields) if fields.is_empty() => None,
        value if list => {
            let texts = texts(key, value).unwrap_or_default();
            (!texts.is_empty()).then(|| texts.into())
        }
        value => Some(value.clone()),
    }
}

fn indented(value: &Value, by: usize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.replace('\n', &format!("\n{:by$}", ""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prints_as_buildx_does() {
        let target = json!({
            "tags": ["x"], "dockerfile": "Dockerfile", "context": ".", "no-cache": true, "args": {},
            "output": [{ "type": "docker" }, ""], "secret": null,
        });
        let Value::Object(target) = target else { panic!() };
        let name = "a".to_owned();
        let text = print(&json!({ "default": { "targets": ["a"] } }), [(&name, &target)].into_iter());
        let wanted = r#"{
  "group": {
    "default": {
      "targets": [
        "a"
      ]
    }
  },
  "target": {
    "a": {
      "context": ".",
      "dockerfile": "Dockerfile",
      "tags": [
        "x"
      ],
      "output": [
        "type=docker"
      ],
      "no-cache": true
    }
  }
}
"#;
        assert_eq!(text, wanted);
    }
}
