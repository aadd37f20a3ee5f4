//! `compose build`, and how `up` and `run` build: a service's section becomes a target as bake has them, and that
//! the words of `build`, which a process of its own is given.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, FromArgMatches};
use serde_json::{Map, Value, json};

use super::front::{Here, known, project, warn_without_effect};
use super::with_dry_run;
use crate::cli::bake;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::life::{Context, Front as _, Stage, label};
use crate::compose::{Build, Grant, Service};
use crate::image;
use crate::oci::Platform;

/// `compose build`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose build"],
    about: "Build or rebuild services",
    usage: "[OPTIONS] [SERVICE...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: |command| with_dry_run(BuildArgs::augment_args(command)),
    run: |matches, session| run(&BuildArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct BuildArgs {
    /// Set build-time variables for services
    #[arg(long, value_name = "stringArray")]
    build_arg: Vec<String>,
    /// Name of the builder; there is one
    #[arg(long, value_name = "string")]
    builder: Option<String>,
    /// Check the Dockerfiles, and build nothing
    #[arg(long)]
    check: bool,
    /// Nothing: contexts are read in place
    #[arg(long, hide = true)]
    compress: bool,
    /// Nothing: what a step runs in never outlives it
    #[arg(long, hide = true)]
    force_rm: bool,
    /// Memory of the build's steps; without effect, as with BuildKit
    #[arg(long, short, value_name = "bytes")]
    memory: Option<String>,
    /// Do not use the cache
    #[arg(long)]
    no_cache: bool,
    /// Nothing: what a step runs in never outlives it
    #[arg(long, hide = true)]
    no_rm: bool,
    /// Nothing: independent steps of a build run side by side
    #[arg(long, hide = true)]
    parallel: bool,
    /// Print the equivalent bake file, and build nothing
    #[arg(long)]
    print: bool,
    /// How progress is shown (auto, tty, plain, rawjson, quiet)
    #[arg(long, hide = true, value_name = "string")]
    progress: Option<String>,
    /// Add an attestation of provenance; without effect
    #[arg(long, value_name = "string", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    provenance: Option<String>,
    /// Always look for newer versions of images that are built upon
    #[arg(long)]
    pull: bool,
    /// Push the services' images
    #[arg(long)]
    push: bool,
    /// Build without printing progress
    #[arg(long, short)]
    quiet: bool,
    /// Add an attestation of contents; without effect
    #[arg(long, value_name = "string", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sbom: Option<String>,
    /// Agents that builds may use (default, or name=socket)
    #[arg(long, value_name = "string")]
    ssh: Vec<String>,
    /// Also build what the services depend on
    #[arg(long)]
    with_dependencies: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// How images are built, beside what their services say.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub(super) struct Wishes {
    /// `--no-cache`
    pub(super) no_cache: bool,
    /// `--pull`
    pub(super) pull: bool,
    /// `--push`
    pub(super) push: bool,
    /// `--check`
    pub(super) check: bool,
    /// `--quiet`, `--quiet-build`
    pub(super) quiet: bool,
    /// Whether it is built for every platform that the service names, and not for the one that runs here.
    pub(super) all_platforms: bool,
    /// `--build-arg`
    pub(super) arguments: Vec<String>,
    /// `--ssh`
    pub(super) ssh: Vec<String>,
    /// Words for `build` as they are.
    pub(super) words: Vec<String>,
}

fn run(args: &BuildArgs, session: &Session) -> Result<u8> {
    let context = project(session, &args.services)?;
    warn_without_effect(&context);
    for (flag, given) in [("--provenance", args.provenance.as_deref()), ("--sbom", args.sbom.as_deref())] {
        if !matches!(given, None | Some("false" | "0" | "")) {
            super::warn(&format!("{flag} has no effect: no attestations are made"));
        }
    }
    for (flag, given) in [
        ("--compress", args.compress),
        ("--force-rm", args.force_rm),
        ("--no-rm", args.no_rm),
        ("--parallel", args.parallel),
    ] {
        if given {
            super::warn(&format!("{flag} has no effect: it is of the builder before BuildKit"));
        }
    }
    let mut here = Here::new(session)?;
    let mut words: Vec<String> = Vec::new();
    words.extend(args.memory.iter().map(|size| format!("--memory={size}")));
    words.extend(args.builder.iter().filter(|it| !it.is_empty()).map(|name| format!("--builder={name}")));
    let progress = args.progress.clone().or_else(|| match session.compose.progress.as_str() {
        "auto" => None,
        "json" => Some("rawjson".to_owned()),
        word => Some(word.to_owned()),
    });
    words.extend(progress.map(|word| format!("--progress={word}")));
    here.build = Wishes {
        no_cache: args.no_cache,
        pull: args.pull,
        push: args.push,
        check: args.check,
        quiet: args.quiet,
        all_platforms: true,
        arguments: args.build_arg.clone(),
        ssh: args.ssh.clone(),
        words,
    };
    let names = order(&context, &args.services, args.with_dependencies)?;
    if args.print {
        return print(&here, &context, &names);
    }
    if names.is_empty() {
        super::warn("No services to build");
        return Ok(0);
    }
    let mut code = 0;
    for name in names {
        if args.check {
            code = code.max(invoke(&here, &context, &name)?);
            continue;
        }
        if !args.quiet {
            here.tell(&name, "Building", Stage::Begun);
        }
        if !session.compose.dry_run {
            here.build(&context, &name)?;
        }
        if !args.quiet {
            here.tell(&name, "Built", Stage::Done);
        }
    }
    Ok(code)
}

/// Prints what bake would be given.
fn print(here: &Here, context: &Context, names: &[String]) -> Result<u8> {
    let mut targets = Map::new();
    for name in names {
        let (service, build) = section(context, name)?;
        let mut target =
            target(here, context, name, service, build, &|other| Some(format!("target:{other}")))?;
        let output =
            if here.build.push && service.image.is_some() { "type=image,push=true" } else { "type=docker" };
        target.insert("output".to_owned(), json!([output]));
        if !build.extra_hosts.is_empty() {
            let pair = |line: &String| line.split_once('=').map(|(name, ip)| (name.to_owned(), json!(ip)));
            let hosts: Map<String, Value> = build.extra_hosts.iter().filter_map(pair).collect();
            target.insert("extra-hosts".to_owned(), Value::Object(hosts));
        }
        targets.insert(name.clone(), Value::Object(target));
    }
    let file = json!({ "group": { "default": { "targets": names } }, "target": targets });
    Session::print(&format!("{}\n", serde_json::to_string_pretty(&file)?))?;
    Ok(0)
}

fn section<'a>(context: &'a Context, name: &str) -> Result<(&'a Service, &'a Build)> {
    known(context, name)?;
    let service = &context.project.services[name];
    let build = service.build.as_ref().ok_or_else(|| anyhow!("service {name:?} has no build section"))?;
    Ok((service, build))
}

