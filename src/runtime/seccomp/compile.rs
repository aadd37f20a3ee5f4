//! A filter as a program for the kernel: classic BPF over `struct seccomp_data`.
//!
//! # The shape of the program
//!
//! ```text
//! load arch ─ which? ─ not listed ──────────────────────────────► kill
//!               │
//!           load nr ─ binary tree over ranges of numbers ──┬────► one action for the range
//!                                                          └────► load args, compare ─► action
//! ```
//!
//! Most of a profile is "allow", so neighbouring numbers with the same outcome are one range, and a tree
//! over the ranges decides in about seven comparisons. Arguments are loaded only at the leaves: since
//! Linux 5.11 the kernel runs a new filter once for each number, and remembers those that it allows without
//! looking at arguments; for them the filter costs nothing from then on.
//!
//! # How it is made
//!
//! Jumps go forward only, by at most 255 instructions for a comparison. The program is therefore made from
//! its end: when a jump is written, its targets exist and their distance is known. A target that is too far
//! is reached through another jump, or, if it only returns, through a copy of it.

use super::rule::{Action, Architecture, Comparison, Condition, Filter, X32_BIT};
use super::syscalls;
use std::collections::BTreeMap;
use std::fmt;

/// `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

/// A filter that the kernel would refuse, being longer than `BPF_MAXINSNS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong(usize);

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instructions, more than the {MAX_INSTRUCTIONS} that the kernel takes", self.0)
    }
}

impl std::error::Error for TooLong {}

const MAX_INSTRUCTIONS: usize = 4096;

/// Operation codes: class, size or operation, mode or source.
pub(super) mod code {
    /// Loads the word at offset k of `struct seccomp_data`.
    pub(in super::super) const LOAD: u16 = 0x20;
    pub(in super::super) const AND: u16 = 0x54;
    pub(in super::super) const JUMP: u16 = 0x05;
    pub(in super::super) const JUMP_EQUAL: u16 = 0x15;
    pub(in super::super) const JUMP_GREATER: u16 = 0x25;
    pub(in super::super) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
    pub(in super::super) const RETURN: u16 = 0x06;
}

/// Offsets in `struct seccomp_data`. Its words are in the machine's order, and all machines here are little
/// endian: the low half of an argument comes first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Compiles `filter`.
pub(super) fn compile(filter: &Filter<'_>) -> Result<Vec<Instruction>, TooLong> {
    let mut program = Program::default();
    let mut next = program.end(Action::KillThread);
    let mut audits: Vec<u32> = filter.architectures.iter().map(|architecture| architecture.audit()).collect();
    audits.sort_unstable();
    audits.dedup();
    for audit in audits {
        let ranges = ranges(filter, audit);
        let tree = program.tree(&ranges);
        let section = program.load(NUMBER, tree);
        next = program.branch(code::JUMP_EQUAL, audit, section, next);
    }
    program.load(ARCHITECTURE, next);

    let mut instructions = program.reversed;
    if instructions.len() > MAX_INSTRUCTIONS {
        return Err(TooLong(instructions.len()));
    }
    instructions.reverse();
    Ok(instructions)
}

/// Which half of an argument decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Low,
    Whole,
}

/// What happens to one call: the action of the first case whose tests all hold, else the last word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    cases: Vec<(Vec<(Condition, Width)>, Action)>,
    otherwise: Action,
}

impl Outcome {
    fn plain(action: Action) -> Outcome {
        Outcome { cases: Vec::new(), otherwise: action }
    }
}

/// A range of call numbers from `start` to that of the next.
struct Range {
    start: u32,
    outcome: Outcome,
}

