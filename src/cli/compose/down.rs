//! `compose down`, `stop`, `start`, `restart`, `kill`, `pause`, `unpause` and `rm`.

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches};

use super::front::{Here, project_or_name};
use super::with_dry_run;
use crate::cli::grammar::{Arity, Rules, integer};
use crate::cli::prune::confirm;
use crate::cli::report::{coded, response};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::life::{self, Act, Context, Down, Member, Up};

const ANY: Rules = Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] };

/// `compose down`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose down"],
    about: "Stop and remove containers, networks",
    usage: "[OPTIONS] [SERVICES]",
    rules: ANY,
    define: |command| with_dry_run(DownArgs::augment_args(command)),
    run: |matches, session| down(&DownArgs::from_arg_matches(matches)?, session),
};

/// `compose start`
pub(in crate::cli) const START: Spec = Spec {
    paths: &["compose start"],
    about: "Start services",
    usage: "[SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(StartArgs::augment_args(command)),
    run: |matches, session| start(&StartArgs::from_arg_matches(matches)?, session),
};

/// `compose stop`
pub(in crate::cli) const STOP: Spec = Spec {
    paths: &["compose stop"],
    about: "Stop services",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(TimedArgs::augment_args(command)),
    run: |matches, session| {
        let args = TimedArgs::from_arg_matches(matches)?;
        act(session, &args.services, &Act::Stop { timeout: args.timeout })
    },
};

/// `compose restart`
pub(in crate::cli) const RESTART: Spec = Spec {
    paths: &["compose restart"],
    about: "Restart service containers",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(RestartArgs::augment_args(command)),
    run: |matches, session| restart(&RestartArgs::from_arg_matches(matches)?, session),
};

/// `compose kill`
pub(in crate::cli) const KILL: Spec = Spec {
    paths: &["compose kill"],
    about: "Force stop service containers",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(KillArgs::augment_args(command)),
    run: |matches, session| {
        let args = KillArgs::from_arg_matches(matches)?;
        let act_of_kill = Act::Kill { signal: args.signal.clone() };
        if !args.remove_orphans {
            return act(session, &args.services, &act_of_kill);
        }
        let (name, _) = project_or_name(session, &args.services)?;
        let here = Here::new(session)?;
        let found = members(&here, &name, None, &args.services)?;
        life::act(&here.engine(), None, &found, &act_of_kill).map_err(response)?;
        Ok(0)
    },
};

/// `compose pause`
pub(in crate::cli) const PAUSE: Spec = Spec {
    paths: &["compose pause"],
    about: "Pause services",
    usage: "[SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(ServiceArgs::augment_args(command)),
    run: |matches, session| act(session, &ServiceArgs::from_arg_matches(matches)?.services, &Act::Pause),
};

/// `compose unpause`
pub(in crate::cli) const UNPAUSE: Spec = Spec {
    paths: &["compose unpause"],
    about: "Unpause services",
    usage: "[SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(ServiceArgs::augment_args(command)),
    run: |matches, session| act(session, &ServiceArgs::from_arg_matches(matches)?.services, &Act::Unpause),
};

