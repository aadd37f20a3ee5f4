//! Images from files, their names, and their removal.

use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::image::{Compression, digest, gzip};
use crate::support::{Image, Layer, Meta, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    loads_what_docker_saves,
    loads_oci_archives,
    loads_from_files_and_directories,
    imports_any_compression,
    imports_with_changes,
    lists_in_dockers_columns,
    filters_and_formats,
    tags,
    removes,
    refuses_to_remove_what_is_used,
    shows_history,
    owners_modes_links_and_attributes_come_out_right,
    whiteouts_and_opaque_directories_hide,
    a_directory_replaces_a_file_and_back,
    shared_layers_are_kept_once,
    the_store_is_a_valid_layout,
    absent_images_are_errors,
    names_follow_dockers_rules,
];

fn loads_what_docker_saves() {
    let sandbox = Sandbox::new();
    let image = Image::busybox();
    sandbox
        .command(["load"])
        .stdin(image.docker_archive("site/app:1"))
        .run()
        .stdout("Loaded image: site/app:1\n")
        .success();
    assert_eq!(sandbox.run(["images", "-q", "--no-trunc"]).text(), image.id());
    sandbox.run(["run", "--rm", "site/app:1", "echo", "runs"]).stdout("runs\n").success();
    // Compressed as a whole, it is the same.
    sandbox
        .command(["load"])
        .stdin(gzip(&image.docker_archive("zipped:1")))
        .run()
        .stdout("Loaded image: zipped:1\n")
        .success();
}

fn loads_oci_archives() {
    let sandbox = Sandbox::new();
    for (name, compression) in
        [("plain:1", Compression::None), ("gzip:1", Compression::Gzip), ("zstd:1", Compression::Zstd)]
    {
        let image = Image::busybox().compression(compression).config("Labels", json!({ "name": name }));
        let outcome = sandbox.command(["load"]).stdin(image.oci_archive(name)).run();
        outcome.success().stdout(&format!("Loaded image: {name}\n"));
        sandbox.run(["run", "--rm", name, "echo", "runs"]).stdout("runs\n").success();
    }
}

fn loads_from_files_and_directories() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("image.tar", Image::busybox().docker_archive("one:1"));
    sandbox.run(["load", "-i", &file]).stdout("Loaded image: one:1\n").success();
    sandbox.run(["load", "--quiet", "--input", &file]).success();
    sandbox
        .run(["load", "-i", "/nowhere.tar"])
        .code(1)
        .stderr_contains("/nowhere.tar: no such file or directory");
    sandbox.command(["load"]).stdin("not a tar at all").run().code(1);
}

fn imports_any_compression() {
    let sandbox = Sandbox::new();
    let tar = Layer::base().file("/hello", "hi\n").tar();
    let bzip2 = {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &tar).unwrap();
        encoder.finish().unwrap()
    };
    let xz = liblzma::encode_all(&tar[..], 0).unwrap();
    for (name, bytes) in [
        ("plain", tar.clone()),
        ("gzip", gzip(&tar)),
        ("zstd", zstd::bulk::compress(&tar, 1).unwrap()),
        ("bzip2", bzip2),
        ("xz", xz),
    ] {
        let file = sandbox.file(name, bytes);
        let id = sandbox.run(["import", &file, &format!("imported:{name}")]).success().text();
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        let reference = format!("imported:{name}");
        sandbox.run(["run", "--rm", &reference, "cat", "/hello"]).stdout("hi\n").success();
        let layers = sandbox.run(["inspect", "-f", "{{index .RootFS.Layers 0}}", &reference]).text();
        assert_eq!(layers, digest(&tar), "{name}");
    }
}

fn imports_with_changes() {
    let sandbox = Sandbox::new();
    sandbox
        .command([
            "import",
            "-c",
            "CMD [\"cat\", \"/hello\"]",
            "--change",
            "ENV A=1",
            "-m",
            "by hand",
            "-",
            "im:1",
        ])
        .stdin(Layer::base().file("/hello", "hi\n").tar())
        .run()
        .success();
    sandbox.run(["run", "--rm", "im:1"]).stdout("hi\n").success();
    sandbox.run(["run", "--rm", "im:1", "sh", "-c", "echo $A"]).stdout("1\n").success();
    sandbox.run(["history", "--format", "{{.Comment}}", "im:1"]).stdout("by hand\n").success();
}

