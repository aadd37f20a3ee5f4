//! Removing trees that strangers made.
//!
//! A container may nest directories a hundred thousand deep, take all permissions from them, or swap one
//! for a symbolic link while it is being removed. So: descend by directory descriptor and never by path,
//! never follow a link, keep few descriptors open, and do not recurse without bound. A directory that
//! lies too deep is renamed up to the top and is dealt with from there.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, chmodat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// How deep directories are followed before they are moved up: a bound on descriptors and on the stack.
const DEPTH: usize = 24;

/// Removes the directory at `path` and everything in it, and goes on past what cannot be removed; the
/// first such error is returned. An absent path is no error. Run it where the ids in the tree are mapped.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = CString::new(name.as_encoded_bytes())?;
    let parent = match openat(
        rustix::fs::CWD,
        parent,
        OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY,
        Mode::empty(),
    ) {
        Ok(parent) => parent,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    remove_tree_at(parent.as_fd(), &name)
}

/// Removes `name` in the directory `parent` as [`remove_tree`] does.
pub fn remove_tree_at(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let top = match open_dir(parent, name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(unlinkat(parent, name, AtFlags::empty())?),
        Err(error) => return Err(error.into()),
    };
    let mut removal = Removal { moved: 0, error: None };
    loop {
        let before = removal.moved;
        removal.empty(&top, &top, 0);
        // What was moved up needs another pass over the top.
        if removal.moved == before {
            break;
        }
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(removal.error.unwrap_or(error).into()),
    }
}

/// How many threads remove trees: on a file system that tells the disk what is free, each waits for it.
const THREADS: usize = 4;
/// How many pieces trees are taken apart into, at least, if they have as many.
const PIECES: usize = 64;

/// Removes directories and files as [`remove_tree`] does, several at a time. What resists is left.
pub fn remove_trees(paths: Vec<PathBuf>) {
    let mut pieces = paths.clone();
    // Two steps down: a layer's `tree`, and what is in its root.
    for _ in 0..3 {
        if paths.is_empty() || pieces.len() >= PIECES {
            break;
        }
        pieces = pieces.into_iter().flat_map(take_apart).collect();
    }
    if pieces.len() > paths.len() {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let _ = remove_tree(piece);
            }
        };
        thread::scope(|scope| {
            for _ in 1..THREADS {
                // One thread less only takes longer.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
    for path in paths {
        let _ = remove_tree(&path);
    }
}

/// Returns the directories in a directory; itself if there is none, if it cannot be read, or if it is a link to
/// somewhere else. The trees belong to nobody any more, so nothing in them changes meanwhile.
fn take_apart(dir: PathBuf) -> Vec<PathBuf> {
    if dir.is_symlink() {
        return vec![dir];
    }
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let below: Vec<PathBuf> = fs::read_dir(&dir)
        .map(|entries| entries.flatten().filter(is_directory).map(|entry| entry.path()).collect())
        .unwrap_or_default();
    if below.is_empty() { vec![dir] } else { below }
}

struct Removal {
    moved: u64,
    error: Option<Errno>,
}

impl Removal {
    fn note(&mut self, error: Errno) {
        if error != Errno::NOENT {
            self.error.get_or_insert(error);
        }
    }

    /// Removes everything in `dir`, moving what lies too deep into `top`.
    fn empty(&mut self, top: &OwnedFd, dir: &OwnedFd, depth: usize) {
        let entries = match Dir::read_from(dir) {
            Ok(entries) => entries,
            Err(error) => return self.note(error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.note(error),
            };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if !entry.file_type().is_dir() {
                match unlinkat(dir, name, AtFlags::empty()) {
                    Ok(()) => continue,
                    // A file system that does not tell types in its directories.
                    Err(Errno::ISDIR | Errno::PERM) => {}
                    Err(error) => {
                        self.note(error);
                        continue;
                    }
                }
            }
            self.remove_dir(top, dir, name, depth);
        }
    }

    fn remove_dir(&mut self, top: &OwnedFd, dir: &OwnedFd, name: &CStr, depth: usize) {
        if unlinkat(dir, name, AtFlags::REMOVEDIR).is_ok() {
            return;
        }
        if depth >= DEPTH {
            self.moved += 1;
            let up =
                CString::new(format!(".removed-{}-{}", std::process::id(), self.moved)).unwrap_or_default();
            if let Err(error) = renameat(dir, name, top, &up) {
                self.note(error);
            }
            return;
        }
        match open_dir(dir.as_fd(), name) {
            Ok(child) => self.empty(top, &child, depth + 1),
            Err(error) => self.note(error),
        }
        if let Err(error) = unlinkat(dir, name, AtFlags::REMOVEDIR) {
            // Not empty: something below was moved up and is counted, or failed and is noted.
            if error != Errno::NOTEMPTY {
                self.note(error);
            }
        }
    }
}

/// Opens a directory for removal, giving its owner back the permissions that takes.
fn open_dir(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = match openat(dir, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
            openat(dir, name, flags, Mode::empty())?
        }
        other => other?,
    };
    // Without write permission nothing in it can be removed. Root in its user namespace needs none.
    let _ = rustix::fs::fchmod(&opened, Mode::RWXU);
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn removes_deep_closed_and_linked() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let outside = dir.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("keep"), "x").unwrap();
        fs::create_dir_all(&tree).unwrap();
        let mut at = tree.clone();
        for _ in 0..3 {
            for _ in 0..40 {
                at.push("d");
            }
            fs::create_dir_all(&at).unwrap();
            fs::write(at.join("file"), "x").unwrap();
        }
        symlink(&outside, tree.join("link")).unwrap();
        fs::create_dir(tree.join("closed")).unwrap();
        fs::write(tree.join("closed/in"), "x").unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.join("keep").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn removes_many_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let trees: Vec<PathBuf> = (0..5).map(|n| dir.path().join(n.to_string())).collect();
        for (n, tree) in trees.iter().enumerate() {
            for below in 0..n * 10 {
                fs::create_dir_all(tree.join(format!("tree/{below}/d/e"))).unwrap();
                fs::write(tree.join(format!("tree/{below}/d/file")), "x").unwrap();
            }
            fs::create_dir_all(tree).unwrap();
            symlink("/", tree.join("link")).unwrap();
        }
        fs::write(dir.path().join("file"), "x").unwrap();
        remove_trees([trees, vec![dir.path().join("file"), dir.path().join("absent")]].concat());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        remove_trees(Vec::new());
    }
}
