//! The user namespace that all of one user's processes share.
//!
//! Under the lock file `ancestor`, who wants to be a member looks through the directory `holders`, in which
//! every member has a file: locked for as long as it lives, and holding its pid and start time. The pid is
//! only a hint; what is believed is the held lock, the start time, the handle opened on the process, and the
//! map that the kernel shows. A file whose lock is free belongs to nobody and is removed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result, bail};
use nix::sched::CloneFlags;
use rustix::fs::{Gid, Uid};
use rustix::pipe::PipeFlags;
use rustix::thread::ThreadNameSpaceType;

use super::{IdMap, Identity, Level, Range, diagnose, map_lines, parse_map, subordinate};
use crate::sys::lock::{Lock, Mode};
use crate::sys::process::{self, Cloned, Parent};

/// Membership of the ancestor user namespace, for as long as this process lives.
///
/// Dropping it takes the membership off the list; the process itself stays where it is.
#[derive(Debug)]
pub struct Ancestor {
    /// Held until the process ends, so that others can tell that it lives. Absent where the disk had no room for
    /// it: then nobody joins this process, and what is wanted of it, to free room, can be done all the same.
    _lock: Option<Lock>,
    file: PathBuf,
}

impl Ancestor {
    /// Makes this process root of the user's ancestor user namespace, with all capabilities in it.
    ///
    /// The process must have one thread (setns(2), unshare(2)).
    pub fn enter(locks: &Path, identity: &Identity) -> Result<Self> {
        debug_assert!(process::is_single_threaded(), "enter with several threads");
        let path = locks.join("ancestor");
        let _lock = Lock::take(&path, Mode::Exclusive).with_context(|| format!("lock {}", path.display()))?;
        let holders = locks.join("holders");
        if !join_any(&holders, &identity.map)? {
            make(identity)?;
        }
        become_root().context("become root of the user namespace")?;
        Self::register(&holders)
    }

    /// Makes a process that already is root of the ancestor user namespace a member in its own right: while it
    /// lives, those who come enter its namespace, and no second one is made.
    pub fn remain(locks: &Path) -> Result<Self> {
        let path = locks.join("ancestor");
        let _lock = Lock::take(&path, Mode::Exclusive).with_context(|| format!("lock {}", path.display()))?;
        Self::register(&locks.join("holders"))
    }

    /// Puts this process on the list.
    fn register(holders: &Path) -> Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let start = process::start_time(pid).context("read /proc/self/stat")?;
        let file = holders.join(format!("{pid}-{start}"));
        let held = || -> io::Result<Lock> {
            let lock = Lock::take(&file, Mode::Exclusive)?;
            lock.file().set_len(0)?;
            writeln!(&mut lock.file(), "{pid} {start}")?;
            Ok(lock)
        };
        match held() {
            Ok(lock) => Ok(Self { _lock: Some(lock), file }),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                let _ = fs::remove_file(&file);
                Ok(Self { _lock: None, file })
            }
            Err(error) => Err(error).with_context(|| format!("write {}", file.display())),
        }
    }
}

impl Drop for Ancestor {
    fn drop(&mut self) {
        // Left behind it is harmless: its lock is free, and the next one to enter removes it.
        let _ = fs::remove_file(&self.file);
    }
}

/// Joins the namespace of any live member that has the wanted map.
fn join_any(holders: &Path, wanted: &IdMap) -> Result<bool> {
    let entries = match fs::read_dir(holders) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(holders).with_context(|| format!("create {}", holders.display()))?;
            return Ok(false);
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", holders.display())),
    };
    for entry in entries {
        let path = entry.with_context(|| format!("read {}", holders.display()))?.path();
        match File::open(&path) {
            Ok(file) => {
                if !Lock::is_file_held(&file).with_context(|| format!("query lock of {}", path.display()))? {
                    let _ = fs::remove_file(&path);
                } else if let Some(pidfd) = member(&file, wanted) {
                    // A member that has just ended has no namespaces any more: ESRCH.
                    if rustix::thread::move_into_thread_name_spaces(pidfd.as_fd(), ThreadNameSpaceType::USER)
                        .is_ok()
                    {
                        return Ok(true);
                    }
                }
            }
            // It has just left.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("open {}", path.display())),
        }
    }
    Ok(false)
}

/// Returns a handle on the process that holds `file`, if its namespace has the wanted map.
fn member(mut file: &File, wanted: &IdMap) -> Option<OwnedFd> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let (pid, start) = text.trim_end().split_once(' ')?;
    let (pid, start): (i32, u64) = (pid.parse().ok()?, start.parse().ok()?);
    // From here on the number cannot change its meaning unseen: if the process ends, entering by the
    // handle fails.
    let pidfd = process::pidfd_open(pid).ok()?;
    let is_member =
        process::start_time(pid).ok()? == start && Lock::is_file_held(file).ok()? && has_map(pid, wanted);
    is_member.then_some(pidfd)
}

