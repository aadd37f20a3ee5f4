//! Sizes, times and command lines, as Compose's files write them.

/// Reads a size: digits, perhaps a fraction, and a unit (`b k m g t p`, also `kb`, `kib`).
pub(super) fn bytes(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('-') {
        return (rest == "1").then_some(-1);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start().to_ascii_lowercase());
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(1 << shift);
    }
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a fraction of a size")]
    let size = (number.parse::<f64>().ok()? * (1i64 << shift) as f64) as i64;
    Some(size)
}

/// Reads a time as Go does, with days and weeks: nanoseconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number = &rest[..end];
        let after = &rest[end..];
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit: i64 = match &after[..unit_end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let mut part = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()?.checked_mul(unit)? };
        if !fraction.is_empty() {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "below one unit")]
            let below = (format!("0.{fraction}").parse::<f64>().ok()? * unit as f64) as i64;
            part = part.checked_add(below)?;
        } else if whole.is_empty() {
            return None;
        }
        total = total.checked_add(part)?;
        rest = &after[unit_end..];
    }
    Some(if negative { -total } else { total })
}

/// Writes a time as Go does: `1m30s`, `1.5s`, `100ms`.
pub(super) fn duration_text(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let left = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64, name: &str| {
        let digits = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        let dot = if digits.is_empty() || unit == 1 { "" } else { "." };
        let digits = if unit == 1 { "" } else { digits };
        format!("{}{dot}{digits}{name}", value / unit)
    };
    let text = match left {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{left}ns"),
        1_000..1_000_000 => fraction(left, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(left, 1_000_000, "ms"),
        _ => {
            let seconds = left / 1_000_000_000;
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let text = match (hours, minutes) {
                (0, _) if seconds < 60 => String::new(),
                (0, minutes) => format!("{minutes}m"),
                (hours, minutes) => format!("{hours}h{minutes}m"),
            };
            text + &fraction(left % 60_000_000_000, 1_000_000_000, "s")
        }
    };
    format!("{sign}{text}")
}

/// Splits a command line as a shell does, without expanding anything; `None` if a quote stays open.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            '\n' => {}
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => match chars.next()? {
                '\n' => {}
                c => word.get_or_insert_default().push(c),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        for (text, size) in
            [("1g", 1 << 30), ("64m", 64 << 20), ("50M", 50 << 20), ("10kb", 10240), ("1.5k", 1536)]
        {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        assert_eq!(bytes("1GiB"), Some(1 << 30));
        assert_eq!(bytes("7"), Some(7));
        assert_eq!(bytes("-1"), Some(-1));
        assert!(bytes("5x").is_none() && bytes("").is_none() && bytes("m").is_none());
    }

    #[test]
    fn reads_and_writes_times() {
        for (text, written) in [
            ("1m30s", "1m30s"),
            ("120s", "2m0s"),
            ("90m", "1h30m0s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("1500us", "1.5ms"),
            ("0", "0s"),
            ("1d", "24h0m0s"),
            ("7ns", "7ns"),
        ] {
            assert_eq!(duration_text(duration(text).unwrap()), written, "{text}");
        }
        for bad in ["", "5", "x", "1y", ".s", "-"] {
            assert!(duration(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn splits_command_lines() {
        let split = |text: &str| words(text).unwrap();
        assert_eq!(split("bash -c \"echo hi $X\""), ["bash", "-c", "echo hi $X"]);
        assert_eq!(split("a 'b  c'd \\e ''"), ["a", "b  cd", "e", ""]);
        assert!(words("a 'b").is_none());
    }
}
