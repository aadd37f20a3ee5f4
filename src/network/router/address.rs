//! Which addresses of a subnet are given to whom.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::network::protocol::{Refusal, RefusalKind};
use crate::network::{Cidr, Mac, Subnet};

/// The addresses of a subnet that are given.
#[derive(Debug)]
pub(super) struct Pool {
    subnet: Subnet,
    given: BTreeSet<IpAddr>,
    /// The one that was chosen last.
    last: Option<IpAddr>,
}

impl Pool {
    /// Returns a pool of which nothing is given.
    pub(super) fn new(subnet: &Subnet) -> Self {
        Self { subnet: subnet.clone(), given: BTreeSet::new(), last: None }
    }

    /// Gives the wanted address or, if none is, the first free one behind the one that was chosen last: an
    /// address that has just been somebody's is not somebody else's at once.
    pub(super) fn take(&mut self, wanted: Option<IpAddr>, network: &str) -> Result<IpAddr, Refusal> {
        let address = match wanted {
            Some(wanted) if !self.subnet.subnet.contains(wanted) => {
                let text = format!("no configured subnet contains IP address {wanted}");
                return Err(Refusal::new(RefusalKind::Other, text));
            }
            Some(wanted) if self.is_taken(wanted) => {
                return Err(Refusal::new(RefusalKind::AddressInUse, "Address already in use"));
            }
            Some(wanted) => wanted,
            None => {
                let found = self.free().ok_or_else(|| {
                    let family = if self.subnet.subnet.is_ipv4() { "IPv4" } else { "IPv6" };
                    let text =
                        format!("no available {family} addresses on this network's address pools: {network}");
                    Refusal::new(RefusalKind::NoAddressLeft, text)
                })?;
                self.last = Some(found);
                found
            }
        };
        self.given.insert(address);
        Ok(address)
    }

    /// Takes an address back.
    pub(super) fn give_back(&mut self, address: IpAddr) {
        self.given.remove(&address);
    }

    fn is_taken(&self, address: IpAddr) -> bool {
        let subnet = &self.subnet;
        let block = subnet.subnet;
        // The first address of a block names it, and the last one of IPv4 means everybody in it; not so in
        // the smallest blocks, which have no others.
        let width = if block.is_ipv4() { 32 } else { 128 };
        let is_bound = block.prefix + 1 < width
            && (address == block.first() || (block.is_ipv4() && address == block.last()));
        is_bound
            || address == subnet.gateway
            || subnet.aux.values().any(|reserved| *reserved == address)
            || self.given.contains(&address)
    }

    fn free(&self) -> Option<IpAddr> {
        let range = self.subnet.ip_range.unwrap_or(self.subnet.subnet);
        let start = match self.last {
            Some(last) if range.contains(last) && last != range.last() => next(last),
            _ => range.first(),
        };
        // Whatever is taken is one of these, so one more step finds a free one if there is any.
        let most = self.given.len() + self.subnet.aux.len() + 4;
        let mut address = start;
        for _ in 0..most {
            if !self.is_taken(address) {
                return Some(address);
            }
            address = if address == range.last() { range.first() } else { next(address) };
            if address == start {
                return None;
            }
        }
        None
    }
}

/// Returns the address behind one that is not the last of all.
fn next(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4(u32::from(address).wrapping_add(1).into()),
        IpAddr::V6(address) => IpAddr::V6(u128::from(address).wrapping_add(1).into()),
    }
}

/// Returns the hardware address that belongs to an IPv4 address, as Docker gives them: whoever gets the address
/// next is not taken for somebody else by neighbours that remember.
pub(super) fn mac_of(address: IpAddr) -> Mac {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, fourth] = address.octets();
            Mac([0x02, 0x42, first, second, third, fourth])
        }
        IpAddr::V6(address) => {
            let bytes = address.octets();
            Mac([0x02, 0x43, bytes[12], bytes[13], bytes[14], bytes[15]])
        }
    }
}

/// Returns the address that means everybody in an IPv4 block.
pub(super) fn broadcast(block: Cidr) -> Option<IpAddr> {
    (block.is_ipv4() && block.prefix < 31).then(|| block.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, gateway: &str, range: Option<&str>) -> Pool {
        Pool::new(&Subnet {
            subnet: subnet.parse().unwrap(),
            gateway: gateway.parse().unwrap(),
            ip_range: range.map(|range| range.parse().unwrap()),
            aux: [("tv".to_owned(), "10.0.0.3".parse().unwrap())].into(),
        })
    }

    fn take(pool: &mut Pool, wanted: Option<&str>) -> Result<String, RefusalKind> {
        let wanted = wanted.map(|wanted| wanted.parse().unwrap());
        pool.take(wanted, "web").map(|address| address.to_string()).map_err(|refusal| refusal.kind)
    }

    #[test]
    fn gives_the_next_free_one() {
        let mut pool = pool("10.0.0.0/29", "10.0.0.1", None);
        assert_eq!(take(&mut pool, None).unwrap(), "10.0.0.2");
        assert_eq!(take(&mut pool, None).unwrap(), "10.0.0.4");
        pool.give_back("10.0.0.2".parse().unwrap());
        assert_eq!(take(&mut pool, None).unwrap(), "10.0.0.5");
        assert_eq!(take(&mut pool, None).unwrap(), "10.0.0.6");
        // Around the end, over the broadcast and the network's own address.
        assert_eq!(take(&mut pool, None).unwrap(), "10.0.0.2");
        assert_eq!(take(&mut pool, None), Err(RefusalKind::NoAddressLeft));
        pool.give_back("10.0.0.5".parse().unwrap());
        assert_eq!(take(&mut pool, None).unwrap(), "10.0.0.5");
    }

    #[test]
    fn gives_what_is_asked_for_once() {
        let mut pool = pool("10.0.0.0/24", "10.0.0.1", Some("10.0.0.128/30"));
        assert_eq!(take(&mut pool, Some("10.0.0.9")).unwrap(), "10.0.0.9");
        for taken in ["10.0.0.9", "10.0.0.1", "10.0.0.0", "10.0.0.255", "10.0.0.3"] {
            assert_eq!(take(&mut pool, Some(taken)), Err(RefusalKind::AddressInUse), "{taken}");
        }
        assert_eq!(take(&mut pool, Some("10.0.1.9")), Err(RefusalKind::Other));
        assert_eq!(take(&mut pool, None).unwrap(), "10.0.0.128");
        for _ in 0..3 {
            take(&mut pool, None).unwrap();
        }
        assert_eq!(take(&mut pool, None), Err(RefusalKind::NoAddressLeft));
    }

    #[test]
    fn small_blocks_have_no_bounds() {
        let mut pair = pool("10.9.0.0/31", "10.9.0.0", None);
        assert_eq!(take(&mut pair, None).unwrap(), "10.9.0.1");
        assert_eq!(take(&mut pair, None), Err(RefusalKind::NoAddressLeft));
        let mut six = pool("fd00::/64", "fd00::1", None);
        assert_eq!(take(&mut six, None).unwrap(), "fd00::2");
    }

    #[test]
    fn hardware_addresses_follow() {
        assert_eq!(mac_of("172.17.0.2".parse().unwrap()).to_string(), "02:42:ac:11:00:02");
        assert_eq!(broadcast("10.0.0.0/24".parse().unwrap()), Some("10.0.0.255".parse().unwrap()));
        assert_eq!(broadcast("fd00::/64".parse().unwrap()), None);
    }
}
