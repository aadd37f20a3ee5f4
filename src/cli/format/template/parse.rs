//! Tokens into a tree, with the messages of Go's text/template/parse.

use std::collections::HashMap;

use super::Error;
use super::builtin;
use super::lex::{Kind, Token, lex};
use super::print::quote;

/// A sequence of nodes.
pub(super) type List = Vec<Node>;

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { pos: usize, name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

/// A control structure.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: List,
    pub(super) otherwise: Option<List>,
}

/// Commands whose results flow from one to the next, perhaps into variables.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) variables: Vec<String>,
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand, or a function or method and its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) words: Vec<Operand>,
}

/// A word of a command.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) pos: usize,
    pub(super) kind: OperandKind,
}

/// What a word is.
#[derive(Debug)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Identifier(String),
    Field(Vec<String>),
    Variable(Vec<String>),
    Chain(Box<Operand>, Vec<String>),
    Pipe(Pipe),
    /// A number together with the text it was written as.
    Written(Box<OperandKind>, String),
}

impl Operand {
    /// Returns the word that Go names when something is wrong with this operand's value.
    pub(super) fn last_word(&self) -> &Operand {
        match &self.kind {
            OperandKind::Pipe(pipe) => pipe.last_word(),
            _ => self,
        }
    }

    /// Writes the operand as Go's `String` method does, for messages.
    pub(super) fn text(&self) -> String {
        self.kind.text()
    }
}

impl OperandKind {
    fn text(&self) -> String {
        match self {
            Self::Dot => ".".to_owned(),
            Self::Nil => "nil".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) => quote(text),
            Self::Identifier(name) => name.clone(),
            Self::Field(names) => names.iter().fold(String::new(), |text, name| text + "." + name),
            Self::Variable(names) => names.join("."),
            Self::Chain(operand, names) => {
                let text = match operand.kind {
                    Self::Pipe(_) => format!("({})", operand.text()),
                    _ => operand.text(),
                };
                names.iter().fold(text, |text, name| text + "." + name)
            }
            Self::Pipe(pipe) => pipe.text(),
            Self::Written(_, text) => text.clone(),
        }
    }
}

impl Command {
    /// Writes the command as it was, but for its spaces.
    pub(super) fn text(&self) -> String {
        let words: Vec<String> = self
            .words
            .iter()
            .map(|word| match word.kind {
                OperandKind::Pipe(_) => format!("({})", word.text()),
                _ => word.text(),
            })
            .collect();
        words.join(" ")
    }
}

impl Pipe {
    /// Returns the last word of the last command, which is evaluated last.
    pub(super) fn last_word(&self) -> &Operand {
        let words = &self.commands[self.commands.len() - 1].words;
        words[words.len() - 1].last_word()
    }

    fn text(&self) -> String {
        let commands: Vec<String> = self.commands.iter().map(Command::text).collect();
        let text = commands.join(" | ");
        if self.variables.is_empty() {
            return text;
        }
        format!("{} {} {text}", self.variables.join(", "), if self.assigns { "=" } else { ":=" })
    }
}

/// What ends a list of nodes.
enum ListEnd {
    End,
    Else,
}

impl ListEnd {
    fn text(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Parsed {
    Node(Node),
    End(ListEnd),
}

struct Parser<'a> {
    input: &'a str,
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
    ranges: usize,
    definitions: HashMap<String, List>,
}

type Result<T> = std::result::Result<T, Error>;

/// Parses a template into its own list and its definitions.
pub(super) fn parse(input: &str) -> Result<(List, HashMap<String, List>)> {
    let mut parser = Parser {
        input,
        tokens: lex(input),
        next: 0,
        variables: vec!["$".to_owned()],
        ranges: 0,
        definitions: HashMap::new(),
    };
    let mut list = Vec::new();
    while parser.peek().kind != Kind::Eof {
        if parser.peek().kind == Kind::LeftDelim {
            let start = parser.next;
            parser.next += 1;
            if parser.take().kind == Kind::Define {
                parser.definition()?;
                continue;
            }
            parser.next = start;
        }
        match parser.text_or_action()? {
            Parsed::Node(node) => list.push(node),
            Parsed::End(end) => return Err(parser.error(&format!("unexpected {}", end.text()))),
        }
    }
    Ok((list, parser.definitions))
}

impl Parser<'_> {
    fn error(&self, message: &str) -> Error {
        let at = self.tokens[self.next.min(self.tokens.len() - 1)].pos;
        self.error_at(at, message)
    }

    fn error_at(&self, pos: usize, message: &str) -> Error {
        let line = 1 + self.input[..pos.min(self.input.len())].matches('\n').count();
        Error::new(format!("template: :{line}: {message}"))
    }

    fn unexpected(&self, token: &Token, context: &str) -> Error {
        if token.kind == Kind::Error {
            self.error_at(token.pos, &token.text)
        } else {
            self.error_at(token.pos, &format!("unexpected {} in {context}", token.describe()))
        }
    }

