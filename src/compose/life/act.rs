//! What is done to containers that are there: start, stop, restart, kill, pause, remove; side by side where
//! they do not depend on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow};

use super::state::{Member, label};
use super::{Context, Engine, Stage};
use crate::compose::project::Service;
use crate::container;

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Starts those that do not run.
    Start,
    /// Stops those that run.
    Stop {
        /// Seconds that they have to obey; `None`: their own.
        timeout: Option<i64>,
    },
    /// Stops and starts all.
    Restart {
        /// Seconds that they have to obey.
        timeout: Option<i64>,
    },
    /// Sends a signal to those that run.
    Kill {
        /// The signal.
        signal: String,
    },
    /// Freezes those that run.
    Pause,
    /// Lets those that are frozen go on.
    Unpause,
}

impl Act {
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Start => ("Starting", "Started"),
            Self::Stop { .. } => ("Stopping", "Stopped"),
            Self::Restart { .. } => ("Restarting", "Started"),
            Self::Kill { .. } => ("Killing", "Killed"),
            Self::Pause => ("Pausing", "Paused"),
            Self::Unpause => ("Unpausing", "Unpaused"),
        }
    }

    fn concerns(&self, member: &Member) -> bool {
        let status = &member.summary.status;
        match self {
            Self::Start => !status.is_active(),
            Self::Stop { .. } => status.is_active(),
            Self::Restart { .. } => true,
            Self::Kill { .. } => member.is_running(),
            Self::Pause => member.is_running() && !status.is_paused(),
            Self::Unpause => status.is_paused(),
        }
    }
}

/// Does something to containers, in the order of their dependencies: what others need starts first and stops
/// last. With the project's files, its hooks are run: before containers stop, and after they have started again.
pub fn act(engine: &Engine<'_>, context: Option<&Context>, members: &[Member], act: &Act) -> Result<()> {
    let concerned: Vec<&Member> = members.iter().filter(|member| act.concerns(member)).collect();
    let mut levels = levels(&concerned);
    if matches!(act, Act::Stop { .. } | Act::Kill { .. } | Act::Pause) {
        levels.reverse();
    }
    let mut errors = Vec::new();
    for level in levels {
        errors.extend(side_by_side(engine, &level, |member| one(engine, context, member, act)));
    }
    finish(errors)
}

fn one(engine: &Engine<'_>, context: Option<&Context>, member: &Member, act: &Act) -> Result<()> {
    let (begun, done) = act.words();
    let shown = format!("Container {}", member.name());
    engine.begun(&shown, begun);
    if !engine.dry_run {
        if matches!(act, Act::Stop { .. } | Act::Restart { .. }) {
            pre_stop(engine, context, member);
        }
        let store = engine.store;
        let dir = member.dir(store);
        let acted = match act {
            Act::Start => container::start(store, &dir, None).map(|_| ()),
            Act::Stop { timeout } => container::stop(store, &dir, None, *timeout),
            Act::Restart { timeout } => container::restart(store, &dir, None, *timeout),
            Act::Kill { signal } => container::kill(store, &dir, signal),
            Act::Pause => container::pause(store, &dir),
            Act::Unpause => container::unpause(store, &dir),
        };
        if let Err(error) = acted {
            // One that has gone by itself is as it should be.
            let gone =
                !dir.exists() || matches!(act, Act::Stop { .. } | Act::Kill { .. }) && !is_active(&dir);
            if !gone {
                engine.told(&shown, &format!("Error {error:#}"), Stage::Failed);
                return Err(error);
            }
        }
        let service = context.and_then(|context| context.project.services.get(&member.service));
        if let (Act::Restart { .. }, Some(service)) = (act, service) {
            post_start(engine, &member.service, service, member.id())
                .inspect_err(|_| engine.told(&shown, "Error", Stage::Failed))?;
        }
    }
    engine.done(&shown, done);
    Ok(())
}

