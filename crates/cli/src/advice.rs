//! What must be changed so that a refused peer is let in: by whom, and for the DNS the very records.
//!
//! Promises: nothing here decides anything; everything is told from what was recorded. Names are printed in presentation format,
//! other text of the peer's escaped.

mod dane;
mod presented;
mod questions;
mod records;

use std::net::{IpAddr, SocketAddr};

use revouch_validator::connection::Connection;
use revouch_validator::evidence::{Evidence, Observation};
use revouch_validator::name::DnsName;
use revouch_validator::policy::{Confirm, Policy};
use revouch_validator::reason::Reason;
use revouch_validator::record::Record;
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::verdict::Verdict;
use serde::Serialize;

use crate::logline::LogLine;
use presented::Presented;
pub(crate) use questions::Asking;
use questions::MOST_QUESTIONS;

/// One thing to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Advice {
    pub(crate) who: Who,
    pub(crate) what: String,
    /// Records to publish, in presentation format. `<...>` stands for what is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) records: Vec<String>,
}

/// Who must change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Who {
    /// The peer's operator.
    Peer,
    /// The operator of the service that refused it.
    Here,
}

/// What is known of a refused connection.
pub(crate) struct Situation<'r> {
    source: Option<IpAddr>,
    source_port: u16,
    local_port: u16,
    certificate: Presented,
    /// The decision with everything that it was made from; `None` for a line of the access log.
    record: Option<&'r Record>,
    /// The failed check that gave the reason.
    ground: Option<Ground>,
    /// The name of that check; `None` where there is none, or it was the address.
    name: Option<DnsName>,
    /// It was the address (R3) that came furthest.
    by_address: bool,
    asking: Asking,
}

/// The check at which a peer was refused.
struct Ground {
    check: String,
    candidate: Option<String>,
    seen: String,
}

impl<'r> Situation<'r> {
    /// What a record and the verdict on it tell.
    pub(crate) fn of(record: &'r Record, verdict: &Verdict, asking: Asking) -> Self {
        let ground = verdict.decisive().map(|check| Ground {
            check: check.check.to_owned(),
            candidate: check.candidate.clone(),
            seen: check.seen.clone(),
        });
        Self {
            source: Some(record.connection.source()),
            source_port: record.connection.source_port,
            local_port: record.connection.local_port,
            certificate: Presented::of(record.chain.leaf(), record.chain.certificates().len()),
            record: Some(record),
            asking,
            ..Self::at(ground)
        }
    }

    /// What a line of the access log tells.
    pub(crate) fn of_line(line: &LogLine) -> Self {
        let ground = line.get("check").zip(line.get("seen")).map(|(check, seen)| Ground {
            check: check.to_owned(),
            candidate: line.get("candidate").map(str::to_owned),
            seen: seen.to_owned(),
        });
        Self {
            source: line.source(),
            source_port: line.source_port(),
            local_port: line.local_port(),
            certificate: Presented::of_line(line.get("cert_names"), line.get("spki_sha256")),
            ..Self::at(ground)
        }
    }

    fn at(ground: Option<Ground>) -> Self {
        let candidate = ground.as_ref().and_then(|ground| ground.candidate.as_deref());
        let by_address = candidate.is_some_and(|text| text.parse::<IpAddr>().is_ok());
        Self {
            source: None,
            source_port: 0,
            local_port: 0,
            certificate: Presented::default(),
            record: None,
            name: candidate.filter(|_| !by_address).and_then(|text| text.parse().ok()),
            by_address,
            ground,
            asking: Asking::default(),
        }
    }

    /// The decision wanted answers that a record does not have: other than of a connection, it was not too early for them.
    pub(crate) fn evidence_is_incomplete(&self) -> Option<Incomplete> {
        Some(if self.record?.evidence.is_none() { Incomplete::NothingAsked } else { Incomplete::OfAnother })
    }

