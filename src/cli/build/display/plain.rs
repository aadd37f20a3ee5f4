//! Lines: `#5 [2/4] RUN make`, `#5 0.123 output`, `#5 DONE 0.3s`.
//!
//! Steps that go on at the same time would be torn apart line by line. So one of them is current, and what the others
//! write waits, for a few seconds or until the current one ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::super::seconds_since;
use super::{Status, Vertex, status_text};
use crate::build::event::{Event, EventKind};

/// How long one step may keep others waiting.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Plain {
    /// The place of the step whose lines are shown.
    current: Option<usize>,
    since: Option<SystemTime>,
    numbered: usize,
    begun: bool,
    /// Lines that wait.
    waiting: BTreeMap<usize, Vec<String>>,
}

impl Plain {
    /// Returns what is to be shown after an event of the step at `at`.
    pub(super) fn tell(
        &mut self,
        vertices: &mut [Vertex],
        at: usize,
        event: &Event,
        lines: &[String],
    ) -> String {
        let mut out = String::new();
        if !self.begun {
            self.begun = true;
            out.push_str("#0 building with \"default\" instance using docker driver\n");
        }
        if vertices[at].number == 0 {
            self.numbered += 1;
            vertices[at].number = self.numbered;
        }
        let news = news(&vertices[at], event, lines);
        self.waiting.entry(at).or_default().extend(news);
        let ended = vertices[at].ended.is_some();
        let patience_over = self
            .since
            .is_some_and(|since| event.time.duration_since(since).is_ok_and(|waited| waited > PATIENCE));
        let talks = matches!(event.kind, EventKind::Output { .. } | EventKind::Started(_));
        if self.current.is_none() || self.current == Some(at) || ended || (patience_over && talks) {
            self.show(vertices, at, event.time, &mut out);
        }
        if self.current.is_none() {
            // Whoever waits longest goes on.
            let next = self.waiting.keys().copied().find(|other| vertices[*other].ended.is_none());
            if let Some(next) = next {
                self.show(vertices, next, event.time, &mut out);
            }
        }
        out
    }

    /// Shows all that waits of one step, which becomes the current one unless it has ended.
    fn show(&mut self, vertices: &[Vertex], at: usize, now: SystemTime, out: &mut String) {
        let vertex = &vertices[at];
        if self.current != Some(at) {
            if let Some(before) = self.current {
                let _ = writeln!(out, "#{} ...", vertices[before].number);
            }
            let _ = writeln!(out, "\n#{} {}", vertex.number, vertex.name);
            self.since = Some(now);
        }
        for line in self.waiting.remove(&at).unwrap_or_default() {
            let _ = writeln!(out, "#{} {line}", vertex.number);
        }
        self.current = vertex.ended.is_none().then_some(at);
    }
}

/// Returns the lines of an event, without the number.
fn news(vertex: &Vertex, event: &Event, lines: &[String]) -> Vec<String> {
    let mut news = lines.to_vec();
    match &event.kind {
        EventKind::Cached => news.push("CACHED".to_owned()),
        EventKind::Done => {
            news.push(format!("DONE {:.1}s", seconds_since(vertex.started, event.time)));
        }
        EventKind::Failed(why) if why.is_empty() || why.contains("canceled") => {
            news.push("CANCELED".to_owned());
        }
        EventKind::Failed(why) => news.push(format!("ERROR: {why}")),
        EventKind::Progress { name, done: true, .. } => {
            let status: Option<&Status> = vertex.statuses.iter().find(|status| status.name == *name);
            news.extend(status.map(|status| {
                let (text, time) = status_text(status, event.time);
                if time == "0.0s" { format!("{text} done") } else { format!("{text} {time} done") }
            }));
        }
        EventKind::Started(_) | EventKind::Output { .. } | EventKind::Progress { .. } => {}
    }
    news
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::build::graph::StepId;

    #[test]
    fn keeps_steps_together() {
        let start = SystemTime::UNIX_EPOCH;
        let mut plain = Plain::default();
        let mut vertices = Vec::new();
        let mut out = String::new();
        let mut say = |step: usize, milliseconds: u64, kind: EventKind| {
            let event = Event { step: StepId(step), time: start + Duration::from_millis(milliseconds), kind };
            let at = vertices.iter().position(|v: &Vertex| v.id == event.step).unwrap_or_else(|| {
                vertices.push(Vertex::new(&event));
                vertices.len() - 1
            });
            let lines = vertices[at].take(&event);
            out.push_str(&plain.tell(&mut vertices, at, &event, &lines));
        };
        let output = |text: &str| EventKind::Output { error: false, bytes: text.as_bytes().to_vec() };
        say(0, 0, EventKind::Started("[1/2] RUN a".to_owned()));
        say(1, 0, EventKind::Started("[2/2] RUN b".to_owned()));
        say(1, 100, output("b1\nb"));
        say(0, 200, output("a1\n"));
        say(1, 300, output("2\nrest"));
        say(0, 400, EventKind::Done);
        say(1, 500, EventKind::Done);
        say(2, 500, EventKind::Started("c".to_owned()));
        say(2, 500, EventKind::Cached);
        assert_eq!(
            out,
            "#0 building with \"default\" instance using docker driver\n\n#1 [1/2] RUN a\n#1 0.200 a1\n#1 DONE 0.4s\n\n\
             #2 [2/2] RUN b\n#2 0.100 b1\n#2 0.300 b2\n#2 0.500 rest\n#2 DONE 0.5s\n\n#3 c\n#3 CACHED\n"
        );
        assert_eq!(
            vertices[1].last,
            VecDeque::from(["0.100 b1", "0.300 b2", "0.500 rest"].map(str::to_owned))
        );
    }
}
