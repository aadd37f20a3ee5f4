//! A container's output on disk, in the form of Docker's `json-file` driver: one JSON object a line.
//!
//! A bounded log is several files: `<log>` is the newest, `<log>.1` the one before it, and so on. A full one is
//! renamed between two lines, so a line is never in two files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::config::{ContainerConfig, LogDriver};
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

/// How large a log may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The size at which a file is full, in bytes.
    pub(super) size: u64,
    /// How many files there are.
    pub(super) files: u32,
}

impl Bounds {
    /// Reads the options of a container's log, with Docker's complaints.
    pub(super) fn of(config: &ContainerConfig) -> Result<Self> {
        let (name, mut bounds) = match config.log {
            LogDriver::Local => ("local", Self { size: 20_000_000, files: 5 }),
            LogDriver::JsonFile | LogDriver::None => ("json-file", Self { size: u64::MAX, files: 1 }),
        };
        for (key, value) in &config.log_options {
            match key.as_str() {
                "max-size" => bounds.size = size(value)?,
                "max-file" => {
                    let files: i64 = value.parse().with_context(|| format!("invalid max-file {value:?}"))?;
                    bounds.files = match u32::try_from(files) {
                        Ok(files) if files > 0 => files,
                        _ => bail!("max-file cannot be less than 1"),
                    };
                }
                // What these add to each line or take from the disk is not there; to ask for none of it is fine.
                "compress" if value == "false" => {}
                "mode" if matches!(value.as_str(), "" | "blocking") => {}
                "compress" | "mode" | "labels" | "labels-regex" | "env" | "env-regex" | "tag"
                | "max-buffer-size" => {
                    bail!("log opt {key}={value} is not supported: there are max-size and max-file")
                }
                _ => bail!("unknown log opt '{key}' for {name} log driver"),
            }
        }
        if bounds.files > 1 && bounds.size == u64::MAX {
            bail!("cannot use max-file without max-size");
        }
        Ok(bounds)
    }
}

/// Reads a size as Docker does here: `10m` is ten million bytes.
fn size(text: &str) -> Result<u64> {
    let bad = || anyhow::anyhow!("invalid size: '{text}'");
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let bare = bare.strip_suffix('i').unwrap_or(bare);
    let power = bare.chars().last().and_then(|unit| "kmgtp".find(unit));
    let (number, factor) = match power {
        Some(power) => (&bare[..bare.len() - 1], 1000_f64.powi(i32::try_from(power).unwrap_or(0) + 1)),
        None => (bare, 1.0),
    };
    let size: f64 = number.trim().parse().map_err(|_| bad())?;
    let bytes = size * factor;
    if !bytes.is_finite() || bytes < 1.0 {
        bail!("max-size must be a positive number");
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive; what is too large is no bound"
    )]
    Ok(bytes as u64)
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

/// The log being written.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    /// What is in the file, in bytes.
    size: u64,
    bounds: Bounds,
    partial: [Vec<u8>; 2],
}

impl Writer {
    pub(super) fn open(path: &Path, bounds: Bounds) -> Result<Self> {
        let file = open(path).with_context(|| format!("open log {}", path.display()))?;
        let size = file.metadata().with_context(|| format!("look at log {}", path.display()))?.len();
        Ok(Self { path: path.to_owned(), file, size, bounds, partial: [Vec::new(), Vec::new()] })
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
        self.append(&out);
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
        self.append(&out);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
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
        let mut writer = Writer::open(&path, Bounds { size: u64::MAX, files: 1 }).unwrap();
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
    fn a_bounded_log_is_several_files_of_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = Writer::open(&path, Bounds { size: 1000, files: 3 }).unwrap();
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

    #[test]
    fn reads_sizes_and_options() {
        for (text, bytes) in
            [("10m", 10_000_000), ("1k", 1000), ("7", 7), ("1.5kb", 1500), ("2MiB", 2_000_000)]
        {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        assert!(size("0").is_err() && size("x").is_err() && size("-1k").is_err());
        let mut config = crate::container::spec::tests::config();
        let mut bounds = |options: &[(&str, &str)]| {
            config.log_options =
                options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Bounds::of(&config).map_err(|error| error.to_string())
        };
        assert_eq!(bounds(&[("max-size", "1k"), ("max-file", "3")]), Ok(Bounds { size: 1000, files: 3 }));
        assert_eq!(bounds(&[("max-file", "0")]).unwrap_err(), "max-file cannot be less than 1");
        assert_eq!(
            bounds(&[("colour", "x")]).unwrap_err(),
            "unknown log opt 'colour' for json-file log driver"
        );
        assert!(bounds(&[("compress", "true")]).is_err() && bounds(&[("compress", "false")]).is_ok());
    }
}
