//! Whether what is started now lives on when the user logs out: systemd may think otherwise.
//!
//! With `KillUserProcesses=yes` (logind.conf(5)), logind ends the scope of a session with all processes in it.
//! What runs below the user's own systemd ends with that, when the last session of a user ends who does not
//! linger.

use std::fs;
use std::path::Path;

/// Returns the warning for a container started in the background from here; `None` if it lives on. `in_scope`: the
/// user's systemd has it.
pub(super) fn warning(in_scope: bool) -> Option<String> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let cgroups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let place = if in_scope { Place::UserService } else { place(&cgroups)? };
    let user = user()?;
    say(place, &user, lingers(&user), || kills_user_processes(&read_configuration()))
}

/// Where systemd has put a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the scope of a login session.
    Session,
    /// Below the user's own systemd.
    UserService,
}

/// Reads `/proc/self/cgroup`.
fn place(cgroups: &str) -> Option<Place> {
    let path = cgroups.lines().find_map(|line| {
        line.strip_prefix("0::").or_else(|| line.split_once(":name=systemd:").map(|it| it.1))
    })?;
    if path.split('/').any(|part| part.starts_with("user@")) {
        return Some(Place::UserService);
    }
    let scope =
        |part: &str| part.strip_prefix("session-").and_then(|rest| rest.strip_suffix(".scope")).is_some();
    let in_session = path.split('/').any(scope);
    in_session.then_some(Place::Session)
}

fn say(place: Place, user: &str, lingers: bool, kills: impl FnOnce() -> bool) -> Option<String> {
    match place {
        Place::UserService if !lingers => Some(format!(
            "WARNING: systemd will end this container when you log out; to prevent it: loginctl enable-linger {user}"
        )),
        Place::Session if kills() => {
            let linger = if lingers { String::new() } else { format!("loginctl enable-linger {user}; ") };
            Some(format!(
                "WARNING: logind will kill this container when you log out (KillUserProcesses=yes); to prevent it: \
                 {linger}systemd-run --user --scope COMMAND"
            ))
        }
        _ => None,
    }
}

/// Returns the user's name, as the environment has it.
pub(super) fn user() -> Option<String> {
    ["USER", "LOGNAME"].iter().find_map(|key| std::env::var(key).ok().filter(|user| !user.is_empty()))
}

/// Tells whether the user's systemd runs from boot to shutdown.
pub(super) fn lingers(user: &str) -> bool {
    Path::new("/var/lib/systemd/linger").join(user).exists()
}

/// Reads logind's configuration, the files that count more behind those that count less.
fn read_configuration() -> String {
    let mut text = String::new();
    for file in ["/usr/lib/systemd/logind.conf", "/etc/systemd/logind.conf"] {
        text.push_str(&fs::read_to_string(file).unwrap_or_default());
    }
    let mut parts = Vec::new();
    for dir in ["/usr/lib/systemd/logind.conf.d", "/run/systemd/logind.conf.d", "/etc/systemd/logind.conf.d"]
    {
        parts.extend(fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    parts.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    for part in parts {
        text.push_str(&fs::read_to_string(part).unwrap_or_default());
    }
    text
}

/// Tells what the configuration says. In the file that comes with systemd, a comment tells what it was built
/// with.
fn kills_user_processes(text: &str) -> bool {
    let value =
        |line: &str| line.trim().strip_prefix("KillUserProcesses=").map(|value| value.trim().to_owned());
    let set = text.lines().filter_map(value).next_back();
    let built = text.lines().find_map(|line| value(line.trim().strip_prefix('#')?));
    matches!(set.or(built).as_deref(), Some("yes" | "true" | "on" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_it_runs() {
        assert_eq!(place("0::/user.slice/user-1000.slice/session-3.scope\n"), Some(Place::Session));
        let service = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n";
        assert_eq!(place(service), Some(Place::UserService));
        assert_eq!(place("2:cpu:/x\n1:name=systemd:/user.slice/session-c1.scope\n"), Some(Place::Session));
        assert_eq!(place("0::/system.slice/cron.service\n"), None);
    }

    #[test]
    fn reads_what_logind_does() {
        assert!(kills_user_processes("[Login]\n#KillUserProcesses=yes\n"));
        assert!(!kills_user_processes("#KillUserProcesses=yes\nKillUserProcesses=no\n"));
        assert!(kills_user_processes("KillUserProcesses=no\n[Login]\nKillUserProcesses=yes\n"));
        assert!(!kills_user_processes(""));
    }

    #[test]
    fn warns_and_says_what_helps() {
        assert_eq!(say(Place::UserService, "ann", true, || true), None);
        assert_eq!(say(Place::Session, "ann", false, || false), None);
        let text = say(Place::Session, "ann", false, || true).unwrap();
        assert!(text.contains("loginctl enable-linger ann; systemd-run --user --scope"), "{text}");
        assert!(say(Place::UserService, "ann", false, || true).unwrap().ends_with("enable-linger ann"));
    }
}
