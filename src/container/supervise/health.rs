//! The health checks of a running container: one process at a time in its namespaces, watched by the
//! supervisor's loop.
//!
//! A check is a child of the supervisor and a member of the container's pid namespace, so whichever of the two
//! ends takes it along. What it found is in `health.json` before anything else is done.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags};

use crate::container::config::{ContainerConfig, ProcessConfig};
use crate::container::dir::{ContainerDir, now};
use crate::container::health::{self, Finding, Health, OUTPUT_LIMIT, Plan, Word};
use crate::container::limits::Kept;
use crate::container::log::Stream;
use crate::container::stdio::Stdio;
use crate::container::{exec, filter, spec};
use crate::runtime::{self, JoinRequest, Process, Target, UserRequest};
use crate::store::random_id;
use crate::sys;

/// An event to be written down: what happened, and what is worth knowing about it.
pub(super) type Note = (String, Vec<(&'static str, String)>);

/// The container that is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patient<'a> {
    pub(super) dir: &'a ContainerDir,
    pub(super) config: &'a ContainerConfig,
    /// Its first process.
    pub(super) pidfd: BorrowedFd<'a>,
    pub(super) pid: i32,
    /// When it was started.
    pub(super) since: Instant,
    /// What keeps it within its limits.
    pub(super) kept: &'a Kept,
}

/// The checks of one run.
#[derive(Debug)]
pub(super) struct Checks {
    plan: Plan,
    health: Health,
    /// When the next one begins, while none runs; `None` while there are to be none.
    next: Option<Instant>,
    probe: Option<Probe>,
}

/// A check that runs.
#[derive(Debug)]
struct Probe {
    id: String,
    pid: i32,
    pidfd: OwnedFd,
    stdio: Stdio,
    output: Vec<u8>,
    /// Whether there was more output than is kept.
    cut: bool,
    start: String,
    since: Instant,
    /// When it has failed.
    ends: Instant,
    /// Whether it has been killed for taking too long.
    late: bool,
    /// Whether nobody wants to know any more what it finds.
    discarded: bool,
}

impl Checks {
    /// Begins the checks of a run that starts now; `None` if the container has none.
    pub(super) fn begin(dir: &ContainerDir, config: &ContainerConfig) -> Result<Option<Self>> {
        let Some(plan) = Plan::of(config.healthcheck.as_ref(), &config.shell) else { return Ok(None) };
        let mut health = health::load(dir).ok().flatten().unwrap_or_default();
        health.begin();
        health::put(dir, &health)?;
        let next = Instant::now() + plan.pause(Duration::ZERO, health.status);
        Ok(Some(Self { plan, health, next: Some(next), probe: None }))
    }

    /// Adds what is to be polled.
    pub(super) fn poll<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let Some(probe) = &self.probe else { return };
        fds.push(PollFd::new(&probe.pidfd, PollFlags::IN));
        for stream in [Stream::Stdout, Stream::Stderr] {
            fds.extend(probe.stdio.output(stream).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
    }

    /// Returns when something is to be done even if nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.probe {
            Some(probe) => Some(probe.ends).filter(|_| !probe.late && !probe.discarded),
            None => self.next,
        }
    }

    /// Does what is to be done now, and returns the events to be written down.
    pub(super) fn step(&mut self, patient: &Patient<'_>, buffer: &mut [u8]) -> Vec<Note> {
        let mut notes = Vec::new();
        match &mut self.probe {
            Some(probe) => {
                if let Some(finding) = probe.step(&self.plan, buffer) {
                    let code = finding.exit_code.to_string();
                    notes.push((
                        "exec_die".to_owned(),
                        vec![("execID", probe.id.clone()), ("exitCode", code)],
                    ));
                    let begun = probe.since;
                    // What the container's end has killed tells nothing of its health.
                    let discarded = probe.discarded || is_ending(patient.pid);
                    self.probe = None;
                    if !discarded {
                        self.take(finding, begun, patient, &mut notes);
                    }
                }
            }
            None if self.next.is_some_and(|at| at <= Instant::now()) => self.start(patient, &mut notes),
            None => {}
        }
        notes
    }

    fn start(&mut self, patient: &Patient<'_>, notes: &mut Vec<Note>) {
        let (start, begun, id) = (now(), Instant::now(), random_id());
        let words = self.plan.argv.join(" ");
        for action in ["exec_create", "exec_start"] {
            notes.push((format!("{action}: {words}"), vec![("execID", id.clone())]));
        }
        match self.launch(patient) {
            Ok((pid, pidfd, stdio)) => {
                let since = Instant::now();
                let ends = since + self.plan.timeout;
                let output = Vec::new();
                self.probe = Some(Probe {
                    id,
                    pid,
                    pidfd,
                    stdio,
                    output,
                    cut: false,
                    start,
                    since: begun,
                    ends,
                    late: false,
                    discarded: false,
                });
            }
            // What ends cannot be entered, and its end tells nothing of its health.
            Err(_) if is_ending(patient.pid) => self.next = None,
            Err(error) => {
                let output = format!("{error:#}");
                let finding = Finding { start, end: now(), exit_code: -1, output };
                self.take(finding, begun, patient, notes);
            }
        }
    }

    fn launch(&self, patient: &Patient<'_>) -> Result<(i32, OwnedFd, Stdio)> {
        let config = patient.config;
        let process = ProcessConfig {
            entrypoint: None,
            cmd: Some(self.plan.argv.clone()),
            tty: false,
            open_stdin: false,
            ..config.process.clone()
        };
        let request = JoinRequest {
            process: &spec::exec_process(config, &process, false)?,
            user: UserRequest { text: &process.user, groups: &config.group_add },
            terminal: None,
            stdin: false,
            detached: false,
            seccomp: filter::of(config, config.privileged)?,
            cgroup: patient.kept.cgroup.as_ref(),
            instead: &patient.kept.instead,
        };
        let target = Target { pidfd: patient.pidfd, pid: patient.pid };
        let Process { pid, pidfd, io, .. } = runtime::join(target, &request).map_err(exec::explain)?;
        Ok((pid, pidfd, Stdio::new(io)?))
    }

    fn take(&mut self, finding: Finding, begun: Instant, patient: &Patient<'_>, notes: &mut Vec<Note>) {
        let since = begun.saturating_duration_since(patient.since);
        let changed = self.health.take(finding, since, &self.plan);
        if let Err(error) = health::put(patient.dir, &self.health) {
            eprintln!("supervisor: {error:#}");
        }
        if changed {
            notes.push((format!("health_status: {}", self.health.status.text()), Vec::new()));
        }
        self.next = Some(Instant::now() + self.plan.pause(patient.since.elapsed(), self.health.status));
    }

    /// Ends the checks.
    pub(super) fn end(&mut self) {
        self.next = None;
        if let Some(probe) = &mut self.probe {
            // It stays until it is collected: the kernel ends no pid namespace before.
            probe.discarded = true;
            probe.kill();
        }
    }

    /// Goes on with the checks when the container is no longer paused.
    pub(super) fn resume(&mut self, patient: &Patient<'_>) {
        self.next = Some(Instant::now() + self.plan.pause(patient.since.elapsed(), self.health.status));
    }

    /// Says what a pause makes of the health, as Docker does: it is bad until a check says otherwise.
    pub(super) fn paused(&mut self, dir: &ContainerDir) -> Result<()> {
        self.end();
        self.health.status = Word::Unhealthy;
        health::put(dir, &self.health)
    }
}

