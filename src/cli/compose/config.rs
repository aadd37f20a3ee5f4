//! `compose config`: the project as it is understood.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};
use clap::{Args, FromArgMatches};

use super::{load, with_dry_run};
use crate::cli::access::client_of;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::report::coded;
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::compose::{How, Loaded};
use crate::oci::Reference;

/// `compose config`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["compose config", "compose convert"],
    about: "Parse, resolve and render compose file in canonical format",
    usage: "[OPTIONS] [SERVICE...]",
    rules: Rules { arity: Arity::AtLeast(0), interspersed: true, absent: &[] },
    define: |command| with_dry_run(ConfigArgs::augment_args(command)),
    run: |matches, session| run(&ConfigArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Print the environment that variables are taken from
    #[arg(long)]
    environment: bool,
    /// Format the output ("yaml" or "json")
    #[arg(long, value_name = "string", default_value = "yaml")]
    format: String,
    /// Print the hash of a service's configuration, one a line ("*" for all)
    #[arg(long, value_name = "string")]
    hash: Option<String>,
    /// Print the names of the images, one a line
    #[arg(long)]
    images: bool,
    /// Print a file that puts digests in place of tags
    #[arg(long)]
    lock_image_digests: bool,
    /// Print the names of the models, one a line
    #[arg(long)]
    models: bool,
    /// Print the names of the networks, one a line
    #[arg(long)]
    networks: bool,
    /// Do not check that what is named is there
    #[arg(long)]
    no_consistency: bool,
    /// Do not read the files of variables of services
    #[arg(long)]
    no_env_resolution: bool,
    /// Do not put in variables
    #[arg(long)]
    no_interpolate: bool,
    /// Do not put in defaults
    #[arg(long)]
    no_normalize: bool,
    /// Do not make paths absolute
    #[arg(long)]
    no_path_resolution: bool,
    /// Write to a file
    #[arg(long, short, value_name = "string")]
    output: Option<String>,
    /// Print the names of the profiles, one a line
    #[arg(long)]
    profiles: bool,
    /// Only check the files
    #[arg(long, short)]
    quiet: bool,
    /// Put digests in place of tags
    #[arg(long)]
    resolve_image_digests: bool,
    /// Print the names of the services, one a line
    #[arg(long)]
    services: bool,
    /// Print the variables that the files use
    #[arg(long)]
    variables: bool,
    /// Print the names of the volumes, one a line
    #[arg(long)]
    volumes: bool,
    /// Services
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

fn run(args: &ConfigArgs, session: &Session) -> Result<u8> {
    let how = How {
        interpolate: !args.no_interpolate,
        resolve_paths: !args.no_path_resolution,
        normalize: !args.no_normalize,
        check: !args.no_consistency,
        read_env_files: !args.no_env_resolution,
    };
    let mut loaded = load(session, how, &args.names)?;
    for name in &args.names {
        if !loaded.all_services.contains(name) {
            return Err(coded(1, format!("no such service: {name}")));
        }
    }
    if args.quiet {
        return Ok(0);
    }
    let text = if let Some(text) = listed(args, &loaded)? {
        text
    } else if args.lock_image_digests {
        let lines = pin(&loaded, session)?.into_iter();
        lines.fold("services:\n".to_owned(), |text, (name, image)| {
            format!("{text}  {name}:\n    image: {image}\n")
        })
    } else {
        if args.resolve_image_digests {
            for (name, image) in pin(&loaded, session)? {
                loaded.set_image(&name, &image);
            }
        }
        if !args.names.is_empty() {
            let wanted = with_dependencies(&loaded, &args.names);
            loaded.keep(&wanted);
        }
        match args.format.as_str() {
            "yaml" => loaded.yaml(),
            "json" => loaded.json(),
            other => bail!("unsupported format {other:?}"),
        }
    };
    match &args.output {
        Some(path) => fs::write(path, text).with_context(|| format!("write {path}"))?,
        None => Session::print(&text)?,
    }
    Ok(0)
}

/// Answers what asks for names alone.
fn listed(args: &ConfigArgs, loaded: &Loaded) -> Result<Option<String>> {
    let project = &loaded.project;
    let lines = |names: Vec<String>| names.into_iter().fold(String::new(), |text, name| text + &name + "\n");
    let in_order = || dependency_order(loaded);
    Ok(Some(if args.services {
        lines(in_order())
    } else if args.volumes {
        lines(project.volumes.keys().cloned().collect())
    } else if args.models {
        lines(loaded.models())
    } else if args.networks {
        lines(project.networks.keys().cloned().collect())
    } else if let Some(wanted) = &args.hash {
        let mut text = String::new();
        let wanted: Vec<String> =
            if wanted == "*" { in_order() } else { wanted.split(',').map(str::to_owned).collect() };
        for name in wanted {
            let Some(service) = project.services.get(&name) else {
                return Err(coded(1, format!("no such service: {name}")));
            };
            let _ = writeln!(text, "{name} {}", service.hash);
        }
        text
    } else if args.profiles {
        lines(loaded.profiles.clone())
    } else if args.images {
        let wanted = |name: &String| args.names.is_empty() || args.names.contains(name);
        let images = project.services.iter().filter(|(name, _)| wanted(name));
        lines(images.map(|(name, service)| service.image_name(&project.name, name)).collect())
    } else if args.environment {
        lines(loaded.variables.iter().map(|(name, value)| format!("{name}={value}")).collect())
    } else if args.variables {
        let heads = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"].map(str::to_owned);
        table(&[vec![heads], loaded.variables_used()].concat())
    } else {
        return Ok(None);
    }))
}

fn table(rows: &[[String; 4]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0) + 4;
    let (name, required, default) = (width(0), width(1), width(2));
    rows.iter().fold(String::new(), |text, row| {
        let line = format!("{:name$}{:required$}{:default$}{}", row[0], row[1], row[2], row[3]);
        text + line.trim_end() + "\n"
    })
}

/// Returns the services, each after what it depends on.
fn dependency_order(loaded: &Loaded) -> Vec<String> {
    with_dependencies(loaded, &loaded.project.services.keys().cloned().collect::<Vec<_>>())
}

/// Returns services with all that they depend on, dependencies first.
fn with_dependencies(loaded: &Loaded, names: &[String]) -> Vec<String> {
    fn add(name: &str, loaded: &Loaded, found: &mut Vec<String>, depth: usize) {
        if found.iter().any(|known| known == name) || depth > 1000 {
            return;
        }
        if let Some(service) = loaded.project.services.get(name) {
            for other in service.depends_on.keys() {
                add(other, loaded, found, depth + 1);
            }
            found.push(name.to_owned());
        }
    }
    let mut found = Vec::new();
    for name in names {
        add(name, loaded, &mut found, 0);
    }
    found
}

/// Returns the images of services with the digests that registries have for their tags.
fn pin(loaded: &Loaded, session: &Session) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for (name, service) in &loaded.project.services {
        let Some(image) = &service.image else { continue };
        let reference = Reference::parse(image)
            .map_err(|error| anyhow::anyhow!("services.{name}.image: {error}"))?
            .with_default_tag();
        if reference.digest().is_some() {
            found.push((name.clone(), image.clone()));
            continue;
        }
        let client = client_of(session, &reference)?;
        let of_pull = |error: crate::registry::Error| anyhow::anyhow!(error.of_pull(&reference));
        let digest = match client.head_manifest(&reference).map_err(of_pull)? {
            Some(digest) => digest,
            None => client.manifest(&reference).map_err(of_pull)?.digest,
        };
        found.push((name.clone(), reference.with_digest(digest).to_string()));
    }
    Ok(found)
}
