//! What the commands that take several containers have in common.

use anyhow::Result;

use super::report::{coded, response};
use super::session::Session;
use crate::container::{self, ContainerDir};

/// Finds a container by what the user calls it.
pub(super) fn find(session: &Session, name: &str) -> Result<ContainerDir> {
    container::find(session.store()?, name).map_err(response)
}

/// Does something to each of several containers and prints the names of those it was done to. The errors of
/// the others come last.
pub(super) fn each(names: &[String], mut act: impl FnMut(&str) -> Result<()>) -> Result<u8> {
    let mut errors = Vec::new();
    for name in names {
        match act(name) {
            Ok(()) => Session::print(&format!("{name}\n"))?,
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    if errors.is_empty() { Ok(0) } else { Err(coded(1, errors.join("\n"))) }
}
