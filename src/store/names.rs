//! Names of containers that stand for nothing.
//!
//! A name is claimed just before its container is published, and given up just after the container has been
//! moved out of sight. A command that is killed between the two leaves the name. Nobody has to wait for a sweep:
//! whoever wants such a name takes it over.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Lock, Mode, Store};

impl Store {
    /// Returns the names of containers whose container is not there and is not being made either.
    pub fn dangling_names(&self) -> Result<Vec<PathBuf>> {
        let dir = self.names();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if super::record::absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
        };
        let paths = entries.flatten().map(|entry| entry.path());
        Ok(paths
            .filter(|path| fs::read_link(path).is_ok_and(|id| self.is_nobody(&id.to_string_lossy())))
            .collect())
    }

    /// Gives up `path`, a name of the container `id`, if there is no such container. Two who do so at once must
    /// not take it from a third who has claimed it in between.
    pub fn release_dangling(&self, path: &std::path::Path, id: &str) -> Result<()> {
        let _lock = self.lock("names", Mode::Exclusive)?;
        if fs::read_link(path).is_ok_and(|now| now.as_os_str() == id) && self.is_nobody(id) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Tells whether there is no container `id` and no living process that makes it. Said of the owner of a name
    /// it stays true: ids do not come again.
    pub fn is_nobody(&self, id: &str) -> bool {
        let exists = || self.containers().join(id).exists();
        // It moves from one place to the other: looked for in this order it is seen.
        !exists() && !self.is_being_made(id) && !exists()
    }

    /// Tells whether a living process has the container `id` in its staging directory.
    fn is_being_made(&self, id: &str) -> bool {
        let Ok(entries) = fs::read_dir(self.staging()) else { return false };
        entries.flatten().any(|entry| {
            entry.path().join(id).exists() && Lock::is_held(&entry.path().join("lock")).unwrap_or(false)
        })
    }

    /// Gives up the names that killed commands have left.
    pub(super) fn sweep_names(&self) -> Result<()> {
        for path in self.dangling_names()? {
            if let Ok(id) = fs::read_link(&path) {
                self.release_dangling(&path, &id.to_string_lossy())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn names_stay_with_what_is_or_comes_to_be() {
        let (_dir, store) = scratch();
        let claim = |name: &str, id: &str| symlink(id, store.names().join(name)).unwrap();
        fs::create_dir(store.containers().join("made")).unwrap();
        claim("is", "made");
        let staged = store.stage().unwrap();
        fs::create_dir(staged.path("coming")).unwrap();
        claim("comes", "coming");
        let dead = store.staging().join("dead");
        fs::create_dir_all(dead.join("lost")).unwrap();
        fs::write(dead.join("lock"), "").unwrap();
        claim("left", "lost");
        claim("long-left", "removed");
        let mut found = store.dangling_names().unwrap();
        found.sort();
        assert_eq!(found, [store.names().join("left"), store.names().join("long-left")]);

        super::super::sweep_staging(&store).unwrap();
        assert_eq!(store.dangling_names().unwrap(), [] as [PathBuf; 0]);
        let mut stay: Vec<_> =
            fs::read_dir(store.names()).unwrap().flatten().map(|e| e.file_name()).collect();
        stay.sort();
        assert_eq!(stay, ["comes", "is"]);
        // Somebody else has it by now.
        store.release_dangling(&store.names().join("is"), "removed").unwrap();
        assert!(store.names().join("is").is_symlink());
    }
}
