//! Networks: the commands, and containers in them.

use std::net::Ipv4Addr;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::harness::{Test, tests};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    there_are_three_from_the_start,
    creates_inspects_and_removes,
    refuses_what_cannot_be,
    lists_by_filter_and_format,
    prunes_what_nobody_uses,
    the_default_network_gives_an_address,
    writes_the_files_of_etc,
    neighbours_find_each_other_by_name,
    networks_are_kept_apart,
    an_internal_network_leads_nowhere,
    static_addresses_are_given_once,
    a_device_has_the_name_asked_for,
    connects_and_disconnects_a_running_container,
    connects_a_stopped_container,
    several_networks_at_once,
    shares_the_network_of_another_container,
    links_have_names_and_lines,
    a_network_in_use_stays,
    a_container_survives_its_router,
    a_restarted_container_is_back_in_its_networks,
    the_router_leaves_with_the_last_container,
    options_that_contradict_each_other,
];

/// Starts a container that does nothing.
#[track_caller]
fn idle(sandbox: &Sandbox, name: &str, flags: &[&str]) {
    let mut words = vec!["run", "-d", "--name", name];
    words.extend(flags);
    words.extend(["busybox", "sleep", "1000"]);
    sandbox.run(words).success();
}

#[track_caller]
fn address(sandbox: &Sandbox, name: &str, network: &str) -> String {
    let format = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
    sandbox.run(["inspect", "-f", &format, name]).success().text()
}

/// Tells whether a container has an answer from another one.
#[track_caller]
fn pings(sandbox: &Sandbox, name: &str, to: &str) -> bool {
    sandbox.run(["exec", name, "ping", "-c", "1", "-W", "1", to]).code == Some(0)
}

fn there_are_three_from_the_start() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(["network", "ls"]);
    let lines = outcome.success().lines();
    let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"], "{outcome}");
    let rest: Vec<_> = words[1..].iter().map(|line| (line[0].len(), line[1], line[2], line[3])).collect();
    assert_eq!(
        rest,
        [(12, "bridge", "bridge", "local"), (12, "host", "host", "local"), (12, "none", "null", "local")]
    );
    for name in ["bridge", "host", "none"] {
        sandbox
            .run(["network", "rm", name])
            .code(1)
            .stderr_contains(&format!("{name} is a pre-defined network and cannot be removed"));
        sandbox.run(["network", "create", name]).code(1).stderr(&format!(
            "Error response from daemon: operation is not permitted on predefined {name} network\n"
        ));
    }
}

fn creates_inspects_and_removes() {
    let sandbox = Sandbox::new();
    let id = sandbox
        .run([
            "network",
            "create",
            "--subnet",
            "10.231.7.0/24",
            "--ip-range",
            "10.231.7.128/25",
            "--gateway",
            "10.231.7.9",
            "--aux-address",
            "tv=10.231.7.7",
            "--label",
            "tier=web",
            "-o",
            "com.docker.network.driver.mtu=1400",
            "--ipv6",
            "--internal",
            "--attachable",
            "web",
        ])
        .success()
        .text();
    assert_eq!(id.len(), 64);
    let found = &sandbox.run(["network", "inspect", "web"]).success().json()[0];
    assert_eq!(found["Id"], json!(id));
    assert_eq!(found["Name"], "web");
    assert_eq!(found["Driver"], "bridge");
    assert_eq!(found["Scope"], "local");
    assert_eq!((&found["Internal"], &found["Attachable"]), (&json!(true), &json!(true)));
    assert_eq!((&found["EnableIPv4"], &found["EnableIPv6"]), (&json!(true), &json!(true)));
    assert_eq!(
        found["IPAM"]["Config"][0],
        json!({
            "Subnet": "10.231.7.0/24", "IPRange": "10.231.7.128/25", "Gateway": "10.231.7.9",
            "AuxiliaryAddresses": {"tv": "10.231.7.7"},
        })
    );
    assert!(found["IPAM"]["Config"][1]["Subnet"].as_str().unwrap().starts_with("fd"));
    assert_eq!(found["Labels"], json!({"tier": "web"}));
    assert_eq!(found["Options"], json!({"com.docker.network.driver.mtu": "1400"}));
    assert_eq!(found["Containers"], json!({}));
    assert_eq!(found["ConfigFrom"], json!({"Network": ""}));
    for name in ["web", &id, &id[..8]] {
        let format = "{{(index .IPAM.Config 0).Subnet}} {{.Name}}";
        sandbox.run(["network", "inspect", "-f", format, name]).stdout("10.231.7.0/24 web\n").success();
        sandbox
            .run(["inspect", "--type", "network", "-f", "{{.Id}}", name])
            .stdout(&format!("{id}\n"))
            .success();
    }
    sandbox
        .run(["network", "create", "web"])
        .code(1)
        .stderr("Error response from daemon: network with name web already exists\n");
    sandbox.run(["network", "rm", "web"]).stdout("web\n").success();
    let gone = "Error response from daemon: network web not found\n";
    sandbox.run(["network", "rm", "web"]).code(1).stderr(gone);
    sandbox.run(["network", "rm", "-f", "web"]).success();
    sandbox.run(["network", "inspect", "web"]).code(1).stdout("[]\n").stderr(gone);
}

