//! Namespaces and volumes shared among containers and with the host. The texts are those of docker 26.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::harness::{Test, tests};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    who_shares_has_networks_of_its_own,
    a_pid_namespace_can_be_shared,
    what_shares_a_pid_namespace_ends_whole,
    a_killed_supervisor_leaves_no_process_in_a_shared_namespace,
    the_hosts_processes_can_be_seen,
    shared_memory_can_be_shared,
    a_joined_network_shows_its_own_devices,
    namespaces_of_the_host,
    volumes_come_from_other_containers,
    an_unnamed_volume_goes_with_the_last_that_has_it,
    the_oom_score_can_be_raised,
    inspect_tells_what_is_shared,
    refusals_are_dockers,
    logs_have_details,
    a_link_can_be_taken_away,
];

fn idle(sandbox: &Sandbox, name: &str, flags: &[&str], script: &str) {
    let mut words = vec!["run", "-d", "--network", "none", "--name", name];
    words.extend(flags);
    words.extend(["busybox", "sh", "-c", script]);
    sandbox.run(words).success();
}

fn a_pid_namespace_can_be_shared() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "donor", &[], "exec sleep 1234");
    let flags = ["run", "--rm", "--network", "none", "--pid", "container:donor"];
    let run = |more: &[&str]| sandbox.run(flags.iter().chain(more).copied());
    // A proc file system of that namespace, and not the host's.
    run(&["busybox", "sh", "-c", "cat /proc/1/cmdline; kill -0 1 && echo; ls -d /proc/[0-9]* | wc -l"])
        .success()
        .stdout_contains("sleep\x001234\x00\n");
    run(&["--init", "busybox", "sh", "-c", "exit 7"]).code(7);
    // With it ends what is inside.
    idle(&sandbox, "guest", &["--pid", "container:donor"], "sleep 5678");
    sandbox.run(["exec", "guest", "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline"]).stdout("sleep 1234 ");
    sandbox.run(["kill", "donor"]).success();
    sandbox.wait_for_status("guest", "exited");
    let id = sandbox.run(["inspect", "-f", "{{.Id}}", "donor"]).text().trim().to_owned();
    let text = format!("failed to join PID namespace: container {id} is not running");
    sandbox.run(["start", "guest"]).code(1).stderr_contains(&text);
    run(&["busybox", "true"]).code(125).stderr_contains(&text);
}

const THREE: &str = "sleep 1111 & setsid sleep 2222 & exec sleep 3333";

fn what_shares_a_pid_namespace_ends_whole() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "donor", &[], "sleep 1000 & wait");
    let before = sandbox.processes().len();
    for mode in ["host", "container:donor"] {
        idle(&sandbox, "guest", &["--pid", mode], THREE);
        sandbox.run(["exec", "-d", "guest", "sleep", "4444"]).success();
        assert!(sandbox.processes().len() > before, "{mode}");
        sandbox.run(["stop", "-t", "0", "guest"]).success();
        let left = sandbox.run(["exec", "donor", "ps"]).text();
        assert!(!left.contains("sleep 2222") && !left.contains("sleep 4444"), "{left}");
        sandbox.run(["rm", "guest"]).success();
    }
    sandbox.run(["rm", "-f", "donor"]).success();
    sandbox.expect_no_process();
}

fn a_killed_supervisor_leaves_no_process_in_a_shared_namespace() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "guest", &["--pid", "host"], THREE);
    for supervisor in sandbox.supervisors() {
        kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL).unwrap();
    }
    sandbox.wait_for_status("guest", "exited");
    sandbox.run(["rm", "guest"]).success();
    sandbox.expect_no_process();
}

fn the_hosts_processes_can_be_seen() {
    let sandbox = Sandbox::new().busybox();
    let own = std::process::id();
    let script = format!("cat /proc/{own}/comm; echo $$");
    let outcome =
        sandbox.run(["run", "--rm", "--network", "none", "--pid", "host", "busybox", "sh", "-c", &script]);
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    let lines = outcome.success().lines();
    assert_eq!(lines[0], comm.trim());
    assert_ne!(lines[1], "1");
}

