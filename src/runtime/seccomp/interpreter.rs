//! The kernel's side of a filter, for tests: runs a program on a `struct seccomp_data`, with the kernel's
//! checks of what may be in a program.

use super::compile::code;
use libc::sock_filter;

/// What a filter is told about a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) audit: u32,
    pub(super) arguments: [u64; 6],
}

impl Call {
    /// `struct seccomp_data`: number, architecture, instruction pointer, arguments.
    fn data(&self) -> [u8; 64] {
        let mut data = [0; 64];
        data[0..4].copy_from_slice(&self.number.to_le_bytes());
        data[4..8].copy_from_slice(&self.audit.to_le_bytes());
        data[8..16].copy_from_slice(&0x7f00_dead_beef_u64.to_le_bytes());
        for (place, argument) in data[16..].chunks_exact_mut(8).zip(self.arguments) {
            place.copy_from_slice(&argument.to_le_bytes());
        }
        data
    }
}

/// What running a filter showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) value: u32,
    pub(super) instructions: usize,
    /// Whether an argument was loaded: then the kernel cannot remember the answer.
    pub(super) looked_at_arguments: bool,
}

/// Runs `program` on `call`.
pub(super) fn run(program: &[sock_filter], call: &Call) -> Ran {
    let data = call.data();
    let mut accumulator = 0_u32;
    let mut counter = 0;
    let mut looked_at_arguments = false;
    for instructions in 1.. {
        let sock_filter { code, jt, jf, k } = program[counter];
        counter += 1;
        let holds = match code {
            code::LOAD => {
                let offset = k as usize;
                looked_at_arguments |= offset >= 16;
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
                continue;
            }
            code::AND => {
                accumulator &= k;
                continue;
            }
            code::JUMP => {
                counter += k as usize;
                continue;
            }
            code::RETURN => return Ran { value: k, instructions, looked_at_arguments },
            code::JUMP_EQUAL => accumulator == k,
            code::JUMP_GREATER => accumulator > k,
            code::JUMP_GREATER_OR_EQUAL => accumulator >= k,
            other => panic!("instruction {other:#x}"),
        };
        counter += usize::from(if holds { jt } else { jf });
    }
    unreachable!("every program ends")
}

/// The kernel's own checks before it takes a program.
pub(super) fn check(program: &[sock_filter]) {
    assert!(!program.is_empty() && program.len() <= 4096, "{} instructions", program.len());
    for (at, instruction) in program.iter().enumerate() {
        let rest = program.len() - at - 1;
        match instruction.code {
            code::LOAD => assert!(instruction.k.is_multiple_of(4) && instruction.k < 64),
            code::JUMP => assert!((instruction.k as usize) < rest),
            code::JUMP_EQUAL | code::JUMP_GREATER | code::JUMP_GREATER_OR_EQUAL => {
                assert!(usize::from(instruction.jt) < rest && usize::from(instruction.jf) < rest);
            }
            code::AND | code::RETURN => {}
            other => panic!("instruction {other:#x}"),
        }
    }
    assert_eq!(program.last().unwrap().code, code::RETURN);
}
