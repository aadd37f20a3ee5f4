//! What a command did: its output and exit code, and the claims that a test makes about them.

use std::fmt;
use std::time::Duration;

/// A command that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) line: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    pub(crate) took: Duration,
}

impl Outcome {
    /// Claims that the exit code is 0.
    #[track_caller]
    pub(crate) fn success(&self) -> &Self {
        self.code(0)
    }

    /// Claims that the exit code is `code`.
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &Self {
        assert!(self.code == Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// Claims that standard output is exactly `expected`.
    #[track_caller]
    pub(crate) fn stdout(&self, expected: &str) -> &Self {
        assert!(self.out == expected.as_bytes(), "expected on stdout: {expected:?}\n{self}");
        self
    }

    /// Claims that standard error is exactly `expected`.
    #[track_caller]
    pub(crate) fn stderr(&self, expected: &str) -> &Self {
        assert!(self.err == expected.as_bytes(), "expected on stderr: {expected:?}\n{self}");
        self
    }

    /// Claims that standard output holds `part`.
    #[track_caller]
    pub(crate) fn stdout_contains(&self, part: &str) -> &Self {
        assert!(String::from_utf8_lossy(&self.out).contains(part), "expected in stdout: {part:?}\n{self}");
        self
    }

    /// Claims that standard output does not hold `part`.
    #[track_caller]
    pub(crate) fn stdout_lacks(&self, part: &str) -> &Self {
        assert!(
            !String::from_utf8_lossy(&self.out).contains(part),
            "not expected in stdout: {part:?}\n{self}"
        );
        self
    }

    /// Claims that standard error holds `part`.
    #[track_caller]
    pub(crate) fn stderr_contains(&self, part: &str) -> &Self {
        assert!(String::from_utf8_lossy(&self.err).contains(part), "expected in stderr: {part:?}\n{self}");
        self
    }

    /// Returns standard output without the space around it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).trim().to_owned()
    }

    /// Returns standard error without the space around it.
    pub(crate) fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.err).trim().to_owned()
    }

    /// Returns the lines of standard output.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    /// Returns standard output read as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("not JSON: {error}\n{self}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let excerpt = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            match text.char_indices().nth(4000) {
                Some((end, _)) => format!("{} […]", &text[..end]),
                None => text,
            }
        };
        writeln!(f, "$ {}", self.line)?;
        writeln!(f, "exit: {:?} after {:?}", self.code, self.took)?;
        writeln!(f, "--- stdout\n{}", excerpt(&self.out))?;
        write!(f, "--- stderr\n{}", excerpt(&self.err))
    }
}
