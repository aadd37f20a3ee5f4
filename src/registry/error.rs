//! What can go wrong between us and a registry, as far as callers tell it apart.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::oci::{Digest, Reference};

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry wants to know who we are, or does not believe it.
    #[error("{0}")]
    Unauthorized(Answer),
    /// The registry does not know the name and password of a login; where it was asked.
    #[error("login attempt to {0} failed with status: 401 Unauthorized")]
    LoginFailed(String),
    /// The registry knows who we are, or that we are nobody, and refuses.
    #[error("{0}")]
    Denied(Answer),
    /// The registry has no such repository, manifest or blob.
    #[error("{0}")]
    NotFound(Answer),
    /// The registry wants to be asked less often.
    #[error("{answer}")]
    RateLimited {
        /// What it said.
        answer: Answer,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// The registry gave an answer that is not foreseen.
    #[error("{}", unexpected(.answer))]
    Unexpected {
        /// What it said.
        answer: Answer,
        /// How long it wants to be left alone.
        after: Option<Duration>,
    },
    /// No answer came.
    #[error("{verb} \"{url}\": {reason}")]
    Unreachable {
        /// `Get`, `Post`, `Put`, …
        verb: &'static str,
        /// What was asked for, without its query.
        url: String,
        /// What happened.
        reason: String,
        /// What kind of thing happened.
        fault: Fault,
    },
    /// The bytes are not the ones that the digest stands for.
    #[error("{what} verification failed for digest {wanted}: got {got}")]
    DigestMismatch {
        /// What was fetched.
        what: &'static str,
        /// The digest that was asked for, or promised.
        wanted: Digest,
        /// The digest of what came.
        got: Digest,
    },
    /// A blob is not as long as its descriptor says.
    #[error("blob {digest} has the wrong size: want {wanted} bytes, got {got}")]
    WrongSize {
        /// The blob.
        digest: Digest,
        /// What the descriptor says.
        wanted: u64,
        /// What the registry has.
        got: u64,
    },
    /// What was to be sent cannot be read.
    #[error("read what is to be sent: {0}")]
    Local(String),
    /// The answer breaks the protocol, or a limit of ours.
    #[error("{0}")]
    Protocol(String),
}

/// The code of an answer that has none.
const UNKNOWN: &str = "UNKNOWN";

/// What kept an answer from coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The name has no address.
    NoSuchHost,
    /// Nobody listens there, or there is no way to go there.
    Refused,
    /// The connection was cut.
    Cut,
    /// Nothing came for too long.
    Stalled,
    /// The two sides did not agree on TLS, or the certificate is not trusted.
    Tls,
    /// Something on our side: a URL, a proxy.
    Setup,
}

/// What a registry said, in the words of the specification (`errors` in the body), as far as it used them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of the response.
    pub status: u16,
    /// The code of the first error: `MANIFEST_UNKNOWN`.
    pub code: String,
    /// The message of the first error.
    pub message: String,
}

impl fmt::Display for Answer {
    /// As Docker prints it: `manifest unknown: manifest unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code.to_lowercase().replace('_', " "))?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

fn unexpected(answer: &Answer) -> String {
    // A complaint about the request, in the registry's own words.
    if answer.status < 500 && answer.code != UNKNOWN {
        return answer.to_string();
    }
    let mut text = format!("received unexpected HTTP status: {}", answer.status);
    let status = ureq::http::StatusCode::from_u16(answer.status).ok();
    if let Some(reason) = status.and_then(|status| status.canonical_reason()) {
        text.push(' ');
        text.push_str(reason);
    }
    if !answer.message.is_empty() {
        text.push_str(": ");
        text.push_str(&answer.message);
    }
    text
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<OneError>,
    // Token services have forms of their own.
    #[serde(default)]
    details: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Answer {
    /// Reads the body of a response whose status is an error.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        let (code, message) = match serde_json::from_slice::<Body>(body) {
            Ok(body) => match body.errors.into_iter().next() {
                Some(first) => (first.code, first.message),
                None => (None, body.details.or(body.message).or(body.error_description)),
            },
            Err(_) => (None, None),
        };
        let code = code.filter(|code| !code.is_empty()).unwrap_or_else(|| {
            let word = match status {
                401 => "UNAUTHORIZED",
                403 => "DENIED",
                404 => "NOT_FOUND",
                429 => "TOOMANYREQUESTS",
                _ => UNKNOWN,
            };
            word.to_owned()
        });
        Self { status, code: clean(&code), message: clean(&message.unwrap_or_default()) }
    }

