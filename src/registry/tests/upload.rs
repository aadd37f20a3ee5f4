//! What the client sends, lists and proves, to a registry that misbehaves.

use std::io::Read;

use super::*;

/// Content that counts how often it was opened, and where.
struct Content<'a>(&'a [u8], std::sync::Mutex<Vec<u64>>);

impl<'a> Content<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self(bytes, std::sync::Mutex::default())
    }
}

impl Source for Content<'_> {
    fn open(&self, offset: u64) -> std::io::Result<Box<dyn Read + '_>> {
        self.1.lock().unwrap().push(offset);
        Ok(Box::new(&self.0[usize::try_from(offset).unwrap()..]))
    }
}

fn upload(
    client: &Client,
    registry: &Registry,
    content: &Content<'_>,
    from: &[String],
) -> Result<Uploaded, Error> {
    let upload =
        Upload { digest: Digest::of(content.0), size: content.0.len() as u64, source: content, from };
    client.upload_blob(&named(registry), &upload)
}

#[test]
fn sends_a_blob_once_and_whole() {
    let registry = Registry::start();
    let content = bytes(300_000);
    let client = Client::new(access());
    let digest = digest(&content);
    for content in [&content[..], b"", b"x"] {
        let content = Content::new(content);
        assert_eq!(upload(&client, &registry, &content, &[]).unwrap(), Uploaded::Sent);
        assert_eq!(upload(&client, &registry, &content, &[]).unwrap(), Uploaded::Existed);
        assert_eq!(*content.1.lock().unwrap(), [0]);
    }
    assert!(registry.blob_of("library/thing", &digest).unwrap() == content);
    let sent = registry.requests(&digest[7..]);
    let methods: Vec<_> = sent.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["HEAD", "PUT", "HEAD"]);
    assert_eq!((registry.sessions(), registry.connections()), (0, 2));
    assert!(client.has_blob(&named(&registry), digest.parse().unwrap()).unwrap());
    assert!(!client.has_blob(&named(&registry), Digest::of(b"other")).unwrap());
}

#[test]
fn takes_up_a_broken_upload_where_it_broke() {
    let content = bytes(300_000);
    let content_digest = digest(&content);
    for fault in [Wrong::CutUpload { after: 100_000 }, Wrong::StallUpload { after: 100_000 }] {
        let registry = Registry::start();
        registry.fault("digest=", Times::First(1), fault);
        registry.fault(
            "/uploads/1?_state=100000",
            Times::First(1),
            Wrong::Status(503, Vec::new(), String::new()),
        );
        let content = Content::new(&content);
        let client = Client::new(access());
        assert_eq!(upload(&client, &registry, &content, &[]).unwrap(), Uploaded::Sent);
        assert!(registry.blob_of("library/thing", &content_digest).unwrap() == content.0);
        assert_eq!(*content.1.lock().unwrap(), [0, 100_000, 100_000]);
        let patches: Vec<_> =
            registry.requests("/uploads/").into_iter().filter(|request| request.method == "PATCH").collect();
        assert_eq!(patches[1].header("content-range"), Some("100000-299999"));
    }
}

#[test]
fn begins_an_upload_anew_when_it_is_forgotten() {
    let registry = Registry::start();
    let bytes = bytes(300_000);
    let content = Content::new(&bytes);
    registry.fault("digest=", Times::First(1), Wrong::CutUpload { after: 1000 });
    registry.refuse("/uploads/1", Times::First(1), 404, "BLOB_UPLOAD_UNKNOWN", "gone");
    let client = Client::new(access());
    assert_eq!(upload(&client, &registry, &content, &[]).unwrap(), Uploaded::Sent);
    assert_eq!(*content.1.lock().unwrap(), [0, 0]);
}

#[test]
fn notices_an_upload_that_arrived_without_an_answer() {
    let registry = Registry::start();
    let bytes = bytes(300_000);
    let content = Content::new(&bytes);
    registry.fault("digest=", Times::First(1), Wrong::Hangup);
    let client = Client::new(access());
    assert_eq!(upload(&client, &registry, &content, &[]).unwrap(), Uploaded::Sent);
    assert_eq!(*content.1.lock().unwrap(), [0]);
}

