//! `manifest`: lists put together here and pushed, with Docker's words.

use serde_json::json;

use crate::support::distribution::Distribution;
use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    a_list_is_made_annotated_and_pushed,
    manifests_of_other_repositories_come_along,
    inspects_what_a_registry_has,
    lists_are_amended_and_removed,
    says_what_is_wrong,
];

fn image(architecture: &str) -> Image {
    Image::busybox()
        .architecture(architecture)
        .layer(&Layer::new().file("/arch", format!("{architecture}\n")))
}

fn a_list_is_made_annotated_and_pushed() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (amd, amd_digest) = registry.push("team/app", "amd64", &image("amd64"));
    let (arm, arm_digest) = registry.push("team/app", "armv7", &image("amd64"));
    let list = format!("{}/team/app:all", registry.address());
    let sandbox = Sandbox::new();
    sandbox
        .run(["manifest", "create", &list, &amd, &arm])
        .stdout(&format!("Created manifest list {list}\n"))
        .success();
    let listed = sandbox.run(["manifest", "inspect", &list]).success().json();
    assert_eq!(listed["manifests"][1]["platform"], json!({ "architecture": "amd64", "os": "linux" }));
    sandbox
        .run([
            "manifest",
            "annotate",
            "--arch",
            "arm",
            "--variant=v7",
            "--os-features",
            "a,b",
            "--os-version",
            "1",
            &list,
            &arm,
        ])
        .stdout("")
        .success();
    let member = sandbox.run(["manifest", "inspect", "-v", &list, &arm]).success().json();
    assert_eq!(member["Ref"], arm);
    assert_eq!(
        member["Descriptor"]["platform"],
        json!({
            "architecture": "arm", "os": "linux", "os.version": "1", "os.features": ["a", "b"], "variant": "v7"
        })
    );
    assert_eq!(member["OCIManifest"]["schemaVersion"], 2);
    let pushed = sandbox.run(["manifest", "push", "--purge", &list]).success().text();
    assert!(pushed.starts_with("sha256:"), "{pushed}");
    sandbox.run(["manifest", "push", &list]).code(1).stderr(&format!("No such manifest: {list}\n"));
    // Everybody gets what is theirs.
    sandbox.run(["pull", "-q", &list]).success();
    sandbox.run(["run", "--rm", &list, "cat", "/arch"]).stdout("amd64\n").success();
    let inspected = sandbox.run(["manifest", "inspect", &list]).success().json();
    assert_eq!(inspected["manifests"][0]["digest"], amd_digest);
    assert_eq!(inspected["manifests"][1]["digest"], arm_digest);
    assert_eq!(inspected["manifests"][1]["platform"]["architecture"], "arm");
    let text = sandbox.run(["manifest", "inspect", &list]).success().text();
    assert!(text.starts_with("{\n   \"schemaVersion\": 2,\n   \"mediaType\": "), "{text}");
}

fn manifests_of_other_repositories_come_along() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (one, digest) = registry.push("elsewhere/app", "1", &image("amd64"));
    let list = format!("{}/team/all:1", registry.address());
    let sandbox = Sandbox::new();
    sandbox.run(["manifest", "create", &list, &one]).success();
    let outcome = sandbox.run(["manifest", "push", &list]);
    let lines = outcome.success().lines();
    let place = format!("{}/team/all@{digest}", registry.address());
    assert_eq!(lines[0], format!("Pushed ref {place} with digest: {digest}"));
    sandbox.run(["pull", "-q", &list]).success();
    sandbox.run(["run", "--rm", &list, "cat", "/arch"]).stdout("amd64\n").success();
}

fn inspects_what_a_registry_has() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (one, digest) = registry.push("team/app", "1", &image("amd64"));
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["manifest", "inspect", &one]);
    assert_eq!(outcome.success().json()["layers"].as_array().unwrap().len(), 2);
    assert!(outcome.text().starts_with("{\n\t\""), "{outcome}");
    let details = sandbox.run(["manifest", "inspect", "--verbose", &one]).success().json();
    assert_eq!(details["Descriptor"]["digest"], digest);
    assert_eq!(details["Descriptor"]["platform"]["os"], "linux");
    let absent = format!("{}/team/app:absent", registry.address());
    sandbox.run(["manifest", "inspect", &absent]).code(1).stderr(&format!("no such manifest: {absent}\n"));
    sandbox
        .run(["manifest", "inspect", "a", "b", "c"])
        .code(1)
        .stderr_contains("'coracle manifest inspect' requires at least 1 and at most 2 arguments\n");
}

fn lists_are_amended_and_removed() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (one, _) = registry.push("team/app", "1", &image("amd64"));
    let (two, _) = registry.push("team/app", "2", &image("arm64"));
    let list = format!("{}/team/app:all", registry.address());
    let sandbox = Sandbox::new();
    sandbox.run(["manifest", "create", &list, &one]).success();
    sandbox
        .run(["manifest", "create", &list, &two])
        .code(1)
        .stderr("refusing to amend an existing manifest list with no --amend flag\n");
    sandbox.run(["manifest", "create", "-a", &list, &two]).success();
    let count = |sandbox: &Sandbox| {
        sandbox.run(["manifest", "inspect", &list]).success().json()["manifests"].as_array().unwrap().len()
    };
    assert_eq!(count(&sandbox), 2);
    // One that is not there leaves the list as it was.
    let absent = format!("{}/team/app:absent", registry.address());
    sandbox
        .run(["manifest", "create", "--amend", &list, &one, &absent])
        .code(1)
        .stderr(&format!("no such manifest: {absent}\n"));
    assert_eq!(count(&sandbox), 2);
    let other = format!("{}/team/app:other", registry.address());
    sandbox.run(["manifest", "create", &other, &one, &absent]).code(1);
    sandbox.run(["manifest", "rm", &other]).code(1).stderr(&format!("No such manifest: {other}\n"));
    sandbox.run(["manifest", "rm", &list]).stdout("").success();
    sandbox.run(["manifest", "rm", &list]).code(1).stderr(&format!("No such manifest: {list}\n"));
    assert_eq!(std::fs::read_dir(sandbox.store().join("staging")).unwrap().count(), 0);
}

fn says_what_is_wrong() {
    needs(Need::Registry);
    let registry = Distribution::start();
    let (one, _) = registry.push("team/app", "1", &image("amd64"));
    let list = format!("{}/team/app:all", registry.address());
    let sandbox = Sandbox::new();
    sandbox.run(["manifest", "create", &list, &one]).success();
    sandbox
        .run(["manifest", "annotate", "--arch", "z80", &list, &one])
        .code(1)
        .stderr("manifest entry for image has unsupported os/arch combination: /z80\n");
    sandbox
        .run(["manifest", "annotate", &list, "other:1"])
        .code(1)
        .stderr(&format!("manifest for image other:1 does not exist in {list}\n"));
    sandbox.run(["manifest", "push", &list]).success();
    let again = format!("{}/team/app:again", registry.address());
    sandbox
        .run(["manifest", "create", &again, &list])
        .code(1)
        .stderr(&format!("{list} is a manifest list\n"));
    // A list cannot name what another registry has.
    sandbox.run(["manifest", "create", "quay.io/team/app:1", &one]).success();
    sandbox
        .run(["manifest", "push", "quay.io/team/app:1"])
        .code(1)
        .stderr_contains("cannot use source images from a different registry than the target image");
    sandbox
        .run(["manifest", "create", "Bad Name", &one])
        .code(1)
        .stderr_contains("error parsing name for manifest list Bad Name");
}
