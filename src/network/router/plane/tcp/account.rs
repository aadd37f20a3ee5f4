//! What each container has in one loop, and how much it may have.
//!
//! What bounds connections is the number of descriptors that this process may have open, which it raises to the
//! hard limit (`ulimit -Hn`): where that is 524,288, as is usual, one container may have 65,536 connections each
//! way; where it is 20,000, it may have 4,000. What is beyond is not answered when a container asks for it, and
//! reset when a client of a published port does.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::super::event::Key;

/// How much one container may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are not answered yet.
    pub opening: usize,
    /// All its connections in one direction.
    pub relays: usize,
}

impl Limits {
    /// Returns the limits for a process that may have `descriptors` open. A connection takes two; even one
    /// container that has all it may have in both directions leaves a fifth of them to others.
    pub fn new(descriptors: u64) -> Self {
        let relays = usize::try_from(descriptors / 5).unwrap_or(usize::MAX).clamp(64, 65_536);
        Self { opening: (relays / 4).clamp(16, 1024), relays }
    }
}

/// Connections by the container's address.
#[derive(Debug)]
pub struct Accounts {
    limits: Limits,
    by_address: HashMap<IpAddr, Account>,
}

#[derive(Debug, Default)]
struct Account {
    opening: usize,
    keys: HashSet<Key>,
}

impl Accounts {
    /// Returns accounts of nobody.
    pub fn new(limits: Limits) -> Self {
        Self { limits, by_address: HashMap::new() }
    }

    /// Tells whether the container at `address` may open another connection.
    pub fn may_open(&self, address: IpAddr) -> bool {
        self.by_address.get(&address).is_none_or(|account| {
            account.opening < self.limits.opening && account.keys.len() < self.limits.relays
        })
    }

    /// Notes a connection that is being opened.
    pub fn open(&mut self, address: IpAddr, key: Key) {
        let account = self.by_address.entry(address).or_default();
        if account.keys.insert(key) {
            account.opening += 1;
        }
    }

    /// Notes that a connection is open.
    pub fn opened(&mut self, address: IpAddr) {
        if let Some(account) = self.by_address.get_mut(&address) {
            account.opening = account.opening.saturating_sub(1);
        }
    }

    /// Notes that a connection is gone, which was `opening` still or was not.
    pub fn close(&mut self, address: IpAddr, key: Key, opening: bool) {
        let Some(account) = self.by_address.get_mut(&address) else { return };
        if account.keys.remove(&key) && opening {
            account.opening = account.opening.saturating_sub(1);
        }
        if account.keys.is_empty() {
            self.by_address.remove(&address);
        }
    }

    /// Returns all connections of the container at `address`.
    pub fn of(&self, address: IpAddr) -> Vec<Key> {
        self.by_address
            .get(&address)
            .map(|account| account.keys.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Returns how many connections there are.
    pub fn total(&self) -> usize {
        self.by_address.values().map(|account| account.keys.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::event::{Events, Fate, Loop, Mailbox, Source, Turn};
    use super::*;

    struct Nothing;

    impl Source<()> for Nothing {
        fn ready(&mut self, _: u8, _: Events, _: &mut Turn<'_, ()>) -> Fate {
            Fate::Stay
        }
    }

    fn keys(count: usize) -> Vec<Key> {
        let mut events = Loop::new(Mailbox::new().unwrap(), ()).unwrap();
        events.with(|turn| (0..count).map(|_| turn.add(Nothing).unwrap()).collect())
    }

    #[test]
    fn bounds_each_container_alone() {
        let mut accounts = Accounts::new(Limits { opening: 2, relays: 3 });
        let (one, two): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let keys = keys(3);
        accounts.open(one, keys[0]);
        accounts.open(one, keys[1]);
        assert!(!accounts.may_open(one) && accounts.may_open(two));
        accounts.opened(one);
        assert!(accounts.may_open(one));
        accounts.open(one, keys[2]);
        accounts.opened(one);
        assert!(!accounts.may_open(one), "three relays");
        accounts.close(one, keys[0], false);
        assert!(accounts.may_open(one));
        assert_eq!((accounts.of(one).len(), accounts.total()), (2, 2));
        accounts.close(one, keys[1], true);
        accounts.close(one, keys[1], true);
        accounts.close(one, keys[2], false);
        assert_eq!(accounts.total(), 0);
        assert!(accounts.by_address.is_empty());
    }

    #[test]
    fn limits_follow_the_descriptors() {
        assert_eq!(Limits::new(1000), Limits { opening: 50, relays: 200 });
        assert_eq!(Limits::new(1_048_576), Limits { opening: 1024, relays: 65_536 });
        assert_eq!(Limits::new(0), Limits { opening: 16, relays: 64 });
    }
}
