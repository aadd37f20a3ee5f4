//! `save`, `load`, `import` and `export`: what leaves and comes back is the same, for us and for other tools.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::distribution::Distribution;
use crate::support::harness::{Test, tests};
use crate::support::image::{Blob, Compression, digest, gzip};
use crate::support::peers::Podman;
use crate::support::registry::Registry;
use crate::support::{Image, Layer, Meta, Need, Sandbox, host, needs};

pub(crate) const TESTS: &[Test] = tests![
    what_is_saved_loads_again,
    digests_survive_the_way_through_an_archive,
    saves_several_images_under_their_names,
    saves_in_every_format,
    refuses_what_cannot_be_saved,
    a_killed_save_leaves_nothing,
    a_full_disk_while_saving,
    skopeo_reads_and_writes_what_we_do,
    podman_reads_and_writes_what_we_do,
    a_layer_without_a_blob_is_packed_to_the_same_digest,
    exports_what_a_container_sees,
    exports_and_imports,
    refuses_what_cannot_be_imported,
    exports_the_same_at_every_level,
    loads_any_compression_from_a_pipe,
    loads_the_platform_that_is_there,
    hostile_archives_are_refused,
    imports_from_an_address,
];

fn save(sandbox: &Sandbox, words: &[&str]) -> Vec<u8> {
    let mut all = vec!["save"];
    all.extend(words);
    let outcome = sandbox.run(all);
    outcome.success();
    outcome.out
}

/// A sandbox with images under names with tags.
fn loaded(images: &[(&str, &Image)]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, image) in images {
        sandbox.command(["load"]).stdin(image.docker_archive(name)).run().success();
    }
    sandbox
}

/// Returns one file of an archive.
fn member(archive: &[u8], name: &str) -> Vec<u8> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap() == Path::new(name) {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            return bytes;
        }
    }
    panic!("{name} is not in the archive")
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn document(archive: &[u8], name: &str) -> Value {
    serde_json::from_slice(&member(archive, name)).unwrap()
}

