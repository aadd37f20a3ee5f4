//! One file of `bake`, in HCL or as JSON, and the variables and functions that its expressions know.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use hcl::eval::Evaluate as _;
use hcl::structure::Structure;
use hcl::template::Template;
use hcl::{Expression, Identifier, Value as Known};
use serde_json::{Map, Value};

use super::function;

/// The fields of a block.
pub(super) type Fields = BTreeMap<String, Raw>;

/// A value whose variables are not put in yet.
#[derive(Debug, Clone)]
pub(super) enum Raw {
    Hcl(Expression),
    /// A text in it may have `${…}`.
    Json(Value),
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Definition {
    path: String,
    variables: Vec<Variable>,
    pub(super) groups: Vec<(String, Fields)>,
    pub(super) targets: Vec<(String, Fields)>,
}

#[derive(Debug)]
struct Variable {
    name: String,
    default: Option<Raw>,
    /// Whether the environment counts more.
    open: bool,
    /// Conditions, and what is said if they do not hold.
    checks: Vec<(Raw, Option<Raw>)>,
}

/// The variables in force.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope(BTreeMap<String, Known>);

impl Definition {
    /// Reads a file: what is no HCL by its name is tried as JSON.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self> {
        let mut definition = Self { path: path.to_owned(), ..Self::default() };
        let json = match Path::new(path).extension().and_then(|end| end.to_str()) {
            Some("json") => true,
            Some("hcl") => false,
            _ => text.trim_start().starts_with('{'),
        };
        let read = if json { definition.json(text) } else { definition.hcl(text) };
        read.with_context(|| format!("ERROR: failed to parse {path}"))?;
        Ok(definition)
    }

    fn json(&mut self, text: &str) -> Result<()> {
        let document: Map<String, Value> = serde_json::from_str(text)?;
        for (kind, value) in document {
            if !matches!(kind.as_str(), "group" | "target" | "variable" | "function") {
                bail!("the block {kind:?} is unknown");
            }
            let Value::Object(blocks) = value else { bail!("{kind} is not an object") };
            for (name, block) in blocks {
                let fields = match block {
                    Value::Object(fields) => fields,
                    Value::Null => Map::new(),
                    _ => bail!("{kind} {name} is not an object"),
                };
                let fields = fields.into_iter().map(|(key, value)| (key, Raw::Json(value))).collect();
                self.block(&kind, name, fields, Vec::new())?;
            }
        }
        Ok(())
    }

