//! DNS messages as far as a server needs them that knows a few names and passes on the rest (RFC 1035, RFC 3596,
//! RFC 6891, RFC 2308).
//!
//! A query is read just far enough to know what is asked; its question goes into the reply byte for byte, so
//! that the reply spells the name as the asker did.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The header, which every message has.
pub(super) const HEADER: usize = 12;
/// The longest name in its text form.
const NAME_MAX: usize = 253;
/// What a reply over UDP may take if the asker says nothing.
const UDP_SIZE: usize = 512;
/// What we send over UDP at most, whatever the asker says: no asker behind a bridge needs more.
const UDP_SIZE_MAX: usize = 4096;
/// What we say that we take over UDP (RFC 9715).
const OUR_SIZE: u16 = 1232;
const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;
/// How many records besides the question a query may have. One (OPT) is usual, two (TSIG, COOKIE) are thinkable.
const EXTRA_RECORDS: u16 = 8;

/// Types of records.
pub(super) mod kind {
    pub(in super::super) const A: u16 = 1;
    pub(in super::super) const PTR: u16 = 12;
    pub(in super::super) const AAAA: u16 = 28;
    pub(in super::super) const OPT: u16 = 41;
    pub(in super::super) const ANY: u16 = 255;
}

/// Response codes.
pub(super) mod rcode {
    pub(in super::super) const NO_ERROR: u8 = 0;
    pub(in super::super) const FORMAT: u8 = 1;
    pub(in super::super) const SERVER_FAILURE: u8 = 2;
    pub(in super::super) const NO_NAME: u8 = 3;
    pub(in super::super) const NOT_IMPLEMENTED: u8 = 4;
    pub(in super::super) const REFUSED: u8 = 5;
    /// The upper bits of this one are in the OPT record.
    pub(in super::super) const BAD_VERSION: u16 = 16;
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// The number that the reply must have.
    pub(super) id: u16,
    flags: u16,
    /// The name in lower case with no dot at the end; nothing if it has bytes that no name of ours has.
    pub(super) name: Option<String>,
    /// What is asked.
    pub(super) kind: u16,
    /// Whether the class is the internet's.
    pub(super) is_internet: bool,
    /// The question's bytes.
    pub(super) question: Vec<u8>,
    edns: Option<Edns>,
}

/// What the OPT record of a query says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edns {
    size: u16,
    version: u8,
    wants_dnssec: bool,
}

/// Why a message is no query to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It deserves no reply: too short, or a reply itself.
    Silence,
    /// It deserves one with this code.
    Reply {
        /// The number and flags of the query.
        id: u16,
        /// See `id`.
        flags: u16,
        /// The code.
        rcode: u8,
    },
}

impl Query {
    /// Reads a query.
    pub(super) fn parse(message: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader { message, at: 0 };
        if message.len() < HEADER {
            return Err(Unreadable::Silence);
        }
        let [id, flags, questions, answers, authorities, additional] =
            [(); 6].map(|()| reader.number().unwrap_or(0));
        if flags & 0x8000 != 0 {
            return Err(Unreadable::Silence);
        }
        if flags & 0x7800 != 0 {
            return Err(Unreadable::Reply { id, flags, rcode: rcode::NOT_IMPLEMENTED });
        }
        let malformed = Unreadable::Reply { id, flags, rcode: rcode::FORMAT };
        let extra = u32::from(answers) + u32::from(authorities) + u32::from(additional);
        if questions != 1 || extra > u32::from(EXTRA_RECORDS) {
            return Err(malformed);
        }
        let (name, kind, class) = reader.question().ok_or(malformed)?;
        let question = message[HEADER..reader.at].to_vec();
        let mut edns = None;
        for _ in 0..extra {
            let record = reader.record().ok_or(malformed)?;
            if record.kind == kind::OPT {
                if edns.is_some() || !record.owner_is_root {
                    return Err(malformed);
                }
                let [_, version, flags, _] = record.seconds.to_be_bytes();
                edns = Some(Edns { size: record.class, version, wants_dnssec: flags & 0x80 != 0 });
            }
        }
        let is_internet = class == CLASS_IN || class == CLASS_ANY;
        Ok(Self { id, flags, name, kind, is_internet, question, edns })
    }

    /// Tells whether the asker speaks a version of EDNS that nobody has defined.
    pub(super) fn has_strange_version(&self) -> bool {
        self.edns.is_some_and(|edns| edns.version > 0)
    }

