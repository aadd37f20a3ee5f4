//! Health checks: what is asked for, what was found, and what follows from it. Pure; the supervisor runs them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dir::ContainerDir;
use super::status::Status;
use crate::store::{read_json, replace_json};

/// How many results are kept.
const KEPT: usize = 5;
/// The longest output of a check that is kept, in bytes.
pub(super) const OUTPUT_LIMIT: usize = 4096;

/// How a container's health is found out, in Docker's keys: of the image, of the user, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["CMD", argument…]`, `["CMD-SHELL", command]` or `["NONE"]`; empty: the image's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// The time between two checks, in nanoseconds; 0: 30 seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// The time after which a check has failed; 0: 30 seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// The time after the start in which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// The time between two checks in that time; 0: 5 seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// How many failures in a row make it unhealthy; 0: 3.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Decides on the health check of a container: the image's, with the user's wishes over it.
pub(super) fn merge(image: Option<&Value>, user: Option<&Healthcheck>) -> Result<Option<Value>> {
    let Some(user) = user else { return Ok(image.cloned()) };
    check(user)?;
    let image: Healthcheck =
        image.and_then(|image| serde_json::from_value(image.clone()).ok()).unwrap_or_default();
    let or = |user: i64, image: i64| if user == 0 { image } else { user };
    let merged = Healthcheck {
        test: if user.test.is_empty() { image.test } else { user.test.clone() },
        interval: or(user.interval, image.interval),
        timeout: or(user.timeout, image.timeout),
        start_period: or(user.start_period, image.start_period),
        start_interval: or(user.start_interval, image.start_interval),
        retries: or(user.retries, image.retries),
    };
    serde_json::to_value(merged).map(Some).context("serialise the health check")
}

/// Refuses times that Docker refuses.
fn check(wish: &Healthcheck) -> Result<()> {
    for (name, time) in [
        ("Interval", wish.interval),
        ("Timeout", wish.timeout),
        ("StartPeriod", wish.start_period),
        ("StartInterval", wish.start_interval),
    ] {
        if time != 0 && time < 1_000_000 {
            bail!("{name} in Healthcheck cannot be less than 1ms");
        }
    }
    if wish.retries < 0 {
        bail!("Retries in Healthcheck cannot be negative");
    }
    Ok(())
}

/// A health check that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The command line.
    pub(super) argv: Vec<String>,
    pub(super) timeout: Duration,
    interval: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: i64,
}

impl Plan {
    /// Reads the health check of a container; `None` if it has none. Shell commands are given to `shell`.
    pub(super) fn of(check: Option<&Value>, shell: &[String]) -> Option<Self> {
        let check: Healthcheck = serde_json::from_value(check?.clone()).ok()?;
        let (kind, words) = check.test.split_first()?;
        let argv = match kind.as_str() {
            "CMD" => words.to_vec(),
            "CMD-SHELL" if shell.is_empty() => {
                ["/bin/sh", "-c"].iter().map(ToString::to_string).chain(words.to_vec()).collect()
            }
            "CMD-SHELL" => shell.iter().chain(words).cloned().collect(),
            _ => return None,
        };
        let time = |nanoseconds: i64, default: u64| match u64::try_from(nanoseconds) {
            Ok(0) | Err(_) => Duration::from_secs(default),
            Ok(nanoseconds) => Duration::from_nanos(nanoseconds),
        };
        Some(Self {
            argv,
            timeout: time(check.timeout, 30),
            interval: time(check.interval, 30),
            start_period: time(check.start_period, 0),
            start_interval: time(check.start_interval, 5),
            retries: if check.retries <= 0 { 3 } else { check.retries },
        })
    }

    /// Decides how long after the last check, or after the start, the next one comes, `since` the start. With
    /// Docker's rules: the end of the start period is not waited past.
    pub(super) fn pause(&self, since: Duration, status: Word) -> Duration {
        let left = self.start_period.saturating_sub(since);
        if left.is_zero() {
            self.interval
        } else if left < self.interval {
            if status == Word::Starting { left.min(self.start_interval) } else { left }
        } else if status == Word::Starting {
            self.start_interval
        } else {
            self.interval
        }
    }
}

