//! Starting again what should run: after a reboot, or after all processes of the user were killed.

use anyhow::Result;

use super::config::{NetworkMode, RestartPolicy};
use super::dir::{ContainerDir, ExitRecord};
use super::list::list;
use super::start::start;
use super::status::Status;
use crate::store::Store;

/// Starts the containers whose restart policy wants them to run and that do not. Each is told to `told`, with
/// its name and how it went; one that cannot be started does not keep the others from it.
pub fn restore(store: &Store, mut told: impl FnMut(&str, Result<()>)) -> Result<()> {
    let mut summaries = list(store)?;
    // The oldest first, and after all others those that live in the network of another.
    summaries.reverse();
    summaries.sort_by_key(|summary| matches!(summary.config.network, NetworkMode::Container(_)));
    for summary in summaries {
        let Status::Exited(record) = &summary.status else { continue };
        if should_run(summary.config.restart, record) {
            let dir = ContainerDir::new(store, &summary.config.id);
            told(&summary.name, start(store, &dir, None).map(|_| ()));
        }
    }
    Ok(())
}

/// Decides whether a container that has ended is to run, by the rules with which Docker's daemon starts.
fn should_run(policy: RestartPolicy, record: &ExitRecord) -> bool {
    match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always => true,
        RestartPolicy::UnlessStopped => !record.stopped,
        RestartPolicy::OnFailure { max } => record.code != 0 && (max == 0 || record.restarts < max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_decide() {
        let ended = ExitRecord { code: 255, ..ExitRecord::default() };
        let stopped = ExitRecord { code: 0, stopped: true, ..ExitRecord::default() };
        let worn = ExitRecord { code: 1, restarts: 3, ..ExitRecord::default() };
        let decide = |policy| [&ended, &stopped, &worn].map(|record| should_run(policy, record));
        assert_eq!(decide(RestartPolicy::No), [false, false, false]);
        assert_eq!(decide(RestartPolicy::Always), [true, true, true]);
        assert_eq!(decide(RestartPolicy::UnlessStopped), [true, false, true]);
        assert_eq!(decide(RestartPolicy::OnFailure { max: 3 }), [true, false, false]);
        assert_eq!(decide(RestartPolicy::OnFailure { max: 0 }), [true, false, true]);
    }
}
