//! Reading a container's log, from its end, from a time, and as it grows.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use super::config::LogDriver;
use super::dir::ContainerDir;
use super::log::{Entry, Stream, open_all};
use super::status::observe_and_mend;

/// What of the log is wanted, and how.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Go on until the container ends.
    pub follow: bool,
    /// Only so many lines from the end; `None`: all.
    pub tail: Option<usize>,
    /// Only what is not older.
    pub since: Option<Timestamp>,
    /// Only what is not younger.
    pub until: Option<Timestamp>,
    /// Put the time before each line.
    pub timestamps: bool,
    /// Put the attributes before each line; a space follows them, and stands alone where there are none.
    pub details: bool,
}

/// Writes the log to `out` and `err`, each line to the stream it came from.
pub fn logs(
    dir: &ContainerDir,
    options: &LogOptions,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<()> {
    if dir.try_config()?.is_some_and(|config| config.log == LogDriver::None) {
        bail!("configured logging driver does not support reading");
    }
    let path = dir.log_path();
    let reading = || format!("read log {}", path.display());
    let mut files = VecDeque::from(open_all(&path).with_context(reading)?);
    if files.is_empty() {
        // Not started yet.
        let first = if options.follow { wait_for_log(dir)? } else { None };
        let Some(first) = first else { return Ok(()) };
        files.push_back(first);
    }
    if let Some(lines) = options.tail {
        skip_to_tail(&mut files, lines).with_context(reading)?;
    }
    let Some(first) = files.pop_front() else { return Ok(()) };
    let mut reader = BufReader::with_capacity(64 << 10, first);
    let mut line = Vec::new();
    let mut last = Stream::Stdout;
    loop {
        // Asked before reading to the end, so that nothing written before the end is missed.
        let alive = options.follow && observe_and_mend(dir).is_ok_and(|status| status.is_active());
        let newer =
            if options.follow && files.is_empty() { newer(reader.get_ref(), &path) } else { Ok(Vec::new()) };
        files.extend(newer.with_context(reading)?);
        while reader.read_until(b'\n', &mut line).with_context(reading)? > 0 {
            if !line.ends_with(b"\n") {
                // Being written: its rest comes later.
                break;
            }
            if !show(&line, options, out, err, &mut last)? {
                return flush(out, err);
            }
            line.clear();
        }
        if let Some(next) = files.pop_front() {
            // A file that has a newer one is complete.
            line.clear();
            reader = BufReader::with_capacity(64 << 10, next);
            continue;
        }
        flush(out, err)?;
        if !alive {
            return Ok(());
        }
        if options.until.is_some_and(|until| Timestamp::now() > until) {
            return Ok(());
        }
        wait_for_change(dir, &path)?;
    }
}

/// Goes on to the last so many lines of all files together.
fn skip_to_tail(files: &mut VecDeque<File>, lines: usize) -> io::Result<()> {
    let mut left = lines;
    for at in (0..files.len()).rev() {
        let (start, found) = tail_start(&mut files[at], left)?;
        files[at].seek(SeekFrom::Start(start))?;
        left -= found.min(left);
        if left == 0 {
            files.drain(..at);
            return Ok(());
        }
    }
    Ok(())
}

/// Returns the files of a log that are newer than one of them, the oldest first; none if it is the newest.
fn newer(present: &File, path: &std::path::Path) -> io::Result<Vec<File>> {
    let inode = present.metadata()?.ino();
    if std::fs::metadata(path).is_ok_and(|newest| newest.ino() == inode) {
        return Ok(Vec::new());
    }
    let mut files = open_all(path)?;
    let mut at = None;
    for (index, file) in files.iter().enumerate() {
        if file.metadata()?.ino() == inode {
            at = Some(index);
        }
    }
    // One that is gone is older than all that are there.
    Ok(files.split_off(at.map_or(0, |at| at + 1)))
}

fn flush(out: &mut dyn Write, err: &mut dyn Write) -> Result<()> {
    out.flush().and_then(|()| err.flush()).context("write the log")
}

/// Waits for the first start to make the log; `None` if the container goes away or has no log.
fn wait_for_log(dir: &ContainerDir) -> Result<Option<File>> {
    loop {
        match File::open(dir.log_path()) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("open log {}", dir.log_path().display()));
            }
        }
        if !dir.exists() || observe_and_mend(dir)?.is_active() {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Writes one entry. Returns `false` if it and all after it are too young.
fn show<'a>(
    line: &[u8],
    options: &LogOptions,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    last: &mut Stream,
) -> Result<bool> {
    let plain = Entry::of_plain(line);
    // A line damaged by a crash or a full disk is passed over.
    let Some(entry) = plain.or_else(|| serde_json::from_slice(line).ok()) else { return Ok(true) };
    if options.since.is_some() || options.until.is_some() {
        let Ok(time) = entry.time.parse::<Timestamp>() else { return Ok(true) };
        if options.since.is_some_and(|since| time < since) {
            return Ok(true);
        }
        if options.until.is_some_and(|until| time > until) {
            return Ok(false);
        }
    }
    let (to, other) = if entry.stream == Stream::Stderr { (err, out) } else { (out, err) };
    if *last != entry.stream {
        // Both may lead to the same place, where the order is to be seen.
        other.flush().context("write the log")?;
        *last = entry.stream;
    }
    if options.timestamps {
        write!(to, "{} ", entry.time).context("write the log")?;
    }
    if options.details {
        write!(to, "{} ", attributes(line)).context("write the log")?;
    }
    to.write_all(entry.log.as_bytes()).context("write the log")?;
    Ok(true)
}

