//! Devices by what they are: `--gpus` and CDI files. There need not be any: the files that the tests write name
//! nodes that every machine has.

use serde_json::json;

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    a_cdi_file_brings_nodes_mounts_and_variables,
    gpus_come_by_cdi_files,
    hooks_of_cdi_files_are_run,
    what_is_not_there_is_told,
];

fn with_cdi(name: &str, text: &str) -> Sandbox {
    let sandbox = Sandbox::new().busybox();
    sandbox.directory("../config/cdi");
    sandbox.file(&format!("../config/cdi/{name}"), text);
    sandbox
}

fn a_cdi_file_brings_nodes_mounts_and_variables() {
    let sandbox = Sandbox::new().busybox();
    let hosts = sandbox.file("vendor.conf", "by the vendor\n");
    let spec = json!({
        "cdiVersion": "0.6.0",
        "kind": "vendor.com/net",
        "containerEdits": { "env": ["ALL=yes"] },
        "devices": [{ "name": "one", "containerEdits": {
            "env": ["ONE=1"],
            "deviceNodes": [{ "path": "/dev/vendor0", "hostPath": "/dev/null" }],
            "mounts": [{ "hostPath": hosts, "containerPath": "/etc/vendor.conf", "options": ["ro", "bind"] }],
        }}],
    });
    sandbox.directory("../config/cdi");
    sandbox.file("../config/cdi/vendor.json", spec.to_string());
    let script = "echo $ALL $ONE; cat /etc/vendor.conf; echo x >/dev/vendor0 && test -c /dev/vendor0 && echo device; \
                  echo y >/etc/vendor.conf";
    let run = [
        "run",
        "--name",
        "dev",
        "--network",
        "none",
        "--device",
        "vendor.com/net=one",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    let outcome = sandbox.run(run);
    outcome.code(1).stdout("yes 1\nby the vendor\ndevice\n").stderr_contains("Read-only file system");
    let requests = sandbox.run(["inspect", "-f", "{{json .HostConfig.DeviceRequests}}", "dev"]).json();
    assert_eq!(requests[0]["Driver"], "cdi");
    assert_eq!(requests[0]["DeviceIDs"], json!(["vendor.com/net=one"]));
    // Found out anew at every start.
    sandbox.file("../config/cdi/vendor.json", spec.to_string().replace("ONE=1", "ONE=2"));
    sandbox.run(["start", "-a", "dev"]).stdout_contains("yes 2\n");
}

fn gpus_come_by_cdi_files() {
    let file = "---\ncdiVersion: \"0.6.0\"\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits:\n    \
                deviceNodes:\n    - path: /dev/gpu0\n      hostPath: /dev/zero\n- name: \"1\"\n  containerEdits:\n    \
                deviceNodes:\n    - path: /dev/gpu1\n      hostPath: /dev/zero\n- name: all\n";
    let sandbox = with_cdi("nvidia.yaml", file);
    let seen = |gpus: &str| {
        let list = "ls /dev | grep gpu | tr '\\n' ' '";
        sandbox.run(["run", "--rm", "--network", "none", "--gpus", gpus, "busybox", "sh", "-c", list])
    };
    seen("all").success().stdout("gpu0 gpu1 ");
    seen("1").success().stdout("gpu0 ");
    seen("device=1").success().stdout("gpu1 ");
    seen("3").code(125).stderr_contains("3 GPUs are asked for, and of nvidia there are 2");
    seen("device=7").code(125).stderr_contains("unknown device \"7\"");
}

/// A hook as vendors write them: it finds the container's files by the state that it reads.
const HOOK: &str = r#"#!/bin/sh
state=$(cat)
value() { tr -d ' \n' | sed -n "s/.*$1\":\"\([^\"]*\)\".*/\1/p"; }
bundle=$(echo "$state" | value '"bundle')
root=$(value '"root":{"path' <"$bundle/config.json")
echo "$1 $(echo "$state" | value '"status') $WHO" >>"$LOG"
case $1 in
    link) ln -s /etc/passwd "$root/linked" && test -e "$root/bin/busybox" ;;
    fail) echo "no driver is loaded" >&2; exit 4 ;;
    slow) exec sleep 100 ;;