    /// What must be changed for this reason; nothing where the remedy's own words say all.
    pub(crate) fn advice(&self, reason: Reason) -> Vec<Advice> {
        match reason {
            Reason::NoPtr | Reason::NameUnusable => vec![self.publish_names()],
            Reason::NotConfirmed => self.confirm(),
            Reason::NameMismatch => self.name_mismatch(),
            Reason::AddressMismatch => self.address_mismatch(),
            Reason::NameNotListed => self.not_listed(),
            Reason::TlsaMissing | Reason::TlsaMismatch => self.publish_tlsa(reason),
            Reason::SourcePortUnlisted => vec![self.publish_port()],
            Reason::EkuAbsent | Reason::EkuAny | Reason::NamesMixed => {
                self.other_certificate().into_iter().chain([self.waive_by_dane()]).collect()
            }
            Reason::EkuBoth
            | Reason::EkuOther
            | Reason::ClientAuthRejected
            | Reason::SubjectIsPerson
            | Reason::SubjectIsDevice
            | Reason::WeakKey
            | Reason::KeyUsage
            | Reason::PathEku
            | Reason::Expired
            | Reason::NotYetValid => self.other_certificate(),
            Reason::Revoked => {
                vec![peer("present a new certificate with a new key: this one was revoked by its CA")]
            }
            Reason::UnknownIssuer => vec![self.certificate.unknown_issuer()],
            Reason::PathInvalid => self.certificate.invalid_path(self.seen()),
            Reason::RevocationUnknown => {
                self.certificate.crl("put into trust.crlFiles the current CRL", self.seen())
            }
            Reason::CrlExpired => self.certificate.crl("fetch the current CRL", self.seen()),
            Reason::EvidenceMissing => self.ask_again(),
            Reason::DnsBogus
            | Reason::DnsTimeout
            | Reason::DnsServfail
            | Reason::DnsRefused
            | Reason::DnsBudget
            | Reason::DnsIntoExemptZone
            | Reason::MulticastRefused => self.failed_questions(reason),
            Reason::DnssecRequired => self.sign_zones(),
            Reason::AddressNotAllowed => self.address_not_allowed(),
            Reason::LimitHandshakes
            | Reason::LimitSource
            | Reason::LimitConnections
            | Reason::HandshakeTimeout
            | Reason::HandshakeFailed
            | Reason::NoRoute
            | Reason::NoPolicy
            | Reason::NoCertificate
            | Reason::BadSignature
            | Reason::CertificateUnreadable
            | Reason::ServerAuthRejected
            | Reason::DnsRateLimited => Vec::new(),
        }
    }

    /// The PTR record and the one that leads back.
    fn publish_names(&self) -> Advice {
        let (host, source) = (self.host(), self.source);
        Advice {
            who: Who::Peer,
            what:
                "publish in the reverse zone which host this address is, and at that host's name the address"
                    .to_owned(),
            records: vec![records::ptr(source, &host), records::address(source, &host)],
        }
    }

    fn confirm(&self) -> Vec<Advice> {
        let given = self.ptr_names();
        let ours = given.iter().find(|name| self.certificate.matches(name));
        if self.policy().is_some_and(|policy| policy.confirm == Confirm::Forward) {
            return vec![Advice {
                who: Who::Peer,
                what:
                    "connect from an address of the name that is listed here, or publish this address at it"
                        .to_owned(),
                records: vec![records::address(self.source, &self.host())],
            }];
        }
        match ours {
            Some(name) => vec![Advice {
                who: Who::Peer,
                what: format!(
                    "the PTR record names {name}, which must have the address that the peer connects from"
                ),
                records: vec![records::address(self.source, &records::dotted(name))],
            }],
            None => vec![self.publish_names()],
        }
    }

    fn name_mismatch(&self) -> Vec<Advice> {
        let confirmed =
            self.name.as_ref().map_or_else(|| "the confirmed name".to_owned(), ToString::to_string);
        let mut advice = vec![peer(format!("present a certificate with the dNSName {confirmed}"))];
        if !self.certificate.dns.is_empty()
            && self.policy().is_none_or(|policy| policy.confirm == Confirm::ReverseDns)
        {
            let mut names = self.publish_names();
            names.what = "or let the address lead to a name that the certificate has".to_owned();
            advice.push(names);
        }
        advice
    }

    fn address_mismatch(&self) -> Vec<Advice> {
        let mut advice = Vec::new();
        if let Some(own) = self.certificate.ip.first() {
            advice.push(peer(format!("connect from {own}, the address in the certificate")));
        }
        if let Some(source) = self.source {
            advice.push(peer(format!("or present a certificate with the iPAddress {source}")));
        }
        if !self.certificate.dns.is_empty() {
            let mut names = self.publish_names();
            names.what = "or let the address lead to a name that the certificate has".to_owned();
            advice.push(names);
        }
        advice
    }

    fn not_listed(&self) -> Vec<Advice> {
        let names = self.ptr_names();
        let shown: Vec<String> = names.iter().take(MOST_QUESTIONS).map(ToString::to_string).collect();
        let mut advice = Vec::new();
        if !shown.is_empty() {
            let shown = shown.join(" or ");
            advice.push(here(format!("if this peer is meant, add its name to identity.names: {shown}")));
        }
        if self.policy().is_none_or(|policy| policy.confirm == Confirm::ReverseDns) {
            let mut publish = self.publish_names();
            publish.what = "publish a PTR record to a name that is listed here".to_owned();
            advice.push(publish);
        }
        advice
    }

