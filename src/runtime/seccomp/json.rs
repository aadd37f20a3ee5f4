//! Profile files: Docker's format, which extends that of the runtime specification by conditions.

use super::NATIVE;
use super::rule::Architecture;
use anyhow::{Context as _, Result, bail, ensure};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompBuilder, LinuxSyscall,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: Option<LinuxSeccompAction>,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<Arch>>,
    arch_map: Option<Vec<ArchMap>>,
    syscalls: Option<Vec<Syscall>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Arch,
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Syscall {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    args: Option<Vec<LinuxSeccompArg>>,
    includes: Option<Conditions>,
    excludes: Option<Conditions>,
}

/// What has to hold of the container and the host.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Conditions {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// A kernel's version as far as profiles name it, like 4.8.
type Version = (u32, u32);

/// Reads the profile file `text` for a container with `capabilities` in its bounding set (as bits) on this
/// host. None if it restricts nothing: neither a default action nor a rule.
pub fn parse(text: &str, capabilities: u64) -> Result<Option<LinuxSeccomp>> {
    resolve(text, capabilities, running_kernel()).context("read the seccomp profile")
}

fn resolve(text: &str, capabilities: u64, kernel: Version) -> Result<Option<LinuxSeccomp>> {
    let profile: Profile = serde_json::from_str(text).context("decode it")?;
    let calls = profile.syscalls.unwrap_or_default();
    let Some(default_action) = profile.default_action else {
        ensure!(calls.is_empty(), "it has rules but no defaultAction");
        return Ok(None);
    };

    let mut architectures = profile.architectures.unwrap_or_default();
    let map = profile.arch_map.unwrap_or_default();
    ensure!(
        architectures.is_empty() || map.is_empty(),
        "both 'architectures' and 'archMap' are specified, use either one"
    );
    let native = match NATIVE {
        Architecture::Aarch64 => Arch::ScmpArchAarch64,
        _ => Arch::ScmpArchX86_64,
    };
    if let Some(entry) = map.into_iter().find(|entry| entry.architecture == native) {
        architectures.push(native);
        architectures.extend(entry.sub_architectures.unwrap_or_default());
    }

    let mut syscalls = Vec::new();
    for call in calls {
        let names = match (call.name.filter(|name| !name.is_empty()), call.names.unwrap_or_default()) {
            (Some(_), names) if !names.is_empty() => {
                bail!("both 'name' and 'names' are specified in a rule, use either one")
            }
            (Some(name), _) => vec![name],
            (None, names) => names,
        };
        let included = call.includes.as_ref().map_or(Ok(true), |all| all.all_hold(capabilities, kernel))?;
        let excluded = call.excludes.as_ref().map_or(Ok(false), |any| any.any_holds(capabilities, kernel))?;
        if included && !excluded {
            let mut rule = LinuxSyscall::default();
            rule.set_names(names).set_action(call.action).set_errno_ret(call.errno_ret).set_args(call.args);
            syscalls.push(rule);
        }
    }

    let mut seccomp = LinuxSeccompBuilder::default()
        .default_action(default_action)
        .architectures(architectures)
        .syscalls(syscalls)
        .build()?;
    seccomp.set_default_errno_ret(profile.default_errno_ret);
    Ok(Some(seccomp))
}

impl Conditions {
    /// Every capability, one of the architectures, and the version.
    fn all_hold(&self, capabilities: u64, kernel: Version) -> Result<bool> {
        let caps = self.caps.iter().flatten().all(|name| has(capabilities, name));
        let arches = self.arches.as_deref().unwrap_or_default();
        let arch = arches.is_empty() || arches.iter().any(|arch| arch == native_name());
        Ok(caps && arch && self.kernel_holds(kernel)?.unwrap_or(true))
    }

    /// A capability, an architecture, or the version.
    fn any_holds(&self, capabilities: u64, kernel: Version) -> Result<bool> {
        let caps = self.caps.iter().flatten().any(|name| has(capabilities, name));
        let arch = self.arches.iter().flatten().any(|arch| arch == native_name());
        Ok(caps || arch || self.kernel_holds(kernel)?.unwrap_or(false))
    }

    fn kernel_holds(&self, kernel: Version) -> Result<Option<bool>> {
        let Some(least) = self.min_kernel.as_deref().filter(|least| !least.is_empty()) else {
            return Ok(None);
        };
        let version = least.split_once('.').and_then(|(version, patch)| {
            Some((version.parse::<u8>().ok()?.into(), patch.parse::<u8>().ok()?.into()))
        });
        match version {
            Some((0, 0)) | None => {
                bail!("invalid kernel version: {least}, expected \"<kernel>.<major>\"")
            }
            Some(least) => Ok(Some(kernel >= least)),
        }
    }
}

