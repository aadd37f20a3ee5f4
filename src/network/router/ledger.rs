//! Who is plugged in where: what the router knows as long as it lives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::address::{Pool, mac_of};
use super::directory::{Directory, Member};
use super::plane::Plane;
use super::plane::tcp::door::{Target, Way};
use super::plug::{self, Plug};
use super::space::Space;
use crate::network::Network;
use crate::network::protocol::{Endpoint, EndpointRequest, PortRequest, PublishedPort, Refusal, RefusalKind};
use crate::sys::netlink::Refused;

/// How long a bridge without containers is kept for the next one.
const IDLE: Duration = Duration::from_secs(1);

/// Everything that is plugged in.
#[derive(Debug)]
pub(super) struct Ledger {
    space: Space,
    plane: Plane,
    lans: BTreeMap<String, Lan>,
    guests: BTreeMap<String, Guest>,
    directory: Arc<RwLock<Directory>>,
    /// Devices that a router before has left, and that nobody has claimed yet.
    orphans: BTreeSet<String>,
}

/// A network that has a bridge.
#[derive(Debug)]
struct Lan {
    network: Network,
    bridge: u32,
    /// One for each subnet, in their order.
    pools: Vec<Pool>,
    places: usize,
    /// Since when there have been no places.
    idle: Option<Instant>,
}

/// A container.
#[derive(Debug)]
struct Guest {
    namespace: OwnedFd,
    places: Vec<Place>,
}

/// A container on a network.
#[derive(Debug)]
struct Place {
    network_id: String,
    addresses: Vec<IpAddr>,
    /// The name of its device in the router's namespace.
    device: String,
    /// The name of its device in the container.
    interface: String,
    default_route: bool,
}

impl Ledger {
    /// Begins with what is in the namespace already.
    pub(super) fn open(mut space: Space, directory: Arc<RwLock<Directory>>, plane: Plane) -> Self {
        let orphans = match space.route.links() {
            Ok(links) => links
                .into_iter()
                .filter(|link| matches!(link.kind.as_str(), "veth" | "bridge"))
                .map(|link| link.name)
                .collect(),
            Err(refused) => {
                eprintln!("router: list devices: {refused}");
                BTreeSet::new()
            }
        };
        Self { space, plane, lans: BTreeMap::new(), guests: BTreeMap::new(), directory, orphans }
    }

