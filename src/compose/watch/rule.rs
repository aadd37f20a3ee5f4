//! What a service watches, and what a change of a file asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::build::ignore::Ignore;
use crate::compose::life::Context;
use crate::compose::project::{Service, Watch};

/// Files that editors and tools make for a moment, and what no container wants.
const PASSING: &[&str] = &[
    "**/.git",
    "**/.idea",
    "**/*___jb_old___",
    "**/*___jb_tmp___",
    "**/.#*",
    "**/#*#",
    "**/4913",
    "**/*~",
    "**/.*.swp",
    "**/.*.swx",
    "**/.*.swo",
    "**/.*.swn",
    "**/*.kate-swp",
    "**/*-go-tmp-umask",
];

/// One of a service's `develop.watch`.
#[derive(Debug)]
pub struct Rule {
    /// The service.
    pub service: String,
    /// What it says.
    pub trigger: Watch,
    /// What is left out, each by its path below a directory.
    ignore: Vec<(PathBuf, Ignore)>,
    include: Option<Ignore>,
}

/// A file, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// On the host.
    pub host: PathBuf,
    /// In the container.
    pub inside: String,
}

/// What changes ask for, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Services whose images are built, and whose containers are made anew.
    pub rebuild: BTreeSet<String>,
    /// Files that go into the containers of services.
    pub sync: BTreeMap<String, Vec<Mapping>>,
    /// Services that are restarted.
    pub restart: BTreeSet<String>,
    /// Rules whose commands are run in the containers.
    pub exec: BTreeSet<usize>,
}

impl Rule {
    /// Tells whether files are copied into containers.
    pub fn syncs(&self) -> bool {
        matches!(self.trigger.action.as_str(), "sync" | "sync+restart" | "sync+exec")
    }

    /// Tells whether nothing at a path, or below it, is watched.
    pub fn leaves_out(&self, path: &Path) -> bool {
        let excluded = |(base, ignore): &(PathBuf, Ignore)| {
            let below = path.strip_prefix(base).ok().and_then(Path::to_str).filter(|below| !below.is_empty());
            below.is_some_and(|below| ignore.excluded(below))
        };
        !path.starts_with(&self.trigger.path) || self.ignore.iter().any(excluded)
    }

    /// Returns where a file goes, if the rule is about it.
    pub fn mapping(&self, path: &Path) -> Option<Mapping> {
        if self.leaves_out(path) {
            return None;
        }
        let below = path.strip_prefix(&self.trigger.path).ok()?.to_str()?;
        if let Some(include) = &self.include
            && !include.excluded(below)
        {
            return None;
        }
        let target = self.trigger.target.as_deref().unwrap_or_default().trim_end_matches('/');
        let inside = if below.is_empty() { target.to_owned() } else { format!("{target}/{below}") };
        Some(Mapping { host: path.to_owned(), inside })
    }
}

/// Makes work of changes.
pub fn plan(rules: &[Rule], changed: &BTreeSet<PathBuf>) -> Work {
    let mut work = Work::default();
    for path in changed {
        for (at, rule) in rules.iter().enumerate() {
            let Some(mapping) = rule.mapping(path) else { continue };
            let service = || rule.service.clone();
            if rule.syncs() {
                let mappings = work.sync.entry(service()).or_default();
                if !mappings.contains(&mapping) {
                    mappings.push(mapping);
                }
            }
            match rule.trigger.action.as_str() {
                "rebuild" => _ = work.rebuild.insert(service()),
                "restart" | "sync+restart" => _ = work.restart.insert(service()),
                "sync+exec" => _ = work.exec.insert(at),
                _ => {}
            }
        }
    }
    // A container that is made anew has the files already.
    for name in &work.rebuild {
        work.sync.remove(name);
        work.restart.remove(name);
    }
    work
}

/// Returns what the services watch, and what is to be said of it.
pub fn rules(context: &Context, services: &[String], builds: bool) -> Result<(Vec<Rule>, Vec<String>)> {
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    for name in services {
        let Some(service) = context.project.services.get(name) else { continue };
        for trigger in &service.develop.watch {
            if trigger.action == "rebuild" {
                if service.build.is_none() {
                    bail!("can't watch service {name:?} with action rebuild without a build context");
                }
                if !builds {
                    bail!("--no-build is incompatible with watch action rebuild in service {name}");
                }
            }
            let rule = rule(name, service, trigger)
                .with_context(|| format!("services.{name}.develop.watch: path {}", trigger.path))?;
            let bound = |source: &str| Path::new(&trigger.path).starts_with(source);
            if rule.syncs()
                && service
                    .volumes
                    .iter()
                    .any(|it| it.kind == "bind" && it.source.as_deref().is_some_and(bound))
            {
                warnings.push(format!(
                    "path '{}' also declared by a bind mount volume, this path won't be monitored!",
                    trigger.path
                ));
                continue;
            }
            found.push(rule);
        }
    }
    if found.is_empty() {
        bail!("none of the selected services is configured for watch, consider setting a 'develop' section");
    }
    Ok((found, warnings))
}