#[test]
fn sends_in_chunks_what_is_too_large() {
    let registry = Registry::start();
    registry.limit(17 << 20);
    let bytes = bytes(20 << 20);
    let content = Content::new(&bytes);
    let client = Client::new(patient());
    assert_eq!(upload(&client, &registry, &content, &[]).unwrap(), Uploaded::Sent);
    assert_eq!(*content.1.lock().unwrap(), [0, 0, 16 << 20]);
    assert!(registry.blob_of("library/thing", &digest(&bytes)).unwrap() == bytes);
}

#[test]
fn gives_up_on_an_upload_with_one_error() {
    let content = bytes(1000);
    let hopeless = [
        (Wrong::CutUpload { after: 0 }, "Post \"http"),
        (Wrong::Status(500, Vec::new(), String::new()), "500 Internal Server Error"),
        (Wrong::Status(507, Vec::new(), r#"{"errors":[{"code":"QUOTA","message":"full"}]}"#.into()), "full"),
        (Wrong::Status(403, Vec::new(), String::new()), "denied"),
    ];
    for (fault, text) in hopeless {
        let registry = Registry::start();
        registry.fault("/uploads/", Times::Always, fault);
        let content = Content::new(&content);
        let error = upload(&Client::new(access()), &registry, &content, &[]).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    // What is sent is not what the digest says.
    let registry = Registry::start();
    let content = Content::new(&content);
    let wrong = Upload { digest: Digest::of(b"other"), size: 1000, source: &content, from: &[] };
    let client = Client::new(access());
    let error = client.upload_blob(&named(&registry), &wrong).unwrap_err();
    assert_eq!(error.to_string(), "digest invalid: provided digest did not match uploaded content");
    let short = Upload { digest: Digest::of(b"other"), size: 1001, source: &content, from: &[] };
    let error = client.upload_blob(&named(&registry), &short).unwrap_err();
    assert_eq!(error.to_string(), "read what is to be sent: it ends 1 bytes too early");
}

#[test]
fn takes_up_an_upload_that_stalls() {
    let registry = Registry::start();
    let bytes = bytes(1_000_000);
    registry.fault("digest=", Times::First(1), Wrong::StallUpload { after: 400_000 });
    let content = Content::new(&bytes);
    assert_eq!(upload(&Client::new(access()), &registry, &content, &[]).unwrap(), Uploaded::Sent);
    assert!(registry.blob_of("library/thing", &digest(&bytes)).unwrap() == bytes);
    assert_eq!(*content.1.lock().unwrap(), [0, 400_000]);

    let registry = Registry::start();
    registry.fault("/uploads/", Times::Always, Wrong::StallUpload { after: 0 });
    let error = upload(&Client::new(access()), &registry, &content, &[]).unwrap_err();
    assert!(error.to_string().contains("nothing received"), "{error}");
}

#[test]
fn sends_no_credentials_to_where_an_upload_goes_on() {
    let (registry, elsewhere) = (Registry::start(), Registry::start());
    registry.require(Auth::Basic { username: "alice".to_owned(), password: "secret".to_owned() });
    let place = vec![("Location".to_owned(), elsewhere.begin_upload("library/thing"))];
    registry.fault("/uploads/", Times::Always, Wrong::Headers(place));
    let bytes = bytes(1000);
    let content = Content::new(&bytes);
    let client = with_credentials(&registry, alice("secret"));
    assert_eq!(upload(&client, &registry, &content, &[]).unwrap(), Uploaded::Sent);
    assert!(registry.requests("/uploads/").last().unwrap().header("authorization").is_some());
    assert!(elsewhere.requests("/").iter().all(|request| request.header("authorization").is_none()));
    assert!(elsewhere.blob_of("library/thing", &digest(&bytes)).is_some());
}

#[test]
fn takes_a_blob_from_another_repository() {
    let registry = Registry::start();
    registry.require(Auth::Bearer { account: None, refresh: None });
    let content = bytes(1000);
    registry.blob_in("team/base", content.clone());
    let content = Content::new(&content);
    let from = ["team/nothing".to_owned(), "team/base".to_owned()];
    let client = Client::new(access());
    let mounted = Uploaded::Mounted("team/base".to_owned());
    assert_eq!(upload(&client, &registry, &content, &from).unwrap(), mounted);
    assert!(content.1.lock().unwrap().is_empty());
    let scopes = "scope=repository%3Alibrary%2Fthing%3Apull%2Cpush&scope=repository%3Ateam%2Fbase%3Apull";
    assert!(registry.requests("/token").iter().any(|request| request.path.ends_with(scopes)));

    let other = bytes(2000);
    registry.blob_in("team/base", other.clone());
    let digest = Digest::of(&other);
    let reference = named(&registry);
    assert!(!client.mount_blob(&reference, digest, "team/nothing").unwrap());
    assert!(client.mount_blob(&reference, digest, "team/base").unwrap());

    registry.mounts(false);
    let third = bytes(3000);
    registry.blob_in("team/base", third.clone());
    let third = Content::new(&third);
    assert_eq!(upload(&client, &registry, &third, &from).unwrap(), Uploaded::Sent);
}

#[test]
fn puts_manifests_under_names_and_digests() {
    let registry = Registry::start();
    registry.require(Auth::Bearer { account: None, refresh: None });
    let client = Client::new(access());
    let config = registry.blob("{}");
    let manifest = format!(r#"{{"config":{{"digest":"{config}"}}}}"#);
    let reference = named(&registry);
    let digest = client.put_manifest(&reference, MANIFEST, manifest.as_bytes()).unwrap();
    assert_eq!(registry.manifest_of("library/thing", "1").unwrap().0, MANIFEST);
    client.put_manifest(&reference.with_digest(digest), MANIFEST, manifest.as_bytes()).unwrap();
    assert_eq!(client.head_manifest(&reference).unwrap(), Some(digest));

    let lacking = manifest.replace(&config, &Digest::of(b"lacking").to_string());
    let error = client.put_manifest(&reference, MANIFEST, lacking.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "manifest blob unknown: blob unknown to registry");
    registry.fault("/manifests/", Times::First(2), Wrong::Hangup);
    client.put_manifest(&reference, MANIFEST, manifest.as_bytes()).unwrap();
}

#[test]
fn lists_tags_page_by_page() {
    let registry = Registry::start();
    for tag in ["a", "b", "c", "d", "e"] {
        registry.manifest("library/thing", tag, MANIFEST, "{}");
    }
    registry.manifest("library/other", "x", MANIFEST, "{}");
    registry.page(2);
    let client = Client::new(access());
    assert_eq!(client.tags(&named(&registry)).unwrap(), ["a", "b", "c", "d", "e"]);
    assert_eq!(registry.requests("/tags/list").len(), 3);
    let other = Reference::parse(&format!("{}/library/none", registry.host())).unwrap();
    assert!(matches!(client.tags(&other), Err(Error::NotFound(_))));

    let found = client.search(&registry.host(), "thi", 10).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "library/thing");
    registry.search(r#"{"results":[{"name":"a\u001b","star_count":3,"is_official":true},{"name":"b"}]}"#);
    let found = client.search(&registry.host(), "a b", 1).unwrap();
    let hit = Hit { name: "a".to_owned(), description: String::new(), stars: 3, official: true };
    assert_eq!(found, [hit]);
    assert!(registry.requests("/v1/search").pop().unwrap().path.ends_with("q=a%20b&n=1"));
}

#[test]
fn logs_in() {
    let registry = Registry::start();
    let host = registry.host();
    assert_eq!(Client::new(access()).log_in(&host).unwrap(), None);
    registry.require(Auth::Basic { username: "alice".to_owned(), password: "secret".to_owned() });
    let wrong = |client: &Client| client.log_in(&host).unwrap_err().to_string();
    assert_eq!(with_credentials(&registry, alice("secret")).log_in(&host).unwrap(), None);
    let text =
        format!("login attempt to http://{}/v2/ failed with status: 401 Unauthorized", registry.host());
    assert_eq!(wrong(&with_credentials(&registry, alice("no"))), text);
    let account = Some(("alice".to_owned(), "secret".to_owned()));
    registry.require(Auth::Bearer { account, refresh: Some("r3fresh".to_owned()) });
    let identity = with_credentials(&registry, alice("secret")).log_in(&host).unwrap();
    assert_eq!(identity.as_deref(), Some("r3fresh"));
    let text = "unauthorized: incorrect username or password";
    assert_eq!(wrong(&with_credentials(&registry, alice("no"))), text);
}