/// Returns the services whose images a service is built upon.
fn bases(build: &Build) -> impl Iterator<Item = &str> {
    let contexts = build.additional_contexts.values().chain([&build.context]);
    contexts.filter_map(|value| value.strip_prefix("service:"))
}

/// Returns the services that are built, each after those that it is built upon.
fn order(context: &Context, named: &[String], with_dependencies: bool) -> Result<Vec<String>> {
    fn add(
        context: &Context,
        name: &str,
        with_dependencies: bool,
        way: &mut Vec<String>,
        found: &mut Vec<String>,
    ) -> Result<()> {
        if way.iter().any(|known| known == name) {
            bail!("services are built upon each other: {} -> {name}", way.join(" -> "));
        }
        if found.iter().any(|known| known == name) {
            return Ok(());
        }
        known(context, name)?;
        let service = &context.project.services[name];
        way.push(name.to_owned());
        if let Some(build) = &service.build {
            for base in bases(build) {
                add(context, base, with_dependencies, way, found)?;
            }
        }
        way.pop();
        if with_dependencies {
            for other in service.depends_on.keys() {
                // Dependencies go in no circles, which has been checked, but may lead back to what is built.
                if !way.contains(other) {
                    add(context, other, with_dependencies, way, found)?;
                }
            }
        }
        if service.build.is_some() && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
        Ok(())
    }
    let all: Vec<String>;
    let wanted = if named.is_empty() {
        all = context.project.services.keys().cloned().collect();
        &all
    } else {
        named
    };
    let mut found = Vec::new();
    for name in wanted {
        add(context, name, with_dependencies, &mut Vec::new(), &mut found)?;
    }
    Ok(found)
}

