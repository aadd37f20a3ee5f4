//! What changes while a container runs: its networks, with its published ports; its name.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::support::harness::{Test, tests};
use crate::support::{Layer, Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    published_ports_follow_the_networks,
    published_datagrams_follow_the_networks,
    a_network_that_leads_nowhere_takes_the_ports_away,
    a_port_that_is_taken_keeps_the_network_away,
    a_new_name_is_known_at_once,
    links_follow_a_new_name,
    links_are_told_in_variables,
];

/// Returns a port of this machine that nobody had a moment ago.
fn free() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

/// Starts a container that does nothing.
#[track_caller]
fn idle(sandbox: &Sandbox, name: &str, flags: &[&str]) {
    let mut words = vec!["run", "-d", "--name", name];
    words.extend(flags);
    words.extend(["busybox", "sleep", "1000"]);
    sandbox.run(words).success();
}

/// Returns what is said at a port of this host, if somebody says something.
fn hear(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn published_ports_follow_the_networks() {
    let sandbox = Sandbox::new().busybox();
    let port = free();
    for name in ["one", "two"] {
        sandbox.run(["network", "create", name]).success();
    }
    let asked = format!("{port}:80");
    let flags = ["run", "-d", "--name", "web", "--hostname", "web", "--network", "one", "-p", &asked];
    sandbox.run(flags.iter().chain(&["busybox", "nc", "-ll", "-p", "80", "-e", "hostname"])).success();
    wait_until("an answer", || hear(port).is_some());
    let shown = format!("80/tcp -> 0.0.0.0:{port}\n80/tcp -> [::]:{port}\n");
    sandbox.run(["network", "connect", "two", "web"]).success();
    assert_eq!(hear(port).as_deref(), Some("web"));
    sandbox.run(["network", "disconnect", "one", "web"]).success();
    assert_eq!(hear(port).as_deref(), Some("web"));
    sandbox.run(["port", "web"]).stdout(&shown).success();
    sandbox
        .run(["ps", "--format", "{{.Ports}} {{.Networks}}"])
        .stdout(&format!("0.0.0.0:{port}->80/tcp, [::]:{port}->80/tcp two\n"));
    let format = "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}";
    sandbox.run(["inspect", "-f", format, "web"]).stdout(&format!("{port}\n"));
    // In no network at all, nothing is published.
    sandbox.run(["network", "disconnect", "two", "web"]).success();
    sandbox.run(["port", "web"]).stdout("").success();
    TcpListener::bind(("0.0.0.0", port)).unwrap();
    sandbox.run(["network", "connect", "one", "web"]).success();
    assert_eq!(hear(port).as_deref(), Some("web"));
    sandbox.run(["port", "web"]).stdout(&shown).success();
}

fn published_datagrams_follow_the_networks() {
    let sandbox = Sandbox::new().image("img", Layer::probe);
    let port = free();
    for name in ["one", "two"] {
        sandbox.run(["network", "create", name]).success();
    }
    let asked = format!("{port}:9000/udp");
    let flags = ["run", "-d", "--name", "aa", "--network", "one", "-p", &asked];
    sandbox.run(flags.iter().chain(&["img", "/probe", "mirror", "0.0.0.0:9000"])).success();
    sandbox.wait_for_log("aa", "ready");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let answered = || client.send(b"hello").is_ok() && client.recv(&mut [0; 100]).is_ok();
    assert!(answered());
    sandbox.run(["network", "connect", "two", "aa"]).success();
    sandbox.run(["network", "disconnect", "one", "aa"]).success();
    assert!(answered());
}

fn a_network_that_leads_nowhere_takes_the_ports_away() {
    let sandbox = Sandbox::new().busybox();
    let port = free();
    sandbox.run(["network", "create", "--internal", "inner"]).success();
    idle(&sandbox, "aa", &["-p", &format!("{port}:80")]);
    sandbox.run(["network", "connect", "inner", "aa"]).success();
    sandbox.run(["port", "aa", "80/tcp"]).success().stdout_contains(&port.to_string());
    sandbox.run(["network", "disconnect", "bridge", "aa"]).success();
    sandbox.run(["port", "aa"]).stdout("").success();
    TcpListener::bind(("0.0.0.0", port)).unwrap();
    sandbox.run(["exec", "aa", "ip", "route"]).success().stdout_lacks("default");
}

fn a_port_that_is_taken_keeps_the_network_away() {
    let sandbox = Sandbox::new().busybox();
    let port = free();
    idle(&sandbox, "aa", &["-p", &format!("{port}:80")]);
    sandbox.run(["network", "disconnect", "bridge", "aa"]).success();
    let other = TcpListener::bind(("0.0.0.0", port)).unwrap();
    sandbox
        .run(["network", "connect", "bridge", "aa"])
        .code(1)
        .stderr_contains(&format!("Bind for 0.0.0.0:{port} failed: port is already allocated"));
    sandbox.run(["exec", "aa", "ls", "/sys/class/net"]).stdout("lo\n");
    sandbox.run(["inspect", "-f", "{{len .NetworkSettings.Networks}}", "aa"]).stdout("0\n");
    drop(other);
    sandbox.run(["network", "connect", "bridge", "aa"]).success();
    sandbox.run(["port", "aa", "80/tcp"]).success().stdout_contains(&port.to_string());
}

fn a_new_name_is_known_at_once() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "net"]).success();
    idle(&sandbox, "before", &["--network", "net", "--network-alias", "www"]);
    idle(&sandbox, "asker", &["--network", "net"]);
    let knows = |name: &str| sandbox.run(["exec", "asker", "nslookup", name]).code == Some(0);
    assert!(knows("before"));
    sandbox.run(["rename", "before", "after"]).success();
    assert!(knows("after") && knows("www"));
    assert!(!knows("before"));
    let format = "{{range .Containers}}{{.Name}} {{end}}";
    let names = sandbox.run(["network", "inspect", "-f", format, "net"]).success().text();
    assert!(names.contains("after") && !names.contains("before"), "{names}");
    let names = sandbox.run(["inspect", "after"]).json()[0]["NetworkSettings"]["Networks"]["net"].clone();
    assert_eq!(names["DNSNames"].as_array().unwrap()[..2], ["after", "www"]);
    // The old name is free for somebody else.
    idle(&sandbox, "before", &["--network", "net"]);
    assert!(knows("before"));
}