fn shared_memory_can_be_shared() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "donor", &["--ipc", "shareable"], "echo there > /dev/shm/f; echo up; exec sleep 1000");
    idle(&sandbox, "closed", &[], "exec sleep 1000");
    sandbox.wait_for_log("donor", "up");
    let run = |ipc: &str, script: &str| {
        sandbox.run(["run", "--rm", "--network", "none", "--ipc", ipc, "busybox", "sh", "-c", script])
    };
    run(
        "container:donor",
        "cat /dev/shm/f; echo back > /dev/shm/g; readlink /proc/self/ns/ipc > /dev/shm/ns",
    )
    .success()
    .stdout("there\n");
    let there =
        sandbox.run(["exec", "donor", "sh", "-c", "cat /dev/shm/g /dev/shm/ns; readlink /proc/self/ns/ipc"]);
    let lines = there.success().lines();
    assert_eq!((lines[0].as_str(), &lines[1]), ("back", &lines[2]));
    let id = sandbox.run(["inspect", "-f", "{{.Id}}", "closed"]).text().trim().to_owned();
    run("container:closed", "true").code(125).stderr_contains(&format!(
        "failed to join IPC namespace: container {id}: non-shareable IPC (hint: use IpcMode:shareable for the donor \
         container)"
    ));
    run("none", "ls -d /dev/shm").code(1);
    let host = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    run("host", "readlink /proc/self/ns/ipc").stdout(&format!("{}\n", host.display()));
    // Of two containers: the processes of one, the memory of the other.
    let both = ["run", "--rm", "--network", "none", "--ipc", "container:donor", "--pid", "container:closed"];
    let words = ["busybox", "sh", "-c", "cat /dev/shm/f; tr '\\0' ' ' < /proc/1/cmdline"];
    sandbox.run(both.iter().chain(&words).copied()).success().stdout("there\nsleep 1000 ");
}

fn a_joined_network_shows_its_own_devices() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "donor", &[], "exec sleep 1000");
    sandbox
        .run(["run", "--rm", "--network", "container:donor", "busybox", "ls", "/sys/class/net"])
        .success()
        .stdout("lo\n");
}

fn namespaces_of_the_host() {
    let sandbox = Sandbox::new().busybox();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let run = |flags: &[&str], script: &str| {
        let before = ["run", "--rm", "--network", "none"];
        sandbox.run(before.iter().chain(flags).chain(&["busybox", "sh", "-c", script]).copied())
    };
    run(&["--uts", "host"], "hostname; echo $HOSTNAME").stdout(&format!("{name}{name}")).success();
    let host = std::fs::read_link("/proc/self/ns/cgroup").unwrap();
    let script = "readlink /proc/self/ns/cgroup";
    run(&["--cgroupns", "host"], script).stdout(&format!("{}\n", host.display())).success();
    assert_ne!(run(&["--cgroupns", "private"], script).text().trim(), host.to_str().unwrap());
    run(&["--userns", "host"], "id -u").stdout("0\n").success();
}

fn volumes_come_from_other_containers() {
    let sandbox = Sandbox::new().busybox();
    let bound = sandbox.directory("bound");
    let script = "echo a > /anon/f; echo n > /named/f; echo b > /bound/f";
    let bind = format!("{bound}:/bound");
    sandbox
        .run([
            "run",
            "--name",
            "one",
            "-v",
            "/anon",
            "-v",
            "named:/named",
            "-v",
            &bind,
            "busybox",
            "sh",
            "-c",
            script,
        ])
        .success();
    let cat = "cat /anon/f /named/f /bound/f";
    sandbox.run(["run", "--rm", "--volumes-from", "one", "busybox", "sh", "-c", cat]).stdout("a\nn\nb\n");
    let write = "touch /anon/x || touch /bound/x || touch /named/x || echo no";
    sandbox.run(["run", "--rm", "--volumes-from", "one:ro", "busybox", "sh", "-c", write]).stdout("no\n");
    // What is asked for by itself counts more.
    sandbox
        .run(["run", "--rm", "--volumes-from", "one", "--tmpfs", "/anon", "busybox", "ls", "-A", "/anon"])
        .stdout("")
        .success();
    sandbox.run(["create", "--name", "two", "--volumes-from", "one:ro", "busybox"]).success();
    sandbox
        .run(["inspect", "-f", "{{.HostConfig.VolumesFrom}} {{.HostConfig.Binds}} {{len .Mounts}}", "two"])
        .stdout("[one:ro] [] 3\n");
}

