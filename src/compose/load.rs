//! Files to one model: read, completed, checked against the tables, extended, included, merged.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::environment::{self, Asked, Variables};
use super::error::{Problem, problem};
use super::interpolate::{Seen, interpolate};
use super::merge::{merge, settle};
use super::schema;
use super::shape::{self, Place, Reading, canonical};
use super::yaml::{self, Entry, Mark, Node, Tag, Value};

/// How files are read.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Whether variables are put in.
    pub interpolate: bool,
    /// Whether relative paths are made absolute.
    pub resolve_paths: bool,
    /// Whether defaults are put in.
    pub normalize: bool,
    /// Whether what is named must be there.
    pub check: bool,
    /// Whether the variables of services are read from their files.
    pub read_env_files: bool,
}

impl Default for How {
    fn default() -> Self {
        Self { interpolate: true, resolve_paths: true, normalize: true, check: true, read_env_files: true }
    }
}

/// What the files say, in canonical form, before names and defaults are put in.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) root: Node,
    pub(crate) files: Vec<String>,
    pub(crate) directory: PathBuf,
    pub(crate) variables: Variables,
    pub(crate) warnings: Vec<String>,
    pub(crate) seen: Seen,
}

/// How many files may include or extend each other in a row.
const DEPTH: usize = 50;

struct Loader {
    how: How,
    seen: Seen,
    warnings: Vec<String>,
    /// Files that others extend, read once.
    bases: HashMap<String, Node>,
}

/// Reads the project's files. Returns nothing if there are none.
pub(crate) fn load(asked: &Asked, how: How) -> Result<Option<Model>, Problem> {
    let found = environment::find(asked)?;
    if found.files.is_empty() {
        return Ok(None);
    }
    let mut loader = Loader { how, seen: Seen::default(), warnings: found.warnings, bases: HashMap::new() };
    let mut variables = found.variables;
    let given = asked.name.clone().or_else(|| variables.get("COMPOSE_PROJECT_NAME").cloned());
    let mut documents = Vec::new();
    for file in &found.files {
        documents.push((file.clone(), Loader::parse(file)?));
    }
    let name = match given.filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => loader.name(&documents, &found.directory, &variables)?,
    };
    environment::check_name(&name)?;
    variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
    let mut root = loader.model(documents, &found.directory, &variables, &mut Vec::new())?;
    settle(&mut root);
    if let Some(map) = root.as_map_mut() {
        map.remove("version");
        map.set("name", Node::string(name.clone(), &Mark::nowhere()));
    }
    let warn = |name: &String| format!("The {name:?} variable is not set. Defaulting to a blank string.");
    let mut warnings: Vec<String> = loader.seen.unset.iter().map(warn).collect();
    warnings.extend(loader.warnings);
    Ok(Some(Model {
        name,
        root,
        files: found.files,
        directory: found.directory,
        variables,
        warnings,
        seen: loader.seen,
    }))
}

/// Finds the name that a project without files has.
pub(crate) fn name_alone(asked: &Asked) -> Option<String> {
    let named = asked.name.clone().or_else(|| std::env::var("COMPOSE_PROJECT_NAME").ok());
    named.filter(|name| !name.is_empty())
}

