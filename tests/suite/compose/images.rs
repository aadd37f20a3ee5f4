//! The images of services: built with everything that their sections say, pushed, pulled when they should be.

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};
use crate::support::registry::Registry;

pub(crate) const TESTS: &[Test] = tests![
    builds_what_sections_say,
    prints_a_bake_file_and_checks,
    pushes_and_pulls_by_policy,
    names_keys_without_effect,
    gives_devices_by_what_they_are,
];

const BUILT: &str = "services:
  web:
    build:
      context: ./web
      args: {A: file}
      target: two
      additional_contexts: {base: 'service:base', extra: ./extra}
      secrets: [tok, {source: var, target: other}]
      extra_hosts: ['db.local=1.2.3.4']
      ulimits: {nofile: {soft: 500, hard: 600}}
      shm_size: 16m
      labels: {mine: yes}
      tags: ['localhost/web:t']
    command: cat /said
  base: {build: {dockerfile_inline: \"FROM busybox\\nRUN echo base > /base\"}}
secrets:
  tok: {file: ./tok}
  var: {environment: SECRET}
";

fn sources() -> Sandbox {
    let sandbox = Sandbox::new().busybox();
    sandbox.file("compose.yaml", format!("name: p\n{BUILT}"));
    sandbox.directory("web");
    sandbox.directory("extra");
    sandbox.file("extra/f", "extra\n");
    sandbox.file("tok", "token\n");
    sandbox.file(
        "web/Dockerfile",
        "FROM base AS two\nARG A\nARG B\nRUN --mount=type=secret,id=tok --mount=type=secret,id=other cat /base \
         /run/secrets/tok /run/secrets/other > /said; echo; echo $A $B >> /said; grep db.local /etc/hosts >> /said; \
         ulimit -n >> /said; df /dev/shm | grep -c 16384 >> /said\nCOPY --from=extra f /f\nRUN cat /f >> /said\n\
         FROM two\nRUN false\n",
    );
    sandbox
}

fn builds_what_sections_say() {
    let sandbox = sources();
    let build = ["compose", "build", "--quiet", "--build-arg", "B=flag", "web"];
    sandbox
        .command(build)
        .run()
        .code(1)
        .stderr_contains("\"SECRET\" required by build secret \"var\" is not set");
    sandbox.command(build).env("SECRET", "hidden\n").run().success().stdout("").stderr("");
    let run = ["compose", "run", "--rm", "--no-deps", "web"];
    sandbox
        .command(run)
        .env("SECRET", "")
        .run()
        .success()
        .stdout("base\ntoken\nhidden\nfile flag\n1.2.3.4\tdb.local\n500\n1\nextra\n");
    let labels = "{{index .Config.Labels \"mine\"}} {{index .Config.Labels \"com.docker.compose.service\"}}";
    sandbox.run(["inspect", "-f", labels, "localhost/web:t"]).stdout("yes web\n");
    sandbox
        .file("compose.yaml", "name: p\nservices: {a: {build: {additional_contexts: {x: 'service:a'}}}}\n");
    sandbox.run(["compose", "build"]).code(1).stderr_contains("services are built upon each other: a -> a");
}

fn prints_a_bake_file_and_checks() {
    let sandbox = sources();
    let printed = sandbox.command(["compose", "build", "--print"]).env("SECRET", "").run();
    let printed = printed.success().json();
    let web = &printed["target"]["web"];
    assert_eq!(web["contexts"]["base"], "target:base");
    assert_eq!(web["tags"], serde_json::json!(["p-web", "localhost/web:t"]));
    assert_eq!(web["ulimits"][0], "nofile=500:600");
    assert_eq!(printed["group"]["default"]["targets"], serde_json::json!(["base", "web"]));
    sandbox.file("web/Dockerfile", "FROM busybox AS two\nCMD echo shell\n");
    let check = sandbox.command(["compose", "build", "--check", "web"]).env("SECRET", "").run();
    check.code(1).stdout_contains("JSONArgsRecommended");
    sandbox.run(["images", "-q", "p-web"]).stdout("");
}

fn pushes_and_pulls_by_policy() {
    let registry = Registry::start();
    let host = registry.host();
    let sandbox = Sandbox::new().busybox();
    let file = |policy: &str| {
        let service = "command: sleep 1000, stop_grace_period: 0s, pull_policy";
        sandbox.file(
            "compose.yaml",
            format!(
                "name: p\nservices:\n  a: {{image: '{host}/a:1', {service}: {policy}}}\n  b: {{image: '{host}/b:1', \
                 {service}: {policy}}}\n"
            ),
        );
    };
    sandbox.file(
        "make.yaml",
        format!(
            "name: p\nservices:\n  a: {{image: '{host}/a:1', build: {{dockerfile_inline: FROM busybox, tags: \
             ['{host}/a:2']}}}}\n  b: {{image: '{host}/b:1', build: {{dockerfile_inline: FROM busybox}}}}\n  c: \
             {{build: .}}\n"
        ),
    );
    sandbox.run(["compose", "-f", "make.yaml", "build", "-q", "a", "b"]).success();
    let pushed = sandbox.run(["compose", "-f", "make.yaml", "push"]);
    pushed.success().stderr_contains(" c  Skipped").stderr_contains(" b  Pushed");
    assert!(registry.manifest_of("a", "2").is_some() && registry.manifest_of("b", "1").is_some());
    for name in ["a:1", "a:2", "b:1"] {
        sandbox.run(["rmi", &format!("{host}/{name}")]).success();
    }
    file("never");
    sandbox.run(["compose", "up", "-d"]).code(1).stderr_contains(&format!("No such image: {host}/a:1"));
    sandbox.run(["compose", "pull"]).success().stderr_contains(" a  Skipped");
    file("missing");
    let up = || {
        let outcome = sandbox.run(["compose", "up", "-d"]);
        outcome.success();
        outcome.error_text().matches("Pulled").count()
    };
    assert_eq!([up(), up()], [2, 0]);
    for (policy, pulls) in [("weekly", 0), ("every_1h", 0), ("every_0s", 2), ("always", 2)] {
        file(policy);
        assert_eq!(up(), pulls, "{policy}");
    }
    sandbox.run(["compose", "up", "-d", "--pull", "never"]).success();
    let pull = |words: &[&str]| sandbox.run([&["compose", "pull"], words].concat());
    pull(&["--policy", "missing"]).success().stderr_contains("a  Skipped - Image is already present locally");
    sandbox.file("compose.yaml", format!("name: p\nservices: {{a: {{image: '{host}/gone:1'}}}}\n"));
    pull(&[]).code(1).stderr_contains("manifest unknown");
    pull(&["--ignore-pull-failures"]).success().stderr_contains("manifest unknown");
    sandbox.run(["compose", "down", "--remove-orphans"]).success();
}

fn names_keys_without_effect() {
    let sandbox = Sandbox::new().busybox();
    sandbox.file(
        "compose.yaml",
        "name: p\nservices:\n  a:\n    image: busybox\n    command: 'true'\n    cpu_count: 1\n    cpu_rt_runtime: 5ms\n    \
         credential_spec: {file: x}\n    device_cgroup_rules: ['c 1:3 mr']\n    isolation: hyperv\n    runtime: other\n    \
         storage_opt: {size: 1G}\n    use_api_socket: true\n    volume_driver: nfs\n    deploy: {placement: \
         {constraints: [a]}, update_config: {parallelism: 1}, endpoint_mode: vip, mode: global}\n    logging: {driver: \
         syslog}\nnetworks: {default: {ipam: {options: {a: b}}}}\n",
    );
    let outcome = sandbox.run(["compose", "up", "-d"]);
    outcome.success();
    let told = outcome.error_text();
    for key in [
        "cpu_count",
        "cpu_rt_runtime",
        "credential_spec",
        "device_cgroup_rules",
        "isolation",
        "runtime",
        "storage_opt",
        "use_api_socket",
        "volume_driver",
        "deploy.placement",
        "deploy.update_config",
        "deploy.endpoint_mode",
        "deploy.mode",
        "logging.driver",
    ] {
        let of_key = |line: &&str| line.contains(&format!("services.a.{key} "));
        assert_eq!(told.lines().filter(of_key).count(), 1, "{key}: {told}");
    }
    outcome.stderr_contains("networks.default.ipam.options has no effect");
    sandbox.run(["compose", "down"]).success();
}

fn gives_devices_by_what_they_are() {
    let sandbox = Sandbox::new().busybox();
    let spec = "{\"cdiVersion\": \"0.6.0\", \"kind\": \"nvidia.com/gpu\", \"devices\": [{\"name\": \"0\", \
                \"containerEdits\": {\"env\": [\"GPU=zero\"]}}, {\"name\": \"1\", \"containerEdits\": {\"env\": \
                [\"GPU=one\"]}}]}";
    sandbox.directory("../config/cdi");
    sandbox.file("../config/cdi/gpu.json", spec);
    for (section, seen) in [
        ("gpus: all", "one"),
        ("gpus: [{driver: nvidia, count: 1}]", "zero"),
        ("deploy: {resources: {reservations: {devices: [{device_ids: ['1'], capabilities: [gpu]}]}}}", "one"),
        ("devices: ['nvidia.com/gpu=0']", "zero"),
    ] {
        sandbox.file(
            "compose.yaml",
            format!("name: p\nservices:\n  a:\n    image: busybox\n    command: sh -c 'echo $$GPU'\n    {section}\n"),
        );
        sandbox.run(["compose", "run", "--rm", "a"]).success().stdout(&format!("{seen}\n"));
    }
    sandbox.file(
        "compose.yaml",
        "name: p\nservices: {a: {image: busybox, deploy: {resources: {reservations: {devices: [{count: 3, capabilities: \
         [gpu]}]}}}}}\n",
    );
    sandbox.run(["compose", "up", "-d"]).code(1).stderr_contains("3 GPUs are asked for");
    sandbox.run(["compose", "down"]).success();
}
