//! A parsed template over a document.

use serde_json::{Map, Value};

use super::builtin::{self, Param};
use super::parse::{Branch, Command, List, Node, Operand, OperandKind, Pipe};
use super::print;
use super::{Error, Shapes, Template};

/// How deep templates may call each other.
const MAX_DEPTH: usize = 1000;

/// What the document is.
pub(super) enum Mode<'a> {
    Document,
    /// Fields are asked for by their names in Go, `MediaType`, where JSON has `mediaType`.
    GoNames,
    /// A row of a list, with its labels.
    Row(&'a Map<String, Value>),
    /// The column heads of a table.
    Heads,
}

/// What kind of Go value a JSON value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Struct,
    Map,
    List,
    /// Of no type: a map, and so is every object below it.
    Free,
}

impl Shape {
    /// Returns the shape of what an object or a list of this shape holds, unless its name tells.
    pub(super) fn below(self) -> Self {
        if self == Self::Free { Self::Free } else { Self::Struct }
    }
}

/// A value in flight.
#[derive(Debug, Clone)]
pub(super) enum Val<'d> {
    /// Go's invalid value: what a missing key of a map gives.
    Missing,
    /// Part of the document.
    Data(&'d Value, Shape),
    /// Made by the template.
    Made(Value),
}

impl Val<'_> {
    /// Returns the value; nothing is null.
    pub(super) fn get(&self) -> &Value {
        match self {
            Self::Missing => &Value::Null,
            Self::Data(value, _) => value,
            Self::Made(value) => value,
        }
    }

    /// Returns the value as a function's argument or a printed word sees it.
    pub(super) fn settled(&self) -> Value {
        match self {
            Self::Data(Value::Null, Shape::Map) => Value::Object(Map::new()),
            Self::Data(Value::Null, Shape::List) => Value::Array(Vec::new()),
            other => other.get().clone(),
        }
    }

    /// Tells whether Go's templates count the value as true.
    pub(super) fn truth(&self) -> bool {
        match self.get() {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(map) => !map.is_empty() || matches!(self, Self::Data(_, Shape::Struct)),
        }
    }
}

enum Flow {
    Next,
    Break,
    Continue,
}

type Result<T> = std::result::Result<T, Error>;

/// Executes a template.
pub(super) fn run(template: &Template, document: &Value, shapes: &Shapes, mode: &Mode<'_>) -> Result<String> {
    let shape = if matches!(mode, Mode::Heads) { Shape::Map } else { Shape::Struct };
    let dot = Val::Data(document, shape);
    let mut state = State {
        template,
        document,
        shapes,
        mode,
        name: String::new(),
        out: String::new(),
        variables: vec![("$".to_owned(), dot.clone())],
        depth: 0,
    };
    state.list(&dot, &template.list)?;
    Ok(state.out)
}

struct State<'t, 'd> {
    template: &'t Template,
    document: &'d Value,
    shapes: &'t Shapes,
    mode: &'t Mode<'t>,
    name: String,
    out: String,
    variables: Vec<(String, Val<'d>)>,
    depth: usize,
}

impl<'t, 'd> State<'t, 'd> {
    fn fail<T>(&self, at: &Operand, message: &str) -> Result<T> {
        self.fail_at(at.pos, &at.text(), message)
    }

    fn fail_at<T>(&self, pos: usize, node: &str, message: &str) -> Result<T> {
        let before = &self.template.text[..pos];
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(pos, |newline| pos - newline - 1);
        let name = print::quote(&self.name);
        Err(Error::new(format!("template: :{line}:{column}: executing {name} at <{node}>: {message}")))
    }

