//! The functions that expressions of bake files know: those of the standard ones that files of builds use.

use hcl::Value;
use hcl::eval::{Context, Func, FuncArgs, FuncDef, ParamType};

/// Names, the number of parameters (more, if it is negated), and what they do.
const ALL: &[(&str, isize, Func)] = &[
    ("add", 2, |it| number(&it, |a, b| a + b)),
    ("subtract", 2, |it| number(&it, |a, b| a - b)),
    ("multiply", 2, |it| number(&it, |a, b| a * b)),
    ("divide", 2, |it| number(&it, |a, b| a / b)),
    ("equal", 2, |it| Ok((it[0] == it[1]).into())),
    ("notequal", 2, |it| Ok((it[0] != it[1]).into())),
    ("lessthan", 2, |it| Ok((it[0].as_f64() < it[1].as_f64()).into())),
    ("greaterthan", 2, |it| Ok((it[0].as_f64() > it[1].as_f64()).into())),
    ("and", 2, |it| Ok((it[0] == Value::Bool(true) && it[1] == Value::Bool(true)).into())),
    ("or", 2, |it| Ok((it[0] == Value::Bool(true) || it[1] == Value::Bool(true)).into())),
    ("not", 1, |it| Ok((it[0] != Value::Bool(true)).into())),
    ("lower", 1, |it| Ok(text(&it, 0)?.to_lowercase().into())),
    ("upper", 1, |it| Ok(text(&it, 0)?.to_uppercase().into())),
    ("trimspace", 1, |it| Ok(text(&it, 0)?.trim().into())),
    ("trimprefix", 2, |it| Ok(text(&it, 0)?.strip_prefix(text(&it, 1)?).unwrap_or(text(&it, 0)?).into())),
    ("trimsuffix", 2, |it| Ok(text(&it, 0)?.strip_suffix(text(&it, 1)?).unwrap_or(text(&it, 0)?).into())),
    ("replace", 3, |it| Ok(text(&it, 0)?.replace(text(&it, 1)?, text(&it, 2)?).into())),
    ("split", 2, |it| Ok(Value::Array(text(&it, 1)?.split(text(&it, 0)?).map(Value::from).collect()))),
    ("join", -2, join),
    ("concat", -1, |it| Ok(Value::Array(lists(&it, 0)?.into_iter().flatten().cloned().collect()))),
    ("compact", 1, |it| {
        let said = lists(&it, 0)?.into_iter().flatten().filter(|value| value.as_str() != Some(""));
        Ok(Value::Array(said.cloned().collect()))
    }),
    ("contains", 2, |it| Ok(lists(&it, 0)?[0].contains(&it[1]).into())),
    ("length", 1, length),
    ("merge", -1, merge),
    ("coalesce", -1, |it| {
        let said = it.iter().find(|value| !value.is_null() && value.as_str() != Some(""));
        said.cloned().ok_or_else(|| "no argument says anything".to_owned())
    }),
];

/// Makes them known.
pub(super) fn declare(context: &mut Context<'_>) {
    for (name, count, function) in ALL {
        let mut definition = FuncDef::builder();
        for _ in 0..count.unsigned_abs().saturating_sub(usize::from(*count < 0)) {
            definition = definition.param(ParamType::Any);
        }
        if *count < 0 {
            definition = definition.variadic_param(ParamType::Any);
        }
        context.declare_func(*name, definition.build(*function));
    }
}

fn text(arguments: &FuncArgs, at: usize) -> Result<&str, String> {
    arguments[at].as_str().ok_or_else(|| format!("argument {} is not a text", at + 1))
}

fn lists(arguments: &FuncArgs, from: usize) -> Result<Vec<&Vec<Value>>, String> {
    let list = |value: &'_ Value| value.is_array();
    if !arguments[from..].iter().all(list) {
        return Err("an argument is not a list".to_owned());
    }
    let mut found: Vec<_> = arguments[from..].iter().filter_map(Value::as_array).collect();
    if let (0, [only]) = (from, found.as_slice()) {
        found = vec![only];
    }
    Ok(found)
}

fn number(arguments: &FuncArgs, act: fn(f64, f64) -> f64) -> Result<Value, String> {
    let (Some(one), Some(two)) = (arguments[0].as_f64(), arguments[1].as_f64()) else {
        return Err("an argument is not a number".to_owned());
    };
    let value = act(one, two);
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Ok((value as i64).into());
    }
    hcl::Number::from_f64(value).map(Value::Number).ok_or_else(|| "the result is no number".to_owned())
}

fn join(arguments: FuncArgs) -> Result<Value, String> {
    let lists = lists(&arguments, 1)?;
    let words = lists.into_iter().flatten().map(|value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        _ => Err("a value is not a text".to_owned()),
    });
    Ok(words.collect::<Result<Vec<_>, _>>()?.join(text(&arguments, 0)?).into())
}

fn length(arguments: FuncArgs) -> Result<Value, String> {
    match &arguments[0] {
        Value::Array(values) => Ok(values.len().into()),
        Value::Object(fields) => Ok(fields.len().into()),
        Value::String(text) => Ok(text.chars().count().into()),
        _ => Err("the argument has no length".to_owned()),
    }
}

fn merge(arguments: FuncArgs) -> Result<Value, String> {
    let mut all = hcl::Map::new();
    for value in arguments.iter() {
        let Value::Object(fields) = value else { return Err("an argument is not an object".to_owned()) };
        all.extend(fields.clone());
    }
    Ok(Value::Object(all))
}
