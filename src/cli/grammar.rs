//! The grammar of flags, as Docker's parser has it: it reads the words, clap holds the definitions.
//!
//! clap's own grammar differs where scripts would notice: `--rm=false`, `-itd`, repeated flags of which the
//! last counts, the words of the errors. So this reads the words by the definitions of a [`Command`] and gives
//! clap one well-formed `--flag=value` each.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::format::template::print::quote;

/// Why there is nothing to run.
#[derive(Debug)]
pub(super) enum Stop {
    /// Help was asked for.
    Help,
    /// A flag is wrong.
    Flag(String),
    /// There are too few arguments or too many.
    Count,
    /// The flag is one of Docker's that coracle does not have.
    Missing(String),
}

/// How many arguments a command takes besides its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    None,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Between(usize, usize),
}

impl Arity {
    fn allows(self, count: usize) -> bool {
        match self {
            Self::None => count == 0,
            Self::Exactly(wanted) => count == wanted,
            Self::AtLeast(least) => count >= least,
            Self::AtMost(most) => count <= most,
            Self::Between(least, most) => (least..=most).contains(&count),
        }
    }
}

/// A flag of Docker's that coracle does not have.
#[derive(Debug)]
pub(super) struct Absent {
    /// Its long name.
    pub(super) long: &'static str,
    /// Its short name.
    pub(super) short: Option<char>,
    /// Whether a value follows it.
    pub(super) takes_value: bool,
    /// Values that ask for what is the case anyway.
    pub(super) harmless: &'static [&'static str],
    /// What is missing.
    pub(super) reason: &'static str,
}

/// The rules of one command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How many arguments it takes.
    pub(super) arity: Arity,
    /// Whether flags may follow the first argument.
    pub(super) interspersed: bool,
    /// Docker's flags that it lacks.
    pub(super) absent: &'static [Absent],
}

/// Parses the words of a command by its definitions.
pub(super) fn parse(command: Command, rules: &Rules, words: &[String]) -> Result<ArgMatches, Stop> {
    let mut reader = Reader { command: &command, rules, given: BTreeMap::new(), order: 0 };
    let arguments = reader.read(words)?;
    if !rules.arity.allows(arguments.len()) {
        return Err(Stop::Count);
    }
    let mut given: Vec<_> = reader.given.into_values().flatten().collect();
    given.sort_by_key(|(order, _)| *order);
    let mut line = vec![String::new()];
    line.extend(given.into_iter().map(|(_, word)| word));
    line.push("--".to_owned());
    line.extend(arguments);
    let flags: Vec<(String, String)> =
        command.get_arguments().filter_map(|arg| Some((arg.get_long()?.to_owned(), title(arg)))).collect();
    command.try_get_matches_from(line).map_err(|error| explain(&error, &flags))
}

/// Parses the flags before a command's name, and returns them with the words from that name on.
pub(super) fn parse_global(command: Command, words: &[String]) -> Result<(ArgMatches, Vec<String>), Stop> {
    let rules = Rules { arity: Arity::AtLeast(0), interspersed: false, absent: &[] };
    let command = command.arg(Arg::new("rest").num_args(0..).trailing_var_arg(true).hide(true));
    let matches = parse(command, &rules, words)?;
    let rest = matches.get_many::<String>("rest").into_iter().flatten().cloned().collect();
    Ok((matches, rest))
}

/// Names a flag as its errors do: `-e, --env`.
fn title(arg: &Arg) -> String {
    let long = arg.get_long().unwrap_or_default();
    match arg.get_short() {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    }
}

/// Turns clap's complaint about a value into Docker's.
fn explain(error: &clap::Error, flags: &[(String, String)]) -> Stop {
    use clap::error::{ContextKind, ContextValue};
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let long = text(ContextKind::InvalidArg).trim_start_matches("--").split(' ').next().unwrap_or_default();
    let title = flags.iter().find(|flag| flag.0 == long).map_or(long, |flag| flag.1.as_str());
    let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Stop::Flag(format!(
        "invalid argument {} for \"{title}\" flag: {reason}",
        quote(text(ContextKind::InvalidValue))
    ))
}

struct Reader<'a> {
    command: &'a Command,
    rules: &'a Rules,
    /// What clap is to be given, by flag, with its place.
    given: BTreeMap<String, Vec<(usize, String)>>,
    order: usize,
}

