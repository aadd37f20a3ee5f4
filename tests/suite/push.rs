//! `push`: to Debian's `docker-registry` in all its ways, and to a registry in this process that misbehaves as it is
//! told.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::distribution::{Authority, Distribution};
use crate::support::harness::{Test, tests};
use crate::support::image::{Blob, Compression};
use crate::support::registry::{Auth, Fault, Registry, Times, digest};
use crate::support::{Image, Layer, Need, Sandbox, needs, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    pushes_and_says_what_docker_says,
    keeps_digests_on_the_way,
    mounts_what_another_repository_has,
    pushes_every_tag,
    pushes_every_platform_that_is_here,
    packs_layers_that_have_no_blob,
    a_new_name_stands_for_every_platform_too,
    what_cannot_be_pushed_is_an_error,
    an_upload_that_breaks_is_taken_up_again,
    a_registry_in_trouble_is_one_error,
    asks_for_a_token_to_push,
    killed_while_pushing,
    speaks_tls_with_a_private_authority,
    believes_a_certificate_that_it_was_given,
    shows_its_certificate,
    uses_an_account,
];

fn layer(text: &str) -> Image {
    Image::busybox().layer(&Layer::new().file("/x", text))
}

/// Returns a sandbox that has an image.
fn having(reference: &str, image: &Image) -> Sandbox {
    let sandbox = Sandbox::new();
    let archive = sandbox.file("archive.tar", image.docker_archive(reference));
    sandbox.run(["load", "-q", "-i", &archive]).success();
    sandbox
}

/// Returns the digest and the size in the last line of a push.
fn told(lines: &[String]) -> (String, String) {
    let words: Vec<_> = lines.last().unwrap().split(' ').collect();
    assert_eq!((words.len(), words[1], words[3]), (5, "digest:", "size:"), "{lines:?}");
    (words[2].to_owned(), words[4].to_owned())
}

fn pushes_and_says_what_docker_says() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let sandbox = having("thing:1", &layer("x\n"));
    let repository = format!("{}/team/box", registry.address());
    let reference = format!("{repository}:v1");
    sandbox.run(["tag", "thing:1", &reference]).success();
    let outcome = sandbox.run(["push", &reference]);
    let lines = outcome.success().stderr("").lines();
    assert_eq!(lines[0], format!("The push refers to repository [{repository}]"));
    let with = |end: &str| lines.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!((lines.len(), with(": Preparing"), with(": Pushed")), (6, 2, 2), "{outcome}");
    let (digest, size) = told(&lines);
    assert!(lines[5].starts_with("v1: digest: sha256:"), "{outcome}");
    let inspect = sandbox.run(["inspect", "-f", "{{json .RepoDigests}}", &reference]);
    assert_eq!(inspect.json(), json!([format!("{repository}@{digest}")]));

    let again = sandbox.run(["image", "push", &reference]);
    let lines = again.success().lines();
    assert_eq!(lines.iter().filter(|line| line.ends_with(": Layer already exists")).count(), 2, "{again}");
    assert_eq!(told(&lines), (digest.clone(), size));
    sandbox.run(["push", "-q", &reference]).stdout(&format!("{reference}\n")).success();
    sandbox.run(["tag", "thing:1", &repository]).success();
    sandbox
        .run(["push", &repository])
        .success()
        .stdout_contains("Using default tag: latest\nThe push refers");

    let other = Sandbox::new();
    other.run(["pull", &reference]).success().stdout_contains(&format!("Digest: {digest}\n"));
    other.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn keeps_digests_on_the_way() {
    needs(Need::Registry);
    let (one, two) = (Distribution::start(), Distribution::start());
    let sandbox = Sandbox::new();
    for (tag, compression) in
        [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)]
    {
        let (from, digest) = one.push("box", tag, &layer(tag).compression(compression));
        let to = format!("{}/other/box:{tag}", two.address());
        sandbox.run(["pull", "-q", &from]).success();
        sandbox.run(["tag", &from, &to]).success();
        assert_eq!(told(&sandbox.run(["push", &to]).success().lines()).0, digest);
    }
}

