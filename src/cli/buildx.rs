//! `buildx create`, `use`, `ls`, `inspect`, `rm`, `stop`, `version`: builders by name.
//!
//! There is one builder, this program. Names are kept because scripts make them, use them and remove them.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Command, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::session::Session;
use super::tree::Spec;
use crate::oci::Platform;

/// The builder that needs no making.
const DEFAULT: &str = "default";
/// The file that says which builder is used.
const CURRENT: &str = ".current";

/// `buildx create`
pub(super) const CREATE: Spec = Spec {
    paths: &["buildx create"],
    about: "Create a new builder instance",
    usage: "[OPTIONS] [CONTEXT|ENDPOINT]",
    rules: Rules { arity: Arity::AtMost(1), interspersed: true, absent: &[] },
    define: CreateArgs::augment_args,
    run: |matches, session| create(&CreateArgs::from_arg_matches(matches)?, session),
};

/// `buildx use`
pub(super) const USE: Spec = Spec {
    paths: &["buildx use"],
    about: "Set the current builder instance",
    usage: "[OPTIONS] NAME",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: UseArgs::augment_args,
    run: |matches, session| {
        let args = UseArgs::from_arg_matches(matches)?;
        let builders = Builders::of(session)?;
        builders.check(&args.name)?;
        builders.choose(&args.name)?;
        Ok(0)
    },
};

/// `buildx ls`
pub(super) const LS: Spec = Spec {
    paths: &["buildx ls"],
    about: "List builder instances",
    usage: "",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: |command| command,
    run: |_, session| {
        let builders = Builders::of(session)?;
        let current = builders.current();
        let mut out = String::from("NAME/NODE       DRIVER/ENDPOINT   STATUS    BUILDKIT   PLATFORMS\n");
        for name in builders.names()? {
            let star = if name == current { "*" } else { "" };
            let (shown, platform) = (format!("{name}{star}"), Platform::host());
            let _ = writeln!(out, "{shown:<16}docker");
            let node = format!(" \\_ {name}");
            let _ = writeln!(out, "{node:<16} \\_ {:<13}running   {:<11}{platform}", "default", version());
        }
        Session::print(&out)?;
        Ok(0)
    },
};

/// `buildx inspect`
pub(super) const INSPECT: Spec = Spec {
    paths: &["buildx inspect"],
    about: "Inspect current builder instance",
    usage: "[OPTIONS] [NAME]",
    rules: Rules { arity: Arity::AtMost(1), interspersed: true, absent: &[] },
    define: InspectArgs::augment_args,
    run: |matches, session| {
        let args = InspectArgs::from_arg_matches(matches)?;
        let builders = Builders::of(session)?;
        let name = args.name.or(args.builder).unwrap_or_else(|| builders.current());
        builders.check(&name)?;
        Session::print(&format!(
            "Name:   {name}\nDriver: docker\n\nNodes:\nName:             {name}\nEndpoint:         default\nStatus:           \
             running\nBuildKit version: {}\nPlatforms:        {}\n",
            version(),
            Platform::host(),
        ))?;
        Ok(0)
    },
};

/// Makes sure that there is a builder of this name.
pub(super) fn check_builder(name: &str, session: &Session) -> Result<()> {
    if name.is_empty() { Ok(()) } else { Builders::of(session)?.check(name) }
}

/// `buildx rm`
pub(super) const RM: Spec = Spec {
    paths: &["buildx rm"],
    about: "Remove one or more builder instances",
    usage: "[OPTIONS] [NAME...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: RmArgs::augment_args,
    run: |matches, session| remove(&RmArgs::from_arg_matches(matches)?, session),
};

/// `buildx stop`
pub(super) const STOP: Spec = Spec {
    paths: &["buildx stop"],
    about: "Stop builder instance",
    usage: "[NAME]",
    rules: Rules { arity: Arity::AtMost(1), interspersed: true, absent: &[] },
    define: |command| command.arg(clap::Arg::new("name").value_name("NAME")),
    run: |matches, session| {
        // Nothing runs between builds.
        if let Some(name) = matches.get_one::<String>("name") {
            Builders::of(session)?.check(name)?;
        }
        Ok(0)
    },
};

/// `buildx version`
pub(super) const VERSION: Spec = Spec {
    paths: &["buildx version"],
    about: "Show buildx version information",
    usage: "",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: |command: Command| command,
    run: |_, _| {
        let own = env!("CARGO_PKG_VERSION");
        Session::print(&format!("github.com/docker/buildx {} coracle-{own}\n", version()))?;
        Ok(0)
    },
};