impl Reader<'_> {
    fn read(&mut self, words: &[String]) -> Result<Vec<String>, Stop> {
        let mut arguments = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                self.long(long, &mut words)?;
            } else if word.len() > 1 && word.starts_with('-') {
                self.short(&word[1..], &mut words)?;
            } else {
                arguments.push(word.clone());
                if !self.rules.interspersed {
                    break;
                }
            }
        }
        arguments.extend(words.cloned());
        Ok(arguments)
    }

    fn long(&mut self, word: &str, words: &mut std::slice::Iter<'_, String>) -> Result<(), Stop> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(Stop::Flag(format!("bad flag syntax: --{word}")));
        }
        let known = |arg: &&Arg| {
            arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
        };
        let command = self.command;
        if let Some(arg) = command.get_arguments().find(known) {
            return match (value, is_switch(arg)) {
                (Some(value), _) => self.give(arg, value),
                (None, true) => self.give(arg, "true"),
                (None, false) => match words.next() {
                    Some(value) => self.give(arg, value),
                    None => Err(Stop::Flag(format!("flag needs an argument: --{name}"))),
                },
            };
        }
        if let Some(absent) = self.rules.absent.iter().find(|absent| absent.long == name) {
            let value =
                value.or_else(|| absent.takes_value.then(|| words.next()).flatten().map(String::as_str));
            return refuse(absent, value);
        }
        if name == "help" {
            return Err(Stop::Help);
        }
        Err(Stop::Flag(format!("unknown flag: --{name}")))
    }

    fn short(&mut self, cluster: &str, words: &mut std::slice::Iter<'_, String>) -> Result<(), Stop> {
        let command = self.command;
        let mut rest = cluster;
        while let Some(letter) = rest.chars().next() {
            let after = &rest[letter.len_utf8()..];
            let attached = after.strip_prefix('=').filter(|value| !value.is_empty());
            if let Some(arg) = command.get_arguments().find(|arg| arg.get_short() == Some(letter)) {
                match (attached, is_switch(arg)) {
                    (Some(value), _) => return self.give(arg, value),
                    (None, true) => {
                        self.give(arg, "true")?;
                        rest = after;
                    }
                    (None, false) if !after.is_empty() => return self.give(arg, after),
                    (None, false) => {
                        let missing = || Stop::Flag(format!("flag needs an argument: '{letter}' in -{rest}"));
                        return self.give(arg, words.next().ok_or_else(missing)?);
                    }
                }
            } else if let Some(absent) = self.rules.absent.iter().find(|absent| absent.short == Some(letter))
            {
                let next = || words.next().map(String::as_str);
                let value = attached.or(Some(after).filter(|after| !after.is_empty()));
                return refuse(absent, if absent.takes_value { value.or_else(next) } else { None });
            } else if letter == 'h' {
                return Err(Stop::Help);
            } else {
                return Err(Stop::Flag(format!("unknown shorthand flag: {} in -{rest}", rune(letter))));
            }
        }
        Ok(())
    }

    /// Notes a flag for clap. Of a flag that holds one value, the last word counts.
    fn give(&mut self, arg: &Arg, value: &str) -> Result<(), Stop> {
        let Some(long) = arg.get_long() else {
            return Err(Stop::Flag(format!("unknown flag: {}", arg.get_id())));
        };
        let value = if is_switch(arg) {
            let Some(on) = parse_bool(value) else {
                return Err(Stop::Flag(format!(
                    "invalid argument {0} for \"{1}\" flag: strconv.ParseBool: parsing {0}: invalid syntax",
                    quote(value),
                    title(arg)
                )));
            };
            on.to_string()
        } else {
            value.to_owned()
        };
        let word = match (arg.get_action(), value.as_str()) {
            (ArgAction::SetTrue, "true") => Some(format!("--{long}")),
            (ArgAction::SetTrue, _) => None,
            _ => Some(format!("--{long}={value}")),
        };
        let words = self.given.entry(long.to_owned()).or_default();
        if !matches!(arg.get_action(), ArgAction::Append) {
            words.clear();
        }
        self.order += 1;
        words.extend(word.map(|word| (self.order, word)));
        Ok(())
    }
}

/// Tells whether a flag needs no value: those that are on or off.
pub(super) fn is_switch(arg: &Arg) -> bool {
    match arg.get_action() {
        ArgAction::SetTrue => true,
        // One that is on unless it is said to be off.
        ArgAction::Set => arg.get_num_args().is_some_and(|range| range.min_values() == 0),
        _ => false,
    }
}

fn refuse(absent: &Absent, value: Option<&str>) -> Result<(), Stop> {
    if value.is_some_and(|value| absent.harmless.contains(&value)) {
        return Ok(());
    }
    if absent.takes_value && value.is_none() {
        return Err(Stop::Flag(format!("flag needs an argument: --{}", absent.long)));
    }
    Err(Stop::Missing(format!("--{} is not supported yet: {}", absent.long, absent.reason)))
}

/// Reads a truth value as Go's `strconv.ParseBool` does.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn rune(letter: char) -> String {
    if letter == '\'' { "'\\''".to_owned() } else { format!("'{letter}'") }
}

