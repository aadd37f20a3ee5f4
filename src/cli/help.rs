//! Help, laid out as Docker's.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::grammar::is_switch;
use super::tree::{COMMON, Group, Spec, groups, members};

/// How this program is called, and how wide the terminal is.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// `coracle`, or the name of the link: `docker`.
    pub(super) program: &'static str,
    /// Columns.
    pub(super) width: usize,
}

impl Style {
    /// Writes the usage line of a command, as errors show it.
    pub(super) fn usage(&self, spec: &Spec, path: &str) -> String {
        let call = format!("{} {}", self.program, spec.shown(path));
        // Some can be called in two ways.
        let ways = spec.usage.replace('\n', &format!("\n\t{call} "));
        format!("Usage:  {call} {ways}").trim_end().to_owned()
    }

    /// Writes the help of a command.
    pub(super) fn command(&self, spec: &Spec, path: &str) -> String {
        let mut out = format!("{}\n\n{}\n", self.usage(spec, path), spec.about);
        if spec.paths.len() > 1 {
            let calls: Vec<String> =
                spec.paths.iter().map(|path| format!("{} {path}", self.program)).collect();
            let _ = write!(out, "\nAliases:\n  {}\n", calls.join(", "));
        }
        let flags = self.flags(&spec.command());
        if !flags.is_empty() {
            let _ = write!(out, "\nOptions:\n{flags}");
        }
        out
    }

    /// Writes the help of a group.
    pub(super) fn group(&self, group: &Group) -> String {
        let program = self.program;
        let mut out = format!("Usage:  {program} {} COMMAND\n\n{}\n\nCommands:\n", group.name, group.about);
        let mut lines: Vec<(&str, &str)> =
            members(Some(group.name)).into_iter().map(|(name, spec)| (name, spec.about)).collect();
        lines.extend(groups(Some(group.name)).map(|(name, inner)| (name, inner.about)));
        lines.sort_unstable();
        for (name, about) in lines {
            let _ = writeln!(out, "  {name:<10}  {about}");
        }
        let _ = write!(
            out,
            "\nRun '{program} {} COMMAND --help' for more information on a command.\n",
            group.name
        );
        out
    }

    /// Writes the help of `compose`: a group whose own flags stand before its commands.
    pub(super) fn compose(&self) -> String {
        let program = self.program;
        let about = "Define and run multi-container applications";
        let mut out = format!("Usage:  {program} compose [OPTIONS] COMMAND\n\n{about}\n\nOptions:\n");
        out.push_str(&self.flags(&super::compose::global()));
        out.push_str("\nCommands:\n");
        for (name, spec) in members(Some(super::compose::GROUP)) {
            let _ = writeln!(out, "  {name:<10}  {}", spec.about);
        }
        let _ = write!(out, "\nRun '{program} compose COMMAND --help' for more information on a command.\n");
        out
    }

    /// Writes the help of the whole program.
    pub(super) fn program(&self, global: &Command, about: &str) -> String {
        let program = self.program;
        let mut out = format!("Usage:  {program} [OPTIONS] COMMAND\n\n{about}\n\nCommon Commands:\n");
        let all = members(None);
        for common in COMMON {
            for (name, spec) in all.iter().filter(|(name, _)| name == common) {
                let _ = writeln!(out, "  {name:<10}  {}", spec.about);
            }
        }
        out.push_str("\nManagement Commands:\n");
        for (name, group) in groups(None) {
            let _ = writeln!(out, "  {name:<10}  {}", group.about);
        }
        out.push_str("\nCommands:\n");
        for (name, spec) in all.iter().filter(|(name, _)| !COMMON.contains(name)) {
            let _ = writeln!(out, "  {name:<10}  {}", spec.about);
        }
        let _ = write!(out, "\nGlobal Options:\n{}", self.flags(global));
        let _ = write!(out, "\nRun '{program} COMMAND --help' for more information on a command.\n");
        out
    }