/// The version of BuildKit's and buildx's interface that is spoken.
fn version() -> &'static str {
    "v0.30.1"
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Nothing: there is one node
    #[arg(long)]
    append: bool,
    /// Nothing: there is no daemon to start
    #[arg(long)]
    bootstrap: bool,
    /// Nothing: there is no daemon
    #[arg(long, value_name = "string", alias = "config")]
    buildkitd_config: Option<String>,
    /// Nothing: there is no daemon
    #[arg(long, value_name = "string")]
    buildkitd_flags: Option<String>,
    /// Driver: any is this program
    #[arg(long, value_name = "string")]
    driver: Option<String>,
    /// Nothing: drivers have no options
    #[arg(long, value_name = "stringArray")]
    driver_opt: Vec<String>,
    /// Nothing: there is one node
    #[arg(long)]
    leave: bool,
    /// Builder instance name
    #[arg(long, value_name = "string")]
    name: Option<String>,
    /// Nothing: there is one node
    #[arg(long, value_name = "string")]
    node: Option<String>,
    /// Nothing: platforms are those of this machine
    #[arg(long, value_name = "stringArray")]
    platform: Vec<String>,
    /// Set the current builder instance
    #[arg(long = "use")]
    choose: bool,
    /// Context
    #[arg(value_name = "CONTEXT|ENDPOINT")]
    endpoint: Option<String>,
}

#[derive(Debug, Args)]
struct UseArgs {
    /// Set builder as default for current context
    #[arg(long)]
    default: bool,
    /// Builder persists context changes
    #[arg(long)]
    global: bool,
    /// Builder
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// Nothing: there is no daemon to start
    #[arg(long)]
    bootstrap: bool,
    /// Builder instance name
    #[arg(long, value_name = "string")]
    builder: Option<String>,
    /// Builder
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Remove all builders
    #[arg(long)]
    all_inactive: bool,
    /// Do not prompt for confirmation
    #[arg(long, short)]
    force: bool,
    /// Nothing: there is no daemon
    #[arg(long)]
    keep_daemon: bool,
    /// Nothing: names hold no state
    #[arg(long)]
    keep_state: bool,
    /// Builders
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// The names of builders: files in a directory.
struct Builders(PathBuf);

impl Builders {
    fn of(session: &Session) -> Result<Self> {
        Ok(Self(session.store()?.root().join("builders")))
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = vec![DEFAULT.to_owned()];
        match fs::read_dir(&self.0) {
            Ok(entries) => {
                let found = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                names.extend(found.filter(|name| !name.starts_with('.')));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("read the names of builders"),
        }
        names.sort();
        Ok(names)
    }

    fn current(&self) -> String {
        let chosen = fs::read_to_string(self.0.join(CURRENT)).ok();
        chosen.filter(|name| self.0.join(name).exists()).unwrap_or_else(|| DEFAULT.to_owned())
    }

    fn check(&self, name: &str) -> Result<()> {
        if name == DEFAULT || (is_name(name) && self.0.join(name).exists()) {
            return Ok(());
        }
        bail!("ERROR: no builder {name:?} found");
    }

    fn add(&self, name: &str) -> Result<()> {
        fs::create_dir_all(&self.0).context("create the directory of builders")?;
        fs::write(self.0.join(name), "").with_context(|| format!("create builder {name}"))
    }

    fn choose(&self, name: &str) -> Result<()> {
        fs::create_dir_all(&self.0).context("create the directory of builders")?;
        fs::write(self.0.join(CURRENT), name).with_context(|| format!("use builder {name}"))
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && letters.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn create(args: &CreateArgs, session: &Session) -> Result<u8> {
    let builders = Builders::of(session)?;
    let name = match args.name.clone().filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => format!("builder{}", builders.names()?.len()),
    };
    if !is_name(&name) || name == DEFAULT {
        bail!(
            "ERROR: {name:?} is a reserved or invalid name and cannot be used to identify builder instance"
        );
    }
    if builders.0.join(&name).exists() && !args.append && !args.leave && args.node.is_none() {
        bail!(
            "ERROR: existing instance for {name:?} but no append mode, specify the node name to make changes for existing instances"
        );
    }
    builders.add(&name)?;
    if args.choose {
        builders.choose(&name)?;
    }
    Session::print(&format!("{name}\n"))?;
    Ok(0)
}

fn remove(args: &RmArgs, session: &Session) -> Result<u8> {
    let builders = Builders::of(session)?;
    let mut names = args.names.clone();
    if args.all_inactive {
        names = builders.names()?.into_iter().filter(|name| name != DEFAULT).collect();
    } else if names.is_empty() {
        names.push(builders.current());
    }
    for name in names {
        builders.check(&name)?;
        if name == DEFAULT {
            bail!(
                "ERROR: context builder cannot be removed, run `docker context rm {name}` to remove this context"
            );
        }
        fs::remove_file(builders.0.join(&name)).with_context(|| format!("remove builder {name}"))?;
        Session::note(&format!("{name} removed"));
    }
    Ok(0)
}
