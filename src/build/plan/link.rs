//! Which stages take files from which: found before anything is carried out.

use super::stage::{Planner, Work};
use crate::build::dockerfile::{Fault, Instruction, Kind, Lines, mount_origin, suggestion};

impl Planner<'_, '_> {
    /// Returns the last stage so far of this name.
    pub(super) fn stage_named(&self, name: &str) -> Option<usize> {
        self.works.iter().rposition(|work| !work.alias.is_empty() && work.alias.eq_ignore_ascii_case(name))
    }

    pub(super) fn target(&self) -> Result<usize, Fault> {
        let Some(name) = self.request.target else { return Ok(self.works.len() - 1) };
        self.stage_named(name).ok_or_else(|| {
            let guess = suggestion(name, self.works.iter().map(|work| work.label.as_str()), true);
            Fault::new(format!("target stage {name:?} could not be found{guess}"))
        })
    }

    /// Finds the stages that instructions take files from.
    pub(super) fn link(&mut self) -> Result<(), Fault> {
        for at in 0..self.works.len() {
            for number in 0..self.works[at].commands.len() {
                let instruction = self.works[at].commands[number].instruction.clone();
                let sources = self.sources(&instruction)?;
                let needs = sources.iter().flatten().map(|source| (*source, instruction.lines));
                self.works[at].needs.extend(needs.collect::<Vec<_>>());
                self.works[at].commands[number].sources = sources;
            }
        }
        self.refuse_circles()?;
        if let [only] = self.works.as_mut_slice() {
            only.label.clear();
        }
        Ok(())
    }

    pub(super) fn sources(&mut self, instruction: &Instruction) -> Result<Vec<Option<usize>>, Fault> {
        match &instruction.kind {
            Kind::Copy(copy) if !copy.from.is_empty() => {
                let fault = |message: String| Fault::new(message).at(instruction.lines).about(&copy.from);
                let expanded = self.lexer.expand(&copy.from, &|_| None).map_err(fault)?.text;
                if expanded != copy.from {
                    return Err(fault(
                        "variable expansion is not supported for --from, define a new stage with FROM using ARG \
                         from global scope as a workaround"
                            .to_owned(),
                    ));
                }
                let source = match copy.from.parse::<i64>() {
                    Ok(index) => {
                        match usize::try_from(index).ok().filter(|index| *index < self.works.len()) {
                            Some(index) => index,
                            None => return Err(fault(format!("invalid stage index {index}"))),
                        }
                    }
                    Err(_) => self.stage_or_image(&copy.from, instruction.lines),
                };
                Ok(vec![Some(source)])
            }
            Kind::Run(run) => Ok(run
                .mounts
                .iter()
                .map(|mount| mount_origin(mount).map(|from| self.stage_or_image(&from, instruction.lines)))
                .collect()),
            _ => Ok(Vec::new()),
        }
    }

    fn stage_or_image(&mut self, name: &str, lines: Lines) -> usize {
        if let Some(stage) = self.stage_named(name) {
            return stage;
        }
        let same = |work: &Work| work.unregistered && work.origin == name;
        if let Some(known) = self.works.iter().position(same) {
            return known;
        }
        let image =
            Work { origin: name.to_owned(), lines: Some(lines), unregistered: true, ..Work::default() };
        self.works.push(image);
        self.works.len() - 1
    }

    fn refuse_circles(&self) -> Result<(), Fault> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.works.len()];
        for start in 0..self.works.len() {
            // Each entry: a stage, and how many of its needs were followed.
            let mut path = if marks[start] == Mark::New { vec![(start, 0)] } else { Vec::new() };
            while let Some((at, next)) = path.last_mut() {
                marks[*at] = Mark::Open;
                let Some(&(need, lines)) = self.works[*at].needs.get(*next) else {
                    marks[*at] = Mark::Done;
                    path.pop();
                    continue;
                };
                *next += 1;
                match marks[need] {
                    Mark::Open => {
                        let label = &self.works[path[0].0].label;
                        let message = format!("circular dependency detected on stage: {label}");
                        return Err(Fault::new(message).at(lines));
                    }
                    Mark::New => path.push((need, 0)),
                    Mark::Done => {}
                }
            }
        }
        Ok(())
    }

    /// Tells of each stage whether `target` needs it.
    pub(super) fn reachable(&self, target: usize) -> Vec<bool> {
        let mut found = vec![false; self.works.len()];
        let mut open = vec![target];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut found[at], true) {
                open.extend(self.works[at].base);
                open.extend(self.works[at].needs.iter().map(|(need, _)| *need));
            }
        }
        found
    }
}
