//! What goes between containers and the world, as the world sees it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::harness::{Test, tests};
use crate::support::outside::{HOST, Outside, WORLD, greet, within};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    connections_leave_with_the_hosts_address,
    refused_is_refused,
    echo_requests_are_answered,
    published_ports_show_the_clients_address,
    published_ports_show_it_in_ipv6_too,
    an_internal_network_is_not_published,
    subnets_avoid_the_hosts_routes,
    the_hosts_loopback_is_out_of_reach,
];

/// Runs a script in a container of its own.
#[track_caller]
fn script(sandbox: &Sandbox, flags: &[&str], text: &str) -> crate::support::outcome::Outcome {
    let mut words = vec!["run", "--rm"];
    words.extend(flags);
    words.extend(["busybox", "sh", "-c", text]);
    sandbox.run(words)
}

fn connections_leave_with_the_hosts_address() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    greet(outside.world(), "192.0.2.1:7000", None);
    greet(outside.world(), "[2001:db8::1]:7000", None);
    script(&sandbox, &[], &format!("nc {WORLD} 7000")).stdout(&format!("{HOST}\n")).success();
    sandbox.run(["network", "create", "--ipv6", "six"]).success();
    script(&sandbox, &["--network", "six"], "nc 2001:db8::1 7000").stdout("2001:db8::2\n").success();
}

fn refused_is_refused() {
    let (_outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    script(&sandbox, &[], &format!("nc -w 5 {WORLD} 7001")).code(1).stderr_contains("Connection refused");
}

fn echo_requests_are_answered() {
    let (_outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    script(&sandbox, &[], &format!("ping -c 1 -W 5 {WORLD}")).success().stdout_contains("1 packets received");
    script(&sandbox, &[], "ping -c 1 -W 1 192.0.2.99").code(1);
}

fn published_ports_show_the_clients_address() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    sandbox
        .run(["run", "-d", "--name", "web", "-p", "8000:80", "busybox", "httpd", "-f", "-vv", "-p", "80"])
        .success();
    let client = outside.world();
    wait_until("an answer", || {
        within(client, || {
            let Ok(mut stream) = TcpStream::connect((HOST, 8000)) else { return false };
            let mut text = String::new();
            stream.write_all(b"GET /nothing HTTP/1.0\r\n\r\n").is_ok()
                && stream.read_to_string(&mut text).is_ok()
                && text.contains(" 404 ")
        })
    });
    wait_until("the client's address in the log", || {
        let log = sandbox.run(["logs", "web"]);
        format!("{}{}", log.text(), log.error_text()).contains(WORLD)
    });
}

fn published_ports_show_it_in_ipv6_too() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    sandbox.run(["network", "create", "--ipv6", "six"]).success();
    let flags = ["run", "-d", "--name", "web", "-p", "8000:80", "--network", "six"];
    sandbox
        .run(flags.iter().chain(&["busybox", "nc", "-ll", "-p", "80", "-e", "sh", "-c", "netstat -tn"]))
        .success();
    let client = outside.world();
    let hear = move |to: &'static str| {
        within(client, move || {
            let mut text = String::new();
            let Ok(mut stream) = TcpStream::connect(to) else { return (String::new(), text) };
            let own = stream.local_addr().unwrap().to_string().replace(['[', ']'], "");
            let _ = stream.read_to_string(&mut text);
            (own, text)
        })
    };
    for to in ["[2001:db8::2]:8000", "192.0.2.2:8000"] {
        wait_until("an answer", || !hear(to).1.is_empty());
        let (own, text) = hear(to);
        assert!(text.contains(&own), "{own}\n{text}");
    }
}

fn an_internal_network_is_not_published() {
    let (_outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    sandbox.run(["network", "create", "--internal", "inner"]).success();
    sandbox
        .run(["run", "-d", "--name", "aa", "--network", "inner", "-p", "8000:80", "busybox", "sleep", "100"])
        .success();
    sandbox.run(["port", "aa"]).stdout("").success();
    assert_eq!(sandbox.run(["exec", "aa", "ping", "-c", "1", "-W", "1", WORLD]).code, Some(1));
}

fn subnets_avoid_the_hosts_routes() {
    let (outside, sandbox) = Outside::new();
    let host = outside.host().to_string();
    for words in [["addr", "add", "172.17.3.1/24"], ["addr", "add", "172.18.0.1/32"]] {
        let status = std::process::Command::new("nsenter")
            .args(["-t", &host, "-n", "ip"])
            .args(words)
            .args(["dev", "up0"])
            .status()
            .unwrap();
        assert!(status.success());
    }
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    sandbox.run(["network", "inspect", "-f", format, "bridge"]).stdout("172.19.0.0/16\n").success();
}

fn the_hosts_loopback_is_out_of_reach() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    greet(outside.host(), "127.0.0.1:7003", Some("secret"));
    greet(outside.host(), "192.0.2.2:7004", Some("open"));
    let reach = "nc -w 5 host.docker.internal";
    wait_until("the host's servers listen", || {
        script(&sandbox, &[], &format!("{reach} 7004")).text() == "open"
    });
    script(&sandbox, &[], &format!("{reach} 7003")).stdout("").code(1);
    sandbox.run(["network", "create", "-o", "coracle.host_loopback=true", "near"]).success();
    script(&sandbox, &["--network", "near"], &format!("{reach} 7003")).stdout("secret\n").success();
}
