//! The keys of the Compose specification, in the order in which they are printed.

use super::shape::Shape::{
    self, Any, Bool, Bytes, Command, Duration, Enum, Int, Kept, Labels, List, Map, Mapping, Names, Num,
    Object, OneOrMore, Path, Short, Str, Text,
};
use super::short;

/// A whole file.
pub(super) const PROJECT: Shape = Object(&[
    ("version", Text),
    ("name", Str),
    ("include", Any),
    ("services", Names(&SERVICE)),
    ("networks", Names(&NETWORK)),
    ("volumes", Names(&VOLUME)),
    ("secrets", Names(&SECRET)),
    ("configs", Names(&CONFIG)),
    ("models", Names(&Any)),
]);

/// A service: 92 keys and some that are older.
pub(super) const SERVICE: Shape = Object(SERVICE_KEYS);

/// The keys of a service.
pub(super) const SERVICE_KEYS: &[(&str, Shape)] = &[
    ("profiles", List(&Text)),
    ("annotations", Mapping),
    ("attach", Bool),
    ("build", Short(short::build, &BUILD)),
    ("develop", Object(&[("watch", List(&WATCH))])),
    ("blkio_config", BLKIO),
    ("cap_add", List(&Str)),
    ("cap_drop", List(&Str)),
    ("cgroup_parent", Str),
    ("cgroup", Enum(&["host", "private"])),
    ("cpu_count", Int),
    ("cpu_percent", Num),
    ("cpu_period", Kept(short::period)),
    ("cpu_quota", Kept(short::period)),
    ("cpu_rt_period", Kept(short::period)),
    ("cpu_rt_runtime", Kept(short::period)),
    ("cpus", Num),
    ("cpuset", Text),
    ("cpu_shares", Int),
    ("command", Command),
    ("configs", List(&Short(short::grant, &GRANT))),
    ("container_name", Str),
    ("credential_spec", Object(&[("config", Str), ("file", Str), ("registry", Str)])),
    ("depends_on", Short(short::depends_on, &Map(&DEPENDENCY))),
    ("deploy", DEPLOY),
    ("device_cgroup_rules", List(&Str)),
    (
        "devices",
        List(&Short(short::device, &Object(&[("source", Str), ("target", Str), ("permissions", Str)]))),
    ),
    ("dns", OneOrMore(&Str)),
    ("dns_opt", List(&Str)),
    ("dns_search", OneOrMore(&Str)),
    ("domainname", Str),
    ("entrypoint", Command),
    ("environment", Mapping),
    (
        "env_file",
        OneOrMore(&Short(short::env_file, &Object(&[("path", Path), ("required", Bool), ("format", Str)]))),
    ),
    ("expose", List(&Text)),
    ("extends", Short(short::extends, &Object(&[("file", Str), ("service", Str)]))),
    ("external_links", List(&Str)),
    ("extra_hosts", Short(short::extra_hosts, &List(&Str))),
    ("group_add", List(&Text)),
    ("gpus", Short(short::gpus, &List(&DEVICE_REQUEST))),
    ("hostname", Str),
    ("healthcheck", HEALTHCHECK),
    ("image", Str),
    ("init", Bool),
    ("ipc", Str),
    ("isolation", Str),
    ("labels", Labels),
    ("label_file", OneOrMore(&Path)),
    ("links", List(&Str)),
    ("logging", Object(&[("driver", Str), ("options", Map(&Text))])),
    ("mem_limit", Bytes),
    ("mem_reservation", Bytes),
    ("memswap_limit", Bytes),
    ("mem_swappiness", Text),
    ("mac_address", Str),
    ("models", Any),
    ("networks", Short(short::networks, &Map(&ATTACHMENT))),
    ("network_mode", Str),
    ("oom_kill_disable", Bool),
    ("oom_score_adj", Int),
    ("pid", Str),
    ("pids_limit", Int),
    ("platform", Str),
    ("ports", Short(short::ports, &List(&PORT))),
    ("privileged", Bool),
    ("provider", Any),
    ("pull_policy", Short(short::pull_policy, &Str)),
    ("pull_refresh_after", Str),
    ("read_only", Bool),
    ("restart", Str),
    ("runtime", Str),
    ("scale", Int),
    ("secrets", List(&Short(short::grant, &GRANT))),
    ("security_opt", List(&Str)),
    ("shm_size", Bytes),
    ("stdin_open", Bool),
    ("stop_grace_period", Duration),
    ("stop_signal", Str),
    ("storage_opt", Map(&Text)),
    ("sysctls", Mapping),
    ("tmpfs", OneOrMore(&Str)),
    ("tty", Bool),
    ("ulimits", Map(&Kept(short::ulimit))),
    ("use_api_socket", Bool),
    ("user", Text),
    ("userns_mode", Str),
    ("uts", Str),
    ("volume_driver", Str),
    ("volumes", List(&Short(short::volume, &MOUNT))),
    ("volumes_from", List(&Str)),
    ("working_dir", Str),
    ("post_start", List(&HOOK)),
    ("pre_stop", List(&HOOK)),
];