/// Reads a whole number as Go's `strconv.ParseInt` does, with its words where it is none.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b" | "0B") => (&digits[2..], 2),
        Some("0o" | "0O") => (&digits[2..], 8),
        _ if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    let bad = |what| format!("strconv.ParseInt: parsing {}: {what}", quote(text));
    let plain = digits.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let signed = if negative { format!("-{digits}") } else { digits.to_owned() };
    match i64::from_str_radix(&signed, radix) {
        Ok(value) if plain => Ok(value),
        Err(error)
            if matches!(
                error.kind(),
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow
            ) =>
        {
            Err(bad("value out of range"))
        }
        _ => Err(bad("invalid syntax")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: &[Absent] = &[
        Absent { long: "memory", short: Some('m'), takes_value: true, harmless: &["0"], reason: "no limits" },
        Absent {
            long: "publish-all",
            short: Some('P'),
            takes_value: false,
            harmless: &[],
            reason: "no ports",
        },
    ];

    fn command() -> Command {
        let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        Command::new("run")
            .disable_help_flag(true)
            .arg(switch("interactive").short('i'))
            .arg(switch("tty").short('t'))
            .arg(switch("rm"))
            .arg(
                Arg::new("sig-proxy")
                    .long("sig-proxy")
                    .num_args(0..=1)
                    .default_value("true")
                    .default_missing_value("true")
                    .value_parser(clap::value_parser!(bool)),
            )
            .arg(Arg::new("env").long("env").short('e').action(ArgAction::Append))
            .arg(Arg::new("name").long("name"))
            .arg(Arg::new("network").long("network").alias("net"))
            .arg(Arg::new("number").long("number").short('n').value_parser(integer))
            .arg(Arg::new("words").num_args(0..).trailing_var_arg(true))
    }

    fn read(line: &str) -> Result<ArgMatches, Stop> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let rules = Rules { arity: Arity::AtLeast(1), interspersed: false, absent: ABSENT };
        parse(command(), &rules, &words)
    }

    fn many(matches: &ArgMatches, name: &str) -> Vec<String> {
        matches.get_many::<String>(name).into_iter().flatten().cloned().collect()
    }

    fn wrong(line: &str) -> String {
        match read(line) {
            Err(Stop::Flag(message) | Stop::Missing(message)) => message,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn reads_flags_as_docker_does() {
        let matches =
            read("-it -e=A=1 -eB=2 -e C=3 --env=D --name x --name y --net host img -x --rm").unwrap();
        assert!(matches.get_flag("interactive") && matches.get_flag("tty") && !matches.get_flag("rm"));
        assert_eq!(many(&matches, "env"), ["A=1", "B=2", "C=3", "D"]);
        assert_eq!(many(&matches, "name"), ["y"]);
        assert_eq!(many(&matches, "network"), ["host"]);
        assert_eq!(many(&matches, "words"), ["img", "-x", "--rm"]);
        let matches = read("--rm --rm=false -i=0 --sig-proxy=false -ite K -- -img").unwrap();
        assert!(!matches.get_flag("rm") && matches.get_flag("interactive"));
        assert!(!matches.get_one::<bool>("sig-proxy").unwrap());
        assert_eq!(many(&matches, "env"), ["K"]);
        assert_eq!(many(&matches, "words"), ["-img"]);
        let matches = read("--name= -e -x --memory 0 -n -3 img").unwrap();
        assert_eq!(many(&matches, "name"), [""]);
        assert_eq!(many(&matches, "env"), ["-x"]);
        assert_eq!(matches.get_one::<i64>("number"), Some(&-3));
    }

    #[test]
    fn complains_in_dockers_words() {
        assert_eq!(wrong("--foo=1 img"), "unknown flag: --foo");
        assert_eq!(wrong("-iZt img"), "unknown shorthand flag: 'Z' in -Zt");
        assert_eq!(wrong("-it -e"), "flag needs an argument: 'e' in -e");
        assert_eq!(wrong("--env"), "flag needs an argument: --env");
        assert_eq!(wrong("--=x img"), "bad flag syntax: --=x");
        assert_eq!(
            wrong("-i=maybe img"),
            "invalid argument \"maybe\" for \"-i, --interactive\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"
        );
        assert_eq!(
            wrong("-n x img"),
            "invalid argument \"x\" for \"-n, --number\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"
        );
        assert_eq!(wrong("-m 5m img"), "--memory is not supported yet: no limits");
        assert_eq!(wrong("-m5m img"), "--memory is not supported yet: no limits");
        assert_eq!(wrong("-itP img"), "--publish-all is not supported yet: no ports");
    }

    #[test]
    fn counts_arguments_and_offers_help() {
        assert!(matches!(read("--rm"), Err(Stop::Count)));
        assert!(matches!(read("--rm --help"), Err(Stop::Help)));
        assert!(matches!(read("-h"), Err(Stop::Help)));
        assert!(read("img --help").is_ok());
    }
}
