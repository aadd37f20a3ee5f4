//! The story of a container's first process, from clone to exec, and of any later one.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use rustix::fs::{MemfdFlags, Mode, SealFlags};
use rustix::io::{Errno, FdFlags};
use rustix::process::Signal;

use super::cgroup::Instead;
use super::guest::{LaunchMode, ParentDeath};
use super::handshake::FromInit;
use super::hook::Subject;
use super::identity::{self, Powers};
use super::ownership::{self, Beginning, Credentials};
use super::perform::{self, Stage};
use super::plan::Step;
use super::root::Root;
use super::stdio::{Pipes, Terminal};
use super::{StartError, Tree, UserRequest, WindowSize, guest, lookup};
use crate::idmap::{self, User};
use crate::oci::runtime::{Hooks, Process};
use crate::sys::{process, seccomp, socket};

/// The most that is read of an image's passwd or group file.
const ACCOUNTS_LIMIT: u64 = 16 << 20;

/// What every process of a container is made of, the first one and those that join.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) process: &'a Process,
    pub(super) user: UserRequest<'a>,
    pub(super) terminal: Option<WindowSize>,
    pub(super) pipes: Option<Pipes>,
    pub(super) seccomp: Option<&'a [libc::sock_filter]>,
    /// Whether the launcher stays as a reaper.
    pub(super) mode: LaunchMode,
    /// Whether it ends when the process that made it ends.
    pub(super) parent_death: ParentDeath,
    /// Mounts of other containers that it shows.
    pub(super) trees: &'a [Tree],
    /// Whether it is hidden from those that are in its user namespace already, and so from itself.
    pub(super) hidden: bool,
    /// Whether it makes a cgroup namespace, when it is let go.
    pub(super) new_cgroups: bool,
    /// What it does to itself in the place of a cgroup. Of the first process, somebody else sees to that.
    pub(super) instead: Option<&'a Instead>,
    /// Whether there is one id only, so that all others are emulated.
    pub(super) emulates: bool,
    /// The hooks that it runs, and what they are told.
    pub(super) hooks: Option<(&'a Subject, &'a Hooks)>,
    /// Whether it hands over its network namespace before it waits: hidden, only it can open that.
    pub(super) hands_over: bool,
}

/// Runs in the first process of a container.
pub(super) fn run(body: Body<'_>, steps: &[Step], report: OwnedFd) -> ! {
    begin(&body, &report);
    if body.hands_over
        && let Err(error) = hand_over(&report)
    {
        end(Err(StartError::Other(error)), &report);
    }
    let mut go = [0; 8];
    match socket::receive(&report, &mut go) {
        Ok((length, _)) if length > 0 => {}
        // The one who made us has given up.
        _ => process::exit_now(1),
    }
    let result = set_up(body, steps, report.as_fd());
    end(result, &report)
}

fn hand_over(report: &OwnedFd) -> anyhow::Result<()> {
    let namespace = fs::File::open("/proc/self/ns/net").context("open the network namespace")?;
    FromInit::Network.send(report.as_fd(), &[namespace.as_fd()]).context("hand over the network namespace")
}

/// Runs in a process that has entered a container.
pub(super) fn run_joined(body: Body<'_>, may_set_groups: bool, report: OwnedFd) -> ! {
    begin(&body, &report);
    let join = || {
        if let Some(instead) = body.instead {
            instead.apply(None).context("set limits")?;
        }
        let root = Root::open(Path::new("/")).context("open the container's root")?;
        let terminal = match body.terminal {
            Some(size) => {
                let devpts = root.find(Path::new("/dev/pts")).context("open /dev/pts")?;
                Some(Terminal::open(devpts.as_fd(), size).context("open a terminal")?)
            }
            None => None,
        };
        execute(body, &root, terminal, may_set_groups, report.as_fd())
    };
    let result = join();
    end(result, &report)
}

fn begin(body: &Body<'_>, report: &OwnedFd) {
    let mut keep = vec![report.as_raw_fd()];
    if let Some(pipes) = &body.pipes {
        keep.extend([pipes.stdin.as_raw_fd(), pipes.stdout.as_raw_fd(), pipes.stderr.as_raw_fd()]);
    }
    keep.extend(body.trees.iter().map(|tree| tree.mount.as_raw_fd()));
    // Locks of the process that made us must not live on in us. Where the call is missing (before Linux
    // 5.9) exec closes what there is.
    let _ = process::close_others(&keep);
    process::reset_signals();
    rustix::process::umask(Mode::from_raw_mode(0o022));
}

