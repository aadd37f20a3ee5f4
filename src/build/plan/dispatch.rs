//! Instructions carried out: each changes the state of its stage.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::stage::{Command, Planner, absolute};
use super::{expose, lints, signal, text};
use crate::build::dockerfile::{self, Fault, Health, Instruction, Kind, Lexer, Lines, Pair};
use crate::build::graph::{Action, Step};
use crate::build::lint::rule;
use crate::image::History;

/// The remark that BuildKit leaves in the history.
const REMARK: &str = "buildkit.dockerfile.v0";

impl Planner<'_, '_> {
    pub(super) fn dispatch(&mut self, at: usize, command: Command) -> Result<(), Fault> {
        let Command { instruction, sources, .. } = command;
        let lint = self.request.lint;
        let (lines, comments) = (instruction.lines, instruction.comments.clone());
        match &instruction.kind {
            Kind::Arg(arguments) => return self.arg(at, arguments, &instruction),
            Kind::Run(run) => return self.run(at, run, &sources, &instruction),
            Kind::Copy(copy) => return self.copy(at, copy, &sources, &instruction),
            Kind::Env(pairs) => {
                let pairs = self.pairs(at, pairs, &instruction)?;
                for pair in &pairs {
                    self.legacy(pair, &instruction);
                    lints::secret("ENV", &pair.key, lines, &comments, lint);
                    let work = &mut self.works[at];
                    work.env.set(&pair.key, &pair.value);
                    set_env(&mut work.image.config.env, &pair.key, &pair.value);
                }
                self.commit(at, &format!("ENV{}", joined(&pairs)), false);
            }
            Kind::Label(pairs) => {
                let pairs = self.pairs(at, pairs, &instruction)?;
                for pair in &pairs {
                    self.legacy(pair, &instruction);
                    let labels = &mut self.works[at].image.config.labels;
                    labels.insert(pair.key.clone(), pair.value.clone());
                }
                self.commit(at, &format!("LABEL{}", joined(&pairs)), false);
            }
            Kind::Maintainer(name) => {
                self.works[at].image.author.clone_from(name);
                self.commit(at, &format!("MAINTAINER {name}"), false);
            }
            Kind::Cmd(command) => {
                self.used_once(at, &instruction, |work| &mut work.cmd);
                let words = self.words(at, command, &instruction);
                let message = format!("CMD {}", text::quoted(&words));
                let config = &mut self.works[at].image.config;
                config.cmd = Some(words);
                config.args_escaped = true;
                self.commit(at, &message, false);
            }
            Kind::Entrypoint(command) => {
                self.used_once(at, &instruction, |work| &mut work.entrypoint);
                let words = self.words(at, command, &instruction);
                let message = format!("ENTRYPOINT {}", text::quoted(&words));
                let work = &mut self.works[at];
                work.image.config.entrypoint = (!words.is_empty()).then_some(words);
                // The base's command was meant for the base's entry point.
                if work.cmd.is_none() {
                    work.image.config.cmd = None;
                }
                self.commit(at, &message, false);
            }
            Kind::Healthcheck(health) => {
                self.used_once(at, &instruction, |work| &mut work.healthcheck);
                self.works[at].image.config.healthcheck = Some(health_value(health));
                self.commit(at, &format!("HEALTHCHECK {}", text::health(health)), false);
            }
            Kind::Expose(ports) => self.expose(at, ports, &instruction)?,
            Kind::User(user) => {
                let user = self.expand(at, user, &instruction)?;
                self.commit(at, &format!("USER {user}"), false);
                self.works[at].image.config.user = user;
            }
            Kind::Volume(paths) => {
                let expand = |path: &String| self.expand(at, path, &instruction);
                let paths = paths.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
                if paths.iter().any(String::is_empty) {
                    return Err(Fault::new("VOLUME specified can not be an empty string"));
                }
                let volumes = &mut self.works[at].image.config.volumes;
                volumes.extend(paths.iter().map(|path| (path.clone(), Value::Object(Map::new()))));
                self.commit(at, &format!("VOLUME {}", text::list(&paths)), false);
            }
            Kind::StopSignal(name) => {
                let name = self.expand(at, name, &instruction)?;
                if !signal::is_signal(&name) {
                    return Err(Fault::new(format!("invalid signal: {name}")).about(name));
                }
                self.commit(at, &format!("STOPSIGNAL {name}"), false);
                self.works[at].image.config.stop_signal = name;
            }
            Kind::Shell(words) => {
                self.works[at].image.config.shell = Some(words.clone());
                self.commit(at, &format!("SHELL {}", text::list(words)), false);
            }
            Kind::Workdir(path) => self.workdir(at, path, &instruction)?,
            Kind::OnBuild(trigger) => self.works[at].image.config.on_build.push(trigger.clone()),
        }
        Ok(())
    }