fn mounts_what_another_repository_has() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (base, digest) = registry.push("team/base", "1", &layer("x\n"));
    let sandbox = Sandbox::new();
    sandbox.run(["pull", "-q", &base]).success();
    let other = format!("{}/team/other:1", registry.address());
    sandbox.run(["tag", &base, &other]).success();
    let outcome = sandbox.run(["push", &other]);
    let lines = outcome.success().lines();
    assert_eq!(
        lines.iter().filter(|line| line.ends_with(": Mounted from team/base")).count(),
        2,
        "{outcome}"
    );
    assert_eq!(told(&lines).0, digest);
}

fn pushes_every_tag() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let repository = format!("{}/box", registry.address());
    let sandbox = Sandbox::new();
    for tag in ["one", "two"] {
        let archive = sandbox.file(tag, layer(tag).docker_archive(&format!("{repository}:{tag}")));
        sandbox.run(["load", "-q", "-i", &archive]).success();
    }
    let outcome = sandbox.run(["push", "--all-tags", &repository]);
    outcome.success().stdout_contains("\none: digest: sha256:").stdout_contains("\ntwo: digest: sha256:");
    sandbox.run(["push", "-a", "-q", &repository]).stdout(&format!("{repository}\n")).success();
    sandbox.run(["push", "-a", &format!("{repository}:one")]).code(1).stderr_contains("--all-tags/-a");
    let other = Sandbox::new();
    other.run(["pull", "-qa", &repository]).success();
    other.run(["run", "--rm", &format!("{repository}:two"), "cat", "/x"]).stdout("two").success();
}

/// Puts an image for two platforms into a registry, and returns its name, the entries of its index, and the index.
fn multi(registry: &Distribution) -> (String, Vec<Value>, Blob) {
    let mut entries = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let blobs = layer(architecture).architecture(architecture).blobs();
        registry.upload("multi", &blobs);
        registry.put_manifest("multi", &blobs.manifest.digest, &blobs.manifest);
        let mut entry = blobs.manifest.descriptor();
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        entries.push(entry);
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
    let index = Blob::new(media_type, serde_json::to_vec(&index).unwrap());
    registry.put_manifest("multi", "1", &index);
    (format!("{}/multi:1", registry.address()), entries, index)
}

fn pushes_every_platform_that_is_here() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (reference, entries, index) = multi(&registry);
    let sandbox = Sandbox::new();
    sandbox.run(["pull", "-q", "--platform", "linux/amd64", &reference]).success();
    let part = sandbox.run(["push", &reference]);
    assert_eq!(told(&part.success().lines()).0, entries[1]["digest"].as_str().unwrap());
    part.stderr_contains("Not all multiplatform-content is present");
    sandbox
        .run(["push", "--platform", "linux/arm64", &reference])
        .code(1)
        .stderr_contains("was found but does not provide the specified platform (linux/arm64)");

    sandbox.run(["pull", "-q", &reference.replace(":1", &format!("@{}", index.digest))]).success();
    registry.put_manifest("multi", "1", &index);
    sandbox.run(["pull", "-q", "--platform", "linux/arm64", &reference]).success();
    let whole = sandbox.run(["push", &reference]);
    assert_eq!(told(&whole.success().stderr("").lines()).0, index.digest);
    let one = sandbox.run(["push", "--platform", "linux/amd64", &reference]);
    assert_eq!(told(&one.success().lines()).0, entries[1]["digest"].as_str().unwrap());
}

fn a_new_name_stands_for_every_platform_too() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (reference, entries, index) = multi(&registry);
    let sandbox = Sandbox::new();
    let id = || sandbox.run(["inspect", "-f", "{{.Id}}", &reference]).success().text().trim().to_owned();
    let name = |tag: &str| format!("{}/other:{tag}", registry.address());
    sandbox.run(["pull", "-q", "--platform", "linux/amd64", &reference]).success();
    sandbox.run(["tag", &reference, &name("part")]).success();
    sandbox.run(["tag", &id(), &name("id")]).success();
    for tag in ["part", "id"] {
        let part = sandbox.run(["push", &name(tag)]);
        assert_eq!(told(&part.success().lines()).0, entries[1]["digest"].as_str().unwrap());
        part.stderr_contains(&format!("single-platform image was pushed\n{} -> ", index.digest));
    }
    sandbox.run(["tag", &name("part"), &name("twice")]).success();
    // With the other platform's image here, all of it goes.
    sandbox.run(["pull", "-q", "--platform", "linux/arm64", &reference]).success();
    let whole = sandbox.run(["push", &name("twice")]);
    assert_eq!(told(&whole.success().stderr("").lines()).0, index.digest);
    let digests = sandbox.run(["inspect", "-f", "{{json .RepoDigests}}", &name("twice")]).success().json();
    assert!(
        digests
            .as_array()
            .unwrap()
            .contains(&json!(name("twice").replace(":twice", &format!("@{}", index.digest))))
    );
    sandbox.run(["images", "--digests"]).success().stdout_contains(&index.digest);
    sandbox
        .run(["manifest", "inspect", "--insecure", &name("twice")])
        .success()
        .stdout_contains(entries[0]["digest"].as_str().unwrap());
    let other = Sandbox::new();
    other.run(["pull", "-q", "--platform", "linux/arm64", &name("twice")]).success();
    crate::check::clean(&sandbox);
}

