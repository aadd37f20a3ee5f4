//! A host of the test's own, and a world around it: two network namespaces joined by a pair of devices.
//!
//! ```text
//!   containers ── router ── [ host: 192.0.2.2, 2001:db8::2 ] ═══ veth ═══ [ world: 192.0.2.1, 2001:db8::1 ]
//! ```
//!
//! The commands of the sandbox run in `host`, whose default route leads to `world`. So a test sees what really
//! goes over the wire, and nothing of it leaves the machine.

use std::fs::File;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use super::host::{Need, needs};
use super::sandbox::Sandbox;

/// The world's addresses.
pub(crate) const WORLD: &str = "192.0.2.1";
/// The host's addresses.
pub(crate) const HOST: &str = "192.0.2.2";

/// The two namespaces. They go when this is dropped.
#[derive(Debug)]
pub(crate) struct Outside {
    host: Child,
    world: Child,
}

impl Outside {
    /// Makes both namespaces, and a sandbox whose commands run in the host's.
    pub(crate) fn new() -> (Self, Sandbox) {
        needs(Need::Root);
        let outside = Self { host: namespace(), world: namespace() };
        let (host, world) = (outside.host.id(), outside.world.id());
        for line in [
            format!("ip link add up0 netns {host} type veth peer name down0 netns {world}"),
            format!("nsenter -t {host} -n ip addr add {HOST}/24 dev up0"),
            format!("nsenter -t {host} -n ip addr add 2001:db8::2/64 dev up0 nodad"),
            format!("nsenter -t {host} -n ip link set lo up"),
            format!("nsenter -t {host} -n ip link set up0 up"),
            format!("nsenter -t {host} -n ip route add default via {WORLD}"),
            format!("nsenter -t {host} -n ip route add default via 2001:db8::1"),
            format!("nsenter -t {host} -n sysctl -qw net.ipv4.ping_group_range=0\\ 2147483647"),
            // What it is not asked for it takes in silence, also where this machine forwards packets.
            format!("nsenter -t {world} -n sysctl -qw net.ipv4.ip_forward=0"),
            format!("nsenter -t {world} -n ip addr add {WORLD}/24 dev down0"),
            format!("nsenter -t {world} -n ip addr add 2001:db8::1/64 dev down0 nodad"),
            format!("nsenter -t {world} -n ip link set lo up"),
            format!("nsenter -t {world} -n ip link set down0 up"),
        ] {
            let status = Command::new("sh").args(["-c", &line]).status().unwrap();
            assert!(status.success(), "{line}");
        }
        let sandbox = Sandbox::new().within(host);
        (outside, sandbox)
    }

    /// Returns the process that keeps the host's namespace.
    pub(crate) fn host(&self) -> u32 {
        self.host.id()
    }

    /// Returns the process that keeps the world's namespace.
    pub(crate) fn world(&self) -> u32 {
        self.world.id()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        for child in [&mut self.host, &mut self.world] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Does something in the network namespace of a process.
pub(crate) fn within<T: Send + 'static>(pid: u32, act: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let thread = std::thread::spawn(move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        act()
    });
    thread.join().unwrap()
}

/// Tells every client that connects what its address is, or `word` if there is one.
pub(crate) fn greet(pid: u32, address: &'static str, word: Option<&'static str>) {
    let listener = within(pid, move || TcpListener::bind(address).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream: TcpStream = stream;
            let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
            let _ = writeln!(stream, "{}", word.unwrap_or(&peer));
        }
    });
}

/// Sends every datagram back.
pub(crate) fn echo(pid: u32, address: &'static str) {
    let socket = within(pid, move || UdpSocket::bind(address).unwrap());
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
}

/// Starts a process that keeps a network namespace.
fn namespace() -> Child {
    let child =
        Command::new("unshare").args(["-n", "sleep", "1000000"]).stdin(Stdio::null()).spawn().unwrap();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    super::wait_until("a network namespace", || {
        std::fs::read_link(format!("/proc/{}/ns/net", child.id())).is_ok_and(|link| link != own)
            && std::fs::read(format!("/proc/{}/comm", child.id())).is_ok_and(|name| name == b"sleep\n")
    });
    child
}
