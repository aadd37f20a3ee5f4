//! The output of several containers, each line with the name it comes from; and their end.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{EventfdFlags, eventfd};

use super::front::Here;
use super::watch::Watching;
use crate::compose::life::{self, Act, Context, Engine, Member};
use crate::compose::watch::Rule;
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
    /// The services whose output is shown.
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

/// What makes writers for containers, whose names are shown in columns of one width.
pub(super) struct Writers {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    err: Arc<Mutex<Box<dyn Write + Send>>>,
    prefixes: HashMap<String, String>,
    prefix: bool,
    width: usize,
}

impl Writers {
    /// Looks at the names of containers.
    pub(super) fn new(members: &[&Member], prefix: bool, colour: bool) -> Self {
        let colour = colour && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let width = members.iter().map(|member| shown_name(member).chars().count()).max().unwrap_or(0);
        let mut prefixes = HashMap::new();
        for (at, member) in members.iter().enumerate() {
            let name = format!("{:width$}  | ", shown_name(member));
            let text = match (prefix, colour) {
                (false, _) => String::new(),
                (true, false) => name,
                (true, true) => format!("\u{1b}[{}m{name}\u{1b}[0m", COLOURS[at % COLOURS.len()]),
            };
            prefixes.insert(shown_name(member), text);
        }
        let out: Arc<Mutex<Box<dyn Write + Send>>> = Arc::new(Mutex::new(Box::new(io::stdout())));
        let err: Arc<Mutex<Box<dyn Write + Send>>> = Arc::new(Mutex::new(Box::new(io::stderr())));
        Self { out, err, prefixes, prefix, width }
    }

    /// Makes writers for the output and the errors of a container, which may have come later.
    pub(super) fn of(&self, member: &Member) -> (Prefixed, Prefixed) {
        let name = shown_name(member);
        let width = self.width;
        let text = match self.prefixes.get(&name) {
            Some(text) => text.clone(),
            None if self.prefix => format!("{name:width$}  | "),
            None => String::new(),
        };
        let writer = |to: &Arc<Mutex<Box<dyn Write + Send>>>| Prefixed {
            prefix: text.clone(),
            line: Vec::new(),
            out: to.clone(),
        };
        (writer(&self.out), writer(&self.err))
    }
}

/// Returns the name that a container's lines bear: without the project's, if that is in it.
pub(super) fn shown_name(member: &Member) -> String {
    let project =
        member.summary.config.labels.get(life::label::PROJECT).map(String::as_str).unwrap_or_default();
    let short = member.name().strip_prefix(project).and_then(|rest| rest.strip_prefix(['-', '_']));
    short.unwrap_or(member.name()).to_owned()
}

enum News {
    /// A container's id, and its exit code.
    Ended(String, i32),
    /// Containers have been made or started again.
    Renewed,
    Signal,
}

/// Shows the output of containers until they have ended, or the user has had enough: the first SIGINT or
/// SIGTERM stops them, the second kills them. With rules, files are watched meanwhile. Returns the exit code.
pub(super) fn follow(
    here: &Here,
    context: &Context,
    members: &[Member],
    following: &Following,
    rules: Option<Vec<Rule>>,
) -> Result<u8> {
    // The threads inherit the mask; the processes that are started do not.
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGINT);
    mask.add(Signal::SIGTERM);
    mask.thread_block().context("block signals")?;
    let (send, news) = mpsc::channel();
    let signals = send.clone();
    std::thread::spawn(move || while mask.wait().is_ok() && signals.send(News::Signal).is_ok() {});
    let shown: Vec<&Member> = members.iter().filter(|it| following.shown.contains(&it.service)).collect();
    let names: Vec<String> = shown.iter().map(|member| shown_name(member)).collect();
    if !names.is_empty() {
        println(&format!("Attaching to {}", names.join(", ")));
    }
    let writers = Writers::new(&shown, following.prefix, following.colour);
    let over = eventfd(0, EventfdFlags::CLOEXEC).context("make a descriptor that ends the watch")?;
    let indent = " ".repeat(if following.prefix { writers.width } else { 0 });
    let log = |text: &str| println(&format!("{indent} ⦿ {text}"));
    let watching = rules.map(|rules| Watching { here, context, rules, prune: true, log: &log });
    let mut follower = Follower {
        engine: here.engine(),
        context,
        following,
        writers,
        services: members.iter().map(|member| member.service.clone()).collect(),
        members: Vec::new(),
        send: send.clone(),
        watches: watching.is_some(),
    };
    follower.attach(members);
    let code = std::thread::scope(|scope| {
        if let Some(watching) = &watching {
            let (send, over) = (send.clone(), &over);
            scope.spawn(move || {
                let renewed = || _ = send.send(News::Renewed);
                if let Err(error) = watching.run(Some(over.as_fd()), &renewed) {
                    (watching.log)(&format!("{error:#}"));
                }
            });
        }
        let code = follower.listen(scope, &news);
        let _ = rustix::io::write(&over, &1_u64.to_ne_bytes());
        code
    });
    if watching.is_some() {
        // What a change has started while everything was stopped.
        let late = follower.observe();
        life::act(&follower.engine, Some(context), &late, &Act::Stop { timeout: following.timeout })?;
    }
    Ok(code)
}

