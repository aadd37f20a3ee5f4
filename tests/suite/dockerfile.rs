//! `build` as it is called: contexts, flags, what is shown, what is refused.

use std::fs;

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    says_which_flags_do_nothing,
    builds_and_shows_it,
    shows_where_it_failed,
    refuses_what_buildkit_refuses,
    takes_contexts_from_everywhere,
    fills_in_arguments,
    writes_what_scripts_read,
    checks_without_building,
    bakes,
    keeps_names_of_builders,
];

/// Makes a context with a Dockerfile and some files.
fn context(sandbox: &Sandbox, name: &str, dockerfile: &str) -> String {
    let directory = sandbox.directory(name);
    fs::write(format!("{directory}/Dockerfile"), dockerfile).unwrap();
    fs::write(format!("{directory}/a.txt"), "a\n").unwrap();
    fs::write(format!("{directory}/b.log"), "b\n").unwrap();
    directory
}

const SIMPLE: &str = "FROM busybox\nARG WHO=nobody\nWORKDIR /app\nCOPY . .\nRUN echo hello $WHO && echo hello $WHO >/said\n\
                      CMD [\"cat\", \"/said\"]\n";

fn builds_and_shows_it() {
    let sandbox = Sandbox::new().busybox();
    let directory = context(&sandbox, "context", SIMPLE);
    fs::write(format!("{directory}/.dockerignore"), "*.log\n").unwrap();
    let built = sandbox.run(["build", "-t", "made:1", "-t", "other", "--build-arg", "WHO=you", &directory]);
    built.success().stdout("");
    for part in [
        "[internal] load build definition from Dockerfile\n",
        "[1/4] FROM docker.io/library/busybox:latest",
        "[3/4] COPY . .\n",
        "[4/4] RUN echo hello you && echo hello you >/said\n",
        " hello you\n",
        "naming to docker.io/library/made:1",
        " DONE 0.",
    ] {
        built.stderr_contains(part);
    }
    sandbox.run(["run", "--rm", "made:1"]).stdout("hello you\n");
    sandbox.run(["run", "--rm", "other", "ls"]).stdout("Dockerfile\na.txt\n");
    let history = sandbox.run(["history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:1"]);
    let lines = history.success().lines();
    assert_eq!(lines[0], "CMD [\"cat\" \"/said\"]|buildkit.dockerfile.v0");
    assert_eq!(
        lines[1],
        "RUN |1 WHO=you /bin/sh -c echo hello $WHO && echo hello $WHO >/said # buildkit|buildkit.dockerfile.v0"
    );
    assert_eq!(lines[2], "COPY . . # buildkit|buildkit.dockerfile.v0");
    let again = sandbox.run(["image", "build", "-t", "made:2", "--build-arg", "WHO=you", &directory]);
    again.success().stderr_contains("CACHED");
    assert!(!again.error_text().lines().any(|line| line.ends_with(" hello you")), "{}", again.error_text());
}

fn shows_where_it_failed() {
    let sandbox = Sandbox::new().busybox();
    let directory = context(&sandbox, "context", "FROM busybox\nRUN true\nRUN echo out; exit 3\nRUN true\n");
    let failed = sandbox.run(["build", &directory]);
    failed.code(1).stderr_contains("------\n > [3/4] RUN echo out; exit 3:\n");
    failed.stderr_contains(
        "------\nDockerfile:3\n--------------------\n   1 |     FROM busybox\n   2 |     RUN true\n   3 | >>> RUN echo out; exit 3\n   \
         4 |     RUN true\n   5 |     \n--------------------\nERROR: failed to solve: process \"/bin/sh -c echo out; exit 3\" did \
         not complete successfully: exit code: 3\n",
    );
    fs::write(format!("{directory}/Dockerfile"), "FROM busybox\nCOPY missing /\n").unwrap();
    sandbox
        .run(["build", &directory])
        .code(1)
        .stderr_contains("   2 | >>> COPY missing /\n")
        .stderr_contains("not found");
}

