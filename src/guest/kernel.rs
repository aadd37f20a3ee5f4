//! The kernel as the guest programs see it: the entry point, raw system calls, and nothing of a C library.
//!
//! Every program in this folder is a crate of its own that `build.rs` compiles without `std`; this file is
//! a module of each of them, so not every program uses all of it.

#![allow(dead_code)]

use core::arch::{asm, global_asm};

/// System call numbers.
#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const GETPID: usize = 39;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const UNAME: usize = 63;
    pub const FCNTL: usize = 72;
    pub const GETUID: usize = 102;
    pub const GETGID: usize = 104;
    pub const SETPGID: usize = 109;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const PRCTL: usize = 157;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const READLINKAT: usize = 267;
}

/// System call numbers.
#[cfg(target_arch = "aarch64")]
mod number {
    pub const FCNTL: usize = 25;
    pub const IOCTL: usize = 29;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const READLINKAT: usize = 78;
    pub const EXIT_GROUP: usize = 94;
    pub const KILL: usize = 129;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const SETPGID: usize = 154;
    pub const UNAME: usize = 160;
    pub const PRCTL: usize = 167;
    pub const GETPID: usize = 172;
    pub const GETUID: usize = 174;
    pub const GETGID: usize = 176;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
}

// The kernel starts a program with the stack pointer at argc, and nothing to return to. The ABI wants a
// zero frame pointer in the outermost frame and a stack aligned to 16 bytes before a call.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {start}",
    "brk #1",
    start = sym start,
);

/// The first Rust code to run: makes argc, argv and envp into a type and hands it to the program.
extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: `_start` passes the initial stack pointer, where the kernel has put argc.
    let count = unsafe { stack.read() };
    // SAFETY: argv follows argc on the initial stack.
    let words = unsafe { stack.add(1) }.cast::<*const u8>();
    exit(crate::program(Arguments { words, count }))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    exit(125)
}

/// Named by the unwind tables of the precompiled `core`. Nothing unwinds here, so it is never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// What the kernel put on the initial stack: argc words of argv, a null, the environment, a null.
#[derive(Clone, Copy)]
pub struct Arguments {
    words: *const *const u8,
    count: usize,
}

impl Arguments {
    /// The argument at `index`, without its terminating null byte.
    pub fn get(self, index: usize) -> Option<&'static [u8]> {
        if index >= self.count {
            return None;
        }
        // SAFETY: `index` is below argc, and argv has argc pointers.
        let word = unsafe { self.words.add(index).read() };
        let mut length = 0;
        // SAFETY: the kernel ends every argument with a null byte, where this loop stops.
        while unsafe { word.add(length).read() } != 0 {
            length += 1;
        }
        // SAFETY: the `length` bytes before the null were just read; the initial stack is never unmapped.
        Some(unsafe { core::slice::from_raw_parts(word, length) })
    }

    /// The arguments from `index` on, as execve(2) takes them.
    pub fn from(self, index: usize) -> *const *const u8 {
        // SAFETY: argv has argc pointers and a null, so an index up to argc stays inside it.
        unsafe { self.words.add(index.min(self.count)) }
    }

    /// The environment, as execve(2) takes it.
    pub fn environment(self) -> *const *const u8 {
        // SAFETY: the environment follows the null after argv.
        unsafe { self.words.add(self.count + 1) }
    }
}

/// One system call with up to five arguments; negative results are errno.
///
/// # Safety
/// Every argument that the call takes as a pointer must be valid for what the call does with it.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the kernel changes only rax, rcx and r11; memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// One system call with up to five arguments; negative results are errno.
///
/// # Safety
/// Every argument that the call takes as a pointer must be valid for what the call does with it.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, arguments: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the kernel changes only x0; memory is the caller's promise.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") arguments[0] => result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            options(nostack),
        );
    }
    result
}

/// Ends the program.
pub fn exit(code: u8) -> ! {
    loop {
        // SAFETY: exit_group(2) takes an integer and does not return.
        unsafe { call(number::EXIT_GROUP, [usize::from(code), 0, 0, 0, 0]) };
    }
}

/// write(2), repeated until all bytes are out or one call fails.
pub fn write(fd: i32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let arguments = [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0];
        // SAFETY: pointer and length are those of a slice.
        let written = unsafe { call(number::WRITE, arguments) };
        match usize::try_from(written) {
            Ok(written) if written <= bytes.len() => bytes = &bytes[written..],
            _ => return,
        }
    }
}

