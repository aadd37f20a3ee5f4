//! Addresses of git repositories, as a build's context or what `ADD` fetches:
//! `https://host/name.git#revision:directory`.

use std::path::PathBuf;

/// A revision of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitReference {
    /// The repository.
    pub remote: String,
    /// A branch, tag or commit; empty is the remote's `HEAD`.
    pub revision: String,
    /// The directory within.
    pub subdirectory: PathBuf,
    /// The commit it must be.
    pub checksum: Option<String>,
    /// Whether `.git` stays.
    pub keep: Option<bool>,
}

/// Reads an address; `None` if it is not one of a repository. Over HTTP, its path must end with `.git`.
pub fn parse(text: &str) -> Result<Option<GitReference>, String> {
    let (plain, fragment) = match text.split_once('#') {
        Some((plain, fragment)) => (plain, fragment),
        None => (text, ""),
    };
    let (address, query) = match plain.split_once('?') {
        Some((address, query)) => (address, query),
        None => (plain, ""),
    };
    let known = match address.split_once("://") {
        Some(("http" | "https", rest)) => rest.contains('/') && address.strip_suffix(".git").is_some(),
        Some(("git" | "ssh", rest)) => !rest.is_empty(),
        Some(_) => false,
        None => is_scp(address),
    };
    if !known {
        return Ok(None);
    }
    let (revision, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
    let mut found = GitReference {
        remote: address.to_owned(),
        revision: revision.to_owned(),
        subdirectory: PathBuf::from(directory.trim_matches('/')),
        ..GitReference::default()
    };
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let truth = || match value {
            "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(format!("invalid {key} value: {value:?}")),
        };
        if value.is_empty() && !matches!(key, "keep-git-dir" | "submodules" | "fetch-by-commit") {
            return Err(format!("query {key:?} has no value"));
        }
        let prefixed = |prefix: &str| format!("{prefix}{}", value.strip_prefix(prefix).unwrap_or(value));
        let revision = match key {
            "ref" => Some(value.to_owned()),
            "tag" => Some(prefixed("refs/tags/")),
            "branch" => Some(prefixed("refs/heads/")),
            "subdir" => {
                found.subdirectory = PathBuf::from(value.trim_matches('/'));
                None
            }
            "checksum" | "commit" => {
                found.checksum = Some(value.to_owned());
                None
            }
            "keep-git-dir" => {
                found.keep = Some(truth()?);
                None
            }
            "submodules" | "fetch-by-commit" => {
                truth()?;
                None
            }
            "mtime" => None,
            _ => return Err(format!("unexpected query {key:?}")),
        };
        if let Some(revision) = revision {
            if !found.revision.is_empty() && found.revision != revision {
                return Err(format!("ref conflicts: {:?} vs {revision:?}", found.revision));
            }
            found.revision = revision;
        }
    }
    Ok(Some(found))
}

/// Tells whether an address is of the form `git@host:path`.
fn is_scp(address: &str) -> bool {
    let Some((user, rest)) = address.split_once('@') else { return false };
    let Some((host, path)) = rest.split_once(':') else { return false };
    let word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    word(user, "-_") && word(host, "-.") && !path.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_repositories() {
        let found = parse("https://github.com/a/b.git#v1:sub/dir").unwrap().unwrap();
        assert_eq!((found.remote.as_str(), found.revision.as_str()), ("https://github.com/a/b.git", "v1"));
        assert_eq!(found.subdirectory, PathBuf::from("sub/dir"));
        assert_eq!(parse("git@github.com:a/b.git").unwrap().unwrap().remote, "git@github.com:a/b.git");
        assert!(parse("ssh://git@h/a").unwrap().is_some() && parse("git://h/a#x").unwrap().is_some());
        let found = parse("https://h/b.git?branch=x&commit=abc&keep-git-dir").unwrap().unwrap();
        assert_eq!((found.revision.as_str(), found.checksum.as_deref()), ("refs/heads/x", Some("abc")));
        assert_eq!(found.keep, Some(true));
        for other in ["https://h/b.tar", "./a.git", "a.git", "user@host", "ftp://h/a.git"] {
            assert_eq!(parse(other), Ok(None), "{other}");
        }
        assert!(parse("https://h/b.git?what=x").is_err());
    }
}
