//! Stages, and one platform's way through them.

use std::collections::BTreeMap;

use super::base::Images;
use super::{Named, Request, Steps, lints};
use crate::build::dockerfile::{
    Argument, Dockerfile, Expanded, Fault, Instruction, Kind, Lexer, Lines, Stage, suggestion,
};
use crate::build::graph::{Action, Step, StepId, Target};
use crate::image::Configuration;
use crate::oci::Platform;

/// Where programs are looked for if nothing says it.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    pub(super) alias: String,
    /// What it is called in the names of steps.
    pub(super) label: String,
    pub(super) lines: Option<Lines>,
    pub(super) comments: Vec<String>,
    /// The stage below.
    pub(super) base: Option<usize>,
    pub(super) platform: Option<Platform>,
    /// What `--build-context` puts in the place of the whole stage.
    pub(super) named: Option<Named>,
    /// An image that is only copied or mounted from.
    pub(super) unregistered: bool,
    pub(super) commands: Vec<Command>,
    pub(super) needs: Vec<(usize, Lines)>,
    pub(super) fresh: bool,
    pub(super) total: usize,
    pub(super) index: usize,
    pub(super) resolved: bool,
    pub(super) dispatched: bool,
    pub(super) triggered: bool,
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
    pub(super) file: &'a Dockerfile,
    pub(super) platform: &'a Platform,
    pub(super) epoch: Option<i64>,
    pub(super) steps: &'a mut Steps,
    pub(super) images: &'a mut Images,
    pub(super) lexer: Lexer,
    /// The predefined arguments, and those before the first stage.
    pub(super) globals: Variables,
    pub(super) works: Vec<Work>,
    scratch: Option<StepId>,
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
