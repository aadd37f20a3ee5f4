//! Limits where no control group is delegated: what is done in its place, and that it is said. What control groups do
//! is tested in a machine of its own (`tests/vm`).

use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Need, Sandbox, needs, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    every_limit_is_stated,
    inspect_shows_limits_as_docker_does,
    memory_is_watched,
    processes_are_counted,
    processors_are_kept_to,
    updates_are_obeyed,
    impossible_limits_are_refused,
    info_tells_what_can_be_limited,
];

fn sandbox() -> Sandbox {
    needs(Need::NoControlGroups);
    Sandbox::new().busybox()
}

fn every_limit_is_stated() {
    let sandbox = sandbox();
    let run = [
        "run",
        "-d",
        "--name",
        "cc",
        "--network",
        "none",
        "-m",
        "64m",
        "--pids-limit",
        "30",
        "--blkio-weight",
    ];
    let outcome = sandbox.run(run.into_iter().chain(["300", "busybox", "sleep", "1000"]));
    outcome.success();
    let warnings = outcome.error_text();
    for flag in ["--memory", "--pids-limit", "--blkio-weight"] {
        let is_said = |line: &str| {
            line.starts_with("WARNING: No control group is delegated to this user")
                && line.contains(&format!(": {flag}: "))
        };
        assert_eq!(warnings.lines().filter(|line| is_said(line)).count(), 1, "{flag}: {warnings}");
    }
    let notes = sandbox.run(["inspect", "-f", "{{json .LimitFallbacks}}", "cc"]).success().json();
    assert_eq!(notes.as_array().unwrap().len(), 3, "{notes}");
    let quiet = sandbox.run(["run", "--rm", "--network", "none", "busybox", "true"]);
    quiet.success();
    assert!(!quiet.error_text().contains("WARNING"));
}

fn inspect_shows_limits_as_docker_does() {
    let sandbox = sandbox();
    sandbox
        .run([
            "create",
            "--name",
            "cc",
            "-m",
            "64m",
            "--memory-reservation",
            "32m",
            "--cpus",
            "1.0",
            "-c",
            "512",
            "--cpuset-cpus",
            "0",
            "--pids-limit",
            "-1",
            "--oom-kill-disable",
            "--memory-swappiness",
            "10",
            "--device-read-bps",
            "/dev/null:1mb",
            "--cgroup-parent",
            "",
            "busybox",
            "true",
        ])
        .stderr_contains("WARNING: Your kernel does not support OomKillDisable. OomKillDisable discarded.")
        .stderr_contains("Memory swappiness discarded.")
        .success();
    let host = sandbox.run(["inspect", "-f", "{{json .HostConfig}}", "cc"]).success().json();
    for (key, value) in [
        ("Memory", json!(64 << 20)),
        ("MemorySwap", json!(128 << 20)),
        ("MemoryReservation", json!(32 << 20)),
        ("MemorySwappiness", json!(null)),
        ("NanoCpus", json!(1_000_000_000)),
        ("CpuShares", json!(512)),
        ("CpusetCpus", json!("0")),
        ("PidsLimit", json!(null)),
        ("OomKillDisable", json!(null)),
        ("BlkioDeviceReadBps", json!([{"Path": "/dev/null", "Rate": 1 << 20}])),
        ("BlkioWeightDevice", json!([])),
    ] {
        assert_eq!(host[key], value, "{key}");
    }
}

