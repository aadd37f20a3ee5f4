//! The images of services: found, pulled side by side, built, unpacked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use super::act::side_by_side;
use super::up::Up;
use super::{Context, Engine, Stage};
use crate::compose::project::Service;
use crate::compose::units;
use crate::image::{self, Image, ResolveError};
use crate::oci::{Platform, Reference};
use crate::store::MapKey;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Always.
    Always,
    /// When they are missing.
    Missing,
    /// Never.
    Never,
    /// Never: they are built.
    Build,
    /// When they are missing, or were pulled so long ago.
    After(Duration),
}

impl Pull {
    /// Reads the word of `--pull` or of `pull_policy`.
    pub fn read(word: &str) -> Option<Self> {
        match word {
            "always" | "refresh" => Some(Self::Always),
            "missing" | "if_not_present" => Some(Self::Missing),
            "never" => Some(Self::Never),
            "build" => Some(Self::Build),
            "daily" => Some(Self::After(DAY)),
            "weekly" => Some(Self::After(7 * DAY)),
            _ => {
                let time = units::duration(word.strip_prefix("every_")?)?;
                Some(Self::After(Duration::from_nanos(u64::try_from(time).ok()?)))
            }
        }
    }

    /// Tells whether an image is pulled of which it is known whether it is there.
    fn wants(self, engine: &Engine<'_>, name: &str, is_there: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Missing => !is_there,
            Self::Never | Self::Build => false,
            Self::After(time) => {
                let reference = Reference::parse(name).ok().map(Reference::with_default_tag);
                let since = reference.and_then(|it| engine.store.ref_time(&image::name_of(&it)));
                let age = since.and_then(|since| SystemTime::now().duration_since(since).ok());
                !is_there || age.is_none_or(|age| age >= time)
            }
        }
    }
}

/// What is done for the image of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It is there.
    Nothing,
    /// It is pulled, and built if it cannot be.
    Pull,
    /// It is built.
    Build,
}

/// Returns the image that a name means, if it is for the platform that is wanted.
fn find(engine: &Engine<'_>, name: &str, service: &Service, image: &str) -> Result<Option<Image>> {
    let found = match image::resolve(engine.store, image) {
        Ok(record) => image::open(engine.store, &record.id)?,
        Err(error) if matches!(error.downcast_ref::<ResolveError>(), Some(ResolveError::NotFound(_))) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("service {name:?}")),
    };
    let wanted = service.platform.as_deref().filter(|text| !text.is_empty());
    let wanted: Option<Platform> = wanted.map(str::parse).transpose().map_err(anyhow::Error::from)?;
    Ok(Some(found).filter(|found| wanted.is_none_or(|wanted| wanted.runs(&found.config.platform()))))
}

fn need(engine: &Engine<'_>, name: &str, service: &Service, image: &str, options: &Up) -> Result<Need> {
    let is_there = find(engine, name, service, image)?.is_some();
    let own = service.pull_policy.as_deref().and_then(Pull::read);
    let policy = options.pull.or(own);
    let builds = service.build.is_some();
    if builds && !options.no_build && (options.build || policy == Some(Pull::Build)) {
        return Ok(Need::Build);
    }
    let usual = if builds && !options.no_build { Pull::Never } else { Pull::Missing };
    // What has no name of its own is in no registry.
    let pulls = service.image.as_ref().is_some_and(|image| !image.is_empty())
        && policy.unwrap_or(usual).wants(engine, image, is_there);
    if pulls {
        Ok(Need::Pull)
    } else if is_there {
        Ok(Need::Nothing)
    } else if builds && !options.no_build {
        Ok(Need::Build)
    } else {
        bail!("No such image: {image}")
    }
}

/// Makes sure of the images of services: found, pulled or built, and unpacked. Nothing is done, and perhaps
/// nothing found, where it is only said.
pub(super) fn ensure_images(
    engine: &Engine<'_>,
    context: &Context,
    order: &[String],
    options: &Up,
) -> Result<HashMap<String, Image>> {
    let mut wanted: Vec<(&str, &Service, Need)> = Vec::new();
    let image_of = |name: &str, service: &Service| service.image_name(&context.project.name, name);
    for name in order {
        let service = &context.project.services[name];
        if options.scale.get(name).copied().unwrap_or(service.replicas()) == 0 {
            continue;
        }
        let need = need(engine, name, service, &image_of(name, service), options)?;
        wanted.push((name, service, need));
    }
    let mut pulls: BTreeMap<String, Vec<(&str, &Service)>> = BTreeMap::new();
    for (name, service, _) in wanted.iter().filter(|(.., need)| *need == Need::Pull) {
        pulls.entry(image_of(name, service)).or_default().push((name, service));
    }
    let mut failed = pull_all(engine, &pulls, options.quiet_pull);
    // Others that want the same name can have it once one has built it.
    let is_lost = |image: &&String| {
        options.no_build || pulls[*image].iter().all(|(_, service)| service.build.is_none())
    };
    if let Some(image) = failed.keys().find(is_lost).cloned()
        && let Some(error) = failed.remove(&image)
    {
        return Err(error);
    }
    let mut found = HashMap::new();
    for (name, service, need) in wanted {
        let image_name = image_of(name, service);
        let missed = need == Need::Pull && failed.contains_key(&image_name) && service.build.is_some();
        if need == Need::Build || missed {
            engine.begun(name, "Building");
            if !engine.dry_run {
                engine.front.build(context, name)?;
            }
            engine.done(name, "Built");
        }
        if let Some(image) = unpacked(engine, name, service, &image_name)? {
            found.insert(name.to_owned(), image);
        }
        for mount in service.volumes.iter().filter(|mount| mount.kind == "image") {
            mountable(engine, (name, service), mount.source.as_deref().unwrap_or_default(), options)?;
        }
    }
    Ok(found)
}

