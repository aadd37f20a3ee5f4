//! One connection of a supervisor: a command that attaches, waits or asks.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use super::super::protocol::{Event, FRAME_LIMIT, Kind, Request, Streams, decode, encode, encode_json};

/// Output that may wait for a client before its container is made to wait, in bytes.
const WAITING: usize = 256 << 10;

/// A connected command.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: UnixStream,
    /// Bytes received that are not a whole frame yet.
    input: Vec<u8>,
    /// Bytes to send, and how many of them are sent.
    output: Vec<u8>,
    sent: usize,
    /// Which streams it carries.
    pub(super) streams: Streams,
    /// Whether the container's processes stand still for it.
    pub(super) holds: bool,
    /// Whether the connection is over.
    pub(super) gone: bool,
}

/// What a client said.
#[derive(Debug)]
pub(super) enum Said {
    /// Bytes for the process; none: its end of input.
    Stdin(Vec<u8>),
    /// Something else.
    Request(Request),
}

impl Client {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            streams: Streams::default(),
            holds: false,
            gone: false,
        })
    }

    /// Reads what is there and returns the whole frames of it.
    pub(super) fn hear(&mut self, buffer: &mut [u8]) -> Vec<Said> {
        match self.socket.read(buffer) {
            Ok(0) => self.gone = true,
            Ok(count) => self.input.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => self.gone = true,
        }
        let mut said = Vec::new();
        let mut used = 0;
        loop {
            match decode(&self.input[used..]) {
                Ok(Some((kind, content, length))) => {
                    match kind {
                        Kind::Stdin => said.push(Said::Stdin(content.to_vec())),
                        Kind::Request => match serde_json::from_slice(content) {
                            Ok(request) => said.push(Said::Request(request)),
                            Err(_) => self.gone = true,
                        },
                        Kind::Stdout | Kind::Stderr | Kind::Event => self.gone = true,
                    }
                    used += length;
                }
                Ok(None) => break,
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        self.input.drain(..used);
        said
    }

    /// Puts output of the process in line.
    pub(super) fn show(&mut self, kind: Kind, bytes: &[u8]) {
        for chunk in bytes.chunks(FRAME_LIMIT) {
            encode(&mut self.output, kind, chunk);
        }
    }

    /// Puts an event in line.
    pub(super) fn tell(&mut self, event: &Event) {
        if encode_json(&mut self.output, Kind::Event, event).is_err() {
            self.gone = true;
        }
    }

    /// Tells whether something is in line.
    pub(super) fn has_output(&self) -> bool {
        self.sent < self.output.len()
    }

    /// Tells whether so much is in line that the process should wait.
    pub(super) fn is_behind(&self) -> bool {
        self.output.len() - self.sent > WAITING
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self) {
        while self.has_output() && !self.gone {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(0) => self.gone = true,
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
        self.sent = 0;
        self.output.clear();
        // A burst's memory is not kept for the container's life.
        self.output.shrink_to(4096);
    }

    /// Sends the rest, waiting for a slow reader, but not for one that has stopped reading.
    pub(super) fn finish(mut self) {
        let timeout = Some(std::time::Duration::from_secs(10));
        if self.socket.set_nonblocking(false).is_ok() && self.socket.set_write_timeout(timeout).is_ok() {
            let _ = self.socket.write_all(&self.output[self.sent..]);
        }
    }
}
