//! Certificates of single registries, as Docker and podman keep them: `certs.d/HOST[:PORT]/`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::registry::{Certificates, ClientPair};

/// Reads the certificates of all hosts that have a directory in one of `dirs`; of several directories for a host,
/// the first counts. `*.crt` are authorities, `NAME.cert` with `NAME.key` is what we show of ourselves.
pub fn certificates(dirs: &[PathBuf]) -> Result<BTreeMap<String, Certificates>> {
    let mut found = BTreeMap::new();
    for dir in dirs {
        for host in entries(dir)? {
            let Some(name) = host.file_name().and_then(|name| name.to_str()) else { continue };
            if found.contains_key(name) || !host.is_dir() {
                continue;
            }
            let read = read(&host)?;
            if read != Certificates::default() {
                // Docker Hub's images are on a host of another name.
                if name == "docker.io" {
                    found.entry("registry-1.docker.io".to_owned()).or_insert_with(|| read.clone());
                }
                found.insert(name.to_owned(), read);
            }
        }
    }
    Ok(found)
}

/// Returns what is in a directory, sorted. One that is not there, or closed to this user, is empty.
fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let closed = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory, io::ErrorKind::PermissionDenied];
    let read = match fs::read_dir(dir) {
        Err(error) if closed.contains(&error.kind()) => return Ok(Vec::new()),
        read => read.with_context(|| format!("read {}", dir.display()))?,
    };
    let mut found: Vec<_> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    Ok(found)
}

fn read(host: &Path) -> Result<Certificates> {
    let file = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    let mut certificates = Certificates::default();
    let mut keys = Vec::new();
    for path in entries(host)? {
        let shown = path.display();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => certificates.authorities.push(file(&path)?),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.exists() {
                    bail!(
                        "missing key {} for client certificate {shown}: the certificates of authorities must be \
                         called .crt",
                        key.display()
                    );
                }
                let pair = ClientPair { certificate: file(&path)?, key: file(&key)? };
                certificates.client.get_or_insert(pair);
            }
            Some("key") => keys.push(path),
            _ => {}
        }
    }
    match keys.into_iter().find(|key| !key.with_extension("cert").exists()) {
        Some(key) => {
            bail!(
                "missing client certificate {} for key {}",
                key.with_extension("cert").display(),
                key.display()
            )
        }
        None => Ok(certificates),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_directories_of_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let write = |dir: &Path, host: &str, name: &str| {
            fs::create_dir_all(dir.join(host)).unwrap();
            fs::write(dir.join(host).join(name), name).unwrap();
        };
        for name in ["ca.crt", "b.crt", "client.cert", "client.key", "readme"] {
            write(&ours, "reg:5000", name);
        }
        write(&theirs, "reg:5000", "other.crt");
        write(&theirs, "docker.io", "hub.crt");
        write(&theirs, "empty", "readme");
        let dirs = [ours.clone(), theirs, dir.path().join("none")];
        let found = certificates(&dirs).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["docker.io", "reg:5000", "registry-1.docker.io"]);
        let own = &found["reg:5000"];
        assert_eq!(own.authorities, [b"b.crt".to_vec(), b"ca.crt".to_vec()]);
        let pair = ClientPair { certificate: b"client.cert".to_vec(), key: b"client.key".to_vec() };
        assert_eq!(own.client, Some(pair));

        write(&ours, "odd", "lonely.key");
        assert!(certificates(&dirs).unwrap_err().to_string().contains("missing client certificate"));
        write(&ours, "odd", "lonely.cert");
        write(&ours, "odd", "x.cert");
        assert!(certificates(&dirs).unwrap_err().to_string().contains("missing key"));
    }
}
