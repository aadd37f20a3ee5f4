//! `create`, `start`, `stop`, `kill`, `restart`, `wait`, `attach` and `rm`.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    created_started_stopped_removed,
    stop_asks_and_then_kills,
    stop_uses_the_images_signal,
    stop_timeout_comes_from_the_container,
    kill_sends_any_signal,
    restart_runs_again_with_the_same_files,
    start_attaches,
    start_of_a_running_container_does_nothing,
    wait_returns_the_code,
    attach_sees_what_is_written,
    attach_reads_input,
    attach_to_a_stopped_container_is_an_error,
    rm_refuses_what_runs,
    rm_force_takes_what_runs,
    rm_takes_anonymous_volumes_with_v,
    rm_removes_directories_without_permission,
    rename_gives_another_name,
    absent_containers_are_errors,
    several_at_once_report_each,
    the_upper_layer_is_the_containers_own,
    a_container_that_fails_to_start_says_why,
    restart_policy_always_ends_with_stop,
    hidden_supervisor_holds_no_terminal_or_pipe,
];

fn created_started_stopped_removed() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["create", "--name", "cc", "busybox", "sleep", "1000"]).success().text();
    assert_eq!(id.len(), 64);
    assert_eq!(sandbox.status_of("cc"), "created");
    sandbox.run(["start", "cc"]).stdout("cc\n").success();
    assert_eq!(sandbox.status_of("cc"), "running");
    sandbox.run(["stop", "-t", "0", "cc"]).stdout("cc\n").success();
    assert_eq!(sandbox.status_of("cc"), "exited");
    sandbox.run(["inspect", "-f", "{{.State.ExitCode}} {{.State.Pid}}", "cc"]).stdout("137 0\n");
    sandbox.run(["rm", "cc"]).stdout("cc\n").success();
    sandbox.run(["ps", "-aq"]).stdout("");
}

fn rename_gives_another_name() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["run", "-d", "--name", "old", "busybox", "sleep", "1000"]).success().text();
    let other = sandbox.run(["create", "--name", "other", "busybox", "true"]).success().text();
    sandbox.run(["rename", "old", "new"]).stdout("").success();
    sandbox.run(["ps", "-a", "--format", "{{.Names}} {{.State}}"]).stdout("other created\nnew running\n");
    sandbox.run(["inspect", "-f", "{{.Name}} {{.Id}}", "new"]).stdout(&format!("/new {id}\n"));
    sandbox.run(["inspect", "old"]).code(1);
    let taken = format!(
        "Error response from daemon: Error when allocating new name: Conflict. The container name \"/other\" is \
         already in use by container \"{other}\". You have to remove (or rename) that container to be able to \
         reuse that name.\nError: failed to rename container named new\n"
    );
    sandbox.run(["rename", "new", "other"]).stderr(&taken).code(1);
    sandbox
        .run(["rename", "new", "new"])
        .stderr(
            "Error response from daemon: Renaming a container with the same name as its current name\n\
             Error: failed to rename container named new\n",
        )
        .code(1);
    sandbox
        .run(["container", "rename", "new", "a/b"])
        .stderr_contains("Invalid container name (/a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed\n")
        .stderr_contains("Error: failed to rename container named new\n")
        .code(1);
    sandbox.run(["rm", "-f", "new"]).stdout("new\n").success();
    // The name is free again.
    sandbox.run(["rename", "other", "old"]).success();
    sandbox.run(["rename", "old", "new"]).success();
}

