//! Who we are to a registry: challenges, tokens, and what is sent because of them.
//!
//! A request goes out with what the last answer for the same repository was satisfied with. Where a registry
//! answers 401, its challenge says what it wants: `Basic` credentials, or a `Bearer` token from a token
//! service that it names (distribution's token authentication). Tokens are kept for one client's life and
//! fetched anew when a registry no longer takes them, so no clock is needed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use ureq::http::{HeaderMap, Method, Uri, header};

use super::access::{Access, Credentials, Endpoint};
use super::error::{Answer, Error, clean};
use super::transport::{Payload, Request, Transport, drain};

/// The name under which token services know this program.
const CLIENT_ID: &str = "coracle";
/// What stands for the scope of what satisfies a host whatever is asked of it.
const ANY: &str = "";
/// The longest token, in bytes.
const TOKEN_MAX: usize = 64 << 10;

/// One challenge of a `WWW-Authenticate` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// `bearer` or `basic`, in lower case.
    scheme: String,
    parameters: HashMap<String, String>,
}

impl Challenge {
    /// Tells whether it names a token service.
    pub(super) fn wants_token(&self) -> bool {
        self.scheme == "bearer"
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// What registries were satisfied with, by host and scope.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<(String, String), String>>,
}

impl Tokens {
    /// Returns the value of `Authorization` that satisfied `endpoint` for `scope` last.
    pub(super) fn get(&self, endpoint: &Endpoint, scope: &str) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |scope: &str| known.get(&(endpoint.host.clone(), scope.to_owned())).cloned();
        of(scope).or_else(|| of(ANY))
    }

    /// Gets a value of `Authorization` that satisfies `challenges`, which were the answer to `refused`, and tells
    /// whether it is fresh: one that another thread got some time ago may be refused in its turn.
    ///
    /// The lock is held meanwhile: of the threads that are refused at once, one asks the token service and
    /// the others take what it got.
    pub(super) fn renew(
        &self,
        transport: &Transport,
        access: &Access,
        endpoint: &Endpoint,
        scope: &str,
        challenges: &[Challenge],
        refused: Option<&String>,
    ) -> Result<(String, bool), Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (endpoint.host.clone(), scope.to_owned());
        if let Some(value) = known.get(&key).filter(|value| Some(*value) != refused) {
            return Ok((value.clone(), false));
        }
        if known.get(&(endpoint.host.clone(), ANY.to_owned())).is_some_and(|value| Some(value) != refused) {
            return Ok((known[&(endpoint.host.clone(), ANY.to_owned())].clone(), false));
        }
        let credentials = access.credentials.get(&endpoint.account);
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let value = match (of("bearer"), of("basic"), credentials) {
            (Some(challenge), ..) => {
                let token = fetch(transport, access, challenge, scope, credentials, false)?;
                format!("Bearer {}", token.value)
            }
            (None, Some(_), Some(Credentials::Password { username, password })) => {
                ANY.clone_into(&mut key.1);
                basic(username, password)
            }
            (None, Some(_), _) => {
                return Err(Error::Unauthorized(Answer::new(401, "no basic auth credentials", "")));
            }
            (None, None, _) => {
                return Err(Error::Unauthorized(Answer::new(401, "UNAUTHORIZED", "authentication required")));
            }
        };
        known.insert(key, value.clone());
        Ok((value, true))
    }
}

/// Makes the error of a registry that has seen our credentials, or knows that there are none, and refuses.
///
/// A bearer challenge may say why (RFC 6750, section 3.1), which Docker prefers over the body.
pub(super) fn refusal(challenges: &[Challenge], body: &[u8]) -> Error {
    let bearer = challenges.iter().filter(|challenge| challenge.scheme == "bearer");
    for challenge in bearer {
        let (code, usual) = match challenge.parameter("error") {
            Some("insufficient_scope") => ("DENIED", "requested access to the resource is denied"),
            Some("invalid_token") => ("UNAUTHORIZED", "authentication required"),
            _ => continue,
        };
        let message = challenge.parameter("error_description").map_or(usual.to_owned(), clean);
        return Answer::new(401, code, &message).into_error(None);
    }
    Answer::read(401, body).into_error(None)
}

pub(super) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
}

