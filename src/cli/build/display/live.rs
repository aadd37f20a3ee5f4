//! The view of a terminal, drawn over itself.

use std::fmt::Write as _;
use std::time::SystemTime;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::super::seconds_since;
use super::{Vertex, status_text};

/// How many lines of a command that goes on are shown.
const TAIL: usize = 6;

#[derive(Default)]
pub(super) struct Live {
    /// How many lines were drawn last.
    drawn: usize,
}

/// What colour a line has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Done,
    Failed,
    Faint,
}

impl Live {
    /// Returns what draws the present state over the last one.
    pub(super) fn draw(&mut self, vertices: &[Vertex], begun: SystemTime, hide: bool, over: bool) -> String {
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok();
        // A terminal that does not say how large it is says nothing.
        let told =
            |told: Option<u16>, usual: usize| told.map(usize::from).filter(|n| *n > 0).unwrap_or(usual);
        let width = told(size.map(|size| size.ws_col), 80).clamp(20, 400);
        let height = told(size.map(|size| size.ws_row), 24).max(5);
        let mut out = String::new();
        if self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A", self.drawn);
        }
        // The cursor is hidden only while somebody is there to show it again.
        out.push_str(if hide { "\x1b[?25l\r" } else { "\r" });
        let lines = frame(vertices, begun, SystemTime::now(), over, width, height);
        let coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        for (tone, line) in &lines {
            let (before, after) = match tone {
                _ if !coloured => ("", ""),
                Tone::Plain => ("", ""),
                Tone::Done => ("\x1b[34m", "\x1b[0m"),
                Tone::Failed => ("\x1b[31m", "\x1b[0m"),
                Tone::Faint => ("\x1b[2m", "\x1b[0m"),
            };
            let _ = writeln!(out, "{before}{line}{after}\x1b[K");
        }
        // What was longer before is wiped.
        out.push_str("\x1b[J");
        if over {
            out.push_str("\x1b[?25h");
        }
        self.drawn = lines.len();
        out
    }
}

/// Returns the lines.
fn frame(
    vertices: &[Vertex],
    begun: SystemTime,
    now: SystemTime,
    over: bool,
    width: usize,
    height: usize,
) -> Vec<(Tone, String)> {
    let done = vertices.iter().filter(|vertex| vertex.ended.is_some()).count();
    let seconds = seconds_since(begun, now);
    let finished =
        if over && vertices.iter().all(|vertex| vertex.error.is_none()) { " FINISHED" } else { "" };
    let head = format!("[+] Building {seconds:.1}s ({done}/{}){finished}", vertices.len());
    let mut lines = vec![(Tone::Plain, aligned(&head, "docker:default", width))];
    for vertex in vertices {
        let seconds = seconds_since(vertex.started, vertex.ended.unwrap_or(now));
        let mark = match (&vertex.error, vertex.cached) {
            (Some(_), _) => "ERROR ",
            (None, true) => "CACHED ",
            (None, false) => "",
        };
        let tone = match (&vertex.error, vertex.ended) {
            (Some(_), _) => Tone::Failed,
            (None, Some(_)) => Tone::Done,
            (None, None) => Tone::Plain,
        };
        let name = vertex.name.replace(['\n', '\t'], " ");
        lines.push((tone, aligned(&format!(" => {mark}{name}"), &format!("{seconds:.1}s"), width)));
        for status in &vertex.statuses {
            let (text, time) = status_text(status, now);
            lines.push((tone, aligned(&format!(" => => {text}"), &time, width)));
        }
        if vertex.ended.is_none() && !over {
            for line in vertex.last.iter().skip(vertex.last.len().saturating_sub(TAIL)) {
                let text = line.split_once(' ').map_or(line.as_str(), |(_, text)| text);
                lines.push((Tone::Faint, cut(&format!(" => => # {}", printable(text)), width)));
            }
        }
    }
    // Of a build that is higher than the screen, the end is shown while it goes on.
    if !over && lines.len() >= height {
        let surplus = lines.len() - (height - 1);
        lines.drain(1..=surplus);
    }
    lines
}

/// Returns `left` and, at the right edge, `right`.
fn aligned(left: &str, right: &str, width: usize) -> String {
    let room = width.saturating_sub(right.width() + 1);
    let left = cut(left, room);
    let gap = width.saturating_sub(left.width() + right.width());
    format!("{left}{}{right}", " ".repeat(gap))
}

fn cut(text: &str, width: usize) -> String {
    let mut used = 0;
    text.chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

/// Takes out what would move the cursor.
fn printable(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' => out.push_str("    "),
            '\x1b' => {
                // A sequence ends with a letter.
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
                    chars.next();
                }
            }
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::build::event::{Event, EventKind};
    use crate::build::graph::StepId;

    #[test]
    fn draws_what_goes_on() {
        let start = SystemTime::UNIX_EPOCH;
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let vertex = |events: Vec<(u64, EventKind)>| {
            let events =
                events.into_iter().map(|(time, kind)| Event { step: StepId(0), time: after(time), kind });
            let events: Vec<Event> = events.collect();
            let mut vertex = Vertex::new(&events[0]);
            for event in &events {
                vertex.take(event);
            }
            vertex
        };
        let started = |name: &str| EventKind::Started(name.to_owned());
        let output = EventKind::Output { error: false, bytes: b"one\n\x1b[31mtwo\x1b[0m\r\n".to_vec() };
        let vertices = [
            vertex(vec![(0, started("[1/3] FROM x")), (0, EventKind::Cached)]),
            vertex(vec![(0, started("[2/3] RUN make")), (500, output)]),
            vertex(vec![(0, started("[3/3] RUN no")), (900, EventKind::Failed("no".to_owned()))]),
        ];
        let lines: Vec<String> =
            frame(&vertices, start, after(1200), false, 40, 24).into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "[+] Building 1.2s (2/3)   docker:default",
                " => CACHED [1/3] FROM x             0.0s",
                " => [2/3] RUN make                  1.2s",
                " => => # one",
                " => => # two",
                " => ERROR [3/3] RUN no              0.9s",
            ]
        );
        assert_eq!(frame(&vertices, start, after(1200), false, 40, 5).len(), 4);
    }
}
