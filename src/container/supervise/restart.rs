//! Whether and when a container is started again: pure, with Docker's numbers (moby `restartmanager`).

use std::time::Duration;

use crate::container::config::RestartPolicy;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A run that lasted so long starts the back-off anew.
const SETTLED: Duration = Duration::from_secs(10);

/// How a container has been restarted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Restarts {
    /// How often.
    pub(super) count: u32,
    delay: Duration,
}

impl Restarts {
    /// Decides what follows a run that ended with `code` after `lasted`: `None`, the end; else another run
    /// after so long.
    pub(super) fn decide(
        &mut self,
        policy: RestartPolicy,
        code: i32,
        lasted: Duration,
        stopped: bool,
    ) -> Option<Duration> {
        if stopped {
            return None;
        }
        let again = match policy {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure { max } => code != 0 && (max == 0 || self.count < max),
        };
        if !again {
            return None;
        }
        self.delay =
            if lasted >= SETTLED || self.delay.is_zero() { FIRST } else { (self.delay * 2).min(LONGEST) };
        self.count += 1;
        Some(self.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_and_gives_up() {
        let mut restarts = Restarts::default();
        let short = Duration::ZERO;
        let policy = RestartPolicy::OnFailure { max: 3 };
        let delays: Vec<_> = (0..4).map(|_| restarts.decide(policy, 1, short, false)).collect();
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(delays, [ms(100), ms(200), ms(400), None]);
        assert_eq!(Restarts::default().decide(policy, 0, short, false), None);
        assert_eq!(Restarts::default().decide(RestartPolicy::Always, 0, short, true), None);
        assert_eq!(Restarts::default().decide(RestartPolicy::No, 1, short, false), None);
        let mut always = Restarts::default();
        for _ in 0..20 {
            always.decide(RestartPolicy::Always, 0, short, false);
        }
        assert_eq!(always.decide(RestartPolicy::Always, 0, short, false), Some(LONGEST));
        assert_eq!(always.decide(RestartPolicy::Always, 0, SETTLED, false), Some(FIRST));
    }
}
