//! YAML as a tree that knows where each part stands in its file.
//!
//! ```text
//! text ─parse→ Node ─(interpolate, merge, shape)→ Node ─emit→ text
//! ```
//!
//! Scalars are read by the rules of go-yaml v3, which Docker Compose is written with: `yes` and `22:22` are
//! strings, `0644` is octal.

mod emit;
mod parse;
mod scalar;

use std::fmt;
use std::sync::Arc;

pub(crate) use emit::{emit, to_json};
pub(crate) use parse::parse;
pub(crate) use scalar::float_text;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The file.
    pub(crate) file: Arc<str>,
    /// Counted from 1; 0: it stands in no file.
    pub(crate) line: usize,
    /// Counted from 1.
    pub(crate) column: usize,
}

impl Mark {
    /// Marks what stands in no file.
    pub(crate) fn nowhere() -> Self {
        Self { file: Arc::from(""), line: 0, column: 0 }
    }

    /// Says the place within a file that is named already; nothing if there is none.
    pub(crate) fn within(&self) -> String {
        match self.line {
            0 => String::new(),
            line => format!(" (line {line}, column {})", self.column),
        }
    }

    /// Says the whole place; nothing if there is none.
    pub(crate) fn whole(&self) -> String {
        match self.line {
            0 => String::new(),
            line => format!(" ({}, line {line}, column {})", self.file, self.column),
        }
    }
}

/// What a tag says of merging.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Nothing.
    #[default]
    None,
    /// `!reset`: what it lies over is taken away.
    Reset,
    /// `!override`: it comes in place of what it lies over.
    Override,
}

/// A part of a document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// Where it stands.
    pub(crate) at: Mark,
    /// What its tag says.
    pub(crate) tag: Tag,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    List(Vec<Node>),
    Map(Map),
}

impl PartialEq for Node {
    /// Nodes are the same if they say the same, wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// Makes a node that stands where another does.
    pub(crate) fn new(value: Value, at: &Mark) -> Self {
        Self { value, at: at.clone(), tag: Tag::None }
    }

    /// Makes a string.
    pub(crate) fn string(text: impl Into<String>, at: &Mark) -> Self {
        Self::new(Value::String(text.into()), at)
    }

    /// Makes an empty map.
    pub(crate) fn map(at: &Mark) -> Self {
        Self::new(Value::Map(Map::default()), at)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// Returns what a map has under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// Returns the text that a map has under a key.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Returns a scalar as text, in Go's words; `None` for anything else.
    pub(crate) fn scalar(&self) -> Option<String> {
        Some(match &self.value {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => float_text(*value),
            Value::String(text) => text.clone(),
            Value::Null | Value::List(_) | Value::Map(_) => return None,
        })
    }
}

/// A map that keeps the order of its file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map(pub(crate) Vec<Entry>);

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) at: Mark,
    /// The value.
    pub(crate) node: Node,
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|entry| other.get(&entry.key).is_some_and(|node| *node == entry.node))
    }
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// Sets a key, in its place if it is there.
    pub(crate) fn set(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(present) => *present = node,
            None => self.0.push(Entry { key: key.to_owned(), at: node.at.clone(), node }),
        }
    }

    /// Sets a key that is not there.
    pub(crate) fn add(&mut self, key: &str, node: impl FnOnce() -> Node) {
        if self.get(key).is_none() {
            self.set(key, node());
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.remove(at).node)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| entry.key.as_str())
    }
}

/// What is wrong with a document.
#[derive(Debug, Clone)]
pub(crate) struct Bad {
    pub(crate) message: String,
    pub(crate) at: Mark,
}

impl fmt::Display for Bad {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.line {
            0 => write!(to, "{}: yaml: {}", self.at.file, self.message),
            line => {
                write!(to, "{}: yaml: line {line}, column {}: {}", self.at.file, self.at.column, self.message)
            }
        }
    }
}

impl std::error::Error for Bad {}
