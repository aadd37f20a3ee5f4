//! Named directories and their lives.
//!
//! `volumes/<name>/` holds `volume.json`, written once, and `_data`, which is what containers mount. A volume is
//! made in staging and renamed, so one that has a name is whole. What is in use is not remembered here: the
//! containers' configurations say it.

mod local;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::store::{Store, Subject, read_json, remove_tree, write_json_new};

pub use local::{Local, local};

/// The file `volume.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// Its name.
    pub name: String,
    /// When it was made: RFC 3339, UTC.
    pub created: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it was made without a name, for one container.
    pub anonymous: bool,
    /// Options of Docker's `local` driver ([`local`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Checks a name as Docker's `local` driver does.
pub fn check_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = name.len() > 1 && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if name.len() == 1 {
        bail!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        );
    }
    if !(first && rest) || name.len() > 255 {
        bail!(
            "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        );
    }
    Ok(())
}

/// Returns the directory of a volume's content.
pub fn data(store: &Store, name: &str) -> PathBuf {
    store.volumes().join(name).join("_data")
}

/// Loads a volume's record; `None` if there is no such volume.
pub fn load(store: &Store, name: &str) -> Result<Option<VolumeRecord>> {
    read_json(&store.volumes().join(name).join("volume.json"))
}

/// Loads the records of all volumes, sorted by name. One that cannot be read, or that vanishes, is left out.
pub fn list(store: &Store) -> Result<Vec<VolumeRecord>> {
    let dir = store.volumes();
    let mut records: Vec<VolumeRecord> = fs::read_dir(&dir)
        .with_context(|| format!("read {}", dir.display()))?
        .flatten()
        .filter_map(|entry| load(store, entry.file_name().to_str()?).ok().flatten())
        .collect();
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}

/// Makes a volume unless it exists. Returns whether it was made.
pub fn ensure(store: &Store, record: &VolumeRecord) -> Result<bool> {
    check_name(&record.name)?;
    let target = store.volumes().join(&record.name);
    if target.exists() {
        return Ok(false);
    }
    (|| {
        let local = local(&record.options)?;
        let staged = store.stage()?;
        let dir = staged.path("volume");
        fs::DirBuilder::new().mode(0o711).create(&dir)?;
        match local {
            // Of one in memory it is the place where that would be, and stays empty.
            Local::Own | Local::Memory { .. } => {
                fs::DirBuilder::new().mode(0o755).create(dir.join("_data"))?;
            }
            Local::Directory { path, .. } => symlink(path, dir.join("_data"))?,
        }
        write_json_new(&dir.join("volume.json"), record, !record.anonymous)?;
        let made = staged.publish("volume", &target)?;
        if made {
            note(store, "create", &record.name);
        }
        anyhow::Ok(made)
    })()
    .with_context(|| format!("create {}", record.name))
}

/// Removes a volume with its content. Run it in the ancestor user namespace: the content may belong to mapped
/// ids. The caller has seen that nothing uses it.
pub fn remove(store: &Store, name: &str) -> Result<()> {
    check_name(name)?;
    let path = store.volumes().join(name);
    let staged = store.stage()?;
    match fs::rename(&path, staged.path("volume")) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("remove volume {name}")),
    }
    note(store, "destroy", name);
    remove_tree(&staged.path("volume")).with_context(|| format!("remove volume {name}"))
}

fn note(store: &Store, action: &str, name: &str) {
    let attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
    store.note(Subject::Volume, action, name, attributes);
}

/// Tells whether a volume has no content yet.
pub fn is_empty(data: &Path) -> bool {
    fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_names() {
        assert!(check_name("db-data").is_ok());
        for bad in ["", "a", "../x", ".x", "a/b", "-a"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_of_the_host_can_be_a_volume() {
        let options = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data"), &dir.path().join("run")).unwrap();
        let host = dir.path().join("host");
        fs::create_dir(&host).unwrap();
        fs::write(host.join("file"), "kept").unwrap();
        let record = VolumeRecord {
            name: "db".into(),
            created: String::new(),
            labels: BTreeMap::new(),
            anonymous: false,
            options: options(&[("o", "bind"), ("device", host.to_str().unwrap())]),
        };
        assert!(ensure(&store, &record).unwrap());
        assert_eq!(fs::read_to_string(data(&store, "db").join("file")).unwrap(), "kept");
        remove(&store, "db").unwrap();
        assert_eq!(fs::read_to_string(host.join("file")).unwrap(), "kept");
    }

    #[test]
    fn makes_once_and_removes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data"), &dir.path().join("run")).unwrap();
        let record = VolumeRecord {
            name: "db".into(),
            created: String::new(),
            labels: BTreeMap::new(),
            anonymous: false,
            options: BTreeMap::new(),
        };
        assert!(ensure(&store, &record).unwrap());
        assert!(!ensure(&store, &record).unwrap());
        assert!(is_empty(&data(&store, "db")));
        assert_eq!(load(&store, "db").unwrap().as_ref(), Some(&record));
        assert_eq!(list(&store).unwrap(), [record]);
        remove(&store, "db").unwrap();
        assert_eq!(load(&store, "db").unwrap(), None);
    }
}
