//! `compose config`: what files mean. The fixtures were printed by docker compose 2.26.

use std::path::Path;

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    prints_what_docker_compose_prints,
    prints_corners_as_docker_compose_does,
    merges_includes_and_extends,
    finds_files_and_variables,
    refuses_bad_files_with_their_place,
    answers_to_docker_compose,
];

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn prints_what_docker_compose_prints() {
    let sandbox = Sandbox::new();
    sandbox.file("compose.yaml", fixture("all.yaml"));
    sandbox.file("a.env", "FOO=bar\n");
    let outcome = sandbox.run(["compose", "--profile", "a", "config"]);
    outcome.success();
    let work = sandbox.work();
    let up = work.parent().unwrap().to_str().unwrap();
    let home = outcome.text();
    let home = home.lines().find(|line| line.ends_with("/x") && line.contains("source: /")).unwrap();
    let home = home.trim().trim_start_matches("source: ").trim_end_matches("/x");
    let expected = fixture("all.config.yaml")
        .replace("@DIR@", work.to_str().unwrap())
        .replace("@UP@", up)
        .replace("@HOME@", home);
    assert_eq!(format!("{}\n", outcome.text()), expected);
    // What is printed means the same.
    sandbox.file("again.yaml", &expected);
    sandbox.run(["compose", "-f", "again.yaml", "--profile", "a", "config"]).success().stdout(&expected);
}

fn prints_corners_as_docker_compose_does() {
    let sandbox = Sandbox::new();
    sandbox.directory("inc");
    sandbox.file("inc/compose.yaml", fixture("corners.included.yaml"));
    let corners = fixture("corners.yaml");
    sandbox.file("compose.yaml", &corners);
    let expected = fixture("corners.config.yaml").replace("@DIR@", sandbox.work().to_str().unwrap());
    sandbox.run(["compose", "config"]).success().stdout(&expected);
    sandbox.file("compose.yaml", corners.replace("platforms: [linux/amd64, ", "platforms: ["));
    sandbox.run(["compose", "config"]).code(15).stderr_contains(
        "service.build.platforms MUST include service.platform \"linux/amd64\": invalid compose project",
    );
}

fn merges_includes_and_extends() {
    let sandbox = Sandbox::new();
    sandbox.directory("lib");
    sandbox.file("lib/.env", "TAG=lib\n");
    sandbox
        .file("lib/compose.yaml", "services:\n  db:\n    image: db:${TAG}\n    volumes: ['./data:/data']\n");
    sandbox.file(
        "base.yaml",
        "services:\n  b:\n    image: base\n    environment: [A=1, B=2]\n    cap_add: [CHOWN]\n",
    );
    sandbox.file(
        "compose.yaml",
        "name: p\ninclude: [lib/compose.yaml]\nservices:\n  web:\n    extends: {file: base.yaml, service: b}\n    \
         environment: {B: 3}\n    command: a b\n    dns: [1.1.1.1]\n",
    );
    sandbox.file(
        "compose.override.yaml",
        "services:\n  web:\n    command: [c]\n    dns: !override [9.9.9.9]\n    cap_add: !reset []\n",
    );
    let lib = sandbox.work().join("lib/data");
    sandbox.run(["compose", "config"]).success().stdout(&format!(
        "name: p\nservices:\n  db:\n    image: db:lib\n    networks:\n      default: null\n    volumes:\n      - type: bind\n        \
         source: {}\n        target: /data\n        bind:\n          create_host_path: true\n  web:\n    command:\n      - c\n    \
         dns:\n      - 9.9.9.9\n    environment:\n      A: \"1\"\n      B: \"3\"\n    image: base\n    networks:\n      \
         default: null\nnetworks:\n  default:\n    name: p_default\n",
        lib.display()
    ));
}

