//! Makes what the product embeds: the guest programs, and the default seccomp profile as a program.
//!
//! A guest program is a Rust file of `src/guest/` that runs inside containers: static, a few kilobytes, no
//! `std`, no C library. Cargo cannot build a program for embedding into another without unstable features,
//! so this calls the same compiler that Cargo uses, which needs nothing but the target's `core`.

// The compiler of seccomp profiles, which has no dependencies; the crate uses more of it than this.
#[path = "src/runtime/seccomp/compile.rs"]
mod compile;
#[allow(dead_code)]
#[path = "src/runtime/seccomp/profile.rs"]
mod profile;
#[allow(dead_code)]
#[path = "src/runtime/seccomp/rule.rs"]
mod rule;
#[path = "src/runtime/seccomp/syscalls.rs"]
mod syscalls;

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/guest");
    for program in ["launch", "hello"] {
        compile_guest(program)?;
    }
    println!("cargo::rerun-if-changed=src/runtime/seccomp");
    compile_default_filter()
}

/// Compiles `src/guest/<program>.rs` to a static executable `<program>` in `OUT_DIR`.
fn compile_guest(program: &str) -> Result<(), Box<dyn Error>> {
    let output = PathBuf::from(env::var("OUT_DIR")?).join(program);
    let mut rustc = Command::new(env::var_os("RUSTC").ok_or("RUSTC is not set")?);
    rustc
        .arg(format!("src/guest/{program}.rs"))
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", program])
        .args(["--target", &env::var("TARGET")?])
        .arg("-o")
        .arg(&output)
        .args(["-D", "warnings"])
        .args(["-C", "opt-level=s", "-C", "panic=abort", "-C", "codegen-units=1", "-C", "debuginfo=0"])
        // A fixed address and no start files: the file needs no relocation before its first instruction.
        .args(["-C", "relocation-model=static", "-C", "target-feature=+crt-static"])
        .args(["-C", "default-linker-libraries=no", "-C", "force-unwind-tables=no", "-C", "strip=symbols"])
        .args(["-nostartfiles", "-nostdlib", "-static", "-no-pie"].map(|arg| format!("-Clink-arg={arg}")))
        // All of it in as few pages as it can be.
        .args(
            ["--build-id=none", "--gc-sections", "-z,norelro", "-z,noseparate-code", "-z,noexecstack"]
                .map(|arg| format!("-Clink-arg=-Wl,{arg}")),
        );
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut argument = std::ffi::OsString::from("linker=");
        argument.push(linker);
        rustc.arg("-C").arg(argument);
    }
    let status = rustc.status()?;
    if !status.success() {
        return Err(format!("compile guest program {program}: rustc: {status}").into());
    }
    Ok(())
}

/// Writes the default profile under the default capabilities as an array of `libc::sock_filter`.
fn compile_default_filter() -> Result<(), Box<dyn Error>> {
    let native = match env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => rule::Architecture::X86_64,
        "aarch64" => rule::Architecture::Aarch64,
        other => return Err(format!("{other}: the system calls of this architecture are not known").into()),
    };
    let program = compile::compile(&profile::profile(profile::DEFAULT_CAPABILITIES, native))?;
    let mut text = String::from("[\n");
    for compile::Instruction { code, jt, jf, k } in program {
        let (high, low) = (k >> 16, k & 0xffff);
        writeln!(
            text,
            "libc::sock_filter {{ code: {code}, jt: {jt}, jf: {jf}, k: 0x{high:04x}_{low:04x} }},"
        )?;
    }
    text.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("default_filter.rs"), text)?;
    Ok(())
}
