//! Becomes the wanted user, with the wanted limits and capabilities and no more.

use anyhow::{Context, Result, anyhow};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

use crate::idmap::User;
use crate::oci::runtime::{Capabilities, PosixRlimitType, Process};

/// Sets the limits of the process (getrlimit(2)).
pub(super) fn limit(process: &Process) -> Result<()> {
    for limit in process.rlimits().as_deref().unwrap_or_default() {
        let (kind, name) = resource(limit.typ());
        // The greatest number stands for no limit.
        let value = |number: u64| (number != u64::MAX).then_some(number);
        let wanted = Rlimit { current: value(limit.soft()), maximum: value(limit.hard()) };
        match rustix::process::setrlimit(kind, wanted) {
            Err(Errno::PERM) => {
                let most = rustix::process::getrlimit(kind).maximum;
                let most = most.map_or_else(|| "unlimited".to_owned(), |most| most.to_string());
                return Err(anyhow!(
                    "set the limit {name} to {}: only root may raise it above this user's own, {most}",
                    limit.hard()
                ));
            }
            result => result.with_context(|| format!("set the limit {name}"))?,
        }
    }
    Ok(())
}

fn resource(kind: PosixRlimitType) -> (Resource, &'static str) {
    match kind {
        PosixRlimitType::RlimitCpu => (Resource::Cpu, "cpu"),
        PosixRlimitType::RlimitFsize => (Resource::Fsize, "fsize"),
        PosixRlimitType::RlimitData => (Resource::Data, "data"),
        PosixRlimitType::RlimitStack => (Resource::Stack, "stack"),
        PosixRlimitType::RlimitCore => (Resource::Core, "core"),
        PosixRlimitType::RlimitRss => (Resource::Rss, "rss"),
        PosixRlimitType::RlimitNproc => (Resource::Nproc, "nproc"),
        PosixRlimitType::RlimitNofile => (Resource::Nofile, "nofile"),
        PosixRlimitType::RlimitMemlock => (Resource::Memlock, "memlock"),
        PosixRlimitType::RlimitAs => (Resource::As, "as"),
        PosixRlimitType::RlimitLocks => (Resource::Locks, "locks"),
        PosixRlimitType::RlimitSigpending => (Resource::Sigpending, "sigpending"),
        PosixRlimitType::RlimitMsgqueue => (Resource::Msgqueue, "msgqueue"),
        PosixRlimitType::RlimitNice => (Resource::Nice, "nice"),
        PosixRlimitType::RlimitRtprio => (Resource::Rtprio, "rtprio"),
        PosixRlimitType::RlimitRttime => (Resource::Rttime, "rttime"),
    }
}

/// The capabilities that a process shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Powers {
    bounding: u64,
    permitted: u64,
    effective: u64,
}

impl Powers {
    /// Reads them from the specification; `None` if it leaves them alone. As execve(2) would, and Docker
    /// does, only root gets more than the bounding set.
    pub(super) fn of(process: &Process, uid: u32) -> Result<Option<Self>> {
        let Some(wanted) = process.capabilities() else { return Ok(None) };
        let bounding = bits(wanted.bounding().as_ref())?;
        if uid != 0 {
            return Ok(Some(Self { bounding, permitted: 0, effective: 0 }));
        }
        let permitted = bits(wanted.permitted().as_ref())?;
        Ok(Some(Self { bounding, permitted, effective: bits(wanted.effective().as_ref())? & permitted }))
    }

    /// Returns the capabilities that root has at most, as bits.
    pub(super) fn of_root(self) -> u64 {
        self.bounding
    }

    /// Gives up for ever what is not in the bounding set.
    pub(super) fn bound(self) -> Result<()> {
        for index in 0..64 {
            let bit = 1 << index;
            if self.bounding & bit != 0 {
                continue;
            }
            match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit)) {
                // Past the last one that this kernel knows.
                Err(Errno::INVAL) => break,
                result => result.with_context(|| format!("give up capability {index}"))?,
            }
        }
        Ok(())
    }

    /// Gives up everything else: nothing is inheritable, and so nothing is ambient.
    pub(super) fn settle(self) -> Result<()> {
        set(self.permitted, self.effective)
    }
}

/// Returns the ids that this process has.
pub(super) fn own() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Takes on the ids of the container's root, in a container where the user who made this process is somebody else.
/// Capabilities stay. A change of ids closes `/proc/self` to the process; unless it is to be `hidden`, it is opened
/// again.
pub(super) fn become_root(hidden: bool) -> Result<()> {
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)
        .and_then(|()| rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT))
        .context("become the container's root")?;
    if !hidden {
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable).context("show")?;
    }
    use_all_powers()
}