fn lists_in_dockers_columns() {
    let sandbox = Sandbox::new().busybox();
    let lines = sandbox.run(["images"]).success().lines();
    assert_eq!(
        lines[0].split("  ").filter(|word| !word.is_empty()).map(str::trim).collect::<Vec<_>>(),
        ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    );
    let id = Image::busybox().id();
    assert!(lines[1].starts_with("busybox ") && lines[1].contains(" latest "), "{lines:?}");
    assert!(lines[1].contains(&id[7..19]), "{lines:?}");
    let size = lines[1].split_whitespace().last().unwrap();
    assert!(size.ends_with("MB") && size.len() <= 6, "{size}");
    assert_eq!(sandbox.run(["image", "ls"]).text(), sandbox.run(["images"]).text());
    assert!(sandbox.run(["images", "--digests"]).success().lines()[0].contains("DIGEST"));
    sandbox.run(["images", "-q"]).stdout(&format!("{}\n", &id[7..19]));
    Sandbox::new().run(["images", "-q"]).stdout("").success();
}

fn filters_and_formats() {
    let labelled = Image::busybox().config("Labels", json!({ "tier": "web" }));
    let sandbox = Sandbox::new().busybox().with("site/web", &labelled);
    sandbox.run(["tag", "site/web", "site/web:2"]).success();
    let list = |words: &[&str]| -> Vec<String> {
        let mut arguments = vec!["images", "--format", "{{.Repository}}:{{.Tag}}"];
        arguments.extend(words);
        let mut lines = sandbox.run(arguments).success().lines();
        lines.sort();
        lines
    };
    assert_eq!(list(&["site/web"]), ["site/web:2", "site/web:latest"]);
    assert_eq!(list(&["site/web:2"]), ["site/web:2"]);
    assert_eq!(list(&["--filter", "reference=site/*"]), ["site/web:2", "site/web:latest"]);
    assert_eq!(list(&["--filter", "label=tier=web"]), ["site/web:2", "site/web:latest"]);
    assert_eq!(list(&["absent"]), [""; 0]);
    // An image that lost its name is there, and shown when asked for.
    sandbox.with("busybox", &Image::busybox().config("Env", json!(["A=1"])));
}

fn tags() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["tag", "busybox", "registry.example:5000/team/box:v1"]).stdout("").success();
    sandbox.run(["run", "--rm", "registry.example:5000/team/box:v1", "echo", "x"]).stdout("x\n").success();
    let id = Image::busybox().id();
    for name in ["busybox:latest", &id, &id[7..], &id[7..15]] {
        sandbox.run(["tag", name, "again"]).success();
    }
    assert_eq!(sandbox.run(["images", "-q", "again"]).text(), id[7..19]);
    sandbox
        .run(["tag", "absent", "x"])
        .code(1)
        .stderr("Error response from daemon: No such image: absent:latest\n");
    sandbox
        .run(["tag", "busybox", "Upper"])
        .code(1)
        .stderr(
            "Error parsing reference: \"Upper\" is not a valid repository/tag: invalid reference format: repository \
             name (library/Upper) must be lowercase\n",
        );
    sandbox
        .run(["tag", "busybox", &format!("x@{id}")])
        .code(1)
        .stderr("refusing to create a tag with a digest reference\n");
}

fn removes() {
    let sandbox = Sandbox::new().busybox();
    let id = Image::busybox().id();
    sandbox.run(["tag", "busybox", "second:1"]).success();
    sandbox.run(["rmi", "second:1"]).stdout("Untagged: second:1\n").success();
    let outcome = sandbox.run(["rmi", "busybox"]);
    outcome.success().stdout_contains("Untagged: busybox:latest\n");
    outcome.stdout_contains(&format!("Deleted: {id}\n"));
    sandbox.run(["images", "-aq"]).stdout("");
    for dir in ["layers", "blobs/sha256", "images", "staging"] {
        let left: Vec<_> = walk(&sandbox.store().join(dir));
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
    // By id it goes with its one name, and with several only by force.
    let sandbox = sandbox.busybox();
    sandbox.run(["tag", "busybox", "second:1"]).success();
    sandbox
        .run(["rmi", &id[7..19]])
        .code(1)
        .stderr_contains(&format!("conflict: unable to delete {} (must be forced)", &id[7..19]))
        .stderr_contains("image is referenced in multiple repositories");
    sandbox.run(["rmi", "-f", &id[7..19]]).success();
    sandbox.run(["images", "-aq"]).stdout("");
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files.extend(walk(&entry.path()));
        } else {
            files.push(entry.path().display().to_string());
        }
    }
    files
}

