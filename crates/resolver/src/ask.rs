//! What can be asked a question: a group of servers, the link, or a script in a test.

use futures_util::future::BoxFuture;
use revouch_validator::answer::{Answer, DnsFailure};
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;
use tokio::time::Instant;

use crate::mdns::Multicast;
use crate::upstream::{QueryBudget, Upstream};

/// Answers one question at a time, with no memory of answers and no knowledge of zones.
pub(crate) trait Ask: Send + Sync {
    /// The records of `rr_type` at `name`, each question that is sent paid from `budget`.
    fn ask<'a>(
        &'a self,
        name: &'a DnsName,
        rr_type: RrType,
        budget: &'a QueryBudget,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Answer, DnsFailure>>;
}

impl Ask for Upstream {
    fn ask<'a>(
        &'a self,
        name: &'a DnsName,
        rr_type: RrType,
        budget: &'a QueryBudget,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Answer, DnsFailure>> {
        Box::pin(Self::ask(self, name, rr_type, budget, deadline))
    }
}

impl Ask for Multicast {
    fn ask<'a>(
        &'a self,
        name: &'a DnsName,
        rr_type: RrType,
        budget: &'a QueryBudget,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Answer, DnsFailure>> {
        Box::pin(Self::ask(self, name, rr_type, budget, deadline))
    }
}
