//! `compose watch`, and what `up --watch` does beside its containers.
//!
//! One thread waits for changes and does what they ask for, one after the other. `compose watch` has no other: a
//! signal ends it as any program. `up --watch` tells it by a descriptor that it is over.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use clap::{Args, FromArgMatches};

use super::down::restart_services;
use super::front::{Here, project, with_dependencies};
use super::up::bring;
use super::with_dry_run;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::life::{self, Context, Front as _, Member, Recreate, Up, label};
use crate::compose::watch::{self, Mapping, Notices, Rule};

/// `compose watch`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose watch"],
    about: "Watch build context for service and rebuild/refresh containers when files are updated",
    usage: "[OPTIONS] [SERVICE...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: |command| with_dry_run(WatchArgs::augment_args(command)),
    run: |matches, session| run(&WatchArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct WatchArgs {
    /// Do not build and start services before watching
    #[arg(long)]
    no_up: bool,
    /// Prune dangling images on rebuild
    #[arg(
        long,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    prune: bool,
    /// Hide build output
    #[arg(long)]
    quiet: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

fn run(args: &WatchArgs, session: &Session) -> Result<u8> {
    let mut context = project(session, &args.services)?;
    let services = with_dependencies(&context, &args.services)?;
    let rules = rules(&context, &services, true)?;
    let here = if args.no_up {
        Here::new(session)?
    } else {
        // What is watched is as its sources are.
        for service in context.project.services.values_mut() {
            if service.build.is_some() && !service.develop.watch.is_empty() {
                service.pull_policy = Some("build".to_owned());
            }
        }
        let wishes = Up { services: args.services.clone(), start: true, ..Up::default() };
        bring(session, &context, &wishes, args.quiet)?.0
    };
    if session.compose.dry_run {
        return Ok(0);
    }
    let log = |text: &str| {
        let _ = writeln!(std::io::stdout(), " ⦿ {text}");
    };
    let watching = Watching { here: &here, context: &context, rules, prune: args.prune, log: &log };
    watching.run(None, &|| {})?;
    Ok(0)
}

/// Returns what the services watch, and warns of what is not.
pub(super) fn rules(context: &Context, services: &[String], builds: bool) -> Result<Vec<Rule>> {
    let (rules, warnings) = watch::rules(context, services, builds)?;
    for warning in &warnings {
        super::warn(warning);
    }
    Ok(rules)
}

/// A project whose files are watched.
pub(super) struct Watching<'a> {
    pub(super) here: &'a Here,
    pub(super) context: &'a Context,
    pub(super) rules: Vec<Rule>,
    /// Whether images that others have replaced are removed.
    pub(super) prune: bool,
    pub(super) log: &'a (dyn Fn(&str) + Sync),
}

impl Watching<'_> {
    /// Watches until `stop` can be read, and does what changes ask for. `renewed` is called when containers have
    /// been started.
    pub(super) fn run(&self, stop: Option<BorrowedFd<'_>>, renewed: &dyn Fn()) -> Result<()> {
        let leaves_out = |path: &Path| self.rules.iter().all(|rule| rule.leaves_out(path));
        let roots: BTreeSet<PathBuf> =
            self.rules.iter().map(|rule| PathBuf::from(&rule.trigger.path)).collect();
        let roots: Vec<PathBuf> = roots.into_iter().collect();
        let mut notices = Notices::new(&roots, &leaves_out)?;
        for rule in self.rules.iter().filter(|rule| rule.trigger.initial_sync && rule.syncs()) {
            let files = watch::walk(Path::new(&rule.trigger.path), &|path| rule.leaves_out(path));
            let mappings: Vec<Mapping> = files.iter().filter_map(|path| rule.mapping(path)).collect();
            self.told(self.sync(&rule.service, &mappings));
        }
        (self.log)("Watch enabled");
        while let Some(changed) = notices.wait(stop)? {
            self.told(self.handle(&changed, renewed));
        }
        Ok(())
    }

    /// Says what went wrong; the next change may mend it.
    fn told(&self, done: Result<()>) {
        if let Err(error) = done {
            (self.log)(&format!("Error handling changed files: {error:#}"));
        }
    }

    fn handle(&self, changed: &BTreeSet<PathBuf>, renewed: &dyn Fn()) -> Result<()> {
        let work = watch::plan(&self.rules, changed);
        if !work.rebuild.is_empty() {
            let names: Vec<String> = work.rebuild.iter().cloned().collect();
            self.rebuild(&names)?;
            renewed();
        }
        for (service, mappings) in &work.sync {
            (self.log)(&format!(
                "Syncing service {service:?} after {} changes were detected",
                mappings.len()
            ));
            self.sync(service, mappings)?;
        }
        if !work.restart.is_empty() {
            let names: Vec<String> = work.restart.iter().cloned().collect();
            restart_services(self.here, &self.context.project.name, Some(self.context), &names, None, true)?;
            (self.log)(&format!("service(s) {} restarted", listed(&names)));
            renewed();
        }
        for rule in work.exec.iter().filter_map(|at| self.rules.get(*at)) {
            let Some(hook) = &rule.trigger.exec else { continue };
            for member in self.running(&rule.service)? {
                self.here.hook(member.id(), hook)?;
            }
        }
        Ok(())
    }

    fn rebuild(&self, names: &[String]) -> Result<()> {
        (self.log)(&format!("Rebuilding service(s) {} after changes were detected...", listed(names)));
        for name in names {
            if let Err(error) = self.here.build(self.context, name) {
                // What runs goes on.
                (self.log)(&format!("Build failed. Error: {error:#}"));
                return Ok(());
            }
        }
        (self.log)(&format!("service(s) {} successfully built", listed(names)));
        let mut context = self.context.clone();
        for name in names {
            if let Some(service) = context.project.services.get_mut(name) {
                // It has just been built.
                service.pull_policy = Some("never".to_owned());
            }
        }
        let wishes = Up {
            services: names.to_vec(),
            no_deps: true,
            recreate: Recreate::Always,
            start: true,
            ..Up::default()
        };
        life::up(&self.here.engine(), &context, &wishes).context("recreate services")?;
        if self.prune {
            let mut command = self.here.command();
            command.args(["image", "prune", "--force"]);
            command.arg(format!("--filter=label={}={}", label::PROJECT, self.context.project.name));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().context("prune images")?;
        }
        Ok(())
    }

    fn running(&self, service: &str) -> Result<Vec<Member>> {
        let mut found = life::observe(self.here.engine().store, &self.context.project.name)?;
        found.retain(|member| member.service == service && !member.one_off && member.is_running());
        Ok(found)
    }

    /// Puts files into the containers of a service, and takes away those that are gone.
    fn sync(&self, service: &str, mappings: &[Mapping]) -> Result<()> {
        for member in self.running(service)? {
            let mut command = self.here.command();
            command.args(["cp", "--quiet", "-", &format!("{}:/", member.id())]);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().context("copy into the container")?;
            let packed =
                child.stdin.take().map(|stdin| watch::archive(mappings, std::io::BufWriter::new(stdin)));
            let output = child.wait_with_output().context("copy into the container")?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                bail!("copy into {}: {}", member.name(), said.trim_end());
            }
            let gone = packed.transpose()?.unwrap_or_default();
            if !gone.is_empty() {
                let mut command = self.here.command();
                command.args(["exec", "--user=0", member.id(), "rm", "-rf", "--"]).args(gone);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
                let output = command.output().context("remove files from the container")?;
                if !output.status.success() {
                    let said = String::from_utf8_lossy(&output.stderr);
                    bail!("remove files from {}: {}", member.name(), said.trim_end());
                }
            }
        }
        Ok(())
    }
}

/// Shows names as Compose does: `["a" "b"]`.
fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", quoted.join(" "))
}
