//! Projects as they live: brought up in order, changed, and taken down.

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    comes_up_in_order_and_goes_down,
    changes_only_what_has_changed,
    scales_and_removes_orphans,
    keeps_data_until_volumes_go,
    mounts_images_and_memory,
    a_failing_dependency_stops_what_needs_it,
    runs_commands_of_its_own,
    says_what_it_would_do,
    mends_what_a_kill_has_left,
    restarts_what_follows,
    names_as_the_first_compose_did,
    balances_by_name,
    runs_hooks,
    stops_at_an_interrupt_and_kills_at_the_second,
    a_database_survives_down,
];

const CHAIN: &str = "services:\n  web:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n    depends_on:\n      \
                     db: {condition: service_healthy}\n      init: {condition: service_completed_successfully}\n  db:\n    image: busybox\n    \
                     command: sh -c 'touch /data/ready; sleep 1000'\n    stop_grace_period: 0s\n    volumes: ['data:/data', '/anon']\n    \
                     healthcheck: {test: [CMD, test, -e, /data/ready], interval: 100ms, retries: 50}\n  init:\n    image: busybox\n    \
                     command: sh -c 'echo done'\nvolumes: {data: }\n";

fn project(text: &str) -> Sandbox {
    let sandbox = Sandbox::new().busybox();
    sandbox.file("compose.yaml", format!("name: p\n{text}"));
    sandbox
}

fn line_of(text: &str, wanted: &str) -> usize {
    text.lines().position(|line| line.trim() == wanted).unwrap_or_else(|| panic!("no {wanted:?} in\n{text}"))
}

fn comes_up_in_order_and_goes_down() {
    let sandbox = project(CHAIN);
    let outcome = sandbox.run(["compose", "up", "-d"]);
    outcome.success();
    let told = outcome.error_text();
    let web = line_of(&told, "Container p-web-1  Starting");
    assert!(line_of(&told, "Container p-db-1  Healthy") < web, "{told}");
    assert!(line_of(&told, "Container p-init-1  Exited") < web, "{told}");
    sandbox.run(["compose", "ps", "--services"]).success().stdout("db\nweb\n");
    sandbox.run(["compose", "logs", "init"]).success().stdout("init-1  | done\n");
    sandbox.run(["compose", "exec", "-T", "web", "nslookup", "db"]).success();
    let label = "{{index .Config.Labels \"com.docker.compose.service\"}}";
    sandbox.run(["inspect", "-f", label, "p-web-1"]).stdout("web\n");
    sandbox.run(["compose", "ls", "-q"]).success().stdout("p\n");
    let events = ["compose", "events", "--json", "--since", "10m", "--until", "0s", "web"];
    let events: Vec<serde_json::Value> = sandbox
        .run(events)
        .success()
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &serde_json::Value| event["action"] == "start")
        .collect();
    assert_eq!((events.len(), &events[0]["service"]), (1, &"web".into()));
    assert_eq!(events[0]["attributes"], serde_json::json!({"image": "busybox", "name": "p-web-1"}));
    sandbox.run(["compose", "down"]).success();
    sandbox.run(["ps", "-aq"]).stdout("");
    sandbox.run(["network", "ls", "-q", "--filter", "name=p_default"]).stdout("");
    sandbox.expect_no_process();
}

fn changes_only_what_has_changed() {
    let sandbox = project(CHAIN);
    sandbox.run(["compose", "up", "-d"]).success();
    let ids = || sandbox.run(["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}}"]).lines();
    let volumes = || sandbox.run(["volume", "ls", "-q"]).lines();
    let (before, anonymous) = (ids(), volumes());
    let again = sandbox.run(["compose", "up", "-d"]);
    again.success();
    assert_eq!(ids(), before);
    assert!(!again.error_text().contains("Created"), "{}", again.error_text());
    // A change of one service makes that one anew, and it keeps its volumes.
    sandbox.file(
        "compose.yaml",
        format!("name: p\n{}", CHAIN.replace("    healthcheck", "    environment: [A=1]\n    healthcheck")),
    );
    sandbox.run(["compose", "up", "-d"]).success();
    let after = ids();
    let same = |name: &str| before.iter().any(|line| line.starts_with(name) && after.contains(line));
    assert!(same("p-web-1 ") && same("p-init-1 ") && !same("p-db-1 "), "{before:?} {after:?}");
    assert_eq!(after.len(), 3);
    assert_eq!(volumes(), anonymous);
    sandbox.run(["compose", "up", "-d", "--force-recreate", "--no-deps", "web"]).success();
    assert!(!ids().iter().any(|line| line.starts_with("p-web-1 ") && before.contains(line)));
    sandbox.run(["compose", "down", "-v"]).success();
}

