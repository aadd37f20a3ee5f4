//! Datagrams in batches, and what the kernel says beside them (recvmmsg(2), sendmmsg(2), ip(7), ipv6(7),
//! udp(7)).
//!
//! Addresses and control messages are read and written as bytes, in the kernel's layout, so that the only
//! unsafe things here are the calls themselves.
#![allow(unsafe_code)]
// Lengths in message headers are of different types in different C libraries.
#![allow(clippy::unnecessary_cast)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use libc::{c_int, c_void};

use super::inet::Family;

/// The length of the longest datagram.
pub const DATAGRAM: usize = 65536;
/// How many datagrams one call moves at most.
pub const BATCH: usize = 32;
/// A page of the architectures we know, or several.
const PAGE: usize = 65536;
/// What a `cmsghdr` takes, and to what its contents are aligned.
const HEADER: usize = size_of::<libc::cmsghdr>();
const WORD: usize = size_of::<usize>();
/// Room for all control messages that are asked for here.
const CONTROL: usize = 256;
/// Room for a `sockaddr_in6`.
const NAME: usize = 28;

/// What a socket can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Say at which of this machine's addresses a packet came in.
    LocalAddress,
    /// Keep what ICMP says about packets sent, for [`take_error`].
    Errors,
    /// Say with how many hops left a packet came in.
    Hops,
    /// Take many datagrams of one sender at once.
    Coalesce,
    /// Cut packets too long for the way into fragments, and never believe that a way has grown narrow.
    Fragment,
    /// Speak version 6 only.
    OnlyV6,
}

/// Asks a socket of this family for something.
pub fn ask(socket: impl AsFd, family: Family, wish: Wish) -> io::Result<()> {
    use Family::{V4, V6};
    let (level, name, value) = match (wish, family) {
        (Wish::LocalAddress, V4) => (libc::SOL_IP, libc::IP_PKTINFO, 1),
        (Wish::LocalAddress, V6) => (libc::SOL_IPV6, libc::IPV6_RECVPKTINFO, 1),
        (Wish::Errors, V4) => (libc::SOL_IP, libc::IP_RECVERR, 1),
        (Wish::Errors, V6) => (libc::SOL_IPV6, libc::IPV6_RECVERR, 1),
        (Wish::Hops, V4) => (libc::SOL_IP, libc::IP_RECVTTL, 1),
        (Wish::Hops, V6) => (libc::SOL_IPV6, libc::IPV6_RECVHOPLIMIT, 1),
        (Wish::Coalesce, _) => (libc::SOL_UDP, libc::UDP_GRO, 1),
        (Wish::Fragment, V4) => (libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
        (Wish::Fragment, V6) => (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
        (Wish::OnlyV6, _) => (libc::SOL_IPV6, libc::IPV6_V6ONLY, 1),
    };
    let value: c_int = value;
    // SAFETY: setsockopt(2) reads the four bytes of `value`, which lives during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast::<c_void>(),
            socklen(size_of::<c_int>()),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What came with a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// How many bytes there are.
    pub length: usize,
    /// Where they are from.
    pub from: SocketAddr,
    /// Where they were going ([`super::inet::set_receive_original_destination`]).
    pub destination: Option<SocketAddr>,
    /// The address of this machine that they came to ([`Wish::LocalAddress`]).
    pub local: Option<IpAddr>,
    /// The hops left ([`Wish::Hops`]).
    pub hops: Option<u8>,
    /// If the bytes are several datagrams, the length of each but the last ([`Wish::Coalesce`]).
    pub segment: Option<u16>,
    /// The rest of the datagram did not fit and is lost.
    pub truncated: bool,
}

const NOTHING: Meta = Meta {
    length: 0,
    from: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    destination: None,
    local: None,
    hops: None,
    segment: None,
    truncated: false,
};

/// Room for a batch of datagrams. Pages of it that were never needed take no memory.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    metas: [Meta; BATCH],
    count: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        // Zeroed memory of this size comes straight from the kernel, untouched.
        Self { bytes: vec![0; BATCH * DATAGRAM], metas: [NOTHING; BATCH], count: 0 }
    }
}

