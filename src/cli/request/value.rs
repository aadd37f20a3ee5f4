//! What single flags take, with the complaints of Docker's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::cli::format::template::print::quote;
use crate::cli::format::units;
use crate::cli::grammar::integer;
use crate::container::{Device, LogDriver, RestartPolicy, Ulimit};

/// Reads `--add-host`: `name:address` or `name=address`.
pub(in crate::cli) fn parse_extra_host(text: &str) -> Result<String, String> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, address)) = split.filter(|(name, _)| !name.is_empty() && !name.contains(':')) else {
        return Err(format!("bad format for add-host: {}", quote(text)));
    };
    if address == "host-gateway" {
        return Ok(format!("{name}:{address}"));
    }
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    match bare.parse::<IpAddr>() {
        Ok(address) => Ok(format!("{name}:{address}")),
        Err(_) => Err(format!("invalid IP address in add-host: {}", quote(bare))),
    }
}

/// Reads `--attach`.
pub(in crate::cli) fn parse_stream(text: &str) -> Result<String, String> {
    let stream = text.to_ascii_lowercase();
    match stream.as_str() {
        "stdin" | "stdout" | "stderr" => Ok(stream),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// Reads `--ulimit`: `name=soft[:hard]`.
pub(in crate::cli) fn parse_ulimit(text: &str) -> Result<Ulimit, String> {
    const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let Some((name, limits)) = text.split_once('=') else {
        return Err(format!("invalid ulimit argument: {text}"));
    };
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let numbers: Vec<&str> = limits.split(':').collect();
    let (soft, hard) = match numbers.as_slice() {
        [both] => (integer(both)?, integer(both)?),
        [soft, hard] => (integer(soft)?, integer(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// Checks `--sysctl`: only parameters that belong to a namespace.
pub(in crate::cli) fn parse_sysctl(text: &str) -> Result<String, String> {
    const NAMES: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let name = text.split_once('=').map(|(name, _)| name);
    let allowed =
        |name: &str| NAMES.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.");
    if name.is_some_and(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("sysctl '{text}' is not allowed"))
    }
}

/// Reads an amount of memory.
pub(in crate::cli) fn parse_bytes(text: &str) -> Result<u64, String> {
    units::memory(text).and_then(|size| u64::try_from(size).map_err(|_| format!("invalid size: '{text}'")))
}

/// Reads `--device`: `/host[:/container][:permissions]`.
pub(super) fn device(text: &str) -> Result<Device, String> {
    let is_mode = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| "rwm".contains(c))
            && text
                .chars()
                .enumerate()
                .all(|(index, c)| text.chars().position(|other| other == c) == Some(index))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, permissions) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, container] => (*host, *container, "rwm"),
        [host, container, mode] if is_mode(mode) => (*host, *container, *mode),
        [_, _, mode] => return Err(format!("bad mode specified: {mode}")),
        _ => return Err(format!("bad format for path: {text}")),
    };
    if host.is_empty() {
        return Err(format!("bad format for path: {text}"));
    }
    if !container.starts_with('/') {
        return Err(format!("{container} is not an absolute path"));
    }
    Ok(Device { host: host.into(), container: container.into(), permissions: permissions.into() })
}

/// Reads `--restart`.
pub(in crate::cli) fn restart(text: &str) -> Result<RestartPolicy, String> {
    let (name, count) = match text.split_once(':') {
        Some(("", _)) => return Err("invalid restart policy format: no policy provided before colon".into()),
        Some((name, count)) => {
            let count = count.parse::<i64>().map_err(|_| {
                "invalid restart policy format: maximum retry count must be an integer".to_owned()
            })?;
            (name, count)
        }
        None => (text, 0),
    };
    if count != 0 && name != "on-failure" && matches!(name, "no" | "always" | "unless-stopped") {
        return Err("invalid restart policy: maximum retry count can only be used with 'on-failure'".into());
    }
    match name {
        "" | "no" => Ok(RestartPolicy::No),
        "always" => Ok(RestartPolicy::Always),
        "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
        "on-failure" => match u32::try_from(count) {
            Ok(max) => Ok(RestartPolicy::OnFailure { max }),
            Err(_) => Err("invalid restart policy: maximum retry count cannot be negative".into()),
        },
        name => Err(format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or \
             'unless-stopped'"
        )),
    }
}

