//! A few words of D-Bus, for the user's systemd: a scope is started, processes are put into it.
//!
//! systemd is spoken to over its own socket, with no bus between, where that is to be had; else over the session
//! bus. The protocol is that of the D-Bus specification: little-endian, aligned by size. Everything that is to be
//! said at the beginning goes out in one write, so a scope costs one way there and one back.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const DAEMON: &str = "org.freedesktop.DBus";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// The longest message that is read.
const LIMIT: usize = 1 << 20;

/// A connection to the user's systemd.
#[derive(Debug)]
pub(super) struct Bus {
    socket: UnixStream,
    /// Written when the first answer is waited for.
    output: Vec<u8>,
    input: Vec<u8>,
    serial: u32,
    greeted: bool,
}

/// A scope that systemd has been asked for.
#[derive(Debug)]
pub(super) struct Asked {
    bus: Bus,
    serial: u32,
}

/// Tells whether the user's systemd can be spoken to: `runtime` is `XDG_RUNTIME_DIR`.
pub(super) fn is_reachable(runtime: &Path) -> bool {
    connect(runtime).is_ok()
}

/// Connects; tells whether there is a bus in between.
fn connect(runtime: &Path) -> io::Result<(UnixStream, bool)> {
    match UnixStream::connect(runtime.join("systemd/private")) {
        Ok(socket) => Ok((socket, false)),
        Err(_) => UnixStream::connect(runtime.join("bus")).map(|socket| (socket, true)),
    }
}

impl Bus {
    /// Opens a connection for the user `uid`, as the host numbers users.
    pub(super) fn open(runtime: &Path, uid: u32) -> Result<Self> {
        let (socket, is_bus) = connect(runtime).context("reach the user's systemd")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        // The digits of the number, as hexadecimal numbers of characters.
        let name: String = uid.to_string().chars().flat_map(|digit| ['3', digit]).collect();
        let output = format!("\0AUTH EXTERNAL {name}\r\nBEGIN\r\n").into_bytes();
        let mut bus = Self { socket, output, input: Vec::new(), serial: 0, greeted: false };
        if is_bus {
            bus.call(
                &Call { to: DAEMON, path: "/org/freedesktop/DBus", interface: DAEMON, member: "Hello" },
                "",
                &[],
            );
            // Signals of jobs come to those who ask for them.
            let mut rule = Writer::default();
            rule.text(&format!("type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved'"));
            let add =
                Call { to: DAEMON, path: "/org/freedesktop/DBus", interface: DAEMON, member: "AddMatch" };
            bus.call(&add, "s", &rule.bytes);
            bus.call(&Call::manager("Subscribe"), "", &[]);
        }
        Ok(bus)
    }

    /// Asks for a scope with these processes in it, whose cgroup is ours. Nothing is waited for yet.
    pub(super) fn begin_scope(mut self, unit: &str, slice: Option<&str>, pids: &[i32]) -> Result<Asked> {
        let mut body = Writer::default();
        body.text(unit);
        body.text("fail");
        body.array(8, |list| {
            list.property("Description", "s", |value| value.text("Container of coracle"));
            list.property("Delegate", "b", |value| value.number(1));
            list.property("CollectMode", "s", |value| value.text("inactive-or-failed"));
            if let Some(slice) = slice {
                list.property("Slice", "s", |value| value.text(slice));
            }
            list.property("PIDs", "au", |value| {
                value.array(4, |list| pids.iter().for_each(|pid| list.number(pid.cast_unsigned())));
            });
        });
        body.array(8, |_| {});
        let serial = self.call(&Call::manager("StartTransientUnit"), "ssa(sv)a(sa(sv))", &body.bytes);
        self.flush().context("ask the user's systemd for a scope")?;
        Ok(Asked { bus: self, serial })
    }

