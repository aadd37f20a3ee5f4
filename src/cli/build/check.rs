//! `build --check`: what is unwise in a Dockerfile, and nothing built.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;

use super::context::Place;
use super::display::{Display, Mode};
use super::images::Images;
use super::planned;
use super::request::Request;
use crate::build::dockerfile::{Dockerfile, excerpt};
use crate::build::lint::{Lint, Warning};
use crate::cli::session::Session;

/// Checks.
pub(super) fn run(request: &Request, place: &Place, session: &Session) -> Result<u8> {
    let lint = Lint::default();
    let display = Arc::new(Display::new(Mode::Quiet));
    let images = Images::new(session, request.pull, display)?;
    let planned = planned(request, place, &images, &lint);
    let warnings = lint.warnings();
    if planned.is_ok() || !warnings.is_empty() {
        Session::print(&text(&warnings, place))?;
    }
    planned?;
    Ok(u8::from(!warnings.is_empty()))
}

fn text(warnings: &[Warning], place: &Place) -> String {
    let mut out = match warnings.len() {
        0 => "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for warning in warnings {
        let url = warning.rule.url();
        let link = if url.is_empty() { String::new() } else { format!(" - {url}") };
        let _ = writeln!(out, "\nWARNING: {}{link}\n{}", warning.rule.name, warning.message);
        out.push_str(&excerpt(&place.name, &place.dockerfile, &[warning.lines], None));
    }
    out
}

/// `--call=targets`: the stages.
pub(super) fn targets(place: &Place) -> Result<String> {
    let file = Dockerfile::parse(&place.dockerfile, &Lint::default())
        .map_err(|fault| super::of_fault(&fault, place))?;
    let mut out = String::from("TARGET              DESCRIPTION\n");
    let last = file.stages.len() - 1;
    for (at, stage) in file.stages.iter().enumerate() {
        let mut name = stage.name.clone();
        if at == last {
            name = if name.is_empty() { "(default)".to_owned() } else { format!("{name} (default)") };
        }
        if !name.is_empty() {
            let described = format!("{} ", stage.name);
            let about = stage.comments.iter().find_map(|comment| comment.strip_prefix(described.as_str()));
            let line = format!("{name:<20}{}", about.unwrap_or_default());
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    Ok(out)
}
