//! Commands that do to one container of a service what the command of the same name does to a container:
//! `exec`, `attach`, `port`, `top`, `stats`, `cp`, `events`, `volumes`, `commit`, `export`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches};

use super::down::members;
use super::front::{Here, project_or_name};
use super::with_dry_run;
use crate::cli::attach::{AttachFlags, attach};
use crate::cli::commit::{CommitFlags, commit};
use crate::cli::events;
use crate::cli::format::moment;
use crate::cli::grammar::{self, Arity, Rules, Stop, integer};
use crate::cli::report::coded;
use crate::cli::session::Session;
use crate::cli::tree::{self, Spec};
use crate::compose::life::{Context, Member, label};
use crate::store::{Event, Subject};

const fn rules(arity: Arity) -> Rules {
    Rules { arity, interspersed: true, absent: &[] }
}

/// `compose exec`
pub(in crate::cli) const EXEC: Spec = Spec {
    paths: &["compose exec"],
    about: "Execute a command in a running container",
    usage: "[OPTIONS] SERVICE COMMAND [ARGS...]",
    rules: Rules { arity: Arity::AtLeast(2), interspersed: false, absent: &[] },
    define: |command| with_dry_run(ExecArgs::augment_args(command)),
    run: |matches, session| exec(&ExecArgs::from_arg_matches(matches)?, session),
};

/// `compose attach`
pub(in crate::cli) const ATTACH: Spec = Spec {
    paths: &["compose attach"],
    about: "Attach local standard input, output, and error streams to a service's running container",
    usage: "[OPTIONS] SERVICE",
    rules: rules(Arity::Exactly(1)),
    define: |command| with_dry_run(AttachArgs::augment_args(command)),
    run: |matches, session| {
        let args = AttachArgs::from_arg_matches(matches)?;
        let member = running(session, &args.service, args.index)?;
        attach(session, member.id(), &args.flags)
    },
};

/// `compose port`
pub(in crate::cli) const PORT: Spec = Spec {
    paths: &["compose port"],
    about: "Print the public port for a port binding",
    usage: "[OPTIONS] SERVICE PRIVATE_PORT",
    rules: rules(Arity::Exactly(2)),
    define: |command| with_dry_run(PortArgs::augment_args(command)),
    run: |matches, session| port(&PortArgs::from_arg_matches(matches)?, session),
};

/// `compose top`
pub(in crate::cli) const TOP: Spec = Spec {
    paths: &["compose top"],
    about: "Display the running processes",
    usage: "[SERVICES...]",
    rules: rules(Arity::AtLeast(0)),
    define: |command| with_dry_run(ServicesArgs::augment_args(command)),
    run: |matches, session| {
        let args = ServicesArgs::from_arg_matches(matches)?;
        for member in of_services(session, &args.services)?.iter().filter(|member| member.is_running()) {
            Session::print(&format!("{}\n", member.name()))?;
            call(session, "top", &[member.id().to_owned()])?;
            Session::print("\n")?;
        }
        Ok(0)
    },
};

/// `compose stats`
pub(in crate::cli) const STATS: Spec = Spec {
    paths: &["compose stats"],
    about: "Display a live stream of container(s) resource usage statistics",
    usage: "[OPTIONS] [SERVICE]",
    rules: rules(Arity::AtMost(1)),
    define: |command| with_dry_run(StatsArgs::augment_args(command)),
    run: |matches, session| {
        let args = StatsArgs::from_arg_matches(matches)?;
        let found = of_services(session, &args.services)?;
        let mut words = Vec::new();
        words.extend(args.all.then(|| "--all".to_owned()));
        words.extend(args.format.iter().map(|format| format!("--format={format}")));
        words.extend(args.no_stream.then(|| "--no-stream".to_owned()));
        words.extend(args.no_trunc.then(|| "--no-trunc".to_owned()));
        let names = found.iter().filter(|member| args.all || member.is_running());
        let before = words.len();
        words.extend(names.map(|member| member.name().to_owned()));
        if words.len() == before {
            return Ok(0);
        }
        call(session, "stats", &words)
    },
};

/// `compose cp`
pub(in crate::cli) const CP: Spec = Spec {
    paths: &["compose cp"],
    about: "Copy files/folders between a service container and the local filesystem",
    usage: "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
    rules: rules(Arity::Exactly(2)),
    define: |command| with_dry_run(CpArgs::augment_args(command)),
    run: |matches, session| cp(&CpArgs::from_arg_matches(matches)?, session),
};

