//! Archives, ordinary and hostile, and what must come of them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::*;

/// An archive in the making, by hand, because no honest writer makes most of these.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    /// Adds one member with a raw header; `kind` is the type flag.
    fn raw(mut self, kind: u8, name: &str, link: &str, mode: u32, owner: (u32, u32), data: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.as_mut_bytes()[156] = kind;
        header.set_mode(mode);
        header.set_uid(owner.0.into());
        header.set_gid(owner.1.into());
        header.set_mtime(1_000_000);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.bytes(data)
    }

    fn bytes(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(b'0', name, "", 0o644, (0, 0), data)
    }

    fn dir(self, name: &str) -> Self {
        self.raw(b'5', name, "", 0o755, (0, 0), b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name, target, 0o777, (0, 0), b"")
    }

    fn hard(self, name: &str, target: &str) -> Self {
        self.raw(b'1', name, target, 0o644, (0, 0), b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length =
                (1..6).map(|digits| rest + digits).find(|all| all.to_string().len() + rest == *all).unwrap();
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.raw(b'x', "pax", "", 0o644, (0, 0), &data)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// Gives a header that was changed by hand its checksum.
fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

struct Unpacked {
    _dir: tempfile::TempDir,
    layer: PathBuf,
    result: Result<LayerRecord>,
}

impl Unpacked {
    fn path(&self, name: &str) -> PathBuf {
        self.layer.join("tree").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.path(name)).unwrap().permissions().mode()
    }

    fn is_whiteout(&self, name: &str) -> bool {
        let meta = fs::symlink_metadata(self.path(name)).unwrap();
        meta.file_type().is_char_device() && meta.rdev() == 0
    }

    fn attribute(&self, name: &str, attribute: &str) -> Option<String> {
        let mut value = [0; 64];
        let length = rustix::fs::lgetxattr(self.path(name), attribute, &mut value[..]).ok()?;
        Some(String::from_utf8_lossy(&value[..length]).into_owned())
    }
}

/// Unpacks as a user with a single id does, beside a directory that nothing may touch.
fn unpack_bytes(bytes: Vec<u8>) -> Unpacked {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/file"), "untouched").unwrap();
    let layer = dir.path().join("layer");
    let target = layer.clone();
    // In a thread, for it changes the thread's mask.
    let result = std::thread::spawn(move || unpack(&bytes[..], &target, Owners::Emulated)).join().unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("outside/file")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 1);
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["layer", "outside"], "nothing is made outside of the layer");
    Unpacked { _dir: dir, layer, result }
}

fn good(archive: Archive) -> Unpacked {
    let unpacked = unpack_bytes(archive.end());
    if let Err(error) = &unpacked.result {
        panic!("{error:#}");
    }
    unpacked
}