    fn list(&mut self, dot: &Val<'d>, list: &'t List) -> Result<Flow> {
        for node in list {
            match self.node(dot, node)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Val<'d>, node: &'t Node) -> Result<Flow> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.print(&value);
                }
            }
            Node::If(branch) | Node::With(branch) => {
                let mark = self.variables.len();
                let value = self.pipe(dot, &branch.pipe)?;
                let flow = if value.truth() {
                    let inner = if matches!(node, Node::With(_)) { &value } else { dot };
                    self.list(inner, &branch.body)?
                } else {
                    match &branch.otherwise {
                        Some(list) => self.list(dot, list)?,
                        None => Flow::Next,
                    }
                };
                self.variables.truncate(mark);
                return Ok(flow);
            }
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template { pos, name, pipe } => self.call(dot, *pos, name, pipe.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Val<'d>) {
        match value {
            Val::Missing => self.out.push_str("<no value>"),
            value => print::plain(&mut self.out, &value.settled()),
        }
    }

    fn range(&mut self, dot: &Val<'d>, branch: &'t Branch) -> Result<Flow> {
        let mark = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let inner = self.variables.len();
        let items: Vec<(Value, Val<'d>)> = match &value {
            Val::Missing => Vec::new(),
            value => match value.get() {
                Value::Null => Vec::new(),
                Value::Array(items) => {
                    (0..items.len()).map(|i| (Value::from(i), element(value, i))).collect()
                }
                Value::Object(map) => {
                    map.keys().map(|key| (Value::from(key.as_str()), self.child(value, key))).collect()
                }
                Value::Number(number) if !number.is_f64() => {
                    if branch.pipe.variables.len() > 1 {
                        let message = format!("can't use {number} to iterate over more than one variable");
                        return self.fail(branch.pipe.last_word(), &message);
                    }
                    (0..number.as_i64().unwrap_or(0)).map(|i| (Value::Null, Val::Made(i.into()))).collect()
                }
                other => {
                    let mut text = String::new();
                    print::plain(&mut text, other);
                    let message = format!("range can't iterate over {text}");
                    return self.fail(branch.pipe.last_word(), &message);
                }
            },
        };
        let mut flow = Flow::Next;
        if items.is_empty()
            && let Some(list) = &branch.otherwise
        {
            flow = self.list(dot, list)?;
        }
        for (index, item) in items {
            let names = &branch.pipe.variables;
            let (first, second) = match names.len() {
                0 => (None, None),
                1 => (Some(item.clone()), None),
                _ => (Some(Val::Made(index)), Some(item.clone())),
            };
            for (name, value) in names.iter().zip([first, second].into_iter().flatten()) {
                self.assign(name, value);
            }
            let step = self.list(&item, &branch.body)?;
            self.variables.truncate(inner);
            if matches!(step, Flow::Break) {
                break;
            }
        }
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn call(&mut self, dot: &Val<'d>, pos: usize, name: &str, pipe: Option<&'t Pipe>) -> Result<()> {
        let node = || {
            let argument = pipe.map_or(String::new(), |pipe| {
                let commands: Vec<String> = pipe.commands.iter().map(Command::text).collect();
                format!(" {}", commands.join(" | "))
            });
            format!("{{{{template {}{argument}}}}}", print::quote(name))
        };
        let template = self.template;
        let Some(list) = template.definitions.get(name) else {
            let message = format!("template {} not defined", print::quote(name));
            return self.fail_at(pos, &node(), &message);
        };
        if self.depth == MAX_DEPTH {
            let message = format!("exceeded maximum template depth ({MAX_DEPTH})");
            return self.fail_at(pos, &node(), &message);
        }
        let dot = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Val::Missing,
        };
        let variables = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        let outer = std::mem::replace(&mut self.name, name.to_owned());
        self.depth += 1;
        let done = self.list(&dot, list);
        self.depth -= 1;
        self.name = outer;
        self.variables = variables;
        done.map(|_| ())
    }

    fn assign(&mut self, name: &str, value: Val<'d>) {
        if let Some(variable) = self.variables.iter_mut().rev().find(|variable| variable.0 == name) {
            variable.1 = value;
        }
    }

