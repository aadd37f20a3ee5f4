//! Manifests and blobs of a registry or of its mirrors.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use ureq::Body;
use ureq::http::{HeaderName, Method, Response, header};

use super::access::{Access, Endpoint, Scheme};
use super::auth::{self, Tokens};
use super::blob::Blob;
use super::error::{Error, Fault};
use super::resolve::Resolver;
use super::transport::{Payload, Reply, Request, Transport, drain, read_small, shown, text, verb};
use crate::oci::{Digest, Reference};

/// The longest manifest, in bytes, as registries have it.
const MANIFEST_MAX: u64 = 4 << 20;
/// Every kind of manifest.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// The header with the digest of what is sent.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A connection to registries. Clones share tokens and connections, and any thread may use any of them.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    access: Access,
    transport: Transport,
    tokens: Tokens,
    /// What the hosts that have answered speak.
    spoken: Mutex<HashMap<String, Scheme>>,
    /// The mirrors that could not be reached; they are not asked again.
    gone: Mutex<HashSet<String>>,
}

/// A manifest or an index, as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The very bytes, which the digest is of.
    pub bytes: Vec<u8>,
    /// What they are: `application/vnd.oci.image.index.v1+json`.
    pub media_type: String,
    /// Their digest.
    pub digest: Digest,
}

/// One call of a registry: everything but where.
pub(super) struct Call<'a> {
    /// What a token is to allow: `repository:library/nginx:pull`.
    pub(super) scope: &'a str,
    pub(super) method: Method,
    /// What stands after `/v2/`, with its query; with a slash before it, after the host; or a whole URL, which
    /// gets no credentials.
    pub(super) path: &'a str,
    pub(super) accept: &'a str,
    pub(super) headers: &'a [(HeaderName, String)],
    pub(super) payload: Payload<'a>,
}

impl<'a> Call<'a> {
    /// A GET.
    pub(super) fn get(scope: &'a str, path: &'a str, accept: &'a str) -> Self {
        Self { scope, method: Method::GET, path, accept, headers: &[], payload: Payload::Nothing }
    }
}

/// Returns the scope of reading from a repository.
pub(super) fn pull_scope(reference: &Reference) -> String {
    format!("repository:{}:pull", reference.path())
}

/// What a manifest says about itself.
#[derive(Deserialize)]
struct Kind {
    #[serde(default, rename = "mediaType")]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
}

impl Client {
    /// Makes a client. Nothing is read or sent before it is asked for something.
    pub fn new(access: Access) -> Self {
        Self::with_resolver(access, Resolver::default())
    }

