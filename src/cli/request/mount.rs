//! `--volume`, `--mount` and `--tmpfs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::format::template::print::quote;
use crate::cli::format::units;
use crate::container::{Mount, MountRequest, MountSource, VolumeWishes};

/// How mounts of the host are shared, unless the user says.
const PROPAGATION: &str = "rprivate";

/// Reads `-v`: `[source:]target[:mode,…]`. A relative source begins with a dot and is below `here`.
pub(super) fn volume(text: &str, here: &Path) -> Result<MountRequest, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("invalid spec: {text}: empty section between colons"));
    }
    let (source, target, modes) = match parts.as_slice() {
        [target] => (None, *target, ""),
        // `target:mode` cannot be told from `source:target`, except that a target is absolute.
        [source, target] => (Some(*source), *target, ""),
        [source, target, modes] => (Some(*source), *target, *modes),
        _ => return Err(format!("invalid volume specification: '{text}'")),
    };
    let is_path = source.is_some_and(|source| source.starts_with(['/', '.', '~']));
    let kind = if is_path { "bind" } else { "volume" };
    let config =
        format!("invalid volume specification: '{text}': invalid mount config for type \"{kind}\": ");
    if !target.starts_with('/') {
        return Err(format!("{config}invalid mount path: '{target}' mount path must be absolute"));
    }
    if target.bytes().all(|byte| byte == b'/') {
        return Err(format!("{config}invalid specification: destination can't be '/'"));
    }
    let mut mount = Mount { source: named(""), target: target.to_owned(), read_only: false };
    if let Some(source) = source {
        mount.source = if is_path {
            let path = absolute(source, here);
            MountSource::Bind { path, propagation: PROPAGATION.to_owned(), recursive: true }
        } else {
            named(source)
        };
    }
    let mut seen = Vec::new();
    for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
        let invalid = || Err(format!("invalid mode: {modes}"));
        // One word of each kind.
        let group = match mode {
            "ro" | "readonly" | "rw" => "access",
            "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" => "propagation",
            "z" | "Z" => "label",
            "consistent" | "cached" | "delegated" | "default" => "consistency",
            mode => mode,
        };
        if seen.contains(&group) {
            return invalid();
        }
        seen.push(group);
        match (mode, &mut mount.source) {
            ("ro" | "readonly", _) => mount.read_only = true,
            // Relabelling is for SELinux, where it would do nothing to a user's own files; consistency is for
            // machines where files are shared over a network.
            ("rw" | "z" | "Z" | "consistent" | "cached" | "delegated" | "default", _) => {}
            ("nocopy", MountSource::Volume { no_copy, .. }) => *no_copy = true,
            ("nocopy", _) => return Err(format!("{config}field VolumeOptions must not be specified")),
            (
                "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared",
                MountSource::Bind { propagation, .. },
            ) => mode.clone_into(propagation),
            _ => return invalid(),
        }
    }
    Ok(MountRequest { mount, create_source: true, volume: VolumeWishes::default() })
}

fn named(name: &str) -> MountSource {
    MountSource::Volume { name: name.to_owned(), anonymous: false, no_copy: false, subpath: String::new() }
}

