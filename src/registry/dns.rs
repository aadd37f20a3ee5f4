//! DNS messages as far as looking up an address needs them (RFC 1035, section 4; RFC 3596).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name, in its text form.
const NAME_MAX: usize = 253;
const CLASS_IN: u16 = 1;
const TYPE_CNAME: u16 = 5;
/// How many names a chain of aliases may have.
const ALIASES: usize = 16;

/// What is asked about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its IPv4 addresses.
    A,
    /// Its IPv6 addresses.
    Aaaa,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }
}

/// What a server answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The addresses of the name or of what it is an alias of; none if it has none of this kind.
    Addresses(Vec<IpAddr>),
    /// The name is an alias of this one, of which the server says nothing.
    Alias(String),
    /// There is no such name.
    NoName,
    /// The answer did not fit: ask over TCP.
    Truncated,
    /// The server cannot or will not say.
    Failure,
}

/// Writes a query; `None` for a text that is no name.
pub(super) fn query(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    if name.is_empty() || name.len() > NAME_MAX || !name.is_ascii() {
        return None;
    }
    let mut message = Vec::with_capacity(name.len() + 18);
    message.extend(id.to_be_bytes());
    // A query that wants recursion, with one question.
    message.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        message.push(length);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(kind.code().to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    Some(message)
}

/// Reads the answer to `query(id, name, kind)`; `None` for bytes that are not one.
pub(super) fn answer(message: &[u8], id: u16, name: &str, kind: Kind) -> Option<Answer> {
    let mut reader = Reader { message, at: 0 };
    let header_id = reader.number()?;
    let flags = reader.number()?;
    let questions = reader.number()?;
    let answers = reader.number()?;
    let (_authorities, _additional) = (reader.number()?, reader.number()?);
    let is_response = flags & 0x8000 != 0;
    if header_id != id || !is_response || questions != 1 {
        return None;
    }
    let same = |a: &str| a.eq_ignore_ascii_case(name);
    if !same(&reader.name()?) || reader.number()? != kind.code() || reader.number()? != CLASS_IN {
        return None;
    }
    if flags & 0x0200 != 0 {
        return Some(Answer::Truncated);
    }
    match flags & 0x000f {
        0 => {}
        3 => return Some(Answer::NoName),
        _ => return Some(Answer::Failure),
    }

    let mut aliases = Vec::new();
    let mut addresses = Vec::new();
    for _ in 0..answers {
        let owner = reader.name()?;
        let (record, class) = (reader.number()?, reader.number()?);
        let _seconds = (reader.number()?, reader.number()?);
        let length = usize::from(reader.number()?);
        let end = reader.at.checked_add(length)?;
        let data = message.get(reader.at..end)?;
        if class == CLASS_IN && record == TYPE_CNAME {
            aliases.push((owner, Reader { message, at: reader.at }.name()?));
        } else if class == CLASS_IN && record == kind.code() {
            let address = match kind {
                Kind::A => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?)),
                Kind::Aaaa => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?)),
            };
            addresses.push((owner, address));
        }
        reader.at = end;
    }
    Some(follow(name, &aliases, &addresses))
}

