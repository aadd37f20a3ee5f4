//! Docker's flags of `run` and `create` that coracle does not have yet, and what each waits for.

use crate::cli::grammar::Absent;

/// The table.
pub(in crate::cli) const ABSENT: &[Absent] = &[
    value(
        "device-cgroup-rule",
        "rules for kinds of devices are root's to set; name single devices with --device",
        &[],
    ),
    switch("use-api-socket", "there is no API socket yet"),
];

const fn value(long: &'static str, reason: &'static str, harmless: &'static [&'static str]) -> Absent {
    Absent { long, short: None, takes_value: true, harmless, reason }
}

const fn switch(long: &'static str, reason: &'static str) -> Absent {
    Absent { long, short: None, takes_value: false, harmless: &["false"], reason }
}
