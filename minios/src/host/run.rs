//! Several domains in one thread.

use core::time::Duration;

use super::{Hypervisor, Platform};
use crate::exec::Executor;
use crate::{Domain, Instant};

/// A domain and its tasks.
pub type Party<'a> = (&'a Domain, &'a Executor);

/// A test that simulates more than this is not going to end.
const TOO_LONG: Duration = Duration::from_secs(24 * 3600);

impl Hypervisor {
    /// Lets all domains run until none has anything to do now. Time stands still.
    pub fn settle(&self, parties: &[Party<'_>]) {
        loop {
            let mut busy = false;
            for (domain, executor) in parties {
                // A task that ran may have raised an event for a domain that had its turn.
                busy |= executor.is_ready();
                executor.run_ready();
                busy |= domain.dispatch();
            }
            if !busy {
                return;
            }
        }
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
            match next_deadline(parties) {
                Some(deadline) => self.jump(deadline),
                None => panic!("all domains asleep with no timer: deadlock"),
            }
            assert!(self.now() < limit, "still not done after {TOO_LONG:?}");
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
        self.settle(parties);
    }

    fn jump(&self, to: Instant) {
        let mut state = self.state();
        state.now = state.now.max(to);
    }
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
