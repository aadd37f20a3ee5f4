//! The supervisor: one small process for each running container.
//!
//! # Theory of operation
//!
//! A command starts it by executing this program again, with one end of a socket pair as descriptor 0. Over
//! it comes the request, and over it the command sees the streams, so that foreground `run` is nothing else
//! than detached `run` with somebody attached.
//!
//! ```text
//! command ── descriptor 0 ──▶ supervisor ──clone──▶ init ──exec──▶ the container's process
//!    later commands ── attach.sock ──▶ ┘ │ ▲
//!                                        │ └ pidfd, output pipes or terminal
//!                                        └ log, alive.json, exit.json
//! ```
//!
//! It has one thread and one poll loop, lives in the ancestor user namespace (as its root: it can write id
//! maps and remove files of mapped ids), in its own session, and outside of every other namespace of the
//! container. It holds `alive.lock` from before the first sign of life until after the last, so whoever finds
//! the lock free knows that no supervisor will come back.
//!
//! Order at the end: exit record, mark of life taken away, socket removed, lock released, clients told;
//! with `--rm`, the removal comes between being told and the end of the connection, and the lock is kept until
//! then.

mod client;
mod detour;
mod health;
mod hold;
mod join;
mod keeper;
mod launch;
mod network;
mod restart;
mod run;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use nix::sys::signal::SigSet;

use super::dir::ContainerDir;
use super::protocol::{Event, Kind, Request, Streams, receive, send};
use super::start::StartError;
use crate::idmap::{self, Ancestor};
use crate::store::{MapKey, Store};

pub(super) use launch::view;

/// The hidden role's name on the command line.
pub const ROLE: &str = "__supervise";

/// The entry point of the role.
pub fn main() -> ExitCode {
    match supervise() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("supervisor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the command wants.
struct Order {
    root: PathBuf,
    runtime: PathBuf,
    id: String,
    attach: Option<Streams>,
}

fn supervise() -> Result<()> {
    let mask = run::block_signals()?;
    // Nothing that happens to the terminal or the session of the command shall reach the supervisor.
    let _ = rustix::process::setsid();
    let control =
        rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3).context("keep the control socket")?;
    let null = std::fs::File::open("/dev/null").context("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("close descriptor 0")?;
    std::env::set_current_dir("/").context("leave the current directory")?;
    let control = UnixStream::from(control);
    let order = hear_order(&control)?;
    let told = control.try_clone().context("copy the control socket")?;
    match begin(order, control, &mask) {
        Ok(mut supervisor) => supervisor.run(),
        Err(error) => {
            let _ = send(&told, Kind::Event, &failure(&error));
            Err(error)
        }
    }
}

fn hear_order(control: &UnixStream) -> Result<Order> {
    let Some((Kind::Request, bytes)) = receive(control).context("read the request")? else {
        bail!("read the request: the command is gone");
    };
    match serde_json::from_slice(&bytes).context("parse the request")? {
        Request::Supervise { root, runtime, id, attach } => Ok(Order { root, runtime, id, attach }),
        other => bail!("unexpected first request: {other:?}"),
    }
}

/// Says an error as the command is to show it.
fn failure(error: &anyhow::Error) -> Event {
    match error.downcast_ref::<StartError>() {
        Some(start) => {
            Event::Failed { code: start.code, message: start.message.clone(), hint: start.hint.clone() }
        }
        None => Event::Failed { code: 125, message: format!("{error:#}"), hint: None },
    }
}

fn begin(order: Order, control: UnixStream, mask: &SigSet) -> Result<run::Supervisor> {
    let store = Store::open(&order.root, &order.runtime)?;
    let dir = ContainerDir::new(&store, &order.id);
    let _lock = dir.lock()?;
    let config = dir.config()?;
    let identity = idmap::observe()?;
    let level = identity.level;
    let identity = identity.keeping(config.sharing.kept()).ok();
    let Some(identity) = identity.filter(|now| MapKey::of(&now.inside().text()) == config.map) else {
        return Err(StartError {
            code: 125,
            message: format!(
                "container {} was made under another id mapping than the one in force now (level {})",
                dir.short_id(),
                level.name()
            ),
            hint: Some("make it anew, or restore the entries of /etc/subuid and /etc/subgid".to_owned()),
        }
        .into());
    };
    let Some(alive) = dir.take_alive()? else {
        return Err(StartError { code: 0, message: "it runs already".to_owned(), hint: None }.into());
    };
    let ancestor = Ancestor::enter(&store.root().join("locks"), &identity)?;
    let mut starter = client::Client::new(control).context("keep the control socket")?;
    starter.streams = order.attach.unwrap_or_default();
    run::Supervisor::new(store, dir, config, identity, ancestor, alive, mask, starter)
}
