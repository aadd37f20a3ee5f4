//! A command of a build: the same runtime and the same networks that containers have.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use nix::mount::MsFlags;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, XattrFlags};
use rustix::mount::OpenTreeFlags;

use super::contents::{Owner, as_path, digest};
use super::order::{Command, GoOn, Order, Place, Said, hear, say};
use super::pick::{Filter, follow, look, open, select};
use super::place::relative;
use super::step::{filter, readable, resolve, throwaway, writable};
use crate::build::graph::{MountKind, Network};
use crate::idmap::{self, Identity};
use crate::network::etc::{Facts, Wishes, hosts, resolver};
use crate::network::protocol::{Endpoint, EndpointRequest, Refusal, RefusalKind};
use crate::network::{self, Pasta, PastaRequest, Router};
use crate::oci::Digest;
use crate::oci::runtime::{
    LinuxBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, PosixRlimit, PosixRlimitBuilder,
    PosixRlimitType, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
};
use crate::runtime::root::Root;
use crate::runtime::{self, Bundle, Io, Tree, UserRequest, capability, defaults, seccomp};
use crate::store::{Store, random_id};
use crate::sys::process;

/// Where programs look for an agent, and the sign behind.
const SSH_VARIABLE: &str = "SSH_AUTH_SOCK=";

/// What the machine of every command is called, as in BuildKit.
const HOSTNAME: &str = "buildkitsandbox";

/// Everything that the container of a command is mounted from.
struct Mounts {
    list: Vec<Mount>,
    trees: Vec<Tree>,
    /// Variables that are secrets.
    environment: Vec<String>,
}

/// Runs the command of an order. Returns how it ended.
pub(super) fn run(order: &Order, command: &Command, control: &OwnedFd) -> Result<Said> {
    let identity = order.identity();
    if order.asks {
        say(control, &Said::Reads(reads(order, command)?), &[])?;
        if hear::<GoOn>(control)?.is_none() {
            bail!("the build has ended");
        }
    }
    let mounts = mounts(order, command, &identity)?;
    let spec = spec(command, &mounts)?;
    let stubs = Stubs::of(order, &spec)?;
    let store = Store::open(&order.store.0, &order.store.1)?;
    let id = random_id();
    let mut plug = match command.run.network {
        Network::Default => Plug::Router(Router::reach(&store, &id)?),
        Network::None | Network::Host => Plug::Nothing,
    };
    let powers = capabilities(command)?;
    let bundle = Bundle {
        subject: None,
        spec: &spec,
        rootfs: writable(order)?,
        user: UserRequest { text: &command.run.user, groups: &[] },
        terminal: None,
        stdin: false,
        init: false,
        seeds: &[],
        trees: &mounts.trees,
        seccomp: if command.run.insecure {
            None
        } else {
            Some(seccomp::default_filter(capability::bits(&powers)?))
        },
        identity: &identity,
        account: None,
    };
    let prepared = runtime::prepare(&bundle)?;
    let netns = format!("/proc/{}/ns/net", prepared.pid);
    let netns = File::open(&netns).with_context(|| format!("open {netns}"))?;
    let endpoint = plug.plug(&store, order, prepared.pid, &netns)?;
    write_etc(order, command, endpoint.as_ref())?;
    let started = prepared.start().map_err(|error| anyhow::anyhow!("{error}"))?;
    let Io::Pipes { stdout, stderr, .. } = started.io else { bail!("the command has no pipes") };
    say(control, &Said::Runs, &[&stdout, &stderr])?;
    drop((stdout, stderr));
    let ended = watch(control, &started.pidfd, &mut plug, &store, &netns)?;
    drop(plug);
    if !ended {
        // Nobody waits for it any more.
        let _ = process::send_signal(started.pidfd.as_fd(), libc::SIGKILL);
    }
    let code = process::reap(started.pidfd.as_fd()).context("collect the command")?.code();
    if let Some(steward) = started.steward {
        // It may be at work for a process that is gone; then nothing changes any more.
        let _ = rustix::io::read(steward, &mut [0; 1][..]);
    }
    stubs.clear(&order.dir.join("layer/tree"));
    Ok(Said::Exited(code))
}

