//! Certificate facts: any octets give facts or an error, within the limits that are promised, and the facts agree with webpki where
//! both have an opinion.

use std::net::IpAddr;

use revouch_validator::cert::{CertificateFacts, Fingerprint, MAX_CERTIFICATE, MAX_COMMON_NAMES, MAX_NAMES};
use revouch_validator::escape::MAX_ESCAPED;
use revouch_validator::name::DnsName;
use rustls_pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

const SERVER_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTH: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// References that nothing in the certificate need resemble.
const NAMES: [&str; 4] = ["gw1.example.test", "a.b.example.test", "test", "1.2.3.4"];
const ADDRESSES: [&str; 4] = ["192.0.2.1", "2001:db8::1", "fe80::1", "169.254.0.1"];

/// Reads `der` as a certificate.
pub fn run(der: &[u8]) {
    let Ok(facts) = CertificateFacts::parse(der) else { return };
    assert!(der.len() <= MAX_CERTIFICATE);
    assert_eq!(facts.fingerprint, Fingerprint::of(der));
    let names = facts.dns.len() + facts.ip.len() + facts.other.values().sum::<usize>();
    assert!(names <= MAX_NAMES && facts.common_names.len() <= MAX_COMMON_NAMES);
    for part in [&facts.subject_der, &facts.issuer_der, &facts.spki, &facts.serial] {
        assert!(holds(der, part));
    }
    for name in &facts.dns {
        assert!(name.is_ascii() && holds(der, name.as_bytes()));
    }
    let shown = facts.subject_display();
    assert!(shown.len() <= 2 * MAX_ESCAPED && shown.bytes().all(|c| (0x20..0x7f).contains(&c)), "{shown:?}");
    assert!(!facts.eku.server_auth() || holds(der, SERVER_AUTH));
    assert!(!facts.eku.client_auth() || holds(der, CLIENT_AUTH));
    assert!(CertificateFacts::parse(&[der, &[0]].concat()).is_err(), "something follows the certificate");
    let webpki = CertificateDer::from(der);
    let webpki = EndEntityCert::try_from(&webpki).ok();
    if let Some(webpki) = &webpki {
        assert_eq!(*webpki.subject_public_key_info(), *facts.spki);
    }
    for reference in references(&facts) {
        name_as_webpki(&facts, webpki.as_ref(), &reference);
    }
    let fixed = ADDRESSES.iter().map(|address| address.parse().unwrap());
    for reference in facts.ip.iter().copied().chain(fixed).take(32) {
        address_as_webpki(&facts, webpki.as_ref(), reference);
    }
}

/// Whether `part` stands somewhere in `whole`.
fn holds(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}

/// Names that match, and such as nearly do.
fn references(facts: &CertificateFacts) -> Vec<DnsName> {
    let own = facts.dns.iter().take(16).flat_map(|name| {
        let below = |label: &str| name.strip_prefix("*.").map(|rest| format!("{label}.{rest}"));
        [
            Some(name.clone()),
            below("a"),
            below("a.b"),
            below("*"),
            name.split_once('.').map(|(_, up)| up.to_owned()),
        ]
    });
    let fixed = NAMES.iter().map(|name| Some((*name).to_owned()));
    own.chain(fixed).flatten().filter_map(|text| text.parse().ok()).collect()
}

/// A match here is one for webpki. The other way round webpki takes underscores too.
fn name_as_webpki(facts: &CertificateFacts, webpki: Option<&EndEntityCert<'_>>, reference: &DnsName) {
    let ours = facts.matches_dns(reference);
    if let Some(presented) = ours {
        assert!(facts.dns.iter().any(|name| name == presented));
        let same = presented.eq_ignore_ascii_case(&reference.to_string());
        assert!(same || presented.starts_with("*."), "{presented} is taken for {reference}");
        assert_eq!(presented.split('.').count(), reference.label_count(), "{presented} {reference}");
    }
    let text = reference.to_string();
    let (Some(webpki), Ok(server @ ServerName::DnsName(_))) = (webpki, ServerName::try_from(text.as_str()))
    else {
        return;
    };
    match webpki.verify_is_valid_for_subject_name(&server) {
        Ok(()) => {
            assert!(ours.is_some() || text.contains('_') || facts.dns.iter().any(|name| name.contains('_')))
        }
        Err(webpki::Error::CertNotValidForName(_)) => assert_eq!(ours, None, "webpki knows of no {text}"),
        // One of its names is one that webpki does not want to compare at all.
        Err(_) => {}
    }
}

fn address_as_webpki(facts: &CertificateFacts, webpki: Option<&EndEntityCert<'_>>, reference: IpAddr) {
    let ours = facts.matches_ip(reference);
    assert_eq!(ours, facts.matches_ip(reference.to_canonical()));
    let link_local = match reference.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    assert!(!(ours && link_local), "{reference} confirms");
    let Some(webpki) = webpki else { return };
    // Mapped addresses are one to webpki and another to R3.
    let mapped = facts.ip.iter().chain([&reference]).any(|ip| *ip != ip.to_canonical());
    match webpki.verify_is_valid_for_subject_name(&ServerName::IpAddress(reference.into())) {
        Ok(()) => assert!(ours || link_local || mapped, "{reference}"),
        Err(webpki::Error::CertNotValidForName(_)) => {
            assert!(!ours || mapped, "webpki knows of no {reference}");
        }
        Err(_) => {}
    }
}
