//! Content on its way into the store: everything of one command, published together or not at all.
//!
//! What the command counts on is pinned before it is looked for, so that no sweep takes it meanwhile. What
//! it makes lies in one staging directory. [`Intake::commit`] writes all of that to the disk once, gives
//! it its names, and only then makes the image and its names exist.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use rustix::fs::IFlags;

use super::layer::{Outcome, Save, Work, process};
use super::room::Room;
use super::unpack::Owners;
use crate::idmap::{Identity, Level};
use crate::oci::Digest;
use crate::store::{
    Claim, ImageRecord, Layers, MapKey, Mode, Name, Pin, RefRecord, Staged, Store, sweep_staging,
};

/// How layers are unpacked for this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The directory of layers unpacked so.
    pub key: MapKey,
    /// What becomes of owners.
    pub owners: Owners,
}

impl Mapping {
    /// Returns how layers are unpacked for a user who may be this.
    pub fn of(identity: &Identity) -> Self {
        let owners = match (identity.level, identity.kept) {
            (Level::Single, _) => Owners::Emulated,
            (_, Some(kept)) => Owners::Kept(kept),
            (_, None) => Owners::Mapped,
        };
        Self { key: MapKey::of(&identity.inside().text()), owners }
    }
}

/// Which bytes of a stream are kept as a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// None: the blob is there.
    Nothing,
    /// The stream as it comes.
    AsRead,
    /// The tar archive inside.
    Archive,
}

/// What a stream must turn out to be; `None` where anything will do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    pub(super) blob: Option<Digest>,
    pub(super) size: Option<u64>,
    pub(super) diff_id: Option<Digest>,
}

/// The bytes are not those that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filesystem layer verification failed for digest {expected}: the content has {found}")]
pub struct DigestMismatch {
    /// What was asked for.
    pub expected: Digest,
    /// What came.
    pub found: Digest,
}

#[derive(Debug)]
pub(super) struct Intake<'a> {
    store: &'a Store,
    staged: Staged,
    layers: Layers,
    owners: Owners,
    made: Mutex<Made>,
}

/// What waits to be published.
#[derive(Debug, Default)]
struct Made {
    pin: Pin,
    blobs: Vec<(PathBuf, Digest)>,
    layers: Vec<(String, Digest)>,
    names: u32,
    /// What is finished, with its blob's and layer's digests, so that others wait for it.
    claims: Vec<(Claim, Digest, Option<Digest>)>,
}

impl<'a> Intake<'a> {
    /// Begins with nothing.
    pub(super) fn new(store: &'a Store, mapping: &Mapping) -> Result<Self> {
        // Here the process is in the namespace that it takes, and room may be what is wanted next.
        sweep_staging(store)?;
        spread(&store.staging());
        Ok(Self {
            store,
            staged: store.stage()?,
            layers: store.layers(&mapping.key),
            owners: mapping.owners,
            made: Mutex::default(),
        })
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        // What a thread has added before it panicked is whole.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `blobs` and `layers` from being swept. To be called before looking for them.
    pub(super) fn pin(
        &self,
        blobs: impl IntoIterator<Item = Digest>,
        layers: impl IntoIterator<Item = Digest>,
    ) -> Result<()> {
        let mut made = self.made();
        made.pin.blobs.extend(blobs);
        made.pin.layers.extend(layers);
        self.staged.pin(self.store, &made.pin)
    }

    /// Tells whether a blob is in the store, or is about to be.
    pub(super) fn has_blob(&self, digest: &Digest) -> bool {
        self.store.blob_size(digest).is_some() || self.made().blobs.iter().any(|(_, made)| made == digest)
    }

    /// Tells whether a layer is unpacked, here or where it can be borrowed from.
    pub(super) fn has_layer(&self, diff_id: &Digest) -> bool {
        self.layers.has(diff_id)
            || self.store.borrow_layer(&self.layers.map(), diff_id)
            || self.made().layers.iter().any(|(_, made)| made == diff_id)
    }

    /// Says it if the disk has no room for `bytes`.
    pub(super) fn room(&self, bytes: u64) -> Result<()> {
        Room::of(&self.staged.path(""))?.take(bytes, "the image")
    }

    /// Returns a path in staging that nothing has yet.
    pub(super) fn fresh(&self) -> PathBuf {
        self.staged.path(&self.fresh_name())
    }

    fn fresh_name(&self) -> String {
        let mut made = self.made();
        made.names += 1;
        made.names.to_string()
    }

    /// Adds a manifest or a configuration.
    pub(super) fn document(&self, bytes: &[u8]) -> Result<Digest> {
        let path = self.fresh();
        fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        let digest = Digest::of(bytes);
        self.made().blobs.push((path, digest));
        Ok(digest)
    }

    /// Adds a staged file whose digest the caller has verified.
    pub(super) fn file(&self, path: PathBuf, digest: Digest) {
        let mut made = self.made();
        if !made.blobs.iter().any(|(_, known)| *known == digest) {
            made.blobs.push((path, digest));
        }
    }

    /// Adds a layer: reads it to its end, and unpacks it if `unpack` says so.
    pub(super) fn layer(
        &self,
        input: impl Read,
        keep: Keep,
        unpack: bool,
        expected: Expected,
        heard: impl FnMut(Option<u64>),
    ) -> Result<Outcome> {
        let blob = self.fresh();
        let dir = self.fresh_name();
        let work = Work {
            save: match keep {
                Keep::Nothing => Save::Nothing,
                Keep::AsRead => Save::AsRead(blob.clone()),
                Keep::Archive => Save::Archive(blob.clone()),
            },
            unpack: unpack.then(|| self.staged.path(&dir)),
            owners: self.owners,
        };
        let outcome = match expected.size {
            // One byte more, to see that it is too long.
            Some(size) => process(input.take(size.saturating_add(1)), &work, heard),
            None => process(input, &work, heard),
        }?;
        if let Some(size) = expected.size.filter(|size| *size != outcome.blob_size) {
            if outcome.blob_size < size {
                bail!("read the layer: it ends after {} of {size} bytes", outcome.blob_size);
            }
            bail!("read the layer: it is longer than the {size} bytes that the manifest tells");
        }
        for (expected, found) in [(expected.blob, outcome.blob), (expected.diff_id, outcome.diff_id)] {
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                return Err(DigestMismatch { expected, found }.into());
            }
        }
        let mut made = self.made();
        match keep {
            Keep::Nothing => {}
            Keep::AsRead => made.blobs.push((blob, outcome.blob)),
            Keep::Archive => made.blobs.push((blob, outcome.diff_id)),
        }
        if unpack {
            made.layers.push((dir, outcome.diff_id));
        }
        Ok(outcome)
    }

