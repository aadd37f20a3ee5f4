//! `build` as its steps are performed: what is cached and what not, what is copied and how, what commands see, and
//! what is left when it is killed.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use nix::sys::signal::Signal;

use crate::crash::{kill_after_delays, nothing_is_left_over};
use crate::support::harness::{Test, tests};
use crate::support::{Image, Need, Sandbox, needs, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    caches_by_content,
    copies_as_buildkit_does,
    mounts_what_commands_ask_for,
    keeps_secrets_to_itself,
    builds_of_the_same_share_the_work,
    ends_with_its_commands,
    killing_it_at_any_moment_spoils_nothing,
    a_full_disk_spoils_nothing,
    makes_the_same_bytes_again,
    takes_its_cache_elsewhere,
    frees_its_cache,
];

const NET: [&str; 3] = ["build", "--network", "none"];

/// Makes a context.
fn context(sandbox: &Sandbox, name: &str, files: &[(&str, &str)]) -> String {
    let directory = sandbox.directory(name);
    for (path, content) in files {
        let path = Path::new(&directory).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn build(sandbox: &Sandbox, words: &[&str]) -> String {
    sandbox.run(NET.iter().chain(&["-q"]).chain(words)).success().text()
}

fn caches_by_content() {
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "FROM busybox\nCOPY src /src\nRUN cat /proc/sys/kernel/random/uuid > /made\n";
    let files = [("Dockerfile", dockerfile), ("src/one", "1"), ("src/sub/two", "2"), ("other", "x")];
    let directory = context(&sandbox, "context", &files);
    let first = build(&sandbox, &[&directory]);
    assert_eq!(build(&sandbox, &[&directory]), first);
    // A fresh checkout, elsewhere, with other times; and a file that nobody copies.
    let other = context(&sandbox, "other", &files);
    let file = fs::File::options().write(true).open(format!("{other}/src/one")).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(7)).unwrap();
    fs::write(format!("{other}/other"), "y").unwrap();
    assert_eq!(build(&sandbox, &[&other]), first);
    fs::write(format!("{other}/src/one"), "one").unwrap();
    assert_ne!(build(&sandbox, &[&other]), first);
    fs::write(format!("{other}/src/one"), "1").unwrap();
    assert_eq!(build(&sandbox, &[&other]), first);
    assert_ne!(build(&sandbox, &["--no-cache", &other]), first);
    sandbox.run(["system", "check"]).success();
}

fn copies_as_buildkit_does() {
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "FROM busybox AS files\n\
        RUN mkdir -p /real/dir && ln -s /real /link && echo f > /real/file && chown 5:6 /real/file\n\
        FROM busybox\n\
        COPY --from=files /link /linked\n\
        COPY --from=files /link/fil? /wild/\n\
        COPY --chown=7 --chmod=u=rwX,go=rX src /owned\n\
        COPY --parents src/./deep /kept/\n\
        COPY --exclude=deep src /less\n\
        COPY --link src/a.c /far/away/\n\
        COPY src/a.c /renamed\n\
        COPY --from=files /link /through\n\
        ADD --chown=3:4 <<end /text\nhere\nend\n";
    let files = [("Dockerfile", dockerfile), ("src/a.c", "a"), ("src/deep/b", "b")];
    let directory = context(&sandbox, "context", &files);
    build(&sandbox, &["-t", "copied", &directory]);
    let script =
        "cd /; find linked wild owned kept less far renamed text | sort | xargs stat -c '%n %F %a %u:%g'";
    let seen = sandbox.run(["run", "--rm", "copied", "sh", "-c", script]).success().text();
    for line in [
        "linked/dir directory 755 0:0",
        "owned/deep directory 755 7:7",
        "kept/deep/b regular file",
        "far/away/a.c regular file",
        "renamed regular file",
    ] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    assert!(!seen.contains("less/deep") && !seen.contains("kept/src"), "{seen}");
    for line in ["linked/file", "wild/file"] {
        let line = seen.lines().find(|seen| seen.starts_with(line)).unwrap();
        assert!(line.ends_with("5:6") || line.ends_with("0:0"), "{line}");
    }
    sandbox.run(["run", "--rm", "copied", "cat", "/text"]).stdout("here\n");
}

fn mounts_what_commands_ask_for() {
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "FROM busybox AS other\nRUN echo of-other > /file\nFROM busybox\n\
        RUN --mount=target=/context,rw ls /context > /seen && rm /context/a.txt\n\
        RUN --mount=from=other,source=/file,target=/run/file cat /run/file >> /seen\n\
        RUN --mount=type=cache,target=/cache echo kept >> /cache/list\n\
        RUN --mount=type=cache,target=/cache,id=/cache cat /cache/list >> /seen\n\
        RUN --mount=type=tmpfs,target=/tmpfs touch /tmpfs/file && test ! -e /cache/list && test ! -e /run/file\n";
    let files = [("Dockerfile", dockerfile), ("a.txt", "a"), ("b.log", "b"), (".dockerignore", "*.log\n")];
    let directory = context(&sandbox, "context", &files);
    build(&sandbox, &["-t", "mounted", &directory]);
    sandbox
        .run([
            "run",
            "--rm",
            "mounted",
            "sh",
            "-c",
            "cat /seen; ls -A /run; ls -d /context /tmpfs 2>/dev/null",
        ])
        .stdout("Dockerfile\na.txt\nof-other\nkept\n");
    assert!(Path::new(&directory).join("a.txt").exists(), "what was written is gone");
}

fn keeps_secrets_to_itself() {
    const SECRET: &str = "xyzzy-4711-plugh";
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "FROM busybox\n\
        RUN --mount=type=secret,id=s,required=true test -n \"$(cat /run/secrets/s)\"\n\
        RUN --mount=type=secret,id=s,env=S test \"$(echo $S | wc -c)\" = 17\n";
    let directory = context(&sandbox, "context", &[("Dockerfile", dockerfile)]);
    let secret = sandbox.file("secret", SECRET);
    let flag = format!("id=s,src={secret}");
    build(&sandbox, &["--secret", &flag, "-t", "told", &directory]);
    let mut waiting = vec![sandbox.store()];
    let mut read = 0;
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file()
                && let Ok(bytes) = fs::read(entry.path())
            {
                read += 1;
                let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
                assert!(!found, "{}", entry.path().display());
            }
        }
    }
    assert!(read > 10);
    sandbox.run(["build", &directory]).code(1).stderr_contains("secret s: not found");
}

