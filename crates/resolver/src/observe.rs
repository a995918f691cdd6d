//! Who is told what happens here, to count it.

use std::time::Duration;

use revouch_validator::evidence::Observation;

/// Is told of every question and every gathering. Called on the runtime's threads: it must not block.
///
/// What may become a label of a metric is the observation's `source` and the kind of its `outcome`: both are closed. Names and records
/// are not.
pub trait Observer: Send + Sync {
    /// A question has its outcome, from wherever it came.
    fn question(&self, observation: &Observation);

    /// The evidence of a connection stands. `asked` says whether anything was sent upstream for it.
    fn evidence(&self, took: Duration, asked: bool);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn question(&self, _: &Observation) {}

    fn evidence(&self, _: Duration, _: bool) {}
}
