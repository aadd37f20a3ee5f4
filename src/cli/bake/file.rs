//! The files of `bake`: JSON as `docker-bake.json` has it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// The files that are looked for, in this order; all that are there count.
const USUAL: &[&str] = &["docker-bake.json", "docker-bake.override.json"];
/// Fields whose values are maps, which are merged.
const MAPS: &[&str] = &["args", "labels", "contexts", "extra-hosts"];

/// All files as one.
#[derive(Debug, Default)]
pub(super) struct File {
    groups: BTreeMap<String, Vec<String>>,
    targets: BTreeMap<String, Map<String, Value>>,
}

/// Reads files; the usual ones if none is named.
pub(super) fn read(paths: &[String]) -> Result<File> {
    let mut texts = Vec::new();
    for path in paths {
        let mut text = String::new();
        if path == "-" {
            std::io::stdin().read_to_string(&mut text).context("ERROR: read standard input")?;
        } else {
            text = fs::read_to_string(path).with_context(|| format!("ERROR: open {path}"))?;
        }
        texts.push((path.as_str(), text));
    }
    if paths.is_empty() {
        texts.extend(USUAL.iter().filter_map(|path| Some((*path, fs::read_to_string(path).ok()?))));
        if texts.is_empty() {
            bail!("ERROR: couldn't find a bake definition: there is none of {}", USUAL.join(", "));
        }
    }
    let mut file = File::default();
    let mut variables = BTreeMap::new();
    let mut documents = Vec::new();
    for (path, text) in &texts {
        let document: Map<String, Value> = serde_json::from_str(text)
            .with_context(|| format!("ERROR: parse {path}: bake files are read as JSON here"))?;
        for (name, variable) in document.get("variable").and_then(Value::as_object).into_iter().flatten() {
            let default = match variable.get("default") {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            };
            variables.insert(name.clone(), default);
        }
        documents.push(document);
    }
    // The environment counts more than defaults, for names that are declared.
    for (name, value) in &mut variables {
        if let Ok(given) = std::env::var(name) {
            *value = given;
        }
    }
    for document in documents {
        file.add(document, &variables)?;
    }
    Ok(file)
}

impl File {
    fn add(&mut self, document: Map<String, Value>, variables: &BTreeMap<String, String>) -> Result<()> {
        for (key, value) in document {
            match (key.as_str(), value) {
                ("group", Value::Object(groups)) => {
                    for (name, group) in groups {
                        let targets = group.get("targets").and_then(Value::as_array).into_iter().flatten();
                        let targets = targets.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
                        self.groups.insert(name, targets);
                    }
                }
                ("target", Value::Object(targets)) => {
                    for (name, target) in targets {
                        let Value::Object(fields) = interpolate(target, variables)? else {
                            bail!("ERROR: target {name} is not an object");
                        };
                        merge(self.targets.entry(name).or_default(), fields);
                    }
                }
                ("variable", Value::Object(_)) => {}
                (other, _) => bail!("ERROR: unknown block {other:?} in a bake file"),
            }
        }
        Ok(())
    }

    /// Returns the targets that names of targets and groups mean.
    pub(super) fn expand(&self, names: &[String]) -> Result<Vec<String>> {
        let mut out = Vec::new();
        let mut open: Vec<(String, usize)> = names.iter().rev().map(|name| (name.clone(), 0)).collect();
        while let Some((name, depth)) = open.pop() {
            if depth > 16 {
                bail!("ERROR: groups nest without end at {name}");
            }
            if let Some(members) = self.groups.get(&name) {
                open.extend(members.iter().rev().map(|member| (member.clone(), depth + 1)));
            } else if self.targets.contains_key(&name) {
                if !out.contains(&name) {
                    out.push(name);
                }
            } else if name == "default" && self.groups.is_empty() {
                bail!("ERROR: failed to find target default: name one of {:?}", self.targets.keys());
            } else {
                bail!("ERROR: failed to find target {name}");
            }
        }
        Ok(out)
    }

    /// Returns a target with all that it inherits.
    pub(super) fn target(&self, name: &str) -> Result<Map<String, Value>> {
        self.inherited(name, 0)
    }

    fn inherited(&self, name: &str, depth: usize) -> Result<Map<String, Value>> {
        let own = self.targets.get(name).with_context(|| format!("ERROR: failed to find target {name}"))?;
        if depth > 16 {
            bail!("ERROR: targets inherit without end at {name}");
        }
        let mut target = Map::new();
        for parent in own.get("inherits").and_then(Value::as_array).into_iter().flatten() {
            merge(&mut target, self.inherited(parent.as_str().unwrap_or_default(), depth + 1)?);
        }
        merge(&mut target, own.clone());
        target.remove("inherits");
        Ok(target)
    }
}

fn merge(target: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (key, value) in fields {
        match (target.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) if MAPS.contains(&key.as_str()) => {
                known.extend(more);
            }
            (_, value) => {
                target.insert(key, value);
            }
        }
    }
}

/// Replaces `${NAME}`.
fn interpolate(value: Value, variables: &BTreeMap<String, String>) -> Result<Value> {
    Ok(match value {
        Value::String(text) => Value::String(replace(&text, variables)?),
        Value::Array(values) => Value::Array(
            values.into_iter().map(|value| interpolate(value, variables)).collect::<Result<_>>()?,
        ),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| Ok((key, interpolate(value, variables)?)))
                .collect::<Result<_>>()?,
        ),
        other => other,
    })
}

fn replace(text: &str, variables: &BTreeMap<String, String>) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, behind) = (&rest[..at], &rest[at + 2..]);
        if let Some(escaped) = before.strip_suffix('$') {
            // `$${` is not replaced.
            out.push_str(escaped);
            out.push_str("${");
            rest = behind;
            continue;
        }
        out.push_str(before);
        let Some((name, more)) = behind.split_once('}') else { bail!("ERROR: no closing brace in {text:?}") };
        match variables.get(name.trim()) {
            Some(value) => out.push_str(value),
            None => bail!("ERROR: variable {name:?} is not declared; functions are not known in {text:?}"),
        }
        rest = more;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inherits_and_replaces() {
        let mut file = File::default();
        let document = json!({
            "variable": { "TAG": { "default": "1" } },
            "group": { "default": { "targets": ["app", "all"] }, "all": { "targets": ["app", "db"] } },
            "target": {
                "base": { "args": { "A": "1", "B": "2" }, "context": "." },
                "app": { "inherits": ["base"], "args": { "B": "3" }, "tags": ["app:${TAG}", "$${x}"] },
                "db": {},
            },
        });
        let Value::Object(document) = document else { panic!() };
        file.add(document, &[("TAG".to_owned(), "7".to_owned())].into()).unwrap();
        assert_eq!(file.expand(&["default".to_owned()]).unwrap(), ["app", "db"]);
        let app = Value::Object(file.target("app").unwrap());
        assert_eq!(app, json!({ "args": { "A": "1", "B": "3" }, "context": ".", "tags": ["app:7", "${x}"] }));
        assert!(file.expand(&["nothing".to_owned()]).is_err());
        assert!(replace("${f(x)}", &BTreeMap::new()).is_err());
    }
}
