//! Many users where the kernel knows one: owners and ids at the privilege level `single`.

use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Meta, Need, Sandbox, host, needs};

pub(crate) const TESTS: &[Test] = tests![
    owners_are_what_chown_said,
    links_and_pipes_have_owners_while_it_runs,
    root_gives_itself_up_for_good,
    what_others_make_is_theirs,
    layers_have_the_owners,
    images_of_another_user,
    joining_processes_are_who_they_shall_be,
    servers_know_who_calls,
    paths_of_the_process_itself,
    errors_are_the_kernels,
    capabilities_count,
    swapped_links_lead_nowhere_else,
    a_dead_steward_hangs_nobody,
    fifty_at_once,
];

/// In there nobody has subordinate ids, whatever the files say.
const ONE_ID: &[&str] = &["unshare", "--user", "--map-current-user"];

/// Busybox with accounts.
fn image() -> Image {
    let passwd = "root:x:0:0::/:/bin/sh\napp:x:33:44::/:/bin/sh\nother:x:55:55::/:/bin/sh\n";
    let layer = Layer::new()
        .file("/etc/passwd", passwd)
        .file("/etc/group", "root:x:0:\napp:x:44:\nmore:x:66:app\n")
        .dir("/w")
        .dir_with("/open", &Meta::mode(0o1777));
    Image::busybox().layer(&layer)
}

fn sandbox() -> Sandbox {
    Sandbox::new().through(ONE_ID).with("app", &image())
}

/// Commands that join a container are in its user's namespace, and so of a user that is the same for all of them.
fn of_one_user() -> Sandbox {
    needs(Need::NoSubidsUser);
    Sandbox::of(&host::second_user().unwrap()).with("app", &image())
}

fn shell(sandbox: &Sandbox, script: &str) -> String {
    let outcome = sandbox.run(["run", "--rm", "app", "sh", "-c", script]);
    outcome.success().text()
}

fn owners_are_what_chown_said() {
    let script = "cd /w; echo x >f; mkdir -p d/e; chown 33:44 f; chown -R 7:8 d
        stat -c '%n %u:%g' f d d/e; stat -c %U:%G f; find . -user 7 | sort; ls -ln f | cut -d' ' -f1
        chmod 6755 f; chown 5 f; stat -c '%a %u:%g' f; chown 0:0 f; stat -c %u:%g f
        cp -a d c; stat -c '%u:%g' c; mv d g; stat -c '%u:%g' g; chown app: f; stat -c %u:%g f; stat -c %u:%g /";
    let said = shell(&sandbox(), script);
    let wanted =
        "f 33:44\nd 7:8\nd/e 7:8\napp:app\n./d\n./d/e\n-rw-r--r--\n755 5:44\n0:0\n7:8\n7:8\n33:44\n0:0";
    assert_eq!(said, wanted);
}

fn links_and_pipes_have_owners_while_it_runs() {
    let script = "cd /w; ln -s nowhere l; mkfifo p; chown -h 33:44 l p; stat -c '%n %u:%g' l p
        rm l p; ln -s x l; stat -c %u:%g l; mkdir t; ln -s t s; chown 9 s/; stat -c %u t; stat -c %u s";
    assert_eq!(shell(&sandbox(), script), "l 33:44\np 33:44\n0:0\n9\n0");
}

fn root_gives_itself_up_for_good() {
    let script = "id; su app -c 'id; id -u; id -G; su root -c id; chown root /w 2>&1; touch /open/a; chown root /open/a
        chgrp more /open/a && stat -c %u:%g /open/a' 2>&1; id -u";
    let said = shell(&sandbox(), script);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "uid=0(root) gid=0(root) groups=0(root)");
    assert_eq!(lines[1], "uid=33(app) gid=44(app) groups=44(app),66(more)", "{said}");
    assert_eq!(&lines[2..4], ["33", "44 66"]);
    assert!(
        said.contains("su: must be suid to work properly") || said.contains("su: can't set groups"),
        "{said}"
    );
    assert!(said.contains("chown: /w: Operation not permitted"), "{said}");
    assert!(said.contains("chown: /open/a: Operation not permitted"), "{said}");
    assert!(said.ends_with("33:66\n0"), "{said}");
}

