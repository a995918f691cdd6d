//! What is known of the certificate that the peer sent: all of it from a record, some of it from a line of the access log.

use std::net::IpAddr;

use revouch_validator::cert::{CertificateFacts, Fingerprint, dns_matches};
use revouch_validator::escape::escape;
use revouch_validator::name::DnsName;

use super::{Advice, here, peer};

/// The leaf, and how many certificates came with it.
#[derive(Default)]
pub(crate) struct Presented {
    /// dNSName entries; of a log line the first, escaped.
    pub(super) dns: Vec<String>,
    pub(super) ip: Vec<IpAddr>,
    /// SHA-256 of the SubjectPublicKeyInfo, in hexadecimal digits.
    pub(super) spki: Option<String>,
    /// Everything, where the certificate itself is there.
    facts: Option<CertificateFacts>,
    sent: usize,
}

impl Presented {
    /// Of a chain of `sent` certificates, this leaf.
    pub(super) fn of(leaf: &[u8], sent: usize) -> Self {
        let Ok(facts) = CertificateFacts::parse(leaf) else { return Self { sent, ..Self::default() } };
        Self {
            dns: facts.dns.clone(),
            ip: facts.ip.clone(),
            spki: Some(Fingerprint::of(&facts.spki).to_string()),
            facts: Some(facts),
            sent,
        }
    }

    /// What the fields `cert_names` and `spki_sha256` of a log line say. Whatever else stands in them is passed over.
    pub(crate) fn of_line(names: Option<&str>, spki: Option<&str>) -> Self {
        let names = || names.unwrap_or_default().split(',');
        let is_digest = |text: &&str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        Self {
            dns: names().filter_map(|name| name.strip_prefix("dns:")).map(str::to_owned).collect(),
            ip: names().filter_map(|name| name.strip_prefix("ip:")?.parse().ok()).collect(),
            spki: spki.filter(is_digest).map(str::to_owned),
            facts: None,
            sent: 0,
        }
    }

    pub(super) fn matches(&self, name: &DnsName) -> bool {
        self.dns.iter().any(|presented| dns_matches(presented, name))
    }

    /// Names of hosts: no wildcards, nothing that is no name.
    pub(super) fn hosts(&self) -> impl Iterator<Item = DnsName> {
        self.dns.iter().filter(|name| !name.starts_with('*')).filter_map(|name| name.parse().ok())
    }

    /// The parent of the first wildcard, escaped.
    pub(super) fn wildcard_parent(&self) -> Option<String> {
        let parent = self.dns.iter().find_map(|name| name.strip_prefix("*."))?;
        Some(if self.facts.is_some() { escape(parent) } else { parent.to_owned() })
    }

    /// What the certificate is, beside what it has to be; of a log line only what the check saw is known.
    pub(super) fn another(&self, seen: Option<&str>) -> Vec<Advice> {
        let Some(facts) = &self.facts else {
            return seen
                .map(|seen| peer(format!("present another certificate; of this one was seen: {seen}")))
                .into_iter()
                .collect();
        };
        let others: Vec<String> =
            facts.other.iter().map(|(kind, count)| format!("{count} of type {kind}")).collect();
        let mixed =
            if others.is_empty() { String::new() } else { format!(", other names: {}", others.join(", ")) };
        vec![peer(format!(
            "present another certificate; this one has EKU {}, {} dNSName, {} iPAddress{mixed}, is valid from {} to {}",
            facts.eku,
            facts.dns.len(),
            facts.ip.len(),
            facts.not_before,
            facts.not_after
        ))]
    }

    pub(super) fn unknown_issuer(&self) -> Advice {
        let came = self.facts.as_ref().map_or_else(String::new, |facts| {
            let subject = facts.subject_display();
            let subject = if subject.is_empty() { "a subject without name" } else { subject };
            let plural = if self.sent == 1 { "" } else { "s" };
            format!(" ({} certificate{plural} came, the first is of {subject})", self.sent)
        });
        peer(format!(
            "send the intermediate certificates too{came}, or present a certificate of a CA that is trusted here"
        ))
    }

    /// The path is there and cannot be used, as `seen` says.
    pub(super) fn invalid_path(&self, seen: Option<&str>) -> Vec<Advice> {
        let seen = seen.map_or_else(String::new, |seen| format!("; with this one, {seen}"));
        vec![
            peer(format!("present a chain whose certificates fit together{seen}")),
            here(
                "to look at it by hand: revouch chain --chain <what the peer sends>.pem --roots <the anchors of trust>.pem",
            ),
        ]
    }

    /// A CRL is missing, or past its time.
    pub(super) fn crl(&self, what: &str, seen: Option<&str>) -> Vec<Advice> {
        let issuer = self.facts.as_ref().map(CertificateFacts::issuer_display);
        let of = issuer.filter(|issuer| !issuer.is_empty()).map_or_else(
            || " of the CAs in the peer's path".to_owned(),
            |issuer| format!(" of {issuer}, which issued the certificate, and of the CAs above it"),
        );
        let seen = seen.map_or_else(String::new, |seen| format!(" ({seen})"));
        vec![here(format!("{what}{of}{seen}"))]
    }
}
