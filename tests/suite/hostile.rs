//! Images and archives that attack, and disks that are full: a clear error, and the store as it was before.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use tar::EntryType;

use crate::support::harness::{Test, tests};
use crate::support::image::{Compression, gzip};
use crate::support::registry::Registry;
use crate::support::{Image, Layer, Meta, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    paths_that_climb_out_are_refused,
    links_do_not_lead_out,
    whiteouts_remove_nothing_above,
    overlay_attributes_are_not_taken_over,
    devices_are_not_made,
    archives_that_break_off_are_errors,
    headers_that_lie_are_errors,
    archives_lie_about_digests,
    archives_point_outside_themselves,
    garbage_is_an_error,
    a_huge_extension_header_is_an_error,
    deep_paths_unpack_and_go,
    strange_names_are_kept,
    configurations_that_are_nonsense_are_errors,
    a_full_disk_leaves_the_store_as_it_was,
    bombs_are_refused_before_they_go_off,
    an_opaque_root_hides_all_below,
    names_need_not_be_text,
    many_layers_need_few_descriptors,
    a_full_disk_at_every_step_leaves_a_sound_store,
];

/// Everything in the store by path, but for what changes at every command.
pub(crate) fn listing(store: &Path) -> BTreeSet<String> {
    fn walk(dir: &Path, base: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            found.insert(entry.path().strip_prefix(base).unwrap().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), base, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    for dir in ["blobs", "images", "refs", "layers", "staging", "containers", "names", "volumes"] {
        walk(&store.join(dir), store, &mut found);
    }
    found
}

/// Claims that loading `archive` is an error, and that the store stays as it is.
#[track_caller]
fn refuses(sandbox: &Sandbox, what: &str, archive: Vec<u8>) {
    let before = listing(&sandbox.store());
    let outcome = sandbox.command(["load"]).stdin(archive).run();
    assert_eq!(outcome.code, Some(1), "{what}: {outcome}");
    assert!(!outcome.error_text().is_empty(), "{what}: {outcome}");
    assert!(!outcome.error_text().contains("panicked"), "{what}: {outcome}");
    assert_eq!(listing(&sandbox.store()), before, "{what}");
    sandbox.run(["run", "--rm", "busybox", "echo", "well"]).stdout("well\n").success();
}

#[track_caller]
fn refuses_layer(what: &str, layer: &Layer) {
    let sandbox = Sandbox::new().busybox();
    refuses(&sandbox, what, Image::busybox().layer(layer).docker_archive("evil:1"));
    let planted = walk_for(sandbox.dir(), "planted");
    assert!(planted.is_none(), "{what}: {planted:?}");
}

fn walk_for(dir: &Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        if entry.file_name() == name {
            return Some(entry.path());
        }
        if entry.file_type().ok()?.is_dir()
            && let Some(found) = walk_for(&entry.path(), name)
        {
            return Some(found);
        }
    }
    None
}

fn paths_that_climb_out_are_refused() {
    let file = Meta::mode(0o644);
    for path in ["../planted", "../../../../../../../../tmp/planted", "a/../../planted", "./../planted"] {
        let layer = Layer::new().dir("/a").raw(EntryType::Regular, path.as_bytes(), b"", b"x", &file);
        refuses_layer(path, &layer);
    }
    assert!(!Path::new("/tmp/planted").exists());
    refuses_layer("a directory", &Layer::new().raw(EntryType::Directory, b"../planted", b"", b"", &file));
    refuses_layer(
        "a link's target",
        &Layer::new().raw(EntryType::Link, b"x", b"../../../../etc/passwd", b"", &file),
    );
}

