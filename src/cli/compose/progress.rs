//! How the work on a project goes: a line for each thing, on a terminal drawn anew as it changes.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Globals;
use crate::compose::life::Stage;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Drawn on a terminal.
    Drawn,
    /// A line for each change.
    Plain,
    /// A JSON object for each change.
    Json,
    /// Not at all.
    Quiet,
}

/// One thing that is on its way.
#[derive(Debug)]
struct Line {
    what: String,
    state: String,
    stage: Stage,
    since: Instant,
    took: f64,
}

/// The lines of a call.
#[derive(Debug)]
pub(super) struct Progress {
    style: Style,
    colour: bool,
    lines: Mutex<(Vec<Line>, usize)>,
}

impl Progress {
    /// Makes one, as the flags and the terminal have it.
    pub(super) fn new(globals: &Globals) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = match globals.progress.as_str() {
            "quiet" => Style::Quiet,
            "plain" => Style::Plain,
            "json" | "rawjson" => Style::Json,
            "tty" => Style::Drawn,
            _ if terminal && globals.ansi != "never" => Style::Drawn,
            _ => Style::Plain,
        };
        let colour = globals.ansi != "never" && std::env::var_os("NO_COLOR").is_none();
        Self { style, colour, lines: Mutex::default() }
    }

    /// Makes one that shows nothing.
    pub(super) fn silent() -> Self {
        Self { style: Style::Quiet, colour: false, lines: Mutex::default() }
    }

    /// Tells how something goes.
    pub(super) fn tell(&self, what: &str, state: &str, stage: Stage) {
        match self.style {
            Style::Quiet => {}
            Style::Plain => {
                let _ = writeln!(std::io::stderr(), " {what}  {state}");
            }
            Style::Json => {
                let line = serde_json::json!({"id": what, "status": state, "done": stage != Stage::Begun, "error": stage == Stage::Failed});
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            Style::Drawn => self.draw(what, state, stage),
        }
    }

    fn draw(&self, what: &str, state: &str, stage: Stage) {
        let mut guard = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, drawn) = &mut *guard;
        match lines.iter_mut().find(|line| line.what == what) {
            Some(line) => {
                state.clone_into(&mut line.state);
                line.stage = stage;
                line.took = line.since.elapsed().as_secs_f64();
            }
            None => lines.push(Line {
                what: what.to_owned(),
                state: state.to_owned(),
                stage,
                since: Instant::now(),
                took: 0.0,
            }),
        }
        let window = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok();
        let width = window.map_or(80, |window| usize::from(window.ws_col).max(20));
        let height = window.map_or(24, |window| usize::from(window.ws_row).max(4));
        let done = lines.iter().filter(|line| line.stage != Stage::Begun).count();
        let mut out = String::new();
        if *drawn > 0 {
            let _ = write!(out, "\u{1b}[{drawn}A");
        }
        let _ = writeln!(out, "\u{1b}[2K[+] Running {done}/{}", lines.len());
        // What is still on its way is at the end.
        let shown = &lines[lines.len().saturating_sub(height - 2)..];
        let widest = shown.iter().map(|line| line.what.chars().count()).max().unwrap_or(0);
        for line in shown {
            let (mark, colour) = match line.stage {
                Stage::Begun => ("⠿", "33"),
                Stage::Done => ("✔", "32"),
                Stage::Failed => ("✘", "31"),
            };
            let took = format!(
                "{:.1}s",
                if line.stage == Stage::Begun { line.since.elapsed().as_secs_f64() } else { line.took }
            );
            let left: String = format!(" {mark} {:widest$}  {}", line.what, line.state)
                .chars()
                .take(width.saturating_sub(8))
                .collect();
            let pad = width.saturating_sub(left.chars().count() + took.len() + 1);
            let left = if self.colour {
                left.replacen(mark, &format!("\u{1b}[{colour}m{mark}\u{1b}[0m"), 1)
            } else {
                left
            };
            let _ = writeln!(out, "\u{1b}[2K{left}{:pad$}{took}", "");
        }
        *drawn = shown.len() + 1;
        let _ = std::io::stderr().write_all(out.as_bytes());
    }
}
