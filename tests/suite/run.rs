//! `run`: what a container gets, and what comes back.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Image, Layer, Need, Sandbox, needs};

pub(crate) const TESTS: &[Test] = tests![
    hello_world_from_an_empty_store,
    keeps_streams_apart,
    passes_the_exit_code,
    a_signal_is_128_and_its_number,
    loses_no_output,
    reads_standard_input_with_i,
    does_not_wait_for_input_without_i,
    attaches_only_what_is_asked_for,
    sets_the_environment,
    reads_environment_files,
    a_missing_environment_file_is_an_error,
    sets_the_working_directory,
    runs_as_a_user,
    an_unknown_user_is_an_error,
    gives_supplementary_groups,
    entrypoint_and_command_combine,
    names_the_host,
    writes_hosts_and_resolver_files,
    a_read_only_root_stays_so,
    mounts_tmpfs,
    runs_a_small_init,
    labels_come_from_flags_and_files,
    writes_a_cidfile,
    pulls_only_as_told,
    refuses_another_platform,
    sets_limits,
    sizes_shared_memory,
    sets_sysctls,
    passes_devices,
    network_none_has_loopback_alone,
    network_host_is_the_hosts,
    prints_the_id_when_detached,
    makes_up_a_name,
    a_busy_name_is_a_conflict,
    rm_leaves_nothing,
    passes_signals_on,
    does_not_pass_signals_without_sig_proxy,
    restarts_on_failure_as_often_as_told,
    many_layers_mount,
    a_debian_root_file_system_runs,
];

fn hello_world_from_an_empty_store() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["run", "hello-world"]);
    outcome.success().stdout_contains("Hello from");
    assert!(!outcome.error_text().contains("Unable to find image"), "{outcome}");
    sandbox.run(["run", "--rm", "hello-world"]).success();
    assert_eq!(sandbox.run(["ps", "-aq"]).lines().len(), 1);
}