    /// Returns the router's namespace.
    pub(super) fn namespace(&self) -> BorrowedFd<'_> {
        self.space.namespace()
    }

    /// Plugs a container into a network. With `claim`, what is there already is kept.
    pub(super) fn attach(
        &mut self,
        container: &str,
        namespace: OwnedFd,
        network: &Network,
        request: &EndpointRequest,
        claim: bool,
    ) -> Result<Endpoint, Refusal> {
        let id = &network.id;
        let guest = self.guests.get(container);
        if guest.is_some_and(|guest| guest.places.iter().any(|place| place.network_id == *id)) {
            let short = container.get(..12).unwrap_or(container);
            let name = request.names.first().map_or(short, String::as_str);
            let text = format!("endpoint with name {name} already exists in network {}", network.name);
            return Err(Refusal::new(RefusalKind::Other, text));
        }
        self.open_lan(network)?;
        // It was opened in the line before.
        let Some(lan) = self.lans.get_mut(id) else { return Err(other("the network is gone")) };
        let addresses = take_addresses(lan, request)?;
        let device = device_name(container, id);
        let mac = request.mac.or_else(|| addresses.first().map(|address| mac_of(*address)));
        let plug = Plug {
            network: &lan.network,
            bridge: lan.bridge,
            name: &device,
            namespace: namespace.as_fd(),
            interface: request.interface.as_deref(),
            mac: mac.unwrap_or(crate::network::Mac([2, 0x42, 0, 0, 0, 1])),
            addresses: &addresses,
            default_route: request.default_route,
        };
        let plugged = plug_in(&mut self.space, &plug, claim);
        let interface = match plugged {
            Ok(interface) => interface,
            Err(error) => {
                give_back(lan, &addresses);
                return Err(other(&format!("{error:#}")));
            }
        };
        let mut endpoint = endpoint(&plug, &interface, request);
        lan.places += 1;
        lan.idle = None;
        self.orphans.remove(&device);
        let network_id = id.clone();
        let default_route = request.default_route;
        let place = Place { network_id, addresses, device, interface, default_route };
        let member = member(container, &endpoint, request);
        let mut directory = write(&self.directory);
        endpoint.linked_by = directory.linked_to(container, id);
        directory.join(&lan.network, member);
        drop(directory);
        let guests = self.guests.entry(container.to_owned());
        guests.or_insert_with(|| Guest { namespace, places: Vec::new() }).places.push(place);
        Ok(endpoint)
    }

    /// Unplugs a container from a network.
    pub(super) fn detach(&mut self, container: &str, network_id: &str) -> Result<(), Refusal> {
        let found = self.guests.get_mut(container).and_then(|guest| {
            let at = guest.places.iter().position(|place| place.network_id == network_id)?;
            Some(guest.places.remove(at))
        });
        let Some(place) = found else { return Err(other("the container is not connected to the network")) };
        self.release(container, &place);
        Ok(())
    }

    /// Makes a network the container's way to everywhere, and to its published ports; `None`: it has no way.
    pub(super) fn lead(&mut self, container: &str, network_id: Option<&str>) -> Result<(), Refusal> {
        let Some(guest) = self.guests.get_mut(container) else {
            return Err(other("the container is connected to no network"));
        };
        let mut way = None;
        for place in &mut guest.places {
            place.default_route = Some(place.network_id.as_str()) == network_id;
            if place.default_route {
                way = self.lans.get(&place.network_id).map(|lan| (&lan.network, place.interface.as_str()));
            }
        }
        if way.is_none() && network_id.is_some() {
            return Err(other("the container is not connected to the network"));
        }
        plug::route_by(&self.space, guest.namespace.as_fd(), way)
            .map_err(|error| other(&format!("{error:#}")))?;
        if let Some(target) = self.target(container) {
            self.plane.turn_to(&target);
        }
        Ok(())
    }

    /// Gives a container other names on a network.
    pub(super) fn rename(
        &self,
        container: &str,
        network_id: &str,
        names: Vec<String>,
    ) -> Result<(), Refusal> {
        if write(&self.directory).rename(container, network_id, names) {
            Ok(())
        } else {
            Err(other("the container is not connected to the network"))
        }
    }

    /// Publishes ports of a container in place of those before, at the addresses that it has on the network by
    /// which it reaches others.
    pub(super) fn publish(
        &self,
        container: &str,
        ports: &[PortRequest],
        claim: bool,
    ) -> Result<Vec<PublishedPort>, Refusal> {
        self.plane.unpublish(container);
        if ports.is_empty() {
            return Ok(Vec::new());
        }
        let Some(target) = self.target(container) else {
            return Err(other("the container is on no network that could publish its ports"));
        };
        self.plane.publish(&target, ports, claim)
    }

    /// Returns where the published ports of a container lead.
    fn target(&self, container: &str) -> Option<Target> {
        let places = &self.guests.get(container)?.places;
        let place = places.iter().find(|place| place.default_route).or(places.first())?;
        let lan = self.lans.get(&place.network_id)?;
        let mut target = Target { container: container.to_owned(), v4: None, v6: None };
        for (subnet, address) in lan.network.subnets.iter().zip(&place.addresses) {
            match (*address, subnet.gateway) {
                (IpAddr::V4(address), IpAddr::V4(gateway)) => target.v4 = Some(Way { address, gateway }),
                (IpAddr::V6(address), IpAddr::V6(gateway)) => target.v6 = Some(Way { address, gateway }),
                _ => {}
            }
        }
        Some(target)
    }

    /// Unplugs a container from all networks.
    pub(super) fn leave(&mut self, container: &str) {
        self.plane.unpublish(container);
        let Some(guest) = self.guests.remove(container) else { return };
        for place in guest.places {
            self.release(container, &place);
        }
    }

    fn release(&mut self, container: &str, place: &Place) {
        write(&self.directory).leave(container, &place.network_id);
        plug::unplug(&mut self.space, &place.device);
        for address in &place.addresses {
            self.plane.forget(*address);
        }
        if let Some(lan) = self.lans.get_mut(&place.network_id) {
            give_back(lan, &place.addresses);
            lan.places = lan.places.saturating_sub(1);
            if lan.places == 0 {
                lan.idle = Some(Instant::now());
            }
        }
    }

    /// Makes the bridge of a network unless it has one.
    fn open_lan(&mut self, network: &Network) -> Result<(), Refusal> {
        if self.lans.contains_key(&network.id) {
            return Ok(());
        }
        if network.subnets.is_empty() {
            return Err(other("the network has no subnet"));
        }
        // An idle one may have the same addresses, under a name that was removed.
        self.close_idle(Duration::ZERO);
        let overlaps = |lan: &Lan| {
            let theirs = &lan.network.subnets;
            theirs
                .iter()
                .any(|theirs| network.subnets.iter().any(|ours| ours.subnet.overlaps(&theirs.subnet)))
        };
        if self.lans.values().any(overlaps) {
            return Err(other("invalid pool request: Pool overlaps with other one on this address space"));
        }
        let bridge = plug::open_bridge(&mut self.space, network).map_err(|error| {
            // A kernel without bridges.
            let is_missing = |cause: &Refused| cause.errno == Errno::OPNOTSUPP;
            let is_missing = error.chain().any(|cause| cause.downcast_ref().is_some_and(is_missing));
            let kind = if is_missing { RefusalKind::Unsupported } else { RefusalKind::Other };
            Refusal::new(kind, format!("{error:#}"))
        })?;
        self.orphans.remove(&network.bridge());
        let pools = network.subnets.iter().map(Pool::new).collect();
        let lan = Lan { network: network.clone(), bridge, pools, places: 0, idle: Some(Instant::now()) };
        self.lans.insert(network.id.clone(), lan);
        Ok(())
    }

    /// Removes the bridges that have had no containers for so long; returns when the next one will be due.
    pub(super) fn close_idle(&mut self, patience: Duration) -> Option<Instant> {
        let now = Instant::now();
        let due: Vec<String> = self
            .lans
            .iter()
            .filter(|(_, lan)| lan.idle.is_some_and(|since| now.duration_since(since) >= patience))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            if let Some(lan) = self.lans.remove(&id)
                && let Err(error) = plug::close_bridge(&mut self.space, &lan.network, lan.bridge)
            {
                eprintln!("router: {error:#}");
            }
        }
        self.lans.values().filter_map(|lan| lan.idle).min().map(|since| since + IDLE)
    }

    /// Removes the bridges whose time has come; returns when the next one's will.
    pub(super) fn tick(&mut self) -> Option<Instant> {
        self.close_idle(IDLE)
    }

    /// Tells whether devices of a router before wait to be claimed.
    pub(super) fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// Removes what nobody has claimed.
    pub(super) fn drop_orphans(&mut self) {
        for name in std::mem::take(&mut self.orphans) {
            plug::unplug(&mut self.space, &name);
        }
    }
}

