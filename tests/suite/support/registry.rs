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
// Each of those who include it uses a part; the letters of the hash are the standard's.
#![allow(dead_code, clippy::many_single_char_names)]

#[path = "uploads.rs"]
mod uploads;

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

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
        lock(&self.shared).tokens.clear();
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

/// Answers the requests of one connection.
fn converse(stream: &TcpStream, address: SocketAddr, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = match read_request(&mut reader) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                // Someone who speaks TLS, for one.
                return (&*stream).write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
            }
            Err(error) => return Err(error),
        };
        let fault = lock(shared).fault_for(&request.path);
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let taken = match fault {
            Some(Fault::CutUpload { after } | Fault::StallUpload { after }) => length.min(after),
            _ => length,
        };
        request.body = vec![0; taken];
        reader.read_exact(&mut request.body)?;
        let response = {
            let mut state = lock(shared);
            state.requests.push(request.clone());
            match fault {
                Some(Fault::Status(..) | Fault::Redirect(_)) => Response::text(500, ""),
                Some(Fault::CutUpload { .. } | Fault::StallUpload { .. }) => {
                    state.keep(&request);
                    Response::text(500, "")
                }
                _ => state.answer(&request, address),
            }
        };
        send(stream, shared, &request, response, fault)?;
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().ok_or_else(bad)?.to_owned(), words.next().ok_or_else(bad)?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Some(Request { method, path, headers, body: Vec::new() }))
}

impl State {
    fn fault_for(&mut self, path: &str) -> Option<Fault> {
        for (part, times, fault) in &mut self.faults {
            if !path.contains(part.as_str()) {
                continue;
            }
            match times {
                Times::Always => return Some(fault.clone()),
                Times::First(0) => {}
                Times::First(left) => {
                    *left -= 1;
                    return Some(fault.clone());
                }
            }
        }
        None
    }