/// A name that is no capability is one that no container has.
fn has(capabilities: u64, name: &str) -> bool {
    name.parse::<caps::Capability>().is_ok_and(|capability| capabilities & capability.bitmask() != 0)
}

/// What profiles call this architecture.
fn native_name() -> &'static str {
    match NATIVE {
        Architecture::Aarch64 => "arm64",
        _ => "amd64",
    }
}

fn running_kernel() -> Version {
    version(&rustix::system::uname().release().to_string_lossy())
}

/// `6.1.0-13-amd64` is 6.1.
fn version(release: &str) -> Version {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    (next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYS_ADMIN: u64 = 1 << 21;

    /// The names of the rules that are left.
    fn left(rules: &str, capabilities: u64) -> Result<Vec<String>> {
        let text = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rules}]}}"#);
        let seccomp = resolve(&text, capabilities, (6, 1))?.unwrap();
        Ok(seccomp.syscalls().iter().flatten().flat_map(|rule| rule.names().clone()).collect())
    }

    fn rule(name: &str, conditions: &str) -> String {
        format!(r#"{{"names": ["{name}"], "action": "SCMP_ACT_ALLOW", "args": null, {conditions}}}"#)
    }

    #[test]
    fn conditions_choose_the_rules() {
        let rules = [
            rule("one", r#""includes": {}, "excludes": {}"#),
            rule("two", r#""includes": {"caps": ["CAP_SYS_ADMIN"]}"#),
            rule("three", r#""excludes": {"caps": ["CAP_SYS_ADMIN"]}"#),
            rule("four", r#""includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#),
            rule("five", r#""excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#),
            rule("six", r#""includes": {"caps": ["CAP_NO_SUCH"]}"#),
            rule("seven", r#""includes": {"minKernel": "6.1"}"#),
            rule("eight", r#""includes": {"minKernel": "6.2"}"#),
            rule("nine", r#""excludes": {"minKernel": "4.8"}"#),
            rule("ten", r#""includes": {"arches": ["s390x", "ppc64le"]}"#),
            rule("eleven", &format!(r#""includes": {{"arches": ["s390x", "{}"]}}"#, native_name())),
            rule("twelve", &format!(r#""excludes": {{"arches": ["{}"]}}"#, native_name())),
        ]
        .join(",");
        assert_eq!(left(&rules, SYS_ADMIN).unwrap(), ["one", "two", "seven", "eleven"]);
        assert_eq!(left(&rules, 0).unwrap(), ["one", "three", "five", "seven", "eleven"]);
    }

    #[test]
    fn the_old_form_names_one_call() {
        assert_eq!(left(r#"{"name": "read", "action": "SCMP_ACT_ALLOW"}"#, 0).unwrap(), ["read"]);
        let both = r#"{"name": "read", "names": ["write"], "action": "SCMP_ACT_ALLOW"}"#;
        assert!(format!("{:#}", left(both, 0).unwrap_err()).contains("both 'name' and 'names'"));
    }

    #[test]
    fn the_architecture_brings_its_lesser_ones() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}]}"#;
        let seccomp = resolve(text, 0, (6, 1)).unwrap().unwrap();
        let expected = match NATIVE {
            Architecture::Aarch64 => vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm],
            _ => vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
        };
        assert_eq!(seccomp.architectures().as_deref(), Some(&expected[..]));
    }

    #[test]
    fn an_empty_profile_restricts_nothing() {
        assert!(resolve("{}", 0, (6, 1)).unwrap().is_none());
        assert!(resolve(r#"{"syscalls": []}"#, 0, (6, 1)).unwrap().is_none());
    }

    #[test]
    fn broken_profiles_are_refused() {
        for (text, message) in [
            ("", "decode"),
            (r#"{"defaultAction": "SCMP_ACT_NONSENSE"}"#, "SCMP_ACT_NONSENSE"),
            (r#"{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#, "no defaultAction"),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
                    "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}"#,
                "'archMap'",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action":
                    "SCMP_ACT_KILL", "includes": {"minKernel": "four"}}]}"#,
                "four",
            ),
        ] {
            let error = format!("{:#}", resolve(text, 0, (6, 1)).unwrap_err());
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn versions_of_kernels() {
        assert_eq!(version("6.1.0-13-amd64"), (6, 1));
        assert_eq!(version("5.10"), (5, 10));
        assert_eq!(version("4.18-rc5"), (4, 18));
        assert!(running_kernel() > (4, 0));
    }
}
