//! What a part of a file must look like, and its canonical form.
//!
//! One table ([`super::schema`]) says for each key what may stand there. Laid over a tree it refuses what is
//! wrong, with its path and place, and turns every short form into the long one, every size into bytes,
//! every relative path into an absolute one. Trees in canonical form are merged, compared and printed.

use std::path::{Path, PathBuf};

use super::error::{Problem, problem};
use super::units;
use super::yaml::{Entry, Map, Mark, Node, Tag, Value};

/// What may stand somewhere.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// A string.
    Str,
    /// A scalar, as a string.
    Text,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Num,
    /// A size, as the digits of its bytes.
    Bytes,
    /// A time, as Go writes it.
    Duration,
    /// A path of this machine.
    Path,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// A list, or one thing that would stand in it.
    OneOrMore(&'static Shape),
    /// A command line: a string in the words of a shell, or a list.
    Command,
    /// `KEY=value` lines or a map; without a value: null.
    Mapping,
    /// `KEY=value` lines or a map; without a value: empty.
    Labels,
    /// A map with any keys.
    Map(&'static Shape),
    /// A map whose keys are names of things in the project.
    Names(&'static Shape),
    /// A map with these keys, in the order in which they are printed.
    Object(&'static [(&'static str, Shape)]),
    /// What a function makes of it, as it is.
    Kept(Expand),
    /// Something that a function brings into the form that follows.
    Short(Expand, &'static Shape),
}

/// Turns a short form into the long one.
pub(super) type Expand = fn(&Node, &Place<'_>) -> Result<Node, Problem>;

/// Where paths of a file lead, and how strictly it is read.
#[derive(Debug)]
pub(super) struct Reading {
    /// The file, as it is named in complaints.
    pub(super) file: String,
    /// What relative paths are relative to.
    pub(super) base: PathBuf,
    /// Whether they are made absolute.
    pub(super) resolve_paths: bool,
    /// Whether variables are left as they are, so that what holds one can be anything.
    pub(super) raw: bool,
}

/// A place in a tree.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) reading: &'a Reading,
    /// `services.web.ports.0`
    pub(super) path: String,
}

impl<'a> Place<'a> {
    fn below(&self, key: &str) -> Place<'a> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Place { reading: self.reading, path }
    }

    /// Says what is wrong here.
    pub(super) fn refuse(&self, at: &Mark, what: &str) -> Problem {
        let path = if self.path.is_empty() { "(root)" } else { &self.path };
        problem(format!("validating {}: {path} {what}{}", self.reading.file, at.within()))
    }

    /// Returns a path as an absolute one.
    pub(super) fn absolute(&self, path: &str) -> String {
        if !self.reading.resolve_paths || self.is_open(path) {
            return path.to_owned();
        }
        absolute(&self.reading.base, path)
    }

    /// Tells whether a text holds variables that are to stay.
    pub(super) fn is_open(&self, text: &str) -> bool {
        self.reading.raw && text.contains('$')
    }
}

/// Makes a path absolute, with `~` for the home directory. One that is absolute stays as it is, also one of Windows,
/// of which Docker's client knows, too.
pub(super) fn absolute(base: &Path, path: &str) -> String {
    if path.starts_with('/') || is_of_windows(path) {
        return path.to_owned();
    }
    let home = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let joined = match (home, std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest.trim_start_matches('/')),
        _ => base.join(path),
    };
    clean(&joined)
}

/// Tells whether a path begins with a drive.
fn is_of_windows(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
}

