//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

/// Pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until the condition holds, at most for `deadline`; says whether it came to hold.
#[must_use = "the condition may never have held"]
pub async fn eventually(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`eventually`], for a condition that gives a value.
pub async fn eventually_some<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let mut found = None;
    let held = eventually(deadline, || {
        found = look();
        found.is_some()
    });
    if held.await { found } else { None }
}
