//! Docker's default profile, as a table of facts: what a container may call, and under which capabilities.
//!
//! Calls that are not named here fail with EPERM. The profile is the one of moby/profiles of summer 2026,
//! less what only architectures have that coracle does not run on, and less its conditions on the kernel's
//! version: the newest they ask for is 4.8, and coracle needs a later one.

use super::rule::{Action, Architecture, Comparison, Condition, Filter, Rule};
use std::borrow::Cow;

/// The capabilities of a container without `--cap-add` and `--cap-drop`, as bits.
pub(super) const DEFAULT_CAPABILITIES: u64 = bit(0)   // CHOWN
    | bit(1)    // DAC_OVERRIDE
    | bit(3)    // FOWNER
    | bit(4)    // FSETID
    | bit(5)    // KILL
    | bit(6)    // SETGID
    | bit(7)    // SETUID
    | bit(8)    // SETPCAP
    | bit(10)   // NET_BIND_SERVICE
    | bit(13)   // NET_RAW
    | bit(SYS_CHROOT)
    | bit(27)   // MKNOD
    | bit(29)   // AUDIT_WRITE
    | bit(31); // SETFCAP

const DAC_READ_SEARCH: u8 = 2;
const SYS_MODULE: u8 = 16;
const SYS_RAWIO: u8 = 17;
const SYS_CHROOT: u8 = 18;
const SYS_PTRACE: u8 = 19;
const SYS_PACCT: u8 = 20;
const SYS_ADMIN: u8 = 21;
const SYS_BOOT: u8 = 22;
const SYS_NICE: u8 = 23;
const SYS_TIME: u8 = 25;
const SYS_TTY_CONFIG: u8 = 26;
const SYSLOG: u8 = 34;
const PERFMON: u8 = 38;
const BPF: u8 = 39;

const ENOSYS: u16 = 38;
const EPERM: u16 = 1;

/// All of CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

/// Where an entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// With this capability in the bounding set.
    With(u8),
    /// Without it.
    Without(u8),
    /// On x86_64.
    On86,
    /// On aarch64.
    OnArm,
}

impl When {
    fn holds(self, capabilities: u64, native: Architecture) -> bool {
        match self {
            When::Always => true,
            When::With(capability) => capabilities & bit(capability) != 0,
            When::Without(capability) => capabilities & bit(capability) == 0,
            When::On86 => native == Architecture::X86_64,
            When::OnArm => native == Architecture::Aarch64,
        }
    }
}

struct Entry {
    names: &'static [&'static str],
    action: Action,
    conditions: &'static [Condition],
    when: When,
}

const fn bit(capability: u8) -> u64 {
    1 << capability
}

const fn first(comparison: Comparison, value: u64) -> Condition {
    Condition { argument: 0, comparison, value }
}

/// The capabilities that the profile asks about: all others make no difference to it.
pub(super) fn relevant_capabilities() -> u64 {
    ENTRIES.iter().fold(0, |bits, entry| match entry.when {
        When::With(capability) | When::Without(capability) => bits | bit(capability),
        When::Always | When::On86 | When::OnArm => bits,
    })
}

/// The profile for a container with these capabilities in its bounding set.
pub(super) fn profile(capabilities: u64, native: Architecture) -> Filter<'static> {
    let rules = ENTRIES
        .iter()
        .filter(|entry| entry.when.holds(capabilities, native))
        .flat_map(|entry| {
            entry.names.iter().map(|name| Rule {
                name,
                action: entry.action,
                conditions: Cow::Borrowed(entry.conditions),
            })
        })
        .collect();
    let architectures = match native {
        Architecture::Aarch64 | Architecture::Arm => vec![Architecture::Aarch64, Architecture::Arm],
        Architecture::X86_64 | Architecture::X32 | Architecture::X86 => {
            vec![Architecture::X86_64, Architecture::X86, Architecture::X32]
        }
    };
    Filter { default: Action::Errno(EPERM), architectures, rules }
}

#[rustfmt::skip]
const ALWAYS: &[&str] = &[
    "_llseek", "_newselect", "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk", "cachestat",
    "capget", "capset", "chdir", "chmod", "chown", "chown32", "clock_adjtime", "clock_adjtime64",
    "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "close", "close_range", "connect", "copy_file_range", "creat", "dup", "dup2",
    "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve", "execveat", "exit", "exit_group",
    "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fanotify_mark", "fchdir",
    "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync",
    "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr", "fstat", "fstat64",
    "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "futex", "futex_requeue",
    "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_robust_list",
    "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "getegid32", "geteuid",
    "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getitimer", "getpeername", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid",
    "getresuid32", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid",
    "gettimeofday", "getuid", "getuid32", "getxattr", "getxattrat", "inotify_add_watch", "inotify_init",
    "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
    "io_pgetevents_time64", "io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set", "ipc", "kill",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32",
    "lgetxattr", "link", "linkat", "listen", "listmount", "listxattr", "listxattrat", "llistxattr",
    "lremovexattr", "lseek", "lsetxattr", "lstat", "lstat64", "madvise", "map_shadow_stack", "membarrier",
    "memfd_create", "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2",
    "mlockall", "mmap", "mmap2", "mprotect", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
    "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64", "mq_unlink", "mremap", "mseal",
    "msgctl", "msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap", "name_to_handle_at",
    "nanosleep", "newfstatat", "open", "openat", "openat2", "pause", "pidfd_open", "pidfd_send_signal",
    "pipe", "pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl",
    "pread64", "preadv", "preadv2", "prlimit64", "process_mrelease", "pselect6", "pselect6_time64",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "recv",
    "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "remap_file_pages", "removexattr",
    "removexattrat", "rename", "renameat", "renameat2", "restart_syscall", "rmdir", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr",
    "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop",
    "semtimedop", "semtimedop_time64", "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto",
    "set_robust_list", "set_thread_area", "set_tid_address", "setfsgid", "setfsgid32", "setfsuid",
    "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setitimer", "setpgid", "setpriority",
    "setregid", "setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid",
    "setreuid32", "setrlimit", "setsid", "setsockopt", "setuid", "setuid32", "setxattr", "setxattrat",
    "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4", "sigprocmask",
    "sigreturn", "socketcall", "socketpair", "splice", "stat", "stat64", "statfs", "statfs64", "statmount",
    "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill",
    "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
    "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
    "timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit",
    "umask", "uname", "unlink", "unlinkat", "uretprobe", "utime", "utimensat", "utimensat_time64", "utimes",
    "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write", "writev",
];

