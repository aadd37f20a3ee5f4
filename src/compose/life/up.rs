//! Bringing a project up: what is there is compared with what is wanted, and only the difference is done.
//!
//! First everything is made, one after the other, what others need first. Then everything is started, each
//! service on its own thread, which waits for the services that it depends on to be as it wants them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::images::{Pull, ensure_images};
use super::state::{Member, observe};
use super::{Context, Engine, Stage, act, gate, request, resource};
use crate::compose::project::Service;
use crate::container::{self, ContainerDir, Mount, MountRequest, MountSource, VolumeWishes};
use crate::image::Image;

/// When containers are made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recreate {
    /// When their configuration or image has changed.
    #[default]
    Changed,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a project is brought up.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub struct Up {
    /// Only these services, with what they depend on.
    pub services: Vec<String>,
    /// `--no-deps`
    pub no_deps: bool,
    /// `--scale`
    pub scale: BTreeMap<String, u32>,
    /// `--force-recreate`, `--no-recreate`
    pub recreate: Recreate,
    /// `--always-recreate-deps`
    pub recreate_deps: bool,
    /// `--renew-anon-volumes`
    pub renew_volumes: bool,
    /// `--remove-orphans`
    pub remove_orphans: bool,
    /// `--build`
    pub build: bool,
    /// `--no-build`
    pub no_build: bool,
    /// `--pull`
    pub pull: Option<Pull>,
    /// `--quiet-pull`
    pub quiet_pull: bool,
    /// `--timeout`
    pub timeout: Option<i64>,
    /// Whether they are started.
    pub start: bool,
    /// `--wait`, with the time that it has.
    pub wait: Option<Option<Duration>>,
}

/// A container of a service that is wanted.
#[derive(Debug, Clone)]
struct Wanted {
    id: String,
    name: String,
    running: bool,
    /// Whether it is started again because of what it depends on.
    restart: bool,
}

/// Brings a project up. Returns the services that were meant, those that others need first.
pub fn up(engine: &Engine<'_>, context: &Context, options: &Up) -> Result<Vec<String>> {
    let order = order(context, &options.services, options.no_deps)?;
    let members = observe(engine.store, &context.project.name)?;
    let mut garbage: Vec<Member> = members.iter().filter(|member| member.is_leftover()).cloned().collect();
    let present: Vec<Member> =
        members.into_iter().filter(|member| !member.is_leftover() && !member.one_off).collect();
    let images = ensure_images(engine, context, &order, options)?;
    resource::prepare(engine, context)?;
    let orphans: Vec<Member> =
        present.iter().filter(|member| !context.all_services.contains(&member.service)).cloned().collect();
    if options.remove_orphans {
        act::stop_all(engine, &orphans, options.timeout)?;
        garbage.extend(orphans);
    } else {
        resource::warn_of_leftovers(engine, &orphans);
    }
    let mut plan =
        Plan { engine, context, options, images, garbage, renewed: BTreeSet::new(), told: BTreeSet::new() };
    let mut wanted: HashMap<String, Vec<Wanted>> = HashMap::new();
    for name in &order {
        let own: Vec<&Member> = present.iter().filter(|member| member.service == *name).collect();
        wanted.insert(name.clone(), plan.service(name, &own)?);
    }
    let garbage = std::mem::take(&mut plan.garbage);
    let started = if options.start { start(engine, context, &order, &wanted) } else { Ok(()) };
    let active: Vec<Member> =
        garbage.iter().filter(|member| act::is_active(&member.dir(engine.store))).cloned().collect();
    act::stop_all(engine, &active, options.timeout)?;
    // Their unnamed volumes are those of their successors.
    act::remove(engine, &garbage, false)?;
    started?;
    wait_for(engine, &order, &wanted, options)?;
    Ok(order)
}

