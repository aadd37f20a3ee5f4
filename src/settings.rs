//! `config.toml` and the environment, read once, handed down as plain values.
//!
//! ```toml
//! root = "/big/disk/containers"            # $CORACLE_ROOT counts more
//! debug = false                            # --debug counts more
//! additional_stores = ["/srv/images"]      # read for images that are not in the own store
//!
//! [registries."docker.io"]
//! mirrors = ["https://mirror.example"]     # asked first, in this order
//!
//! [registries."registry.lan:5000"]
//! insecure = true                          # no check of certificates, or plain http
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What the user has settled before typing a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The directory that is kept across reboots.
    pub root: PathBuf,
    /// The directory that is gone at boot.
    pub runtime: PathBuf,
    /// Whether to say what is being done.
    pub debug: bool,
    /// The roots of stores to borrow images from.
    pub additional: Vec<PathBuf>,
    /// How registries are reached, by their domain.
    pub registries: BTreeMap<String, Registry>,
    /// The directory of Docker's own `config.json`.
    pub docker_config: PathBuf,
    /// What stands for `auths` of that file in the environment (`DOCKER_AUTH_CONFIG`).
    pub docker_auth: Option<String>,
    /// The file of logins that the environment names (`REGISTRY_AUTH_FILE`).
    pub auth_file: Option<PathBuf>,
    /// Podman's files of logins.
    pub podman_auth_files: Vec<PathBuf>,
    /// The directories of certificates, with one inside for each registry.
    pub certificates: Vec<PathBuf>,
    /// Where CDI files are looked for, the later ones counting for more.
    pub cdi: Vec<PathBuf>,
    /// The platform of images, where a command does not say.
    pub platform: Option<String>,
}

/// How one registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// URLs of registries that have copies of its images.
    pub mirrors: Vec<String>,
    /// Whether its certificate is not checked, and plain HTTP will do.
    pub insecure: bool,
}

/// The file as it stands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    root: Option<PathBuf>,
    debug: bool,
    additional_stores: Vec<PathBuf>,
    registries: BTreeMap<String, Registry>,
}

impl Settings {
    /// Reads the settings of this process's user. `docker_config` is what `--config` says.
    pub fn read(docker_config: Option<&Path>) -> Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self::from(&variable, rustix::process::geteuid().as_raw(), docker_config)
    }

    fn from(
        variable: &dyn Fn(&str) -> Option<OsString>,
        uid: u32,
        docker_config: Option<&Path>,
    ) -> Result<Self> {
        let home = variable("HOME").map(PathBuf::from);
        let below_home = |name: &str, below: &str| {
            // The specification has relative paths ignored.
            let given = variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
            given.or_else(|| home.as_ref().map(|home| home.join(below)))
        };
        let file = match below_home("XDG_CONFIG_HOME", ".config") {
            Some(dir) => File::read(&dir.join("coracle/config.toml"))?,
            None => File::default(),
        };
        if let Some(relative) = file.additional_stores.iter().find(|root| !root.is_absolute()) {
            bail!("find the store {:?} of additional_stores: it is not an absolute path", relative.display());
        }
        let root = match variable("CORACLE_ROOT").map(PathBuf::from).or(file.root) {
            Some(root) => {
                std::path::absolute(&root).with_context(|| format!("resolve root {}", root.display()))?
            }
            None => match below_home("XDG_DATA_HOME", ".local/share") {
                Some(dir) => dir.join("coracle"),
                None => bail!("find a place for images and containers: neither HOME nor CORACLE_ROOT is set"),
            },
        };
        let docker_config = docker_config
            .map(Path::to_owned)
            .or_else(|| variable("DOCKER_CONFIG").map(PathBuf::from))
            .or_else(|| home.as_ref().map(|home| home.join(".docker")))
            .unwrap_or_default();
        let config_home = below_home("XDG_CONFIG_HOME", ".config");
        let certificates = [
            config_home.as_ref().map(|dir| dir.join("coracle/certs.d")),
            home.as_ref().map(|home| home.join(".docker/certs.d")),
            Some(PathBuf::from("/etc/docker/certs.d")),
            home.as_ref().map(|home| home.join(".config/containers/certs.d")),
            Some(PathBuf::from("/etc/containers/certs.d")),
        ];
        let cdi = ["/etc/cdi", "/var/run/cdi"].into_iter().map(PathBuf::from);
        let cdi = cdi.chain(config_home.as_ref().map(|dir| dir.join("cdi"))).collect();
        let podman = [
            variable("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("containers/auth.json")),
            config_home.map(|dir| dir.join("containers/auth.json")),
        ];
        let platform = variable("DOCKER_DEFAULT_PLATFORM").and_then(|text| text.into_string().ok());
        let runtime = runtime_dir(variable("XDG_RUNTIME_DIR").map(PathBuf::from), uid);
        Ok(Self {
            root,
            runtime,
            debug: file.debug,
            additional: file.additional_stores,
            registries: file.registries,
            docker_config,
            docker_auth: variable("DOCKER_AUTH_CONFIG").and_then(|text| text.into_string().ok()),
            auth_file: variable("REGISTRY_AUTH_FILE").map(PathBuf::from),
            podman_auth_files: podman.into_iter().flatten().collect(),
            certificates: certificates.into_iter().flatten().collect(),
            cdi,
            platform,
        })
    }
}

impl File {
    fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = 1 + text[..start].matches('\n').count();
            anyhow::anyhow!("parse {}: line {line}: {}", path.display(), error.message())
        })
    }
}

