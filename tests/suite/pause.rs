//! `pause`, `unpause`, `top`, `stats`, `update` and `system restore`.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    pause_stops_everything_and_unpause_goes_on,
    pause_holds_those_that_fork_all_the_time,
    pause_spares_those_who_share_the_processes,
    what_cannot_be_paused_says_why,
    a_paused_container_can_be_stopped,
    a_paused_container_is_treated_as_such,
    a_stopped_job_stays_stopped,
    top_shows_the_processes,
    stats_show_what_is_used,
    update_changes_the_restart_policy,
    restore_starts_what_should_run,
    restore_prints_a_unit_and_a_line,
    on_failure_gives_up,
];

/// Counts what a container has written.
fn lines(sandbox: &Sandbox, name: &str) -> usize {
    sandbox.run(["logs", name]).success().lines().len()
}

fn states(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

fn pause_stops_everything_and_unpause_goes_on() {
    let sandbox = Sandbox::new().busybox();
    let script = "while :; do echo x; sleep 0.02; done";
    sandbox.run(["run", "-d", "--name", "cc", "--network", "none", "busybox", "sh", "-c", script]).success();
    wait_until("it writes", || lines(&sandbox, "cc") > 2);
    sandbox.run(["pause", "cc"]).stdout("cc\n").success();
    let shown = sandbox.run(["ps", "--format", "{{.State}} {{.Status}}"]).success().text();
    assert!(shown.starts_with("paused Up ") && shown.ends_with(" (Paused)"), "{shown}");
    sandbox.run(["ps", "-q", "--filter", "status=running"]).stdout("");
    let state = &sandbox.run(["inspect", "cc"]).success().json()[0]["State"];
    assert_eq!(
        (&state["Status"], &state["Paused"], &state["Running"]),
        (&json!("paused"), &json!(true), &json!(true))
    );
    assert_eq!(states(sandbox.pid_of("cc")), 'T');
    let before = lines(&sandbox, "cc");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(lines(&sandbox, "cc"), before);
    sandbox.run(["container", "unpause", "cc"]).stdout("cc\n").success();
    assert_eq!(sandbox.status_of("cc"), "running");
    wait_until("it writes again", || lines(&sandbox, "cc") > before);
    let events =
        ["events", "--since", "1h", "--until", "0s", "-f", "container=cc", "--format", "{{.Action}}"];
    sandbox.run(events).stdout("create\nstart\npause\nunpause\n");
}

fn pause_holds_those_that_fork_all_the_time() {
    let sandbox = Sandbox::new().busybox();
    let script = "for i in 1 2 3; do (while :; do /bin/true; /bin/true & done) & done; wait";
    sandbox
        .run(["run", "-d", "--name", "cc", "--init", "--network", "none", "busybox", "sh", "-c", script])
        .success();
    let init = sandbox.pid_of("cc");
    let inside = std::fs::metadata(format!("/proc/{init}/ns/pid"))
        .map(|meta| std::os::unix::fs::MetadataExt::ino(&meta))
        .unwrap();
    for _ in 0..5 {
        sandbox.run(["pause", "cc"]).success();
        let mut members = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let same = std::fs::metadata(format!("/proc/{pid}/ns/pid"))
                .is_ok_and(|meta| std::os::unix::fs::MetadataExt::ino(&meta) == inside);
            if same {
                members.push((pid, states(pid)));
            }
        }
        assert!(members.len() >= 4, "{members:?}");
        assert!(members.iter().all(|(_, state)| matches!(state, 'T' | 'Z')), "{members:?}");
        sandbox.run(["unpause", "cc"]).success();
    }
    sandbox.run(["rm", "-f", "cc"]).success();
}

