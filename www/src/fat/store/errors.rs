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
        self.count.set(self.count.get() + 1);
        let now = self.clock.unix_time();
        if self.last.get() == Some(now) {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        self.last.set(Some(now));
        let part = self.part.name();
        match self.left_out.take() {
            0 => log::error!(target: "fat", "{part}: {what}: {why}"),
            more => log::error!(target: "fat", "{part}: {what}: {why} ({more} more errors before)"),
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.get()
    }
}
