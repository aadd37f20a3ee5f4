//! `compose run`, `pull`, `build`: a container of its own for one command; images.

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches};

use super::front::{Here, project, warn_without_effect};
use super::with_dry_run;
use crate::cli::create::remove_after_failure;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::report::{coded, response};
use crate::cli::run::{exit_code, keys};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::life::{self, Front, Pull, Stage, Up};
use crate::container::{self, Attach, AttachOptions, ContainerDir, Outcome};

const ANY: Rules = Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] };

/// `compose run`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose run"],
    about: "Run a one-off command on a service",
    usage: "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: false, absent: &[] },
    define: |command| with_dry_run(RunArgs::augment_args(command)),
    run: |matches, session| run(&RunArgs::from_arg_matches(matches)?, session),
};

/// `compose pull`
pub(in crate::cli) const PULL: Spec = Spec {
    paths: &["compose pull"],
    about: "Pull service images",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(PullArgs::augment_args(command)),
    run: |matches, session| pull(&PullArgs::from_arg_matches(matches)?, session),
};

/// `compose build`
pub(in crate::cli) const BUILD: Spec = Spec {
    paths: &["compose build"],
    about: "Build or rebuild services",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(BuildArgs::augment_args(command)),
    run: |matches, session| build(&BuildArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct RunArgs {
    /// Build the image before starting the container
    #[arg(long)]
    build: bool,
    /// Add Linux capabilities
    #[arg(long, value_name = "list")]
    cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "list")]
    cap_drop: Vec<String>,
    /// Run in the background and print the container's name
    #[arg(long, short)]
    detach: bool,
    /// Program to run in place of the image's ENTRYPOINT
    #[arg(long, value_name = "string")]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(long, short, value_name = "stringArray")]
    env: Vec<String>,
    /// Keep standard input open
    #[arg(
        long,
        short,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    interactive: bool,
    /// Set labels
    #[arg(long, short, value_name = "stringArray")]
    label: Vec<String>,
    /// Name of the container
    #[arg(long, value_name = "string")]
    name: Option<String>,
    /// Give the command no terminal
    #[arg(long, short = 'T')]
    no_tty: bool,
    /// Do not start services that it depends on
    #[arg(long)]
    no_deps: bool,
    /// Publish a port of the container
    #[arg(long, short, value_name = "stringArray")]
    publish: Vec<String>,
    /// Pull without printing progress
    #[arg(long)]
    quiet_pull: bool,
    /// Remove containers of services that the files do not define
    #[arg(long)]
    remove_orphans: bool,
    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,
    /// Publish the service's ports
    #[arg(long, short = 'P')]
    service_ports: bool,
    /// Answer to the service's names on its networks
    #[arg(long)]
    use_aliases: bool,
    /// User name or id
    #[arg(long, short, value_name = "string")]
    user: Option<String>,
    /// Mount a directory or a volume
    #[arg(long, short, value_name = "stringArray")]
    volume: Vec<String>,
    /// Working directory inside the container
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
struct PullArgs {
    /// Do not pull images that can be built
    #[arg(long)]
    ignore_buildable: bool,
    /// Go on after a failure
    #[arg(long)]
    ignore_pull_failures: bool,
    /// Also pull images of services that others depend on
    #[arg(long)]
    include_deps: bool,
    /// When to pull ("missing"|"always")
    #[arg(long, value_name = "string")]
    policy: Option<String>,
    /// Pull without printing progress
    #[arg(long, short)]
    quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// Build without printing progress
    #[arg(long, short)]
    quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

fn run(args: &RunArgs, session: &Session) -> Result<u8> {
    let context = project(session, std::slice::from_ref(&args.service))?;
    warn_without_effect(&context);
    let here = Here::new(session)?;
    let engine = here.engine();
    let mut service = context.project.services[&args.service].clone();
    let wishes = Up {
        services: service.depends_on.keys().cloned().collect(),
        quiet_pull: args.quiet_pull,
        remove_orphans: args.remove_orphans,
        start: true,
        ..Up::default()
    };
    if !args.no_deps && !service.depends_on.is_empty() {
        life::up(&engine, &context, &wishes).map_err(response)?;
        life::wait_for_dependencies(&engine, &context, &service).map_err(response)?;
    } else {
        life::prepare(&engine, &context).map_err(response)?;
    }
    let images = Up { build: args.build, quiet_pull: args.quiet_pull, ..Up::default() };
    let image = life::ensure_image(&engine, &context, &args.service, &service, &images).map_err(response)?;
    let Some(image) = image.filter(|_| !session.compose.dry_run) else { return Ok(0) };
    change(&mut service, args)?;
    let with_ports = args.service_ports || !args.publish.is_empty();
    if !args.service_ports {
        service.ports.clear();
    }
    for line in &args.publish {
        service.ports.extend(crate::compose::parse_port(line).map_err(|message| anyhow::anyhow!(message))?);
    }
    let mut request = life::one_off(
        &engine,
        &context,
        &args.service,
        &service,
        args.name.clone(),
        with_ports,
        args.use_aliases,
    )
    .map_err(response)?;
    let terminal = Session::stdin_is_terminal() && std::io::IsTerminal::is_terminal(&std::io::stdout());
    let tty = !args.detach && !args.no_tty && terminal;
    request.tty = tty || args.detach && service.tty;
    request.open_stdin = args.interactive && !args.detach || service.stdin_open;
    request.auto_remove = args.rm;
    if !args.detach {
        request.attach = Attach { stdin: args.interactive, stdout: true, stderr: true };
    }
    let attach = request.attach;
    let created = container::create(engine.store, engine.identity, &image, request).map_err(response)?;
    let dir = ContainerDir::new(engine.store, &created.id);
    let options = AttachOptions {
        stdin: attach.stdin,
        stdout: true,
        stderr: true,
        tty,
        detach_keys: keys(None, session)?,
        sig_proxy: true,
    };
    match container::start(engine.store, &dir, (!args.detach).then_some(&options)) {
        Ok(Outcome::Exited(code)) if !args.detach => Ok(exit_code(code)),
        Ok(_) => {
            if args.detach {
                Session::print(&format!("{}\n", created.name))?;
            }
            Ok(0)
        }
        Err(error) => {
            if args.rm {
                remove_after_failure(engine.store, &dir);
            }
            let code = error.downcast_ref::<container::StartError>().map_or(1, |error| error.code);
            Err(coded(u8::try_from(code).unwrap_or(1).max(1), format!("{:#}", response(error))))
        }
    }
}

/// Lays the flags over the service.
fn change(service: &mut crate::compose::Service, args: &RunArgs) -> Result<()> {
    if !args.command.is_empty() {
        service.command = Some(args.command.clone());
    }
    if let Some(entrypoint) = &args.entrypoint {
        service.entrypoint =
            Some(crate::compose::words(entrypoint).unwrap_or_else(|| vec![entrypoint.clone()]));
        if args.command.is_empty() {
            service.command = None;
        }
    }
    for pair in &args.env {
        let (key, value) = match pair.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (pair.as_str(), std::env::var(pair).ok()),
        };
        service.environment.insert(key.to_owned(), value);
    }
    for pair in &args.label {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        service.labels.insert(key.to_owned(), value.to_owned());
    }
    if args.user.is_some() {
        service.user.clone_from(&args.user);
    }
    if args.workdir.is_some() {
        service.working_dir.clone_from(&args.workdir);
    }
    service.cap_add.extend(args.cap_add.iter().cloned());
    service.cap_drop.extend(args.cap_drop.iter().cloned());
    let here = std::env::current_dir()?;
    for line in &args.volume {
        let mount = crate::compose::parse_mount(line, &here).map_err(|problem| anyhow::anyhow!(problem.0))?;
        service.volumes.retain(|other| other.target != mount.target);
        service.volumes.push(mount);
    }
    Ok(())
}

fn pull(args: &PullArgs, session: &Session) -> Result<u8> {
    let context = project(session, &args.services)?;
    let here = Here::new(session)?;
    let engine = here.engine();
    let policy = match args.policy.as_deref() {
        None | Some("always" | "") => Pull::Always,
        Some("missing") => Pull::Missing,
        Some(other) => bail!("invalid value for --policy: {other:?}"),
    };
    let mut names = args.services.clone();
    if names.is_empty() {
        names = context.project.services.keys().cloned().collect();
    } else if args.include_deps {
        for name in names.clone() {
            names.extend(context.project.services[&name].depends_on.keys().cloned());
        }
    }
    names.sort();
    names.dedup();
    let mut done: Vec<String> = Vec::new();
    let mut failed = Vec::new();
    for name in names {
        let service = &context.project.services[&name];
        let image = service.image_name(&context.project.name, &name);
        if service.image.is_none() || args.ignore_buildable && service.build.is_some() {
            here.tell(&name, "Skipped - No image to be pulled", Stage::Done);
            continue;
        }
        if done.contains(&image) {
            here.tell(&name, "Skipped - Image is already being pulled", Stage::Done);
            continue;
        }
        let never = service.pull_policy.as_deref() == Some("never");
        let present = crate::image::resolve(engine.store, &image).is_ok();
        if never || policy == Pull::Missing && present {
            here.tell(&name, "Skipped - Image is already present locally", Stage::Done);
            continue;
        }
        here.tell(&name, "Pulling", Stage::Begun);
        let pulled = if session.compose.dry_run {
            Ok(())
        } else {
            here.pull(&image, service.platform.as_deref(), args.quiet)
        };
        match pulled {
            Ok(()) => here.tell(&name, "Pulled", Stage::Done),
            // It is built instead.
            Err(error) if service.build.is_some() => {
                here.tell(&name, &format!("Warning {error:#}"), Stage::Done);
            }
            Err(error) => {
                here.tell(&name, "Error", Stage::Failed);
                failed.push(error);
            }
        }
        done.push(image);
    }
    if args.ignore_pull_failures {
        for error in failed {
            Session::note(&format!("{error:#}"));
        }
        return Ok(0);
    }
    life::finish(failed).map_err(response)?;
    Ok(0)
}

fn build(args: &BuildArgs, session: &Session) -> Result<u8> {
    let context = project(session, &args.services)?;
    let here = Here::new(session)?;
    for (name, service) in &context.project.services {
        if service.build.is_none() || !args.services.is_empty() && !args.services.contains(name) {
            continue;
        }
        if !args.quiet {
            here.tell(name, "Building", Stage::Begun);
        }
        if !session.compose.dry_run {
            here.build(name, service, &service.image_name(&context.project.name, name))?;
        }
        if !args.quiet {
            here.tell(name, "Built", Stage::Done);
        }
    }
    Ok(0)
}
