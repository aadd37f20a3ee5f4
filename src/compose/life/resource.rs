//! What containers of a project need: networks, volumes, and files with the content of secrets.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};

use super::state::{Member, label};
use super::{Context, Engine};
use crate::compose::project::{Grant, Network, Object};
use crate::network::{self, Found};
use crate::volume::{self, VolumeRecord};

/// Makes the networks that the project's services are in. One with another configuration than its own is made
/// anew if nobody is in it.
pub(super) fn make_networks(engine: &Engine<'_>, context: &Context) -> Result<()> {
    let project = &context.project.name;
    for (key, wanted) in &context.project.networks {
        let shown = format!("Network {}", wanted.name);
        let present = match network::find(engine.store, &wanted.name) {
            Ok(Found::Network(network)) if network.name == wanted.name => Some(network),
            Ok(Found::Predefined(known)) if known.name == wanted.name => continue,
            _ => None,
        };
        if let Some(present) = &present {
            let owner = present.labels.get(label::PROJECT);
            if wanted.external {
                continue;
            }
            if owner.is_none_or(|owner| owner != project) {
                engine.front.warn(&format!(
                    "a network with name {} exists but was not created for project {project:?}.\nSet `external: true` \
                     to use an existing network",
                    wanted.name
                ));
                continue;
            }
            if present.labels.get(label::HASH).is_none_or(|hash| *hash == wanted.hash) {
                continue;
            }
            if engine.dry_run {
                engine.done(&shown, "Recreated");
                continue;
            }
            crate::container::remove_network(engine.store, &wanted.name).with_context(|| {
                format!("network {} has changed and must be made anew; run down first", wanted.name)
            })?;
        } else if wanted.external {
            bail!("network {} declared as external, but could not be found", wanted.name);
        }
        engine.begun(&shown, "Creating");
        if !engine.dry_run {
            network::create(engine.store, request(project, key, wanted)?)
                .with_context(|| format!("failed to create network {}", wanted.name))?;
        }
        engine.done(&shown, "Created");
    }
    Ok(())
}

fn request(project: &str, key: &str, wanted: &Network) -> Result<network::CreateRequest> {
    let mut subnets = Vec::new();
    for pool in &wanted.ipam.config {
        let Some(subnet) = &pool.subnet else { continue };
        let bad = |text: &str| anyhow!("networks.{key}.ipam: {text:?} is not an address");
        let mut aux = BTreeMap::new();
        for (name, address) in &pool.aux_addresses {
            aux.insert(name.clone(), address.parse().map_err(|_| bad(address))?);
        }
        subnets.push(network::SubnetRequest {
            subnet: subnet.parse().map_err(|_| bad(subnet))?,
            gateway: pool.gateway.as_ref().map(|it| it.parse().map_err(|_| bad(it))).transpose()?,
            ip_range: pool.ip_range.as_ref().map(|it| it.parse().map_err(|_| bad(it))).transpose()?,
            aux,
        });
    }
    let mut labels = wanted.labels.clone();
    let own = [
        (label::PROJECT, project.to_owned()),
        (label::NETWORK, key.to_owned()),
        (label::HASH, wanted.hash.clone()),
        (label::VERSION, super::super::VERSION.to_owned()),
    ];
    labels.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Ok(network::CreateRequest {
        name: wanted.name.clone(),
        created: now(),
        driver: wanted.driver.clone().unwrap_or_default(),
        subnets,
        no_ipv4: wanted.enable_ipv4 == Some(false),
        ipv6: wanted.enable_ipv6,
        internal: wanted.internal,
        attachable: wanted.attachable,
        labels,
        options: wanted.driver_opts.clone(),
    })
}

fn now() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

