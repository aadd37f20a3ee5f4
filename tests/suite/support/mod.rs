//! What the tests share: the harness, sandboxes, images, the probe, and what this host can do.

pub(crate) mod debian;
pub(crate) mod distribution;
pub(crate) mod harness;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod layer;
pub(crate) mod outcome;
pub(crate) mod outside;
pub(crate) mod peers;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod registry;
pub(crate) mod role;
pub(crate) mod sandbox;
pub(crate) mod terminal;
pub(crate) mod wire;

pub(crate) use host::{Need, needs};
pub(crate) use image::Image;
pub(crate) use layer::{Layer, Meta};
pub(crate) use sandbox::Sandbox;

use std::time::{Duration, Instant};

/// Waits until `condition` holds, for at most 20 seconds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 20 s in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
