//! Closing a device once, whoever wants it closed and whatever becomes of them.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::mem;
use core::task::{Poll, Waker};

/// How far a device's closing has come, and who waits for it: the device's task, and those that
/// close it, of which there may be several at once.
#[derive(Debug, Default)]
pub struct Ending {
    state: Cell<State>,
    /// Somebody has begun to close, whatever has become of it.
    begun: Cell<bool>,
    waiters: RefCell<Vec<Waker>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// A task is at it.
    Closing,
    Closed,
}

impl Ending {
    /// Whether somebody has begun to close. It may have been cancelled since: then
    /// [`close`](Self::close) goes on with it.
    pub fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// Waits until somebody closes.
    pub fn begins(&self) -> impl Future<Output = ()> {
        self.changes_from(State::Open)
    }

    /// Does `closing`, unless it was done before. If another task is at it, waits for that one, and
    /// does it in its place if it is cancelled. `None` if there was nothing left to do.
    pub async fn close<T>(&self, closing: impl Future<Output = T>) -> Option<T> {
        self.begun.set(true);
        self.changes_from(State::Closing).await;
        if self.state.get() == State::Closed {
            return None;
        }
        self.to(State::Closing);
        let unless_done = Reopen(self);
        let result = closing.await;
        mem::forget(unless_done);
        self.to(State::Closed);
        Some(result)
    }

    fn to(&self, state: State) {
        self.state.set(state);
        for waiter in self.waiters.take() {
            waiter.wake();
        }
    }

    fn changes_from(&self, state: State) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            if self.state.get() != state {
                return Poll::Ready(());
            }
            let mut waiters = self.waiters.borrow_mut();
            if waiters.iter().all(|known| !known.will_wake(cx.waker())) {
                waiters.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}

/// Closing was cancelled: somebody else may begin it again.
struct Reopen<'a>(&'a Ending);

impl Drop for Reopen<'_> {
    fn drop(&mut self) {
        self.0.to(State::Open);
    }
}
