//! Files from elsewhere: of the Dockerfile itself, of the web, of repositories.
//!
//! What comes from the web lies in `cache/web/<address>/<digest>/<name>`, with `about.json` beside the digests; a file
//! that its server still knows is not fetched again. A revision of a repository lies in `cache/git/<revision>/tree`.
//! Both are made beside their place and renamed.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::perform::Build;
use super::worker::Stopped;
use crate::build::event::EventKind;
use crate::build::graph::{Source, StepId, file_of};
use crate::image::{self, Download};
use crate::oci::{Digest, Hasher};
use crate::runtime::root::Root;
use crate::store::{self, Lock, Mode, read_json, replace_json};

/// The file `cache/web/<address>/about.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct About {
    url: String,
    etag: Option<String>,
    digest: Digest,
    name: String,
}

/// Returns the directory in which the files of a source are.
pub(super) fn bring(build: &Build<'_>, id: StepId, source: &Source) -> Result<PathBuf> {
    match source {
        Source::Context { name } => bail!("the context {name} is where it is"),
        Source::Inline(files) => {
            let dir = build.staged.path(&format!("inline-{}", id.0));
            fs::create_dir(&dir).context("make a directory for here-documents")?;
            for (name, content) in files {
                let path = dir.join(name);
                fs::write(&path, content).context("write a here-document")?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).context("set permissions")?;
                // Its text is all there is to it.
                let file = File::open(&path).context("open a here-document")?;
                file.set_modified(UNIX_EPOCH).context("set a time")?;
            }
            Ok(dir)
        }
        Source::Web { url, checksum } => web(build, id, url, checksum.as_ref()),
        Source::Git { remote, revision, subdirectory, keep, checksum } => {
            git(build, &Wanted { remote, revision, subdirectory, keep: *keep, checksum: checksum.as_deref() })
        }
    }
}

fn web(build: &Build<'_>, id: StepId, url: &str, checksum: Option<&Digest>) -> Result<PathBuf> {
    let kept = build.store.cache_dir(&format!("web/{}", &Digest::of(url.as_bytes()).hex()[..32]))?;
    build.hold(&kept)?;
    let _filling = Lock::take(&kept.join("fill"), Mode::Exclusive).context("lock a file from the web")?;
    let about: Option<About> = read_json(&kept.join("about.json")).unwrap_or_default();
    let about = about.filter(|about| kept.join(about.digest.hex()).join(&about.name).exists());
    if let Some(about) = &about
        && checksum == Some(&about.digest)
    {
        return Ok(kept.join(about.digest.hex()));
    }
    let etag = about.as_ref().and_then(|about| about.etag.as_deref());
    let Some(download) = image::download(url, etag)? else {
        let about = about.context("the server says that nothing has changed, but nothing is here")?;
        verify(url, &about.digest, checksum)?;
        return Ok(kept.join(about.digest.hex()));
    };
    let name = file_of(url).to_owned();
    let etag = download.etag.clone();
    let modified = download.modified.as_deref().and_then(parse_time).unwrap_or(UNIX_EPOCH);
    let new = kept.join("new");
    store::remove_tree(&new).context("remove what was left half-fetched")?;
    fs::create_dir(&new).context("make a directory for a file")?;
    let digest = fetch(build, id, url, download, &new.join(&name))?;
    verify(url, &digest, checksum)?;
    let path = new.join(&name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).context("set permissions")?;
    let file = File::open(&path).context("open the file")?;
    file.set_modified(modified).context("set its time")?;
    file.sync_all().context("write the file to the disk")?;
    let place = kept.join(digest.hex());
    store::remove_tree(&place).context("remove an older copy")?;
    fs::rename(&new, &place).context("give the file its name")?;
    replace_json(&kept.join("about.json"), &About { url: url.to_owned(), etag, digest, name })?;
    Ok(place)
}

fn verify(url: &str, found: &Digest, wanted: Option<&Digest>) -> Result<()> {
    let matches = wanted.is_none_or(|wanted| wanted == found);
    ensure!(matches, "digest mismatch for {url}: {found} (expected: {})", wanted.unwrap_or(found));
    Ok(())
}

