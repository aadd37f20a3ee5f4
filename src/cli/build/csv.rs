//! `key=value,key=value`, the form of many flags.

use anyhow::{Result, bail};

/// The fields of such a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Fields(Vec<(String, Option<String>)>);

impl Fields {
    /// Reads them; a field may stand in double quotes.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self> {
        let mut fields = Vec::new();
        let mut field = String::new();
        let mut quoted = false;
        for c in text.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(std::mem::take(&mut field)),
                c => field.push(c),
            }
        }
        if quoted {
            bail!("parse error: a quote is not closed in {text:?}");
        }
        fields.push(field);
        let pair = |field: String| match field.split_once('=') {
            Some((key, value)) => (key.trim().to_lowercase(), Some(value.to_owned())),
            None => (field, None),
        };
        Ok(Self(fields.into_iter().map(pair).collect()))
    }

    /// Returns the value of a key.
    pub(in crate::cli) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == key).and_then(|(_, value)| value.as_deref())
    }

    /// Returns the value of the first of several names of a key.
    pub(in crate::cli) fn any(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// Tells whether a key is true.
    pub(in crate::cli) fn truth(&self, key: &str) -> bool {
        matches!(self.get(key), Some("true" | "1"))
    }

    /// Returns the text if it is one word without `=`.
    pub(in crate::cli) fn word(&self) -> Option<&str> {
        match self.0.as_slice() {
            [(word, None)] => Some(word),
            _ => None,
        }
    }

    /// Returns what stands without `=`.
    pub(in crate::cli) fn bare(&self) -> Option<&str> {
        self.0.iter().find(|(_, value)| value.is_none()).map(|(key, _)| key.as_str())
    }
}