    fn pipe(&mut self, dot: &Val<'d>, pipe: &'t Pipe) -> Result<Val<'d>> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Val::Missing);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone());
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Val<'d>, command: &'t Command, last: Option<Val<'d>>) -> Result<Val<'d>> {
        let first = &command.words[0];
        let rest = &command.words[1..];
        match &first.kind {
            OperandKind::Field(names) => self.fields(dot, dot.clone(), first, names, rest, last),
            OperandKind::Chain(inner, names) => {
                let receiver = self.operand(dot, inner)?;
                self.fields(dot, receiver, inner.last_word(), names, rest, last)
            }
            OperandKind::Variable(names) => {
                let receiver = self.variable(&names[0]);
                if names.len() == 1 {
                    self.no_arguments(first, rest, last.as_ref())?;
                    return Ok(receiver);
                }
                self.fields(dot, receiver, first, &names[1..], rest, last)
            }
            OperandKind::Identifier(name) => self.function(dot, first, name, command, rest, last),
            _ => {
                self.no_arguments(first, rest, last.as_ref())?;
                match &first.kind {
                    OperandKind::Pipe(pipe) => self.pipe(dot, pipe),
                    OperandKind::Nil => self.fail(first, "nil is not a command"),
                    OperandKind::Dot => Ok(dot.clone()),
                    kind => Ok(Val::Made(constant(kind))),
                }
            }
        }
    }

    fn no_arguments(&self, first: &Operand, rest: &[Operand], last: Option<&Val<'d>>) -> Result<()> {
        if rest.is_empty() && last.is_none() {
            return Ok(());
        }
        let text = match first.kind {
            OperandKind::Pipe(_) => format!("({})", first.text()),
            _ => first.text(),
        };
        self.fail(first, &format!("can't give argument to non-function {text}"))
    }