fn finds_files_and_variables() {
    let sandbox = Sandbox::new();
    sandbox.file("docker-compose.yml", "services: {a: {image: 'a:$V'}}\n");
    sandbox.file("other.yml", "services: {b: {image: 'b:$V', profiles: [x]}}\n");
    sandbox.file(".env", "V=file\n");
    sandbox.directory("below");
    let images = |words: &[&str]| {
        let words = [&["compose"], words, &["config", "--images"]].concat();
        sandbox.run(words).success().text()
    };
    assert_eq!(images(&[]), "a:file");
    assert_eq!(images(&["-f", "docker-compose.yml", "-f", "other.yml", "--profile", "x"]), "a:file\nb:file");
    sandbox.command(["compose", "config", "--images"]).env("V", "own").run().stdout("a:own\n");
    let listed = sandbox
        .command(["compose", "config", "--services"])
        .env("COMPOSE_FILE", "docker-compose.yml:other.yml");
    listed.env("COMPOSE_PROFILES", "x").run().stdout("a\nb\n");
    let stdin = sandbox.command(["compose", "-p", "q", "-f", "-", "config", "--services"]);
    stdin.stdin("services: {z: {image: z}}\n").run().success().stdout("z\n");
    sandbox.run(["compose", "-p", "Bad Name", "config"]).code(15).stderr_contains("invalid project name");
    sandbox
        .run(["compose", "-f", "gone.yml", "config"])
        .code(14)
        .stderr_contains("no such file or directory");
}

fn refuses_bad_files_with_their_place() {
    let sandbox = Sandbox::new();
    let file = sandbox.work().join("compose.yaml");
    let file = file.to_str().unwrap();
    // Dollars before what is no name are themselves.
    sandbox.file("compose.yaml", "services: {web: {image: a, command: 'echo $(pwd) $1 $$X'}}\n");
    let printed = sandbox.run(["compose", "config", "--format", "json"]).success().json();
    assert_eq!(printed["services"]["web"]["command"], serde_json::json!(["echo", "$$(pwd)", "$$1", "$$X"]));
    for (text, complaint) in [
        (
            "services:\n  web: {image: a, x: 1}\n",
            "validating @: services.web additional properties 'x' not allowed (line 2, column 19)",
        ),
        (
            "services:\n  web: {image: 5}\n",
            "validating @: services.web.image must be a string (line 2, column 16)",
        ),
        (
            "services:\n  web:\n    image: a\n    ports: ['a:b']\n",
            "validating @: services.web.ports.0 Invalid containerPort: b (line 4, column 13)",
        ),
        (
            "services:\n  web: {image: a, networks: [b]}\n",
            "service \"web\" refers to undefined network b: invalid compose project (@, line 2, column 30)",
        ),
        (
            "services:\n  web: {image: a, depends_on: [b]}\n  b: {image: a, depends_on: [web]}\n",
            "dependency cycle detected: b -> web -> b (@, line 2, column 32)",
        ),
        (
            "services:\n  web: {image: '${X:?gone}'}\n",
            "error while interpolating services.web.image: required variable X is missing a value: gone (@, line 2, \
             column 16)",
        ),
        ("services:\n  web:\n  - [\n", "@: yaml: line 3, column 5: "),
        (
            "services:\n  web:\n    image: a\n    image: b\n",
            "@: yaml: line 4, column 5: mapping key \"image\" already defined at line 3",
        ),
        (
            "services:\n  web: {image: a, ports: ['1:1', '1:2']}\n",
            "services.web.ports.1: host port 1/tcp is already",
        ),
        (
            "services:\n  web: {image: a, environment: [1]}\n",
            "validating @: services.web.environment.0 must be a string (line 2, column 33)",
        ),
        ("services:\n", "validating @: services must be a mapping"),
        (
            "services: {web: {image: a}}\nvolumes: {v: {external: true, driver: x}}\n",
            "volumes.v: conflicting parameters \"external\" and \"driver\" specified",
        ),
        (
            "services: {web: {image: a, build: {secrets: [s]}}}\n",
            "service \"web\" refers to undefined build secret s",
        ),
        ("services: {web: {}}\n", "service \"web\" has neither an image nor a build context specified"),
    ] {
        sandbox.file("compose.yaml", text);
        sandbox.run(["compose", "config"]).code(15).stdout("").stderr_contains(&complaint.replace('@', file));
    }
}

fn answers_to_docker_compose() {
    let sandbox = Sandbox::new();
    let short = sandbox.run(["compose", "version", "--short"]).success().text();
    assert!(short.starts_with('2'), "{short}");
    sandbox
        .command(["version", "--short"])
        .called("docker-compose")
        .run()
        .success()
        .stdout(&format!("{short}\n"));
    let line = format!("Docker Compose version v{short}\n");
    sandbox.command(["--version"]).called("docker-compose").run().success().stdout(&line);
}
