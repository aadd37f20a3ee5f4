//! Names of archive members, made safe to use below a root.

/// A name that leaves the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) struct Escape;

/// Cleans a member's name as Docker does: `.` and empty parts go, `a/..` cancels out, a leading slash
/// means the root of the archive. The result has no leading or trailing slash; empty is the root itself.
///
/// Only the text is looked at, so symbolic links in the name are still to be resolved, inside the root.
pub(in crate::image) fn clean(name: &[u8]) -> Result<Vec<u8>, Escape> {
    let absolute = name.first() == Some(&b'/');
    let mut out: Vec<u8> = Vec::with_capacity(name.len());
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if out.is_empty() && absolute => {}
            b".." if out.is_empty() => return Err(Escape),
            b".." => out.truncate(memchr::memrchr(b'/', &out).unwrap_or(0)),
            part => {
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
            }
        }
    }
    Ok(out)
}

/// Splits a cleaned name into its directory (empty for the root) and its last part.
pub(in crate::image) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_and_refuses() {
        for (name, expected) in [
            ("a/b", Ok("a/b")),
            ("./a//b/", Ok("a/b")),
            ("/etc/passwd", Ok("etc/passwd")),
            ("a/../b", Ok("b")),
            ("a/b/../../c", Ok("c")),
            ("/../../x", Ok("x")),
            ("./", Ok("")),
            ("..", Err(Escape)),
            ("a/../../x", Err(Escape)),
            ("../x", Err(Escape)),
        ] {
            let got = clean(name.as_bytes());
            assert_eq!(got, expected.map(|text| text.as_bytes().to_vec()), "{name}");
        }
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"c"), (&b""[..], &b"c"[..]));
    }
}