const BUILD: Shape = Object(&[
    ("context", Short(short::context, &Str)),
    ("dockerfile", Str),
    ("dockerfile_inline", Str),
    ("entitlements", List(&Str)),
    ("args", Mapping),
    ("provenance", Text),
    ("sbom", Text),
    ("ssh", Short(short::ssh, &List(&Str))),
    ("labels", Labels),
    ("cache_from", List(&Str)),
    ("cache_to", List(&Str)),
    ("no_cache", Bool),
    ("no_cache_filter", OneOrMore(&Str)),
    ("additional_contexts", Short(short::contexts, &Map(&Str))),
    ("pull", Bool),
    ("extra_hosts", Short(short::extra_hosts, &List(&Str))),
    ("isolation", Str),
    ("network", Str),
    ("target", Str),
    ("secrets", List(&Short(short::grant, &GRANT))),
    ("shm_size", Bytes),
    ("tags", List(&Str)),
    ("ulimits", Map(&Kept(short::ulimit))),
    ("platforms", List(&Str)),
    ("privileged", Bool),
]);

const HOOK_EXEC: &[(&str, Shape)] = &[
    ("command", Command),
    ("user", Text),
    ("privileged", Bool),
    ("working_dir", Str),
    ("environment", Mapping),
];

const HOOK: Shape = Object(HOOK_EXEC);

