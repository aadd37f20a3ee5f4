//! The host's side of a copy: files of the user's, found by the rules and with the words of Docker's client.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::words::{Source, Target, base, clean, ends_in_slash, join, preserve, rebase, split};

/// How many links of a destination are followed.
const LINKS: usize = 10;

/// Returns the absolute path, with the end that was typed.
pub fn absolute(path: &str) -> Result<String> {
    let cwd = std::env::current_dir()?;
    let full = if path.starts_with('/') { clean(path) } else { join(&cwd.to_string_lossy(), path) };
    Ok(preserve(full, path))
}

/// Refuses a destination that cannot be one.
pub fn check_destination(path: &str) -> Result<()> {
    let (dir, _) = split(&clean(path));
    if fs::metadata(&dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        bail!("invalid output path: directory {dir:?} does not exist");
    }
    match fs::metadata(path) {
        Ok(meta) => {
            let kind = meta.file_type();
            if kind.is_char_device() || kind.is_block_device() {
                bail!("invalid output path: {path:?} must be a directory or a regular file: got a device");
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("stat", path, &error)),
    }
}

/// Finds what is to be copied into a container.
pub(super) fn source(path: &str, follow: bool) -> Result<Source> {
    let (path, name) = if follow {
        rebase(path, real(path)?)
    } else {
        let at = path.rfind('/').map_or(0, |at| at + 1);
        let resolved = format!("{}/{}", real(&path[..at])?.trim_end_matches('/'), &path[at..]);
        let renamed = ends_in_slash(path) && base(path) != base(&resolved);
        (resolved, renamed.then(|| base(path).to_owned()))
    };
    let meta = look(&path)?;
    Ok(Source { is_directory: meta.is_dir(), path, name })
}

/// Finds where something out of a container is copied to. A link is followed, and what it leads to need not be
/// there, but for the directory that it would be in.
pub(super) fn target(path: &str) -> Result<Target> {
    let mut at = path.to_owned();
    let mut links = 0;
    loop {
        match fs::symlink_metadata(&at) {
            Ok(meta) if meta.is_symlink() => {
                links += 1;
                if links > LINKS {
                    bail!("too many symlinks in {path}");
                }
                let link = fs::read_link(&at).map_err(|error| failed("readlink", &at, &error))?;
                at = seen_from(&at, &link);
            }
            Ok(meta) => return Ok(Target { exists: true, is_directory: meta.is_dir(), path: at }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (dir, _) = split(&at);
                let meta = fs::metadata(&dir).map_err(|error| failed("stat", &dir, &error))?;
                if !meta.is_dir() {
                    bail!("not a directory");
                }
                return Ok(Target { exists: false, is_directory: false, path: at });
            }
            Err(error) => return Err(failed("lstat", &at, &error)),
        }
    }
}

fn seen_from(path: &str, link: &Path) -> String {
    let link = link.to_string_lossy();
    if link.starts_with('/') { link.into_owned() } else { join(&split(path).0, &link) }
}

/// Returns a path without symbolic links.
fn real(path: &str) -> Result<String> {
    match fs::canonicalize(path) {
        Ok(real) => Ok(real.to_string_lossy().into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The first part that is not there is the one to name.
            let path = clean(path);
            if let Ok(link) = fs::read_link(&path) {
                return Err(failed("lstat", &seen_from(&path, &link), &error));
            }
            let missing = path
                .match_indices('/')
                .skip(1)
                .map(|(at, _)| &path[..at])
                .find(|part| fs::symlink_metadata(part).is_err())
                .unwrap_or(&path);
            Err(failed("lstat", missing, &error))
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => Err(anyhow!("not a directory")),
        Err(error) => Err(failed("lstat", path, &error)),
    }
}

fn look(path: &str) -> Result<Metadata> {
    fs::symlink_metadata(path).map_err(|error| failed("lstat", path, &error))
}

/// Says an error as Go does.
fn failed(act: &str, path: &str, error: &io::Error) -> anyhow::Error {
    let said = error.to_string();
    let said = said.split(" (os error").next().unwrap_or(&said);
    let mut letters = said.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    anyhow!("{act} {path}: {}", first.into_iter().chain(letters).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn finds_sources_and_destinations() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap().to_str().unwrap().to_owned();
        let at = |name: &str| format!("{top}/{name}");
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/f"), "").unwrap();
        symlink("d", at("l")).unwrap();
        symlink("d/f", at("lf")).unwrap();
        symlink("d/new", at("dangling")).unwrap();
        let found = |path: &str, follow| source(&at(path), follow).unwrap();
        let made = |path: &str, is_directory, name: Option<&str>| Source {
            path: at(path),
            is_directory,
            name: name.map(str::to_owned),
        };
        assert_eq!(found("d", false), made("d", true, None));
        assert_eq!(found("l", false), made("l", false, None));
        assert_eq!(found("l/", false), made("d/", true, Some("l")));
        assert_eq!(found("l/.", false), made("d/.", true, None));
        assert_eq!(found("l", true), made("d", true, Some("l")));
        assert_eq!(found("lf", true), made("d/f", false, Some("lf")));
        for (path, follow, expected) in [
            ("no", false, format!("lstat {}: no such file or directory", at("no"))),
            ("no/x", false, format!("lstat {}: no such file or directory", at("no"))),
            ("d/f/", false, "not a directory".to_owned()),
            ("dangling", true, format!("lstat {}: no such file or directory", at("d/new"))),
        ] {
            assert_eq!(source(&at(path), follow).unwrap_err().to_string(), expected);
        }
        let to = |path: &str| target(&at(path)).unwrap();
        let wanted = |path: &str, exists, is_directory| Target { path: at(path), exists, is_directory };
        assert_eq!(to("l"), wanted("d", true, true));
        assert_eq!(to("lf"), wanted("d/f", true, false));
        assert_eq!(to("dangling"), wanted("d/new", false, false));
        assert_eq!(to("new/"), wanted("new/", false, false));
        let error = check_destination(&at("no/x")).unwrap_err().to_string();
        assert_eq!(error, format!("invalid output path: directory {:?} does not exist", at("no")));
        let error = check_destination("/dev/null").unwrap_err().to_string();
        assert!(error.ends_with("must be a directory or a regular file: got a device"), "{error}");
    }
}
