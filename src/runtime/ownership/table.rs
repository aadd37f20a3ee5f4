//! Which credentials each process has.
//!
//! They are to be inherited by fork(2) and kept by execve(2), and a process that ends is to be forgotten, though
//! nobody tells us of either. So the kernel does the bookkeeping: it inherits, keeps and forgets resource limits, and
//! one of them is free to carry a number. `RLIMIT_RTTIME` limits threads under real-time scheduling only, in
//! microseconds; values above 2^62, 146,000 years, all mean the same. The number says which credentials of this
//! table the process has.
//!
//! Calls of the container's own that set that limit do nothing, and those that ask for it are told that there is none.

use std::collections::HashMap;
use std::rc::Rc;

use rustix::io::Errno;

use super::CARRIER;
use super::credentials::Credentials;
use crate::sys::notify;

const BASE: u64 = 1 << 62;
/// How many different ones a container may have in its life.
const LIMIT: usize = 1 << 20;

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
        let place = if self.is_plain() { 0 } else { notify::soft_limit(pid, CARRIER).unwrap_or_default() };
        let place = usize::try_from(place.wrapping_sub(BASE)).unwrap_or(usize::MAX);
        self.all.get(place).unwrap_or(&self.all[0]).clone()
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
                let (place, credentials) = (self.all.len() as u64, Rc::new(credentials));
                self.all.push(credentials.clone());
                self.places.insert(credentials, place);
                place
            }
        };
        notify::set_soft_limit(pid, CARRIER, BASE + place)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
