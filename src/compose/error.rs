//! What is wrong with a project: words for the user, Compose's own where it has some.

/// Why a project cannot be loaded. Nothing has been started when this is said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

/// Makes one.
pub(super) fn problem(text: impl Into<String>) -> Problem {
    Problem(text.into())
}

impl From<super::yaml::Bad> for Problem {
    fn from(bad: super::yaml::Bad) -> Self {
        Self(bad.to_string())
    }
}
