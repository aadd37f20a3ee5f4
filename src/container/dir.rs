//! A container as a directory, and the records in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::ContainerConfig;
use super::config::Attachment;
use super::limits::Kept;
use crate::network::protocol::{Endpoint, PublishedPort};
use crate::store::{Lock, Mode, Store, read_json, replace_json, replace_json_synced};
use crate::sys;

/// The directory `containers/<id>/` of one container.
///
/// ```text
/// config.json   what it is meant to be, written once
/// networks.json the networks it is meant to be in, once that has changed
/// pin.json      what a sweep must keep for it
/// upper/ work/  its writable layer
/// hostname hosts resolv.conf
/// <id>-json.log its output
/// lock          held while it is started, mended or removed
/// alive.lock    held by its supervisor as long as that lives
/// alive.json    who and what runs; true while the lock is held, a mark of a crash when it is not
/// exit.json     how the last run ended
/// health.json   what the health checks have found
/// update.json   what was changed of its configuration later
/// ```
#[derive(Debug, Clone)]
pub struct ContainerDir {
    id: String,
    path: PathBuf,
    store: Store,
}

/// A process, so that it can never be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    /// The process id in the host's pid namespace.
    pub pid: i32,
    /// When it started, in clock ticks since boot (proc_pid_stat(5), field 22).
    pub start: u64,
}

impl ProcessMark {
    /// Marks a living process.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, start: sys::process::start_time(pid)? })
    }

    /// Tells whether that very process is still there. Marks are only kept within one boot.
    pub fn lives(&self) -> bool {
        sys::process::start_time(self.pid).is_ok_and(|start| start == self.start)
    }
}

/// The file `alive.json`: what a supervisor says while it lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alive {
    /// The boot it lives in (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// The supervisor.
    pub supervisor: ProcessMark,
    /// The container's first process, once it runs.
    pub init: Option<ProcessMark>,
    /// When the present run started, or the last one if it waits to be started again.
    pub started: String,
    /// How often the restart policy has started it again.
    pub restarts: u32,
    /// How the last run ended, if the restart policy is about to start it again.
    pub last: Option<ExitRecord>,
    /// Whether its processes are stopped.
    #[serde(default)]
    pub paused: bool,
    /// What it is on its networks.
    #[serde(default)]
    pub networks: Vec<Joined>,
    /// Its ports that the host has.
    #[serde(default)]
    pub ports: Vec<PublishedPort>,
    /// What keeps it within its limits.
    #[serde(default)]
    pub kept: Kept,
}

/// A network that a running container is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// A name of this membership: 64 hexadecimal digits.
    pub endpoint_id: String,
    /// Whether what leaves for elsewhere leaves here.
    pub default_route: bool,
    /// What the container is there.
    pub endpoint: Endpoint,
}

/// The file `exit.json`: how a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExitRecord {
    /// When it started: RFC 3339, UTC; empty if it could not be started.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// The exit code: 128 + n after signal n.
    pub code: i32,
    /// What went wrong, if it was not the process's own end.
    pub error: String,
    /// Whether it was the kernel's out-of-memory killer.
    pub oom_killed: bool,
    /// How often the restart policy had started it again.
    pub restarts: u32,
    /// Whether a user stopped it: then `unless-stopped` does not start it at boot.
    pub stopped: bool,
}

impl ContainerDir {
    /// Names the directory of the container `id`, which need not exist.
    pub fn new(store: &Store, id: &str) -> Self {
        Self { id: id.to_owned(), path: store.containers().join(id), store: store.clone() }
    }

    /// Returns the container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the first 12 digits of the id.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// Returns the store that it lies in.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of something in the directory.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Tells whether the container exists.
    pub fn exists(&self) -> bool {
        self.join("config.json").exists()
    }

    /// Loads the configuration; an error if the container is gone.
    pub fn config(&self) -> Result<ContainerConfig> {
        self.try_config()?.ok_or_else(|| super::FindError::NotFound(self.id.clone()).into())
    }

    /// Loads the configuration; `None` if the container is gone.
    pub fn try_config(&self) -> Result<Option<ContainerConfig>> {
        let mut config: Option<ContainerConfig> = read_json(&self.join("config.json"))?;
        if let Some(config) = &mut config
            && let Some(changes) = super::Changes::load(self)?
        {
            changes.apply(config);
        }
        Ok(config)
    }

