//! Holding the parts of a policy against each other.

use std::fmt;

use super::values::{BothEku, ClassChoice, Confirm, TlsaMode, UnmarkedEku};
use super::{Policy, PolicyDraft};

/// Why a policy cannot be. The text of each says what to change, with the names of `policy.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyError {
    /// `identity.names` is there and empty.
    EmptyNames,
    /// `identity.addresses` is there and empty.
    EmptyAddresses,
    /// `identity.confirm: Forward` or `None` without `names`.
    ConfirmNeedsNames,
    /// `identity.confirm: Forward` or `None` with a wildcard among the names.
    ConfirmNeedsExactNames,
    /// Both classes are rejected.
    NobodyAccepted,
    /// A certificate is to be taken as of a class that is rejected.
    AsRejectedClass,
    /// `eku.clientAuth: Accept` without `clientAuth.trust`.
    ClientAuthNeedsTrust,
    /// No anchors, and TLSA records are not required.
    NoTrust,
    /// `dns.deadline` is out of its bounds.
    Deadline,
    /// `dns.maxNames` is out of its bounds.
    MaxNames,
    /// More than 8 `dns.services`, 8 `dns.ports`, 16 `dns.extraTypes`, 1024 names or 1024 addresses.
    ListTooLong,
    /// `dns.ports` is there and empty, or holds 0.
    Ports,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyNames => "identity.names is empty: nobody could connect. Leave it out to let in every confirmed server",
            Self::EmptyAddresses => "identity.addresses is empty: nobody could connect. Leave it out for no limit",
            Self::ConfirmNeedsNames => "identity.confirm: Forward or None needs identity.names: whom to let in",
            Self::ConfirmNeedsExactNames => "identity.confirm: Forward or None needs exact names: a wildcard cannot be resolved in advance",
            Self::NobodyAccepted => "eku.serverAuth and eku.clientAuth are both Reject: nobody could connect",
            Self::AsRejectedClass => "a certificate cannot be taken AsServerAuth or AsClientAuth where that class is Reject",
            Self::ClientAuthNeedsTrust => "eku.clientAuth: Accept needs clientAuth.trust.caFiles: whose clientAuth certificates count",
            Self::NoTrust => "trust.public: None without trust.caFiles trusts nobody: name caFiles, or set dns.tlsa: Require",
            Self::Deadline => "dns.deadline must be between 1ms and 60s",
            Self::MaxNames => "dns.maxNames must be between 1 and 64",
            Self::ListTooLong => "a list is too long: at most 8 dns.services, 8 dns.ports, 16 dns.extraTypes, 1024 names, 1024 addresses",
            Self::Ports => "dns.ports must hold ports from 1 to 65535; leave it out for the listener's own port",
        })
    }
}

impl std::error::Error for PolicyError {}

impl PolicyDraft {
    /// Makes a policy, if its parts fit together.
    ///
    /// # Errors
    /// The first contradiction, see [`PolicyError`].
    pub fn build(self) -> Result<Policy, PolicyError> {
        self.check_identity()?;
        self.check_classes()?;
        self.check_dns()?;
        let trusted = self.has_server_trust
            || self.server_auth == ClassChoice::Reject
            || self.tlsa == TlsaMode::Require;
        if trusted { Ok(Policy(self)) } else { Err(PolicyError::NoTrust) }
    }

    fn check_identity(&self) -> Result<(), PolicyError> {
        let names = self.names.as_deref();
        if names.is_some_and(<[_]>::is_empty) {
            return Err(PolicyError::EmptyNames);
        }
        if self.addresses.as_deref().is_some_and(<[_]>::is_empty) {
            return Err(PolicyError::EmptyAddresses);
        }
        if matches!(self.confirm, Confirm::Forward | Confirm::None) {
            let names = names.ok_or(PolicyError::ConfirmNeedsNames)?;
            if names.iter().any(|pattern| pattern.exact().is_none()) {
                return Err(PolicyError::ConfirmNeedsExactNames);
            }
        }
        Ok(())
    }