fn what_others_make_is_theirs() {
    let script = "umask 027; su app -c 'cd /open; umask 077; echo x >f; mkdir d; cp f g; ln f h; echo y >>f; (umask 0; >m)'
        cd /w; mkdir s; chown 7:8 s; chmod 2777 s; touch s/r; mkdir s/d; su app -c 'touch /w/s/a'; stat -c %u:%g s/r s/d s/a
        cd /open; stat -c '%n %a %u:%g' f d g h m; touch r; stat -c '%a %u' r; cat f";
    let said = shell(&sandbox(), script);
    assert_eq!(
        said,
        "0:8\n0:8\n33:8\nf 600 33:44\nd 700 33:44\ng 600 33:44\nh 600 33:44\nm 666 33:44\n640 0\nx\ny"
    );
}

fn layers_have_the_owners() {
    let sandbox = of_one_user();
    let dockerfile = "FROM app\nRUN touch /w/a /w/b && chown 33:44 /w/a && chmod 600 /w/a\n\
                      RUN test $(stat -c %u:%g /w/a) = 33:44 && chown 55 /w && chown 0:0 /w/b\n\
                      USER app\nRUN test $(id -u) = 33 && touch /open/mine\nUSER root\n";
    let dir = sandbox.directory("ctx");
    sandbox.file("ctx/Dockerfile", dockerfile);
    sandbox.run(["build", "-t", "made", &dir]).success();
    let script = "stat -c %u:%g /w /w/a /w/b /open/mine; chown 9 /w/b; exec sleep 1000";
    sandbox.run(["run", "-d", "--name", "cc", "made", "sh", "-c", script]).success();
    sandbox.wait_for_log("cc", "33:44\n");
    wait_for_owner(&sandbox, "9:0");
    sandbox.run(["commit", "cc", "again"]).success();
    let look = "stat -c %u:%g /w /w/a /w/b /open/mine";
    sandbox.run(["run", "--rm", "again", "sh", "-c", look]).stdout("55:0\n33:44\n9:0\n33:44\n").success();
    let outcome = sandbox.run(["export", "cc"]);
    outcome.success();
    let mut archive = tar::Archive::new(&outcome.out[..]);
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        if ["w/a", "w/b", "open/mine"].contains(&path.as_str()) {
            found.push((path, entry.header().uid().unwrap(), entry.header().gid().unwrap()));
        }
    }
    found.sort();
    assert_eq!(
        found,
        [("open/mine".to_owned(), 33, 44), ("w/a".to_owned(), 33, 44), ("w/b".to_owned(), 9, 0)]
    );
}

fn wait_for_owner(sandbox: &Sandbox, owner: &str) {
    let script = format!("until test $(stat -c %u:%g /w/b) = {owner}; do sleep 0.1; done");
    sandbox.run(["exec", "cc", "sh", "-c", &script]).success();
}

fn images_of_another_user() {
    let image = image().config("User", json!("app"));
    let sandbox = Sandbox::new().through(ONE_ID).with("user", &image);
    let script = "id -u; touch /open/f; stat -c %u:%g /open/f /w /etc/passwd; chown 0 /open/f 2>&1; grep CapEff /proc/self/status";
    let said = sandbox.run(["run", "--rm", "user", "sh", "-c", script]).success().text();
    let wanted = "33\n33:44\n0:0\n0:0\nchown: /open/f: Operation not permitted\nCapEff:\t0000000000000000";
    assert_eq!(said, wanted);
}

fn joining_processes_are_who_they_shall_be() {
    let sandbox = of_one_user();
    sandbox.run(["run", "-d", "--name", "cc", "app", "sleep", "1000"]).success();
    let as_user = |user: &str, script: &str| {
        sandbox.run(["exec", "-u", user, "cc", "sh", "-c", script]).success().text()
    };
    assert_eq!(as_user("app", "id -u; id -G; touch /open/f; stat -c %u:%g /open/f"), "33\n44 66\n33:44");
    assert_eq!(as_user("0", "stat -c %u:%g /open/f; chown 5 /open/f"), "33:44");
    assert_eq!(as_user("55:66", "id -u; id -g; stat -c %u:%g /open/f"), "55\n66\n5:44");
    sandbox.run(["rm", "-f", "cc"]).success();
    sandbox.expect_no_process();
}

fn servers_know_who_calls() {
    let sandbox = of_one_user().with("probe", &image().layer(&Layer::new().probe()));
    sandbox.run(["run", "-d", "--name", "cc", "probe", "/probe", "callers", "/open/s"]).success();
    sandbox.wait_for_log("cc", "ready");
    for user in ["app", "0", "55:66"] {
        sandbox.run(["exec", "-u", user, "cc", "/probe", "call", "/open/s"]).success();
    }
    // One who has given up root, and one who comes from there.
    sandbox.run(["exec", "cc", "su", "-s", "/bin/sh", "app", "-c", "/probe call /open/s"]).success();
    sandbox.run(["logs", "cc"]).stdout("ready\n33:44\n0:0\n55:66\n33:44\n");
    sandbox.run(["rm", "-f", "cc"]).success();
}