/// Reads `--log-driver`.
pub(super) fn log_driver(text: &str) -> Result<LogDriver, String> {
    match text {
        "" | "json-file" => Ok(LogDriver::JsonFile),
        // What goes to the journal is kept like `local` too, so that it can be read back.
        "local" | "journald" => Ok(LogDriver::Local),
        "none" => Ok(LogDriver::None),
        "awslogs" | "fluentd" | "gcplogs" | "gelf" | "splunk" | "syslog" => Err(format!(
            "--log-driver {text} is not supported: there are json-file, local, journald and none"
        )),
        other => Err(format!("logger: no log driver named '{other}' is registered")),
    }
}

/// Reads `--log-opt`: `key=value` each.
pub(super) fn log_options(
    driver: Option<&str>,
    given: &[String],
) -> Result<BTreeMap<String, String>, String> {
    if driver == Some("none") && !given.is_empty() {
        return Err("invalid logging opts for driver none".to_owned());
    }
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (text.clone(), String::new()),
    };
    Ok(given.iter().map(pair).collect())
}

/// Reads the keys that detach: `ctrl-p,ctrl-q`.
pub(in crate::cli) fn detach_keys(text: &str) -> Result<Vec<u8>, String> {
    let mut keys = Vec::new();
    for key in text.split(',').filter(|_| !text.is_empty()) {
        let byte = match (key.as_bytes(), key.to_ascii_lowercase().strip_prefix("ctrl-").map(str::as_bytes)) {
            ([byte], _) => *byte,
            (_, Some([letter @ b'a'..=b'z'])) => letter - b'a' + 1,
            (_, Some(b"@")) => 0,
            (_, Some(b"[")) => 27,
            (_, Some(b"\\")) => 28,
            (_, Some(b"]")) => 29,
            (_, Some(b"^")) => 30,
            (_, Some(b"_")) => 31,
            _ if key.eq_ignore_ascii_case("del") => 127,
            _ => return Err(format!("invalid detach keys ({text}): unknown key '{key}'")),
        };
        keys.push(byte);
    }
    Ok(keys)
}

