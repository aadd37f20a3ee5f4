//! The `linux.seccomp` of a runtime Spec as a filter.

use super::NATIVE;
use super::rule::{Action, Architecture, Comparison, Condition, Filter, Rule};
use anyhow::{Context as _, Result, bail, ensure};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator};
use std::borrow::Cow;

/// Reads `seccomp`. Names that the table of calls does not have are calls that this kernel does not have
/// either, on any architecture in question; rules for them are kept and mean nothing.
pub(super) fn filter(seccomp: &LinuxSeccomp) -> Result<Filter<'_>> {
    let default = action(seccomp.default_action(), seccomp.default_errno_ret())?;
    // The native one is always meant; those of other kernels are no concern of this one.
    let mut architectures = vec![NATIVE];
    for listed in seccomp.architectures().iter().flatten() {
        if let Some(architecture) = architecture(*listed)
            && !architectures.contains(&architecture)
        {
            architectures.push(architecture);
        }
    }
    let mut rules = Vec::new();
    for call in seccomp.syscalls().iter().flatten() {
        let action = action(call.action(), call.errno_ret())
            .with_context(|| format!("rule for {}", call.names().join(", ")))?;
        for conditions in alternatives(call.args().as_deref().unwrap_or_default())? {
            for name in call.names() {
                rules.push(Rule { name, action, conditions: Cow::Owned(conditions.clone()) });
            }
        }
    }
    let notifies = rules.iter().any(|rule| rule.action == Action::Notify);
    ensure!(!notifies && default != Action::Notify, "SCMP_ACT_NOTIFY needs a listener, and there is none");
    Ok(Filter { default, architectures, rules })
}

/// The conditions of one rule, which must all hold; or of several, if an argument is named twice: then
/// runc takes each condition for a rule of its own.
fn alternatives(args: &[LinuxSeccompArg]) -> Result<Vec<Vec<Condition>>> {
    let mut conditions = Vec::with_capacity(args.len());
    let mut twice = false;
    for arg in args {
        ensure!(arg.index() < 6, "argument {}: a system call has six, from 0 on", arg.index());
        let argument = u8::try_from(arg.index()).context("read the index of an argument")?;
        let (comparison, value) = comparison(arg);
        twice |= conditions.iter().any(|earlier: &Condition| earlier.argument == argument);
        conditions.push(Condition { argument, comparison, value });
    }
    if twice {
        return Ok(conditions.into_iter().map(|condition| vec![condition]).collect());
    }
    Ok(vec![conditions])
}

fn comparison(arg: &LinuxSeccompArg) -> (Comparison, u64) {
    let comparison = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => Comparison::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => Comparison::Less,
        LinuxSeccompOperator::ScmpCmpLe => Comparison::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => Comparison::Equal,
        LinuxSeccompOperator::ScmpCmpGe => Comparison::GreaterOrEqual,
        LinuxSeccompOperator::ScmpCmpGt => Comparison::Greater,
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            return (Comparison::Masked(arg.value()), arg.value_two().unwrap_or(0));
        }
    };
    (comparison, arg.value())
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<Action> {
    const EPERM: u16 = 1;
    let number = match errno.map(u16::try_from) {
        None => EPERM,
        Some(Ok(number)) if number < 4096 => number,
        Some(_) => bail!("errno {} is out of range", errno.unwrap_or_default()),
    };
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => Action::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => Action::KillProcess,
        LinuxSeccompAction::ScmpActTrap => Action::Trap,
        LinuxSeccompAction::ScmpActErrno => Action::Errno(number),
        LinuxSeccompAction::ScmpActNotify => Action::Notify,
        LinuxSeccompAction::ScmpActTrace => Action::Trace(number),
        LinuxSeccompAction::ScmpActLog => Action::Log,
        LinuxSeccompAction::ScmpActAllow => Action::Allow,
    })
}

fn architecture(listed: Arch) -> Option<Architecture> {
    match listed {
        Arch::ScmpArchNative => Some(NATIVE),
        Arch::ScmpArchX86_64 => Some(Architecture::X86_64),
        Arch::ScmpArchX32 => Some(Architecture::X32),
        Arch::ScmpArchX86 => Some(Architecture::X86),
        Arch::ScmpArchAarch64 => Some(Architecture::Aarch64),
        Arch::ScmpArchArm => Some(Architecture::Arm),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<(String, Action, Vec<Condition>)>> {
        let seccomp: LinuxSeccomp = serde_json::from_str(json).unwrap();
        let filter = filter(&seccomp)?;
        Ok(filter
            .rules
            .iter()
            .map(|rule| (rule.name.to_owned(), rule.action, rule.conditions.to_vec()))
            .collect())
    }

    #[test]
    fn conditions_on_one_argument_are_alternatives() {
        let rules = read(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["socket", "socketpair"],
                "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [
                {"index": 0, "value": 16, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 240, "valueTwo": 32, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#,
        )
        .unwrap();
        let first = Condition { argument: 0, comparison: Comparison::Equal, value: 16 };
        let second = Condition { argument: 0, comparison: Comparison::Masked(240), value: 32 };
        let rule = |name: &str, condition| (name.to_owned(), Action::Errno(97), vec![condition]);
        assert_eq!(
            rules,
            [
                rule("socket", first),
                rule("socketpair", first),
                rule("socket", second),
                rule("socketpair", second)
            ]
        );
    }

    #[test]
    fn conditions_on_several_arguments_belong_together() {
        let rules = read(
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["prctl"], "action": "SCMP_ACT_KILL_PROCESS",
                "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_NE"}, {"index": 1, "value": 2, "op": "SCMP_CMP_LE"}]}]}"#,
        )
        .unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].1, Action::KillProcess);
        assert_eq!(rules[0].2.len(), 2);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (syscall, text) in [
            (r#""action": "SCMP_ACT_NOTIFY""#, "listener"),
            (r#""action": "SCMP_ACT_ERRNO", "errnoRet": 70000"#, "70000"),
            (
                r#""action": "SCMP_ACT_LOG", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]"#,
                "argument 6",
            ),
        ] {
            let json = format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["read"], {syscall}}}]}}"#
            );
            let error = format!("{:#}", read(&json).unwrap_err());
            assert!(error.contains(text), "{error}");
        }
    }
}