/// Tells whether a process has begun to end: then it has no memory any more, and so no program.
fn is_ending(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_err()
}

impl Probe {
    /// Reads what there is. Returns what was found once it has ended.
    fn step(&mut self, plan: &Plan, buffer: &mut [u8]) -> Option<Finding> {
        self.read(buffer);
        if !self.late && self.ends <= Instant::now() {
            self.late = true;
            self.kill();
        }
        let exit = match sys::process::try_reap(self.pidfd.as_fd()) {
            Ok(None) => return None,
            Ok(Some(exit)) => exit.code(),
            Err(_) => -1,
        };
        self.read(buffer);
        let mut output = String::from_utf8_lossy(&self.output).into_owned();
        if self.cut {
            output.push_str("...");
        }
        let (exit_code, output) = if self.late {
            let said = format!("Health check exceeded timeout ({})", health::go_duration(plan.timeout));
            (-1, if output.is_empty() { said } else { format!("{said}: {output}") })
        } else {
            (exit, output)
        };
        Some(Finding { start: self.start.clone(), end: now(), exit_code, output })
    }

    /// Reads the output that has come: what is beyond the limit is thrown away, but not without end.
    fn read(&mut self, buffer: &mut [u8]) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            for _ in 0..8 {
                let Some(count) = self.stdio.read(stream, buffer) else { break };
                let room = OUTPUT_LIMIT - self.output.len();
                self.output.extend_from_slice(&buffer[..count.min(room)]);
                self.cut |= count > room;
            }
        }
    }

    /// Kills the check with what it has started. Its number cannot be another's yet: it is not collected.
    fn kill(&self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid) {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = sys::process::send_signal(self.pidfd.as_fd(), libc::SIGKILL);
    }
}
