//! Health checks: what runs them, what they say, and where it is shown.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::harness::{Test, tests};
use crate::support::{Image, Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    a_check_makes_it_healthy_and_unhealthy,
    the_images_check_is_run_and_can_be_changed,
    no_healthcheck_switches_it_off,
    results_are_kept_and_cut,
    a_check_that_takes_too_long_is_killed,
    a_command_that_is_missing_is_a_failure,
    stopped_containers_are_unhealthy_and_begin_anew,
    the_start_period_forgives,
    filters_find_them,
    a_killed_supervisor_leaves_no_check_behind,
    a_container_that_ends_takes_its_check_along,
    wrong_times_are_errors,
];

fn health(sandbox: &Sandbox, name: &str) -> Value {
    sandbox.run(["inspect", name]).success().json()[0]["State"]["Health"].clone()
}

#[track_caller]
fn wait_for_health(sandbox: &Sandbox, name: &str, status: &str) {
    wait_until(&format!("{name} becomes {status}"), || health(sandbox, name)["Status"] == status);
}

/// Starts a container whose check succeeds while the file `/ok` is there.
fn watched(name: &str) -> (Sandbox, &str) {
    let sandbox = Sandbox::new().busybox();
    let check = ["--health-cmd", "cat /ok", "--health-interval", "50ms", "--health-retries", "2"];
    let words = ["run", "-d", "--name", name, "--network", "none"].into_iter().chain(check);
    sandbox.run(words.chain(["busybox", "sleep", "1000"])).success();
    (sandbox, name)
}

fn a_check_makes_it_healthy_and_unhealthy() {
    let (sandbox, name) = watched("cc");
    wait_for_health(&sandbox, name, "unhealthy");
    let shown = sandbox.run(["ps", "--format", "{{.Status}}|{{.HealthStatus}}"]).success().text();
    assert!(shown.starts_with("Up ") && shown.ends_with(" (unhealthy)|unhealthy"), "{shown}");
    let found = health(&sandbox, name);
    assert!(found["FailingStreak"].as_i64().unwrap() >= 2, "{found}");
    let last = &found["Log"][0];
    assert_eq!(
        (&last["ExitCode"], last["Output"].as_str().unwrap().contains("/ok")),
        (&json!(1), true),
        "{found}"
    );
    sandbox.run(["exec", name, "sh", "-c", "echo fine >/ok"]).success();
    wait_for_health(&sandbox, name, "healthy");
    let found = health(&sandbox, name);
    assert_eq!(found["FailingStreak"], 0);
    assert_eq!(found["Log"].as_array().unwrap().last().unwrap()["Output"], "fine\n");
    let shown = sandbox.run(["ps", "--format", "{{.Status}}"]).success().text();
    assert!(shown.ends_with(" (healthy)"), "{shown}");
    let events =
        ["events", "--since", "1h", "--until", "0s", "-f", "event=health_status", "--format", "{{.Action}}"];
    sandbox.run(events).stdout("health_status: unhealthy\nhealth_status: healthy\n");
    // Nothing piles up: the one that ends just now is seen at most.
    wait_until("every check is collected", || {
        let states = sandbox.run(["exec", name, "sh", "-c", "cat /proc/[0-9]*/stat"]).success().lines();
        states.iter().all(|line| !line.contains(") Z "))
    });
}

fn the_images_check_is_run_and_can_be_changed() {
    let check = json!({ "Test": ["CMD", "test", "-e", "/etc"], "Interval": 50_000_000, "Retries": 9 });
    let image = Image::busybox().config("Healthcheck", check.clone());
    let sandbox = Sandbox::new().with("img", &image);
    sandbox.run(["run", "-d", "--name", "cc", "--network", "none", "img", "sleep", "1000"]).success();
    wait_for_health(&sandbox, "cc", "healthy");
    assert_eq!(sandbox.run(["inspect", "cc"]).success().json()[0]["Config"]["Healthcheck"], check);
    let other = ["create", "--name", "dd", "--health-cmd", "exit 7", "--health-timeout", "2s", "img"];
    sandbox.run(other).success();
    let merged = &sandbox.run(["inspect", "dd"]).success().json()[0]["Config"]["Healthcheck"];
    let wanted = json!({
        "Test": ["CMD-SHELL", "exit 7"], "Interval": 50_000_000, "Timeout": 2_000_000_000_i64, "Retries": 9
    });
    assert_eq!(merged, &wanted);
}

