//! What a build is asked for: the flags read and checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::annotation::Annotations;
use super::context::{Place, ignore_lines};
use super::csv::Fields;
use super::display::Mode;
use super::flags::BuildArgs;
use super::images::Images;
use super::output::Destinations;
use super::{labels, provenance, secret, ssh, variable};
use crate::build::git;
use crate::build::graph::{Network, Source};
use crate::build::plan::{Fresh, Named};
use crate::build::solve::{CacheImage, Context, Exports, Ulimit};
use crate::cli::buildx::check_builder;
use crate::cli::request::{add_proxies, daemon_host};
use crate::cli::session::Session;
use crate::oci::{Digest, Platform, Reference};

/// What a build is asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) context: String,
    pub(super) file: Option<String>,
    pub(super) names: Vec<Reference>,
    pub(super) arguments: BTreeMap<String, String>,
    /// `--build-context`: names in their familiar form, and what they are.
    named: Vec<(String, String)>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) target: Option<String>,
    pub(super) platforms: Vec<Platform>,
    pub(super) fresh: Fresh,
    pub(super) network: Network,
    pub(super) insecure: bool,
    pub(super) pull: bool,
    pub(super) push: bool,
    pub(super) check: bool,
    pub(super) list_targets: bool,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) ssh: ssh::Agents,
    pub(super) hosts: Vec<String>,
    pub(super) shm_size: Option<u64>,
    pub(super) ulimits: Vec<Ulimit>,
    pub(super) keep: Option<u64>,
    pub(super) progress: Mode,
    pub(super) quiet: bool,
    pub(super) id_file: Option<String>,
    pub(super) metadata_file: Option<String>,
    destinations: Destinations,
    squash: bool,
    annotations: Annotations,
    /// Whether images say how they were made.
    pub(super) provenance: bool,
    cache_from: Vec<PathBuf>,
    /// Images that may say what they were made from, and whether their registries are asked in any case.
    pub(super) cache_images: Vec<(Reference, bool)>,
    cache_to: Vec<(PathBuf, bool)>,
    /// Images that are made to be caches.
    pub(super) cache_images_to: Vec<CacheImage>,
    /// Those of them that may fail to be sent.
    pub(super) optional_caches: Vec<Reference>,
    inline_cache: bool,
}