/// Plugs a container in, or finds that it is.
fn plug_in(space: &mut Space, plug: &Plug<'_>, claim: bool) -> anyhow::Result<String> {
    if claim {
        if let Some(interface) = plug.interface
            && plug.is_done(space)?
        {
            return Ok(interface.to_owned());
        }
        plug.remove_stale(space)?;
    }
    plug.perform(space)
}

fn take_addresses(lan: &mut Lan, request: &EndpointRequest) -> Result<Vec<IpAddr>, Refusal> {
    let has = |four: bool| lan.network.subnets.iter().any(|subnet| subnet.subnet.is_ipv4() == four);
    let stray = request.ip.filter(|_| !has(true)).map(IpAddr::from);
    let stray = stray.or_else(|| request.ip6.filter(|_| !has(false)).map(IpAddr::from));
    if let Some(stray) = stray {
        return Err(other(&format!("no configured subnet contains IP address {stray}")));
    }
    let name = format!("{} ({})", lan.network.name, lan.network.id);
    let mut taken = Vec::new();
    for at in 0..lan.pools.len() {
        let is_ipv4 = lan.network.subnets[at].subnet.is_ipv4();
        let wanted = if is_ipv4 { request.ip.map(IpAddr::from) } else { request.ip6.map(IpAddr::from) };
        match lan.pools[at].take(wanted, &name) {
            Ok(address) => taken.push(address),
            Err(refusal) => {
                give_back(lan, &taken);
                return Err(refusal);
            }
        }
    }
    Ok(taken)
}

fn give_back(lan: &mut Lan, addresses: &[IpAddr]) {
    for (pool, address) in lan.pools.iter_mut().zip(addresses) {
        pool.give_back(*address);
    }
}

