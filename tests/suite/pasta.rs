//! Containers where the kernel has no packet rules for the user: pasta is the way out, or they are told what to do.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::support::harness::{Test, tests};
use crate::support::outside::{HOST, Outside, WORLD, echo, greet, within};
use crate::support::sandbox::PacketRules;
use crate::support::wire::nameserver;
use crate::support::{Layer, Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    what_cannot_be_names_what_can,
    a_tap_device_that_is_closed_is_named,
    a_missing_program_is_named,
    the_world_is_reached_through_pasta,
    ports_are_published_through_pasta,
];

fn is_installed() -> bool {
    std::path::Path::new("/usr/bin/pasta").exists()
}

fn what_cannot_be_names_what_can() {
    let sandbox = Sandbox::new().busybox().without_packet_rules(PacketRules::Nothing);
    sandbox.run(["network", "create", "net"]).success();
    let text = "this machine lets this user make no networks";
    sandbox
        .run(["run", "--rm", "--network", "net", "busybox", "true"])
        .code(125)
        .stderr_contains(text)
        .stderr_contains("--network host, or --network none");
    sandbox
        .run(["run", "--rm", "--network", "bridge", "--network", "net", "busybox", "true"])
        .code(125)
        .stderr_contains(text)
        .stderr_contains("default one only");
    sandbox.run(["run", "--rm", "--network", "none", "busybox", "echo", "hi"]).stdout("hi\n").success();
    sandbox.run(["run", "--rm", "--network", "host", "busybox", "echo", "hi"]).stdout("hi\n").success();
}

fn a_tap_device_that_is_closed_is_named() {
    let sandbox = Sandbox::new().busybox().without_packet_rules(PacketRules::Nothing);
    if is_installed() {
        sandbox
            .run(["run", "--rm", "busybox", "true"])
            .code(125)
            .stderr_contains("pasta needs /dev/net/tun, which this user cannot open");
    }
}

fn a_missing_program_is_named() {
    let sandbox = Sandbox::new().busybox().without_packet_rules(PacketRules::Tap);
    let programs = sandbox.directory("bin");
    for name in ["newuidmap", "newgidmap"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{name}"), format!("{programs}/{name}")).unwrap();
    }
    sandbox
        .command(["run", "--rm", "busybox", "true"])
        .through(&["/usr/bin/env", &format!("PATH={programs}")])
        .run()
        .code(125)
        .stderr_contains("install pasta (package passt)");
}

/// A world, and a sandbox whose containers reach it through pasta, if there is one.
fn world() -> Option<(Outside, Sandbox)> {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.image("img", Layer::probe);
    is_installed().then(|| (outside, sandbox.without_packet_rules(PacketRules::Tap)))
}

fn the_world_is_reached_through_pasta() {
    let Some((outside, sandbox)) = world() else { return };
    answer(outside.world(), "192.0.2.1:7000");
    greet(outside.host(), "127.0.0.1:7001", Some("secret"));
    echo(outside.world(), "192.0.2.1:7000");
    nameserver(outside.world(), WORLD, [198, 51, 100, 7]);
    let script = |text: &str| sandbox.run(["run", "--rm", "--dns", WORLD, "img", "sh", "-c", text]);
    // Old versions of pasta may keep the end of a connection to themselves. The first process of a container does
    // not hear a timeout, so the client is not the first.
    // On a busy machine they say everything again and again, too.
    let who = format!("echo who | timeout 5 nc {WORLD} 7000 | head -n 1");
    script(&who).stdout(&format!("{HOST}\n"));
    script(&format!("/probe datagram {WORLD}:7000 1000")).stdout("same\n").success();
    script(&format!("/probe ask {WORLD} good.test A udp")).stdout("0 198.51.100.7\n").success();
    let outcome = script("nc -w 3 $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p') 7001");
    assert!(!outcome.text().contains("secret"), "{outcome}");
    // What it is looks as on any host.
    sandbox.run(["run", "-d", "--name", "aa", "img", "sleep", "1000"]).success();
    let ip = sandbox.run(["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "aa"]).success().text();
    sandbox.run(["exec", "aa", "ip", "-4", "-o", "addr", "show", "eth0"]).success().stdout_contains(&ip);
    sandbox.run(["network", "create", "net"]).success();
    sandbox.run(["network", "connect", "net", "aa"]).code(1).stderr_contains("through pasta");
    sandbox.run(["network", "disconnect", "bridge", "aa"]).success();
    wait_until("the device is gone", || sandbox.run(["exec", "aa", "ls", "/sys/class/net"]).text() == "lo");
    sandbox.run(["network", "connect", "bridge", "aa"]).success();
    sandbox.run(["exec", "aa", "sh", "-c", &who]).stdout(&format!("{HOST}\n"));
}

/// Tells everybody who asks where he comes from. Old versions of pasta lose what a server says unasked.
fn answer(pid: u32, address: &'static str) {
    let listener = within(pid, move || TcpListener::bind(address).unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(format!("{peer}\n").as_bytes());
        }
    });
}

fn ports_are_published_through_pasta() {
    let Some((outside, sandbox)) = world() else { return };
    // The client speaks first: old versions of pasta lose what a server says at once and closes.
    let flags = ["run", "-d", "--name", "web", "-p", "8000:80", "-p", "80"];
    sandbox.run(flags.iter().chain(&["img", "httpd", "-f", "-p", "80"])).success();
    let client = outside.world();
    let is_answered = move || {
        within(client, || {
            let Ok(mut stream) = TcpStream::connect((HOST, 8000)) else { return false };
            let mut text = String::new();
            stream.write_all(b"GET /nothing HTTP/1.0\r\n\r\n").is_ok()
                && stream.read_to_string(&mut text).is_ok()
                && text.contains(" 404 ")
        })
    };
    wait_until("an answer", is_answered);
    sandbox.run(["port", "web", "80"]).success().stdout_contains("0.0.0.0:8000\n");
    sandbox
        .run(["run", "--rm", "-p", "8000:80", "img", "true"])
        .code(125)
        .stderr_contains("Bind for 0.0.0.0:8000 failed: port is already allocated");
    // The port is free for the next run.
    sandbox.run(["restart", "-t", "0", "web"]).success();
    wait_until("an answer", is_answered);
    sandbox.run(["rm", "-f", "web"]).success();
    sandbox.run(["run", "--rm", "-p", "8000:80", "img", "true"]).success();
}
