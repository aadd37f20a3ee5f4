//! The compiler against the meaning of a filter, and the default profile against what it promises.

use super::compile::compile as instructions;
use super::interpreter::{Call, Ran, check, run};
use super::rule::{Action, Architecture, Comparison, Condition, Filter, Rule, X32_BIT};
use super::*;
use proptest::prelude::*;

const ALL: [Architecture; 5] =
    [Architecture::X86_64, Architecture::X86, Architecture::X32, Architecture::Aarch64, Architecture::Arm];

const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);

/// The meaning of a filter as `rule::Filter` tells it, without any program.
fn meaning(filter: &Filter<'_>, call: &Call) -> Action {
    let x32 = call.audit == Architecture::X86_64.audit() && call.number & !(X32_BIT - 1) != 0;
    let architecture = match ALL.into_iter().find(|known| known.audit() == call.audit) {
        Some(Architecture::X86_64) if x32 => Architecture::X32,
        Some(other) => other,
        None => return Action::KillThread,
    };
    if !filter.architectures.contains(&architecture) {
        // a tracer's way to skip a call
        let skipped = x32 && call.number == u32::MAX && filter.architectures.contains(&Architecture::X86_64);
        return if skipped { filter.default } else { Action::KillThread };
    }
    let mut newest = None;
    let mut conditional = None;
    for rule in &filter.rules {
        let number = syscalls::number(rule.name, architecture);
        newest = newest.max(number);
        if rule.action == filter.default {
            continue;
        }
        if number == Some(call.number) {
            if rule.conditions.is_empty() {
                return rule.action;
            }
            if conditional.is_none()
                && rule.conditions.iter().all(|it| holds(it, rule.name, architecture, call))
            {
                conditional = Some(rule.action);
            }
        }
        if rule.conditions.is_empty()
            && let Some((number, first)) = syscalls::multiplexed(rule.name, architecture)
            && number == call.number
            && first == call.arguments[0] & 0xffff_ffff
            && conditional.is_none()
        {
            conditional = Some(rule.action);
        }
    }
    // A later rule without conditions was looked for above; only now the first conditional one counts.
    conditional.unwrap_or_else(|| match newest {
        Some(newest) if call.number > newest && !filter.default.lets_through() => ENOSYS,
        _ => filter.default,
    })
}

fn holds(condition: &Condition, name: &str, architecture: Architecture, call: &Call) -> bool {
    let low =
        architecture.is_32_bit() || (["socket", "socketpair"].contains(&name) && condition.argument < 3);
    let cut = |value: u64| if low { value & 0xffff_ffff } else { value };
    let argument = cut(call.arguments[usize::from(condition.argument)]);
    let value = cut(condition.value);
    match condition.comparison {
        Comparison::NotEqual => argument != value,
        Comparison::Less => argument < value,
        Comparison::LessOrEqual => argument <= value,
        Comparison::Equal => argument == value,
        Comparison::GreaterOrEqual => argument >= value,
        Comparison::Greater => argument > value,
        Comparison::Masked(mask) => argument & cut(mask) == value,
    }
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Allow),
        Just(Action::KillThread),
        Just(Action::KillProcess),
        Just(Action::Trap),
        Just(Action::Log),
        Just(Action::Notify),
        (0..5_u16).prop_map(Action::Errno),
        (0..5_u16).prop_map(Action::Trace),
    ]
}

/// Values near each other and near the boundary of the halves, so that all outcomes of comparisons occur.
fn value() -> impl Strategy<Value = u64> {
    (prop_oneof![Just(0_u64), Just(1), Just(0xffff_ffff), Just(0x8000_0000)], 0..4_u64).prop_map(
        |(high, low)| {
            let low = [0, 1, 0xffff_fffe, 0xffff_ffff][usize::try_from(low).unwrap()];
            high << 32 | low
        },
    )
}