impl Loader {
    fn parse(file: &str) -> Result<Vec<Node>, Problem> {
        let text = if file == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map_err(|error| problem(format!("read stdin: {error}")))?;
            text
        } else {
            fs::read_to_string(file).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => problem(format!("open {file}: no such file or directory")),
                io::ErrorKind::InvalidData => problem(format!("{file}: yaml: invalid UTF-8")),
                _ => problem(format!("open {file}: {}", plain(&error))),
            })?
        };
        let documents = yaml::parse(&text, if file == "-" { "stdin" } else { file })?;
        let documents: Vec<_> = documents.into_iter().filter(|node| !node.is_null()).collect();
        if documents.is_empty() {
            return Err(problem(if file == "-" {
                "empty compose file".to_owned()
            } else {
                format!("empty compose file ({file})")
            }));
        }
        for node in &documents {
            if node.as_map().is_none() {
                return Err(problem(format!(
                    "validating {file}: top-level object must be a mapping{}",
                    node.at.within()
                )));
            }
        }
        Ok(documents)
    }

    /// Returns the name that the files give, else the directory's.
    fn name(
        &mut self,
        documents: &[(String, Vec<Node>)],
        directory: &Path,
        variables: &Variables,
    ) -> Result<String, Problem> {
        let mut named = documents.iter().flat_map(|(_, nodes)| nodes).filter_map(|node| node.get("name"));
        if let Some(node) = named.next_back() {
            let mut node = node.clone();
            if self.how.interpolate {
                let lookup = |name: &str| variables.get(name).cloned();
                interpolate(&mut node, "name", &lookup, &mut Seen::default())?;
            }
            match node.as_str() {
                Some(name) if !name.is_empty() => return Ok(environment::normal_name(name)),
                Some(_) => {}
                None => return Err(problem(format!("name must be a string{}", node.at.whole()))),
            }
        }
        let base = directory.file_name().unwrap_or_default().to_string_lossy();
        Ok(environment::normal_name(&base))
    }

    /// Merges documents, each made whole by itself.
    fn model(
        &mut self,
        files: Vec<(String, Vec<Node>)>,
        base: &Path,
        variables: &Variables,
        including: &mut Vec<String>,
    ) -> Result<Node, Problem> {
        let mut merged: Option<Node> = None;
        for (file, documents) in files {
            if including.contains(&file) || including.len() > DEPTH {
                let mut way = including.clone();
                way.push(file);
                return Err(problem(format!("include cycle detected:\n{}", way.join("\n include "))));
            }
            including.push(file.clone());
            for document in documents {
                let mut node = self.whole(document, &file, base, variables)?;
                let includes = node.as_map_mut().and_then(|map| map.remove("include"));
                self.extend_all(&mut node, &file, base, variables)?;
                if let Some(includes) = includes {
                    self.include(&mut node, &includes, base, variables, including)?;
                }
                merged = Some(match merged {
                    Some(below) => merge(below, node, &mut Vec::new()),
                    None => node,
                });
            }
            including.pop();
        }
        merged.ok_or_else(|| problem("empty compose file"))
    }

    /// Puts variables into a document and brings it into canonical form.
    fn whole(
        &mut self,
        mut node: Node,
        file: &str,
        base: &Path,
        variables: &Variables,
    ) -> Result<Node, Problem> {
        if self.how.interpolate {
            let lookup = |name: &str| variables.get(name).cloned();
            interpolate(&mut node, "", &lookup, &mut self.seen)?;
        }
        if node.get("version").is_some() {
            self.warnings.push(format!(
                "{file}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid \
                 potential confusion"
            ));
        }
        let reading = Reading {
            file: file.to_owned(),
            base: base.to_owned(),
            resolve_paths: self.how.resolve_paths,
            raw: !self.how.interpolate,
        };
        let place = Place { reading: &reading, path: String::new() };
        if let Some(services) =
            node.get("services").filter(|services| services.is_null() && services.tag == Tag::None)
        {
            let place = Place { reading: &reading, path: "services".to_owned() };
            return Err(place.refuse(&services.at, "must be a mapping"));
        }
        canonical(&node, &schema::PROJECT, &place)
    }

    /// Resolves `extends` of every service of a document.
    fn extend_all(
        &mut self,
        node: &mut Node,
        file: &str,
        base: &Path,
        variables: &Variables,
    ) -> Result<(), Problem> {
        let Some(services) = node.get("services") else { return Ok(()) };
        let Some(map) = services.as_map() else { return Ok(()) };
        if !map.0.iter().any(|entry| entry.node.get("extends").is_some()) {
            return Ok(());
        }
        let own = services.clone();
        let mut done = map.clone();
        for entry in &mut done.0 {
            let mut way = vec![(entry.key.clone(), file.to_owned())];
            entry.node = self.extended(&own, entry.node.clone(), base, variables, &mut way)?;
        }
        if let Some(services) = node.as_map_mut().and_then(|map| map.get_mut("services")) {
            services.value = Value::Map(done);
        }
        Ok(())
    }

    fn extended(
        &mut self,
        own: &Node,
        mut service: Node,
        base: &Path,
        variables: &Variables,
        way: &mut Vec<(String, String)>,
    ) -> Result<Node, Problem> {
        let Some(extends) = service.as_map_mut().and_then(|map| map.remove("extends")) else {
            return Ok(service);
        };
        let (here, file) = way.last().cloned().unwrap_or_default();
        let Some(wanted) = extends.text("service").map(str::to_owned) else {
            let message =
                format!("services.{here}.extends: missing property 'service'{}", extends.at.whole());
            return Err(problem(message));
        };
        let other = extends.text("file").map(|other| shape::absolute(base, other));
        let there = other.clone().unwrap_or_else(|| file.clone());
        let step = (wanted.clone(), there.clone());
        if way.contains(&step) || way.len() > DEPTH {
            let lines: Vec<_> =
                way.iter().chain([&step]).map(|(name, file)| format!("{name} in {file}")).collect();
            return Err(problem(format!("Circular reference:\n  {}", lines.join("\n  extends "))));
        }
        let (services, base) = match &other {
            None => (own.clone(), base.to_owned()),
            Some(other) => {
                let base = Path::new(other).parent().unwrap_or(base).to_owned();
                (self.base_services(other, &base, variables)?, base)
            }
        };
        let Some(found) = services.get(&wanted).cloned() else {
            let origin = if other.is_some() {
                format!(" in {}", extends.text("file").unwrap_or_default())
            } else {
                String::new()
            };
            return Err(problem(format!(
                "cannot extend service {here:?} in {file}: service {wanted:?} not found{origin}{}",
                extends.at.whole()
            )));
        };
        way.push(step);
        let found = self.extended(&services, found, &base, variables, way)?;
        way.pop();
        let mut path = vec!["services".to_owned(), here];
        Ok(merge(found, service, &mut path))
    }

    fn base_services(&mut self, file: &str, base: &Path, variables: &Variables) -> Result<Node, Problem> {
        if let Some(known) = self.bases.get(file) {
            return Ok(known.clone());
        }
        let mut services = Node::map(&Mark::nowhere());
        for document in Self::parse(file)? {
            let node = self.whole(document, file, base, variables)?;
            if let Some(more) = node.get("services") {
                services = merge(services, more.clone(), &mut vec!["services".to_owned()]);
            }
        }
        self.bases.insert(file.to_owned(), services.clone());
        Ok(services)
    }

    /// Adds what included files define. What is defined twice must be the same.
    fn include(
        &mut self,
        node: &mut Node,
        includes: &Node,
        base: &Path,
        variables: &Variables,
        including: &mut Vec<String>,
    ) -> Result<(), Problem> {
        let Some(list) = includes.as_list() else {
            return Err(problem(format!("include must be a list{}", includes.at.whole())));
        };
        for item in list {
            let wanted = Included::read(item, base)?;
            let mut own = variables.clone();
            if wanted.env_files.is_empty() {
                environment::read_default(&wanted.directory, &mut own)?;
            } else {
                environment::read_listed(&wanted.env_files, &mut own)?;
            }
            let mut documents = Vec::new();
            for file in &wanted.files {
                documents.push((file.clone(), Self::parse(file)?));
            }
            let mut imported = self.model(documents, &wanted.directory, &own, including)?;
            if self.how.resolve_paths {
                build_in(&mut imported, &wanted.directory);
            }
            for section in ["services", "networks", "volumes", "secrets", "configs", "models"] {
                let Some(things) = imported.get(section).and_then(Node::as_map) else { continue };
                let Some(map) = node.as_map_mut() else { continue };
                map.add(section, || Node::map(&item.at));
                let Some(here) = map.get_mut(section).and_then(Node::as_map_mut) else { continue };
                for entry in &things.0 {
                    match here.get(&entry.key) {
                        None => here.0.push(Entry { ..entry.clone() }),
                        Some(known) if *known == entry.node => {}
                        Some(known) => {
                            return Err(problem(format!(
                                "{section}.{} conflicts with imported resource{}",
                                entry.key,
                                known.at.whole()
                            )));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Has what is built without a context be built in `directory`.
fn build_in(root: &mut Node, directory: &Path) {
    let services = root.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    for service in services.into_iter().flat_map(|map| &mut map.0) {
        let at = service.at.clone();
        if let Some(build) = service.node.as_map_mut().and_then(|map| map.get_mut("build"))
            && let Some(build) = build.as_map_mut()
        {
            build.add("context", || Node::string(directory.to_string_lossy(), &at));
        }
    }
}

/// One entry of `include`.
struct Included {
    files: Vec<String>,
    directory: PathBuf,
    env_files: Vec<PathBuf>,
}

impl Included {
    fn read(node: &Node, base: &Path) -> Result<Self, Problem> {
        let texts = |node: Option<&Node>| -> Result<Vec<String>, Problem> {
            let Some(node) = node else { return Ok(Vec::new()) };
            let wrong = || problem(format!("include must hold strings and mappings{}", node.at.whole()));
            match &node.value {
                Value::String(text) => Ok(vec![text.clone()]),
                Value::List(list) => {
                    list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
                }
                _ => Err(wrong()),
            }
        };
        let (paths, directory, env_files) = match &node.value {
            Value::Map(map) => {
                let known = ["path", "project_directory", "env_file"];
                if let Some(entry) = map
                    .0
                    .iter()
                    .find(|entry| !known.contains(&entry.key.as_str()) && !entry.key.starts_with("x-"))
                {
                    return Err(problem(format!(
                        "include additional properties '{}' not allowed{}",
                        entry.key,
                        entry.at.whole()
                    )));
                }
                (texts(map.get("path"))?, texts(map.get("project_directory"))?, texts(map.get("env_file"))?)
            }
            _ => (texts(Some(node))?, Vec::new(), Vec::new()),
        };
        if let Some(remote) = paths.iter().find(|path| path.contains("://") || path.starts_with("git@")) {
            return Err(problem(format!(
                "include {remote}: files of other machines are not fetched; download it and include the file{}",
                node.at.whole()
            )));
        }
        let files: Vec<String> = paths.iter().map(|path| shape::absolute(base, path)).collect();
        let Some(first) = files.first() else {
            return Err(problem(format!("include: missing property 'path'{}", node.at.whole())));
        };
        let directory = match directory.first() {
            Some(directory) => PathBuf::from(shape::absolute(base, directory)),
            None => Path::new(first).parent().unwrap_or(base).to_owned(),
        };
        let env_files = env_files
            .iter()
            .filter(|path| *path != "/dev/null")
            .map(|path| PathBuf::from(shape::absolute(base, path)))
            .collect();
        Ok(Self { files, directory, env_files })
    }
}

fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
