//! `manifest create`, `annotate`, `inspect`, `push` and `rm`

use anyhow::{Result, anyhow, bail};
use clap::{Args, FromArgMatches};

use super::access::access;
use super::grammar::{Arity, Rules};
use super::session::Session;
use super::tree::Spec;
use crate::image::manifests::{self, Annotation, Lists, Seen};
use crate::image::remote::Registries;
use crate::oci::Reference;
use crate::registry::Client;

/// `manifest create`
pub(super) const CREATE: Spec = Spec {
    paths: &["manifest create"],
    about: "Create a local manifest list for annotating and pushing to a registry",
    usage: "MANIFEST_LIST MANIFEST [MANIFEST...]",
    rules: Rules { arity: Arity::AtLeast(2), interspersed: true, absent: &[] },
    define: CreateArgs::augment_args,
    run: |matches, session| create(&CreateArgs::from_arg_matches(matches)?, session),
};

/// `manifest annotate`
pub(super) const ANNOTATE: Spec = Spec {
    paths: &["manifest annotate"],
    about: "Add additional information to a local image manifest",
    usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
    rules: Rules { arity: Arity::Exactly(2), interspersed: true, absent: &[] },
    define: AnnotateArgs::augment_args,
    run: |matches, session| annotate(&AnnotateArgs::from_arg_matches(matches)?, session),
};

/// `manifest inspect`
pub(super) const INSPECT: Spec = Spec {
    paths: &["manifest inspect"],
    about: "Display an image manifest, or manifest list",
    usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    rules: Rules { arity: Arity::Between(1, 2), interspersed: true, absent: &[] },
    define: InspectArgs::augment_args,
    run: |matches, session| inspect(&InspectArgs::from_arg_matches(matches)?, session),
};

/// `manifest push`
pub(super) const PUSH: Spec = Spec {
    paths: &["manifest push"],
    about: "Push a manifest list to a repository",
    usage: "[OPTIONS] MANIFEST_LIST",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: PushArgs::augment_args,
    run: |matches, session| push(&PushArgs::from_arg_matches(matches)?, session),
};

