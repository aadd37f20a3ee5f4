//! What this host can do, and who runs the commands.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use super::harness::Skip;

/// Something that a test cannot do without and that a host may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Subordinate ids for the user who runs the commands, and `newuidmap`.
    Subids,
    /// Debian's `docker-registry`.
    Registry,
    /// `skopeo`, which reads and writes what we do.
    Skopeo,
    /// `podman`, for the same.
    Podman,
    /// `openssl`, to make certificates with.
    Openssl,
    /// `htpasswd` of Apache, to make accounts with.
    Htpasswd,
    /// A Debian root file system, made by `mmdebstrap`.
    Debian,
    /// The suite itself runs as root.
    Root,
    /// A second user, without subordinate ids.
    NoSubidsUser,
    /// Nobody has delegated control groups to the user.
    NoControlGroups,
}

/// Goes on if this host has `need`; otherwise the test ends here and counts as skipped, or as failed where
/// `CORACLE_REQUIRE=all` says that nothing may be skipped.
#[track_caller]
pub(crate) fn needs(need: Need) {
    let Some(lack) = lack(need) else { return };
    assert!(std::env::var("CORACLE_REQUIRE").as_deref() != Ok("all"), "required, but: {lack}");
    std::panic::resume_unwind(Box::new(Skip(lack)));
}

fn lack(need: Need) -> Option<String> {
    let missing = |lacks: bool, why: &str| lacks.then(|| why.to_owned());
    match need {
        Need::Subids => {
            missing(!has_subids(&user().name) || !on_path("newuidmap"), "no subordinate ids or no newuidmap")
        }
        Need::Registry => missing(!on_path("docker-registry"), "no docker-registry"),
        Need::Skopeo => missing(!on_path("skopeo"), "no skopeo"),
        Need::Podman => missing(!on_path("podman"), "no podman"),
        Need::Openssl => missing(!on_path("openssl"), "no openssl"),
        Need::Htpasswd => missing(!on_path("htpasswd"), "no htpasswd"),
        Need::Debian => super::debian::archive().err(),
        Need::Root => missing(!is_root(), "not started as root"),
        Need::NoControlGroups => missing(has_control_groups(), "control groups are delegated to the user"),
        Need::NoSubidsUser => missing(second_user().is_none(), "no second user, or not started as root"),
    }
}

/// Whether the user may divide the control group that the tests run in. His systemd is out of their reach.
fn has_control_groups() -> bool {
    use std::os::unix::fs::MetadataExt;
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(path) = text.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let dir = Path::new("/sys/fs/cgroup").join(path);
    dir.join("cgroup.controllers").exists() && fs::metadata(dir).is_ok_and(|meta| meta.uid() == user().uid)
}

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Whether the suite itself runs as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns the unprivileged user who runs the commands: the caller, or `CORACLE_TEST_USER` for root.
pub(crate) fn user() -> &'static User {
    static USER: OnceLock<User> = OnceLock::new();
    USER.get_or_init(|| {
        if is_root() {
            let name = std::env::var("CORACLE_TEST_USER").unwrap_or_else(|_| "coracle-test".to_owned());
            account(|fields| fields[0] == name).unwrap_or_else(|| {
                panic!("no user {name:?}: run .ci/setup, or name one in CORACLE_TEST_USER")
            })
        } else {
            let uid = rustix::process::getuid().as_raw().to_string();
            account(|fields| fields[2] == uid).unwrap()
        }
    })
}

/// Returns a user without subordinate ids whom the suite can become.
pub(crate) fn second_user() -> Option<User> {
    let name = std::env::var("CORACLE_TEST_USER_NOSUB").unwrap_or_else(|_| "coracle-nosub".to_owned());
    let user = account(|fields| fields[0] == name)?;
    (is_root() && !has_subids(&user.name)).then_some(user)
}

fn account(wanted: impl Fn(&[&str]) -> bool) -> Option<User> {
    fs::read_to_string("/etc/passwd").ok()?.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.len() == 7 && wanted(&fields)).then(|| User {
            name: fields[0].to_owned(),
            uid: fields[2].parse().unwrap(),
            gid: fields[3].parse().unwrap(),
        })
    })
}

/// Returns the first subordinate id of the user, or none.
pub(crate) fn subids() -> Option<u32> {
    let text = fs::read_to_string("/etc/subuid").ok()?;
    let line = text.lines().find(|line| line.starts_with(&format!("{}:", user().name)))?;
    line.split(':').nth(1)?.parse().ok()
}

fn has_subids(name: &str) -> bool {
    ["/etc/subuid", "/etc/subgid"].iter().all(|file| {
        fs::read_to_string(file)
            .is_ok_and(|text| text.lines().any(|line| line.starts_with(&format!("{name}:"))))
    })
}

/// Whether a program is there to be run.
pub(crate) fn on_path(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .any(|dir| Path::new(dir).join(program).exists())
}