    /// Returns the length of the longest reply over UDP.
    pub(super) fn udp_size(&self) -> usize {
        self.edns.map_or(UDP_SIZE, |edns| usize::from(edns.size).clamp(UDP_SIZE, UDP_SIZE_MAX))
    }

    /// Returns the reply with these records of the question's name, none longer than `most` bytes.
    pub(super) fn reply(&self, rcode: u8, records: &[Record], most: usize) -> Vec<u8> {
        let reserve = if self.edns.is_some() { 11 } else { 0 };
        // A response that is authoritative if it is about a name of ours, and knows of recursion.
        let authoritative = if rcode == rcode::NO_ERROR || rcode == rcode::NO_NAME { 0x0400 } else { 0 };
        let kept = self.flags & 0x0110;
        let mut flags = 0x8080 | authoritative | kept | u16::from(rcode);
        let mut message = Vec::with_capacity(HEADER + self.question.len() + 28 * records.len() + reserve);
        for word in [self.id, flags, 1, 0, 0, u16::from(self.edns.is_some())] {
            message.extend(word.to_be_bytes());
        }
        message.extend(&self.question);
        let mut count: u16 = 0;
        for record in records {
            let before = message.len();
            record.write(&mut message);
            if message.len() + reserve > most {
                message.truncate(before);
                flags |= 0x0200;
                break;
            }
            count = count.saturating_add(1);
        }
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[6..8].copy_from_slice(&count.to_be_bytes());
        if let Some(edns) = self.edns {
            // The root as owner; our size as class; the upper bits of the code, the version and the flags as
            // time to live; no options, whatever came.
            let upper = if self.has_strange_version() {
                u8::try_from(rcode::BAD_VERSION >> 4).unwrap_or(1)
            } else {
                0
            };
            let dnssec = if edns.wants_dnssec { 0x80 } else { 0 };
            message.push(0);
            message.extend(kind::OPT.to_be_bytes());
            message.extend(OUR_SIZE.to_be_bytes());
            message.extend([upper, 0, dnssec, 0, 0, 0]);
        }
        message
    }

    /// Returns the reply that says nothing but a code.
    pub(super) fn fail(&self, rcode: u8) -> Vec<u8> {
        self.reply(rcode, &[], usize::MAX)
    }
}

/// Returns the reply to a message whose question cannot be read.
pub(super) fn fail(id: u16, flags: u16, rcode: u8) -> Vec<u8> {
    let flags = 0x8080 | (flags & 0x7900) | u16::from(rcode);
    [id, flags, 0, 0, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// What we know about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// An address.
    Address(IpAddr),
    /// The name of an address.
    Name(String),
}

/// How long the asker may keep what we said, in seconds; Docker's value.
const SECONDS: u32 = 600;

impl Record {
    fn write(&self, message: &mut Vec<u8>) {
        let (kind, data) = match self {
            Self::Address(IpAddr::V4(address)) => (kind::A, address.octets().to_vec()),
            Self::Address(IpAddr::V6(address)) => (kind::AAAA, address.octets().to_vec()),
            Self::Name(name) => (kind::PTR, encode(name)),
        };
        // The owner is a pointer to the question's name.
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        message.extend(SECONDS.to_be_bytes());
        message.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        message.extend(data);
    }
}

/// Writes a name; labels that no name can have are left out.
fn encode(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).unwrap_or(0);
        if (1..=63).contains(&length) && bytes.len() + label.len() < NAME_MAX {
            bytes.push(length);
            bytes.extend(label.bytes());
        }
    }
    bytes.push(0);
    bytes
}

/// What another server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The code.
    pub(super) rcode: u8,
}

/// Reads a reply as far as is needed to know that it is one to `question`, asked with `id`.
pub(super) fn verdict(message: &[u8], id: u16, question: &[u8]) -> Option<Verdict> {
    let mut reader = Reader { message, at: 0 };
    let (given, flags, questions) = (reader.number()?, reader.number()?, reader.number()?);
    let is_response = flags & 0xf800 == 0x8000;
    if given != id || !is_response || message.len() < HEADER {
        return None;
    }
    let rcode = u8::try_from(flags & 0x000f).ok()?;
    // Some servers leave out the question when they refuse.
    let is_refusal = questions == 0 && rcode != rcode::NO_ERROR && rcode != rcode::NO_NAME;
    let same = message.get(HEADER..HEADER + question.len())?;
    // Letters may come back in another case; lengths of labels are below all letters.
    if !is_refusal && (questions != 1 || !same.eq_ignore_ascii_case(question)) {
        return None;
    }
    Some(Verdict { rcode })
}

