//! Words in, words out: one file a command.
//!
//! ```text
//! words ─grammar→ flags ─a command's file→ request → the verbs of `container` and `image`
//!                                outcome ─format→ text        error ─report→ words, exit code
//! ```
//!
//! Only the command that is called has its definitions built ([`tree::Spec`]); help ([`help`]), man pages and
//! completions ([`generate`]) are written from the same definitions.

mod access;
mod attach;
mod bake;
mod build;
mod builder_prune;
mod buildx;
mod check;
mod commit;
mod compose;
mod container_prune;
mod context;
mod cp;
mod create;
mod destination;
mod df;
mod diff;
mod du;
mod events;
mod exec;
mod export;
mod filter;
mod format;
mod generate;
mod grammar;
mod help;
mod history;
mod image_tree;
mod images;
mod imagetools;
mod import;
mod info;
mod inspect;
mod kill;
mod load;
mod login;
mod logout;
mod logs;
mod manifest;
mod network;
mod pattern;
mod pause;
mod port;
mod progress;
mod prune;
mod ps;
mod pull;
mod push;
mod rename;
mod report;
mod request;
mod restart;
mod restore;
mod rm;
mod rmi;
mod run;
mod save;
mod search;
mod session;
mod start;
mod stats;
mod stop;
mod system_prune;
mod tag;
mod top;
mod transfer;
mod tree;
mod update;
mod verbs;
mod version;
mod volume;
mod wait;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

use self::grammar::Stop;
use self::help::Style;
use self::report::Words;
use self::session::Session;

/// What the program is, in a line.
const ABOUT: &str = "Containers for one user: no daemon, no root, one static file";

pub use pull::ROLE as FETCH_ROLE;

/// The entry point of the role that fetches images for `run` and `create`: what stands after its name.
pub fn fetch(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = words.filter_map(|word| word.into_string().ok()).collect();
    pull::role(&words)
}

/// Runs the command line and returns the exit code.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let mut words = words;
    let program = words.next().unwrap_or_default();
    let alone = Path::new(&program).file_name().is_some_and(|name| name == "docker-compose");
    let words = alone.then(|| OsString::from(compose::GROUP)).into_iter().chain(words);
    let style = Style { program: name(Path::new(&program)), width: width() };
    let words: Result<Vec<String>, OsString> = words.map(OsString::into_string).collect();
    let answer = match words {
        Ok(words) => answer(&words, &style),
        Err(word) => {
            Words { text: format!("{}: {:?} is not UTF-8", style.program, word.to_string_lossy()), code: 125 }
        }
    };
    say(&answer);
    ExitCode::from(answer.code)
}

/// Says the program's name: that of a link to it, if it is Docker's.
fn name(program: &Path) -> &'static str {
    let docker = program.file_name().is_some_and(|name| name == "docker" || name == "docker-compose");
    if docker { "docker" } else { "coracle" }
}

fn width() -> usize {
    let window = rustix::termios::tcgetwinsize(rustix::stdio::stdin());
    window.ok().map(|window| usize::from(window.ws_col)).filter(|width| *width > 0).unwrap_or(80)
}

/// Writes what is left to say: help to standard output, errors to standard error.
fn say(words: &Words) {
    if words.text.is_empty() {
        return;
    }
    let text = words.text.trim_end_matches('\n');
    let _ = if words.code == 0 {
        writeln!(std::io::stdout(), "{text}")
    } else {
        writeln!(std::io::stderr(), "{text}")
    };
}

/// Returns the flags that stand before a command.
fn global() -> Command {
    let switch = |name: &'static str, short: Option<char>, help: &'static str| {
        Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
    };
    let value = |name: &'static str, short: Option<char>, kind: &'static str, help: &'static str| {
        Arg::new(name).long(name).short(short).value_name(kind).help(help)
    };
    Command::new("coracle")
        .about(ABOUT)
        .disable_help_flag(true)
        .arg(value("config", None, "string", "Directory of Docker's config.json"))
        .arg(
            value("context", Some('c'), "string", "Only \"default\": there is no daemon to choose")
                .hide(true),
        )
        .arg(switch("debug", Some('D'), "Say on standard error what is being done"))
        .arg(
            value("host", Some('H'), "list", "Refused: there is no daemon to connect to")
                .action(ArgAction::Append)
                .hide(true),
        )
        .arg(value("log-level", Some('l'), "string", "\"debug\" is --debug; other levels change nothing"))
        .arg(switch("version", Some('v'), "Print version information and quit"))
}

