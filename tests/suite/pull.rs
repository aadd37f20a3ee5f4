//! `pull`: from Debian's `docker-registry`, and from a registry in this process that misbehaves as it is told.

use serde_json::json;

use crate::support::distribution::Distribution;
use crate::support::harness::{Test, tests};
use crate::support::image::{Blob, Compression};
use crate::support::registry::{Auth, Fault, Registry, Times};
use crate::support::{Image, Layer, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    pulls_and_says_what_docker_says,
    pulls_both_compressions,
    pulls_by_digest,
    picks_the_platform_of_an_index,
    run_pulls_what_is_missing,
    shared_layers_are_fetched_once,
    a_moved_tag_brings_the_new_image,
    what_is_missing_is_an_error,
    a_wrong_digest_changes_nothing,
    pulls_at_once,
    pulls_a_debian_of_many_layers,
    an_unreachable_registry_is_an_error,
    other_bytes_than_promised_are_refused,
    a_connection_that_breaks_is_taken_up_again,
    a_connection_that_always_breaks_is_an_error,
    a_shortened_layer_is_refused,
    a_registry_in_trouble_is_an_error,
    pulls_every_tag,
    an_unchanged_tag_is_one_request,
    asks_for_a_token,
    uses_the_credentials_of_docker,
    refused_credentials_are_an_error,
    killed_while_pulling,
    a_full_disk_while_pulling,
];

fn pulls_and_says_what_docker_says() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (reference, digest) =
        registry.push("team/box", "v1", &Image::busybox().layer(&Layer::new().file("/x", "x\n")));
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["pull", &reference]);
    let lines = outcome.success().lines();
    assert_eq!(lines[0], "v1: Pulling from team/box", "{outcome}");
    assert_eq!(
        lines[lines.len() - 3..],
        [
            format!("Digest: {digest}"),
            format!("Status: Downloaded newer image for {reference}"),
            reference.clone()
        ]
    );
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
    let again = sandbox.run(["pull", &reference]);
    again.success().stdout_contains(&format!("Status: Image is up to date for {reference}\n{reference}"));
    sandbox.run(["pull", "-q", &reference]).stdout(&format!("{reference}\n")).success();
    let repository = reference.trim_end_matches(":v1");
    sandbox
        .run(["inspect", "-f", "{{index .RepoDigests 0}}", &reference])
        .stdout(&format!("{repository}@{digest}\n"));
}

fn pulls_both_compressions() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let sandbox = Sandbox::new();
    for (tag, compression) in
        [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)]
    {
        let (reference, _) = registry.push("box", tag, &Image::busybox().compression(compression));
        sandbox.run(["pull", &reference]).success();
        sandbox.run(["run", "--rm", &reference, "echo", tag]).stdout(&format!("{tag}\n")).success();
        sandbox.run(["rmi", &reference]).success();
    }
}

fn pulls_by_digest() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (_, digest) = registry.push("box", "v1", &Image::busybox());
    let reference = format!("{}/box@{digest}", registry.address());
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).success().stdout_contains(&format!("Digest: {digest}"));
    sandbox.run(["run", "--rm", &reference, "echo", "x"]).stdout("x\n").success();
    sandbox.run(["images", "--digests"]).success().stdout_contains(&digest);
    sandbox.run(["rmi", &reference]).success();
}

fn picks_the_platform_of_an_index() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let mut entries = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let image =
            Image::busybox().architecture(architecture).layer(&Layer::new().file("/arch", architecture));
        let blobs = image.blobs();
        registry.upload("multi", &blobs);
        registry.put_manifest("multi", &blobs.manifest.digest, &blobs.manifest);
        let mut entry = blobs.manifest.descriptor();
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        entries.push(entry);
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
    registry.put_manifest("multi", "1", &Blob::new(media_type, serde_json::to_vec(&index).unwrap()));
    let reference = format!("{}/multi:1", registry.address());
    let sandbox = Sandbox::new();
    sandbox.run(["run", "--rm", &reference, "cat", "/arch"]).stdout("amd64").success();
    sandbox.run(["pull", "--platform", "linux/arm64", &reference]).success();
    sandbox.run(["image", "inspect", "-f", "{{.Architecture}}", &reference]).stdout("arm64\n").success();
    sandbox
        .run(["pull", "--platform", "linux/s390x", &reference])
        .code(1)
        .stderr_contains("no matching manifest for linux/s390x in the manifest list entries");
}

