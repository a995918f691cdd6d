//! What is legal and unwise.

use std::net::SocketAddr;

use revouch_validator::policy::{
    ClassChoice, Confirm, CrlUnknown, ForwardIdentity, Mode, NamePattern, TlsaMode,
};

use super::policy::Prepared;
use super::report::Report;
use super::scope::Scope;
use super::targets::Attachments;
use crate::config::{Limits, RouteConfig, SendProxy};
use crate::documents::RouteSection;
use crate::parse::SourceDocument;

/// Ports of federations that are open to every server: SMTP, XMPP between servers, SIP over TLS.
const FEDERATION_PORTS: &[u16] = &[25, 5061, 5269, 5270];

/// What a listener's own lines tell.
pub(super) fn listener(
    source: &SourceDocument,
    bind: &[SocketAddr],
    routes: &[RouteConfig],
    limits: &Limits,
    report: &mut Report<'_>,
) {
    if routes.is_empty() {
        report.warn(source, "spec.routes", "there is no route: every peer is refused");
    }
    if limits.handshakes_per_source > limits.handshakes_in_flight {
        let message = "is more than handshakesInFlight: one source could take all of them";
        report.warn(source, "spec.limits.handshakesPerSource", message);
    }
    for (index, route) in routes.iter().enumerate() {
        let path = format!("spec.routes[{index}]");
        if route.policy.is_none() {
            let message =
                format_args!("route {} has no PeerPolicy: it refuses every peer (no_policy)", route.name);
            report.warn(source, &path, message);
        }
        shadowed(source, &path, index, routes, report);
        let open = route.policy.as_ref().filter(|policy| {
            let draft = &policy.policy;
            draft.names.is_none() && draft.addresses.is_none() && draft.server_auth == ClassChoice::Accept
        });
        if let Some(policy) = open
            && policy.policy.services.is_empty()
            && policy.policy.ports.is_none()
            && !bind.iter().any(|address| FEDERATION_PORTS.contains(&address.port()))
        {
            let message = format_args!(
                "route {} is open to every server that DNS vouches for: PeerPolicy {} has no identity.names. If this is a federation, say of what with dns.services or dns.ports",
                route.name, policy.name
            );
            report.warn(source, &path, message);
        }
    }
}

/// Routes that never get a connection, wholly or for some name: the first match wins.
fn shadowed(
    source: &SourceDocument,
    path: &str,
    index: usize,
    routes: &[RouteConfig],
    report: &mut Report<'_>,
) {
    let Some((route, before)) = routes.get(..=index).and_then(|routes| routes.split_last()) else { return };
    if let Some(first) = before.iter().find(|earlier| earlier.server_names.is_empty()) {
        let message = format_args!("never reached: route {} before it takes every server name", first.name);
        report.warn(source, path, message);
        return;
    }
    for (place, pattern) in route.server_names.iter().enumerate() {
        let path = format!("{path}.serverNames[{place}]");
        let own = route.server_names.get(..place).unwrap_or_default();
        if own.contains(pattern) {
            report.warn(source, &path, format_args!("{pattern} is there twice"));
        } else if let Some(first) =
            before.iter().find(|earlier| earlier.server_names.iter().any(|e| covers(e, pattern)))
        {
            let message = format_args!("{pattern} never gets here: route {} before it takes it", first.name);
            report.warn(source, &path, message);
        }
    }
}

fn covers(earlier: &NamePattern, later: &NamePattern) -> bool {
    earlier == later || later.exact().is_some_and(|name| earlier.matches(name))
}

/// What only a route and its policy together tell.
pub(super) fn route(
    source: &SourceDocument,
    path: &str,
    route: &RouteSection,
    policy: &Prepared<'_>,
    report: &mut Report<'_>,
) {
    let send_proxy = route.upstream.as_ref().and_then(|upstream| upstream.send_proxy);
    let asked = policy.spec.forward_identity.is_some_and(|choice| choice != ForwardIdentity::Never);
    if asked && send_proxy != Some(SendProxy::V2) {
        let message = format_args!(
            "without sendProxy: V2 nothing precedes the peer's bytes: forwardIdentity of {} has no effect here",
            policy.source.object()
        );
        report.warn(source, &format!("{path}.upstream"), message);
    }
}

/// What policies tell by themselves, and whether they hold anywhere.
pub(super) fn scope(
    scope: &Scope<'_>,
    policies: &[Prepared<'_>],
    attachments: &Attachments,
    report: &mut Report<'_>,
) {
    let mut used = vec![false; policies.len()];
    for (listener, of) in scope.listeners.iter().enumerate() {
        for route in 0..of.spec.routes.as_deref().unwrap_or_default().len() {
            if let Some(used) = attachments.policy(listener, route).and_then(|policy| used.get_mut(policy)) {
                *used = true;
            }
        }
    }
    for (prepared, used) in policies.iter().zip(used) {
        if !used {
            let message =
                "holds for no route: each one of its listeners has a policy of its own, or there is none";
            report.warn(prepared.source, "spec.targetRefs", message);
        }
        policy(prepared, report);
    }
    // A target that is not there tells it better.
    if scope.listeners.is_empty()
        && !report.has_errors()
        && let Some(first) = scope.any()
    {
        report.error(first, "", "there is no Listener among the documents: the proxy would serve nothing");
    }
}

/// What a policy by itself tells.
pub(super) fn policy(prepared: &Prepared<'_>, report: &mut Report<'_>) {
    let (source, draft) = (prepared.source, &prepared.draft);
    let mut warn = |path: &str, message: &str| report.warn(source, path, message);
    if draft.mode == Mode::Audit {
        warn(
            "spec.mode",
            "Audit lets in whom the policy refuses: meant for a trial, to be ended with Enforce",
        );
    }
    if draft.confirm == Confirm::None {
        warn(
            "spec.identity.confirm",
            "None lets a listed name in from any address: whoever has its key, wherever it was taken to",
        );
    }
    if draft.tlsa == TlsaMode::Ignore {
        warn("spec.dns.tlsa", "Ignore passes over what a peer publishes about its own certificate (R11)");
    }
    if draft.crl_unknown == CrlUnknown::Refuse && prepared.trust.crl_files.is_empty() {
        warn(
            "spec.trust.crlUnknown",
            "Refuse without crlFiles refuses every certificate that is not matched by DANE usage 3",
        );
    }
    if draft.client_auth == ClassChoice::Reject && prepared.spec.client_auth.is_some() {
        warn("spec.clientAuth", "has no effect: eku.clientAuth is Reject");
    }
    for (index, pattern) in draft.names.iter().flatten().enumerate() {
        let text = pattern.to_string();
        if pattern.exact().is_none() && text.matches('.').count() < 2 {
            let message = format!("{text} is everyone below a top-level domain");
            warn(&format!("spec.identity.names[{index}]"), &message);
        }
    }
}
