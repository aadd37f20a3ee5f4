//! Defects that were found once, each under a name that says what it was.

use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![];
