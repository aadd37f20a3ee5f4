//! What a user asks for: the wishes of `run`, `create` and `exec`, before an image is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::config::{Attach, Attachment, Device, LogDriver, Mount, NetworkMode, RestartPolicy, Ulimit};
use super::device::DeviceRequest;
use super::health::Healthcheck;
use super::sharing::Sharing;
use crate::network::protocol::PortRequest;
use crate::runtime::Limits;

/// The wishes of `create` and `run`. Every front end (command line, compose file, API) makes one of these.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The image as the user named it.
    pub image_name: String,
    /// The name; `None`: one is made up.
    pub name: Option<String>,
    /// What stands after the image; empty: the image's command.
    pub command: Vec<String>,
    /// `--entrypoint`; an empty list clears the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `KEY=value`, or `KEY` alone to take a variable of the image away; over the image's.
    pub env: Vec<String>,
    /// Over the image's.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// `user[:group]`; `None`: the image's.
    pub user: Option<String>,
    /// `None`: the image's.
    pub working_dir: Option<String>,
    /// `None`: the first 12 digits of the id, or the host's with the host's network.
    pub hostname: Option<String>,
    /// `--domainname`
    pub domainname: String,
    /// `-t`
    pub tty: bool,
    /// `-i`
    pub open_stdin: bool,
    /// What is attached at the first start; nothing with `-d`.
    pub attach: Attach,
    /// `--stop-signal`
    pub stop_signal: Option<String>,
    /// `--stop-timeout`, in seconds.
    pub stop_timeout: Option<i64>,
    /// `--expose`
    pub exposed_ports: BTreeSet<String>,
    /// `-v` and `--mount`.
    pub mounts: Vec<MountRequest>,
    /// `--tmpfs`: path to options.
    pub tmpfs: BTreeMap<String, String>,
    /// `--read-only`
    pub read_only: bool,
    /// `--init`
    pub init: bool,
    /// `--privileged`
    pub privileged: bool,
    /// `--cap-add`
    pub cap_add: Vec<String>,
    /// `--cap-drop`
    pub cap_drop: Vec<String>,
    /// `--security-opt`, with the content of a seccomp profile in place of its path.
    pub security_opt: Vec<String>,
    /// `--ulimit`
    pub ulimits: Vec<Ulimit>,
    /// `--memory`, `--cpus` and so on.
    pub limits: Limits,
    /// `--cgroup-parent`
    pub cgroup_parent: String,
    /// `--shm-size` in bytes; `None`: 64 MiB.
    pub shm_size: Option<u64>,
    /// `--sysctl`
    pub sysctls: BTreeMap<String, String>,
    /// `--device`
    pub devices: Vec<Device>,
    /// `--gpus`, and `--device` with a name of a CDI file
    pub device_requests: Vec<DeviceRequest>,
    /// Where CDI files are looked for
    pub cdi_dirs: Vec<std::path::PathBuf>,
    /// `--group-add`
    pub group_add: Vec<String>,
    /// `--add-host`: `name:address`.
    pub extra_hosts: Vec<String>,
    /// `--health-cmd` and its like; `None`: the image's check.
    pub health: Option<Healthcheck>,
    /// `--restart`
    pub restart: RestartPolicy,
    /// `--network`; a container is meant by any of its names.
    pub network: NetworkMode,
    /// The networks to be in, the main one first; none where [`NetworkMode`] has none.
    pub networks: Vec<Attachment>,
    /// `-p`
    pub ports: Vec<PortRequest>,
    /// `-P`
    pub publish_all: bool,
    /// `--dns`
    pub dns: Vec<IpAddr>,
    /// `--dns-search`
    pub dns_search: Vec<String>,
    /// `--dns-option`
    pub dns_options: Vec<String>,
    /// The namespaces to share; a container is meant by any of its names.
    pub sharing: Sharing,
    /// `--volumes-from`: `container[:ro]`.
    pub volumes_from: Vec<String>,
    /// `--volume-driver`
    pub volume_driver: String,
    /// `--oom-score-adj`
    pub oom_score_adj: i32,
    /// `--rm`
    pub auto_remove: bool,
    /// `--cidfile`, for `inspect`; the front end writes the file.
    pub cidfile: String,
    /// `--log-driver`
    pub log: LogDriver,
    /// Whether `--log-driver` is `journald`
    pub journald: bool,
    /// `--log-opt`
    pub log_options: BTreeMap<String, String>,
}

/// A mount as the user asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRequest {
    /// What to mount. A volume without a name gets one made up.
    pub mount: Mount,
    /// Whether a missing directory of the host is made, as `-v` does and `--mount` does not.
    pub create_source: bool,
    /// What the volume is to be, if this makes it.
    pub volume: VolumeWishes,
}

/// What a volume is to be, if there is none of its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeWishes {
    /// Its driver; empty: `local`.
    pub driver: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The options of its driver.
    pub options: BTreeMap<String, String>,
}

/// The wishes of `exec`.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// What the user calls the container.
    pub name: String,
    /// The command line.
    pub command: Vec<String>,
    /// `KEY=value`, over the container's.
    pub env: Vec<String>,
    /// `user[:group]`; `None`: the container's.
    pub user: Option<String>,
    /// `None`: the container's.
    pub working_dir: Option<String>,
    /// `-t`
    pub tty: bool,
    /// `-i`
    pub interactive: bool,
    /// `-d`: leave it running and return.
    pub detach: bool,
    /// `--privileged`
    pub privileged: bool,
    /// The keys that detach: bytes; empty: none.
    pub detach_keys: Vec<u8>,
}