fn end(result: Result<Infallible, StartError>, report: &OwnedFd) -> ! {
    let message = match result {
        Ok(never) => match never {},
        Err(StartError::NotFound(text)) => FromInit::NotFound(text),
        Err(StartError::NotExecutable(text)) => FromInit::NotExecutable(text),
        Err(StartError::UnknownUser(text)) => FromInit::UnknownUser(text),
        Err(StartError::Other(error)) if error.is::<idmap::ResolveError>() => {
            FromInit::UnknownUser(format!("{error:#}"))
        }
        Err(StartError::Other(error)) => FromInit::Failed(format!("{error:#}")),
    };
    // If nobody listens there is nobody to tell.
    let _ = message.send(report.as_fd(), &[]);
    process::exit_now(1)
}

fn set_up(body: Body<'_>, steps: &[Step], report: BorrowedFd<'_>) -> Result<Infallible, StartError> {
    if let Some(score) = body.process.oom_score_adj()
        && !body.hidden
    {
        perform::set_oom_score_adj(score)?;
    }
    if body.new_cgroups {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP).context("make a cgroup namespace")?;
    }
    let setgroups = fs::read_to_string("/proc/self/setgroups").context("read /proc/self/setgroups")?;
    let mut stage = Stage::new(body.terminal.unwrap_or_default(), body.trees);
    let before = identity::own();
    if before.0 != 0 && !body.emulates {
        // The user's ids are kept: root inside is a subordinate one.
        identity::become_root(body.hidden)?;
        stage.user = Some(before);
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    for step in steps {
        stage.perform(step)?;
        if let (Step::Mounted, Some((subject, hooks))) = (step, body.hooks) {
            FromInit::Mounted.send(report, &[]).context("say that all is mounted")?;
            let mut on = [0; 8];
            match socket::receive(report, &mut on) {
                Ok((length, _)) if length > 0 => {}
                _ => process::exit_now(1),
            }
            subject.run("createContainer", hooks.create_container().as_deref(), "created", own)?;
        }
    }
    if let Some((subject, hooks)) = body.hooks {
        subject.run("startContainer", hooks.start_container().as_deref(), "created", own)?;
    }
    let terminal = stage.terminal.take();
    execute(body, stage.root()?, terminal, setgroups.trim() == "allow", report)
}

/// Everything from a finished set of namespaces to the user's program.
fn execute(
    body: Body<'_>,
    root: &Root,
    terminal: Option<Terminal>,
    may_set_groups: bool,
    report: BorrowedFd<'_>,
) -> Result<Infallible, StartError> {
    let Body { process, user, pipes, seccomp, mode, parent_death, emulates, .. } = body;
    let user = resolve(user, root)?;
    let (uid, gid) = if emulates { identity::own() } else { (user.uid, user.gid) };
    rustix::process::setsid().context("start a session")?;
    if let Some(Terminal { master, slave, .. }) = terminal {
        FromInit::Terminal.send(report, &[master.as_fd()]).context("hand over the terminal")?;
        Terminal::install(&slave, uid, gid)?;
    } else if let Some(pipes) = pipes {
        pipes.install(uid)?;
    }
    // Only a quota can refuse it, and then the filter keeps the container from the keys of the session.
    let _ = process::new_session_keyring();
    identity::limit(process)?;
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    if no_new_privileges {
        rustix::thread::set_no_new_privs(true).context("set no_new_privs")?;
    }
    let powers = Powers::of(process, user.uid)?;
    if let Some(powers) = powers {
        powers.bound()?;
    }
    // Some network file systems let only the user in, most directories root, too.
    let entered = match rustix::process::chdir(process.cwd()) {
        Err(Errno::ACCESS) => false,
        result => {
            result.map_err(|errno| no_directory(process.cwd(), errno))?;
            true
        }
    };
    if emulates {
        identity::keep_user(&user)?;
    } else {
        identity::become_user(&user, may_set_groups)?;
    }
    if !entered {
        rustix::process::chdir(process.cwd()).map_err(|errno| no_directory(process.cwd(), errno))?;
    }
    if parent_death == ParentDeath::Kills {
        // A change of ids switches this off, so it comes after the last one.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .context("tie this process to its supervisor")?;
    }
    // Installing a filter takes a capability unless no_new_privs is set; with it, the filter may as well
    // come last.
    if no_new_privileges && let Some(powers) = powers {
        powers.settle()?;
    }
    let (program, args, env) = command(process, &user)?;
    if mode == LaunchMode::Reap {
        // Where it is not the first process of its namespace, orphans would pass it by.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .context("become the one who collects orphans")?;
    }
    let launch = sealed_launcher().context("make the launcher")?;
    if emulates {
        // Before the container's own filter, which may forbid it.
        emulate(&user, powers, report)?;
    }
    if let Some(filter) = seccomp {
        seccomp::install(filter).context("install the seccomp filter")?;
    }
    if !no_new_privileges && let Some(powers) = powers {
        powers.settle()?;
    }
    // If the supervisor is gone already, the death signal was set too late, and this fails.
    FromInit::Executing(program.to_string_lossy().into_owned())
        .send(report, &[])
        .context("report to the supervisor")?;
    process::close_others_on_exec().context("close descriptors")?;
    rustix::io::fcntl_setfd(report, FdFlags::empty()).context("keep the socket open")?;
    let args = guest::launch_argv(mode, parent_death, report.as_raw_fd(), &program, &args);
    let args: Vec<&CStr> = args.iter().map(CString::as_c_str).collect();
    let env: Vec<&CStr> = env.iter().map(CString::as_c_str).collect();
    let never = process::exec_fd(launch.as_fd(), &args, &env).context("execute the launcher")?;
    match never {}
}