/// Makes a path of the host absolute and short, without looking at it.
fn absolute(path: &str, here: &Path) -> String {
    let mut clean = PathBuf::from("/");
    for part in here.join(path).components() {
        match part {
            std::path::Component::Normal(part) => clean.push(part),
            std::path::Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean.to_string_lossy().into_owned()
}

/// The fields of a `--mount`.
#[derive(Debug, Default)]
struct Fields {
    kind: String,
    source: String,
    target: String,
    read_only: bool,
    create_source: bool,
    bind: Vec<String>,
    volume: Vec<String>,
    tmpfs: Vec<String>,
    image: Vec<String>,
    propagation: String,
    recursive: Option<bool>,
    /// Whether what is mounted below is to be read-only, too, as it is anyway.
    forces_read_only: bool,
    no_copy: bool,
    subpath: String,
    wishes: VolumeWishes,
    size: Option<u64>,
    mode: Option<u32>,
}

/// Checks `--mount` as far as Docker's client does; [`mount`] reads it.
pub(in crate::cli) fn parse_mount(text: &str) -> Result<String, String> {
    fields(text).map(|_| text.to_owned())
}

/// Reads `--mount`: `type=…,source=…,target=…,…`.
pub(super) fn mount(text: &str, here: &Path) -> Result<MountRequest, String> {
    let fields = fields(text)?;
    let wrong = |what: &str| Err(format!("invalid mount config for type \"{}\": {what}", fields.kind));
    if !fields.target.starts_with('/') {
        return wrong(&format!("invalid mount path: '{}' mount path must be absolute", fields.target));
    }
    if fields.target.bytes().all(|byte| byte == b'/') {
        return wrong("invalid specification: destination can't be '/'");
    }
    let source = match fields.kind.as_str() {
        "bind" if fields.source.is_empty() => return wrong("field Source must not be empty"),
        "bind" => {
            let relative =
                fields.source == "." || fields.source.starts_with("./") || fields.source.starts_with("..");
            if !relative && !fields.source.starts_with('/') {
                return wrong(&format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    fields.source
                ));
            }
            if !matches!(
                fields.propagation.as_str(),
                "" | "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared"
            ) {
                return wrong(&format!("invalid propagation mode: {}", fields.propagation));
            }
            let propagation =
                if fields.propagation.is_empty() { PROPAGATION.to_owned() } else { fields.propagation };
            let recursive = fields.recursive.unwrap_or(true);
            MountSource::Bind { path: absolute(&fields.source, here), propagation, recursive }
        }
        "volume" if !is_below(&fields.subpath) => {
            return wrong("subpath must be a relative path within the volume");
        }
        "volume" => MountSource::Volume {
            name: fields.source,
            anonymous: false,
            no_copy: fields.no_copy,
            subpath: fields.subpath,
        },
        "tmpfs" if !fields.source.is_empty() => return wrong("field Source must not be specified"),
        "tmpfs" => MountSource::Tmpfs { size: fields.size, mode: fields.mode },
        "image" if fields.source.is_empty() => return wrong("field Source must not be empty"),
        "image" if !is_below(&fields.subpath) => {
            return wrong("subpath must be a relative path within the image");
        }
        "image" => {
            MountSource::Image { name: fields.source, id: None, layers: Vec::new(), subpath: fields.subpath }
        }
        _ => return wrong("mount type unknown"),
    };
    let mount = Mount { source, target: fields.target, read_only: fields.read_only };
    Ok(MountRequest { mount, create_source: fields.create_source, volume: fields.wishes })
}

/// Tells whether a path stays below where it begins.
fn is_below(path: &str) -> bool {
    !Path::new(path)
        .components()
        .any(|part| matches!(part, std::path::Component::ParentDir | std::path::Component::RootDir))
}

fn fields(text: &str) -> Result<Fields, String> {
    if text.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Fields { kind: "volume".to_owned(), ..Fields::default() };
    for field in split_csv(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
            None => (field.to_ascii_lowercase(), None),
        };
        set(&mut fields, &field, &key, value)?;
    }
    for (given, kind) in [
        (&fields.bind, "bind"),
        (&fields.volume, "volume"),
        (&fields.tmpfs, "tmpfs"),
        (&fields.image, "image"),
    ] {
        if !given.is_empty() && fields.kind != kind {
            return Err(format!("cannot mix '{kind}-*' options with mount type '{}'", fields.kind));
        }
    }
    if fields.target.is_empty() {
        return Err("target is required".to_owned());
    }
    let lacks = match fields.propagation.as_str() {
        _ if !fields.forces_read_only => None,
        _ if !fields.read_only => Some("readonly"),
        "rprivate" => None,
        _ => Some("bind-propagation=rprivate"),
    };
    if let Some(lacks) = lacks {
        return Err(format!(
            "option 'bind-recursive=readonly' requires '{lacks}' to be specified in conjunction"
        ));
    }
    Ok(fields)
}

