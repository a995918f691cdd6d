//! The class of the certificate and its path: R1, R4, R5, R6, R16, S2.2, S2.3.

use rcgen::{ExtendedKeyUsagePurpose as Eku, KeyUsagePurpose};
use revouch_validator::path::Crls;
use revouch_validator::policy::{
    BothEku, ClassChoice, CrlExpired, CrlUnknown, ForwardIdentity, MixedNames, PolicyDraft, Subjects,
    UnmarkedEku,
};
use revouch_validator::verdict::PeerClass;

use crate::common::*;

fn with_clients(subjects: Subjects) -> impl FnOnce(&mut PolicyDraft) {
    move |draft| {
        draft.client_auth = ClassChoice::Accept;
        draft.has_client_trust = true;
        draft.subjects = subjects;
    }
}

fn open() -> revouch_validator::policy::Policy {
    policy(|_| {})
}

const GW1: &[&str] = &["gw1.example.test"];

#[test]
fn r1_a_client_auth_certificate_is_refused_without_further_configuration() {
    let verdict = judge(&open(), &person("Alice").chain(), &secure());
    assert_eq!(told(&verdict), "refused client_auth_rejected");
}

#[test]
fn r1_a_person_is_accepted_by_path_alone_without_any_evidence() {
    let policy = policy(with_clients(Subjects::Person));
    let chain = person("Alice").email("alice@example.test").chain();
    let (connection, trust) = (connection(), trust());
    let case = revouch_validator::decide::Case {
        policy: &policy,
        chain: &chain,
        connection: &connection,
        evidence: None,
        trust: &trust,
        now: NOW,
    };
    let verdict = revouch_validator::decide::decide(&case);
    assert_eq!(verdict.class(), Some(PeerClass::Person));
    assert!(told(&verdict).contains("Alice"), "{}", told(&verdict));
}

#[test]
fn r1_subjects_person_refuses_devices_by_san_and_by_common_name() {
    let policy = policy(with_clients(Subjects::Person));
    let leaves = [
        person("Alice").dns("gw1.example.test"),
        person("Alice").ip("192.0.2.1"),
        person("gw1.example.test"),
        person("192.0.2.1"),
        person("2001:db8::1"),
    ];
    for leaf in leaves {
        assert_eq!(told(&judge(&policy, &leaf.chain(), &secure())), "refused subject_is_device");
    }
}

#[test]
fn r1_subjects_device_takes_a_device_through_r2_with_client_trust_and_refuses_persons() {
    let policy = policy(with_clients(Subjects::Device));
    let device = || person("gw1").dns("gw1.example.test");
    let verdict = judge(&policy, &device().chain(), &secure());
    assert_eq!(told(&verdict), "accepted gw1.example.test");
    assert_eq!(verdict.class(), Some(PeerClass::Device));
    assert_eq!(told(&judge(&policy, &person("Alice").chain(), &secure())), "refused subject_is_person");
    let elsewhere = secure().a("gw1.example.test", &["192.0.2.99"]);
    assert_eq!(told(&judge(&policy, &device().chain(), &elsewhere)), "refused not_confirmed");
    // The anchors are those of clientAuth, never those of servers.
    let by_server_ca = device().by(&SERVERS).chain();
    assert_eq!(told(&judge(&policy, &by_server_ca, &secure())), "refused path_eku");
}

#[test]
fn r1_subjects_any_takes_both() {
    let policy = policy(with_clients(Subjects::Any));
    assert!(judge(&policy, &person("Alice").chain(), &secure()).is_accepted());
    assert!(judge(&policy, &person("x").dns("gw1.example.test").chain(), &secure()).is_accepted());
}

#[test]
fn r1_dane_never_vouches_for_a_client_auth_certificate() {
    let policy = policy(with_clients(Subjects::Device));
    let chain = person("x").dns("gw1.example.test").self_signed().chain();
    for usage in [2, 3] {
        let dns = secure().tlsa("_5269._tcp.gw1.example.test", &[tlsa_of(&chain, usage, 1, 1)]);
        assert_eq!(told(&judge(&policy, &chain, &dns)), "refused unknown_issuer");
    }
}

