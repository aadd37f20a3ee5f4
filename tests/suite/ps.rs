//! `ps`: which containers there are.

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::harness::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    prints_dockers_columns,
    shows_running_ones_unless_asked,
    prints_ids_alone,
    the_last_ones,
    filters,
    an_unknown_filter_is_an_error,
    formats,
    sizes,
    commands_are_cut_short,
    container_ls_is_the_same,
];

fn three() -> Sandbox {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["run", "-d", "--name", "up", "-l", "tier=web", "busybox", "sleep", "1000"]).success();
    sandbox.run(["run", "--name", "down", "-l", "tier=db", "busybox", "sh", "-c", "exit 3"]).code(3);
    sandbox.run(["create", "--name", "new", "busybox"]).success();
    sandbox
}

fn names(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let mut words = vec!["ps", "--format", "{{.Names}}"];
    words.extend(arguments);
    sandbox.run(words).success().lines()
}

fn prints_dockers_columns() {
    let sandbox = three();
    let outcome = sandbox.run(["ps", "-a"]);
    let lines = outcome.success().lines();
    assert_eq!(lines.len(), 4, "{outcome}");
    assert_eq!(
        lines[0].split("  ").filter(|word| !word.is_empty()).map(str::trim).collect::<Vec<_>>(),
        ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    );
    let row = |name: &str| lines.iter().find(|line| line.ends_with(name)).unwrap().clone();
    assert!(row("up").contains("   busybox   \"sleep 1000\"   "), "{outcome}");
    assert!(row("up").contains("   Up "), "{outcome}");
    assert!(row("down").contains("   Exited (3) "), "{outcome}");
    assert!(row("new").contains("   Created   "), "{outcome}");
    // Newest first, and every column below its heading.
    assert!(lines[1].ends_with("new") && lines[3].ends_with("up"), "{outcome}");
    for heading in ["IMAGE", "COMMAND", "STATUS", "NAMES"] {
        let at = lines[0].find(heading).unwrap();
        for line in &lines[1..] {
            assert!(line[..at].ends_with(' ') && !line[at..].starts_with(' '), "{heading}: {outcome}");
        }
    }
}

fn shows_running_ones_unless_asked() {
    let sandbox = three();
    assert_eq!(names(&sandbox, &[]), ["up"]);
    assert_eq!(names(&sandbox, &["-a"]), ["new", "down", "up"]);
    let empty = Sandbox::new();
    empty
        .run(["ps"])
        .stdout("CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n")
        .success();
    empty.run(["ps", "-q"]).stdout("").success();
}

fn prints_ids_alone() {
    let sandbox = three();
    let short = sandbox.run(["ps", "-aq"]).success().lines();
    let long = sandbox.run(["ps", "-aq", "--no-trunc"]).success().lines();
    assert!(short.iter().all(|id| id.len() == 12) && long.iter().all(|id| id.len() == 64));
    assert!(short.iter().zip(&long).all(|(short, long)| long.starts_with(short.as_str())));
}

fn the_last_ones() {
    let sandbox = three();
    assert_eq!(names(&sandbox, &["-l"]), ["new"]);
    assert_eq!(names(&sandbox, &["-n", "2"]), ["new", "down"]);
}

fn filters() {
    let sandbox = three();
    let id = sandbox.run(["inspect", "-f", "{{.Id}}", "down"]).text();
    for (filter, expected) in [
        ("name=ow", &["down"][..]),
        ("name=^/?up$", &["up"]),
        ("label=tier", &["down", "up"]),
        ("label=tier=db", &["down"]),
        ("label=tier=none", &[]),
        ("status=running", &["up"]),
        ("status=exited", &["down"]),
        ("status=created", &["new"]),
        ("exited=3", &["down"]),
        ("exited=0", &[]),
        ("ancestor=busybox", &["new", "down", "up"]),
        ("ancestor=other", &[]),
        ("before=down", &["up"]),
        ("since=down", &["new"]),
        (&format!("id={}", &id[..6]), &["down"]),
    ] {
        assert_eq!(names(&sandbox, &["-a", "--filter", filter]), expected, "{filter}");
    }
    // The same key widens, another key narrows.
    let found = names(&sandbox, &["-a", "-f", "name=up", "-f", "name=down", "-f", "label=tier=db"]);
    assert_eq!(found, ["down"]);
}

fn an_unknown_filter_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.run(["ps", "--filter", "nosuch=1"]).code(1).stderr_contains("invalid filter 'nosuch'");
    sandbox
        .run(["ps", "--filter", "status=nosuch"])
        .code(1)
        .stderr_contains("invalid filter 'status=nosuch'");
    sandbox.run(["ps", "--filter", "bare"]).code(125).stderr_contains("invalid argument \"bare\"");
}

fn formats() {
    let sandbox = three();
    sandbox
        .run([
            "ps",
            "-a",
            "--filter",
            "name=down",
            "--format",
            "{{.Names}}|{{.Image}}|{{.Command}}|{{.State}}",
        ])
        .stdout("down|busybox|\"sh -c 'exit 3'\"|exited\n")
        .success();
    sandbox
        .run(["ps", "-a", "-f", "name=up", "--format", "{{.Label \"tier\"}} {{.Labels}} {{.Networks}}"])
        .success()
        .stdout_contains("web tier=web ");
    let lines = sandbox.run(["ps", "-a", "--format", "table {{.Names}}\t{{.State}}"]).success().lines();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["NAMES", "STATE"]);
    assert_eq!(lines.len(), 4);
    let outcome = sandbox.run(["ps", "-a", "--format", "json"]);
    let rows: Vec<Value> = outcome.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    let keys: Vec<_> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
    for key in
        ["Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names", "Networks"]
    {
        assert!(keys.contains(&key), "{key} of {keys:?}");
    }
    for key in ["Ports", "RunningFor", "Size", "State", "Status"] {
        assert!(keys.contains(&key), "{key} of {keys:?}");
    }
    sandbox.run(["ps", "--format", "{{.Nosuch}}"]).code(1).stderr_contains("can't evaluate field Nosuch");
    sandbox
        .run(["ps", "--format", "{{.Names"])
        .code(1)
        .stderr_contains("failed to parse template: template: :1: unclosed action");
}

fn sizes() {
    let sandbox = Sandbox::new().busybox();
    let script = "dd if=/dev/zero of=/big bs=1000 count=1500 2>/dev/null";
    sandbox.run(["run", "--name", "cc", "busybox", "sh", "-c", script]).success();
    let outcome = sandbox.run(["ps", "-a", "-s", "--format", "{{.Size}}"]);
    outcome.success();
    assert!(outcome.text().starts_with("1.5MB (virtual "), "{outcome}");
    assert!(sandbox.run(["ps", "-a", "-s"]).lines()[0].ends_with("SIZE"));
}

fn commands_are_cut_short() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["create", "--name", "cc", "busybox", "echo", "0123456789", "0123456789"]).success();
    sandbox.run(["ps", "-a", "--format", "{{.Command}}"]).stdout("\"echo 0123456789 012…\"\n").success();
    sandbox
        .run(["ps", "-a", "--no-trunc", "--format", "{{.Command}}"])
        .stdout("\"echo 0123456789 0123456789\"\n")
        .success();
}

fn container_ls_is_the_same() {
    let sandbox = three();
    let expected = sandbox.run(["ps", "-aq"]).text();
    for words in [["container", "ls"], ["container", "ps"], ["container", "list"]] {
        assert_eq!(sandbox.run([words[0], words[1], "-aq"]).success().text(), expected);
    }
}
