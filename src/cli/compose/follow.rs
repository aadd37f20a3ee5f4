//! The output of several containers, each line with the name it comes from; and their end.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

use crate::compose::life::{self, Act, Engine, Member};
use crate::container::{self, ContainerDir, LogOptions};

/// The colours of names, one after the other.
const COLOURS: [&str; 12] =
    ["36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1", "31;1", "96"];

/// What becomes of all when one ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing: all go on until all have ended.
    All,
    /// All are stopped, and the code is that of the first.
    First,
    /// The same, if it has failed.
    FirstFailure,
    /// All are stopped, and the code is that of this service's container.
    Service(String),
}

/// How containers are followed.
#[derive(Debug)]
pub(super) struct Following {
    /// The ids of those whose output is shown.
    pub(super) shown: Vec<String>,
    pub(super) colour: bool,
    pub(super) prefix: bool,
    pub(super) timestamps: bool,
    pub(super) timeout: Option<i64>,
    pub(super) fate: Fate,
}

/// What writes lines of one container.
pub(super) struct Prefixed {
    prefix: String,
    line: Vec<u8>,
    out: Arc<Mutex<Box<dyn Write + Send>>>,
}

impl Write for Prefixed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.give()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl Prefixed {
    fn give(&mut self) -> io::Result<()> {
        if self.line.is_empty() {
            return Ok(());
        }
        let mut whole = self.prefix.clone().into_bytes();
        whole.append(&mut self.line);
        if !whole.ends_with(b"\n") {
            whole.push(b'\n');
        }
        self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(&whole)
    }
}

impl Drop for Prefixed {
    fn drop(&mut self) {
        let _ = self.give();
    }
}

/// Makes writers for containers, whose names are shown in columns of one width.
pub(super) fn writers(
    members: &[&Member],
    prefix: bool,
    colour: bool,
) -> HashMap<String, (Prefixed, Prefixed)> {
    let out: Arc<Mutex<Box<dyn Write + Send>>> = Arc::new(Mutex::new(Box::new(io::stdout())));
    let err: Arc<Mutex<Box<dyn Write + Send>>> = Arc::new(Mutex::new(Box::new(io::stderr())));
    let colour = colour && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = members.iter().map(|member| shown_name(member).chars().count()).max().unwrap_or(0);
    let mut found = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        let name = format!("{:width$}  | ", shown_name(member));
        let text = match (prefix, colour) {
            (false, _) => String::new(),
            (true, false) => name,
            (true, true) => format!("\u{1b}[{}m{name}\u{1b}[0m", COLOURS[at % COLOURS.len()]),
        };
        let writer = |to: &Arc<Mutex<Box<dyn Write + Send>>>| Prefixed {
            prefix: text.clone(),
            line: Vec::new(),
            out: to.clone(),
        };
        found.insert(member.id().to_owned(), (writer(&out), writer(&err)));
    }
    found
}

/// Returns the name that a container's lines bear: without the project's, if that is in it.
pub(super) fn shown_name(member: &Member) -> String {
    let project =
        member.summary.config.labels.get(life::label::PROJECT).map(String::as_str).unwrap_or_default();
    let short = member.name().strip_prefix(project).and_then(|rest| rest.strip_prefix('-'));
    short.unwrap_or(member.name()).to_owned()
}

enum News {
    Ended(String, String, i32),
    Signal,
}

/// Shows the output of containers until they have ended, or the user has had enough: the first SIGINT or
/// SIGTERM stops them, the second kills them. Returns the exit code.
pub(super) fn follow(engine: &Engine<'_>, members: &[Member], following: &Following) -> Result<u8> {
    // The threads inherit the mask; the processes that are started do not.
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGINT);
    mask.add(Signal::SIGTERM);
    mask.thread_block().context("block signals")?;
    let (send, news) = mpsc::channel();
    let signals = send.clone();
    std::thread::spawn(move || while mask.wait().is_ok() && signals.send(News::Signal).is_ok() {});
    let shown: Vec<&Member> =
        members.iter().filter(|it| following.shown.iter().any(|id| id == it.id())).collect();
    let names: Vec<String> = shown.iter().map(|member| shown_name(member)).collect();
    if !names.is_empty() {
        println(&format!("Attaching to {}", names.join(", ")));
    }
    let mut writers = writers(&shown, following.prefix, following.colour);
    for member in members {
        let store = engine.store.clone();
        let (id, name, service) = (member.id().to_owned(), shown_name(member), member.service.clone());
        let mut writer = writers.remove(&id);
        let since = match &member.summary.status {
            container::Status::Running(alive) => alive.started.parse().ok(),
            _ => None,
        };
        let options =
            LogOptions { follow: true, since, timestamps: following.timestamps, ..LogOptions::default() };
        let send = send.clone();
        std::thread::spawn(move || {
            let dir = ContainerDir::new(&store, &id);
            if let Some((out, err)) = &mut writer {
                let _ = container::logs(&dir, &options, out, err);
            }
            drop(writer);
            let code = container::wait(&store, &dir).unwrap_or(0);
            let _ = send.send(News::Ended(service, name, code));
        });
    }
    let mut left = members.len();
    let mut code = 0;
    let mut interrupted = 0;
    let mut stopping = false;
    while left > 0 {
        match news.recv() {
            Ok(News::Ended(service, name, ended)) => {
                left -= 1;
                println(&format!("{name} exited with code {ended}"));
                let decides = match &following.fate {
                    Fate::All => false,
                    Fate::First => !stopping,
                    Fate::FirstFailure => !stopping && ended != 0,
                    Fate::Service(wanted) => *wanted == service,
                };
                if decides {
                    code = u8::try_from(ended & 0xff).unwrap_or(1);
                }
                let aborts = decides || matches!(following.fate, Fate::Service(_));
                if aborts && !std::mem::replace(&mut stopping, true) {
                    println("Aborting on container exit...");
                    stop(engine, members, following.timeout, &send);
                }
            }
            Ok(News::Signal) => {
                interrupted += 1;
                if interrupted == 1 {
                    code = 130;
                    println("Gracefully stopping... (press Ctrl+C again to force)");
                    if !std::mem::replace(&mut stopping, true) {
                        stop(engine, members, following.timeout, &send);
                    }
                } else {
                    let act = Act::Kill { signal: "SIGKILL".to_owned() };
                    let _ = life::act(engine, &refreshed(engine, members), &act);
                }
            }
            Err(_) => break,
        }
    }
    Ok(code)
}

/// Stops containers beside what this process does: it is interrupted by a second signal.
fn stop(engine: &Engine<'_>, members: &[Member], timeout: Option<i64>, _: &mpsc::Sender<News>) {
    let members = refreshed(engine, members);
    let store = engine.store.clone();
    for member in members {
        let store = store.clone();
        engine.front.tell(&format!("Container {}", member.name()), "Stopping", life::Stage::Begun);
        std::thread::spawn(move || {
            let dir = member.dir(&store);
            let _ = container::stop(&store, &dir, None, timeout);
        });
    }
}

/// Looks at containers anew.
fn refreshed(engine: &Engine<'_>, members: &[Member]) -> Vec<Member> {
    let mut members = members.to_vec();
    for member in &mut members {
        if let Ok(status) = container::observe_and_mend(&member.dir(engine.store)) {
            member.summary.status = status;
        }
    }
    members
}

fn println(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
