//! `compose` and its commands; the flags that stand before them.

pub(super) mod build;
pub(super) mod config;
pub(super) mod down;
mod follow;
mod front;
pub(super) mod logs;
pub(super) mod pass;
mod progress;
pub(super) mod ps;
pub(super) mod pull;
pub(super) mod run;
pub(super) mod up;
pub(super) mod version;
pub(super) mod watch;

use std::io::IsTerminal as _;

use anyhow::{Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::report::coded;
use super::session::Session;
use crate::compose::{self, Asked, How, Loaded};

/// The name of the group.
pub(super) const GROUP: &str = "compose";

/// The flags between `compose` and its command.
#[derive(Debug, Clone, Default)]
pub(super) struct Globals {
    /// Which project is meant.
    pub(super) asked: Asked,
    /// `--dry-run`
    pub(super) dry_run: bool,
    /// `--parallel`; `None`: as many as there are.
    pub(super) parallel: Option<usize>,
    /// `--ansi`
    pub(super) ansi: String,
    /// `--progress`
    pub(super) progress: String,
}

/// Defines the flags between `compose` and its command.
pub(super) fn global() -> Command {
    let value = |name: &'static str, short: Option<char>, kind: &'static str, help: &'static str| {
        Arg::new(name).long(name).short(short).value_name(kind).help(help)
    };
    let list = |name, short, kind, help| value(name, short, kind, help).action(ArgAction::Append);
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new(GROUP)
        .disable_help_flag(true)
        .arg(value("ansi", None, "string", "When to colour (\"never\", \"always\", \"auto\")"))
        .arg(switch("compatibility", "Name containers and images with underscores, as the first Compose did"))
        .arg(switch("dry-run", "Say what would be done, and do nothing"))
        .arg(list("env-file", None, "stringArray", "Read variables from this file in place of .env"))
        .arg(list("file", Some('f'), "stringArray", "Compose configuration files"))
        .arg(value("parallel", None, "int", "How much is done at once, -1 for no limit"))
        .arg(list("profile", None, "stringArray", "Specify a profile to enable"))
        .arg(value("progress", None, "string", "How progress is shown (auto, tty, plain, json, quiet)"))
        .arg(value(
            "project-directory",
            None,
            "string",
            "What relative paths are relative to (default: the directory of the first file)",
        ))
        .arg(value("project-name", Some('p'), "string", "Project name"))
        .arg(switch("verbose", "Show more output").hide(true))
        .arg(value("workdir", None, "string", "The old name of --project-directory").hide(true))
        .arg(
            Arg::new("version")
                .long("version")
                .short('v')
                .action(ArgAction::SetTrue)
                .help("Show the Compose version"),
        )
}

impl Globals {
    /// Reads them.
    pub(super) fn read(flags: &ArgMatches) -> Result<Self> {
        let text = |name: &str| flags.get_one::<String>(name).cloned();
        let many = |name: &str| flags.get_many::<String>(name).into_iter().flatten().cloned().collect();
        let choice = |name: &str, words: &[&str], variable: &str| -> Result<String> {
            let given = text(name).or_else(|| std::env::var(variable).ok());
            let word = given.filter(|word| !word.is_empty()).unwrap_or_else(|| "auto".to_owned());
            if !words.contains(&word.as_str()) {
                bail!("invalid value for --{name}: {word:?} is none of {}", words.join(", "));
            }
            Ok(word)
        };
        let parallel = text("parallel").or_else(|| std::env::var("COMPOSE_PARALLEL_LIMIT").ok());
        let parallel = match parallel.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => match text.parse::<i64>() {
                Ok(limit) => usize::try_from(limit).ok().filter(|limit| *limit > 0),
                Err(_) => bail!("invalid value for --parallel: {text:?} is not a number"),
            },
        };
        Ok(Self {
            asked: Asked {
                files: many("file"),
                directory: text("project-directory").or_else(|| text("workdir")),
                name: text("project-name"),
                profiles: many("profile"),
                env_files: many("env-file"),
                compatibility: flags.get_flag("compatibility")
                    || std::env::var("COMPOSE_COMPATIBILITY")
                        .is_ok_and(|word| matches!(word.to_ascii_lowercase().as_str(), "1" | "true" | "t")),
            },
            dry_run: flags.get_flag("dry-run"),
            parallel,
            ansi: choice("ansi", &["never", "always", "auto"], "COMPOSE_ANSI")?,
            progress: choice(
                "progress",
                &["auto", "tty", "plain", "json", "rawjson", "quiet"],
                "COMPOSE_PROGRESS",
            )?,
        })
    }
}

/// Adds the flag that every command of the group has.
pub(super) fn with_dry_run(command: Command) -> Command {
    command.arg(
        Arg::new("dry-run")
            .long("dry-run")
            .action(ArgAction::SetTrue)
            .help("Say what would be done, and do nothing"),
    )
}

/// Loads the project and says what there is to say of it.
pub(super) fn load(session: &Session, how: How, named: &[String]) -> Result<Loaded> {
    match load_if_any(session, how, named)? {
        Some(loaded) => Ok(loaded),
        None => Err(coded(14, "no configuration file provided: not found")),
    }
}

/// Loads the project, if there are files of it.
pub(super) fn load_if_any(session: &Session, how: How, named: &[String]) -> Result<Option<Loaded>> {
    let Globals { parallel, ansi, progress, .. } = &session.compose;
    session.debug(|| format!("compose: parallel {parallel:?}, ansi {ansi}, progress {progress}"));
    let loaded = compose::load(&session.compose.asked, how, named).map_err(|problem| {
        let is_missing = problem.0.contains(": no such file or directory");
        coded(if is_missing { 14 } else { 15 }, problem.0)
    })?;
    if let Some(loaded) = &loaded {
        loaded.warnings.iter().for_each(|warning| warn(warning));
    }
    Ok(loaded)
}

/// Warns in the form that Compose's log has.
pub(super) fn warn(text: &str) {
    if std::io::stderr().is_terminal() {
        Session::note(&format!("\u{1b}[33mWARN\u{1b}[0m[0000] {text}"));
    } else {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        Session::note(&format!(
            "time=\"{now}\" level=warning msg=\"{}\"",
            text.replace('\\', "\\\\").replace('"', "\\\"")
        ));
    }
}
