//! Making a network: what was asked for, checked, with addresses that nobody else has.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, bail};

use super::find::{HOST, NONE, list};
use super::pool;
use super::record::{Cidr, Driver, Network, Subnet};
use crate::store::{Mode, Store, random_id, replace_json_synced};

/// The name of the network that containers are in if they are told nothing else.
pub(super) const DEFAULT: &str = "bridge";

const MTU: &str = "com.docker.network.driver.mtu";

/// What a user wants a network to be.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// Now: RFC 3339.
    pub created: String,
    /// The name of its driver; empty: `bridge`.
    pub driver: String,
    /// Its addresses; a family that is missing is chosen.
    pub subnets: Vec<SubnetRequest>,
    /// Whether it has no IPv4 addresses.
    pub no_ipv4: bool,
    /// Whether it has IPv6 addresses.
    pub ipv6: bool,
    /// Whether it reaches nothing but itself.
    pub internal: bool,
    /// For `inspect`.
    pub attachable: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// What a user wants the addresses of one family to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetRequest {
    /// All addresses.
    pub subnet: Cidr,
    /// The gateway; the first address if absent.
    pub gateway: Option<IpAddr>,
    /// Where addresses are taken from.
    pub ip_range: Option<Cidr>,
    /// Addresses that are somebody else's.
    pub aux: BTreeMap<String, IpAddr>,
}

/// Makes a network.
pub fn create(store: &Store, request: Request) -> Result<Network> {
    check(&request)?;
    default(store)?;
    let _lock = super::remove::lock(store, Mode::Exclusive)?;
    let networks = list(store)?;
    if [HOST, NONE].iter().any(|known| known.name == request.name) || request.name == DEFAULT {
        bail!("operation is not permitted on predefined {} network", request.name);
    }
    let taken = networks.iter().any(|network| network.name == request.name);
    if taken {
        bail!("network with name {} already exists", request.name);
    }
    let network = plan(request, &networks, &pool::of_host())?;
    write(store, &network)?;
    super::note(store, "create", &network);
    Ok(network)
}

/// Returns the default network, which is made when it is first asked for.
pub fn default(store: &Store) -> Result<Network> {
    let find = || anyhow::Ok(list(store)?.into_iter().find(|network| network.name == DEFAULT));
    if let Some(network) = find()? {
        return Ok(network);
    }
    let _lock = super::remove::lock(store, Mode::Exclusive)?;
    if let Some(network) = find()? {
        return Ok(network);
    }
    let request = Request {
        name: DEFAULT.to_owned(),
        created: format!("{:.9}", jiff::Timestamp::now()),
        ..Request::default()
    };
    let network = plan(request, &list(store)?, &pool::of_host())?;
    write(store, &network)?;
    Ok(network)
}

fn write(store: &Store, network: &Network) -> Result<()> {
    let dir = store.networks();
    fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    replace_json_synced(&dir.join(format!("{}.json", network.id)), network)
}

/// Refuses what cannot be, in Docker's words where it has some.
fn check(request: &Request) -> Result<()> {
    let name = request.name.as_str();
    if name.trim().is_empty() {
        bail!("invalid network name: name is empty");
    }
    if name == "default" || name.starts_with("container:") {
        bail!("operation is not permitted on predefined {name} network");
    }
    if name.trim() != name || name.len() > 255 || name.contains(|c: char| c == '/' || c.is_control()) {
        bail!("invalid network name: {name:?}");
    }
    match request.driver.as_str() {
        "" | "bridge" | "default" => {}
        "host" => bail!("only one instance of \"host\" network is allowed"),
        "null" | "none" => bail!("only one instance of \"null\" network is allowed"),
        "overlay" => bail!(
            "driver \"overlay\" is not supported: it joins several machines of a swarm, and there is one machine \
             here; use the driver bridge"
        ),
        driver @ ("macvlan" | "ipvlan") => bail!(
            "driver {driver:?} is not supported: it puts containers on a device of the host, which needs real root; \
             use the driver bridge with published ports, or --network host"
        ),
        driver => {
            bail!("could not find plugin {driver} in v1 plugin registry: plugin \"{driver}\" not found")
        }
    }
    check_options(&request.options)?;
    let mut complaints = Vec::new();
    for subnet in &request.subnets {
        complaints.extend(check_subnet(subnet));
    }
    if !complaints.is_empty() {
        bail!("invalid network config:\n{}", complaints.join("\n"));
    }
    for four in [true, false] {
        if request.subnets.iter().filter(|it| it.subnet.is_ipv4() == four).count() > 1 {
            bail!("a bridge network has one subnet of each address family");
        }
    }
    if request.no_ipv4 && !request.ipv6 {
        bail!("IPv4 or IPv6 must be enabled");
    }
    if request.no_ipv4 && request.subnets.iter().any(|it| it.subnet.is_ipv4()) {
        bail!("invalid network config:\nan IPv4 subnet is given, and IPv4 is disabled");
    }
    Ok(())
}

