//! A read that is under way, and those who wait for it.
//!
//! Who waits drives it: each poll of a waiter polls the device's future with that waiter's waker,
//! and a waiter that gives up wakes the others, so that one of them goes on. A read that was only
//! begun ahead of time is driven by whoever comes to want it first. When the last owner is gone
//! the read is cancelled and its blocks are free.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::Cache;
use super::pool::{Buffer, Key};
use crate::sectors::SectorsError;

/// A device's work: gives the buffers back, with what became of them.
pub(super) type Work = Pin<Box<dyn Future<Output = (Vec<Buffer>, Result<(), SectorsError>)>>>;

/// One read of consecutive blocks.
pub(super) struct Job {
    cache: Rc<Cache>,
    pub(super) first: Key,
    /// Blocks in it.
    count: Cell<u32>,
    work: RefCell<Option<Work>>,
    outcome: Cell<Option<Result<(), SectorsError>>>,
    waiting: RefCell<Vec<(u32, Waker)>>,
    tickets: Cell<u32>,
}

impl Job {
    /// A job without blocks and work as yet.
    pub(super) fn new(cache: Rc<Cache>, first: Key) -> Self {
        Self {
            cache,
            first,
            count: Cell::new(0),
            work: RefCell::new(None),
            outcome: Cell::new(None),
            waiting: RefCell::new(Vec::new()),
            tickets: Cell::new(0),
        }
    }

    /// One block more was taken for it.
    pub(super) fn extend(&self) {
        self.count.set(self.count.get() + 1);
    }

    pub(super) fn count(&self) -> u32 {
        self.count.get()
    }

    pub(super) fn is_done(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Whether somebody waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    pub(super) fn start(&self, work: Work) {
        *self.work.borrow_mut() = Some(work);
    }

    /// Lets the device work; says what became of it once it is done.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), SectorsError>> {
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        // Nothing polls this from within itself.
        let Ok(mut work) = self.work.try_borrow_mut() else {
            return Poll::Pending;
        };
        let Some(future) = work.as_mut() else {
            return Poll::Ready(Err(SectorsError::OutOfMemory));
        };
        let Poll::Ready((buffers, outcome)) = future.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        *work = None;
        drop(work);
        let mut bytes = 0;
        {
            let mut pool = self.cache.pool.borrow_mut();
            let (device, first) = self.first;
            for (key, mut buffer) in (first..).zip(buffers) {
                if outcome.is_ok() {
                    bytes += buffer.as_mut().len() as u64;
                    pool.fill((device, key), buffer);
                } else {
                    pool.release((device, key), Some(buffer));
                }
            }
        }
        self.cache.count(|counters| {
            counters.bytes += bytes;
            counters.failed += u64::from(outcome.is_err());
        });
        self.outcome.set(Some(outcome));
        self.wake();
        Poll::Ready(outcome)
    }

    fn wake(&self) {
        for (_, waker) in self.waiting.take() {
            waker.wake();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // First the device's own end of it.
        *self.work.borrow_mut() = None;
        if self.outcome.get().is_none() {
            let mut pool = self.cache.pool.borrow_mut();
            let (device, first) = self.first;
            for number in 0..u64::from(self.count.get()) {
                pool.release((device, first + number), None);
            }
        }
    }
}

/// Waits for a job. Cancelling it leaves the job to the others.
pub(super) struct Wait {
    job: Rc<Job>,
    ticket: u32,
}

impl Wait {
    pub(super) fn new(job: Rc<Job>) -> Self {
        let ticket = job.tickets.get();
        job.tickets.set(ticket.wrapping_add(1));
        Self { job, ticket }
    }

    pub(super) fn job(&self) -> &Job {
        &self.job
    }
}

impl Future for Wait {
    type Output = Result<(), SectorsError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(outcome) = self.job.poll(cx) {
            return Poll::Ready(outcome);
        }
        let mut waiting = self.job.waiting.borrow_mut();
        if let Some((_, waker)) = waiting.iter_mut().find(|(mine, _)| *mine == self.ticket) {
            waker.clone_from(cx.waker());
        } else if waiting.try_reserve(1).is_ok() {
            waiting.push((self.ticket, cx.waker().clone()));
        } else {
            // Without room for its waker it would wait for ever.
            return Poll::Ready(Err(SectorsError::OutOfMemory));
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.job.outcome.get().is_none() {
            let mut waiting = self.job.waiting.borrow_mut();
            waiting.retain(|(ticket, _)| *ticket != self.ticket);
            drop(waiting);
            // The device may know this one's waker only.
            self.job.wake();
            self.job.cache.wake_driver();
        }
    }
}
