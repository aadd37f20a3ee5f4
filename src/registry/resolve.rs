//! Names to addresses.
//!
//! The C library's `getaddrinfo` is out of reach: in a static program it loads shared objects of the host to
//! learn how names are looked up. So this is a stub resolver of its own: numbers, `/etc/hosts`, `localhost`,
//! then the servers of `/etc/resolv.conf` with its search list and options (resolv.conf(5)). Hosts that name
//! their machines elsewhere (NIS, mDNS) run a local server that is asked this way (systemd-resolved,
//! dnsmasq).

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::rand::SecureRandom as _;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as Resolve};
use ureq::unversioned::transport::NextTimeout;

use super::access::split_port;
use super::dns::{self, Answer, Kind};

const PORT: u16 = 53;
/// How many servers and search domains count, as in the C library.
const SERVERS: usize = 3;
const SEARCHES: usize = 6;
/// How long an answer is used again.
const FRESH: Duration = Duration::from_secs(60);
/// How long the second kind of address is waited for once the first is there.
const LATECOMER: Duration = Duration::from_millis(300);
/// How many aliases are followed from one server's answer to the next.
const ALIASES: usize = 8;
/// How many addresses are tried.
const ADDRESSES: usize = 16;

/// A name without an address.
#[derive(Debug, Clone, thiserror::Error)]
#[error("dial tcp: lookup {name}: {reason}")]
pub(super) struct NoSuchHost {
    name: String,
    reason: &'static str,
}

/// An answer, and since when it is known.
type Known = (Instant, Vec<IpAddr>);

/// The stub resolver. Clones share what they know.
#[derive(Clone)]
pub(super) struct Resolver {
    hosts: PathBuf,
    resolv_conf: PathBuf,
    port: u16,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::at(PathBuf::from("/etc/hosts"), PathBuf::from("/etc/resolv.conf"), PORT)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver({})", self.resolv_conf.display())
    }
}

impl Resolve for Resolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let deadline = Instant::now().checked_add(*timeout.after);
        let found = Resolver::resolve(self, split_port(host).0, deadline);
        let found = found.map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(ADDRESSES) {
            addresses.push(SocketAddr::new(address, port));
        }
        Ok(addresses)
    }
}

/// What one server, or all of them, made of a name.
#[derive(Debug)]
enum Outcome {
    Found(Vec<IpAddr>),
    NoName,
    Failure,
}

impl Resolver {
    pub(super) fn at(hosts: PathBuf, resolv_conf: PathBuf, port: u16) -> Self {
        Self { hosts, resolv_conf, port, known: Arc::default() }
    }

    /// Returns the addresses of `name`, at least one, in the order in which to try them.
    pub(super) fn resolve(&self, name: &str, deadline: Option<Instant>) -> Result<Vec<IpAddr>, NoSuchHost> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some((_, addresses)) = known.filter(|(since, _)| since.elapsed() < FRESH) {
            return Ok(addresses);
        }
        let addresses = self.look_up(name, deadline)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), (Instant::now(), addresses.clone()));
        Ok(addresses)
    }

    fn look_up(&self, name: &str, deadline: Option<Instant>) -> Result<Vec<IpAddr>, NoSuchHost> {
        let plain = name.strip_suffix('.').unwrap_or(name);
        // Both files may be missing; the defaults are the same as for empty ones.
        let hosts = fs::read_to_string(&self.hosts).unwrap_or_default();
        let found = in_hosts(&hosts, plain);
        if !found.is_empty() {
            return Ok(found);
        }
        let label = plain.rsplit('.').next().unwrap_or(plain);
        if label.eq_ignore_ascii_case("localhost") {
            // RFC 6761, section 6.3: such names are never asked of a server.
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let conf = Conf::parse(&fs::read_to_string(&self.resolv_conf).unwrap_or_default(), self.port);
        let mut failed = false;
        for candidate in conf.candidates(name) {
            match conf.ask_all(&candidate, deadline, ALIASES) {
                Outcome::Found(addresses) => return Ok(addresses),
                Outcome::NoName => {}
                Outcome::Failure => failed = true,
            }
        }
        let reason = if failed { "server misbehaving" } else { "no such host" };
        Err(NoSuchHost { name: name.to_owned(), reason })
    }
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(name))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    order(found)
}

