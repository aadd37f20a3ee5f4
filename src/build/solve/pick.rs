//! Which files a path with wildcards names, and what lies below them.
//!
//! The rules are BuildKit's: wildcards are those of Go's `filepath.Match`, a name in the path may be a symbolic link
//! as seen in the root, what lies below a directory is taken as it is. All paths are resolved in the root and lead
//! nowhere else.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::runtime::root::Root;

/// How many symbolic links are followed in a path (path_resolution(7)).
const LINKS: usize = 40;

/// What says which names do not count: whether a path is left out, and whether something below it may be in again.
pub(super) trait Filter: Sync {
    fn ignores(&self, path: &str) -> bool;
    fn may_spare_below(&self, path: &str) -> bool;
}

/// A file that was named, or lies below one.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Below the root, without a slash in front.
    pub(super) path: Vec<u8>,
    /// Below what was named; empty for that itself.
    pub(super) at: Vec<u8>,
    /// What it is.
    pub(super) meta: Meta,
    /// Whether it counts only if something below it does.
    tentative: bool,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    pub(super) blocks: u64,
    pub(super) device: u64,
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
    pub(super) id: (u64, u64),
    pub(super) links: u64,
}

impl Meta {
    pub(super) fn of(stat: &Stat) -> Self {
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the types differ by architecture")]
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            device: stat.st_rdev as u64,
            modified: (stat.st_mtime as i64, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            changed: (stat.st_ctime as i64, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            id: (stat.st_dev as u64, stat.st_ino as u64),
            links: stat.st_nlink as u64,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }
}

/// One thing that was named, and all below it; a directory comes before what it holds.
#[derive(Debug)]
pub(super) struct Named {
    /// The path that named it, for people and for `--parents`.
    pub(super) path: Vec<u8>,
    pub(super) found: Vec<Found>,
}

impl Named {
    pub(super) fn is_directory(&self) -> bool {
        self.found.first().is_some_and(|found| found.meta.is_directory())
    }
}

/// Returns what `pattern` names in `root`. `ignore` speaks of paths below the root, `exclude` of paths below what is
/// named.
pub(super) fn select(
    root: &Root,
    pattern: &str,
    ignore: Option<&dyn Filter>,
    exclude: Option<&dyn Filter>,
) -> Result<Vec<Named>> {
    let mut all = Vec::new();
    let matches = expand(root, pattern)?;
    let is_wild = has_wildcard(pattern);
    for path in matches {
        let shown = || format!("{:?}: not found", format!("/{}", String::from_utf8_lossy(&path)));
        let Some(real) = real(root, &path)? else { bail!(shown()) };
        let Some(meta) = look(root, &real)? else { bail!(shown()) };
        let text = String::from_utf8_lossy(&real).into_owned();
        let ignored = ignore.is_some_and(|it| !text.is_empty() && it.ignores(&text));
        if ignored && !(meta.is_directory() && ignore.is_some_and(|it| it.may_spare_below(&text))) {
            if is_wild {
                continue;
            }
            bail!(shown());
        }
        let top = Found { path: real, at: Vec::new(), meta, tentative: ignored };
        if !meta.is_directory()
            && let Some(name) = path.rsplit(|byte| *byte == b'/').next()
            && exclude.is_some_and(|it| it.ignores(&String::from_utf8_lossy(name)))
        {
            continue;
        }
        let found = below(root, top, ignore, exclude)?;
        if found.is_empty() {
            if is_wild {
                continue;
            }
            bail!(shown());
        }
        all.push(Named { path, found });
    }
    Ok(all)
}

/// Lists what lies below `top`, which comes first.
fn below(
    root: &Root,
    top: Found,
    ignore: Option<&dyn Filter>,
    exclude: Option<&dyn Filter>,
) -> Result<Vec<Found>> {
    let mut waiting = vec![top];
    let mut found = Vec::new();
    while let Some(next) = waiting.pop() {
        if next.meta.is_directory() {
            let shown = || format!("read the directory /{}", String::from_utf8_lossy(&next.path));
            let dir = open(root, &next.path, OFlags::RDONLY | OFlags::DIRECTORY).with_context(shown)?;
            let mut names = Vec::new();
            for entry in Dir::read_from(&dir).with_context(shown)? {
                let name = entry.with_context(shown)?.file_name().to_owned();
                if !matches!(name.as_bytes(), b"." | b"..") {
                    names.push(name);
                }
            }
            names.sort_unstable();
            let mut entries = Vec::with_capacity(names.len());
            for name in names {
                entries.extend(entry(&dir, &next, name, ignore, exclude)?);
            }
            waiting.extend(entries.into_iter().rev());
        }
        found.push(next);
    }
    // From the end: a doubtful directory is followed by what it holds, if that counts.
    let mut kept: Vec<Found> = Vec::with_capacity(found.len());
    for next in found.into_iter().rev() {
        let holds = |last: &Found| {
            next.path.is_empty()
                || last
                    .path
                    .strip_prefix(next.path.as_slice())
                    .is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        if !next.tentative || kept.last().is_some_and(holds) {
            kept.push(next);
        }
    }
    kept.reverse();
    Ok(kept)
}

fn entry(
    dir: &OwnedFd,
    above: &Found,
    name: CString,
    ignore: Option<&dyn Filter>,
    exclude: Option<&dyn Filter>,
) -> Result<Option<Found>> {
    let path = join(&above.path, name.as_bytes());
    let at = join(&above.at, name.as_bytes());
    let mut tentative = false;
    for (filter, path) in [(ignore, &path), (exclude, &at)] {
        let Some(filter) = filter else { continue };
        let text = String::from_utf8_lossy(path);
        if filter.ignores(&text) {
            if !filter.may_spare_below(&text) {
                return Ok(None);
            }
            tentative = true;
        }
    }
    let stat = match rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("look at /{}", String::from_utf8_lossy(&path)));
        }
    };
    let meta = Meta::of(&stat);
    if tentative && !meta.is_directory() {
        return Ok(None);
    }
    Ok(Some(Found { path, at, meta, tentative }))
}

