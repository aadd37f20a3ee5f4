//! Who the user is to registries: Docker's `config.json`, podman's `auth.json`, and the programs that they name.
//!
//! The first place that knows the registry counts: a file that the user names in the environment, then
//! `config.json`, where `login` writes, then podman's files.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::registry::Credentials;

/// What Docker calls its own registry in `config.json`.
pub(super) const HUB: &str = "https://index.docker.io/v1/";

/// Where logins are kept.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    /// The directory of Docker's `config.json`.
    pub docker: PathBuf,
    /// What stands in the environment instead of a file (`DOCKER_AUTH_CONFIG`).
    pub given: Option<String>,
    /// The file named in the environment (`REGISTRY_AUTH_FILE`).
    pub named: Option<PathBuf>,
    /// Podman's files.
    pub podman: Vec<PathBuf>,
}

/// One login as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name, if the place keeps one beside a token.
    pub username: String,
    /// What is shown to the registry.
    pub credentials: Credentials,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthFile {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// What a credential helper prints, and is given to store.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HelperLogin {
    #[serde(default, rename = "ServerURL")]
    server: String,
    username: String,
    secret: String,
}

impl Logins {
    /// Returns who the user is to the registry of `domain`, and to its repository `path` if one is named; `None`
    /// for nobody. May run a program, so it is called before the process enters a namespace or starts a thread.
    pub fn find(&self, domain: &str, path: Option<&str>) -> Result<Option<Login>> {
        if let Some(text) = &self.given {
            let file: AuthFile = serde_json::from_str(text).context("parse $DOCKER_AUTH_CONFIG")?;
            if let Some(found) = file.find(domain, path)? {
                return Ok(Some(found));
            }
        }
        let docker = self.docker.join("config.json");
        for place in self.named.iter().chain([&docker]).chain(&self.podman) {
            if let Some(found) = AuthFile::load(place)?.find(domain, path)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl AuthFile {
    fn load(path: &Path) -> Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display()))
    }

    fn find(&self, domain: &str, path: Option<&str>) -> Result<Option<Login>> {
        let key = key_of(domain);
        let helper = self.cred_helpers.get(key).or_else(|| self.cred_helpers.get(domain));
        if let Some(helper) = helper.or(Some(&self.creds_store)).filter(|name| !name.is_empty())
            && let Some(found) = get(helper, key)?
        {
            return Ok(Some(found));
        }
        // Podman's keys may name a repository, or what several have in common: the longest that fits counts.
        let mut below = path.map(|path| format!("{domain}/{path}"));
        while let Some(name) = below.take() {
            if let Some(entry) = self.auths.get(&name) {
                return entry.read(domain);
            }
            below = name.rsplit_once('/').map(|(rest, _)| rest.to_owned()).filter(|rest| rest.contains('/'));
        }
        let exact = self.auths.get(key).or_else(|| self.auths.get(domain));
        let alike = || self.auths.iter().find(|(known, _)| is_same(known, domain)).map(|(_, entry)| entry);
        exact.or_else(alike).map_or(Ok(None), |entry| entry.read(domain))
    }
}

/// Returns the name that Docker keeps the login for `domain` under.
pub fn key_of(domain: &str) -> &str {
    if domain == "docker.io" { HUB } else { domain }
}

/// Returns the host of a registry's address, as people type it or old versions wrote it: `https://host/v1/`.
pub fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Tells whether a key that names no repository means the registry of `domain`.
fn is_same(key: &str, domain: &str) -> bool {
    let plain = key.contains("://") || !key.contains('/') || key.ends_with("/v1/") || key.ends_with("/v2/");
    let host = host_of(key);
    plain && (host == domain || domain == "docker.io" && is_hub(host))
}

/// Tells whether a host is one of Docker Hub's.
pub fn is_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com")
}

impl Entry {
    fn read(&self, domain: &str) -> Result<Option<Login>> {
        let (mut username, mut password) = (self.username.clone(), self.password.clone());
        if !self.auth.is_empty() {
            let decoded = STANDARD.decode(self.auth.trim()).ok();
            let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
            let (name, secret) =
                text.as_deref().and_then(|text| text.split_once(':')).with_context(|| {
                    format!("read the login for {domain}: it is no name and password in base64")
                })?;
            (username, password) = (name.to_owned(), secret.trim_end_matches('\0').to_owned());
        }
        let credentials = if !self.identitytoken.is_empty() {
            Credentials::IdentityToken(self.identitytoken.clone())
        } else if username.is_empty() && password.is_empty() {
            return Ok(None);
        } else {
            Credentials::Password { username: username.clone(), password }
        };
        Ok(Some(Login { username, credentials }))
    }
}

