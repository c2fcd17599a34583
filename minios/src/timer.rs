//! Sleeping until a deadline.

use alloc::collections::BTreeMap;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::{Domain, Instant};

type Key = (Instant, u64);

/// Who wants to be woken when.
#[derive(Default)]
pub(crate) struct Timers {
    queue: RefCell<BTreeMap<Key, Waker>>,
    serial: Cell<u64>,
}

impl Timers {
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.borrow().first_key_value().map(|(key, _)| key.0)
    }

    /// Wakes those whose deadline has come, earliest first; says whether there were any.
    pub(crate) fn fire(&self, now: Instant) -> bool {
        let mut fired = false;
        loop {
            let waker = {
                let mut queue = self.queue.borrow_mut();
                match queue.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    _ => return fired,
                }
            };
            fired = true;
            waker.wake();
        }
    }

    fn add(&self, deadline: Instant, waker: Waker) -> Key {
        let key = (deadline, self.serial.get());
        self.serial.set(key.1.wrapping_add(1));
        self.queue.borrow_mut().insert(key, waker);
        key
    }

    fn remove(&self, key: Key) {
        self.queue.borrow_mut().remove(&key);
    }
}

/// Ready when its deadline has come. Cancelling it takes it off the clock.
pub struct Sleep {
    domain: Domain,
    deadline: Instant,
    key: Option<Key>,
}

impl Sleep {
    pub(crate) fn new(domain: &Domain, deadline: Instant) -> Self {
        Sleep {
            domain: domain.clone(),
            deadline,
            key: None,
        }
    }

    /// When it becomes ready.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Moves the deadline.
    pub fn reset(&mut self, deadline: Instant) {
        self.cancel();
        self.deadline = deadline;
    }

    fn cancel(&mut self) {
        if let Some(key) = self.key.take() {
            self.domain.timers().remove(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.cancel();
        if self.domain.now() >= self.deadline {
            return Poll::Ready(());
        }
        let key = self.domain.timers().add(self.deadline, cx.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}
