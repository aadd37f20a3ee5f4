//! `events`: what is written down, and how it is read and followed.

use std::time::Duration;

use serde_json::Value;

use crate::support::harness::{Test, tests};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    a_containers_life_is_written_down,
    stop_kill_restart_and_rm_have_their_events,
    exec_rename_and_export_have_their_events,
    a_detached_process_has_its_end_written_down,
    images_have_their_events,
    networks_and_volumes_have_their_events,
    filters_choose,
    formats_show,
    a_follower_sees_what_happens,
    wrong_times_and_formats_are_errors,
    a_container_without_a_supervisor_dies_once,
];

/// Returns the types and actions of everything so far that fits the filters.
#[track_caller]
fn actions(sandbox: &Sandbox, filters: &[&str]) -> Vec<String> {
    let mut words = vec!["events", "--since", "1h", "--until", "0s", "--format", "{{.Type}} {{.Action}}"];
    for filter in filters {
        words.extend(["--filter", filter]);
    }
    sandbox.run(words).success().lines()
}

fn a_containers_life_is_written_down() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "--rm", "--name", "cc", "-l", "tier=front", "busybox", "sh", "-c", "exit 3"]).code(3);
    let seen = actions(&sandbox, &["type=container"]);
    let wanted = ["create", "attach", "start", "die", "destroy"].map(|action| format!("container {action}"));
    assert_eq!(seen, wanted);
    let words = ["events", "--since", "1h", "--until", "0s", "-f", "event=die", "--format", "json"];
    let die: Value = serde_json::from_str(&sandbox.run(words).success().text()).unwrap();
    let attributes = &die["Actor"]["Attributes"];
    assert_eq!(die["Actor"]["ID"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&attributes["exitCode"], &attributes["image"], &attributes["name"], &attributes["tier"]),
        (&"3".into(), &"busybox".into(), &"cc".into(), &"front".into())
    );
    assert_eq!(
        (&die["scope"], &die["status"], &die["from"]),
        (&"local".into(), &"die".into(), &"busybox".into())
    );
    // Nobody attaches to what is detached.
    sandbox.run(["run", "-d", "--name", "dd", "busybox", "true"]).success();
    sandbox.wait_for_status("dd", "exited");
    assert_eq!(
        actions(&sandbox, &["container=dd"]),
        ["create", "start", "die"].map(|action| format!("container {action}"))
    );
}

fn stop_kill_restart_and_rm_have_their_events() {
    let sandbox = Sandbox::new().busybox();
    let events = |name: &str| {
        let filter = format!("container={name}");
        let all = actions(&sandbox, &[&filter, "type=container"]);
        all.into_iter().map(|line| line.replace("container ", "")).collect::<Vec<_>>()
    };
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    sandbox.run(["restart", "-t", "0", "cc"]).success();
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    sandbox.run(["restart", "cc"]).success();
    sandbox.run(["kill", "cc"]).success();
    sandbox.run(["rm", "cc"]).success();
    let restart = ["kill", "kill", "die", "stop", "start", "restart"];
    let stop = ["kill", "kill", "die", "stop"];
    let rest = ["start", "restart", "kill", "die", "destroy"];
    let all: Vec<&str> = ["create", "start"].into_iter().chain(restart).chain(stop).chain(rest).collect();
    assert_eq!(events("cc"), all);

    sandbox.run(["run", "-d", "--name", "dd", "busybox", "sleep", "1000"]).success();
    sandbox.run(["rm", "-f", "dd"]).success();
    assert_eq!(events("dd"), ["create", "start", "kill", "die", "destroy"]);
    let signal =
        ["events", "--since", "1h", "--until", "0s", "-f", "container=dd", "-f", "event=kill", "--format"];
    sandbox.run(signal.into_iter().chain(["{{.Actor.Attributes.signal}}"])).stdout("9\n");
}

