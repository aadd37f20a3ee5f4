//! Stages: what they begin with, what they need, in which order they are carried out.

use std::collections::BTreeMap;

use super::{Named, Request, Resolved, Steps, lints};
use crate::build::dockerfile::{
    Argument, Dockerfile, Expanded, Fault, Instruction, Kind, Lexer, Lines, Stage, mount_origin, suggestion,
};
use crate::build::graph::{Action, Step, StepId, Target};
use crate::build::lint::rule;
use crate::image::{Configuration, Defaults};
use crate::oci::{Platform, Reference};

/// Where programs are looked for if nothing says it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Names that people often mean.
const COMMON: &[&str] = &["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"];

/// Images by reference and platform, found or not.
pub(super) type Images = BTreeMap<(String, String), Result<Resolved, String>>;

/// Variables in the order in which they were set.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, known)) => value.clone_into(known),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(|(key, value)| format!("{key}={value}")).collect()
    }
}

/// An instruction and the stages that it takes files from.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) instruction: Instruction,
    /// Of `COPY`, one; of `RUN`, one a mount.
    pub(super) sources: Vec<Option<usize>>,
    /// Whether it comes from the base's `ONBUILD`.
    pub(super) trigger: bool,
}

/// A stage, and the state it is in.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// What it begins with, variables replaced.
    pub(super) origin: String,
    /// Its name in lower case, or nothing.
    alias: String,
    /// What it is called in the names of steps.
    pub(super) label: String,
    pub(super) lines: Option<Lines>,
    comments: Vec<String>,
    /// The stage below.
    base: Option<usize>,
    pub(super) platform: Option<Platform>,
    /// What `--build-context` puts in the place of the whole stage.
    named: Option<Named>,
    /// An image that is only copied or mounted from.
    unregistered: bool,
    pub(super) commands: Vec<Command>,
    needs: Vec<(usize, Lines)>,
    pub(super) fresh: bool,
    pub(super) total: usize,
    pub(super) index: usize,
    resolved: bool,
    pub(super) dispatched: bool,
    triggered: bool,
    pub(super) in_trigger: bool,
    pub(super) root: Option<StepId>,
    pub(super) image: Configuration,
    pub(super) env: Variables,
    pub(super) directory: String,
    pub(super) declared: Vec<Argument>,
    pub(super) workdir_set: bool,
    pub(super) cmd: Option<Lines>,
    pub(super) entrypoint: Option<Lines>,
    pub(super) healthcheck: Option<Lines>,
}

/// One platform's way through the stages.
pub(super) struct Planner<'a, 'r> {
    pub(super) request: &'a Request<'r>,
    file: &'a Dockerfile,
    pub(super) platform: &'a Platform,
    pub(super) epoch: Option<i64>,
    pub(super) steps: &'a mut Steps,
    images: &'a mut Images,
    pub(super) lexer: Lexer,
    /// The predefined arguments, and those before the first stage.
    pub(super) globals: Variables,
    pub(super) works: Vec<Work>,
    scratch: Option<StepId>,
}

/// Parses a base as `FROM` names it.
pub(super) fn normal_base(text: &str) -> Result<Reference, String> {
    Reference::parse(text)
        .map(Reference::with_default_tag)
        .map_err(|why| format!("failed to parse stage name {text:?}: {why}"))
}

impl<'a, 'r> Planner<'a, 'r> {
    pub(super) fn new(
        request: &'a Request<'r>,
        file: &'a Dockerfile,
        platform: &'a Platform,
        epoch: Option<i64>,
        steps: &'a mut Steps,
        images: &'a mut Images,
    ) -> Result<Self, Fault> {
        let lexer = Lexer::new(file.escape);
        let mut planner = Self {
            request,
            file,
            platform,
            epoch,
            steps,
            images,
            lexer,
            globals: Variables::default(),
            works: Vec::new(),
            scratch: None,
        };
        let predefined = planner.predefined();
        if let Ok(defaults) = planner.meta(&predefined, &BTreeMap::new()) {
            let expand = |text: &str| lexer.expand(text, &|name| defaults.get(name)).ok().map(|e| e.text);
            lints::defaults(&file.stages, expand, request.lint);
        }
        planner.globals = planner.meta(&predefined, request.arguments)?;
        Ok(planner)
    }

