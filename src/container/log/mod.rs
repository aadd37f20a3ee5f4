//! A container's output on disk, in the form of Docker's `json-file` driver: one JSON object a line.
//!
//! A bounded log is several files: `<log>` is the newest, `<log>.1` the one before it, and so on. A full one is
//! renamed between two lines, so a line is never in two files.
//!
//! A log that goes to the system's journal is written here all the same, bounded, so that it can be read back.

mod attributes;
mod bounds;
mod journal;
mod line;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::config::ContainerConfig;
use super::dir::timestamp;
use journal::Journal;
use line::Frame;

use bounds::Bounds;

/// The longest line that is kept in one piece, in bytes, as in Docker.
const LINE_LIMIT: usize = 16 << 10;

/// How many bytes are written at once, about. Kept for the next ones, they are the memory that a log takes.
const BATCH: usize = 256 << 10;

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

/// Returns the path of the file that is so many files older than the present one.
fn older(path: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

/// Opens the files of a log, the oldest first.
pub(super) fn open_all(path: &Path) -> io::Result<Vec<File>> {
    let mut found: Vec<(u64, File)> = Vec::new();
    let mut missing = 0;
    // The newest first: one that is renamed meanwhile is found twice, and none is missed.
    for age in 0.. {
        match File::open(older(path, age)) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                if found.iter().all(|(known, _)| *known != inode) {
                    found.push((inode, file));
                }
            }
            // Between two renames one is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing < 2 => missing += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found.into_iter().rev().map(|(_, file)| file).collect())
}

impl<'a> Entry<'a> {
    /// Reads a line as [`Writer`] writes those of plain text without attributes, which are nearly all: much
    /// faster than any JSON.
    pub(super) fn of_plain(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"{\"log\":\"")?;
        // The first quotation mark or escape ends it.
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        let (text, rest) = rest.split_at(at);
        let text = std::str::from_utf8(text).ok()?;
        let (log, rest) = match rest.strip_prefix(b"\\n") {
            Some(rest) => (std::borrow::Cow::Owned([text, "\n"].concat()), rest),
            None => (text.into(), rest),
        };
        let rest = rest.strip_prefix(b"\",\"stream\":\"std")?;
        let (stream, rest) = match rest.strip_prefix(b"out") {
            Some(rest) => (Stream::Stdout, rest),
            None => (Stream::Stderr, rest.strip_prefix(b"err")?),
        };
        let time = rest.strip_prefix(b"\",\"time\":\"")?.strip_suffix(b"\"}\n")?;
        let time = std::str::from_utf8(time).ok().filter(|time| !time.contains(['"', '\\']))?;
        Some(Self { log, stream, time: time.into() })
    }
}

/// Refuses a log that cannot be written, with Docker's complaints.
pub(super) fn check(config: &ContainerConfig) -> Result<()> {
    Bounds::of(config)?;
    attributes::of(config, "")?;
    if config.journald { journal::check() } else { Ok(()) }
}

/// The log being written.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    /// What is in the file, in bytes.
    size: u64,
    bounds: Bounds,
    partial: [Vec<u8>; 2],
    /// Entries that are not written yet.
    out: Vec<u8>,
    /// What is said of every line, ready to be written.
    attributes: String,
    /// The system's journal, if lines go there too.
    journal: Option<Journal>,
}

impl Writer {
    /// Opens the log of a container that is called `name`.
    pub(super) fn open(path: &Path, config: &ContainerConfig, name: &str) -> Result<Self> {
        let mut writer = Self::bounded(path, Bounds::of(config)?)?;
        let said = attributes::of(config, name)?;
        if config.journald {
            writer.journal = Some(Journal::connect(config, name, &said)?);
        }
        if !said.is_empty() {
            let said = serde_json::to_string(&said).context("write down what is said of each line")?;
            let _ = write!(writer.attributes, ",\"attrs\":{said}");
        }
        Ok(writer)
    }

    fn bounded(path: &Path, bounds: Bounds) -> Result<Self> {
        let file = open(path).with_context(|| format!("open log {}", path.display()))?;
        let size = file.metadata().with_context(|| format!("look at log {}", path.display()))?.len();
        let partial = [Vec::new(), Vec::new()];
        let path = path.to_owned();
        Ok(Self {
            path,
            file,
            size,
            bounds,
            partial,
            out: Vec::new(),
            attributes: String::new(),
            journal: None,
        })
    }

    /// Appends whole lines, and begins a new file where the present one is full.
    fn append(&mut self, mut lines: &[u8]) {
        while !lines.is_empty() {
            let room = usize::try_from(self.bounds.size.saturating_sub(self.size)).unwrap_or(usize::MAX);
            // The line that fills it is its last one.
            let end = match room {
                0 => 0,
                room if room >= lines.len() => lines.len(),
                room => memchr::memchr(b'\n', &lines[room - 1..]).map_or(lines.len(), |at| room + at),
            };
            // A full disk must not stop the container; what cannot be logged is lost, as in Docker.
            let _ = self.file.write_all(&lines[..end]);
            self.size += end as u64;
            lines = &lines[end..];
            if self.size >= self.bounds.size {
                self.rotate();
            }
        }
    }

    /// Makes the present file an older one. Where that fails, it becomes larger.
    fn rotate(&mut self) {
        self.size = 0;
        for age in (1..self.bounds.files).rev() {
            let _ = fs::rename(older(&self.path, age - 1), older(&self.path, age));
        }
        if self.bounds.files == 1 {
            let _ = fs::remove_file(&self.path);
        }
        if let Ok(file) = open(&self.path) {
            self.file = file;
        }
    }

