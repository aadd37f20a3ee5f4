//! Lines as instructions: each keyword with its flags and arguments checked, in BuildKit's words.

use super::fault::{Fault, suggestion};
use super::flag::{Flags, Takes};
use super::instruction::{Argument, Command, Copy, Health, Instruction, Kind, Run, Stage};
use super::line::{Document, Line};
use super::{mount, words};
use crate::build::lint::{Lint, rule};
use crate::oci;

/// All keywords.
const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// What a line turned out to be.
pub(super) enum Read {
    Stage(Stage),
    Instruction(Instruction),
}

/// Reads a line.
pub(super) fn read(line: &Line, lint: &Lint) -> Result<Read, Fault> {
    let upper = line.keyword.to_ascii_uppercase();
    if upper == "FROM" {
        return from(line, lint).map(Read::Stage).map_err(|fault| fault.at(line.lines));
    }
    let kind = kind(&upper, line, lint).map_err(|fault| fault.at(line.lines))?;
    Ok(Read::Instruction(Instruction {
        keyword: line.keyword.clone(),
        original: line.original.clone(),
        lines: line.lines,
        comments: line.comments.clone(),
        kind,
    }))
}

fn kind(upper: &str, line: &Line, lint: &Lint) -> Result<Kind, Fault> {
    let words = &line.arguments.words;
    let pairs = || -> Result<_, Fault> {
        none(line)?;
        if line.arguments.pairs.is_empty() {
            return Err(at_least_one(upper));
        }
        if line.arguments.pairs.iter().any(|pair| pair.key.is_empty()) {
            return Err(Fault::new(format!("{upper} names can not be blank")));
        }
        Ok(line.arguments.pairs.clone())
    };
    let one = || -> Result<String, Fault> {
        match words.as_slice() {
            [word] => none(line).map(|()| word.clone()),
            _ => Err(Fault::new(format!("{upper} requires exactly one argument"))),
        }
    };
    Ok(match upper {
        "ADD" => Kind::Copy(Box::new(copy(line, true)?)),
        "COPY" => Kind::Copy(Box::new(copy(line, false)?)),
        "RUN" => Kind::Run(Box::new(run(line)?)),
        "ENV" => Kind::Env(pairs()?),
        "LABEL" => Kind::Label(pairs()?),
        "MAINTAINER" => {
            lint.note(rule::MAINTAINER_DEPRECATED, line.lines, &line.comments, || {
                "Maintainer instruction is deprecated in favor of using label".to_owned()
            });
            Kind::Maintainer(one()?)
        }
        "ARG" => Kind::Arg(arg(line, lint)?),
        "CMD" | "ENTRYPOINT" => {
            none(line)?;
            let command = Command { words: words.clone(), shell: !line.arguments.json };
            if upper == "CMD" { Kind::Cmd(command) } else { Kind::Entrypoint(command) }
        }
        "HEALTHCHECK" => Kind::Healthcheck(healthcheck(line)?),
        "EXPOSE" => {
            some(upper, words)?;
            none(line)?;
            let mut ports = words.clone();
            ports.sort();
            Kind::Expose(ports)
        }
        "VOLUME" => {
            some(upper, words)?;
            none(line)?;
            let paths: Vec<String> = words.iter().map(|path| path.trim().to_owned()).collect();
            if paths.iter().any(String::is_empty) {
                return Err(Fault::new("VOLUME specified can not be an empty string"));
            }
            Kind::Volume(paths)
        }
        "SHELL" => {
            none(line)?;
            some(upper, words)?;
            if !line.arguments.json {
                return Err(Fault::new("SHELL requires the arguments to be in JSON form"));
            }
            Kind::Shell(words.clone())
        }
        "USER" => Kind::User(one()?),
        "STOPSIGNAL" => Kind::StopSignal(one()?),
        "WORKDIR" => Kind::Workdir(one()?),
        "ONBUILD" => Kind::OnBuild(onbuild(line)?),
        _ => {
            let guess = suggestion(&line.keyword, KEYWORDS.iter().copied(), false);
            let fault = Fault::new(format!("unknown instruction: {}{guess}", line.keyword));
            return Err(fault.about(&line.keyword));
        }
    })
}

/// Refuses flags.
fn none(line: &Line) -> Result<(), Fault> {
    Flags::read(&line.flags, &[]).map(|_| ())
}

fn some(keyword: &str, words: &[String]) -> Result<(), Fault> {
    if words.is_empty() { Err(at_least_one(keyword)) } else { Ok(()) }
}