/// In the order of their origin. `socket` leaves out AF_ALG (38) and AF_VSOCK (40).
#[rustfmt::skip]
const ENTRIES: &[Entry] = &[
    Entry { names: ALWAYS, action: Action::Allow, conditions: &[], when: When::Always },
    Entry { names: &[
        "process_vm_readv", "process_vm_writev", "ptrace",
    ], action: Action::Allow, conditions: &[], when: When::Always },
    Entry { names: &[
        "socket",
    ], action: Action::Allow, conditions: &[first(Comparison::Less, 38)], when: When::Always },
    Entry { names: &[
        "socket",
    ], action: Action::Allow, conditions: &[first(Comparison::Equal, 39)], when: When::Always },
    Entry { names: &[
        "socket",
    ], action: Action::Allow, conditions: &[first(Comparison::Greater, 40)], when: When::Always },
    Entry { names: &[
        "personality",
    ], action: Action::Allow, conditions: &[first(Comparison::Equal, 0)], when: When::Always },
    Entry { names: &[
        "personality",
    ], action: Action::Allow, conditions: &[first(Comparison::Equal, 8)], when: When::Always },
    Entry { names: &[
        "personality",
    ], action: Action::Allow, conditions: &[first(Comparison::Equal, 0x0002_0000)], when: When::Always },
    Entry { names: &[
        "personality",
    ], action: Action::Allow, conditions: &[first(Comparison::Equal, 0x0002_0008)], when: When::Always },
    Entry { names: &[
        "personality",
    ], action: Action::Allow, conditions: &[first(Comparison::Equal, 0xffff_ffff)], when: When::Always },
    Entry { names: &[
        "arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls",
    ], action: Action::Allow, conditions: &[], when: When::OnArm },
    Entry { names: &["arch_prctl"], action: Action::Allow, conditions: &[], when: When::On86 },
    Entry { names: &["modify_ldt"], action: Action::Allow, conditions: &[], when: When::On86 },
    Entry { names: &[
        "open_by_handle_at",
    ], action: Action::Allow, conditions: &[], when: When::With(DAC_READ_SEARCH) },
    Entry { names: &[
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick",
        "lookup_dcookie", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "mount",
        "mount_setattr", "move_mount", "open_tree", "perf_event_open", "quotactl", "quotactl_fd",
        "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2", "unshare",
    ], action: Action::Allow, conditions: &[], when: When::With(SYS_ADMIN) },
    Entry { names: &[
        "clone",
    ], action: Action::Allow, conditions: &[first(Comparison::Masked(NAMESPACE_FLAGS), 0)], when: When::Without(SYS_ADMIN) },
    Entry { names: &[
        "clone3",
    ], action: Action::Errno(ENOSYS), conditions: &[], when: When::Without(SYS_ADMIN) },
    Entry { names: &["reboot"], action: Action::Allow, conditions: &[], when: When::With(SYS_BOOT) },
    Entry { names: &["chroot"], action: Action::Allow, conditions: &[], when: When::With(SYS_CHROOT) },
    Entry { names: &[
        "delete_module", "finit_module", "init_module",
    ], action: Action::Allow, conditions: &[], when: When::With(SYS_MODULE) },
    Entry { names: &["acct"], action: Action::Allow, conditions: &[], when: When::With(SYS_PACCT) },
    Entry { names: &[
        "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace",
    ], action: Action::Allow, conditions: &[], when: When::With(SYS_PTRACE) },
    Entry { names: &["ioperm", "iopl"], action: Action::Allow, conditions: &[], when: When::With(SYS_RAWIO) },
    Entry { names: &[
        "clock_settime", "clock_settime64", "settimeofday", "stime",
    ], action: Action::Allow, conditions: &[], when: When::With(SYS_TIME) },
    Entry { names: &["vhangup"], action: Action::Allow, conditions: &[], when: When::With(SYS_TTY_CONFIG) },
    Entry { names: &[
        "get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node",
    ], action: Action::Allow, conditions: &[], when: When::With(SYS_NICE) },
    Entry { names: &["syslog"], action: Action::Allow, conditions: &[], when: When::With(SYSLOG) },
    Entry { names: &["bpf"], action: Action::Allow, conditions: &[], when: When::With(BPF) },
    Entry { names: &["perf_event_open"], action: Action::Allow, conditions: &[], when: When::With(PERFMON) },
];
