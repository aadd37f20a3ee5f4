//! A project as it lives: looked at, brought up, stopped, taken down.
//!
//! Nothing is remembered: what of the project is there is found by labels, as Docker's tools do. So a command
//! that was killed leaves nothing behind that the next one does not see: a container that was on its way to be
//! replaced bears another name than its own, and is taken away.
//!
//! Containers are made one after the other, in the order of their dependencies; they are started, and stopped,
//! side by side, each service on a thread of its own that waits for what it depends on. Making and starting
//! execs other processes and never forks this one. Removing joins the user's ancestor namespace, which is for
//! processes with one thread and cannot be left, so [`Front::remove`] has another process do it.

mod act;
mod down;
mod gate;
mod images;
mod request;
mod resource;
mod state;
mod up;
mod warn;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

pub use act::{Act, act, finish, remove_all, side_by_side, stop_all};
pub use down::{Down, Images, down};
pub use images::{Pull, ensure_image, pull_all};
pub use request::one_off;
pub use resource::prepare;
pub use state::{Member, label, observe, projects};
pub use up::{Recreate, Up, start_present, up, wait_for_dependencies};
pub use warn::without_effect;

use super::project::Project;
use crate::container::HealthWord;
use crate::idmap::{Identity, Kept};
use crate::oci::Digest;
use crate::store::Store;

/// What the command line does for the project: what needs settings, registries, or a process of its own.
pub trait Front: Sync {
    /// Pulls an image.
    fn pull(&self, image: &str, platform: Option<&str>, quiet: bool) -> Result<()>;
    /// Unpacks an image that is there.
    fn unpack(&self, image: &Digest, kept: Option<Kept>) -> Result<()>;
    /// Builds the image of a service.
    fn build(&self, context: &Context, name: &str) -> Result<()>;
    /// Removes containers, with their unnamed volumes if that is wanted.
    fn remove(&self, ids: &[String], volumes: bool) -> Result<()>;
    /// Runs a command in a container and waits for it.
    fn hook(&self, id: &str, hook: &super::project::Hook) -> Result<()>;
    /// Tells how something goes: `Container web-1`, `Started`.
    fn tell(&self, what: &str, state: &str, stage: Stage);
    /// Warns.
    fn warn(&self, text: &str);
}

/// Where something is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has begun.
    Begun,
    /// It is done.
    Done,
    /// It has failed.
    Failed,
}

/// What the work on a project needs.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// The store.
    pub store: &'a Store,
    /// Who the user may be.
    pub identity: &'a Identity,
    /// What the command line does.
    pub front: &'a dyn Front,
    /// Whether everything is only said.
    pub dry_run: bool,
    /// How much is done at once.
    pub parallel: usize,
    /// Where CDI files are looked for.
    pub cdi: &'a [PathBuf],
}

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Engine").field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

/// The project that is worked on, and where its files are.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The project.
    pub project: Project,
    /// Its files.
    pub files: Vec<String>,
    /// Its directory.
    pub directory: PathBuf,
    /// Every service that the files define, active or not.
    pub all_services: Vec<String>,
    /// The variables in force, for secrets that come from them.
    pub variables: BTreeMap<String, String>,
}

impl Engine<'_> {
    fn begun(&self, what: &str, state: &str) {
        self.told(what, state, Stage::Begun);
    }

    fn done(&self, what: &str, state: &str) {
        self.told(what, state, Stage::Done);
    }

    fn told(&self, what: &str, state: &str, stage: Stage) {
        let what = if self.dry_run { format!("DRY-RUN MODE -  {what}") } else { what.to_owned() };
        self.front.tell(&what, state, stage);
    }
}

/// Tells whether a container is healthy; one without a check never is.
fn is_healthy(health: Option<HealthWord>) -> bool {
    health == Some(HealthWord::Healthy)
}
