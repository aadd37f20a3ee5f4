//! `system check`: what is wrong is found, what can be made right is, and what is sound is left alone.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tar::EntryType;

use crate::support::harness::{Test, tests};
use crate::support::host::second_user;
use crate::support::image::{Blobs, Compression};
use crate::support::registry::Registry;
use crate::support::{Image, Layer, Meta, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    a_sound_store_has_nothing_wrong,
    a_sound_store_of_one_id_has_nothing_wrong,
    every_damage_to_a_layer_is_found,
    damage_is_repaired_from_the_registry_and_the_blob,
    only_the_bad_blob_is_fetched,
    what_cannot_be_repaired_is_named,
    a_layer_in_use_is_not_taken_away,
    quick_believes_sizes,
    leftovers_are_no_damage,
];

/// Something that damages a store.
type Act<'a> = Box<dyn Fn() + 'a>;

/// Claims that nothing is wrong with the store.
#[track_caller]
pub(crate) fn clean(sandbox: &Sandbox) {
    sandbox.run(["system", "check"]).stdout("").stderr_contains("nothing is wrong").success();
}

/// An image of all that layers hold.
fn everything() -> Image {
    let file = |mode, uid, gid| Meta::mode(mode).owner(uid, gid);
    Image::busybox()
        .layer(
            &Layer::new()
                .dir_with("/o", &file(0o750, 5, 6))
                .file_with("/o/a", "a\n", &file(0o640, 1000, 2000))
                .file_with("/o/suid", "s\n", &file(0o4755, 7, 8))
                .file_with("/o/closed", "c\n", &file(0o000, 9, 9))
                .hard_link("/o/link", "/o/a")
                .symlink("/o/sym", "../etc/passwd")
                .fifo("/o/fifo")
                .device("/o/null")
                .dir_with("/o/sticky", &file(0o1777, 0, 0))
                .file_with("/o/x", "x\n", &Meta::mode(0o644).xattr("user.colour", "blue"))
                .file(&format!("/o/{}", "n".repeat(200)), "long\n")
                .file("/implied/deep/f", "f\n")
                .file("/large", vec![7; 700_000])
                .file("/twice", "old\n")
                .file("/twice", "new\n")
                .dir("/turned")
                .file("/turned/below", "gone\n")
                .file("/turned", "a file now\n")
                .symlink("/usr-link", "o")
                .file("/usr-link/through", "t\n")
                .entry(EntryType::Regular, "/o/empty", "", b"", &file(0o600, 0, 42)),
        )
        .layer(
            &Layer::new()
                .whiteout("/o/a")
                .opaque("/implied")
                .file("/implied/above", "above\n")
                .whiteout("/large")
                .dir("/large")
                .file("/large/f", "f\n"),
        )
}

fn a_sound_store_has_nothing_wrong() {
    let sandbox = Sandbox::new();
    clean(&sandbox);
    for (name, compression) in
        [("plain:1", Compression::None), ("gzip:1", Compression::Gzip), ("zstd:1", Compression::Zstd)]
    {
        let image = everything().compression(compression);
        sandbox.command(["load"]).stdin(image.oci_archive(name)).run().success();
    }
    let sandbox = sandbox.with("saved", &everything());
    sandbox.run(["run", "--rm", "hello-world"]).success();
    sandbox.run(["create", "--name", "cc", "busybox-is-absent"]).code(1);
    sandbox.run(["create", "--name", "cc", "saved", "true"]).success();
    clean(&sandbox);
    sandbox.run(["rmi", "plain:1"]).success();
    sandbox.run(["rmi", "-f", "saved"]).success();
    clean(&sandbox);
    sandbox.run(["system", "check", "--repair"]).stdout("").success();
    sandbox.run(["start", "-a", "cc"]).success();
    clean(&sandbox);
}

