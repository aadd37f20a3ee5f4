//! The bytes of an archive on their way out, in large pieces.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;

use super::header::{BLOCK, Header};
use crate::oci::{Digest, Hasher};

/// The size of a piece in bytes.
const SIZE: usize = 512 << 10;

/// An archive being written. File contents are read straight into the piece that goes out.
#[derive(Debug)]
pub(in crate::image) struct Output<W> {
    sink: W,
    bytes: Box<[u8]>,
    filled: usize,
    header: Vec<u8>,
}

impl<W: Write> Output<W> {
    /// Begins an archive.
    pub(in crate::image) fn new(sink: W) -> Self {
        Self { sink, bytes: vec![0; SIZE].into_boxed_slice(), filled: 0, header: Vec::new() }
    }

    /// Writes a header.
    pub(in crate::image) fn header(&mut self, header: &Header<'_>) -> Result<()> {
        let mut bytes = std::mem::take(&mut self.header);
        bytes.clear();
        header.write(&mut bytes);
        let result = self.put(&bytes);
        self.header = bytes;
        result
    }

    /// Writes the content of a member from memory.
    pub(in crate::image) fn content(&mut self, bytes: &[u8]) -> Result<()> {
        self.put(bytes)?;
        self.pad(bytes.len() as u64)
    }

    /// Writes `size` bytes of an open file. One that has become shorter meanwhile is filled up with zeros,
    /// as tar(1) does: the header is out already. Returns how many bytes were really there.
    pub(in crate::image) fn file(&mut self, file: BorrowedFd<'_>, size: u64) -> Result<u64> {
        let read = self.part(file, size)?;
        self.pad(size)?;
        Ok(read)
    }

    /// Writes `size` bytes of an open file, from where it is read next, as a part of a content.
    pub(in crate::image) fn part(&mut self, file: BorrowedFd<'_>, size: u64) -> Result<u64> {
        let mut left = size;
        while left > 0 {
            if self.filled == SIZE {
                self.flush()?;
            }
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(SIZE - self.filled);
            match rustix::io::read(file, &mut self.bytes[self.filled..self.filled + room]) {
                Ok(0) => break,
                Ok(count) => {
                    self.filled += count;
                    left -= count as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("read it"),
            }
        }
        self.zeros(left)?;
        Ok(size - left)
    }

    /// Writes `size` bytes of an open file by the kernel's own copying, as far as the two files allow.
    pub(in crate::image) fn copy(&mut self, file: &File, size: u64) -> Result<()> {
        self.flush()?;
        let copied = io::copy(&mut file.take(size), &mut self.sink)?;
        ensure!(copied == size, "it ends after {copied} of {size} bytes");
        self.pad(size)
    }

    /// Writes the end of the archive, and returns where it went.
    pub(in crate::image) fn finish(mut self) -> Result<W> {
        self.zeros(2 * BLOCK as u64)?;
        self.flush()?;
        self.sink.flush().context("write the archive")?;
        Ok(self.sink)
    }

    /// Fills the last block of a content.
    pub(in crate::image) fn pad(&mut self, size: u64) -> Result<()> {
        self.zeros(size.next_multiple_of(BLOCK as u64) - size)
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.filled == SIZE {
                self.flush()?;
            }
            let count = bytes.len().min(SIZE - self.filled);
            self.bytes[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn zeros(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            if self.filled == SIZE {
                self.flush()?;
            }
            let part = usize::try_from(count).unwrap_or(usize::MAX).min(SIZE - self.filled);
            self.bytes[self.filled..self.filled + part].fill(0);
            self.filled += part;
            count -= part as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.sink.write_all(&self.bytes[..self.filled]).context("write the archive")?;
        self.filled = 0;
        Ok(())
    }
}

impl<W: Write> Write for Output<W> {
    /// Writes bytes of a member's content; whoever does that pads it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush().map_err(io::Error::other)?;
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Output::flush(self).map_err(io::Error::other)?;
        self.sink.flush()
    }
}

/// A writer that hashes what goes through it.
#[derive(Debug)]
pub(super) struct Hashing<W> {
    sink: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Hashing<W> {
    /// Hashes what goes to `sink`.
    pub(super) fn new(sink: W) -> Self {
        Self { sink, hasher: Hasher::new(), size: 0 }
    }

    /// Returns the digest and the number of the bytes.
    pub(super) fn done(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
