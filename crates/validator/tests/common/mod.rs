//! What the tests of the decision share: a throw-away PKI, a small DNS made of recorded answers, and a gatherer that asks what
//! the plan wants.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; not every test uses everything"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose as Eku, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use revouch_validator::answer::{Answer, ChainLink, DnsFailure, DnssecStatus, Negative, SignatureWindow};
use revouch_validator::chain::Chain;
use revouch_validator::connection::Connection;
use revouch_validator::decide::{Case, decide};
use revouch_validator::evidence::{AnswerSource, Evidence, Observation, Outcome, Question};
use revouch_validator::name::DnsName;
use revouch_validator::path::{Anchors, Crls};
use revouch_validator::plan;
use revouch_validator::policy::{Policy, PolicyDraft};
use revouch_validator::rr::{RecordData, RrType, Srv, Svcb, Tlsa};
use revouch_validator::timestamp::Timestamp;
use revouch_validator::trust::TrustStore;
use revouch_validator::verdict::Verdict;
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

/// The time of every decision unless a test says otherwise.
pub const NOW: Timestamp = Timestamp(1_795_000_000);
/// The peer's address.
pub const SOURCE: &str = "192.0.2.1:40000";
/// The reverse name of [`SOURCE`].
pub const REVERSE: &str = "1.2.0.192.in-addr.arpa";
/// The listener's port.
pub const PORT: u16 = 5269;

pub fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(NOW.0).unwrap()).unwrap() + Duration::seconds(seconds)
}