    /// Loads the networks that the container is meant to be in.
    pub fn attachments(&self, config: &ContainerConfig) -> Result<Vec<Attachment>> {
        if let Some(changed) = read_json(&self.join("networks.json"))? {
            return Ok(changed);
        }
        // One made before there were networks is in the default one.
        let bridge = || vec![Attachment { network: "bridge".to_owned(), ..Attachment::default() }];
        let before = config.networks.is_empty() && config.network == super::NetworkMode::Default;
        Ok(if before { bridge() } else { config.networks.clone() })
    }

    /// Changes the networks that the container is meant to be in. The caller is its supervisor, or holds its
    /// lock and has seen that there is none.
    pub(super) fn put_attachments(&self, attachments: &[Attachment]) -> Result<()> {
        replace_json_synced(&self.join("networks.json"), &attachments)
    }

    /// Returns the path of the log, as `inspect` names it.
    pub fn log_path(&self) -> PathBuf {
        self.join(&format!("{}-json.log", self.id))
    }

    /// Loads what the supervisor last said.
    pub fn alive(&self) -> Result<Option<Alive>> {
        read_json(&self.join("alive.json"))
    }

    /// Says what runs now. Only the supervisor calls this.
    pub fn put_alive(&self, alive: &Alive) -> Result<()> {
        replace_json(&self.join("alive.json"), alive)
    }

    /// Takes away the mark of a running supervisor, after the exit record is written.
    pub fn clear_alive(&self) -> Result<()> {
        match fs::remove_file(self.join("alive.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.join("alive.json").display()))
            }
            _ => Ok(()),
        }
    }

    /// Loads the record of the last run's end.
    pub fn exit_record(&self) -> Result<Option<ExitRecord>> {
        read_json(&self.join("exit.json"))
    }

    /// Writes the record of a run's end.
    pub fn put_exit_record(&self, record: &ExitRecord) -> Result<()> {
        replace_json(&self.join("exit.json"), record)
    }

    /// Tells whether a supervisor lives; `None` if there never was one.
    pub(super) fn has_supervisor(&self) -> Result<Option<bool>> {
        let looked = match File::open(self.join("alive.lock")) {
            Ok(file) => Lock::is_file_held(&file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        looked.with_context(|| format!("look at container {}", self.short_id()))
    }

    /// Tells whether a supervisor lives.
    pub fn is_alive(&self) -> Result<bool> {
        Ok(self.has_supervisor()?.unwrap_or(false))
    }

    /// Takes the lock of a living supervisor; `None` if there is one already.
    pub fn take_alive(&self) -> Result<Option<Lock>> {
        match Lock::try_take(&self.join("alive.lock"), Mode::Exclusive) {
            Ok(lock) => Ok(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(super::FindError::NotFound(self.id.clone()).into())
            }
            Err(error) => Err(error).with_context(|| format!("lock container {}", self.short_id())),
        }
    }

    /// Takes the container's lock, held while its directory is changed: started, mended, removed.
    pub fn lock(&self) -> Result<Lock> {
        match Lock::take(&self.join("lock"), Mode::Exclusive) {
            Ok(lock) => Ok(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(super::FindError::NotFound(self.id.clone()).into())
            }
            Err(error) => Err(error).with_context(|| format!("lock container {}", self.short_id())),
        }
    }

    /// Returns the directory of the container's socket, in the runtime directory, made if missing.
    pub fn runtime_dir(&self, store: &Store) -> Result<PathBuf> {
        store.runtime_dir(&format!("containers/{}", self.id))
    }

    /// Returns the address of the supervisor's socket. Its path goes through a directory descriptor, since
    /// addresses are at most 107 bytes long (unix(7)).
    pub fn socket(&self, store: &Store) -> Result<SocketPath> {
        let dir = store.runtime().join("containers").join(&self.id);
        let file = File::open(&dir).with_context(|| format!("open {}", dir.display()))?;
        Ok(SocketPath { dir: file })
    }
}

/// The socket of a supervisor, named through an open directory.
#[derive(Debug)]
pub struct SocketPath {
    dir: File,
}

impl SocketPath {
    /// Returns a path that names the socket as long as `self` lives.
    pub fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!("/proc/self/fd/{}/attach.sock", self.dir.as_raw_fd()))
    }
}

/// Returns the time now as RFC 3339 in UTC with nanoseconds.
pub(super) fn now() -> String {
    timestamp(jiff::Timestamp::now())
}

/// Writes a time as Docker does in JSON: RFC 3339 in UTC, always nine decimals.
pub(super) fn timestamp(time: jiff::Timestamp) -> String {
    format!("{time:.9}")
}

/// Returns what tells this boot from others.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}
