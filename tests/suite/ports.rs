//! Published ports: how they are asked for, shown, reached and refused.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    a_published_port_is_reached,
    shows_ports_everywhere,
    gives_a_random_port,
    a_range_gives_the_first_free_port,
    publishes_all_declared_ports,
    an_address_of_the_host_is_heeded,
    a_busy_port_is_dockers_error,
    ports_close_with_the_container,
    ports_survive_a_restart,
    wrong_ports_are_refused,
    a_port_of_no_container_is_an_error,
];

/// Returns ports of this machine that nobody had a moment ago, one after the other.
fn free(count: u16) -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let all = (0..count).map(|more| first.checked_add(more));
        if all.flatten().filter(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()).count()
            == usize::from(count)
        {
            return first;
        }
    }
    panic!("no {count} free ports");
}

/// Starts a container that answers each connection to port 80 with its host name.
#[track_caller]
fn serve(sandbox: &Sandbox, name: &str, flags: &[&str]) {
    let mut words = vec!["run", "-d", "--name", name, "--hostname", name];
    words.extend(flags);
    words.extend(["busybox", "nc", "-ll", "-p", "80", "-e", "hostname"]);
    sandbox.run(words).success();
}

/// Returns what is said at an address; the program inside may not listen yet.
#[track_caller]
fn hear(address: &str) -> String {
    let mut text = String::new();
    wait_until(&format!("an answer from {address}"), || {
        text.clear();
        let Ok(mut stream) = TcpStream::connect(address) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.read_to_string(&mut text).is_ok() && !text.is_empty()
    });
    text.trim().to_owned()
}

fn a_published_port_is_reached() {
    let sandbox = Sandbox::new().busybox();
    let port = free(1);
    serve(&sandbox, "web", &["-p", &format!("{port}:80")]);
    assert_eq!(hear(&format!("127.0.0.1:{port}")), "web");
    assert_eq!(hear(&format!("[::1]:{port}")), "web");
    sandbox.run(["network", "create", "net"]).success();
    let other = free(1);
    serve(&sandbox, "other", &["--network", "net", "-p", &format!("{other}:80")]);
    assert_eq!(hear(&format!("127.0.0.1:{other}")), "other");
}

fn shows_ports_everywhere() {
    let sandbox = Sandbox::new().busybox();
    let port = free(1);
    serve(&sandbox, "web", &["-p", &format!("{port}:80"), "--expose", "90-91"]);
    let shown = sandbox.run(["ps", "--format", "{{.Ports}}"]);
    shown.stdout(&format!("90-91/tcp, 0.0.0.0:{port}->80/tcp, [::]:{port}->80/tcp\n"));
    sandbox
        .run(["port", "web"])
        .stdout(&format!("80/tcp -> 0.0.0.0:{port}\n80/tcp -> [::]:{port}\n"))
        .success();
    for words in [&["port", "web", "80"][..], &["port", "web", "80/tcp"], &["container", "port", "web", "80"]]
    {
        sandbox.run(words.iter()).stdout(&format!("0.0.0.0:{port}\n[::]:{port}\n")).success();
    }
    sandbox.run(["port", "web", "81"]).code(1).stderr_contains("no public port '81' published for web");
    let found = sandbox.run(["inspect", "web"]).json()[0].clone();
    assert_eq!(
        found["NetworkSettings"]["Ports"],
        json!({
            "80/tcp": [
                {"HostIp": "0.0.0.0", "HostPort": port.to_string()},
                {"HostIp": "::", "HostPort": port.to_string()},
            ],
            "90/tcp": null,
            "91/tcp": null,
        })
    );
    assert_eq!(
        found["HostConfig"]["PortBindings"],
        json!({"80/tcp": [{"HostIp": "", "HostPort": port.to_string()}]})
    );
    let ids = |filter: &str| sandbox.run(["ps", "-q", "-f", filter]).success().lines().len();
    // What is published is the host's port, what is exposed the container's.
    let published = |filter: &str| ids(&format!("publish={filter}"));
    assert_eq!((published(&port.to_string()), published("90"), published(&format!("{port}/udp"))), (1, 0, 0));
    assert_eq!((published("80"), published(&format!("1024-{port}/tcp"))), (0, 1));
    assert_eq!((ids("expose=90/tcp"), ids("expose=92/tcp"), ids("expose=90/udp")), (1, 0, 0));
    sandbox.run(["stop", "-t", "0", "web"]).success();
    sandbox.run(["ps", "-a", "--format", "<{{.Ports}}>"]).stdout("<>\n");
}

fn gives_a_random_port() {
    let sandbox = Sandbox::new().busybox();
    serve(&sandbox, "web", &["-p", "127.0.0.1::80"]);
    let address = sandbox.run(["port", "web", "80"]).success().text();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert_eq!(hear(&address), "web");
}

