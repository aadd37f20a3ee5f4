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

fn become_program(program: &[String]) -> ExitCode {
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    panic!("{}: {error}", program[0]);
}
