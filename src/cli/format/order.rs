//! JSON with its keys in Docker's order.
//!
//! Docker writes the fields of a Go type as they are declared, and keys of a map by their names. Our documents are
//! maps throughout, so the types are told here, each by two fields that it always has. What such an object has
//! beyond Docker's fields follows them.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::{Map, Value};

/// A type: the fields it is known by, and all of them in order. One with `?` is left out where it is empty, one with
/// `*` where it is null, and one with `-` always: only templates know it.
struct Type {
    known_by: [&'static str; 2],
    fields: &'static str,
}

const fn of(known_by: [&'static str; 2], fields: &'static str) -> Type {
    Type { known_by, fields }
}

const TYPES: &[Type] = &[
    of(
        ["HostConfig", "NetworkSettings"],
        "Id Created Path Args State Image ResolvConfPath HostnamePath HostsPath LogPath Name RestartCount Driver \
         Platform MountLabel ProcessLabel AppArmorProfile ExecIDs HostConfig GraphDriver SizeRw SizeRootFs Mounts \
         Config NetworkSettings",
    ),
    of(
        ["Status", "Running"],
        "Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error StartedAt FinishedAt Health*",
    ),
    of(["Status", "FailingStreak"], "Status FailingStreak Log"),
    of(["Start", "End"], "Start End ExitCode Output"),
    of(
        ["NetworkMode", "CgroupnsMode"],
        "Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom \
         ConsoleSize Annotations? CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode \
         Cgroup Links OomScoreAdj PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt? Tmpfs? \
         UTSMode UsernsMode ShmSize Sysctls? Runtime Isolation CpuShares Memory NanoCpus CgroupParent BlkioWeight \
         BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod \
         CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests \
         MemoryReservation MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount CpuPercent \
         IOMaximumIOps IOMaximumBandwidth Mounts? MaskedPaths ReadonlyPaths Init?",
    ),
    of(["Type", "Config"], "Type Config"),
    of(["Name", "MaximumRetryCount"], "Name MaximumRetryCount"),
    of(["PathOnHost", "PathInContainer"], "PathOnHost PathInContainer CgroupPermissions"),
    of(["Driver", "DeviceIDs"], "Driver Count DeviceIDs Capabilities Options"),
    of(["Hard", "Soft"], "Name Hard Soft"),
    of(["Destination", "RW"], "Type Name? Source Destination Driver? Mode RW Propagation"),
    of(
        ["Type", "Target"],
        "Type Source? Target ReadOnly? Consistency? BindOptions? VolumeOptions? TmpfsOptions?",
    ),
    of(
        ["Cmd", "Entrypoint"],
        "Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts? Tty OpenStdin StdinOnce Env Cmd \
         Healthcheck? ArgsEscaped? Image Volumes WorkingDir Entrypoint NetworkDisabled? MacAddress? OnBuild Labels \
         StopSignal? StopTimeout* Shell?",
    ),
    of(["Test", "Test"], "Test Interval? Timeout? StartPeriod? StartInterval? Retries?"),
    of(
        ["SandboxID", "Networks"],
        "Bridge SandboxID SandboxKey Ports HairpinMode LinkLocalIPv6Address LinkLocalIPv6PrefixLen \
         SecondaryIPAddresses SecondaryIPv6Addresses EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen \
         IPAddress IPPrefixLen IPv6Gateway MacAddress Networks",
    ),
    of(
        ["IPAMConfig", "EndpointID"],
        "IPAMConfig Links Aliases MacAddress DriverOpts GwPriority NetworkID EndpointID Gateway IPAddress IPPrefixLen \
         IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames",
    ),
    of(
        ["RepoTags", "RootFS"],
        "Id RepoTags RepoDigests Parent Comment Created DockerVersion Author Config Architecture Variant? Os \
         OsVersion? Size VirtualSize? GraphDriver RootFS Metadata",
    ),
    of(["Type", "Layers"], "Type Layers"),
    of(
        ["IPAM", "EnableIPv6"],
        "Name Id Created Scope Driver EnableIPv4 EnableIPv6 IPAM Internal Attachable Ingress ConfigFrom ConfigOnly \
         Containers Options Labels",
    ),
    of(["Options", "Config"], "Driver Options Config"),
    of(["Subnet", "Gateway"], "Subnet IPRange? Gateway AuxiliaryAddresses?"),
    of(["EndpointID", "IPv4Address"], "Name EndpointID MacAddress IPv4Address IPv6Address"),
    of(["Endpoints", "Storage"], "Name Metadata Endpoints TLSMaterial Storage"),
    of(
        ["ID", "ServerVersion"],
        "ID Containers ContainersRunning ContainersPaused ContainersStopped Images Driver DriverStatus SystemStatus? \
         Plugins MemoryLimit SwapLimit KernelMemory? KernelMemoryTCP? CpuCfsPeriod CpuCfsQuota CPUShares CPUSet \
         PidsLimit IPv4Forwarding BridgeNfIptables BridgeNfIp6tables Debug NFd OomKillDisable NGoroutines SystemTime \
         LoggingDriver CgroupDriver CgroupVersion? NEventsListener KernelVersion OperatingSystem OSVersion OSType \
         Architecture IndexServerAddress RegistryConfig NCPU MemTotal GenericResources DockerRootDir HttpProxy \
         HttpsProxy NoProxy Name Labels ExperimentalBuild ServerVersion Runtimes DefaultRuntime Swarm \
         LiveRestoreEnabled Isolation InitBinary ContainerdCommit RuncCommit InitCommit SecurityOptions \
         ProductLicense? CDISpecDirs Warnings ClientInfo",
    ),
    of(["Volume", "Authorization"], "Volume Network Authorization Log"),
    of(["NodeID", "NodeAddr"], "NodeID NodeAddr LocalNodeState ControlAvailable Error RemoteManagers"),
    of(["ID", "Expected"], "ID Expected"),
    of(["InsecureRegistryCIDRs", "IndexConfigs"], "IndexConfigs InsecureRegistryCIDRs Mirrors"),
    of(
        ["Debug", "Context"],
        "Debug Platform? Version? DefaultAPIVersion? GitCommit? GoVersion? Os? Arch? BuildTime? Context Plugins \
         Warnings",
    ),
    of(["Client", "Server"], "Client Server"),
    of(
        ["DefaultAPIVersion", "Context"],
        "Platform? Version ApiVersion DefaultAPIVersion GitCommit GoVersion Os Arch BuildTime Context APIVersion-",
    ),
    of(
        ["Components", "MinAPIVersion"],
        "Platform Components Version ApiVersion MinAPIVersion GitCommit GoVersion Os Arch KernelVersion Experimental? \
         BuildTime? APIVersion-",
    ),
    of(["Name", "Details"], "Name Version Details"),
    of(["Images", "BuildCache"], "Images Containers Volumes BuildCache"),
];

/// Keys whose values are maps with names of someone else's choice.
const MAPS: &[&str] =
    &["Annotations", "Labels", "Options", "Sysctls", "Tmpfs", "StorageOpt", "DriverOpts", "Details"];

/// A document that is written as Docker does.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Ordered<'a>(pub(in crate::cli) &'a Value);

impl Ordered<'_> {
    /// Writes it on one line.
    pub(in crate::cli) fn line(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ordered(item))?;
                }
                list.end()
            }
            Value::Object(object) => {
                let fields = fields(object);
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (key, value) in fields {
                    if MAPS.contains(&key) {
                        map.serialize_entry(key, value)?;
                    } else {
                        map.serialize_entry(key, &Ordered(value))?;
                    }
                }
                map.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// Returns what is written of an object, in order.
fn fields(object: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let all = object.iter().map(|(key, value)| (key.as_str(), value));
    let Some(found) = TYPES.iter().find(|it| it.known_by.iter().all(|key| object.contains_key(*key))) else {
        return all.collect();
    };
    let mut known = Vec::with_capacity(object.len());
    let mut fields = Vec::with_capacity(object.len());
    for field in found.fields.split_ascii_whitespace() {
        let name = field.trim_end_matches(['?', '*', '-']);
        known.push(name);
        let Some(value) = object.get(name) else { continue };
        let left_out = match field.as_bytes().last() {
            Some(b'?') => is_empty(value),
            Some(b'*') => value.is_null(),
            Some(b'-') => true,
            _ => false,
        };
        if !left_out {
            fields.push((name, value));
        }
    }
    fields.extend(all.filter(|(key, _)| !known.contains(key)));
    fields
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn puts_the_fields_of_types_in_their_order() {
        let state =
            json!({"Dead": false, "Health": null, "Running": true, "Status": "running", "CgroupPath": "/x"});
        let line = r#"{"Status":"running","Running":true,"Dead":false,"CgroupPath":"/x"}"#;
        assert_eq!(Ordered(&state).line(), line);
        let config = json!({"Image": "i", "Cmd": null, "Entrypoint": null, "StopSignal": "", "StopTimeout": 0,
            "Labels": {"Status": "", "Running": "", "Health": null}});
        let line = r#"{"Cmd":null,"Image":"i","Entrypoint":null,"Labels":{"Health":null,"Running":"","Status":""},"StopTimeout":0}"#;
        assert_eq!(Ordered(&config).line(), line);
        assert_eq!(Ordered(&json!([{"b": 1, "a": {"x": 1}}])).line(), r#"[{"a":{"x":1},"b":1}]"#);
    }

    #[test]
    fn every_type_has_the_fields_it_is_known_by() {
        for Type { known_by, fields } in TYPES {
            let names: Vec<_> = fields.split_ascii_whitespace().collect();
            assert!(known_by.iter().all(|key| names.contains(key)), "{known_by:?}: {fields}");
        }
    }
}
