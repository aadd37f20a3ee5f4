//! `COPY` and `ADD`.

use std::fmt::Write as _;

use super::lints::ignored;
use super::stage::{Planner, absolute};
use crate::build::dockerfile::{Copy, Fault, Instruction, Lexer};
use crate::build::git;
use crate::build::graph::{self, Action, Mode, Pick, Source, Step, StepId, Unpack};
use crate::oci::Platform;

impl Planner<'_, '_> {
    pub(super) fn copy(
        &mut self,
        at: usize,
        copy: &Copy,
        sources: &[Option<usize>],
        instruction: &Instruction,
    ) -> Result<(), Fault> {
        let mut copy = copy.clone();
        for text in [&mut copy.chown, &mut copy.chmod, &mut copy.checksum, &mut copy.destination] {
            *text = self.expand(at, text, instruction)?;
        }
        for text in copy.sources.iter_mut().chain(&mut copy.exclude) {
            *text = self.expand(at, text, instruction)?;
        }
        let raw = Lexer { plain_quotes: true, ..Lexer::new('\\') };
        for document in copy.documents.iter_mut().filter(|document| document.expand) {
            document.content = self.expand_with(at, &document.content, raw, instruction)?.text;
        }
        let mode = mode(&copy.chmod)?;
        check(&copy)?;

        let platform = self.stage_platform(at);
        let files = match sources.first().copied().flatten() {
            None => None,
            Some(source) if self.works[source].dispatched => Some(self.root(source)),
            Some(_) => {
                let label = &self.works[at].label;
                return Err(Fault::new(format!(
                    "cannot copy from stage {:?}, it needs to be defined before current stage {label:?}",
                    copy.from
                ))
                .about(&copy.from));
            }
        };
        let shown = self.shown(at, &instruction.original, self.lexer, &[]);
        let name = self.name(at, &shown, &platform);
        let mut picks = Vec::new();
        for source in &copy.sources {
            picks.push(self.pick(source, &copy, files, &name, instruction, &platform)?);
        }
        for document in &copy.documents {
            let file = (document.name.clone(), document.content.clone().into_bytes());
            let source = Source::Inline(vec![file]);
            let internal = "[internal] preparing inline document".to_owned();
            let from = self.steps.source(internal, Some(instruction.lines), &platform, source);
            picks.push(Pick { from, paths: vec![format!("/{}", document.name)] });
        }
        let destination = destination(&self.works[at].directory, &copy.destination);
        let action = graph::Copy {
            base: self.root(at),
            sources: picks,
            destination,
            owner: (!copy.chown.is_empty()).then(|| copy.chown.clone()),
            mode,
            // As BuildKit does: with a mode, the layer is made upon the base.
            link: copy.link && copy.chmod.is_empty(),
            parents: copy.parents,
            exclude: copy.exclude.clone(),
            unpack: match (copy.add, copy.unpack) {
                (false, _) | (true, Some(false)) => Unpack::Never,
                (true, None) => Unpack::Local,
                (true, Some(true)) => Unpack::Always,
            },
        };
        let step = Step {
            name,
            lines: Some(instruction.lines),
            platform,
            fresh: self.works[at].fresh,
            action: Action::Copy(Box::new(action)),
        };
        self.works[at].root = Some(self.steps.push(step));
        self.commit(at, &format!("{} # buildkit", summary(&copy)), true);
        Ok(())
    }

