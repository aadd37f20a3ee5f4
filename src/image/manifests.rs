//! Lists of manifests in the making: `manifest create`, `annotate`, `push`.
//!
//! ```text
//! manifests/<list>/<manifest>.json
//! ```
//!
//! One file a manifest, written whole or not at all, under the names as they are typed in full, with what no
//! file name may hold escaped. A list exists as long as it has a manifest.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::index::{Entry, EntryPlatform, Listing, indent, is_index};
use super::manifest::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use super::remote::{Registries, Remote, bare};
use crate::oci::{Digest, Reference};
use crate::store::{Store, read_json, replace_json_synced};

/// What can be told of a platform by hand: system and architecture.
const PLATFORMS: &[(&str, &[&str])] = &[
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm"]),
    (
        "linux",
        &["386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64le", "riscv64", "s390x"],
    ),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64", "arm64"]),
];

/// A manifest of a list. The words are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Member {
    /// Its full name.
    #[serde(rename = "Ref")]
    reference: String,
    /// Its digest and what it is for.
    descriptor: Entry,
    /// The manifest in base 64.
    raw: String,
}

/// What `annotate` is to change; empty fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct Annotation {
    /// The operating system.
    pub os: String,
    /// The architecture.
    pub architecture: String,
    /// The operating system's version.
    pub os_version: String,
    /// What the operating system must have, besides what is known.
    pub os_features: Vec<String>,
    /// The architecture's variant.
    pub variant: String,
}

/// The lists of a store.
#[derive(Debug)]
pub struct Lists<'a> {
    store: &'a Store,
}

impl Member {
    fn of(remote: &Remote, platform: EntryPlatform) -> Self {
        Self {
            reference: remote.reference.to_string(),
            descriptor: Entry { platform: Some(platform), ..remote.entry.clone() },
            raw: BASE64.encode(&remote.bytes),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let bytes = BASE64.decode(&self.raw).with_context(|| format!("read manifest {}", self.reference))?;
        let (expected, found) = (self.descriptor.digest, Digest::of(&bytes));
        ensure!(
            expected == Some(found),
            "internal digest mismatch for {}: expected {}, got {found}",
            self.reference,
            expected.map(|digest| digest.to_string()).unwrap_or_default()
        );
        Ok(bytes)
    }

    /// Writes the manifest as `manifest inspect` does.
    pub fn text(&self) -> Result<String> {
        let text = String::from_utf8(self.bytes()?).context("read the manifest as text")?;
        Ok(indent(&text, "\t"))
    }

    /// Writes everything that is known as `manifest inspect --verbose` does, in one line.
    fn details(&self) -> Result<String> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Details<'a> {
            #[serde(flatten)]
            member: &'a Member,
            #[serde(rename = "SchemaV2Manifest", skip_serializing_if = "Option::is_none")]
            docker: Option<Box<RawValue>>,
            #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
            oci: Option<Box<RawValue>>,
        }
        let text = String::from_utf8(self.bytes()?).context("read the manifest as text")?;
        let manifest = RawValue::from_string(text).context("parse the manifest")?;
        let is_docker = self.descriptor.media_type == DOCKER_MANIFEST;
        let (docker, oci) = if is_docker { (Some(manifest), None) } else { (None, Some(manifest)) };
        serde_json::to_string(&Details { member: self, docker, oci }).context("serialise the manifest")
    }
}

/// Writes what is known about one manifest, or about several as a list.
pub fn details(members: &[Member], list: bool) -> Result<String> {
    let all = members.iter().map(Member::details).collect::<Result<Vec<_>>>()?.join(",");
    Ok(indent(&if list { format!("[{all}]") } else { all }, "\t"))
}

/// Writes the index of some manifests as Docker does.
pub fn listing(target: &Reference, members: &[Member]) -> Result<String> {
    index(target, members)?.text("   ")
}

fn index(target: &Reference, members: &[Member]) -> Result<Listing> {
    let mut manifests = Vec::new();
    for member in members {
        let from = Reference::parse(&member.reference)?;
        ensure!(
            from.domain() == target.domain(),
            "cannot use source images from a different registry than the target image: {} != {}",
            from.domain(),
            target.domain()
        );
        let Entry { media_type, digest, size, platform, .. } = member.descriptor.clone();
        manifests.push(Entry { media_type, digest, size, platform, ..Entry::default() });
    }
    let oci = manifests.first().is_some_and(|first| first.media_type == OCI_MANIFEST);
    let media_type = if oci { OCI_INDEX } else { DOCKER_LIST }.to_owned();
    Ok(Listing { schema_version: 2, media_type, manifests, annotations: None })
}

/// Looks a manifest up in its registry.
pub fn lookup(registries: &Registries<'_>, reference: &Reference) -> Result<Member> {
    let remote = find(registries, reference)?;
    if is_index(&remote.entry.media_type) {
        bail!("{reference} is a manifest list");
    }
    known(&remote)?;
    let platform = registries.platform(&remote)?;
    Ok(Member::of(&remote, platform))
}