/// Hands the calls in which owners and ids occur to whoever listens to the reports.
fn emulate(user: &User, powers: Option<Powers>, report: BorrowedFd<'_>) -> Result<()> {
    let listener = match ownership::install() {
        Ok(listener) => listener,
        // Somebody else listens already: this runs in a container whose ids are emulated, or under a tracer of that
        // kind. Or the kernel is older than Linux 5.0. What one id is enough for works all the same.
        Err(error) if ownership::is_unavailable(&error) && (user.uid, user.gid) == identity::own() => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let beginning = Beginning {
        credentials: Credentials::of(user.uid, user.gid, &user.groups),
        powers: powers.map_or(u64::MAX, Powers::of_root),
    };
    FromInit::Ownership(beginning).send(report, &[listener.as_fd()]).context("hand over the filter")
}

/// Makes a file, which nobody can change any more, of the program that is executed last.
fn sealed_launcher() -> io::Result<OwnedFd> {
    const EXECUTABLE: MemfdFlags = MemfdFlags::from_bits_retain(libc::MFD_EXEC);
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let memfd = match rustix::fs::memfd_create("coracle-init", flags | EXECUTABLE) {
        // Before Linux 6.3 all of them are executable, and the flag is not known.
        Err(Errno::INVAL) => rustix::fs::memfd_create("coracle-init", flags)?,
        result => result?,
    };
    let mut file = File::from(memfd);
    file.write_all(guest::LAUNCH)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// Finds the user in the accounts of the root file system.
pub(super) fn resolve(request: UserRequest<'_>, root: &Root) -> Result<User> {
    let read = |path: &str| {
        let content = root.read(Path::new(path), ACCOUNTS_LIMIT).with_context(|| format!("read {path}"))?;
        anyhow::Ok(content.unwrap_or_default())
    };
    Ok(idmap::resolve(request.text, request.groups, &read("/etc/passwd")?, &read("/etc/group")?)?)
}

fn no_directory(path: &Path, errno: Errno) -> StartError {
    let text =
        format!("chdir to cwd (\"{}\") set in config.json failed: {}", path.display(), lookup::text(errno));
    match errno {
        Errno::NOENT => StartError::NotFound(text),
        _ => StartError::NotExecutable(text),
    }
}

/// Returns the file to execute, its arguments and its environment.
fn command(process: &Process, user: &User) -> Result<(CString, Vec<CString>, Vec<CString>), StartError> {
    let args = process.args().as_deref().unwrap_or_default();
    let name = args.first().ok_or_else(|| anyhow!("no command specified"))?;
    let env = process.env().as_deref().unwrap_or_default();
    // The last one counts, as for a shell that reads them in order.
    let value = |key: &str| {
        env.iter().rev().find_map(|pair| pair.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')))
    };
    let program = lookup::program(name, value("PATH").unwrap_or_default())?;
    let home = value("HOME").is_none().then(|| format!("HOME={}", user.home));
    let c_string = |text: &[u8]| {
        CString::new(text)
            .with_context(|| format!("{:?} has a zero byte in it", String::from_utf8_lossy(text)))
    };
    let program = c_string(program.as_os_str().as_bytes())?;
    let args = args.iter().map(|arg| c_string(arg.as_bytes())).collect::<Result<_>>()?;
    let env = env.iter().chain(&home).map(|pair| c_string(pair.as_bytes())).collect::<Result<_>>()?;
    Ok((program, args, env))
}