/// Runs what a service wants to be run in its container before it stops.
pub(super) fn pre_stop(engine: &Engine<'_>, context: Option<&Context>, member: &Member) {
    let service = context.and_then(|context| context.project.services.get(&member.service));
    let Some(service) = service.filter(|_| member.is_running() && !engine.dry_run) else { return };
    for hook in &service.pre_stop {
        if let Err(error) = engine.front.hook(member.id(), hook) {
            engine.front.warn(&format!("services.{}.pre_stop: {error:#}", member.service));
        }
    }
}

/// Runs what a service wants to be run in its container after it has started.
pub(super) fn post_start(engine: &Engine<'_>, name: &str, service: &Service, id: &str) -> Result<()> {
    for hook in &service.post_start {
        engine.front.hook(id, hook).with_context(|| format!("services.{name}.post_start"))?;
    }
    Ok(())
}

pub(super) fn is_active(dir: &container::ContainerDir) -> bool {
    container::observe_and_mend(dir).is_ok_and(|status| status.is_active())
}

/// Stops containers.
pub fn stop_all(engine: &Engine<'_>, members: &[Member], timeout: Option<i64>) -> Result<()> {
    act(engine, None, members, &Act::Stop { timeout })
}

/// Removes containers that do not run.
pub(super) fn remove(engine: &Engine<'_>, members: &[Member], volumes: bool) -> Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = members.iter().map(|member| format!("Container {}", member.name())).collect();
    for shown in &shown {
        engine.begun(shown, "Removing");
    }
    if !engine.dry_run {
        let ids: Vec<String> = members.iter().map(|member| member.id().to_owned()).collect();
        engine.front.remove(&ids, volumes)?;
    }
    for shown in &shown {
        engine.done(shown, "Removed");
    }
    Ok(())
}

/// Joins what has gone wrong to one error.
pub fn finish(errors: Vec<anyhow::Error>) -> Result<()> {
    let mut errors = errors.into_iter();
    let Some(first) = errors.next() else { return Ok(()) };
    let more: Vec<String> = errors.map(|error| format!("{error:#}")).collect();
    if more.is_empty() { Err(first) } else { Err(anyhow!("{first:#}\n{}", more.join("\n"))) }
}

/// Does something with each of several things at once, as many as may be.
pub fn side_by_side<T: Sync>(
    engine: &Engine<'_>,
    things: &[T],
    act: impl Fn(&T) -> Result<()> + Sync,
) -> Vec<anyhow::Error> {
    if let [one] = things {
        return act(one).err().into_iter().collect();
    }
    let errors = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..things.len().min(engine.parallel) {
            scope.spawn(|| {
                while let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = act(thing)
                        && let Ok(mut errors) = errors.lock()
                    {
                        errors.push(error);
                    }
                }
            });
        }
    });
    errors.into_inner().unwrap_or_default()
}

/// Groups containers so that each comes after what it depends on, by what their labels say.
fn levels<'a>(members: &[&'a Member]) -> Vec<Vec<&'a Member>> {
    let mut needs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for member in members {
        let text =
            member.summary.config.labels.get(label::DEPENDS_ON).map(String::as_str).unwrap_or_default();
        let others = text.split(',').filter_map(|it| it.split(':').next()).filter(|it| !it.is_empty());
        needs.entry(&member.service).or_default().extend(others.map(str::to_owned));
    }
    let names: BTreeSet<String> = needs.keys().map(ToString::to_string).collect();
    for own in needs.values_mut() {
        own.retain(|other| names.contains(other));
    }
    let mut levels = Vec::new();
    let mut placed: BTreeSet<String> = BTreeSet::new();
    while placed.len() < names.len() {
        let mut ready: BTreeSet<String> = names
            .iter()
            .filter(|name| !placed.contains(*name) && needs[name.as_str()].is_subset(&placed))
            .cloned()
            .collect();
        if ready.is_empty() {
            // Labels that go in circles are nobody's order.
            ready = names.difference(&placed).cloned().collect();
        }
        levels.push(members.iter().copied().filter(|member| ready.contains(&member.service)).collect());
        placed.extend(ready);
    }
    levels
}

/// Removes containers that do not run, with their unnamed volumes if that is wanted.
pub fn remove_all(engine: &Engine<'_>, members: &[Member], volumes: bool) -> Result<()> {
    remove(engine, members, volumes)
}