    fn answer(&mut self, request: &Request, address: SocketAddr) -> Response {
        let path = request.path.split('?').next().unwrap_or_default();
        if path == "/token" {
            return self.token(request);
        }
        if path == "/v1/search" && !self.found.is_empty() {
            return Response::text(200, &self.found);
        }
        if request.body.len() > self.limit {
            return Response::text(413, "<html>too large</html>");
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Response::text(404, "404 page not found\n");
        };
        if let Some(refusal) = self.refusal(request, address) {
            return refusal;
        }
        if rest.is_empty() {
            return Response::text(200, "{}");
        }
        if rest == "_catalog" || rest.ends_with("/tags/list") {
            return self.list(request, rest);
        }
        if rest.contains("/blobs/uploads/") {
            return self.upload(request, rest);
        }
        if request.method == "PUT" {
            return self.take_manifest(request, rest);
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            return match self.blob(repository, digest) {
                Some(bytes) => self.bytes(request, "application/octet-stream", digest, &bytes),
                None => Response::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            };
        }
        if let Some((repository, selector)) = rest.split_once("/manifests/") {
            return match self.manifests.get(&format!("{repository}/{selector}")) {
                Some((media_type, bytes)) => {
                    let mut response = self.bytes(request, media_type, &digest(bytes), bytes);
                    response.status = 200;
                    response.from = 0;
                    response
                }
                None => Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        Response::text(404, "404 page not found\n")
    }

    fn bytes(&self, request: &Request, kind: &str, digest: &str, bytes: &Arc<Vec<u8>>) -> Response {
        let mut headers = vec![
            ("Content-Type".to_owned(), kind.to_owned()),
            ("Docker-Content-Digest".to_owned(), digest.to_owned()),
        ];
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
        let from =
            range.and_then(|range| range.strip_suffix('-')).and_then(|from| from.parse::<usize>().ok());
        match from {
            Some(from) if self.ranges && from < bytes.len() => {
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                headers.push(("Content-Range".to_owned(), range));
                Response { status: 206, headers, body: Arc::clone(bytes), from }
            }
            Some(_) if self.ranges => Response::text(416, ""),
            _ => Response { status: 200, headers, body: Arc::clone(bytes), from: 0 },
        }
    }

    /// Returns the answer to a request that does not say who it is from, or lies.
    fn refusal(&self, request: &Request, address: SocketAddr) -> Option<Response> {
        let sent = request.header("authorization").unwrap_or_default();
        let challenge = match &self.auth {
            Auth::Open => return None,
            Auth::Basic { username, password } => {
                if sent == basic(username, password) {
                    return None;
                }
                "Basic realm=\"test\"".to_owned()
            }
            Auth::Bearer { .. } => {
                let path = request.path.split('?').next().unwrap_or_default().trim_start_matches("/v2/");
                let parts = ["/manifests/", "/blobs/", "/tags/"];
                let repository = parts.iter().find_map(|part| path.split_once(part)).map(|(name, _)| name);
                let writes = !matches!(request.method.as_str(), "GET" | "HEAD") || path.contains("/uploads/");
                let actions = if writes { "pull,push" } else { "pull" };
                let scope = repository.map(|name| format!("repository:{name}:{actions}"));
                // Who may push may pull.
                let enough = |allowed: &str| {
                    let needed = scope.as_deref().unwrap_or_default();
                    allowed.split(' ').any(|allowed| allowed.starts_with(needed))
                };
                let token = sent.strip_prefix("Bearer ").unwrap_or_default();
                if self.tokens.iter().any(|(known, allowed)| known == token && enough(allowed)) {
                    return None;
                }
                let scope = scope.map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
                format!("Bearer realm=\"http://{address}/token\",service=\"test\"{scope}")
            }
        };
        let mut response = Response::error(401, "UNAUTHORIZED", "authentication required");
        response.headers.push(("WWW-Authenticate".to_owned(), challenge));
        Some(response)
    }

    fn token(&mut self, request: &Request) -> Response {
        let Auth::Bearer { account, refresh } = &self.auth else {
            return Response::text(404, "404 page not found\n");
        };
        let known = if request.method == "POST" {
            let wanted = refresh.as_ref().map(|token| format!("refresh_token={token}"));
            wanted.is_some_and(|wanted| request.text().split('&').any(|field| field == wanted))
        } else {
            let sent = request.header("authorization").unwrap_or_default();
            account.as_ref().is_none_or(|(username, password)| sent == basic(username, password))
        };
        if !known {
            return Response::text(401, r#"{"details":"incorrect username or password"}"#);
        }
        let refresh = match (refresh, request.field("offline_token")) {
            (Some(refresh), Some(_)) => format!(r#","refresh_token":"{refresh}""#),
            _ => String::new(),
        };
        self.issued += 1;
        let token = format!("token-{}", self.issued);
        let text = request.text();
        let fields = if request.method == "POST" {
            text.as_str()
        } else {
            request.path.split('?').nth(1).unwrap_or_default()
        };
        let scopes: Vec<_> =
            fields.split('&').filter_map(|field| field.strip_prefix("scope=")).map(decode).collect();
        self.tokens.push((token.clone(), scopes.join(" ")));
        Response::text(200, &format!(r#"{{"token":"{token}","expires_in":300{refresh}}}"#))
    }
}

impl Response {
    fn text(status: u16, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: Arc::new(body.as_bytes().to_vec()), from: 0 }
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        Self::text(status, &format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#))
    }
}

fn send(
    mut stream: &TcpStream,
    shared: &Shared,
    request: &Request,
    mut response: Response,
    fault: Option<Fault>,
) -> io::Result<()> {
    let cut = || {
        // Both directions at once: a client must not be able to send into the void.
        stream.shutdown(Shutdown::Both)?;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    match &fault {
        Some(Fault::Hangup | Fault::CutUpload { .. }) => return cut(),
        Some(Fault::StallUpload { .. }) => {
            wait_for_end(shared);
            return cut();
        }
        Some(Fault::Status(status, headers, body)) => {
            response = Response::text(*status, body);
            response.headers.extend(headers.iter().cloned());
        }
        Some(Fault::Redirect(to)) => {
            let digest = request.path.rsplit('/').next().unwrap_or_default();
            response = Response::text(307, "");
            response.headers.push(("Location".to_owned(), format!("{to}{digest}")));
        }
        Some(Fault::Replace(bytes)) => {
            response.body = Arc::new(bytes.clone());
            response.from = response.from.min(bytes.len());
        }
        _ => {}
    }
    let mut body = &response.body[response.from..];
    if let Some(Fault::Shorten { to }) = fault {
        body = &body[..to.min(body.len())];
    }
    let mut head = Vec::new();
    write!(head, "HTTP/1.1 {} Whatever\r\n", response.status)?;
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    if matches!(fault, Some(Fault::Chunked)) {
        write!(head, "Transfer-Encoding: chunked\r\n\r\n")?;
    } else {
        write!(head, "Content-Length: {}\r\n\r\n", body.len())?;
    }
    stream.write_all(&head)?;
    if request.method == "HEAD" {
        return Ok(());
    }
    match fault {
        Some(Fault::Cut { after }) => {
            stream.write_all(&body[..after.min(body.len())])?;
            cut()
        }
        Some(Fault::Stall { after }) => {
            stream.write_all(&body[..after.min(body.len())])?;
            wait_for_end(shared);
            cut()
        }
        Some(Fault::Slow { piece, pause }) => {
            for piece in body.chunks(piece) {
                stream.write_all(piece)?;
                thread::sleep(pause);
            }
            Ok(())
        }
        Some(Fault::Chunked) => {
            for piece in body.chunks(1000) {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                stream.write_all(piece)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        _ => stream.write_all(body),
    }
}

fn wait_for_end(shared: &Shared) {
    let mut state = lock(shared);
    while !shared.over.load(Ordering::SeqCst) {
        let waited = shared.wake.wait_timeout(state, Duration::from_millis(100));
        state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
}

/// Returns the value of `Authorization` for a name and a password.
pub(crate) fn basic(username: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "Basic ".to_owned();
    for bytes in format!("{username}:{password}").as_bytes().chunks(3) {
        let group = bytes.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - bytes.len()));
        for place in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= bytes.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Returns the digest of `bytes` (FIPS 180-4, section 6.2), computed apart from the code under test.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let mut hash: [u32; 8] = std::array::from_fn(|i| root(prime(i), 2));
    let constants: [u32; 64] = std::array::from_fn(|i| root(prime(i), 3));
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut words = [0_u32; 64];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for i in 16..64 {
            let (early, late) = (words[i - 15], words[i - 2]);
            let first = early.rotate_right(7) ^ early.rotate_right(18) ^ early >> 3;
            let second = late.rotate_right(17) ^ late.rotate_right(19) ^ late >> 10;
            words[i] = words[i - 16].wrapping_add(first).wrapping_add(words[i - 7]).wrapping_add(second);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = hash;
        for (constant, word) in constants.iter().zip(words) {
            let mix = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let first =
                h.wrapping_add(mix).wrapping_add(e & f ^ !e & g).wrapping_add(*constant).wrapping_add(word);
            let mix = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let second = mix.wrapping_add(a & b ^ a & c ^ b & c);
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(first), c, b, a, first.wrapping_add(second));
        }
        for (sum, word) in hash.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *sum = sum.wrapping_add(word);
        }
    }
    hash.iter().fold("sha256:".to_owned(), |text, word| text + &format!("{word:08x}"))
}

fn prime(index: usize) -> u128 {
    (2..)
        .filter(|n: &u128| (2..*n).all(|d: u128| !n.is_multiple_of(d)))
        .nth(index)
        .expect("there are more primes")
}

/// Returns the first 32 bits of the fractional part of a square or cube root.
fn root(of: u128, degree: u32) -> u32 {
    // The largest r with r^degree <= of * 2^(32 * degree), bit by bit.
    let target = of << (32 * degree);
    let mut root = 0_u128;
    for bit in (0..40).rev() {
        let next = root | 1 << bit;
        if next.pow(degree) <= target {
            root = next;
        }
    }
    (root & 0xffff_ffff) as u32
}
