//! The client against a registry that misbehaves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::fixture::{Auth, Fault as Wrong, Registry, Times, digest};
use super::*;
use crate::oci::{Digest, Reference};

mod upload;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn access() -> Access {
    let patience = Patience {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(600),
        attempts: 3,
        pause: Duration::from_millis(5),
        longest_pause: Duration::from_secs(1),
    };
    Access { patience, ..Access::default() }
}

/// For a registry that has much to hash, which takes its time in a build without optimisation.
fn patient() -> Access {
    let mut access = access();
    access.patience.stall = Duration::from_secs(60);
    access
}

fn named(registry: &Registry) -> Reference {
    Reference::parse(&format!("{}/library/thing:1", registry.host())).unwrap()
}

/// Bytes that do not repeat soon.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn stocked() -> (Registry, Reference, String) {
    let registry = Registry::start();
    let digest = registry.manifest("library/thing", "1", MANIFEST, r#"{"config":{}}"#);
    let reference = named(&registry);
    (registry, reference, digest)
}

/// Pulls a blob whole and says how it went.
fn pull(client: &Client, registry: &Registry, digest: &str, size: usize) -> Result<Vec<u8>, Error> {
    let mut blob = client.blob(&named(registry), digest.parse().unwrap(), size as u64, 0)?;
    let mut got = Vec::new();
    match blob.read_to_end(&mut got) {
        Ok(_) => Ok(got),
        Err(error) => Err(error.downcast::<Error>().unwrap()),
    }
}

#[test]
fn the_fixture_hashes_right() {
    for length in [0, 1, 55, 56, 63, 64, 119, 120, 1000] {
        let bytes = bytes(length);
        assert_eq!(digest(&bytes), Digest::of(&bytes).to_string(), "{length}");
    }
}

#[test]
fn fetches_manifests_by_tag_and_digest() {
    let (registry, reference, digest) = stocked();
    let client = Client::new(access());
    let fetched = client.manifest(&reference).unwrap();
    assert_eq!(fetched.digest.to_string(), digest);
    assert_eq!((fetched.bytes.as_slice(), fetched.media_type.as_str()), (&br#"{"config":{}}"#[..], MANIFEST));
    let by_digest = reference.with_digest(fetched.digest);
    assert_eq!(client.manifest(&by_digest).unwrap(), fetched);

    let sent = registry.requests("/manifests/");
    assert_eq!(sent.len(), 2);
    assert!(sent[0].path.ends_with("/v2/library/thing/manifests/1"));
    assert!(sent[1].path.ends_with(&digest));
    let accept = sent[0].header("accept").unwrap();
    for kind in
        ["oci.image.index.v1", "oci.image.manifest.v1", "manifest.list.v2", "distribution.manifest.v2"]
    {
        assert!(accept.contains(kind), "{accept}");
    }
    // One for the attempt at TLS, one for all that follows.
    assert_eq!(registry.connections(), 2);
}

#[test]
fn checks_the_digest_of_a_manifest() {
    let (registry, reference, digest) = stocked();
    registry.fault("/manifests/", Times::Always, Wrong::Replace(b"{}".to_vec()));
    let client = Client::new(access());
    for reference in [reference.with_digest(digest.parse().unwrap()), reference] {
        assert!(matches!(client.manifest(&reference), Err(Error::DigestMismatch { .. })));
    }
}

#[test]
fn limits_the_size_of_a_manifest() {
    let (registry, reference, _) = stocked();
    registry.manifest("library/thing", "1", MANIFEST, vec![b' '; (4 << 20) + 1]);
    assert!(matches!(Client::new(patient()).manifest(&reference), Err(Error::Protocol(_))));
}

#[test]
fn passes_on_what_the_registry_says() {
    let (registry, reference, _) = stocked();
    let client = Client::new(access());
    let other = Reference::parse(&format!("{}/library/thing:2", registry.host())).unwrap();
    let error = client.manifest(&other).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)));
    assert_eq!(
        error.of_pull(&other),
        format!(
            "manifest for {}/library/thing:2 not found: manifest unknown: manifest unknown",
            registry.host()
        )
    );
    registry.refuse("/manifests/1", Times::Always, 403, "DENIED", "not for you");
    assert_eq!(client.manifest(&reference).unwrap_err().to_string(), "denied: not for you");
    assert_eq!(registry.requests("/manifests/1").len(), 1);
}

