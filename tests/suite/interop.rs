//! Other tools and what we make, and the other way round: digests stay, and nothing that an image says is lost.

use serde_json::{Value, json};

use crate::support::distribution::Distribution;
use crate::support::harness::{Test, tests};
use crate::support::image::{Blob, Compression, Media};
use crate::support::peers::{Podman, skopeo};
use crate::support::registry::digest;
use crate::support::{Image, Layer, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    podman_pulls_what_is_pushed,
    skopeo_copies_what_is_pushed,
    skopeo_copies_the_store,
    a_pushed_image_keeps_its_digest_through_an_archive,
    what_an_image_says_survives_both_formats,
    pulls_an_index_of_indexes,
    keeps_and_skips_attestations,
    refuses_artifacts,
    skips_artifacts_of_an_index,
];

/// Every way an image can lie in a registry.
const WAYS: [(Media, Compression, &str); 5] = [
    (Media::Oci, Compression::Gzip, "oci-gzip"),
    (Media::Oci, Compression::Zstd, "oci-zstd"),
    (Media::Oci, Compression::None, "oci-none"),
    (Media::Docker, Compression::Gzip, "docker-gzip"),
    (Media::Docker, Compression::None, "docker-none"),
];

fn layer(text: &str) -> Image {
    Image::busybox().layer(&Layer::new().file("/x", text))
}

/// Returns the digest in the last line of a push.
fn pushed(sandbox: &Sandbox, reference: &str) -> String {
    let lines = sandbox.run(["push", reference]).success().lines();
    lines.last().unwrap().split(' ').nth(2).unwrap().to_owned()
}

/// Pulls an image in every way from one registry and pushes it to another; returns the references there with their
/// digests.
fn pushed_in_every_way(sandbox: &Sandbox, to: &Distribution) -> Vec<(String, String)> {
    let from = Distribution::start();
    WAYS.iter()
        .map(|(media, compression, tag)| {
            let image = layer(&format!("{tag}\n")).media(*media).compression(*compression);
            let (source, digest) = from.push("box", tag, &image);
            let target = format!("{}/team/box:{tag}", to.address());
            sandbox.run(["pull", "-q", &source]).success();
            sandbox.run(["tag", &source, &target]).success();
            assert_eq!(pushed(sandbox, &target), digest, "{tag}");
            (target, digest)
        })
        .collect()
}

fn podman_pulls_what_is_pushed() {
    needs(Need::Registry);
    let podman = Podman::new();
    let registry = Distribution::start();
    let sandbox = Sandbox::new();
    for (reference, digest) in pushed_in_every_way(&sandbox, &registry) {
        podman.run(&["pull", "-q", "--tls-verify=false", &reference]);
        assert_eq!(podman.run(&["inspect", "-f", "{{.Digest}}", &reference]).trim(), digest, "{reference}");
        let id = sandbox.run(["images", "-q", "--no-trunc", &reference]).text();
        assert_eq!(podman.run(&["images", "-q", "--no-trunc", &reference]).trim(), id);
    }
}

fn skopeo_copies_what_is_pushed() {
    needs(Need::Registry);
    needs(Need::Skopeo);
    let registry = Distribution::start();
    let sandbox = Sandbox::new();
    let dir = tempfile::tempdir().unwrap();
    for (reference, expected) in pushed_in_every_way(&sandbox, &registry) {
        let source = format!("docker://{reference}");
        let tag = reference.rsplit(':').next().unwrap();
        let inspect = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &source];
        assert_eq!(skopeo(dir.path(), &inspect).trim(), expected);
        skopeo(dir.path(), &["copy", "--src-tls-verify=false", &source, &format!("dir:{tag}")]);
        let manifest = std::fs::read(dir.path().join(tag).join("manifest.json")).unwrap();
        assert_eq!(digest(&manifest), expected);
    }
}