fn run_pulls_what_is_missing() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (reference, _) = registry.push("box", "v1", &Image::busybox());
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["run", "--rm", &reference, "echo", "x"]);
    outcome.stdout("x\n").success().stderr_contains(&format!("Unable to find image '{reference}' locally"));
    outcome.stderr_contains("Status: Downloaded newer image for");
    sandbox.run(["run", "--rm", "-q", &reference, "echo", "x"]).stdout("x\n").stderr("").success();
    sandbox.run(["create", "--pull", "always", "-q", &reference]).success();
}

fn shared_layers_are_fetched_once() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (one, _) = registry.push("box", "1", &Image::busybox().layer(&Layer::new().file("/x", "1")));
    let (two, _) = registry.push("box", "2", &Image::busybox().layer(&Layer::new().file("/x", "2")));
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &one]).success();
    sandbox.run(["pull", &two]).success().stdout_contains("Already exists");
    sandbox.run(["run", "--rm", &two, "cat", "/x"]).stdout("2").success();
}

fn a_moved_tag_brings_the_new_image() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (reference, _) =
        registry.push("box", "latest", &Image::busybox().layer(&Layer::new().file("/x", "1")));
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).success();
    registry.push("box", "latest", &Image::busybox().layer(&Layer::new().file("/x", "2")));
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("1").success();
    sandbox.run(["run", "--rm", "--pull", "always", &reference, "cat", "/x"]).stdout("2").success();
    // The old image lost its name and is still there.
    assert_eq!(sandbox.run(["images", "-a", "-q"]).lines().len(), 2);
    sandbox.run(["images", "-f", "dangling=true"]).success().stdout_contains("<none>");
}

fn what_is_missing_is_an_error() {
    needs(Need::Registry);
    let registry = Distribution::start();
    registry.push("box", "v1", &Image::busybox());
    let sandbox = Sandbox::new();
    let absent = format!("{}/box:absent", registry.address());
    sandbox.run(["pull", &absent]).code(1).stderr_contains("not found");
    sandbox.run(["run", "--rm", &absent, "true"]).code(125).stderr_contains("not found");
    sandbox.run(["pull", &format!("{}/nosuch:1", registry.address())]).code(1);
    sandbox.run(["images", "-aq"]).stdout("");
}

fn a_wrong_digest_changes_nothing() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (reference, _) = registry.push("box", "v1", &Image::busybox());
    let sandbox = Sandbox::new().with("other", &Image::busybox().config("Env", json!(["A=1"])));
    let before = crate::hostile::listing(&sandbox.store());
    // The manifest promises layers that the registry does not have under this name.
    let lying = Image::busybox().layer(&Layer::new().file("/absent", "x")).blobs();
    let mut manifest: serde_json::Value = serde_json::from_slice(&lying.manifest.bytes).unwrap();
    manifest["layers"].as_array_mut().unwrap().pop();
    registry.upload("box", &lying);
    let manifest = Blob::new(&lying.manifest.media_type, serde_json::to_vec(&manifest).unwrap());
    registry.put_manifest("box", "lying", &manifest);
    // One layer fewer than the configuration counts.
    sandbox.run(["pull", &reference.replace(":v1", ":lying")]).code(1);
    assert_eq!(crate::hostile::listing(&sandbox.store()), before);
}

fn pulls_at_once() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (reference, _) = registry.push("box", "v1", &Image::busybox().layer(&Layer::new().file("/x", "x\n")));
    let sandbox = Sandbox::new();
    let running: Vec<_> = (0..5).map(|_| sandbox.command(["pull", &reference]).spawn()).collect();
    for one in running {
        one.wait().success().stdout_contains("Digest: sha256:");
    }
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
    sandbox.run(["rmi", &reference]).success();
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("staging")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn pulls_a_debian_of_many_layers() {
    needs(Need::Registry);
    needs(Need::Debian);
    needs(Need::Subids);
    let registry = Distribution::start();
    let tar = std::fs::read(crate::support::debian::archive().unwrap()).unwrap();
    let mut image = Image::scratch().layer_bytes(tar).config("Cmd", json!(["bash"]));
    image = image
        .layer(&Layer::new().file("/added", "added\n").whiteout("/usr/share/bug").opaque("/usr/share/doc"));
    for n in 0..10 {
        image = image.layer(&Layer::new().file(&format!("/layers/{n}"), format!("{n}\n")));
    }
    let (reference, _) = registry.push("debian", "layers", &image);
    let sandbox = Sandbox::new();
    sandbox.run(["pull", "-q", &reference]).success();
    let script = "cat /etc/os-release /added; ls /layers | wc -l; ls /usr/share/doc | wc -l; stat -c '%a %U:%G' /bin/su \
                  /etc/shadow; ls -d /usr/share/bug 2>&1";
    let outcome = sandbox.run(["run", "--rm", &reference, "bash", "-c", script]);
    outcome.stdout_contains("Debian").stdout_contains("added\n10\n0\n4755 root:root\n640 root:shadow\n");
    outcome.stdout_contains("No such file or directory");
    sandbox.run(["run", "--rm", "--network", "none", &reference, "dpkg", "--audit"]).stdout("").success();
}

