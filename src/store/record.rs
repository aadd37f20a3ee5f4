//! Small JSON files: one fact each, whole or absent.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::staged::random_name;

/// Loads the record at `path`; `None` if there is none.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).with_context(|| format!("parse {}", path.display()))
        }
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Tells whether an error means that the file, or a directory on its way, is not there.
pub(super) fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Tells whether an error means that there is no room, on the disk or for this user.
pub(super) fn is_full(error: &anyhow::Error) -> bool {
    let kind = error.root_cause().downcast_ref().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// Writes the record at `path` in one visible step, in place of an older one. Not synced.
pub fn replace_json<T: Serialize>(path: &Path, record: &T) -> Result<()> {
    let bytes = serde_json::to_vec(record).with_context(|| format!("serialise {}", path.display()))?;
    replace(path, &bytes, false)
}

/// Writes the record at `path` as [`replace_json`] does, and its content to the disk before its name: after
/// a power cut the new record is there or the old one, and never an empty file.
pub fn replace_json_synced<T: Serialize>(path: &Path, record: &T) -> Result<()> {
    let bytes = serde_json::to_vec(record).with_context(|| format!("serialise {}", path.display()))?;
    replace(path, &bytes, true)
}

/// Writes `bytes` at `path` in one visible step.
pub(super) fn replace(path: &Path, bytes: &[u8], sync: bool) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", random_name()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        super::borrow::lend(&temporary, path.parent().unwrap_or(path))?;
        file.write_all(bytes)?;
        if sync {
            file.sync_data()?;
        }
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(|| format!("write {}", path.display()))
}

/// Writes a record that must not exist yet, into a directory that is not published yet.
pub fn write_json_new<T: Serialize>(path: &Path, record: &T, sync: bool) -> Result<()> {
    let bytes = serde_json::to_vec(record).with_context(|| format!("serialise {}", path.display()))?;
    (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&bytes)?;
        if sync { file.sync_data() } else { Ok(()) }
    })()
    .with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), None);
        assert_eq!(read_json::<Vec<u8>>(&path.join("below")).unwrap(), None);
        replace_json(&path, &vec![1u8]).unwrap();
        replace_json(&path, &vec![2u8]).unwrap();
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), Some(vec![2]));
        assert!(write_json_new(&path, &vec![3u8], false).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
