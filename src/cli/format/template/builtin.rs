//! The functions of a template: Go's own and Docker's.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::Value;

use super::eval::{Shape, Val, element};
use super::print;
use crate::cli::format::order::Ordered;

/// What a function wants in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Param {
    Any,
    Text,
    Int,
}

/// Tells whether there is a function of that name.
pub(super) fn exists(name: &str) -> bool {
    matches!(
        name,
        "and"
            | "or"
            | "not"
            | "len"
            | "index"
            | "slice"
            | "print"
            | "printf"
            | "println"
            | "html"
            | "js"
            | "urlquery"
            | "eq"
            | "ne"
            | "lt"
            | "le"
            | "gt"
            | "ge"
            | "call"
            | "json"
            | "split"
            | "join"
            | "title"
            | "lower"
            | "upper"
            | "pad"
            | "truncate"
    )
}

/// Returns what a function takes: its fixed parameters, and what may follow them.
pub(super) fn signature(name: &str, heads: bool) -> (&'static [Param], Option<Param>) {
    use Param::{Any, Int, Text};
    match name {
        "json" if heads => (&[Text], None),
        "not" | "len" | "json" => (&[Any], None),
        "ne" | "lt" | "le" | "gt" | "ge" => (&[Any, Any], None),
        "and" | "or" | "index" | "slice" | "eq" | "call" => (&[Any], Some(Any)),
        "printf" => (&[Text], Some(Any)),
        "split" => (&[Text, Text], None),
        "join" => (if heads { &[Text, Text] } else { &[Any, Text] }, None),
        "title" | "lower" | "upper" => (&[Text], None),
        "pad" => (&[Text, Int, Int], None),
        "truncate" => (&[Text, Int], None),
        _ => (&[], Some(Any)),
    }
}

type Called<'d> = Result<Val<'d>, String>;

/// Calls a function. The number and the types of `values` are right.
pub(super) fn call<'d>(name: &str, values: &[Val<'d>], heads: bool) -> Called<'d> {
    if heads && matches!(name, "json" | "split" | "join" | "title" | "lower" | "upper" | "truncate") {
        return Ok(values[0].clone());
    }
    let text = |index: usize| values[index].get().as_str().unwrap_or_default();
    let number = |index: usize| values[index].get().as_i64().unwrap_or_default();
    let settled = || values.iter().map(Val::settled).collect::<Vec<_>>();
    let made = |value: String| Ok(Val::Made(Value::from(value)));
    match name {
        "not" => Ok(Val::Made(Value::from(!values[0].truth()))),
        "len" => length(&values[0]),
        "index" => index(values),
        "slice" => slice(values),
        "print" => made(print::sprint(&settled())),
        "println" => made(print::sprintln(&settled())),
        "printf" => made(print::sprintf(text(0), &settled()[1..])),
        "html" => made(html(&one_text(&settled()))),
        "js" => made(js(&one_text(&settled()))),
        "urlquery" => made(urlquery(&one_text(&settled()))),
        "eq" => equal_to_any(values),
        "ne" => Ok(Val::Made(Value::from(!equal(values[0].get(), values[1].get())?))),
        "lt" | "le" | "gt" | "ge" => ordered(name, values[0].get(), values[1].get()),
        "json" => made(Ordered(values[0].get()).line()),
        "split" => Ok(Val::Made(match (text(0), text(1)) {
            (whole, "") => whole.chars().map(|c| Value::from(c.to_string())).collect(),
            (whole, separator) => whole.split(separator).map(Value::from).collect(),
        })),
        "join" => join(&values[0], text(1)),
        "title" => made(title(text(0))),
        "lower" => made(text(0).to_lowercase()),
        "upper" => made(text(0).to_uppercase()),
        "pad" => {
            let spaces = |count: i64| " ".repeat(usize::try_from(count.clamp(0, 1 << 20)).unwrap_or(0));
            made(match text(0) {
                "" => String::new(),
                source => format!("{}{source}{}", spaces(number(1)), spaces(number(2))),
            })
        }
        "truncate" => {
            let source = text(0);
            match usize::try_from(number(1)) {
                Ok(length) if source.len() < length => made(source.to_owned()),
                Ok(length) => made(String::from_utf8_lossy(&source.as_bytes()[..length]).into_owned()),
                Err(_) => Err(format!("slice bounds out of range [:{}]", number(1))),
            }
        }
        // `and`, `or` and `call` are handled where their arguments are evaluated.
        name => Err(format!("no function {name}")),
    }
}

fn length<'d>(value: &Val<'d>) -> Called<'d> {
    let length = match (value, value.get()) {
        (_, Value::String(text)) => text.len(),
        (_, Value::Array(items)) => items.len(),
        (_, Value::Object(map)) => map.len(),
        (Val::Data(_, Shape::Map | Shape::List), Value::Null) => 0,
        (_, Value::Null) => return Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        (_, other) => return Err(format!("len of type {}", print::type_name(other))),
    };
    Ok(Val::Made(Value::from(length)))
}

fn index_of(value: &Value, length: usize) -> Result<usize, String> {
    match value {
        Value::Number(number) if !number.is_f64() => {
            let wanted = number.as_i64().unwrap_or(i64::MAX);
            usize::try_from(wanted)
                .ok()
                .filter(|index| *index < length)
                .ok_or_else(|| format!("index out of range: {wanted}"))
        }
        Value::Null => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", print::type_name(other))),
    }
}

