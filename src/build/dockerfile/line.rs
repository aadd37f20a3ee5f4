//! The text of a Dockerfile as lines that each hold one instruction: directives, comments, continuations and
//! here-documents.
//!
//! The rules are BuildKit's, with their oddities: a comment or an empty line within a continued instruction is
//! left out; a directive must come before everything else; the escape character continues a line only if no other
//! stands before it.

use super::fault::{Fault, Lines};
use super::words::{self, Arguments};

/// The longest line.
const LINE_MAX: usize = 65_535;

/// A Dockerfile as lines.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) lines: Vec<Line>,
    /// The escape character.
    pub(super) escape: char,
    /// The value of `# check=`.
    pub(super) check: Option<String>,
    /// Where a continued instruction has an empty line in it.
    pub(super) empty: Vec<Lines>,
}

/// One instruction as it is written.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The first word.
    pub(super) keyword: String,
    /// All of it, continuations joined.
    pub(super) original: String,
    pub(super) flags: Vec<String>,
    pub(super) arguments: Arguments,
    pub(super) documents: Vec<Document>,
    /// The comments right before it.
    pub(super) comments: Vec<String>,
    pub(super) lines: Lines,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What ends it, and what the file is called.
    pub name: String,
    /// Whether variables in it are replaced.
    pub expand: bool,
    /// Whether tabs at the beginning of its lines go.
    pub chomp: bool,
    /// What it holds.
    pub content: String,
}

/// The directives, while they may come.
struct Directives {
    escape: char,
    check: Option<String>,
    seen: Vec<String>,
    over: bool,
}

impl Directives {
    /// Reads a line; tells whether it is a directive.
    fn read(&mut self, line: &str, number: u32) -> Result<bool, Fault> {
        if self.over {
            return Ok(false);
        }
        let Some((name, value)) = directive(line, "#") else {
            self.over = true;
            return Ok(false);
        };
        if self.seen.contains(&name) {
            let message = format!("only one {name} parser directive can be used");
            return Err(Fault::new(message).at((number, number)));
        }
        match name.as_str() {
            "escape" => match value {
                "\\" => self.escape = '\\',
                "`" => self.escape = '`',
                other => {
                    let message = format!("invalid escape token '{other}' does not match ` or \\");
                    return Err(Fault::new(message).at((number, number)).about(other));
                }
            },
            "check" => self.check = Some(value.to_owned()),
            _ => {}
        }
        self.seen.push(name);
        Ok(true)
    }
}

/// Reads `# name=value`, whose comment sign is `sign`.
pub(super) fn directive<'a>(line: &'a str, sign: &str) -> Option<(String, &'a str)> {
    let (name, value) = line.strip_prefix(sign)?.trim_start().split_once('=')?;
    let name = name.trim_end().to_ascii_lowercase();
    let value = value.trim();
    (matches!(name.as_str(), "syntax" | "escape" | "check") && !value.is_empty()).then_some((name, value))
}

/// Reads the text.
pub(super) fn read(source: &str) -> Result<Text, Fault> {
    let mut directives = Directives { escape: '\\', check: None, seen: Vec::new(), over: false };
    let mut text = Text { lines: Vec::new(), escape: '\\', check: None, empty: Vec::new() };
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut number = 0;
    let mut rest = source.split_inclusive('\n').peekable();
    let mut comments: Vec<String> = Vec::new();
    if rest.next_if(|line| line.starts_with("#!")).is_some() {
        number += 1;
    }
    while let Some(raw) = rest.next() {
        number += 1;
        measure(raw, number)?;
        let line = trim_newline(raw).trim_start();
        if let Some(comment) = line.strip_prefix('#') {
            let is_directive = directives.read(line, number)?;
            let comment = comment.trim();
            if comment.is_empty() {
                comments.clear();
            } else if !is_directive {
                comments.push(comment.to_owned());
            }
            continue;
        }
        directives.over = true;
        let start = number;
        let (first, mut continued) = continuation(line, directives.escape);
        if !continued && first.is_empty() {
            continue;
        }
        let mut joined = first.to_owned();
        let mut empty = false;
        while continued {
            let Some(raw) = rest.next() else { break };
            number += 1;
            measure(raw, number)?;
            let line = trim_newline(raw);
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.trim_start().is_empty() {
                empty = true;
                continue;
            }
            let (part, more) = continuation(line, directives.escape);
            joined.push_str(part);
            continued = more;
        }
        if empty {
            text.empty.push((number, number));
        }
        let at = (start, number);
        let mut line = split(&joined, directives.escape, std::mem::take(&mut comments), at)?;
        if line.arguments.takes_documents(&line.keyword) && joined.contains("<<") {
            for mut document in words::documents(&joined).map_err(|why| Fault::new(why).at(at))? {
                let mut ended = false;
                for raw in rest.by_ref() {
                    number += 1;
                    let end = trim_newline(raw);
                    let end = if document.chomp { end.trim_start_matches('\t') } else { end };
                    if end == document.name {
                        ended = true;
                        break;
                    }
                    document.content.push_str(raw);
                }
                if !ended {
                    let mark = format!("<<{}", if document.chomp { "-" } else { "" });
                    return Err(Fault::new("unterminated heredoc").at((start, number)).about(mark));
                }
                line.documents.push(document);
            }
            line.lines.1 = number;
        }
        text.lines.push(line);
    }
    text.escape = directives.escape;
    text.check = directives.check;
    Ok(text)
}

/// Splits one instruction into its keyword, flags and arguments.
pub(super) fn split(joined: &str, escape: char, comments: Vec<String>, at: Lines) -> Result<Line, Fault> {
    let trimmed = joined.trim();
    let (keyword, rest) = match trimmed.split_once(words::is_blank) {
        Some((keyword, rest)) => (keyword, rest.trim_start_matches(words::is_blank)),
        None => (trimmed, ""),
    };
    let (flags, rest) = words::flags(rest, escape);
    let arguments = Arguments::read(keyword, rest.trim(), escape).map_err(|why| Fault::new(why).at(at))?;
    Ok(Line {
        keyword: keyword.to_owned(),
        original: joined.to_owned(),
        flags,
        arguments,
        documents: Vec::new(),
        comments,
        lines: at,
    })
}

fn measure(raw: &str, number: u32) -> Result<(), Fault> {
    if raw.len() > LINE_MAX {
        let message = format!("dockerfile line greater than max allowed size of {LINE_MAX}");
        return Err(Fault::new(message).at((number, number)));
    }
    Ok(())
}

fn trim_newline(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// Takes the escape character at the end away; tells whether there was one.
fn continuation(line: &str, escape: char) -> (&str, bool) {
    let Some(before) = line.trim_end_matches([' ', '\t']).strip_suffix(escape) else { return (line, false) };
    if before.ends_with(escape) { (line, false) } else { (before, true) }
}