fn refuses_what_buildkit_refuses() {
    let sandbox = Sandbox::new().busybox();
    let directory = context(&sandbox, "context", "");
    for (dockerfile, error) in [
        ("", "ERROR: failed to solve: the Dockerfile cannot be empty\n"),
        (
            "FROM busybox # why\n",
            "ERROR: failed to solve: dockerfile parse error on line 1: FROM requires either one or three arguments\nhint: ",
        ),
        (
            "FROM busybox\nRUNN true\n",
            "   2 | >>> RUNN true\n     |     ^^^^\n   3 |     \n--------------------\nERROR: failed to solve: dockerfile parse \
             error on line 2: unknown instruction: RUNN (did you mean RUN?)\n",
        ),
        (
            "FROM busybox AS a\nFROM a\nCOPY --from=c x y\n",
            "c: failed to resolve source metadata for docker.io/library/c:latest",
        ),
    ] {
        fs::write(format!("{directory}/Dockerfile"), dockerfile).unwrap();
        sandbox.run(["build", &directory]).code(1).stderr_contains(error);
    }
    sandbox.run(["build", "/not/there"]).code(1).stderr_contains("path \"/not/there\" not found");
    sandbox
        .run(["build", "-f", "/not/there", &directory])
        .code(1)
        .stderr_contains("failed to read dockerfile: open there: no such file or directory");
    sandbox.run(["build"]).code(1).stderr_contains("'coracle build' requires 1 argument");
    sandbox.run(["build", "--target=x", &directory]).code(1);
    sandbox.run(["build", "-t", "UPPER", &directory]).code(1).stderr_contains("invalid tag \"UPPER\"");
}

fn takes_contexts_from_everywhere() {
    let sandbox = Sandbox::new().busybox();
    let directory = context(&sandbox, "context", SIMPLE);
    // A Dockerfile alone, an archive, a file somewhere else, files of another context.
    let alone = "FROM busybox\nCMD [\"echo\", \"alone\"]\n";
    sandbox.command(["build", "-t", "alone", "-"]).stdin(alone).run().success();
    sandbox.run(["run", "--rm", "alone"]).stdout("alone\n");
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_dir_all(".", &directory).unwrap();
    sandbox.command(["build", "-t", "packed", "-"]).stdin(archive.into_inner().unwrap()).run().success();
    sandbox.run(["run", "--rm", "packed"]).stdout("hello nobody\n");
    let file = sandbox.file("Other", "FROM busybox\nCOPY a.txt /\nCOPY --from=more extra /\n");
    let more = sandbox.directory("more");
    fs::write(format!("{more}/extra"), "extra\n").unwrap();
    let named = format!("more={more}");
    sandbox.run(["build", "-t", "named", "-f", &file, "--build-context", &named, &directory]).success();
    sandbox.run(["run", "--rm", "named", "cat", "/a.txt", "/extra"]).stdout("a\nextra\n");
    let replaced = "FROM busybox AS base\nFROM nothing\nCMD [\"echo\", \"replaced\"]\n";
    let words = [
        "build",
        "-t",
        "replaced",
        "--build-context",
        "nothing=docker-image://busybox",
        "-f",
        "-",
        &directory,
    ];
    sandbox.command(words).stdin(replaced).run().success();
    sandbox.run(["run", "--rm", "replaced"]).stdout("replaced\n");
}

fn fills_in_arguments() {
    let sandbox = Sandbox::new().busybox();
    let dockerfile = "ARG BASE=nothing\nFROM ${BASE} AS first\nARG A\nENV B=${A:-unset} C=${A:+set}\n\
                      RUN echo $TARGETARCH$A >/first\nFROM first AS second\nARG TARGETARCH\n\
                      RUN echo ${TARGETARCH:?} >/second\nFROM missing AS unused\n";
    let directory = context(&sandbox, "context", dockerfile);
    let words = [
        "build",
        "-t",
        "made",
        "--target",
        "second",
        "--build-arg",
        "BASE=busybox",
        "--build-arg",
        "A",
        &directory,
    ];
    sandbox.command(words).env("A", "given").run().success();
    sandbox.run(["run", "--rm", "made", "sh", "-c", "cat /first; echo $B $C"]).stdout("given\ngiven set\n");
    let undefined = sandbox.run(["build", "--build-arg", "BASE=$X", &directory]);
    undefined.code(1);
}

