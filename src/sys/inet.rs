//! Options of internet sockets that `rustix` lacks.
#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The size of an option that is an int.
const INT: libc::socklen_t = 4;

/// The two families of internet addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Returns the one of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Returns the address that stands for all of a host's own.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// Lets a socket be bound to addresses that are not this host's, and accept what was sent to them
/// (`IP_TRANSPARENT`). Needs `CAP_NET_ADMIN` in the user namespace that owns the socket's network namespace.
pub fn set_transparent(socket: impl AsFd, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set(socket.as_fd(), libc::SOL_IP, libc::IP_TRANSPARENT, 1),
        Family::V6 => set(socket.as_fd(), libc::SOL_IPV6, libc::IPV6_TRANSPARENT, 1),
    }
}

/// Has the kernel tell with each datagram where it was sent to (`IP_RECVORIGDSTADDR`).
pub fn set_receive_original_destination(socket: impl AsFd, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set(socket.as_fd(), libc::SOL_IP, libc::IP_RECVORIGDSTADDR, 1),
        Family::V6 => set(socket.as_fd(), libc::SOL_IPV6, libc::IPV6_RECVORIGDSTADDR, 1),
    }
}

/// Has bind(2) with port 0 leave the choice of the port to connect(2), which then takes any that is free for
/// that destination (`IP_BIND_ADDRESS_NO_PORT`, good for both families).
pub fn set_bind_address_only(socket: impl AsFd) -> io::Result<()> {
    set(socket.as_fd(), libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

/// Returns how many bytes the other end of a TCP connection has not acknowledged yet (`SIOCOUTQ`).
pub fn unacknowledged(socket: impl AsFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ, which is SIOCOUTQ for sockets (tcp(7)), writes one int, which lives here.
    if unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

fn set(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: setsockopt(2) reads the 4 bytes of an int at the pointer, which are `value`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            // The size of an int fits any integer.
            INT,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