/// `compose events`
pub(in crate::cli) const EVENTS: Spec = Spec {
    paths: &["compose events"],
    about: "Receive real time events from containers",
    usage: "[OPTIONS] [SERVICE...]",
    rules: rules(Arity::AtLeast(0)),
    define: |command| with_dry_run(EventsArgs::augment_args(command)),
    run: |matches, session| {
        let args = EventsArgs::from_arg_matches(matches)?;
        let (name, _) = project_or_name(session, &args.services)?;
        events::stream(session, args.since.as_deref(), args.until.as_deref(), &|event| {
            Ok(shown_event(event, &name, &args.services, args.json))
        })
    },
};

/// `compose volumes`
pub(in crate::cli) const VOLUMES: Spec = Spec {
    paths: &["compose volumes"],
    about: "List volumes",
    usage: "[OPTIONS]",
    rules: rules(Arity::AtLeast(0)),
    define: |command| with_dry_run(VolumesArgs::augment_args(command)),
    run: |matches, session| {
        let args = VolumesArgs::from_arg_matches(matches)?;
        let (name, _) = project_or_name(session, &[])?;
        let mut words = vec![format!("--filter=label={}={name}", label::PROJECT)];
        words.extend(args.quiet.then(|| "--quiet".to_owned()));
        words.extend(args.format.iter().map(|format| format!("--format={format}")));
        call(session, "volume ls", &words)
    },
};

/// `compose commit`
pub(in crate::cli) const COMMIT: Spec = Spec {
    paths: &["compose commit"],
    about: "Create a new image from a service container's changes",
    usage: "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
    rules: rules(Arity::Between(1, 2)),
    define: |command| with_dry_run(CommitArgs::augment_args(command)),
    run: |matches, session| {
        let args = CommitArgs::from_arg_matches(matches)?;
        let member = running(session, &args.service, args.index)?;
        if session.compose.dry_run {
            return Ok(0);
        }
        commit(session, member.id(), args.name.as_deref(), &args.flags)
    },
};

/// `compose export`
pub(in crate::cli) const EXPORT: Spec = Spec {
    paths: &["compose export"],
    about: "Export a service container's filesystem as a tar archive",
    usage: "[OPTIONS] SERVICE",
    rules: rules(Arity::Exactly(1)),
    define: |command| with_dry_run(ExportArgs::augment_args(command)),
    run: |matches, session| {
        let args = ExportArgs::from_arg_matches(matches)?;
        let member = running(session, &args.service, args.index)?;
        let mut words: Vec<String> = args.output.iter().map(|file| format!("--output={file}")).collect();
        words.push(member.id().to_owned());
        if session.compose.dry_run { Ok(0) } else { call(session, "export", &words) }
    },
};

/// `compose wait`
pub(in crate::cli) const WAIT: Spec = Spec {
    paths: &["compose wait"],
    about: "Block until containers of all (or specified) services stop.",
    usage: "SERVICE [SERVICE...] [OPTIONS]",
    rules: rules(Arity::AtLeast(1)),
    define: |command| with_dry_run(WaitArgs::augment_args(command)),
    run: |matches, session| {
        let args = WaitArgs::from_arg_matches(matches)?;
        let found = of_services(session, &args.services)?;
        let Some(first) = found.iter().find(|member| member.is_running()) else {
            return Err(coded(1, "no containers for project: none of them runs"));
        };
        let code = crate::container::wait(session.store()?, &first.dir(session.store()?))?;
        Session::print(&format!("{code}\n"))?;
        if args.down_project {
            call(session, "compose down", &[])?;
        }
        Ok(u8::try_from(code & 0xff).unwrap_or(1))
    },
};

