//! Decides every step that makes a container out of a specification. Touches nothing.

use std::path::{Component, Path, PathBuf};

use super::options::{self, Options};
use super::{BELOW, LAYER, LAYERS, NewAccount, RootFs, Seed};
use crate::idmap::Range;
use crate::oci::runtime::{LinuxNamespaceType, Mount, Spec};
use crate::sys::mount::{Attributes, Depth};

/// One thing that the container's first process does, in its new namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Mount the root file system, aside from everything else.
    Root(RootFs),
    /// Add an account to those of the image.
    Account(NewAccount),
    /// Fill an empty volume from the image.
    Seed(Seed),
    /// Mount something inside the root.
    Mount(MountStep),
    /// Show a device of the host.
    Device(PathBuf),
    /// Make a symbolic link in `/dev`.
    Link { path: PathBuf, target: &'static str },
    /// Open a terminal, and show it as `/dev/console`.
    Console,
    /// Set a kernel parameter of the namespaces.
    Sysctl { name: String, value: String },
    /// Make the working directory where it is missing.
    WorkingDirectory(PathBuf),
    /// Hide what is at a path.
    Mask(PathBuf),
    /// Make what is at a path, and below it, read-only.
    ReadOnly(PathBuf),
    /// Set attributes of the root mount.
    RootAttributes(Attributes, Depth),
    /// Say that all is mounted, wait, and run the hooks for that.
    Mounted,
    /// Make the root the root, and forget the host's mounts.
    Pivot,
    /// Name the machine.
    Hostname(String),
    /// Name its domain.
    Domainname(String),
    /// Switch the loopback device on.
    Loopback,
}

/// A mount inside the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MountStep {
    pub(super) what: What,
    /// Where, as the container names it.
    pub(super) target: PathBuf,
    /// Set on this mount.
    pub(super) one: Attributes,
    /// Set on this mount and those below it.
    pub(super) tree: Attributes,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A file or directory of the host.
    Bind { source: PathBuf, depth: Depth },
    /// A new instance of a file system.
    FileSystem { kind: String, source: String, data: Vec<(String, Option<String>)> },
    /// Layers, the top one first, or what is at a path in them.
    Layers { layers: Vec<PathBuf>, below: PathBuf },
    /// A mount of another container, by its place among those that were brought.
    Tree { at: usize },
}

/// What the plan must know of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    /// Whether `/sys/fs/cgroup` is a cgroup2 file system.
    pub(super) unified_cgroups: bool,
    /// The groups that exist inside.
    pub(super) groups: &'a [Range],
    /// Whether the process has a terminal.
    pub(super) terminal: bool,
    /// Whom the accounts of the image are to have.
    pub(super) account: Option<&'a NewAccount>,
}

/// The group that terminals belong to.
const TTY_GROUP: u32 = 5;

/// The groups that may send pings without a capability, by their first and last (icmp(7)).
const PING_GROUPS: &str = "net.ipv4.ping_group_range";

impl Facts<'_> {
    fn has_group(&self, gid: u32) -> bool {
        self.groups.iter().any(|range| range.inside <= gid && gid - range.inside < range.count)
    }

    /// Returns the range of groups cut to those that exist: the kernel takes no others, and "all of them"
    /// is written as a range of all numbers.
    fn ping_groups(&self, value: &str) -> String {
        let mut numbers = value.split_ascii_whitespace().map(str::parse::<u32>);
        let (Some(Ok(first)), Some(Ok(last)), None) = (numbers.next(), numbers.next(), numbers.next()) else {
            return value.to_owned();
        };
        let cut = |range: &Range| {
            let end = range.inside.saturating_add(range.count - 1);
            (first.max(range.inside) <= last.min(end)).then_some((first.max(range.inside), last.min(end)))
        };
        let cuts = || self.groups.iter().filter(|range| range.count > 0).filter_map(cut);
        match (cuts().map(|cut| cut.0).min(), cuts().map(|cut| cut.1).max()) {
            (Some(first), Some(last)) => format!("{first} {last}"),
            _ => value.to_owned(),
        }
    }
}

