//! `--output`.

use std::fs::File;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::csv::Fields;
use crate::build::solve::Output;
use crate::image::Format;
use crate::oci::Reference;

/// Where results go, as it is asked for.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    /// Whether images are made in the store.
    pub(super) image: bool,
    /// Whether they are pushed.
    pub(super) push: bool,
    pub(super) docker_types: bool,
    pub(super) rewrite_timestamp: bool,
    /// Names given here.
    pub(super) names: Vec<Reference>,
    pub(super) files: Vec<Destination>,
}

/// One destination outside of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    Directory(PathBuf),
    /// The files as an archive; nothing is standard output.
    Tar(Option<PathBuf>),
    Archive(Format, Option<PathBuf>),
}

impl Destinations {
    /// Reads the values of `--output`, `--load` and `--push`.
    pub(super) fn read(outputs: &[String], load: bool, push: bool) -> Result<Self> {
        let mut all = Self::default();
        for text in outputs {
            all.add(text)?;
        }
        if push {
            all.image = true;
            all.push = true;
        }
        all.image |= load || outputs.is_empty();
        Ok(all)
    }

    fn add(&mut self, text: &str) -> Result<()> {
        let fields = Fields::parse(text).context("failed to parse output")?;
        if let Some(path) = fields.word() {
            self.files.push(match path {
                "-" => Destination::Tar(None),
                path => Destination::Directory(path.into()),
            });
            return Ok(());
        }
        let Some(kind) = fields.get("type") else { bail!("type is required for output") };
        refuse(&fields)?;
        let path = fields.any(&["dest", "dst"]);
        let file = || path.filter(|path| *path != "-").map(PathBuf::from);
        self.rewrite_timestamp |= fields.truth("rewrite-timestamp");
        for name in
            fields.get("name").iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty())
        {
            let name = Reference::parse(name).with_context(|| format!("invalid tag {name:?}"))?;
            self.names.push(name.with_default_tag());
        }
        match kind {
            "local" => match path {
                Some(path) if path != "-" => self.files.push(Destination::Directory(path.into())),
                _ => bail!("dest is required for local output"),
            },
            "tar" => self.files.push(Destination::Tar(file())),
            "oci" | "docker" if fields.get("tar") == Some("false") => {
                bail!("write {kind:?} as a directory: only archives are written; unpack one, or use `save`")
            }
            "oci" => self.files.push(Destination::Archive(Format::OciArchive, file())),
            "docker" if path.is_some() => {
                self.files.push(Destination::Archive(Format::DockerArchive, file()));
            }
            "docker" => self.image = true,
            "image" => {
                self.image = true;
                self.push |= fields.truth("push");
                self.docker_types |= fields.get("oci-mediatypes") == Some("false");
            }
            "registry" => {
                self.image = true;
                self.push = true;
                self.docker_types |= fields.get("oci-mediatypes") == Some("false");
            }
            "cacheonly" => {}
            other => bail!("exporter {other:?} could not be found"),
        }
        Ok(())
    }

    /// Opens the files.
    pub(super) fn open(&self) -> Result<Vec<Output>> {
        self.files
            .iter()
            .map(|destination| {
                Ok(match destination {
                    Destination::Directory(path) => Output::Directory(std::path::absolute(path)?),
                    Destination::Tar(path) => Output::Tar(create(path.as_deref())?),
                    Destination::Archive(format, path) => {
                        Output::Archive { format: *format, file: create(path.as_deref())? }
                    }
                })
            })
            .collect()
    }
}

/// Refuses what BuildKit's exporters can do and ours cannot.
fn refuse(fields: &Fields) -> Result<()> {
    if let Some(kind) = fields.get("compression").filter(|kind| *kind != "gzip") {
        bail!("compression={kind}: new layers are packed with gzip");
    }
    let absent = [
        "compression-level",
        "force-compression",
        "push-by-digest",
        "name-canonical",
        "dangling-name-prefix",
    ];
    let asked = |key: &&&str| fields.get(key).is_some_and(|value| !matches!(value, "false" | "0"));
    if let Some(key) = absent.iter().find(asked) {
        bail!("{key}: outputs have no such option");
    }
    // Several platforms in one directory, each in its own.
    if fields.get("platform-split") == Some("false") {
        bail!("platform-split=false: the files of several platforms go to directories of their own");
    }
    Ok(())
}

fn create(path: Option<&Path>) -> Result<File> {
    if let Some(path) = path {
        return File::create(path).with_context(|| format!("create {}", path.display()));
    }
    if std::io::stdout().is_terminal() {
        bail!("dest file is required for this output. refusing to write to console");
    }
    let copy = rustix::io::dup(rustix::stdio::stdout()).map_err(|error| anyhow!(error))?;
    Ok(File::from(copy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_outputs() {
        let read = |texts: &[&str]| {
            Destinations::read(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>(), false, false)
        };
        assert!(read(&[]).unwrap().image);
        let local = read(&["type=local,dest=out"]).unwrap();
        assert!(!local.image && local.files == [Destination::Directory("out".into())]);
        assert_eq!(read(&["out"]).unwrap().files, [Destination::Directory("out".into())]);
        assert_eq!(read(&["-"]).unwrap().files, [Destination::Tar(None)]);
        assert!(read(&["type=registry,name=r/x"]).unwrap().push);
        let both = read(&["type=docker", "type=oci,dest=a.tar"]).unwrap();
        assert!(both.image && both.files == [Destination::Archive(Format::OciArchive, Some("a.tar".into()))]);
        assert!(read(&["type=image,compression=gzip,force-compression=false"]).is_ok());
        for refused in
            ["compression=zstd", "force-compression=true", "push-by-digest=true", "compression-level=9"]
        {
            assert!(read(&[&format!("type=image,{refused}")]).is_err(), "{refused}");
        }
        assert!(read(&["type=what"]).is_err() && read(&["type=local"]).is_err());
    }
}