/// Partitions all numbers of the architectures that share `audit` into ranges.
fn ranges(filter: &Filter<'_>, audit: u32) -> Vec<Range> {
    const ENOSYS: u16 = 38;
    let mut ranges = Vec::new();
    let mut push = |start: u32, outcome: Outcome| match ranges.last() {
        Some(Range { outcome: last, .. }) if *last == outcome => {}
        _ => ranges.push(Range { start, outcome }),
    };
    // x86_64 has two halves, which differ by a bit of the number.
    let halves: &[(u32, Architecture)] = match filter.architectures.iter().find(|a| a.audit() == audit) {
        Some(Architecture::X86_64 | Architecture::X32) => {
            &[(0, Architecture::X86_64), (X32_BIT, Architecture::X32)]
        }
        Some(Architecture::X86) => &[(0, Architecture::X86)],
        Some(Architecture::Aarch64) => &[(0, Architecture::Aarch64)],
        Some(Architecture::Arm) => &[(0, Architecture::Arm)],
        None => &[],
    };
    for (start, architecture) in halves {
        if !filter.architectures.contains(architecture) {
            push(*start, Outcome::plain(Action::KillThread));
            if *start == X32_BIT {
                // A tracer puts -1 there to have the call skipped; that is no call of x32.
                push(u32::MAX, Outcome::plain(filter.default));
            }
            continue;
        }
        push(*start, Outcome::plain(filter.default));
        let mut after = *start;
        let (outcomes, newest) = outcomes(filter, *architecture);
        for (number, outcome) in outcomes {
            if number > after {
                push(after, Outcome::plain(filter.default));
            }
            push(number, outcome);
            after = number + 1;
        }
        match newest {
            Some(newest) if !filter.default.lets_through() => {
                if newest >= after {
                    push(after, Outcome::plain(filter.default));
                }
                push(newest + 1, Outcome::plain(Action::Errno(ENOSYS)));
            }
            _ => push(after, Outcome::plain(filter.default)),
        }
    }
    ranges
}

/// The outcome of every call of `architecture` that a rule decides about, and the highest number that the
/// rules name at all.
fn outcomes(filter: &Filter<'_>, architecture: Architecture) -> (BTreeMap<u32, Outcome>, Option<u32>) {
    let mut outcomes = BTreeMap::<u32, Outcome>::new();
    let mut newest = None;
    for rule in &filter.rules {
        if let Some(number) = syscalls::number(rule.name, architecture) {
            newest = newest.max(Some(number));
            if rule.action != filter.default {
                let tests = rule
                    .conditions
                    .iter()
                    .map(|condition| (*condition, width(rule.name, condition.argument, architecture)));
                add(&mut outcomes, number, tests.collect(), rule.action, filter.default);
            }
        }
        // The other conditions cannot be tested there: the arguments are behind a pointer.
        if let (Some((number, value)), true) =
            (syscalls::multiplexed(rule.name, architecture), rule.conditions.is_empty())
            && rule.action != filter.default
        {
            let condition = Condition { argument: 0, comparison: Comparison::Equal, value };
            add(&mut outcomes, number, vec![(condition, Width::Low)], rule.action, filter.default);
        }
    }
    (outcomes, newest)
}

fn add(
    outcomes: &mut BTreeMap<u32, Outcome>,
    number: u32,
    tests: Vec<(Condition, Width)>,
    action: Action,
    default: Action,
) {
    let outcome = outcomes.entry(number).or_insert_with(|| Outcome::plain(default));
    // Rules with the default action are not added, so another last word comes from an earlier rule
    // without conditions.
    if outcome.otherwise != default {
        return;
    }
    if tests.is_empty() {
        *outcome = Outcome::plain(action);
    } else {
        outcome.cases.push((tests, action));
    }
}

/// How much of an argument the kernel reads. A call that takes an `int` does not look at the upper half of
/// the register: a filter that does can be talked into letting `1 << 32 | AF_VSOCK` through, as a family
/// that is greater than AF_VSOCK.
fn width(name: &str, argument: u8, architecture: Architecture) -> Width {
    let takes_int = match name {
        "socket" | "socketpair" => argument < 3,
        _ => false,
    };
    if architecture.is_32_bit() || takes_int { Width::Low } else { Width::Whole }
}

/// An instruction that exists, counted from the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Label(usize);

/// A program under construction, last instruction first.
#[derive(Default)]
struct Program {
    reversed: Vec<Instruction>,
    outcomes: BTreeMap<Outcome, Label>,
}

