//! CDI files: what a container gets with a device of a name, as the device's vendor has written it down
//! (Container Device Interface, `SPEC.md`).
//!
//! Hooks are programs that the runtime runs for the container; see its `hook`. There are none but these: no flag names
//! any, since whoever writes the files of CDI decides what runs.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{Edits, yaml};
use crate::oci::runtime::HookBuilder;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 4 << 20;

/// A file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Spec {
    kind: String,
    devices: Vec<Named>,
    container_edits: ContainerEdits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    name: String,
    container_edits: ContainerEdits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerEdits {
    env: Vec<String>,
    device_nodes: Vec<Node>,
    mounts: Vec<Bind>,
    hooks: Vec<Program>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Program {
    hook_name: String,
    path: String,
    args: Vec<String>,
    env: Vec<String>,
    timeout: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Node {
    path: String,
    host_path: String,
    permissions: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Bind {
    host_path: String,
    container_path: String,
    options: Vec<String>,
}

/// Adds what devices of these full names bring.
pub(super) fn inject(dirs: &[PathBuf], names: &[String], edits: &mut Edits) -> Result<()> {
    let specs = read(dirs)?;
    let mut missing = Vec::new();
    let mut used: Vec<&Spec> = Vec::new();
    for name in names {
        let (kind, device) = name.split_once('=').unwrap_or((name, ""));
        let mut of_kind = specs.iter().filter(|spec| spec.kind == kind);
        let found = of_kind.find_map(|spec| spec.find(device).map(|device| (spec, device)));
        let Some((spec, device)) = found else {
            missing.push(name.as_str());
            continue;
        };
        if !used.iter().any(|known| std::ptr::eq(*known, spec)) {
            used.push(spec);
            spec.container_edits.apply(edits).with_context(|| format!("CDI files of {kind}"))?;
        }
        device.container_edits.apply(edits).with_context(|| format!("CDI device {name}"))?;
    }
    if !missing.is_empty() {
        let looked: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        bail!(
            "CDI device injection failed: unresolvable CDI devices {} (files of CDI were looked for in {})",
            missing.join(", "),
            looked.join(", ")
        );
    }
    Ok(())
}

/// Returns the names of the devices of a kind.
pub(super) fn names(dirs: &[PathBuf], kind: &str) -> Result<Vec<String>> {
    let specs = read(dirs)?;
    let of_kind = specs.into_iter().filter(|spec| spec.kind == kind);
    Ok(of_kind.flat_map(|spec| spec.devices).map(|device| device.name).collect())
}

/// Reads all files, those of the later directories first: they count for more.
fn read(dirs: &[PathBuf]) -> Result<Vec<Spec>> {
    let mut specs = Vec::new();
    for dir in dirs.iter().rev() {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
            {
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if let Some(spec) = Spec::load(&path)? {
                specs.push(spec);
            }
        }
    }
    Ok(specs)
}

impl Spec {
    /// Reads a file; `None` if it is not one of CDI by its name.
    fn load(path: &Path) -> Result<Option<Self>> {
        let is_yaml = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => false,
            Some("yaml" | "yml") => true,
            _ => return Ok(None),
        };
        let reading = || format!("read {}", path.display());
        if fs::metadata(path).with_context(reading)?.len() > LIMIT {
            bail!("{}: the file is too large", reading());
        }
        let text = fs::read_to_string(path).with_context(reading)?;
        let value =
            if is_yaml { yaml::parse(&text) } else { serde_json::from_str(&text).map_err(Into::into) };
        let value = value.with_context(|| format!("parse {}", path.display()))?;
        serde_json::from_value(value).map(Some).with_context(|| format!("parse {}", path.display()))
    }

    fn find(&self, name: &str) -> Option<&Named> {
        self.devices.iter().find(|device| device.name == name)
    }
}

impl ContainerEdits {
    fn apply(&self, edits: &mut Edits) -> Result<()> {
        edits.env.extend(self.env.iter().cloned());
        for node in &self.device_nodes {
            let host = if node.host_path.is_empty() { &node.path } else { &node.host_path };
            let permissions = if node.permissions.is_empty() { "rwm" } else { &node.permissions };
            edits.device(host, &node.path, permissions);
        }
        for bind in &self.mounts {
            edits.mount(&bind.host_path, &bind.container_path, bind.options.iter().any(|word| word == "ro"));
        }
        for program in &self.hooks {
            let hooks = match program.hook_name.as_str() {
                // Both are run at one point, these first.
                "prestart" | "createRuntime" => &mut edits.hooks.create_runtime,
                "createContainer" => &mut edits.hooks.create_container,
                "startContainer" => &mut edits.hooks.start_container,
                "poststart" => &mut edits.hooks.poststart,
                "poststop" => &mut edits.hooks.poststop,
                name => bail!("there is no hook {name:?}"),
            };
            if !Path::new(&program.path).is_absolute() {
                bail!("hook {}: its path {:?} is not absolute", program.hook_name, program.path);
            }
            let made = HookBuilder::default().path(&program.path).args(program.args.clone());
            let made = made.env(program.env.clone());
            let made = match program.timeout {
                Some(seconds) => made.timeout(seconds),
                None => made,
            };
            let made = made.build().context("make a hook")?;
            let first = program.hook_name == "prestart";
            let at = if first { edits.hooks.prestarts } else { hooks.len() };
            hooks.insert(at, made);
            edits.hooks.prestarts += usize::from(first);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_directories_count_for_more() {
        let (low, high) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spec = |env: &str| {
            format!(
                r#"{{"cdiVersion":"0.6.0","kind":"v.com/net","containerEdits":{{"env":["ALL=1"]}},"devices":[
                {{"name":"a","containerEdits":{{"env":["{env}"],"deviceNodes":[{{"path":"/dev/a","hostPath":"/dev/null"}}]}}}},
                {{"name":"b","containerEdits":{{"mounts":[{{"hostPath":"/x","containerPath":"/y","options":["ro"]}}]}}}}]}}"#
            )
        };
        fs::write(low.path().join("v.json"), spec("A=low")).unwrap();
        fs::write(high.path().join("v.json"), spec("A=high")).unwrap();
        fs::write(high.path().join("notes.txt"), "no").unwrap();
        let dirs = [low.path().to_owned(), high.path().to_owned(), PathBuf::from("/nowhere")];
        let mut edits = Edits::default();
        inject(&dirs, &["v.com/net=a".into(), "v.com/net=b".into()], &mut edits).unwrap();
        assert_eq!(edits.env, ["ALL=1", "A=high"]);
        assert_eq!(
            (edits.devices[0].host.as_str(), edits.devices[0].container.as_str()),
            ("/dev/null", "/dev/a")
        );
        assert!(edits.mounts[0].read_only && edits.mounts[0].target == "/y");
        let error = inject(&dirs, &["v.com/net=c".into()], &mut edits).unwrap_err().to_string();
        assert!(
            error.starts_with("CDI device injection failed: unresolvable CDI devices v.com/net=c ("),
            "{error}"
        );
        assert_eq!(names(&dirs[..1], "v.com/net").unwrap(), ["a", "b"]);
        fs::write(low.path().join("bad.json"), "{").unwrap();
        assert!(format!("{:#}", names(&dirs, "x").unwrap_err()).contains("bad.json"));
    }
}
