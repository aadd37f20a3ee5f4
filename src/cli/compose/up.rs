//! `compose up`, `create` and `scale`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, FromArgMatches};

use super::follow::{Fate, Following, follow};
use super::front::{Here, known, project, warn_without_effect, with_dependencies};
use super::watch::rules;
use super::with_dry_run;
use crate::cli::grammar::{Arity, Rules, integer};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::life::{self, Context, Pull, Recreate, Up};

/// `compose up`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose up"],
    about: "Create and start containers",
    usage: "[OPTIONS] [SERVICE...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: |command| with_dry_run(UpArgs::augment_args(command)),
    run: |matches, session| run(&UpArgs::from_arg_matches(matches)?, session),
};

/// `compose create`
pub(in crate::cli) const CREATE: Spec = Spec {
    paths: &["compose create"],
    about: "Creates containers for a service",
    usage: "[OPTIONS] [SERVICE...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: |command| with_dry_run(MakeArgs::augment_args(command)),
    run: |matches, session| {
        let args = MakeArgs::from_arg_matches(matches)?;
        let wishes = args.wishes(false)?;
        bring(session, &project(session, &wishes.services)?, &wishes, args.quiet_build)?;
        Ok(0)
    },
};

/// `compose scale`
pub(in crate::cli) const SCALE: Spec = Spec {
    paths: &["compose scale"],
    about: "Scale services",
    usage: "[OPTIONS] [SERVICE=REPLICAS...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: |command| with_dry_run(ScaleArgs::augment_args(command)),
    run: |matches, session| {
        let args = ScaleArgs::from_arg_matches(matches)?;
        let scale = read_scale(&args.wishes)?;
        let services: Vec<String> = scale.keys().cloned().collect();
        let context = project(session, &services)?;
        bring(
            session,
            &context,
            &Up { services, scale, no_deps: args.no_deps, start: true, ..Up::default() },
            false,
        )?;
        Ok(0)
    },
};

/// What `up` and `create` have in common.
#[derive(Debug, Args)]
struct MakeArgs {
    /// Build images before starting containers
    #[arg(long)]
    build: bool,
    /// Make containers anew even if nothing has changed
    #[arg(long)]
    force_recreate: bool,
    /// Do not build an image, even if it is missing
    #[arg(long)]
    no_build: bool,
    /// Leave containers that exist as they are
    #[arg(long)]
    no_recreate: bool,
    /// Pull image before running ("always"|"missing"|"never"|"build")
    #[arg(long, value_name = "string")]
    pull: Option<String>,
    /// Build without printing progress
    #[arg(long)]
    quiet_build: bool,
    /// Pull without printing progress
    #[arg(long)]
    quiet_pull: bool,
    /// Remove containers of services that the files do not define
    #[arg(long)]
    remove_orphans: bool,
    /// Number of containers of a service (SERVICE=NUM)
    #[arg(long, value_name = "stringArray")]
    scale: Vec<String>,
    /// Answer yes to every question; there are none
    #[arg(long, short)]
    yes: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl MakeArgs {
    fn wishes(&self, start: bool) -> Result<Up> {
        if self.build && self.no_build {
            bail!("--build and --no-build are incompatible");
        }
        let pull = self.pull.as_deref().map_or(Ok(None), read_pull)?;
        Ok(Up {
            services: self.services.clone(),
            scale: read_scale(&self.scale)?,
            recreate: match (self.force_recreate, self.no_recreate) {
                (true, true) => bail!("--force-recreate and --no-recreate are incompatible"),
                (true, false) => Recreate::Always,
                (false, true) => Recreate::Never,
                (false, false) => Recreate::Changed,
            },
            remove_orphans: self.remove_orphans,
            build: self.build,
            no_build: self.no_build,
            pull,
            quiet_pull: self.quiet_pull,
            start,
            ..Up::default()
        })
    }
}

#[derive(Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    make: MakeArgs,
    /// Stop all containers if one of them ends; not with --detach
    #[arg(long)]
    abort_on_container_exit: bool,
    /// Stop all containers if one of them fails; not with --detach
    #[arg(long)]
    abort_on_container_failure: bool,
    /// Also make those anew that others depend on; not with --no-recreate
    #[arg(long)]
    always_recreate_deps: bool,
    /// Only show the output of these services
    #[arg(long, value_name = "stringArray")]
    attach: Vec<String>,
    /// Also show the output of services that others depend on
    #[arg(long)]
    attach_dependencies: bool,
    /// Run in the background
    #[arg(long, short)]
    detach: bool,
    /// Return the exit code of this service's container; implies --abort-on-container-exit
    #[arg(long, value_name = "string")]
    exit_code_from: Option<String>,
    /// Refused: there is no menu
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    menu: bool,
    /// Do not show the output of these services
    #[arg(long, value_name = "stringArray")]
    no_attach: Vec<String>,
    /// Print in one colour
    #[arg(long)]
    no_color: bool,
    /// Do not start services that others depend on
    #[arg(long)]
    no_deps: bool,
    /// Do not print the container's name before each line
    #[arg(long)]
    no_log_prefix: bool,
    /// Create, and do not start
    #[arg(long)]
    no_start: bool,
    /// Make unnamed volumes anew instead of keeping those of earlier containers
    #[arg(long, short = 'V')]
    renew_anon_volumes: bool,
    /// Seconds that containers have to stop
    #[arg(long, short, value_name = "int", value_parser = integer)]
    timeout: Option<i64>,
    /// Show the time of each line
    #[arg(long)]
    timestamps: bool,
    /// Wait until services run or are healthy; implies --detach
    #[arg(long)]
    wait: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "int", value_parser = integer)]
    wait_timeout: Option<i64>,
    /// Watch sources, and rebuild or refresh containers when they change
    #[arg(long, short)]
    watch: bool,
}