fn set(fields: &mut Fields, field: &str, key: &str, value: Option<String>) -> Result<(), String> {
    let truth = |value: Option<&str>| match value {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(value) => Err(format!("invalid value for {key}: {value}")),
    };
    match key {
        "readonly" | "ro" => {
            fields.read_only = truth(value.as_deref())?;
            return Ok(());
        }
        "volume-nocopy" => {
            fields.no_copy = truth(value.as_deref())?;
            fields.volume.push(key.to_owned());
            return Ok(());
        }
        "bind-nonrecursive" => {
            fields.recursive = Some(!truth(value.as_deref())?);
            fields.bind.push(key.to_owned());
            return Ok(());
        }
        "bind-create-src" => {
            fields.create_source = truth(value.as_deref())?;
            fields.bind.push(key.to_owned());
            return Ok(());
        }
        _ => {}
    }
    let Some(value) = value else {
        return Err(format!("invalid field '{field}' must be a key=value pair"));
    };
    match key {
        "type" => fields.kind = value.to_ascii_lowercase(),
        "source" | "src" => fields.source = value,
        "target" | "dst" | "destination" => fields.target = value,
        "consistency" => {}
        "bind-propagation" => {
            fields.propagation = value.to_ascii_lowercase();
            fields.bind.push(key.to_owned());
        }
        "bind-recursive" => {
            fields.bind.push(key.to_owned());
            fields.recursive = match value.as_str() {
                "enabled" | "writable" => Some(true),
                "disabled" => Some(false),
                "readonly" => {
                    fields.forces_read_only = true;
                    Some(true)
                }
                _ => {
                    return Err(format!(
                        "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
                    ));
                }
            };
        }
        "volume-subpath" => {
            fields.subpath = value;
            fields.volume.push(key.to_owned());
        }
        "image-subpath" => {
            fields.subpath = value;
            fields.image.push(key.to_owned());
        }
        "volume-driver" => {
            fields.wishes.driver = value;
            fields.volume.push(key.to_owned());
        }
        "volume-label" | "volume-opt" => {
            let (name, of_name) = value.split_once('=').unwrap_or((&value, ""));
            let wishes = &mut fields.wishes;
            let map = if key == "volume-opt" { &mut wishes.options } else { &mut wishes.labels };
            map.insert(name.to_owned(), of_name.to_owned());
            fields.volume.push(key.to_owned());
        }
        "tmpfs-size" => {
            let size = units::memory(&value).ok().and_then(|size| u64::try_from(size).ok());
            fields.size = Some(size.ok_or_else(|| format!("invalid value for {key}: {value}"))?);
            fields.tmpfs.push(key.to_owned());
        }
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(&value, 8).ok();
            fields.mode = Some(mode.ok_or_else(|| format!("invalid value for {key}: {value}"))?);
            fields.tmpfs.push(key.to_owned());
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

/// Splits at commas; a field in double quotes may hold some.
pub(super) fn split_csv(text: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let last = fields.len() - 1;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                fields[last].push('"');
            }
            '"' if quoted || fields[last].is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields[last].push(c),
        }
    }
    if quoted { Err("parse error: extraneous or missing \" in quoted-field".to_owned()) } else { Ok(fields) }
}

/// Tells whether Docker knows an option of a tmpfs.
fn is_tmpfs_option(option: &str) -> bool {
    const WORDS: &[&str] = &[
        "",
        "async",
        "atime",
        "bind",
        "defaults",
        "dev",
        "diratime",
        "dirsync",
        "exec",
        "mand",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "nomand",
        "norelatime",
        "nostrictatime",
        "nosuid",
        "private",
        "rbind",
        "relatime",
        "remount",
        "ro",
        "rprivate",
        "rshared",
        "rslave",
        "runbindable",
        "rw",
        "shared",
        "slave",
        "strictatime",
        "suid",
        "sync",
        "unbindable",
        "tmpcopyup",
        "notmpcopyup",
    ];
    const VALUES: &[&str] = &["gid", "mode", "mpol", "nr_blocks", "nr_inodes", "size", "uid"];
    match option.split_once('=') {
        None => WORDS.contains(&option),
        Some((name, _)) => VALUES.contains(&name),
    }
}

