//! Asking again, for what may pass.

use std::thread;
use std::time::Duration;

use super::access::Patience;
use super::error::Error;

impl Patience {
    /// Calls `act` until it succeeds, fails with what does not pass, or has had its attempts.
    pub(super) fn run<T>(&self, mut act: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        let mut attempt = 1;
        loop {
            match act() {
                Err(error) => match self.pause_after(attempt, &error) {
                    Some(pause) => thread::sleep(pause),
                    None => return Err(error),
                },
                done => return done,
            }
            attempt += 1;
        }
    }

    /// Returns how long to wait after attempt number `attempt` has ended with `error`; `None` to give up.
    pub(super) fn pause_after(&self, attempt: u32, error: &Error) -> Option<Duration> {
        let wanted = error.passes()?;
        if attempt >= self.attempts {
            return None;
        }
        let ours = self.pause.saturating_mul(1 << (attempt - 1).min(16)).min(self.longest_pause);
        (wanted <= self.longest_pause).then(|| wanted.max(ours))
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Answer;
    use super::*;

    fn limited(after: Option<u64>) -> Error {
        Answer::read(429, b"").into_error(after.map(Duration::from_secs))
    }

    #[test]
    fn waits_longer_each_time_and_not_for_ever() {
        let patience = Patience::default();
        let pauses: Vec<_> = (1..=5).map(|attempt| patience.pause_after(attempt, &limited(None))).collect();
        let seconds = [Some(0.5), Some(1.0), Some(2.0), Some(4.0), None];
        assert_eq!(pauses, seconds.map(|pause| pause.map(Duration::from_secs_f64)));
        assert_eq!(patience.pause_after(1, &limited(Some(7))), Some(Duration::from_secs(7)));
        assert_eq!(patience.pause_after(1, &limited(Some(3600))), None);
        assert_eq!(patience.pause_after(1, &Answer::read(404, b"").into_error(None)), None);
    }

    #[test]
    fn stops_at_the_last_attempt() {
        let patience = Patience { attempts: 3, pause: Duration::ZERO, ..Patience::default() };
        let mut calls = 0;
        let result: Result<(), _> = patience.run(|| {
            calls += 1;
            Err(limited(None))
        });
        assert!(matches!(result, Err(Error::RateLimited { .. })));
        assert_eq!(calls, 3);
    }
}
