//! The process that holds the networks: it is killed, many come at once, its traces are taken away.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::harness::{Test, tests};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    connections_between_containers_outlive_it,
    many_containers_at_once_have_an_address_each,
    killed_again_and_again_it_mixes_nothing_up,
    killed_supervisors_leave_their_addresses,
    its_directory_vanishes,
    two_stores_do_not_meet,
    an_address_is_not_given_again_at_once,
];

/// The router's process id, as it says itself; `None` while there is none.
fn router(sandbox: &Sandbox) -> Option<i32> {
    let text = fs::read_to_string(sandbox.store().join("router.json")).ok()?;
    let record: Value = serde_json::from_str(&text).ok()?;
    record["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok())
}

/// Kills the router, and waits for another one.
fn kill(sandbox: &Sandbox) {
    let before = router(sandbox).unwrap();
    let found = sandbox.processes().into_iter().find(|process| process.pid == before).unwrap();
    found.kill(Signal::SIGKILL);
    wait_until("another router comes", || router(sandbox).is_some_and(|pid| pid != before));
}

/// Starts a container on the default network, and returns its address.
#[track_caller]
fn start(sandbox: &Sandbox, name: &str, script: &str) -> String {
    sandbox.run(["run", "-d", "--name", name, "busybox", "sh", "-c", script]).success();
    address(sandbox, name)
}

#[track_caller]
fn address(sandbox: &Sandbox, name: &str) -> String {
    let format = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
    sandbox.run(["inspect", "-f", format, name]).success().text()
}

fn pings(sandbox: &Sandbox, name: &str, to: &str) -> bool {
    sandbox.run(["exec", name, "ping", "-c", "1", "-W", "1", to]).code == Some(0)
}

fn connections_between_containers_outlive_it() {
    let sandbox = Sandbox::new().busybox();
    let server = start(&sandbox, "server", "sleep 1000 | nc -l -p 7000");
    let script = format!(
        "(echo before; while [ ! -e /go ]; do sleep 0.1; done; echo after; sleep 1000) | nc {server} 7000"
    );
    start(&sandbox, "client", &script);
    sandbox.wait_for_log("server", "before");
    kill(&sandbox);
    sandbox.run(["exec", "client", "touch", "/go"]).success();
    sandbox.wait_for_log("server", "after");
}

fn many_containers_at_once_have_an_address_each() {
    let sandbox = Sandbox::new().busybox();
    let names: Vec<String> = (0..20).map(|number| format!("c{number}")).collect();
    let running: Vec<_> = names
        .iter()
        .map(|name| sandbox.command(["run", "-d", "--name", name, "busybox", "sleep", "1000"]).spawn())
        .collect();
    for command in running {
        command.wait().success();
    }
    let addresses: BTreeSet<String> = names.iter().map(|name| address(&sandbox, name)).collect();
    assert_eq!(addresses.len(), names.len(), "{addresses:?}");
    for to in &addresses {
        assert!(pings(&sandbox, "c7", to), "{to}");
    }
    let routers = sandbox.processes();
    assert_eq!(routers.iter().filter(|process| process.command.contains("__router")).count(), 1);
}

fn killed_again_and_again_it_mixes_nothing_up() {
    let sandbox = Sandbox::new().busybox();
    let first = start(&sandbox, "first", "sleep 1000");
    let mut addresses = BTreeSet::from([first.clone()]);
    for round in 0..5 {
        kill(&sandbox);
        // One that comes while the others are taken over gets what nobody has.
        let name = format!("next{round}");
        assert!(addresses.insert(start(&sandbox, &name, "sleep 1000")), "{addresses:?}");
        wait_until("everybody is there", || pings(&sandbox, &name, &first));
    }
    for to in &addresses {
        wait_until("everybody is there", || pings(&sandbox, "first", to));
    }
    assert_eq!(address(&sandbox, "first"), first);
}

fn killed_supervisors_leave_their_addresses() {
    let sandbox = Sandbox::new().busybox();
    let kept = start(&sandbox, "kept", "sleep 1000");
    sandbox.run(["network", "create", "--subnet", "10.233.7.0/24", "web"]).success();
    let words =
        ["run", "-d", "--name", "lost", "--network", "web", "--ip", "10.233.7.9", "busybox", "sleep", "9"];
    sandbox.run(words).success();
    let id = sandbox.run(["inspect", "-f", "{{.Id}}", "lost"]).text();
    let mark = fs::read_to_string(sandbox.store().join("containers").join(id).join("alive.json")).unwrap();
    let mark: Value = serde_json::from_str(&mark).unwrap();
    let pid = mark["supervisor"]["pid"].as_i64().unwrap();
    let found = sandbox.supervisors().into_iter().find(|process| i64::from(process.pid) == pid).unwrap();
    found.kill(Signal::SIGKILL);
    sandbox.wait_for_status("lost", "exited");
    let words = ["run", "--rm", "--network", "web", "--ip", "10.233.7.9", "busybox", "true"];
    wait_until("the address is free", || sandbox.run(words).code == Some(0));
    assert_eq!(address(&sandbox, "kept"), kept);
}

fn its_directory_vanishes() {
    let sandbox = Sandbox::new().busybox();
    let first = start(&sandbox, "first", "sleep 1000");
    let before = router(&sandbox);
    fs::remove_dir_all(sandbox.dir().join("run/coracle")).unwrap();
    let second = start(&sandbox, "second", "sleep 1000");
    assert_ne!(first, second);
    assert!(pings(&sandbox, "second", &first));
    assert_eq!(router(&sandbox), before);
}

fn two_stores_do_not_meet() {
    let (one, two) = (Sandbox::new().busybox(), Sandbox::new().busybox());
    let subnet = ["network", "create", "--subnet", "10.234.7.0/24", "web"];
    let run = |sandbox: &Sandbox, ip: &str| {
        sandbox.run(subnet).success();
        let words = ["run", "-d", "--name", "cc", "--network", "web", "--ip", ip, "busybox", "sleep", "1000"];
        sandbox.run(words).success();
    };
    run(&one, "10.234.7.2");
    run(&two, "10.234.7.3");
    assert_ne!(router(&one), router(&two));
    assert!(pings(&one, "cc", "10.234.7.1") && pings(&two, "cc", "10.234.7.1"));
    assert!(!pings(&one, "cc", "10.234.7.3"));
}

fn an_address_is_not_given_again_at_once() {
    let sandbox = Sandbox::new().busybox();
    start(&sandbox, "stays", "sleep 1000");
    let first = start(&sandbox, "first", "sleep 1000");
    sandbox.run(["rm", "-f", "first"]).success();
    assert_ne!(start(&sandbox, "second", "sleep 1000"), first);
}
