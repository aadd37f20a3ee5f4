//! Images lent by other stores.
//!
//! The stores of the setting `additional_stores` are read and never written: an administrator or a project fills
//! one (`CORACLE_ROOT=/srv/images coracle pull …`), and many users run its images without a copy each. What is
//! used of one is *borrowed*: this store gets a symbolic link in the place of a compressed layer or of an
//! unpacked one, a copy of the documents (manifest, configuration), which are small, and the image's record. From
//! then on it is an image like any other here; removing it removes the links.
//!
//! An unpacked layer is lent to those who unpack under the same mapping only: its files belong to the ids of
//! whoever unpacked it, and under another mapping every owner in it would be wrong. The directory of all layers is
//! closed to other users in every store, for there are setuid programs and files open to all in it. So it
//! serves the other stores of one user, and root; everybody else borrows the compressed layers and unpacks them,
//! which costs no network.
//!
//! What is lent can be damaged or taken away, by its owner and at any time. Documents are verified when they
//! are copied, compressed layers when they are unpacked, as always. A link that leads nowhere is the same as
//! nothing: a pull fetches what is missing, `system check --repair` too, and both put a file of this store in
//! the place of the link. Nothing follows a link to write or to remove.
//!
//! A store is open to those whom its directory lets in when it becomes a store: after `install -d -m 755
//! /srv/images` to all, after `install -d -m 2750 -g staff /srv/images` to a group. Then its blobs, records and
//! names are, too; what belongs to one user (containers, volumes, unpacked layers, staging) never is.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{ImageRecord, MapKey, Mode, Name, RefRecord, Store};
use crate::oci::Digest;

/// The permissions of a directory that let others read what is in it.
const READ: u32 = 0o044;
const ENTER: u32 = 0o055;

impl Store {
    /// Returns the same store, which borrows from those at `roots`, the first one first.
    #[must_use]
    pub fn with_additional(mut self, roots: &[PathBuf]) -> Self {
        self.additional = roots.iter().filter(|root| **root != self.root).cloned().collect();
        self
    }

    /// Returns the stores that this one borrows from, and why one of them cannot be borrowed from.
    pub fn lenders(&self) -> impl Iterator<Item = (&Path, Result<Self>)> {
        self.additional.iter().map(|root| (root.as_path(), self.lender(root)))
    }

    /// Returns those of them that can be borrowed from.
    pub fn additional(&self) -> impl Iterator<Item = Self> {
        self.lenders().filter_map(|(_, lender)| lender.ok())
    }

    fn lender(&self, root: &Path) -> Result<Self> {
        let version = root.join("version");
        let text = fs::read_to_string(&version).with_context(|| format!("read {}", version.display()))?;
        let lender = Self { root: root.to_owned(), runtime: self.runtime.clone(), additional: Vec::new() };
        lender.check_version(&text)?;
        let images = root.join("images");
        fs::read_dir(&images).with_context(|| format!("read {}", images.display()))?;
        Ok(lender)
    }

    /// Borrows a compressed layer, if it is not here and somebody lends it with this size. Tells whether it is
    /// here now.
    pub fn borrow_blob(&self, digest: &Digest, size: u64) -> bool {
        let own = self.blob_path(digest);
        let is_lent = |lent: &Path| {
            fs::File::open(lent)
                .and_then(|file| file.metadata())
                .is_ok_and(|meta| meta.is_file() && meta.len() == size)
        };
        leads_somewhere(&own)
            || self.additional().any(|lender| {
                let lent = lender.blob_path(digest);
                is_lent(&lent) && link(&lent, &own)
            })
    }