/// The devices that every container has.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// The links in `/dev` that every container has.
const LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Decides every step, in order.
pub(super) fn plan(
    spec: &Spec,
    rootfs: &RootFs,
    seeds: &[Seed],
    trees: &[&Path],
    facts: Facts<'_>,
) -> Vec<Step> {
    let mut steps = vec![Step::Root(rootfs.clone())];
    // Before the mounts: a file of the host's that is mounted there is not the image's.
    steps.extend(facts.account.cloned().map(Step::Account));
    // Before anything covers what the image has there; and a volume that is mounted at two places is whole at both.
    steps.extend(seeds.iter().cloned().map(Step::Seed));
    let linux = spec.linux().as_ref();
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    for mount in mounts {
        let target = clean(mount.destination());
        match trees.iter().position(|tree| clean(tree) == target) {
            Some(at) => {
                let options = options::parse(mount.options().as_deref().unwrap_or_default());
                let Options { one, tree, .. } = options;
                steps.push(Step::Mount(MountStep { what: What::Tree { at }, target, one, tree }));
            }
            None => steps.extend(plan_mount(mount, target, spec, facts).map(Step::Mount)),
        }
    }
    // Whoever binds a /dev of their own wants that one, and not one with additions.
    let own_dev = mounts.iter().any(|mount| {
        clean(mount.destination()) == Path::new("/dev") && mount.typ().as_deref() == Some("tmpfs")
    });
    if own_dev {
        let more = linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
        let more = more.iter().map(|device| clean(device.path()));
        let all = DEVICES.iter().map(PathBuf::from).chain(more.filter(|path| !is_default_device(path)));
        steps.extend(all.map(Step::Device));
        steps.extend(LINKS.map(|(path, target)| Step::Link { path: path.into(), target }));
    }
    if facts.terminal {
        steps.push(Step::Console);
    }
    if let Some(sysctls) = linux.and_then(|linux| linux.sysctl().as_ref()) {
        let mut sysctls: Vec<_> = sysctls.iter().collect();
        sysctls.sort_unstable();
        steps.extend(sysctls.into_iter().map(|(name, value)| Step::Sysctl {
            name: name.clone(),
            value: if name == PING_GROUPS { facts.ping_groups(value) } else { value.clone() },
        }));
    }
    if let Some(process) = spec.process() {
        steps.push(Step::WorkingDirectory(clean(process.cwd())));
    }
    if let Some(linux) = linux {
        let paths = |list: &Option<Vec<String>>| {
            list.as_deref().unwrap_or_default().iter().map(|path| clean(Path::new(path))).collect::<Vec<_>>()
        };
        steps.extend(paths(linux.readonly_paths()).into_iter().map(Step::ReadOnly));
        steps.extend(paths(linux.masked_paths()).into_iter().map(Step::Mask));
    }
    steps.push(Step::Pivot);
    steps.extend(root_attributes(spec));
    if has_new(spec, LinuxNamespaceType::Uts) {
        steps.extend(spec.hostname().clone().map(Step::Hostname));
        steps.extend(spec.domainname().clone().map(Step::Domainname));
    }
    if has_new(spec, LinuxNamespaceType::Network) {
        steps.push(Step::Loopback);
    }
    steps
}