fn exec_rename_and_export_have_their_events() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    sandbox.run(["exec", "cc", "sh", "-c", "exit 4"]).code(4);
    sandbox.run(["exec", "cc", "nonsense"]).code(127);
    sandbox.run(["rename", "cc", "new"]).success();
    sandbox.run(["export", "-o", "tree.tar", "new"]).success();
    let words = [
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "type=container",
        "--format",
        "{{.Action}}|{{.Actor.Attributes.name}}|{{.Actor.Attributes.exitCode}}|{{.Actor.Attributes.oldName}}",
    ];
    sandbox.run(words).stdout(
        "create|cc|<no value>|<no value>\n\
         start|cc|<no value>|<no value>\n\
         exec_create: sh -c exit 4|cc|<no value>|<no value>\n\
         exec_start: sh -c exit 4|cc|<no value>|<no value>\n\
         exec_die|cc|4|<no value>\n\
         exec_create: nonsense |cc|<no value>|<no value>\n\
         exec_start: nonsense |cc|<no value>|<no value>\n\
         exec_die|cc|127|<no value>\n\
         rename|new|<no value>|/cc\n\
         export|new|<no value>|<no value>\n",
    );
    let ids = ["events", "--since", "1h", "--until", "0s", "-f", "event=exec_create", "-f", "event=exec_die"];
    let ids =
        sandbox.run(ids.into_iter().chain(["--format", "{{.Actor.Attributes.execID}}"])).success().lines();
    assert!(ids.len() == 4 && ids[0] == ids[1] && ids[2] == ids[3] && ids[0] != ids[2], "{ids:?}");
}

fn a_detached_process_has_its_end_written_down() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    sandbox.run(["exec", "-d", "cc", "sh", "-c", "exit 6"]).success().stdout("");
    sandbox.run(["exec", "-dt", "cc", "sh", "-c", "yes | head -c 1000000; exit 7"]).success().stdout("");
    // Whoever waits for the command's output to end does not wait for the process.
    sandbox.run(["exec", "-d", "cc", "sleep", "1000"]).success();
    sandbox.run(["exec", "-d", "cc", "nonsense"]).code(127).stderr_contains("executable file not found");
    let words = ["events", "--since", "1h", "--until", "0s", "-f", "event=exec_die"];
    let format = ["--format", "{{.Actor.Attributes.exitCode}}"];
    wait_until("both ends are written down", || {
        let mut codes = sandbox.run(words.into_iter().chain(format)).lines();
        codes.sort();
        codes == ["127", "6", "7"]
    });
    // Its parent goes with it.
    sandbox.run(["rm", "-f", "-v", "cc"]).success();
}

fn images_have_their_events() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["images", "-q", "--no-trunc"]).success().text();
    sandbox.run(["tag", "busybox", "other:1"]).success();
    sandbox.run(["save", "-o", "image.tar", "other:1"]).success();
    sandbox.run(["rmi", "other:1"]).success();
    sandbox.run(["rmi", "busybox"]).success();
    sandbox.run(["load", "-q", "-i", "image.tar"]).success();
    let words = [
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--format",
        "{{.Type}} {{.Action}} {{.ID}} {{.Actor.Attributes.name}}",
    ];
    let wanted = [
        ("load", ""),
        ("tag", "other:1"),
        ("save", ""),
        ("untag", ""),
        ("untag", ""),
        ("delete", ""),
        ("load", ""),
    ];
    let mut text = String::new();
    for (action, name) in wanted {
        let name = if name.is_empty() { id.as_str() } else { name };
        text += &["image ", action, " ", &id, " ", name, "\n"].concat();
    }
    sandbox.run(words).stdout(&text);
}