const WATCH: Shape = Object(&[
    ("path", Path),
    ("action", Enum(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
    ("target", Str),
    ("exec", HOOK),
    ("include", OneOrMore(&Str)),
    ("ignore", OneOrMore(&Str)),
    ("initial_sync", Bool),
]);

const RATE: Shape = List(&Object(&[("path", Str), ("rate", Bytes)]));

const BLKIO: Shape = Object(&[
    ("weight", Int),
    ("weight_device", List(&Object(&[("path", Str), ("weight", Int)]))),
    ("device_read_bps", RATE),
    ("device_read_iops", RATE),
    ("device_write_bps", RATE),
    ("device_write_iops", RATE),
]);

const GRANT: Shape = Object(&[("source", Str), ("target", Str), ("uid", Text), ("gid", Text), ("mode", Int)]);

const DEPENDENCY: Shape = Object(&[
    ("condition", Enum(&["service_started", "service_healthy", "service_completed_successfully"])),
    ("restart", Bool),
    ("required", Bool),
]);

const DEVICE_REQUEST: Shape = Object(&[
    ("capabilities", List(&Str)),
    ("driver", Str),
    ("count", Kept(short::count)),
    ("device_ids", List(&Text)),
    ("options", Mapping),
]);

const RESOURCES: &[(&str, Shape)] = &[
    ("cpus", Num),
    ("memory", Bytes),
    ("pids", Int),
    ("devices", List(&DEVICE_REQUEST)),
    ("generic_resources", Any),
];

const UPDATE: Shape = Object(&[
    ("parallelism", Int),
    ("delay", Duration),
    ("failure_action", Str),
    ("monitor", Duration),
    ("max_failure_ratio", Num),
    ("order", Enum(&["start-first", "stop-first"])),
]);

const DEPLOY: Shape = Object(&[
    ("mode", Str),
    ("replicas", Int),
    ("labels", Labels),
    ("update_config", UPDATE),
    ("rollback_config", UPDATE),
    ("resources", Object(&[("limits", Object(RESOURCES)), ("reservations", Object(RESOURCES))])),
    (
        "restart_policy",
        Object(&[("condition", Str), ("delay", Duration), ("max_attempts", Int), ("window", Duration)]),
    ),
    (
        "placement",
        Object(&[
            ("constraints", List(&Str)),
            ("preferences", List(&Object(&[("spread", Str)]))),
            ("max_replicas_per_node", Int),
        ]),
    ),
    ("endpoint_mode", Str),
]);

const HEALTHCHECK: Shape = Object(&[
    ("test", Short(short::test, &List(&Text))),
    ("timeout", Duration),
    ("interval", Duration),
    ("retries", Int),
    ("start_period", Duration),
    ("start_interval", Duration),
    ("disable", Bool),
]);

const ATTACHMENT: Shape = Object(&[
    ("priority", Num),
    ("gw_priority", Num),
    ("aliases", List(&Str)),
    ("interface_name", Str),
    ("ipv4_address", Str),
    ("ipv6_address", Str),
    ("link_local_ips", List(&Str)),
    ("mac_address", Str),
    ("driver_opts", Map(&Text)),
]);

const PORT: Shape = Object(&[
    ("name", Str),
    ("mode", Str),
    ("host_ip", Str),
    ("target", Int),
    ("published", Text),
    ("protocol", Str),
    ("app_protocol", Str),
]);

const MOUNT: Shape = Object(&[
    ("type", Enum(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
    ("source", Str),
    ("target", Str),
    ("read_only", Bool),
    ("consistency", Str),
    (
        "bind",
        Object(&[
            ("selinux", Enum(&["z", "Z"])),
            ("propagation", Str),
            ("create_host_path", Bool),
            ("recursive", Enum(&["enabled", "disabled", "writable", "readonly"])),
        ]),
    ),
    ("volume", Object(&[("labels", Labels), ("nocopy", Bool), ("subpath", Str)])),
    ("tmpfs", Object(&[("size", Bytes), ("mode", Int)])),
    ("image", Object(&[("subpath", Str)])),
]);

/// A network.
pub(super) const NETWORK: Shape = Short(
    short::empty,
    &Object(&[
        ("name", Str),
        ("driver", Str),
        ("driver_opts", Map(&Text)),
        (
            "ipam",
            Object(&[
                ("driver", Str),
                (
                    "config",
                    List(&Object(&[
                        ("subnet", Str),
                        ("gateway", Str),
                        ("ip_range", Str),
                        ("aux_addresses", Map(&Str)),
                    ])),
                ),
                ("options", Map(&Text)),
            ]),
        ),
        ("external", EXTERNAL),
        ("internal", Bool),
        ("attachable", Bool),
        ("labels", Labels),
        ("enable_ipv4", Bool),
        ("enable_ipv6", Bool),
    ]),
);

const EXTERNAL: Shape = Kept(short::external);

const VOLUME: Shape = Short(
    short::local_volume,
    &Object(&[
        ("name", Str),
        ("driver", Str),
        ("driver_opts", Map(&Text)),
        ("external", EXTERNAL),
        ("labels", Labels),
    ]),
);

const OBJECT_KEYS: &[(&str, Shape)] = &[
    ("name", Str),
    ("file", Path),
    ("environment", Str),
    ("content", Text),
    ("external", EXTERNAL),
    ("labels", Labels),
    ("driver", Str),
    ("driver_opts", Map(&Text)),
    ("template_driver", Str),
];

const SECRET: Shape = Short(short::empty, &Object(OBJECT_KEYS));
const CONFIG: Shape = Short(short::empty, &Object(OBJECT_KEYS));
