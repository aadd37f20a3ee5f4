//! Privilege levels: full ranges of ids, a single id, real root, and none at all.

use std::process::Command;

use crate::support::harness::{Test, tests};
use crate::support::sandbox::programs;
use crate::support::{Image, Layer, Meta, Need, Sandbox, host, needs};

pub(crate) const TESTS: &[Test] = tests![
    info_names_the_level,
    with_subordinate_ids_there_is_a_full_range,
    with_a_single_id_images_unpack_run_and_go,
    inside_a_namespace_of_one_id_it_is_a_single_id,
    root_runs_in_a_user_namespace_too,
    without_user_namespaces_the_cause_is_named,
    a_store_survives_a_change_of_level,
    inside_another_container_it_needs_a_disk_and_its_calls,
];

fn mapped(sandbox: &Sandbox) -> u64 {
    sandbox
        .run(["run", "--rm", "busybox", "cat", "/proc/self/uid_map"])
        .success()
        .lines()
        .iter()
        .map(|line| line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap())
        .sum()
}

fn info_names_the_level() {
    let sandbox = Sandbox::new();
    let level = if host::subids().is_some() { "subuid" } else { "single" };
    sandbox.run(["info"]).success().stdout_contains(level);
}

fn with_subordinate_ids_there_is_a_full_range() {
    needs(Need::Subids);
    assert!(mapped(&Sandbox::new().busybox()) >= 65536);
}

/// An image of files with many owners, as real ones have.
fn many_owners() -> Image {
    let file = |mode, uid, gid| Meta::mode(mode).owner(uid, gid);
    Image::busybox().layer(
        &Layer::new()
            .dir_with("/o", &file(0o700, 33, 33))
            .file_with("/o/www", "www\n", &file(0o600, 33, 33))
            .file_with("/o/suid", "s\n", &file(0o4755, 0, 42))
            .file_with("/o/high", "h\n", &file(0o444, 65534, 65534))
            .hard_link("/o/link", "/o/www")
            .dir_with("/closed", &file(0o000, 1000, 1000))
            .file_with("/closed/f", "f\n", &file(0o000, 1000, 1000)),
    )
}

fn lives_with_one_id(sandbox: &Sandbox) {
    assert_eq!(mapped(sandbox), 1);
    sandbox.command(["load"]).stdin(many_owners().docker_archive("owners:1")).run().success();
    sandbox
        .run(["run", "--rm", "owners:1", "sh", "-c", "cat /o/www /o/link /o/high; touch /o/new; id -u"])
        .stdout("www\nwww\nh\n0\n")
        .success();
    sandbox
        .run(["run", "--name", "cc", "owners:1", "sh", "-c", "echo x > /closed/g; mkdir /a; chmod 0 /a"])
        .success();
    sandbox.run(["rm", "cc"]).success();
    sandbox.run(["rmi", "owners:1"]).success();
    sandbox.run(["run", "--rm", "hello-world"]).success();
    sandbox.run(["info"]).success().stdout_contains("single");
}

fn with_a_single_id_images_unpack_run_and_go() {
    needs(Need::NoSubidsUser);
    lives_with_one_id(&Sandbox::of(&host::second_user().unwrap()).busybox());
}

/// In there nobody has subordinate ids, whatever the files say.
const ONE_ID: &[&str] = &["unshare", "--user", "--map-current-user"];

fn inside_a_namespace_of_one_id_it_is_a_single_id() {
    lives_with_one_id(&Sandbox::new().through(ONE_ID).busybox());
}

fn root_runs_in_a_user_namespace_too() {
    needs(Need::Root);
    let sandbox = Sandbox::of_root().with("owners", &many_owners()).busybox();
    sandbox.run(["info"]).success().stdout_contains("root");
    assert!(mapped(&sandbox) >= 65536);
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    let pid = sandbox.pid_of("cc");
    let theirs = std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    assert_ne!(theirs, std::fs::read_link("/proc/self/ns/user").unwrap());
    sandbox.run(["exec", "cc", "id", "-u"]).stdout("0\n").success();
    sandbox
        .run(["run", "--rm", "owners", "stat", "-c", "%a %u:%g", "/o/www", "/o/suid", "/closed"])
        .stdout("600 33:33\n4755 0:42\n0 1000:1000\n")
        .success();
    // Even privileged, what concerns the whole machine stays refused: its root has no power over it.
    let script = "date -s 2020-01-01; mknod /dev/sda b 8 0; mount -t tmpfs x /tmp && echo mounted";
    let outcome = sandbox.run(["run", "--rm", "--privileged", "busybox", "sh", "-c", script]);
    outcome.stdout_contains("mounted").stderr_contains("date: can't set date: Operation not permitted");
    outcome.stderr_contains("mknod: /dev/sda: Operation not permitted");
}

fn without_user_namespaces_the_cause_is_named() {
    let sandbox = Sandbox::new().busybox();
    // Inside a namespace of its own, the limit is the user's to set.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let probe = Command::new("unshare").args(["-Ur", "sh", "-c", script, "sh", "true"]).status().unwrap();
    assert!(probe.success());
    let outcome = sandbox
        .command(["run", "--rm", "busybox", "true"])
        .through(&["unshare", "-Ur", "sh", "-c", script, "sh"])
        .run();
    outcome.code(125).stderr_contains("max_user_namespaces");
    // What needs no container still works.
    sandbox.command(["ps", "-a"]).through(&["unshare", "-Ur", "sh", "-c", script, "sh"]).run().success();
}

fn a_store_survives_a_change_of_level() {
    needs(Need::Subids);
    let sandbox = Sandbox::new().through(ONE_ID).with("owners", &many_owners());
    sandbox.run(["run", "--rm", "owners", "cat", "/o/www"]).stdout("www\n").success();
    let sandbox = sandbox.through(&[]);
    sandbox
        .run(["run", "--rm", "owners", "stat", "-c", "%u:%g", "/o/www", "/closed/f"])
        .stdout("33:33\n1000:1000\n")
        .success();
    sandbox.run(["rmi", "owners"]).success();
}

fn inside_another_container_it_needs_a_disk_and_its_calls() {
    let sandbox = Sandbox::new().busybox();
    let image = sandbox.file("image.tar", Image::busybox().docker_archive("inner:1"));
    let outer = |flags: &[&str]| {
        let program = format!("{}/coracle:/bin/coracle:ro", programs().display());
        let image = format!("{image}:/image.tar:ro");
        let script = "coracle load -q -i /image.tar && coracle run --rm --network none inner:1 echo deep";
        let mut words = vec!["run", "--rm", "-v", &program, "-v", &image];
        words.extend(flags);
        words.extend(["busybox", "sh", "-c", script]);
        sandbox.run(words)
    };
    // The default filter allows no user namespaces.
    outer(&[]).code(1).stderr_contains("start the outer container with --security-opt seccomp=unconfined");
    // The container's own file system is an overlay, and those do not lie upon each other.
    outer(&["--privileged"])
        .code(125)
        .stderr_contains("is on another overlay")
        .stderr_contains("CORACLE_ROOT");
    outer(&["--privileged", "-v", "inner:/store", "-e", "CORACLE_ROOT=/store"])
        .success()
        .stdout_contains("deep\n");
}
