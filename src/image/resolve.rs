//! From what people type to the image they mean.

use anyhow::{Context, Result};

use super::event;
use super::layers::layer_blobs;
use super::{Image, open};
use crate::oci::{Digest, ParseReferenceError, Reference};
use crate::store::{ImageRecord, Mode, Name, RefRecord, Selector, Store};

/// Why a text means no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Nothing here has this name or id.
    #[error("No such image: {0}")]
    NotFound(String),
    /// Several ids begin like this.
    #[error("ambiguous image id {0}: several images begin with it")]
    Ambiguous(String),
    /// The text can be no name.
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
}

/// Returns the image that `text` means: a full id, else a name by Docker's rules, else the beginning of
/// just one id, with or without `sha256:`.
///
/// What another store lends is borrowed first.
///
/// An error of [`ResolveError`] says that there is no such image; others, that the store cannot be read.
pub fn resolve(store: &Store, text: &str) -> Result<ImageRecord> {
    let error = match resolve_own(store, text) {
        Err(error) if matches!(error.downcast_ref(), Some(ResolveError::NotFound(_))) => error,
        other => return other,
    };
    let Some((lender, image)) = lent(store, text) else { return Err(error) };
    let borrow = || {
        let layers = layer_blobs(&lender, &image)?;
        let mut documents = vec![image.id, image.manifest];
        // The index that a name was pulled by, if it is there: a push of the name wants it.
        let names = lender.refs()?.into_iter().filter(|(_, record)| record.id == image.id);
        documents.extend(names.map(|(_, record)| record.target).filter(|it| lender.blob_size(it).is_some()));
        store.borrow_image(&lender, &image, &documents, &layers)
    };
    borrow().with_context(|| format!("borrow image {} of {}", image.id.short(), lender.root().display()))?;
    Ok(image)
}

/// Returns the image that `text` means, here or in a store to borrow from, and leaves it where it is.
pub fn look(store: &Store, text: &str) -> Result<Image> {
    match resolve_own(store, text) {
        Ok(image) => open(store, &image.id),
        Err(error) => match lent(store, text) {
            Some((lender, image)) => open(&lender, &image.id),
            None => Err(error),
        },
    }
}

/// Returns the image of another store that `text` means, and that store.
pub(super) fn lent(store: &Store, text: &str) -> Option<(Store, ImageRecord)> {
    store.additional().find_map(|lender| resolve_own(&lender, text).ok().map(|image| (lender, image)))
}

/// Does so among the store's own images.
pub(super) fn resolve_own(store: &Store, text: &str) -> Result<ImageRecord> {
    if let Some(id) = full_id(text) {
        return store.image(&id)?.ok_or_else(|| ResolveError::NotFound(text.to_owned()).into());
    }
    let parsed = Reference::parse(text).map(Reference::with_default_tag);
    if let Ok(reference) = &parsed
        && let Some(record) = store.get_ref(&name_of(reference))?
        && let Some(image) = store.image(&record.id)?
    {
        return Ok(image);
    }
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    if (1..64).contains(&prefix.len()) && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        let mut found = store.images()?.into_iter().filter(|image| image.id.hex().starts_with(prefix));
        match (found.next(), found.next()) {
            (Some(image), None) => return Ok(image),
            (Some(_), Some(_)) => return Err(ResolveError::Ambiguous(text.to_owned()).into()),
            (None, _) => {}
        }
    }
    match parsed {
        Ok(reference) => Err(ResolveError::NotFound(reference.familiar()).into()),
        Err(_) if text.starts_with("sha256:") => Err(ResolveError::NotFound(text.to_owned()).into()),
        Err(error) => Err(ResolveError::Reference(error).into()),
    }
}

/// Returns the id that `text` is, if it is a whole one.
pub(super) fn full_id(text: &str) -> Option<Digest> {
    Digest::from_hex(text.strip_prefix("sha256:").unwrap_or(text)).ok()
}

/// Returns the store's name for a reference; its digest counts more than its tag, as with Docker.
pub fn name_of(reference: &Reference) -> Name {
    let selector = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => Selector::Digest(digest),
        (None, tag) => Selector::Tag(tag.unwrap_or("latest").to_owned()),
    };
    Name { repository: reference.repository().to_owned(), selector }
}