fn an_unnamed_volume_goes_with_the_last_that_has_it() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["create", "--name", "one", "-v", "/anon", "busybox"]).success();
    sandbox.run(["create", "--name", "two", "--volumes-from", "one", "busybox"]).success();
    let count = || sandbox.run(["volume", "ls", "-q"]).lines().len();
    assert_eq!(count(), 1);
    sandbox.run(["rm", "-v", "one"]).success();
    assert_eq!(count(), 1);
    sandbox.run(["rm", "-v", "two"]).success();
    assert_eq!(count(), 0);
}

fn the_oom_score_can_be_raised() {
    let sandbox = Sandbox::new().busybox();
    let run = |score: &str| {
        let flag = format!("--oom-score-adj={score}");
        sandbox.run(["run", "--rm", "--network", "none", &flag, "busybox", "cat", "/proc/self/oom_score_adj"])
    };
    run("900").stdout("900\n").success();
    run("-999").code(125).stderr_contains("only root may lower it below this user's own");
    run("1001").code(125).stderr_contains("Invalid value 1001, range for oom score adj is [-1000, 1000]");
}

fn inspect_tells_what_is_shared() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["create", "--name", "one", "busybox"]).text().trim().to_owned();
    sandbox
        .run([
            "create",
            "--name",
            "two",
            "--network",
            "none",
            "--pid",
            "container:one",
            "--ipc",
            "container:one",
            "--uts",
            "host",
            "--userns",
            "host",
            "--cgroupns",
            "host",
            "--oom-score-adj",
            "900",
            "--volume-driver",
            "local",
            "--runtime",
            "runc",
            "--isolation",
            "default",
            "busybox",
        ])
        .success();
    let format = "{{with .HostConfig}}{{.PidMode}} {{.IpcMode}} {{.UTSMode}} {{.UsernsMode}} {{.CgroupnsMode}} \
                  {{.OomScoreAdj}} {{.VolumeDriver}}{{end}}";
    sandbox
        .run(["inspect", "-f", format, "two"])
        .stdout(&format!("container:{id} container:{id} host host host 900 local\n"));
    sandbox.run(["inspect", "-f", format, "one"]).stdout(" private   private 0 \n");
}

fn refusals_are_dockers() {
    let sandbox = Sandbox::new().busybox();
    let daemon = "Error response from daemon: ";
    for (flags, text) in [
        (&["--pid", "private"][..], "--pid: invalid PID mode".to_owned()),
        (&["--pid", "container:"], "--pid: invalid PID mode".to_owned()),
        (&["--pid", "container:nope"], format!("{daemon}No such container: nope")),
        (&["--ipc", "bogus"], format!("{daemon}invalid IPC mode: bogus")),
        (&["--ipc", "container:nope"], format!("{daemon}No such container: nope")),
        (&["--uts", "bogus"], "--uts: invalid UTS mode".to_owned()),
        (
            &["--uts", "host", "--hostname", "x"],
            format!("{daemon}conflicting options: hostname and the UTS mode"),
        ),
        (&["--userns", "bogus"], "--userns: invalid USER mode".to_owned()),
        (&["--cgroupns", "bogus"], "--cgroupns: invalid CGROUP mode".to_owned()),
        (&["--runtime", "foo"], format!("{daemon}unknown or invalid runtime name: foo")),
        (&["--storage-opt", "size"], "invalid storage option".to_owned()),
        (&["--storage-opt", "foo=1"], format!("{daemon}Unknown option foo")),
        (
            &["--storage-opt", "size=10G"],
            format!(
                "{daemon}--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
            ),
        ),
        (
            &["--isolation", "hyperv"],
            format!("{daemon}Invalid isolation: \"hyperv\" - linux only supports 'default'"),
        ),
        (&["--volumes-from", "nope"], format!("{daemon}No such container: nope")),
        (&["--volumes-from", ""], format!("{daemon}volumes-from specification cannot be an empty string")),
        (
            &["--volume-driver", "foo", "-v", "/x"],
            format!("{daemon}error looking up volume plugin foo: plugin \"foo\" not found"),
        ),
    ] {
        let words = ["run", "--rm", "--network", "none"].iter().chain(flags).chain(&["busybox", "true"]);
        let outcome = sandbox.command(words.copied()).called("docker").run();
        let error = outcome.code(125).error_text();
        assert!(error.starts_with(&format!("docker: {text}")), "{flags:?}: {error}");
    }
    let windows =
        "is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux";
    sandbox
        .run(["run", "--cpu-percent", "2", "--io-maxiops", "3", "busybox"])
        .code(1)
        .stderr(&format!("\"--cpu-percent\" {windows}\n\"--io-maxiops\" {windows}\n"));
    for accepted in [
        &["--isolation", "default"][..],
        &["--runtime", "runc"],
        &["--kernel-memory", "100m"],
        &["--disable-content-trust"],
        &["--volume-driver", "foo"],
        &["--cgroupns", ""],
    ] {
        let words = ["create", "--network", "none"].iter().chain(accepted).chain(&["busybox", "true"]);
        sandbox.run(words.copied()).success();
    }
    assert_eq!(sandbox.run(["volume", "ls", "-q"]).lines().len(), 0);
}

