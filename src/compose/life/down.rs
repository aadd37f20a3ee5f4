//! Taking a project down: containers, networks, and, if that is wanted, volumes and images.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::state::{Member, label, observe};
use super::{Context, Engine, Stage, act, resource};
use crate::compose::project::Project;
use crate::container;
use crate::image;
use crate::network;
use crate::volume;

/// Which images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// None.
    Keep,
    /// Those without a name of their own.
    Local,
    /// All.
    All,
}

/// How a project is taken down.
#[derive(Debug, Clone)]
pub struct Down {
    /// Only these services.
    pub services: Vec<String>,
    /// Also containers of services that the files do not have.
    pub remove_orphans: bool,
    /// Also volumes.
    pub volumes: bool,
    /// Also images.
    pub images: Images,
    /// Seconds that containers have to obey.
    pub timeout: Option<i64>,
}

/// Takes a project down. Without files, `context` holds its name alone, and everything of it goes. The last
/// thing is to remove volumes, for which `enter` joins the user's ancestor namespace: the process must have one
/// thread then, and can do nothing else afterwards.
pub fn down(
    engine: &Engine<'_>,
    project: &str,
    context: Option<&Context>,
    options: &Down,
    enter: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let all = observe(engine.store, project)?;
    let known =
        |member: &Member| context.is_none_or(|context| context.all_services.contains(&member.service));
    let named = |member: &Member| options.services.is_empty() || options.services.contains(&member.service);
    let (wanted, left): (Vec<Member>, Vec<Member>) = all.into_iter().partition(|member| {
        named(member) && (known(member) || options.remove_orphans || member.is_leftover())
    });
    let orphans: Vec<Member> = left.into_iter().filter(|member| !known(member) && !member.one_off).collect();
    if options.services.is_empty() {
        resource::warn_of_leftovers(engine, &orphans);
    }
    act::act(engine, context, &wanted, &act::Act::Stop { timeout: options.timeout })?;
    act::remove(engine, &wanted, options.volumes)?;
    let nothing = wanted.is_empty();
    if !options.services.is_empty() {
        return Ok(());
    }
    let mut removed = remove_networks(engine, project, context)?;
    if options.images != Images::Keep {
        removed |= remove_images(engine, project, context, options.images);
    }
    if !engine.dry_run {
        let _ = std::fs::remove_dir_all(resource::objects_dir(engine, project));
    }
    if options.volumes {
        removed |= remove_volumes(engine, project, context, enter)?;
    }
    if nothing && !removed {
        engine.front.warn("No resource found to remove");
    }
    Ok(())
}

fn remove_networks(engine: &Engine<'_>, project: &str, context: Option<&Context>) -> Result<bool> {
    let mut removed = false;
    let mut names: BTreeSet<String> = BTreeSet::new();
    for network in network::list(engine.store)? {
        let of_project = network.labels.get(label::PROJECT).map(String::as_str) == Some(project);
        let by_key = network.labels.get(label::NETWORK);
        let external = context.is_some_and(|context| {
            by_key.and_then(|key| context.project.networks.get(key)).is_some_and(|network| network.external)
        });
        if of_project && !external {
            names.insert(network.name);
        }
    }
    for name in names {
        let shown = format!("Network {name}");
        engine.begun(&shown, "Removing");
        if !engine.dry_run
            && let Err(error) = container::remove_network(engine.store, &name)
        {
            if format!("{error:#}").contains("active endpoints") {
                engine.told(&shown, "Resource is still in use", Stage::Failed);
                continue;
            }
            return Err(error);
        }
        removed = true;
        engine.done(&shown, "Removed");
    }
    Ok(removed)
}

fn remove_volumes(
    engine: &Engine<'_>,
    project: &str,
    context: Option<&Context>,
    enter: &dyn Fn() -> Result<()>,
) -> Result<bool> {
    let external: Vec<&str> = context
        .into_iter()
        .flat_map(|context| context.project.volumes.values())
        .filter(|volume| volume.external)
        .map(|volume| volume.name.as_str())
        .collect();
    let wanted: Vec<String> = volume::list(engine.store)?
        .into_iter()
        .filter(|volume| volume.labels.get(label::PROJECT).map(String::as_str) == Some(project))
        .map(|volume| volume.name)
        .filter(|name| !external.contains(&name.as_str()))
        .collect();
    if wanted.is_empty() {
        return Ok(false);
    }
    if !engine.dry_run {
        enter()?;
    }
    for name in &wanted {
        let shown = format!("Volume {name}");
        engine.begun(&shown, "Removing");
        if !engine.dry_run {
            match container::remove_volume(engine.store, name) {
                Ok(()) => {}
                Err(error) if error.is::<container::VolumeInUse>() => {
                    engine.told(&shown, "Resource is still in use", Stage::Failed);
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        engine.done(&shown, "Removed");
    }
    Ok(true)
}

fn remove_images(engine: &Engine<'_>, name: &str, context: Option<&Context>, which: Images) -> bool {
    let none = Project::default();
    let project = context.map_or(&none, |context| &context.project);
    let mut removed = false;
    let users: Vec<image::User> = container::list(engine.store)
        .unwrap_or_default()
        .into_iter()
        .map(|summary| image::User {
            container: summary.config.id.clone(),
            image: summary.config.image,
            running: summary.status.is_active(),
        })
        .collect();
    let images: BTreeSet<String> = project
        .services
        .iter()
        .filter(|(_, service)| which == Images::All || service.image.is_none())
        .map(|(key, service)| service.image_name(name, key))
        .collect();
    for image in images {
        let shown = format!("Image {image}");
        engine.begun(&shown, "Removing");
        if !engine.dry_run
            && let Err(error) = image::remove(engine.store, &image, false, &users)
        {
            let missing = error.is::<image::ResolveError>();
            let word =
                if missing { "Warning: No resource found to remove" } else { "Resource is still in use" };
            engine.told(&shown, word, if missing { Stage::Done } else { Stage::Failed });
            continue;
        }
        removed = true;
        engine.done(&shown, "Removed");
    }
    removed
}

/// Reads the word of `--rmi`.
impl std::str::FromStr for Images {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self::Keep),
            "local" => Ok(Self::Local),
            "all" => Ok(Self::All),
            other => bail!("invalid value for --rmi: {other:?}"),
        }
    }
}
