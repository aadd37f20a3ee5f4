//! Which credentials each process has.
//!
//! They are to be inherited by fork(2) and kept by execve(2), and a process that ends is to be forgotten, though
//! nobody tells us of either. So the kernel does the bookkeeping: it inherits, keeps and forgets resource limits, and
//! one of them is free to carry a number. `RLIMIT_RTTIME` limits threads under real-time scheduling only, in
//! microseconds; values above 2^62, 146,000 years, all mean the same. The number says which credentials of this
//! table the process has and, because an `exec` into the container has a steward and a table of its own, which ids
//! others are told that ask who is at the other end of a socket.
//!
//! Calls of the container's own that set that limit do nothing, and those that ask for it are told that there is none.

use std::collections::HashMap;
use std::rc::Rc;

use rustix::io::Errno;

use super::CARRIER;
use super::credentials::Credentials;
use crate::sys::notify;

/// What says that a limit is such a number, with the place in the table, the effective user and the group below.
const BASE: u64 = 1 << 62;
/// The bits of an id. One that does not fit is [`UNKNOWN`].
const ID: u32 = 21;
const UNKNOWN: u64 = (1 << ID) - 1;
/// How many different ones a container may have in its life.
const LIMIT: usize = 1 << (62 - 2 * ID);

#[derive(Debug)]
pub(super) struct Table {
    all: Vec<Rc<Credentials>>,
    places: HashMap<Rc<Credentials>, u64>,
}

impl Table {
    /// Makes one for processes that are `first` until they change that.
    pub(super) fn new(first: Credentials) -> Self {
        let first = Rc::new(first);
        Self { all: vec![first.clone()], places: HashMap::from([(first, 0)]) }
    }

    /// Returns those of thread `pid`'s process.
    pub(super) fn of(&self, pid: u32) -> Rc<Credentials> {
        // A single set was never changed by anybody.
        let number = if self.is_plain() { 0 } else { notify::soft_limit(pid, CARRIER).unwrap_or_default() };
        self.all.get(place(number)).unwrap_or(&self.all[0]).clone()
    }

    /// Returns the effective ids of a process, which may be another steward's. `None`: they are not known.
    pub(super) fn ids_of(pid: u32) -> Option<(u32, u32)> {
        let number = notify::soft_limit(pid, CARRIER).ok()?;
        if !is_number(number) {
            // Nobody has changed anything, and whoever did not begin as root is marked.
            return Some((0, 0));
        }
        let id = |bits: u64| (bits & UNKNOWN != UNKNOWN).then(|| u32::try_from(bits & UNKNOWN).unwrap_or(0));
        Some((id(number >> ID)?, id(number)?))
    }

    /// Has thread `pid`'s process say who it is, if it has the first credentials and they are not root's.
    pub(super) fn mark(&self, pid: u32) {
        let first = &self.all[0];
        if (first.user.effective, first.group.effective) == (0, 0)
            || notify::soft_limit(pid, CARRIER).is_ok_and(is_number)
        {
            return;
        }
        // Who is not marked is taken for root by others than this steward, and only by them.
        let _ = notify::set_soft_limit(pid, CARRIER, number(0, first));
    }

    /// Tells whether nobody ever changed anything.
    pub(super) fn is_plain(&self) -> bool {
        self.all.len() == 1
    }

    /// Gives others to thread `pid`'s process.
    pub(super) fn set(&mut self, pid: u32, credentials: Credentials) -> Result<(), Errno> {
        let place = match self.places.get(&credentials) {
            Some(place) => *place,
            None if self.all.len() >= LIMIT => return Err(Errno::AGAIN),
            None => {
                let (place, credentials) = (self.all.len() as u64, Rc::new(credentials.clone()));
                self.all.push(credentials.clone());
                self.places.insert(credentials, place);
                place
            }
        };
        notify::set_soft_limit(pid, CARRIER, number(place, &credentials))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
    }
}

fn number(place: u64, credentials: &Credentials) -> u64 {
    let id = |id: u32| u64::from(id).min(UNKNOWN);
    BASE | place << (2 * ID) | id(credentials.user.effective) << ID | id(credentials.group.effective)
}

fn is_number(limit: u64) -> bool {
    limit >> 62 == BASE >> 62
}

/// Returns the place in the table of whoever has this limit, if it is a number of ours.
fn place(limit: u64) -> usize {
    if is_number(limit) {
        usize::try_from((limit & !BASE) >> (2 * ID)).unwrap_or(usize::MAX)
    } else {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_begin_as_root_says_so() {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        Table::new(Credentials::of(0, 0, &[])).mark(child.id());
        assert_eq!(Table::ids_of(child.id()), Some((0, 0)));
        let table = Table::new(Credentials::of(101, 102, &[]));
        table.mark(child.id());
        assert_eq!(Table::ids_of(child.id()), Some((101, 102)));
        assert_eq!(*table.of(child.id()), Credentials::of(101, 102, &[]));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn children_inherit_what_the_table_gave() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        let mut table = Table::new(Credentials::of(0, 0, &[]));
        table.set(child.id(), Credentials::of(33, 33, &[4])).unwrap();
        assert_eq!(*table.of(child.id()), Credentials::of(33, 33, &[4]));
        assert_eq!(*table.of(own), Credentials::of(0, 0, &[]));
        table.set(child.id(), Credentials::of(0, 0, &[])).unwrap();
        assert_eq!(table.all.len(), 2);
        assert_eq!(*table.of(child.id()), Credentials::of(0, 0, &[]));
        // Another steward knows the ids, if not the rest.
        table.set(child.id(), Credentials::of(33, 34, &[4])).unwrap();
        assert_eq!((Table::ids_of(child.id()), Table::ids_of(own)), (Some((33, 34)), Some((0, 0))));
        table.set(child.id(), Credentials::of(u32::MAX - 1, 0, &[])).unwrap();
        assert_eq!(Table::ids_of(child.id()), None);
        assert_eq!(*table.of(child.id()), Credentials::of(u32::MAX - 1, 0, &[]));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