    fn check_classes(&self) -> Result<(), PolicyError> {
        let (server, client) =
            (self.server_auth == ClassChoice::Accept, self.client_auth == ClassChoice::Accept);
        if !server && !client {
            return Err(PolicyError::NobodyAccepted);
        }
        let wants_server = self.both == BothEku::AsServerAuth
            || self.absent == UnmarkedEku::AsServerAuth
            || self.any == UnmarkedEku::AsServerAuth;
        if (wants_server && !server) || (self.both == BothEku::AsClientAuth && !client) {
            return Err(PolicyError::AsRejectedClass);
        }
        if client && !self.has_client_trust { Err(PolicyError::ClientAuthNeedsTrust) } else { Ok(()) }
    }

    fn check_dns(&self) -> Result<(), PolicyError> {
        if !(1..=60_000).contains(&self.deadline_ms) {
            return Err(PolicyError::Deadline);
        }
        if !(1..=64).contains(&self.max_names) {
            return Err(PolicyError::MaxNames);
        }
        let ports = self.ports.as_deref();
        if ports.is_some_and(|ports| ports.is_empty() || ports.contains(&0)) {
            return Err(PolicyError::Ports);
        }
        let too_long = self.services.len() > 8
            || ports.is_some_and(|p| p.len() > 8)
            || self.extra_types.len() > 16
            || self.names.as_ref().is_some_and(|n| n.len() > 1024)
            || self.addresses.as_ref().is_some_and(|a| a.len() > 1024);
        if too_long { Err(PolicyError::ListTooLong) } else { Ok(()) }
    }
}

impl TryFrom<PolicyDraft> for Policy {
    type Error = PolicyError;

    fn try_from(draft: PolicyDraft) -> Result<Self, PolicyError> {
        draft.build()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn error(change: impl FnOnce(&mut PolicyDraft)) -> Option<PolicyError> {
        let mut draft = PolicyDraft::default();
        change(&mut draft);
        draft.build().err()
    }

    #[test]
    fn the_defaults_are_a_policy_and_round_trip_through_json() {
        let policy = PolicyDraft::default().build().unwrap();
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        let impossible = json.replace("\"maxNames\":8", "\"maxNames\":0");
        assert!(serde_json::from_str::<Policy>(&impossible).is_err());
    }

    #[test]
    fn contradictions_are_refused() {
        let wildcard = || Some(vec!["*.a.example".parse().unwrap()]);
        assert_eq!(error(|d| d.names = Some(vec![])), Some(PolicyError::EmptyNames));
        assert_eq!(error(|d| d.addresses = Some(vec![])), Some(PolicyError::EmptyAddresses));
        assert_eq!(error(|d| d.confirm = Confirm::Forward), Some(PolicyError::ConfirmNeedsNames));
        assert_eq!(
            error(|d| (d.confirm, d.names) = (Confirm::None, wildcard())),
            Some(PolicyError::ConfirmNeedsExactNames)
        );
        assert_eq!(error(|d| d.server_auth = ClassChoice::Reject), Some(PolicyError::NobodyAccepted));
        assert_eq!(error(|d| d.both = BothEku::AsClientAuth), Some(PolicyError::AsRejectedClass));
        let client =
            |d: &mut PolicyDraft| (d.client_auth, d.server_auth) = (ClassChoice::Accept, ClassChoice::Reject);
        assert_eq!(error(client), Some(PolicyError::ClientAuthNeedsTrust));
        let trusted_client = |d: &mut PolicyDraft| {
            client(d);
            d.has_client_trust = true;
        };
        assert_eq!(error(trusted_client), None);
        let any = |d: &mut PolicyDraft| d.any = UnmarkedEku::AsServerAuth;
        let absent = |d: &mut PolicyDraft| d.absent = UnmarkedEku::AsServerAuth;
        assert_eq!(error(|d| (trusted_client(d), any(d)).1), Some(PolicyError::AsRejectedClass));
        assert_eq!(error(|d| (trusted_client(d), absent(d)).1), Some(PolicyError::AsRejectedClass));
        assert_eq!(error(|d| d.has_server_trust = false), Some(PolicyError::NoTrust));
        assert_eq!(error(|d| (d.has_server_trust, d.tlsa) = (false, TlsaMode::Require)), None);
        assert_eq!(error(|d| d.deadline_ms = 0), Some(PolicyError::Deadline));
        assert_eq!(error(|d| d.max_names = 65), Some(PolicyError::MaxNames));
        assert_eq!(error(|d| d.ports = Some(vec![])), Some(PolicyError::Ports));
        assert_eq!(error(|d| d.ports = Some(vec![443; 9])), Some(PolicyError::ListTooLong));
    }
}
