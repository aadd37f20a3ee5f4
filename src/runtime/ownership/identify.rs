//! Calls about the ids of a process: credentials(7), answered for the one who asks.

use rustix::io::Errno;

use super::credentials::{Credentials, Ids};
use super::guest::Guest;
use super::{CAP_SETGID, CAP_SETUID};

/// The most groups that a process may be in (`NGROUPS_MAX`).
const GROUPS: usize = 65_536;

/// Calls about the ids of a process. Returns what they return, and the new ids if they change.
pub(super) fn identify(
    name: &str,
    guest: &Guest<'_>,
    now: &Credentials,
    powers: u64,
) -> Result<(i64, Option<Credentials>), Errno> {
    let first = guest.word(0);
    let users = now.has_powers() && powers & CAP_SETUID != 0;
    let groups = now.has_powers() && powers & CAP_SETGID != 0;
    let user = |ids: Ids| Ok((0, Some(now.with_user(ids))));
    let group = |ids: Ids| Ok((0, Some(Credentials { group: ids, ..now.clone() })));
    let tell = |ids: Ids| {
        for (at, id) in [ids.real, ids.effective, ids.saved].into_iter().enumerate() {
            guest.write(guest.call.arguments[at], &id.to_ne_bytes())?;
        }
        Ok((0, None))
    };
    match name {
        "getuid" => Ok((now.user.real.into(), None)),
        "geteuid" => Ok((now.user.effective.into(), None)),
        "getgid" => Ok((now.group.real.into(), None)),
        "getegid" => Ok((now.group.effective.into(), None)),
        "getresuid" => tell(now.user),
        "getresgid" => tell(now.group),
        "setuid" => user(now.user.set(first, users)?),
        "setgid" => group(now.group.set(first, groups)?),
        "setreuid" => user(now.user.set_two(first, guest.word(1), users)?),
        "setregid" => group(now.group.set_two(first, guest.word(1), groups)?),
        "setresuid" => user(now.user.set_three(first, guest.word(1), guest.word(2), users)?),
        "setresgid" => group(now.group.set_three(first, guest.word(1), guest.word(2), groups)?),
        "setfsuid" => {
            let new = now.with_user(now.user.set_file(first, users));
            Ok((now.user.file.into(), Some(new)))
        }
        "setfsgid" => {
            let new = Credentials { group: now.group.set_file(first, groups), ..now.clone() };
            Ok((now.group.file.into(), Some(new)))
        }
        "getgroups" => {
            let count = i64::try_from(now.groups.len()).unwrap_or_default();
            let room = i64::from(guest.int(0));
            if room < 0 || (room > 0 && room < count) {
                return Err(Errno::INVAL);
            }
            if room > 0 {
                let bytes: Vec<u8> = now.groups.iter().flat_map(|gid| gid.to_ne_bytes()).collect();
                guest.write(guest.call.arguments[1], &bytes)?;
            }
            Ok((count, None))
        }
        "setgroups" => {
            if !groups {
                return Err(Errno::PERM);
            }
            let count = usize::try_from(guest.int(0)).map_err(|_| Errno::INVAL)?;
            if count > GROUPS {
                return Err(Errno::INVAL);
            }
            let mut bytes = vec![0; count * 4];
            guest.read(guest.call.arguments[1], &mut bytes)?;
            let mut list: Vec<u32> =
                bytes.as_chunks().0.iter().map(|bytes: &[u8; 4]| u32::from_ne_bytes(*bytes)).collect();
            // As the kernel does.
            list.sort_unstable();
            Ok((0, Some(Credentials { groups: list, ..now.clone() })))
        }
        _ => Err(Errno::NOSYS),
    }
}