    /// Puts processes into a part of the scope's cgroup.
    pub(super) fn attach(&mut self, unit: &str, part: &str, pids: &[i32]) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.text(part);
        body.array(4, |list| pids.iter().for_each(|pid| list.number(pid.cast_unsigned())));
        let serial = self.call(&Call::manager("AttachProcessesToUnit"), "ssau", &body.bytes);
        self.answer(serial).map(|_| ()).context("put a process into a scope")
    }

    /// Puts a call in line and returns its number.
    fn call(&mut self, call: &Call<'_>, signature: &str, body: &[u8]) -> u32 {
        self.serial += 1;
        let message = call.message(self.serial, signature, body);
        self.output.extend_from_slice(&message);
        self.serial
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Waits for the answer to a call and returns its body.
    fn answer(&mut self, serial: u32) -> Result<Vec<u8>> {
        self.flush()?;
        loop {
            let message = self.next()?;
            if message.reply_to != serial {
                continue;
            }
            match message.kind {
                2 => return Ok(message.body),
                3 => {
                    let said = Reader { bytes: &message.body, at: 0 }.text().unwrap_or_default();
                    let text = if said.is_empty() { message.error } else { said };
                    bail!("systemd: {text}");
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<Message> {
        if !self.greeted {
            let line = loop {
                if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                    break self.input.drain(..end + 2).collect::<Vec<_>>();
                }
                self.fill()?;
            };
            if !line.starts_with(b"OK") {
                bail!("systemd: refuses this user: {}", String::from_utf8_lossy(&line).trim());
            }
            self.greeted = true;
        }
        loop {
            if let Some((message, length)) = Message::parse(&self.input)? {
                self.input.drain(..length);
                return Ok(message);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => bail!("systemd: the connection ended"),
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    bail!("systemd: no answer in {} seconds", PATIENCE.as_secs())
                }
                Err(error) => return Err(error).context("listen to systemd"),
            }
        }
    }
}

impl Asked {
    /// Waits until the scope is there with its processes.
    pub(super) fn finish(mut self) -> Result<Bus> {
        let body = self.bus.answer(self.serial).context("start a scope")?;
        let job = Reader { bytes: &body, at: 0 }.text().ok_or_else(|| anyhow!("systemd: no job"))?;
        loop {
            let message = self.bus.next()?;
            if message.kind != 4 || message.member != "JobRemoved" {
                continue;
            }
            let mut body = Reader { bytes: &message.body, at: 0 };
            let ended = (|| {
                body.number()?;
                let path = body.text()?;
                body.text()?;
                Some((path, body.text()?))
            })();
            match ended {
                Some((path, result)) if path == job && result == "done" => return Ok(self.bus),
                Some((path, result)) if path == job => bail!("start a scope: systemd: the job has {result}"),
                _ => {}
            }
        }
    }
}

/// Whom a call is for.
struct Call<'a> {
    to: &'a str,
    path: &'a str,
    interface: &'a str,
    member: &'a str,
}

impl<'a> Call<'a> {
    fn manager(member: &'a str) -> Self {
        Self { to: SYSTEMD, path: SYSTEMD_PATH, interface: MANAGER, member }
    }

    /// Returns the whole message.
    fn message(&self, serial: u32, signature: &str, body: &[u8]) -> Vec<u8> {
        let mut head = Writer::default();
        // Little-endian, a call, no flags, version 1.
        head.bytes.extend_from_slice(&[b'l', 1, 0, 1]);
        head.number(u32::try_from(body.len()).unwrap_or(u32::MAX));
        head.number(serial);
        head.array(8, |fields| {
            for (code, kind, value) in
                [(1, "o", self.path), (6, "s", self.to), (2, "s", self.interface), (3, "s", self.member)]
            {
                fields.align(8);
                fields.bytes.push(code);
                fields.signature(kind);
                fields.text(value);
            }
            if !signature.is_empty() {
                fields.align(8);
                fields.bytes.push(8);
                fields.signature("g");
                fields.signature(signature);
            }
        });
        head.align(8);
        head.bytes.extend_from_slice(body);
        head.bytes
    }
}

/// Bytes in D-Bus's order.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    /// Writes an array whose elements begin at multiples of `to`. What fills up before the first does not count.
    fn array(&mut self, to: usize, elements: impl FnOnce(&mut Self)) {
        self.number(0);
        let place = self.bytes.len() - 4;
        self.align(to);
        let start = self.bytes.len();
        elements(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[place..place + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Writes a name and a variant, `(sv)`.
    fn property(&mut self, name: &str, kind: &str, value: impl FnOnce(&mut Self)) {
        self.align(8);
        self.text(name);
        self.signature(kind);
        value(self);
    }
}

/// Bytes in D-Bus's order, from the beginning of a body.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u32> {
        let at = self.at.next_multiple_of(4);
        let bytes = self.bytes.get(at..at + 4)?;
        self.at = at + 4;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let text = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length + 1;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn signature(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(*self.bytes.get(self.at)?);
        let text = self.bytes.get(self.at + 1..self.at + 1 + length)?;
        self.at += length + 2;
        Some(text)
    }
}

/// What has come.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    /// 1 a call, 2 an answer, 3 an error, 4 a signal.
    kind: u8,
    reply_to: u32,
    member: String,
    error: String,
    body: Vec<u8>,
}

impl Message {
    /// Reads one message and tells its length; `None` while it is not whole.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>> {
        let Some(head) = bytes.get(..16) else { return Ok(None) };
        if head[0] != b'l' || head[3] != 1 {
            bail!("systemd: speaks another D-Bus");
        }
        let number = |at: usize| {
            usize::try_from(u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]))
                .unwrap_or(usize::MAX)
        };
        let (body, fields) = (number(4), number(12));
        if body > LIMIT || fields > LIMIT {
            bail!("systemd: a message of {} bytes", body.saturating_add(fields));
        }
        let start = (16 + fields).next_multiple_of(8);
        let Some(whole) = bytes.get(..start + body) else { return Ok(None) };
        let mut message = Self { kind: head[1], body: whole[start..].to_vec(), ..Self::default() };
        let mut reader = Reader { bytes: &whole[..16 + fields], at: 16 };
        while reader.at < 16 + fields {
            reader.at = reader.at.next_multiple_of(8);
            let Some(code) = reader.bytes.get(reader.at).copied() else { break };
            reader.at += 1;
            let read = match reader.signature() {
                Some(b"u") => reader.number().map(|value| {
                    if code == 5 {
                        message.reply_to = value;
                    }
                }),
                Some(b"s" | b"o") => reader.text().map(|text| match code {
                    3 => message.member = text,
                    4 => message.error = text,
                    _ => {}
                }),
                Some(b"g") => reader.signature().map(|_| ()),
                _ => None,
            };
            read.context("systemd: a message that cannot be read")?;
        }
        Ok(Some((message, start + body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_messages_that_it_can_read() {
        let mut body = Writer::default();
        body.text("x.scope");
        let message = Call::manager("Subscribe").message(7, "s", &body.bytes);
        let (read, length) = Message::parse(&message).unwrap().unwrap();
        assert_eq!((read.kind, read.member.as_str(), length), (1, "Subscribe", message.len()));
        assert_eq!(Reader { bytes: &read.body, at: 0 }.text().unwrap(), "x.scope");
        for cut in 0..message.len() {
            assert!(Message::parse(&message[..cut]).unwrap().is_none());
        }
        let mut big = message.clone();
        big[7] = 0xff;
        assert!(Message::parse(&big).is_err());
        assert!(Message::parse(&[b'B'; 16]).is_err());
    }

    #[test]
    fn aligns_as_the_specification_says() {
        let mut writer = Writer::default();
        writer.array(8, |list| list.property("A", "b", |value| value.number(1)));
        // The length, up to a multiple of eight, then "A" with its length and end, "b" likewise, and the number.
        let bytes = [
            &16_u32.to_le_bytes()[..],
            &[0; 4],
            &[1, 0, 0, 0, b'A', 0],
            &[1, b'b', 0],
            &[0, 0, 0],
            &[1, 0, 0, 0],
        ];
        assert_eq!(writer.bytes, bytes.concat());
    }

    #[test]
    fn hears_a_refusal() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut bus = Bus { socket: ours, output: Vec::new(), input: Vec::new(), serial: 0, greeted: false };
        theirs.write_all(b"REJECTED EXTERNAL\r\n").unwrap();
        let error = bus.answer(1).unwrap_err();
        assert_eq!(error.to_string(), "systemd: refuses this user: REJECTED EXTERNAL");
    }
}
