//! `--filter key=value`: one key's values widen what is shown, several keys narrow it.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use super::report::response;

/// Reads one `--filter`.
pub(super) fn parse_filter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_owned())),
        None => Err("bad format of filter (expected name=value)".to_owned()),
    }
}

/// The filters of a list.
#[derive(Debug, Default)]
pub(super) struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Puts filters together. A key that is not among `known` is an error.
    pub(super) fn new(given: &[(String, String)], known: &[&str]) -> Result<Self> {
        let mut filters = Self::default();
        for (key, value) in given {
            if !known.contains(&key.as_str()) {
                return Err(response(anyhow!("invalid filter '{key}'")));
            }
            filters.0.entry(key.clone()).or_default().push(value.clone());
        }
        Ok(filters)
    }

    /// Returns the values of a key.
    pub(super) fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Tells whether anything is filtered.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether a key is not filtered, or one of its values fits.
    pub(super) fn any(&self, key: &str, fits: impl Fn(&str) -> bool) -> bool {
        let values = self.values(key);
        values.is_empty() || values.iter().any(|value| fits(value))
    }

    /// Tells whether all labels asked for are there: `key` or `key=value`.
    pub(super) fn labels<'a>(&self, find: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.values("label").iter().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => find(key) == Some(value),
            None => find(wanted).is_some(),
        })
    }

    /// Says that a value can be none of its key.
    pub(super) fn invalid(key: &str, value: &str) -> anyhow::Error {
        response(anyhow!("invalid filter '{key}={value}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widens_and_narrows() {
        let given = ["name=a", "name=b", "label=x=1", "label=y"].map(|text| parse_filter(text).unwrap());
        let filters = Filters::new(&given, &["name", "label"]).unwrap();
        assert!(filters.any("name", |value| value == "b") && !filters.any("name", |value| value == "c"));
        assert!(filters.any("status", |_| false));
        let labels = |key: &str| match key {
            "x" => Some("1"),
            "y" => Some(""),
            _ => None,
        };
        assert!(filters.labels(labels));
        assert!(!filters.labels(|key| (key == "x").then_some("1")));
        let error = Filters::new(&given, &["name"]).unwrap_err().to_string();
        assert_eq!(error, "Error response from daemon: invalid filter 'label'");
        assert!(parse_filter("bare").is_err());
    }
}
