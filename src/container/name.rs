//! Names of containers: symbolic links in `names/` whose text is an id, so that a name is claimed in one
//! step that fails if it is taken.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result, bail};
use rustix::fs::CWD;

use super::dir::ContainerDir;
use super::event;
use super::protocol::Request;
use crate::store::Store;

/// A name that another container has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Conflict. The container name \"/{name}\" is already in use by container \"{id}\". You have to remove (or rename) that container to be able to reuse that name."
)]
pub struct NameTaken {
    /// The name.
    pub name: String,
    /// The container that has it.
    pub id: String,
}

/// Why no container was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Neither a name nor an id begins so.
    #[error("No such container: {0}")]
    NotFound(String),
    /// Several ids begin so.
    #[error("Multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
}

/// Checks a name as Docker does: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, with an optional slash before it.
pub(super) fn parse(text: &str) -> Result<String> {
    let name = text.strip_prefix('/').unwrap_or(text);
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = name.len() > 1 && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !(first && rest) {
        bail!("Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
    }
    // A file name holds 255 bytes.
    anyhow::ensure!(name.len() <= 255, "Invalid container name ({text}): it is longer than 255 bytes");
    Ok(name.to_owned())
}

/// Claims `name` for the container `id`, which is about to be published.
pub(super) fn claim(store: &Store, name: &str, id: &str) -> Result<()> {
    let path = store.names().join(name);
    take(store, name, || symlink(id, &path))
}

/// Gives a container another name, in one step: it never has two names or none.
pub fn rename(store: &Store, dir: &ContainerDir, wanted: &str) -> Result<()> {
    // Docker names it as it keeps it, with the slash.
    let wanted = parse(&format!("/{}", wanted.strip_prefix('/').unwrap_or(wanted)))
        .context("Error when allocating new name")?;
    let lock = dir.lock()?;
    let id = dir.id();
    let present = of(store, id).with_context(|| format!("find the name of container {}", dir.short_id()))?;
    if present == wanted {
        bail!("Renaming a container with the same name as its current name");
    }
    let names = store.names();
    let taken = take(store, &wanted, || {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        rustix::fs::renameat_with(CWD, names.join(&present), CWD, names.join(&wanted), flags)
            .map_err(io::Error::from)
    });
    taken.context("Error when allocating new name")?;
    drop(lock);
    if let Ok(Some(config)) = dir.try_config() {
        event::note_named(store, &config, &wanted, "rename", &[("oldName", format!("/{present}"))]);
    }
    if dir.is_alive()?
        && let Err(error) = super::control::have_done(store, dir, &Request::Refresh)
        && dir.is_alive()?
    {
        return Err(error.context("tell the container's networks its new name"));
    }
    Ok(())
}

/// Makes a name with `make`, which fails where the name exists. A name that a crash has left is taken over.
fn take(store: &Store, name: &str, make: impl Fn() -> io::Result<()>) -> Result<()> {
    let path = store.names().join(name);
    loop {
        match make() {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("claim name {name}")),
        }
        let Ok(owner) = fs::read_link(&path) else { continue };
        let owner = owner.to_string_lossy().into_owned();
        if !store.is_nobody(&owner) {
            return Err(NameTaken { name: name.to_owned(), id: owner }.into());
        }
        // Left by a crash between the claim and the publication, or by a removal: take it over.
        store.release_dangling(&path, &owner)?;
    }
}

/// Gives up `name` if it is the container `id`'s.
pub(super) fn release(store: &Store, name: &str, id: &str) {
    let path = store.names().join(name);
    if fs::read_link(&path).is_ok_and(|owner| owner.as_os_str() == id) {
        let _ = fs::remove_file(path);
    }
}

/// Returns the name of the container `id` that was called `known`, and most likely still is.
pub(super) fn still(store: &Store, known: &str, id: &str) -> Option<String> {
    let path = store.names().join(known);
    let is_known = !known.is_empty() && fs::read_link(path).is_ok_and(|owner| owner.as_os_str() == id);
    if is_known { Some(known.to_owned()) } else { of(store, id) }
}

/// Returns the name of the container `id`.
pub(super) fn of(store: &Store, id: &str) -> Option<String> {
    by_id(store).ok()?.remove(id)
}