fn keeps_streams_apart() {
    Sandbox::new()
        .busybox()
        .run(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2"])
        .stdout("out\n")
        .stderr("err\n")
        .success();
}

fn passes_the_exit_code() {
    let sandbox = Sandbox::new().busybox();
    for code in [0, 1, 42, 125, 126, 127, 255] {
        sandbox.run(["run", "--rm", "busybox", "sh", "-c", &format!("exit {code}")]).code(code);
    }
}

fn a_signal_is_128_and_its_number() {
    let sandbox = Sandbox::new().busybox();
    // The first process of a pid namespace is deaf to its own signals, so a child dies for it.
    sandbox.run(["run", "--rm", "busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code(137);
    sandbox.run(["run", "-d", "--name", "sleeper", "busybox", "sleep", "1000"]).success();
    sandbox.run(["kill", "sleeper"]).stdout("sleeper\n").success();
    sandbox.run(["wait", "sleeper"]).stdout("137\n").success();
}

fn loses_no_output() {
    let sandbox = Sandbox::new().busybox();
    let outcome =
        sandbox.run(["run", "--rm", "busybox", "sh", "-c", "dd if=/dev/zero bs=1000 count=8000; echo end"]);
    outcome.success();
    assert_eq!(outcome.out.len(), 8_000_004);
    assert!(outcome.out.ends_with(b"\0end\n"));
}

fn reads_standard_input_with_i() {
    let sandbox = Sandbox::new().busybox();
    // The detach keys are bytes like others where there is no terminal.
    let bytes = "0123456789\x10\x11abcdef".repeat(20_000);
    sandbox
        .command(["run", "--rm", "-i", "busybox", "cat"])
        .stdin(bytes.clone())
        .run()
        .stdout(&bytes)
        .success();
    // Without -i the program meets an empty input.
    sandbox.command(["run", "--rm", "busybox", "cat"]).stdin("not for you").run().stdout("").success();
}

fn does_not_wait_for_input_without_i() {
    let sandbox = Sandbox::new().busybox();
    sandbox.command(["run", "--rm", "busybox", "echo", "x"]).keep_stdin().run().stdout("x\n").success();
    // With -i the end of the program ends the command, whatever the input does.
    let mut running = sandbox.command(["run", "--rm", "-i", "busybox", "echo", "y"]).keep_stdin().spawn();
    running.wait_for("y");
    crate::support::wait_until("run ends", || crate::support::process::is_dead(running.pid()));
    running.close_stdin();
    running.wait().stdout("y\n").success();
}

fn attaches_only_what_is_asked_for() {
    Sandbox::new()
        .busybox()
        .run(["run", "--rm", "-a", "stdout", "busybox", "sh", "-c", "echo out; echo err >&2"])
        .stdout("out\n")
        .stderr("")
        .success();
}

fn sets_the_environment() {
    let image = Image::busybox().config("Env", json!(["PATH=/bin", "FROM_IMAGE=1", "BOTH=image"]));
    let sandbox = Sandbox::new().with("env", &image);
    let outcome = sandbox
        .command([
            "run",
            "--rm",
            "-e",
            "A=1",
            "-e",
            "HOSTS",
            "-e",
            "ABSENT",
            "--env",
            "BOTH=flag",
            "env",
            "env",
        ])
        .env("HOSTS", "from the host")
        .run();
    let mut lines = outcome.success().lines();
    lines.sort();
    let hostname = lines.iter().position(|line| line.starts_with("HOSTNAME=")).map(|at| lines.remove(at));
    assert_eq!(hostname.unwrap().len(), "HOSTNAME=".len() + 12);
    assert_eq!(lines, ["A=1", "BOTH=flag", "FROM_IMAGE=1", "HOME=/root", "HOSTS=from the host", "PATH=/bin"]);
    sandbox.run(["run", "--rm", "-t", "env", "sh", "-c", "echo $TERM"]).stdout_contains("xterm").success();
    sandbox.run(["run", "--rm", "-u", "nobody", "env", "sh", "-c", "echo $HOME"]).stdout("/\n").success();
}

fn reads_environment_files() {
    let sandbox = Sandbox::new().busybox();
    let file = sandbox.file("vars", "# a comment\nONE=1\n\nTWO=two words\nHOSTS\nQUOTED=\"as is\"\n");
    sandbox
        .run(["run", "--rm", "--env-file", &file, "-e", "ONE=over", "busybox", "sh", "-c", "echo $ONE"])
        .stdout("over\n")
        .success();
    sandbox
        .command(["run", "--rm", "--env-file", &file, "busybox", "sh", "-c", "echo $ONE,$TWO,$HOSTS,$QUOTED"])
        .env("HOSTS", "h")
        .run()
        .stdout("1,two words,h,\"as is\"\n")
        .success();
}

fn a_missing_environment_file_is_an_error() {
    Sandbox::new()
        .busybox()
        .run(["run", "--rm", "--env-file", "/nowhere", "busybox", "true"])
        .code(125)
        .stderr_contains("open /nowhere: no such file or directory");
}

fn sets_the_working_directory() {
    let image = Image::busybox().config("WorkingDir", json!("/etc"));
    let sandbox = Sandbox::new().with("wd", &image);
    sandbox.run(["run", "--rm", "wd", "pwd"]).stdout("/etc\n").success();
    sandbox.run(["run", "--rm", "-w", "/made/up", "wd", "pwd"]).stdout("/made/up\n").success();
    sandbox
        .run(["run", "--rm", "-w", "relative", "wd", "pwd"])
        .code(125)
        .stderr_contains("the working directory 'relative' is invalid, it needs to be an absolute path");
}

fn runs_as_a_user() {
    needs(Need::Subids);
    let image = Image::busybox().config("User", json!("app"));
    let sandbox = Sandbox::new().with("who", &image);
    let who = "id -u; id -g; id -G; echo $HOME";
    for (user, expected) in [
        ("", "1000\n1000\n1000 2000\n/home/app\n"),
        ("0", "0\n0\n0\n/root\n"),
        ("root", "0\n0\n0\n/root\n"),
        ("app:extra", "1000\n2000\n2000\n/home/app\n"),
        ("1000:7", "1000\n7\n7\n/home/app\n"),
        ("4321:8765", "4321\n8765\n8765\n/\n"),
        ("4321", "4321\n0\n0\n/\n"),
    ] {
        let mut words = vec!["run", "--rm"];
        if !user.is_empty() {
            words.extend(["-u", user]);
        }
        words.extend(["who", "sh", "-c", who]);
        sandbox.run(words).success().stdout(expected);
    }
}

fn an_unknown_user_is_an_error() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "--rm", "-u", "nosuch", "busybox", "true"])
        .code(125)
        .stderr_contains("unable to find user nosuch: no matching entries in passwd file");
    sandbox
        .run(["run", "--rm", "-u", "app:nosuch", "busybox", "true"])
        .code(125)
        .stderr_contains("unable to find group nosuch: no matching entries in group file");
}

