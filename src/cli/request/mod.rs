//! The flags of `run` and `create`, and the request that they make.

mod absent;
mod gpus;
mod limits;
mod mount;
mod network;
pub(super) mod port;
mod sharing;
mod value;
mod variables;

use std::path::Path;

use anyhow::{Result, anyhow};
use clap::Args;

use super::grammar::integer;
use super::report::{misuse, response};
use super::session::Session;
use crate::container::{Attach, CreateRequest, DeviceRequest, Healthcheck, Ulimit, is_cdi};
use crate::oci::duration;

pub(super) use absent::ABSENT;
pub(super) use limits::LimitFlags;
use network::NetworkFlags;
pub(super) use network::{parse_ip, parse_ip4, parse_ip6, parse_link};
use sharing::SharingFlags;
pub(super) use value::{detach_keys, parse_bytes, parse_extra_host, parse_ulimit, restart as restart_policy};
pub(super) use variables::{add_proxies, daemon_host, environment, parse_env, parse_label};

/// What `run` and `create` have in common.
#[derive(Debug, Args)]
pub(super) struct ContainerFlags {
    /// Add a line to the container's /etc/hosts (host:ip)
    #[arg(long, value_name = "list", value_parser = value::parse_extra_host)]
    add_host: Vec<String>,
    /// Add an annotation for the runtime
    #[arg(long, value_name = "map")]
    annotation: Vec<String>,
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(long, short, value_name = "list", value_parser = value::parse_stream)]
    pub(super) attach: Vec<String>,
    /// Add Linux capabilities
    #[arg(long, value_name = "list")]
    cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "list")]
    cap_drop: Vec<String>,
    /// Write the container's ID to this file
    #[arg(long, value_name = "string")]
    pub(super) cidfile: Option<String>,
    /// Show a device of the host in the container: its path, or its name in a CDI file
    #[arg(long, value_name = "list")]
    device: Vec<String>,
    /// Accepted; signatures of images are not looked at
    #[arg(long, hide = true)]
    disable_content_trust: bool,
    /// NIS domain name of the container
    #[arg(long, value_name = "string")]
    domainname: Option<String>,
    /// Program to run in place of the image's ENTRYPOINT
    #[arg(long, value_name = "string")]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(long, short, value_name = "list", value_parser = parse_env)]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "list")]
    env_file: Vec<String>,
    /// GPUs to show in the container ('all' to have all of them)
    #[arg(long, value_name = "gpu-request", value_parser = gpus::parse_gpus)]
    gpus: Vec<DeviceRequest>,
    /// Add supplementary groups
    #[arg(long, value_name = "list")]
    group_add: Vec<String>,
    /// Command that finds out whether the container is healthy
    #[arg(long, value_name = "string")]
    health_cmd: Option<String>,
    /// Time between two checks (ms|s|m|h)
    #[arg(long, value_name = "duration", value_parser = duration)]
    health_interval: Option<i64>,
    /// Failures in a row that make it unhealthy
    #[arg(long, value_name = "int", value_parser = integer)]
    health_retries: Option<i64>,
    /// Time between two checks in the start period (ms|s|m|h)
    #[arg(long, value_name = "duration", value_parser = duration)]
    health_start_interval: Option<i64>,
    /// Time after the start in which failures do not count (ms|s|m|h)
    #[arg(long, value_name = "duration", value_parser = duration)]
    health_start_period: Option<i64>,
    /// Time after which a check has failed (ms|s|m|h)
    #[arg(long, value_name = "duration", value_parser = duration)]
    health_timeout: Option<i64>,
    /// Host name of the container
    #[arg(long, short = 'h', value_name = "string")]
    hostname: Option<String>,
    /// Run an init as process 1 that passes on signals and reaps children
    #[arg(long)]
    init: bool,
    /// Keep STDIN open even if not attached
    #[arg(long, short)]
    pub(super) interactive: bool,
    /// Set labels
    #[arg(long, short, value_name = "list", value_parser = variables::parse_label)]
    label: Vec<String>,
    /// Read labels from a file, one a line
    #[arg(long, value_name = "list")]
    label_file: Vec<String>,
    /// How output is logged: json-file, local, journald or none
    #[arg(long, value_name = "string")]
    log_driver: Option<String>,
    /// Options of the log: max-size, max-file, tag, labels, env
    #[arg(long, value_name = "list")]
    log_opt: Vec<String>,
    /// Mount a directory, a volume or memory
    #[arg(long, value_name = "mount", value_parser = mount::parse_mount)]
    mount: Vec<String>,
    /// Name of the container
    #[arg(long, value_name = "string")]
    name: Option<String>,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    fixed_limits: limits::FixedLimitFlags,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    sharing: SharingFlags,
    /// Run no health check
    #[arg(long)]
    no_healthcheck: bool,
    /// Platform of the image, where it has several
    #[arg(long, value_name = "string")]
    pub(super) platform: Option<String>,
    /// Give the container everything a user namespace can give
    #[arg(long)]
    privileged: bool,
    /// When to pull the image ("always", "missing", "never")
    #[arg(long, value_name = "string", default_value = "missing")]
    pub(super) pull: String,
    /// Suppress the pull output
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Mount the container's root file system read-only
    #[arg(long)]
    read_only: bool,
    /// What to do when the container ends
    #[arg(long, value_name = "string", default_value = "no")]
    restart: String,
    /// Remove the container and its unnamed volumes when it ends
    #[arg(long)]
    pub(super) rm: bool,
    /// Security options
    #[arg(long, value_name = "list")]
    security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "bytes", value_parser = value::parse_bytes)]
    shm_size: Option<u64>,
    /// Signal that stops the container
    #[arg(long, value_name = "string")]
    stop_signal: Option<String>,
    /// Seconds to wait after the stop signal before killing
    #[arg(long, value_name = "int", value_parser = integer)]
    stop_timeout: Option<i64>,
    /// Set kernel parameters of the container's namespaces
    #[arg(long, value_name = "map", value_parser = value::parse_sysctl)]
    sysctl: Vec<String>,
    /// Mount memory at a directory
    #[arg(long, value_name = "list")]
    tmpfs: Vec<String>,
    /// Give the container a terminal
    #[arg(long, short)]
    pub(super) tty: bool,
    /// Set resource limits (name=soft[:hard])
    #[arg(long, value_name = "ulimit", value_parser = value::parse_ulimit)]
    ulimit: Vec<Ulimit>,
    /// User name or id (format: <name|uid>[:<group|gid>])
    #[arg(long, short, value_name = "string")]
    user: Option<String>,
    /// Mount a directory or a volume
    #[arg(long, short, value_name = "list")]
    volume: Vec<String>,
    /// Working directory inside the container
    #[arg(long, short, value_name = "string")]
    workdir: Option<String>,
    /// Image
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,
    /// Command and its arguments
    #[arg(value_name = "COMMAND", allow_hyphen_values = true)]
    command: Vec<String>,
}

