//! What becomes of the results of a build: images of the store, directories, archives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use rustix::fs::{CWD, Mode, OFlags};

use super::foreign;
use super::perform::Build;
use super::types::{Built, BuiltImage, Exports, Output};
use crate::build::event::EventKind;
use crate::build::graph::{Action, StepId, Target};
use crate::image::{
    self, Configuration, History, Landing, MadeImages, NewImage, Ownership, Style, choose_made_to_save, land,
    pack, pump,
};
use crate::oci::{Digest, Reference};

/// Makes what is wanted of the results of a build.
pub(super) fn export(build: &Build<'_>, exports: &Exports) -> Result<Built> {
    let step = StepId(build.graph.steps.len());
    if !exports.image && exports.outputs.is_empty() {
        return Ok(Built::default());
    }
    let name = if exports.image { "exporting to image" } else { "exporting to client" };
    build.say(step, EventKind::Started(name.to_owned()));
    let result = perform(build, exports, step);
    build.say(
        step,
        match &result {
            Ok(_) => EventKind::Done,
            Err(error) => EventKind::Failed(format!("{error:#}")),
        },
    );
    result
}

fn perform(build: &Build<'_>, exports: &Exports, step: StepId) -> Result<Built> {
    let note = |name: String| {
        build.say(step, EventKind::Progress { name, current: 0, total: None, done: true });
    };
    let archives = exports.outputs.iter().any(|output| matches!(output, Output::Archive { .. }));
    let mut built = Built::default();
    let mut passing = Vec::new();
    if exports.image || archives {
        let names: &[Reference] = if exports.image { &exports.names } else { &[] };
        let made = images(build, exports, names)?;
        note("exporting layers".to_owned());
        for (record, target) in made.images.iter().zip(&build.graph.targets) {
            note(format!("writing image {}", record.id));
            built.images.push(BuiltImage {
                platform: target.platform.clone(),
                id: record.id,
                manifest: record.manifest,
                media_type: record.media_type.clone(),
                size: record.size,
            });
        }
        for name in names {
            note(format!("naming to {name}"));
        }
        built.index = made.index;
        if !exports.image {
            // They are made to be written out.
            passing = made.new;
        }
    }
    for output in &exports.outputs {
        match output {
            Output::Directory(path) => directory(build, path)?,
            Output::Tar(file) => {
                let [target] = build.graph.targets.as_slice() else {
                    bail!("an archive of files is of one platform");
                };
                let trees = trees(build, target)?;
                let mut file = file;
                pack::merged(&trees, build.mapping.owners, &mut file).context("write the archive")?;
                file.flush().context("write the archive")?;
            }
            Output::Archive { format, file } => archive(build, exports, &built, *format, file)?,
        }
    }
    for image in &passing {
        build.store.remove_image(image)?;
    }
    if !passing.is_empty() {
        build.store.rebuild_index()?;
    }
    Ok(built)
}

/// Caches results elsewhere: in directories, and as images.
pub(super) fn caches(build: &Build<'_>, exports: &Exports) -> Result<()> {
    if exports.cache_to.is_empty() && exports.cache_images_to.is_empty() {
        return Ok(());
    }
    let mut of_images = BTreeSet::new();
    for target in &build.graph.targets {
        of_images.extend(build.layers(target.root)?);
    }
    let used = build.facts().used.clone();
    let records = |all: bool| {
        let mut records = used.clone();
        records.retain(|_, record| all || of_images.contains(&record.layer));
        records
    };
    for (directory, all) in &exports.cache_to {
        foreign::write(build.store, &build.mapping, &records(*all), directory)?;
    }
    for cache in &exports.cache_images_to {
        let image = foreign::image(&records(cache.all))?;
        image::make(
            build.store,
            &build.mapping,
            &[image],
            std::slice::from_ref(&cache.name),
            &Style::default(),
        )
        .with_context(|| format!("make the cache {}", cache.name.familiar()))?;
    }
    Ok(())
}

/// Returns the trees of what a target shows, the topmost first.
fn trees(build: &Build<'_>, target: &Target) -> Result<Vec<pack::Tree>> {
    let layers = build.layers(target.root)?;
    let stack = build.store.layers(&build.mapping.key).stack(&layers)?;
    stack.iter().map(|tree| pack::Tree::open(tree)).collect()
}

/// Writes the files of all targets into a directory, as the user's own.
fn directory(build: &Build<'_>, path: &Path) -> Result<()> {
    let several = build.graph.targets.len() > 1;
    for target in &build.graph.targets {
        let path =
            if several { path.join(target.platform.to_string().replace('/', "_")) } else { path.to_owned() };
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        let trees = trees(build, target)?;
        if trees.is_empty() {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, &path, flags, Mode::empty())
            .with_context(|| format!("open {}", path.display()))?;
        let shown = path.display().to_string();
        let (written, landed) = pump::pump(
            |out| pack::merged(&trees, build.mapping.owners, &mut &mut *out),
            |archive| {
                use std::os::fd::AsFd as _;
                let root = root.as_fd();
                land(archive, Landing { root, directory: b"", shown: &shown, ownership: Ownership::Own })
            },
        );
        landed.transpose().with_context(|| format!("write {}", path.display()))?;
        written?;
    }
    Ok(())
}