fn fetch(build: &Build<'_>, id: StepId, url: &str, mut download: Download, path: &Path) -> Result<Digest> {
    let mut file = File::create_new(path).context("create a file")?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    let mut current = 0;
    loop {
        if build.inputs.stop.load(Ordering::Relaxed) {
            return Err(Stopped.into());
        }
        let count = download.body.read(&mut buffer).with_context(|| format!("fetch {url}"))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).context("write the file")?;
        current += count as u64;
        let name = "downloading".to_owned();
        build.say(id, EventKind::Progress { name, current, total: None, done: false });
    }
    let name = "downloading".to_owned();
    build.say(id, EventKind::Progress { name, current, total: Some(current), done: true });
    Ok(hasher.finish())
}

/// Reads a time as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_time(text: &str) -> Option<SystemTime> {
    let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(parsed.timestamp().as_second()).ok()?))
}

/// A revision of a repository.
struct Wanted<'a> {
    remote: &'a str,
    revision: &'a str,
    subdirectory: &'a Path,
    keep: bool,
    checksum: Option<&'a str>,
}

fn git(build: &Build<'_>, wanted: &Wanted<'_>) -> Result<PathBuf> {
    let commit = commit_of(wanted)?;
    if let Some(checksum) = wanted.checksum {
        ensure!(commit.starts_with(checksum), "expected checksum to match {checksum}, got {commit}");
    }
    let name = Digest::of(format!("{}\0{commit}\0{}", wanted.remote, wanted.keep).as_bytes());
    let kept = build.store.cache_dir(&format!("git/{}", &name.hex()[..32]))?;
    build.hold(&kept)?;
    // Another lock than that one, which this build and others hold to their ends.
    let filling = Lock::take(&kept.join("fill"), Mode::Exclusive).context("lock a repository")?;
    let tree = kept.join("tree");
    if !tree.exists() {
        let new = kept.join("new");
        store::remove_tree(&new).context("remove what was left half-fetched")?;
        fs::create_dir(&new).context("make a directory for a repository")?;
        check_out(&new, wanted, &commit)?;
        fs::rename(&new, &tree).context("give the repository its name")?;
    }
    drop(filling);
    if wanted.subdirectory.as_os_str().is_empty() {
        return Ok(tree);
    }
    let root = Root::open(&tree).context("open the repository")?;
    let below = super::step::resolve(&root, wanted.subdirectory)?;
    Ok(tree.join(super::contents::as_path(&below)))
}

/// Asks the remote which commit a revision is.
fn commit_of(wanted: &Wanted<'_>) -> Result<String> {
    let is_commit = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit(wanted.revision) {
        return Ok(wanted.revision.to_owned());
    }
    let revision = if wanted.revision.is_empty() { "HEAD" } else { wanted.revision };
    let tag = format!("{revision}^{{}}");
    let listed = run(Path::new("/"), &["ls-remote", "--", wanted.remote, revision, &tag])?;
    let mut found: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
    // What an annotated tag points to counts, and a branch more than a tag of the same name.
    let rank = |name: &str| (!name.ends_with("^{}"), !name.starts_with("refs/heads/"), name.len());
    found.sort_by_key(|(_, name)| rank(name));
    let Some((commit, _)) = found.first() else {
        bail!("repository does not contain ref {:?}", wanted.revision);
    };
    Ok((*commit).to_owned())
}

fn check_out(dir: &Path, wanted: &Wanted<'_>, commit: &str) -> Result<()> {
    run(dir, &["init", "--quiet", "."])?;
    run(dir, &["remote", "add", "origin", wanted.remote])?;
    let revision = if wanted.revision.is_empty() { "HEAD" } else { wanted.revision };
    // A server may refuse to give a commit by its number.
    let by_number = run(dir, &["fetch", "--quiet", "--depth", "1", "origin", commit]);
    if by_number.is_err() {
        let by_name = run(dir, &["fetch", "--quiet", "--depth", "1", "origin", revision]);
        if by_name.is_err() || run(dir, &["cat-file", "-e", commit]).is_err() {
            run(dir, &["fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"])?;
        }
    }
    run(dir, &["checkout", "--quiet", "--force", "--detach", commit])?;
    run(dir, &["submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1"])?;
    if !wanted.keep {
        store::remove_tree(&dir.join(".git")).context("remove what git keeps")?;
    }
    Ok(())
}

fn run(dir: &Path, words: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.current_dir(dir).args(words).stdin(Stdio::null());
    command.env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("a repository is fetched by the program git, which is not installed")
        }
        Err(error) => return Err(error).context("run git"),
    };
    if !output.status.success() {
        bail!("git {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_time_of_http() {
        let time = parse_time("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(time, UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert_eq!(parse_time("yesterday"), None);
    }
}