fn skopeo_copies_the_store() {
    needs(Need::Registry);
    needs(Need::Skopeo);
    let registry = Distribution::start();
    let sandbox = Sandbox::new();
    let dir = tempfile::tempdir().unwrap();
    let store = |name: &str| format!("oci:{}:{name}", sandbox.store().display());
    let images = pushed_in_every_way(&sandbox, &registry);
    // In a layout, skopeo finds OCI's manifests alone.
    for (reference, expected) in images.iter().filter(|(name, _)| name.contains(":oci-")) {
        let tag = reference.rsplit(':').next().unwrap();
        let source = store(reference);
        let told: Value = serde_json::from_str(&skopeo(dir.path(), &["inspect", &source])).unwrap();
        assert_eq!(told["Digest"], *expected);
        assert_eq!(told["Layers"].as_array().unwrap().len(), 2);
        skopeo(dir.path(), &["copy", "--preserve-digests", &source, &format!("dir:{tag}")]);
        let manifest = std::fs::read(dir.path().join(tag).join("manifest.json")).unwrap();
        assert_eq!(digest(&manifest), *expected);
    }
    // What was made here can be read there too.
    let archive = sandbox.file("made.tar", layer("made\n").docker_archive("made:1"));
    sandbox.run(["load", "-q", "-i", &archive]).success();
    skopeo(dir.path(), &["copy", &store("docker.io/library/made:1"), "docker-archive:made.tar:made:2"]);
    let other = Sandbox::new();
    let bytes = std::fs::read(dir.path().join("made.tar")).unwrap();
    other.command(["load"]).stdin(bytes).run().stdout("Loaded image: made:2\n").success();
    other.run(["run", "--rm", "made:2", "cat", "/x"]).stdout("made\n").success();
}

fn a_pushed_image_keeps_its_digest_through_an_archive() {
    needs(Need::Registry);
    let (registry, other) = (Distribution::start(), Distribution::start());
    let sandbox = Sandbox::new();
    for (reference, digest) in pushed_in_every_way(&sandbox, &registry) {
        for format in ["docker-archive", "oci-archive"] {
            let name = reference.replace(registry.address(), other.address());
            sandbox.run(["tag", &reference, &name]).success();
            sandbox.run(["save", "--format", format, "-o", "out.tar", &name]).success();
            let fresh = Sandbox::new();
            let bytes = std::fs::read(sandbox.work().join("out.tar")).unwrap();
            fresh.command(["load", "-q"]).stdin(bytes).run().success();
            assert_eq!(pushed(&fresh, &name), digest, "{name} {format}");
            sandbox.run(["rmi", &name]).success();
            sandbox.run(["load", "-q", "-i", "out.tar"]).success();
            assert_eq!(pushed(&sandbox, &name), digest, "{name} {format}");
            // What came out of an archive learns its digest from the registry.
            sandbox.run(["rmi", &name]).success();
            sandbox.run(["load", "-q", "-i", "out.tar"]).success();
            sandbox.run(["pull", &name]).success().stdout_contains("Image is up to date");
            let known = sandbox.run(["inspect", "-f", "{{json .RepoDigests}}", &name]).success().text();
            assert!(known.contains(&format!("/team/box@{digest}")), "{known}");
            sandbox.run(["rmi", &name]).success();
        }
    }
}

fn what_an_image_says_survives_both_formats() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let keys = [
        ("Healthcheck", json!({ "Test": ["CMD", "true"], "Interval": 5_000_000_000_u64, "Retries": 2 })),
        ("Shell", json!(["/bin/ash", "-ec"])),
        ("OnBuild", json!(["RUN true"])),
        ("StopSignal", json!("SIGQUIT")),
        ("Volumes", json!({ "/data": {} })),
        ("ExposedPorts", json!({ "80/tcp": {} })),
        ("Labels", json!({ "a.b": "c" })),
        ("User", json!("7:8")),
        ("Entrypoint", json!(["/bin/sh", "-c"])),
        ("ArgsEscaped", json!(true)),
    ];
    for media in [Media::Oci, Media::Docker] {
        let mut image = layer("x\n").media(media);
        for (key, value) in &keys {
            image = image.config(key, value.clone());
        }
        let (reference, digest) = registry.push("said", &format!("{media:?}").to_lowercase(), &image);
        let sandbox = Sandbox::new();
        sandbox.run(["pull", "-q", &reference]).success();
        for format in ["", "docker-archive", "oci-archive"] {
            if !format.is_empty() {
                sandbox.run(["save", "--format", format, "-o", "out.tar", &reference]).success();
                sandbox.run(["rmi", &reference]).success();
                sandbox.run(["load", "-q", "-i", "out.tar"]).success();
            }
            let found = sandbox.run(["image", "inspect", "-f", "{{json .Config}}", &reference]).json();
            for (key, value) in &keys {
                assert_eq!(found[*key], *value, "{media:?} {format} {key}");
            }
            assert_eq!(pushed(&sandbox, &reference), digest);
        }
    }
}

