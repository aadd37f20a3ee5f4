//! Makes a process in namespaces, new ones and ones that are there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, anyhow};
use rustix::process::DumpableBehavior;
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

use super::cgroup::Cgroup;
use super::perform;
use crate::sys::process::{self, Cloned, Parent};
use crate::sys::socket;

/// Namespaces to enter first.
#[derive(Debug)]
pub(super) enum Enter<'a> {
    /// None.
    Nothing,
    /// One each, named by what opening their files in `/proc/<pid>/ns` gives.
    Links {
        links: &'a [OwnedFd],
        /// Whether a user namespace is among them, so that the child shares it with another container.
        shares_users: bool,
    },
    /// Those of a process, and its cgroup.
    Process { pidfd: BorrowedFd<'a>, kinds: ThreadNameSpaceType, cgroup: Option<&'a Cgroup> },
}

/// Makes a child of this process: in it runs `child`, and then it ends.
///
/// What enters namespaces cannot come back, and a process that enters a pid namespace is not itself in it
/// (pid_namespaces(7)). So a process in between enters, makes the child for us, and ends.
///
/// With a `score`, that is how likely the child is to be killed when memory is short.
pub(super) fn spawn(
    enter: &Enter<'_>,
    flags: libc::c_int,
    score: Option<i32>,
    child: impl FnOnce(),
) -> Result<(i32, OwnedFd)> {
    if matches!(enter, Enter::Nothing) {
        return match process::clone(flags, Parent::Caller)? {
            Cloned::Parent { pid, pidfd } => Ok((pid.as_raw_nonzero().get(), pidfd)),
            Cloned::Child => {
                child();
                process::exit_now(1)
            }
        };
    }
    let (ours, theirs) = socket::pair().context("make a socket")?;
    match process::clone(0, Parent::Caller)? {
        Cloned::Parent { pidfd: between, .. } => {
            drop(theirs);
            let mut buffer = [0; 1024];
            let answer = socket::receive(&ours, &mut buffer);
            process::reap(between.as_fd()).context("wait for the process between")?;
            let (length, fds) = answer.context("listen to the process between")?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            match (text.parse(), fds.into_iter().next()) {
                (Ok(pid), Some(pidfd)) => Ok((pid, pidfd)),
                _ if text.is_empty() => Err(anyhow!("the process between ended early")),
                _ => Err(anyhow!(text)),
            }
        }
        Cloned::Child => {
            drop(ours);
            match enter_and_clone(enter, flags, score) {
                Ok(Cloned::Child) => {
                    drop(theirs);
                    child();
                    process::exit_now(1)
                }
                Ok(Cloned::Parent { pid, pidfd }) => {
                    let pid = pid.as_raw_nonzero().to_string();
                    // Without a reader nobody waits for the child, and its own socket tells it so.
                    let _ = socket::send(&theirs, pid.as_bytes(), &[pidfd.as_fd()]);
                    process::exit_now(0)
                }
                Err(error) => {
                    let _ = socket::send(&theirs, format!("{error:#}").as_bytes(), &[]);
                    process::exit_now(1)
                }
            }
        }
    }
}

fn enter_and_clone(enter: &Enter<'_>, flags: libc::c_int, score: Option<i32>) -> Result<Cloned> {
    if let Some(score) = score {
        // The child inherits it; hidden, neither of us could write the file.
        perform::set_oom_score_adj(score)?;
    }
    if let Enter::Process { cgroup: Some(cgroup), .. } = enter {
        // So is the child, from its first moment on.
        cgroup.add(&[i32::try_from(std::process::id())?])?;
    }
    // From the moment we are inside, processes there might look into us.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("hide from the container")?;
    match enter {
        Enter::Nothing => {}
        Enter::Links { links, shares_users } => {
            for link in *links {
                rustix::thread::move_into_link_name_space(link.as_fd(), None::<LinkNameSpaceType>)
                    .context("enter a namespace")?;
            }
            if !shares_users {
                // Nobody inside has power over the user namespace that comes next, and its map is written
                // through files that belong to root while this is switched off.
                rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).context("show")?;
            }
        }
        Enter::Process { pidfd, kinds, .. } => {
            rustix::thread::move_into_thread_name_spaces(*pidfd, *kinds).context("enter the container")?;
        }
    }
    Ok(process::clone(flags, Parent::Parent)?)
}
