//! Values as Go prints them, for the history of images.

use std::fmt::Write as _;

use crate::build::dockerfile::Health;

/// Prints a list as `%v` does: `[a b]`.
pub(super) fn list(values: &[String]) -> String {
    format!("[{}]", values.join(" "))
}

/// Prints a list as `%q` does: `["a" "b"]`.
pub(super) fn quoted(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quote(value)).collect();
    format!("[{}]", values.join(" "))
}

/// Quotes as `strconv.Quote` does.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() || (c.is_whitespace() && c != ' ') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Prints a health check as `%+v` does.
pub(super) fn health(health: &Health) -> String {
    format!(
        "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        list(&health.test),
        duration(health.interval),
        duration(health.timeout),
        duration(health.start_period),
        duration(health.start_interval),
        health.retries,
    )
}

/// Prints nanoseconds as Go prints a duration: `1m30s`, `1.5s`, `500ms`.
pub(super) fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64, name: &str| {
        let rest = value % unit;
        if rest == 0 {
            return format!("{}{name}", value / unit);
        }
        let digits = unit.ilog10() as usize;
        let rest = format!("{rest:0digits$}");
        format!("{}.{}{name}", value / unit, rest.trim_end_matches('0'))
    };
    let text = match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{total}ns"),
        1_000..1_000_000 => fraction(total, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(total, 1_000_000, "ms"),
        _ => {
            let minutes = total / 60_000_000_000;
            let seconds = fraction(total % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}
