//! Files for containers, as an archive.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use tar::{Builder, EntryType, Header};

use super::rule::Mapping;

/// Writes files as an archive for the root directory of a container, in which root owns them. Returns the paths
/// inside of those that are gone.
pub fn archive(mappings: &[Mapping], out: impl Write) -> Result<Vec<String>> {
    let mut builder = Builder::new(out);
    let mut gone = Vec::new();
    for Mapping { host, inside } in mappings {
        let meta = match fs::symlink_metadata(host) {
            Ok(meta) => meta,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                gone.push(inside.clone());
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("read {}", host.display())),
        };
        let name = inside.trim_start_matches('/');
        // A directory is there as soon as something in it is.
        let mut header = Header::new_gnu();
        header.set_mode(meta.permissions().mode() & 0o7777);
        header.set_mtime(u64::try_from(std::os::unix::fs::MetadataExt::mtime(&meta)).unwrap_or(0));
        header.set_uid(0);
        header.set_gid(0);
        if meta.is_symlink() {
            let target = fs::read_link(host).with_context(|| format!("read {}", host.display()))?;
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target)?;
        } else if meta.is_file() {
            let bytes = match fs::read(host) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    gone.push(inside.clone());
                    continue;
                }
                Err(error) => return Err(error).with_context(|| format!("read {}", host.display())),
            };
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, bytes.as_slice())?;
        }
    }
    builder.into_inner()?.flush()?;
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "text").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("l")).unwrap();
        let mapping = |name: &str| Mapping { host: dir.path().join(name), inside: format!("/app/{name}") };
        let mut bytes = Vec::new();
        let gone = archive(&[mapping("a"), mapping("l"), mapping("none")], &mut bytes).unwrap();
        assert_eq!(gone, ["/app/none"]);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [std::path::Path::new("app/a"), std::path::Path::new("app/l")]);
    }
}
