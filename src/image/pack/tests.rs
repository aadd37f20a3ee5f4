//! Trees packed, unpacked and packed again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::image::unpack::{Kind, Members, unpack};

/// Unpacks an archive as a user with a single id does.
fn unpacked(bytes: &[u8], dir: &Path) -> PathBuf {
    let (bytes, target) = (bytes.to_vec(), dir.to_owned());
    // In a thread, for it changes the thread's mask.
    std::thread::spawn(move || unpack(&bytes[..], &target, Owners::Emulated)).join().unwrap().unwrap();
    dir.join("tree")
}

fn packed(tree: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = layer(&Tree::open(tree).unwrap(), Owners::Emulated, &mut bytes).unwrap();
    assert_eq!((packed.diff_id, packed.size), (Digest::of(&bytes), bytes.len() as u64));
    bytes
}

fn names(bytes: &[u8]) -> Vec<String> {
    let mut members = Members::new(bytes);
    let mut names = Vec::new();
    while let Some(member) = members.next().unwrap() {
        names.push(String::from_utf8(member.path).unwrap());
    }
    names
}

/// An archive with something of everything, in the form that packing gives it.
fn everything() -> Vec<u8> {
    let mut out = Output::new(Vec::new());
    let mut add = |header: Header<'_>, content: &[u8]| {
        out.header(&Header { size: content.len() as u64, ..header }).unwrap();
        out.content(content).unwrap();
    };
    let long = [b"usr/".as_slice(), &b"n".repeat(200)].concat();
    let attributes = [(b"user.color".to_vec(), b"green\n".to_vec()), (b"user.empty".to_vec(), Vec::new())];
    let base = Header { mode: 0o644, modified: (1_600_000_000, 0), ..Header::default() };
    let of = |path, kind| Header { path, kind, ..base.clone() };
    add(Header { mode: 0o700, ..of(b"./", b'5') }, b"");
    add(Header { mode: 0o755, ..of(b"dev/", b'5') }, b"");
    add(Header { mode: 0o666, device: (1, 3), modified: (0, 0), ..of(b"dev/null", b'3') }, b"");
    add(Header { uid: 33, gid: 44, mode: 0o1777, attributes: &attributes, ..of(b"etc/", b'5') }, b"");
    add(Header { uid: 1000, gid: 65534, attributes: &attributes, ..of(b"etc/a", b'0') }, b"content");
    add(Header { link: b"etc/a", uid: 1000, gid: 65534, ..of(b"etc/b", b'1') }, b"");
    add(Header { mode: 0, modified: (0, 0), ..of(b"etc/.wh.gone", b'0') }, b"");
    add(Header { link: b"../x", mode: 0o777, uid: 7, modified: (9, 120), ..of(b"etc/l", b'2') }, b"");
    add(Header { mode: 0o4755, modified: (5, 999_999_999), ..of(b"etc/s", b'0') }, &[7; 1500]);
    add(Header { mode: 0o755, ..of(b"usr/", b'5') }, b"");
    add(Header { mode: 0, modified: (0, 0), ..of(b"usr/.wh..wh..opq", b'0') }, b"");
    add(Header { ..of(&long, b'0') }, b"");
    add(Header { mode: 0o600, gid: 5, ..of(b"usr/pipe", b'6') }, b"");
    out.finish().unwrap()
}

#[test]
fn the_way_there_and_back_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let archive = everything();
    let tree = unpacked(&archive, &dir.path().join("one"));
    let again = packed(&tree);
    assert_eq!(names(&again), names(&archive));
    let (mut left, mut right) = (Members::new(&archive[..]), Members::new(&again[..]));
    while let Some(member) = left.next().unwrap() {
        assert_eq!(Some(member), right.next().unwrap());
    }
    assert!(again == archive, "the bytes are the same");
    assert_eq!(Digest::of(&packed(&unpacked(&again, &dir.path().join("two")))), Digest::of(&archive));
    assert_eq!(fs::metadata(tree.join("etc/a")).unwrap().nlink(), 2);
}

