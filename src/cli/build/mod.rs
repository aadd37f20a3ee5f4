//! `build`: an image from a Dockerfile.
//!
//! What is asked for is read first ([`request`]), then the context is found ([`context`]) and the Dockerfile planned,
//! for which images are looked for and fetched ([`images`]). Only then does the process become root of the ancestor
//! namespace and start threads. [`display`] shows what happens, [`outcome`] says what came of it.

mod annotation;
mod check;
mod context;
mod csv;
mod display;
mod flags;
mod images;
mod outcome;
mod output;
mod provenance;
mod request;
mod secret;
mod ssh;
mod stop;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Result;
use clap::{Args as _, FromArgMatches};

pub(super) use self::stop::on_signals;

use self::context::Place;
use self::display::Display;
use self::flags::BuildArgs;
use self::images::Images;
use self::request::Request;
use super::access::client_of;
use super::grammar::{Absent, Arity, Rules};
use super::pull::enter;
use super::report::coded;
use super::session::Session;
use super::tree::Spec;
use crate::build::dockerfile::{Fault, comment_hint, excerpt};
use crate::build::graph::Graph;
use crate::build::ignore::Ignore;
use crate::build::lint::Lint;
use crate::build::plan::{self, plan};
use crate::build::solve::{Failure, Inputs, Stopped, solve};
use crate::image::{self, Quiet};
use crate::oci::{Platform, Reference};
use crate::registry::Client;

/// Docker's flags that builds here lack.
const ABSENT: &[Absent] = &[
    Absent {
        long: "sbom",
        short: None,
        takes_value: true,
        harmless: &["false", "0"],
        reason: "lists of what an image is made of, which take a scanner",
    },
    Absent { long: "policy", short: None, takes_value: true, harmless: &[], reason: "policies" },
];

/// `build`
pub(super) const SPEC: Spec = Spec {
    paths: &["buildx build", "buildx b", "image build", "builder build", "build"],
    about: "Start a build",
    usage: "[OPTIONS] PATH | URL | -",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: ABSENT },
    define: BuildArgs::augment_args,
    run: |matches, session| run(&BuildArgs::from_arg_matches(matches)?, session),
};

fn run(args: &BuildArgs, session: &Session) -> Result<u8> {
    let started = SystemTime::now();
    let request = &Request::read(args, session)?;
    for flag in args.without_effect() {
        eprintln!("WARNING: {flag} has no effect on a build");
    }
    let store = session.image_store()?;
    let place = context::find(request, store).map_err(|error| failed("failed to build: ", &error))?;
    if request.list_targets {
        Session::print(&check::targets(&place)?)?;
        return Ok(0);
    }
    if request.check {
        return check::run(request, &place, session);
    }
    // Helpers that know passwords are asked while there is one thread and no namespace.
    let pushed = if request.push { request.names.as_slice() } else { &[] };
    let clients = pushed.iter().map(|name| client_of(session, name)).collect::<Result<Vec<_>>>()?;
    let display = Arc::new(Display::new(request.progress));
    display.definition(&place);
    let lint = Lint::default();
    let images = Images::new(session, request.pull, display.clone())?;
    let planned = planned(request, &place, &images, &lint)?;
    let cache_clients = request.cache_images_to.iter().map(|cache| client_of(session, &cache.name));
    let cache_clients = cache_clients.collect::<Result<Vec<_>>>()?;
    let mut caches = images.caches(&request.cache_images);
    let cache_images = caches.iter().map(|cache| cache.id).collect();
    caches.extend(
        request.cache_images_to.iter().map(|cache| images.before(&cache.name)).collect::<Result<Vec<_>>>()?,
    );
    let identity = Session::identity()?;
    let (_ancestor, mapping) = enter(session).map_err(|error| failed("failed to solve: ", &error))?;
    let inputs = Inputs {
        contexts: request.directories(&place)?,
        secrets: request.secrets.clone(),
        ssh: request.ssh.sockets.clone(),
        hosts: request.hosts.clone(),
        shm_size: request.shm_size,
        ulimits: request.ulimits.clone(),
        keep: request.keep,
        stop: stop::on_signals(),
    };
    let mut exports = request.exports(planned.epoch, cache_images)?;
    if request.provenance {
        exports.attestations.push(provenance::provenance(request, &planned.graph, store, started));
    }
    let ticking = display.clone().tick();
    let report = display.clone().report();
    let built = solve(store, &identity, &planned.graph, &inputs, &exports, &report);
    let pushed = built.and_then(|built| {
        let push = |what: &str, name: &Reference, client: &Client| {
            let step = display.begin(&format!("{what} {name}"));
            let entering = || Ok(mapping.clone());
            let done = image::push(store, client, name, None, &entering, &Quiet);
            display.end(step, done.as_ref().err().map(|error| format!("{error:#}")));
            done.map(drop)
        };
        for (name, client) in request.names.iter().zip(&clients) {
            push("pushing", name, client)?;
        }
        for (cache, client) in request.cache_images_to.iter().zip(&cache_clients) {
            let done = push("exporting cache to registry", &cache.name, client);
            if !request.optional_caches.contains(&cache.name) {
                done?;
            }
        }
        Ok(built)
    });
    let borrowed = caches.iter().filter(|cache| !request.names.contains(&cache.name));
    let put_back = borrowed.into_iter().try_for_each(|cache| cache.put_back(store));
    let pushed = pushed.and_then(|built| put_back.map(|()| built));
    ticking.stop();
    match pushed {
        Ok(built) => {
            display.warnings(&lint.warnings());
            outcome::tell(request, &built, &planned.graph, &lint.warnings())?;
            Ok(0)
        }
        Err(error) => Err(explain(&error, &planned.graph, &place, &display)),
    }
}

