//! Archives, ordinary and hostile, and what must come of them.

mod chance;
mod hostile;
mod writers;

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
