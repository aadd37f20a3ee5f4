//! What the build and the processes that carry out its steps say to each other.
//!
//! One JSON text in one message, but for the order itself, which may be long and hold secrets: it is in a file that
//! has no name, whose descriptor comes with the first message. The end of the connection is the end of the work,
//! whichever side it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use crate::build::graph;
use crate::idmap::{IdMap, Identity, Level, Range};
use crate::image::Owners;
use crate::oci::Digest;
use crate::sys::socket;

/// The longest message but the order.
const MESSAGE: usize = 64 << 10;

/// Files that a step sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// The trees of layers, the topmost first; none is a root without files.
    Stack(Vec<PathBuf>),
    /// A directory, without what the lines of an ignore file say.
    Directory {
        /// Where.
        path: PathBuf,
        /// The lines.
        ignore: Vec<String>,
    },
}

/// All that a process must know to carry out a step.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The store: its root, and its runtime directory.
    pub(super) store: (PathBuf, PathBuf),
    who: Who,
    /// The directory in staging that the process has for itself. `upper` and `owners` in it become the layer.
    pub(super) dir: PathBuf,
    /// The files below.
    pub(super) base: Place,
    /// The files of the steps that it reads.
    pub(super) places: BTreeMap<usize, Place>,
    /// Whether the process first tells the digest of what it reads, and waits for a word to go on.
    pub(super) asks: bool,
    /// What is to be done.
    pub(super) work: Work,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Work {
    Run(Box<Command>),
    /// Files copied; the archives that these sources have are unpacked.
    Copy(Box<graph::Copy>, BTreeSet<usize>),
    Directory {
        path: PathBuf,
        owner: String,
    },
}

/// A command with all that it is given.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Command {
    pub(super) run: graph::Run,
    /// Secrets by their names.
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets that lead to agents, by their names.
    pub(super) ssh: BTreeMap<String, PathBuf>,
    /// Directories of caches, by their place among the mounts.
    pub(super) caches: BTreeMap<usize, PathBuf>,
    pub(super) hosts: Vec<String>,
    pub(super) shm_size: u64,
    pub(super) ulimits: Vec<(String, i64, i64)>,
}

/// What a process says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// What the step reads has this digest.
    Reads(Digest),
    /// The command runs; with it come the ends of its output and its error output.
    Runs,
    /// The command has ended with this code.
    Exited(i32),
    /// All is done.
    Done,
    /// It did not work.
    Failed(String),
}

/// What a process is told after it has told what the step reads.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GoOn;

/// Who the user may be.
#[derive(Debug, Serialize, Deserialize)]
struct Who {
    level: String,
    uids: Vec<(u32, u32, u32)>,
    gids: Vec<(u32, u32, u32)>,
}

impl Order {
    /// Makes one.
    pub(super) fn new(
        store: (PathBuf, PathBuf),
        identity: &Identity,
        dir: PathBuf,
        base: Place,
        places: BTreeMap<usize, Place>,
        work: Work,
    ) -> Self {
        let ranges = |ranges: &[Range]| {
            ranges.iter().map(|range| (range.inside, range.outside, range.count)).collect::<Vec<_>>()
        };
        let who = Who {
            level: identity.level.name().to_owned(),
            uids: ranges(&identity.map.uids),
            gids: ranges(&identity.map.gids),
        };
        Self { store, who, dir, base, places, asks: false, work }
    }

    /// Returns who the user may be.
    pub(super) fn identity(&self) -> Identity {
        let ranges = |ranges: &[(u32, u32, u32)]| {
            ranges
                .iter()
                .map(|&(inside, outside, count)| Range { inside, outside, count })
                .collect::<Vec<_>>()
        };
        let level = match self.who.level.as_str() {
            "root" => Level::Root,
            "subuid" => Level::Subuid,
            _ => Level::Single,
        };
        let map = IdMap { uids: ranges(&self.who.uids), gids: ranges(&self.who.gids) };
        Identity { level, map, reasons: Vec::new(), kept: None }
    }

    /// Returns what becomes of owners.
    pub(super) fn owners(&self) -> Owners {
        if self.identity().level == Level::Single { Owners::Emulated } else { Owners::Mapped }
    }

    /// Gives the order.
    pub(super) fn give(&self, socket: &OwnedFd) -> Result<()> {
        let bytes = serde_json::to_vec(self).context("write the order")?;
        let file =
            rustix::fs::memfd_create("order", MemfdFlags::CLOEXEC).context("make a file for the order")?;
        let mut file = File::from(file);
        file.write_all(&bytes).and_then(|()| file.rewind()).context("write the order")?;
        socket::send(socket, b"order", &[file.as_fd()]).context("give the order")
    }

    /// Takes the order.
    pub(super) fn take(socket: &OwnedFd) -> Result<Self> {
        let mut buffer = [0; 16];
        let (_, fds) = socket::receive(socket, &mut buffer).context("take the order")?;
        let Some(fd) = fds.into_iter().next() else { bail!("take the order: the build is gone") };
        let mut bytes = Vec::new();
        File::from(fd).read_to_end(&mut bytes).context("read the order")?;
        serde_json::from_slice(&bytes).context("understand the order")
    }
}

/// Says something.
pub(super) fn say(socket: &OwnedFd, what: &impl Serialize, fds: &[&OwnedFd]) -> Result<()> {
    let mut bytes = serde_json::to_vec(what).context("write a message")?;
    if bytes.len() > MESSAGE {
        bytes = serde_json::to_vec(&Said::Failed("the message is too long".to_owned()))?;
    }
    let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    socket::send(socket, &bytes, &fds).context("send a message")
}

/// Hears something; `None` if the other side is gone.
pub(super) fn hear<T: for<'a> Deserialize<'a>>(socket: &OwnedFd) -> Result<Option<(T, Vec<OwnedFd>)>> {
    let mut buffer = vec![0; MESSAGE];
    let (length, fds) = socket::receive(socket, &mut buffer).context("receive a message")?;
    if length == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&buffer[..length]).context("understand a message")?, fds)))
}
