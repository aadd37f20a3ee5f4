//! Quotes and variables in the words of a Dockerfile, as BuildKit's shell lexer reads them: nearly a shell's
//! rules, without commands.
//!
//! `$name` and `${name}`, with `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//` in the braces; single quotes
//! keep everything, double quotes everything but `$` and what is escaped; the escape character keeps the next
//! character.

use super::wildcard::{self, Wildcards};

/// How deep substitutions may nest.
const DEPTH_MAX: usize = 64;

/// Where the value of a variable comes from.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How words are read.
#[derive(Debug, Clone, Copy)]
pub struct Lexer {
    /// The escape character.
    pub escape: char,
    /// Whether quotes stay.
    pub raw_quotes: bool,
    /// Whether escape characters stay.
    pub raw_escapes: bool,
    /// Whether quotes are letters like others.
    pub plain_quotes: bool,
    /// Whether what names an unset variable stays as it is.
    pub keep_unset: bool,
}

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text, blanks and all.
    pub text: String,
    /// The same split at blanks outside of quotes.
    pub words: Vec<String>,
    /// The variables that were found.
    pub matched: Vec<String>,
    /// Those that were not.
    pub unmatched: Vec<String>,
}

impl Lexer {
    /// Returns the usual lexer.
    pub fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, plain_quotes: false, keep_unset: false }
    }

    /// Expands `source`.
    pub fn expand(&self, source: &str, variables: Variables<'_>) -> Result<Expanded, String> {
        let mut reader = Reader {
            lexer: *self,
            chars: source.chars().collect(),
            at: 0,
            depth: 0,
            raw_escapes: self.raw_escapes,
            variables,
            out: Expanded::default(),
        };
        let (text, words) = reader
            .until(None, self.raw_escapes)
            .map_err(|why| format!("failed to process {source:?}: {why}"))?;
        Ok(Expanded { text, words, ..reader.out })
    }
}

struct Reader<'a> {
    lexer: Lexer,
    chars: Vec<char>,
    at: usize,
    depth: usize,
    raw_escapes: bool,
    variables: Variables<'a>,
    out: Expanded,
}

/// Words in the making.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    word: String,
}

impl Words {
    /// Adds a character that ends the word if it is blank.
    fn add(&mut self, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.done.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Reads up to `stop`, or to the end where there is none.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>), String> {
        let before = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let read = self.read_until(stop);
        self.raw_escapes = before;
        read
    }

