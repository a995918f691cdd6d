#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::string::BmpString;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, KeyPair,
    OtherNameValue, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use super::testing::{Entity, FIRST, LAST, element, leaf, rsa_spki};
use super::*;

fn facts(params: CertificateParams) -> CertificateFacts {
    CertificateFacts::parse(&Entity::self_signed(params).der).unwrap()
}

fn with_extension(number: u64, content: &[u8]) -> Result<CertificateFacts, CertificateError> {
    let mut params = CertificateParams::default();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, number], content.to_vec())];
    CertificateFacts::parse(&Entity::self_signed(params).der)
}

fn with_common_name(value: impl Into<DnValue>) -> CertificateFacts {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, value.into());
    facts(params)
}

#[test]
fn an_ordinary_leaf_is_read_whole() {
    let entity = Entity::self_signed(leaf(&["a.example", "192.0.2.1", "2001:db8::1"]));
    let facts = CertificateFacts::parse(&entity.der).unwrap();
    assert_eq!(facts.version, 3);
    assert_eq!(facts.serial, [7]);
    assert_eq!(facts.dns, ["a.example"]);
    assert_eq!(facts.ip, ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    assert!(facts.other.is_empty() && facts.names_device() && !facts.names_device_in_cn());
    assert_eq!(facts.subject_display(), "CN=leaf");
    assert_eq!((facts.not_before, facts.not_after), (FIRST, LAST));
    assert_eq!(facts.eku, EkuSet::Present { server_auth: true, client_auth: false, any: false, others: 0 });
    let usage = KeyUsage { digital_signature: true, key_cert_sign: false, crl_sign: false };
    assert_eq!(facts.key_usage, Some(usage));
    assert_eq!((facts.key.algorithm, facts.key.bits, facts.key.weak()), (KeyAlgorithm::P256, 256, None));
    assert_eq!(KeyFacts::from_spki(&facts.spki), Some(facts.key));
    assert_eq!(facts.fingerprint, Fingerprint::of(&entity.der));
    assert!(!facts.is_ca());
}

#[test]
fn a_key_with_something_behind_its_bits_is_none() {
    let mut der = Entity::self_signed(leaf(&["a.example"])).der.to_vec();
    let spki = CertificateFacts::parse(&der).unwrap().spki;
    // A point on P-256 has 65 octets. The last one now stands behind the BIT STRING, and inside the SEQUENCE.
    let place = spki.windows(3).position(|octets| octets == [0x03, 0x42, 0x00]).unwrap() + 1;
    let whole = der.windows(spki.len()).position(|octets| octets == spki).unwrap();
    der[whole + place] -= 1;
    assert_eq!(CertificateFacts::parse(&der), Err(CertificateError::NotX509));
    assert_eq!(KeyFacts::from_spki(&der[whole..whole + spki.len()]), None);
    assert!(KeyFacts::from_spki(&spki).is_some());
}

#[test]
fn every_type_of_name_is_counted() {
    let mut params = leaf(&["a.example"]);
    params.subject_alt_names.extend([
        SanType::Rfc822Name("a@example".try_into().unwrap()),
        SanType::Rfc822Name("b@example".try_into().unwrap()),
        SanType::URI("urn:x".try_into().unwrap()),
        SanType::OtherName((vec![1, 2, 3], OtherNameValue::Utf8String("x".into()))),
    ]);
    let counted: Vec<_> = facts(params).other.into_iter().collect();
    assert_eq!(counted, [(OtherName::OtherName, 1), (OtherName::Rfc822Name, 2), (OtherName::Uri, 1)]);
    let odd = [0x30, 0x10, 0xa4, 2, 0x30, 0, 0x88, 1, 42, 0x82, 2, 0xc3, 0xbc, 0x87, 3, 1, 2, 3];
    let counted: Vec<_> = with_extension(17, &odd).unwrap().other.into_iter().collect();
    assert_eq!(
        counted,
        [(OtherName::DirectoryName, 1), (OtherName::RegisteredId, 1), (OtherName::Malformed, 2)]
    );
}

#[test]
fn purposes_are_told_apart() {
    let set = |purposes: &[ExtendedKeyUsagePurpose]| {
        let mut params = leaf(&["a.example"]);
        params.extended_key_usages = purposes.to_vec();
        facts(params).eku
    };
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    assert!(set(&[]).is_absent());
    assert_eq!(set(&[ServerAuth, ClientAuth, CodeSigning]).to_string(), "serverAuth, clientAuth, 1 other");
    assert!(set(&[Any]).any() && !set(&[Any]).server_auth());
    assert_eq!(with_extension(37, &[0x30, 0]).unwrap().eku.to_string(), "empty");
}

#[test]
fn extensions_that_cannot_be_read_are_typed_errors() {
    for (number, content, error) in [
        (17, &[0x30, 1][..], CertificateError::SubjectAltName),
        (17, &[0x30, 2, 0x89, 0], CertificateError::SubjectAltName),
        (37, &[0x30, 2, 0x05, 0], CertificateError::ExtendedKeyUsage),
        (15, &[0x03, 0], CertificateError::KeyUsage),
        (15, &[0x03, 2, 8, 0x80], CertificateError::KeyUsage),
        (19, &[0x30, 3, 1, 1, 7], CertificateError::BasicConstraints),
    ] {
        assert_eq!(with_extension(number, content), Err(error), "{number} {content:?}");
    }
    let mut params = leaf(&["a.example"]);
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0])];
    assert_eq!(
        CertificateFacts::parse(&Entity::self_signed(params).der),
        Err(CertificateError::DuplicateExtension)
    );
}