/// Decides one mount; `None` for what this machine has not got and the container can do without.
fn plan_mount(mount: &Mount, target: PathBuf, spec: &Spec, facts: Facts<'_>) -> Option<MountStep> {
    let options = options::parse(mount.options().as_deref().unwrap_or_default());
    let kind = mount.typ().as_deref().unwrap_or("none");
    let source = mount.source().clone().unwrap_or_default();
    if let Some(depth) = options.bind {
        return Some(bind(source, depth, target, options));
    }
    let of_host = |path: &str, options| Some(bind(path.into(), Depth::Tree, target.clone(), options));
    match kind {
        // An instance of these shows the namespace of the process, and only who owns that may make one.
        "proc" if !owns(spec, LinuxNamespaceType::Pid) => of_host("/proc", options),
        "sysfs" if !owns(spec, LinuxNamespaceType::Network) => of_host("/sys", options),
        "mqueue" if !owns(spec, LinuxNamespaceType::Ipc) => of_host("/dev/mqueue", options),
        "cgroup" | "cgroup2" if !facts.unified_cgroups => None,
        "cgroup" | "cgroup2" if !has_new(spec, LinuxNamespaceType::Cgroup) => {
            of_host("/sys/fs/cgroup", options)
        }
        "cgroup" | "cgroup2" => {
            Some(file_system("cgroup2", source, target, Options { data: Vec::new(), ..options }))
        }
        "bind" => Some(bind(source, Depth::Tree, target, options)),
        LAYERS => {
            let all = |wanted: &'static str| {
                let values = options.data.iter().filter(move |(key, _)| key == wanted);
                values.filter_map(|(_, value)| value.as_ref()).map(PathBuf::from)
            };
            let below = all(BELOW).next().unwrap_or_default();
            let what = What::Layers { layers: all(LAYER).collect(), below };
            Some(MountStep { what, target, one: options.one, tree: options.tree })
        }
        "devpts" if !facts.has_group(TTY_GROUP) => {
            let data = options.data.into_iter().filter(|(key, _)| key != "gid").collect();
            Some(file_system(kind, source, target, Options { data, ..options }))
        }
        kind => Some(file_system(kind, source, target, options)),
    }
}

fn file_system(kind: &str, source: PathBuf, target: PathBuf, options: Options) -> MountStep {
    let Options { one, tree, data, .. } = options;
    // Only a name, for those who look at the list of mounts.
    let source = source.into_os_string().into_string().unwrap_or_default();
    let source = if source.is_empty() { kind.to_owned() } else { source };
    MountStep { what: What::FileSystem { kind: kind.to_owned(), source, data }, target, one, tree }
}

fn bind(source: PathBuf, depth: Depth, target: PathBuf, options: Options) -> MountStep {
    let Options { mut one, mut tree, .. } = options;
    // Taking a flag away that the host has set is refused, and where it is not set nothing needs taking.
    (one.clear, tree.clear) = (one.clear & libc::MOUNT_ATTR__ATIME, tree.clear & libc::MOUNT_ATTR__ATIME);
    if depth == Depth::Tree {
        // What is read-only at the top is so below: a writable mount under it would surprise.
        tree.set |= one.set & libc::MOUNT_ATTR_RDONLY;
    }
    if one.propagation == 0 && tree.propagation == 0 {
        // Docker's default: what is mounted on the host later does not appear.
        tree.propagation = libc::MS_PRIVATE;
    }
    MountStep { what: What::Bind { source, depth }, target, one, tree }
}

fn root_attributes(spec: &Spec) -> Vec<Step> {
    let mut steps = Vec::new();
    let propagation = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().clone());
    if let Some(word) = propagation {
        let Options { one, tree, .. } = options::parse(&[word]);
        // Private and slave it is already, and what is mounted inside has a propagation of its own.
        if one.propagation | tree.propagation == libc::MS_SHARED {
            let attributes = Attributes { propagation: libc::MS_SHARED, ..Attributes::default() };
            steps.push(Step::RootAttributes(attributes, Depth::One));
        }
    }
    if spec.root().as_ref().and_then(crate::oci::runtime::Root::readonly) == Some(true) {
        let attributes = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        steps.push(Step::RootAttributes(attributes, Depth::One));
    }
    steps
}

