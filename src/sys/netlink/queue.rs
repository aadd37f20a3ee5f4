//! Packets that the packet filter holds until this program decides (nfnetlink_queue).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::RecvFlags;

use super::{Refused, Socket, attributes, messages, set_option};

const SUBSYSTEM: u16 = 3 << 8;
const PACKET: u16 = SUBSYSTEM;
const VERDICT: u16 = SUBSYSTEM | 1;
const CONFIG: u16 = SUBSYSTEM | 2;

const CFG_CMD: u16 = 1;
const CFG_PARAMS: u16 = 2;
const CFG_QUEUE_MAXLEN: u16 = 3;
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;

const PACKET_HDR: u16 = 1;
const VERDICT_HDR: u16 = 2;
const MARK: u16 = 3;
const IFINDEX_INDEV: u16 = 5;
const PAYLOAD: u16 = 10;

/// The room for packets that nobody has read yet: enough for some thousands of the shortest.
const ROOM: usize = 4 * 1024 * 1024;

/// A queue whose packets this process decides on.
#[derive(Debug)]
pub struct Queue {
    socket: Socket,
    number: u16,
}

/// A packet that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its number, for the verdict.
    pub id: u32,
    /// The number of the device by which it came.
    pub device: u32,
    /// Its beginning, from the IP header on.
    pub bytes: &'a [u8],
}

/// What becomes of a packet that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is thrown away.
    Drop,
    /// It goes on with this mark.
    Accept {
        /// The mark.
        mark: u32,
    },
}

impl Queue {
    /// Takes over the queue `number` of the namespace that this thread is in. Of each packet the first
    /// `copy` bytes are shown; at most `most` wait, those beyond are dropped.
    pub fn bind(number: u16, copy: u32, most: u32) -> Result<Self, Refused> {
        let open = || -> io::Result<Socket> {
            let socket = Socket::netfilter()?;
            // A flood shall not look like an error of the socket: what does not fit is dropped.
            set_option(socket.fd.as_fd(), libc::NETLINK_NO_ENOBUFS)?;
            // The usual room is for some 150 packets: of more connections begun at once the rest would wait a
            // second for their second packet. The host's own limit (`net.core.rmem_max`) holds still.
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket.fd, ROOM);
            Ok(socket)
        };
        let mut socket = open().map_err(|error| {
            Refused::from(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
        })?;
        let header = header(number);
        let mut batch = socket.batch();
        batch.add(CONFIG, 0, &header, |config| {
            config.bytes(CFG_CMD, &[BIND, 0, 0, 0]);
        });
        batch.add(CONFIG, 0, &header, |config| {
            let mut params = copy.to_be_bytes().to_vec();
            params.push(COPY_PACKET);
            config.bytes(CFG_PARAMS, &params).be32(CFG_QUEUE_MAXLEN, most);
        });
        socket.perform(batch)?;
        rustix::io::ioctl_fionbio(&socket.fd, true)?;
        Ok(Self { socket, number })
    }

    /// Reads what has arrived into `buffer`, and hands each packet to `each`. Returns whether anything had
    /// arrived. Packets of which `buffer` cannot hold the beginning are not seen: give it `copy` and 512 bytes.
    pub fn receive(&self, buffer: &mut [u8], mut each: impl FnMut(Packet<'_>)) -> io::Result<bool> {
        let got = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.socket.fd, &mut buffer[..], RecvFlags::DONTWAIT)
        });
        let length = match got {
            Ok((length, _)) => length,
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            // Packets were lost; those that follow are fine.
            Err(rustix::io::Errno::NOBUFS) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        for message in messages(&buffer[..length]) {
            if message.kind == PACKET
                && let Some(packet) = parse(message.payload)
            {
                each(packet);
            }
        }
        Ok(true)
    }

    /// Decides on a packet. One that does not wait any more is no error.
    pub fn decide(&mut self, id: u32, verdict: Verdict) -> io::Result<()> {
        let mut batch = self.socket.batch();
        batch.add_quiet(VERDICT, 0, &header(self.number), |attributes| {
            let (code, mark) = match verdict {
                Verdict::Drop => (0u32, None),
                Verdict::Accept { mark } => (1, Some(mark)),
            };
            let mut decision = [0; 8];
            decision[..4].copy_from_slice(&code.to_be_bytes());
            decision[4..].copy_from_slice(&id.to_be_bytes());
            attributes.bytes(VERDICT_HDR, &decision);
            if let Some(mark) = mark {
                attributes.be32(MARK, mark);
            }
        });
        self.socket.sequence = batch.sequence;
        // The kernel answers a refusal into the same socket, where `receive` passes it by.
        rustix::io::retry_on_intr(|| {
            rustix::net::send(&self.socket.fd, &batch.bytes, rustix::net::SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.fd.as_fd()
    }
}

/// Returns a header `nfgenmsg`.
fn header(number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [0, 0, high, low]
}

fn parse(payload: &[u8]) -> Option<Packet<'_>> {
    let (mut id, mut device, mut bytes) = (None, 0, None);
    let be32 = |value: &[u8]| Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?));
    for (kind, value) in attributes(payload.get(4..)?) {
        match kind {
            PACKET_HDR => id = be32(value),
            IFINDEX_INDEV => device = be32(value).unwrap_or(0),
            PAYLOAD => bytes = Some(value),
            _ => {}
        }
    }
    Some(Packet { id: id?, device, bytes: bytes.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::super::Attributes;
    use super::*;

    #[test]
    fn reads_packets() {
        let mut payload = header(3).to_vec();
        let mut attributes = Attributes(&mut payload);
        attributes.bytes(PACKET_HDR, &[0, 0, 1, 2, 8, 0, 0]).be32(IFINDEX_INDEV, 9).bytes(PAYLOAD, b"E...");
        assert_eq!(parse(&payload), Some(Packet { id: 0x102, device: 9, bytes: b"E..." }));
        for end in 0..payload.len() {
            let _ = parse(&payload[..end]);
        }
        assert_eq!(parse(&payload[..8]), None);
        assert_eq!(header(0x102), [0, 0, 1, 2]);
    }
}
