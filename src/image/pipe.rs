//! A bounded pipe between two threads that hands buffers over instead of copying them.
//!
//! A few buffers go round: filled by the writer, read by the reader, and back. So each step of a pull
//! holds at most [`BUFFERS`] × [`SIZE`] bytes however large the layer is.

use std::io::{self, BufRead, Read};
use std::ops::Deref;
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

/// Bytes on their way, in memory that goes round with them.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    /// As long as it ever was; cleared once and never again.
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// Reads until [`SIZE`] bytes are there or the input ends.
    pub(super) fn fill(&mut self, input: &mut impl Read) -> io::Result<()> {
        self.bytes.resize(SIZE, 0);
        self.filled = 0;
        while self.filled < SIZE {
            match input.read(&mut self.bytes[self.filled..]) {
                Ok(0) => break,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

/// The end that fills buffers. Dropped before [`Writer::finish`], it makes the reader fail.
#[derive(Debug)]
pub(super) struct Writer {
    full: SyncSender<Buffer>,
    empty: Receiver<Buffer>,
    fresh: usize,
}

/// The end that reads them.
#[derive(Debug)]
pub(super) struct Reader {
    full: Receiver<Buffer>,
    empty: SyncSender<Buffer>,
    chunk: Buffer,
    at: usize,
    ended: bool,
}

/// Makes a pipe.
pub(super) fn pipe() -> (Writer, Reader) {
    let (full_in, full_out) = sync_channel(BUFFERS);
    // One more can be in the hands of each side.
    let (empty_in, empty_out) = sync_channel(BUFFERS + 2);
    let writer = Writer { full: full_in, empty: empty_out, fresh: BUFFERS + 2 };
    let reader = Reader { full: full_out, empty: empty_in, chunk: Buffer::default(), at: 0, ended: false };
    (writer, reader)
}

impl Writer {
    /// Returns a buffer to fill: one that came back, or a new one while there are few.
    pub(super) fn buffer(&mut self) -> io::Result<Buffer> {
        if let Ok(buffer) = self.empty.try_recv() {
            return Ok(buffer);
        }
        if self.fresh > 0 {
            self.fresh -= 1;
            return Ok(Buffer::default());
        }
        self.empty.recv().map_err(|_| abandoned())
    }

    /// Hands a filled buffer to the reader, waiting while too many are on their way.
    pub(super) fn send(&mut self, buffer: Buffer) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        self.full.send(buffer).map_err(|_| abandoned())
    }

    /// Returns an end that whoever writes bytes can write to. They are copied.
    pub(super) fn into_write(self) -> Writing {
        Writing { writer: self, buffer: Buffer::default(), held: false }
    }

    /// Says that this was all.
    pub(super) fn finish(self) -> io::Result<()> {
        self.full.send(Buffer::default()).map_err(|_| abandoned())
    }
}

/// A [`Writer`] for bytes that are elsewhere.
#[derive(Debug)]
pub(super) struct Writing {
    writer: Writer,
    buffer: Buffer,
    /// Whether there is a buffer.
    held: bool,
}

impl Writing {
    /// Hands over the rest, and says that this was all.
    pub(super) fn finish(mut self) -> io::Result<()> {
        io::Write::flush(&mut self)?;
        self.writer.finish()
    }
}

impl io::Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.held {
            self.buffer = self.writer.buffer()?;
            self.buffer.bytes.resize(SIZE, 0);
            self.buffer.filled = 0;
            self.held = true;
        }
        let Buffer { bytes: room, filled } = &mut self.buffer;
        let count = bytes.len().min(SIZE - *filled);
        room[*filled..*filled + count].copy_from_slice(&bytes[..count]);
        *filled += count;
        if *filled == SIZE {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held {
            self.held = false;
            self.writer.send(std::mem::take(&mut self.buffer))?;
        }
        Ok(())
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.chunk.len() && !self.ended {
            let next = self.full.recv().map_err(|_| abandoned())?;
            let old = std::mem::replace(&mut self.chunk, next);
            self.at = 0;
            self.ended = self.chunk.is_empty();
            if !old.bytes.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_bytes_and_failures() {
        let (mut writer, mut reader) = pipe();
        let thread = std::thread::spawn(move || {
            for turn in 0..40u8 {
                let mut buffer = writer.buffer().unwrap();
                buffer.fill(&mut &[turn; 1000][..]).unwrap();
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
        let thread = std::thread::spawn(move || {
            let mut writing = writer.into_write();
            let bytes: Vec<u8> = (0..SIZE + 999).map(|at| at.to_le_bytes()[0]).collect();
            io::Write::write_all(&mut writing, &bytes).unwrap();
            writing.finish().unwrap();
        });
        let mut copied = Vec::new();
        reader.read_to_end(&mut copied).unwrap();
        thread.join().unwrap();
        assert_eq!((copied.len(), copied[257]), (SIZE + 999, 1));

        let (writer, mut reader) = pipe();
        drop(writer);
        let error = anyhow::Error::from(reader.read_to_end(&mut all).unwrap_err()).context("read");
        assert!(is_abandoned(&error));
        assert!(!is_abandoned(&anyhow::Error::from(io::Error::other("x"))));
    }
}
