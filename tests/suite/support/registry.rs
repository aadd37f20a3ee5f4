//! A registry in the test's own process, on the loopback interface, that can be told to misbehave.
//!
//! It speaks the distribution protocol: `GET` and `HEAD` of manifests and blobs, ranges, redirects, uploads (whole, in
//! chunks, by mount), lists of tags, Basic authentication, and Bearer tokens from a token service of its own at
//! `/token`.
//! It uses the standard library alone, so that both the suite and the unit tests of the client include it.
//!
//! ```ignore
//! let registry = Registry::start();
//! let layer = registry.blob(bytes);
//! registry.manifest("library/thing", "latest", MEDIA_TYPE, manifest_bytes);
//! registry.fault("/blobs/", Times::First(1), Fault::Cut { after: 1000 });
//! // … pull {registry.host()}/library/thing …
//! assert_eq!(registry.requests("/blobs/").len(), 2);
//! ```
// Each of those who include it uses a part.
#![allow(dead_code)]

#[path = "registry/answers.rs"]
mod answers;
#[path = "registry/conversation.rs"]
mod conversation;
#[path = "registry/sums.rs"]
mod sums;
#[path = "registry/uploads.rs"]
mod uploads;

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use conversation::converse;
pub(crate) use sums::{basic, digest};

/// A running registry; it ends when dropped.
pub(crate) struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What a path does instead of answering well.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Sends so many bytes of the body and closes the connection.
    Cut { after: usize },
    /// Sends so many bytes of the body and then nothing, for as long as the registry lives.
    Stall { after: usize },
    /// Sends the body in pieces of so many bytes, with a pause after each.
    Slow { piece: usize, pause: Duration },
    /// Closes the connection before the answer.
    Hangup,
    /// Says that the body is shorter than it is, and sends as much.
    Shorten { to: usize },
    /// Says that the body is so much longer than it is, and closes the connection at its end.
    Lengthen { by: usize },
    /// Answers well, but with these headers instead of its own.
    Headers(Vec<(String, String)>),
    /// Sends other bytes, with everything else as if they were right.
    Replace(Vec<u8>),
    /// Answers with a status, extra headers and a body.
    Status(u16, Vec<(String, String)>, String),
    /// Redirects to an address, to which the digest of the blob is added.
    Redirect(String),
    /// Sends the body without saying how long it is, in chunks.
    Chunked,
    /// Takes so many bytes of what is sent to it and closes the connection.
    CutUpload { after: usize },
    /// Stops knowing the tokens that were given out, and answers well.
    Expire,
    /// Takes so many bytes of what is sent to it, refuses who sends it, and closes the connection.
    RefuseUpload { after: usize },
    /// Takes so many bytes of what is sent to it and then does nothing, for as long as the registry lives.
    StallUpload { after: usize },
}

/// How many requests a fault is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Times {
    /// The first so many.
    First(usize),
    /// All of them.
    Always,
}

/// Whom the registry serves.
#[derive(Debug, Clone)]
pub(crate) enum Auth {
    /// Everyone.
    Open,
    /// Who has this name and password.
    Basic { username: String, password: String },
    /// Who has a token of the registry's own token service, which gives one to everyone, or to who has
    /// this name and password, or (by POST) to who has this refresh token.
    Bearer { account: Option<(String, String)>, refresh: Option<String> },
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    /// With names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns a field of the query, decoded.
    fn field(&self, name: &str) -> Option<String> {
        let (_, query) = self.path.split_once('?')?;
        query
            .split('&')
            .filter_map(|field| field.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|f| decode(f.1))
    }
}

/// Undoes the encoding of a query.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next()) * 16 + digit(rest.next())).unwrap_or(b'?'),
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    over: AtomicBool,
}

struct State {
    blobs: HashMap<String, Arc<Vec<u8>>>,
    /// The repositories of blobs that are not in all.
    homes: HashMap<String, HashSet<String>>,
    /// Uploads that have begun, by their address.
    sessions: HashMap<String, Vec<u8>>,
    begun: usize,
    /// The longest body.
    limit: usize,
    /// How many tags a page has.
    page: usize,
    mounts: bool,
    found: String,
    /// By repository, slash, tag or digest.
    manifests: HashMap<String, (String, Arc<Vec<u8>>)>,
    faults: Vec<(String, Times, Fault)>,
    auth: Auth,
    ranges: bool,
    /// With what they allow.
    tokens: Vec<(String, String)>,
    issued: usize,
    requests: Vec<Request>,
    connections: usize,
}

struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Arc<Vec<u8>>,
    from: usize,
}