fn a_sound_store_of_one_id_has_nothing_wrong() {
    needs(Need::NoSubidsUser);
    let sandbox = Sandbox::of(&second_user().unwrap()).with("all", &everything());
    clean(&sandbox);
    let layer = trees(&sandbox).into_iter().find(|tree| tree.join("o/suid").exists()).unwrap();
    fs::write(layer.join("o/x"), "y\n").unwrap();
    sandbox.run(["system", "check"]).code(1).stdout_contains("/o/x: ");
    sandbox.run(["system", "check", "--repair"]).stdout_contains("; repaired: unpacked anew\n").success();
    clean(&sandbox);
}

/// Returns the trees of all layers.
fn trees(sandbox: &Sandbox) -> Vec<PathBuf> {
    fs::read_dir(sandbox.store().join("layers"))
        .unwrap()
        .flatten()
        .flat_map(|map| fs::read_dir(map.path()).unwrap().flatten())
        .map(|layer| layer.path().join("tree"))
        .collect()
}

fn blob(sandbox: &Sandbox, digest: &str) -> PathBuf {
    sandbox.store().join("blobs/sha256").join(&digest[7..])
}

/// Changes one byte of a file and nothing else, not even its time.
fn flip(path: &Path, at: u64) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.set_modified(time).unwrap();
}

fn every_damage_to_a_layer_is_found() {
    needs(Need::Root);
    let sandbox = Sandbox::new().with("all", &everything());
    let find = |name: &str| trees(&sandbox).into_iter().find(|tree| tree.join(name).exists()).unwrap();
    let (lower, upper) = (find("o/suid"), find("implied/above"));
    let damages: Vec<(&str, Act<'_>)> = vec![
        ("/large: has other bytes than the archive", Box::new(|| flip(&lower.join("large"), 650_000))),
        ("/o/suid: has the permissions 755 and not 4755", {
            let path = lower.join("o/suid");
            Box::new(move || fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap())
        }),
        ("/o/x: has other bytes", Box::new(|| flip(&lower.join("o/x"), 0))),
        ("/o/x: has another attribute user.colour", {
            let path = lower.join("o/x");
            Box::new(move || {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(&path, "user.colour", b"red", flags).unwrap();
            })
        }),
        ("/o/suid: is missing", Box::new(|| fs::remove_file(lower.join("o/suid")).unwrap())),
        ("/implied/deep/more: is not in the archive", {
            let path = lower.join("implied/deep/more");
            Box::new(move || fs::write(&path, "").unwrap())
        }),
        ("/o/sym: ", {
            let path = lower.join("o/sym");
            Box::new(move || {
                fs::remove_file(&path).unwrap();
                symlink("../etc/shadow", &path).unwrap();
            })
        }),
        ("/o/link: is not the same file as /o/a", {
            let path = lower.join("o/link");
            Box::new(move || {
                fs::remove_file(&path).unwrap();
                fs::write(&path, "a\n").unwrap();
            })
        }),
        ("/twice: was changed later", {
            let path = lower.join("twice");
            Box::new(move || {
                fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            })
        }),
        ("/o/.wh.a: does not hide what lies below", {
            let path = upper.join("o/a");
            Box::new(move || fs::remove_file(&path).unwrap())
        }),
        ("is marked as opaque", {
            let path = upper.join("o");
            Box::new(move || {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(&path, "user.overlay.opaque", b"y", flags).unwrap();
            })
        }),
        ("is not whole", {
            let path = lower.with_file_name("layer.json");
            Box::new(move || fs::remove_file(&path).unwrap())
        }),
        ("is a device that is not noted", {
            let path = lower.with_file_name("owners");
            Box::new(move || fs::remove_file(&path).unwrap())
        }),
    ];
    for (text, damage) in damages {
        clean(&sandbox);
        damage();
        let outcome = sandbox.run(["system", "check"]);
        outcome.code(1).stdout_contains("layer sha256:").stdout_contains(text);
        assert_eq!(outcome.lines().len(), 1, "{outcome}");
        let outcome = sandbox.run(["system", "check", "--repair"]);
        outcome.stdout_contains(text).stdout_contains("; repaired: unpacked anew\n").success();
    }
    clean(&sandbox);
    sandbox.run(["run", "--rm", "all", "cat", "/twice", "/large/f"]).stdout("new\nf\n").success();
}