/// Leaves out what is an empty text, most often of a variable that is not set: it says as much as nothing.
pub(super) fn drop_blank(node: &mut Node, shape: &Shape) {
    let is_text = |shape: &Shape| match shape {
        Shape::Str | Shape::Text => true,
        Shape::Short(_, inner) => matches!(inner, Shape::Str),
        _ => false,
    };
    match (shape, &mut node.value) {
        (Shape::Short(_, inner), _) => drop_blank(node, inner),
        (Shape::Object(keys), Value::Map(map)) => {
            let of = |key: &str| keys.iter().find(|(known, _)| *known == key).map(|(_, shape)| shape);
            map.0.retain(|entry| entry.node.as_str() != Some("") || !of(&entry.key).is_some_and(is_text));
            for entry in &mut map.0 {
                if let Some(inner) = of(&entry.key) {
                    drop_blank(&mut entry.node, inner);
                }
            }
        }
        (Shape::Map(inner) | Shape::Names(inner), Value::Map(map)) => {
            for entry in &mut map.0 {
                drop_blank(&mut entry.node, inner);
            }
        }
        (Shape::List(inner) | Shape::OneOrMore(inner), Value::List(list)) => {
            for item in list {
                drop_blank(item, inner);
            }
        }
        _ => {}
    }
}

/// Takes `.` and `..` out of a path, by its words alone.
pub(super) fn clean(path: &Path) -> String {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !out.pop() && !path.is_absolute() {
                    out.push("..");
                }
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    if out.as_os_str().is_empty() { ".".to_owned() } else { out.to_string_lossy().into_owned() }
}

/// Brings a tree into canonical form.
pub(super) fn canonical(node: &Node, shape: &Shape, place: &Place<'_>) -> Result<Node, Problem> {
    if node.tag == Tag::Reset {
        return Ok(node.clone());
    }
    let mut done = form(node, shape, place)?;
    done.tag = node.tag;
    Ok(done)
}