    pub(super) fn with_resolver(access: Access, resolver: Resolver) -> Self {
        let inner = Inner {
            access,
            transport: Transport::new(resolver),
            tokens: Tokens::default(),
            spoken: Mutex::default(),
            gone: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Fetches the manifest or index of `reference`: by its digest if it has one, else by its tag, which is
    /// `latest` if it has none.
    pub fn manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        let path = manifest_path(reference);
        let scope = pull_scope(reference);
        self.at_endpoints(reference, |endpoint| {
            self.access().patience.run(|| {
                let response = self.call(endpoint, &Call::get(&scope, &path, MANIFEST_TYPES))?;
                self.read_manifest(response, endpoint, &path, reference.digest())
            })
        })
    }

    /// Asks (by `HEAD`) which manifest or index `reference` means, without fetching it; this does not count
    /// against the limits of Docker Hub. `None` if the registry does not say: then [`Client::manifest`] tells.
    pub fn head_manifest(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        let path = manifest_path(reference);
        let scope = pull_scope(reference);
        self.at_endpoints(reference, |endpoint| {
            self.access().patience.run(|| {
                let call = Call { method: Method::HEAD, ..Call::get(&scope, &path, MANIFEST_TYPES) };
                let response = self.call(endpoint, &call)?;
                Ok(text(response.headers(), &CONTENT_DIGEST).and_then(|text| text.parse().ok()))
            })
        })
    }

    /// Opens the blob `digest` of the repository of `reference` at byte `offset`. It yields the bytes up to
    /// `size`, the length in its descriptor, whatever happens to the connection meanwhile; whoever reads it
    /// checks the digest.
    pub fn blob(&self, reference: &Reference, digest: Digest, size: u64, offset: u64) -> Result<Blob, Error> {
        self.at_endpoints(reference, |endpoint| {
            let client = self.clone();
            self.access().patience.run(|| Blob::open(&client, endpoint, reference, digest, size, offset))
        })
    }

    pub(super) fn access(&self) -> &Access {
        &self.inner.access
    }

    /// Asks the mirrors of a registry, then the registry, until one of them has it. Its own error is the one
    /// that counts.
    fn at_endpoints<T>(
        &self,
        reference: &Reference,
        mut ask: impl FnMut(&Endpoint) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut endpoints = self.access().endpoints(reference.domain());
        let itself = endpoints.pop();
        for mirror in &endpoints {
            if self.gone().contains(&mirror.host) {
                continue;
            }
            match ask(mirror) {
                Ok(found) => return Ok(found),
                Err(error) if error.is_unreachable() => {
                    self.gone().insert(mirror.host.clone());
                }
                Err(_) => {}
            }
        }
        ask(&itself.expect("a registry is its own last endpoint"))
    }

    fn gone(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.inner.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spoken(&self) -> std::sync::MutexGuard<'_, HashMap<String, Scheme>> {
        self.inner.spoken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    /// Makes one call below `/v2/` of an endpoint, with a token if one is asked for. The response is a success.
    pub(super) fn call(&self, endpoint: &Endpoint, call: &Call<'_>) -> Result<Response<Body>, Error> {
        self.call_at(endpoint, call).map(|reply| reply.response)
    }

    /// As [`Client::call`], with where the response came from.
    pub(super) fn call_at(&self, endpoint: &Endpoint, call: &Call<'_>) -> Result<Reply, Error> {
        let Inner { access, transport, tokens, .. } = &*self.inner;
        let elsewhere = call.path.contains("://");
        let mut authorization = tokens.get(endpoint, call.scope);
        let mut renewed = false;
        loop {
            let send = |url: &str| {
                let request = Request {
                    method: call.method.clone(),
                    url,
                    accept: call.accept,
                    authorization: authorization.clone().filter(|_| !elsewhere),
                    headers: call.headers,
                    payload: call.payload,
                };
                transport.send(access, &request)
            };
            let reply = if elsewhere {
                send(call.path)?
            } else {
                let below = if call.path.starts_with('/') { "" } else { "/v2/" };
                self.in_a_scheme(endpoint, |scheme| {
                    send(&format!("{}://{}{below}{}", scheme.name(), endpoint.host, call.path))
                })?
            };
            let status = reply.response.status();
            if status.is_success() {
                return Ok(reply);
            }
            // A signed address that has expired, for one; the registry makes a new one.
            if (reply.redirected || elsewhere) && matches!(status.as_u16(), 401 | 403) {
                let url = shown(&reply.url);
                let reason = format!("redirected to a server that answers {status}");
                return Err(Error::Unreachable { verb: verb(&call.method), url, reason, fault: Fault::Cut });
            }
            if status.as_u16() != 401 {
                return Err(reply.into_error());
            }
            let challenges = auth::challenges(reply.response.headers());
            let body = drain(reply.response);
            if renewed {
                return Err(auth::refusal(&challenges, &body));
            }
            let refused = authorization.as_ref();
            let (value, fresh) =
                tokens.renew(transport, access, endpoint, call.scope, &challenges, refused)?;
            authorization = Some(value);
            renewed = fresh;
        }
    }

    /// Sends in the scheme that the host is known to speak, or in those it may, until one works.
    pub(super) fn in_a_scheme<T>(
        &self,
        endpoint: &Endpoint,
        send: impl Fn(Scheme) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let spoken = self.spoken().get(&endpoint.host).copied();
        if let Some(scheme) = spoken {
            // It has answered before, so it is worth waiting for.
            return send(scheme).map_err(|error| match error {
                Error::Unreachable { verb, url, reason, fault: Fault::Refused } => {
                    Error::Unreachable { verb, url, reason, fault: Fault::Cut }
                }
                other => other,
            });
        }
        let (last, others) = endpoint.schemes.split_last().expect("an endpoint speaks something");
        for scheme in others {
            match send(*scheme) {
                Err(error) if error.is_unreachable() => {}
                answered => {
                    self.spoken().insert(endpoint.host.clone(), *scheme);
                    return answered;
                }
            }
        }
        let answered = send(*last)?;
        self.spoken().insert(endpoint.host.clone(), *last);
        Ok(answered)
    }

    fn read_manifest(
        &self,
        response: Response<Body>,
        endpoint: &Endpoint,
        path: &str,
        wanted: Option<Digest>,
    ) -> Result<Fetched, Error> {
        let said_type = text(response.headers(), &header::CONTENT_TYPE).map(str::to_owned);
        let promised = text(response.headers(), &CONTENT_DIGEST).and_then(|text| text.parse::<Digest>().ok());

        let url = format!("{}/v2/{path}", endpoint.host);
        let what = format!("manifest {path}");
        let bytes = read_small(response, MANIFEST_MAX, &what, "Get", &url, &self.access().patience.stall)?;
        let digest = Digest::of(&bytes);
        if let Some(wanted) = wanted.or(promised).filter(|wanted| *wanted != digest) {
            return Err(Error::DigestMismatch { what: "manifest", wanted, got: digest });
        }
        Ok(Fetched { media_type: media_type(said_type.as_deref(), &bytes), bytes, digest })
    }
}

/// Returns where a manifest or index is, below `/v2/`.
pub(super) fn manifest_path(reference: &Reference) -> String {
    let selector = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or("latest").to_owned(),
    };
    format!("{}/manifests/{selector}", reference.path())
}

/// Returns what a manifest is: what the registry says if that is of any use, else what it says itself, else
/// what it looks like.
fn media_type(said: Option<&str>, bytes: &[u8]) -> String {
    let said = said.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if said.starts_with("application/vnd.") {
        return said;
    }
    let Ok(kind) = serde_json::from_slice::<Kind>(bytes) else { return said };
    match kind {
        Kind { media_type: Some(own), .. } if !own.is_empty() => own,
        Kind { manifests: Some(_), .. } => "application/vnd.oci.image.index.v1+json".to_owned(),
        Kind { config: Some(_), .. } => "application/vnd.oci.image.manifest.v1+json".to_owned(),
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_a_manifest_is() {
        let own = br#"{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{}}"#;
        let said = "application/vnd.oci.image.manifest.v1+json; charset=utf-8";
        assert_eq!(media_type(Some(said), own), "application/vnd.oci.image.manifest.v1+json");
        let docker = "application/vnd.docker.distribution.manifest.v2+json";
        assert_eq!(media_type(Some("application/json"), own), docker);
        assert_eq!(media_type(None, br#"{"manifests":[]}"#), "application/vnd.oci.image.index.v1+json");
        assert_eq!(media_type(None, br#"{"config":{}}"#), "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(media_type(Some("text/html"), b"<html>"), "text/html");
    }
}
