//! `logs`: what a container has written, and what it writes.

use crate::support::harness::{Test, tests};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    keeps_streams_apart_and_in_order,
    shows_the_tail,
    shows_timestamps,
    shows_since_and_until,
    follows_until_the_end,
    follows_from_the_tail_on,
    follows_across_a_restart,
    keeps_what_every_run_wrote,
    keeps_bytes_and_unfinished_lines,
    a_missing_container_is_an_error,
    long_lines_stay_whole,
    bounded_logs_forget_the_oldest,
    a_follower_sees_bounded_logs_whole,
    options_of_logs_are_checked,
];

fn wrote(script: &str) -> Sandbox {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    sandbox.run(["wait", "cc"]).success();
    sandbox
}

fn keeps_streams_apart_and_in_order() {
    let sandbox = wrote("for n in 1 2 3; do echo out $n; echo err $n >&2; done");
    sandbox.run(["logs", "cc"]).stdout("out 1\nout 2\nout 3\n").stderr("err 1\nerr 2\nerr 3\n").success();
}

fn shows_the_tail() {
    let sandbox = wrote("seq 1 500");
    sandbox.run(["logs", "--tail", "2", "cc"]).stdout("499\n500\n").success();
    sandbox.run(["logs", "-n", "1", "cc"]).stdout("500\n").success();
    sandbox.run(["logs", "--tail", "0", "cc"]).stdout("").success();
    assert_eq!(sandbox.run(["logs", "--tail", "all", "cc"]).success().lines().len(), 500);
    assert_eq!(sandbox.run(["logs", "--tail", "1000", "cc"]).success().lines().len(), 500);
}

fn shows_timestamps() {
    let sandbox = wrote("echo one; echo two");
    for line in sandbox.run(["logs", "-t", "cc"]).success().lines() {
        let (stamp, word) = line.split_once(' ').unwrap();
        stamp.parse::<jiff::Timestamp>().unwrap();
        // RFC 3339 with nanoseconds, all nine digits.
        assert!(stamp.len() == 30 && stamp.ends_with('Z'), "{stamp}");
        assert!(["one", "two"].contains(&word));
    }
}

fn shows_since_and_until() {
    let sandbox = wrote("echo early; sleep 1.2; echo late");
    let stamps: Vec<String> = sandbox
        .run(["logs", "-t", "cc"])
        .lines()
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    sandbox.run(["logs", "--since", &stamps[1], "cc"]).stdout("late\n").success();
    sandbox.run(["logs", "--until", &stamps[0], "cc"]).stdout("early\n").success();
    sandbox.run(["logs", "--since", "1h", "cc"]).stdout("early\nlate\n").success();
    sandbox.run(["logs", "--until", "1h", "cc"]).stdout("").success();
}

fn follows_until_the_end() {
    let sandbox = Sandbox::new().busybox();
    let script = "echo first; while ! test -f /go; do sleep 0.05; done; echo last";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    let running = sandbox.command(["logs", "-f", "cc"]).spawn();
    running.wait_for("first\n");
    sandbox.run(["exec", "cc", "touch", "/go"]).success();
    running.wait().stdout("first\nlast\n").success();
}

fn follows_from_the_tail_on() {
    let sandbox = Sandbox::new().busybox();
    let script = "seq 1 9; while ! test -f /go; do sleep 0.05; done; echo last";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    sandbox.wait_for_log("cc", "9");
    let running = sandbox.command(["logs", "--follow", "--tail", "1", "cc"]).spawn();
    running.wait_for("9\n");
    sandbox.run(["exec", "cc", "touch", "/go"]).success();
    running.wait().stdout("9\nlast\n").success();
}

fn follows_across_a_restart() {
    let sandbox = Sandbox::new().busybox();
    // The second run finds the file of the first and goes on.
    let script = "echo turn; test -f /again && sleep 1000; touch /again; exit 1";
    sandbox
        .run(["run", "-d", "--name", "cc", "--restart", "on-failure", "busybox", "sh", "-c", script])
        .success();
    let running = sandbox.command(["logs", "-f", "cc"]).spawn();
    running.wait_for("turn\nturn\n");
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    running.wait().stdout("turn\nturn\n").success();
}

fn keeps_what_every_run_wrote() {
    let sandbox = wrote("echo run");
    sandbox.run(["start", "-a", "cc"]).stdout("run\n").success();
    sandbox.run(["logs", "cc"]).stdout("run\nrun\n").success();
}