/// Makes the volumes that the project's services mount.
pub(super) fn make_volumes(engine: &Engine<'_>, context: &Context) -> Result<()> {
    let project = &context.project.name;
    for (key, wanted) in &context.project.volumes {
        let shown = format!("Volume {:?}", wanted.name);
        if let Some(present) = volume::load(engine.store, &wanted.name)? {
            if !wanted.external && present.labels.get(label::PROJECT) != Some(project) {
                engine.front.warn(&format!(
                    "volume {:?} already exists but was not created by Docker Compose. Use `external: true` to use an \
                     existing volume",
                    wanted.name
                ));
            }
            continue;
        }
        if wanted.external {
            bail!("external volume {:?} not found", wanted.name);
        }
        if let Some(driver) = wanted.driver.as_deref()
            && !matches!(driver, "" | "local" | "default")
        {
            bail!(
                "volume {}: error looking up volume plugin {driver}: plugin {driver:?} not found",
                wanted.name
            );
        }
        engine.begun(&shown, "Creating");
        if !engine.dry_run {
            let mut labels = wanted.labels.clone();
            let own = [
                (label::PROJECT, project.clone()),
                (label::VOLUME, key.clone()),
                (label::VERSION, super::super::VERSION.to_owned()),
            ];
            labels.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
            volume::ensure(
                engine.store,
                &VolumeRecord {
                    name: wanted.name.clone(),
                    created: now(),
                    labels,
                    anonymous: false,
                    options: wanted.driver_opts.clone(),
                },
            )?;
        }
        engine.done(&shown, "Created");
    }
    Ok(())
}

/// Returns the directory of files with the content of a project's secrets and configs.
pub(super) fn objects_dir(engine: &Engine<'_>, project: &str) -> PathBuf {
    engine.store.root().join("compose").join(project)
}

/// Returns the file of a secret or config; one that is not a file already is written.
pub(super) fn object_file(
    engine: &Engine<'_>,
    context: &Context,
    key: &str,
    object: &Object,
    grant: &Grant,
) -> Result<String> {
    if let Some(file) = &object.file {
        if !engine.dry_run && !std::path::Path::new(file).exists() {
            bail!("{key}: open {file}: no such file or directory");
        }
        return Ok(file.clone());
    }
    if object.external {
        bail!(
            "{key}: external secrets and configs are those of a swarm, which is not supported; use file, environment or content"
        );
    }
    let content = match (&object.content, &object.environment) {
        (Some(content), _) => content.clone(),
        (None, Some(name)) => context
            .variables
            .get(name)
            .cloned()
            .ok_or_else(|| anyhow!("{key}: environment variable {name:?} required by it is not set"))?,
        (None, None) => bail!("{key}: neither file, environment nor content is set"),
    };
    let mode = grant.mode.unwrap_or(0o444) & 0o777;
    let digest = crate::oci::Digest::of(format!("{mode:o}{content}").as_bytes()).hex();
    let dir = objects_dir(engine, &context.project.name);
    let path = dir.join(format!("{key}-{}", &digest[..16]));
    if !engine.dry_run && !path.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("create {}", dir.display()))?;
        // Whole under its name, whatever happens.
        let half = dir.join(format!(".{key}-{}", &crate::store::random_id()[..12]));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&half)?;
        file.write_all(content.as_bytes()).with_context(|| format!("write {}", half.display()))?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        fs::rename(&half, &path).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(path.to_string_lossy().into_owned())
}

/// Makes sure of everything that the project's containers need, images aside.
pub fn prepare(engine: &Engine<'_>, context: &Context) -> Result<()> {
    make_networks(engine, context)?;
    make_volumes(engine, context)
}

/// Says which containers belong to services that the project has no more.
pub(super) fn warn_of_leftovers(engine: &Engine<'_>, members: &[Member]) {
    if !members.is_empty()
        && std::env::var("COMPOSE_IGNORE_ORPHANS").map_or(true, |word| word != "1" && word != "true")
    {
        let names: Vec<&str> = members.iter().map(Member::name).collect();
        engine.front.warn(&format!(
            "Found orphan containers ([{}]) for this project. If you removed or renamed this service in your compose \
             file, you can run this command with the --remove-orphans flag to clean it up.",
            names.join(" ")
        ));
    }
}