fn packs_layers_that_have_no_blob() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let sandbox = Sandbox::new().image("thing", |layer| layer.file("/x", "x\n").dir("/d").symlink("/l", "x"));
    // An archive made here is made again the same.
    sandbox.run(["create", "--name", "cc", "thing"]).success();
    sandbox.run(["export", "-o", "flat.tar", "cc"]).success();
    let reference = format!("{}/flat:1", registry.address());
    sandbox.run(["import", "flat.tar", &reference]).success();
    let layer = |of: &str| sandbox.run(["inspect", "-f", "{{index .RootFS.Layers 0}}", of]).success().text();
    let path =
        |of: &str| sandbox.store().join("blobs/sha256").join(layer(of).trim().trim_start_matches("sha256:"));
    fs::remove_file(path(&reference)).unwrap();
    let outcome = sandbox.run(["push", &reference]);
    outcome.success().stdout_contains(": Pushed\n");
    assert!(!path(&reference).exists());
    sandbox.run(["save", "-o", "saved.tar", &reference]).success();
    let other = Sandbox::new();
    other.run(["pull", "-q", &reference]).success();
    other.run(["run", "--rm", &reference, "cat", "/l"]).stdout("x\n").success();
    // It is as whole as what a build has made.
    sandbox.run(["system", "check"]).success().stderr_contains("Not compared, for want of their blobs");
    // One of another maker may not be: then nothing goes, and it is said why.
    let foreign = format!("{}/foreign:1", registry.address());
    sandbox.run(["tag", "thing", &foreign]).success();
    let lost = path(&foreign);
    let kept = fs::read(&lost).unwrap();
    fs::remove_file(&lost).unwrap();
    let outcome = sandbox.run(["push", &foreign]);
    outcome.code(1).stderr_contains("its files are not the archive that it was made from");
    fs::write(&lost, kept).unwrap();
    crate::check::clean(&sandbox);
}

fn what_cannot_be_pushed_is_an_error() {
    let sandbox = having("127.0.0.1:1/box:1", &layer("x\n"));
    let outcome = sandbox.run(["push", "localhost:1/none:1"]);
    outcome.code(1).stdout("The push refers to repository [localhost:1/none]\n");
    outcome.stderr("An image does not exist locally with the tag: localhost:1/none\n");
    sandbox.run(["push", "127.0.0.1:1/box:2"]).code(1).stderr("tag does not exist: 127.0.0.1:1/box:2\n");
    sandbox.run(["push", "127.0.0.1:1/box:1"]).code(1).stderr_contains("connection refused");
    sandbox.run(["push", "Bad"]).code(1).stderr_contains("must be lowercase");
    let by_digest = format!("127.0.0.1:1/box@{}", digest(b""));
    sandbox.run(["push", &by_digest]).code(1).stderr("cannot push a digest reference\n");
}

/// Makes an image with a layer that takes a while, under a name in the registry of this process; the layer's digest
/// goes with it.
pub(crate) fn noisy(registry: &Registry) -> (Sandbox, String, String) {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(3_000_000).collect();
    let reference = format!("{}/team/box:v1", registry.host());
    let image = Image::busybox().layer(&Layer::new().file("/noise", noise).file("/x", "x\n"));
    let sandbox = having(&reference, &image);
    let layers = sandbox.run(["inspect", "-f", "{{index .RootFS.Layers 1}}", &reference]).success().text();
    (sandbox, reference, layers)
}