    fn hcl(&mut self, text: &str) -> Result<()> {
        for structure in hcl::parse(text)? {
            match structure {
                Structure::Attribute(attribute) => self.variables.push(Variable {
                    name: attribute.key.to_string(),
                    default: Some(Raw::Hcl(attribute.expr)),
                    open: false,
                    checks: Vec::new(),
                }),
                Structure::Block(block) => {
                    let kind = block.identifier.to_string();
                    let [label] = block.labels.as_slice() else { bail!("a block {kind} has one name") };
                    let name = label.as_str().to_owned();
                    let (mut fields, mut checks) = (Fields::new(), Vec::new());
                    for inner in block.body {
                        match inner {
                            Structure::Attribute(field) => {
                                fields.insert(field.key.to_string(), Raw::Hcl(field.expr));
                            }
                            Structure::Block(check)
                                if kind == "variable" && check.identifier.as_str() == "validation" =>
                            {
                                checks.push(validation(check)?);
                            }
                            Structure::Block(inner) => {
                                bail!(
                                    "{kind} {name} has a block {}, which is not known",
                                    inner.identifier.as_str()
                                )
                            }
                        }
                    }
                    self.block(&kind, name, fields, checks)?;
                }
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        kind: &str,
        name: String,
        mut fields: Fields,
        checks: Vec<(Raw, Option<Raw>)>,
    ) -> Result<()> {
        match kind {
            "group" => self.groups.push((name, fields)),
            "target" => self.targets.push((name, fields)),
            "variable" => {
                self.variables.push(Variable { name, default: fields.remove("default"), open: true, checks });
            }
            "function" => bail!("function {name}: functions of one's own are not known here"),
            other => bail!("the block {other:?} is unknown"),
        }
        Ok(())
    }
}

fn validation(block: hcl::Block) -> Result<(Raw, Option<Raw>)> {
    let (mut condition, mut message) = (None, None);
    for attribute in block.body.into_attributes() {
        match attribute.key.as_str() {
            "condition" => condition = Some(Raw::Hcl(attribute.expr)),
            "error_message" => message = Some(Raw::Hcl(attribute.expr)),
            other => bail!("a validation has no {other}"),
        }
    }
    Ok((condition.context("a validation has a condition")?, message))
}

impl Scope {
    /// Finds the values of all variables: of the environment, else as they say, which may name others.
    pub(super) fn of(definitions: &[Definition], given: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut open: BTreeMap<&str, (&Definition, &Variable)> = BTreeMap::new();
        for definition in definitions {
            open.extend(definition.variables.iter().map(|it| (it.name.as_str(), (definition, it))));
        }
        let all: Vec<_> = open.values().copied().collect();
        let mut scope = Self::default();
        while !open.is_empty() {
            let (mut done, mut failed) = (Vec::new(), None);
            for (name, (definition, variable)) in &open {
                let value = match &variable.default {
                    Some(raw) => raw.evaluate(&scope),
                    None => Ok(Value::Null),
                };
                match value {
                    Ok(default) => {
                        let given = if variable.open { given(name) } else { None };
                        let value = match given {
                            Some(text) => typed(name, text, &default)?,
                            None if default.is_null() && variable.default.is_none() => "".into(),
                            None => default,
                        };
                        done.push((*name, value));
                    }
                    Err(error) => {
                        failed.get_or_insert_with(|| {
                            error.context(format!("ERROR: {}: variable {name}", definition.path))
                        });
                    }
                }
            }
            if let (true, Some(error)) = (done.is_empty(), failed) {
                return Err(error);
            }
            for (name, value) in done {
                open.remove(name);
                scope = scope.with(name, &value);
            }
        }
        for (definition, variable) in all {
            for (condition, message) in &variable.checks {
                if condition.evaluate(&scope)? != Value::Bool(true) {
                    let told = match message {
                        Some(message) => message.evaluate(&scope)?,
                        None => Value::Null,
                    };
                    let told = told.as_str().unwrap_or("the condition of its validation does not hold");
                    bail!("ERROR: {}: variable {}: {told}", definition.path, variable.name);
                }
            }
        }
        Ok(scope)
    }

    /// Returns these variables and one more.
    pub(super) fn with(&self, name: &str, value: &Value) -> Self {
        let mut scope = self.clone();
        // Everything that JSON can say, HCL can.
        scope.0.insert(name.to_owned(), hcl::to_value(value).unwrap_or_default());
        scope
    }

    fn context(&self) -> hcl::eval::Context<'static> {
        let mut context = hcl::eval::Context::new();
        for (name, value) in &self.0 {
            if let Ok(name) = Identifier::new(name.as_str()) {
                context.declare_var(name, value.clone());
            }
        }
        function::declare(&mut context);
        context
    }
}

/// Reads the environment's text as the kind of value that the default is.
fn typed(name: &str, text: String, default: &Value) -> Result<Value> {
    Ok(match default {
        Value::Bool(_) => match text.as_str() {
            "true" | "1" => true.into(),
            "false" | "0" => false.into(),
            _ => bail!("ERROR: failed to parse {name} as bool: {text:?}"),
        },
        Value::Number(_) => match serde_json::from_str::<serde_json::Number>(&text) {
            Ok(number) => number.into(),
            Err(_) => bail!("ERROR: failed to parse {name} as number: {text:?}"),
        },
        Value::Array(_) | Value::Object(_) => {
            serde_json::from_str(&text).with_context(|| format!("ERROR: failed to parse {name} as JSON"))?
        }
        _ => text.into(),
    })
}

impl Raw {
    /// Returns the value.
    pub(super) fn evaluate(&self, scope: &Scope) -> Result<Value> {
        let context = scope.context();
        match self {
            Self::Hcl(expression) => {
                let value = expression.evaluate(&context).map_err(|error| anyhow::anyhow!("{error}"))?;
                serde_json::to_value(value).context("take a value")
            }
            Self::Json(value) => replaced(value, &context),
        }
    }
}

fn replaced(value: &Value, context: &hcl::eval::Context<'_>) -> Result<Value> {
    Ok(match value {
        Value::String(text) if text.contains("${") || text.contains("%{") => {
            let template: Template = text.parse().with_context(|| format!("read {text:?}"))?;
            template.evaluate(context).map_err(|error| anyhow::anyhow!("{error}"))?.into()
        }
        Value::Array(values) => {
            values.iter().map(|value| replaced(value, context)).collect::<Result<Vec<_>>>()?.into()
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), replaced(value, context)?)));
            Value::Object(fields.collect::<Result<_>>()?)
        }
        other => other.clone(),
    })
}
