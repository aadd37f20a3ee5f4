//! Errors into words, hints and exit codes: the one place.

use std::fmt;
use std::io;

use crate::container::StartError;

use super::grammar::{Arity, Stop};
use super::help::Style;
use super::tree::Spec;

/// An error that Docker's daemon would have sent: scripts look for its prefix.
#[derive(Debug)]
pub(super) struct Response(anyhow::Error);

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error response from daemon: {:#}", self.0)
    }
}

impl std::error::Error for Response {}

/// Marks an error as one of the work itself, not of how it was asked for.
pub(super) fn response(error: anyhow::Error) -> anyhow::Error {
    anyhow::Error::new(Response(error))
}

/// A request that `run` or `create` cannot make sense of.
#[derive(Debug)]
struct Misuse(anyhow::Error);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Misuse {}

/// Marks an error as one of what was asked for.
pub(super) fn misuse(error: anyhow::Error) -> anyhow::Error {
    // What is told in words of its own stays so.
    if error.is::<Coded>() || error.is::<Response>() { error } else { anyhow::Error::new(Misuse(error)) }
}

/// Makes an error that is told as it stands, with an exit code of its own.
pub(super) fn coded(code: u8, message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Coded { code, message: message.into() })
}

/// An exit code other than the usual one, with words of its own.
#[derive(Debug)]
struct Coded {
    code: u8,
    message: String,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Coded {}

/// What is told of a failure, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) text: String,
    pub(super) code: u8,
}

/// Says why a command was not run.
pub(super) fn stopped(stop: Stop, spec: &Spec, path: &str, style: &Style) -> Words {
    let program = style.program;
    let shown = spec.shown(path);
    let usage = style.usage(spec, path);
    let ask = format!("Run '{program} {shown} --help' for more information");
    match stop {
        Stop::Help => Words { text: style.command(spec, path), code: 0 },
        Stop::Flag(message) => Words { text: format!("{message}\n\n{usage}\n\n{ask}"), code: 125 },
        Stop::Missing(message) => Words { text: format!("{program}: {message}\n\n{ask}"), code: 125 },
        Stop::Count => {
            let arguments = |count: usize| if count == 1 { "argument" } else { "arguments" };
            let need = match spec.rules.arity {
                Arity::None => "accepts no arguments".to_owned(),
                Arity::Exactly(count) => format!("requires {count} {}", arguments(count)),
                Arity::AtLeast(count) => format!("requires at least {count} {}", arguments(count)),
                Arity::AtMost(count) => format!("requires at most {count} {}", arguments(count)),
                Arity::Between(least, most) => {
                    format!("requires at least {least} and at most {most} {}", arguments(most))
                }
            };
            let ask = if matches!(spec.rules.arity, Arity::AtLeast(_)) {
                ask.replacen("Run", "See", 1)
            } else {
                ask
            };
            Words { text: format!("{program}: '{program} {shown}' {need}\n\n{usage}\n\n{ask}"), code: 1 }
        }
    }
}

/// Says why a command failed.
pub(super) fn failed(error: &anyhow::Error, spec: &Spec, path: &str, style: &Style) -> Words {
    if reader_is_gone(error) {
        return Words { text: String::new(), code: 1 };
    }
    let start = find::<StartError>(error);
    let coded = error.downcast_ref::<Coded>();
    let misuse = error.downcast_ref::<Misuse>().is_some();
    let runs = spec.paths[0] == "container run";
    let mut text = format!("{error:#}");
    // As `docker run`, which names itself in every error, and `docker create`, which does so in those of use.
    if (runs || misuse) && coded.is_none() {
        let (program, shown) = (style.program, spec.shown(path));
        text = format!("{program}: {text}\n\nRun '{program} {shown} --help' for more information");
    }
    if let Some(hint) = start.and_then(|start| start.hint.as_ref()) {
        text = format!("{text}\nhint: {hint}");
    }
    let code = match (coded, start) {
        (Some(coded), _) => coded.code,
        (None, Some(start)) if runs || spec.paths[0] == "container exec" => {
            u8::try_from(start.code).ok().filter(|code| *code > 0).unwrap_or(125)
        }
        // As Docker's client, which goes by the words.
        _ if runs && !misuse && text.contains("no such file or directory") => 127,
        _ if runs || misuse => 125,
        _ => 1,
    };
    Words { text, code }
}

/// Finds an error of a type anywhere in a chain, and in what a [`Response`] holds.
fn find<T: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&T> {
    error.downcast_ref::<T>().or_else(|| find(&error.downcast_ref::<Response>()?.0))
}

/// Tells whether the error is that nobody reads standard output any more.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let broken = |error: &anyhow::Error| {
        error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    };
    let inner = error.downcast_ref::<Response>().map(|response| &response.0);
    if !broken(error) && !inner.is_some_and(broken) {
        return false;
    }
    let out = rustix::stdio::stdout();
    let mut fds = [PollFd::from_borrowed_fd(out, PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::cli::tree::find as spec;

    const STYLE: Style = Style { program: "docker", width: 80 };

    #[test]
    fn complains_about_flags_and_counts() {
        let words = stopped(Stop::Flag("unknown flag: --foo".into()), spec("run").unwrap(), "run", &STYLE);
        let text = "unknown flag: --foo\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n\
                    Run 'docker run --help' for more information";
        assert_eq!(words, Words { text: text.to_owned(), code: 125 });
        let words = stopped(Stop::Count, spec("run").unwrap(), "run", &STYLE);
        let text = "docker: 'docker run' requires at least 1 argument\n\n\
                    Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n\
                    See 'docker run --help' for more information";
        assert_eq!(words, Words { text: text.to_owned(), code: 1 });
        let words = stopped(Stop::Count, spec("ps").unwrap(), "ps", &STYLE);
        assert!(words.text.starts_with("docker: 'docker ps' accepts no arguments\n"), "{}", words.text);
        let words = stopped(Stop::Count, spec("tag").unwrap(), "tag", &STYLE);
        assert!(words.text.starts_with("docker: 'docker tag' requires 2 arguments\n"), "{}", words.text);
    }

    #[test]
    fn gives_errors_their_codes() {
        let error = response(anyhow!("No such container: x"));
        let words = failed(&error, spec("stop").unwrap(), "stop", &STYLE);
        assert_eq!(words.text, "Error response from daemon: No such container: x");
        assert_eq!(words.code, 1);
        let words = failed(&error, spec("run").unwrap(), "run", &STYLE);
        assert_eq!(words.code, 125);
        let text = "docker: Error response from daemon: No such container: x\n\n\
                    Run 'docker run --help' for more information";
        assert_eq!(words.text, text);
        let start = StartError { code: 127, message: "no".into(), hint: Some("do".into()) };
        let words = failed(&response(start.into()), spec("run").unwrap(), "run", &STYLE);
        assert_eq!(words.code, 127);
        assert!(words.text.ends_with("\nhint: do"), "{}", words.text);
    }
}
