//! An OCI runtime `Spec` made into a process. Knows no image, no name, no command line.
//!
//! # Theory of operation
//!
//! The caller is root of the user's ancestor user namespace and has one thread. [`prepare`] clones one
//! process into all new namespaces at once and writes the id maps of its user namespace; the process then
//! waits, so that a network can be attached to it. [`Prepared::start`] lets it go: it performs the steps
//! that [`plan`] has decided, becomes the wanted user, and execs. It tells what it does over a socket
//! ([`handshake`]); the socket closes with the exec, and that is how the caller knows that the user's
//! program runs.
//!
//! [`join`] puts one more process into the namespaces of a running container.
//!
//! A container that shares a pid, ipc or network namespace with another one enters that one's user namespace,
//! too, instead of making one: file systems that show a namespace (proc, mqueue, sysfs) can be mounted only by
//! root of the user namespace that owns it. While it is set up, it is hidden from those who are there already.
//!
//! Where the user has one id only, [`ownership`] answers the calls in which others occur.
//!
//! Everything that follows a path inside the image goes through [`root::Root`], which never leaves it.

mod account;
mod borrow;
pub mod capability;
pub mod cgroup;
pub mod defaults;
mod filesystem;
pub mod guest;
mod handshake;
mod hook;
mod identity;
mod init;
mod join;
mod lookup;
mod options;
mod ownership;
mod perform;
mod plan;
mod prepare;
pub mod root;
mod rootfs;
pub mod seccomp;
mod seed;
mod spawn;
mod stdio;
mod view;

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::idmap::Identity;
use crate::oci::runtime::Spec;

/// The kind of a mount that shows layers, and no changes to them, each by an option [`LAYER`], the top one first; with
/// an option [`BELOW`] only what is at that path in them. Of ours: the specification has no such kind.
pub const LAYERS: &str = "layers";
/// An option of [`LAYERS`].
pub const LAYER: &str = "layer";
/// An option of [`LAYERS`].
pub const BELOW: &str = "below";

pub use account::NewAccount;
pub use borrow::borrow;
pub use cgroup::{Cgroup, DeviceRate, Limits};
pub use hook::Subject;
pub use join::{JoinRequest, Target, join};
pub use prepare::{Prepared, fits, prepare};
pub use view::{enter_mounts, mount, view};

/// Everything that a container's process is made of.
#[derive(Debug)]
pub struct Bundle<'a> {
    /// What the process is and sees.
    pub spec: &'a Spec,
    /// Its files.
    pub rootfs: RootFs,
    /// Who runs.
    pub user: UserRequest<'a>,
    /// A terminal of this size as its standard streams, instead of pipes.
    pub terminal: Option<WindowSize>,
    /// Whether standard input is a pipe, and not empty, when there is no terminal.
    pub stdin: bool,
    /// Whether a small init stays as process 1 to pass on signals and collect orphans.
    pub init: bool,
    /// Volumes to be filled from the image.
    pub seeds: &'a [Seed],
    /// Mounts of other containers to be shown in place of the specification's.
    pub trees: &'a [Tree],
    /// What the hooks of the specification are told; without it they are not run.
    pub subject: Option<&'a Subject>,
    /// The filter of system calls, compiled.
    pub seccomp: Option<Cow<'a, [libc::sock_filter]>>,
    /// Who we are: the ids that exist in the ancestor.
    pub identity: &'a Identity,
    /// Whom the accounts in its files are to have.
    pub account: Option<&'a NewAccount>,
}

/// Where a container's files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootFs {
    /// Layers with a writable directory above them.
    Overlay {
        /// The layers, the top one first.
        lower: Vec<PathBuf>,
        /// Where changes go.
        upper: PathBuf,
        /// The kernel's own directory, on the file system of `upper`.
        work: PathBuf,
        /// Whether the changes go with the container. The kernel then need not write them to the disk when
        /// it ends, and does not do so for `fsync` either.
        scratch: bool,
    },
    /// A directory as it is.
    Directory(PathBuf),
}

/// Who a process shall be, in the words of the user.
#[derive(Debug, Clone, Copy, Default)]
pub struct UserRequest<'a> {
    /// `user` or `user:group`, by name or number; empty is root.
    pub text: &'a str,
    /// More groups, by name or number.
    pub groups: &'a [String],
}

/// A size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowSize {
    /// The lines.
    pub rows: u16,
    /// The characters of a line.
    pub columns: u16,
}

/// A volume that takes over the image's content of the path where it is mounted, if it is still empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The path inside.
    pub path: PathBuf,
    /// The volume's directory.
    pub volume: PathBuf,
}

/// A mount of another container, as [`borrow`] brings it.
#[derive(Debug)]
pub struct Tree {
    /// The path inside.
    pub path: PathBuf,
    /// The mount, attached nowhere.
    pub mount: OwnedFd,
}

/// A process of a container.
#[derive(Debug)]
pub struct Process {
    /// Its number as the caller sees it.
    pub pid: i32,
    /// The handle on it. It is a child of the caller, who reaps it.
    pub pidfd: OwnedFd,
    /// The other ends of its standard streams.
    pub io: Io,
    /// The end of a pipe that is closed when nobody changes the container's files for it any more, if somebody does.
    pub steward: Option<OwnedFd>,
}

/// The other ends of a process's standard streams.
#[derive(Debug)]
pub enum Io {
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// There are none: the streams are `/dev/null`.
    Nowhere,
    /// Pipes.
    Pipes {
        /// To write to, if it was asked for.
        stdin: Option<OwnedFd>,
        /// To read from.
        stdout: OwnedFd,
        /// To read from.
        stderr: OwnedFd,
    },
}

/// Why the user's program does not run. The texts are those of Docker.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such program (exit code 127).
    #[error("{0}")]
    NotFound(String),
    /// It is there but is no program to this user (exit code 126).
    #[error("{0}")]
    NotExecutable(String),
    /// The image has no such user or group.
    #[error("{0}")]
    UnknownUser(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}