/// What is known of a container's health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// No check has succeeded yet, nor too many failed.
    #[default]
    Starting,
    /// The last check that counts succeeded.
    Healthy,
    /// Too many have failed, or it does not run.
    Unhealthy,
}

impl Word {
    /// Returns Docker's word for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The file `health.json`: what the checks have found, in Docker's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Health {
    /// What follows from them.
    pub(super) status: Word,
    /// How many have failed since the last success.
    pub(super) failing_streak: i64,
    /// The last ones.
    pub(super) log: Vec<Finding>,
}

/// What a check has found, in Docker's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Finding {
    /// When it started: RFC 3339, UTC.
    pub(super) start: String,
    /// When it ended.
    pub(super) end: String,
    /// Its exit code; -1 if it has none.
    pub(super) exit_code: i32,
    /// What it wrote.
    pub(super) output: String,
}

impl Health {
    /// Begins a run: what was found in the last one is kept.
    pub(super) fn begin(&mut self) {
        self.status = Word::Starting;
        self.failing_streak = 0;
    }

    /// Takes a finding in, of a check that started `since` the container's start. Returns whether the status
    /// has changed.
    pub(super) fn take(&mut self, finding: Finding, since: Duration, plan: &Plan) -> bool {
        let before = self.status;
        let code = finding.exit_code;
        self.log.push(finding);
        let old = self.log.len().saturating_sub(KEPT);
        self.log.drain(..old);
        if code == 0 {
            self.failing_streak = 0;
            self.status = Word::Healthy;
        } else if self.status != Word::Starting || since >= plan.start_period {
            self.failing_streak += 1;
            if self.failing_streak >= plan.retries {
                self.status = Word::Unhealthy;
            }
        }
        self.status != before
    }
}

/// Returns what is known of a container's health; `None` if it has no check, or never ran. One that does not
/// run, or is paused, is unhealthy, as in Docker.
pub(super) fn observe(dir: &ContainerDir, status: &Status) -> Option<Health> {
    let mut health: Health = load(dir).ok().flatten()?;
    if !matches!(status, Status::Running(_)) {
        health.status = Word::Unhealthy;
    }
    Some(health)
}

/// Loads the record.
pub(super) fn load(dir: &ContainerDir) -> Result<Option<Health>> {
    read_json(&dir.join("health.json"))
}

/// Writes the record. Only the supervisor calls this.
pub(super) fn put(dir: &ContainerDir, health: &Health) -> Result<()> {
    replace_json(&dir.join("health.json"), health)
}