fn refuses_what_cannot_be() {
    let sandbox = Sandbox::new();
    sandbox.run(["network", "create", "--subnet", "10.231.8.0/24", "aa"]).success();
    for (words, text) in [
        (
            &["--subnet", "10.231.8.128/25", "bb"][..],
            "invalid pool request: Pool overlaps with other one on this address space",
        ),
        (&["--subnet", "10.231.9.1/24", "bb"], "invalid subnet 10.231.9.1/24: it should be 10.231.9.0/24"),
        (
            &["--subnet", "10.231.9.0/24", "--gateway", "10.231.8.1", "bb"],
            "no matching subnet for gateway 10.231.8.1",
        ),
        (&["--gateway", "10.231.9.1", "bb"], "every ip-range or gateway must have a corresponding subnet"),
        (&["--subnet", "10.231.9/24", "bb"], "invalid subnet 10.231.9/24: invalid CIDR block notation"),
        (&["-d", "overlay", "bb"], "driver \"overlay\" is not supported"),
        (&["-d", "macvlan", "bb"], "use the driver bridge"),
        (&["-d", "ipvlan", "bb"], "use the driver bridge"),
        (&["-d", "weave", "bb"], "plugin \"weave\" not found"),
        (&["-d", "host", "bb"], "only one instance of \"host\" network is allowed"),
        (&["--ipv4=false", "bb"], "IPv4 or IPv6 must be enabled"),
        (&["-o", "com.docker.network.driver.mtu=huge", "bb"], "is not a number from 68 to 65535"),
        (&["--config-only", "bb"], "--config-only"),
        (&["--ingress", "bb"], "--ingress"),
        (&["--scope", "swarm", "bb"], "--scope swarm"),
    ] {
        let mut line = vec!["network", "create"];
        line.extend(words);
        let outcome = sandbox.run(line);
        assert!(outcome.code != Some(0), "{outcome}");
        outcome.stderr_contains(text);
    }
    assert_eq!(sandbox.run(["network", "ls", "-q"]).lines().len(), 4);
}

fn lists_by_filter_and_format() {
    let sandbox = Sandbox::new();
    let id = sandbox.run(["network", "create", "--label", "tier=web", "front"]).success().text();
    sandbox.run(["network", "create", "back"]).success();
    let names = |filters: &[&str]| {
        let mut words = vec!["network", "ls", "--format", "{{.Name}}"];
        words.extend(filters.iter().flat_map(|filter| ["-f", filter]));
        sandbox.run(words).success().lines()
    };
    assert_eq!(names(&[]), ["back", "bridge", "front", "host", "none"]);
    assert_eq!(names(&["driver=bridge"]), ["back", "bridge", "front"]);
    assert_eq!(names(&["type=custom"]), ["back", "front"]);
    assert_eq!(names(&["type=builtin", "driver=null"]), ["none"]);
    assert_eq!(names(&["label=tier"]), ["front"]);
    assert_eq!(names(&["name=fro"]), ["front"]);
    assert_eq!(names(&[&format!("id={}", &id[..5])]), ["front"]);
    assert_eq!(names(&["dangling=true"]), ["back", "front"]);
    assert_eq!(names(&["scope=swarm"]), [""; 0]);
    sandbox.run(["network", "ls", "-q", "--no-trunc", "-f", "name=front"]).stdout(&format!("{id}\n"));
    sandbox.run(["network", "ls", "-f", "colour=red"]).code(1).stderr_contains("invalid filter 'colour'");
}

