//! The flags of instructions.

use super::fault::{Fault, suggestion};

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `true`, `false` or nothing, which is `true`.
    Truth,
    /// A value, once.
    Value,
    /// Values, any number of times.
    Values,
}

/// The flags that were given.
#[derive(Debug, Default)]
pub(super) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// Reads `given` as flags of an instruction that has `known`.
    pub(super) fn read(given: &[String], known: &[(&'static str, Takes)]) -> Result<Self, Fault> {
        let mut flags = Self::default();
        for text in given {
            let (written, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text.as_str(), None),
            };
            let wanted = written.strip_prefix("--").unwrap_or(written);
            let fault = |message: String| Fault::new(message).about(written);
            let Some(&(name, takes)) = known.iter().find(|(name, _)| *name == wanted) else {
                let guess = suggestion(wanted, known.iter().map(|(name, _)| *name), true);
                return Err(fault(format!("unknown flag: {written}{guess}")));
            };
            if takes != Takes::Values && flags.get(name).is_some() {
                return Err(fault(format!("duplicate flag specified: {written}")));
            }
            let value = match (takes, value) {
                (Takes::Truth, None) => "true".to_owned(),
                (Takes::Truth, Some("")) | (Takes::Value | Takes::Values, None) => {
                    return Err(fault(format!("missing a value on flag: {written}")));
                }
                (Takes::Truth, Some(value)) => match value.to_ascii_lowercase() {
                    truth if truth == "true" || truth == "false" => truth,
                    _ => {
                        let message = format!("expecting boolean value for flag {written}, not: {value}");
                        return Err(fault(message));
                    }
                },
                (_, Some(value)) => value.to_owned(),
            };
            flags.0.push((name, value));
        }
        Ok(flags)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value, or nothing as an empty text.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value == "true")
    }

    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.clone()).collect()
    }
}
