//! Free blocks of addresses: Docker's pools, less what the host or another network has.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::record::{Cidr, Network};

/// Docker's pools: 172.17–31.0.0/16, then 192.168.0.0/16 in blocks of /20.
pub(super) fn candidates() -> impl Iterator<Item = Cidr> {
    let of = |a, b, c, prefix| Cidr { address: Ipv4Addr::new(a, b, c, 0).into(), prefix };
    (17..=31).map(move |b| of(172, b, 0, 16)).chain((0..16).map(move |c| of(192, 168, c * 16, 20)))
}

/// Chooses the first of Docker's blocks that is free.
pub(super) fn choose(networks: &[Network], host: &[Cidr]) -> Option<Cidr> {
    candidates().find(|block| !overlaps(networks, block) && !host.iter().any(|taken| taken.overlaps(block)))
}

/// Tells whether another network has an address of the block.
pub(super) fn overlaps(networks: &[Network], block: &Cidr) -> bool {
    networks.iter().flat_map(|network| &network.subnets).any(|subnet| subnet.subnet.overlaps(block))
}

/// Makes up a block of unique local addresses (RFC 4193): `fd`, 40 random bits, a subnet of zero.
pub(super) fn random_v6(random: &str) -> Cidr {
    let bits = u128::from_str_radix(random.get(..10).unwrap_or("0"), 16).unwrap_or(0);
    Cidr { address: Ipv6Addr::from((0xfd << 120) | (bits << 80)).into(), prefix: 64 }
}

/// Reads what the host's routes lead to and which addresses it has, but for its default routes.
pub(super) fn of_host() -> Vec<Cidr> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut found = routes(&read("/proc/net/route"));
    found.extend(addresses(&read("/proc/net/fib_trie")));
    found
}

/// Reads `/proc/net/route`: numbers of eight hexadecimal digits in the machine's order of bytes.
fn routes(text: &str) -> Vec<Cidr> {
    let number =
        |text: &str| u32::from_str_radix(text, 16).ok().map(|bits| u32::from_be_bytes(bits.to_ne_bytes()));
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let destination = number(fields.next()?)?;
            let mask = number(fields.nth(5)?)?;
            let prefix = u8::try_from(mask.count_ones()).ok().filter(|prefix| *prefix > 0)?;
            Some(Cidr { address: Ipv4Addr::from(destination).into(), prefix })
        })
        .collect()
}

/// Reads the local addresses out of `/proc/net/fib_trie`: a line with the address, then one that says so.
fn addresses(text: &str) -> Vec<Cidr> {
    let mut last = None;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL")
            && let Some(address) = last.filter(|address| !address.is_loopback())
        {
            let block = Cidr { address: IpAddr::V4(address), prefix: 32 };
            if !found.contains(&block) {
                found.push(block);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_the_hosts_routes() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t0101000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let found: Vec<String> = routes(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["172.17.0.0/16"]);
    }

    #[test]
    fn reads_the_hosts_addresses() {
        let text = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 172.18.0.9\n        \
                    /32 host LOCAL\n     |-- 172.19.0.0\n        /16 link UNICAST\n";
        let found: Vec<String> = addresses(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["172.18.0.9/32"]);
    }

    #[test]
    fn passes_over_what_is_taken() {
        let taken = ["172.17.0.0/16", "172.18.0.9/32", "172.19.128.0/17"].map(|text| text.parse().unwrap());
        assert_eq!(choose(&[], &taken).unwrap().to_string(), "172.20.0.0/16");
        assert_eq!(choose(&[], &["172.16.0.0/12".parse().unwrap()]).unwrap().to_string(), "192.168.0.0/20");
        assert_eq!(choose(&[], &["0.0.0.0/1", "128.0.0.0/1"].map(|text| text.parse().unwrap())), None);
    }

    #[test]
    fn makes_up_local_addresses() {
        assert_eq!(random_v6("0123456789ab").to_string(), "fd01:2345:6789::/64");
    }
}
