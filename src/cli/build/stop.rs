//! Signals that end a build.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};

/// Returns what is set when the user wants the build to stop. A second signal ends the program at once.
pub(super) fn on_signals() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    // Threads that come after this one have the signals blocked, too; one of them waits for them.
    if set.thread_block().is_ok() {
        let stop = stop.clone();
        std::thread::spawn(move || {
            while let Ok(signal) = set.wait() {
                if stop.swap(true, Ordering::SeqCst) {
                    let _ = set.thread_unblock();
                    let _ = nix::sys::signal::raise(signal);
                }
            }
        });
    }
    stop
}