impl ContainerFlags {
    /// Makes the request. `detach` says that nothing will be attached.
    pub(super) fn request(&self, session: &Session, detach: bool) -> Result<CreateRequest> {
        self.request_here(session, detach).map_err(misuse)
    }

    fn request_here(&self, session: &Session, detach: bool) -> Result<CreateRequest> {
        let said = |message: String| anyhow!(message);
        // What Docker's client leaves to its daemon to find out.
        let daemons = |message: String| {
            let known = [
                "invalid mode",
                "invalid mount",
                "invalid volume specification",
                "invalid tmpfs option",
                "invalid restart policy: ",
                "logger: ",
            ];
            let is_known = known.iter().any(|start| message.starts_with(start));
            if is_known { response(anyhow!(message)) } else { anyhow!(message) }
        };
        // A path that cannot be named any more matters only to a mount that is relative to it.
        let here = std::env::current_dir().unwrap_or_default();
        if !matches!(self.pull.as_str(), "always" | "missing" | "never") {
            let message = "must be one of \"always\", \"missing\" or \"never\"";
            anyhow::bail!("invalid pull option: '{}': {message}", self.pull);
        }
        let mut mounts = Vec::new();
        for (index, text) in self.volume.iter().enumerate() {
            // As Docker's client, which keeps a set of them.
            if self.volume[..index].contains(text) {
                continue;
            }
            mounts.push(mount::volume(text, &here).map_err(daemons)?);
        }
        for text in &self.mount {
            mounts.push(mount::mount(text, &here).map_err(daemons)?);
        }
        let host = |name: &str| std::env::var(name).ok();
        let mut env = environment(&self.env_file, &self.env, &host)?;
        variables::add_proxies(&mut env, &session.docker_config()?, &variables::daemon_host());
        let restart = value::restart(&self.restart);
        let policy = self.restart.split(':').next().unwrap_or_default();
        let is_format = |message: &String| message.starts_with("invalid restart policy format");
        if self.rm && !matches!(policy, "" | "no") && !restart.as_ref().is_err_and(is_format) {
            anyhow::bail!("conflicting options: cannot specify both --restart and --rm");
        }
        let restart = restart.map_err(daemons)?;
        if self.annotation.iter().any(|text| text.is_empty() || text.starts_with('=')) {
            let why = "the empty string is not permitted as an annotation key";
            return Err(response(anyhow!("invalid Annotations: {why}")));
        }
        self.fixed_limits.check()?;
        let networking = self.network.read()?;
        let sharing = self.sharing.read()?;
        Ok(CreateRequest {
            image_name: self.image.clone(),
            name: self.name.clone().filter(|name| !name.is_empty()),
            command: self.command.clone(),
            entrypoint: self
                .entrypoint
                .clone()
                .map(|program| if program.is_empty() { Vec::new() } else { vec![program] }),
            env,
            labels: variables::labels(&self.label_file, &self.label)?,
            annotations: self.annotation.iter().map(|text| variables::pair(text)).collect(),
            user: self.user.clone().filter(|user| !user.is_empty()),
            working_dir: self.workdir.clone().filter(|dir| !dir.is_empty()),
            hostname: self.hostname.clone().filter(|name| !name.is_empty()),
            domainname: self.domainname.clone().unwrap_or_default(),
            tty: self.tty,
            open_stdin: self.interactive,
            attach: self.attached(detach),
            stop_signal: self.stop_signal.clone(),
            stop_timeout: self.stop_timeout,
            exposed_ports: networking.exposed,
            mounts,
            tmpfs: mount::tmpfs(&self.tmpfs).map_err(daemons)?,
            read_only: self.read_only,
            init: self.init,
            privileged: self.privileged,
            cap_add: self.cap_add.iter().map(|text| value::capability(text)).collect(),
            cap_drop: self.cap_drop.iter().map(|text| value::capability(text)).collect(),
            security_opt: self
                .security_opt
                .iter()
                .map(|text| value::security_opt(text))
                .collect::<Result<_>>()?,
            ulimits: self.ulimits(),
            limits: self.fixed_limits.add_to(self.limits.read()?),
            cgroup_parent: self.fixed_limits.cgroup_parent.clone().unwrap_or_default(),
            shm_size: self.shm_size,
            sysctls: self.sysctl.iter().map(|text| variables::pair(text)).collect(),
            device_requests: self.device_requests(),
            cdi_dirs: session.settings()?.cdi.clone(),
            devices: self
                .device
                .iter()
                .filter(|text| !is_cdi(text))
                .map(|text| value::device(text).map_err(said))
                .collect::<Result<_>>()?,
            group_add: self.group_add.clone(),
            extra_hosts: self.add_host.clone(),
            health: self.health()?,
            restart,
            network: networking.mode,
            networks: networking.networks,
            ports: networking.ports,
            publish_all: networking.publish_all,
            dns: networking.dns,
            dns_search: networking.dns_search,
            dns_options: networking.dns_options,
            sharing,
            volumes_from: self.sharing.volumes_from.clone(),
            volume_driver: self.sharing.volume_driver.clone().unwrap_or_default(),
            oom_score_adj: self.sharing.oom_score_adj()?,
            auto_remove: self.rm,
            cidfile: self.cidfile.clone().unwrap_or_default(),
            log: value::log_driver(self.log_driver.as_deref().unwrap_or_default()).map_err(daemons)?,
            journald: self.log_driver.as_deref() == Some("journald"),
            log_options: value::log_options(self.log_driver.as_deref(), &self.log_opt).map_err(said)?,
        })
    }