    /// Keeps the claim on a blob, and on the layer unpacked from it, which are finished now: until all is
    /// published, or until somebody waits for them.
    pub(super) fn finished(&self, claim: Claim, blob: Digest, layer: Option<Digest>) {
        self.made().claims.push((claim, blob, layer));
    }

    /// Publishes what is finished and what others wait for.
    pub(super) fn publish_wanted(&self) -> Result<()> {
        let mut made = self.made();
        if !made.claims.iter().any(|(claim, ..)| claim.is_wanted()) {
            return Ok(());
        }
        let wanted: Vec<_> = made.claims.extract_if(.., |(claim, ..)| claim.is_wanted()).collect();
        let is_wanted =
            |digest: &Digest| wanted.iter().any(|(_, blob, layer)| digest == blob || Some(*digest) == *layer);
        let blobs: Vec<_> = made.blobs.extract_if(.., |(_, digest)| is_wanted(digest)).collect();
        let layers: Vec<_> = made.layers.extract_if(.., |(_, digest)| is_wanted(digest)).collect();
        drop(made);
        self.publish(&blobs, &layers)
    }

    /// Gives what is made its names. It is pinned, so nobody sweeps it before an image holds it.
    fn publish(&self, blobs: &[(PathBuf, Digest)], layers: &[(String, Digest)]) -> Result<()> {
        if !blobs.is_empty() || !layers.is_empty() {
            self.staged.sync()?;
        }
        for (path, digest) in blobs {
            self.store.publish_blob(path, digest)?;
        }
        if !layers.is_empty() {
            self.layers.ready()?;
        }
        for (name, digest) in layers {
            // A layer that somebody else has published meanwhile is the same; this one goes with staging.
            self.staged.publish(name, &self.layers.dir(digest))?;
        }
        Ok(())
    }

    /// Publishes everything, then makes `images` and `names` exist.
    pub(super) fn commit(self, images: &[ImageRecord], names: &[(Name, RefRecord)]) -> Result<()> {
        let made = std::mem::take(&mut *self.made());
        let mut pin = made.pin;
        pin.blobs.extend(made.blobs.iter().map(|(_, digest)| *digest));
        pin.layers.extend(made.layers.iter().map(|(_, digest)| *digest));
        self.staged.pin(self.store, &pin)?;
        self.publish(&made.blobs, &made.layers)?;
        // A removal of the same image sees all of what follows, or nothing of it.
        let _gc = self.store.lock("gc", Mode::Shared)?;
        for image in images {
            self.store.put_image(image)?;
        }
        for (name, record) in names {
            self.store.put_ref(name, record)?;
        }
        if !names.is_empty() {
            self.store.rebuild_index()?;
        }
        Ok(())
    }
}

