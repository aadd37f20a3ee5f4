//! `--userns keep-id`: the user has the same ids inside as outside.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::outcome::Outcome;
use crate::support::{Image, Layer, Meta, Need, Sandbox, host, needs, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    the_user_is_the_same_inside_and_outside,
    chosen_ids_are_kept_too,
    files_of_the_image_keep_their_owners,
    exec_stop_and_start_know_the_ids,
    an_image_that_was_built_has_no_blob,
    commit_cp_and_export_translate,
    volumes_are_filled_with_the_right_owners,
    networks_ports_and_health_checks_work,
    namespaces_are_shared_with_those_of_the_same_ids,
    compose_keeps_ids,
    many_first_ones_unpack_once,
    damage_is_found_and_repaired,
    nothing_is_left_behind,
    refuses_what_cannot_be,
];

const RUN: [&str; 6] = ["run", "--rm", "--network", "none", "--userns", "keep-id"];

/// An image of files with several owners, one of them set-group-id.
fn many_owners() -> Image {
    let file = |mode, uid, gid| Meta::mode(mode).owner(uid, gid);
    Image::busybox().layer(
        &Layer::new()
            .dir_with("/o", &file(0o755, 33, 44))
            .file_with("/o/www", "www\n", &file(0o600, 33, 33))
            .file_with("/o/sgid", "s\n", &file(0o2755, 0, 42))
            .file_with("/o/high", "h\n", &file(0o444, 65534, 65534))
            .file_with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", &file(0o644, 0, 0))
            .file_with("/etc/group", "root:x:0:\n", &file(0o644, 0, 0))
            .hard_link("/o/link", "/o/www"),
    )
}

const OWNERS: &str = "stat -c '%n %u:%g %a' / /bin /o /o/www /o/link /o/sgid /o/high /etc/passwd";
const OWNERS_ARE: &str = "/ 0:0 755\n/bin 0:0 755\n/o 33:44 755\n/o/www 33:33 600\n/o/link 33:33 600\n\
                          /o/sgid 0:42 2755\n/o/high 65534:65534 444\n/etc/passwd 0:0 644\n";

fn sandbox() -> Sandbox {
    needs(Need::Subids);
    Sandbox::new().with("owners", &many_owners())
}

fn run(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    sandbox.run(RUN.iter().chain(more).copied())
}

/// Returns the trees that lie unpacked, of all mappings.
fn trees(sandbox: &Sandbox) -> usize {
    let maps = fs::read_dir(sandbox.store().join("layers")).unwrap().flatten();
    maps.map(|map| fs::read_dir(map.path()).unwrap().count()).sum()
}

