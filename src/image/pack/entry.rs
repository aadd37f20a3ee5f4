//! One name of a directory, with all that it holds, under another name: `cp`.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result};

use super::Tree;
use super::recorded::Recorded;
use super::walk::{Form, Walk};
use crate::image::unpack::Owners;

/// What is packed.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The directory that it is in.
    pub directory: BorrowedFd<'a>,
    /// Its name there, which is not followed if it is a symbolic link; `None` for the directory itself.
    pub name: Option<&'a [u8]>,
    /// What it is called in the archive: `.` or `/` for something without a name.
    pub top: &'a [u8],
    /// Where owners come from.
    pub owners: Owners,
    /// Whether the id that stands for all ids without a meaning here (user_namespaces(7)) becomes root's.
    pub nobody_is_root: bool,
    /// Whether directories of the kernel's own file systems, such as `/proc`, count as empty.
    pub spare_kernel: bool,
    /// Whether the holes of files stay holes, and times have parts of a second, which not every program can read.
    pub sparse: bool,
}

/// Writes an archive. Unless it is `sparse`, times are those of a plain header, which has no room for parts of a second,
/// as Docker writes them here. Names stay what they are: `.wh.` has no meaning.
/// Returns how many bytes of it are for parts of seconds.
pub fn entry(entry: &Entry<'_>, out: &mut impl Write) -> Result<u64> {
    let root = entry.directory.try_clone_to_owned().context("open the directory")?;
    let tree = Tree { root, recorded: Recorded::default(), left_out: BTreeSet::new() };
    let form = Form::Copy {
        nobody_is_root: entry.nobody_is_root,
        spare_kernel: entry.spare_kernel,
        sparse: entry.sparse,
    };
    Walk::new(std::slice::from_ref(&tree), form, entry.owners, out).run_one(entry.name, entry.top)
}