    fn read_until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let mut text = String::new();
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.at += 1;
                return Ok((text, words.finish()));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.add(c));
                    text.push_str(&value);
                }
                '<' => {
                    let mark = self.less_than();
                    words.word.push_str(&mark);
                    text.push_str(&mark);
                }
                '\'' | '"' if !self.lexer.plain_quotes => {
                    let quoted = if c == '"' { self.double_quoted()? } else { self.single_quoted()? };
                    words.word.push_str(&quoted);
                    text.push_str(&quoted);
                }
                c if c == self.lexer.escape => {
                    self.at += 1;
                    if self.raw_escapes {
                        words.word.push(c);
                        text.push(c);
                    }
                    let Some(kept) = self.next() else { break };
                    words.word.push(kept);
                    text.push(kept);
                }
                c => {
                    self.at += 1;
                    words.add(c);
                    text.push(c);
                }
            }
        }
        match stop {
            Some(stop) => Err(format!("unexpected end of statement while looking for matching {stop}")),
            None => Ok((text, words.finish())),
        }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let quote = self.next();
        if self.lexer.raw_quotes {
            text.extend(quote);
        }
        loop {
            match self.next() {
                None => {
                    return Err(
                        "unexpected end of statement while looking for matching single-quote".to_owned()
                    );
                }
                Some('\'') => {
                    if self.lexer.raw_quotes {
                        text.push('\'');
                    }
                    return Ok(text);
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let quote = self.next();
        if self.lexer.raw_quotes {
            text.extend(quote);
        }
        loop {
            match self.peek() {
                None => {
                    return Err(
                        "unexpected end of statement while looking for matching double-quote".to_owned()
                    );
                }
                Some('"') => {
                    self.at += 1;
                    if self.lexer.raw_quotes {
                        text.push('"');
                    }
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(c) if c == self.lexer.escape => {
                    self.at += 1;
                    if self.raw_escapes {
                        text.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(kept) if matches!(kept, '"' | '$') || kept == self.lexer.escape => {
                            self.at += 1;
                            text.push(kept);
                        }
                        Some(_) => text.push(c),
                    }
                }
                Some(c) => {
                    self.at += 1;
                    text.push(c);
                }
            }
        }
    }

    /// Reads `<`, or `<<` with the blanks behind it, which belong to the word of a here-document.
    fn less_than(&mut self) -> String {
        self.at += 1;
        if self.peek() != Some('<') {
            return "<".to_owned();
        }
        self.at += 1;
        let mut mark = "<<".to_owned();
        while let Some(blank @ ('\t' | '\r' | ' ')) = self.peek() {
            self.at += 1;
            mark.push(blank);
        }
        mark
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("syntax error: substitutions nest too deeply".to_owned());
        }
        let value = self.substitution();
        self.depth -= 1;
        value
    }

    fn substitution(&mut self) -> Result<String, String> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.get(&name) {
                None if self.lexer.keep_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.at += 1;
        match self.peek() {
            None => return Err("syntax error: missing '}'".to_owned()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        let name = self.name();
        let unsupported = |modifier: String| format!("unsupported modifier ({modifier}) in substitution");
        let Some(first) = self.next() else { return Err("syntax error: missing '}'".to_owned()) };
        match first {
            '}' => Ok(match self.get(&name) {
                None if self.lexer.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            '/' => self.replacement(&name),
            ':' => {
                let modifier = self.next().ok_or_else(|| unsupported(":".to_owned()))?;
                if !matches!(modifier, '-' | '+' | '?') {
                    return Err(unsupported(format!(":{modifier}")));
                }
                self.modified(&name, modifier, true)
            }
            '-' | '+' | '?' | '#' | '%' => self.modified(&name, first, false),
            other => Err(unsupported(other.to_string())),
        }
    }

    /// Reads what follows one of `-` `+` `?` `#` `%`.
    fn modified(&mut self, name: &str, modifier: char, empty_is_unset: bool) -> Result<String, String> {
        let trims = matches!(modifier, '#' | '%');
        let word = self.braced('}', trims, "missing '}'")?;
        let value = self.get(name);
        if self.lexer.keep_unset && value.is_none() {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let usable = value.clone().filter(|value| !(empty_is_unset && value.is_empty()));
        match (modifier, usable) {
            ('-', usable) => Ok(usable.unwrap_or(word)),
            ('+', usable) => Ok(usable.map(|_| word).unwrap_or_default()),
            ('?', Some(value)) => Ok(value),
            ('?', None) => {
                let what = if value.is_none() { "unset" } else { "empty" };
                let word = if word.is_empty() { format!("is not allowed to be {what}") } else { word };
                Err(format!("{name}: {word}"))
            }
            _ => {
                let (greedy, pattern) = match word.strip_prefix(modifier) {
                    Some(pattern) => (true, pattern),
                    None => (false, word.as_str()),
                };
                let value = value.unwrap_or_default();
                let trimmed = match modifier {
                    '#' => wildcard::trim_start(pattern, &value, greedy),
                    _ => wildcard::trim_end(pattern, &value, greedy),
                };
                trimmed.map_err(|why| format!("invalid pattern ({pattern}) in substitution: {why}"))
            }
        }
    }

    /// Reads what follows the slash of `${name/pattern/replacement}`.
    fn replacement(&mut self, name: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        if all {
            self.at += 1;
        }
        let pattern = self.braced('/', true, "missing '/' in ${}")?;
        let replacement = self.braced('}', true, "missing '}'")?;
        let value = match self.get(name) {
            None if self.lexer.keep_unset => return Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => value.unwrap_or_default(),
        };
        let wildcards = Wildcards::parse(&pattern)
            .map_err(|why| format!("invalid pattern ({pattern}) in substitution: {why}"))?;
        Ok(wildcards.replace(&value, &replacement, all))
    }

    fn braced(&mut self, stop: char, raw_escapes: bool, missing: &str) -> Result<String, String> {
        match self.until(Some(stop), raw_escapes) {
            Ok((word, _)) => Ok(word),
            Err(_) if self.peek().is_none() => Err(format!("syntax error: {missing}")),
            Err(why) => Err(why),
        }
    }

    /// Reads the name of a variable: a word, a number or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let start = self.at;
        match self.peek() {
            Some(c) if c.is_numeric() => {
                while self.peek().is_some_and(char::is_numeric) {
                    self.at += 1;
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            _ => {
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.at += 1;
                }
            }
        }
        self.chars[start..self.at].iter().collect()
    }

    fn get(&mut self, name: &str) -> Option<String> {
        let value = (self.variables)(name);
        let names = if value.is_some() { &mut self.out.matched } else { &mut self.out.unmatched };
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        value
    }
}
