//! `system restore`: the containers that should run, started again after a reboot, and what has it done then.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::logout;
use super::report::{coded, response};
use super::session::Session;
use super::tree::Spec;
use crate::container;

/// `system restore`
pub(super) const SPEC: Spec = Spec {
    paths: &["system restore"],
    about: "Start the containers that their restart policy wants to run, as after a reboot",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: RestoreArgs::augment_args,
    run: |matches, session| run(&RestoreArgs::from_arg_matches(matches)?, session),
};

/// The name of the unit.
const UNIT: &str = "coracle.service";

#[derive(Debug, Args)]
struct RestoreArgs {
    /// Have it done at every boot by the user's systemd ("systemd") or by cron ("crontab")
    #[arg(long, value_name = "string")]
    install: Option<String>,
    /// Print the unit of systemd ("systemd") or the line of crontab(5) ("crontab") that does it at every boot
    #[arg(long, value_name = "string")]
    print: Option<String>,
}

fn run(args: &RestoreArgs, session: &Session) -> Result<u8> {
    match (&args.print, &args.install) {
        (Some(_), Some(_)) => bail!("conflicting options: cannot specify both --print and --install"),
        (Some(kind), None) => Session::print(&text(kind, session)?)?,
        (None, Some(kind)) => install(kind, &text(kind, session)?)?,
        (None, None) => return restore(session),
    }
    Ok(0)
}

fn restore(session: &Session) -> Result<u8> {
    let mut errors = Vec::new();
    let mut said = Ok(());
    container::restore(session.store()?, |name, started| match started {
        Ok(()) => {
            if said.is_ok() {
                said = Session::print(&format!("{name}\n"));
            }
        }
        Err(error) => errors.push(format!("{name}: {:#}", response(error))),
    })
    .map_err(response)?;
    said?;
    if errors.is_empty() { Ok(0) } else { Err(coded(1, errors.join("\n"))) }
}

/// Returns the unit or the line.
fn text(kind: &str, session: &Session) -> Result<String> {
    let program = std::env::current_exe().context("find this program")?;
    let program = program.to_str().ok_or_else(|| anyhow!("{} is not UTF-8", program.display()))?;
    let root = session.settings()?.root.to_string_lossy().into_owned();
    match kind {
        "systemd" => Ok(unit(program, &root)),
        "crontab" => Ok(line(program, &root)),
        _ => bail!("{kind}: want systemd or crontab"),
    }
}

fn unit(program: &str, root: &str) -> String {
    let quote =
        |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"));
    format!(
        "[Unit]\nDescription=Containers that are to run\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nDelegate=yes\nEnvironment={}\nExecStart={} system restore\n\n\
         [Install]\nWantedBy=default.target\n",
        quote(&format!("CORACLE_ROOT={root}")),
        quote(program)
    )
}

fn line(program: &str, root: &str) -> String {
    // A percent sign ends the command of a crontab.
    let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''").replace('%', "\\%"));
    format!("@reboot CORACLE_ROOT={} {} system restore\n", quote(root), quote(program))
}

fn install(kind: &str, text: &str) -> Result<()> {
    if kind == "crontab" {
        return install_line(text);
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let config = config.or_else(home).ok_or_else(|| anyhow!("HOME is not set"))?;
    let path = install_unit(&config.join("systemd/user"), text)?;
    Session::print(&format!("{}\n", path.display()))?;
    if let Some(user) = logout::user().filter(|user| !logout::lingers(user)) {
        Session::note(&format!(
            "hint: it runs at boot, and not at login, after: loginctl enable-linger {user}"
        ));
    }
    Ok(())
}

/// Writes the unit and has it started with the user's systemd.
fn install_unit(dir: &Path, text: &str) -> Result<PathBuf> {
    let wants = dir.join("default.target.wants");
    fs::create_dir_all(&wants).with_context(|| format!("create {}", wants.display()))?;
    let path = dir.join(UNIT);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    let link = wants.join(UNIT);
    let _ = fs::remove_file(&link);
    symlink(&path, &link).with_context(|| format!("create {}", link.display()))?;
    Ok(path)
}

/// Adds the line to the user's crontab, unless it is there.
fn install_line(line: &str) -> Result<()> {
    let present = Command::new("crontab").arg("-l").output().context("run crontab")?;
    // Without a crontab, it fails.
    let present = if present.status.success() { present.stdout } else { Vec::new() };
    let mut text = String::from_utf8(present).context("read the crontab")?;
    if text.lines().any(|known| known == line.trim_end()) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    let mut child = Command::new("crontab").arg("-").stdin(Stdio::piped()).spawn().context("run crontab")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).context("write the crontab")?;
    }
    let status = child.wait().context("run crontab")?;
    anyhow::ensure!(status.success(), "write the crontab: crontab has failed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_units_and_lines() {
        let unit = unit("/opt/my %/coracle", "/data/x y");
        assert!(unit.contains("\nExecStart=\"/opt/my %%/coracle\" system restore\n"), "{unit}");
        assert!(unit.contains("\nEnvironment=\"CORACLE_ROOT=/data/x y\"\n"), "{unit}");
        let line = line("/opt/it's/coracle", "/100%");
        assert_eq!(line, "@reboot CORACLE_ROOT='/100\\%' '/opt/it'\\''s/coracle' system restore\n");
    }

    #[test]
    fn installs_the_unit_once_and_again() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["one", "two"] {
            let path = install_unit(dir.path(), text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::read_to_string(dir.path().join("default.target.wants").join(UNIT)).unwrap(), text);
        }
    }
}
