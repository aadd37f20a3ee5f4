//! `inspect` and `--format`: what scripts read.

use serde_json::{Value, json};

use crate::support::harness::{Test, tests};
use crate::support::{Image, Sandbox};

pub(crate) const TESTS: &[Test] = tests![
    a_container_has_dockers_keys,
    says_what_was_asked_for,
    an_image_has_dockers_keys,
    templates_are_gos,
    finds_either_kind,
    absent_objects_are_errors,
    version_and_info_have_what_tools_read,
];

fn a_container_has_dockers_keys() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    let found = &sandbox.run(["inspect", "cc"]).success().json()[0];
    has_keys(
        found,
        "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver \
         Platform MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig Mounts Config NetworkSettings",
    );
    has_keys(
        &found["State"],
        "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt",
    );
    has_keys(
        &found["HostConfig"],
        "Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver \
         VolumesFrom CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links \
         OomScoreAdj PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt UTSMode UsernsMode ShmSize \
         Runtime Isolation MaskedPaths ReadonlyPaths Memory NanoCpus",
    );
    has_keys(
        &found["Config"],
        "Hostname Domainname User AttachStdin AttachStdout AttachStderr Tty OpenStdin StdinOnce Env Cmd Image \
         Volumes WorkingDir Entrypoint Labels",
    );
    has_keys(&found["NetworkSettings"], "Networks Ports IPAddress");
    assert_eq!(found["Name"], "/cc");
    assert_eq!(found["Path"], "sleep");
    assert_eq!(found["Args"], json!(["1000"]));
    assert_eq!(found["State"]["Running"], true);
    assert_eq!(found["State"]["Status"], "running");
    assert_eq!(found["State"]["FinishedAt"], "0001-01-01T00:00:00Z");
    let pid = found["State"]["Pid"].as_i64().unwrap();
    assert_eq!(
        crate::support::process::command_line(pid.try_into().unwrap()),
        "sleep 1000",
        "the pid is the one of the host"
    );
    found["Created"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(found["Image"].as_str().unwrap().starts_with("sha256:"));
}

#[track_caller]
fn has_keys(value: &Value, keys: &str) {
    let missing: Vec<_> = keys.split_whitespace().filter(|key| value.get(key).is_none()).collect();
    assert!(missing.is_empty(), "missing {missing:?} in {value:#}");
}

fn says_what_was_asked_for() {
    let sandbox = Sandbox::new().busybox();
    let source = sandbox.directory("source");
    let bind = format!("{source}:/mnt:ro");
    sandbox
        .run([
            "create",
            "--name",
            "cc",
            "-t",
            "-i",
            "-e",
            "A=1",
            "-w",
            "/tmp",
            "-u",
            "1000:1000",
            "--hostname",
            "boat",
            "--read-only",
            "--init",
            "-v",
            &bind,
            "-v",
            "vol:/vol",
            "--tmpfs",
            "/scratch:size=1m",
            "--cap-add",
            "net_admin",
            "--cap-drop",
            "CHOWN",
            "--security-opt",
            "no-new-privileges",
            "--ulimit",
            "nofile=10:20",
            "--shm-size",
            "1m",
            "--sysctl",
            "net.ipv4.ip_forward=1",
            "--add-host",
            "db:10.0.0.1",
            "--stop-signal",
            "SIGINT",
            "--stop-timeout",
            "3",
            "--restart",
            "unless-stopped",
            "--network",
            "none",
            "--entrypoint",
            "sh",
            "busybox",
            "-c",
            "true",
        ])
        .success();
    let found = &sandbox.run(["inspect", "cc"]).success().json()[0];
    let config = &found["Config"];
    assert_eq!(config["Tty"], true);
    assert_eq!(config["OpenStdin"], true);
    assert!(config["Env"].as_array().unwrap().contains(&json!("A=1")));
    assert_eq!(config["WorkingDir"], "/tmp");
    assert_eq!(config["User"], "1000:1000");
    assert_eq!(config["Hostname"], "boat");
    assert_eq!(config["Entrypoint"], json!(["sh"]));
    assert_eq!(config["Cmd"], json!(["-c", "true"]));
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(config["StopTimeout"], 3);
    assert_eq!(config["Image"], "busybox");
    let host = &found["HostConfig"];
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Init"], true);
    assert_eq!(host["Binds"], json!([bind, "vol:/vol"]));
    assert_eq!(host["Tmpfs"], json!({ "/scratch": "size=1m" }));
    assert_eq!(host["CapAdd"], json!(["CAP_NET_ADMIN"]));
    assert_eq!(host["CapDrop"], json!(["CAP_CHOWN"]));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(host["Ulimits"], json!([{ "Name": "nofile", "Hard": 20, "Soft": 10 }]));
    assert_eq!(host["ShmSize"], 1_048_576);
    assert_eq!(host["Sysctls"], json!({ "net.ipv4.ip_forward": "1" }));
    assert_eq!(host["ExtraHosts"], json!(["db:10.0.0.1"]));
    assert_eq!(host["RestartPolicy"], json!({ "Name": "unless-stopped", "MaximumRetryCount": 0 }));
    assert_eq!(host["NetworkMode"], "none");
    let mounts = found["Mounts"].as_array().unwrap();
    let of = |at: &str| mounts.iter().find(|mount| mount["Destination"] == at).unwrap();
    assert_eq!(of("/mnt")["Type"], "bind");
    assert_eq!(of("/mnt")["Source"], source);
    assert_eq!(of("/mnt")["RW"], false);
    assert_eq!(of("/vol")["Type"], "volume");
    assert_eq!(of("/vol")["Name"], "vol");
    assert_eq!(of("/vol")["RW"], true);
}

