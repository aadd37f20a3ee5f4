//! One connection to the registry of the tests: requests as they come, answers as the faults want them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::{Fault, Request, Response, Shared, State, Times, lock};

/// Answers the requests of one connection.
pub(super) fn converse(stream: &TcpStream, address: SocketAddr, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = match read_request(&mut reader) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                // Someone who speaks TLS, for one.
                return (&*stream).write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
            }
            Err(error) => return Err(error),
        };
        let fault = lock(shared).fault_for(&request.path);
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let taken = match fault {
            Some(
                Fault::CutUpload { after } | Fault::RefuseUpload { after } | Fault::StallUpload { after },
            ) => length.min(after),
            _ => length,
        };
        request.body = vec![0; taken];
        reader.read_exact(&mut request.body)?;
        let response = {
            let mut state = lock(shared);
            state.requests.push(request.clone());
            match fault {
                Some(Fault::Status(..) | Fault::Redirect(_)) => Response::text(500, ""),
                Some(Fault::Expire | Fault::RefuseUpload { .. }) => {
                    state.expire();
                    state.answer(&request, address)
                }
                Some(Fault::CutUpload { .. } | Fault::StallUpload { .. }) => {
                    state.keep(&request);
                    Response::text(500, "")
                }
                _ => state.answer(&request, address),
            }
        };
        send(stream, shared, &request, response, fault)?;
    }
}

fn read_request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().ok_or_else(bad)?.to_owned(), words.next().ok_or_else(bad)?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Some(Request { method, path, headers, body: Vec::new() }))
}

impl State {
    /// Stops knowing the tokens that were given out.
    pub(super) fn expire(&mut self) {
        self.tokens.clear();
    }

    fn fault_for(&mut self, path: &str) -> Option<Fault> {
        for (part, times, fault) in &mut self.faults {
            if !path.contains(part.as_str()) {
                continue;
            }
            match times {
                Times::Always => return Some(fault.clone()),
                Times::First(0) => {}
                Times::First(left) => {
                    *left -= 1;
                    return Some(fault.clone());
                }
            }
        }
        None
    }
}

fn send(
    mut stream: &TcpStream,
    shared: &Shared,
    request: &Request,
    mut response: Response,
    fault: Option<Fault>,
) -> io::Result<()> {
    let cut = || {
        // Both directions at once: a client must not be able to send into the void.
        stream.shutdown(Shutdown::Both)?;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    match &fault {
        Some(Fault::Hangup | Fault::CutUpload { .. }) => return cut(),
        Some(Fault::StallUpload { .. }) => {
            wait_for_end(shared);
            return cut();
        }
        Some(Fault::Status(status, headers, body)) => {
            response = Response::text(*status, body);
            response.headers.extend(headers.iter().cloned());
        }
        Some(Fault::Redirect(to)) => {
            let digest = request.path.rsplit('/').next().unwrap_or_default();
            response = Response::text(307, "");
            response.headers.push(("Location".to_owned(), format!("{to}{digest}")));
        }
        Some(Fault::Headers(headers)) => {
            response.headers.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
            response.headers.extend(headers.iter().cloned());
        }
        Some(Fault::Replace(bytes)) => {
            response.body = Arc::new(bytes.clone());
            response.from = response.from.min(bytes.len());
        }
        _ => {}
    }
    let mut body = &response.body[response.from..];
    if let Some(Fault::Shorten { to }) = fault {
        body = &body[..to.min(body.len())];
    }
    let mut head = Vec::new();
    write!(head, "HTTP/1.1 {} Whatever\r\n", response.status)?;
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    if matches!(fault, Some(Fault::Chunked)) {
        write!(head, "Transfer-Encoding: chunked\r\n\r\n")?;
    } else {
        let more = if let Some(Fault::Lengthen { by }) = fault { by } else { 0 };
        write!(head, "Content-Length: {}\r\n\r\n", body.len() + more)?;
    }
    stream.write_all(&head)?;
    if request.method == "HEAD" {
        return Ok(());
    }
    match fault {
        Some(Fault::Cut { after }) => {
            stream.write_all(&body[..after.min(body.len())])?;
            cut()
        }
        Some(Fault::Lengthen { .. } | Fault::RefuseUpload { .. }) => {
            stream.write_all(body)?;
            cut()
        }
        Some(Fault::Stall { after }) => {
            stream.write_all(&body[..after.min(body.len())])?;
            wait_for_end(shared);
            cut()
        }
        Some(Fault::Slow { piece, pause }) => {
            for piece in body.chunks(piece) {
                stream.write_all(piece)?;
                thread::sleep(pause);
            }
            Ok(())
        }
        Some(Fault::Chunked) => {
            for piece in body.chunks(1000) {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                stream.write_all(piece)?;
                stream.write_all(b"\r\n")?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        _ => stream.write_all(body),
    }
}

fn wait_for_end(shared: &Shared) {
    let mut state = lock(shared);
    while !shared.over.load(Ordering::SeqCst) {
        let waited = shared.wake.wait_timeout(state, Duration::from_millis(100));
        state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
    }
}
