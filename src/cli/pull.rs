//! `pull`: an image from a registry.
//!
//! Pulling unpacks, and unpacking is done as root of the ancestor user namespace, which a process cannot leave
//! again. So `run` and `create` have a process of its own do it: this program in the role [`ROLE`], which
//! reports on its standard error and says on its standard output what went wrong.

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use clap::FromArgMatches;

use super::access::client_of;
use super::grammar::{Arity, Rules};
use super::progress::{Out, Reporter};
use super::report::response;
use super::session::Session;
use super::transfer::{Transfer, TransferArgs, define};
use super::tree::Spec;
use crate::container::{ContainerDir, RemoveOptions, Remover};
use crate::idmap::{Ancestor, Identity, Kept};
use crate::image::{self, Mapping, Progress, PullStatus, Quiet};
use crate::oci::{Digest, Platform, Reference};

/// `pull`
pub(super) const SPEC: Spec = Spec {
    paths: &["image pull", "pull"],
    about: "Download an image from a registry",
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: |command| {
        define(command, "Download every tag of the repository", "Platform of the image, where it has several")
    },
    run: |matches, session| run(&TransferArgs::from_arg_matches(matches)?, session),
};

/// The hidden role's name on the command line.
pub const ROLE: &str = "__fetch";

/// What is to be fetched.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) reference: &'a str,
    pub(super) platform: Option<&'a Platform>,
    pub(super) quiet: bool,
}

fn run(args: &TransferArgs, session: &Session) -> Result<u8> {
    let transfer = args.here(session)?;
    let told = if transfer.all_tags {
        pull_all(session, &transfer).map_err(response)?;
        transfer.reference.repository().to_owned()
    } else {
        let whole = transfer.reference.to_string();
        let wanted =
            Wanted { reference: &whole, platform: transfer.platform.as_ref(), quiet: transfer.quiet };
        pull(session, &wanted, Out::Stdout).map_err(response)?;
        transfer.reference.with_default_tag().to_string()
    };
    Session::print(&format!("{told}\n"))?;
    Ok(0)
}

/// Pulls every tag of a repository.
fn pull_all(session: &Session, transfer: &Transfer) -> Result<()> {
    let Transfer { reference, platform, .. } = transfer;
    let store = session.store()?;
    let client = client_of(session, reference)?;
    let (_ancestor, mapping) = enter(session)?;
    let tags = client.tags(reference).map_err(|error| anyhow!(error.of_pull(reference)))?;
    if tags.is_empty() {
        bail!("repository {} not found: it has no tags", reference.familiar_name());
    }
    let mut status = PullStatus::UpToDate;
    for tagged in transfer.tagged(&tags)? {
        let reporter = Reporter::new(Out::Stdout);
        let progress: &dyn Progress = if transfer.quiet { &Quiet } else { &reporter };
        let pulled = image::pull(store, &mapping, &client, &tagged, platform.as_ref(), progress)?;
        reporter.finish();
        if pulled.status == PullStatus::Downloaded {
            status = PullStatus::Downloaded;
        }
        if !transfer.quiet {
            Out::Stdout.line(&format!("Digest: {}", pulled.digest));
        }
    }
    if !transfer.quiet {
        Out::Stdout.line(&told(status, reference.familiar_name()));
    }
    Ok(())
}

/// Says whether a pull changed anything, in Docker's words.
fn told(status: PullStatus, name: &str) -> String {
    match status {
        PullStatus::UpToDate => format!("Status: Image is up to date for {name}"),
        PullStatus::Downloaded => format!("Status: Downloaded newer image for {name}"),
    }
}

/// Enters the ancestor user namespace, for good, and says how files are unpacked there.
pub(super) fn enter(session: &Session) -> Result<(Ancestor, Mapping)> {
    let (ancestor, identity) = enter_as(session, None)?;
    Ok((ancestor, Mapping::of(&identity)))
}

/// Enters the ancestor user namespace, for good, and says who the user is in a container that keeps these ids.
pub(super) fn enter_as(session: &Session, kept: Option<Kept>) -> Result<(Ancestor, Identity)> {
    let identity = Session::identity()?.keeping(kept)?;
    let store = session.store()?;
    let ancestor = Ancestor::enter(&store.root().join("locks"), &identity)?;
    Ok((ancestor, identity))
}

/// Enters the ancestor user namespace, for good, and says how the files of a container lie there.
pub(super) fn enter_for(session: &Session, dir: &ContainerDir) -> Result<(Ancestor, Mapping)> {
    let (ancestor, identity) = enter_as(session, dir.config()?.sharing.kept())?;
    Ok((ancestor, Mapping::of(&identity)))
}