impl Inbox {
    /// Receives what is there, without waiting; returns how many datagrams.
    pub fn receive(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        self.count = 0;
        let most = most.clamp(1, BATCH);
        let mut names = [[0_u8; NAME]; BATCH];
        let mut controls = [Control::default(); BATCH];
        let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        let mut headers = [EMPTY; BATCH];
        for (index, slot) in self.bytes.chunks_exact_mut(DATAGRAM).enumerate().take(most) {
            parts[index] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
            let header = &mut headers[index].msg_hdr;
            header.msg_name = names[index].as_mut_ptr().cast();
            header.msg_namelen = socklen(NAME);
            header.msg_iov = &raw mut parts[index];
            header.msg_iovlen = 1;
            header.msg_control = controls[index].0.as_mut_ptr().cast();
            // The type of this member differs between C libraries.
            header.msg_controllen = CONTROL as _;
        }
        // SAFETY: the first `most` headers point at buffers of the lengths they state, which live here and in
        // `self` and are written by nobody else during the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                u32::try_from(most).unwrap_or(1),
                (libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) as _,
                ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            return Err(io::Error::last_os_error());
        };
        for index in 0..count {
            let header = &headers[index];
            let name_length = usize::try_from(header.msg_hdr.msg_namelen).unwrap_or(0);
            let mut meta = Meta {
                length: usize::try_from(header.msg_len).unwrap_or(0).min(DATAGRAM),
                from: decode(&names[index][..name_length.min(NAME)]).unwrap_or(NOTHING.from),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                ..NOTHING
            };
            let length = (header.msg_hdr.msg_controllen as usize).min(CONTROL);
            read_control(&controls[index].0[..length], &mut meta);
            self.metas[index] = meta;
        }
        self.count = count;
        Ok(count)
    }

    /// Returns one of the datagrams received last.
    pub fn get(&self, index: usize) -> (&[u8], &Meta) {
        assert!(index < self.count, "a datagram was received at this place");
        let start = index * DATAGRAM;
        (&self.bytes[start..start + self.metas[index].length], &self.metas[index])
    }

    /// Gives the memory of long datagrams back to the kernel.
    pub fn shrink(&mut self) {
        self.count = 0;
        let start = self.bytes.as_ptr().align_offset(PAGE);
        let Some(pages) = self.bytes.get_mut(start..) else { return };
        let length = pages.len() / PAGE * PAGE;
        // SAFETY: madvise(2) makes whole pages of this private memory zero, which we own and which has no
        // invalid values. Nothing is wrong if it does not.
        let _ = unsafe { libc::madvise(pages.as_mut_ptr().cast(), length, libc::MADV_DONTNEED) };
    }
}

/// A datagram to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Its bytes, in parts.
    pub parts: &'a [io::IoSlice<'a>],
    /// Where to; nothing for a connected socket.
    pub to: Option<SocketAddr>,
    /// The address of this machine to send from.
    pub from: Option<IpAddr>,
    /// If the bytes are several datagrams, the length of each but the last.
    pub segment: Option<u16>,
    /// The hops it may take.
    pub hops: Option<u8>,
}

impl<'a> Outgoing<'a> {
    /// Returns a datagram for whom the socket is connected to.
    pub fn new(parts: &'a [io::IoSlice<'a>]) -> Self {
        Self { parts, to: None, from: None, segment: None, hops: None }
    }
}

/// Sends datagrams, without waiting; returns how many. An error means that the first could not be sent.
pub fn send(socket: impl AsFd, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
    let mut names = [[0_u8; NAME]; BATCH];
    let mut controls = [Control::default(); BATCH];
    let mut headers = [EMPTY; BATCH];
    let count = datagrams.len().min(BATCH);
    for (index, datagram) in datagrams.iter().take(count).enumerate() {
        let header = &mut headers[index].msg_hdr;
        if let Some(to) = datagram.to {
            header.msg_namelen = socklen(encode(to, &mut names[index]));
            header.msg_name = names[index].as_mut_ptr().cast();
        }
        // `IoSlice` has the layout of an iovec by contract, and sendmmsg(2) only reads through it.
        header.msg_iov = datagram.parts.as_ptr().cast_mut().cast();
        header.msg_iovlen = datagram.parts.len() as _;
        let length = write_control(datagram, &mut controls[index]);
        if length > 0 {
            header.msg_control = controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = length as _;
        }
    }
    // SAFETY: the first `count` headers point at names, parts and control messages of the lengths they state,
    // all of which live during the call and are only read.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            u32::try_from(count).unwrap_or(0),
            (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Who found that a datagram cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This machine's kernel.
    Local,
    /// An ICMP message.
    Icmp,
    /// An ICMPv6 message.
    Icmp6,
}

/// What the kernel knows about a datagram that did not arrive (ip(7), `sock_extended_err`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketError {
    /// As `connect` or `send` would fail.
    pub errno: i32,
    /// Who found it.
    pub origin: Origin,
    /// The ICMP type.
    pub kind: u8,
    /// The ICMP code.
    pub code: u8,
    /// More, such as the greatest packet.
    pub info: u32,
    /// The router or host that said so.
    pub offender: Option<IpAddr>,
    /// Where the datagram was going.
    pub to: Option<SocketAddr>,
    /// How many bytes of the datagram came back.
    pub length: usize,
}

