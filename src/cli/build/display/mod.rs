//! What a build shows while it goes on: BuildKit's live view on a terminal, its plain lines, or JSON.
//!
//! Everything goes to standard error. What happened is kept in one place ([`Vertex`]) under a lock, whichever form it
//! is shown in; the live view is drawn again ten times a second by a thread of its own.

mod json;
mod live;
mod plain;

use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};

use super::context::Place;
use crate::build::event::{Event, EventKind, Report};
use crate::build::graph::StepId;
use crate::build::lint::Warning;

/// How many of a step's last lines are kept.
const LAST_LINES: usize = 10;

/// The form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Mode {
    Live,
    Plain,
    Json,
    Quiet,
}

impl Mode {
    /// Reads `--progress`, `$BUILDKIT_PROGRESS` and `-q`.
    pub(in crate::cli) fn read(asked: Option<&str>, quiet: bool) -> Result<Self> {
        let environment = std::env::var("BUILDKIT_PROGRESS").ok();
        let asked = asked.filter(|text| !text.is_empty()).or(environment.as_deref()).unwrap_or("auto");
        Ok(match asked {
            _ if quiet => Self::Quiet,
            "auto" if std::io::stderr().is_terminal() => Self::Live,
            "tty" if !std::io::stderr().is_terminal() => {
                bail!("ERROR: failed to get console: provided file is not a console");
            }
            "tty" => Self::Live,
            "auto" | "plain" => Self::Plain,
            "rawjson" => Self::Json,
            "quiet" | "none" => Self::Quiet,
            other => bail!("ERROR: invalid progress mode {other}"),
        })
    }
}

/// One step as it is shown.
#[derive(Debug)]
struct Vertex {
    id: StepId,
    /// What plain lines call it; zero before it is first shown.
    number: usize,
    name: String,
    started: SystemTime,
    ended: Option<SystemTime>,
    cached: bool,
    error: Option<String>,
    /// What its command wrote last.
    last: VecDeque<String>,
    /// A line that has not ended.
    partial: Vec<u8>,
    statuses: Vec<Status>,
}

/// Something that goes on within a step.
#[derive(Debug, Clone)]
struct Status {
    name: String,
    current: u64,
    total: Option<u64>,
    started: SystemTime,
    ended: Option<SystemTime>,
}

/// What is known, and how it is shown.
struct State {
    mode: Mode,
    begun: SystemTime,
    vertices: Vec<Vertex>,
    plain: plain::Plain,
    live: live::Live,
    /// The number of the next step that is none of the graph's.
    next: usize,
    /// Whether a thread draws.
    ticking: bool,
    over: bool,
}

/// Shows a build.
pub(super) struct Display(Mutex<State>);

/// A thread that draws.
pub(super) struct Ticking {
    display: Arc<Display>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    pub(super) fn new(mode: Mode) -> Self {
        Self(Mutex::new(State {
            mode,
            begun: SystemTime::now(),
            vertices: Vec::new(),
            plain: plain::Plain::default(),
            live: live::Live::default(),
            next: usize::MAX,
            ticking: false,
            over: false,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the build says.
    pub(super) fn report(self: Arc<Self>) -> Report {
        Arc::new(move |event| self.state().take(event))
    }

    /// Begins a step that is none of the graph's.
    pub(super) fn begin(&self, name: &str) -> StepId {
        let mut state = self.state();
        let step = StepId(state.next);
        state.next -= 1;
        state.take(Event { step, time: SystemTime::now(), kind: EventKind::Started(name.to_owned()) });
        step
    }

    /// Ends it.
    pub(super) fn end(&self, step: StepId, error: Option<String>) {
        let kind = error.map_or(EventKind::Done, EventKind::Failed);
        self.state().take(Event { step, time: SystemTime::now(), kind });
    }

    /// Shows that the Dockerfile and the ignore file were read.
    pub(super) fn definition(&self, place: &Place) {
        let ignored: usize = place.ignore.iter().map(|line| line.len() + 1).sum();
        for (name, what, size) in [
            (
                format!("[internal] load build definition from {}", place.name),
                "dockerfile",
                place.dockerfile.len(),
            ),
            ("[internal] load .dockerignore".to_owned(), "context", ignored + 2),
        ] {
            let step = self.begin(&name);
            let kind = EventKind::Progress {
                name: format!("transferring {what}: {}", size_text(size as u64)),
                current: 0,
                total: None,
                done: true,
            };
            self.state().take(Event { step, time: SystemTime::now(), kind });
            self.end(step, None);
        }
    }

    /// Has the live view drawn until it is told to stop.
    pub(super) fn tick(self: Arc<Self>) -> Ticking {
        let over = Arc::new(AtomicBool::new(false));
        self.state().ticking = true;
        let thread = (self.state().mode == Mode::Live).then(|| {
            let (display, over) = (self.clone(), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    display.state().draw();
                    std::thread::park_timeout(Duration::from_millis(100));
                }
            })
        });
        Ticking { display: self, over, thread }
    }

    /// Returns what a step that failed wrote last, as BuildKit shows it below the steps.
    pub(super) fn last_words(&self, step: StepId) -> String {
        let state = self.state();
        if state.mode == Mode::Json {
            return String::new();
        }
        let Some(vertex) = state.vertices.iter().find(|vertex| vertex.id == step) else {
            return String::new();
        };
        let mut out = format!("------\n > {}:\n", vertex.name);
        for line in &vertex.last {
            out.push_str(line);
            out.push('\n');
        }
        out + "------\n"
    }

    /// Shows what is unwise in the Dockerfile.
    pub(super) fn warnings(&self, warnings: &[Warning]) {
        let mode = self.state().mode;
        if warnings.is_empty() || !matches!(mode, Mode::Live | Mode::Plain) {
            return;
        }
        let (count, s) = (warnings.len(), if warnings.len() == 1 { "" } else { "s" });
        let mut text = format!("\n {count} warning{s} found (use docker build --check to expand):\n");
        for warning in warnings {
            text.push_str(" - ");
            text.push_str(warning.rule.name);
            text.push_str(": ");
            text.push_str(&warning.message);
            text.push_str(" (line ");
            text.push_str(&warning.lines.0.to_string());
            text.push_str(")\n");
        }
        write(&text);
    }
}

impl Ticking {
    /// Draws the last state and leaves it on the terminal.
    pub(super) fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        let mut state = self.display.state();
        if !std::mem::replace(&mut state.over, true) {
            state.draw();
        }
    }
}

impl Drop for Display {
    /// Leaves the last state on the terminal where there was nothing to build.
    fn drop(&mut self) {
        let state = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.over, true) && !state.vertices.is_empty() {
            state.draw();
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.halt();
    }
}

impl State {
    fn take(&mut self, event: Event) {
        let known = self.vertices.iter().position(|vertex| vertex.id == event.step);
        let at = known.unwrap_or_else(|| {
            self.vertices.push(Vertex::new(&event));
            self.vertices.len() - 1
        });
        if matches!(event.kind, EventKind::Done) && self.vertices[at].ended.is_some() {
            // What was spared is over already.
            return;
        }
        let lines = self.vertices[at].take(&event);
        match self.mode {
            Mode::Plain => {
                let text = self.plain.tell(&mut self.vertices, at, &event, &lines);
                write(&text);
            }
            Mode::Json => write(&json::line(&self.vertices[at], &event)),
            Mode::Live if !self.ticking => self.draw(),
            Mode::Live | Mode::Quiet => {}
        }
    }

