//! The words of a template: text, delimiters, and what stands between them.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    LeftDelim,
    RightDelim,
    LeftParen,
    RightParen,
    Space,
    Pipe,
    Assign,
    Declare,
    Comma,
    OtherChar,
    Bool,
    CharConstant,
    Number,
    String,
    RawString,
    Field,
    Variable,
    Identifier,
    Dot,
    Nil,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
    Eof,
    Error,
}

impl Kind {
    fn keyword(word: &str) -> Option<Self> {
        Some(match word {
            "block" => Self::Block,
            "break" => Self::Break,
            "continue" => Self::Continue,
            "define" => Self::Define,
            "else" => Self::Else,
            "end" => Self::End,
            "if" => Self::If,
            "nil" => Self::Nil,
            "range" => Self::Range,
            "template" => Self::Template,
            "with" => Self::With,
            _ => return None,
        })
    }

    fn is_keyword(self) -> bool {
        matches!(
            self,
            Self::Block
                | Self::Break
                | Self::Continue
                | Self::Define
                | Self::Else
                | Self::End
                | Self::If
                | Self::Nil
                | Self::Range
                | Self::Template
                | Self::With
                | Self::Dot
        )
    }
}

/// One token and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) pos: usize,
    pub(super) text: String,
}

impl Token {
    /// Describes the token as Go's parser does in its messages.
    pub(super) fn describe(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            kind if kind.is_keyword() => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                let head: String = self.text.chars().take(10).collect();
                format!("{}...", super::print::quote(&head))
            }
            _ => super::print::quote(&self.text),
        }
    }
}

/// Splits a template into tokens. An error is the last token.
pub(super) fn lex(input: &str) -> Vec<Token> {
    let mut lexer = Lexer { input, pos: 0, depth: 0, tokens: Vec::new() };
    if let Err((pos, text)) = lexer.text() {
        lexer.tokens.push(Token { kind: Kind::Error, pos, text });
    }
    lexer.tokens
}

struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    depth: usize,
    tokens: Vec<Token>,
}

type Lexed = Result<(), (usize, String)>;

