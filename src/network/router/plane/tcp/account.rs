//! What each container has in one loop, and how much it may have.
//!
//! What bounds connections is the number of descriptors that a process may have open, which the router raises to the
//! hard limit (`ulimit -Hn`): where that is 524,288, as is usual, one container may have 65,536 connections each
//! way. Where it is less, what does not fit is handed to other processes ([`super::annexes`]), and one container may
//! have two fifths of what all of them take: 32,000 each way where the limit is 20,000. What is beyond is not
//! answered when a container asks for it, and reset when a client of a published port does.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::super::event::Key;
use super::annexes;

/// What one container may have at most in one direction, whatever the limit of descriptors.
const MOST_EACH: usize = 65_536;

/// How much one container may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are not answered yet.
    pub opening: usize,
    /// All its connections in one direction.
    pub relays: usize,
    /// Those of them for which the router has the descriptors itself.
    pub own: usize,
    /// How many connections of all containers there are before further ones are handed to other processes.
    pub crowd: usize,
    /// How many connections another process takes.
    pub room: usize,
}

/// What a connection is to the accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// It is not answered yet.
    Opening,
    /// The router carries it.
    Open,
    /// Another process carries it.
    Lodged,
}

impl Limits {
    /// Returns the limits for processes that may have `descriptors` open. A connection takes two; even one
    /// container for which the router has all it may have in both directions leaves a fifth of them to others.
    pub fn new(descriptors: u64) -> Self {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let own = (descriptors / 5).clamp(64, MOST_EACH);
        // Some are pipes, and the process's own.
        let room = descriptors.saturating_sub(128) / 2;
        let relays = (room.saturating_mul(annexes::MOST) / 5 * 2).clamp(own, MOST_EACH);
        Self { opening: (own / 4).clamp(16, 1024), relays, own, crowd: descriptors / 8, room }
    }
}

/// Connections by the container's address.
#[derive(Debug)]
pub struct Accounts {
    limits: Limits,
    by_address: HashMap<IpAddr, Account>,
    /// How many of all connections have their descriptors in this process.
    here: usize,
}

#[derive(Debug, Default)]
struct Account {
    opening: usize,
    lodged: usize,
    keys: HashSet<Key>,
}

impl Accounts {
    /// Returns accounts of nobody.
    pub fn new(limits: Limits) -> Self {
        Self { limits, by_address: HashMap::new(), here: 0 }
    }

    /// Tells whether the container at `address` may open another connection.
    pub fn may_open(&self, address: IpAddr) -> bool {
        self.by_address.get(&address).is_none_or(|account| {
            account.opening < self.limits.opening
                && account.keys.len() < self.limits.relays
                && account.keys.len() - account.lodged < self.limits.own
        })
    }

    /// Notes a connection that is being opened.
    pub fn open(&mut self, address: IpAddr, key: Key) {
        let account = self.by_address.entry(address).or_default();
        if account.keys.insert(key) {
            account.opening += 1;
            self.here += 1;
        }
    }

    /// Notes that a connection is open.
    pub fn opened(&mut self, address: IpAddr) {
        if let Some(account) = self.by_address.get_mut(&address) {
            account.opening = account.opening.saturating_sub(1);
        }
    }

    /// Tells whether there are so many connections that further ones belong elsewhere.
    pub fn is_crowded(&self) -> bool {
        self.here > self.limits.crowd
    }

    /// Notes that an open connection is carried by another process from now on.
    pub fn lodged(&mut self, address: IpAddr) {
        if let Some(account) = self.by_address.get_mut(&address) {
            account.lodged += 1;
            self.here -= 1;
        }
    }

    /// Notes that a connection is gone, and what it was.
    pub fn close(&mut self, address: IpAddr, key: Key, holding: Holding) {
        let Some(account) = self.by_address.get_mut(&address) else { return };
        if account.keys.remove(&key) {
            match holding {
                Holding::Opening => account.opening = account.opening.saturating_sub(1),
                Holding::Open => {}
                Holding::Lodged => account.lodged -= 1,
            }
            if holding != Holding::Lodged {
                self.here -= 1;
            }
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
        let mut accounts = Accounts::new(Limits { opening: 2, relays: 3, ..Limits::new(u64::MAX) });
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
        accounts.close(one, keys[0], Holding::Open);
        assert!(accounts.may_open(one));
        assert_eq!((accounts.of(one).len(), accounts.total()), (2, 2));
        accounts.close(one, keys[1], Holding::Opening);
        accounts.close(one, keys[1], Holding::Opening);
        accounts.close(one, keys[2], Holding::Open);
        assert_eq!(accounts.total(), 0);
        assert!(accounts.by_address.is_empty());
    }

    #[test]
    fn what_is_lodged_takes_no_room_here() {
        let limits = Limits { opening: 9, relays: 3, own: 2, crowd: 1, room: 9 };
        let mut accounts = Accounts::new(limits);
        let one: IpAddr = [10, 0, 0, 1].into();
        let keys = keys(3);
        accounts.open(one, keys[0]);
        accounts.opened(one);
        assert!(!accounts.is_crowded());
        accounts.open(one, keys[1]);
        accounts.opened(one);
        assert!(accounts.is_crowded() && !accounts.may_open(one));
        accounts.lodged(one);
        assert!(!accounts.is_crowded() && accounts.may_open(one));
        accounts.open(one, keys[2]);
        accounts.opened(one);
        accounts.lodged(one);
        assert!(!accounts.may_open(one), "three relays, wherever they are");
        accounts.close(one, keys[1], Holding::Lodged);
        accounts.close(one, keys[2], Holding::Lodged);
        accounts.close(one, keys[0], Holding::Open);
        assert_eq!((accounts.here, accounts.total()), (0, 0));
    }

    #[test]
    fn limits_follow_the_descriptors() {
        let relays = |descriptors| Limits::new(descriptors).relays;
        assert_eq!([0, 1024, 20_000, 524_288, u64::MAX].map(relays), [64, 1432, 31_794, 65_536, 65_536]);
        let limits = Limits::new(20_000);
        assert_eq!(limits, Limits { opening: 1000, relays: 31_794, own: 4000, crowd: 2500, room: 9936 });
        assert_eq!(Limits::new(0).opening, 16);
    }
}
