//! Who the user is to registries: Docker's `config.json` and the programs that it names.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::registry::Credentials;

/// What Docker calls its own registry in `config.json`.
const HUB: &str = "https://index.docker.io/v1/";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DockerConfig {
    auths: BTreeMap<String, Login>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Login {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// What a credential helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Returns who the user is to the registry of `domain`, by `config.json` in the directory `docker`; `None`
/// for nobody. May run a program, so it is called before the process enters a namespace or starts a thread.
pub fn credentials(docker: &Path, domain: &str) -> Result<Option<Credentials>> {
    let path = docker.join("config.json");
    let config: DockerConfig = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let key = if domain == "docker.io" { HUB } else { domain };
    let helper = config.cred_helpers.get(key).or_else(|| config.cred_helpers.get(domain));
    if let Some(helper) = helper.or(Some(&config.creds_store)).filter(|name| !name.is_empty())
        && let Some(found) = ask(helper, key)?
    {
        return Ok(Some(found));
    }
    let login = config
        .auths
        .get(key)
        .or_else(|| config.auths.iter().find(|(known, _)| host(known) == host(key)).map(|(_, login)| login));
    login.map_or(Ok(None), |login| login.read().with_context(|| format!("read the login for {domain}")))
}

/// Returns the host of a registry's address, as old versions wrote it: `https://host/v1/`.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

impl Login {
    fn read(&self) -> Result<Option<Credentials>> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::IdentityToken(self.identitytoken.clone())));
        }
        if !self.auth.is_empty() {
            let bytes = STANDARD.decode(self.auth.trim()).context("decode it")?;
            let text = String::from_utf8(bytes).context("decode it")?;
            let (username, password) = text.split_once(':').context("decode it: it has no password")?;
            return Ok(Some(Credentials::Password {
                username: username.to_owned(),
                password: password.trim_end_matches('\0').to_owned(),
            }));
        }
        if !self.username.is_empty() {
            return Ok(Some(Credentials::Password {
                username: self.username.clone(),
                password: self.password.clone(),
            }));
        }
        Ok(None)
    }
}

/// Asks a credential helper (docker-credential-helpers, "protocol"): the address in, JSON out.
fn ask(helper: &str, address: &str) -> Result<Option<Credentials>> {
    if helper.contains('/') {
        bail!("credential helper {helper:?} is no name of a program");
    }
    let program = format!("docker-credential-{helper}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| format!("run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read it says so itself.
        let _ = stdin.write_all(address.as_bytes());
    }
    let output = child.wait_with_output().with_context(|| format!("run {program}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        if text.contains("credentials not found") {
            return Ok(None);
        }
        bail!("run {program}: {}", text.trim());
    }
    let answer: Answer =
        serde_json::from_slice(&output.stdout).with_context(|| format!("read what {program} prints"))?;
    Ok(Some(match answer.username.as_str() {
        "" if answer.secret.is_empty() => return Ok(None),
        "<token>" => Credentials::IdentityToken(answer.secret),
        _ => Credentials::Password { username: answer.username, password: answer.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_login_writes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(credentials(dir.path(), "docker.io").unwrap(), None);
        let config = serde_json::json!({"auths": {
            HUB: {"auth": STANDARD.encode("me:pass:word")},
            "https://old.example/v2/": {"identitytoken": "token"},
            "localhost:5000": {},
            "bad.example": {"auth": "?"},
        }});
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let get = |domain: &str| credentials(dir.path(), domain);
        assert_eq!(
            get("docker.io").unwrap(),
            Some(Credentials::Password { username: "me".into(), password: "pass:word".into() })
        );
        assert_eq!(get("old.example").unwrap(), Some(Credentials::IdentityToken("token".into())));
        assert_eq!(get("localhost:5000").unwrap(), None);
        assert_eq!(get("other.example").unwrap(), None);
        assert!(get("bad.example").is_err());
    }

    #[test]
    fn asks_no_path() {
        assert!(ask("../../bin/sh", "x").is_err());
    }
}
