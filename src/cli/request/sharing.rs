//! The flags of `run` and `create` that say with whom namespaces and volumes are shared, and those that ask for
//! what only other systems or root have.

use anyhow::{Result, anyhow, bail};
use clap::Args;

use super::value;
use super::variables::pair;
use crate::cli::grammar::integer;
use crate::cli::report::{coded, response};
use crate::container::{IpcMode, KeepId, PidMode, Sharing};
use crate::idmap;

/// The flags.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct SharingFlags {
    /// Cgroup namespace: host or private
    #[arg(long, value_name = "string")]
    cgroupns: Option<String>,
    /// Refused: for containers of Windows
    #[arg(long, value_name = "int", value_parser = integer, hide = true)]
    cpu_count: Option<i64>,
    /// Refused: for containers of Windows
    #[arg(long, value_name = "int", value_parser = integer, hide = true)]
    cpu_percent: Option<i64>,
    /// Refused: for containers of Windows
    #[arg(long, value_name = "bytes", value_parser = value::parse_bytes, hide = true)]
    io_maxbandwidth: Option<u64>,
    /// Refused: for containers of Windows
    #[arg(long, value_name = "uint", value_parser = integer, hide = true)]
    io_maxiops: Option<i64>,
    /// IPC namespace: private, shareable, none, host or container:NAME
    #[arg(long, value_name = "string")]
    ipc: Option<String>,
    /// How the container is kept apart; there is one way, "default"
    #[arg(long, value_name = "string")]
    isolation: Option<String>,
    /// How likely the container is to be killed when memory is short (up to 1000)
    #[arg(long, value_name = "int", value_parser = integer)]
    oom_score_adj: Option<i64>,
    /// PID namespace: host or container:NAME
    #[arg(long, value_name = "string")]
    pid: Option<String>,
    /// Runtime; there is one, coracle's own
    #[arg(long, value_name = "string")]
    runtime: Option<String>,
    /// Refused: limits of the container's file system, which only root can set
    #[arg(long, value_name = "list")]
    storage_opt: Vec<String>,
    /// User namespace: host, in which the container's root is you; or keep-id[:uid=N,gid=N], in which you have your
    /// own ids, or these
    #[arg(long, value_name = "string")]
    userns: Option<String>,
    /// UTS namespace: host
    #[arg(long, value_name = "string")]
    uts: Option<String>,
    /// Driver of the volumes; there is one, "local"
    #[arg(long, value_name = "string")]
    pub(super) volume_driver: Option<String>,
    /// Mount what another container mounts (NAME[:ro])
    #[arg(long, value_name = "list")]
    pub(super) volumes_from: Vec<String>,
}

impl SharingFlags {
    /// Puts the namespaces together, and refuses what cannot be had.
    pub(super) fn read(&self) -> Result<Sharing> {
        self.refuse_windows()?;
        let text = |flag: &'_ Option<String>| flag.clone().unwrap_or_default();
        let invalid = |flag: &str, kind: &str| anyhow!("--{flag}: invalid {kind} mode");
        let host = |flag: &str, kind: &str, text: &str| match text {
            "" => Ok(false),
            "host" => Ok(true),
            _ => Err(invalid(flag, kind)),
        };
        let pid = match text(&self.pid).as_str() {
            "" => PidMode::Private,
            "host" => PidMode::Host,
            word => match word.strip_prefix("container:") {
                Some(name) if !name.is_empty() => PidMode::Container(name.to_owned()),
                _ => return Err(invalid("pid", "PID")),
            },
        };
        let host_uts = host("uts", "UTS", &text(&self.uts))?;
        let users = text(&self.userns);
        let keep_id = KeepId::parse(&users, idmap::own_ids())
            .map_err(|problem| anyhow!("--userns {users}: {problem}"))?;
        let host_users = keep_id.is_none() && host("userns", "USER", &users)?;
        let host_cgroups = match text(&self.cgroupns).as_str() {
            "" | "private" => false,
            "host" => true,
            _ => return Err(invalid("cgroupns", "CGROUP")),
        };
        for option in &self.storage_opt {
            if !option.contains('=') {
                bail!("invalid storage option");
            }
        }
        let ipc = ipc(&text(&self.ipc)).map_err(response)?;
        self.refuse().map_err(response)?;
        Ok(Sharing { pid, ipc, host_uts, host_users, keep_id, host_cgroups })
    }

    /// Returns the score.
    pub(super) fn oom_score_adj(&self) -> Result<i32> {
        let score = self.oom_score_adj.unwrap_or(0);
        i32::try_from(score)
            .map_err(|_| response(anyhow!("Invalid value {score}, range for oom score adj is [-1000, 1000]")))
    }

