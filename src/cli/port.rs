//! `port`

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use clap::{Args, FromArgMatches};

use super::grammar::{Arity, Rules};
use super::report::response;
use super::session::Session;
use super::tree::Spec;
use super::verbs::find;
use crate::container::{self, Status};

/// `port`
pub(super) const SPEC: Spec = Spec {
    paths: &["container port", "port"],
    about: "List port mappings or a specific mapping for the container",
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    rules: Rules { arity: Arity::Between(1, 2), interspersed: true, absent: &[] },
    define: PortArgs::augment_args,
    run: |matches, session| run(&PortArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct PortArgs {
    /// Container and port
    #[arg(value_name = "CONTAINER")]
    words: Vec<String>,
}

fn run(args: &PortArgs, session: &Session) -> Result<u8> {
    let (name, wanted) = match args.words.as_slice() {
        [name] => (name, None),
        [name, port] => (name, Some(port.as_str())),
        _ => anyhow::bail!("port takes a container and at most one port"),
    };
    let dir = find(session, name)?;
    let ports = match container::observe_and_mend(&dir).map_err(response)? {
        Status::Running(alive) => alive.ports,
        _ => Vec::new(),
    };
    let mut lines: Vec<(u16, &str, SocketAddr)> = ports
        .iter()
        .map(|port| {
            (port.container_port, port.protocol.name(), SocketAddr::new(port.host_ip, port.host_port))
        })
        .collect();
    lines.sort_unstable();
    let mut text = String::new();
    if let Some(wanted) = wanted {
        let (number, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
        let number: u16 = number.parse().map_err(|_| anyhow!("invalid port '{wanted}': invalid syntax"))?;
        for (_, _, address) in lines.iter().filter(|line| line.0 == number && line.1 == protocol) {
            let _ = writeln!(text, "{address}");
        }
        if text.is_empty() {
            anyhow::bail!("no public port '{wanted}' published for {name}");
        }
    } else {
        for (number, protocol, address) in lines {
            let _ = writeln!(text, "{number}/{protocol} -> {address}");
        }
    }
    Session::print(&text)?;
    Ok(0)
}