fn stop_asks_and_then_kills() {
    let sandbox = Sandbox::new().busybox();
    let polite = "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    sandbox.run(["run", "-d", "--name", "polite", "busybox", "sh", "-c", polite]).success();
    sandbox.wait_for_log("polite", "ready");
    sandbox.run(["stop", "polite"]).stdout("polite\n").success();
    sandbox.run(["inspect", "-f", "{{.State.ExitCode}}", "polite"]).stdout("9\n");
    sandbox.run(["logs", "polite"]).stdout("ready\nasked\n");

    sandbox.run(["run", "-d", "--name", "deaf", "busybox", "sleep", "1000"]).success();
    let outcome = sandbox.run(["stop", "-t", "1", "deaf"]);
    assert!(outcome.success().took >= Duration::from_millis(900), "{outcome}");
    assert!(outcome.took < Duration::from_secs(8), "{outcome}");
    sandbox.run(["inspect", "-f", "{{.State.ExitCode}}", "deaf"]).stdout("137\n");
    // What does not run is stopped already.
    sandbox.run(["stop", "deaf"]).stdout("deaf\n").success();
}

fn stop_uses_the_images_signal() {
    let image = Image::busybox().layer(&Layer::new().probe()).config("StopSignal", json!("SIGUSR1"));
    let sandbox = Sandbox::new().with("img", &image);
    sandbox.run(["run", "-d", "--name", "cc", "img", "/probe", "signals"]).success();
    sandbox.wait_for_log("cc", "ready");
    sandbox.run(["stop", "-t", "1", "cc"]).success();
    sandbox.run(["logs", "cc"]).stdout("ready\nSIGUSR1\n");
    sandbox.run(["run", "-d", "--name", "dd", "--stop-signal", "HUP", "img", "/probe", "signals"]).success();
    sandbox.wait_for_log("dd", "ready");
    sandbox.run(["stop", "-t", "1", "dd"]).success();
    sandbox.run(["logs", "dd"]).stdout("ready\nSIGHUP\n");
    sandbox.run(["run", "-d", "--name", "ee", "img", "/probe", "signals"]).success();
    sandbox.wait_for_log("ee", "ready");
    sandbox.run(["stop", "-s", "TERM", "ee"]).success();
    sandbox.run(["logs", "ee"]).stdout("ready\nSIGTERM\n");
}

fn stop_timeout_comes_from_the_container() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "--stop-timeout", "1", "busybox", "sleep", "1000"]).success();
    let outcome = sandbox.run(["stop", "cc"]);
    assert!(outcome.success().took < Duration::from_secs(8), "{outcome}");
}

fn kill_sends_any_signal() {
    let sandbox = Sandbox::new().image("probe", Layer::probe);
    sandbox.run(["run", "-d", "--name", "cc", "probe", "/probe", "signals"]).success();
    sandbox.wait_for_log("cc", "ready");
    for (word, name) in [("USR1", "SIGUSR1"), ("SIGHUP", "SIGHUP"), ("2", "SIGINT")] {
        sandbox.run(["kill", "-s", word, "cc"]).stdout("cc\n").success();
        sandbox.wait_for_log("cc", name);
    }
    sandbox.run(["kill", "-s", "NOSUCH", "cc"]).code(1).stderr_contains("invalid signal: NOSUCH");
    sandbox.run(["kill", "--signal=KILL", "cc"]).success();
    sandbox.wait_for_status("cc", "exited");
    sandbox.run(["kill", "cc"]).code(1).stderr_contains("is not running");
}

fn restart_runs_again_with_the_same_files() {
    let sandbox = Sandbox::new().busybox();
    let script = "echo x >> /count; wc -l < /count; sleep 1000";
    let id = sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success().text();
    sandbox.wait_for_log("cc", "1");
    let first = sandbox.pid_of("cc");
    sandbox.run(["restart", "-t", "0", "cc"]).stdout("cc\n").success();
    sandbox.wait_for_log("cc", "2");
    assert_ne!(sandbox.pid_of("cc"), first);
    assert_eq!(sandbox.run(["inspect", "-f", "{{.Id}}", "cc"]).text(), id);
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    sandbox.run(["restart", "cc"]).success();
    sandbox.wait_for_log("cc", "3");
}

fn start_attaches() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["create", "--name", "cc", "busybox", "sh", "-c", "echo out; echo err >&2; exit 4"])
        .success();
    sandbox.run(["start", "-a", "cc"]).stdout("out\n").stderr("err\n").code(4);
    sandbox.run(["create", "-i", "--name", "cat", "busybox", "cat"]).success();
    sandbox.command(["start", "-a", "-i", "cat"]).stdin("through\n").run().stdout("through\n").success();
}

