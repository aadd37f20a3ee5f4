//! `buildx bake`: several builds from one file.
//!
//! A target of the file is turned into the words of `build`, so that every field means what its flag means.

mod file;
mod target;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, FromArgMatches};
use serde_json::{Map, Value, json};

use self::file::{File, read};
pub(super) use self::target::words;
use super::grammar::{Absent, Arity, Rules};
use super::session::Session;
use super::tree::Spec;

/// Docker's flags that it lacks.
const ABSENT: &[Absent] = &[
    Absent {
        long: "provenance",
        short: None,
        takes_value: true,
        harmless: &["false", "0", "true", "mode=min", "mode=max"],
        reason: "attestations",
    },
    Absent {
        long: "sbom",
        short: None,
        takes_value: true,
        harmless: &["false", "0"],
        reason: "attestations",
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
    let file = read(&args.file)?;
    let wanted = if args.targets.is_empty() { vec!["default".to_owned()] } else { args.targets.clone() };
    let names = file.expand(&wanted)?;
    let mut targets: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for name in order(&file, &names)? {
        let mut target = file.target(&name)?;
        for set in &args.set {
            target::set(&name, &mut target, set)?;
        }
        for (flag, key) in [(args.no_cache, "no-cache"), (args.pull, "pull")] {
            if flag {
                target.insert(key.to_owned(), Value::Bool(true));
            }
        }
        targets.insert(name, target);
    }
    if args.print {
        let shown = json!({ "group": { "default": { "targets": names } }, "target": targets });
        Session::print(&format!("{}\n", serde_json::to_string_pretty(&shown)?))?;
        return Ok(0);
    }
    let held = session.store()?.stage()?;
    let (id_file, metadata_file) = (held.path("id"), held.path("metadata"));
    let mut built: BTreeMap<String, String> = BTreeMap::new();
    let mut metadata = Map::new();
    let mut code = 0;
    for (name, target) in order(&file, &names)?.into_iter().map(|name| (name.clone(), &targets[&name])) {
        let mut target = target.clone();
        link(&mut target, &built);
        let mut words = words(&target).with_context(|| format!("ERROR: target {name}"))?;
        let context = words.pop().unwrap_or_default();
        let asked = names.contains(&name);
        words.extend((args.load || !asked).then(|| "--load".to_owned()));
        words.extend((args.push && asked).then(|| "--push".to_owned()));
        words.extend(args.check.then(|| "--check".to_owned()));
        words.extend(args.allow.iter().map(|word| format!("--allow={word}")));
        words.extend(args.progress.iter().map(|word| format!("--progress={word}")));
        words.push(format!("--iidfile={}", id_file.display()));
        words.push(format!("--metadata-file={}", metadata_file.display()));
        let inline = target.get("dockerfile-inline").and_then(Value::as_str);
        words.extend(inline.map(|_| "--file=-".to_owned()));
        words.extend(["--".to_owned(), context]);
        let _ = std::fs::remove_file(&id_file);
        let done = build(session, &words, inline)?;
        code = code.max(done);
        if done != 0 && !args.check {
            break;
        }
        if let Ok(id) = std::fs::read_to_string(&id_file) {
            built.insert(name.clone(), id);
        }
        let told = std::fs::read(&metadata_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        metadata.insert(name, told.unwrap_or(Value::Null));
    }
    if let Some(path) = args.metadata_file.as_ref().filter(|_| code == 0) {
        let text = serde_json::to_string_pretty(&metadata)?;
        std::fs::write(path, text).with_context(|| format!("writing metadata file {path}"))?;
    }
    Ok(code)
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

/// Has another process build: one can enter the namespace of builds only once.
fn build(session: &Session, words: &[String], dockerfile: Option<&str>) -> Result<u8> {
    let mut command = Command::new("/proc/self/exe");
    if let Some(config) = &session.docker_config_dir {
        command.arg("--config").arg(config);
    }
    command.arg("build").args(words);
    if dockerfile.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().context("start the build of a target")?;
    if let (Some(text), Some(mut stdin)) = (dockerfile, child.stdin.take()) {
        // A build that has failed already does not read it.
        let _ = stdin.write_all(text.as_bytes());
    }
    let status = child.wait().context("wait for the build of a target")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
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
        let contexts = target.get("contexts").and_then(Value::as_object);
        let linked = contexts.into_iter().flat_map(Map::values);
        for other in linked.filter_map(|value| value.as_str()?.strip_prefix("target:")) {
            visit(file, other, path, out)?;
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
