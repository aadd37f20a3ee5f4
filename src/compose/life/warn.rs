//! What a project asks for and cannot have: one warning a key, with the reason.

use super::Context;

/// Keys without effect, and why.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("cpu_count", "it is for Windows"),
    ("cpu_percent", "it is for Windows"),
    ("cpu_rt_period", "real-time scheduling needs real root"),
    ("cpu_rt_runtime", "real-time scheduling needs real root"),
    ("credential_spec", "it is for Windows"),
    ("device_cgroup_rules", "access to devices is that of the user"),
    ("gpus", "devices are given by the key devices"),
    ("isolation", "it is for Windows"),
    ("models", "no models are run here"),
    ("provider", "no other program is asked to provide services"),
    ("runtime", "there is one runtime, which is built in"),
    ("storage_opt", "layers have no size of their own"),
    ("use_api_socket", "there is no daemon with a socket"),
    ("volume_driver", "there is one driver of volumes, local"),
];

/// Returns one warning for each key that has no effect.
pub fn without_effect(context: &Context) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, why) in WITHOUT_EFFECT {
        let users: Vec<&str> = context
            .project
            .services
            .iter()
            .filter(|(_, service)| service.keys.iter().any(|own| own == key))
            .map(|(name, _)| name.as_str())
            .collect();
        if !users.is_empty() {
            warnings.push(format!("services.{}.{key} has no effect: {why}", users.join(", ")));
        }
    }
    for (name, service) in &context.project.services {
        if let Some(driver) = service.logging.driver.as_deref()
            && !matches!(driver, "" | "json-file" | "local" | "none")
        {
            warnings.push(format!(
                "services.{name}.logging.driver {driver:?} has no effect: there are json-file, local and none"
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
