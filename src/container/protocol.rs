//! What a command and a supervisor say to each other over `attach.sock`.
//!
//! Frames on a stream socket: one byte of kind, four bytes of length (big-endian), that many bytes. Streams
//! are carried as they are; everything else is JSON.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::config::Attachment;

/// The longest frame that is accepted, in bytes.
pub(super) const FRAME_LIMIT: usize = 1 << 20;
/// Bytes before the content.
pub(super) const HEADER: usize = 5;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Bytes for the process; none: end of file.
    Stdin = 0,
    /// Bytes from the process.
    Stdout = 1,
    /// Bytes from the process.
    Stderr = 2,
    /// A [`Request`].
    Request = 16,
    /// An [`Event`].
    Event = 17,
}

impl Kind {
    fn of(byte: u8) -> io::Result<Self> {
        Ok(match byte {
            0 => Self::Stdin,
            1 => Self::Stdout,
            2 => Self::Stderr,
            16 => Self::Request,
            17 => Self::Event,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "unknown kind of frame")),
        })
    }
}

/// What a command asks of a supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(super) enum Request {
    /// The first words, over the descriptor that the supervisor is started with.
    Supervise {
        /// The store's root.
        root: std::path::PathBuf,
        /// The runtime directory.
        runtime: std::path::PathBuf,
        /// The container.
        id: String,
        /// What the starter wants to see of it.
        attach: Option<Streams>,
    },
    /// Carry streams to and from this client.
    Attach(Streams),
    /// The size of the client's terminal.
    Resize { rows: u16, columns: u16 },
    /// Send a signal to the process.
    Signal { number: i32 },
    /// Send a signal, wait, kill; answered by [`Event::Exited`]. What is left out is the container's own.
    Stop { signal: Option<i32>, seconds: Option<i64> },
    /// The same, and start again; answered by [`Event::Started`].
    Restart { signal: Option<i32>, seconds: Option<i64> },
    /// Answer when the process ends and is not started again.
    Wait,
    /// Stop all processes; answered by [`Event::Done`].
    Pause,
    /// Let them go on; answered by [`Event::Done`].
    Unpause,
    /// Read the configuration anew; answered by [`Event::Done`].
    Update,
    /// Stop all processes for as long as this connection lasts; answered by [`Event::Done`].
    Hold,
    /// Get into a network; answered by [`Event::Done`].
    Connect(Box<Attachment>),
    /// Get out of the network with this id; answered by [`Event::Done`].
    Disconnect { network: String },
    /// The container has another name, or one that it is linked to another address; answered by
    /// [`Event::Done`].
    Refresh,
}

/// Which streams a client carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Streams {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// The client's terminal: rows and columns.
    pub(super) window: Option<(u16, u16)>,
}

/// What a supervisor tells a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Event {
    /// The process runs, or already did.
    Started,
    /// What was asked for is done.
    Done,
    /// It could not be started, or what was asked for could not be done.
    Failed { code: i32, message: String, hint: Option<String> },
    /// It has ended and is not started again. After this come the removal, if it was asked for, and the
    /// end of the connection.
    Exited { code: i32 },
}

/// Puts a frame after `out`.
pub(super) fn encode(out: &mut Vec<u8>, kind: Kind, content: &[u8]) {
    out.push(kind as u8);
    // Writers send at most FRAME_LIMIT at once.
    out.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(content);
}

/// Puts a frame with a JSON text after `out`.
pub(super) fn encode_json<T: Serialize>(out: &mut Vec<u8>, kind: Kind, message: &T) -> io::Result<()> {
    encode(out, kind, &serde_json::to_vec(message)?);
    Ok(())
}

/// Sends one JSON frame on a blocking socket.
pub(super) fn send<T: Serialize>(mut to: impl Write, kind: Kind, message: &T) -> io::Result<()> {
    let mut out = Vec::with_capacity(128);
    encode_json(&mut out, kind, message)?;
    to.write_all(&out)
}

/// Takes the frame at the front of `input`, if it is all there, and says how long it is.
pub(super) fn decode(input: &[u8]) -> io::Result<Option<(Kind, &[u8], usize)>> {
    let Some(header) = input.get(..HEADER) else { return Ok(None) };
    let kind = Kind::of(header[0])?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if length > FRAME_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    Ok(input.get(HEADER..HEADER + length).map(|content| (kind, content, HEADER + length)))
}

/// Reads one frame from a blocking socket; `None` at its end.
pub(super) fn receive(mut from: impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut header = [0; HEADER];
    let mut filled = 0;
    while filled < HEADER {
        match from.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A supervisor that is killed with our words unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let kind = Kind::of(header[0])?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if length > FRAME_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    let mut content = vec![0; length];
    from.read_exact(&mut content)?;
    Ok(Some((kind, content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let mut bytes = Vec::new();
        encode(&mut bytes, Kind::Stdout, b"hello");
        encode_json(&mut bytes, Kind::Event, &Event::Exited { code: 3 }).unwrap();
        for cut in 0..HEADER + 5 {
            assert!(decode(&bytes[..cut]).unwrap().is_none());
        }
        let (kind, content, length) = decode(&bytes).unwrap().unwrap();
        assert_eq!((kind, content), (Kind::Stdout, &b"hello"[..]));
        let (kind, content) = receive(&bytes[length..]).unwrap().unwrap();
        assert_eq!(kind, Kind::Event);
        assert_eq!(serde_json::from_slice::<Event>(&content).unwrap(), Event::Exited { code: 3 });
        assert!(receive(&[][..]).unwrap().is_none());
        assert!(decode(&[1, 0xff, 0, 0, 0]).is_err());
        assert!(decode(&[9, 0, 0, 0, 0]).is_err());
    }
}
