//! DNS and datagrams by hand: what the probe does inside a container, and the servers that stand outside.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::outside::within;

const PATIENCE: Duration = Duration::from_secs(20);

/// Asks a nameserver and says what it answers: code, `cut` if the answer says so, the data of all records.
pub(crate) fn ask(server: &str, name: &str, kind: &str, over: &str) -> io::Result<String> {
    let number: u16 = match kind {
        "A" => 1,
        "PTR" => 12,
        "TXT" => 16,
        "AAAA" => 28,
        "ANY" => 255,
        _ => panic!("probe: what is {kind:?}?"),
    };
    let mut query = vec![0x5a, 0xa5, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(encode(name));
    query.extend(number.to_be_bytes());
    query.extend([0, 1]);
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let reply = if over == "udp" {
        let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(server)?;
        socket.send(&query)?;
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer)?;
        buffer[..length].to_vec()
    } else {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&framed(&query))?;
        read_framed(&mut stream)?
    };
    assert_eq!(&reply[..2], &query[..2], "the number of the question");
    // The name comes back as it was spelled.
    assert_eq!(&reply[12..query.len()], &query[12..]);
    Ok(spell(&reply, query.len()))
}

fn spell(reply: &[u8], mut at: usize) -> String {
    let mut text = format!("{}", reply[3] & 0x0f);
    if reply[2] & 2 != 0 {
        text.push_str(" cut");
    }
    for _ in 0..u16::from_be_bytes([reply[6], reply[7]]) {
        // All servers of ours write a pointer to the question's name.
        assert_eq!(&reply[at..at + 2], &[0xc0, 12]);
        let length = usize::from(u16::from_be_bytes([reply[at + 10], reply[at + 11]]));
        let data = &reply[at + 12..at + 12 + length];
        let _ = match *data {
            [a, b, c, d] => write!(text, " {}", Ipv4Addr::new(a, b, c, d)),
            _ => match <[u8; 16]>::try_from(data) {
                Ok(octets) if reply[at + 3] == 28 => write!(text, " {}", Ipv6Addr::from(octets)),
                _ => write!(text, " {}", decode(data)),
            },
        };
        at += 12 + length;
    }
    text
}

fn encode(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}

fn decode(mut bytes: &[u8]) -> String {
    let mut labels = Vec::new();
    while let [length, rest @ ..] = bytes
        && *length > 0
    {
        let (label, rest) = rest.split_at(usize::from(*length));
        labels.push(String::from_utf8_lossy(label).into_owned());
        bytes = rest;
    }
    labels.join(".")
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(message);
    bytes
}

fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Asks two things on one connection before any is answered; says whether both are.
pub(crate) fn pipeline(server: &str, names: [&str; 2]) -> io::Result<String> {
    let mut stream = TcpStream::connect((server.parse::<IpAddr>().unwrap(), 53))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for (number, name) in (1_u8..).zip(names) {
        let mut query = vec![0, number, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(encode(name));
        query.extend([0, 1, 0, 1]);
        stream.write_all(&framed(&query))?;
    }
    let mut seen = [read_framed(&mut stream)?[1], read_framed(&mut stream)?[1]];
    seen.sort_unstable();
    Ok(format!("{seen:?}"))
}

/// Sends what is no question, and more than can be answered.
pub(crate) fn noise(server: &str) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((server.parse::<IpAddr>().unwrap(), 53))?;
    let mut state = 1_u32;
    for round in 0..20_000_u32 {
        let mut bytes = [0_u8; 64];
        for byte in &mut bytes {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = state.to_be_bytes()[0];
        }
        if round % 2 == 0 {
            // A question to which nobody outside will ever answer.
            bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            bytes[12..20].copy_from_slice(b"\x06silent\x00");
            bytes[20..24].copy_from_slice(&[0, 1, 0, 1]);
        }
        let length = if round % 2 == 0 { 24 } else { bytes.len() };
        let _ = socket.send(&bytes[..length]);
    }
    Ok(())
}

/// Sends a datagram of so many bytes and says what comes back: `same`, `other`, or the error.
pub(crate) fn datagram(to: &str, length: usize) -> io::Result<String> {
    let to: SocketAddr = to.parse().unwrap();
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
    socket.send(&bytes)?;
    let mut buffer = vec![0; 65536];
    let length = socket.recv(&mut buffer)?;
    Ok(if buffer[..length] == bytes { "same" } else { "other" }.to_owned())
}

/// Tells every sender of a datagram its address and port.
pub(crate) fn mirror(address: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    let mut buffer = vec![0; 65536];
    println!("ready");
    loop {
        let (_, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(from.to_string().as_bytes(), from)?;
    }
}

/// The questions that a nameserver has heard: name, and `udp` or `tcp`.
pub(crate) type Heard = Arc<Mutex<Vec<String>>>;

/// A nameserver in the network namespace of a process. It knows `good.test`, whose address it was given; it is
/// silent about `silent…`, fails for `fail…`, and has for `many…` so many addresses that they fit TCP only.
pub(crate) fn nameserver(pid: u32, address: &'static str, good: [u8; 4]) -> Heard {
    let heard = Heard::default();
    let (socket, listener) = within(pid, move || {
        (UdpSocket::bind((address, 53)).unwrap(), TcpListener::bind((address, 53)).unwrap())
    });
    let notes = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(reply) = answer(&buffer[..length], good, "udp", &notes) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    let notes = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            while let Ok(query) = read_framed(&mut stream) {
                let Some(reply) = answer(&query, good, "tcp", &notes) else { break };
                let _ = stream.write_all(&framed(&reply));
            }
        }
    });
    heard
}

fn answer(query: &[u8], good: [u8; 4], over: &str, heard: &Heard) -> Option<Vec<u8>> {
    let name = decode(&query[12..]).to_lowercase();
    heard.lock().unwrap().push(format!("{name} {over}"));
    let mut reply = query.to_vec();
    reply[2] = 0x81;
    reply[3] = 0x80;
    let addresses: Vec<[u8; 4]> = match name.split('.').next() {
        Some("silent") => return None,
        Some("fail") => {
            reply[3] |= 2;
            Vec::new()
        }
        Some("many") if over == "udp" => {
            reply[2] |= 2;
            Vec::new()
        }
        Some("many") => (0..100).map(|n| [198, 51, 100, n]).collect(),
        Some("good") => vec![good],
        _ => {
            reply[3] |= 3;
            Vec::new()
        }
    };
    reply[7] = u8::try_from(addresses.len()).unwrap();
    for address in addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address);
    }
    Some(reply)
}