fn an_upload_that_breaks_is_taken_up_again() {
    let registry = Registry::start();
    let (sandbox, reference, layer) = noisy(&registry);
    registry.fault(&layer.replace(':', "%3A"), Times::First(1), Fault::CutUpload { after: 1_000_000 });
    sandbox.run(["push", &reference]).success().stderr("");
    assert!(registry.blob_of("team/box", &layer).is_some());
    let patches: Vec<_> =
        registry.requests("/uploads/").into_iter().filter(|request| request.method == "PATCH").collect();
    assert!(patches[0].header("content-range").unwrap().starts_with("1000000-"), "{:?}", patches[0].headers);
    let other = Sandbox::new();
    other.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn a_registry_in_trouble_is_one_error() {
    let registry = Registry::start();
    let (sandbox, reference, _) = noisy(&registry);
    let before = crate::hostile::listing(&sandbox.store());
    let at_once = vec![("Retry-After".to_owned(), "3600".to_owned())];
    let body = |code: &str, text: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"{text}"}}]}}"#);
    for (path, status, code, text, expected) in [
        ("/uploads/", 401, "UNAUTHORIZED", "authentication required", "authentication required"),
        ("/uploads/", 403, "DENIED", "not yours", "denied: not yours\n"),
        ("/uploads/", 404, "NAME_UNKNOWN", "no such project", "name unknown: no such project\n"),
        ("/uploads/", 429, "TOOMANYREQUESTS", "slow down", "toomanyrequests: slow down\n"),
        ("/uploads/", 503, "UNAVAILABLE", "closed", "503 Service Unavailable: closed\n"),
        ("/manifests/", 400, "MANIFEST_INVALID", "odd", "manifest invalid: odd\n"),
        ("/manifests/", 500, "UNKNOWN", "trouble", "500 Internal Server Error: trouble\n"),
    ] {
        registry.mend();
        let headers = if matches!(status, 429 | 500..) { at_once.clone() } else { Vec::new() };
        registry.fault(path, Times::Always, Fault::Status(status, headers, body(code, text)));
        let outcome = sandbox.run(["push", &reference]);
        outcome.code(1).stderr_contains(expected).stdout_lacks("digest:");
        assert_eq!(outcome.error_text().lines().count(), 1, "{outcome}");
        assert_eq!(crate::hostile::listing(&sandbox.store()), before);
    }
    assert!(registry.manifest_of("team/box", "v1").is_none());
    registry.mend();
    // What passes is waited for.
    registry.refuse("/uploads/", Times::First(2), 503, "UNAVAILABLE", "busy");
    registry.refuse("/manifests/", Times::First(1), 429, "TOOMANYREQUESTS", "busy");
    sandbox.run(["push", &reference]).success();
    Sandbox::new().run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn asks_for_a_token_to_push() {
    let registry = Registry::start();
    let (sandbox, reference, _) = noisy(&registry);
    let account = Some(("ann".to_owned(), "secret".to_owned()));
    registry.require(Auth::Bearer { account, refresh: None });
    sandbox.run(["push", &reference]).code(1).stderr_contains("unauthorized: incorrect username or password");
    sandbox.directory("config");
    let config = json!({ "auths": { registry.host(): { "auth": "YW5uOnNlY3JldA==" } } });
    sandbox.file("config/config.json", config.to_string());
    let directory = sandbox.work().join("config");
    sandbox.command(["push", &reference]).env("DOCKER_CONFIG", directory.to_str().unwrap()).run().success();
    let asked = registry.requests("/token");
    assert!(
        asked.iter().any(|request| request.path.ends_with("scope=repository%3Ateam%2Fbox%3Apull%2Cpush"))
    );
}

