//! Bytes on disk: where everything lies, how it comes to be there, and when it goes.
//!
//! ```text
//! <root>  ($XDG_DATA_HOME/coracle)          kept across reboots
//!   version                                 format number
//!   oci-layout, index.json, blobs/sha256/   a valid OCI image layout
//!   images/<id>.json                        one record an image: it exists if and only if this does
//!   refs/<domain>/<path…>/:<tag>            what a name means; `@<digest>` beside it for pulls by digest
//!   layers/<map>/<diff-id>/tree             a layer unpacked under one id mapping
//!   containers/<id>/                        config.json · alive.lock · exit.json · upper/ work/ · log
//!   names/<name>                            a symbolic link whose text is the container's id
//!   volumes/<name>/                         volume.json · _data/
//!   networks/<id>.json                      one record a network
//!   events/journal                          what has happened, the newest last
//!   cache/build-v1/<key>.json …             what builds have made; may be deleted at any time
//!   staging/<random>/                       everything half-made
//!   locks/                                  gc, ancestor, claim-<digest>, …
//! <runtime>  ($XDG_RUNTIME_DIR/coracle)     gone at boot, never required
//!   containers/<id>/attach.sock
//! ```
//!
//! # The rules that keep it whole
//!
//! 1. **A name that exists is complete.** Things are made in `staging/` and renamed. Whoever finds a
//!    name may use it without a further check.
//! 2. **Readers take no lock.** An entry that vanishes while being read counts as absent.
//! 3. **Locks die with their holder** ([`Lock`]): open-file-description locks of fcntl(2). Order: `gc`,
//!    then an object's lock, then a container's `alive.lock`. No lock is held while waiting for a
//!    network or a person, but a [`Claim`] on the bytes that are waited for.
//! 4. **Roots are files.** What a sweep must keep is said by `images/*.json` and by a [`Pin`] in each
//!    `containers/<id>/` and each live `staging/<random>/`. A pull pins what it counts on *before* it looks
//!    whether that is there, both under the shared `gc` lock; a sweep holds it exclusively. So nothing
//!    is swept from under a pull, and no lock is held while the network is slow.
//! 5. **Durability.** `syncfs` once before the renames that publish a pull; image records and names are synced
//!    one by one, so that after a power cut what has a name has its content. A container's files are small
//!    and are synced one by one, unless the container is to be removed when it ends.

mod blob;
mod borrow;
mod cache;
mod check;
mod claim;
mod image;
mod journal;
mod layer;
mod names;
mod pin;
mod record;
mod reference;
mod remove;
mod staged;
mod sweep;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use cache::CacheRecord;
pub use check::{Broken, Derived, Records};
pub use claim::Claim;
pub use image::ImageRecord;
pub use journal::{Actor, Event, Journal, Subject};
pub use layer::{LayerRecord, Layers, MapKey};
pub use pin::Pin;
pub use record::{read_json, replace_json, replace_json_synced, write_json_new};
pub use reference::{Name, RefRecord, Selector};
pub use remove::{remove_tree, remove_tree_at, remove_trees};
pub use staged::Staged;
pub use sweep::{Freed, sweep, sweep_staging, sweep_under};

pub use crate::sys::lock::{Lock, Mode};

/// The format that this program reads and writes.
const FORMAT: u32 = 1;

/// The two directories that hold everything of one user.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    runtime: PathBuf,
    /// The roots of stores that it borrows from.
    additional: Vec<PathBuf>,
}