fn condition() -> impl Strategy<Value = Condition> {
    let comparison = prop_oneof![
        Just(Comparison::NotEqual),
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Equal),
        Just(Comparison::GreaterOrEqual),
        Just(Comparison::Greater),
        value().prop_map(Comparison::Masked),
    ];
    (0..6_u8, comparison, value()).prop_map(|(argument, comparison, value)| Condition {
        argument,
        comparison,
        value,
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    let common =
        prop::sample::select(vec!["read", "socket", "clone", "socketcall", "ipc", "shmget", "prctl"]);
    prop_oneof![common, prop::sample::select(syscalls::names().collect::<Vec<_>>())]
}

fn filter() -> impl Strategy<Value = Filter<'static>> {
    let rule = (name(), action(), prop::collection::vec(condition(), 0..4))
        .prop_map(|(name, action, conditions)| Rule { name, action, conditions: conditions.into() });
    let architectures = prop::sample::subsequence(ALL.to_vec(), 1..=5);
    (action(), architectures, prop::collection::vec(rule, 0..120))
        .prop_map(|(default, architectures, rules)| Filter { default, architectures, rules })
}

fn call() -> impl Strategy<Value = (Option<&'static str>, Architecture, u32, [u64; 6])> {
    let number = prop_oneof![0..500_u32, Just(u32::MAX), X32_BIT..X32_BIT + 600, any::<u32>()];
    (prop::option::of(name()), prop::sample::select(ALL.to_vec()), number, prop::array::uniform6(value()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_compiled_filter_means_what_its_rules_say(
        filter in filter(),
        calls in prop::collection::vec(call(), 60),
    ) {
        let program = program(&filter).unwrap();
        check(&program);
        let named = calls.into_iter().map(|(name, architecture, number, arguments)| {
            let number = name.and_then(|name| syscalls::number(name, architecture)).unwrap_or(number);
            Call { number, audit: architecture.audit(), arguments }
        });
        let ruled = filter.rules.iter().flat_map(|rule| {
            ALL.into_iter().filter_map(|architecture| {
                let number = syscalls::number(rule.name, architecture)?;
                Some(Call { number, audit: architecture.audit(), arguments: [1; 6] })
            })
        });
        let foreign = Call { number: 0, audit: 0xc000_0016, arguments: [0; 6] };
        for call in named.chain(ruled).chain([foreign]) {
            let expected = meaning(&filter, &call);
            prop_assert_eq!(run(&program, &call).value, expected.value(), "{:?}: {:?}", call, expected);
        }
    }
}

/// A program that is so long that comparisons do not reach their targets.
#[test]
fn long_programs_keep_their_meaning() {
    let rules: Vec<Rule<'_>> = syscalls::names()
        .enumerate()
        .map(|(place, name)| {
            let value = place as u64;
            let condition = Condition { argument: 2, comparison: Comparison::Greater, value };
            let action = Action::Errno(u16::try_from(place % 7 + 2).unwrap());
            Rule { name, action, conditions: vec![condition].into() }
        })
        .collect();
    let filter = Filter { default: Action::Allow, architectures: vec![Architecture::X86_64], rules };
    let program = program(&filter).unwrap();
    check(&program);
    assert!(program.len() > 1500);
    for (place, name) in syscalls::names().enumerate() {
        let Some(number) = syscalls::number(name, Architecture::X86_64) else { continue };
        for argument in [0, place as u64, place as u64 + 1, 1 << 32] {
            let call =
                Call { number, audit: Architecture::X86_64.audit(), arguments: [9, 9, argument, 9, 9, 9] };
            assert_eq!(run(&program, &call).value, meaning(&filter, &call).value(), "{name} {argument}");
        }
    }
}

#[test]
fn programs_beyond_the_limit_are_refused() {
    let mut rules = Vec::new();
    for (place, name) in syscalls::names().enumerate() {
        for value in 0..10 {
            let value = place as u64 * 10 + value;
            let condition = Condition { argument: 0, comparison: Comparison::Equal, value };
            let action = Action::Errno(u16::try_from(name.len()).unwrap());
            rules.push(Rule { name, action, conditions: vec![condition].into() });
        }
    }
    let filter = Filter { default: Action::Allow, architectures: vec![Architecture::X86_64], rules };
    assert!(instructions(&filter).unwrap_err().to_string().contains("4096"));
}

fn bits(names: &[&str]) -> u64 {
    names.iter().map(|name| name.parse::<caps::Capability>().unwrap().bitmask()).sum()
}

/// Docker's list, as its documentation has it.
fn default_capabilities() -> u64 {
    bits(&[
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_CHROOT",
    ])
}

#[test]
fn the_embedded_program_is_the_default_profile() {
    assert_eq!(profile::DEFAULT_CAPABILITIES, default_capabilities());
    let embedded = default_filter(default_capabilities());
    assert!(matches!(embedded, Cow::Borrowed(_)));
    let compiled = program(&profile::profile(default_capabilities(), NATIVE)).unwrap();
    assert_eq!(embedded.len(), compiled.len());
    for (left, right) in embedded.iter().zip(&compiled) {
        assert_eq!((left.code, left.jt, left.jf, left.k), (right.code, right.jt, right.jf, right.k));
    }
    check(&embedded);
    assert!(embedded.len() < 500, "{} instructions", embedded.len());
}

#[test]
fn capabilities_without_rules_make_no_difference() {
    assert!(matches!(default_filter(bits(&["CAP_SYS_CHROOT"])), Cow::Borrowed(_)));
    assert!(matches!(default_filter(bits(&["CAP_SYS_CHROOT", "CAP_NET_ADMIN"])), Cow::Borrowed(_)));
    assert!(matches!(default_filter(0), Cow::Owned(_)));
    assert!(matches!(default_filter(u64::MAX), Cow::Owned(_)));
}

#[test]
fn the_default_profile_compiles_for_every_call_and_every_capability() {
    for native in [Architecture::X86_64, Architecture::Aarch64] {
        let each = (0..41).map(|capability| 1 << capability);
        for capabilities in each.chain([0, default_capabilities(), u64::MAX]) {
            let filter = profile::profile(capabilities, native);
            let program = program(&filter).unwrap();
            check(&program);
            for name in syscalls::names() {
                for architecture in ALL {
                    let Some(number) = syscalls::number(name, architecture) else { continue };
                    for arguments in [[0; 6], [40; 6], [0x1000_0000; 6], [u64::MAX; 6]] {
                        let call = Call { number, audit: architecture.audit(), arguments };
                        let expected = meaning(&filter, &call);
                        assert_eq!(run(&program, &call).value, expected.value(), "{name} {call:?}");
                    }
                }
            }
        }
    }
}

/// What the default filter answers to a call by name.
#[cfg(target_arch = "x86_64")]
fn answer(capabilities: u64, architecture: Architecture, name: &str, first: u64) -> Ran {
    let number = syscalls::number(name, architecture).unwrap();
    let call = Call { number, audit: architecture.audit(), arguments: [first, 0, 0, 0, 0, 0] };
    run(&default_filter(capabilities), &call)
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_default_profile_is_dockers() {
    const NEWUSER: u64 = 0x1000_0000;
    const THREAD: u64 = 0x003d_0f00;
    let default = default_capabilities();
    let admin = default | bits(&["CAP_SYS_ADMIN"]);
    for architecture in [Architecture::X86_64, Architecture::X86, Architecture::X32] {
        for (capabilities, name, first, action) in [
            (default, "read", 0, Action::Allow),
            (default, "ptrace", 0, Action::Allow),
            (default, "chroot", 0, Action::Allow),
            (0, "chroot", 0, EPERM),
            (default, "mount", 0, EPERM),
            (admin, "mount", 0, Action::Allow),
            (default, "unshare", 0, EPERM),
            (default, "setns", 0, EPERM),
            (default, "keyctl", 0, EPERM),
            (admin, "keyctl", 0, EPERM),
            (default, "bpf", 0, EPERM),
            (default | bits(&["CAP_BPF"]), "bpf", 0, Action::Allow),
            (default, "io_uring_setup", 0, EPERM),
            (default, "clone", THREAD, Action::Allow),
            (default, "clone", THREAD | NEWUSER, EPERM),
            (default, "clone", 0x0002_0000, EPERM),
            (admin, "clone", NEWUSER, Action::Allow),
            (default, "clone3", 0, ENOSYS),
            (admin, "clone3", 0, Action::Allow),
            (default, "personality", 0, Action::Allow),
            (default, "personality", 0x0002_0008, Action::Allow),
            (default, "personality", 0x0004_0000, EPERM),
            (default, "personality", 0xffff_ffff, Action::Allow),
            (default, "socket", 2, Action::Allow),
            (default, "socket", 38, EPERM),
            (default, "socket", 39, Action::Allow),
            (default, "socket", 40, EPERM),
            (default, "socket", 41, Action::Allow),
            (default, "socket", 0x1_0000_0028, EPERM),
        ] {
            let value = answer(capabilities, architecture, name, first).value;
            assert_eq!(value, action.value(), "{architecture:?} {name} {first:#x}");
        }
    }
    // newer than what the profile knows; on x32 the numbers say nothing about age
    assert_eq!(answer(default, Architecture::X86_64, "file_setattr", 0).value, ENOSYS.value());
    assert_eq!(answer(default, Architecture::X86, "file_setattr", 0).value, ENOSYS.value());
    // clone flags are a whole register: a bit up there is no reason to let one down here through
    assert_eq!(answer(default, Architecture::X86_64, "clone", 1 << 40 | NEWUSER).value, EPERM.value());
    // only x86 has it as one call, and any use of it is allowed
    assert_eq!(answer(default, Architecture::X86, "socketcall", 1).value, Action::Allow.value());
}

/// The kernel remembers numbers that are allowed without a look at the arguments; the rest of them is fast.
#[test]
#[cfg(target_arch = "x86_64")]
fn common_calls_need_few_instructions() {
    for name in ["read", "write", "futex", "openat", "epoll_wait", "newfstatat", "execve", "exit_group"] {
        let ran = answer(default_capabilities(), Architecture::X86_64, name, 0);
        assert!(!ran.looked_at_arguments, "{name}");
        assert!(ran.instructions <= 14, "{name}: {}", ran.instructions);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_list_of_what_is_denied_covers_both_ways_to_call_on_x86() {
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
        {"names": ["bind", "shmget"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]}"#;
    let program = from_json(text, 0).unwrap();
    let value = |name: &str, first| {
        let number = syscalls::number(name, Architecture::X86).unwrap();
        let audit = Architecture::X86.audit();
        run(&program, &Call { number, audit, arguments: [first, 0, 0, 0, 0, 0] }).value
    };
    let denied = Action::Errno(13).value();
    assert_eq!(value("bind", 0), denied);
    assert_eq!(value("socketcall", 2), denied);
    assert_eq!(value("ipc", 23), denied);
    assert_eq!(value("socketcall", 1), Action::Allow.value());
    assert_eq!(value("ipc", 1), Action::Allow.value());
}

#[test]
fn a_profile_file_without_restrictions_is_an_empty_filter() {
    assert!(from_json("{}", 0).unwrap().is_empty());
    assert_eq!(from_json(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#, 0).unwrap().last().unwrap().code, 6);
}

/// The same by the kernel itself, in a thread of its own: a filter binds one thread and what comes from it.
#[test]
fn the_kernel_takes_the_default_filter_and_obeys() {
    use nix::errno::Errno;
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, setns, unshare};
    use rustix::net::{AddressFamily, SocketType, socket};

    let attempts = || {
        let nowhere = "/nonexistent/place";
        [
            // the kernel would look for the place first, and a thread cannot have another user namespace
            mount(Some("none"), nowhere, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap_err(),
            unshare(CloneFlags::CLONE_NEWUSER).unwrap_err(),
            setns(std::fs::File::open("/dev/null").unwrap(), CloneFlags::empty()).unwrap_err(),
        ]
    };
    let filtered = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        crate::sys::seccomp::install(&default_filter(default_capabilities())).unwrap();
        assert!(socket(AddressFamily::INET, SocketType::STREAM, None).is_ok());
        let vsock = socket(AddressFamily::VSOCK, SocketType::STREAM, None).unwrap_err();
        assert_eq!(vsock, rustix::io::Errno::PERM);
        // the C library tries clone3, and takes only ENOSYS as a reason for clone
        assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
        attempts()
    });
    assert_eq!(filtered.join().unwrap(), [Errno::EPERM; 3]);
    let free = attempts();
    assert!(free.iter().all(|errno| *errno != Errno::EPERM), "{free:?}");
}
