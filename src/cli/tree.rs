//! All commands, and how they are called.

use anyhow::Result;
use clap::{ArgMatches, Command};

use super::grammar::Rules;
use super::session::Session;

/// One command. Its definitions are built only when it is called.
#[derive(Debug)]
pub(super) struct Spec {
    /// The words that call it, the usual ones first: `container run`, `run`.
    pub(super) paths: &'static [&'static str],
    /// What it does.
    pub(super) about: &'static str,
    /// What follows its name.
    pub(super) usage: &'static str,
    /// The grammar of its words.
    pub(super) rules: Rules,
    /// Adds its flags and arguments to a command.
    pub(super) define: fn(Command) -> Command,
    /// Does it, and returns the exit code.
    pub(super) run: fn(&ArgMatches, &Session) -> Result<u8>,
}

impl Spec {
    /// Returns the words a call is known by: of several in the same place, the first.
    pub(super) fn shown(&self, path: &str) -> &'static str {
        let parent = parent(path);
        self.paths.iter().copied().find(|other| self::parent(other) == parent).unwrap_or(self.paths[0])
    }

    /// Builds its definitions.
    pub(super) fn command(&self) -> Command {
        let command = Command::new(self.paths[0]).disable_help_flag(true);
        (self.define)(command).about(self.about).long_about(None::<&str>)
    }
}

/// A command that only holds others.
#[derive(Debug)]
pub(super) struct Group {
    /// The words that call it: a group can lie in another one.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

/// The groups.
pub(super) const GROUPS: &[Group] = &[
    Group { name: "builder", about: "Manage builds" },
    Group { name: "buildx", about: "Work on images of several platforms" },
    Group { name: "buildx imagetools", about: "Commands to work on images in registry" },
    Group { name: "compose", about: "Define and run multi-container applications" },
    Group { name: "container", about: "Manage containers" },
    Group { name: "context", about: "Manage contexts" },
    Group { name: "image", about: "Manage images" },
    Group { name: "manifest", about: "Manage Docker image manifests and manifest lists" },
    Group { name: "network", about: "Manage networks" },
    Group { name: "volume", about: "Manage volumes" },
    Group { name: "system", about: "Show what there is and what can be had" },
];

/// The commands that help names first, in this order.
pub(super) const COMMON: &[&str] =
    &["run", "exec", "ps", "build", "pull", "push", "images", "login", "logout", "search", "version", "info"];

/// Every command.
pub(super) const COMMANDS: &[&Spec] = &[
    &super::attach::SPEC,
    &super::bake::SPEC,
    &super::build::SPEC,
    &super::buildx::CREATE,
    &super::buildx::INSPECT,
    &super::buildx::LS,
    &super::buildx::RM,
    &super::buildx::STOP,
    &super::buildx::USE,
    &super::buildx::VERSION,
    &super::check::SPEC,
    &super::commit::SPEC,
    &super::compose::build::SPEC,
    &super::compose::config::SPEC,
    &super::compose::down::KILL,
    &super::compose::down::PAUSE,
    &super::compose::down::RESTART,
    &super::compose::down::RM,
    &super::compose::down::SPEC,
    &super::compose::down::START,
    &super::compose::down::STOP,
    &super::compose::down::UNPAUSE,
    &super::compose::logs::SPEC,
    &super::compose::pass::ATTACH,
    &super::compose::pass::COMMIT,
    &super::compose::pass::CP,
    &super::compose::pass::EVENTS,
    &super::compose::pass::EXEC,
    &super::compose::pass::EXPORT,
    &super::compose::pass::PORT,
    &super::compose::pass::STATS,
    &super::compose::pass::TOP,
    &super::compose::pass::VOLUMES,
    &super::compose::pass::WAIT,
    &super::compose::ps::IMAGES,
    &super::compose::ps::LS,
    &super::compose::ps::SPEC,
    &super::compose::pull::PUSH,
    &super::compose::pull::SPEC,
    &super::compose::run::SPEC,
    &super::compose::up::CREATE,
    &super::compose::up::SCALE,
    &super::compose::up::SPEC,
    &super::compose::version::SPEC,
    &super::compose::watch::SPEC,
    &super::container_prune::SPEC,
    &super::cp::SPEC,
    &super::context::CREATE,
    &super::context::EXPORT,
    &super::context::IMPORT,
    &super::context::INSPECT,
    &super::context::LS,
    &super::context::RM,
    &super::context::SHOW,
    &super::context::UPDATE,
    &super::context::USE,
    &super::create::SPEC,
    &super::df::SPEC,
    &super::diff::SPEC,
    &super::events::SPEC,
    &super::exec::SPEC,
    &super::export::SPEC,
    &super::history::SPEC,
    &super::images::SPEC,
    &super::images::TREE,
    &super::imagetools::CREATE,
    &super::imagetools::INSPECT,
    &super::import::SPEC,
    &super::info::SPEC,
    &super::inspect::SPEC,
    &super::inspect::CONTAINER,
    &super::inspect::IMAGE,
    &super::kill::SPEC,
    &super::load::SPEC,
    &super::login::LOGIN,
    &super::login::LOGOUT,
    &super::logs::SPEC,
    &super::builder_prune::SPEC,
    &super::du::SPEC,
    &super::prune::IMAGE,
    &super::inspect::NETWORK,
    &super::network::connect::SPEC,
    &super::network::connect::DISCONNECT,
    &super::network::create::SPEC,
    &super::network::ls::SPEC,
    &super::network::prune::SPEC,
    &super::network::rm::SPEC,
    &super::pause::PAUSE,
    &super::pause::UNPAUSE,
    &super::port::SPEC,
    &super::manifest::ANNOTATE,
    &super::manifest::CREATE,
    &super::manifest::INSPECT,
    &super::manifest::PUSH,
    &super::manifest::RM,
    &super::ps::SPEC,
    &super::pull::SPEC,
    &super::push::SPEC,
    &super::rename::SPEC,
    &super::restart::SPEC,
    &super::restore::SPEC,
    &super::rm::SPEC,
    &super::rmi::SPEC,
    &super::run::SPEC,
    &super::search::SPEC,
    &super::save::SPEC,
    &super::start::SPEC,
    &super::stats::SPEC,
    &super::stop::SPEC,
    &super::system_prune::SPEC,
    &super::tag::SPEC,
    &super::top::SPEC,
    &super::update::SPEC,
    &super::version::SPEC,
    &super::volume::CREATE,
    &super::volume::INSPECT,
    &super::volume::LS,
    &super::volume::PRUNE,
    &super::volume::RM,
    &super::wait::SPEC,
];

/// Returns the group a path lies in; nothing at the top.
fn parent(path: &str) -> Option<&str> {
    path.rsplit_once(' ').map(|(group, _)| group)
}

/// Finds the group called by a path.
pub(super) fn find_group(path: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.name == path)
}