#[test]
fn tries_again_what_may_pass() {
    let (registry, reference, _) = stocked();
    let client = Client::new(access());
    registry.refuse("/manifests/", Times::First(1), 503, "UNAVAILABLE", "busy");
    registry.refuse("/manifests/", Times::First(1), 429, "TOOMANYREQUESTS", "slow down");
    assert!(client.manifest(&reference).is_ok());
    assert_eq!(registry.requests("/manifests/").len(), 3);

    registry.mend();
    registry.fault("/manifests/", Times::First(1), Wrong::Hangup);
    registry.fault("/manifests/", Times::First(1), Wrong::Cut { after: 3 });
    assert!(client.manifest(&reference).is_ok());

    registry.mend();
    registry.refuse("/manifests/", Times::Always, 429, "TOOMANYREQUESTS", "slow down");
    let error = client.manifest(&reference).unwrap_err();
    assert_eq!(error.to_string(), "toomanyrequests: slow down");

    registry.mend();
    let later = vec![("Retry-After".to_owned(), "3600".to_owned())];
    registry.fault("/manifests/", Times::Always, Wrong::Status(429, later, String::new()));
    let before = registry.requests("/manifests/").len();
    assert!(matches!(client.manifest(&reference), Err(Error::RateLimited { .. })));
    assert_eq!(registry.requests("/manifests/").len(), before + 1);
}

#[test]
fn resumes_a_cut_blob_where_it_was() {
    let registry = Registry::start();
    let content = bytes(300_000);
    let digest = registry.blob(content.clone());
    registry.fault("/blobs/", Times::First(1), Wrong::Cut { after: 100_000 });
    registry.fault("/blobs/", Times::First(1), Wrong::Stall { after: 50_000 });
    let client = Client::new(access());
    assert!(pull(&client, &registry, &digest, content.len()).unwrap() == content);
    let sent = registry.requests("/blobs/");
    let ranges: Vec<_> = sent.iter().map(|request| request.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-"), Some("bytes=150000-")]);
}

#[test]
fn resumes_without_ranges_too() {
    let registry = Registry::start();
    registry.ranges(false);
    let content = bytes(300_000);
    let digest = registry.blob(content.clone());
    registry.fault("/blobs/", Times::First(2), Wrong::Cut { after: 100_000 });
    registry.fault("/blobs/", Times::First(1), Wrong::Chunked);
    let client = Client::new(access());
    assert!(pull(&client, &registry, &digest, content.len()).unwrap() == content);

    let mut rest = Vec::new();
    let mut blob = client.blob(&named(&registry), digest.parse().unwrap(), 300_000, 299_000).unwrap();
    blob.read_to_end(&mut rest).unwrap();
    assert!(rest == content[299_000..]);
}

#[test]
fn starts_a_blob_in_the_middle() {
    let registry = Registry::start();
    let content = bytes(1000);
    let digest: Digest = registry.blob(content.clone()).parse().unwrap();
    let client = Client::new(access());
    for offset in [0, 1, 999, 1000] {
        let mut rest = Vec::new();
        let mut blob = client.blob(&named(&registry), digest, 1000, offset as u64).unwrap();
        blob.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, content[offset..]);
    }
    assert_eq!(pull(&client, &registry, &registry.blob(""), 0).unwrap(), b"");
}

