//! A build as a graph of steps: what is to be made, and out of what, with every variable already replaced.
//!
//! The graph is data. Those who write it (the Dockerfile) know no disk, and those who perform it know no
//! Dockerfile. Steps are in topological order: a step names only steps before it.
//!
//! The value of a step is a file system: a stack of layers, lowest first. A step that changes files adds one
//! layer to the stack of its base; what it reads besides are its inputs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::image::Configuration;
use crate::oci::{Digest, Platform, Reference};

/// A step's place in [`Graph::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepId(pub usize);

/// What is to be made.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The steps that are needed, each after those it names.
    pub steps: Vec<Step>,
    /// The images that come out: one a platform.
    pub targets: Vec<Target>,
}

/// One image that comes out of a build.
#[derive(Debug, Clone)]
pub struct Target {
    /// For which machines.
    pub platform: Platform,
    /// Its files.
    pub root: StepId,
    /// Its configuration but for `rootfs`, which the layers decide. An entry of its history that is not an
    /// `empty_layer` belongs to the layer of the same rank.
    pub config: Configuration,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// What people read of it: `[build 2/4] RUN make`.
    pub name: String,
    /// Where it stands in the Dockerfile, for errors: first and last line, counted from one.
    pub lines: Option<(u32, u32)>,
    /// For which machines.
    pub platform: Platform,
    /// Whether the cache is not asked (`--no-cache`, `--no-cache-filter`).
    pub fresh: bool,
    /// What it does.
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// No files at all.
    Scratch,
    /// The files of an image.
    Image(Base),
    /// The files of a source that is not an image.
    Source(Source),
    /// A command run upon the base.
    Run(Box<Run>),
    /// Files put upon the base.
    Copy(Box<Copy>),
    /// A directory made upon the base if it is not there (`WORKDIR`).
    Directory {
        /// The files below.
        base: StepId,
        /// The absolute path.
        path: PathBuf,
        /// `user[:group]` of the directories that are made; empty is root.
        owner: String,
    },
}

/// An image to build upon, or to copy from: already resolved and in the store.
#[derive(Debug, Clone)]
pub struct Base {
    /// As it was written.
    pub reference: Reference,
    /// The image's id, the digest of its configuration.
    pub id: Digest,
    /// Its layers, lowest first.
    pub layers: Vec<Digest>,
}

/// Files from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A directory of the host, read in place: the build context, or a named one.
    Context {
        /// `context`, or the name of `--build-context`.
        name: String,
    },
    /// A file from the web. Its name in the step's file system is what [`file_of`] says.
    Web {
        /// Where.
        url: String,
        /// What its bytes must be.
        checksum: Option<Digest>,
    },
    /// A revision of a repository.
    Git {
        /// The repository.
        remote: String,
        /// A branch, tag or commit; empty is the remote's `HEAD`.
        revision: String,
        /// The directory within.
        subdirectory: PathBuf,
        /// Whether `.git` stays (`--keep-git-dir`).
        keep: bool,
        /// The commit it must be.
        checksum: Option<String>,
    },
    /// Files written in the Dockerfile itself: name and content.
    Inline(Vec<(String, Vec<u8>)>),
}

/// A command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The files below.
    pub base: StepId,
    /// What is executed, the shell included.
    pub arguments: Vec<String>,
    /// `KEY=value`, the arguments of the build included.
    pub environment: Vec<String>,
    /// Variables that do not count for the cache (the proxies).
    pub transient: Vec<String>,
    /// Where it starts.
    pub directory: PathBuf,
    /// `user[:group]`; empty is root.
    pub user: String,
    /// Files given as `/dev/pipes/<name>` (here-documents of the command): name and content.
    pub documents: Vec<(String, Vec<u8>)>,
    /// What is mounted while it runs.
    pub mounts: Vec<Mount>,
    /// What of the network it sees.
    pub network: Network,
    /// Whether it runs without the filter of system calls and with all capabilities.
    pub insecure: bool,
}

/// What of the network a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Network {
    /// A network of its own with a way out.
    #[default]
    Default,
    /// Nothing but loopback.
    None,
    /// The host's.
    Host,
}

/// A `--mount` of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The absolute path inside.
    pub target: PathBuf,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// What is there.
    pub kind: MountKind,
}

/// What a `--mount` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// Files of another step. What is written goes when the command ends.
    Bind {
        /// Whose.
        from: StepId,
        /// Which.
        source: PathBuf,
    },
    /// A directory that stays between builds.
    Cache {
        /// Its name.
        id: String,
        /// What it holds at first.
        from: Option<(StepId, PathBuf)>,
        /// Who else may write at the same time.
        sharing: Sharing,
        /// The mode of a new directory.
        mode: u32,
        /// The owner of a new directory.
        owner: (u32, u32),
    },
    /// Memory.
    Tmpfs {
        /// At most as many bytes.
        size: Option<u64>,
    },
    /// A secret of the user's.
    Secret {
        /// Its name.
        id: String,
        /// Whether it is an error that there is none.
        required: bool,
        /// As a file at the mount's target.
        file: bool,
        /// As a variable.
        variable: Option<String>,
        /// The file's mode.
        mode: u32,
        /// The file's owner.
        owner: (u32, u32),
    },
    /// The socket of the user's SSH agent.
    Ssh {
        /// Its name.
        id: String,
        /// Whether it is an error that there is none.
        required: bool,
        /// The socket's mode.
        mode: u32,
        /// The socket's owner.
        owner: (u32, u32),
    },
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// A second writer gets one of its own.
    Private,
    /// A second writer waits.
    Locked,
}

/// Files put somewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Copy {
    /// The files below.
    pub base: StepId,
    /// What is copied, in order.
    pub sources: Vec<Pick>,
    /// Where to, absolute. A trailing slash says that it is a directory.
    pub destination: String,
    /// `user[:group]` as written, by name or number; `None` is 0:0, or for `parents` and archives what they
    /// say. Names are looked up in the base.
    pub owner: Option<String>,
    /// The mode of what is copied.
    pub mode: Option<Mode>,
    /// Whether the layer does not depend on the base (`--link`).
    pub link: bool,
    /// Whether the directories above a source are kept (`--parents`).
    pub parents: bool,
    /// What is left out, as patterns of the ignore file.
    pub exclude: Vec<String>,
    /// Whether local archives are unpacked (`ADD`); `Some` where `--unpack` says it.
    pub unpack: Unpack,
}

/// Some files of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// Whose.
    pub from: StepId,
    /// Paths below its root, with the wildcards of Go's `filepath.Match`; `/` is all of it.
    pub paths: Vec<String>,
}

/// A mode as `--chmod` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// The permissions themselves.
    Absolute(u32),
    /// A change as chmod(1) reads it: `u=rwX,go=rX`.
    Symbolic(String),
}

/// Whether an archive is put as a file or unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Unpack {
    /// Never (`COPY`, `--unpack=false`).
    #[default]
    Never,
    /// Where it comes from a context (`ADD`).
    Local,
    /// From the web, too (`--unpack`).
    Always,
}

/// Returns the name that a file from the web has: the last part of the path, whatever the server says.
pub fn file_of(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    match path.split_once('/').and_then(|(_, path)| path.trim_end_matches('/').rsplit('/').next()) {
        None | Some("" | "." | "..") => "__unnamed__",
        Some(name) => name,
    }
}
