//! Names and images taken away.
//!
//! The rules are Docker's. A name goes if another is left or if no container uses the image; with the last
//! name goes the image, and with the image what only it holds. Containers made from an image keep its
//! layers whatever happens to it (their pins say so), so `force` never breaks one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::event;
use super::list::{Summary, familiar, list};
use super::resolve::{lent, name_of, resolve_own};
use crate::oci::{Digest, Reference};
use crate::store::{ImageRecord, Mode, Name, Store, sweep_under};

/// A container, as far as it stands in the way of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The container's id.
    pub container: String,
    /// The image it was made from.
    pub image: Digest,
    /// Whether it runs.
    pub running: bool,
}

/// One line of what a removal did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name, as people type it.
    Untagged(String),
    /// An image, or a layer by its chain id.
    Deleted(Digest),
}

/// Why an image stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Its last name would go while a container uses it.
    #[error(
        "conflict: unable to remove repository reference {name:?} (must force) - container {container} is \
         using its referenced image {image}"
    )]
    Name {
        /// The name as it was given.
        name: String,
        /// The container's short id.
        container: String,
        /// The image's short id.
        image: String,
    },
    /// The image itself would go.
    #[error("conflict: unable to delete {image} ({}) - {why}", if *.hard { "cannot be forced" } else { "must be forced" })]
    Image {
        /// The image's short id.
        image: String,
        /// Whether force does not help.
        hard: bool,
        /// What is in the way.
        why: String,
    },
}

/// Removes the image or the name that `text` means. With `force` also what a stopped container uses, or
/// what has several names. `users` are all containers. The process is in the
/// ancestor user namespace, for layers hold files of many owners.
pub fn remove(store: &Store, text: &str, force: bool, users: &[User]) -> Result<Vec<Removed>> {
    // Nobody gives the image another name meanwhile, or brings it in again.
    let gc = store.lock("gc", Mode::Exclusive)?;
    let image = match (resolve_own(store, text), lent(store, text)) {
        (Ok(image), _) => image,
        (Err(_), Some((lender, image))) => {
            let why = format!("image is in the read-only store {}", lender.root().display());
            return Err(Conflict::Image { image: image.id.short(), hard: true, why }.into());
        }
        (Err(error), None) => return Err(error),
    };
    let mut removal = Removal { store, image: &image, force, users, done: Vec::new() };
    let hex = image.id.hex();
    let by_id = image.id.to_string().starts_with(text) || hex.starts_with(text);
    let result = match Reference::parse(text) {
        Ok(reference)
            if !by_id || store.get_ref(&name_of(&reference))?.is_some_and(|it| it.id == image.id) =>
        {
            removal.by_name(text, &name_of(&reference.with_default_tag()))
        }
        _ => removal.by_id(),
    };
    let Removal { done, .. } = removal;
    // On a full disk that takes the room which only the sweep makes.
    let rebuilt = done.is_empty() || store.rebuild_index()?;
    result?;
    let mut done = done;
    if done.iter().any(|step| matches!(step, Removed::Deleted(_))) {
        let freed = sweep_under(store, gc)?;
        done.extend(chain_ids(&image.layers, &freed.layers).into_iter().map(Removed::Deleted));
    }
    if !rebuilt {
        store.rebuild_index()?;
    }
    Ok(done)
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Its steps, in order.
    pub done: Vec<Removed>,
    /// The bytes that it freed, of layers and of blobs.
    pub bytes: u64,
}

/// Removes all images that no container was made from and that fit `wanted`; with `tagged` also those that
/// have a tag. `users` are all containers. The process is in the ancestor user namespace.
pub fn prune(
    store: &Store,
    tagged: bool,
    wanted: &dyn Fn(&Summary) -> bool,
    users: &[User],
) -> Result<Pruned> {
    let gc = store.lock("gc", Mode::Exclusive)?;
    let used: BTreeSet<Digest> = users.iter().map(|user| user.image).collect();
    let unused = |summary: &Summary| {
        !used.contains(&summary.image.record.id) && (tagged || summary.tags.is_empty()) && wanted(summary)
    };
    let mut removed = Vec::new();
    for summary in list(store)?.into_iter().filter(unused) {
        let image = summary.image.record;
        let mut removal = Removal { store, image: &image, force: false, users, done: Vec::new() };
        removal.delete()?;
        removed.push((removal.done, image.layers));
    }
    // Also without an image to remove, what is left of earlier ones is freed.
    let rebuilt = store.rebuild_index()?;
    let mut freed = sweep_under(store, gc)?;
    if !rebuilt {
        store.rebuild_index()?;
    }
    let mut pruned = Pruned { done: Vec::new(), bytes: freed.total() };
    for (done, layers) in removed {
        pruned.done.extend(done);
        pruned.done.extend(chain_ids(&layers, &freed.layers).into_iter().map(Removed::Deleted));
        // A layer of two images is told of once.
        freed.layers.retain(|layer, _| !layers.contains(layer));
    }
    Ok(pruned)
}