#[derive(Debug, Args)]
struct ExecArgs {
    /// Run in the background
    #[arg(long, short)]
    detach: bool,
    /// Set environment variables
    #[arg(long, short, value_name = "stringArray")]
    env: Vec<String>,
    /// Which of the service's containers
    #[arg(long, value_name = "int", default_value = "0", value_parser = integer)]
    index: i64,
    /// Accepted; standard input is open
    #[arg(long, short, hide = true)]
    interactive: bool,
    /// Give the command no terminal
    #[arg(long, alias = "no-TTY", short = 'T')]
    no_tty: bool,
    /// Give the command everything a user namespace can give
    #[arg(long)]
    privileged: bool,
    /// Accepted; a terminal is given where there is one
    #[arg(long, short, hide = true)]
    tty: bool,
    /// Run the command as this user
    #[arg(long, short, value_name = "string")]
    user: Option<String>,
    /// Working directory of the command
    #[arg(long, short, value_name = "string")]
    workdir: Option<String>,
    /// Service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Command and its arguments
    #[arg(value_name = "COMMAND", allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Debug, Args)]
struct AttachArgs {
    #[command(flatten)]
    flags: AttachFlags,
    /// Which of the service's containers
    #[arg(long, value_name = "int", default_value = "0", value_parser = integer)]
    index: i64,
    /// Service
    #[arg(value_name = "SERVICE")]
    service: String,
}

#[derive(Debug, Args)]
struct PortArgs {
    /// Which of the service's containers
    #[arg(long, value_name = "int", default_value = "0", value_parser = integer)]
    index: i64,
    /// tcp or udp
    #[arg(long, value_name = "string", default_value = "tcp")]
    protocol: String,
    /// Service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Port of the container
    #[arg(value_name = "PRIVATE_PORT")]
    port: String,
}

#[derive(Debug, Args)]
struct ServicesArgs {
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct StatsArgs {
    /// Show all containers, not only running ones
    #[arg(long, short)]
    all: bool,
    /// Format of the output: table, table TEMPLATE, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show one result and end
    #[arg(long)]
    no_stream: bool,
    /// Do not cut columns short
    #[arg(long)]
    no_trunc: bool,
    /// Service
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct CpArgs {
    /// Keep owners
    #[arg(long, short)]
    archive: bool,
    /// Follow a link that is the source
    #[arg(long, short = 'L')]
    follow_link: bool,
    /// Which of the service's containers
    #[arg(long, value_name = "int", default_value = "0", value_parser = integer)]
    index: i64,
    /// Source and destination
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
}

#[derive(Debug, Args)]
struct EventsArgs {
    /// Print events as JSON objects
    #[arg(long)]
    json: bool,
    /// Show what is not older than a time
    #[arg(long, value_name = "string")]
    since: Option<String>,
    /// Show what is not younger than a time
    #[arg(long, value_name = "string")]
    until: Option<String>,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct VolumesArgs {
    /// Format of the output: table, json, or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Only show names
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
struct CommitArgs {
    #[command(flatten)]
    flags: CommitFlags,
    /// Which of the service's containers
    #[arg(long, value_name = "int", default_value = "0", value_parser = integer)]
    index: i64,
    /// Service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// Which of the service's containers
    #[arg(long, value_name = "int", default_value = "0", value_parser = integer)]
    index: i64,
    /// Write to a file, instead of STDOUT
    #[arg(long, short, value_name = "string")]
    output: Option<String>,
    /// Service
    #[arg(value_name = "SERVICE")]
    service: String,
}

#[derive(Debug, Args)]
struct WaitArgs {
    /// Take the project down when the first container stops
    #[arg(long)]
    down_project: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Runs another command with these words, as part of this one.
pub(super) fn call(session: &Session, path: &str, words: &[String]) -> Result<u8> {
    let Some(spec) = tree::find(path) else { bail!("there is no command {path}") };
    match grammar::parse(spec.command(), &spec.rules, words) {
        Ok(matches) => (spec.run)(&matches, session),
        Err(Stop::Flag(message) | Stop::Missing(message)) => Err(coded(1, message)),
        Err(Stop::Help | Stop::Count) => Err(coded(1, format!("{path}: wrong arguments {words:?}"))),
    }
}

/// Returns the containers of services.
fn of_services(session: &Session, services: &[String]) -> Result<Vec<Member>> {
    let (name, context) = project_or_name(session, services)?;
    let here = Here::new(session)?;
    members(&here, &name, context.as_ref(), services)
}

/// Returns the container of a service: the first that runs, or the one of a number.
pub(super) fn running(session: &Session, service: &str, index: i64) -> Result<Member> {
    let (name, context) = project_or_name(session, &[service.to_owned()])?;
    find(session, &name, context.as_ref(), service, index)
}

fn find(
    session: &Session,
    name: &str,
    context: Option<&Context>,
    service: &str,
    index: i64,
) -> Result<Member> {
    let here = Here::new(session)?;
    let mut found = members(&here, name, context, &[service.to_owned()])?;
    if index > 0 {
        found.retain(|member| i64::from(member.number) == index);
        return found
            .into_iter()
            .next()
            .ok_or_else(|| coded(1, format!("service {service:?} is not running container #{index}")));
    }
    let running = found.into_iter().find(Member::is_running);
    running.ok_or_else(|| coded(1, format!("service {service:?} is not running")))
}

fn exec(args: &ExecArgs, session: &Session) -> Result<u8> {
    let member = running(session, &args.service, args.index)?;
    let mut words = Vec::new();
    if args.detach {
        words.push("--detach".to_owned());
    } else {
        words.push("--interactive".to_owned());
        let terminal = Session::stdin_is_terminal() && std::io::IsTerminal::is_terminal(&std::io::stdout());
        words.extend((!args.no_tty && terminal).then(|| "--tty".to_owned()));
    }
    words.extend(args.privileged.then(|| "--privileged".to_owned()));
    words.extend(args.env.iter().map(|pair| format!("--env={pair}")));
    words.extend(args.user.iter().map(|user| format!("--user={user}")));
    words.extend(args.workdir.iter().map(|dir| format!("--workdir={dir}")));
    words.push(member.id().to_owned());
    words.extend(args.command.iter().cloned());
    if session.compose.dry_run {
        return Ok(0);
    }
    match call(session, "exec", &words) {
        Err(error) => match error.downcast_ref::<crate::container::StartError>() {
            Some(start) => {
                let code = u8::try_from(start.code).unwrap_or(126);
                Err(coded(code, format!("{error:#}")))
            }
            None => Err(error),
        },
        ended => ended,
    }
}

/// Shows an event of a container of the project, without the labels that are Compose's own.
fn shown_event(event: &Event, project: &str, services: &[String], json: bool) -> Option<String> {
    let all = &event.actor.attributes;
    let of = |key: &str| all.get(key).map(String::as_str).unwrap_or_default();
    let service = of(label::SERVICE);
    let is_meant = event.subject == Subject::Container
        && of(label::PROJECT) == project
        && !of(label::ONE_OFF).eq_ignore_ascii_case("true")
        && (services.is_empty() || services.iter().any(|name| name == service));
    if !is_meant {
        return None;
    }
    let attributes: BTreeMap<&String, &String> =
        all.iter().filter(|(key, _)| !key.starts_with("com.docker.compose.")).collect();
    let at = jiff::Timestamp::from_nanosecond(event.time_nano.into()).unwrap_or_default();
    Some(if json {
        let document = serde_json::json!({
            "action": event.action, "attributes": attributes, "id": event.actor.id, "service": service,
            "time": moment::rfc3339_nanoseconds(at), "type": "container",
        });
        format!("{document}\n")
    } else {
        let pairs: Vec<String> = attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let at = at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.6f");
        format!("{at} container {} {} ({})\n", event.action, event.actor.id, pairs.join(", "))
    })
}

fn port(args: &PortArgs, session: &Session) -> Result<u8> {
    let member = running(session, &args.service, args.index)?;
    let crate::container::Status::Running(alive) = &member.summary.status else {
        return Err(coded(1, format!("service {:?} is not running", args.service)));
    };
    let Ok(wanted) = args.port.parse::<u16>() else { bail!("invalid port {:?}", args.port) };
    let found = alive
        .ports
        .iter()
        .find(|port| port.container_port == wanted && port.protocol.name() == args.protocol);
    let Some(port) = found else {
        let text = format!("no port {wanted}/{} for container {}", args.protocol, member.name());
        return Err(coded(1, text));
    };
    Session::print(&format!("{}\n", std::net::SocketAddr::new(port.host_ip, port.host_port)))?;
    Ok(0)
}

fn cp(args: &CpArgs, session: &Session) -> Result<u8> {
    let [source, destination] = args.paths.as_slice() else { bail!("cp takes a source and a destination") };
    let is_path = |text: &str| text.starts_with(['/', '.']) || text == "-" || !text.contains(':');
    let (into, pair) = match (is_path(source), is_path(destination)) {
        (false, true) => (false, source),
        (true, false) => (true, destination),
        (true, true) => bail!("unknown copy direction: one of the two must be SERVICE:PATH"),
        (false, false) => bail!("copying between services is not supported"),
    };
    let (service, path) = pair.split_once(':').unwrap_or((pair, ""));
    let (name, context) = project_or_name(session, &[service.to_owned()])?;
    let here = Here::new(session)?;
    let mut found = members(&here, &name, context.as_ref(), &[service.to_owned()])?;
    if args.index > 0 {
        found.retain(|member| i64::from(member.number) == args.index);
    } else if !into {
        found.truncate(1);
    }
    if found.is_empty() {
        return Err(coded(1, format!("no container found for service {service:?}")));
    }
    for member in &found {
        let there = format!("{}:{path}", member.id());
        let mut words: Vec<String> = Vec::new();
        words.extend(args.archive.then(|| "--archive".to_owned()));
        words.extend(args.follow_link.then(|| "--follow-link".to_owned()));
        words.extend(if into { [source.clone(), there] } else { [there, destination.clone()] });
        if !session.compose.dry_run {
            call(session, "cp", &words)?;
        }
    }
    Ok(0)
}
