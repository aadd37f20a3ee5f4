//! Images put together in a registry from images of registries: `buildx imagetools`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::index::{Entry, Listing, is_index};
use super::manifest::{DOCKER_MANIFEST, OCI_MANIFEST};
use super::remote::{Registries, Remote};
use crate::oci::{Digest, Reference};

/// What a new image is made of, as it is asked for: a reference, a digest, or a descriptor in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// Where it is; without one, in the one repository that everything else names.
    reference: Option<Reference>,
    /// What is told about it.
    entry: Entry,
}

/// A remark, and what it is made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    on: On,
    key: String,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum On {
    Index,
    /// The entries of an index, or those for one platform.
    Entries(Option<String>),
}

/// An image that is put together.
#[derive(Debug)]
pub struct Combined {
    /// Its manifest or index.
    pub bytes: Vec<u8>,
    /// What that is.
    pub media_type: String,
    sources: Vec<Remote>,
}

impl ImageSource {
    /// Reads a source.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || -> Result<Self> {
            if text.starts_with("sha256") {
                let digest: Digest = text.trim().parse()?;
                return Ok(Self {
                    reference: None,
                    entry: Entry { digest: Some(digest), ..Entry::default() },
                });
            }
            if !text.trim_start().starts_with('{') {
                let reference = Reference::parse(text)?;
                return Ok(Self { reference: Some(reference), entry: Entry::default() });
            }
            let entry: Entry = serde_json::from_str(text)?;
            Ok(Self { reference: None, entry })
        };
        read().map_err(|error| {
            anyhow!(
                "failed to parse source {text:?}, valid sources are digests, references and descriptors: {error:#}"
            )
        })
    }
}

impl Remark {
    /// Reads a remark: `index:key=value`, `manifest-descriptor[linux/amd64]:key=value`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || anyhow!("failed to parse annotations: invalid annotation {text:?}, want TYPE:KEY=VALUE");
        let (left, value) = text.split_once('=').ok_or_else(bad)?;
        let (kind, key) = left.split_once(':').unwrap_or(("", left));
        if key.is_empty() {
            return Err(bad());
        }
        let (kind, platform) = match kind.split_once('[') {
            Some((kind, rest)) => (kind, Some(rest.strip_suffix(']').ok_or_else(bad)?.to_owned())),
            None => (kind, None),
        };
        let on = match kind {
            "index" => On::Index,
            "manifest-descriptor" => On::Entries(platform),
            "" | "manifest" => bail!("\"manifest\" annotations are not supported yet"),
            "index-descriptor" => {
                bail!("\"index-descriptor\" annotations are invalid while creating an image")
            }
            _ => return Err(bad()),
        };
        Ok(Self { on, key: key.to_owned(), value: value.to_owned() })
    }
}

