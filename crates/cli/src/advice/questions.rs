//! Which questions to the DNS are at fault, who is to look after them, and how they are asked again by hand.

use std::net::IpAddr;

use revouch_validator::answer::{Answer, DnssecStatus};
use revouch_validator::evidence::{Evidence, Observation, Outcome, Question};
use revouch_validator::name::DnsName;
use revouch_validator::plan::{self, Planned, Pool};
use revouch_validator::reason::Reason;
use revouch_validator::record::Record;
use revouch_validator::rr::RrType;

use super::{Advice, Ground, Situation, here, peer};

/// The most questions that are listed.
pub(super) const MOST_QUESTIONS: usize = 6;

/// How the DNS was asked, as far as that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    /// The options that ask the same servers with the same trust, as words of a command line.
    pub(crate) options: String,
    /// The answers are of now, the decision is of another time.
    pub(crate) at_another_time: bool,
}

impl Situation<'_> {
    /// Which questions failed: to be mended by those whose zones they are, or here if it is the resolver that does not answer.
    pub(super) fn failed_questions(&self, reason: Reason) -> Vec<Advice> {
        if reason == Reason::DnsBogus && self.asking.at_another_time {
            return vec![here(
                "the answers are of now, the decision is of another time, at which their signatures do not hold: give the answers of that time with --evidence, or leave --at out",
            )];
        }
        let failed = self.failed(reason);
        let each = |what: &str| -> Vec<Advice> {
            failed.iter().map(|question| peer(format!("{what} {}", self.to_try(question)))).collect()
        };
        match reason {
            Reason::DnsBogus => each("mend the signatures, or the DS record, of the zone of"),
            Reason::DnsIntoExemptZone => each("give the name records of its own instead of an alias:"),
            Reason::DnsBudget => each("shorten the aliases or delegations on the way to"),
            Reason::MulticastRefused => failed
                .iter()
                .map(|question| here(format!("only multicast DNS could tell: {}", self.to_try(question))))
                .collect(),
            _ => self.unanswered(&failed),
        }
    }

    /// No answer, SERVFAIL or REFUSED: the resolver's fault or that of the zone's servers.
    fn unanswered(&self, failed: &[Question]) -> Vec<Advice> {
        let Some(first) = failed.first() else { return Vec::new() };
        let none_answered = self.record.is_some_and(|record| {
            record.evidence.iter().flat_map(Evidence::iter).all(|o| matches!(o.outcome, Outcome::Failure(_)))
        });
        if none_answered {
            let what = "no question at all was answered: see that the resolver can be reached from here, and that it answers";
            return vec![here(format!("{what} {}", self.to_try(first)))];
        }
        let theirs =
            failed.iter().map(|question| peer(format!("see that the zone's servers answer {question}")));
        let what = "see whether the resolver is at fault: ask it for";
        theirs.chain([here(format!("{what} {}", self.to_try(first)))]).collect()
    }

    /// R10: which answers are not signed.
    pub(super) fn sign_zones(&self) -> Vec<Advice> {
        let is_unsigned = |observation: &&Observation| matches!(&observation.outcome, Outcome::Answer(answer) if answer.status == DnssecStatus::Insecure);
        let decisive = self.decisive().into_iter();
        let mut shown: Vec<String> = decisive
            .filter(is_unsigned)
            .take(MOST_QUESTIONS)
            .map(|observation| observation.question.to_string())
            .collect();
        if shown.is_empty() {
            // Of a log line, which does not tell.
            let reverse = self.source.map(|source| DnsName::reverse(source).to_string());
            shown.extend(self.name.as_ref().map(ToString::to_string).into_iter().chain(reverse));
        }
        let shown = if shown.is_empty() { "its names and its address".to_owned() } else { shown.join(", ") };
        vec![peer(format!("sign the zones that hold {shown}"))]
    }

    /// The questions on which the decision waits and that failed for this reason; of a log line, the one that the decisive check names.
    fn failed(&self, reason: Reason) -> Vec<Question> {
        if self.record.is_none() {
            let ground = self.ground.as_ref();
            return ground.and_then(|ground| question_of(ground, self.source)).into_iter().collect();
        }
        let has_failed = |observation: &&Observation| match &observation.outcome {
            Outcome::Failure(failure) => Reason::from(failure) == reason,
            Outcome::Answer(answer) => reason == Reason::DnsBogus && self.is_out_of_time(answer),
        };
        let failed = self.decisive().into_iter().filter(has_failed);
        failed.take(MOST_QUESTIONS).map(|observation| observation.question.clone()).collect()
    }

    /// Whether a signature does not hold at the time of the decision.
    fn is_out_of_time(&self, answer: &Answer) -> bool {
        let now = self.record.map(|record| record.now);
        answer.signatures.zip(now).is_some_and(|(window, now)| !window.contains(now))
    }

    /// The observations on which the decision waits, not those that only advise: what the plan asks, over the recorded answers. What
    /// stands at the reverse name besides the PTR counts only for a certificate that names an address (R3, R8).
    fn decisive(&self) -> Vec<&Observation> {
        let Some(Record { policy, connection, evidence: Some(evidence), now, .. }) = self.record else {
            return Vec::new();
        };
        let mut known = Evidence::new(evidence.source());
        let mut found = Vec::new();
        loop {
            let planned = plan::questions(policy, connection, &known, *now);
            let of_no_use = |planned: &Planned| {
                planned.pool == Pool::Address
                    && planned.question.rr_type != RrType::PTR
                    && self.certificate.ip.is_empty()
            };
            let decisive = planned.iter().filter(|planned| planned.is_decisive() && !of_no_use(planned));
            let answered: Vec<&Observation> = decisive
                .filter_map(|planned| evidence.get(&planned.question.name, planned.question.rr_type))
                .collect();
            if answered.is_empty() {
                return found;
            }
            for observation in answered {
                known.insert(observation.clone());
                found.push(observation);
            }
        }
    }

    /// The question and the command that asks it again, to the same servers.
    fn to_try(&self, question: &Question) -> String {
        let (name, rr_type) = (&question.name, question.rr_type);
        // A name may hold a quote, and is here to be pasted into a shell: `\039` is the same name.
        let quoted = name.to_string().replace('\'', "\\039");
        format!("{name} {rr_type} (try: revouch dns '{quoted}' {rr_type}{})", self.asking.options)
    }
}