impl Store {
    /// Opens the store at `root`, laying it out if it is new. `runtime` is made when something is first
    /// put there.
    pub fn open(root: &Path, runtime: &Path) -> Result<Self> {
        let store = Self { root: root.to_owned(), runtime: runtime.to_owned(), additional: Vec::new() };
        match fs::read_to_string(root.join("version")) {
            Ok(text) => store.check_version(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => store.lay_out()?,
            Err(error) => return Err(error).with_context(|| format!("open store {}", root.display())),
        }
        Ok(store)
    }

    fn check_version(&self, text: &str) -> Result<()> {
        let found: u32 = text.trim().parse().with_context(|| {
            format!("open store {}: its version file holds {:?}", self.root.display(), text.trim())
        })?;
        if found > FORMAT {
            bail!(
                "open store {}: it has format {found}, and this coracle knows formats up to {FORMAT}",
                self.root.display()
            );
        }
        Ok(())
    }

    /// Makes the directories; `version` comes last, so that its presence means that all is there.
    fn lay_out(&self) -> Result<()> {
        let make = |path: &Path| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .with_context(|| format!("create {}", path.display()))
        };
        make(&self.root)?;
        for name in [
            "blobs",
            "blobs/sha256",
            "images",
            "refs",
            "layers",
            "containers",
            "names",
            "volumes",
            "networks",
            "staging",
            "locks",
        ] {
            let path = self.root.join(name);
            make(&path)?;
            if matches!(name, "blobs" | "blobs/sha256" | "images" | "refs") {
                borrow::open_like(&path, &self.root).with_context(|| format!("open {name} to others"))?;
            }
        }
        self.write_new("oci-layout", check::LAYOUT)?;
        self.write_new(
            "index.json",
            br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
        )?;
        self.write_new("version", format!("{FORMAT}\n").as_bytes())
    }

    /// Writes a small file of the root, whole or not at all; leaves one that exists.
    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(name);
        if path.exists() {
            return Ok(());
        }
        let temporary = self.root.join("staging").join(format!("{name}.{}", staged::random_name()));
        fs::write(&temporary, bytes)
            .and_then(|()| borrow::lend(&temporary, &self.root))
            .with_context(|| format!("write {}", temporary.display()))?;
        fs::rename(&temporary, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Returns the directory that is kept across reboots.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory that is gone at boot, whether it exists or not.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Makes a directory below the runtime directory, private to this user, and returns its path.
    ///
    /// The runtime directory itself may lie in a place that all can write to (`/tmp`): it must then be
    /// ours, and closed to others.
    pub fn runtime_dir(&self, below: &str) -> Result<PathBuf> {
        let path = self.runtime.join(below);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("create {}", path.display()))?;
        let meta = fs::symlink_metadata(&self.runtime)
            .with_context(|| format!("look at {}", self.runtime.display()))?;
        if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
            bail!(
                "use {} as runtime directory: it is not a directory of this user's that others cannot write to",
                self.runtime.display()
            );
        }
        Ok(path)
    }

    /// Returns the directory of all containers.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// Returns the directory of container names.
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// Returns the directory of volumes.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Returns the directory of the records of networks. A store of an older program lacks it.
    pub fn networks(&self) -> PathBuf {
        self.root.join("networks")
    }

    /// Returns the directory of what is half-made.
    pub fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Takes the lock called `name`, waiting for it. Names in use: `gc`, `ancestor`, `index`, `networks`, and
    /// `<kind>-<id>` for objects.
    pub fn lock(&self, name: &str, mode: Mode) -> Result<Lock> {
        Lock::take(&self.root.join("locks").join(name), mode).with_context(|| format!("take lock {name}"))
    }
}

/// Asks the kernel for 32 random bytes and returns them as 64 hexadecimal digits: a container's id.
pub fn random_id() -> String {
    let mut bytes = [0; 32];
    sys_random(&mut bytes);
    hex(&bytes)
}

fn sys_random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        // getrandom(2) cannot fail for so few bytes once the pool is up, but it can be interrupted.
        if let Ok(got) = rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
        {
            filled += got;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Opens a new store in a temporary directory.
    pub(crate) fn scratch() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data"), &dir.path().join("run")).unwrap();
        (dir, store)
    }

    #[test]
    fn lays_out_once_and_refuses_the_future() {
        let (_dir, store) = scratch();
        assert!(store.root().join("blobs/sha256").is_dir());
        Store::open(store.root(), store.runtime()).unwrap();
        fs::write(store.root().join("version"), "99\n").unwrap();
        let error = Store::open(store.root(), store.runtime()).unwrap_err();
        assert!(error.to_string().contains("format 99"), "{error}");
    }

    #[test]
    fn makes_a_private_runtime_directory() {
        let (_dir, store) = scratch();
        let made = store.runtime_dir("containers/x").unwrap();
        assert_eq!(fs::metadata(made).unwrap().mode() & 0o777, 0o700);
    }
}