/// Says what a container has become on a network.
fn endpoint(plug: &Plug<'_>, interface: &str, request: &EndpointRequest) -> Endpoint {
    let network = plug.network;
    let placed = || network.subnets.iter().zip(plug.addresses);
    let ip = placed().find_map(|(subnet, address)| Some((four(*address)?, subnet.subnet.prefix)));
    let ip6 = placed().find_map(|(subnet, address)| Some((six(*address)?, subnet.subnet.prefix)));
    let gateway = network.subnets.iter().find_map(|subnet| four(subnet.gateway));
    let gateway6 = network.subnets.iter().find_map(|subnet| six(subnet.gateway));
    let dns = gateway.map(IpAddr::from).or(gateway6.map(IpAddr::from));
    Endpoint {
        network_id: network.id.clone(),
        network: network.name.clone(),
        interface: interface.to_owned(),
        mac: plug.mac,
        ip,
        ip6,
        gateway,
        gateway6,
        names: request.names.clone(),
        // Every network has a subnet, and that has a gateway.
        dns: dns.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
        linked_by: Vec::new(),
    }
}

fn member(container: &str, endpoint: &Endpoint, request: &EndpointRequest) -> Member {
    Member {
        container: container.to_owned(),
        ip: endpoint.ip.map(|(address, _)| address),
        ip6: endpoint.ip6.map(|(address, _)| address),
        names: request.names.clone(),
        hostname: request.hostname.clone(),
        links: request.links.clone(),
        dns: request.dns.clone(),
    }
}

