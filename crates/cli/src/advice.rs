//! What must be changed so that a refused peer is let in: by whom, and for the DNS the very records.
//!
//! Promises: nothing here decides anything; everything is told from what was recorded. Names are printed in presentation format,
//! other text of the peer's escaped.

mod records;

use std::net::IpAddr;

use revouch_validator::answer::DnssecStatus;
use revouch_validator::cert::CertificateFacts;
use revouch_validator::escape::escape;
use revouch_validator::evidence::{Evidence, Observation, Outcome};
use revouch_validator::name::DnsName;
use revouch_validator::policy::{Confirm, Policy};
use revouch_validator::reason::Reason;
use revouch_validator::record::Record;
use revouch_validator::rr::{RecordData, RrType};
use revouch_validator::verdict::{CheckOutcome, Verdict};
use serde::Serialize;

/// The most questions that are listed.
const MOST_QUESTIONS: usize = 6;

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
    pub(crate) source: Option<IpAddr>,
    pub(crate) source_port: u16,
    pub(crate) local_port: u16,
    pub(crate) facts: Option<CertificateFacts>,
    pub(crate) policy: Option<&'r Policy>,
    pub(crate) evidence: Option<&'r Evidence>,
    /// The confirmed name whose check failed; `None` where there is none, or it was the address.
    pub(crate) name: Option<DnsName>,
    /// It was the address (R3) that came furthest.
    pub(crate) by_address: bool,
    /// Certificates that were sent.
    pub(crate) sent: usize,
}