    /// Copies a document, likewise.
    pub fn borrow_document(&self, digest: &Digest) -> Result<bool> {
        let own = self.blob_path(digest);
        if leads_somewhere(&own) {
            return Ok(true);
        }
        for lender in self.additional() {
            let Ok(bytes) = lender.read_document(digest) else { continue };
            if Digest::of(&bytes) == *digest {
                super::record::replace(&own, &bytes, true)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Borrows a layer unpacked under `map`, if it is not here and somebody lends it. Tells whether it is here
    /// now.
    pub fn borrow_layer(&self, map: &MapKey, diff_id: &Digest) -> bool {
        let layers = self.layers(map);
        let own = layers.dir(diff_id);
        let lends = |lender: Self| {
            let lent = lender.layers(map);
            lent.record(diff_id).is_ok_and(|record| record.is_some())
                && fs::read_dir(lent.tree(diff_id)).is_ok()
                && layers.ready().is_ok()
                && link(&lent.dir(diff_id), &own)
        };
        leads_somewhere(&own) || self.additional().any(lends)
    }

    /// Makes an image of `lender` one of this store's: its documents, its compressed `layers` with their sizes, its
    /// record. What of it is unpacked is borrowed when it is wanted.
    pub fn borrow_image(
        &self,
        lender: &Self,
        image: &ImageRecord,
        documents: &[Digest],
        layers: &[(Digest, u64)],
    ) -> Result<()> {
        let _gc = self.lock("gc", Mode::Shared)?;
        if self.image(&image.id)?.is_some() {
            return Ok(());
        }
        let lost = |blob: &Digest| {
            format!(
                "blob {blob} of image {} is missing or damaged in {}",
                image.id.short(),
                lender.root.display()
            )
        };
        for document in documents {
            anyhow::ensure!(self.borrow_document(document)?, lost(document));
        }
        for (layer, size) in layers {
            // A layer that has no blob is packed when one is wanted.
            anyhow::ensure!(self.borrow_blob(layer, *size) || image.layers.contains(layer), lost(layer));
        }
        self.put_image(image)
    }

    /// Gives back a borrowed blob that turned out to be damaged. Returns `false` if it is not borrowed.
    pub fn give_back(&self, blob: &Digest) -> bool {
        let own = self.blob_path(blob);
        own.is_symlink() && fs::remove_file(own).is_ok()
    }

    /// Returns why a blob cannot be used, in words for people.
    pub fn missing(&self, blob: &Digest) -> anyhow::Error {
        match fs::read_link(self.blob_path(blob)) {
            Ok(lent) => anyhow::anyhow!(
                "blob {blob} was borrowed and is not there any more ({}): pull the image again",
                lent.display()
            ),
            Err(_) => anyhow::anyhow!("blob {blob} is missing from the store"),
        }
    }

    /// Loads what `name` means here, or else in a store to borrow from.
    pub fn find_ref(&self, name: &Name) -> Result<Option<RefRecord>> {
        if let Some(own) = self.get_ref(name)? {
            return Ok(Some(own));
        }
        Ok(self.additional().find_map(|lender| lender.get_ref(name).ok().flatten()))
    }

    /// Loads all names with what they mean, sorted: those of this store, and of the others what means nothing here.
    pub fn all_refs(&self) -> Result<Vec<(Name, RefRecord)>> {
        let mut refs = self.refs()?;
        for lender in self.additional() {
            let lent = lender.refs().unwrap_or_default().into_iter();
            let new: Vec<_> = lent.filter(|(name, _)| !refs.iter().any(|(known, _)| known == name)).collect();
            refs.extend(new);
        }
        refs.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(refs)
    }
}

/// Tells whether something is here, borrowed or not. A link that leads nowhere is removed, to stand in nobody's
/// way.
fn leads_somewhere(own: &Path) -> bool {
    let exists = own.exists();
    if !exists && own.is_symlink() {
        let _ = fs::remove_file(own);
    }
    exists
}

/// Puts a link to `lent` at `own`. Tells whether it leads somewhere now.
fn link(lent: &Path, own: &Path) -> bool {
    match symlink(lent, own) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::AlreadyExists && own.exists(),
    }
}

/// Returns which permissions the directory gives to others, if it lets them read what is in it.
fn opening(dir: &Path) -> u32 {
    let mode = fs::metadata(dir).map_or(0, |meta| meta.mode());
    let whole = |class: u32| if mode & ENTER & class == ENTER & class { ENTER & class } else { 0 };
    whole(0o070) | whole(0o007)
}

/// Opens the directory `dir` to those who may read `like`, if there are any, whatever the umask took.
pub(super) fn open_like(dir: &Path, like: &Path) -> io::Result<()> {
    let opening = opening(like);
    let mode = fs::metadata(dir)?.mode() & 0o7777;
    if opening == 0 || mode & ENTER == opening {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(mode & !ENTER | opening))
}

/// Lets those read a file that is about to get its name in `dir` who may read what is there.
pub(super) fn lend(file: &Path, dir: &Path) -> io::Result<()> {
    match opening(dir) {
        0 => Ok(()),
        opening => fs::set_permissions(file, fs::Permissions::from_mode(0o600 | opening & READ)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sweep;
    use super::super::tests::scratch;
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn opens_what_is_meant_for_others() {
        let id = Digest::of(b"x");
        for (asked, dirs, files) in [(0o755, 0o755, 0o644), (0o750, 0o750, 0o640), (0o711, 0o700, 0o600)] {
            let lent = tempfile::tempdir().unwrap();
            let root = lent.path();
            fs::set_permissions(root, fs::Permissions::from_mode(asked)).unwrap();
            let store = Store::open(root, &root.join("run")).unwrap();
            for (dir, expected) in [("blobs/sha256", dirs), ("blobs", dirs), ("images", dirs), ("refs", dirs)]
            {
                assert_eq!(mode(&root.join(dir)), expected, "{dir} of a store with mode {asked:o}");
            }
            for dir in ["layers", "containers", "volumes", "staging", "locks"] {
                assert_eq!(mode(&root.join(dir)), 0o700, "{dir}");
            }
            let record =
                ImageRecord { id, manifest: id, media_type: "m".into(), size: 4, layers: Vec::new() };
            store.put_image(&record).unwrap();
            let name = Name { repository: "a.b/c".into(), selector: super::super::Selector::Tag("1".into()) };
            store.put_ref(&name, &RefRecord { id, target: id }).unwrap();
            assert_eq!(mode(&root.join("images").join(format!("{}.json", id.hex()))), files);
            assert_eq!(mode(&root.join("refs/a.b/c/:1")) & files, files);
            assert_eq!(mode(&root.join("refs/a.b/c")) & dirs, dirs);
            assert_eq!(mode(&root.join("version")) & files, files);
        }
    }

    #[test]
    fn borrows_and_gives_back() {
        let (_dir, store) = scratch();
        let lent = tempfile::tempdir().unwrap();
        let lender = Store::open(lent.path(), store.runtime()).unwrap();
        let map = MapKey::of("x");
        let (config, blob, layer) = (Digest::of(b"config"), Digest::of(b"blob"), Digest::of(b"layer"));
        fs::write(lender.blob_path(&config), "config").unwrap();
        fs::write(lender.blob_path(&blob), "blob").unwrap();
        fs::create_dir_all(lender.layers(&map).tree(&layer)).unwrap();
        fs::write(lender.layers(&map).dir(&layer).join("layer.json"), r#"{"size":3,"entries":1}"#).unwrap();
        let record = ImageRecord {
            id: config,
            manifest: config,
            media_type: "m".into(),
            size: 6,
            layers: vec![layer],
        };
        lender.put_image(&record).unwrap();

        assert!(!store.borrow_blob(&blob, 4), "nobody lends yet");
        let store = store.with_additional(&[PathBuf::from("/nowhere"), lent.path().to_owned()]);
        assert_eq!(store.lenders().filter(|(_, lender)| lender.is_err()).count(), 1);
        for _ in 0..2 {
            store.borrow_image(&lender, &record, &[config], &[(blob, 4)]).unwrap();
        }
        assert_eq!(store.image(&config).unwrap(), Some(record));
        assert!(store.blob_path(&blob).is_symlink() && !store.blob_path(&config).is_symlink());
        assert!(!store.borrow_layer(&MapKey::of("y"), &layer), "under another mapping its owners are wrong");
        assert!(store.borrow_layer(&map, &layer) && store.layers(&map).dir(&layer).is_symlink());
        store.remove_image(&config).unwrap();
        let freed = sweep(&store).unwrap();
        assert_eq!((freed.blobs, freed.bytes), (2, 6), "of the disk only the copied document");
        assert!(!store.blob_path(&blob).is_symlink() && lender.blob_path(&blob).exists());
        assert!(!store.layers(&map).dir(&layer).is_symlink());
        assert!(lender.layers(&map).tree(&layer).is_dir(), "no link is followed to remove");

        assert!(!store.borrow_blob(&blob, 5), "it cannot be the right one");
        assert!(store.borrow_blob(&blob, 4));
        // What the lender has taken away is as good as absent.
        fs::remove_file(lender.blob_path(&blob)).unwrap();
        assert!(store.missing(&blob).to_string().contains("was borrowed"));
        assert!(!store.borrow_blob(&blob, 4) && store.blob_size(&blob).is_none());
        assert!(!store.give_back(&blob), "the link is gone");
        fs::write(lender.blob_path(&config), "cOnfig").unwrap();
        assert!(!store.borrow_document(&config).unwrap(), "a damaged document is not copied");
    }
}
