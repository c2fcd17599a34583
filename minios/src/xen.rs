//! The guest: what [`Platform`] is under Xen, as a 64-bit PV domain with one vCPU.
//!
//! | module | what it does |
//! |---|---|
//! | `start` | from Xen's first instruction to the guest's `main` |
//! | `hypercall` | the one instruction, and the operations |
//! | `paging` | the address space: all RAM, W^X, guards |
//! | `frames` | page frames and the heap |
//! | `shared_info` | pending events, time |
//! | `grant` | the grant table |
//! | `early` | the console at boot and in a crash |
//! | `trap`, `provoke` | exceptions and panics; and how to have one |
//!
//! What Xen says at boot is trusted: it can do with this domain as it pleases. What backends say
//! is not, and is none of this module's business.

mod early;
mod frames;
mod grant;
mod hypercall;
mod lone;
mod paging;
mod provoke;
mod shared_info;
mod start;
mod trap;

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use crate::share::{NoGrants, StillMapped};
use crate::{Access, DomId, EventError, Grant, Instant, MemoryInfo, ShutdownReason};
use shared_info::SharedInfo;

pub use provoke::Failure;
pub use start::Boot;

/// Bytes of the guest's stack. The linker script makes room for it above a guard page.
pub(crate) const STACK_SIZE: usize = 128 * 1024;

/// The system time at entry.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// Xen lets one poll wait for this many ports.
const POLL_PORTS: usize = 128;

/// This domain, under Xen. There is one.
#[derive(Clone)]
pub struct Platform(Rc<Inner>);

struct Inner {
    shared_info: SharedInfo,
    layout: paging::Layout,
    grants: grant::Table,
    /// Ports to wake up for.
    ports: RefCell<alloc::vec::Vec<u32>>,
    /// The system time that is 0 for us.
    started: u64,
    /// The latest time that was told. The clocks of two processors may differ by a little.
    latest: Cell<u64>,
    console: Option<(NonNull<u8>, u32)>,
    store: (NonNull<u8>, u32),
}

impl Platform {
    pub(crate) fn alloc_pages(&self, count: usize) -> Option<NonNull<u8>> {
        frames::alloc(count)
    }

    /// # Safety
    ///
    /// `at` and `count` are those of an [`alloc_pages`](Self::alloc_pages), and nothing uses the
    /// pages any more.
    pub(crate) unsafe fn free_pages(&self, at: NonNull<u8>, count: usize) {
        // SAFETY: the caller's promise.
        unsafe { frames::free(at, count) };
    }

    /// How much memory there is.
    pub fn memory(&self) -> MemoryInfo {
        frames::info()
    }

    pub(crate) fn grant_access(
        &self,
        page: NonNull<u8>,
        peer: DomId,
        access: Access,
    ) -> Result<Grant, NoGrants> {
        let mfn = self
            .0
            .layout
            .machine_frame(grant::address(page))
            .ok_or(NoGrants)?;
        self.0.grants.grant(mfn, peer, access)
    }

    pub(crate) fn grant_end(&self, grant: Grant) -> Result<(), StillMapped> {
        self.0.grants.end(grant)
    }

    fn adopt(&self, port: u32) -> Result<u32, EventError> {
        let mut ports = self.0.ports.borrow_mut();
        if ports.len() == POLL_PORTS || ports.try_reserve(1).is_err() {
            let _ = hypercall::evtchn_close(port);
            return Err(EventError::NoPorts);
        }
        ports.push(port);
        self.0.shared_info.unmask(port);
        Ok(port)
    }

    pub(crate) fn port_alloc(&self, peer: DomId) -> Result<u32, EventError> {
        let port = hypercall::evtchn_alloc_unbound(peer.0).map_err(|_| EventError::NoPorts)?;
        self.adopt(port)
    }