    /// An answer in our own words, where the registry used none.
    pub(super) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned() }
    }

    /// Makes the error that callers branch on.
    pub(super) fn into_error(self, after: Option<Duration>) -> Error {
        match (self.status, self.code.as_str()) {
            (_, "TOOMANYREQUESTS") | (429, _) => Error::RateLimited { answer: self, after },
            (500.., _) => Error::Unexpected { answer: self, after },
            (_, "DENIED") => Error::Denied(self),
            (_, "UNAUTHORIZED") | (401, _) => Error::Unauthorized(self),
            (403, _) => Error::Denied(self),
            (_, "MANIFEST_UNKNOWN" | "NAME_UNKNOWN" | "BLOB_UNKNOWN") | (404, _) => Error::NotFound(self),
            _ => Error::Unexpected { answer: self, after },
        }
    }
}

impl Error {
    /// Returns the text Docker prints when a pull of `reference` ends with this error.
    pub fn of_pull(&self, reference: &Reference) -> String {
        match self {
            Self::Denied(answer) => format!(
                "pull access denied for {}, repository does not exist or may require 'docker login': {answer}",
                reference.familiar_name()
            ),
            Self::NotFound(answer) if answer.code == "NAME_UNKNOWN" => {
                format!("repository {} not found: {answer}", reference.familiar_name())
            }
            Self::NotFound(answer) => format!("manifest for {} not found: {answer}", reference.familiar()),
            other => other.to_string(),
        }
    }

    /// Returns how long the registry wants to be left alone, if the same request may succeed after that.
    pub(super) fn passes(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { after, .. } => Some(after.unwrap_or_default()),
            Self::Unexpected { answer, after } if matches!(answer.status, 408 | 500 | 502 | 503 | 504) => {
                Some(after.unwrap_or_default())
            }
            Self::Unreachable { fault: Fault::Cut | Fault::Stalled, .. } => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// Tells whether no answer came at all.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Makes a text of a registry fit for a terminal: one line, no control characters, not endless.
pub(super) fn clean(text: &str) -> String {
    let one_line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    one_line.take(500).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> Error {
        Answer::read(status, body.as_bytes()).into_error(None)
    }

    #[test]
    fn says_what_docker_says() {
        let nginx = Reference::parse("nginx:1").unwrap();
        let unknown = error(
            404,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#,
        );
        assert_eq!(
            unknown.of_pull(&nginx),
            "manifest for nginx:1 not found: manifest unknown: manifest unknown"
        );
        let denied = error(
            401,
            r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#,
        );
        assert!(matches!(denied, Error::Denied(_)));
        assert_eq!(
            denied.of_pull(&nginx),
            "pull access denied for nginx, repository does not exist or may require 'docker login': \
             denied: requested access to the resource is denied"
        );
        let name = error(
            404,
            r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#,
        );
        assert_eq!(
            name.of_pull(&nginx),
            "repository nginx not found: name unknown: repository name not known to registry"
        );
        let unauthorized =
            error(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#);
        assert_eq!(unauthorized.of_pull(&nginx), "unauthorized: authentication required");
        assert_eq!(
            error(500, "oops").to_string(),
            "received unexpected HTTP status: 500 Internal Server Error"
        );
    }

    #[test]
    fn tells_errors_apart_without_a_body() {
        assert!(matches!(error(401, ""), Error::Unauthorized(_)));
        assert!(matches!(error(403, "<html>"), Error::Denied(_)));
        assert!(matches!(error(404, "404 page not found"), Error::NotFound(_)));
        assert!(matches!(error(429, "{}"), Error::RateLimited { .. }));
        assert!(error(503, "").passes().is_some());
        assert!(error(501, "").passes().is_none());
        assert!(error(404, "").passes().is_none());
        let token = error(401, r#"{"details":"incorrect username or password"}"#);
        assert_eq!(token.to_string(), "unauthorized: incorrect username or password");
    }

    #[test]
    fn cleans_what_reaches_a_terminal() {
        let hostile = error(403, "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"a\\u001b[2Jb\\nc\"}]}");
        assert_eq!(hostile.to_string(), "denied: a [2Jb c");
        assert_eq!(clean(&"x".repeat(10_000)).len(), 500);
    }
}
