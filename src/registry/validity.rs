//! When a certificate is valid (RFC 5280, section 4.1.2.5). The library that verifies certificates does not say.

use std::ops::RangeInclusive;

/// ASN.1 tags.
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Returns the seconds since 1970 between which the certificate, in DER, is valid. `None`: it is no certificate.
pub(super) fn of(certificate: &[u8]) -> Option<RangeInclusive<i64>> {
    let (certificate, _) = take(certificate, SEQUENCE)?;
    let (signed, _) = take(certificate, SEQUENCE)?;
    let rest = take(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let (_, rest) = take(rest, INTEGER)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (validity, _) = take(rest, SEQUENCE)?;
    let (first, rest) = time(validity)?;
    let (last, _) = time(rest)?;
    Some(first..=last)
}

/// Returns the content of the first element, which must have this tag, and what is behind it.
fn take(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // So many bytes of length follow; certificates are shorter than 16 MiB.
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest, digits) = match take(bytes, UTC_TIME) {
        Some((text, rest)) => (text, rest, 2),
        None => take(bytes, GENERALIZED_TIME).map(|(text, rest)| (text, rest, 4))?,
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if text.len() != digits + 10 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let year: i16 = text[..digits].parse().ok()?;
    let year = match digits {
        2 if year < 50 => year + 2000,
        2 => year + 1900,
        _ => year,
    };
    let part = |at: usize| text[digits + at..digits + at + 2].parse::<i8>().ok();
    let moment =
        jiff::civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    Some((moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut bytes = if length < 0x80 {
            vec![tag, u8::try_from(length).unwrap()]
        } else {
            vec![tag, 0x82, u8::try_from(length >> 8).unwrap(), u8::try_from(length & 0xff).unwrap()]
        };
        bytes.extend(content);
        bytes
    }

    fn certificate(first: &[u8], last: &[u8]) -> Vec<u8> {
        let parts = [
            element(VERSION, &element(INTEGER, &[2])),
            element(INTEGER, &[1; 20]),
            element(SEQUENCE, &[5; 13]),
            element(SEQUENCE, &[6; 200]),
            element(SEQUENCE, &[first, last].concat()),
            element(SEQUENCE, &[7; 300]),
        ];
        element(SEQUENCE, &element(SEQUENCE, &parts.concat()))
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let made =
            certificate(&element(UTC_TIME, b"700101000000Z"), &element(GENERALIZED_TIME, b"20500101000001Z"));
        assert_eq!(of(&made), Some(0..=2_524_608_001));
        let made = certificate(&element(UTC_TIME, b"500101000000Z"), &element(UTC_TIME, b"491231235959Z"));
        assert_eq!(of(&made), Some(-631_152_000..=2_524_607_999));
    }

    #[test]
    fn whatever_is_cut_or_wrong_is_none() {
        let made = certificate(&element(UTC_TIME, b"200101000000Z"), &element(UTC_TIME, b"300101000000Z"));
        for length in 0..280 {
            assert_eq!(of(&made[..length]), None, "{length}");
        }
        for bad in [&b"200101000000"[..], b"20010100000xZ", b"201301000000Z", b"", b"2001010000Z", b"\xff"] {
            assert_eq!(of(&certificate(&element(UTC_TIME, bad), &element(UTC_TIME, b"300101000000Z"))), None);
        }
    }
}
