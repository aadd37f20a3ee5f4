//! The same thing many times at once.

use crate::support::harness::{Test, tests};
use crate::support::image::Blobs;
use crate::support::outcome::Outcome;
use crate::support::registry::{Fault, Registry, Times};
use crate::support::terminal::Running;
use crate::support::{Image, Layer, Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    twenty_runs_at_once,
    one_name_has_one_winner,
    starts_at_once_start_one,
    removals_at_once_remove_one,
    start_against_rm,
    stops_at_once_all_succeed,
    the_same_image_loaded_at_once,
    removal_of_an_image_against_run,
    readers_never_fail_while_others_write,
    execs_at_once,
    the_first_command_of_all_at_once,
    twenty_pulls_at_once_fetch_each_blob_once,
    images_that_share_layers_are_pulled_at_once,
    a_waiter_takes_over_from_a_killed_puller,
];

fn at_once(sandbox: &Sandbox, count: usize, arguments: &[&str]) -> Vec<Outcome> {
    let running: Vec<Running> =
        (0..count).map(|_| sandbox.command(arguments.iter().copied()).spawn()).collect();
    running.into_iter().map(Running::wait).collect()
}

fn twenty_runs_at_once() {
    let sandbox = Sandbox::new().busybox();
    for outcome in at_once(&sandbox, 20, &["run", "--rm", "busybox", "sh", "-c", "echo out; exit 3"]) {
        outcome.stdout("out\n").stderr("").code(3);
    }
    sandbox.run(["ps", "-aq"]).stdout("");
    sandbox.expect_no_process();
    for dir in ["containers", "names", "staging"] {
        let left: Vec<_> = std::fs::read_dir(sandbox.store().join(dir)).unwrap().flatten().collect();
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
}

fn one_name_has_one_winner() {
    let sandbox = Sandbox::new().busybox();
    let outcomes = at_once(&sandbox, 10, &["create", "--name", "cc", "busybox"]);
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.code == Some(0));
    assert_eq!(won.len(), 1);
    for outcome in lost {
        outcome.code(1).stderr_contains("The container name \"/cc\" is already in use by container");
    }
    assert_eq!(sandbox.run(["ps", "-aq", "--no-trunc"]).text(), won[0].text());
}

fn starts_at_once_start_one() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["create", "--name", "cc", "busybox", "sh", "-c", "echo turn; sleep 1000"]).success();
    for outcome in at_once(&sandbox, 8, &["start", "cc"]) {
        outcome.stdout("cc\n").success();
    }
    sandbox.wait_for_log("cc", "turn");
    sandbox.run(["logs", "cc"]).stdout("turn\n");
    assert_eq!(sandbox.supervisors().len(), 1);
}

fn removals_at_once_remove_one() {
    let sandbox = Sandbox::new().busybox();
    for round in 0..5 {
        sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
        for outcome in at_once(&sandbox, 6, &["rm", "-f", "cc"]) {
            let told = outcome.error_text();
            assert!(
                outcome.code == Some(0)
                    || told.contains("already in progress")
                    || told.contains("No such container"),
                "round {round}: {outcome}"
            );
        }
        wait_until("it is gone", || sandbox.run(["ps", "-aq"]).success().text().is_empty());
    }
}

fn start_against_rm() {
    let sandbox = Sandbox::new().busybox();
    for _ in 0..10 {
        sandbox.run(["create", "--name", "cc", "busybox", "sleep", "1000"]).success();
        let start = sandbox.command(["start", "cc"]).spawn();
        let remove = sandbox.command(["rm", "cc"]).spawn();
        let (start, remove) = (start.wait(), remove.wait());
        let state = sandbox.run(["ps", "-a", "--format", "{{.State}}"]).success().text();
        if start.code == Some(0) {
            assert_eq!((state.as_str(), remove.code), ("running", Some(1)), "{start}\n{remove}");
        } else {
            assert_eq!((state.as_str(), remove.code), ("", Some(0)), "{start}\n{remove}");
        }
        sandbox.run(["rm", "-f", "cc"]).success();
        sandbox.expect_no_process();
    }
}

fn stops_at_once_all_succeed() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    for outcome in at_once(&sandbox, 5, &["stop", "-t", "1", "cc"]) {
        outcome.stdout("cc\n").success();
    }
    assert_eq!(sandbox.status_of("cc"), "exited");
}

fn the_same_image_loaded_at_once() {
    let sandbox = Sandbox::new();
    let archive = Image::busybox().layer(&Layer::new().file("/x", "x\n")).docker_archive("same:1");
    let running: Vec<_> = (0..5).map(|_| sandbox.command(["load"]).stdin(archive.clone()).spawn()).collect();
    for one in running {
        one.wait().stdout("Loaded image: same:1\n").success();
    }
    assert_eq!(sandbox.run(["images", "-q"]).lines().len(), 1);
    sandbox.run(["run", "--rm", "same:1", "cat", "/x"]).stdout("x\n").success();
    sandbox.run(["rmi", "same:1"]).success();
    let left: Vec<_> = std::fs::read_dir(sandbox.store().join("staging")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn removal_of_an_image_against_run() {
    let mut sandbox = Sandbox::new();
    for _ in 0..6 {
        sandbox = sandbox.busybox();
        let run = sandbox.command(["run", "--rm", "--pull", "never", "busybox", "echo", "ran"]).spawn();
        let remove = sandbox.command(["rmi", "-f", "busybox"]).spawn();
        let (run, remove) = (run.wait(), remove.wait());
        remove.success();
        if run.code == Some(0) {
            run.stdout("ran\n");
        } else {
            run.code(125).stderr_contains("No such image");
        }
        sandbox.run(["ps", "-aq"]).stdout("");
    }
}

fn readers_never_fail_while_others_write() {
    let sandbox = Sandbox::new().busybox();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..10 {
                        sandbox.run(["run", "--rm", "busybox", "true"]).success();
                    }
                })
            })
            .collect();
        while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            sandbox.run(["ps", "-a"]).stderr("").success();
            sandbox.run(["images"]).stderr("").success();
            sandbox.run(["ps", "-aq", "-s", "--no-trunc"]).stderr("").success();
        }
    });
}

