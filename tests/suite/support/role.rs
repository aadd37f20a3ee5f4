//! The small parts that this program plays besides running the tests.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Plays the part that the first argument names, if it names one.
pub(crate) fn play() -> Option<ExitCode> {
    let mut arguments = std::env::args();
    let name = arguments.next()?;
    let rest: Vec<_> = arguments.collect();
    if name.rsplit('/').next() == Some("probe") {
        return Some(match rest.split_first() {
            Some((part, rest)) if part == "on-terminal" => on_terminal(rest),
            Some((part, rest)) if part == "on-small-disk" => on_small_disk(rest),
            Some((part, rest)) if part == "without-packet-rules" => without_packet_rules(rest),
            _ => super::probe::main(&rest),
        });
    }
    None
}

/// Becomes a program in a session of its own whose controlling terminal is standard input.
fn on_terminal(program: &[String]) -> ExitCode {
    rustix::process::setsid().unwrap();
    rustix::process::ioctl_tiocsctty(std::io::stdin()).unwrap();
    become_program(program)
}

/// Becomes a program for whom the directory of the first argument is a file system of so many bytes. The third
/// and fourth argument are the ids that it then has.
fn on_small_disk(arguments: &[String]) -> ExitCode {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    let [dir, size, uid, gid, program @ ..] = arguments else { panic!("arguments of on-small-disk") };
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let options = format!("size={size},mode=700,uid={uid},gid={gid}");
    mount(Some("tmpfs"), dir.as_str(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
    let error = Command::new(&program[0])
        .args(&program[1..])
        .uid(uid.parse().unwrap())
        .gid(gid.parse().unwrap())
        .exec();
    panic!("{}: {error}", program[0]);
}

/// Becomes a program for whom the kernel has no packet rules (nf_tables). The first argument says whether it may
/// have tap devices. Needs root.
fn without_packet_rules(arguments: &[String]) -> ExitCode {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::stat::{Mode, SFlag, fchmodat, makedev, mknod};
    let [tap, program @ ..] = arguments else { panic!("arguments of without-packet-rules") };
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    // A directory of our own over that of the device, so that it need not be there.
    mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), Some("mode=755")).unwrap();
    let (device, mode) = (std::path::Path::new("/mnt/tun"), if tap == "tap" { 0o666 } else { 0o600 });
    mknod(device, SFlag::S_IFCHR, Mode::from_bits_truncate(mode), makedev(10, 200)).unwrap();
    fchmodat(
        nix::fcntl::AT_FDCWD,
        device,
        Mode::from_bits_truncate(mode),
        nix::sys::stat::FchmodatFlags::FollowSymlink,
    )
    .unwrap();
    mount(Some("/mnt"), "/dev/net", none, MsFlags::MS_BIND, none).unwrap();
    let take = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    // Goes on if the word at `offset` of seccomp_data is `value`, else `over` instructions further.
    let is = |offset, value, over| {
        [
            take(u16::try_from(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS).unwrap(), offset),
            libc::sock_filter {
                code: u16::try_from(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K).unwrap(),
                jt: 0,
                jf: over,
                k: value,
            },
        ]
    };
    let answer = |k| take(u16::try_from(libc::BPF_RET | libc::BPF_K).unwrap(), k);
    let socket = u32::try_from(libc::SYS_socket).unwrap();
    // The first and the third argument's lower halves, on a machine that begins with the lower byte.
    let netlink = u32::try_from(libc::AF_NETLINK).unwrap();
    let netfilter = u32::try_from(libc::NETLINK_NETFILTER).unwrap();
    let mut filter = Vec::new();
    filter.extend(is(0, socket, 5));
    filter.extend(is(16, netlink, 3));
    filter.extend(is(32, netfilter, 1));
    filter.push(answer(libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPROTONOSUPPORT).unwrap()));
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    coracle::sys::seccomp::install(&filter).unwrap();
    become_program(program)
}

fn become_program(program: &[String]) -> ExitCode {
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    panic!("{}: {error}", program[0]);
}
