//! Packet rules: one atomic change of an `inet` table of nf_tables.
//!
//! A rule is a list of expressions that work on a register: load something of the packet, compare it, decide.
//! A comparison that fails ends the rule, and the next one of the chain begins.

use super::{Attributes, Batch, Refused, Socket, flag};

const SUBSYSTEM: u16 = 10 << 8;
/// The request that begins a transaction.
pub(super) const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
const INET: u8 = 1;

const NEWTABLE: u16 = SUBSYSTEM;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const DELCHAIN: u16 = SUBSYSTEM | 5;
const NEWRULE: u16 = SUBSYSTEM | 6;
const NEWSET: u16 = SUBSYSTEM | 9;
const NEWSETELEM: u16 = SUBSYSTEM | 0xc;
const DELSETELEM: u16 = SUBSYSTEM | 0xe;

const LIST_ELEM: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// The one register that is used: a comparison follows what it compares.
const REGISTER: u32 = 1;
const VERDICT_REGISTER: u32 = 0;

const SET_INTERVAL: u32 = 4;
const SET_MAP: u32 = 8;
const VERDICT_TYPE: u32 = 0xffff_ff00;
const INTERVAL_END: u32 = 1;

/// A field of what surrounds a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meta {
    /// The packet's mark, four bytes of this machine.
    Mark = 3,
    /// The number of the device by which it came, four bytes of this machine.
    InputDevice = 4,
    /// 2 for IPv4, 10 for IPv6: one byte.
    Family = 15,
    /// The number of what is inside: one byte.
    Protocol = 16,
}

/// A question about the socket that a packet is for. A packet that is for none ends the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketKey {
    /// Whether it takes connections to any address: one byte, 0 or 1.
    Transparent = 0,
    /// Whether it is bound to no address of its own: one byte, 0 or 1. A half-open or ended connection has no
    /// answer to this, which ends the rule.
    Wildcard = 2,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// The same.
    Equal = 0,
    /// Not the same.
    NotEqual = 1,
    /// The same or greater, as the network writes numbers.
    AtLeast = 5,
}