fn answer(words: &[String], style: &Style) -> Words {
    let program = style.program;
    let (flags, rest) = match grammar::parse_global(global(), words) {
        Ok(parsed) => parsed,
        Err(Stop::Flag(message) | Stop::Missing(message)) => {
            let usage = format!("Usage:  {program} [OPTIONS] COMMAND [ARG...]");
            let text = format!("{message}\n\n{usage}\n\nRun '{program} --help' for more information");
            return Words { text, code: 125 };
        }
        Err(Stop::Help | Stop::Count) => {
            return Words { text: style.program(&global(), ABOUT), code: 0 };
        }
    };
    let text = |name: &str| flags.get_one::<String>(name).map(String::as_str);
    if flags.get_flag("version") {
        return Words { text: version::line(style), code: 0 };
    }
    if flags.contains_id("host") || text("context").is_some_and(|context| context != "default") {
        let text = format!(
            "{program}: there is no daemon to connect to: {program} does the work itself, as this user\n\
             hint: leave out --host and --context"
        );
        return Words { text, code: 1 };
    }
    let level = text("log-level");
    if let Some(level) = level
        && !matches!(level, "debug" | "info" | "warn" | "error" | "fatal")
    {
        return Words { text: format!("Unable to parse logging level: {level}"), code: 1 };
    }
    let debug = flags.get_flag("debug") || level == Some("debug");
    let config = text("config").map(PathBuf::from);
    dispatch(&rest, style, debug, config)
}

fn dispatch(rest: &[String], style: &Style, debug: bool, config: Option<PathBuf>) -> Words {
    let program = style.program;
    let Some(first) = rest.first() else {
        return Words { text: style.program(&global(), ABOUT), code: 0 };
    };
    let mut path = first.clone();
    let mut words = &rest[1..];
    if first == "help" {
        return help_on(words, style);
    }
    if first == generate::ROLE {
        return generate::main(words);
    }
    let mut globals = compose::Globals::default();
    let own_words;
    if first == compose::GROUP {
        let (flags, after) = match grammar::parse_global(compose::global(), words) {
            Ok(parsed) => parsed,
            Err(Stop::Flag(message) | Stop::Missing(message)) => {
                let text = format!(
                    "{message}\n\nUsage:  {program} compose [OPTIONS] COMMAND\n\n\
                     Run '{program} compose --help' for more information"
                );
                return Words { text, code: 16 };
            }
            Err(Stop::Help | Stop::Count) => return Words { text: style.compose(), code: 0 },
        };
        if flags.get_flag("version") {
            return Words { text: compose::version::line(), code: 0 };
        }
        globals = match compose::Globals::read(&flags) {
            Ok(globals) => globals,
            Err(error) => return Words { text: format!("{error:#}"), code: 1 },
        };
        own_words = after;
        words = &own_words;
        match words {
            [] => return Words { text: style.compose(), code: 0 },
            [help, rest @ ..] if help == "help" => {
                let topic = [&[compose::GROUP.to_owned()], rest].concat();
                return help_on(&topic, style);
            }
            _ => {}
        }
    }
    while let Some(group) = tree::find_group(&path) {
        match words.first() {
            None => return Words { text: style.group(group), code: 0 },
            Some(word) if word == "--help" || word == "-h" => {
                return Words { text: style.group(group), code: 0 };
            }
            Some(word) if word.starts_with('-') => {
                let ask = format!("Run '{program} {path} --help' for more information");
                let text = format!("unknown flag: {word}\n\nUsage:  {program} {path} COMMAND\n\n{ask}");
                return Words { text, code: 125 };
            }
            Some(word) => {
                path = format!("{path} {word}");
                words = &words[1..];
            }
        }
    }
    let Some(spec) = tree::find(&path) else {
        // Docker shows its own help for a command that it does not have.
        if !path.contains(' ') && words.iter().any(|word| word == "--help" || word == "-h") {
            return Words { text: style.program(&global(), ABOUT), code: 0 };
        }
        return unknown(&path, style);
    };
    let matches = match grammar::parse(spec.command(), &spec.rules, words) {
        Ok(matches) => matches,
        Err(stop) => return report::stopped(stop, spec, &path, style),
    };
    let mut session = Session::new(path, debug, config);
    if first == compose::GROUP {
        globals.dry_run |= matches.get_flag("dry-run");
        session.compose = globals;
    }
    match (spec.run)(&matches, &session) {
        Ok(code) => Words { text: String::new(), code },
        Err(error) => report::failed(&error, spec, &session.path, style),
    }
}