/// What `manifest inspect` found in a registry.
#[derive(Debug)]
pub enum Seen {
    /// One image.
    Manifest(Box<Member>),
    /// An index, with its manifests if they were asked for.
    Listing(Listing, Vec<Member>),
}

/// Looks up what `reference` means in its registry; with `whole`, also the manifests of an index.
pub fn look(registries: &Registries<'_>, reference: &Reference, whole: bool) -> Result<Seen> {
    let remote = find(registries, reference)?;
    if !is_index(&remote.entry.media_type) {
        known(&remote)?;
        let platform = if whole { registries.platform(&remote)? } else { EntryPlatform::default() };
        return Ok(Seen::Manifest(Box::new(Member::of(&remote, platform))));
    }
    let mut listing = Listing::parse(&remote.bytes)?;
    if listing.media_type.is_empty() {
        listing.media_type.clone_from(&remote.entry.media_type);
    }
    let mut members = Vec::new();
    for entry in listing.manifests.iter().filter(|_| whole) {
        let digest = entry.digest.context("an entry of the index has no digest")?;
        let inner = registries.get(&reference.with_digest(digest))?;
        members.push(Member::of(&inner, entry.platform.clone().unwrap_or_default()));
    }
    Ok(Seen::Listing(listing, members))
}

fn find(registries: &Registries<'_>, reference: &Reference) -> Result<Remote> {
    registries.find(reference)?.with_context(|| format!("no such manifest: {reference}"))
}

fn known(remote: &Remote) -> Result<()> {
    let media_type = &remote.entry.media_type;
    ensure!(
        matches!(media_type.as_str(), DOCKER_MANIFEST | OCI_MANIFEST),
        "unsupported manifest format: {media_type}"
    );
    Ok(())
}

impl<'a> Lists<'a> {
    /// Returns the lists of `store`.
    pub fn of(store: &'a Store) -> Self {
        Self { store }
    }

    fn dir(&self, list: &Reference) -> PathBuf {
        self.store.root().join("manifests").join(escaped(&list.to_string()))
    }

    fn file(&self, list: &Reference, manifest: &Reference) -> PathBuf {
        self.dir(list).join(file_name(manifest))
    }

    /// Loads a list, sorted by name; `None` if there is no such list.
    pub fn load(&self, list: &Reference) -> Result<Option<Vec<Member>>> {
        let dir = self.dir(list);
        let mut names = Vec::new();
        match fs::read_dir(&dir) {
            Ok(entries) => {
                for entry in entries {
                    names.push(entry.with_context(|| format!("read {}", dir.display()))?.path());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("read {}", dir.display())),
        }
        // What a killed command has left beside is not whole.
        names.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        names.sort();
        let mut members = Vec::new();
        for path in names {
            members.extend(read_json(&path)?);
        }
        Ok(if members.is_empty() { None } else { Some(members) })
    }

    /// Loads one manifest of a list.
    pub fn member(&self, list: &Reference, manifest: &Reference) -> Result<Option<Member>> {
        read_json(&self.file(list, manifest))
    }

    fn save(&self, list: &Reference, manifest: &Reference, member: &Member) -> Result<()> {
        let dir = self.dir(list);
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        replace_json_synced(&self.file(list, manifest), member)
    }

    /// Adds manifests to a list, which must be new unless `amend`.
    pub fn create(
        &self,
        registries: &Registries<'_>,
        list: &Reference,
        manifests: &[Reference],
        amend: bool,
    ) -> Result<()> {
        if !amend && self.load(list)?.is_some() {
            bail!("refusing to amend an existing manifest list with no --amend flag");
        }
        // All are looked up before the first is written, so that an error leaves the list as it was.
        let mut members = Vec::new();
        for manifest in manifests {
            let member = match self.member(list, manifest)? {
                Some(member) => member,
                None => lookup(registries, manifest)?,
            };
            members.push((manifest, member));
        }
        let dir = self.dir(list);
        if dir.exists() {
            for (manifest, member) in members {
                self.save(list, manifest, &member)?;
            }
            return Ok(());
        }
        // A new list appears with all that was asked for, or not at all.
        let staged = self.store.stage()?;
        let made = staged.path("list");
        fs::create_dir(&made).with_context(|| format!("create {}", made.display()))?;
        for (manifest, member) in &members {
            replace_json_synced(&made.join(file_name(manifest)), member)?;
        }
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        ensure!(staged.publish("list", &dir)?, "somebody else has just made the manifest list {list}");
        Ok(())
    }

    /// Changes what a list says about one of its manifests. `Ok(false)`: the list does not have it.
    pub fn annotate(&self, list: &Reference, manifest: &Reference, change: &Annotation) -> Result<bool> {
        let Some(mut member) = self.member(list, manifest)? else { return Ok(false) };
        let platform = member.descriptor.platform.get_or_insert_default();
        let set = |field: &mut String, value: &String| {
            if !value.is_empty() {
                field.clone_from(value);
            }
        };
        set(&mut platform.os, &change.os);
        set(&mut platform.architecture, &change.architecture);
        set(&mut platform.os_version, &change.os_version);
        set(&mut platform.variant, &change.variant);
        for feature in &change.os_features {
            if !platform.os_features.contains(feature) {
                platform.os_features.push(feature.clone());
            }
        }
        let (os, architecture) = (platform.os.as_str(), platform.architecture.as_str());
        if !PLATFORMS.iter().any(|(known, all)| *known == os && all.contains(&architecture)) {
            bail!(
                "manifest entry for image has unsupported os/arch combination: {}/{}",
                change.os,
                change.architecture
            );
        }
        self.save(list, manifest, &member)?;
        Ok(true)
    }

    /// Removes a list. `Ok(false)`: there is none.
    pub fn remove(&self, list: &Reference) -> Result<bool> {
        let dir = self.dir(list);
        // Out of sight in one step: what is still to be removed goes with staging.
        let staged = self.store.stage()?;
        match fs::rename(&dir, staged.path("list")) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| format!("remove {}", dir.display())),
        }
    }

    /// Pushes a list, after what it lists that is in other repositories of the registry. `told` hears of
    /// each of those. Returns the list's digest.
    pub fn push(
        &self,
        registries: &Registries<'_>,
        list: &Reference,
        members: &[Member],
        mut told: impl FnMut(&str) -> Result<()>,
    ) -> Result<Digest> {
        for member in members {
            let platform = member.descriptor.platform.clone().unwrap_or_default();
            if platform.os.is_empty() || platform.architecture.is_empty() {
                bail!(
                    "manifest {} must have an OS and Architecture to be pushed to a registry",
                    member.reference
                );
            }
        }
        let index = index(list, members)?;
        for member in members {
            let from = Reference::parse(&member.reference)?;
            if from.path() == list.path() {
                continue;
            }
            let remote = Remote { reference: from, bytes: member.bytes()?, entry: member.descriptor.clone() };
            let digest = registries.copy(&remote, list)?;
            told(&format!("Pushed ref {} with digest: {digest}", bare(list)?.with_digest(digest)))?;
        }
        registries.put(list, &index.media_type, index.text("   ")?.as_bytes())
    }
}