struct Removal<'a> {
    store: &'a Store,
    image: &'a ImageRecord,
    force: bool,
    users: &'a [User],
    done: Vec<Removed>,
}

impl Removal<'_> {
    /// Returns the image's names, sorted: of one repository, tags come before digests.
    fn names(&self) -> Result<Vec<Name>> {
        let refs = self.store.refs()?;
        Ok(refs.into_iter().filter(|(_, target)| target.id == self.image.id).map(|(name, _)| name).collect())
    }

    fn untag(&mut self, name: &Name) -> Result<()> {
        if self.store.remove_ref(name)? {
            event::note_id(self.store, "untag", &self.image.id);
            self.done.push(Removed::Untagged(familiar(name)));
        }
        Ok(())
    }

    fn by_name(&mut self, text: &str, name: &Name) -> Result<()> {
        let names = self.names()?;
        if !self.force
            && is_single(&names)
            && let Some(user) = self.users.iter().find(|user| user.image == self.image.id)
        {
            return Err(Conflict::Name {
                name: text.to_owned(),
                container: short(&user.container),
                image: self.image.id.short(),
            }
            .into());
        }
        self.untag(name)?;
        let mut left: Vec<Name> = names.into_iter().filter(|other| other != name).collect();
        let others = left.iter().any(|other| other.tag().is_some() && other.repository == name.repository);
        if name.tag().is_some() && !others {
            // Digests go with the last tag of their repository.
            for digest in left.extract_if(.., |other| other.repository == name.repository) {
                self.untag(&digest)?;
            }
        }
        if !left.is_empty() {
            return Ok(());
        }
        match self.conflict(true) {
            // The name is gone, which was asked for; the image stays for its container.
            Some(_) => Ok(()),
            None => self.delete(),
        }
    }

    fn by_id(&mut self) -> Result<()> {
        let names = self.names()?;
        let single = is_single(&names);
        if let Some(conflict) = self.conflict(single) {
            return Err(conflict.into());
        }
        self.delete()
    }

    /// Returns what is in the way of the image's removal. `single` if all its names go along unforced.
    fn conflict(&self, single: bool) -> Option<Conflict> {
        let conflict = |hard, why| Some(Conflict::Image { image: self.image.id.short(), hard, why });
        let mut users = self.users.iter().filter(|user| user.image == self.image.id);
        if let Some(user) = users.clone().find(|user| user.running) {
            let why = format!("image is being used by running container {}", short(&user.container));
            return conflict(true, why);
        }
        if self.force {
            return None;
        }
        if !single {
            return conflict(false, "image is referenced in multiple repositories".to_owned());
        }
        let user = users.next()?;
        conflict(false, format!("image is being used by stopped container {}", short(&user.container)))
    }

    fn delete(&mut self) -> Result<()> {
        for name in self.names()? {
            self.untag(&name)?;
        }
        self.store.remove_image(&self.image.id)?;
        event::note_id(self.store, "delete", &self.image.id);
        self.done.push(Removed::Deleted(self.image.id));
        Ok(())
    }
}

