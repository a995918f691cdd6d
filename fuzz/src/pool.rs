//! Certificates and revocation lists made once when a target starts, with what is true of them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use revouch_lab::pki::{CertificateAuthority, Identity, LeafBuilder};
use revouch_lab::{KeyKind, KeyUsage, Purpose};
use revouch_validator::cert::{CertificateFacts, Fingerprint};
use revouch_validator::timestamp::Timestamp;
use rustls_pki_types::CertificateDer;

/// A certificate, and what is true of it.
pub struct Made {
    /// It, in DER.
    pub der: CertificateDer<'static>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The place in the pool of the certificate whose key signed it: its own, if it signed itself.
    pub issuer: usize,
    /// Whether it may issue others.
    pub ca: bool,
    /// Its serial number.
    pub serial: u64,
    /// When it is valid, both ends included.
    pub valid: (u64, u64),
    /// The extended key usages server and client, as far as it limits itself.
    pub purposes: Option<(bool, bool)>,
    /// Whether a handshake may be signed with it.
    pub signs: bool,
    /// Whether webpki can read it.
    pub readable: bool,
}

/// A revocation list, and what is true of it.
pub struct List {
    /// It, in DER.
    pub der: Vec<u8>,
    /// The place in the pool of its issuer.
    pub issuer: usize,
    /// The serial numbers that it revokes.
    pub revoked: Vec<u64>,
    /// thisUpdate and nextUpdate.
    pub updates: (u64, u64),
}

/// All of them.
pub struct Pool {
    /// The certificates: those of the authorities first, then [`leaves`](Pool::leaves).
    pub certificates: Vec<Made>,
    /// Where the leaves begin.
    pub leaves: usize,
    /// The revocation lists.
    pub lists: Vec<List>,
    /// The time at which they were made.
    pub now: Timestamp,
}

/// The pool.
pub static POOL: LazyLock<Pool> = LazyLock::new(Pool::new);

/// The name that most leaves are for.
pub const NAME: &str = "gw1.example.test";

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

impl Pool {
    /// The certificate at a place that the fuzzer chose.
    pub fn pick(&self, choice: u8) -> (usize, &Made) {
        let place = usize::from(choice) % self.certificates.len();
        (place, &self.certificates[place])
    }

    /// The leaf at a place that the fuzzer chose.
    pub fn leaf(&self, choice: u8) -> (usize, &Made) {
        let place = self.leaves + usize::from(choice) % (self.certificates.len() - self.leaves);
        (place, &self.certificates[place])
    }

