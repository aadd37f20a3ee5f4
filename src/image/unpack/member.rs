//! Reading a tar stream member by member.
//!
//! Understands the old form, POSIX ustar, PAX extended headers (POSIX.1-2001 pax(1)) and GNU tar's long
//! names, large numbers and sparse files. The stream comes from strangers, so everything that is kept in
//! memory has a limit, and a number that does not fit is an error and never wraps.
//!
//! Nothing here knows a disk: names are bytes as they stand in the archive.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::show;

/// The unit of a tar archive, in bytes.
const BLOCK: u64 = 512;
/// The most bytes that one extended header may have; what Go's archive/tar allows.
const EXTENDED_LIMIT: u64 = 1 << 20;
/// The most members of one archive.
const MEMBER_LIMIT: u64 = 10_000_000;
/// The most bytes that are read and not extracted: data of whiteouts, and what follows the archive's end.
/// Compressed, they would cost their sender nothing.
const SKIP_LIMIT: u64 = 1 << 30;
/// The most data regions of one sparse file.
const REGION_LIMIT: usize = 1 << 16;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Kind {
    /// A regular file, whose bytes follow.
    File,
    /// Another name of an earlier member.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// One member of an archive: its header, with what extended headers said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::image) struct Member {
    /// The name, as it stands.
    pub(in crate::image) path: Vec<u8>,
    /// The target of a link, as it stands.
    pub(in crate::image) link: Vec<u8>,
    pub(in crate::image) kind: Kind,
    /// Permission bits with set-id and sticky bits, and nothing else.
    pub(in crate::image) mode: u32,
    pub(in crate::image) uid: u32,
    pub(in crate::image) gid: u32,
    /// The length of the file once it is extracted.
    pub(in crate::image) size: u64,
    /// Seconds and nanoseconds of the time of last modification; never before 1970.
    pub(in crate::image) modified: (i64, u32),
    /// Major and minor number of a device.
    pub(in crate::image) device: (u32, u32),
    /// Extended attributes with their values.
    pub(in crate::image) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// For a sparse file: where its data regions lie in the file, and how long they are.
    pub(in crate::image) regions: Option<Vec<(u64, u64)>>,
}

/// The members of an archive that is being read.
#[derive(Debug)]
pub(in crate::image) struct Members<R> {
    input: R,
    /// Bytes of the current member's data that nobody has read.
    left: u64,
    /// Bytes that fill the last block of the data.
    padding: u64,
    count: u64,
    skipped: u64,
}

/// What extended headers said about the member they stand before.
#[derive(Debug, Default)]
struct Extended {
    /// From headers of GNU tar, which come before those of POSIX in weight, as in Go's archive/tar.
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    /// From the last header of POSIX: an earlier one counts no more.
    pax: Pax,
}

/// What a POSIX extended header said.
#[derive(Debug, Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    modified: Option<(i64, u32)>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The same from libarchive, whose own records come beside the others or alone.
    libarchive: BTreeMap<Vec<u8>, Vec<u8>>,
    sparse_version: (u64, u64),
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    /// Offsets and lengths in turn.
    sparse_map: Option<Vec<u64>>,
}