    /// Replaces the variables of a word.
    pub(super) fn expand(&self, at: usize, word: &str, instruction: &Instruction) -> Result<String, Fault> {
        self.expand_with(at, word, self.lexer, instruction).map(|expanded| expanded.text)
    }

    pub(super) fn expand_with(
        &self,
        at: usize,
        word: &str,
        lexer: Lexer,
        instruction: &Instruction,
    ) -> Result<dockerfile::Expanded, Fault> {
        let work = &self.works[at];
        let expanded =
            lexer.expand(word, &|name| work.env.get(name)).map_err(|why| Fault::new(why).about(word))?;
        let declared: Vec<String> = work.declared.iter().map(|argument| argument.key.clone()).collect();
        let (lines, comments) = (instruction.lines, &instruction.comments);
        lints::unmatched(&expanded.unmatched, &declared, &work.env, lines, comments, self.request.lint);
        Ok(expanded)
    }

    fn pairs(&self, at: usize, pairs: &[Pair], instruction: &Instruction) -> Result<Vec<Pair>, Fault> {
        let expand = |pair: &Pair| {
            Ok(Pair {
                key: self.expand(at, &pair.key, instruction)?,
                value: self.expand(at, &pair.value, instruction)?,
                legacy: pair.legacy,
            })
        };
        pairs.iter().map(expand).collect()
    }

    fn legacy(&self, pair: &Pair, instruction: &Instruction) {
        if pair.legacy {
            let keyword = &instruction.keyword;
            let (lines, comments) = (instruction.lines, &instruction.comments);
            self.request.lint.note(rule::LEGACY_KEY_VALUE_FORMAT, lines, comments, || {
                format!(
                    "\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format"
                )
            });
        }
    }

    fn used_once(
        &mut self,
        at: usize,
        instruction: &Instruction,
        place: impl Fn(&mut super::stage::Work) -> &mut Option<Lines>,
    ) {
        let before = place(&mut self.works[at]).replace(instruction.lines);
        if let Some(before) = before {
            let keyword = &instruction.keyword;
            self.request.lint.note(rule::MULTIPLE_INSTRUCTIONS_DISALLOWED, before, &instruction.comments, || {
                format!(
                    "Multiple {keyword} instructions should not be used in the same stage because only the last one will be used"
                )
            });
        }
    }

    /// Returns the words of `CMD` or `ENTRYPOINT`, the shell included.
    fn words(&self, at: usize, command: &dockerfile::Command, instruction: &Instruction) -> Vec<String> {
        if !command.shell {
            return command.words.clone();
        }
        if self.works[at].image.config.shell.as_ref().is_none_or(Vec::is_empty) {
            let keyword = &instruction.keyword;
            let (lines, comments) = (instruction.lines, &instruction.comments);
            self.request.lint.note(rule::JSON_ARGS_RECOMMENDED, lines, comments, || {
                format!(
                    "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
                )
            });
        }
        self.with_shell(at, &command.words.join(" "))
    }

    /// Puts the shell before a text.
    pub(super) fn with_shell(&self, at: usize, text: &str) -> Vec<String> {
        let shell = self.works[at].image.config.shell.clone().filter(|shell| !shell.is_empty());
        let shell = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        shell.into_iter().chain([text.to_owned()]).collect()
    }

