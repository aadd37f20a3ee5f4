//! With whom a container shares its namespaces: what was asked for, in Docker's words.

use serde::{Deserialize, Serialize};

/// The namespaces of a container, but for its network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sharing {
    /// `--pid`
    pub pid: PidMode,
    /// `--ipc`
    pub ipc: IpcMode,
    /// `--uts host`
    pub host_uts: bool,
    /// `--userns host`; container root is the user all the same, since nobody without privileges can do
    /// without a user namespace.
    pub host_users: bool,
    /// `--cgroupns host`
    pub host_cgroups: bool,
}

/// Whose processes a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PidMode {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Those of another container, by its id.
    Container(String),
}

/// Whose queues, semaphores and shared memory a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpcMode {
    /// Its own.
    #[default]
    Private,
    /// Its own, without `/dev/shm`.
    None,
    /// Its own, which others may join.
    Shareable,
    /// The host's.
    Host,
    /// Those of another container, by its id.
    Container(String),
}

impl Sharing {
    /// Tells whether the container's processes die with its first one: it is the first of its pid namespace.
    pub fn dies_as_one(&self) -> bool {
        self.pid == PidMode::Private
    }
}

impl PidMode {
    /// Returns Docker's word for it.
    pub fn word(&self) -> String {
        match self {
            Self::Private => String::new(),
            Self::Host => "host".to_owned(),
            Self::Container(id) => format!("container:{id}"),
        }
    }
}

impl IpcMode {
    /// Returns Docker's word for it.
    pub fn word(&self) -> String {
        match self {
            Self::Private => "private".to_owned(),
            Self::None => "none".to_owned(),
            Self::Shareable => "shareable".to_owned(),
            Self::Host => "host".to_owned(),
            Self::Container(id) => format!("container:{id}"),
        }
    }
}
