//! `cp`: the rules and texts of Docker's, and containers that attack whoever copies.
//!
//! The tables were taken from docker 26.1 with the same commands.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Meta, Need, Sandbox, host, needs};

pub(crate) const TESTS: &[Test] = tests![
    refuses_what_makes_no_sense,
    copies_out_of_a_running_container,
    copies_out_of_a_stopped_container,
    copies_into_a_running_container,
    copies_into_a_stopped_container,
    streams_archives,
    hostile_archives_stay_inside,
    keeps_what_files_are,
    owners_are_roots_unless_asked_for,
    sees_mounts_as_the_container_does,
    fills_a_new_volume_first,
    reports_on_a_terminal_only,
    links_that_change_lead_nowhere_else,
    a_container_cannot_start_while_it_is_copied,
    killing_cp_at_any_moment,
    a_full_disk_while_copying,
];

/// What the tables are about: a container `web` with files of all kinds, and a directory of them beside.
fn world(running: bool) -> Sandbox {
    let layer = Layer::new()
        .dir("/d")
        .dir("/d/sub")
        .file_with("/d/f", "hi\n", &Meta::mode(0o640))
        .hard_link("/d/hl", "/d/f")
        .symlink("/d/l", "f")
        .fifo("/d/p")
        .file("/d/sub/x", "x\n")
        .symlink("/la", "/d/f")
        .symlink("/ld", "d")
        .symlink("/dang", "nowhere")
        .file("/one", "one\n")
        .dir("/tmp");
    let sandbox = Sandbox::new().image("busybox", |_| layer);
    sandbox.run(["run", "-d", "--name", "web", "busybox", "sleep", "1000"]).success();
    if !running {
        sandbox.run(["kill", "web"]).success();
    }
    for dir in ["a", "a/b", "e"] {
        sandbox.directory(dir);
    }
    sandbox.file("a/f", "1\n");
    sandbox.file("a/b/g", "22\n");
    sandbox.file("c:z", "z\n");
    let link = |target: &str, name: &str| symlink(target, sandbox.work().join(name)).unwrap();
    link("f", "a/l");
    link("a/f", "sl");
    link("a", "sd");
    link("nope", "sdang");
    sandbox
}

/// Copies, and claims what Docker says; `W` stands for the directory of the host's side.
#[track_caller]
fn copy(sandbox: &Sandbox, words: &[&str], error: &str) {
    let outcome = sandbox.run([&["cp"], words].concat());
    let work = sandbox.work().canonicalize().unwrap();
    let expected = error.replace("W/", &format!("{}/", work.display()));
    if error.is_empty() {
        outcome.success().stderr("").stdout("");
    } else {
        outcome.code(1).stderr(&format!("{expected}\n")).stdout("");
    }
}

/// Returns the names below a directory of the host, sorted, with what they are.
fn tree(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let meta = fs::symlink_metadata(entry.path()).unwrap();
            let name = entry.path().strip_prefix(path).unwrap().display().to_string();
            found.push(if meta.is_dir() {
                waiting.push(entry.path());
                format!("{name}/ {:o}", meta.mode() & 0o7777)
            } else if meta.is_symlink() {
                format!("{name} -> {}", fs::read_link(entry.path()).unwrap().display())
            } else if meta.file_type().is_fifo() {
                format!("{name} fifo")
            } else {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                format!("{name} {:o} {}", meta.mode() & 0o7777, text.trim_end())
            });
        }
    }
    found.sort();
    found
}

