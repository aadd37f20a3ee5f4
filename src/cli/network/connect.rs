//! `network connect` and `network disconnect`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use clap::{Args, FromArgMatches};

use super::pairs;
use crate::cli::grammar::{Arity, Rules, integer};
use crate::cli::report::response;
use crate::cli::request::{parse_ip, parse_ip4, parse_ip6, parse_link};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::cli::verbs::find;
use crate::container::{self, Attachment};

/// `network connect`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["network connect"],
    about: "Connect a container to a network",
    usage: "[OPTIONS] NETWORK CONTAINER",
    rules: Rules { arity: Arity::Exactly(2), interspersed: true, absent: &[] },
    define: ConnectArgs::augment_args,
    run: |matches, session| connect(&ConnectArgs::from_arg_matches(matches)?, session),
};

/// `network disconnect`
pub(in crate::cli) const DISCONNECT: Spec = Spec {
    paths: &["network disconnect"],
    about: "Disconnect a container from a network",
    usage: "[OPTIONS] NETWORK CONTAINER",
    rules: Rules { arity: Arity::Exactly(2), interspersed: true, absent: &[] },
    define: DisconnectArgs::augment_args,
    run: |matches, session| disconnect(&DisconnectArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct ConnectArgs {
    /// Add a name that the container answers to on the network
    #[arg(long, value_name = "strings")]
    alias: Vec<String>,
    /// Options of the driver, for inspect
    #[arg(long, value_name = "strings")]
    driver_opt: Vec<String>,
    /// Of several networks, the one with the highest priority has the default route
    #[arg(long, value_name = "int", default_value = "0", value_parser = integer)]
    gw_priority: i64,
    /// IPv4 address (e.g., "172.30.100.104")
    #[arg(long, value_name = "ip", value_parser = parse_ip4)]
    ip: Option<Ipv4Addr>,
    /// IPv6 address (e.g., "2001:db8::33")
    #[arg(long, value_name = "ip", value_parser = parse_ip6)]
    ip6: Option<Ipv6Addr>,
    /// Add a link to another container
    #[arg(long, value_name = "list", value_parser = parse_link)]
    link: Vec<String>,
    /// Refused: the kernel gives link-local addresses
    #[arg(long, value_name = "ipSlice", value_parser = parse_ip)]
    link_local_ip: Vec<IpAddr>,
    /// Network and container
    #[arg(value_name = "NETWORK")]
    names: Vec<String>,
}

#[derive(Debug, Args)]
struct DisconnectArgs {
    /// Leave a network that is not there any more
    #[arg(long, short)]
    force: bool,
    /// Network and container
    #[arg(value_name = "NETWORK")]
    names: Vec<String>,
}

fn connect(args: &ConnectArgs, session: &Session) -> Result<u8> {
    let [network, name] = args.names.as_slice() else { return Ok(1) };
    let dir = find(session, name)?;
    let wish = Attachment {
        network: network.clone(),
        aliases: args.alias.clone(),
        links: args.link.clone(),
        ip: args.ip,
        ip6: args.ip6,
        link_local_ips: args.link_local_ip.clone(),
        driver_opts: pairs(&args.driver_opt),
        gw_priority: args.gw_priority,
        ..Attachment::default()
    };
    container::connect_network(session.store()?, &dir, wish).map_err(response)?;
    Ok(0)
}

fn disconnect(args: &DisconnectArgs, session: &Session) -> Result<u8> {
    let [network, name] = args.names.as_slice() else { return Ok(1) };
    let dir = find(session, name)?;
    container::disconnect_network(session.store()?, &dir, network, args.force).map_err(response)?;
    Ok(0)
}
