//! Installing a filter of system calls (seccomp(2)).
#![allow(unsafe_code)]

use std::io;

/// Installs `filter` for this process and all that come from it. It must have `no_new_privs` set or
/// `CAP_SYS_ADMIN` in its user namespace.
pub fn install(filter: &[libc::sock_filter]) -> io::Result<()> {
    let length = libc::c_ushort::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: seccomp(2) reads `len` instructions, which the slice holds, and changes nothing of ours.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program))
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
