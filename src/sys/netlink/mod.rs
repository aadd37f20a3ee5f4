//! Netlink: the kernel's own language for devices, addresses, packet rules and queues (netlink(7)).
//!
//! A [`Batch`] holds requests, each with a header of its family and attributes; a [`Socket`] performs them
//! and turns the kernel's answers into results. A socket belongs to the network namespace of the thread that
//! opened it, wherever that thread goes later.
#![allow(unsafe_code)]

pub mod nft;
pub mod queue;
pub mod route;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const HEADER: usize = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// Flags of requests, beside those that every request has.
pub mod flag {
    /// Fail if it exists.
    pub const EXCLUSIVE: u16 = 0x200;
    /// Change it if it exists.
    pub const REPLACE: u16 = 0x100;
    /// Make it if it does not exist.
    pub const CREATE: u16 = 0x400;
    /// Put it behind what is there.
    pub const APPEND: u16 = 0x800;
    /// Answer with everything.
    pub const DUMP: u16 = 0x300;
}

/// The most bytes the kernel puts in one answer that we read: it sizes dumps by the reader's buffer.
const ANSWER: usize = 32 * 1024;

/// A request that the kernel has refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub errno: Errno,
    /// What the kernel says about it beyond the number; often nothing.
    pub text: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from_raw_os_error(self.errno.raw_os_error());
        if self.text.is_empty() {
            write!(formatter, "{error}")
        } else {
            write!(formatter, "{error}: {}", self.text)
        }
    }
}

impl std::error::Error for Refused {}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self { errno, text: String::new() }
    }
}

/// Requests that go to the kernel in one message, in order.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    /// The first request's number, and the last one's that is answered whatever happens.
    first: u32,
    awaited: Option<u32>,
}

impl Batch {
    /// Adds a request of which the kernel says how it went.
    pub fn add(&mut self, kind: u16, flags: u16, header: &[u8], fill: impl FnOnce(&mut Attributes<'_>)) {
        self.push(kind, flags | NLM_F_ACK, header, fill);
        self.awaited = Some(self.sequence - 1);
    }

    /// Adds a request that is answered only if it fails.
    pub fn add_quiet(
        &mut self,
        kind: u16,
        flags: u16,
        header: &[u8],
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        self.push(kind, flags, header, fill);
    }

    fn push(&mut self, kind: u16, flags: u16, header: &[u8], fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(header);
        pad(&mut self.bytes);
        fill(&mut Attributes(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Tells whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The attributes of a request, or of an attribute.
#[derive(Debug)]
pub struct Attributes<'a>(&'a mut Vec<u8>);

impl Attributes<'_> {
    /// Adds an attribute with these bytes.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nest_as(kind, |inside| inside.0.extend_from_slice(value))
    }

    /// Adds a number of one byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// Adds a number of four bytes as this machine writes it: what rtnetlink wants.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Adds a number of two bytes as the network writes it.
    pub fn be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds a number of four bytes as the network writes it: what nfnetlink wants.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds a text and the zero that ends it.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.nest_as(kind, |inside| {
            inside.0.extend_from_slice(value.as_bytes());
            inside.0.push(0);
        })
    }

    /// Adds an attribute that holds attributes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.nest_as(kind | NLA_F_NESTED, fill)
    }

