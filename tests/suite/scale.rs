//! Many containers by one user.

use std::time::Duration;

use crate::support::harness::{Test, tests};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![two_hundred_stopped_and_fifty_running];

fn two_hundred_stopped_and_fifty_running() {
    let sandbox = Sandbox::new().busybox();
    for _ in 0..200 {
        sandbox.run(["run", "-d", "busybox", "true"]).success();
    }
    for n in 0..50 {
        sandbox.run(["run", "-d", "--name", &format!("up-{n}"), "busybox", "sleep", "1000"]).success();
    }
    wait_until("the short ones are done", || sandbox.run(["ps", "-q"]).lines().len() == 50);
    let outcome = sandbox.run(["ps", "-a"]);
    assert_eq!(outcome.success().lines().len(), 251);
    // A loaded machine is no stopwatch: this is against a second per hundred, not a measurement.
    assert!(outcome.took < Duration::from_secs(1), "{outcome}");
    let names: Vec<_> = (0..50).map(|n| format!("up-{n}")).collect();
    for name in names.iter().step_by(7) {
        sandbox.run(["exec", name, "echo", "x"]).stdout("x\n").success();
    }
    let mut words = vec!["stop".to_owned(), "-t".to_owned(), "0".to_owned()];
    words.extend(names);
    let outcome = sandbox.run(words);
    assert_eq!(outcome.success().lines().len(), 50);
    sandbox.expect_no_process();
    let mut words = vec!["rm".to_owned()];
    words.extend(sandbox.run(["ps", "-aq"]).lines());
    assert_eq!(words.len(), 251);
    sandbox.run(words).success();
    sandbox.run(["ps", "-aq"]).stdout("");
}
