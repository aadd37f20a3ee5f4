//! Defects that were found once, each under a name that says what it was.

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![piped_input_may_hold_the_detach_keys];

/// The rest of what was piped in was lost at the first Ctrl-P Ctrl-Q in it.
fn piped_input_may_hold_the_detach_keys() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .command(["run", "--rm", "-i", "busybox", "wc", "-c"])
        .stdin("a\x10\x11b")
        .run()
        .stdout("4\n")
        .success();
}
