//! Sizes and durations as `docker/go-units` and Go's `time` write and read them, to the byte.

use super::template::print::{general, quote};

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

#[allow(clippy::cast_precision_loss)]
fn scaled(size: u64, base: f64, names: &[&'static str; 9], digits: usize) -> String {
    let mut size = size as f64;
    let mut unit = 0;
    while size >= base && unit + 1 < names.len() {
        size /= base;
        unit += 1;
    }
    format!("{}{}", general(size, digits), names[unit])
}

/// Writes a size in units of 1000 with `digits` significant digits: `78.1MB`.
pub(in crate::cli) fn human_size(size: u64, digits: usize) -> String {
    scaled(size, 1000.0, &DECIMAL, digits)
}

/// Writes a size in units of 1024: `15.54GiB`.
pub(in crate::cli) fn bytes_size(size: u64) -> String {
    scaled(size, 1024.0, &BINARY, 4)
}

/// Writes how long something took or is ago, roughly: `About a minute`.
pub(in crate::cli) fn human_duration(seconds: i64) -> String {
    // Go rounds hours to the nearest, but counts everything else down.
    let hours = (seconds + 1800) / 3600;
    match (seconds, seconds / 60, hours) {
        (..1, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, minutes @ 2..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., hours @ ..48) => format!("{hours} hours"),
        (.., hours @ ..336) => format!("{} days", hours / 24),
        (.., hours @ ..1440) => format!("{} weeks", hours / 24 / 7),
        (.., hours @ ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// Reads an amount of memory: `64m`, `1.5 GiB`, `4096`.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
pub(in crate::cli) fn memory(text: &str) -> Result<i64, String> {
    let Some(last) = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' ')) else {
        return Err(format!("invalid size: '{text}'"));
    };
    let number = if text.as_bytes()[last] == b' ' { &text[..last] } else { &text[..=last] };
    let suffix = text[last + 1..].to_ascii_lowercase();
    let bad_number = || format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(number));
    if number.is_empty() || number.contains(char::is_whitespace) {
        return Err(bad_number());
    }
    let size: f64 = number.parse().map_err(|_| bad_number())?;
    if size < 0.0 {
        return Err(format!("invalid size: '{text}'"));
    }
    let power = match suffix.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(format!("invalid suffix: '{suffix}'")),
    };
    Ok((size * 1024_f64.powi(power)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_sizes() {
        for (size, three, four) in [
            (0, "0B", "0B"),
            (999, "999B", "999B"),
            (1000, "1kB", "1kB"),
            (13_256, "13.3kB", "13.26kB"),
            (78_123_456, "78.1MB", "78.12MB"),
            (999_999, "1e+03kB", "1000kB"),
            (1_048_576, "1.05MB", "1.049MB"),
            (27_000_000_000, "27GB", "27GB"),
        ] {
            assert_eq!(human_size(size, 3), three);
            assert_eq!(human_size(size, 4), four);
        }
        assert_eq!(bytes_size(16_689_000_448), "15.54GiB");
        assert_eq!(bytes_size(1024), "1KiB");
        assert_eq!(bytes_size(1023), "1023B");
    }

    #[test]
    fn writes_durations() {
        let (minute, hour, day) = (60, 3600, 24 * 3600);
        for (seconds, text) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (minute, "About a minute"),
            (2 * minute - 1, "About a minute"),
            (59 * minute + 59, "59 minutes"),
            (hour, "About an hour"),
            (hour + 30 * minute, "2 hours"),
            (47 * hour, "47 hours"),
            (2 * day, "2 days"),
            (13 * day, "13 days"),
            (14 * day, "2 weeks"),
            (60 * day, "2 months"),
            (729 * day, "24 months"),
            (730 * day, "2 years"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn reads_memory() {
        for (text, size) in [
            ("32", 32),
            ("32b", 32),
            ("32kb", 32 << 10),
            ("1.5GiB", 3 << 29),
            ("64 m", 64 << 20),
            ("1T", 1 << 40),
        ] {
            assert_eq!(memory(text), Ok(size), "{text}");
        }
        assert_eq!(memory("hello"), Err("invalid size: 'hello'".to_owned()));
        assert_eq!(memory("-32"), Err("invalid size: '-32'".to_owned()));
        assert_eq!(memory("32bb"), Err("invalid suffix: 'bb'".to_owned()));
        assert_eq!(memory("32x"), Err("invalid suffix: 'x'".to_owned()));
        assert!(memory("").is_err() && memory(" 32 ").is_err());
    }
}
