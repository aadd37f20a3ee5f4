//! What a container is told about a name: pure decisions.
//!
//! As with Docker: the names of a container are those of the networks it is on, `name` and `name.network`; a
//! name that we know has no records of other types, rather than other servers' ones; what we do not know is
//! asked elsewhere, unless the container reaches nothing but internal networks.

use std::net::IpAddr;

use super::message::{Query, Record, address_of, kind, rcode};
use crate::network::router::directory::{Directory, Domain, Member};

/// Names of the host, seen from a container.
const HOST: [&str; 2] = ["host.docker.internal", "gateway.docker.internal"];

/// What is done with a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is answered with a code and records.
    Records(u8, Vec<Record>),
    /// Other servers are asked: these, or the host's if none are named.
    Forward(Vec<IpAddr>),
    /// It comes from nobody we know.
    Silence,
}

/// Decides about the query of who has the address `asker`. `turn` says which of several addresses comes first.
pub(super) fn answer(directory: &Directory, asker: IpAddr, query: &Query, turn: usize) -> Answer {
    let Some((here, member)) = directory.at(asker) else { return Answer::Silence };
    if query.has_strange_version() {
        return Answer::Records(rcode::NO_ERROR, Vec::new());
    }
    let places: Vec<_> = directory.places(&member.container).collect();
    if let Some(name) = query.name.as_deref().filter(|_| query.is_internet) {
        if let Some(found) = addresses(&places, here, asker, name) {
            return Answer::Records(rcode::NO_ERROR, of_kind(found, query.kind, turn));
        }
        if let Some(address) = address_of(name)
            && let Some(found) = name_of(&places, address)
        {
            let code = if found.is_empty() { rcode::NO_NAME } else { rcode::NO_ERROR };
            let wanted = matches!(query.kind, kind::PTR | kind::ANY);
            return Answer::Records(code, found.into_iter().filter(|_| wanted).map(Record::Name).collect());
        }
    }
    if places.iter().all(|(domain, _)| domain.internal) {
        return Answer::Records(rcode::SERVER_FAILURE, Vec::new());
    }
    let own = places.iter().find(|(_, member)| !member.dns.is_empty());
    Answer::Forward(own.map(|(_, member)| member.dns.clone()).unwrap_or_default())
}

/// Returns the addresses of a name; `None` for a name that nobody has.
fn addresses(places: &[(&Domain, &Member)], here: &Domain, asker: IpAddr, name: &str) -> Option<Vec<IpAddr>> {
    for (domain, member) in places {
        let mut linked = member.links.iter().filter(|(alias, _)| alias.eq_ignore_ascii_case(name)).peekable();
        if linked.peek().is_some() {
            // By id; by name where nobody had it yet.
            let target = |container: &String| match domain.members.get(container) {
                Some(member) => member.addresses().collect(),
                None => on_network(domain, container),
            };
            let found: Vec<_> = linked.flat_map(|(_, container)| target(container)).collect();
            if !found.is_empty() {
                return Some(found);
            }
        }
    }
    for (domain, _) in places {
        let of_network = name.len().checked_sub(domain.name.len() + 1).and_then(|at| {
            let (first, rest) = (name.get(..at)?, name.get(at..)?);
            rest.strip_prefix('.')?.eq_ignore_ascii_case(&domain.name).then_some(first)
        });
        for name in [Some(name), of_network].into_iter().flatten() {
            let found = on_network(domain, name);
            if !found.is_empty() {
                return Some(found);
            }
        }
    }
    if HOST.contains(&name) {
        // The gateway that the asker speaks to comes first in the other family too.
        let gateway = here.gateway(asker);
        return Some(
            gateway.into_iter().chain(here.gateways().filter(|other| Some(*other) != gateway)).collect(),
        );
    }
    None
}

fn on_network(domain: &Domain, name: &str) -> Vec<IpAddr> {
    let named = |member: &&Member| member.names.iter().any(|own| own.eq_ignore_ascii_case(name));
    let hosts = |member: &&Member| member.hostname.eq_ignore_ascii_case(name);
    let found: Vec<_> = domain.members.values().filter(named).flat_map(Member::addresses).collect();
    if !found.is_empty() || name.is_empty() {
        return found;
    }
    domain.members.values().filter(hosts).flat_map(Member::addresses).collect()
}

