//! The calls that are left to the steward: as a filter, and as it reads them.

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, OFlags};

use super::CARRIER;
use super::guest::Guest;
use crate::runtime::seccomp;

/// The native architecture, as a call tells it.
pub(super) const NATIVE: u32 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// The ids of its process.
    Identity(&'static str),
    /// Changing an owner.
    Own,
    /// Seeing an owner.
    Look,
    /// Making a file, if its flags say so.
    Make,
    /// Executing a program.
    Execute,
    /// Keeping powers.
    Keep,
    /// The limit that carries the credentials.
    Limit,
    /// Who is at the other end of a socket.
    Peer,
}

/// The calls, by their number on the native architecture.
const CALLS: &[(libc::c_long, &str, Name)] = &[
    (libc::SYS_getuid, "getuid", Name::Identity("getuid")),
    (libc::SYS_geteuid, "geteuid", Name::Identity("geteuid")),
    (libc::SYS_getgid, "getgid", Name::Identity("getgid")),
    (libc::SYS_getegid, "getegid", Name::Identity("getegid")),
    (libc::SYS_getresuid, "getresuid", Name::Identity("getresuid")),
    (libc::SYS_getresgid, "getresgid", Name::Identity("getresgid")),
    (libc::SYS_getgroups, "getgroups", Name::Identity("getgroups")),
    (libc::SYS_setuid, "setuid", Name::Identity("setuid")),
    (libc::SYS_setgid, "setgid", Name::Identity("setgid")),
    (libc::SYS_setreuid, "setreuid", Name::Identity("setreuid")),
    (libc::SYS_setregid, "setregid", Name::Identity("setregid")),
    (libc::SYS_setresuid, "setresuid", Name::Identity("setresuid")),
    (libc::SYS_setresgid, "setresgid", Name::Identity("setresgid")),
    (libc::SYS_setfsuid, "setfsuid", Name::Identity("setfsuid")),
    (libc::SYS_setfsgid, "setfsgid", Name::Identity("setfsgid")),
    (libc::SYS_setgroups, "setgroups", Name::Identity("setgroups")),
    (libc::SYS_fchown, "fchown", Name::Own),
    (libc::SYS_fchownat, "fchownat", Name::Own),
    (libc::SYS_fstat, "fstat", Name::Look),
    (libc::SYS_newfstatat, "newfstatat", Name::Look),
    (libc::SYS_statx, "statx", Name::Look),
    (libc::SYS_openat, "openat", Name::Make),
    (libc::SYS_execve, "execve", Name::Execute),
    (libc::SYS_prctl, "prctl", Name::Keep),
    (libc::SYS_prlimit64, "prlimit64", Name::Limit),
    (libc::SYS_setrlimit, "setrlimit", Name::Limit),
    (libc::SYS_getrlimit, "getrlimit", Name::Limit),
    (libc::SYS_getsockopt, "getsockopt", Name::Peer),
    (libc::SYS_mkdirat, "mkdirat", Name::Make),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chown, "chown", Name::Own),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lchown, "lchown", Name::Own),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat, "stat", Name::Look),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lstat, "lstat", Name::Look),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, "open", Name::Make),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, "creat", Name::Make),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, "mkdir", Name::Make),
];

/// What of an open's flags says that a file is made; `O_TMPFILE` without `O_DIRECTORY`, which is part of it.
const MAKES: [libc::c_int; 2] = [libc::O_CREAT, libc::O_TMPFILE & !libc::O_DIRECTORY];

/// Compiles the filter. All other calls are let through: the container's own filter decides about them, and where it
/// refuses one of these, it does so before anybody is asked (seccomp(2): of several filters the strictest counts).
/// Calls of other architectures that the kernel runs, too, are made as they are.
pub(super) fn filter() -> Result<Vec<libc::sock_filter>> {
    let mut wanted = Vec::new();
    for (_, name, _) in CALLS {
        let is = |at, number: u32| Some((at, u64::from(u32::MAX), u64::from(number)));
        match *name {
            "open" | "openat" => {
                let at = if *name == "open" { 1 } else { 2 };
                let bits = MAKES.map(|flag| u64::from(flag.cast_unsigned()));
                wanted.extend(bits.map(|bits| (*name, Some((at, bits, bits)))));
            }
            "prctl" => wanted.push((*name, is(0, libc::PR_SET_KEEPCAPS.cast_unsigned()))),
            "prlimit64" => wanted.push((*name, is(1, CARRIER))),
            "setrlimit" | "getrlimit" => wanted.push((*name, is(0, CARRIER))),
            "getsockopt" => wanted.push((*name, is(2, libc::SO_PEERCRED.cast_unsigned()))),
            _ => wanted.push((*name, None)),
        }
    }
    seccomp::notifying(&wanted).context("compile the filter of ownership")
}

/// Tells what the call of a number is about.
pub(super) fn name(number: i32) -> Option<Name> {
    CALLS.iter().find(|(known, _, _)| *known == libc::c_long::from(number)).map(|(_, _, name)| *name)
}

/// Returns where a call wants the limit that there was.
pub(super) fn old_limit(guest: &Guest<'_>) -> u64 {
    match libc::c_long::from(guest.call.number) {
        libc::SYS_prlimit64 => guest.call.arguments[3],
        libc::SYS_getrlimit => guest.call.arguments[1],
        _ => 0,
    }
}

/// Returns how calls that name a file by nothing but a path treat a link.
pub(super) fn link_flags(number: libc::c_long) -> AtFlags {
    let is = |name: &str| CALLS.iter().any(|(known, its, _)| *known == number && *its == name);
    if is("lchown") || is("lstat") { AtFlags::SYMLINK_NOFOLLOW } else { AtFlags::empty() }
}

/// Where the arguments of a call are that makes a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making {
    pub(super) directory: Option<usize>,
    pub(super) path: usize,
    pub(super) mode: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Directory,
    /// A file, with flags as this argument.
    File(usize),
    /// creat(2).
    New,
}

impl Making {
    /// Returns the flags of an open; `None` if a directory is made.
    pub(super) fn flags(self, guest: &Guest<'_>) -> Option<OFlags> {
        match self.kind {
            Kind::Directory => None,
            Kind::File(at) => Some(OFlags::from_bits_retain(guest.word(at))),
            Kind::New => Some(OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC),
        }
    }
}

/// Tells where the arguments of a call are that makes a file.
pub(super) fn making(number: i32) -> Making {
    let name =
        CALLS.iter().find(|(known, _, _)| *known == libc::c_long::from(number)).map_or("", |call| call.1);
    match name {
        "mkdirat" => Making { directory: Some(0), path: 1, mode: 2, kind: Kind::Directory },
        "mkdir" => Making { directory: None, path: 0, mode: 1, kind: Kind::Directory },
        "creat" => Making { directory: None, path: 0, mode: 1, kind: Kind::New },
        "open" => Making { directory: None, path: 0, mode: 2, kind: Kind::File(1) },
        _ => Making { directory: Some(0), path: 1, mode: 3, kind: Kind::File(2) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_fits_and_names_every_call() {
        let filter = filter().unwrap();
        assert!(filter.len() < 200, "{}", filter.len());
        for (number, _, name_) in CALLS {
            assert_eq!(name(i32::try_from(*number).unwrap()), Some(*name_));
        }
        assert_eq!(name(-1), None);
    }
}
