//! The time, taken once a turn.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

/// The system's clocks. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Clock(Rc<Cell<Instant>>);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }

    /// Takes the time: a turn begins.
    pub(crate) fn tick(&self) {
        self.0.set(Instant::now());
    }

    /// The time when this turn began.
    pub(crate) fn now(&self) -> Instant {
        self.0.get()
    }
}

impl www::Clock for Clock {
    fn unix_time(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}
