//! `--filter key=value`: one key's values widen what is shown, several keys narrow it.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use super::report::response;

/// Reads one `--filter`.
pub(super) fn parse_filter(text: &str) -> Result<(String, String), String> {
    // `label!=x` is the key `label!`.
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

    /// Tells whether none of the labels of `label!` is there.
    pub(super) fn no_labels<'a>(&self, find: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.values("label!").iter().any(|wanted| match wanted.split_once('=') {
            Some((key, value)) => find(key) == Some(value),
            None => find(wanted).is_some(),
        })
    }

    /// Returns the truth value of a key, if it has one; the last of several counts.
    pub(super) fn truth(&self, key: &str) -> Result<Option<bool>> {
        let mut truth = None;
        for value in self.values(key) {
            truth = Some(match value.as_str() {
                "1" | "t" | "true" | "True" | "TRUE" => true,
                "0" | "f" | "false" | "False" | "FALSE" => false,
                // Docker tells of all values of such a key, as Go prints a list.
                _ => return Err(Self::invalid(key, &format!("[{}]", self.values(key).join(" ")))),
            });
        }
        Ok(truth)
    }

    /// Says that a value is no time.
    pub(super) fn no_time(value: &str) -> anyhow::Error {
        response(anyhow!("failed to parse value as time or duration: {value:?}"))
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
        let given = ["label!=x=1", "dangling=1"].map(|text| parse_filter(text).unwrap());
        let filters = Filters::new(&given, &["label!", "dangling"]).unwrap();
        assert!(
            !filters.no_labels(labels) && filters.no_labels(|_| Some("2")) && filters.no_labels(|_| None)
        );
        assert_eq!(filters.truth("dangling").unwrap(), Some(true));
        let given = ["name=a"].map(|text| parse_filter(text).unwrap());
        assert!(Filters::new(&given, &["name"]).unwrap().truth("name").is_err());
        let given = ["label=x"].map(|text| parse_filter(text).unwrap());
        let error = Filters::new(&given, &["name"]).unwrap_err().to_string();
        assert_eq!(error, "Error response from daemon: invalid filter 'label'");
        assert!(parse_filter("bare").is_err());
    }
}
