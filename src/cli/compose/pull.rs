//! `compose pull` and `push`: images of services from registries, and to them, side by side.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use clap::{Args, FromArgMatches};

use super::front::{Here, known, project, with_dependencies};
use super::with_dry_run;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::report::response;
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::Service;
use crate::compose::life::{self, Context, Front as _, Pull, Stage};

const ANY: Rules = Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] };

/// `compose pull`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose pull"],
    about: "Pull service images",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(PullArgs::augment_args(command)),
    run: |matches, session| pull(&PullArgs::from_arg_matches(matches)?, session),
};

/// `compose push`
pub(in crate::cli) const PUSH: Spec = Spec {
    paths: &["compose push"],
    about: "Push service images",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(PushArgs::augment_args(command)),
    run: |matches, session| push(&PushArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct PullArgs {
    /// Do not pull images that can be built
    #[arg(long)]
    ignore_buildable: bool,
    /// Go on after a failure
    #[arg(long)]
    ignore_pull_failures: bool,
    /// Also pull images of services that others depend on
    #[arg(long)]
    include_deps: bool,
    /// Nothing: the flag --parallel of compose limits how much is done at once
    #[arg(long, hide = true)]
    no_parallel: bool,
    /// Nothing: images are pulled side by side
    #[arg(long, hide = true)]
    parallel: bool,
    /// When to pull ("missing"|"always")
    #[arg(long, value_name = "string")]
    policy: Option<String>,
    /// Pull without printing progress
    #[arg(long, short)]
    quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct PushArgs {
    /// Go on after a failure
    #[arg(long)]
    ignore_push_failures: bool,
    /// Also push images of services that others depend on
    #[arg(long)]
    include_deps: bool,
    /// Push without printing progress
    #[arg(long, short)]
    quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Returns the services that are meant, sorted.
fn meant(context: &Context, named: &[String], include_deps: bool) -> Result<Vec<String>> {
    let mut found = match (named, include_deps) {
        ([], _) | (_, true) => with_dependencies(context, named)?,
        (named, false) => named.to_vec(),
    };
    found.sort();
    found.dedup();
    Ok(found)
}

fn pull(args: &PullArgs, session: &Session) -> Result<u8> {
    let context = project(session, &args.services)?;
    let here = Here::new(session)?;
    let engine = here.engine();
    let asked = match args.policy.as_deref() {
        None | Some("") => None,
        Some("always") => Some(Pull::Always),
        Some("missing") => Some(Pull::Missing),
        Some(other) => bail!("--policy: there are missing and always, and not {other:?}"),
    };
    for (flag, given, why) in [
        ("--parallel", args.parallel, "images are pulled side by side anyway"),
        ("--no-parallel", args.no_parallel, "`compose --parallel 1 pull` pulls one after the other"),
    ] {
        if given {
            super::warn(&format!("{flag} has no effect: {why}"));
        }
    }
    let skip = |name: &str, why: &str| {
        if !args.quiet {
            here.tell(name, &format!("Skipped{why}"), Stage::Done);
        }
    };
    let mut wanted: BTreeMap<String, Vec<(&str, &Service)>> = BTreeMap::new();
    for name in meant(&context, &args.services, args.include_deps)? {
        known(&context, &name)?;
        let Some((name, service)) = context.project.services.get_key_value(&name) else { continue };
        let Some(image) = service.image.clone().filter(|image| !image.is_empty()) else {
            skip(name, " - No image to be pulled");
            continue;
        };
        let own = service.pull_policy.as_deref().and_then(Pull::read);
        let is_there = crate::image::resolve(engine.store, &image).is_ok();
        match asked.or(own) {
            Some(Pull::Never | Pull::Build) => {
                skip(name, "");
                continue;
            }
            Some(Pull::Missing) if is_there => {
                skip(name, " - Image is already present locally");
                continue;
            }
            _ => {}
        }
        if service.build.is_some() && args.ignore_buildable {
            skip(name, " - Image can be built");
            continue;
        }
        if let Some([(first, _), ..]) = wanted.get(&image).map(Vec::as_slice) {
            skip(name, &format!(" - Image is already being pulled by {first}"));
            continue;
        }
        wanted.insert(image, vec![(name, service)]);
    }
    let failed = life::pull_all(&engine, &wanted, args.quiet);
    let sources: Vec<&str> = failed
        .keys()
        .flat_map(|image| &wanted[image])
        .filter_map(|(name, service)| service.build.is_some().then_some(*name))
        .collect();
    if !sources.is_empty() {
        Session::note(&format!(
            "\nWARNING: Some service image(s) must be built from source by running:\n    docker compose build {}",
            sources.join(" ")
        ));
    }
    let errors: Vec<_> = failed.into_values().collect();
    if args.ignore_pull_failures {
        for error in errors {
            Session::note(&format!("{error:#}"));
        }
        return Ok(0);
    }
    life::finish(errors).map_err(response)?;
    Ok(0)
}

fn push(args: &PushArgs, session: &Session) -> Result<u8> {
    let context = project(session, &args.services)?;
    let here = Here::new(session)?;
    let mut jobs: Vec<(String, String)> = Vec::new();
    for name in meant(&context, &args.services, args.include_deps)? {
        known(&context, &name)?;
        let service = &context.project.services[&name];
        // What is not built here is somebody else's, and what has no name belongs nowhere.
        let (Some(build), Some(image)) = (&service.build, service.image.as_ref().filter(|it| !it.is_empty()))
        else {
            if !args.quiet {
                here.tell(&name, "Skipped", Stage::Done);
            }
            continue;
        };
        jobs.push((name.clone(), image.clone()));
        jobs.extend(build.tags.iter().filter(|tag| *tag != image).map(|tag| (name.clone(), tag.clone())));
    }
    let engine = here.engine();
    let errors = life::side_by_side(&engine, &jobs, |(name, image)| {
        let shown = if engine.dry_run { format!("DRY-RUN MODE -  {name}") } else { name.clone() };
        let tell = |state: &str, stage| {
            if !args.quiet {
                here.tell(&shown, state, stage);
            }
        };
        tell(&format!("Pushing {image}"), Stage::Begun);
        if !engine.dry_run {
            let mut command = here.command();
            command.args(["push", "--quiet", image]).stdin(Stdio::null());
            let output = command.output().context("start the push")?;
            if !output.status.success() {
                tell("Error", Stage::Failed);
                let said = String::from_utf8_lossy(&output.stderr);
                bail!("{name}: {}", said.trim_end());
            }
        }
        tell("Pushed", Stage::Done);
        Ok(())
    });
    if args.ignore_push_failures {
        for error in errors {
            Session::note(&format!("{error:#}"));
        }
        return Ok(0);
    }
    life::finish(errors)?;
    Ok(0)
}
