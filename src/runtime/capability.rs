//! Which capabilities a container's process may have (capabilities(7)), by Docker's rules.

use anyhow::{Result, bail};

/// All capabilities that Linux knows (`<linux/capability.h>` as of Linux 5.9), without `CAP_`.
const ALL: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Docker's default set (moby, `daemon/pkg/oci/caps`).
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Reads a capability's name: any case, with or without `CAP_`; `ALL` is one.
fn parse(text: &str, option: &str) -> Result<String> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name != "ALL" && !ALL.contains(&name) {
        bail!("invalid {option}: unknown capability: \"CAP_{name}\"");
    }
    Ok(name.to_owned())
}

/// Decides the set, sorted, without the prefix `CAP_`.
pub fn decide(add: &[String], drop: &[String], privileged: bool) -> Result<Vec<&'static str>> {
    let add = add.iter().map(|text| parse(text, "CapAdd")).collect::<Result<Vec<_>>>()?;
    let drop = drop.iter().map(|text| parse(text, "CapDrop")).collect::<Result<Vec<_>>>()?;
    if privileged {
        return Ok(ALL.to_vec());
    }
    let all = "ALL".to_owned();
    let added = |name: &str| add.iter().any(|other| other == name);
    let dropped = |name: &str| drop.iter().any(|other| other == name);
    let base: &[&str] = if add.contains(&all) {
        &ALL
    } else if drop.contains(&all) {
        &[]
    } else {
        &DEFAULT
    };
    Ok(ALL
        .into_iter()
        .filter(|name| {
            if add.contains(&all) {
                !dropped(name)
            } else {
                (base.contains(name) && !dropped(name)) || added(name)
            }
        })
        .collect())
}

/// Returns a set as the kernel has it: bit n is the capability of number n.
pub fn bits(names: &[&str]) -> Result<u64> {
    names.iter().try_fold(0, |set, name| {
        let capability: caps::Capability = format!("CAP_{name}").parse()?;
        Ok(set | capability.bitmask())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> Vec<&'static str> {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        decide(&own(add), &own(drop), false).unwrap()
    }

    #[test]
    fn knows_the_numbers_of_all() {
        assert_eq!(bits(&ALL).unwrap(), (1 << 41) - 1);
        assert_eq!(bits(&DEFAULT).unwrap(), 0xa804_25fb);
    }

    #[test]
    fn follows_docker() {
        assert_eq!(set(&[], &[]), DEFAULT);
        assert_eq!(set(&["cap_sys_admin"], &["ALL"]), ["SYS_ADMIN"]);
        assert_eq!(set(&["ALL"], &["sys_time"]).len(), 40);
        assert!(!set(&[], &["MKNOD"]).contains(&"MKNOD"));
        assert!(set(&["NET_ADMIN"], &[]).contains(&"NET_ADMIN"));
        let error = decide(&["FOO".to_owned()], &[], false).unwrap_err();
        assert_eq!(error.to_string(), "invalid CapAdd: unknown capability: \"CAP_FOO\"");
    }
}
