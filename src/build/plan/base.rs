//! What stages begin with: images, which are asked for side by side, or what `--build-context` puts in their place;
//! and what images and stages keep for those who build upon them.

use std::collections::BTreeMap;

use super::stage::{Command, DEFAULT_PATH, Planner};
use super::{Named, Resolved};
use crate::build::dockerfile::{Dockerfile, Fault, Kind, suggestion};
use crate::build::graph::{Action, Step, StepId};
use crate::build::lint::rule;
use crate::image::{Configuration, Defaults};
use crate::oci::{Platform, Reference};

/// Names that people often mean.
const COMMON: &[&str] = &["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"];

/// Images by reference and platform, found or not.
pub(super) type Images = BTreeMap<(String, String), Result<Resolved, String>>;

/// Parses a base as `FROM` names it.
pub(super) fn normal_base(text: &str) -> Result<Reference, String> {
    Reference::parse(text)
        .map(Reference::with_default_tag)
        .map_err(|why| format!("failed to parse stage name {text:?}: {why}"))
}

impl Planner<'_, '_> {
    /// Resolves the images that the target needs, and what their `ONBUILD`s need in turn.
    pub(super) fn resolve(&mut self, target: usize) -> Result<Vec<bool>, Fault> {
        loop {
            let reachable = self.reachable(target);
            let wanted: Vec<usize> = (0..self.works.len())
                .filter(|at| {
                    let work = &self.works[*at];
                    let needed = reachable[*at] || self.request.all_stages;
                    needed && work.base.is_none() && !work.dispatched && !work.resolved
                })
                .collect();
            self.fetch(&wanted);
            for at in wanted {
                self.works[at].resolved = true;
                self.begin(at).map_err(|fault| match self.works[at].lines {
                    Some(lines) => fault.at(lines),
                    None => fault,
                })?;
                if self.works[at].unregistered {
                    self.works[at].dispatched = true;
                }
            }
            let mut more = false;
            for (at, needed) in reachable.into_iter().enumerate() {
                if needed && !self.works[at].triggered {
                    self.works[at].triggered = true;
                    more |= self.triggers(at)?;
                }
            }
            if !more {
                return Ok(self.reachable(target));
            }
        }
    }

    /// Puts the instructions that the base keeps for this build in front; tells whether they need more stages.
    fn triggers(&mut self, at: usize) -> Result<bool, Fault> {
        let triggers: Vec<String> = match self.works[at].base {
            Some(base) => {
                let kinds = self.works[base].commands.iter().map(|command| &command.instruction.kind);
                kinds
                    .filter_map(|kind| if let Kind::OnBuild(text) = kind { Some(text.clone()) } else { None })
                    .collect()
            }
            None if self.works[at].unregistered => Vec::new(),
            None => std::mem::take(&mut self.works[at].image.config.on_build),
        };
        let lines = self.works[at].lines.unwrap_or((1, 1));
        let mut commands = Vec::new();
        for trigger in &triggers {
            let instruction = Dockerfile::trigger(trigger, lines, self.request.lint)
                .map_err(|fault| Fault { places: vec![lines], ..fault })?;
            let sources = self.sources(&instruction)?;
            commands.push(Command { instruction, sources, trigger: true });
        }
        let needs: Vec<_> =
            commands.iter().flat_map(|c| c.sources.iter().flatten()).map(|s| (*s, lines)).collect();
        let more = !needs.is_empty();
        let work = &mut self.works[at];
        work.needs.extend(needs);
        work.total += commands.len();
        work.commands.splice(0..0, commands);
        Ok(more)
    }

    fn image_of(&self, at: usize) -> Option<(Reference, Platform)> {
        let work = &self.works[at];
        let platform = work.platform.clone().unwrap_or_else(|| self.platform.clone());
        let named = work.named.clone().or_else(|| self.named(&work.origin, Some(&platform)));
        match named {
            Some(Named::Image(reference)) => Some((reference, platform)),
            Some(_) => None,
            None if work.origin == "scratch" => None,
            None => Some((normal_base(&work.origin).ok()?, platform)),
        }
    }

