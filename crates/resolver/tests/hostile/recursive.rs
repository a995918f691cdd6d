//! The attacker between us and a recursive resolver that validates: what that resolver found bogus it answers with SERVFAIL.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, Record};
use revouch_lab::Sabotage;

use super::answers::{Attack, nothing_wrong, run};
use super::edits::{Edit, forged_address};
use super::tables::{forging, harmless, stripping};
use super::*;

const A: RecordType = RecordType::A;

/// A scene whose attacker stands before an unbound that stands before the lab.
async fn scene() -> (Scene, Unbound) {
    let builder = universe()
        .zone("broken.test", Signing::Nsec)
        .record("www.broken.test", "A 127.0.1.1")
        .broken_ds("broken.test", true)
        .record("expired.nsec.test", "A 127.0.1.1")
        .sabotage("expired.nsec.test", "A", Sabotage::ExpiredSignature)
        .record("wrong.nsec3.test", "A 127.0.1.1")
        .sabotage("wrong.nsec3.test", "A", Sabotage::WrongRdata);
    let universe = builder.build().unwrap();
    let lab = universe.serve(Listen::loopback()).await.unwrap();
    let recursor = Unbound::start(&universe, &lab).await.unwrap_or_else(|why| panic!("{why}"));
    let book = Book::new(recursor.address());
    (Scene::over(universe, lab, book).await, recursor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_the_recursive_resolver_is_turned_into_nothing_better() {
    let (scene, _recursor) = scene().await;
    let (denial, other) =
        (scene.book.read("none.nsec.test", A).await, scene.book.read("www.nsec.test", A).await);
    let unsigned = scene.book.read("none.unsigned.test", A).await;
    let mut attacks = Vec::new();
    for owner in ["www.broken.test", "none.broken.test", "expired.nsec.test", "wrong.nsec3.test"] {
        assert_eq!(told(&ask(&scene.victim(Protocol::Udp), owner, A).await), "SERVFAIL", "{owner}");
        for (what, edits) in [
            ("NXDOMAIN", vec![Edit::Code(ResponseCode::NXDomain)]),
            ("NODATA", vec![Edit::Code(ResponseCode::NoError)]),
            ("AD", vec![Edit::Code(ResponseCode::NoError), Edit::Authentic]),
            ("a forged address", vec![Edit::Forge(forged_address())]),
            ("a forged address and AD", vec![Edit::Forge(forged_address()), Edit::Authentic]),
            ("another denial", vec![Edit::Replace(denial.clone()), Edit::Authentic]),
            ("an unsigned denial", vec![Edit::Replace(unsigned.clone()), Edit::Authentic]),
            ("another answer", vec![Edit::ReplaceAs(other.clone()), Edit::Authentic]),
        ] {
            attacks.push(Attack::direct(&format!("SERVFAIL turned into {what}"), owner, A, edits));
        }
    }
    nothing_wrong(&run(&scene, &attacks).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_a_recursive_resolver_are_attacked_in_vain() {
    let (scene, _recursor) = scene().await;
    for zone in ["nsec.test", "sub.nsec3.test"] {
        let attacks = [stripping(zone), forging(zone), harmless(zone)].concat();
        nothing_wrong(&run(&scene, &attacks).await);
    }
}

/// The AD bit of whoever is on the way counts only where the operator said so, and then for answers that do not contradict themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_resolver_is_believed_but_not_what_contradicts_itself() {
    let (scene, _recursor) = scene().await;
    let config = scene.config(vec![scene.attacker.server(Protocol::Udp)]);
    let trusting =
        Upstream::new(UpstreamConfig { validation: Validation::trust_ad(), ..config }, clock()).unwrap();
    for (edits, expected) in [
        (vec![], "secure records"),
        (vec![Edit::Code(ResponseCode::NXDomain)], "SERVFAIL"),
        (vec![Edit::ClearAnswers], "SERVFAIL"),
        (vec![Edit::Code(ResponseCode::ServFail)], "SERVFAIL"),
    ] {
        let attack = Attack::direct("contradiction", "www.nsec.test", A, edits);
        scene.attacker.plot(attack.plot());
        assert_eq!(told(&ask(&trusting, "www.nsec.test", A).await), expected, "{:?}", attack.on);
    }
    scene.attacker.plot(Arc::new(|asked, mut genuine| {
        if asked.is("none.nsec.test", A) {
            let stray = RData::A(hickory_proto::rr::rdata::A::new(127, 6, 6, 6));
            genuine.answers.push(Record::from_rdata(wire_name("x.nsec.test"), 60, stray));
        }
        Reply::Message(Box::new(genuine))
    }));
    assert_eq!(told(&ask(&trusting, "none.nsec.test", A).await), "SERVFAIL");
    assert_eq!(told(&ask(&trusting, "www.broken.test", A).await), "SERVFAIL");
}
