//! Names: what a container is told by the nameserver of its networks.

use crate::support::harness::{Test, tests};
use crate::support::outcome::Outcome;
use crate::support::outside::{Outside, WORLD, within};
use crate::support::wire::nameserver;
use crate::support::{Layer, Sandbox};

pub(crate) const TESTS: &[Test] = tests![
    names_are_those_of_the_network,
    names_are_there_from_the_first_packet,
    several_addresses_take_turns,
    other_names_are_asked_of_the_servers_given,
    a_server_that_fails_is_followed_by_the_next,
    long_answers_come_over_tcp,
    internal_networks_ask_nobody,
    noise_hurts_nobody,
];

fn sandbox() -> Sandbox {
    Sandbox::new().image("img", Layer::probe)
}

/// Starts a container that does nothing.
#[track_caller]
fn idle(sandbox: &Sandbox, name: &str, flags: &[&str]) -> String {
    let mut words = vec!["run", "-d", "--name", name];
    words.extend(flags);
    words.extend(["img", "sleep", "1000"]);
    sandbox.run(words).success().text()
}

/// Has the nameserver that a container's `resolv.conf` names asked from inside it.
#[track_caller]
fn ask(sandbox: &Sandbox, container: &str, name: &str, kind: &str, over: &str) -> Outcome {
    let script =
        format!("exec /probe ask $(sed -n 's/^nameserver //p' /etc/resolv.conf) {name} {kind} {over}");
    sandbox.run(["exec", container, "sh", "-c", &script])
}

#[track_caller]
fn address(sandbox: &Sandbox, name: &str, network: &str) -> String {
    let format = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
    sandbox.run(["inspect", "-f", &format, name]).success().text()
}

fn names_are_those_of_the_network() {
    let sandbox = sandbox();
    sandbox.run(["network", "create", "front"]).success();
    sandbox.run(["network", "create", "back"]).success();
    let id =
        idle(&sandbox, "web", &["--network", "front", "--network-alias", "www", "--hostname", "Machine"]);
    idle(&sandbox, "asker", &["--network", "front"]);
    idle(&sandbox, "stranger", &["--network", "back"]);
    let web = address(&sandbox, "web", "front");
    for name in ["web", "WEB", "www", "web.front", "machine", &id[..12]] {
        for over in ["udp", "tcp"] {
            ask(&sandbox, "asker", name, "A", over).stdout(&format!("0 {web}\n")).success();
        }
    }
    // A name that is known has no other records, and none outside.
    ask(&sandbox, "asker", "web", "AAAA", "udp").stdout("0\n").success();
    ask(&sandbox, "asker", "web", "TXT", "udp").stdout("0\n").success();
    let [a, b, c, d] = web.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let reverse = format!("{d}.{c}.{b}.{a}.in-addr.arpa");
    ask(&sandbox, "asker", &reverse, "PTR", "udp").stdout("0 web.front\n").success();
    // Whoever is elsewhere learns nothing.
    let outcome = ask(&sandbox, "stranger", "web.front", "A", "udp");
    assert!(!outcome.text().contains(&web), "{outcome}");
    // Who comes and goes.
    sandbox.run(["network", "connect", "front", "stranger"]).success();
    ask(&sandbox, "stranger", "web", "A", "udp").stdout(&format!("0 {web}\n")).success();
    sandbox.run(["network", "disconnect", "front", "web"]).success();
    let outcome = ask(&sandbox, "asker", "www", "A", "udp");
    assert!(!outcome.text().contains(&web), "{outcome}");
}

fn names_are_there_from_the_first_packet() {
    let sandbox = sandbox();
    idle(&sandbox, "db", &[]);
    let db = address(&sandbox, "db", "bridge");
    let script = "exec /probe ask $(sed -n 's/^nameserver //p' /etc/resolv.conf) db A udp";
    sandbox.run(["run", "--rm", "img", "sh", "-c", script]).stdout(&format!("0 {db}\n")).success();
}

fn several_addresses_take_turns() {
    let sandbox = sandbox();
    sandbox.run(["network", "create", "net"]).success();
    for name in ["one", "two", "three"] {
        idle(&sandbox, name, &["--network", "net", "--network-alias", "app"]);
    }
    let mut first = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let text = ask(&sandbox, "one", "app", "A", "udp").success().text();
        let words: Vec<_> = text.split(' ').map(ToOwned::to_owned).collect();
        assert_eq!((words.len(), words[0].as_str()), (4, "0"), "{text}");
        first.insert(words[1].clone());
    }
    assert_eq!(first.len(), 3);
}

