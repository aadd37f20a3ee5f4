//! Targets built side by side, each as soon as those that it is built upon are there.
//!
//! Each is built by a process of its own, as one can enter the namespace of builds only once. What several of them
//! have in common is made by one: the cache has a lock for each key. The first failure stops the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::build::on_signals;

/// How often is looked whether the user wants all to stop.
const TICK: Duration = Duration::from_millis(100);

/// A target to be built.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: String,
    /// Those that have to be there before.
    pub(super) after: BTreeSet<String>,
}

/// How a target is built.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) command: Command,
    /// Its standard input.
    pub(super) dockerfile: Option<String>,
}

/// Builds all; `call` is asked when a target's turn comes, `done` told of those that have been built. Returns the
/// exit code.
pub(super) fn build(
    mut jobs: Vec<Job>,
    mut call: impl FnMut(&str) -> Result<Call>,
    mut done: impl FnMut(&str),
) -> Result<u8> {
    // One has the terminal to itself.
    let several = jobs.len() > 1;
    let stop = on_signals();
    let (sender, ended) = channel();
    let mut running: BTreeMap<String, Pid> = BTreeMap::new();
    let mut built = BTreeSet::new();
    let (mut code, mut stopping) = (0, false);
    loop {
        let mut at = 0;
        while at < jobs.len() && !stopping {
            if !jobs[at].after.is_subset(&built) {
                at += 1;
                continue;
            }
            let job = jobs.remove(at);
            let child = start(call(&job.name)?, several, &job.name)?;
            running.insert(job.name.clone(), Pid::from_raw(child.id().cast_signed()));
            wait(child, job.name, sender.clone());
        }
        if running.is_empty() {
            return Ok(code);
        }
        match ended.recv_timeout(TICK) {
            Ok((name, status)) => {
                running.remove(&name);
                if status == 0 {
                    done(&name);
                    built.insert(name);
                } else if !stopping {
                    code = status;
                    stopping = true;
                    end(&running);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if !stopping && stop.load(std::sync::atomic::Ordering::SeqCst) {
                    code = 130;
                    stopping = true;
                    end(&running);
                }
            }
            // This function holds a sender.
            Err(RecvTimeoutError::Disconnected) => return Ok(code),
        }
    }
}

fn start(mut call: Call, several: bool, name: &str) -> Result<Child> {
    call.command.stdin(if call.dockerfile.is_some() {
        Stdio::piped()
    } else if several {
        Stdio::null()
    } else {
        Stdio::inherit()
    });
    if several {
        call.command.stderr(Stdio::piped());
    }
    let mut child = call.command.spawn().with_context(|| format!("start the build of target {name}"))?;
    if let (Some(text), Some(mut stdin)) = (call.dockerfile, child.stdin.take()) {
        // A build that has failed already does not read it.
        let _ = stdin.write_all(text.as_bytes());
    }
    Ok(child)
}

/// Has a thread pass on what a build says and wait for its end.
fn wait(mut child: Child, name: String, sender: Sender<(String, u8)>) {
    thread::spawn(move || {
        if let Some(told) = child.stderr.take() {
            for line in BufReader::new(told).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                // Records and empty lines stay as they are.
                let mark = if line.is_empty() || line.starts_with('{') {
                    String::new()
                } else {
                    format!("[{name}] ")
                };
                let _ = writeln!(std::io::stderr().lock(), "{mark}{line}");
            }
        }
        let code = child.wait().ok().and_then(|status| u8::try_from(status.code()?).ok());
        let _ = sender.send((name, code.unwrap_or(1)));
    });
}

/// Has builds end. Each removes what it has made half.
fn end(running: &BTreeMap<String, Pid>) {
    for pid in running.values() {
        // It is not waited for before its thread says so, so the number means it; at worst it has just ended.
        let _ = kill(*pid, Signal::SIGTERM);
    }
}