impl Registry {
    /// Starts an empty registry on a free port of 127.0.0.1.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let state = State {
            blobs: HashMap::new(),
            homes: HashMap::new(),
            sessions: HashMap::new(),
            begun: 0,
            limit: usize::MAX,
            page: 1000,
            mounts: true,
            found: String::new(),
            manifests: HashMap::new(),
            faults: Vec::new(),
            auth: Auth::Open,
            ranges: true,
            tokens: Vec::new(),
            issued: 0,
            requests: Vec::new(),
            connections: 0,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new(), over: AtomicBool::new(false) });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.over.load(Ordering::SeqCst) {
                    return;
                }
                lock(&accepting).connections += 1;
                let shared = Arc::clone(&accepting);
                // An error here is a client that went away.
                thread::spawn(move || drop(converse(&stream, address, &shared)));
            }
        });
        Self { address, shared }
    }

    /// Returns `127.0.0.1:port`, the domain of the references that name its images.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Adds a blob and returns its digest.
    pub(crate) fn blob(&self, bytes: impl Into<Vec<u8>>) -> String {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        lock(&self.shared).blobs.insert(digest.clone(), Arc::new(bytes));
        digest
    }

    /// Adds a manifest under a tag and under its digest, which it returns.
    pub(crate) fn manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        bytes: impl Into<Vec<u8>>,
    ) -> String {
        let bytes = bytes.into();
        let digest = digest(&bytes);
        let entry = (media_type.to_owned(), Arc::new(bytes));
        let mut state = lock(&self.shared);
        state.manifests.insert(format!("{repository}/{tag}"), entry.clone());
        state.manifests.insert(format!("{repository}/{digest}"), entry);
        digest
    }

    /// Adds a blob that only one repository has.
    pub(crate) fn blob_in(&self, repository: &str, bytes: impl Into<Vec<u8>>) -> String {
        let digest = self.blob(bytes);
        lock(&self.shared).homes.insert(digest.clone(), HashSet::from([repository.to_owned()]));
        digest
    }

    /// Returns a blob, if a repository has it.
    pub(crate) fn blob_of(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        lock(&self.shared).blob(repository, digest).map(|bytes| bytes.to_vec())
    }

    /// Returns the media type and the bytes of a manifest, by its tag or digest.
    pub(crate) fn manifest_of(&self, repository: &str, selector: &str) -> Option<(String, Vec<u8>)> {
        let state = lock(&self.shared);
        let (media_type, bytes) = state.manifests.get(&format!("{repository}/{selector}"))?;
        Some((media_type.clone(), bytes.to_vec()))
    }

    /// Refuses bodies that are longer.
    pub(crate) fn limit(&self, bytes: usize) {
        lock(&self.shared).limit = bytes;
    }

    /// Says how many tags a page of a list has.
    pub(crate) fn page(&self, tags: usize) {
        lock(&self.shared).page = tags;
    }

    /// Says whether blobs are mounted.
    pub(crate) fn mounts(&self, done: bool) {
        lock(&self.shared).mounts = done;
    }

    /// Says what a search answers.
    pub(crate) fn search(&self, body: &str) {
        body.clone_into(&mut lock(&self.shared).found);
    }

    /// Returns how many uploads have begun and not ended.
    pub(crate) fn sessions(&self) -> usize {
        lock(&self.shared).sessions.len()
    }

    /// Forgets all uploads that have begun.
    pub(crate) fn forget_sessions(&self) {
        lock(&self.shared).sessions.clear();
    }

    /// Forgets a blob.
    pub(crate) fn remove_blob(&self, digest: &str) {
        lock(&self.shared).blobs.remove(digest);
    }

    /// Lets requests whose path contains `path` meet `fault`. Of several faults for a path, the first that
    /// has not had its times counts.
    pub(crate) fn fault(&self, path: &str, times: Times, fault: Fault) {
        lock(&self.shared).faults.push((path.to_owned(), times, fault));
    }

    /// Lets requests meet a status with an error in the form of the specification.
    pub(crate) fn refuse(&self, path: &str, times: Times, status: u16, code: &str, message: &str) {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        self.fault(path, times, Fault::Status(status, Vec::new(), body));
    }

    /// Takes all faults back.
    pub(crate) fn mend(&self) {
        lock(&self.shared).faults.clear();
    }

    /// Says whom to serve.
    pub(crate) fn require(&self, auth: Auth) {
        lock(&self.shared).auth = auth;
    }

    /// Stops knowing the tokens that were given out.
    pub(crate) fn expire_tokens(&self) {
        lock(&self.shared).expire();
    }

    /// Begins an upload by hand, and returns its address.
    pub(crate) fn begin_upload(&self, repository: &str) -> String {
        let address = format!("/v2/{repository}/blobs/uploads/by-hand");
        lock(&self.shared).sessions.insert(address.clone(), Vec::new());
        format!("http://{}{address}", self.address)
    }

    /// Says whether `Range` is honoured.
    pub(crate) fn ranges(&self, honoured: bool) {
        lock(&self.shared).ranges = honoured;
    }

    /// Returns the requests so far whose path contains `path`.
    pub(crate) fn requests(&self, path: &str) -> Vec<Request> {
        let state = lock(&self.shared);
        state.requests.iter().filter(|request| request.path.contains(path)).cloned().collect()
    }

    /// Returns how many connections were made.
    pub(crate) fn connections(&self) -> usize {
        lock(&self.shared).connections
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.wake.notify_all();
        // The accepting thread sees it with the next connection.
        drop(TcpStream::connect(self.address));
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
