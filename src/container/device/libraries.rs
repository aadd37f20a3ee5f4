//! The dynamic loader's cache, `/etc/ld.so.cache`: where the host's libraries are (glibc `sysdeps/generic/dl-cache.h`).

use std::path::PathBuf;

const OLD: &[u8] = b"ld.so-1.7.0\0";
const NEW: &[u8] = b"glibc-ld.so.cache1.1";
/// The length of the head of the new form, and of one entry of it.
const HEAD: usize = 48;
const ENTRY: usize = 24;

/// What marks libraries of this architecture.
const FLAGS: u32 = if cfg!(target_arch = "aarch64") {
    0x0a03
} else if cfg!(target_arch = "x86_64") {
    0x0303
} else {
    0x0003
};

/// Returns the libraries of a cache whose names `wanted` takes: name and path. What is damaged is passed over.
pub(super) fn find(cache: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    let Some(base) = base(cache) else { return found };
    let cache = &cache[base..];
    let number = |at: usize| Some(u32::from_le_bytes(cache.get(at..at + 4)?.try_into().ok()?));
    let text = |at: u32| {
        let rest = cache.get(at as usize..)?;
        std::str::from_utf8(&rest[..memchr::memchr(0, rest)?]).ok()
    };
    let count = number(NEW.len()).unwrap_or(0) as usize;
    for entry in (0..count).map(|index| HEAD + index * ENTRY) {
        let (Some(flags), Some(key), Some(value)) = (number(entry), number(entry + 4), number(entry + 8))
        else {
            break;
        };
        let (Some(name), Some(path)) = (text(key), text(value)) else { continue };
        if flags == FLAGS && wanted(name) && found.iter().all(|(known, _)| known != name) {
            found.push((name.to_owned(), PathBuf::from(path)));
        }
    }
    found
}

/// Finds where the new form begins: at the front, or behind the old one.
fn base(cache: &[u8]) -> Option<usize> {
    if cache.starts_with(NEW) {
        return Some(0);
    }
    if !cache.starts_with(OLD) {
        return None;
    }
    let count = u32::from_le_bytes(cache.get(12..16)?.try_into().ok()?) as usize;
    let end = count.checked_mul(12)?.checked_add(16)?.next_multiple_of(8);
    cache.get(end..)?.starts_with(NEW).then_some(end)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Writes a cache.
    pub(in crate::container::device) fn cache(libraries: &[(&str, &str)]) -> Vec<u8> {
        let mut head = NEW.to_vec();
        head.extend(u32::try_from(libraries.len()).unwrap().to_le_bytes());
        head.resize(HEAD, 0);
        let mut strings = Vec::new();
        for (name, path) in libraries {
            let start = HEAD + libraries.len() * ENTRY;
            let key = start + strings.len();
            strings.extend(name.bytes().chain([0]));
            let value = start + strings.len();
            strings.extend(path.bytes().chain([0]));
            for word in [FLAGS, u32::try_from(key).unwrap(), u32::try_from(value).unwrap(), 0, 0, 0] {
                head.extend(word.to_le_bytes());
            }
        }
        head.extend(strings);
        head
    }

    #[test]
    fn finds_libraries_in_both_forms() {
        let bytes = cache(&[("libc.so.6", "/lib/libc.so.6"), ("libcuda.so.1", "/lib/libcuda.so.1")]);
        let wanted = |name: &str| name.starts_with("libcuda");
        let found = vec![("libcuda.so.1".to_owned(), PathBuf::from("/lib/libcuda.so.1"))];
        assert_eq!(find(&bytes, wanted), found);
        let mut old = OLD.to_vec();
        old.extend(1u32.to_le_bytes());
        old.resize(32, 7);
        old.extend(&bytes);
        assert_eq!(find(&old, wanted), found);
        for cut in 0..bytes.len() {
            find(&bytes[..cut], wanted);
        }
        assert!(find(b"junk", wanted).is_empty());
        if let Ok(own) = std::fs::read("/etc/ld.so.cache") {
            assert!(find(&own, |name| name == "libc.so.6").len() <= 1);
        }
    }
}