/// Reads the address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
pub(super) fn address_of(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut labels = digits.split('.');
        for octet in octets.iter_mut().rev() {
            let label = labels.next()?;
            *octet = label.parse().ok().filter(|_| label.bytes().all(|byte| byte.is_ascii_digit()))?;
        }
        return labels.next().is_none().then(|| Ipv4Addr::from(octets).into());
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0;
    for label in digits.rsplit('.') {
        let digit = u8::from_str_radix(label, 16).ok().filter(|_| label.len() == 1 && label != "+")?;
        bits = bits << 4 | u128::from(digit);
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from(bits).into())
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

/// A record as far as anybody looks.
struct Read {
    owner_is_root: bool,
    kind: u16,
    class: u16,
    seconds: u32,
}

impl Reader<'_> {
    fn number(&mut self) -> Option<u16> {
        let bytes = self.message.get(self.at..self.at.checked_add(2)?)?;
        self.at += 2;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Reads a question. Its name is the message's first, so it can point at nothing.
    fn question(&mut self) -> Option<(Option<String>, u16, u16)> {
        let mut name = Some(String::new());
        let start = self.at;
        loop {
            let length = usize::from(*self.message.get(self.at)?);
            self.at += 1;
            match length {
                0 => break,
                1..=63 => {}
                _ => return None,
            }
            let label = self.message.get(self.at..self.at + length)?;
            self.at += length;
            // With the lengths and the root, a name takes at most 255 bytes.
            if self.at - start > 254 {
                return None;
            }
            let is_plain = label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
            name = name.filter(|_| is_plain).map(|mut name| {
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                name
            });
        }
        Some((name, self.number()?, self.number()?))
    }

    /// Skips a record. Its owner may end in a pointer, which is not followed.
    fn record(&mut self) -> Option<Read> {
        let start = self.at;
        loop {
            let length = usize::from(*self.message.get(self.at)?);
            self.at += 1;
            match length {
                0 => break,
                1..=63 => self.at += length,
                192.. => {
                    self.at += 1;
                    break;
                }
                _ => return None,
            }
        }
        let owner_is_root = self.at == start + 1;
        let (kind, class) = (self.number()?, self.number()?);
        let seconds = u32::from(self.number()?) << 16 | u32::from(self.number()?);
        let length = usize::from(self.number()?);
        self.at += length;
        (self.at <= self.message.len()).then_some(Read { owner_is_root, kind, class, seconds })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A query with recursion wished, and an OPT record if `size` is given.
    pub(in super::super) fn query(id: u16, name: &str, kind: u16, size: Option<u16>) -> Vec<u8> {
        let mut message = Vec::new();
        for word in [id, 0x0100, 1, 0, 0, u16::from(size.is_some())] {
            message.extend(word.to_be_bytes());
        }
        message.extend(encode(name));
        message.extend(kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        if let Some(size) = size {
            message.push(0);
            message.extend(kind::OPT.to_be_bytes());
            message.extend(size.to_be_bytes());
            // A cookie, which we do not know.
            message.extend([0, 0, 0x80, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
        }
        message
    }

    fn address(text: &str) -> Record {
        Record::Address(text.parse().unwrap())
    }

    #[test]
    fn keeps_the_spelling_of_the_asker() {
        let message = query(0xbeef, "wEb.eXample", kind::A, None);
        let query = Query::parse(&message).unwrap();
        assert_eq!((query.name.as_deref(), query.kind, query.id), (Some("web.example"), kind::A, 0xbeef));
        let reply = query.reply(rcode::NO_ERROR, &[address("10.0.0.1")], 512);
        assert_eq!(&reply[..12], &[0xbe, 0xef, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(&reply[12..message.len()], &message[12..]);
        assert_eq!(&reply[message.len()..], &[0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 0x58, 0, 4, 10, 0, 0, 1]);
        assert_eq!(verdict(&reply, 0xbeef, &query.question), Some(Verdict { rcode: 0 }));
    }

    #[test]
    fn answers_edns_without_its_options() {
        let query = Query::parse(&query(1, "web", kind::AAAA, Some(1400))).unwrap();
        assert_eq!(query.udp_size(), 1400);
        let reply = query.reply(rcode::NO_ERROR, &[address("fd00::1")], 1400);
        assert_eq!(&reply[10..12], &[0, 1]);
        assert_eq!(&reply[reply.len() - 11..], &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
        for (said, meant) in [(0, 512), (100, 512), (65535, 4096)] {
            let query = Query::parse(&super::tests::query(1, "web", kind::A, Some(said))).unwrap();
            assert_eq!(query.udp_size(), meant);
        }
    }

    #[test]
    fn says_when_a_reply_is_cut() {
        let records: Vec<_> =
            (0..200_u8).map(|n| Record::Address(Ipv4Addr::new(10, 0, 0, n).into())).collect();
        for size in [None, Some(1000)] {
            let query = Query::parse(&query(1, "web", kind::A, size)).unwrap();
            let reply = query.reply(rcode::NO_ERROR, &records, query.udp_size());
            assert!(reply.len() <= query.udp_size() && reply.len() > query.udp_size() - 16);
            assert_eq!(reply[2] & 2, 2);
            let whole = query.reply(rcode::NO_ERROR, &records, 65535);
            assert_eq!((whole[2] & 2, u16::from_be_bytes([whole[6], whole[7]])), (0, 200));
        }
    }

    #[test]
    fn refuses_what_is_no_query() {
        let good = query(7, "web", kind::A, Some(1232));
        assert_eq!(Query::parse(&good[..11]), Err(Unreadable::Silence));
        let mut reply = good.clone();
        reply[2] = 0x81;
        assert_eq!(Query::parse(&reply), Err(Unreadable::Silence));
        let code = |message: &[u8]| match Query::parse(message) {
            Err(Unreadable::Reply { id: 7, rcode, .. }) => Some(rcode),
            _ => None,
        };
        let mut update = good.clone();
        update[2] = 0x28;
        assert_eq!(code(&update), Some(rcode::NOT_IMPLEMENTED));
        for (at, value) in [(5, 0), (5, 2), (12, 0xc0), (12, 70), (11, 2), (9, 200)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(code(&bad), Some(rcode::FORMAT), "{at} {value}");
        }
        assert_eq!(code(&good[..good.len() - 1]), Some(rcode::FORMAT));
        let mut long = good[..12].to_vec();
        long[11] = 0;
        for _ in 0..70 {
            long.extend([3, b'a', b'b', b'c']);
        }
        long.extend([0, 0, 1, 0, 1]);
        assert_eq!(code(&long), Some(rcode::FORMAT));
        assert_eq!(fail(7, 0x0100, rcode::FORMAT), [0, 7, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn strange_names_are_nobodys() {
        let mut message = query(7, "wxb", kind::A, None);
        message[14] = b'.';
        assert_eq!(Query::parse(&message).unwrap().name, None);
        message[14] = 0xff;
        assert_eq!(Query::parse(&message).unwrap().name, None);
    }

    #[test]
    fn believes_replies_to_the_question_only() {
        let message = query(7, "a.example", kind::A, None);
        let asked = Query::parse(&message).unwrap();
        let mut reply = asked.fail(rcode::NO_NAME);
        assert_eq!(verdict(&reply, 7, &asked.question), Some(Verdict { rcode: 3 }));
        assert_eq!(verdict(&reply, 8, &asked.question), None);
        assert_eq!(verdict(&message, 7, &asked.question), None);
        let other = Query::parse(&query(7, "b.example", kind::A, None)).unwrap();
        assert_eq!(verdict(&reply, 7, &other.question), None);
        reply[13] = b'A';
        assert!(verdict(&reply, 7, &asked.question).is_some());
    }

    #[test]
    fn reads_names_of_addresses() {
        let four = "4.3.18.172.in-addr.arpa";
        assert_eq!(address_of(four), Some("172.18.3.4".parse().unwrap()));
        let six = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.f.e.d.f.ip6.arpa";
        assert_eq!(address_of(six), Some("fdef::1".parse().unwrap()));
        for bad in [
            "in-addr.arpa",
            "1.2.3.in-addr.arpa",
            "5.4.3.2.1.in-addr.arpa",
            "+4.3.2.1.in-addr.arpa",
            "1.ip6.arpa",
        ] {
            assert_eq!(address_of(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn survives_any_message(message in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = Query::parse(&message);
            let _ = verdict(&message, 7, &message);
            // Past the header, so that names and records are read.
            let mut framed = vec![0, 7, 1, 0, 0, 1, 0, 1, 0, 1, 0, 1];
            framed.extend(&message);
            if let Ok(query) = Query::parse(&framed) {
                let reply = query.reply(0, &[Record::Name("a.b".to_owned())], query.udp_size());
                proptest::prop_assert!(verdict(&reply, 7, &query.question).is_some());
            }
        }

        #[test]
        fn survives_any_name(name in "\\PC{0,40}(\\.in-addr|\\.ip6)?(\\.arpa)?") {
            let _ = address_of(&name);
            let _ = encode(&name);
        }
    }
}
