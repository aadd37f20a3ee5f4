//! Archives that attack, each of which has its error.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{Archive, good, seal, unpack_bytes};

#[test]
fn refuses_attacks() {
    let archive = Archive::default;
    let huge = "x".repeat(300);
    let deep = "d/".repeat(3000);
    let mut loud = archive().file("a", b"").0;
    loud[150] ^= 1;
    let mut cut = archive().file("a", &[1; 2000]).0;
    cut.truncate(1500);
    let mut base256 = archive().file("a", b"").0;
    base256[124..136].copy_from_slice(&[0xff; 12]);
    seal(&mut base256[..512]);
    for (bytes, expected) in [
        (archive().file("../outside/file", b"x").end(), "is outside of the layer"),
        (archive().file("a/../../outside/file", b"x").end(), "is outside of the layer"),
        (archive().file("..", b"x").end(), "is outside of the layer"),
        (archive().hard("x", "../outside/file").end(), "invalid hardlink"),
        (archive().hard("x", "/").end(), "invalid hardlink"),
        (archive().link("l", "../../outside").hard("x", "l/file").end(), "link it to l/file"),
        (archive().link("l", "/proc/self/root").file("l/outside/file", b"x").end(), "create directory l"),
        (archive().link("l", "l").file("l/x", b"x").end(), "open directory l"),
        (archive().file("f", b"").file("f/x", b"x").end(), "something that is no directory is in the way"),
        (archive().dir("d").hard("x", "d").end(), "link it to d"),
        (archive().hard("x", "missing").end(), "link it to missing"),
        (archive().link("./", "/").end(), "the root of a layer can only be a directory"),
        (archive().file(".", b"x").end(), "the root of a layer can only be a directory"),
        (archive().file("a/.wh.", b"").end(), "it hides no name"),
        (archive().file("a/.wh...", b"").end(), "it hides no name"),
        (archive().file("a/.wh..", b"").end(), "it hides no name"),
        (archive().raw(b'Q', "a", "", 0, (0, 0), b"").end(), "unhandled tar header type 81"),
        (archive().pax(&[("path", b"a\0b")]).file("a", b"").end(), "a name in the archive has a NUL"),
        (archive().pax(&[("path", huge.as_bytes())]).file("a", b"").end(), "name too long"),
        (archive().pax(&[("path", deep.as_bytes())]).file("a", b"").end(), "name too long"),
        (archive().pax(&[("size", b"18446744073709551615")]).file("a", b"").end(), "too large"),
        (archive().pax(&[("size", b"-1")]).file("a", b"").end(), "malformed"),
        (
            archive().raw(b'x', "pax", "", 0, (0, 0), b"99 path=x\n").file("a", b"").end(),
            "PAX header is malformed",
        ),
        (
            archive().raw(b'x', "pax", "", 0, (0, 0), b"1 path=x\n").file("a", b"").end(),
            "PAX header is malformed",
        ),
        (archive().raw(b'x', "pax", "", 0, (0, 0), &vec![b' '; 2 << 20]).end(), "extended header"),
        (archive().raw(b'L', "long", "", 0, (0, 0), &vec![b'a'; 2 << 20]).end(), "extended header"),
        (loud, "wrong checksum"),
        (cut, "cut off"),
        (base256, "negative"),
        (b"this is no archive".repeat(100), "not a tar archive"),
        (b"short".to_vec(), "cut off"),
        (
            archive()
                .pax(&[("GNU.sparse.map", b"0,10,5,10"), ("GNU.sparse.size", b"100")])
                .file("s", &[1; 20])
                .end(),
            "out of order",
        ),
        (
            archive()
                .pax(&[("GNU.sparse.map", b"0,10"), ("GNU.sparse.size", b"100")])
                .file("s", &[1; 20])
                .end(),
            "does not match",
        ),
    ] {
        let unpacked = unpack_bytes(bytes);
        let error = unpacked.result.expect_err(expected);
        let text = format!("{error:#}").to_lowercase();
        assert!(text.contains(&expected.to_lowercase()), "{text:?} has no {expected:?}");
    }
}

#[test]
fn survives_a_directory_swapped_for_a_link() {
    // The permissions of `d/x`, set at the end, must not reach what `d/x` links to by then.
    let unpacked = good(
        Archive::default()
            .dir("real")
            .link("d", "real")
            .raw(b'5', "d/x", "", 0o700, (0, 0), b"")
            .link("real/x", "../../../outside")
            .dir("top")
            .raw(b'5', "top/sub", "", 0o700, (0, 0), b"")
            .link("top", "../../outside"),
    );
    assert!(unpacked.path("real/x").is_symlink());
    let outside = unpacked.layer.with_file_name("outside");
    assert_ne!(fs::metadata(outside).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn refuses_bombs_before_they_go_off() {
    let promise = |name: &str, kind: u8, size: u64| {
        let mut archive = Archive::default().raw(kind, name, "", 0o644, (0, 0), b"").0;
        archive[124..136].copy_from_slice(&[&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat());
        seal(&mut archive[..512]);
        archive
    };
    let sparse = Archive::default()
        .pax(&[("GNU.sparse.map", b"0,1"), ("GNU.sparse.size", b"4611686018427387904")])
        .file("s", b"x")
        .end();
    // As many records of one file, each in a header of its own, as would fill the memory.
    let mut records = Archive::default();
    for n in 0..2000 {
        records = records.pax(&[(&format!("SCHILY.xattr.user.{n}"), &[b'x'; 1000])]);
    }
    for (bytes, expected) in [
        (promise("f", b'0', 1 << 61), "no space left on device"),
        (sparse, "no space left on device"),
        (promise(".wh.f", b'0', 2 << 30), "data that belongs to no file"),
        (promise("d/.wh..wh..opq", b'0', 2 << 30), "data that belongs to no file"),
        (promise("f", b'x', 1 << 40), "extended header"),
        (promise("f", b'K', 1 << 40), "extended header"),
        (records.raw(b'Q', "a\x1b[2J", "", 0, (0, 0), b"").end(), "type 81 of a\u{fffd}[2j"),
    ] {
        let unpacked = unpack_bytes(bytes);
        let text = format!("{:#}", unpacked.result.expect_err(expected)).to_lowercase();
        assert!(text.contains(expected), "{text:?} has no {expected:?}");
    }
}