fn index<'d>(values: &[Val<'d>]) -> Called<'d> {
    let mut item = values[0].clone();
    for wanted in &values[1..] {
        let wanted = wanted.get();
        item = match (&item, item.get()) {
            (Val::Missing | Val::Made(Value::Null) | Val::Data(Value::Null, Shape::Struct), _) => {
                return Err("index of untyped nil".to_owned());
            }
            (_, Value::Array(items)) => {
                let at = index_of(wanted, items.len())?;
                element(&item, at)
            }
            (Val::Data(Value::Null, Shape::List), _) => {
                index_of(wanted, 0)?;
                Val::Missing
            }
            (_, Value::String(text)) => {
                Val::Made(Value::from(text.as_bytes()[index_of(wanted, text.len())?]))
            }
            (_, Value::Object(_) | Value::Null) => match wanted {
                Value::String(key) => entry(&item, key),
                Value::Null => return Err("value is nil; should be of type string".to_owned()),
                other => {
                    return Err(format!("value has type {}; should be string", print::type_name(other)));
                }
            },
            (_, other) => return Err(format!("can't index item of type {}", print::type_name(other))),
        };
    }
    Ok(item)
}

/// Returns a map's entry, or the zero value of its entries.
fn entry<'d>(map: &Val<'d>, key: &str) -> Val<'d> {
    match map {
        Val::Data(object, shape) => match object.get(key) {
            Some(value) => Val::Data(value, shape.below()),
            None if *shape != Shape::Map => Val::Missing,
            None => match object.as_object().and_then(|object| object.values().next()) {
                Some(Value::Array(_)) => Val::Made(Value::Array(Vec::new())),
                Some(Value::Object(_) | Value::Null) => Val::Made(Value::Null),
                _ => Val::Made(Value::from("")),
            },
        },
        Val::Made(object) => object.get(key).cloned().map_or(Val::Missing, Val::Made),
        Val::Missing => Val::Missing,
    }
}

fn slice<'d>(values: &[Val<'d>]) -> Called<'d> {
    let length = match values[0].get() {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Null => return Err("slice of untyped nil".to_owned()),
        other => return Err(format!("can't slice item of type {}", print::type_name(other))),
    };
    if values.len() > 4 {
        return Err(format!("too many slice indexes: {}", values.len() - 1));
    }
    if values.len() == 4 && values[0].get().is_string() {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let mut bounds = [0, length, length];
    for (bound, value) in bounds.iter_mut().zip(&values[1..]) {
        *bound = index_of(value.get(), length + 1)?;
    }
    let [from, to, _] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(Val::Made(match values[0].get() {
        Value::Array(items) => Value::Array(items[from..to].to_vec()),
        Value::String(text) => Value::from(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned()),
        _ => Value::Null,
    }))
}

/// Tells what can be compared with what.
fn comparable(value: &Value) -> Result<(), String> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            let mut text = String::new();
            print::plain(&mut text, value);
            Err(format!("non-comparable type {text}: {}", print::type_name(value)))
        }
        _ => Ok(()),
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    comparable(a)?;
    comparable(b)?;
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => Ok(a.is_null() && b.is_null()),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::String(a), Value::String(b)) => Ok(a == b),
        (Value::Number(x), Value::Number(y)) if x.is_f64() == y.is_f64() => Ok(x == y),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn equal_to_any<'d>(values: &[Val<'d>]) -> Called<'d> {
    if values.len() < 2 {
        return Err("missing argument for comparison".to_owned());
    }
    for value in &values[1..] {
        if equal(values[0].get(), value.get())? {
            return Ok(Val::Made(Value::from(true)));
        }
    }
    Ok(Val::Made(Value::from(false)))
}

fn ordered<'d>(name: &str, a: &Value, b: &Value) -> Called<'d> {
    let order = match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(x), Value::Number(y)) if x.is_f64() == y.is_f64() => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => x.as_f64().partial_cmp(&y.as_f64()).unwrap_or(Ordering::Less),
        },
        (Value::Bool(_), Value::Bool(_)) => return Err("invalid type for comparison".to_owned()),
        (Value::Array(_) | Value::Object(_) | Value::Null, _)
        | (_, Value::Array(_) | Value::Object(_) | Value::Null) => {
            return Err("invalid type for comparison".to_owned());
        }
        _ => return Err("incompatible types for comparison".to_owned()),
    };
    Ok(Val::Made(Value::from(match name {
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        "gt" => order.is_gt(),
        _ => order.is_ge(),
    })))
}

fn join<'d>(value: &Val<'d>, separator: &str) -> Called<'d> {
    let printed = |value: &Value| {
        let mut text = String::new();
        print::plain(&mut text, value);
        text
    };
    let words: Vec<String> = match value.get() {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(printed).collect(),
        Value::Object(map) => {
            let mut words: Vec<String> = map.values().map(printed).collect();
            words.sort();
            words
        }
        other => return Err(format!("expected slice, got {}", print::type_name(other))),
    };
    Ok(Val::Made(Value::from(words.join(separator))))
}

/// Makes the first letter of every word upper-case.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphanumeric() || matches!(c, '_' | '\'') || (!c.is_ascii() && !c.is_whitespace());
    }
    out
}

/// Makes one text of the arguments of an escaping function.
fn one_text(values: &[Value]) -> String {
    match values {
        [Value::String(text)] => text.clone(),
        values => print::sprint(values),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn urlquery(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