    /// Decides where one source comes from.
    fn pick(
        &mut self,
        source: &str,
        copy: &Copy,
        files: Option<StepId>,
        name: &str,
        instruction: &Instruction,
        platform: &Platform,
    ) -> Result<Pick, Fault> {
        let fault = |message: &str| Fault::new(message).about(source);
        let lines = Some(instruction.lines);
        if let Some(git) = git::parse(source).map_err(|why| fault(&why))? {
            if !copy.add {
                return Err(fault("source can't be a git ref for COPY"));
            }
            if copy.keep_git_dir.zip(git.keep).is_some_and(|(flag, query)| flag != query) {
                return Err(fault("inconsistent keep-git-dir configuration"));
            }
            let checksum = match (copy.checksum.as_str(), git.checksum) {
                ("", checksum) => checksum,
                (flag, Some(query)) if flag != query => {
                    return Err(fault(&format!("checksum mismatch {flag:?} != {query:?}")));
                }
                (flag, _) => Some(flag.to_owned()),
            };
            let source = Source::Git {
                remote: git.remote,
                revision: git.revision,
                subdirectory: git.subdirectory,
                keep: git.keep.or(copy.keep_git_dir).unwrap_or(false),
                checksum,
            };
            let from = self.steps.source(name.to_owned(), lines, platform, source);
            return Ok(Pick { from, paths: vec!["/".to_owned()] });
        }
        if source.starts_with("http://") || source.starts_with("https://") {
            if !copy.add {
                return Err(fault("source can't be a URL for COPY"));
            }
            let checksum = match copy.checksum.as_str() {
                "" => None,
                text => Some(text.parse().map_err(|why| fault(&format!("{why}")))?),
            };
            let web = Source::Web { url: source.to_owned(), checksum };
            let from = self.steps.source(name.to_owned(), lines, platform, web);
            return Ok(Pick { from, paths: vec![format!("/{}", graph::file_of(source))] });
        }
        let from = if let Some(files) = files {
            files
        } else {
            ignored(source, copy.add, self.request.ignore, instruction, self.request.lint);
            self.steps.context(platform)
        };
        // The pivot of `--parents` is a part of the path that means nothing else.
        let path = if source.contains("/./") {
            format!("/{}", source.trim_start_matches('/'))
        } else {
            absolute("/", source)
        };
        Ok(Pick { from, paths: vec![path] })
    }
}

/// Returns where files go, with a slash at its end if that is said to be a directory.
fn destination(directory: &str, written: &str) -> String {
    let mut path = match written {
        "" | "." => format!("{}/", absolute("/", directory)),
        written => absolute(directory, written),
    };
    if (written.ends_with('/') || written.ends_with("/.")) && !path.ends_with('/') {
        path = path.strip_suffix("/.").unwrap_or(&path).to_owned() + "/";
    }
    if path.ends_with("//") {
        path.pop();
    }
    path
}

fn check(copy: &Copy) -> Result<(), Fault> {
    let fault = |message: &str| Err(Fault::new(message).about(&copy.checksum));
    if copy.checksum.is_empty() {
        return Ok(());
    }
    let [source] = copy.sources.as_slice() else {
        return fault("checksum can't be specified for multiple sources");
    };
    let remote = source.starts_with("http://") || source.starts_with("https://");
    if !remote && !matches!(git::parse(source), Ok(Some(_))) {
        return fault("checksum requires HTTP(S) or Git sources");
    }
    Ok(())
}

/// Reads `--chmod`.
fn mode(text: &str) -> Result<Option<Mode>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || {
        let message =
            format!("invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777");
        Fault::new(message).about(text)
    };
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let mode = u32::from_str_radix(text, 8).map_err(|_| invalid())?;
        return if mode > 0o7777 { Err(invalid()) } else { Ok(Some(Mode::Absolute(mode))) };
    }
    let clause = |clause: &str| {
        let rest = clause.trim_start_matches(['u', 'g', 'o', 'a']);
        let good = |part: &str| part.chars().all(|c| "rwxXst".contains(c)) || matches!(part, "u" | "g" | "o");
        rest.starts_with(['+', '-', '=']) && rest[1..].split(['+', '-', '=']).all(good)
    };
    if text.split(',').all(clause) { Ok(Some(Mode::Symbolic(text.to_owned()))) } else { Err(invalid()) }
}

/// Returns what the history says of it.
fn summary(copy: &Copy) -> String {
    let mut out = String::from(if copy.add { "ADD" } else { "COPY" });
    if copy.parents {
        out.push_str(" --parents");
    }
    for (flag, value) in [("chown", &copy.chown), ("chmod", &copy.chmod)] {
        if !value.is_empty() {
            let _ = write!(out, " --{flag}={value}");
        }
    }
    for source in &copy.sources {
        let _ = write!(out, " {source}");
    }
    for document in &copy.documents {
        let _ = write!(out, " <<{}", document.name);
    }
    out + " " + &copy.destination
}
