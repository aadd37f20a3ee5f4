//! What the writers of archives write: long names, sparse files, their own ways to tell a number.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Archive, entries, good, seal, unpack_bytes};

#[test]
fn reads_long_names_and_large_numbers() {
    let part = "long".repeat(30);
    let long = format!("{part}/{part}/{part}");
    let owner = Archive::default()
        .raw(b'L', "././@LongLink", "", 0, (0, 0), format!("{long}\0").as_bytes())
        .raw(b'K', "././@LongLink", "", 0, (0, 0), format!("{long}\0").as_bytes())
        .link("short", "short")
        .pax(&[
            ("path", b"p"),
            ("mtime", b"1234567890.5"),
            ("uid", b"3000000"),
            ("gid", b"4000000"),
            ("size", b"3"),
        ])
        .file("ignored", b"abc");
    let unpacked = good(owner);
    assert_eq!(fs::read_link(unpacked.path(&long)).unwrap(), Path::new(&long));
    assert_eq!(unpacked.read("p"), "abc");
    assert_eq!(unpacked.attribute("p", "user.coracle.owner").as_deref(), Some("3000000:4000000:644"));
    let meta = fs::metadata(unpacked.path("p")).unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (1_234_567_890, 500_000_000));
}

#[test]
fn reads_sparse_files() {
    let data = [[1u8; 100], [2; 100]].concat();
    let mut map = b"2\n1000\n100\n5000\n100\n".to_vec();
    map.resize(512, b'\0');
    let gnu = {
        let mut archive = Archive::default().raw(b'S', "gnu", "", 0o644, (0, 0), &data).0;
        for (at, value) in [(386, 1000), (398, 100), (410, 5000), (422, 100), (483, 6000)] {
            archive[at..at + 12].copy_from_slice(format!("{value:011o}\0").as_bytes());
        }
        seal(&mut archive[..512]);
        Archive(archive)
    };
    let unpacked = good(
        gnu.pax(&[
            ("GNU.sparse.map", b"1000,100,5000,100"),
            ("GNU.sparse.size", b"6000"),
            ("GNU.sparse.name", b"pax01"),
        ])
        .file("x", &data)
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"pax10"),
            ("GNU.sparse.realsize", b"6000"),
        ])
        .file("x", &[map, data.clone()].concat())
        .file("after", b"right"),
    );
    let mut expected = vec![0; 6000];
    expected[1000..1100].copy_from_slice(&data[..100]);
    expected[5000..5100].copy_from_slice(&data[100..]);
    for name in ["gnu", "pax01", "pax10"] {
        assert_eq!(fs::read(unpacked.path(name)).unwrap(), expected, "{name}");
    }
    assert_eq!(unpacked.read("after"), "right");
}

#[test]
fn reads_what_tar_writes() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("a/b")).unwrap();
    fs::write(source.join("a/b/file"), vec![7; 1 << 20]).unwrap();
    fs::hard_link(source.join("a/b/file"), source.join("hard")).unwrap();
    fs::write(source.join("n".repeat(200)), "long").unwrap();
    let hole = fs::File::create(source.join("hole")).unwrap();
    hole.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, b"end", (1 << 20) - 3).unwrap();
    for format in [&["--format=gnu"][..], &["--format=gnu", "-S"], &["--format=pax"], &["--format=pax", "-S"]]
    {
        let output =
            std::process::Command::new("tar").arg("-C").arg(&source).args(format).args(["-c", "."]).output();
        let output = output.expect("tar is on every machine that builds this");
        assert!(output.status.success());
        let unpacked = unpack_bytes(output.stdout);
        assert!(unpacked.result.is_ok(), "{format:?}: {:?}", unpacked.result);
        for name in ["a/b/file", "hard", "hole", &"n".repeat(200)] {
            assert!(fs::read(unpacked.path(name)).unwrap() == fs::read(source.join(name)).unwrap(), "{name}");
        }
        assert_eq!(fs::metadata(unpacked.path("hard")).unwrap().nlink(), 2);
    }
}

#[test]
fn reads_what_other_writers_write() {
    let mut numbers = Archive::default().file("numbers", b"abc").0;
    // A size with NULs in front, an owner and a time in base 256.
    numbers[124..136].copy_from_slice(b"\0\0\0\0\0\0\0\0\x00003");
    numbers[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0, 0x20, 0, 1]);
    numbers[136..148].copy_from_slice(&[0xff; 12]);
    seal(&mut numbers[..512]);
    let unpacked = good(
        Archive(numbers)
            .pax(&[("path", b"wrong"), ("SCHILY.xattr.user.gone", b"x")])
            .pax(&[("path", b"right"), ("mtime", b"-5.5")])
            .file("x", b"r")
            .raw(b'L', "long", "", 0, (0, 0), b"the-long-one\0")
            .pax(&[("path", b"the-short-one")])
            .file("x", b"l")
            .pax(&[
                ("LIBARCHIVE.xattr.user.one%2f", b"b25l"),
                ("LIBARCHIVE.xattr.user.two", b"dHc="),
                ("LIBARCHIVE.xattr.user.both", b"b25l"),
                ("SCHILY.xattr.user.both", b"this"),
                ("mtime", b"99999999999"),
            ])
            .file("attributes", b"")
            .raw(b'g', "global", "", 0, (0, 0), b"17 comment=hello\n")
            // An old directory, with data that is none.
            .raw(b'0', "old/", "", 0o755, (0, 0), b"ignored")
            .file("last", b"z"),
    );
    assert_eq!(unpacked.read("numbers"), "abc");
    assert_eq!(unpacked.attribute("numbers", "user.coracle.owner").as_deref(), Some("2097153:0:644"));
    assert_eq!(fs::metadata(unpacked.path("numbers")).unwrap().mtime(), 0);
    assert_eq!((unpacked.read("right"), unpacked.read("the-long-one")), ("r".into(), "l".into()));
    assert_eq!(unpacked.attribute("right", "user.gone"), None);
    assert_eq!(fs::metadata(unpacked.path("right")).unwrap().mtime(), 0);
    for (name, value) in [("user.one/", "one"), ("user.two", "tw"), ("user.both", "this")] {
        assert_eq!(unpacked.attribute("attributes", name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(unpacked.mode("old"), 0o40755);
    assert_eq!(
        entries(&unpacked.path("")),
        ["attributes", "last", "numbers", "old", "right", "the-long-one"]
    );
}
