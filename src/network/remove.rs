//! Taking a network away.

use std::fs;
use std::io;

use anyhow::{Context, Result};

use super::record::Network;
use crate::store::{Lock, Mode, Store};

/// Takes the lock of all records. Who makes or removes one holds it exclusively, and sees before that
/// nobody uses the network; who has just begun to use one takes it shared, and then looks whether the
/// network is still there. So either of the two sees the other.
pub fn lock(store: &Store, mode: Mode) -> Result<Lock> {
    store.lock("networks", mode)
}

/// Removes a network's record. The caller holds the lock, and has seen that nothing uses the network.
pub fn remove(store: &Store, network: &Network) -> Result<()> {
    let path = store.networks().join(format!("{}.json", network.id));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove network {}", network.name))
        }
        _ => {
            super::note(store, "destroy", network);
            Ok(())
        }
    }
}