fn form(node: &Node, shape: &Shape, place: &Place<'_>) -> Result<Node, Problem> {
    let at = &node.at;
    let refuse = |what: &str| Err(place.refuse(at, what));
    let open = node.as_str().is_some_and(|text| place.is_open(text));
    let value = match shape {
        Shape::Any => return Ok(node.clone()),
        Shape::Kept(_) if open => return Ok(node.clone()),
        Shape::Kept(expand) => return expand(node, place),
        Shape::Short(_, shape) if open && !matches!(shape, Shape::Object(_)) => return Ok(node.clone()),
        Shape::Short(expand, shape) => {
            let long = expand(node, place)?;
            return form(&long, shape, place);
        }
        Shape::Str => match &node.value {
            Value::String(_) => return Ok(node.clone()),
            _ => return refuse("must be a string"),
        },
        Shape::Text => match node.scalar() {
            Some(text) => Value::String(text),
            None => return refuse("must be a string"),
        },
        _ if open => return Ok(node.clone()),
        Shape::Bool => match boolean(node) {
            Some(value) => Value::Bool(value),
            None => return refuse("must be a boolean"),
        },
        Shape::Int => match integer(node) {
            Some(value) => Value::Int(value),
            None => return refuse("must be a integer"),
        },
        Shape::Num => match number(node) {
            Some(value) => value,
            None => return refuse("must be a number"),
        },
        Shape::Bytes => {
            let Some(text) = node.scalar() else { return refuse("must be a string") };
            match units::bytes(&text) {
                Some(bytes) => Value::String(bytes.to_string()),
                None => return refuse(&format!("invalid size: '{text}'")),
            }
        }
        Shape::Duration => {
            let Some(text) = node.as_str() else { return refuse("must be a string") };
            match units::duration(text) {
                Some(time) => Value::String(units::duration_text(time)),
                None => return refuse(&format!("time: invalid duration {text:?}")),
            }
        }
        Shape::Path => match node.as_str() {
            Some(path) => Value::String(place.absolute(path)),
            None => return refuse("must be a string"),
        },
        Shape::Enum(words) => match node.as_str() {
            Some(word) if words.contains(&word) => return Ok(node.clone()),
            Some(_) => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                return refuse(&format!("must be one of the following: {}", words.join(", ")));
            }
            None => return refuse("must be a string"),
        },
        Shape::List(inner) => match &node.value {
            Value::List(list) => Value::List(items(list, inner, place)?),
            _ => return refuse("must be a list"),
        },
        Shape::OneOrMore(inner) => match &node.value {
            Value::List(list) => Value::List(items(list, inner, place)?),
            Value::Map(_) if !matches!(inner, Shape::Object(_) | Shape::Short(..)) => {
                return refuse("must be a string or a list");
            }
            _ => Value::List(vec![canonical(node, inner, place)?]),
        },
        Shape::Command => match &node.value {
            Value::List(list) => Value::List(items(list, &Shape::Text, place)?),
            Value::String(text) => match units::words(text) {
                Some(words) => Value::List(words.into_iter().map(|word| Node::string(word, at)).collect()),
                None => return refuse(&format!("invalid command line string: {text:?}")),
            },
            _ => return refuse("must be a string or a list"),
        },
        Shape::Mapping | Shape::Labels => {
            return mapping(node, matches!(shape, Shape::Labels), place);
        }
        Shape::Map(inner) | Shape::Names(inner) => {
            let Value::Map(map) = &node.value else { return refuse("must be a mapping") };
            let mut done = Map::default();
            for entry in &map.0 {
                let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                let bad = entry.key.is_empty() || !entry.key.chars().all(good);
                if matches!(shape, Shape::Names(_)) && bad && !entry.key.starts_with("x-") {
                    return Err(unknown(place, entry));
                }
                let node = if entry.node.is_null() && matches!(shape, Shape::Map(_)) {
                    match inner {
                        Shape::Text | Shape::Str => Node::string("", &entry.node.at),
                        _ => entry.node.clone(),
                    }
                } else {
                    canonical(&entry.node, inner, &place.below(&entry.key))?
                };
                done.0.push(Entry { node, ..entry.clone() });
            }
            Value::Map(done)
        }
        Shape::Object(keys) => {
            let Value::Map(map) = &node.value else { return refuse("must be a mapping") };
            let mut done = Map::default();
            for entry in &map.0 {
                let Some((_, inner)) = keys.iter().find(|(key, _)| *key == entry.key) else {
                    if entry.key.starts_with("x-") {
                        done.0.push(entry.clone());
                        continue;
                    }
                    return Err(unknown(place, entry));
                };
                // Nothing is as good as absent, unless it is said to take something away.
                if entry.node.is_null() && entry.node.tag == Tag::None && !matches!(inner, Shape::Any) {
                    continue;
                }
                let node = canonical(&entry.node, inner, &place.below(&entry.key))?;
                done.0.push(Entry { node, ..entry.clone() });
            }
            Value::Map(done)
        }
    };
    Ok(Node::new(value, at))
}

fn unknown(place: &Place<'_>, entry: &Entry) -> Problem {
    place.refuse(&entry.at, &format!("additional properties '{}' not allowed", entry.key))
}

fn items(list: &[Node], inner: &Shape, place: &Place<'_>) -> Result<Vec<Node>, Problem> {
    list.iter().enumerate().map(|(at, item)| canonical(item, inner, &place.below(&at.to_string()))).collect()
}

fn mapping(node: &Node, labels: bool, place: &Place<'_>) -> Result<Node, Problem> {
    let mut done = Map::default();
    match &node.value {
        Value::Map(map) => {
            for entry in &map.0 {
                let value = if entry.node.tag == Tag::Reset {
                    entry.node.clone()
                } else if entry.node.is_null() {
                    if labels { Node::string("", &entry.node.at) } else { entry.node.clone() }
                } else {
                    let below = place.below(&entry.key);
                    canonical(&entry.node, &Shape::Text, &below)?
                };
                done.0.push(Entry { node: value, ..entry.clone() });
            }
        }
        Value::List(list) => {
            for (at, item) in list.iter().enumerate() {
                let below = place.below(&at.to_string());
                let text = item.as_str().ok_or_else(|| below.refuse(&item.at, "must be a string"))?;
                match text.split_once('=') {
                    Some((key, value)) => done.set(key, Node::string(value, &item.at)),
                    None if labels => done.set(text, Node::string("", &item.at)),
                    None => done.set(text, Node::new(Value::Null, &item.at)),
                }
            }
        }
        _ => return Err(place.refuse(&node.at, "must be a mapping")),
    }
    Ok(Node::new(Value::Map(done), &node.at))
}