/// Pulls an image in this process, and tells of it on `out`. The process ends up in the ancestor namespace.
fn pull(session: &Session, wanted: &Wanted<'_>, out: Out) -> Result<()> {
    let reference = Reference::parse(wanted.reference)?.with_default_tag();
    let store = session.store()?;
    if image::is_hello(&reference) {
        let (_ancestor, mapping) = enter(session)?;
        image::hello(store, &mapping)?;
        return Ok(());
    }
    let client = client_of(session, &reference)?;
    let (_ancestor, mapping) = enter(session)?;
    let reporter = Reporter::new(out);
    let progress: &dyn Progress = if wanted.quiet { &Quiet } else { &reporter };
    let pulled = image::pull(store, &mapping, &client, &reference, wanted.platform, progress)?;
    reporter.finish();
    if !wanted.quiet {
        let status = told(pulled.status, &reference.familiar());
        out.line(&format!("Digest: {}\n{status}", pulled.digest));
    }
    Ok(())
}

/// Has another process pull an image.
pub(super) fn fetch(session: &Session, wanted: &Wanted<'_>) -> Result<()> {
    // A name that can be none is known here.
    Reference::parse(wanted.reference)?;
    let platform = wanted.platform.map(ToString::to_string).unwrap_or_default();
    let quiet = if wanted.quiet { "quiet" } else { "" };
    spawn(session, &["pull", wanted.reference, &platform, quiet])
}

/// Has another process unpack an image that is here, under this user's mapping, or that of containers that keep
/// these ids.
pub(super) fn unpack(session: &Session, id: &Digest, kept: Option<Kept>) -> Result<()> {
    let words = unpack_words(id, kept);
    spawn(session, &words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Returns the words that have the role unpack an image.
pub(super) fn unpack_words(id: &Digest, kept: Option<Kept>) -> Vec<String> {
    let kept = kept.into_iter().flat_map(|kept| [kept.uid.to_string(), kept.gid.to_string()]);
    ["unpack".to_owned(), id.to_string()].into_iter().chain(kept).collect()
}

fn spawn(session: &Session, words: &[&str]) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg(ROLE);
    command.arg(session.docker_config_dir.as_deref().unwrap_or(std::path::Path::new("")));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let output = command.output().context("start the process that fetches images")?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    if message.is_empty() {
        bail!("the process that fetches images ended: {}", output.status);
    }
    Err(response(anyhow!(message)))
}

/// Removes containers by their ids. Those that are gone are as they should be.
fn remove(session: &Session, volumes: bool, ids: &[String]) -> Result<()> {
    let store = session.store()?;
    let mut remover = Remover::new(store);
    let mut errors = Vec::new();
    for id in ids {
        let dir = ContainerDir::new(store, id);
        let removed = remover.remove(&dir, id, RemoveOptions { force: true, volumes });
        errors.extend(removed.err().filter(|_| dir.exists()).map(|error| format!("{error:#}")));
    }
    if errors.is_empty() { Ok(()) } else { bail!("{}", errors.join("\n")) }
}

/// The entry point of the role.
pub(super) fn role(words: &[String]) -> ExitCode {
    let done = (|| {
        let [config, verb, what, rest @ ..] = words else { bail!("want a verb and its object") };
        let config = Some(config).filter(|config| !config.is_empty()).map(Into::into);
        let session = Session::new(String::new(), false, config);
        if verb == "remove" {
            return remove(&session, what == "volumes", rest);
        }
        if verb == "unpack" {
            let id: Digest = what.parse()?;
            let store = session.store()?;
            let image = image::open(store, &id)?;
            let kept = match rest {
                [uid, gid] => Some(Kept { uid: uid.parse()?, gid: gid.parse()? }),
                _ => None,
            };
            let (_ancestor, identity) = enter_as(&session, kept)?;
            let mapping = Mapping::of(&identity);
            // What has no blob was made under the mapping that is most containers'.
            let other = identity.kept.is_some().then(|| Mapping::of(&Identity { kept: None, ..identity }));
            return image::ensure_layers(store, &image.record, &mapping, other.as_ref()).map(|_| ());
        }
        let platform = rest.first().filter(|text| !text.is_empty()).map(|text| text.parse()).transpose()?;
        let quiet = rest.get(1).is_some_and(|word| word == "quiet");
        let wanted = Wanted { reference: what, platform: platform.as_ref(), quiet };
        pull(&session, &wanted, Out::Stderr)
    })();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stdout(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}