fn prunes_what_nobody_uses() {
    let sandbox = Sandbox::new().busybox();
    for name in ["aa", "bb", "cc"] {
        sandbox.run(["network", "create", "--label", name, name]).success();
    }
    sandbox.run(["create", "--network", "bb", "busybox"]).success();
    sandbox
        .command(["network", "prune"])
        .stdin("n\n")
        .run()
        .success()
        .stdout_contains("WARNING! This will remove");
    assert_eq!(sandbox.run(["network", "ls", "-q"]).lines().len(), 6);
    sandbox
        .run(["network", "prune", "-f", "--filter", "label!=cc"])
        .stdout("Deleted Networks:\naa\n\n")
        .success();
    sandbox.run(["network", "prune", "-f", "--filter", "until=10m"]).stdout("").success();
    sandbox.run(["network", "prune", "-f"]).stdout("Deleted Networks:\ncc\n\n").success();
    sandbox.run(["network", "inspect", "-f", "{{.Name}}", "bb"]).stdout("bb\n").success();
}

fn the_default_network_gives_an_address() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "aa", &[]);
    let found = sandbox.run(["inspect", "aa"]).success().json()[0]["NetworkSettings"].clone();
    let bridge = &found["Networks"]["bridge"];
    let ip: Ipv4Addr = bridge["IPAddress"].as_str().unwrap().parse().unwrap();
    assert_eq!(found["IPAddress"], json!(ip.to_string()));
    let network = sandbox.run(["network", "inspect", "bridge"]).success().json()[0].clone();
    let config = &network["IPAM"]["Config"][0];
    assert_eq!(bridge["Gateway"], config["Gateway"]);
    assert_eq!(bridge["NetworkID"], network["Id"]);
    let id = sandbox.run(["ps", "-q", "--no-trunc"]).text();
    assert_eq!(network["Containers"][&id]["Name"], "aa");
    assert_eq!(network["Containers"][&id]["IPv4Address"], format!("{ip}/16"));
    assert_eq!(network["Containers"][&id]["EndpointID"], bridge["EndpointID"]);
    let inside = sandbox.run(["exec", "aa", "ip", "-4", "-o", "addr", "show", "eth0"]);
    inside.success().stdout_contains(&format!("inet {ip}/16"));
    let gateway = bridge["Gateway"].as_str().unwrap();
    sandbox.run(["exec", "aa", "ip", "route"]).success().stdout_contains(&format!("default via {gateway}"));
    let mac = bridge["MacAddress"].as_str().unwrap();
    sandbox.run(["exec", "aa", "cat", "/sys/class/net/eth0/address"]).stdout(&format!("{mac}\n"));
    sandbox.run(["exec", "aa", "ls", "/sys/class/net"]).stdout("eth0\nlo\n");
}

fn writes_the_files_of_etc() {
    let sandbox = Sandbox::new().busybox();
    idle(
        &sandbox,
        "aa",
        &[
            "--hostname",
            "web",
            "--domainname",
            "example.org",
            "--add-host",
            "tv:10.0.0.1",
            "--add-host",
            "home:host-gateway",
            "--dns-search",
            "lan",
            "--dns-option",
            "timeout:3",
            "--dns",
            "192.0.2.53",
        ],
    );
    let ip = address(&sandbox, "aa", "bridge");
    let gateway = sandbox.run(["inspect", "-f", "{{.NetworkSettings.Gateway}}", "aa"]).text();
    let hosts = sandbox.run(["exec", "aa", "cat", "/etc/hosts"]);
    hosts.success().stdout_contains(&format!(
        "ff02::2\tip6-allrouters\n10.0.0.1\ttv\n{gateway}\thome\n{ip}\tweb.example.org web\n"
    ));
    let resolver = sandbox.run(["exec", "aa", "cat", "/etc/resolv.conf"]);
    resolver
        .success()
        .stdout_contains(&format!("\nnameserver {gateway}\nsearch lan\noptions timeout:3 ndots:0\n"))
        .stdout_contains("# ExtServers: [192.0.2.53]\n# Overrides: [nameservers search options]\n");
    sandbox.run(["exec", "aa", "cat", "/etc/hostname"]).stdout("web\n");
    let found = sandbox.run(["inspect", "aa"]).json()[0]["HostConfig"].clone();
    assert_eq!(found["Dns"], json!(["192.0.2.53"]));
    assert_eq!(found["DnsSearch"], json!(["lan"]));
    assert_eq!(found["DnsOptions"], json!(["timeout:3"]));
    assert_eq!(found["NetworkMode"], "bridge");
}