/// Returns the names of an address of the asker's networks, one or none; `None` for another address.
fn name_of(places: &[(&Domain, &Member)], address: IpAddr) -> Option<Vec<String>> {
    let (domain, _) = places.iter().find(|(domain, _)| domain.contains(address))?;
    if domain.gateways().any(|gateway| gateway == address) {
        return Some(vec![HOST[0].to_owned()]);
    }
    let member = domain.members.values().find(|member| member.addresses().any(|own| own == address));
    let name = member.and_then(|member| member.names.first());
    Some(name.map(|name| format!("{name}.{}", domain.name)).into_iter().collect())
}

fn of_kind(addresses: Vec<IpAddr>, kind: u16, turn: usize) -> Vec<Record> {
    let mut kept: Vec<_> = addresses
        .into_iter()
        .filter(|address| match kind {
            kind::A => address.is_ipv4(),
            kind::AAAA => address.is_ipv6(),
            kind::ANY => true,
            _ => false,
        })
        .collect();
    if let Some(first) = turn.checked_rem(kept.len()) {
        kept.rotate_left(first);
    }
    kept.into_iter().map(Record::Address).collect()
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::query;
    use super::*;
    use crate::network::router::directory::tests::network;

    const TXT: u16 = 16;

    fn member(container: &str, ip: &str, ip6: Option<&str>, names: &[&str]) -> Member {
        Member {
            container: container.to_owned(),
            ip: Some(ip.parse().unwrap()),
            ip6: ip6.map(|ip6| ip6.parse().unwrap()),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            hostname: format!("host-{container}"),
            ..Member::default()
        }
    }

    /// `front` has web (twice under the alias `app`) and proxy; `back` is internal and has proxy and db.
    fn directory() -> Directory {
        let front = network("front", &["10.1.0.0/24", "fd01::/64"], false);
        let back = network("back", &["10.2.0.0/24"], true);
        let mut directory = Directory::default();
        directory.join(&front, member("w1", "10.1.0.2", Some("fd01::2"), &["web1", "app"]));
        directory.join(&front, member("w2", "10.1.0.3", None, &["Web2", "app"]));
        directory.join(&front, member("p", "10.1.0.4", None, &["proxy"]));
        let linked = vec![("store".to_owned(), "d".to_owned()), ("lost".to_owned(), "x".to_owned())];
        directory.join(&back, Member { links: linked, ..member("p", "10.2.0.2", None, &["proxy", "edge"]) });
        directory.join(&back, member("d", "10.2.0.3", None, &["db"]));
        directory
    }

    fn ask(asker: &str, name: &str, kind: u16, turn: usize) -> Answer {
        let query = Query::parse(&query(1, name, kind, None)).unwrap();
        answer(&directory(), asker.parse().unwrap(), &query, turn)
    }

    fn records(texts: &[&str]) -> Answer {
        let record = |text: &&str| match text.parse() {
            Ok(address) => Record::Address(address),
            Err(_) => Record::Name((*text).to_owned()),
        };
        Answer::Records(rcode::NO_ERROR, texts.iter().map(record).collect())
    }

    #[test]
    fn names_are_those_of_the_askers_networks() {
        assert_eq!(ask("10.1.0.2", "proxy", kind::A, 0), records(&["10.1.0.4"]));
        assert_eq!(ask("10.1.0.2", "WEB2", kind::A, 0), records(&["10.1.0.3"]));
        assert_eq!(ask("10.1.0.2", "web2.front", kind::A, 0), records(&["10.1.0.3"]));
        assert_eq!(ask("10.1.0.2", "host-w2", kind::A, 0), records(&["10.1.0.3"]));
        // Only the proxy is on both.
        assert_eq!(ask("10.1.0.2", "db", kind::A, 0), Answer::Forward(Vec::new()));
        assert_eq!(ask("10.1.0.2", "db.back", kind::A, 0), Answer::Forward(Vec::new()));
        assert_eq!(ask("10.1.0.4", "db", kind::A, 0), records(&["10.2.0.3"]));
        assert_eq!(ask("10.2.0.3", "edge", kind::A, 0), records(&["10.2.0.2"]));
        assert_eq!(ask("10.9.0.3", "web1", kind::A, 0), Answer::Silence);
    }

    #[test]
    fn known_names_have_no_other_records() {
        assert_eq!(ask("10.1.0.3", "web1", kind::AAAA, 0), records(&["fd01::2"]));
        assert_eq!(ask("10.1.0.3", "web2", kind::AAAA, 0), records(&[]));
        assert_eq!(ask("10.1.0.3", "web1", TXT, 0), records(&[]));
        assert_eq!(ask("fd01::2", "web1", kind::ANY, 0), records(&["10.1.0.2", "fd01::2"]));
    }

    #[test]
    fn several_addresses_take_turns() {
        assert_eq!(ask("10.1.0.4", "app", kind::A, 0), records(&["10.1.0.2", "10.1.0.3"]));
        assert_eq!(ask("10.1.0.4", "app", kind::A, 1), records(&["10.1.0.3", "10.1.0.2"]));
        assert_eq!(ask("10.1.0.4", "app", kind::A, 7), records(&["10.1.0.3", "10.1.0.2"]));
    }

    #[test]
    fn links_are_the_askers_own() {
        assert_eq!(ask("10.1.0.4", "store", kind::A, 0), records(&["10.2.0.3"]));
        assert_eq!(ask("10.2.0.3", "store", kind::A, 0), Answer::Records(rcode::SERVER_FAILURE, Vec::new()));
        assert_eq!(ask("10.1.0.4", "lost", kind::A, 0), Answer::Forward(Vec::new()));
    }

    #[test]
    fn the_host_is_the_gateway() {
        assert_eq!(ask("10.1.0.4", "host.docker.internal", kind::A, 0), records(&["10.1.0.1"]));
        assert_eq!(ask("10.2.0.3", "gateway.docker.internal", kind::A, 0), records(&["10.2.0.1"]));
        assert_eq!(ask("10.2.0.3", "gateway.docker.internal", kind::AAAA, 0), records(&[]));
        assert_eq!(ask("10.1.0.4", "host.docker.internal", kind::AAAA, 0), records(&["fd01::1"]));
    }

    #[test]
    fn addresses_have_names() {
        assert_eq!(ask("10.1.0.4", "3.0.1.10.in-addr.arpa", kind::PTR, 0), records(&["Web2.front"]));
        assert_eq!(ask("10.1.0.4", "3.0.2.10.in-addr.arpa", kind::PTR, 0), records(&["db.back"]));
        assert_eq!(
            ask("10.1.0.4", "1.0.1.10.in-addr.arpa", kind::PTR, 0),
            records(&["host.docker.internal"])
        );
        let nobody = Answer::Records(rcode::NO_NAME, Vec::new());
        assert_eq!(ask("10.1.0.4", "9.0.1.10.in-addr.arpa", kind::PTR, 0), nobody);
        assert_eq!(ask("10.1.0.2", "3.0.2.10.in-addr.arpa", kind::PTR, 0), Answer::Forward(Vec::new()));
    }

    #[test]
    fn internal_networks_ask_nobody() {
        assert_eq!(
            ask("10.2.0.3", "example.com", kind::A, 0),
            Answer::Records(rcode::SERVER_FAILURE, Vec::new())
        );
    }

    #[test]
    fn asks_the_servers_of_the_endpoint() {
        let mut directory = directory();
        let front = network("front", &["10.1.0.0/24", "fd01::/64"], false);
        let dns = vec!["192.0.2.53".parse().unwrap()];
        directory.join(&front, Member { dns: dns.clone(), ..member("w2", "10.1.0.3", None, &[]) });
        let query = Query::parse(&query(1, "example.com", kind::A, None)).unwrap();
        assert_eq!(answer(&directory, "10.1.0.3".parse().unwrap(), &query, 0), Answer::Forward(dns));
    }
}
