//! What a container is meant to be: written once, when it is created.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::device::DeviceRequest;
use super::sharing::Sharing;
use crate::network::Mac;
use crate::network::protocol::PortRequest;
use crate::oci::Digest;
use crate::runtime::Limits;
use crate::store::MapKey;

/// The file `config.json` of a container: the image's configuration with the user's wishes laid over it.
///
/// The one input of [`super::spec::build`]; the words are those of Docker's `Config` and `HostConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was created: RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// The image as the user named it.
    pub image_name: String,
    /// The image's id.
    pub image: Digest,
    /// The diff-ids of the image's layers, lowest first.
    pub layers: Vec<Digest>,
    /// The id mapping that `upper` is written under.
    pub map: MapKey,
    /// The process: what is run, and as whom.
    pub process: ProcessConfig,
    /// Host name inside.
    pub hostname: String,
    /// NIS domain name inside.
    pub domainname: String,
    /// Labels of the image and of the user.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the runtime spec.
    pub annotations: BTreeMap<String, String>,
    /// What `attach` of the first run carries.
    pub attach: Attach,
    /// The signal that `stop` sends, as the user or the image wrote it; empty: SIGTERM.
    pub stop_signal: String,
    /// Seconds that `stop` waits before SIGKILL; `None`: 10.
    pub stop_timeout: Option<i64>,
    /// Ports that the image or the user declares: `80/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// Paths that the image declares as volumes.
    pub image_volumes: BTreeSet<String>,
    /// How its health is found out, in Docker's keys: as the image has it, with the user's wishes over it.
    pub healthcheck: Option<serde_json::Value>,
    /// The shell that the check's command is given to, if the image names one.
    #[serde(default)]
    pub shell: Vec<String>,
    /// Everything mounted by wish, in order.
    pub mounts: Vec<Mount>,
    /// `--tmpfs` mounts: path to options.
    pub tmpfs: BTreeMap<String, String>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Whether a reaper is process 1.
    pub init: bool,
    /// Whether the container gets everything a user namespace can give.
    pub privileged: bool,
    /// Capabilities to add, without the prefix `CAP_`; `ALL` is one.
    pub cap_add: Vec<String>,
    /// Capabilities to drop, likewise.
    pub cap_drop: Vec<String>,
    /// `--security-opt` as Docker stores it; a seccomp profile stands there with its content.
    pub security_opt: Vec<String>,
    /// Resource limits.
    pub ulimits: Vec<Ulimit>,
    /// What all its processes may use together.
    #[serde(default)]
    pub limits: Limits,
    /// The slice or the control group that its own one is to be in.
    #[serde(default)]
    pub cgroup_parent: String,
    /// The size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Device nodes of the host to show inside.
    pub devices: Vec<Device>,
    /// Devices by what they are: `--gpus`, and names of CDI files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_requests: Vec<DeviceRequest>,
    /// Where CDI files are looked for, the later ones counting for more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cdi_dirs: Vec<PathBuf>,
    /// Supplementary groups, by name or number.
    pub group_add: Vec<String>,
    /// Lines for `/etc/hosts`: `name:address`.
    pub extra_hosts: Vec<String>,
    /// What happens when the process ends.
    pub restart: RestartPolicy,
    /// The network it lives in.
    pub network: NetworkMode,
    /// The networks that it was made for; `networks.json` beside this file has those it was put into later.
    #[serde(default)]
    pub networks: Vec<Attachment>,
    /// Its ports that the host shall have.
    #[serde(default)]
    pub ports: Vec<PortRequest>,
    /// Whether the host shall have every declared port, somewhere.
    #[serde(default)]
    pub publish_all: bool,
    /// The nameservers to ask in place of the host's.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// The domains to look a short name up in, in place of the host's; `.` alone is none.
    #[serde(default)]
    pub dns_search: Vec<String>,
    /// Options for `resolv.conf`, in place of the host's.
    #[serde(default)]
    pub dns_options: Vec<String>,
    /// The namespaces that it shares.
    #[serde(default)]
    pub sharing: Sharing,
    /// `--volumes-from`, as it was asked for.
    #[serde(default)]
    pub volumes_from: Vec<String>,
    /// The targets of those mounts that came by `--volumes-from`.
    #[serde(default)]
    pub inherited: BTreeSet<String>,
    /// `--volume-driver`, as it was asked for.
    #[serde(default)]
    pub volume_driver: String,
    /// How likely its processes are to be killed when memory is short; 0: as likely as the user's others.
    #[serde(default)]
    pub oom_score_adj: i32,
    /// Whether it is removed when it ends.
    pub auto_remove: bool,
    /// The file that the id was written to.
    pub cidfile: String,
    /// How output is logged.
    #[serde(default)]
    pub log: LogDriver,
    /// Whether output goes to the system's journal too; `log` then says how it is kept to be read back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub journald: bool,
    /// The options of the log, as they were given.
    #[serde(default)]
    pub log_options: BTreeMap<String, String>,
    /// The platform of the image: `linux/amd64`.
    pub platform: String,
}

