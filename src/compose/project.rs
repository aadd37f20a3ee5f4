//! A project with types: what the commands work with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Values by name.
pub type Names = BTreeMap<String, String>;

/// A whole project.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// What runs.
    pub services: BTreeMap<String, Service>,
    /// Its networks, by the names that its files use.
    pub networks: BTreeMap<String, Network>,
    /// Its volumes, likewise.
    pub volumes: BTreeMap<String, Volume>,
    /// Its secrets, likewise.
    pub secrets: BTreeMap<String, Object>,
    /// Its configs, likewise.
    pub configs: BTreeMap<String, Object>,
    /// The keys that it sets beside its services: `networks.front.ipam.driver`.
    #[serde(skip)]
    pub keys: Vec<String>,
}

/// A service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Service {
    pub profiles: Vec<String>,
    pub annotations: BTreeMap<String, Option<String>>,
    pub attach: Option<bool>,
    pub build: Option<Build>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub blkio_config: Blkio,
    pub cgroup_parent: Option<String>,
    pub cpu_period: Option<Json>,
    pub cpu_quota: Option<Json>,
    pub cpus: Option<f64>,
    pub cpuset: Option<String>,
    pub cpu_shares: Option<i64>,
    pub command: Option<Vec<String>>,
    pub configs: Vec<Grant>,
    pub container_name: Option<String>,
    pub depends_on: BTreeMap<String, Dependency>,
    pub deploy: Deploy,
    pub develop: Develop,
    pub devices: Vec<Device>,
    pub dns: Vec<String>,
    pub dns_opt: Vec<String>,
    pub dns_search: Vec<String>,
    pub domainname: Option<String>,
    pub entrypoint: Option<Vec<String>>,
    pub environment: BTreeMap<String, Option<String>>,
    pub expose: Vec<String>,
    pub external_links: Vec<String>,
    pub extra_hosts: Vec<String>,
    pub gpus: Vec<DeviceWish>,
    pub group_add: Vec<String>,
    pub healthcheck: Option<Healthcheck>,
    pub hostname: Option<String>,
    pub image: Option<String>,
    pub init: Option<bool>,
    pub ipc: Option<String>,
    pub isolation: Option<String>,
    pub labels: Names,
    pub links: Vec<String>,
    pub logging: Logging,
    pub mac_address: Option<String>,
    pub mem_limit: Option<String>,
    pub mem_reservation: Option<String>,
    pub mem_swappiness: Option<String>,
    pub memswap_limit: Option<String>,
    pub oom_kill_disable: Option<bool>,
    pub networks: BTreeMap<String, Option<Attachment>>,
    pub network_mode: Option<String>,
    pub oom_score_adj: Option<i32>,
    pub pid: Option<String>,
    pub pids_limit: Option<i64>,
    pub platform: Option<String>,
    pub ports: Vec<Port>,
    pub post_start: Vec<Hook>,
    pub pre_stop: Vec<Hook>,
    pub privileged: bool,
    pub pull_policy: Option<String>,
    pub read_only: bool,
    pub restart: Option<String>,
    pub runtime: Option<String>,
    pub scale: Option<u32>,
    pub secrets: Vec<Grant>,
    pub security_opt: Vec<String>,
    pub shm_size: Option<String>,
    pub stdin_open: bool,
    pub stop_grace_period: Option<String>,
    pub stop_signal: Option<String>,
    pub sysctls: BTreeMap<String, Option<String>>,
    pub tmpfs: Vec<String>,
    pub tty: bool,
    pub ulimits: BTreeMap<String, Json>,
    pub user: Option<String>,
    pub userns_mode: Option<String>,
    pub uts: Option<String>,
    pub cgroup: Option<String>,
    pub volumes: Vec<Mount>,
    pub volumes_from: Vec<String>,
    pub volume_driver: Option<String>,
    pub working_dir: Option<String>,
    /// What its configuration is known by: any change changes it.
    #[serde(skip)]
    pub hash: String,
    /// The keys that it sets, those within others with the way there: `deploy.placement`.
    #[serde(skip)]
    pub keys: Vec<String>,
    /// Whether its containers and image have names as the first Compose made them: `project_web_1`.
    #[serde(skip)]
    pub old_names: bool,
}

impl Service {
    /// Returns the name of one of its containers.
    pub fn container(&self, project: &str, name: &str, number: u32) -> String {
        match &self.container_name {
            Some(own) if !own.is_empty() => own.clone(),
            _ => format!("{project}{0}{name}{0}{number}", self.separator()),
        }
    }

    fn separator(&self) -> char {
        if self.old_names { '_' } else { '-' }
    }

    /// Returns how many containers are wanted.
    pub fn replicas(&self) -> u32 {
        self.scale.or(self.deploy.replicas).unwrap_or(1)
    }

    /// Returns the image's name: as it says, else that of what is built.
    pub fn image_name(&self, project: &str, name: &str) -> String {
        let own = self.image.clone().filter(|image| !image.is_empty());
        own.unwrap_or_else(|| format!("{project}{}{name}", self.separator()))
    }
}

/// `build`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Build {
    pub context: String,
    pub dockerfile: Option<String>,
    pub dockerfile_inline: Option<String>,
    pub args: BTreeMap<String, Option<String>>,
    pub ssh: Vec<String>,
    pub labels: Names,
    pub cache_from: Vec<String>,
    pub cache_to: Vec<String>,
    pub entitlements: Vec<String>,
    pub no_cache: bool,
    pub no_cache_filter: Vec<String>,
    pub additional_contexts: Names,
    pub pull: bool,
    pub extra_hosts: Vec<String>,
    pub isolation: Option<String>,
    pub network: Option<String>,
    pub target: Option<String>,
    pub secrets: Vec<Grant>,
    pub shm_size: Option<String>,
    pub tags: Vec<String>,
    pub ulimits: BTreeMap<String, Json>,
    pub platforms: Vec<String>,
    pub privileged: bool,
}