fn builds_of_the_same_share_the_work() {
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "FROM busybox\nRUN sleep 1; cat /proc/sys/kernel/random/uuid > /made\n";
    let directory = context(&sandbox, "context", &[("Dockerfile", dockerfile)]);
    let running: Vec<_> =
        (0..3).map(|_| sandbox.command(["build", "--network", "none", "-q", &directory]).spawn()).collect();
    let mut ids: Vec<String> = running.into_iter().map(|running| running.wait().success().text()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

fn ends_with_its_commands() {
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "FROM busybox\nRUN echo half > /half; sleep 1000\n";
    let directory = context(&sandbox, "context", &[("Dockerfile", dockerfile)]);
    let running = sandbox.command(["build", "--network", "none", &directory]).spawn();
    let sleeps = || {
        sandbox.processes().iter().any(|it| {
            fs::read(format!("/proc/{}/cmdline", it.pid)).is_ok_and(|line| line.starts_with(b"sleep\x001000"))
        })
    };
    wait_until("the command runs", sleeps);
    running.signal(Signal::SIGKILL);
    running.wait();
    sandbox.expect_no_process();
    let dockerfile = "FROM busybox\nRUN echo whole > /whole\n";
    let directory = context(&sandbox, "next", &[("Dockerfile", dockerfile)]);
    build(&sandbox, &[&directory]);
    assert_eq!(fs::read_dir(sandbox.store().join("staging")).unwrap().count(), 0);
    sandbox.run(["system", "check"]).success();
}

fn killing_it_at_any_moment_spoils_nothing() {
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "FROM busybox AS made\nARG N\n\
        RUN --mount=type=cache,target=/kept dd if=/dev/zero of=/kept/f bs=64k count=8 && cp /kept/f /made && \
            sleep 0.02 && echo end >> /made\n\
        FROM busybox\nARG N\nCOPY many /many\nCOPY --from=made /made /\n\
        RUN sleep 0.02; ls /many | wc -l > /count\nCMD wc -c < /made; tail -c 4 /made; cat /count\n";
    let mut files = vec![("Dockerfile".to_owned(), dockerfile.to_owned())];
    files.extend((0..150).map(|n| (format!("many/{n}"), n.to_string().repeat(3000))));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let directory = context(&sandbox, "context", &files);
    // Of work that is made anew, and of work that is there in part.
    for (words, killed) in [(&["--no-cache"][..], "N=1"), (&[], "N=2")] {
        let mut arguments = NET.to_vec();
        arguments.extend(words);
        arguments.extend(["-q", "--build-arg", killed, &directory]);
        kill_after_delays(&sandbox, &arguments, b"", |delay| {
            crate::check::clean(&sandbox);
            if delay % 4 == 0 {
                // What was left is as good as what is made now.
                build(&sandbox, &["-t", "whole", "--build-arg", killed, &directory]);
                sandbox.run(["run", "--rm", "whole"]).stdout("524292\nend\n150\n").success();
                sandbox.run(["rmi", "-f", "whole"]).success();
                sandbox.run(["builder", "prune", "-af"]).success();
            }
        });
    }
    sandbox.run(["builder", "prune", "-af"]).success();
    nothing_is_left_over(&sandbox);
}

fn a_full_disk_spoils_nothing() {
    needs(Need::Root);
    let steps = "FROM base:1\nCOPY blob /blob\nRUN dd if=/dev/zero of=/more bs=64k count=16 && echo end >> /more\n\
        CMD cat /blob /more | wc -c; tail -c 4 /more\n";
    let less = "FROM base:1\nRUN echo small > /small\nCMD cat /small\n";
    let mut built = 0;
    for kilobytes in [4600, 5400, 6200, 7000, 9000, 16000] {
        let sandbox = Sandbox::new();
        let base = sandbox.file("base.tar", Image::busybox().docker_archive("base:1"));
        let blob = "b".repeat(1 << 20);
        let big = context(&sandbox, "big", &[("Dockerfile", steps), ("blob", &blob)]);
        let small = context(&sandbox, "small", &[("Dockerfile", less)]);
        let script = format!(
            "c=$0; b=\"$c build -q --network none\"; $c load -q -i {base} >&2 || exit 10; \
             $b -t big {big} >&2; built=$?; $c system check >&2 || exit 11; \
             [ $built != 0 ] || [ \"$($c run --rm big | tr '\\n' ' ')\" = '2097156 end ' ] || exit 12; \
             dd if=/dev/zero of=data/filler bs=4k 2>/dev/null; \
             $b --no-cache -t big {big} >&2 && exit 13; $c system check >&2 || exit 14; \
             rm data/filler; $b -t small {small} >&2 || exit 15; \
             $c rmi -f big >&2; $c builder prune -af >&2 || exit 19; \
             [ \"$($c run --rm small)\" = small ] || exit 16; $c system check >&2 || exit 17; \
             [ -z \"$(ls data/coracle/staging)\" ] || exit 18; echo sound $built"
        );
        let outcome = sandbox.command([&script]).shell().small_disk(kilobytes << 10).run();
        outcome.success().stdout_contains("sound ").stderr_contains("o space left on device");
        built += usize::from(outcome.text().ends_with("sound 0"));
    }
    assert!((1..6).contains(&built), "{built} of the disks had room for the image");
}

fn makes_the_same_bytes_again() {
    let dockerfile = "FROM busybox\nWORKDIR /app\nCOPY . .\nRUN echo made > /made && rm -r /app/sub\n";
    let made: Vec<Vec<u8>> = (0..2)
        .map(|round| {
            let sandbox = Sandbox::new().busybox();
            let files = [("Dockerfile", dockerfile), ("a.txt", "a"), ("sub/b", "b")];
            let directory = context(&sandbox, &format!("context-{round}"), &files);
            let archive = format!("{}/out.tar", sandbox.work().display());
            let output = format!("type=oci,dest={archive},rewrite-timestamp=true");
            let epoch = "SOURCE_DATE_EPOCH=1700000000";
            let words = ["build", "--network", "none", "--build-arg", epoch, "--output", &output, &directory];
            sandbox.run(words).success();
            // Nothing stays in the store.
            assert_eq!(sandbox.run(["images", "-aq"]).success().lines().len(), 1);
            fs::read(archive).unwrap()
        })
        .collect();
    assert!(!made[0].is_empty() && made[0] == made[1]);
}

fn takes_its_cache_elsewhere() {
    let dockerfile = "FROM busybox\nCOPY a.txt /\nRUN cat /proc/sys/kernel/random/uuid > /made\n";
    let (one, two) = (Sandbox::new().busybox(), Sandbox::new().busybox());
    let directory = context(&one, "context", &[("Dockerfile", dockerfile), ("a.txt", "a")]);
    let kept = one.directory("kept");
    let first = build(&one, &["--cache-to", &format!("type=local,dest={kept}"), &directory]);
    // The other user of the suite is the same one.
    let second = build(&two, &["--cache-from", &format!("type=local,src={kept}"), &directory]);
    assert_eq!(first, second);
}

fn frees_its_cache() {
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "FROM busybox AS a\nRUN echo a > /a\nFROM busybox\nCOPY --from=a /a /b\n";
    let directory = context(&sandbox, "context", &[("Dockerfile", dockerfile)]);
    let first = build(&sandbox, &["-t", "freed", &directory]);
    let cached = |total: &str| {
        let lines = sandbox.run(["system", "df", "--format", "{{.Type}} {{.TotalCount}}"]).success().lines();
        assert!(lines.contains(&format!("Build Cache {total}")), "{lines:?}");
    };
    cached("2");
    // An image has one of the two.
    sandbox.run(["builder", "prune", "-f"]).success().stdout_contains("Total reclaimed space: 2B\n");
    cached("1");
    sandbox.run(["builder", "prune", "-a", "-f"]).success().stdout_contains("Total reclaimed space: 0B\n");
    cached("0");
    sandbox.run(["run", "--rm", "freed", "cat", "/b"]).stdout("a\n");
    assert_ne!(build(&sandbox, &["-t", "freed", &directory]), first);
    sandbox.run(["system", "check"]).success();
}