fn empty_staging(sandbox: &Sandbox) {
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("staging")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn what_is_saved_loads_again() {
    let config = json!({ "Test": ["CMD", "true"], "Interval": 5_000_000_000_u64 });
    let image = Image::busybox()
        .layer(&Layer::new().file("/x", "x\n"))
        .layer(&Layer::new())
        .config("Healthcheck", config)
        .config("Shell", json!(["/bin/ash", "-c"]))
        .config("OnBuild", json!(["RUN true"]));
    let sandbox = loaded(&[("site/app:1", &image)]);
    let archive = save(&sandbox, &["site/app:1"]);
    assert!(archive == save(&sandbox, &["site/app:1"]), "the same image makes the same bytes");
    sandbox.run(["save", "-o", "out.tar", "site/app:1"]).stdout("").success();
    assert!(std::fs::read(sandbox.work().join("out.tar")).unwrap() == archive);

    let other = Sandbox::new();
    other.command(["load"]).stdin(archive.clone()).run().stdout("Loaded image: site/app:1\n").success();
    assert_eq!(other.run(["images", "-q", "--no-trunc"]).text(), image.id());
    other.run(["run", "--rm", "site/app:1", "cat", "/x"]).stdout("x\n").success();
    for key in ["Healthcheck", "Shell", "OnBuild"] {
        let format = format!("{{{{json .Config.{key}}}}}");
        let left = sandbox.run(["inspect", "-f", &format, "site/app:1"]).success().text();
        assert_eq!(other.run(["inspect", "-f", &format, "site/app:1"]).text(), left);
        assert_ne!(left, "null", "{key}");
    }
    assert!(save(&other, &["site/app:1"]) == archive);
    empty_staging(&other);
    empty_staging(&sandbox);
}

fn digests_survive_the_way_through_an_archive() {
    needs(Need::Registry);
    let registry = Distribution::start();
    for (tag, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let (reference, pushed) = registry.push("team/box", tag, &Image::busybox().compression(compression));
        let sandbox = Sandbox::new();
        sandbox.run(["pull", "-q", &reference]).success();
        let archive = save(&sandbox, &[&reference]);
        assert_eq!(document(&archive, "index.json")["manifests"][0]["digest"], pushed);
        let other = Sandbox::new();
        other.command(["load"]).stdin(archive).run().success();
        let told = other.run(["inspect", "-f", "{{.Descriptor.digest}}", &reference]).success().text();
        assert_eq!(told, pushed, "{tag}");
    }
}

fn saves_several_images_under_their_names() {
    let one = Image::busybox();
    let two = Image::busybox().config("Env", json!(["A=1"]));
    let sandbox = loaded(&[("site/one:1", &one), ("site/two:1", &two)]);
    sandbox.run(["tag", "site/one:1", "site/one:2"]).success();
    let archive = save(&sandbox, &["site/one", "site/two:1"]);
    let list = document(&archive, "manifest.json");
    assert_eq!(list[0]["RepoTags"], json!(["site/one:1", "site/one:2"]));
    assert_eq!(list[1]["RepoTags"], json!(["site/two:1"]));
    let top = digest(&Layer::base().tar())[7..].to_owned();
    assert_eq!(document(&archive, "repositories")["site/one"], json!({ "1": top, "2": top }));
    let blobs = names(&archive).iter().filter(|name| name.len() > 64).count();
    assert_eq!(blobs, 5, "two configurations, two manifests, and their one layer");
    let other = Sandbox::new();
    other
        .command(["load"])
        .stdin(archive)
        .run()
        .stdout("Loaded image: site/one:1\nLoaded image: site/one:2\nLoaded image: site/two:1\n")
        .success();

    let id = one.id();
    let archive = save(&sandbox, &[&id[7..19]]);
    assert_eq!(document(&archive, "manifest.json")[0]["RepoTags"], Value::Null);
    let other = Sandbox::new();
    other.command(["load"]).stdin(archive).run().stdout(&format!("Loaded image ID: {id}\n")).success();
    assert_eq!(other.run(["images", "-aq", "--no-trunc"]).text(), id);
}

fn saves_in_every_format() {
    let sandbox = Sandbox::new().busybox();
    let id = Image::busybox().id();
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        sandbox.run(["save", "--format", format, "-o", format, "busybox"]).success();
        let other = Sandbox::new();
        let from = sandbox.work().join(format);
        if !from.is_dir() {
            let has = names(&std::fs::read(&from).unwrap()).contains(&"manifest.json".to_owned());
            assert_eq!(has, format == "docker-archive");
        }
        let from = from.to_str().unwrap();
        other.run(["load", "-i", from]).stdout("Loaded image: busybox:latest\n").success();
        assert_eq!(other.run(["images", "-q", "--no-trunc"]).text(), id, "{format}");
    }
    sandbox.run(["save", "--format", "docker-dir", "-o", "dir", "busybox"]).success();
    let dir = sandbox.work().join("dir");
    assert_eq!(std::fs::read_to_string(dir.join("version")).unwrap(), "Directory Transport Version: 1.1\n");
    assert!(dir.join(&id[7..]).exists() && dir.join("manifest.json").exists());
    sandbox
        .run(["save", "--format", "docker-dir", "-o", "dir", "busybox"])
        .code(1)
        .stderr_contains("exists and is not empty");
    sandbox.run(["save", "--format", "oci-dir", "busybox"]).code(1).stderr_contains("needs a directory");
    sandbox.run(["save", "--format", "zip", "busybox"]).code(1).stderr_contains("unknown format \"zip\"");
}

fn refuses_what_cannot_be_saved() {
    let sandbox = Sandbox::new().busybox();
    let text = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
    let mut terminal = sandbox.command(["save", "busybox"]).terminal();
    terminal.expect(text);
    assert_eq!(terminal.wait().code, Some(1));
    sandbox
        .run(["save", "absent"])
        .code(1)
        .stdout("")
        .stderr("Error response from daemon: No such image: absent\n");
    let file = sandbox.file("kept.tar", "kept");
    for words in [["busybox", "absent"], ["--platform=linux/arm64", "busybox"]] {
        sandbox.run([&["save", "-o", &file][..], &words].concat()).code(1);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    }
    sandbox.run(["save", "--platform", "linux/arm64", "busybox"]).code(1).stderr_contains(
        "image with reference busybox was found but does not provide the specified platform (linux/arm64)",
    );
    sandbox
        .run(["save", "--platform", "linux/amd64", "-o", "/dev/null", "busybox"])
        .code(1)
        .stderr("failed to save image: cannot write to a character device file\n");
    sandbox
        .run(["save", "-o", "nowhere/x.tar", "busybox"])
        .code(1)
        .stderr("failed to save image: invalid output path: stat nowhere: no such file or directory\n");
    assert_eq!(std::fs::read_dir(sandbox.work()).unwrap().count(), 1);
}