    /// Adds bytes that are no attribute: the fixed header that some attributes begin with.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        pad(self.0);
        self
    }

    fn nest_as(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        fill(&mut Attributes(self.0));
        // An attribute that does not fit its length is refused by the kernel as malformed.
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        pad(self.0);
        self
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Walks over attributes: kind, without its flags, and content. What is malformed ends the walk.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & NLA_TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Returns the number of two bytes at `at`, as this machine writes it.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Returns the number of four bytes at `at`, as this machine writes it.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// One message from the kernel.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

/// Walks over the messages of an answer. What is malformed ends the walk.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let message = Message {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
            payload: bytes.get(HEADER..length)?,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Reads what an error message says; `None` if it says that all went well.
fn refusal(message: Message<'_>) -> Option<Refused> {
    let number = u32_at(message.payload, 0).map_or(-libc::EIO, u32::cast_signed);
    if number == 0 {
        return None;
    }
    // No kernel says a number that is none, and what is read here need not be from one.
    let number = Some(number.wrapping_neg()).filter(|number| (1..4096).contains(number));
    let mut refused = Refused::from(number.map_or(Errno::IO, Errno::from_raw_os_error));
    if message.flags & NLM_F_ACK_TLVS != 0 {
        let original = if message.flags & NLM_F_CAPPED == 0 {
            u32_at(message.payload, 4).and_then(|length| usize::try_from(length).ok()).unwrap_or(HEADER)
        } else {
            HEADER
        };
        let rest = message.payload.get(4 + original.next_multiple_of(4)..).unwrap_or_default();
        for (kind, value) in attributes(rest) {
            if kind == NLMSGERR_ATTR_MSG {
                refused.text = text_of(value);
            }
        }
    }
    Some(refused)
}

/// Returns a text that may end in a zero.
fn text_of(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// A conversation with one part of the kernel, in one network namespace.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens one to the part that knows devices, addresses and routes (rtnetlink(7)).
    pub fn route() -> io::Result<Self> {
        Self::open(None)
    }

    /// Opens one to the packet filter.
    pub fn netfilter() -> io::Result<Self> {
        Self::open(Some(rustix::net::netlink::NETFILTER))
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        // Texts with errors, and not the whole request back. Both are as old as Linux 4.12.
        set_option(fd.as_fd(), libc::NETLINK_EXT_ACK)?;
        set_option(fd.as_fd(), libc::NETLINK_CAP_ACK)?;
        // Answers are there when the request returns; this is for a kernel that forgets one.
        rustix::net::sockopt::set_socket_timeout(
            &fd,
            rustix::net::sockopt::Timeout::Recv,
            Some(Duration::from_secs(5)),
        )?;
        Ok(Self { fd, sequence: 1, buffer: Vec::new() })
    }

    /// Returns an empty batch for this socket.
    pub fn batch(&mut self) -> Batch {
        let first = self.sequence;
        Batch { bytes: Vec::new(), sequence: first, first, awaited: None }
    }

    /// Performs the requests of a batch, and returns the first refusal. The kernel goes on after one, except in
    /// transactions.
    pub fn perform(&mut self, batch: Batch) -> Result<(), Refused> {
        self.ask(batch, |_, _| {})
    }

    /// Performs requests and hands every message of an answer, its kind and content, to `each`.
    pub fn ask(&mut self, batch: Batch, mut each: impl FnMut(u16, &[u8])) -> Result<(), Refused> {
        self.sequence = batch.sequence;
        let Some(awaited) = batch.awaited else { return Ok(()) };
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, &batch.bytes, SendFlags::NOSIGNAL))?;
        self.buffer.resize(ANSWER, 0);
        let mut result = Ok(());
        loop {
            let (_, length) = rustix::io::retry_on_intr(|| {
                rustix::net::recv(&self.fd, &mut self.buffer[..], RecvFlags::TRUNC)
            })?;
            if length > self.buffer.len() {
                return Err(Errno::MSGSIZE.into());
            }
            for message in messages(&self.buffer[..length]) {
                // What is left over from a conversation that failed.
                let is_ours =
                    message.sequence.wrapping_sub(batch.first) < batch.sequence.wrapping_sub(batch.first);
                match message.kind {
                    _ if !is_ours => {}
                    NLMSG_NOOP => {}
                    NLMSG_DONE | NLMSG_ERROR => {
                        // The end of a dump holds an error number too.
                        let refused = refusal(message);
                        let is_last = message.sequence == awaited;
                        // A transaction that finds no memory is answered at its first request only.
                        let is_whole = refused.is_some() && message.sequence == batch.first;
                        if result.is_ok()
                            && let Some(refused) = refused
                        {
                            result = Err(refused);
                        }
                        if is_last || (is_whole && batch.is_transaction()) {
                            return result;
                        }
                    }
                    kind => each(kind, message.payload),
                }
            }
        }
    }
}

