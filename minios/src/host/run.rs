//! Several domains in one thread.

use alloc::sync::Arc;
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::{Hypervisor, Platform};
use crate::domain::Woken;
use crate::exec::Executor;
use crate::{Domain, Instant};

/// A domain and its tasks.
pub type Party<'a> = (&'a Domain, &'a Executor);

/// A test that simulates more than this is not going to end.
const TOO_LONG: Duration = Duration::from_secs(24 * 3600);
/// Nor is one in which this many turns pass at one point in time.
const TOO_BUSY: usize = 1_000_000;

impl Hypervisor {
    /// Lets all domains run until none has anything to do now. Time stands still.
    pub fn settle(&self, parties: &[Party<'_>]) {
        for _ in 0..TOO_BUSY {
            if !turn(parties) {
                return;
            }
        }
        panic!("the domains do not come to rest");
    }

    /// Lets all domains run until `done`, and moves the clock to the next timer whenever none has
    /// anything to do. Panics if that can never be.
    pub fn run_until(&self, parties: &[Party<'_>], mut done: impl FnMut() -> bool) {
        let limit = self.now() + TOO_LONG;
        loop {
            self.settle(parties);
            if done() {
                return;
            }
            self.jump_to_next(parties, limit);
        }
    }

    /// Lets all domains run until `future` ends, which may belong to any of them.
    pub fn block_on<F: Future>(&self, parties: &[Party<'_>], future: F) -> F::Output {
        let limit = self.now() + TOO_LONG;
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut turns = 0;
        loop {
            if woken.0.swap(false, Ordering::Relaxed)
                && let Poll::Ready(output) = future.as_mut().poll(&mut cx)
            {
                return output;
            }
            turns += 1;
            assert!(turns < TOO_BUSY, "the domains do not come to rest");
            if !turn(parties) && !woken.0.load(Ordering::Relaxed) {
                self.jump_to_next(parties, limit);
                turns = 0;
            }
        }
    }

    /// Lets all domains run for `duration`.
    pub fn run_for(&self, parties: &[Party<'_>], duration: Duration) {
        let end = self.now() + duration;
        loop {
            self.settle(parties);
            match next_deadline(parties) {
                Some(deadline) if deadline <= end => self.jump(deadline),
                _ => break,
            }
        }
        self.jump(end);
    }

    fn jump_to_next(&self, parties: &[Party<'_>], limit: Instant) {
        match next_deadline(parties) {
            Some(deadline) => self.jump(deadline),
            None => panic!("all domains asleep with no timer: deadlock"),
        }
        assert!(self.now() < limit, "still not done after {TOO_LONG:?}");
    }

    fn jump(&self, to: Instant) {
        let mut state = self.state();
        state.now = state.now.max(to);
    }
}

/// Whether anything was done.
fn turn(parties: &[Party<'_>]) -> bool {
    let mut busy = false;
    for (domain, executor) in parties {
        // A task that ran may have raised an event for a domain that had its turn.
        busy |= executor.is_ready();
        executor.run_ready();
        busy |= domain.dispatch();
    }
    busy
}

fn next_deadline(parties: &[Party<'_>]) -> Option<Instant> {
    parties
        .iter()
        .filter_map(|(domain, _)| domain.next_deadline())
        .min()
}

pub(super) fn sleep(platform: &Platform, until: Option<Instant>) {
    let hypervisor = &platform.hypervisor;
    if !hypervisor.state().dom(platform.id).pending.is_empty() {
        return;
    }
    match until {
        Some(until) => hypervisor.jump(until),
        None => panic!("all domains asleep with no timer: deadlock"),
    }
}
