//! The memory of a process that is going to wait for a long time.
#![allow(unsafe_code)]

use std::fs;
use std::io;

/// Gives back the pages of this program's code and constants that are in memory only because they were used once.
///
/// They are clean pages of a file: what runs again is mapped again, from the page cache. Without this, a
/// process that has done much to get ready, and then mostly sleeps, is charged for all of it.
pub fn release_code() -> io::Result<()> {
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        if let Some((start, end)) = code_range(line) {
            let length = end - start;
            // A file system with large folios would have the next fault map two megabytes at once. Kernels without
            // huge pages know neither them nor the advice.
            let _ = advise(start, length, libc::MADV_NOHUGEPAGE);
            advise(start, length, libc::MADV_DONTNEED)?;
        }
    }
    Ok(())
}

fn advise(start: usize, length: usize, advice: libc::c_int) -> io::Result<()> {
    // SAFETY: the callers' advice is harmless to a private, read-only mapping of a file: it was never
    // written, so that pages given back come from the file again with the content they had.
    let result = unsafe { libc::madvise(std::ptr::without_provenance_mut(start), length, advice) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads a line of proc_pid_maps(5); returns its addresses if it maps code or constants of a file, privately.
fn code_range(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let (offset, inode) = (words.next()?, words.nth(1)?);
    // What begins the file is its headers and constants. Other read-only parts may have been written while
    // the program was relocated, and must stay.
    let is_clean =
        permissions == "r-xp" || (permissions == "r--p" && offset.bytes().all(|digit| digit == b'0'));
    if !is_clean || inode == "0" {
        return None;
    }
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_code_only() {
        let code = "55d0a0000000-55d0a0100000 r-xp 00001000 fe:00 1234  /usr/bin/coracle";
        assert_eq!(code_range(code), Some((0x55d0_a000_0000, 0x55d0_a010_0000)));
        let constants = "55d0a0000000-55d0a0100000 r--p 00000000 fe:00 1234  /usr/bin/coracle";
        assert!(code_range(constants).is_some());
        for other in [
            "55d0a0000000-55d0a0100000 r--p 00001000 fe:00 1234  /usr/bin/coracle",
            "7ffd0a000000-7ffd0a002000 r-xp 00000000 00:00 0  [vdso]",
            "55d0a0000000-55d0a0100000 rw-p 00001000 fe:00 1234  /usr/bin/coracle",
            "",
        ] {
            assert_eq!(code_range(other), None, "{other}");
        }
    }

    #[test]
    fn code_runs_on() {
        release_code().unwrap();
        assert_eq!("still here".len(), 10);
    }
}
