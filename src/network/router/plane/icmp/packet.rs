//! ICMP packets read and built by hand (RFC 792, RFC 4443, RFC 4884's limits): what containers ask with, and
//! what they get from a raw socket in `R`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const HEADER_V4: usize = 20;
const HEADER_V6: usize = 40;
const ICMP: u8 = 1;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const ICMP_V6: u8 = 58;
/// How much of a packet an error quotes: what fits the packets that every link carries.
const QUOTE_V4: usize = 576 - HEADER_V4 - 8;
const QUOTE_V6: usize = 1280 - HEADER_V6 - 8;
/// Hops for what we send in our own name.
const HOPS: u8 = 64;

/// An echo request as a container sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct EchoRequest<'a> {
    /// Who sent it.
    pub(in super::super) from: IpAddr,
    /// Whom it shall reach.
    pub(in super::super) to: IpAddr,
    /// The hops it may still take.
    pub(in super::super) hops: u8,
    /// The number of the asking program.
    pub(in super::super) id: u16,
    /// The number of the request.
    pub(in super::super) sequence: u16,
    /// What shall come back.
    pub(in super::super) payload: &'a [u8],
}

impl<'a> EchoRequest<'a> {
    /// Reads a whole packet, its IP header first.
    pub(in super::super) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (from, to, hops, icmp, request) = match packet.first()? >> 4 {
            4 => {
                let header = usize::from(packet[0] & 0x0f) * 4;
                let length = usize::from(word(packet, 2)?);
                let is_fragment = word(packet, 6)? & 0x3fff != 0;
                if header < HEADER_V4 || is_fragment || *packet.get(9)? != ICMP {
                    return None;
                }
                let icmp = packet.get(header..length.min(packet.len()))?;
                (v4(packet, 12)?, v4(packet, 16)?, packet[8], icmp, 8)
            }
            6 => {
                let length = HEADER_V6 + usize::from(word(packet, 4)?);
                if *packet.get(6)? != ICMP_V6 {
                    return None;
                }
                let icmp = packet.get(HEADER_V6..length.min(packet.len()))?;
                (v6(packet, 8)?, v6(packet, 24)?, packet[7], icmp, 128)
            }
            _ => return None,
        };
        if icmp.len() < 8 || icmp[0] != request || icmp[1] != 0 {
            return None;
        }
        Some(Self { from, to, hops, id: word(icmp, 4)?, sequence: word(icmp, 6)?, payload: &icmp[8..] })
    }

    /// Returns the message for a ping socket, which puts in its own number and the checksum.
    pub(in super::super) fn message_header(&self) -> [u8; 8] {
        let [high, low] = self.sequence.to_be_bytes();
        [if self.to.is_ipv4() { 8 } else { 128 }, 0, 0, 0, 0, 0, high, low]
    }
}

/// Returns the packets, each at most `mtu` long, of the answer to an echo request.
pub(in super::super) fn echo_reply(
    request: &EchoRequest<'_>,
    hops: u8,
    mtu: usize,
    ident: u32,
) -> Vec<Vec<u8>> {
    let mut message = Vec::with_capacity(8 + request.payload.len());
    message.extend([if request.to.is_ipv4() { 0 } else { 129 }, 0, 0, 0]);
    message.extend(request.id.to_be_bytes());
    message.extend(request.sequence.to_be_bytes());
    message.extend(request.payload);
    packets(request.to, request.from, hops, message, mtu, ident)
}

/// What is wrong with a packet, as ICMP says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Trouble {
    /// The type of the message, in the family of the packet.
    pub(in super::super) kind: u8,
    /// Its code.
    pub(in super::super) code: u8,
    /// Its second word, such as the greatest packet.
    pub(in super::super) info: u32,
}

