//! `system df` and `images --tree`: what there is, what it takes, and what of it could be freed.

use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Sandbox};

pub(crate) const TESTS: &[Test] = tests![
    an_empty_store_takes_nothing,
    counts_what_there_is,
    shared_layers_count_once,
    what_a_container_stands_on_cannot_be_freed,
    shows_everything_at_length,
    takes_formats,
    draws_a_tree,
];

fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect()
}

fn an_empty_store_takes_nothing() {
    let text = "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
                Images          0         0         0B        0B\n\
                Containers      0         0         0B        0B\n\
                Local Volumes   0         0         0B        0B\n\
                Build Cache     0         0         0B        0B\n";
    Sandbox::new().run(["system", "df"]).stdout(text).success();
}

fn counts_what_there_is() {
    let sandbox = Sandbox::new().busybox().image("other", |layer| layer.file("/x", "x"));
    sandbox.run(["run", "--name", "c1", "busybox", "sh", "-c", "yes | head -c 20000 > /f"]).success();
    sandbox
        .run([
            "run",
            "-d",
            "--name",
            "c2",
            "-v",
            "vol:/v",
            "busybox",
            "sh",
            "-c",
            "yes | head -c 3000 > /v/f; chmod 700 /v; sleep 1000",
        ])
        .success();
    sandbox.run(["run", "--name", "c3", "-v", "vol:/v", "busybox", "true"]).success();
    sandbox
        .run(["run", "--rm", "-v", "unused:/v", "busybox", "sh", "-c", "yes | head -c 500 > /v/f"])
        .success();
    let lines = sandbox.run(["system", "df"]).success().lines();
    assert_eq!(columns(&lines[1])[..3], ["Images", "2", "1"]);
    assert_eq!(columns(&lines[2]), ["Containers", "3", "1", "20kB", "20kB (100%)"]);
    assert_eq!(columns(&lines[3]), ["Local Volumes", "2", "1", "3.5kB", "500B (14%)"]);
}

/// Returns the bytes that the short table tells by a template.
fn sizes(sandbox: &Sandbox) -> (String, String) {
    let outcome = sandbox.run(["system", "df", "--format", "{{.Type}}={{.Size}}={{.Reclaimable}}"]);
    let lines = outcome.success().lines();
    let fields: Vec<_> = lines[0].split('=').collect();
    assert_eq!(fields[0], "Images");
    (fields[1].to_owned(), fields[2].to_owned())
}

fn shared_layers_count_once() {
    let base = Layer::new().file("/base", vec![1; 500_000]);
    let image = |name: &str, size: usize| {
        Image::scratch().layer(&base).layer(&Layer::new().file(name, vec![2; size]))
    };
    let sandbox = Sandbox::new().with("one", &image("/one", 100_000)).with("two", &image("/two", 200_000));
    // As unpacked, and as archives.
    let (total, reclaimable) = sizes(&sandbox);
    assert!(total.starts_with("1.6"), "{total}");
    assert_eq!(reclaimable, format!("{total} (100%)"));
    let outcome = sandbox.run(["system", "df", "-v"]);
    let lines = outcome.success().lines();
    assert_eq!(lines[0], "Images space usage:");
    let row = |name: &str| columns(lines.iter().find(|line| line.starts_with(name)).unwrap()).join("|");
    assert!(row("one").contains("|1.2MB|1.0") && row("one").ends_with("|0"), "{outcome}");
    assert!(row("two").contains("|1.4") && row("two").contains("|40"), "{outcome}");
    // What is freed is what was told.
    let outcome = sandbox.run(["image", "prune", "-af"]);
    outcome.success().stdout_contains(&format!("Total reclaimed space: {total}\n"));
    assert_eq!(sizes(&sandbox), ("0B".to_owned(), "0B".to_owned()));
}

fn what_a_container_stands_on_cannot_be_freed() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["create", "--name", "cc", "busybox"]).success();
    let (_, reclaimable) = sizes(&sandbox);
    assert_eq!(reclaimable, "0B (0%)");
    // The name goes, the layers stay.
    sandbox.run(["rmi", "-f", "busybox"]).success();
    let lines = sandbox.run(["system", "df"]).success().lines();
    assert!(columns(&lines[1])[3].ends_with("MB"), "{lines:?}");
    assert_eq!(columns(&lines[1])[4], "0B (0%)");
    sandbox.run(["rm", "cc"]).success();
    sandbox.run(["image", "prune", "-f"]).success();
    assert_eq!(sizes(&sandbox).0, "0B");
}

fn shows_everything_at_length() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "--name", "cc", "-v", "vol:/v", "busybox", "sh", "-c", "echo x > /v/f"]).success();
    let text = sandbox.run(["system", "df", "--verbose"]).success().text();
    for part in [
        "Images space usage:\n\nREPOSITORY   TAG       IMAGE ID       CREATED ",
        "\n\nContainers space usage:\n\nCONTAINER ID   IMAGE     COMMAND ",
        "\n\nLocal Volumes space usage:\n\nVOLUME NAME   LINKS     SIZE\nvol           1         2B\n\n",
        "Build cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED",
    ] {
        assert!(text.contains(part), "{text}\nlacks\n{part}");
    }
}

fn takes_formats() {
    let sandbox = Sandbox::new().busybox();
    let outcome = sandbox.run(["system", "df", "--format", "json"]);
    let lines = outcome.success().lines();
    assert_eq!(lines.len(), 4);
    let first: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&first["Type"], &first["TotalCount"]), (&"Images".into(), &"1".into()));
    let document = sandbox.run(["system", "df", "-v", "--format", "json"]).success().json();
    assert_eq!(document["Images"][0]["Repository"], "busybox");
    sandbox
        .run(["system", "df", "-v", "--format", "{{range .Images}}{{.Repository}} {{.Containers}}{{end}}"])
        .stdout("busybox 0\n")
        .success();
    sandbox.run(["system", "df", "--format", "{{.Nothing}}"]).code(1).stderr_contains("template");
}

fn draws_a_tree() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["tag", "busybox", "second:1"]).success();
    sandbox.run(["create", "--name", "cc", "busybox"]).success();
    let id = &Image::busybox().id()[7..19];
    for words in [&["images", "--tree"][..], &["image", "tree"]] {
        let lines = sandbox.run(words.iter().copied()).success().lines();
        assert_eq!(columns(&lines[0]), ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"]);
        assert_eq!(lines[1].trim(), "busybox:latest");
        assert!(lines[2].starts_with("second:1 ") && lines[2].contains(id), "{lines:?}");
        assert_eq!(columns(&lines[2])[4], "U");
        assert!(lines[3].starts_with("└─ linux/amd64 "), "{lines:?}");
    }
    sandbox
        .run(["images", "--tree", "-q"])
        .code(1)
        .stderr_contains("--quiet is not yet supported with --tree");
    sandbox.run(["image", "tree", "absent"]).success();
    // On a terminal it is what `images` shows; in a pipe scripts find their columns.
    let mut terminal = sandbox.command(["images"]).terminal();
    terminal.expect("Info → ").expect("DISK USAGE").expect("busybox:latest");
    terminal.wait().success();
    assert!(sandbox.run(["images"]).success().lines()[0].starts_with("REPOSITORY "));
}