fn gives_supplementary_groups() {
    needs(Need::Subids);
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "--rm", "--group-add", "extra", "--group-add", "77", "busybox", "id", "-G"])
        .success()
        .stdout("0 77 2000\n");
}

fn entrypoint_and_command_combine() {
    let image = Image::busybox().config("Entrypoint", json!(["echo", "entry"])).config("Cmd", json!(["cmd"]));
    let sandbox = Sandbox::new().with("both", &image);
    sandbox.run(["run", "--rm", "both"]).stdout("entry cmd\n").success();
    sandbox.run(["run", "--rm", "both", "other", "words"]).stdout("entry other words\n").success();
    // Another entrypoint takes the image's command away.
    sandbox.run(["run", "--rm", "--entrypoint", "echo", "both"]).stdout("\n").success();
    sandbox.run(["run", "--rm", "--entrypoint", "", "both", "echo", "plain"]).stdout("plain\n").success();
    let empty = Sandbox::new().with("empty", &Image::busybox().config("Cmd", json!(null)));
    empty.run(["run", "--rm", "empty"]).code(125).stderr_contains("no command specified");
}

fn names_the_host() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "--rm", "--hostname", "boat", "busybox", "sh", "-c", "hostname; cat /etc/hostname"])
        .stdout("boat\nboat\n")
        .success();
    let id = sandbox.run(["run", "--name", "plain", "busybox", "hostname"]).success().text();
    let full = sandbox.run(["inspect", "-f", "{{.Id}}", "plain"]).text();
    assert_eq!(id, full[..12]);
}

fn writes_hosts_and_resolver_files() {
    let sandbox = Sandbox::new().busybox();
    let outcome = sandbox.run([
        "run",
        "--rm",
        "--add-host",
        "db:10.1.2.3",
        "--hostname",
        "boat",
        "busybox",
        "sh",
        "-c",
        "cat /etc/hosts; test -f /etc/resolv.conf && echo yes",
    ]);
    outcome.success().stdout_contains("127.0.0.1\tlocalhost").stdout_contains("10.1.2.3\tdb");
    outcome.stdout_contains("yes");
}

fn a_read_only_root_stays_so() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "--rm", "--read-only", "busybox", "sh", "-c", "echo x > /file"])
        .code(1)
        .stderr_contains("Read-only file system");
    sandbox
        .run([
            "run",
            "--rm",
            "--read-only",
            "--tmpfs",
            "/tmp",
            "busybox",
            "sh",
            "-c",
            "echo x > /tmp/f; cat /tmp/f",
        ])
        .stdout("x\n")
        .success();
}

