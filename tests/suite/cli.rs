//! Words and exit codes: help, mistakes, and the name that the program is called by.

use crate::support::harness::{Test, tests};
use crate::support::{Layer, Sandbox};

pub(crate) const TESTS: &[Test] = tests![
    bare_is_help,
    help_of_a_command_has_dockers_shape,
    an_unknown_flag_is_125,
    an_unknown_command_is_1,
    missing_arguments_are_1,
    flags_of_the_image_are_not_ours,
    boolean_flags_take_values,
    bundled_and_attached_short_flags,
    programs_that_cannot_run,
    malformed_references,
    called_docker_it_says_docker,
    version_is_short_and_quick,
    management_commands_say_what_they_have,
    needs_no_runtime_directory,
    finds_its_store_by_the_environment,
    refuses_a_store_of_the_future,
    a_reader_that_goes_away_is_no_error,
];

fn bare_is_help() {
    let sandbox = Sandbox::new();
    let bare = sandbox.run([""; 0]);
    bare.success();
    let help = sandbox.run(["--help"]);
    help.success().stdout_contains("Usage:  coracle").stdout_contains("Commands:").stdout_contains("  run ");
    assert!(bare.text() == help.text() || bare.error_text() == help.text(), "{bare}");
    sandbox.run(["help"]).success();
}

fn help_of_a_command_has_dockers_shape() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["run", "--help"]);
    outcome.success().stdout_contains("Usage:  coracle run [OPTIONS] IMAGE [COMMAND] [ARG...]");
    outcome.stdout_contains("Create and run a new container from an image").stdout_contains("Options:");
    for flag in ["--rm", "-d, --detach", "-v, --volume", "-e, --env", "--name", "--entrypoint", "--restart"] {
        outcome.stdout_contains(flag);
    }
    for command in
        ["ps", "exec", "logs", "stop", "rm", "images", "pull", "inspect", "version", "info", "import"]
    {
        let outcome = sandbox.run([command, "--help"]);
        outcome.success().stdout_contains(&format!("Usage:  coracle {command}")).stderr("");
    }
}

fn an_unknown_flag_is_125() {
    let sandbox = Sandbox::new();
    for command in ["run", "ps", "rm", "images", "exec"] {
        let outcome = sandbox.run([command, "--nosuch"]);
        outcome.code(125).stdout("").stderr_contains("unknown flag: --nosuch\n\nUsage:  ");
        outcome.stderr_contains(&format!("Run 'coracle {command} --help' for more information"));
    }
    sandbox.run(["run", "-Z", "x"]).code(125).stderr_contains("unknown shorthand flag: 'Z' in -Z");
    sandbox.run(["run", "--name"]).code(125).stderr_contains("flag needs an argument: --name");
    sandbox.run(["logs", "--tail"]).code(125).stderr_contains("flag needs an argument: --tail");
}

fn an_unknown_command_is_1() {
    let outcome = Sandbox::new().run(["nosuch"]);
    outcome.code(1).stdout("").stderr_contains("unknown command: coracle nosuch");
    outcome.stderr_contains("Run 'coracle --help' for more information");
}

fn missing_arguments_are_1() {
    let sandbox = Sandbox::new();
    for (words, text) in [
        (&["run"][..], "'coracle run' requires at least 1 argument"),
        (&["rm"], "'coracle rm' requires at least 1 argument"),
        (&["exec", "x"], "'coracle exec' requires at least 2 arguments"),
        (&["tag", "x"], "'coracle tag' requires 2 arguments"),
        (&["logs"], "'coracle logs' requires 1 argument"),
        (&["pull"], "'coracle pull' requires 1 argument"),
        (&["ps", "x"], "'coracle ps' accepts no arguments"),
    ] {
        let outcome = sandbox.run(words.iter().copied());
        assert!(matches!(outcome.code, Some(1 | 125)), "{outcome}");
        outcome.stdout("").stderr_contains(text).stderr_contains("Usage:  ");
    }
}

fn flags_of_the_image_are_not_ours() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "--rm", "busybox", "echo", "--rm", "-d", "--nosuch"])
        .stdout("--rm -d --nosuch\n")
        .success();
    sandbox.run(["run", "--rm", "busybox", "echo", "--", "x"]).stdout("-- x\n").success();
    sandbox.run(["run", "-d", "--name", "cc", "busybox", "sleep", "1000"]).success();
    sandbox.run(["exec", "cc", "echo", "-i", "--help"]).stdout("-i --help\n").success();
}

fn boolean_flags_take_values() {
    let sandbox = Sandbox::new().busybox();
    sandbox
        .run(["run", "--rm=true", "--init=false", "--tty=false", "busybox", "echo", "x"])
        .stdout("x\n")
        .success();
    sandbox.run(["ps", "-aq"]).stdout("");
    sandbox
        .run(["run", "--rm=maybe", "busybox", "true"])
        .code(125)
        .stderr_contains("invalid argument \"maybe\"");
}

fn bundled_and_attached_short_flags() {
    let sandbox = Sandbox::new().busybox();
    let id = sandbox.run(["run", "-di", "-eA=1", "-w/tmp", "--name=cc", "busybox", "cat"]).success().text();
    assert_eq!(id.len(), 64);
    sandbox.run(["exec", "cc", "sh", "-c", "pwd; echo $A"]).stdout("/tmp\n1\n").success();
    assert_eq!(sandbox.run(["ps", "-qa", "-fname=cc"]).lines().len(), 1);
}