fn start_of_a_running_container_does_nothing() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    let pid = sandbox.pid_of("cc");
    sandbox.run(["start", "cc"]).stdout("cc\n").success();
    assert_eq!(sandbox.pid_of("cc"), pid);
}

fn wait_returns_the_code() {
    let sandbox = Sandbox::new().busybox();
    let script = "while ! test -f /go; do sleep 0.05; done; exit 6";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    let waiting = sandbox.command(["wait", "cc"]).spawn();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(waiting.seen(), "");
    sandbox.run(["exec", "cc", "touch", "/go"]).success();
    waiting.wait().stdout("6\n").success();
    sandbox.run(["wait", "cc"]).stdout("6\n").success();
}

fn attach_sees_what_is_written() {
    let sandbox = Sandbox::new().busybox();
    let script = "trap 'echo asked; exit 3' TERM; while :; do test -f /go && echo tick; sleep 0.05; done";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    let attached = sandbox.command(["attach", "cc"]).spawn();
    let unheard = sandbox.command(["attach", "--sig-proxy=false", "cc"]).spawn();
    sandbox.run(["exec", "cc", "touch", "/go"]).success();
    attached.wait_for("tick");
    unheard.wait_for("tick");
    unheard.signal(Signal::SIGTERM);
    unheard.wait();
    assert_eq!(sandbox.status_of("cc"), "running");
    attached.signal(Signal::SIGTERM);
    attached.wait().code(3).stdout_contains("asked");
}

fn attach_reads_input() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "-i", "--name", "cc", "busybox", "cat"]).success();
    let mut attached = sandbox.command(["attach", "cc"]).keep_stdin().spawn();
    attached.write("hello\n");
    attached.wait_for("hello\n");
    // The input of a container that was started without one outlives who attaches to it.
    attached.close_stdin();
    sandbox.command(["attach", "cc"]).keep_stdin().spawn().write("again\n");
    attached.wait_for("again\n");
    sandbox.run(["kill", "cc"]).success();
    attached.wait().stdout("hello\nagain\n").code(137);
}

fn attach_to_a_stopped_container_is_an_error() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["create", "--name", "cc", "busybox"]).success();
    sandbox
        .run(["attach", "cc"])
        .code(1)
        .stderr_contains("cannot attach to a stopped container, start it first");
}

fn rm_refuses_what_runs() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    sandbox.run(["rm", "cc"]).code(1).stdout("").stderr_contains(
        "Error response from daemon: cannot remove container \"/cc\": container is running: stop the container \
         before removing or force remove",
    );
    assert_eq!(sandbox.status_of("cc"), "running");
}

fn rm_force_takes_what_runs() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    let outcome = sandbox.run(["rm", "-f", "cc"]);
    outcome.stdout("cc\n").success();
    assert!(outcome.took < Duration::from_secs(5), "{outcome}");
    sandbox.run(["ps", "-aq"]).stdout("");
    sandbox.expect_no_process();
    sandbox.run(["rm", "-f", "absent"]).success().stderr_contains("No such container: absent");
}

fn rm_takes_anonymous_volumes_with_v() {
    let sandbox = Sandbox::new().busybox();
    let volumes = || std::fs::read_dir(sandbox.store().join("volumes")).unwrap().count();
    for name in ["keep", "take"] {
        sandbox
            .run(["create", "--name", name, "-v", "/anonymous", "-v", "named:/named", "busybox"])
            .success();
        sandbox.run(["start", "-a", name]).success();
    }
    assert_eq!(volumes(), 3);
    sandbox.run(["rm", "-v", "take"]).success();
    assert_eq!(volumes(), 2);
    sandbox.run(["rm", "keep"]).success();
    assert_eq!(volumes(), 2);
}