fn links_follow_a_new_name() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "db", &[]);
    idle(&sandbox, "web", &["--link", "db:store"]);
    sandbox.run(["rename", "db", "base"]).success();
    sandbox.run(["inspect", "-f", "{{.HostConfig.Links}}", "web"]).stdout("[/base:/web/store]\n");
    sandbox.run(["restart", "-t", "0", "web"]).success();
    sandbox.run(["exec", "web", "cat", "/etc/hosts"]).success().stdout_contains("\tstore ");
    sandbox.run(["exec", "web", "ping", "-c", "1", "-W", "5", "store"]).success();
    // Another address of the linked container is written down, and none while it is away.
    let lines = || {
        let text = sandbox.run(["exec", "web", "cat", "/etc/hosts"]).success().text();
        text.lines().filter(|line| line.contains("\tstore ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = lines();
    sandbox.run(["restart", "-t", "0", "base"]).success();
    wait_until("the new address", || lines() != before && lines().len() == 1);
    sandbox.run(["exec", "web", "ping", "-c", "1", "-W", "5", "store"]).success();
    sandbox.run(["rm", "-f", "base"]).success();
    sandbox.run(["exec", "web", "true"]).success();
    // On a network of the user's, a link may be to what comes later.
    sandbox.run(["network", "create", "net"]).success();
    idle(&sandbox, "early", &["--network", "net", "--link", "late:store"]);
    idle(&sandbox, "late", &["--network", "net"]);
    sandbox.run(["exec", "early", "ping", "-c", "1", "-W", "5", "store"]).success();
}

fn links_are_told_in_variables() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "db", &["--expose", "5432", "-e", "PASSWORD=x=y"]);
    let format = "{{.NetworkSettings.IPAddress}}";
    let ip = sandbox.run(["inspect", "-f", format, "db"]).success().text();
    let outcome = sandbox.run(["run", "--rm", "--name", "web", "--link", "db:my-store", "busybox", "env"]);
    let lines = outcome.success().lines();
    let told: Vec<&str> = lines.iter().map(String::as_str).filter(|it| it.starts_with("MY_STORE_")).collect();
    assert_eq!(
        told,
        [
            &format!("MY_STORE_PORT=tcp://{ip}:5432"),
            &format!("MY_STORE_PORT_5432_TCP=tcp://{ip}:5432"),
            &format!("MY_STORE_PORT_5432_TCP_ADDR={ip}"),
            "MY_STORE_PORT_5432_TCP_PORT=5432",
            "MY_STORE_PORT_5432_TCP_PROTO=tcp",
            "MY_STORE_NAME=/web/my-store",
            "MY_STORE_ENV_PASSWORD=x=y",
        ]
    );
    // On a network of the user's there are none.
    sandbox.run(["network", "create", "net"]).success();
    sandbox.run(["network", "connect", "net", "db"]).success();
    sandbox
        .run(["run", "--rm", "--network", "net", "--link", "db", "busybox", "env"])
        .success()
        .stdout_lacks("DB_");
}
