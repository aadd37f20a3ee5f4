//! Archives put together at random: whatever they are, nothing panics and nothing leaves the tree.

use super::{Archive, seal, unpack_bytes};

/// Names and targets that attack, to be put together at random.
fn hostile_name() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let part = prop::sample::select(vec![
        "",
        ".",
        "..",
        "a",
        "b",
        "link",
        "up",
        "root",
        "outside",
        "file",
        ".wh.a",
        ".wh.link",
        ".wh..wh..opq",
        ".wh...",
        ".wh..",
        "\u{1}",
    ]);
    (any::<bool>(), prop::collection::vec(part, 1..5))
        .prop_map(|(absolute, parts)| if absolute { "/" } else { "" }.to_owned() + &parts.join("/"))
}

/// What a stranger's bytes go through, whatever they are: recognised, decompressed, read as an archive and
/// unpacked. `unpack_bytes` looks that nothing outside is touched.
fn attack(bytes: &[u8]) {
    use std::io::Read as _;
    let compression = crate::image::compression::Compression::of(bytes);
    let mut inside = Vec::new();
    if let Ok(decoder) = compression.decoder(bytes) {
        let _ = decoder.take(1 << 20).read_to_end(&mut inside);
    }
    let _ = unpack_bytes(inside).result;
    let _ = unpack_bytes(bytes.to_vec()).result;
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]

    /// Whatever stands in the headers, nothing panics and nothing leaves the tree: `unpack_bytes` looks.
    #[test]
    fn survives_any_header(changes in proptest::collection::vec((0..9usize, 0..512usize, proptest::num::u8::ANY), 0..12)) {
        let mut bytes = Archive::default()
            .dir("d")
            .link("l", "../../outside")
            .hard("h", "l")
            .raw(b'x', "p", "", 0, (0, 0), b"20 path=../../../l/\n")
            .file("l/f", b"")
            .file(".wh.d", b"")
            .raw(b'S', "s", "", 0, (0, 0), b"")
            .raw(b'L', "long", "", 0, (0, 0), b"l/../../outside/file")
            .end();
        for (block, at, byte) in changes {
            bytes[block * 512 + at] = byte;
        }
        for block in bytes.chunks_exact_mut(512).filter(|block| block.iter().any(|byte| *byte != 0)) {
            seal(block);
        }
        let _ = unpack_bytes(bytes).result;
    }

    #[test]
    fn survives_any_bytes(
        magic in proptest::sample::select(vec![
            &b""[..], b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"BZh91AY&SY", b"\xfd7zXZ\0",
        ]),
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..3000),
    ) {
        attack(&[magic, &bytes].concat());
    }

    #[test]
    fn survives_any_order_of_names(
        members in proptest::collection::vec(
            (proptest::sample::select(b"0123567S".to_vec()), hostile_name(), hostile_name(), 0..0o10000u32),
            1..25,
        ),
    ) {
        let mut archive = Archive::default().link("up", "../../..").link("root", "/").link("link", "../outside");
        for (kind, name, link, mode) in members {
            archive = archive.raw(kind, &name, &link, mode, (1, 2), if kind == b'0' { &b"data"[..] } else { b"" });
        }
        let _ = unpack_bytes(archive.end()).result;
    }

    /// The records of an extended header, right and wrong.
    #[test]
    fn survives_any_records(
        records in proptest::collection::vec(
            (
                proptest::sample::select(vec![
                    "path", "linkpath", "size", "uid", "mtime", "GNU.sparse.major", "GNU.sparse.minor",
                    "GNU.sparse.map", "GNU.sparse.offset", "GNU.sparse.numbytes", "GNU.sparse.size",
                    "GNU.sparse.realsize", "GNU.sparse.name", "SCHILY.xattr.user.x", "LIBARCHIVE.xattr.user.%61",
                ]),
                "[0-9]{1,20}|1|0|0,4|[ -~]{0,20}|\\.\\./[a-z/]{1,9}",
            ),
            0..8,
        ),
    ) {
        let records: Vec<_> = records.iter().map(|(key, value)| (*key, value.as_bytes())).collect();
        attack(&Archive::default().pax(&records).file("f", b"2\n0\n2\n2\n2\n").file("after", b"").end());
    }
}