impl Request {
    /// Reads the flags.
    pub(super) fn read(args: &BuildArgs, session: &Session) -> Result<Self> {
        let destinations = Destinations::read(&args.output, args.load, args.push)?;
        let mut names = args.tag.iter().map(|text| name(text)).collect::<Result<Vec<_>>>()?;
        names.extend(destinations.names.iter().cloned());
        if destinations.push && names.is_empty() {
            bail!("ERROR: failed to build: tag is needed when pushing to registry");
        }
        let mut arguments: BTreeMap<String, String> =
            args.build_arg.iter().filter_map(|text| variable(text)).collect();
        let mut lines: Vec<String> = arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
        add_proxies(&mut lines, &session.docker_config()?, &daemon_host());
        arguments.extend(lines.iter().filter_map(|line| variable(line)));
        // As buildx does.
        if let Some(epoch) = std::env::var("SOURCE_DATE_EPOCH").ok().filter(|epoch| !epoch.is_empty()) {
            arguments.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(epoch);
        }
        let platforms = match args.platform.as_slice() {
            [] => session.settings()?.platform.iter().cloned().collect(),
            given => given.to_vec(),
        };
        let platforms = platforms
            .iter()
            .filter(|text| !text.is_empty() && *text != "local")
            .map(|text| text.trim().parse::<Platform>().with_context(|| format!("invalid platform {text:?}")))
            .collect::<Result<Vec<_>>>()?;
        let call = args.call.split(',').next().unwrap_or_default();
        if !matches!(call, "build" | "check" | "targets") {
            bail!("ERROR: unsupported --call method {call:?}: want build, check or targets");
        }
        for entitlement in &args.allow {
            let known = ["network.host", "security.insecure", "device", "fs", "fs.read", "fs.write", "ssh"];
            let word = entitlement.split('=').next().unwrap_or_default();
            if !known.contains(&word) {
                bail!("ERROR: unknown entitlement key {word:?}. should be one of {known:?}");
            }
        }
        let (mut cache_to, mut inline_cache) = (Vec::new(), false);
        let (mut cache_images_to, mut optional_caches) = (Vec::new(), Vec::new());
        for text in &args.cache_to {
            let fields = Fields::parse(text)?;
            let all = match fields.get("mode") {
                None | Some("min") => false,
                Some("max") => true,
                Some(other) => {
                    bail!("ERROR: failed to solve: unsupported cache mode {other:?}: want min or max")
                }
            };
            match cache(text, &["dest", "dst"])? {
                Cache::Local(path) => cache_to.push((path, all)),
                Cache::Inline => inline_cache = true,
                Cache::Registry { name, .. } => {
                    let name = cache_name(&name)?;
                    if names.contains(&name) {
                        bail!(
                            "ERROR: {} would name an image and a cache: use type=inline, or another name",
                            name.familiar()
                        );
                    }
                    if fields.truth("ignore-error") {
                        optional_caches.push(name.clone());
                    }
                    cache_images_to.push(CacheImage { name, all });
                }
            }
        }
        let (mut cache_from, mut cache_images) = (Vec::new(), Vec::new());
        for text in &args.cache_from {
            match cache(text, &["src", "source"])? {
                Cache::Local(path) => cache_from.push(path),
                Cache::Registry { name, asks } => cache_images.push((cache_name(&name)?, asks)),
                Cache::Inline => {
                    bail!("ERROR: inline cache importer requires an image: name it as type=registry,ref=NAME")
                }
            }
        }
        let annotations = Annotations::read(&args.annotation)?;
        let docker = destinations.docker_types;
        let provenance = provenance::wanted(args.provenance.as_deref(), &args.attest)?;
        if docker && (provenance || !annotations.is_empty()) {
            bail!(
                "ERROR: failed to solve: manifests of Docker's kind have no annotations and no attestations"
            );
        }
        if let Some(builder) = args.builder.as_deref() {
            check_builder(builder, session)?;
        }
        let truth = |name: &str| arguments.get(name).is_some_and(|value| value == "1" || value == "true");
        Ok(Self {
            context: args.context.clone(),
            file: args.file.clone().filter(|file| !file.is_empty()),
            names,
            named: args.build_context.iter().map(|text| named(text)).collect::<Result<_>>()?,
            labels: labels(&args.label),
            target: args.target.clone().filter(|target| !target.is_empty()),
            platforms,
            fresh: match (args.no_cache, args.no_cache_filter.as_slice()) {
                (true, _) => Fresh::All,
                (false, []) => Fresh::Nothing,
                (false, stages) => Fresh::Stages(stages.to_vec()),
            },
            network: match args.network.as_str() {
                "default" | "" | "bridge" => Network::Default,
                "none" => Network::None,
                "host" => Network::Host,
                other => bail!("ERROR: network mode {other:?} not supported by buildkit"),
            },
            insecure: args.allow.iter().any(|word| word == "security.insecure"),
            pull: args.pull,
            push: destinations.push,
            check: args.check || call == "check",
            list_targets: call == "targets",
            secrets: secret::secrets(&args.secret)?,
            ssh: ssh::Agents::read(&args.ssh, &session.settings()?.runtime)?,
            hosts: args.add_host.clone(),
            shm_size: args.shm_size,
            ulimits: args
                .ulimit
                .iter()
                .map(|limit| Ulimit { name: limit.name.clone(), soft: limit.soft, hard: limit.hard })
                .collect(),
            keep: None,
            progress: Mode::read(args.progress.as_deref(), args.quiet)?,
            quiet: args.quiet,
            id_file: args.iidfile.clone(),
            metadata_file: args.metadata_file.clone(),
            squash: args.squash,
            annotations,
            provenance,
            inline_cache: inline_cache || truth("BUILDKIT_INLINE_CACHE"),
            cache_from,
            cache_images,
            cache_to,
            cache_images_to,
            optional_caches,
            destinations,
            arguments,
        })
    }

    /// Returns what the names of `--build-context` stand for.
    pub(super) fn contexts(&self, images: &Images) -> Result<BTreeMap<String, Named>> {
        let mut contexts = BTreeMap::new();
        for (name, value) in &self.named {
            let named = if let Some(reference) = value.strip_prefix("docker-image://") {
                match reference {
                    "scratch" => Named::Scratch,
                    id if id.starts_with("sha256:") => Named::Resolved(Box::new(images.by_id(id)?)),
                    reference => Named::Image(
                        Reference::parse(reference)
                            .with_context(|| format!("invalid build context {name:?}"))?
                            .with_default_tag(),
                    ),
                }
            } else if let Some(layout) = value.strip_prefix("oci-layout://") {
                Named::Resolved(Box::new(images.layout(layout)?))
            } else if let Some(git) = git::parse(value).map_err(anyhow::Error::msg)? {
                Named::Source(Source::Git {
                    remote: git.remote,
                    revision: git.revision,
                    subdirectory: git.subdirectory,
                    keep: git.keep.unwrap_or(false),
                    checksum: git.checksum,
                })
            } else if value.starts_with("http://") || value.starts_with("https://") {
                Named::Source(Source::Web { url: value.clone(), checksum: None })
            } else {
                Named::Source(Source::Context { name: name.clone() })
            };
            contexts.insert(name.clone(), named);
        }
        Ok(contexts)
    }