fn refuses_what_makes_no_sense() {
    let sandbox = world(true);
    for (words, error) in [
        (["", "web:/x"], "source can not be empty"),
        (["a", ""], "destination can not be empty"),
        (["a", "b"], "must specify at least one container source"),
        (["web:/a", "web:/b"], "copying between containers is not supported"),
        (["c:z", "web:/tmp"], "copying between containers is not supported"),
        (["nosuch:/a", "b"], "Error response from daemon: No such container: nosuch"),
        (["a", "nosuch:/b"], "Error response from daemon: No such container: nosuch"),
        (["nope", "web:/tmp"], "lstat W/nope: no such file or directory"),
        (
            ["web:/one", "/dev/null"],
            "invalid output path: \"/dev/null\" must be a directory or a regular file: got a device",
        ),
        (
            ["a/f", "web:/dev/null"],
            "destination \"web:/dev/null\" must be a directory or a regular file: got a device",
        ),
        (["-", "web:/nodir"], "destination \"web:/nodir\" must be a directory"),
        (["-", "web:/one"], "destination \"web:/one\" must be a directory"),
    ] {
        copy(&sandbox, &words, error);
    }
    sandbox.run(["cp", "a"]).code(1).stderr_contains("requires 2 arguments");
}

fn copies_out_of_a_running_container() {
    copies_out(&world(true));
}

fn copies_out_of_a_stopped_container() {
    copies_out(&world(false));
}

fn copies_out(sandbox: &Sandbox) {
    let w = sandbox.work();
    for (words, error) in [
        (["web:/nope", "x"], "Error response from daemon: Could not find the file /nope in container web"),
        (["web:/nope", "-"], "Error response from daemon: Could not find the file /nope in container web"),
        (["web:/one/", "x"], "Error response from daemon: lstat /one/: not a directory"),
        (["web:/one/.", "x"], "Error response from daemon: lstat /one/.: not a directory"),
        (["web:/one", "nodir/x"], "invalid output path: directory \"W/nodir\" does not exist"),
        (["web:/one", "nodir/"], "no such directory"),
        (["web:/d", "a/f"], "cannot copy directory"),
        (["web:/one", "newfile"], ""),
        (["web:/one", "a"], ""),
        (["web:one", "rel"], ""),
        (["web:/../../one", "rel2"], ""),
        (["web:/d", "e/"], ""),
        (["web:/d", "newd"], ""),
        (["web:/d/.", "newe"], ""),
        (["web:/d/.", "newe/"], ""),
        (["web:/ld", "e/ld"], ""),
        (["web:/ld/", "e/ld2"], ""),
        (["web:/la", "e"], ""),
        (["web:/dang", "e"], ""),
    ] {
        copy(sandbox, &words, error);
    }
    let d = ["f 640 hi", "hl 640 hi", "l -> f", "p fifo", "sub/ 755", "sub/x 644 x"];
    assert_eq!(tree(&w.join("newd")), d);
    assert_eq!(tree(&w.join("newe")), d);
    assert_eq!(tree(&w.join("e/d")), d);
    assert_eq!(tree(&w.join("e/ld2")), d);
    assert_eq!(fs::read_link(w.join("e/ld")).unwrap(), Path::new("d"));
    assert_eq!(fs::read_link(w.join("e/la")).unwrap(), Path::new("/d/f"));
    assert_eq!(fs::read_link(w.join("e/dang")).unwrap(), Path::new("nowhere"));
    for name in ["newfile", "a/one", "rel", "rel2"] {
        assert_eq!(fs::read_to_string(w.join(name)).unwrap(), "one\n", "{name}");
    }
    copy(sandbox, &["-L", "web:/la", "e/"], "");
    assert_eq!(fs::read_to_string(w.join("e/la")).unwrap(), "hi\n");
    let error = "cannot overwrite non-directory \"W/e/ld\" with directory \"W/e\"";
    copy(sandbox, &["-L", "web:/ld", "e"], error);
    let error = "Error response from daemon: Could not find the file /nowhere in container web";
    copy(sandbox, &["-L", "web:/dang", "e/x"], error);
    // A destination that is a link is what it leads to.
    copy(sandbox, &["web:/one", "sl"], "");
    assert_eq!(fs::read_to_string(w.join("a/f")).unwrap(), "one\n");
    copy(sandbox, &["web:/one", "sdang"], "");
    assert_eq!(fs::read_to_string(w.join("nope")).unwrap(), "one\n");
    sandbox.directory("a/d");
    sandbox.directory("a/d/f");
    let error = "cannot overwrite directory \"W/a/d/f\" with non-directory \"W/a\"";
    copy(sandbox, &["web:/d", "a"], error);
    for name in ["newd", "newfile"] {
        let meta = fs::metadata(w.join(name)).unwrap();
        assert_eq!(meta.uid(), host::user().uid, "what comes out is the caller's");
    }
}

