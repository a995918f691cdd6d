//! The wall clock set forward and back across what signatures say, while answers, keys and delegations are remembered.

use std::sync::atomic::{AtomicI64, Ordering};

use super::seasons::{BOGUS, Season};
use super::*;

const DAY: i64 = 86_400;

/// Signatures of the lab hold from an hour before it was built to a week after.
const TOO_LATE: i64 = 8 * DAY;
const TOO_EARLY: i64 = -2 * 3600;

#[tokio::test]
async fn nothing_is_used_outside_of_its_signatures_and_everything_again_inside() {
    let season = Season::new(universe().ttl(3600)).await;
    let all = [
        ("www.nsec.test", "secure records"),
        ("none.nsec3.test", "secure nxdomain"),
        ("x.wild.nsec.test", "secure records"),
        ("alias.nsec.test", "secure records"),
        // That the zone is unsigned is signed too.
        ("www.unsigned.test", "insecure records"),
        ("none.unsigned.test", "insecure nxdomain"),
        ("www.plain.optout.test", "insecure records"),
        ("out.nsec.test", "insecure records"),
    ];
    for wall in [0, TOO_LATE, 0, TOO_EARLY, 0] {
        season.set_wall(wall);
        for (owner, inside) in all {
            let expected = if wall == 0 { inside } else { "bogus" };
            assert_eq!(season.told(owner).await, expected, "{owner} at {wall}");
        }
        if wall != 0 {
            // What was found bogus is remembered by the other clock.
            season.pass(BOGUS).await;
        }
    }
}

#[tokio::test]
async fn remembered_keys_and_delegations_prove_nothing_outside_of_their_signatures() {
    let scene = Scene::of(universe().ttl(3600), Book::forgetful).await;
    for (owner, inside) in [("mail.nsec.test", "secure records"), ("mail.unsigned.test", "insecure records")]
    {
        let wall = Arc::new(AtomicI64::new(0));
        let (told_time, shift) = (clock(), Arc::clone(&wall));
        let shifted: Clock =
            Arc::new(move || Timestamp(told_time().0.saturating_add_signed(shift.load(Ordering::SeqCst))));
        let upstream =
            Upstream::new(scene.config(vec![scene.attacker.server(Protocol::Udp)]), shifted).unwrap();
        let mut is_first = true;
        for (at, expected) in
            [(0, inside), (TOO_LATE, "bogus"), (0, inside), (TOO_EARLY, "bogus"), (0, inside)]
        {
            wall.store(at, Ordering::SeqCst);
            let before = scene.attacker.seen.questions();
            assert_eq!(told(&ask(&upstream, owner, RecordType::A).await), expected, "{owner} at {at}");
            // In time nothing but the answer is asked for again; out of time the chain of trust is.
            let sent = scene.attacker.seen.questions() - before;
            assert_eq!(sent == 1, at == 0 && !is_first, "{owner} at {at}: {sent}");
            is_first = false;
        }
    }
}