fn no_healthcheck_switches_it_off() {
    let image =
        Image::busybox().config("Healthcheck", json!({ "Test": ["CMD", "false"], "Interval": 50_000_000 }));
    let sandbox = Sandbox::new().with("img", &image);
    sandbox.run(["run", "-d", "--name", "cc", "--no-healthcheck", "img", "sleep", "1000"]).success();
    let found = sandbox.run(["inspect", "cc"]).success().json();
    assert_eq!(found[0]["Config"]["Healthcheck"]["Test"], json!(["NONE"]));
    assert_eq!(found[0]["State"].get("Health"), None);
    sandbox.run(["inspect", "-f", "{{if .State.Health}}yes{{else}}no{{end}}", "cc"]).stdout("no\n").success();
    let both = ["run", "--no-healthcheck", "--health-cmd", "true", "img"];
    sandbox.run(both).code(125).stderr_contains("--no-healthcheck conflicts with --health-* options");
}

fn results_are_kept_and_cut() {
    let sandbox = Sandbox::new().busybox();
    let check = "head -c 5000 /dev/zero | tr '\\0' x";
    let words = ["run", "-d", "--name", "cc", "--health-interval", "30ms", "--health-cmd", check];
    sandbox.run(words.into_iter().chain(["busybox", "sleep", "1000"])).success();
    wait_until("five results are there", || {
        health(&sandbox, "cc")["Log"].as_array().is_some_and(|log| log.len() == 5)
    });
    let first = health(&sandbox, "cc")["Log"][0]["Start"].clone();
    wait_until("the oldest goes", || health(&sandbox, "cc")["Log"][0]["Start"] != first);
    let found = health(&sandbox, "cc");
    assert_eq!(found["Log"].as_array().unwrap().len(), 5);
    assert_eq!(found["Log"][0]["Output"], format!("{}...", "x".repeat(4096)));
}

fn a_check_that_takes_too_long_is_killed() {
    let sandbox = Sandbox::new().busybox();
    let check = ["--health-interval", "50ms", "--health-timeout", "200ms", "--health-retries", "1"];
    let words = ["run", "-d", "--name", "cc", "--health-cmd", "echo slow; sleep 1234; true"];
    sandbox.run(words.into_iter().chain(check).chain(["busybox", "sleep", "1000"])).success();
    wait_for_health(&sandbox, "cc", "unhealthy");
    let found = health(&sandbox, "cc");
    let last = &found["Log"][0];
    assert_eq!(last["ExitCode"], -1);
    assert_eq!(last["Output"], "Health check exceeded timeout (200ms): slow\n");
    // What the check has started goes with it.
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    sandbox.expect_no_process();
}

fn a_command_that_is_missing_is_a_failure() {
    let check = json!({ "Test": ["CMD", "nonsense"], "Interval": 50_000_000, "Retries": 1 });
    let sandbox = Sandbox::new().with("img", &Image::busybox().config("Healthcheck", check));
    sandbox.run(["run", "-d", "--name", "cc", "img", "sleep", "1000"]).success();
    wait_for_health(&sandbox, "cc", "unhealthy");
    let found = health(&sandbox, "cc");
    assert_eq!(found["Log"][0]["ExitCode"], -1);
    let output = found["Log"][0]["Output"].as_str().unwrap();
    assert!(output.contains("exec: \"nonsense\": executable file not found in $PATH"), "{output}");
    assert_eq!(sandbox.status_of("cc"), "running");
}

fn stopped_containers_are_unhealthy_and_begin_anew() {
    let (sandbox, name) = watched("cc");
    sandbox.run(["exec", name, "touch", "/ok"]).success();
    wait_for_health(&sandbox, name, "healthy");
    sandbox.run(["stop", "-t", "0", name]).success();
    let stopped = health(&sandbox, name);
    assert_eq!(stopped["Status"], "unhealthy");
    let shown = sandbox.run(["ps", "-a", "--format", "{{.Status}}"]).success().text();
    assert!(shown.starts_with("Exited (137)") && !shown.contains("health"), "{shown}");
    sandbox.run(["start", name]).success();
    wait_for_health(&sandbox, name, "healthy");
}