fn paths_of_the_process_itself() {
    let script = "cd /w; exec 3>f; chown 33 /proc/self/fd/3; stat -c %u f; chown 34 /dev/fd/3; stat -c %u f
        ln -s /dev/stdout out; chown 33 out; chown 35 /proc/self/cwd/f; stat -c %u f
        mkdir -p r/etc; cp /bin/busybox r/; echo a:x:77:77::/: >r/etc/passwd; ln -s /etc/passwd r/etc/link
        chroot r /busybox chown 78 /etc/link ../../../etc/passwd; stat -c %u r/etc/passwd /etc/passwd
        chown 79 /proc/self/../1/root/w/f 2>/dev/null; stat -c %u f";
    let said = shell(&sandbox(), script);
    assert!(said.starts_with("33\n34\n35\n78\n0\n"), "{said}");
}

fn errors_are_the_kernels() {
    let sandbox = sandbox();
    let script = "chown 5 /nowhere; chown 5 /etc/passwd/x; ln -s /l /l; chown 5 /l; chown 5 $(printf '%5000s' | tr ' ' a)
        chown 5 /ro/f; chown 5 /proc/version; stat /nowhere; true";
    let dir = sandbox.directory("ro");
    sandbox.file("ro/f", "f");
    let volume = format!("{dir}:/ro:ro");
    let outcome = sandbox.run(["run", "--rm", "-v", &volume, "app", "sh", "-c", script]);
    let outcome = outcome.success();
    for text in [
        "/nowhere: No such file or directory",
        "/etc/passwd/x: Not a directory",
        "/l: Too many levels of symbolic links",
        "File name too long",
        "/ro/f: Read-only file system",
    ] {
        outcome.stderr_contains(text);
    }
    sandbox
        .run(["run", "--rm", "--read-only", "app", "chown", "5", "/w"])
        .stderr_contains("Read-only file system");
}

fn capabilities_count() {
    let sandbox = sandbox();
    let run = |flag: &str, script: &str| sandbox.run(["run", "--rm", flag, "app", "sh", "-c", script]);
    run("--cap-drop=CHOWN", "chown 5 /w; su app -c 'id -u'")
        .stdout("33\n")
        .stderr_contains("Operation not permitted");
    run("--cap-drop=SETUID", "su app -c 'id -u' 2>&1; true").stdout_contains("Operation not permitted");
}

fn swapped_links_lead_nowhere_else() {
    let sandbox = sandbox();
    let outside = sandbox.file("outside", "x");
    let script = format!(
        "cd /w; touch f; while :; do ln -sfn ../../../../../..{outside} l; ln -sfn f l; ln -sfn /proc/self/../1/root/w/f l; done &
         for i in $(seq 400); do chown $i l; done 2>/dev/null; kill $!; wait; stat -c %g f"
    );
    assert_eq!(shell(&sandbox, &script), "0");
    let outcome = rustix::fs::getxattr(&outside, "user.coracle.owner", &mut [0_u8; 64][..]);
    assert_eq!(outcome, Err(rustix::io::Errno::NODATA));
}

fn a_dead_steward_hangs_nobody() {
    let sandbox = of_one_user();
    sandbox
        .run([
            "run",
            "-d",
            "--name",
            "cc",
            "app",
            "sh",
            "-c",
            "while sleep 0.1; do id; done 2>/dev/null; echo over",
        ])
        .success();
    let before = sandbox.supervisors();
    assert_eq!(before.len(), 2, "the supervisor and the steward");
    let supervisor = before.iter().map(|process| process.pid).min().unwrap();
    let steward = before.iter().map(|process| process.pid).find(|pid| *pid != supervisor).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(steward), nix::sys::signal::Signal::SIGKILL).unwrap();
    sandbox.wait_for_log("cc", "over");
    sandbox.run(["rm", "-f", "cc"]).success();
    sandbox.expect_no_process();
}

fn fifty_at_once() {
    let script = "for i in $(seq 50); do (cd /w; mkdir $i; for j in 1 2 3 4; do
            >$i/$j; chown $i:$j $i/$j; test $(stat -c %u:%g $i/$j) = $i:$j || echo bad $i $j; done) & done; wait
        for i in $(seq 20); do sh -c 'while :; do chown 3 /w/1; done' & kill -9 $!; done; echo done";
    assert_eq!(shell(&sandbox(), script), "done");
}
