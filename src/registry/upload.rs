//! Blobs and manifests on their way to a registry.
//!
//! # Theory of operation
//!
//! An upload is a session with an address of its own (`Location`), which changes with every answer. A blob is sent
//! whole by one PUT. Where that breaks, or is too large for the registry, the session is asked how far it came,
//! and the rest is sent by PATCH in chunks, so that a bad connection loses one chunk at most. A session that the
//! registry has forgotten is begun anew, after a look whether the blob has arrived in spite of the error.
//!
//! Sessions may lie on another host than the registry: that one gets no credentials.

use std::fmt;
use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use ureq::http::{HeaderName, Method, Response, Uri, header};

use super::access::Endpoint;
use super::auth::with_query;
use super::client::{CONTENT_DIGEST, Call, Client, manifest_path};
use super::error::Error;
use super::transport::{Payload, Reply, Source, drain, join, parse, text};
use crate::oci::{Digest, Reference};

/// The length of a chunk, in bytes, if the registry does not want longer ones.
const CHUNK: u64 = 16 << 20;
/// The longest chunk that a registry may want.
const CHUNK_MAX: u64 = 1 << 30;
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// A blob that a registry is to have.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// Its digest. The registry checks it; here it is believed.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its content.
    pub source: &'a dyn Source,
    /// Repositories of the same registry that may have it, as paths (`library/nginx`), the likeliest last.
    pub from: &'a [String],
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} of {} bytes)", self.digest, self.size)
    }
}

/// No content.
struct Nothing;

impl Source for Nothing {
    fn open(&self, _offset: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(io::empty()))
    }
}

/// How a registry came to have a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uploaded {
    /// It was there.
    Existed,
    /// The registry took it from this repository of its own.
    Mounted(String),
    /// It was sent.
    Sent,
}

/// An upload that has begun.
struct Session {
    /// Where to go on, as a path of the endpoint or a whole URL.
    place: String,
    chunk: u64,
}

/// One upload, and whereto.
struct Sending<'a> {
    client: &'a Client,
    endpoint: Endpoint,
    scope: String,
    reference: &'a Reference,
    upload: &'a Upload<'a>,
}

impl Client {
    /// Tells whether the repository of `reference` has a blob.
    pub fn has_blob(&self, reference: &Reference, digest: Digest) -> Result<bool, Error> {
        let endpoint = self.access().itself(reference.domain());
        self.has(&endpoint, &super::client::pull_scope(reference), reference, &digest)
    }

    /// Sees to it that the repository of `reference` has a blob. Nothing is sent if it has, or if the registry can
    /// take it from one of the repositories `upload.from`.
    pub fn upload_blob(&self, reference: &Reference, upload: &Upload<'_>) -> Result<Uploaded, Error> {
        let endpoint = self.access().itself(reference.domain());
        let scope = push_scope(reference);
        // A registry that refuses this says why when the upload begins: answers to HEAD have no text.
        match self.has(&endpoint, &scope, reference, &upload.digest) {
            Ok(true) => return Ok(Uploaded::Existed),
            Ok(false) | Err(Error::Denied(_) | Error::Unauthorized(_) | Error::Unexpected { .. }) => {}
            Err(error) => return Err(error),
        }
        let sending = Sending { client: self, endpoint, scope, reference, upload };
        let mut session = None;
        for from in upload.from {
            match sending.mount(from)? {
                None => return Ok(Uploaded::Mounted(from.clone())),
                Some(begun) => {
                    if let Some(given_up) = session.replace(begun) {
                        sending.cancel(&given_up);
                    }
                }
            }
        }
        let session = session.map_or_else(|| sending.begin(), Ok)?;
        sending.send(session)?;
        Ok(Uploaded::Sent)
    }

    /// Makes the repository of `reference` have a blob that another repository of its registry has; tells
    /// whether it has it now.
    pub fn mount_blob(&self, reference: &Reference, digest: Digest, from: &str) -> Result<bool, Error> {
        let endpoint = self.access().itself(reference.domain());
        let upload = Upload { digest, size: 0, source: &Nothing, from: &[] };
        let scope = push_scope(reference);
        let sending = Sending { client: self, endpoint, scope, reference, upload: &upload };
        let Some(session) = sending.mount(from)? else { return Ok(true) };
        sending.cancel(&session);
        Ok(false)
    }

    /// Puts a manifest or an index, whose blobs the repository has, under the tag of `reference` or under its
    /// digest, and returns its digest.
    pub fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, Error> {
        let endpoint = self.access().itself(reference.domain());
        let (path, scope) = (manifest_path(reference), push_scope(reference));
        let digest = Digest::of(bytes);
        let payload = Payload::Bytes(media_type, bytes);
        self.access().patience.run(|| {
            let call = Call { method: Method::PUT, payload, ..Call::get(&scope, &path, "*/*") };
            let response = self.call(&endpoint, &call)?;
            check_digest("manifest", digest, response)
        })?;
        Ok(digest)
    }

