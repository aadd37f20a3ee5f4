//! `compose watch` and `up --watch`: what changes of files do to containers.

use nix::sys::signal::Signal;

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] =
    tests![syncs_restarts_and_rebuilds, watches_beside_its_containers, refuses_to_watch];

const PROJECT: &str = "name: p\nservices:\n  web:\n    build: .\n    stop_grace_period: 0s\n    develop:\n      watch:\n        \
                       - {action: sync, path: ./src, target: /app, ignore: ['*.log', version, conf], initial_sync: true}\n        \
                       - {action: rebuild, path: ./src/version}\n        - {action: sync+restart, path: ./src/conf, target: \
                       /app/conf}\n        - {action: sync+exec, path: ./hook, target: /hook, exec: {command: touch /ran}}\n";

fn project() -> Sandbox {
    let sandbox = Sandbox::new().busybox();
    sandbox.file("compose.yaml", PROJECT);
    sandbox.file(
        "Dockerfile",
        "FROM busybox\nCOPY src/version /version\nCMD [\"sh\", \"-c\", \"echo version `cat /version`; sleep 1000\"]\n",
    );
    for dir in ["src", "hook"] {
        sandbox.directory(dir);
    }
    sandbox.file("src/version", "1");
    sandbox.file("src/first", "first");
    sandbox
}

fn read(sandbox: &Sandbox, path: &str) -> String {
    sandbox.run(["compose", "exec", "-T", "web", "cat", path]).success().text()
}

fn syncs_restarts_and_rebuilds() {
    let sandbox = project();
    let watch = sandbox.command(["compose", "watch"]).spawn();
    watch.wait_for("Watch enabled");
    assert_eq!(read(&sandbox, "/app/first"), "first");
    let id = || sandbox.run(["compose", "ps", "-q", "web"]).text();
    let pid = || sandbox.pid_of("p-web-1");
    let (first, begun) = (id(), pid());
    sandbox.file("src/x.log", "ignored");
    sandbox.directory("src/deep");
    sandbox.file("src/deep/f", "deep");
    std::fs::remove_file(sandbox.work().join("src/first")).unwrap();
    watch.wait_for("Syncing service \"web\" after");
    // The message comes before the deed.
    sandbox.file("hook/h", "hook");
    let ran = "until [ -e /ran ]; do sleep 0.1; done; ls /app; cat /app/deep/f /hook/h";
    let seen = sandbox.run(["compose", "exec", "-T", "web", "sh", "-c", ran]);
    seen.success().stdout("deep\ndeephook");
    assert_eq!((id(), pid()), (first.clone(), begun));
    sandbox.file("src/conf", "conf");
    watch.wait_for("service(s) [\"web\"] restarted");
    assert_eq!(read(&sandbox, "/app/conf"), "conf");
    assert!(id() == first && pid() != begun);
    sandbox.file("src/version", "2");
    watch.wait_for("service(s) [\"web\"] successfully built");
    sandbox.wait_for_log("p-web-1", "version 2");
    assert_ne!(id(), first);
    watch.signal(Signal::SIGINT);
    watch.wait();
    sandbox.run(["compose", "down", "-t", "0"]).success();
    sandbox.expect_no_process();
}

fn watches_beside_its_containers() {
    let sandbox = project();
    let up = sandbox.command(["compose", "up", "--build", "--watch"]).spawn();
    up.wait_for("Watch enabled");
    up.wait_for("web-1  | version 1");
    sandbox.file("src/version", "2");
    up.wait_for("web-1  | version 2");
    up.signal(Signal::SIGINT);
    up.wait().code(130).stdout_contains("Rebuilding service(s) [\"web\"] after changes were detected...");
    assert_eq!(sandbox.status_of("p-web-1"), "exited");
    sandbox.expect_no_process();
    sandbox.run(["compose", "down"]).success();
}

fn refuses_to_watch() {
    let sandbox = Sandbox::new();
    for (section, complaint) in [
        (
            "image: a",
            "none of the selected services is configured for watch, consider setting a 'develop' section",
        ),
        (
            "image: a, develop: {watch: [{action: rebuild, path: .}]}",
            "can't watch service \"a\" with action rebuild without a build context",
        ),
        (
            "build: ., develop: {watch: [{action: sync, path: .}]}",
            "services.a.develop.watch: target is required for non-rebuild actions",
        ),
    ] {
        sandbox.file("compose.yaml", format!("name: p\nservices: {{a: {{{section}}}}}\n"));
        let outcome = sandbox.run(["compose", "watch"]);
        assert!(outcome.error_text().contains(complaint), "{}", outcome.error_text());
    }
    sandbox.file(
        "compose.yaml",
        "name: p\nservices: {a: {build: ., develop: {watch: [{action: rebuild, path: .}]}}}\n",
    );
    sandbox
        .run(["compose", "up", "-d", "--watch"])
        .code(1)
        .stderr_contains("--detach cannot be combined with");
    sandbox
        .run(["compose", "up", "--no-build", "--watch"])
        .code(1)
        .stderr_contains("--no-build is incompatible with watch action rebuild in service a");
}
