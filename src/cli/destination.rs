//! Where an archive goes: standard output, or a file that appears when it is whole.
//!
//! The file has no name while it is written (`O_TMPFILE`), so whatever ends the program, nothing half-made is
//! left, and an older file of that name stays until the new one takes its place.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::store::random_id;

/// A place for an archive.
#[derive(Debug)]
pub(super) struct Destination {
    file: File,
    /// The final name; standard output has none.
    path: Option<PathBuf>,
    /// The name meanwhile, where a file cannot be without one.
    temporary: Option<PathBuf>,
}

impl Destination {
    /// Opens the file called `output`, or standard output if that is empty and no terminal. `act` is the
    /// work that an error names: "save image".
    pub(super) fn open(output: &str, act: &str) -> Result<Self> {
        if !output.is_empty() {
            let path = Path::new(output);
            return Self::create(path).map_err(|error| anyhow!("failed to {act}: {error:#}"));
        }
        let stdout = io::stdout();
        if stdout.is_terminal() {
            bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect");
        }
        // A descriptor of its own, without the buffer that the library puts before standard output.
        let file = stdout.as_fd().try_clone_to_owned().context("open standard output")?;
        Ok(Self { file: file.into(), path: None, temporary: None })
    }

    fn create(path: &Path) -> Result<Self> {
        check(path)?;
        let parent = parent(path);
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, parent, flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => Ok(Self { file: file.into(), path: Some(path.to_owned()), temporary: None }),
            // File systems without nameless files: NFS, some FUSE ones.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {
                let temporary = beside(path);
                let file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&temporary)
                    .with_context(|| format!("create {}", temporary.display()))?;
                Ok(Self { file, path: Some(path.to_owned()), temporary: Some(temporary) })
            }
            Err(error) => Err(error).with_context(|| format!("create {}", path.display())),
        }
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<()> {
        let Some(path) = self.path.take() else { return Ok(()) };
        let named = || -> io::Result<()> {
            self.file.sync_data()?;
            if self.temporary.is_none() {
                let from = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let link = |to: &Path| rustix::fs::linkat(CWD, &from, CWD, to, AtFlags::SYMLINK_FOLLOW);
                match link(&path) {
                    Err(Errno::EXIST) => {}
                    other => return Ok(other?),
                }
                let temporary = beside(&path);
                link(&temporary)?;
                self.temporary = Some(temporary);
            }
            if let Some(temporary) = &self.temporary {
                fs::rename(temporary, &path)?;
                self.temporary = None;
            }
            Ok(())
        };
        let mut named = named;
        named().with_context(|| format!("write {}", path.display()))
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Destination {
    /// Returns the open file, to which the kernel can copy.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Makes a directory by filling another one beside it, which then takes its name. An empty directory that is
/// there is replaced.
pub(super) fn directory(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} exists and is not empty", path.display());
    }
    let temporary = beside(path);
    fs::create_dir(&temporary).with_context(|| format!("create {}", temporary.display()))?;
    let done = fill(&temporary).and_then(|()| {
        let dir = File::open(&temporary).with_context(|| format!("open {}", temporary.display()))?;
        rustix::fs::syncfs(&dir).context("write the new files to the disk")?;
        fs::rename(&temporary, path).with_context(|| format!("write {}", path.display()))
    });
    if done.is_err() {
        let _ = fs::remove_dir_all(&temporary);
    }
    done
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns a name beside `path` that nothing has.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".tmp-");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!("-{}", &random_id()[..12]));
    path.with_file_name(name)
}

/// Refuses, with Docker's words, what no archive can be written to.
fn check(path: &Path) -> Result<()> {
    let dir = parent(path);
    match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => bail!("invalid output path: stat {}: not a directory", dir.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("invalid output path: stat {}: no such file or directory", dir.display());
        }
        Err(error) => return Err(error).context("invalid output path"),
    }
    let kind = match fs::symlink_metadata(path) {
        Ok(meta) => meta.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("failed to stat output path"),
    };
    let what = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_symlink() => "a symbolic link directly",
        kind if kind.is_fifo() => "a named pipe (FIFO)",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() => "a character device file",
        _ => "a block device file",
    };
    bail!("cannot write to {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.tar");
        for text in ["one", "two"] {
            let mut out = Destination::create(&path).unwrap();
            out.write_all(text.as_bytes()).unwrap();
            out.finish().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let mut out = Destination::create(&path).unwrap();
        out.write_all(b"never").unwrap();
        drop(out);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn refuses_what_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let says = |path: &Path| {
            let error = Destination::open(path.to_str().unwrap(), "save image").unwrap_err();
            error.to_string()
        };
        assert_eq!(says(dir.path()), "failed to save image: cannot write to a directory");
        assert_eq!(
            says(Path::new("/dev/null")),
            "failed to save image: cannot write to a character device file"
        );
        assert_eq!(
            says(Path::new("/nowhere/x")),
            "failed to save image: invalid output path: stat /nowhere: no such file or directory"
        );
    }

    #[test]
    fn makes_directories_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        directory(&path, |_| bail!("no")).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        directory(&path, |made| Ok(fs::write(made.join("x"), "x")?)).unwrap();
        assert!(path.join("x").exists());
        let error = directory(&path, |_| Ok(())).unwrap_err();
        assert!(error.to_string().ends_with("exists and is not empty"), "{error}");
    }
}