/// Waits until all containers run or are healthy, if that is wanted.
fn wait_for(
    engine: &Engine<'_>,
    order: &[String],
    wanted: &HashMap<String, Vec<Wanted>>,
    options: &Up,
) -> Result<()> {
    if let Some(limit) = options.wait.filter(|_| !engine.dry_run) {
        let until = limit.map(|limit| Instant::now() + limit);
        for one in order.iter().filter_map(|name| wanted.get(name)).flatten() {
            let shown = format!("Container {}", one.name);
            engine.begun(&shown, "Waiting");
            match gate::healthy(engine, &one.id, &one.name, until, true) {
                Ok(()) => engine.done(&shown, "Healthy"),
                Err(error) => {
                    engine.told(&shown, "Error", Stage::Failed);
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// Waits until what a service depends on is as it wants it.
pub fn wait_for_dependencies(engine: &Engine<'_>, context: &Context, service: &Service) -> Result<()> {
    let members = observe(engine.store, &context.project.name)?;
    for (other, dependency) in &service.depends_on {
        let own = members.iter().filter(|member| member.service == *other && !member.one_off);
        let containers: Vec<_> =
            own.map(|member| (member.id().to_owned(), member.name().to_owned())).collect();
        gate::wait(engine, &containers, other, dependency)
            .map_err(|error| anyhow!("dependency failed to start: {error:#}"))?;
    }
    Ok(())
}

/// Starts containers that are there, in order and with all conditions.
pub fn start_present(engine: &Engine<'_>, context: &Context, members: &[Member], options: &Up) -> Result<()> {
    let named: Vec<String> = members
        .iter()
        .map(|member| member.service.clone())
        .filter(|name| context.project.services.contains_key(name))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let order: Vec<String> =
        order(context, &named, true)?.into_iter().filter(|name| named.contains(name)).collect();
    let mut wanted: HashMap<String, Vec<Wanted>> = HashMap::new();
    for member in members {
        wanted.entry(member.service.clone()).or_default().push(Wanted {
            id: member.id().to_owned(),
            name: member.name().to_owned(),
            running: member.is_running(),
            restart: false,
        });
    }
    start(engine, context, &order, &wanted)?;
    wait_for(engine, &order, &wanted, options)
}

/// Returns the services that are meant, each after those that it depends on.
fn order(context: &Context, named: &[String], no_deps: bool) -> Result<Vec<String>> {
    fn add(name: &str, context: &Context, no_deps: bool, found: &mut Vec<String>) -> Result<()> {
        if found.iter().any(|known| known == name) {
            return Ok(());
        }
        let Some(service) = context.project.services.get(name) else { bail!("no such service: {name}") };
        if !no_deps {
            for other in service.depends_on.keys() {
                add(other, context, no_deps, found)?;
            }
        }
        found.push(name.to_owned());
        Ok(())
    }
    let mut found = Vec::new();
    let all: Vec<String> =
        if named.is_empty() { context.project.services.keys().cloned().collect() } else { named.to_vec() };
    if no_deps && named.len() > 1 {
        // Still in order among themselves.
        let whole = order(context, named, false)?;
        return Ok(whole.into_iter().filter(|name| named.contains(name)).collect());
    }
    for name in &all {
        add(name, context, no_deps, &mut found)?;
    }
    Ok(found)
}

/// The making of containers.
struct Plan<'a> {
    engine: &'a Engine<'a>,
    context: &'a Context,
    options: &'a Up,
    images: HashMap<String, Image>,
    /// Containers that have successors.
    garbage: Vec<Member>,
    /// Services of which a container is new.
    renewed: BTreeSet<String>,
    /// What has been warned of.
    told: BTreeSet<String>,
}

impl Plan<'_> {
    /// Makes the containers of a service, and returns all that are wanted.
    fn service(&mut self, name: &str, present: &[&Member]) -> Result<Vec<Wanted>> {
        let service = &self.context.project.services[name];
        let count = self.options.scale.get(name).copied().unwrap_or(service.replicas()) as usize;
        if count > 1 && service.container_name.is_some() {
            bail!(
                "service {name:?}: containers cannot share the container_name {:?}: scale it to 1",
                service.container_name.clone().unwrap_or_default()
            );
        }
        let (kept, extra) = present.split_at(present.len().min(count));
        for member in extra {
            act::stop_all(self.engine, &[(*member).clone()], self.options.timeout)?;
            self.garbage.push((*member).clone());
        }
        let shares = |other: &String| self.renewed.contains(other) && is_shared(service, other);
        let follows = service.depends_on.keys().any(shares);
        let restarts =
            service.depends_on.iter().any(|(other, it)| it.restart && self.renewed.contains(other));
        let mut wanted = Vec::new();
        for member in kept {
            if self.is_outdated(name, service, member) || follows {
                wanted.push(self.replace(name, service, member)?);
                self.renewed.insert(name.to_owned());
            } else {
                wanted.push(Wanted {
                    id: member.id().to_owned(),
                    name: member.name().to_owned(),
                    running: member.is_running(),
                    restart: restarts,
                });
            }
        }
        let mut number = 1;
        while wanted.len() < count {
            while kept.iter().any(|member| member.number == number) {
                number += 1;
            }
            wanted.push(self.make(name, service, number, None)?);
            number += 1;
        }
        Ok(wanted)
    }

    fn is_outdated(&self, name: &str, service: &Service, member: &Member) -> bool {
        match self.options.recreate {
            Recreate::Never => return false,
            Recreate::Always if self.options.services.is_empty() => return true,
            Recreate::Always if self.options.services.iter().any(|it| it == name) => return true,
            _ if self.options.recreate_deps && !self.options.services.iter().any(|it| it == name) => {
                return true;
            }
            _ => {}
        }
        let other_image =
            self.images.get(name).is_some_and(|image| image.record.id != member.summary.config.image);
        member.hash() != service.hash || other_image
    }

    /// Makes the successor of a container. Until it is there, the old one has another name, by which it is
    /// known if this is cut short.
    fn replace(&mut self, name: &str, service: &Service, old: &Member) -> Result<Wanted> {
        let engine = self.engine;
        let shown = format!("Container {}", old.name());
        engine.begun(&shown, "Recreate");
        if engine.dry_run {
            engine.done(&shown, "Recreated");
            return Ok(Wanted {
                id: String::new(),
                name: old.name().to_owned(),
                running: false,
                restart: false,
            });
        }
        let dir = old.dir(engine.store);
        container::stop(engine.store, &dir, None, self.options.timeout)?;
        let aside = format!("{}_{}", &old.id()[..12], old.name());
        container::rename(engine.store, &dir, &aside)?;
        let made = match self.make(name, service, old.number, Some(old)) {
            Ok(made) => made,
            Err(error) => {
                // It was the best there is.
                let _ = container::rename(engine.store, &dir, old.name());
                engine.told(&shown, "Error", Stage::Failed);
                return Err(error);
            }
        };
        let mut old = old.clone();
        old.summary.name = aside;
        self.garbage.push(old);
        engine.done(&shown, "Recreated");
        Ok(made)
    }

    fn make(&mut self, name: &str, service: &Service, number: u32, old: Option<&Member>) -> Result<Wanted> {
        let engine = self.engine;
        let container = service.container(&self.context.project.name, name, number);
        let shown = format!("Container {container}");
        if old.is_none() {
            engine.begun(&shown, "Creating");
        }
        let mut id = String::new();
        if !engine.dry_run {
            let image = self.images.get(name).ok_or_else(|| anyhow!("service {name:?} has no image"))?;
            let digest = image.record.id.to_string();
            let mut request = request::of(engine, self.context, name, service, number, &digest)?;
            if let Some(old) = old.filter(|_| !self.options.renew_volumes) {
                for kept in unnamed_volumes(old, &request.mounts) {
                    request.mounts.retain(|it| it.mount.target != kept.mount.target);
                    request.mounts.push(kept);
                }
            }
            let made = container::create(engine.store, engine.identity, image, request)
                .inspect_err(|_| engine.told(&shown, "Error", Stage::Failed))?;
            for warning in made.warnings {
                // What is true of one is true of its like.
                if self.told.insert(warning.clone()) {
                    engine.front.warn(&warning);
                }
            }
            id = made.id;
        }
        if old.is_none() {
            engine.done(&shown, "Created");
        }
        Ok(Wanted { id, name: container, running: false, restart: false })
    }
}

/// Tells whether a service lives in namespaces or with volumes of another one's container.
fn is_shared(service: &Service, other: &str) -> bool {
    let mode = format!("service:{other}");
    let modes = [&service.network_mode, &service.ipc, &service.pid];
    modes.iter().any(|own| own.as_deref() == Some(&mode))
        || service.volumes_from.iter().any(|from| from.split(':').next() == Some(other))
}

/// Returns the volumes without a name that a container has and its successor would have made anew.
fn unnamed_volumes(old: &Member, wanted: &[MountRequest]) -> Vec<MountRequest> {
    let config = &old.summary.config;
    let kept = config.mounts.iter().filter(|mount| {
        matches!(mount.source, MountSource::Volume { anonymous: true, .. })
            && !config.inherited.contains(&mount.target)
            && !wanted.iter().any(|it| it.mount.target == mount.target && !is_unnamed(&it.mount))
    });
    kept.map(|mount| MountRequest {
        mount: mount.clone(),
        create_source: false,
        volume: VolumeWishes::default(),
    })
    .collect()
}

fn is_unnamed(mount: &Mount) -> bool {
    matches!(&mount.source, MountSource::Volume { name, .. } if name.is_empty())
}

/// What each service has come to; threads wait for it to change.
struct Board {
    done: Mutex<HashMap<String, bool>>,
    changed: Condvar,
    /// How many more may be started at once.
    turns: Mutex<usize>,
    turn_ended: Condvar,
    /// The containers of each service that is meant: ids and names.
    containers: HashMap<String, Vec<(String, String)>>,
}

impl Board {
    fn set(&self, name: &str, well: bool) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), well);
        self.changed.notify_all();
    }

    /// Waits until one more may be started.
    fn take_turn(&self) {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = self.turn_ended.wait_while(turns, |turns| *turns == 0);
        *turns.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    fn end_turn(&self) {
        *self.turns.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.turn_ended.notify_one();
    }

    /// Waits for a service, and tells whether it has started well.
    fn wait(&self, name: &str) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.changed.wait_while(done, |done| !done.contains_key(name));
        done.unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or(false)
    }
}