fn neighbours_find_each_other_by_name() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "net"]).success();
    idle(&sandbox, "db", &["--network", "net", "--network-alias", "store"]);
    idle(&sandbox, "web", &["--network", "name=net,alias=www,alias=front"]);
    let id = sandbox.run(["ps", "-q", "-f", "name=db"]).text();
    for name in ["db", "store", id.as_str()] {
        assert!(pings(&sandbox, "web", name), "{name}");
    }
    for name in ["web", "www", "front"] {
        assert!(pings(&sandbox, "db", name), "{name}");
    }
    let found = sandbox.run(["inspect", "web"]).json()[0]["NetworkSettings"]["Networks"]["net"].clone();
    assert_eq!(found["Aliases"], json!(["www", "front"]));
    assert_eq!(found["DNSNames"].as_array().unwrap()[..3], [json!("web"), json!("www"), json!("front")]);
    sandbox.run(["rm", "-f", "db"]).success();
    assert!(!pings(&sandbox, "web", "db"));
}

fn networks_are_kept_apart() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "one"]).success();
    sandbox.run(["network", "create", "two"]).success();
    idle(&sandbox, "aa", &["--network", "one"]);
    idle(&sandbox, "bb", &["--network", "two"]);
    idle(&sandbox, "cc", &["--network", "two"]);
    let there = address(&sandbox, "bb", "two");
    assert!(!pings(&sandbox, "aa", "bb"));
    assert!(!pings(&sandbox, "aa", &there));
    assert!(pings(&sandbox, "cc", &there));
}

fn an_internal_network_leads_nowhere() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "--internal", "inner"]).success();
    idle(&sandbox, "aa", &["--network", "inner"]);
    idle(&sandbox, "bb", &["--network", "inner"]);
    assert!(pings(&sandbox, "aa", "bb"));
    sandbox.run(["exec", "aa", "ip", "route"]).success().stdout_lacks("default");
}

fn static_addresses_are_given_once() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "--subnet", "10.231.9.0/24", "net"]).success();
    idle(&sandbox, "aa", &["--network", "net", "--ip", "10.231.9.77", "--mac-address", "02:42:0a:e7:09:4d"]);
    let line = sandbox.run(["exec", "aa", "ip", "-o", "addr", "show", "eth0"]);
    line.success().stdout_contains("inet 10.231.9.77/24");
    sandbox.run(["exec", "aa", "cat", "/sys/class/net/eth0/address"]).stdout("02:42:0a:e7:09:4d\n");
    sandbox
        .run(["run", "--rm", "--network", "net", "--ip", "10.231.9.77", "busybox", "true"])
        .code(125)
        .stderr_contains("failed to set up container networking: Address already in use");
    sandbox
        .run(["run", "--rm", "--network", "net", "--ip", "10.231.10.77", "busybox", "true"])
        .code(125)
        .stderr_contains("no configured subnet contains IP address 10.231.10.77");
    sandbox
        .run(["run", "--rm", "--ip", "172.17.0.77", "busybox", "true"])
        .code(125)
        .stderr_contains("user specified IP address is supported on user defined networks only");
    sandbox.run(["rm", "-f", "aa"]).success();
    sandbox.run(["run", "--rm", "--network", "net", "--ip", "10.231.9.77", "busybox", "true"]).success();
}

