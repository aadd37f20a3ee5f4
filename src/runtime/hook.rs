//! Hooks: programs that are run at certain points of a container's life (config.md of the runtime specification,
//! "POSIX-platform Hooks").
//!
//! | hooks | run | by | where |
//! |---|---|---|---|
//! | `prestart`, `createRuntime` | when the mounts are made, before the root is changed | the supervisor | outside |
//! | `createContainer` | after these | the container's first process | inside, with the host's files still in sight |
//! | `startContainer` | when all is set up, before the user's program | the container's first process | inside |
//! | `poststart` | when the user's program runs | the supervisor | outside |
//! | `poststop` | when it has ended | the supervisor | outside |
//!
//! Outside is the user's ancestor namespace and the host's mounts: a hook is the user there, and root of nothing but
//! the user's own ids. Each reads the container's state, as JSON, from its standard input.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use serde_json::json;

use crate::oci::runtime::Hook;
use crate::sys::process;

/// How long a hook may take that says nothing about it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is told of the output of a hook that has failed, in bytes.
const TOLD: usize = 2048;

/// The search path of a hook that is given none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What hooks are told of the container.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its id.
    pub id: String,
    /// The directory with `config.json`, whose `root.path` is the directory of its files.
    pub bundle: PathBuf,
}

impl Subject {
    /// Writes the state down, as the specification has it ("State").
    fn state(&self, status: &str, pid: i32) -> String {
        let mut state = json!({
            "ociVersion": "1.2.1", "id": self.id, "status": status, "bundle": self.bundle, "annotations": {},
        });
        if pid > 0 {
            state["pid"] = pid.into();
        }
        state.to_string()
    }

    /// Runs hooks one after the other. The first that fails is the last.
    pub fn run(&self, point: &str, hooks: Option<&[Hook]>, status: &str, pid: i32) -> Result<()> {
        let state = self.state(status, pid);
        for hook in hooks.unwrap_or_default() {
            run(hook, &state).with_context(|| format!("run {point} hook {}", hook.path().display()))?;
        }
        Ok(())
    }
}

fn run(hook: &Hook, state: &str) -> Result<()> {
    // In files and not in pipes: it may read and write as little or as much as it likes.
    let mut input = memory("state")?;
    input
        .write_all(state.as_bytes())
        .and_then(|()| input.seek(SeekFrom::Start(0)))
        .context("write the state")?;
    let mut output = memory("output")?;
    let args = hook.args().as_deref().unwrap_or_default();
    let env = hook.env().as_deref().unwrap_or_default();
    let mut command = Command::new(hook.path());
    command.env_clear().args(args.iter().skip(1)).current_dir("/");
    if let Some(name) = args.first() {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    command.env("PATH", PATH).envs(env.iter().filter_map(|pair| pair.split_once('=')));
    command.stdin(input).stdout(output.try_clone()?).stderr(Stdio::from(output.try_clone()?));
    let mut child = command.spawn().context("execute it")?;
    let patience =
        hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    let status = wait(&mut child, patience.map_or(PATIENCE, Duration::from_secs))?;
    if status.success() {
        return Ok(());
    }
    let told = tail(&mut output);
    match told.trim() {
        "" => bail!("{status}"),
        told => bail!("{status}: {told}"),
    }
}

fn memory(name: &str) -> Result<File> {
    let memory: OwnedFd =
        rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).context("make a file in memory")?;
    Ok(File::from(memory))
}

/// Returns the last that a hook has said.
fn tail(output: &mut File) -> String {
    let mut bytes = Vec::new();
    let length = output.metadata().map_or(0, |meta| meta.len());
    let from = length.saturating_sub(TOLD as u64);
    let read =
        output.seek(SeekFrom::Start(from)).and_then(|_| output.take(TOLD as u64).read_to_end(&mut bytes));
    read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits for a hook, and kills it when patience ends.
fn wait(child: &mut Child, patience: Duration) -> Result<ExitStatus> {
    let pidfd = process::pidfd_open(i32::try_from(child.id()).unwrap_or(0)).context("open its process")?;
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(0) if left.is_zero() => {
                // It may have ended in this moment.
                let _ = child.kill();
                let _ = child.wait();
                bail!("it was killed after {} s", patience.as_secs());
            }
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return child.wait().context("wait for it"),
            Err(error) => return Err(error).context("wait for it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::oci::runtime::HookBuilder;

    fn hook(script: &str, timeout: i64) -> (tempfile::TempDir, Hook) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let args = vec!["hook".to_owned(), "one".to_owned()];
        let hook = HookBuilder::default().path(path).args(args).env(vec!["A=b".to_owned()]).timeout(timeout);
        (dir, hook.build().unwrap())
    }

    #[test]
    fn tells_the_state_and_names_what_fails() {
        let subject = Subject { id: "abc".into(), bundle: "/b".into() };
        let (dir, hook_) = hook("cat >${0%/*}/state; echo $1 $A >${0%/*}/seen", 5);
        subject.run("createRuntime", Some(&[hook_]), "created", 7).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let state: serde_json::Value = serde_json::from_str(&read("state")).unwrap();
        assert_eq!(
            (&state["id"], &state["pid"], &state["status"]),
            (&json!("abc"), &json!(7), &json!("created"))
        );
        assert_eq!((&state["bundle"], read("seen").as_str()), (&json!("/b"), "one b\n"));
        let (_dir, bad) = hook("echo no such thing >&2; exit 3", 5);
        let error = format!("{:#}", subject.run("poststop", Some(&[bad]), "stopped", 0).unwrap_err());
        assert!(
            error.starts_with("run poststop hook /") && error.ends_with("exit status: 3: no such thing"),
            "{error}"
        );
        let (_dir, slow) = hook("exec sleep 100", 1);
        let error = format!("{:#}", subject.run("prestart", Some(&[slow]), "created", 7).unwrap_err());
        assert!(error.ends_with("it was killed after 1 s"), "{error}");
    }
}