    /// Returns the arguments that need no `ARG` before `FROM`.
    fn predefined(&self) -> Variables {
        let last = self.file.stages.last().map(|stage| stage.name.as_str());
        let target = self.request.target.or(last).filter(|name| !name.is_empty()).unwrap_or("default");
        let (host, platform) = (&self.request.host, self.platform);
        let mut variables = Variables::default();
        for (name, value) in [
            ("BUILDPLATFORM", host.to_string().as_str()),
            ("BUILDOS", &host.os),
            ("BUILDOSVERSION", ""),
            ("BUILDARCH", &host.architecture),
            ("BUILDVARIANT", &host.variant),
            ("TARGETPLATFORM", &platform.to_string()),
            ("TARGETOS", &platform.os),
            ("TARGETOSVERSION", ""),
            ("TARGETARCH", &platform.architecture),
            ("TARGETVARIANT", &platform.variant),
            ("TARGETSTAGE", target),
        ] {
            variables.set(name, self.request.arguments.get(name).map_or(value, String::as_str));
        }
        variables
    }

    /// Adds the arguments before the first stage.
    fn meta(&self, predefined: &Variables, given: &BTreeMap<String, String>) -> Result<Variables, Fault> {
        let mut variables = predefined.clone();
        for (argument, lines) in &self.file.arguments {
            let value = match (given.get(&argument.key), &argument.value) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => {
                    let expanded = self.lexer.expand(default, &|name| variables.get(name));
                    expanded.map_err(|why| Fault::new(why).at(*lines).about(default))?.text
                }
                (None, None) => continue,
            };
            variables.set(&argument.key, &value);
        }
        Ok(variables)
    }

    /// Follows everything through and returns what comes out.
    pub(super) fn plan(&mut self) -> Result<Target, Fault> {
        for stage in &self.file.stages {
            self.add_stage(stage)?;
        }
        let target = self.target()?;
        self.link()?;
        let reachable = self.resolve(target)?;
        for (at, needed) in reachable.into_iter().enumerate() {
            if (needed || self.request.all_stages) && !self.works[at].dispatched {
                self.dispatch_stage(at)?;
            }
        }
        let root = self.root(target);
        let work = &mut self.works[target];
        let mut config = std::mem::take(&mut work.image);
        config.config.labels.extend(self.request.labels.clone());
        if !self.request.platforms.is_empty() || config.architecture.is_empty() {
            config.os.clone_from(&self.platform.os);
            config.architecture.clone_from(&self.platform.architecture);
            config.variant.clone_from(&self.platform.variant);
        }
        config.created = None;
        Ok(Target { platform: config.platform(), root, config })
    }

    fn add_stage(&mut self, stage: &Stage) -> Result<(), Fault> {
        let lint = self.request.lint;
        let expand = |text: &str| -> Result<Expanded, Fault> {
            let globals = &self.globals;
            let expanded = self.lexer.expand(text, &|name| globals.get(name));
            expanded.map_err(|why| Fault::new(why).at(stage.lines).about(text))
        };
        let declared = self.file.arguments.iter().map(|(argument, _)| argument.key.clone());
        let known: Vec<String> = declared.chain(self.globals.names().map(str::to_owned)).collect();
        let base = expand(&stage.base)?;
        lints::undeclared(stage, &base, &known, lint);
        if base.text.is_empty() {
            let message = format!("base name ({}) should not be blank", stage.base);
            return Err(Fault::new(message).at(stage.lines).about(&stage.base));
        }
        let platform = if stage.platform.is_empty() {
            None
        } else {
            let expanded = expand(&stage.platform)?;
            lints::undeclared(stage, &expanded, &known, lint);
            let target = self.globals.get("TARGETPLATFORM").unwrap_or_default();
            lints::platform(stage, &expanded, &target, lint);
            let guess = expanded
                .unmatched
                .iter()
                .map(|name| suggestion(name, self.globals.names(), true))
                .find(|guess| !guess.is_empty())
                .unwrap_or_default();
            let fault = |message: String| Fault::new(message).at(stage.lines).about(&stage.platform);
            if expanded.text.is_empty() {
                return Err(fault(format!("empty platform value from expression {}{guess}", stage.platform)));
            }
            let parsed: Result<Platform, _> = expanded.text.parse();
            Some(
                parsed.map_err(|why| {
                    fault(format!("failed to parse platform {}: {why}{guess}", stage.platform))
                })?,
            )
        };
        let at = self.works.len();
        let label = if stage.name.is_empty() { format!("stage-{at}") } else { stage.name.clone() };
        let named = if stage.name.is_empty() { None } else { self.named(&stage.name, platform.as_ref()) };
        let base_stage = match &named {
            Some(_) => None,
            None => self.stage_named(&base.text),
        };
        let commands = stage.instructions.iter().map(|instruction| Command {
            instruction: instruction.clone(),
            sources: Vec::new(),
            trigger: false,
        });
        let own = usize::from(base.text != "scratch" && base_stage.is_none());
        let counted = |kind: &Kind| matches!(kind, Kind::Copy(_) | Kind::Run(_) | Kind::Workdir(_));
        let total = own + stage.instructions.iter().filter(|i| counted(&i.kind)).count();
        self.works.push(Work {
            origin: base.text,
            alias: stage.name.clone(),
            label,
            lines: Some(stage.lines),
            comments: stage.comments.clone(),
            base: base_stage,
            platform,
            total: if named.is_some() { 0 } else { total },
            named,
            commands: commands.collect(),
            fresh: self.request.fresh.has(&stage.name),
            ..Work::default()
        });
        Ok(())
    }

    /// Returns the last stage so far of this name.
    fn stage_named(&self, name: &str) -> Option<usize> {
        self.works.iter().rposition(|work| !work.alias.is_empty() && work.alias.eq_ignore_ascii_case(name))
    }

    /// Returns what `--build-context` puts in the place of a stage or an image.
    fn named(&self, name: &str, platform: Option<&Platform>) -> Option<Named> {
        if name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
            return None;
        }
        let familiar = Reference::parse(name).ok()?.with_default_tag().familiar();
        let familiar = familiar.strip_suffix(":latest").unwrap_or(&familiar);
        let specific = format!("{familiar}::{}", platform.unwrap_or(self.platform));
        self.request.contexts.get(&specific).or_else(|| self.request.contexts.get(familiar)).cloned()
    }

    fn target(&self) -> Result<usize, Fault> {
        let Some(name) = self.request.target else { return Ok(self.works.len() - 1) };
        self.stage_named(name).ok_or_else(|| {
            let guess = suggestion(name, self.works.iter().map(|work| work.label.as_str()), true);
            Fault::new(format!("target stage {name:?} could not be found{guess}"))
        })
    }

    /// Finds the stages that instructions take files from.
    fn link(&mut self) -> Result<(), Fault> {
        for at in 0..self.works.len() {
            for number in 0..self.works[at].commands.len() {
                let instruction = self.works[at].commands[number].instruction.clone();
                let sources = self.sources(&instruction)?;
                let needs = sources.iter().flatten().map(|source| (*source, instruction.lines));
                self.works[at].needs.extend(needs.collect::<Vec<_>>());
                self.works[at].commands[number].sources = sources;
            }
        }
        self.refuse_circles()?;
        if let [only] = self.works.as_mut_slice() {
            only.label.clear();
        }
        Ok(())
    }

    fn sources(&mut self, instruction: &Instruction) -> Result<Vec<Option<usize>>, Fault> {
        match &instruction.kind {
            Kind::Copy(copy) if !copy.from.is_empty() => {
                let fault = |message: String| Fault::new(message).at(instruction.lines).about(&copy.from);
                let expanded = self.lexer.expand(&copy.from, &|_| None).map_err(fault)?.text;
                if expanded != copy.from {
                    return Err(fault(
                        "variable expansion is not supported for --from, define a new stage with FROM using ARG \
                         from global scope as a workaround"
                            .to_owned(),
                    ));
                }
                let source = match copy.from.parse::<i64>() {
                    Ok(index) => {
                        match usize::try_from(index).ok().filter(|index| *index < self.works.len()) {
                            Some(index) => index,
                            None => return Err(fault(format!("invalid stage index {index}"))),
                        }
                    }
                    Err(_) => self.stage_or_image(&copy.from, instruction.lines),
                };
                Ok(vec![Some(source)])
            }
            Kind::Run(run) => Ok(run
                .mounts
                .iter()
                .map(|mount| mount_origin(mount).map(|from| self.stage_or_image(&from, instruction.lines)))
                .collect()),
            _ => Ok(Vec::new()),
        }
    }

    fn stage_or_image(&mut self, name: &str, lines: Lines) -> usize {
        if let Some(stage) = self.stage_named(name) {
            return stage;
        }
        let same = |work: &Work| work.unregistered && work.origin == name;
        if let Some(known) = self.works.iter().position(same) {
            return known;
        }
        let image =
            Work { origin: name.to_owned(), lines: Some(lines), unregistered: true, ..Work::default() };
        self.works.push(image);
        self.works.len() - 1
    }

    fn refuse_circles(&self) -> Result<(), Fault> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.works.len()];
        for start in 0..self.works.len() {
            // Each entry: a stage, and how many of its needs were followed.
            let mut path = if marks[start] == Mark::New { vec![(start, 0)] } else { Vec::new() };
            while let Some((at, next)) = path.last_mut() {
                marks[*at] = Mark::Open;
                let Some(&(need, lines)) = self.works[*at].needs.get(*next) else {
                    marks[*at] = Mark::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match marks[need] {
                    Mark::Open => {
                        let label = &self.works[path[0].0].label;
                        let message = format!("circular dependency detected on stage: {label}");
                        return Err(Fault::new(message).at(lines));
                    }
                    Mark::New => path.push((need, 0)),
                    Mark::Done => {}
                }
            }
        }
        Ok(())
    }

    /// Tells of each stage whether `target` needs it.
    fn reachable(&self, target: usize) -> Vec<bool> {
        let mut found = vec![false; self.works.len()];
        let mut open = vec![target];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut found[at], true) {
                open.extend(self.works[at].base);
                open.extend(self.works[at].needs.iter().map(|(need, _)| *need));
            }
        }
        found
    }

    /// Resolves the images that the target needs, and what their `ONBUILD`s need in turn.
    fn resolve(&mut self, target: usize) -> Result<Vec<bool>, Fault> {
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
    fn inherit(&mut self, at: usize) {
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

    fn dispatch_stage(&mut self, at: usize) -> Result<(), Fault> {
        self.inherit(at);
        let work = &mut self.works[at];
        work.dispatched = true;
        work.platform.get_or_insert_with(|| self.platform.clone());
        "/".clone_into(&mut work.directory);
        let config = &mut work.image.config;
        if !config.env.iter().any(|line| line.starts_with("PATH=")) {
            config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        for line in &config.env {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            work.env.set(key, value);
        }
        if !config.working_dir.is_empty() {
            config.working_dir = absolute("/", &config.working_dir);
            work.directory.clone_from(&config.working_dir);
        }
        for command in self.works[at].commands.clone() {
            let lines = command.instruction.lines;
            self.works[at].in_trigger = command.trigger;
            self.dispatch(at, command).map_err(|fault| fault.at(lines))?;
        }
        Ok(())
    }

    /// Returns the step that holds a stage's files.
    pub(super) fn root(&mut self, at: usize) -> StepId {
        if let Some(root) = self.works[at].root {
            return root;
        }
        self.empty()
    }

    /// Returns the step without files.
    pub(super) fn empty(&mut self) -> StepId {
        *self.scratch.get_or_insert_with(|| {
            self.steps.push(Step {
                name: "FROM scratch".to_owned(),
                lines: None,
                platform: self.platform.clone(),
                fresh: false,
                action: Action::Scratch,
            })
        })
    }
}

/// Returns `path` as an absolute one, seen from `directory`.
pub(super) fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let directory = if directory.starts_with('/') { directory.to_owned() } else { format!("/{directory}") };
    crate::build::ignore::clean(&format!("{directory}/{path}"))
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
