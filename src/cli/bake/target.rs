//! A target of a bake file as the words of `build`.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::cli::pattern::glob;

/// Returns the words.
pub(in crate::cli) fn words(target: &Map<String, Value>) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut context = ".".to_owned();
    for (key, value) in target {
        match key.as_str() {
            "context" => context = text(key, value)?,
            "dockerfile" => words.push(format!("--file={}", text(key, value)?)),
            "target" => words.push(format!("--target={}", text(key, value)?)),
            "network" => words.push(format!("--network={}", text(key, value)?)),
            "shm-size" => words.push(format!("--shm-size={}", text(key, value)?)),
            "tags" => each(&mut words, "--tag", key, value)?,
            "platforms" => each(&mut words, "--platform", key, value)?,
            "output" => each(&mut words, "--output", key, value)?,
            "cache-from" => each(&mut words, "--cache-from", key, value)?,
            "cache-to" => each(&mut words, "--cache-to", key, value)?,
            "secret" => each(&mut words, "--secret", key, value)?,
            "ssh" => each(&mut words, "--ssh", key, value)?,
            "entitlements" => each(&mut words, "--allow", key, value)?,
            "ulimits" => each(&mut words, "--ulimit", key, value)?,
            "no-cache-filter" => each(&mut words, "--no-cache-filter", key, value)?,
            "args" => pairs(&mut words, "--build-arg", '=', key, value)?,
            "labels" => pairs(&mut words, "--label", '=', key, value)?,
            "contexts" => pairs(&mut words, "--build-context", '=', key, value)?,
            "extra-hosts" => pairs(&mut words, "--add-host", ':', key, value)?,
            "no-cache" | "pull" => match value {
                Value::Bool(true) => words.push(format!("--{key}")),
                Value::String(text) if text == "true" => words.push(format!("--{key}")),
                Value::Bool(false) | Value::Null => {}
                Value::String(text) if text == "false" => {}
                _ => bail!("{key} is neither true nor false"),
            },
            "dockerfile-inline" | "description" | "name" => {}
            "attest" => each(&mut words, "--attest", key, value)?,
            "annotations" => each(&mut words, "--annotation", key, value)?,
            "matrix" | "call" | "policy" => {
                bail!("the field {key} is not known here")
            }
            _ => bail!("the field {key} is unknown"),
        }
    }
    // A Dockerfile is looked for in the context, not where bake is called.
    let local = !context.contains("://") && context != "-";
    if local && context != "." {
        for word in &mut words {
            if let Some(file) = word.strip_prefix("--file=").filter(|file| !file.starts_with('/')) {
                *word = format!("--file={}/{file}", context.trim_end_matches('/'));
            }
        }
    }
    words.push(context);
    Ok(words)
}

fn text(key: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        _ => bail!("{key} is not a text"),
    }
}

/// Adds a flag for each of a list.
fn each(words: &mut Vec<String>, flag: &str, key: &str, value: &Value) -> Result<()> {
    words.extend(texts(key, value)?.into_iter().map(|text| format!("{flag}={text}")));
    Ok(())
}

/// Returns the texts of a list; an object is what its flag has as `key=value,…`. Empty ones say nothing: what they
/// are made from had a condition.
pub(super) fn texts(key: &str, value: &Value) -> Result<Vec<String>> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        Value::Null => &[],
        one => std::slice::from_ref(one),
    };
    let texts = values.iter().map(|value| match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok(format!("{name}={}", text(key, value)?)));
            Ok(fields.collect::<Result<Vec<_>>>()?.join(","))
        }
        value => text(key, value),
    });
    let texts = texts.collect::<Result<Vec<_>>>()?;
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}

fn pairs(words: &mut Vec<String>, flag: &str, between: char, key: &str, value: &Value) -> Result<()> {
    let Value::Object(fields) = value else { bail!("{key} is not an object") };
    for (name, value) in fields {
        words.push(match value {
            // As the flag: the environment knows.
            Value::Null => format!("{flag}={name}"),
            value => format!("{flag}={name}{between}{}", text(name, value)?),
        });
    }
    Ok(())
}

