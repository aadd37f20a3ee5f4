//! What a container cannot do, as seen by a probe inside.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::harness::{Test, tests};
use crate::support::image::digest;
use crate::support::{Layer, Meta, Need, Sandbox, host, needs};

pub(crate) const TESTS: &[Test] = tests![
    capabilities_are_dockers_fourteen,
    capabilities_are_added_and_dropped,
    users_hold_no_capabilities,
    the_filter_is_on_and_is_dockers,
    seccomp_can_be_given_or_taken_away,
    privileged_is_all_that_a_user_namespace_can_give,
    namespaces_are_its_own,
    processes_of_the_host_are_out_of_reach,
    files_of_the_host_are_out_of_reach,
    nothing_is_inherited,
    proc_and_sys_are_masked,
    devices_are_the_harmless_ones,
    setuid_programs_work_unless_told,
    root_inside_is_the_user_outside,
    containers_have_no_power_over_each_other,
    the_hosts_program_cannot_be_overwritten,
    masks_cannot_be_taken_off,
    limits_and_keyrings_are_separate,
];

fn probe() -> Sandbox {
    Sandbox::new().image("probe", Layer::probe)
}

/// Runs `probe try` with these flags and claims what each act came to.
#[track_caller]
fn expect(sandbox: &Sandbox, flags: &[&str], acts: &[(&str, &str)]) {
    let mut words = vec!["run", "--rm"];
    words.extend(flags);
    words.extend(["probe", "/probe", "try"]);
    words.extend(acts.iter().map(|(act, _)| act));
    let expected: Vec<_> = acts.iter().map(|(act, result)| format!("{act}: {result}")).collect();
    let outcome = sandbox.run(words);
    assert_eq!(outcome.success().lines(), expected, "{outcome}");
}

#[track_caller]
fn status(sandbox: &Sandbox, flags: &[&str]) -> Value {
    let mut words = vec!["run", "--rm"];
    words.extend(flags);
    words.extend(["probe", "/probe", "status"]);
    sandbox.run(words).success().json()
}

#[track_caller]
fn expect_caps(sandbox: &Sandbox, flags: &[&str], expected: u64) {
    let status = &status(sandbox, flags)["status"];
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status[set], format!("{expected:016x}"), "{set} with {flags:?}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set} with {flags:?}");
    }
}

const DEFAULT: u64 = 0xa804_25fb;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
const CHOWN: u64 = 1;

fn capabilities_are_dockers_fourteen() {
    assert_eq!(DEFAULT.count_ones(), 14);
    expect_caps(&probe(), &[], DEFAULT);
}

fn capabilities_are_added_and_dropped() {
    let sandbox = probe();
    expect_caps(&sandbox, &["--cap-add", "NET_ADMIN"], DEFAULT | NET_ADMIN);
    expect_caps(
        &sandbox,
        &["--cap-add", "cap_sys_admin", "--cap-drop", "chown"],
        (DEFAULT | SYS_ADMIN) & !CHOWN,
    );
    expect_caps(&sandbox, &["--cap-drop", "ALL"], 0);
    expect_caps(&sandbox, &["--cap-drop", "ALL", "--cap-add", "CHOWN"], CHOWN);
    let all = status(&sandbox, &["--cap-add", "ALL"])["status"]["CapEff"].as_str().unwrap().to_owned();
    assert!(u64::from_str_radix(&all, 16).unwrap().count_ones() >= 38, "{all}");
    sandbox
        .run(["run", "--rm", "--cap-add", "NOSUCH", "probe", "true"])
        .code(125)
        .stderr_contains("unknown capability: \"CAP_NOSUCH\"");
}

fn users_hold_no_capabilities() {
    needs(Need::Subids);
    let status = &status(&probe(), &["-u", "app"])["status"];
    assert_eq!(status["CapEff"], "0000000000000000");
    assert_eq!(status["CapPrm"], "0000000000000000");
    assert_eq!(status["CapBnd"], format!("{DEFAULT:016x}"));
    assert_eq!(status["Uid"], "1000\t1000\t1000\t1000");
}

