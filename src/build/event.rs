//! What a build says while it goes on.

use std::sync::Arc;
use std::time::SystemTime;

use super::graph::StepId;

/// Takes what a build says; called from several threads at once.
pub type Report = Arc<dyn Fn(Event) + Send + Sync>;

/// What happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Of which step; others are numbered on after the graph's: `[internal] load build context`, `exporting to image`.
    pub step: StepId,
    /// When.
    pub time: SystemTime,
    /// What.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// The step began; its name, as it is shown.
    Started(String),
    /// It was spared: the result is in the cache.
    Cached,
    /// Its command wrote.
    Output {
        /// Whether to standard error.
        error: bool,
        /// What.
        bytes: Vec<u8>,
    },
    /// Something within the step goes on: `transferring context: 2.1kB`, `writing image sha256:…`.
    Progress {
        /// What.
        name: String,
        /// So far, in bytes.
        current: u64,
        /// Of how many, if known.
        total: Option<u64>,
        /// Whether it is through.
        done: bool,
    },
    /// The step ended well.
    Done,
    /// It failed, or was stopped because another did.
    Failed(String),
}