fn bad(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

impl<R: BufRead> Members<R> {
    /// Starts to read an archive.
    pub(in crate::image) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0, count: 0, skipped: 0 }
    }

    /// Returns the next member, past what is left of the current one's data; `None` at the end.
    pub(in crate::image) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut extended = Extended::default();
        loop {
            self.skipped(self.left)?;
            self.skip(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
            let Some(block) = self.header_block()? else { return Ok(None) };
            self.count += 1;
            if self.count > MEMBER_LIMIT {
                return Err(bad(format!("the archive has more than {MEMBER_LIMIT} members")));
            }
            let size = number(&block[124..136])?;
            match block[156] {
                b'x' => {
                    let records = self.extended(size)?;
                    extended.pax = Pax::parse(&records)?;
                }
                // A global header's only use in practice is the comment of git-archive(1); Docker skips it too.
                b'g' => {
                    self.extended(size)?;
                }
                b'L' => extended.long_path = Some(text(&self.extended(size)?).to_vec()),
                b'K' => extended.long_link = Some(text(&self.extended(size)?).to_vec()),
                // The label of a GNU volume.
                b'V' => self.begin(size)?,
                _ => return self.member(&block, size, extended).map(Some),
            }
        }
    }

    /// Hands the current member's data to `sink`, piece by piece, in the order of the archive.
    pub(in crate::image) fn data<E: From<io::Error>>(
        &mut self,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.left > 0 {
            let chunk = fill(&mut self.input)?;
            let length = chunk.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            sink(&chunk[..length])?;
            self.input.consume(length);
            self.left -= length as u64;
        }
        Ok(())
    }

    /// Reads what follows the end of the archive, so that whoever hashes the stream sees all of it.
    pub(in crate::image) fn finish(mut self) -> io::Result<()> {
        loop {
            let length = retry(&mut self.input)?.len();
            if length == 0 {
                return Ok(());
            }
            self.input.consume(length);
            self.skipped(length as u64)?;
        }
    }

    fn begin(&mut self, size: u64) -> io::Result<()> {
        self.left = size;
        self.padding = padding(size);
        if size.checked_add(self.padding).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(bad("a size in the archive is too large"));
        }
        Ok(())
    }

    /// Counts bytes that are read for nothing.
    fn skipped(&mut self, count: u64) -> io::Result<()> {
        self.skipped = self.skipped.saturating_add(count);
        if self.skipped > SKIP_LIMIT {
            return Err(bad("the archive has too much data that belongs to no file"));
        }
        Ok(())
    }

    fn skip(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let length = fill(&mut self.input)?.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            self.input.consume(length);
            count -= length as u64;
        }
        Ok(())
    }

    /// Returns the next header block; `None` at two blocks of zeros or at the end of the stream.
    fn header_block(&mut self) -> io::Result<Option<[u8; 512]>> {
        if retry(&mut self.input)?.is_empty() {
            return Ok(None);
        }
        let mut block = [0; 512];
        self.exact(&mut block)?;
        if block == [0; 512] {
            if retry(&mut self.input)?.is_empty() {
                return Ok(None);
            }
            self.exact(&mut block)?;
            if block == [0; 512] {
                return Ok(None);
            }
            return Err(bad("not a tar archive: a block of zeros stands between its members"));
        }
        let sum = |signed: bool| {
            block.iter().enumerate().fold(0i64, |sum, (at, &byte)| {
                let byte = if (148..156).contains(&at) { b' ' } else { byte };
                sum + if signed { i64::from(byte.cast_signed()) } else { i64::from(byte) }
            })
        };
        let told = number(&block[148..156]).ok().and_then(|told| i64::try_from(told).ok());
        if told.is_none_or(|told| told != sum(false) && told != sum(true)) {
            return Err(bad("not a tar archive: a header has a wrong checksum"));
        }
        Ok(Some(block))
    }

    fn exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => truncated(),
            _ => error,
        })
    }

    /// Reads the data of an extended header or a long name.
    fn extended(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > EXTENDED_LIMIT {
            return Err(bad(format!("an extended header of {size} bytes is too large")));
        }
        self.begin(size)?;
        let mut bytes = Vec::new();
        self.data(|chunk| {
            bytes.extend_from_slice(chunk);
            Ok::<_, io::Error>(())
        })?;
        Ok(bytes)
    }

    fn member(&mut self, block: &[u8; 512], size: u64, extended: Extended) -> io::Result<Member> {
        let Extended { long_path, long_link, pax: extended } = extended;
        let path = extended.sparse_name.or(long_path).or(extended.path);
        let path = path.unwrap_or_else(|| short_path(block));
        let link = long_link.or(extended.link).unwrap_or_else(|| text(&block[157..257]).to_vec());
        if path.contains(&0) || link.contains(&0) {
            return Err(bad("a name in the archive has a NUL in it"));
        }
        let kind = match block[156] {
            // Before POSIX a directory was a file whose name ends in a slash.
            0 | b'0' if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                return Err(bad(format!("unhandled tar header type {other} of {}", show(&path))));
            }
        };
        let mut size = extended.size.unwrap_or(size);
        if matches!(block[156], b'1'..=b'6') {
            // Links of old archives tell the size of their target, and nothing follows.
            size = 0;
        }
        self.begin(size)?;
        let mut regions = None;
        if block[156] == b'S' {
            let (map, real) = self.gnu_sparse(block)?;
            (regions, size) = (Some(map), real);
        } else if kind == Kind::File && extended.sparse_version == (1, 0) {
            regions = Some(pairs(&self.sparse_map()?)?);
            size = extended.sparse_size.unwrap_or(size);
        } else if kind == Kind::File
            && let Some(map) = extended.sparse_map
        {
            regions = Some(pairs(&map)?);
            size = extended.sparse_size.unwrap_or(size);
        }
        if let Some(regions) = &regions {
            check_regions(regions, self.left, size)?;
        }
        let id =
            |bytes| number(bytes).and_then(|id| u32::try_from(id).map_err(|_| bad("an owner is too large")));
        let device = |bytes| number(bytes).ok().and_then(|part| u32::try_from(part).ok()).unwrap_or(0);
        Ok(Member {
            path,
            link,
            kind,
            mode: (number(&block[100..108])? & 0o7777) as u32,
            uid: extended.uid.map_or_else(|| id(&block[108..116]), Ok)?,
            gid: extended.gid.map_or_else(|| id(&block[116..124]), Ok)?,
            size,
            modified: extended.modified.unwrap_or_else(|| (seconds(&block[136..148]), 0)),
            device: match kind {
                Kind::Character | Kind::Block => (device(&block[329..337]), device(&block[337..345])),
                _ => (0, 0),
            },
            attributes: {
                let mut attributes = extended.libarchive;
                attributes.extend(extended.attributes);
                attributes.into_iter().collect()
            },
            regions,
        })
    }

    /// Reads the map of GNU tar's own sparse format: four regions in the header, more in blocks after it.
    fn gnu_sparse(&mut self, block: &[u8; 512]) -> io::Result<(Vec<(u64, u64)>, u64)> {
        let mut regions = Vec::new();
        let mut add = |bytes: &[u8]| {
            for entry in bytes.chunks_exact(24) {
                if entry[0] != 0 && entry[12] != 0 {
                    regions.push((number(&entry[..12])?, number(&entry[12..])?));
                }
            }
            if regions.len() > REGION_LIMIT { Err(bad("a sparse file has too many regions")) } else { Ok(()) }
        };
        add(&block[386..482])?;
        let mut more = block[482] != 0;
        while more {
            let mut next = [0; 512];
            self.exact(&mut next)?;
            add(&next[..504])?;
            more = next[504] != 0;
        }
        Ok((regions, number(&block[483..495])?))
    }

    /// Reads the map of PAX format 1.0, which stands in decimal lines before the data.
    fn sparse_map(&mut self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut wanted = 1;
        let mut line = Vec::new();
        let mut read = 0u64;
        while numbers.len() < wanted {
            let mut block = [0; 512];
            if self.left < BLOCK {
                return Err(bad("the map of a sparse file is cut off"));
            }
            self.exact(&mut block)?;
            self.left -= BLOCK;
            read += BLOCK;
            if read > EXTENDED_LIMIT {
                return Err(bad("the map of a sparse file is too large"));
            }
            for byte in block {
                if numbers.len() == wanted {
                    break;
                }
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                numbers.push(decimal(&line)?);
                line.clear();
                if numbers.len() == 1 {
                    let count = usize::try_from(numbers[0]).unwrap_or(usize::MAX);
                    if count > REGION_LIMIT {
                        return Err(bad("a sparse file has too many regions"));
                    }
                    wanted = 1 + 2 * count;
                }
            }
        }
        numbers.remove(0);
        Ok(numbers)
    }
}

