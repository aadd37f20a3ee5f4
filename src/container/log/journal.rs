//! Lines to the system's journal, in its native protocol: a datagram a line, and what is too long for one as a
//! sealed memory file that goes with an empty one (systemd.io, "Native Journal Protocol").
//!
//! The fields are those that Docker's driver writes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::{MemfdFlags, SealFlags};

use super::{Stream, attributes};
use crate::container::config::ContainerConfig;
use crate::sys;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Refuses a journal that is not there.
pub(super) fn check() -> Result<()> {
    if !Path::new(SOCKET).exists() {
        bail!("journald is not enabled on this host: there is no {SOCKET}");
    }
    Ok(())
}

/// A connection to the journal, and what is said of every line.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    fields: Vec<u8>,
}

impl Journal {
    pub(super) fn connect(
        config: &ContainerConfig,
        name: &str,
        said: &BTreeMap<String, String>,
    ) -> Result<Self> {
        Self::connect_to(Path::new(SOCKET), config, name, said)
    }

    fn connect_to(
        path: &Path,
        config: &ContainerConfig,
        name: &str,
        said: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let socket = UnixDatagram::unbound().context("make a socket")?;
        socket.connect(path).with_context(|| format!("connect to the journal at {}", path.display()))?;
        let mut fields = Vec::new();
        let short = config.id.get(..12).unwrap_or(&config.id);
        let tag = match said.get("tag") {
            Some(tag) => tag.clone(),
            None => attributes::tag(config, name, "{{.ID}}")?,
        };
        for (key, value) in [
            ("CONTAINER_ID", short),
            ("CONTAINER_ID_FULL", &config.id),
            ("CONTAINER_NAME", name),
            ("CONTAINER_TAG", &tag),
            ("IMAGE_NAME", &config.image_name),
            ("SYSLOG_IDENTIFIER", &tag),
        ] {
            field(&mut fields, key, value.as_bytes());
        }
        for (key, value) in said.iter().filter(|(key, _)| *key != "tag") {
            field(&mut fields, &key_of(key), value.as_bytes());
        }
        Ok(Self { socket, fields })
    }

    /// Sends a line, or a piece of one. One that the journal does not take is lost to it, as in Docker.
    pub(super) fn send(&self, stream: Stream, line: &[u8]) {
        let mut message = self.fields.clone();
        field(&mut message, "PRIORITY", if stream == Stream::Stderr { b"3" } else { b"6" });
        let text = line.strip_suffix(b"\n");
        if text.is_none() {
            field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        field(&mut message, "MESSAGE", text.unwrap_or(line));
        if let Err(error) = self.socket.send(&message)
            && matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::ENOBUFS))
        {
            let _ = self.send_as_file(&message);
        }
    }

    fn send_as_file(&self, message: &[u8]) -> Result<()> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("journal", flags)?);
        file.write_all(message)?;
        rustix::fs::fcntl_add_seals(
            &file,
            SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
        )?;
        Ok(sys::socket::send(&self.socket, &[], &[file.as_fd()])?)
    }
}

/// Puts a field after `out`. One with more than a line is written with its length.
fn field(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Makes the name of a field of any text: capitals, digits and underscores, with a letter first.
fn key_of(text: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    let key: String = text.chars().map(plain).collect();
    key.trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn sends_lines_and_what_is_longer_than_a_datagram() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        let config = crate::container::spec::tests::config();
        let said = BTreeMap::from([("_my.label".to_owned(), "a\nb".to_owned())]);
        let journal = Journal::connect_to(&path, &config, "web", &said).unwrap();
        journal.send(Stream::Stderr, b"hello\n");
        let mut buffer = vec![0; 1 << 20];
        let (count, fds) = sys::socket::receive(&listener, &mut buffer).unwrap();
        assert!(fds.is_empty());
        let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        let got = &buffer[..count];
        for part in [
            &b"CONTAINER_NAME=web\n"[..],
            b"MY_LABEL\n\x03\0\0\0\0\0\0\0a\nb\n",
            b"PRIORITY=3\nMESSAGE=hello\n",
            format!("CONTAINER_TAG={}\n", &config.id[..12]).as_bytes(),
        ] {
            assert!(has(got, part), "{}", String::from_utf8_lossy(part));
        }
        journal.send(Stream::Stdout, &vec![b'x'; 4 << 20]);
        let (count, mut fds) = sys::socket::receive(&listener, &mut buffer).unwrap();
        assert_eq!((count, fds.len()), (0, 1));
        let mut text = Vec::new();
        let file = File::from(fds.remove(0));
        // The place in the file is where its writer left it.
        std::os::unix::fs::FileExt::read_at(&file, &mut [0], 0).unwrap();
        let mut file = file;
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut text).unwrap();
        assert!(text.len() > 4 << 20 && has(&text[..2000], b"CONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=xxx"));
    }
}
