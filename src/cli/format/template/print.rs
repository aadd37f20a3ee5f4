//! Values as Go's `fmt` prints them.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// Quotes a text as Go's `strconv.Quote` does.
pub(in crate::cli) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            c => escape(&mut out, c),
        }
    }
    out.push('"');
    out
}

fn escape(out: &mut String, c: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if u32::from(c) < 0x20 || c == '\u{7f}' => {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        }
        c if c.is_control() || c == '\u{feff}' || (c.is_whitespace() && c != ' ') => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// Reads a text between double quotes as Go's `strconv.Unquote` does.
pub(super) fn unquote(quoted: &str) -> Option<String> {
    let mut chars = quoted.strip_prefix('"')?.strip_suffix('"')?.chars();
    let mut bytes = Vec::new();
    while let Some(c) = chars.next() {
        if c != '\\' {
            let mut buffer = [0; 4];
            bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let code = |value: u32| char::from_u32(value).map(|c| c.to_string().into_bytes());
        match chars.next()? {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            '"' => bytes.push(b'"'),
            'x' => bytes.push(u8::try_from(hex(&mut chars, 2, 16)?).ok()?),
            'u' => bytes.extend(code(hex(&mut chars, 4, 16)?)?),
            'U' => bytes.extend(code(hex(&mut chars, 8, 16)?)?),
            first @ '0'..='7' => {
                let value = first.to_digit(8)? * 64 + hex(&mut chars, 2, 8)?;
                bytes.push(u8::try_from(value).ok()?);
            }
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(chars: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    let mut value = 0;
    for _ in 0..count {
        value = value * radix + chars.next()?.to_digit(radix)?;
    }
    Some(value)
}

/// Names a value's type as `%T` does.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => "[]string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Writes a value as `%v` does.
pub(super) fn plain(out: &mut String, value: &Value) {
    Verb::plain().value(out, value, 'v');
}

/// Formats a float with the shortest digits that read back, as `%v` does: an exponent below 1e-4 and from 1e21 on.
fn shortest(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        go_exponent(&format!("{value:e}"))
    } else {
        format!("{value}")
    }
}

/// Turns Rust's `1.5e7` into Go's `1.5e+07`.
fn go_exponent(text: &str) -> String {
    let Some((digits, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(rest) => ('-', rest),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Formats a float with `precision` significant digits and no trailing zeros, as `%.<precision>g` does.
pub(in crate::cli) fn general(value: f64, precision: usize) -> String {
    let precision = precision.max(1);
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", precision - 1);
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let digits = i32::try_from(precision).unwrap_or(i32::MAX);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if exponent < -4 || exponent >= digits {
        let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return go_exponent(&format!("{}e{power}", trim(mantissa)));
    }
    let decimals = usize::try_from(digits - 1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

/// Joins values as `fmt.Sprint` does: a space between two that are both no strings.
pub(super) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 && !value.is_string() && !values[index - 1].is_string() {
            out.push(' ');
        }
        plain(&mut out, value);
    }
    out
}

/// Joins values as `fmt.Sprintln` does.
pub(super) fn sprintln(values: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        plain(&mut out, value);
    }
    out.push('\n');
    out
}

/// The flags, width and precision of one verb.
#[derive(Debug, Clone, Default)]
struct Verb {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats as `fmt.Sprintf` does.
pub(super) fn sprintf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    let mut reordered = false;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = chars.peek() {
            match flag {
                '+' => verb.plus = true,
                '-' => verb.minus = true,
                '#' => verb.sharp = true,
                ' ' => verb.space = true,
                '0' => verb.zero = true,
                _ => break,
            }
            chars.next();
        }
        let mut explicit = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, next: &mut usize| {
            if chars.peek() == Some(&'[') {
                chars.next();
                let digits: String = chars.by_ref().take_while(|c| *c != ']').collect();
                if let Ok(index) = digits.parse::<usize>() {
                    *next = index.saturating_sub(1);
                    reordered = true;
                }
            }
        };
        explicit(&mut chars, &mut next);
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>, next: &mut usize| {
            if chars.peek() == Some(&'*') {
                chars.next();
                let value = values.get(*next).and_then(Value::as_i64);
                *next += 1;
                return value;
            }
            let mut value = None;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                value = Some((value.unwrap_or(0) * 10 + i64::from(digit)).min(1_000_000));
                chars.next();
            }
            value
        };
        if let Some(width) = number(&mut chars, &mut next) {
            verb.minus |= width < 0;
            verb.width = usize::try_from(width.unsigned_abs()).ok().filter(|width| *width <= 1_000_000);
        }
        if chars.peek() == Some(&'.') {
            chars.next();
            explicit(&mut chars, &mut next);
            verb.precision = Some(
                number(&mut chars, &mut next).and_then(|value| usize::try_from(value).ok()).unwrap_or(0),
            );
        }
        explicit(&mut chars, &mut next);
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(letter) => match values.get(next) {
                Some(value) => {
                    verb.value(&mut out, value, letter);
                    next += 1;
                }
                None => {
                    let _ = write!(out, "%!{letter}(MISSING)");
                }
            },
        }
    }
    if !reordered && next < values.len() {
        let extra: Vec<String> = values[next..]
            .iter()
            .map(|value| match value {
                Value::Null => "<nil>".to_owned(),
                value => {
                    let mut text = format!("{}=", type_name(value));
                    plain(&mut text, value);
                    text
                }
            })
            .collect();
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

impl Verb {
    fn plain() -> Self {
        Self::default()
    }

    /// Pads a text to the width.
    fn pad(&self, out: &mut String, text: &str) {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.minus {
            out.push_str(text);
            out.extend(std::iter::repeat_n(' ', missing));
        } else {
            out.extend(std::iter::repeat_n(if self.zero { '0' } else { ' ' }, missing));
            out.push_str(text);
        }
    }

    fn bad(out: &mut String, value: &Value, letter: char) {
        let _ = write!(out, "%!{letter}(");
        match value {
            Value::Null => out.push_str("<nil>"),
            value => {
                let _ = write!(out, "{}=", type_name(value));
                plain(out, value);
            }
        }
        out.push(')');
    }

    fn value(&self, out: &mut String, value: &Value, letter: char) {
        match (value, letter) {
            (value, 'T') => self.pad(out, type_name(value)),
            (Value::Null, 'v') => self.pad(out, "<nil>"),
            (Value::Bool(value), 't' | 'v') => self.pad(out, &value.to_string()),
            (Value::String(text), _) => self.text(out, value, text, letter),
            (Value::Number(number), _) => self.number(out, value, number, letter),
            (Value::Array(items), _) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    self.value(out, item, letter);
                }
                out.push(']');
            }
            (Value::Object(map), _) => {
                out.push_str("map[");
                for (index, (key, item)) in map.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    self.value(out, &Value::String(key.clone()), letter);
                    out.push(':');
                    self.value(out, item, letter);
                }
                out.push(']');
            }
            (value, letter) => Self::bad(out, value, letter),
        }
    }

    fn text(&self, out: &mut String, value: &Value, text: &str, letter: char) {
        let cut: String = match self.precision {
            Some(count) => text.chars().take(count).collect(),
            None => text.to_owned(),
        };
        match letter {
            'v' if self.sharp => self.pad(out, &quote(&cut)),
            's' | 'v' => self.pad(out, &cut),
            'q' if self.sharp && !cut.contains('`') && !cut.chars().any(|c| c.is_control() && c != '\t') => {
                self.pad(out, &format!("`{cut}`"));
            }
            'q' => self.pad(out, &quote(&cut)),
            'x' | 'X' => {
                let mut hex = String::new();
                for (index, byte) in text.bytes().take(self.precision.unwrap_or(usize::MAX)).enumerate() {
                    if self.space && index > 0 {
                        hex.push(' ');
                    }
                    if self.sharp && (index == 0 || self.space) {
                        hex.push_str(if letter == 'x' { "0x" } else { "0X" });
                    }
                    let _ = if letter == 'x' { write!(hex, "{byte:02x}") } else { write!(hex, "{byte:02X}") };
                }
                self.pad(out, &hex);
            }
            _ => Self::bad(out, value, letter),
        }
    }

    fn number(&self, out: &mut String, value: &Value, number: &Number, letter: char) {
        let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        match integer {
            Some(integer) => self.integer(out, value, integer, letter),
            None => self.float(out, value, number.as_f64().unwrap_or(0.0), letter),
        }
    }

    fn integer(&self, out: &mut String, value: &Value, integer: i128, letter: char) {
        let size = integer.unsigned_abs();
        let prefix = |text: &'static str| if self.sharp { text } else { "" };
        let digits = match letter {
            'd' | 'v' => size.to_string(),
            'b' => format!("{}{size:b}", prefix("0b")),
            'o' => format!("{}{size:o}", prefix("0")),
            'O' => format!("0o{size:o}"),
            'x' => format!("{}{size:x}", prefix("0x")),
            'X' => format!("{}{size:X}", prefix("0X")),
            'c' | 'q' | 'U' => {
                let c = u32::try_from(integer).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                let text = match letter {
                    'c' => c.to_string(),
                    'U' => format!("U+{size:04X}"),
                    _ if c == '\'' => "'\\''".to_owned(),
                    _ => {
                        let mut text = String::from("'");
                        if c == '"' {
                            text.push('"');
                        } else {
                            escape(&mut text, c);
                        }
                        text.push('\'');
                        text
                    }
                };
                self.pad(out, &text);
                return;
            }
            _ => {
                Self::bad(out, value, letter);
                return;
            }
        };
        self.signed(out, integer < 0, digits, self.precision);
    }

    /// Writes digits with their sign: zeros go between the two.
    fn signed(&self, out: &mut String, negative: bool, digits: String, least: Option<usize>) {
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let wanted = match (least, self.width) {
            (Some(least), _) => least,
            (None, Some(width)) if self.zero && !self.minus => width.saturating_sub(sign.len()),
            _ => 0,
        };
        let zeros = "0".repeat(wanted.saturating_sub(digits.len()));
        let text = format!("{sign}{zeros}{digits}");
        Self { zero: false, ..self.clone() }.pad(out, &text);
    }

    fn float(&self, out: &mut String, value: &Value, float: f64, letter: char) {
        let size = float.abs();
        let digits = match letter {
            'v' | 'g' | 'G' => match self.precision {
                Some(precision) => general(size, precision),
                None => shortest(size),
            },
            'f' | 'F' => format!("{size:.*}", self.precision.unwrap_or(6)),
            'e' | 'E' => go_exponent(&format!("{size:.*e}", self.precision.unwrap_or(6))),
            _ => {
                Self::bad(out, value, letter);
                return;
            }
        };
        let digits = if matches!(letter, 'G' | 'E') { digits.to_uppercase() } else { digits };
        self.signed(out, float.is_sign_negative() && float != 0.0, digits, None);
    }
}