fn pause_spares_those_who_share_the_processes() {
    let sandbox = Sandbox::new().busybox();
    let run = |name: &str, pid: &str| {
        let words =
            ["run", "-d", "--name", name, "--network", "none", "--pid", pid, "busybox", "sleep", "1000"];
        sandbox.run(words).success();
    };
    sandbox.run(["run", "-d", "--name", "cc", "--network", "none", "busybox", "sleep", "1000"]).success();
    run("dd", "host");
    run("ee", "container:cc");
    sandbox.run(["exec", "-d", "dd", "sleep", "1000"]).success();
    for name in ["dd", "ee"] {
        let expected = if name == "dd" { 2 } else { 1 };
        wait_until("its processes are there", || {
            sandbox.run(["top", name, "-o", "pid"]).success().lines().len() == expected + 1
        });
        sandbox.run(["pause", name]).success();
    }
    let states = ["dd", "ee", "cc"].map(|name| states(sandbox.pid_of(name)));
    assert_eq!(states, ['T', 'T', 'S']);
    sandbox.run(["unpause", "dd", "ee"]).success();
    sandbox.run(["exec", "dd", "true"]).success();
}

fn what_cannot_be_paused_says_why() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["create", "--name", "cc", "busybox", "sleep", "1000"]).success().text();
    let error = |text: &str| format!("Error response from daemon: {text}\n");
    sandbox.run(["pause", "cc"]).stderr(&error(&format!("container {id} is not running"))).code(1);
    sandbox.run(["start", "cc"]).success();
    sandbox.run(["unpause", "cc"]).stderr(&error(&format!("Container {id} is not paused"))).code(1);
    sandbox.run(["pause", "cc"]).success();
    sandbox.run(["pause", "cc"]).stderr(&error(&format!("Container {id} is already paused"))).code(1);
    sandbox.run(["pause", "nobody"]).stderr(&error("No such container: nobody")).code(1);
    let text = "Container cc is paused, unpause the container before exec";
    sandbox.run(["exec", "cc", "true"]).stderr(&error(text)).code(1);
    let text = "cannot remove container \"/cc\": container is paused and must be unpaused first";
    sandbox.run(["rm", "cc"]).stderr(&error(text)).code(1);
    sandbox.run(["attach", "cc"]).stderr("cannot attach to a paused container, unpause it first\n").code(1);
    sandbox
        .run(["start", "cc"])
        .stderr_contains("cannot start a paused container, try unpause instead")
        .code(1);
    sandbox.run(["rm", "-f", "cc"]).success();
}

fn a_paused_container_can_be_stopped() {
    let sandbox = Sandbox::new().busybox();
    let polite = "trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", polite]).success();
    sandbox.wait_for_log("cc", "ready");
    sandbox.run(["pause", "cc"]).success();
    sandbox.run(["stop", "cc"]).success();
    sandbox.run(["inspect", "-f", "{{.State.ExitCode}} {{.State.Paused}}", "cc"]).stdout("9 false\n");
    sandbox.run(["start", "cc"]).success();
    sandbox.run(["pause", "cc"]).success();
    sandbox.run(["kill", "cc"]).success();
    sandbox.wait_for_status("cc", "exited");
}

fn a_paused_container_is_treated_as_such() {
    let sandbox = Sandbox::new().busybox();
    let check = ["--health-cmd", "true", "--health-interval", "30ms"];
    let words = ["run", "-d", "--name", "cc"].into_iter().chain(check);
    sandbox.run(words.chain(["busybox", "sleep", "1000"])).success();
    let health = || sandbox.run(["inspect", "-f", "{{.State.Health.Status}}", "cc"]).success().text();
    wait_until("it is healthy", || health() == "healthy");
    sandbox.run(["pause", "cc"]).success();
    assert_eq!(health(), "unhealthy");
    sandbox.run(["unpause", "cc"]).success();
    wait_until("it is healthy again", || health() == "healthy");
    // Nobody is left who could let it go on.
    sandbox.run(["pause", "cc"]).success();
    for supervisor in sandbox.supervisors() {
        supervisor.kill(Signal::SIGKILL);
    }
    sandbox.wait_for_status("cc", "exited");
    sandbox.expect_no_process();
}