    fn draw(&mut self) {
        if self.mode == Mode::Live {
            let text = self.live.draw(&self.vertices, self.begun, self.ticking, self.over);
            write(&text);
        }
    }
}

impl Vertex {
    fn new(event: &Event) -> Self {
        Self {
            id: event.step,
            number: 0,
            name: String::new(),
            started: event.time,
            ended: None,
            cached: false,
            error: None,
            last: VecDeque::new(),
            partial: Vec::new(),
            statuses: Vec::new(),
        }
    }

    /// Takes an event; returns the whole lines that were written, with their times.
    fn take(&mut self, event: &Event) -> Vec<String> {
        let mut lines = Vec::new();
        match &event.kind {
            EventKind::Started(name) => {
                self.name.clone_from(name);
                self.started = event.time;
                self.ended = None;
            }
            EventKind::Cached => {
                self.cached = true;
                self.ended = Some(event.time);
            }
            EventKind::Done => self.ended = Some(event.time),
            EventKind::Failed(why) => {
                self.error = Some(why.clone());
                self.ended = Some(event.time);
            }
            EventKind::Output { bytes, .. } => {
                self.partial.extend_from_slice(bytes);
                while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.partial.drain(..=end).collect();
                    lines.push(self.timed(&line, event.time));
                }
            }
            EventKind::Progress { name, current, total, done } => {
                let ended = done.then_some(event.time);
                match self.statuses.iter_mut().find(|status| status.name == *name) {
                    Some(status) => {
                        (status.current, status.total, status.ended) = (*current, *total, ended);
                    }
                    None => self.statuses.push(Status {
                        name: name.clone(),
                        current: *current,
                        total: *total,
                        started: event.time,
                        ended,
                    }),
                }
            }
        }
        if self.ended.is_some() && !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            lines.push(self.timed(&line, event.time));
        }
        for line in &lines {
            if self.last.len() == LAST_LINES {
                self.last.pop_front();
            }
            self.last.push_back(line.clone());
        }
        lines
    }

    fn timed(&self, line: &[u8], time: SystemTime) -> String {
        let text = String::from_utf8_lossy(line);
        let seconds = super::seconds_since(self.started, time);
        format!("{seconds:.3} {}", text.trim_end_matches(['\r', '\n']))
    }
}

/// Writes to standard error. That nobody reads it any more does not end the build.
fn write(text: &str) {
    if !text.is_empty() {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Returns a size as BuildKit shows it: `2.05kB`.
fn size_text(size: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let (mut value, mut unit) = (size as f64, 0);
    while value >= 1000.0 && unit < 4 {
        value /= 1000.0;
        unit += 1;
    }
    let name = ["B", "kB", "MB", "GB", "TB"][unit];
    if unit == 0 { format!("{size}B") } else { format!("{value:.2}{name}") }
}

/// Returns how far something is: ` 1.00MB / 3.00MB 0.2s done`.
fn status_text(status: &Status, now: SystemTime) -> (String, String) {
    let mut text = status.name.clone();
    match status.total.filter(|total| *total > 0) {
        Some(total) => text = format!("{text} {} / {}", size_text(status.current), size_text(total)),
        None if status.current > 0 => text = format!("{text} {}", size_text(status.current)),
        None => {}
    }
    let seconds = super::seconds_since(status.started, status.ended.unwrap_or(now));
    (text, format!("{seconds:.1}s"))
}