fn file_name(manifest: &Reference) -> String {
    format!("{}.json", escaped(&manifest.to_string()))
}

/// Makes a name of a reference that is one file name, and of no other reference.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::scratch;

    fn member(reference: &str) -> Member {
        let bytes = br#"{"schemaVersion":2,"config":{}}"#;
        let entry = Entry {
            media_type: DOCKER_MANIFEST.to_owned(),
            digest: Some(Digest::of(bytes)),
            size: bytes.len() as u64,
            ..Entry::default()
        };
        let reference = Reference::parse(reference).unwrap();
        let platform =
            EntryPlatform { architecture: "amd64".into(), os: "linux".into(), ..Default::default() };
        Member::of(&Remote { reference, bytes: bytes.to_vec(), entry }, platform)
    }

    #[test]
    fn keeps_annotates_and_removes() {
        let (_dir, store) = scratch();
        let lists = Lists::of(&store);
        let list = Reference::parse("localhost:5000/a/b:1").unwrap();
        let one = Reference::parse("localhost:5000/a/b:amd64").unwrap();
        assert_eq!(lists.load(&list).unwrap(), None);
        lists.save(&list, &one, &member("localhost:5000/a/b:amd64")).unwrap();
        assert_eq!(lists.load(&list).unwrap().unwrap().len(), 1);
        let change = Annotation {
            architecture: "arm".into(),
            variant: "v7".into(),
            os_features: vec!["x".into(), "x".into()],
            ..Default::default()
        };
        assert!(lists.annotate(&list, &one, &change).unwrap());
        let known = lists.member(&list, &one).unwrap().unwrap().descriptor.platform.unwrap();
        assert_eq!((known.text(), known.os_features), ("linux/arm/v7".to_owned(), vec!["x".to_owned()]));
        let bad = Annotation { architecture: "z80".into(), ..Default::default() };
        let error = lists.annotate(&list, &one, &bad).unwrap_err();
        assert_eq!(error.to_string(), "manifest entry for image has unsupported os/arch combination: /z80");
        assert!(!lists.annotate(&list, &list, &change).unwrap());
        let text = listing(&list, &lists.load(&list).unwrap().unwrap()).unwrap();
        assert!(text.starts_with("{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"application/vnd.docker"));
        let elsewhere = Reference::parse("quay.io/a/b:1").unwrap();
        let error = listing(&elsewhere, &lists.load(&list).unwrap().unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("localhost:5000 != quay.io"), "{error}");
        assert!(lists.remove(&list).unwrap() && !lists.remove(&list).unwrap());
    }

    #[test]
    fn tells_everything_in_dockers_order() {
        let text = details(&[member("example.com/a:1")], false).unwrap();
        let keys = ["\"Ref\"", "\"Descriptor\"", "\"Raw\"", "\"SchemaV2Manifest\""];
        let places: Vec<_> = keys.iter().map(|key| text.find(key).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        assert!(text.contains("\t\"SchemaV2Manifest\": {\n\t\t\"schemaVersion\": 2,"), "{text}");
    }
}
