//! The files of `bake` as one: groups and targets.
//!
//! Compose files come first, as one project; then the others in their order, each over those before it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::compose;
use super::definition::{Definition, Fields, Scope};
use crate::cli::session::Session;

/// The files of Compose that are looked for, and those of bake behind them; all that are there count.
const USUAL_COMPOSE: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const USUAL: &[&str] =
    &["docker-bake.json", "docker-bake.hcl", "docker-bake.override.json", "docker-bake.override.hcl"];
/// Fields whose values are maps, which are merged.
const MAPS: &[&str] = &["args", "labels", "contexts", "extra-hosts"];

/// All files as one.
#[derive(Debug, Default)]
pub(super) struct File {
    groups: BTreeMap<String, Vec<String>>,
    targets: BTreeMap<String, Map<String, Value>>,
}

/// Reads files; the usual ones if none is named.
pub(super) fn read(paths: &[String], session: &Session) -> Result<File> {
    let mut paths = paths.to_vec();
    if paths.is_empty() {
        let usual = USUAL_COMPOSE.iter().chain(USUAL).filter(|path| Path::new(path).is_file());
        paths = usual.map(ToString::to_string).collect();
        if paths.is_empty() {
            let names: Vec<_> = USUAL_COMPOSE.iter().chain(USUAL).copied().collect();
            bail!("ERROR: couldn't find a bake definition: there is none of {}", names.join(", "));
        }
    }
    let mut file = File::default();
    let (mut projects, mut definitions) = (Vec::new(), Vec::new());
    for path in paths {
        if is_compose(&path) {
            projects.push(path);
            continue;
        }
        let mut text = String::new();
        if path == "-" {
            std::io::stdin().read_to_string(&mut text).context("ERROR: read standard input")?;
        } else {
            text = fs::read_to_string(&path).with_context(|| format!("ERROR: open {path}"))?;
        }
        definitions.push(Definition::parse(&path, &text)?);
    }
    if !projects.is_empty() {
        let project = compose::read(projects, session)?;
        file.groups
            .insert("default".to_owned(), project.targets.iter().map(|(name, _)| name.clone()).collect());
        file.targets.extend(project.targets);
    }
    let scope = Scope::of(&definitions, &|name| std::env::var(name).ok())?;
    for definition in &definitions {
        file.add(definition, &scope)?;
    }
    Ok(file)
}

fn is_compose(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "yml" || end == "yaml")
}

impl File {
    fn add(&mut self, definition: &Definition, scope: &Scope) -> Result<()> {
        for (name, fields) in &definition.groups {
            let mut fields = evaluated(fields, scope).with_context(|| format!("ERROR: group {name}"))?;
            let targets = fields.remove("targets").unwrap_or(Value::Null);
            let targets = targets.as_array().into_iter().flatten().filter_map(Value::as_str);
            self.groups.insert(name.clone(), targets.map(ToOwned::to_owned).collect());
        }
        for (name, fields) in &definition.targets {
            let done = self.add_target(name, fields, scope);
            done.with_context(|| format!("ERROR: target {name}"))?;
        }
        Ok(())
    }

    fn add_target(&mut self, name: &str, fields: &Fields, scope: &Scope) -> Result<()> {
        let Some(matrix) = fields.get("matrix") else {
            let fields = evaluated(fields, scope)?;
            merge(self.targets.entry(name.to_owned()).or_default(), fields);
            return Ok(());
        };
        // A target for each choice of values, and a group of all.
        let named =
            fields.get("name").context("a target with a matrix needs a name for each of its targets")?;
        let mut scopes = vec![scope.clone()];
        let Value::Object(axes) = matrix.evaluate(scope)? else { bail!("matrix is not an object") };
        for (axis, values) in &axes {
            let values = values.as_array().with_context(|| format!("{axis} in matrix is not a list"))?;
            let choices =
                scopes.iter().flat_map(|scope| values.iter().map(move |value| scope.with(axis, value)));
            scopes = choices.collect();
        }
        let mut members = Vec::new();
        for scope in &scopes {
            let Value::String(member) = named.evaluate(scope)? else { bail!("name is not a text") };
            let mut fields = fields.clone();
            fields.remove("matrix");
            fields.remove("name");
            let fields = evaluated(&fields, scope)?;
            merge(self.targets.entry(member.clone()).or_default(), fields);
            members.push(member);
        }
        self.groups.insert(name.to_owned(), members);
        Ok(())
    }

    /// Returns the targets that names of targets and groups mean.
    pub(super) fn expand(&self, names: &[String]) -> Result<Vec<String>> {
        let mut out = Vec::new();
        let mut open: Vec<(String, usize)> = names.iter().rev().map(|name| (name.clone(), 0)).collect();
        while let Some((name, depth)) = open.pop() {
            if depth > 16 {
                bail!("ERROR: groups nest without end at {name}");
            }
            // A target counts more than a group of its name, which may have it as a member.
            match self.groups.get(&name) {
                Some(members) if depth == 0 || !self.targets.contains_key(&name) => {
                    open.extend(members.iter().rev().map(|member| (member.clone(), depth + 1)));
                }
                _ if self.targets.contains_key(&name) => {
                    if !out.contains(&name) {
                        out.push(name);
                    }
                }
                _ => bail!("ERROR: failed to find target {name}"),
            }
        }
        Ok(out)
    }