fn the_start_period_forgives() {
    let sandbox = Sandbox::new().busybox();
    let check = ["--health-cmd", "false", "--health-start-period", "1h", "--health-start-interval", "30ms"];
    let words = ["run", "-d", "--name", "cc", "--health-retries", "1"];
    sandbox.run(words.into_iter().chain(check).chain(["busybox", "sleep", "1000"])).success();
    wait_until("some checks have failed", || {
        health(&sandbox, "cc")["Log"].as_array().is_some_and(|log| log.len() > 2)
    });
    let found = health(&sandbox, "cc");
    assert_eq!((&found["Status"], &found["FailingStreak"]), (&json!("starting"), &json!(0)));
    let shown = sandbox.run(["ps", "--format", "{{.Status}}"]).success().text();
    assert!(shown.ends_with(" (health: starting)"), "{shown}");
}

fn filters_find_them() {
    let (sandbox, _) = watched("sick");
    sandbox.run(["run", "-d", "--name", "plain", "busybox", "sleep", "1000"]).success();
    wait_for_health(&sandbox, "sick", "unhealthy");
    let names =
        |filter: &str| sandbox.run(["ps", "--format", "{{.Names}}", "--filter", filter]).success().text();
    assert_eq!(names("health=unhealthy"), "sick");
    assert_eq!(names("health=none"), "plain");
    assert_eq!(names("health=healthy"), "");
    sandbox
        .run(["ps", "--filter", "health=fine"])
        .stderr("Error response from daemon: unrecognized filter value for health: fine\n")
        .code(1);
}

fn a_killed_supervisor_leaves_no_check_behind() {
    let sandbox = Sandbox::new().busybox();
    let words = ["run", "-d", "--name", "cc", "--health-interval", "20ms", "--health-cmd", "sleep 4321"];
    sandbox.run(words.into_iter().chain(["busybox", "sleep", "1000"])).success();
    let checks = |sandbox: &Sandbox| {
        let running = sandbox.run(["exec", "cc", "ps"]);
        running.text().contains("sleep 4321")
    };
    wait_until("a check runs", || checks(&sandbox));
    for supervisor in sandbox.supervisors() {
        supervisor.kill(Signal::SIGKILL);
    }
    sandbox.wait_for_status("cc", "exited");
    sandbox.expect_no_process();
    assert_eq!(health(&sandbox, "cc")["Status"], "unhealthy");
    sandbox.run(["start", "cc"]).success();
    wait_until("a check runs again", || checks(&sandbox));
}

fn a_container_that_ends_takes_its_check_along() {
    let sandbox = Sandbox::new().busybox();
    let words =
        ["run", "--name", "cc", "--health-interval", "20ms", "--health-cmd", "touch /began; sleep 4321"];
    let wait = "until test -e /began; do sleep 0.01; done; exit 5";
    sandbox.run(words.into_iter().chain(["busybox", "sh", "-c", wait])).code(5);
    sandbox.expect_no_process();
    assert_eq!(health(&sandbox, "cc")["Log"], json!([]));
}

fn wrong_times_are_errors() {
    let sandbox = Sandbox::new().busybox();
    for (flag, value, why) in [
        ("--health-interval", "-1s", "--health-interval cannot be negative"),
        ("--health-retries", "-1", "--health-retries cannot be negative"),
        ("--health-timeout", "1us", "Timeout in Healthcheck cannot be less than 1ms"),
        (
            "--health-start-period",
            "soon",
            "invalid argument \"soon\" for \"--health-start-period\" flag: time: invalid duration \"soon\"",
        ),
    ] {
        sandbox.run(["create", flag, value, "busybox"]).stderr_contains(why);
        sandbox.run(["run", flag, value, "busybox"]).stderr_contains(why).code(125);
    }
}