fn copies_into_a_running_container() {
    copies_in(&world(true));
}

fn copies_into_a_stopped_container() {
    let sandbox = world(false);
    copies_in(&sandbox);
    sandbox.run(["start", "web"]).success();
    sandbox.run(["exec", "web", "cat", "/t1/f", "/tmp/new1"]).stdout("1\n1\n");
}

fn copies_in(sandbox: &Sandbox) {
    let daemon = "Error response from daemon:";
    let gone = format!("{daemon} Could not find the file /nodir in container web");
    let no_directory = format!("{daemon} extraction point is not a directory");
    sandbox.directory("q");
    sandbox.file("q/sub", "");
    sandbox.directory("q2");
    sandbox.directory("q2/f");
    for (words, error) in [
        (["a/f/", "web:/tmp"], "not a directory".to_owned()),
        (["a/f", "web:/nodir/x"], gone.clone()),
        (["a", "web:/nodir/x"], gone),
        (["a/f", "web:/nodir/"], "no such directory".to_owned()),
        (["a/f", "web:/tmp/dir/"], "no such directory".to_owned()),
        (["a/f", "web:"], "no such directory".to_owned()),
        (["a", "web:/one"], "cannot copy directory".to_owned()),
        (
            ["a", "web:/one/"],
            format!("{daemon} cannot overwrite non-directory \"/one\" with directory \"/\""),
        ),
        (["a/f", "web:/one/"], "no such directory".to_owned()),
        (["a/f", "web:/one/x"], no_directory),
        (
            ["q/sub", "web:/d"],
            format!("{daemon} cannot overwrite directory \"/d/sub\" with non-directory \"/d\""),
        ),
        (
            ["q2/f", "web:/d"],
            format!("{daemon} cannot overwrite non-directory \"/d/f\" with directory \"/d\""),
        ),
        (["a/f", "web:/tmp/new1"], String::new()),
        (["a/f", "web:/tmp"], String::new()),
        (["a", "web:/t1"], String::new()),
        (["a", "web:/t1"], String::new()),
        (["a/.", "web:/t2"], String::new()),
        (["a/.", "web:/t2"], String::new()),
        (["a/.", "web:/t3/"], String::new()),
        (["sl", "web:/t5"], String::new()),
        (["sd", "web:/t7"], String::new()),
        (["sd/", "web:/t8"], String::new()),
        (["a/f", "web:/dang"], String::new()),
        (["a/f", "web:/ld"], String::new()),
        (["./c:z", "web:tmp/../tmp"], String::new()),
    ] {
        copy(sandbox, &words, &error);
    }
    copy(sandbox, &["-L", "sl", "web:/t6"], "");
    copy(sandbox, &["-L", "sd", "web:/ta"], "");
    copy(sandbox, &["-L", "sdang", "web:/tb"], "lstat W/nope: no such file or directory");
    let archive = sandbox.run(["export", "web"]);
    let mut archive = tar::Archive::new(&archive.success().out[..]);
    let mut names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            let link = header.link_name().unwrap();
            let link = link.map(|link| format!(" -> {}", link.display())).unwrap_or_default();
            format!("{}{link}", entry.path().unwrap().display())
        })
        .collect();
    names.retain(|name| name.starts_with('t') || name.starts_with("d/") || name.starts_with('n'));
    let a = |top: &str| ["", "/b", "/b/g", "/f", "/l -> f"].map(|name| format!("{top}{name}"));
    let mut expected: Vec<String> =
        ["d", "d/f", "d/hl", "d/l -> f", "d/p", "d/sub", "d/sub/x", "nowhere"].map(str::to_owned).into();
    for top in ["t1", "t2", "t3", "t8", "ta"] {
        expected.extend(a(top));
    }
    // The second time it went into the directory, and the content went over the same again.
    expected.extend(a("t1/a"));
    expected.extend(["t5 -> a/f", "t6", "t7 -> a", "tmp", "tmp/c:z", "tmp/f", "tmp/new1"].map(str::to_owned));
    names.sort();
    expected.sort();
    let names: Vec<_> = names.iter().map(|name| name.trim_end_matches('/').to_owned()).collect();
    assert_eq!(names, expected);
}

