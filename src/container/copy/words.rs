//! Paths as words: how `cp` reads what people type.
//!
//! The rules are those of Docker's client (moby `pkg/archive/copy.go`), which are those of Go's `path/filepath`:
//! `dir/` says that it is a directory, `dir/.` means what is in it.

/// Returns the shortest path that means the same, as text: without `.`, `//` and what `..` takes away.
pub(super) fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// Returns `path` as seen from `dir`, cleaned.
pub(super) fn join(dir: &str, path: &str) -> String {
    clean(&format!("{dir}/{path}"))
}

/// Returns the last part of a path: `.` of an empty one, `/` of the root.
pub(super) fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match (path.is_empty(), trimmed.is_empty()) {
        (true, _) => ".",
        (false, true) => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

/// Returns everything but the last part.
fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

/// Tells whether a path ends in a slash.
pub(super) fn ends_in_slash(path: &str) -> bool {
    path.ends_with('/')
}

/// Tells whether a path means what is in a directory: its last part is `.`.
pub(super) fn is_content(path: &str) -> bool {
    base(path) == "."
}

/// Tells whether a path can only be a directory's.
fn says_directory(path: &str) -> bool {
    ends_in_slash(path) || is_content(path)
}

/// Gives a cleaned path the end of the original one.
pub(super) fn preserve(mut cleaned: String, original: &str) -> String {
    if !is_content(&cleaned) && is_content(original) {
        if !ends_in_slash(&cleaned) {
            cleaned.push('/');
        }
        cleaned.push('.');
    }
    if !ends_in_slash(&cleaned) && ends_in_slash(original) {
        cleaned.push('/');
    }
    cleaned
}

/// Splits a path into its directory and its last part, which is `.` if the path means a directory's content.
pub(super) fn split(path: &str) -> (String, String) {
    let mut cleaned = clean(path);
    if is_content(path) {
        cleaned.push_str("/.");
    }
    (dir(&cleaned), base(&cleaned).to_owned())
}

/// Returns the path that a link led to with the end of the path that was typed, and the typed name if what the
/// link leads to has another one.
pub(super) fn rebase(path: &str, mut resolved: String) -> (String, Option<String>) {
    if is_content(path) && !is_content(&resolved) {
        resolved.push_str("/.");
    }
    if ends_in_slash(path) && !ends_in_slash(&resolved) {
        resolved.push('/');
    }
    let name = (base(path) != base(&resolved)).then(|| base(path).to_owned());
    (resolved, name)
}

/// Splits `CONTAINER:PATH`. What begins with a slash or a dot is a path of the host, whatever it holds.
pub fn split_argument(argument: &str) -> (Option<&str>, &str) {
    match argument.split_once(':') {
        Some((container, path))
            if !argument.starts_with('/') && !container.starts_with('.') && !container.is_empty() =>
        {
            (Some(container), path)
        }
        _ => (None, argument),
    }
}

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) is_directory: bool,
    /// Its name, where that is not the last part of its path.
    pub(super) name: Option<String>,
}

/// Where it is copied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) exists: bool,
    pub(super) is_directory: bool,
}

/// What cannot be copied onto what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misfit {
    /// A directory onto a file.
    #[error("cannot copy directory")]
    DirectoryOntoFile,
    /// A file into a directory that there is not.
    #[error("no such directory")]
    NoDirectory,
}

/// Decides the directory to copy into, and the name there.
pub(super) fn plan(source: &Source, target: &Target) -> Result<(String, String), Misfit> {
    let own = || source.name.clone().unwrap_or_else(|| split(&source.path).1);
    let (dir, base) = split(&target.path);
    match (target.exists, target.is_directory, source.is_directory) {
        (true, true, _) => Ok((target.path.clone(), own())),
        (true, false, true) => Err(Misfit::DirectoryOntoFile),
        (false, _, false) if says_directory(&target.path) => Err(Misfit::NoDirectory),
        _ => Ok((dir, base)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths_as_go_does() {
        for (path, cleaned) in
            [("", "."), ("/", "/"), ("a//b/./c/..", "a/b"), ("/../x/", "/x"), ("../a", "../a"), ("a/..", ".")]
        {
            assert_eq!(clean(path), cleaned, "{path}");
        }
        for (path, expected) in [("", "."), ("/", "/"), ("//", "/"), ("/a/b/", "b"), ("a/.", "."), ("a", "a")]
        {
            assert_eq!(base(path), expected, "{path}");
        }
        for (path, expected) in [
            ("/a/b", ("/a", "b")),
            ("/a/b/", ("/a", "b")),
            ("/a/b/.", ("/a/b", ".")),
            ("/", ("/", "/")),
            ("/a", ("/", "a")),
            ("", (".", ".")),
        ] {
            let (dir, base) = split(path);
            assert_eq!((dir.as_str(), base.as_str()), expected, "{path}");
        }
        for (original, expected) in
            [("a/", "/w/a/"), ("a/.", "/w/a/."), ("a", "/w/a"), (".", "/w/."), ("..", "/"), ("../", "/")]
        {
            assert_eq!(preserve(join("/w", original), original), expected, "{original}");
        }
        assert_eq!(rebase("/l/", "/d".to_owned()), ("/d/".to_owned(), Some("l".to_owned())));
        assert_eq!(rebase("/l/.", "/d".to_owned()), ("/d/.".to_owned(), None));
        assert_eq!(rebase("/l", "/d/l".to_owned()), ("/d/l".to_owned(), None));
    }

    #[test]
    fn tells_containers_from_files() {
        assert_eq!(split_argument("web:/a:b"), (Some("web"), "/a:b"));
        assert_eq!(split_argument("web:"), (Some("web"), ""));
        for path in ["/web:/a", "./web:a", "../x:y", "plain", "-", ".", ":x"] {
            assert_eq!(split_argument(path), (None, path));
        }
    }

    #[test]
    fn decides_where_things_go() {
        let source = |path: &str, is_directory| Source { path: path.to_owned(), is_directory, name: None };
        let to = |path: &str, exists, is_directory| Target { path: path.to_owned(), exists, is_directory };
        let ok = |dir: &str, name: &str| Ok((dir.to_owned(), name.to_owned()));
        for (from, target, expected) in [
            (source("/d", true), to("/t", true, true), ok("/t", "d")),
            (source("/d/.", true), to("/t", true, true), ok("/t", ".")),
            (source("/d", true), to("/t/new", false, false), ok("/t", "new")),
            (source("/d/.", true), to("/t/new/", false, false), ok("/t", "new")),
            (source("/d", true), to("/t/f", true, false), Err(Misfit::DirectoryOntoFile)),
            (source("/f", false), to("/t/f2", true, false), ok("/t", "f2")),
            (source("/f", false), to("/t/new", false, false), ok("/t", "new")),
            (source("/f", false), to("/t/new/", false, false), Err(Misfit::NoDirectory)),
            (source("/f", false), to("", false, false), Err(Misfit::NoDirectory)),
        ] {
            assert_eq!(plan(&from, &target), expected, "{from:?} {target:?}");
        }
        let named = Source { name: Some("link".to_owned()), ..source("/d", true) };
        assert_eq!(plan(&named, &to("/t", true, true)), ok("/t", "link"));
    }
}
