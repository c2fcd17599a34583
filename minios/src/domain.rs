//! The handle to a domain: all that it has, and the loop that drives it.

use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::cell::Cell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use crate::event::{EventError, Ports};
use crate::exec::Executor;
use crate::share::BootPage;
use crate::timer::{Sleep, Timers};
use crate::{
    DomId, Instant, OutOfMemory, Pages, Platform, Port, PortNumber, Published, Share, ShareError,
};

/// How much memory there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryInfo {
    /// Page frames that the domain manages.
    pub frames_total: usize,
    /// Page frames that are free.
    pub frames_free: usize,
    /// Bytes of the heap in use.
    pub heap_used: usize,
    /// Bytes that the heap has taken from the frames.
    pub heap_size: usize,
}

/// Why a domain stops, in Xen's numbers (`SHUTDOWN_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum ShutdownReason {
    /// It is done.
    Poweroff = 0,
    /// It wants to start anew.
    Reboot = 1,
    /// It has prepared to be suspended.
    Suspend = 2,
    /// It failed.
    Crash = 3,
}

/// The time was up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

/// A handle to the domain. Clones are the same domain.
#[derive(Clone)]
pub struct Domain(Rc<Inner>);

pub(crate) struct Inner {
    platform: Platform,
    ports: Ports,
    timers: Timers,
    leaked: Cell<usize>,
}

impl Domain {
    /// The domain that `platform` stands for; to be made once for each.
    pub fn new(platform: Platform) -> Self {
        Domain(Rc::new(Inner {
            platform,
            ports: Ports::default(),
            timers: Timers::default(),
            leaked: Cell::new(0),
        }))
    }

    /// What the domain runs on.
    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.0.ports
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.0.timers
    }

    pub(crate) fn count_leaked(&self, pages: usize) {
        self.0.leaked.set(self.0.leaked.get() + pages);
    }

    /// Takes `count` zeroed pages, contiguous for us.
    pub fn pages(&self, count: usize) -> Result<Pages, OutOfMemory> {
        Pages::take(self, count)
    }

    /// Wipes `pages` and lets `peer` read and write them. On an error they are freed.
    pub fn share(&self, pages: Pages, peer: DomId) -> Result<Share, ShareError> {
        Share::new(pages, peer)
    }

    /// Wipes `pages` and lets `peer` read them. On an error they are freed.
    pub fn publish(&self, pages: Pages, peer: DomId) -> Result<Published, ShareError> {
        Published::new(pages, peer)
    }

    /// Pages lost because a peer still mapped them when their share ended.
    pub fn leaked(&self) -> usize {
        self.0.leaked.get()
    }

    /// How much memory there is.
    pub fn memory(&self) -> MemoryInfo {
        self.platform().memory()
    }

    /// A new event channel that `peer` may bind.
    pub fn listen(&self, peer: DomId) -> Result<Port, EventError> {
        let number = self.platform().port_alloc(peer)?;
        Ok(Port::adopt(self, PortNumber(number), false))
    }

    /// The other end of the channel that `peer` offers at `remote`. An event may be waiting.
    pub fn bind(&self, peer: DomId, remote: PortNumber) -> Result<Port, EventError> {
        let number = self.platform().port_bind(peer, remote.0)?;
        Ok(Port::adopt(self, PortNumber(number), false))
    }

    /// The console's ring and port, if there is one. To be asked for anew in each generation.
    pub fn console_ring(&self) -> Option<(BootPage, Port)> {
        let (at, port) = self.platform().console_ring()?;
        // SAFETY: the platform says where the page is; it stays there, and is reached only so.
        let page = unsafe { BootPage::new(self, at) };
        Some((page, Port::adopt(self, PortNumber(port), true)))
    }

    /// Xenstore's ring and port. To be asked for anew in each generation.
    pub fn store_ring(&self) -> (BootPage, Port) {
        let (at, port) = self.platform().store_ring();
        // SAFETY: as in `console_ring`.
        let page = unsafe { BootPage::new(self, at) };
        (page, Port::adopt(self, PortNumber(port), true))
    }

    /// The time since boot.
    #[inline]
    pub fn now(&self) -> Instant {
        self.platform().now()
    }

    /// The time since 1970.
    pub fn wall(&self) -> Duration {
        self.platform().wall()
    }

    /// Sleeps until `deadline`.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::new(self, deadline)
    }

    /// Sleeps for `duration` from now.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// What `future` gives, if it does by `deadline`; else it is dropped.
    pub async fn timeout<F: Future>(
        &self,
        deadline: Instant,
        future: F,
    ) -> Result<F::Output, TimedOut> {
        let mut future = pin!(future);
        let mut sleep = pin!(self.sleep_until(deadline));
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            sleep.as_mut().poll(cx).map(|()| Err(TimedOut))
        })
        .await
    }

    /// A seed from the platform's raw entropy.
    pub fn seed(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.platform().entropy(&mut seed);
        seed
    }

    /// How often this domain was resumed. What Xen gave in an earlier generation is void.
    pub fn generation(&self) -> u32 {
        self.platform().generation()
    }

    /// Stops the domain. In the guest this does not return.
    pub fn shutdown(&self, reason: ShutdownReason) {
        self.platform().shutdown(reason);
    }

    /// Takes pending events and due timers, and wakes those who wait for them; says whether there
    /// were any. One turn of the main loop, between running tasks and sleeping.
    pub fn dispatch(&self) -> bool {
        let mut woke = false;
        self.platform()
            .take_pending(&mut |port| woke |= self.0.ports.raise(port));
        if self.0.timers.next().is_some() {
            woke |= self.0.timers.fire(self.now());
        }
        woke
    }

    /// When the next timer is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.timers.next()
    }

    /// The main loop: drives the tasks of `executor`, and `future`, until that one ends.
    pub fn block_on<F: Future>(&self, executor: &Executor, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            if woken.0.swap(false, Ordering::Relaxed)
                && let Poll::Ready(output) = future.as_mut().poll(&mut cx)
            {
                return output;
            }
            let busy = executor.run_ready();
            let woke = self.dispatch();
            if !busy && !woke && !woken.0.load(Ordering::Relaxed) {
                // An event between `dispatch` and here is pending, so this returns at once.
                self.platform().sleep(self.next_deadline());
                self.dispatch();
            }
        }
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Domain")
    }
}

/// The waker of a future that no executor drives.
pub(crate) struct Woken(pub(crate) AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A handle that does not keep the domain.
#[cfg(not(feature = "xen"))]
#[derive(Default)]
pub(crate) struct WeakDomain(alloc::rc::Weak<Inner>);

#[cfg(not(feature = "xen"))]
impl WeakDomain {
    pub(crate) fn of(domain: &Domain) -> Self {
        WeakDomain(Rc::downgrade(&domain.0))
    }

    pub(crate) fn upgrade(&self) -> Option<Domain> {
        self.0.upgrade().map(Domain)
    }
}