    /// As Docker's client with a daemon on Linux.
    fn refuse_windows(&self) -> Result<()> {
        let refused: Vec<String> = [
            ("cpu-count", self.cpu_count.is_some()),
            ("cpu-percent", self.cpu_percent.is_some()),
            ("io-maxbandwidth", self.io_maxbandwidth.is_some()),
            ("io-maxiops", self.io_maxiops.is_some()),
        ]
        .iter()
        .filter(|(_, given)| *given)
        .map(|(flag, _)| {
            format!(
                "\"--{flag}\" is only supported on a Docker daemon running on windows, but the Docker daemon is \
                 running on linux"
            )
        })
        .collect();
        if refused.is_empty() { Ok(()) } else { Err(coded(1, refused.join("\n"))) }
    }

    /// Refuses what Docker's daemon refuses, in its words.
    fn refuse(&self) -> Result<()> {
        if let Some(runtime) = &self.runtime
            && !matches!(runtime.as_str(), "" | "coracle" | "runc" | "io.containerd.runc.v2")
        {
            bail!("unknown or invalid runtime name: {runtime}");
        }
        if let Some(isolation) = &self.isolation
            && !matches!(isolation.to_ascii_lowercase().as_str(), "" | "default")
        {
            bail!("Invalid isolation: \"{isolation}\" - linux only supports 'default'");
        }
        let unknown = self.storage_opt.iter().map(|option| pair(option).0).find(|key| key != "size");
        if let Some(key) = unknown {
            bail!("Unknown option {key}");
        }
        if !self.storage_opt.is_empty() {
            bail!(
                "--storage-opt is supported only for overlay over xfs with 'pquota' mount option: quotas of \
                 directories are set by root alone"
            );
        }
        Ok(())
    }
}

fn ipc(text: &str) -> Result<IpcMode> {
    Ok(match text {
        "" | "private" => IpcMode::Private,
        "none" => IpcMode::None,
        "shareable" => IpcMode::Shareable,
        "host" => IpcMode::Host,
        _ => match text.strip_prefix("container:") {
            Some("") => bail!("failed to join IPC namespace: invalid name or ID supplied: \"\""),
            Some(name) => IpcMode::Container(name.to_owned()),
            None => bail!("invalid IPC mode: {text}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl FnOnce(&mut SharingFlags)) -> Result<Sharing, String> {
        let mut flags = SharingFlags::default();
        change(&mut flags);
        flags.read().map_err(|error| error.to_string())
    }

    #[test]
    fn reads_modes() {
        let sharing = read(|flags| {
            flags.pid = Some("container:web".into());
            flags.ipc = Some("shareable".into());
            flags.uts = Some("host".into());
            flags.cgroupns = Some("private".into());
        });
        let expected = Sharing {
            pid: PidMode::Container("web".into()),
            ipc: IpcMode::Shareable,
            host_uts: true,
            ..Sharing::default()
        };
        assert_eq!(sharing, Ok(expected));
        assert_eq!(read(|_| {}), Ok(Sharing::default()));
    }

    #[test]
    fn refuses_in_dockers_words() {
        let daemon = "Error response from daemon: ";
        let wrong = |change: fn(&mut SharingFlags)| read(change).unwrap_err();
        assert_eq!(wrong(|flags| flags.pid = Some("private".into())), "--pid: invalid PID mode");
        assert_eq!(wrong(|flags| flags.pid = Some("container:".into())), "--pid: invalid PID mode");
        assert_eq!(wrong(|flags| flags.uts = Some("private".into())), "--uts: invalid UTS mode");
        assert_eq!(wrong(|flags| flags.userns = Some("x".into())), "--userns: invalid USER mode");
        let text = wrong(|flags| flags.userns = Some("keep-id:size=7".into()));
        assert_eq!(text, "--userns keep-id:size=7: unknown option specified: \"size\"");
        assert_eq!(wrong(|flags| flags.cgroupns = Some("x".into())), "--cgroupns: invalid CGROUP mode");
        assert_eq!(wrong(|flags| flags.ipc = Some("x".into())), format!("{daemon}invalid IPC mode: x"));
        assert_eq!(
            wrong(|flags| flags.runtime = Some("x".into())),
            format!("{daemon}unknown or invalid runtime name: x")
        );
        assert_eq!(
            wrong(|flags| flags.isolation = Some("hyperv".into())),
            format!("{daemon}Invalid isolation: \"hyperv\" - linux only supports 'default'")
        );
        assert_eq!(wrong(|flags| flags.storage_opt = vec!["size".into()]), "invalid storage option");
        assert_eq!(
            wrong(|flags| flags.storage_opt = vec!["a=1".into()]),
            format!("{daemon}Unknown option a")
        );
        let text = wrong(|flags| (flags.cpu_count, flags.io_maxiops) = (Some(0), Some(1)));
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("\"--cpu-count\" is only supported on a Docker daemon running on windows"));
    }
}