    pub(crate) fn port_bind(&self, peer: DomId, remote: u32) -> Result<u32, EventError> {
        let port =
            hypercall::evtchn_bind_interdomain(peer.0, remote).map_err(|_| EventError::Refused)?;
        self.adopt(port)
    }

    pub(crate) fn port_close(&self, port: u32) {
        self.0.ports.borrow_mut().retain(|known| *known != port);
        self.0.shared_info.mask(port);
        // It can only fail for a port that is closed already.
        let _ = hypercall::evtchn_close(port);
    }

    /// Raises an event at the other end. Nobody may be there.
    pub fn port_notify(&self, port: u32) {
        let _ = hypercall::evtchn_send(port);
    }

    /// Takes all pending events.
    pub fn take_pending(&self, each: &mut dyn FnMut(u32)) {
        self.0.shared_info.take_pending(each);
    }

    /// The time since boot.
    #[inline]
    pub fn now(&self) -> Instant {
        let now = self.0.shared_info.system_time();
        let now = now.saturating_sub(self.0.started).max(self.0.latest.get());
        self.0.latest.set(now);
        Instant::from_nanos(now)
    }

    /// The time since 1970.
    pub fn wall(&self) -> Duration {
        let (seconds, nanoseconds) = self.0.shared_info.wall_base();
        let now = Duration::from_nanos(self.0.shared_info.system_time());
        Duration::from_secs(seconds)
            .saturating_add(Duration::from_nanos(nanoseconds.into()))
            .saturating_add(now)
    }

    /// Returns when an event is pending or at `until`, also for no reason.
    pub fn sleep(&self, until: Option<Instant>) {
        if self.0.shared_info.any_pending() {
            return;
        }
        // 0 means "no timeout" to Xen, and no deadline of ours lies there. To Xen the number has a
        // sign: "never" must not become the past, or the loop would spin.
        let timeout = until.map_or(0, |at| {
            let at = at.as_nanos().saturating_add(self.0.started);
            at.min(i64::MAX as u64)
        });
        // Refused, if ever, for a port that was closed meanwhile; then the loop comes round again.
        let _ = hypercall::sched_poll(&self.0.ports.borrow(), timeout);
    }

    /// Stops the domain; does not return.
    pub fn shutdown(&self, reason: ShutdownReason) {
        early::finish();
        loop {
            hypercall::sched_shutdown(reason as u32);
        }
    }

    pub(crate) fn console_ring(&self) -> Option<(NonNull<u8>, u32)> {
        self.0.console
    }

    pub(crate) fn store_ring(&self) -> (NonNull<u8>, u32) {
        self.0.store
    }

    /// Raw entropy, as [`crate::entropy::seed`] finds it.
    pub fn entropy(&self, out: &mut [u8; 32]) {
        *out = crate::entropy::seed();
    }

    /// How often the domain was resumed: suspending is not offered to the toolstack yet.
    pub fn generation(&self) -> u32 {
        0
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("xen::Platform")
    }
}

/// The time since boot, for whoever has no [`Domain`](crate::Domain) at hand: the log.
pub fn now() -> Instant {
    trap::shared_info().map_or(Instant::ZERO, |shared_info| {
        let started = STARTED.load(Ordering::Relaxed);
        Instant::from_nanos(shared_info.system_time().saturating_sub(started))
    })
}

/// How long this vCPU has run, Xen's work for it included.
pub fn cpu_time() -> Duration {
    Duration::from_nanos(hypercall::running_time())
}

/// Ends the domain, once what was printed has been taken or nobody takes it.
pub fn stop(domain: &crate::Domain, reason: ShutdownReason) -> ! {
    domain.shutdown(reason);
    panic!("the domain goes on after its end")
}

/// Names the guest's `main`: a `fn(minios::xen::Boot)` that ends the domain.
#[macro_export]
macro_rules! guest {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn minios_guest_main(boot: $crate::xen::Boot) -> ! {
            $main(boot)
        }
    };
}
