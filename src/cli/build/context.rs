//! Where a build's files are: a directory, which is read in place, or what is fetched into one.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::request::Request;
use crate::build::git::{self, GitReference};
use crate::build::ignore;
use crate::cli::load::stdin;
use crate::registry::{Access, Client, Proxies};
use crate::store::{Staged, Store};

/// The largest Dockerfile.
const DOCKERFILE_MAX: u64 = 2 << 20;

/// A context and its Dockerfile.
#[derive(Debug)]
pub(super) struct Place {
    /// The files.
    pub(super) directory: PathBuf,
    /// What the Dockerfile is called in errors.
    pub(super) name: String,
    /// What it says.
    pub(super) dockerfile: String,
    /// The lines of the ignore file.
    pub(super) ignore: Vec<String>,
    /// Holds what was fetched until the build is over.
    _held: Option<Staged>,
}

/// Finds the context and reads the Dockerfile.
pub(super) fn find(request: &Request, store: &Store) -> Result<Place> {
    let (directory, held, given) = match request.context.as_str() {
        "-" => {
            ensure!(
                request.file.as_deref() != Some("-"),
                "invalid argument: can't use stdin for both build context and dockerfile"
            );
            let held = store.stage()?;
            let directory = held.path("context");
            fs::create_dir(&directory).context("create the context")?;
            let given = from_stream(Box::new(stdin()), &directory)?;
            (directory, Some(held), given)
        }
        address
            if address.starts_with("http://")
                || address.starts_with("https://")
                || git::parse(address).is_ok_and(|found| found.is_some()) =>
        {
            let held = store.stage()?;
            let directory = held.path("context");
            fs::create_dir(&directory).context("create the context")?;
            if let Some(found) = git::parse(address).map_err(anyhow::Error::msg)? {
                (checkout(&found, &directory)?, Some(held), None)
            } else {
                let proxies = Proxies::read(|name| std::env::var(name).ok());
                let stream = Client::new(Access { proxies, ..Access::default() }).download(address)?;
                let given = from_stream(stream, &directory)?;
                (directory, Some(held), given)
            }
        }
        path => {
            let path = Path::new(path);
            let Ok(kind) = fs::metadata(path) else {
                bail!("unable to prepare context: path {:?} not found", path.display().to_string());
            };
            if kind.is_dir() {
                (std::path::absolute(path)?, None, None)
            } else {
                let held = store.stage()?;
                let directory = held.path("context");
                fs::create_dir(&directory).context("create the context")?;
                let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
                let given = from_stream(Box::new(file), &directory)?;
                ensure!(
                    given.is_none(),
                    "unable to prepare context: {} is no directory and no archive",
                    path.display()
                );
                (directory, Some(held), None)
            }
        }
    };
    let remote = held.is_some();
    let (name, path, dockerfile) = match (given, request.file.as_deref()) {
        (Some(given), _) => ("Dockerfile".to_owned(), None, given),
        (None, Some("-")) => ("Dockerfile".to_owned(), None, text(stdin(), "standard input")?),
        (None, file) => {
            let path = dockerfile_path(&directory, file, remote)?;
            let name = file.map_or_else(|| file_name(&path), ToOwned::to_owned);
            let content = read(&path)?;
            (name, Some(path), content)
        }
    };
    let ignore = match path.as_deref().map(beside) {
        Some(own) if own.exists() => ignore_lines(&own)?,
        _ => ignore_lines(&directory.join(".dockerignore"))?,
    };
    Ok(Place { directory, name, dockerfile, ignore, _held: held })
}

/// Returns where the Dockerfile is: of a directory here, as the shell sees it; of what was fetched, within.
fn dockerfile_path(directory: &Path, file: Option<&str>, remote: bool) -> Result<PathBuf> {
    match file {
        None => {
            let path = directory.join("Dockerfile");
            let lower = directory.join("dockerfile");
            Ok(if !path.exists() && lower.exists() { lower } else { path })
        }
        Some(file) if remote => {
            let inside = ignore::clean(&format!("/{file}"));
            Ok(directory.join(inside.trim_start_matches('/')))
        }
        Some(file) => Ok(std::path::absolute(file)?),
    }
}

/// Returns the path of the ignore file that belongs to one Dockerfile.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}.dockerignore", file_name(path)))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<String> {
    let missing = |error: io::Error| {
        let reason = if error.kind() == io::ErrorKind::NotFound {
            "no such file or directory".to_owned()
        } else {
            error.to_string()
        };
        anyhow::anyhow!("failed to read dockerfile: open {}: {reason}", file_name(path))
    };
    let file = File::open(path).map_err(missing)?;
    ensure!(!file.metadata()?.is_dir(), "failed to read dockerfile: {} is a directory", path.display());
    text(file, &path.display().to_string())
}

