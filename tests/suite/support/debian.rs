//! A Debian root file system as a tar, made once by `mmdebstrap` and kept below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::host::on_path;

/// Returns the archive's path, or why there is none.
pub(crate) fn archive() -> Result<&'static Path, String> {
    static ARCHIVE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    ARCHIVE.get_or_init(make).as_deref().map_err(Clone::clone)
}

fn make() -> Result<PathBuf, String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian.tar");
    if path.exists() {
        return Ok(path);
    }
    if !on_path("mmdebstrap") {
        return Err("no mmdebstrap to make a Debian root file system with".to_owned());
    }
    let half = path.with_extension(format!("{}.tar", std::process::id()));
    let output = Command::new("mmdebstrap")
        .args(["--quiet", "--variant=minbase", &release()])
        .arg(&half)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("mmdebstrap: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("mmdebstrap: {}", said.lines().last().unwrap_or_default()));
    }
    fs::rename(&half, &path).map_err(|error| error.to_string())?;
    Ok(path)
}

/// The release of this machine, whose mirrors and keys are at hand.
fn release() -> String {
    fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or("bookworm")
        .trim_matches('"')
        .to_owned()
}
