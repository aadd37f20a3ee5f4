//! `--security-opt`: what it says, and what of it can be had here.

use anyhow::{Result, bail};

/// The meaning of all `--security-opt` of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Security {
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Whether exec(2) may raise privileges: `no-new-privileges`.
    pub no_new_privileges: bool,
    /// Whether no path of `/proc` and `/sys` is masked: `systempaths=unconfined`.
    pub unmasked: bool,
}

/// The system call filter of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Seccomp {
    /// Docker's default profile.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// A profile: the JSON text.
    Profile(String),
}

/// Reads the options as Docker does: `key=value` or `key:value`, or a word.
pub(super) fn parse(options: &[String]) -> Result<Security> {
    let mut security = Security::default();
    for option in options {
        if option == "no-new-privileges" {
            security.no_new_privileges = true;
            continue;
        }
        if option == "disable" {
            bail!("invalid --security-opt: \"disable\" (want label=disable)");
        }
        let Some((key, value)) = option.split_once('=').or_else(|| option.split_once(':')) else {
            bail!("invalid --security-opt 1: {option:?}");
        };
        match (key, value) {
            ("seccomp", "unconfined") => security.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin" | "") => security.seccomp = Seccomp::Default,
            ("seccomp", profile) if profile.trim_start().starts_with('{') => {
                security.seccomp = Seccomp::Profile(profile.to_owned());
            }
            ("seccomp", other) => bail!("invalid --security-opt: seccomp={other} is not a profile"),
            ("no-new-privileges", value) => {
                security.no_new_privileges = match value {
                    "true" | "1" | "t" | "T" | "TRUE" | "True" => true,
                    "false" | "0" | "f" | "F" | "FALSE" | "False" => false,
                    _ => bail!("invalid --security-opt 2: {option:?}"),
                };
            }
            ("systempaths", "unconfined") => security.unmasked = true,
            // No label is ever set, so there is none to take away.
            ("label", "disable") | ("apparmor", "unconfined") => {}
            ("label", value) => {
                bail!("--security-opt label={value}: SELinux labels cannot be set without an administrator")
            }
            ("apparmor", value) => bail!(
                "--security-opt apparmor={value}: an AppArmor profile cannot be entered from a user namespace"
            ),
            _ => bail!("invalid --security-opt 2: {option:?}"),
        }
    }
    Ok(security)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_refuses() {
        let parse = |words: &[&str]| parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let security = parse(&["seccomp=unconfined", "no-new-privileges:true", "label=disable"]).unwrap();
        assert_eq!(security.seccomp, Seccomp::Unconfined);
        assert!(security.no_new_privileges);
        assert!(!parse(&["no-new-privileges=false"]).unwrap().no_new_privileges);
        for bad in
            ["foo", "foo=bar", "apparmor=mine", "label=type:x", "no-new-privileges=maybe", "seccomp=/x"]
        {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }
}
