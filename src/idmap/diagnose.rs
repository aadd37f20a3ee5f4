//! Why no user namespace can be made here, and what to do about it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Error, anyhow};
use rustix::io::Errno;

/// Explains why making a user namespace failed with `errno` (user_namespaces(7), unshare(2)).
pub fn diagnose(errno: Errno) -> Error {
    let facts = Facts {
        clone_switch: number("/proc/sys/kernel/unprivileged_userns_clone"),
        maximum: number("/proc/sys/user/max_user_namespaces"),
        apparmor: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        filtered: fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| status.contains("\nSeccomp:\t2")),
        chrooted: is_chrooted(),
        privileged: rustix::process::geteuid().is_root(),
    };
    anyhow!("{}", facts.explain(errno)).context(format!("make a user namespace: {errno}"))
}

const FILTERED: &str = "a seccomp filter refuses it, most likely that of a container around this one; start the outer \
                        container with --security-opt seccomp=unconfined";

/// What the kernel says about itself and this process.
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    /// The switch of Debian's kernels.
    clone_switch: Option<u64>,
    maximum: Option<u64>,
    /// The switch of Ubuntu's kernels.
    apparmor: Option<u64>,
    filtered: bool,
    chrooted: bool,
    privileged: bool,
}

impl Facts {
    fn explain(self, errno: Errno) -> &'static str {
        if self.maximum == Some(0) {
            return "user namespaces are switched off; as root: sysctl -w user.max_user_namespaces=15000";
        }
        match errno {
            Errno::NOSPC | Errno::USERS => {
                "too many user namespaces: the limit of user.max_user_namespaces is reached, or they are nested \
                 32 deep"
            }
            Errno::NOSYS if self.filtered => FILTERED,
            Errno::INVAL | Errno::NOSYS => "this kernel is built without user namespaces (CONFIG_USER_NS)",
            _ if self.clone_switch == Some(0) && !self.privileged => {
                "unprivileged user namespaces are switched off; as root: sysctl -w \
                 kernel.unprivileged_userns_clone=1"
            }
            _ if self.chrooted => {
                "this process is in a chroot, where the kernel allows no user namespace; enter the directory by \
                 pivot_root, or run outside of it"
            }
            _ if self.filtered => FILTERED,
            _ if self.apparmor == Some(1) && !self.privileged => {
                "AppArmor restricts unprivileged user namespaces; as root: sysctl -w \
                 kernel.apparmor_restrict_unprivileged_userns=0, or load an AppArmor profile for this program \
                 that has the rule \"userns,\""
            }
            _ => {
                "the kernel refuses it: a security module forbids user namespaces to this program, or its root \
                 directory is a mount that it entered by chroot instead of pivot_root"
            }
        }
    }
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Tells whether this process's root is not the root of its mount namespace: the latter is the only
/// directory whose `mountinfo` line says that it is mounted on `/`.
fn is_chrooted() -> bool {
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else { return false };
    let Ok(root) = fs::metadata("/") else { return false };
    let device = root.dev();
    let name = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    !mounts.lines().any(|line| {
        let mut fields = line.split(' ');
        // The third field is the device, the fifth the mount point as seen from our root.
        fields.nth(2) == Some(&name) && fields.nth(1) == Some("/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_cause() {
        let none = Facts::default();
        let says = |facts: Facts, errno, what: &str| {
            let text = facts.explain(errno);
            assert!(text.contains(what), "{text}");
        };
        says(Facts { maximum: Some(0), ..none }, Errno::NOSPC, "max_user_namespaces=15000");
        says(Facts { maximum: Some(9), ..none }, Errno::NOSPC, "32 deep");
        says(Facts { clone_switch: Some(0), ..none }, Errno::PERM, "unprivileged_userns_clone=1");
        says(Facts { apparmor: Some(1), ..none }, Errno::ACCESS, "AppArmor");
        says(Facts { filtered: true, ..none }, Errno::PERM, "seccomp=unconfined");
        says(Facts { filtered: true, ..none }, Errno::NOSYS, "seccomp=unconfined");
        says(Facts { chrooted: true, ..none }, Errno::PERM, "chroot");
        says(none, Errno::PERM, "security module");
        says(none, Errno::INVAL, "CONFIG_USER_NS");
    }
}