/// Takes one entry off the error queue ([`Wish::Errors`]), and what came back of the datagram.
pub fn take_error(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<SocketError>> {
    let mut name = [0_u8; NAME];
    let mut control = Control::default();
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut header = EMPTY.msg_hdr;
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = socklen(NAME);
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL as _;
    // SAFETY: the header points at buffers of the lengths it states, which live during the call.
    let length = unsafe {
        libc::recvmsg(
            socket.as_fd().as_raw_fd(),
            &raw mut header,
            libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC,
        )
    };
    let Ok(length) = usize::try_from(length) else {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    };
    let to = decode(&name[..usize::try_from(header.msg_namelen).unwrap_or(0).min(NAME)]);
    let control = &control.0[..(header.msg_controllen as usize).min(CONTROL)];
    let mut found = None;
    each_control(control, |level, kind, bytes| {
        let is_error =
            matches!((level, kind), (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR));
        if is_error && bytes.len() >= 16 {
            found = Some(SocketError {
                errno: i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
                origin: match bytes[4] {
                    libc::SO_EE_ORIGIN_ICMP => Origin::Icmp,
                    libc::SO_EE_ORIGIN_ICMP6 => Origin::Icmp6,
                    _ => Origin::Local,
                },
                kind: bytes[5],
                code: bytes[6],
                info: u32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
                offender: decode(&bytes[16..]).map(|address| address.ip()),
                to,
                length: length.min(buffer.len()),
            });
        }
    });
    Ok(found)
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

impl Default for Control {
    fn default() -> Self {
        Self([0; CONTROL])
    }
}

/// A header that points at nothing.
// SAFETY: an all-zero `mmsghdr` is one with null pointers and zero lengths.
const EMPTY: libc::mmsghdr = unsafe { std::mem::zeroed() };

fn socklen(length: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(length).unwrap_or(0)
}

/// Calls `each` with the level, the type and the contents of every control message.
fn each_control(mut bytes: &[u8], mut each: impl FnMut(c_int, c_int, &[u8])) {
    while let Some(header) = bytes.get(..HEADER) {
        let mut word = [0; WORD];
        word.copy_from_slice(&header[..WORD]);
        let length = usize::from_ne_bytes(word);
        let number =
            |at: usize| c_int::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let Some(contents) = bytes.get(HEADER..length) else { return };
        each(number(WORD), number(WORD + 4), contents);
        bytes = bytes.get(length.next_multiple_of(WORD)..).unwrap_or_default();
    }
}

fn read_control(bytes: &[u8], meta: &mut Meta) {
    each_control(bytes, |level, kind, contents| match (level, kind) {
        (libc::SOL_IP, libc::IP_ORIGDSTADDR) | (libc::SOL_IPV6, libc::IPV6_ORIGDSTADDR) => {
            meta.destination = decode(contents);
        }
        (libc::SOL_IP, libc::IP_PKTINFO) => {
            // `ipi_addr`, after `ipi_ifindex` and `ipi_spec_dst`.
            meta.local = contents.get(8..12).and_then(four).map(IpAddr::from);
        }
        (libc::SOL_IPV6, libc::IPV6_PKTINFO) => {
            meta.local = contents.get(..16).and_then(sixteen).map(IpAddr::from);
        }
        (libc::SOL_IP, libc::IP_TTL) | (libc::SOL_IPV6, libc::IPV6_HOPLIMIT) => {
            let value = contents.get(..4).map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
            meta.hops = value.and_then(|value| u8::try_from(value).ok());
        }
        (libc::SOL_UDP, libc::UDP_GRO) => {
            let value = contents.get(..4).map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
            meta.segment = value.and_then(|value| u16::try_from(value).ok()).filter(|value| *value > 0);
        }
        _ => {}
    });
    if meta.segment.is_some_and(|segment| usize::from(segment) >= meta.length) {
        meta.segment = None;
    }
}

fn write_control(datagram: &Outgoing<'_>, control: &mut Control) -> usize {
    let mut at = 0;
    let mut put = |level: c_int, kind: c_int, contents: &[u8]| {
        let length = HEADER + contents.len();
        let bytes = &mut control.0[at..];
        bytes[..WORD].copy_from_slice(&length.to_ne_bytes());
        bytes[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        bytes[WORD + 4..WORD + 8].copy_from_slice(&kind.to_ne_bytes());
        bytes[HEADER..length].copy_from_slice(contents);
        at += length.next_multiple_of(WORD);
    };
    match datagram.from {
        Some(IpAddr::V4(from)) => {
            let mut info = [0; 12];
            info[4..8].copy_from_slice(&from.octets());
            put(libc::SOL_IP, libc::IP_PKTINFO, &info);
        }
        Some(IpAddr::V6(from)) => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&from.octets());
            put(libc::SOL_IPV6, libc::IPV6_PKTINFO, &info);
        }
        None => {}
    }
    if let Some(segment) = datagram.segment {
        put(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
    }
    if let Some(hops) = datagram.hops {
        let is_v6 = datagram.to.is_some_and(|to| to.is_ipv6());
        let (level, kind) =
            if is_v6 { (libc::SOL_IPV6, libc::IPV6_HOPLIMIT) } else { (libc::SOL_IP, libc::IP_TTL) };
        put(level, kind, &c_int::from(hops).to_ne_bytes());
    }
    at
}

fn four(bytes: &[u8]) -> Option<[u8; 4]> {
    bytes.try_into().ok()
}

fn sixteen(bytes: &[u8]) -> Option<[u8; 16]> {
    bytes.try_into().ok()
}

/// Reads a `sockaddr_in` or a `sockaddr_in6`.
fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let family = c_int::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
    let port = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]);
    match family {
        libc::AF_INET => Some(SocketAddr::from((four(bytes.get(4..8)?)?, port))),
        libc::AF_INET6 => {
            let scope = u32::from_ne_bytes(four(bytes.get(24..28)?)?);
            Some(SocketAddrV6::new(sixteen(bytes.get(8..24)?)?.into(), port, 0, scope).into())
        }
        _ => None,
    }
}

