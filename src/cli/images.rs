//! `images`

use std::collections::{BTreeSet, HashMap};
use std::io::IsTerminal as _;

use anyhow::Result;
use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::filter::{Filters, parse_filter};
use super::format::units::{human_duration, human_size};
use super::format::{List, Row, moment};
use super::grammar::{Arity, Rules};
use super::image_tree;
use super::pattern::glob;
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use crate::container;
use crate::image::{self, ImageUsage, Summary};
use crate::oci::{Reference, familiar_repository};
use crate::store::{Name, Selector};

/// `images`
pub(super) const SPEC: Spec = Spec {
    paths: &["image ls", "image list", "images"],
    about: "List images",
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    rules: Rules { arity: Arity::AtMost(1), interspersed: true, absent: &[] },
    define: ImagesArgs::augment_args,
    run: |matches, session| run(&ImagesArgs::from_arg_matches(matches)?, session),
};

/// `image tree`
pub(super) const TREE: Spec = Spec {
    paths: &["image tree"],
    about: "List images as a tree, with their platforms",
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    rules: Rules { arity: Arity::AtMost(1), interspersed: true, absent: &[] },
    define: TreeArgs::augment_args,
    run: |matches, session| {
        let TreeArgs { all, filter, repository } = TreeArgs::from_arg_matches(matches)?;
        let tree = ImagesArgs { all, filter, repository, tree: true, ..ImagesArgs::default() };
        run(&tree, session)
    },
};

const LIST: List = List {
    heads: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
    ],
    type_name: "*formatter.imageContext",
    raw: Some(RAW),
};

const RAW: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\n\
                   virtual_size: {{.Size}}\n";

const FILTERS: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];

#[derive(Debug, Args)]
struct TreeArgs {
    /// Show all images, also those without a name
    #[arg(long, short)]
    all: bool,
    /// Show only what fits (name=value)
    #[arg(long, short, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Images to show
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: Option<String>,
}

#[derive(Debug, Default, Args)]
struct ImagesArgs {
    /// Show all images, also those without a name
    #[arg(long, short)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Show only what fits (name=value)
    #[arg(long, short, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Do not cut columns short
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(long, short)]
    quiet: bool,
    /// List images as a tree, with their platforms
    #[arg(long)]
    tree: bool,
    /// Images to show
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: Option<String>,
}

fn run(args: &ImagesArgs, session: &Session) -> Result<u8> {
    let as_tree = as_tree(args, session)?;
    let format = format(args, session)?;
    let mut filters = args.filter.clone();
    let plain = args.repository.iter().filter(|name| !name.is_empty());
    filters.extend(plain.map(|name| ("reference".to_owned(), name.clone())));
    let filters = Filters::new(&filters, FILTERS)?;
    let mut summaries = image::list_all(session.image_store()?).map_err(response)?;
    select(&mut summaries, &filters, session)?;
    if !args.all && filters.values("dangling").is_empty() {
        summaries.retain(|summary| !summary.tags.is_empty() || !summary.digests.is_empty());
    }
    if let Some(name) = args.repository.as_deref().filter(|_| summaries.is_empty()) {
        hint(name, session);
    }
    if as_tree {
        return tree(summaries, args.tree, session);
    }
    let now = Timestamp::now();
    let digests = args.digests || format.contains("{{.Digest}}");
    let mut rows = Vec::new();
    for summary in &summaries {
        for (repository, tag, digest) in names(summary, digests, args.digests) {
            rows.push(row(summary, args, repository, tag, digest, now));
        }
    }
    if args.quiet {
        // One line an image and repository is too many where only ids are shown.
        let mut seen = std::collections::HashSet::new();
        rows.retain(|row| seen.insert(row.fields.get("ID").cloned()));
    }
    Session::print(&LIST.render(&format, &rows)?)?;
    Ok(0)
}

/// Tells whether to draw a tree: where one is asked for, and on a terminal where nothing else is.
fn as_tree(args: &ImagesArgs, session: &Session) -> Result<bool> {
    let others = [
        (args.quiet, "quiet"),
        (args.no_trunc, "no-trunc"),
        (args.digests, "show-digest"),
        (args.format.as_ref().is_some_and(|format| !format.is_empty()), "format"),
    ];
    if let Some((_, other)) = others.iter().find(|(given, _)| *given) {
        anyhow::ensure!(!args.tree, "--{other} is not yet supported with --tree");
        return Ok(false);
    }
    Ok(args.tree || std::io::stdout().is_terminal() && session.docker_config()?.images_format.is_empty())
}

