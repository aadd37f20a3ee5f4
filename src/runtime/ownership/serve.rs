//! The steward's loop: a call comes, is decided, and is answered.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::credentials::Credentials;
use super::filter::{self, Name};
use super::guest::{Guest, Place, Views};
use super::identify::identify;
use super::record::Records;
use super::table::Table;
use super::{Beginning, CAP_CHOWN, CAP_DAC_OVERRIDE};
use crate::sys::notify::{self, Call};

/// What becomes of a call.
#[derive(Debug)]
enum Verdict {
    /// It returns this.
    Value(i64),
    /// It returns a copy of this.
    Descriptor(OwnedFd, bool),
    /// The kernel makes it.
    Through,
}

/// The one who answers.
#[derive(Debug)]
pub(super) struct Steward {
    listener: OwnedFd,
    views: Views,
    table: Table,
    records: Records,
    /// The capabilities that the container's root has.
    powers: u64,
}

impl Steward {
    pub(super) fn new(listener: OwnedFd, views: Views, beginning: Beginning) -> Self {
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self {
            listener,
            views,
            table: Table::new(beginning.credentials),
            records: Records::new(own),
            powers: beginning.powers,
        }
    }

    /// Answers until there is nobody left who could ask, or `end` is readable.
    pub(super) fn serve(&mut self, end: &OwnedFd) {
        // Only speed depends on it.
        let _ = notify::stay_together(self.listener.as_fd());
        let mut waiting = VecDeque::new();
        loop {
            let mut fds = [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            match poll(&mut fds, if waiting.is_empty() { None } else { Some(&at_once) }) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return,
            }
            if !fds[1].revents().is_empty() {
                return;
            }
            let asked = fds[0].revents();
            if asked.contains(PollFlags::IN) {
                // Until a call was read a signal can interrupt it, so all are read first. Whoever asked may be gone.
                waiting.extend(notify::receive(self.listener.as_fd()));
            } else if let Some(call) = waiting.pop_front() {
                self.answer(&call);
            } else if !asked.is_empty() {
                return;
            }
        }
    }

