//! `revouch dane`: TLSA matching alone (R11), without DNS and without policy.

use std::path::PathBuf;

use data_encoding::HEXLOWER_PERMISSIVE;
use revouch_validator::chain::Chain;
use revouch_validator::dane::{DaneAccepted, DaneRequest, LeftOut, TlsaMatch, usable, verify};
use revouch_validator::name::DnsName;
use revouch_validator::path::{Anchors, CrlPolicy, Crls, PathFacts};
use revouch_validator::rr::Tlsa;
use revouch_validator::timestamp::Timestamp;
use serde::Serialize;

use crate::show::{Style, print, print_json};
use crate::{Outcome, files, time};

#[derive(clap::Args)]
#[command(
    after_help = "Example: revouch dane --chain peer.pem --tlsa '3 1 1 8cb0...' --name gw1.partner.example"
)]
pub(crate) struct Args {
    /// The certificates that the peer sends, leaf first (PEM; - is standard input).
    #[arg(long, value_name = "PEM")]
    chain: PathBuf,
    /// A TLSA record as in a zone file; may be given several times.
    #[arg(long, value_name = "'USAGE SELECTOR MATCHING HEX'", required = true, value_parser = tlsa)]
    tlsa: Vec<Tlsa>,
    /// The name of the peer; may be given several times, one of them must match.
    #[arg(long, value_name = "NAME", required = true, value_parser = name)]
    name: Vec<DnsName>,
    /// The trust anchors for usages 0 and 1 (PEM) [default: none].
    #[arg(long, value_name = "PEM")]
    roots: Option<PathBuf>,
    /// The records are from an unsigned zone: usages 2 and 3 do not count.
    #[arg(long)]
    insecure_zone: bool,
    /// Check the name for DANE-EE(3) too, which RFC 7671 section 5.1 does not ask for.
    #[arg(long)]
    dane_ee_name_check: bool,
    /// The time of the check [default: now].
    #[arg(long, value_name = "RFC3339", value_parser = time::parse)]
    at: Option<Timestamp>,
}

fn name(text: &str) -> Result<DnsName, String> {
    text.parse().map_err(|error: revouch_validator::name::NameError| error.to_string())
}

/// Reads a TLSA record in presentation format (RFC 6698 section 2.2); the data may be split by spaces.
fn tlsa(text: &str) -> Result<Tlsa, String> {
    let mut words = text.split_ascii_whitespace();
    let mut number = |what: &str| {
        words
            .next()
            .and_then(|word| word.parse::<u8>().ok())
            .ok_or_else(|| format!("the {what} must be a number from 0 to 255"))
    };
    let (usage, selector, matching) = (number("usage")?, number("selector")?, number("matching type")?);
    let hex: String = words.collect();
    let data = HEXLOWER_PERMISSIVE
        .decode(hex.as_bytes())
        .map_err(|_| "the data must be an even number of hexadecimal digits".to_owned())?;
    Ok(Tlsa { usage, selector, matching, data })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    outcome: &'static str,
    // The next three are null where there is no match too.
    matched: Option<TlsaMatch>,
    path: Option<PathFacts>,
    name: Option<DnsName>,
    /// Records that are not used, by their place from 0.
    left_out: Vec<LeftOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

pub(crate) fn run(args: &Args, json: bool, style: Style) -> Outcome {
    let chain = files::chain(&args.chain)?;
    let anchors = args.roots.as_deref().map_or_else(|| Ok(Anchors::none()), files::roots)?;
    let report = check(args, &chain, &anchors);
    let accepted = report.why.is_none();
    if json {
        print_json(&report)?;
    } else {
        print(&told(&report, style))?;
    }
    Ok(accepted)
}

fn check(args: &Args, chain: &Chain, anchors: &Anchors) -> Report {
    let secure = !args.insecure_zone;
    let request = DaneRequest {
        chain,
        records: &args.tlsa,
        secure,
        names: &args.name,
        ee_name_check: args.dane_ee_name_check,
        anchors,
        crls: &Crls::none(),
        crl_policy: CrlPolicy::default(),
    };
    let left_out = usable(&args.tlsa, secure).left_out().to_vec();
    match verify(&request, time::or_now(args.at)) {
        Ok(DaneAccepted { matched, path, name }) => {
            Report { outcome: "ok", matched, path, name, left_out, why: None }
        }
        Err(refusal) => Report {
            outcome: "mismatch",
            matched: None,
            path: None,
            name: None,
            left_out,
            why: Some(refusal.to_string()),
        },
    }
}

fn told(report: &Report, style: Style) -> String {
    let mut text = style.headline(report.why.is_none(), report.outcome);
    match (&report.why, report.matched) {
        (Some(why), _) => text.push_str(&format!(": {why}")),
        (None, Some(matched)) => text.push_str(&format!(": record {} matches ({matched})", matched.index)),
        (None, None) => text.push_str(": no record can be used, so the path and the name count alone"),
    }
    if let Some(path) = &report.path {
        text.push_str(&format!(
            "\n  path: {} certificates to {}",
            path.certificates.len(),
            path.anchor.subject
        ));
    }
    if let Some(name) = &report.name {
        text.push_str(&format!("\n  name: {name}"));
    }
    for left_out in &report.left_out {
        text.push_str(&format!("\n  record {} is not used: {}", left_out.index, left_out.why));
    }
    text
}