/// The question that a failed check is about.
fn question_of(ground: &Ground, source: Option<IpAddr>) -> Option<Question> {
    let (before, _) = ground.seen.split_once(':').unwrap_or((&ground.seen, ""));
    match &*ground.check {
        "ptr" => Some(Question::new(DnsName::reverse(source?), RrType::PTR)),
        "forward" => Some(Question::new(ground.candidate.as_deref()?.parse().ok()?, before.parse().ok()?)),
        "answers" => {
            // A name has no space in presentation format, but may have a colon.
            let (name, rest) = ground.seen.split_once(' ')?;
            let (rr_type, _) = rest.split_once(':')?;
            Some(Question::new(name.parse().ok()?, rr_type.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_name_cannot_leave_the_quotes_of_the_shell() {
        let mut situation = Situation::at(None);
        situation.asking.options = " --resolver 192.0.2.53:53".to_owned();
        let question = Question::new("a';x\\;'b.test".parse().unwrap(), RrType::A);
        let told = situation.to_try(&question);
        let command = told.split("(try: ").nth(1).unwrap();
        assert_eq!(command, "revouch dns 'a\\039;x;\\039b.test' A --resolver 192.0.2.53:53)");
        let name = command.split('\'').nth(1).unwrap();
        assert_eq!(name.parse::<DnsName>().unwrap(), question.name, "it is the same name");
    }

    #[test]
    fn the_question_of_a_check_is_read_back() {
        let source = Some("192.0.2.7".parse().unwrap());
        let asked = |check: &str, candidate: Option<&str>, seen: &str| {
            let ground = Ground {
                check: check.to_owned(),
                candidate: candidate.map(str::to_owned),
                seen: seen.to_owned(),
            };
            question_of(&ground, source).map(|question| question.to_string())
        };
        assert_eq!(asked("ptr", None, "bogus: x").unwrap(), "7.2.0.192.in-addr.arpa PTR");
        assert_eq!(asked("forward", Some("gw1.test"), "AAAA: no answer in time").unwrap(), "gw1.test AAAA");
        let seen = "_443._tcp.a:b.test TLSA: bogus: at the DS: x";
        assert_eq!(asked("answers", Some("gw1.test"), seen).unwrap(), "_443._tcp.a:b.test TLSA");
        for (check, seen) in [("forward", "x"), ("answers", "x"), ("name", "A: x"), ("answers", "a..b A: x")]
        {
            assert_eq!(asked(check, None, seen), None, "{check} {seen}");
        }
    }
}
