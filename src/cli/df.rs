//! `system df`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::format::order::Ordered;
use super::format::template::Shapes;
use super::format::units::{human_duration, human_size};
use super::format::{List, Row, moment, parse};
use super::grammar::{Arity, Rules};
use super::ps;
use super::pull::enter;
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use crate::build::upkeep::{self, Entry};
use crate::container::{self, ContainerDir, MountSource};
use crate::image::{self, ImageUsage, Usage};
use crate::oci::{Digest, familiar_repository};
use crate::store::Store;
use crate::volume;

/// `system df`
pub(super) const SPEC: Spec = Spec {
    paths: &["system df"],
    about: "Show disk usage",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: DfArgs::augment_args,
    run: |matches, session| run(&DfArgs::from_arg_matches(matches)?, session),
};

const LIST: List = List {
    heads: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    type_name: "*formatter.diskUsageImagesContext",
    raw: Some(
        "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n",
    ),
};

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const IMAGES: List = List {
    heads: &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("Size", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ],
    type_name: "*formatter.imageContext",
    raw: None,
};

const IMAGE_TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t\
                           {{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";

const CONTAINER_TABLE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t\
                               {{.RunningFor}}\t{{.Status}}\t{{.Names}}";

const VOLUMES: List = List {
    heads: &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")],
    type_name: "*formatter.volumeContext",
    raw: None,
};

const VOLUME_TABLE: &str = "table {{.Name}}\t{{.Links}}\t{{.Size}}";

const CACHE: List = List {
    heads: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
    type_name: "*formatter.buildCacheContext",
    raw: None,
};

const CACHE_TABLE: &str = "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t\
                           {{.UsageCount}}\t{{.Shared}}";

#[derive(Debug, Args)]
struct DfArgs {
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show every image, container and volume
    #[arg(long, short)]
    verbose: bool,
}

/// Everything that is measured.
struct Facts {
    usage: Usage,
    containers: Vec<(container::Summary, u64)>,
    /// Volumes with the number of containers that mount them, and their sizes.
    volumes: Vec<(volume::VolumeRecord, usize, u64)>,
    cache: Vec<Entry>,
}

/// One line of the short table.
struct Line {
    kind: &'static str,
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
}

fn run(args: &DfArgs, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let summaries = container::list(store).map_err(response)?;
    // Files of mapped owners can be closed to the user outside. Without the namespace, what can be seen is
    // counted.
    let _entered = enter(session);
    let facts = measure(store, summaries).map_err(response)?;
    let format = match args.format.as_deref() {
        None | Some("" | "table") => "table",
        Some(format) => format,
    };
    let text = match (args.verbose, format) {
        (false, "table") => LIST.render(TABLE, &rows(&facts))?,
        (false, format) => LIST.render(format, &rows(&facts))?,
        (true, "table") => verbose(&facts, store)?,
        (true, format) => template(&facts, store, format)?,
    };
    Session::print(&text)?;
    Ok(0)
}

fn measure(store: &Store, summaries: Vec<container::Summary>) -> Result<Facts> {
    let mounted = summaries.iter().flat_map(|summary| summary.config.mounted_images().map(|(id, _)| id));
    let used: BTreeSet<Digest> =
        summaries.iter().map(|summary| summary.config.image).chain(mounted).collect();
    let held: BTreeSet<Digest> = summaries.iter().flat_map(|summary| summary.config.all_layers()).collect();
    let usage = image::usage(store, &used, &held)?;
    let mut links: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for summary in &summaries {
        for mount in &summary.config.mounts {
            if let MountSource::Volume { name, .. } = &mount.source {
                links.entry(name).or_default().insert(&summary.config.id);
            }
        }
    }
    let mut volumes = Vec::new();
    for record in volume::list(store)? {
        let size = container::tree_size(&volume::data(store, &record.name));
        let count = links.get(record.name.as_str()).map_or(0, BTreeSet::len);
        volumes.push((record, count, size));
    }
    let containers = summaries
        .into_iter()
        .map(|summary| {
            let upper = ContainerDir::new(store, &summary.config.id).join("upper");
            let size = container::tree_size(&upper);
            (summary, size)
        })
        .collect();
    let cache = upkeep::list(store)?;
    Ok(Facts { usage, containers, volumes, cache })
}

fn lines(facts: &Facts) -> [Line; 4] {
    let Facts { usage, containers, volumes, cache } = facts;
    let own = |entry: &&Entry| !entry.shared;
    let used: BTreeSet<Digest> = containers.iter().map(|(summary, _)| summary.config.image).collect();
    let in_use = |image: &&ImageUsage| used.contains(&image.summary.image.record.id);
    [
        Line {
            kind: "Images",
            total: usage.images.len(),
            active: usage.images.iter().filter(in_use).count(),
            size: usage.total,
            reclaimable: usage.reclaimable,
        },
        Line {
            kind: "Containers",
            total: containers.len(),
            active: containers.iter().filter(|(summary, _)| summary.status.is_active()).count(),
            size: containers.iter().map(|(_, size)| size).sum(),
            reclaimable: containers
                .iter()
                .filter(|(summary, _)| !summary.status.is_active())
                .map(|(_, size)| size)
                .sum(),
        },
        Line {
            kind: "Local Volumes",
            total: volumes.len(),
            active: volumes.iter().filter(|(_, links, _)| *links > 0).count(),
            size: volumes.iter().map(|(.., size)| size).sum(),
            reclaimable: volumes.iter().filter(|(_, links, _)| *links == 0).map(|(.., size)| size).sum(),
        },
        Line {
            kind: "Build Cache",
            total: cache.len(),
            active: cache.iter().filter(|entry| entry.in_use).count(),
            size: cache.iter().map(|entry| entry.size).sum(),
            reclaimable: cache.iter().filter(own).filter(|entry| !entry.in_use).map(|entry| entry.size).sum(),
        },
    ]
}

fn rows(facts: &Facts) -> Vec<Row> {
    lines(facts)
        .iter()
        .map(|line| {
            let reclaimable = human_size(line.reclaimable, 4);
            let reclaimable = match (u128::from(line.reclaimable) * 100).checked_div(line.size.into()) {
                Some(percent) => format!("{reclaimable} ({percent}%)"),
                None => reclaimable,
            };
            row([
                ("Type", line.kind.to_owned()),
                ("TotalCount", line.total.to_string()),
                ("Active", line.active.to_string()),
                ("Size", human_size(line.size, 4)),
                ("Reclaimable", reclaimable),
            ])
        })
        .collect()
}

fn row<const N: usize>(fields: [(&str, String); N]) -> Row {
    let fields: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    Row { fields, labels: Map::new() }
}

fn image_rows(facts: &Facts, whole_ids: bool) -> Vec<Row> {
    let now = Timestamp::now();
    let images = facts.usage.images.iter().map(|usage| {
        let image = &usage.summary.image;
        let id = image.record.id;
        let name = usage.summary.tags.first();
        let created: Option<Timestamp> = image.config.created.as_deref().and_then(|text| text.parse().ok());
        let since = created.map_or("N/A".to_owned(), |then| {
            format!("{} ago", human_duration(now.duration_since(then).as_secs()))
        });
        let containers = facts.containers.iter().filter(|(summary, _)| summary.config.image == id).count();
        let none = || "<none>".to_owned();
        row([
            ("Repository", name.map_or_else(none, |name| familiar_repository(&name.repository).to_owned())),
            ("Tag", name.and_then(|name| name.tag()).map_or_else(none, str::to_owned)),
            ("Digest", none()),
            ("ID", if whole_ids { id.to_string() } else { id.short() }),
            ("CreatedSince", since),
            ("CreatedAt", created.map_or("N/A".to_owned(), moment::local)),
            ("Size", human_size(usage.size, 3)),
            ("SharedSize", human_size(usage.shared, 4)),
            ("UniqueSize", human_size(usage.size - usage.shared, 4)),
            ("Containers", containers.to_string()),
        ])
    });
    images.collect()
}

fn volume_rows(facts: &Facts) -> Vec<Row> {
    let volumes = facts.volumes.iter().map(|(record, links, size)| {
        let labels: Vec<String> = record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        row([
            ("Name", record.name.clone()),
            ("Driver", "local".to_owned()),
            ("Scope", "local".to_owned()),
            ("Labels", labels.join(",")),
            ("Links", links.to_string()),
            ("Size", human_size(*size, 4)),
        ])
    });
    volumes.collect()
}

fn cache_rows(facts: &Facts) -> Vec<Row> {
    let now = Timestamp::now().as_second();
    let since = |then: i64| format!("{} ago", human_duration(now - then));
    let rows = facts.cache.iter().map(|entry| {
        row([
            ("ID", entry.id[..12].to_owned()),
            ("CacheType", entry.kind.to_owned()),
            ("Description", entry.description.clone()),
            ("InUse", entry.in_use.to_string()),
            ("Shared", entry.shared.to_string()),
            ("Size", human_size(entry.size, 3)),
            ("CreatedSince", since(entry.created)),
            ("LastUsedSince", since(entry.used)),
            ("UsageCount", entry.uses.to_string()),
        ])
    });
    rows.collect()
}

fn verbose(facts: &Facts, store: &Store) -> Result<String> {
    let mut text =
        format!("Images space usage:\n\n{}", IMAGES.render(IMAGE_TABLE, &image_rows(facts, false))?);
    let containers = ps::sized_rows(&facts.containers, store, false);
    let _ = write!(text, "\nContainers space usage:\n\n{}", ps::LIST.render(CONTAINER_TABLE, &containers)?);
    let _ = write!(
        text,
        "\nLocal Volumes space usage:\n\n{}",
        VOLUMES.render(VOLUME_TABLE, &volume_rows(facts))?
    );
    let size: u64 = facts.cache.iter().map(|entry| entry.size).sum();
    let _ = write!(
        text,
        "\nBuild cache usage: {}\n\n{}",
        human_size(size, 4),
        CACHE.render(CACHE_TABLE, &cache_rows(facts))?
    );
    Ok(text)
}

/// Renders all of it as one document, as Docker does with a format of one's own.
fn template(facts: &Facts, store: &Store, format: &str) -> Result<String> {
    let list = |rows: Vec<Row>| rows.into_iter().map(|row| Value::Object(row.fields)).collect::<Value>();
    let document = json!({
        "Images": list(image_rows(facts, true)),
        "Containers": list(ps::sized_rows(&facts.containers, store, true)),
        "Volumes": list(volume_rows(facts)),
        "BuildCache": list(cache_rows(facts)),
    });
    if format == "json" {
        return Ok(format!("{}\n", Ordered(&document).line()));
    }
    let shapes = Shapes {
        maps: &[],
        lists: &["Images", "Containers", "Volumes", "BuildCache"],
        free: &[],
        type_name: Some("*formatter.diskUsageContext"),
    };
    Ok(format!("{}\n", parse(format)?.render(&document, &shapes).map_err(|error| anyhow!("{error}"))?))
}
