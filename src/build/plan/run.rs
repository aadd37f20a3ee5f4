//! `RUN`.

use std::fmt::Write as _;

use super::stage::Planner;
use crate::build::dockerfile::{Fault, Instruction, Lexer, Run, chomp};
use crate::build::graph::{self, Action, Network, Step};

impl Planner<'_, '_> {
    pub(super) fn run(
        &mut self,
        at: usize,
        run: &Run,
        sources: &[Option<usize>],
        instruction: &Instruction,
    ) -> Result<(), Fault> {
        if run.insecure && !self.request.insecure {
            return Err(Fault::new("security.insecure is not allowed")
                .about("--security=insecure")
                .hint("allow it with --allow security.insecure"));
        }
        let (mounts, masked) = self.mounts(at, run, sources, instruction)?;
        let mut words = run.command.words.clone();
        let mut documents = Vec::new();
        let mut title = instruction.original.trim().to_owned();
        if let Some(first) = run.documents.first() {
            let ([text], true) = (words.as_slice(), run.command.shell) else {
                return Err(Fault::new(format!("parsing produced an invalid run command: {words:?}")));
            };
            let alone = alone(text);
            words = if alone {
                let content = if first.chomp { chomp(&first.content) } else { first.content.clone() };
                title = format!("{title} ({})", gist(&first.content));
                if content.starts_with("#!") {
                    documents.push((first.name.clone(), content.into_bytes()));
                    vec![format!("/dev/pipes/{}", first.name)]
                } else {
                    vec![content]
                }
            } else {
                // The shell reads them itself.
                let parts =
                    run.documents.iter().map(|document| format!("\n{}{}", document.content, document.name));
                vec![text.clone() + &parts.collect::<String>()]
            };
        }
        let arguments = if run.command.shell { self.with_shell(at, &words.join(" ")) } else { words };
        let lexer = Lexer { raw_quotes: true, keep_unset: true, ..self.lexer };
        let shown = self.shown(at, &title, lexer, &masked);
        let platform = self.stage_platform(at);
        let name = self.name(at, &shown, &platform);
        let message = self.history(at, &arguments);
        let base = self.root(at);
        let work = &self.works[at];
        let action = graph::Run {
            base,
            arguments,
            environment: work.env.lines(),
            transient: self.proxies(),
            directory: work.directory.clone().into(),
            user: work.image.config.user.clone(),
            documents,
            mounts,
            network: match run.network.as_str() {
                "none" => Network::None,
                "host" => Network::Host,
                _ => self.request.network,
            },
            insecure: run.insecure,
        };
        let step = Step {
            name,
            lines: Some(instruction.lines),
            platform,
            fresh: work.fresh,
            action: Action::Run(Box::new(action)),
        };
        self.works[at].root = Some(self.steps.push(step));
        self.commit(at, &message, true);
        Ok(())
    }

    /// Returns what the history says: the arguments of the build that are declared, then the command.
    fn history(&self, at: usize, arguments: &[String]) -> String {
        let work = &self.works[at];
        let mut values: Vec<(&str, String)> = Vec::new();
        for argument in &work.declared {
            let value = work.env.get(&argument.key).or_else(|| argument.value.clone()).unwrap_or_default();
            match values.iter_mut().find(|(key, _)| *key == argument.key) {
                Some(known) => known.1 = value,
                None => values.push((&argument.key, value)),
            }
        }
        let mut out = String::from("RUN ");
        if !values.is_empty() {
            let _ = write!(out, "|{} ", values.len());
        }
        for (key, value) in values {
            let _ = write!(out, "{key}={value} ");
        }
        out + &arguments.join(" ") + " # buildkit"
    }

    /// Returns the proxies among the arguments of the build: they reach commands without being declared.
    fn proxies(&self) -> Vec<String> {
        let mut out = Vec::new();
        for name in ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"] {
            let mut given = self.request.arguments.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
            if let Some((_, value)) = given.next_back().filter(|(_, value)| !value.is_empty()) {
                out.push(format!("{}={value}", name.to_uppercase()));
                out.push(format!("{name}={value}"));
            }
        }
        out
    }
}

/// Tells whether a command is nothing but a here-document.
fn alone(text: &str) -> bool {
    let Some(rest) = text.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<") else {
        return false;
    };
    let name = rest.strip_prefix('-').unwrap_or(rest).trim();
    let lexer = Lexer { keep_unset: true, ..Lexer::new('\\') };
    !name.contains('<') && lexer.expand(name, &|_| None).is_ok_and(|expanded| expanded.words.len() == 1)
}

/// Returns the first line of a document.
fn gist(content: &str) -> String {
    let mut lines = content.trim().lines();
    let first = lines.next().unwrap_or_default();
    if lines.next().is_some() { format!("{first}...") } else { first.to_owned() }
}