/// Tells whether the container's user namespace owns its namespace of this kind: both are its own, or both are
/// those of another container. One who joins two different containers mounts by binding.
fn owns(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let path = |kind| {
        let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref());
        let namespace = namespaces.unwrap_or_default().iter().find(|namespace| namespace.typ() == kind)?;
        Some(namespace.path().as_ref())
    };
    match (path(kind), path(LinuxNamespaceType::User)) {
        (Some(None), _) => true,
        (Some(Some(kind)), Some(Some(user))) => kind.parent() == user.parent(),
        _ => false,
    }
}

/// Tells whether the container gets a namespace of this kind of its own.
pub(super) fn has_new(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let namespaces =
        spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    namespaces.iter().any(|namespace| namespace.typ() == kind && namespace.path().is_none())
}

fn is_default_device(path: &Path) -> bool {
    DEVICES.iter().any(|device| Path::new(device) == path)
}

/// Returns the absolute path without `.` and `..`, as Go's `filepath.Clean` makes it.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::runtime::Spec;

    const GROUPS: [Range; 2] =
        [Range { inside: 0, outside: 1000, count: 1 }, Range { inside: 1, outside: 100_000, count: 65536 }];
    const FACTS: Facts<'_> = Facts { unified_cgroups: true, groups: &GROUPS, terminal: false, account: None };

    fn spec(mounts: &str, linux: &str) -> Spec {
        let text = format!(
            r#"{{"ociVersion":"1.2.0","root":{{"path":"rootfs","readonly":true}},"hostname":"box",
                "process":{{"user":{{"uid":0,"gid":0}},"cwd":"/srv/../app","args":["true"]}},
                "mounts":{mounts},"linux":{linux}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn steps(mounts: &str, linux: &str, facts: Facts<'_>) -> Vec<Step> {
        plan(&spec(mounts, linux), &RootFs::Directory("/r".into()), &[], &[], facts)
    }

    fn mounts_of(steps: &[Step]) -> Vec<String> {
        let name = |step: &Step| match step {
            Step::Mount(MountStep { what: What::Bind { source, .. }, target, .. }) => {
                Some(format!("{} on {}", source.display(), target.display()))
            }
            Step::Mount(MountStep { what: What::FileSystem { kind, .. }, target, .. }) => {
                Some(format!("{kind} on {}", target.display()))
            }
            _ => None,
        };
        steps.iter().filter_map(name).collect()
    }

    const ALL: &str = r#"{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},
        {"type":"mount"},{"type":"cgroup"}],"maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"],
        "sysctl":{"net.b":"2","net.a":"1"},"rootfsPropagation":"rshared"}"#;

    #[test]
    fn goes_in_order() {
        let made = steps(r#"[{"destination":"/proc","type":"proc","source":"proc"}]"#, ALL, FACTS);
        let read_only = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        let shared = Attributes { propagation: libc::MS_SHARED, ..Attributes::default() };
        let expected = vec![
            Step::Root(RootFs::Directory("/r".into())),
            Step::Mount(MountStep {
                what: What::FileSystem { kind: "proc".into(), source: "proc".into(), data: vec![] },
                target: "/proc".into(),
                one: Attributes::default(),
                tree: Attributes::default(),
            }),
            Step::Sysctl { name: "net.a".into(), value: "1".into() },
            Step::Sysctl { name: "net.b".into(), value: "2".into() },
            Step::WorkingDirectory("/app".into()),
            Step::ReadOnly("/proc/sys".into()),
            Step::Mask("/proc/kcore".into()),
            Step::Pivot,
            Step::RootAttributes(shared, Depth::One),
            Step::RootAttributes(read_only, Depth::One),
            Step::Hostname("box".into()),
            Step::Loopback,
        ];
        assert_eq!(made, expected);
    }

    const KERNEL: &str = r#"[{"destination":"/proc","type":"proc"},{"destination":"/sys","type":"sysfs"},
        {"destination":"/dev/mqueue","type":"mqueue"},{"destination":"/sys/fs/cgroup","type":"cgroup"}]"#;

    #[test]
    fn shows_the_host_where_namespaces_are_shared() {
        assert_eq!(
            mounts_of(&steps(KERNEL, ALL, FACTS)),
            ["proc on /proc", "sysfs on /sys", "mqueue on /dev/mqueue", "cgroup2 on /sys/fs/cgroup"]
        );
        assert_eq!(
            mounts_of(&steps(KERNEL, "{}", FACTS)),
            [
                "/proc on /proc",
                "/sys on /sys",
                "/dev/mqueue on /dev/mqueue",
                "/sys/fs/cgroup on /sys/fs/cgroup"
            ]
        );
        let old = Facts { unified_cgroups: false, ..FACTS };
        assert_eq!(mounts_of(&steps(KERNEL, ALL, old)).len(), 3);
        assert!(!steps(KERNEL, "{}", FACTS).contains(&Step::Loopback));
    }

    #[test]
    fn dev_is_furnished_unless_it_is_somebody_elses() {
        let device = Step::Device("/dev/null".into());
        let made = steps(r#"[{"destination":"/dev/","type":"tmpfs"}]"#, "{}", FACTS);
        assert!(made.contains(&device));
        let bound = steps(
            r#"[{"destination":"/dev","type":"bind","source":"/dev","options":["rbind"]}]"#,
            "{}",
            Facts { terminal: true, ..FACTS },
        );
        assert!(!bound.contains(&device));
        assert!(bound.contains(&Step::Console));
    }

    #[test]
    fn binds_are_private_and_read_only_to_the_bottom() {
        let made = steps(
            r#"[{"destination":"/../a//b/","type":"bind","source":"/s","options":["rbind","ro","dev"]}]"#,
            "{}",
            FACTS,
        );
        let Step::Mount(mount) = &made[1] else { panic!("{made:?}") };
        assert_eq!(mount.target, Path::new("/a/b"));
        assert_eq!(mount.tree.set, libc::MOUNT_ATTR_RDONLY);
        assert_eq!(mount.tree.propagation, libc::MS_PRIVATE);
        assert_eq!(mount.one.clear, 0);
    }

    #[test]
    fn seeds_come_before_their_mount() {
        let seed = Seed { path: "/data/".into(), volume: "/v".into() };
        let spec = spec(r#"[{"destination":"/data","type":"bind","source":"/v"}]"#, "{}");
        let made = plan(&spec, &RootFs::Directory("/r".into()), std::slice::from_ref(&seed), &[], FACTS);
        assert_eq!(made[1], Step::Seed(seed));
        assert!(matches!(made[2], Step::Mount(_)));
    }

    #[test]
    fn ping_is_for_groups_that_exist() {
        let groups = |value: &str, groups| Facts { groups, ..FACTS }.ping_groups(value);
        assert_eq!(groups("0 2147483647", &GROUPS), "0 65536");
        assert_eq!(groups("5 7", &GROUPS), "5 7");
        assert_eq!(groups("0 2147483647", &[Range { inside: 50, outside: 0, count: 1 }]), "50 50");
        assert_eq!(groups("0 9", &[Range { inside: 50, outside: 0, count: 1 }]), "0 9");
        assert_eq!(groups("1 0", &GROUPS), "1 0");
    }

    #[test]
    fn terminals_need_their_group() {
        let devpts = r#"[{"destination":"/dev/pts","type":"devpts","options":["newinstance","gid=5"]}]"#;
        let data = |facts| match &steps(devpts, "{}", facts)[1] {
            Step::Mount(MountStep { what: What::FileSystem { data, .. }, .. }) => data.len(),
            _ => 0,
        };
        assert_eq!((data(FACTS), data(Facts { groups: &GROUPS[..1], ..FACTS })), (2, 1));
    }
}
