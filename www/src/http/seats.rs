//! Who is being served: how many, who waits since when, and how to wake them.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};

/// All connections that are being served.
#[derive(Default)]
pub(super) struct Seats {
    table: RefCell<Table>,
    drained: Cell<Option<Waker>>,
}

#[derive(Default)]
struct Table {
    seats: Vec<State>,
    /// The first free seat; `next` leads to the others.
    free: Link,
    taken: usize,
    /// Of these, those that were asked to leave.
    leaving: usize,
    /// Those that wait for a request.
    waiting: Queue,
    /// Those that do not take their answer.
    stalled: Queue,
}

/// Seats in the order in which they came to be in it.
#[derive(Default)]
struct Queue {
    oldest: Link,
    newest: Link,
}

/// Index of a seat.
type Link = Option<u32>;

#[derive(Default)]
struct State {
    waker: Option<Waker>,
    status: Status,
    older: Link,
    next: Link,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Status {
    /// Not waiting for the client to ask, or nobody's.
    #[default]
    Busy,
    Waiting,
    /// Waiting for the client to take its answer.
    Stalled,
    /// Asked to leave at once.
    Reaped,
}

/// The place of one connection, until it is dropped.
pub(super) struct Seat<'a> {
    seats: &'a Seats,
    index: u32,
}

impl Seats {
    /// A seat, unless there is no memory for one more.
    pub(super) fn take(&self) -> Option<Seat<'_>> {
        let index = self.table.borrow_mut().take()?;
        Some(Seat { seats: self, index })
    }

    /// Seats that are taken by others than those who were asked to leave.
    pub(super) fn staying(&self) -> usize {
        let table = self.table.borrow();
        table.taken - table.leaving
    }

    pub(super) fn taken(&self) -> usize {
        self.table.borrow().taken
    }

    /// Asks whoever waits for longest to leave, those who have asked for nothing first; says whether
    /// anyone does.
    pub(super) fn reap(&self) -> bool {
        let mut table = self.table.borrow_mut();
        let Some(oldest) = table.waiting.oldest.or(table.stalled.oldest) else {
            return false;
        };
        table.unlink(oldest);
        let seat = &mut table.seats[oldest as usize];
        seat.status = Status::Reaped;
        let waker = seat.waker.take();
        table.leaving += 1;
        drop(table);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Wakes everyone who waits for a request.
    pub(super) fn wake_waiting(&self) {
        let mut at = self.table.borrow().waiting.oldest;
        while let Some(index) = at {
            let table = self.table.borrow();
            let seat = &table.seats[index as usize];
            at = seat.next;
            let waker = seat.waker.clone();
            drop(table);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Ready when no seat is taken. Only the last task to ask is woken.
    pub(super) fn empty(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            if self.taken() == 0 {
                return Poll::Ready(());
            }
            self.drained.set(Some(cx.waker().clone()));
            Poll::Pending
        })
    }
}

impl Seat<'_> {
    /// Notes that this connection waits for a request from now, if it does not already, and which
    /// task is to be woken. False: it has to leave.
    pub(super) fn wait(&self, cx: &Context<'_>) -> bool {
        self.queue(cx, Status::Waiting)
    }

    /// The same, for a client that does not take its answer.
    pub(super) fn stall(&self, cx: &Context<'_>) -> bool {
        self.queue(cx, Status::Stalled)
    }

    fn queue(&self, cx: &Context<'_>, status: Status) -> bool {
        let mut table = self.seats.table.borrow_mut();
        let seat = &mut table.seats[self.index as usize];
        if seat.status == Status::Reaped {
            return false;
        }
        match &seat.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => seat.waker = Some(cx.waker().clone()),
        }
        if seat.status != status {
            table.unlink(self.index);
            table.link(self.index, status);
        }
        true
    }

    /// Notes that a request is in progress.
    pub(super) fn work(&self) {
        self.seats.table.borrow_mut().unlink(self.index);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut table = self.seats.table.borrow_mut();
        table.unlink(self.index);
        if table.seats[self.index as usize].status == Status::Reaped {
            table.leaving -= 1;
        }
        let next = table.free.replace(self.index);
        let waker = core::mem::replace(
            &mut table.seats[self.index as usize],
            State {
                next,
                ..State::default()
            },
        );
        table.taken -= 1;
        let last = table.taken == 0;
        drop(table);
        drop(waker);
        if last && let Some(waker) = self.seats.drained.take() {
            waker.wake();
        }
    }
}