impl<'r> Situation<'r> {
    /// What a record and the verdict on it tell.
    pub(crate) fn of(record: &'r Record, verdict: &Verdict) -> Self {
        // The reason is the first failed check of the candidate that came furthest, the earlier of equals.
        let failed = verdict.checks().iter().filter(|check| check.outcome == CheckOutcome::Fail);
        let furthest = failed.min_by_key(|check| std::cmp::Reverse(stage(check.check)));
        let candidate = furthest.and_then(|check| check.candidate.as_deref());
        let by_address = candidate.is_some_and(|text| text.parse::<IpAddr>().is_ok());
        Self {
            source: Some(record.connection.source()),
            source_port: record.connection.source_port,
            local_port: record.connection.local_port,
            facts: CertificateFacts::parse(record.chain.leaf()).ok(),
            policy: Some(&record.policy),
            evidence: record.evidence.as_ref(),
            name: candidate.filter(|_| !by_address).and_then(|text| text.parse().ok()),
            by_address,
            sent: record.chain.certificates().len(),
        }
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
            | Reason::NotYetValid => self.other_certificate().into_iter().collect(),
            Reason::Revoked => {
                vec![peer("present a new certificate with a new key: this one was revoked by its CA")]
            }
            Reason::UnknownIssuer => vec![self.unknown_issuer()],
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
            | Reason::DnsRateLimited
            | Reason::EvidenceMissing
            | Reason::RevocationUnknown
            | Reason::CrlExpired
            | Reason::PathInvalid => Vec::new(),
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
        let matching =
            |name: &DnsName| self.facts.as_ref().is_some_and(|facts| facts.matches_dns(name).is_some());
        let given = self.ptr_names();
        let ours: Vec<_> = given.iter().filter(|name| matching(name)).collect();
        if self.policy.is_some_and(|policy| policy.confirm == Confirm::Forward) {
            return vec![Advice {
                who: Who::Peer,
                what:
                    "connect from an address of the name that is listed here, or publish this address at it"
                        .to_owned(),
                records: vec![records::address(self.source, &self.host())],
            }];
        }
        match ours.first() {
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
        let named = self.facts.as_ref().is_some_and(|facts| !facts.dns.is_empty());
        if named && self.policy.is_none_or(|policy| policy.confirm == Confirm::ReverseDns) {
            let mut names = self.publish_names();
            names.what = "or let the address lead to a name that the certificate has".to_owned();
            advice.push(names);
        }
        advice
    }

    fn address_mismatch(&self) -> Vec<Advice> {
        let mut advice = Vec::new();
        let facts = self.facts.as_ref();
        if let Some(own) = facts.and_then(|facts| facts.ip.first()) {
            advice.push(peer(format!("connect from {own}, the address in the certificate")));
        }
        if let Some(source) = self.source {
            advice.push(peer(format!("or present a certificate with the iPAddress {source}")));
        }
        if facts.is_some_and(|facts| !facts.dns.is_empty()) {
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
            let what =
                format!("if this peer is meant, add its name to identity.names: {}", shown.join(" or "));
            advice.push(Advice { who: Who::Here, what, records: Vec::new() });
        }
        if self.policy.is_none_or(|policy| policy.confirm == Confirm::ReverseDns) {
            let mut publish = self.publish_names();
            publish.what = "publish a PTR record to a name that is listed here".to_owned();
            advice.push(publish);
        }
        advice
    }

    fn publish_tlsa(&self, reason: Reason) -> Vec<Advice> {
        let what = if reason == Reason::TlsaMismatch {
            "publish a TLSA record for the certificate that is in use, and take away the one of the old certificate a TTL later"
        } else {
            "publish a TLSA record for the certificate"
        };
        let owner = self.tlsa_owner();
        let secure = self.records_are_secure();
        let mut advice = Vec::new();
        if secure {
            advice.push(self.tlsa(what.to_owned(), &owner, 3));
        } else {
            let pkix = format!(
                "{what}; as the zone is not signed, only usages 0 and 1 count, and the certificate needs a path to a CA that is trusted here"
            );
            advice.push(self.tlsa(pkix, &owner, 1));
            advice.push(self.tlsa("or sign the zone, and then".to_owned(), &owner, 3));
        }
        advice
    }

    fn waive_by_dane(&self) -> Advice {
        let what = "or publish a DANE-EE(3) record in a signed zone, which waives this check".to_owned();
        self.tlsa(what, &self.tlsa_owner(), 3)
    }

    fn tlsa(&self, what: String, owner: &str, usage: u8) -> Advice {
        Advice { who: Who::Peer, what, records: vec![records::tlsa(owner, usage, self.facts.as_ref())] }
    }

    fn publish_port(&self) -> Advice {
        let host = self.base();
        let service = self.policy.and_then(|policy| policy.services.first());
        Advice {
            who: Who::Peer,
            what: "bind the source port of outbound connections, and publish it (here the one that this connection had)".to_owned(),
            records: vec![records::srv(&host, service, self.source_port)],
        }
    }

    /// What the certificate is, beside what it has to be.
    fn other_certificate(&self) -> Option<Advice> {
        let facts = self.facts.as_ref()?;
        let others: Vec<String> =
            facts.other.iter().map(|(kind, count)| format!("{count} of type {kind}")).collect();
        let mixed =
            if others.is_empty() { String::new() } else { format!(", other names: {}", others.join(", ")) };
        Some(peer(format!(
            "present another certificate; this one has EKU {}, {} dNSName, {} iPAddress{mixed}, is valid from {} to {}",
            facts.eku,
            facts.dns.len(),
            facts.ip.len(),
            facts.not_before,
            facts.not_after
        )))
    }

    fn unknown_issuer(&self) -> Advice {
        let subject = self.facts.as_ref().map_or("", CertificateFacts::subject_display);
        let subject = if subject.is_empty() { "a subject without name" } else { subject };
        peer(format!(
            "send the intermediate certificates too ({} certificate{} came, the first is of {subject}), or present a certificate of a CA \
             that is trusted here",
            self.sent,
            if self.sent == 1 { "" } else { "s" }
        ))
    }

    /// Which questions failed, to be asked again by hand.
    fn failed_questions(&self, reason: Reason) -> Vec<Advice> {
        let failed = self.observations().filter(|observation| match &observation.outcome {
            Outcome::Failure(failure) => Reason::from(failure) == reason,
            Outcome::Answer(_) => false,
        });
        let what = match reason {
            Reason::DnsBogus => "mend the signatures, or the DS record, of the zone of",
            Reason::DnsIntoExemptZone => "give the name records of its own instead of an alias:",
            Reason::MulticastRefused => "only multicast DNS could tell:",
            _ => "see that the zone's servers answer",
        };
        let who = if reason == Reason::MulticastRefused { Who::Here } else { Who::Peer };
        let asked = failed.take(MOST_QUESTIONS).map(|observation| {
            let question = &observation.question;
            let (name, rr_type) = (&question.name, question.rr_type);
            let what = format!("{what} {name} {rr_type} (try: revouch dns '{name}' {rr_type})");
            Advice { who, what, records: Vec::new() }
        });
        asked.collect()
    }

    /// R10: which answers are not signed.
    fn sign_zones(&self) -> Vec<Advice> {
        let unsigned = self.observations().filter(|observation| match &observation.outcome {
            Outcome::Answer(answer) => answer.status == DnssecStatus::Insecure,
            Outcome::Failure(_) => false,
        });
        let shown: Vec<String> = unsigned.take(MOST_QUESTIONS).map(|o| o.question.to_string()).collect();
        let shown = if shown.is_empty() { "its names and its address".to_owned() } else { shown.join(", ") };
        vec![peer(format!("sign the zones that hold {shown}"))]
    }

    fn address_not_allowed(&self) -> Vec<Advice> {
        let source = self.source.map_or_else(|| "the address".to_owned(), |source| source.to_string());
        let what = format!("if this peer is meant, add {source} to identity.addresses");
        vec![Advice { who: Who::Here, what, records: Vec::new() }]
    }

    /// The name that the peer should have, with its final dot: the confirmed one where that is the one that counts, else one that
    /// the policy lists and the certificate has, else one of the certificate.
    fn host(&self) -> String {
        let facts = self.facts.as_ref();
        let own: Vec<DnsName> = facts
            .map(|facts| {
                facts
                    .dns
                    .iter()
                    .filter(|name| !name.starts_with('*'))
                    .filter_map(|name| name.parse().ok())
                    .collect()
            })
            .unwrap_or_default();
        let listed = self.policy.and_then(|policy| policy.names.as_deref());
        let best = match listed {
            None => own.first().cloned(),
            Some(patterns) => {
                let matching = own.iter().find(|name| patterns.iter().any(|pattern| pattern.matches(name)));
                matching.cloned().or_else(|| patterns.iter().find_map(|pattern| pattern.exact().cloned()))
            }
        };
        let wildcard = || facts.and_then(|facts| facts.dns.iter().find_map(|name| name.strip_prefix("*.")));
        match (best, wildcard()) {
            (Some(name), _) => records::dotted(&name),
            (None, Some(parent)) => format!("<host>.{}.", escape(parent).trim_end_matches('.')),
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

    /// Where the TLSA set that counts stands, or is to stand.
    fn tlsa_owner(&self) -> String {
        let base = self.base();
        let existing = self.observations().find(|observation| {
            let question = &observation.question;
            let below = base.strip_suffix('.').and_then(|name| name.parse::<DnsName>().ok());
            let here = below.is_some_and(|base| question.name.is_at_or_below(&base));
            let has = matches!(&observation.outcome, Outcome::Answer(answer) if !answer.records.is_empty());
            question.rr_type == RrType::TLSA && here && has
        });
        if let Some(observation) = existing {
            return records::dotted(&observation.question.name);
        }
        let listed = self.policy.and_then(|policy| policy.ports.as_deref()).and_then(<[u16]>::first);
        records::port_owner(&base, listed.copied().unwrap_or(self.local_port))
    }

    /// Whether usage 3 would count there: as far as is known, everything about the name is Secure.
    fn records_are_secure(&self) -> bool {
        let base = self.base();
        let base: Option<DnsName> = base.strip_suffix('.').and_then(|name| name.parse().ok());
        let about = |observation: &&Observation| {
            let question = &observation.question;
            let wanted = matches!(question.rr_type, RrType::TLSA | RrType::A | RrType::AAAA);
            wanted && base.as_ref().is_some_and(|base| question.name.is_at_or_below(base))
        };
        let mut known = self.observations().filter(about).peekable();
        known.peek().is_some()
            && known.all(|o| matches!(&o.outcome, Outcome::Answer(a) if a.status == DnssecStatus::Secure))
    }

    /// The names of the PTR answer.
    fn ptr_names(&self) -> Vec<DnsName> {
        let Some((source, evidence)) = self.source.zip(self.evidence) else { return Vec::new() };
        let answer = evidence.outcome(&DnsName::reverse(source), RrType::PTR).and_then(Result::ok);
        let records = answer.into_iter().flat_map(|answer| &answer.records);
        let names = records
            .filter_map(|record| if let RecordData::Ptr(name) = record { Some(name.clone()) } else { None });
        names.take(64).collect()
    }

    fn observations(&self) -> impl Iterator<Item = &'r Observation> {
        self.evidence.into_iter().flat_map(Evidence::iter)
    }
}

/// How far a candidate has come when this check is made, in the order of `docs/verdict.md`.
fn stage(check: &str) -> u8 {
    match check {
        "forward" => 1,
        "answers" | "dnssec" => 2,
        "source-port" => 3,
        "tlsa" | "class" | "names-mixed" => 4,
        "path" => 5,
        "name" => 6,
        _ => 0,
    }
}

fn peer(what: impl Into<String>) -> Advice {
    Advice { who: Who::Peer, what: what.into(), records: Vec::new() }
}
