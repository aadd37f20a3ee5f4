//! Docker's `config.json`: formats of listings, keys that detach, proxies, headers.

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};
use crate::support::registry::Registry;

pub(crate) const TESTS: &[Test] = tests![
    formats_of_listings_are_the_users,
    proxies_become_variables,
    proxies_go_by_host,
    detach_keys_are_the_users,
    headers_reach_registries,
];

fn configured(config: &Value) -> Sandbox {
    let sandbox = Sandbox::new().busybox();
    sandbox.directory("../home/.docker");
    sandbox.file("../home/.docker/config.json", config.to_string());
    sandbox
}

fn formats_of_listings_are_the_users() {
    let sandbox = configured(&json!({
        "psFormat": "table {{.Names}}\\t{{.State}}",
        "imagesFormat": "{{.Repository}}",
        "networksFormat": "{{.Name}}!",
        "volumesFormat": "json",
        "statsFormat": "{{.Name}}",
    }));
    let run = |words: &[&str]| sandbox.run(words);
    run(&["volume", "create", "vol"]).success();
    run(&["run", "-d", "--name", "web", "--network", "none", "busybox", "sleep", "1000"]).success();
    run(&["ps"]).stdout("NAMES     STATE\nweb       running\n");
    run(&["container", "ls"]).stdout("NAMES     STATE\nweb       running\n");
    run(&["ps", "--format", "{{.Image}}"]).stdout("busybox\n");
    assert_eq!(run(&["ps", "-q"]).text().trim().len(), 12, "-q is stronger");
    run(&["images"]).stdout("busybox\n");
    run(&["image", "ls", "--format", "{{.Tag}}"]).stdout("latest\n");
    run(&["network", "ls"]).stdout("bridge!\nhost!\nnone!\n");
    assert_eq!(run(&["volume", "ls"]).json()["Name"], "vol");
    run(&["volume", "ls", "-q"]).stdout("vol\n");
    run(&["stats", "--no-stream"]).stdout("web\n");
    run(&["--config", "/nowhere", "ps", "--format", "table"]).stdout_contains("CONTAINER ID");
}

fn proxies_become_variables() {
    let sandbox = configured(&json!({ "proxies": { "default": {
        "httpProxy": "http://p:1", "httpsProxy": "http://p:2", "noProxy": "local", "allProxy": "http://p:3",
    }}}));
    let show = "echo $HTTP_PROXY $https_proxy $NO_PROXY $all_proxy .$FTP_PROXY.";
    let run = |flags: &[&str]| {
        let words =
            [&["run", "--rm", "--network", "none"][..], flags, &["busybox", "sh", "-c", show]].concat();
        sandbox.run(words)
    };
    run(&[]).success().stdout("http://p:1 http://p:2 local http://p:3 ..\n");
    run(&["-e", "HTTP_PROXY=mine", "-e", "NO_PROXY="]).stdout("mine http://p:2 http://p:3 ..\n");
}

fn proxies_go_by_host() {
    let sandbox = configured(&json!({ "proxies": {
        "default": { "httpProxy": "http://default" },
        "unix:///var/run/docker.sock": { "ftpProxy": "http://here" },
    }}));
    let words = ["run", "--rm", "--network", "none", "busybox", "sh", "-c", "echo .$HTTP_PROXY. $FTP_PROXY"];
    sandbox.run(words).stdout(".. http://here\n");
}

fn detach_keys_are_the_users() {
    let sandbox = configured(&json!({ "detachKeys": "ctrl-x,x" }));
    let words = ["run", "-it", "--name", "keys", "--network", "none", "busybox", "sh"];
    let mut terminal = sandbox.command(words).terminal();
    terminal.expect("# ").send("echo be''fore\r").expect("before");
    terminal.send("\x18x");
    terminal.wait().success();
    assert_eq!(sandbox.status_of("keys"), "running");
}

fn headers_reach_registries() {
    let registry = Registry::start();
    let sandbox = configured(&json!({ "HttpHeaders": { "X-Meta-Team": "blue", "Secret": "no" } }));
    let name = format!("{}/team/app:1", registry.host());
    sandbox.run(["tag", "busybox", &name]).success();
    sandbox.run(["push", "-q", &name]).success();
    sandbox.run(["rmi", &name, "busybox"]).success();
    sandbox.run(["pull", "-q", &name]).success();
    let requests = registry.requests("/team/app/");
    assert!(requests.len() > 3, "{requests:?}");
    for request in &requests {
        assert_eq!(request.header("x-meta-team"), Some("blue"), "{request:?}");
        assert_eq!(request.header("secret"), None);
    }
}
