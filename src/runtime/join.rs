//! One more process in a running container.

use std::borrow::Cow;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use rustix::thread::ThreadNameSpaceType;

use super::cgroup::{Cgroup, Instead};
use super::guest::{LaunchMode, ParentDeath};
use super::handshake::{self, Received};
use super::init::{self, Body};
use super::spawn::{Enter, spawn};
use super::stdio::Pipes;
use super::{Io, Process, StartError, UserRequest, WindowSize};
use crate::oci::runtime;
use crate::sys::{process, socket};

/// A running container.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The handle on its first process.
    pub pidfd: BorrowedFd<'a>,
    /// That process's number, as the caller sees it.
    pub pid: i32,
}

/// What the process shall be.
#[derive(Debug)]
pub struct JoinRequest<'a> {
    /// Its program, environment, directory, limits and capabilities.
    pub process: &'a runtime::Process,
    /// Who runs.
    pub user: UserRequest<'a>,
    /// A terminal of this size as its standard streams, instead of pipes.
    pub terminal: Option<WindowSize>,
    /// Whether standard input is a pipe, and not empty, when there is no terminal.
    pub stdin: bool,
    /// Whether nobody will listen: without a terminal, all streams are `/dev/null`.
    pub detached: bool,
    /// The filter of system calls, compiled.
    pub seccomp: Option<Cow<'a, [libc::sock_filter]>>,
    /// The container's cgroup.
    pub cgroup: Option<&'a Cgroup>,
    /// What is done for limits in the place of one.
    pub instead: &'a Instead,
}

/// Starts a process in the namespaces of a running container. It is a child of the caller.
///
/// The caller is a member of the ancestor or its owner in the namespace above, and has one thread.
pub fn join(target: Target<'_>, request: &JoinRequest<'_>) -> Result<Process, StartError> {
    let kinds = foreign_namespaces(target.pid)?;
    let path = format!("/proc/{}/setgroups", target.pid);
    let setgroups = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let (ours, theirs) = socket::pair().context("make a socket")?;
    let (pipes, io) = if request.detached && request.terminal.is_none() {
        (Some(Pipes::nowhere().context("open /dev/null")?), Some(Io::Nowhere))
    } else {
        Pipes::unless(request.terminal, request.stdin).context("make pipes")?
    };
    let body = Body {
        hooks: None,
        process: request.process,
        user: request.user,
        terminal: request.terminal,
        pipes,
        seccomp: request.seccomp.as_deref(),
        mode: LaunchMode::Exec,
        parent_death: ParentDeath::Spares,
        trees: &[],
        hidden: true,
        new_cgroups: false,
        instead: Some(request.instead),
        emulates: has_one_id(target.pid)?,
        hands_over: false,
    };
    let mut given = Some((body, theirs));
    let enter = Enter::Process { pidfd: target.pidfd, kinds, cgroup: request.cgroup };
    let (pid, pidfd) = spawn(&enter, 0, request.process.oom_score_adj(), || {
        if let Some((body, theirs)) = given.take() {
            init::run_joined(body, setgroups.trim() == "allow", theirs);
        }
    })?;
    drop(given);
    match handshake::listen(&ours, pidfd.as_fd(), target.pidfd, || Ok(())) {
        Ok(Received { terminal, steward }) => {
            let io = terminal.map(Io::Terminal).or(io).context("the process gave no terminal")?;
            Ok(Process { pid, pidfd, io, steward })
        }
        Err(error) => {
            // It ends by itself once it has said why.
            let _ = process::send_signal(pidfd.as_fd(), libc::SIGKILL);
            let _ = process::reap(pidfd.as_fd());
            Err(error)
        }
    }
}

/// Tells whether the user namespace of process `pid` maps one user only.
pub(super) fn has_one_id(pid: i32) -> Result<bool> {
    let path = format!("/proc/{pid}/uid_map");
    let map = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(map.split_ascii_whitespace().skip(2).eq(["1"]))
}

/// Returns the namespaces of process `pid` that are not this process's own. Entering one that is shared
/// would be refused: nobody but root has power over the host's.
fn foreign_namespaces(pid: i32) -> Result<ThreadNameSpaceType> {
    let all = [
        ("user", ThreadNameSpaceType::USER),
        ("mnt", ThreadNameSpaceType::MOUNT),
        ("pid", ThreadNameSpaceType::PROCESS_ID),
        ("ipc", ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION),
        ("uts", ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME),
        ("net", ThreadNameSpaceType::NETWORK),
        ("cgroup", ThreadNameSpaceType::CONTROL_GROUP),
    ];
    let mut foreign = ThreadNameSpaceType::empty();
    for (name, kind) in all {
        let inode = |who: &str| {
            let path = format!("/proc/{who}/ns/{name}");
            anyhow::Ok(fs::metadata(&path).with_context(|| format!("look at {path}"))?.ino())
        };
        if inode("self")? != inode(&pid.to_string())? {
            foreign |= kind;
        }
    }
    Ok(foreign)
}