fn streams_archives() {
    let sandbox = world(true);
    let listed = |path: &str| {
        let outcome = sandbox.run(["cp", path, "-"]);
        let mut archive = tar::Archive::new(&outcome.success().out[..]);
        let names = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            String::from_utf8(entry.path_bytes().into_owned()).unwrap()
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(listed("web:/d"), ["d/", "d/f", "d/hl", "d/l", "d/p", "d/sub/", "d/sub/x"]);
    assert_eq!(listed("web:/d/."), ["./", "./f", "./hl", "./l", "./p", "./sub/", "./sub/x"]);
    assert_eq!(listed("web:/ld/")[..2], ["ld/", "ld/f"]);
    assert_eq!(listed("web:/ld"), ["ld"]);
    assert_eq!(listed("web:/d/sub/../f"), ["f"]);
    assert_eq!(listed("web:/")[..2], ["/", "/bin/"]);

    let plain = Layer::new().file_with("/s/f", "s\n", &Meta::mode(0o600).owner(12, 34)).tar();
    for bytes in [plain.clone(), crate::support::image::gzip(&plain)] {
        sandbox.command(["cp", "-", "web:/tmp"]).stdin(bytes).run().success().stdout("").stderr("");
        sandbox.run(["exec", "web", "cat", "/tmp/s/f"]).stdout("s\n");
        sandbox.run(["exec", "web", "rm", "-r", "/tmp/s"]).success();
    }
    sandbox.command(["cp", "-", "web:/tmp"]).run().success();
    let garbage = sandbox.command(["cp", "-", "web:/tmp"]).stdin("garbage").run();
    garbage.code(1).stderr_contains("Error response from daemon: read the archive:");
    // What goes out goes in again.
    let out = sandbox.run(["cp", "web:/d", "-"]).out;
    sandbox.run(["exec", "web", "mkdir", "/again"]).success();
    sandbox.command(["cp", "-", "web:/again"]).stdin(out).run().success();
    sandbox.run(["exec", "web", "sh", "-c", "cat /again/d/l /again/d/sub/x"]).stdout("hi\nx\n");
}

fn hostile_archives_stay_inside() {
    let sandbox = world(true);
    let send = |layer: Layer| sandbox.command(["cp", "-", "web:/tmp"]).stdin(layer.tar()).run();
    let raw = |path: &str| {
        Layer::new().raw(tar::EntryType::Regular, path.as_bytes(), b"", b"x", &Meta::mode(0o644))
    };
    for path in ["../x", "a/../../x", "../../../../etc/x"] {
        let outcome = send(raw(path));
        outcome.code(1).stderr(&format!("Error response from daemon: {path:?} is outside of \"/tmp\"\n"));
    }
    send(raw("/etc/absolute")).success();
    sandbox.run(["exec", "web", "cat", "/tmp/etc/absolute"]).stdout("x");
    // Whiteouts are names like others, and nothing is hidden by them.
    sandbox.run(["exec", "web", "touch", "/tmp/seen"]).success();
    send(raw(".wh.seen")).success();
    send(raw(".wh..wh..opq")).success();
    sandbox
        .run(["exec", "web", "sh", "-c", "cd /tmp; ls -A .wh* seen"])
        .stdout(".wh..wh..opq\n.wh.seen\nseen\n");
    // A link of the archive's own is followed inside the container.
    send(Layer::new().symlink("/up", "../../../..").raw(
        tar::EntryType::Regular,
        b"up/inside",
        b"",
        b"in",
        &Meta::mode(0o644),
    ))
    .success();
    sandbox.run(["exec", "web", "cat", "/inside"]).stdout("in");
    assert!(!Path::new("/inside").exists());
}

fn keeps_what_files_are() {
    let sandbox = world(true);
    let w = sandbox.work();
    let make = |words: &[&str]| {
        let outcome = sandbox.command(words[1..].iter().copied()).program(words[0]).run();
        outcome.success().text()
    };
    sandbox.directory("k");
    make(&[
        "/bin/sh",
        "-c",
        "cd k; truncate -s 40M sparse; printf end >> sparse; mkfifo pipe; echo x > x; ln x y; \
                             chmod 4755 x; touch -d @1600000000.123456789 x; : >\"$(printf 'n\\377')\"; mkdir t; chmod 1777 t; touch -d @1500000000 t",
    ]);
    let xattr = rustix::fs::setxattr(w.join("k/x"), "user.mine", b"v", rustix::fs::XattrFlags::empty());
    xattr.unwrap();
    copy(&sandbox, &["k", "web:/k"], "");
    let text = "cd /k; stat -c '%n %a %s %Y %h' x sparse; stat -c '%n %a %Y' t; test -p pipe && echo pipe; \
                test $(stat -c %b sparse) -lt 100 && echo holes";
    sandbox
        .run(["exec", "web", "sh", "-c", text])
        .stdout_contains("x 4755 2 1600000000 2\nsparse 644 41943043 ");
    sandbox.run(["exec", "web", "sh", "-c", text]).stdout_contains("t 1777 1500000000\npipe\nholes\n");
    copy(&sandbox, &["web:/k", "back"], "");
    let meta = |name: &str| fs::symlink_metadata(w.join("back").join(name)).unwrap();
    assert_eq!((meta("x").ino(), meta("x").mode() & 0o7777), (meta("y").ino(), 0o4755));
    assert_eq!((meta("x").mtime(), meta("t").mtime()), (1_600_000_000, 1_500_000_000));
    assert_eq!(meta("x").mtime_nsec(), 123_456_789, "as between two tar(1) that speak pax");
    assert!(w.join("back").join(OsStr::from_bytes(b"n\xff")).exists(), "names are bytes");
    assert!(meta("pipe").file_type().is_fifo());
    assert_eq!(meta("sparse").len(), 41_943_043);
    assert!(meta("sparse").blocks() < 100, "the hole is still one");
    let mut end = String::new();
    let mut file = fs::File::open(w.join("back/sparse")).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(-3)).unwrap();
    file.read_to_string(&mut end).unwrap();
    assert_eq!(end, "end");
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(w.join("back/x"), "user.mine", &mut value), Ok(1));
    // A device node cannot be made, and that is said.
    let outcome = sandbox.run(["cp", "/dev/null", "web:/tmp/null"]);
    outcome.success().stderr("1 device node was left out: only root can make them\n");
}

