//! Warnings that need more than one line to be seen.

use super::base::normal_base;
use super::stage::Variables;
use crate::build::dockerfile::{Dockerfile, Expanded, Instruction, Lines, Stage, similar};
use crate::build::ignore::{Ignore, clean};
use crate::build::lint::{Lint, rule};
use crate::oci::Platform;

/// Names of stages: reserved ones, and the same twice.
pub(super) fn names(file: &Dockerfile, lint: &Lint) {
    for (at, stage) in file.stages.iter().enumerate().filter(|(_, stage)| !stage.name.is_empty()) {
        let name = &stage.name;
        if matches!(name.as_str(), "context" | "scratch") {
            lint.note(rule::RESERVED_STAGE_NAME, stage.lines, &stage.comments, || {
                format!("Stage name should not use the same name as reserved stage {name:?}")
            });
        }
        if file.stages[..at].iter().any(|other| other.name == *name) {
            lint.note(rule::DUPLICATE_STAGE_NAME, stage.lines, &stage.comments, || {
                format!("Duplicate stage name {name:?}, stage names should be unique")
            });
        }
    }
}

/// Keywords: all in upper case or all in lower case.
pub(super) fn casing(file: &Dockerfile, lint: &Lint) {
    let keywords: Vec<(&str, Lines, &[String])> = file
        .stages
        .iter()
        .flat_map(|stage| {
            let first = (stage.keyword.as_str(), stage.lines, stage.comments.as_slice());
            let rest =
                stage.instructions.iter().map(|i| (i.keyword.as_str(), i.lines, i.comments.as_slice()));
            std::iter::once(first).chain(rest)
        })
        .collect();
    let lower = keywords.iter().filter(|(word, ..)| *word == word.to_lowercase()).count();
    let upper = keywords.iter().filter(|(word, ..)| *word == word.to_uppercase()).count();
    let (wanted, fold): (_, fn(&str) -> String) = if lower > upper {
        ("lowercase", |word| word.to_lowercase())
    } else {
        ("uppercase", |word| word.to_uppercase())
    };
    for (word, lines, comments) in keywords {
        if word != fold(word) {
            lint.note(rule::CONSISTENT_INSTRUCTION_CASING, lines, comments, || {
                format!("Command '{word}' should match the case of the command majority ({wanted})")
            });
        }
    }
}

/// `FROM` with variables that nothing declares.
pub(super) fn undeclared(stage: &Stage, expanded: &Expanded, known: &[String], lint: &Lint) {
    for name in expanded.unmatched.iter().filter(|name| !known.contains(name)) {
        lint.note(rule::UNDEFINED_ARG_IN_FROM, stage.lines, &stage.comments, || {
            let guess = similar(name, known.iter().map(String::as_str), true)
                .map(|word| format!(" (did you mean {word}?)"))
                .unwrap_or_default();
            format!("FROM argument '{name}' is not declared{guess}")
        });
    }
}

/// `--platform` of `FROM` that says what holds anyway, or always the same.
pub(super) fn platform(stage: &Stage, expanded: &Expanded, target: &str, lint: &Lint) {
    let only_target = expanded.unmatched.is_empty() && expanded.matched == ["TARGETPLATFORM"];
    if only_target && expanded.text == target {
        lint.note(rule::REDUNDANT_TARGET_PLATFORM, stage.lines, &stage.comments, || {
            let written = &stage.platform;
            format!(
                "Setting platform to predefined {written} in FROM is redundant as this is the default behavior"
            )
        });
    }
    if expanded.matched.is_empty() && expanded.unmatched.is_empty() {
        let Ok(platform) = expanded.text.parse::<Platform>() else { return };
        if !stage.name.contains(&platform.os) && !stage.name.contains(&platform.architecture) {
            lint.note(rule::FROM_PLATFORM_FLAG_CONST_DISALLOWED, stage.lines, &stage.comments, || {
                format!("FROM --platform flag should not use constant value {:?}", expanded.text)
            });
        }
    }
}

/// Bases whose names come of defaults that name nothing.
pub(super) fn defaults(stages: &[Stage], expand: impl Fn(&str) -> Option<String>, lint: &Lint) {
    for stage in stages {
        let Some(base) = expand(&stage.base) else { return };
        if normal_base(&base).is_err() {
            lint.note(rule::INVALID_DEFAULT_ARG_IN_FROM, stage.lines, &stage.comments, || {
                format!("Default value for ARG {} results in empty or invalid base image name", stage.base)
            });
        }
    }
}

/// Variables that are used but not set.
pub(super) fn unmatched(
    names: &[String],
    declared: &[String],
    env: &Variables,
    lines: Lines,
    comments: &[String],
    lint: &Lint,
) {
    for name in names.iter().filter(|name| !declared.contains(name)) {
        if matches!(name.as_str(), "BUILDKIT_SBOM_SCAN_CONTEXT" | "BUILDKIT_SBOM_SCAN_STAGE") {
            continue;
        }
        lint.note(rule::UNDEFINED_VAR, lines, comments, || {
            let guess = similar(name, env.names(), true)
                .map(|word| format!(" (did you mean ${word}?)"))
                .unwrap_or_default();
            format!("Usage of undefined variable '${name}'{guess}")
        });
    }
}

/// Names of variables that sound secret.
pub(super) fn secret(instruction: &str, key: &str, lines: Lines, comments: &[String], lint: &Lint) {
    const SECRET: &[&str] = &[
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    const HARMLESS: &[&str] = &["public", "file", "version"];
    let lower = key.to_ascii_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    if has(SECRET) && !has(HARMLESS) {
        lint.note(rule::SECRETS_USED_IN_ARG_OR_ENV, lines, comments, || {
            format!("Do not use ARG or ENV instructions for sensitive data ({instruction} {key:?})")
        });
    }
}

/// Sources that the ignore file leaves out.
pub(super) fn ignored(source: &str, add: bool, ignore: &Ignore, instruction: &Instruction, lint: &Lint) {
    // What an exception takes back cannot be told without looking at the files.
    if ignore.is_empty() || ignore.has_exceptions() {
        return;
    }
    let path = clean(source);
    let root = matches!(path.as_str(), "." | "/");
    if if root { ignore.excludes_root() } else { ignore.excluded(&path) } {
        let verb = if add { "Add" } else { "Copy" };
        lint.note(rule::COPY_IGNORED_FILE, instruction.lines, &instruction.comments, || {
            format!("Attempting to {verb} file {path:?} that is excluded by .dockerignore")
        });
    }
}
