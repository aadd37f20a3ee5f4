//! `info`

use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use serde_json::{Value, json};

use super::format::order::Ordered;
use super::format::parse;
use super::format::template::Shapes;
use super::format::units::bytes_size;
use super::grammar::{Arity, Rules};
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use super::version::{API, COMMIT, version};
use crate::container::{self, Status};
use crate::oci::Platform;

/// `info`
pub(super) const SPEC: Spec = Spec {
    paths: &["system info", "info"],
    about: "Display system-wide information",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: InfoArgs::augment_args,
    run: |matches, session| run(&InfoArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct InfoArgs {
    /// Format of the output: json, or a Go template
    #[arg(long, short, value_name = "string")]
    format: Option<String>,
}

fn run(args: &InfoArgs, session: &Session) -> Result<u8> {
    let facts = facts(session)?;
    let text = match args.format.as_deref() {
        None | Some("") => text(&facts),
        Some("json") => format!("{}\n", Ordered(&facts).line()),
        Some(template) => {
            let shapes = Shapes {
                maps: &["Runtimes", "Labels"],
                lists: &["SecurityOptions", "Warnings", "DriverStatus"],
                free: &[],
                type_name: Some("system.dockerInfo"),
            };
            let template = parse(template).map_err(|error| coded(64, format!("{error:#}")))?;
            let text = template.render(&facts, &shapes).or_else(|error| {
                // As Docker: the line ends whatever comes of it.
                Session::print("\n")?;
                Err(anyhow!("{error}"))
            })?;
            format!("{text}\n")
        }
    };
    Session::print(&text)?;
    if args.format.as_deref().unwrap_or_default().is_empty() {
        for warning in facts["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            Session::note(warning);
        }
    }
    Ok(0)
}

fn facts(session: &Session) -> Result<Value> {
    let store = session.store()?;
    let settings = session.settings()?;
    let containers = container::list(store).map_err(response)?;
    let count = |fits: &dyn Fn(&Status) -> bool| containers.iter().filter(|c| fits(&c.status)).count();
    let identity = Session::identity().map_err(response)?;
    let uname = rustix::system::uname();
    let limits = container::limit_facts();
    let has = limits.controllers;
    let variable = |name: &str| {
        let lower = std::env::var(name.to_lowercase()).ok();
        lower.or_else(|| std::env::var(name).ok()).unwrap_or_default()
    };
    let mut driver = vec![
        ["Backing Filesystem".to_owned(), "overlayfs".to_owned()],
        ["Mounted In".to_owned(), "user namespace".to_owned()],
    ];
    driver.extend(store.lenders().map(|(root, lender)| {
        let unused = lender.err().map(|error| format!(" (not used: {error:#})")).unwrap_or_default();
        ["Additional Store".to_owned(), format!("{}{unused}", root.display())]
    }));
    let mut facts = json!({
        "ID": machine_id(),
        "Containers": containers.len(),
        "ContainersRunning": count(&|status| status.is_active() && !status.is_paused()),
        "ContainersPaused": count(&Status::is_paused),
        "ContainersStopped": count(&|status| !status.is_active()),
        "Images": store.images().map_err(response)?.len(),
        "Driver": "overlay2",
        "DriverStatus": driver,
        "Plugins": { "Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": null, "Log": ["json-file", "local", "none"] },
        "MemoryLimit": has.memory,
        "SwapLimit": has.memory && limits.swap,
        "CpuCfsPeriod": has.cpu,
        "CpuCfsQuota": has.cpu,
        "CPUShares": has.cpu,
        "CPUSet": has.cpuset,
        "PidsLimit": has.pids,
        "IPv4Forwarding": true,
        "Debug": session.debug || settings.debug,
        "NFd": 0,
        "OomKillDisable": false,
        "NGoroutines": 0,
        "SystemTime": jiff::Timestamp::now().to_string(),
        "LoggingDriver": "json-file",
        "CgroupDriver": limits.driver,
        "CgroupVersion": limits.version.to_string(),
        "NEventsListener": 0,
        "Labels": [],
    });
    let warnings = limits.warnings();
    let host = json!({
        "KernelVersion": uname.release().to_string_lossy(),
        "OperatingSystem": operating_system("PRETTY_NAME"),
        "OSVersion": operating_system("VERSION_ID"),
        "OSType": "linux",
        "Architecture": uname.machine().to_string_lossy(),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": registries(settings),
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
        "MemTotal": memory(),
        "GenericResources": null,
        "DockerRootDir": store.root(),
        "HttpProxy": variable("HTTP_PROXY"),
        "HttpsProxy": variable("HTTPS_PROXY"),
        "NoProxy": variable("NO_PROXY"),
        "Name": uname.nodename().to_string_lossy(),
        "ExperimentalBuild": false,
        "ServerVersion": version(),
        "Runtimes": { "coracle": { "path": "coracle" } },
        "DefaultRuntime": "coracle",
        "Swarm": { "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "", "RemoteManagers": null },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": "coracle",
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"],
        "ProductLicense": "Apache-2.0",
        "PrivilegeLevel": identity.level.name(),
        "PrivilegeReasons": identity.reasons,
        "Warnings": if warnings.is_empty() { Value::Null } else { json!(warnings) },
    });
    let programs = json!({
        "ContainerdCommit": { "ID": "", "Expected": "" },
        "RuncCommit": { "ID": "", "Expected": "" },
        "InitCommit": { "ID": "", "Expected": "" },
        "CDISpecDirs": settings.cdi,
        "ClientInfo": {
            "Debug": session.debug,
            "Version": version(),
            "DefaultAPIVersion": API,
            "GitCommit": COMMIT,
            "Os": "linux",
            "Arch": Platform::host().architecture,
            "Context": "default",
            "Plugins": [],
            "Warnings": null,
        },
    });
    for more in [host, programs] {
        if let (Some(facts), Value::Object(more)) = (facts.as_object_mut(), more) {
            facts.extend(more);
        }
    }
    Ok(facts)
}

fn machine_id() -> String {
    fs::read_to_string("/etc/machine-id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Reads a field of `/etc/os-release`.
fn operating_system(key: &str) -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.map_or_else(String::new, |value| value.trim_matches('"').to_owned())
}

/// Returns the memory of the machine, in bytes.
pub(super) fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn registries(settings: &crate::settings::Settings) -> Value {
    let mut insecure = vec!["::1/128".to_owned(), "127.0.0.0/8".to_owned()];
    insecure.extend(settings.registries.iter().filter(|(_, it)| it.insecure).map(|(name, _)| name.clone()));
    let mirrors = settings.registries.get("docker.io").map(|it| it.mirrors.clone()).unwrap_or_default();
    json!({
        "InsecureRegistryCIDRs": insecure,
        "IndexConfigs": { "docker.io": { "Name": "docker.io", "Mirrors": mirrors, "Secure": true, "Official": true } },
        "Mirrors": mirrors,
    })
}

fn text(facts: &Value) -> String {
    let mut out = format!("Client: coracle\n Version:    {}\n Context:    default\n\nServer:\n", version());
    let word = |key: &str| match &facts[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let list = |key: &str| {
        let items = facts[key].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    for (name, value) in [
        ("Containers", word("Containers")),
        (" Running", word("ContainersRunning")),
        (" Paused", word("ContainersPaused")),
        (" Stopped", word("ContainersStopped")),
        ("Images", word("Images")),
        ("Server Version", word("ServerVersion")),
        ("Privilege Level", word("PrivilegeLevel")),
    ] {
        let _ = writeln!(out, " {name}: {value}");
    }
    for reason in list("PrivilegeReasons") {
        let _ = writeln!(out, "  Not higher: {reason}");
    }
    let _ = writeln!(out, " Storage Driver: {}", word("Driver"));
    for entry in facts["DriverStatus"].as_array().into_iter().flatten() {
        let part = |index: usize| entry[index].as_str().unwrap_or_default();
        let _ = writeln!(out, "  {}: {}", part(0), part(1));
    }
    for (name, value) in [
        ("Logging Driver", word("LoggingDriver")),
        ("Cgroup Driver", word("CgroupDriver")),
        ("Cgroup Version", word("CgroupVersion")),
    ] {
        let _ = writeln!(out, " {name}: {value}");
    }
    let plugins = |kind: &str| {
        let names = facts["Plugins"][kind].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    };
    let _ = writeln!(
        out,
        " Plugins:\n  Volume: {}\n  Network: {}\n  Log: {}",
        plugins("Volume"),
        plugins("Network"),
        plugins("Log")
    );
    for (name, value) in [("Default Runtime", word("DefaultRuntime")), ("Init Binary", word("InitBinary"))] {
        let _ = writeln!(out, " {name}: {value}");
    }
    out.push_str(" Security Options:\n");
    for option in list("SecurityOptions") {
        let mut parts = option.split(',');
        let name = parts.next().unwrap_or_default();
        let _ = writeln!(out, "  {}", name.strip_prefix("name=").unwrap_or(name));
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let _ = writeln!(out, "   {}: {value}", if key == "profile" { "Profile" } else { key });
        }
    }
    for (name, value) in [
        ("Kernel Version", word("KernelVersion")),
        ("Operating System", word("OperatingSystem")),
        ("OSType", word("OSType")),
        ("Architecture", word("Architecture")),
        ("CPUs", word("NCPU")),
        ("Total Memory", bytes_size(facts["MemTotal"].as_u64().unwrap_or(0))),
        ("Name", word("Name")),
        ("ID", word("ID")),
        ("Docker Root Dir", word("DockerRootDir")),
        ("Debug Mode", word("Debug")),
        ("Live Restore Enabled", word("LiveRestoreEnabled")),
    ] {
        let _ = writeln!(out, " {name}: {value}");
    }
    out.push('\n');
    out
}