/// Puts an image into the registry of this process and returns its reference.
fn offer(registry: &Registry, blobs: &Blobs) -> String {
    for blob in blobs.layers.iter().chain([&blobs.config]) {
        registry.blob(blob.bytes.clone());
    }
    registry.manifest("team/box", "v1", &blobs.manifest.media_type, blobs.manifest.bytes.clone());
    registry.manifest(
        "team/box",
        &blobs.manifest.digest,
        &blobs.manifest.media_type,
        blobs.manifest.bytes.clone(),
    );
    format!("{}/team/box:v1", registry.host())
}

fn damage_is_repaired_from_the_registry_and_the_blob() {
    let registry = Registry::start();
    let blobs = everything().blobs();
    let reference = offer(&registry, &blobs);
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).success();
    let store = sandbox.store();
    let paths =
        || blobs.layers.iter().chain([&blobs.config, &blobs.manifest]).map(|it| blob(&sandbox, &it.digest));
    let record = fs::read_dir(store.join("images")).unwrap().flatten().next().unwrap().path();
    let name = store.join(format!("refs/{}/team/box/:v1", registry.host()));
    let damages: Vec<(&str, usize, Act<'_>)> = vec![
        ("has the digest sha256:", 5, Box::new(|| paths().for_each(|path| flip(&path, 9)))),
        ("is missing", 5, Box::new(|| paths().for_each(|path| fs::remove_file(path).unwrap()))),
        ("bytes and not", 1, Box::new(|| fs::write(paths().next().unwrap(), "").unwrap())),
        ("parse ", 1, Box::new(|| fs::write(&record, "{").unwrap())),
        (
            "index.json: is missing or damaged",
            1,
            Box::new(|| fs::write(store.join("index.json"), "").unwrap()),
        ),
        (
            "oci-layout: is missing or damaged",
            1,
            Box::new(|| fs::remove_file(store.join("oci-layout")).unwrap()),
        ),
    ];
    for (text, count, damage) in damages {
        clean(&sandbox);
        damage();
        sandbox.run(["system", "check"]).code(1).stdout_contains(text);
        let outcome = sandbox.run(["system", "check", "--repair"]);
        outcome.success().stdout_contains(text);
        assert_eq!(outcome.lines().len(), count, "{outcome}");
        assert!(outcome.lines().iter().all(|line| line.contains("; repaired: ")), "{outcome}");
    }
    clean(&sandbox);
    fs::write(&name, "{").unwrap();
    sandbox.run(["system", "check", "--repair"]).success().stdout_contains("the name is removed");
    clean(&sandbox);
    sandbox.run(["pull", &reference]).success();
    sandbox.run(["run", "--rm", &reference, "cat", "/twice"]).stdout("new\n").success();
    clean(&sandbox);
}

fn only_the_bad_blob_is_fetched() {
    let registry = Registry::start();
    let blobs = everything().blobs();
    let reference = offer(&registry, &blobs);
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).success();
    let requests = |digest: &str| registry.requests(&format!("/blobs/{digest}")).len();
    flip(&blob(&sandbox, &blobs.layers[1].digest), 100);
    let before = registry.requests("").len();
    sandbox
        .run(["system", "check", "--repair"])
        .stdout(
            &format!(
                "blob {}: {}; repaired: fetched again from {}/team/box\n",
                blobs.layers[1].digest,
                "has the digest {}",
                registry.host()
            )
            .replace("has the digest {}", &wrong(&blobs.layers[1].bytes)),
        )
        .success();
    assert_eq!(registry.requests("").len(), before + 1, "{:#?}", registry.requests(""));
    assert_eq!(requests(&blobs.layers[1].digest), 2);
    clean(&sandbox);
}

/// Says what a blob is found to be whose byte 100 is flipped.
fn wrong(bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    bytes[100] ^= 1;
    format!("has the digest {}", crate::support::image::digest(&bytes))
}

