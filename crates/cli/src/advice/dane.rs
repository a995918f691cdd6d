//! Which TLSA record is to be published, and where.

use revouch_validator::answer::DnssecStatus;
use revouch_validator::evidence::{Observation, Outcome};
use revouch_validator::name::DnsName;
use revouch_validator::reason::Reason;
use revouch_validator::rr::RrType;

use super::{Advice, Situation, Who, records};

impl Situation<'_> {
    pub(super) fn publish_tlsa(&self, reason: Reason) -> Vec<Advice> {
        let what = if reason == Reason::TlsaMismatch {
            "publish a TLSA record for the certificate that is in use, and take away the one of the old certificate a TTL later"
        } else {
            "publish a TLSA record for the certificate"
        };
        const PATH: &str = "and the certificate needs a path to a CA that is trusted here";
        let owner = self.tlsa_owner();
        match self.records_are_secure() {
            Some(true) => vec![self.tlsa(what.to_owned(), &owner, 3)],
            Some(false) => vec![
                self.tlsa(
                    format!("{what}; as the zone is not signed, only usages 0 and 1 count, {PATH}"),
                    &owner,
                    1,
                ),
                self.tlsa("or sign the zone, and then".to_owned(), &owner, 3),
            ],
            None => vec![
                self.tlsa(format!("{what}; if its zone is signed"), &owner, 3),
                self.tlsa(format!("if it is not, only usages 0 and 1 count, {PATH}"), &owner, 1),
            ],
        }
    }

    pub(super) fn waive_by_dane(&self) -> Advice {
        let what = "or publish a DANE-EE(3) record in a signed zone, which waives this check".to_owned();
        self.tlsa(what, &self.tlsa_owner(), 3)
    }

    fn tlsa(&self, what: String, owner: &str, usage: u8) -> Advice {
        let records = vec![records::tlsa(owner, usage, self.certificate.spki.as_deref())];
        Advice { who: Who::Peer, what, records }
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
        let listed = self.policy().and_then(|policy| policy.ports.as_deref()).and_then(<[u16]>::first);
        records::port_owner(&base, listed.copied().unwrap_or(self.local_port))
    }

    /// Whether usage 3 would count there: as far as is known, everything about the name is Secure. `None` where nothing is known.
    fn records_are_secure(&self) -> Option<bool> {
        self.record?;
        let base = self.base();
        let base: Option<DnsName> = base.strip_suffix('.').and_then(|name| name.parse().ok());
        let about = |observation: &&Observation| {
            let question = &observation.question;
            let wanted = matches!(question.rr_type, RrType::TLSA | RrType::A | RrType::AAAA);
            wanted && base.as_ref().is_some_and(|base| question.name.is_at_or_below(base))
        };
        let mut known = self.observations().filter(about).peekable();
        let any = known.peek().is_some();
        Some(
            any && known
                .all(|o| matches!(&o.outcome, Outcome::Answer(a) if a.status == DnssecStatus::Secure)),
        )
    }
}