fn links_do_not_lead_out() {
    // Through a link, a file lands where the link leads *inside*, as it would for a program in the container.
    let layer = Layer::new()
        .symlink("/out", "/tmp")
        .symlink("/up", "../../../../../../../../../../tmp")
        .file("/out/planted-a", "a\n")
        .file("/up/planted-b", "b\n");
    let sandbox = Sandbox::new();
    let archive = Image::busybox().layer(&layer).docker_archive("linked:1");
    let loaded = sandbox.command(["load"]).stdin(archive).run();
    assert!(!Path::new("/tmp/planted-a").exists() && !Path::new("/tmp/planted-b").exists());
    if loaded.code == Some(0) {
        let script = "cat /tmp/planted-a /tmp/planted-b";
        sandbox.run(["run", "--rm", "linked:1", "sh", "-c", script]).stdout("a\nb\n").success();
    }
    // A hard link to what a link leads to outside must not be a link to the host's file.
    let secret = sandbox.file("secret", "secret of the host\n");
    let layer = Layer::new().symlink("/door", &secret).raw(
        EntryType::Link,
        b"taken",
        b"door",
        b"",
        &Meta::mode(0o644),
    );
    let archive = Image::busybox().layer(&layer).docker_archive("door:1");
    if sandbox.command(["load"]).stdin(archive).run().code == Some(0) {
        sandbox.run(["run", "--rm", "door:1", "cat", "/taken"]).stdout("").code(1);
    }
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "secret of the host\n");
}

fn whiteouts_remove_nothing_above() {
    for name in ["d/.wh...", "d/.wh..", ".wh...", "d/.wh."] {
        let sandbox = Sandbox::new().busybox();
        let layer = Layer::new().file("/d/f", "x\n").raw(
            EntryType::Regular,
            name.as_bytes(),
            b"",
            b"",
            &Meta::mode(0o644),
        );
        let archive = Image::busybox().layer(&layer).docker_archive("evil:1");
        sandbox.command(["load"]).stdin(archive).run();
        sandbox.run(["run", "--rm", "busybox", "echo", "well"]).stdout("well\n").success();
    }
}

fn overlay_attributes_are_not_taken_over() {
    let marks = Meta::mode(0o755)
        .xattr("user.overlay.opaque", "y")
        .xattr("trusted.overlay.opaque", "y")
        .xattr("user.overlay.redirect", "/etc");
    let image = Image::busybox()
        .layer(&Layer::new().file("/d/below", "below\n"))
        .layer(&Layer::new().dir_with("/d", &marks).file("/d/above", "above\n"));
    Sandbox::new()
        .with("marked", &image)
        .run(["run", "--rm", "marked", "sh", "-c", "cd /d; ls -A; cat *"])
        .stdout("above\nbelow\nabove\nbelow\n")
        .success();
}

fn devices_are_not_made() {
    let sandbox = Sandbox::new().image("devices", |layer| layer.device("/null").file("/after", "after\n"));
    sandbox
        .run(["run", "--rm", "devices", "sh", "-c", "cat /after; test -c /null && echo x > /null"])
        .stdout("after\n")
        .code(1);
}

fn archives_that_break_off_are_errors() {
    let sandbox = Sandbox::new().busybox();
    let whole = Image::busybox().layer(&Layer::new().file("/big", vec![7; 200_000])).docker_archive("cut:1");
    for cut in [whole.len() - 600_000, whole.len() / 2, 100_000, 700, 512, 100, 0] {
        refuses(&sandbox, &format!("cut at {cut}"), whole[..cut].to_vec());
    }
    let zipped = gzip(&whole);
    refuses(&sandbox, "gzip cut short", zipped[..zipped.len() / 2].to_vec());
    // A layer whose own tar breaks off inside an entry.
    let mut half = Layer::new().file("/first", "1").file("/planted", vec![1; 5000]).unfinished();
    half.truncate(half.len() - 3000);
    refuses(&sandbox, "half a layer", Image::busybox().layer_bytes(half).docker_archive("half:1"));
}

fn headers_that_lie_are_errors() {
    refuses_layer("too long", &Layer::new().file("/a", "x").lying_header("planted", 1 << 30));
    let mut broken = Layer::new().file("/planted", "x").tar();
    broken[148] ^= 1;
    let sandbox = Sandbox::new().busybox();
    refuses(&sandbox, "a checksum", Image::busybox().layer_bytes(broken).docker_archive("sum:1"));
    let mut negative = Layer::new().file("/planted", "x").tar();
    negative[124..136].copy_from_slice(&[0xff; 12]);
    refuses(&sandbox, "a negative size", Image::busybox().layer_bytes(negative).docker_archive("neg:1"));
}

