//! Logins written to Docker's `config.json`, or to the credential helper that it names.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize as _;
use serde_json::{Map, Value, json};

use super::credentials::{self, Login};
use crate::registry::Credentials;

/// Where a login is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// This file, readable.
    File(PathBuf),
    /// The program `docker-credential-<this>`.
    Helper(String),
}

/// Docker's `config.json`, all of it.
struct Config {
    path: PathBuf,
    all: Map<String, Value>,
}

impl Config {
    fn load(docker: &Path) -> Result<Self> {
        // A link stays a link: what it leads to is written.
        let path = docker.join("config.json");
        let path = fs::canonicalize(&path).unwrap_or(path);
        let all = match fs::read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Map::new(),
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("parse {}", path.display()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        Ok(Self { path, all })
    }

    /// Writes it whole or not at all, with the mode that it has, or for this user alone.
    fn save(&self) -> Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("create {}", dir.display()))?;
        let mut bytes = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        self.all
            .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, tabs))
            .context("serialise config.json")?;
        let temporary = dir.join(format!("config.json{}", std::process::id()));
        let written = (|| {
            // What a killed process with the same number left.
            let _ = fs::remove_file(&temporary);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&bytes)?;
            if let Ok(meta) = fs::metadata(&self.path) {
                file.set_permissions(fs::Permissions::from_mode(meta.permissions().mode() & 0o777))?;
            }
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.with_context(|| format!("write {}", self.path.display()))
    }

    /// Returns the helper for a registry.
    fn helper(&self, key: &str) -> Option<String> {
        let own = self.all.get("credHelpers").and_then(|helpers| helpers.get(key));
        let helper = own.or_else(|| self.all.get("credsStore"))?.as_str()?;
        (!helper.is_empty()).then(|| helper.to_owned())
    }

    fn auths(&mut self) -> Result<&mut Map<String, Value>> {
        let path = self.path.display().to_string();
        match self.all.entry("auths").or_insert_with(|| json!({})) {
            Value::Object(auths) => Ok(auths),
            Value::Null => bail!("{path}: auths is null"),
            _ => bail!("{path}: auths is no object"),
        }
    }
}

/// Says who keeps the login for `key`.
pub fn keeper(docker: &Path, key: &str) -> Result<Keeper> {
    let config = Config::load(docker)?;
    Ok(config.helper(key).map_or(Keeper::File(docker.join("config.json")), Keeper::Helper))
}

/// Keeps a login under `key`, and says where.
pub fn remember(docker: &Path, key: &str, login: &Login) -> Result<Keeper> {
    let mut config = Config::load(docker)?;
    let helper = config.helper(key);
    let entry = match (&helper, &login.credentials) {
        (Some(helper), _) => {
            credentials::store(helper, key, login)?;
            // An empty entry tells those who list logins that there is one.
            json!({})
        }
        (None, Credentials::Password { username, password }) => {
            json!({ "auth": STANDARD.encode(format!("{username}:{password}")) })
        }
        (None, Credentials::IdentityToken(token)) => {
            json!({ "auth": STANDARD.encode(format!("{}:", login.username)), "identitytoken": token })
        }
    };
    let auths = config.auths()?;
    if auths.get(key) != Some(&entry) {
        auths.insert(key.to_owned(), entry);
        config.save()?;
    }
    Ok(helper.map_or(Keeper::File(docker.join("config.json")), Keeper::Helper))
}

/// Forgets the logins under `keys`; those that cannot be forgotten come back with the reason.
pub fn forget(docker: &Path, keys: &[String]) -> Result<Vec<(String, anyhow::Error)>> {
    let mut config = Config::load(docker)?;
    let mut failed = Vec::new();
    let mut changed = false;
    for key in keys {
        if let Some(helper) = config.helper(key)
            && let Err(error) = credentials::erase(&helper, key)
        {
            failed.push((key.clone(), error));
            continue;
        }
        if config.all.contains_key("auths") {
            changed |= config.auths()?.remove(key).is_some();
        }
    }
    if changed {
        config.save()?;
    }
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::credentials::Logins;

    fn login(name: &str, secret: &str) -> Login {
        let credentials = Credentials::Password { username: name.into(), password: secret.into() };
        Login { username: name.to_owned(), credentials }
    }

    #[test]
    fn changes_one_login_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let docker = dir.path().join("new");
        let path = docker.join("config.json");
        assert_eq!(remember(&docker, "r:5000", &login("me", "a:b")).unwrap(), Keeper::File(path.clone()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&docker), mode(&path)), (0o700, 0o600));
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\n\t\"auths\": {\n\t\t\"r:5000\": {\n\t\t\t\"auth\": \"bWU6YTpi\"\n\t\t}\n\t}\n}"
        );

        let text = r#"{"psFormat":"x","HttpHeaders":{"a":"b"},"auths":{"other":{"auth":"eDp5"}},"new":[1,2.5,null]}"#;
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let token = Login { credentials: Credentials::IdentityToken("t".into()), ..login("me", "") };
        remember(&docker, "r:5000", &token).unwrap();
        let mut expected: Value = serde_json::from_str(text).unwrap();
        let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        expected["auths"]["r:5000"] = json!({"auth": "bWU6", "identitytoken": "t"});
        assert_eq!(written, expected);
        assert_eq!(mode(&path), 0o640);
        let logins = Logins { docker: docker.clone(), ..Logins::default() };
        assert_eq!(logins.find("r:5000", None).unwrap(), Some(token));

        let keys = ["r:5000", "absent"].map(str::to_owned);
        assert!(forget(&docker, &keys).unwrap().is_empty());
        expected["auths"].as_object_mut().unwrap().remove("r:5000");
        let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(written, expected);
        assert_eq!(fs::read_dir(&docker).unwrap().count(), 1);
    }

    #[test]
    fn follows_a_link_and_keeps_a_broken_file() {
        let dir = tempfile::tempdir().unwrap();
        let (docker, kept) = (dir.path().join("docker"), dir.path().join("kept.json"));
        fs::create_dir(&docker).unwrap();
        fs::write(&kept, "{}").unwrap();
        std::os::unix::fs::symlink(&kept, docker.join("config.json")).unwrap();
        remember(&docker, "r", &login("a", "b")).unwrap();
        assert!(fs::read_to_string(&kept).unwrap().contains("\"r\""));
        fs::write(&kept, "{broken").unwrap();
        assert!(remember(&docker, "r", &login("a", "b")).is_err());
        assert_eq!(fs::read_to_string(&kept).unwrap(), "{broken");
    }

    #[test]
    fn asks_the_helper_that_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"credsStore":"none-such","credHelpers":{"own":"also-none","plain":""}}"#;
        fs::write(dir.path().join("config.json"), text).unwrap();
        let keeper = |key: &str| keeper(dir.path(), key).unwrap();
        assert_eq!(keeper("any"), Keeper::Helper("none-such".into()));
        assert_eq!(keeper("own"), Keeper::Helper("also-none".into()));
        assert_eq!(keeper("plain"), Keeper::File(dir.path().join("config.json")));
        let error = remember(dir.path(), "any", &login("a", "b")).unwrap_err();
        assert!(format!("{error:#}").starts_with("run docker-credential-none-such"), "{error:#}");
        assert_eq!(fs::read_to_string(dir.path().join("config.json")).unwrap(), text);
        assert_eq!(forget(dir.path(), &["any".to_owned()]).unwrap().len(), 1);
    }
}
