//! The deadlines of all connections.
//!
//! A deadline is moved with every request and hardly ever passes, so moving it later touches no
//! heap: an entry that comes up too early is put back to when it is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// A deadline for each slot, or none.
#[derive(Default)]
pub(crate) struct Timers {
    slots: Vec<Slot>,
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
}

#[derive(Clone, Default)]
struct Slot {
    deadline: Option<Instant>,
    /// The slot's entry in the heap that counts; others of it are out of date.
    queued: Option<Instant>,
}

impl Timers {
    /// Sets the deadline of a slot.
    pub(crate) fn set(&mut self, slot: usize, deadline: Option<Instant>) {
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, Slot::default());
        }
        self.slots[slot].deadline = deadline;
        if let Some(deadline) = deadline
            && self.slots[slot]
                .queued
                .is_none_or(|queued| deadline < queued)
        {
            self.queue(slot, deadline);
        }
    }

    /// Whether the deadline of a slot has passed.
    pub(crate) fn passed(&self, slot: usize, now: Instant) -> bool {
        self.slots[slot]
            .deadline
            .is_some_and(|deadline| deadline <= now)
    }

    /// When to call [`next`](Self::next): not after the first deadline.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// A slot the deadline of which has passed. Each passed deadline comes up once.
    pub(crate) fn next(&mut self, now: Instant) -> Option<usize> {
        loop {
            let Reverse((at, slot)) = *self.heap.peek().filter(|Reverse((at, _))| *at <= now)?;
            self.heap.pop();
            if self.slots[slot].queued != Some(at) {
                continue;
            }
            self.slots[slot].queued = None;
            match self.slots[slot].deadline {
                Some(deadline) if deadline <= now => return Some(slot),
                Some(deadline) => self.queue(slot, deadline),
                None => {}
            }
        }
    }

    fn queue(&mut self, slot: usize, at: Instant) {
        self.slots[slot].queued = Some(at);
        self.heap.push(Reverse((at, slot)));
        if self.heap.len() > 4 * self.slots.len() + 64 {
            let slots = &self.slots;
            self.heap
                .retain(|Reverse((at, slot))| slots[*slot].queued == Some(*at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// Against a plain list.
        #[test]
        fn each_deadline_comes_up_once(steps in prop::collection::vec((0..4usize, 0..4u8, 0..50u64), 0..300)) {
            let start = Instant::now();
            let mut now = start;
            let mut timers = Timers::default();
            let mut plain: [Option<Instant>; 4] = [None; 4];
            for (slot, what, ms) in steps {
                let after = now + Duration::from_millis(ms + 1);
                match what {
                    0 => {
                        timers.set(slot, None);
                        plain[slot] = None;
                    }
                    1 | 2 => {
                        timers.set(slot, Some(after));
                        plain[slot] = Some(after);
                        prop_assert!(timers.first().unwrap() <= after);
                    }
                    _ => {
                        now = after;
                        let mut due = Vec::new();
                        while let Some(slot) = timers.next(now) {
                            prop_assert!(timers.passed(slot, now));
                            due.push(slot);
                        }
                        due.sort();
                        let expected: Vec<_> =
                            (0..4).filter(|i| plain[*i].is_some_and(|d| d <= now)).collect();
                        prop_assert_eq!(due, expected.clone());
                        for i in expected {
                            plain[i] = None;
                        }
                        prop_assert!(timers.first().is_none_or(|first| first > now));
                    }
                }
                prop_assert!(timers.heap.len() <= 4 * 4 + 64);
            }
        }
    }
}
