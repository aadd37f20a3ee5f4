//! Points in time, as Docker reads and writes them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::template::print::quote;
use crate::oci::duration;

/// Reads what `--since` and `--until` take: a duration before `now`, a date with or without time and zone,
/// or seconds since 1970.
pub(in crate::cli) fn read(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let bad = || format!("failed to parse value as time or duration: {}", quote(text));
    if text != "0"
        && let Ok(nanoseconds) = duration(text)
    {
        let ago = now.as_nanosecond() - i128::from(nanoseconds);
        return Timestamp::from_nanosecond(ago).map_err(|_| bad());
    }
    if let Some(moment) = read_date(text) {
        return moment.map_err(|()| bad());
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| bad())?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let nanoseconds = format!("{fraction:0<9}")[..9].parse().map_err(|_| bad())?;
    Timestamp::new(seconds, nanoseconds).map_err(|_| bad())
}

/// Reads a date; `None` if the text does not look like one, an error if it is a wrong one.
fn read_date(text: &str) -> Option<Result<Timestamp, ()>> {
    let date: Date = match text.get(..10)?.parse() {
        Ok(date) => date,
        Err(_) if text.matches('-').count() >= 2 => return Some(Err(())),
        Err(_) => return None,
    };
    let rest = &text[10..];
    let zone_at = rest.find(['z', 'Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let read = || {
        let time = match clock.strip_prefix('T') {
            None if clock.is_empty() => Time::midnight(),
            None => return None,
            Some(clock) => {
                let full = match clock.matches(':').count() {
                    0 => format!("{clock}:00:00"),
                    1 => format!("{clock}:00"),
                    _ => clock.to_owned(),
                };
                full.parse().ok()?
            }
        };
        let moment = DateTime::from_parts(date, time);
        let zone = match zone {
            "" => local_zone(),
            "z" | "Z" => TimeZone::UTC,
            offset => return format!("{moment}{offset}").parse().ok(),
        };
        Some(moment.to_zoned(zone).ok()?.timestamp())
    };
    Some(read().ok_or(()))
}

/// Returns the local time zone. Read from its one file: `jiff` would go through all of the zone database to
/// find out what the zone is called, which takes longer than all else that a listing does.
fn local_zone() -> TimeZone {
    if std::env::var_os("TZ").is_some() {
        return TimeZone::system();
    }
    let rules = std::fs::read("/etc/localtime").unwrap_or_default();
    TimeZone::tzif("Local", &rules).unwrap_or(TimeZone::UTC)
}

/// Writes a moment as Go's `time.Unix(s, 0).String()` does: in local time, with the zone's offset and name.
pub(in crate::cli) fn local(moment: Timestamp) -> String {
    let seconds = Timestamp::from_second(moment.as_second()).unwrap_or(moment);
    seconds.to_zoned(local_zone()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// Writes a moment as RFC 3339 in local time, in whole seconds.
pub(in crate::cli) fn rfc3339(moment: Timestamp) -> String {
    moment.to_zoned(local_zone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().replace("+00:00", "Z")
}

/// Writes a moment as RFC 3339 in local time, always with nine decimals.
pub(in crate::cli) fn rfc3339_nanoseconds(moment: Timestamp) -> String {
    moment.to_zoned(local_zone()).strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string().replace("+00:00", "Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for (text, wanted) in [
            ("10m", "2026-01-02T02:54:05Z"),
            ("1.5h", "2026-01-02T01:34:05Z"),
            ("1767323045", "2026-01-02T03:04:05Z"),
            ("1767323045.25", "2026-01-02T03:04:05.25Z"),
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z"),
            ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
            ("2026-01-02T03:04:05-02:00", "2026-01-02T05:04:05Z"),
            ("2026-01-02T03:04Z", "2026-01-02T03:04:00Z"),
            ("2026-01-02T03Z", "2026-01-02T03:00:00Z"),
            ("2026-01-02Z", "2026-01-02T00:00:00Z"),
            ("0", "1970-01-01T00:00:00Z"),
        ] {
            let moment = read(text, now).map(|moment| moment.to_string());
            assert_eq!(moment.as_deref(), Ok(wanted), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "2026-01-02T99", "1.x"] {
            assert!(read(text, now).is_err(), "{text}");
        }
    }
}
