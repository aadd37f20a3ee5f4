//! A blob on its way: a reader that survives cut connections.

use std::fmt;
use std::io::{self, Read};
use std::thread;

use ureq::BodyReader;
use ureq::http::{Response, StatusCode, header};

use super::access::Endpoint;
use super::client::{Call, Client, pull_scope};
use super::error::{Error, Fault};
use super::transport::{explain, text};
use crate::oci::{Digest, Reference};

/// A connection that has carried as much before it was cut was worth making.
const PROGRESS: u64 = 64 << 10;

/// The bytes of a blob from an offset up to the size in its descriptor, no more and no fewer.
///
/// Where a connection is cut or stalls, the next read asks for the rest with `Range`; a registry that does
/// not know ranges sends all again, and what is known is skipped. An error of this reader is final and holds
/// an [`Error`].
pub struct Blob {
    client: Client,
    endpoint: Endpoint,
    reference: Reference,
    digest: Digest,
    size: u64,
    position: u64,
    /// The current connection; absent after it broke.
    body: Option<BodyReader<'static>>,
    /// Where the current connection started.
    opened_at: u64,
    /// How many connections in a row have brought next to nothing.
    failures: u32,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} at {} of {})", self.digest, self.position, self.size)
    }
}

impl Blob {
    pub(super) fn open(
        client: &Client,
        endpoint: &Endpoint,
        reference: &Reference,
        digest: Digest,
        size: u64,
        offset: u64,
    ) -> Result<Self, Error> {
        let mut blob = Self {
            client: client.clone(),
            endpoint: endpoint.clone(),
            reference: reference.clone(),
            digest,
            size,
            position: offset.min(size),
            body: None,
            opened_at: offset,
            failures: 0,
        };
        // Nothing is left to ask for: a range that starts at the end is an error of its own.
        if blob.position < size || size == 0 {
            blob.connect()?;
        }
        Ok(blob)
    }

    /// Returns the size in the descriptor.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn path(&self) -> String {
        format!("{}/blobs/{}", self.reference.path(), self.digest)
    }

    fn broken(&self, (fault, reason): (Fault, String)) -> Error {
        let url = format!("{}/v2/{}", self.endpoint.host, self.path());
        Error::Unreachable { verb: "Get", url, reason, fault }
    }

    fn connect(&mut self) -> Result<(), Error> {
        let path = self.path();
        let range = [(header::RANGE, format!("bytes={}-", self.position))];
        let headers = if self.position == 0 { &[][..] } else { &range };
        let scope = pull_scope(&self.reference);
        let call = Call { headers, ..Call::get(&scope, &path, "*/*") };
        let response = self.client.call(&self.endpoint, &call)?;
        let skip = self.check(&response)?;
        let mut body = response.into_body().into_reader();
        let skipped = io::copy(&mut body.by_ref().take(skip), &mut io::sink());
        match skipped {
            Ok(skipped) if skipped == skip => {}
            Ok(_) => return Err(self.broken((Fault::Cut, "unexpected EOF".to_owned()))),
            Err(error) => return Err(self.broken(self.reason(error))),
        }
        self.opened_at = self.position;
        self.body = Some(body);
        Ok(())
    }

    /// Checks what a response says about its length and place. Returns how much of it is known already.
    fn check(&self, response: &Response<ureq::Body>) -> Result<u64, Error> {
        let headers = response.headers();
        let length = text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let (start, whole) = if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = text(headers, &header::CONTENT_RANGE).and_then(parse_range);
            let Some((start, whole)) = range.filter(|(start, _)| *start == self.position) else {
                return Err(Error::Protocol(format!(
                    "{} sends another range of {}",
                    self.endpoint.host, self.digest
                )));
            };
            (start, whole.or_else(|| length.and_then(|length| start.checked_add(length))))
        } else {
            (0, length)
        };
        match whole {
            Some(got) if got != self.size => {
                Err(Error::WrongSize { digest: self.digest, wanted: self.size, got })
            }
            _ => Ok(self.position - start),
        }
    }

    fn reason(&self, error: io::Error) -> (Fault, String) {
        explain(&ureq::Error::from(error), &self.client.access().patience.stall)
    }

    /// Notes that a connection ended with `error`, and waits before the next; gives up if there were too
    /// many in a row that brought nothing.
    fn interrupted(&mut self, error: Error) -> Result<(), Error> {
        self.body = None;
        if self.position - self.opened_at >= PROGRESS {
            self.failures = 0;
        }
        self.failures += 1;
        match self.client.access().patience.pause_after(self.failures, &error) {
            Some(pause) => {
                thread::sleep(pause);
                Ok(())
            }
            None if self.turn_to_registry() => Ok(()),
            None => Err(error),
        }
    }

    /// Leaves a mirror that does not keep its word.
    fn turn_to_registry(&mut self) -> bool {
        let domain = self.reference.domain();
        match self.client.access().endpoints(domain).pop() {
            Some(itself) if itself.account == domain && self.endpoint.account != domain => {
                self.endpoint = itself;
                self.failures = 0;
                true
            }
            _ => false,
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            let left = self.size - self.position;
            let Some(body) = &mut self.body else {
                if left == 0 {
                    return Ok(0);
                }
                // What a connection brought does not count twice.
                self.opened_at = self.position;
                if let Err(error) = self.connect() {
                    self.interrupted(error)?;
                }
                continue;
            };
            if left == 0 {
                // Reading the end of the response gives its connection back. All bytes are here, so that
                // an error no longer matters; but one byte more is a lie about the size.
                let more = body.read(&mut [0]).unwrap_or(0);
                self.body = None;
                if more > 0 {
                    return Err(Error::WrongSize {
                        digest: self.digest,
                        wanted: self.size,
                        got: self.size + 1,
                    });
                }
                return Ok(0);
            }
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match body.read(&mut buffer[..room]) {
                Ok(0) => {
                    let error = self.broken((Fault::Cut, "unexpected EOF".to_owned()));
                    self.interrupted(error)?;
                }
                Ok(count) => {
                    self.position += count as u64;
                    return Ok(count);
                }
                Err(error) => {
                    let error = self.broken(self.reason(error));
                    self.interrupted(error)?;
                }
            }
        }
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.fill(buffer).map_err(io::Error::other)
    }
}

/// Reads `bytes 5-9/10`: where it starts, and the whole length if it is there.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, whole.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ranges() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(parse_range("bytes */10"), None);
        assert_eq!(parse_range("items 5-9/10"), None);
    }
}
