//! Memory that all connections of a thread share, for octets that do not outlive one step of one connection.
//!
//! Promises: what is lent belongs to the borrower alone until it gives it back, and there is one piece for each borrower that is inside another
//! (the relay reads into one while TLS decrypts from one), so that a thread never has more than these. What an earlier borrower left in it is
//! not cleared: a borrower looks only at what it has put there itself.

use std::cell::RefCell;

thread_local! {
    static PIECES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Lends so many octets.
pub(crate) fn lend<T>(size: usize, body: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut piece = PIECES.with_borrow_mut(Vec::pop).unwrap_or_default();
    if piece.len() < size {
        piece.resize(size, 0);
    }
    let done = body(piece.get_mut(..size).unwrap_or_default());
    PIECES.with_borrow_mut(|pieces| pieces.push(piece));
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrower_inside_another_has_memory_of_its_own_and_both_are_used_again() {
        for size in [10, 20, 5] {
            lend(size, |outer| {
                outer.fill(1);
                lend(size, |inner| inner.fill(2));
                assert_eq!(outer, vec![1; size]);
            });
        }
        assert_eq!(PIECES.with_borrow(Vec::len), 2);
    }
}