/// Plans a build.
fn planned(request: &Request, place: &Place, images: &Images, lint: &Lint) -> Result<plan::Plan> {
    let ignore = Ignore::new(&place.ignore).map_err(|error| {
        coded(1, format!("ERROR: failed to solve: failed to parse .dockerignore: {error}"))
    })?;
    let contexts = request.contexts(images)?;
    plan(&plan::Request {
        source: &place.dockerfile,
        target: request.target.as_deref(),
        arguments: &request.arguments,
        platforms: &request.platforms,
        host: Platform::host(),
        contexts: &contexts,
        labels: &request.labels,
        fresh: &request.fresh,
        network: request.network,
        insecure: request.insecure,
        ignore: &ignore,
        all_stages: request.check && request.target.is_none(),
        lint,
        resolve: &|reference, platform| images.resolve(reference, platform),
    })
    .map_err(|fault| of_fault(&fault, place))
}

/// Says what is wrong with a Dockerfile: the place, then the error, then what to do.
fn of_fault(fault: &Fault, place: &Place) -> anyhow::Error {
    let fault = comment_hint(fault.clone(), &place.dockerfile);
    let mut text = fault.excerpt(&place.name, &place.dockerfile);
    text = format!("{text}ERROR: failed to solve: {fault}");
    if let Some(hint) = &fault.hint {
        text = format!("{text}\nhint: {hint}");
    }
    coded(1, text)
}

/// Says what a step failed of: its last words, its place, then the error.
fn explain(error: &anyhow::Error, graph: &Graph, place: &Place, display: &Display) -> anyhow::Error {
    if error.downcast_ref::<Stopped>().is_some() {
        return coded(130, "ERROR: failed to solve: Canceled: context canceled");
    }
    let Some(failure) = error.downcast_ref::<Failure>() else { return failed("failed to solve: ", error) };
    let mut text = display.last_words(failure.step);
    let mut hint = None;
    if let Some(lines) = graph.steps.get(failure.step.0).and_then(|step| step.lines) {
        text.push_str(&excerpt(&place.name, &place.dockerfile, &[lines], None));
        hint = comment_hint(Fault::new("").at(lines), &place.dockerfile).hint;
    }
    text = format!("{text}ERROR: failed to solve: {}", failure.message);
    if let Some(hint) = hint {
        text = format!("{text}\nhint: {hint}");
    }
    coded(1, text)
}

fn failed(doing: &str, error: &anyhow::Error) -> anyhow::Error {
    coded(1, format!("ERROR: {doing}{error:#}"))
}

/// Returns the seconds since a time.
fn seconds_since(start: SystemTime, end: SystemTime) -> f64 {
    end.duration_since(start).unwrap_or_default().as_secs_f64()
}

/// Reads `name=value`; a name alone takes its value from the environment.
fn variable(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(text).ok().map(|value| (text.to_owned(), value)),
    }
}

/// Reads labels.
fn labels(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    texts.iter().map(pair).collect()
}