/// Returns an index, as a blob of its media type.
fn index(manifests: &[Value]) -> Blob {
    let media_type = "application/vnd.oci.image.index.v1+json";
    let text = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
    Blob::new(media_type, serde_json::to_vec(&text).unwrap())
}

fn entry(blob: &Blob, os: &str, architecture: &str) -> Value {
    let mut entry = blob.descriptor();
    entry["platform"] = json!({ "os": os, "architecture": architecture });
    entry
}

/// Puts what an index names, and returns its entry.
fn put(registry: &Distribution, image: &Image, architecture: &str) -> Value {
    let blobs = image.clone().architecture(architecture).blobs();
    registry.upload("multi", &blobs);
    registry.put_manifest("multi", &blobs.manifest.digest, &blobs.manifest);
    entry(&blobs.manifest, "linux", architecture)
}

fn pulls_an_index_of_indexes() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let inner = index(&[put(&registry, &layer("arm\n"), "arm64"), put(&registry, &layer("amd\n"), "amd64")]);
    registry.put_manifest("multi", &inner.digest, &inner);
    let outer = index(&[inner.descriptor()]);
    registry.put_manifest("multi", "1", &outer);
    let reference = format!("{}/multi:1", registry.address());
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).success().stdout_contains(&format!("Digest: {}\n", outer.digest));
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("amd\n").success();
    sandbox.run(["pull", "-q", "--platform", "linux/arm64", &reference]).success();
    sandbox.run(["image", "inspect", "-f", "{{.Architecture}}", &reference]).stdout("arm64\n");
    sandbox
        .run(["pull", "--platform", "linux/s390x", &reference])
        .code(1)
        .stderr_contains("no matching manifest for linux/s390x in the manifest list entries");
}

/// Puts an image for one platform with what its builder states about it; returns its reference and the index's digest.
fn attested(registry: &Distribution, tag: &str) -> (String, String) {
    let image = put(registry, &layer("x\n"), "amd64");
    let statement = |kind: &str, predicate: Value| {
        let text = json!({ "_type": "https://in-toto.io/Statement/v0.1", "predicateType": kind, "predicate": predicate });
        let blob = Blob::new("application/vnd.in-toto+json", serde_json::to_vec(&text).unwrap());
        let mut entry = blob.descriptor();
        entry["annotations"] = json!({ "in-toto.io/predicate-type": kind });
        (blob, entry)
    };
    let packages = json!([{ "name": "busybox", "versionInfo": "1.36" }, { "name": "odd" }]);
    let (sbom, sbom_entry) = statement("https://spdx.dev/Document", json!({ "packages": packages }));
    let (made, made_entry) = statement("https://slsa.dev/provenance/v0.2", json!({ "buildType": "test" }));
    let config = Blob::new("application/vnd.oci.image.config.v1+json", b"{}".to_vec());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let text = json!({
        "schemaVersion": 2, "mediaType": media_type, "config": config.descriptor(),
        "layers": [sbom_entry, made_entry],
    });
    let manifest = Blob::new(media_type, serde_json::to_vec(&text).unwrap());
    let mut about = entry(&manifest, "unknown", "unknown");
    about["annotations"] = json!({
        "vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest",
    });
    let blobs = crate::support::image::Blobs { manifest: manifest.clone(), config, layers: vec![sbom, made] };
    registry.upload("multi", &blobs);
    registry.put_manifest("multi", &manifest.digest, &manifest);
    let index = index(&[about, image]);
    registry.put_manifest("multi", tag, &index);
    (format!("{}/multi:{tag}", registry.address()), index.digest)
}