    /// Returns the token that stands next, be it a space.
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_word(&mut self) -> &Token {
        self.skip_space();
        self.peek()
    }

    fn take_any(&mut self) -> Token {
        let token = self.peek().clone();
        if self.next < self.tokens.len() {
            self.next += 1;
        }
        token
    }

    fn take(&mut self) -> Token {
        self.skip_space();
        self.take_any()
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token> {
        let token = self.take();
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(&token, context)) }
    }

    fn definition(&mut self) -> Result<()> {
        let context = "define clause";
        let name = self.template_name(context)?;
        self.expect(Kind::RightDelim, context)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let (list, end) = self.list()?;
        self.variables = outer;
        if matches!(end, ListEnd::Else) {
            return Err(self.error(&format!("unexpected {} in {context}", end.text())));
        }
        self.definitions.insert(name, list);
        Ok(())
    }

    fn template_name(&mut self, context: &str) -> Result<String> {
        let token = self.take();
        match token.kind {
            Kind::String | Kind::RawString => self.unquote(&token),
            _ => Err(self.unexpected(&token, context)),
        }
    }

    fn unquote(&self, token: &Token) -> Result<String> {
        if token.kind == Kind::RawString {
            return Ok(token.text[1..token.text.len() - 1].to_owned());
        }
        super::print::unquote(&token.text).ok_or_else(|| self.error_at(token.pos, "invalid syntax"))
    }

    /// Parses nodes up to `{{end}}` or `{{else}}`.
    fn list(&mut self) -> Result<(List, ListEnd)> {
        let mut list = Vec::new();
        while self.peek_word().kind != Kind::Eof {
            match self.text_or_action()? {
                Parsed::Node(node) => list.push(node),
                Parsed::End(end) => return Ok((list, end)),
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn text_or_action(&mut self) -> Result<Parsed> {
        let token = self.take();
        match token.kind {
            Kind::Text => Ok(Parsed::Node(Node::Text(token.text))),
            Kind::LeftDelim => self.action(),
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<Parsed> {
        self.skip_space();
        let start = self.next;
        let token = self.take();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break | Kind::Continue => {
                let context = format!("{{{{{}}}}}", token.text);
                let end = self.take();
                if end.kind != Kind::RightDelim {
                    return Err(self.unexpected(&end, &context));
                }
                if self.ranges == 0 {
                    return Err(self.error_at(token.pos, &format!("{context} outside {{{{range}}}}")));
                }
                if token.kind == Kind::Break { Node::Break } else { Node::Continue }
            }
            Kind::Else => {
                if !matches!(self.peek_word().kind, Kind::If | Kind::With) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Parsed::End(ListEnd::Else));
            }
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Parsed::End(ListEnd::End));
            }
            Kind::If => Node::If(self.branch("if")?),
            Kind::With => Node::With(self.branch("with")?),
            Kind::Range => Node::Range(self.branch("range")?),
            Kind::Template => {
                let context = "template clause";
                let pos = self.peek_word().pos;
                let name = self.template_name(context)?;
                let pipe = if self.peek_word().kind == Kind::RightDelim {
                    self.next += 1;
                    None
                } else {
                    Some(self.pipeline(context, Kind::RightDelim)?)
                };
                Node::Template { pos, name, pipe }
            }
            _ => {
                self.next = start;
                Node::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Parsed::Node(node))
    }

    fn block(&mut self) -> Result<Node> {
        let context = "block clause";
        let pos = self.peek_word().pos;
        let name = self.template_name(context)?;
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let outer = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let (list, end) = self.list()?;
        self.variables = outer;
        if matches!(end, ListEnd::Else) {
            return Err(self.error(&format!("unexpected {} in {context}", end.text())));
        }
        self.definitions.insert(name.clone(), list);
        Ok(Node::Template { pos, name, pipe: Some(pipe) })
    }

    fn branch(&mut self, context: &str) -> Result<Branch> {
        let outer = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let in_range = usize::from(context == "range");
        self.ranges += in_range;
        let body = self.list();
        self.ranges -= in_range;
        let (body, end) = body?;
        let otherwise = match (end, context, self.peek().kind) {
            (ListEnd::End, ..) => None,
            (ListEnd::Else, "if", Kind::If) => {
                self.next += 1;
                Some(vec![Node::If(self.branch("if")?)])
            }
            (ListEnd::Else, "with", Kind::With) => {
                self.next += 1;
                Some(vec![Node::With(self.branch("with")?)])
            }
            (ListEnd::Else, ..) => {
                let (list, end) = self.list()?;
                if matches!(end, ListEnd::Else) {
                    return Err(self.error(&format!("expected end; found {}", end.text())));
                }
                Some(list)
            }
        };
        self.variables.truncate(outer);
        Ok(Branch { pipe, body, otherwise })
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let mut pipe = Pipe { variables: Vec::new(), assigns: false, commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.peek_word().clone();
            match token.kind {
                kind if kind == end => {
                    self.next += 1;
                    self.check(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => pipe.commands.push(self.command()?),
                _ => return Err(self.unexpected(&token, context)),
            }
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<()> {
        while self.peek_word().kind == Kind::Variable {
            let start = self.next;
            let variable = self.take().text;
            match self.peek_word().kind {
                kind @ (Kind::Assign | Kind::Declare) => {
                    self.next += 1;
                    pipe.assigns = kind == Kind::Assign;
                    if pipe.assigns && !self.variables.contains(&variable) {
                        return Err(self.error(&format!("undefined variable {}", quote(&variable))));
                    }
                    pipe.variables.push(variable.clone());
                    self.variables.push(variable);
                    return Ok(());
                }
                Kind::Comma => {
                    self.next += 1;
                    pipe.variables.push(variable.clone());
                    self.variables.push(variable);
                    if context != "range" || pipe.variables.len() >= 2 {
                        return Err(self.error(&format!("too many declarations in {context}")));
                    }
                    if !matches!(self.peek_word().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen)
                    {
                        return Err(self.error("range can only initialize variables"));
                    }
                }
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Result<()> {
        if pipe.commands.is_empty() {
            return Err(self.error(&format!("missing value for {context}")));
        }
        for (stage, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.words[0].kind,
                OperandKind::Bool(_)
                    | OperandKind::Dot
                    | OperandKind::Nil
                    | OperandKind::Written(..)
                    | OperandKind::Text(_)
            ) {
                return Err(self.error(&format!("non executable command in pipeline stage {}", stage + 1)));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command> {
        let mut words = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                words.push(operand);
            }
            let token = self.take_any();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.next -= 1,
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if words.is_empty() { Err(self.error("empty command")) } else { Ok(Command { words }) }
    }

    fn operand(&mut self) -> Result<Option<Operand>> {
        let Some(mut operand) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        // Go gives a chain of fields the place of its second field.
        let pos = self.peek().pos;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.take_any().text[1..].to_owned());
        }
        match &mut operand.kind {
            OperandKind::Field(first) | OperandKind::Variable(first) => {
                first.append(&mut names);
                operand.pos = pos;
            }
            OperandKind::Identifier(_) | OperandKind::Pipe(_) => {
                operand = Operand { pos, kind: OperandKind::Chain(Box::new(operand), names) };
            }
            _ => {
                let term = quote(&operand.text());
                return Err(self.error(&format!("unexpected . after term {term}")));
            }
        }
        Ok(Some(operand))
    }

    fn term(&mut self) -> Result<Option<Operand>> {
        let token = self.peek_word().clone();
        let kind = match token.kind {
            Kind::Identifier => {
                if !builtin::exists(&token.text) {
                    return Err(self.error(&format!("function {} not defined", quote(&token.text))));
                }
                OperandKind::Identifier(token.text.clone())
            }
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Bool => OperandKind::Bool(token.text == "true"),
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    return Err(self.error(&format!("undefined variable {}", quote(&token.text))));
                }
                OperandKind::Variable(vec![token.text.clone()])
            }
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_owned()]),
            Kind::CharConstant | Kind::Number => {
                let number = number(&token).ok_or_else(|| {
                    let what = if token.kind == Kind::CharConstant {
                        "malformed character constant"
                    } else {
                        "illegal number syntax"
                    };
                    self.error(&format!("{what}: {}", quote(&token.text)))
                })?;
                OperandKind::Written(Box::new(number), token.text.clone())
            }
            Kind::LeftParen => {
                self.next += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                return Ok(Some(Operand { pos: token.pos, kind: OperandKind::Pipe(pipe) }));
            }
            Kind::String | Kind::RawString => OperandKind::Text(self.unquote(&token)?),
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(Operand { pos: token.pos, kind }))
    }
}

/// Reads a number as Go writes them, or a character.
fn number(token: &Token) -> Option<OperandKind> {
    if token.kind == Kind::CharConstant {
        let inner = &token.text[1..token.text.len() - 1];
        let quoted =
            if inner == "\\'" { "\"'\"".to_owned() } else { format!("\"{}\"", inner.replace('"', "\\\"")) };
        let text = super::print::unquote(&quoted)?;
        let mut chars = text.chars();
        let c = chars.next().filter(|_| chars.next().is_none())?;
        return Some(OperandKind::Int(i64::from(u32::from(c))));
    }
    let text = token.text.replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match (lower.get(..2), lower.get(2..)) {
        (Some("0x"), Some(body)) => (16, body),
        (Some("0o"), Some(body)) => (8, body),
        (Some("0b"), Some(body)) => (2, body),
        _ if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) => {
            (8, &lower[1..])
        }
        _ => (10, lower.as_str()),
    };
    if let Ok(value) = i64::from_str_radix(&format!("{sign}{body}"), radix) {
        return Some(OperandKind::Int(value));
    }
    if radix != 10 {
        return None;
    }
    format!("{sign}{body}").parse().ok().map(OperandKind::Float)
}
