//! What a check has found, made right: always a whole new thing in the place of the old one.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, RenameFlags};

use super::{Connect, Fix, Round};
use crate::image::config::Configuration;
use crate::image::intake::Mapping;
use crate::image::manifest::{Document, Manifest, parse};
use crate::image::pack::{self, Tree};
use crate::oci::{Digest, Hasher, Reference};
use crate::store::{Broken, Derived, ImageRecord, Mode, Store};

/// Stands in the reason of what another repair of the same round may make possible.
pub(super) const LATER: &str = "something else has to be right first";

impl Round<'_> {
    /// Makes a finding right, and says how.
    pub(super) fn mend(&self, fix: &Fix, connect: &Connect<'_>) -> Result<String> {
        match fix {
            Fix::Blob(digest) => self.blob(digest, connect),
            Fix::Drop(_) if self.blind => bail!("{LATER}: an image whose manifest may have it"),
            Fix::Drop(digest) => {
                self.store.remove_blob(digest)?;
                Ok("removed, since no image has it".to_owned())
            }
            Fix::Layer { diff_id, blob, mapping } => self.layer(diff_id, *blob, mapping),
            Fix::Unname(name) => {
                let _gc = self.store.lock("gc", Mode::Exclusive)?;
                self.store.remove_ref(name)?;
                self.store.rebuild_index()?;
                Ok("the name is removed".to_owned())
            }
            Fix::Record(Broken::Ref(_), path) => {
                self.store.remove_record(path)?;
                Ok("the name is removed, for what it meant is lost".to_owned())
            }
            Fix::Record(Broken::Image(id), path) => self.record(id, path),
            Fix::Index => {
                anyhow::ensure!(self.store.rebuild_index()?, "the disk has no room for it");
                Ok("written anew".to_owned())
            }
            Fix::Layout => {
                self.store.repair_layout()?;
                Ok("written anew".to_owned())
            }
            Fix::Nothing(why) => bail!("{why}"),
        }
    }

    /// Makes a blob again from the layer that was unpacked from it, or fetches it, from where the names that lead to
    /// it say it came from.
    fn blob(&self, digest: &Digest, connect: &Connect<'_>) -> Result<String> {
        let Some(wanted) = self.wanted.get(digest) else { bail!("no image has it") };
        if self.pack(digest).unwrap_or(false) {
            return Ok("packed anew from its unpacked layer".to_owned());
        }
        let names = self
            .refs
            .iter()
            .filter(|(name, record)| wanted.images.contains(&record.id) || wanted.names.contains(name));
        // A name with a digest was given by a registry; others may have been given here.
        let mut repositories: Vec<(bool, &str)> =
            names.map(|(name, _)| (name.tag().is_some(), name.repository.as_str())).collect();
        repositories.sort_unstable();
        let mut tried: Vec<&str> = Vec::new();
        let mut failure = None;
        for (_, repository) in repositories {
            if tried.contains(&repository) {
                continue;
            }
            tried.push(repository);
            match self.fetch(digest, repository, connect) {
                Ok(()) => return Ok(format!("fetched again from {repository}")),
                Err(error) => failure = Some(error.context(format!("fetch it from {repository}"))),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => bail!("none of its images has a name that leads to a registry"),
        }
    }

    /// Packs a layer that is known by the digest of its archive; tells whether it came to the same archive, which
    /// it does if the archive was made here.
    fn pack(&self, digest: &Digest) -> Result<bool> {
        let tree = self.store.layers(&self.check.mapping.key).tree(digest);
        if !tree.is_dir() {
            return Ok(false);
        }
        let staged = self.store.stage()?;
        let path = staged.path("blob");
        let mut file = File::create_new(&path).with_context(|| format!("create {}", path.display()))?;
        let packed =
            Tree::open(&tree).and_then(|tree| pack::layer(&tree, self.check.mapping.owners, &mut file))?;
        if packed.diff_id != *digest {
            return Ok(false);
        }
        self.store.replace_blob(&path, digest)?;
        Ok(true)
    }

    fn fetch(&self, digest: &Digest, repository: &str, connect: &Connect<'_>) -> Result<()> {
        let wanted = self.wanted.get(digest).cloned().unwrap_or_default();
        let reference = Reference::parse(repository)?;
        let staged = self.store.stage()?;
        let path = staged.path("blob");
        let mut file = File::create_new(&path).with_context(|| format!("create {}", path.display()))?;
        let client = connect(&reference)?;
        let mut hasher = Hasher::new();
        if wanted.is_manifest {
            let fetched = client.manifest(&reference.with_digest(*digest))?;
            hasher.update(&fetched.bytes);
            file.write_all(&fetched.bytes).with_context(|| format!("write {}", path.display()))?;
        } else {
            let Some(size) = wanted.size else { bail!("{LATER}: the manifest that tells its size") };
            let mut blob = client.blob(&reference, *digest, size, 0)?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                let count = blob.read(&mut buffer)?;
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                file.write_all(&buffer[..count]).with_context(|| format!("write {}", path.display()))?;
            }
        }
        let found = hasher.finish();
        anyhow::ensure!(found == *digest, "what came has the digest {found}");
        self.store.replace_blob(&path, digest)
    }

    /// Unpacks a layer anew, and puts it in the place of the old one in one step.
    fn layer(&self, diff_id: &Digest, blob: Option<Digest>, mapping: &Mapping) -> Result<String> {
        let key = &mapping.key;
        let runs =
            |stand: &&super::Stand| stand.running && stand.map == *key && stand.layers.contains(diff_id);
        if let Some(stand) = self.check.stands.iter().find(runs) {
            bail!("container {} runs on it and has to be stopped first", stand.container);
        }
        let Some(blob) = blob else { bail!("no image has a blob that it could be unpacked from") };
        if !self.can_repack(&blob, diff_id, mapping) && self.findings_of(&blob) {
            bail!("{LATER}: blob {blob}");
        }
        let layers = self.store.layers(key);
        layers.ready()?;
        let (fresh, staged) = self.fresh(&blob, diff_id, mapping)?;
        staged.sync()?;
        let target = layers.dir(diff_id);
        match rustix::fs::renameat_with(CWD, &fresh, CWD, &target, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT) => {
                staged.publish("layer", &target)?;
            }
            // A file system that cannot exchange: for a moment the layer is not there.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::rename(&target, staged.path("old"))
                    .and_then(|()| fs::rename(&fresh, &target))
                    .with_context(|| format!("replace layer {diff_id}"))?;
            }
            Err(error) => return Err(error).with_context(|| format!("replace layer {diff_id}")),
        }
        Ok("unpacked anew".to_owned())
    }

    /// Tells whether a blob is not what it is called.
    fn findings_of(&self, blob: &Digest) -> bool {
        match self.store.open_blob(blob) {
            Ok(Some(file)) => !super::tree::digest(file, &|_| ()).is_ok_and(|found| found == *blob),
            _ => true,
        }
    }

    /// Makes an image's record anew: one of the manifests here leads to its configuration.
    fn record(&self, id: &Digest, path: &Path) -> Result<String> {
        let found = self.manifest_of(id)?;
        let _gc = self.store.lock("gc", Mode::Shared)?;
        let Some((digest, manifest)) = found else {
            self.store.remove_record(path)?;
            return Ok("removed, for its manifest is lost; it has to be pulled again".to_owned());
        };
        let config = Configuration::parse(&self.sound(id).with_context(|| format!("{LATER}: blob {id}"))?)?;
        self.store.put_image(&ImageRecord {
            id: *id,
            manifest: digest,
            media_type: manifest.media_type.clone(),
            size: manifest.bytes.len() as u64,
            layers: config.rootfs.diff_ids,
        })?;
        Ok("written anew".to_owned())
    }

    fn manifest_of(&self, id: &Digest) -> Result<Option<(Digest, Box<Manifest>)>> {
        for (digest, size) in self.store.blobs()? {
            if size > 4 << 20 {
                continue;
            }
            let Some(bytes) = self.sound(&digest) else { continue };
            if let Ok(Document::Manifest(manifest)) = parse(&bytes, "")
                && manifest.config.digest == *id
            {
                return Ok(Some((digest, manifest)));
            }
        }
        Ok(None)
    }
}

/// Cleans up what killed commands have left.
pub(super) fn tidy(store: &Store) -> Result<()> {
    store.remove_leftovers(&store.records()?.leftovers)?;
    if store.index_state().is_ok_and(|state| state != Derived::Current) {
        store.rebuild_index()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_registries() {
        // Names of the store are whole, and such a one means itself.
        for (repository, domain, path) in [
            ("registry.example:5000/team/box", "registry.example:5000", "team/box"),
            ("docker.io/library/busybox", "docker.io", "library/busybox"),
            ("localhost/box", "localhost", "box"),
        ] {
            let reference = Reference::parse(repository).unwrap();
            assert_eq!((reference.domain(), reference.path()), (domain, path));
        }
    }
}