fn owners_are_roots_unless_asked_for() {
    needs(Need::Subids);
    let sandbox = world(true);
    sandbox
        .run([
            "exec",
            "web",
            "sh",
            "-c",
            "mkdir /v; echo x >/v/f; chown 12:34 /v/f; chmod g+s /v; chgrp 55 /v",
        ])
        .success();
    // What comes out is the caller's, and what goes in is root's, in a directory that hands down its group, too.
    copy(&sandbox, &["web:/v", "v"], "");
    assert_eq!(fs::metadata(sandbox.work().join("v/f")).unwrap().uid(), host::user().uid);
    copy(&sandbox, &["v/f", "web:/v/g"], "");
    copy(&sandbox, &["-a", "v/f", "web:/v/h"], "");
    sandbox.run(["exec", "web", "stat", "-c", "%u:%g", "/v/g", "/v/h"]).stdout("0:0\n0:0\n");
    let bytes = sandbox.run(["cp", "web:/v", "-"]).out;
    sandbox.command(["cp", "-", "web:/tmp"]).stdin(bytes).run().success();
    sandbox.run(["exec", "web", "stat", "-c", "%u:%g", "/tmp/v/f", "/tmp/v"]).stdout("12:34\n0:55\n");
    let bytes = Layer::new().file_with("/f", "", &Meta::mode(0o644).owner(4_000_000, 0)).tar();
    let outcome = sandbox.command(["cp", "-", "web:/tmp"]).stdin(bytes).run();
    outcome.code(1).stderr_contains("these ids reach beyond this user's subordinate ids");
}