fn text(reader: impl Read, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    reader.take(DOCKERFILE_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("read {name}"))?;
    ensure!(bytes.len() as u64 <= DOCKERFILE_MAX, "read {name}: it is larger than 2 MiB");
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads an ignore file; one that is not there leaves nothing out.
pub(super) fn ignore_lines(path: &Path) -> Result<Vec<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(ignore::lines(&bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Unpacks an archive, or returns the Dockerfile that the stream is.
fn from_stream(stream: Box<dyn Read + Send>, directory: &Path) -> Result<Option<String>> {
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let head = fill(&mut stream)?;
    let plain: Box<dyn Read> = match head.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::BzDecoder::new(stream)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(liblzma::bufread::XzDecoder::new(stream)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::Decoder::with_buffer(stream)?),
        head if is_tar(head) => Box::new(stream),
        _ => return text(stream, "the Dockerfile").map(Some),
    };
    let mut archive = tar::Archive::new(plain);
    archive.set_preserve_permissions(true);
    archive.unpack(directory).context("unpack the context")?;
    Ok(None)
}

/// Returns the first block of a stream, which is read again.
fn fill(stream: &mut BufReader<Box<dyn Read + Send>>) -> Result<Vec<u8>> {
    // One read of a pipe may give less than a block.
    let mut first = vec![0; 512];
    let mut length = 0;
    while length < first.len() {
        let read = stream.get_mut().read(&mut first[length..]).context("read the context")?;
        if read == 0 {
            break;
        }
        length += read;
    }
    first.truncate(length);
    let rest = std::mem::replace(stream.get_mut(), Box::new(io::empty()));
    *stream = BufReader::with_capacity(64 << 10, Box::new(io::Cursor::new(first.clone()).chain(rest)));
    stream.fill_buf().context("read the context")?;
    Ok(first)
}

/// Tells whether a block is the header of an archive.
fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.first_chunk::<512>() else { return false };
    if &block[257..262] == b"ustar" {
        return true;
    }
    let digits = String::from_utf8_lossy(&block[148..156]);
    let told = u32::from_str_radix(digits.trim_matches(['\0', ' ']), 8);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    told == Ok(sum)
}

/// Fetches a revision of a repository and returns the directory that is the context.
fn checkout(found: &GitReference, directory: &Path) -> Result<PathBuf> {
    let git = |words: &[&str]| -> Result<String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(directory)
            .args(["-c", "protocol.file.allow=user", "-c", "advice.detachedHead=false"])
            .args(words)
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .output()
            .context("run git, which fetches contexts that are repositories")?;
        if !output.status.success() {
            bail!("git {}: {}", words[0], String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    ensure!(!found.revision.starts_with('-') && !found.remote.starts_with('-'), "invalid git reference");
    let revision = if found.revision.is_empty() { "HEAD" } else { found.revision.as_str() };
    git(&["init", "-q"])?;
    git(&["remote", "add", "origin", &found.remote])?;
    if git(&["fetch", "-q", "--depth=1", "origin", revision]).is_ok() {
        git(&["checkout", "-q", "FETCH_HEAD"])?;
    } else {
        // A commit that is no tip may have to be looked for in all branches.
        git(&["fetch", "-q", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"])
            .with_context(|| format!("failed to fetch remote {}", found.remote))?;
        git(&["checkout", "-q", revision])?;
    }
    if let Some(wanted) = &found.checksum {
        let actual = git(&["rev-parse", "HEAD"])?;
        ensure!(actual.starts_with(wanted.as_str()), "expected checksum to match {wanted}, got {actual}");
    }
    if directory.join(".gitmodules").exists() {
        git(&["submodule", "-q", "update", "--init", "--recursive", "--depth=1"])?;
    }
    if found.keep != Some(true) {
        fs::remove_dir_all(directory.join(".git")).context("remove .git")?;
    }
    let inside = ignore::clean(&format!("/{}", found.subdirectory.display()));
    let context = directory.join(inside.trim_start_matches('/'));
    // A link must not lead out of the repository.
    let real =
        fs::canonicalize(&context).with_context(|| format!("find directory {inside} in the repository"))?;
    ensure!(
        real.starts_with(fs::canonicalize(directory)?) && real.is_dir(),
        "subdir {inside} is not a directory"
    );
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_archives_from_dockerfiles() {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o755);
        header.set_cksum();
        builder.append_data(&mut header, "a/b", &b"hi"[..]).unwrap();
        let archive = builder.into_inner().unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, &archive).unwrap();
        for (name, bytes) in [("plain", archive), ("packed", packed.finish().unwrap())] {
            let directory = dir.path().join(name);
            fs::create_dir(&directory).unwrap();
            assert!(from_stream(Box::new(io::Cursor::new(bytes)), &directory).unwrap().is_none());
            assert_eq!(fs::read(directory.join("a/b")).unwrap(), b"hi");
        }
        let given = from_stream(Box::new(io::Cursor::new(b"FROM a\n".to_vec())), dir.path()).unwrap();
        assert_eq!(given.as_deref(), Some("FROM a\n"));
    }
}