fn writes_what_scripts_read() {
    let sandbox = Sandbox::new().busybox();
    let directory = context(&sandbox, "context", SIMPLE);
    let (id_file, metadata) = (sandbox.file("id", ""), sandbox.file("metadata", ""));
    let words = [
        "build",
        "-q",
        "-t",
        "made",
        "--iidfile",
        &id_file,
        "--metadata-file",
        &metadata,
        "--label",
        "l=m",
        &directory,
    ];
    let quiet = sandbox.run(words);
    let id = quiet.success().stderr("").text();
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    assert_eq!(fs::read_to_string(&id_file).unwrap(), id);
    let told: serde_json::Value = serde_json::from_slice(&fs::read(&metadata).unwrap()).unwrap();
    assert_eq!(told["containerimage.config.digest"], id.as_str());
    assert_eq!(told["image.name"], "docker.io/library/made:latest");
    sandbox
        .run(["image", "inspect", "-f", "{{.Id}} {{.Config.Labels.l}}", "made"])
        .stdout(&format!("{id} m\n"));
    let json = sandbox.run(["build", "--progress", "rawjson", &directory]);
    json.success();
    for line in json.error_text().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let old = sandbox.command(["build", "-t", "made", &directory]).env("DOCKER_BUILDKIT", "0").run();
    old.success().stdout_contains("Successfully tagged made:latest\n");
}

fn checks_without_building() {
    let sandbox = Sandbox::new().busybox();
    let directory = context(&sandbox, "context", "FROM busybox\nMAINTAINER me\nCMD echo\nRUN exit 1\n");
    let checked = sandbox.run(["build", "--check", &directory]);
    checked.code(1).stdout_contains("Check complete, 2 warnings have been found!\n");
    checked.stdout_contains(
        "WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/\n",
    );
    checked.stdout_contains("   3 | >>> CMD echo\n");
    fs::write(format!("{directory}/Dockerfile"), "FROM busybox\nCMD [\"echo\"]\n").unwrap();
    sandbox.run(["build", "--check", &directory]).success().stdout("Check complete, no warnings found.\n");
    let strict = "# check=error=true\nFROM busybox\nCMD echo\n";
    fs::write(format!("{directory}/Dockerfile"), strict).unwrap();
    sandbox
        .run(["build", &directory])
        .code(1)
        .stderr_contains("lint violation found for rules: JSONArgsRecommended");
}

fn bakes() {
    let sandbox = Sandbox::new().busybox();
    let directory = context(&sandbox, "context", SIMPLE);
    let file = sandbox.file(
        "bake.json",
        format!(
            r#"{{"variable": {{"TAG": {{"default": "1"}}}},
            "group": {{"default": {{"targets": ["top"]}}}},
            "target": {{
              "below": {{"context": {directory:?}, "args": {{"WHO": "oven"}}}},
              "top": {{"context": {directory:?}, "contexts": {{"under": "target:below"}}, "tags": ["top:${{TAG}}"],
                       "dockerfile-inline": "FROM under\nCMD [\"cat\", \"/said\"]\n"}}}}}}"#
        ),
    );
    sandbox.command(["buildx", "bake", "-f", &file]).env("TAG", "7").run().success();
    sandbox.run(["run", "--rm", "top:7"]).stdout("hello oven\n");
    let printed = sandbox
        .run(["buildx", "bake", "-f", &file, "--print", "--set", "top.tags=x", "top"])
        .success()
        .json();
    assert_eq!(printed["target"]["top"]["tags"][0], "x");
    sandbox
        .run(["buildx", "bake", "-f", &file, "nothing"])
        .code(1)
        .stderr_contains("failed to find target nothing");
}

fn keeps_names_of_builders() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["buildx", "create", "--name", "mine", "--use", "--driver", "docker-container"])
        .stdout("mine\n");
    sandbox.run(["buildx", "ls"]).stdout_contains("mine*");
    sandbox.run(["buildx", "inspect", "--bootstrap"]).stdout_contains("Name:   mine\n");
    sandbox.run(["buildx", "use", "other"]).code(1).stderr_contains("no builder \"other\" found");
    sandbox.run(["buildx", "rm", "mine"]).success();
    sandbox.run(["buildx", "inspect"]).stdout_contains("Name:   default\n");
    sandbox.run(["buildx", "version"]).stdout_contains("github.com/docker/buildx v0.");
}

fn says_which_flags_do_nothing() {
    let sandbox = Sandbox::new().busybox();
    let directory = sandbox.dir().join("nothing");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("Dockerfile"), "FROM busybox\n").unwrap();
    let directory = directory.display().to_string();
    let outcome = sandbox.run(["build", "-q", "-m", "1g", "--cpu-shares", "2", &directory]);
    outcome.success().stderr(
        "WARNING: --memory has no effect on a build\nWARNING: --cpu-shares has no effect on a build\n",
    );
    let outcome = sandbox.run(["build", "-q", "--provenance=mode=max", &directory]);
    outcome
        .success()
        .stderr("WARNING: provenance is written in mode min: the definition of the build is left out\n");
    sandbox.run(["build", "-q", "--provenance=false", &directory]).success().stderr("");
}
