//! The integration suite: one program that drives the built `coracle` as an unprivileged user.
//!
//! Each module below holds the tests of one command or one property. What they share is in `support`. The
//! same program also plays the small parts that tests need (the probe inside an image, the first process on
//! a terminal), chosen by its first argument: it is static, so it runs in any root file system.

#![allow(clippy::unwrap_used)]

mod support;

mod additional;
mod architecture;
mod archive;
mod build;
mod check;
mod cli;
mod commit;
mod compose;
mod context;
mod contract;
mod cp;
mod crash;
mod device;
mod df;
mod diff;
mod dns;
mod dockerfile;
mod events;
mod exec;
mod faults;
mod health;
mod hostile;
mod images;
mod imagetools;
mod inspect;
mod interop;
mod keep_id;
mod levels;
mod lifecycle;
mod limits;
mod live;
mod login;
mod logs;
mod manifest;
mod network;
mod outside;
mod ownership;
mod pasta;
mod pause;
mod ports;
mod prune;
mod ps;
mod pull;
mod push;
mod race;
mod regression;
mod router;
mod run;
mod scale;
mod search;
mod security;
mod settings;
mod sharing;
mod sources;
mod tcp;
mod tty;
mod udp;
mod volumes;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use support::harness;

/// Set once signals have their default actions.
const HEARING: &str = "CORACLE_SUITE_HEARS";

/// Runs this program again with no signal ignored. Whoever starts it in the background of a script has SIGINT ignored, and
/// so would every command have it that is tested.
fn hear() -> ExitCode {
    coracle::sys::process::reset_signals();
    let mut again = Command::new("/proc/self/exe");
    let error = again.args(std::env::args_os().skip(1)).env(HEARING, "1").exec();
    eprintln!("suite: start again: {error}");
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    if let Some(code) = support::role::play() {
        return code;
    }
    if std::env::var_os(HEARING).is_none() {
        return hear();
    }
    harness::run(&[
        ("architecture", architecture::TESTS),
        ("cli", cli::TESTS),
        ("build", build::TESTS),
        ("run", run::TESTS),
        ("exec", exec::TESTS),
        ("events", events::TESTS),
        ("logs", logs::TESTS),
        ("lifecycle", lifecycle::TESTS),
        ("health", health::TESTS),
        ("pause", pause::TESTS),
        ("ps", ps::TESTS),
        ("inspect", inspect::TESTS),
        ("keep_id", keep_id::TESTS),
        ("images", images::TESTS),
        ("check", check::TESTS),
        ("additional", additional::TESTS),
        ("device", device::TESTS),
        ("df", df::TESTS),
        ("settings", settings::TESTS),
        ("prune", prune::TESTS),
        ("archive", archive::TESTS),
        ("diff", diff::TESTS),
        ("commit", commit::TESTS),
        ("compose", compose::config::TESTS),
        ("compose", compose::images::TESTS),
        ("compose", compose::life::TESTS),
        ("compose", compose::watch::TESTS),
        ("cp", cp::TESTS),
        ("manifest", manifest::TESTS),
        ("imagetools", imagetools::TESTS),
        ("pull", pull::TESTS),
        ("push", push::TESTS),
        ("faults", faults::TESTS),
        ("interop", interop::TESTS),
        ("login", login::TESTS),
        ("search", search::TESTS),
        ("tcp", tcp::TESTS),
        ("tty", tty::TESTS),
        ("security", security::TESTS),
        ("sharing", sharing::TESTS),
        ("sources", sources::TESTS),
        ("network", network::TESTS),
        ("limits", limits::TESTS),
        ("live", live::TESTS),
        ("router", router::TESTS),
        ("ports", ports::TESTS),
        ("outside", outside::TESTS),
        ("ownership", ownership::TESTS),
        ("dns", dns::TESTS),
        ("dockerfile", dockerfile::TESTS),
        ("udp", udp::TESTS),
        ("pasta", pasta::TESTS),
        ("volumes", volumes::TESTS),
        ("levels", levels::TESTS),
        ("hostile", hostile::TESTS),
        ("context", context::TESTS),
        ("contract", contract::TESTS),
        ("crash", crash::TESTS),
        ("race", race::TESTS),
        ("scale", scale::TESTS),
        ("regression", regression::TESTS),
    ])
}