/// Puts addresses in the order to try them: by turns, IPv4 first. A missing route to an IPv6 address is seen
/// at once, but networks where such packets vanish are more common than the other way round.
fn order(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let (four, six): (Vec<_>, Vec<_>) = found.into_iter().partition(IpAddr::is_ipv4);
    let mut ordered = Vec::with_capacity(four.len() + six.len());
    let (mut four, mut six) = (four.into_iter(), six.into_iter());
    loop {
        match (four.next(), six.next()) {
            (None, None) => return ordered,
            pair => ordered.extend(pair.0.into_iter().chain(pair.1)),
        }
    }
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
struct Conf {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    /// A name with fewer dots is first tried with the search domains.
    dots: usize,
    timeout: Duration,
    attempts: u32,
    tcp_only: bool,
}

impl Conf {
    fn parse(text: &str, port: u16) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            tcp_only: false,
        };
        for line in text.lines() {
            // A comment is a line of its own, but some write it behind.
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < SERVERS => {
                    conf.servers.extend(words.next().and_then(|word| server(word, port)));
                }
                Some("search" | "domain") => {
                    let domains = words.map(|word| word.trim_matches('.').to_owned());
                    conf.search = domains.filter(|domain| !domain.is_empty()).take(SEARCHES).collect();
                }
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        if conf.servers.is_empty() {
            conf.servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let number = |text: &str| text.parse::<u8>().ok();
        match word.split_once(':') {
            Some(("ndots", dots)) => self.dots = number(dots).map_or(self.dots, |n| usize::from(n.min(15))),
            Some(("timeout", seconds)) => {
                if let Some(seconds) = number(seconds) {
                    self.timeout = Duration::from_secs(u64::from(seconds.clamp(1, 30)));
                }
            }
            Some(("attempts", count)) => {
                self.attempts = number(count).map_or(self.attempts, |n| u32::from(n.clamp(1, 5)));
            }
            None if word == "use-vc" => self.tcp_only = true,
            _ => {}
        }
    }

    /// Returns the full names that `name` may mean, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(full) = name.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let mut names: Vec<_> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let dots = name.bytes().filter(|b| *b == b'.').count();
        let place = if dots >= self.dots { 0 } else { names.len() };
        names.insert(place, name.to_owned());
        names
    }

    /// Asks the servers in turn, each as often as it has attempts, until one knows.
    fn ask_all(&self, name: &str, deadline: Option<Instant>, aliases: usize) -> Outcome {
        for _ in 0..self.attempts {
            for server in &self.servers {
                let until = Instant::now() + self.timeout;
                let until = deadline.map_or(until, |deadline| deadline.min(until));
                match self.ask(*server, name, until) {
                    Ok((found, _)) if !found.is_empty() => return Outcome::Found(order(found)),
                    Ok((_, Some(alias))) if aliases > 0 => {
                        return self.ask_all(&alias, deadline, aliases - 1);
                    }
                    Ok(_) => return Outcome::NoName,
                    // The next server may do better.
                    Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                        return Outcome::Failure;
                    }
                    Err(_) => {}
                }
            }
        }
        Outcome::Failure
    }

    /// Asks one server for both kinds of addresses at once.
    fn ask(
        &self,
        server: SocketAddr,
        name: &str,
        until: Instant,
    ) -> io::Result<(Vec<IpAddr>, Option<String>)> {
        let kinds = [Kind::A, Kind::Aaaa];
        let ids = [random()?, random()?];
        let mut queries = Vec::with_capacity(2);
        for (kind, id) in kinds.into_iter().zip(ids) {
            let Some(query) = dns::query(id, name, kind) else { return Ok((Vec::new(), None)) };
            queries.push(query);
        }
        let mut answers = [None, None];
        if !self.tcp_only {
            over_udp(
                server,
                &queries,
                until,
                |message, answers| {
                    for (place, (kind, id)) in kinds.into_iter().zip(ids).enumerate() {
                        if answers[place].is_none() {
                            answers[place] = dns::answer(message, id, name, kind);
                        }
                    }
                },
                &mut answers,
            )?;
        }
        let mut found = Vec::new();
        let mut alias = None;
        let mut known = false;
        for (place, (kind, id)) in kinds.into_iter().zip(ids).enumerate() {
            let answer = match answers[place].take() {
                Some(Answer::Truncated) => over_tcp(server, &queries[place], until, id, name, kind)?,
                None if self.tcp_only => over_tcp(server, &queries[place], until, id, name, kind)?,
                Some(answer) => answer,
                None => continue,
            };
            match answer {
                Answer::Addresses(addresses) => {
                    known = true;
                    found.extend(addresses);
                }
                Answer::Alias(target) => {
                    known = true;
                    alias = Some(target);
                }
                Answer::NoName => known = true,
                Answer::Truncated | Answer::Failure => {}
            }
        }
        if known { Ok((found, alias)) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// Reads an address, which may have a zone (`fe80::1%eth0`).
fn server(word: &str, port: u16) -> Option<SocketAddr> {
    if let Some((address, zone)) = word.split_once('%') {
        let address: Ipv6Addr = address.parse().ok()?;
        let index = fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok();
        let index = zone.parse().ok().or_else(|| index?.trim().parse().ok())?;
        return Some(std::net::SocketAddrV6::new(address, port, 0, index).into());
    }
    Some(SocketAddr::new(word.parse().ok()?, port))
}

fn random() -> io::Result<u16> {
    let mut bytes = [0; 2];
    let random = ring::rand::SystemRandom::new();
    random.fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(u16::from_be_bytes(bytes))
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Sends all queries and takes in what comes until each has its answer. An answer to one of them is enough,
/// if the other does not come soon.
fn over_udp(
    server: SocketAddr,
    queries: &[Vec<u8>],
    until: Instant,
    mut take: impl FnMut(&[u8], &mut [Option<Answer>; 2]),
    answers: &mut [Option<Answer>; 2],
) -> io::Result<()> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // Only this server's packets get through to a connected socket.
    socket.connect(server)?;
    for query in queries {
        socket.send(query)?;
    }
    let mut until = until;
    let mut buffer = [0; 4096];
    while answers.iter().any(Option::is_none) {
        let waited = left(until).and_then(|left| {
            socket.set_read_timeout(Some(left))?;
            socket.recv(&mut buffer)
        });
        let count = match waited {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) if answers.iter().any(Option::is_some) => return Ok(()),
            Err(error) => return Err(error),
        };
        take(&buffer[..count], answers);
        if answers.iter().any(|answer| matches!(answer, Some(Answer::Addresses(found)) if !found.is_empty()))
        {
            until = until.min(Instant::now() + LATECOMER);
        }
    }
    Ok(())
}

fn over_tcp(
    server: SocketAddr,
    query: &[u8],
    until: Instant,
    id: u16,
    name: &str,
    kind: Kind,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    read_until(&mut stream, &mut length, until)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    read_until(&mut stream, &mut message, until)?;
    dns::answer(&message, id, name, kind).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Fills `buffer` before `until`, however slowly the bytes come.
fn read_until(stream: &mut TcpStream, buffer: &mut [u8], until: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::super::dns::tests::reply;
    use super::*;

    type Record = (&'static str, &'static str);

    /// A server that answers over UDP and TCP from `zone`; it truncates what it says over UDP about names
    /// that start with `big`, and is silent about IPv6 addresses of those that start with `deaf`.
    fn serve(zone: &'static [(&'static str, &'static [Record])]) -> u16 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let udp = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        let answer = move |query: &[u8], truncate: bool| {
            let (name, kind) = question(query);
            if name.starts_with("deaf") && kind == 28 {
                return None;
            }
            let Some((_, records)) = zone.iter().find(|(owner, _)| *owner == name) else {
                return Some(reply(query, 3, &[]));
            };
            if name.starts_with("broken") {
                return Some(reply(query, 2, &[]));
            }
            let wanted = |data: &str| match data.parse::<IpAddr>() {
                Ok(address) => address.is_ipv4() == (kind == 1),
                Err(_) => true,
            };
            let records: Vec<_> = records.iter().copied().filter(|(_, data)| wanted(data)).collect();
            let mut message = reply(query, 0, &records);
            if truncate && name.starts_with("big") {
                message = reply(query, 0, &[]);
                message[2] |= 0x02;
            }
            Some(message)
        };
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((count, from)) = udp.recv_from(&mut buffer) {
                if let Some(message) = answer(&buffer[..count], true) {
                    udp.send_to(&message, from).unwrap();
                }
            }
        });
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                let message = answer(&query, false).unwrap();
                let length = u16::try_from(message.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &message].concat()).unwrap();
            }
        });
        port
    }

    fn question(query: &[u8]) -> (String, u8) {
        let mut labels = Vec::new();
        let mut at = 12;
        while query[at] != 0 {
            let length = usize::from(query[at]);
            labels.push(String::from_utf8(query[at + 1..=at + length].to_vec()).unwrap());
            at += length + 1;
        }
        (labels.join("."), query[at + 2])
    }

    fn resolver(dir: &tempfile::TempDir, conf: &str, port: u16) -> Resolver {
        let hosts = dir.path().join("hosts");
        fs::write(&hosts, "192.0.2.9 own.example own # comment\n2001:db8::9\tOWN.example.\nbad line\n")
            .unwrap();
        let resolv_conf = dir.path().join("resolv.conf");
        fs::write(&resolv_conf, conf).unwrap();
        Resolver::at(hosts, resolv_conf, port)
    }

    const ZONE: &[(&str, &[Record])] = &[
        ("reg.example", &[("", "192.0.2.1"), ("", "192.0.2.2"), ("", "2001:db8::1")]),
        ("alias.example", &[("", "far.example")]),
        ("far.example", &[("", "192.0.2.3")]),
        ("loop.example", &[("", "pool.example")]),
        ("pool.example", &[("", "loop.example")]),
        ("big.example", &[("", "192.0.2.4")]),
        ("deaf.example", &[("", "192.0.2.5")]),
        ("broken.example", &[]),
        ("empty.example", &[]),
        ("short.corp.example", &[("", "192.0.2.6")]),
    ];

    #[test]
    fn looks_names_up() {
        let dir = tempfile::tempdir().unwrap();
        let port = serve(ZONE);
        let resolver = resolver(&dir, "search corp.example\nnameserver 127.0.0.1\n", port);
        let ask = |name: &str| match resolver.resolve(name, None) {
            Ok(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(ask("192.0.2.77"), "192.0.2.77");
        assert_eq!(ask("2001:db8::77"), "2001:db8::77");
        assert_eq!(ask("Own.Example"), "192.0.2.9 2001:db8::9");
        assert_eq!(ask("localhost"), "127.0.0.1 ::1");
        assert_eq!(ask("a.localhost."), "127.0.0.1 ::1");
        assert_eq!(ask("reg.example"), "192.0.2.1 2001:db8::1 192.0.2.2");
        assert_eq!(ask("reg.example."), "192.0.2.1 2001:db8::1 192.0.2.2");
        assert_eq!(ask("alias.example"), "192.0.2.3");
        assert_eq!(ask("big.example"), "192.0.2.4");
        assert_eq!(ask("short"), "192.0.2.6");
        assert_eq!(ask("short."), "dial tcp: lookup short.: no such host");
        assert_eq!(ask("empty.example"), "dial tcp: lookup empty.example: no such host");
        assert_eq!(ask("a..b"), "dial tcp: lookup a..b: no such host");
        assert_eq!(ask("loop.example"), "dial tcp: lookup loop.example: no such host");
        assert_eq!(ask("broken.example"), "dial tcp: lookup broken.example: server misbehaving");
        let start = Instant::now();
        assert_eq!(ask("deaf.example"), "192.0.2.5");
        assert!(start.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn turns_to_the_next_server() {
        let dir = tempfile::tempdir().unwrap();
        let port = serve(ZONE);
        // Nobody listens at the first address, so that the kernel says so at once.
        let conf = "nameserver 127.0.0.2\nnameserver 127.0.0.1\noptions timeout:1\n";
        let found = resolver(&dir, conf, port).resolve("far.example", None).unwrap();
        assert_eq!(found, ["192.0.2.3".parse::<IpAddr>().unwrap()]);
        let conf = "nameserver 127.0.0.1\noptions use-vc\n";
        let found = resolver(&dir, conf, port).resolve("far.example", None).unwrap();
        assert_eq!(found, ["192.0.2.3".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn gives_up_at_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let resolver = resolver(&dir, "nameserver 127.0.0.1", silent.local_addr().unwrap().port());
        let start = Instant::now();
        let result = resolver.resolve("reg.example", Some(start + Duration::from_millis(200)));
        assert!(result.is_err());
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn reads_resolv_conf() {
        let conf = Conf::parse(
            "# by hand\n; too\nnameserver 192.0.2.1 # main\nnameserver bad\nnameserver ::1\n\
             domain old.example\nsearch a.example. b.example\noptions ndots:3 timeout:99 attempts:0 rotate\n",
            53,
        );
        assert_eq!(
            conf.servers,
            ["192.0.2.1:53".parse().unwrap(), "[::1]:53".parse::<SocketAddr>().unwrap()]
        );
        assert_eq!(conf.search, ["a.example", "b.example"]);
        assert_eq!((conf.dots, conf.timeout, conf.attempts), (3, Duration::from_secs(30), 1));
        assert_eq!(conf.candidates("x.y"), ["x.y.a.example", "x.y.b.example", "x.y"]);
        assert_eq!(conf.candidates("w.x.y.z"), ["w.x.y.z", "w.x.y.z.a.example", "w.x.y.z.b.example"]);
        assert_eq!(conf.candidates("x."), ["x"]);
        assert_eq!(Conf::parse("", 53).servers, ["127.0.0.1:53".parse().unwrap()]);
    }
}
