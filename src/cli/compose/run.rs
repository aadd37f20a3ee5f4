//! `compose run`: a container of its own for one command.

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::front::{Here, project, warn_without_effect};
use super::up::read_pull;
use super::with_dry_run;
use crate::cli::create::remove_after_failure;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::report::{coded, response};
use crate::cli::run::{exit_code, keys};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::life::{self, Up};
use crate::container::{self, Attach, AttachOptions, ContainerDir, Outcome};

/// `compose run`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose run"],
    about: "Run a one-off command on a service",
    usage: "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: false, absent: &[] },
    define: |command| with_dry_run(RunArgs::augment_args(command)),
    run: |matches, session| run(&RunArgs::from_arg_matches(matches)?, session),
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
    /// Read environment variables from a file
    #[arg(long, value_name = "stringArray")]
    env_from_file: Vec<String>,
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
    #[arg(long, alias = "no-TTY", short = 'T')]
    no_tty: bool,
    /// Do not start services that it depends on
    #[arg(long)]
    no_deps: bool,
    /// Publish a port of the container
    #[arg(long, short, value_name = "stringArray")]
    publish: Vec<String>,
    /// Pull image before running ("always"|"missing"|"never"|"build")
    #[arg(long, value_name = "string")]
    pull: Option<String>,
    /// Do not show what happens to other containers
    #[arg(long, short)]
    quiet: bool,
    /// Build without printing progress
    #[arg(long)]
    quiet_build: bool,
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

fn run(args: &RunArgs, session: &Session) -> Result<u8> {
    let context = project(session, std::slice::from_ref(&args.service))?;
    warn_without_effect(&context);
    let mut here = Here::new(session)?;
    here.build.quiet = args.quiet_build || args.quiet;
    if args.quiet {
        here.silence();
    }
    let pull = args.pull.as_deref().map_or(Ok(None), read_pull)?;
    let quiet_pull = args.quiet_pull || args.quiet;
    let engine = here.engine();
    let mut service = context.project.services[&args.service].clone();
    let wishes = Up {
        services: service.depends_on.keys().cloned().collect(),
        quiet_pull,
        pull,
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
    let images = Up { build: args.build, quiet_pull, pull, ..Up::default() };
    let image = life::ensure_image(&engine, &context, &args.service, &images).map_err(response)?;
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
    for file in &args.env_from_file {
        for (key, value) in
            crate::compose::read_env_file(file).map_err(|problem| anyhow::anyhow!(problem.0))?
        {
            service.environment.insert(key, Some(value));
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
