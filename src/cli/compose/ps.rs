//! `compose ps`, `ls`, `images` and `volumes`: what there is.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches};
use serde_json::{Value, json};

use super::down::members;
use super::front::{Here, project_or_name};
use super::with_dry_run;
use crate::cli::filter::parse_filter;
use crate::cli::format::{List, Row};
use crate::cli::grammar::{Arity, Rules};
use crate::cli::ps::rows;
use crate::cli::report::response;
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::life::{self, Member, label};
use crate::container::{Status, Summary};

const ANY: Rules = Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] };

/// `compose ps`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose ps"],
    about: "List containers",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(PsArgs::augment_args(command)),
    run: |matches, session| ps(&PsArgs::from_arg_matches(matches)?, session),
};

/// `compose ls`
pub(in crate::cli) const LS: Spec = Spec {
    paths: &["compose ls"],
    about: "List running compose projects",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: |command| with_dry_run(LsArgs::augment_args(command)),
    run: |matches, session| ls(&LsArgs::from_arg_matches(matches)?, session),
};

/// `compose images`
pub(in crate::cli) const IMAGES: Spec = Spec {
    paths: &["compose images"],
    about: "List images used by the created containers",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(ImagesArgs::augment_args(command)),
    run: |matches, session| images(&ImagesArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct PsArgs {
    /// Show all stopped containers, too (including those of run)
    #[arg(long, short)]
    all: bool,
    /// Show only what fits (status=running)
    #[arg(long, value_name = "string", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format of the output: table, json, or a Go template
    #[arg(long, value_name = "string", default_value = "table")]
    format: String,
    /// Do not cut columns short
    #[arg(long)]
    no_trunc: bool,
    /// Also show services that the files do not define
    #[arg(
        long,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    orphans: bool,
    /// Only show IDs
    #[arg(long, short)]
    quiet: bool,
    /// Only show names of services
    #[arg(long)]
    services: bool,
    /// Show only containers of this status
    #[arg(long, value_name = "stringArray")]
    status: Vec<String>,
    /// Services
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct LsArgs {
    /// Show stopped projects, too
    #[arg(long, short)]
    all: bool,
    /// Show only what fits (name=value)
    #[arg(long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format of the output ("table" or "json")
    #[arg(long, value_name = "string", default_value = "table")]
    format: String,
    /// Only show names
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct ImagesArgs {
    /// Format of the output ("table" or "json")
    #[arg(long, value_name = "string", default_value = "table")]
    format: String,
    /// Only show IDs
    #[arg(long, short)]
    quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

const LIST: List = List {
    heads: &[
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("Service", "SERVICE"),
        ("Project", "PROJECT"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Health", "HEALTH"),
        ("ExitCode", "EXIT CODE"),
        ("Publishers", "PUBLISHERS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
    ],
    type_name: "*formatter.ContainerContext",
    raw: None,
};

const TABLE: &str =
    "table {{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}";

fn ps(args: &PsArgs, session: &Session) -> Result<u8> {
    let (name, context) = project_or_name(session, &args.names)?;
    let here = Here::new(session)?;
    let store = here.engine().store;
    let mut found = if args.names.is_empty() {
        life::observe(store, &name).map_err(response)?
    } else {
        members(&here, &name, context.as_ref(), &args.names)?
    };
    let mut statuses = args.status.clone();
    for (key, value) in &args.filter {
        match key.as_str() {
            "status" => statuses.push(value.clone()),
            "source" => {}
            other => bail!("unknown filter {other:?}"),
        }
    }
    let known = |member: &Member| context.as_ref().is_none_or(|it| it.all_services.contains(&member.service));
    found.retain(|member| {
        let word = member.summary.status.word();
        let active = args.all || !statuses.is_empty() || member.summary.status.is_active();
        active
            && (args.all || !member.one_off || member.is_running())
            && (args.orphans || known(member))
            && (statuses.is_empty() || statuses.iter().any(|status| status == word))
    });
    found.sort_by(|a, b| a.name().cmp(b.name()));
    if args.services {
        let mut names: Vec<&str> = found.iter().map(|member| member.service.as_str()).collect();
        names.dedup();
        Session::print(&names.iter().fold(String::new(), |text, name| text + name + "\n"))?;
        return Ok(0);
    }
    if args.quiet {
        Session::print(&found.iter().fold(String::new(), |text, member| text + member.id() + "\n"))?;
        return Ok(0);
    }
    let summaries: Vec<Summary> = found.iter().map(|member| member.summary.clone()).collect();
    let mut lines = rows(&summaries, store, args.no_trunc);
    for (line, member) in lines.iter_mut().zip(&found) {
        complete(line, member, &name);
    }
    let text = match args.format.as_str() {
        "table" | "" => LIST.render(TABLE, &lines)?,
        "json" => lines
            .iter()
            .fold(String::new(), |text, line| text + &Value::from(line.fields.clone()).to_string() + "\n"),
        format => LIST.render(format, &lines)?,
    };
    Session::print(&text)?;
    Ok(0)
}

/// Adds what only Compose tells of a container.
fn complete(line: &mut Row, member: &Member, project: &str) {
    let ports = match &member.summary.status {
        Status::Running(alive) => alive.ports.as_slice(),
        _ => &[],
    };
    let publishers: Vec<Value> = ports
        .iter()
        .map(|port| {
            json!({
                "URL": port.host_ip.to_string(),
                "TargetPort": port.container_port,
                "PublishedPort": port.host_port,
                "Protocol": port.protocol.name(),
            })
        })
        .collect();
    let code = match &member.summary.status {
        Status::Exited(record) => record.code,
        _ => 0,
    };
    let health = member.summary.health.map_or("", crate::container::HealthWord::text);
    let fields: [(&str, Value); 6] = [
        ("Name", member.name().into()),
        ("Service", member.service.clone().into()),
        ("Project", project.into()),
        ("Health", if member.is_running() { health.into() } else { "".into() }),
        ("ExitCode", code.into()),
        ("Publishers", publishers.into()),
    ];
    line.fields.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    line.fields.remove("HealthStatus");
    line.fields.remove("Platform");
}

fn ls(args: &LsArgs, session: &Session) -> Result<u8> {
    let projects = life::projects(session.store()?).map_err(response)?;
    let mut table = Vec::new();
    for (name, containers) in projects {
        if args.filter.iter().any(|(key, value)| key == "name" && !name.contains(value.as_str())) {
            continue;
        }
        if !args.all && !containers.iter().any(|it| it.status.is_active()) {
            continue;
        }
        let mut words: Vec<&str> = containers.iter().map(|it| it.status.word()).collect();
        words.sort_unstable();
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for word in words {
            match counts.last_mut() {
                Some((last, count)) if *last == word => *count += 1,
                _ => counts.push((word, 1)),
            }
        }
        let status: Vec<String> = counts.iter().map(|(word, count)| format!("{word}({count})")).collect();
        let files = containers[0].config.labels.get(label::FILES).cloned().unwrap_or_default();
        table.push([name, status.join(", "), files]);
    }
    let text = if args.quiet {
        table.iter().fold(String::new(), |text, row| text + &row[0] + "\n")
    } else if args.format == "json" {
        let rows: Vec<Value> = table
            .iter()
            .map(|row| json!({"Name": row[0], "Status": row[1], "ConfigFiles": row[2]}))
            .collect();
        format!("{}\n", Value::from(rows))
    } else if args.format == "table" {
        columns(&["NAME", "STATUS", "CONFIG FILES"], &table)
    } else {
        bail!("format value {:?} could not be parsed: parsing failed", args.format);
    };
    Session::print(&text)?;
    Ok(0)
}

/// Lays out a table.
fn columns<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([heads[at].len()]).max().unwrap_or(0) + 3
    };
    let mut text = String::new();
    let heads = heads.map(str::to_owned);
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let _ = write!(line, "{cell:width$}", width = width(at));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn images(args: &ImagesArgs, session: &Session) -> Result<u8> {
    let (name, context) = project_or_name(session, &args.names)?;
    let here = Here::new(session)?;
    let store = here.engine().store;
    let found = members(&here, &name, context.as_ref(), &args.names)?;
    let mut table = Vec::new();
    let mut list = Vec::new();
    for member in &found {
        let config = &member.summary.config;
        let reference =
            crate::oci::Reference::parse(&config.image_name).map(crate::oci::Reference::with_default_tag);
        let (repository, tag) = reference.map_or_else(
            |_| ("<none>".to_owned(), "<none>".to_owned()),
            |it| (it.familiar_name().to_owned(), it.tag().unwrap_or("<none>").to_owned()),
        );
        let size = store.image(&config.image)?.map_or(0, |record| crate::image::size(store, &record));
        let shown = crate::cli::format::units::human_size(size, 3);
        let id = config.image.short();
        list.push(json!({
            "ID": config.image.to_string(), "ContainerName": member.name(), "Repository": repository, "Tag": tag, "Size": size,
        }));
        table.push([member.name().to_owned(), repository, tag, id, shown]);
    }
    let text = if args.quiet {
        let mut ids: Vec<String> = found.iter().map(|member| member.summary.config.image.hex()).collect();
        ids.sort();
        ids.dedup();
        ids.iter().fold(String::new(), |text, id| text + id + "\n")
    } else if args.format == "json" {
        format!("{}\n", Value::from(list))
    } else {
        columns(&["CONTAINER", "REPOSITORY", "TAG", "IMAGE ID", "SIZE"], &table)
    };
    Session::print(&text)?;
    Ok(0)
}
