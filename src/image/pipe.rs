//! A bounded pipe between two threads that hands buffers over instead of copying them.
//!
//! A few buffers go round: filled by the writer, read by the reader, and back. So each step of a pull
//! holds at most [`BUFFERS`] × [`SIZE`] bytes however large the layer is.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The size of a buffer in bytes.
pub(super) const SIZE: usize = 256 << 10;
/// How many buffers wait in a pipe.
const BUFFERS: usize = 4;

/// What each side sees when the other has failed: not the reason, which the other side tells.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("another step of the work failed")]
struct Abandoned;

/// Tells whether an error only says that another step has failed.
pub(super) fn is_abandoned(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Abandoned>)
    })
}

fn abandoned() -> io::Error {
    io::Error::other(Abandoned)
}

/// The end that fills buffers. Dropped before [`Writer::finish`], it makes the reader fail.
#[derive(Debug)]
pub(super) struct Writer {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    fresh: usize,
}

/// The end that reads them.
#[derive(Debug)]
pub(super) struct Reader {
    full: Receiver<Vec<u8>>,
    empty: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

/// Makes a pipe.
pub(super) fn pipe() -> (Writer, Reader) {
    let (full_in, full_out) = sync_channel(BUFFERS);
    // One more can be in the hands of each side.
    let (empty_in, empty_out) = sync_channel(BUFFERS + 2);
    let writer = Writer { full: full_in, empty: empty_out, fresh: BUFFERS + 2 };
    let reader = Reader { full: full_out, empty: empty_in, chunk: Vec::new(), at: 0, ended: false };
    (writer, reader)
}

impl Writer {
    /// Returns an empty buffer to fill: one that came back, or a new one while there are few.
    pub(super) fn buffer(&mut self) -> io::Result<Vec<u8>> {
        if let Ok(buffer) = self.empty.try_recv() {
            return Ok(buffer);
        }
        if self.fresh > 0 {
            self.fresh -= 1;
            return Ok(Vec::with_capacity(SIZE));
        }
        self.empty.recv().map_err(|_| abandoned())
    }

    /// Hands a filled buffer to the reader, waiting while too many are on their way.
    pub(super) fn send(&mut self, buffer: Vec<u8>) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        self.full.send(buffer).map_err(|_| abandoned())
    }

    /// Says that this was all.
    pub(super) fn finish(self) -> io::Result<()> {
        self.full.send(Vec::new()).map_err(|_| abandoned())
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len() && !self.ended {
            let next = self.full.recv().map_err(|_| abandoned())?;
            let mut old = std::mem::replace(&mut self.chunk, next);
            self.at = 0;
            self.ended = self.chunk.is_empty();
            if old.capacity() > 0 {
                old.clear();
                // If the writer is done, nobody needs it.
                let _ = self.empty.try_send(old);
            }
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill_buf()?;
        let count = chunk.len().min(out.len());
        out[..count].copy_from_slice(&chunk[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Reads until `buffer` has [`SIZE`] bytes or the input ends.
pub(super) fn fill(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize(SIZE, 0);
    let mut filled = 0;
    while filled < SIZE {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_bytes_and_failures() {
        let (mut writer, mut reader) = pipe();
        let thread = std::thread::spawn(move || {
            for turn in 0..40u8 {
                let mut buffer = writer.buffer().unwrap();
                buffer.extend_from_slice(&[turn; 1000]);
                writer.send(buffer).unwrap();
            }
            writer.finish().unwrap();
        });
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        thread.join().unwrap();
        assert_eq!(all.len(), 40_000);
        assert_eq!(all[39_999], 39);

        let (writer, mut reader) = pipe();
        drop(writer);
        let error = anyhow::Error::from(reader.read_to_end(&mut all).unwrap_err()).context("read");
        assert!(is_abandoned(&error));
        assert!(!is_abandoned(&anyhow::Error::from(io::Error::other("x"))));
    }
}
