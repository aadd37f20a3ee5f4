//! `kill -9` of everything, in any order: what is left tells the truth and can be mended.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::harness::{Test, tests};
use crate::support::image::Compression;
use crate::support::process::is_dead;
use crate::support::registry::Registry;
use crate::support::{Image, Layer, Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    killing_the_command_leaves_the_container_running,
    killing_the_supervisor_ends_the_container,
    killing_the_first_process_is_an_exit,
    killing_both_in_either_order,
    killing_the_supervisor_of_a_removable_container,
    the_runtime_directory_vanishes,
    everything_is_gone_as_after_a_reboot,
    killing_run_at_any_moment,
    killing_load_at_any_moment,
    killing_rm_at_any_moment,
    killing_create_leaves_no_stuck_name,
    a_supervisor_that_stands_still_is_seen,
    killing_pull_at_any_moment,
    killing_rmi_and_prune_at_any_moment,
    killing_load_leaves_a_sound_store,
    killing_what_borrows_or_names_at_any_moment,
    killing_the_supervisor_between_two_runs,
];

fn running() -> Sandbox {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", "echo here; exec sleep 1000"]).success();
    sandbox.wait_for_log("cc", "here");
    sandbox
}

/// Claims that container `c` is known as ended, can be started again, and removed.
fn mends(sandbox: &Sandbox) {
    sandbox.wait_for_status("cc", "exited");
    let outcome =
        sandbox.run(["inspect", "-f", "{{.State.Running}} {{.State.Pid}} {{.State.ExitCode}}", "cc"]);
    let text = outcome.success().text();
    assert!(text.starts_with("false 0 ") && text != "false 0 0", "{outcome}");
    sandbox.run(["ps", "-q"]).stdout("");
    sandbox.run(["ps", "-a", "--format", "{{.Status}}"]).success().stdout_contains("Exited (");
    sandbox.run(["logs", "cc"]).success().stdout_contains("here");
    sandbox.run(["wait", "cc"]).success();
    sandbox.run(["start", "cc"]).stdout("cc\n").success();
    assert_eq!(sandbox.status_of("cc"), "running");
    sandbox.run(["exec", "cc", "echo", "again"]).stdout("again\n").success();
    sandbox.run(["rm", "-f", "cc"]).success();
    sandbox.run(["ps", "-aq"]).stdout("");
    sandbox.run(["run", "--rm", "--name", "cc", "busybox", "true"]).success();
    sandbox.expect_no_process();
}

fn killing_the_command_leaves_the_container_running() {
    let sandbox = Sandbox::new().busybox();
    let command = sandbox
        .command(["run", "--name", "cc", "busybox", "sh", "-c", "echo here; while :; do sleep 0.1; done"])
        .spawn();
    command.wait_for("here");
    command.signal(Signal::SIGKILL);
    assert_eq!(command.wait().code, None);
    assert_eq!(sandbox.status_of("cc"), "running");
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    mends(&sandbox);
}

fn killing_the_supervisor_ends_the_container() {
    let sandbox = running();
    let pid = sandbox.pid_of("cc");
    for supervisor in sandbox.supervisors() {
        supervisor.kill(Signal::SIGKILL);
    }
    wait_until("its container ends", || is_dead(pid));
    mends(&sandbox);
}

fn killing_the_first_process_is_an_exit() {
    let sandbox = running();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(sandbox.pid_of("cc")), Signal::SIGKILL).unwrap();
    sandbox.run(["wait", "cc"]).stdout("137\n").success();
    sandbox.run(["inspect", "-f", "{{.State.ExitCode}}", "cc"]).stdout("137\n");
    mends(&sandbox);
}

fn killing_both_in_either_order() {
    for supervisor_first in [true, false] {
        let sandbox = running();
        let pid = nix::unistd::Pid::from_raw(sandbox.pid_of("cc"));
        let supervisors = sandbox.supervisors();
        assert_eq!(supervisors.len(), 1);
        if supervisor_first {
            supervisors[0].kill(Signal::SIGKILL);
            let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        } else {
            nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
            supervisors[0].kill(Signal::SIGKILL);
        }
        mends(&sandbox);
    }
}