/// Tells ext4 to spread what is made in `staging` over the disk (chattr(1), `T`); elsewhere it means nothing.
///
/// ext4 puts directories near the one that they are made in, and for a minute and more it does not use an
/// inode again that was removed, but looks at each such inode for every file that it makes. Where an image was
/// just removed, that takes several times as long as all the rest of unpacking the next.
fn spread(staging: &Path) {
    let Ok(dir) = fs::File::open(staging) else { return };
    if let Ok(flags) = rustix::fs::ioctl_getflags(&dir)
        && !flags.contains(IFlags::TOPDIR)
    {
        let _ = rustix::fs::ioctl_setflags(&dir, flags | IFlags::TOPDIR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::hello_program::HELLO;
    use crate::image::{ImportOptions, ResolveError, ensure_layers, hello, import, open, resolve, unpacked};
    use crate::oci::{Platform, Reference};
    use crate::store::sweep;
    use crate::store::tests::scratch;

    fn mapping(text: &str) -> Mapping {
        Mapping { key: MapKey::of(text), owners: Owners::Emulated }
    }

    fn options(name: &str) -> ImportOptions {
        ImportOptions {
            reference: Some(Reference::parse(name).unwrap()),
            changes: vec!["CMD [\"x\"]".to_owned()],
            message: "Imported from -".to_owned(),
            platform: Platform::host(),
        }
    }

    fn archive(name: &str) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &b"hi"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    /// Everything in the store but the locks.
    fn listing(store: &Store) -> Vec<String> {
        let mut found = Vec::new();
        let mut dirs = vec![store.root().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.display().to_string());
                if path.is_dir() && !path.ends_with("locks") {
                    dirs.push(path);
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn brings_an_image_in_and_unpacks_it_anew() {
        let (_dir, store) = scratch();
        let mapping_one = mapping("one");
        let id = hello(&store, &mapping_one).unwrap();
        assert_eq!(hello(&store, &mapping_one).unwrap(), id, "the same bytes, the same image");
        let record = resolve(&store, "hello-world").unwrap();
        assert_eq!(record.id, id);
        let image = open(&store, &id).unwrap();
        assert_eq!(image.config.config.cmd.as_deref(), Some(&["/hello".to_owned()][..]));
        let trees = unpacked(&store, &record, &mapping_one.key).unwrap();
        assert_eq!(fs::read(trees[0].join("hello")).unwrap(), HELLO);
        assert_eq!(fs::read_dir(store.staging()).unwrap().count(), 0);

        let other = mapping("two");
        assert_eq!(unpacked(&store, &record, &other.key), None);
        let trees = ensure_layers(&store, &record, &other, None).unwrap();
        assert_eq!(fs::read(trees[0].join("hello")).unwrap(), HELLO);
        let record = store.layers(&other.key).record(&record.layers[0]).unwrap().unwrap();
        assert_eq!((record.size, record.entries), (HELLO.len() as u64, 1));
        assert_eq!(sweep(&store).unwrap(), crate::store::Freed::default());
    }

    #[test]
    fn moves_names_and_takes_any_compression() {
        let (_dir, store) = scratch();
        let mapping = mapping("one");
        let bytes = archive("f");
        let first = import(&store, &mapping, &bytes[..], &options("web")).unwrap();
        let packed = zstd::encode_all(&bytes[..], 1).unwrap();
        let second = import(&store, &mapping, &packed[..], &options("web")).unwrap();
        assert_ne!(first, second, "the times differ");
        let (first, second) = (open(&store, &first).unwrap().record, open(&store, &second).unwrap().record);
        assert_eq!(first.layers, second.layers);
        assert_eq!(resolve(&store, "web").unwrap(), second);
        assert_eq!(store.blob_size(&first.layers[0]), Some(bytes.len() as u64));
    }

    #[test]
    fn leaves_the_store_as_it_was_when_it_fails() {
        let (_dir, store) = scratch();
        store.rebuild_index().unwrap();
        let mapping = mapping("one");
        let before = listing(&store);
        let mut bad = archive("f");
        bad.truncate(1024);
        bad.extend_from_slice(&[b'x'; 512]);
        let bad_packed = zstd::encode_all(&archive("f")[..], 1).unwrap();
        for (bytes, expected) in [
            (&bad[..], "not a tar archive"),
            (&archive("f")[..700], "cut off"),
            (&bad_packed[..bad_packed.len() - 5], "decompress the layer"),
        ] {
            let error = import(&store, &mapping, bytes, &options("web")).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
            assert_eq!(listing(&store), before);
        }
        let error = resolve(&store, "web").unwrap_err();
        assert!(error.downcast_ref::<ResolveError>().is_some());

        let bytes = archive("f");
        let size = bytes.len() as u64;
        let wrong = Digest::of(b"wrong");
        for (expected, text) in [
            (Expected { blob: Some(wrong), ..Expected::default() }, "layer verification failed"),
            (Expected { diff_id: Some(wrong), ..Expected::default() }, "layer verification failed"),
            (Expected { size: Some(size - 1), ..Expected::default() }, "longer than"),
            (Expected { size: Some(size + 1), ..Expected::default() }, "ends after"),
        ] {
            let intake = Intake::new(&store, &mapping).unwrap();
            let error = intake.layer(&bytes[..], Keep::AsRead, true, expected, |_| ()).unwrap_err();
            assert!(format!("{error:#}").contains(text), "{error:#}");
            drop(intake);
            assert_eq!(listing(&store), before);
        }
    }
}
