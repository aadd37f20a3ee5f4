//! One request, and the redirects it leads to.
//!
//! There are a few HTTP agents, made when first needed: they differ in whether certificates are checked,
//! whether there is a proxy, and which hosts have certificates of their own. Reading the root certificates costs milliseconds, so a plain or unchecked
//! connection never does it.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ureq::http::{self, HeaderMap, HeaderName, Method, Response, Uri, header};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
use ureq::{Agent, Body, SendBody};

use super::access::{Access, Certificates};
use super::error::{Answer, Error, Fault, clean};
use super::resolve::{NoSuchHost, Resolver};
use super::tls::{Belief, Wrap};

/// The longest body of an error or a redirect that is read.
const SMALL_BODY: u64 = 64 << 10;
const REDIRECTS: usize = 10;

/// What a request carries.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// Nothing.
    Nothing,
    /// These bytes, of this media type.
    Bytes(&'a str, &'a [u8]),
    /// So many bytes of a source, from an offset on. It is opened anew for each attempt.
    Stream { source: &'a dyn Source, offset: u64, length: u64 },
}

/// Content that is sent, perhaps several times.
pub trait Source {
    /// Opens it at an offset. What is asked of the reader is sent at once, so it may count progress.
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + '_>>;
}

/// One request.
#[derive(Clone)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) accept: &'a str,
    /// For the host of `url` alone.
    pub(super) authorization: Option<String>,
    pub(super) headers: &'a [(HeaderName, String)],
    pub(super) payload: Payload<'a>,
}

impl<'a> Request<'a> {
    /// A GET of `url`.
    pub(super) fn get(url: &'a str, accept: &'a str) -> Self {
        let payload = Payload::Nothing;
        Self { method: Method::GET, url, accept, authorization: None, headers: &[], payload }
    }

    /// Returns the method as Go's errors write it: `Get`.
    fn verb(&self) -> &'static str {
        verb(&self.method)
    }
}

/// Returns a method as Go's errors write it: `Get`.
pub(super) fn verb(method: &Method) -> &'static str {
    match *method {
        Method::HEAD => "Head",
        Method::POST => "Post",
        Method::PUT => "Put",
        Method::PATCH => "Patch",
        Method::DELETE => "Delete",
        _ => "Get",
    }
}

/// A response of any status.
pub(super) struct Reply {
    pub(super) response: Response<Body>,
    /// Whether it came from another host than the one that was asked.
    pub(super) redirected: bool,
    /// Where it came from.
    pub(super) url: Uri,
}