    /// Collects what is asked for of devices that have names in place of paths.
    fn device_requests(&self) -> Vec<DeviceRequest> {
        let mut requests = self.gpus.clone();
        let device_ids: Vec<String> = self.device.iter().filter(|text| is_cdi(text)).cloned().collect();
        if !device_ids.is_empty() {
            let driver = crate::container::CDI.to_owned();
            requests.push(DeviceRequest { driver, device_ids, ..DeviceRequest::default() });
        }
        requests
    }

    /// Reads what is asked for of health checks; `None` if nothing is.
    fn health(&self) -> Result<Option<Healthcheck>> {
        let command = self.health_cmd.as_deref().filter(|command| !command.is_empty());
        let times = [
            ("interval", self.health_interval),
            ("timeout", self.health_timeout),
            ("retries", self.health_retries),
            ("start-period", self.health_start_period),
            ("start-interval", self.health_start_interval),
        ];
        let asked = command.is_some() || times.iter().any(|(_, time)| time.is_some_and(|time| time != 0));
        if self.no_healthcheck {
            anyhow::ensure!(!asked, "--no-healthcheck conflicts with --health-* options");
            return Ok(Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }));
        }
        if !asked {
            return Ok(None);
        }
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_some_and(|time| time < 0)) {
            anyhow::bail!("--health-{name} cannot be negative");
        }
        let test = command.map(|command| vec!["CMD-SHELL".to_owned(), command.to_owned()]);
        Ok(Some(Healthcheck {
            test: test.unwrap_or_default(),
            interval: self.health_interval.unwrap_or(0),
            timeout: self.health_timeout.unwrap_or(0),
            start_period: self.health_start_period.unwrap_or(0),
            start_interval: self.health_start_interval.unwrap_or(0),
            retries: self.health_retries.unwrap_or(0),
        }))
    }

    /// Says which streams are attached: those asked for, or else all but an input that is not open.
    fn attached(&self, detach: bool) -> Attach {
        let asked = |stream: &str| self.attach.iter().any(|name| name == stream);
        if detach {
            return Attach::default();
        }
        let by_default = self.attach.is_empty();
        Attach {
            stdin: self.interactive || asked("stdin"),
            stdout: by_default || asked("stdout"),
            stderr: by_default || asked("stderr"),
        }
    }

    /// Returns the limits, sorted by name; of several for one name the last counts.
    fn ulimits(&self) -> Vec<Ulimit> {
        let by_name: std::collections::BTreeMap<_, _> =
            self.ulimit.iter().map(|limit| (limit.name.as_str(), limit)).collect();
        by_name.into_values().cloned().collect()
    }
}

/// Says in Go's words why a file could not be opened: scripts know them.
pub(super) fn open_error(path: &str, error: &std::io::Error) -> anyhow::Error {
    let words = match error.raw_os_error() {
        Some(code) => {
            let text = std::io::Error::from_raw_os_error(code).to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
        None => error.to_string(),
    };
    anyhow!("open {}: {words}", Path::new(path).display())
}