fn the_filter_is_on_and_is_dockers() {
    let sandbox = probe();
    let found = status(&sandbox, &[]);
    assert_eq!(found["status"]["Seccomp"], "2");
    assert_eq!(found["status"]["NoNewPrivs"], "0");
    expect(
        &sandbox,
        &[],
        &[
            ("getpid", "ok"),
            ("mount-tmpfs", "EPERM"),
            ("unshare-user", "EPERM"),
            ("unshare-mount", "EPERM"),
            ("unshare-net", "EPERM"),
            ("keyctl", "EPERM"),
            ("add-key", "EPERM"),
            ("bpf", "EPERM"),
            ("perf-event-open", "EPERM"),
            ("userfaultfd", "EPERM"),
            ("kexec-load", "EPERM"),
            ("init-module", "EPERM"),
            ("open-by-handle-at", "EPERM"),
            ("reboot", "EPERM"),
            ("swapon", "EPERM"),
            ("io-uring-setup", "EPERM"),
            ("clone3", "ENOSYS"),
            ("unmount:/proc", "EPERM"),
            ("sethostname", "EPERM"),
            ("chroot:/tmp", "ok"),
        ],
    );
}

fn seccomp_can_be_given_or_taken_away() {
    let sandbox = probe();
    assert_eq!(status(&sandbox, &["--security-opt", "seccomp=unconfined"])["status"]["Seccomp"], "0");
    expect(&sandbox, &["--security-opt", "seccomp=unconfined"], &[("unshare-user", "ok")]);
    let profile = sandbox.file(
        "profile.json",
        r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
             "syscalls": [{ "names": ["chown", "fchownat", "lchown"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 }] }"#,
    );
    let flag = format!("seccomp={profile}");
    expect(&sandbox, &["--security-opt", &flag], &[("chown:/tmp", "EOPNOTSUPP"), ("unshare-user", "ok")]);
    let broken = sandbox.file("broken.json", "{");
    let outcome =
        sandbox.run(["run", "--rm", "--security-opt", &format!("seccomp={broken}"), "probe", "true"]);
    outcome.code(125);
    let outcome = sandbox.run(["run", "--rm", "--security-opt", "nosuch=1", "probe", "true"]);
    outcome.code(125).stderr_contains("nosuch");
}

fn privileged_is_all_that_a_user_namespace_can_give() {
    let sandbox = probe();
    let found = status(&sandbox, &["--privileged"]);
    assert_eq!(found["status"]["Seccomp"], "0");
    let caps = u64::from_str_radix(found["status"]["CapEff"].as_str().unwrap(), 16).unwrap();
    assert!(caps.count_ones() >= 38, "{caps:x}");
    expect(
        &sandbox,
        &["--privileged"],
        &[("mount-tmpfs", "ok"), ("sethostname", "ok"), ("unshare-user", "ok")],
    );
    // It is still a user namespace: the host's kernel takes no orders.
    expect(&sandbox, &["--privileged"], &[("swapon", "EPERM"), ("mknod-null:/tmp/null", "EPERM")]);
}

fn namespaces_are_its_own() {
    let found = status(&probe(), &[]);
    for name in ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"] {
        let here = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(found["namespaces"][name], here.to_str().unwrap(), "{name}");
    }
    let mut interfaces: Vec<_> =
        found["interfaces"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    interfaces.sort_unstable();
    assert_eq!(interfaces, ["eth0", "lo"]);
    assert!(
        found["cgroup"].as_str().unwrap().lines().all(|line| line.ends_with(":/")),
        "{}",
        found["cgroup"]
    );
}

fn processes_of_the_host_are_out_of_reach() {
    let sandbox = probe();
    let found = status(&sandbox, &[]);
    assert_eq!(found["pids"], serde_json::json!([1]));
    let mine = format!("kill:{}", std::process::id());
    let proc = format!("list:/proc/{}/root", std::process::id());
    expect(&sandbox, &[], &[(&mine, "ESRCH"), (&proc, "ENOENT"), ("join-mount-of:1", "EPERM")]);
}

