//! `revouch chain`: path and name validation alone (R16), as on an outbound connection.

use std::net::IpAddr;
use std::path::PathBuf;

use revouch_validator::name::DnsName;
use revouch_validator::path::{CrlChoice, CrlPolicy, PathFacts, PathRequest, Purpose, validate};
use revouch_validator::timestamp::Timestamp;
use serde::Serialize;

use crate::exit::Failure;
use crate::show::{Style, print, print_json};
use crate::{Outcome, files, time};

#[derive(clap::Args)]
#[command(after_help = "Example: revouch chain --chain peer.pem --roots ca.pem --name gw1.partner.example")]
pub(crate) struct Args {
    /// The certificates that the peer sends, leaf first (PEM; - is standard input).
    #[arg(long, value_name = "PEM")]
    chain: PathBuf,
    /// The trust anchors (PEM).
    #[arg(long, value_name = "PEM")]
    roots: PathBuf,
    /// A name or an IP address for which the certificate must be valid.
    #[arg(long, value_name = "NAME|IP", value_parser = reference)]
    name: Option<Reference>,
    /// What the certificate is used for.
    #[arg(long, value_enum, default_value = "server")]
    purpose: Use,
    /// A revocation list (PEM or DER); may be given several times. Unknown status is allowed, stale lists are refused.
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// The time of the check [default: now].
    #[arg(long, value_name = "RFC3339", value_parser = time::parse)]
    at: Option<Timestamp>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Use {
    /// serverAuth.
    Server,
    /// clientAuth.
    Client,
}

#[derive(Clone)]
enum Reference {
    Name(DnsName),
    Address(IpAddr),
}

fn reference(text: &str) -> Result<Reference, String> {
    match text.parse() {
        Ok(address) => Ok(Reference::Address(address)),
        Err(_) => text
            .parse()
            .map(Reference::Name)
            .map_err(|error: revouch_validator::name::NameError| error.to_string()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    matched_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

pub(crate) fn run(args: &Args, json: bool, style: Style) -> Outcome {
    let report = check(args)?;
    let valid = report.outcome == "valid";
    if json {
        print_json(&report)?;
    } else {
        let mut text = style.headline(valid, report.outcome);
        if let Some(why) = &report.why {
            text.push_str(&format!(": {why}"));
        }
        if let Some(path) = &report.path {
            text.push_str(&format!(
                "\n  path: {} certificates to {}",
                path.certificates.len(),
                path.anchor.subject
            ));
        }
        if let Some(name) = &report.matched_name {
            text.push_str(&format!("\n  name: {name}"));
        }
        print(&text)?;
    }
    Ok(valid)
}

fn check(args: &Args) -> Result<Report, Failure> {
    let chain = files::chain(&args.chain)?;
    let anchors = files::roots(&args.roots)?;
    let crls = files::crls(&args.crl)?;
    let now = time::or_now(args.at);
    let invalid = |why: String, path| Report { outcome: "invalid", matched_name: None, path, why: Some(why) };
    let facts = match chain.leaf_facts() {
        Ok(facts) => facts,
        Err(error) => return Ok(invalid(error.to_string(), None)),
    };
    let purpose = match args.purpose {
        Use::Server => Purpose::Server,
        Use::Client => Purpose::Client,
    };
    let crl_policy = CrlPolicy { unknown: CrlChoice::Allow, expired: CrlChoice::Refuse };
    let request = PathRequest { chain: &chain, facts, purpose, anchors: &anchors, crls: &crls, crl_policy };
    let path = match validate(&request, now).outcome {
        Ok(path) => path,
        Err(error) => return Ok(invalid(error.to_string(), None)),
    };
    let matched_name = match &args.name {
        None => None,
        Some(Reference::Name(name)) => match facts.matches_dns(name) {
            Some(matched) => Some(revouch_validator::escape::escape(matched)),
            None => {
                return Ok(invalid(format!("no dNSName of the certificate is valid for {name}"), Some(path)));
            }
        },
        Some(Reference::Address(address)) if facts.matches_ip(*address) => Some(address.to_string()),
        Some(Reference::Address(address)) => {
            return Ok(invalid(format!("no iPAddress of the certificate is {address}"), Some(path)));
        }
    };
    Ok(Report { outcome: "valid", matched_name, path: Some(path), why: None })
}
