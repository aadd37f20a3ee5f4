//! `context`: where commands go. There is one place, this machine, and it is called `default`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context as _, Result};
use clap::{Args, FromArgMatches};
use serde_json::{Value, json};

use super::format::order::Ordered;
use super::format::template::Shapes;
use super::format::{List, Row};
use super::format::{parse, parsing_error};
use super::grammar::{Arity, Rules};
use super::inspect::pretty;
use super::report::coded;
use super::request::open_error;
use super::session::Session;
use super::tree::Spec;
use crate::oci::Digest;

const fn rules(arity: Arity) -> Rules {
    Rules { arity, interspersed: true, absent: &[] }
}

/// `context ls`
pub(super) const LS: Spec = Spec {
    paths: &["context ls", "context list"],
    about: "List contexts",
    usage: "[OPTIONS]",
    rules: rules(Arity::None),
    define: LsArgs::augment_args,
    run: |matches, session| ls(&LsArgs::from_arg_matches(matches)?, session),
};

/// `context show`
pub(super) const SHOW: Spec = Spec {
    paths: &["context show"],
    about: "Print the name of the current context",
    usage: "",
    rules: rules(Arity::None),
    define: |command| command,
    run: |_, _| Session::print("default\n").map(|()| 0),
};

/// `context inspect`
pub(super) const INSPECT: Spec = Spec {
    paths: &["context inspect"],
    about: "Display detailed information on one or more contexts",
    usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
    rules: rules(Arity::AtLeast(0)),
    define: InspectArgs::augment_args,
    run: |matches, session| inspect(&InspectArgs::from_arg_matches(matches)?, session),
};

/// `context use`
pub(super) const USE: Spec = Spec {
    paths: &["context use"],
    about: "Set the current context",
    usage: "CONTEXT",
    rules: rules(Arity::Exactly(1)),
    define: NameArgs::augment_args,
    run: |matches, session| {
        let name = NameArgs::from_arg_matches(matches)?.context;
        known(&name, session)?;
        Session::print("default\n")?;
        Session::note("Current context is now \"default\"");
        Ok(0)
    },
};

/// `context create`
pub(super) const CREATE: Spec = Spec {
    paths: &["context create"],
    about: "Create a context, which there can be no second one of",
    usage: "[OPTIONS] CONTEXT",
    rules: rules(Arity::Exactly(1)),
    define: CreateArgs::augment_args,
    run: |matches, _| {
        let args = CreateArgs::from_arg_matches(matches)?;
        Err(refusal(&args.context, "create"))
    },
};

/// `context update`
pub(super) const UPDATE: Spec = Spec {
    paths: &["context update"],
    about: "Update a context, which there is none to be changed of",
    usage: "[OPTIONS] CONTEXT",
    rules: rules(Arity::Exactly(1)),
    define: UpdateArgs::augment_args,
    run: |matches, session| {
        let name = UpdateArgs::from_arg_matches(matches)?.context;
        if name == "default" {
            return Err(coded(1, RESERVED));
        }
        known(&name, session)?;
        Ok(0)
    },
};

/// `context export`
pub(super) const EXPORT: Spec = Spec {
    paths: &["context export"],
    about: "Export a context to a tar archive FILE or a tar stream on STDOUT.",
    usage: "[OPTIONS] CONTEXT [FILE|-]",
    rules: rules(Arity::Between(1, 2)),
    define: ExportArgs::augment_args,
    run: |matches, session| export(&ExportArgs::from_arg_matches(matches)?, session),
};

/// `context import`
pub(super) const IMPORT: Spec = Spec {
    paths: &["context import"],
    about: "Import a context, which there can be no second one of",
    usage: "CONTEXT FILE|-",
    rules: rules(Arity::Exactly(2)),
    define: ImportArgs::augment_args,
    run: |matches, _| {
        let args = ImportArgs::from_arg_matches(matches)?;
        let refused = refusal(&args.context, "import");
        if args.file != "-" && is_name(&args.context) {
            std::fs::metadata(&args.file).map_err(|error| open_error(&args.file, &error))?;
        }
        Err(refused)
    },
};

