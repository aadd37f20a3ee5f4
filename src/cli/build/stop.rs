//! Signals that end a build.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

/// How soon a second signal is the first one again: timeout(1) sends it to the process and to its group.
const ECHO: Duration = Duration::from_secs(1);

/// Returns what is set when the user wants the build to stop. A second signal ends the program at once.
pub(in crate::cli) fn on_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    // Threads that come after this one have the signals blocked, too; one of them waits for them.
    if set.thread_block().is_ok() {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut first = None;
            while let Ok(signal) = set.wait() {
                stop.store(true, Ordering::SeqCst);
                if first.get_or_insert_with(Instant::now).elapsed() > ECHO {
                    let _ = set.thread_unblock();
                    let _ = nix::sys::signal::raise(signal);
                }
            }
        });
    }
    stop
}