fn check_options(options: &BTreeMap<String, String>) -> Result<()> {
    if let Some(mtu) = options.get(MTU).or_else(|| options.get("mtu"))
        && !mtu.parse::<u32>().is_ok_and(|mtu| (68..=65535).contains(&mtu))
    {
        bail!("invalid value for {MTU}: {mtu:?} is not a number from 68 to 65535");
    }
    let is = |key: &str, word: &str| options.get(key).is_some_and(|value| value == word);
    if is("com.docker.network.bridge.enable_ip_masquerade", "false") {
        bail!(
            "com.docker.network.bridge.enable_ip_masquerade=false is not supported: nothing can route to a network \
             of an unprivileged user, so its connections leave with the host's address; use --internal to have none"
        );
    }
    for key in ["com.docker.network.bridge.gateway_mode_ipv4", "com.docker.network.bridge.gateway_mode_ipv6"]
    {
        if let Some(mode) = options.get(key)
            && mode != "nat"
        {
            bail!("{key}={mode} is not supported: nothing can route to a network of an unprivileged user");
        }
    }
    if let Some(address) = options.get("com.docker.network.bridge.host_binding_ipv4")
        && address.parse::<Ipv4Addr>().is_err()
    {
        bail!(
            "invalid value for com.docker.network.bridge.host_binding_ipv4: {address:?} is not an IPv4 address"
        );
    }
    Ok(())
}

/// Says what is wrong with the addresses of one family.
fn check_subnet(request: &SubnetRequest) -> Vec<String> {
    let SubnetRequest { subnet, gateway, ip_range, aux } = request;
    let family = if subnet.is_ipv4() { "IPv4" } else { "IPv6" };
    let mut complaints = Vec::new();
    if subnet.network() != *subnet {
        complaints.push(format!("invalid subnet {subnet}: it should be {}", subnet.network()));
    }
    if subnet.prefix == 0 {
        complaints.push(format!("invalid subnet {subnet}: it has no bits of its own"));
    }
    if let Some(range) = ip_range {
        let wrong = if range.is_ipv4() != subnet.is_ipv4() {
            Some(format!("parent subnet is an {family} block"))
        } else if range.prefix < subnet.prefix {
            Some(format!("CIDR block is bigger than its parent subnet {subnet}"))
        } else if range.network() != *range {
            Some(format!("it should be {}", range.network()))
        } else if !subnet.contains(range.address) {
            Some(format!("parent subnet {subnet} doesn't contain ip-range"))
        } else {
            None
        };
        complaints.extend(wrong.map(|wrong| format!("invalid ip-range {range}: {wrong}")));
    }
    let mut check = |kind: &str, address: &IpAddr| {
        if address.is_ipv4() != subnet.is_ipv4() {
            complaints.push(format!("invalid {kind} {address}: parent subnet is an {family} block"));
        } else if !subnet.contains(*address) {
            complaints.push(format!(
                "invalid {kind} {address}: parent subnet {subnet} doesn't contain this address"
            ));
        }
    };
    if let Some(address) = gateway {
        check("gateway", address);
    }
    for address in aux.values() {
        check("auxiliary address", address);
    }
    complaints
}

/// Decides what the network is.
fn plan(request: Request, networks: &[Network], host: &[Cidr]) -> Result<Network> {
    let id = random_id();
    let mut subnets = Vec::new();
    for subnet in &request.subnets {
        if pool::overlaps(networks, &subnet.subnet) {
            bail!("invalid pool request: Pool overlaps with other one on this address space");
        }
        subnets.push(with_gateway(subnet)?);
    }
    let bare = |subnet| SubnetRequest { subnet, gateway: None, ip_range: None, aux: BTreeMap::new() };
    let has = |subnets: &[Subnet], four: bool| subnets.iter().any(|it| it.subnet.is_ipv4() == four);
    if !request.no_ipv4 && !has(&subnets, true) {
        let chosen = pool::choose(networks, host);
        subnets.push(with_gateway(&bare(
            chosen.context("all predefined address pools have been fully subnetted")?,
        ))?);
    }
    // A subnet of IPv6 says that there shall be IPv6.
    let ipv6 = request.ipv6 || has(&subnets, false);
    if ipv6 && !has(&subnets, false) {
        subnets.push(with_gateway(&bare(pool::random_v6(&random_id())))?);
    }
    subnets.sort_by_key(|subnet| !subnet.subnet.is_ipv4());
    let mut options = request.options;
    if let Some(mtu) = options.remove("mtu") {
        options.insert(MTU.to_owned(), mtu);
    }
    Ok(Network {
        id,
        name: request.name,
        created: request.created,
        driver: Driver::Bridge,
        subnets,
        internal: request.internal,
        ipv6,
        attachable: request.attachable,
        labels: request.labels,
        options,
    })
}