/// A use of a secret or config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Grant {
    pub source: String,
    pub target: Option<String>,
    pub uid: Option<String>,
    pub gid: Option<String>,
    pub mode: Option<u32>,
}

/// What a service waits for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Dependency {
    pub condition: Condition,
    pub restart: bool,
    pub required: bool,
}

/// When a dependency is met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words of the specification")]
pub enum Condition {
    #[default]
    ServiceStarted,
    ServiceHealthy,
    ServiceCompletedSuccessfully,
}

impl Condition {
    /// Returns the specification's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::ServiceStarted => "service_started",
            Self::ServiceHealthy => "service_healthy",
            Self::ServiceCompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// `deploy`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Deploy {
    pub mode: Option<String>,
    pub replicas: Option<u32>,
    pub resources: Resources,
    pub restart_policy: Option<RestartPolicy>,
}

/// `deploy.resources`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Resources {
    pub limits: Resource,
    pub reservations: Resource,
}

/// `deploy.resources.limits`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Resource {
    pub cpus: Option<f64>,
    pub memory: Option<String>,
    pub pids: Option<i64>,
    pub devices: Vec<DeviceWish>,
}

/// Devices by what they are: one of `gpus`, or of `deploy.resources.reservations.devices`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct DeviceWish {
    pub capabilities: Vec<String>,
    pub driver: Option<String>,
    pub count: Option<i64>,
    pub device_ids: Vec<String>,
    pub options: BTreeMap<String, Option<String>>,
}

/// `deploy.restart_policy`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct RestartPolicy {
    pub condition: Option<String>,
    pub max_attempts: Option<u32>,
}

/// `blkio_config`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Blkio {
    pub weight: Option<u16>,
    pub weight_device: Vec<Rate>,
    pub device_read_bps: Vec<Rate>,
    pub device_read_iops: Vec<Rate>,
    pub device_write_bps: Vec<Rate>,
    pub device_write_iops: Vec<Rate>,
}

/// A number for one disk.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Rate {
    pub path: String,
    pub rate: Option<String>,
    pub weight: Option<u64>,
}

/// `develop`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Develop {
    pub watch: Vec<Watch>,
}

/// `develop.watch`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Watch {
    pub path: String,
    pub action: String,
    pub target: Option<String>,
    pub ignore: Vec<String>,
    pub include: Vec<String>,
    pub exec: Option<Hook>,
    pub initial_sync: bool,
}

/// A command run in a container at some point of its life.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Hook {
    pub command: Vec<String>,
    pub user: Option<String>,
    pub privileged: bool,
    pub working_dir: Option<String>,
    pub environment: BTreeMap<String, Option<String>>,
}

/// A device of the host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Device {
    pub source: String,
    pub target: Option<String>,
    pub permissions: Option<String>,
}

/// `healthcheck`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Healthcheck {
    pub test: Vec<String>,
    pub timeout: Option<String>,
    pub interval: Option<String>,
    pub retries: Option<i64>,
    pub start_period: Option<String>,
    pub start_interval: Option<String>,
    pub disable: bool,
}

/// `logging`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Logging {
    pub driver: Option<String>,
    pub options: Names,
}

/// A network that a service is in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Attachment {
    pub priority: f64,
    pub gw_priority: f64,
    pub interface_name: Option<String>,
    pub aliases: Vec<String>,
    pub ipv4_address: Option<String>,
    pub ipv6_address: Option<String>,
    pub mac_address: Option<String>,
    pub driver_opts: Names,
}

/// A published port.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Port {
    pub host_ip: Option<String>,
    pub target: u16,
    pub published: Option<String>,
    pub protocol: Option<String>,
}

/// A mount.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Mount {
    #[serde(rename = "type")]
    pub kind: String,
    pub source: Option<String>,
    pub target: String,
    pub read_only: bool,
    pub bind: Bind,
    pub volume: VolumeOptions,
    pub tmpfs: Tmpfs,
    pub image: ImageOptions,
}

/// `bind`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Bind {
    pub propagation: Option<String>,
    pub create_host_path: Option<bool>,
    pub recursive: Option<String>,
}

/// `volume`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct VolumeOptions {
    pub nocopy: bool,
    pub subpath: Option<String>,
    pub labels: Names,
}

/// `image`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct ImageOptions {
    pub subpath: Option<String>,
}

/// `tmpfs`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Tmpfs {
    pub size: Option<String>,
    pub mode: Option<u32>,
}

/// A network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Network {
    pub name: String,
    pub driver: Option<String>,
    pub driver_opts: Names,
    pub ipam: Ipam,
    pub external: bool,
    pub internal: bool,
    pub attachable: bool,
    pub labels: Names,
    pub enable_ipv4: Option<bool>,
    pub enable_ipv6: bool,
    /// What its configuration is known by.
    #[serde(skip)]
    pub hash: String,
}

/// `ipam`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Ipam {
    pub driver: Option<String>,
    pub config: Vec<Pool>,
}

/// One of the subnets of a network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Pool {
    pub subnet: Option<String>,
    pub gateway: Option<String>,
    pub ip_range: Option<String>,
    pub aux_addresses: Names,
}

/// A volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Volume {
    pub name: String,
    pub driver: Option<String>,
    pub driver_opts: Names,
    pub external: bool,
    pub labels: Names,
}

/// A secret or config.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the keys of the specification, by their own names")]
pub struct Object {
    pub name: String,
    pub file: Option<String>,
    pub environment: Option<String>,
    pub content: Option<String>,
    pub external: bool,
}