/// Gives an image the name that a registry knows it by, its digest in a repository, unless the image is removed
/// meanwhile.
pub(super) fn known_as(store: &Store, repository: &str, meaning: &RefRecord) -> Result<()> {
    let name = Name { repository: repository.to_owned(), selector: Selector::Digest(meaning.target) };
    if store.get_ref(&name)?.as_ref() == Some(meaning) {
        return Ok(());
    }
    // A removal of the image happens before or after, not between these lines.
    let _gc = store.lock("gc", Mode::Shared)?;
    if store.image(&meaning.id)?.is_some() {
        store.put_ref(&name, meaning)?;
        store.rebuild_index()?;
    }
    Ok(())
}

/// Makes `target` another name of the image that `source` means.
pub fn tag(store: &Store, source: &str, target: &str) -> Result<()> {
    let target = Reference::parse(target)
        .map_err(ResolveError::Reference)
        .with_context(|| format!("Error parsing reference: \"{target}\" is not a valid repository/tag"))?;
    anyhow::ensure!(target.digest().is_none(), "refusing to create a tag with a digest reference");
    let target = name_of(&target);
    let image = resolve(store, source)?;
    // A removal of the image happens before or after, not between these lines.
    let _gc = store.lock("gc", Mode::Shared)?;
    if store.image(&image.id)?.is_none() {
        return Err(ResolveError::NotFound(source.to_owned()).into());
    }
    // An image of an index stays one of it, so that the index can be pushed under the new name.
    let known = target_of(store, source, &image)?;
    store.put_ref(&target, &RefRecord { id: image.id, target: known })?;
    store.rebuild_index()?;
    let labels = event::labels(store, &image.id);
    event::note(store, "tag", &image.id.to_string(), &super::familiar(&target), labels);
    Ok(())
}

/// Returns the digest that `source` knows `image` by: of the index that the name stands for, or that all names of the
/// image stand for if it is said by its id; else of its manifest.
fn target_of(store: &Store, source: &str, image: &ImageRecord) -> Result<Digest> {
    let reference = Reference::parse(source).map(Reference::with_default_tag);
    if let Ok(reference) = reference
        && let Some(record) = store.find_ref(&name_of(&reference))?.filter(|record| record.id == image.id)
    {
        return Ok(record.target);
    }
    let refs = store.all_refs()?.into_iter();
    let mut targets = refs.filter(|(_, record)| record.id == image.id).map(|(_, record)| record.target);
    let first = targets.next().unwrap_or(image.manifest);
    Ok(if targets.all(|target| target == first) { first } else { image.manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(store: &Store, id: Digest) -> ImageRecord {
        let record =
            ImageRecord { id, manifest: Digest::of(b"m"), media_type: "m".into(), size: 1, layers: vec![] };
        store.put_image(&record).unwrap();
        record
    }

    #[test]
    fn finds_by_name_and_id() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data"), &dir.path().join("run")).unwrap();
        let id = |digit: &str| Digest::from_hex(&format!("abc{digit}{}", "0".repeat(60))).unwrap();
        let (one, two) = (image(&store, id("1")), image(&store, id("2")));
        let error = |text: &str| resolve(&store, text).unwrap_err().downcast::<ResolveError>().unwrap();
        let name = name_of(&Reference::parse("web").unwrap().with_default_tag());
        store.put_ref(&name, &RefRecord { id: one.id, target: one.manifest }).unwrap();
        let by_digest = name_of(&Reference::parse("web").unwrap().with_digest(two.manifest));
        store.put_ref(&by_digest, &RefRecord { id: two.id, target: two.manifest }).unwrap();
        for text in ["web", "web:latest", "docker.io/library/web", "abc1", "sha256:abc1", &one.id.hex()] {
            assert_eq!(resolve(&store, text).unwrap(), one, "{text}");
        }
        assert_eq!(resolve(&store, &format!("web:x@{}", two.manifest)).unwrap(), two);
        assert_eq!(error("abc"), ResolveError::Ambiguous("abc".into()));
        assert_eq!(error("web:1").to_string(), "No such image: web:1");
        assert_eq!(error("nothing").to_string(), "No such image: nothing:latest");
        assert_eq!(error("dead").to_string(), "No such image: dead:latest");
        assert!(matches!(error("Bad Name"), ResolveError::Reference(_)));

        tag(&store, "web", "localhost:5000/other/web:2").unwrap();
        assert_eq!(resolve(&store, "localhost:5000/other/web:2").unwrap(), one);
        // A name that looks like an id means the name.
        tag(&store, "abc1", "abc2").unwrap();
        assert_eq!(resolve(&store, "abc2").unwrap(), one);
        assert!(tag(&store, "nothing", "x").is_err());
    }
}