fn boolean(node: &Node) -> Option<bool> {
    match &node.value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "y" | "yes" | "on" | "1" => Some(true),
            "false" | "n" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(node: &Node) -> Option<i64> {
    match &node.value {
        Value::Int(value) => Some(*value),
        #[allow(clippy::cast_possible_truncation, reason = "it is seen to be whole and small")]
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn number(node: &Node) -> Option<Value> {
    match &node.value {
        Value::Int(value) => Some(Value::Int(*value)),
        Value::Float(value) => Some(Value::Float(*value)),
        Value::String(text) => match text.parse::<i64>() {
            Ok(value) => Some(Value::Int(value)),
            Err(_) => text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Value::Float),
        },
        _ => None,
    }
}

/// How keys are compared that no table orders.
pub(super) type Compare = fn(&str, &str) -> std::cmp::Ordering;

/// Puts the keys of a tree into the order in which they are printed: that of the tables, else that of `compare`.
pub(super) fn arrange(node: &mut Node, shape: &Shape, compare: Compare) {
    match (shape, &mut node.value) {
        (Shape::Short(_, inner), _) => arrange(node, inner, compare),
        (Shape::Kept(_), _) => {}
        (Shape::Object(keys), Value::Map(map)) => {
            let rank = |key: &str| keys.iter().position(|(known, _)| *known == key).unwrap_or(keys.len());
            map.0.sort_by(|a, b| rank(&a.key).cmp(&rank(&b.key)).then_with(|| compare(&a.key, &b.key)));
            for entry in &mut map.0 {
                let inner = keys.iter().find(|(key, _)| *key == entry.key);
                arrange(&mut entry.node, inner.map_or(&Shape::Any, |(_, inner)| inner), compare);
            }
        }
        (Shape::Map(inner) | Shape::Names(inner), Value::Map(map)) => {
            map.0.sort_by(|a, b| compare(&a.key, &b.key));
            for entry in &mut map.0 {
                arrange(&mut entry.node, inner, compare);
            }
        }
        (Shape::List(inner) | Shape::OneOrMore(inner), Value::List(list)) => {
            for item in list.iter_mut() {
                arrange(item, inner, compare);
            }
        }
        (_, Value::Map(map)) => {
            map.0.sort_by(|a, b| compare(&a.key, &b.key));
            for entry in &mut map.0 {
                arrange(&mut entry.node, &Shape::Any, compare);
            }
        }
        (_, Value::List(list)) => {
            for item in list.iter_mut() {
                arrange(item, &Shape::Any, compare);
            }
        }
        _ => {}
    }
}

/// Compares keys as go-yaml orders them: numbers in them by their values.
pub(super) fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut digits = false;
    for at in 0..a.len().min(b.len()) {
        if a[at] == b[at] {
            digits = a[at].is_ascii_digit();
            continue;
        }
        let (left, right) = (a[at].is_alphabetic(), b[at].is_alphabetic());
        if left && right {
            return a[at].cmp(&b[at]);
        }
        if left || right {
            // A letter comes before a digit that goes on with a number, and after anything else.
            return if left == digits { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater };
        }
        let significant = (a[at] == '0' || b[at] == '0')
            && a[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
        let number = |text: &[char]| {
            let run: Vec<u64> = text[at..].iter().map_while(|c| c.to_digit(10).map(u64::from)).collect();
            let start = u64::from(significant);
            (run.iter().fold(start, |sum, digit| sum.saturating_mul(10).saturating_add(*digit)), run.len())
        };
        return number(&a).cmp(&number(&b)).then_with(|| a[at].cmp(&b[at]));
    }
    a.len().cmp(&b.len())
}