fn files_of_the_host_are_out_of_reach() {
    let sandbox = probe();
    let file = sandbox.file("secret", "x");
    let read = format!("read:{file}");
    let root = format!("read:/proc/1/root{file}");
    let cwd = format!("read:/proc/1/cwd{file}");
    expect(&sandbox, &[], &[(&read, "ENOENT"), (&root, "ENOENT"), (&cwd, "ENOENT")]);
    // The old root is gone from the mount namespace, not covered by something.
    let mounts = status(&sandbox, &[])["mounts"].as_array().unwrap().clone();
    assert!(mounts.len() < 60, "{mounts:#?}");
    for mount in mounts {
        let at = mount.as_str().unwrap().split(' ').nth(4).unwrap().to_owned();
        let known = ["/proc", "/dev", "/sys", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"];
        assert!(
            at == "/" || known.iter().any(|known| at == *known || at.starts_with(&format!("{known}/"))),
            "{at}"
        );
    }
}

fn nothing_is_inherited() {
    let sandbox = probe();
    let mut words = vec!["run", "--rm", "probe", "/probe", "status"];
    for flags in [&["-i"][..], &["--init"], &[]] {
        words.splice(2..words.len() - 3, flags.iter().copied());
        let found =
            sandbox.command(words.iter().copied()).env("SECRET_OF_THE_HOST", "1").run().success().json();
        let fds: Vec<_> =
            found["fds"].as_array().unwrap().iter().map(|fd| &fd.as_str().unwrap()[..2]).collect();
        assert_eq!(fds, ["0 ", "1 ", "2 "], "{found:#}");
        assert_eq!(found["status"]["SigBlk"], "0000000000000000");
    }
    // The two above 31 are the C library's own, and it ignores them in whatever it starts.
    let ignored =
        sandbox.run(["run", "--rm", "probe", "grep", "SigIgn", "/proc/self/status"]).success().text();
    let ignored = u64::from_str_radix(ignored.split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(ignored & 0x7fff_ffff, 0, "{ignored:x}");
    sandbox
        .command(["run", "--rm", "probe", "env"])
        .env("SECRET_OF_THE_HOST", "1")
        .run()
        .success()
        .stdout_lacks("SECRET");
}

fn proc_and_sys_are_masked() {
    let sandbox = probe();
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/interrupts; do \
                  test -e $f && echo $f $(wc -c < $f); done; \
                  for d in /proc/acpi /proc/scsi /proc/asound /sys/firmware; do test -e $d && echo $d $(ls -A $d | wc -l); \
                  done; true";
    for line in sandbox.run(["run", "--rm", "probe", "sh", "-c", script]).success().lines() {
        assert!(line.ends_with(" 0"), "{line}");
    }
    expect(&sandbox, &[], &[("create:/sys/x", "EROFS")]);
    let mounts = status(&sandbox, &[])["mounts"].as_array().unwrap().clone();
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"] {
        let at = format!(" {path} ro,");
        assert!(mounts.iter().any(|mount| mount.as_str().unwrap().contains(&at)), "{path}: {mounts:#?}");
    }
    sandbox
        .run([
            "run",
            "--rm",
            "--security-opt",
            "systempaths=unconfined",
            "probe",
            "sh",
            "-c",
            "wc -c < /proc/keys",
        ])
        .success();
}

fn devices_are_the_harmless_ones() {
    let sandbox = probe();
    let outcome = sandbox.run(["run", "--rm", "probe", "sh", "-c", "ls /dev; ls -A /dev/pts"]);
    let mut names = outcome.success().lines();
    names.sort();
    let expected = [
        "core", "fd", "full", "mqueue", "null", "ptmx", "ptmx", "pts", "random", "shm", "stderr", "stdin",
        "stdout", "tty", "urandom", "zero",
    ];
    assert_eq!(names, expected);
    expect(
        &sandbox,
        &[],
        &[("write:/dev/null", "ok"), ("write:/dev/full", "ENOSPC"), ("mknod-null:/tmp/null", "EPERM")],
    );
    sandbox
        .run([
            "run",
            "--rm",
            "probe",
            "sh",
            "-c",
            "head -c 5 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c",
        ])
        .stdout("5\n5\n")
        .success();
}

fn setuid_programs_work_unless_told() {
    needs(Need::Subids);
    let probe = std::fs::read(crate::support::sandbox::programs().join("probe")).unwrap();
    let sandbox =
        Sandbox::new().image("img", |layer| layer.file_with("/suid/probe", &probe, &Meta::mode(0o4755)));
    let uid = |flags: &[&str]| {
        let mut words = vec!["run", "--rm", "-u", "app"];
        words.extend(flags);
        words.extend(["img", "/suid/probe", "status"]);
        let found = sandbox.run(words).success().json();
        (found["status"]["Uid"].as_str().unwrap().to_owned(), found["status"]["NoNewPrivs"].clone())
    };
    assert_eq!(uid(&[]), ("1000\t0\t0\t0".to_owned(), "0".into()));
    for flag in ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"] {
        assert_eq!(uid(&["--security-opt", flag]), ("1000\t1000\t1000\t1000".to_owned(), "1".into()));
    }
}