#[test]
fn gives_up_on_a_blob_that_never_comes() {
    let registry = Registry::start();
    let digest = registry.blob(bytes(1000));
    let client = Client::new(access());
    for fault in [Wrong::Cut { after: 10 }, Wrong::Stall { after: 10 }] {
        registry.mend();
        registry.fault("/blobs/", Times::Always, fault);
        let start = Instant::now();
        let error = pull(&client, &registry, &digest, 1000).unwrap_err();
        assert!(matches!(error, Error::Unreachable { fault: Fault::Cut | Fault::Stalled, .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn tells_slow_from_stalled() {
    let registry = Registry::start();
    let content = bytes(1000);
    let digest = registry.blob(content.clone());
    // A second in all, which is longer than a stall may be, but never silent for that long.
    let slow = Wrong::Slow { piece: 100, pause: Duration::from_millis(100) };
    registry.fault("/blobs/", Times::Always, slow);
    let client = Client::new(access());
    assert_eq!(pull(&client, &registry, &digest, 1000).unwrap(), content);
    assert_eq!(registry.requests("/blobs/").len(), 1);
}

#[test]
fn yields_no_more_and_no_less_than_promised() {
    let registry = Registry::start();
    let digest = registry.blob(bytes(1000));
    let client = Client::new(access());
    let size = |promised: usize| pull(&client, &registry, &digest, promised);
    assert!(matches!(size(999), Err(Error::WrongSize { got: 1000, .. })));
    assert!(matches!(size(1001), Err(Error::WrongSize { got: 1000, .. })));
    registry.fault("/blobs/", Times::Always, Wrong::Chunked);
    assert!(matches!(size(999), Err(Error::WrongSize { got: 1000, .. })));
    assert!(size(1001).is_err());
    assert!(size(1000).is_ok());
    registry.mend();
    registry.fault("/blobs/", Times::Always, Wrong::Shorten { to: 500 });
    assert!(matches!(size(1000), Err(Error::WrongSize { got: 500, .. })));
}

#[test]
fn uses_its_connections_again() {
    let registry = Registry::start();
    let digest = registry.blob(bytes(1000));
    let client = Client::new(access());
    for _ in 0..5 {
        pull(&client, &registry, &digest, 1000).unwrap();
    }
    assert_eq!(registry.connections(), 2);
}

#[test]
fn gets_a_token_once_for_all_threads() {
    let (registry, reference, _) = stocked();
    let content = bytes(50_000);
    let digest = registry.blob(content.clone());
    registry.require(Auth::Bearer { account: None, refresh: None });
    let client = Client::new(access());
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert!(pull(&client, &registry, &digest, 50_000).unwrap() == content));
        }
    });
    client.manifest(&reference).unwrap();
    let asked = registry.requests("/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/token?service=test&scope=repository%3Alibrary%2Fthing%3Apull");
    assert_eq!(asked[0].header("authorization"), None);

    registry.expire_tokens();
    client.manifest(&reference).unwrap();
    assert_eq!(registry.requests("/token").len(), 2);
}

fn with_credentials(registry: &Registry, credentials: Credentials) -> Client {
    let mut access = access();
    access.credentials.insert(registry.host(), credentials);
    Client::new(access)
}

fn alice(password: &str) -> Credentials {
    Credentials::Password { username: "alice".to_owned(), password: password.to_owned() }
}

#[test]
fn says_who_it_is() {
    let (registry, reference, _) = stocked();
    let account = ("alice".to_owned(), "secret".to_owned());
    registry.require(Auth::Basic { username: account.0.clone(), password: account.1.clone() });
    assert!(with_credentials(&registry, alice("secret")).manifest(&reference).is_ok());
    let error = with_credentials(&registry, alice("wrong")).manifest(&reference).unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: authentication required");
    let error = Client::new(access()).manifest(&reference).unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)));
    assert_eq!(error.to_string(), "no basic auth credentials");

    registry.require(Auth::Bearer { account: Some(account), refresh: Some("r3fresh".to_owned()) });
    assert!(with_credentials(&registry, alice("secret")).manifest(&reference).is_ok());
    assert!(registry.requests("/token").last().unwrap().path.contains("account=alice"));
    let error = with_credentials(&registry, alice("wrong")).manifest(&reference).unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: incorrect username or password");
    let token = Credentials::IdentityToken("r3fresh".to_owned());
    assert!(with_credentials(&registry, token).manifest(&reference).is_ok());
    let form = registry.requests("/token").pop().unwrap().text();
    assert!(form.contains("grant_type=refresh_token") && form.contains("scope=repository%3A"), "{form}");
}

#[test]
fn keeps_authorization_from_other_hosts() {
    let (registry, elsewhere) = (Registry::start(), Registry::start());
    let content = bytes(1000);
    let digest = registry.blob(content.clone());
    elsewhere.blob(content.clone());
    registry.require(Auth::Basic { username: "alice".to_owned(), password: "secret".to_owned() });
    let away = format!("http://{}/v2/cdn/blobs/", elsewhere.host());
    registry.fault("/blobs/", Times::Always, Wrong::Redirect(away));
    // The first request would be redirected without a question; an expired token is what makes one come.
    let client = with_credentials(&registry, alice("secret"));
    registry.manifest("library/thing", "1", MANIFEST, "{}");
    client.manifest(&named(&registry)).unwrap();
    assert_eq!(pull(&client, &registry, &digest, 1000).unwrap(), content);
    assert!(registry.requests("/blobs/")[0].header("authorization").is_some());
    assert!(elsewhere.requests("/blobs/")[0].header("authorization").is_none());
}

#[test]
fn asks_for_a_new_redirect_when_one_has_expired() {
    let (registry, elsewhere) = (Registry::start(), Registry::start());
    let digest = registry.blob(bytes(1000));
    elsewhere.refuse("/", Times::Always, 403, "EXPIRED", "too late");
    registry.fault("/blobs/", Times::First(1), Wrong::Redirect(format!("http://{}/", elsewhere.host())));
    assert!(pull(&Client::new(access()), &registry, &digest, 1000).is_ok());
    registry.fault(
        "/blobs/",
        Times::Always,
        Wrong::Redirect(format!("http://{}/v2/a/blobs/", registry.host())),
    );
    assert!(matches!(pull(&Client::new(access()), &registry, &digest, 1000), Err(Error::Protocol(_))));
}