/// How a packet is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// A connection is reset.
    Reset,
    /// There is no route to the network.
    NoRoute,
    /// The host cannot be reached.
    HostUnreachable,
    /// It is forbidden.
    Prohibited,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is thrown away.
    Drop,
    /// It is done with this base chain.
    Accept,
    /// It goes on in another chain and comes back.
    Jump(&'a str),
    /// It goes on in another chain.
    Goto(&'a str),
}

/// A change of one table, performed as a whole or not at all.
#[derive(Debug)]
pub struct Transaction {
    table: &'static str,
    batch: Batch,
}

impl Socket {
    /// Begins a change of the `inet` table called `table`.
    pub fn transaction(&mut self, table: &'static str) -> Transaction {
        let mut batch = self.batch();
        batch.add_quiet(BEGIN, 0, &[0, 0, 0, 10], |_| {});
        Transaction { table, batch }
    }

    /// Performs a change.
    pub fn commit(&mut self, mut transaction: Transaction) -> Result<(), Refused> {
        // Something must be answered for sure, and making a table that exists is no change.
        transaction.new_table();
        transaction.batch.add_quiet(END, 0, &[0, 0, 0, 10], |_| {});
        self.perform(transaction.batch)
    }
}

impl Transaction {
    fn push(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        self.batch.add_quiet(kind, flags, &[INET, 0, 0, 0], fill);
    }

    /// Makes the table if it does not exist.
    pub fn new_table(&mut self) {
        let table = self.table;
        self.batch.add(NEWTABLE, flag::CREATE, &[INET, 0, 0, 0], |attributes| {
            attributes.text(1, table).be32(2, 0);
        });
    }

    /// Removes the table with all that is in it. It must exist.
    pub fn delete_table(&mut self) {
        let table = self.table;
        self.push(DELTABLE, 0, |attributes| {
            attributes.text(1, table);
        });
    }

    /// Makes a chain that others lead to.
    pub fn chain(&mut self, name: &str) {
        let table = self.table;
        self.push(NEWCHAIN, flag::CREATE, |attributes| {
            attributes.text(1, table).text(3, name);
        });
    }

    /// Makes a chain that sees what comes in, before it is known where it goes. Lower priorities come first.
    pub fn prerouting_chain(&mut self, name: &str, priority: i32) {
        let table = self.table;
        self.push(NEWCHAIN, flag::CREATE, |attributes| {
            attributes.text(1, table).text(3, name);
            attributes.nest(4, |hook| {
                hook.be32(1, 0).be32(2, priority.cast_unsigned());
            });
            attributes.be32(5, 1).text(7, "filter");
        });
    }

    /// Removes a chain with its rules. Nothing may lead to it any more.
    pub fn delete_chain(&mut self, name: &str) {
        let table = self.table;
        self.push(DELCHAIN, 0, |attributes| {
            attributes.text(1, table).text(3, name);
        });
    }

    /// Puts a rule behind those of a chain.
    pub fn rule(&mut self, chain: &str, fill: impl FnOnce(&mut Expressions<'_, '_>)) {
        let table = self.table;
        self.push(NEWRULE, flag::CREATE | flag::APPEND, |attributes| {
            attributes.text(1, table).text(2, chain);
            attributes.nest(4, |list| fill(&mut Expressions(list)));
        });
    }

    /// Makes a set of intervals of keys of `length` bytes. `id` tells it from others of this transaction.
    pub fn interval_set(&mut self, name: &str, length: u32, id: u32) {
        let table = self.table;
        self.push(NEWSET, flag::CREATE, |attributes| {
            attributes.text(1, table).text(2, name).be32(3, SET_INTERVAL).be32(4, 0);
            attributes.be32(5, length).be32(10, id);
        });
    }

    /// Makes a map from keys of `length` bytes to verdicts.
    pub fn verdict_map(&mut self, name: &str, length: u32, id: u32) {
        let table = self.table;
        self.push(NEWSET, flag::CREATE, |attributes| {
            attributes.text(1, table).text(2, name).be32(3, SET_MAP).be32(4, 0);
            attributes.be32(5, length).be32(6, VERDICT_TYPE).be32(7, 0).be32(10, id);
        });
    }

    /// Puts an interval into a set; `end` is the first key behind it, if any key is.
    pub fn add_interval(&mut self, set: &str, first: &[u8], end: Option<&[u8]>) {
        self.elements(NEWSETELEM, set, |list| interval(list, first, end));
    }

    /// Takes an interval out of a set.
    pub fn delete_interval(&mut self, set: &str, first: &[u8], end: Option<&[u8]>) {
        self.elements(DELSETELEM, set, |list| interval(list, first, end));
    }

    /// Puts a key and its verdict into a map.
    pub fn add_verdict(&mut self, map: &str, key: &[u8], verdict: Verdict<'_>) {
        self.elements(NEWSETELEM, map, |list| {
            list.nest(LIST_ELEM, |element| {
                element.nest(1, |data| {
                    data.bytes(DATA_VALUE, key);
                });
                element.nest(2, |data| write_verdict(data, verdict));
            });
        });
    }

    /// Takes a key out of a map.
    pub fn delete_key(&mut self, map: &str, key: &[u8]) {
        self.elements(DELSETELEM, map, |list| {
            list.nest(LIST_ELEM, |element| {
                element.nest(1, |data| {
                    data.bytes(DATA_VALUE, key);
                });
            });
        });
    }

    fn elements(&mut self, kind: u16, set: &str, fill: impl FnOnce(&mut Attributes<'_>)) {
        let table = self.table;
        self.push(kind, if kind == NEWSETELEM { flag::CREATE } else { 0 }, |attributes| {
            attributes.text(1, table).text(2, set).nest(3, fill);
        });
    }
}

fn interval(list: &mut Attributes<'_>, first: &[u8], end: Option<&[u8]>) {
    let mut element = |key: &[u8], flags: u32| {
        list.nest(LIST_ELEM, |element| {
            element.nest(1, |data| {
                data.bytes(DATA_VALUE, key);
            });
            if flags != 0 {
                element.be32(3, flags);
            }
        });
    };
    element(first, 0);
    if let Some(end) = end {
        element(end, INTERVAL_END);
    }
}

fn write_verdict(data: &mut Attributes<'_>, verdict: Verdict<'_>) {
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4i32, Some(chain)),
    };
    data.nest(DATA_VERDICT, |inside| {
        inside.be32(1, code.cast_unsigned());
        if let Some(chain) = chain {
            inside.text(2, chain);
        }
    });
}