/// Reads a file of /proc into `buffer` from its beginning; empty if it cannot be read.
pub fn read_file<'a>(path: &core::ffi::CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    const AT_FDCWD: isize = -100;
    const O_CLOEXEC: usize = 0o2_000_000;
    // SAFETY: the path ends with a null byte.
    let fd = unsafe { call(number::OPENAT, [AT_FDCWD as usize, path.as_ptr() as usize, O_CLOEXEC, 0, 0]) };
    if fd < 0 {
        return &[];
    }
    let mut length = 0;
    while length < buffer.len() {
        let rest = &mut buffer[length..];
        // SAFETY: pointer and length are those of a mutable slice.
        let got = unsafe { call(number::READ, [fd as usize, rest.as_mut_ptr() as usize, rest.len(), 0, 0]) };
        if got <= 0 {
            break;
        }
        length += got as usize;
    }
    close(fd as i32);
    &buffer[..length.min(buffer.len())]
}

/// readlink(2) into `buffer`; empty if there is no such link.
pub fn read_link<'a>(path: &core::ffi::CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    const AT_FDCWD: isize = -100;
    let arguments =
        [AT_FDCWD as usize, path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0];
    // SAFETY: the path ends with a null byte; pointer and length are those of a mutable slice.
    let length = unsafe { call(number::READLINKAT, arguments) };
    &buffer[..usize::try_from(length).unwrap_or(0).min(buffer.len())]
}