fn logs_have_details() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "--network", "none", "--name", "said", "busybox", "echo", "hi"]).success();
    sandbox.run(["logs", "--details", "said"]).stdout(" hi\n").success();
    let line = sandbox.run(["logs", "-t", "--details", "said"]).text();
    assert!(line.trim_end().ends_with("Z  hi"), "{line}");
}

fn a_link_can_be_taken_away() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["create", "--name", "db", "busybox"]).success();
    sandbox.run(["create", "--name", "web", "--link", "db:store", "busybox"]).success();
    sandbox.run(["inspect", "-f", "{{.HostConfig.Links}}", "web"]).stdout("[/db:/web/store]\n");
    sandbox.run(["rm", "--link", "web"]).code(1).stderr(
        "Error response from daemon: Conflict, cannot remove the default link name of the container\n",
    );
    sandbox
        .run(["rm", "--link", "web/db"])
        .code(1)
        .stderr("Error response from daemon: No such container: web/db\n");
    sandbox.run(["rm", "--link", "/web/store"]).success().stdout("/web/store\n");
    sandbox.run(["inspect", "-f", "{{.HostConfig.Links}}", "web"]).stdout("[]\n");
    assert_eq!(sandbox.run(["ps", "-aq"]).lines().len(), 2);
}

fn who_shares_has_networks_of_its_own() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "1000"]).success();
    for flags in [
        &["--pid", "container:donor"][..],
        &["--ipc", "container:donor"],
        &["--pid", "container:donor", "--ipc", "container:donor", "--oom-score-adj", "500"],
        &["--pid", "host"],
        &["--ipc", "host"],
    ] {
        let mut words = vec!["run", "--rm"];
        words.extend(flags);
        words.extend(["busybox", "sh", "-c", "nslookup donor >&2 && ip -o -4 addr show eth0"]);
        sandbox.run(words).success().stdout_contains("inet 172.");
        let mut words = vec!["run", "-d", "--name", "sharer", "-p", "127.0.0.1::80"];
        words.extend(flags);
        words.extend(["busybox", "nc", "-ll", "-p", "80", "-e", "echo", "hello"]);
        sandbox.run(words).success();
        let address = sandbox.run(["port", "sharer", "80"]).success().text();
        wait_until("an answer at the published port", || {
            let Ok(mut stream) = std::net::TcpStream::connect(address.trim()) else { return false };
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stream, &mut text).is_ok() && text == "hello\n"
        });
        sandbox.run(["network", "disconnect", "bridge", "sharer"]).success();
        sandbox.run(["network", "connect", "bridge", "sharer"]).success();
        sandbox.run(["rm", "-f", "sharer"]).success();
    }
}
