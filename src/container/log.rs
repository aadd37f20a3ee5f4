//! A container's output on disk, in the form of Docker's `json-file` driver: one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::dir::timestamp;

/// The longest line that is kept in one piece, in bytes, as in Docker.
const LINE_LIMIT: usize = 16 << 10;

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    /// The text, with its newline unless it is a piece of a longer line.
    #[serde(borrow)]
    pub(super) log: std::borrow::Cow<'a, str>,
    pub(super) stream: Stream,
    /// When it was read: RFC 3339, UTC.
    #[serde(borrow)]
    pub(super) time: std::borrow::Cow<'a, str>,
}

/// The log being written.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    partial: [Vec<u8>; 2],
}

impl Writer {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)
            .with_context(|| format!("open log {}", path.display()))?;
        Ok(Self { file, partial: [Vec::new(), Vec::new()] })
    }

    /// Takes in output: whole lines, and pieces of overlong ones, are written; the rest waits for its end.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let partial = &mut self.partial[stream as usize];
        let time = timestamp(jiff::Timestamp::now());
        let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 4 + 128);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                put(&mut out, stream, partial, &time);
                partial.clear();
            }
            while partial.len() >= LINE_LIMIT {
                put(&mut out, stream, &partial[..LINE_LIMIT], &time);
                partial.drain(..LINE_LIMIT);
            }
        }
        partial.shrink_to(LINE_LIMIT);
        // A full disk must not stop the container; what cannot be logged is lost, as in Docker.
        let _ = self.file.write_all(&out);
    }

    /// Writes what has no end of line yet.
    pub(super) fn finish(&mut self) {
        let time = timestamp(jiff::Timestamp::now());
        let mut out = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                put(&mut out, stream, &partial, &time);
            }
        }
        let _ = self.file.write_all(&out);
    }
}

fn put(out: &mut Vec<u8>, stream: Stream, line: &[u8], time: &str) {
    let entry = Entry { log: String::from_utf8_lossy(line), stream, time: time.into() };
    if serde_json::to_writer(&mut *out, &entry).is_ok() {
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::Stream::{Stderr, Stdout};
    use super::*;

    #[test]
    fn writes_lines_and_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::open(&path).unwrap();
        writer.write(Stream::Stdout, b"one\ntw");
        writer.write(Stream::Stderr, b"err\n");
        writer.write(Stream::Stdout, b"o\n");
        writer.write(Stream::Stdout, &vec![b'x'; LINE_LIMIT + 1]);
        writer.write(Stream::Stdout, b"\xff\"");
        writer.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        let entries: Vec<Entry<'_>> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let logs: Vec<_> = entries.iter().map(|entry| (entry.stream, entry.log.len())).collect();
        assert_eq!(logs, [(Stdout, 4), (Stderr, 4), (Stdout, 4), (Stdout, LINE_LIMIT), (Stdout, 5)]);
        assert_eq!(entries[2].log, "two\n");
        assert_eq!(entries[4].log, "x\u{fffd}\"");
    }
}
