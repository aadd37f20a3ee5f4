//! `commit`: images out of containers.

use nix::sys::signal::Signal;

use crate::support::harness::{Test, tests};
use crate::support::process::{is_dead, status_field};
use crate::support::registry::Registry;
use crate::support::{Image, Layer, Meta, Need, Sandbox, needs, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    makes_an_image_that_runs,
    takes_instructions,
    the_container_stands_still_and_goes_on,
    goes_on_when_commit_is_killed,
    killing_commit_at_any_moment,
    what_is_committed_is_saved_and_pushed,
    the_same_changes_are_the_same_layer,
    a_full_disk_while_committing,
];

fn changed() -> Sandbox {
    let sandbox = Sandbox::new().image("busybox", |layer| layer.file("/old", "old").file("/gone", "gone"));
    let script = "echo new >/new; rm /gone; echo done; exec sleep 1000";
    sandbox.run(["run", "-d", "--name", "cc", "-e", "A=b", "busybox", "sh", "-c", script]).success();
    sandbox.wait_for_log("cc", "done");
    sandbox
}

fn field(sandbox: &Sandbox, image: &str, format: &str) -> String {
    sandbox.run(["image", "inspect", "-f", format, image]).success().text()
}

fn makes_an_image_that_runs() {
    let sandbox = changed();
    let before = field(&sandbox, "busybox", "{{len .RootFS.Layers}}");
    let outcome = sandbox.run(["commit", "-a", "Me <me@x>", "-m", "why", "cc", "made:1"]);
    let id = outcome.success().stderr("").text();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(field(&sandbox, "made:1", "{{.Id}}"), id);
    assert_eq!(field(&sandbox, "made:1", "{{.Author}}/{{.Comment}}"), "Me <me@x>/why");
    assert_eq!(field(&sandbox, "made:1", "{{.Config.Env}}").matches("A=b").count(), 1);
    let after: usize = field(&sandbox, "made:1", "{{len .RootFS.Layers}}").parse().unwrap();
    assert_eq!(after, before.parse::<usize>().unwrap() + 1);
    let script = "cat /new /old; ls /gone; ls -A /etc /proc/self/exe";
    sandbox
        .run(["run", "--rm", "made:1", "sh", "-c", script])
        .stdout_contains("new\nold")
        .stderr_contains("/gone: No such file");
    let history = sandbox.run(["history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:1"]);
    assert_eq!(
        history.success().lines()[0],
        "sh -c echo new >/new; rm /gone; echo done; exec sleep 1000|why"
    );
    // Without a name, without changes, and of a container that has ended.
    sandbox.run(["create", "--name", "never", "busybox"]).success();
    let id = sandbox.run(["commit", "never"]).success().text();
    assert_eq!(field(&sandbox, &id, "{{len .RootFS.Layers}}"), before);
    sandbox.run(["kill", "cc"]).success();
    sandbox.run(["container", "commit", "cc", "made"]).success();
    sandbox.run(["run", "--rm", "made", "cat", "/new"]).stdout("new\n");
    // Where nothing is mounted any more, nothing is left of mount points.
    let layers = sandbox.run(["export", "never"]).success().out.len();
    assert!(layers > 0);
    sandbox.run(["system", "check"]).success();
    for (words, error) in [
        (["commit", "no", "x"], "Error response from daemon: No such container: no\n"),
        (["commit", "cc", "X"], "invalid reference format: repository name (library/X) must be lowercase\n"),
    ] {
        sandbox.run(words).code(1).stderr(error);
    }
    sandbox.run(["commit"]).code(1).stderr_contains("requires at least 1 and at most 2 arguments");
}

fn takes_instructions() {
    let sandbox = changed();
    let words =
        ["commit", "-c", "CMD [\"cat\", \"/new\"]", "--change", "ENV X=y", "-c", "LABEL l=m", "cc", "made"];
    sandbox.run(words).success();
    sandbox.run(["run", "--rm", "made"]).stdout("new\n").success();
    assert_eq!(field(&sandbox, "made", "{{index .Config.Labels \"l\"}}"), "m");
    sandbox.run(["run", "--rm", "made", "sh", "-c", "echo $A$X"]).stdout("by\n");
    // An entry point takes the command of the container away.
    sandbox.run(["commit", "-c", "ENTRYPOINT [\"echo\"]", "cc", "entry"]).success();
    sandbox.run(["run", "--rm", "entry", "hi"]).stdout("hi\n");
    assert_eq!(field(&sandbox, "entry", "{{json .Config.Cmd}}"), "null");
    let outcome = sandbox.run(["commit", "-c", "RUN true", "cc", "bad"]);
    outcome.code(1).stderr_contains("is not a valid change command");
    sandbox.run(["image", "inspect", "bad"]).code(1);
}

/// A container with children whose files are so many that packing them takes a while.
fn busy() -> (Sandbox, i32) {
    let sandbox = Sandbox::new().busybox();
    let script = "sleep 1001 & sh -c 'sleep 1002; true' & mkdir /many; cd /many; i=0; \
        while [ $i -lt 400 ]; do dd if=/dev/urandom of=$i bs=60k count=1 2>/dev/null; i=$((i+1)); done; \
        echo done; while :; do sleep 1003; done";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    sandbox.wait_for_log("cc", "done");
    let pid = sandbox.pid_of("cc");
    (sandbox, pid)
}

fn stands_still(pid: i32) -> bool {
    status_field(pid, "State").is_some_and(|state| state.starts_with('T'))
}

