//! Connections out of containers: SYNs that the kernel holds, and the listeners in `R` at which they arrive.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::super::event::{Events, Fate, Source, Turn};
use super::packet::{Ends, parse_opening};
use super::relay::{self, Opening, Waiting};
use super::{Answer, HasTcp, Known, Stage, is_short, set_relayed, socket};
use crate::sys::inet::{self, Family};

/// Connections accepted before others get their turn.
const BATCH: usize = 64;

/// How long nothing is accepted when this process is short of descriptors.
const REST: Duration = Duration::from_millis(50);

/// Connections that wait to be accepted. The kernel's own bound (`net.core.somaxconn`) is usually lower.
const BACKLOG: i32 = 65_535;

/// Takes a packet that the kernel holds under the number `packet` and that opens a TCP connection: it will be
/// answered, now or later.
pub fn hold<W: HasTcp>(turn: &mut Turn<'_, W>, packet: u32, bytes: &[u8]) {
    let answer = match parse_opening(bytes) {
        None => Answer::Silence,
        Some(opening) => match turn.world.tcp().known(&opening) {
            // Sent again before the listener had room for it.
            Some(Stage::Granted) => Answer::Granted,
            // Sent again while the first was held; we may read it when that has become a connection.
            Some(Stage::Held | Stage::Accepted) => Answer::Silence,
            None => match connect(turn, &opening.ends) {
                Ok((socket, account)) => {
                    let waiting = Waiting::Packet(packet, opening);
                    match relay::open(turn, Opening { account, socket, waiting }) {
                        Ok(()) => return,
                        Err(answer) => answer,
                    }
                }
                Err(answer) => answer,
            },
        },
    };
    (turn.world.tcp().verdict)(packet, answer);
}

/// Begins to connect to where a container's connection goes.
fn connect<W: HasTcp>(turn: &mut Turn<'_, W>, ends: &Ends) -> Result<(OwnedFd, IpAddr), Answer> {
    let tcp = turn.world.tcp();
    let account = ends.source.ip();
    let to = (tcp.route)(ends)?;
    if !tcp.accounts.may_open(account) {
        return Err(Answer::Silence);
    }
    let of = |error: io::Error| Errno::from_io_error(&error).map_or(Answer::Silence, Answer::of);
    let socket = socket(to).map_err(of)?;
    set_relayed(&socket).map_err(of)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok((socket, account)),
        Err(error) => Err(Answer::of(error)),
    }
}

/// The listener to which the ruleset of `R` sends connections, whatever their destination.
#[derive(Debug)]
pub struct Arrivals(OwnedFd);

/// Makes the listener of one family, at `port` or, if that is 0, at any. To be called by a thread in `R`.
pub fn listen(family: Family, port: u16) -> io::Result<OwnedFd> {
    let address = SocketAddr::new(family.unspecified(), port);
    let socket = socket(address)?;
    if family == Family::V6 {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    inet::set_transparent(&socket, family)?;
    set_relayed(&socket)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Begins to accept what arrives at a listener.
pub fn arrive<W: HasTcp>(turn: &mut Turn<'_, W>, listener: OwnedFd) -> io::Result<()> {
    let key = turn.reserve()?;
    turn.watch(key, 0, &listener, Events::IN | Events::ET)?;
    turn.fill(key, Arrivals(listener));
    Ok(())
}

impl Arrivals {
    fn accepted<W: HasTcp>(turn: &mut Turn<'_, W>, near: OwnedFd, source: SocketAddr) {
        let local = rustix::net::getsockname(&near).map(SocketAddr::try_from);
        let Ok(Ok(destination)) = local else { return };
        let ends = Ends { source, destination };
        let tcp = turn.world.tcp();
        if let Some(Known { key, stage: Stage::Held | Stage::Granted, .. }) = tcp.known.get(&ends).copied() {
            tcp.arrived.insert(key, near);
            turn.poke(key);
            return;
        }
        // It was not held, so all it can still hear is a reset.
        match connect(turn, &ends) {
            Ok((socket, account)) => {
                let waiting = Waiting::Accepted(near);
                // The accepted socket is reset if that fails.
                let _ = relay::open(turn, Opening { account, socket, waiting });
            }
            Err(_) => relay::reset(near),
        }
    }
}

impl<W: HasTcp> Source<W> for Arrivals {
    fn ready(&mut self, _: u8, _: Events, turn: &mut Turn<'_, W>) -> Fate {
        accept(&self.0, turn, Self::accepted)
    }

    fn timeout(&mut self, turn: &mut Turn<'_, W>) -> Fate {
        accept(&self.0, turn, Self::accepted)
    }
}

/// Accepts what there is at a listener that is watched for edges.
pub(super) fn accept<W>(
    listener: &OwnedFd,
    turn: &mut Turn<'_, W>,
    mut accepted: impl FnMut(&mut Turn<'_, W>, OwnedFd, SocketAddr),
) -> Fate {
    for _ in 0..BATCH {
        match rustix::net::acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok((socket, Some(address))) => {
                if let Ok(address) = address.try_into() {
                    accepted(turn, socket, address);
                }
            }
            Err(Errno::AGAIN) => return Fate::Stay,
            Err(error) if is_short(error) => {
                let next = turn.now() + REST;
                turn.deadline(turn.key(), Some(next));
                return Fate::Stay;
            }
            // A connection that ended while it waited.
            Ok((_, None)) | Err(_) => {}
        }
    }
    Fate::Again
}