fn an_image_has_dockers_keys() {
    let image = Image::busybox()
        .config("Labels", json!({ "a.b": "cc" }))
        .config("ExposedPorts", json!({ "80/tcp": {} }))
        .config("Volumes", json!({ "/data": {} }));
    let sandbox = Sandbox::new().with("site/app", &image);
    let found = &sandbox.run(["image", "inspect", "site/app"]).success().json()[0];
    has_keys(found, "Id RepoTags RepoDigests Created Config Architecture Os Size RootFS Metadata");
    assert_eq!(found["Id"], image.id());
    assert_eq!(found["RepoTags"], json!(["site/app:latest"]));
    assert_eq!(found["Architecture"], "amd64");
    assert_eq!(found["RootFS"]["Type"], "layers");
    assert_eq!(found["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    assert_eq!(found["Config"]["Labels"], json!({ "a.b": "cc" }));
    assert_eq!(found["Config"]["ExposedPorts"], json!({ "80/tcp": {} }));
    assert_eq!(found["Config"]["Cmd"], json!(["sh"]));
    sandbox
        .run(["inspect", "-f", "{{index .Config.Labels \"a.b\"}} {{len .RootFS.Layers}}", "site/app"])
        .stdout("cc 1\n")
        .success();
}

fn templates_are_gos() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["create", "--name", "cc", "-l", "x.y=z", "-e", "A=1", "busybox", "echo", "a", "b"])
        .success();
    for (template, expected) in [
        ("{{.Name}}", "/cc"),
        ("{{json .Args}}", r#"["a","b"]"#),
        ("{{index .Config.Labels \"x.y\"}}", "z"),
        ("{{range .Args}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range $i, $a := .Args}}{{$i}}={{$a}} {{end}}", "0=a 1=b"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "down"),
        ("{{join .Args \"+\"}}", "a+b"),
        ("{{.Path | upper}}", "ECHO"),
        ("{{len .Args}} {{index .Args 1}}", "2 b"),
        ("{{with .Config}}{{.Image}}{{end}}", "busybox"),
        ("{{printf \"%s-%d\" .Path .State.ExitCode}}", "echo-0"),
        ("{{.State.ExitCode}}", "0"),
        ("{{and .Path (not .State.Running)}}", "true"),
        ("{{- \"trim\" -}}", "trim"),
        ("{{.Args}}", "[a b]"),
        ("{{if .State.Health}}h{{else}}none{{end}}", "none"),
        ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", ""),
        ("{{.HostConfig.RestartPolicy.Name}}", "no"),
        ("{{eq .State.Status \"created\"}}", "true"),
        ("{{split .Path \"c\"}}", "[e ho]"),
        ("{{slice .Id 0 3 | len}}", "3"),
    ] {
        assert_eq!(
            sandbox.run(["inspect", "--format", template, "cc"]).success().text(),
            expected,
            "{template}"
        );
    }
    sandbox
        .run(["inspect", "-f", "{{.Nosuch}}", "cc"])
        .code(1)
        .stderr_contains("template parsing error")
        .stderr_contains("map has no entry for key \"Nosuch\"");
    sandbox.run(["inspect", "-f", "{{if}}", "cc"]).code(64).stderr_contains("template parsing error");
}

fn finds_either_kind() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["create", "--name", "same", "busybox"]).success();
    sandbox.run(["tag", "busybox", "same"]).success();
    sandbox.run(["inspect", "-f", "{{.Name}}", "same"]).stdout("/same\n").success();
    sandbox.run(["inspect", "--type", "image", "-f", "{{.Os}}", "same"]).stdout("linux\n").success();
    sandbox.run(["inspect", "--type", "container", "busybox"]).code(1).stdout("[]\n");
    sandbox.run(["container", "inspect", "-f", "{{.Name}}", "same"]).stdout("/same\n").success();
}

fn absent_objects_are_errors() {
    let sandbox = Sandbox::new().busybox();
    let outcome = sandbox.run(["inspect", "absent"]);
    outcome.code(1).stdout("[]\n");
    assert!(outcome.error_text().to_lowercase().contains("error: no such object: absent"), "{outcome}");
    sandbox
        .run(["image", "inspect", "absent"])
        .code(1)
        .stdout("[]\n")
        .stderr_contains("No such image: absent");
    sandbox
        .run(["container", "inspect", "absent"])
        .code(1)
        .stdout("[]\n")
        .stderr_contains("No such container: absent");
    // What is found is shown, and the exit code speaks of the rest.
    let outcome = sandbox.run(["inspect", "-f", "{{.Os}}", "busybox", "absent"]);
    outcome.code(1).stdout("linux\n");
}

fn version_and_info_have_what_tools_read() {
    let sandbox = Sandbox::new();
    for template in
        ["{{.Server.Version}}", "{{.Client.Version}}", "{{.Server.APIVersion}}", "{{.Client.APIVersion}}"]
    {
        let version = sandbox.run(["version", "--format", template]).success().text();
        assert!(version.split('.').count() >= 2, "{template}: {version:?}");
    }
    sandbox.run(["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]).stdout("linux/amd64\n");
    sandbox.run(["version"]).success().stdout_contains("Client:").stdout_contains("Server:");
    sandbox.run(["info", "-f", "{{.OSType}} {{.Architecture}}"]).stdout("linux x86_64\n").success();
    sandbox.run(["info", "--format", "{{json .SecurityOptions}}"]).success().stdout_contains("seccomp");
    sandbox.run(["info", "-f", "{{.Runtimes.nvidia}}"]).success();
    let outcome = sandbox.run(["info", "--format", "json"]);
    let found = outcome.success().json();
    has_keys(
        &found,
        "ID Containers ContainersRunning ContainersPaused ContainersStopped Images Driver Name ServerVersion \
         KernelVersion OperatingSystem OSType Architecture NCPU MemTotal",
    );
}