esac
"#;

fn hooks_of_cdi_files_are_run() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = Sandbox::new().busybox();
    let log = sandbox.file("log", "");
    let path = sandbox.file("hook", HOOK);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let hook = |point: &str, word: &str| {
        let env = [format!("LOG={log}"), "WHO=me".to_owned()];
        json!({ "hookName": point, "path": path, "args": ["hook", word], "env": env, "timeout": 1 })
    };
    let inside = json!({ "hookName": "startContainer", "path": "/bin/busybox", "args": ["touch", "/begun"] });
    let good = [
        hook("createContainer", "link"),
        hook("createRuntime", "second"),
        hook("prestart", "first"),
        inside,
        hook("poststart", "runs"),
        hook("poststop", "ended"),
    ];
    let device = |name: &str, hooks: &[serde_json::Value]| json!({ "name": name, "containerEdits": { "hooks": hooks } });
    let spec = json!({ "cdiVersion": "0.6.0", "kind": "vendor.com/net", "devices": [
        device("good", &good),
        device("fail", &[hook("createContainer", "fail"), hook("poststop", "ended")]),
        device("slow", &[hook("createRuntime", "slow")]),
        device("late", &[hook("poststart", "fail")]),
        device("odd", &[hook("sometime", "x")]),
    ]});
    sandbox.directory("../config/cdi");
    sandbox.file("../config/cdi/vendor.json", spec.to_string());
    let run = |name: &str, script: &str| {
        let device = format!("vendor.com/net={name}");
        sandbox.run(["run", "--rm", "--network", "none", "--device", &device, "busybox", "sh", "-c", script])
    };
    let seen = || {
        let text = std::fs::read_to_string(&log).unwrap();
        std::fs::write(&log, "").unwrap();
        text
    };
    run("good", "readlink /linked; ls /begun").stdout("/etc/passwd\n/begun\n").success();
    assert_eq!(
        seen(),
        "first created me\nsecond created me\nlink created me\nruns running me\nended stopped me\n"
    );
    run("fail", "echo never")
        .code(125)
        .stdout("")
        .stderr_contains(&format!("run createContainer hook {path}: exit status: 4: no driver is loaded"));
    assert_eq!(seen(), "fail created me\nended stopped me\n");
    run("slow", "echo never").code(125).stdout("").stderr_contains("it was killed after 1 s");
    run("late", "sleep 1000")
        .code(125)
        .stderr_contains(&format!("run poststart hook {path}: exit status: 4"));
    run("odd", "true")
        .code(125)
        .stderr_contains("CDI device vendor.com/net=odd: there is no hook \"sometime\"");
    sandbox.run(["ps", "-aq"]).stdout("").success();
}

fn what_is_not_there_is_told() {
    let sandbox = with_cdi("broken.json", "{");
    let run = |flags: [&str; 2]| {
        sandbox.run([&["run", "--rm", "--network", "none"][..], &flags, &["busybox", "true"]].concat())
    };
    run(["--device", "vendor.com/net=one"]).code(125).stderr_contains("broken.json");
    sandbox.file("../config/cdi/broken.json", "{\"kind\":\"x.y/z\"}");
    let text = "CDI device injection failed: unresolvable CDI devices vendor.com/net=one";
    run(["--device", "vendor.com/net=one"]).code(125).stderr_contains(text);
    let outcome = run(["--gpus", "driver=amd,count=99"]);
    outcome.code(125);
    let text = outcome.error_text();
    let known =
        ["could not select device driver \"amd\" with capabilities: [[gpu]]", "99 GPUs are asked for"];
    assert!(known.iter().any(|known| text.contains(known)), "{text}");
    run(["--gpus", "some"]).code(125).stderr_contains(
        "invalid argument \"some\" for \"--gpus\" flag: invalid count (some): value must be either \"all\" or an integer",
    );
}