    fn variable(&self, name: &str) -> Val<'d> {
        let found = self.variables.iter().rev().find(|variable| variable.0 == name);
        found.map_or(Val::Missing, |variable| variable.1.clone())
    }

    /// Walks a chain of fields; the last may be a method with arguments.
    fn fields(
        &mut self,
        dot: &Val<'d>,
        receiver: Val<'d>,
        node: &'t Operand,
        names: &'t [String],
        arguments: &'t [Operand],
        last: Option<Val<'d>>,
    ) -> Result<Val<'d>> {
        let mut value = receiver;
        let Some((method, names)) = names.split_last() else { return Ok(value) };
        for name in names {
            value = self.field(&value, node, name)?;
        }
        if let (Mode::Row(_) | Mode::Heads, "Label") = (self.mode, method.as_str())
            && std::ptr::eq(value.get(), self.document)
        {
            let mut words = Vec::new();
            for argument in arguments {
                words.push(self.argument(dot, argument, Param::Text)?);
            }
            words.extend(last);
            return self.label(node, &words);
        }
        if !arguments.is_empty() || last.is_some() {
            let has_it = value.get().get(method).is_some();
            let message = if has_it {
                format!("{method} is not a method but has arguments")
            } else {
                self.no_such_field(&value, method)
            };
            return self.fail(node, &message);
        }
        self.field(&value, node, method)
    }

    fn label(&self, node: &Operand, words: &[Val<'d>]) -> Result<Val<'d>> {
        let [word] = words else {
            let message = format!("wrong number of args for Label: want 1 got {}", words.len());
            return self.fail(node, &message);
        };
        let name = word.get().as_str().unwrap_or_default();
        Ok(Val::Made(match self.mode {
            Mode::Row(labels) => labels.get(name).cloned().unwrap_or_else(|| Value::from("")),
            _ => Value::from(name.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " ")),
        }))
    }

    fn no_such_field(&self, value: &Val<'d>, name: &str) -> String {
        match (value, value.get()) {
            (Val::Data(Value::Null, _), _) => format!("nil pointer evaluating interface {{}}.{name}"),
            (Val::Data(found, _), Value::Object(_)) => match self.shapes.type_name {
                Some(kind) if std::ptr::eq(*found, self.document) => {
                    format!("can't evaluate field {name} in type {kind}")
                }
                _ => format!("map has no entry for key {}", print::quote(name)),
            },
            (Val::Data(..), _) => format!("can't evaluate field {name} in type interface {{}}"),
            (_, made) => format!("can't evaluate field {name} in type {}", print::type_name(made)),
        }
    }

    fn field(&self, value: &Val<'d>, node: &Operand, name: &str) -> Result<Val<'d>> {
        match value {
            Val::Missing => Ok(Val::Missing),
            value if value.get().get(name).is_some() => Ok(self.child(value, name)),
            Val::Data(Value::Object(_) | Value::Null, Shape::Map | Shape::Free) => Ok(Val::Missing),
            value => match go_name(value.get(), name).filter(|_| matches!(self.mode, Mode::GoNames)) {
                Some(key) => Ok(self.child(value, &key)),
                None => self.fail(node, &self.no_such_field(value, name)),
            },
        }
    }

    /// Returns the value at a key, with the shape that its name tells.
    fn child(&self, value: &Val<'d>, key: &str) -> Val<'d> {
        match value {
            Val::Data(object, shape @ (Shape::Map | Shape::Free)) => {
                object.get(key).map_or(Val::Missing, |v| Val::Data(v, shape.below()))
            }
            Val::Data(object, _) => {
                object.get(key).map_or(Val::Missing, |v| Val::Data(v, self.shape_of(key)))
            }
            Val::Made(object) => object.get(key).cloned().map_or(Val::Missing, Val::Made),
            Val::Missing => Val::Missing,
        }
    }

    fn shape_of(&self, key: &str) -> Shape {
        if self.shapes.maps.contains(&key) {
            Shape::Map
        } else if self.shapes.lists.contains(&key) {
            Shape::List
        } else if self.shapes.free.contains(&key) {
            Shape::Free
        } else {
            Shape::Struct
        }
    }

    fn function(
        &mut self,
        dot: &Val<'d>,
        node: &'t Operand,
        name: &str,
        command: &'t Command,
        arguments: &'t [Operand],
        last: Option<Val<'d>>,
    ) -> Result<Val<'d>> {
        let count = arguments.len() + usize::from(last.is_some());
        let heads = matches!(self.mode, Mode::Heads);
        let (params, rest) = builtin::signature(name, heads);
        if rest.is_some() && count < params.len() {
            let want = params.len();
            let message = format!("wrong number of args for {name}: want at least {want} got {count}");
            return self.fail(node, &message);
        }
        if rest.is_none() && count != params.len() {
            let want = params.len();
            return self.fail(node, &format!("wrong number of args for {name}: want {want} got {count}"));
        }
        if matches!(name, "and" | "or") {
            return self.short_circuit(dot, name == "or", arguments, last);
        }
        let param = |index: usize| params.get(index).copied().or(rest).unwrap_or(Param::Any);
        let mut values = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(dot, argument, param(index))?);
        }
        if let Some(last) = last {
            self.check(node, &last, param(values.len()))?;
            values.push(last);
        }
        if name == "call" {
            let message = match (values[0].get(), arguments.first()) {
                (Value::Null, _) | (_, None) => "error calling call: call of nil".to_owned(),
                (value, Some(word)) => format!(
                    "error calling call: non-function {} of type {}",
                    word.text(),
                    print::type_name(value)
                ),
            };
            return self.fail_at(node.pos, &command.text(), &message);
        }
        let called = builtin::call(name, &values, heads);
        called.or_else(|message| {
            self.fail_at(node.pos, &command.text(), &format!("error calling {name}: {message}"))
        })
    }

    fn short_circuit(
        &mut self,
        dot: &Val<'d>,
        until: bool,
        arguments: &'t [Operand],
        last: Option<Val<'d>>,
    ) -> Result<Val<'d>> {
        let mut value = Val::Missing;
        for argument in arguments {
            value = self.argument(dot, argument, Param::Any)?;
            if value.truth() == until {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Val<'d>, argument: &'t Operand, param: Param) -> Result<Val<'d>> {
        let expected = match (param, &argument.kind) {
            (Param::Text, OperandKind::Bool(_) | OperandKind::Written(..) | OperandKind::Nil) => "string",
            (Param::Int, OperandKind::Bool(_) | OperandKind::Text(_)) => "integer",
            (Param::Int, OperandKind::Written(number, _)) if !matches!(**number, OperandKind::Int(_)) => {
                "integer"
            }
            (Param::Int, OperandKind::Nil) => "int",
            _ => "",
        };
        if !expected.is_empty() {
            let message = if matches!(argument.kind, OperandKind::Nil) {
                format!("cannot assign nil to {expected}")
            } else {
                format!("expected {expected}; found {}", argument.text())
            };
            return self.fail(argument, &message);
        }
        let value = self.operand(dot, argument)?;
        self.check(argument, &value, param)?;
        Ok(value)
    }

    fn check(&self, node: &Operand, value: &Val<'d>, param: Param) -> Result<()> {
        let expected = match (param, value.get()) {
            (Param::Any, _) | (Param::Text, Value::String(_)) => return Ok(()),
            (Param::Int, Value::Number(number)) if !number.is_f64() => return Ok(()),
            (Param::Text, _) => "string",
            (Param::Int, _) => "int",
        };
        let message = match value {
            Val::Missing => format!("invalid value; expected {expected}"),
            value => {
                let got = print::type_name(value.get());
                format!("wrong type for value; expected {expected}; got {got}")
            }
        };
        self.fail(node, &message)
    }

    /// Evaluates one word that stands as an argument.
    fn operand(&mut self, dot: &Val<'d>, operand: &'t Operand) -> Result<Val<'d>> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Val::Made(Value::Null)),
            OperandKind::Field(names) => self.fields(dot, dot.clone(), operand, names, &[], None),
            OperandKind::Variable(names) => {
                let receiver = self.variable(&names[0]);
                self.fields(dot, receiver, operand, &names[1..], &[], None)
            }
            OperandKind::Pipe(pipe) => self.pipe(dot, pipe),
            OperandKind::Identifier(name) => {
                let (params, rest) = builtin::signature(name, matches!(self.mode, Mode::Heads));
                if !params.is_empty() {
                    let least = if rest.is_some() { "at least " } else { "" };
                    let want = params.len();
                    let message = format!("wrong number of args for {name}: want {least}{want} got 0");
                    return self.fail(operand, &message);
                }
                builtin::call(name, &[], false)
                    .or_else(|message| self.fail(operand, &format!("error calling {name}: {message}")))
            }
            OperandKind::Chain(inner, names) => {
                let receiver = self.operand(dot, inner)?;
                self.fields(dot, receiver, inner.last_word(), names, &[], None)
            }
            kind => Ok(Val::Made(constant(kind))),
        }
    }
}

/// Returns an element of a list.
pub(super) fn element<'d>(list: &Val<'d>, index: usize) -> Val<'d> {
    match list {
        Val::Data(items, shape) => items.get(index).map_or(Val::Missing, |v| Val::Data(v, shape.below())),
        Val::Made(items) => items.get(index).cloned().map_or(Val::Missing, Val::Made),
        Val::Missing => Val::Missing,
    }
}

fn constant(kind: &OperandKind) -> Value {
    match kind {
        OperandKind::Bool(value) => Value::from(*value),
        OperandKind::Int(value) => Value::from(*value),
        OperandKind::Float(value) => Value::from(*value),
        OperandKind::Text(text) => Value::from(text.as_str()),
        OperandKind::Written(number, _) => constant(number),
        _ => Value::Null,
    }
}

/// Finds the key of an object whose field Go calls `name`: `os.version` for `OSVersion`.
fn go_name(object: &Value, name: &str) -> Option<String> {
    let plain = |text: &str| text.replace(['.', '_'], "").to_ascii_lowercase();
    let wanted = plain(name);
    object.as_object()?.keys().find(|key| plain(key) == wanted).cloned()
}
