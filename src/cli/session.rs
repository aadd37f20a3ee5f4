//! What one call of the program works with: settings, the store, the streams.

use std::cell::OnceCell;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::Result;

use super::compose::Globals;
use crate::idmap::{self, Identity};
use crate::settings::{DockerConfig, Settings};
use crate::store::Store;

/// One call of the program. Nothing is read before it is needed.
#[derive(Debug)]
pub(super) struct Session {
    /// What the command was called by: `run`, `container run`.
    pub(super) path: String,
    /// `--debug`
    pub(super) debug: bool,
    /// `--config`
    pub(super) docker_config_dir: Option<PathBuf>,
    /// The flags between `compose` and its command.
    pub(super) compose: Globals,
    settings: OnceCell<Settings>,
    store: OnceCell<Store>,
}

impl Session {
    /// Makes one.
    pub(super) fn new(path: String, debug: bool, docker_config_dir: Option<PathBuf>) -> Self {
        let compose = Globals::default();
        Self { path, debug, docker_config_dir, compose, settings: OnceCell::new(), store: OnceCell::new() }
    }

    /// Returns the settings.
    pub(super) fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = Settings::read(self.docker_config_dir.as_deref())?;
        Ok(self.settings.get_or_init(|| settings))
    }

    /// Returns the store, laid out if it is new.
    pub(super) fn store(&self) -> Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let settings = self.settings()?;
        let store = Store::open(&settings.root, &settings.runtime)?.with_additional(&settings.additional);
        self.debug(|| format!("use store {}", settings.root.display()));
        Ok(self.store.get_or_init(|| store))
    }

    /// Returns the store for a command that looks for images, and says which stores cannot be borrowed from.
    pub(super) fn image_store(&self) -> Result<&Store> {
        let store = self.store()?;
        for (root, lender) in store.lenders() {
            if let Err(error) = lender {
                Self::note(&format!(
                    "WARNING: the additional store {} is not used: {error:#}",
                    root.display()
                ));
            }
        }
        Ok(store)
    }

    /// Finds out who the user may be.
    pub(super) fn identity() -> Result<Identity> {
        idmap::observe()
    }

    /// Reads Docker's `config.json`.
    pub(super) fn docker_config(&self) -> Result<DockerConfig> {
        DockerConfig::read(&self.settings()?.docker_config)
    }

    /// Writes results. A reader who has gone away is no error: it has what it wanted.
    pub(super) fn print(text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(anyhow::Error::from(error).context("write to standard output"))
            }
            _ => Ok(()),
        }
    }

    /// Tells something beside the results.
    pub(super) fn note(text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Tells what is being done, if that is wanted.
    pub(super) fn debug(&self, text: impl FnOnce() -> String) {
        if self.debug || self.settings.get().is_some_and(|settings| settings.debug) {
            let _ = writeln!(io::stderr(), "debug: {}", text());
        }
    }

    /// Tells whether standard input is a terminal.
    pub(super) fn stdin_is_terminal() -> bool {
        io::stdin().is_terminal()
    }
}
