//! The words of an instruction: flags, JSON lists, `name=value`, here-documents.

use super::expand::Lexer;
use super::line::Document;

/// The arguments of an instruction, in the form its keyword asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) words: Vec<String>,
    /// Whether they were a JSON list.
    pub(super) json: bool,
    /// `ENV` and `LABEL`.
    pub(super) pairs: Vec<Pair>,
    /// Of `ONBUILD`: the keyword of what it holds, and whether that has a JSON list.
    inner: Option<(String, bool)>,
}

/// A `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub key: String,
    /// The value.
    pub value: String,
    /// Whether a blank stands between them.
    pub legacy: bool,
}

/// What separates words: blanks of one byte, as BuildKit's expression has them.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

impl Arguments {
    /// Reads the text behind the flags.
    pub(super) fn read(keyword: &str, rest: &str, escape: char) -> Result<Self, String> {
        let upper = keyword.to_ascii_uppercase();
        let whole = |rest: &str| if rest.is_empty() { Vec::new() } else { vec![rest.to_owned()] };
        match upper.as_str() {
            "CMD" | "ENTRYPOINT" | "RUN" | "SHELL" => match list(rest)? {
                Some(words) => Ok(Self { words, json: true, ..Self::default() }),
                None => Ok(Self { words: whole(rest), ..Self::default() }),
            },
            "ADD" | "COPY" | "VOLUME" => match list(rest)? {
                Some(words) => Ok(Self { words, json: true, ..Self::default() }),
                None => Ok(Self { words: delimited(rest), ..Self::default() }),
            },
            "EXPOSE" | "FROM" => Ok(Self { words: delimited(rest), ..Self::default() }),
            "MAINTAINER" | "STOPSIGNAL" | "USER" | "WORKDIR" => {
                Ok(Self { words: whole(rest), ..Self::default() })
            }
            "ARG" => Ok(Self { words: split(rest, escape), ..Self::default() }),
            "ENV" | "LABEL" => Ok(Self { pairs: pairs(&upper, rest, escape)?, ..Self::default() }),
            "HEALTHCHECK" => {
                let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                if kind.is_empty() {
                    return Ok(Self::default());
                }
                let rest = rest.trim_start();
                let listed = list(rest)?;
                let json = listed.is_some();
                let words = std::iter::once(kind.to_owned()).chain(listed.unwrap_or_else(|| whole(rest)));
                Ok(Self { words: words.collect(), json, ..Self::default() })
            }
            "ONBUILD" if !rest.is_empty() => {
                let (keyword, behind) = rest.split_once(is_blank).unwrap_or((rest, ""));
                let (_, behind) = flags(behind, escape);
                // Chained `ONBUILD`s are refused later; they are not followed.
                let inner = match keyword.to_ascii_uppercase().as_str() {
                    "ONBUILD" => Self::default(),
                    _ => Self::read(keyword, behind.trim(), escape)?,
                };
                let words = std::iter::once(keyword.to_owned()).chain(inner.words).collect();
                Ok(Self { words, inner: Some((keyword.to_owned(), inner.json)), ..Self::default() })
            }
            _ => Ok(Self::default()),
        }
    }

    /// Tells whether here-documents may follow.
    pub(super) fn takes_documents(&self, keyword: &str) -> bool {
        let (keyword, json) = match &self.inner {
            Some((keyword, json)) => (keyword.as_str(), *json),
            None => (keyword, self.json),
        };
        !json && matches!(keyword.to_ascii_uppercase().as_str(), "ADD" | "COPY" | "RUN")
    }
}

/// Reads a JSON list of strings; `None` if it is no list, in which case it is for the shell.
fn list(rest: &str) -> Result<Option<Vec<String>>, String> {
    if !rest.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else { return Ok(None) };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err("when using JSON array syntax, arrays must be comprised of strings only".to_owned()),
    };
    values.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

fn delimited(rest: &str) -> Vec<String> {
    rest.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Splits at blanks outside of quotes; quotes and escapes stay for the expansion.
fn split(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => words.extend(word.take()),
            None | Some('"') if c == escape => {
                // At the end it is left out.
                if let Some(kept) = chars.next() {
                    word.get_or_insert_default().extend([c, kept]);
                }
            }
            _ => {
                if quote == Some(c) {
                    quote = None;
                } else if quote.is_none() && matches!(c, '\'' | '"') {
                    quote = Some(c);
                }
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    words
}

/// Reads `name=value …`, or the old `name value`.
fn pairs(keyword: &str, rest: &str, escape: char) -> Result<Vec<Pair>, String> {
    let words = split(rest, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.contains('=') {
        let Some((key, value)) = rest.split_once(is_blank) else {
            return Err(format!("{keyword} must have two arguments"));
        };
        let value = value.trim_start_matches(is_blank).to_owned();
        return Ok(vec![Pair { key: key.to_owned(), value, legacy: true }]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some((key, value)) => Ok(Pair { key: key.to_owned(), value: value.to_owned(), legacy: false }),
        None => Err(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value")),
    };
    words.iter().map(pair).collect()
}

/// Takes the flags from the beginning of `text`; returns them without quotes, and the rest.
pub(super) fn flags(text: &str, escape: char) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let mut flag = String::new();
        let mut quote = None;
        let mut end = rest.len();
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match quote {
                None if c.is_whitespace() => {
                    end = at;
                    break;
                }
                None if matches!(c, '\'' | '"') => quote = Some(c),
                Some(open) if open == c => quote = None,
                _ if c == escape => flag.extend(chars.next().map(|(_, kept)| kept)),
                _ => flag.push(c),
            }
        }
        rest = rest[end..].trim_start();
        if flag == "--" {
            break;
        }
        flags.push(flag);
    }
    (flags, rest)
}

/// Finds the here-documents that a line announces.
pub(super) fn documents(line: &str) -> Result<Vec<Document>, String> {
    let lexer = Lexer { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Lexer::new('\\') };
    // What the lexer cannot read is the shell's business.
    let Ok(expanded) = lexer.expand(line, &|_| None) else { return Ok(Vec::new()) };
    expanded.words.iter().filter_map(|word| document(word).transpose()).collect()
}

/// Reads `<<NAME`, `<<-NAME`, `<<"NAME"`, perhaps with the number of a descriptor before it.
pub(super) fn document(word: &str) -> Result<Option<Document>, String> {
    let Some(rest) = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<") else {
        return Ok(None);
    };
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let plain = Lexer { keep_unset: true, ..Lexer::new('\\') };
    let words = plain.expand(rest, &|_| None)?.words;
    let [name] = words.as_slice() else { return Ok(None) };
    let raw = Lexer { raw_quotes: true, ..plain }.expand(rest, &|_| None)?.words;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    let expand = raw.first().is_some_and(|raw| quotes(raw) == quotes(name));
    Ok(Some(Document { name: name.clone(), expand, chomp, content: String::new() }))
}

/// Takes the tabs at the beginning of lines away.
pub fn chomp(text: &str) -> String {
    text.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}