/// Tells whether Go's template language counts a character as space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let text = self.input[start..self.pos].to_owned();
        self.tokens.push(Token { kind, pos: start, text });
    }

    fn text(&mut self) -> Lexed {
        loop {
            let start = self.pos;
            let Some(found) = self.rest().find("{{") else {
                self.pos = self.input.len();
                if self.pos > start {
                    self.push(Kind::Text, start);
                }
                self.push(Kind::Eof, self.pos);
                return Ok(());
            };
            let delim = start + found;
            let after = &self.input[delim + 2..];
            let mut chars = after.chars();
            let trim = chars.next() == Some('-') && chars.next().is_some_and(is_space);
            let mut text = &self.input[start..delim];
            if trim {
                text = text.trim_end_matches(is_space);
            }
            if !text.is_empty() {
                self.tokens.push(Token { kind: Kind::Text, pos: start, text: text.to_owned() });
            }
            self.pos = delim + 2 + if trim { 2 } else { 0 };
            if self.rest().starts_with("/*") {
                self.comment()?;
            } else {
                self.tokens.push(Token { kind: Kind::LeftDelim, pos: delim, text: "{{".to_owned() });
                self.depth = 0;
                self.action()?;
            }
        }
    }

    /// Returns the length of a closing delimiter that stands here, and whether it trims.
    fn right_delim(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        let mut chars = rest.chars();
        if chars.next().is_some_and(is_space) && rest[1..].starts_with("-}}") {
            Some((4, true))
        } else if rest.starts_with("}}") {
            Some((2, false))
        } else {
            None
        }
    }

    fn skip_trimmed(&mut self, trim: bool) {
        if trim {
            self.pos += self.rest().len() - self.rest().trim_start_matches(is_space).len();
        }
    }

    fn comment(&mut self) -> Lexed {
        let start = self.pos;
        let Some(end) = self.rest().find("*/") else {
            return Err((start, "unclosed comment".to_owned()));
        };
        self.pos += end + 2;
        let Some((length, trim)) = self.right_delim() else {
            return Err((self.pos, "comment ends before closing delimiter".to_owned()));
        };
        self.pos += length;
        self.skip_trimmed(trim);
        Ok(())
    }

    fn action(&mut self) -> Lexed {
        loop {
            if let Some((length, trim)) = self.right_delim() {
                if self.depth > 0 {
                    return Err((self.pos, "unclosed left paren".to_owned()));
                }
                let pos = self.pos + length - 2;
                self.tokens.push(Token { kind: Kind::RightDelim, pos, text: "}}".to_owned() });
                self.pos += length;
                self.skip_trimmed(trim);
                return Ok(());
            }
            let start = self.pos;
            let Some(c) = self.peek() else {
                return Err((start, "unclosed action".to_owned()));
            };
            self.pos += c.len_utf8();
            match c {
                c if is_space(c) => {
                    while self.right_delim().is_none() && self.peek().is_some_and(is_space) {
                        self.pos += 1;
                    }
                    self.push(Kind::Space, start);
                }
                '=' => self.push(Kind::Assign, start),
                ':' => {
                    if self.peek() != Some('=') {
                        return Err((start, "expected :=".to_owned()));
                    }
                    self.pos += 1;
                    self.push(Kind::Declare, start);
                }
                '|' => self.push(Kind::Pipe, start),
                ',' => self.push(Kind::Comma, start),
                '(' => {
                    self.depth += 1;
                    self.push(Kind::LeftParen, start);
                }
                ')' => {
                    if self.depth == 0 {
                        return Err((start, "unexpected right paren".to_owned()));
                    }
                    self.depth -= 1;
                    self.push(Kind::RightParen, start);
                }
                '"' => self.quoted(start, '"', Kind::String, "unterminated quoted string")?,
                '\'' => self.quoted(start, '\'', Kind::CharConstant, "unterminated character constant")?,
                '`' => {
                    let Some(end) = self.rest().find('`') else {
                        return Err((start, "unterminated raw quoted string".to_owned()));
                    };
                    self.pos += end + 1;
                    self.push(Kind::RawString, start);
                }
                '$' => self.name(start, Kind::Variable)?,
                '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => self.name(start, Kind::Field)?,
                '.' | '+' | '-' | '0'..='9' => self.number(start)?,
                c if is_word(c) => self.identifier(start)?,
                c if c.is_ascii_graphic() => self.push(Kind::OtherChar, start),
                c => return Err((start, format!("unrecognized character in action: {}", code_point(c)))),
            }
        }
    }

    fn quoted(&mut self, start: usize, quote: char, kind: Kind, unterminated: &str) -> Lexed {
        loop {
            let c = self.peek();
            self.pos += c.map_or(0, char::len_utf8);
            match c {
                Some('\\') => match self.peek() {
                    Some(c) if c != '\n' => self.pos += c.len_utf8(),
                    _ => return Err((start, unterminated.to_owned())),
                },
                Some(c) if c == quote => {
                    self.push(kind, start);
                    return Ok(());
                }
                None | Some('\n') => return Err((start, unterminated.to_owned())),
                Some(_) => {}
            }
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) => {
                is_space(c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '(') || self.rest().starts_with("}}")
            }
        }
    }

    fn word(&mut self) -> Lexed {
        while let Some(c) = self.peek().filter(|c| is_word(*c)) {
            self.pos += c.len_utf8();
        }
        if self.at_terminator() {
            return Ok(());
        }
        let c = self.peek().unwrap_or_default();
        Err((self.pos, format!("bad character {}", code_point(c))))
    }

    /// Reads a field or a variable, whose first character has been read.
    fn name(&mut self, start: usize, kind: Kind) -> Lexed {
        if self.at_terminator() {
            self.push(if kind == Kind::Field { Kind::Dot } else { kind }, start);
            return Ok(());
        }
        self.word()?;
        self.push(kind, start);
        Ok(())
    }

    fn identifier(&mut self, start: usize) -> Lexed {
        self.word()?;
        let word = &self.input[start..self.pos];
        let kind = match word {
            "true" | "false" => Kind::Bool,
            word => Kind::keyword(word).unwrap_or(Kind::Identifier),
        };
        self.push(kind, start);
        Ok(())
    }

    fn number(&mut self, start: usize) -> Lexed {
        self.pos = start;
        let mut accept = |set: &dyn Fn(char) -> bool, many: bool| {
            let before = self.pos;
            while let Some(c) = self.input[self.pos..].chars().next().filter(|c| set(*c)) {
                self.pos += c.len_utf8();
                if !many {
                    break;
                }
            }
            self.pos > before
        };
        accept(&|c| matches!(c, '+' | '-'), false);
        let mut radix = 10;
        if accept(&|c| c == '0', false) {
            if accept(&|c| matches!(c, 'x' | 'X'), false) {
                radix = 16;
            } else if accept(&|c| matches!(c, 'o' | 'O'), false) {
                radix = 8;
            } else if accept(&|c| matches!(c, 'b' | 'B'), false) {
                radix = 2;
            }
        }
        let digit = |c: char| c == '_' || c.is_digit(radix);
        accept(&digit, true);
        if accept(&|c| c == '.', false) {
            accept(&digit, true);
        }
        if radix == 10 && accept(&|c| matches!(c, 'e' | 'E'), false)
            || radix == 16 && accept(&|c| matches!(c, 'p' | 'P'), false)
        {
            accept(&|c| matches!(c, '+' | '-'), false);
            accept(&|c| c == '_' || c.is_ascii_digit(), true);
        }
        if let Some(c) = self.peek().filter(|c| is_word(*c)) {
            self.pos += c.len_utf8();
            let text = super::print::quote(&self.input[start..self.pos]);
            return Err((start, format!("bad number syntax: {text}")));
        }
        self.push(Kind::Number, start);
        Ok(())
    }
}

/// Formats a character as Go's `%#U` does.
fn code_point(c: char) -> String {
    if c.is_control() { format!("U+{:04X}", c as u32) } else { format!("U+{:04X} '{c}'", c as u32) }
}
