//! What a project asks for and cannot have: one warning a key, with the reason.

use super::Context;

/// Keys of services without effect, and why; `*` is any one key.
const OF_SERVICES: &[(&str, &str)] = &[
    ("build.provenance", "no attestations are made"),
    ("build.sbom", "no attestations are made"),
    ("cpu_count", "it is for Windows"),
    ("cpu_percent", "it is for Windows"),
    ("cpu_rt_period", "real-time scheduling needs real root"),
    ("cpu_rt_runtime", "real-time scheduling needs real root"),
    ("credential_spec", "it is for Windows"),
    ("deploy.endpoint_mode", "it is for a swarm; a service's name has the addresses of its containers"),
    ("deploy.labels", "they are of a swarm's services; containers have the key labels"),
    ("deploy.placement", "there is one machine"),
    ("deploy.resources.limits.devices", "devices are reserved, not limited"),
    ("deploy.resources.reservations.cpus", "processors are shared by need; see cpu_shares"),
    ("deploy.resources.reservations.generic_resources", "they are a swarm's"),
    ("deploy.restart_policy.delay", "the time between restarts grows by itself"),
    ("deploy.restart_policy.window", "the time between restarts grows by itself"),
    ("deploy.rollback_config", "it is for a swarm"),
    ("deploy.update_config", "it is for a swarm"),
    ("device_cgroup_rules", "access to devices is that of the user; name single ones with devices"),
    ("models", "no models are run here"),
    ("networks.*.link_local_ips", "the kernel gives devices theirs"),
    ("provider", "no other program is asked to provide services"),
    ("storage_opt", "quotas of layers are set by root alone"),
    ("use_api_socket", "there is no daemon with a socket"),
];

/// Keys beside services without effect, and why.
const OF_OTHERS: &[(&str, &str)] = &[
    ("networks.*.ipam.options", "addresses are given out without options"),
    ("secrets.*.driver", "it is for a swarm"),
    ("secrets.*.driver_opts", "it is for a swarm"),
    ("secrets.*.template_driver", "it is for a swarm"),
    ("configs.*.driver", "it is for a swarm"),
    ("configs.*.driver_opts", "it is for a swarm"),
    ("configs.*.template_driver", "it is for a swarm"),
];

/// Tells whether a key is one of the table's.
fn fits(pattern: &str, key: &str) -> bool {
    let (mut pattern, mut key) = (pattern.split('.'), key.split('.'));
    loop {
        match (pattern.next(), key.next()) {
            (None, None) => return true,
            (Some(wanted), Some(word)) if wanted == "*" || wanted == word => {}
            _ => return false,
        }
    }
}

/// Returns one warning for each key that has no effect.
pub fn without_effect(context: &Context) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, why) in OF_SERVICES {
        let users: Vec<&str> = context
            .project
            .services
            .iter()
            .filter(|(_, service)| service.keys.iter().any(|own| fits(key, own)))
            .map(|(name, _)| name.as_str())
            .collect();
        if !users.is_empty() {
            warnings.push(format!("services.{}.{key} has no effect: {why}", users.join(", ")));
        }
    }
    for (pattern, why) in OF_OTHERS {
        let found = context.project.keys.iter().filter(|key| fits(pattern, key));
        warnings.extend(found.map(|key| format!("{key} has no effect: {why}")));
    }
    for (name, service) in &context.project.services {
        // Each has words that mean what is done anyway.
        for (key, value, usual, why) in [
            ("isolation", &service.isolation, &["default"][..], "it is for Windows"),
            (
                "runtime",
                &service.runtime,
                &["coracle", "runc", "io.containerd.runc.v2"],
                "there is one, built in",
            ),
            ("volume_driver", &service.volume_driver, &["local"], "there is one driver of volumes, local"),
            ("deploy.mode", &service.deploy.mode, &["replicated", "replicated-job"], "there is one machine"),
        ] {
            if let Some(word) = value.as_deref().filter(|word| !word.is_empty() && !usual.contains(word)) {
                warnings.push(format!("services.{name}.{key} {word:?} has no effect: {why}"));
            }
        }
        if let Some(word) = service.build.as_ref().and_then(|build| build.isolation.as_deref())
            && !matches!(word, "" | "default")
        {
            warnings
                .push(format!("services.{name}.build.isolation {word:?} has no effect: it is for Windows"));
        }
        if let Some(driver) = service.logging.driver.as_deref()
            && !matches!(driver, "" | "json-file" | "local" | "journald" | "none")
        {
            warnings.push(format!(
                "services.{name}.logging.driver {driver:?} has no effect: there are json-file, local, journald and none"
            ));
        }
        let owned =
            |grants: &[super::super::Grant]| grants.iter().any(|it| it.uid.is_some() || it.gid.is_some());
        for (key, grants) in [("secrets", &service.secrets), ("configs", &service.configs)] {
            if owned(grants) {
                warnings.push(format!(
                    "services.{name}.{key}: uid and gid have no effect: the file has the user as its owner"
                ));
            }
        }
    }
    warnings
}
