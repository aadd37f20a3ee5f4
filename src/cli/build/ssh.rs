//! `--ssh`: agents that commands may ask, and keys for which one is started.
//!
//! The agent of keys is `ssh-agent`, with one command below it that reads from us: it ends when we do, however that
//! is, and takes its socket with it. Keys are read by `ssh-add`; no byte of them comes through here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::store::random_id;

/// What runs below an agent: adds keys, says that they are there, waits for the end of its input, and ends the agent,
/// which by itself would notice within ten seconds.
const HOLD: &str = r#"
    ssh-add -q -- "$@" </dev/null && echo ready && cat >/dev/null
    kill "$SSH_AGENT_PID""#;

/// The agents of a build.
#[derive(Debug, Default)]
pub(super) struct Agents {
    /// Their sockets, by their names.
    pub(super) sockets: BTreeMap<String, PathBuf>,
    started: Vec<Child>,
}

impl Agents {
    /// Reads `id[=socket|key,…]`; without either it is the agent of the environment. Sockets of agents that are
    /// started lie in `runtime`.
    pub(super) fn read(texts: &[String], runtime: &Path) -> Result<Self> {
        let mut agents = Self::default();
        for text in texts {
            let (id, paths) = text.split_once('=').unwrap_or((text, ""));
            let id = if id.is_empty() { "default" } else { id };
            let socket = if paths.is_empty() {
                match std::env::var_os("SSH_AUTH_SOCK") {
                    Some(path) => PathBuf::from(path),
                    None => bail!("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"),
                }
            } else {
                agents.socket(paths, runtime)?
            };
            agents.sockets.insert(id.to_owned(), std::path::absolute(socket)?);
        }
        Ok(agents)
    }

    fn socket(&mut self, paths: &str, runtime: &Path) -> Result<PathBuf> {
        let paths: Vec<&str> = paths.split(',').collect();
        let mut keys = Vec::new();
        for path in &paths {
            let kind = fs::metadata(path).with_context(|| format!("failed to stat {path}"))?;
            if kind.file_type().is_socket() {
                ensure!(paths.len() == 1, "only single socket allowed");
                return Ok(PathBuf::from(path));
            }
            ensure!(kind.is_file(), "{path} is neither a key nor the socket of an agent");
            keys.push(std::path::absolute(path)?);
        }
        fs::create_dir_all(runtime).with_context(|| format!("create {}", runtime.display()))?;
        let socket = runtime.join(format!("ssh-{}", &random_id()[..12]));
        let mut command = Command::new("ssh-agent");
        command.arg("-a").arg(&socket).args(["sh", "-c", HOLD, "sh"]).args(&keys);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .context("start ssh-agent, which holds keys: name the socket of an agent instead")?;
        let mut said = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut said).context("hear from ssh-agent")?;
        }
        if said.trim_end() != "ready" {
            let mut why = String::new();
            if let Some(mut told) = child.stderr.take() {
                let _ = told.read_to_string(&mut why);
            }
            let _ = child.wait();
            bail!("failed to add the keys {} to an agent: {}", keys_text(&keys), why.trim());
        }
        self.started.push(child);
        Ok(socket)
    }
}

fn keys_text(keys: &[PathBuf]) -> String {
    keys.iter().map(|key| key.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl Drop for Agents {
    fn drop(&mut self) {
        for child in &mut self.started {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_agents() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let read = |text: String| Agents::read(&[text], dir.path()).map(|agents| agents.sockets.clone());
        assert_eq!(read(format!("x={}", socket.display())).unwrap()["x"], socket);
        assert_eq!(read(format!("={}", socket.display())).unwrap()["default"], socket);
        for bad in ["x=/not/there".to_owned(), "x=/".to_owned(), format!("x={0},{0}", socket.display())] {
            assert!(read(bad).is_err());
        }
    }
}