/// Opens a path below the root on which there is no symbolic link.
pub(super) fn open(root: &Root, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    root.open_with(Path::new(OsStr::from_bytes(path)), flags | OFlags::NOFOLLOW)
}

/// Looks at a path below the root, whose last part is not followed.
pub(super) fn look(root: &Root, path: &[u8]) -> Result<Option<Meta>> {
    let at = || format!("look at /{}", String::from_utf8_lossy(path));
    match open(root, path, OFlags::PATH) {
        Ok(fd) => Ok(Some(Meta::of(&rustix::fs::fstat(fd).with_context(at)?))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).with_context(at),
    }
}

/// Returns a path without symbolic links, as far as there is something; `None` if it is not there.
pub(super) fn real(root: &Root, path: &[u8]) -> Result<Option<Vec<u8>>> {
    let (done, rest) = follow(root, path)?;
    Ok(rest.is_empty().then_some(done))
}

/// Returns the part of a path that is there, without symbolic links, and the names that are not.
pub(super) fn follow(root: &Root, path: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let split = |path: &[u8]| path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut waiting = split(path);
    let mut done: Vec<u8> = Vec::new();
    let mut links = 0;
    while let Some(part) = waiting.pop() {
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                done.truncate(memchr::memrchr(b'/', &done).unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let next = join(&done, &part);
        let Some(meta) = look(root, &next)? else {
            waiting.push(part);
            let rest = waiting.into_iter().rev().filter(|part| !matches!(part.as_slice(), b"" | b"."));
            return Ok((done, rest.collect()));
        };
        if meta.kind != FileType::Symlink {
            done = next;
            continue;
        }
        links += 1;
        if links > LINKS {
            bail!("/{}: too many symbolic links", String::from_utf8_lossy(path));
        }
        let link = open(root, &next, OFlags::PATH).context("open a symbolic link")?;
        let target = rustix::fs::readlinkat(link, "", Vec::new()).context("read a symbolic link")?;
        if target.as_bytes().first() == Some(&b'/') {
            done.clear();
        }
        waiting.extend(split(target.as_bytes()));
    }
    Ok((done, Vec::new()))
}

/// Returns the paths that a pattern matches; a path without wildcards matches itself, whether it is there or not.
fn expand(root: &Root, pattern: &str) -> Result<Vec<Vec<u8>>> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let mut found: Vec<Vec<u8>> = vec![Vec::new()];
    for part in parts {
        if part == ".." {
            for path in &mut found {
                path.truncate(memchr::memrchr(b'/', path).unwrap_or(0));
            }
            continue;
        }
        if !has_wildcard(part) {
            found = found.into_iter().map(|path| join(&path, part.as_bytes())).collect();
            continue;
        }
        let mut next = Vec::new();
        for path in found {
            let Some(real) = real(root, &path)? else { continue };
            let dir = match open(root, &real, OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(dir) => dir,
                Err(Errno::NOTDIR | Errno::NOENT) => continue,
                Err(error) => return Err(error).context("read a directory"),
            };
            for entry in Dir::read_from(&dir).context("read a directory")? {
                let entry = entry.context("read a directory")?;
                let name = entry.file_name().to_bytes();
                if !matches!(name, b"." | b"..") && matches(part.as_bytes(), name)? {
                    next.push(join(&path, name));
                }
            }
        }
        next.sort_unstable();
        found = next;
    }
    if has_wildcard(pattern) {
        // What follows a wildcard need not be there in all that it matches.
        let mut there = Vec::new();
        for path in found {
            if real(root, &path)?.is_some() {
                there.push(path);
            }
        }
        found = there;
    }
    Ok(found)
}

fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '\\'])
}

/// Go's `filepath.Match` for one name.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> Result<bool> {
    let bad = || anyhow::anyhow!("syntax error in pattern {:?}", String::from_utf8_lossy(pattern));
    let Some((first, rest)) = pattern.split_first() else { return Ok(name.is_empty()) };
    match first {
        b'*' => {
            for at in 0..=name.len() {
                if matches(rest, &name[at..])? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        b'?' => match character(name) {
            Some((_, after)) => matches(rest, after),
            None => Ok(false),
        },
        b'[' => {
            let (negated, mut rest) = match rest.split_first() {
                Some((b'^', rest)) => (true, rest),
                _ => (false, rest),
            };
            let found = character(name);
            let (mut within, mut ranges) = (false, 0);
            loop {
                if let Some((b']', after)) = rest.split_first()
                    && ranges > 0
                {
                    rest = after;
                    break;
                }
                let (low, after) = bound(rest).ok_or_else(bad)?;
                let (high, after) = match after.split_first() {
                    Some((b'-', after)) => bound(after).ok_or_else(bad)?,
                    _ => (low, after),
                };
                rest = after;
                ranges += 1;
                within |= found.is_some_and(|(character, _)| (low..=high).contains(&character));
            }
            match found {
                Some((_, after)) if within != negated => matches(rest, after),
                _ => Ok(false),
            }
        }
        first => {
            let (first, rest) =
                if *first == b'\\' { rest.split_first().ok_or_else(bad)? } else { (first, rest) };
            match name.split_first() {
                Some((byte, after)) if byte == first => matches(rest, after),
                _ => Ok(false),
            }
        }
    }
}

/// Takes the first character; a byte that is none counts as one.
fn character(text: &[u8]) -> Option<(char, &[u8])> {
    let length = match text.first()? {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    };
    let of = text.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next());
    Some(match of {
        Some(character) => (character, &text[length..]),
        None => (char::REPLACEMENT_CHARACTER, &text[1..]),
    })
}

/// Takes the bound of a range.
fn bound(text: &[u8]) -> Option<(char, &[u8])> {
    match text.first()? {
        b'-' | b']' => None,
        b'\\' => character(&text[1..]),
        _ => character(text),
    }
}

pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct No(&'static str, bool);

    impl Filter for No {
        fn ignores(&self, path: &str) -> bool {
            path.starts_with(self.0) && !path.ends_with("keep")
        }

        fn may_spare_below(&self, _path: &str) -> bool {
            self.1
        }
    }

    #[test]
    fn matches_as_go_does() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[\\]a]", "]", true),
            ("a*b*c", "axxbyyc", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()).unwrap(), expected, "{pattern} {name}");
        }
        for bad in ["[]a]", "[-]", "[a", "a[", "[a-]x"] {
            assert!(matches(bad.as_bytes(), b"a").is_err(), "{bad}");
        }
    }

    #[test]
    fn selects_what_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("src/deep")).unwrap();
        fs::write(at("src/a.c"), "a").unwrap();
        fs::write(at("src/b.h"), "b").unwrap();
        fs::write(at("src/deep/keep"), "k").unwrap();
        symlink("/src", at("link")).unwrap();
        symlink("../outside", at("src/out")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        let names = |pattern: &str, ignore: Option<&dyn Filter>, exclude: Option<&dyn Filter>| {
            let selected = select(&root, pattern, ignore, exclude)?;
            let all = selected.iter().flat_map(|named| &named.found);
            anyhow::Ok(all.map(|found| String::from_utf8(found.path.clone()).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(names("/src/*.c", None, None).unwrap(), ["src/a.c"]);
        assert_eq!(
            names("link", None, None).unwrap(),
            ["src", "src/a.c", "src/b.h", "src/deep", "src/deep/keep", "src/out"]
        );
        assert_eq!(names("*/deep/kee?", None, None).unwrap(), ["src/deep/keep", "src/deep/keep"]);
        assert_eq!(names("no*", None, None).unwrap(), [""; 0]);
        assert_eq!(names("no", None, None).unwrap_err().to_string(), "\"/no\": not found");
        assert_eq!(names("src/out", None, None).unwrap_err().to_string(), "\"/src/out\": not found");
        assert_eq!(
            names("/", Some(&No("src", true)), None).unwrap(),
            ["", "link", "src", "src/deep", "src/deep/keep"]
        );
        assert!(names("src/a.c", Some(&No("src", false)), None).is_err());
        assert_eq!(
            names("src", None, Some(&No("deep", true))).unwrap(),
            ["src", "src/a.c", "src/b.h", "src/deep", "src/deep/keep", "src/out"]
        );
        assert_eq!(names("src/*.h", None, Some(&No("b", false))).unwrap(), [""; 0]);
    }
}