fn scales_and_removes_orphans() {
    let sandbox = project("services:\n  a: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    sandbox.run(["compose", "up", "-d", "--scale", "a=3"]).success();
    sandbox.run(["ps", "--format", "{{.Names}}"]).stdout("p-a-3\np-a-2\np-a-1\n");
    sandbox.run(["compose", "up", "-d", "--scale", "a=1"]).success();
    sandbox.run(["ps", "-a", "--format", "{{.Names}}"]).stdout("p-a-1\n");
    sandbox.file(
        "compose.yaml",
        "name: p\nservices:\n  b: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n",
    );
    sandbox.run(["compose", "up", "-d"]).success().stderr_contains("Found orphan containers ([p-a-1])");
    sandbox.run(["compose", "up", "-d", "--remove-orphans"]).success();
    sandbox.run(["ps", "-a", "--format", "{{.Names}}"]).stdout("p-b-1\n");
    sandbox.run(["compose", "stop"]).success();
    sandbox.run(["compose", "rm", "-f"]).success();
    sandbox.run(["ps", "-aq"]).stdout("");
    sandbox.run(["compose", "down"]).success();
}

fn keeps_data_until_volumes_go() {
    let sandbox = project(
        "services:\n  a: {image: busybox, command: sh -c 'cat /d/x; echo kept > /d/x; sleep 1000', stop_grace_period: 0s, \
         volumes: ['d:/d']}\nvolumes: {d: }\n",
    );
    sandbox.run(["compose", "up", "-d", "--wait"]).success();
    sandbox.run(["compose", "down"]).success();
    sandbox.run(["compose", "up", "-d"]).success();
    sandbox.wait_for_log("p-a-1", "kept");
    sandbox.run(["compose", "down", "--volumes"]).success();
    sandbox.run(["volume", "ls", "-q"]).stdout("");
}

fn mounts_images_and_memory() {
    let sandbox = project(
        "services:\n  a:\n    image: busybox\n    network_mode: none\n    command: sh -c 'cat /t/name /one; stat -c %a /mem'\n    \
         volumes:\n      - {type: image, source: tool, target: /t, image: {subpath: opt}}\n      \
         - {type: image, source: tool, target: /one, image: {subpath: opt/name}}\n      - mem:/mem\n      \
         - {type: volume, target: /anon, volume: {labels: {k: v}}}\n\
         volumes: {mem: {driver_opts: {type: tmpfs, device: tmpfs, o: 'mode=700'}}}\n",
    )
    .image("tool", |layer| layer.file("/opt/name", "tool\n"));
    sandbox.run(["compose", "up"]).success().stdout_contains("a-1  | tool\na-1  | tool\na-1  | 700\n");
    let of_mount = "{{range .Mounts}}{{if eq .Destination \"/anon\"}}{{.Name}}{{end}}{{end}}";
    let name = sandbox.run(["inspect", "-f", of_mount, "p-a-1"]).text();
    sandbox.run(["volume", "inspect", "-f", "{{.Labels.k}}", &name]).stdout("v\n").success();
    sandbox.run(["rmi", "tool"]).code(1).stderr_contains("container");
    sandbox.run(["compose", "down", "-v"]).success();
    sandbox.run(["rmi", "tool"]).success();
}

fn a_failing_dependency_stops_what_needs_it() {
    let sandbox = project(
        "services:\n  web: {image: busybox, command: sleep 1000, depends_on: {init: {condition: \
         service_completed_successfully}}}\n  init: {image: busybox, command: sh -c 'exit 3'}\n",
    );
    let outcome = sandbox.run(["compose", "up", "-d"]);
    outcome.code(1).stderr_contains("service \"init\" didn't complete successfully: exit 3");
    assert_eq!(sandbox.status_of("p-web-1"), "created");
    sandbox.run(["compose", "down"]).success();
}

fn runs_commands_of_its_own() {
    let sandbox = project(
        "services:\n  a: {image: busybox, command: echo service, environment: [V=own], depends_on: [b]}\n  b: {image: \
         busybox, command: sleep 1000, stop_grace_period: 0s}\n",
    );
    sandbox.run(["compose", "run", "--rm", "a", "sh", "-c", "echo $V; exit 7"]).code(7).stdout("own\n");
    sandbox.run(["ps", "-a", "--format", "{{.Names}}"]).stdout("p-b-1\n");
    sandbox
        .run(["compose", "up", "--no-log-prefix", "--exit-code-from", "a"])
        .success()
        .stdout_contains("service\n");
    sandbox.run(["compose", "down"]).success();
    sandbox.run(["ps", "-aq"]).stdout("");
}

fn names_as_the_first_compose_did() {
    let sandbox = project("services:\n  a: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    sandbox.run(["compose", "--compatibility", "up", "-d", "--scale", "a=2"]).success();
    sandbox.run(["ps", "--format", "{{.Names}}"]).stdout("p_a_2\np_a_1\n");
    sandbox.command(["compose", "up", "-d"]).env("COMPOSE_COMPATIBILITY", "true").run().success();
    sandbox.run(["ps", "--format", "{{.Names}}"]).stdout("p_a_1\n");
    sandbox.run(["compose", "down"]).success();
}

fn says_what_it_would_do() {
    let sandbox = project(CHAIN);
    sandbox
        .run(["compose", "--dry-run", "up", "-d"])
        .success()
        .stderr_contains("DRY-RUN MODE -  Container p-web-1  Created");
    sandbox.run(["ps", "-aq"]).stdout("");
    sandbox.run(["network", "ls", "-q", "--filter", "name=p_"]).stdout("");
    sandbox.run(["volume", "ls", "-q"]).stdout("");
}

fn mends_what_a_kill_has_left() {
    let sandbox = project("services:\n  a: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n");
    sandbox.run(["compose", "up", "-d"]).success();
    // As a command leaves it that is killed between two steps of a replacement.
    let id = sandbox.run(["ps", "-q", "--no-trunc"]).text();
    let aside = format!("{}_p-a-1", &id.trim()[..12]);
    sandbox.run(["stop", "p-a-1"]).success();
    sandbox.run(["rename", "p-a-1", &aside]).success();
    sandbox.run(["compose", "up", "-d"]).success();
    sandbox.run(["ps", "-a", "--format", "{{.Names}}"]).stdout("p-a-1\n");
    sandbox.run(["compose", "down"]).success();
    sandbox.run(["ps", "-aq"]).stdout("");
}

fn restarts_what_follows() {
    let service = "    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n";
    let after = |other: &str, restart: bool| {
        format!("    depends_on: {{{other}: {{condition: service_started, restart: {restart}}}}}\n")
    };
    let sandbox = project(&format!(
        "services:\n  a:\n{service}  b:\n{service}{}  c:\n{service}{}  d:\n{service}{}",
        after("a", true),
        after("b", true),
        after("a", false)
    ));
    sandbox.run(["compose", "up", "-d"]).success();
    let pids = || ["a", "b", "c", "d"].map(|name| sandbox.pid_of(&format!("p-{name}-1")));
    let changed = |before: &[_; 4], now: &[_; 4]| -> Vec<bool> {
        before.iter().zip(now).map(|(before, now)| before != now).collect()
    };
    let first = pids();
    sandbox.run(["compose", "restart", "--no-deps", "a"]).success();
    let second = pids();
    assert_eq!(changed(&first, &second), [true, false, false, false]);
    sandbox.run(["compose", "restart", "a"]).success();
    assert_eq!(changed(&second, &pids()), [true, true, true, false]);
    sandbox.run(["compose", "up", "--menu"]).code(1).stderr_contains("there is no menu");
    sandbox.file("compose.yaml", format!("name: p\nservices:\n  a:\n{service}"));
    sandbox.run(["compose", "kill"]).success();
    sandbox.run(["ps", "--format", "{{.Names}}"]).stdout("p-d-1\np-c-1\np-b-1\n");
    sandbox.run(["compose", "kill", "--remove-orphans"]).success();
    sandbox.run(["ps", "-q"]).stdout("");
}

fn balances_by_name() {
    let sandbox = project(
        "services:\n  web: {image: busybox, command: sh -c 'mkdir /w; hostname > /w/index.html; exec httpd -f -p 80 -h /w', \
         stop_grace_period: 0s}\n  c: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n",
    );
    sandbox.run(["compose", "up", "-d", "--scale", "web=3"]).success();
    let ask = "for i in 1 2 3 4 5 6; do until wget -qO- http://web/ 2>/dev/null; do sleep 0.1; done; done";
    let answers = sandbox.run(["compose", "exec", "-T", "c", "sh", "-c", ask]).success().lines();
    let each: std::collections::BTreeSet<&String> = answers.iter().collect();
    assert_eq!((answers.len(), each.len()), (6, 3), "{answers:?}");
    sandbox.run(["compose", "down"]).success();
}

fn runs_hooks() {
    let sandbox = project(
        "services:\n  a:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n    volumes: ['./d:/d']\n    \
         post_start: [{command: sh -c 'echo start $$X >> /d/log', environment: [X=1]}]\n    pre_stop: [{command: sh -c 'echo \
         stop >> /d/log'}]\n",
    );
    sandbox.directory("d");
    sandbox.run(["compose", "up", "-d"]).success();
    let log = || std::fs::read_to_string(sandbox.work().join("d/log")).unwrap();
    assert_eq!(log(), "start 1\n");
    sandbox.run(["compose", "restart"]).success();
    sandbox.run(["compose", "stop"]).success();
    assert_eq!(log(), "start 1\nstop\nstart 1\nstop\n");
    sandbox.run(["compose", "down"]).success();
}

fn stops_at_an_interrupt_and_kills_at_the_second() {
    let deaf = "sh -c 'trap \"\" TERM; echo deaf; while :; do sleep 1; done'";
    let sandbox = project(&format!(
        "services:\n  a: {{image: busybox, command: sleep 1000, init: true}}\n  b:\n    image: busybox\n    command: {deaf}\n    \
         stop_grace_period: 10m\n"
    ));
    let up = sandbox.command(["compose", "up"]).spawn();
    up.wait_for("b-1  | deaf");
    up.signal(nix::sys::signal::Signal::SIGINT);
    up.wait_for("a-1 exited with code 143");
    assert_eq!(sandbox.status_of("p-b-1"), "running");
    up.signal(nix::sys::signal::Signal::SIGINT);
    up.wait().code(130).stdout_contains("b-1 exited with code 137");
    sandbox.run(["compose", "down"]).success();
    sandbox.expect_no_process();
}

fn a_database_survives_down() {
    let sandbox = project(
        "services:\n  db:\n    image: busybox\n    command: sh -c 'touch /data/rows; exec nc -ll -p 5432 -e tee -a /data/rows'\n    stop_grace_period: 0s\n    volumes: ['data:/data']\n    healthcheck: {test: [CMD, test, -e, \
         /data/rows], interval: 100ms, retries: 50}\n  web:\n    image: busybox\n    command: sh -c 'echo row | nc db 5432; sleep 1000'\n    stop_grace_period: 0s\n    depends_on: {db: {condition: service_healthy}}\nvolumes: {data: \
         }\n",
    );
    let rows = |wanted: usize| {
        let count = format!("until [ $(wc -l < /data/rows) = {wanted} ]; do sleep 0.1; done");
        sandbox.run(["compose", "exec", "-T", "db", "timeout", "30", "sh", "-c", &count]).success();
    };
    for round in 1..=2 {
        sandbox.run(["compose", "up", "-d"]).success();
        rows(round);
        sandbox.run(["compose", "down"]).success();
    }
    sandbox.run(["compose", "down", "-v"]).success();
    sandbox.run(["compose", "up", "-d"]).success();
    rows(1);
    sandbox.run(["compose", "down", "-v"]).success();
    sandbox.run(["volume", "ls", "-q"]).stdout("");
}
