//! As much YAML as tools write into CDI files: block mappings and sequences, plain and quoted scalars on one line,
//! empty flow collections. Anything else is an error, and the same file can be JSON.

use anyhow::{Result, bail};
use serde_json::{Map, Value};

/// A line with something on it.
#[derive(Debug, Clone)]
struct Line {
    number: usize,
    indent: usize,
    text: String,
}

/// How deep things may lie in each other.
const DEPTH: usize = 32;

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Value> {
    let mut lines: Vec<Line> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bare = line.trim_start_matches(' ');
        if bare.is_empty() || bare.starts_with('#') || bare == "---" || bare.starts_with("%YAML") {
            continue;
        }
        if bare.starts_with('\t') {
            bail!("line {}: a tab stands where spaces should", index + 1);
        }
        lines.push(Line {
            number: index + 1,
            indent: line.len() - bare.len(),
            text: bare.trim_end().to_owned(),
        });
    }
    let mut at = 0;
    let value = if lines.is_empty() { Value::Null } else { block(&mut lines, &mut at, 0)? };
    match lines.get(at) {
        None => Ok(value),
        Some(line) => bail!("line {}: it belongs to nothing above", line.number),
    }
}

/// Reads what begins at line `at`: all that is indented as far.
fn block(lines: &mut Vec<Line>, at: &mut usize, depth: usize) -> Result<Value> {
    let Line { number, indent, text } = lines[*at].clone();
    if depth > DEPTH {
        bail!("line {number}: too deep");
    }
    if text == "-" || text.starts_with("- ") {
        return sequence(lines, at, indent, depth);
    }
    if key(&text).is_none() {
        *at += 1;
        return scalar(&text, number);
    }
    let mut map = Map::new();
    while let Some(line) = lines.get(*at).filter(|line| line.indent == indent).cloned() {
        let Some((name, rest)) = key(&line.text) else { break };
        *at += 1;
        let value = if rest.is_empty() {
            let next = lines.get(*at);
            // A sequence may stand as far left as its key.
            let below = next.is_some_and(|next| {
                next.indent > indent
                    || (next.indent == indent && (next.text == "-" || next.text.starts_with("- ")))
            });
            if below { block(lines, at, depth + 1)? } else { Value::Null }
        } else {
            scalar(rest, line.number)?
        };
        map.insert(name, value);
    }
    Ok(Value::Object(map))
}

fn sequence(lines: &mut Vec<Line>, at: &mut usize, indent: usize, depth: usize) -> Result<Value> {
    let mut items = Vec::new();
    while let Some(line) = lines.get(*at).filter(|line| line.indent == indent).cloned() {
        if line.text == "-" {
            *at += 1;
            let below = lines.get(*at).is_some_and(|next| next.indent > indent);
            items.push(if below { block(lines, at, depth + 1)? } else { Value::Null });
        } else if let Some(rest) = line.text.strip_prefix("- ") {
            // What stands behind the dash begins a block of its own, as far in as it stands.
            let inner = rest.trim_start();
            let indent = line.indent + line.text.len() - inner.len();
            lines[*at] = Line { number: line.number, indent, text: inner.to_owned() };
            items.push(block(lines, at, depth + 1)?);
        } else {
            break;
        }
    }
    Ok(Value::Array(items))
}

/// Splits `key: rest`.
fn key(text: &str) -> Option<(String, &str)> {
    if text.starts_with(['"', '\'']) {
        let quote = text.chars().next()?;
        let end = text[1..].find(quote)? + 1;
        let rest = text[end + 1..].strip_prefix(':')?;
        return (rest.is_empty() || rest.starts_with(' '))
            .then(|| (text[1..end].to_owned(), rest.trim_start()));
    }
    if text.starts_with(['[', '{']) {
        return None;
    }
    let (name, rest) = match text.find(": ") {
        Some(at) => (&text[..at], text[at + 2..].trim_start()),
        None => (text.strip_suffix(':')?, ""),
    };
    // A comment is no value.
    Some((name.to_owned(), if rest.starts_with('#') { "" } else { rest }))
}

fn scalar(text: &str, number: usize) -> Result<Value> {
    match text.chars().next() {
        Some('"') => {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            match values.next() {
                Some(Ok(value)) => return Ok(value),
                _ => bail!("line {number}: the quotes do not fit"),
            }
        }
        Some('\'') => {
            let Some(end) = text.rfind('\'').filter(|end| *end > 0) else {
                bail!("line {number}: the quotes do not fit");
            };
            return Ok(Value::from(text[1..end].replace("''", "'")));
        }
        Some('[' | '{') => {
            return match text {
                "[]" => Ok(Value::Array(Vec::new())),
                "{}" => Ok(Value::Object(Map::new())),
                _ => serde_json::from_str(text)
                    .map_err(|_| anyhow::anyhow!("line {number}: this form of YAML is not read; write JSON")),
            };
        }
        Some('|' | '>' | '&' | '*' | '!' | '@' | '`') => {
            bail!("line {number}: this form of YAML is not read; write JSON")
        }
        _ => {}
    }
    let text = text.split(" #").next().unwrap_or(text).trim_end();
    Ok(match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => match text.parse::<i64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(text),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_tools_write() {
        let text = "---\ncdiVersion: \"0.6.0\" \nkind: nvidia.com/gpu\n# note\ndevices:\n- containerEdits:\n    deviceNodes:\n    \
                    - hostPath: /dev/a\n      path: /dev/b\n    - path: /dev/c\n  name: \"0\"\n-\n  name: all\n\
                    containerEdits:\n  env:\n    - A=b:c\n    - 'it''s'\n  hooks: []\n  n: 5\n  none:\n";
        let wanted = json!({
            "cdiVersion": "0.6.0", "kind": "nvidia.com/gpu",
            "devices": [
                {"containerEdits": {"deviceNodes": [{"hostPath": "/dev/a", "path": "/dev/b"}, {"path": "/dev/c"}]},
                 "name": "0"},
                {"name": "all"},
            ],
            "containerEdits": {"env": ["A=b:c", "it's"], "hooks": [], "n": 5, "none": null},
        });
        assert_eq!(parse(text).unwrap(), wanted);
        for bad in ["a: |\n  b", "a: {b: c}", "a: \"b", "\ta: b", "a: b\n    c: d", "a: &x b"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let deep: Vec<String> = (0..100).map(|n| format!("{:n$}a:", "")).collect();
        assert!(parse(&deep.join("\n")).is_err());
    }
}
