//! `context`: one, called `default`. The texts are those of docker 26.

use serde_json::json;

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![the_default_context_is_told, other_contexts_are_refused];

fn the_default_context_is_told() {
    let sandbox = Sandbox::new();
    sandbox.run(["context", "show"]).stdout("default\n").success();
    sandbox.run(["context", "ls", "-q"]).stdout("default\n").success();
    let list = sandbox.run(["context", "ls"]);
    list.success().stdout_contains("NAME        DESCRIPTION ").stdout_contains("\ndefault * ");
    let row = sandbox.run(["context", "ls", "--format", "json"]).json();
    assert_eq!((&row["Name"], &row["Current"]), (&json!("default"), &json!(true)));
    let all = sandbox.run(["context", "inspect"]).json();
    let host = all[0]["Endpoints"]["docker"]["Host"].as_str().unwrap();
    assert!(host.starts_with("unix:///"), "{host}");
    assert_eq!(all[0]["Storage"], json!({"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"}));
    sandbox
        .run(["context", "inspect", "-f", "{{.Endpoints.docker.Host}}", "default"])
        .stdout(&format!("{host}\n"))
        .success();
    sandbox
        .run(["context", "use", "default"])
        .stdout("default\n")
        .stderr("Current context is now \"default\"\n")
        .success();
}

fn other_contexts_are_refused() {
    let sandbox = Sandbox::new();
    for (words, text) in [
        (&["use", "nope"][..], "context \"nope\": context not found: open "),
        (&["inspect", "nope"], "context \"nope\": context not found: open "),
        (&["create", "default"], "\"default\" is a reserved context name"),
        (&["create", "x"], "context name \"x\" is invalid, names are validated against regexp"),
        (&["create", "there"], "cannot create context \"there\""),
        (&["rm", "default"], "context \"default\" cannot be removed"),
        (&["rm", "nope"], "context \"nope\" does not exist"),
    ] {
        sandbox.run(["context"].iter().chain(words).copied()).code(1).stderr_contains(text);
    }
    sandbox.run(["context", "inspect", "nope"]).stdout("[]\n");
}