    /// Takes in output: whole lines, and pieces of overlong ones, are written; the rest waits for its end.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        let frame = Frame::new(stream, &self.attributes, &timestamp(jiff::Timestamp::now()));
        let mut rest = bytes;
        while !rest.is_empty() {
            if partial.is_empty() && self.journal.is_none() {
                rest = frame.put_lines(&mut self.out, rest, BATCH);
                if self.out.len() >= BATCH {
                    self.flush();
                    continue;
                }
            }
            let room = LINE_LIMIT - partial.len();
            let near = &rest[..rest.len().min(room)];
            let end = memchr::memchr(b'\n', near).map_or(near.len(), |at| at + 1);
            let (head, tail) = rest.split_at(end);
            partial.extend_from_slice(head);
            rest = tail;
            if partial.len() == LINE_LIMIT || partial.ends_with(b"\n") {
                self.put(&frame, stream, &partial);
                partial.clear();
            }
        }
        self.partial[stream as usize] = partial;
        self.flush();
    }

    /// Writes what has no end of line yet.
    pub(super) fn finish(&mut self) {
        let time = timestamp(jiff::Timestamp::now());
        for stream in [Stream::Stdout, Stream::Stderr] {
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                self.put(&Frame::new(stream, &self.attributes, &time), stream, &partial);
            }
        }
        self.flush();
    }

    /// Gives back the memory that a burst has taken.
    pub(super) fn rest(&mut self) {
        self.out = Vec::new();
        for partial in &mut self.partial {
            partial.shrink_to_fit();
        }
    }

    /// Puts an entry to those that are to be written, and sends it to the journal.
    fn put(&mut self, frame: &Frame, stream: Stream, line: &[u8]) {
        frame.put(&mut self.out, line);
        if let Some(journal) = &self.journal {
            journal.send(stream, line);
        }
    }

    /// Writes the entries that have come together.
    fn flush(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        self.append(&out);
        out.clear();
        self.out = out;
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::Stream::{Stderr, Stdout};
    use super::*;

    #[test]
    fn writes_lines_and_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::bounded(&path, Bounds { size: u64::MAX, files: 1 }).unwrap();
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

    #[test]
    fn any_cut_and_any_text_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut text: Vec<u8> = (0..0x80).collect();
        text.extend("é\u{2028}\n\n".bytes());
        text.extend(std::iter::repeat_n(b'y', 3 * LINE_LIMIT + 5));
        text.extend(b"\nlast");
        for size in [1, 7, 4096, LINE_LIMIT, LINE_LIMIT + 1, 1 << 20] {
            let path = dir.path().join(size.to_string());
            let mut writer = Writer::bounded(&path, Bounds { size: u64::MAX, files: 1 }).unwrap();
            for chunk in text.chunks(size) {
                writer.write(Stdout, chunk);
            }
            writer.finish();
            let logged = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<_> = logged
                .lines()
                .map(|line| serde_json::from_str::<Entry<'_>>(line).unwrap().log.into_owned())
                .collect();
            assert_eq!(lines.concat().into_bytes(), text, "{size}");
            assert_eq!(lines.iter().filter(|line| line.len() == LINE_LIMIT).count(), 3, "{size}");
        }
    }

    #[test]
    fn plain_lines_are_read_as_any_json() {
        for line in [
            r#"{"log":"hello\n","stream":"stdout","time":"2026-01-01T00:00:00.000000000Z"}"#,
            r#"{"log":"piece é","stream":"stderr","time":"t"}"#,
            r#"{"log":"","stream":"stderr","time":""}"#,
        ] {
            let line = format!("{line}\n");
            assert_eq!(
                Entry::of_plain(line.as_bytes()).unwrap(),
                serde_json::from_str::<Entry<'_>>(&line).unwrap(),
                "{line}"
            );
        }
        for line in [
            r#"{"log":"a\tb","stream":"stdout","time":"t"}"#,
            r#"{"log":"a\nb","stream":"stdout","time":"t"}"#,
            r#"{"log":"a","stream":"stdout","attrs":{"time":"x"},"time":"t"}"#,
            r#"{"log":"a","stream":"stdin","time":"t"}"#,
            r#"{"log":"a","stream":"stdout","time":"t","x":"y"}"#,
            r#"{"log":"a"#,
        ] {
            assert_eq!(Entry::of_plain(format!("{line}\n").as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_bounded_log_is_several_files_of_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::bounded(&path, Bounds { size: 1000, files: 3 }).unwrap();
        for line in 0..100 {
            writer.write(Stdout, format!("line {line}\n").as_bytes());
        }
        let mut lines = Vec::new();
        let mut files = 0;
        for mut file in open_all(&path).unwrap() {
            let mut text = String::new();
            io::Read::read_to_string(&mut file, &mut text).unwrap();
            assert!(text.len() < 1200);
            files += 1;
            for line in text.lines() {
                lines.push(serde_json::from_str::<Entry<'_>>(line).unwrap().log.into_owned());
            }
        }
        assert_eq!((files, lines.last().map(String::as_str)), (3, Some("line 99\n")));
        let first: usize = lines[0].trim_end()[5..].parse().unwrap();
        assert_eq!(lines.len(), 100 - first);
        assert!(first > 50);
    }
}