fn entries(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn unpacks_every_kind() {
    let unpacked = good(
        Archive::default()
            .raw(b'5', "./", "", 0o750, (0, 0), b"")
            .raw(b'5', "d/", "", 0o1777, (0, 0), b"")
            .raw(b'0', "d/suid", "", 0o6755, (0, 0), b"12345")
            .raw(b'0', "d/closed", "", 0o000, (0, 0), b"")
            .raw(0, "old/", "", 0o711, (0, 0), b"")
            .hard("d/hard", "./d/suid")
            .link("d/soft", "/../../nowhere")
            .raw(b'6', "pipe", "", 0o620, (0, 0), b"")
            .raw(b'3', "null", "", 0o666, (0, 0), b"")
            .file("implied/a/b", b"x"),
    );
    assert_eq!(unpacked.mode(""), 0o40750);
    assert_eq!(unpacked.mode("d"), 0o41777);
    assert_eq!(unpacked.mode("d/suid"), 0o106_755);
    assert_eq!(unpacked.mode("d/closed"), 0o100_000);
    assert_eq!(unpacked.mode("old"), 0o40711);
    assert_eq!(unpacked.mode("pipe"), 0o10620);
    assert_eq!(unpacked.mode("implied"), 0o40755);
    assert_eq!(fs::metadata(unpacked.path("d/suid")).unwrap().nlink(), 2);
    assert_eq!(fs::read_link(unpacked.path("d/soft")).unwrap(), Path::new("/../../nowhere"));
    for name in ["d", "d/suid", "d/soft", "pipe", ""] {
        assert_eq!(fs::symlink_metadata(unpacked.path(name)).unwrap().mtime(), 1_000_000, "{name}");
    }
    assert!(!unpacked.path("null").exists());
    assert_eq!(fs::read(unpacked.layer.join("owners")).unwrap(), b"0:0:20666:0:0 null\0");
    assert_eq!(unpacked.result.as_ref().unwrap(), &LayerRecord { size: 6, entries: 10 });
}

#[test]
fn keeps_owners_of_a_single_id() {
    let unpacked = good(
        Archive::default()
            .raw(b'5', "home", "", 0o700, (1000, 1001), b"")
            .raw(b'0', "home/f", "", 0o4710, (7, 8), b"")
            .raw(b'2', "home/l", "f", 0o777, (7, 8), b"")
            .raw(b'0', "root", "", 0o600, (0, 0), b""),
    );
    assert_eq!(unpacked.attribute("home", "user.coracle.owner").as_deref(), Some("1000:1001:700"));
    assert_eq!(unpacked.attribute("home/f", "user.coracle.owner").as_deref(), Some("7:8:4710"));
    assert_eq!(unpacked.attribute("root", "user.coracle.owner"), None);
    assert_eq!(fs::read(unpacked.layer.join("owners")).unwrap(), b"7:8:120777:0:0 home/l\0");
}

#[test]
fn makes_whiteouts_for_lower_layers_only() {
    let unpacked = good(
        Archive::default()
            .file("a/.wh.gone", b"")
            .dir("both")
            .file("both/new", b"x")
            .file(".wh.both", b"")
            .file(".wh.later", b"")
            .dir("later")
            .file("later/new", b"x")
            .file(".wh.file", b"")
            .file("file", b"new")
            .file("kept", b"new")
            .file(".wh.kept", b"")
            .file(".wh.under", b"")
            .file("under/new", b"x")
            .dir("opaque")
            .file("opaque/.wh..wh..opq", b"")
            .file(".wh..wh.plnk/1.2", b"aufs")
            .file(".wh..wh.aufs", b"aufs"),
    );
    assert!(unpacked.is_whiteout("a/gone"));
    for name in ["both", "later", "under", "opaque"] {
        assert_eq!(unpacked.attribute(name, "user.overlay.opaque").as_deref(), Some("y"), "{name}");
    }
    assert_eq!((unpacked.read("file"), unpacked.read("kept")), ("new".into(), "new".into()));
    assert_eq!(unpacked.attribute("a", "user.overlay.opaque"), None);
    assert_eq!(
        entries(&unpacked.path("")),
        ["a", "both", "file", "kept", "later", "opaque", "under"],
        "nothing of aufs"
    );
}

#[test]
fn lets_the_last_of_a_name_win() {
    let unpacked = good(
        Archive::default()
            .file("a", b"first")
            .file("a", b"second")
            .dir("d")
            .file("d/in", b"")
            .file("d", b"file now")
            .link("l", "/nowhere")
            .dir("l")
            .file("l/in", b"y")
            .dir("m")
            .file("m/in", b"z")
            .raw(b'5', "m", "", 0o700, (0, 0), b"")
            .file("h", b"h")
            .hard("h", "h")
            .file("target", b"t")
            .file("name", b"n")
            .hard("name", "target")
            .raw(b'3', "h2", "", 0o666, (0, 0), b"")
            .file("h2", b""),
    );
    assert_eq!(unpacked.read("a"), "second");
    assert_eq!(unpacked.read("d"), "file now");
    assert_eq!(unpacked.read("l/in"), "y");
    assert_eq!(unpacked.read("m/in"), "z");
    assert_eq!(unpacked.mode("m"), 0o40700);
    assert_eq!(unpacked.read("h"), "h");
    assert_eq!(unpacked.read("name"), "t");
    assert!(!unpacked.layer.join("owners").exists());
    assert_eq!(unpacked.result.as_ref().unwrap().size, 6 + 8 + 1 + 1 + 1 + 1);
}

#[test]
fn resolves_links_inside_the_root() {
    let unpacked = good(
        Archive::default()
            .dir("usr/lib")
            .link("lib", "/usr/lib")
            .file("lib/x", b"x")
            .link("up", "../../../../usr")
            .file("up/y", b"y")
            .hard("z", "lib/x")
            .file("/abs", b"abs")
            .file("a/../b", b"b")
            .file("/../../c", b"c"),
    );
    assert_eq!(unpacked.read("usr/lib/x"), "x");
    assert_eq!(unpacked.read("usr/y"), "y");
    assert_eq!(fs::metadata(unpacked.path("z")).unwrap().nlink(), 2);
    assert_eq!(entries(&unpacked.path("")), ["abs", "b", "c", "lib", "up", "usr", "z"]);
}

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
fn takes_no_attribute_that_means_something_to_us() {
    let unpacked = good(
        Archive::default()
            .pax(&[
                ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
                ("SCHILY.xattr.user.overlay.opaque", b"y"),
                ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
                ("SCHILY.xattr.user.coracle.owner", b"0:0:4755"),
                ("SCHILY.xattr.user.mine", b"kept"),
            ])
            .dir("d")
            .pax(&[("SCHILY.xattr.user.binary", b"\x01=\n\x00\xff")])
            .file("f", b""),
    );
    assert_eq!(unpacked.attribute("d", "user.mine").as_deref(), Some("kept"));
    for name in
        ["user.overlay.redirect", "user.overlay.opaque", "trusted.overlay.opaque", "user.coracle.owner"]
    {
        assert_eq!(unpacked.attribute("d", name), None, "{name}");
    }
    assert_eq!(unpacked.attribute("f", "user.binary").unwrap(), "\u{1}=\n\0\u{fffd}");
}

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
fn gives_directories_what_they_are_due() {
    // More directories than are kept open, and names of one through links; each is filled again at the end.
    let mut archive = Archive::default()
        .raw(b'5', "g", "", 0o2755, (0, 0), b"")
        .dir("g/sub")
        .dir("real")
        .link("alias", "real")
        .raw(b'5', "alias/in", "", 0o500, (0, 0), b"");
    for n in 0..150 {
        archive =
            archive.raw(b'5', &format!("d{n}"), "", 0o700 + n % 8, (0, 0), b"").file(&format!("d{n}/f"), b"");
    }
    archive = archive.dir("g/late").file("g/late/f", b"").file("alias/in/f", b"").file("real/f", b"");
    for n in 0..150 {
        archive =
            archive.hard(&format!("d{n}/again"), &format!("d{}/f", 149 - n)).file(&format!("d{n}/f"), b"");
    }
    let unpacked = good(archive);
    for (name, mode) in
        [("g", 0o2755), ("g/sub", 0o755), ("g/late", 0o755), ("real", 0o755), ("real/in", 0o500)]
    {
        assert_eq!(unpacked.mode(name), 0o40000 | mode, "{name}");
        assert_eq!(fs::metadata(unpacked.path(name)).unwrap().mtime(), 1_000_000, "{name}");
    }
    for n in 0..150 {
        let meta = fs::metadata(unpacked.path(&format!("d{n}"))).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o700 + n % 8, 1_000_000), "d{n}");
        assert_eq!(entries(&unpacked.path(&format!("d{n}"))), ["again", "f"]);
    }
}

#[test]
fn links_hard_to_a_symbolic_link() {
    let unpacked = good(
        Archive::default().link("one", "file").hard("two", "one").file("file", b"x").hard("three", "/./one"),
    );
    for name in ["two", "three"] {
        assert_eq!(fs::read_link(unpacked.path(name)).unwrap(), Path::new("file"));
    }
}

#[test]
fn marks_an_opaque_root() {
    let unpacked = good(Archive::default().file("a", b"").file(".wh..wh..opq", b"").file("b", b""));
    assert_eq!(unpacked.attribute("", "user.overlay.opaque").as_deref(), Some("y"));
    assert_eq!(entries(&unpacked.path("")), ["a", "b"]);
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