/// Waits for the command to end; returns `false` if the build ended first.
fn watch(control: &OwnedFd, pidfd: &OwnedFd, plug: &mut Plug, store: &Store, netns: &File) -> Result<bool> {
    loop {
        let (ended, gone, broken) = {
            let mut fds = vec![PollFd::new(pidfd, PollFlags::IN), PollFd::new(control, PollFlags::IN)];
            if let Plug::Plugged(router, _) = &*plug {
                fds.push(PollFd::from_borrowed_fd(router.as_fd(), PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for the command"),
            }
            let is = |at: usize| fds.get(at).is_some_and(|fd: &PollFd<'_>| !fd.revents().is_empty());
            (is(0), is(1), is(2))
        };
        if ended {
            return Ok(true);
        }
        if gone {
            return Ok(false);
        }
        if broken {
            plug.again(store, netns);
        }
    }
}

/// The connection of a command to others.
enum Plug {
    Nothing,
    /// To the router, before there is anything to plug in.
    Router(Router),
    Plugged(Router, Box<Endpoint>),
    Pasta(#[allow(dead_code, reason = "it ends when it is dropped")] Pasta),
}

impl Plug {
    /// Plugs the waiting process in, and returns what it got.
    fn plug(&mut self, store: &Store, order: &Order, pid: i32, netns: &File) -> Result<Option<Endpoint>> {
        let Self::Router(_) = self else { return Ok(None) };
        let Self::Router(mut router) = std::mem::replace(self, Self::Nothing) else { return Ok(None) };
        let network = network::default(store)?;
        match router.attach(netns, &network, &endpoint_request(None), false) {
            Ok(endpoint) => {
                *self = Self::Plugged(router, Box::new(endpoint.clone()));
                Ok(Some(endpoint))
            }
            Err(error)
                if error.downcast_ref::<Refusal>().map(|refusal| refusal.kind)
                    == Some(RefusalKind::Unsupported)
                    && Pasta::is_installed() =>
            {
                let request = PastaRequest {
                    pid,
                    network: &network,
                    mac: None,
                    names: Vec::new(),
                    ports: &[],
                    forwards_dns: true,
                    dir: &order.dir,
                };
                let (pasta, endpoint, _) = Pasta::start(&request)?;
                *self = Self::Pasta(pasta);
                Ok(Some(endpoint))
            }
            Err(error) => {
                Err(error.context("plug the command into the network (--network host does without)"))
            }
        }
    }

    /// The router has died: asks the next one for the same. Without one the command goes on by itself.
    fn again(&mut self, store: &Store, netns: &File) {
        let Self::Plugged(router, endpoint) = std::mem::replace(self, Self::Nothing) else { return };
        let renewed = router.again().and_then(|mut router| {
            let network = network::default(store)?;
            router.attach(netns, &network, &endpoint_request(Some(&endpoint)), true)?;
            Ok(router)
        });
        if let Ok(router) = renewed {
            *self = Self::Plugged(router, endpoint);
        }
    }
}

fn endpoint_request(held: Option<&Endpoint>) -> EndpointRequest {
    EndpointRequest {
        interface: held.map(|it| it.interface.clone()),
        ip: held.and_then(|it| it.ip).map(|(address, _)| address),
        ip6: held.and_then(|it| it.ip6).map(|(address, _)| address),
        mac: held.map(|it| it.mac),
        names: Vec::new(),
        hostname: HOSTNAME.to_owned(),
        default_route: true,
        links: Vec::new(),
        dns: Vec::new(),
    }
}

fn write_etc(order: &Order, command: &Command, endpoint: Option<&Endpoint>) -> Result<()> {
    let mut facts = Facts::default();
    if let Some(endpoint) = endpoint {
        facts.own.extend(endpoint.ip.map(|(address, _)| IpAddr::V4(address)));
        facts.own.extend(endpoint.ip6.map(|(address, _)| IpAddr::V6(address)));
        facts.nameserver = Some(endpoint.dns).filter(|address| !address.is_unspecified());
        facts.gateway = endpoint.gateway.map(IpAddr::V4).or(endpoint.gateway6.map(IpAddr::V6));
    }
    let wishes = Wishes {
        of_host: command.run.network == Network::Host,
        hostname: HOSTNAME,
        hosts: &command.hosts,
        ..Wishes::default()
    };
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    for (name, text) in
        [("hosts", hosts(&wishes, &facts)?), ("resolv.conf", resolver(&wishes, &facts, &host))]
    {
        fs::write(order.dir.join(name), text).with_context(|| format!("write {name}"))?;
    }
    Ok(())
}

fn capabilities(command: &Command) -> Result<Vec<&'static str>> {
    capability::decide(&[], &[], command.run.insecure)
}

fn spec(command: &Command, mounts: &Mounts) -> Result<Spec> {
    let run = &command.run;
    let unmasked = run.insecure;
    let mut namespaces = vec![
        LinuxNamespaceType::User,
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Cgroup,
    ];
    let own_network = run.network != Network::Host;
    if own_network {
        namespaces.push(LinuxNamespaceType::Network);
    }
    let namespaces: Vec<_> = namespaces
        .into_iter()
        .filter_map(|kind| LinuxNamespaceBuilder::default().typ(kind).build().ok())
        .collect();
    let linux = LinuxBuilder::default()
        .namespaces(namespaces)
        .sysctl(if own_network { defaults::network_sysctls() } else { std::collections::HashMap::new() })
        .masked_paths(if unmasked { Vec::new() } else { defaults::own(&defaults::MASKED) })
        .readonly_paths(if unmasked { Vec::new() } else { defaults::own(&defaults::READ_ONLY) });
    let mut environment = run.environment.clone();
    for more in run.transient.iter().chain(&mounts.environment) {
        let key = more.split_once('=').map_or(more.as_str(), |(key, _)| key);
        environment.retain(|known| known.split_once('=').map_or(known.as_str(), |(known, _)| known) != key);
        environment.push(more.clone());
    }
    if !environment.iter().any(|entry| entry.starts_with("PATH=")) {
        environment.push(format!("PATH={}", defaults::PATH));
    }
    let directory = if run.directory.as_os_str().is_empty() { Path::new("/") } else { &run.directory };
    let process = ProcessBuilder::default()
        .terminal(false)
        .args(run.arguments.clone())
        .env(environment)
        .cwd(directory)
        .capabilities(defaults::capabilities(&capabilities(command)?)?)
        .rlimits(command.ulimits.iter().map(rlimit).collect::<Result<Vec<_>>>()?)
        .no_new_privileges(false);
    SpecBuilder::default()
        .version("1.2.1")
        .hostname(HOSTNAME)
        .root(RootBuilder::default().path("rootfs").readonly(false).build()?)
        .process(process.build().context("describe the command's process")?)
        .mounts(mounts.list.clone())
        .linux(linux.build()?)
        .build()
        .context("describe the command")
}

fn rlimit((name, soft, hard): &(String, i64, i64)) -> Result<PosixRlimit> {
    let text = format!("RLIMIT_{}", name.to_ascii_uppercase());
    let typ: PosixRlimitType = serde_json::from_value(serde_json::Value::String(text))
        .with_context(|| format!("invalid ulimit type: {name}"))?;
    // -1 becomes RLIM_INFINITY, as in Docker.
    let (soft, hard) = (soft.cast_unsigned(), hard.cast_unsigned());
    PosixRlimitBuilder::default().typ(typ).soft(soft).hard(hard).build().context("make a resource limit")
}

/// Decides what is mounted, and makes ready what is not there yet.
fn mounts(order: &Order, command: &Command, identity: &Identity) -> Result<Mounts> {
    let access = if command.run.insecure { "rw" } else { "ro" };
    let mut list = defaults::mounts("tmpfs", access)?;
    list.push(defaults::system("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?);
    list.push(defaults::shared_memory(command.shm_size)?);
    let is_target = |path: &str| command.run.mounts.iter().any(|mount| mount.target == Path::new(path));
    for (target, file) in [("/etc/resolv.conf", "resolv.conf"), ("/etc/hosts", "hosts")] {
        if !is_target(target) {
            let source = order.dir.join(file);
            fs::write(&source, "").with_context(|| format!("write {file}"))?;
            fs::set_permissions(&source, fs::Permissions::from_mode(0o644)).context("set permissions")?;
            list.push(defaults::mount(target, "bind", &source, &["bind", "rprivate"])?);
        }
    }
    let mut made = Mounts { list: Vec::new(), trees: Vec::new(), environment: Vec::new() };
    let mut private = Private { dir: order.dir.join("private"), mounted: false, count: 0 };
    let mut order_of: Vec<usize> = (0..command.run.mounts.len()).collect();
    order_of.sort_by_key(|at| command.run.mounts[*at].target.components().count());
    for at in order_of {
        let wish = &command.run.mounts[at];
        let target = wish.target.to_str().context("the target of a mount is no text")?;
        let access = if wish.read_only { "ro" } else { "rw" };
        match &wish.kind {
            MountKind::Bind { from, source } => {
                let place = order.places.get(&from.0).context("the source of a mount is missing")?;
                let root = bound(order, place, wish.read_only, &format!("mount-{at}"))?;
                let path = resolve(&root, source)?;
                made.trees.push(Tree { path: wish.target.clone(), mount: tree(&root, &path)? });
                made.list.push(defaults::mount(
                    target,
                    "bind",
                    Path::new("/"),
                    &["bind", access, "rprivate"],
                )?);
            }
            MountKind::Cache { .. } => {
                let source = command.caches.get(&at).context("a cache is missing")?;
                made.list.push(defaults::mount(target, "bind", source, &["bind", access, "rprivate"])?);
            }
            MountKind::Tmpfs { size } => {
                let size = size.map(|size| format!("size={size}"));
                let mut options = vec!["nosuid", "nodev", "noexec", "mode=1777"];
                options.extend(size.as_deref());
                made.list.push(defaults::system(target, "tmpfs", &options)?);
            }
            MountKind::Secret { id, file, variable, mode, owner, .. } => {
                let Some(secret) = command.secrets.get(id) else { continue };
                if let Some(variable) = variable {
                    let text = std::str::from_utf8(secret)
                        .ok()
                        .with_context(|| format!("secret {id} is no text and cannot be a variable"))?;
                    made.environment.push(format!("{variable}={text}"));
                }
                if *file {
                    let source = private.file(secret, *mode, *owner, identity)?;
                    made.list.push(defaults::mount(
                        target,
                        "bind",
                        &source,
                        &["bind", access, "nosuid", "nodev"],
                    )?);
                }
            }
            MountKind::Ssh { id, .. } => {
                let Some(socket) = command.ssh.get(id) else { continue };
                // The first is the one that is asked when nothing else is said.
                if !made.environment.iter().any(|line| line.starts_with(SSH_VARIABLE)) {
                    made.environment.push(format!("{SSH_VARIABLE}{target}"));
                }
                made.list.push(defaults::mount(target, "bind", socket, &["bind", "rw", "nosuid", "nodev"])?);
            }
        }
    }
    for (name, content) in &command.run.documents {
        let source = private.file(content, 0o555, (0, 0), identity)?;
        let target = format!("/dev/pipes/{name}");
        made.list.push(defaults::mount(&target, "bind", &source, &["bind", "ro", "nosuid", "nodev"])?);
    }
    list.append(&mut made.list);
    Ok(Mounts { list, ..made })
}

/// Files in memory that only this process and what it starts can see.
struct Private {
    dir: PathBuf,
    mounted: bool,
    count: u32,
}

impl Private {
    fn file(&mut self, bytes: &[u8], mode: u32, owner: (u32, u32), identity: &Identity) -> Result<PathBuf> {
        if !self.mounted {
            fs::create_dir(&self.dir).context("make a private directory")?;
            nix::mount::mount(
                Some("tmpfs"),
                &self.dir,
                Some("tmpfs"),
                MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
                Some("mode=755"),
            )
            .context("mount a private directory")?;
            self.mounted = true;
        }
        self.count += 1;
        let path = self.dir.join(self.count.to_string());
        fs::write(&path, bytes).context("write a private file")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).context("set permissions")?;
        if identity.level == idmap::Level::Single && owner != (0, 0) {
            let text = format!("{}:{}:{mode:o}", owner.0, owner.1);
            // The kernel's file systems in memory have such attributes since Linux 6.6; without, it is root's.
            let _ = rustix::fs::setxattr(&path, idmap::OWNER, text.as_bytes(), XattrFlags::empty());
        } else if owner != (0, 0) {
            chown(&path, Some(owner.0), Some(owner.1)).context("give a private file to its owner")?;
        }
        Ok(path)
    }
}

/// Opens files for a bind mount. What is written there goes.
fn bound(order: &Order, place: &Place, read_only: bool, name: &str) -> Result<Root> {
    match place {
        Place::Directory { path, ignore } => {
            let ignore = filter(ignore)?;
            if read_only && ignore.is_none() {
                return readable(order, place, name);
            }
            if let Some(ignore) = ignore {
                let upper = order.dir.join(name).join("upper");
                fs::create_dir_all(&upper).context("make a directory for the kernel")?;
                let root = Root::open(path).with_context(|| format!("open {}", path.display()))?;
                hide(&root, b"", &upper, &ignore)?;
            }
            throwaway(order, vec![path.clone()], name)
        }
        Place::Stack(_) if read_only => readable(order, place, name),
        Place::Stack(lower) => throwaway(order, lower.clone(), name),
    }
}

/// Hides in `upper`, which lies over `root`, what an ignore file leaves out.
fn hide(root: &Root, dir: &[u8], upper: &Path, ignore: &dyn Filter) -> Result<()> {
    let fd = open(root, dir, OFlags::RDONLY | OFlags::DIRECTORY).context("open a directory")?;
    for entry in rustix::fs::Dir::read_from(&fd).context("read a directory")? {
        let entry = entry.context("read a directory")?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") {
            continue;
        }
        let path = super::pick::join(dir, name);
        let text = String::from_utf8_lossy(&path).into_owned();
        let ignored = ignore.ignores(&text);
        let is_directory = entry.file_type() == FileType::Directory;
        if ignored && !(is_directory && ignore.may_spare_below(&text)) {
            let target = upper.join(as_path(&path));
            make_above(root, dir, upper)?;
            rustix::fs::mknodat(rustix::fs::CWD, &target, FileType::CharacterDevice, Mode::empty(), 0)
                .context("hide a file")?;
        } else if is_directory {
            hide(root, &path, upper, ignore)?;
        }
    }
    Ok(())
}

/// Makes a directory in `upper` look like that of the root.
fn make_above(root: &Root, dir: &[u8], upper: &Path) -> Result<()> {
    let mut path = Vec::new();
    for part in dir.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        path = super::pick::join(&path, part);
        let target = upper.join(as_path(&path));
        if target.exists() {
            continue;
        }
        fs::create_dir(&target).context("make a directory")?;
        if let Some(meta) = look(root, &path)? {
            fs::set_permissions(&target, fs::Permissions::from_mode(meta.mode)).context("set permissions")?;
        }
    }
    Ok(())
}

/// Copies the mount of a path, to be attached elsewhere.
fn tree(root: &Root, path: &[u8]) -> Result<OwnedFd> {
    let fd = open(root, path, OFlags::PATH).context("open the source of a mount")?;
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(fd, "", flags).context("copy a mount")
}

/// Returns the digest of what the command's mounts show.
fn reads(order: &Order, command: &Command) -> Result<Digest> {
    let mut all = Vec::new();
    for (at, mount) in command.run.mounts.iter().enumerate() {
        let (MountKind::Bind { from, source } | MountKind::Cache { from: Some((from, source)), .. }) =
            &mount.kind
        else {
            continue;
        };
        let Some(place) = order.places.get(&from.0) else { continue };
        let root = readable(order, place, &format!("read-{at}"))?;
        let ignore = match place {
            Place::Directory { ignore, .. } => filter(ignore)?,
            Place::Stack(_) => None,
        };
        let owner = if matches!(place, Place::Directory { .. }) { Owner::Root } else { Owner::Own };
        let path = source.to_string_lossy();
        let path: String = path.chars().flat_map(escape).collect();
        let named = select(&root, &path, ignore.as_ref().map(|it| it as &dyn Filter), None)?;
        all.extend(digest(&root, &named, owner, None)?.hex().into_bytes());
    }
    Ok(Digest::of(&all))
}

/// Takes the meaning from a wildcard.
pub(super) fn escape(letter: char) -> impl Iterator<Item = char> {
    let escaped = matches!(letter, '*' | '?' | '[' | '\\').then_some('\\');
    escaped.into_iter().chain([letter])
}

/// The places where something is mounted that is not there in the step's own files: the runtime makes them, and they
/// are no part of the layer.
struct Stubs {
    missing: Vec<Vec<u8>>,
    /// The directories in which they are made, as they were: mode, owner, time.
    above: BTreeMap<Vec<u8>, (u32, u32, u32)>,
}

impl Stubs {
    fn of(order: &Order, spec: &Spec) -> Result<Self> {
        let mut stubs = Self { missing: Vec::new(), above: BTreeMap::new() };
        let Place::Stack(lower) = &order.base else { return Ok(stubs) };
        let root = throwaway(order, lower.clone(), "look")?;
        for mount in spec.mounts().as_deref().unwrap_or_default() {
            let target = relative(mount.destination());
            let under = |dir: &str| target.starts_with(dir.as_bytes()) && target.len() > dir.len();
            // These are made in file systems that are none of the step's.
            if ["dev/", "proc/", "sys/"].iter().any(|dir| under(dir)) {
                continue;
            }
            let (done, rest) = follow(&root, &target)?;
            let mut path = done.clone();
            for part in &rest {
                path = super::pick::join(&path, part);
                stubs.missing.push(path.clone());
            }
            let mut above = done;
            while !rest.is_empty() && !above.is_empty() {
                if let Some(meta) = look(&root, &above)? {
                    stubs.above.insert(above.clone(), (meta.mode, meta.uid, meta.gid));
                }
                above.truncate(memchr::memrchr(b'/', &above).unwrap_or(0));
            }
        }
        Ok(stubs)
    }

    /// Removes them from the layer where nothing has come into them, and directories that were copied up for them.
    fn clear(&self, upper: &Path) {
        for path in self.missing.iter().rev() {
            let target = upper.join(as_path(path));
            let Ok(meta) = fs::symlink_metadata(&target) else { continue };
            let above = target.parent().and_then(|above| Some((above.to_owned(), fs::metadata(above).ok()?)));
            let removed = if meta.is_dir() {
                fs::remove_dir(&target).is_ok()
            } else {
                meta.is_file() && meta.len() == 0 && fs::remove_file(&target).is_ok()
            };
            if let Some((above, meta)) = above.filter(|_| removed)
                && let (Ok(dir), Ok(time)) = (File::open(&above), meta.modified())
            {
                let _ = dir.set_modified(time);
            }
        }
        for (path, was) in self.above.iter().rev() {
            let target = upper.join(as_path(path));
            let Ok(meta) = fs::symlink_metadata(&target) else { continue };
            let opaque = rustix::fs::lgetxattr(&target, "user.overlay.opaque", &mut [0_u8; 8][..]).is_ok();
            if meta.is_dir() && !opaque && (meta.mode() & 0o7777, meta.uid(), meta.gid()) == *was {
                // One in which there is something stays.
                let _ = fs::remove_dir(&target);
            }
        }
    }
}

/// Tells whether a path can be made part of a pattern.
pub(super) fn pattern_of(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).chars().flat_map(escape).collect()
}
