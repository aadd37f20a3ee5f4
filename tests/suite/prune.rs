//! `image prune`: what nobody uses goes, and the rest stays.

use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Sandbox};

pub(crate) const TESTS: &[Test] = tests![
    asks_before_it_removes,
    removes_what_has_no_name,
    removes_all_that_no_container_uses,
    takes_filters,
    tells_what_it_frees,
];

fn names(sandbox: &Sandbox) -> Vec<String> {
    let mut lines = sandbox.run(["images", "-a", "--format", "{{.Repository}}:{{.Tag}}"]).success().lines();
    lines.sort();
    lines
}

/// A sandbox with an image that has lost its name to another.
fn with_a_nameless_one() -> Sandbox {
    let sandbox = Sandbox::new().with("box", &Image::busybox().layer(&Layer::new().file("/old", "old")));
    let sandbox = sandbox.with("box", &Image::busybox().layer(&Layer::new().file("/new", "new")));
    assert_eq!(names(&sandbox), ["<none>:<none>", "box:latest"]);
    assert_eq!(sandbox.run(["images", "-q"]).lines().len(), 1, "hidden unless asked for");
    sandbox
}

fn asks_before_it_removes() {
    let sandbox = with_a_nameless_one();
    let question =
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] ";
    for answer in ["", "n\n", "yes\n", "\n"] {
        sandbox.command(["image", "prune"]).stdin(answer).run().stdout(question).success();
    }
    assert_eq!(names(&sandbox).len(), 2);
    let outcome = sandbox.command(["image", "prune"]).stdin("y\n").run();
    outcome.success().stdout_contains(&format!("{question}Deleted Images:\ndeleted: sha256:"));
    assert_eq!(names(&sandbox), ["box:latest"]);
    let question = "WARNING! This will remove all images without at least one container associated to them.\n\
                    Are you sure you want to continue? [y/N] ";
    sandbox.command(["image", "prune", "--all"]).run().stdout(question).success();
    crate::check::clean(&sandbox);
}

fn removes_what_has_no_name() {
    let sandbox = with_a_nameless_one();
    let outcome = sandbox.run(["image", "prune", "-f"]);
    let lines = outcome.success().lines();
    assert_eq!(lines[0], "Deleted Images:");
    // The image and its one layer that the other has not.
    assert!(
        lines[1].starts_with("deleted: sha256:") && lines[2].starts_with("deleted: sha256:"),
        "{outcome}"
    );
    assert_eq!((lines[3].as_str(), lines.len()), ("", 5));
    assert_eq!(names(&sandbox), ["box:latest"]);
    sandbox.run(["run", "--rm", "box", "cat", "/new"]).stdout("new").success();
    sandbox.run(["image", "prune", "-f"]).stdout("Total reclaimed space: 0B\n").success();
    crate::check::clean(&sandbox);
}

fn removes_all_that_no_container_uses() {
    let sandbox = Sandbox::new().busybox().image("used", |layer| layer.file("/x", "x"));
    sandbox.run(["tag", "busybox", "again:1"]).success();
    sandbox.run(["create", "--name", "cc", "used"]).success();
    let outcome = sandbox.run(["image", "prune", "-a", "-f"]);
    outcome.success().stdout_contains("untagged: again:1\nuntagged: busybox:latest\ndeleted: sha256:");
    assert_eq!(names(&sandbox), ["used:latest"]);
    sandbox.run(["start", "-a", "cc"]).success();
    sandbox.run(["rm", "cc"]).success();
    sandbox.run(["image", "prune", "-a", "-f"]).success();
    assert_eq!(names(&sandbox), [""; 0]);
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("blobs/sha256")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    crate::check::clean(&sandbox);
}

fn takes_filters() {
    let labelled = |value: &str| Image::busybox().config("Labels", json!({ "tier": value }));
    let sandbox = Sandbox::new().with("web", &labelled("web")).with("db", &labelled("db")).busybox();
    // All are of January 2024.
    for filter in ["until=2023-12-31T00:00:00", "label=tier=none", "label!=tier", "label=absent"] {
        let outcome = sandbox.run(["image", "prune", "-af", "--filter", filter, "--filter", "label=tier"]);
        outcome.stdout("Total reclaimed space: 0B\n").success();
    }
    sandbox.run(["image", "prune", "-af", "--filter", "label=tier=web"]).success();
    assert_eq!(names(&sandbox), ["busybox:latest", "db:latest"]);
    sandbox.run(["image", "prune", "-af", "--filter", "label!=tier", "--filter", "until=1h"]).success();
    assert_eq!(names(&sandbox), ["db:latest"]);
    sandbox.run(["image", "prune", "-f", "--filter", "dangling=false"]).success();
    assert_eq!(names(&sandbox), [""; 0]);
    for (filter, text) in [
        ("name=x", "Error response from daemon: invalid filter 'name'"),
        ("dangling=maybe", "Error response from daemon: invalid filter 'dangling=[maybe]'"),
        ("bare", "bad format of filter (expected name=value)"),
        ("until=later", "failed to parse value as time or duration"),
    ] {
        let outcome = sandbox.run(["image", "prune", "-f", "--filter", filter]);
        assert!(outcome.code != Some(0), "{outcome}");
        outcome.stderr_contains(text);
    }
}

fn tells_what_it_frees() {
    let image = Image::scratch().layer(&Layer::new().file("/f", vec![3; 1_000_000]));
    let sandbox = Sandbox::new().with("one", &image);
    // Unpacked and as an archive.
    sandbox.run(["image", "prune", "-af"]).success().stdout_contains("Total reclaimed space: 2.00");
}
