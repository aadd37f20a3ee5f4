//! `network …`

pub(super) mod connect;
pub(super) mod create;
pub(super) mod ls;
pub(super) mod prune;
pub(super) mod rm;

use std::collections::BTreeMap;

/// Reads `key=value` words; a key alone has an empty value.
fn pairs(words: &[String]) -> BTreeMap<String, String> {
    words.iter().map(|word| word.split_once('=').unwrap_or((word, ""))).map(own).collect()
}

fn own((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}