impl Trouble {
    /// Returns what a failed `connect` or `send` to `to` means.
    pub(in super::super) fn of_errno(errno: i32, to: IpAddr) -> Option<Self> {
        let (four, six) = match errno {
            libc::ECONNREFUSED => (3, 4),
            libc::ENETUNREACH | libc::ENETDOWN => (0, 0),
            libc::EHOSTUNREACH | libc::EHOSTDOWN | libc::EADDRNOTAVAIL => (1, 3),
            libc::EACCES | libc::EPERM => (13, 1),
            _ => return None,
        };
        Some(if to.is_ipv4() {
            Self { kind: 3, code: four, info: 0 }
        } else {
            Self { kind: 1, code: six, info: 0 }
        })
    }

    /// Tells whether ICMP has such an error, which may be passed on to a container. That a packet was too long for
    /// the way is none: ours are cut.
    pub(in super::super) fn is_error(self, to: IpAddr) -> bool {
        match (to.is_ipv4(), self.kind, self.code) {
            (true, 3, 4) | (false, 2, _) => false,
            (true, kind, _) => matches!(kind, 3 | 11 | 12),
            (false, kind, _) => (1..=4).contains(&kind),
        }
    }

    /// Returns the packet in which `from` tells the sender of `original`, an IP packet or its beginning.
    pub(in super::super) fn packet(self, from: IpAddr, original: &[u8]) -> Option<Vec<u8>> {
        let (to, most) = match original.first()? >> 4 {
            4 => (v4(original, 12)?, QUOTE_V4),
            6 => (v6(original, 8)?, QUOTE_V6),
            _ => return None,
        };
        if to.is_ipv4() != from.is_ipv4() {
            return None;
        }
        let mut message = vec![self.kind, self.code, 0, 0];
        message.extend(self.info.to_be_bytes());
        message.extend(&original[..original.len().min(most)]);
        packets(from, to, HOPS, message, usize::MAX, 0).pop()
    }
}