/// The expressions of a rule.
#[derive(Debug)]
pub struct Expressions<'a, 'b>(&'a mut Attributes<'b>);

impl Expressions<'_, '_> {
    fn push(&mut self, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.0.nest(LIST_ELEM, |element| {
            element.text(1, name).nest(2, fill);
        });
        self
    }

    /// Loads a field of what surrounds the packet.
    pub fn meta(&mut self, field: Meta) -> &mut Self {
        self.push("meta", |data| {
            data.be32(2, field as u32).be32(1, REGISTER);
        })
    }

    /// Loads bytes of the packet's IP header.
    pub fn network(&mut self, offset: u32, length: u32) -> &mut Self {
        self.payload(1, offset, length)
    }

    /// Loads bytes of what is inside the IP packet.
    pub fn transport(&mut self, offset: u32, length: u32) -> &mut Self {
        self.payload(2, offset, length)
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32) -> &mut Self {
        self.push("payload", |data| {
            data.be32(1, REGISTER).be32(2, base).be32(3, offset).be32(4, length);
        })
    }

    /// Loads the answer to a question about the socket.
    pub fn socket(&mut self, key: SocketKey) -> &mut Self {
        self.push("socket", |data| {
            data.be32(1, key as u32).be32(2, REGISTER);
        })
    }

    /// Goes on only if the comparison with what was loaded holds.
    pub fn is(&mut self, compare: Compare, value: &[u8]) -> &mut Self {
        self.push("cmp", |data| {
            data.be32(1, REGISTER).be32(2, compare as u32).nest(3, |inside| {
                inside.bytes(DATA_VALUE, value);
            });
        })
    }

    /// Keeps of what was loaded only the bits of the mask.
    pub fn mask(&mut self, mask: &[u8]) -> &mut Self {
        let length = u32::try_from(mask.len()).unwrap_or(0);
        let zero = vec![0; mask.len()];
        self.push("bitwise", |data| {
            data.be32(1, REGISTER).be32(2, REGISTER).be32(3, length);
            data.nest(4, |inside| {
                inside.bytes(DATA_VALUE, mask);
            });
            data.nest(5, |inside| {
                inside.bytes(DATA_VALUE, &zero);
            });
        })
    }

    /// Goes on only if what was loaded is in a set.
    pub fn is_in(&mut self, set: &str) -> &mut Self {
        self.push("lookup", |data| {
            data.text(1, set).be32(2, REGISTER);
        })
    }

    /// Takes the verdict that a map has for what was loaded; goes on if it has none.
    pub fn verdict_of(&mut self, map: &str) -> &mut Self {
        self.push("lookup", |data| {
            data.text(1, map).be32(2, REGISTER).be32(3, VERDICT_REGISTER);
        })
    }

    /// Marks the packet.
    pub fn set_mark(&mut self, mark: u32) -> &mut Self {
        self.immediate(&mark.to_ne_bytes());
        self.push("meta", |data| {
            data.be32(2, Meta::Mark as u32).be32(3, REGISTER);
        })
    }

    fn immediate(&mut self, value: &[u8]) -> &mut Self {
        self.push("immediate", |data| {
            data.be32(1, REGISTER).nest(2, |inside| {
                inside.bytes(DATA_VALUE, value);
            });
        })
    }