/// Writes a capability as Docker keeps it: `CAP_NET_ADMIN`, `ALL`.
pub(super) fn capability(text: &str) -> String {
    let name = text.trim().to_ascii_uppercase();
    if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

/// Reads `--security-opt`, with a seccomp profile's content in place of its path.
pub(super) fn security_opt(text: &str) -> anyhow::Result<String> {
    let (key, value) = match text.split_once('=').or_else(|| text.split_once(':')) {
        Some(pair) => pair,
        None if text == "no-new-privileges" => return Ok(text.to_owned()),
        None => anyhow::bail!("Invalid --security-opt: {}", quote(text)),
    };
    if key != "seccomp" || matches!(value, "unconfined" | "builtin") {
        return Ok(text.to_owned());
    }
    let failed =
        |error: &dyn std::fmt::Display| anyhow::anyhow!("opening seccomp profile ({value}) failed: {error}");
    let bytes = std::fs::read(value).map_err(|error| failed(&super::open_error(value, &error)))?;
    let profile: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|error| anyhow::anyhow!("compacting json for seccomp profile ({value}) failed: {error}"))?;
    Ok(format!("seccomp={profile}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts() {
        assert_eq!(parse_extra_host("db:10.0.0.1").unwrap(), "db:10.0.0.1");
        assert_eq!(parse_extra_host("db=::1").unwrap(), "db:::1");
        assert_eq!(parse_extra_host("db:[::1]").unwrap(), "db:::1");
        assert_eq!(parse_extra_host("h:host-gateway").unwrap(), "h:host-gateway");
        assert_eq!(parse_extra_host("db").unwrap_err(), "bad format for add-host: \"db\"");
        assert_eq!(parse_extra_host("db:x").unwrap_err(), "invalid IP address in add-host: \"x\"");
    }

    #[test]
    fn reads_limits() {
        let limit = |text: &str| parse_ulimit(text).map(|limit| (limit.soft, limit.hard));
        assert_eq!(limit("nofile=10:20"), Ok((10, 20)));
        assert_eq!(limit("core=0"), Ok((0, 0)));
        assert_eq!(limit("nproc=-1"), Ok((-1, -1)));
        assert_eq!(limit("foo=1"), Err("invalid ulimit type: foo".into()));
        assert_eq!(limit("nofile"), Err("invalid ulimit argument: nofile".into()));
        assert_eq!(
            limit("nofile=10:5"),
            Err("ulimit soft limit must be less than or equal to hard limit: 10 > 5".into())
        );
        assert_eq!(limit("nofile=a"), Err("strconv.ParseInt: parsing \"a\": invalid syntax".into()));
    }

    #[test]
    fn reads_devices() {
        let text = |text: &str| device(text).map(|d| format!("{} {} {}", d.host, d.container, d.permissions));
        assert_eq!(text("/dev/null").unwrap(), "/dev/null /dev/null rwm");
        assert_eq!(text("/dev/null:r").unwrap(), "/dev/null /dev/null r");
        assert_eq!(text("/dev/null:/dev/zz:rm").unwrap(), "/dev/null /dev/zz rm");
        assert_eq!(text("/dev/null:/x:foo").unwrap_err(), "bad mode specified: foo");
        assert_eq!(text("/dev/null:x").unwrap_err(), "x is not an absolute path");
        assert_eq!(text("a:b:c:d").unwrap_err(), "bad format for path: a:b:c:d");
    }

    #[test]
    fn reads_restart_policies() {
        assert_eq!(restart("no"), Ok(RestartPolicy::No));
        assert_eq!(restart("on-failure:3"), Ok(RestartPolicy::OnFailure { max: 3 }));
        assert_eq!(restart("on-failure"), Ok(RestartPolicy::OnFailure { max: 0 }));
        for (text, message) in [
            ("on-failure:x", "maximum retry count must be an integer"),
            ("on-failure:-1", "maximum retry count cannot be negative"),
            ("always:3", "maximum retry count can only be used with 'on-failure'"),
            ("foo", "unknown policy 'foo'"),
            (":3", "no policy provided before colon"),
        ] {
            assert!(restart(text).unwrap_err().contains(message), "{text}");
        }
    }

    #[test]
    fn reads_keys() {
        assert_eq!(detach_keys("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(detach_keys("a,ctrl-@,ctrl-_"), Ok(vec![b'a', 0, 31]));
        assert_eq!(detach_keys(""), Ok(vec![]));
        assert!(detach_keys("ctrl-nosuch").unwrap_err().starts_with("invalid detach keys"));
    }

    #[test]
    fn reads_other_values() {
        assert!(parse_sysctl("net.ipv4.ip_forward=1").is_ok());
        assert_eq!(parse_sysctl("vm.swappiness=1").unwrap_err(), "sysctl 'vm.swappiness=1' is not allowed");
        assert_eq!(capability("net_admin"), "CAP_NET_ADMIN");
        assert_eq!(capability("all"), "ALL");
        assert_eq!(parse_stream("STDOUT").unwrap(), "stdout");
        assert!(parse_stream("out").is_err());
        assert_eq!(security_opt("no-new-privileges").unwrap(), "no-new-privileges");
        let error = security_opt("seccomp=/nowhere").unwrap_err().to_string();
        assert_eq!(
            error,
            "opening seccomp profile (/nowhere) failed: open /nowhere: no such file or directory"
        );
        assert_eq!(security_opt("foo").unwrap_err().to_string(), "Invalid --security-opt: \"foo\"");
    }
}