/// A stream of our own that is sent. What goes wrong with it is no fault of the connection.
struct Exact<'a> {
    reader: Box<dyn Read + 'a>,
    left: u64,
    failure: Option<String>,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let failure = match self.reader.read(&mut buffer[..room]) {
            Ok(0) => format!("it ends {} bytes too early", self.left),
            Ok(count) => {
                self.left -= count as u64;
                return Ok(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => error.to_string(),
        };
        self.failure = Some(failure.clone());
        Err(io::Error::other(failure))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Trust {
    /// Plain http.
    None,
    /// TLS with any certificate.
    Any,
    /// TLS with a certificate that a known authority has signed.
    Roots,
}

/// What tells one agent from another: the trust, the proxy, and the host if it has certificates of its own.
type Kind = (Trust, Option<String>, Option<String>);

#[derive(Debug)]
pub(super) struct Transport {
    agents: Mutex<HashMap<Kind, Agent>>,
    resolver: Resolver,
}

impl Transport {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { agents: Mutex::default(), resolver }
    }

    /// Sends `request` and follows its redirects: all of them where nothing is changed, else only those that
    /// keep the method.
    pub(super) fn send(&self, access: &Access, request: &Request) -> Result<Reply, Error> {
        let mut url = parse(request.url, request.url)?;
        let asked = url.clone();
        let safe = matches!(request.method, Method::GET | Method::HEAD);
        for _ in 0..=REDIRECTS {
            let redirected = origin(&url) != origin(&asked);
            let response = self.send_once(access, request, &url, !redirected)?;
            match response.status().as_u16() {
                307 | 308 => {}
                301..=303 if safe => {}
                _ => return Ok(Reply { response, redirected, url }),
            }
            let Some(location) = text(response.headers(), &header::LOCATION) else {
                return Err(Error::Protocol(format!("redirect without a location from {}", shown(&url))));
            };
            url = parse(&join(&url, location), request.url)?;
            drain(response);
        }
        Err(Error::Protocol(format!("too many redirects from {}", request.url)))
    }

    fn send_once(
        &self,
        access: &Access,
        request: &Request,
        url: &Uri,
        authorized: bool,
    ) -> Result<Response<Body>, Error> {
        let agent = self.agent(access, url)?;
        let mut builder = http::Request::builder()
            .method(request.method.clone())
            .uri(url)
            .header(header::ACCEPT, request.accept);
        for (name, value) in access.headers.iter().filter(|_| authorized) {
            builder = builder.header(name, value);
        }
        if let Some(value) = request.authorization.as_ref().filter(|_| authorized) {
            builder = builder.header(header::AUTHORIZATION, value);
        }
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let wrong = |error: http::Error| Error::Protocol(format!("request {}: {error}", shown(url)));
        let sent = match request.payload {
            Payload::Nothing if matches!(request.method, Method::POST | Method::PUT | Method::PATCH) => {
                agent.run(builder.body(&[][..]).map_err(wrong)?)
            }
            Payload::Nothing => agent.run(builder.body(()).map_err(wrong)?),
            Payload::Bytes(kind, bytes) => {
                agent.run(builder.header(header::CONTENT_TYPE, kind).body(bytes).map_err(wrong)?)
            }
            Payload::Stream { source, offset, length } => {
                let reader = source.open(offset).map_err(|error| Error::Local(error.to_string()))?;
                let mut exact = Exact { reader, left: length, failure: None };
                let builder = builder
                    .header(header::CONTENT_TYPE, "application/octet-stream")
                    .header(header::CONTENT_LENGTH, length);
                let request = builder.body(SendBody::from_reader(&mut exact)).map_err(wrong)?;
                let sent = agent.run(request);
                if let Some(failure) = exact.failure {
                    return Err(Error::Local(failure));
                }
                sent
            }
        };
        sent.map_err(|error| {
            let (fault, mut reason) = explain(&error, &access.patience.stall);
            if let Some(connect) = reason.strip_prefix("connect: ") {
                let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
                let (host, port) = (url.host().unwrap_or_default(), url.port_u16().unwrap_or(usual));
                reason = format!("dial tcp {host}:{port}: connect: {connect}");
            }
            Error::Unreachable { verb: request.verb(), url: shown(url), reason, fault }
        })
    }

    fn agent(&self, access: &Access, url: &Uri) -> Result<Agent, Error> {
        let https = url.scheme_str() == Some("https");
        let host = url.authority().map_or("", http::uri::Authority::as_str);
        let trust = match https {
            false => Trust::None,
            true if access.is_unchecked(host) => Trust::Any,
            true => Trust::Roots,
        };
        let proxy = access.proxies.pick(https, host);
        let own = access.certificates.get(host).filter(|_| https);
        let key = (trust, proxy.map(str::to_owned), own.map(|_| host.to_owned()));
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self.build(access, trust, proxy, own)?;
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn build(
        &self,
        access: &Access,
        trust: Trust,
        proxy: Option<&str>,
        own: Option<&Certificates>,
    ) -> Result<Agent, Error> {
        let proxy = proxy.map(proxy_of).transpose()?;
        // A proxy that is itself reached over TLS needs the certificates even for plain requests.
        let over_tls = proxy.as_ref().is_some_and(|p| p.protocol() == ureq::ProxyProtocol::Https);
        let belief = match trust {
            Trust::Roots => Belief::Authorities(own.map_or(&[], |own| &own.authorities)),
            Trust::None if over_tls => Belief::Authorities(&[]),
            Trust::None | Trust::Any => Belief::Anybody,
        };
        let wrap = Wrap::new(belief, own.and_then(|own| own.client.as_ref()))?;
        let patience = &access.patience;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent(concat!("coracle/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall))
            .max_idle_connections(16)
            .max_idle_connections_per_host(16)
            .build();
        let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(wrap);
        Ok(Agent::with_parts(config, connector, self.resolver.clone()))
    }
}

fn proxy_of(url: &str) -> Result<ureq::Proxy, Error> {
    // The address may hold a password, so it is not in these texts.
    match ureq::Proxy::new(url) {
        Ok(proxy) => match proxy.protocol() {
            ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(proxy),
            other => Err(Error::Protocol(format!("{other} proxies are not supported, only http and https"))),
        },
        Err(_) => Err(Error::Protocol("invalid address of a proxy in the environment".to_owned())),
    }
}

impl Reply {
    /// Reads an error out of a response whose status is one.
    pub(super) fn into_error(self) -> Error {
        let status = self.response.status().as_u16();
        let after = retry_after(self.response.headers());
        Answer::read(status, &drain(self.response)).into_error(after)
    }
}

/// Reads a small body to its end, so that the connection can be used again.
pub(super) fn drain(response: Response<Body>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What is missing of an error's body does not change that it is an error.
    let _ = response.into_body().into_reader().take(SMALL_BODY).read_to_end(&mut bytes);
    bytes
}

/// Reads a body of at most `limit` bytes; `what` names it.
pub(super) fn read_small(
    response: Response<Body>,
    limit: u64,
    what: &str,
    verb: &'static str,
    url: &str,
    stall: &Duration,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let body = response.into_body().into_reader();
    body.take(limit + 1).read_to_end(&mut bytes).map_err(|error| {
        let (fault, reason) = explain(&ureq::Error::from(error), stall);
        Error::Unreachable { verb, url: url.to_owned(), reason, fault }
    })?;
    if bytes.len() as u64 > limit {
        return Err(Error::Protocol(format!("{what} is larger than {} MiB", limit >> 20)));
    }
    Ok(bytes)
}

/// Returns a header as text, if it is one.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

pub(super) fn parse(url: &str, asked: &str) -> Result<Uri, Error> {
    let uri = url.parse::<Uri>().ok();
    let right = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    };
    uri.filter(right).ok_or_else(|| Error::Protocol(format!("bad address {:?} from {asked}", clean(url))))
}

pub(super) fn origin(url: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    (url.scheme_str(), url.host().map(str::to_ascii_lowercase), url.port_u16())
}

/// A URL without its query: those of redirects hold signatures.
pub(super) fn shown(url: &Uri) -> String {
    let host = url.authority().map_or("", http::uri::Authority::as_str);
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{}://{host}{}", url.scheme_str().unwrap_or("http"), url.path())
}

/// Resolves a `Location` against the URL it came from (RFC 3986, section 5.2, for what servers send).
pub(super) fn join(base: &Uri, location: &str) -> String {
    let scheme = base.scheme_str().unwrap_or("https");
    let host = base.authority().map_or("", http::uri::Authority::as_str);
    if location.contains("://") && !location.starts_with('/') {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else {
        let dir = base.path().rsplit_once('/').map_or("", |(dir, _)| dir);
        format!("{scheme}://{host}{dir}/{location}")
    }
}

/// Says what happened, in words that Go programs use where they have some.
pub(super) fn explain(error: &ureq::Error, stall: &Duration) -> (Fault, String) {
    match error {
        ureq::Error::Io(error) => explain_io(error),
        ureq::Error::Tls(text) => (Fault::Tls, format!("tls: {text}")),
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            (Fault::Refused, "dial tcp: i/o timeout".to_owned())
        }
        ureq::Error::Timeout(_) => (Fault::Stalled, format!("nothing received for {}s", stall.as_secs_f32())),
        ureq::Error::Other(error) if error.is::<NoSuchHost>() => (Fault::NoSuchHost, error.to_string()),
        ureq::Error::ConnectProxyFailed(text) => (Fault::Setup, format!("proxy: {}", clean(text))),
        ureq::Error::Protocol(_) | ureq::Error::BodyStalled => (Fault::Cut, error.to_string()),
        other => (Fault::Setup, other.to_string()),
    }
}

fn explain_io(error: &io::Error) -> (Fault, String) {
    use io::ErrorKind;
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return (Fault::Tls, explain_tls(tls));
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => (Fault::Refused, "connect: connection refused".to_owned()),
        ErrorKind::HostUnreachable => (Fault::Refused, "connect: no route to host".to_owned()),
        ErrorKind::NetworkUnreachable => (Fault::Refused, "connect: network is unreachable".to_owned()),
        ErrorKind::UnexpectedEof => (Fault::Cut, "unexpected EOF".to_owned()),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            (Fault::Cut, "connection reset by peer".to_owned())
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => (Fault::Stalled, "i/o timeout".to_owned()),
        _ => (Fault::Setup, error.to_string()),
    }
}

fn explain_tls(error: &rustls::Error) -> String {
    use rustls::CertificateError;
    match error {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            "http: server gave HTTP response to HTTPS client".to_owned()
        }
        // A self-signed certificate that nobody has said to be believed is an authority as a rule.
        rustls::Error::InvalidCertificate(CertificateError::Other(reason))
            if reason.to_string().contains("CaUsedAsEndEntity") =>
        {
            explain_tls(&CertificateError::UnknownIssuer.into())
        }
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned(),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => {
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid".to_owned()
        }
        rustls::Error::InvalidCertificate(reason) => {
            format!("tls: failed to verify certificate: {reason}")
        }
        other => format!("tls: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_locations() {
        let base: Uri = "https://reg.example:5000/v2/a/blobs/x?q=1".parse().unwrap();
        assert_eq!(join(&base, "http://cdn.example/y"), "http://cdn.example/y");
        assert_eq!(join(&base, "//cdn.example/y"), "https://cdn.example/y");
        assert_eq!(join(&base, "/y?z=http://q"), "https://reg.example:5000/y?z=http://q");
        assert_eq!(join(&base, "y"), "https://reg.example:5000/v2/a/blobs/y");
        for bad in ["ftp://a/b", "/only/path", "https://", "https:///x", "http://a b/"] {
            assert!(parse(bad, "x").is_err(), "{bad}");
        }
    }

    #[test]
    fn shows_no_secrets() {
        let url: Uri = "https://u:p@cdn.example/blob?X-Signature=abc".parse().unwrap();
        assert_eq!(shown(&url), "https://cdn.example/blob");
        assert!(!format!("{:?}", proxy_of("socks5://u:secret@p:1").unwrap_err()).contains("secret"));
        assert!(proxy_of("http://p.example:3128").is_ok());
    }

    #[test]
    fn reads_retry_after() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
        headers.insert(header::RETRY_AFTER, "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
        headers.insert(header::RETRY_AFTER, "soon".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }
}
