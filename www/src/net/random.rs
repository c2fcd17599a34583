//! Random numbers from the seed: for what should not be the same in two guests, nor guessed from
//! afar. What must stay secret is keyed elsewhere.

use super::table::Keyed;
use core::hash::BuildHasher;
use smoltcp::time::Duration;

/// SipHash of a counter.
pub(super) struct Random {
    key: Keyed,
    drawn: u64,
}

impl Random {
    pub(super) fn new(seed: [u64; 2]) -> Self {
        Random {
            key: Keyed(seed[0], seed[1]),
            drawn: 0,
        }
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        self.key.hash_one(self.drawn)
    }

    /// A time below `most`.
    pub(super) fn time(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.draw() % most.total_micros().max(1))
    }
}