/// Returns the groups in a group, or at the top: their last words.
pub(super) fn groups(of: Option<&str>) -> impl Iterator<Item = (&'static str, &'static Group)> {
    let inside = GROUPS.iter().filter(move |group| parent(group.name) == of);
    inside.map(|group| (group.name.rsplit(' ').next().unwrap_or(group.name), group))
}

/// Finds the command called by a path.
pub(super) fn find(path: &str) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| spec.paths.contains(&path)).copied()
}

/// Returns what stands in a group, or at the top: the last words of the usual paths, sorted.
pub(super) fn members(group: Option<&str>) -> Vec<(&'static str, &'static Spec)> {
    let mut found: Vec<(&'static str, &'static Spec)> = Vec::new();
    for spec in COMMANDS {
        if let Some(path) = spec.paths.iter().find(|path| parent(path) == group) {
            found.push((path.rsplit(' ').next().unwrap_or(path), spec));
        }
    }
    found.sort_by_key(|(name, _)| *name);
    found
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_command_is_well_defined() {
        let mut paths = HashSet::new();
        for spec in COMMANDS {
            assert!(spec.paths.iter().all(|path| paths.insert(*path)), "{:?}", spec.paths);
            assert!(
                spec.paths
                    .iter()
                    .filter_map(|path| parent(path))
                    .all(|group| GROUPS.iter().any(|known| known.name == group))
            );
            let command = spec.command();
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some() || arg.is_positional(), "{:?} {arg}", spec.paths);
            }
            for absent in spec.rules.absent {
                let known = command.get_arguments().any(|arg| {
                    arg.get_long() == Some(absent.long)
                        || absent.short.is_some() && arg.get_short() == absent.short
                });
                assert!(!known, "{:?} --{}", spec.paths, absent.long);
            }
            command.debug_assert();
        }
        assert!(COMMON.iter().all(|name| find(name).is_some()));
    }

    #[test]
    fn knows_paths_by_their_usual_words() {
        let ps = find("container ps").unwrap();
        assert_eq!(ps.shown("container ps"), "container ls");
        assert_eq!(ps.shown("ps"), "ps");
        let names: Vec<_> = members(Some("image")).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "build", "history", "import", "inspect", "load", "ls", "prune", "pull", "push", "rm", "save",
                "tag", "tree"
            ]
        );
    }
}
