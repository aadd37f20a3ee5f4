//! Processes that stand still while a client needs them to.
//!
//! They do so for as long as the client's connection lasts, so that nobody has to let them go on who may have
//! been killed before. A container that a user has paused is left to that user.

use super::run::Supervisor;
use crate::container::protocol::Event;

impl Supervisor {
    /// Pauses the container for a client.
    pub(super) fn hold(&mut self, at: usize) {
        let is_held = self.clients.iter().any(|client| client.holds);
        let done = if self.frozen.is_some() { Ok(is_held) } else { self.pause().map(|()| true) };
        let event = match done {
            Ok(holds) => {
                self.clients[at].holds = holds;
                Event::Done
            }
            Err(error) => super::failure(&error),
        };
        self.clients[at].tell(&event);
    }

    /// Lets the container go on, after one that it was paused for has gone, if it was the last.
    pub(super) fn release(&mut self) {
        if self.clients.iter().any(|client| client.holds) {
            return;
        }
        if let Err(error) = self.unpause() {
            eprintln!("supervisor: {error:#}");
        }
    }
}