/// Starts the containers of services, each when what it depends on is as it wants it.
fn start(
    engine: &Engine<'_>,
    context: &Context,
    order: &[String],
    wanted: &HashMap<String, Vec<Wanted>>,
) -> Result<()> {
    let idle = |one: &Wanted| one.running && !one.restart;
    let none = Vec::new();
    let of = |name: &String| wanted.get(name).unwrap_or(&none);
    let pairs = |all: &Vec<Wanted>| all.iter().map(|one| (one.id.clone(), one.name.clone())).collect();
    let board = Board {
        done: Mutex::default(),
        changed: Condvar::new(),
        turns: Mutex::new(engine.parallel.max(1)),
        turn_ended: Condvar::new(),
        containers: wanted.iter().map(|(name, all)| (name.clone(), pairs(all))).collect(),
    };
    let mut busy = Vec::new();
    for name in order {
        for one in of(name).iter().filter(|one| idle(one)) {
            engine.done(&format!("Container {}", one.name), "Running");
        }
        if of(name).iter().all(idle) {
            board.set(name, true);
        } else {
            busy.push(name);
        }
    }
    let errors = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for name in busy {
            let (board, errors, own) = (&board, &errors, of(name));
            scope.spawn(move || {
                let started = start_service(engine, context, name, own, board);
                board.set(name, started.is_ok());
                if let (Err(error), Ok(mut errors)) = (started, errors.lock()) {
                    errors.push(error);
                }
            });
        }
    });
    let errors = errors.into_inner().unwrap_or_default();
    // Those that only follow from others need not be told.
    let (causes, echoes): (Vec<_>, Vec<_>) = errors.into_iter().partition(|error| !error.is::<Echo>());
    act::finish(if causes.is_empty() { echoes } else { causes })
}

