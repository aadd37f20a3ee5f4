//! Several layers worked at side by side.

use std::io::{self, Read};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

/// Returns how many layers are worked at side by side: Docker's number of downloads, and more where there are
/// processors for them. Each takes a few megabytes of memory.
pub(super) fn width() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).clamp(3, 6)
}

/// Does `one` for each of `work`, beginning in their order, [`width`] at once. The first error stops all:
/// nothing more is begun, and `one` sees the flag that it is handed.
pub(super) fn side_by_side<T: Sync>(
    work: &[T],
    one: impl Fn(&T, &AtomicBool) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let worker = || {
        while !stop.load(Ordering::Relaxed) {
            let Some(item) = work.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Err(error) = one(item, &stop) {
                stop.store(true, Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..width().min(work.len()) {
            thread::Builder::new().spawn_scoped(scope, worker).context("start a thread")?;
        }
        worker();
        Ok::<_, anyhow::Error>(())
    })?;
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// A stream that ends with an error when other work has failed, so that nobody waits for it.
#[derive(Debug)]
pub(super) struct Stoppable<'a, R> {
    inner: R,
    stop: &'a AtomicBool,
}

impl<'a, R> Stoppable<'a, R> {
    /// Reads `inner` until `stop` says otherwise.
    pub(super) fn new(inner: R, stop: &'a AtomicBool) -> Self {
        Self { inner, stop }
    }
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_all_or_stops() {
        let done = AtomicUsize::new(0);
        let work: Vec<usize> = (0..100).collect();
        side_by_side(&work, |item, _| {
            done.fetch_add(*item, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(done.into_inner(), 4950);

        let begun = AtomicUsize::new(0);
        let error = side_by_side(&work, |item, stop| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item == 2 {
                anyhow::bail!("the third");
            }
            while *item > 2 && !stop.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            Ok(())
        });
        assert_eq!(error.unwrap_err().to_string(), "the third");
        assert!(begun.into_inner() <= 3 + width());
    }
}