fn programs_that_cannot_run() {
    let sandbox = Sandbox::new()
        .image("img", |layer| layer.file("/plain", "x").program("/script", "#!/nosuch\n").dir("/dir"));
    for (program, code, text) in [
        ("nosuch", 127, "exec: \"nosuch\": executable file not found in $PATH"),
        ("/nosuch", 127, "exec: \"/nosuch\": stat /nosuch: no such file or directory"),
        ("/plain", 126, "exec: \"/plain\": permission denied"),
        ("/dir", 126, "exec: \"/dir\": is a directory"),
        ("/script", 127, "no such file or directory"),
    ] {
        let outcome = sandbox.run(["run", "--rm", "img", program]);
        outcome.code(code).stdout("").stderr_contains(text).stderr_contains("Error response from daemon: ");
        sandbox.run(["ps", "-aq"]).stdout("");
    }
    // Without --rm the container that could not run stays, as with Docker.
    sandbox.run(["run", "--name", "cc", "img", "nosuch"]).code(127);
    sandbox.run(["ps", "-a", "--format", "{{.Status}}"]).stdout("Created\n");
    sandbox.expect_no_process();
    let _ = Layer::new();
}

fn malformed_references() {
    let sandbox = Sandbox::new();
    for (reference, text) in [
        ("UPPER", "invalid reference format: repository name (library/UPPER) must be lowercase"),
        ("a b", "invalid reference format"),
        ("x:", "invalid reference format"),
        ("x@sha256:zz", "invalid reference format"),
    ] {
        sandbox.run(["run", "--rm", reference, "true"]).code(125).stderr_contains(text);
        sandbox.run(["pull", reference]).code(1).stderr_contains(text);
    }
}

fn called_docker_it_says_docker() {
    let sandbox = Sandbox::new().busybox();
    let call = |words: &[&str]| sandbox.command(words.iter().copied()).called("docker").run();
    call(&["run", "--help"])
        .success()
        .stdout_contains("Usage:  docker run [OPTIONS] IMAGE")
        .stdout_lacks("coracle run");
    call(&["run", "--nosuch"]).code(125).stderr_contains("Run 'docker run --help' for more information");
    call(&["nosuch"]).code(1).stderr_contains("docker: unknown command: docker nosuch");
    call(&["run", "--pull", "never", "absent"])
        .code(125)
        .stderr_contains("docker: Error response from daemon: No such image: absent:latest\n\nRun 'docker run --help' for more information");
    // What our own name says is our own.
    sandbox
        .run(["run", "--pull", "never", "absent"])
        .code(125)
        .stderr_contains("coracle: Error response from daemon: No such image: absent:latest\n\nRun 'coracle run --help' for more information");
    call(&["--version"]).success().stdout_contains("version");
}

fn version_is_short_and_quick() {
    let sandbox = Sandbox::new();
    for word in ["--version", "-v"] {
        let outcome = sandbox.run([word]);
        outcome.success().stdout_contains(env!("CARGO_PKG_VERSION"));
        assert_eq!(outcome.lines().len(), 1);
        assert!(!outcome.text().contains("podman"), "{outcome}");
    }
    assert!(!sandbox.store().exists(), "asking for the version makes no store");
}

fn management_commands_say_what_they_have() {
    let sandbox = Sandbox::new().busybox();
    for command in ["container", "image"] {
        let outcome = sandbox.run([command]);
        outcome.success();
        assert!(format!("{outcome}").contains(&format!("Usage:  coracle {command} COMMAND")), "{outcome}");
    }
    sandbox.run(["container", "run", "--rm", "busybox", "echo", "x"]).stdout("x\n").success();
    sandbox.run(["container", "create", "--name", "cc", "busybox"]).success();
    sandbox.run(["container", "rm", "cc"]).stdout("cc\n").success();
    sandbox.run(["image", "tag", "busybox", "other"]).success();
    sandbox.run(["image", "rm", "other"]).stdout("Untagged: other:latest\n").success();
}

fn needs_no_runtime_directory() {
    let sandbox = Sandbox::new().busybox();
    let call = |words: &[&str]| sandbox.command(words.iter().copied()).env("XDG_RUNTIME_DIR", "").run();
    call(&["run", "-d", "--name", "cc", "busybox", "sh", "-c", "echo x; sleep 1000"]).success();
    call(&["exec", "cc", "echo", "y"]).stdout("y\n").success();
    call(&["stop", "-t", "0", "cc"]).success();
    call(&["rm", "cc"]).success();
}

fn finds_its_store_by_the_environment() {
    let sandbox = Sandbox::new();
    let other = format!("{}/elsewhere", sandbox.work().display());
    sandbox.command(["run", "--rm", "hello-world"]).env("CORACLE_ROOT", &other).run().success();
    assert!(std::path::Path::new(&other).join("version").exists());
    assert!(!sandbox.store().exists());
    sandbox.command(["rmi", "hello-world"]).env("CORACLE_ROOT", &other).run().success();
}

fn refuses_a_store_of_the_future() {
    let sandbox = Sandbox::new();
    sandbox.run(["images"]).success();
    sandbox.run(["run", "--rm", "hello-world"]).success();
    let version = sandbox.store().join("version");
    let kept = std::fs::read(&version).unwrap();
    std::fs::write(&version, "99\n").unwrap();
    let outcome = sandbox.run(["run", "--rm", "hello-world"]);
    outcome.code(125).stderr_contains("format 99");
    std::fs::write(&version, kept).unwrap();
}

fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new().busybox();
    for words in ["ps -a", "images", "--help", "run --rm busybox seq 1 100000"] {
        let script = format!("cd work; {{ $0 {words}; echo $? >&2; }} | true");
        let outcome = sandbox.command([&script]).shell().run();
        assert!(!outcome.error_text().contains("panicked"), "{outcome}");
        assert!(!outcome.error_text().contains("os error"), "{outcome}");
    }
}
