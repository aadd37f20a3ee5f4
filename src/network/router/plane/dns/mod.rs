//! The nameserver of every network, at the gateway's address.
//!
//! # Theory of operation
//!
//! One UDP socket and one TCP socket in `R` listen for all networks; rules of the namespace let packets through to
//! port 53 of the asker's own gateway only. Who asks is known by his address. What he asks is decided in
//! `answer`, from the directory alone, or asked of other servers in `forward`, with sockets of the host's
//! namespace, so that a resolver on the host's own loopback works.
//!
//! A question is passed on byte for byte, but with a number and a port that nobody can guess, and its answer is
//! believed only if it has both and repeats the question. A server that is silent or refuses is followed by the next.
//!
//! Bounds: questions outstanding for each asker and in all, connections likewise; a question too many is
//! answered with a failure at once. A question repeated while it is outstanding is not asked twice.

mod answer;
mod forward;
mod message;
mod server;
mod stream;
mod upstream;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::event::{Key, Turn};
use super::flow::{HasFlow, descriptors};
use answer::Answer;
use forward::Asker;
use message::{Query, Unreadable, rcode};
use upstream::Upstream;

pub(super) use server::serve;
pub(super) use stream::serve_streams;

/// How many questions an asker may have outstanding, and all askers together.
const OUTSTANDING_EACH: usize = 256;
const OUTSTANDING: usize = 2048;
/// How many connections an asker may have, and all askers together.
const STREAMS_EACH: usize = 32;
const STREAMS: usize = 512;

/// The tables of DNS.
#[derive(Debug)]
pub(super) struct Dns {
    upstream: Upstream,
    /// Which of several addresses comes first.
    turn: usize,
    questions: Crowd,
    streams: Crowd,
    /// Questions over UDP that are outstanding, by who asks and his number.
    asked: HashSet<(SocketAddr, u16)>,
    /// How many questions may be outstanding in all.
    outstanding: usize,
}

impl Dns {
    pub(super) fn new() -> Self {
        Self {
            upstream: Upstream::default(),
            turn: 0,
            questions: Crowd::default(),
            streams: Crowd::default(),
            asked: HashSet::new(),
            // Each may take a few descriptors.
            outstanding: (descriptors() / 32).clamp(32, OUTSTANDING),
        }
    }

    /// Returns the places in the loop of what an asker has open.
    pub(super) fn keys_of(&self, address: IpAddr) -> Vec<Key> {
        let mut keys = self.questions.keys_of(address);
        keys.extend(self.streams.keys_of(address));
        keys
    }
}

/// Who has how many of something.
#[derive(Debug, Default)]
struct Crowd {
    owners: HashMap<IpAddr, HashSet<Key>>,
    count: usize,
}

impl Crowd {
    /// Tells whether one more would be too many.
    fn is_full(&self, owner: IpAddr, each: usize, all: usize) -> bool {
        self.count >= all || self.owners.get(&owner).is_some_and(|own| own.len() >= each)
    }

    fn insert(&mut self, owner: IpAddr, key: Key) {
        if self.owners.entry(owner).or_default().insert(key) {
            self.count += 1;
        }
    }

    fn remove(&mut self, owner: IpAddr, key: Key) {
        let Some(own) = self.owners.get_mut(&owner) else { return };
        if own.remove(&key) {
            self.count -= 1;
        }
        if own.is_empty() {
            self.owners.remove(&owner);
        }
    }

    fn keys_of(&self, owner: IpAddr) -> Vec<Key> {
        self.owners.get(&owner).into_iter().flatten().copied().collect()
    }
}

/// What becomes of a message to the nameserver.
enum Outcome {
    /// It is answered with this.
    Reply(Vec<u8>),
    /// The answer comes later, to the asker given.
    Later,
    /// It is not answered.
    Silence,
}

/// Deals with a message from `from`. If it is passed on, `asker` says where the answer goes.
fn handle<W: HasFlow>(
    turn: &mut Turn<'_, W>,
    from: SocketAddr,
    message: &[u8],
    is_stream: bool,
    asker: impl FnOnce() -> Asker,
) -> Outcome {
    let query = match Query::parse(message) {
        Ok(query) => query,
        Err(Unreadable::Silence) => return Outcome::Silence,
        Err(Unreadable::Reply { id, flags, rcode }) => {
            return Outcome::Reply(message::fail(id, flags, rcode));
        }
    };
    let flow = turn.world.flow();
    flow.dns.turn = flow.dns.turn.wrapping_add(1);
    let answer = answer::answer(&flow.directory(), from.ip(), &query, flow.dns.turn);
    let own = match answer {
        Answer::Silence => return Outcome::Silence,
        Answer::Records(code, records) => {
            let most = if is_stream { usize::from(u16::MAX) } else { query.udp_size() };
            return Outcome::Reply(query.reply(code, &records, most));
        }
        Answer::Forward(own) => own,
    };
    if !is_stream && flow.dns.asked.contains(&(from, query.id)) {
        return Outcome::Silence;
    }
    let dns = &mut flow.dns;
    let servers = if own.is_empty() { dns.upstream.servers() } else { upstream::named(&own) };
    if dns.questions.is_full(from.ip(), OUTSTANDING_EACH.min(dns.outstanding / 2), dns.outstanding) {
        return Outcome::Reply(query.fail(rcode::SERVER_FAILURE));
    }
    match forward::forward(turn, from, asker(), &query, message, servers, is_stream) {
        Ok(()) => Outcome::Later,
        Err(_) => Outcome::Reply(query.fail(rcode::SERVER_FAILURE)),
    }
}