#[test]
fn key_usage_bits_that_are_declared_unused_do_not_count() {
    let usage = with_extension(15, &[3, 2, 7, 0xff]).unwrap().key_usage.unwrap();
    assert!(usage.digital_signature && !usage.key_cert_sign && !usage.crl_sign);
    let usage = with_extension(15, &[3, 3, 7, 0x06, 0x80]).unwrap().key_usage.unwrap();
    assert!(!usage.digital_signature && usage.key_cert_sign && usage.crl_sign);
}

#[test]
fn limits_hold() {
    let names = |count: usize| vec![SanType::DnsName("a.example".try_into().unwrap()); count];
    let mut params = leaf(&[]);
    params.subject_alt_names = names(MAX_NAMES);
    assert_eq!(facts(params.clone()).dns.len(), MAX_NAMES);
    params.subject_alt_names = names(MAX_NAMES + 1);
    let der = Entity::self_signed(params).der;
    assert_eq!(CertificateFacts::parse(&der), Err(CertificateError::TooManyNames));
    assert_eq!(CertificateFacts::parse(&vec![0; MAX_CERTIFICATE + 1]), Err(CertificateError::TooLarge));
    let mut trailing = Entity::self_signed(leaf(&[])).der.to_vec();
    trailing.push(0);
    assert_eq!(CertificateFacts::parse(&trailing), Err(CertificateError::TrailingData));
    assert_eq!(CertificateFacts::parse(b"no certificate"), Err(CertificateError::NotX509));
}

