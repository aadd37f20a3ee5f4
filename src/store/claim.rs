//! Claims: who is bringing in which blob, so that many who want the same bytes do the work once.
//!
//! A claim is a lock on `locks/claim-<digest>` with the holder's process id in the file. It is the one lock
//! that is held while waiting for a network, and the one on which only those wait who want these very bytes:
//! nothing else stops for it. Like every lock it ends with its holder, however that ends; who gets it then
//! looks what is there and does what is left.
//!
//! A waiter leaves a mark in the file. A holder that has finished the blob and still has others to bring in
//! sees the mark and publishes early ([`Claim::is_wanted`]); so nobody waits for bytes that have come, and two
//! who each wait for what the other has finished cannot exist.
//!
//! The file is removed with the claim. Whoever locks a file that is no longer the one of that name has locked
//! the past, and tries again.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Lock, Mode, Store};
use crate::oci::Digest;

/// What the names of claims begin with.
const PREFIX: &str = "claim-";
/// The length of what a holder writes: ten digits and a line's end. What comes after it are marks of waiters.
const HOLDER: u64 = 11;
/// How long a waiter sleeps between two looks, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(80));

/// The right to bring in one blob and to unpack it, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    lock: Lock,
}

impl Store {
    /// Takes the claim on `blob`, waiting for another holder. `waiting` is called again and again meanwhile,
    /// with the holder's process id if it is known; once it returns `false`, nobody waits any longer and
    /// there is no claim.
    pub fn claim(
        &self,
        blob: &Digest,
        mut waiting: impl FnMut(Option<u32>) -> bool,
    ) -> Result<Option<Claim>> {
        let path = self.root().join("locks").join(format!("{PREFIX}{}", blob.hex()));
        let claiming = || format!("claim blob {}", blob.short());
        let mut pause = PAUSE.0;
        loop {
            if let Some(lock) = Lock::try_take(&path, Mode::Exclusive).with_context(claiming)? {
                if !is_at(&lock, &path) {
                    continue;
                }
                let mut file = lock.file();
                file.set_len(0)
                    .and_then(|()| file.write_all(format!("{:10}\n", std::process::id()).as_bytes()))
                    .with_context(claiming)?;
                return Ok(Some(Claim { path, lock }));
            }
            if !waiting(mark(&path)) {
                return Ok(None);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Removes the claims that killed processes have left.
    pub(super) fn sweep_claims(&self) {
        let Ok(entries) = fs::read_dir(self.root().join("locks")) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
                && let Ok(Some(lock)) = Lock::try_take(&path, Mode::Exclusive)
                && is_at(&lock, &path)
            {
                drop(Claim { path, lock });
            }
        }
    }
}

impl Claim {
    /// Tells whether somebody has waited for it.
    pub fn is_wanted(&self) -> bool {
        self.lock.file().metadata().is_ok_and(|meta| meta.len() > HOLDER)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While the lock is held the name is ours. One that stays is taken over by the next holder.
        let _ = fs::remove_file(&self.path);
    }
}

/// Tells whether the locked file still has its name.
fn is_at(lock: &Lock, path: &Path) -> bool {
    match (lock.file().metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Leaves a waiter's mark, unless there is one, and returns the holder's process id.
fn mark(path: &Path) -> Option<u32> {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).ok()?;
    let mut text = String::new();
    (&mut file).take(HOLDER + 1).read_to_string(&mut text).ok()?;
    if text.len() as u64 == HOLDER {
        // Past the holder's own words: a holder that starts over now takes the mark away, and the next look
        // leaves another.
        file.seek(SeekFrom::Start(HOLDER)).and_then(|_| file.write_all(b"w")).ok()?;
    }
    text.lines().next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    #[test]
    fn goes_from_one_to_the_next() {
        let (_dir, store) = scratch();
        let blob = Digest::of(b"blob");
        let first = store.claim(&blob, |_| panic!("nobody is in the way")).unwrap().unwrap();
        assert!(!first.is_wanted());
        let mut looks = 0;
        let second = store
            .claim(&blob, |holder| {
                assert_eq!(holder, Some(std::process::id()));
                looks += 1;
                looks < 3
            })
            .unwrap();
        assert!(second.is_none() && first.is_wanted());
        let waiter = store.clone();
        let thread = thread::spawn(move || waiter.claim(&blob, |_| true).unwrap().unwrap());
        while !first.is_wanted() {
            thread::yield_now();
        }
        drop(first);
        let second = thread.join().unwrap();
        assert!(!second.is_wanted());
        store.sweep_claims();
        assert!(second.path.exists(), "it is held");
        drop(second);
        assert_eq!(fs::read_dir(store.root().join("locks")).unwrap().count(), 0);
        fs::write(store.root().join("locks/claim-x"), "").unwrap();
        store.sweep_claims();
        assert_eq!(fs::read_dir(store.root().join("locks")).unwrap().count(), 0);
    }

    #[test]
    fn has_one_holder_at_a_time() {
        let (_dir, store) = scratch();
        let blob = Digest::of(b"blob");
        let inside = std::sync::atomic::AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let claim = store.claim(&blob, |_| true).unwrap().unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
    }
}
