//! Sleeping until a deadline.
//!
//! Timers are kept in a heap; setting, moving and cancelling one allocates only when there are more
//! at once than ever before.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::{Domain, Instant};

/// Ready when its deadline has come. Cancelling it takes it off the clock.
pub struct Sleep {
    domain: Domain,
    deadline: Instant,
    timer: Option<Id>,
}

impl Sleep {
    pub(crate) fn new(domain: &Domain, deadline: Instant) -> Self {
        Sleep {
            domain: domain.clone(),
            deadline,
            timer: None,
        }
    }

    /// When it becomes ready.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Moves the deadline; to be polled again then.
    pub fn reset(&mut self, deadline: Instant) {
        self.cancel();
        self.deadline = deadline;
    }

    fn cancel(&mut self) {
        if let Some(id) = self.timer.take() {
            self.domain.timers().remove(id);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let timers = self.domain.timers();
        if let Some(id) = self.timer {
            if timers.renew(id, cx.waker()) {
                return Poll::Pending;
            }
            self.cancel();
            return Poll::Ready(());
        }
        if self.domain.now() >= self.deadline {
            return Poll::Ready(());
        }
        let timer = timers.add(self.deadline, cx.waker());
        if timer.is_none() {
            // No memory to remember this one: look again on the loop's next turn.
            cx.waker().wake_by_ref();
        }
        self.timer = timer;
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Who wants to be woken when.
#[derive(Default)]
pub(crate) struct Timers(RefCell<Heap>);

/// A place in `Heap::timers`.
type Id = usize;

#[derive(Default)]
struct Heap {
    /// A binary heap, earliest first.
    order: Vec<Due>,
    timers: Vec<Timer>,
    free: Vec<Id>,
    serial: u64,
}

/// The serial number keeps timers of the same deadline in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    deadline: Instant,
    serial: u64,
    id: Id,
}

struct Timer {
    /// `None` once it has fired.
    waker: Option<Waker>,
    /// Where it is in the heap, until it has fired.
    position: usize,
}

impl Timers {
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.borrow().order.first().map(|due| due.deadline)
    }

    /// Wakes those whose deadline has come, earliest first; says whether there were any.
    pub(crate) fn fire(&self, now: Instant) -> bool {
        let mut fired = false;
        loop {
            let waker = {
                let mut heap = self.0.borrow_mut();
                match heap.order.first() {
                    Some(due) if due.deadline <= now => {
                        let id = due.id;
                        heap.take_out(0);
                        heap.timers[id].waker.take()
                    }
                    _ => return fired,
                }
            };
            fired = true;
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// `None` if there is no memory for it.
    fn add(&self, deadline: Instant, waker: &Waker) -> Option<Id> {
        let mut heap = self.0.borrow_mut();
        let heap = &mut *heap;
        heap.order.try_reserve(1).ok()?;
        let timer = Timer {
            waker: Some(waker.clone()),
            position: heap.order.len(),
        };
        let id = match heap.free.pop() {
            Some(id) => {
                heap.timers[id] = timer;
                id
            }
            None => {
                heap.timers.try_reserve(1).ok()?;
                // Room to give back every one of them.
                let missing = heap.timers.len() + 1 - heap.free.len();
                heap.free.try_reserve(missing).ok()?;
                heap.timers.push(timer);
                heap.timers.len() - 1
            }
        };
        heap.serial += 1;
        let serial = heap.serial;
        heap.order.push(Due {
            deadline,
            serial,
            id,
        });
        heap.rise(heap.order.len() - 1);
        Some(id)
    }

    /// Makes `waker` the one to wake; false if the timer has fired.
    fn renew(&self, id: Id, waker: &Waker) -> bool {
        let old = match &mut self.0.borrow_mut().timers[id].waker {
            Some(current) if current.will_wake(waker) => return true,
            Some(current) => core::mem::replace(current, waker.clone()),
            None => return false,
        };
        // Outside the borrow: dropping a waker may drop a task, and with it another timer.
        drop(old);
        true
    }

    fn remove(&self, id: Id) {
        let mut heap = self.0.borrow_mut();
        let waker = heap.timers[id].waker.take();
        if waker.is_some() {
            let position = heap.timers[id].position;
            heap.take_out(position);
        }
        heap.free.push(id);
        // As in `renew`.
        drop(heap);
        drop(waker);
    }
}

impl Heap {
    fn take_out(&mut self, position: usize) {
        self.order.swap_remove(position);
        if position < self.order.len() {
            self.place(position);
            self.rise(position);
            self.sink(position);
        }
    }

    /// Tells the timer at `position` where it is.
    fn place(&mut self, position: usize) {
        let id = self.order[position].id;
        self.timers[id].position = position;
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.order.swap(a, b);
        self.place(a);
        self.place(b);
    }

    fn rise(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.order[parent] <= self.order[position] {
                return;
            }
            self.swap(parent, position);
            position = parent;
        }
    }

    fn sink(&mut self, mut position: usize) {
        loop {
            let left = 2 * position + 1;
            let children = left..(left + 2).min(self.order.len());
            let Some(child) = children.min_by_key(|child| self.order[*child]) else {
                return;
            };
            if self.order[position] <= self.order[child] {
                return;
            }
            self.swap(child, position);
            position = child;
        }
    }
}

#[cfg(test)]
mod tests;