    fn has(
        &self,
        endpoint: &Endpoint,
        scope: &str,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let path = format!("{}/blobs/{digest}", reference.path());
        let asked = self
            .access()
            .patience
            .run(|| self.call(endpoint, &Call { method: Method::HEAD, ..Call::get(scope, &path, "*/*") }));
        match asked {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Sending<'_> {
    fn uploads(&self, fields: &[(&str, &str)]) -> String {
        let path = format!("{}/blobs/uploads/", self.reference.path());
        if fields.is_empty() { path } else { with_query(&path, fields) }
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, String)],
        payload: Payload<'_>,
    ) -> Result<Reply, Error> {
        let call = Call { scope: &self.scope, method, path, accept: "*/*", headers, payload };
        self.client.call_at(&self.endpoint, &call)
    }

    /// Begins a session.
    fn begin(&self) -> Result<Session, Error> {
        self.client.access().patience.run(|| {
            let reply = self.call(Method::POST, &self.uploads(&[]), &[], Payload::Nothing)?;
            self.session(reply, CHUNK)
        })
    }

    /// Asks for a mount; returns the session that begins if there is none.
    fn mount(&self, from: &str) -> Result<Option<Session>, Error> {
        let digest = self.upload.digest.to_string();
        let path = self.uploads(&[("mount", &digest), ("from", from)]);
        // The right to read there is to be in the same token.
        let scope = format!("{} repository:{from}:pull", self.scope);
        let call = Call { method: Method::POST, ..Call::get(&scope, &path, "*/*") };
        let asked = self.client.access().patience.run(|| {
            let reply = self.client.call_at(&self.endpoint, &call)?;
            if reply.response.status().as_u16() == 201 {
                drain(reply.response);
                return Ok(None);
            }
            self.session(reply, CHUNK).map(Some)
        });
        match asked {
            // Who may not read there may still write here.
            Err(
                Error::Denied(_) | Error::Unauthorized(_) | Error::NotFound(_) | Error::Unexpected { .. },
            ) => self.begin().map(Some),
            other => other,
        }
    }

    /// Ends a session without a blob. One that stays is cleared away by the registry some day.
    fn cancel(&self, session: &Session) {
        if let Ok(reply) = self.call(Method::DELETE, &session.place, &[], Payload::Nothing) {
            drain(reply.response);
        }
    }

    /// Reads where a session goes on.
    fn session(&self, reply: Reply, chunk: u64) -> Result<Session, Error> {
        let host = &self.endpoint.host;
        let headers = reply.response.headers();
        let Some(location) = text(headers, &header::LOCATION) else {
            return Err(Error::Protocol(format!("{host} does not say where to upload to")));
        };
        let least = text(headers, &CHUNK_MIN_LENGTH).and_then(|text| text.parse().ok()).unwrap_or(0);
        let url = parse(&join(&reply.url, location), host)?;
        let place = if is_at(&url, host) {
            url.path_and_query().map_or("/", |path| path.as_str()).to_owned()
        } else {
            url.to_string()
        };
        drain(reply.response);
        Ok(Session { place, chunk: chunk.max(least).min(CHUNK_MAX) })
    }

    /// Sends the blob, however often that breaks.
    fn send(&self, mut session: Session) -> Result<(), Error> {
        let patience = &self.client.access().patience;
        let mut position = None;
        let mut failures = 0;
        loop {
            let before = position;
            let sent = match &mut position {
                None => self.whole(&session),
                Some(position) => self.chunks(&mut session, position),
            };
            let Err(error) = sent else { return Ok(()) };
            if position > before && before.is_some() {
                failures = 0;
            }
            failures += 1;
            match pause(&error, position.is_none()) {
                None => return Err(error),
                Some(_) if failures >= patience.attempts => return Err(error),
                Some(Pause::None) => {}
                Some(Pause::AsUsual) => {
                    thread::sleep(patience.pause_after(failures, &error).unwrap_or(patience.pause));
                }
                Some(Pause::Longer(asked)) if asked > patience.longest_pause => return Err(error),
                Some(Pause::Longer(asked)) => {
                    let usual = patience.pause_after(failures, &error).unwrap_or(patience.pause);
                    thread::sleep(asked.max(usual));
                }
            }
            if let Ok((known, at)) = self.status(&session) {
                (session, position) = (known, Some(at.min(self.upload.size)));
                continue;
            }
            // It is forgotten, broken, or done.
            if self.client.has(&self.endpoint, &self.scope, self.reference, &self.upload.digest)? {
                return Ok(());
            }
            (session, position) = (self.begin()?, Some(0));
        }
    }

    /// Sends everything at once.
    fn whole(&self, session: &Session) -> Result<(), Error> {
        let Upload { source, size, .. } = *self.upload;
        self.finish(session, Payload::Stream { source, offset: 0, length: size })
    }