    /// Lays out flags as Docker's flag library does.
    fn flags(&self, command: &Command) -> String {
        let mut flags: Vec<(String, String, String)> = command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set())
            .filter_map(|arg| Some((arg.get_long()?.to_owned(), left(arg), right(arg))))
            .collect();
        // `-h` means help unless it means something else; then it is worth telling.
        if command.get_arguments().any(|arg| arg.get_short() == Some('h')) {
            flags.push(("help".to_owned(), "      --help".to_owned(), "Print usage".to_owned()));
        }
        flags.sort();
        let widest = flags.iter().map(|(_, left, _)| left.chars().count()).max().unwrap_or(0);
        let mut out = String::new();
        for (_, left, right) in flags {
            let wrapped = wrap(widest + 3, self.width.saturating_sub(1), &right);
            let _ = writeln!(out, "{left:<widest$}   {wrapped}");
        }
        out
    }
}

fn left(arg: &Arg) -> String {
    let long = arg.get_long().unwrap_or_default();
    let mut text = match arg.get_short() {
        Some(short) => format!("  -{short}, --{long}"),
        None => format!("      --{long}"),
    };
    if !is_switch(arg) {
        let _ = write!(text, " {}", kind(arg));
    }
    text
}

/// Returns the word for what a flag takes.
fn kind(arg: &Arg) -> &str {
    arg.get_value_names().and_then(|names| names.first()).map_or("string", |name| name.as_str())
}

fn right(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if let Some(default) = arg.get_default_values().first().map(|value| value.to_string_lossy())
        && !default.is_empty()
    {
        let quote = if kind(arg) == "string" && !is_switch(arg) { "\"" } else { "" };
        let _ = write!(text, " (default {quote}{default}{quote})");
    }
    text
}

/// Wraps a text at `width`, each line after the first indented.
fn wrap(indent: usize, width: usize, text: &str) -> String {
    let room = width.saturating_sub(indent);
    if room < 24 {
        return text.to_owned();
    }
    // A last word may stand out a little, rather than alone.
    let slop = 5;
    let mut out = String::new();
    for (index, paragraph) in text.lines().enumerate() {
        if index > 0 {
            let _ = write!(out, "\n{:indent$}", "");
        }
        let mut rest = paragraph;
        while rest.chars().count() > room {
            let limit = rest.char_indices().nth(room - slop).map_or(rest.len(), |(at, _)| at);
            let Some(cut) = rest[..limit].rfind(' ').filter(|cut| *cut > 0) else { break };
            let _ = write!(out, "{}\n{:indent$}", &rest[..cut], "");
            rest = &rest[cut + 1..];
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tree::{find, find_group};

    const STYLE: Style = Style { program: "docker", width: 80 };

    #[test]
    fn lays_out_a_command() {
        let help = STYLE.command(find("stop").unwrap(), "stop");
        let start = "Usage:  docker stop [OPTIONS] CONTAINER [CONTAINER...]\n\nStop one or more running containers\n\n\
                     Aliases:\n  docker container stop, docker stop\n\nOptions:\n  -s, --signal string   ";
        assert!(help.starts_with(start), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        let help = STYLE.command(find("container ps").unwrap(), "container ps");
        assert!(help.starts_with("Usage:  docker container ls [OPTIONS]\n"), "{help}");
    }

    #[test]
    fn lays_out_a_group() {
        let help = STYLE.group(find_group("image").unwrap());
        assert!(
            help.starts_with("Usage:  docker image COMMAND\n\nManage images\n\nCommands:\n  build       "),
            "{help}"
        );
    }

    #[test]
    fn wraps_long_texts() {
        let text = "one two three four five six seven eight nine ten eleven twelve";
        assert_eq!(wrap(4, 40, text), "one two three four five six\n    seven eight nine ten eleven twelve");
        assert_eq!(wrap(60, 80, text), text);
    }
}
