//! A Dockerfile read: text to instructions, each with its place; the expansion of words.
//!
//! The grammar is BuildKit's, which is described nowhere but in its parser: the texts of errors are the same, so
//! that what searches for them finds them. Nothing here knows an image, a file or a variable's value.

mod expand;
mod fault;
mod flag;
mod instruction;
mod line;
mod mount;
mod read;
#[cfg(test)]
mod tests;
mod wildcard;
mod words;

pub use expand::{Expanded, Lexer, Variables};
pub use fault::{Fault, Lines, excerpt, similar, suggestion};
pub use instruction::{Argument, Command, Copy, Health, Instruction, Kind, Run, Stage};
pub use line::Document;
pub use mount::{MountFlag, MountType, origin as mount_origin, parse as parse_mount};
pub use words::{Pair, chomp};

use self::read::Read;
use super::lint::{Lint, rule};

/// A Dockerfile.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// The `ARG`s before the first `FROM`, with their places.
    pub arguments: Vec<(Argument, Lines)>,
    /// The stages.
    pub stages: Vec<Stage>,
    /// The escape character.
    pub escape: char,
}

impl Dockerfile {
    /// Reads a Dockerfile; what is unwise in it is told to `lint`.
    pub fn parse(source: &str, lint: &Lint) -> Result<Self, Fault> {
        if source.is_empty() {
            return Err(Fault::new("the Dockerfile cannot be empty"));
        }
        let text = line::read(source).map_err(|fault| comment_hint(fault, source))?;
        if text.lines.is_empty() {
            return Err(Fault::new("file with no instructions").at((1, 1)));
        }
        if let Some(check) = &text.check {
            lint.configure(check)
                .map_err(|why| Fault::new(format!("failed to parse check options: {why}")).about(check))?;
        }
        for &at in &text.empty {
            lint.note(rule::NO_EMPTY_CONTINUATION, at, &[], || "Empty continuation line".to_owned());
        }
        let mut file = Self { arguments: Vec::new(), stages: Vec::new(), escape: text.escape };
        for line in &text.lines {
            let number = line.lines.0;
            let read = read::read(line, lint).map_err(|fault| {
                comment_hint(fault.context(&format!("dockerfile parse error on line {number}")), source)
            })?;
            match (read, file.stages.last_mut()) {
                (Read::Stage(stage), _) => file.stages.push(stage),
                (Read::Instruction(instruction), Some(stage)) => stage.instructions.push(instruction),
                (Read::Instruction(Instruction { kind: Kind::Arg(arguments), lines, .. }), None) => {
                    file.arguments.extend(arguments.into_iter().map(|argument| (argument, lines)));
                }
                (Read::Instruction(_), None) => {
                    return Err(Fault::new("no build stage in current context").at(line.lines));
                }
            }
        }
        if file.stages.is_empty() {
            return Err(Fault::new("dockerfile contains no stages to build"));
        }
        Ok(file)
    }

    /// Reads the instruction of an `ONBUILD`, which belongs to the stage whose `FROM` stands at `lines`.
    pub fn trigger(source: &str, lines: Lines, lint: &Lint) -> Result<Instruction, Fault> {
        let text = line::read(source).map_err(|fault| Fault { places: vec![lines], ..fault })?;
        let [line] = text.lines.as_slice() else {
            return Err(Fault::new("onbuild trigger should be a single expression").at(lines));
        };
        let mut line = line.clone();
        line.lines = lines;
        match read::read(&line, lint)? {
            Read::Instruction(instruction) => Ok(instruction),
            Read::Stage(_) => Err(Fault::new("FROM isn't allowed as an ONBUILD trigger").at(lines)),
        }
    }
}

/// Adds what people overlook who write a comment behind an instruction.
pub fn comment_hint(fault: Fault, source: &str) -> Fault {
    let Some(&(first, last)) = fault.places.first() else { return fault };
    let lines = source.lines().skip((first.max(1) - 1) as usize).take((last.max(first) - first + 1) as usize);
    let has_comment = lines.into_iter().any(|line| {
        let line = line.trim_start();
        let keyword = line.split_whitespace().next().unwrap_or_default();
        !line.starts_with('#')
            && !keyword.eq_ignore_ascii_case("RUN")
            && line.split_whitespace().any(|word| word.starts_with('#'))
    });
    if has_comment {
        fault
            .hint("a comment stands on a line of its own: what follows # behind an instruction belongs to it")
    } else {
        fault
    }
}