fn tree(summaries: Vec<Summary>, expanded: bool, session: &Session) -> Result<u8> {
    let store = session.store()?;
    let used = container::list(store).map_err(response)?;
    let used = used.into_iter().map(|summary| summary.config.image).collect();
    let usage = image::usage(store, &used, &BTreeSet::new()).map_err(response)?;
    let mut shown: HashMap<_, _> =
        summaries.into_iter().map(|summary| (summary.image.record.id, summary)).collect();
    // With the names that fit the filters, and no others.
    let images = usage.images.into_iter().filter_map(|image| {
        let summary = shown.remove(&image.summary.image.record.id)?;
        Some(ImageUsage { summary, ..image })
    });
    let mut images: Vec<ImageUsage> = images.collect();
    // What other stores lend takes nothing here.
    let lent = shown.into_values().map(|summary| ImageUsage { summary, size: 0, shared: 0, content: 0 });
    images.extend(lent);
    Session::print(&image_tree::draw(&images, &used, expanded))?;
    Ok(0)
}

/// Helps who has taken `images` for `image`.
fn hint(name: &str, session: &Session) {
    const COMMANDS: &[&str] = &[
        "build", "history", "import", "inspect", "list", "load", "ls", "prune", "pull", "push", "rm", "save",
        "tag",
    ];
    if session.path == "images" && COMMANDS.contains(&name) {
        let quoted = format!("No images found matching \"{name}\"");
        Session::note(&format!("{quoted}: did you mean \"docker image {name}\"?"));
    }
}

fn format(args: &ImagesArgs, session: &Session) -> Result<String> {
    let asked = args.format.clone().unwrap_or_default();
    let configured =
        if asked.is_empty() && !args.quiet { session.docker_config()?.images_format } else { asked };
    let format = match configured.as_str() {
        "" | "table" if args.quiet => "{{.ID}}",
        "" | "table" if args.digests => {
            "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
        }
        "raw" if args.quiet => "image_id: {{.ID}}",
        "raw" if args.digests => {
            "repository: {{.Repository}}\ntag: {{.Tag}}\ndigest: {{.Digest}}\nimage_id: {{.ID}}\n\
             created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
        }
        "" | "table" => "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
        format => format,
    };
    let lacks_digest = args.digests && format.starts_with("table") && !format.contains("{{.Digest}}");
    Ok(if lacks_digest { format!("{format}\t{{{{.Digest}}}}") } else { format.to_owned() })
}

fn select(summaries: &mut Vec<Summary>, filters: &Filters, session: &Session) -> Result<()> {
    if filters.is_empty() {
        return Ok(());
    }
    let dangling = filters.truth("dangling")?;
    let created = |key: &str| -> Result<Option<Timestamp>> {
        let Some(name) = filters.values(key).first() else { return Ok(None) };
        let image = image::look(session.store()?, name).map_err(response)?;
        Ok(Some(time(image.config.created.as_deref())))
    };
    let (before, since) = (created("before")?, created("since")?);
    let mut until = None;
    for value in filters.values("until") {
        until = Some(moment::read(value, Timestamp::now()).map_err(|_| Filters::no_time(value))?);
    }
    let references = filters.values("reference");
    summaries.retain_mut(|summary| {
        let config = &summary.image.config;
        let at = time(config.created.as_deref());
        let fits = dangling.is_none_or(|wanted| summary.tags.is_empty() == wanted)
            && before.is_none_or(|before| at < before)
            && since.is_none_or(|since| at > since)
            && until.is_none_or(|until| at < until)
            && filters.labels(|key| config.config.labels.get(key).map(String::as_str));
        if !fits || references.is_empty() {
            return fits;
        }
        let wanted = |name: &Name| references.iter().any(|pattern| is_called(name, pattern));
        summary.tags.retain(wanted);
        summary.digests.retain(wanted);
        !summary.tags.is_empty() || !summary.digests.is_empty()
    });
    Ok(())
}

