//! The flags of `build`.

use clap::Args;

use crate::cli::request::{parse_bytes, parse_extra_host, parse_ulimit};
use crate::container::Ulimit;

/// The flags of `build`, as they are typed.
#[derive(Debug, Args)]
pub(in crate::cli) struct BuildArgs {
    /// Add a custom host-to-IP mapping (format: "host:ip")
    #[arg(long, value_name = "strings", value_delimiter = ',', value_parser = parse_extra_host)]
    pub(super) add_host: Vec<String>,
    /// Add annotation to the image (format: "[manifest|index:]key=value")
    #[arg(long, value_name = "stringArray")]
    pub(super) annotation: Vec<String>,
    /// Attestation parameters (format: "type=provenance")
    #[arg(long, value_name = "stringArray")]
    pub(super) attest: Vec<String>,
    /// Allow extra privileged entitlement (e.g., "network.host", "security.insecure")
    #[arg(long, value_name = "stringArray")]
    pub(super) allow: Vec<String>,
    /// Set build-time variables
    #[arg(long, value_name = "stringArray")]
    pub(super) build_arg: Vec<String>,
    /// Additional build contexts (e.g., name=path)
    #[arg(long, value_name = "stringArray")]
    pub(super) build_context: Vec<String>,
    /// Override the configured builder instance
    #[arg(long, value_name = "string")]
    pub(super) builder: Option<String>,
    /// External cache sources (e.g., "type=local,src=path/to/dir")
    #[arg(long, value_name = "stringArray")]
    pub(super) cache_from: Vec<String>,
    /// Cache export destinations (e.g., "type=local,dest=path/to/dir")
    #[arg(long, value_name = "stringArray")]
    pub(super) cache_to: Vec<String>,
    /// Set method for evaluating build ("check", "targets")
    #[arg(long, value_name = "string", default_value = "build")]
    pub(super) call: String,
    /// Shorthand for "--call=check"
    #[arg(long)]
    pub(super) check: bool,
    /// Name of the Dockerfile (default: "PATH/Dockerfile")
    #[arg(long, short, value_name = "string")]
    pub(super) file: Option<String>,
    /// Write the image ID to a file
    #[arg(long, value_name = "string")]
    pub(super) iidfile: Option<String>,
    /// Set metadata for an image
    #[arg(long, value_name = "stringArray")]
    pub(super) label: Vec<String>,
    /// Shorthand for "--output=type=docker"
    #[arg(long)]
    pub(super) load: bool,
    /// Write build result metadata to a file
    #[arg(long, value_name = "string")]
    pub(super) metadata_file: Option<String>,
    /// Set the networking mode for the "RUN" instructions during build
    #[arg(long, value_name = "string", default_value = "default")]
    pub(super) network: String,
    /// Do not use cache when building the image
    #[arg(long)]
    pub(super) no_cache: bool,
    /// Do not cache specified stages
    #[arg(long, value_name = "stringArray", value_delimiter = ',')]
    pub(super) no_cache_filter: Vec<String>,
    /// Output destination (format: "type=local,dest=path")
    #[arg(long, short, value_name = "stringArray")]
    pub(super) output: Vec<String>,
    /// Set target platform for build
    #[arg(long, value_name = "stringArray", value_delimiter = ',')]
    pub(super) platform: Vec<String>,
    /// Set type of progress output ("auto", "quiet", "plain", "tty", "rawjson")
    #[arg(long, value_name = "string")]
    pub(super) progress: Option<String>,
    /// Always attempt to pull all referenced images
    #[arg(long)]
    pub(super) pull: bool,
    /// Shorthand for "--output=type=registry"
    #[arg(long)]
    pub(super) push: bool,
    /// Suppress the build output and print image ID on success
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")
    #[arg(long, value_name = "stringArray")]
    pub(super) secret: Vec<String>,
    /// Shared memory size for build containers
    #[arg(long, value_name = "bytes", value_parser = parse_bytes)]
    pub(super) shm_size: Option<u64>,
    /// Squash newly built layers into a single new layer
    #[arg(long)]
    pub(super) squash: bool,
    /// SSH agent socket or keys to expose to the build (format: "default|<id>[=<socket>|<key>[,<key>]]")
    #[arg(long, value_name = "stringArray")]
    pub(super) ssh: Vec<String>,
    /// Image identifier (format: "[registry/]repository[:tag]")
    #[arg(long, short, value_name = "stringArray")]
    pub(super) tag: Vec<String>,
    /// Set the target build stage to build
    #[arg(long, value_name = "string")]
    pub(super) target: Option<String>,
    /// Ulimit options
    #[arg(long, value_name = "ulimit", value_parser = parse_ulimit)]
    pub(super) ulimit: Vec<Ulimit>,
    /// Shorthand for "--attest=type=provenance"
    #[arg(long, value_name = "string")]
    pub(super) provenance: Option<String>,
    /// Nothing: commands of a build are in the group of the build
    #[arg(long, hide = true, value_name = "string")]
    cgroup_parent: Option<String>,
    /// Nothing: layers are stored unpacked
    #[arg(long, hide = true)]
    compress: bool,
    /// Nothing: what a step runs in never outlives it
    #[arg(long, hide = true)]
    force_rm: bool,
    /// Nothing: what a step runs in never outlives it
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    #[arg(action = clap::ArgAction::Set)]
    rm: bool,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "string")]
    isolation: Option<String>,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "bytes", short)]
    memory: Option<String>,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "bytes")]
    memory_swap: Option<String>,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "int")]
    cpu_period: Option<i64>,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "int")]
    cpu_quota: Option<i64>,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "int", short = 'c')]
    cpu_shares: Option<i64>,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "string")]
    cpuset_cpus: Option<String>,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "string")]
    cpuset_mems: Option<String>,
    /// Nothing, as with BuildKit
    #[arg(long, hide = true, value_name = "stringSlice")]
    security_opt: Vec<String>,
    /// Context: a directory, an archive, an address, or - for STDIN
    #[arg(value_name = "PATH | URL | -")]
    pub(super) context: String,
}

impl BuildArgs {
    /// Returns the flags that were given and limit nothing.
    pub(super) fn without_effect(&self) -> Vec<&'static str> {
        [
            ("--cgroup-parent", self.cgroup_parent.as_deref().is_some_and(|path| !path.is_empty())),
            ("--rm=false", !self.rm),
            ("--isolation", self.isolation.is_some()),
            ("--memory", self.memory.is_some()),
            ("--memory-swap", self.memory_swap.is_some()),
            ("--cpu-period", self.cpu_period.is_some()),
            ("--cpu-quota", self.cpu_quota.is_some()),
            ("--cpu-shares", self.cpu_shares.is_some()),
            ("--cpuset-cpus", self.cpuset_cpus.is_some()),
            ("--cpuset-mems", self.cpuset_mems.is_some()),
            ("--security-opt", !self.security_opt.is_empty()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }
}