    fn publish_port(&self) -> Advice {
        let host = self.base();
        let service = self.policy().and_then(|policy| policy.services.first());
        Advice {
            who: Who::Peer,
            what: "bind the source port of outbound connections, and publish it (here the one that this connection had)".to_owned(),
            records: vec![records::srv(&host, service, self.source_port)],
        }
    }

    fn other_certificate(&self) -> Vec<Advice> {
        self.certificate.another(self.seen())
    }

    /// The evidence does not hold what the decision wants to know.
    fn ask_again(&self) -> Vec<Advice> {
        match (self.evidence_is_incomplete(), self.seen()) {
            (Some(Incomplete::NothingAsked), _) => {
                vec![here("ask the DNS, without --no-dns, or give recorded answers with --evidence")]
            }
            (Some(Incomplete::OfAnother), Some(seen)) => {
                vec![here(format!("ask the DNS, without --evidence: the record lacks {seen}"))]
            }
            _ => Vec::new(),
        }
    }

    fn address_not_allowed(&self) -> Vec<Advice> {
        let Some(source) = self.source else { return Vec::new() };
        let connection = Connection::new(SocketAddr::new(source, self.source_port), self.local_port);
        vec![here(if connection.source_is_usable() {
            format!("if this peer is meant, add {source} to identity.addresses")
        } else {
            format!(
                "no peer connects from {source}, whatever the policy: give the address that it really has, or look at what hides it"
            )
        })]
    }

    /// The name that the peer should have, with its final dot: the confirmed one where that is the one that counts, else one that
    /// the policy lists and the certificate has, else one of the certificate.
    fn host(&self) -> String {
        let listed = self.policy().and_then(|policy| policy.names.as_deref());
        let best = match listed {
            None => self.certificate.hosts().next(),
            Some(patterns) => {
                let matches = |name: &DnsName| patterns.iter().any(|pattern| pattern.matches(name));
                let matching = self.certificate.hosts().find(matches);
                matching.or_else(|| patterns.iter().find_map(|pattern| pattern.exact().cloned()))
            }
        };
        match (best, self.certificate.wildcard_parent()) {
            (Some(name), _) => records::dotted(&name),
            (None, Some(parent)) => format!("<host>.{}.", parent.trim_end_matches('.')),
            (None, None) => "<host name of the certificate>.".to_owned(),
        }
    }

    /// Where the peer's port records stand: the confirmed name, or the reverse name.
    fn base(&self) -> String {
        match (&self.name, self.source) {
            (Some(name), _) => records::dotted(name),
            (None, Some(source)) if self.by_address => records::dotted(&DnsName::reverse(source)),
            (None, _) => self.host(),
        }
    }

    /// The names of the PTR answer; of a log line those that the decisive check tells.
    fn ptr_names(&self) -> Vec<DnsName> {
        let Some(record) = self.record else { return self.told_names() };
        let Some((source, evidence)) = self.source.zip(record.evidence.as_ref()) else { return Vec::new() };
        let answer = evidence.outcome(&DnsName::reverse(source), RrType::PTR).and_then(Result::ok);
        let records = answer.into_iter().flat_map(|answer| &answer.records);
        let names = records
            .filter_map(|record| if let RecordData::Ptr(name) = record { Some(name.clone()) } else { None });
        names.take(64).collect()
    }

    fn told_names(&self) -> Vec<DnsName> {
        match &self.ground {
            Some(ground) if ground.check == "listed" => {
                let seen = ground.seen.split(" and ").next().unwrap_or_default();
                // What is no list of names holds spaces, and is no name.
                seen.split(", ").filter_map(|name| name.parse().ok()).collect()
            }
            _ => self.name.clone().into_iter().collect(),
        }
    }

    fn observations(&self) -> impl Iterator<Item = &'r Observation> {
        self.record.and_then(|record| record.evidence.as_ref()).into_iter().flat_map(Evidence::iter)
    }

    fn policy(&self) -> Option<&'r Policy> {
        self.record.map(|record| &record.policy)
    }

    fn seen(&self) -> Option<&str> {
        self.ground.as_ref().map(|ground| &*ground.seen)
    }
}

/// Why a record does not hold the answers that the decision wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incomplete {
    /// It holds none.
    NothingAsked,
    /// They were gathered for another policy.
    OfAnother,
}

fn here(what: impl Into<String>) -> Advice {
    Advice { who: Who::Here, what: what.into(), records: Vec::new() }
}

fn peer(what: impl Into<String>) -> Advice {
    Advice { who: Who::Peer, what: what.into(), records: Vec::new() }
}
