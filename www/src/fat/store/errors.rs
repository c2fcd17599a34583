//! What goes wrong with a part, logged once a second at most.

use alloc::rc::Rc;
use core::cell::Cell;
use core::fmt;

use crate::pack::names::Part;
use crate::seam::Clock;

/// The errors of one part, whatever volumes it has had.
pub(super) struct Errors {
    part: Part,
    clock: Rc<dyn Clock>,
    /// When the last line was written.
    last: Cell<Option<u64>>,
    /// Errors since then.
    left_out: Cell<u64>,
    count: Cell<u64>,
}

impl Errors {
    pub(super) fn new(part: Part, clock: Rc<dyn Clock>) -> Self {
        Self {
            part,
            clock,
            last: Cell::new(None),
            left_out: Cell::new(0),
            count: Cell::new(0),
        }
    }

    /// Counts an error, and logs it if none was logged in this second.
    pub(super) fn report(&self, what: &dyn fmt::Display, why: &dyn fmt::Display) {
        let part = self.part.name();
        match self.next() {
            None => {}
            Some(0) => log::error!(target: "fat", "{part}: {what}: {why}"),
            Some(more) => {
                log::error!(target: "fat", "{part}: {what}: {why} ({more} more errors before)");
            }
        }
    }

    /// Counts an error. If it is to be logged: how many were left out before it.
    fn next(&self) -> Option<u64> {
        self.count.set(self.count.get() + 1);
        let now = self.clock.unix_time();
        if self.last.replace(Some(now)) == Some(now) {
            self.left_out.set(self.left_out.get() + 1);
            return None;
        }
        Some(self.left_out.take())
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hand(Cell<u64>);

    impl Clock for Rc<Hand> {
        fn unix_time(&self) -> u64 {
            self.0.get()
        }
    }

    #[test]
    fn once_a_second_with_what_was_left_out() {
        let hand = Rc::new(Hand(Cell::new(100)));
        let errors = Errors::new(Part::Files, Rc::new(hand.clone()));
        assert_eq!(
            [errors.next(), errors.next(), errors.next()],
            [Some(0), None, None]
        );
        hand.0.set(101);
        assert_eq!([errors.next(), errors.next()], [Some(2), None]);
        hand.0.set(200);
        assert_eq!([errors.next(), errors.next()], [Some(1), None]);
        // A clock that was set back does not silence it.
        hand.0.set(50);
        assert_eq!(errors.next(), Some(1));
        assert_eq!(errors.count(), 8);
    }
}