#[test]
fn a_version_1_certificate_that_webpki_refuses_can_be_read() {
    let suite: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/data/x509-limbo.json")).unwrap();
    let cases = suite["testcases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["id"] == "webpki::v1-cert").unwrap();
    let der = CertificateDer::from_pem_slice(case["peer_certificate"].as_str().unwrap().as_bytes()).unwrap();
    assert!(webpki::EndEntityCert::try_from(&der).is_err());
    assert_eq!(CertificateFacts::parse(&der).unwrap().version, 1);
}

#[test]
fn common_names_that_name_a_device_are_recognised_in_every_encoding() {
    for (name, device) in [
        ("host.example", true),
        ("HOST.Example.", true),
        (" host.example ", true),
        ("*.host.example", true),
        ("192.0.2.1", true),
        ("2001:db8::1", true),
        ("Jane Doe", false),
        ("jane", false),
        ("jane@host.example", false),
        ("Dr. Jane Doe", false),
        ("-a.example", false),
        ("a..example", false),
        ("", false),
    ] {
        assert_eq!(with_common_name(name).names_device_in_cn(), device, "{name:?}");
    }
    let wide: Vec<u8> = "host.example".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(
        with_common_name(DnValue::BmpString(BmpString::from_utf16be(wide).unwrap())).names_device_in_cn()
    );
}

#[test]
fn the_subject_is_printable_and_bounded() {
    let facts = with_common_name(format!("\u{1b}[31m\n{}", "x".repeat(5000)));
    assert!(facts.subject_display().is_ascii() && facts.subject_display().len() < 600);
    assert!(!facts.subject_display().contains(['\n', '\u{1b}']));
}

#[test]
fn names_match_by_rfc_9525() {
    for (presented, reference, matches) in [
        ("a.example", "a.example", true),
        ("A.Example", "a.EXAMPLE.", true),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", true),
        ("*.b.example", "a.b.example", true),
        ("*.b.example", "xn--bcher-kva.b.example", true),
        ("*.b.example", "b.example", false),
        ("*.b.example", "x.a.b.example", false),
        ("*.example", "a.example", false),
        ("*", "example", false),
        ("*.", "a.", false),
        ("a*.b.example", "ab.b.example", false),
        ("*a.b.example", "aa.b.example", false),
        ("a.*.example", "a.b.example", false),
        ("*.*.example", "a.b.example", false),
        ("a.example.", "a.example", false),
        ("a..example", "a.example", false),
        (".a.example", "a.example", false),
        ("", "a.example", false),
        ("192.0.2.1", "192.0.2.1", false),
        ("a b.example", "a\\032b.example", false),
        ("example", "a.example", false),
        ("a.example", "example", false),
        ("b.example", "a.example", false),
    ] {
        let reference: DnsName = reference.parse().unwrap();
        assert_eq!(dns_matches(presented, &reference), matches, "{presented:?} {reference}");
    }
}

#[test]
fn the_common_name_confirms_nothing() {
    let facts = with_common_name("a.example");
    assert_eq!(facts.matches_dns(&"a.example".parse().unwrap()), None);
}

#[test]
fn addresses_match_canonically_and_never_when_link_local() {
    for (presented, reference, matches) in [
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("::ffff:192.0.2.1", "192.0.2.1", false),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1", false),
        ("192.0.2.1", "192.0.2.2", false),
        ("2001:db8::1", "2001:db8::1", true),
        ("fe80::1", "fe80::1", false),
        ("169.254.1.1", "169.254.1.1", false),
        ("::ffff:169.254.1.1", "169.254.1.1", false),
    ] {
        assert_eq!(
            ip_matches(presented.parse().unwrap(), reference.parse().unwrap()),
            matches,
            "{presented} {reference}"
        );
    }
}

#[test]
fn weak_and_oversized_keys_are_told() {
    for (bits, why) in [
        (1024, Some(WeakKey::TooShort)),
        (2047, Some(WeakKey::TooShort)),
        (2048, None),
        (2052, None),
        (8192, None),
        (8193, Some(WeakKey::TooLarge)),
        (16384, Some(WeakKey::TooLarge)),
    ] {
        let key = KeyFacts::from_spki(&rsa_spki(bits, &[1, 0, 1])).unwrap();
        assert_eq!((key.bits as usize, key.weak()), (bits, why));
    }
    for exponent in [&[1][..], &[4], &[1; 9]] {
        let key = KeyFacts::from_spki(&rsa_spki(2048, exponent)).unwrap();
        assert_eq!(key.weak(), Some(WeakKey::Malformed), "{exponent:?}");
    }
    let curve = |oid: &[u8]| {
        let parameters = element(6, oid);
        let algorithm = [&[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], parameters.as_slice()].concat();
        let spki = element(0x30, &[element(0x30, &algorithm), element(3, &[0, 4, 1, 1])].concat());
        KeyFacts::from_spki(&spki).unwrap()
    };
    assert_eq!(curve(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1]).weak(), Some(WeakKey::TooShort));
    assert_eq!(curve(&[0x2b, 0x81, 4, 0, 0x22]).weak(), None);
    assert_eq!(curve(&[0x2b, 0x81, 4, 0, 10]).weak(), Some(WeakKey::Unsupported));
}