/// The gateway is the first address after the block's own, unless that is somebody else's.
fn with_gateway(request: &SubnetRequest) -> Result<Subnet> {
    let block = request.subnet;
    let widest = if block.is_ipv4() { 32 } else { 128 };
    let gateway = match request.gateway {
        Some(gateway) => gateway,
        None if block.prefix + 1 >= widest => block.first(),
        None => {
            let is_free = |address: &IpAddr| !request.aux.values().any(|aux| aux == address);
            let mut next = successor(block.first());
            while !is_free(&next) {
                next = successor(next);
            }
            if !block.contains(next) {
                bail!("invalid network config:\ninvalid subnet {block}: no address is left for the gateway");
            }
            next
        }
    };
    Ok(Subnet { subnet: block, gateway, ip_range: request.ip_range, aux: request.aux.clone() })
}

fn successor(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address).wrapping_add(1)).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address).wrapping_add(1)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Found, find};
    use crate::store::tests::scratch;

    fn request(name: &str) -> Request {
        Request { name: name.into(), created: "2026-01-01T00:00:00Z".into(), ..Request::default() }
    }

    fn subnet(text: &str) -> SubnetRequest {
        SubnetRequest { subnet: text.parse().unwrap(), gateway: None, ip_range: None, aux: BTreeMap::new() }
    }

    fn refused(request: Request) -> String {
        let (_dir, store) = scratch();
        create(&store, request).unwrap_err().to_string()
    }

    #[test]
    fn makes_finds_and_removes() {
        let (_dir, store) = scratch();
        let made = create(&store, request("web")).unwrap();
        assert_eq!(made.subnets.len(), 1);
        let default = default(&store).unwrap();
        assert!(!default.subnets[0].subnet.overlaps(&made.subnets[0].subnet));
        for text in ["web", made.id.as_str(), &made.id[..12]] {
            assert_eq!(find(&store, text).unwrap(), Found::Network(Box::new(made.clone())), "{text}");
        }
        assert_eq!(find(&store, "bridge").unwrap().id(), default.id);
        assert_eq!(find(&store, "host").unwrap().name(), "host");
        assert_eq!(find(&store, "nope").unwrap_err().to_string(), "network nope not found");
        for name in ["web", "bridge", "host", "none"] {
            let error = create(&store, request(name)).unwrap_err().to_string();
            let words = match name {
                "web" => "network with name web already exists".to_owned(),
                name => format!("operation is not permitted on predefined {name} network"),
            };
            assert_eq!(error, words);
        }
        crate::network::remove(&store, &made).unwrap();
        assert!(find(&store, "web").is_err());
        create(&store, request("web")).unwrap();
    }

    #[test]
    fn gives_addresses() {
        let (_dir, store) = scratch();
        let wish = SubnetRequest {
            aux: [("tv".to_owned(), "10.87.0.1".parse().unwrap())].into(),
            ..subnet("10.87.0.0/24")
        };
        let made = create(&store, Request { subnets: vec![wish], ipv6: true, ..request("a") }).unwrap();
        assert_eq!(made.subnets[0].gateway.to_string(), "10.87.0.2");
        assert!(made.ipv6 && made.subnets[1].subnet.to_string().starts_with("fd"));
        let error = create(&store, Request { subnets: vec![subnet("10.87.0.128/25")], ..request("b") });
        assert_eq!(
            error.unwrap_err().to_string(),
            "invalid pool request: Pool overlaps with other one on this address space"
        );
        let six = create(
            &store,
            Request { subnets: vec![subnet("fd00:9::/64")], no_ipv4: true, ipv6: true, ..request("c") },
        );
        assert_eq!(six.unwrap().subnets[0].gateway.to_string(), "fd00:9::1");
    }

    #[test]
    fn refuses_in_dockers_words() {
        assert_eq!(
            refused(Request { subnets: vec![subnet("10.87.0.1/24")], ..request("a") }),
            "invalid network config:\ninvalid subnet 10.87.0.1/24: it should be 10.87.0.0/24"
        );
        let wish = SubnetRequest {
            gateway: Some("10.88.0.1".parse().unwrap()),
            ip_range: Some("10.0.0.0/8".parse().unwrap()),
            ..subnet("10.87.0.0/24")
        };
        assert_eq!(
            refused(Request { subnets: vec![wish], ..request("a") }),
            "invalid network config:\ninvalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet \
             10.87.0.0/24\ninvalid gateway 10.88.0.1: parent subnet 10.87.0.0/24 doesn't contain this address"
        );
        for (driver, word) in
            [("overlay", "swarm"), ("macvlan", "real root"), ("weave", "plugin \"weave\" not found")]
        {
            assert!(refused(Request { driver: driver.into(), ..request("a") }).contains(word), "{driver}");
        }
        let masquerade = ("com.docker.network.bridge.enable_ip_masquerade".to_owned(), "false".to_owned());
        assert!(refused(Request { options: [masquerade].into(), ..request("a") }).contains("--internal"));
        assert!(refused(request("a/b")).starts_with("invalid network name"));
        assert!(refused(Request { no_ipv4: true, ..request("a") }).contains("must be enabled"));
    }
}