fn time(text: Option<&str>) -> Timestamp {
    text.and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Tells whether a name fits `--filter reference=`: the repository alone, or with its tag; patterns or not.
fn is_called(name: &Name, pattern: &str) -> bool {
    let familiar = familiar_repository(&name.repository);
    let whole = image::familiar(name);
    let patterned = pattern.contains(['*', '?', '[']);
    if !patterned && let Ok(reference) = Reference::parse(pattern) {
        let same = reference.repository() == name.repository;
        return match (&name.selector, reference.tag(), reference.digest()) {
            (_, None, None) => same,
            (Selector::Tag(tag), Some(wanted), _) => same && tag == wanted,
            (Selector::Digest(digest), _, Some(wanted)) => same && *digest == wanted,
            _ => false,
        };
    }
    glob(pattern, familiar) || glob(pattern, &whole) || glob(pattern, &name.repository)
}

/// Returns the lines of an image: repository, tag, digest.
fn names(summary: &Summary, with_digests: bool, all_digests: bool) -> Vec<(String, String, String)> {
    let none = || "<none>".to_owned();
    let repository = |name: &Name| familiar_repository(&name.repository).to_owned();
    let digest = |name: &Name| match &name.selector {
        Selector::Digest(digest) => digest.to_string(),
        Selector::Tag(_) => none(),
    };
    if summary.tags.is_empty() && summary.digests.is_empty() {
        return vec![(none(), none(), none())];
    }
    let mut lines = Vec::new();
    for name in &summary.tags {
        let tag = name.tag().unwrap_or_default().to_owned();
        let same = summary.digests.iter().filter(|other| with_digests && other.repository == name.repository);
        let before = lines.len();
        lines.extend(same.map(|other| (repository(name), tag.clone(), digest(other))));
        if lines.len() == before {
            lines.push((repository(name), tag, none()));
        }
    }
    // Names that have lost their tags.
    let mut seen = None;
    for name in &summary.digests {
        let tagged = summary.tags.iter().any(|other| other.repository == name.repository);
        if tagged || (!all_digests && seen == Some(&name.repository)) {
            continue;
        }
        seen = Some(&name.repository);
        lines.push((repository(name), none(), digest(name)));
    }
    lines
}

fn row(
    summary: &Summary,
    args: &ImagesArgs,
    repository: String,
    tag: String,
    digest: String,
    now: Timestamp,
) -> Row {
    let id = summary.image.record.id;
    let created: Option<Timestamp> =
        summary.image.config.created.as_deref().and_then(|text| text.parse().ok());
    let since = created.map_or("N/A".to_owned(), |then| {
        format!("{} ago", human_duration(now.duration_since(then).as_secs()))
    });
    let fields: Map<String, Value> = [
        ("ID", if args.no_trunc { id.to_string() } else { id.short() }),
        ("Repository", repository),
        ("Tag", tag),
        ("Digest", digest),
        ("CreatedSince", since),
        ("CreatedAt", created.map_or("N/A".to_owned(), moment::local)),
        ("Size", human_size(summary.size, 3)),
        ("Containers", "N/A".to_owned()),
        ("SharedSize", "N/A".to_owned()),
        ("UniqueSize", "N/A".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .collect();
    Row { fields, labels: Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_by_references_and_patterns() {
        let name = |repository: &str, tag: &str| Name {
            repository: repository.to_owned(),
            selector: Selector::Tag(tag.to_owned()),
        };
        let web = name("docker.io/site/web", "2");
        for pattern in ["site/web", "site/web:2", "docker.io/site/web", "site/*", "*/web:2", "site/w?b"] {
            assert!(is_called(&web, pattern), "{pattern}");
        }
        // Of distribution/reference, `FamiliarMatch`.
        for (pattern, repository, tag, expected) in [
            ("foo/**/ba[rz]", "docker.io/library/foo", "latest", false),
            ("foo/**/ba[rz]", "docker.io/foo/any/bat", "latest", false),
            ("foo/**/ba[rz]", "docker.io/foo/a/bar", "latest", true),
            ("foo/**/ba[rz]", "docker.io/foo/b/baz", "latest", true),
            ("foo/**/ba[rz]", "docker.io/foo/c/baz", "tag", true),
            ("foo/*/baz:tag", "docker.io/foo/c/baz", "tag", true),
            ("foo/c/baz:tag", "docker.io/foo/c/baz", "tag", true),
            ("*/foo/c/baz", "example.com/foo/c/baz", "tag", true),
            ("example.com/foo/c/baz", "example.com/foo/c/baz", "tag", true),
        ] {
            assert_eq!(is_called(&name(repository, tag), pattern), expected, "{pattern} {repository}:{tag}");
        }
        for pattern in ["site/web:1", "web", "site", "*"] {
            assert!(!is_called(&web, pattern), "{pattern}");
        }
    }
}