fn rm_removes_directories_without_permission() {
    let sandbox = Sandbox::new().busybox();
    let script = "mkdir -p /a/b/c && echo x > /a/b/c/f && chmod 0 /a/b/c /a/b /a";
    sandbox.run(["run", "--name", "cc", "busybox", "sh", "-c", script]).success();
    sandbox.run(["rm", "cc"]).success();
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("containers")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn absent_containers_are_errors() {
    let sandbox = Sandbox::new();
    for (verb, doing) in
        [("stop", ""), ("kill", "cannot kill container: absent: "), ("restart", ""), ("wait", ""), ("rm", "")]
    {
        sandbox
            .run([verb, "absent"])
            .code(1)
            .stdout("")
            .stderr_contains(&format!("Error response from daemon: {doing}No such container: absent"));
    }
    sandbox
        .run(["start", "absent"])
        .code(1)
        .stderr_contains("Error response from daemon: No such container: absent")
        .stderr_contains("failed to start containers: absent");
}

fn several_at_once_report_each() {
    let sandbox = Sandbox::new().busybox();
    for name in ["aa", "bb"] {
        sandbox.run(["create", "--name", name, "busybox", "sleep", "1000"]).success();
    }
    let outcome = sandbox.run(["start", "aa", "absent", "bb"]);
    outcome.code(1).stdout("aa\nbb\n").stderr_contains("No such container: absent");
    sandbox.run(["stop", "-t", "0", "aa", "bb"]).stdout("aa\nbb\n").success();
    let outcome = sandbox.run(["rm", "aa", "absent", "bb"]);
    outcome.code(1).stdout("aa\nbb\n").stderr_contains("No such container: absent");
}

fn the_upper_layer_is_the_containers_own() {
    let sandbox =
        Sandbox::new().image("img", |layer| layer.file("/data/a", "image\n").file("/data/b", "b\n"));
    sandbox
        .run(["run", "--name", "cc", "img", "sh", "-c", "echo changed > /data/a; rm /data/b; mkdir /data/b"])
        .success();
    sandbox.run(["run", "--rm", "img", "cat", "/data/a", "/data/b"]).stdout("image\nb\n").success();
    sandbox.run(["create", "--name", "dd", "img", "cat", "/data/a"]).success();
    sandbox.run(["start", "-a", "dd"]).stdout("image\n").success();
}

fn a_container_that_fails_to_start_says_why() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["create", "--name", "cc", "busybox", "nosuch"]).success();
    sandbox
        .run(["start", "cc"])
        .code(1)
        .stderr_contains("exec: \"nosuch\": executable file not found in $PATH")
        .stderr_contains("failed to start containers: cc");
    sandbox.run(["inspect", "-f", "{{.State.ExitCode}}", "cc"]).stdout("127\n");
    sandbox.expect_no_process();
}

fn restart_policy_always_ends_with_stop() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "-d", "--name", "cc", "--restart", "always", "busybox", "sh", "-c", "echo turn; exit 0"])
        .success();
    wait_until("it has run twice", || sandbox.run(["logs", "cc"]).lines().len() >= 2);
    sandbox.run(["stop", "cc"]).success();
    let count = sandbox.run(["logs", "cc"]).lines().len();
    assert_eq!(sandbox.status_of("cc"), "exited");
    sandbox.expect_no_process();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(sandbox.run(["logs", "cc"]).lines().len(), count);
}

fn hidden_supervisor_holds_no_terminal_or_pipe() {
    let sandbox = Sandbox::new().busybox();
    // `wait` in the harness fails when a pipe stays open behind `run -d`; here are the descriptors themselves.
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    let supervisors = sandbox.supervisors();
    assert_eq!(supervisors.len(), 1, "{:?}", sandbox.processes());
    for n in 0..3 {
        let target = std::fs::read_link(format!("/proc/{}/fd/{n}", supervisors[0].pid)).unwrap();
        assert!(!target.to_str().unwrap().starts_with("pipe:"), "fd {n} is {}", target.display());
    }
    // It sits in no directory of the user's that could not be unmounted or removed.
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", supervisors[0].pid)).unwrap();
    assert_ne!(cwd, sandbox.work());
}
