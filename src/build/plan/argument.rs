//! `ARG`: what is given, else what it defaults to, else what was declared before the first stage.

use super::lints;
use super::stage::Planner;
use crate::build::dockerfile::{Argument, Fault, Instruction};

/// Arguments that do not become variables of commands.
const NOT_FOR_COMMANDS: &[&str] = &["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

impl Planner<'_, '_> {
    pub(super) fn arg(
        &mut self,
        at: usize,
        arguments: &[Argument],
        instruction: &Instruction,
    ) -> Result<(), Fault> {
        let mut message = String::from("ARG");
        for argument in arguments {
            let key = &argument.key;
            lints::secret("ARG", key, instruction.lines, &instruction.comments, self.request.lint);
            let value = match (self.request.arguments.get(key), &argument.value) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(at, default, instruction)?),
                (None, None) => self.globals.get(key),
            };
            let work = &mut self.works[at];
            message.push(' ');
            message.push_str(key);
            if let Some(value) = &value {
                message.push('=');
                message.push_str(value);
                if !NOT_FOR_COMMANDS.contains(&key.as_str()) {
                    work.env.set(key, value);
                }
            }
            work.declared.push(Argument { key: key.clone(), value });
        }
        self.commit(at, &message, false);
        Ok(())
    }
}