fn root_inside_is_the_user_outside() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    let pid = sandbox.pid_of("cc");
    let uid = crate::support::process::status_field(pid, "Uid").unwrap();
    assert_eq!(uid.split('\t').next().unwrap(), host::user().uid.to_string());
    if let Some(first) = host::subids() {
        sandbox.run(["run", "-d", "--name", "uu", "-u", "1", "busybox", "sleep", "1000"]).success();
        let uid = crate::support::process::status_field(sandbox.pid_of("uu"), "Uid").unwrap();
        assert_eq!(uid.split('\t').next().unwrap(), first.to_string());
    }
}

fn containers_have_no_power_over_each_other() {
    let sandbox = Sandbox::new().busybox();
    let namespaces: Vec<_> = ["aa", "bb"]
        .iter()
        .map(|name| {
            sandbox.run(["run", "-d", "--name", name, "busybox", "sleep", "1000"]).success();
            std::fs::read_link(format!("/proc/{}/ns/user", sandbox.pid_of(name))).unwrap()
        })
        .collect();
    assert_ne!(namespaces[0], namespaces[1]);
    assert_ne!(namespaces[0], std::fs::read_link("/proc/self/ns/user").unwrap());
}

fn the_hosts_program_cannot_be_overwritten() {
    let sandbox = Sandbox::new().image("img", |layer| layer.symlink("/evil", "/proc/self/exe"));
    // The user's own copy, as in ~/.local/bin: root inside has the same id as its owner.
    let own =
        sandbox.file("own", std::fs::read(crate::support::sandbox::programs().join("coracle")).unwrap());
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o755)).unwrap();
    let before = digest(&std::fs::read(&own).unwrap());
    let script = "for n in $(seq 1 40); do for p in /proc/[0-9]*; do \
                  (printf taken > $p/exe) 2>/dev/null && echo wrote $p; done; sleep 0.02; done; echo tried";
    let name = ["run", "-d", "--name", "cc", "img", "sh", "-c", script];
    sandbox.command(name).program(&own).run().success();
    for _ in 0..10 {
        // Its code runs as /proc/self/exe while the container looks for something to write to.
        sandbox.command(["exec", "cc", "/evil", "--version"]).program(&own).run();
        sandbox.command(["run", "--rm", "img", "/evil", "--version"]).program(&own).run();
    }
    sandbox.run(["wait", "cc"]).stdout("0\n");
    sandbox.run(["logs", "cc"]).success().stdout_contains("tried").stdout_lacks("wrote");
    assert_eq!(digest(&std::fs::read(&own).unwrap()), before);
}

fn masks_cannot_be_taken_off() {
    let sandbox = probe();
    // Not even root with the capability to mount, which Docker gives on request, may unmask /proc …
    expect(
        &sandbox,
        &["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"],
        &[("mount-tmpfs", "ok"), ("unmount:/proc/sys", "ok")],
    );
    // … without it, everything about mounts is refused.
    expect(
        &sandbox,
        &["--security-opt", "seccomp=unconfined"],
        &[("mount-tmpfs", "EPERM"), ("unmount:/proc/sys", "EPERM"), ("remount-rw:/proc/sys", "EPERM")],
    );
}

fn limits_and_keyrings_are_separate() {
    // The id maps are closed: nothing of the host's beyond the user's own ids is mapped.
    let found = status(&probe(), &[]);
    let map = found["uid_map"].as_str().unwrap();
    let total: u64 =
        map.lines().map(|line| line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap()).sum();
    assert!(total < 1 << 32, "{map}");
    let level = if host::subids().is_some() { 65536 } else { 1 };
    assert!(total >= level, "{map}");
}