fn killing_the_supervisor_of_a_removable_container() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "-d", "--rm", "--name", "cc", "-v", "/anonymous", "busybox", "sleep", "1000"])
        .success();
    for supervisor in sandbox.supervisors() {
        supervisor.kill(Signal::SIGKILL);
    }
    // Whoever looks next removes it, as its supervisor would have done.
    wait_until("it is gone", || sandbox.run(["ps", "-aq"]).success().text().is_empty());
    for dir in ["containers", "names", "volumes"] {
        wait_until(dir, || std::fs::read_dir(sandbox.store().join(dir)).unwrap().next().is_none());
    }
    sandbox.run(["run", "--rm", "--name", "cc", "busybox", "true"]).success();
}

fn the_runtime_directory_vanishes() {
    let sandbox = running();
    std::fs::remove_dir_all(sandbox.dir().join("run/coracle")).unwrap();
    assert_eq!(sandbox.status_of("cc"), "running");
    sandbox.run(["ps", "--format", "{{.Names}}"]).stdout("cc\n").success();
    sandbox.run(["exec", "cc", "echo", "still"]).stdout("still\n").success();
    sandbox.run(["run", "--rm", "busybox", "echo", "others"]).stdout("others\n").success();
    let pid = sandbox.pid_of("cc");
    let outcome = sandbox.run(["stop", "-t", "1", "cc"]);
    outcome.stdout("cc\n").success();
    assert!(outcome.took < Duration::from_secs(20), "{outcome}");
    assert!(is_dead(pid));
    mends(&sandbox);
}

fn everything_is_gone_as_after_a_reboot() {
    let sandbox = running();
    sandbox.run(["run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1000"]).success();
    sandbox.run(["create", "--name", "new", "busybox"]).success();
    for process in sandbox.processes() {
        process.kill(Signal::SIGKILL);
    }
    std::fs::remove_dir_all(sandbox.dir().join("run/coracle")).unwrap();
    sandbox.wait_for_status("cc", "exited");
    assert_eq!(sandbox.status_of("new"), "created");
    wait_until("--rm holds", || sandbox.run(["ps", "-a", "--format", "{{.Names}}"]).lines() == ["new", "cc"]);
    sandbox.run(["start", "new"]).success();
    sandbox.run(["rm", "-f", "new"]).success();
    mends(&sandbox);
}

/// Kills a call of the program after each of many delays, and lets `check` look at what it left.
pub(crate) fn kill_after_delays(
    sandbox: &Sandbox,
    arguments: &[&str],
    stdin: &[u8],
    mut check: impl FnMut(u64),
) {
    for delay in [0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 70, 100, 150] {
        let command = sandbox.command(arguments.iter().copied()).stdin(stdin).spawn();
        std::thread::sleep(Duration::from_millis(delay));
        // It may have ended already: then it is a test of that.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(command.pid()), Signal::SIGKILL);
        command.wait();
        check(delay);
    }
}

fn killing_run_at_any_moment() {
    let sandbox = Sandbox::new().busybox();
    kill_after_delays(&sandbox, &["run", "-d", "--name", "cc", "busybox", "sleep", "1000"], b"", |delay| {
        // It runs, it was made and does not, or it was never there; each is told as it is, and goes.
        let status = sandbox.run(["ps", "-a", "--format", "{{.State}}"]).success().text();
        assert!(
            ["", "created", "running", "exited"].contains(&status.as_str()),
            "after {delay} ms: {status}"
        );
        sandbox.run(["rm", "-f", "cc"]).success();
        sandbox.run(["run", "--rm", "--name", "cc", "busybox", "echo", "free"]).stdout("free\n").success();
    });
    sandbox.expect_no_process();
    sandbox.run(["ps", "-aq"]).stdout("");
}

