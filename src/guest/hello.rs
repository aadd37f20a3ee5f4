//! The program of the embedded `hello-world` image: a greeting, and what it finds from inside.
//!
//! Everything below the greeting is observed, not told: it is read from /proc and asked of the kernel, so
//! that the report is true whatever coracle believes.

#![no_std]
#![no_main]
#![no_builtins]

mod kernel;

use core::ffi::CStr;
use kernel::Arguments;

const GREETING: &[u8] = b"
Hello from coracle!
This message shows that your installation appears to be working correctly.

How it came to you:
 1. The command you typed found the image in your store, or unpacked the copy
    that every coracle binary carries.
 2. It made a container: a directory with a configuration, and a file system
    of the image's layer below a writable one.
 3. A supervisor made namespaces and limits for it, and started this program
    as its first process. No daemon and no root was asked.
 4. The program writes this text, the supervisor passes it on to you, and
    both end.

What the program finds from inside:
";

const NAMESPACES: [&CStr; 8] = [
    c"/proc/self/ns/user",
    c"/proc/self/ns/mnt",
    c"/proc/self/ns/pid",
    c"/proc/self/ns/net",
    c"/proc/self/ns/ipc",
    c"/proc/self/ns/uts",
    c"/proc/self/ns/cgroup",
    c"/proc/self/ns/time",
];

/// Called by `kernel` with what the kernel put on the stack.
fn program(_: Arguments) -> u8 {
    let mut out = Text { bytes: [0; 4096], length: 0 };
    let mut buffer = [0; 4096];
    out.push(GREETING);

    let ids = map_size(kernel::read_file(c"/proc/self/uid_map", &mut buffer));
    // A map of all ids is real root's, or that of the first namespace, whose number never changes
    // (PROC_USER_INIT_INO of the kernel).
    let is_first = kernel::read_link(NAMESPACES[0], &mut buffer) == b"user:[4026531837]";
    out.label(b"privilege level");
    out.push(match ids {
        0 => b"unknown: no /proc/self/uid_map".as_slice(),
        1 => b"single (one user id)",
        _ if is_first => b"none (no user namespace)",
        0xffff_ffff.. => b"root (all user ids, in a user namespace)",
        _ => b"subuid or root (a range of user ids)",
    });
    out.push(b"\n");

    out.label(b"user");
    out.push(b"uid ");
    out.number(u64::from(kernel::uid()));
    out.push(b", gid ");
    out.number(u64::from(kernel::gid()));
    out.push(b"\n");

    out.map(b"uid map", kernel::read_file(c"/proc/self/uid_map", &mut buffer));
    out.map(b"gid map", kernel::read_file(c"/proc/self/gid_map", &mut buffer));

    let mut names = [0; 65 * 6];
    out.label(b"host name");
    out.push(kernel::host_name(&mut names));
    out.push(b"\n");

    let mut label: &[u8] = b"namespaces";
    for path in NAMESPACES {
        let link = kernel::read_link(path, &mut buffer);
        if !link.is_empty() {
            out.label(label);
            out.push(link);
            out.push(b"\n");
            label = b"";
        }
    }

    let status = kernel::read_file(c"/proc/self/status", &mut buffer);
    out.label(b"capabilities");
    out.push(field(status, b"CapEff:"));
    out.push(b" (effective)\n");
    out.label(b"seccomp");
    out.push(match field(status, b"Seccomp:") {
        b"0" => b"off".as_slice(),
        b"1" => b"strict",
        b"2" => b"filter",
        _ => b"unknown",
    });
    out.push(b"\n");
    out.label(b"no_new_privs");
    out.push(match field(status, b"NoNewPrivs:") {
        b"0" => b"off".as_slice(),
        b"1" => b"on",
        _ => b"unknown",
    });
    out.push(b"\n\nFor something larger, try:  coracle run -it debian bash\n\n");

    kernel::write(1, &out.bytes[..out.length]);
    0
}

/// The text being made, written in one go.
struct Text {
    bytes: [u8; 4096],
    length: usize,
}

impl Text {
    /// Appends as much of `bytes` as there is room for.
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = *byte;
                self.length += 1;
            }
        }
    }

    fn number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[first..]);
    }

    /// Begins a line of the report.
    fn label(&mut self, label: &[u8]) {
        const WIDTH: usize = 17;
        self.push(b"  ");
        self.push(label);
        for _ in label.len()..WIDTH {
            self.push(b" ");
        }
    }

    /// An id map, a line for each of its ranges.
    fn map(&mut self, label: &[u8], map: &[u8]) {
        let mut label = label;
        for line in map.split(|byte| *byte == b'\n') {
            let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
            let (Some(inside), Some(outside), Some(count)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            self.label(label);
            self.push(inside);
            self.push(b" here is ");
            self.push(outside);
            self.push(b" one namespace up, ");
            self.push(count);
            self.push(if count == b"1" { b" id\n" } else { b" ids\n" });
            label = b"";
        }
    }
}

/// How many ids a map of /proc/PID/uid_map has.
fn map_size(map: &[u8]) -> u64 {
    let mut total = 0_u64;
    for line in map.split(|byte| *byte == b'\n') {
        let words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let count = words.last().unwrap_or(b"");
        total += count.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0')));
    }
    total
}

/// The value of a field of /proc/PID/status.
fn field<'a>(status: &'a [u8], name: &[u8]) -> &'a [u8] {
    status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(name))
        .map_or(b"", |value| value.trim_ascii())
}