/// `context rm`
pub(super) const RM: Spec = Spec {
    paths: &["context rm", "context remove"],
    about: "Remove one or more contexts",
    usage: "CONTEXT [CONTEXT...]",
    rules: rules(Arity::AtLeast(1)),
    define: RmArgs::augment_args,
    run: |matches, _| {
        let args = RmArgs::from_arg_matches(matches)?;
        let mut errors = Vec::new();
        for name in &args.contexts {
            match remove(name, args.force) {
                None => Session::print(&format!("{name}\n"))?,
                Some(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(0) } else { Err(coded(1, errors.join("\n"))) }
    },
};

#[derive(Debug, Args)]
struct LsArgs {
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show names only
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// Format of the output: json, or a Go template
    #[arg(long, short, value_name = "string")]
    format: Option<String>,
    /// Contexts
    #[arg(value_name = "CONTEXT")]
    contexts: Vec<String>,
}

#[derive(Debug, Args)]
struct NameArgs {
    /// Context
    #[arg(value_name = "CONTEXT")]
    context: String,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Description of the context
    #[arg(long, value_name = "string")]
    description: Option<String>,
    /// Endpoint
    #[arg(long, value_name = "stringToString")]
    docker: Option<String>,
    /// Context to copy
    #[arg(long, value_name = "string")]
    from: Option<String>,
    /// Context
    #[arg(value_name = "CONTEXT")]
    context: String,
}

#[derive(Debug, Args)]
struct UpdateArgs {
    /// Description of the context
    #[arg(long, value_name = "string")]
    description: Option<String>,
    /// Endpoint
    #[arg(long, value_name = "stringToString")]
    docker: Option<String>,
    /// Context
    #[arg(value_name = "CONTEXT")]
    context: String,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Context
    #[arg(value_name = "CONTEXT")]
    context: String,
    /// File to write; "-" is standard output
    #[arg(value_name = "FILE")]
    file: Option<String>,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// Context
    #[arg(value_name = "CONTEXT")]
    context: String,
    /// File to read; "-" is standard input
    #[arg(value_name = "FILE")]
    file: String,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Say nothing of those that do not exist
    #[arg(long, short)]
    force: bool,
    /// Contexts
    #[arg(value_name = "CONTEXT")]
    contexts: Vec<String>,
}

const LIST: List = List {
    heads: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Error", "ERROR"),
        ("Current", "CURRENT"),
    ],
    type_name: "*formatter.clientContextContext",
    raw: None,
};

/// What Docker says of the name of the one context.
const RESERVED: &str = "\"default\" is a reserved context name";

/// Where an API socket of this user's would be.
fn endpoint(session: &Session) -> Result<String> {
    Ok(format!("unix://{}", session.settings()?.runtime.join("docker.sock").display()))
}

fn ls(args: &LsArgs, session: &Session) -> Result<u8> {
    if args.quiet {
        return Session::print("default\n").map(|()| 0);
    }
    let format = args.format.as_deref().unwrap_or_default();
    // Docker marks the current one in its own table only.
    let is_table = matches!(format, "" | "table");
    let fields = json!({
        "Name": if is_table { "default *" } else { "default" },
        "Description": "This machine, without a daemon",
        "DockerEndpoint": endpoint(session)?,
        "Current": true,
        "Error": "",
        "ContextType": "moby",
    });
    let row = Row { fields: fields.as_object().cloned().unwrap_or_default(), ..Row::default() };
    let default = "table {{.Name}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}";
    let format = if matches!(format, "" | "table") { default } else { format };
    Session::print(&LIST.render(format, &[row])?)?;
    Ok(0)
}

fn inspect(args: &InspectArgs, session: &Session) -> Result<u8> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    let names = if args.contexts.is_empty() { vec!["default".to_owned()] } else { args.contexts.clone() };
    for name in names {
        match known(&name, session) {
            Ok(()) => found.push(json!({
                "Name": "default",
                "Metadata": {},
                "Endpoints": { "docker": { "Host": endpoint(session)?, "SkipTLSVerify": false } },
                "TLSMaterial": {},
                "Storage": { "MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>" },
            })),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    let text = match args.format.as_deref() {
        None | Some("") => format!("{}\n", escape(&pretty(&found)?)),
        Some("json") => format!("{}\n", escape(&Ordered(&Value::Array(found)).line())),
        Some(format) => {
            let template = parse(format).map_err(|error| coded(64, format!("{error:#}")))?;
            let shapes = Shapes {
                maps: &["Endpoints", "Metadata", "TLSMaterial"],
                lists: &[],
                free: &[],
                type_name: Some("context.contextWithTLSListing"),
            };
            let mut text = String::new();
            for value in &found {
                let line = template.render(value, &shapes).or_else(|error| {
                    Session::print("\n")?;
                    Err(parsing_error(error))
                })?;
                text.push_str(&line);
                text.push('\n');
            }
            text
        }
    };
    Session::print(&text)?;
    if errors.is_empty() { Ok(0) } else { Err(coded(1, errors.join("\n"))) }
}

/// Writes what Go's JSON has no plain characters for.
fn escape(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e")
}

/// Refuses a name that is not that of the one context, as Docker does one it has no file of.
fn known(name: &str, session: &Session) -> Result<()> {
    if name == "default" {
        return Ok(());
    }
    let digest = Digest::of(name.as_bytes()).to_string();
    let file = digest.strip_prefix("sha256:").unwrap_or(&digest);
    let dir = session.settings()?.docker_config.join("contexts/meta").join(file);
    Err(coded(
        1,
        format!(
            "context \"{name}\": context not found: open {}: no such file or directory",
            dir.join("meta.json").display()
        ),
    ))
}

/// Writes the archive that Docker writes of a context.
fn export(args: &ExportArgs, session: &Session) -> Result<u8> {
    known(&args.context, session)?;
    let meta = json!({
        "Name": "default",
        "Metadata": {},
        "Endpoints": { "docker": { "Host": endpoint(session)?, "SkipTLSVerify": false } },
    })
    .to_string();
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, mode, content) in [
        ("meta.json", tar::EntryType::Regular, 0o644, meta.as_bytes()),
        ("tls", tar::EntryType::Directory, 0o700, &b""[..]),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).context("make the archive")?;
    }
    let bytes = archive.into_inner().context("make the archive")?;
    let default = format!("{}.dockercontext", args.context);
    let path = args.file.as_deref().unwrap_or(&default);
    if path == "-" {
        let mut out = std::io::stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush()).context("write to standard output")?;
        return Ok(0);
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(&bytes))
        .map_err(|error| open_error(path, &error))?;
    Session::note(&format!("Written file \"{path}\""));
    Ok(0)
}