/// Writes a duration as Go does.
pub(super) fn go_duration(time: Duration) -> String {
    let fraction = |whole: u64, part: u64, digits: usize| {
        let text = format!("{whole}.{part:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanoseconds / 1_000, nanoseconds % 1_000, 3)),
        1_000_000..1_000_000_000 => {
            format!("{}ms", fraction(nanoseconds / 1_000_000, nanoseconds % 1_000_000, 6))
        }
        _ => {
            let seconds = time.as_secs();
            let rest = fraction(seconds % 60, nanoseconds % 1_000_000_000, 9);
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => format!("{rest}s"),
                (0, minutes) => format!("{minutes}m{rest}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: i64 = 1_000_000_000;

    fn plan(check: &Value) -> Plan {
        Plan::of(Some(check), &[]).unwrap()
    }

    fn finding(exit_code: i32) -> Finding {
        Finding { exit_code, ..Finding::default() }
    }

    #[test]
    fn the_users_wishes_lie_over_the_images() {
        let image = json!({ "Test": ["CMD", "/check"], "Interval": 5 * SECOND, "Retries": 7 });
        assert_eq!(merge(Some(&image), None).unwrap(), Some(image.clone()));
        let wish = Healthcheck { timeout: SECOND, retries: 2, ..Healthcheck::default() };
        let merged = merge(Some(&image), Some(&wish)).unwrap().unwrap();
        assert_eq!(
            merged,
            json!({ "Test": ["CMD", "/check"], "Interval": 5 * SECOND, "Timeout": SECOND, "Retries": 2 })
        );
        let none = Healthcheck { test: vec!["NONE".into()], ..Healthcheck::default() };
        let merged = merge(Some(&image), Some(&none)).unwrap().unwrap();
        assert_eq!(Plan::of(Some(&merged), &[]), None);
        let short = Healthcheck { interval: 1000, ..Healthcheck::default() };
        let error = merge(None, Some(&short)).unwrap_err().to_string();
        assert_eq!(error, "Interval in Healthcheck cannot be less than 1ms");
    }

    #[test]
    fn reads_commands_and_defaults() {
        let shell = plan(&json!({ "Test": ["CMD-SHELL", "exit 0"] }));
        assert_eq!(shell.argv, ["/bin/sh", "-c", "exit 0"]);
        assert_eq!(
            (shell.interval, shell.timeout, shell.retries),
            (Duration::from_secs(30), Duration::from_secs(30), 3)
        );
        let other =
            Plan::of(Some(&json!({ "Test": ["CMD-SHELL", "x"] })), &["/bin/ash".into(), "-ec".into()]);
        assert_eq!(other.unwrap().argv, ["/bin/ash", "-ec", "x"]);
        assert_eq!(plan(&json!({ "Test": ["CMD", "a", "b"] })).argv, ["a", "b"]);
        assert_eq!(Plan::of(Some(&json!({ "Test": [] })), &[]), None);
        assert_eq!(Plan::of(None, &[]), None);
    }

    #[test]
    fn failures_count_after_the_start_period() {
        let plan = plan(&json!({ "Test": ["CMD", "x"], "StartPeriod": 10 * SECOND, "Retries": 2 }));
        let mut health = Health::default();
        assert!(!health.take(finding(1), Duration::from_secs(1), &plan));
        assert_eq!((health.status, health.failing_streak), (Word::Starting, 0));
        assert!(!health.take(finding(1), Duration::from_secs(11), &plan));
        assert!(health.take(finding(-1), Duration::from_secs(12), &plan));
        assert_eq!((health.status, health.failing_streak), (Word::Unhealthy, 2));
        assert!(health.take(finding(0), Duration::from_secs(13), &plan));
        assert_eq!((health.status, health.failing_streak, health.log.len()), (Word::Healthy, 0, 4));
        for _ in 0..5 {
            health.take(finding(0), Duration::from_secs(14), &plan);
        }
        assert_eq!(health.log.len(), KEPT);
        // Once healthy, failures count at once.
        health.begin();
        health.take(finding(0), Duration::ZERO, &plan);
        health.take(finding(1), Duration::ZERO, &plan);
        assert_eq!((health.status, health.failing_streak), (Word::Healthy, 1));
    }

    #[test]
    fn checks_come_more_often_while_it_starts() {
        let plan = plan(&json!({
            "Test": ["CMD", "x"], "Interval": 20 * SECOND, "StartPeriod": 60 * SECOND, "StartInterval": 2 * SECOND
        }));
        let pause = |since, status| plan.pause(Duration::from_secs(since), status).as_secs();
        assert_eq!(pause(0, Word::Starting), 2);
        assert_eq!(pause(0, Word::Healthy), 20);
        assert_eq!(pause(59, Word::Starting), 1);
        assert_eq!(pause(55, Word::Healthy), 5);
        assert_eq!(pause(61, Word::Starting), 20);
    }

    #[test]
    fn writes_durations_as_go() {
        for (time, text) in [
            (Duration::from_millis(500), "500ms"),
            (Duration::from_millis(1500), "1.5s"),
            (Duration::from_secs(30), "30s"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_secs(3600), "1h0m0s"),
            (Duration::from_micros(1500), "1.5ms"),
        ] {
            assert_eq!(go_duration(time), text);
        }
    }
}