    /// Sends the rest, chunk after chunk.
    fn chunks(&self, session: &mut Session, position: &mut u64) -> Result<(), Error> {
        while *position < self.upload.size {
            let start = *position;
            let length = session.chunk.min(self.upload.size - start);
            let range = [(header::CONTENT_RANGE, format!("{start}-{}", start + length - 1))];
            let payload = Payload::Stream { source: self.upload.source, offset: start, length };
            let reply = self.call(Method::PATCH, &session.place, &range, payload)?;
            let arrived = arrived(&reply.response).filter(|at| *at > start && *at <= start + length);
            *session = self.session(reply, session.chunk)?;
            *position = arrived.unwrap_or(start + length);
        }
        self.finish(session, Payload::Nothing)
    }

    /// Ends a session with what is left of the blob.
    fn finish(&self, session: &Session, payload: Payload<'_>) -> Result<(), Error> {
        let digest = self.upload.digest.to_string();
        let place = with_query(&session.place, &[("digest", &digest)]);
        let reply = self.call(Method::PUT, &place, &[], payload)?;
        check_digest("blob", self.upload.digest, reply.response)
    }

    /// Asks a session how much has arrived.
    fn status(&self, session: &Session) -> Result<(Session, u64), Error> {
        let reply = self.call(Method::GET, &session.place, &[], Payload::Nothing)?;
        let at = arrived(&reply.response).unwrap_or(0);
        Ok((self.session(reply, session.chunk)?, at))
    }
}

/// What to do before an upload goes on.
enum Pause {
    None,
    AsUsual,
    Longer(Duration),
}

/// Says whether an upload that ended with `error` can go on; `whole` if it was sent in one piece.
fn pause(error: &Error, whole: bool) -> Option<Pause> {
    match error {
        // Too large in one piece. The connection is often cut instead of this.
        Error::Unexpected { answer, .. } if answer.status == 413 && whole => Some(Pause::None),
        // The session is gone, or is elsewhere than we think.
        Error::Unexpected { answer, .. } if answer.status == 416 => Some(Pause::AsUsual),
        Error::Unexpected { answer, .. } | Error::NotFound(answer)
            if matches!(
                answer.code.as_str(),
                "BLOB_UPLOAD_UNKNOWN" | "BLOB_UPLOAD_INVALID" | "RANGE_INVALID" | "SIZE_INVALID"
            ) =>
        {
            Some(Pause::AsUsual)
        }
        error => error.passes().map(Pause::Longer),
    }
}

/// Returns the scope of writing to a repository.
fn push_scope(reference: &Reference) -> String {
    format!("repository:{}:pull,push", reference.path())
}

/// Reads how many bytes a session has, of `Range: 0-499`. An empty one says `0-0`, so that a single byte is not
/// believed.
fn arrived<T>(response: &Response<T>) -> Option<u64> {
    let range = text(response.headers(), &header::RANGE)?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (start, end) = range.split_once('-')?;
    let end = end.trim().parse::<u64>().ok().filter(|_| start.trim() == "0")?;
    Some(if end == 0 { 0 } else { end.saturating_add(1) })
}

/// Checks that the registry has understood the same bytes.
fn check_digest(what: &'static str, wanted: Digest, response: Response<ureq::Body>) -> Result<(), Error> {
    let got = text(response.headers(), &CONTENT_DIGEST).and_then(|text| text.parse::<Digest>().ok());
    drain(response);
    match got.filter(|got| *got != wanted) {
        Some(got) => Err(Error::DigestMismatch { what, wanted, got }),
        None => Ok(()),
    }
}

/// Tells whether a URL is on `host[:port]`.
fn is_at(url: &Uri, host: &str) -> bool {
    let Some(authority) = url.authority() else { return false };
    let usual = if url.scheme_str() == Some("https") { ":443" } else { ":80" };
    let plain = |host: &str| host.strip_suffix(usual).unwrap_or(host).to_ascii_lowercase();
    plain(authority.as_str()) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_much_has_arrived() {
        let read = |range: &str| arrived(&Response::builder().header("range", range).body(()).unwrap());
        assert_eq!(read("0-499"), Some(500));
        assert_eq!(read("bytes=0-499"), Some(500));
        assert_eq!(read("0-0"), Some(0));
        assert_eq!(read("5-9"), None);
        assert_eq!(read("0-x"), None);
        assert_eq!(arrived(&Response::new(())), None);
    }

    #[test]
    fn knows_its_own_host() {
        let at = |url: &str, host: &str| is_at(&url.parse().unwrap(), host);
        assert!(at("https://reg.example/v2/", "reg.example"));
        assert!(at("https://REG.example:443/v2/", "reg.example"));
        assert!(at("http://reg.example:5000/v2/", "reg.example:5000"));
        assert!(!at("https://reg.example:5000/v2/", "reg.example"));
        assert!(!at("https://other.example/v2/", "reg.example"));
        assert!(!at("https://u:p@reg.example/", "reg.example"));
    }
}
