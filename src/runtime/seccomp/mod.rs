//! Which system calls a container may make.
//!
//! ```text
//! profile.rs   Docker's default profile as a table            ─┐
//! json.rs      a profile file, of Docker's format or OCI's ─►  ├─► rule::Filter ─► compile.rs ─► sock_filter
//! oci.rs       the `linux.seccomp` of a runtime Spec          ─┘
//! ```
//!
//! `rule.rs` says what a filter means, `syscalls.rs` knows the numbers. Nearly every container has the
//! default capabilities and the default profile, so `build.rs` compiles that one (with these same files),
//! and starting a container compiles nothing.

mod compile;
#[cfg(test)]
mod interpreter;
mod json;
mod oci;
mod profile;
mod rule;
mod syscalls;

use anyhow::{Context as _, Result};
use oci_spec::runtime::LinuxSeccomp;
use rule::{Architecture, Filter};
use std::borrow::Cow;

pub use json::parse;

/// The default profile under the default capabilities.
static DEFAULT: &[libc::sock_filter] = &include!(concat!(env!("OUT_DIR"), "/default_filter.rs"));

/// The architecture that this program is made for.
const NATIVE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };

/// The default profile for a container with `capabilities` in its bounding set, as bits: bit n is the
/// capability of number n.
pub fn default_filter(capabilities: u64) -> Cow<'static, [libc::sock_filter]> {
    let relevant = profile::relevant_capabilities();
    if capabilities & relevant == profile::DEFAULT_CAPABILITIES & relevant {
        return Cow::Borrowed(DEFAULT);
    }
    let filter = profile::profile(capabilities, NATIVE);
    Cow::Owned(program(&filter).expect("the default profile is far below the limit"))
}

/// Compiles a profile file for a container with `capabilities` in its bounding set: Docker's format, with
/// its conditions on capabilities, architecture and kernel, or that of the runtime specification. An empty
/// filter means that the profile restricts nothing.
pub fn from_json(text: &str, capabilities: u64) -> Result<Vec<libc::sock_filter>> {
    parse(text, capabilities)?.map_or(Ok(Vec::new()), |seccomp| compile(&seccomp))
}

/// Compiles the `linux.seccomp` of a runtime Spec.
pub fn compile(seccomp: &LinuxSeccomp) -> Result<Vec<libc::sock_filter>> {
    let filter = oci::filter(seccomp).context("read the seccomp profile")?;
    program(&filter).context("compile the seccomp profile")
}

/// An argument of a call, a mask, and what the argument is under that mask.
pub type Bits = (u8, u64, u64);

/// Compiles a filter that leaves the calls in `names` to whoever listens, and lets all others through: each
/// without a condition, or with one.
pub fn notifying(names: &[(&str, Option<Bits>)]) -> Result<Vec<libc::sock_filter>> {
    let rules = names.iter().map(|(name, bits)| rule::Rule {
        name,
        action: rule::Action::Notify,
        conditions: bits
            .map(|(argument, mask, value)| {
                let comparison = rule::Comparison::Masked(mask);
                rule::Condition { argument, comparison, value }
            })
            .into_iter()
            .collect(),
    });
    let architectures = match NATIVE {
        Architecture::Aarch64 => vec![Architecture::Aarch64, Architecture::Arm],
        _ => vec![Architecture::X86_64, Architecture::X32, Architecture::X86],
    };
    let filter = Filter { default: rule::Action::Allow, architectures, rules: rules.collect() };
    program(&filter).context("compile the filter")
}

fn program(filter: &Filter<'_>) -> Result<Vec<libc::sock_filter>, compile::TooLong> {
    let instructions = compile::compile(filter)?;
    Ok(instructions
        .into_iter()
        .map(|compile::Instruction { code, jt, jf, k }| libc::sock_filter { code, jt, jf, k })
        .collect())
}

#[cfg(test)]
mod tests;