/// Builds the image of a service, and before it those that it is built upon and that are not there.
pub(super) fn build(here: &Here, context: &Context, name: &str) -> Result<()> {
    for base in order(context, &[name.to_owned()], false)? {
        let service = &context.project.services[&base];
        let there = || image::resolve(here.engine().store, &service.image_name(&context.project.name, &base));
        if (base == name || there().is_err()) && invoke(here, context, &base)? != 0 {
            bail!("failed to build service {base:?}");
        }
    }
    Ok(())
}

/// Has another process build, and returns its exit code.
fn invoke(here: &Here, context: &Context, name: &str) -> Result<u8> {
    let (service, build) = section(context, name)?;
    let id_of = |other: &str| {
        let service = context.project.services.get(other)?;
        let record = image::resolve(here.engine().store, &service.image_name(&context.project.name, other));
        // By its id: a name would be looked for in a registry by a build that pulls.
        match record {
            Ok(record) => Some(format!("docker-image://{}", record.id)),
            // What is only checked need not be there.
            Err(_) => here.build.check.then(|| "docker-image://scratch".to_owned()),
        }
    };
    let target = target(here, context, name, service, build, &id_of)?;
    let mut words = bake::words(&target).with_context(|| format!("services.{name}.build"))?;
    let at = words.pop().unwrap_or_default();
    for line in &build.extra_hosts {
        words.push(format!("--add-host={}", line.replacen('=', ":", 1)));
    }
    if here.build.push && service.image.is_some() {
        words.extend(["--load".to_owned(), "--push".to_owned()]);
    }
    words.extend(here.build.check.then(|| "--check".to_owned()));
    words.extend(here.build.quiet.then(|| "--quiet".to_owned()));
    words.extend(here.build.words.iter().cloned());
    let inline = build.dockerfile_inline.as_ref();
    words.extend(inline.map(|_| "--file=-".to_owned()));
    words.extend(["--".to_owned(), at]);
    let mut command = here.command();
    command.arg("build").args(words);
    // Secrets of the environment are those of the project's.
    for object in build.secrets.iter().filter_map(|grant| context.project.secrets.get(&grant.source)) {
        if let Some(variable) = &object.environment
            && let Some(value) = context.variables.get(variable)
        {
            command.env(variable, value);
        }
    }
    command.stdin(if inline.is_some() { Stdio::piped() } else { Stdio::null() });
    if here.build.quiet {
        command.stdout(Stdio::null());
    }
    let mut child = command.spawn().context("start the build")?;
    if let (Some(text), Some(mut stdin)) = (inline, child.stdin.take()) {
        // A build that has failed already does not read it.
        let _ = std::io::Write::write_all(&mut stdin, text.as_bytes());
    }
    let status = child.wait().context("wait for the build")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Makes a target of a service. `base_of` says what stands for another service's image.
fn target(
    here: &Here,
    context: &Context,
    name: &str,
    service: &Service,
    build: &Build,
    base_of: &dyn Fn(&str) -> Option<String>,
) -> Result<Map<String, Value>> {
    let wishes = &here.build;
    let mut target = Map::new();
    let mut put = |key: &str, value: Value| target.insert(key.to_owned(), value);
    let mut contexts: BTreeMap<&str, String> = BTreeMap::new();
    let base = |other: &str| {
        base_of(other).ok_or_else(|| anyhow!("service {name:?} is built upon {other:?}, which has no image"))
    };
    for (key, value) in &build.additional_contexts {
        let value = match value.strip_prefix("service:") {
            Some(other) => base(other)?,
            None => value.clone(),
        };
        contexts.insert(key, value);
    }
    if build.context.starts_with("service:") {
        bail!("services.{name}.build.context: an image is no context: name it in additional_contexts");
    }
    put("context", json!(build.context));
    match (&build.dockerfile_inline, &build.dockerfile) {
        (Some(text), _) => put("dockerfile-inline", json!(text)),
        (None, Some(file)) => put("dockerfile", json!(file)),
        (None, None) => None,
    };
    let mut arguments: BTreeMap<&str, Option<String>> =
        build.args.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    for text in &wishes.arguments {
        let (key, value) =
            text.split_once('=').map_or((text.as_str(), None), |(key, value)| (key, Some(value)));
        arguments.insert(key, value.map(str::to_owned).or_else(|| context.variables.get(key).cloned()));
    }
    let mut labels = build.labels.clone();
    for (key, value) in [
        (label::PROJECT, context.project.name.as_str()),
        (label::SERVICE, name),
        (label::VERSION, crate::compose::VERSION),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let mut tags = vec![service.image_name(&context.project.name, name)];
    tags.extend(build.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect::<Vec<_>>());
    let ulimit = |(name, value): (&String, &Value)| match value {
        Value::Object(both) => format!("{name}={}:{}", number(both.get("soft")), number(both.get("hard"))),
        one => format!("{name}={}", number(Some(one))),
    };
    let mut allowed = build.entitlements.clone();
    if build.privileged && !allowed.iter().any(|it| it == "security.insecure") {
        allowed.push("security.insecure".to_owned());
    }
    let secrets: Vec<String> =
        build.secrets.iter().map(|grant| secret(context, name, grant)).collect::<Result<_>>()?;
    let ssh: Vec<&String> = build.ssh.iter().chain(&wishes.ssh).collect();
    put("args", json!(arguments));
    put("labels", json!(labels));
    put("tags", json!(tags));
    put("contexts", json!(contexts));
    put("platforms", json!(platforms(name, service, build, wishes.all_platforms)?));
    put("cache-from", json!(build.cache_from));
    put("cache-to", json!(build.cache_to));
    put("no-cache-filter", json!(build.no_cache_filter));
    put("entitlements", json!(allowed));
    put("secret", json!(secrets));
    put("ssh", json!(ssh));
    put("ulimits", json!(build.ulimits.iter().map(ulimit).collect::<Vec<_>>()));
    for (key, value) in
        [("target", &build.target), ("network", &build.network), ("shm-size", &build.shm_size)]
    {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            put(key, json!(value));
        }
    }
    for (key, value) in [("no-cache", build.no_cache || wishes.no_cache), ("pull", build.pull || wishes.pull)]
    {
        if value {
            put(key, json!(true));
        }
    }
    target.retain(|_, value| match value {
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    });
    Ok(target)
}

fn number(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

/// Returns the platforms that are built for: all that are named, or the one that runs here.
fn platforms(name: &str, service: &Service, build: &Build, all: bool) -> Result<Vec<String>> {
    let own = service.platform.as_ref().filter(|own| !own.is_empty());
    if let Some(own) = own {
        if !build.platforms.is_empty() && !build.platforms.contains(own) {
            bail!("service {name:?} build configuration does not support platform: {own}");
        }
        if build.platforms.is_empty() || !all {
            return Ok(vec![own.clone()]);
        }
    }
    if all || build.platforms.len() < 2 {
        return Ok(build.platforms.clone());
    }
    let host = Platform::host();
    let runs = |text: &&String| text.parse::<Platform>().is_ok_and(|platform| host.runs(&platform));
    match build.platforms.iter().find(runs) {
        Some(platform) => Ok(vec![platform.clone()]),
        None => bail!("service {name:?} build configuration does not support platform: {host}"),
    }
}

/// Returns a secret of a build as its flag has it.
fn secret(context: &Context, name: &str, grant: &Grant) -> Result<String> {
    let source = &grant.source;
    let id = grant.target.as_ref().filter(|target| !target.is_empty()).unwrap_or(source);
    if grant.uid.is_some() || grant.gid.is_some() || grant.mode.is_some() {
        super::warn(&format!(
            "services.{name}.build.secrets: uid, gid and mode have no effect: a step names them where it mounts {id}"
        ));
    }
    let Some(object) = context.project.secrets.get(source) else {
        bail!("services.{name}.build.secrets: undefined secret {source:?}");
    };
    if let Some(file) = &object.file {
        return Ok(format!("id={id},type=file,\"src={}\"", file.replace('"', "\"\"")));
    }
    if let Some(variable) = &object.environment {
        if !context.variables.contains_key(variable) {
            bail!("environment variable {variable:?} required by build secret {source:?} is not set");
        }
        return Ok(format!("id={id},type=env,env={variable}"));
    }
    bail!("services.{name}.build.secrets: secret {source:?} has neither a file nor a variable")
}
