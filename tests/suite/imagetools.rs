//! `buildx imagetools`: images put together in a registry.

use serde_json::json;

use crate::support::distribution::Distribution;
use crate::support::harness::{Test, tests};
use crate::support::image::digest;
use crate::support::{Image, Layer, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    puts_images_together,
    appends_and_annotates,
    takes_sources_of_every_kind,
    copies_between_registries,
    shows_what_a_registry_has,
    lies_in_a_group_of_groups,
];

fn image(architecture: &str) -> Image {
    Image::busybox()
        .architecture(architecture)
        .layer(&Layer::new().file("/arch", format!("{architecture}\n")))
}

fn puts_images_together() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (amd, amd_digest) = registry.push("team/app", "amd64", &image("amd64"));
    let (arm, arm_digest) = registry.push("other/app", "arm64", &image("arm64"));
    let sandbox = Sandbox::new();
    let tag = format!("{}/team/app:all", registry.address());
    let dry = sandbox.run(["buildx", "imagetools", "create", "--dry-run", "-t", &tag, &amd, &arm]);
    let index = dry.success().json();
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(index["manifests"][0]["digest"], amd_digest);
    assert_eq!(index["manifests"][1]["platform"], json!({ "architecture": "arm64", "os": "linux" }));
    sandbox
        .run(["buildx", "imagetools", "inspect", &tag])
        .code(1)
        .stderr(&format!("ERROR: {tag}: not found\n"));
    let second = format!("{}/new/place:1", registry.address());
    sandbox
        .run(["buildx", "imagetools", "create", "-t", &tag, "-t", &second, &amd, &arm])
        .stdout("")
        .stderr_contains(&format!("#1 [internal] pushing {tag}\n"))
        .stderr_contains(&format!("copying {arm_digest} from {arm} to {tag}\n"))
        .stderr_contains("\n#2 DONE ")
        .success();
    for tag in [&tag, &second] {
        sandbox.run(["pull", "-q", tag]).success();
        sandbox.run(["run", "--rm", tag, "cat", "/arch"]).stdout("amd64\n").success();
        sandbox.run(["pull", "-q", "--platform", "linux/arm64", tag]).success();
    }
    let raw = sandbox.run(["buildx", "imagetools", "inspect", "--raw", &tag]);
    assert_eq!(raw.success().out, dry.text().as_bytes());
}

fn appends_and_annotates() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (amd, amd_digest) = registry.push("team/app", "amd64", &image("amd64"));
    let (arm, arm_digest) = registry.push("team/app", "arm64", &image("arm64"));
    let sandbox = Sandbox::new();
    let tag = format!("{}/team/app:all", registry.address());
    sandbox.run(["buildx", "imagetools", "create", "-t", &tag, &amd]).success();
    sandbox
        .run([
            "buildx",
            "imagetools",
            "create",
            "--append",
            "--annotation",
            "index:who=me",
            "--annotation",
            "manifest-descriptor[linux/arm64]:what=arm",
            "-t",
            &tag,
            &arm,
        ])
        .success();
    let index = sandbox.run(["buildx", "imagetools", "inspect", "--raw", &tag]).success().json();
    assert_eq!(index["annotations"], json!({ "who": "me" }));
    assert_eq!(index["manifests"][0]["digest"], amd_digest);
    assert_eq!(index["manifests"][1]["digest"], arm_digest);
    assert_eq!(index["manifests"][1]["annotations"], json!({ "what": "arm" }));
    assert!(index["manifests"][0].get("annotations").is_none());
    // A single source stays as it is, if that is wanted.
    let copy = format!("{}/team/app:copy", registry.address());
    sandbox.run(["buildx", "imagetools", "create", "--prefer-index=false", "-t", &copy, &amd]).success();
    let raw = sandbox.run(["buildx", "imagetools", "inspect", "--raw", &copy]);
    assert_eq!(digest(&raw.success().out), amd_digest);
    sandbox
        .run(["buildx", "imagetools", "create", "--annotation", "who=me", "-t", &copy, &amd])
        .code(1)
        .stderr_contains("\"manifest\" annotations are not supported yet");
}