/// The commands of Docker that need several machines.
const SWARM: [&str; 6] = ["swarm", "node", "service", "stack", "secret", "config"];

/// The other commands of Docker that have nothing to work on here, and why.
const MISSING: [(&str, &str); 4] = [
    ("volume update", "it is for volumes of a swarm, and there is one machine here"),
    ("plugin", "there is no daemon to load plugins; volumes and networks have the drivers that are built in"),
    (
        "trust",
        "signatures of this kind were given up with their servers; pull by digest to get what you know",
    ),
    ("checkpoint", "the kernel lets none but root save and restore a process"),
];

/// Answers `help COMMAND`.
fn help_on(words: &[String], style: &Style) -> Words {
    let path = words.join(" ");
    let text = if path.is_empty() {
        style.program(&global(), ABOUT)
    } else if path == compose::GROUP {
        style.compose()
    } else if let Some(spec) = tree::find(&path) {
        style.command(spec, &path)
    } else if let Some(group) = tree::find_group(&path) {
        style.group(group)
    } else {
        let text = format!("unknown help topic: {path}");
        return Words { text, code: 1 };
    };
    Words { text, code: 0 }
}

fn unknown(path: &str, style: &Style) -> Words {
    let program = style.program;
    if SWARM.contains(&path) {
        let text = format!(
            "{program} {path} is not supported: there is no swarm, but one machine\n\
             hint: for several services on this machine, use compose; for several machines, use Kubernetes"
        );
        return Words { text, code: 1 };
    }
    let missing = MISSING.iter().find(|(command, _)| path == *command);
    if let Some((command, why)) = missing {
        return Words { text: format!("{program} {command} is not supported: {why}"), code: 1 };
    }
    let text = match path.rsplit_once(' ') {
        Some((group, _)) => {
            // Docker says what follows of this one group only.
            let command = if group == "volume" { " COMMAND" } else { "" };
            format!(
                "{program}: unknown command: {program} {path}\n\nUsage:  {program} {group}{command}\n\n\
             Run '{program} {group} --help' for more information"
            )
        }
        None => format!(
            "{program}: unknown command: {program} {path}\n\nRun '{program} --help' for more information"
        ),
    };
    Words { text, code: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { program: "docker", width: 80 };

    fn say(line: &str) -> (String, u8) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let words = answer(&words, &STYLE);
        (words.text, words.code)
    }

    #[test]
    fn answers_without_a_command() {
        let (help, code) = say("");
        assert_eq!(code, 0);
        assert!(help.starts_with("Usage:  docker [OPTIONS] COMMAND\n"), "{help}");
        assert!(
            help.contains("\nCommon Commands:\n  run         Create and run a new container from an image\n")
        );
        assert_eq!(say("--help"), (help.clone(), 0));
        assert_eq!(say("help"), (help, 0));
        assert!(say("help ps").0.starts_with("Usage:  docker ps [OPTIONS]\n"));
    }

    #[test]
    fn complains_in_dockers_words() {
        let text = "docker: unknown command: docker foo\n\nRun 'docker --help' for more information";
        assert_eq!(say("foo"), (text.to_owned(), 1));
        let (text, code) = say("service ls");
        assert!(
            code == 1 && text.starts_with("docker service is not supported: there is no swarm"),
            "{text}"
        );
        let text = "docker: unknown command: docker container foo\n\nUsage:  docker container\n\n\
                    Run 'docker container --help' for more information";
        assert_eq!(say("container foo"), (text.to_owned(), 1));
        let text = "unknown flag: --foo\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\n\
                    Run 'docker --help' for more information";
        assert_eq!(say("--foo ps"), (text.to_owned(), 125));
        assert_eq!(say("-l loud ps"), ("Unable to parse logging level: loud".to_owned(), 1));
        let (text, code) = say("-H tcp://x ps");
        assert!(code == 1 && text.contains("no daemon"), "{text}");
    }
}