fn mounts_tmpfs() {
    let sandbox = Sandbox::new().busybox();
    let outcome = sandbox.run([
        "run",
        "--rm",
        "--tmpfs",
        "/scratch:size=1m,mode=1770",
        "busybox",
        "sh",
        "-c",
        "stat -c %a /scratch; grep ' /scratch ' /proc/mounts; dd if=/dev/zero of=/scratch/f bs=1M count=2 2>&1",
    ]);
    outcome.code(1).stdout_contains("1770\n").stdout_contains("size=1024k").stdout_contains("No space left");
    outcome.stdout_contains("noexec").stdout_contains("nosuid").stdout_contains("nodev");
}

fn runs_a_small_init() {
    let sandbox = Sandbox::new().busybox();
    // An orphan that ends must not stay a zombie when there is an init to collect it.
    let script = "sh -c 'sleep 0.1 & exit 0'; sleep 0.5; n=0; \
                  while grep -q ') Z' /proc/[0-9]*/stat && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done; \
                  grep -c ') Z' /proc/[0-9]*/stat | grep -c ':1$'; test $$ -ne 1 && echo not-first";
    let outcome = sandbox.run(["run", "--rm", "--init", "busybox", "sh", "-c", script]);
    outcome.success().stdout("0\nnot-first\n");
    sandbox.run(["run", "--rm", "--init", "busybox", "sh", "-c", "exit 5"]).code(5);
}

fn labels_come_from_flags_and_files() {
    let image = Image::busybox().config("Labels", json!({ "from": "image", "both": "image" }));
    let sandbox = Sandbox::new().with("labelled", &image);
    let file = sandbox.file("labels", "# none\nfile=1\nboth=file\n");
    sandbox.run([
        "create",
        "--name",
        "cc",
        "-l",
        "a=b=c",
        "--label",
        "bare",
        "--label-file",
        &file,
        "labelled",
    ]);
    let labels = sandbox.run(["inspect", "-f", "{{json .Config.Labels}}", "cc"]).success().json();
    assert_eq!(labels, json!({ "a": "b=c", "bare": "", "both": "file", "file": "1", "from": "image" }));
}

fn writes_a_cidfile() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["run", "-d", "--cidfile", "cid", "busybox", "true"]).success().text();
    assert_eq!(std::fs::read_to_string(sandbox.work().join("cid")).unwrap(), id);
    sandbox.run(["run", "-d", "--cidfile", "cid", "busybox", "true"]).code(125).stderr_contains(
        "container ID file found, make sure the other container isn't running or delete cid",
    );
}

fn pulls_only_as_told() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "--rm", "--pull", "never", "absent", "true"])
        .code(125)
        .stderr_contains("No such image: absent:latest");
    sandbox.run(["run", "--rm", "--pull", "missing", "busybox", "true"]).success();
    sandbox.run(["run", "--rm", "--pull", "sometimes", "busybox", "true"]).code(125).stderr_contains(
        "invalid pull option: 'sometimes': must be one of \"always\", \"missing\" or \"never\"",
    );
}

fn refuses_another_platform() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "--rm", "--platform", "linux/amd64", "busybox", "true"]).success();
    sandbox
        .run(["run", "--rm", "--pull", "never", "--platform", "linux/arm64", "busybox", "true"])
        .code(125)
        .stderr_contains("linux/arm64");
    sandbox.run(["run", "--rm", "--platform", "no/such/plat/form", "busybox", "true"]).code(125);
}

fn sets_limits() {
    Sandbox::new()
        .busybox()
        .run([
            "run",
            "--rm",
            "--ulimit",
            "nofile=100:200",
            "--ulimit",
            "core=0",
            "busybox",
            "sh",
            "-c",
            "ulimit -n; ulimit -Hn; ulimit -c",
        ])
        .stdout("100\n200\n0\n")
        .success();
}

fn sizes_shared_memory() {
    let sandbox = Sandbox::new().busybox();
    for (flag, expected) in [(None, "65536"), (Some("2m"), "2048")] {
        let mut words = vec!["run", "--rm"];
        words.extend(flag.into_iter().flat_map(|size| ["--shm-size", size]));
        words.extend(["busybox", "sh", "-c", "df -k /dev/shm | tail -n 1"]);
        let outcome = sandbox.run(words);
        assert_eq!(outcome.success().text().split_whitespace().nth(1), Some(expected), "{outcome}");
    }
}

