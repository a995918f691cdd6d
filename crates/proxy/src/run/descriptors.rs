//! How many files the process may have open, and what fits into that.
//!
//! Promises: whatever `maxConnections` is, descriptors are left for what must go on when all connections are taken: DNS questions, the admin
//! listener, the log, and the files that a reload reads.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are in use besides those of connections: log, listeners, admin connections, resolver sockets, files.
const BESIDES: u64 = 512;
/// One to the peer and one to the upstream.
const PER_CONNECTION: u64 = 2;
/// How many refused connections may linger at a time, one descriptor each.
const LINGERING: u64 = 1024;

/// What the limit on open files leaves room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// `None` if nothing limits it.
    limit: Option<u64>,
}

impl Room {
    /// As if there were no limit: for a program that looks after that itself.
    pub(super) const fn unlimited() -> Self {
        Self { limit: None }
    }

    /// Raises the soft limit to the hard one, which needs no privilege; what holds afterwards counts.
    pub(super) fn raise() -> Self {
        let now = getrlimit(Resource::Nofile);
        if now.current != now.maximum {
            // Where it is refused, the limit that holds is what counts.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
        }
        Self { limit: getrlimit(Resource::Nofile).current }
    }

    /// How many refused connections may linger: of a small limit not more than an eighth.
    pub(super) fn lingering(self) -> usize {
        let fit = self.limit.map_or(LINGERING, |limit| LINGERING.min(limit / 8));
        usize::try_from(fit).unwrap_or(usize::MAX)
    }

    /// How many of the `wanted` connections fit. At most half of a small limit is kept from them. Tells if not all do.
    pub(super) fn connections(self, wanted: usize) -> usize {
        let Some(limit) = self.limit else { return wanted };
        let besides = BESIDES + LINGERING.min(limit / 8);
        let fit = (limit - besides.min(limit / 2)) / PER_CONNECTION;
        let fit = usize::try_from(fit).unwrap_or(usize::MAX);
        if fit < wanted {
            tracing::warn!(
                limit,
                "maxConnections is {wanted}, and the limit on open files lets {fit} in: raise it (LimitNOFILE= in a systemd unit), \
                 or lower maxConnections. Until then {fit} is what holds"
            );
        }
        fit.min(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_than_there_are_two_descriptors_for_besides_a_reserve() {
        let fit = |limit, wanted| Room { limit }.connections(wanted);
        assert_eq!(fit(None, 1_000_000), 1_000_000);
        assert_eq!(fit(Some(1_048_576), 100_000), 100_000);
        assert_eq!(fit(Some(201_536), 100_001), 100_000);
        assert_eq!(fit(Some(1024), 100_000), 256);
        assert_eq!(fit(Some(100), 1), 1);
        assert_eq!(fit(Some(0), 1), 0);
    }

    #[test]
    fn connections_lingering_ones_and_the_rest_fit_into_any_limit() {
        for limit in 1..100_000 {
            let room = Room { limit: Some(limit) };
            let taken = 2 * room.connections(50_000) + room.lingering();
            assert!(
                u64::try_from(taken)
                    .is_ok_and(|taken| taken <= limit - limit / 4 || limit >= 2048 && taken + 512 <= limit),
                "{limit}"
            );
        }
    }

    #[test]
    fn the_soft_limit_is_the_hard_one_afterwards() {
        let after = Room::raise();
        assert_eq!(after.limit, getrlimit(Resource::Nofile).maximum);
    }
}