/// Tells whether the names are one tag at most, with digests of the same repository.
fn is_single(names: &[Name]) -> bool {
    let mut tags = names.iter().filter(|name| name.tag().is_some());
    let first = tags.next().or(names.first());
    tags.next().is_none()
        && names.iter().all(|name| first.is_some_and(|first| first.repository == name.repository))
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

/// Returns the chain ids (image-spec, config.md, "Layer ChainID") of those layers that are gone, the
/// topmost first.
fn chain_ids(layers: &[Digest], gone: &BTreeMap<Digest, u64>) -> Vec<Digest> {
    let mut chain: Option<Digest> = None;
    let mut found = Vec::new();
    for diff_id in layers {
        let id = match chain {
            None => *diff_id,
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        chain = Some(id);
        if gone.contains_key(diff_id) {
            found.push(id);
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Mapping, Owners, hello, tag};
    use crate::store::tests::scratch;
    use crate::store::{MapKey, RefRecord, Selector};

    struct Bench {
        _dir: tempfile::TempDir,
        store: Store,
        id: Digest,
    }

    fn bench(names: &[&str]) -> Bench {
        let (dir, store) = scratch();
        let mapping = Mapping { key: MapKey::of("x"), owners: Owners::Emulated };
        let id = hello(&store, &mapping).unwrap();
        for name in names {
            tag(&store, "hello-world", name).unwrap();
        }
        Bench { _dir: dir, store, id }
    }

    impl Bench {
        fn remove(&self, text: &str, force: bool, running: &[bool]) -> Result<Vec<String>, String> {
            let users: Vec<User> = running
                .iter()
                .map(|&running| User { container: "c".repeat(64), image: self.id, running })
                .collect();
            remove(&self.store, text, force, &users)
                .map(|done| done.iter().map(|step| format!("{step:?}")).collect())
                .map_err(|error| error.to_string())
        }

        fn has(&self) -> bool {
            self.store.image(&self.id).unwrap().is_some()
        }
    }

    fn untagged(name: &str) -> String {
        format!("{:?}", Removed::Untagged(name.to_owned()))
    }

    #[test]
    fn removes_by_name_and_by_id() {
        let bench = bench(&["b:1"]);
        let by_digest = Name {
            repository: "docker.io/library/hello-world".into(),
            selector: Selector::Digest(Digest::of(b"m")),
        };
        bench.store.put_ref(&by_digest, &RefRecord { id: bench.id, target: Digest::of(b"m") }).unwrap();
        let done = bench.remove("hello-world", false, &[]).unwrap();
        assert_eq!(
            done,
            [untagged("hello-world:latest"), untagged(&format!("hello-world@{}", Digest::of(b"m")))]
        );
        assert!(bench.has());
        let done = bench.remove(&bench.id.short(), false, &[]).unwrap();
        assert_eq!(done[0], untagged("b:1"));
        assert_eq!(done.len(), 3, "the image and its layer: {done:?}");
        assert!(!bench.has());
        assert_eq!(std::fs::read_dir(bench.store.root().join("blobs/sha256")).unwrap().count(), 0);
        assert_eq!(bench.remove("b:1", false, &[]), Err("No such image: b:1".into()));
    }

    #[test]
    fn knows_dockers_conflicts() {
        let bench = bench(&[]);
        let (id, container) = (bench.id.short(), "c".repeat(12));
        for running in [true, false] {
            assert_eq!(
                bench.remove("hello-world", false, &[running]).unwrap_err(),
                format!(
                    "conflict: unable to remove repository reference \"hello-world\" (must force) - container \
                     {container} is using its referenced image {id}"
                )
            );
        }
        assert_eq!(
            bench.remove(&id, false, &[false]).unwrap_err(),
            format!(
                "conflict: unable to delete {id} (must be forced) - image is being used by stopped container {container}"
            )
        );
        for force in [false, true] {
            assert_eq!(
                bench.remove(&id, force, &[true]).unwrap_err(),
                format!(
                    "conflict: unable to delete {id} (cannot be forced) - image is being used by running container {container}"
                )
            );
        }
        tag(&bench.store, "hello-world", "b:1").unwrap();
        assert_eq!(
            bench.remove(&id, false, &[]).unwrap_err(),
            format!(
                "conflict: unable to delete {id} (must be forced) - image is referenced in multiple repositories"
            )
        );
        // A name goes while another is left, whoever uses the image.
        assert_eq!(bench.remove("b:1", false, &[true]).unwrap(), [untagged("b:1")]);
        // Forced, the last name goes and the image stays for the container that runs.
        assert_eq!(bench.remove("hello-world", true, &[true]).unwrap(), [untagged("hello-world:latest")]);
        assert!(bench.has());
        assert_eq!(bench.remove(&id, true, &[false]).unwrap().len(), 2);
        assert!(!bench.has());
    }

    #[test]
    fn prunes_what_nobody_uses() {
        let bench = bench(&[]);
        let users = |used: bool| {
            let user = User { container: "c".repeat(64), image: bench.id, running: false };
            used.then_some(user).into_iter().collect::<Vec<_>>()
        };
        let nothing = Pruned::default();
        assert_eq!(prune(&bench.store, false, &|_| true, &users(false)).unwrap(), nothing, "it has a tag");
        assert_eq!(prune(&bench.store, true, &|_| true, &users(true)).unwrap(), nothing);
        assert_eq!(prune(&bench.store, true, &|_| false, &users(false)).unwrap(), nothing);
        let size = crate::image::size(&bench.store, &bench.store.image(&bench.id).unwrap().unwrap());
        let blobs: u64 = bench.store.blobs().unwrap().iter().map(|(_, size)| size).sum();
        let pruned = prune(&bench.store, true, &|_| true, &users(false)).unwrap();
        assert_eq!(pruned.done.len(), 3, "a name, the image and its layer: {pruned:?}");
        assert_eq!(pruned.bytes, size + blobs);
        assert!(!bench.has());
    }

    #[test]
    fn tells_chain_ids() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let top = Digest::of(format!("{a} {b}").as_bytes());
        assert_eq!(chain_ids(&[a, b], &[(a, 1), (b, 1)].into()), [top, a]);
        assert_eq!(chain_ids(&[a, b], &[(b, 1)].into()), [top]);
    }
}
