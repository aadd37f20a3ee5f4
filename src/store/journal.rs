//! What has happened: an append-only, bounded journal that `events` reads and follows.
//!
//! ```text
//! events/journal      one JSON object a line, in the form of Docker's events, newest last
//! events/journal.1    the journal before it was full
//! ```
//!
//! Everybody who does something writes it down himself, with one `write` to a file opened for appending: the
//! kernel keeps the lines of several writers apart, and a writer that is killed has written its line or not.
//! Nothing is synced: after a power cut the last events may be missing, and a line that is damaged is passed
//! over. An event that cannot be written is lost; what it tells of has happened all the same.
//!
//! A full journal is renamed by whoever fills it, under a lock that nobody waits for. A writer may still have
//! it open then, so readers keep reading it as long as it is the one before the present one.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use serde::{Deserialize, Serialize};

use super::{Lock, Mode, Store};

/// The size at which a journal is full, in bytes.
const FULL: u64 = 2 << 20;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

impl Subject {
    /// Returns Docker's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
        }
    }
}

/// Something that has happened, in Docker's words and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What it happened to.
    #[serde(rename = "Type")]
    pub subject: Subject,
    /// What happened: `start`, `health_status: healthy`.
    #[serde(rename = "Action")]
    pub action: String,
    /// To which one.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// Always `local`.
    pub scope: String,
    /// When, in seconds since 1970.
    pub time: i64,
    /// When, in nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// To which one it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Its id, or its name if it has none.
    #[serde(rename = "ID")]
    pub id: String,
    /// What is worth knowing about it.
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// Says what happens now.
    fn now(subject: Subject, action: &str, id: &str, attributes: BTreeMap<String, String>) -> Self {
        let now = jiff::Timestamp::now();
        Self {
            subject,
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes },
            scope: "local".to_owned(),
            time: now.as_second(),
            // The nanoseconds of an i64 last until the year 2262.
            time_nano: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
        }
    }
}

impl Store {
    fn journal_path(&self, name: &str) -> PathBuf {
        self.root().join("events").join(name)
    }

    /// Writes down what has just happened.
    pub fn note(&self, subject: Subject, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let event = Event::now(subject, action, id, attributes);
        let Ok(mut line) = serde_json::to_vec(&event) else { return };
        line.push(b'\n');
        let _ = self.append(&line);
    }

    /// Writes down what a clean-up has freed, in bytes.
    pub fn note_prune(&self, subject: Subject, bytes: u64) {
        let attributes = BTreeMap::from([("reclaimed".to_owned(), bytes.to_string())]);
        self.note(subject, "prune", "", attributes);
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let path = self.journal_path("journal");
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let dir = self.root().join("events");
                fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
                open()?
            }
            opened => opened?,
        };
        file.write_all(line)?;
        if file.metadata()?.len() >= FULL {
            let lock = Lock::try_take(&self.root().join("locks/events"), Mode::Exclusive)?;
            // Another may have been quicker.
            if lock.is_some() && fs::metadata(&path)?.len() >= FULL {
                fs::rename(&path, self.journal_path("journal.1"))?;
            }
        }
        Ok(())
    }
}

/// A reader of the journal.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    /// The journal before the present one, and the present one.
    parts: Vec<Part>,
    /// Tells of writes; without it, one looks again after a while.
    watch: Option<OwnedFd>,
}

/// One file of the journal.
#[derive(Debug)]
struct Part {
    file: File,
    inode: u64,
    /// What was read of a line that is not whole yet.
    rest: Vec<u8>,
}

impl Part {
    /// Opens a file; `None` if there is none.
    fn open(path: &std::path::Path) -> Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => {
                let inode = file.metadata().with_context(|| format!("look at {}", path.display()))?.ino();
                Ok(Some(Self { file, inode, rest: Vec::new() }))
            }
            Err(error) if super::record::absent(&error) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("open {}", path.display())),
        }
    }

    /// Reads the lines that have come.
    fn read(&mut self, events: &mut Vec<Event>) -> Result<()> {
        self.file.read_to_end(&mut self.rest).context("read the journal of events")?;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        events.extend(self.rest[..whole].split(|byte| *byte == b'\n').filter_map(parse));
        self.rest.drain(..whole);
        Ok(())
    }
}

/// Reads a line. A full disk may have cut one short, and the next then stands behind what there is of it.
fn parse(line: &[u8]) -> Option<Event> {
    const START: &[u8] = b"{\"Type\":";
    serde_json::from_slice(line).ok().or_else(|| {
        let at = line.windows(START.len()).rposition(|window| window == START)?;
        serde_json::from_slice(&line[at..]).ok()
    })
}

impl Journal {
    /// Opens the journal: for what comes from now on, or also for what was.
    pub fn open(store: &Store, with_past: bool) -> Result<Self> {
        let mut journal = Self { store: store.clone(), parts: Vec::new(), watch: None };
        // The present one first: if it is renamed meanwhile, it is found a second time.
        let present = Part::open(&store.journal_path("journal"))?;
        let before = Part::open(&store.journal_path("journal.1"))?;
        let known = present.as_ref().map(|part| part.inode);
        journal.parts.extend(before.filter(|part| Some(part.inode) != known));
        journal.parts.extend(present);
        if !with_past {
            for part in &mut journal.parts {
                part.file.seek(SeekFrom::End(0)).context("read the journal of events")?;
            }
        }
        Ok(journal)
    }

