//! `--gpus`: the graphics processors of this machine, found by their device nodes, and the driver's libraries that
//! programs need to speak to them.
//!
//! A CDI file that a vendor's tool has written counts for more: it knows the driver. Without one, the nodes are
//! bound, and of NVIDIA's driver the libraries that the loader's cache knows, in a directory that is put into the
//! loader's search path. AMD's and Intel's drivers are in the kernel; their libraries are the image's.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{DeviceRequest, Edits, cdi, libraries, words};
use crate::container::config::ContainerConfig;

/// Where NVIDIA's libraries are inside; images made for CUDA look there.
const LIBRARIES: &str = "/usr/local/nvidia/lib64";

/// The kinds of CDI files that are of graphics processors, with their vendors.
const KINDS: [(&str, &str); 3] =
    [("nvidia", "nvidia.com/gpu"), ("amd", "amd.com/gpu"), ("intel", "intel.com/gpu")];

/// The libraries of NVIDIA's driver, by what a container wants to do (`NVIDIA_DRIVER_CAPABILITIES`).
const NVIDIA: [(&str, &[&str]); 4] = [
    ("utility", &["libnvidia-ml", "libnvidia-cfg"]),
    (
        "compute",
        &[
            "libcuda",
            "libcudadebugger",
            "libnvidia-opencl",
            "libnvidia-ptxjitcompiler",
            "libnvidia-gpucomp",
            "libnvidia-allocator",
            "libnvidia-nvvm",
            "libnvidia-compiler",
        ],
    ),
    ("video", &["libnvcuvid", "libnvidia-encode", "libnvidia-opticalflow", "libvdpau_nvidia"]),
    (
        "graphics",
        &[
            "libEGL_nvidia",
            "libGLX_nvidia",
            "libGLESv1_CM_nvidia",
            "libGLESv2_nvidia",
            "libnvidia-eglcore",
            "libnvidia-glcore",
            "libnvidia-glsi",
            "libnvidia-glvkspirv",
            "libnvidia-rtcore",
            "libnvidia-tls",
            "libnvoptix",
        ],
    ),
];

/// Answers a request with the processors below `root`.
pub(super) fn select(
    request: &DeviceRequest,
    config: &ContainerConfig,
    root: &Path,
    edits: &mut Edits,
) -> Result<()> {
    for (vendor, kind) in KINDS
        .iter()
        .filter(|(vendor, _)| matches!(&request.driver, driver if driver.is_empty() || driver == vendor))
    {
        let names = cdi::names(&config.cdi_dirs, kind)?;
        if !names.is_empty() {
            let chosen = choose(request, &single(&names), vendor)?;
            let full: Vec<String> = chosen.iter().map(|name| format!("{kind}={name}")).collect();
            return cdi::inject(&config.cdi_dirs, &full, edits);
        }
    }
    let any = |vendor: &str| request.driver.is_empty() || request.driver == vendor;
    if any("nvidia") && is_device(&root.join("dev/nvidiactl")) {
        return nvidia(request, config, root, edits);
    }
    let kernel = is_device(&root.join("dev/kfd"));
    if any("amd") && kernel || any("intel") && !kernel {
        let nodes = numbered(root, "dev/dri", "renderD");
        if !nodes.is_empty() {
            let ids: Vec<String> = (0..nodes.len()).map(|index| index.to_string()).collect();
            for id in choose(request, &ids, if kernel { "amd" } else { "intel" })? {
                let index: usize = id.parse().unwrap_or(0);
                let name = nodes[index].1.clone();
                edits.device(&nodes[index].0, &format!("/dev/dri/{name}"), "rwm");
            }
            if kernel {
                edits.device(root.join("dev/kfd"), "/dev/kfd", "rwm");
            }
            return Ok(());
        }
    }
    bail!(
        "could not select device driver {:?} with capabilities: {} (there is no /dev/nvidiactl, /dev/kfd or \
         /dev/dri, and no file of CDI names a GPU)",
        request.driver,
        words(request)
    )
}

/// Leaves out the names that stand for several devices.
fn single(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| *name != "all").cloned().collect()
}

/// Chooses among processors: those that are named, or so many of the first.
fn choose(request: &DeviceRequest, ids: &[String], vendor: &str) -> Result<Vec<String>> {
    if request.device_ids.iter().any(|id| id == "all") {
        return Ok(ids.to_vec());
    }
    if !request.device_ids.is_empty() {
        for wanted in &request.device_ids {
            if !ids.contains(wanted) {
                bail!("unknown device {wanted:?}: of {vendor} there are {}", ids.join(", "));
            }
        }
        return Ok(request.device_ids.clone());
    }
    match usize::try_from(request.count) {
        // -1 is all.
        Err(_) => Ok(ids.to_vec()),
        Ok(count) if count <= ids.len() => Ok(ids[..count].to_vec()),
        Ok(count) => bail!("{count} GPUs are asked for, and of {vendor} there are {}", ids.len()),
    }
}