impl Program {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }

    /// How many instructions lie between the one that is pushed next and `target`.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - target.0 - 1
    }

    fn end(&mut self, action: Action) -> Label {
        self.push(code::RETURN, 0, 0, action.value())
    }

    /// Loads a word, then goes on at `next`.
    fn load(&mut self, offset: u32, next: Label) -> Label {
        self.follow(next);
        self.push(code::LOAD, 0, 0, offset)
    }

    /// Makes sure that what is pushed next is followed by `next`.
    fn follow(&mut self, next: Label) {
        let distance = self.distance(next);
        if distance > 0 {
            self.jump(next);
        }
    }

    fn jump(&mut self, target: Label) -> Label {
        let distance =
            u32::try_from(self.distance(target)).expect("a program has fewer than 2^32 instructions");
        let there = self.reversed[target.0];
        if there.code == code::RETURN {
            self.push(code::RETURN, 0, 0, there.k)
        } else {
            self.push(code::JUMP, 0, 0, distance)
        }
    }

    /// `target`, or a stand-in for it that a comparison can reach with `between` instructions in between.
    fn reach(&mut self, target: Label, between: usize) -> Label {
        if u8::try_from(self.distance(target) + between).is_ok() { target } else { self.jump(target) }
    }

    /// Compares what was loaded with `k`.
    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        let no = self.reach(no, 1);
        let yes = self.reach(yes, 0);
        let jt = u8::try_from(self.distance(yes)).expect("the target is in reach");
        let jf = u8::try_from(self.distance(no)).expect("the target is in reach");
        self.push(code, jt, jf, k)
    }

    /// A binary search of the loaded number in `ranges`.
    fn tree(&mut self, ranges: &[Range]) -> Label {
        match ranges {
            [] => self.end(Action::KillThread),
            [only] => self.outcome(&only.outcome),
            // a single number inside a range
            [before, hole, after] if before.outcome == after.outcome && after.start - hole.start == 1 => {
                let around = self.outcome(&before.outcome);
                let inside = self.outcome(&hole.outcome);
                self.branch(code::JUMP_EQUAL, hole.start, inside, around)
            }
            _ => {
                let (lower, upper) = ranges.split_at(ranges.len() / 2);
                let start = upper[0].start;
                let upper = self.tree(upper);
                let lower = self.tree(lower);
                self.branch(code::JUMP_GREATER_OR_EQUAL, start, upper, lower)
            }
        }
    }

    fn outcome(&mut self, outcome: &Outcome) -> Label {
        if let Some(label) = self.outcomes.get(outcome) {
            return *label;
        }
        let mut label = self.end(outcome.otherwise);
        for (tests, action) in outcome.cases.iter().rev() {
            let mut yes = self.end(*action);
            for (condition, width) in tests.iter().rev() {
                yes = self.test(condition, *width, yes, label);
            }
            label = yes;
        }
        self.outcomes.insert(outcome.clone(), label);
        label
    }

    /// Tests one argument.
    fn test(&mut self, condition: &Condition, width: Width, yes: Label, no: Label) -> Label {
        let low = ARGUMENTS + 8 * u32::from(condition.argument);
        let high = low + 4;
        let (value_high, value) = halves(condition.value);
        let (comparison, yes, no) = match condition.comparison {
            Comparison::NotEqual => (Comparison::Equal, no, yes),
            Comparison::Less => (Comparison::GreaterOrEqual, no, yes),
            Comparison::LessOrEqual => (Comparison::Greater, no, yes),
            other => (other, yes, no),
        };
        let code = match comparison {
            Comparison::Greater => code::JUMP_GREATER,
            Comparison::GreaterOrEqual => code::JUMP_GREATER_OR_EQUAL,
            _ => code::JUMP_EQUAL,
        };
        let (mask_high, mask) = match comparison {
            Comparison::Masked(mask) => halves(mask),
            _ => (u32::MAX, u32::MAX),
        };
        let lower = self.test_half(low, mask, code, value, yes, no);
        if width == Width::Low || (mask_high == 0 && value_high == 0) {
            return lower;
        }
        if code == code::JUMP_EQUAL {
            return self.test_half(high, mask_high, code, value_high, lower, no);
        }
        let equal = self.branch(code::JUMP_EQUAL, value_high, lower, no);
        let above = self.branch(code::JUMP_GREATER, value_high, yes, equal);
        self.load(high, above)
    }

    fn test_half(&mut self, offset: u32, mask: u32, code: u16, value: u32, yes: Label, no: Label) -> Label {
        let mut label = self.branch(code, value, yes, no);
        if mask != u32::MAX {
            self.follow(label);
            label = self.push(code::AND, 0, 0, mask);
        }
        self.load(offset, label)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it takes 64 bits apart")]
fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}