    fn answer(&mut self, call: &Call) {
        let verdict =
            if call.architecture == filter::NATIVE { self.decide(call) } else { Ok(Verdict::Through) };
        let listener = self.listener.as_fd();
        let answered = match verdict {
            Ok(Verdict::Value(value)) => notify::answer(listener, call.id, value),
            Ok(Verdict::Through) => notify::let_through(listener, call.id),
            Err(errno) => notify::refuse(listener, call.id, errno.raw_os_error()),
            Ok(Verdict::Descriptor(fd, close_on_exec)) => {
                match notify::answer_with(listener, call.id, fd.as_fd(), close_on_exec) {
                    Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
                        let errno = error.raw_os_error().unwrap_or(libc::EMFILE);
                        notify::refuse(listener, call.id, errno)
                    }
                    result => result,
                }
            }
        };
        // It fails when the one who asked was killed meanwhile.
        drop(answered);
    }

    fn decide(&mut self, call: &Call) -> Result<Verdict, Errno> {
        let Some(name) = filter::name(call.number) else { return Ok(Verdict::Through) };
        match name {
            Name::Identity(name) => {
                let guest = Guest::new(call, self.listener.as_fd(), &self.views);
                let (value, new) = identify(name, &guest, &self.table.of(call.pid), self.powers)?;
                guest.check()?;
                if let Some(new) = new {
                    self.table.set(call.pid, new)?;
                }
                Ok(Verdict::Value(value))
            }
            Name::Own => self.own(call),
            Name::Execute => {
                self.execute(call);
                Ok(Verdict::Through)
            }
            Name::Keep => {
                let now = self.table.of(call.pid);
                let keeps = call.arguments[1] == 1;
                if now.keeps != keeps {
                    self.table.set(call.pid, Credentials { keeps, ..(*now).clone() })?;
                }
                Ok(Verdict::Through)
            }
            Name::Limit => {
                let guest = Guest::new(call, self.listener.as_fd(), &self.views);
                let old = filter::old_limit(&guest);
                if old != 0 {
                    // Two numbers, none of them a limit.
                    guest.write(old, &[0xff; 16])?;
                }
                Ok(Verdict::Value(0))
            }
            Name::Peer => Ok(self.peer(call).unwrap_or(Verdict::Through)),
            Name::Look => Ok(self.look(call).unwrap_or(Verdict::Through)),
            Name::Make => {
                let credentials = self.table.of(call.pid);
                Ok(self.make(call, &credentials).unwrap_or(Verdict::Through))
            }
        }
    }

    /// chown(2) and its kin.
    fn own(&mut self, call: &Call) -> Result<Verdict, Errno> {
        let guest = Guest::new(call, self.listener.as_fd(), &self.views);
        let at = |address: u64| guest.path(address);
        let (place, flags, first) = match call.number.into() {
            libc::SYS_fchown => {
                let place = Place { directory: guest.int(0), path: Vec::new() };
                (place, AtFlags::EMPTY_PATH, 1)
            }
            libc::SYS_fchownat => {
                let flags = AtFlags::from_bits_retain(guest.word(4));
                if !(AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW).contains(flags) {
                    return Err(Errno::INVAL);
                }
                (Place { directory: guest.int(0), path: at(call.arguments[1])? }, flags, 2)
            }
            number => {
                let place = Place { directory: libc::AT_FDCWD, path: at(call.arguments[0])? };
                (place, filter::link_flags(number), 1)
            }
        };
        let file = guest.target(&place, flags)?;
        if libc::c_long::from(call.number) == libc::SYS_fchown && guest.is_only_a_path(guest.int(0))? {
            return Err(Errno::BADF);
        }
        let stat = rustix::fs::fstat(&file)?;
        let old = self.records.owner(file.as_fd(), &stat).ids;
        let credentials = self.table.of(call.pid);
        let privileged = credentials.has_powers() && self.powers & CAP_CHOWN != 0;
        let (uid, gid) = (guest.word(first), guest.word(first + 1));
        let new = credentials.chown(old, uid, gid, privileged)?;
        self.records.set(file.as_fd(), &stat, new)?;
        Ok(Verdict::Value(0))
    }

    /// stat(2) and its kin. Where there is nothing to say that the kernel would not say, it does.
    fn look(&self, call: &Call) -> Result<Verdict, Errno> {
        let guest = Guest::new(call, self.listener.as_fd(), &self.views);
        let path = |address| if address == 0 { Ok(Vec::new()) } else { guest.path(address) };
        let mut mask = None;
        let (place, flags, buffer) = match call.number.into() {
            libc::SYS_fstat => {
                (Place { directory: guest.int(0), path: Vec::new() }, AtFlags::EMPTY_PATH, call.arguments[1])
            }
            libc::SYS_newfstatat => {
                let place = Place { directory: guest.int(0), path: path(call.arguments[1])? };
                (place, AtFlags::from_bits_retain(guest.word(3)), call.arguments[2])
            }
            libc::SYS_statx => {
                mask = Some(guest.word(3));
                let place = Place { directory: guest.int(0), path: path(call.arguments[1])? };
                (place, AtFlags::from_bits_retain(guest.word(2)), call.arguments[4])
            }
            number => {
                let place = Place { directory: libc::AT_FDCWD, path: path(call.arguments[0])? };
                (place, filter::link_flags(number), call.arguments[1])
            }
        };
        let file = guest.target(&place, flags)?;
        let stat = rustix::fs::fstat(&file)?;
        let owner = self.records.owner(file.as_fd(), &stat);
        if owner.is_real {
            return Ok(Verdict::Through);
        }
        let bytes = match mask {
            Some(mask) => {
                let known = AtFlags::STATX_FORCE_SYNC | AtFlags::STATX_DONT_SYNC;
                let flags = (flags & known).bits().cast_signed();
                notify::statx_of(file.as_fd(), flags, mask, owner.ids)
            }
            None => notify::stat_of(file.as_fd(), owner.ids),
        };
        guest.write(buffer, &bytes.map_err(|error| super::record::errno(&error))?)?;
        Ok(Verdict::Value(0))
    }

    /// execve(2), before it happens. If it then fails, a setuid program has made its owner of a process that it is not
    /// run by; nothing is at stake.
    fn execute(&mut self, call: &Call) {
        self.table.mark(call.pid);
        if self.table.is_plain() {
            return;
        }
        let now = self.table.of(call.pid);
        let (mut user, mut group) = (None, None);
        if now.user.effective != 0
            && let Some((stat, owner)) = self.program(call)
        {
            user = (stat.st_mode & 0o4000 != 0).then_some(owner.0);
            group = (stat.st_mode & 0o2010 == 0o2010).then_some(owner.1);
        }
        let new = now.execute(user, group);
        if new != *now {
            // It stays who it is.
            let _ = self.table.set(call.pid, new);
        }
    }

    /// Finds a program that changes the ids of who executes it, and its owner.
    fn program(&self, call: &Call) -> Option<(Stat, (u32, u32))> {
        let guest = Guest::new(call, self.listener.as_fd(), &self.views);
        let place = Place { directory: libc::AT_FDCWD, path: guest.path(call.arguments[0]).ok()? };
        let file = guest.target(&place, AtFlags::empty()).ok()?;
        let stat = rustix::fs::fstat(&file).ok()?;
        let changes = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_mode & 0o6000 != 0
            && stat.st_mode & 0o111 != 0
            && !rustix::fs::fstatvfs(&file).ok()?.f_flag.contains(StatVfsMountFlags::NOSUID)
            && !guest.has_no_new_privileges();
        changes.then(|| (stat, self.records.owner(file.as_fd(), &stat).ids))
    }

    /// getsockopt(2) with `SO_PEERCRED`: who the other end believes to be.
    fn peer(&self, call: &Call) -> Result<Verdict, Errno> {
        let guest = Guest::new(call, self.listener.as_fd(), &self.views);
        if guest.int(1) != libc::SOL_SOCKET {
            return Ok(Verdict::Through);
        }
        let socket = guest.socket(guest.int(0))?;
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        let number = u32::try_from(peer.pid.as_raw_nonzero().get()).map_err(|_| Errno::SRCH)?;
        let Some((uid, gid)) = Table::ids_of(number) else { return Ok(Verdict::Through) };
        let pid = guest.name_of(peer.pid)?;
        let mut bytes = pid.to_ne_bytes().to_vec();
        bytes.extend(uid.to_ne_bytes());
        bytes.extend(gid.to_ne_bytes());
        let mut room = [0; 4];
        guest.read(call.arguments[4], &mut room)?;
        let room = usize::try_from(i32::from_ne_bytes(room)).map_err(|_| Errno::INVAL)?;
        bytes.truncate(room);
        guest.write(call.arguments[3], &bytes)?;
        guest.write(call.arguments[4], &u32::try_from(bytes.len()).unwrap_or_default().to_ne_bytes())?;
        Ok(Verdict::Value(0))
    }

    /// open(2) that makes a file, mkdir(2) and their kin, which makes a file of its maker's, or of the group of the
    /// directory if that says so. What has no record is root's.
    fn make(&mut self, call: &Call, credentials: &Credentials) -> Result<Verdict, Errno> {
        let guest = Guest::new(call, self.listener.as_fd(), &self.views);
        let mut ids = (credentials.user.file, credentials.group.file);
        let order = filter::making(call.number);
        let directory = order.directory.map_or(libc::AT_FDCWD, |at| guest.int(at));
        let place = Place { directory, path: guest.path(call.arguments[order.path])? };
        let mode = Mode::from_raw_mode(guest.word(order.mode) & 0o7777);
        let made_in = guest.parent(&place)?;
        let stat = rustix::fs::fstat(&made_in)?;
        if stat.st_mode & 0o2000 != 0 {
            ids.1 = self.records.owner(made_in.as_fd(), &stat).ids.1;
        }
        if ids == (0, 0) {
            return Ok(Verdict::Through);
        }
        let mask = guest.mask()?;
        let passes = credentials.has_powers() && self.powers & CAP_DAC_OVERRIDE != 0;
        let modest = Modest::new(mask, passes)?;
        let Some(flags) = order.flags(&guest) else {
            let made = guest.make_directory(&place, mode & Mode::from_raw_mode(0o1777))?;
            drop(modest);
            self.record(&made, ids);
            return Ok(Verdict::Value(0));
        };
        let is_nameless = flags.contains(OFlags::TMPFILE);
        // If it is there already, nothing is made, and the kernel may go on.
        let exclusive = if is_nameless { OFlags::empty() } else { OFlags::EXCL };
        let made = guest.open(&place, flags | exclusive | OFlags::NOCTTY, mode)?;
        drop(modest);
        self.record(&made, ids);
        Ok(Verdict::Descriptor(made, flags.contains(OFlags::CLOEXEC)))
    }

    /// Writes down whose a new file is. It is there in any case, and the call has done what it was for.
    fn record(&mut self, made: &OwnedFd, ids: (u32, u32)) {
        if let Ok(stat) = rustix::fs::fstat(made) {
            let _ = self.records.set(made.as_fd(), &stat, ids);
        }
    }
}

/// While it lives, this process has the mask for new files of another one, and no more power to pass by permission bits.
struct Modest {
    mask: Mode,
    powers: CapabilitySets,
}

impl Modest {
    fn new(mask: Mode, passes: bool) -> Result<Self, Errno> {
        let powers = rustix::thread::capabilities(None)?;
        let passing = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER;
        if !passes {
            let fewer = CapabilitySets { effective: powers.effective - passing, ..powers };
            rustix::thread::set_capabilities(None, fewer)?;
        }
        Ok(Self { mask: rustix::process::umask(mask), powers })
    }
}

impl Drop for Modest {
    fn drop(&mut self) {
        rustix::process::umask(self.mask);
        // They are still permitted.
        let _ = rustix::thread::set_capabilities(None, self.powers);
    }
}
