//! What clients ask of a supervisor, and what it does to the container for them.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{Asked, Supervisor};
use crate::container::protocol::{Event, Request};
use crate::container::signal;
use crate::container::supervise::client::Said;
use crate::container::supervise::failure;
use crate::sys;

impl Supervisor {
    pub(super) fn serve_clients(&mut self, ready: &[bool]) {
        for (at, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            let said = self.clients[at].hear(&mut self.buffer);
            for said in said {
                match said {
                    Said::Stdin(bytes) => {
                        if let Some(process) = &mut self.process
                            && self.clients[at].streams.stdin
                        {
                            if !bytes.is_empty() {
                                process.stdio.push(&bytes);
                            } else if self.config.process.stdin_once {
                                process.stdio.close_input();
                            }
                        }
                    }
                    Said::Request(request) => self.answer(at, &request),
                }
            }
        }
        let stdin_once = self.config.process.stdin_once;
        let mut feeder_gone = false;
        let mut released = false;
        self.clients.retain(|client| {
            feeder_gone |= client.gone && client.streams.stdin;
            released |= client.gone && client.holds;
            !client.gone
        });
        if released {
            self.release();
        }
        if feeder_gone
            && stdin_once
            && let Some(process) = &mut self.process
        {
            process.stdio.close_input();
        }
    }

    fn answer(&mut self, at: usize, request: &Request) {
        match request {
            Request::Supervise { .. } => self.clients[at].gone = true,
            Request::Attach(streams) => {
                self.clients[at].streams = *streams;
                if streams.any() {
                    self.note("attach", &[]);
                }
                if let Some((rows, columns)) = streams.window {
                    self.resize(rows, columns);
                }
                self.clients[at].tell(&Event::Started);
            }
            Request::Resize { rows, columns } => self.resize(*rows, *columns),
            Request::Signal { number } => {
                if *number == Signal::SIGKILL as i32 || Some(*number) == self.stop_signal() {
                    self.stopped = true;
                }
                self.signal(*number);
                // As Docker: what may end it has to reach it.
                let may_end = self.config.stop_signal.is_empty() || self.stopped;
                if may_end && let Err(error) = self.unpause() {
                    eprintln!("supervisor: {error:#}");
                }
            }
            Request::Stop { signal, seconds } => {
                self.asked = Some(Asked::Stop);
                self.stop(*signal, *seconds);
            }
            Request::Restart { signal, seconds } => {
                self.asked = Some(Asked::Restart);
                self.stop(*signal, *seconds);
                self.again = true;
                if self.process.is_none() {
                    self.stopped = false;
                    self.next_run = Some(Instant::now());
                }
            }
            Request::Wait => {}
            Request::Hold => self.hold(at),
            Request::Connect(_) | Request::Disconnect { .. } | Request::Refresh => {
                self.change_networks(at, request);
            }
            Request::Pause | Request::Unpause | Request::Update => {
                let done = match request {
                    Request::Pause => self.pause(),
                    Request::Unpause => self.unpause(),
                    _ => self.update(),
                };
                let event = done.map_or_else(|error| failure(&error), |()| Event::Done);
                self.clients[at].tell(&event);
            }
        }
    }

    /// Stops all processes of the container.
    pub(in crate::container::supervise) fn pause(&mut self) -> Result<()> {
        let Some(init) = self.mark.init.filter(|_| self.process.is_some() && self.frozen.is_none()) else {
            anyhow::bail!("container {} is not running, or paused already", self.dir.id());
        };
        self.frozen = Some(self.keeper.freeze(&self.config, init.pid)?);
        self.mark.kept = self.keeper.kept.clone();
        self.mark.paused = true;
        self.dir.put_alive(&self.mark)?;
        if let Some(checks) = &mut self.checks {
            checks.paused(&self.dir)?;
        }
        self.note("pause", &[]);
        Ok(())
    }

    /// Lets the processes of the container go on, if they are stopped.
    pub(in crate::container::supervise) fn unpause(&mut self) -> Result<()> {
        let Some(frozen) = self.frozen.take() else { return Ok(()) };
        frozen.thaw();
        self.mark.paused = false;
        self.dir.put_alive(&self.mark)?;
        if let (Some(checks), Some(process), Some(_)) = (&mut self.checks, &self.process, self.mark.init) {
            checks.resume(&process.patient(&self.dir, &self.config, &self.mark));
        }
        self.note("unpause", &[]);
        Ok(())
    }

    /// Obeys a configuration that has changed.
    fn update(&mut self) -> Result<()> {
        let before = std::mem::replace(&mut self.config, self.dir.config()?);
        if let Some(init) = self.mark.init.filter(|_| self.process.is_some())
            && before.limits != self.config.limits
        {
            let updated = self.keeper.update(&self.config, init.pid);
            self.mark.kept = self.keeper.kept.clone();
            self.dir.put_alive(&self.mark)?;
            updated?;
        }
        Ok(())
    }

    pub(super) fn stop_signal(&self) -> Option<i32> {
        match self.config.stop_signal.as_str() {
            "" => Some(Signal::SIGTERM as i32),
            text => signal::parse(text).ok(),
        }
    }

    /// Sends the stop signal and sets the time after which SIGKILL follows.
    pub(super) fn stop(&mut self, signal: Option<i32>, seconds: Option<i64>) {
        self.stopped = true;
        let signal = signal.or_else(|| self.stop_signal()).unwrap_or(Signal::SIGTERM as i32);
        self.signal(signal);
        if let Err(error) = self.unpause() {
            eprintln!("supervisor: {error:#}");
        }
        let seconds = seconds.or(self.config.stop_timeout).unwrap_or(10);
        // A negative number waits for ever.
        self.kill_at =
            u64::try_from(seconds).ok().map(|seconds| Instant::now() + Duration::from_secs(seconds));
    }

    pub(super) fn signal(&mut self, number: i32) {
        if let Some(process) = &self.process {
            // The only failure is that it has ended already.
            let _ = sys::process::send_signal(process.pidfd.as_fd(), number);
            self.note("kill", &[("signal", number.to_string())]);
        }
    }

    pub(super) fn resize(&mut self, rows: u16, columns: u16) {
        if let Some(process) = &self.process {
            process.stdio.resize(rows, columns);
            self.note_size(rows, columns);
        }
    }

    pub(super) fn note_size(&mut self, rows: u16, columns: u16) {
        self.note("resize", &[("height", rows.to_string()), ("width", columns.to_string())]);
    }
}