fn has_map(pid: i32, wanted: &IdMap) -> bool {
    let is = |name: &str, ranges: &[Range]| {
        let text = fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        parse_map(&text).is_some_and(|found| found == ranges)
    };
    is("uid_map", &wanted.uids) && is("gid_map", &wanted.gids)
}

/// Moves this process into a new user namespace with the map of `identity`.
fn make(identity: &Identity) -> Result<()> {
    let map = &identity.map;
    match identity.level {
        Level::Single => {
            unshare_user()?;
            let write =
                |path: &str, text: &str| fs::write(path, text).with_context(|| format!("write {path}"));
            // Without this an unprivileged user may not map a group (user_namespaces(7)).
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &map_lines(&map.uids))?;
            write("/proc/self/gid_map", &map_lines(&map.gids))
        }
        Level::Root => {
            let both = Outside::start(Work::Write { map })?;
            unshare_user()?;
            both.go()?;
            both.finish()
        }
        Level::Subuid => {
            let uids = Outside::start(Work::Run { program: "newuidmap", ranges: &map.uids })?;
            let gids = Outside::start(Work::Run { program: "newgidmap", ranges: &map.gids })?;
            unshare_user()?;
            uids.go()?;
            gids.go()?;
            uids.finish().and(gids.finish())
        }
    }
}

fn unshare_user() -> Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|errno| diagnose(rustix::io::Errno::from_raw_os_error(errno as i32)))
}

/// Takes on the ids that the map calls root. They are the same persons as before at the lower levels.
fn become_root() -> io::Result<()> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// What is done in the namespace above, where the power to write maps of several ids is.
#[derive(Clone, Copy)]
enum Work<'a> {
    /// Start a setuid program.
    Run { program: &'a str, ranges: &'a [Range] },
    /// Write the maps.
    Write { map: &'a IdMap },
}

/// A child that stays in the namespace above and works on this process's map when it is told to.
struct Outside {
    name: String,
    pidfd: OwnedFd,
    go: OwnedFd,
    complaints: OwnedFd,
}

impl Outside {
    fn start(work: Work<'_>) -> Result<Self> {
        let name = match work {
            Work::Run { program, .. } => subordinate::find(program)
                .with_context(|| format!("{program} is not installed"))?
                .display()
                .to_string(),
            Work::Write { .. } => "write uid_map and gid_map".to_owned(),
        };
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let (wait, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("make a pipe")?;
        let (complaints, complain) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("make a pipe")?;
        let cloned = process::clone(0, Parent::Caller).map_err(|error| match error.raw_os_error() {
            // Filters of system calls that refuse user namespaces say so of clone3(2) as a whole.
            Some(libc::ENOSYS) => diagnose(rustix::io::Errno::NOSYS),
            _ => Error::from(error).context(format!("start {name}")),
        });
        match cloned? {
            Cloned::Parent { pidfd, .. } => Ok(Self { name, pidfd, go, complaints }),
            Cloned::Child => {
                drop((go, complaints));
                // No byte means that the parent has given up.
                if File::from(wait).read(&mut [0]).ok() == Some(1) {
                    let error = work.perform(&name, pid, &complain);
                    if let Some(error) = error {
                        let _ = write!(File::from(complain), "{error:#}");
                        process::exit_now(1);
                    }
                }
                process::exit_now(0)
            }
        }
    }

    fn go(&self) -> Result<()> {
        rustix::io::write(&self.go, b"g").with_context(|| format!("start {}", self.name))?;
        Ok(())
    }

    fn finish(self) -> Result<()> {
        drop(self.go);
        let mut complaints = String::new();
        let read = File::from(self.complaints).read_to_string(&mut complaints);
        let exit = process::reap(self.pidfd.as_fd()).with_context(|| format!("wait for {}", self.name))?;
        read.with_context(|| format!("read from {}", self.name))?;
        if exit.code() == 0 {
            return Ok(());
        }
        bail!(
            "{}: {} (the ids it was asked for are those that /etc/subuid and /etc/subgid give)",
            self.name,
            complaints.trim()
        )
    }
}

impl Work<'_> {
    /// Works on the map of process `pid`; returns what went wrong.
    fn perform(self, program: &str, pid: i32, complain: &OwnedFd) -> Option<Error> {
        match self {
            Work::Run { ranges, .. } => {
                let out = || complain.try_clone().map_or_else(|_| Stdio::null(), Stdio::from);
                let error = Command::new(program)
                    .arg(pid.to_string())
                    .args(ranges.iter().flat_map(|range| {
                        [range.inside.to_string(), range.outside.to_string(), range.count.to_string()]
                    }))
                    .stdin(Stdio::null())
                    .stdout(out())
                    .stderr(out())
                    .exec();
                Some(error.into())
            }
            Work::Write { map } => {
                let write = |name: &str, ranges: &[Range]| {
                    let path = format!("/proc/{pid}/{name}");
                    fs::write(&path, map_lines(ranges)).with_context(|| format!("write {path}"))
                };
                write("uid_map", &map.uids).and_then(|()| write("gid_map", &map.gids)).err()
            }
        }
    }
}
