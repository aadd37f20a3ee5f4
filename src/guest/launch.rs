//! The last step of a container's init, and with `--init` the process that stays as its reaper.
//!
//! # Why there is such a program
//!
//! When a program is started, the process that starts it has an executable of its own until execve(2)
//! succeeds, and `/proc/self/exe` leads to it. An image can make its entry point (or the `#!` line of it)
//! `/proc/self/exe` and so run, read, or by way of `/proc/PID/exe` later write, whatever that executable is
//! (CVE-2019-5736). It must therefore not be the user's own coracle file. Init puts this program into a
//! sealed memfd and executes that after everything else is set up: what an image can reach is these few
//! kilobytes, which hold no secret and cannot be written.
//!
//! With `--init` it stays resident, and then its size is what an idle container costs.
//!
//! # Arguments
//!
//! ```text
//! argv[0]   "coracle-init", for people who look at ps(1)
//! argv[1]   MODE ":" STATUS-FD [":k"]
//! argv[2]   absolute path of the program, already resolved
//! argv[3..] argv of the program, from its argv[0] on
//! envp      environment of the program
//! ```
//!
//! MODE `exec` becomes the program. MODE `reap` forks, and the child becomes the program. `:k` asks for
//! SIGKILL when the parent dies.
//!
//! STATUS-FD is the write end of a pipe (or a socket), open across the execution of this program; it is
//! closed when the container's program runs. If that cannot be executed, the errno is written to it as an
//! `i32` in the machine's byte order, before anything else happens. So the reader gets four bytes, or end
//! of file and knows that the program runs.
//!
//! # Exit status
//!
//! That of the program, or 128 + n if signal n ended it (only `reap` can tell); 127 if there is no such
//! program, 126 if it cannot be executed, 125 if the arguments make no sense.
//!
//! # What it may call
//!
//! It runs with the container's ids, capabilities and seccomp filter: only calls that Docker's default
//! profile allows.

#![no_std]
#![no_main]
#![no_builtins]

mod kernel;

use kernel::{Arguments, Control, Waited, signal};

/// What argv\[1\] asks for.
struct Order {
    reap: bool,
    status_fd: i32,
    dies_with_parent: bool,
}

impl Order {
    fn parse(word: &[u8]) -> Option<Order> {
        let (reap, mut rest) = match word.split_at_checked(5)? {
            (b"exec:", rest) => (false, rest),
            (b"reap:", rest) => (true, rest),
            _ => return None,
        };
        let mut status_fd = None;
        while let [digit @ b'0'..=b'9', tail @ ..] = rest {
            let number = status_fd.unwrap_or(0_i32).checked_mul(10)?;
            status_fd = Some(number.checked_add(i32::from(digit - b'0'))?);
            rest = tail;
        }
        let dies_with_parent = match rest {
            b"" => false,
            b":k" => true,
            _ => return None,
        };
        Some(Order { reap, status_fd: status_fd?, dies_with_parent })
    }
}

/// Called by `kernel` with what the kernel put on the stack.
fn program(arguments: Arguments) -> u8 {
    let Some(order) = arguments.get(1).and_then(Order::parse) else { return 125 };
    let (Some(path), Some(_)) = (arguments.get(2), arguments.get(3)) else { return 125 };
    kernel::close_on_exec(order.status_fd);
    if order.dies_with_parent {
        kernel::control(Control::ParentDeathSignal, signal::KILL as usize);
    }
    if order.reap { reap(&order, path, arguments) } else { execute(&order, path, arguments) }
}

/// Becomes the program; returns the exit status for its absence.
fn execute(order: &Order, path: &[u8], arguments: Arguments) -> u8 {
    const ENOENT: i32 = 2;
    const ENOTDIR: i32 = 20;
    let errno = kernel::execute(path, arguments.from(3), arguments.environment());
    kernel::write(order.status_fd, &errno.to_ne_bytes());
    if errno == ENOENT || errno == ENOTDIR { 127 } else { 126 }
}

/// Starts the program as a child, passes signals on to it, and collects every process that ends.
fn reap(order: &Order, path: &[u8], arguments: Arguments) -> u8 {
    // Signals that a fault of this program itself would raise keep their action; the rest is taken
    // synchronously. A blocked signal is kept pending even for process 1, which ignores unhandled ones.
    let faults =
        [signal::ILL, signal::TRAP, signal::ABRT, signal::BUS, signal::FPE, signal::SEGV, signal::SYS];
    let taken = faults.iter().fold(!0_u64, |set, signal| set & !(1 << (signal - 1)));
    // An ignored SIGCHLD would make the kernel reap in our place, and the exit status would be lost.
    signal::set_default(signal::CHLD);
    let before = signal::set_mask(taken);

    let child = kernel::fork();
    if child == 0 {
        // Its own group in the foreground, so that the terminal's signals reach the program directly and
        // this process does not get and forward them a second time. SIGTTOU is blocked here still.
        kernel::lead_group();
        kernel::set_foreground(0, kernel::pid());
        if order.dies_with_parent {
            kernel::control(Control::ParentDeathSignal, signal::KILL as usize);
        }
        signal::set_mask(before);
        return execute(order, path, arguments);
    }
    if child < 0 {
        kernel::write(order.status_fd, &(-child).to_ne_bytes());
        return 126;
    }
    kernel::close(order.status_fd);
    kernel::set_name(c"coracle-init");
    if kernel::pid() != 1 {
        // With the host's process namespace, orphans would go to the host's init.
        kernel::control(Control::ChildSubreaper, 1);
    }

    loop {
        let signal = signal::wait(taken);
        if signal > 0 && signal != signal::CHLD as i32 {
            kernel::kill(child, signal);
            continue;
        }
        // One SIGCHLD may stand for many children.
        while let Waited::Child(pid, status) = kernel::reap() {
            if pid == child {
                return exit_code(status);
            }
        }
    }
}

/// The shell's reading of a wait status.
fn exit_code(status: i32) -> u8 {
    match status & 0x7f {
        0 => (status >> 8) as u8,
        signal => 128 + signal as u8,
    }
}