fn a_range_gives_the_first_free_port() {
    let sandbox = Sandbox::new().busybox();
    let first = free(2);
    let range = format!("127.0.0.1:{first}-{}:80", first + 1);
    serve(&sandbox, "aa", &["-p", &range]);
    serve(&sandbox, "bb", &["-p", &range]);
    sandbox.run(["port", "aa", "80"]).stdout(&format!("127.0.0.1:{first}\n"));
    sandbox.run(["port", "bb", "80"]).stdout(&format!("127.0.0.1:{}\n", first + 1));
    let outcome = sandbox.run(["run", "--rm", "-p", &range, "busybox", "true"]);
    outcome.code(125).stderr_contains("port is already allocated");
}

fn publishes_all_declared_ports() {
    let sandbox = Sandbox::new().busybox();
    serve(&sandbox, "web", &["-P", "--expose", "80", "--expose", "5353/udp"]);
    let lines = sandbox.run(["port", "web"]).success().lines();
    let of = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((of("80/tcp -> 0.0.0.0:"), of("5353/udp -> 0.0.0.0:")), (1, 1), "{lines:?}");
    let address = sandbox.run(["port", "web", "80"]).lines()[0].replace("0.0.0.0", "127.0.0.1");
    assert_eq!(hear(&address), "web");
}

fn an_address_of_the_host_is_heeded() {
    let sandbox = Sandbox::new().busybox();
    let port = free(1);
    serve(&sandbox, "web", &["-p", &format!("127.0.0.2:{port}:80")]);
    assert_eq!(hear(&format!("127.0.0.2:{port}")), "web");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    sandbox.run(["ps", "--format", "{{.Ports}}"]).stdout(&format!("127.0.0.2:{port}->80/tcp\n"));
}

fn a_busy_port_is_dockers_error() {
    let sandbox = Sandbox::new().busybox();
    let port = free(1);
    let asked = format!("{port}:80");
    serve(&sandbox, "web", &["-p", &asked]);
    let outcome = sandbox.run(["run", "--name", "late", "-p", &asked, "busybox", "true"]);
    outcome
        .code(125)
        .stderr_contains(
            "coracle: Error response from daemon: failed to set up container networking: driver failed programming \
             external connectivity on endpoint late (",
        )
        .stderr_contains(&format!("): Bind for 0.0.0.0:{port} failed: port is already allocated"));
    assert_eq!(sandbox.status_of("late"), "created");
    sandbox.run(["rm", "-f", "web"]).success();
    sandbox.run(["start", "-a", "late"]).success();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = format!("127.0.0.1:{port}:80");
    sandbox
        .run(["run", "--rm", "-p", &asked, "busybox", "true"])
        .code(125)
        .stderr_contains(&format!("Bind for 127.0.0.1:{port} failed: port is already allocated"));
}

fn ports_close_with_the_container() {
    let sandbox = Sandbox::new().busybox();
    let port = free(1);
    let asked = format!("127.0.0.1:{port}:80");
    serve(&sandbox, "web", &["-p", &asked]);
    serve(&sandbox, "other", &[]);
    assert_eq!(hear(&format!("127.0.0.1:{port}")), "web");
    sandbox.run(["stop", "-t", "0", "web"]).success();
    wait_until("the port is closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
    sandbox.run(["start", "web"]).success();
    assert_eq!(hear(&format!("127.0.0.1:{port}")), "web");
    sandbox.run(["rm", "-f", "web"]).success();
    serve(&sandbox, "next", &["-p", &asked]);
    assert_eq!(hear(&format!("127.0.0.1:{port}")), "next");
}

fn ports_survive_a_restart() {
    let sandbox = Sandbox::new().busybox();
    let port = free(1);
    serve(&sandbox, "web", &["-p", &format!("{port}:80")]);
    sandbox.run(["restart", "-t", "0", "web"]).success();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _ = stream.write_all(b"\n");
    assert_eq!(hear(&format!("127.0.0.1:{port}")), "web");
}

fn wrong_ports_are_refused() {
    let sandbox = Sandbox::new().busybox();
    for (port, text) in [
        ("8080:x", "invalid containerPort: x"),
        ("x:80", "invalid hostPort: x"),
        ("nowhere:80:80", "invalid IP address: nowhere"),
        ("80/icmp", "invalid proto: icmp"),
        ("80/sctp", "sctp"),
        ("8000-8001:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
    ] {
        sandbox.run(["run", "--rm", "-p", port, "busybox", "true"]).code(125).stderr_contains(text);
    }
    let limit = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if limit.trim().parse::<u16>().unwrap() > 1 {
        sandbox
            .run(["run", "--rm", "-p", "1:80", "busybox", "true"])
            .code(125)
            .stderr_contains("sysctl net.ipv4.ip_unprivileged_port_start=1");
    }
}

fn a_port_of_no_container_is_an_error() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["port", "nope"]).code(1).stderr("Error response from daemon: No such container: nope\n");
    sandbox.run(["create", "--name", "aa", "-p", "80", "busybox"]).success();
    sandbox.run(["port", "aa"]).stdout("").success();
}
