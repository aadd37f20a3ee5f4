//! What the cache of builds holds, and its removal: what was not used for the longest goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};

use super::solve::measure;
use crate::oci::Digest;
use crate::store::{self, Lock, Mode, Store, sweep};

/// One thing in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub id: String,
    /// What it is, in BuildKit's words.
    pub kind: &'static str,
    /// What made it.
    pub description: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// When it was last used.
    pub used: i64,
    /// How often it was used, if that is counted.
    pub uses: u64,
    /// Whether an image has it, too: then its removal frees nothing.
    pub shared: bool,
    /// Whether a build uses it now.
    pub in_use: bool,
    what: What,
}

/// Where a thing of the cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// Records that have the same layer, by their keys.
    Records(Vec<Digest>),
    /// A directory with a file `lock` in it.
    Directory(PathBuf),
}

/// Which entries are to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Those that images have, too.
    pub all: bool,
    /// Only those last used before this, in seconds since 1970.
    pub until: Option<i64>,
    /// No more than what is over so many bytes.
    pub keep: Option<u64>,
}

/// Lists the cache. The process is in the ancestor user namespace.
pub fn list(store: &Store) -> Result<Vec<Entry>> {
    let held: BTreeSet<Digest> = store.images()?.into_iter().flat_map(|image| image.layers).collect();
    let mut layers: BTreeMap<Digest, Entry> = BTreeMap::new();
    for (key, record) in store.cache_records()? {
        let entry = layers.entry(record.layer).or_insert_with(|| Entry {
            id: record.layer.hex()[..25].to_owned(),
            kind: "regular",
            description: record.description.clone(),
            size: record.size,
            created: record.created,
            used: record.used,
            uses: 0,
            shared: held.contains(&record.layer),
            in_use: false,
            what: What::Records(Vec::new()),
        });
        entry.used = entry.used.max(record.used);
        entry.uses = entry.uses.max(record.uses);
        if let What::Records(keys) = &mut entry.what {
            keys.push(key);
        }
    }
    let mut entries: Vec<Entry> = layers.into_values().collect();
    for (below, kind, depth) in
        [("mounts", "exec.cachemount", 3), ("web", "source.http", 1), ("git", "source.git.checkout", 1)]
    {
        for dir in directories(&store.cache().join(below), depth) {
            entries.extend(directory(&dir, kind));
        }
    }
    entries.sort_by(|one, other| other.used.cmp(&one.used).then_with(|| one.id.cmp(&other.id)));
    Ok(entries)
}

/// Returns the directories so many levels below `dir`.
fn directories(dir: &Path, depth: u32) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    for _ in 0..depth {
        let below = |dir: PathBuf| {
            fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
        };
        found = found.into_iter().flat_map(below).filter(|path| path.is_dir()).collect();
    }
    found
}

fn directory(dir: &Path, kind: &'static str) -> Option<Entry> {
    let meta = fs::metadata(dir).ok()?;
    let used = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let used = i64::try_from(used).unwrap_or(i64::MAX);
    let name = fs::read_to_string(dir.join("name")).unwrap_or_default();
    let lock = dir.join("lock");
    let in_use = lock.exists() && !matches!(Lock::try_take(&lock, Mode::Exclusive), Ok(Some(_)));
    Some(Entry {
        id: Digest::of(dir.as_os_str().as_encoded_bytes()).hex()[..25].to_owned(),
        kind,
        description: if name.is_empty() { kind.to_owned() } else { format!("cached mount {name}") },
        size: measure(dir).map_or(0, |(size, _)| size),
        created: used,
        used,
        uses: 1,
        shared: false,
        in_use,
        what: What::Directory(dir.to_owned()),
    })
}

/// Removes what fits, and returns it. What a build uses stays.
pub fn prune(store: &Store, wish: Wish) -> Result<Vec<Entry>> {
    let entries = list(store)?;
    let mut total: u64 = entries.iter().filter(|entry| !entry.shared).map(|entry| entry.size).sum();
    let mut removed = Vec::new();
    // From the end: the longest not used.
    for entry in entries.into_iter().rev() {
        if wish.keep.is_some_and(|keep| total <= keep) {
            break;
        }
        let fits = !entry.in_use
            && (wish.all || !entry.shared)
            && wish.until.is_none_or(|until| entry.used <= until);
        if !fits || !remove(store, &entry)? {
            continue;
        }
        if !entry.shared {
            total -= entry.size;
        }
        removed.push(entry);
    }
    if wish.all && wish.until.is_none() && wish.keep.is_none() {
        // What is remembered of contexts is found out again.
        store::remove_tree(&store.cache().join("contexts")).context("remove what is known of contexts")?;
    }
    if !removed.is_empty() {
        sweep(store)?;
    }
    Ok(removed)
}

fn remove(store: &Store, entry: &Entry) -> Result<bool> {
    match &entry.what {
        What::Records(keys) => {
            for key in keys {
                store.remove_cache_record(key)?;
            }
            Ok(true)
        }
        What::Directory(dir) => {
            let Ok(Some(_lock)) = Lock::try_take(&dir.join("lock"), Mode::Exclusive) else {
                return Ok(false);
            };
            // The lock's file goes last, with its directory; who waits for it makes both anew.
            for below in fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?.flatten() {
                if below.file_name() != "lock" {
                    store::remove_tree(&below.path()).context("remove a directory of the cache")?;
                }
            }
            store::remove_tree(dir).context("remove a directory of the cache")?;
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CacheRecord, MapKey};

    #[test]
    fn removes_what_was_not_used_for_the_longest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data"), &dir.path().join("run")).unwrap();
        let layers = store.layers(&MapKey::of("one"));
        for (name, used) in [("old", 10), ("middle", 20), ("new", 30)] {
            let layer = Digest::of(name.as_bytes());
            fs::create_dir_all(layers.tree(&layer)).unwrap();
            for key in ["fast", "slow"] {
                let record = CacheRecord {
                    layer,
                    size: 100,
                    archive: 1024,
                    description: name.to_owned(),
                    created: 1,
                    used,
                    uses: 2,
                    boot: None,
                };
                store.put_cache_record(&Digest::of(format!("{name} {key}").as_bytes()), &record).unwrap();
            }
        }
        let mount = store.cache_dir("mounts/one/id/0").unwrap();
        fs::create_dir(mount.join("data")).unwrap();
        fs::write(mount.join("data/file"), "12345").unwrap();
        let held = Lock::take(&mount.join("lock"), Mode::Shared).unwrap();
        let named = |entries: &[Entry]| entries.iter().map(|it| it.description.clone()).collect::<Vec<_>>();
        let all = list(&store).unwrap();
        assert_eq!(named(&all), ["exec.cachemount", "new", "middle", "old"]);
        assert!(all[0].in_use && all[0].size == 5 && all[1].uses == 2);
        let removed = prune(&store, Wish { keep: Some(210), ..Wish::default() }).unwrap();
        assert_eq!(named(&removed), ["old"]);
        assert!(!layers.has(&Digest::of(b"old")) && layers.has(&Digest::of(b"middle")));
        let removed = prune(&store, Wish { until: Some(25), ..Wish::default() }).unwrap();
        assert_eq!(named(&removed), ["middle"]);
        drop(held);
        let removed = prune(&store, Wish::default()).unwrap();
        assert_eq!(removed.len(), 2);
        assert!(list(&store).unwrap().is_empty() && !mount.exists());
    }
}
