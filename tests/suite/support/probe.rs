//! The program inside test images: says what a process in a container has, and what the kernel lets it do.
//!
//! `probe status` prints facts as JSON. `probe try <act>…` tries each act and prints `act: ok` or `act: ERRNO`, one
//! a line. Nothing here asserts: the tests do, outside.

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::{Map, Value, json};

use super::wire;

/// Does what the arguments say.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["status"] => println!("{}", status()),
        ["try", acts @ ..] => {
            for act in acts {
                match attempt(act) {
                    Ok(()) => println!("{act}: ok"),
                    Err(errno) => println!("{act}: {errno:?}"),
                }
            }
        }
        ["signals"] => return wait_for_signals(),
        ["ask", server, name, kind, over] => say(wire::ask(server, name, kind, over)),
        ["pipeline", server, one, two] => say(wire::pipeline(server, [*one, *two])),
        ["noise", server] => wire::noise(server).unwrap(),
        ["datagram", to, length] => say(wire::datagram(to, length.parse().unwrap())),
        ["mirror", address] => wire::mirror(address).unwrap(),
        ["callers", path] => callers(path),
        ["call", path] => drop(UnixStream::connect(path).unwrap().read(&mut [0])),
        _ => {
            eprintln!("probe: what is {arguments:?}?");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Says of everybody who connects to a socket who he is.
fn callers(path: &str) {
    let listener = UnixListener::bind(path).unwrap();
    println!("ready");
    for caller in listener.incoming().flatten() {
        let who = rustix::net::sockopt::socket_peercred(&caller).unwrap();
        println!("{}:{}", who.uid.as_raw(), who.gid.as_raw());
    }
}

/// Prints what came of something, be it an error.
fn say(result: io::Result<String>) {
    println!("{}", result.unwrap_or_else(|error| error.to_string()));
}

fn status() -> Value {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| format!("error: {error}"));
    let fields: Map<_, _> = text("/proc/self/status")
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_owned(), json!(value.trim())))
        .collect();
    let mut descriptors: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some(format!("{} {}", entry.file_name().display(), target.display()))
        })
        .filter(|line| !line.contains("/proc/"))
        .collect();
    descriptors.sort();
    let namespaces: Map<_, _> = fs::read_dir("/proc/self/ns")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().to_str()?.to_owned(), json!(target.to_str()?)))
        })
        .collect();
    let processes =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    json!({
        "status": fields,
        "uid_map": text("/proc/self/uid_map"),
        "gid_map": text("/proc/self/gid_map"),
        "mounts": text("/proc/self/mountinfo").lines().collect::<Vec<_>>(),
        "fds": descriptors,
        "namespaces": namespaces,
        "pids": processes.collect::<Vec<i32>>(),
        "cgroup": text("/proc/self/cgroup"),
        "limits": text("/proc/self/limits"),
        "interfaces": fs::read_dir("/sys/class/net").map_or_else(
            |_| Vec::new(),
            |entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect(),
        ),
    })
}

/// Tries one thing that a default container must, or must not, be able to do.
fn attempt(act: &str) -> Result<(), Errno> {
    let none = None::<&str>;
    let (verb, object) = act.split_once(':').unwrap_or((act, ""));
    match verb {
        "mount-tmpfs" => mount(none, "/tmp", Some("tmpfs"), MsFlags::empty(), none),
        "mount-proc" => mount(none, "/tmp", Some("proc"), MsFlags::empty(), none),
        "remount-rw" => mount(none, object, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, none),
        "unmount" => nix::mount::umount(object),
        "unshare-user" => unshare(CloneFlags::CLONE_NEWUSER),
        "unshare-mount" => unshare(CloneFlags::CLONE_NEWNS),
        "unshare-net" => unshare(CloneFlags::CLONE_NEWNET),
        "join-mount-of" => {
            let file = fs::File::open(format!("/proc/{object}/ns/mnt")).map_err(errno)?;
            setns(file.as_fd(), CloneFlags::CLONE_NEWNS)
        }
        "read" => fs::read(object).map(|_| ()).map_err(errno),
        "list" => fs::read_dir(object).map(|mut e| assert!(e.next().is_some(), "empty")).map_err(errno),
        "write" => fs::OpenOptions::new()
            .write(true)
            .open(object)
            .and_then(|mut file| io::Write::write_all(&mut file, b"0"))
            .map_err(errno),
        "create" => fs::write(object, "x").map_err(errno),
        "chown" => nix::unistd::chown(object, Some(1.into()), Some(1.into())),
        "mknod-null" => nix::sys::stat::mknod(
            object,
            nix::sys::stat::SFlag::S_IFCHR,
            nix::sys::stat::Mode::from_bits_truncate(0o666),
            nix::sys::stat::makedev(1, 3),
        ),
        "sethostname" => nix::unistd::sethostname("taken"),
        "setuid" => nix::unistd::setuid(object.parse::<u32>().unwrap().into()),
        "setgroups" => nix::unistd::setgroups(&[1.into()]),
        "chroot" => nix::unistd::chroot(object),
        "kill" => {
            let pid = nix::unistd::Pid::from_raw(object.parse().unwrap());
            nix::sys::signal::kill(pid, None)
        }
        "keyctl" => rare(libc::SYS_keyctl, [0, 0, 0]),
        "add-key" => rare(libc::SYS_add_key, [0, 0, 0]),
        "bpf" => rare(libc::SYS_bpf, [0, 0, 0]),
        "perf-event-open" => rare(libc::SYS_perf_event_open, [0, 0, 0]),
        "userfaultfd" => rare(libc::SYS_userfaultfd, [0, 0, 0]),
        "kexec-load" => rare(libc::SYS_kexec_load, [0, 0, 0]),
        "init-module" => rare(libc::SYS_init_module, [0, 0, 0]),
        "open-by-handle-at" => rare(libc::SYS_open_by_handle_at, [-1, 0, 0]),
        "clone3" => rare(libc::SYS_clone3, [0, 0, 0]),
        "reboot" => rare(libc::SYS_reboot, [0, 0, 0]),
        "swapon" => rare(libc::SYS_swapon, [0, 0, 0]),
        "io-uring-setup" => rare(libc::SYS_io_uring_setup, [0, 0, 0]),
        "getpid" => rare(libc::SYS_getpid, [0, 0, 0]),
        _ => panic!("probe: what is {act:?}?"),
    }
}

/// Makes a system call with three small numbers. None of them is an address, so that a call that gets past the
/// filter fails without touching memory.
#[allow(unsafe_code)]
fn rare(number: libc::c_long, arguments: [libc::c_long; 3]) -> Result<(), Errno> {
    // SAFETY: every argument is 0 or -1; the calls in `attempt` treat these as null or invalid.
    let result = unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2]) };
    Errno::result(result).map(drop)
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Says `ready`, then the name of each signal that arrives, and ends on SIGTERM with code 7.
fn wait_for_signals() -> ExitCode {
    use nix::sys::signal::{SigSet, Signal};
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGQUIT] {
        set.add(signal);
    }
    set.thread_block().unwrap();
    println!("ready");
    loop {
        let signal = set.wait().unwrap();
        println!("{signal}");
        if signal == Signal::SIGTERM {
            return ExitCode::from(7);
        }
    }
}