fn the_user_is_the_same_inside_and_outside() {
    let sandbox = sandbox();
    let (uid, gid) = (host::user().uid, host::user().gid);
    let dir = sandbox.directory("x");
    let bind = format!("{dir}:/x");
    let script = "id -u; id -g; id -un; echo mine > /x/f; mkdir /x/d; stat -c %u:%g /x/f /x/d";
    run(&sandbox, &["-v", &bind, "owners", "sh", "-c", script])
        .stdout(&format!("{uid}\n{gid}\n{}\n{uid}:{gid}\n{uid}:{gid}\n", host::user().name))
        .success();
    for name in ["f", "d"] {
        let meta = fs::metadata(Path::new(&dir).join(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (uid, gid));
    }
    run(&sandbox, &["owners", "sh", "-c", "touch /etc/x"]).code(1).stderr_contains("Permission denied");
    // Root is somebody else, and root all the same.
    let script = "id -u; touch /etc/x; chown 5:6 /etc/x; stat -c %u:%g /etc/x; echo > /x/root";
    run(&sandbox, &["-v", &bind, "--user", "root", "owners", "sh", "-c", script])
        .stdout("0\n5:6\n")
        .success();
    let root = fs::metadata(Path::new(&dir).join("root")).unwrap();
    assert!(root.uid() != uid && root.uid() != 0, "{}", root.uid());
    let other = ["run", "--rm", "--network", "none", "-v", &bind, "owners", "rm", "/x/root"];
    sandbox.run(other).success();
    // An account that the image has stays as it is, and the user of an image counts for more.
    let image = many_owners().config("User", json!("33:44"));
    let with_user = sandbox.with("with-user", &image);
    run(&with_user, &["with-user", "sh", "-c", "id -u; id -g"]).stdout("33\n44\n").success();
}

fn chosen_ids_are_kept_too() {
    let sandbox = sandbox();
    let dir = sandbox.directory("x");
    let bind = format!("{dir}:/x");
    let script = "id -u; id -g; echo > /x/f; stat -c %u:%g /x/f; cat /o/www; echo > /o/own";
    let word = |word: &'static str| ["run", "--rm", "--network", "none", "--userns", word];
    sandbox
        .run(
            word("keep-id:uid=33,gid=44").iter().chain(&["-v", &bind, "owners", "sh", "-c", script]).copied(),
        )
        .stdout("33\n44\n33:44\nwww\n")
        .success();
    let meta = fs::metadata(Path::new(&dir).join("f")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (host::user().uid, host::user().gid));
    // More than there are subordinate ids.
    let many = "keep-id:uid=2000000000";
    let script = format!("id -u; {OWNERS}");
    sandbox
        .run(word(many).iter().chain(&["owners", "sh", "-c", &script]).copied())
        .stdout(&format!("2000000000\n{OWNERS_ARE}"))
        .success();
    // As root they are what they are without.
    let before = trees(&sandbox);
    sandbox.run(word("keep-id:uid=0,gid=0").iter().chain(&["owners", "id", "-u"]).copied()).stdout("0\n");
    assert_eq!(trees(&sandbox), before);
}

fn files_of_the_image_keep_their_owners() {
    let sandbox = sandbox();
    let before = trees(&sandbox);
    run(&sandbox, &["owners", "sh", "-c", OWNERS]).stdout(OWNERS_ARE).success();
    assert_eq!(trees(&sandbox), 2 * before, "each layer lies there once more");
    run(&sandbox, &["owners", "cat", "/o/www"]).code(1).stderr_contains("Permission denied");
    run(&sandbox, &["--user", "33", "owners", "cat", "/o/www"]).stdout("www\n").success();
    sandbox.run(["run", "--rm", "--network", "none", "owners", "sh", "-c", OWNERS]).stdout(OWNERS_ARE);
    let flags = ["--read-only", "--init", "--tmpfs", "/t", "-w", "/made/here"];
    let script = "pwd; stat -c %u:%g /made /t /dev/shm; grep -c \"^$(id -un):\" /etc/passwd; touch /t/x";
    run(&sandbox, &[&flags[..], &["owners", "sh", "-c", script]].concat())
        .stdout("/made/here\n0:0\n0:0\n0:0\n1\n")
        .success();
    sandbox.run(["system", "check"]).success();
}

fn exec_stop_and_start_know_the_ids() {
    let sandbox = sandbox();
    let (uid, gid) = (host::user().uid, host::user().gid);
    let words = ["run", "-d", "--network", "none", "--userns", "keep-id", "--name", "one", "owners"];
    sandbox.run(words.iter().chain(&["sleep", "1000"]).copied()).success();
    let format = "{{.HostConfig.UsernsMode}} {{.Config.User}}";
    sandbox.run(["inspect", "-f", format, "one"]).stdout(&format!("keep-id {uid}:{gid}\n"));
    let me = || sandbox.run(["exec", "one", "sh", "-c", "id -u; touch /tmp/x; stat -c %u:%g /tmp/x"]);
    sandbox.run(["exec", "-u", "root", "one", "id", "-u"]).stdout("0\n").success();
    let is_me = format!("{uid}\n{uid}:{gid}\n");
    me().stdout(&is_me).success();
    sandbox.run(["stop", "-t", "0", "one"]).success();
    sandbox.run(["start", "one"]).success();
    me().stdout(&is_me).success();
    sandbox.run(["restart", "-t", "0", "one"]).success();
    me().stdout(&is_me).success();
    sandbox.run(["exec", "one", "grep", "-c", &format!(":{uid}:{gid}:"), "/etc/passwd"]).stdout("1\n");
    let supervisor = sandbox.supervisors().remove(0);
    supervisor.kill(Signal::SIGKILL);
    sandbox.wait_for_status("one", "exited");
    sandbox.run(["start", "one"]).success();
    me().stdout(&is_me).success();
}

fn an_image_that_was_built_has_no_blob() {
    let sandbox = sandbox();
    let context = sandbox.directory("context");
    sandbox.file(
        "context/Dockerfile",
        "FROM owners\nRUN rm /o/high && mkdir /o/deep && echo b > /o/deep/b && chown -R 7:8 /o/deep\n\
         COPY --chown=9:10 Dockerfile /o/copied\nRUN rm -r /etc/group && ln -s www /o/soft && chown -h 3:4 /o/soft\n",
    );
    sandbox.run(["build", "-q", "--network", "none", "-t", "built", &context]).success();
    let script = "stat -c '%n %u:%g' /o/deep /o/deep/b /o/copied /o/soft; ls /o";
    let expected =
        "/o/deep 7:8\n/o/deep/b 7:8\n/o/copied 9:10\n/o/soft 3:4\ncopied\ndeep\nlink\nsgid\nsoft\nwww\n";
    run(&sandbox, &["built", "sh", "-c", script]).stdout(expected).success();
    sandbox.run(["system", "check"]).success();
}

fn commit_cp_and_export_translate() {
    let sandbox = sandbox();
    let (uid, gid) = (host::user().uid, host::user().gid);
    let script =
        "mkdir -m 777 /d; echo r > /d/root; echo w > /d/www; chown 33:44 /d/www; echo up; exec sleep 1000";
    let words =
        ["run", "-d", "--network", "none", "--userns", "keep-id", "-u", "0", "--name", "one", "owners"];
    sandbox.run(words.iter().chain(&["sh", "-c", script]).copied()).success();
    sandbox.wait_for_log("one", "up");
    let own = format!("{uid}:{gid}");
    sandbox.run(["exec", "-u", &own, "one", "touch", "/d/own"]).success();
    let from = sandbox.file("from", "host\n");
    sandbox.run(["cp", &from, "one:/d/copied"]).success();
    sandbox.run(["cp", "-a", &from, "one:/d/archived"]).success();
    let out = format!("{}/out", sandbox.work().display());
    sandbox.run(["cp", "one:/d/www", &out]).success();
    let meta = fs::metadata(&out).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (uid, gid));
    sandbox.run(["diff", "one"]).stdout_contains("A /d/www\n").success();
    sandbox.run(["commit", "one", "made"]).success();
    sandbox.run(["stop", "-t", "0", "one"]).success();
    // The files of one that does not run are seen another way, and so are those of one that never ran.
    sandbox.run(["cp", &from, "one:/d/later"]).success();
    sandbox.run(["start", "one"]).success();
    let list = "cd /d; stat -c '%n %u:%g' * .";
    let owners = format!("archived {own}\ncopied 0:0\nown {own}\nroot 0:0\nwww 33:44\n. 0:0\n");
    for flags in [&[][..], &["--userns", "keep-id", "-u", "0"], &["--userns", "keep-id:uid=33"]] {
        let words = ["run", "--rm", "--network", "none"].iter().chain(flags);
        sandbox.run(words.chain(&["made", "sh", "-c", list]).copied()).stdout(&owners).success();
    }
    sandbox.run(["exec", "one", "stat", "-c", "%u:%g", "/d/later"]).stdout("0:0\n").success();
    let bind = format!("{}:/made/for/x", sandbox.directory("x"));
    let create =
        ["create", "--network", "none", "--userns", "keep-id", "--name", "early", "-v", &bind, "owners"];
    let script = "stat -c '%n %u:%g' /early /made /made/for /made/for/x";
    sandbox.run(create.iter().chain(&["sh", "-c", script]).copied()).success();
    sandbox.run(["cp", &from, "early:/early"]).success();
    let seen = format!("/early 0:0\n/made 0:0\n/made/for 0:0\n/made/for/x {own}\n");
    sandbox.run(["start", "-a", "early"]).stdout(&seen).success();
    // Who the user is, is nothing of the image's.
    let plain = ["run", "--network", "none", "--userns", "keep-id", "--name", "two", "owners", "true"];
    sandbox.run(plain).success();
    sandbox.run(["commit", "two", "plain"]).success();
    sandbox.run(["inspect", "-f", "<{{.Config.User}}>", "plain"]).stdout("<>\n");
    let tar = format!("{}/one.tar", sandbox.work().display());
    sandbox.run(["export", "-o", &tar, "one"]).success();
    let listed = std::process::Command::new("tar").args(["--numeric-owner", "-tvf", &tar]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let owner = |name: &str| {
        let line = listed.lines().find(|line| line.ends_with(name)).unwrap_or_default();
        line.split_ascii_whitespace().nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(
        [owner(" d/www"), owner(" d/own"), owner(" d/root")],
        ["33/44", &own.replace(':', "/"), "0/0"]
    );
    sandbox.run(["system", "check"]).success();
}

fn volumes_are_filled_with_the_right_owners() {
    let sandbox = sandbox();
    let (uid, gid) = (host::user().uid, host::user().gid);
    let script = "stat -c '%n %u:%g' /o /o/www /o/sgid; touch /empty/x && stat -c %u:%g /empty/x";
    let expected = format!("/o 33:44\n/o/www 33:33\n/o/sgid 0:42\n{uid}:{gid}\n");
    for _ in 0..2 {
        run(&sandbox, &["-v", "full:/o", "-v", "empty:/empty", "owners", "sh", "-c", script])
            .stdout(&expected)
            .success();
    }
    sandbox.run(["volume", "rm", "full", "empty"]).success();
}

fn networks_ports_and_health_checks_work() {
    let sandbox = sandbox();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publish = format!("127.0.0.1:{port}:80");
    sandbox.run(["network", "create", "net"]).success();
    let healthy = format!("test $(id -u) = {}", host::user().uid);
    let words = ["run", "-d", "--userns", "keep-id", "--network", "net", "--name", "server", "-p", &publish];
    let health = ["--health-cmd", &healthy, "--health-interval", "1s", "owners"];
    let serve = ["nc", "-ll", "-p", "80", "-e", "id", "-u"];
    sandbox.run(words.iter().chain(&health).chain(&serve).copied()).success();
    let mut text = String::new();
    wait_until("an answer", || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        let _ = stream.write_all(b"\n");
        text.clear();
        stream.read_to_string(&mut text).is_ok() && !text.is_empty()
    });
    assert_eq!(text.trim(), host::user().uid.to_string());
    let status = "{{.State.Health.Status}}";
    wait_until("health", || sandbox.run(["inspect", "-f", status, "server"]).text().trim() == "healthy");
    // Others reach it by its name, whatever ids they have.
    for flags in [&[][..], &["--userns", "keep-id"]] {
        let words = ["run", "--rm", "--network", "net"].iter().chain(flags);
        let ask = ["owners", "sh", "-c", "nc server 80 < /dev/null"];
        sandbox.run(words.chain(&ask).copied()).stdout(&format!("{}\n", host::user().uid));
    }
    sandbox.run(["run", "--rm", "--userns", "keep-id", "--network", "host", "owners", "true"]).success();
    sandbox.run(["run", "--rm", "--userns", "keep-id", "owners", "true"]).success();
}

fn namespaces_are_shared_with_those_of_the_same_ids() {
    let sandbox = sandbox();
    let start = |name: &str, userns: &str, ipc: &str| {
        let words = ["run", "-d", "--network", "none", "--userns", userns, "--ipc", ipc, "--name", name];
        sandbox.run(words.iter().chain(&["owners", "sleep", "1000"]).copied()).success();
    };
    start("donor", "keep-id", "shareable");
    run(&sandbox, &["--pid", "container:donor", "owners", "sh", "-c", "cat /proc/1/cmdline; id -u"])
        .stdout(&format!("sleep\x001000\x00{}\n", host::user().uid))
        .success();
    let other = ["run", "--rm", "--network", "none", "--pid", "container:donor", "owners", "true"];
    sandbox.run(other).code(125).stderr_contains("has other ids inside");
    start("other", "keep-id:uid=7", "private");
    run(&sandbox, &["--pid", "container:other", "owners", "true"])
        .code(125)
        .stderr_contains("other ids inside");
    // Memory and networks need no common ids.
    run(&sandbox, &["--ipc", "container:donor", "owners", "touch", "/dev/shm/x"]).success();
    for flags in [&[][..], &["--userns", "keep-id"], &["--userns", "keep-id:uid=7"]] {
        let words = ["run", "--rm", "--network", "container:donor", "--ipc", "container:donor"];
        let script = ["owners", "sh", "-c", "ls /dev/shm; grep -c lo: /proc/net/dev"];
        sandbox.run(words.iter().chain(flags).chain(&script).copied()).stdout("x\n1\n").success();
    }
}

fn compose_keeps_ids() {
    let sandbox = sandbox();
    sandbox.file(
        "compose.yaml",
        "services:\n  one:\n    image: owners\n    userns_mode: keep-id\n    network_mode: none\n    \
         command: [sh, -c, 'id -u; stat -c %u:%g /o/www; exec sleep 1000']\n",
    );
    sandbox.run(["compose", "-p", "p", "up", "-d"]).success();
    sandbox.wait_for_log("p-one-1", "33:33");
    sandbox.run(["logs", "p-one-1"]).stdout(&format!("{}\n33:33\n", host::user().uid));
    sandbox.run(["compose", "-p", "p", "up", "-d"]).success().stderr_contains("Running");
    sandbox.run(["compose", "-p", "p", "down", "-t", "0"]).success();
    sandbox.file("compose.yaml", "services:\n  one:\n    image: owners\n    userns_mode: 'keep-id:x=1'\n");
    sandbox
        .run(["compose", "-p", "p", "up", "-d"])
        .code(1)
        .stderr_contains("unknown option specified: \"x\"");
}

fn many_first_ones_unpack_once() {
    let sandbox = sandbox();
    let before = trees(&sandbox);
    let words = RUN.iter().chain(&["owners", "id", "-u"]);
    let all: Vec<_> = (0..6).map(|_| sandbox.command(words.clone().copied()).spawn()).collect();
    for one in all {
        one.wait().stdout(&format!("{}\n", host::user().uid)).success();
    }
    assert_eq!(trees(&sandbox), 2 * before);
    assert_eq!(fs::read_dir(sandbox.store().join("staging")).unwrap().count(), 0);
}

fn damage_is_found_and_repaired() {
    let sandbox = sandbox();
    let (uid, gid) = (host::user().uid, host::user().gid);
    let own = Image::busybox().layer(&Layer::new().file_with(
        "/own",
        "own\n",
        &Meta::mode(0o644).owner(uid.into(), gid.into()),
    ));
    let sandbox = sandbox.with("own", &own);
    run(&sandbox, &["own", "cat", "/own"]).stdout("own\n").success();
    sandbox.run(["system", "check"]).success();
    // Of the two trees this one has it as a file of the user's.
    let maps = fs::read_dir(sandbox.store().join("layers")).unwrap().flatten();
    let trees = maps.flat_map(|map| fs::read_dir(map.path()).unwrap().flatten());
    let files: Vec<_> = trees.map(|tree| tree.path().join("tree/own")).filter(|path| path.exists()).collect();
    assert_eq!(files.len(), 2);
    let kept = files.iter().find(|path| fs::metadata(path).unwrap().uid() == uid).unwrap();
    fs::write(kept, "other\n").unwrap();
    sandbox.run(["system", "check"]).code(1).stdout_contains("layer sha256:");
    sandbox.run(["system", "check", "--repair"]).success().stdout_contains("unpacked anew");
    run(&sandbox, &["own", "sh", "-c", "cat /own; stat -c %u:%g /own"])
        .stdout(&format!("own\n{uid}:{gid}\n"))
        .success();
    sandbox.run(["system", "check"]).success();
}

fn nothing_is_left_behind() {
    let sandbox = sandbox();
    run(&sandbox, &["owners", "true"]).success();
    let words = ["run", "--network", "none", "--userns", "keep-id", "--name", "one", "-u", "0", "owners"];
    sandbox.run(words.iter().chain(&["sh", "-c", "mkdir -m 0 /a && chown 5 /a"]).copied()).success();
    sandbox.run(["rmi", "owners"]).code(1);
    sandbox.run(["rm", "one"]).success();
    sandbox.run(["rmi", "owners"]).success();
    assert_eq!(trees(&sandbox), 0);
    let sandbox = sandbox.with("owners", &many_owners());
    run(&sandbox, &["owners", "true"]).success();
    sandbox.run(["image", "prune", "-a", "-f"]).success();
    assert_eq!(trees(&sandbox), 0);
    sandbox.run(["system", "check"]).success();
}

fn refuses_what_cannot_be() {
    let sandbox = Sandbox::new().with("owners", &many_owners());
    let refused = |sandbox: &Sandbox, word: &str, text: &str| {
        let words = ["run", "--rm", "--network", "none", "--userns", word, "owners", "true"];
        sandbox.run(words).code(125).stderr_contains(text);
    };
    refused(&sandbox, "keep-id:size=5", "unknown option specified: \"size\"");
    refused(&sandbox, "keep-id:uid=x", "uid is no id: \"x\"");
    refused(&sandbox, "keep-ids", "--userns: invalid USER mode");
    if host::subids().is_some() {
        refused(&sandbox, "keep-id:uid=3000000000", "3000000000 is no id");
    }
    if let Some(user) = host::second_user() {
        let single = Sandbox::of(&user).with("owners", &many_owners());
        refused(&single, "keep-id", "it takes subordinate ids");
        assert_eq!(fs::read_dir(single.store().join("containers")).unwrap().count(), 0);
    }
    if host::is_root() {
        refused(&Sandbox::of_root().with("owners", &many_owners()), "keep-id", "you are root here");
    }
}