fn sees_mounts_as_the_container_does() {
    let sandbox = world(true);
    sandbox.directory("ro");
    sandbox.file("ro/f", "ro\n");
    sandbox.file("conf", "old\n");
    let w = sandbox.work().display().to_string();
    let (ro, conf) = (format!("{w}/ro:/ro:ro"), format!("{w}/conf:/etc/conf"));
    let words = ["-v", "vol:/vol", "-v", &ro, "-v", &conf];
    let run = [&["run", "-d", "--name", "mm"], &words[..], &["busybox", "sleep", "1000"]].concat();
    sandbox.run(run).success();
    let run = ["run", "-d", "--name", "rr", "--read-only", "-v", "vol:/vol", "busybox", "sleep", "1000"];
    sandbox.run(run).success();
    for stopped in [false, true] {
        if stopped {
            sandbox.run(["kill", "mm", "rr"]).success();
        }
        let daemon = "Error response from daemon:";
        copy(&sandbox, &["a/f", "mm:/ro/x"], &format!("{daemon} mounted volume is marked read-only"));
        copy(&sandbox, &["a/f", "rr:/tmp/x"], &format!("{daemon} container rootfs is marked read-only"));
        copy(&sandbox, &["a/f", "rr:/vol/x"], "");
        copy(&sandbox, &["mm:/vol/x", "x"], "");
        copy(&sandbox, &["mm:/ro/f", "x"], "");
        assert_eq!(fs::read_to_string(sandbox.work().join("x")).unwrap(), "ro\n");
        // A file that is mounted is written, and stays mounted.
        copy(&sandbox, &["a/f", "mm:/etc/conf"], "");
        assert_eq!(fs::read_to_string(sandbox.work().join("conf")).unwrap(), "1\n");
        sandbox.file("conf", "older\n");
        copy(&sandbox, &["mm:/etc/conf", "y"], "");
        assert_eq!(fs::read_to_string(sandbox.work().join("y")).unwrap(), "older\n");
    }
    sandbox.expect_no_mount();
}

fn fills_a_new_volume_first() {
    let sandbox = Sandbox::new().image("seed", |layer| layer.file("/data/seed", "seed\n"));
    sandbox.file("mine", "mine\n");
    sandbox.run(["create", "--name", "ss", "-v", "new:/data", "seed", "ls", "/data"]).success();
    copy(&sandbox, &["mine", "ss:/data"], "");
    sandbox.run(["start", "-a", "ss"]).stdout("mine\nseed\n");
}

fn reports_on_a_terminal_only() {
    let sandbox = world(true);
    let to = sandbox.work().canonicalize().unwrap();
    for (words, said) in [
        (["a/f", "web:/tmp/q"], "2.05kB to web:/tmp/q"),
        (["a", "web:/tmp/q2"], "4.61kB to web:/tmp/q2"),
        (["a/.", "web:/tmp/q3"], "4.61kB to web:/tmp/q3"),
        (["a/f", "web:/la"], "2.05kB to web:/d/f"),
    ] {
        let outcome = sandbox.run([&["cp", "-q=false"], &words[..]].concat());
        outcome.success().stderr(&format!("Successfully copied {said}\n"));
    }
    let outcome = sandbox.run(["cp", "-q=false", "web:/one", "qf"]);
    outcome.success().stderr(&format!("Successfully copied 2.05kB to {}/qf\n", to.display()));
    let outcome = sandbox.command(["cp", "a/f", "web:/tmp/t"]).terminal().wait();
    outcome.success().stdout_contains("Copying to container - ");
    outcome.stdout_contains("Successfully copied 2.05kB to web:/tmp/t");
    sandbox.command(["cp", "-q", "a/f", "web:/tmp/t"]).terminal().wait().success().stdout("");
}