fn a_stopped_job_stays_stopped() {
    let sandbox = Sandbox::new().busybox();
    let script = "sleep 7777 & kill -STOP $!; echo $!; wait";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    wait_until("the job has a number", || !sandbox.run(["logs", "cc"]).text().is_empty());
    let file = format!("/proc/{}/stat", sandbox.run(["logs", "cc"]).success().text());
    let state = || sandbox.run(["exec", "cc", "cat", &file]).success().text();
    wait_until("the job is stopped", || state().contains(") T "));
    sandbox.run(["pause", "cc"]).success();
    sandbox.run(["unpause", "cc"]).success();
    assert!(state().contains(") T "), "{}", state());
}

fn top_shows_the_processes() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", "sleep 5678; true"]).success();
    wait_until("it sleeps", || sandbox.run(["top", "cc"]).text().contains("sleep 5678"));
    let outcome = sandbox.run(["top", "cc"]);
    let lines = outcome.success().lines();
    assert!(lines[0].starts_with("UID                 PID                 PPID "), "{outcome}");
    assert_eq!(lines.len(), 3, "{outcome}");
    assert!(lines[1].contains(&format!("{} ", sandbox.pid_of("cc"))), "{outcome}");
    let outcome = sandbox.run(["top", "cc", "-o", "pid,comm"]);
    assert_eq!(outcome.success().lines()[0], "PID                 COMMAND");
    // Also those of another user, whom the options alone would leave out.
    sandbox.run(["run", "-d", "--name", "other", "-u", "33", "busybox", "sleep", "8765"]).success();
    wait_until("another user's", || {
        sandbox.run(["top", "other", "-o", "pid,args"]).text().contains("sleep 8765")
    });
    sandbox
        .run(["top", "cc", "-o", "comm"])
        .stderr("Error response from daemon: Couldn't find PID field in ps output\n")
        .code(1);
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    sandbox.run(["top", "cc"]).stderr_contains("is not running").code(1);
}

fn stats_show_what_is_used() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox
        .run(["run", "-d", "--name", "busy", "busybox", "sh", "-c", "while :; do :; done"])
        .success()
        .text();
    sandbox.run(["create", "--name", "idle", "busybox", "true"]).success();
    let outcome = sandbox.run(["stats", "--no-stream"]);
    let lines = outcome.success().lines();
    let heads = "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT";
    assert!(lines[0].starts_with(heads) && lines.len() == 2, "{outcome}");
    assert!(lines[1].starts_with(&id[..12]) && lines[1].contains("busy"), "{outcome}");
    let format = ["stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.PIDs}} {{.CPUPerc}}", "busy"];
    let line = sandbox.run(format).success().text();
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!((words[0], words[1]), (id.as_str(), "1"));
    let percent: f64 = words[2].trim_end_matches('%').parse().unwrap();
    assert!(percent > 1.0, "{line}");
    let all = ["stats", "-a", "--no-stream", "--format", "{{.Name}}"];
    assert_eq!(sandbox.run(all).success().lines(), ["idle", "busy"]);
    let json = sandbox.run(["stats", "--no-stream", "--format", "json", "idle"]).success().json();
    assert_eq!(
        (&json["CPUPerc"], &json["MemUsage"], &json["PIDs"]),
        (&json!("0.00%"), &json!("0B / 0B"), &json!("0"))
    );
    sandbox
        .run(["stats", "--no-stream", "nobody"])
        .stderr("Error response from daemon: No such container: nobody\n")
        .code(1);
}

fn update_changes_the_restart_policy() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success().text();
    sandbox.run(["update", "--restart", "always", "cc"]).stdout("cc\n").success();
    let policy = [
        "inspect",
        "-f",
        "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}",
        "cc",
    ];
    sandbox.run(policy).stdout("always:0\n");
    // It is obeyed by the run that was there already.
    sandbox.run(["exec", "cc", "kill", "-9", "-1"]);
    let pid = sandbox.pid_of("cc");
    sandbox.run(["exec", "cc", "true"]).success();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_until("it runs again", || sandbox.run(["inspect", "-f", "{{.RestartCount}}", "cc"]).text() == "1");
    sandbox.run(["container", "update", "--restart", "on-failure:4", "cc"]).success();
    sandbox.run(policy).stdout("on-failure:4\n");
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    sandbox.run(policy).stdout("on-failure:4\n");
    sandbox
        .run(["update", "cc"])
        .stderr("you must provide one or more flags when using this command\n")
        .code(1);
    sandbox
        .run(["update", "--restart", "sometimes", "cc"])
        .stderr_contains("unknown policy 'sometimes'")
        .code(1);
    sandbox.run(["run", "-d", "--rm", "--name", "dd", "busybox", "sleep", "1000"]).success();
    sandbox.run(["update", "--restart", "always", "dd"]).stderr_contains("Cannot update container ").code(1);
    let events = ["events", "--since", "1h", "--until", "0s", "-f", "event=update", "--format", "{{.ID}}"];
    sandbox.run(events).stdout(&format!("{id}\n{id}\n"));
}