    /// Hands the packet to the transparent socket of its connection or, if it has none, to the one that
    /// listens at `port`. A packet for which there is neither ends the rule.
    pub fn tproxy(&mut self, port: u16) -> &mut Self {
        self.immediate(&port.to_be_bytes());
        self.push("tproxy", |data| {
            data.be32(1, 0).be32(3, REGISTER);
        })
    }

    /// Refuses the packet.
    pub fn reject(&mut self, how: Reject) -> &mut Self {
        let (kind, code) = match how {
            Reject::Reset => (1, 0),
            Reject::NoRoute => (2, 0),
            Reject::HostUnreachable => (2, 2),
            Reject::Prohibited => (2, 3),
        };
        self.push("reject", |data| {
            data.be32(1, kind);
            data.u8(2, code);
        })
    }

    /// Hands the packet to the program that reads the queue `number`. Without one, it is dropped.
    pub fn queue(&mut self, number: u16) -> &mut Self {
        self.push("queue", |data| {
            data.be16(1, number).be16(2, 1).be16(3, 0);
        })
    }

    /// Does what [`Expressions::queue`] does by the target of iptables: many kernels have only that.
    pub fn queue_by_target(&mut self, number: u16) -> &mut Self {
        let mut info = [0; 8];
        info[..2].copy_from_slice(&number.to_ne_bytes());
        self.push("target", |data| {
            data.text(1, "NFQUEUE").be32(2, 0).bytes(3, &info);
        })
    }

    /// Decides.
    pub fn decide(&mut self, verdict: Verdict<'_>) -> &mut Self {
        self.push("immediate", |data| {
            data.be32(1, VERDICT_REGISTER).nest(2, |inside| write_verdict(inside, verdict));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{attributes, messages};
    use super::*;

    /// An expression: its name and its attributes.
    type Expression = (String, Vec<(u16, Vec<u8>)>);

    fn expressions(fill: impl FnOnce(&mut Expressions<'_, '_>)) -> Vec<Expression> {
        let mut bytes = Vec::new();
        fill(&mut Expressions(&mut Attributes(&mut bytes)));
        attributes(&bytes)
            .map(|(_, element)| {
                let parts: Vec<_> = attributes(element).collect();
                let name = String::from_utf8_lossy(parts[0].1).trim_end_matches('\0').to_owned();
                (name, attributes(parts[1].1).map(|(kind, value)| (kind, value.to_vec())).collect())
            })
            .collect()
    }

    #[test]
    fn expressions_have_the_kernels_shape() {
        let found = expressions(|rule| {
            rule.meta(Meta::Protocol).is(Compare::Equal, &[6]).set_mark(1).decide(Verdict::Goto("ask"));
        });
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["meta", "cmp", "immediate", "meta", "immediate"]);
        assert_eq!(found[0].1, [(2, vec![0, 0, 0, 16]), (1, vec![0, 0, 0, 1])]);
        let (kind, verdict) = &found[4].1[1];
        let inside: Vec<_> = attributes(verdict).map(|(kind, value)| (kind, value.to_vec())).collect();
        assert_eq!((*kind, inside[0].0), (2, DATA_VERDICT));
        let parts: Vec<_> = attributes(&inside[0].1).collect();
        assert_eq!(parts, [(1, &[0xff, 0xff, 0xff, 0xfc][..]), (2, b"ask\0")]);
        let target = expressions(|rule| {
            rule.queue_by_target(0x102);
        });
        assert_eq!(target[0].1[2].1[..2], 0x102u16.to_ne_bytes());
    }

    #[test]
    fn a_transaction_is_enclosed_and_answered_once() {
        let mut socket = Socket::netfilter().unwrap();
        let mut transaction = socket.transaction("test");
        transaction.chain("one");
        transaction.new_table();
        let kinds: Vec<_> =
            messages(&transaction.batch.bytes).map(|message| (message.kind, message.flags & 4)).collect();
        assert_eq!(kinds, [(BEGIN, 0), (NEWCHAIN, 0), (NEWTABLE, 4)]);
        assert!(transaction.batch.is_transaction());
    }
}