fn at_least_one(keyword: &str) -> Fault {
    Fault::new(format!("{keyword} requires at least one argument"))
}

fn from(line: &Line, lint: &Lint) -> Result<Stage, Fault> {
    let words = &line.arguments.words;
    if let [_, joint, name] = words.as_slice() {
        if *name != name.to_lowercase() {
            lint.note(rule::STAGE_NAME_CASING, line.lines, &line.comments, || {
                format!("Stage name '{name}' should be lowercase")
            });
        }
        let keyword = &line.keyword;
        let mismatch = (*keyword == keyword.to_lowercase() && *joint != joint.to_lowercase())
            || (*keyword == keyword.to_uppercase() && *joint != joint.to_uppercase());
        if mismatch {
            lint.note(rule::FROM_AS_CASING, line.lines, &line.comments, || {
                format!("'{joint}' and '{keyword}' keywords' casing do not match")
            });
        }
    }
    let (base, name) = match words.as_slice() {
        [base] => (base, String::new()),
        [base, joint, name] if joint.eq_ignore_ascii_case("as") => {
            let lower = name.to_lowercase();
            let mut letters = lower.chars();
            let good = letters.next().is_some_and(|c| c.is_ascii_lowercase())
                && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
            if !good {
                let message = format!(
                    "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
                );
                return Err(Fault::new(message).about(name));
            }
            (base, lower)
        }
        [_, _, rest @ ..] | rest => {
            let fault = Fault::new("FROM requires either one or three arguments");
            return Err(match rest.last().or(words.last()) {
                Some(word) => fault.about(word),
                None => fault,
            });
        }
    };
    let flags = Flags::read(&line.flags, &[("platform", Takes::Value)])?;
    if !name.is_empty() {
        described(lint, "FROM", &[name.as_str()], line);
    }
    Ok(Stage {
        base: base.clone(),
        name,
        platform: flags.text("platform"),
        keyword: line.keyword.clone(),
        lines: line.lines,
        comments: line.comments.clone(),
        instructions: Vec::new(),
    })
}

/// Warns of a comment that looks like a description of something else.
fn described(lint: &Lint, keyword: &str, names: &[&str], line: &Line) {
    let (Some(comment), Some(first)) = (line.comments.last(), names.first()) else { return };
    if !names.contains(&comment.split(' ').next().unwrap_or_default()) {
        let name = if names.len() > 1 { "<arg_key>" } else { first };
        lint.note(rule::INVALID_DEFINITION_DESCRIPTION, line.lines, &line.comments, || {
            format!("Comment for {keyword} should follow the format: `# {name} <description>`")
        });
    }
}

fn arg(line: &Line, lint: &Lint) -> Result<Vec<Argument>, Fault> {
    some("ARG", &line.arguments.words)?;
    let read = |word: &String| match word.split_once('=') {
        Some(("", _)) => Err(Fault::new("ARG names can not be blank").about(word)),
        Some((key, value)) => Ok(Argument { key: key.to_owned(), value: Some(value.to_owned()) }),
        None => Ok(Argument { key: word.clone(), value: None }),
    };
    let arguments = line.arguments.words.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = arguments.iter().map(|argument| argument.key.as_str()).collect();
    described(lint, "ARG", &names, line);
    Ok(arguments)
}

fn copy(line: &Line, add: bool) -> Result<Copy, Fault> {
    let keyword = if add { "ADD" } else { "COPY" };
    let [sources @ .., destination] = line.arguments.words.as_slice() else {
        return Err(no_destination(keyword));
    };
    if sources.is_empty() {
        return Err(no_destination(keyword));
    }
    let mut known = vec![
        ("chown", Takes::Value),
        ("chmod", Takes::Value),
        ("link", Takes::Truth),
        ("exclude", Takes::Values),
    ];
    known.extend(if add {
        [("keep-git-dir", Takes::Truth), ("checksum", Takes::Value), ("unpack", Takes::Truth)].as_slice()
    } else {
        [("from", Takes::Value), ("parents", Takes::Truth)].as_slice()
    });
    let flags = Flags::read(&line.flags, &known)?;
    let document = |word: &str| words::document(word).ok().flatten();
    if document(destination).is_some() {
        return Err(
            Fault::new(format!("{keyword} cannot accept a heredoc as a destination")).about(destination)
        );
    }
    let mut copy = Copy {
        add,
        destination: destination.clone(),
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.truth("link").unwrap_or(false),
        parents: flags.truth("parents").unwrap_or(false),
        exclude: flags.all("exclude"),
        checksum: flags.text("checksum"),
        keep_git_dir: flags.truth("keep-git-dir"),
        unpack: flags.truth("unpack"),
        ..Copy::default()
    };
    for source in sources {
        match document(source) {
            None => copy.sources.push(source.clone()),
            Some(announced) => {
                let found = line.documents.iter().rfind(|document| document.name == announced.name);
                let content = found.map(|document| document.content.clone()).unwrap_or_default();
                let content = if announced.chomp { words::chomp(&content) } else { content };
                copy.documents.push(Document { content, ..announced });
            }
        }
    }
    Ok(copy)
}

