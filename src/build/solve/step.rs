//! The role that carries out one step: a process with one thread, in a mount namespace of its own.
//!
//! It is a child of the build, in the ancestor user namespace, and has one end of a socket as descriptor 0
//! ([`order`](super::order)). What it makes lies in the directory of its order:
//!
//! ```text
//! <dir>/layer/tree     the upper directory of the step's overlay: the layer
//! <dir>/layer/owners   what the tree cannot say
//! <dir>/work, <dir>/…  the kernel's and its own, for as long as it lives
//! ```

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};

use super::command;
use super::contents::{Owner, digest};
use super::order::{GoOn, Order, Place, Said, Work, hear, say};
use super::pick::{Filter, Named, real, select};
use super::place::{From, Placing, relative};
use crate::build::graph::{Copy, StepId};
use crate::build::ignore::{Ignore, Verdict};
use crate::idmap::{group, passwd};
use crate::runtime::root::Root;
use crate::runtime::{self, RootFs};

/// The hidden role's name on the command line.
pub const ROLE: &str = "__step";

/// The largest `passwd` or `group` that is read.
const ACCOUNTS: u64 = 16 << 20;

/// The entry point of the role.
pub fn main() -> ExitCode {
    match begin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("step: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn begin() -> Result<()> {
    // What happens to the terminal of the build is the build's to deal with: it closes the socket.
    let _ = rustix::process::setsid();
    let control =
        rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3).context("keep the control socket")?;
    let null = fs::File::open("/dev/null").context("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("close descriptor 0")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let order = Order::take(&control)?;
    let last = match perform(&order, &control) {
        Ok(said) => said,
        Err(error) => Said::Failed(format!("{error:#}")),
    };
    // Nobody need listen any more.
    let _ = say(&control, &last, &[]);
    Ok(())
}

fn perform(order: &Order, control: &OwnedFd) -> Result<Said> {
    runtime::enter_mounts()?;
    fs::create_dir_all(order.dir.join("layer/tree")).context("make the layer's directory")?;
    match &order.work {
        Work::Directory { path, owner } => {
            let root = base(order)?;
            let mut placing = Placing::new(&root, order.owners());
            if !owner.is_empty() {
                placing.given = Some(find_owner(&root, owner)?);
            }
            placing.directory(&relative(path))?;
            Ok(Said::Done)
        }
        Work::Copy(copy, unpacked) => copy_files(order, copy, unpacked, control),
        Work::Run(command) => command::run(order, command, control),
    }
}

/// Describes the files of the step with a writable directory above them.
pub(super) fn writable(order: &Order) -> Result<RootFs> {
    let upper = order.dir.join("layer/tree");
    let Place::Stack(lower) = &order.base else { bail!("the base is no stack of layers") };
    let Some(top) = lower.first() else {
        fs::set_permissions(&upper, fs::Permissions::from_mode(0o755))
            .context("set up the root directory")?;
        return Ok(RootFs::Directory(upper));
    };
    look_like(&upper, top).context("set up the root directory")?;
    let work = order.dir.join("work");
    fs::create_dir_all(&work).context("make a directory for the kernel")?;
    // What has to be on the disk the build writes there, all at once.
    Ok(RootFs::Overlay { lower: lower.clone(), upper, work, scratch: true })
}

/// Gives the writable directory owner and mode of the root directory below.
fn look_like(upper: &Path, top: &Path) -> io::Result<()> {
    let (wanted, found) = (fs::metadata(top)?, fs::metadata(upper)?);
    if (wanted.uid(), wanted.gid()) != (found.uid(), found.gid()) {
        chown(upper, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    fs::set_permissions(upper, fs::Permissions::from_mode(wanted.mode() & 0o7777))
}

/// Mounts the files of the step, to be changed.
fn base(order: &Order) -> Result<Root> {
    match writable(order)? {
        RootFs::Directory(path) => Root::open(&path).context("open the root directory"),
        rootfs @ RootFs::Overlay { .. } => Ok(Root::new(runtime::mount(&rootfs)?)),
    }
}

/// Mounts the files of another step so that what is written goes; `name` is that of a new directory for it.
pub(super) fn throwaway(order: &Order, lower: Vec<PathBuf>, name: &str) -> Result<Root> {
    let dir = order.dir.join(name);
    let (upper, work) = (dir.join("upper"), dir.join("work"));
    for path in [&upper, &work] {
        fs::create_dir_all(path).context("make a directory for the kernel")?;
    }
    let Some(top) = lower.first() else { return Root::open(&upper).context("open an empty directory") };
    // A directory of the host may belong to somebody who does not exist here.
    let _ = look_like(&upper, top);
    Ok(Root::new(runtime::mount(&RootFs::Overlay { lower, upper, work, scratch: true })?))
}

/// Opens files to be read.
pub(super) fn readable(order: &Order, place: &Place, name: &str) -> Result<Root> {
    match place {
        Place::Directory { path, .. } => Root::open(path).with_context(|| format!("open {}", path.display())),
        Place::Stack(lower) if lower.len() == 1 => {
            Root::open(&lower[0]).with_context(|| format!("open {}", lower[0].display()))
        }
        Place::Stack(lower) => throwaway(order, lower.clone(), name),
    }
}

impl Filter for Ignore {
    fn ignores(&self, path: &str) -> bool {
        self.excluded(path)
    }

    fn may_spare_below(&self, path: &str) -> bool {
        let mut verdict = Verdict::default();
        verdict.excluded = true;
        self.has_exceptions() && !self.skips(&verdict, path)
    }
}

/// Reads the patterns of an ignore file; `None` if there are none.
pub(super) fn filter(lines: &[String]) -> Result<Option<Ignore>> {
    let ignore = Ignore::new(lines)?;
    Ok(Some(ignore).filter(|ignore| !ignore.is_empty()))
}

/// What one word of a copy names.
struct Selection {
    named: Vec<Named>,
    from: StepId,
    /// How many parts of the paths come before a pivot (`/./`).
    skip: usize,
}

fn copy_files(order: &Order, copy: &Copy, unpacked: &BTreeSet<usize>, control: &OwnedFd) -> Result<Said> {
    let exclude = filter(&copy.exclude)?;
    let mut roots: BTreeMap<StepId, (Root, bool)> = BTreeMap::new();
    let mut selections = Vec::new();
    for pick in &copy.sources {
        let place = order.places.get(&pick.from.0).context("a source of the copy is missing")?;
        let (root, _) = match roots.entry(pick.from) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let root = readable(order, place, &format!("source-{}", pick.from.0))?;
                new.insert((root, matches!(place, Place::Directory { .. })))
            }
        };
        let ignore = match place {
            Place::Directory { ignore, .. } => filter(ignore)?,
            Place::Stack(_) => None,
        };
        for path in &pick.paths {
            let ignore = ignore.as_ref().map(|it| it as &dyn Filter);
            let named = select(root, path, ignore, exclude.as_ref().map(|it| it as &dyn Filter))?;
            selections.push(Selection { named, from: pick.from, skip: pivot(path) });
        }
    }
    if order.asks {
        let owner = if copy.owner.is_some() { Owner::Given } else { Owner::Own };
        let mut all = Vec::new();
        for selection in &selections {
            let (root, plain) = &roots[&selection.from];
            let owner = if *plain && owner == Owner::Own { Owner::Root } else { owner };
            all.extend(digest(root, &selection.named, owner, None)?.hex().into_bytes());
        }
        say(control, &Said::Reads(crate::oci::Digest::of(&all)), &[])?;
        ensure!(hear::<GoOn>(control)?.is_some(), "the build has ended");
    }
    let root = base(order)?;
    let mut placing = Placing::new(&root, order.owners());
    placing.given = copy.owner.as_deref().map(|owner| find_owner(&root, owner)).transpose()?;
    placing.mode = copy.mode.as_ref();
    let destination = copy.destination.trim_start_matches('/').as_bytes();
    let destination = if destination.is_empty() { b"." } else { destination };
    for selection in &selections {
        let (root, plain) = &roots[&selection.from];
        let from = From { root, plain: *plain };
        let unpacks = unpacked.contains(&selection.from.0);
        for named in &selection.named {
            if unpacks && placing.unpack(from, named, destination)? {
                continue;
            }
            if copy.parents {
                placing.put_with_parents(from, named, destination, selection.skip)?;
            } else {
                placing.put(from, named, destination)?;
            }
        }
    }
    placing.finish()?;
    write_owners(&order.dir, &placing.recorded)?;
    Ok(Said::Done)
}

fn write_owners(dir: &Path, recorded: &BTreeMap<Vec<u8>, String>) -> Result<()> {
    if recorded.is_empty() {
        return Ok(());
    }
    let mut bytes = Vec::new();
    for (path, text) in recorded {
        bytes.extend(text.as_bytes());
        bytes.push(b' ');
        bytes.extend(path);
        bytes.push(0);
    }
    fs::write(dir.join("layer/owners"), bytes).context("write the owners of files")
}

/// Returns how many parts of a pattern come before its pivot.
fn pivot(pattern: &str) -> usize {
    let before = pattern.find("/./").map_or("", |at| &pattern[..at]);
    before.split('/').filter(|part| !matches!(*part, "" | ".")).count()
}

/// Finds out what `user[:group]` means in a root. Without a group it is the one that a name has in `passwd`, and that
/// of the same number for a number, as in BuildKit.
fn find_owner(root: &Root, text: &str) -> Result<(u32, u32)> {
    let (user, group_name) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let read = |path: &str| -> Result<Vec<u8>> {
        let path = Path::new(path);
        Ok(root
            .read(path, ACCOUNTS)
            .with_context(|| format!("read /{}", path.display()))?
            .unwrap_or_default())
    };
    let (uid, own) = match user.parse() {
        Ok(uid) => (uid, uid),
        Err(_) if user.is_empty() => (0, 0),
        Err(_) => {
            let known = read("etc/passwd")?;
            let found = passwd(&known).find(|account| account.name == user);
            found
                .map(|account| (account.uid, account.gid))
                .with_context(|| format!("unable to find user {user}: no matching entries in passwd file"))?
        }
    };
    let gid = match group_name {
        None => own,
        Some(name) => {
            if let Ok(gid) = name.parse() {
                gid
            } else {
                let known = read("etc/group")?;
                let found = group(&known).find(|group| group.name == name).map(|group| group.gid);
                found.with_context(|| {
                    format!("unable to find group {name}: no matching entries in group file")
                })?
            }
        }
    };
    Ok((uid, gid))
}

/// Returns the path of something in a root without symbolic links.
pub(super) fn resolve(root: &Root, path: &Path) -> Result<Vec<u8>> {
    real(root, &relative(path))?.with_context(|| format!("{:?}: not found", path.display().to_string()))
}
