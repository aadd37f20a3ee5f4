//! What names mean: one file a tag, one file a digest pulled from a repository.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::record::absent;
use super::{Store, read_json, replace_json_synced};
use crate::oci::Digest;

/// What comes after a repository in a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// `:tag`
    Tag(String),
    /// `@sha256:…`
    Digest(Digest),
}

/// A full name of an image in the store: repository with its domain, and a tag or a digest.
///
/// The store trusts the parts: they come from a parsed reference (`docker.io/library/nginx`, `latest`),
/// whose path components never are `.`, `..` or empty and never start with `:` or `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Domain and path: `docker.io/library/nginx`.
    pub repository: String,
    /// Tag or digest.
    pub selector: Selector,
}

/// The content of a reference's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefRecord {
    /// The image the name stands for.
    pub id: Digest,
    /// The digest that the registry knows it by: of the index if there is one, else of the manifest.
    pub target: Digest,
}

impl Name {
    /// Returns the tag, if the name has one.
    pub fn tag(&self) -> Option<&str> {
        match &self.selector {
            Selector::Tag(tag) => Some(tag),
            Selector::Digest(_) => None,
        }
    }

    /// Tags and digests hang below their repository as files whose first character no path component
    /// can have, so that `a/b` as a repository and `a/b/c` as another do not clash.
    fn path(&self, refs: &Path) -> PathBuf {
        let leaf = match &self.selector {
            Selector::Tag(tag) => format!(":{tag}"),
            Selector::Digest(digest) => format!("@{}", digest.hex()),
        };
        refs.join(&self.repository).join(leaf)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            Selector::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Selector::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

impl Store {
    fn refs_dir(&self) -> PathBuf {
        self.root().join("refs")
    }

    /// Loads what `name` means; `None` if it means nothing here.
    pub fn get_ref(&self, name: &Name) -> Result<Option<RefRecord>> {
        read_json(&name.path(&self.refs_dir()))
    }

    /// Returns when `name` got its meaning, if it has one.
    pub fn ref_time(&self, name: &Name) -> Option<std::time::SystemTime> {
        fs::metadata(name.path(&self.refs_dir())).and_then(|meta| meta.modified()).ok()
    }

    /// Makes `name` mean `record`, whatever it meant before. Call [`Store::rebuild_index`] after the last
    /// change of a command.
    pub fn put_ref(&self, name: &Name, record: &RefRecord) -> Result<()> {
        let path = name.path(&self.refs_dir());
        let parent = path.parent().unwrap_or(&path);
        // A concurrent removal of the last other name here may take the directory away between the two.
        for attempt in 0.. {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
            let refs = self.refs_dir();
            for dir in parent.ancestors().take_while(|dir| *dir != refs) {
                // One that is being removed meanwhile is made again below.
                let _ = super::borrow::open_like(dir, &refs);
            }
            match replace_json_synced(&path, record) {
                Err(error) if attempt < 8 && error.root_cause().downcast_ref().is_some_and(absent) => {}
                other => return other,
            }
        }
        Ok(())
    }

    /// Makes `name` mean nothing. Returns `false` if it meant nothing already.
    pub fn remove_ref(&self, name: &Name) -> Result<bool> {
        let refs = self.refs_dir();
        let path = name.path(&refs);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if absent(&error) => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("remove name {name}")),
        }
        // Leave no empty directories behind; one that is not empty stops this.
        for dir in path.ancestors().skip(1).take_while(|dir| *dir != refs) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(true)
    }

    /// Loads all names with what they mean, sorted.
    pub fn refs(&self) -> Result<Vec<(Name, RefRecord)>> {
        let mut found = Vec::new();
        self.visit_refs(&mut |name, path| {
            if let Some(name) = name
                && let Some(record) = read_json(path)?
            {
                found.push((name, record));
            }
            Ok(())
        })?;
        found.sort_by(|a: &(Name, RefRecord), b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// Calls `visit` with every file among the names, in no order, and with the name that it is of; without one
    /// for a file that a killed command has left half-written.
    pub(super) fn visit_refs(&self, visit: Visit<'_>) -> Result<()> {
        walk(&self.refs_dir(), "", visit)
    }
}

/// What is told of a file among the names.
pub(super) type Visit<'a> = &'a mut dyn FnMut(Option<Name>, &Path) -> Result<()>;

fn walk(dir: &Path, repository: &str, visit: Visit<'_>) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if absent(&error) => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", dir.display()))?;
        let Ok(leaf) = entry.file_name().into_string() else { continue };
        if leaf.contains(".new-") {
            visit(None, &entry.path())?;
        } else if let Some(selector) = Selector::of_leaf(&leaf) {
            visit(Some(Name { repository: repository.to_owned(), selector }), &entry.path())?;
        } else if !leaf.starts_with('@') {
            let below = if repository.is_empty() { leaf } else { format!("{repository}/{leaf}") };
            walk(&entry.path(), &below, visit)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    fn name(repository: &str, tag: &str) -> Name {
        Name { repository: repository.to_owned(), selector: Selector::Tag(tag.to_owned()) }
    }

    #[test]
    fn keeps_names_apart_and_removes_empty_directories() {
        let (_dir, store) = scratch();
        let record = RefRecord { id: Digest::of(b"a"), target: Digest::of(b"b") };
        let long = "x".repeat(128);
        for (repository, tag) in
            [("docker.io/library/a", "latest"), ("docker.io/library/a/b", &long), ("localhost:5000/a", "1")]
        {
            store.put_ref(&name(repository, tag), &record).unwrap();
        }
        let by_digest =
            Name { repository: "docker.io/library/a".into(), selector: Selector::Digest(Digest::of(b"b")) };
        store.put_ref(&by_digest, &record).unwrap();
        assert_eq!(store.refs().unwrap().len(), 4);
        assert_eq!(store.get_ref(&by_digest).unwrap(), Some(record));
        assert!(store.remove_ref(&name("localhost:5000/a", "1")).unwrap());
        assert!(!store.remove_ref(&name("localhost:5000/a", "1")).unwrap());
        assert!(!store.root().join("refs/localhost:5000").exists());
        assert_eq!(store.refs().unwrap().len(), 3);
    }
}