impl Table {
    fn take(&mut self) -> Option<u32> {
        let index = match self.free {
            Some(index) => {
                self.free = self.seats[index as usize].next.take();
                index
            }
            None => {
                let index = u32::try_from(self.seats.len()).ok()?;
                self.seats.try_reserve(1).ok()?;
                self.seats.push(State::default());
                index
            }
        };
        self.taken += 1;
        Some(index)
    }

    /// The queue of those with this status.
    fn queue(&mut self, status: Status) -> Option<&mut Queue> {
        match status {
            Status::Waiting => Some(&mut self.waiting),
            Status::Stalled => Some(&mut self.stalled),
            Status::Busy | Status::Reaped => None,
        }
    }

    fn link(&mut self, index: u32, status: Status) {
        let Some(queue) = self.queue(status) else {
            return;
        };
        let older = queue.newest.replace(index);
        match older {
            Some(older) => self.seats[older as usize].next = Some(index),
            None => queue.oldest = Some(index),
        }
        let seat = &mut self.seats[index as usize];
        (seat.status, seat.older, seat.next) = (status, older, None);
    }

    /// Takes a seat out of its queue, if it is in one.
    fn unlink(&mut self, index: u32) {
        let seat = &mut self.seats[index as usize];
        let status = seat.status;
        let (older, next) = (seat.older, seat.next);
        let Some(queue) = self.queue(status) else {
            return;
        };
        if older.is_none() {
            queue.oldest = next;
        }
        if next.is_none() {
            queue.newest = older;
        }
        if let Some(older) = older {
            self.seats[older as usize].next = next;
        }
        if let Some(next) = next {
            self.seats[next as usize].older = older;
        }
        let seat = &mut self.seats[index as usize];
        (seat.status, seat.older, seat.next) = (Status::Busy, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use proptest::prelude::*;

    proptest! {
        /// The order of waiting, against a plain queue.
        #[test]
        fn the_longest_waiting_leaves_first(steps in prop::collection::vec((0..6u8, 0..8usize), 0..200)) {
            let seats = Seats::default();
            let cx = &mut Context::from_waker(Waker::noop());
            let mut taken: [Option<Seat<'_>>; 8] = Default::default();
            let mut queues = [VecDeque::new(), VecDeque::new()];
            let mut reaped = [false; 8];
            for (what, i) in steps {
                match (what, &taken[i]) {
                    (0, None) => {
                        taken[i] = seats.take();
                        prop_assert!(taken[i].is_some());
                        reaped[i] = false;
                    }
                    (1 | 5, Some(seat)) => {
                        let which = usize::from(what == 5);
                        let stays = if which == 0 { seat.wait(cx) } else { seat.stall(cx) };
                        prop_assert_eq!(stays, !reaped[i]);
                        if !reaped[i] && !queues[which].contains(&i) {
                            queues[which].push_back(i);
                            queues[1 - which].retain(|q| *q != i);
                        }
                    }
                    (2, Some(seat)) => {
                        seat.work();
                        queues.iter_mut().for_each(|queue| queue.retain(|q| *q != i));
                    }
                    (3, Some(_)) => {
                        taken[i] = None;
                        queues.iter_mut().for_each(|queue| queue.retain(|q| *q != i));
                    }
                    (4, _) => {
                        let [waiting, stalled] = &mut queues;
                        let oldest = waiting.pop_front().or_else(|| stalled.pop_front());
                        prop_assert_eq!(seats.reap(), oldest.is_some());
                        if let Some(oldest) = oldest {
                            reaped[oldest] = true;
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(seats.taken(), taken.iter().flatten().count());
                seats.wake_waiting();
            }
        }
    }

    #[test]
    fn who_has_to_leave_may_not_have_left_yet() {
        let seats = Seats::default();
        let cx = &mut Context::from_waker(Waker::noop());
        let first = seats.take().unwrap();
        let second = seats.take().unwrap();
        // Nobody waits, so nobody leaves.
        assert!(!seats.reap());
        assert!(first.wait(cx) && second.wait(cx));
        assert!(seats.reap());
        assert_eq!((seats.taken(), seats.staying()), (2, 1));
        assert!(!first.wait(cx) && second.wait(cx));
        drop(first);
        assert_eq!((seats.taken(), seats.staying()), (1, 1));
        drop(second);
        assert_eq!((seats.taken(), seats.staying()), (0, 0));
    }
}
