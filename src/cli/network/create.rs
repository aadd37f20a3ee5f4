//! `network create`

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Result, anyhow, bail};
use clap::{Args, FromArgMatches};

use super::pairs;
use crate::cli::grammar::{Arity, Rules};
use crate::cli::report::response;
use crate::cli::request::{parse_ip, parse_label};
use crate::cli::session::Session;
use crate::cli::tree::Spec;
use crate::network::{self, Cidr, CreateRequest, SubnetRequest};

/// `network create`
pub(in crate::cli) const SPEC: Spec = Spec {
    paths: &["network create"],
    about: "Create a network",
    usage: "[OPTIONS] NETWORK",
    rules: Rules { arity: Arity::Exactly(1), interspersed: true, absent: &[] },
    define: CreateArgs::augment_args,
    run: |matches, session| run(&CreateArgs::from_arg_matches(matches)?, session),
};

#[derive(Debug, Args)]
struct CreateArgs {
    /// Let containers be attached by hand, as every network here does
    #[arg(long)]
    attachable: bool,
    /// Keep addresses from being given (name=address)
    #[arg(long, value_name = "map")]
    aux_address: Vec<String>,
    /// Refused: take the settings of another network
    #[arg(long, value_name = "string", hide = true)]
    config_from: Option<String>,
    /// Refused: make settings without a network
    #[arg(long, hide = true)]
    config_only: bool,
    /// Driver of the network; there is bridge
    #[arg(long, short, value_name = "string", default_value = "bridge")]
    driver: String,
    /// Gateway of a subnet
    #[arg(long, value_name = "ipSlice", value_parser = parse_ip)]
    gateway: Vec<IpAddr>,
    /// Refused: the routing mesh of a swarm
    #[arg(long, hide = true)]
    ingress: bool,
    /// Let nothing in or out
    #[arg(long)]
    internal: bool,
    /// Give addresses from a part of the subnet only
    #[arg(long, value_name = "list", value_parser = cidr)]
    ip_range: Vec<Cidr>,
    /// Driver of the addresses; there is default
    #[arg(long, value_name = "string", default_value = "default")]
    ipam_driver: String,
    /// Refused: options of the driver of the addresses
    #[arg(long, value_name = "map", hide = true)]
    ipam_opt: Vec<String>,
    /// Have IPv4 addresses
    #[arg(
        long,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    ipv4: bool,
    /// Have IPv6 addresses
    #[arg(long)]
    ipv6: bool,
    /// Set labels
    #[arg(long, value_name = "list", value_parser = parse_label)]
    label: Vec<String>,
    /// Set options of the driver
    #[arg(long, short, value_name = "map")]
    opt: Vec<String>,
    /// Scope of the network; there is local
    #[arg(long, value_name = "string")]
    scope: Option<String>,
    /// Addresses of the network as a block (e.g., 172.28.0.0/16)
    #[arg(long, value_name = "list")]
    subnet: Vec<String>,
    /// Name
    #[arg(value_name = "NETWORK")]
    name: String,
}

fn cidr(text: &str) -> Result<Cidr, String> {
    text.trim().parse().map_err(|_| format!("invalid CIDR address: {text}"))
}

fn run(args: &CreateArgs, session: &Session) -> Result<u8> {
    if args.config_only || args.config_from.is_some() {
        bail!("--config-only and --config-from are not supported: name the settings with each network");
    }
    if args.ingress {
        bail!("--ingress is not supported: it is for a swarm, and there is one machine here");
    }
    if let Some(scope) = args.scope.as_deref().filter(|scope| !matches!(*scope, "" | "local")) {
        bail!("--scope {scope} is not supported: it is for a swarm, and there is one machine here");
    }
    if !matches!(args.ipam_driver.as_str(), "" | "default") {
        return Err(response(anyhow!("error retrieving IPAM driver {}: there is default", args.ipam_driver)));
    }
    if !args.ipam_opt.is_empty() {
        bail!("--ipam-opt is not supported: the driver of the addresses has no options");
    }
    let request = CreateRequest {
        name: args.name.clone(),
        created: format!("{:.9}", jiff::Timestamp::now()),
        driver: args.driver.clone(),
        subnets: subnets(args)?,
        no_ipv4: !args.ipv4,
        ipv6: args.ipv6,
        internal: args.internal,
        attachable: args.attachable,
        labels: pairs(&args.label),
        options: pairs(&args.opt),
    };
    let network = network::create(session.store()?, request).map_err(response)?;
    Session::print(&format!("{}\n", network.id))?;
    Ok(0)
}

/// Sorts ranges, gateways and other addresses to the subnets that they lie in, as Docker's client does.
fn subnets(args: &CreateArgs) -> Result<Vec<SubnetRequest>> {
    if args.subnet.len() < args.ip_range.len() || args.subnet.len() < args.gateway.len() {
        bail!("every ip-range or gateway must have a corresponding subnet");
    }
    let mut found: Vec<SubnetRequest> = Vec::new();
    for text in &args.subnet {
        let subnet: &Cidr = &text.trim().parse().map_err(|_| {
            let why = "invalid CIDR block notation";
            response(anyhow!("invalid network config:\ninvalid subnet {text}: {why}"))
        })?;
        if found.iter().any(|other| other.subnet.overlaps(subnet)) {
            bail!("multiple overlapping subnet configuration is not supported");
        }
        found.push(SubnetRequest { subnet: *subnet, gateway: None, ip_range: None, aux: BTreeMap::new() });
    }
    for range in &args.ip_range {
        let Some(parent) = found.iter_mut().find(|it| it.subnet.contains(range.address)) else {
            bail!("no matching subnet for range {range}");
        };
        if let Some(other) = parent.ip_range.replace(*range) {
            bail!(
                "cannot configure multiple ranges ({range}, {other}) on the same subnet ({})",
                parent.subnet
            );
        }
    }
    for gateway in &args.gateway {
        let Some(parent) = found.iter_mut().find(|it| it.subnet.contains(*gateway)) else {
            bail!("no matching subnet for gateway {gateway}");
        };
        if let Some(other) = parent.gateway.replace(*gateway) {
            bail!(
                "cannot configure multiple gateways ({gateway}, {other}) for the same subnet ({})",
                parent.subnet
            );
        }
    }
    for (name, text) in pairs(&args.aux_address) {
        let address = parse_ip(&text).map_err(|_| anyhow!("no matching subnet for aux-address "))?;
        let Some(parent) = found.iter_mut().find(|it| it.subnet.contains(address)) else {
            bail!("no matching subnet for aux-address {address}");
        };
        parent.aux.insert(name, address);
    }
    Ok(found)
}
