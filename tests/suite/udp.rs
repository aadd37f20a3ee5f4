//! Datagrams between containers and the world, and what ICMP says about them.

use std::net::UdpSocket;
use std::time::Duration;

use crate::support::harness::{Test, tests};
use crate::support::outside::{HOST, Outside, WORLD, echo, within};
use crate::support::{Layer, Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    datagrams_of_all_sizes_come_back,
    a_closed_port_refuses,
    the_gateway_is_the_host,
    published_ports_show_the_client,
    answers_leave_from_the_address_asked,
    pings_are_answered_in_all_sizes,
    errors_of_pings_come_back,
];

/// A world, and a container on a network with both versions of the protocol.
fn both() -> (Outside, Sandbox) {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.image("img", Layer::probe);
    sandbox.run(["network", "create", "--ipv6", "six"]).success();
    (outside, sandbox)
}

fn datagrams_of_all_sizes_come_back() {
    let (outside, sandbox) = both();
    for (to, longest) in [("192.0.2.1:7000", 65507), ("[2001:db8::1]:7000", 65527)] {
        echo(outside.world(), to);
        for size in [0, 1, 1472, 1473, 9000, longest] {
            sandbox
                .run(["run", "--rm", "--network", "six", "img", "/probe", "datagram", to, &size.to_string()])
                .stdout("same\n")
                .success();
        }
    }
}

fn a_closed_port_refuses() {
    let (_outside, sandbox) = both();
    for to in ["192.0.2.1:7001", "[2001:db8::1]:7001"] {
        sandbox
            .run(["run", "--rm", "--network", "six", "img", "/probe", "datagram", to, "5"])
            .stdout("Connection refused (os error 111)\n")
            .success();
    }
}

fn the_gateway_is_the_host() {
    let (outside, sandbox) = both();
    echo(outside.host(), "192.0.2.2:7000");
    echo(outside.host(), "127.0.0.1:7001");
    let script =
        |port: u16| format!("exec /probe datagram $(sed -n 's/^nameserver //p' /etc/resolv.conf):{port} 5");
    let run = |network: &str, port: u16| {
        sandbox.run(["run", "--rm", "--network", network, "img", "sh", "-c", &script(port)])
    };
    run("six", 7000).stdout("same\n").success();
    run("six", 7001).stdout("Connection refused (os error 111)\n").success();
    sandbox.run(["network", "create", "-o", "coracle.host_loopback=true", "near"]).success();
    run("near", 7001).stdout("same\n").success();
}

/// Sends something to a published port, and returns the client's address and port and what the container saw.
fn greet(pid: u32, own: &'static str, to: &'static str) -> Option<(String, String)> {
    within(pid, move || {
        let socket = UdpSocket::bind(own).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // A connected socket takes answers from the address asked only.
        socket.connect(to).unwrap();
        socket.send(b"who am I").unwrap();
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).ok()?;
        let seen = String::from_utf8_lossy(&buffer[..length]).into_owned();
        Some((socket.local_addr().unwrap().to_string(), seen))
    })
}

fn published_ports_show_the_client() {
    let (outside, sandbox) = both();
    sandbox
        .run([
            "run",
            "-d",
            "--name",
            "cc",
            "--network",
            "six",
            "-p",
            "9000:9001/udp",
            "img",
            "/probe",
            "mirror",
            "[::]:9001",
        ])
        .success();
    wait_until("the mirror", || sandbox.run(["logs", "cc"]).text() == "ready");
    let (client, seen) = greet(outside.world(), "192.0.2.1:0", "192.0.2.2:9000").unwrap();
    assert_eq!(seen.replace("::ffff:", "").replace(['[', ']'], ""), client);
    let (client, seen) = greet(outside.world(), "[2001:db8::1]:0", "[2001:db8::2]:9000").unwrap();
    assert_eq!(seen, client);
    // From the host's own loopback, as the gateway.
    let gateway =
        sandbox.run(["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "six"]).text();
    let (_, seen) = greet(outside.host(), "127.0.0.1:0", "127.0.0.1:9000").unwrap();
    assert!(seen.contains(&gateway), "{seen}");
    // The port is free again.
    sandbox.run(["rm", "-f", "cc"]).success();
    within(outside.host(), || UdpSocket::bind("0.0.0.0:9000").map(drop)).unwrap();
}

fn answers_leave_from_the_address_asked() {
    let (outside, sandbox) = both();
    let line = format!("nsenter -t {} -n ip addr add 192.0.2.9/24 dev up0", outside.host());
    assert!(std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success());
    sandbox
        .run(["run", "-d", "--name", "cc", "-p", "9000:9000/udp", "img", "/probe", "mirror", "0.0.0.0:9000"])
        .success();
    wait_until("the mirror", || sandbox.run(["logs", "cc"]).text() == "ready");
    for to in ["192.0.2.9:9000", "192.0.2.2:9000"] {
        let (client, seen) = greet(outside.world(), "192.0.2.1:7777", to).unwrap();
        assert!(seen == client || to.starts_with(HOST), "{seen} {client}");
    }
}

fn pings_are_answered_in_all_sizes() {
    let (_outside, sandbox) = both();
    for (to, size) in
        [(WORLD, "56"), (WORLD, "1473"), (WORLD, "65000"), ("2001:db8::1", "56"), ("2001:db8::1", "20000")]
    {
        let words = [
            "run",
            "--rm",
            "--network",
            "six",
            "img",
            "ping",
            "-c",
            "2",
            "-i",
            "0.1",
            "-W",
            "9",
            "-s",
            size,
            to,
        ];
        sandbox.run(words).success().stdout_contains("2 packets received");
    }
}

fn errors_of_pings_come_back() {
    let (outside, sandbox) = both();
    // The world does not pass packets on, but says so.
    let line = format!("nsenter -t {} -n ip route add unreachable 203.0.113.0/24", outside.world());
    assert!(std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success());
    let forward = format!("nsenter -t {} -n sysctl -qw net.ipv4.ip_forward=1", outside.world());
    assert!(std::process::Command::new("sh").args(["-c", &forward]).status().unwrap().success());
    let words =
        ["run", "--rm", "img", "traceroute", "-I", "-n", "-q", "1", "-w", "5", "-m", "4", "203.0.113.5"];
    let text = sandbox.run(words).text();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.iter().any(|line| line.contains(WORLD)), "{text}");
    assert!(text.contains("!H"), "{text}");
}
