//! Go's text/template language over JSON values: what `--format` speaks.
//!
//! The crates that speak it were tried and found wanting: they reject `slice`, `break` and assignment,
//! print maps in random order and lists as Rust does, and have no policy for missing keys. Scripts depend
//! on all of these.
//!
//! Go's templates run over typed structs, ours over JSON. What a type would tell and JSON does not, a
//! [`Shapes`] says: which keys hold maps (a missing key is then no error) and which hold lists (an absent
//! list then prints as `[]`). Every other object is a struct, and a field it lacks is an error.

mod builtin;
mod eval;
mod lex;
mod parse;
pub(in crate::cli) mod print;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

/// Why a template cannot be parsed or executed, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Error(String);

impl Error {
    fn new(message: String) -> Self {
        Self(message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// What JSON does not tell about the objects of a document.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::cli) struct Shapes {
    /// Keys whose values are maps, with keys of their own choice.
    pub(in crate::cli) maps: &'static [&'static str],
    /// Keys whose values are lists, even when they are null.
    pub(in crate::cli) lists: &'static [&'static str],
    /// Keys whose values have no type: maps all the way down.
    pub(in crate::cli) free: &'static [&'static str],
    /// The Go type of the document, for messages. Without one, the document is called a map.
    pub(in crate::cli) type_name: Option<&'static str>,
}

/// A template that has been parsed.
#[derive(Debug)]
pub(in crate::cli) struct Template {
    text: String,
    list: parse::List,
    definitions: HashMap<String, parse::List>,
}

impl Template {
    /// Parses a template.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, Error> {
        let (list, definitions) = parse::parse(text)?;
        Ok(Self { text: text.to_owned(), list, definitions })
    }

    /// Executes the template over one document.
    pub(in crate::cli) fn render(&self, document: &Value, shapes: &Shapes) -> Result<String, Error> {
        eval::run(self, document, shapes, &eval::Mode::Document)
    }

    /// Executes the template over one document in which JSON has `mediaType` where Go has `MediaType`.
    pub(in crate::cli) fn render_go_names(&self, document: &Value, shapes: &Shapes) -> Result<String, Error> {
        eval::run(self, document, shapes, &eval::Mode::GoNames)
    }

    /// Executes the template over one row of a list, whose `.Label "key"` looks into `labels`.
    pub(in crate::cli) fn render_row(
        &self,
        row: &Value,
        labels: &Map<String, Value>,
        shapes: &Shapes,
    ) -> Result<String, Error> {
        eval::run(self, row, shapes, &eval::Mode::Row(labels))
    }

    /// Executes the template over column heads: functions leave them as they are.
    pub(in crate::cli) fn render_heads(&self, heads: &Value) -> Result<String, Error> {
        eval::run(self, heads, &Shapes::default(), &eval::Mode::Heads)
    }
}