/// Returns where sockets go. Without `$XDG_RUNTIME_DIR`: the place it usually names, if that is ours, else one
/// in `/tmp`, which the store makes private and checks before use.
fn runtime_dir(given: Option<PathBuf>, uid: u32) -> PathBuf {
    if let Some(dir) = given.filter(|dir| dir.is_absolute()) {
        return dir.join("coracle");
    }
    let usual = PathBuf::from(format!("/run/user/{uid}"));
    let ours = fs::symlink_metadata(&usual)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == uid && meta.mode() & 0o022 == 0);
    if ours { usual.join("coracle") } else { PathBuf::from(format!("/tmp/coracle-{uid}")) }
}

/// The parts of Docker's `config.json` that matter here.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DockerConfig {
    /// Who the user is to registries.
    pub auths: BTreeMap<String, Auth>,
    /// The program `docker-credential-<this>` that knows it instead.
    pub creds_store: String,
    /// The same for single registries.
    pub cred_helpers: BTreeMap<String, String>,
    /// The format of `ps`.
    pub ps_format: String,
    /// The format of `images`.
    pub images_format: String,
    /// The format of `network ls`.
    pub networks_format: String,
    /// The format of `stats`.
    pub stats_format: String,
    /// The format of `volume ls`.
    pub volumes_format: String,
    /// The keys that detach.
    pub detach_keys: String,
    /// What is said in the head of each request; `X-Meta-…` reaches registries, as through Docker's daemon.
    #[serde(rename = "HttpHeaders")]
    pub http_headers: BTreeMap<String, String>,
    /// Proxies that containers are told of; `default`, or by host.
    pub proxies: BTreeMap<String, Proxy>,
}

/// Who the user is to one registry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct Auth {
    /// `name:password` in base64.
    pub auth: String,
    /// A token instead of a password.
    pub identitytoken: String,
}

/// The proxies of containers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    /// `HTTP_PROXY`
    pub http_proxy: String,
    /// `HTTPS_PROXY`
    pub https_proxy: String,
    /// `NO_PROXY`
    pub no_proxy: String,
    /// `FTP_PROXY`
    pub ftp_proxy: String,
    /// `ALL_PROXY`
    pub all_proxy: String,
}

impl DockerConfig {
    /// Reads `config.json` of a directory; nothing is settled where there is none.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings> {
        let variable = |name: &str| {
            variables.iter().find(|variable| variable.0 == name).map(|variable| OsString::from(variable.1))
        };
        Settings::from(&variable, 4_000_000_000, None)
    }

    #[test]
    fn finds_its_places() {
        let settings = read(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")]).unwrap();
        assert_eq!(settings.root, Path::new("/h/.local/share/coracle"));
        assert_eq!(settings.runtime, Path::new("/r/coracle"));
        assert_eq!(settings.docker_config, Path::new("/h/.docker"));
        let settings =
            read(&[("HOME", "/h"), ("XDG_DATA_HOME", "relative"), ("CORACLE_ROOT", "/c")]).unwrap();
        assert_eq!(settings.root, Path::new("/c"));
        assert_eq!(settings.runtime, Path::new("/tmp/coracle-4000000000"));
        assert!(read(&[]).unwrap_err().to_string().contains("neither HOME nor CORACLE_ROOT"));
    }

    #[test]
    fn reads_the_file_and_names_bad_lines() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        fs::create_dir(dir.path().join("coracle")).unwrap();
        let write = |text: &str| fs::write(dir.path().join("coracle/config.toml"), text).unwrap();
        write("root = \"/big\"\n[registries.\"docker.io\"]\nmirrors = [\"https://m\"]\n");
        let settings = read(&[("XDG_CONFIG_HOME", home)]).unwrap();
        assert_eq!(settings.root, Path::new("/big"));
        assert!(settings.additional.is_empty());
        assert_eq!(settings.registries["docker.io"].mirrors, ["https://m"]);
        write("root = \"/big\"\nadditional_stores = [\"/srv/a\", \"/srv/b\"]\n");
        let settings = read(&[("XDG_CONFIG_HOME", home)]).unwrap();
        assert_eq!(settings.additional, [Path::new("/srv/a"), Path::new("/srv/b")]);
        write("root = \"/big\"\nadditional_stores = [\"srv\"]\n");
        assert!(read(&[("XDG_CONFIG_HOME", home)]).unwrap_err().to_string().contains("not an absolute path"));
        write("root = \"/big\"\nrot = 1\n");
        let error = read(&[("XDG_CONFIG_HOME", home)]).unwrap_err().to_string();
        assert!(error.contains("config.toml: line 2: unknown field `rot`"), "{error}");
    }

    #[test]
    fn reads_dockers_file() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(DockerConfig::read(dir.path()).unwrap(), DockerConfig::default());
        let text = r#"{"auths":{"r":{"auth":"YTpi"}},"psFormat":"table {{.ID}}","HttpHeaders":{"a":"b"},
            "proxies":{"default":{"httpProxy":"http://p"}}}"#;
        fs::write(dir.path().join("config.json"), text).unwrap();
        let config = DockerConfig::read(dir.path()).unwrap();
        assert_eq!(config.auths["r"].auth, "YTpi");
        assert_eq!(config.ps_format, "table {{.ID}}");
        assert_eq!(config.http_headers["a"], "b");
        assert_eq!(config.proxies["default"].http_proxy, "http://p");
    }
}
