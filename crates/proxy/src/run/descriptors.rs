//! How many files the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are in use besides those of connections: log, listeners, admin connections, resolver sockets.
const BESIDES: u64 = 512;
/// One to the peer and one to the upstream.
const PER_CONNECTION: u64 = 2;

/// Raises the soft limit to the hard one, which needs no privilege, and returns what holds now; `None` if nothing limits it.
pub(super) fn raise() -> Option<u64> {
    let now = getrlimit(Resource::Nofile);
    if now.current != now.maximum {
        // Where it is refused, the limit that holds is what the caller is told.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// How many connections fit into `limit` descriptors, if fewer than `wanted`.
pub(super) fn shortage(limit: Option<u64>, wanted: u64) -> Option<u64> {
    let fit = limit?.saturating_sub(BESIDES) / PER_CONNECTION;
    (fit < wanted).then_some(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_two_descriptors_a_connection_is_a_shortage() {
        assert_eq!(shortage(None, 1_000_000), None);
        assert_eq!(shortage(Some(1_048_576), 100_000), None);
        assert_eq!(shortage(Some(1024), 100_000), Some(256));
        assert_eq!(shortage(Some(100), 1), Some(0));
    }

    #[test]
    fn the_soft_limit_is_the_hard_one_afterwards() {
        let after = raise();
        assert_eq!(after, getrlimit(Resource::Nofile).maximum);
    }
}