fn a_device_has_the_name_asked_for() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "net"]).success();
    let wish = |name: &str| format!("name=net,driver-opt=com.docker.network.endpoint.ifname={name}");
    let run = |name: &str, words: &[&str]| {
        let wish = wish(name);
        let line = ["run", "--rm", "--network", &wish, "busybox"];
        sandbox.run(line.iter().chain(words))
    };
    run("up0", &["ls", "/sys/class/net"]).stdout("lo\nup0\n").success();
    run("a/b", &["true"]).code(125).stderr_contains("\"a/b\" is not a name for a device");
}

fn connects_and_disconnects_a_running_container() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "--subnet", "10.231.11.0/24", "net"]).success();
    idle(&sandbox, "aa", &["--network", "net"]);
    idle(&sandbox, "bb", &[]);
    assert!(!pings(&sandbox, "bb", "aa"));
    sandbox.run(["network", "connect", "--ip", "10.231.11.9", "--alias", "late", "net", "bb"]).success();
    assert_eq!(address(&sandbox, "bb", "net"), "10.231.11.9");
    assert!(pings(&sandbox, "bb", "aa"));
    assert!(pings(&sandbox, "aa", "late"));
    sandbox.run(["exec", "bb", "cat", "/etc/hosts"]).success().stdout_contains("10.231.11.9\t");
    sandbox.run(["ps", "-f", "name=bb", "--format", "{{.Networks}}"]).stdout("bridge,net\n");
    sandbox
        .run(["network", "connect", "net", "bb"])
        .code(1)
        .stderr("Error response from daemon: endpoint with name bb already exists in network net\n");
    sandbox.run(["network", "disconnect", "net", "bb"]).success();
    assert!(!pings(&sandbox, "aa", "late"));
    sandbox.run(["exec", "bb", "cat", "/etc/hosts"]).success().stdout_lacks("10.231.11.9\t");
    sandbox
        .run(["network", "disconnect", "net", "bb"])
        .code(1)
        .stderr_contains("is not connected to network net");
    sandbox.run(["network", "disconnect", "bridge", "bb"]).success();
    sandbox.run(["exec", "bb", "ls", "/sys/class/net"]).stdout("lo\n");
    sandbox.run(["network", "connect", "bridge", "bb"]).success();
    sandbox.run(["exec", "bb", "ip", "route"]).success().stdout_contains("default via ");
    sandbox.run(["network", "connect", "nope", "bb"]).code(1).stderr_contains("network nope not found");
    sandbox.run(["network", "connect", "host", "bb"]).code(1).stderr_contains("host network");
}

fn connects_a_stopped_container() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "net"]).success();
    sandbox.run(["create", "--name", "aa", "busybox", "sleep", "1000"]).success();
    sandbox.run(["network", "connect", "--alias", "other", "net", "aa"]).success();
    sandbox.run(["network", "disconnect", "bridge", "aa"]).success();
    let networks = sandbox.run(["inspect", "aa"]).json()[0]["NetworkSettings"]["Networks"].clone();
    assert_eq!(networks.as_object().unwrap().keys().collect::<Vec<_>>(), ["net"]);
    assert_eq!(networks["net"]["Aliases"], json!(["other"]));
    sandbox.run(["start", "aa"]).success();
    assert!(!address(&sandbox, "aa", "net").is_empty());
    sandbox.run(["exec", "aa", "ls", "/sys/class/net"]).stdout("eth0\nlo\n");
    sandbox.run(["stop", "-t", "0", "aa"]).success();
    sandbox.run(["network", "rm", "net"]).success();
    sandbox.run(["start", "aa"]).code(1).stderr_contains(" not found");
}

fn several_networks_at_once() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "--subnet", "10.231.12.0/24", "one"]).success();
    sandbox.run(["network", "create", "--subnet", "10.231.13.0/24", "two"]).success();
    idle(&sandbox, "aa", &["--network", "one"]);
    idle(&sandbox, "bb", &["--network", "two"]);
    idle(&sandbox, "cc", &["--network", "one", "--network", "name=two,gw-priority=1"]);
    assert!(pings(&sandbox, "cc", "aa") && pings(&sandbox, "cc", "bb"));
    assert!(pings(&sandbox, "aa", "cc") && pings(&sandbox, "bb", "cc"));
    let routes = sandbox.run(["exec", "cc", "ip", "route"]);
    routes.success().stdout_contains("default via 10.231.13.1");
    // Who leads away changes with the networks.
    sandbox.run(["network", "disconnect", "two", "cc"]).success();
    let routes = sandbox.run(["exec", "cc", "ip", "route"]);
    routes.success().stdout_contains("default via 10.231.12.1").stdout_lacks("10.231.13.");
}