/// Makes sure of an image that a service mounts: found, or pulled, and unpacked.
fn mountable(
    engine: &Engine<'_>,
    (name, service): (&str, &Service),
    image: &str,
    options: &Up,
) -> Result<()> {
    // Its files need not be of the platform of the service's.
    let any = Service { platform: None, ..service.clone() };
    let policy = options.pull.filter(|policy| *policy != Pull::Build).unwrap_or(Pull::Missing);
    if policy.wants(engine, image, find(engine, name, &any, image)?.is_some()) {
        engine.begun(image, "Pulling");
        if !engine.dry_run {
            engine.front.pull(image, None, options.quiet_pull)?;
        }
        engine.done(image, "Pulled");
    }
    unpacked(engine, name, &any, image).map(|_| ())
}

/// Makes sure of the image of a service, which need not be one of the project's as its files say it.
pub fn ensure_image(
    engine: &Engine<'_>,
    context: &Context,
    name: &str,
    options: &Up,
) -> Result<Option<Image>> {
    let options = Up { scale: [(name.to_owned(), 1)].into(), ..options.clone() };
    Ok(ensure_images(engine, context, &[name.to_owned()], &options)?.remove(name))
}

/// Pulls images side by side, and returns what went wrong with which.
pub fn pull_all(
    engine: &Engine<'_>,
    images: &BTreeMap<String, Vec<(&str, &Service)>>,
    quiet: bool,
) -> BTreeMap<String, anyhow::Error> {
    let list: Vec<_> = images.iter().collect();
    // The progress of several would run into each other.
    let quiet = quiet || list.len() > 1;
    let failed = Mutex::new(BTreeMap::new());
    side_by_side(engine, &list, |(image, services)| {
        for (name, _) in *services {
            engine.begun(name, "Pulling");
        }
        let platform = services.iter().find_map(|(_, service)| service.platform.as_deref());
        let pulled = if engine.dry_run { Ok(()) } else { engine.front.pull(image, platform, quiet) };
        for (name, service) in *services {
            match &pulled {
                Ok(()) => engine.done(name, "Pulled"),
                Err(error) if service.build.is_some() => engine.done(name, &format!("Warning {error:#}")),
                Err(_) => engine.told(name, "Error", Stage::Failed),
            }
        }
        if let (Err(error), Ok(mut failed)) = (pulled, failed.lock()) {
            failed.insert((*image).clone(), error);
        }
        Ok(())
    });
    failed.into_inner().unwrap_or_default()
}

fn unpacked(engine: &Engine<'_>, name: &str, service: &Service, image: &str) -> Result<Option<Image>> {
    let Some(found) = find(engine, name, service, image)? else {
        if engine.dry_run {
            return Ok(None);
        }
        match image::resolve(engine.store, image) {
            Ok(_) => bail!(
                "service {name:?}: image {image} was found but does not provide the platform {}",
                service.platform.as_deref().unwrap_or_default()
            ),
            Err(_) => bail!("No such image: {image}"),
        }
    };
    let kept = super::request::keep_id(service)?.map(|keep| keep.ids);
    let identity = engine.identity.clone().keeping(kept)?;
    let map = MapKey::of(&identity.inside().text());
    if !engine.dry_run && image::unpacked(engine.store, &found.record, &map).is_none() {
        engine.front.unpack(&found.record.id, kept)?;
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_policies() {
        assert_eq!(Pull::read("daily"), Some(Pull::After(DAY)));
        assert_eq!(Pull::read("every_2h30m"), Some(Pull::After(Duration::from_secs(9000))));
        assert_eq!(Pull::read("if_not_present"), Some(Pull::Missing));
        for word in ["", "sometimes", "every_", "every_x"] {
            assert_eq!(Pull::read(word), None, "{word}");
        }
    }
}