/// Containers whose output is shown and whose end is waited for.
struct Follower<'a> {
    engine: Engine<'a>,
    context: &'a Context,
    following: &'a Following,
    writers: Writers,
    services: BTreeSet<String>,
    /// Those that have not ended.
    members: Vec<Member>,
    send: mpsc::Sender<News>,
    watches: bool,
}

impl<'a> Follower<'a> {
    /// Follows containers, each on a thread of its own.
    fn attach(&mut self, members: &[Member]) {
        for member in members {
            let store = self.engine.store.clone();
            let id = member.id().to_owned();
            let mut writer = self.following.shown.contains(&member.service).then(|| self.writers.of(member));
            let since = match &member.summary.status {
                container::Status::Running(alive) => alive.started.parse().ok(),
                _ => None,
            };
            let options = LogOptions {
                follow: true,
                since,
                timestamps: self.following.timestamps,
                ..LogOptions::default()
            };
            let send = self.send.clone();
            std::thread::spawn(move || {
                let dir = ContainerDir::new(&store, &id);
                if let Some((out, err)) = &mut writer {
                    let _ = container::logs(&dir, &options, out, err);
                }
                drop(writer);
                let code = container::wait(&store, &dir).unwrap_or(0);
                let _ = send.send(News::Ended(id, code));
            });
            self.members.push(member.clone());
        }
    }

    /// Returns the containers of the services as they are now.
    fn observe(&self) -> Vec<Member> {
        let found = life::observe(self.engine.store, &self.context.project.name).unwrap_or_default();
        found.into_iter().filter(|it| self.services.contains(&it.service) && !it.one_off).collect()
    }

    /// Follows containers that run and are not followed.
    fn renew(&mut self) {
        let known = |member: &Member| self.members.iter().any(|it| it.id() == member.id());
        let new: Vec<Member> =
            self.observe().into_iter().filter(|member| member.is_running() && !known(member)).collect();
        self.attach(&new);
    }

    /// Takes in what happens until all is over.
    fn listen<'s>(&mut self, scope: &'s Scope<'s, 'a>, news: &mpsc::Receiver<News>) -> u8
    where
        'a: 's,
    {
        let mut code = 0;
        let mut interrupted = 0;
        let mut stopping = false;
        while !self.members.is_empty() || self.watches && !stopping {
            match news.recv() {
                Ok(News::Ended(id, ended)) => {
                    let Some(at) = self.members.iter().position(|member| member.id() == id) else { continue };
                    let member = self.members.remove(at);
                    println(&format!("{} exited with code {ended}", shown_name(&member)));
                    if self.watches && !stopping {
                        // Was it a change that has ended it?
                        self.renew();
                        let renewed =
                            |it: &Member| it.service == member.service && it.number == member.number;
                        if self.members.iter().any(renewed) {
                            continue;
                        }
                    }
                    let decides = match &self.following.fate {
                        Fate::All => false,
                        Fate::First => !stopping,
                        Fate::FirstFailure => !stopping && ended != 0,
                        Fate::Service(wanted) => *wanted == member.service,
                    };
                    if decides {
                        code = u8::try_from(ended & 0xff).unwrap_or(1);
                    }
                    let aborts = decides || matches!(self.following.fate, Fate::Service(_));
                    if aborts && !std::mem::replace(&mut stopping, true) {
                        println("Aborting on container exit...");
                        self.stop(scope);
                    }
                }
                Ok(News::Renewed) => {
                    if !stopping {
                        self.renew();
                    }
                }
                Ok(News::Signal) => {
                    interrupted += 1;
                    if interrupted == 1 {
                        code = 130;
                        println("Gracefully stopping... (press Ctrl+C again to force)");
                        if !std::mem::replace(&mut stopping, true) {
                            self.stop(scope);
                        }
                    } else {
                        let act = Act::Kill { signal: "SIGKILL".to_owned() };
                        let _ = life::act(&self.engine, None, &self.observe(), &act);
                    }
                }
                Err(_) => break,
            }
        }
        code
    }

    /// Stops containers beside what this process does: it may be interrupted by a second signal.
    fn stop<'s>(&self, scope: &'s Scope<'s, 'a>)
    where
        'a: 's,
    {
        let (engine, context, members) = (self.engine, self.context, self.observe());
        let act = Act::Stop { timeout: self.following.timeout };
        scope.spawn(move || {
            // What has gone wrong has been told.
            let _ = life::act(&engine, Some(context), &members, &act);
        });
    }
}

fn println(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