/// A world with nameservers, and a container that has been told to ask `servers`.
fn asking(servers: &[&str]) -> (Outside, Sandbox) {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.image("img", Layer::probe);
    let flags: Vec<_> = servers.iter().flat_map(|server| ["--dns", server]).collect();
    idle(&sandbox, "cc", &flags);
    (outside, sandbox)
}

fn other_names_are_asked_of_the_servers_given() {
    let (outside, sandbox) = asking(&[WORLD]);
    let heard = nameserver(outside.world(), WORLD, [198, 51, 100, 7]);
    for over in ["udp", "tcp"] {
        ask(&sandbox, "cc", "gOOd.test", "A", over).stdout("0 198.51.100.7\n").success();
        ask(&sandbox, "cc", "nobody.test", "A", over).stdout("3\n").success();
    }
    // Not what we know ourselves.
    ask(&sandbox, "cc", "cc", "AAAA", "udp").stdout("0\n").success();
    assert_eq!(
        *heard.lock().unwrap(),
        ["good.test udp", "nobody.test udp", "good.test tcp", "nobody.test tcp"]
    );
}

fn a_server_that_fails_is_followed_by_the_next() {
    let (outside, sandbox) = asking(&["192.0.2.77", "192.0.2.78", WORLD]);
    // The first is silent, nobody listens at the second.
    for (pid, line) in [(outside.world(), "192.0.2.77/32 dev lo"), (outside.world(), "192.0.2.78/32 dev lo")]
    {
        let script = format!("nsenter -t {pid} -n ip addr add {line}");
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }
    let silent = within(outside.world(), || std::net::UdpSocket::bind("192.0.2.77:53").unwrap());
    nameserver(outside.world(), WORLD, [198, 51, 100, 7]);
    ask(&sandbox, "cc", "good.test", "A", "udp").stdout("0 198.51.100.7\n").success();
    // When all fail, the asker is told.
    ask(&sandbox, "cc", "fail.test", "A", "udp").stdout("2\n").success();
    drop(silent);
}

fn long_answers_come_over_tcp() {
    let (outside, sandbox) = asking(&[WORLD]);
    nameserver(outside.world(), WORLD, [198, 51, 100, 7]);
    ask(&sandbox, "cc", "many.test", "A", "udp").stdout("0 cut\n").success();
    let text = ask(&sandbox, "cc", "many.test", "A", "tcp").success().text();
    assert_eq!(text.split(' ').count(), 101, "{text}");
    let script = "exec /probe pipeline $(sed -n 's/^nameserver //p' /etc/resolv.conf) silent.test cc";
    // The second question does not wait for the first.
    sandbox.run(["exec", "cc", "sh", "-c", script]).stdout("[1, 2]\n").success();
}

fn internal_networks_ask_nobody() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.image("img", Layer::probe);
    let heard = nameserver(outside.world(), WORLD, [198, 51, 100, 7]);
    sandbox.run(["network", "create", "--internal", "inner"]).success();
    idle(&sandbox, "cc", &["--network", "inner", "--dns", WORLD]);
    ask(&sandbox, "cc", "good.test", "A", "udp").stdout("2\n").success();
    assert!(heard.lock().unwrap().is_empty());
    // A second network that leads outside changes that.
    sandbox.run(["network", "connect", "bridge", "cc"]).success();
    ask(&sandbox, "cc", "good.test", "A", "udp").stdout("0 198.51.100.7\n").success();
}

fn noise_hurts_nobody() {
    let (outside, sandbox) = asking(&[WORLD]);
    nameserver(outside.world(), WORLD, [198, 51, 100, 7]);
    idle(&sandbox, "neighbour", &["--dns", WORLD]);
    let script = "exec /probe noise $(sed -n 's/^nameserver //p' /etc/resolv.conf)";
    sandbox.run(["exec", "cc", "sh", "-c", script]).success();
    // While the noisy one's questions are still outstanding.
    ask(&sandbox, "neighbour", "good.test", "A", "udp").stdout("0 198.51.100.7\n").success();
    ask(&sandbox, "cc", "neighbour", "AAAA", "udp").stdout("0\n").success();
}
