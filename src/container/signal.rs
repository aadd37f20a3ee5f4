//! Signals by name or number, as Docker reads them.

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

/// Reads `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`.
pub fn parse(text: &str) -> Result<i32> {
    let bad = || anyhow::anyhow!("invalid signal: {text}");
    if let Ok(number) = text.parse::<i32>() {
        if (1..=64).contains(&number) {
            return Ok(number);
        }
        return Err(bad());
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        // glibc keeps the first two; names count from the third, number 34.
        let offset =
            if rest.is_empty() { 0 } else { rest.strip_prefix('+').ok_or_else(bad)?.parse::<i32>()? };
        if !(0..=30).contains(&offset) {
            bail!("invalid signal: {text}");
        }
        return Ok(34 + offset);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        let offset =
            if rest.is_empty() { 0 } else { rest.strip_prefix('-').ok_or_else(bad)?.parse::<i32>()? };
        if !(0..=30).contains(&offset) {
            bail!("invalid signal: {text}");
        }
        return Ok(64 - offset);
    }
    let name = match name {
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    format!("SIG{name}").parse::<Signal>().map(|signal| signal as i32).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_numbers() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("sigterm", 15), ("SIGQUIT", 3), ("RTMIN+3", 37), ("SIGRTMAX", 64)]
        {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for bad in ["0", "65", "FOO", "", "RTMIN-1", "-1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