/// Tells whether a context could be called so.
fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && letters.all(|c| c.is_ascii_alphanumeric() || b"_.+-".contains(&c))
}

/// Returns why there is no context of a name.
fn refusal(name: &str, act: &str) -> anyhow::Error {
    coded(
        1,
        if name == "default" {
            RESERVED.to_owned()
        } else if is_name(name) {
            format!("cannot {act} context \"{name}\": there is no daemon to reach, and so no other context")
        } else {
            format!(
                "context name \"{name}\" is invalid, names are validated against regexp \
                 \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
            )
        },
    )
}

/// Returns why a context is not removed; none is.
fn remove(name: &str, force: bool) -> Option<String> {
    if name == "default" {
        return Some("context \"default\" cannot be removed".to_owned());
    }
    (!force).then(|| format!("context \"{name}\" does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_in_dockers_words() {
        assert_eq!(refusal("default", "create").to_string(), "\"default\" is a reserved context name");
        assert!(refusal("x", "create").to_string().starts_with("context name \"x\" is invalid"));
        assert!(refusal("there", "import").to_string().contains("no daemon"));
        assert_eq!(remove("nope", false).unwrap(), "context \"nope\" does not exist");
        assert_eq!(remove("nope", true), None);
        assert!(remove("default", true).is_some());
    }
}