/// Has `act` reach for files as the user with these ids. It has no power over those of others meanwhile.
pub(super) fn reach_as<T>((uid, gid): (u32, u32), act: impl FnOnce() -> Result<T>) -> Result<T> {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
    // These calls tell no error (setfsuid(2)); where they fail, `act` does what it would without them.
    let before = (setfsuid(Uid::from_raw(uid)), setfsgid(Gid::from_raw(gid)));
    let done = act();
    setfsgid(before.1);
    setfsuid(before.0);
    use_all_powers()?;
    done
}

/// Stays what it is, where there is one id only and `user` is one that is emulated. Root's way to have capabilities
/// after exec is closed if `user` is not root.
pub(super) fn keep_user(user: &User) -> Result<()> {
    if user.uid != 0 && own().0 == 0 {
        let bits = CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED;
        rustix::thread::set_capabilities_secure_bits(bits).context("give up the powers of root")?;
    }
    Ok(())
}

/// Makes every capability effective that this process still has. Becoming another user switches them off.
pub(super) fn use_all_powers() -> Result<()> {
    let have = rustix::thread::capabilities(None).context("query the capabilities")?.permitted;
    set(have.bits(), have.bits())
}

fn set(permitted: u64, effective: u64) -> Result<()> {
    let have = rustix::thread::capabilities(None).context("query the capabilities")?.permitted.bits();
    let sets = CapabilitySets {
        // A capability that this kernel does not know cannot be had.
        permitted: CapabilitySet::from_bits_retain(permitted & have),
        effective: CapabilitySet::from_bits_retain(effective & have),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).context("set the capabilities")
}

fn bits(names: Option<&Capabilities>) -> Result<u64> {
    let mut bits = 0;
    for name in names.into_iter().flatten() {
        let text = format!("CAP_{name}");
        let capability: caps::Capability =
            text.parse().map_err(|_| anyhow!("there is no capability {text}"))?;
        bits |= capability.bitmask();
    }
    Ok(bits)
}

/// Takes on the ids of `user`, and keeps the capabilities for what is still to do.
///
/// Where the kernel forbids setgroups(2), at the lowest level, the groups stay the host's: they are
/// nobody's inside, and still the same person's.
pub(super) fn become_user(user: &User, may_set_groups: bool) -> Result<()> {
    let absent = |kind: &str, id: u32| {
        format!("become {kind} {id}: this id does not exist in the container's user namespace")
    };
    rustix::thread::set_keep_capabilities(true).context("keep the capabilities")?;
    if may_set_groups {
        let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        rustix::thread::set_thread_groups(&groups)
            .with_context(|| format!("join the groups {:?}", user.groups))?;
    }
    let gid = Gid::from_raw(user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).with_context(|| absent("group", user.gid))?;
    let uid = Uid::from_raw(user.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid).with_context(|| absent("user", user.uid))?;
    use_all_powers()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(capabilities: &str) -> Process {
        let text = format!(r#"{{"user":{{"uid":0,"gid":0}},"cwd":"/","capabilities":{capabilities}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn only_root_has_more_than_a_bound() {
        let asked = process(
            r#"{"bounding":["CAP_CHOWN","CAP_NET_RAW"],"permitted":["CAP_CHOWN"],
                "effective":["CAP_CHOWN","CAP_NET_RAW"]}"#,
        );
        let (chown, net_raw) = (1 << 0, 1 << 13);
        let root = Powers::of(&asked, 0).unwrap().unwrap();
        assert_eq!(root, Powers { bounding: chown | net_raw, permitted: chown, effective: chown });
        let user = Powers::of(&asked, 1000).unwrap().unwrap();
        assert_eq!(user, Powers { bounding: chown | net_raw, permitted: 0, effective: 0 });
    }

    #[test]
    fn knows_every_capability_of_the_specification() {
        let every =
            ["CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "SYS_TTY_CONFIG", "PERFMON", "BPF", "MAC_ADMIN"];
        for name in every {
            let asked = process(&format!(r#"{{"bounding":["CAP_{name}"]}}"#));
            assert!(Powers::of(&asked, 0).unwrap().unwrap().bounding != 0, "{name}");
        }
        assert_eq!(Powers::of(&process("{}"), 0).unwrap().unwrap().bounding, 0);
    }
}
