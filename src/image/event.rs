//! What images tell the journal.

use std::collections::BTreeMap;

use crate::oci::{Digest, Reference};
use crate::store::{Store, Subject};

/// Notes what was done to the image `id`, which has these labels. `name` is what Docker calls it there: a
/// name, or the id again.
pub(super) fn note(store: &Store, action: &str, id: &str, name: &str, labels: BTreeMap<String, String>) {
    let mut attributes = labels;
    attributes.insert("name".to_owned(), name.to_owned());
    store.note(Subject::Image, action, id, attributes);
}

/// Notes what was done to the image `id`.
pub(super) fn note_id(store: &Store, action: &str, id: &Digest) {
    let text = id.to_string();
    note(store, action, &text, &text, labels(store, id));
}

/// Notes that what a name means has gone to a registry or come from it.
pub(super) fn note_transfer(store: &Store, action: &str, reference: &Reference, id: &Digest) {
    note(store, action, &reference.familiar(), reference.familiar_name(), labels(store, id));
}

/// Returns the labels of an image; none if it cannot be read.
pub(super) fn labels(store: &Store, id: &Digest) -> BTreeMap<String, String> {
    super::open(store, id).map(|image| image.config.config.labels).unwrap_or_default()
}