    /// Returns the groups that names mean, as they are shown: what is wanted is the group `default`.
    pub(super) fn groups(&self, names: &[String]) -> Value {
        let mut groups = Map::new();
        let mut open = names.to_vec();
        while let Some(name) = open.pop() {
            if let Some(members) = self.groups.get(&name)
                && groups.insert(name, json!({ "targets": members })).is_none()
            {
                open.extend(members.iter().cloned());
            }
        }
        if names != ["default"] {
            groups.insert("default".to_owned(), json!({ "targets": names }));
        }
        Value::Object(groups)
    }

    /// Returns the names of all targets.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.targets.keys()
    }

    /// Returns a target with all that it inherits.
    pub(super) fn target(&self, name: &str) -> Result<Map<String, Value>> {
        let mut target = self.inherited(name, 0)?;
        for (key, value) in [("context", "."), ("dockerfile", "Dockerfile")] {
            target.entry(key).or_insert_with(|| value.into());
        }
        Ok(target)
    }

    fn inherited(&self, name: &str, depth: usize) -> Result<Map<String, Value>> {
        let own = self.targets.get(name).with_context(|| format!("ERROR: failed to find target {name}"))?;
        if depth > 16 {
            bail!("ERROR: targets inherit without end at {name}");
        }
        let mut target = Map::new();
        for parent in own.get("inherits").and_then(Value::as_array).into_iter().flatten() {
            let parent = parent.as_str().unwrap_or_default();
            match self.groups.get(parent) {
                // A target with a matrix: all that it came to.
                Some(members) if !self.targets.contains_key(parent) => {
                    for member in members {
                        merge(&mut target, self.inherited(member, depth + 1)?);
                    }
                }
                _ => merge(&mut target, self.inherited(parent, depth + 1)?),
            }
        }
        merge(&mut target, own.clone());
        target.remove("inherits");
        Ok(target)
    }
}

fn evaluated(fields: &Fields, scope: &Scope) -> Result<Map<String, Value>> {
    fields.iter().map(|(key, value)| Ok((key.clone(), value.evaluate(scope)?))).collect()
}

fn merge(target: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (key, value) in fields {
        match (target.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) if MAPS.contains(&key.as_str()) => {
                known.extend(more);
            }
            (_, value) => {
                target.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str, environment: &[(&str, &str)]) -> Result<File> {
        let definitions = [Definition::parse(path, text)?];
        let given =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, it)| (*it).to_owned());
        let scope = Scope::of(&definitions, &given)?;
        let mut file = File::default();
        file.add(&definitions[0], &scope)?;
        Ok(file)
    }

    #[test]
    fn inherits_and_replaces() {
        let text = r#"{
            "variable": { "TAG": { "default": "1" } },
            "group": { "default": { "targets": ["app", "all"] }, "all": { "targets": ["app", "db"] } },
            "target": {
                "base": { "args": { "A": "1", "B": "2" }, "context": "." },
                "app": { "inherits": ["base"], "args": { "B": "3" }, "tags": ["app:${upper(TAG)}", "$${x}"] },
                "db": {}
            }
        }"#;
        let file = file("x.json", text, &[("TAG", "v7")]).unwrap();
        assert_eq!(file.expand(&["default".to_owned()]).unwrap(), ["app", "db"]);
        let app = Value::Object(file.target("app").unwrap());
        let args = json!({ "A": "1", "B": "3" });
        let wanted =
            json!({ "args": args, "context": ".", "dockerfile": "Dockerfile", "tags": ["app:V7", "${x}"] });
        assert_eq!(app, wanted);
        assert!(file.expand(&["nothing".to_owned()]).is_err());
        let groups = file.groups(&["all".to_owned(), "db".to_owned()]);
        assert_eq!(groups["default"]["targets"], json!(["all", "db"]));
        assert_eq!(groups["all"]["targets"], json!(["app", "db"]));
        assert_eq!(file.groups(&["default".to_owned()])["default"]["targets"], json!(["app", "all"]));
    }

    #[test]
    fn knows_hcl_and_matrices() {
        let text = r#"
            variable "VERSION" { default = "1.0" }
            variable "FULL" { default = "v${VERSION}" }
            variable "FAST" { default = true }
            group "default" { targets = ["app"] }
            target "base" { args = { V = VERSION } }
            target "app" {
              name = "app-${replace(variant, ".", "-")}"
              inherits = ["base"]
              matrix = { variant = ["a.1", "b"] }
              tags = ["app:${FULL}-${variant}", equal("b", variant) ? "app:latest" : ""]
              no-cache = FAST
            }
        "#;
        let file = file("x.hcl", text, &[("VERSION", "2"), ("FAST", "false")]).unwrap();
        assert_eq!(file.expand(&["default".to_owned()]).unwrap(), ["app-a-1", "app-b"]);
        let app = Value::Object(file.target("app-b").unwrap());
        assert_eq!(app["tags"], json!(["app:v2-b", "app:latest"]));
        assert_eq!((&app["args"]["V"], &app["no-cache"]), (&json!("2"), &json!(false)));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for (path, text) in [
            ("x.hcl", "function \"f\" {\n params = []\n result = 1\n}"),
            ("x.hcl", "target \"a\" { tags = [nothing] }"),
            ("x.hcl", "target \"a\" { tags = [nothing(1)] }"),
            ("x.hcl", "variable \"A\" { default = B }\nvariable \"B\" { default = A }"),
            ("x.hcl", "what \"a\" {}"),
            ("x.hcl", "target {"),
            ("x.json", r#"{ "what": {} }"#),
            ("x.json", r#"{ "target": { "a": { "tags": ["${f(x)}"] } } }"#),
            ("x.json", r#"{ "target": { "a": { "matrix": { "x": ["1"] } } } }"#),
        ] {
            assert!(file(path, text, &[]).is_err(), "{text}");
        }
    }
}
