//! What the work on a project has the command line do: settings, registries, processes of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::build::Wishes;
use super::progress::Progress;
use crate::cli::pull::{ROLE as FETCH_ROLE, unpack_words};
use crate::cli::report::{coded, response};
use crate::cli::session::Session;
use crate::compose::life::{self, Context, Engine, Front, Stage};
use crate::compose::{Hook, How, Loaded};
use crate::idmap::{Identity, Kept};
use crate::oci::Digest;
use crate::store::Store;

/// The command line, for the work on a project.
#[derive(Debug)]
pub(super) struct Here {
    progress: Progress,
    config: PathBuf,
    identity: Identity,
    store: Store,
    dry_run: bool,
    parallel: usize,
    cdi: Vec<PathBuf>,
    /// How images are built.
    pub(super) build: Wishes,
}

impl Here {
    /// Makes one for a call.
    pub(super) fn new(session: &Session) -> Result<Self> {
        let globals = &session.compose;
        Ok(Self {
            progress: Progress::new(globals),
            config: session.docker_config_dir.clone().unwrap_or_default(),
            identity: Session::identity().map_err(response)?,
            store: session.image_store()?.clone(),
            dry_run: globals.dry_run,
            parallel: globals.parallel.unwrap_or(64),
            cdi: session.settings()?.cdi.clone(),
            build: Wishes::default(),
        })
    }

    /// Returns the directory of the user's settings, if it is not the usual one.
    pub(super) fn config(&self) -> Option<&Path> {
        Some(self.config.as_path()).filter(|config| !config.as_os_str().is_empty())
    }

    /// Shows nothing of how things go.
    pub(super) fn silence(&mut self) {
        self.progress = Progress::silent();
    }

    /// Has this program do something as another command line would.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        if let Some(config) = self.config() {
            command.arg("--config").arg(config);
        }
        command
    }

    /// Returns what the work needs.
    pub(super) fn engine(&self) -> Engine<'_> {
        Engine {
            store: &self.store,
            identity: &self.identity,
            front: self,
            dry_run: self.dry_run,
            parallel: self.parallel,
            cdi: &self.cdi,
        }
    }

    /// Has this program do something in a process of its own that may join namespaces.
    fn role(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("/proc/self/exe");
        command.arg(FETCH_ROLE).arg(&self.config).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let output = command.output().context("start the process that works on images")?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        if message.is_empty() {
            bail!("the process that works on images ended: {}", output.status);
        }
        bail!("{message}")
    }
}

impl Front for Here {
    fn pull(&self, image: &str, platform: Option<&str>, quiet: bool) -> Result<()> {
        let quiet = if quiet { "quiet" } else { "" };
        self.role(&["pull", image, platform.unwrap_or_default(), quiet])
    }

    fn unpack(&self, image: &Digest, kept: Option<Kept>) -> Result<()> {
        let words = unpack_words(image, kept);
        self.role(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn build(&self, context: &Context, name: &str) -> Result<()> {
        super::build::build(self, context, name)
    }

    fn remove(&self, ids: &[String], volumes: bool) -> Result<()> {
        let what = if volumes { "volumes" } else { "" };
        let mut words = vec!["remove", what];
        words.extend(ids.iter().map(String::as_str));
        self.role(&words)
    }

    fn hook(&self, id: &str, hook: &Hook) -> Result<()> {
        let mut words = vec!["exec".to_owned()];
        if let Some(user) = &hook.user {
            words.extend(["--user".to_owned(), user.clone()]);
        }
        if let Some(dir) = &hook.working_dir {
            words.extend(["--workdir".to_owned(), dir.clone()]);
        }
        if hook.privileged {
            words.push("--privileged".to_owned());
        }
        for (key, value) in &hook.environment {
            let pair = value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}"));
            words.extend(["--env".to_owned(), pair]);
        }
        words.push(id.to_owned());
        words.extend(hook.command.iter().cloned());
        let mut command = Command::new("/proc/self/exe");
        command.args(words).stdin(Stdio::null());
        let output = command.output().context("run the hook")?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        bail!("hook exited with status {}: {said}", output.status.code().unwrap_or(-1))
    }

    fn tell(&self, what: &str, state: &str, stage: Stage) {
        self.progress.tell(what, state, stage);
    }

    fn warn(&self, text: &str) {
        super::warn(text);
    }
}

/// Loads the project as the commands work with it, and says what of it has no effect.
pub(super) fn project(session: &Session, named: &[String]) -> Result<Context> {
    let context = context(super::load(session, How::default(), named)?);
    for name in named {
        known(&context, name)?;
    }
    Ok(context)
}

/// Loads the project if there are files of it; else it is known by its name alone.
pub(super) fn project_or_name(session: &Session, named: &[String]) -> Result<(String, Option<Context>)> {
    if session.compose.asked.files.is_empty()
        && let Some(name) = crate::compose::name_alone(&session.compose.asked)
        && !crate::compose::has_files(&session.compose.asked).map_err(|problem| coded(15, problem.0))?
    {
        return Ok((name, None));
    }
    let context = context(super::load(session, How::default(), named)?);
    Ok((context.project.name.clone(), Some(context)))
}

fn context(loaded: Loaded) -> Context {
    Context {
        project: loaded.project,
        files: loaded.files,
        directory: loaded.directory,
        variables: loaded.variables,
        all_services: loaded.all_services,
    }
}

/// Refuses a service that the project does not have.
pub(super) fn known(context: &Context, name: &str) -> Result<()> {
    if context.project.services.contains_key(name) {
        return Ok(());
    }
    Err(coded(1, format!("no such service: {name}")))
}

/// Returns services and what they depend on; without names all.
pub(super) fn with_dependencies(context: &Context, named: &[String]) -> Result<Vec<String>> {
    let services = &context.project.services;
    let mut found: Vec<String> =
        if named.is_empty() { services.keys().cloned().collect() } else { named.to_vec() };
    let mut at = 0;
    while at < found.len() {
        known(context, &found[at])?;
        let others = services[&found[at]].depends_on.keys().filter(|name| services.contains_key(*name));
        let new: Vec<String> = others.filter(|name| !found.contains(name)).cloned().collect();
        found.extend(new);
        at += 1;
    }
    Ok(found)
}

/// Says what of the project has no effect.
pub(super) fn warn_without_effect(context: &Context) {
    for warning in life::without_effect(context) {
        super::warn(&warning);
    }
}