/// What a token service gives.
pub(super) struct Token {
    /// What is shown to the registry.
    pub(super) value: String,
    /// What gets other tokens later.
    pub(super) refresh: Option<String>,
}

/// Logs in at `endpoint` with the credentials for it: proves them to who made `challenges`. Returns what to
/// send, and a refresh token if the service gives one.
pub(super) fn log_in(
    transport: &Transport,
    access: &Access,
    endpoint: &Endpoint,
    challenges: &[Challenge],
) -> Result<(String, Option<String>), Error> {
    let credentials = access.credentials.get(&endpoint.account);
    let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
    match (of("bearer"), of("basic"), credentials) {
        (Some(challenge), ..) => {
            let token = fetch(transport, access, challenge, "", credentials, true)?;
            Ok((format!("Bearer {}", token.value), token.refresh))
        }
        (None, Some(_), Some(Credentials::Password { username, password })) => {
            Ok((basic(username, password), None))
        }
        _ => Err(Error::Unauthorized(Answer::new(401, "no basic auth credentials", ""))),
    }
}

/// Joins what a challenge wants with what we want: what the challenge names comes first, and gets our actions
/// too.
fn union(challenge: &str, ours: &str) -> String {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for scope in challenge.split(' ').chain(ours.split(' ')).filter(|scope| !scope.is_empty()) {
        let (resource, actions) = scope.rsplit_once(':').unwrap_or((scope, ""));
        let at = all.iter().position(|(known, _)| *known == resource).unwrap_or_else(|| {
            all.push((resource, Vec::new()));
            all.len() - 1
        });
        for action in actions.split(',') {
            if !all[at].1.contains(&action) {
                all[at].1.push(action);
            }
        }
    }
    let texts: Vec<_> =
        all.iter().map(|(resource, actions)| format!("{resource}:{}", actions.join(","))).collect();
    texts.join(" ")
}

/// Asks the token service that `challenge` names; with `offline`, for a refresh token too.
fn fetch(
    transport: &Transport,
    access: &Access,
    challenge: &Challenge,
    scope: &str,
    credentials: Option<&Credentials>,
    offline: bool,
) -> Result<Token, Error> {
    let realm = challenge.parameter("realm").unwrap_or_default();
    if credentials.is_some() {
        guard(access, realm)?;
    }
    let service = challenge.parameter("service").unwrap_or_default();
    let scope = union(challenge.parameter("scope").unwrap_or_default(), scope);
    let mut fields = vec![("service", service)];
    // Several scopes are several parameters in a query, but one with spaces in a form.
    let scopes = || scope.split(' ').filter(|scope| !scope.is_empty()).map(|scope| ("scope", scope));
    let (url, form, authorization) = match credentials {
        None => {
            fields.extend(scopes());
            (with_query(realm, &fields), None, None)
        }
        Some(Credentials::Password { username, password }) => {
            fields.push(("account", username));
            fields.push(("client_id", CLIENT_ID));
            if offline {
                fields.push(("offline_token", "true"));
            }
            fields.extend(scopes());
            (with_query(realm, &fields), None, Some(basic(username, password)))
        }
        Some(Credentials::IdentityToken(token)) => {
            fields.extend([("grant_type", "refresh_token"), ("refresh_token", token)]);
            fields.push(("client_id", CLIENT_ID));
            if !scope.is_empty() {
                fields.push(("scope", &scope));
            }
            (realm.to_owned(), Some(encode(&fields)), None)
        }
    };
    let mut request = Request { authorization, ..Request::get(&url, "application/json") };
    if let Some(form) = &form {
        request.method = Method::POST;
        request.payload = Payload::Bytes("application/x-www-form-urlencoded", form.as_bytes());
    }
    access.patience.run(|| {
        let reply = transport.send(access, &request)?;
        if !reply.response.status().is_success() {
            return Err(match reply.into_error() {
                // It is the service that is not found, not what is asked for.
                Error::NotFound(answer) => Error::Unexpected { answer, after: None },
                other => other,
            });
        }
        let response = serde_json::from_slice::<Response>(&drain(reply.response)).ok();
        // It becomes a header.
        let right = |token: &String| {
            !token.is_empty() && token.len() <= TOKEN_MAX && token.bytes().all(|b| b.is_ascii_graphic())
        };
        let token = response.and_then(|response| {
            let value = response.token.filter(|t| !t.is_empty()).or(response.access_token).filter(right)?;
            Some(Token { value, refresh: response.refresh_token.filter(right) })
        });
        token.ok_or_else(|| {
            Error::Protocol(format!("authorization server {} did not include a token", clean(realm)))
        })
    })
}