/// Puts an image together from `sources`, for the names `tags`. A single index stays as it is, and so does
/// a single manifest unless `prefer_index`.
pub fn combine(
    registries: &Registries<'_>,
    sources: &[ImageSource],
    tags: &[Reference],
    remarks: &[Remark],
    prefer_index: bool,
) -> Result<Combined> {
    let remotes = locate(sources, tags)?
        .iter()
        .map(|source| resolve(registries, source))
        .collect::<Result<Vec<Remote>>>()?;
    if let [only] = remotes.as_slice()
        && remarks.is_empty()
        && (is_index(&only.entry.media_type) || !prefer_index)
    {
        let (bytes, media_type) = (only.bytes.clone(), only.entry.media_type.clone());
        return Ok(Combined { bytes, media_type, sources: remotes });
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut annotations = BTreeMap::new();
    for remote in &remotes {
        if !is_index(&remote.entry.media_type) {
            add(&mut entries, remote.entry.clone());
            continue;
        }
        let listing = Listing::parse(&remote.bytes)?;
        annotations.extend(listing.annotations.unwrap_or_default());
        for entry in listing.manifests {
            add(&mut entries, entry);
        }
    }
    for Remark { on, key, value } in remarks {
        let On::Entries(platform) = on else {
            annotations.insert(key.clone(), value.clone());
            continue;
        };
        for entry in &mut entries {
            let is = |text: &String| entry.platform.as_ref().is_some_and(|known| known.text() == *text);
            if platform.as_ref().is_none_or(is) {
                entry.annotations.get_or_insert_default().insert(key.clone(), value.clone());
            }
        }
    }
    let listing = Listing::of(entries, annotations);
    let bytes = listing.text("  ")?.into_bytes();
    Ok(Combined { bytes, media_type: listing.media_type, sources: remotes })
}

/// Adds an entry, or to what is known of it.
fn add(entries: &mut Vec<Entry>, entry: Entry) {
    let Some(known) = entries.iter_mut().find(|known| known.digest == entry.digest) else {
        entries.push(entry);
        return;
    };
    if known.media_type.is_empty() {
        known.media_type = entry.media_type;
    }
    if entry.platform.is_some() {
        known.platform = entry.platform;
    }
    if let Some(more) = entry.annotations {
        known.annotations.get_or_insert_default().extend(more);
    }
}

/// Gives every source a reference.
fn locate(sources: &[ImageSource], tags: &[Reference]) -> Result<Vec<ImageSource>> {
    let mut repositories: Vec<&str> = tags.iter().map(Reference::repository).collect();
    repositories
        .extend(sources.iter().filter_map(|source| source.reference.as_ref().map(Reference::repository)));
    repositories.sort_unstable();
    repositories.dedup();
    ensure!(!repositories.is_empty(), "no repositories specified, please set a reference in tag or source");
    sources
        .iter()
        .map(|source| {
            let reference = if let Some(reference) = &source.reference {
                reference.clone().with_default_tag()
            } else {
                let digest = source.entry.digest.context("a source has neither a name nor a digest")?;
                let [repository] = repositories[..] else {
                    bail!("multiple repositories specified, cannot infer repository for {digest}");
                };
                Reference::parse(repository)?.with_digest(digest)
            };
            Ok(ImageSource { reference: Some(reference), entry: source.entry.clone() })
        })
        .collect()
}

/// Fetches a source, and puts together what is told of it and what is found.
fn resolve(registries: &Registries<'_>, source: &ImageSource) -> Result<Remote> {
    let reference = source.reference.as_ref().context("a source has no name")?;
    let mut remote = registries.get(reference)?;
    let told = &source.entry;
    if told.size != 0 && told.size != remote.entry.size {
        let digest = remote.entry.digest.map(|digest| digest.to_string()).unwrap_or_default();
        bail!("invalid size mismatch for {digest}, {} != {}", told.size, remote.entry.size);
    }
    if !told.media_type.is_empty() {
        remote.entry.media_type.clone_from(&told.media_type);
    }
    remote.entry.annotations.clone_from(&told.annotations);
    remote.entry.platform.clone_from(&told.platform);
    match remote.entry.media_type.as_str() {
        DOCKER_MANIFEST | OCI_MANIFEST => {
            // What is told of the platform is completed by the image.
            let found = registries.platform(&remote)?;
            let platform = remote.entry.platform.get_or_insert_with(|| found.clone());
            for (told, found) in
                [(&mut platform.os, found.os), (&mut platform.architecture, found.architecture)]
            {
                if told.is_empty() {
                    *told = found;
                }
            }
        }
        other if is_index(other) => {}
        other => bail!("{reference}: {other} manifests are not allowed in manifest lists"),
    }
    Ok(remote)
}

impl Combined {
    /// Pushes the image under the name `tag`, after what it is made of and the repository does not have.
    /// `told` hears of each step.
    pub fn push(
        &self,
        registries: &Registries<'_>,
        tag: &Reference,
        mut told: impl FnMut(&str),
    ) -> Result<()> {
        for source in &self.sources {
            if source.reference.repository() == tag.repository() {
                continue;
            }
            let digest = source.entry.digest.map(|digest| digest.to_string()).unwrap_or_default();
            told(&format!("copying {digest} from {} to {tag}", source.reference));
            registries.copy(source, tag)?;
        }
        told(&format!("pushing {} to {tag}", Digest::of(&self.bytes)));
        registries.put(tag, &self.media_type, &self.bytes)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_sources() {
        assert!(ImageSource::parse("alpine:3").unwrap().reference.is_some());
        assert!(ImageSource::parse(DIGEST).unwrap().reference.is_none());
        let json = format!(r#"{{"digest":"{DIGEST}","platform":{{"os":"linux","architecture":"arm"}}}}"#);
        let source = ImageSource::parse(&json).unwrap();
        assert_eq!(source.entry.platform.unwrap().text(), "linux/arm");
        for bad in ["sha256:12", "Bad Name", "{", ""] {
            assert!(ImageSource::parse(bad).unwrap_err().to_string().starts_with("failed to parse source"));
        }
        let tag = Reference::parse("localhost:5000/a:1").unwrap();
        let located = locate(&[ImageSource::parse(DIGEST).unwrap()], std::slice::from_ref(&tag)).unwrap();
        assert_eq!(located[0].reference.as_ref().unwrap().to_string(), format!("localhost:5000/a@{DIGEST}"));
        let sources = [ImageSource::parse(DIGEST).unwrap(), ImageSource::parse("other").unwrap()];
        let error = locate(&sources, &[tag]).unwrap_err();
        assert!(error.to_string().starts_with("multiple repositories specified"), "{error}");
        assert!(locate(&sources[..1], &[]).is_err());
    }

    #[test]
    fn reads_remarks() {
        let remark = Remark::parse("manifest-descriptor[linux/arm/v7]:a.b=c=d").unwrap();
        assert_eq!(remark.on, On::Entries(Some("linux/arm/v7".into())));
        assert_eq!((remark.key.as_str(), remark.value.as_str()), ("a.b", "c=d"));
        assert_eq!(Remark::parse("index:a=").unwrap().on, On::Index);
        for bad in ["a", "a=b", "index:=b", "manifest-descriptor[x:a=b", "what:a=b"] {
            assert!(Remark::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_a_manifest_once() {
        let entry = |text: &str| Entry { digest: Some(Digest::of(text.as_bytes())), ..Entry::default() };
        let mut entries = Vec::new();
        add(&mut entries, entry("a"));
        add(&mut entries, entry("b"));
        let remarks = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        add(&mut entries, Entry { annotations: Some(remarks.clone()), ..entry("a") });
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].annotations, Some(remarks));
    }
}