fn an_unreachable_registry_is_an_error() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["pull", "127.0.0.1:1/box:1"]);
    outcome.code(1).stderr_contains("Error response from daemon").stderr_contains("refused");
    sandbox.run(["run", "--rm", "127.0.0.1:1/box:1", "true"]).code(125).stderr_contains("refused");
}

/// Puts an image with one larger layer into the registry of this process, and returns its reference and the path
/// of that layer.
pub(crate) fn put(registry: &Registry) -> (String, String) {
    // Noise does not compress, so that there is something to be cut.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
    .take(2_000_000)
    .collect();
    let blobs = Image::busybox().layer(&Layer::new().file("/noise", noise).file("/x", "x\n")).blobs();
    for blob in blobs.layers.iter().chain([&blobs.config]) {
        registry.blob(blob.bytes.clone());
    }
    registry.manifest("team/box", "v1", &blobs.manifest.media_type, blobs.manifest.bytes);
    (format!("{}/team/box:v1", registry.host()), format!("/blobs/{}", blobs.layers[1].digest))
}

/// Claims that a pull with this fault is an error that leaves the store as it was, and that it works without.
#[track_caller]
fn refuses(times: Times, fault: Fault, text: &str) {
    let registry = Registry::start();
    let (reference, layer) = put(&registry);
    let sandbox = Sandbox::new().with("other", &Image::busybox().config("Env", json!(["A=1"])));
    let before = crate::hostile::listing(&sandbox.store());
    registry.fault(&layer, times, fault);
    let outcome = sandbox.run(["pull", &reference]);
    outcome.code(1).stderr_contains("Error response from daemon: ").stderr_contains(text);
    assert_eq!(crate::hostile::listing(&sandbox.store()), before);
    sandbox.run(["run", "--rm", "other", "echo", "well"]).stdout("well\n").success();
    sandbox.run(["run", "--rm", "--pull", "never", &reference, "true"]).code(125);
    registry.mend();
    sandbox.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn other_bytes_than_promised_are_refused() {
    let other = Image::scratch().layer(&Layer::new().file("/x", "not x\n")).blobs().layers.remove(0);
    refuses(Times::Always, Fault::Replace(other.bytes), "");
}

fn a_connection_that_breaks_is_taken_up_again() {
    let registry = Registry::start();
    let (reference, layer) = put(&registry);
    registry.fault(&layer, Times::First(1), Fault::Cut { after: 700_000 });
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).success();
    sandbox
        .run(["run", "--rm", &reference, "sh", "-c", "cat /x; wc -c < /noise"])
        .stdout("x\n2000000\n")
        .success();
    let requests = registry.requests(&layer);
    assert!(requests.iter().any(|request| request.header("range").is_some()), "{requests:#?}");
}

fn a_connection_that_always_breaks_is_an_error() {
    refuses(Times::Always, Fault::Cut { after: 1000 }, "");
}

fn a_shortened_layer_is_refused() {
    refuses(Times::Always, Fault::Shorten { to: 500_000 }, "");
}

fn a_registry_in_trouble_is_an_error() {
    refuses(Times::Always, Fault::Status(500, Vec::new(), "trouble".to_owned()), "500");
}

fn pulls_every_tag() {
    needs(Need::Registry);
    let registry = Distribution::start();
    for tag in ["one", "two", "three"] {
        registry.push("box", tag, &Image::busybox().layer(&Layer::new().file("/tag", tag)));
    }
    let repository = format!("{}/box", registry.address());
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["pull", "-a", &repository]);
    let lines = outcome.success().lines();
    assert_eq!(lines[lines.len() - 2], format!("Status: Downloaded newer image for {repository}"));
    assert_eq!(lines[lines.len() - 1], repository);
    for tag in ["one", "two", "three"] {
        outcome.stdout_contains(&format!("{tag}: Pulling from box\n"));
        sandbox.run(["run", "--rm", &format!("{repository}:{tag}"), "cat", "/tag"]).stdout(tag).success();
    }
    sandbox.run(["pull", "-aq", &repository]).stdout(&format!("{repository}\n")).success();
    sandbox.run(["pull", "-a", &format!("{repository}:one")]).code(1).stderr_contains("--all-tags/-a");
    sandbox
        .run(["pull", "-a", &format!("{}/absent", registry.address())])
        .code(1)
        .stderr_contains("not found");
}

