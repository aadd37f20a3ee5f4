//! What `--format` asks for, and the lists that are printed by it.

pub(in crate::cli) mod moment;
pub(in crate::cli) mod order;
pub(in crate::cli) mod table;
pub(in crate::cli) mod template;
pub(in crate::cli) mod units;

use anyhow::Result;
use serde_json::{Map, Value, json};

use self::template::{Shapes, Template};

/// One line of a list: its fields by their names in templates, and the labels that `.Label` looks into.
#[derive(Debug, Default, Clone)]
pub(in crate::cli) struct Row {
    pub(in crate::cli) fields: Map<String, Value>,
    pub(in crate::cli) labels: Map<String, Value>,
}

/// A kind of list: its columns and what its rows are called in Go.
#[derive(Debug)]
pub(in crate::cli) struct List {
    /// Field names and column heads.
    pub(in crate::cli) heads: &'static [(&'static str, &'static str)],
    /// The Go type of a row, for messages.
    pub(in crate::cli) type_name: &'static str,
    /// The template behind `raw`, if there is one.
    pub(in crate::cli) raw: Option<&'static str>,
}

/// The one list of which Docker says what is wrong with a template in words of its own.
const CONTAINERS: &str = "*formatter.ContainerContext";

impl List {
    /// Renders rows by a format: a template, `table TEMPLATE` or `json`.
    pub(in crate::cli) fn render(&self, format: &str, rows: &[Row]) -> Result<String> {
        let is_table = format.starts_with("table");
        let text = match format {
            "json" => "{{json .}}".to_owned(),
            "raw" if self.raw.is_some() => self.raw.unwrap_or_default().to_owned(),
            format => {
                let text = format.strip_prefix("table").unwrap_or(format).trim_matches(' ');
                text.replace("\\t", "\t").replace("\\n", "\n")
            }
        };
        let other = self.type_name == CONTAINERS;
        let wrong = |error, act: &str| {
            if other {
                anyhow::anyhow!("failed to {act} template: {}", self.error(format, rows).unwrap_or(error))
            } else {
                parsing_error(error)
            }
        };
        let template = Template::parse(&text).map_err(|error| wrong(error, "parse"))?;
        let shapes = Shapes { type_name: Some(self.type_name), ..Shapes::default() };
        let mut out = String::new();
        for row in rows {
            let fields = Value::Object(row.fields.clone());
            if text == "{{json .}}" {
                // Go writes a row of its own, and with these letters escaped.
                let line = fields
                    .to_string()
                    .replace('<', "\\u003c")
                    .replace('>', "\\u003e")
                    .replace('&', "\\u0026");
                out.extend([line.as_str(), "\n"]);
                continue;
            }
            let line = template.render_row(&fields, &row.labels, &shapes);
            out.push_str(&line.map_err(|error| wrong(error, "execute"))?);
            out.push('\n');
        }
        if !is_table {
            return Ok(out);
        }
        let heads = self.heads.iter().map(|(name, head)| ((*name).to_owned(), json!(head))).collect();
        let heads = template.render_heads(&Value::Object(heads)).unwrap_or_default();
        Ok(table::lay_out(&format!("{heads}\n{out}")))
    }

    /// Finds what is wrong with a format as a whole, where the word `table` counts as text.
    fn error(&self, format: &str, rows: &[Row]) -> Option<template::Error> {
        let template = match Template::parse(format) {
            Ok(template) => template,
            Err(error) => return Some(error),
        };
        let shapes = Shapes { type_name: Some(self.type_name), ..Shapes::default() };
        let row = rows.first()?;
        template.render_row(&Value::Object(row.fields.clone()), &row.labels, &shapes).err()
    }
}

/// Parses a template, with Docker's words where it cannot be.
pub(in crate::cli) fn parse(text: &str) -> Result<Template> {
    Template::parse(text).map_err(parsing_error)
}

/// Says what is wrong with a template in Docker's words.
pub(in crate::cli) fn parsing_error(error: template::Error) -> anyhow::Error {
    anyhow::anyhow!("template parsing error: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: List = List {
        heads: &[("ID", "CONTAINER ID"), ("Names", "NAMES")],
        type_name: "*formatter.ContainerContext",
        raw: None,
    };

    fn row(id: &str, names: &str) -> Row {
        let fields = [("ID", id), ("Names", names)];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Row { fields, labels: Map::new() }
    }

    #[test]
    fn renders_tables_templates_and_json() {
        let rows = [row("abc", "web"), row("def", "db")];
        let table = "CONTAINER ID   NAMES\nabc            web\ndef            db\n";
        assert_eq!(LIST.render("table {{.ID}}\\t{{.Names}}", &rows).unwrap(), table);
        assert_eq!(LIST.render("table {{upper .ID}}\t{{.Names}}", &[]).unwrap(), "CONTAINER ID   NAMES\n");
        assert_eq!(LIST.render("{{.ID}}", &rows).unwrap(), "abc\ndef\n");
        assert_eq!(LIST.render("json", &rows[..1]).unwrap(), "{\"ID\":\"abc\",\"Names\":\"web\"}\n");
        let error = LIST.render("{{.X}}", &rows).unwrap_err().to_string();
        assert!(error.starts_with("failed to execute template: template: :1:2: executing"), "{error}");
    }
}