fn four(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn six(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

/// Returns the name of a container's device in the router's namespace. It is the same for every router, so
/// that one finds what another has made.
fn device_name(container: &str, network_id: &str) -> String {
    format!("v{}{}", container.get(..7).unwrap_or(container), network_id.get(..7).unwrap_or(network_id))
}

fn other(text: &str) -> Refusal {
    Refusal::new(RefusalKind::Other, text)
}

fn write(directory: &RwLock<Directory>) -> RwLockWriteGuard<'_, Directory> {
    directory.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    use super::super::directory::tests::network;
    use super::*;
    use crate::sys::netlink::Socket;

    /// Does something on a thread of its own, whose namespace it may leave.
    fn aside<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(act).join().unwrap()
    }

    fn new_namespace() -> OwnedFd {
        aside(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap().into()
        })
    }

    fn inside<T: Send + 'static>(namespace: &OwnedFd, act: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = namespace.try_clone().unwrap();
        aside(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        })
    }

    fn open(space: Space) -> Ledger {
        let directory: Arc<RwLock<Directory>> = Arc::default();
        let plane = Plane::start(Arc::clone(&directory)).unwrap();
        Ledger::open(space, directory, plane)
    }

    /// Runs a test with a ledger in a namespace of its own, where this user may have one.
    fn with_ledger(act: impl FnOnce(&mut Ledger) + Send + 'static) {
        aside(|| match Space::enter(None, Path::new("/nowhere/holding")) {
            Ok(space) => {
                let mut ledger = open(space);
                ledger.plane.enter().unwrap();
                act(&mut ledger);
            }
            Err(error) => println!("skipped: {error:#}"),
        });
    }

    fn devices(namespace: &OwnedFd) -> Vec<String> {
        inside(namespace, || {
            let links = Socket::route().unwrap().links().unwrap();
            links.into_iter().map(|link| link.name).filter(|name| name != "lo").collect()
        })
    }

    fn plug(ledger: &mut Ledger, name: &str, network: &Network, namespace: &OwnedFd) -> Endpoint {
        let request = EndpointRequest { default_route: true, ..EndpointRequest::default() };
        let container = name.repeat(64);
        ledger.attach(&container, namespace.try_clone().unwrap(), network, &request, false).unwrap()
    }

    #[test]
    fn neighbours_talk_and_others_do_not() {
        with_ledger(|ledger| {
            let web = network("web-web-web-", &["10.61.0.0/24", "fd61::/64"], false);
            let db = network("db-db-db-db-", &["10.62.0.0/24"], false);
            let (one, two, three) = (new_namespace(), new_namespace(), new_namespace());
            assert_eq!(plug(ledger, "a", &web, &one).ip, Some((Ipv4Addr::new(10, 61, 0, 2), 24)));
            let second = plug(ledger, "b", &web, &two);
            let (ip, ip6) = (second.ip.unwrap().0, second.ip6.unwrap().0);
            assert_eq!((ip, ip6), (Ipv4Addr::new(10, 61, 0, 3), "fd61::3".parse().unwrap()));
            plug(ledger, "c", &db, &three);
            for address in [IpAddr::from(ip), ip6.into()] {
                let listener = inside(&two, move || TcpListener::bind((address, 7000)).unwrap());
                let mut stream = inside(&one, move || TcpStream::connect((address, 7000)).unwrap());
                stream.write_all(b"hello").unwrap();
                drop(stream);
                let mut text = String::new();
                listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
                assert_eq!(text, "hello");
            }
            // Nobody answers for another network, and nobody holds what leads there.
            let found = inside(&three, move || {
                TcpStream::connect_timeout(&(ip, 7000).into(), Duration::from_millis(100)).map(|_| ())
            });
            assert_eq!(found.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn leaving_leaves_nothing() {
        with_ledger(|ledger| {
            let web = network("web-web-web-", &["10.63.0.0/24"], false);
            let (one, two) = (new_namespace(), new_namespace());
            plug(ledger, "a", &web, &one);
            plug(ledger, "b", &web, &two);
            assert_eq!(devices(&one), ["eth0"]);
            ledger.leave(&"a".repeat(64));
            ledger.detach(&"b".repeat(64), &web.id).unwrap();
            assert!(ledger.detach(&"b".repeat(64), &web.id).is_err());
            assert!(devices(&one).is_empty() && devices(&two).is_empty());
            ledger.close_idle(Duration::ZERO);
            let own = ledger.namespace().try_clone_to_owned().unwrap();
            assert_eq!(devices(&own), Vec::<String>::new());
            // And the same can be made once more.
            assert_eq!(plug(ledger, "a", &web, &one).interface, "eth0");
        });
    }

    #[test]
    fn another_network_becomes_the_way_out() {
        with_ledger(|ledger| {
            let (web, db) = (
                network("web-web-web-", &["10.64.0.0/24"], false),
                network("db-db-db-db-", &["10.65.0.0/24"], false),
            );
            let one = new_namespace();
            plug(ledger, "a", &web, &one);
            let request = EndpointRequest::default();
            let id = "a".repeat(64);
            let second = ledger.attach(&id, one.try_clone().unwrap(), &db, &request, false).unwrap();
            assert_eq!(second.interface, "eth1");
            let again = ledger.attach(&id, one.try_clone().unwrap(), &db, &request, false).unwrap_err();
            assert!(again.text.contains("already exists in network"), "{again}");
            ledger.detach(&id, &web.id).unwrap();
            ledger.lead(&id, Some(&db.id)).unwrap();
            let gateway = inside(&one, || std::fs::read_to_string("/proc/thread-self/net/route").unwrap());
            // 10.65.0.1, as this machine writes the bytes.
            assert!(gateway.contains("eth1\t00000000\t0100410A"), "{gateway}");
            assert!(ledger.lead(&id, Some(&web.id)).is_err());
            ledger.lead(&id, None).unwrap();
            let gateway = inside(&one, || std::fs::read_to_string("/proc/thread-self/net/route").unwrap());
            assert!(!gateway.contains("eth1\t00000000"), "{gateway}");
        });
    }

    #[test]
    fn a_claim_keeps_what_is_there_and_mends_what_is_not() {
        with_ledger(|ledger| {
            let web = network("web-web-web-", &["10.66.0.0/24", "fd66::/64"], false);
            let (one, two) = (new_namespace(), new_namespace());
            let (first, second) = (plug(ledger, "a", &web, &one), plug(ledger, "b", &web, &two));
            let space = ledger.namespace().try_clone_to_owned().unwrap();
            let index = |namespace: &OwnedFd| {
                inside(namespace, || Socket::route().unwrap().link("eth0").unwrap().index)
            };
            let before = index(&one);
            // The next router begins with nothing but the namespace.
            let mut heir = open(Space::enter(Some(space), Path::new("/nowhere/holding")).unwrap());
            assert!(heir.has_orphans());
            let claim = |heir: &mut Ledger, name: &str, namespace: &OwnedFd, had: &Endpoint| {
                let request = EndpointRequest {
                    interface: Some(had.interface.clone()),
                    ip: had.ip.map(|(ip, _)| ip),
                    ip6: had.ip6.map(|(ip, _)| ip),
                    mac: Some(had.mac),
                    default_route: true,
                    ..EndpointRequest::default()
                };
                heir.attach(&name.repeat(64), namespace.try_clone().unwrap(), &web, &request, true).unwrap()
            };
            assert_eq!(claim(&mut heir, "a", &one, &first), first);
            assert_eq!(index(&one), before);
            // This one's device was lost.
            heir.space
                .route
                .apply(|batch| batch.delete_link(&device_name(&"b".repeat(64), &web.id)))
                .unwrap();
            assert_eq!(claim(&mut heir, "b", &two, &second), second);
            assert_eq!(devices(&two), ["eth0"]);
            heir.drop_orphans();
            assert_eq!((devices(&one).len(), devices(&two).len()), (1, 1));
        });
    }
}