/// Loads all names, by id.
pub(super) fn by_id(store: &Store) -> Result<HashMap<String, String>> {
    let dir = store.names();
    let mut names = HashMap::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?.flatten() {
        if let (Ok(id), Ok(name)) = (fs::read_link(entry.path()), entry.file_name().into_string()) {
            names.insert(id.to_string_lossy().into_owned(), name);
        }
    }
    Ok(names)
}

/// Finds a container by its id, its name (with or without a slash), or the beginning of its id, in this
/// order, as Docker does.
pub fn find(store: &Store, text: &str) -> Result<ContainerDir> {
    let not_found = || anyhow::Error::from(FindError::NotFound(text.to_owned()));
    let is_id = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id && text.len() == 64 {
        let dir = ContainerDir::new(store, text);
        if dir.exists() {
            return Ok(dir);
        }
    }
    if let Ok(name) = parse(text)
        && let Ok(id) = fs::read_link(store.names().join(name))
    {
        let dir = ContainerDir::new(store, &id.to_string_lossy());
        if dir.exists() {
            return Ok(dir);
        }
    }
    if !is_id {
        return Err(not_found());
    }
    let mut found = None;
    for id in ids(store)? {
        if id.starts_with(text) && found.replace(id).is_some() {
            return Err(FindError::Ambiguous(text.to_owned()).into());
        }
    }
    found.map(|id| ContainerDir::new(store, &id)).filter(ContainerDir::exists).ok_or_else(not_found)
}

/// Returns the ids of all containers, in no order.
pub(super) fn ids(store: &Store) -> Result<Vec<String>> {
    let dir = store.containers();
    let entries = fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Makes up a name: an adjective and somebody who knew boats, stars or machines.
pub(super) fn make_up(attempt: u32) -> String {
    const ADJECTIVES: [&str; 56] = [
        "able", "agile", "amber", "ample", "bold", "brave", "brisk", "bright", "calm", "clever", "cosy",
        "crisp", "deft", "eager", "early", "fair", "fleet", "fond", "frank", "free", "gentle", "glad",
        "golden", "grand", "handy", "happy", "hardy", "jolly", "keen", "kind", "light", "lively", "loyal",
        "lucid", "merry", "mild", "neat", "nimble", "noble", "patient", "plucky", "proud", "quick", "quiet",
        "ready", "serene", "sharp", "silver", "sleek", "smart", "steady", "sunny", "swift", "tidy", "vivid",
        "witty",
    ];
    const NAMES: [&str; 64] = [
        "agnesi",
        "airy",
        "bernoulli",
        "bering",
        "bessel",
        "bowditch",
        "brahe",
        "brunel",
        "cabot",
        "cannon",
        "cassini",
        "chichester",
        "cook",
        "coriolis",
        "cousteau",
        "curie",
        "davis",
        "drake",
        "earhart",
        "eratosthenes",
        "euler",
        "faraday",
        "fitzroy",
        "franklin",
        "frobisher",
        "froude",
        "galilei",
        "gauss",
        "germain",
        "halley",
        "harrison",
        "heyerdahl",
        "hopper",
        "hubble",
        "huygens",
        "hypatia",
        "johnson",
        "kepler",
        "knuth",
        "kovalevskaya",
        "lovelace",
        "magellan",
        "marconi",
        "maury",
        "mercator",
        "nansen",
        "napier",
        "newton",
        "noether",
        "pascal",
        "plimsoll",
        "ptolemy",
        "ritchie",
        "ross",
        "rozhdestvensky",
        "shackleton",
        "slocum",
        "stokes",
        "tasman",
        "thompson",
        "torvalds",
        "turing",
        "vespucci",
        "zheng",
    ];
    let random = crate::store::random_id();
    let number = |at: usize| usize::from_str_radix(&random[at..at + 8], 16).unwrap_or(0);
    let mut name = format!("{}_{}", ADJECTIVES[number(0) % ADJECTIVES.len()], NAMES[number(8) % NAMES.len()]);
    if attempt > 5 {
        name.push_str(&random[16..20]);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_names() {
        assert_eq!(parse("web-1").unwrap(), "web-1");
        assert_eq!(parse("/web").unwrap(), "web");
        for bad in ["", "a", "-a", "a/b", "..", "a b", "é1", "/"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&make_up(0)).is_ok());
    }
}
