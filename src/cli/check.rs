//! `system check`

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use anyhow::Result;
use clap::{Args, FromArgMatches};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::access::client_of;
use super::format::units::human_size;
use super::grammar::{Arity, Rules};
use super::pull::enter_as;
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use crate::container::{self, ContainerDir};
use crate::idmap::{Identity, Kept, Range};
use crate::image::{self, Check, Connect, Mapping, Meter, Outcome, Report, Stand};
use crate::oci::Reference;
use crate::store::Store;

/// `system check`
pub(super) const SPEC: Spec = Spec {
    paths: &["system check"],
    about: "Check that everything in the store is there and is what it is called",
    usage: "[OPTIONS]",
    rules: Rules { arity: Arity::None, interspersed: true, absent: &[] },
    define: CheckArgs::augment_args,
    run: |matches, session| run(&CheckArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct CheckArgs {
    /// Believe content whose size is right
    #[arg(long)]
    quick: bool,
    /// Make right what is wrong: fetch bad blobs again, unpack bad layers anew
    #[arg(long)]
    repair: bool,
}

fn run(args: &CheckArgs, session: &Session) -> Result<u8> {
    let store = session.image_store()?;
    let (stands, kept, mut damaged) = stands(store)?;
    let (_ancestor, identity) = enter_as(session, None)?;
    let mapping = Mapping::of(&identity);
    let others = others(&identity, &mapping, &kept);
    let connect = |reference: &Reference| client_of(session, reference);
    let connect: &Connect<'_> = &connect;
    let meter = Bar::default();
    let check = Check {
        store,
        mapping: &mapping,
        others: &others,
        stands: &stands,
        quick: args.quick,
        meter: &meter,
    };
    let report = image::check(&check, args.repair.then_some(connect)).map_err(response)?;
    meter.clear();
    let wrong = report.findings.iter().filter(|found| !matches!(found.outcome, Outcome::Repaired(_))).count();
    let wrong = wrong + damaged.len();
    damaged.extend(report.findings.iter().map(ToString::to_string));
    let repaired = damaged.len() - wrong;
    if !damaged.is_empty() {
        damaged.push(String::new());
    }
    Session::print(&damaged.join("\n"))?;
    Session::note(&summary(&report, wrong, repaired));
    if wrong > 0 && !args.repair {
        Session::note("hint: --repair fetches bad blobs again and unpacks bad layers anew");
    }
    Ok(u8::from(wrong > 0))
}

/// Returns the mappings of containers that keep the user's ids: the usual one, and those that there are.
fn others(identity: &Identity, mapping: &Mapping, kept: &[Kept]) -> Vec<Mapping> {
    let own = |ranges: &[Range]| ranges.first().map_or(0, |range| range.outside);
    let usual = Kept { uid: own(&identity.map.uids), gid: own(&identity.map.gids) };
    let mut others: Vec<Mapping> = Vec::new();
    for kept in std::iter::once(&usual).chain(kept) {
        // Where no ids can be kept there are none.
        let Ok(identity) = identity.clone().keeping(Some(*kept)) else { continue };
        let other = Mapping::of(&identity);
        if other.key != mapping.key && !others.contains(&other) {
            others.push(other);
        }
    }
    others
}

/// Returns what containers stand on, the ids that they keep, and a line for each whose configuration cannot be read.
fn stands(store: &Store) -> Result<(Vec<Stand>, Vec<Kept>, Vec<String>)> {
    let summaries = container::list(store).map_err(response)?;
    let mut damaged = Vec::new();
    for entry in std::fs::read_dir(store.containers())?.flatten() {
        let dir = ContainerDir::new(store, &entry.file_name().to_string_lossy());
        if let Err(error) = dir.try_config() {
            damaged.push(format!(
                "container {}: {error:#}; not repaired: it can only be removed",
                dir.short_id()
            ));
        }
    }
    let kept = summaries.iter().filter_map(|summary| summary.config.sharing.kept()).collect();
    let stands = summaries
        .into_iter()
        .map(|summary| Stand {
            container: summary.config.id.chars().take(12).collect(),
            running: summary.status.is_active(),
            layers: summary.config.all_layers().collect(),
            map: summary.config.map,
        })
        .collect();
    Ok((stands, kept, damaged))
}

fn summary(report: &Report, wrong: usize, repaired: usize) -> String {
    let (blobs, bytes) = report.blobs;
    let mut text = format!(
        "Checked {} images, {blobs} blobs ({}), {} layers: ",
        report.images,
        human_size(bytes, 3),
        report.layers
    );
    let _ = match (wrong, repaired) {
        (0, 0) => write!(text, "nothing is wrong"),
        (wrong, 0) => write!(text, "{wrong} wrong"),
        (0, repaired) => write!(text, "{repaired} repaired"),
        (wrong, repaired) => write!(text, "{repaired} repaired, {wrong} still wrong"),
    };
    if report.unread > 0 {
        let what = "Not compared, for want of their blobs or of their mapping";
        let _ = write!(text, "\n{what}: {} layers", report.unread);
    }
    if !report.leftovers.is_empty() {
        let what = "Left by commands that were killed, and cleaned up by the next that may";
        let _ = write!(text, "\n{what}: {}", report.leftovers.join(", "));
    }
    text
}

/// A bar on the terminal, if standard error is one.
#[derive(Default)]
struct Bar(OnceLock<ProgressBar>);

impl Bar {
    fn clear(&self) {
        if let Some(bar) = self.0.get() {
            bar.finish_and_clear();
        }
    }
}

impl Meter for Bar {
    fn begin(&self, bytes: u64) {
        if !io::stderr().is_terminal() {
            return;
        }
        let bar = self.0.get_or_init(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()));
        if let Ok(style) = ProgressStyle::with_template("Checking [{bar:50}] {bytes}/{total_bytes}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_length(bytes);
        bar.set_position(0);
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = self.0.get() {
            bar.inc(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_saw() {
        let mut report = Report { images: 2, blobs: (7, 45_000_000), layers: 5, ..Report::default() };
        assert_eq!(summary(&report, 0, 0), "Checked 2 images, 7 blobs (45MB), 5 layers: nothing is wrong");
        assert!(summary(&report, 2, 1).ends_with(": 1 repaired, 2 still wrong"));
        report.unread = 3;
        report.leftovers = vec!["1 in staging".to_owned(), "index.json, which lags behind".to_owned()];
        let text = summary(&report, 0, 0);
        assert!(
            text.contains("mapping: 3 layers\n")
                && text.ends_with("may: 1 in staging, index.json, which lags behind"),
            "{text}"
        );
    }
}
