//! `exec`: another process in a running container.

use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Need, Sandbox, needs, process, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    runs_beside_the_first_process,
    passes_the_exit_code,
    reads_standard_input,
    takes_environment_user_and_directory,
    has_the_containers_filters_and_no_more,
    privileged_has_all_capabilities,
    leaves_it_running_when_detached,
    a_missing_command_is_127,
    a_stopped_container_is_an_error,
    ends_with_the_container,
    does_not_disturb_the_log,
];

fn started(image: &Image) -> Sandbox {
    let sandbox = Sandbox::new().with("img", image);
    sandbox.run(["run", "-d", "--name", "cc", "img", "sleep", "1000"]).success();
    sandbox
}

fn runs_beside_the_first_process() {
    let sandbox = started(&Image::busybox());
    sandbox
        .run(["exec", "cc", "sh", "-c", "echo out; echo err >&2"])
        .stdout("out\n")
        .stderr("err\n")
        .success();
    sandbox.run(["exec", "cc", "sh", "-c", "echo kept > /kept"]).success();
    sandbox.run(["exec", "cc", "cat", "/kept"]).stdout("kept\n").success();
    sandbox.run(["exec", "cc", "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline"]).stdout("sleep 1000 ").success();
    // The same namespaces as the first process, the user namespace included.
    let script = "for n in user mnt pid ipc uts net cgroup; do \
                  test $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) || echo $n; done";
    sandbox.run(["exec", "cc", "sh", "-c", script]).stdout("").success();
}

fn passes_the_exit_code() {
    let sandbox = started(&Image::busybox());
    for code in [0, 3, 255] {
        sandbox.run(["exec", "cc", "sh", "-c", &format!("exit {code}")]).code(code);
    }
    sandbox.run(["exec", "cc", "sh", "-c", "kill -9 $$"]).code(137);
}

fn reads_standard_input() {
    let sandbox = started(&Image::busybox());
    let bytes = "line\x10\x11\n".repeat(100_000);
    sandbox.command(["exec", "-i", "cc", "cat"]).stdin(bytes.clone()).run().stdout(&bytes).success();
    sandbox.command(["exec", "cc", "cat"]).stdin("no").run().stdout("").success();
}

fn takes_environment_user_and_directory() {
    needs(Need::Subids);
    let image = Image::busybox()
        .config("Env", json!(["PATH=/bin", "IMAGE=1"]))
        .config("WorkingDir", json!("/etc"))
        .config("User", json!("app"));
    let sandbox = started(&image);
    let script = "id -u; pwd; echo $IMAGE,$MINE,$HOME";
    sandbox.run(["exec", "cc", "sh", "-c", script]).stdout("1000\n/etc\n1,,/home/app\n").success();
    sandbox
        .run(["exec", "-u", "0", "-w", "/tmp", "-e", "MINE=2", "cc", "sh", "-c", script])
        .stdout("0\n/tmp\n1,2,/root\n")
        .success();
    sandbox
        .run(["exec", "-u", "nosuch", "cc", "true"])
        .code(126)
        .stderr_contains("unable to find user nosuch");
}

fn has_the_containers_filters_and_no_more() {
    let sandbox = started(&Image::busybox().layer(&Layer::new().probe()));
    let first = sandbox.run(["exec", "cc", "cat", "/proc/1/status"]).success().text();
    let exec = sandbox.run(["exec", "cc", "cat", "/proc/self/status"]).success().text();
    let fields = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| ["Cap", "NoNewPrivs", "Seccomp"].iter().any(|field| line.starts_with(field)))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(fields(&first), fields(&exec));
    assert_eq!(fields(&exec).len(), 8);
}

fn privileged_has_all_capabilities() {
    let sandbox = started(&Image::busybox());
    let plain = sandbox.run(["exec", "cc", "grep", "CapEff", "/proc/self/status"]).success().text();
    assert!(plain.ends_with("00000000a80425fb"), "{plain}");
    let outcome = sandbox.run(["exec", "--privileged", "cc", "grep", "CapEff", "/proc/self/status"]);
    assert!(outcome.success().text().ends_with("ffffffff"), "{outcome}");
}

fn leaves_it_running_when_detached() {
    let sandbox = started(&Image::busybox());
    sandbox
        .run(["exec", "-d", "cc", "sh", "-c", "sleep 0.2; echo done > /done; sleep 1000"])
        .stdout("")
        .success();
    wait_until("the detached command writes", || {
        sandbox.run(["exec", "cc", "cat", "/done"]).text() == "done"
    });
}

fn a_missing_command_is_127() {
    let sandbox = started(&Image::busybox().layer(&Layer::new().file("/plain", "x")));
    sandbox
        .run(["exec", "cc", "nosuch"])
        .code(127)
        .stderr_contains("exec: \"nosuch\": executable file not found in $PATH");
    sandbox.run(["exec", "cc", "/nosuch"]).code(127).stderr_contains("no such file or directory");
    sandbox.run(["exec", "cc", "/plain"]).code(126).stderr_contains("permission denied");
    sandbox.run(["exec", "-w", "/nosuch", "cc", "true"]).code(127).stderr_contains("chdir to cwd");
}

fn a_stopped_container_is_an_error() {
    let sandbox = started(&Image::busybox());
    let id = sandbox.run(["inspect", "-f", "{{.Id}}", "cc"]).text();
    sandbox.run(["kill", "cc"]).success();
    sandbox.run(["wait", "cc"]).success();
    sandbox
        .run(["exec", "cc", "true"])
        .code(1)
        .stderr_contains(&format!("Error response from daemon: container {id} is not running"));
    sandbox
        .run(["exec", "absent", "true"])
        .code(1)
        .stderr("Error response from daemon: No such container: absent\n");
}

fn ends_with_the_container() {
    let sandbox = started(&Image::busybox());
    let running = sandbox.command(["exec", "cc", "sh", "-c", "echo on; sleep 1000"]).spawn();
    running.wait_for("on");
    sandbox.run(["kill", "cc"]).success();
    running.wait().code(137);
}

fn does_not_disturb_the_log() {
    let sandbox = started(&Image::busybox());
    let supervisor = &sandbox.supervisors()[0];
    sandbox.run(["exec", "cc", "echo", "not logged"]).stdout("not logged\n").success();
    sandbox.run(["logs", "cc"]).stdout("").success();
    // A client that is killed takes its own process's input away, and nothing else.
    let running = sandbox.command(["exec", "-i", "cc", "cat"]).keep_stdin().spawn();
    wait_until("cat runs", || sandbox.processes().iter().any(|p| p.command == "cat"));
    running.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(running.wait().code, None);
    assert!(!process::is_dead(supervisor.pid));
    assert_eq!(sandbox.status_of("cc"), "running");
}
