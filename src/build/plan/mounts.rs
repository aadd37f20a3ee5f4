//! `RUN --mount`.

use super::stage::{Planner, absolute};
use crate::build::dockerfile::{Fault, Instruction, MountFlag, MountType, Run, parse_mount};
use crate::build::graph::{Mount, MountKind, Sharing, StepId};
use crate::build::ignore::clean;

impl Planner<'_, '_> {
    /// Returns the mounts of a command, and the variables among them, whose values are not shown.
    pub(super) fn mounts(
        &mut self,
        at: usize,
        run: &Run,
        sources: &[Option<usize>],
        instruction: &Instruction,
    ) -> Result<(Vec<Mount>, Vec<String>), Fault> {
        let mut mounts = Vec::new();
        let mut masked = Vec::new();
        let mut agents = 0;
        for (number, text) in run.mounts.iter().enumerate() {
            let flag = parse_mount(text, |word| self.expand(at, word, instruction))?;
            let source = sources.get(number).copied().flatten();
            let (target, kind) = match flag.kind {
                MountType::Secret => {
                    masked.extend(flag.env.clone());
                    secret(&flag)?
                }
                MountType::Ssh => {
                    agents += 1;
                    agent(&flag, agents - 1)
                }
                MountType::Tmpfs => {
                    (flag.target.clone(), MountKind::Tmpfs { size: flag.size.filter(|size| *size > 0) })
                }
                MountType::Bind => {
                    let platform = self.stage_platform(at);
                    let from = match self.origin(&flag, source)? {
                        Some(from) => from,
                        None => self.steps.context(&platform),
                    };
                    (flag.target.clone(), MountKind::Bind { from, source: rooted(&flag.source).into() })
                }
                MountType::Cache => {
                    let from = self.origin(&flag, source)?;
                    let from = from.map(|from| (from, rooted(&flag.source).into()));
                    (flag.target.clone(), self.cache(&flag, from))
                }
            };
            let target = absolute(&self.works[at].directory, &target);
            let mounted = !matches!(&kind, MountKind::Secret { file: false, .. });
            if mounted && clean(&target) == "/" {
                return Err(Fault::new(format!("invalid mount target {target:?}")).about(text));
            }
            mounts.push(Mount { target: target.into(), read_only: flag.read_only, kind });
        }
        Ok((mounts, masked))
    }

    /// Returns the step that a mount takes its files from.
    fn origin(&mut self, flag: &MountFlag, source: Option<usize>) -> Result<Option<StepId>, Fault> {
        match source {
            None => Ok(None),
            Some(source) if self.works[source].dispatched => Ok(Some(self.root(source))),
            Some(_) => {
                let message = format!(
                    "cannot mount from stage {:?} to {:?}, stage needs to be defined before current command",
                    flag.from, flag.target
                );
                Err(Fault::new(message).about(&flag.from))
            }
        }
    }

    fn cache(&self, flag: &MountFlag, from: Option<(StepId, std::path::PathBuf)>) -> MountKind {
        let id = if flag.id.is_empty() { clean(&flag.target) } else { flag.id.clone() };
        let space = self.request.arguments.get("BUILDKIT_CACHE_MOUNT_NS").map_or("", String::as_str);
        MountKind::Cache {
            id: format!("{space}/{id}"),
            from,
            sharing: match flag.sharing.as_deref() {
                Some("private") => Sharing::Private,
                Some("locked") => Sharing::Locked,
                _ => Sharing::Shared,
            },
            mode: flag.mode.unwrap_or(0o755),
            owner: (flag.uid.unwrap_or(0), flag.gid.unwrap_or(0)),
        }
    }
}

fn rooted(source: &str) -> String {
    clean(&format!("/{source}"))
}

fn secret(flag: &MountFlag) -> Result<(String, MountKind), Fault> {
    let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let mut id = if flag.id.is_empty() { flag.source.clone() } else { flag.id.clone() };
    if id.is_empty() {
        id = last(&flag.target);
    }
    if id.is_empty() {
        return Err(Fault::new("one of source, target required"));
    }
    let file = flag.env.is_none() || !flag.target.is_empty();
    let target =
        if flag.target.is_empty() { format!("/run/secrets/{}", last(&id)) } else { flag.target.clone() };
    let variable = flag.env.clone().map(|name| if name.is_empty() { id.clone() } else { name });
    let kind = MountKind::Secret {
        id,
        required: flag.required,
        file,
        variable,
        mode: flag.mode.unwrap_or(0o400),
        owner: (flag.uid.unwrap_or(0), flag.gid.unwrap_or(0)),
    };
    Ok((target, kind))
}

fn agent(flag: &MountFlag, number: usize) -> (String, MountKind) {
    let id = if flag.id.is_empty() { "default".to_owned() } else { flag.id.clone() };
    let target = match flag.target.as_str() {
        "" => format!("/run/buildkit/ssh_agent.{number}"),
        target => target.to_owned(),
    };
    let kind = MountKind::Ssh {
        id,
        required: flag.required,
        mode: flag.mode.unwrap_or(0o600),
        owner: (flag.uid.unwrap_or(0), flag.gid.unwrap_or(0)),
    };
    (target, kind)
}
