//! A bounded table of flows: so many for each owner, so many in all.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Instant;

use crate::network::router::plane::event::Key;

/// How many flows are passed over at most when one has to go.
const PASSED_OVER: usize = 64;

/// What a table must know of a flow.
pub(in super::super) trait Aged {
    /// Returns when something last came through it.
    fn last(&self) -> Instant;
}

/// Flows by owner (the container's address) and name.
#[derive(Debug)]
pub(in super::super) struct Table<N, F> {
    owners: HashMap<IpAddr, HashMap<N, (Key, F)>>,
    count: usize,
    each: usize,
    all: usize,
}

impl<N: Hash + Eq + Clone, F: Aged> Table<N, F> {
    /// Makes a table with room for `each` flows of one owner and `all` in all.
    pub(in super::super) fn new(each: usize, all: usize) -> Self {
        Self { owners: HashMap::new(), count: 0, each, all }
    }

    /// Returns a flow.
    pub(in super::super) fn get(&self, owner: IpAddr, name: &N) -> Option<&(Key, F)> {
        self.owners.get(&owner)?.get(name)
    }

    /// Takes out whoever must go before a flow of `owner` can be added: what he has used least lately if he
    /// is at his limit; of whoever has most, if the table is full. A flow that `stays` when it is its turn is
    /// passed over, if that makes it one of those used lately.
    pub(in super::super) fn evict(&mut self, owner: IpAddr, stays: impl Fn(&F) -> bool) -> Option<Key> {
        let full = |flows: &&HashMap<N, (Key, F)>| flows.len() >= self.each;
        let crowd = match self.owners.get(&owner).filter(full) {
            Some(_) => owner,
            None if self.count < self.all => return None,
            None => *self.owners.iter().max_by_key(|(_, flows)| flows.len())?.0,
        };
        for turn in 0.. {
            let flows = self.owners.get(&crowd)?.iter();
            let (name, (key, flow)) = flows.min_by_key(|(_, (_, flow))| flow.last())?;
            if turn < PASSED_OVER && stays(flow) {
                continue;
            }
            let (name, key) = (name.clone(), *key);
            self.remove(crowd, &name, |_| true);
            return Some(key);
        }
        None
    }

    /// Adds a flow.
    pub(in super::super) fn insert(&mut self, owner: IpAddr, name: N, key: Key, flow: F) {
        if self.owners.entry(owner).or_default().insert(name, (key, flow)).is_none() {
            self.count += 1;
        }
    }

    /// Removes a flow, if it is still this one.
    pub(in super::super) fn remove(&mut self, owner: IpAddr, name: &N, is_this: impl FnOnce(&F) -> bool) {
        let Some(flows) = self.owners.get_mut(&owner) else { return };
        if flows.get(name).is_some_and(|(_, flow)| is_this(flow)) {
            flows.remove(name);
            self.count -= 1;
            if flows.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }

    /// Returns the keys of those flows of an owner whose name is one of these.
    pub(in super::super) fn keys_where(&self, owner: IpAddr, is_one: impl Fn(&N) -> bool) -> Vec<Key> {
        let flows = self.owners.get(&owner).into_iter().flatten();
        flows.filter(|(name, _)| is_one(name)).map(|(_, (key, _))| *key).collect()
    }

    /// Returns the keys of an owner's flows.
    pub(in super::super) fn keys_of(&self, owner: IpAddr) -> Vec<Key> {
        self.owners.get(&owner).into_iter().flat_map(HashMap::values).map(|(key, _)| *key).collect()
    }

    /// Returns how many flows there are.
    pub(in super::super) fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::router::plane::event::{Events, Fate, Loop, Mailbox, Source, Turn};
    use std::cell::Cell;
    use std::time::Duration;

    impl Aged for Cell<Instant> {
        fn last(&self) -> Instant {
            self.get()
        }
    }

    impl Aged for Instant {
        fn last(&self) -> Instant {
            *self
        }
    }

    struct Nobody;

    impl Source<()> for Nobody {
        fn ready(&mut self, _: u8, _: Events, _: &mut Turn<'_, ()>) -> Fate {
            Fate::Stay
        }
    }

    #[test]
    fn the_greediest_loses_the_oldest() {
        let mut events = Loop::new(Mailbox::new().unwrap(), ()).unwrap();
        let keys: Vec<_> = (0..4).map(|_| events.with(|turn| turn.add(Nobody).unwrap())).collect();
        let (one, two): (IpAddr, IpAddr) = ("10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut table = Table::new(3, 4);
        table.insert(one, 1, keys[0], at(5));
        table.insert(one, 2, keys[1], at(1));
        let evict = |table: &mut Table<i32, Instant>, owner| table.evict(owner, |_| false);
        assert_eq!((evict(&mut table, one), table.len()), (None, 2));
        table.insert(one, 3, keys[2], at(9));
        assert_eq!((evict(&mut table, two), evict(&mut table, one)), (None, Some(keys[1])));
        table.insert(one, 2, keys[1], at(2));
        table.insert(two, 1, keys[3], at(0));
        // The table is full: the greediest pays.
        assert_eq!((evict(&mut table, two), table.len()), (Some(keys[1]), 3));
        // Another flow of that name has come since.
        table.remove(one, &1, |flow| *flow == at(6));
        assert!(table.get(one, &1).is_some());
        table.remove(one, &1, |flow| *flow == at(5));
        assert_eq!((table.get(one, &1), table.len()), (None, 2));
        assert_eq!(table.keys_of(two), [keys[3]]);
    }

    #[test]
    fn what_waits_to_be_read_stays() {
        let mut events = Loop::new(Mailbox::new().unwrap(), ()).unwrap();
        let keys: Vec<_> = (0..3).map(|_| events.with(|turn| turn.add(Nobody).unwrap())).collect();
        let owner: IpAddr = "10.0.0.2".parse().unwrap();
        let start = Instant::now();
        let mut table = Table::new(3, 9);
        for (age, key) in (0..).zip(&keys) {
            table.insert(owner, age, *key, Cell::new(start + Duration::from_secs(age)));
        }
        let stays = |flow: &Cell<Instant>| {
            let waits = flow.get() == start;
            if waits {
                flow.set(start + Duration::from_secs(100));
            }
            waits
        };
        assert_eq!(table.evict(owner, stays), Some(keys[1]));
        // Somebody has to go, whatever he says.
        table.insert(owner, 1, keys[1], Cell::new(start));
        assert!(table.evict(owner, |_| true).is_some());
    }
}
