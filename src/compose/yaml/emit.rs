//! Nodes to text: YAML as go-yaml writes it with an indent of two, and JSON.

use std::fmt::Write as _;

use super::scalar::resolve;
use super::{Node, Value, float_text};

/// Writes a node as a YAML document. Maps are written in the order that they have.
pub(crate) fn emit(node: &Node) -> String {
    let mut out = String::new();
    match &node.value {
        Value::Map(map) if !map.0.is_empty() => block(&mut out, node, 0),
        Value::List(list) if !list.is_empty() => block(&mut out, node, 0),
        _ => {
            inline(&mut out, node, 0);
            out.push('\n');
        }
    }
    out
}

fn block(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Map(map) => {
            for entry in &map.0 {
                let _ = write!(out, "{:indent$}{}:", "", string(&entry.key, indent));
                below(out, &entry.node, indent + 2);
            }
        }
        Value::List(list) => {
            for item in list {
                let _ = write!(out, "{:indent$}-", "");
                match &item.value {
                    Value::Map(map) if !map.0.is_empty() => {
                        // The first key stands beside the dash.
                        let mut inner = String::new();
                        block(&mut inner, item, indent + 2);
                        out.push(' ');
                        out.push_str(inner.trim_start_matches(' '));
                    }
                    Value::List(items) if !items.is_empty() => {
                        let mut inner = String::new();
                        block(&mut inner, item, indent + 2);
                        out.push(' ');
                        out.push_str(inner.trim_start_matches(' '));
                    }
                    _ => {
                        out.push(' ');
                        inline(out, item, indent + 2);
                        out.push('\n');
                    }
                }
            }
        }
        _ => {}
    }
}

fn below(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Map(map) if !map.0.is_empty() => {
            out.push('\n');
            block(out, node, indent);
        }
        Value::List(list) if !list.is_empty() => {
            out.push('\n');
            block(out, node, indent);
        }
        _ => {
            out.push(' ');
            inline(out, node, indent);
            out.push('\n');
        }
    }
}

fn inline(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Float(value) => out.push_str(&float_text(*value)),
        Value::String(text) => out.push_str(&string(text, indent)),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

/// Writes a string: plain where it is read back as itself, in quotes or as a block otherwise.
fn string(text: &str, indent: usize) -> String {
    if text.contains('\n') && text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()) {
        let body = text.trim_end_matches('\n');
        let blank = body.lines().next().is_none_or(|first| first.starts_with(' ') || first.is_empty());
        if !body.is_empty() && !blank && !text.contains(" \n") && !body.contains('\t') {
            let chomp = match text.len() - body.len() {
                0 => "|-",
                1 => "|",
                _ => "|+",
            };
            let mut out = chomp.to_owned();
            let keep = if chomp == "|+" { &text[..text.len() - 1] } else { body };
            for line in keep.split('\n') {
                out.push('\n');
                if !line.is_empty() {
                    let _ = write!(out, "{:indent$}{line}", "");
                }
            }
            return out;
        }
    }
    if text.chars().any(|c| c.is_control() || c == '\u{feff}') {
        return double(text);
    }
    if is_plain(text) {
        return text.to_owned();
    }
    if looks_like_another(text) { double(text) } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Tells whether a plain scalar of this text would be read as something else than a string.
fn looks_like_another(text: &str) -> bool {
    let old_bool = matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    );
    old_bool || !matches!(resolve(text), Value::String(_)) || is_sexagesimal(text) || is_date(text)
}

/// Base 60 of YAML 1.1, which go-yaml still quotes.
fn is_sexagesimal(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = body.split(':');
    let whole = parts.next().unwrap_or_default();
    let rest: Vec<_> = parts.collect();
    !rest.is_empty()
        && whole.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && whole.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && rest.iter().enumerate().all(|(at, part)| {
            let (digits, fraction) = part.split_once('.').unwrap_or((part, ""));
            let last = at + 1 == rest.len();
            (1..=2).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.len() == 1 || digits.as_bytes()[0] < b'6')
                && (last || !part.contains('.'))
                && fraction.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        })
}

fn is_date(text: &str) -> bool {
    let date = text.get(..10).unwrap_or_default().as_bytes();
    date.len() == 10
        && date.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && (text.len() == 10 || text[10..].starts_with(['T', 't', ' ']))
}

fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    if looks_like_another(text) || text.starts_with("---") || text.starts_with("...") {
        return false;
    }
    let second = text[first.len_utf8()..].chars().next();
    let indicator = match first {
        '-' | '?' | ':' => second.is_none_or(|c| c == ' '),
        ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            true
        }
        ' ' => true,
        _ => false,
    };
    !indicator
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text != "<<"
        && text != "="
}

fn double(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{feff}' => out.push_str("\\uFEFF"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Returns a node as JSON, in the order that it has.
pub(crate) fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Float(value) => serde_json::Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::String(text) => Json::String(text.clone()),
        Value::List(list) => Json::Array(list.iter().map(to_json).collect()),
        Value::Map(map) => {
            Json::Object(map.0.iter().map(|entry| (entry.key.clone(), to_json(&entry.node))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        let text = "a:\n  - b: 1\n    c: \"yes\"\n  - - x\n    - \"1\"\nb: null\nc: 'a: b'\nd: |\n  one\n  two\ne: \"22:22\"\n\
                    f: {}\ng: \"\"\nh: $x\ni: '::'\n";
        let node = parse(text, "f").unwrap().remove(0);
        assert_eq!(emit(&node), text);
    }
}