impl ContainerConfig {
    /// Returns the images that it mounts, and their layers.
    pub fn mounted_images(&self) -> impl Iterator<Item = (Digest, &[Digest])> {
        self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Image { id: Some(id), layers, .. } => Some((*id, layers.as_slice())),
            _ => None,
        })
    }

    /// Returns all layers that it needs: those that it stands on and those of the images that it mounts.
    pub fn all_layers(&self) -> impl Iterator<Item = Digest> {
        let mounted = self.mounted_images().flat_map(|(_, layers)| layers);
        self.layers.iter().chain(mounted).copied()
    }

    /// Returns Docker's word for how output is logged.
    pub fn log_word(&self) -> &'static str {
        match self.log {
            _ if self.journald => "journald",
            LogDriver::JsonFile => "json-file",
            LogDriver::Local => "local",
            LogDriver::None => "none",
        }
    }
}

/// A process of a container: the first one, or one of `exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessConfig {
    /// The image's or user's entry point; `None` where neither has one.
    pub entrypoint: Option<Vec<String>>,
    /// The command, or the arguments of the entry point.
    pub cmd: Option<Vec<String>>,
    /// `KEY=value`, later ones winning; `PATH` is always there.
    pub env: Vec<String>,
    /// `user[:group]`, by name or number; empty: root.
    pub user: String,
    /// The directory it starts in; empty: `/`.
    pub working_dir: String,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open when nobody is attached.
    pub open_stdin: bool,
    /// Whether its standard input closes when the first attached client's does.
    pub stdin_once: bool,
}

impl ProcessConfig {
    /// Returns the whole command line: entry point, then command.
    pub fn argv(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).flatten().cloned().collect()
    }
}

/// Which streams are carried to and from the one who attaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

/// Something of the host mounted in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it comes from.
    pub source: MountSource,
    /// The absolute path inside.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MountSource {
    /// A file or directory of the host.
    Bind {
        /// Its absolute path.
        path: String,
        /// mount_namespaces(7): `rprivate`, `rslave`, `rshared`, `private`, `slave`, `shared`.
        propagation: String,
        /// Whether mounts below it come along.
        recursive: bool,
    },
    /// A volume.
    Volume {
        /// Its name; 64 hexadecimal digits if it has none of its own.
        name: String,
        /// Whether it was made for this container alone, and goes with it.
        anonymous: bool,
        /// Whether an empty volume stays empty, instead of being filled from the image.
        no_copy: bool,
        /// A directory in the volume to mount instead of the whole; empty: the whole.
        subpath: String,
    },
    /// The files of an image, read-only.
    Image {
        /// What the user calls it.
        name: String,
        /// The image; `None`: it is still to be found.
        id: Option<Digest>,
        /// Its layers, the lowest first.
        layers: Vec<Digest>,
        /// A directory or file in it to mount instead of the whole; empty: the whole.
        subpath: String,
    },
    /// Memory.
    Tmpfs {
        /// Size in bytes; `None`: the kernel's default.
        size: Option<u64>,
        /// Mode of its root directory; `None`: 1777.
        mode: Option<u32>,
    },
}

/// A resource limit (getrlimit(2)); -1 is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The name without `RLIMIT_`, in lower case: `nofile`.
    pub name: String,
    /// The soft limit.
    pub soft: i64,
    /// The hard limit.
    pub hard: i64,
}

/// A device node of the host to show inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub host: String,
    /// Path inside.
    pub container: String,
    /// `r`, `w`, `m` in any order.
    pub permissions: String,
}

/// What happens when the container's process ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// It is started again, unless it was stopped.
    Always,
    /// The same, and a stop outlasts a reboot.
    UnlessStopped,
    /// It is started again if it failed, at most so many times; 0 is without bound.
    OnFailure {
        /// The bound.
        max: u32,
    },
}

/// The network a container lives in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// The network `bridge`.
    #[default]
    Default,
    /// A private namespace with loopback only.
    None,
    /// The host's.
    Host,
    /// A network of the user's, by the name that was asked for.
    Named(String),
    /// That of another container, by its id.
    Container(String),
}

impl NetworkMode {
    /// Returns Docker's word for it.
    pub fn word(&self) -> String {
        match self {
            Self::Default => "bridge".to_owned(),
            Self::None => "none".to_owned(),
            Self::Host => "host".to_owned(),
            Self::Named(name) => name.clone(),
            Self::Container(id) => format!("container:{id}"),
        }
    }

    /// Tells whether the container has a network namespace of its own.
    pub fn is_private(&self) -> bool {
        !matches!(self, Self::Host | Self::Container(_))
    }

    /// Tells whether the container can be put into networks.
    pub fn is_bridged(&self) -> bool {
        matches!(self, Self::Default | Self::Named(_))
    }
}

/// A network that a container is to be in, and what it is to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The network's id; empty for `bridge`, which is made when it is first used.
    pub id: String,
    /// More names that the container answers to there.
    pub aliases: Vec<String>,
    /// Containers and the names that this one has for them: `container:alias`.
    pub links: Vec<String>,
    /// The IPv4 address wanted.
    pub ip: Option<Ipv4Addr>,
    /// The IPv6 address wanted.
    pub ip6: Option<Ipv6Addr>,
    /// Link-local addresses wanted.
    pub link_local_ips: Vec<IpAddr>,
    /// The hardware address wanted.
    pub mac: Option<Mac>,
    /// Options of the driver, for `inspect`.
    pub driver_opts: BTreeMap<String, String>,
    /// Of several networks, the one with the highest priority has the default route.
    pub gw_priority: i64,
}

/// How output is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// One JSON object a line, as Docker's driver of that name writes.
    #[default]
    JsonFile,
    /// The same, bounded unless it is asked for otherwise.
    Local,
    /// Not at all.
    None,
}