fn restore_starts_what_should_run() {
    let sandbox = Sandbox::new().busybox();
    for (name, policy) in [
        ("always", "always"),
        ("unless", "unless-stopped"),
        ("stopped", "unless-stopped"),
        ("no", "no"),
        ("failed", "on-failure:3"),
    ] {
        sandbox.run(["run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "1000"]).success();
    }
    sandbox.run(["create", "--name", "never", "--restart", "always", "busybox", "sleep", "1000"]).success();
    sandbox.run(["stop", "-t", "0", "stopped"]).success();
    // As when the machine goes down: nobody can write anything any more.
    for supervisor in sandbox.supervisors() {
        supervisor.kill(Signal::SIGKILL);
    }
    wait_until("all are down", || sandbox.run(["ps", "-q"]).success().text().is_empty());
    sandbox.run(["system", "restore"]).stdout("always\nunless\nfailed\n").success();
    let running = ["ps", "--format", "{{.Names}}"];
    assert_eq!(sandbox.run(running).success().lines(), ["failed", "unless", "always"]);
    sandbox.run(["system", "restore"]).stdout("").success();
    // As when the session or the machine goes down in order.
    for supervisor in sandbox.supervisors() {
        supervisor.kill(Signal::SIGTERM);
    }
    wait_until("all are down again", || sandbox.run(["ps", "-q"]).success().text().is_empty());
    sandbox.run(["system", "restore"]).stdout("always\nunless\nfailed\n").success();
}

fn restore_prints_a_unit_and_a_line() {
    let sandbox = Sandbox::new();
    let store = sandbox.store().to_str().unwrap().to_owned();
    let unit = sandbox.run(["system", "restore", "--print", "systemd"]).success().text();
    assert!(unit.contains(&format!("Environment=\"CORACLE_ROOT={store}\"")), "{unit}");
    let line = sandbox.run(["system", "restore", "--print", "crontab"]).success().text();
    assert!(line.starts_with(&format!("@reboot CORACLE_ROOT='{store}' '")), "{line}");
    assert!(line.ends_with("/coracle' system restore"), "{line}");
    sandbox
        .run(["system", "restore", "--print", "upstart"])
        .stderr("upstart: want systemd or crontab\n")
        .code(1);
    sandbox
        .run(["system", "restore", "--install", "systemd"])
        .stdout_contains("systemd/user/coracle.service")
        .success();
    let installed = sandbox.dir().join("config/systemd/user/default.target.wants/coracle.service");
    assert_eq!(std::fs::read_to_string(installed).unwrap().trim_end(), unit);
}

fn on_failure_gives_up() {
    let sandbox = Sandbox::new().busybox();
    let words = [
        "run",
        "-d",
        "--name",
        "cc",
        "--network",
        "none",
        "--restart",
        "on-failure:2",
        "busybox",
        "sh",
        "-c",
        "exit 3",
    ];
    sandbox.run(words).success();
    sandbox.wait_for_status("cc", "exited");
    let found = ["inspect", "-f", "{{.RestartCount}} {{.State.ExitCode}} {{.State.Restarting}}", "cc"];
    sandbox.run(found).stdout("2 3 false\n");
    let events =
        ["events", "--since", "1h", "--until", "0s", "-f", "container=cc", "--format", "{{.Action}}"];
    sandbox.run(events).stdout("create\nstart\ndie\nstart\ndie\nstart\ndie\n");
}