/// Follows the chain of aliases from `name` to where there are addresses.
fn follow(name: &str, aliases: &[(String, String)], addresses: &[(String, IpAddr)]) -> Answer {
    let mut current = name;
    for _ in 0..ALIASES {
        let of_current = addresses.iter().filter(|(owner, _)| owner.eq_ignore_ascii_case(current));
        let found: Vec<_> = of_current.map(|(_, address)| *address).collect();
        if !found.is_empty() {
            return Answer::Addresses(found);
        }
        match aliases.iter().find(|(owner, _)| owner.eq_ignore_ascii_case(current)) {
            Some((_, target)) => current = target,
            None if current == name => return Answer::Addresses(Vec::new()),
            None => return Answer::Alias(current.to_owned()),
        }
    }
    Answer::Failure
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn number(&mut self) -> Option<u16> {
        let bytes = self.message.get(self.at..self.at.checked_add(2)?)?;
        self.at += 2;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Reads a name, which may point back to where a part of it has been before. Each jump must go further
    /// back than the last, so that there is an end.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut lowest = at;
        let mut jumped = false;
        loop {
            let length = usize::from(*self.message.get(at)?);
            match length {
                0 => {
                    if !jumped {
                        self.at = at + 1;
                    }
                    return Some(name);
                }
                1..=63 => {
                    let label = self.message.get(at + 1..at + 1 + length)?;
                    if !name.is_empty() {
                        name.push('.');
                    }
                    // A dot or a byte beyond ASCII inside a label never is part of a name we asked for.
                    let plain =
                        |b: &u8| if b.is_ascii_graphic() && *b != b'.' { char::from(*b) } else { '?' };
                    name.extend(label.iter().map(plain));
                    if name.len() > NAME_MAX {
                        return None;
                    }
                    at += 1 + length;
                }
                192.. => {
                    let low = usize::from(*self.message.get(at + 1)?);
                    if !jumped {
                        self.at = at + 2;
                        jumped = true;
                    }
                    let target = (length & 0x3f) << 8 | low;
                    if target >= lowest {
                        return None;
                    }
                    lowest = target;
                    at = target;
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Answers a query with records of `(owner, target or address)`; an owner that is the question's name
    /// is a pointer to it.
    pub(crate) fn reply(query: &[u8], rcode: u8, records: &[(&str, &str)]) -> Vec<u8> {
        let mut message = query.to_vec();
        message[2] = 0x81;
        message[3] = 0x80 | rcode;
        message[7] = u8::try_from(records.len()).unwrap();
        for (owner, data) in records {
            if owner.is_empty() {
                message.extend([0xc0, 12]);
            } else {
                message.extend(encode(owner));
            }
            let (kind, data) = match data.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => (1_u16, address.octets().to_vec()),
                Ok(IpAddr::V6(address)) => (28, address.octets().to_vec()),
                Err(_) => (5, encode(data)),
            };
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(data);
        }
        message
    }

    fn encode(name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend(label.bytes());
        }
        bytes.push(0);
        bytes
    }

    fn ask(records: &[(&str, &str)]) -> Option<Answer> {
        let query = query(7, "Reg.Example", Kind::A).unwrap();
        answer(&reply(&query, 0, records), 7, "reg.example", Kind::A)
    }

    fn addresses(texts: &[&str]) -> Answer {
        Answer::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn reads_addresses_and_follows_aliases() {
        assert_eq!(
            ask(&[("", "192.0.2.1"), ("", "192.0.2.2")]),
            Some(addresses(&["192.0.2.1", "192.0.2.2"]))
        );
        let chain = [("b.example", "c.example"), ("", "b.example"), ("c.example", "192.0.2.3")];
        assert_eq!(ask(&chain), Some(addresses(&["192.0.2.3"])));
        assert_eq!(ask(&[("", "b.example")]), Some(Answer::Alias("b.example".to_owned())));
        assert_eq!(ask(&[]), Some(addresses(&[])));
        // A record of a name that nobody asked about.
        assert_eq!(ask(&[("evil.example", "192.0.2.4")]), Some(addresses(&[])));
        assert_eq!(ask(&[("", "b.example"), ("b.example", "reg.example")]), Some(Answer::Failure));
    }

    #[test]
    fn refuses_answers_to_other_questions() {
        let sent = query(7, "a.example", Kind::A).unwrap();
        let good = reply(&sent, 0, &[("", "192.0.2.1")]);
        assert!(answer(&good, 7, "a.example", Kind::A).is_some());
        assert_eq!(answer(&good, 8, "a.example", Kind::A), None);
        assert_eq!(answer(&good, 7, "b.example", Kind::A), None);
        assert_eq!(answer(&good, 7, "a.example", Kind::Aaaa), None);
        assert_eq!(answer(&sent, 7, "a.example", Kind::A), None);
        assert_eq!(answer(&good[..good.len() - 1], 7, "a.example", Kind::A), None);
        assert_eq!(answer(&reply(&sent, 3, &[]), 7, "a.example", Kind::A), Some(Answer::NoName));
        assert_eq!(answer(&reply(&sent, 2, &[]), 7, "a.example", Kind::A), Some(Answer::Failure));
    }

    #[test]
    fn refuses_what_is_no_name() {
        for name in ["", "a..b", ".a", &"x".repeat(64), &"ab.".repeat(90), "ü.example"] {
            assert_eq!(query(1, name, Kind::A), None, "{name}");
        }
        assert!(query(1, &"x".repeat(63), Kind::A).is_some());
    }

    #[test]
    fn stops_at_pointers_that_go_in_circles() {
        for target in [12_u8, 14, 40] {
            let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
            message.extend([0xc0, target, 0, 1, 0, 1]);
            message.resize(64, 0xc0);
            assert_eq!(answer(&message, 7, "a", Kind::A), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn survives_any_message(mut message in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = answer(&message, 7, "a.b", Kind::A);
            // Past the header and the question, so that the records are read.
            let mut framed = reply(&query(7, "a.b", Kind::A).unwrap(), 0, &[]);
            framed[7] = 3;
            framed.append(&mut message);
            let _ = answer(&framed, 7, "a.b", Kind::A);
        }
    }
}
