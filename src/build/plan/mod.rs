//! A Dockerfile made into a graph: stages are followed from the target back, variables replaced, instructions
//! turned into steps, and the configuration of the image written as BuildKit writes it.
//!
//! # Theory of operation
//!
//! For each platform: the words of `FROM` are expanded; stages are linked by what they begin with, copy and mount;
//! what the target needs is found; images among it are resolved by the caller, side by side, which may bring
//! `ONBUILD` instructions and with them new needs; then the stages are carried out in the order of the file, each
//! upon the state its base was left in.
//!
//! A state is a step (the files), an environment (`ENV` and `ARG`) and a configuration. Instructions that change no
//! file make no step. Steps of several platforms land in one graph, and sources that are the same are shared.

mod argument;
mod base;
mod copy;
mod dispatch;
mod expose;
mod link;
mod lints;
mod mounts;
mod name;
mod run;
mod signal;
mod stage;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use super::dockerfile::{Dockerfile, Fault, Lines};
use super::graph::{Action, Base, Graph, Network, Source, Step, StepId, Target};
use super::ignore::Ignore;
use super::lint::Lint;
use crate::image::Configuration;
use crate::oci::{Digest, Platform, Reference};

/// What is asked for.
#[allow(missing_debug_implementations, reason = "it holds a closure")]
pub struct Request<'a> {
    /// The Dockerfile.
    pub source: &'a str,
    /// The stage that is wanted; the last one if none is named.
    pub target: Option<&'a str>,
    /// `--build-arg`.
    pub arguments: &'a BTreeMap<String, String>,
    /// The machines to build for; this one if none is named.
    pub platforms: &'a [Platform],
    /// The machine that builds.
    pub host: Platform,
    /// `--build-context`, by names in their familiar form without `:latest`.
    pub contexts: &'a BTreeMap<String, Named>,
    /// `--label`.
    pub labels: &'a BTreeMap<String, String>,
    /// What is built anew.
    pub fresh: &'a Fresh,
    /// The network of commands that do not say.
    pub network: Network,
    /// Whether `RUN --security=insecure` is allowed.
    pub insecure: bool,
    /// What the context leaves out.
    pub ignore: &'a Ignore,
    /// Whether stages that the target does not need are read, too (`--check`).
    pub all_stages: bool,
    /// Takes warnings.
    pub lint: &'a Lint,
    /// Finds images; called from several threads at once.
    pub resolve: Resolve<'a>,
}

/// Finds an image for a platform, in the store or from where it comes.
pub type Resolve<'a> = &'a (dyn Fn(&Reference, &Platform) -> anyhow::Result<Resolved> + Sync);

/// An image that was found.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Its files.
    pub base: Base,
    /// Its configuration.
    pub config: Configuration,
    /// The digest of its manifest, which is shown.
    pub manifest: Option<Digest>,
}

/// A context with a name.
#[derive(Debug, Clone)]
pub enum Named {
    /// An image by another name.
    Image(Reference),
    /// Nothing.
    Scratch,
    /// An image that is there already.
    Resolved(Box<Resolved>),
    /// Files.
    Source(Source),
}

/// What is built anew although the cache has it.
#[derive(Debug, Clone, Default)]
pub enum Fresh {
    /// Nothing.
    #[default]
    Nothing,
    /// Everything.
    All,
    /// These stages.
    Stages(Vec<String>),
}

impl Fresh {
    fn has(&self, stage: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Stages(stages) => stages.iter().any(|name| name.eq_ignore_ascii_case(stage)),
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The graph.
    pub graph: Graph,
    /// `SOURCE_DATE_EPOCH`, if it is given.
    pub epoch: Option<i64>,
}

/// Decides what is to be done.
pub fn plan(request: &Request<'_>) -> Result<Plan, Fault> {
    let file = Dockerfile::parse(request.source, request.lint)?;
    if let Some(check) = request.arguments.get("BUILDKIT_DOCKERFILE_CHECK") {
        request
            .lint
            .configure(check)
            .map_err(|why| Fault::new(format!("failed to parse check options: {why}")))?;
    }
    lints::names(&file, request.lint);
    lints::casing(&file, request.lint);
    let epoch = epoch(request, &file)?;
    let host = [request.host.clone()];
    let platforms = if request.platforms.is_empty() { &host[..] } else { request.platforms };
    let mut steps = Steps::default();
    let mut images = BTreeMap::new();
    for platform in platforms {
        let mut planner = stage::Planner::new(request, &file, platform, epoch, &mut steps, &mut images)?;
        let target = planner.plan()?;
        steps.targets.push(target);
    }
    if let Some(error) = request.lint.error() {
        return Err(Fault::new(error));
    }
    Ok(Plan { graph: Graph { steps: steps.list, targets: steps.targets }, epoch })
}

/// Reads `SOURCE_DATE_EPOCH` from the arguments, or from an `ARG` before the first stage.
fn epoch(request: &Request<'_>, file: &Dockerfile) -> Result<Option<i64>, Fault> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let declared = || {
        let mut named = file.arguments.iter().filter(|(argument, _)| argument.key == NAME);
        named.next_back().and_then(|(argument, _)| argument.value.clone())
    };
    match request.arguments.get(NAME).cloned().or_else(declared).as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(Fault::new(format!("invalid SOURCE_DATE_EPOCH: {text}"))),
        },
    }
}

/// The steps so far.
#[derive(Debug, Default)]
struct Steps {
    list: Vec<Step>,
    targets: Vec<Target>,
    /// Sources that are there already.
    sources: Vec<(Source, StepId)>,
}

impl Steps {
    fn push(&mut self, step: Step) -> StepId {
        self.list.push(step);
        StepId(self.list.len() - 1)
    }

    /// Returns the step of a source, which is there once however often it is read.
    fn source(&mut self, name: String, lines: Option<Lines>, platform: &Platform, source: Source) -> StepId {
        if let Some((_, id)) = self.sources.iter().find(|(known, _)| *known == source) {
            return *id;
        }
        let action = Action::Source(source.clone());
        let id = self.push(Step { name, lines, platform: platform.clone(), fresh: false, action });
        self.sources.push((source, id));
        id
    }

    fn context(&mut self, platform: &Platform) -> StepId {
        let source = Source::Context { name: "context".to_owned() };
        self.source("[internal] load build context".to_owned(), None, platform, source)
    }
}