#[test]
fn turns_from_mirrors_to_the_registry() {
    let (registry, reference, _) = stocked();
    let (good, empty) = (Registry::start(), Registry::start());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let content = bytes(1000);
    let digest = registry.blob(content.clone());
    good.blob(content.clone());
    let mut access = access();
    let urls =
        [format!("http://{closed}"), format!("http://{}", empty.host()), format!("http://{}", good.host())];
    let mirrors = urls.iter().map(|url| Mirror::parse(url).unwrap()).collect();
    access.mirrors.insert(registry.host(), mirrors);
    let client = Client::new(access);
    client.manifest(&reference).unwrap();
    assert_eq!(pull(&client, &registry, &digest, 1000).unwrap(), content);
    assert_eq!(registry.requests("/manifests/").len(), 1);
    assert_eq!(registry.requests("/blobs/").len(), 0);

    good.fault("/blobs/", Times::Always, Wrong::Cut { after: 100 });
    assert_eq!(pull(&client, &registry, &digest, 1000).unwrap(), content);
    assert_eq!(registry.requests("/blobs/")[0].header("range"), Some("bytes=300-"));
}

#[test]
fn does_not_wait_for_who_is_not_there() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut access = access();
    access.patience = Patience::default();
    let start = Instant::now();
    let reference = Reference::parse(&format!("{closed}/a")).unwrap();
    let error = Client::new(access).manifest(&reference).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "Get \"http://{closed}/v2/a/manifests/latest\": dial tcp {closed}: connect: connection refused"
        )
    );
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn uses_tls_unless_told_otherwise() {
    let (registry, _, _) = stocked();
    let port = registry.host().rsplit(':').next().unwrap().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 reg.example\n").unwrap();
    let resolver = || resolve::Resolver::at(hosts.clone(), dir.path().join("none"), 9);
    let reference = Reference::parse(&format!("reg.example:{port}/library/thing:1")).unwrap();

    let error = Client::with_resolver(access(), resolver()).manifest(&reference).unwrap_err();
    assert!(matches!(error, Error::Unreachable { fault: Fault::Tls, .. }), "{error}");
    assert!(error.to_string().ends_with("http: server gave HTTP response to HTTPS client"), "{error}");
    assert!(registry.requests("/").is_empty());

    let insecure = Access { insecure: vec![format!("reg.example:{port}")], ..access() };
    Client::with_resolver(insecure, resolver()).manifest(&reference).unwrap();
}

/// A proxy that connects to `target`, whatever it is asked for. Returns its address and what it was asked.
fn proxy(target: String) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (asked, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut near = stream.unwrap();
            let mut reader = BufReader::new(near.try_clone().unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            asked.send(line.trim().to_owned()).unwrap();
            while line.trim() != "" {
                line.clear();
                reader.read_line(&mut line).unwrap();
            }
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let mut far = TcpStream::connect(&target).unwrap();
            let (mut from_far, mut to_near) = (far.try_clone().unwrap(), near);
            thread::spawn(move || std::io::copy(&mut from_far, &mut to_near));
            thread::spawn(move || std::io::copy(&mut reader, &mut far));
        }
    });
    (address, receiver)
}

#[test]
fn goes_through_a_proxy() {
    let (registry, _, _) = stocked();
    let (address, asked) = proxy(registry.host());
    let dir = tempfile::tempdir().unwrap();
    // The name is for the proxy to resolve: here it has no address.
    let resolver = || resolve::Resolver::at(dir.path().join("hosts"), dir.path().join("none"), 9);
    let reference = Reference::parse("reg.example:5000/library/thing:1").unwrap();
    let proxies = |none: &str| Proxies {
        http: Some(format!("http://{address}")),
        https: Some(format!("http://{address}")),
        none: none.to_owned(),
    };
    let through = Access { insecure: vec!["reg.example:5000".to_owned()], proxies: proxies(""), ..access() };
    Client::with_resolver(through.clone(), resolver()).manifest(&reference).unwrap();
    // For https, and then for http.
    assert_eq!(asked.recv().unwrap(), "CONNECT reg.example:5000 HTTP/1.1");
    assert_eq!(asked.recv().unwrap(), "CONNECT reg.example:5000 HTTP/1.1");

    let past = Access { proxies: proxies("example"), ..through };
    let error = Client::with_resolver(past, resolver()).manifest(&reference).unwrap_err();
    assert!(matches!(error, Error::Unreachable { fault: Fault::NoSuchHost, .. }), "{error}");
    assert!(asked.try_recv().is_err());
}