fn a_killed_save_leaves_nothing() {
    let mut layer = Layer::new();
    for n in 0..40 {
        layer = layer.file(&format!("/many/{n}"), vec![n; 1 << 20]);
    }
    let image = Image::busybox().layer(&layer).compression(Compression::None);
    let sandbox = Sandbox::new();
    sandbox.command(["load"]).stdin(image.oci_archive("big:1")).run().success();
    for delay in [0, 2, 5, 10, 20, 40] {
        let running = sandbox.command(["save", "-o", "out.tar", "big:1"]).spawn();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        running.signal(Signal::SIGKILL);
        running.wait();
        for entry in std::fs::read_dir(sandbox.work()).unwrap().flatten() {
            // What has the name is whole.
            assert_eq!(entry.file_name(), "out.tar");
            let other = Sandbox::new();
            other.command(["load"]).stdin(std::fs::read(entry.path()).unwrap()).run().success();
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    sandbox.run(["save", "-o", "out.tar", "big:1"]).success();
    // Quiet is the progress, not what came of it.
    sandbox.run(["load", "-q", "-i", "out.tar"]).stdout("Loaded image: big:1\n").success();
    empty_staging(&sandbox);
}

fn a_full_disk_while_saving() {
    needs(Need::Root);
    let sandbox = Sandbox::new();
    let small = sandbox.file("small.tar", Image::busybox().docker_archive("small:1"));
    let script = format!(
        "coracle=$0; $coracle load -i {small} || exit 10; echo old > data/out.tar; \
         dd if=/dev/zero of=data/filler bs=64k 2>/dev/null; \
         rm data/filler; dd if=/dev/zero of=data/filler bs=64k count=$(($(df --output=avail data | tail -1) / 64 - 8)) 2>/dev/null; \
         $coracle save -o data/out.tar small:1 && exit 11; \
         cat data/out.tar; ls -A data; rm data/filler; $coracle run --rm small:1 echo well"
    );
    let outcome = sandbox.command([&script]).shell().small_disk(12 << 20).run();
    outcome.success().stderr_contains("o space left on device");
    outcome.stdout_contains("old\ncoracle\nfiller\nout.tar\nwell\n");
}

fn skopeo(sandbox: &Sandbox, words: &[&str]) -> String {
    let mut all = vec!["--insecure-policy"];
    all.extend(words);
    sandbox.command(all).program("/usr/bin/skopeo").run().success().text()
}

fn skopeo_reads_and_writes_what_we_do() {
    needs(Need::Skopeo);
    let image = Image::busybox().layer(&Layer::new().file("/x", "x\n"));
    let sandbox = Sandbox::new();
    sandbox.command(["load"]).stdin(image.oci_archive("docker.io/site/app:1")).run().success();
    let pushed = sandbox.run(["inspect", "-f", "{{.Descriptor.digest}}", "site/app:1"]).success().text();
    for (format, source) in [
        ("docker-archive", "docker-archive:docker-archive:site/app:1"),
        ("oci-archive", "oci-archive:oci-archive"),
        ("oci-dir", "oci:oci-dir:docker.io/site/app:1"),
        ("docker-dir", "dir:docker-dir"),
    ] {
        sandbox.run(["save", "--format", format, "-o", format, "site/app:1"]).success();
        let told: Value = serde_json::from_str(&skopeo(&sandbox, &["inspect", source])).unwrap();
        assert_eq!(told["Layers"].as_array().unwrap().len(), 2, "{told}");
        if format != "docker-archive" {
            assert_eq!(told["Digest"], pushed, "{format}");
        }
        let copy = format!("oci:copy-{format}:x");
        skopeo(&sandbox, &["copy", source, &copy]);
    }
    for target in ["docker-archive:one.tar:site/one:1", "oci-archive:two.tar:site/two:1"] {
        skopeo(&sandbox, &["copy", "dir:docker-dir", target]);
    }
    let other = Sandbox::new();
    for (file, name) in [("one.tar", "site/one:1"), ("two.tar", "site/two:1")] {
        let bytes = std::fs::read(sandbox.work().join(file)).unwrap();
        other.command(["load"]).stdin(bytes).run().stdout(&format!("Loaded image: {name}\n")).success();
        other.run(["run", "--rm", name, "cat", "/x"]).stdout("x\n").success();
    }
    // The store itself is a layout.
    let store = format!("oci:{}:docker.io/site/app:1", sandbox.store().display());
    assert!(skopeo(&sandbox, &["inspect", &store]).contains(&pushed));
}

fn podman_reads_and_writes_what_we_do() {
    let podman = Podman::new();
    let image = Image::busybox().layer(&Layer::new().file("/x", "x\n"));
    let sandbox = loaded(&[("site/app:1", &image)]);
    let id = sandbox.run(["images", "-q", "--no-trunc"]).text();
    for format in ["docker-archive", "oci-archive"] {
        let ours = save(&sandbox, &["--format", format, "site/app:1"]);
        std::fs::write(podman.dir().join("in.tar"), ours).unwrap();
        podman.run(&["load", "-q", "-i", "in.tar"]);
        assert_eq!(podman.run(&["images", "-q", "--no-trunc"]).trim(), id, "{format}");
        let out = format!("out-{format}.tar");
        podman.run(&["save", "-q", "--format", format, "-o", &out, &id[7..]]);
        let other = Sandbox::new();
        let bytes = std::fs::read(podman.dir().join(&out)).unwrap();
        other.command(["load"]).stdin(bytes).run().stdout_contains("Loaded image").success();
        let loaded = other.run(["images", "-q", "-a"]).text();
        other.run(["run", "--rm", &loaded, "cat", "/x"]).stdout("x\n").success();
        podman.run(&["rmi", "-f", &id[7..]]);
    }
}

/// A layer of everything that a user namespace can hold.
fn rich() -> Layer {
    let file = |mode, uid, gid| Meta::mode(mode).owner(uid, gid);
    Layer::base()
        .dir_with("/o", &file(0o750, 5, 6))
        .file_with("/o/a", "a\n", &file(0o640, 1000, 2000))
        .file_with("/o/suid", "s\n", &file(0o4755, 7, 8))
        .hard_link("/o/link", "/o/a")
        .symlink("/o/sym", "../etc/passwd")
        .fifo("/o/fifo")
        .device("/o/null")
        .dir_with("/o/sticky", &file(0o1777, 0, 0))
        .file_with("/o/x", "x\n", &Meta::mode(0o644).xattr("user.colour", "blue"))
        .file_with("/o/cap", "c\n", &Meta::mode(0o755).xattr("security.capability", CAPABILITY))
        .file(&format!("/o/{}", "n".repeat(200)), "long\n")
}

/// `cap_net_raw=ep`, as setcap(8) writes it.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn a_layer_without_a_blob_is_packed_to_the_same_digest() {
    let sandbox = Sandbox::new().with("rich", &Image::scratch().layer(&rich()));
    sandbox.run(["create", "--name", "box", "rich"]).success();
    let exported = sandbox.run(["export", "box"]);
    exported.success();
    sandbox.command(["import", "-", "packed:1"]).stdin(exported.out.clone()).run().success();
    let archive = save(&sandbox, &["packed:1"]);
    let layer = digest(&exported.out);
    let blob = sandbox.store().join("blobs/sha256").join(&layer[7..]);
    std::fs::remove_file(&blob).unwrap();
    assert!(save(&sandbox, &["packed:1"]) == archive, "it is packed anew with the same digest");
    // A tree that was changed behind our back is told of, and not passed off as the layer.
    let tree = std::fs::read_dir(sandbox.store().join("layers")).unwrap().flatten().next().unwrap();
    let changed = tree.path().join(&layer[7..]).join("tree/etc/passwd");
    std::fs::write(&changed, "root:x:0:0::/:/bin/sh\nmore\n").unwrap();
    sandbox.run(["save", "-o", "out.tar", "packed:1"]).code(1).stderr_contains("its files have changed");
    assert!(!sandbox.work().join("out.tar").exists());
}

fn exports_what_a_container_sees() {
    let image = Image::busybox()
        .layer(&Layer::new().file("/d/gone", "1").file("/d/kept", "kept\n").file("/o/below", "1"))
        .layer(&Layer::new().whiteout("/d/gone").opaque("/o").file("/o/above", "above\n"));
    let sandbox = Sandbox::new().with("layered", &image);
    sandbox
        .run([
            "run",
            "-d",
            "--name",
            "box",
            "-v",
            "/vol",
            "layered",
            "sh",
            "-c",
            "rm /d/kept; echo new > /d/new; ln /d/new /d/link; rm -r /o; mkdir /o; echo hidden > /vol/hidden; \
             touch /done; sleep 1000",
        ])
        .success();
    crate::support::wait_until("the container has done its part", || {
        sandbox.run(["exec", "box", "test", "-e", "/done"]).code == Some(0)
    });
    let running = sandbox.run(["export", "box"]);
    running.success();
    let seen = names(&running.out);
    for name in ["d/", "d/new", "d/link", "o/", "vol/", "done", "bin/busybox"] {
        assert!(seen.contains(&name.to_owned()), "{name} in {seen:?}");
    }
    for name in ["d/gone", "d/kept", "o/above", "o/below", "vol/hidden"] {
        assert!(!seen.contains(&name.to_owned()), "{name} in {seen:?}");
    }
    assert!(!seen.iter().any(|name| name.contains(".wh.")), "{seen:?}");
    assert_eq!(member(&running.out, "d/link"), b"new\n");
    sandbox.run(["stop", "-t", "0", "box"]).success();
    sandbox.run(["export", "-o", "stopped.tar", "box"]).stdout("").success();
    assert!(std::fs::read(sandbox.work().join("stopped.tar")).unwrap() == running.out);
    sandbox
        .run(["export", "absent"])
        .code(1)
        .stderr("Error response from daemon: No such container: absent\n");
    let mut terminal = sandbox.command(["export", "box"]).terminal();
    terminal.expect("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    assert_eq!(terminal.wait().code, Some(1));
}

fn exports_and_imports() {
    let sandbox = Sandbox::new().with("rich", &Image::scratch().layer(&rich()));
    sandbox.run(["run", "--name", "box", "rich", "sh", "-c", "echo more > /more"]).success();
    let exported = sandbox.run(["export", "box"]);
    exported.success();
    sandbox
        .command(["import", "-c", "CMD [\"cat\", \"/more\"]", "-", "again:1"])
        .stdin(exported.out)
        .run()
        .success();
    sandbox.run(["run", "--rm", "again:1"]).stdout("more\n").success();
    let script = "stat -c '%a %h' /o/a /o/suid; readlink /o/sym; cat /o/nnn*; test -p /o/fifo && echo fifo";
    sandbox
        .run(["run", "--rm", "again:1", "sh", "-c", script])
        .stdout("640 2\n4755 1\n../etc/passwd\nlong\nfifo\n")
        .success();
}

fn refuses_what_cannot_be_imported() {
    let sandbox = Sandbox::new();
    let tar = sandbox.file("root.tar", Layer::base().tar());
    for (words, text) in [
        (&["absent.tar"][..], "open absent.tar: no such file or directory\n"),
        (&["--change", "FROM x", &tar], "Error response from daemon: FROM is not a valid change command\n"),
        (
            &["--platform", "windows/amd64", &tar],
            "Error response from daemon: operating system is not supported\n",
        ),
        (&[&tar, "Bad:1"], "invalid reference format: repository name (library/Bad) must be lowercase\n"),
    ] {
        sandbox.run([&["import"][..], words].concat()).code(1).stdout("").stderr(text);
    }
    sandbox.run(["images", "-aq"]).stdout("");
    let id = sandbox
        .run(["import", "--message", "by hand", "--platform", "linux/arm64", "-c", "SHELL [\"a\"]", &tar])
        .code(1)
        .stderr_contains("not a valid change command")
        .text();
    assert_eq!(id, "");
    let id = sandbox
        .run(["import", "--message", "by hand", "--platform", "linux/arm64", "-c", "LABEL a=b", &tar])
        .success()
        .text();
    let told =
        sandbox.run(["image", "inspect", "-f", "{{.Architecture}} {{.Comment}} {{.Config.Labels.a}}", &id]);
    told.stdout("arm64 by hand b\n").success();
    sandbox.run(["history", "--format", "{{.Comment}}", &id]).stdout("by hand\n").success();
}

fn exports_the_same_at_every_level() {
    needs(Need::Subids);
    needs(Need::NoSubidsUser);
    let export = |sandbox: &Sandbox| {
        let archive = Image::scratch().layer(&rich()).docker_archive("rich:1");
        sandbox.command(["load"]).stdin(archive).run().success();
        sandbox.run(["create", "--name", "box", "rich:1"]).success();
        let outcome = sandbox.run(["export", "box"]);
        outcome.success();
        outcome.out
    };
    let mapped = export(&Sandbox::new());
    let single = export(&Sandbox::of(&host::second_user().unwrap()));
    let root = export(&Sandbox::of_root());
    assert_eq!(digest(&mapped), digest(&single));
    assert_eq!(digest(&mapped), digest(&root));
    let mut archive = tar::Archive::new(&mapped[..]);
    let mut found = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let (uid, gid) = (entry.header().uid().unwrap(), entry.header().gid().unwrap());
        match path.as_str() {
            "o/a" => assert_eq!((uid, gid), (1000, 2000)),
            "o/suid" => assert_eq!(entry.header().mode().unwrap(), 0o4755),
            "o/null" => assert!(entry.header().entry_type().is_character_special()),
            "o/cap" => {
                let extensions = entry.pax_extensions().unwrap().unwrap();
                let values: Vec<_> =
                    extensions.map(|extension| extension.unwrap().value_bytes().to_vec()).collect();
                assert!(values.iter().any(|value| value == CAPABILITY), "{values:?}");
            }
            _ => continue,
        }
        found += 1;
    }
    assert_eq!(found, 4);
}

fn loads_any_compression_from_a_pipe() {
    type Compress = fn(&[u8]) -> Vec<u8>;
    let sandbox = Sandbox::new();
    let compressions: [(&str, Compress); 4] = [
        ("gzip", gzip),
        ("zstd", |bytes| zstd::bulk::compress(bytes, 1).unwrap()),
        ("xz", |bytes| liblzma::encode_all(bytes, 0).unwrap()),
        ("bzip2", |bytes| {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            std::io::Write::write_all(&mut encoder, bytes).unwrap();
            encoder.finish().unwrap()
        }),
    ];
    for (name, compress) in compressions {
        let archive = Image::busybox().oci_archive(&format!("{name}:1"));
        sandbox
            .command(["load"])
            .stdin(compress(&archive))
            .run()
            .stdout(&format!("Loaded image: {name}:1\n"))
            .success();
    }
}

fn loads_the_platform_that_is_there() {
    // As `docker save --platform` writes it: a whole index, of whose images one is there.
    let image = Image::busybox().architecture("arm64");
    let blobs = image.blobs();
    let listed = |blob: &Blob, architecture: &str| {
        let mut entry = blob.descriptor();
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        entry
    };
    let absent = Blob::new(&blobs.manifest.media_type, b"{}".to_vec());
    let index_type = "application/vnd.oci.image.index.v1+json";
    let inner = json!({
        "schemaVersion": 2, "mediaType": index_type,
        "manifests": [listed(&absent, "amd64"), listed(&blobs.manifest, "arm64")],
    });
    let inner = Blob::new(index_type, serde_json::to_vec(&inner).unwrap());
    let index = json!({ "schemaVersion": 2, "manifests": [inner.descriptor()] });
    let mut archive = Layer::new().file("index.json", serde_json::to_vec(&index).unwrap());
    for blob in blobs.layers.iter().chain([&blobs.config, &blobs.manifest, &inner]) {
        archive = archive.file(&format!("blobs/sha256/{}", &blob.digest[7..]), &blob.bytes);
    }
    let sandbox = Sandbox::new();
    sandbox
        .command(["load", "--platform", "linux/amd64"])
        .stdin(archive.tar())
        .run()
        .code(1)
        .stderr_contains("no matching manifest for linux/amd64");
    for words in [&["load"][..], &["load", "--platform", "linux/arm64"]] {
        let outcome = sandbox.command(words.iter().copied()).stdin(archive.tar()).run();
        outcome.stdout(&format!("Loaded image ID: {}\n", image.id())).success();
    }
    sandbox
        .command(["load", "--platform", "linux/amd64"])
        .stdin(image.docker_archive("arm:1"))
        .run()
        .code(1)
        .stderr_contains("requested platform (linux/amd64) not found");
}

fn hostile_archives_are_refused() {
    let sandbox = Sandbox::new();
    let image = Image::busybox();
    let config = digest(&member(&image.docker_archive("x:1"), &format!("{}.json", &image.id()[7..])));
    assert_eq!(config, image.id());
    let manifest = |value: Value| Layer::new().file("manifest.json", serde_json::to_vec(&value).unwrap());
    let entry =
        |config: &str, layers: &[&str]| json!([{ "Config": config, "RepoTags": ["x:1"], "Layers": layers }]);
    let bytes = member(&image.docker_archive("x:1"), &format!("{}.json", &image.id()[7..]));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (archive, text) in [
        (manifest(entry("../../../../etc/passwd", &[])), "is not in the archive"),
        (manifest(entry("/etc/passwd", &[])), "is not in the archive"),
        (manifest(entry("c", &[])).symlink("c", "/etc/passwd"), "is not in the archive"),
        (manifest(entry("c", &[])).symlink("c", "../../etc/passwd"), "is not in the archive"),
        (manifest(entry("c", &[])).symlink("c", "c"), "is not in the archive"),
        (manifest(entry("c", &["l", "l"])).file("c", &bytes), "layers length mismatch"),
        (manifest(entry("c", &["l"])).file("c", &bytes).file("l", "no tar"), ""),
        (manifest(entry("c", &["l"])).file("c", &bytes).file("l", Layer::new().tar()), "verification failed"),
        (manifest(entry("c", &[])).file("c", "not json"), "parse"),
        (Layer::new().file("manifest.json", &deep), "parse manifest.json"),
        (Layer::new().file("manifest.json", vec![b' '; 5 << 20]), "it is too large"),
        (Layer::new().file("index.json", vec![b' '; 5 << 20]), "it is too large"),
        (Layer::new().file("index.json", r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:.."}]}"#), ""),
        (
            Layer::new().file(
                "index.json",
                serde_json::to_vec(&json!({
                    "schemaVersion": 2,
                    "manifests": [{ "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                    "digest": digest(b"absent"), "size": 6 }],
                }))
                .unwrap(),
            ),
            "is not in the archive",
        ),
        (Layer::new().file("../../../outside", "x").file("manifest.json", "[]"), "is outside of the archive"),
        (Layer::new().file("something", "x"), "it is no archive of images"),
    ] {
        let outcome = sandbox.command(["load"]).stdin(archive.tar()).run();
        outcome.code(1).stdout("").stderr_contains(text).stderr_contains("Error response from daemon: ");
        assert_eq!(outcome.error_text().lines().count(), 1, "{outcome}");
        sandbox.run(["images", "-aq"]).stdout("").success();
        empty_staging(&sandbox);
        let blobs = std::fs::read_dir(sandbox.store().join("blobs/sha256")).unwrap().count();
        assert_eq!(blobs, 0, "{outcome}");
    }
    assert!(!sandbox.dir().join("outside").exists());
}

fn imports_from_an_address() {
    let registry = Registry::start();
    let blob = registry.blob(gzip(&Layer::base().file("/hello", "hi\n").tar()));
    let sandbox = Sandbox::new();
    let url = format!("http://{}/v2/any/blobs/{blob}", registry.host());
    sandbox.run(["import", "-m", "from afar", &url, "afar:1"]).success();
    sandbox.run(["run", "--rm", "afar:1", "cat", "/hello"]).stdout("hi\n").success();
    let absent = format!("http://{}/v2/any/blobs/{}", registry.host(), digest(b"absent"));
    sandbox.run(["import", &absent, "absent:1"]).code(1).stderr_contains("Error response from daemon: ");
    sandbox.run(["images", "-q", "absent"]).stdout("");
}