#[derive(Debug, Args)]
struct ScaleArgs {
    /// Do not start services that others depend on
    #[arg(long)]
    no_deps: bool,
    /// SERVICE=REPLICAS
    #[arg(value_name = "SERVICE=REPLICAS")]
    wishes: Vec<String>,
}

fn run(args: &UpArgs, session: &Session) -> Result<u8> {
    let aborts =
        args.abort_on_container_exit || args.abort_on_container_failure || args.exit_code_from.is_some();
    let detach = args.detach || args.wait;
    if args.menu {
        bail!("--menu: there is no menu");
    }
    if detach && (aborts || !args.attach.is_empty() || args.attach_dependencies || args.watch) {
        bail!(
            "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, \
             --attach-dependencies or --watch"
        );
    }
    let mut wishes = args.make.wishes(!args.no_start)?;
    if args.always_recreate_deps && wishes.recreate == Recreate::Never {
        bail!("--always-recreate-deps and --no-recreate are incompatible");
    }
    wishes.no_deps = args.no_deps;
    wishes.recreate_deps = args.always_recreate_deps;
    wishes.renew_volumes = args.renew_anon_volumes;
    wishes.timeout = args.timeout;
    if args.wait {
        let limit = args.wait_timeout.and_then(|seconds| u64::try_from(seconds).ok()).filter(|it| *it > 0);
        wishes.wait = Some(limit.map(Duration::from_secs));
    }
    let context = project(session, &wishes.services)?;
    if let Some(service) = &args.exit_code_from {
        known(&context, service)?;
    }
    let rules = if args.watch {
        let services = with_dependencies(&context, &wishes.services)?;
        Some(rules(&context, &services, !wishes.no_build)?)
    } else {
        None
    };
    let (here, started) = bring(session, &context, &wishes, args.make.quiet_build)?;
    if detach || args.no_start || session.compose.dry_run {
        return Ok(0);
    }
    let shown = |name: &String| {
        if !args.attach.is_empty() {
            return args.attach.contains(name);
        }
        let meant = wishes.services.is_empty() || args.attach_dependencies || wishes.services.contains(name);
        let quiet = context.project.services.get(name).is_some_and(|service| service.attach == Some(false));
        meant && !quiet && !args.no_attach.contains(name)
    };
    let engine = here.engine();
    let members = life::observe(engine.store, &context.project.name)?;
    let members: Vec<_> =
        members.into_iter().filter(|it| started.contains(&it.service) && !it.one_off).collect();
    let fate = match &args.exit_code_from {
        Some(service) => Fate::Service(service.clone()),
        None if args.abort_on_container_exit => Fate::First,
        None if args.abort_on_container_failure => Fate::FirstFailure,
        None => Fate::All,
    };
    let following = Following {
        shown: started.iter().filter(|name| shown(name)).cloned().collect(),
        colour: !args.no_color && session.compose.ansi != "never",
        prefix: !args.no_log_prefix,
        timestamps: args.timestamps,
        timeout: args.timeout,
        fate,
    };
    follow(&here, &context, &members, &following, rules)
}

/// Brings a project up.
pub(super) fn bring(
    session: &Session,
    context: &Context,
    wishes: &Up,
    quiet_build: bool,
) -> Result<(Here, Vec<String>)> {
    for name in wishes.scale.keys() {
        known(context, name)?;
    }
    warn_without_effect(context);
    let mut here = Here::new(session)?;
    here.build.quiet = quiet_build;
    let started = life::up(&here.engine(), context, wishes).map_err(crate::cli::report::response)?;
    Ok((here, started))
}

/// Reads the word of `--pull`; nothing if services say it themselves.
pub(super) fn read_pull(word: &str) -> Result<Option<Pull>> {
    match word {
        "" | "policy" => Ok(None),
        "always" | "missing" | "if_not_present" | "never" | "build" => Ok(Pull::read(word)),
        _ => bail!("invalid --pull option {word:?}: there are always, missing, never and build"),
    }
}

/// Reads `SERVICE=NUM` words.
fn read_scale(words: &[String]) -> Result<BTreeMap<String, u32>> {
    let mut scale = BTreeMap::new();
    for word in words {
        match word.split_once('=').map(|(name, count)| (name, count.parse())) {
            Some((name, Ok(count))) => scale.insert(name.to_owned(), count),
            _ => bail!("invalid --scale option {word:?}. Should be SERVICE=NUM"),
        };
    }
    Ok(scale)
}
