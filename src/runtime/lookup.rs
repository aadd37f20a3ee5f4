//! Finds the program that a name means, as Docker does: by the rules of Go's `exec.LookPath`.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

use super::StartError;

/// Finds the program `name` for the user and in the root file system this process now has. A name with a
/// slash is a path; others are looked for in the directories of `path`.
pub(super) fn program(name: &str, path: &str) -> Result<PathBuf, StartError> {
    if name.contains('/') {
        return match check(Path::new(name)) {
            Ok(()) => Ok(name.into()),
            Err(Errno::NOENT) => {
                Err(StartError::NotFound(format!("exec: \"{name}\": stat {name}: no such file or directory")))
            }
            Err(Errno::NOTDIR) => {
                Err(StartError::NotExecutable(format!("exec: \"{name}\": stat {name}: not a directory")))
            }
            Err(Errno::ISDIR) => Err(StartError::NotExecutable(format!("exec: \"{name}\": is a directory"))),
            Err(Errno::ACCESS) => {
                Err(StartError::NotExecutable(format!("exec: \"{name}\": permission denied")))
            }
            Err(errno) => {
                Err(StartError::NotExecutable(format!("exec: \"{name}\": stat {name}: {}", text(errno))))
            }
        };
    }
    for dir in path.split(':').filter(|_| !path.is_empty()) {
        let dir = if dir.is_empty() { "." } else { dir };
        let file = Path::new(dir).join(name);
        if !name.is_empty() && check(&file).is_ok() {
            if file.is_absolute() {
                return Ok(file);
            }
            return Err(StartError::NotExecutable(format!(
                "exec: \"{name}\": cannot run executable found relative to current directory"
            )));
        }
    }
    Err(StartError::NotFound(format!("exec: \"{name}\": executable file not found in $PATH")))
}

/// Says why exec(2) refused a program that [`program`] had found.
pub(super) fn refused(file: &str, errno: Errno) -> StartError {
    let text = format!("exec {file}: {}", text(errno));
    match errno {
        // The interpreter that the file names is missing.
        Errno::NOENT => StartError::NotFound(text),
        Errno::ACCESS | Errno::PERM | Errno::ISDIR | Errno::NOTDIR => StartError::NotExecutable(text),
        _ => StartError::Other(anyhow::anyhow!(text)),
    }
}

fn check(file: &Path) -> Result<(), Errno> {
    let stat = rustix::fs::stat(file)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
        return Err(Errno::ISDIR);
    }
    match rustix::fs::accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS) {
        // Before Linux 5.8 there is no faccessat2(2); the mode's bits have to do.
        Err(Errno::NOSYS | Errno::INVAL) if stat.st_mode & 0o111 != 0 => Ok(()),
        Err(Errno::NOSYS | Errno::INVAL) => Err(Errno::ACCESS),
        result => result,
    }
}

/// Returns the text that Go has for an error: the C library's, beginning in lower case.
pub(super) fn text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn speaks_as_docker_does() {
        let says = |name: &str, path: &str| program(name, path).unwrap_err().to_string();
        assert_eq!(says("nope", "/bin"), "exec: \"nope\": executable file not found in $PATH");
        assert_eq!(says("sh", ""), "exec: \"sh\": executable file not found in $PATH");
        assert_eq!(says("/no/pe", "/bin"), "exec: \"/no/pe\": stat /no/pe: no such file or directory");
        assert_eq!(says("/tmp/", "/bin"), "exec: \"/tmp/\": is a directory");
        assert_eq!(says("/etc/passwd", "/bin"), "exec: \"/etc/passwd\": permission denied");
        assert_eq!(refused("/x", Errno::NOEXEC).to_string(), "exec /x: exec format error");
        assert!(matches!(refused("/x", Errno::ACCESS), StartError::NotExecutable(_)));
        assert!(matches!(refused("/x", Errno::NOENT), StartError::NotFound(_)));
    }

    #[test]
    fn passes_over_what_cannot_run() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::create_dir_all(one.join("dir")).unwrap();
        fs::create_dir_all(&two).unwrap();
        fs::write(one.join("tool"), "").unwrap();
        fs::write(two.join("tool"), "").unwrap();
        fs::set_permissions(two.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", one.display(), two.display());
        assert_eq!(program("tool", &path).unwrap(), two.join("tool"));
        assert!(matches!(program("dir", &path), Err(StartError::NotFound(_))));
    }
}