fn refuses_to_remove_what_is_used() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["create", "--name", "cc", "busybox", "echo", "alive"]).success().text();
    sandbox.run(["rmi", "busybox"]).code(1).stdout("").stderr_contains(&format!(
        "conflict: unable to remove repository reference \"busybox\" (must force) - container {} is using its \
         referenced image",
        &id[..12]
    ));
    sandbox.run(["start", "-a", "cc"]).stdout("alive\n").success();
    // By force the name goes; what the container stands on stays until it goes too.
    sandbox.run(["rmi", "-f", "busybox"]).success();
    sandbox.run(["start", "-a", "cc"]).stdout("alive\n").success();
    sandbox.run(["rm", "cc"]).success();
    let sandbox = sandbox.busybox();
    sandbox.run(["run", "-d", "--name", "rr", "busybox", "sleep", "1000"]).success();
    sandbox
        .run(["rmi", &Image::busybox().id()])
        .code(1)
        .stderr_contains("image is being used by running container");
}

fn shows_history() {
    let sandbox = Sandbox::new().image("two", |layer| layer.file("/x", "x"));
    let lines = sandbox.run(["history", "two"]).success().lines();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>().join(" "),
        "IMAGE CREATED CREATED BY SIZE COMMENT"
    );
    assert_eq!(lines.len(), 3);
    assert!(lines[1].contains("step 1") && lines[2].contains("step 0"), "{lines:?}");
    assert!(lines[2].contains("<missing>"), "{lines:?}");
    sandbox.run(["history", "--format", "{{.CreatedBy}}", "two"]).stdout("step 1\nstep 0\n").success();
    assert_eq!(sandbox.run(["history", "-q", "--no-trunc", "two"]).success().lines().len(), 2);
}

fn owners_modes_links_and_attributes_come_out_right() {
    needs(Need::Subids);
    let file = |mode, uid, gid| Meta::mode(mode).owner(uid, gid);
    let sandbox = Sandbox::new().image("owned", |layer| {
        layer
            .dir_with("/o", &file(0o750, 5, 6))
            .file_with("/o/a", "a\n", &file(0o640, 1000, 2000))
            .file_with("/o/suid", "s\n", &file(0o4755, 7, 8))
            .file_with("/o/sgid", "g\n", &file(0o2755, 7, 8))
            .file_with("/o/high", "h\n", &file(0o600, 65533, 65533))
            .hard_link("/o/link", "/o/a")
            .symlink("/o/sym", "../etc/passwd")
            .fifo("/o/fifo")
            .dir_with("/o/sticky", &file(0o1777, 0, 0))
            .file_with("/o/x", "x\n", &Meta::mode(0o644).xattr("user.colour", "blue"))
            .file(&format!("/o/{}", "n".repeat(200)), "long\n")
    });
    let script = "stat -c '%a %u:%g %h %F %n' /o /o/a /o/suid /o/sgid /o/high /o/link /o/fifo /o/sticky; \
                  readlink /o/sym; cat /o/nnn*; stat -c %Y /o/a; test /o/a -ef /o/link && echo same";
    let expected = "750 5:6 3 directory /o\n\
         640 1000:2000 2 regular file /o/a\n\
         4755 7:8 1 regular file /o/suid\n\
         2755 7:8 1 regular file /o/sgid\n\
         600 65533:65533 1 regular file /o/high\n\
         640 1000:2000 2 regular file /o/link\n\
         644 0:0 1 fifo /o/fifo\n\
         1777 0:0 2 directory /o/sticky\n\
         ../etc/passwd\n\
         long\n\
         1700000000\n\
         same\n";
    let outcome = sandbox.run(["run", "--rm", "owned", "sh", "-c", script]);
    // The link count of a directory is the file system's own affair.
    assert_eq!(strip_links(&outcome.success().text()), strip_links(expected.trim()), "{outcome}");
    let stored = find_file(&sandbox.store().join("layers"), "x").expect("the layer's file");
    assert_eq!(xattr(&stored, "user.colour"), Some(b"blue".to_vec()));
}

