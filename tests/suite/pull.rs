//! `pull` from Debian's `docker-registry` on loopback.

use serde_json::json;

use crate::support::distribution::Distribution;
use crate::support::harness::{Test, tests};
use crate::support::image::{Blob, Compression};
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
