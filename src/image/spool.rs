//! The members of an archive of images, as files in staging.
//!
//! An archive of images names its content at its end, and may come through a pipe. So every member is
//! written to staging as it comes, and hashed meanwhile; layers then are published by a rename.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::compression::Compression;
use super::intake::Intake;
use super::unpack::{Kind, Members, clean};
use crate::oci::{Digest, Hasher};

/// The largest document that is read into memory, in bytes.
const DOCUMENT_LIMIT: u64 = 4 << 20;
/// How many links to other members are followed.
const LINK_LIMIT: usize = 8;

/// Where the files of an archive or layout of images are.
#[derive(Debug)]
pub(super) enum Contents {
    /// Spooled from an archive.
    Spooled(HashMap<Vec<u8>, Member>),
    /// A directory on disk, not ours.
    Directory(PathBuf),
}

#[derive(Debug)]
pub(super) enum Member {
    File {
        path: PathBuf,
        digest: Digest,
    },
    /// The cleaned name of the member that it is another name of.
    Link(Vec<u8>),
}

impl Contents {
    /// Spools the archive `input`, whatever it is compressed with.
    pub(super) fn spool(intake: &Intake<'_>, input: impl Read + Send) -> Result<Self> {
        let mut input = BufReader::with_capacity(256 << 10, input);
        let compression = Compression::of(input.fill_buf().context("read the archive")?);
        if compression == Compression::Nothing {
            return spool(intake, input);
        }
        let decoder = compression.decoder(input)?;
        spool(intake, BufReader::with_capacity(256 << 10, decoder))
    }

    /// Returns a file with its path and, if it is known, its digest; `None` if there is no such file.
    pub(super) fn find(&self, name: &str) -> Option<(PathBuf, Option<Digest>)> {
        let mut name = clean(name.as_bytes()).ok()?;
        match self {
            Self::Directory(dir) => {
                let path = dir.join(std::str::from_utf8(&name).ok()?);
                path.is_file().then_some((path, None))
            }
            Self::Spooled(members) => {
                for _ in 0..LINK_LIMIT {
                    match members.get(&name)? {
                        Member::File { path, digest } => return Some((path.clone(), Some(*digest))),
                        Member::Link(target) => name.clone_from(target),
                    }
                }
                None
            }
        }
    }

    /// Loads a small file; `None` if there is none.
    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some((path, _)) = self.find(name) else { return Ok(None) };
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes))
            .with_context(|| format!("read {name}"))?;
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            bail!("read {name}: it is too large");
        }
        Ok(Some(bytes))
    }
}

fn spool(intake: &Intake<'_>, input: impl BufRead) -> Result<Contents> {
    let mut members = Members::new(input);
    let mut spooled = HashMap::new();
    while let Some(member) = members.next().context("read the archive")? {
        let Ok(name) = clean(&member.path) else {
            bail!("{:?} is outside of the archive", String::from_utf8_lossy(&member.path));
        };
        let entry = match member.kind {
            Kind::File => {
                let path = intake.fresh();
                let digest = write(&path, &mut members)
                    .with_context(|| format!("read {} of the archive", String::from_utf8_lossy(&name)))?;
                Member::File { path, digest }
            }
            // Old archives have a layer that two images share once, with a link to it.
            Kind::Symlink => {
                let dir = name.iter().rposition(|&byte| byte == b'/').map_or(&[][..], |at| &name[..at]);
                match clean(&[dir, b"/", &member.link].concat()) {
                    Ok(target) => Member::Link(target),
                    Err(_) => continue,
                }
            }
            Kind::HardLink => match clean(&member.link) {
                Ok(target) => Member::Link(target),
                Err(_) => continue,
            },
            _ => continue,
        };
        spooled.insert(name, entry);
    }
    Ok(Contents::Spooled(spooled))
}

fn write<R: BufRead>(path: &Path, members: &mut Members<R>) -> Result<Digest> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("create {}", path.display()))?;
    let mut hasher = Hasher::new();
    members.data(|chunk| {
        hasher.update(chunk);
        file.write_all(chunk).with_context(|| format!("write {}", path.display()))
    })?;
    Ok(hasher.finish())
}