fn strip_links(text: &str) -> String {
    text.lines()
        .map(|line| {
            if line.contains("directory") {
                line.replace(" 3 ", " 2 ").replace(" 1 ", " 2 ")
            } else {
                line.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn find_file(dir: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        if entry.file_type().ok()?.is_dir() {
            if let Some(found) = find_file(&entry.path(), name) {
                return Some(found);
            }
        } else if entry.file_name() == name {
            return Some(entry.path());
        }
    }
    None
}

fn xattr(path: &std::path::Path, name: &str) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 256];
    let length = rustix::fs::getxattr(path, name, &mut buffer[..]).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

fn whiteouts_and_opaque_directories_hide() {
    let image = Image::busybox()
        .layer(
            &Layer::new()
                .file("/d/gone", "1")
                .file("/d/kept", "kept\n")
                .file("/o/below", "1")
                .file("/o/sub/below", "1")
                .file("/tree/a/b", "1")
                .file("/again", "old\n"),
        )
        .layer(
            &Layer::new()
                .whiteout("/d/gone")
                .opaque("/o")
                .file("/o/above", "above\n")
                .whiteout("/tree/a")
                .whiteout("/again"),
        )
        .layer(&Layer::new().file("/again", "new\n").file("/tree/a/c", "cc\n"));
    let sandbox = Sandbox::new().with("hidden", &image);
    let script = "ls -A /d /o /tree/a; cat /d/kept /again; find / -xdev -name '.wh.*'";
    sandbox
        .run(["run", "--rm", "hidden", "sh", "-c", script])
        .stdout("/d:\nkept\n\n/o:\nabove\n\n/tree/a:\nc\nkept\nnew\n")
        .success();
}

fn a_directory_replaces_a_file_and_back() {
    let image = Image::busybox()
        .layer(&Layer::new().file("/was-file", "1").file("/was-dir/x", "1").symlink("/was-link", "etc"))
        .layer(&Layer::new().file("/was-file/x", "2\n").file("/was-dir", "3\n").dir("/was-link"));
    let sandbox = Sandbox::new().with("turned", &image);
    sandbox
        .run([
            "run",
            "--rm",
            "turned",
            "sh",
            "-c",
            "cat /was-file/x /was-dir; ls -A /was-link; ls /etc/passwd",
        ])
        .stdout("2\n3\n/etc/passwd\n")
        .success();
}

fn shared_layers_are_kept_once() {
    let sandbox = Sandbox::new();
    let count = |sandbox: &Sandbox| -> usize {
        std::fs::read_dir(sandbox.store().join("layers"))
            .unwrap()
            .flatten()
            .map(|map| std::fs::read_dir(map.path()).unwrap().count())
            .sum()
    };
    let sandbox =
        sandbox.image("one", |layer| layer.file("/x", "1")).image("two", |layer| layer.file("/x", "2"));
    assert_eq!(count(&sandbox), 3);
    sandbox.run(["rmi", "one"]).success();
    assert_eq!(count(&sandbox), 2);
    sandbox.run(["run", "--rm", "two", "cat", "/x"]).stdout("2").success();
}

fn the_store_is_a_valid_layout() {
    let image = Image::busybox();
    let sandbox = Sandbox::new();
    sandbox.command(["load"]).stdin(image.oci_archive("kept:1")).run().success();
    let store = sandbox.store();
    let read = |path: &str| std::fs::read(store.join(path)).unwrap();
    let layout: serde_json::Value = serde_json::from_slice(&read("oci-layout")).unwrap();
    assert_eq!(layout["imageLayoutVersion"], "1.0.0");
    let index: serde_json::Value = serde_json::from_slice(&read("index.json")).unwrap();
    assert_eq!(index["schemaVersion"], 2);
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{index:#}");
    // Every descriptor leads to a blob of this size and digest.
    let mut descriptors = entries.clone();
    while let Some(descriptor) = descriptors.pop() {
        let wanted = descriptor["digest"].as_str().unwrap();
        let bytes = read(&format!("blobs/sha256/{}", &wanted[7..]));
        assert_eq!(digest(&bytes), wanted);
        assert_eq!(descriptor["size"], bytes.len());
        if descriptor["mediaType"].as_str().unwrap().contains("manifest") {
            let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            descriptors.push(manifest["config"].clone());
            descriptors.extend(manifest["layers"].as_array().unwrap().clone());
        }
    }
}

fn absent_images_are_errors() {
    let sandbox = Sandbox::new();
    let absent = "Error response from daemon: No such image: absent:latest\n";
    for words in [&["rmi", "absent"][..], &["history", "absent"], &["tag", "absent", "x"]] {
        sandbox.run(words.iter().copied()).code(1).stdout("").stderr(absent);
    }
}

fn names_follow_dockers_rules() {
    let sandbox = Sandbox::new().busybox();
    for (name, shown) in [
        ("library/busybox", "busybox"),
        ("docker.io/library/box", "box"),
        ("docker.io/user/box", "user/box"),
        ("localhost/box", "localhost/box"),
        ("localhost:5000/box", "localhost:5000/box"),
        ("host.example/a/b/c", "host.example/a/b/c"),
    ] {
        sandbox.run(["tag", "busybox", name]).success();
        sandbox.run(["images", "--format", "{{.Repository}}", name]).stdout(&format!("{shown}\n")).success();
    }
    for bad in ["a b", "UPPER", "a//b", "-x/y", "a:tag:tag", "a@sha256:12", &"f".repeat(64)] {
        let outcome = sandbox.run(["tag", "busybox", bad]);
        assert!(outcome.code != Some(0), "{outcome}");
        if !bad.starts_with('-') {
            assert!(outcome.error_text().contains("invalid re"), "{outcome}");
        }
    }
}
