//! The progress of a pull or push: live on a terminal, else a line for each step, as Docker prints them.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::format::units::human_size;
use crate::image::{LayerProgress, Progress, PushProgress, PushStep};

/// Where progress goes: to standard error where standard output is for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    Stdout,
    Stderr,
}

impl Out {
    /// Writes a line. That nobody reads it any more does not end the work.
    pub(super) fn line(self, text: &str) {
        let _ = match self {
            Self::Stdout => writeln!(std::io::stdout(), "{text}"),
            Self::Stderr => writeln!(std::io::stderr(), "{text}"),
        };
    }
}

/// Tells of the layers of a pull or push.
pub(super) struct Reporter {
    out: Out,
    live: Option<MultiProgress>,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

impl Reporter {
    /// Makes one.
    pub(super) fn new(out: Out) -> Self {
        let (is_terminal, target) = match out {
            Out::Stdout => (std::io::stdout().is_terminal(), ProgressDrawTarget::stdout()),
            Out::Stderr => (std::io::stderr().is_terminal(), ProgressDrawTarget::stderr()),
        };
        let live = is_terminal.then(|| MultiProgress::with_draw_target(target));
        Self { out, live, bars: Mutex::new(HashMap::new()) }
    }

    /// Leaves the last state on the terminal.
    pub(super) fn finish(&self) {
        for bar in self.bars().values() {
            bar.finish();
        }
    }

    /// Shows the state of a layer on the terminal.
    fn show(&self, id: &str, text: String) {
        let Some(live) = &self.live else { return };
        let mut bars = self.bars();
        let bar = bars.entry(id.to_owned()).or_insert_with(|| {
            let bar = live.add(ProgressBar::new(0));
            if let Ok(style) = ProgressStyle::with_template("{prefix}: {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(id.to_owned());
            bar
        });
        bar.set_message(text);
    }

    fn bars(&self) -> MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Reporter {
    fn message(&self, text: &str) {
        match &self.live {
            Some(live) => {
                let _ = live.println(text);
            }
            None => self.out.line(text),
        }
    }

    fn layer(&self, id: &str, state: LayerProgress) {
        if self.live.is_none() {
            if let Some(step) = step(state) {
                self.out.line(&format!("{id}: {step}"));
            }
            return;
        }
        self.show(
            id,
            match state {
                LayerProgress::Downloading(now, total) => meter("Downloading", now, total),
                LayerProgress::Extracting(now, total) => meter("Extracting", now, total),
                state => step(state).unwrap_or_default().to_owned(),
            },
        );
    }
}

impl PushProgress for Reporter {
    fn step(&self, id: &str, step: PushStep<'_>) {
        let text = match step {
            PushStep::Pushing(..) if self.live.is_none() => return,
            PushStep::Pushing(now, total) => meter("Pushing", now, total),
            PushStep::Preparing => "Preparing".to_owned(),
            PushStep::Waiting => "Waiting".to_owned(),
            PushStep::Pushed => "Pushed".to_owned(),
            PushStep::AlreadyExists => "Layer already exists".to_owned(),
            PushStep::MountedFrom(repository) => format!("Mounted from {repository}"),
        };
        if self.live.is_none() {
            self.out.line(&format!("{id}: {text}"));
        } else {
            self.show(id, text);
        }
    }
}

/// Returns the words for a step; nothing for what has no end of its own.
fn step(state: LayerProgress) -> Option<&'static str> {
    Some(match state {
        LayerProgress::PullingFsLayer => "Pulling fs layer",
        LayerProgress::Waiting => "Waiting",
        LayerProgress::VerifyingChecksum => "Verifying Checksum",
        LayerProgress::DownloadComplete => "Download complete",
        LayerProgress::PullComplete => "Pull complete",
        LayerProgress::AlreadyExists => "Already exists",
        LayerProgress::Downloading(..) | LayerProgress::Extracting(..) => return None,
    })
}

/// Draws `Downloading [=====>     ]  1.2MB/3.4MB`.
fn meter(what: &str, now: u64, total: u64) -> String {
    const WIDTH: u64 = 50;
    let now_text = human_size(now, 4);
    if total == 0 {
        return format!("{what}  {now_text}");
    }
    let filled = usize::try_from((now.min(total) * WIDTH) / total).unwrap_or(0);
    let width = usize::try_from(WIDTH).unwrap_or(0);
    let bar = if filled >= width {
        "=".repeat(width)
    } else {
        format!("{}>{}", "=".repeat(filled), " ".repeat(width - filled - 1))
    };
    format!("{what} [{bar}]  {now_text}/{}", human_size(total, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_a_meter() {
        assert_eq!(
            meter("Downloading", 500, 1000),
            format!("Downloading [{}>{}]  500B/1kB", "=".repeat(25), " ".repeat(24))
        );
        assert_eq!(meter("Extracting", 10, 10), format!("Extracting [{}]  10B/10B", "=".repeat(50)));
        assert_eq!(meter("Downloading", 5, 0), "Downloading  5B");
    }
}