fn rule(name: &str, service: &Service, trigger: &Watch) -> Result<Rule> {
    let base = PathBuf::from(&trigger.path);
    let mut ignore = vec![(PathBuf::from("/"), Ignore::new(PASSING)?), (base, Ignore::new(&trigger.ignore)?)];
    if let Some(build) = service.build.as_ref().filter(|build| Path::new(&build.context).is_absolute()) {
        let context = PathBuf::from(&build.context);
        let file = context.join(build.dockerfile.as_deref().unwrap_or("Dockerfile"));
        let mut own = file.into_os_string();
        own.push(".dockerignore");
        let text = std::fs::read(&own).or_else(|_| std::fs::read(context.join(".dockerignore")));
        if let Ok(text) = text {
            ignore.push((context, Ignore::parse(&text)?));
        }
    }
    let include = if trigger.include.is_empty() { None } else { Some(Ignore::new(&trigger.include)?) };
    Ok(Rule { service: name.to_owned(), trigger: trigger.clone(), ignore, include })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(action: &str, path: &str, target: &str) -> Watch {
        Watch {
            path: path.to_owned(),
            action: action.to_owned(),
            target: Some(target.to_owned()),
            ..Watch::default()
        }
    }

    fn of(triggers: Vec<Watch>) -> Vec<Rule> {
        let service = Service::default();
        triggers.iter().map(|trigger| rule("web", &service, trigger).unwrap()).collect()
    }

    fn changed(paths: &[&str]) -> BTreeSet<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn maps_paths_below_the_one_that_is_watched() {
        let rules = of(vec![watch("sync", "/src/web", "/app/")]);
        let inside = |path: &str| rules[0].mapping(Path::new(path)).map(|mapping| mapping.inside);
        assert_eq!(inside("/src/web/a/b.js").as_deref(), Some("/app/a/b.js"));
        assert_eq!(inside("/src/web").as_deref(), Some("/app"));
        for path in ["/src/website/a", "/src/a", "/src/web/.git/HEAD", "/src/web/x/.a.swp", "/src/web/4913"] {
            assert_eq!(inside(path), None, "{path}");
        }
    }

    #[test]
    fn ignores_and_includes() {
        let mut trigger = watch("sync", "/src", "/app");
        trigger.ignore = vec!["node_modules/".to_owned(), "**/*.log".to_owned()];
        trigger.include = vec!["**/*.js".to_owned()];
        let rules = of(vec![trigger]);
        let is_meant = |path: &str| rules[0].mapping(Path::new(path)).is_some();
        assert!(is_meant("/src/a.js") && is_meant("/src/b/a.js"));
        for path in ["/src/a.ts", "/src/node_modules/a.js", "/src/a.log"] {
            assert!(!is_meant(path), "{path}");
        }
        assert!(rules[0].leaves_out(Path::new("/src/node_modules")));
    }

    #[test]
    fn makes_work_of_changes() {
        let rules = of(vec![
            watch("sync+restart", "/src", "/app"),
            watch("sync+exec", "/conf", "/etc/app"),
            watch("rebuild", "/src/package.json", ""),
        ]);
        let work = plan(&rules, &changed(&["/src/a", "/conf/b", "/else"]));
        assert_eq!(work.restart.len(), 1);
        assert_eq!(work.exec, [1].into());
        assert_eq!(work.sync["web"].len(), 2);
        // What is built anew is not copied to.
        let work = plan(&rules, &changed(&["/src/package.json"]));
        assert_eq!((work.rebuild.len(), work.sync.len(), work.restart.len()), (1, 0, 0));
    }

    #[test]
    fn refuses_what_cannot_be() {
        let mut context = Context::default();
        let mut service = Service::default();
        service.develop.watch = vec![watch("rebuild", "/src", "")];
        context.project.services.insert("web".to_owned(), service);
        let names = ["web".to_owned()];
        assert_eq!(
            rules(&context, &names, true).unwrap_err().to_string(),
            "can't watch service \"web\" with action rebuild without a build context"
        );
        assert!(
            rules(&context, &[], true)
                .unwrap_err()
                .to_string()
                .contains("consider setting a 'develop' section")
        );
    }
}