/// `manifest rm`
pub(super) const RM: Spec = Spec {
    paths: &["manifest rm"],
    about: "Delete one or more manifest lists from local storage",
    usage: "MANIFEST_LIST [MANIFEST_LIST...]",
    rules: Rules { arity: Arity::AtLeast(1), interspersed: true, absent: &[] },
    define: RmArgs::augment_args,
    run: |matches, session| rm(&RmArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct CreateArgs {
    /// Amend an existing manifest list
    #[arg(long, short)]
    amend: bool,
    /// Allow communication with an insecure registry
    #[arg(long)]
    insecure: bool,
    /// List
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
    /// Manifests
    #[arg(value_name = "MANIFEST")]
    manifests: Vec<String>,
}

#[derive(Debug, Args)]
struct AnnotateArgs {
    /// Set architecture
    #[arg(long, value_name = "string", default_value = "", hide_default_value = true)]
    arch: String,
    /// Set operating system
    #[arg(long, value_name = "string", default_value = "", hide_default_value = true)]
    os: String,
    /// Set operating system feature
    #[arg(long, value_name = "strings", value_delimiter = ',')]
    os_features: Vec<String>,
    /// Set operating system version
    #[arg(long, value_name = "string", default_value = "", hide_default_value = true)]
    os_version: String,
    /// Set architecture variant
    #[arg(long, value_name = "string", default_value = "", hide_default_value = true)]
    variant: String,
    /// List
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
    /// Manifest
    #[arg(value_name = "MANIFEST")]
    manifest: String,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// Allow communication with an insecure registry
    #[arg(long)]
    insecure: bool,
    /// Output additional info including layers and platform
    #[arg(long, short)]
    verbose: bool,
    /// List, then the manifest; or one of them
    #[arg(value_name = "MANIFEST")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct PushArgs {
    /// Allow push to an insecure registry
    #[arg(long)]
    insecure: bool,
    /// Remove the local manifest list after push
    #[arg(long, short)]
    purge: bool,
    /// List
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// Lists
    #[arg(value_name = "MANIFEST_LIST")]
    lists: Vec<String>,
}

/// Reads a name; without tag and digest it means `latest`.
pub(super) fn named(text: &str) -> Result<Reference> {
    Ok(Reference::parse(text)?.with_default_tag())
}

/// Makes the connections that a command needs, with the user's credentials.
pub(super) fn registries(session: &Session, insecure: bool) -> Registries<'_> {
    Registries::new(move |reference| {
        let mut access = access(session, reference)?;
        if insecure {
            access.insecure.push(reference.domain().to_owned());
        }
        Ok(Client::new(access))
    })
}

fn no_such(list: &Reference) -> anyhow::Error {
    anyhow!("No such manifest: {list}")
}

fn create(args: &CreateArgs, session: &Session) -> Result<u8> {
    let list = named(&args.list)
        .map_err(|error| anyhow!("error parsing name for manifest list {}: {error}", args.list))?;
    let manifests = args.manifests.iter().map(|name| named(name)).collect::<Result<Vec<_>>>()?;
    let registries = registries(session, args.insecure);
    Lists::of(session.store()?).create(&registries, &list, &manifests, args.amend)?;
    Session::print(&format!("Created manifest list {list}\n"))?;
    Ok(0)
}

fn annotate(args: &AnnotateArgs, session: &Session) -> Result<u8> {
    let list = named(&args.list)
        .map_err(|error| anyhow!("annotate: error parsing name for manifest list {}: {error}", args.list))?;
    let manifest = named(&args.manifest)
        .map_err(|error| anyhow!("annotate: error parsing name for manifest {}: {error}", args.manifest))?;
    let change = Annotation {
        os: args.os.clone(),
        architecture: args.arch.clone(),
        os_version: args.os_version.clone(),
        os_features: args.os_features.clone(),
        variant: args.variant.clone(),
    };
    if !Lists::of(session.store()?).annotate(&list, &manifest, &change)? {
        bail!("manifest for image {} does not exist in {}", args.manifest, args.list);
    }
    Ok(0)
}

fn inspect(args: &InspectArgs, session: &Session) -> Result<u8> {
    let lists = Lists::of(session.store()?);
    let tell = |member: manifests::Member| {
        if args.verbose { manifests::details(&[member], false) } else { member.text() }
    };
    let text = match args.names.as_slice() {
        [name] => {
            let name = named(name)?;
            match lists.load(&name)? {
                Some(members) if args.verbose => manifests::details(&members, true)?,
                Some(members) => manifests::listing(&name, &members)?,
                None => match manifests::look(&registries(session, args.insecure), &name, args.verbose)? {
                    Seen::Manifest(member) => tell(*member)?,
                    Seen::Listing(_, members) if args.verbose => manifests::details(&members, true)?,
                    Seen::Listing(listing, _) => listing.text("   ")?,
                },
            }
        }
        [list, manifest] => {
            let (list, manifest) = (named(list)?, named(manifest)?);
            tell(lists.member(&list, &manifest)?.ok_or_else(|| no_such(&manifest))?)?
        }
        _ => bail!("manifest inspect takes a manifest, or a list and one of its manifests"),
    };
    Session::print(&format!("{text}\n"))?;
    Ok(0)
}

fn push(args: &PushArgs, session: &Session) -> Result<u8> {
    let list = named(&args.list)?;
    let lists = Lists::of(session.store()?);
    let members = lists.load(&list)?.ok_or_else(|| no_such(&list))?;
    let registries = registries(session, args.insecure);
    let digest = lists.push(&registries, &list, &members, |line| Session::print(&format!("{line}\n")))?;
    Session::print(&format!("{digest}\n"))?;
    if args.purge {
        lists.remove(&list)?;
    }
    Ok(0)
}

fn rm(args: &RmArgs, session: &Session) -> Result<u8> {
    let lists = Lists::of(session.store()?);
    let mut errors = Vec::new();
    for name in &args.lists {
        let removed =
            named(name).and_then(|list| if lists.remove(&list)? { Ok(()) } else { Err(no_such(&list)) });
        errors.extend(removed.err().map(|error| format!("{error:#}")));
    }
    if errors.is_empty() { Ok(0) } else { Err(anyhow!(errors.join("\n"))) }
}