/// Returns what an entry says of its line beside text and time: `key=value`, separated by commas.
fn attributes(line: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Attributed {
        #[serde(default)]
        attrs: BTreeMap<String, String>,
    }
    let attrs = serde_json::from_slice::<Attributed>(line).map(|entry| entry.attrs).unwrap_or_default();
    attrs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Returns where the last `lines` lines of the file begin, and how many there are: pieces of an overlong line
/// count as one. Reads
/// backwards, block by block, so that the end of a long log is cheap.
fn tail_start(file: &mut File, lines: usize) -> io::Result<(u64, usize)> {
    const BLOCK: u64 = 64 << 10;
    let end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok((end, 0));
    }
    let mut start = end;
    let mut newlines: VecDeque<u64> = VecDeque::new();
    let mut block = Vec::new();
    while start > 0 {
        let from = start.saturating_sub(BLOCK);
        block.resize(usize::try_from(start - from).unwrap_or(0), 0);
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block)?;
        for at in memchr::memchr_iter(b'\n', &block).rev() {
            let at = from + at as u64;
            // The newline of the last line does not begin another.
            if at + 1 == end {
                continue;
            }
            // A piece without its own end goes with the line that follows it: `…\n",` marks a whole line.
            if !ends_a_line(&block, usize::try_from(at - from).unwrap_or(0)) {
                continue;
            }
            newlines.push_front(at);
            if newlines.len() == lines {
                return Ok((at + 1, lines));
            }
        }
        start = from;
    }
    Ok((0, newlines.len() + usize::from(end > 0)))
}

/// Tells whether the entry that ends at `at` is the end of a line of output. Where the block does not tell,
/// it is taken for one.
fn ends_a_line(block: &[u8], at: usize) -> bool {
    let start = memchr::memrchr(b'\n', &block[..at]).map_or(0, |newline| newline + 1);
    match serde_json::from_slice::<Entry<'_>>(&block[start..at]) {
        Ok(entry) => entry.log.ends_with('\n'),
        Err(_) => true,
    }
}

/// Waits until the log grows or the container's directory changes, at most half a second: supervisors that
/// are killed change nothing.
fn wait_for_change(dir: &ContainerDir, path: &std::path::Path) -> Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify;
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .context("watch the log")?;
    let _ = inotify::add_watch(&watch, path, inotify::WatchFlags::MODIFY);
    let _ = inotify::add_watch(
        &watch,
        dir.path(),
        inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE | inotify::WatchFlags::MOVE_SELF,
    );
    let timeout = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
    match poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("watch the log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::log::Writer;
    use crate::store::Store;

    fn written(dir: &ContainerDir, lines: usize) {
        std::fs::create_dir_all(dir.path()).unwrap();
        let mut writer = Writer::open(&dir.log_path(), &crate::container::spec::tests::config(), "").unwrap();
        for line in 0..lines {
            writer.write(Stream::Stdout, format!("line {line}\n").as_bytes());
        }
        writer.write(Stream::Stderr, &vec![b'x'; 40_000]);
        writer.write(Stream::Stderr, b"\n");
        writer.finish();
    }

    #[test]
    fn tails_by_lines_of_output() {
        let temporary = tempfile::tempdir().unwrap();
        let store = Store::open(&temporary.path().join("data"), &temporary.path().join("run")).unwrap();
        let dir = ContainerDir::new(&store, "c");
        written(&dir, 3000);
        let read = |tail| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let options = LogOptions { tail, ..LogOptions::default() };
            logs(&dir, &options, &mut out, &mut err).unwrap();
            (String::from_utf8(out).unwrap(), err.len())
        };
        assert_eq!(read(None).0.lines().count(), 3000);
        assert_eq!(read(Some(0)), (String::new(), 0));
        assert_eq!(read(Some(1)), (String::new(), 40_001));
        assert_eq!(read(Some(3)), ("line 2998\nline 2999\n".to_owned(), 40_001));
        assert_eq!(read(Some(99_999)).0.lines().count(), 3000);
    }
}
