//! One member's header as bytes: the same for the same member, whoever writes it and whenever.
//!
//! A header is POSIX ustar, with a PAX extended header before it (POSIX.1-2001 pax(1)) only for what does
//! not fit. Names of users and groups are left empty, for they mean nothing elsewhere.

use std::io::Write as _;

/// The unit of a tar archive, in bytes.
pub(super) const BLOCK: usize = 512;
/// The longest name that a plain header has room for.
const NAME: usize = 100;
/// The largest number of seven and of eleven octal digits.
const SEVEN: u64 = 0o7_777_777;
const ELEVEN: u64 = 0o77_777_777_777;

/// One member: what its header says.
#[derive(Debug, Clone, Default)]
pub(in crate::image) struct Header<'a> {
    /// The name; that of a directory ends in a slash.
    pub(in crate::image) path: &'a [u8],
    /// The target of a link.
    pub(in crate::image) link: &'a [u8],
    /// The type flag.
    pub(in crate::image) kind: u8,
    /// Permission bits.
    pub(in crate::image) mode: u32,
    pub(in crate::image) uid: u32,
    pub(in crate::image) gid: u32,
    /// The number of bytes that follow.
    pub(in crate::image) size: u64,
    /// Seconds and nanoseconds of the last modification.
    pub(in crate::image) modified: (i64, u32),
    /// Major and minor number of a device.
    pub(in crate::image) device: (u32, u32),
    /// The length of a sparse file, of which only a map and the data follow.
    pub(in crate::image) sparse: Option<u64>,
    /// Extended attributes, sorted by name.
    pub(in crate::image) attributes: &'a [(Vec<u8>, Vec<u8>)],
}

impl Header<'_> {
    /// Appends the header, with the extended one that it needs.
    pub(in crate::image) fn write(&self, out: &mut Vec<u8>) {
        let records = self.records();
        if !records.is_empty() {
            let extended = Header {
                path: b"PaxHeaders/member",
                kind: b'x',
                mode: 0o644,
                size: records.len() as u64,
                ..Header::default()
            };
            extended.block(out);
            out.extend_from_slice(&records);
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
        self.block(out);
    }

    /// Returns how many bytes longer the header is for the parts of a second of its time.
    pub(in crate::image) fn parts(&self) -> u64 {
        if self.modified.1 == 0 {
            return 0;
        }
        let extended = |header: &Header<'_>| match header.records().len() {
            0 => 0,
            length => BLOCK + length.next_multiple_of(BLOCK),
        };
        let whole = Header { modified: (self.modified.0, 0), ..self.clone() };
        (extended(self) - extended(&whole)) as u64
    }

    /// Returns the records of the extended header, sorted by key.
    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some(size) = self.sparse {
            record(&mut records, b"GNU.sparse.major", b"1");
            record(&mut records, b"GNU.sparse.minor", b"0");
            record(&mut records, b"GNU.sparse.name", self.path);
            record(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
        }
        for (name, value) in self.attributes {
            record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
        }
        if u64::from(self.gid) > SEVEN {
            record(&mut records, b"gid", self.gid.to_string().as_bytes());
        }
        if self.link.len() > NAME {
            record(&mut records, b"linkpath", self.link);
        }
        let (seconds, nanoseconds) = self.time();
        if nanoseconds != 0 || seconds > ELEVEN {
            let text = format!("{seconds}.{nanoseconds:09}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            record(&mut records, b"mtime", text.as_bytes());
        }
        if self.path.len() > NAME {
            record(&mut records, b"path", self.path);
        }
        if self.size > ELEVEN {
            record(&mut records, b"size", self.size.to_string().as_bytes());
        }
        if u64::from(self.uid) > SEVEN {
            record(&mut records, b"uid", self.uid.to_string().as_bytes());
        }
        records
    }

    /// Returns the time; what lies before 1970 becomes 1970, as unpacking has it.
    fn time(&self) -> (u64, u32) {
        u64::try_from(self.modified.0).map_or((0, 0), |seconds| (seconds, self.modified.1))
    }

    fn block(&self, out: &mut Vec<u8>) {
        let mut block = [0; BLOCK];
        let text = |field: &mut [u8], text: &[u8]| {
            let length = text.len().min(field.len());
            field[..length].copy_from_slice(&text[..length]);
        };
        text(&mut block[..100], self.path);
        number(&mut block[100..108], u64::from(self.mode & 0o7777));
        number(&mut block[108..116], u64::from(self.uid).min(SEVEN));
        number(&mut block[116..124], u64::from(self.gid).min(SEVEN));
        number(&mut block[124..136], self.size.min(ELEVEN));
        number(&mut block[136..148], self.time().0.min(ELEVEN));
        block[156] = self.kind;
        text(&mut block[157..257], self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        number(&mut block[329..337], self.device.0.into());
        number(&mut block[337..345], self.device.1.into());
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let mut field = &mut block[148..155];
        // Six digits are enough for the sum of 512 bytes.
        let _ = write!(field, "{sum:06o}\0");
        out.extend_from_slice(&block);
    }
}

/// Writes a number in octal, or in base 256 (GNU tar) if it does not fit.
fn number(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    if value >> (3 * digits) == 0 {
        let mut field = &mut field[..digits];
        let _ = write!(field, "{value:0digits$o}");
    } else {
        let bytes = value.to_be_bytes();
        let shared = field.len().min(bytes.len());
        let at = field.len() - shared;
        field[at..].copy_from_slice(&bytes[bytes.len() - shared..]);
        field[0] |= 0x80;
    }
}

/// Appends a record, whose length counts the digits of the length itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::unpack::{Kind, Members};

    #[test]
    fn is_read_back() {
        let long = [b"deep/".repeat(30), b"file".to_vec()].concat();
        let attributes = [(b"user.a".to_vec(), b"x\0\n=".to_vec()), (b"user.b".to_vec(), vec![b'v'; 99])];
        let header = Header {
            path: &long,
            kind: b'0',
            mode: 0o4755,
            uid: 3_000_000_000,
            gid: 7,
            size: 0,
            modified: (1_700_000_000, 120_000_000),
            attributes: &attributes,
            ..Header::default()
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        let device = Header { path: b"null", kind: b'3', device: (1, 5_000_000), ..Header::default() };
        device.write(&mut bytes);
        Header { path: b"l", link: &long, kind: b'2', modified: (-5, 3), ..Header::default() }
            .write(&mut bytes);
        bytes.resize(bytes.len() + 2 * BLOCK, 0);
        let mut members = Members::new(&bytes[..]);
        let member = members.next().unwrap().unwrap();
        assert_eq!((member.path, member.kind, member.mode), (long.clone(), Kind::File, 0o4755));
        assert_eq!((member.uid, member.gid), (3_000_000_000, 7));
        assert_eq!(member.modified, (1_700_000_000, 120_000_000));
        assert_eq!(member.attributes, attributes);
        let member = members.next().unwrap().unwrap();
        assert_eq!((member.kind, member.device), (Kind::Character, (1, 5_000_000)));
        let member = members.next().unwrap().unwrap();
        assert_eq!((member.link, member.modified), (long, (0, 0)));
        assert_eq!(members.next().unwrap(), None);
    }

    #[test]
    fn counts_its_own_length() {
        for length in [1, 90, 91, 92, 93, 990, 991, 992] {
            let mut out = Vec::new();
            record(&mut out, b"key", &vec![b'v'; length]);
            let told: usize = String::from_utf8_lossy(&out).split(' ').next().unwrap().parse().unwrap();
            assert_eq!(told, out.len());
        }
    }
}