/// Refuses to send credentials in clear to a token service on another machine.
fn guard(access: &Access, realm: &str) -> Result<(), Error> {
    let url: Option<Uri> = realm.parse().ok();
    let host = url.as_ref().and_then(Uri::authority).map_or("", |authority| authority.as_str());
    match url.as_ref().and_then(Uri::scheme_str) {
        Some("https") => Ok(()),
        Some("http") if access.is_insecure(host) => Ok(()),
        _ => Err(Error::Protocol(format!("credentials are not sent to {:?}: it is not https", clean(realm)))),
    }
}

pub(super) fn with_query(url: &str, fields: &[(&str, &str)]) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{}", encode(fields))
}

/// Encodes fields as a query or a form does.
fn encode(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                write!(text, "%{byte:02X}").expect("a String takes every write");
            }
        }
    }
    text
}

/// Reads the challenges of a response (RFC 9110, section 11.6.1).
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(parse).collect()
}

fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        let Some(after) = after.trim_start().strip_prefix('=') else {
            found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: HashMap::new() });
            rest = after;
            continue;
        };
        // `realm="…"`: a parameter of the challenge before. Padding of a token68 also comes here, and is a
        // parameter that nobody asks for.
        let (value, after) = value(after.trim_start());
        if let Some(challenge) = found.last_mut() {
            challenge.parameters.insert(word.to_ascii_lowercase(), value);
        }
        rest = after;
    }
}

/// Splits a token or a quoted string off.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_challenges() {
        let found = parse(
            r#"Bearer realm="https://auth.example/token",service="reg.example",scope="repository:a/b:pull,push", error=invalid_token, Basic realm="a \"b\", c""#,
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].scheme, "bearer");
        assert_eq!(found[0].parameter("realm"), Some("https://auth.example/token"));
        assert_eq!(found[0].parameter("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(found[0].parameter("error"), Some("invalid_token"));
        assert_eq!(found[1].scheme, "basic");
        assert_eq!(found[1].parameter("realm"), Some("a \"b\", c"));
        assert_eq!(parse("BASIC")[0].scheme, "basic");
        assert!(parse("").is_empty());
    }

    #[test]
    fn prefers_what_the_challenge_says() {
        let scope = parse(r#"Bearer realm="x",error="insufficient_scope""#);
        assert!(matches!(refusal(&scope, b""), Error::Denied(_)));
        assert!(matches!(refusal(&parse("Basic"), b""), Error::Unauthorized(_)));
    }

    #[test]
    fn asks_for_what_both_want() {
        assert_eq!(union("repository:a:pull", "repository:a:pull"), "repository:a:pull");
        assert_eq!(
            union("repository:a:pull", "repository:a:pull,push repository:b:pull"),
            "repository:a:pull,push repository:b:pull"
        );
        assert_eq!(union("registry:catalog:*", ""), "registry:catalog:*");
        assert_eq!(union("", ""), "");
    }

    #[test]
    fn encodes_fields() {
        assert_eq!(
            with_query("https://a/t?x=1", &[("scope", "repository:a/b:pull"), ("account", "ü&=")]),
            "https://a/t?x=1&scope=repository%3Aa%2Fb%3Apull&account=%C3%BC%26%3D"
        );
    }

    #[test]
    fn keeps_credentials_from_travelling_in_clear() {
        let access = Access::default();
        assert!(guard(&access, "https://auth.example/token").is_ok());
        assert!(guard(&access, "http://127.0.0.1:5001/token").is_ok());
        assert!(guard(&access, "http://auth.example/token").is_err());
        assert!(guard(&access, "").is_err());
    }

    proptest::proptest! {
        #[test]
        fn survives_any_header(text in ".{0,200}") {
            for challenge in parse(&text) {
                proptest::prop_assert!(!challenge.scheme.is_empty());
            }
        }
    }
}