fn sets_sysctls() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run([
            "run",
            "--rm",
            "--sysctl",
            "net.ipv4.ip_forward=1",
            "--sysctl",
            "kernel.msgmax=4096",
            "busybox",
            "cat",
            "/proc/sys/net/ipv4/ip_forward",
            "/proc/sys/kernel/msgmax",
        ])
        .stdout("1\n4096\n")
        .success();
    // What is not the container's own is refused, not set for the host.
    sandbox.run(["run", "--rm", "--sysctl", "vm.swappiness=1", "busybox", "true"]).code(125);
}

fn passes_devices() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run([
            "run",
            "--rm",
            "--device",
            "/dev/zero:/dev/nought",
            "busybox",
            "sh",
            "-c",
            "head -c 4 /dev/nought | wc -c; ls /dev",
        ])
        .success()
        .stdout_contains("4\n")
        .stdout_contains("nought");
    sandbox
        .run(["run", "--rm", "--device", "/dev/absent", "busybox", "true"])
        .code(127)
        .stderr_contains("/dev/absent");
}

fn network_none_has_loopback_alone() {
    let sandbox = Sandbox::new().busybox();
    let script = "ls /sys/class/net; ping -c 1 127.0.0.1 >/dev/null && echo up";
    sandbox
        .run(["run", "--rm", "--network", "none", "busybox", "sh", "-c", script])
        .stdout("lo\nup\n")
        .success();
}

fn network_host_is_the_hosts() {
    let sandbox = Sandbox::new().busybox();
    let here = std::fs::read_link("/proc/self/ns/net").unwrap();
    sandbox
        .run(["run", "--rm", "--network", "host", "busybox", "readlink", "/proc/self/ns/net"])
        .stdout(&format!("{}\n", here.display()))
        .success();
}

fn prints_the_id_when_detached() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["run", "-d", "busybox", "sleep", "1000"]).success().text();
    assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id:?}");
    assert_eq!(sandbox.run(["ps", "-q", "--no-trunc"]).text(), id);
    assert_eq!(sandbox.run(["ps", "-q"]).text(), id[..12]);
}

fn makes_up_a_name() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["create", "busybox"]).success().text();
    let name = sandbox.run(["ps", "-a", "--format", "{{.Names}}"]).text();
    let (left, right) = name.split_once('_').expect("two words");
    assert!(!left.is_empty() && !right.is_empty() && name.is_ascii(), "{name:?}");
    assert_eq!(sandbox.run(["inspect", "-f", "{{.Id}}", &name]).text(), id);
    // A unique beginning of the id names it too.
    assert_eq!(sandbox.run(["inspect", "-f", "{{.Name}}", &id[..5]]).text(), format!("/{name}"));
}

fn a_busy_name_is_a_conflict() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["create", "--name", "web", "busybox"]).success().text();
    let outcome = sandbox.run(["run", "--rm", "--name", "web", "busybox", "true"]);
    outcome.code(125).stderr_contains(&format!(
        "Conflict. The container name \"/web\" is already in use by container \"{id}\". You have to remove (or \
         rename) that container to be able to reuse that name."
    ));
    assert_eq!(sandbox.run(["ps", "-aq", "--no-trunc"]).text(), id);
    sandbox
        .run(["create", "--name", "not/good", "busybox"])
        .code(1)
        .stderr_contains("Invalid container name (not/good), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

fn rm_leaves_nothing() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "--rm", "-v", "/anonymous", "busybox", "sh", "-c", "echo x > /anonymous/f"])
        .success();
    sandbox.run(["run", "--rm", "-d", "--name", "short", "busybox", "true"]).success();
    crate::support::wait_until("the container is gone", || sandbox.run(["ps", "-aq"]).text().is_empty());
    sandbox.expect_no_process();
    for dir in ["containers", "names", "volumes", "staging"] {
        let left: Vec<_> = std::fs::read_dir(sandbox.store().join(dir)).unwrap().flatten().collect();
        assert!(left.is_empty(), "{dir}: {left:?}");
    }
}