impl Pax {
    /// Parses the records of a header: `<length> <key>=<value>\n`.
    fn parse(mut records: &[u8]) -> io::Result<Self> {
        let mut pax = Self::default();
        let malformed = || bad("a PAX header is malformed");
        while !records.is_empty() {
            let space = memchr::memchr(b' ', records).ok_or_else(malformed)?;
            let length = usize::try_from(decimal(&records[..space])?).map_err(|_| malformed())?;
            let record = records.get(space + 1..length).ok_or_else(malformed)?;
            let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = memchr::memchr(b'=', record).ok_or_else(malformed)?;
            pax.record(&record[..equals], &record[equals + 1..])?;
            records = &records[length..];
        }
        Ok(pax)
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let id = |value| {
            decimal(value)
                .and_then(|id| u32::try_from(id).map_err(|_| bad("an owner is too large")))
                .map(Some)
        };
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            if name.is_empty() || name.contains(&0) {
                return Err(bad("an extended attribute has a bad name"));
            }
            self.attributes.insert(name.to_vec(), value.to_vec());
            return Ok(());
        }
        if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            let name = percent_decoded(name).filter(|name| !name.is_empty() && !name.contains(&0));
            let name = name.ok_or_else(|| bad("an extended attribute has a bad name"))?;
            let unpadded = value.trim_ascii_end().strip_suffix(b"==").unwrap_or(value);
            let unpadded = unpadded.strip_suffix(b"=").unwrap_or(unpadded);
            let value = STANDARD_NO_PAD
                .decode(unpadded)
                .map_err(|_| bad("an extended attribute has a malformed value"))?;
            self.libarchive.insert(name, value);
            return Ok(());
        }
        // An empty value takes back what stood before.
        let bytes = (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = bytes,
            b"linkpath" => self.link = bytes,
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = id(value)?,
            b"gid" => self.gid = id(value)?,
            b"mtime" => self.modified = Some(time(value)?),
            b"GNU.sparse.major" => self.sparse_version.0 = decimal(value)?,
            b"GNU.sparse.minor" => self.sparse_version.1 = decimal(value)?,
            b"GNU.sparse.name" => self.sparse_name = bytes,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse_size = Some(decimal(value)?),
            b"GNU.sparse.map" => {
                let map: io::Result<Vec<u64>> =
                    value.split(|&byte| byte == b',').filter(|part| !part.is_empty()).map(decimal).collect();
                self.sparse_map = Some(map?);
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse_map.get_or_insert_default().push(decimal(value)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Joins the name of a short header, with the prefix that only POSIX headers have.
fn short_path(block: &[u8; 512]) -> Vec<u8> {
    let name = text(&block[..100]);
    let prefix = text(&block[345..500]);
    // GNU's magic is "ustar  \0": it keeps other things where POSIX has the prefix.
    if block[257..263] != *b"ustar\0" || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

fn check_regions(regions: &[(u64, u64)], stored: u64, size: u64) -> io::Result<()> {
    let mut end = 0;
    let mut sum = 0u64;
    for &(offset, length) in regions {
        let next = offset.checked_add(length).filter(|next| *next <= size && offset >= end);
        end = next.ok_or_else(|| bad("the map of a sparse file is out of order"))?;
        sum += length;
    }
    if sum == stored { Ok(()) } else { Err(bad("the map of a sparse file does not match its data")) }
}

fn pairs(numbers: &[u64]) -> io::Result<Vec<(u64, u64)>> {
    if !numbers.len().is_multiple_of(2) || numbers.len() > 2 * REGION_LIMIT {
        return Err(bad("the map of a sparse file is malformed"));
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut off")
}

fn fill<R: BufRead>(input: &mut R) -> io::Result<&[u8]> {
    match retry(input)? {
        [] => Err(truncated()),
        chunk => Ok(chunk),
    }
}

/// Fills the buffer, past interruptions by signals.
fn retry<R: BufRead>(input: &mut R) -> io::Result<&[u8]> {
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // The buffer is full now, so this returns at once; the borrow checker cannot see the one above end.
    input.fill_buf()
}

/// Decodes `%41` and the like.
fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            decoded.push(*first);
        }
    }
    Some(decoded)
}

/// Returns a field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    &field[..memchr::memchr(0, field).unwrap_or(field.len())]
}

/// Reads a numeric field: octal text, or GNU's base 256 if the first bit is set.
fn number(field: &[u8]) -> io::Result<u64> {
    if field[0] & 0x80 != 0 {
        if field[0] & 0x40 != 0 {
            return Err(bad("a number in the archive is negative"));
        }
        return field.iter().enumerate().try_fold(0u64, |sum, (at, &byte)| {
            let byte = if at == 0 { byte & 0x3f } else { byte };
            sum.checked_mul(256)
                .and_then(|sum| sum.checked_add(u64::from(byte)))
                .ok_or_else(|| bad("a number in the archive is too large"))
        });
    }
    // Some writers fill numbers with NULs in front.
    let start = field.iter().position(|byte| !matches!(byte, b' ' | 0)).unwrap_or(field.len());
    let digits = text(&field[start..]).trim_ascii();
    digits.iter().try_fold(0u64, |sum, &digit| match digit {
        b'0'..=b'7' => sum
            .checked_mul(8)
            .map(|sum| sum + u64::from(digit - b'0'))
            .ok_or_else(|| bad("a number in the archive is too large")),
        _ => Err(bad("a number in the archive is malformed")),
    })
}

/// Reads a time of last modification; what cannot be told is 1970.
fn seconds(field: &[u8]) -> i64 {
    number(field).ok().and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0)
}

fn decimal(digits: &[u8]) -> io::Result<u64> {
    let parsed = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    parsed.and_then(|text| text.parse().ok()).ok_or_else(|| bad("a number in a PAX header is malformed"))
}

/// Reads a PAX time: seconds since 1970 with a fraction of any length.
fn time(value: &[u8]) -> io::Result<(i64, u32)> {
    if value.first() == Some(&b'-') {
        return Ok((0, 0));
    }
    let point = memchr::memchr(b'.', value).unwrap_or(value.len());
    let whole = i64::try_from(decimal(&value[..point])?).unwrap_or(0);
    let mut nanoseconds = 0;
    let fraction = value.get(point + 1..).unwrap_or_default();
    for at in 0..9 {
        let digit = fraction.get(at).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return Err(bad("a time in a PAX header is malformed"));
        }
        nanoseconds = nanoseconds * 10 + u32::from(digit - b'0');
    }
    Ok((whole, nanoseconds))
}
