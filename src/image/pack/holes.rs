//! The holes of sparse files.

use std::io::Write as _;
use std::os::fd::OwnedFd;

use rustix::fs::{SeekFrom, Stat, seek};
use rustix::io::Errno;

use super::header::BLOCK;

/// The most regions that are told apart; a file with more is written in full.
const LIMIT: usize = 10_000;

/// Returns where in a file there is data, and how much, if it has holes. Leaves the file at its beginning.
pub(super) fn regions(file: &OwnedFd, stat: &Stat) -> Option<Vec<(u64, u64)>> {
    let size = u64::try_from(stat.st_size).ok()?;
    // The unit is 512 bytes whatever the file system's is (stat(3type)).
    if u64::try_from(stat.st_blocks).ok()?.checked_mul(512)? >= size {
        return None;
    }
    let found = find(file, size);
    seek(file, SeekFrom::Start(0)).ok()?;
    found.filter(|regions| regions.iter().map(|(_, length)| length).sum::<u64>() < size)
}

fn find(file: &OwnedFd, size: u64) -> Option<Vec<(u64, u64)>> {
    let mut regions = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data follows.
            Err(Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if start >= end || regions.len() == LIMIT {
            // It changes while we look, or has too many.
            return None;
        }
        regions.push((start, end - start));
        at = end;
    }
    // The last region ends where the file does, so that its length is known to all who read it.
    if at < size {
        regions.push((size, 0));
    }
    Some(regions)
}

/// Returns the map of GNU tar's form 1.0: a number of regions, then the place and length of each, a line each,
/// filled up to whole blocks.
pub(super) fn map(regions: &[(u64, u64)]) -> Vec<u8> {
    let mut map = Vec::new();
    // Writing to memory cannot fail.
    let _ = writeln!(map, "{}", regions.len());
    for (offset, length) in regions {
        let _ = writeln!(map, "{offset}\n{length}");
    }
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}