fn keeps_and_skips_attestations() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (reference, digest) = attested(&registry, "attested");
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).success().stdout_contains(&format!("Digest: {digest}\n"));
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
    sandbox
        .run(["pull", "--platform", "unknown/unknown", &reference])
        .code(1)
        .stderr_contains("no matching manifest for unknown");
    assert_eq!(sandbox.run(["images", "-q"]).lines().len(), 1);
    // Copied from registry to registry, they go along.
    let copy = format!("{}/copy:1", registry.address());
    sandbox.run(["buildx", "imagetools", "create", "-t", &copy, &reference]).success();
    let raw = sandbox.run(["buildx", "imagetools", "inspect", "--raw", &copy]);
    assert_eq!(crate::support::image::digest(&raw.success().out), digest);

    let inspect = |name: &str, format: &str| {
        sandbox.run(["buildx", "imagetools", "inspect", "--format", format, name]).success().text()
    };
    let sbom: Value = serde_json::from_str(&inspect(&copy, "{{json .SBOM}}")).unwrap();
    assert_eq!(sbom["SPDX"]["packages"][0]["name"], "busybox");
    let made: Value = serde_json::from_str(&inspect(&copy, "{{json .Provenance}}")).unwrap();
    assert_eq!(made, json!({ "SLSA": { "buildType": "test" } }));
    assert_eq!(
        inspect(&copy, "{{range .SBOM.SPDX.packages}}{{.name}} {{.versionInfo}},{{end}}"),
        "busybox 1.36,odd <no value>,"
    );
    assert_eq!(inspect(&copy, "{{.Provenance.SLSA.buildType}}"), "test");
    let whole: Value = serde_json::from_str(&inspect(&copy, "{{json .}}")).unwrap();
    assert_eq!(whole["image"]["architecture"], "amd64");
    assert!(whole.get("SBOM").is_none() && whole["manifest"]["digest"] == digest);
    // Without any there is nothing; of several platforms each has its own.
    let (plain, _) = registry.push("plain", "1", &layer("y\n"));
    assert_eq!(inspect(&plain, "{{json .SBOM}}"), "{}");
    let arm = layer("arm\n").architecture("arm64");
    let (arm, _) = registry.push("multi", "arm", &arm);
    sandbox.run(["buildx", "imagetools", "create", "--append", "-t", &reference, &arm]).success();
    let both: Value = serde_json::from_str(&inspect(&reference, "{{json .SBOM}}")).unwrap();
    assert_eq!(both["linux/amd64"], sbom);
    assert_eq!(both.as_object().unwrap().len(), 1);
    assert_eq!(inspect(&reference, "{{(index .Provenance \"linux/amd64\").SLSA.buildType}}"), "test");
}

/// Puts an artifact that is no image, as `helm push` and others make them.
fn artifact(registry: &Distribution, tag: &str, config: &str, layer: &str) -> (String, Blob) {
    let config = Blob::new(config, br#"{"name":"chart","version":"1"}"#.to_vec());
    let content = Blob::new(layer, b"not a tar".to_vec());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let text = json!({
        "schemaVersion": 2, "mediaType": media_type, "config": config.descriptor(), "layers": [content.descriptor()],
    });
    let manifest = Blob::new(media_type, serde_json::to_vec(&text).unwrap());
    let blobs = crate::support::image::Blobs { manifest: manifest.clone(), config, layers: vec![content] };
    registry.upload("multi", &blobs);
    registry.put_manifest("multi", tag, &manifest);
    registry.put_manifest("multi", &manifest.digest, &manifest);
    (format!("{}/multi:{tag}", registry.address()), manifest)
}

fn refuses_artifacts() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let sandbox = Sandbox::new().busybox();
    let before = crate::hostile::listing(&sandbox.store());
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    let plain = "application/vnd.oci.image.config.v1+json";
    for (tag, config, layer, text) in [
        (
            "helm",
            "application/vnd.cncf.helm.config.v1+json",
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "Encountered remote \"application/vnd.cncf.helm.config.v1+json\"(unknown) when fetching",
        ),
        ("empty", "application/vnd.oci.empty.v1+json", "text/plain", "(unknown) when fetching"),
        ("plugin", "application/vnd.docker.plugin.v1+json", tar, "(plugin) when fetching"),
        ("wasm", plain, "application/wasm", "unsupported media type \"application/wasm\""),
        (
            "foreign",
            plain,
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "kept outside of the registry",
        ),
    ] {
        let (reference, _) = artifact(&registry, tag, config, layer);
        sandbox.run(["pull", &reference]).code(1).stderr_contains(text);
        sandbox.run(["run", "--rm", &reference]).code(125).stderr_contains(text);
        assert_eq!(crate::hostile::listing(&sandbox.store()), before, "{tag}");
    }
}

fn skips_artifacts_of_an_index() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let config = "application/vnd.cncf.helm.config.v1+json";
    let (_, chart) = artifact(&registry, "helm", config, "text/plain");
    let image = put(&registry, &layer("x\n"), "amd64");
    let index = index(&[entry(&chart, "unknown", "unknown"), image]);
    registry.put_manifest("multi", "both", &index);
    let reference = format!("{}/multi:both", registry.address());
    let sandbox = Sandbox::new();
    sandbox.run(["run", "--rm", "-q", &reference, "cat", "/x"]).stdout("x\n").success();
}