impl Batch {
    /// Tells whether it is one of the packet filter, which is done as a whole or not at all.
    fn is_transaction(&self) -> bool {
        u16_at(&self.bytes, 4) == Some(nft::BEGIN)
    }
}

/// Switches a netlink option on.
fn set_option(fd: BorrowedFd<'_>, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // An int has four bytes.
    let length = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(4);
    // SAFETY: setsockopt(2) reads `length` bytes at the pointer, which are those of `on`.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_NETLINK, option, std::ptr::from_ref(&on).cast(), length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch { bytes: Vec::new(), sequence: 7, first: 7, awaited: None }
    }

    #[test]
    fn writes_what_the_kernel_reads() {
        let mut batch = batch();
        batch.add(16, flag::CREATE, &[1, 2, 3, 4, 5], |attributes| {
            attributes.text(3, "ab").nest(18, |inside| {
                inside.u8(1, 9);
            });
        });
        let expected: &[u8] = &[
            44, 0, 0, 0, 16, 0, 5, 4, 7, 0, 0, 0, 0, 0, 0, 0, // header
            1, 2, 3, 4, 5, 0, 0, 0, // the family's own, padded
            7, 0, 3, 0, b'a', b'b', 0, 0, // text with its zero, padded
            12, 0, 18, 0x80, 5, 0, 1, 0, 9, 0, 0, 0, // one inside the other
        ];
        assert_eq!(batch.bytes, expected);
        assert_eq!((batch.sequence, batch.awaited), (8, Some(7)));
    }

    #[test]
    fn reads_what_it_writes() {
        let mut batch = batch();
        batch.add(16, 0, &[], |attributes| {
            attributes.u32(1, 5).bytes(2, b"xyz").be16(3, 0x102);
        });
        batch.add_quiet(17, 0, &[9; 4], |_| {});
        let found: Vec<_> = messages(&batch.bytes).collect();
        assert_eq!((found.len(), found[0].sequence, found[1].sequence), (2, 7, 8));
        assert_eq!(found[1].payload, [9; 4]);
        let found: Vec<_> = attributes(found[0].payload).collect();
        assert_eq!(found, [(1, &5u32.to_ne_bytes()[..]), (2, b"xyz"), (3, &[1, 2])]);
    }

    #[test]
    fn survives_any_bytes() {
        let mut batch = batch();
        batch.add(16, 0, &[], |attributes| {
            attributes.text(1, "name").nest(2, |inside| {
                inside.u32(3, 1);
            });
        });
        for at in 0..batch.bytes.len() {
            for value in [0, 1, 3, 15, 127, 255] {
                let mut bytes = batch.bytes.clone();
                bytes[at] = value;
                for end in 0..=bytes.len() {
                    for message in messages(&bytes[..end]) {
                        assert!(attributes(message.payload).count() <= bytes.len());
                        let _ = refusal(message);
                    }
                }
            }
        }
    }

    #[test]
    fn tells_why() {
        let mut payload = (-17i32).to_ne_bytes().to_vec();
        payload.extend([0; HEADER]);
        let mut text = Vec::new();
        Attributes(&mut text).text(NLMSGERR_ATTR_MSG, "It is there");
        payload.extend(&text);
        let flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        let refused = refusal(Message { kind: NLMSG_ERROR, flags, sequence: 1, payload: &payload }).unwrap();
        assert_eq!(refused.errno, Errno::EXIST);
        assert_eq!(refused.to_string(), "File exists (os error 17): It is there");
        let fine = Message { kind: NLMSG_ERROR, flags: 0, sequence: 1, payload: &[0; 20] };
        assert_eq!(refusal(fine), None);
    }
}