/// Writes a `sockaddr_in` or a `sockaddr_in6`; returns its length.
fn encode(address: SocketAddr, bytes: &mut [u8; NAME]) -> usize {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    bytes[..2].copy_from_slice(&u16::try_from(family).unwrap_or(0).to_ne_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(address) => {
            bytes[4..8].copy_from_slice(&address.ip().octets());
            16
        }
        SocketAddr::V6(address) => {
            bytes[8..24].copy_from_slice(&address.ip().octets());
            bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
            NAME
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;
    use std::net::UdpSocket;

    #[test]
    fn moves_batches_with_their_addresses() {
        for (family, any) in [(Family::V4, "127.0.0.1:0"), (Family::V6, "[::1]:0")] {
            let (one, two) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
            ask(&two, family, Wish::LocalAddress).unwrap();
            ask(&two, family, Wish::Hops).unwrap();
            let to = Some(two.local_addr().unwrap());
            let (first, second) = ([IoSlice::new(b"ab"), IoSlice::new(b"c")], [IoSlice::new(b"")]);
            let hops = Some(9);
            let from = Some(one.local_addr().unwrap().ip());
            let datagrams = [
                Outgoing { to, from, hops, ..Outgoing::new(&first) },
                Outgoing { to, ..Outgoing::new(&second) },
            ];
            assert_eq!(send(&one, &datagrams).unwrap(), 2);
            let mut inbox = Inbox::default();
            assert_eq!(inbox.receive(&two, BATCH).unwrap(), 2);
            let (bytes, meta) = inbox.get(0);
            assert_eq!(bytes, b"abc");
            assert_eq!((meta.from, meta.hops), (one.local_addr().unwrap(), Some(9)));
            assert_eq!(meta.local, Some(two.local_addr().unwrap().ip()));
            assert!(inbox.get(1).0.is_empty());
            assert_eq!(inbox.receive(&two, 1).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            inbox.shrink();
        }
    }

    #[test]
    fn cuts_one_send_into_datagrams() {
        let (one, two) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        one.connect(two.local_addr().unwrap()).unwrap();
        let parts = [IoSlice::new(b"aabb"), IoSlice::new(b"c")];
        assert_eq!(send(&one, &[Outgoing { segment: Some(2), ..Outgoing::new(&parts) }]).unwrap(), 1);
        let mut inbox = Inbox::default();
        assert_eq!(inbox.receive(&two, BATCH).unwrap(), 3);
        assert_eq!((inbox.get(0).0, inbox.get(2).0), (&b"aa"[..], &b"c"[..]));
    }

    #[test]
    fn tells_a_closed_port() {
        for (family, any) in [(Family::V4, "127.0.0.1:0"), (Family::V6, "[::1]:0")] {
            let one = UdpSocket::bind(any).unwrap();
            let closed = UdpSocket::bind(any).unwrap().local_addr().unwrap();
            ask(&one, family, Wish::Errors).unwrap();
            one.connect(closed).unwrap();
            assert_eq!(take_error(&one, &mut [0; 16]).unwrap(), None);
            one.send(b"hello").unwrap();
            let mut back = [0; 16];
            let error = take_error(&one, &mut back).unwrap().unwrap();
            assert_eq!((error.errno, error.to), (libc::ECONNREFUSED, Some(closed)));
            assert_eq!(&back[..error.length], b"hello");
            assert_eq!(error.offender, Some(closed.ip()));
            assert_ne!(error.origin, Origin::Local);
        }
    }

    proptest::proptest! {
        #[test]
        fn survives_any_control(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut meta = NOTHING;
            read_control(&bytes, &mut meta);
            let _ = decode(&bytes);
        }
    }
}