fn shares_the_network_of_another_container() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "aa", &["--hostname", "first", "--add-host", "tv:10.0.0.1"]);
    let netns = sandbox.run(["exec", "aa", "readlink", "/proc/self/ns/net"]).text();
    let script = "readlink /proc/self/ns/net; cat /etc/hosts /etc/resolv.conf; hostname";
    let there = sandbox.run(["run", "--rm", "--network", "container:aa", "busybox", "sh", "-c", script]);
    let here = sandbox.run(["exec", "aa", "cat", "/etc/hosts", "/etc/resolv.conf"]);
    there.success().stdout(&format!("{netns}\n{}\nfirst\n", here.text()));
    idle(&sandbox, "bb", &["--network", "container:aa"]);
    let id = sandbox.run(["inspect", "-f", "{{.Id}}", "aa"]).text();
    sandbox.run(["inspect", "-f", "{{.HostConfig.NetworkMode}}", "bb"]).stdout(&format!("container:{id}\n"));
    sandbox.run(["inspect", "-f", "{{len .NetworkSettings.Networks}}", "bb"]).stdout("0\n");
    sandbox
        .run(["network", "connect", "bridge", "bb"])
        .code(1)
        .stderr_contains("container sharing network namespace");
    sandbox.run(["rm", "-f", "aa", "bb"]).success();
    sandbox.run(["create", "--name", "cc", "busybox"]).success();
    sandbox
        .run(["run", "--rm", "--network", "container:cc", "busybox", "true"])
        .code(125)
        .stderr_contains("cannot join network of a non running container");
    sandbox
        .run(["run", "--rm", "--network", "container:nope", "busybox", "true"])
        .code(125)
        .stderr_contains("No such container: nope");
}

fn links_have_names_and_lines() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "db", &[]);
    idle(&sandbox, "web", &["--link", "db:store"]);
    let ip = address(&sandbox, "db", "bridge");
    let hosts = sandbox.run(["exec", "web", "cat", "/etc/hosts"]);
    let id = sandbox.run(["ps", "-q", "-f", "name=db"]).text();
    hosts.success().stdout_contains(&format!("{ip}\tstore {id} db\n"));
    assert!(pings(&sandbox, "web", "store"));
    sandbox.run(["inspect", "-f", "{{.HostConfig.Links}}", "web"]).stdout("[/db:/web/store]\n");
    sandbox.run(["stop", "-t", "0", "db"]).success();
    sandbox
        .run(["run", "--rm", "--name", "late", "--link", "db:store", "busybox", "true"])
        .code(125)
        .stderr_contains("Cannot link to a non running container: /db AS /late/store");
    sandbox
        .run(["run", "--rm", "--link", "nope", "busybox", "true"])
        .code(125)
        .stderr_contains("could not get container for nope");
}

fn a_network_in_use_stays() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "net"]).success();
    idle(&sandbox, "aa", &["--network", "net"]);
    let outcome = sandbox.run(["network", "rm", "net"]);
    outcome.code(1).stderr_contains(
        "Error response from daemon: error while removing network: network net has active endpoints (name:\"aa\" id:\"",
    );
    sandbox.run(["network", "prune", "-f"]).stdout("").success();
    sandbox.run(["rm", "-f", "aa"]).success();
    sandbox.run(["network", "rm", "net"]).stdout("net\n").success();
}

fn routers(sandbox: &Sandbox) -> Vec<i32> {
    let all = sandbox.processes().into_iter();
    all.filter(|process| process.command.contains("__router")).map(|process| process.pid).collect()
}