fn memory_is_watched() {
    let sandbox = sandbox();
    let words = ["run", "--name", "cc", "--network", "none", "-m", "40m", "busybox", "tail", "/dev/zero"];
    sandbox.run(words).code(137);
    let state = ["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "cc"];
    sandbox.run(state).stdout("true 137\n");
    let events =
        ["events", "--since", "1h", "--until", "0s", "-f", "container=cc", "--format", "{{.Action}}"];
    sandbox.run(events).stdout("create\nattach\nstart\noom\ndie\n");
    // A child that takes too much is killed, and the container goes on.
    let script = "tail /dev/zero; echo $?";
    let words = ["run", "--name", "dd", "--network", "none", "-m", "40m", "busybox", "sh", "-c", script];
    let outcome = sandbox.run(words);
    assert!(outcome.stdout("137\n").error_text().contains("--memory"));
}

fn processes_are_counted() {
    let sandbox = sandbox();
    let words =
        ["run", "-d", "--name", "cc", "--network", "none", "--pids-limit", "3", "busybox", "sleep", "1000"];
    sandbox.run(words).success();
    // The container's own, and this shell: one more can be made.
    let script = "sleep 1000 & sleep 1000 & sleep 1000 & echo all";
    sandbox.run(["exec", "cc", "sh", "-c", script]).stderr_contains("can't fork").code(2);
    // One that is put in from outside has room.
    sandbox.run(["exec", "cc", "true"]).success();
}

fn processors_are_kept_to() {
    let sandbox = sandbox();
    let affinity = "grep Cpus_allowed_list /proc/self/status";
    let words = ["run", "--rm", "--network", "none", "--cpuset-cpus", "0", "busybox", "sh", "-c", affinity];
    sandbox.run(words).stdout("Cpus_allowed_list:\t0\n").success();
    let niceness = "read -r line < /proc/self/stat; set -- $line; echo ${19}";
    let nice = ["run", "--rm", "--network", "none", "-c", "512", "busybox", "sh", "-c", niceness];
    // Those who run the tests may stand back further themselves.
    let found: i32 = sandbox.run(nice).success().text().parse().unwrap();
    assert!(found >= 3, "{found}");
}

fn updates_are_obeyed() {
    let sandbox = sandbox();
    let script = "while ! test -e /go; do sleep 0.02; done; exec tail /dev/zero";
    sandbox.run(["run", "-d", "--name", "cc", "--network", "none", "busybox", "sh", "-c", script]).success();
    sandbox
        .run(["update", "-m", "40m", "cc"])
        .stderr_contains("update the memoryswap at the same time")
        .code(1);
    sandbox
        .run(["update", "-m", "40m", "--memory-swap", "40m", "--cpuset-cpus", "0", "cc"])
        .stdout("cc\n")
        .stderr_contains("--memory: kept by looking")
        .success();
    let affinity = "grep Cpus_allowed_list /proc/1/status /proc/self/status";
    let both = "/proc/1/status:Cpus_allowed_list:\t0\n/proc/self/status:Cpus_allowed_list:\t0\n";
    sandbox.run(["exec", "cc", "sh", "-c", affinity]).stdout(both).success();
    sandbox
        .run(["inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.CpusetCpus}}", "cc"])
        .stdout("41943040 0\n");
    sandbox.run(["exec", "cc", "touch", "/go"]).success();
    wait_until("it is killed", || {
        sandbox.run(["inspect", "-f", "{{.State.OOMKilled}}", "cc"]).text() == "true"
    });
    // What does not run is changed all the same.
    sandbox.run(["update", "--memory-swap", "-1", "--pids-limit", "7", "cc"]).success();
    sandbox
        .run(["inspect", "-f", "{{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}}", "cc"])
        .stdout("-1 7\n");
}

fn impossible_limits_are_refused() {
    let sandbox = sandbox();
    let daemon = "Error response from daemon: ";
    for (words, message) in [
        (&["-m", "5m"][..], format!("{daemon}Minimum memory limit allowed is 6MB")),
        (
            &["--memory-swap", "64m"],
            format!("{daemon}You should always set the Memory limit when using Memoryswap"),
        ),
        (&["--cpus", "1000"], format!("{daemon}Range of CPUs is from 0.01 to ")),
        (
            &["--cpus", "x"],
            "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a rational".to_owned(),
        ),
        (&["--cpuset-cpus", "4000"], format!("{daemon}Requested CPUs are not available - requested 4000")),
        (
            &["--cpu-rt-runtime", "5"],
            format!("{daemon}Your kernel does not support cgroup cpu real-time runtime"),
        ),
        (&["-m", "-1"], "invalid argument \"-1\" for \"-m, --memory\" flag: invalid size: '-1'".to_owned()),
        (&["--device-read-bps", "/dev/nosuch:1"], "look at device /dev/nosuch".to_owned()),
    ] {
        let all = ["create"].iter().chain(words).chain(&["busybox", "true"]).copied().collect::<Vec<_>>();
        let outcome = sandbox.run(all);
        assert!(outcome.error_text().contains(&message), "{words:?}: {outcome}");
    }
    sandbox.run(["ps", "-aq"]).stdout("").success();
}

fn info_tells_what_can_be_limited() {
    let sandbox = sandbox();
    sandbox
        .run(["info", "-f", "{{.CgroupDriver}} {{.MemoryLimit}} {{.PidsLimit}}"])
        .stdout("none false false\n");
    sandbox.run(["info"]).stderr_contains("WARNING: Running in rootless-mode without cgroups.").success();
}
