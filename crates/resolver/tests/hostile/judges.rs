//! Who says what an attacked answer may be called: the truth, and two validators that nobody here wrote.

use std::process::Command;

use revouch_testbed::Unbound;

use super::*;

/// How much an answer is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Bogus, or no answer at all.
    Failure,
    Insecure,
    Secure,
}

impl Standing {
    pub(super) fn of(result: &Result<Answer, DnsFailure>) -> Self {
        match result {
            Ok(answer) if answer.status == DnssecStatus::Secure => Self::Secure,
            Ok(_) => Self::Insecure,
            Err(_) => Self::Failure,
        }
    }
}

/// What is wrong with an attacked answer, whoever else may have been deceived; `None` if nothing is.
pub(super) fn falsehood(
    owner: &str,
    attacked: &Result<Answer, DnsFailure>,
    truth: &Result<Answer, DnsFailure>,
) -> Option<String> {
    let Ok(answer) = attacked else { return None };
    let same = truth.as_ref().is_ok_and(|truth| {
        let sorted = |answer: &Answer| {
            let mut texts: Vec<String> = answer.records.iter().map(ToString::to_string).collect();
            texts.sort();
            texts
        };
        sorted(truth) == sorted(answer)
            && truth.negative == answer.negative
            && truth.chain.iter().map(|l| &l.target).eq(answer.chain.iter().map(|l| &l.target))
            && truth.wildcard == answer.wildcard
    });
    match (Standing::of(attacked), Standing::of(truth)) {
        (Standing::Secure, Standing::Secure) if same => None,
        (Standing::Secure, _) => Some(format!("secure: {answer:?}, but the truth is {truth:?}")),
        // RFC 9276 section 3.2: who hashes so often has no denial that anyone would check.
        (Standing::Insecure, Standing::Secure) if wire_name("costly.test").zone_of(&wire_name(owner)) => None,
        (Standing::Insecure, Standing::Secure | Standing::Failure) => {
            Some(format!("insecure: {answer:?}, but the truth is {truth:?}"))
        }
        (Standing::Insecure | Standing::Failure, _) => None,
    }
}

/// Few ports, as unbound shuffles all that it may use at each reload.
const SETTINGS: &str =
    "  aggressive-nsec: no\n  outgoing-port-avoid: 0-65535\n  outgoing-port-permit: 32768-34815\n";

/// What unbound makes of a question, behind the same attacker and knowing nothing yet.
pub(super) async fn unbound(scene: &Scene, owner: &str, rr_type: RecordType) -> Result<Answer, DnsFailure> {
    let start = Unbound::start_with(&scene.universe, scene.attacker.address, SETTINGS);
    let started = scene.unbound.get_or_try_init(|| start).await;
    let unbound = started.unwrap_or_else(|why| panic!("{why}"));
    unbound.forget().await.unwrap();
    let server = Server { address: unbound.address(), protocol: Protocol::Udp };
    let config = UpstreamConfig { validation: Validation::trust_ad(), ..scene.config(vec![server]) };
    let theirs = Upstream::new(UpstreamConfig { timeout: Duration::from_secs(20), ..config }, clock());
    ask(&theirs.unwrap(), owner, rr_type).await
}

/// What delv makes of it. It is asked for its state only.
pub(super) async fn delv(scene: &Scene, owner: &str, rr_type: RecordType) -> (Standing, String) {
    let directory = revouch_testbed::process::temp_dir().unwrap();
    let anchor = directory.path().join("anchor");
    let text = scene.universe.trust_anchor();
    let (numbers, key) = text.trim().rsplit_once(' ').unwrap();
    let numbers = numbers.rsplit(' ').take(3).collect::<Vec<_>>();
    let static_key = format!("{} {} {}", numbers[2], numbers[1], numbers[0]);
    std::fs::write(&anchor, format!("trust-anchors {{ . static-key {static_key} \"{key}\"; }};\n")).unwrap();
    let mut command = Command::new("delv");
    command
        .arg(format!("@{}", scene.attacker.address.ip()))
        .args(["-p", &scene.attacker.address.port().to_string(), "-a"])
        .arg(&anchor)
        .args(["+root=.", "+nocrypto", owner, &rr_type.to_string()]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.unwrap_or_else(|why| panic!("delv: {why}; run `cargo xtask setup`"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let standing = if said.contains("resolution failed") && !said.contains("ncache") {
        Standing::Failure
    } else if said.contains("; unsigned answer") || said.contains("unsigned answer") {
        Standing::Insecure
    } else if said.contains("fully validated") {
        Standing::Secure
    } else {
        Standing::Failure
    };
    (standing, said)
}