/// Splits a `--set pattern.key[.name]=value`; the last says whether it was `+=`.
fn parts(text: &str) -> Result<(&str, &str, &str, bool)> {
    let Some((path, value)) = text.split_once('=') else {
        bail!("ERROR: invalid override {text}, expected target.name=value");
    };
    let (path, adds) = match path.strip_suffix('+') {
        Some(path) => (path, true),
        None => (path, false),
    };
    let Some((pattern, key)) = path.split_once('.') else {
        bail!("ERROR: invalid override key {path}, expected target.name");
    };
    Ok((pattern, key, value, adds))
}

/// Makes sure that every override is one of some target.
pub(super) fn fits_any<'a>(sets: &[String], names: impl Iterator<Item = &'a String>) -> Result<()> {
    let names: Vec<&String> = names.collect();
    for set in sets {
        let (pattern, ..) = parts(set)?;
        if !names.iter().any(|name| glob(pattern, name)) {
            bail!("ERROR: could not find any target matching '{pattern}'");
        }
    }
    Ok(())
}

/// Carries out an override if its pattern fits. Several of one list add up: `touched` has those that were replaced.
pub(super) fn set(
    name: &str,
    target: &mut Map<String, Value>,
    text: &str,
    touched: &mut BTreeSet<String>,
) -> Result<()> {
    let (pattern, key, value, adds) = parts(text)?;
    if !glob(pattern, name) {
        return Ok(());
    }
    if let Some((map, entry)) = key.split_once('.') {
        let fields = target.entry(map).or_insert_with(|| json!({}));
        if let Some(fields) = fields.as_object_mut() {
            fields.insert(entry.to_owned(), value.into());
        }
        return Ok(());
    }
    let key = match key {
        "platform" => "platforms",
        "tag" => "tags",
        "secrets" => "secret",
        "outputs" => "output",
        "push" | "load" => {
            let output = if key == "push" { "type=image,push=true" } else { "type=docker" };
            if value == "true" {
                target.insert("output".to_owned(), json!([output]));
            }
            return Ok(());
        }
        key => key,
    };
    let lists = [
        "tags",
        "platforms",
        "output",
        "cache-from",
        "cache-to",
        "secret",
        "ssh",
        "no-cache-filter",
        "ulimits",
        "attest",
        "annotations",
        "entitlements",
    ];
    if lists.contains(&key) {
        let adds = adds || !touched.insert(key.to_owned());
        let before = target.get(key).and_then(Value::as_array).filter(|_| adds).cloned().unwrap_or_default();
        let values = before.into_iter().chain([Value::from(value)]).collect();
        target.insert(key.to_owned(), Value::Array(values));
    } else if matches!(key, "no-cache" | "pull") {
        target.insert(key.to_owned(), Value::Bool(value == "true" || value == "1"));
    } else {
        target.insert(key.to_owned(), value.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn becomes_words() {
        let target = json!({
            "context": "sub", "dockerfile": "D", "args": { "A": "1", "B": null }, "tags": ["x", "y:1"],
            "platforms": "linux/amd64", "no-cache": true, "secret": [{ "id": "s", "src": "f" }],
        });
        let Value::Object(mut target) = target else { panic!() };
        let mut touched = BTreeSet::new();
        for text in ["a*.args.C=3", "other.tags=z", "*.tags+=w", "*.secrets=id=a", "*.secrets=id=b"] {
            set("app", &mut target, text, &mut touched).unwrap();
        }
        let mut found = words(&target).unwrap();
        assert_eq!(found.pop().as_deref(), Some("sub"));
        found.sort();
        assert_eq!(
            found,
            [
                "--build-arg=A=1",
                "--build-arg=B",
                "--build-arg=C=3",
                "--file=sub/D",
                "--no-cache",
                "--platform=linux/amd64",
                "--secret=id=a",
                "--secret=id=b",
                "--tag=w",
                "--tag=x",
                "--tag=y:1",
            ]
        );
        assert!(words(json!({ "what": 1 }).as_object().unwrap()).is_err());
        assert!(set("app", &mut target, "nonsense", &mut touched).is_err());
        let (sets, names) = (["b*.tags=x".to_owned()], ["app".to_owned()]);
        assert!(fits_any(&sets, names.iter()).is_err());
    }
}