/// Certificates with everything in them that is read here.
static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut rich = leaf(&["a.example", "*.b.example", "192.0.2.1"]);
    rich.subject_alt_names.push(SanType::Rfc822Name("a@example".try_into().unwrap()));
    rich.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(3));
    let rsa = rsa_spki(2048, &[1, 0, 1]);
    vec![Entity::self_signed(rich).der.to_vec(), Entity::self_signed(leaf(&["c.example"])).der.to_vec(), rsa]
});
static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());

fn look_at(der: &[u8]) {
    let _ = KeyFacts::from_spki(der);
    if let Ok(facts) = CertificateFacts::parse(der) {
        let _ = (facts.names_device(), facts.key.weak(), facts.matches_dns(&"a.example".parse().unwrap()));
        assert!(facts.subject_display().is_ascii());
        assert!(facts.dns.len() + facts.ip.len() <= MAX_NAMES);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn facts_never_panic_on_changed_octets(
        sample in 0..3_usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut der = SAMPLES[sample].clone();
        for (index, octet) in changes {
            let index = index.index(der.len());
            der[index] = octet;
        }
        look_at(&der);
    }

    #[test]
    fn facts_never_panic_on_cut_or_grown_octets(
        sample in 0..3_usize, cut in any::<prop::sample::Index>(), insert in prop::collection::vec(any::<u8>(), 0..6), keep: bool,
    ) {
        let der = &SAMPLES[sample];
        let (head, tail) = der.split_at(cut.index(der.len()));
        look_at(&[head, &insert, if keep { tail } else { &[] }].concat());
    }

    #[test]
    fn facts_never_panic_on_any_octets(der in prop::collection::vec(any::<u8>(), 0..400)) {
        look_at(&der);
    }
}

proptest! {
    /// R16: what matches here is what matches on an outbound connection.
    #[test]
    fn names_match_as_webpki_matches_them(
        presented in "(\\*\\.)?([abAB]{1,2}\\.){0,3}[ab]{1,2}", reference in "([ab]{1,2}\\.){0,3}[ab]{1,2}",
    ) {
        let params = leaf(&[&presented]);
        let der = params.self_signed(&*KEY).unwrap().der().clone();
        let facts = CertificateFacts::parse(&der).unwrap();
        let name = ServerName::try_from(reference.as_str()).unwrap();
        let theirs = webpki::EndEntityCert::try_from(&der).unwrap().verify_is_valid_for_subject_name(&name).is_ok();
        prop_assert_eq!(facts.matches_dns(&reference.parse().unwrap()).is_some(), theirs);
    }
}

#[test]
fn subjects_of_another_text_type_stay_apart() {
    let named = |latin: &[u8; 4]| {
        let mut params = leaf(&["a.example"]);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "QQQQ");
        let mut der = Entity::self_signed(params).der.to_vec();
        // UTF8String becomes TeletexString.
        let places: Vec<usize> =
            (0..der.len() - 6).filter(|at| der[*at..].starts_with(b"\x0c\x04QQQQ")).collect();
        for at in places {
            der[at] = 0x14;
            der[at + 2..at + 6].copy_from_slice(latin);
        }
        CertificateFacts::parse(&der).unwrap().subject_display().to_owned()
    };
    assert_eq!(named(b"Zo\xeb "), "CN=Zo\\195\\171 ");
    assert_ne!(named(b"\xe9\xe9\xe9\xe9"), named(b"\xe8\xe8\xe8\xe8"));
}
