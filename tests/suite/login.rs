//! `login` and `logout`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};
use crate::support::registry::{Auth, Registry};

pub(crate) const TESTS: &[Test] = tests![
    keeps_a_login,
    asks_on_the_terminal,
    keeps_a_token_instead_of_a_password,
    has_a_helper_keep_it,
    misuse_is_an_error,
    reads_podmans_logins,
];

fn basic() -> (Registry, String) {
    let registry = Registry::start();
    registry.require(Auth::Basic { username: "ann".to_owned(), password: "s3cret".to_owned() });
    let host = registry.host();
    (registry, host)
}

fn config(sandbox: &Sandbox) -> Value {
    let path = sandbox.dir().join("home/.docker/config.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn keeps_a_login() {
    let (_registry, host) = basic();
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["login", "-u", "ann", "-p", "s3cret", &host]);
    outcome.success().stdout("Login Succeeded\n");
    let path = sandbox.dir().join("home/.docker/config.json");
    outcome.stderr(&format!(
        "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n\n\
         WARNING! Your credentials are stored unencrypted in '{}'.\n\
         Configure a credential helper to remove this warning. See\n\
         https://docs.docker.com/go/credential-store/\n\n",
        path.display()
    ));
    assert_eq!(config(&sandbox), json!({ "auths": { &host: { "auth": "YW5uOnMzY3JldA==" } } }));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let again = sandbox.run(["login", &host]);
    again.success().stdout_contains("Authenticating with existing credentials... [Username: ann]\n");
    again.stdout_contains("Login Succeeded\n");
    let wrong = sandbox.command(["login", "-u", "ann", "--password-stdin", &host]).stdin("no").run();
    wrong.code(1).stdout("").stderr(&format!(
        "Error response from daemon: login attempt to http://{host}/v2/ failed with status: 401 Unauthorized\n"
    ));
    assert_eq!(config(&sandbox)["auths"][&host]["auth"], "YW5uOnMzY3JldA==");
    let out = format!("Removing login credentials for {host}\n");
    sandbox.run(["logout", &format!("https://{host}/v1/")]).stdout(&out).stderr("").success();
    assert_eq!(config(&sandbox), json!({ "auths": {} }));
    sandbox.run(["logout", &host]).stdout(&out).success();
    sandbox.run(["logout"]).stdout("Removing login credentials for https://index.docker.io/v1/\n").success();
    sandbox.run(["login", "-u", "a", "-p", "b", "127.0.0.1:1"]).code(1).stderr_contains("refused");
}

fn asks_on_the_terminal() {
    let (_registry, host) = basic();
    let sandbox = Sandbox::new();
    let mut terminal = sandbox.command(["login", &host]).terminal();
    terminal.expect("Username: ").send("ann\r");
    terminal.expect("Password: ").send("s3cxx\x7f\x7fret\r").expect("Login Succeeded");
    let outcome = terminal.wait();
    outcome.success().stdout_lacks("s3c");
    assert_eq!(config(&sandbox)["auths"][&host]["auth"], "YW5uOnMzY3JldA==");

    sandbox.run(["logout", &host]).success();
    let mut terminal = sandbox.command(["login", &host]).terminal();
    terminal.expect("Username: ");
    let before = terminal.settings().local_modes;
    terminal.send("bob\r").expect("Password: ").send("x\x03");
    terminal.expect("interrupted");
    assert_eq!(terminal.settings().local_modes, before);
    terminal.wait().code(1);
}

fn keeps_a_token_instead_of_a_password() {
    let registry = Registry::start();
    let account = Some(("ann".to_owned(), "s3cret".to_owned()));
    registry.require(Auth::Bearer { account, refresh: Some("r3fresh".to_owned()) });
    let (reference, _) = crate::pull::put(&registry);
    let sandbox = Sandbox::new();
    let outcome =
        sandbox.command(["login", "-u", "ann", "--password-stdin", &registry.host()]).stdin("s3cret").run();
    outcome.stdout("Login Succeeded\n").stderr("").success();
    let entry = json!({ "auth": "YW5uOg==", "identitytoken": "r3fresh" });
    assert_eq!(config(&sandbox)["auths"][registry.host()], entry);
    sandbox.run(["pull", "-q", &reference]).success();
    let form = registry.requests("/token").pop().unwrap();
    assert!(form.text().contains("grant_type=refresh_token"), "{}", form.text());
}

fn has_a_helper_keep_it() {
    let (registry, host) = basic();
    let (reference, _) = crate::pull::put(&registry);
    let sandbox = Sandbox::new();
    sandbox.directory("bin");
    let kept = sandbox.work().join("kept");
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat > {0} ;;\nerase) rm {0} ;;\nget) cat {0} 2>/dev/null || {{ echo credentials not found \
         in native keychain; exit 1; }} ;;\nesac\n",
        kept.display()
    );
    let helper = sandbox.file("bin/docker-credential-box", script);
    fs::set_permissions(helper, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.directory("docker");
    sandbox.file("docker/config.json", r#"{"credsStore":"box","psFormat":"{{.ID}}"}"#);
    let run = |words: &[&str], input: &str| {
        let path = format!("{}:/usr/bin:/bin", sandbox.work().join("bin").display());
        let docker = sandbox.work().join("docker");
        let command = sandbox.command(words.iter().copied()).env("PATH", &path).stdin(input);
        command.env("DOCKER_CONFIG", docker.to_str().unwrap()).run()
    };
    run(&["pull", &reference], "").code(1).stderr_contains("no basic auth credentials");
    let outcome = run(&["login", "-u", "ann", "--password-stdin", &host], "s3cret\n");
    outcome.stdout("Login Succeeded\n").stderr("").success();
    let stored: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert_eq!(stored, json!({ "ServerURL": host, "Username": "ann", "Secret": "s3cret" }));
    let config = fs::read_to_string(sandbox.work().join("docker/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config, json!({ "auths": { &host: {} }, "credsStore": "box", "psFormat": "{{.ID}}" }));
    run(&["pull", "-q", &reference], "").success();
    run(&["logout", &host], "").success();
    assert!(!kept.exists());
    run(&["pull", &reference], "").code(1);
}

fn misuse_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["login", "--password-stdin"])
        .code(1)
        .stderr("Must provide --username with --password-stdin\n");
    let both = sandbox.run(["login", "-u", "a", "-p", "b", "--password-stdin"]);
    both.code(1).stderr_contains("--password and --password-stdin are mutually exclusive\n");
    sandbox
        .run(["login", "-u", "a", "reg.example"])
        .code(1)
        .stderr("Error: Cannot perform an interactive login from a non TTY device\n");
    assert!(!sandbox.dir().join("home/.docker").exists());
}

fn reads_podmans_logins() {
    let (registry, _) = basic();
    let (reference, _) = crate::pull::put(&registry);
    let sandbox = Sandbox::new();
    let auths = json!({ "auths": { format!("{}/team", registry.host()): { "auth": "YW5uOnMzY3JldA==" } } });
    let file = sandbox.file("auth.json", auths.to_string());
    sandbox.run(["pull", "-q", &reference]).code(1);
    sandbox.command(["pull", "-q", &reference]).env("REGISTRY_AUTH_FILE", &file).run().success();
}
