//! A layer as a tar in memory, with everything that real and hostile layers hold.

use std::process::Command;
use std::sync::OnceLock;

use tar::{EntryType, Header};

/// Who owns an entry, and what else its header says.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

impl Meta {
    pub(crate) fn mode(mode: u32) -> Self {
        Self { mode, owner: (0, 0), xattrs: Vec::new() }
    }

    pub(crate) fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    pub(crate) fn xattr(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.xattrs.push((name.to_owned(), value.into()));
        self
    }
}

/// A layer that is being written: its tar so far, without the end marker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    bytes: Vec<u8>,
}

impl Layer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns a layer with busybox and what every root file system has.
    pub(crate) fn base() -> Self {
        static BASE: OnceLock<Layer> = OnceLock::new();
        BASE.get_or_init(base).clone()
    }

    /// Adds a regular file of root's.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with(path, content, &Meta::mode(0o644))
    }

    /// Adds a program.
    pub(crate) fn program(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.file_with(path, content, &Meta::mode(0o755))
    }

    /// Adds this program itself as `/probe`.
    pub(crate) fn probe(self) -> Self {
        self.program("/probe", std::fs::read(super::sandbox::programs().join("probe")).unwrap())
    }

    pub(crate) fn file_with(self, path: &str, content: impl AsRef<[u8]>, meta: &Meta) -> Self {
        self.entry(EntryType::Regular, path, "", content.as_ref(), meta)
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.dir_with(path, &Meta::mode(0o755))
    }

    pub(crate) fn dir_with(self, path: &str, meta: &Meta) -> Self {
        self.entry(EntryType::Directory, path, "", &[], meta)
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, &[], &Meta::mode(0o777))
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target.trim_start_matches('/'), &[], &Meta::mode(0o644))
    }

    pub(crate) fn fifo(self, path: &str) -> Self {
        self.entry(EntryType::Fifo, path, "", &[], &Meta::mode(0o644))
    }

    pub(crate) fn device(self, path: &str) -> Self {
        self.entry(EntryType::Char, path, "", &[], &Meta::mode(0o666))
    }

    /// Removes what lower layers have at `path`.
    pub(crate) fn whiteout(self, path: &str) -> Self {
        let (dir, name) = path.rsplit_once('/').unwrap();
        self.file(&format!("{dir}/.wh.{name}"), "")
    }

    /// Hides what lower layers have in the directory `path`.
    pub(crate) fn opaque(self, path: &str) -> Self {
        self.file(&format!("{path}/.wh..wh..opq"), "")
    }

    /// Adds an entry of any kind. The names go in as they are, `..` and leading slashes included, except that
    /// one leading slash is dropped, as `tar` does.
    pub(crate) fn entry(self, kind: EntryType, path: &str, link: &str, content: &[u8], meta: &Meta) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        self.raw(kind, path.as_bytes(), link.as_bytes(), content, meta)
    }

    /// Adds an entry with exactly these names.
    pub(crate) fn raw(
        mut self,
        kind: EntryType,
        path: &[u8],
        link: &[u8],
        content: &[u8],
        meta: &Meta,
    ) -> Self {
        let mut pax = Vec::new();
        if path.len() > 100 {
            pax_record(&mut pax, "path", path);
        }
        if link.len() > 100 {
            pax_record(&mut pax, "linkpath", link);
        }
        for (name, value) in &meta.xattrs {
            pax_record(&mut pax, &format!("SCHILY.xattr.{name}"), value);
        }
        if !pax.is_empty() {
            let meta = Meta::mode(0o644);
            self.push(&header(EntryType::XHeader, b"pax", b"", pax.len() as u64, &meta), &pax);
        }
        let cut = |name: &[u8]| name[..name.len().min(100)].to_vec();
        let header = header(kind, &cut(path), &cut(link), content.len() as u64, meta);
        self.push(&header, content);
        self
    }

    /// Adds a header that promises `size` bytes, and no content: what follows is taken for it.
    pub(crate) fn lying_header(mut self, path: &str, size: u64) -> Self {
        let header = header(EntryType::Regular, path.as_bytes(), b"", size, &Meta::mode(0o644));
        self.bytes.extend_from_slice(header.as_bytes());
        self
    }

    fn push(&mut self, header: &Header, content: &[u8]) {
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// Returns the finished tar.
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    /// Returns the tar as a writer that died would leave it.
    pub(crate) fn unfinished(&self) -> Vec<u8> {
        self.bytes.clone()
    }
}

fn header(kind: EntryType, path: &[u8], link: &[u8], size: u64, meta: &Meta) -> Header {
    let mut header = Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..path.len()].copy_from_slice(path);
    old.linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_mode(meta.mode);
    header.set_uid(meta.owner.0);
    header.set_gid(meta.owner.1);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    if kind == EntryType::Char {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    }
    header.set_cksum();
    header
}

/// Appends one `length key=value` record; the length counts its own digits.
fn pax_record(pax: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    pax.extend_from_slice(format!("{length} {key}=").as_bytes());
    pax.extend_from_slice(value);
    pax.push(b'\n');
}

fn base() -> Layer {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed: run .ci/setup");
    let listed = Command::new("/bin/busybox").arg("--list").output().unwrap();
    let mut layer = Layer::new()
        .dir("/bin")
        .dir("/etc")
        .dir("/dev")
        .dir("/proc")
        .dir("/sys")
        .dir("/root")
        .dir_with("/tmp", &Meta::mode(0o1777))
        .file(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\n\
             app:x:1000:1000:app:/home/app:/bin/sh\n\
             nobody:x:65534:65534:nobody:/:/bin/false\n",
        )
        .file("/etc/group", "root:x:0:\napp:x:1000:\nextra:x:2000:app\nnogroup:x:65534:\n")
        .program("/bin/busybox", &busybox);
    for applet in String::from_utf8(listed.stdout).unwrap().lines().filter(|name| *name != "busybox") {
        layer = layer.symlink(&format!("/bin/{applet}"), "busybox");
    }
    layer
}
