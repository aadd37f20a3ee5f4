//! Control groups (cgroups(7), version 2): where the user may make some, and what a container's is for.
//!
//! # Theory of operation
//!
//! Only who has been given a part of the tree may make groups in it ([`observe`]). Somebody logged in has none,
//! but his systemd has, and gives a part of it to those who ask: a *scope* ([`bus`]). Root has the whole tree,
//! and whoever runs in a group that was given to him (`Delegate=yes`, or the root of a container's own tree) has
//! that.
//!
//! ```text
//! systemd   …/user@1000.service/…/coracle-<id>.<supervisor>.scope/ ─ supervisor/   the supervisor
//!                                                                  └ container/    the container
//! direct    <given to us>/ ─ coracle-<id>/      the container
//!                          └ coracle-others/    everybody who was there before
//! ```
//!
//! A group that has processes cannot have controllers for groups below it ("no internal processes"), hence the
//! two leaves of a scope, and the leaf for those who were in a group that was given to us. The supervisor is
//! in its scope so that systemd does not take that away before it has been read how the container ended.
//!
//! Moving a process takes a lock of all forks in the machine, which costs the kernel up to some ten milliseconds. So
//! there is a group only where it is of use: with a limit, at the start or later, and for a pause.
//!
//! The kernel ends a group with everything in it by one write (`cgroup.kill`), and lets an empty one be removed
//! by anybody who owns it, so whoever finds a container whose supervisor was killed can do both.

mod bus;
mod instead;
mod limits;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat};
use serde::{Deserialize, Serialize};

pub use instead::Instead;
pub use limits::{Controllers, DeviceRate, Limits, parse_list};

use super::perform::has_unified_cgroups;

/// Where the kernel shows the tree.
const TREE: &str = "/sys/fs/cgroup";
/// The leaf for those who were in a group before it was divided.
const OTHERS: &str = "coracle-others";
/// The leaves of a scope.
const SUPERVISOR: &str = "supervisor";
const CONTAINER: &str = "container";

/// What the user may do with control groups.
#[derive(Debug, Clone)]
pub struct Delegation {
    /// Who makes groups.
    pub driver: Driver,
    /// What they can be used for.
    pub controllers: Controllers,
    /// The version of the machine's tree: 1 also stands for both at once.
    pub version: u8,
}

/// Who makes groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// The user's systemd, whose sockets are in this directory.
    Systemd(PathBuf),
    /// We ourselves, below this group.
    Direct(Area),
    /// Nobody: nothing is delegated.
    None,
}

/// A part of the tree that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Its path in the tree.
    path: PathBuf,
    ground: Ground,
}

/// What is in it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// Groups of ours only.
    Divided,
    /// Processes that have to move to a leaf first.
    Occupied,
    /// It is a child of the tree's root, and may not be there yet.
    Root,
}

impl Driver {
    /// Returns Docker's name for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Systemd(_) => "systemd",
            Self::Direct(_) => "cgroupfs",
            Self::None => "none",
        }
    }

    /// Tells whether this process lives as long in a group of this driver's as it does where it is. What the user's
    /// systemd has ends with it: when the user logs out, unless he lingers.
    pub fn keeps_lifetime(&self) -> bool {
        let is_manager = |part: &std::ffi::OsStr| part.to_str().is_some_and(|part| part.starts_with("user@"));
        let lingers = || {
            let user = ["USER", "LOGNAME"].iter().find_map(std::env::var_os);
            user.is_some_and(|user| Path::new("/var/lib/systemd/linger").join(user).exists())
        };
        match self {
            Self::Systemd(_) => own_path().is_some_and(|path| path.iter().any(is_manager)) || lingers(),
            Self::Direct(_) | Self::None => true,
        }
    }
}

/// The group of a running container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// Its path in the tree.
    pub path: PathBuf,
    /// The scope that it is in, if systemd has made it.
    pub unit: Option<String>,
}

/// A group that is being made.
#[derive(Debug)]
pub struct Coming {
    state: State,
    pids: Vec<i32>,
}

#[derive(Debug)]
enum State {
    Scope { unit: String, asked: bus::Asked },
    Direct(PathBuf),
}