/// A root and an intermediate limited to one purpose, as public CAs have them today.
pub struct Ca {
    pub root: CertificateDer<'static>,
    pub intermediate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new(name: &str, purpose: Eku) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(vec![]).unwrap();
        ca(&mut root, &format!("{name} root"));
        let root_cert = root.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        ca(&mut params, &format!("{name} intermediate"));
        params.extended_key_usages = vec![purpose];
        let intermediate = params.signed_by(&key, &root_issuer).unwrap();
        Self {
            root: root_cert.der().clone(),
            intermediate: intermediate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A CRL of the intermediate that revokes `serials`.
    pub fn crl(&self, serials: &[u64], next_update: i64) -> Vec<u8> {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: at(-60),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: at(-7200),
            next_update: at(next_update),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

fn ca(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (at(-86_400), at(86_400 * 365));
}

pub static SERVERS: LazyLock<Ca> = LazyLock::new(|| Ca::new("servers", Eku::ServerAuth));
pub static PEOPLE: LazyLock<Ca> = LazyLock::new(|| Ca::new("people", Eku::ClientAuth));

/// A leaf to be issued.
pub struct Leaf {
    pub params: CertificateParams,
    ca: Option<&'static Ca>,
}

/// A leaf by [`SERVERS`] with EKU serverAuth and these dNSNames.
pub fn server(names: &[&str]) -> Leaf {
    let mut params =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.extended_key_usages = vec![Eku::ServerAuth];
    params.serial_number = Some(SerialNumber::from(7_u64));
    (params.not_before, params.not_after) = (at(-3600), at(3600));
    Leaf { params, ca: Some(&SERVERS) }
}

/// A leaf by [`PEOPLE`] with EKU clientAuth and this common name.
pub fn person(common_name: &str) -> Leaf {
    let mut leaf = server(&[]).eku(&[Eku::ClientAuth]).cn(common_name);
    leaf.ca = Some(&PEOPLE);
    leaf
}

impl Leaf {
    pub fn ip(mut self, address: &str) -> Self {
        self.params.subject_alt_names.push(SanType::IpAddress(address.parse().unwrap()));
        self
    }

    pub fn dns(mut self, name: &str) -> Self {
        self.params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
        self
    }

    pub fn email(mut self, address: &str) -> Self {
        self.params.subject_alt_names.push(SanType::Rfc822Name(address.try_into().unwrap()));
        self
    }

    pub fn eku(mut self, purposes: &[Eku]) -> Self {
        self.params.extended_key_usages = purposes.to_vec();
        self
    }

    pub fn cn(mut self, name: &str) -> Self {
        self.params.distinguished_name.push(DnType::CommonName, name);
        self
    }

    pub fn key_usage(mut self, usage: KeyUsagePurpose) -> Self {
        self.params.key_usages = vec![usage];
        self
    }

    pub fn valid(mut self, from: i64, to: i64) -> Self {
        (self.params.not_before, self.params.not_after) = (at(from), at(to));
        self
    }

    pub fn critical_extension(mut self) -> Self {
        let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        unknown.set_criticality(true);
        self.params.custom_extensions.push(unknown);
        self
    }

    pub fn self_signed(mut self) -> Self {
        self.ca = None;
        self
    }

    pub fn by(mut self, ca: &'static Ca) -> Self {
        self.ca = Some(ca);
        self
    }

    pub fn chain(self) -> Chain {
        let key = KeyPair::generate().unwrap();
        let certificates = match self.ca {
            Some(ca) => {
                vec![self.params.signed_by(&key, &ca.issuer).unwrap().der().clone(), ca.intermediate.clone()]
            }
            None => vec![self.params.self_signed(&key).unwrap().der().clone()],
        };
        Chain::new(certificates).unwrap()
    }
}

/// Anchors: [`SERVERS`] for servers, [`PEOPLE`] for clients.
pub fn trust() -> TrustStore {
    TrustStore {
        server: Anchors::from_der([SERVERS.root.clone()]).0,
        client: Anchors::from_der([PEOPLE.root.clone()]).0,
        crls: Crls::none(),
    }
}

/// A DNS of recorded answers. What is not in it is NODATA, with the state of [`Dns::rest`].
#[derive(Clone, Debug)]
pub struct Dns {
    answers: BTreeMap<Question, Outcome>,
    pub rest: DnssecStatus,
}

pub fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

pub fn answer(records: Vec<RecordData>, status: DnssecStatus) -> Answer {
    let negative = records.is_empty().then_some(Negative::NoData);
    Answer { records, chain: vec![], status, negative, wildcard: false, ttl: 60, signatures: None }
}

/// A DNS in which the source is gw1.example.test, all of it secure.
pub fn secure() -> Dns {
    Dns { answers: BTreeMap::new(), rest: DnssecStatus::Secure }
        .ptr(&["gw1.example.test"])
        .a("gw1.example.test", &["192.0.2.1"])
}

/// The same without signatures.
pub fn unsigned() -> Dns {
    Dns { answers: BTreeMap::new(), rest: DnssecStatus::Insecure }
        .ptr(&["gw1.example.test"])
        .a("gw1.example.test", &["192.0.2.1"])
}

impl Dns {
    pub fn set(mut self, owner: &str, rr_type: RrType, outcome: Outcome) -> Self {
        self.answers.insert(Question::new(name(owner), rr_type), outcome);
        self
    }

    pub fn records(self, owner: &str, rr_type: RrType, records: Vec<RecordData>) -> Self {
        let status = self.rest;
        self.set(owner, rr_type, Outcome::Answer(answer(records, status)))
    }

    pub fn fails(self, owner: &str, rr_type: RrType, failure: DnsFailure) -> Self {
        self.set(owner, rr_type, Outcome::Failure(failure))
    }

    pub fn bogus(self, owner: &str, rr_type: RrType) -> Self {
        self.fails(owner, rr_type, DnsFailure::Bogus("signature does not verify".into()))
    }

    /// Gives an answer that is there another state.
    pub fn status(mut self, owner: &str, rr_type: RrType, status: DnssecStatus) -> Self {
        self.change(owner, rr_type, |answer| answer.status = status);
        self
    }

    pub fn change(&mut self, owner: &str, rr_type: RrType, change: impl FnOnce(&mut Answer)) {
        let rest = self.rest;
        let entry = self.answers.entry(Question::new(name(owner), rr_type));
        match entry.or_insert_with(|| Outcome::Answer(answer(vec![], rest))) {
            Outcome::Answer(answer) => change(answer),
            Outcome::Failure(failure) => panic!("{failure}"),
        }
    }

    pub fn ptr(self, names: &[&str]) -> Self {
        self.records(REVERSE, RrType::PTR, names.iter().map(|n| RecordData::Ptr(name(n))).collect())
    }

    pub fn a(self, owner: &str, addresses: &[&str]) -> Self {
        self.records(owner, RrType::A, addresses.iter().map(|a| RecordData::A(a.parse().unwrap())).collect())
    }

    pub fn tlsa(self, owner: &str, records: &[Tlsa]) -> Self {
        self.records(owner, RrType::TLSA, records.iter().cloned().map(RecordData::Tlsa).collect())
    }

    pub fn srv(self, owner: &str, records: &[(u16, u16, &str)]) -> Self {
        let srv = |&(priority, port, target): &(u16, u16, &str)| {
            RecordData::Srv(Srv { priority, weight: 0, port, target: name(target) })
        };
        self.records(owner, RrType::SRV, records.iter().map(srv).collect())
    }

    pub fn svcb(self, owner: &str, records: &[(u16, Option<u16>, &str)]) -> Self {
        let svcb = |&(priority, port, target): &(u16, Option<u16>, &str)| {
            RecordData::Svcb(Svcb { priority, target: name(target), port })
        };
        self.records(owner, RrType::SVCB, records.iter().map(svcb).collect())
    }

    /// An RFC 2317 alias of the reverse name, with these names at its end.
    pub fn ptr_by_alias(mut self, alias: &str, link: DnssecStatus, names: &[&str]) -> Self {
        self = self.ptr(names);
        let target = name(alias);
        self.change(REVERSE, RrType::PTR, |answer| {
            answer.chain = vec![ChainLink { owner: name(REVERSE), target, status: link }];
            answer.status = answer.status.min(link);
        });
        self
    }

    pub fn signed_until(mut self, owner: &str, rr_type: RrType, until: Timestamp) -> Self {
        self.change(owner, rr_type, |answer| {
            answer.signatures = Some(SignatureWindow { from: Timestamp(0), until });
        });
        self
    }

    /// The TLSA records of an answer that is there.
    pub fn tlsa_records(&self, owner: &str) -> Option<Vec<Tlsa>> {
        match self.answers.get(&Question::new(name(owner), RrType::TLSA))? {
            Outcome::Answer(answer) => {
                let tlsa = |record: &RecordData| {
                    if let RecordData::Tlsa(tlsa) = record { Some(tlsa.clone()) } else { None }
                };
                Some(answer.records.iter().filter_map(tlsa).collect())
            }
            Outcome::Failure(_) => None,
        }
    }

    /// The state of an answer that is there.
    pub fn status_of(&self, owner: &str, rr_type: RrType) -> Option<DnssecStatus> {
        match self.answers.get(&Question::new(name(owner), rr_type))? {
            Outcome::Answer(answer) => Some(answer.status),
            Outcome::Failure(_) => None,
        }
    }

    fn outcome(&self, question: &Question) -> Outcome {
        self.answers.get(question).cloned().unwrap_or_else(|| Outcome::Answer(answer(vec![], self.rest)))
    }

    /// Asks what the plan wants until it wants nothing more; gives the evidence and every question in the order asked.
    pub fn gather(&self, policy: &Policy, connection: &Connection) -> (Evidence, Vec<plan::Planned>) {
        let mut evidence = Evidence::new(connection.source());
        let mut asked = Vec::new();
        loop {
            let wanted = plan::questions(policy, connection, &evidence, NOW);
            if wanted.is_empty() {
                return (evidence, asked);
            }
            for planned in &wanted {
                evidence.insert(observation(planned.question.clone(), self.outcome(&planned.question)));
            }
            asked.extend(wanted);
            assert!(asked.len() < 5000, "the plan does not end");
        }
    }
}

pub fn observation(question: Question, outcome: Outcome) -> Observation {
    Observation {
        question,
        outcome,
        group: "test".into(),
        source: AnswerSource::Upstream,
        upstream_queries: 1,
        elapsed_us: 1,
    }
}

pub fn policy(change: impl FnOnce(&mut PolicyDraft)) -> Policy {
    let mut draft = PolicyDraft::default();
    change(&mut draft);
    draft.build().unwrap()
}

pub fn connection() -> Connection {
    connection_from(SOURCE)
}

pub fn connection_from(source: &str) -> Connection {
    Connection::new(source.parse::<SocketAddr>().unwrap(), PORT)
}

/// Gathers and decides.
pub fn judge(policy: &Policy, chain: &Chain, dns: &Dns) -> Verdict {
    judge_with(policy, chain, dns, &trust())
}

pub fn judge_with(policy: &Policy, chain: &Chain, dns: &Dns, trust: &TrustStore) -> Verdict {
    let connection = connection();
    let (evidence, _) = dns.gather(policy, &connection);
    decide(&Case { policy, chain, connection: &connection, evidence: Some(&evidence), trust, now: NOW })
}

/// `accepted IDENTITY` or `refused REASON`.
pub fn told(verdict: &Verdict) -> String {
    match (verdict.accepted(), verdict.reason()) {
        (Some(accepted), None) => format!("accepted {}", accepted.identity()),
        (None, Some(reason)) => format!("refused {reason}"),
        _ => panic!("neither accepted nor refused, or both"),
    }
}

/// A TLSA record of this leaf.
pub fn tlsa_of(chain: &Chain, usage: u8, selector: u8, matching: u8) -> Tlsa {
    tlsa_of_der(chain.leaf(), usage, selector, matching)
}

pub fn tlsa_of_der(der: &[u8], usage: u8, selector: u8, matching: u8) -> Tlsa {
    let facts = revouch_validator::cert::CertificateFacts::parse(der).unwrap();
    let octets = if selector == 0 { der } else { &facts.spki };
    let data = match matching {
        0 => octets.to_vec(),
        1 => aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref().to_vec(),
        _ => aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, octets).as_ref().to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

/// A well-formed record that matches nothing.
pub fn tlsa_of_nobody(usage: u8) -> Tlsa {
    Tlsa { usage, selector: 1, matching: 1, data: vec![7; 32] }
}