fn passes_signals_on() {
    let sandbox = Sandbox::new().image("probe", Layer::probe);
    let running = sandbox.command(["run", "--rm", "probe", "/probe", "signals"]).spawn();
    running.wait_for("ready");
    running.signal(Signal::SIGUSR1);
    running.wait_for("SIGUSR1");
    running.signal(Signal::SIGHUP);
    running.wait_for("SIGHUP");
    running.signal(Signal::SIGTERM);
    running.wait().stdout("ready\nSIGUSR1\nSIGHUP\nSIGTERM\n").code(7);
}

fn does_not_pass_signals_without_sig_proxy() {
    let sandbox = Sandbox::new().image("probe", Layer::probe);
    let running =
        sandbox.command(["run", "--name", "deaf", "--sig-proxy=false", "probe", "/probe", "signals"]).spawn();
    running.wait_for("ready");
    running.signal(Signal::SIGTERM);
    running.wait();
    assert_eq!(sandbox.status_of("deaf"), "running");
    sandbox.run(["logs", "deaf"]).stdout("ready\n");
}

fn restarts_on_failure_as_often_as_told() {
    let sandbox = Sandbox::new().busybox();
    let script = "echo turn; exit 3";
    sandbox
        .run(["run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "sh", "-c", script])
        .success();
    sandbox.wait_for_status("again", "exited");
    sandbox.run(["logs", "again"]).stdout("turn\nturn\nturn\n").success();
    sandbox.run(["inspect", "-f", "{{.RestartCount}} {{.State.ExitCode}}", "again"]).stdout("2 3\n");
    sandbox
        .run(["run", "--rm", "--restart", "always", "busybox", "true"])
        .code(125)
        .stderr_contains("conflicting options: cannot specify both --restart and --rm");
}

fn many_layers_mount() {
    let mut image = Image::busybox();
    for n in 0..130 {
        let mut layer =
            Layer::new().file(&format!("/many/{n}"), format!("{n}\n")).file("/last", format!("{n}\n"));
        if n > 0 {
            layer = layer.whiteout(&format!("/many/{}", n - 1));
        }
        image = image.layer(&layer);
    }
    Sandbox::new()
        .with("deep", &image)
        .run(["run", "--rm", "deep", "sh", "-c", "ls /many; cat /last"])
        .stdout("129\n129\n")
        .success();
}

fn a_debian_root_file_system_runs() {
    needs(Need::Debian);
    needs(Need::Subids);
    let sandbox = Sandbox::new();
    let tar = std::fs::read(crate::support::debian::archive().unwrap()).unwrap();
    let id = sandbox.command(["import", "-", "debian:local"]).stdin(tar).run().success().text();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id:?}");
    sandbox
        .run(["run", "--rm", "debian:local", "cat", "/etc/os-release"])
        .success()
        .stdout_contains("Debian");
    // Owners and setuid bits of the archive are those inside.
    let script =
        "stat -c '%a %U:%G' /usr/bin/passwd /etc/shadow /var/mail /usr/bin/chage; dpkg --verify; echo done";
    sandbox
        .run(["run", "--rm", "debian:local", "sh", "-c", script])
        .stdout("4755 root:root\n640 root:shadow\n2775 root:mail\n2755 root:shadow\ndone\n")
        .success();
    sandbox
        .run(["run", "--rm", "-u", "nobody", "debian:local", "sh", "-c", "id -un; cat /etc/shadow"])
        .code(1)
        .stdout("nobody\n")
        .stderr_contains("Permission denied");
    sandbox.run(["rmi", "debian:local"]).success();
}