/// Reads `--tmpfs`: `path[:options]`. Of several for one path the last counts.
pub(super) fn tmpfs(words: &[String]) -> Result<BTreeMap<String, String>, String> {
    let split = |word: &String| {
        let (path, options) = word.split_once(':').unwrap_or((word, ""));
        if let Some(option) = options.split(',').find(|option| !is_tmpfs_option(option)) {
            return Err(format!("invalid tmpfs option {}", quote(option)));
        }
        if path.starts_with('/') {
            Ok((path.to_owned(), options.to_owned()))
        } else {
            Err(format!("invalid mount path: '{path}' mount path must be absolute"))
        }
    };
    words.iter().map(split).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Result<MountRequest, String> {
        volume(text, Path::new("/here"))
    }

    fn m(text: &str) -> Result<MountRequest, String> {
        mount(text, Path::new("/here"))
    }

    fn bind(path: &str, propagation: &str) -> MountSource {
        MountSource::Bind { path: path.into(), propagation: propagation.into(), recursive: true }
    }

    #[test]
    fn reads_volumes() {
        let read = v("./a/../b:/c:ro,rslave").unwrap();
        assert_eq!(read.mount.source, bind("/here/b", "rslave"));
        assert!(read.mount.read_only && read.create_source && read.mount.target == "/c");
        assert_eq!(v("..:/c").unwrap().mount.source, bind("/", "rprivate"));
        assert_eq!(v("/a:/c:z").unwrap().mount.source, bind("/a", "rprivate"));
        assert_eq!(v("name:/c").unwrap().mount.source, named("name"));
        assert_eq!(v("/c").unwrap().mount.source, named(""));
        let read = v("name:/c:nocopy").unwrap();
        assert!(matches!(read.mount.source, MountSource::Volume { no_copy: true, .. }));
    }

    #[test]
    fn refuses_bad_volumes_in_dockers_words() {
        for (text, message) in [
            (":ro", "invalid spec: :ro: empty section between colons"),
            ("/a:", "invalid spec: /a:: empty section between colons"),
            ("/a:/b:ro:rw", "invalid volume specification: '/a:/b:ro:rw'"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("/a:/b:foo", "invalid mode: foo"),
            (
                "/a:/b:nocopy",
                "invalid volume specification: '/a:/b:nocopy': invalid mount config for type \"bind\": field \
                 VolumeOptions must not be specified",
            ),
            (
                "/a:b",
                "invalid volume specification: '/a:b': invalid mount config for type \"bind\": invalid mount path: \
                 'b' mount path must be absolute",
            ),
            ("name:/b:rshared", "invalid mode: rshared"),
        ] {
            assert_eq!(v(text).unwrap_err(), message);
        }
    }

    #[test]
    fn reads_mounts() {
        let read = m("type=bind,src=/a,dst=/b,readonly,bind-propagation=rshared,consistency=cached").unwrap();
        assert_eq!(read.mount.source, bind("/a", "rshared"));
        assert!(read.mount.read_only && !read.create_source);
        let read = m("type=tmpfs,destination=/b,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        assert_eq!(read.mount.source, MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o1770) });
        let read = m("source=v,target=/b,volume-nocopy,volume-subpath=x").unwrap();
        let MountSource::Volume { name, no_copy, subpath, .. } = read.mount.source else { panic!() };
        assert_eq!((name.as_str(), no_copy, subpath.as_str()), ("v", true, "x"));
        let read = m("\"src=with,comma\",dst=/b").unwrap();
        assert_eq!(read.mount.source, named("with,comma"));
        assert!(!m("src=a,dst=/b,ro=false").unwrap().mount.read_only);
    }

    #[test]
    fn refuses_bad_mounts_in_dockers_words() {
        for (text, message) in [
            ("source=a", "target is required"),
            ("foo", "invalid field 'foo' must be a key=value pair"),
            ("type=bind,source=/a,target=/b,foo=bar", "unexpected key 'foo' in 'foo=bar'"),
            ("type=bind,source=/a,target=/b,readonly=maybe", "invalid value for readonly: maybe"),
            (
                "type=bind,source=/a,target=/b,volume-nocopy=true",
                "cannot mix 'volume-*' options with mount type 'bind'",
            ),
            ("type=tmpfs,target=/b,tmpfs-size=x", "invalid value for tmpfs-size: x"),
            ("type=tmpfs,target=/b,tmpfs-mode=x", "invalid value for tmpfs-mode: x"),
            ("type=bind,dst=/b", "invalid mount config for type \"bind\": field Source must not be empty"),
            (
                "src=v,dst=/b,volume-subpath=a/../../x",
                "invalid mount config for type \"volume\": subpath must be a relative path within the volume",
            ),
            ("type=foo,dst=/b", "invalid mount config for type \"foo\": mount type unknown"),
        ] {
            assert_eq!(m(text).unwrap_err(), message);
        }
    }

    #[test]
    fn reads_tmpfs() {
        assert!(tmpfs(&["rel".into()]).is_err() && tmpfs(&["/a:size=1,nope".into()]).is_err());
        let read = tmpfs(&["/a".into(), "/b:size=1m,mode=700".into()]).unwrap();
        assert_eq!(read["/a"], "");
        assert_eq!(read["/b"], "size=1m,mode=700");
    }
}