    fn expose(&mut self, at: usize, ports: &[String], instruction: &Instruction) -> Result<(), Fault> {
        let lint = self.request.lint;
        let (lines, comments) = (instruction.lines, &instruction.comments);
        let mut all = Vec::new();
        for port in ports {
            for word in self.expand_with(at, port, self.lexer, instruction)?.words {
                let exposed = expose::parse(&word).map_err(|why| Fault::new(why).about(&word))?;
                if exposed.upper {
                    lint.note(rule::EXPOSE_PROTO_CASING, lines, comments, || {
                        format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase")
                    });
                }
                if exposed.mapped {
                    lint.note(rule::EXPOSE_INVALID_FORMAT, lines, comments, || {
                        format!(
                            "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
                        )
                    });
                }
                all.extend(exposed.ports);
            }
        }
        let exposed = &mut self.works[at].image.config.exposed_ports;
        exposed.extend(all.iter().map(|port| (port.clone(), Value::Object(Map::new()))));
        self.commit(at, &format!("EXPOSE {}", text::list(&all)), false);
        Ok(())
    }

    fn workdir(&mut self, at: usize, path: &str, instruction: &Instruction) -> Result<(), Fault> {
        let path = self.expand(at, path, instruction)?;
        let work = &mut self.works[at];
        if !work.workdir_set && !path.starts_with('/') {
            let (lines, comments) = (instruction.lines, &instruction.comments);
            self.request.lint.note(rule::WORKDIR_RELATIVE_PATH, lines, comments, || {
                format!("Relative workdir {path:?} can have unexpected results if the base image changes")
            });
        }
        work.workdir_set = true;
        let directory = match path.as_str() {
            "" => absolute("/", &work.image.config.working_dir),
            path => absolute(&work.image.config.working_dir, path),
        };
        work.image.config.working_dir.clone_from(&directory);
        work.directory.clone_from(&directory);
        if directory != "/" {
            let platform = self.stage_platform(at);
            let shown = self.shown(at, &instruction.original, self.lexer, &[]);
            let name = self.name(at, &shown, &platform);
            let base = self.root(at);
            let owner = self.works[at].image.config.user.clone();
            let step = Step {
                name,
                lines: Some(instruction.lines),
                platform,
                fresh: false,
                action: Action::Directory { base, path: directory.clone().into(), owner },
            };
            self.works[at].root = Some(self.steps.push(step));
        }
        self.commit(at, &format!("WORKDIR {directory}"), directory != "/");
        Ok(())
    }

    pub(super) fn stage_platform(&self, at: usize) -> crate::oci::Platform {
        self.works[at].platform.clone().unwrap_or_else(|| self.platform.clone())
    }

    /// Adds a line to the history.
    pub(super) fn commit(&mut self, at: usize, message: &str, layer: bool) {
        let created = self.epoch.and_then(|seconds| {
            let timestamp = jiff::Timestamp::from_second(seconds).ok()?;
            Some(timestamp.to_string())
        });
        self.works[at].image.history.push(History {
            created,
            created_by: message.to_owned(),
            comment: REMARK.to_owned(),
            empty_layer: !layer,
            ..History::default()
        });
    }
}

fn joined(pairs: &[Pair]) -> String {
    let mut out = String::new();
    for pair in pairs {
        let _ = write!(out, " {}={}", pair.key, pair.value);
    }
    out
}

fn set_env(env: &mut Vec<String>, key: &str, value: &str) {
    let line = format!("{key}={value}");
    match env.iter_mut().find(|known| known.split('=').next() == Some(key)) {
        Some(known) => *known = line,
        None => env.push(line),
    }
}

/// Returns a health check as the image's configuration has it: without what is zero.
fn health_value(health: &Health) -> Value {
    let mut value = json!({ "Test": health.test });
    let times = [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
        ("StartInterval", health.start_interval),
        ("Retries", health.retries),
    ];
    for (key, number) in times.into_iter().filter(|(_, number)| *number != 0) {
        value[key] = number.into();
    }
    value
}