/// That something was not started because what it needs was not.
#[derive(Debug, thiserror::Error)]
#[error("dependency failed to start: service {0} did not start")]
struct Echo(String);

fn start_service(
    engine: &Engine<'_>,
    context: &Context,
    name: &str,
    own: &[Wanted],
    board: &Board,
) -> Result<()> {
    let service = &context.project.services[name];
    for (other, dependency) in &service.depends_on {
        // One that is not meant, as with `--no-deps`, is not waited for.
        let Some(containers) = board.containers.get(other) else { continue };
        if !board.wait(other) {
            if dependency.required {
                return Err(Echo(other.clone()).into());
            }
            continue;
        }
        gate::wait(engine, containers, other, dependency)
            .map_err(|error| anyhow!("dependency failed to start: {error:#}"))?;
    }
    for one in own.iter().filter(|one| !one.running || one.restart) {
        board.take_turn();
        let started = start_one(engine, service, name, one);
        board.end_turn();
        started?;
    }
    Ok(())
}

fn start_one(engine: &Engine<'_>, service: &Service, name: &str, one: &Wanted) -> Result<()> {
    let shown = format!("Container {}", one.name);
    engine.begun(&shown, if one.restart { "Restarting" } else { "Starting" });
    if !engine.dry_run {
        let dir = ContainerDir::new(engine.store, &one.id);
        let started = if one.restart && one.running {
            container::restart(engine.store, &dir, None, None)
        } else {
            container::start(engine.store, &dir, None).map(|_| ())
        };
        started.inspect_err(|_| engine.told(&shown, "Error", Stage::Failed))?;
        act::post_start(engine, name, service, &one.id)
            .inspect_err(|_| engine.told(&shown, "Error", Stage::Failed))?;
    }
    engine.done(&shown, "Started");
    Ok(())
}