    /// The place of a certificate.
    pub fn place_of(&self, fingerprint: Fingerprint) -> Option<usize> {
        self.certificates.iter().position(|made| made.fingerprint == fingerprint)
    }

    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let mut pool = Self { certificates: Vec::new(), leaves: 0, lists: Vec::new(), now: Timestamp(now) };
        let ago = |days: u64| (UNIX_EPOCH + Duration::from_secs(now - days * DAY)).into();
        let authority = |name: &str| CertificateAuthority::builder(name);
        let authorities = [
            CertificateAuthority::servers().unwrap(),
            authority("Second").build().unwrap(),
            authority("Direct").without_intermediate().build().unwrap(),
            CertificateAuthority::people().unwrap(),
            authority("Past").validity(ago(20), ago(5)).build().unwrap(),
            authority("Unlimited").purposes(&[]).key(KeyKind::P384).build().unwrap(),
        ];
        let mut issuers = Vec::new();
        for (index, authority) in authorities.iter().enumerate() {
            let always = (now - 30 * DAY, now + 365 * DAY);
            let root = pool.add(authority.root(), None, true, 1, always, None);
            let above = authority.intermediate().map(|intermediate| {
                let valid = if index == 4 { (now - 20 * DAY, now - 5 * DAY) } else { always };
                let purposes = match index {
                    3 => Some((false, true)),
                    5 => None,
                    _ => Some((true, false)),
                };
                pool.add(intermediate, Some(root), true, 2, valid, purposes)
            });
            issuers.push((root, above.unwrap_or(root)));
        }
        pool.leaves = pool.certificates.len();
        for (authority, (_, issuer)) in authorities.iter().zip(&issuers) {
            let purposes = if *issuer == issuers[3].1 { Some((false, true)) } else { Some((true, false)) };
            pool.issue(authority.leaf().dns(NAME), *issuer, purposes);
        }
        let (first, issuer) = (&authorities[0], issuers[0].1);
        let server = Some((true, false));
        let one = pool.issue(first.leaf().dns("*.example.test").common_name(NAME), issuer, server);
        pool.issue(first.leaf().ip(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))), issuer, server);
        pool.issue(first.leaf().dns("other.test").same_key_as(&one), issuer, server);
        pool.issue(first.leaf().dns(NAME).expired(), issuer, server);
        pool.issue(first.leaf().dns(NAME).not_yet_valid(), issuer, server);
        pool.issue(first.leaf().dns(NAME).purposes(&[]), issuer, None);
        pool.issue(first.leaf().dns(NAME).purposes(&[Purpose::ClientAuth]), issuer, Some((false, true)));
        let both = [Purpose::ServerAuth, Purpose::ClientAuth];
        pool.issue(first.leaf().dns(NAME).purposes(&both), issuer, Some((true, true)));
        pool.issue(first.leaf().dns(NAME).key_usages(&[KeyUsage::KeyAgreement]), issuer, server);
        pool.certificates.last_mut().unwrap().signs = false;
        pool.issue(first.leaf().dns(NAME).version_1(), issuer, None);
        pool.certificates.last_mut().unwrap().readable = false;
        let signed = LeafBuilder::self_signed().dns(NAME);
        let own = pool.certificates.len();
        pool.issue(signed, own, server);
        for (authority, (root, issuer)) in authorities.iter().zip(&issuers).take(2) {
            let first_leaf =
                pool.certificates[pool.leaves..].iter().find(|made| made.issuer == *issuer).unwrap().serial;
            let updates = (now - HOUR, now + DAY);
            pool.list(authority.crl().issue().unwrap(), *issuer, vec![], updates);
            pool.list(
                authority.crl().revoke_serial(first_leaf).this_update(ago(1)).issue().unwrap(),
                *issuer,
                vec![first_leaf],
                (now - DAY, now + DAY),
            );
            pool.list(
                authority
                    .crl()
                    .revoke_serial(first_leaf)
                    .this_update(ago(3))
                    .next_update(ago(2))
                    .issue()
                    .unwrap(),
                *issuer,
                vec![first_leaf],
                (now - 3 * DAY, now - 2 * DAY),
            );
            pool.list(authority.root_crl().issue().unwrap(), *root, vec![], updates);
            pool.list(
                authority.root_crl().revoke_serial(2).this_update(ago(2)).issue().unwrap(),
                *root,
                vec![2],
                (now - 2 * DAY, now + DAY),
            );
        }
        pool
    }

    fn issue(&mut self, leaf: LeafBuilder, issuer: usize, purposes: Option<(bool, bool)>) -> Identity {
        let identity = leaf.issue().unwrap();
        let facts = CertificateFacts::parse(&identity.leaf()).unwrap();
        let valid = (facts.not_before.0, facts.not_after.0);
        self.add(identity.leaf(), Some(issuer), false, identity.serial(), valid, purposes);
        identity
    }

    fn add(
        &mut self,
        der: CertificateDer<'static>,
        issuer: Option<usize>,
        ca: bool,
        serial: u64,
        valid: (u64, u64),
        purposes: Option<(bool, bool)>,
    ) -> usize {
        let facts = CertificateFacts::parse(&der).unwrap();
        let place = self.certificates.len();
        self.certificates.push(Made {
            fingerprint: facts.fingerprint,
            spki: facts.spki,
            issuer: issuer.unwrap_or(place),
            ca,
            serial,
            valid,
            purposes,
            signs: true,
            readable: true,
            der,
        });
        place
    }

    fn list(&mut self, list: revouch_lab::Crl, issuer: usize, revoked: Vec<u64>, updates: (u64, u64)) {
        self.lists.push(List { der: list.der().to_vec(), issuer, revoked, updates });
    }
}
