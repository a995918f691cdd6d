//! The class of a certificate: its EKU set and the policy choose one class, one purpose, one set of anchors (R1, R5, R6, S2.2, S2.3).
//! There is never a second try as another class.

use crate::cert::{CertificateFacts, EkuSet, OtherName};
use crate::path::Purpose;
use crate::policy::{BothEku, ClassChoice, MixedNames, Policy, Subjects, UnmarkedEku};
use crate::reason::Reason;
use crate::verdict::PeerClass;

/// What a certificate is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) peer: PeerClass,
    pub(super) purpose: Purpose,
    /// A refusal that a matching DANE-EE(3) record waives (`eku.absent`, `eku.any`, R6), with its rule.
    pub(super) unless_dane_ee: Option<Reason>,
}

/// Chooses the class, or says why there is none.
pub(super) fn classify(policy: &Policy, facts: &CertificateFacts) -> Result<Class, Reason> {
    let mut class = by_eku(policy, facts)?;
    if class.peer != PeerClass::Server {
        class.peer = subject(policy, facts)?;
    }
    if class.peer != PeerClass::Person && names_are_mixed(policy, facts) {
        if class.peer != PeerClass::Server {
            return Err(Reason::NamesMixed);
        }
        class.unless_dane_ee = class.unless_dane_ee.or(Some(Reason::NamesMixed));
    }
    Ok(class)
}

fn by_eku(policy: &Policy, facts: &CertificateFacts) -> Result<Class, Reason> {
    let server = |purpose, unless_dane_ee| match policy.server_auth {
        ClassChoice::Accept => Ok(Class { peer: PeerClass::Server, purpose, unless_dane_ee }),
        ClassChoice::Reject => Err(Reason::ServerAuthRejected),
    };
    let client = || match policy.client_auth {
        ClassChoice::Accept => {
            Ok(Class { peer: PeerClass::Device, purpose: Purpose::Client, unless_dane_ee: None })
        }
        ClassChoice::Reject => Err(Reason::ClientAuthRejected),
    };
    let unmarked = |choice, reason| (choice == UnmarkedEku::Reject).then_some(reason);
    match facts.eku {
        // Both EKUs are asked first, whatever else is listed: `eku.both: Reject` stands before DANE.
        EkuSet::Present { server_auth: true, client_auth: true, any, .. } => match policy.both {
            BothEku::Reject => Err(Reason::EkuBoth),
            BothEku::AsServerAuth => {
                server(Purpose::Server, any.then(|| unmarked(policy.any, Reason::EkuAny)).flatten())
            }
            BothEku::AsClientAuth if any && policy.any == UnmarkedEku::Reject => Err(Reason::EkuAny),
            BothEku::AsClientAuth => client(),
        },
        EkuSet::Absent => server(Purpose::Server, unmarked(policy.absent, Reason::EkuAbsent)),
        // R1: clientAuth without serverAuth is never DANE's to vouch for, whatever stands beside it.
        EkuSet::Present { any: true, client_auth: true, .. } if policy.any == UnmarkedEku::Reject => {
            Err(Reason::EkuAny)
        }
        EkuSet::Present { any: true, .. } => {
            server(Purpose::ServerOrAny, unmarked(policy.any, Reason::EkuAny))
        }
        EkuSet::Present { server_auth: true, .. } => server(Purpose::Server, None),
        EkuSet::Present { client_auth: true, .. } => client(),
        EkuSet::Present { .. } => Err(Reason::EkuOther),
    }
}

/// Whom a clientAuth certificate names (R1).
fn subject(policy: &Policy, facts: &CertificateFacts) -> Result<PeerClass, Reason> {
    // A dNSName or iPAddress that cannot be read was meant for a device all the same.
    let device = facts.names_device() || facts.other.contains_key(&OtherName::Malformed);
    match (device, policy.subjects) {
        (true, Subjects::Person) => Err(Reason::SubjectIsDevice),
        (false, Subjects::Device) => Err(Reason::SubjectIsPerson),
        (true, Subjects::Device | Subjects::Any) => Ok(PeerClass::Device),
        (false, Subjects::Person | Subjects::Any) => Ok(PeerClass::Person),
    }
}

/// R6: a device name beside a name of another type.
fn names_are_mixed(policy: &Policy, facts: &CertificateFacts) -> bool {
    let (dns, ip, other) = (!facts.dns.is_empty(), !facts.ip.is_empty(), !facts.other.is_empty());
    (dns || ip) && other || (dns && ip && policy.mixed_names == MixedNames::Reject)
}