#[test]
fn says_the_same_whatever_the_order_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, files: &[&str]| {
        let tree = dir.path().join(name).join("tree");
        fs::create_dir_all(&tree).unwrap();
        for file in files {
            let path = tree.join(file);
            fs::write(&path, file).unwrap();
            fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).unwrap();
        packed(&tree)
    };
    let one = make("one", &["a", "b", "c.d", "c"]);
    assert!(one == make("two", &["c", "c.d", "b", "a"]));
    assert_eq!(names(&one), ["a", "b", "c", "c.d"], "an ordinary root is not listed");
}

#[test]
fn shows_what_an_overlay_shows() {
    let dir = tempfile::tempdir().unwrap();
    let layer = |name: &str, archive: &[(&str, u8, &str)]| {
        let mut out = Output::new(Vec::new());
        for (path, kind, content) in archive {
            let mode = if *kind == b'5' { 0o755 } else { 0o644 };
            let size = content.len() as u64;
            let path = path.as_bytes();
            let header = Header { path, kind: *kind, mode, size, ..Header::default() };
            out.header(&header).unwrap();
            out.content(content.as_bytes()).unwrap();
        }
        let archive = out.finish().unwrap();
        Tree::open(&unpacked(&archive, &dir.path().join(name))).unwrap()
    };
    let bottom = layer(
        "bottom",
        &[
            ("dir/", b'5', ""),
            ("dir/hidden", b'0', "x"),
            ("dir/kept", b'0', "bottom"),
            ("dir/null", b'3', ""),
            ("file", b'0', "file"),
            ("opaque/", b'5', ""),
            ("opaque/old", b'0', "x"),
            ("replaced/", b'5', ""),
            ("replaced/inner", b'0', "x"),
            ("twice/", b'5', ""),
            ("twice/old", b'0', "x"),
        ],
    );
    let middle = layer(
        "middle",
        &[
            (".wh.twice", b'0', ""),
            ("dir/", b'5', ""),
            ("dir/.wh.hidden", b'0', ""),
            ("opaque/", b'5', ""),
            ("opaque/.wh..wh..opq", b'0', ""),
            ("opaque/new", b'0', "y"),
            ("replaced", b'0', "now a file"),
        ],
    );
    let top = layer(
        "top",
        &[
            ("dir/", b'5', ""),
            ("dir/kept", b'0', "top"),
            ("file", b'0', "changed"),
            ("twice/", b'5', ""),
            ("twice/new", b'0', "z"),
        ],
    );
    let mut bytes = Vec::new();
    merged(&[top, middle, bottom], Owners::Emulated, &mut bytes).unwrap();
    let expected =
        ["dir/", "dir/kept", "dir/null", "file", "opaque/", "opaque/new", "replaced", "twice/", "twice/new"];
    assert_eq!(names(&bytes), expected);
    let tree = unpacked(&bytes, &dir.path().join("merged"));
    assert_eq!(fs::read_to_string(tree.join("dir/kept")).unwrap(), "top");
    assert_eq!(fs::read_to_string(tree.join("file")).unwrap(), "changed");
}

#[test]
fn follows_no_link_and_waits_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/secret"), "secret").unwrap();
    symlink("../outside", tree.join("link")).unwrap();
    symlink("/etc/passwd", tree.join("passwd")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(CWD, tree.join("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    let bytes = packed(&tree);
    assert!(names(&bytes).ends_with(&["link".into(), "passwd".into(), "pipe".into()]), "{:?}", names(&bytes));
    let mut members = Members::new(&bytes[..]);
    while let Some(member) = members.next().unwrap() {
        assert_ne!(member.kind, Kind::File);
    }
}

#[test]
fn goes_as_deep_as_a_tree_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut deep = dir.path().join("tree");
    fs::create_dir(&deep).unwrap();
    // More than the usual limit of open files.
    for _ in 0..1500 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    let bytes = packed(&dir.path().join("tree"));
    assert_eq!(names(&bytes).iter().filter(|name| name.starts_with("d/")).count(), 1500);
}