#[test]
fn r4_what_is_passed_on_depends_on_the_class() {
    let forward = |mode, chain: &revouch_validator::chain::Chain| {
        let policy = policy(|draft| {
            with_clients(Subjects::Any)(draft);
            draft.forward_identity = mode;
        });
        judge(&policy, chain, &secure()).forwarded_identity(&policy)
    };
    let server_chain = server(GW1).cn("evil.example").chain();
    let person_chain = person("Alice").chain();
    assert_eq!(forward(ForwardIdentity::ClientAuthOnly, &server_chain), None);
    assert_eq!(forward(ForwardIdentity::Never, &person_chain), None);
    // The confirmed name, never the subject's common name.
    let told = forward(ForwardIdentity::Always, &server_chain).unwrap();
    assert_eq!(
        (told.verified_name.as_str(), told.common_name.as_deref()),
        ("gw1.example.test", Some("gw1.example.test"))
    );
    let told = forward(ForwardIdentity::ClientAuthOnly, &person_chain).unwrap();
    assert_eq!(told.common_name.as_deref(), Some("Alice"));
}

#[test]
fn r4_a_common_name_that_could_be_read_in_two_ways_is_not_passed_on() {
    let policy = policy(with_clients(Subjects::Person));
    let long = "a".repeat(257);
    for odd in ["root\0.evil", "a\r\nb", "\u{85}", long.as_str()] {
        let verdict = judge(&policy, &person(odd).chain(), &secure());
        let told = verdict.forwarded_identity(&policy).unwrap();
        assert_eq!(told.common_name, None, "{odd:?}");
        assert!(told.verified_name.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
    let verdict = judge(&policy, &person("Zo\u{eb} M\u{fc}ller").chain(), &secure());
    assert_eq!(
        verdict.forwarded_identity(&policy).unwrap().common_name.as_deref(),
        Some("Zo\u{eb} M\u{fc}ller")
    );
}

#[test]
fn r4_a_subject_that_cannot_be_told_whole_is_not_passed_on() {
    let policy = policy(with_clients(Subjects::Person));
    // Equal as far as they are shown.
    for end in ["Alice", "Mallory"] {
        let verdict = judge(&policy, &person(&format!("{}{end}", "\u{eb}".repeat(128))).chain(), &secure());
        assert!(verdict.is_accepted());
        assert_eq!(verdict.forwarded_identity(&policy), None, "{end}");
    }
}

#[test]
fn r1_no_subject_can_be_written_so_that_it_reads_as_another() {
    let policy = policy(with_clients(Subjects::Person));
    let verified = |leaf: Leaf| {
        let verdict = judge(&policy, &leaf.chain(), &secure());
        verdict.forwarded_identity(&policy).unwrap().verified_name
    };
    let organised = |name: &str, organisation: &str| {
        let mut leaf = person(name);
        leaf.params.distinguished_name.push(rcgen::DnType::OrganizationName, organisation);
        verified(leaf)
    };
    assert_eq!(organised("Alice", "Bank"), "CN=Alice, O=Bank");
    assert_ne!(verified(person("Alice, O=Bank")), organised("Alice", "Bank"));
    assert_ne!(verified(person("Alice + O=Bank")), "CN=Alice + O=Bank");
    let long = judge(&policy, &person(&"x".repeat(10_000)).chain(), &secure());
    assert!(long.accepted().unwrap().identity().to_string().ends_with("xxx..."));
}

#[test]
fn r4_a_refused_peer_has_no_identity() {
    let policy = policy(|draft| draft.forward_identity = ForwardIdentity::Always);
    let verdict = judge(&policy, &server(&["other.example.test"]).chain(), &secure());
    assert_eq!(
        (told(&verdict).as_str(), verdict.forwarded_identity(&policy)),
        ("refused name_mismatch", None)
    );
}

#[test]
fn r5_both_ekus_are_refused_or_taken_as_one_class() {
    let both = || server(GW1).eku(&[Eku::ServerAuth, Eku::ClientAuth]);
    assert_eq!(told(&judge(&open(), &both().chain(), &secure())), "refused eku_both");
    let as_server = policy(|draft| draft.both = BothEku::AsServerAuth);
    assert_eq!(told(&judge(&as_server, &both().chain(), &secure())), "accepted gw1.example.test");
    let as_client = policy(|draft| {
        with_clients(Subjects::Device)(draft);
        draft.both = BothEku::AsClientAuth;
    });
    // One class, one set of anchors: never a second try as a server.
    assert_eq!(told(&judge(&as_client, &both().chain(), &secure())), "refused path_eku");
    assert_eq!(told(&judge(&as_client, &both().by(&PEOPLE).chain(), &secure())), "accepted gw1.example.test");
    // And no matter what the DNS vouches for.
    let chain = both().chain();
    let dns = secure().tlsa("_5269._tcp.gw1.example.test", &[tlsa_of(&chain, 3, 1, 1)]);
    assert_eq!(told(&judge(&open(), &chain, &dns)), "refused eku_both");
}

#[test]
fn absent_any_and_other_ekus_are_named_policy() {
    let absent = || server(GW1).eku(&[]).chain();
    assert_eq!(told(&judge(&open(), &absent(), &secure())), "refused eku_absent");
    assert!(
        judge(&policy(|draft| draft.absent = UnmarkedEku::AsServerAuth), &absent(), &secure()).is_accepted()
    );
    let any = || server(GW1).eku(&[Eku::Any]).chain();
    assert_eq!(told(&judge(&open(), &any(), &secure())), "refused eku_any");
    assert!(judge(&policy(|draft| draft.any = UnmarkedEku::AsServerAuth), &any(), &secure()).is_accepted());
    let other = server(GW1).eku(&[Eku::CodeSigning]).chain();
    let lax =
        policy(|draft| (draft.any, draft.absent) = (UnmarkedEku::AsServerAuth, UnmarkedEku::AsServerAuth));
    assert_eq!(told(&judge(&lax, &other, &secure())), "refused eku_other");
}

#[test]
fn r1_any_beside_client_auth_is_not_waived_by_dane() {
    let chain = server(GW1).eku(&[Eku::ClientAuth, Eku::Any]).chain();
    let dns = secure().tlsa("_5269._tcp.gw1.example.test", &[tlsa_of(&chain, 3, 1, 1)]);
    assert_eq!(told(&judge(&open(), &chain, &dns)), "refused eku_any");
}

#[test]
fn r5_any_beside_both_ekus_needs_its_own_acceptance() {
    let chain = || server(GW1).eku(&[Eku::ServerAuth, Eku::ClientAuth, Eku::Any]).by(&PEOPLE).chain();
    let as_client = |any| {
        policy(|draft| {
            with_clients(Subjects::Device)(draft);
            (draft.both, draft.any) = (BothEku::AsClientAuth, any);
        })
    };
    assert_eq!(told(&judge(&as_client(UnmarkedEku::Reject), &chain(), &secure())), "refused eku_any");
    assert!(judge(&as_client(UnmarkedEku::AsServerAuth), &chain(), &secure()).is_accepted());
    let as_server = policy(|draft| draft.both = BothEku::AsServerAuth);
    assert_eq!(told(&judge(&as_server, &chain(), &secure())), "refused eku_any");
}

#[test]
fn r6_a_device_name_beside_another_type_is_invalid() {
    for leaf in [server(GW1).email("a@example.test"), server(&[]).ip("192.0.2.1").email("a@example.test")] {
        assert_eq!(told(&judge(&open(), &leaf.chain(), &secure())), "refused names_mixed");
    }
    let both_device_names = server(GW1).ip("192.0.2.1").chain();
    assert_eq!(told(&judge(&open(), &both_device_names, &secure())), "accepted gw1.example.test");
    let literal = policy(|draft| draft.mixed_names = MixedNames::Reject);
    assert_eq!(told(&judge(&literal, &both_device_names, &secure())), "refused names_mixed");
    assert!(judge(&literal, &server(GW1).chain(), &secure()).is_accepted());
}

#[test]
fn r6_holds_for_client_devices_too() {
    let policy = policy(with_clients(Subjects::Any));
    let leaf = person("x").dns("gw1.example.test").email("a@example.test");
    assert_eq!(told(&judge(&policy, &leaf.chain(), &secure())), "refused names_mixed");
}

#[test]
fn s2_2_a_service_for_end_users_declines_servers() {
    let policy = policy(|draft| {
        with_clients(Subjects::Person)(draft);
        draft.server_auth = ClassChoice::Reject;
    });
    let chain = server(GW1).chain();
    assert_eq!(told(&judge(&policy, &chain, &secure())), "refused server_auth_rejected");
    let dns = secure().tlsa("_5269._tcp.gw1.example.test", &[tlsa_of(&chain, 3, 1, 1)]);
    assert_eq!(told(&judge(&policy, &chain, &dns)), "refused server_auth_rejected");
    assert!(judge(&policy, &person("Alice").chain(), &secure()).is_accepted());
}

#[test]
fn s2_3_a_service_for_servers_declines_clients() {
    assert!(judge(&open(), &server(GW1).chain(), &secure()).is_accepted());
    let verdict = judge(&open(), &person("Alice").dns("gw1.example.test").chain(), &secure());
    assert_eq!(told(&verdict), "refused client_auth_rejected");
}

#[test]
fn r16_the_path_is_judged_as_on_an_outbound_connection() {
    let refused = |leaf: Leaf| told(&judge(&open(), &leaf.chain(), &secure()));
    assert_eq!(refused(server(GW1)), "accepted gw1.example.test");
    assert_eq!(refused(server(GW1).self_signed()), "refused unknown_issuer");
    assert_eq!(refused(server(GW1).valid(-7200, -60)), "refused expired");
    assert_eq!(refused(server(GW1).valid(60, 7200)), "refused not_yet_valid");
    assert_eq!(refused(server(GW1).by(&PEOPLE)), "refused path_eku");
    assert_eq!(refused(server(GW1).key_usage(KeyUsagePurpose::KeyEncipherment)), "refused key_usage");
    assert_eq!(refused(server(GW1).critical_extension()), "refused path_invalid");
}

#[test]
fn r16_an_intermediate_for_another_purpose_is_refused() {
    let mut trust = trust();
    trust.server = trust.client.clone();
    let verdict = judge_with(&open(), &server(GW1).by(&PEOPLE).chain(), &secure(), &trust);
    assert_eq!(told(&verdict), "refused path_eku");
}

#[test]
fn r16_revocation_is_by_crl_and_its_gaps_are_named_policy() {
    let chain = server(GW1).chain();
    let judged = |policy: &revouch_validator::policy::Policy, crls: Vec<Vec<u8>>| {
        let mut trust = trust();
        let (taken, rejected) = Crls::from_der(crls);
        assert!(rejected.is_empty());
        trust.crls = taken;
        told(&judge_with(policy, &chain, &secure(), &trust))
    };
    assert_eq!(judged(&open(), vec![SERVERS.crl(&[7], 3600)]), "refused revoked");
    assert_eq!(judged(&open(), vec![SERVERS.crl(&[8], 3600)]), "accepted gw1.example.test");
    assert_eq!(judged(&open(), vec![SERVERS.crl(&[8], -60)]), "refused crl_expired");
    let lax = policy(|draft| draft.crl_expired = CrlExpired::Allow);
    assert_eq!(judged(&lax, vec![SERVERS.crl(&[8], -60)]), "accepted gw1.example.test");
    let strict = policy(|draft| draft.crl_unknown = CrlUnknown::Refuse);
    assert_eq!(judged(&strict, vec![]), "refused revocation_unknown");
    assert_eq!(judged(&strict, vec![SERVERS.crl(&[8], 3600)]), "refused revocation_unknown");
}

#[test]
fn an_unreadable_leaf_is_refused_before_anything_else() {
    let chain =
        revouch_validator::chain::Chain::new(vec![vec![0x30, 0x03, 0x02, 0x01, 0x05].into()]).unwrap();
    assert_eq!(told(&judge(&open(), &chain, &secure())), "refused certificate_unreadable");
}