fn no_destination(keyword: &str) -> Fault {
    Fault::new(format!(
        "{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
    ))
}

fn run(line: &Line) -> Result<Run, Fault> {
    let known = [("mount", Takes::Values), ("network", Takes::Value), ("security", Takes::Value)];
    let flags = Flags::read(&line.flags, &known)?;
    let mounts = flags.all("mount");
    for mount in &mounts {
        mount::check(mount)?;
    }
    let network = flags.get("network").unwrap_or("default");
    if !matches!(network, "default" | "none" | "host") {
        return Err(Fault::new(format!("invalid network mode {network:?}")).about(network));
    }
    let security = flags.get("security").unwrap_or("sandbox");
    if !matches!(security, "sandbox" | "insecure") {
        return Err(Fault::new(format!("security {security:?} is not valid")).about(security));
    }
    Ok(Run {
        command: Command { words: line.arguments.words.clone(), shell: !line.arguments.json },
        documents: line.documents.clone(),
        mounts,
        network: network.to_owned(),
        insecure: security == "insecure",
    })
}

fn healthcheck(line: &Line) -> Result<Health, Fault> {
    let [kind, words @ ..] = line.arguments.words.as_slice() else { return Err(at_least_one("HEALTHCHECK")) };
    if kind.eq_ignore_ascii_case("NONE") {
        if !words.is_empty() {
            return Err(Fault::new("HEALTHCHECK NONE takes no arguments"));
        }
        return Ok(Health { test: vec!["NONE".to_owned()], ..Health::default() });
    }
    let known =
        ["interval", "timeout", "start-period", "start-interval", "retries"].map(|n| (n, Takes::Value));
    let flags = Flags::read(&line.flags, &known)?;
    if !kind.eq_ignore_ascii_case("CMD") {
        let kind = kind.to_uppercase();
        return Err(Fault::new(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)")));
    }
    if words.is_empty() {
        return Err(Fault::new("Missing command after HEALTHCHECK CMD"));
    }
    let kind = if line.arguments.json { "CMD" } else { "CMD-SHELL" };
    let time = |name: &str| interval(name, &flags.text(name));
    let retries = match flags.get("retries") {
        None | Some("") => 0,
        Some(text) => {
            let retries: i32 = text.parse().map_err(|_| {
                Fault::new(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")).about(text)
            })?;
            if retries < 0 {
                return Err(Fault::new(format!("--retries cannot be negative ({retries})")).about(text));
            }
            i64::from(retries)
        }
    };
    Ok(Health {
        test: std::iter::once(kind.to_owned()).chain(words.iter().cloned()).collect(),
        interval: time("interval")?,
        timeout: time("timeout")?,
        start_period: time("start-period")?,
        start_interval: time("start-interval")?,
        retries,
    })
}

fn interval(name: &str, text: &str) -> Result<i64, Fault> {
    if text.is_empty() {
        return Ok(0);
    }
    let nanoseconds = oci::duration(text).map_err(|why| Fault::new(why).about(text))?;
    if nanoseconds != 0 && nanoseconds < 1_000_000 {
        return Err(Fault::new(format!("Interval {name:?} cannot be less than 1ms")).about(text));
    }
    Ok(nanoseconds)
}

fn onbuild(line: &Line) -> Result<String, Fault> {
    some("ONBUILD", &line.arguments.words)?;
    none(line)?;
    let trigger = line.arguments.words[0].to_ascii_uppercase();
    match trigger.as_str() {
        "ONBUILD" => return Err(Fault::new("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "MAINTAINER" | "FROM" => {
            return Err(Fault::new(format!("{trigger} isn't allowed as an ONBUILD trigger")));
        }
        _ => {}
    }
    let trimmed = line.original.trim_start();
    let mut expression = trimmed[line.keyword.len().min(trimmed.len())..].trim_start().to_owned();
    for document in &line.documents {
        expression = format!("{expression}\n{}{}", document.content, document.name);
    }
    Ok(expression)
}