fn keeps_bytes_and_unfinished_lines() {
    let sandbox = wrote("printf 'a\\000b\\303\\274\\nno newline'");
    assert_eq!(sandbox.run(["logs", "cc"]).success().out, b"a\0b\xc3\xbc\nno newline");
}

fn a_missing_container_is_an_error() {
    Sandbox::new()
        .run(["logs", "absent"])
        .code(1)
        .stderr("Error response from daemon: No such container: absent\n");
}

fn long_lines_stay_whole() {
    let sandbox = wrote("head -c 100000 /dev/zero | tr '\\0' x; echo; echo short");
    let lines = sandbox.run(["logs", "cc"]).success().lines();
    assert_eq!((lines.len(), lines[0].len(), lines[1].as_str()), (2, 100_000, "short"));
    let sandbox = Sandbox::new().busybox();
    let script = "head -c 300000 /dev/zero | tr '\\0' y; echo; sleep 1000";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    wait_until("the long line is there", || sandbox.run(["logs", "cc"]).out.len() == 300_001);
}

fn bounded_logs_forget_the_oldest() {
    let sandbox = Sandbox::new().busybox();
    let bounds = ["--log-opt", "max-size=4k", "--log-opt", "max-file=3"];
    let words = ["run", "--name", "cc", "--network", "none"].into_iter().chain(bounds);
    sandbox.run(words.chain(["busybox", "seq", "1", "1000"])).success();
    let lines = sandbox.run(["logs", "cc"]).success().lines();
    let first: usize = lines[0].parse().unwrap();
    assert!(first > 1, "{lines:?}");
    assert_eq!(lines, (first..=1000).map(|number| number.to_string()).collect::<Vec<_>>());
    // The tail reaches over several files.
    let tail = (1000 - first - 5).to_string();
    assert_eq!(sandbox.run(["logs", "-n", &tail, "cc"]).success().lines(), lines[6..]);
    let id = sandbox.run(["inspect", "-f", "{{.Id}}", "cc"]).success().text();
    let files: Vec<u64> = std::fs::read_dir(sandbox.store().join("containers").join(&id))
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("-json.log"))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert!(files.len() == 3 && files.iter().all(|size| *size < 4200), "{files:?}");
    let config = sandbox.run(["inspect", "cc"]).success().json()[0]["HostConfig"]["LogConfig"].clone();
    assert_eq!(
        config,
        serde_json::json!({ "Type": "json-file", "Config": { "max-file": "3", "max-size": "4k" } })
    );
    sandbox.run(["run", "--name", "dd", "--log-driver", "local", "busybox", "echo", "hi"]).success();
    sandbox.run(["logs", "dd"]).stdout("hi\n").success();
}

fn a_follower_sees_bounded_logs_whole() {
    let sandbox = Sandbox::new().busybox();
    let bounds = ["--log-opt", "max-size=2k", "--log-opt", "max-file=90"];
    let words = ["run", "-d", "--name", "cc", "--network", "none"].into_iter().chain(bounds);
    let script = "echo 0; until test -e /go; do sleep 0.01; done; seq 1 400; sleep 0.2; seq 401 1000";
    sandbox.run(words.chain(["busybox", "sh", "-c", script])).success();
    let follower = sandbox.command(["logs", "-f", "cc"]).spawn();
    follower.wait_for("0\n");
    sandbox.run(["exec", "cc", "touch", "/go"]).success();
    let outcome = follower.wait();
    assert_eq!(outcome.success().lines(), (0..=1000).map(|number| number.to_string()).collect::<Vec<_>>());
}

fn options_of_logs_are_checked() {
    let sandbox = Sandbox::new().busybox();
    for (option, why) in [
        ("max-file=0", "max-file cannot be less than 1"),
        ("max-size=x", "invalid size: 'x'"),
        ("colour=red", "unknown log opt 'colour' for json-file log driver"),
        ("compress=true", "log opt compress=true is not supported"),
    ] {
        sandbox.run(["create", "--log-opt", option, "busybox"]).stderr_contains(why).code(1);
    }
    sandbox
        .run(["run", "--log-driver", "none", "--log-opt", "max-size=1k", "busybox"])
        .stderr_contains("invalid logging opts for driver none")
        .code(125);
    sandbox
        .run(["run", "--name", "cc", "--log-driver", "none", "busybox", "echo", "hi"])
        .stdout("hi\n")
        .success();
    sandbox
        .run(["logs", "cc"])
        .stderr("Error response from daemon: configured logging driver does not support reading\n")
        .code(1);
}