/// Returns the beginning of a packet that carried a datagram of `length` bytes, which begin with `payload`.
pub(in super::super) fn udp_packet(
    from: SocketAddr,
    to: SocketAddr,
    length: usize,
    payload: &[u8],
) -> Vec<u8> {
    let length = u16::try_from(length + 8).unwrap_or(u16::MAX);
    let mut packet = ip_header(from.ip(), to.ip(), UDP, HOPS, usize::from(length), 1, 0);
    for word in [from.port(), to.port(), length, 0] {
        packet.extend(word.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

/// Returns the beginning of a packet that carried an echo request.
pub(in super::super) fn echo_packet(request: &EchoRequest<'_>) -> Vec<u8> {
    let protocol = if request.to.is_ipv4() { ICMP } else { ICMP_V6 };
    let length = 8 + request.payload.len();
    let mut packet = ip_header(request.from, request.to, protocol, HOPS, length, 1, 0);
    let mut message = request.message_header();
    message[4..6].copy_from_slice(&request.id.to_be_bytes());
    packet.extend(message);
    packet.extend(request.payload);
    packet
}

/// Wraps an ICMP message whose checksum is still missing, in fragments where it is too long.
fn packets(from: IpAddr, to: IpAddr, hops: u8, mut message: Vec<u8>, mtu: usize, ident: u32) -> Vec<Vec<u8>> {
    let protocol = if to.is_ipv4() { ICMP } else { ICMP_V6 };
    let mut sum = Sum::default();
    if let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) {
        sum.add(&from.octets());
        sum.add(&to.octets());
        sum.add(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
        sum.add(&u32::from(ICMP_V6).to_be_bytes());
    }
    sum.add(&message);
    message[2..4].copy_from_slice(&sum.finish().to_be_bytes());

    let header = if to.is_ipv4() { HEADER_V4 } else { HEADER_V6 };
    if header + message.len() <= mtu {
        let mut packet = ip_header(from, to, protocol, hops, message.len(), ident, 0);
        packet.extend(message);
        return vec![packet];
    }
    let extra = if to.is_ipv4() { 0 } else { 8 };
    let room = (mtu.saturating_sub(header + extra) / 8 * 8).max(8);
    let mut packets = Vec::new();
    for (index, part) in message.chunks(room).enumerate() {
        let offset = u16::try_from(index * room / 8).unwrap_or(u16::MAX);
        let has_more = (index + 1) * room < message.len();
        let mut packet = if to.is_ipv4() {
            let flags = offset | if has_more { 0x2000 } else { 0 };
            ip_header(from, to, protocol, hops, part.len(), ident, flags)
        } else {
            let mut packet = ip_header(from, to, FRAGMENT, hops, part.len() + extra, 0, 0);
            packet.extend([protocol, 0]);
            packet.extend((offset << 3 | u16::from(has_more)).to_be_bytes());
            packet.extend(ident.to_be_bytes());
            packet
        };
        packet.extend(part);
        packets.push(packet);
    }
    packets
}

fn ip_header(
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    hops: u8,
    length: usize,
    ident: u32,
    fragment: u16,
) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER_V6 + 8 + length.min(2048));
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet.extend([0x45, 0]);
            packet.extend(u16::try_from(HEADER_V4 + length).unwrap_or(u16::MAX).to_be_bytes());
            let [_, _, high, low] = ident.to_be_bytes();
            packet.extend([high, low]);
            packet.extend(fragment.to_be_bytes());
            packet.extend([hops, protocol, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            let mut sum = Sum::default();
            sum.add(&packet);
            packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        }
        (from, to) => {
            let octets = |address| match address {
                IpAddr::V6(address) => address,
                IpAddr::V4(address) => address.to_ipv6_mapped(),
            };
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
            packet.extend([protocol, hops]);
            packet.extend(octets(from).octets());
            packet.extend(octets(to).octets());
        }
    }
    packet
}

/// The internet checksum (RFC 1071).
#[derive(Default)]
struct Sum(u64);

impl Sum {
    /// Adds bytes; all but the last ones must be of even number.
    fn add(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(2);
        for word in &mut words {
            self.0 += u64::from(u16::from_be_bytes([word[0], word[1]]));
        }
        if let [last] = words.remainder() {
            self.0 += u64::from(*last) << 8;
        }
    }

    fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(0)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn v4(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets).into())
}

