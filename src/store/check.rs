//! The store's records, read by somebody who expects the worst.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::record::replace;
use super::{ImageRecord, Lock, Name, RefRecord, Selector, Store, read_json, remove_trees};
use crate::oci::Digest;

/// The content of the file `oci-layout`.
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// All records of images and names, and what is in their place and is none.
#[derive(Debug, Default)]
pub struct Records {
    /// The images.
    pub images: Vec<ImageRecord>,
    /// The names with what they mean.
    pub refs: Vec<(Name, RefRecord)>,
    /// Records that cannot be read: what they are of, where they lie, and what is wrong.
    pub broken: Vec<(Broken, PathBuf, String)>,
    /// What killed commands have left half-written.
    pub leftovers: Vec<PathBuf>,
}

/// What a damaged record is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The image with this id.
    Image(Digest),
    /// A name.
    Ref(Name),
}

/// What is wrong with a file that can be written anew from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Derived {
    /// Nothing.
    Current,
    /// It tells what was true before the last change, whose command was killed.
    Stale,
    /// It is missing or damaged.
    Broken,
}

impl Store {
    /// Loads every record, past those that cannot be read.
    pub fn records(&self) -> Result<Records> {
        let mut records = Records::default();
        for path in entries(&self.root().join("images"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.contains(".new-") {
                records.leftovers.push(path);
                continue;
            }
            let Some(id) = name.strip_suffix(".json").and_then(|hex| Digest::from_hex(hex).ok()) else {
                continue;
            };
            match read_json::<ImageRecord>(&path) {
                Ok(Some(record)) if record.id == id => records.images.push(record),
                Ok(Some(_)) => {
                    let problem = "is the record of another image".to_owned();
                    records.broken.push((Broken::Image(id), path, problem));
                }
                Ok(None) => {}
                Err(error) => records.broken.push((Broken::Image(id), path, format!("{error:#}"))),
            }
        }
        self.visit_refs(&mut |name, path| {
            match name.map(|name| (read_json::<RefRecord>(path), name)) {
                None => records.leftovers.push(path.to_owned()),
                Some((Ok(Some(record)), name)) => records.refs.push((name, record)),
                Some((Ok(None), _)) => {}
                Some((Err(error), name)) => {
                    records.broken.push((Broken::Ref(name), path.to_owned(), format!("{error:#}")));
                }
            }
            Ok(())
        })?;
        records.refs.sort_by(|a, b| a.0.cmp(&b.0));
        let temporary = |path: &PathBuf| path.to_string_lossy().contains(".json.new-");
        records.leftovers.extend(entries(self.root())?.into_iter().filter(temporary));
        Ok(records)
    }

    /// Removes a file that [`Store::records`] has found: a damaged record, or a half-written one.
    pub fn remove_record(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).with_context(|| format!("remove {}", path.display()))
    }

    /// Compares `index.json` with the records.
    pub fn index_state(&self) -> Result<Derived> {
        let _lock = self.lock("index", super::Mode::Exclusive)?;
        let found = fs::read(self.root().join("index.json")).unwrap_or_default();
        let wanted: serde_json::Value = serde_json::from_slice(&self.index()?)?;
        Ok(match serde_json::from_slice::<serde_json::Value>(&found) {
            Ok(found) if found == wanted => Derived::Current,
            Ok(found) if found.get("manifests").is_some_and(serde_json::Value::is_array) => Derived::Stale,
            _ => Derived::Broken,
        })
    }

    /// Tells whether the file `oci-layout` is as it must be.
    pub fn layout_state(&self) -> Derived {
        match fs::read(self.root().join("oci-layout")) {
            Ok(bytes) if bytes == LAYOUT => Derived::Current,
            _ => Derived::Broken,
        }
    }

    /// Writes the file `oci-layout` anew.
    pub fn repair_layout(&self) -> Result<()> {
        replace(&self.root().join("oci-layout"), LAYOUT, true)
    }

    /// Returns the digests and sizes of all blobs of this store.
    pub fn blobs(&self) -> Result<Vec<(Digest, u64)>> {
        let mut found = Vec::new();
        for path in entries(&self.root().join("blobs/sha256"))? {
            let digest = path.file_name().and_then(|name| Digest::from_hex(name.to_str()?).ok());
            if let (Some(digest), Ok(meta)) = (digest, fs::metadata(&path)) {
                found.push((digest, meta.len()));
            }
        }
        Ok(found)
    }

    /// Puts a staged file whose digest is verified in the place of a damaged blob.
    pub fn replace_blob(&self, staged: &Path, digest: &Digest) -> Result<()> {
        let target = self.blob_path(digest);
        fs::File::open(staged)
            .and_then(|file| file.sync_data())
            .and_then(|()| super::borrow::lend(staged, target.parent().unwrap_or(&target)))
            .and_then(|()| fs::rename(staged, &target))
            .with_context(|| format!("replace blob {digest}"))
    }

    /// Removes a blob that no image has, and that is damaged.
    pub fn remove_blob(&self, digest: &Digest) -> Result<()> {
        fs::remove_file(self.blob_path(digest)).with_context(|| format!("remove blob {digest}"))
    }

    /// Returns the staging directories that nobody is at work in.
    pub fn dead_staging(&self) -> Result<Vec<PathBuf>> {
        let dirs = entries(&self.staging())?.into_iter();
        Ok(dirs.filter(|dir| !Lock::is_held(&dir.join("lock")).unwrap_or(false)).collect())
    }

    /// Removes what killed commands have left: half-written records, staging, claims, and names. Returns at once if
    /// there is nothing.
    pub fn remove_leftovers(&self, records: &[PathBuf]) -> Result<()> {
        {
            // Those who write records hold it too, so what is seen half-written now is nobody's.
            let _gc = self.lock("gc", super::Mode::Exclusive)?;
            for path in records.iter().filter(|path| path.exists()) {
                self.remove_record(path)?;
            }
        }
        super::sweep_staging(self)?;
        self.sweep_claims();
        self.sweep_names()?;
        remove_trees(self.dead_staging()?);
        Ok(())
    }
}

impl Selector {
    /// Reads the name of a reference's file; `None` if it is none.
    pub(super) fn of_leaf(leaf: &str) -> Option<Self> {
        match (leaf.strip_prefix(':'), leaf.strip_prefix('@')) {
            (Some(tag), _) => Some(Self::Tag(tag.to_owned())),
            (_, Some(hex)) => Digest::from_hex(hex).ok().map(Self::Digest),
            _ => None,
        }
    }
}

/// Returns what is in a directory; nothing if it is not there.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(dir) {
        Ok(read) => read,
        Err(error) if super::record::absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
    };
    Ok(read.flatten().map(|entry| entry.path()).collect())
}