    /// Has the images of `wanted` resolved, side by side.
    fn fetch(&mut self, wanted: &[usize]) {
        let mut missing: Vec<(Reference, Platform)> = Vec::new();
        for at in wanted {
            if let Some(image) = self.image_of(*at) {
                let key = (image.0.to_string(), image.1.to_string());
                if !self.images.contains_key(&key) && !missing.contains(&image) {
                    missing.push(image);
                }
            }
        }
        let resolve = self.request.resolve;
        let found: Vec<_> = match missing.as_slice() {
            [(reference, platform)] => vec![resolve(reference, platform)],
            several => std::thread::scope(|scope| {
                let threads: Vec<_> = several
                    .iter()
                    .map(|(reference, platform)| scope.spawn(|| resolve(reference, platform)))
                    .collect();
                let joined = threads.into_iter().map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|_| Err(anyhow::anyhow!("resolve the image: the thread panicked")))
                });
                joined.collect()
            }),
        };
        for ((reference, platform), found) in missing.into_iter().zip(found) {
            let found = found.map_err(|why| format!("{why:#}"));
            self.images.insert((reference.to_string(), platform.to_string()), found);
        }
    }

    /// Puts a stage in the state that its image or context gives it.
    fn begin(&mut self, at: usize) -> Result<(), Fault> {
        let origin = self.works[at].origin.clone();
        let platform = self.works[at].platform.clone().unwrap_or_else(|| self.platform.clone());
        let whole = self.works[at].named.clone();
        let named = whole.clone().or_else(|| self.named(&origin, Some(&platform)));
        if whole.is_some() {
            self.works[at].dispatched = true;
        }
        match named {
            Some(Named::Source(source)) => {
                let name = format!("[context {origin}] load from client");
                let lines = self.works[at].lines;
                let step = self.steps.source(name, lines, &platform, source);
                self.works[at].root = Some(step);
                self.works[at].image = empty_image(&platform);
            }
            Some(Named::Scratch) => self.works[at].image = empty_image(&platform),
            Some(Named::Resolved(resolved)) => self.begin_with(at, &platform, *resolved, &origin),
            None if origin == "scratch" => {
                self.works[at].image = empty_image(self.platform);
                self.works[at].platform = Some(self.platform.clone());
                return Ok(());
            }
            Some(Named::Image(_)) | None => {
                let reference = match named {
                    Some(Named::Image(reference)) => reference,
                    _ => normal_base(&origin).map_err(|why| Fault::new(why).about(&origin))?,
                };
                let key = (reference.to_string(), platform.to_string());
                match self.images.get(&key).cloned() {
                    Some(Ok(resolved)) => self.begin_with(at, &platform, resolved, &origin),
                    Some(Err(why)) => {
                        let labels = self.works.iter().map(|work| work.label.as_str());
                        let guess = suggestion(&origin, labels.chain(COMMON.iter().copied()), true);
                        let message = format!(
                            "{origin}: failed to resolve source metadata for {reference}: {why}{guess}"
                        );
                        return Err(Fault::new(message).about(&origin));
                    }
                    None => return Err(Fault::new(format!("{origin}: the image was not resolved"))),
                }
            }
        }
        self.works[at].platform = Some(platform);
        Ok(())
    }

    fn begin_with(&mut self, at: usize, platform: &Platform, resolved: Resolved, origin: &str) {
        let Resolved { base, mut config, manifest } = resolved;
        let actual = config.platform();
        if (&actual.os, &actual.architecture) != (&platform.os, &platform.architecture) {
            let (lines, comments) = (self.works[at].lines.unwrap_or((1, 1)), self.works[at].comments.clone());
            self.request.lint.note(rule::INVALID_BASE_IMAGE_PLATFORM, lines, &comments, || {
                let (actual, wanted) = (actual.to_string(), platform.to_string());
                format!(
                    "Base image {origin} was pulled with platform {actual:?}, expected {wanted:?} for current build"
                )
            });
        }
        config.created = None;
        if !base.layers.is_empty() {
            let digest = match (&manifest, base.reference.digest()) {
                (Some(digest), None) => format!("@{digest}"),
                _ => String::new(),
            };
            let text = format!("FROM {}{digest}", base.reference);
            let name = self.name(at, &text, platform);
            let same = self.steps.list.iter().position(|step| {
                step.platform == *platform
                    && matches!(&step.action, Action::Image(known) if known.id == base.id && known.reference == base.reference)
            });
            let root = same.map_or_else(
                || {
                    self.steps.push(Step {
                        name,
                        lines: self.works[at].lines,
                        platform: platform.clone(),
                        fresh: false,
                        action: Action::Image(base),
                    })
                },
                StepId,
            );
            self.works[at].root = Some(root);
        }
        self.works[at].image = config;
    }

    /// Takes the state over in which the base was left.
    pub(super) fn inherit(&mut self, at: usize) {
        let Some(base) = self.works[at].base else { return };
        let below = &self.works[base];
        let mut image = below.image.clone();
        image.config.on_build.clear();
        let (root, platform, declared, workdir_set) =
            (below.root, below.platform.clone(), below.declared.clone(), below.workdir_set);
        let work = &mut self.works[at];
        work.image = image;
        work.root = root;
        work.platform = platform;
        work.declared.extend(declared);
        work.workdir_set = workdir_set;
    }

    /// Returns what `--build-context` puts in the place of a stage or an image.
    pub(super) fn named(&self, name: &str, platform: Option<&Platform>) -> Option<Named> {
        if name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
            return None;
        }
        let familiar = Reference::parse(name).ok()?.with_default_tag().familiar();
        let familiar = familiar.strip_suffix(":latest").unwrap_or(&familiar);
        let specific = format!("{familiar}::{}", platform.unwrap_or(self.platform));
        self.request.contexts.get(&specific).or_else(|| self.request.contexts.get(familiar)).cloned()
    }
}

/// Returns the configuration of an image of nothing.
fn empty_image(platform: &Platform) -> Configuration {
    Configuration {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        config: Defaults {
            working_dir: "/".to_owned(),
            env: vec![format!("PATH={DEFAULT_PATH}")],
            ..Defaults::default()
        },
        ..Configuration::default()
    }
}