fn nvidia(request: &DeviceRequest, config: &ContainerConfig, root: &Path, edits: &mut Edits) -> Result<()> {
    let nodes = numbered(root, "dev", "nvidia");
    // One may be named by its UUID, too.
    let mut named = request.clone();
    for id in &mut named.device_ids {
        if let Some(minor) = minor_of(root, id) {
            *id = minor;
        }
    }
    let ids: Vec<String> = nodes.iter().map(|(_, name)| name["nvidia".len()..].to_owned()).collect();
    for id in choose(&named, &ids, "nvidia")? {
        let name = format!("nvidia{id}");
        edits.device(root.join("dev").join(&name), &format!("/dev/{name}"), "rwm");
    }
    for name in ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"] {
        let node = root.join("dev").join(name);
        if is_device(&node) {
            edits.device(node, &format!("/dev/{name}"), "rwm");
        }
    }
    let abilities = abilities(request, &config.process.env);
    let wants = |ability: &str| abilities.iter().any(|word| word == ability || word == "all");
    let is_wanted = |name: &str| {
        let plain = name.split(".so").next().unwrap_or(name);
        NVIDIA.iter().any(|(ability, names)| wants(ability) && names.contains(&plain))
    };
    let cache = fs::read(root.join("etc/ld.so.cache")).unwrap_or_default();
    let found = libraries::find(&cache, is_wanted);
    for (name, path) in &found {
        let host = root.join(path.strip_prefix("/").unwrap_or(path));
        let host = fs::canonicalize(&host).unwrap_or(host);
        edits.mount(host, &format!("{LIBRARIES}/{name}"), true);
    }
    if !found.is_empty() {
        let known = config.process.env.iter().find_map(|text| text.strip_prefix("LD_LIBRARY_PATH="));
        let path = match known.filter(|path| !path.is_empty()) {
            Some(path) if path.split(':').any(|part| part == LIBRARIES) => path.to_owned(),
            Some(path) => format!("{LIBRARIES}:{path}"),
            None => LIBRARIES.to_owned(),
        };
        edits.env.push(format!("LD_LIBRARY_PATH={path}"));
    }
    for program in ["nvidia-smi", "nvidia-debugdump"] {
        let host = root.join("usr/bin").join(program);
        if wants("utility") && host.is_file() {
            edits.mount(host, &format!("/usr/bin/{program}"), true);
        }
    }
    Ok(())
}

/// Says what of the driver a container wants: as it is asked for, as the image says, or what programs that compute
/// need.
fn abilities(request: &DeviceRequest, env: &[String]) -> Vec<String> {
    let mut all: Vec<String> = request
        .capabilities
        .iter()
        .flatten()
        .filter(|word| *word != "gpu" && *word != "nvidia")
        .cloned()
        .collect();
    if let Some(text) = env.iter().find_map(|text| text.strip_prefix("NVIDIA_DRIVER_CAPABILITIES=")) {
        all.extend(text.split(',').map(str::to_owned));
    }
    if all.is_empty() {
        all.extend(["utility".to_owned(), "compute".to_owned()]);
    }
    all
}

/// Finds the number of the node of a processor with a UUID.
fn minor_of(root: &Path, uuid: &str) -> Option<String> {
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()))
    };
    for entry in fs::read_dir(root.join("proc/driver/nvidia/gpus")).ok()?.flatten() {
        let text = fs::read_to_string(entry.path().join("information")).unwrap_or_default();
        if field(&text, "GPU UUID:").is_some_and(|found| found == uuid) {
            return field(&text, "Device Minor:");
        }
    }
    None
}

/// Finds the device nodes in a directory that are called so, with a number behind, in the order of their numbers.
fn numbered(root: &Path, dir: &str, start: &str) -> Vec<(PathBuf, String)> {
    let mut found: Vec<(u32, PathBuf, String)> = Vec::new();
    for entry in fs::read_dir(root.join(dir)).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let number = name.strip_prefix(start).and_then(|number| number.parse().ok());
        if let Some(number) = number.filter(|_| is_device(&entry.path())) {
            found.push((number, entry.path(), name));
        }
    }
    found.sort();
    found.into_iter().map(|(_, path, name)| (path, name)).collect()
}

