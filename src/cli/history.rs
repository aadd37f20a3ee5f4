//! `history`

use anyhow::Result;
use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::format::table::ellipsis;
use super::format::units::{human_duration, human_size};
use super::format::{List, Row, moment};
use super::grammar::{Arity, Rules};
use super::report::response;
use super::rmi::check_platform;
use super::session::Session;
use super::tree::Spec;
use crate::image;

/// `history`
pub(super) const SPEC: Spec = Spec {
    paths: &["image history", "history"],
    about: "Show the history of an image",
    usage: "[OPTIONS] IMAGE",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: HistoryArgs::augment_args,
    run: |matches, session| run(&HistoryArgs::from_arg_matches(matches)?, session),
};

const LIST: List = List {
    heads: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    type_name: "*image.historyContext",
    raw: None,
};

#[derive(Debug, Args)]
struct HistoryArgs {
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Print sizes and times so that people can read them
    #[arg(
        long,
        short = 'H',
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    human: bool,
    /// Do not cut columns short
    #[arg(long)]
    no_trunc: bool,
    /// Show the history of the image only if it is for this platform (os[/arch[/variant]])
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Only show image IDs
    #[arg(long, short)]
    quiet: bool,
    /// Image
    #[arg(value_name = "IMAGE")]
    image: String,
}

fn run(args: &HistoryArgs, session: &Session) -> Result<u8> {
    let store = session.image_store()?;
    let platform = args.platform.as_deref().map(str::parse).transpose()?;
    check_platform(store, &args.image, platform.as_slice()).map_err(response)?;
    let record = image::resolve(store, &args.image).map_err(response)?;
    let steps = image::history(store, &record).map_err(response)?;
    let now = Timestamp::now();
    let rows: Vec<Row> = steps.iter().map(|step| row(step, args, now)).collect();
    let table = if args.human {
        "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
    } else {
        "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
    };
    let format = match args.format.as_deref() {
        _ if args.quiet => "{{.ID}}",
        None | Some("" | "table") => table,
        Some(format) => format,
    };
    Session::print(&LIST.render(format, &rows)?)?;
    Ok(0)
}

fn row(step: &image::Row, args: &HistoryArgs, now: Timestamp) -> Row {
    let id = match step.id {
        Some(id) if args.no_trunc => id.to_string(),
        Some(id) => id.short(),
        None => "<missing>".to_owned(),
    };
    let created: Option<Timestamp> = step.created.parse().ok();
    let since = created.map_or("N/A".to_owned(), |created| {
        format!("{} ago", human_duration(now.as_second() - created.as_second()))
    });
    let by = step.created_by.replace('\t', " ");
    let by = if args.no_trunc { by } else { ellipsis(&by, 45) };
    let size = if args.human { human_size(step.size, 3) } else { step.size.to_string() };
    let at = created.map(moment::rfc3339);
    let fields: Map<String, Value> = [
        ("ID", id),
        ("CreatedSince", since),
        ("CreatedAt", at.unwrap_or_default()),
        ("CreatedBy", by),
        ("Size", size),
        ("Comment", step.comment.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Value::from(value)))
    .collect();
    Row { fields, labels: Map::new() }
}