/// `compose rm`
pub(in crate::cli) const RM: Spec = Spec {
    paths: &["compose rm"],
    about: "Removes stopped service containers",
    usage: "[OPTIONS] [SERVICE...]",
    rules: ANY,
    define: |command| with_dry_run(RmArgs::augment_args(command)),
    run: |matches, session| rm(&RmArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct DownArgs {
    /// Remove containers of services that the files do not define
    #[arg(long)]
    remove_orphans: bool,
    /// Remove images used by services ("local": those without a name of their own, "all")
    #[arg(long, value_name = "string", default_value = "")]
    rmi: String,
    /// Seconds that containers have to stop
    #[arg(long, short, value_name = "int", value_parser = integer)]
    timeout: Option<i64>,
    /// Remove the volumes of the project, and unnamed ones of its containers
    #[arg(long, short)]
    volumes: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct ServiceArgs {
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct StartArgs {
    /// Wait until services run or are healthy
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "int", value_parser = integer)]
    wait_timeout: Option<i64>,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct TimedArgs {
    /// Seconds that containers have to stop
    #[arg(long, short, value_name = "int", value_parser = integer)]
    timeout: Option<i64>,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct RestartArgs {
    #[command(flatten)]
    timed: TimedArgs,
    /// Do not restart services that depend on those (depends_on with restart)
    #[arg(long)]
    no_deps: bool,
}

#[derive(Debug, Args)]
struct KillArgs {
    /// Also kill containers of services that the files do not define
    #[arg(long)]
    remove_orphans: bool,
    /// Signal to send
    #[arg(long, short, value_name = "string", default_value = "SIGKILL")]
    signal: String,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Do not ask
    #[arg(long, short)]
    force: bool,
    /// Stop the containers first
    #[arg(long, short)]
    stop: bool,
    /// Remove their unnamed volumes, too
    #[arg(long, short)]
    volumes: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

fn down(args: &DownArgs, session: &Session) -> Result<u8> {
    let (name, context) = project_or_name(session, &args.services)?;
    let here = Here::new(session)?;
    let options = Down {
        services: args.services.clone(),
        remove_orphans: args.remove_orphans,
        volumes: args.volumes,
        images: args.rmi.parse()?,
        timeout: args.timeout,
    };
    let ancestor = std::cell::OnceCell::new();
    let enter = || {
        let (entered, _) = crate::cli::pull::enter(session)?;
        let _ = ancestor.set(entered);
        Ok(())
    };
    life::down(&here.engine(), &name, context.as_ref(), &options, &enter).map_err(response)?;
    Ok(0)
}

/// Returns the containers of a project's services, all or those that are named.
pub(super) fn members(
    here: &Here,
    name: &str,
    context: Option<&Context>,
    services: &[String],
) -> Result<Vec<Member>> {
    let all = life::observe(here.engine().store, name)?;
    for service in services {
        let there = all.iter().any(|member| member.service == *service);
        let defined = context.is_some_and(|context| context.all_services.contains(service));
        if !there && !defined {
            return Err(coded(1, format!("no such service: {service}")));
        }
    }
    let wanted = |member: &Member| {
        if services.is_empty() {
            !member.one_off && context.is_none_or(|context| context.all_services.contains(&member.service))
        } else {
            !member.one_off && services.contains(&member.service)
        }
    };
    Ok(all.into_iter().filter(wanted).collect())
}

fn act(session: &Session, services: &[String], act: &Act) -> Result<u8> {
    let (name, context) = project_or_name(session, services)?;
    let here = Here::new(session)?;
    let members = members(&here, &name, context.as_ref(), services)?;
    life::act(&here.engine(), context.as_ref(), &members, act).map_err(response)?;
    Ok(0)
}

fn restart(args: &RestartArgs, session: &Session) -> Result<u8> {
    let named = &args.timed.services;
    let (name, context) = project_or_name(session, named)?;
    let here = Here::new(session)?;
    restart_services(&here, &name, context.as_ref(), named, args.timed.timeout, !args.no_deps)?;
    Ok(0)
}

/// Restarts the containers of services, and of those that follow their restarts.
pub(super) fn restart_services(
    here: &Here,
    name: &str,
    context: Option<&Context>,
    named: &[String],
    timeout: Option<i64>,
    with_followers: bool,
) -> Result<()> {
    let found = members(here, name, context, named)?;
    if found.is_empty() {
        return Err(coded(1, format!("no container found for project {name:?}: not found")));
    }
    let engine = here.engine();
    let act = Act::Restart { timeout };
    life::act(&engine, context, &found, &act).map_err(response)?;
    let followers = match context {
        Some(context) if with_followers => followers(context, named),
        _ => Vec::new(),
    };
    if !followers.is_empty() {
        let found = members(here, name, context, &followers)?;
        life::act(&engine, context, &found, &act).map_err(response)?;
    }
    Ok(())
}

/// Returns the services that are restarted when those that are named are, directly or by another.
fn followers(context: &Context, named: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let is_known = |name: &String, found: &[String]| named.contains(name) || found.contains(name);
        let next = context.project.services.iter().find(|(name, service)| {
            !is_known(name, &found)
                && service.depends_on.iter().any(|(other, it)| it.restart && is_known(other, &found))
        });
        match next {
            Some((name, _)) => found.push(name.clone()),
            None => return found,
        }
    }
}

fn start(args: &StartArgs, session: &Session) -> Result<u8> {
    let (name, context) = project_or_name(session, &args.services)?;
    let here = Here::new(session)?;
    let members = members(&here, &name, context.as_ref(), &args.services)?;
    if let Some(member) = args.services.iter().find(|it| !members.iter().any(|member| member.service == **it))
    {
        return Err(coded(1, format!("service {member:?} has no container to start")));
    }
    match &context {
        // What is there, in order and with all conditions.
        Some(context) => {
            let limit =
                args.wait_timeout.and_then(|seconds| u64::try_from(seconds).ok()).filter(|it| *it > 0);
            let wait = args.wait.then(|| limit.map(std::time::Duration::from_secs));
            life::start_present(&here.engine(), context, &members, &Up { wait, ..Up::default() })
                .map_err(response)?;
        }
        None => life::act(&here.engine(), None, &members, &Act::Start).map_err(response)?,
    }
    Ok(0)
}

fn rm(args: &RmArgs, session: &Session) -> Result<u8> {
    let (name, context) = project_or_name(session, &args.services)?;
    let here = Here::new(session)?;
    let engine = here.engine();
    let mut found = members(&here, &name, context.as_ref(), &args.services)?;
    if args.stop {
        life::act(&engine, context.as_ref(), &found, &Act::Stop { timeout: None }).map_err(response)?;
    } else {
        found.retain(|member| !member.summary.status.is_active());
    }
    if found.is_empty() {
        Session::note("No stopped containers");
        return Ok(0);
    }
    let names: Vec<&str> = found.iter().map(Member::name).collect();
    if !args.force
        && !session.compose.dry_run
        && !confirm(&format!("? Going to remove {}", names.join(", ")))?
    {
        bail!("nothing was removed");
    }
    life::remove_all(&engine, &found, args.volumes).map_err(response)?;
    Ok(0)
}
