//! When to look at a connection again.
//!
//! Entries are never taken out of the heap before their time. A connection remembers the number of
//! the one that counts; any other is stale, and thrown away when it fires or when the heap is full.

use super::table::Handle;
use alloc::collections::{BinaryHeap, TryReserveError};
use core::cmp::Reverse;
use smoltcp::time::Instant;

/// The number of a timer.
pub(super) type Serial = u64;

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Serial, Handle)>>,
    serial: Serial,
}

impl Timers {
    /// Makes room for the timers of `connections` connections, so that arming one cannot fail.
    pub(super) fn reserve(&mut self, connections: usize) -> Result<(), TryReserveError> {
        let wanted = 2 * connections + 64;
        self.heap
            .try_reserve(wanted.saturating_sub(self.heap.len()))
    }

    /// Adds one.
    pub(super) fn arm(&mut self, at: Instant, handle: Handle) -> Serial {
        self.serial += 1;
        self.heap.push(Reverse((at, self.serial, handle)));
        self.serial
    }

    /// So many are stale that they should be thrown away.
    pub(super) fn is_full(&self) -> bool {
        self.heap.len() == self.heap.capacity()
    }

    /// Throws away what `live` does not know.
    pub(super) fn retain(&mut self, live: impl Fn(Handle, Serial) -> bool) {
        self.heap
            .retain(|Reverse((_, serial, handle))| live(*handle, *serial));
    }

    /// Takes out one that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Handle, Serial)> {
        match self.heap.peek() {
            Some(Reverse((at, ..))) if *at <= now => self
                .heap
                .pop()
                .map(|Reverse((_, serial, handle))| (handle, serial)),
            _ => None,
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }
}