    /// Returns what has been written since the last time, in the order in which it was written.
    pub fn read(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            // Looked at first: what is written to a file before it is renamed is then read below.
            let path = self.store.journal_path("journal");
            let inode = fs::metadata(&path).map(|meta| meta.ino()).ok();
            for part in &mut self.parts {
                part.read(&mut events)?;
            }
            let is_known = self.parts.iter().any(|part| Some(part.inode) == inode);
            if inode.is_none() || is_known {
                return Ok(events);
            }
            let before = Part::open(&self.store.journal_path("journal.1"))?;
            self.parts.extend(before.filter(|new| !self.parts.iter().any(|part| part.inode == new.inode)));
            let Some(present) = Part::open(&path)? else { return Ok(events) };
            if !self.parts.iter().any(|part| part.inode == present.inode) {
                self.parts.push(present);
            }
            let old = self.parts.len().saturating_sub(2);
            self.parts.drain(..old);
        }
    }

    /// Waits until something may have been written, but no longer than `patience`.
    pub fn wait(&mut self, patience: Option<Duration>) -> Result<()> {
        if self.watch.is_none() {
            let dir = self.store.root().join("events");
            let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
            // A user has a limited number of watches; looking every so often does as well.
            self.watch = watch(&dir).ok();
            if self.watch.is_some() {
                // What came before there was a watch.
                return Ok(());
            }
        }
        // Other machines that share the directory cause no events of inotify.
        let most = Duration::from_millis(if self.watch.is_some() { 1000 } else { 100 });
        let patience = patience.unwrap_or(most).min(most);
        let timeout = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut fds: Vec<PollFd<'_>> =
            self.watch.iter().map(|watch| PollFd::new(watch, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for events"),
        }
        if let Some(watch) = &self.watch {
            let mut buffer = [0; 4096];
            while rustix::io::read(watch, &mut buffer).is_ok_and(|count| count > 0) {}
        }
        Ok(())
    }
}

fn watch(dir: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let watch = inotify::init(flags)?;
    inotify::add_watch(&watch, dir, inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE)?;
    Ok(watch)
}

#[cfg(test)]
mod tests {
    use super::super::tests::scratch;
    use super::*;

    fn note(store: &Store, id: &str) {
        store.note(Subject::Container, "start", id, BTreeMap::from([("image".to_owned(), "x".to_owned())]));
    }

    fn ids(events: &[Event]) -> Vec<&str> {
        events.iter().map(|event| event.actor.id.as_str()).collect()
    }

    #[test]
    fn notes_and_reads() {
        let (_dir, store) = scratch();
        let mut follower = Journal::open(&store, false).unwrap();
        assert!(follower.read().unwrap().is_empty());
        note(&store, "a");
        let mut later = Journal::open(&store, false).unwrap();
        note(&store, "b");
        assert_eq!(ids(&follower.read().unwrap()), ["a", "b"]);
        assert_eq!(ids(&later.read().unwrap()), ["b"]);
        assert_eq!(ids(&Journal::open(&store, true).unwrap().read().unwrap()), ["a", "b"]);
        note(&store, "c");
        let events = follower.read().unwrap();
        let text = serde_json::to_string(&events[0]).unwrap();
        let start = r#"{"Type":"container","Action":"start","Actor":{"ID":"c","Attributes":{"image":"x"}},"scope":"local","time":"#;
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn passes_over_what_is_cut_short() {
        let (_dir, store) = scratch();
        note(&store, "a");
        store.append(br#"{"Type":"container","Action":"#).unwrap();
        note(&store, "b");
        store.append(b"\0\0\0\n").unwrap();
        note(&store, "c");
        assert_eq!(ids(&Journal::open(&store, true).unwrap().read().unwrap()), ["a", "b", "c"]);
    }

    #[test]
    fn is_bounded_and_loses_nothing_to_a_follower() {
        let (_dir, store) = scratch();
        note(&store, "first");
        let mut follower = Journal::open(&store, true).unwrap();
        let mut seen = Vec::new();
        let name = "x".repeat(60_000);
        for round in 0..150 {
            note(&store, &format!("{round}-{name}"));
            if round % 20 == 0 {
                seen.extend(follower.read().unwrap());
            }
        }
        seen.extend(follower.read().unwrap());
        let rounds: Vec<&str> =
            seen.iter().map(|event| event.actor.id.split('-').next().unwrap_or_default()).collect();
        assert_eq!(rounds[0], "first");
        assert_eq!(rounds[1..], (0..150).map(|round| round.to_string()).collect::<Vec<_>>());
        let size = |name: &str| fs::metadata(store.journal_path(name)).unwrap().len();
        assert!(size("journal") < FULL + 100_000 && size("journal.1") < FULL + 100_000);
    }
}
