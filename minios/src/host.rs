//! An in-process hypervisor for tests: domains with pages, grants, event channels and a clock that
//! only moves when told.
//!
//! It is strict: what Xen would refuse is refused, and what a well-behaved domain would never do
//! (notify a port that it closed, free a page that it still grants, sleep when nothing can ever wake
//! it) is a panic in the test. It can be told to misbehave: see [`Faults`].
//!
//! All domains live in one thread. Their tasks are stepped by [`Hypervisor::run_until`] and its
//! siblings, or one domain drives itself with [`Domain::block_on`].

pub mod bus;
pub mod console;
mod domain;
#[cfg(feature = "file")]
pub mod file;
mod map;
mod platform;
mod run;
pub mod store;
#[cfg(feature = "tap")]
pub mod tap;
mod world;

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::{RefCell, RefMut};
use core::time::Duration;

use crate::domain::WeakDomain;
use crate::{Access, DomId, Domain, Instant, Port, PortNumber, ShutdownReason};

use domain::{BootRing, Dom};
pub use map::{GrantError, Mapping, map, map_all};
pub use platform::Platform;
pub use run::Party;
pub use world::{Slot, World};

/// The hypervisor. Clones are the same one.
#[derive(Clone)]
pub struct Hypervisor(Rc<RefCell<State>>);

struct State {
    now: Instant,
    booted_at: Duration,
    seed: u64,
    domains: BTreeMap<DomId, Dom>,
}

/// Ways for a domain's surroundings to fail it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many more pages there are; no limit if `None`.
    pub pages_left: Option<usize>,
    /// How many more grants can be made; no limit but the table's if `None`.
    pub grants_left: Option<usize>,
    /// How many more ports can be made; no limit but the table's if `None`.
    pub ports_left: Option<usize>,
    /// How many of the next events to this domain get lost.
    pub lose_events: usize,
    /// How many of the next events to this domain are delivered twice.
    pub repeat_events: usize,
}

impl Hypervisor {
    /// A machine without domains, at the moment of boot.
    #[expect(clippy::new_without_default, reason = "a machine is not a value")]
    pub fn new() -> Self {
        Hypervisor(Rc::new(RefCell::new(State {
            now: Instant::ZERO,
            booted_at: Duration::from_secs(1_700_000_000),
            seed: 0,
            domains: BTreeMap::new(),
        })))
    }

    /// The domain of this number, made if there is none: with a console page and a xenstore page
    /// that domain 0 may map.
    pub fn domain(&self, id: DomId) -> Domain {
        let mut state = self.state();
        let dom = state.domains.entry(id).or_insert_with(Dom::new);
        if let Some(domain) = dom.handle.upgrade() {
            return domain;
        }
        let domain = Domain::new(Platform::new(self.clone(), id));
        dom.handle = WeakDomain::of(&domain);
        domain
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.state().now
    }

    /// Lets time pass. Timers that come due fire when their domain takes its next turn.
    pub fn advance(&self, duration: Duration) {
        self.state().now += duration;
    }

    /// Sets what time it was, since 1970, at boot.
    pub fn set_wall(&self, at_boot: Duration) {
        self.state().booted_at = at_boot;
    }

    /// Changes how domain `id` is failed from now on.
    pub fn faults(&self, id: DomId) -> RefMut<'_, Faults> {
        RefMut::map(self.state(), |state| &mut state.dom(id).faults)
    }

    /// Raises an event out of the blue. A port that is not there ignores it.
    pub fn raise(&self, id: DomId, port: PortNumber) {
        self.state().raise(id, port.0);
    }

    /// Why domain `id` stopped, if it did.
    pub fn stopped(&self, id: DomId) -> Option<ShutdownReason> {
        self.state().dom(id).stopped
    }

    /// The grants of domain `id` that are in force, but for the two that it was born with.
    pub fn grants(&self, id: DomId) -> usize {
        self.state().dom(id).grants_in_force()
    }

    /// Pages that domain `id` holds, but for the two that it was born with.
    pub fn pages(&self, id: DomId) -> usize {
        self.state().dom(id).pages_held()
    }

    /// The far side of domain `guest`'s console: its page, mapped by `backend` (domain 0), and a port.
    pub fn console_ring(
        &self,
        backend: &Domain,
        guest: DomId,
    ) -> Result<(Mapping, Port), GrantError> {
        boot_ring(backend, guest, domain::CONSOLE)
    }

    /// The far side of domain `guest`'s xenstore ring: its page, mapped by `backend` (domain 0), and
    /// a port.
    pub fn store_ring(
        &self,
        backend: &Domain,
        guest: DomId,
    ) -> Result<(Mapping, Port), GrantError> {
        boot_ring(backend, guest, domain::STORE)
    }

    fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }
}

fn boot_ring(
    backend: &Domain,
    guest: DomId,
    which: BootRing,
) -> Result<(Mapping, Port), GrantError> {
    let mapping = map(backend, guest, which.grant, Access::ReadWrite)?;
    let port = backend
        .bind(guest, which.port)
        .map_err(|_| GrantError::NotForYou)?;
    Ok((mapping, port))
}

impl State {
    fn dom(&mut self, id: DomId) -> &mut Dom {
        match self.domains.get_mut(&id) {
            Some(dom) => dom,
            None => panic!("there is no domain {id}"),
        }
    }

    fn raise(&mut self, id: DomId, port: u32) {
        if let Some(dom) = self.domains.get_mut(&id) {
            dom.raise(port);
        }
    }
}

#[cfg(test)]
mod tests;
