//! Connections through the router: that they look on both sides as if there were none.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::harness::{Test, tests};
use crate::support::outcome::Outcome;
use crate::support::outside::{HOST, Outside, WORLD, within};
use crate::support::{Sandbox, wait_until};

pub(crate) const TESTS: &[Test] = tests![
    what_cannot_be_reached_says_so,
    each_direction_ends_alone,
    connections_end_with_the_container,
    many_connections_at_once,
    more_connections_than_descriptors,
    published_ports_survive_the_router,
];

#[track_caller]
fn script(sandbox: &Sandbox, text: &str) -> Outcome {
    sandbox.run(["run", "--rm", "busybox", "sh", "-c", text])
}

/// Runs one program for each connection to port 80 of a container, which is the host's port 8000.
#[track_caller]
fn serve(sandbox: &Sandbox, program: &str) {
    let server = ["nc", "-ll", "-p", "80", "-e", program];
    sandbox
        .run(["run", "-d", "--name", "server", "-p", "8000:80", "busybox"].into_iter().chain(server))
        .success();
}

/// Connects from the world to the host's port 8000, until somebody is there.
fn connect(outside: &Outside) -> TcpStream {
    let mut found = None;
    wait_until("a connection that stays", || {
        found = within(outside.world(), || TcpStream::connect((HOST, 8000)).ok());
        let Some(stream) = &mut found else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // While nobody listens inside, the connection is reset.
        stream.write_all(b"?").is_ok() && stream.read_exact(&mut [0]).is_ok()
    });
    found.unwrap()
}

fn what_cannot_be_reached_says_so() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    for (kind, block) in [("unreachable", "198.51.100.0/24"), ("prohibit", "203.0.113.0/24")] {
        let host = outside.host().to_string();
        let words = ["-t", &host, "-n", "ip", "route", "add", kind, block];
        assert!(Command::new("nsenter").args(words).status().unwrap().success());
    }
    script(&sandbox, "nc -w 20 198.51.100.1 80").code(1).stderr_contains("No route to host");
    script(&sandbox, "nc -w 20 203.0.113.1 80").code(1).stderr_contains("No route to host");
    // The world takes packets for these and says nothing.
    let silent = script(&sandbox, "nc -w 2 198.18.0.1 80");
    silent.code(1);
    for word in ["refused", "route", "unreachable"] {
        assert!(!silent.error_text().contains(word), "{}", silent.error_text());
    }
}

fn each_direction_ends_alone() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    let listener = within(outside.world(), || TcpListener::bind("192.0.2.1:7000").unwrap());
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        writeln!(stream, "{}", got.len()).unwrap();
    });
    // The answer comes after the end of the question.
    script(&sandbox, &format!("head -c 3000000 /dev/zero | nc {WORLD} 7000")).stdout("3000000\n").success();
    server.join().unwrap();

    serve(&sandbox, "cat");
    let mut stream = connect(&outside);
    stream.write_all(b"question").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    assert_eq!(got, "question");
}

fn connections_end_with_the_container() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    serve(&sandbox, "cat");
    let mut stream = connect(&outside);
    sandbox.run(["rm", "-f", "server"]).success();
    assert!(has_ended(&mut stream));
    let refused = within(outside.world(), || TcpStream::connect((HOST, 8000)));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// Tells whether the other side has ended the connection, in whatever way, within the time that it has.
fn has_ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn many_connections_at_once() {
    const MANY: usize = 200;
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    let listener = within(outside.world(), || TcpListener::bind("192.0.2.1:7000").unwrap());
    // Nobody hears a word before all are there.
    let server = std::thread::spawn(move || {
        let mut streams: Vec<_> = (0..MANY).map(|_| listener.accept().unwrap().0).collect();
        for (number, stream) in streams.iter_mut().enumerate() {
            // In one piece: clients write what they read to one pipe.
            stream.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
    });
    let client = format!("nc {WORLD} 7000 </dev/null");
    let text = format!("for n in $(seq {MANY}); do {client} & done | sort -n | uniq | wc -l; wait");
    script(&sandbox, &text).stdout(&format!("{MANY}\n")).success();
    server.join().unwrap();
}

fn more_connections_than_descriptors() {
    const MANY: u8 = 100;
    let (outside, sandbox) = Outside::new();
    // A router that may have these descriptors carries a hundred connections at the very most.
    let sandbox = sandbox.busybox().through(&["prlimit", "--nofile=200:200"]);
    serve(&sandbox, "cat");
    let mut streams: Vec<_> = (0..MANY).map(|_| connect(&outside)).collect();
    let annexes = || sandbox.processes().into_iter().filter(|process| process.command.contains("__annex"));
    assert_eq!(annexes().count(), 3);
    for (number, stream) in (0..).zip(&mut streams) {
        stream.write_all(&[number]).unwrap();
    }
    for (number, stream) in (0..).zip(&mut streams) {
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [number]);
    }
    // Whoever is killed takes his own along, and their ends hear so; others stay, and new ones find room.
    let killed = annexes().next().unwrap();
    killed.kill(Signal::SIGKILL);
    wait_until("its connections end", || streams.iter_mut().any(|stream| !answers(stream)));
    streams.retain_mut(answers);
    assert!(streams.len() > usize::from(MANY) / 2 && streams.len() < usize::from(MANY));
    streams.push(connect(&outside));
    assert!(streams.iter_mut().all(answers));
    sandbox.run(["rm", "-f", "server"]).success();
    assert!(streams.iter_mut().all(has_ended));
    wait_until("they leave with the router", || annexes().next().is_none());
}

/// Tells whether what echoes is still there.
fn answers(stream: &mut TcpStream) -> bool {
    stream.write_all(b"!").is_ok() && stream.read_exact(&mut [0]).is_ok()
}

fn published_ports_survive_the_router() {
    let (outside, sandbox) = Outside::new();
    let sandbox = sandbox.busybox();
    serve(&sandbox, "cat");
    let mut stream = connect(&outside);
    let is_router = |command: &str| command.contains("__router");
    let routers = sandbox.processes().into_iter().filter(|process| is_router(&process.command));
    let killed = routers.map(|process| process.kill(Signal::SIGKILL)).count();
    assert_eq!(killed, 1);
    // What it carried is lost, and both sides hear so.
    assert!(has_ended(&mut stream));
    let mut stream = connect(&outside);
    stream.write_all(b"!").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}
