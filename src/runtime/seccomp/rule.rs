//! The words of a filter: what is compared with what, and what then happens.

use std::borrow::Cow;

/// Bit 30 of a system call number of x86_64 marks a call of the x32 ABI.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// What happens to a system call. `SECCOMP_RET_*` of seccomp(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// SIGSYS ends the thread.
    KillThread,
    /// SIGSYS ends the process.
    KillProcess,
    /// SIGSYS is raised, and can be caught.
    Trap,
    /// It fails with this errno.
    Errno(u16),
    /// Somebody else decides: seccomp_unotify(2).
    Notify,
    /// A tracer is told this number, if there is one.
    Trace(u16),
    /// It is made and logged.
    Log,
    /// It is made.
    Allow,
}

impl Action {
    /// The value that a filter returns.
    pub(super) const fn value(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0,
            Action::Trap => 0x0003_0000,
            Action::Errno(errno) => 0x0005_0000 | errno as u32,
            Action::Notify => 0x7fc0_0000,
            Action::Trace(message) => 0x7ff0_0000 | message as u32,
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }

    /// Whether a call that nobody has heard of is made.
    pub(super) const fn lets_through(self) -> bool {
        matches!(self, Action::Allow | Action::Log | Action::Trace(_))
    }
}

/// How an argument is compared, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Comparison {
    /// `argument != value`
    NotEqual,
    /// `argument < value`
    Less,
    /// `argument <= value`
    LessOrEqual,
    /// `argument == value`
    Equal,
    /// `argument >= value`
    GreaterOrEqual,
    /// `argument > value`
    Greater,
    /// `argument & mask == value`
    Masked(u64),
}

/// A condition on one argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Condition {
    /// Which, from 0 to 5.
    pub(super) argument: u8,
    pub(super) comparison: Comparison,
    pub(super) value: u64,
}

/// What happens to the call `name` if all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule<'a> {
    pub(super) name: &'a str,
    pub(super) action: Action,
    pub(super) conditions: Cow<'a, [Condition]>,
}

/// A set of numbers for system calls. One kernel has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Architecture {
    X86_64,
    X32,
    X86,
    Aarch64,
    Arm,
}

impl Architecture {
    /// `AUDIT_ARCH_*`, which a filter is told. x32 is told apart by the call number.
    pub(super) const fn audit(self) -> u32 {
        match self {
            Architecture::X86_64 | Architecture::X32 => 0xc000_003e,
            Architecture::X86 => 0x4000_0003,
            Architecture::Aarch64 => 0xc000_00b7,
            Architecture::Arm => 0x4000_0028,
        }
    }

    /// Whether the kernel reads only the low half of each argument.
    pub(super) const fn is_32_bit(self) -> bool {
        matches!(self, Architecture::X86 | Architecture::Arm)
    }
}

/// A whole filter, before it is compiled.
///
/// libseccomp's reading, which the profiles in the world were tried with:
/// - a rule with the default action has no effect;
/// - the first rule without conditions decides about its call, wherever it stands;
/// - else the first rule whose conditions all hold decides;
/// - else, and for calls that no rule names, the default action;
/// - on an architecture that is not listed, the thread is killed.
///
/// And runc's: a call that is newer than all that the rules name, that is, of a higher number, fails with
/// ENOSYS, so that programs fall back to the older call, unless the default action lets it through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter<'a> {
    pub(super) default: Action,
    pub(super) architectures: Vec<Architecture>,
    pub(super) rules: Vec<Rule<'a>>,
}