fn killed_while_pushing() {
    let registry = Registry::start();
    let (sandbox, reference, layer) = noisy(&registry);
    let path = layer.replace(':', "%3A");
    for after in [0, 100_000, 2_000_000] {
        registry.fault(&path, Times::First(1), Fault::StallUpload { after });
        let before = registry.requests(&path).len();
        let push = sandbox.command(["push", &reference]).spawn();
        wait_until("the upload has begun", || registry.requests(&path).len() > before);
        push.signal(Signal::SIGKILL);
        push.wait();
        assert!(registry.manifest_of("team/box", "v1").is_none());
        sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
    }
    sandbox.run(["push", &reference]).success();
    sandbox.run(["rmi", &reference]).success();
    let left: Vec<_> = fs::read_dir(sandbox.store().join("staging")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    sandbox.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}

/// Returns the directory of a registry's certificates, made.
fn certificates(sandbox: &Sandbox, registry: &Distribution) -> std::path::PathBuf {
    let dir = sandbox.dir().join("config/coracle/certs.d").join(registry.address());
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn speaks_tls_with_a_private_authority() {
    needs(Need::Registry);
    needs(Need::Openssl);
    let (ours, other) = (Authority::new(), Authority::new());
    let registry = Distribution::over_tls(&ours, false);
    let reference = format!("{}/box:1", registry.address());
    let sandbox = having(&reference, &layer("x\n"));
    let certificates = certificates(&sandbox, &registry);
    fs::copy(other.certificate(), certificates.join("ca.crt")).unwrap();
    let text = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    sandbox.run(["push", &reference]).code(1).stderr_contains(text);
    fs::copy(ours.certificate(), certificates.join("ca.crt")).unwrap();
    let (digest, _) = told(&sandbox.run(["push", &reference]).success().lines());
    sandbox.run(["rmi", &reference]).success();
    sandbox.run(["pull", &reference]).success().stdout_contains(&digest);
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
    // On the loopback interface any certificate will do, where nothing else is said.
    Sandbox::new().run(["pull", "-q", &reference]).success();
}

fn believes_a_certificate_that_it_was_given() {
    needs(Need::Registry);
    needs(Need::Openssl);
    // As Docker's documentation makes them for a registry of one's own.
    let push = |subject: &str, given: bool| {
        let (registry, own) = Distribution::self_signed(subject);
        let reference = format!("{}/box:1", registry.address());
        let sandbox = having(&reference, &layer("x\n"));
        let (_kept, other) = Distribution::self_signed("127.0.0.1");
        let certificate = if given { own } else { other };
        fs::copy(certificate, certificates(&sandbox, &registry).join("ca.crt")).unwrap();
        sandbox.run(["push", &reference])
    };
    push("127.0.0.1", true).success();
    let text = "tls: failed to verify certificate: ";
    push("127.0.0.1", false)
        .code(1)
        .stderr_contains(&format!("{text}x509: certificate signed by unknown authority"));
    push("127.0.0.9", true).code(1).stderr_contains(text);
}

fn shows_its_certificate() {
    needs(Need::Registry);
    needs(Need::Openssl);
    let authority = Authority::new();
    let registry = Distribution::over_tls(&authority, true);
    let reference = format!("{}/box:1", registry.address());
    let sandbox = having(&reference, &layer("x\n"));
    sandbox.run(["push", &reference]).code(1);
    let certificates = certificates(&sandbox, &registry);
    fs::copy(authority.certificate(), certificates.join("ca.crt")).unwrap();
    sandbox.run(["push", &reference]).code(1).stderr_contains("tls: ");
    let (_, key) = authority.issue(&certificates, "client");
    fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    sandbox.run(["push", &reference]).success();
    sandbox.run(["rmi", &reference]).success();
    sandbox.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn uses_an_account() {
    needs(Need::Registry);
    needs(Need::Htpasswd);
    let registry = Distribution::with_account("ann", "s3cret");
    let host = registry.address();
    let reference = format!("{host}/box:1");
    let sandbox = having(&reference, &layer("x\n"));
    sandbox.run(["push", &reference]).code(1).stderr("no basic auth credentials\n");
    sandbox.run(["login", "-u", "ann", "-p", "wrong", host]).code(1).stderr_contains("401 Unauthorized");
    sandbox.run(["push", &reference]).code(1);
    sandbox
        .command(["login", "-u", "ann", "--password-stdin", host])
        .stdin("s3cret\n")
        .run()
        .stdout("Login Succeeded\n")
        .success();
    sandbox.run(["push", &reference]).success();
    sandbox.run(["rmi", &reference]).success();
    sandbox.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
    sandbox.run(["logout", host]).stdout(&format!("Removing login credentials for {host}\n")).success();
    sandbox.run(["pull", &reference]).code(1).stderr_contains("no basic auth credentials");
}