fn networks_and_volumes_have_their_events() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["volume", "create", "vol"]).success();
    sandbox.run(["run", "--rm", "-v", "vol:/data:ro", "--network", "none", "busybox", "true"]).success();
    sandbox.run(["volume", "rm", "vol"]).success();
    sandbox.run(["volume", "prune", "-f"]).success();
    let volumes = ["create", "mount", "unmount", "destroy", "prune"].map(|action| format!("volume {action}"));
    assert_eq!(actions(&sandbox, &["type=volume"]), volumes);
    let words = ["events", "--since", "1h", "--until", "0s", "-f", "event=mount", "--format"];
    let format =
        r#"{{.ID}} {{with .Actor.Attributes}}{{.destination}} {{.driver}} {{index . "read/write"}}{{end}}"#;
    sandbox
        .run(words.into_iter().chain([&*format.replace(".ID", ".Actor.ID")]))
        .stdout("vol /data local false\n");

    sandbox.run(["network", "create", "net"]).success();
    sandbox.run(["network", "rm", "net"]).success();
    assert_eq!(actions(&sandbox, &["network=net"]), ["network create", "network destroy"]);
}

fn filters_choose() {
    let sandbox = Sandbox::new().busybox();
    for name in ["one", "two"] {
        let label = format!("which={name}");
        sandbox
            .run(["run", "--rm", "--network", "none", "--name", name, "-l", &label, "busybox", "true"])
            .success();
    }
    assert_eq!(actions(&sandbox, &["label=which=one"]).len(), 5);
    assert_eq!(actions(&sandbox, &["container=one", "container=two", "event=start"]).len(), 2);
    assert_eq!(actions(&sandbox, &["image=busybox", "event=die"]).len(), 2);
    assert_eq!(actions(&sandbox, &["event=sta"]).len(), 0);
    assert_eq!(actions(&sandbox, &["type=image"]), ["image load"]);
}

fn formats_show() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["create", "--name", "cc", "-l", "a=b", "busybox", "true"]).success().text();
    let words = ["events", "--since", "1h", "--until", "0s", "-f", "type=container"];
    let line = sandbox.run(words).success().text();
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!(rest, format!("container create {id} (a=b, image=busybox, name=cc)"));
    assert!(time.len() == "2026-01-02T03:04:05.123456789Z".len() && time.ends_with('Z'), "{time}");
    let line = sandbox.run(words.into_iter().chain(["--format", "{{json .}}"])).success().text();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["Type"], &event["Action"]), (&"container".into(), &"create".into()));
    assert_eq!(event["timeNano"].as_i64().unwrap() / 1_000_000_000, event["time"].as_i64().unwrap());
    sandbox.run(["system", "events", "--since", "1h", "--until", "0s", "--format", "{{.Status}}"]).success();
}

fn a_follower_sees_what_happens() {
    let sandbox = Sandbox::new().busybox();
    let follower = sandbox.command(["events", "--format", "{{.Action}}", "-f", "type=container"]).spawn();
    // Whether it follows already can only be seen by what it says.
    wait_until("the follower says something", || {
        sandbox.run(["create", "busybox", "true"]).success();
        follower.seen().contains("create")
    });
    sandbox.run(["run", "--rm", "--network", "none", "busybox", "true"]).success();
    wait_until("the follower sees a life", || {
        follower.seen().ends_with("create\nattach\nstart\ndie\ndestroy\n")
    });
    follower.signal(nix::sys::signal::Signal::SIGTERM);
    follower.wait();
}

fn wrong_times_and_formats_are_errors() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["events", "--since", "200", "--until", "100"])
        .stderr("Error response from daemon: `since` time (200.000000000) cannot be after `until` time (100.000000000)\n")
        .code(1);
    sandbox.run(["events", "--since", "yesterday"]).code(1);
    sandbox.run(["events", "--format", "{{.Nonsense}}"]).code(64);
    sandbox.run(["events", "--until", "0s"]).stdout("").success();
    let outcome = sandbox.run(["events", "--until", "-300ms"]);
    assert!(outcome.success().took >= Duration::from_millis(250), "{outcome}");
}

fn a_container_without_a_supervisor_dies_once() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    for supervisor in sandbox.supervisors() {
        supervisor.kill(nix::sys::signal::Signal::SIGKILL);
    }
    sandbox.wait_for_status("cc", "exited");
    sandbox.run(["ps", "-a"]).success();
    assert_eq!(actions(&sandbox, &["event=die"]), ["container die"]);
}