fn killing_load_at_any_moment() {
    let sandbox = Sandbox::new().busybox();
    let mut layer = Layer::new();
    for n in 0..300 {
        layer = layer.file(&format!("/many/{n}"), vec![7; 20_000]);
    }
    let archive = Image::busybox().layer(&layer).docker_archive("big:1");
    kill_after_delays(&sandbox, &["load"], &archive, |delay| {
        let outcome =
            sandbox.run(["run", "--rm", "--pull", "never", "big:1", "sh", "-c", "ls /many | wc -l"]);
        if outcome.code == Some(0) {
            // What has a name is whole.
            outcome.stdout("300\n");
            sandbox.run(["rmi", "big:1"]).success();
        } else {
            outcome.code(125).stderr_contains("No such image");
        }
        sandbox.run(["run", "--rm", "busybox", "echo", "well"]).stdout("well\n").success();
        assert!(delay < 1000);
    });
    sandbox.command(["load"]).stdin(archive).run().success();
    sandbox.run(["run", "--rm", "big:1", "sh", "-c", "ls /many | wc -l"]).stdout("300\n").success();
    sandbox.run(["rmi", "big:1"]).success();
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("staging")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn killing_rm_at_any_moment() {
    let sandbox = Sandbox::new().busybox();
    let script = "mkdir /d; for n in $(seq 1 300); do echo x > /d/$n; done; sleep 1000";
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    kill_after_delays(&sandbox, &["rm", "-f", "cc"], b"", |_| {
        sandbox.run(["ps", "-a"]).success();
        sandbox.run(["rm", "-f", "cc"]).success();
        sandbox.run(["ps", "-aq"]).stdout("");
        sandbox.run(["run", "-d", "--name", "cc", "busybox", "sh", "-c", script]).success();
    });
    sandbox.run(["rm", "-f", "cc"]).success();
    sandbox.expect_no_process();
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("containers")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn killing_create_leaves_no_stuck_name() {
    let sandbox = Sandbox::new().busybox();
    kill_after_delays(&sandbox, &["create", "--name", "cc", "busybox"], b"", |delay| {
        let outcome = sandbox.run(["create", "--name", "cc", "busybox"]);
        if outcome.code != Some(0) {
            // It was made; then it is there to be removed.
            outcome.stderr_contains("is already in use by container");
            assert_eq!(sandbox.status_of("cc"), "created", "after {delay} ms");
        }
        sandbox.run(["rm", "cc"]).success();
    });
}

fn a_supervisor_that_stands_still_is_seen() {
    let sandbox = running();
    let supervisors = sandbox.supervisors();
    supervisors[0].kill(Signal::SIGSTOP);
    // Readers wait for nobody.
    let outcome = sandbox.run(["ps", "-a"]);
    outcome.success().stdout_contains("Up ");
    assert!(outcome.took < Duration::from_secs(5), "{outcome}");
    sandbox.run(["run", "--rm", "busybox", "echo", "others"]).stdout("others\n").success();
    supervisors[0].kill(Signal::SIGCONT);
    sandbox.run(["stop", "-t", "0", "cc"]).success();
    mends(&sandbox);
}

/// An image of several layers with many files, so that its way in and out has many steps.
fn of_many_steps(mark: &str) -> Image {
    let mut image = Image::busybox().compression(Compression::Gzip);
    for layer in 0..3 {
        let mut many = Layer::new().file("/mark", mark);
        for n in 0..150 {
            many = many.file(&format!("/many/{layer}/{n}"), format!("{mark}{layer}{n}").repeat(2000));
        }
        image = image.layer(&many);
    }
    image
}

fn killing_pull_at_any_moment() {
    let registry = Registry::start();
    let blobs = of_many_steps("pulled").blobs();
    for blob in blobs.layers.iter().chain([&blobs.config]) {
        registry.blob(blob.bytes.clone());
    }
    registry.manifest("team/box", "v1", &blobs.manifest.media_type, blobs.manifest.bytes);
    let reference = format!("{}/team/box:v1", registry.host());
    let sandbox = Sandbox::new().busybox();
    kill_after_delays(&sandbox, &["pull", &reference], b"", |delay| {
        crate::check::clean(&sandbox);
        if delay % 10 == 0 {
            // It goes on from whatever was left.
            sandbox.run(["pull", &reference]).success();
            crate::check::clean(&sandbox);
            sandbox.run(["run", "--rm", &reference, "cat", "/mark"]).stdout("pulled").success();
            sandbox.run(["rmi", &reference]).success();
        }
    });
    sandbox.run(["pull", &reference]).success();
    sandbox.run(["rmi", &reference]).success();
    crate::check::clean(&sandbox);
    nothing_is_left_over(&sandbox);
}

fn killing_rmi_and_prune_at_any_moment() {
    let sandbox = Sandbox::new().busybox();
    let archive = of_many_steps("loaded").docker_archive("box:1");
    for words in [&["rmi", "box:1"][..], &["image", "prune", "-af", "--filter", "label!=absent"]] {
        sandbox.run(["create", "--name", "cc", "busybox"]).success();
        sandbox.command(["load", "-q"]).stdin(archive.clone()).run().success();
        kill_after_delays(&sandbox, words, b"", |_| {
            crate::check::clean(&sandbox);
            let outcome = sandbox.run(["run", "--rm", "--pull", "never", "box:1", "cat", "/mark"]);
            if outcome.code == Some(0) {
                outcome.stdout("loaded");
            } else {
                outcome.code(125).stderr_contains("No such image");
                sandbox.command(["load", "-q"]).stdin(archive.clone()).run().success();
                sandbox.run(["run", "--rm", "box:1", "cat", "/mark"]).stdout("loaded").success();
            }
        });
        sandbox.run(["rm", "cc"]).success();
        sandbox.run(["rmi", "box:1"]).success();
        crate::check::clean(&sandbox);
        nothing_is_left_over(&sandbox);
    }
    sandbox.run(["image", "prune", "-af"]).success();
    let left = crate::hostile::listing(&sandbox.store());
    let of_images = |path: &&String| {
        let parts = path.split('/').count();
        path.starts_with("blobs/sha256/")
            || path.starts_with("images/")
            || path.starts_with("layers/") && parts > 2
    };
    assert_eq!(left.iter().find(of_images), None, "{left:?}");
}

fn killing_load_leaves_a_sound_store() {
    let sandbox = Sandbox::new().busybox();
    let archive = of_many_steps("loaded").docker_archive("box:1");
    kill_after_delays(&sandbox, &["load"], &archive, |_| crate::check::clean(&sandbox));
    sandbox.command(["load", "-q"]).stdin(archive).run().success();
    sandbox.run(["run", "--rm", "box:1", "cat", "/mark"]).stdout("loaded").success();
    crate::check::clean(&sandbox);
    sandbox.run(["rmi", "box:1"]).success();
    nothing_is_left_over(&sandbox);
}

fn killing_what_borrows_or_names_at_any_moment() {
    let sandbox = Sandbox::new();
    let dir = crate::additional::lending(&sandbox);
    let before = crate::hostile::listing(&dir);
    for words in [
        &["inspect", "team/box:1"][..],
        &["run", "--rm", "team/box:1", "true"],
        &["tag", "team/box:1", "x:1"],
    ] {
        kill_after_delays(&sandbox, words, b"", |_| {
            crate::check::clean(&sandbox);
            assert_eq!(crate::hostile::listing(&dir), before);
            sandbox.run(["run", "--rm", "team/box:1", "cat", "/hello"]).stdout("hi\n").success();
            sandbox.run(["tag", "team/box:1", "y:1"]).success();
            sandbox.run(["rmi", "-f", "y:1"]).success();
            sandbox.run(["image", "prune", "-af"]).success();
        });
    }
    assert_eq!(crate::hostile::listing(&dir), before);
    nothing_is_left_over(&sandbox);
}

/// Claims that the commands after a killed one have cleaned up behind it.
pub(crate) fn nothing_is_left_over(sandbox: &Sandbox) {
    let outcome = sandbox.run(["system", "check"]);
    assert!(!outcome.success().error_text().contains("killed"), "{outcome}");
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("staging")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn killing_the_supervisor_between_two_runs() {
    let sandbox = Sandbox::new().busybox();
    let words =
        ["run", "-d", "--name", "cc", "--restart", "always", "busybox", "sh", "-c", "echo here; exit 3"];
    sandbox.run(words).success();
    // It is started again later and later: by now it mostly waits.
    let count = || -> u32 {
        sandbox.run(["inspect", "-f", "{{.RestartCount}}", "cc"]).success().text().parse().unwrap()
    };
    wait_until("it has been started again", || count() >= 3);
    sandbox.wait_for_status("cc", "restarting");
    for supervisor in sandbox.supervisors() {
        supervisor.kill(Signal::SIGKILL);
    }
    sandbox.wait_for_status("cc", "exited");
    sandbox
        .run(["inspect", "-f", "{{.State.Pid}} {{.State.Restarting}}", "cc"])
        .stdout("0 false\n")
        .success();
    sandbox.run(["logs", "cc"]).success().stdout_contains("here");
    let before = sandbox.run(["logs", "cc"]).success().lines().len();
    sandbox.run(["start", "cc"]).success();
    wait_until("it goes on", || sandbox.run(["logs", "cc"]).success().lines().len() > before + 1);
    sandbox.run(["rm", "-f", "cc"]).success();
    sandbox.expect_no_process();
    nothing_is_left_over(&sandbox);
}
