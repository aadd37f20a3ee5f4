//! `buildx bake`: several builds from one file.
//!
//! A target of the file is turned into the words of `build`, so that every field means what its flag means.

mod compose;
mod definition;
mod file;
mod function;
mod print;
mod several;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, FromArgMatches};
use serde_json::{Map, Value};

use self::file::{File, read};
use self::several::{Call, Job};
pub(super) use self::target::words;
use super::grammar::{Absent, Arity, Rules};
use super::session::Session;
use super::tree::Spec;

/// Docker's flags that it lacks.
const ABSENT: &[Absent] = &[
    Absent {
        long: "sbom",
        short: None,
        takes_value: true,
        harmless: &["false", "0"],
        reason: "lists of what an image is made of, which take a scanner",
    },
    Absent {
        long: "list",
        short: None,
        takes_value: true,
        harmless: &[],
        reason: "lists of targets: see --print",
    },
];

/// `buildx bake`
pub(super) const SPEC: Spec = Spec {
    paths: &["buildx bake"],
    about: "Build from a file",
    usage: "[OPTIONS] [TARGET...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: ABSENT },
    define: BakeArgs::augment_args,
    run: |matches, session| run(&BakeArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct BakeArgs {
    /// Allow build to access specified resources
    #[arg(long, value_name = "stringArray")]
    allow: Vec<String>,
    /// Override the configured builder instance
    #[arg(long, value_name = "string")]
    builder: Option<String>,
    /// Shorthand for "--call=check"
    #[arg(long)]
    check: bool,
    /// Build definition file
    #[arg(long, short, value_name = "stringArray")]
    file: Vec<String>,
    /// Shorthand for "--set=*.output=type=docker"
    #[arg(long)]
    load: bool,
    /// Write build result metadata to a file
    #[arg(long, value_name = "string")]
    metadata_file: Option<String>,
    /// Do not use cache when building the image
    #[arg(long)]
    no_cache: bool,
    /// Print the options without building
    #[arg(long)]
    print: bool,
    /// Set type of progress output ("auto", "quiet", "plain", "tty", "rawjson")
    #[arg(long, value_name = "string")]
    progress: Option<String>,
    /// Shorthand for "--set=*.attest=type=provenance"
    #[arg(long, value_name = "string")]
    provenance: Option<String>,
    /// Always attempt to pull all referenced images
    #[arg(long)]
    pull: bool,
    /// Shorthand for "--set=*.output=type=registry"
    #[arg(long)]
    push: bool,
    /// Override target value (e.g., "targetpattern.key=value")
    #[arg(long, value_name = "stringArray")]
    set: Vec<String>,
    /// Targets
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

fn run(args: &BakeArgs, session: &Session) -> Result<u8> {
    let file = read(&args.file, session)?;
    let wanted = if args.targets.is_empty() { vec!["default".to_owned()] } else { args.targets.clone() };
    let names = file.expand(&wanted)?;
    target::fits_any(&args.set, file.names())?;
    let mut targets: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for name in order(&file, &names)? {
        let mut target = file.target(&name)?;
        let mut touched = BTreeSet::new();
        for set in &args.set {
            target::set(&name, &mut target, set, &mut touched)?;
        }
        for (flag, key) in [(args.no_cache, "no-cache"), (args.pull, "pull")] {
            if flag {
                target.insert(key.to_owned(), Value::Bool(true));
            }
        }
        if names.contains(&name) {
            for (flag, output) in [(args.load, "type=docker"), (args.push, "type=image,push=true")] {
                if flag {
                    target.insert("output".to_owned(), vec![output].into());
                }
            }
        }
        targets.insert(name, target);
    }
    if args.print {
        Session::print(&print::print(&file.groups(&wanted), targets.iter()))?;
        return Ok(0);
    }
    if let Some(builder) = args.builder.as_deref() {
        super::buildx::check_builder(builder, session)?;
    }
    let held = session.store()?.stage()?;
    let id_file = |name: &str| held.path(&format!("id-{name}"));
    let metadata_file = |name: &str| held.path(&format!("metadata-{name}"));
    let jobs: Vec<Job> = order(&file, &names)?
        .into_iter()
        .map(|name| Job { after: linked(&targets[&name]).into_iter().collect(), name })
        .collect();
    let several = jobs.len() > 1;
    let built = std::cell::RefCell::new(BTreeMap::new());
    let metadata = std::cell::RefCell::new(Map::new());
    let call = |name: &str| {
        let mut target = targets[name].clone();
        link(&mut target, &built.borrow());
        let mut words = words(&target).with_context(|| format!("ERROR: target {name}"))?;
        let context = words.pop().unwrap_or_default();
        // What others are built upon is an image, whatever else becomes of it.
        words.extend((!names.iter().any(|it| it == name)).then(|| "--load".to_owned()));
        words.extend(args.check.then(|| "--check".to_owned()));
        words.extend(args.provenance.iter().map(|word| format!("--provenance={word}")));
        words.extend(args.allow.iter().map(|word| format!("--allow={word}")));
        let progress = args.progress.clone().or_else(|| std::env::var("BUILDKIT_PROGRESS").ok());
        let progress = progress.filter(|word| !several || matches!(word.as_str(), "quiet" | "rawjson"));
        words.extend(
            progress.or_else(|| several.then(|| "plain".to_owned())).map(|it| format!("--progress={it}")),
        );
        words.push(format!("--iidfile={}", id_file(name).display()));
        words.push(format!("--metadata-file={}", metadata_file(name).display()));
        let dockerfile = target.get("dockerfile-inline").and_then(Value::as_str).map(str::to_owned);
        words.extend(dockerfile.is_some().then(|| "--file=-".to_owned()));
        words.extend(["--".to_owned(), context]);
        let mut command = Command::new("/proc/self/exe");
        if let Some(config) = &session.docker_config_dir {
            command.arg("--config").arg(config);
        }
        command.arg("build").args(words);
        Ok(Call { command, dockerfile })
    };
    let done = |name: &str| {
        if let Ok(id) = std::fs::read_to_string(id_file(name)) {
            built.borrow_mut().insert(name.to_owned(), id);
        }
        let told =
            std::fs::read(metadata_file(name)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        metadata.borrow_mut().insert(name.to_owned(), told.unwrap_or(Value::Null));
    };
    let code = several::build(jobs, call, done)?;
    if let Some(path) = args.metadata_file.as_ref().filter(|_| code == 0) {
        let text = serde_json::to_string_pretty(&metadata.into_inner())?;
        std::fs::write(path, text).with_context(|| format!("writing metadata file {path}"))?;
    }
    Ok(code)
}

/// Returns the targets that a target is built upon.
fn linked(target: &Map<String, Value>) -> Vec<String> {
    let contexts = target.get("contexts").and_then(Value::as_object);
    let values = contexts.into_iter().flat_map(Map::values);
    values.filter_map(|value| Some(value.as_str()?.strip_prefix("target:")?.to_owned())).collect()
}

/// Puts the images that were built in the place of the targets that contexts name.
fn link(target: &mut Map<String, Value>, built: &BTreeMap<String, String>) {
    let Some(contexts) = target.get_mut("contexts").and_then(Value::as_object_mut) else { return };
    for value in contexts.values_mut() {
        let id =
            value.as_str().and_then(|text| text.strip_prefix("target:")).and_then(|name| built.get(name));
        if let Some(id) = id {
            *value = Value::String(format!("docker-image://{id}"));
        }
    }
}

/// Returns the targets with those that they are built upon before them.
fn order(file: &File, names: &[String]) -> Result<Vec<String>> {
    fn visit(file: &File, name: &str, path: &mut Vec<String>, out: &mut Vec<String>) -> Result<()> {
        if out.iter().any(|known| known == name) {
            return Ok(());
        }
        if path.iter().any(|known| known == name) {
            bail!("ERROR: infinite loop from {name} to {name}");
        }
        path.push(name.to_owned());
        let target = file.target(name)?;
        for other in linked(&target) {
            visit(file, &other, path, out)?;
        }
        path.pop();
        out.push(name.to_owned());
        Ok(())
    }
    let mut out = Vec::new();
    for name in names {
        visit(file, name, &mut Vec::new(), &mut out)?;
    }
    Ok(out)
}
