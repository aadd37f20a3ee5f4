//! The options of Docker's `local` driver: what a volume is that is not a directory of its own.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// What a volume consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Local {
    /// A directory of its own.
    #[default]
    Own,
    /// A directory of the host.
    Directory {
        /// Its absolute path.
        path: String,
        /// What its mounts are besides, in the words of mount(8).
        words: Vec<String>,
    },
    /// Memory, for as long as a container runs that mounts it.
    Memory {
        /// The options of the tmpfs (tmpfs(5)), and of its mounts.
        words: Vec<String>,
    },
}

/// What a mount can be told by a word.
const WORDS: &[&str] = &[
    "atime",
    "defaults",
    "dev",
    "diratime",
    "exec",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nosuid",
    "relatime",
    "ro",
    "rw",
    "strictatime",
    "suid",
];

/// What a tmpfs is told with a value.
const OF_MEMORY: &[&str] = &["gid", "huge", "mode", "mpol", "nr_blocks", "nr_inodes", "size", "uid"];

/// Reads the options, which are `type`, `o` and `device`.
pub fn local(options: &BTreeMap<String, String>) -> Result<Local> {
    if let Some(unknown) =
        options.keys().find(|key| !matches!(key.as_str(), "type" | "o" | "device" | "size"))
    {
        bail!("invalid option: {unknown:?}");
    }
    if options.contains_key("size") {
        bail!("quota size requested but no quota support");
    }
    if options.is_empty() {
        return Ok(Local::Own);
    }
    let option = |key: &str| options.get(key).map_or("", String::as_str);
    let words: Vec<&str> = option("o").split(',').filter(|word| !word.is_empty()).collect();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let (binds, rest): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| matches!(**word, "bind" | "rbind"));
    match option("type") {
        "tmpfs" => {
            if option("device").is_empty() {
                bail!("missing required option: \"device\"");
            }
            let known = |word: &&str| match word.split_once('=') {
                Some((key, _)) => OF_MEMORY.contains(&key),
                None => WORDS.contains(word),
            };
            if let Some(unknown) = words.iter().find(|word| !known(word)) {
                bail!("option o={unknown}: a tmpfs has no such option");
            }
            Ok(Local::Memory { words: owned(&words) })
        }
        "" | "none" | "bind" if !binds.is_empty() => {
            if let Some(other) = rest.iter().find(|word| !WORDS.contains(word)) {
                bail!("option o={other}: a directory of the host has no such option");
            }
            if !option("device").starts_with('/') {
                bail!("option device={}: it needs to be an absolute path", option("device"));
            }
            Ok(Local::Directory { path: option("device").to_owned(), words: owned(&rest) })
        }
        kind => bail!(
            "option type={kind}, o={}: the kernel lets nobody but root mount that; what can be a volume is a directory \
             of the host (type=none, o=bind, device=DIR), where the share may be mounted already, and memory \
             (type=tmpfs, device=tmpfs)",
            option("o")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Local> {
        local(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn reads_what_can_be_mounted() {
        assert_eq!(read(&[]).unwrap(), Local::Own);
        assert_eq!(
            read(&[("type", "none"), ("o", "bind,ro"), ("device", "/srv/db")]).unwrap(),
            Local::Directory { path: "/srv/db".into(), words: vec!["ro".into()] }
        );
        assert_eq!(
            read(&[("type", "tmpfs"), ("o", "size=1m,uid=7,noexec"), ("device", "tmpfs")]).unwrap(),
            Local::Memory { words: vec!["size=1m".into(), "uid=7".into(), "noexec".into()] }
        );
    }

    #[test]
    fn says_what_cannot() {
        let error = |pairs: &[(&str, &str)]| read(pairs).unwrap_err().to_string();
        let nfs = error(&[("type", "nfs"), ("o", "addr=10.0.0.1"), ("device", ":/x")]);
        assert!(
            nfs.starts_with("option type=nfs, o=addr=10.0.0.1: the kernel lets nobody but root"),
            "{nfs}"
        );
        assert_eq!(error(&[("type", "tmpfs")]), "missing required option: \"device\"");
        assert_eq!(
            error(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "sise=1m")]),
            "option o=sise=1m: a tmpfs has no such option"
        );
        assert_eq!(
            error(&[("o", "bind"), ("device", "srv")]),
            "option device=srv: it needs to be an absolute path"
        );
        assert_eq!(error(&[("speed", "1")]), "invalid option: \"speed\"");
        assert_eq!(error(&[("size", "1")]), "quota size requested but no quota support");
    }
}