fn is_device(path: &Path) -> bool {
    // A link to one counts: tests have no nodes of their own.
    fs::metadata(path).is_ok_and(|meta| meta.file_type().is_char_device())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::container::device::libraries::tests::cache;

    fn machine(nodes: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for node in nodes {
            let path = root.path().join(node);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink("/dev/null", path).unwrap();
        }
        root
    }

    fn request(count: i64, ids: &[&str]) -> DeviceRequest {
        DeviceRequest {
            count,
            device_ids: ids.iter().map(ToString::to_string).collect(),
            capabilities: vec![vec!["gpu".into()]],
            ..DeviceRequest::default()
        }
    }

    fn given(root: &Path, request: &DeviceRequest) -> Result<(Vec<String>, Edits)> {
        let config = crate::container::spec::tests::config();
        let mut edits = Edits::default();
        select(request, &config, root, &mut edits)?;
        Ok((edits.devices.iter().map(|device| device.container.clone()).collect(), edits))
    }

    #[test]
    fn finds_nvidia_with_its_libraries() {
        let root =
            machine(&["dev/nvidiactl", "dev/nvidia10", "dev/nvidia2", "dev/nvidia-uvm", "dev/nvidia-caps"]);
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("etc")).unwrap();
        fs::create_dir_all(at("usr/lib")).unwrap();
        fs::create_dir_all(at("proc/driver/nvidia/gpus/0000:01:00.0")).unwrap();
        fs::write(
            at("proc/driver/nvidia/gpus/0000:01:00.0/information"),
            "Model: \t x\nGPU UUID: \t GPU-1-2\nDevice Minor: \t 10\n",
        )
        .unwrap();
        fs::write(at("usr/lib/libcuda.so.5"), "").unwrap();
        symlink("libcuda.so.5", at("usr/lib/libcuda.so.1")).unwrap();
        let libraries = [
            ("libcuda.so.1", "/usr/lib/libcuda.so.1"),
            ("libnvidia-encode.so.1", "/usr/lib/libnvidia-encode.so.1"),
            ("libc.so.6", "/usr/lib/libc.so.6"),
        ];
        fs::write(at("etc/ld.so.cache"), cache(&libraries)).unwrap();
        let (nodes, edits) = given(root.path(), &request(-1, &[])).unwrap();
        assert_eq!(nodes, ["/dev/nvidia2", "/dev/nvidia10", "/dev/nvidiactl", "/dev/nvidia-uvm"]);
        assert_eq!(edits.env, ["LD_LIBRARY_PATH=/usr/local/nvidia/lib64"]);
        let mounts: Vec<_> = edits.mounts.iter().map(|mount| mount.target.as_str()).collect();
        assert_eq!(mounts, ["/usr/local/nvidia/lib64/libcuda.so.1"]);
        let (nodes, _) = given(root.path(), &request(1, &[])).unwrap();
        assert_eq!(nodes[0], "/dev/nvidia2");
        let (nodes, _) = given(root.path(), &request(0, &["GPU-1-2"])).unwrap();
        assert_eq!(nodes[0], "/dev/nvidia10");
        let error = given(root.path(), &request(3, &[])).unwrap_err().to_string();
        assert_eq!(error, "3 GPUs are asked for, and of nvidia there are 2");
        assert!(given(root.path(), &request(0, &["7"])).unwrap_err().to_string().contains("there are 2, 10"));
        let video =
            DeviceRequest { capabilities: vec![vec!["video".into(), "gpu".into()]], ..request(-1, &[]) };
        let (_, edits) = given(root.path(), &video).unwrap();
        assert_eq!(edits.mounts[0].target, "/usr/local/nvidia/lib64/libnvidia-encode.so.1");
    }

    #[test]
    fn finds_others_or_says_that_there_is_none() {
        let root = machine(&["dev/kfd", "dev/dri/renderD129", "dev/dri/renderD128", "dev/dri/card0"]);
        let (nodes, _) = given(root.path(), &request(-1, &[])).unwrap();
        assert_eq!(nodes, ["/dev/dri/renderD128", "/dev/dri/renderD129", "/dev/kfd"]);
        let root = machine(&["dev/dri/renderD128"]);
        let (nodes, _) = given(root.path(), &request(1, &[])).unwrap();
        assert_eq!(nodes, ["/dev/dri/renderD128"]);
        let root = machine(&["dev/null"]);
        let error = given(root.path(), &request(-1, &[])).unwrap_err().to_string();
        assert!(
            error.starts_with("could not select device driver \"\" with capabilities: [[gpu]] ("),
            "{error}"
        );
        let nvidia = DeviceRequest { driver: "nvidia".into(), ..request(-1, &[]) };
        assert!(given(root.path(), &nvidia).is_err());
    }
}
