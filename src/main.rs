//! The program: words from the command line to one of its roles.

use std::process::ExitCode;

use coracle::{build, cli, container, network};

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    // The hidden roles come first, and cost nothing.
    match words.nth(1).as_ref().and_then(|word| word.to_str()) {
        Some(container::supervise::ROLE) => container::supervise::main(),
        Some(network::router::ROLE) => network::router::main(words),
        Some(network::router::annex::ROLE) => network::router::annex::main(),
        Some(build::solve::ROLE) => build::solve::main(),
        Some(cli::FETCH_ROLE) => cli::fetch(words),
        _ => cli::main(std::env::args_os()),
    }
}
