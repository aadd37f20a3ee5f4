//! Lines as JSON, fast: a container that writes much waits for this.
//!
//! Nearly every line is plain text that stands in JSON as it is. Eight bytes are looked at in one word to find those
//! that do not (as in Bit Twiddling Hacks, "determine if a word has a byte less than n").

use memchr::memchr;

use super::{LINE_LIMIT, Stream};

/// Every byte a one.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of a word that JSON escapes: the lowest mark is right, those above it may be wrong.
const fn special(word: u64) -> u64 {
    const fn less(word: u64, than: u64) -> u64 {
        word.wrapping_sub(ONES * than) & !word & HIGH
    }
    less(word, 0x20) | less(word ^ (ONES * b'"' as u64), 1) | less(word ^ (ONES * b'\\' as u64), 1)
}

/// Finds the first byte that JSON escapes.
fn find_special(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (index, bytes) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*bytes));
        if found != 0 {
            return Some(index * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let at = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
    Some(words.len() * 8 + at)
}

/// Puts text after `out` as the inside of a JSON string: what needs no escape goes in one piece.
fn escape(out: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text;
    while let Some(at) = find_special(rest) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// What follows the text in every entry of one moment.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// Makes it of where lines come from, what is said of each, and when they were read.
    pub(super) fn new(stream: Stream, attributes: &str, time: &str) -> Self {
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        Self(format!("\",\"stream\":\"{stream}\"{attributes},\"time\":\"{time}\"}}\n").into_bytes())
    }

    /// Puts an entry after `out`.
    pub(super) fn put(&self, out: &mut Vec<u8>, line: &[u8]) {
        out.extend_from_slice(b"{\"log\":\"");
        match std::str::from_utf8(line) {
            Ok(text) => escape(out, text.as_bytes()),
            Err(_) => escape(out, String::from_utf8_lossy(line).as_bytes()),
        }
        out.extend_from_slice(&self.0);
    }

    /// Puts the lines that `bytes` begins with after `out`, as long as they are whole, short and there are less
    /// than `most` bytes in `out`. Returns what is left.
    pub(super) fn put_lines<'a>(&self, out: &mut Vec<u8>, bytes: &'a [u8], most: usize) -> &'a [u8] {
        let mut rest = bytes;
        while out.len() < most
            && let Some(end) = memchr(b'\n', &rest[..rest.len().min(LINE_LIMIT - 1)])
        {
            self.put(out, &rest[..=end]);
            rest = &rest[end + 1..];
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_to_be_escaped_wherever_it_is() {
        for byte in 0..=u8::MAX {
            let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
            for length in 0..20 {
                for at in 0..length {
                    // Neighbours that a borrow could make look like it.
                    for other in [b'!', b'#', b'[', b']', 0x20, 0x7f, 0x80, 0xff] {
                        let mut text = vec![other; length];
                        text[at] = byte;
                        assert_eq!(find_special(&text), is_special.then_some(at), "{byte} {at} {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn lines_are_json() {
        let frame = Frame::new(Stream::Stderr, ",\"attrs\":{}", "t");
        let mut out = Vec::new();
        let rest = frame.put_lines(&mut out, b"a \"b\" \xc3\xa9\n\x01\xff\nrest", usize::MAX);
        assert_eq!(rest, b"rest");
        let text = String::from_utf8(out).unwrap();
        let tail = "\",\"stream\":\"stderr\",\"attrs\":{},\"time\":\"t\"}\n";
        assert_eq!(text, format!("{{\"log\":\"a \\\"b\\\" é\\n{tail}{{\"log\":\"\\u0001\u{fffd}\\n{tail}"));
        assert_eq!(frame.put_lines(&mut Vec::new(), b"a\nb\n", 1), b"b\n");
    }
}