/// What a group has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time, in microseconds.
    pub cpu: Option<u64>,
    /// Memory without what is only kept because there is room, in bytes.
    pub memory: Option<u64>,
    /// Bytes read from disks, and written to them.
    pub blocks: Option<(u64, u64)>,
    /// Processes and threads.
    pub tasks: Option<u64>,
}

/// Finds out what the user may do with control groups, without doing any of it.
pub fn observe() -> Delegation {
    if !has_unified_cgroups() {
        return Delegation { driver: Driver::None, controllers: Controllers::default(), version: 1 };
    }
    let driver = driver();
    let of = |group: &Path| Controllers::parse(&read(group, "cgroup.controllers").unwrap_or_default());
    let controllers = match &driver {
        Driver::Systemd(_) => of(&managed_by_systemd(own_path().as_deref(), own_uid())),
        Driver::Direct(Area { ground: Ground::Root, .. }) => of(Path::new("/")),
        Driver::Direct(area) => of(&area.path),
        Driver::None => Controllers::default(),
    };
    Delegation { driver, controllers, version: 2 }
}

/// Tells whether groups have the files for swap and for shares of disks, which kernels may lack. Every group but the
/// root has them, so one is as good as another.
pub fn extras() -> (bool, bool) {
    let Some(own) = own_path() else { return (false, false) };
    let has = |file: &str| {
        let mut above = own.ancestors().map(|group| in_tree(group).join(file));
        above.any(|path| path.exists())
    };
    (has("memory.swap.max"), has("io.weight") || has("io.bfq.weight"))
}

fn driver() -> Driver {
    let own = own_path();
    // Somebody of ours has divided it already.
    if let Some(path) = own.as_deref().filter(|path| path.ends_with(OTHERS)).and_then(Path::parent)
        && is_ours(path)
    {
        return Driver::Direct(Area { path: path.to_owned(), ground: Ground::Divided });
    }
    // Only the real root of the tree has no state of its own.
    if !in_tree(Path::new("/")).join("cgroup.events").exists() && is_ours(Path::new("/")) {
        return Driver::Direct(Area { path: PathBuf::from("/coracle"), ground: Ground::Root });
    }
    let runtime = runtime_dir();
    if bus::is_reachable(&runtime) {
        return Driver::Systemd(runtime);
    }
    match own {
        Some(path) if is_ours(&path) && is_given(&path) => {
            Driver::Direct(Area { path, ground: Ground::Occupied })
        }
        _ => Driver::None,
    }
}

/// Returns the group of this process; `None` if it is out of sight.
fn own_path() -> Option<PathBuf> {
    path_in(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

fn path_in(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    (!path.contains("/..")).then(|| PathBuf::from(path))
}

fn in_tree(path: &Path) -> PathBuf {
    Path::new(TREE).join(path.strip_prefix("/").unwrap_or(path))
}

/// Tells whether groups can be made in a group, and processes be put into them.
fn is_ours(path: &Path) -> bool {
    let path = in_tree(path);
    let may = |path: &Path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    may(&path) && may(&path.join("cgroup.procs")) && may(&path.join("cgroup.subtree_control"))
}

/// Tells whether a group that is writable is meant to be divided: those of the user's systemd all are writable, but
/// it has work with them itself, and marks those that it gives away.
fn is_given(path: &Path) -> bool {
    let is_managed = |part: &std::ffi::OsStr| part.to_str().is_some_and(|part| part.starts_with("user@"));
    let mut mark = [0; 8];
    !path.iter().any(is_managed)
        || rustix::fs::getxattr(in_tree(path), "user.delegate", &mut mark[..])
            .is_ok_and(|count| &mark[..count] == b"1")
}

/// Returns the directory of the user's sockets.
fn runtime_dir() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(format!("/run/user/{}", own_uid())),
    }
}

/// Returns the group that the user's systemd has been given.
fn managed_by_systemd(own: Option<&Path>, uid: u32) -> PathBuf {
    let manager = format!("user@{uid}.service");
    let above = own.into_iter().flat_map(Path::ancestors).find(|path| path.ends_with(&manager));
    above.map_or_else(|| PathBuf::from(format!("/user.slice/user-{uid}.slice/{manager}")), Path::to_path_buf)
}