fn a_container_survives_its_router() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "net"]).success();
    idle(&sandbox, "aa", &["--network", "net"]);
    idle(&sandbox, "bb", &["--network", "net"]);
    let before = (address(&sandbox, "aa", "net"), address(&sandbox, "bb", "net"));
    let old = routers(&sandbox);
    assert_eq!(old.len(), 1);
    for process in sandbox.processes() {
        if process.pid == old[0] {
            process.kill(Signal::SIGKILL);
        }
    }
    // The kernel carries what goes between containers, router or no router.
    assert!(pings(&sandbox, "aa", &before.1));
    wait_until("another router", || routers(&sandbox).first().is_some_and(|pid| *pid != old[0]));
    wait_until("names are known again", || pings(&sandbox, "aa", "bb") && pings(&sandbox, "bb", "aa"));
    assert_eq!((address(&sandbox, "aa", "net"), address(&sandbox, "bb", "net")), before);
    idle(&sandbox, "cc", &["--network", "net"]);
    assert!(pings(&sandbox, "aa", "cc"));
}

fn a_restarted_container_is_back_in_its_networks() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "net"]).success();
    idle(&sandbox, "aa", &["--network", "net"]);
    idle(&sandbox, "bb", &["--network", "net"]);
    sandbox.run(["restart", "-t", "0", "aa"]).success();
    assert!(pings(&sandbox, "bb", "aa") && pings(&sandbox, "aa", "bb"));
    sandbox.run(["stop", "-t", "0", "aa"]).success();
    assert_eq!(address(&sandbox, "aa", "net"), "");
    assert!(!pings(&sandbox, "bb", "aa"));
    sandbox.run(["start", "aa"]).success();
    assert!(pings(&sandbox, "bb", "aa"));
}

fn the_router_leaves_with_the_last_container() {
    let sandbox = Sandbox::new().busybox();
    idle(&sandbox, "aa", &[]);
    idle(&sandbox, "bb", &[]);
    let one = routers(&sandbox);
    assert_eq!(one.len(), 1);
    sandbox.run(["rm", "-f", "aa"]).success();
    assert_eq!(routers(&sandbox), one);
    sandbox.run(["rm", "-f", "bb"]).success();
    sandbox.expect_no_process();
    sandbox.run(["run", "--rm", "--network", "none", "busybox", "true"]).success();
    assert!(routers(&sandbox).is_empty());
}

fn options_that_contradict_each_other() {
    let sandbox = Sandbox::new().busybox();
    sandbox.run(["network", "create", "net"]).success();
    idle(&sandbox, "aa", &["--network", "none"]);
    for (flags, text) in [
        (
            &["--network", "container:aa", "-p", "80:80"][..],
            "port publishing and the container type network mode",
        ),
        (
            &["--network", "container:aa", "--expose", "80"],
            "port exposing and the container type network mode",
        ),
        (&["--network", "container:aa", "--hostname", "x"], "hostname and the network mode"),
        (&["--network", "container:aa", "--dns", "1.1.1.1"], "dns and the network mode"),
        (
            &["--network", "container:aa", "--add-host", "a:1.1.1.1"],
            "custom host-to-IP mapping and the network mode",
        ),
        (
            &["--network", "container:aa", "--mac-address", "02:42:ac:11:00:02"],
            "mac-address and the network mode",
        ),
        (
            &["--network", "container:aa", "--link", "aa"],
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (
            &["--network", "host", "--link", "aa"],
            "host type networking can't be used with links. This would result in undefined behavior",
        ),
        (
            &["--network", "net", "--network", "host"],
            "cannot attach both user-defined and non-user-defined network-modes",
        ),
    ] {
        let mut words = vec!["run", "--rm"];
        words.extend(flags);
        words.extend(["busybox", "true"]);
        sandbox.run(words).code(125).stderr_contains(&format!("conflicting options: {text}"));
    }
    sandbox
        .run(["run", "--rm", "--network", "net", "--network", "net", "busybox", "true"])
        .code(125)
        .stderr_contains("network \"net\" is specified multiple times");
    sandbox
        .run(["run", "--rm", "--network", "nope", "busybox", "true"])
        .code(125)
        .stderr_contains("Error response from daemon: network nope not found");
    sandbox
        .run(["run", "--rm", "--network-alias", "x", "busybox", "true"])
        .code(125)
        .stderr_contains("network-scoped aliases are only supported for user-defined networks");
}