fn v6(bytes: &[u8], at: usize) -> Option<IpAddr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(Ipv6Addr::from(octets).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(from: &str, to: &str, payload: &'a [u8]) -> EchoRequest<'a> {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        EchoRequest { from, to, hops: 64, id: 0x1234, sequence: 7, payload }
    }

    fn is_sound(bytes: &[u8]) -> bool {
        let mut sum = Sum::default();
        sum.add(bytes);
        sum.finish() == 0
    }

    /// Checks an ICMP message with the pseudo header that version 6 adds.
    fn is_sound_v6(packet: &[u8]) -> bool {
        let mut bytes = packet[8..40].to_vec();
        bytes.extend(u32::try_from(packet.len() - 40).unwrap().to_be_bytes());
        bytes.extend([0, 0, 0, ICMP_V6]);
        bytes.extend(&packet[40..]);
        is_sound(&bytes)
    }

    #[test]
    fn reads_what_it_quotes() {
        for (from, to) in [("10.0.0.2", "192.0.2.1"), ("fd00::2", "2001:db8::1")] {
            let request = request(from, to, b"payload");
            assert_eq!(EchoRequest::parse(&echo_packet(&request)), Some(request));
        }
        let mut packet = echo_packet(&request("10.0.0.2", "192.0.2.1", b"payload"));
        packet[6] = 0x20;
        assert_eq!(EchoRequest::parse(&packet), None);
        packet[6] = 0x40;
        assert!(EchoRequest::parse(&packet).is_some());
        packet[20] = 0;
        assert_eq!(EchoRequest::parse(&packet), None);
    }

    #[test]
    fn replies_with_the_same_numbers() {
        let packets = echo_reply(&request("10.0.0.2", "192.0.2.1", b"abc"), 50, 1500, 9);
        let [packet] = &packets[..] else { panic!("one packet") };
        assert!(is_sound(&packet[..20]) && is_sound(&packet[20..]));
        assert_eq!((packet[8], &packet[12..20]), (50, &[192, 0, 2, 1, 10, 0, 0, 2][..]));
        assert_eq!(&packet[20..22], &[0, 0]);
        assert_eq!(&packet[24..], b"\x12\x34\x00\x07abc");
        let packets = echo_reply(&request("fd00::2", "2001:db8::1", b"abc"), 50, 1500, 9);
        assert_eq!((packets[0][40], packets[0][7]), (129, 50));
        assert!(is_sound_v6(&packets[0]));
    }

    #[test]
    fn cuts_long_replies() {
        let payload: Vec<u8> = (0..=255).cycle().take(65507).collect();
        for (from, to, header) in [("10.0.0.2", "192.0.2.1", 20), ("fd00::2", "2001:db8::1", 48)] {
            let packets = echo_reply(&request(from, to, &payload), 64, 65520, 9);
            assert_eq!(packets.len(), 2);
            assert!(packets.iter().all(|packet| packet.len() <= 65520));
            let whole: Vec<u8> = packets.iter().flat_map(|packet| &packet[header..]).copied().collect();
            assert_eq!(&whole[8..], payload);
            let first = (packets[0].len() - header) / 8;
            let offset = |packet: &[u8]| {
                if header == 20 { word(packet, 6).unwrap() & 0x1fff } else { word(packet, 42).unwrap() >> 3 }
            };
            assert_eq!((offset(&packets[0]), usize::from(offset(&packets[1]))), (0, first));
        }
    }

    #[test]
    fn errors_quote_the_packet() {
        let (from, to) = ("10.0.0.2:5000".parse().unwrap(), "192.0.2.1:53".parse().unwrap());
        let original = udp_packet(from, to, 2000, &[7; 600]);
        assert_eq!(word(&original, 24), Some(2008));
        let trouble = Trouble::of_errno(libc::ECONNREFUSED, to.ip()).unwrap();
        let packet = trouble.packet(to.ip(), &original).unwrap();
        assert!(is_sound(&packet[..20]) && is_sound(&packet[20..]));
        assert_eq!((&packet[16..20], &packet[20..22]), (&[10, 0, 0, 2][..], &[3, 3][..]));
        assert_eq!((packet.len(), &packet[28..56]), (576, &original[..28]));
        let (from, to) = ("[fd00::2]:5000".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap());
        let packet = Trouble::of_errno(libc::ENETUNREACH, "::".parse().unwrap()).unwrap();
        let packet = packet.packet("fd00::1".parse().unwrap(), &udp_packet(from, to, 3, b"abc")).unwrap();
        assert_eq!(&packet[40..42], &[1, 0]);
        assert!(is_sound_v6(&packet));
        assert_eq!(trouble.packet("fd00::1".parse().unwrap(), &original), None);
        assert_eq!(Trouble::of_errno(libc::EAGAIN, to.ip()), None);
    }

    proptest::proptest! {
        #[test]
        fn survives_any_packet(mut packet in proptest::collection::vec(proptest::num::u8::ANY, 0..120), six: bool) {
            if let Some(first) = packet.first_mut() {
                *first = if six { 0x60 } else { 0x40 | (*first & 0x0f) };
            }
            if let Some(request) = EchoRequest::parse(&packet) {
                proptest::prop_assert!(!echo_reply(&request, 1, 100, 1).is_empty());
            }
            let trouble = Trouble { kind: 3, code: 3, info: 0 };
            let _ = trouble.packet(Ipv4Addr::LOCALHOST.into(), &packet);
            let _ = trouble.packet(Ipv6Addr::LOCALHOST.into(), &packet);
        }
    }
}
