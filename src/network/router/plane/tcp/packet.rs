//! The first packet of a connection, read with the distrust that a stranger's bytes deserve.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The two ends of a connection, as its first packet names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The container's.
    pub source: SocketAddr,
    /// The one it asks for.
    pub destination: SocketAddr,
}

/// The protocol number of TCP.
const TCP: u8 = 6;

/// More extension headers than any honest packet has.
const EXTENSIONS: usize = 8;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// What the first packet of a connection says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Between whom the connection is to be.
    pub ends: Ends,
    /// Where the container begins to count its bytes: the same when the packet is sent again, and another one,
    /// chosen at random, for the next connection between these ends.
    pub sequence: u32,
}

/// Reads an IPv4 or IPv6 packet, from its first byte on, that opens a TCP connection. `None` for everything
/// else: other protocols, other TCP packets, fragments, whatever is cut short or contradicts itself.
pub fn parse_opening(packet: &[u8]) -> Option<Opening> {
    let (source, destination, segment) = match packet.first()? >> 4 {
        4 => parse_ipv4(packet)?,
        6 => parse_ipv6(packet)?,
        _ => return None,
    };
    let header: &[u8; 20] = segment.first_chunk()?;
    let data = usize::from(header[12] >> 4) * 4;
    if data < 20 || data > segment.len() || header[13] & (SYN | ACK | RST | FIN) != SYN {
        return None;
    }
    let source = SocketAddr::new(source, u16::from_be_bytes([header[0], header[1]]));
    let destination = SocketAddr::new(destination, u16::from_be_bytes([header[2], header[3]]));
    let sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let ends = Ends { source, destination };
    (source.port() != 0 && destination.port() != 0).then_some(Opening { ends, sequence })
}

fn parse_ipv4(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let start = usize::from(header[0] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    // All but "don't fragment": this is a piece, or others follow.
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if start < 20 || fragment || header[9] != TCP {
        return None;
    }
    let source: [u8; 4] = header[12..16].try_into().ok()?;
    let destination: [u8; 4] = header[16..20].try_into().ok()?;
    Some((Ipv4Addr::from(source).into(), Ipv4Addr::from(destination).into(), packet.get(start..total)?))
}

fn parse_ipv6(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    let header: &[u8; 40] = packet.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let source: [u8; 16] = header[8..24].try_into().ok()?;
    let destination: [u8; 16] = header[24..40].try_into().ok()?;
    let mut next = header[6];
    let mut rest = packet.get(40..40 + length)?;
    for _ in 0..EXTENSIONS {
        match next {
            TCP => {
                return Some((Ipv6Addr::from(source).into(), Ipv6Addr::from(destination).into(), rest));
            }
            // Hop-by-hop options, routing, destination options: a length in units of 8 bytes beyond the first.
            0 | 43 | 60 => {
                let &[after, units] = rest.first_chunk()?;
                next = after;
                rest = rest.get((usize::from(units) + 1) * 8..)?;
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `opening` begins to count at.
    const SEQUENCE: u32 = 0x0102_0304;

    /// Makes the packet that opens a connection between these ends.
    pub(crate) fn opening(ends: &Ends) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(ends.source.port().to_be_bytes());
        tcp.extend(ends.destination.port().to_be_bytes());
        tcp.extend(SEQUENCE.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend([5 << 4, SYN, 255, 255, 0, 0, 0, 0]);
        let mut packet = Vec::new();
        match (ends.source.ip(), ends.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                packet.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, TCP, 0, 0]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                packet.extend([0x60, 0, 0, 0, 0, 20, TCP, 64]);
                packet.extend(source.octets());
                packet.extend(destination.octets());
            }
            _ => panic!("two families"),
        }
        packet.extend(tcp);
        packet
    }

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn reads_both_families() {
        for ends in [
            ends("172.17.0.2:40000", "192.0.2.7:443"),
            ends("[fd00::2]:40000", "[2001:db8::1]:65535"),
            ends("10.0.0.1:1", "255.255.255.255:1"),
        ] {
            assert_eq!(parse_opening(&opening(&ends)), Some(Opening { ends, sequence: SEQUENCE }));
        }
    }

    #[test]
    fn reads_behind_extension_headers() {
        let ends = ends("[fd00::2]:40000", "[2001:db8::1]:80");
        let mut packet = opening(&ends);
        let tcp = packet.split_off(40);
        packet[6] = 0;
        packet[5] = 8 + 16 + 20;
        packet.extend([60, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([TCP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(&tcp);
        assert_eq!(parse_opening(&packet), Some(Opening { ends, sequence: SEQUENCE }));
        // A header that is longer than the packet.
        packet[41] = 255;
        assert_eq!(parse_opening(&packet), None);
    }

    #[test]
    fn refuses_everything_else() {
        let good = opening(&ends("172.17.0.2:40000", "192.0.2.7:443"));
        let with = |at: usize, byte: u8| {
            let mut packet = good.clone();
            packet[at] = byte;
            parse_opening(&packet)
        };
        assert!(with(0, 0x45).is_some());
        assert_eq!(with(0, 0x55), None, "no such version");
        assert_eq!(with(0, 0x44), None, "short header");
        assert_eq!(with(0, 0x4f), None, "header longer than the packet");
        assert_eq!(with(3, 200), None, "total length beyond the packet");
        assert_eq!(with(3, 39), None, "total length within the TCP header");
        assert_eq!(with(6, 0x20), None, "more fragments");
        assert_eq!(with(7, 1), None, "a later fragment");
        assert_eq!(with(9, 17), None, "UDP");
        assert_eq!(with(32, 4 << 4), None, "short TCP header");
        assert_eq!(with(32, 6 << 4), None, "TCP header longer than the packet");
        for flags in [0, ACK, SYN | ACK, SYN | RST, SYN | FIN] {
            assert_eq!(with(33, flags), None, "flags {flags}");
        }
        for length in 0..good.len() {
            assert_eq!(parse_opening(&good[..length]), None, "cut at {length}");
        }
        // What follows the packet is not of it.
        let mut longer = good.clone();
        longer.extend([1, 2, 3]);
        assert!(parse_opening(&longer).is_some());
    }

    proptest! {
        #[test]
        fn survives_anything(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), version in 4_u8..7) {
            if let Some(first) = bytes.first_mut() {
                *first = version << 4 | *first & 15;
            }
            let _ = parse_opening(&bytes);
        }
    }
}
