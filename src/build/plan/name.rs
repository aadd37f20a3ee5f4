//! What steps are called.

use std::fmt::Write as _;

use super::stage::{Planner, Variables};
use crate::build::dockerfile::Lexer;
use crate::oci::Platform;

impl Planner<'_, '_> {
    /// Returns a step's name with its place in front: `[build 2/5] RUN make`.
    pub(super) fn name(&mut self, at: usize, text: &str, platform: &Platform) -> String {
        let multiple = self.request.platforms.len() > 1;
        let work = &mut self.works[at];
        if work.total == 0 {
            return text.to_owned();
        }
        let mut out = String::from("[");
        if multiple {
            out.push_str(&platform.to_string());
            out.push_str(&crossing(platform, &work.env));
            out.push(' ');
        }
        if !work.label.is_empty() {
            out.push_str(&work.label);
            out.push(' ');
        }
        work.index += 1;
        let width = work.total.ilog10() as usize + 1;
        let _ = write!(out, "{:width$}/{}] ", work.index, work.total);
        if work.in_trigger {
            out.push_str("ONBUILD ");
        }
        out + text
    }

    /// Returns an instruction as it is shown: its variables replaced, its keyword in upper case.
    pub(super) fn shown(&self, at: usize, original: &str, lexer: Lexer, masked: &[String]) -> String {
        let env = &self.works[at].env;
        let variables = |name: &str| {
            if masked.iter().any(|known| known == name) { Some("****".to_owned()) } else { env.get(name) }
        };
        let text = match lexer.expand(original, &variables) {
            Ok(expanded) => expanded.text,
            Err(_) => original.to_owned(),
        };
        match text.split_once(' ') {
            Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
            None => text.to_uppercase(),
        }
    }
}

/// Returns `->arm64` where a stage runs on one machine and makes something for another.
fn crossing(platform: &Platform, env: &Variables) -> String {
    let told = env.get("TARGETPLATFORM").and_then(|text| text.parse::<Platform>().ok());
    let target = if let Some(told) = told {
        told
    } else {
        let (os, architecture) = (env.get("TARGETOS"), env.get("TARGETARCH"));
        if os.is_none() && architecture.is_none() {
            return String::new();
        }
        Platform::normal(
            &os.unwrap_or_else(|| platform.os.clone()),
            &architecture.unwrap_or_else(|| platform.architecture.clone()),
            &env.get("TARGETVARIANT").unwrap_or_default(),
        )
    };
    if target.os != platform.os {
        return format!("->{target}");
    }
    if target.architecture == platform.architecture {
        return String::new();
    }
    let variant = if target.variant.is_empty() { String::new() } else { format!("/{}", target.variant) };
    format!("->{}{variant}", target.architecture)
}
