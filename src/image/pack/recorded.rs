//! The file `owners` beside a layer's tree: what the tree itself cannot say.
//!
//! Its form is that of [`unpack`](super::super::unpack): `uid:gid:mode:major:minor path`, mode in octal with
//! the bits of the type, each record ended by a NUL.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

use crate::image::unpack::split;

/// What is known about one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// The mode with the bits of the type.
    pub(super) mode: u32,
    pub(super) device: (u32, u32),
}

/// The records of a layer, by directory and name.
#[derive(Debug, Default)]
pub(super) struct Recorded(BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Record>>);

impl Record {
    /// Tells whether it stands for a device node, which is not in the tree.
    pub(super) fn is_device(self) -> bool {
        matches!(self.mode & 0o170_000, 0o020_000 | 0o060_000)
    }
}

impl Recorded {
    /// Loads the records at `path`; there may be none.
    pub(super) fn load(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&bytes).with_context(|| format!("parse {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut all = Self::default();
        for line in bytes.split_inclusive(|byte| *byte == 0) {
            let line = line.strip_suffix(b"\0")?;
            let space = memchr::memchr(b' ', line)?;
            let mut fields = std::str::from_utf8(&line[..space]).ok()?.split(':');
            let mut next = |radix| u32::from_str_radix(fields.next()?, radix).ok();
            let record =
                Record { uid: next(10)?, gid: next(10)?, mode: next(8)?, device: (next(10)?, next(10)?) };
            let (dir, name) = split(&line[space + 1..]);
            all.0.entry(dir.to_vec()).or_default().insert(name.to_vec(), record);
        }
        Some(all)
    }

    /// Returns what is known about `name` in `dir`.
    pub(super) fn find(&self, dir: &[u8], name: &[u8]) -> Option<Record> {
        self.0.get(dir)?.get(name).copied()
    }

    /// Lists the device nodes in `dir`.
    pub(super) fn devices(&self, dir: &[u8]) -> impl Iterator<Item = &[u8]> {
        let names = self.0.get(dir).into_iter().flatten();
        names.filter(|(_, record)| record.is_device()).map(|(name, _)| name.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_unpacking_writes() {
        let text = b"0:5:20666:1:3 dev/null\x000:42:120777:0:0 a b/link\x00";
        let recorded = Recorded::parse(text).unwrap();
        let null = recorded.find(b"dev", b"null").unwrap();
        assert_eq!(null, Record { uid: 0, gid: 5, mode: 0o020_666, device: (1, 3) });
        assert!(null.is_device());
        assert_eq!(recorded.devices(b"dev").collect::<Vec<_>>(), [b"null"]);
        assert_eq!(recorded.find(b"a b", b"link").unwrap().gid, 42);
        assert_eq!(recorded.devices(b"a b").count(), 0);
        assert!(Recorded::parse(b"0:0 x").is_none());
    }
}