fn links_that_change_lead_nowhere_else() {
    let sandbox = world(true);
    let secret = sandbox.file("secret", "secret");
    let victim = sandbox.directory("victim");
    let script = format!(
        "mkdir -p /s/real; echo bait >/s/real/secret; cd /s; while :; do \
         mv real was; ln -s {w} real; rm real; mv was real; \
         ln -s ../../../../../../../..{w} up; mv -T up cur 2>/dev/null; rm -rf cur up; mkdir cur; echo bait >cur/secret; \
         done",
        w = sandbox.work().display()
    );
    sandbox.run(["run", "-d", "--name", "evil", "busybox", "sh", "-c", &script]).success();
    for turn in 0..40 {
        for path in ["evil:/s/real/secret", "evil:/s/cur/secret", "evil:/s/cur", "evil:/s"] {
            let to = format!("out{turn}");
            let _ = sandbox.run(["cp", path, &to]);
            for name in tree(&sandbox.work()).iter().filter(|name| name.starts_with("out")) {
                assert!(!name.ends_with(" secret"), "{path}: {name}");
            }
            let path = sandbox.work().join(&to);
            let _ = fs::remove_dir_all(&path);
            let _ = fs::remove_file(&path);
        }
        for path in ["evil:/s/real", "evil:/s/cur/", "evil:/s/cur/victim", "evil:/s/real/victim"] {
            let _ = sandbox.run(["cp", "a/f", path]);
        }
    }
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret");
    assert_eq!(fs::read_dir(victim).unwrap().count(), 0);
    assert!(!sandbox.work().join("f").exists());
}

fn a_container_cannot_start_while_it_is_copied() {
    let sandbox = world(false);
    let mut reading = sandbox.command(["cp", "-", "web:/tmp"]).keep_stdin().spawn();
    let bytes = String::from_utf8(Layer::new().file("/late", "late\n").tar()).unwrap();
    reading.write(&bytes[..1024]);
    let start = sandbox.command(["start", "web"]).spawn();
    reading.write(&bytes[1024..]);
    reading.close_stdin();
    reading.wait().success();
    start.wait().success();
    sandbox.run(["exec", "web", "cat", "/tmp/late"]).stdout("late\n");
}

fn killing_cp_at_any_moment() {
    let sandbox = world(false);
    sandbox.directory("many");
    for at in 0..300 {
        sandbox.file(&format!("many/{at}"), vec![b'x'; 5000]);
    }
    for turn in 0..12_u64 {
        for words in [["many/.", "web:/tmp/many"], ["web:/tmp/.", "copy"]] {
            let command = sandbox.command([&["cp"], &words[..]].concat()).spawn();
            std::thread::sleep(std::time::Duration::from_millis(3 + turn * 7));
            command.signal(Signal::SIGKILL);
            let _ = command.wait();
        }
    }
    sandbox.run(["system", "check"]).success();
    sandbox.expect_no_mount();
    sandbox.run(["cp", "many/.", "web:/tmp/many"]).success();
    sandbox.run(["start", "web"]).success();
    sandbox.run(["exec", "web", "sh", "-c", "ls /tmp/many | wc -l"]).stdout("300\n");
}

fn a_full_disk_while_copying() {
    needs(Need::Root);
    let sandbox = Sandbox::new();
    sandbox.file("small.tar", Image::busybox().docker_archive("small:1"));
    sandbox.file("big", vec![b'x'; 20 << 20]);
    let script = "coracle=$0; $coracle load -qi work/small.tar; $coracle create --name cc small:1 cat /f; \
         $coracle cp work/big cc:/f && exit 9; rm -f work/big; echo well >work/big; \
         $coracle cp work/big cc:/f && $coracle start -a cc && $coracle system check";
    let outcome = sandbox.command([script]).shell().small_disk(16 << 20).run();
    outcome.success().stderr_contains("write /f: write its content: No space left on device");
    outcome.stdout_contains("\nwell\n");
}