    /// Returns the directories that are read in place.
    pub(super) fn directories(&self, place: &Place) -> Result<BTreeMap<String, Context>> {
        let own = Context { directory: place.directory.clone(), ignore: place.ignore.clone() };
        let mut directories = BTreeMap::from([("context".to_owned(), own)]);
        for (name, value) in self.named.iter().filter(|(_, value)| is_directory(value)) {
            let directory = std::path::absolute(value)?;
            let ignore = ignore_lines(&directory.join(".dockerignore"))?;
            directories.insert(name.clone(), Context { directory, ignore });
        }
        Ok(directories)
    }

    /// Returns where results go; opens the files.
    pub(super) fn exports(&self, epoch: Option<i64>, cache_images: Vec<Digest>) -> Result<Exports> {
        Ok(Exports {
            image: self.destinations.image,
            names: self.names.clone(),
            outputs: self.destinations.open()?,
            style: self
                .annotations
                .style(self.destinations.docker_types, self.provenance || self.platforms.len() > 1)?,
            annotations: self.annotations.manifest.clone(),
            attestations: Vec::new(),
            squash: self.squash,
            epoch,
            rewrite_timestamp: self.destinations.rewrite_timestamp,
            cache_to: self.cache_to.clone(),
            cache_images_to: self.cache_images_to.clone(),
            cache_from: self.cache_from.clone(),
            cache_images,
            inline_cache: self.inline_cache,
        })
    }

    /// Tells whether images are made in the store.
    pub(super) fn makes_images(&self) -> bool {
        self.destinations.image
    }
}

/// Where a cache is.
enum Cache {
    Local(PathBuf),
    Inline,
    /// An image of this name, which is only looked for in its registry if `asks`.
    Registry {
        name: String,
        asks: bool,
    },
}

fn cache_name(name: &str) -> Result<Reference> {
    let reference =
        Reference::parse(name).with_context(|| format!("ERROR: invalid cache reference {name:?}"))?;
    Ok(reference.with_default_tag())
}

fn cache(text: &str, keys: &[&str]) -> Result<Cache> {
    let fields = Fields::parse(text)?;
    if let Some(name) = fields.word() {
        return Ok(Cache::Registry { name: name.to_owned(), asks: false });
    }
    match fields.get("type") {
        Some("local") => match fields.any(keys) {
            Some(path) => Ok(Cache::Local(std::path::absolute(path)?)),
            None => bail!("ERROR: {} is required for the local cache in {text:?}", keys[0]),
        },
        Some("inline") => Ok(Cache::Inline),
        Some("registry") => match fields.get("ref") {
            Some(name) => Ok(Cache::Registry { name: name.to_owned(), asks: true }),
            None => bail!("ERROR: registry cache requires ref in {text:?}"),
        },
        Some(other) => bail!("ERROR: failed to solve: unknown cache type: {other:?}"),
        None => bail!("ERROR: type required form> {text:?}"),
    }
}

fn is_directory(value: &str) -> bool {
    !value.contains("://") && !matches!(git::parse(value), Ok(Some(_)))
}

fn name(text: &str) -> Result<Reference> {
    let reference = Reference::parse(text).with_context(|| format!("ERROR: invalid tag {text:?}"))?;
    if reference.digest().is_some() {
        bail!("ERROR: invalid tag {text:?}: a tag cannot have a digest");
    }
    Ok(reference.with_default_tag())
}

/// Reads a `--build-context`.
fn named(text: &str) -> Result<(String, String)> {
    let Some((name, value)) = text.split_once('=') else {
        bail!("ERROR: invalid context value: {text}, expected key=value");
    };
    let reference = Reference::parse(name).with_context(|| format!("ERROR: invalid context name {name}"))?;
    let familiar = reference.with_default_tag().familiar();
    let familiar = familiar.strip_suffix(":latest").unwrap_or(&familiar).to_owned();
    if is_directory(value) && !Path::new(value).is_dir() {
        bail!("ERROR: failed to get build context {name}: {value}: no such directory");
    }
    Ok((familiar, value.to_owned()))
}