fn execs_at_once() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    for outcome in at_once(&sandbox, 20, &["exec", "cc", "sh", "-c", "echo out; exit 4"]) {
        outcome.stdout("out\n").stderr("").code(4);
    }
    assert_eq!(sandbox.run(["exec", "cc", "sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).text(), "4");
}

fn the_first_command_of_all_at_once() {
    // The store is laid out and the first image made by several at once.
    let sandbox = Sandbox::new();
    for outcome in at_once(&sandbox, 8, &["run", "--rm", "hello-world"]) {
        outcome.success().stdout_contains("Hello from");
    }
    assert_eq!(sandbox.run(["images", "-q"]).lines().len(), 1);
}

/// Puts an image into the registry of this process and returns its reference.
fn offer(registry: &Registry, name: &str, blobs: &Blobs) -> String {
    for blob in blobs.layers.iter().chain([&blobs.config]) {
        registry.blob(blob.bytes.clone());
    }
    registry.manifest(name, "v1", &blobs.manifest.media_type, blobs.manifest.bytes.clone());
    format!("{}/{name}:v1", registry.host())
}

/// Claims that each of these blobs was fetched by one request.
#[track_caller]
fn fetched_once(registry: &Registry, blobs: &Blobs) {
    for blob in blobs.layers.iter().chain([&blobs.config]) {
        let requests = registry.requests(&format!("/blobs/{}", blob.digest));
        assert_eq!(requests.len(), 1, "{} was asked for by {requests:#?}", blob.digest);
    }
}

fn twenty_pulls_at_once_fetch_each_blob_once() {
    let registry = Registry::start();
    let mut image = Image::busybox();
    for n in 0..6 {
        image = image.layer(&Layer::new().file(&format!("/layers/{n}"), format!("{n}\n").repeat(10_000)));
    }
    let blobs = image.blobs();
    let reference = offer(&registry, "team/box", &blobs);
    // Slow enough that all of them meet.
    let pause = std::time::Duration::from_millis(20);
    registry.fault("/blobs/", Times::Always, Fault::Slow { piece: 20_000, pause });
    let sandbox = Sandbox::new();
    for outcome in at_once(&sandbox, 20, &["pull", &reference]) {
        outcome.success().stdout_contains("Digest: sha256:");
    }
    fetched_once(&registry, &blobs);
    sandbox.run(["run", "--rm", &reference, "sh", "-c", "ls /layers | wc -l"]).stdout("6\n").success();
    for dir in ["staging", "locks"] {
        let left: Vec<_> = std::fs::read_dir(sandbox.store().join(dir)).unwrap().flatten().collect();
        let left: Vec<_> = left.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert!(!left.iter().any(|name| dir == "staging" || name.starts_with("claim-")), "{dir}: {left:?}");
    }
}

fn images_that_share_layers_are_pulled_at_once() {
    let registry = Registry::start();
    let layer = |n: u32| Layer::new().file(&format!("/layers/{n}"), format!("{n}\n").repeat(20_000));
    // Each begins with what the other ends with, so that each waits for the other.
    let there = (0..4).fold(Image::busybox(), |image, n| image.layer(&layer(n))).blobs();
    let back = (0..4).rev().fold(Image::scratch(), |image, n| image.layer(&layer(n))).blobs();
    let references = [offer(&registry, "team/there", &there), offer(&registry, "team/back", &back)];
    let pause = std::time::Duration::from_millis(20);
    registry.fault("/blobs/", Times::Always, Fault::Slow { piece: 10_000, pause });
    let sandbox = Sandbox::new();
    let running: Vec<Running> =
        references.iter().map(|reference| sandbox.command(["pull", reference]).spawn()).collect();
    for one in running {
        one.wait().success();
    }
    fetched_once(&registry, &there);
    fetched_once(&registry, &back);
    assert_eq!(sandbox.run(["images", "-q"]).lines().len(), 2);
}

fn a_waiter_takes_over_from_a_killed_puller() {
    let registry = Registry::start();
    let blobs = Image::busybox().layer(&Layer::new().file("/x", "x\n")).blobs();
    let reference = offer(&registry, "team/box", &blobs);
    registry.fault(
        &format!("/blobs/{}", blobs.layers[0].digest),
        Times::First(1),
        Fault::Stall { after: 100 },
    );
    let sandbox = Sandbox::new();
    let first = sandbox.command(["pull", &reference]).spawn();
    first.wait_for("Pulling fs layer");
    wait_until("it asks for the layer", || !registry.requests(&blobs.layers[0].digest).is_empty());
    let second = sandbox.command(["pull", &reference]).spawn();
    second.wait_for("Waiting for process");
    first.signal(nix::sys::signal::Signal::SIGKILL);
    first.wait();
    second.wait().success();
    sandbox.run(["run", "--rm", &reference, "cat", "/x"]).stdout("x\n").success();
}
