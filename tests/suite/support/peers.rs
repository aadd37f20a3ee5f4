//! Other programs that read and write what we do: podman with a store of its own, and skopeo.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Need, needs};

/// A podman whose store is a test's own. The suite has to run as root for it: as a user, podman would leave a process
/// behind that holds its namespace.
#[derive(Debug)]
pub(crate) struct Podman {
    dir: tempfile::TempDir,
}

impl Podman {
    pub(crate) fn new() -> Self {
        needs(Need::Podman);
        needs(Need::Root);
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Where it runs.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a command of podman and returns what it prints.
    #[track_caller]
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let mut command = Command::new("podman");
        command.args(["--root", "root", "--runroot", "run", "--storage-driver", "vfs"]);
        printed(command.args(words).current_dir(self.dir()))
    }
}

/// Runs skopeo in a directory and returns what it prints.
#[track_caller]
pub(crate) fn skopeo(dir: &Path, words: &[&str]) -> String {
    let mut command = Command::new("skopeo");
    printed(command.arg("--insecure-policy").args(words).current_dir(dir))
}

#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