fn what_cannot_be_repaired_is_named() {
    let registry = Registry::start();
    let blobs = everything().blobs();
    let reference = offer(&registry, &blobs);
    let sandbox = Sandbox::new();
    sandbox.run(["pull", &reference]).success();
    let path = blob(&sandbox, &blobs.layers[1].digest);
    flip(&path, 100);
    registry.remove_blob(&blobs.layers[1].digest);
    let outcome = sandbox.run(["system", "check", "--repair"]);
    outcome.code(1).stdout_contains("; not repaired: fetch it from ").stderr_contains("1 wrong");
    // What is no image's only has to go.
    flip(&path, 100);
    clean(&sandbox);
    let stray = blob(&sandbox, &format!("sha256:{}", "a".repeat(64)));
    fs::write(&stray, "not that").unwrap();
    sandbox.run(["system", "check", "--repair"]).stdout_contains("removed, since no image has it").success();
    assert!(!stray.exists());
    // Nobody has what was loaded here; a layer of it is unpacked anew all the same.
    let sandbox = Sandbox::new().with("registry.invalid/box", &Image::busybox());
    let tree = trees(&sandbox).remove(0);
    fs::remove_file(tree.join("etc/passwd")).unwrap();
    sandbox
        .run(["system", "check", "--repair"])
        .stdout_contains("/etc/passwd: is missing (and 1 more); repaired")
        .success();
    clean(&sandbox);
}

fn a_layer_in_use_is_not_taken_away() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    fs::remove_file(trees(&sandbox).remove(0).join("etc/group")).unwrap();
    sandbox
        .run(["system", "check", "--repair"])
        .code(1)
        .stdout_contains("/etc/group: is missing (and 1 more); not repaired: container ")
        .stdout_contains(" has to be stopped first\n");
    sandbox.run(["exec", "cc", "cat", "/etc/passwd"]).success().stdout_contains("root");
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    sandbox.run(["system", "check", "--repair"]).success();
    clean(&sandbox);
    sandbox.run(["start", "cc"]).success();
    sandbox.run(["exec", "cc", "cat", "/etc/group"]).success().stdout_contains("root");
    // A layer that a container stands on and that is gone.
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    let layer = trees(&sandbox).remove(0).parent().unwrap().to_owned();
    fs::rename(&layer, sandbox.work().join("away")).unwrap();
    sandbox.run(["system", "check"]).code(1).stdout_contains("stands on layer sha256:");
    sandbox.run(["system", "check", "--repair"]).success();
    clean(&sandbox);
    sandbox.run(["start", "cc"]).success();
}

fn quick_believes_sizes() {
    let sandbox = Sandbox::new().busybox();
    let largest = fs::read_dir(sandbox.store().join("blobs/sha256"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    flip(&largest, 5000);
    sandbox.run(["system", "check", "--quick"]).stdout("").success();
    sandbox.run(["system", "check"]).code(1).stdout_contains("has the digest");
    fs::OpenOptions::new().write(true).open(&largest).unwrap().set_len(10).unwrap();
    sandbox.run(["system", "check", "--quick"]).code(1).stdout_contains("has 10 bytes and not");
}

fn leftovers_are_no_damage() {
    let sandbox = Sandbox::new().busybox();
    let store = sandbox.store();
    fs::create_dir(store.join("staging/0123")).unwrap();
    fs::write(store.join("images/x.json.new-0123"), "").unwrap();
    symlink("a".repeat(64), store.join("names/ghost")).unwrap();
    fs::write(store.join("locks/claim-0123"), "").unwrap();
    let index = fs::read_to_string(store.join("index.json")).unwrap();
    fs::write(store.join("index.json"), index.replace("busybox", "other")).unwrap();
    let outcome = sandbox.run(["system", "check"]);
    outcome
        .stdout("")
        .stderr_contains("nothing is wrong")
        .stderr_contains("1 in staging, 1 records")
        .success();
    outcome.stderr_contains("index.json, which lags behind");
    sandbox.run(["system", "check", "--repair"]).stdout("").success();
    let outcome = sandbox.run(["system", "check"]);
    assert!(!outcome.error_text().contains("killed"), "{outcome}");
    assert_eq!(fs::read_to_string(store.join("index.json")).unwrap(), index);
    for dir in ["staging", "names"] {
        assert_eq!(fs::read_dir(store.join(dir)).unwrap().count(), 0, "{dir}");
    }
}