/// Returns the user as the namespace above numbers him: that is the host, where the sockets are.
fn own_uid() -> u32 {
    let inside = rustix::process::geteuid().as_raw();
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    outside(&map, inside).unwrap_or(inside)
}

fn outside(map: &str, inside: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().map(str::parse::<u32>);
        let (first, outside, count) = (words.next()?.ok()?, words.next()?.ok()?, words.next()?.ok()?);
        let offset = inside.checked_sub(first).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

fn read(group: &Path, file: &str) -> io::Result<String> {
    fs::read_to_string(in_tree(group).join(file))
}

fn write(group: &Path, file: &str, value: &str) -> Result<()> {
    let path = in_tree(group).join(file);
    fs::write(&path, value).with_context(|| format!("write {value:?} to {}", path.display()))
}

/// Makes a group; one that is there is as good.
fn make(group: &Path) -> Result<()> {
    let path = in_tree(group);
    match fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("create control group {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Hands the controllers that a group has on to those below it.
fn hand_on(group: &Path) {
    let present = read(group, "cgroup.controllers").unwrap_or_default();
    let handed = read(group, "cgroup.subtree_control").unwrap_or_default();
    let has = |text: &str, name: &str| text.split_ascii_whitespace().any(|word| word == name);
    for name in ["cpu", "cpuset", "io", "memory", "pids"] {
        if has(&present, name) && !has(&handed, name) {
            // One each: what cannot be had does not keep the others away, and is missed when it is needed.
            let _ = write(group, "cgroup.subtree_control", &format!("+{name}"));
        }
    }
}

fn members(group: &Path) -> Vec<i32> {
    let text = read(group, "cgroup.procs").unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// Moves a process. That it has ended meanwhile is no failure.
fn put(group: &Path, pid: i32) -> Result<()> {
    let path = in_tree(group).join("cgroup.procs");
    match fs::write(&path, pid.to_string()) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result.with_context(|| format!("move process {pid} to {}", path.display())),
    }
}

/// Moves all processes that are in a group itself, until there are none.
fn empty(group: &Path, to: impl Fn(i32) -> PathBuf) -> Result<()> {
    for _ in 0..100 {
        let members = members(group);
        if members.is_empty() {
            return Ok(());
        }
        for pid in members {
            put(&to(pid), pid)?;
        }
    }
    bail!("empty control group {}: it makes processes faster than they can be moved", group.display())
}

impl Delegation {
    /// Begins to make a group for the container `id` with the processes `pids`. The caller supervises it. `parent`
    /// is the slice or the group that it is to be in.
    pub fn begin(&self, id: &str, parent: &str, pids: &[i32]) -> Result<Coming> {
        let pids = pids.to_vec();
        let state = match &self.driver {
            Driver::Systemd(runtime) => {
                let own = std::process::id();
                let unit = format!("coracle-{id}.{own}.scope");
                let mut all = vec![i32::try_from(own)?];
                all.extend_from_slice(&pids);
                let slice = Some(parent).filter(|parent| !parent.is_empty());
                let asked = bus::Bus::open(runtime, own_uid())?.begin_scope(&unit, slice, &all)?;
                State::Scope { unit, asked }
            }
            Driver::Direct(area) => {
                let mut path = area.path.clone();
                match area.ground {
                    Ground::Divided => {}
                    Ground::Occupied => {
                        let others = path.join(OTHERS);
                        make(&others)?;
                        empty(&path, |_| others.clone())?;
                    }
                    Ground::Root => {
                        hand_on(Path::new("/"));
                        make(&path)?;
                    }
                }
                hand_on(&path);
                for part in Path::new(parent).components() {
                    if let std::path::Component::Normal(part) = part {
                        path.push(part);
                        make(&path)?;
                        hand_on(&path);
                    }
                }
                path.push(format!("coracle-{id}"));
                make(&path)?;
                State::Direct(path)
            }
            Driver::None => bail!("make a control group: none is delegated to this user"),
        };
        Ok(Coming { state, pids })
    }
}

impl Coming {
    /// Waits until the group is there, sets its limits, and puts the processes into it.
    pub fn finish(self, limits: &Limits) -> Result<Cgroup> {
        let cgroup = match self.state {
            State::Direct(path) => Cgroup { path, unit: None },
            State::Scope { unit, asked } => {
                asked.finish()?;
                let scope = own_path().context("find the scope")?;
                if !scope.ends_with(&unit) {
                    bail!("find the scope {unit}: this process is in {}", scope.display());
                }
                let (supervisor, container) = (scope.join(SUPERVISOR), scope.join(CONTAINER));
                make(&supervisor)?;
                make(&container)?;
                let own = i32::try_from(std::process::id())?;
                empty(&scope, |pid| if pid == own { supervisor.clone() } else { container.clone() })?;
                hand_on(&scope);
                Cgroup { path: container, unit: Some(unit) }
            }
        };
        cgroup.limit(limits)?;
        for pid in self.pids {
            put(&cgroup.path, pid)?;
        }
        Ok(cgroup)
    }
}

impl Cgroup {
    /// Makes the group anew for another run: what was counted is forgotten. The one of the last run is gone.
    pub fn again(&self, limits: &Limits, pid: i32) -> Result<()> {
        make(&self.path)?;
        self.limit(limits)?;
        put(&self.path, pid)
    }

    /// Sets limits; what they do not name stays as it is.
    pub fn limit(&self, limits: &Limits) -> Result<()> {
        for (file, value) in limits.files(self.controllers())? {
            // Kernels may lack these two without lacking the controller.
            let is_there = |file: &str| in_tree(&self.path).join(file).exists();
            let file = match file {
                "io.weight" if !is_there(file) => "io.bfq.weight",
                file => file,
            };
            if matches!(file, "memory.swap.max" | "io.bfq.weight") && !is_there(file) {
                continue;
            }
            write(&self.path, file, &value)?;
        }
        Ok(())
    }

    /// Returns the controllers that count in it.
    pub fn controllers(&self) -> Controllers {
        Controllers::parse(&read(&self.path, "cgroup.controllers").unwrap_or_default())
    }

    /// Puts processes into the group.
    pub fn add(&self, pids: &[i32]) -> Result<()> {
        for pid in pids {
            let Err(error) = put(&self.path, *pid) else { continue };
            // Nobody but systemd may move what is not below the same part that was given to the user.
            let denied = error.root_cause().downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            match (&self.unit, denied) {
                (Some(unit), Some(libc::EACCES | libc::EPERM)) => {
                    let part = format!("/{CONTAINER}");
                    bus::Bus::open(&runtime_dir(), own_uid())?.attach(unit, &part, &[*pid])?;
                }
                _ => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells whether a process is in the group.
    pub fn holds(&self, pid: i32) -> bool {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        path_in(&text).is_some_and(|path| path.starts_with(&self.path))
    }

    /// Returns its processes, with those of groups that they have made below.
    pub fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        for group in self.tree() {
            found.extend(members(&group));
        }
        found
    }

    /// Stops all processes, or lets them go on, and waits until that is so.
    pub fn freeze(&self, stop: bool) -> Result<()> {
        let events = self.open("cgroup.events")?;
        write(&self.path, "cgroup.freeze", if stop { "1" } else { "0" })?;
        let until = Instant::now() + Duration::from_secs(10);
        let wanted = if stop { "frozen 1" } else { "frozen 0" };
        while !read_again(&events)?.lines().any(|line| line == wanted) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let _ = write(&self.path, "cgroup.freeze", "0");
                bail!("stop the processes in {}: one does not stop", self.path.display());
            }
            let timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
            match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for the processes"),
            }
        }
        Ok(())
    }

    /// Opens what tells of memory that ran out; it becomes ready for `PRI` when there is news.
    pub fn memory_events(&self) -> Option<OwnedFd> {
        self.open("memory.events").ok()
    }

    fn open(&self, file: &str) -> Result<OwnedFd> {
        let path = in_tree(&self.path).join(file);
        rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("open {}", path.display()))
    }

    /// Kills everything in the group, and removes it with what is below it.
    pub fn remove(&self) {
        let path = in_tree(&self.path);
        if !path.exists() {
            return;
        }
        if write(&self.path, "cgroup.kill", "1").is_err() {
            // Before Linux 5.14: one by one.
            for pid in self.processes().into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        // What has been killed is still there until the kernel has taken it apart.
        for _ in 0..1000 {
            for group in self.tree().iter().rev() {
                let _ = fs::remove_dir(in_tree(group));
            }
            if !path.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.unit.is_none() {
            // Groups above it that were made for it; what is in use cannot be removed.
            let above = self.path.ancestors().skip(1).take_while(|path| !path.ends_with(OTHERS));
            for group in above.take_while(|group| group.starts_with("/coracle")) {
                if fs::remove_dir(in_tree(group)).is_err() {
                    break;
                }
            }
        }
    }

    /// Returns the group and those below it, each before its own.
    fn tree(&self) -> Vec<PathBuf> {
        let mut found = vec![self.path.clone()];
        let mut next = 0;
        while let Some(group) = found.get(next).cloned() {
            next += 1;
            for entry in fs::read_dir(in_tree(&group)).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    found.push(group.join(entry.file_name()));
                }
            }
        }
        found
    }

    /// Tells what the group has used and uses. What no controller counts is left out.
    pub fn used(&self) -> Used {
        let number = |file: &str| read(&self.path, file).ok()?.trim().parse::<u64>().ok();
        let text = |file: &str| read(&self.path, file).unwrap_or_default();
        let idle = field(&text("memory.stat"), "inactive_file").unwrap_or(0);
        Used {
            cpu: field(&text("cpu.stat"), "usage_usec"),
            memory: number("memory.current").map(|bytes| bytes.saturating_sub(idle)),
            blocks: read(&self.path, "io.stat").ok().map(|text| blocks(&text)),
            tasks: number("pids.current"),
        }
    }
}

/// Reads how often a process was killed because the group's memory ran out.
pub fn out_of_memory(events: &OwnedFd) -> u64 {
    read_again(events).ok().and_then(|text| field(&text, "oom_kill")).unwrap_or(0)
}

fn read_again(file: &OwnedFd) -> Result<String> {
    let mut buffer = [0; 1024];
    let count = rustix::io::pread(file, &mut buffer, 0).context("read a control group")?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

/// Returns the number behind a word at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Sums up `io.stat`: bytes read and written.
fn blocks(text: &str) -> (u64, u64) {
    let sum = |key: &str| {
        text.split_ascii_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok()).sum()
    };
    (sum("rbytes="), sum("wbytes="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_groups_and_users() {
        assert_eq!(path_in("1:cpu:/x\n0::/a/b\n"), Some(PathBuf::from("/a/b")));
        assert_eq!(path_in("0::/../x\n"), None);
        assert_eq!(path_in("1:cpu:/x\n"), None);
        assert_eq!(
            outside("         0       1000          1\n         1     100000      65536\n", 0),
            Some(1000)
        );
        assert_eq!(outside("0 1000 1\n1 100000 65536\n", 5), Some(100_004));
        assert_eq!(outside("0 0 4294967295\n", 1000), Some(1000));
        assert_eq!(outside("0 1000 1\n", 7), None);
        let standard = Path::new("/user.slice/user-7.slice/user@7.service");
        assert_eq!(managed_by_systemd(None, 7), standard);
        let own = Path::new("/x/user@7.service/app.slice/y.scope");
        assert_eq!(managed_by_systemd(Some(own), 7), Path::new("/x/user@7.service"));
    }

    #[test]
    fn reads_what_groups_tell() {
        assert_eq!(field("low 0\noom 3\noom_kill 2\n", "oom_kill"), Some(2));
        assert_eq!(field("oom_kill 2\n", "oom"), None);
        let text = "8:0 rbytes=100 wbytes=5 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n";
        assert_eq!(blocks(text), (101, 7));
        let all = Controllers { cpu: true, cpuset: true, io: true, memory: true, pids: true };
        assert_eq!(Controllers::parse("cpuset cpu io memory hugetlb pids rdma\n"), all);
        assert_eq!(
            Controllers::parse("memory pids"),
            Controllers { memory: true, pids: true, ..Controllers::default() }
        );
    }
}