fn archive(
    build: &Build<'_>,
    exports: &Exports,
    built: &Built,
    format: image::Format,
    mut file: &File,
) -> Result<()> {
    let ids: Vec<Digest> = built.images.iter().map(|image| image.id).collect();
    let whole = built.index.map(|(index, _)| index);
    let saving = choose_made_to_save(build.store, &ids, &exports.names, whole, format)?;
    saving.archive(Some(&build.mapping), &mut file).context("write the archive")?;
    file.flush().context("write the archive")
}

/// Makes the images of all targets.
fn images(build: &Build<'_>, exports: &Exports, names: &[Reference]) -> Result<MadeImages> {
    let mut images = Vec::new();
    for target in &build.graph.targets {
        let layers = build.layers(target.root)?;
        let base = base_of(build, target.root);
        let below = base.map_or(0, |(_, count)| count);
        let facts = build.facts();
        let mut sizes = BTreeMap::new();
        let mut created = Vec::new();
        for layer in &layers[below..] {
            if let Some(record) = facts.made.get(layer) {
                sizes.insert(*layer, record.archive);
                created.push(record.created);
            }
        }
        let mut more = BTreeMap::new();
        if exports.inline_cache {
            more.insert(foreign::INLINE.to_owned(), foreign::inline(&facts.used, &layers)?);
        }
        drop(facts);
        let told = match base {
            Some((id, _)) => image::open(build.store, &id)?.config.history.len(),
            None => 0,
        };
        let config = with_times(target.config.clone(), told, &created, exports.epoch);
        images.push(NewImage {
            config,
            more,
            base: base.map(|(id, _)| id),
            layers,
            sizes,
            first_new: below,
            squash: exports.squash,
            not_after: exports.epoch.filter(|_| exports.rewrite_timestamp),
            annotations: exports.annotations.clone(),
            attestations: exports.attestations.clone(),
        });
    }
    image::make(build.store, &build.mapping, &images, names, &exports.style)
}

/// Finds the image that a step was built upon, and the number of its layers.
fn base_of(build: &Build<'_>, mut id: StepId) -> Option<(Digest, usize)> {
    loop {
        id = match &build.graph.steps.get(id.0)?.action {
            Action::Image(base) => return Some((base.id, base.layers.len())),
            Action::Run(run) => run.base,
            Action::Copy(copy) => copy.base,
            Action::Directory { base, .. } => *base,
            Action::Scratch | Action::Source(_) => return None,
        };
    }
}

/// Says in a configuration when its parts were made: a layer when it was, so that a build that finds all in the cache
/// makes the same image again; an entry without a layer with the layer before it. The first `below` entries of its
/// history are the base's.
fn with_times(mut config: Configuration, below: usize, created: &[i64], epoch: Option<i64>) -> Configuration {
    let text = |seconds: i64| Timestamp::from_second(seconds).ok().map(|time| time.to_string());
    let mut times = created.iter().copied();
    let mut last = created.first().copied();
    let base_time = config.history.iter().take(below).rev().find_map(|entry| entry.created.clone());
    for entry in config.history.iter_mut().skip(below) {
        if !entry.empty_layer {
            last = times.next().or(last);
        }
        if entry.created.is_none() || epoch.is_some() {
            entry.created = epoch.or(last).and_then(text).or_else(|| base_time.clone());
        }
    }
    let newest = epoch.or(created.iter().copied().max()).and_then(text);
    config.created = newest.or(base_time).or_else(|| text(super::perform::now()));
    fill(&mut config.history, config.created.as_ref());
    config
}

fn fill(history: &mut [History], created: Option<&String>) {
    for entry in history.iter_mut().filter(|entry| entry.created.is_none()) {
        entry.created = created.cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_when_layers_were_made() {
        let entry = |created: Option<&str>, empty_layer| History {
            created: created.map(str::to_owned),
            empty_layer,
            ..History::default()
        };
        let base = "2020-01-01T00:00:00Z";
        let config = Configuration {
            history: vec![
                entry(Some(base), false),
                entry(Some(base), true),
                entry(None, true),
                entry(None, false),
                entry(None, true),
                entry(None, false),
            ],
            ..Configuration::default()
        };
        let times = |config: &Configuration| {
            config.history.iter().map(|it| it.created.clone().unwrap()).collect::<Vec<_>>()
        };
        let made = with_times(config.clone(), 2, &[60, 120], None);
        let (one, two) = ("1970-01-01T00:01:00Z", "1970-01-01T00:02:00Z");
        assert_eq!(times(&made), [base, base, one, one, one, two]);
        assert_eq!(made.created.as_deref(), Some(two));
        let made = with_times(config, 2, &[60, 120], Some(0));
        let zero = "1970-01-01T00:00:00Z";
        assert_eq!(times(&made), [base, base, zero, zero, zero, zero]);
        assert_eq!(made.created.as_deref(), Some(zero));
    }
}