/// Asks a credential helper for the login at an address. A helper that is not installed knows none.
fn get(helper: &str, address: &str) -> Result<Option<Login>> {
    let output = match run(helper, "get", address.as_bytes()) {
        Err(error) if is_absent(&error) => return Ok(None),
        output => output?,
    };
    let Some(output) = output else { return Ok(None) };
    let answer: HelperLogin = serde_json::from_slice(&output)
        .with_context(|| format!("read what docker-credential-{helper} prints"))?;
    Ok(Some(match answer.username.as_str() {
        "" if answer.secret.is_empty() => return Ok(None),
        "<token>" => {
            Login { username: String::new(), credentials: Credentials::IdentityToken(answer.secret) }
        }
        _ => Login {
            username: answer.username.clone(),
            credentials: Credentials::Password { username: answer.username, password: answer.secret },
        },
    }))
}

/// Has a credential helper keep a login.
pub(super) fn store(helper: &str, address: &str, login: &Login) -> Result<()> {
    let (username, secret) = match &login.credentials {
        Credentials::Password { username, password } => (username.clone(), password.clone()),
        Credentials::IdentityToken(token) => ("<token>".to_owned(), token.clone()),
    };
    let request = HelperLogin { server: address.to_owned(), username, secret };
    run(helper, "store", &serde_json::to_vec(&request).context("serialise the login")?).map(drop)
}

/// Has a credential helper forget a login; `false` if it knew none.
pub(super) fn erase(helper: &str, address: &str) -> Result<bool> {
    run(helper, "erase", address.as_bytes()).map(|output| output.is_some())
}

fn is_absent(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Runs a credential helper (docker-credential-helpers, "protocol"): the address or JSON in, JSON out. `None` if it
/// says that it knows of no such login.
fn run(helper: &str, verb: &str, input: &[u8]) -> Result<Option<Vec<u8>>> {
    if helper.contains('/') {
        bail!("credential helper {helper:?} is no name of a program");
    }
    let program = format!("docker-credential-{helper}");
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| anyhow!(error).context(format!("run {program}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read it says so itself.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        if text.contains("credentials not found") {
            return Ok(None);
        }
        bail!("error {verb} credentials - err: {}, out: `{}`", output.status, text.trim());
    }
    Ok(Some(output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn password(username: &str, password: &str) -> Credentials {
        Credentials::Password { username: username.into(), password: password.into() }
    }

    #[test]
    fn reads_what_docker_login_writes() {
        let dir = tempfile::tempdir().unwrap();
        let logins = Logins { docker: dir.path().to_owned(), ..Logins::default() };
        assert_eq!(logins.find("docker.io", None).unwrap(), None);
        let config = json!({"auths": {
            HUB: {"auth": STANDARD.encode("me:pass:word")},
            "https://old.example/v2/": {"auth": STANDARD.encode("me:"), "identitytoken": "token"},
            "localhost:5000": {},
            "bad.example": {"auth": "?"},
        }});
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let get =
            |domain: &str| Ok::<_, anyhow::Error>(logins.find(domain, None)?.map(|login| login.credentials));
        assert_eq!(get("docker.io").unwrap(), Some(password("me", "pass:word")));
        assert_eq!(get("old.example").unwrap(), Some(Credentials::IdentityToken("token".into())));
        assert_eq!(get("localhost:5000").unwrap(), None);
        assert_eq!(get("other.example").unwrap(), None);
        assert!(get("bad.example").is_err());
    }

    #[test]
    fn reads_podmans_files_after_dockers() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, auths: serde_json::Value| {
            std::fs::write(dir.path().join(name), json!({ "auths": auths }).to_string()).unwrap();
        };
        let auth = |name: &str| json!({"auth": STANDARD.encode(format!("{name}:x"))});
        write("config.json", json!({"both.example": auth("docker")}));
        write(
            "auth.json",
            json!({
                "both.example": auth("podman"), "quay.io/team": auth("team"), "quay.io/team/app": auth("app"),
                "quay.io": auth("quay"), "docker.io": auth("hub"),
            }),
        );
        write("named.json", json!({"named.example": auth("named")}));
        let logins = Logins {
            docker: dir.path().to_owned(),
            given: Some(json!({"auths": {"given.example": auth("given")}}).to_string()),
            named: Some(dir.path().join("named.json")),
            podman: vec![dir.path().join("none.json"), dir.path().join("auth.json")],
        };
        for (domain, path, username) in [
            ("given.example", None, "given"),
            ("named.example", None, "named"),
            ("both.example", Some("a"), "docker"),
            ("quay.io", None, "quay"),
            ("quay.io", Some("other/app"), "quay"),
            ("quay.io", Some("team/x/y"), "team"),
            ("quay.io", Some("team/app"), "app"),
            ("docker.io", Some("library/nginx"), "hub"),
        ] {
            let login = logins.find(domain, path).unwrap().unwrap();
            assert_eq!(login.username, username, "{domain} {path:?}");
        }
        assert_eq!(logins.find("team", None).unwrap(), None);
    }

    #[test]
    fn asks_no_path_and_waits_for_nobody() {
        assert!(get("../../bin/sh", "x").is_err());
        assert_eq!(get("surely-not-installed", "x").unwrap(), None);
        let login = Login { username: "a".into(), credentials: password("a", "b") };
        assert!(store("surely-not-installed", "x", &login).is_err());
    }
}
