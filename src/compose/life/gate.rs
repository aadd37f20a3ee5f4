//! Waiting for what a service depends on.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Engine, is_healthy, state};
use crate::compose::project::{Condition, Dependency};
use crate::container::{self, HealthWord, Status};

/// How often a state is looked at.
const PAUSE: Duration = Duration::from_millis(25);

/// Waits until the containers of a service are as `dependency` wants them.
pub(super) fn wait(
    engine: &Engine<'_>,
    containers: &[(String, String)],
    service: &str,
    dependency: &Dependency,
) -> Result<()> {
    if dependency.condition == Condition::ServiceStarted || engine.dry_run {
        return Ok(());
    }
    for (id, name) in containers {
        let shown = format!("Container {name}");
        engine.begun(&shown, "Waiting");
        let waited = match dependency.condition {
            Condition::ServiceHealthy => healthy(engine, id, name, None, false),
            Condition::ServiceCompletedSuccessfully => completed(engine, id, service),
            Condition::ServiceStarted => Ok(()),
        };
        match waited {
            Ok(()) => {
                let word =
                    if dependency.condition == Condition::ServiceHealthy { "Healthy" } else { "Exited" };
                engine.done(&shown, word);
            }
            Err(error) if dependency.required => {
                engine.told(&shown, "Error", super::Stage::Failed);
                return Err(error);
            }
            Err(error) => {
                engine.done(&shown, "Skipped");
                engine.front.warn(&format!("optional dependency {service:?}: {error:#}"));
            }
        }
    }
    Ok(())
}

/// Waits until a container is healthy. One without a check is so when it runs, if `running_is_enough`.
pub(super) fn healthy(
    engine: &Engine<'_>,
    id: &str,
    name: &str,
    until: Option<Instant>,
    running_is_enough: bool,
) -> Result<()> {
    let dir = container::ContainerDir::new(engine.store, id);
    let has_check = dir.config()?.healthcheck.as_ref().is_some_and(|check| {
        let test = check.get("Test").and_then(|test| test.get(0)).and_then(|word| word.as_str());
        test.is_some_and(|word| word != "NONE")
    });
    if !has_check && !running_is_enough {
        bail!("container {name} has no healthcheck configured");
    }
    loop {
        let status = container::observe_and_mend(&dir)?;
        let health = if has_check { state::health(engine.store, &dir) } else { None };
        match &status {
            Status::Running(_) if is_healthy(health) || !has_check => return Ok(()),
            Status::Running(_) if health == Some(HealthWord::Unhealthy) => {
                bail!("container {name} is unhealthy");
            }
            Status::Exited(record) if !has_check && running_is_enough && record.code == 0 => return Ok(()),
            Status::Exited(record) => bail!("container {name} exited ({})", record.code),
            Status::Created(Some(record)) => bail!("container {name} could not be started: {}", record.error),
            _ => {}
        }
        if until.is_some_and(|until| Instant::now() > until) {
            bail!("application not healthy after timeout: container {name} is not ready");
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until a container has ended well.
fn completed(engine: &Engine<'_>, id: &str, service: &str) -> Result<()> {
    let dir = container::ContainerDir::new(engine.store, id);
    let code = container::wait(engine.store, &dir)?;
    if code != 0 {
        bail!("service {service:?} didn't complete successfully: exit {code}");
    }
    Ok(())
}