fn an_unchanged_tag_is_one_request() {
    let registry = Registry::start();
    let (reference, _) = put(&registry);
    let (_, manifest) = registry.manifest_of("team/box", "v1").unwrap();
    let entry = Blob::new("application/vnd.oci.image.manifest.v1+json", manifest.clone());
    let mut entry = entry.descriptor();
    entry["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": [entry] });
    registry.manifest("team/box", "multi", media_type, index.to_string());
    let multi = reference.replace(":v1", ":multi");
    let sandbox = Sandbox::new();
    for reference in [&reference, &multi] {
        sandbox.run(["pull", "-q", reference]).success();
        let before = registry.requests("/").len();
        let outcome = sandbox.run(["pull", reference]);
        outcome
            .success()
            .stdout_contains(&format!("Status: Image is up to date for {reference}\n{reference}\n"));
        outcome.stdout_contains("Digest: sha256:").stdout_contains(": Pulling from team/box\n");
        let requests = registry.requests("/");
        assert_eq!(requests.len(), before + 1, "{requests:#?}");
        assert_eq!(requests.last().unwrap().method, "HEAD");
    }
    sandbox
        .run(["pull", "--platform", "linux/s390x", &multi])
        .code(1)
        .stderr_contains("no matching manifest");
}

fn asks_for_a_token() {
    let registry = Registry::start();
    let (reference, _) = put(&registry);
    registry.require(Auth::Bearer { account: None, refresh: None });
    let sandbox = Sandbox::new();
    sandbox.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}

fn uses_the_credentials_of_docker() {
    let registry = Registry::start();
    let (reference, _) = put(&registry);
    registry.require(Auth::Basic { username: "ann".to_owned(), password: "secret".to_owned() });
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).code(1);
    sandbox.directory("config");
    let config = json!({ "auths": { registry.host(): { "auth": "YW5uOnNlY3JldA==" } } });
    sandbox.file("config/config.json", config.to_string());
    let directory = sandbox.work().join("config");
    sandbox
        .command(["run", "--rm", "-q", &reference, "cat", "/x"])
        .env("DOCKER_CONFIG", directory.to_str().unwrap())
        .run()
        .stdout("x\n")
        .success();
}

fn refused_credentials_are_an_error() {
    let registry = Registry::start();
    let (reference, _) = put(&registry);
    registry.require(Auth::Bearer { account: Some(("ann".to_owned(), "secret".to_owned())), refresh: None });
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["pull", &reference]);
    outcome.code(1).stderr_contains("Error response from daemon: ");
    sandbox.run(["images", "-q"]).stdout("");
}

fn killed_while_pulling() {
    let registry = Registry::start();
    let (reference, layer) = put(&registry);
    let sandbox = Sandbox::new().busybox();
    for delay in [20, 60, 150, 400] {
        let pace = std::time::Duration::from_millis(20);
        registry.fault(&layer, Times::First(1), Fault::Slow { piece: 50_000, pause: pace });
        let pull = sandbox.command(["pull", &reference]).spawn();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        pull.signal(nix::sys::signal::Signal::SIGKILL);
        pull.wait();
        sandbox.run(["run", "--rm", "--pull", "never", &reference, "true"]).code(125);
        sandbox.run(["run", "--rm", "busybox", "echo", "well"]).stdout("well\n").success();
    }
    sandbox.run(["pull", &reference]).success();
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
    sandbox.run(["rmi", &reference]).success();
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("staging")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn a_full_disk_while_pulling() {
    needs(Need::Root);
    let registry = Registry::start();
    let (reference, _) = put(&registry);
    let sandbox = Sandbox::new();
    let small = sandbox.file("small.tar", Image::busybox().docker_archive("small:1"));
    let script = format!(
        "coracle=$0; $coracle load -i {small} || exit 10; \
         find data/coracle -type f | grep -v locks | sort > work/before; \
         $coracle pull {reference} && exit 11; \
         find data/coracle -type f | grep -v locks | sort > work/after; \
         cmp work/before work/after || {{ diff work/before work/after; exit 12; }}; \
         $coracle run --rm small:1 echo well"
    );
    let outcome = sandbox.command([&script]).shell().small_disk(6 << 20).run();
    outcome.success().stdout_contains("well\n").stderr_contains("o space left on device");
}