fn archives_lie_about_digests() {
    let sandbox = Sandbox::new().busybox();
    let image = Image::busybox().layer(&Layer::new().file("/x", "the one marker"));
    // The layer's bytes are not those that the configuration names.
    let mut archive = image.docker_archive("lie:1");
    let at = archive.windows(14).position(|window| window == b"the one marker").unwrap();
    archive[at..at + 3].copy_from_slice(b"not");
    refuses(&sandbox, "docker archive", archive);
    let mut archive = image.compression(Compression::None).oci_archive("lie:1");
    let at = archive.windows(14).position(|window| window == b"the one marker").unwrap();
    archive[at..at + 3].copy_from_slice(b"not");
    refuses(&sandbox, "OCI archive", archive);
}

fn archives_point_outside_themselves() {
    let sandbox = Sandbox::new().busybox();
    let secret = sandbox.file("secret.tar", Layer::new().file("/secret", "x").tar());
    let config = Image::scratch().layer(&Layer::new().file("/secret", "x")).blobs().config;
    for layer in [secret.as_str(), "../../../../etc/passwd", "link.tar"] {
        let manifest = json!([{ "Config": "c.json", "RepoTags": ["out:1"], "Layers": [layer] }]);
        let archive = Layer::new()
            .symlink("link.tar", &secret)
            .file("c.json", &config.bytes)
            .file("manifest.json", serde_json::to_vec(&manifest).unwrap())
            .tar();
        refuses(&sandbox, layer, archive);
    }
    for digest in ["sha256:../../../../etc/passwd", "sha256:zz", "md5:00", ""] {
        let index = json!({ "schemaVersion": 2, "manifests": [
            { "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 10 } ] });
        let archive = Layer::new()
            .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
            .file("index.json", serde_json::to_vec(&index).unwrap())
            .tar();
        refuses(&sandbox, digest, archive);
    }
}

fn garbage_is_an_error() {
    let sandbox = Sandbox::new().busybox();
    let noise: Vec<u8> = (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    refuses(&sandbox, "noise", noise.clone());
    refuses(&sandbox, "zipped noise", gzip(&noise));
    refuses(&sandbox, "nothing", Vec::new());
    refuses(&sandbox, "an empty tar", Layer::new().tar());
    let before = listing(&sandbox.store());
    let outcome = sandbox.command(["import", "-", "noise:1"]).stdin(noise).run();
    outcome.code(1);
    assert_eq!(listing(&sandbox.store()), before);
}

fn a_huge_extension_header_is_an_error() {
    // A promise of 1 GiB of extended attributes must not be believed, nor read into memory.
    let mut layer = Layer::new();
    let meta = Meta::mode(0o644);
    layer = layer.raw(EntryType::XHeader, b"pax", b"", &vec![b'1'; 4 << 20], &meta).file("/planted", "x");
    refuses_layer("4 MiB of records without sense", &layer);
    let long = "n/".repeat(40_000);
    refuses_layer("a path of 80 kB", &Layer::new().file(&format!("{long}planted"), "x"));
}

fn deep_paths_unpack_and_go() {
    let sandbox = Sandbox::new();
    let path = format!("/{}", "d/".repeat(1500));
    let sandbox = sandbox.image("deep", |layer| layer.file(&format!("{path}f"), "bottom\n"));
    sandbox.run(["run", "--rm", "deep", "sh", "-c", &format!("cat {path}f")]).stdout("bottom\n").success();
    sandbox.run(["rmi", "deep"]).success();
    // What a container may just name is too deep for a path from outside.
    let sandbox = sandbox.busybox();
    let script = "n=0; while test $n -lt 1950; do mkdir d && cd d || exit 9; n=$((n+1)); done";
    sandbox.run(["run", "--name", "cc", "-w", "/deep", "busybox", "sh", "-c", script]).success();
    sandbox.run(["rm", "cc"]).success();
}

fn strange_names_are_kept() {
    let names = ["new\nline", "tab\there", "quote'\"", "-dash", "ünïcode", "space ", "*", "\u{1}"];
    let mut layer = Layer::new();
    for name in names {
        layer = layer.file(&format!("/s/{name}"), "x");
    }
    let sandbox = Sandbox::new().with("strange", &Image::busybox().layer(&layer));
    let outcome = sandbox.run([
        "run",
        "--rm",
        "strange",
        "sh",
        "-c",
        "cd /s; for f in *; do printf '%s|' \"$f\"; done",
    ]);
    let mut found: Vec<_> = outcome.success().out.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
    found.retain(|name| !name.is_empty());
    found.sort();
    let mut expected: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    expected.sort();
    assert_eq!(found, expected);
}

fn configurations_that_are_nonsense_are_errors() {
    let sandbox = Sandbox::new().busybox();
    for config in ["", "{", "[]", "null", r#"{"rootfs":{"type":"layers","diff_ids":[]}}"#] {
        let layer = Layer::base().tar();
        let manifest = json!([{ "Config": "c.json", "RepoTags": ["bad:1"], "Layers": ["l.tar"] }]);
        let archive = Layer::new()
            .file("l.tar", &layer)
            .file("c.json", config)
            .file("manifest.json", serde_json::to_vec(&manifest).unwrap())
            .tar();
        refuses(&sandbox, config, archive);
    }
    let image = Image::busybox();
    let manifest = json!([{ "Config": "c.json", "RepoTags": ["../../etc:1"], "Layers": ["l.tar"] }]);
    let archive = Layer::new()
        .file("l.tar", Layer::base().tar())
        .file("c.json", image.blobs().config.bytes)
        .file("manifest.json", serde_json::to_vec(&manifest).unwrap())
        .tar();
    refuses(&sandbox, "a name that climbs out", archive);
}

fn a_full_disk_leaves_the_store_as_it_was() {
    needs(Need::Root);
    let big = Image::busybox().layer(&Layer::new().file("/big", vec![1; 30 << 20])).docker_archive("big:1");
    let small = Image::busybox().docker_archive("small:1");
    let sandbox = Sandbox::new();
    let (big, small) = (sandbox.file("big.tar", big), sandbox.file("small.tar", small));
    // One file system for all three commands: a shell runs them.
    let script = format!(
        "coracle=$0; $coracle load -i {small} || exit 10; \
         find data/coracle -type f | grep -v locks | sort > work/before; \
         $coracle load -i {big} && exit 11; \
         find data/coracle -type f | grep -v locks | sort > work/after; \
         cmp work/before work/after || {{ diff work/before work/after; exit 12; }}; \
         $coracle images -q | wc -l; $coracle run --rm small:1 echo well; \
         $coracle run --rm small:1 dd if=/dev/zero of=/f bs=1M count=100 2>/dev/null && exit 13; \
         $coracle run --rm small:1 echo still well; $coracle rmi small:1 || exit 14"
    );
    let outcome = sandbox.command([&script]).shell().small_disk(24 << 20).run();
    outcome.success().stderr_contains("o space left on device");
    outcome.stdout_contains("1\nwell\nstill well\n");
}

fn bombs_are_refused_before_they_go_off() {
    needs(Need::Root);
    let zeros = Layer::new().file("/zeros", vec![0; 300 << 20]);
    let sandbox = Sandbox::new();
    let small = sandbox.file("small.tar", Image::busybox().docker_archive("small:1"));
    for compression in [Compression::Zstd, Compression::Gzip] {
        let bomb = Image::busybox().layer(&zeros).compression(compression).oci_archive("bomb:1");
        assert!(bomb.len() < 8 << 20, "it looks harmless");
        let bomb = sandbox.file("bomb.tar", bomb);
        let script = format!(
            "coracle=$0; $coracle load -q -i {small} || exit 10; \
             find data/coracle -type f | grep -v locks | sort > work/before; \
             $coracle load -i {bomb} && exit 11; \
             find data/coracle -type f | grep -v locks | sort > work/after; \
             cmp work/before work/after || {{ diff work/before work/after; exit 12; }}"
        );
        let outcome = sandbox.command([&script]).shell().small_disk(64 << 20).run();
        outcome.success().stderr_contains("extract zeros: it has 314572800 bytes, and the disk has room for");
    }
    // A descriptor that promises more than any disk has.
    let mut huge = Layer::new().lying_header("planted", 7 << 30).tar();
    huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0]);
    huge[148..156].fill(b' ');
    let sum: u32 = huge[..512].iter().map(|byte| u32::from(*byte)).sum();
    huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let sandbox = Sandbox::new().busybox();
    refuses(&sandbox, "an exabyte", Image::busybox().layer_bytes(huge).docker_archive("huge:1"));
}

fn an_opaque_root_hides_all_below() {
    let image = Image::scratch()
        .layer(&Layer::new().file("/below", "x").dir("/d").file("/d/below", "x"))
        .layer(&Layer::base().file("/.wh..wh..opq", "").file("/d/here", "x"))
        .layer(&Layer::new().file("/above", "x"));
    let sandbox = Sandbox::new().with("opaque", &image);
    sandbox
        .run(["run", "--rm", "opaque", "sh", "-c", "ls /d; cat /above; test -e /below || echo gone"])
        .stdout("here\nxgone\n")
        .success();
    sandbox.run(["create", "--name", "cc", "opaque"]).success();
    let listed = sandbox.command(["$0 export cc | tar t | grep -E 'below|above|here'"]).shell().run();
    let mut names = listed.success().lines();
    names.sort();
    assert_eq!(names, ["above", "d/here"]);
}

fn names_need_not_be_text() {
    let meta = Meta::mode(0o644);
    let layer = Layer::new().dir("/s").raw(EntryType::Regular, b"s/\xff\xfe", b"", b"x", &meta).raw(
        EntryType::Symlink,
        b"s/link",
        b"\xff\xfe",
        b"",
        &meta,
    );
    let sandbox = Sandbox::new().with("bytes", &Image::busybox().layer(&layer));
    sandbox
        .run(["run", "--rm", "bytes", "sh", "-c", "cd /s; cat link; printf %s * | tail -c 2 | od -An -tx1"])
        .stdout("x ff fe\n")
        .code(0);
}

fn many_layers_need_few_descriptors() {
    let mut image = Image::busybox();
    for n in 0..129 {
        let mut layer = Layer::new().dir("/n");
        for dir in 0..10 {
            layer = layer.file(&format!("/n/{n}/{dir}/f"), "x");
        }
        image = image.layer(&layer);
    }
    let sandbox = Sandbox::new();
    let archive = sandbox.file("many.tar", image.oci_archive("many:1"));
    let script = format!(
        "ulimit -n 512; $0 load -q -i {archive} && \
         $0 run --rm many:1 sh -c 'ls /n | wc -l; cat /n/0/0/f /n/128/9/f'"
    );
    let outcome = sandbox.command([&script]).shell().run();
    outcome.success().stdout_contains("129\nxx");
}

fn a_full_disk_at_every_step_leaves_a_sound_store() {
    needs(Need::Root);
    let registry = Registry::start();
    let mut image = Image::busybox();
    for n in 0..3 {
        image = image.layer(&Layer::new().file(&format!("/{n}"), vec![b'0' + n; 300_000]));
    }
    let blobs = image.blobs();
    for blob in blobs.layers.iter().chain([&blobs.config]) {
        registry.blob(blob.bytes.clone());
    }
    registry.manifest("team/box", "v1", &blobs.manifest.media_type, blobs.manifest.bytes);
    let reference = format!("{}/team/box:v1", registry.host());
    let small = Image::scratch().layer(&Layer::new().file("/x", "x")).docker_archive("small:1");
    let mut pulled = 0;
    for kilobytes in [400, 1000, 1600, 2200, 2800, 3400, 4000, 4600, 5200, 8000] {
        let sandbox = Sandbox::new();
        let small = sandbox.file("small.tar", &small);
        let script = format!(
            "c=$0; $c load -q -i {small} >&2 || exit 10; \
             $c pull -q {reference}; pulled=$?; \
             $c system check || exit 11; \
             dd if=/dev/zero of=data/filler bs=4k 2>/dev/null; \
             $c system check || exit 12; \
             $c load -q -i {small} >&2; \
             $c system check || exit 13; \
             $c tag small:1 other:1 >&2; \
             $c import {small} imported:1 >&2; \
             $c save -o data/saved.tar small:1 >&2; \
             $c push -q {reference} >&2; \
             $c images >&2 || exit 20; \
             $c system check || exit 21; \
             $c rmi small:1 >&2 || exit 14; \
             $c image prune -af >&2 || exit 15; \
             [ -z \"$(find data/coracle/blobs data/coracle/images -type f)\" ] || exit 16; \
             rm -f data/filler data/saved.tar; \
             $c system check || exit 17; \
             $c load -q -i {small} >&2 || exit 18; \
             $c system check || exit 19; \
             echo sound $pulled"
        );
        let outcome = sandbox.command([&script]).shell().small_disk(kilobytes << 10).run();
        outcome.success().stdout_contains("sound ");
        pulled += usize::from(outcome.text().ends_with("sound 0"));
    }
    assert!((1..10).contains(&pulled), "{pulled} of the disks had room for the image");
}