fn takes_sources_of_every_kind() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (_, amd_digest) = registry.push("team/app", "amd64", &image("amd64"));
    let (_, arm_digest) = registry.push("team/app", "arm", &image("amd64").config("User", json!("1")));
    let sandbox = Sandbox::new();
    let tag = format!("{}/team/app:all", registry.address());
    let platform = json!({ "os": "linux", "architecture": "arm", "variant": "v7" });
    let file = sandbox.file("source.json", json!({ "digest": arm_digest, "platform": platform }).to_string());
    sandbox.run(["buildx", "imagetools", "create", "-t", &tag, "-f", &file, &amd_digest]).success();
    let index = sandbox.run(["buildx", "imagetools", "inspect", "--raw", &tag]).success().json();
    assert_eq!(index["manifests"][0]["platform"], platform);
    assert_eq!(index["manifests"][1]["digest"], amd_digest);
    for (words, text) in [
        (&["-t", &tag][..], "no sources specified"),
        (&[amd_digest.as_str()][..], "can't push with no tags specified, please set --tag or --dry-run"),
        (
            &["--dry-run", &amd_digest][..],
            "no repositories specified, please set a reference in tag or source",
        ),
        (&["-t", &tag, "Bad Name"][..], "failed to parse source \"Bad Name\""),
    ] {
        let all: Vec<&str> = [&["buildx", "imagetools", "create"][..], words].concat();
        sandbox.run(all).code(1).stdout("").stderr_contains(text);
    }
}

fn copies_between_registries() {
    needs(Need::Registry);
    let (one, two) = (Distribution::start(), Distribution::start());
    let (amd, amd_digest) = one.push("team/app", "1", &image("amd64"));
    let tag = format!("{}/mirror/app:1", two.address());
    let sandbox = Sandbox::new();
    sandbox
        .run(["buildx", "imagetools", "create", "--progress", "quiet", "-t", &tag, &amd])
        .stderr("")
        .success();
    sandbox.run(["pull", "-q", &tag]).success();
    sandbox.run(["run", "--rm", &tag, "cat", "/arch"]).stdout("amd64\n").success();
    let index = sandbox.run(["buildx", "imagetools", "inspect", "--raw", &tag]).success().json();
    assert_eq!(index["manifests"][0]["digest"], amd_digest);
}

fn shows_what_a_registry_has() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (amd, amd_digest) = registry.push("team/app", "amd64", &image("amd64"));
    let sandbox = Sandbox::new();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    sandbox
        .run(["buildx", "imagetools", "inspect", &amd])
        .stdout(&format!("Name:      {amd}\nMediaType: {media_type}\nDigest:    {amd_digest}\n"))
        .success();
    let format = |name: &str, format: &str| {
        sandbox.run(["buildx", "imagetools", "inspect", "--format", format, name]).success().text()
    };
    assert_eq!(format(&amd, "{{.Manifest.Digest}}"), amd_digest);
    assert_eq!(format(&amd, "{{.Name}} {{.Image.Architecture}}"), format!("{amd} amd64"));
    let json: serde_json::Value = serde_json::from_str(&format(&amd, "{{json .Manifest}}")).unwrap();
    assert_eq!(json["mediaType"], media_type);
    let tag = format!("{}/team/app:all", registry.address());
    let (arm, arm_digest) = registry.push("team/app", "arm64", &image("arm64"));
    sandbox.run(["buildx", "imagetools", "create", "-t", &tag, &amd, &arm]).success();
    let outcome = sandbox.run(["buildx", "imagetools", "inspect", &tag]);
    outcome.success().stdout_contains(&format!(
        "           \nManifests: \n  Name:      {tag}@{amd_digest}\n  MediaType: {media_type}\n  Platform:  \
         linux/amd64\n             \n  Name:      {tag}@{arm_digest}\n"
    ));
    assert_eq!(
        format(&tag, "{{range .Manifest.Manifests}}{{.Digest}},{{end}}"),
        format!("{amd_digest},{arm_digest},")
    );
    assert_eq!(format(&tag, "{{(index .Image \"linux/arm64\").Architecture}}"), "arm64");
}

fn lies_in_a_group_of_groups() {
    let sandbox = Sandbox::new();
    sandbox.run(["buildx"]).stdout_contains("\n  imagetools  ").success();
    sandbox
        .run(["buildx", "imagetools"])
        .stdout_contains("Usage:  coracle buildx imagetools COMMAND\n")
        .success();
    sandbox
        .run(["buildx", "imagetools", "create", "--help"])
        .stdout_contains("Usage:  coracle buildx imagetools create [OPTIONS] [SOURCE...]\n")
        .success();
    sandbox
        .run(["buildx", "imagetools", "foo"])
        .code(1)
        .stderr_contains("unknown command: coracle buildx imagetools foo");
    sandbox.run(["buildx", "foo"]).code(1).stderr_contains("unknown command: coracle buildx foo");
}