fn the_container_stands_still_and_goes_on() {
    let (sandbox, pid) = busy();
    let commit = sandbox.command(["commit", "cc", "paused"]).spawn();
    wait_until("the container stands still", || stands_still(pid));
    commit.wait().success();
    wait_until("the container goes on", || !stands_still(pid));
    for process in sandbox.processes() {
        assert!(!stands_still(process.pid), "{process:?}");
    }
    let free = sandbox.command(["commit", "--pause=false", "cc", "free"]).spawn();
    let mut still = false;
    let outcome = {
        for _ in 0..50 {
            still |= stands_still(pid);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        free.wait()
    };
    outcome.success();
    assert!(!still);
}

fn goes_on_when_commit_is_killed() {
    let (sandbox, pid) = busy();
    let commit = sandbox.command(["commit", "cc"]).spawn();
    wait_until("the container stands still", || stands_still(pid));
    commit.signal(Signal::SIGKILL);
    let _ = commit.wait();
    wait_until("the container goes on", || !stands_still(pid));
    sandbox.wait_for_status("cc", "running");
    sandbox.run(["exec", "cc", "true"]).success();
    // What kills the supervisor kills those that stand still.
    let commit = sandbox.command(["commit", "cc"]).spawn();
    wait_until("the container stands still", || stands_still(pid));
    sandbox.supervisors()[0].kill(Signal::SIGKILL);
    let _ = commit.wait();
    wait_until("the container has ended", || is_dead(pid));
    sandbox.wait_for_status("cc", "exited");
    sandbox.run(["commit", "cc", "later"]).success();
    sandbox.run(["rm", "-f", "cc"]).success();
    sandbox.run(["system", "check"]).success();
}

fn killing_commit_at_any_moment() {
    let (sandbox, _) = busy();
    for turn in 0..14_u64 {
        let commit = sandbox.command(["commit", "cc", &format!("made:{turn}")]).spawn();
        std::thread::sleep(std::time::Duration::from_millis(2 + turn * 23));
        commit.signal(Signal::SIGKILL);
        let _ = commit.wait();
        sandbox.wait_for_status("cc", "running");
        sandbox.run(["exec", "cc", "true"]).success();
    }
    sandbox.run(["commit", "cc", "whole"]).success();
    let left = std::fs::read_dir(sandbox.store().join("staging")).unwrap().count();
    assert_eq!(left, 0, "the next one swept it");
    sandbox.run(["system", "check"]).success();
    sandbox.run(["run", "--rm", "whole", "sh", "-c", "ls /many | wc -l"]).stdout("400\n");
}

fn what_is_committed_is_saved_and_pushed() {
    let sandbox = changed();
    let registry = Registry::start();
    let name = format!("{}/made:1", registry.host());
    let id = sandbox.run(["commit", "cc", &name]).success().text();
    let archive = sandbox.run(["save", &name]).success().out.clone();
    sandbox.run(["push", "-q", &name]).success();
    sandbox.run(["rmi", &name]).success();
    sandbox.command(["load", "-q"]).stdin(archive).run().success();
    assert_eq!(field(&sandbox, &name, "{{.Id}}"), id);
    sandbox.run(["rmi", &name]).success();
    sandbox.run(["pull", "-q", &name]).success();
    assert_eq!(field(&sandbox, &name, "{{.Id}}"), id);
    sandbox.run(["run", "--rm", &name, "cat", "/new"]).stdout("new\n");
}

fn the_same_changes_are_the_same_layer() {
    needs(Need::Subids);
    let layer = Layer::new().file_with("/o", "o", &Meta::mode(0o640).owner(12, 34)).dir("/many");
    let sandbox = Sandbox::new().with("owners", &Image::busybox().layer(&layer));
    let mut found = Vec::new();
    for name in ["one", "two"] {
        let script = "touch -d @1600000000 /many/f /o; mv /o /many/o; chown 3:4 /many/f; touch -d @1600000000 /many; \
                      echo done; exec sleep 1000";
        sandbox.run(["run", "-d", "--name", name, "owners", "sh", "-c", script]).success();
        sandbox.wait_for_log(name, "done");
        sandbox.run(["commit", name, name]).success();
        found.push(field(&sandbox, name, "{{index .RootFS.Layers 2}}"));
    }
    assert_eq!(found[0], found[1]);
    let script = "stat -c '%n %u:%g %a' /many/*; ls /o";
    let outcome = sandbox.run(["run", "--rm", "one", "sh", "-c", script]);
    outcome.stdout("/many/f 3:4 644\n/many/o 12:34 640\n").stderr_contains("/o: No such file");
}

fn a_full_disk_while_committing() {
    needs(Need::Root);
    let sandbox = Sandbox::new();
    sandbox.file("small.tar", Image::busybox().docker_archive("small:1"));
    let script = "coracle=$0; $coracle load -qi work/small.tar; \
         $coracle run --name cc small:1 dd if=/dev/urandom of=/f bs=1M count=8; \
         $coracle commit cc made:1 && exit 9; ls -A data/coracle/staging; $coracle images -q | wc -l; \
         $coracle rm cc; $coracle run --name cc small:1 touch /x; $coracle commit cc made:1; $coracle system check";
    let outcome = sandbox.command([script]).shell().small_disk(20 << 20).run();
    outcome.success().stderr_contains("o space left on device").stdout_contains("1\ncc\nsha256:");
}
