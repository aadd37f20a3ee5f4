//! Variables in values: `$X`, `${X}`, and every modifier.

use std::collections::BTreeMap;

use super::error::{Problem, problem};
use super::yaml::{Node, Value};

/// How a name is looked up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is learnt on the way.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The variables that have no value and no default.
    pub(crate) unset: Vec<String>,
    /// Every variable, by name.
    pub(crate) variables: BTreeMap<String, Variable>,
}

/// A variable as a file uses it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    /// Whether there is an error if it is missing.
    pub(crate) required: bool,
    /// What it is if it is not set.
    pub(crate) default: String,
    /// What stands in its place if it is set.
    pub(crate) presence: String,
}

/// Why a text cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no template.
    Invalid,
    /// A variable is missing, and this is said of it.
    Required(String, String),
}

/// How deep defaults may lie in each other.
const DEPTH: usize = 50;

/// Completes every string of a tree.
pub(super) fn interpolate(
    node: &mut Node,
    path: &str,
    lookup: Lookup<'_>,
    seen: &mut Seen,
) -> Result<(), Problem> {
    match &mut node.value {
        Value::String(text) if text.contains('$') => match substitute(text, lookup, seen) {
            Ok(done) => *text = done,
            Err(Refusal::Invalid) => {
                return Err(problem(format!(
                    "invalid interpolation format for {path}.\nYou may need to escape any $ with another $.\n\
                     {text}{}",
                    node.at.whole()
                )));
            }
            Err(Refusal::Required(name, reason)) => {
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                return Err(problem(format!(
                    "error while interpolating {path}: required variable {name} is missing a value{reason}{}",
                    node.at.whole()
                )));
            }
        },
        Value::List(list) => {
            for (at, item) in list.iter_mut().enumerate() {
                interpolate(item, &format!("{path}.{at}"), lookup, seen)?;
            }
        }
        Value::Map(map) => {
            for entry in &mut map.0 {
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                interpolate(&mut entry.node, &path, lookup, seen)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Completes one text.
pub(super) fn substitute(text: &str, lookup: Lookup<'_>, seen: &mut Seen) -> Result<String, Refusal> {
    deep(text, lookup, seen, 0)
}

fn deep(text: &str, lookup: Lookup<'_>, seen: &mut Seen, depth: usize) -> Result<String, Refusal> {
    if depth > DEPTH {
        return Err(Refusal::Invalid);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or(Refusal::Invalid)?;
            out.push_str(&braced(&after[..end], lookup, seen, depth)?);
            rest = &after[end + 1..];
        } else {
            let name = name_of(rest);
            if name.is_empty() {
                // One that stands before no name is a character like any other: `$(pwd)`, `$1`.
                out.push('$');
            } else {
                out.push_str(&plain(name, lookup, seen));
            }
            rest = &rest[name.len()..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Returns where the brace that is open closes.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn name_of(text: &str) -> &str {
    let letter = |byte: u8| byte == b'_' || byte.is_ascii_alphabetic();
    if !text.bytes().next().is_some_and(letter) {
        return "";
    }
    let end = text.bytes().position(|byte| !letter(byte) && !byte.is_ascii_digit());
    &text[..end.unwrap_or(text.len())]
}

fn plain(name: &str, lookup: Lookup<'_>, seen: &mut Seen) -> String {
    seen.variables.entry(name.to_owned()).or_default();
    lookup(name).unwrap_or_else(|| {
        if !seen.unset.iter().any(|unset| unset == name) {
            seen.unset.push(name.to_owned());
        }
        String::new()
    })
}

fn braced(text: &str, lookup: Lookup<'_>, seen: &mut Seen, depth: usize) -> Result<String, Refusal> {
    let name = name_of(text);
    if name.is_empty() {
        return Err(Refusal::Invalid);
    }
    let rest = &text[name.len()..];
    if rest.is_empty() {
        return Ok(plain(name, lookup, seen));
    }
    let (empty_counts, operator, word) = match rest.strip_prefix(':') {
        Some(rest) => (false, rest.chars().next(), rest.get(1..)),
        None => (true, rest.chars().next(), rest.get(1..)),
    };
    let (Some(operator), Some(word)) = (operator, word) else { return Err(Refusal::Invalid) };
    let value = lookup(name).filter(|value| empty_counts || !value.is_empty());
    let known = seen.variables.entry(name.to_owned()).or_default();
    match operator {
        '-' => {
            word.clone_into(&mut known.default);
            value.map_or_else(|| deep(word, lookup, seen, depth + 1), Ok)
        }
        '+' => {
            word.clone_into(&mut known.presence);
            value.map_or_else(|| Ok(String::new()), |_| deep(word, lookup, seen, depth + 1))
        }
        '?' => {
            known.required = true;
            match value {
                Some(value) => Ok(value),
                None => Err(Refusal::Required(name.to_owned(), deep(word, lookup, seen, depth + 1)?)),
            }
        }
        _ => Err(Refusal::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, Refusal> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        substitute(text, &lookup, &mut Seen::default())
    }

    #[test]
    fn knows_every_modifier() {
        for (text, done) in [
            ("x", "x"),
            ("$A-${A}", "a-a"),
            ("$$A", "$A"),
            ("$$$A", "$a"),
            ("$A.b", "a.b"),
            ("${N:-d}", "d"),
            ("${N-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${A:+r}", "r"),
            ("${A+r}", "r"),
            ("${EMPTY:+r}", ""),
            ("${EMPTY+r}", "r"),
            ("${N+r}", ""),
            ("${A:?e}", "a"),
            ("${EMPTY?e}", ""),
            ("${N:-${A}}", "a"),
            ("${N:-${M:-${A}x}y}", "axy"),
            ("${N:-a:b-c?d}", "a:b-c?d"),
            ("${N}", ""),
            ("${A:-}", "a"),
            ("${N:-$$}", "$"),
            ("$(A) $1 a$ $", "$(A) $1 a$ $"),
        ] {
            assert_eq!(with(text).as_deref(), Ok(done), "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in ["${", "${}", "${A", "${A!}", "${1}", "${A:}", "${ A}"] {
            assert_eq!(with(text), Err(Refusal::Invalid), "{text}");
        }
        let required = |name: &str, why: &str| Err(Refusal::Required(name.to_owned(), why.to_owned()));
        assert_eq!(with("${N:?no $A}"), required("N", "no a"));
        assert_eq!(with("${EMPTY:?}"), required("EMPTY", ""));
        let deep = format!("{}x{}", "${N:-".repeat(500), "}".repeat(500));
        assert_eq!(with(&deep), Err(Refusal::Invalid));
    }

    #[test]
    fn tells_what_it_has_seen() {
        let mut seen = Seen::default();
        substitute("$X ${Y:-d} ${Z:+p}", &|_| None, &mut seen).unwrap();
        assert_eq!(seen.unset, ["X"]);
        assert_eq!(seen.variables["Y"].default, "d");
        assert_eq!(seen.variables["Z"].presence, "p");
    }
}
