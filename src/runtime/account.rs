//! An account for the user in the files of an image that does not know them.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::root::Root;
use crate::idmap;

/// The most that is read of a file of accounts.
const LIMIT: u64 = 16 << 20;

/// Whom the container's accounts are to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// The login name, unless somebody else has it already.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of the user's group.
    pub gid: u32,
    /// The home directory.
    pub home: String,
}

/// Adds the account and its group to those of the root file system, where their ids have none.
pub(super) fn add(root: &Root, account: &NewAccount) -> Result<()> {
    let NewAccount { name, uid, gid, home } = account;
    let passwd = Path::new("/etc/passwd");
    append(root, passwd, |content| {
        if idmap::passwd(content).any(|other| other.uid == *uid) {
            return None;
        }
        let number = uid.to_string();
        let taken = idmap::passwd(content).any(|other| other.name == *name);
        let name = if taken { &number } else { name };
        Some(format!("{name}:*:{uid}:{gid}::{home}:/bin/sh\n"))
    })
    .with_context(|| format!("add {name} to {}", passwd.display()))?;
    let group = Path::new("/etc/group");
    append(root, group, |content| {
        if idmap::group(content).any(|other| other.gid == *gid) {
            return None;
        }
        let number = gid.to_string();
        let taken = idmap::group(content).any(|other| other.name == *name);
        let group = if taken { &number } else { name };
        Some(format!("{group}:x:{gid}:{name}\n"))
    })
    .with_context(|| format!("add {name} to {}", group.display()))
}

/// Appends the line that `line` makes of a file's content, if any. What is there and is no file stays as it is, and so
/// does an image that has no `/etc`.
fn append(root: &Root, path: &Path, line: impl Fn(&[u8]) -> Option<String>) -> Result<()> {
    let content = root.read(path, LIMIT)?;
    let is_new = content.is_none();
    let content = content.unwrap_or_default();
    let Some(line) = line(&content) else { return Ok(()) };
    let Some(file) = open(root, path, is_new)? else { return Ok(()) };
    let gap = if content.last().is_none_or(|last| *last == b'\n') { "" } else { "\n" };
    Ok(File::from(file).write_all(format!("{gap}{line}").as_bytes())?)
}

fn open(root: &Root, path: &Path, is_new: bool) -> io::Result<Option<OwnedFd>> {
    if is_new {
        let etc = path.parent().unwrap_or(path);
        match root.open_with(etc, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(_) => {}
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        root.make_file(path)?;
    }
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match root.open_with(path, flags) {
        Ok(file) => file,
        Err(Errno::ISDIR | Errno::NXIO | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode).is_file() {
        return Ok(None);
    }
    if is_new {
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    }
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn account(name: &str) -> NewAccount {
        NewAccount { name: name.into(), uid: 1000, gid: 100, home: "/home/a".into() }
    }

    fn added(root: &Path, account: &NewAccount) -> [String; 2] {
        add(&Root::open(root).unwrap(), account).unwrap();
        ["passwd", "group"].map(|name| fs::read_to_string(root.join("etc").join(name)).unwrap_or_default())
    }

    #[test]
    fn adds_who_is_missing_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(added(root, &account("alice")), ["", ""], "nothing is made without /etc");
        fs::create_dir(root.join("etc")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh").unwrap();
        fs::write(root.join("etc/group"), "users:x:100:\n").unwrap();
        let expected = "root:x:0:0::/root:/bin/sh\nalice:*:1000:100::/home/a:/bin/sh\n";
        for _ in 0..2 {
            assert_eq!(added(root, &account("alice")), [expected, "users:x:100:\n"]);
        }
        fs::write(root.join("etc/passwd"), "alice:x:5:5::/:/bin/sh\n").unwrap();
        fs::remove_file(root.join("etc/group")).unwrap();
        let [passwd, group] = added(root, &account("alice"));
        assert!(passwd.ends_with("\n1000:*:1000:100::/home/a:/bin/sh\n"), "{passwd}");
        assert_eq!(group, "alice:x:100:alice\n");
        let mode = fs::metadata(root.join("etc/group")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn leaves_alone_what_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc/passwd")).unwrap();
        fs::write(dir.path().join("outside"), "").unwrap();
        symlink("../../outside", root.join("etc/group")).unwrap();
        add(&Root::open(&root).unwrap(), &account("alice")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("outside")).unwrap(), "");
        assert_eq!(fs::read_to_string(root.join("outside")).unwrap(), "alice:x:100:alice\n");
    }
}