/// The host name, from uname(2), in `buffer`.
pub fn host_name(buffer: &mut [u8; 65 * 6]) -> &[u8] {
    // SAFETY: the kernel fills a struct of six fields of 65 bytes, which the buffer holds.
    unsafe { call(number::UNAME, [buffer.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    let name = &buffer[65..130];
    &name[..name.iter().position(|byte| *byte == 0).unwrap_or(0)]
}

/// close(2).
pub fn close(fd: i32) {
    // SAFETY: close(2) takes an integer; no program here uses a descriptor after closing it.
    unsafe { call(number::CLOSE, [fd as usize, 0, 0, 0, 0]) };
}

/// Makes the kernel close `fd` at the next successful execve(2).
pub fn close_on_exec(fd: i32) {
    const F_SETFD: usize = 2;
    const FD_CLOEXEC: usize = 1;
    // SAFETY: F_SETFD takes integers only.
    unsafe { call(number::FCNTL, [fd as usize, F_SETFD, FD_CLOEXEC, 0, 0]) };
}

/// getpid(2).
pub fn pid() -> i32 {
    // SAFETY: getpid(2) takes nothing.
    unsafe { call(number::GETPID, [0; 5]) as i32 }
}

/// getuid(2).
pub fn uid() -> u32 {
    // SAFETY: getuid(2) takes nothing.
    unsafe { call(number::GETUID, [0; 5]) as u32 }
}

/// getgid(2).
pub fn gid() -> u32 {
    // SAFETY: getgid(2) takes nothing.
    unsafe { call(number::GETGID, [0; 5]) as u32 }
}

/// prctl(2) operations that take one integer.
pub enum Control {
    /// The signal this process gets when the thread that made it ends.
    ParentDeathSignal = 1,
    /// Orphans below this process become its children.
    ChildSubreaper = 36,
}

/// prctl(2) with an integer.
pub fn control(operation: Control, value: usize) {
    // SAFETY: the operations of `Control` take an integer.
    unsafe { call(number::PRCTL, [operation as usize, value, 0, 0, 0]) };
}

/// Names the process for ps(1) and top(1).
pub fn set_name(name: &core::ffi::CStr) {
    const PR_SET_NAME: usize = 15;
    // SAFETY: the name ends with a null byte; the kernel reads at most 16 bytes and stops there.
    unsafe { call(number::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0]) };
}

/// fork(2): zero in the child, the child's pid or an errno below zero in the parent.
pub fn fork() -> i32 {
    // SAFETY: a clone(2) with a signal and no flags shares no memory: the child has a copy of this stack.
    unsafe { call(number::CLONE, [signal::CHLD as usize, 0, 0, 0, 0]) as i32 }
}

/// execve(2); returns the errno, because it only returns on failure.
pub fn execute(path: &[u8], argv: *const *const u8, envp: *const *const u8) -> i32 {
    // SAFETY: all three come from the initial stack, where the kernel ended strings with a null byte and
    // lists with a null pointer.
    let result =
        unsafe { call(number::EXECVE, [path.as_ptr() as usize, argv as usize, envp as usize, 0, 0]) };
    -(result as i32)
}

/// A child that has ended, or why there is none.
pub enum Waited {
    /// This child ended with this wait status.
    Child(i32, i32),
    /// No child has ended, or there is none.
    Nobody,
}

/// wait4(2) for any child, without waiting.
pub fn reap() -> Waited {
    const WNOHANG: usize = 1;
    let mut status = 0_i32;
    let arguments = [-1_isize as usize, (&raw mut status) as usize, WNOHANG, 0, 0];
    // SAFETY: the kernel writes one integer to `status`.
    let pid = unsafe { call(number::WAIT4, arguments) as i32 };
    if pid > 0 { Waited::Child(pid, status) } else { Waited::Nobody }
}

/// kill(2). A target that is gone needs no signal, so there is nothing to report.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: kill(2) takes integers.
    unsafe { call(number::KILL, [pid as usize, signal as usize, 0, 0, 0]) };
}

/// setpgid(2): the calling process leads a new process group.
pub fn lead_group() {
    // SAFETY: setpgid(2) takes integers.
    unsafe { call(number::SETPGID, [0; 5]) };
}

/// tcsetpgrp(3): makes `group` the foreground group of the terminal `fd`; nothing if `fd` is no terminal.
pub fn set_foreground(fd: i32, group: i32) {
    const TIOCSPGRP: usize = 0x5410;
    // SAFETY: TIOCSPGRP reads one integer at the address given.
    unsafe { call(number::IOCTL, [fd as usize, TIOCSPGRP, (&raw const group) as usize, 0, 0]) };
}

/// Signals, and sets of them: bit n-1 of a set is signal n.
pub mod signal {
    use super::{call, number};

    pub const ILL: u32 = 4;
    pub const TRAP: u32 = 5;
    pub const ABRT: u32 = 6;
    pub const BUS: u32 = 7;
    pub const FPE: u32 = 8;
    pub const KILL: u32 = 9;
    pub const SEGV: u32 = 11;
    pub const CHLD: u32 = 17;
    pub const SYS: u32 = 31;

    const SET_SIZE: usize = 8;

    /// Replaces the mask of blocked signals; returns the old one.
    pub fn set_mask(mask: u64) -> u64 {
        const SIG_SETMASK: usize = 2;
        let mut old = 0_u64;
        let arguments = [SIG_SETMASK, (&raw const mask) as usize, (&raw mut old) as usize, SET_SIZE, 0];
        // SAFETY: the kernel reads one set of eight bytes and writes another.
        unsafe { call(number::RT_SIGPROCMASK, arguments) };
        old
    }

    /// Gives `signal` its default action back.
    pub fn set_default(signal: u32) {
        // handler SIG_DFL, no flags, no restorer, empty mask
        let action = [0_u64; 4];
        let arguments = [signal as usize, action.as_ptr() as usize, 0, SET_SIZE, 0];
        // SAFETY: the kernel reads a struct of at most four words; SIG_DFL installs no code.
        unsafe { call(number::RT_SIGACTION, arguments) };
    }

    /// Waits for one of the blocked signals in `set`; below zero if interrupted.
    pub fn wait(set: u64) -> i32 {
        let arguments = [(&raw const set) as usize, 0, 0, SET_SIZE, 0];
        // SAFETY: the kernel reads one set of eight bytes; the null pointers ask for no details, no timeout.
        unsafe { call(number::RT_SIGTIMEDWAIT, arguments) as i32 }
    }
}

// The compiler may emit calls of these for copies and comparisons of any size. The crates here are
// `no_builtins`, so the loops are not turned into calls of themselves.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for i in 0..count {
        // SAFETY: the compiler passes two areas of `count` bytes.
        unsafe { to.add(i).write(from.add(i).read()) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    for i in 0..count {
        // SAFETY: the compiler passes an area of `count` bytes.
        unsafe { to.add(i).write(value as u8) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    for i in 0..count {
        // SAFETY: the compiler passes two areas of `count` bytes.
        let (left, right) = unsafe { (left.add(i).read(), right.add(i).read()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(left, right, count) }
}
